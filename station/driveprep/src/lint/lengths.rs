//! Lengths: what a block blob, a page blob and a file of a share can hold.

use manifest::limits::{BLOCK_BYTES_MAX, BLOCKS_MAX, PAGE_BLOB_BYTES_MAX, PAGE_BYTES};
use manifest::{BlockLength, Rule};
use model::status::BlobStatus;

use super::{Code, Findings, LintRule, Severity};
use crate::work::scan::KindRule;
use crate::work::{Item, ItemKind, Work};

/// Largest file of a share: azure-storage.md §7.2.
const SHARE_FILE_BYTES_MAX: u64 = 4 << 40;

const BLOCK_LENGTH: LintRule = LintRule {
    severity: Severity::Error,
    rule: "a block blob has at most 50,000 blocks of 100 MiB",
    advice: "split the file, or make it a page blob if it is a disk",
};
const PAGE_LENGTH: LintRule = LintRule {
    severity: Severity::Error,
    rule: "a page blob's length is a multiple of 512, up to 8 TiB",
    advice: "pack it as a block blob (--type block), or pad it if it is a disk",
};
const SHARE_LENGTH: LintRule = LintRule {
    severity: Severity::Error,
    rule: "a file of a share has at most 4 TiB",
    advice: "split the file, or send it to a container",
};
const GROWN: LintRule = LintRule {
    severity: Severity::Note,
    rule: "a blob that would have more than 50,000 blocks gets longer ones than were asked for",
    advice: "give a larger --block-bytes if all blobs are to have blocks of one length",
};
const BY_NAME: LintRule = LintRule {
    severity: Severity::Note,
    rule: ".vhd and .vhdx become page blobs unless a type is given",
    advice: "give --type block if they are to be block blobs",
};

/// Checks all lengths of the work.
pub(super) fn check(work: &Work, findings: &mut Findings) {
    for item in work.items() {
        let Some((rule, code, found)) = fault(&item) else { continue };
        findings.add(rule, code, || (item.source_path().display().to_string(), found));
    }
}

/// Says which blobs cannot have the blocks that were asked for.
pub(super) fn grown_blocks(work: &Work, findings: &mut Findings) {
    for item in work.items().filter(|item| item.kind() == ItemKind::Block) {
        let wanted = item.dataset().block_length;
        if wanted != BlockLength::default() && item.part_bytes() > wanted.bytes() {
            let texts = || {
                let grown = format!("blocks of {} bytes instead of {}", item.part_bytes(), wanted.bytes());
                (item.source_path().display().to_string(), grown)
            };
            findings.add(GROWN, Code::Own("LongerBlocks"), texts);
        }
    }
}

/// Says which items became page blobs by their names alone.
pub(super) fn kinds_by_name(work: &Work, findings: &mut Findings) {
    for item in work.items().filter(|item| item.kind() == ItemKind::Page) {
        if KindRule::ByName.kind(item.name()) == ItemKind::Page {
            let texts = || (item.source_path().display().to_string(), item.destination());
            findings.add(BY_NAME, Code::Own("PageBlob"), texts);
        }
    }
}

fn fault(item: &Item<'_>) -> Option<(LintRule, Code, String)> {
    let found_bytes = item.length_bytes();
    let block_blob_bytes_max = (BLOCKS_MAX as u64).saturating_mul(BLOCK_BYTES_MAX);
    match item.kind() {
        ItemKind::Block if found_bytes > block_blob_bytes_max => {
            Some((BLOCK_LENGTH, Code::Drive(Rule::BlockCount.status()), format!("{found_bytes} bytes")))
        }
        ItemKind::Page if found_bytes > PAGE_BLOB_BYTES_MAX || !found_bytes.is_multiple_of(PAGE_BYTES) => {
            let broken = Rule::PageBlobLength { found_bytes };
            Some((PAGE_LENGTH, Code::Drive(broken.status()), broken.to_string()))
        }
        ItemKind::File if found_bytes > SHARE_FILE_BYTES_MAX => {
            Some((SHARE_LENGTH, Code::Blob(BlobStatus::Failed), format!("{found_bytes} bytes")))
        }
        ItemKind::Block | ItemKind::Page | ItemKind::File => None,
    }
}

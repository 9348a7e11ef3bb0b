//! What must come of a drive: `expected.json`, for packed drives and the shared fixtures alike.
//!
//! One checker serves both. Which blobs fail and how is azure-import-export.md §3.3 and §3.4.

mod compare;

use std::collections::BTreeMap;

use model::status::{BlobStatus, ChunkStatus, DriveStatus, SideFileStatus};
use serde::{Deserialize, Serialize};

use super::plan::{Fault, Layout, PackBlob, PackPlan};

/// A block that is good by itself: its status depends on how far its blob got.
pub const NOT_CORRUPTED: &str = "not Corrupted";

/// A whole drive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExpectedDrive {
    /// Every blob of the manifest, in its order.
    pub blobs: Vec<ExpectedBlob>,
    /// `DriveLog/Status`.
    pub drive_status: String,
}

/// One blob.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExpectedBlob {
    /// Container and name.
    pub blob: String,
    /// `block` or `page`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The length that the manifest states.
    pub length: u64,
    /// `Blob/@Status` of the log.
    pub status: String,
    /// Whether a blob may be visible afterwards.
    pub present: bool,
    /// SHA-256 of what the account must hold, in lower-case hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// Metadata that the blob must have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<BTreeMap<String, String>>,
    /// The blob's `Content-Type`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
    /// The blob's `Cache-Control`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_control: Option<String>,
    /// The blob's `Content-Language`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_language: Option<String>,
    /// One status a block or range; [`NOT_CORRUPTED`] stands for any that a good one may have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blocks: Option<Vec<String>>,
    /// `Metadata/@Status`, where it is not `Completed`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata_status: Option<String>,
    /// `Properties/@Status`, where it is not `Completed`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub properties_status: Option<String>,
    /// A page blob with a bad range: visible, and marked so in its metadata.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub incomplete: bool,
}

impl ExpectedDrive {
    /// What must come of a plan whose blobs have these digests, in the plan's order.
    pub fn new(plan: &PackPlan, sha256: &[[u8; 32]]) -> ExpectedDrive {
        let blobs =
            plan.blobs.iter().zip(sha256).map(|(blob, digest)| ExpectedBlob::new(blob, digest)).collect();
        let has_faults = plan.blobs.iter().any(|blob| blob.fault.is_some());
        let status = if has_faults { DriveStatus::CompletedWithErrors } else { DriveStatus::Completed };
        ExpectedDrive { blobs, drive_status: status.to_string() }
    }
}

impl ExpectedBlob {
    fn new(blob: &PackBlob, sha256: &[u8; 32]) -> ExpectedBlob {
        let is_page = blob.layout == Layout::Pages;
        let has_bad_part = matches!(blob.fault, Some(Fault::CorruptPart { .. } | Fault::ShortFile { .. }));
        // A page blob is visible from its creation on; a block blob only once it is committed.
        let present = blob.fault != Some(Fault::MissingFile) && (is_page || !has_bad_part);
        let unless = |fault: Fault| (present && blob.fault != Some(fault)).then_some(());
        let properties =
            unless(Fault::WrongPropertiesHash).map(|()| blob.properties.clone()).unwrap_or_default();
        let metadata = unless(Fault::WrongMetadataHash).filter(|()| !blob.metadata.is_empty());
        let corrupted = |fault| (blob.fault == Some(fault)).then(|| SideFileStatus::Corrupted.to_string());
        ExpectedBlob {
            blob: blob.destination.clone(),
            kind: if is_page { "page" } else { "block" }.to_owned(),
            length: blob.content.length_bytes(),
            status: status(blob.fault).to_string(),
            present,
            sha256: present.then(|| sha256.iter().map(|byte| format!("{byte:02x}")).collect()),
            metadata: metadata.map(|()| blob.metadata.iter().cloned().collect()),
            content_type: properties.content_type,
            cache_control: properties.cache_control,
            content_language: properties.content_language,
            blocks: has_bad_part.then(|| parts(blob)),
            metadata_status: corrupted(Fault::WrongMetadataHash),
            properties_status: corrupted(Fault::WrongPropertiesHash),
            incomplete: is_page && has_bad_part,
        }
    }
}

fn status(fault: Option<Fault>) -> BlobStatus {
    match fault {
        None => BlobStatus::Completed,
        Some(Fault::MissingFile) => BlobStatus::FileNotFound,
        Some(
            Fault::CorruptPart { .. }
            | Fault::ShortFile { .. }
            | Fault::WrongMetadataHash
            | Fault::WrongPropertiesHash,
        ) => BlobStatus::CompletedWithErrors,
    }
}

fn parts(blob: &PackBlob) -> Vec<String> {
    let file_bytes = blob.file_bytes().unwrap_or_default();
    let status = |(index, part): (usize, std::ops::Range<u64>)| match blob.fault {
        Some(Fault::CorruptPart { index: bad }) if bad == index => ChunkStatus::Corrupted.to_string(),
        Some(Fault::ShortFile { .. }) if part.end > file_bytes => ChunkStatus::FileUnexpectedEnd.to_string(),
        _ => NOT_CORRUPTED.to_owned(),
    };
    blob.parts().into_iter().enumerate().map(status).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pack::Content;

    fn expected(blob: PackBlob) -> ExpectedBlob {
        ExpectedDrive::new(&PackPlan::new("S", vec![blob]), &[[0xAB; 32]]).blobs.remove(0)
    }

    #[test]
    fn a_corrupt_block_keeps_a_block_blob_invisible_and_marks_a_page_blob() {
        let content = Content::Zeros { length_bytes: 5 << 20 };
        let fault = Fault::CorruptPart { index: 1 };
        let block = expected(PackBlob::new("c/x", content.clone()).with_fault(fault));
        assert_eq!((block.present, block.sha256.is_none(), block.incomplete), (false, true, false));
        assert_eq!(block.blocks.unwrap(), ["not Corrupted", "Corrupted"]);
        let page = expected(PackBlob::paged("c/x", content).with_fault(fault));
        assert_eq!((page.present, page.sha256.is_some(), page.incomplete), (true, true, true));
    }

    #[test]
    fn a_short_file_names_the_blocks_that_it_does_not_reach() {
        let blob = PackBlob::new("c/x", Content::Zeros { length_bytes: 5 << 20 });
        let short = expected(blob.with_fault(Fault::ShortFile { missing_bytes: 1 }));
        assert_eq!(short.blocks.unwrap(), ["not Corrupted", "FileUnexpectedEnd"]);
        assert_eq!(short.status, "CompletedWithErrors");
    }

    #[test]
    fn the_fixtures_have_this_very_shape() {
        let folder = crate::setup::workspace_root().join("../shared/fixtures/drives");
        let Ok(drives) = std::fs::read_dir(&folder) else {
            return crate::skipped("the_fixtures_have_this_very_shape", "../shared/fixtures is not there");
        };
        for drive in drives {
            let text = std::fs::read_to_string(drive.unwrap().path().join("expected.json"));
            let Ok(text) = text else { continue };
            let before: serde_json::Value = serde_json::from_str(&text).unwrap();
            let read: ExpectedDrive = serde_json::from_str(&text).unwrap();
            assert_eq!(serde_json::to_value(read).unwrap(), before);
        }
    }
}

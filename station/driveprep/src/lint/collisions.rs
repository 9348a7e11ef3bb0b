//! Collisions: two items that are one at the destination, or one on the drive.
//!
//! Millions of names are compared by 64-bit hashes, 16 bytes an item; what has the same hash is then
//! compared as text, so a hash that is the same by accident is no finding.

use std::hash::{DefaultHasher, Hash, Hasher};

use model::SharePath;
use model::status::BlobStatus;
use ntfs::folded_name;

use super::{Code, Findings, LintRule, Severity};
use crate::work::{DirectoryId, Item, ItemId, ItemKind, Work};

const DESTINATION: LintRule = LintRule {
    severity: Severity::Error,
    rule: "two files cannot have the same destination",
    advice: "rename one, or give one source another destination",
};
const SHARE_CASE: LintRule = LintRule {
    severity: Severity::Error,
    rule: "a file share does not tell names apart that differ only in case",
    advice: "rename one of the two",
};
const DIRECTORY: LintRule = LintRule {
    severity: Severity::Error,
    rule: "a file of a share cannot have the path of a directory",
    advice: "rename the file, or give one source another destination",
};
const DRIVE_CASE: LintRule = LintRule {
    severity: Severity::Error,
    rule: "NTFS does not tell names of one directory apart that differ only in case",
    advice: "rename one of the two, or pack them as two sources",
};

/// Checks the work for all of them.
pub(super) fn check(work: &Work, findings: &mut Findings) {
    destinations(work, findings);
    share_directories(work, findings);
    items_on_the_drive(work, findings);
    directories_on_the_drive(work, findings);
}

fn destinations(work: &Work, findings: &mut Findings) {
    let hashes = work.items().map(|item| (hash(&identity(&item)), item.id.0)).collect();
    let is_same = |one, other| identity(&work.item(ItemId(one))) == identity(&work.item(ItemId(other)));
    pairs(hashes, is_same, |one, other| {
        let (one, other) = (work.item(ItemId(one)), work.item(ItemId(other)));
        let is_exact = one.destination() == other.destination();
        let rule = if is_exact { DESTINATION } else { SHARE_CASE };
        findings.add(rule, Code::Own("Collision"), || (both(&one, &other), other.destination()));
    });
}

/// What the storage service tells an item apart by.
fn identity(item: &Item<'_>) -> (bool, String) {
    let destination = item.destination();
    match item.kind() {
        ItemKind::Block | ItemKind::Page => (false, destination),
        // A path that the service would refuse is a finding of its own.
        ItemKind::File => (true, SharePath::parse(&destination).map_or(destination, |path| path.folded())),
    }
}

fn share_directories(work: &Work, findings: &mut Findings) {
    let files = || work.items().filter(|item| item.kind() == ItemKind::File);
    let mut parents: Vec<u64> = Vec::new();
    let mut last: Option<DirectoryId> = None;
    for item in files() {
        // The items of a directory stand together.
        if last.replace(item.directory()) != Some(item.directory()) {
            let path = identity(&item).1;
            parents.extend(path.match_indices('/').map(|(end, _)| hash(&(true, &path[..end]))));
        }
    }
    parents.sort_unstable();
    parents.dedup();
    for item in files().filter(|item| parents.binary_search(&hash(&identity(item))).is_ok()) {
        let texts = || (item.source_path().display().to_string(), item.destination());
        findings.add(DIRECTORY, Code::Own("Collision"), texts);
    }
}

fn items_on_the_drive(work: &Work, findings: &mut Findings) {
    let key = |item: &Item<'_>| (item.directory().0, folded_name(item.name()));
    let hashes = work.items().map(|item| (hash(&key(&item)), item.id.0)).collect();
    let is_same = |one, other| key(&work.item(ItemId(one))) == key(&work.item(ItemId(other)));
    pairs(hashes, is_same, |one, other| {
        let (one, other) = (work.item(ItemId(one)), work.item(ItemId(other)));
        let code = Code::Blob(BlobStatus::FileNameInvalid);
        findings.add(DRIVE_CASE, code, || (both(&one, &other), other.drive_path()));
    });
}

/// Directories clash with each other; a file and a directory of one directory could only clash by case.
fn directories_on_the_drive(work: &Work, findings: &mut Findings) {
    let key = |parent: DirectoryId, name: &str| (parent.0, folded_name(name));
    let keyed =
        || work.directories().filter_map(|(id, directory)| Some((id, directory.parent?, &*directory.name)));
    let hashes: Vec<(u64, u32)> =
        keyed().map(|(id, parent, name)| (hash(&key(parent, name)), id.0)).collect();
    let mut sorted: Vec<u64> = hashes.iter().map(|(hash, _)| *hash).collect();
    sorted.sort_unstable();
    let of = |id: u32| {
        let directory = work.directory(DirectoryId(id));
        directory.parent.map(|parent| key(parent, &directory.name))
    };
    let path = |id: u32| work.directory_path(DirectoryId(id)).display().to_string();
    let code = Code::Blob(BlobStatus::FileNameInvalid);
    pairs(
        hashes,
        |one, other| of(one) == of(other),
        |one, other| {
            findings.add(DRIVE_CASE, code, || {
                (format!("{} and {}", path(one), path(other)), "two directories".to_owned())
            });
        },
    );
    for item in work.items() {
        if sorted.binary_search(&hash(&key(item.directory(), item.name()))).is_ok() {
            let texts =
                || (item.source_path().display().to_string(), "a directory has the same name".to_owned());
            findings.add(DRIVE_CASE, code, texts);
        }
    }
}

fn both(one: &Item<'_>, other: &Item<'_>) -> String {
    format!("{} and {}", one.source_path().display(), other.source_path().display())
}

/// Gives each thing that is the same as one before it, with the first of them.
fn pairs(mut hashes: Vec<(u64, u32)>, is_same: impl Fn(u32, u32) -> bool, mut found: impl FnMut(u32, u32)) {
    hashes.sort_unstable();
    for group in hashes.chunk_by(|one, other| one.0 == other.0) {
        let mut distinct: Vec<u32> = Vec::new();
        for (_, id) in group {
            match distinct.iter().find(|first| is_same(**first, *id)) {
                Some(first) => found(*first, *id),
                None => distinct.push(*id),
            }
        }
    }
}

/// The same in every run: its key is fixed.
fn hash(key: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    hasher.finish()
}

//! What is written after a ledger was restored from a backup that is older than the last checkpoint.
//!
//! The entries between the backup and the failure are lost, and no honest chain can hide that: the old
//! chain would run on from an earlier entry and contradict a checkpoint that is already outside. So a new
//! chain is begun, under a new name, and its first entry names the old chain's end in the backup and
//! the last checkpoint that is known. The old chain stays verifiable up to the backup; what is missing
//! stays visible.

use crate::chain::Head;
use crate::checkpoint::Checkpoint;
use crate::entry::{Draft, FileHash};
use crate::hash::Hash;

/// What the first entry of a chain after a restore says was done.
pub const RESEALED: &str = "custody.resealed";

/// Who reseals, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reseal {
    /// When, by the station's clock.
    pub at_unix_ms: i64,
    /// Who.
    pub actor: String,
    /// Why: the incident's number, or a sentence.
    pub reason: String,
}

/// The first entry of the new chain: to be appended to [`Head::start`] of its name.
///
/// `files` gets two hashes that name no file: the restored chain's end, and the last checkpoint's line.
pub fn reseal(restored: &Head, last: Option<&Checkpoint>, by: Reseal) -> Draft {
    let end = FileHash {
        name: format!("end of {} at entry {}", restored.chain, restored.no),
        sha256: restored.hash,
    };
    let checkpoint = last.map(|last| FileHash {
        name: format!("last checkpoint of {}, at entry {}", last.chain, last.no),
        sha256: Hash::tagged(b"", &[last.to_text().as_bytes()]),
    });
    let covered = last.map_or(restored.no, |last| last.no.max(restored.no));
    Draft {
        at_unix_ms: by.at_unix_ms,
        actor: by.actor,
        roles: Vec::new(),
        action: RESEALED.to_owned(),
        job: None,
        drive: None,
        bay: None,
        before: Some(format!("{} entries of {}", covered, restored.chain)),
        after: Some(format!("{} entries of {} restored", restored.no, restored.chain)),
        reason: Some(by.reason),
        files: [Some(end), checkpoint].into_iter().flatten().collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signing::SigningKey;

    #[test]
    fn the_first_entry_after_a_restore_names_what_is_lost() {
        let key = SigningKey::from_text(SigningKey::generate().as_bytes()).unwrap();
        let hash = Hash([1; 32]);
        let restored = Head { chain: "dc1".to_owned(), no: 850, hash };
        let lost = key.checkpoint(&Head { chain: "dc1".to_owned(), no: 900, hash: Hash([2; 32]) }, 0);
        let by = Reseal { at_unix_ms: 5, actor: "kim".to_owned(), reason: "disk failure".to_owned() };
        let draft = reseal(&restored, Some(&lost), by);
        assert_eq!(draft.before.as_deref(), Some("900 entries of dc1"));
        assert_eq!(draft.after.as_deref(), Some("850 entries of dc1 restored"));
        assert_eq!(draft.files[0].sha256, hash);
        assert_eq!(draft.files.len(), 2);
        assert!(Head::start("dc1.2").append(draft, None, crate::new_salt()).is_ok());
    }
}

//! Entries for tests.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use crate::entry::{Draft, Entry, FileHash, Salt};
use crate::hash::Hash;

/// A draft with most fields.
pub(crate) fn draft() -> Draft {
    Draft {
        at_unix_ms: 1000,
        actor: "kim".to_owned(),
        roles: vec!["receiver".to_owned()],
        action: "drive.received".to_owned(),
        job: Some("/j/1".to_owned()),
        drive: Some("S1".to_owned()),
        bay: None,
        before: Some("Specified".to_owned()),
        after: Some("Received".to_owned()),
        reason: None,
        files: vec![FileHash { name: "photo".to_owned(), sha256: Hash([9; 32]) }],
    }
}

/// That draft as an entry.
pub(crate) fn entry() -> Entry {
    Entry { chain: "dc1".to_owned(), no: 2, job_no: Some(1), salt: Salt([7; 16]), draft: draft() }
}

prop_compose! {
    fn any_file()(name in "\\PC{0,6}", sha256 in any::<[u8; 32]>()) -> FileHash {
        FileHash { name, sha256: Hash(sha256) }
    }
}

prop_compose! {
    /// Any draft.
    pub(crate) fn any_draft()(
        at_unix_ms in any::<i64>(),
        actor in "\\PC{0,6}",
        roles in vec("[a-z]{0,4}", 0..3),
        action in "[a-z.]{0,6}",
        job in option::of("/j/[0-2]"),
        drive in option::of("\\PC{0,4}"),
        bay in option::of("[0-9]{0,2}"),
        before in option::of("[A-Z]{0,3}"),
        after in option::of("[A-Z]{0,3}"),
        reason in option::of("\\PC{0,6}"),
        files in vec(any_file(), 0..3),
    ) -> Draft {
        Draft { at_unix_ms, actor, roles, action, job, drive, bay, before, after, reason, files }
    }
}

prop_compose! {
    /// Any entry, at any place.
    pub(crate) fn any_entry()(
        chain in "\\PC{0,4}", no in 1u64.., job_no in 1u64.., salt in any::<[u8; 16]>(), draft in any_draft(),
    ) -> Entry {
        Entry { chain, no, job_no: draft.job.as_ref().map(|_| job_no), salt: Salt(salt), draft }
    }
}

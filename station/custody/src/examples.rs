//! Entries for tests.

use std::collections::HashMap;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use crate::chain::{Head, Row};
use crate::entry::{Draft, Entry, FileHash, Salt, job_key, new_salt};
use crate::hash::Hash;
use crate::signing::SigningKey;

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

/// A chain in memory, as a ledger would hold it.
pub(crate) struct Written {
    /// Its rows, from entry 1.
    pub(crate) rows: Vec<Row>,
    /// Its heads: before entry 1, after it, and so on.
    pub(crate) heads: Vec<Head>,
}

impl Written {
    /// Writes these drafts as a chain, counting each job's entries as a ledger does.
    pub(crate) fn of(chain: &str, drafts: Vec<Draft>) -> Written {
        let mut written = Written { rows: Vec::new(), heads: vec![Head::start(chain)] };
        let mut counts: HashMap<String, u64> = HashMap::new();
        for draft in drafts {
            let job_no = draft.job.as_deref().map(job_key).map(|job| {
                let count = counts.entry(job).or_default();
                *count += 1;
                *count
            });
            let (entry, head) = written.head().append(draft, job_no, new_salt()).unwrap();
            written.rows.push(Row::of(&entry, &head));
            written.heads.push(head);
        }
        written
    }

    /// The last head.
    pub(crate) fn head(&self) -> &Head {
        self.heads.last().unwrap()
    }
}

/// Six entries of two jobs and of none.
pub(crate) fn six() -> Written {
    let jobs = [None, Some("/j/1"), Some("/j/2"), Some("/J/1"), None, Some("/j/1")];
    Written::of("dc1", jobs.map(|job| Draft { job: job.map(str::to_owned), ..draft() }).into())
}

/// A signing key, fresh.
pub(crate) fn signing_key() -> SigningKey {
    SigningKey::from_text(SigningKey::generate().as_bytes()).unwrap_or_else(|error| panic!("{error}"))
}

//! Appending.

use super::*;
use crate::examples::draft;

const SALT: Salt = Salt([7; 16]);

#[test]
fn a_head_grows_by_one_entry_and_its_row_says_the_same() {
    let start = Head::start("dc1");
    let (entry, head) = start.append(draft(), Some(1), SALT).unwrap();
    assert_eq!((entry.no, head.no, entry.chain.as_str()), (1, 1, "dc1"));
    assert_eq!(head.hash, link(&start.hash, &entry.digest()));
    let row = Row::of(&entry, &head);
    assert_eq!((row.no, row.hash, row.job_no), (1, head.hash, Some(1)));
    assert_eq!(row.entry(), Ok(entry));
}

#[test]
fn two_spellings_of_one_job_are_one_job_in_the_row() {
    let upper = Draft { job: Some("/Subscriptions/A".to_owned()), ..draft() };
    let (entry, head) = Head::start("dc1").append(upper, Some(1), SALT).unwrap();
    assert_eq!(Row::of(&entry, &head).job.as_deref(), Some("/subscriptions/a"));
    assert_eq!(entry.draft.job.as_deref(), Some("/Subscriptions/A"), "the entry keeps it as given");
}

#[test]
fn a_job_goes_with_its_number_and_nothing_else_does() {
    let start = Head::start("dc1");
    assert_eq!(start.append(draft(), None, SALT).unwrap_err(), AppendError::JobNumber);
    assert_eq!(start.append(draft(), Some(0), SALT).unwrap_err(), AppendError::JobNumber);
    let elsewhere = Draft { job: None, ..draft() };
    assert_eq!(start.append(elsewhere.clone(), Some(1), SALT).unwrap_err(), AppendError::JobNumber);
    assert!(start.append(elsewhere, None, SALT).is_ok());
}

#[test]
fn an_entry_that_no_verifier_would_take_is_not_appended() {
    let long = Draft { reason: Some("x".repeat(ENTRY_BYTES_MAX)), ..draft() };
    assert!(matches!(Head::start("dc1").append(long, Some(1), SALT), Err(AppendError::Long { .. })));
}

#[test]
fn chains_of_different_names_never_meet() {
    assert_ne!(Head::start("dc1").hash, Head::start("dc2").hash);
}

/// The values come from Python's hashlib over the text of the module.
#[test]
fn hashes_are_those_of_the_documentation() {
    let start = Head::start("dc1");
    let (entry, head) = start.append(draft(), Some(1), SALT).unwrap();
    let found = [start.hash, entry.digest(), head.hash].map(|hash| hash.to_string());
    assert_eq!(
        found,
        [
            "d5a1cd4789e4cc6cedde4e47b5c23bd1ea441aa9fa641e037b6563d9ae0a90f7",
            "882324633116ef48b3f0445a0ec71580aa308e4693043de0735c81f4fcc92c9e",
            "fc261ac0d781d2d93e8b997bba867b62fff15e74e8f03aa9d205c9125a2db51a",
        ]
    );
}

//! Every kind of damage is found, and called by its name.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::checkpoint::Checkpoint;
use crate::entry::Draft;
use crate::examples::{Written, any_draft, draft, signing_key, six};
use crate::signing::PublicKeys;

/// Checkpoints of these heads, genuine.
fn checkpoints(heads: &[&Head]) -> Vec<TrustedCheckpoint> {
    let key = signing_key();
    let keys = PublicKeys::default().with(key.public(None));
    let check = |checkpoint: Checkpoint| checkpoint.check(&keys).unwrap();
    heads.iter().map(|head| check(key.checkpoint(head, 1000))).collect()
}

fn verify(rows: &[Row], signed: Vec<TrustedCheckpoint>, head: &Head) -> Result<Verified, Broken> {
    let mut verifier = Verifier::new("dc1", signed)?;
    for row in rows {
        verifier.push(row)?;
    }
    verifier.finish(head)
}

/// The damage that is found in the rows of [`six`] after a change, with a checkpoint of all of them.
fn damage_after(change: impl FnOnce(&mut Written)) -> Broken {
    let mut written = six();
    let signed = checkpoints(&[&written.heads[3], written.head()]);
    let head = written.head().clone();
    change(&mut written);
    verify(&written.rows, signed, &head).unwrap_err()
}

#[test]
fn a_sound_chain_verifies_up_to_its_last_checkpoint() {
    let written = six();
    let signed = checkpoints(&[&written.heads[0], &written.heads[4]]);
    let verified = verify(&written.rows, signed, written.head()).unwrap();
    assert_eq!((verified.head.no, verified.signed_up_to, verified.jobs), (6, Some(4), 2));
    assert_eq!(verify(&[], Vec::new(), &Head::start("dc1")).unwrap().signed_up_to, None);
}

#[test]
fn a_changed_entry_or_hash_is_named_by_its_number() {
    let entry = damage_after(|written| *written.rows[3].entry_bytes.last_mut().unwrap() ^= 1);
    assert!(matches!(entry, Broken { no: 4, what: Damage::Changed { .. } }), "{entry}");
    let hash = damage_after(|written| written.rows[3].hash.0[0] ^= 1);
    assert!(matches!(hash, Broken { no: 4, what: Damage::Changed { .. } }), "{hash}");
    let bytes = damage_after(|written| written.rows[3].entry_bytes.truncate(40));
    assert!(matches!(bytes, Broken { no: 4, what: Damage::Undecodable(_) }), "{bytes}");
}

#[test]
fn missing_doubled_and_exchanged_entries_are_told_apart() {
    let missing = damage_after(|written| drop(written.rows.remove(2)));
    assert_eq!(missing, Broken { no: 3, what: Damage::Missing { found: 4 } });
    let doubled = damage_after(|written| written.rows.insert(2, written.rows[1].clone()));
    assert_eq!(doubled, Broken { no: 3, what: Damage::Repeated { found: 2 } });
    let exchanged = damage_after(|written| written.rows.swap(2, 3));
    assert_eq!(exchanged, Broken { no: 3, what: Damage::Missing { found: 4 } });
    let renumbered = damage_after(|written| {
        written.rows.swap(2, 3);
        (written.rows[2].no, written.rows[3].no) = (3, 4);
    });
    assert_eq!(renumbered, Broken { no: 3, what: Damage::Exchanged { found: 4 } });
}

#[test]
fn a_tail_that_was_cut_off_is_missed_by_the_checkpoint_and_by_the_head() {
    let written = six();
    let cut = &written.rows[..4];
    let by_checkpoint = verify(cut, checkpoints(&[written.head()]), &written.heads[4]).unwrap_err();
    let what = Damage::Truncated { covered: 6, witness: "a checkpoint" };
    assert_eq!(by_checkpoint, Broken { no: 4, what });
    let by_head = verify(cut, Vec::new(), written.head()).unwrap_err();
    let what = Damage::Truncated { covered: 6, witness: "the ledger's head" };
    assert_eq!(by_head, Broken { no: 4, what });
    let longer = verify(&written.rows, Vec::new(), &written.heads[4]).unwrap_err();
    assert!(matches!(longer, Broken { no: 6, what: Damage::Head { no: 4, .. } }), "{longer}");
}

#[test]
fn a_chain_that_was_written_anew_contradicts_the_checkpoint() {
    let written = six();
    let mut drafts: Vec<Draft> = written.rows.iter().map(|row| row.entry().unwrap().draft).collect();
    drafts[3].actor = "somebody else".to_owned();
    let anew = Written::of("dc1", drafts);
    let silent = verify(&anew.rows, checkpoints(&[&written.heads[0]]), anew.head());
    assert!(silent.is_ok(), "without a checkpoint after the change nobody can tell");
    let found = verify(&anew.rows, checkpoints(&[written.head()]), anew.head()).unwrap_err();
    assert!(matches!(&found, Broken { no: 6, what: Damage::Rewritten { .. } }), "{found}");
    assert!(found.to_string().contains("1970-01-01T00:00:01Z"), "{found}");
}

#[test]
fn entries_checkpoints_and_heads_of_another_chain_are_refused() {
    let (ours, theirs) = (six(), Written::of("dc2", vec![draft()]));
    let found = verify(&theirs.rows, Vec::new(), ours.head()).unwrap_err();
    assert_eq!(found, Broken { no: 1, what: Damage::OtherChain { found: "dc2".to_owned() } });
    let found = verify(&ours.rows, checkpoints(&[theirs.head()]), ours.head()).unwrap_err();
    assert!(matches!(found.what, Damage::OtherChain { .. }));
    let found = verify(&ours.rows, Vec::new(), &Head { chain: "dc2".to_owned(), ..ours.head().clone() });
    assert!(matches!(found.unwrap_err().what, Damage::OtherChain { .. }));
}

#[test]
fn a_signer_of_two_histories_is_caught() {
    let forked = Head { hash: Hash([1; 32]), ..six().head().clone() };
    let found = verify(&[], checkpoints(&[&forked, six().head()]), &forked).unwrap_err();
    assert_eq!(found, Broken { no: 6, what: Damage::TwoHistories });
    let start = Head { hash: Hash([1; 32]), ..Head::start("dc1") };
    let found = verify(&[], checkpoints(&[&start]), &start).unwrap_err();
    assert!(matches!(found, Broken { no: 0, what: Damage::Rewritten { .. } }));
}

#[test]
fn the_columns_by_which_entries_are_found_must_be_the_entrys() {
    let hidden = damage_after(|written| written.rows[3].job = Some("/j/2".to_owned()));
    assert_eq!(hidden, Broken { no: 4, what: Damage::Column });
    let hidden = damage_after(|written| written.rows[3].job = None);
    assert_eq!(hidden, Broken { no: 4, what: Damage::Column });
    let counted = damage_after(|written| written.rows[3].job_no = Some(1));
    assert_eq!(counted, Broken { no: 4, what: Damage::Column });
}

/// What a ledger would do that counts a job's entries wrongly.
#[test]
fn a_jobs_entries_are_numbered_without_a_gap() {
    let (entry, head) = Head::start("dc1").append(draft(), Some(2), crate::new_salt()).unwrap();
    let found = verify(&[Row::of(&entry, &head)], Vec::new(), &head).unwrap_err();
    assert_eq!(found, Broken { no: 1, what: Damage::JobNumber { expected: 1, found: 2 } });
}

#[test]
fn nothing_is_said_of_what_follows_a_broken_entry() {
    let written = six();
    let mut verifier = Verifier::new("dc1", Vec::new()).unwrap();
    assert!(verifier.push(&written.rows[1]).is_err());
    assert_eq!(verifier.push(&written.rows[0]).unwrap_err().what, Damage::AfterBroken);
    assert_eq!(verifier.finish(&Head::start("dc1")).unwrap_err().what, Damage::AfterBroken);
}

proptest! {
    #[test]
    fn any_single_changed_bit_of_any_row_is_found(
        drafts in vec(any_draft(), 1..6), row in any::<prop::sample::Index>(), bit in any::<prop::sample::Index>(),
    ) {
        let mut written = Written::of("dc1", drafts);
        let head = written.head().clone();
        let row = &mut written.rows[row.index(head.no.try_into().unwrap())];
        let (number, expected) = (row.no, row.no);
        let bytes = row.entry_bytes.len();
        match bit.index((bytes + 32 + 8 + 8) * 8) {
            bit if bit < bytes * 8 => row.entry_bytes[bit / 8] ^= 1 << (bit % 8),
            bit if bit < (bytes + 32) * 8 => row.hash.0[bit / 8 - bytes] ^= 1 << (bit % 8),
            bit if bit < (bytes + 40) * 8 => row.no ^= 1 << (bit % 64),
            bit => row.job_no = Some(row.job_no.unwrap_or(0) ^ (1 << (bit % 64))),
        }
        prop_assert_eq!(verify(&written.rows, Vec::new(), &head).unwrap_err().no, expected.min(number));
    }

    #[test]
    fn any_dropped_swapped_doubled_or_cut_off_row_is_found(
        drafts in vec(any_draft(), 2..8), kind in 0..4, at in any::<prop::sample::Index>(),
        other in any::<prop::sample::Index>(), renumber in any::<bool>(),
    ) {
        let mut written = Written::of("dc1", drafts);
        let head = written.head().clone();
        let rows = &mut written.rows;
        let (at, other) = (at.index(rows.len()), other.index(rows.len()));
        match kind {
            0 => drop(rows.remove(at)),
            1 if at != other => rows.swap(at, other),
            2 => rows.insert(at, rows[other].clone()),
            _ => rows.truncate(at),
        }
        if renumber {
            rows.iter_mut().zip(1..).for_each(|(row, no)| row.no = no);
        }
        prop_assert!(verify(rows, Vec::new(), &head).is_err());
    }

    #[test]
    fn a_chain_written_anew_from_any_entry_on_contradicts_a_later_checkpoint(
        drafts in vec(any_draft(), 1..8), from in any::<prop::sample::Index>(),
    ) {
        let written = Written::of("dc1", drafts.clone());
        let from = from.index(drafts.len());
        let mut anew = drafts;
        anew[from].action.push('x');
        let anew = Written::of("dc1", anew);
        let signed = checkpoints(&[written.head()]);
        prop_assert!(verify(&anew.rows, signed, anew.head()).is_err());
    }
}

//! What a proof shows, and everything that makes it worthless.

use proptest::prelude::*;

use super::*;
use crate::examples::{Written, any_draft, draft, signing_key, six};
use crate::{Draft, new_salt};

struct Station {
    key: SigningKey,
    keys: PublicKeys,
    written: Written,
}

impl Station {
    fn of(written: Written) -> Station {
        let key = signing_key();
        let keys = PublicKeys::default().with(key.public(None));
        Station { key, keys, written }
    }

    fn checkpoint(&self, no: usize) -> TrustedCheckpoint {
        self.key.checkpoint(&self.written.heads[no], 1000).check(&self.keys).unwrap()
    }

    /// The proof of a job up to entry `no`.
    fn prove(&self, job: &str, no: usize) -> String {
        let is_own = |row: &Row| row.job.as_deref() == Some(&job_key(job));
        let first = self.written.rows.iter().position(is_own).unwrap();
        let mut writer = ProofWriter::new(Vec::new(), job, self.written.heads[first].clone()).unwrap();
        self.written.rows[first..no].iter().for_each(|row| writer.row(row).unwrap());
        String::from_utf8(writer.finish(&self.checkpoint(no), &self.key, 2000).unwrap()).unwrap()
    }

    fn verify(&self, lines: &[String]) -> Result<Proven, ProofError> {
        let text: String = lines.iter().map(|line| line.clone() + "\n").collect();
        verify_proof(text.as_bytes(), &self.keys)
    }
}

fn lines_of(text: &str) -> Vec<String> {
    text.lines().map(str::to_owned).collect()
}

/// The line that shows a row as nothing but its digest.
fn digest_line(row: &Row) -> String {
    serde_json::to_string(&Line::Digest(digest(&row.entry_bytes))).unwrap()
}

#[test]
fn a_customer_sees_all_of_the_jobs_entries_and_nothing_of_others() {
    let station = Station::of(six());
    let text = station.prove("/j/1", 6);
    let proven = verify_proof(text.as_bytes(), &station.keys).unwrap();
    assert_eq!(proven.entries.iter().map(|entry| entry.no).collect::<Vec<_>>(), [2, 4, 6]);
    assert_eq!((proven.foreign, proven.job.as_str(), proven.checkpoint.get().no), (2, "/j/1", 6));
    assert!(!text.contains("/j/2"));
    let until_five = station.prove("/j/1", 5);
    assert_eq!(verify_proof(until_five.as_bytes(), &station.keys).unwrap().entries.len(), 2);
}

#[test]
fn equal_acts_of_others_do_not_have_equal_digests() {
    let written = Written::of("dc1", vec![Draft { job: None, ..draft() }; 2]);
    assert_ne!(digest_line(&written.rows[0]), digest_line(&written.rows[1]));
}

#[test]
fn an_entry_of_the_job_that_is_shown_as_a_digest_is_missed() {
    let station = Station::of(six());
    let lines = lines_of(&station.prove("/j/1", 6));
    for (line, row) in [(1, 1), (3, 3), (5, 5)] {
        let mut hidden = lines.clone();
        hidden[line] = digest_line(&station.written.rows[row]);
        match station.verify(&hidden).unwrap_err() {
            ProofError::Misplaced { source: Misplaced::Gap { .. }, .. } if line < 5 => {}
            ProofError::Hidden { stated: 3, shown: 2 } if line == 5 => {}
            other => panic!("line {line}: {other}"),
        }
    }
}

#[test]
fn a_line_left_out_exchanged_or_added_does_not_come_to_the_checkpoint() {
    let station = Station::of(six());
    let lines = lines_of(&station.prove("/j/1", 6));
    for line in 1..6 {
        let mut fewer = lines.clone();
        fewer.remove(line);
        assert!(station.verify(&fewer).is_err(), "without line {line}");
        let mut doubled = lines.clone();
        doubled.insert(line, lines[line].clone());
        assert!(station.verify(&doubled).is_err(), "twice line {line}");
    }
    let mut exchanged = lines.clone();
    exchanged[2] = lines[4].clone();
    assert!(matches!(station.verify(&exchanged), Err(ProofError::NotAtCheckpoint)));
    let mut longer = lines.clone();
    longer.push(lines[1].clone());
    assert!(matches!(station.verify(&longer), Err(ProofError::Trailing { line: 8 })));
    assert!(matches!(station.verify(&lines[..6]), Err(ProofError::Line(LineError { line: 7, .. }))));
}

#[test]
fn an_entry_of_somebody_else_in_full_is_no_part_of_a_proof() {
    let station = Station::of(six());
    let mut lines = lines_of(&station.prove("/j/1", 6));
    let foreign = station.written.rows[2].entry().unwrap();
    lines[2] = serde_json::to_string(&Line::Entry(Box::new(foreign))).unwrap();
    let error = station.verify(&lines).unwrap_err();
    assert!(matches!(error, ProofError::Misplaced { line: 3, source: Misplaced::Foreign }), "{error}");
}

#[test]
fn nobody_but_the_station_can_sign_a_proof() {
    let (station, stranger) = (Station::of(six()), Station::of(six()));
    let text = station.prove("/j/1", 6);
    let error = verify_proof(text.as_bytes(), &stranger.keys).unwrap_err();
    assert!(matches!(error, ProofError::Checkpoint(_)), "{error}");
    let other_job = text.replacen("\"job\":\"/j/1\"", "\"job\":\"/j/3\"", 1);
    assert!(verify_proof(other_job.as_bytes(), &station.keys).is_err());
    let fewer = text.replace("\"entries\":3", "\"entries\":2");
    assert!(matches!(verify_proof(fewer.as_bytes(), &station.keys), Err(ProofError::Statement(_))));
    let newer = text.replacen("\"version\":1", "\"version\":7", 1);
    assert!(matches!(
        verify_proof(newer.as_bytes(), &station.keys),
        Err(ProofError::Kind { version: 7, .. })
    ));
}

/// A job without entries has a proof of exactly that, which another job's statement cannot make.
#[test]
fn a_statement_is_for_one_job_and_one_checkpoint() {
    let station = Station::of(six());
    let (one, two) = (lines_of(&station.prove("/j/1", 6)), lines_of(&station.prove("/j/2", 6)));
    let mut mixed = one.clone();
    mixed[6] = two.last().unwrap().clone();
    assert!(matches!(station.verify(&mixed), Err(ProofError::Statement(_))));
    let mut older = one;
    older[6] = lines_of(&station.prove("/j/1", 5)).last().unwrap().clone();
    assert!(matches!(station.verify(&older), Err(ProofError::NotAtCheckpoint)));
}

#[test]
fn no_proof_is_written_from_a_broken_ledger() {
    let station = Station::of(six());
    let rows = &station.written.rows;
    let start = || ProofWriter::new(Vec::new(), "/j/1", station.written.heads[1].clone()).unwrap();
    assert!(matches!(start().row(&rows[2]), Err(ProofWriteError::Broken { no: 3 })));
    assert!(matches!(start().row(&rows[3]), Err(ProofWriteError::Misplaced { no: 4, .. })));
    let mut changed = rows[1].clone();
    changed.hash.0[0] ^= 1;
    assert!(matches!(start().row(&changed), Err(ProofWriteError::Broken { no: 2 })));
    let mut writer = start();
    writer.row(&rows[1]).unwrap();
    let early = writer.finish(&station.checkpoint(6), &station.key, 0);
    assert!(matches!(early, Err(ProofWriteError::NotAtCheckpoint { no: 2, covered: 6 })));
}

/// The module says so: a smaller count, genuinely signed, is a lie that only the whole chain convicts.
#[test]
fn what_a_lying_station_can_hide_is_its_jobs_last_entries_by_a_signed_lie() {
    let station = Station::of(six());
    let mut rows = station.written.rows.clone();
    // The station pretends that entry 6 is not the job's.
    rows[5].job = None;
    let mut lines = lines_of(&station.prove("/j/1", 6));
    lines[5] = digest_line(&rows[5]);
    let end: Line = serde_json::from_str(&lines[6]).unwrap();
    let Line::End(mut end) = end else { panic!("the last line is the end") };
    end.statement.entries = 2;
    end.statement.signature = station.key.sign(&end.statement.message(&end.checkpoint, "/j/1"));
    lines[6] = serde_json::to_string(&Line::End(end)).unwrap();
    assert_eq!(station.verify(&lines).unwrap().entries.len(), 2);
}

proptest! {
    #[test]
    fn proofs_of_any_chain_verify_and_no_lines_can_be_hidden(
        drafts in proptest::collection::vec(any_draft(), 1..9), hide in any::<prop::sample::Index>(),
    ) {
        let station = Station::of(Written::of("dc1", drafts));
        let count = station.written.rows.len();
        let Some(job) = station.written.rows.iter().find_map(|row| row.job.clone()) else { return Ok(()) };
        let lines = lines_of(&station.prove(&job, count));
        let own: Vec<&Row> = station.written.rows.iter().filter(|row| row.job.as_ref() == Some(&job)).collect();
        prop_assert_eq!(station.verify(&lines).unwrap().entries.len(), own.len());
        let hidden = own[hide.index(own.len())];
        let first = usize::try_from(own[0].no).unwrap();
        let mut lines = lines;
        lines[usize::try_from(hidden.no).unwrap() - first + 1] = digest_line(hidden);
        prop_assert!(station.verify(&lines).is_err());
    }

    #[test]
    fn any_changed_byte_of_a_proof_is_refused_or_means_the_same(
        at in any::<prop::sample::Index>(), byte in any::<u8>(),
    ) {
        let station = Station::of(six());
        let text = station.prove("/j/1", 6);
        let sound = verify_proof(text.as_bytes(), &station.keys).unwrap();
        let mut changed = text.into_bytes();
        let at = at.index(changed.len());
        changed[at] = byte;
        if let Ok(proven) = verify_proof(changed.as_slice(), &station.keys) {
            prop_assert_eq!(job_key(&proven.job), job_key(&sound.job));
            prop_assert_eq!((proven.entries, proven.foreign), (sound.entries, sound.foreign));
        }
    }

    #[test]
    fn salts_differ(_ in 0..8) {
        prop_assert_ne!(new_salt(), new_salt());
    }
}

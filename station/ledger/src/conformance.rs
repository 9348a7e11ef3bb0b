//! What every ledger promises, as tests that an implementation runs on itself.
//!
//! Implement [`Store`], then name [`crate::conformance_suite!`] once in a test file: each function here
//! becomes a test. A store is fresh for each test and can be opened many times, as a restarted
//! process, or a second one, would.

pub mod office;

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use model::DriveId;
use model::drive::Phase;
use model::status::{BlobStatus, ChunkStatus, DispositionStatus, DriveStatus, SideFileStatus};

use crate::{
    AbandonError, BeginError, Begun, BlobOutcome, Intent, PendingBlob, Record, Run, RunEnd, RunKey, RunNo,
    RunStart, RunState, Runs, SaveError,
};

/// An empty store of the implementation under test.
#[async_trait]
pub trait Store: Send + Sync {
    /// Opens it, as another process would.
    async fn open(&self) -> Arc<dyn Runs>;
}

/// Makes a test of each promise; the expression makes a fresh [`Store`]. One that may be missing on a
/// machine is made by `|test| future`, of the test's name, which gives none when it is.
#[macro_export]
macro_rules! conformance_suite {
    (|$test:ident| $store:expr) => {
        $crate::conformance_suite! { @promises @maybe ($test, $store) }
    };
    ($store:expr) => {
        $crate::conformance_suite! { @promises @each ($store) }
    };
    (@promises @$how:ident $store:tt) => {
        $crate::conformance_suite! { @$how $store;
            a_key_without_a_run_gets_a_new_one
            an_unfinished_run_is_resumed_with_what_it_began_with
            a_key_that_differs_in_any_part_is_another_run
            a_drive_is_run_by_one_at_a_time
            a_finished_run_is_reported_and_not_begun_again
            an_abandoned_run_makes_room_for_a_new_one
            a_run_that_is_going_on_cannot_be_abandoned
            the_first_server_start_counts
            every_field_of_an_outcome_reads_back_as_written
            an_outcome_ends_what_was_pending
            chunks_under_another_name_replace_those_before
            starting_over_forgets_what_was_pending
            the_last_outcome_of_a_blob_counts
            a_note_that_comes_after_the_outcome_is_not_pending
            a_run_that_is_over_takes_no_more_records
            outcomes_are_paged_in_the_order_of_blobs
            totals_count_by_status_and_disposition
            runs_do_not_see_each_others_records
            runs_are_listed_with_the_newest_first
            thousands_of_records_are_saved_at_once
            batches_come_to_the_same_as_their_records_one_by_one
        }
    };
    (@each ($store:expr); $($name:ident)+) => {
        $(#[tokio::test]
        async fn $name() {
            $crate::conformance::$name(&$store).await;
        })+
    };
    (@maybe $store:tt; $($name:ident)+) => {
        $($crate::conformance_suite! { @one $store $name })+
    };
    (@one ($test:ident, $store:expr) $name:ident) => {
        #[tokio::test]
        async fn $name() {
            let $test = stringify!($name);
            if let Some(store) = $store.await {
                $crate::conformance::$name(&store).await;
            }
        }
    };
}

/// A key; the number makes it another drive's.
pub fn key(number: u32) -> RunKey {
    RunKey {
        drive_id: DriveId::new(&format!("WD-{number}")).expect("not empty"),
        job_name: "job".to_owned(),
        manifest_hash: "109B21108597EF36D5785F08303F3638".to_owned(),
        destination: "https://account.blob.core.windows.net".to_owned(),
    }
}

/// A start; no two numbers give the same run id.
pub fn start(number: u8) -> RunStart {
    RunStart {
        run_id: [number; 16],
        started_unix_ms: 1_700_000_000_000 + i64::from(number),
        log_timestamp: format!("20260101-00000{number}"),
    }
}

/// An outcome without anything special.
pub fn completed(bytes: u64) -> BlobOutcome {
    BlobOutcome {
        status: BlobStatus::Completed,
        disposition: Some(DispositionStatus::Created),
        final_path: None,
        chunk_default: ChunkStatus::Completed,
        chunk_exceptions: Vec::new(),
        metadata: None,
        properties: None,
        crc64: Some(bytes.wrapping_mul(0x9E37_79B9_7F4A_7C15)),
        bytes,
        message: None,
        http_status: None,
        code: None,
    }
}

/// Begins and expects work to do.
pub async fn running(ledger: &dyn Runs, key: &RunKey, start: &RunStart) -> Run {
    match ledger.begin(key, start).await.expect("the drive is free") {
        Begun::Running(run) => run,
        Begun::Finished(summary) => panic!("run {} is finished", summary.no),
    }
}

pub(crate) fn outcome(blob_index: u64, outcome: BlobOutcome) -> Record {
    Record::Outcome { blob_index, outcome }
}

pub(crate) fn chunk(blob_index: u64, target_n: u32, chunk_index: u32) -> Record {
    let crc64 = u64::MAX - u64::from(chunk_index);
    Record::ChunkLanded { blob_index, target_n, chunk_index, crc64 }
}

fn landed(chunks: &[u32]) -> Vec<(u32, u64)> {
    chunks.iter().map(|&index| (index, u64::MAX - u64::from(index))).collect()
}

fn intent(target: &str) -> Intent {
    Intent {
        target: target.to_owned(),
        replaces_existing: true,
        etag: Some("\"0x8D\"".to_owned()),
        lease_id: None,
    }
}

pub(crate) fn end(status: DriveStatus) -> RunEnd {
    RunEnd { status, summary_json: "{\"blobs\":3}".to_owned(), finished_unix_ms: 1_700_000_500_000 }
}

async fn all_outcomes(ledger: &dyn Runs, run: RunNo) -> Vec<(u64, BlobOutcome)> {
    ledger.outcomes(run, 0, u32::MAX).await.expect("readable")
}

/// A key that was never seen.
pub async fn a_key_without_a_run_gets_a_new_one(store: &dyn Store) {
    let ledger = store.open().await;
    let run = running(&*ledger, &key(1), &start(1)).await;
    assert!(!run.resumed);
    assert_eq!((run.run_id, run.started_unix_ms), (start(1).run_id, start(1).started_unix_ms));
    assert_eq!((run.log_timestamp.as_str(), run.server_started_unix_s), ("20260101-000001", None));
    assert!(ledger.outcomes_present(run.no).await.unwrap().is_empty());
    assert!(ledger.pending(run.no).await.unwrap().is_empty());
}

/// The second try must write the same logs, and know the first one's work.
pub async fn an_unfinished_run_is_resumed_with_what_it_began_with(store: &dyn Store) {
    let first = {
        let ledger = store.open().await;
        let run = running(&*ledger, &key(1), &start(1)).await;
        ledger.record(&run, &[outcome(7, completed(3))]).await.unwrap();
        ledger.set_server_started(&run, 1_234).await.unwrap();
        run.no
    };
    let ledger = store.open().await;
    let run = running(&*ledger, &key(1), &start(2)).await;
    assert!(run.resumed);
    assert_eq!((run.no, run.run_id, run.started_unix_ms), (first, [1; 16], start(1).started_unix_ms));
    assert_eq!((run.log_timestamp.as_str(), run.server_started_unix_s), ("20260101-000001", Some(1_234)));
    assert!(ledger.outcomes_present(run.no).await.unwrap().contains(7));
}

/// Another job, manifest or destination shares nothing with the first.
pub async fn a_key_that_differs_in_any_part_is_another_run(store: &dyn Store) {
    let ledger = store.open().await;
    let other = |change: fn(&mut RunKey)| {
        let mut key = key(1);
        change(&mut key);
        key
    };
    let keys = [
        key(1),
        key(2),
        other(|key| key.job_name.push('x')),
        other(|key| key.manifest_hash.push('0')),
        other(|key| key.destination.push('/')),
    ];
    let mut numbers = Vec::new();
    for (number, key) in (1u8..).zip(&keys) {
        let run = running(&*ledger, key, &start(number)).await;
        assert!(!run.resumed, "{key:?}");
        numbers.push(run.no);
    }
    for (key, number) in keys.iter().zip(numbers) {
        assert_eq!(running(&*ledger, key, &start(99)).await.no, number);
    }
}

/// Also under another key, and from another process; a drop lets it go.
pub async fn a_drive_is_run_by_one_at_a_time(store: &dyn Store) {
    let (ledger, other) = (store.open().await, store.open().await);
    let run = running(&*ledger, &key(1), &start(1)).await;
    let another_job = RunKey { job_name: "another".to_owned(), ..key(1) };
    for (ledger, key) in [(&ledger, key(1)), (&other, key(1)), (&other, another_job)] {
        let refused = ledger.begin(&key, &start(2)).await.expect_err("the drive is held");
        assert!(
            matches!(&refused, BeginError::Held { drive_id, .. } if *drive_id == key.drive_id),
            "{refused}"
        );
        assert!(refused.to_string().contains("WD-1"), "{refused}");
    }
    running(&*other, &key(2), &start(3)).await;
    let clone = run.clone();
    drop(run);
    assert!(other.begin(&key(1), &start(2)).await.is_err(), "a clone holds it still");
    drop(clone);
    assert!(running(&*other, &key(1), &start(2)).await.resumed);
}

/// The caller says so, and may abandon it.
pub async fn a_finished_run_is_reported_and_not_begun_again(store: &dyn Store) {
    let ledger = store.open().await;
    let run = running(&*ledger, &key(1), &start(1)).await;
    ledger.record(&run, &[outcome(0, completed(1)), chunk(1, 1, 0)]).await.unwrap();
    ledger.finish(&run, &end(DriveStatus::CompletedWithWarnings)).await.unwrap();
    ledger.finish(&run, &end(DriveStatus::CompletedWithWarnings)).await.unwrap();
    let number = run.no;
    drop(run);
    let Begun::Finished(summary) = store.open().await.begin(&key(1), &start(2)).await.unwrap() else {
        panic!("it is finished");
    };
    assert_eq!((summary.no, summary.key, summary.start), (number, key(1), start(1)));
    assert_eq!(summary.state, RunState::Finished(end(DriveStatus::CompletedWithWarnings)));
    assert!(ledger.pending(number).await.unwrap().is_empty());
    assert_eq!(all_outcomes(&*ledger, number).await.len(), 1);
    assert!(matches!(ledger.begin(&key(1), &start(2)).await.unwrap(), Begun::Finished(_)), "nobody holds it");
}

/// Whether it was finished or not.
pub async fn an_abandoned_run_makes_room_for_a_new_one(store: &dyn Store) {
    let ledger = store.open().await;
    let unfinished = running(&*ledger, &key(1), &start(1)).await.no;
    ledger.abandon(unfinished).await.unwrap();
    let second = running(&*ledger, &key(1), &start(2)).await;
    assert!(!second.resumed && second.no != unfinished && second.run_id == [2; 16]);
    ledger.finish(&second, &end(DriveStatus::Completed)).await.unwrap();
    let finished = second.no;
    drop(second);
    ledger.abandon(finished).await.unwrap();
    ledger.abandon(finished).await.unwrap();
    assert!(!running(&*ledger, &key(1), &start(3)).await.resumed);
    let unknown = ledger.abandon(RunNo(9_999)).await.expect_err("there is none");
    assert!(matches!(unknown, AbandonError::Unknown { run: RunNo(9_999) }));
}

/// From this process or another.
pub async fn a_run_that_is_going_on_cannot_be_abandoned(store: &dyn Store) {
    let ledger = store.open().await;
    let run = running(&*ledger, &key(1), &start(1)).await;
    let refused = store.open().await.abandon(run.no).await.expect_err("it is going on");
    assert!(matches!(refused, AbandonError::Held { .. }), "{refused}");
    ledger.record(&run, &[outcome(0, completed(1))]).await.unwrap();
}

/// What the destination modified before that was not put by the run.
pub async fn the_first_server_start_counts(store: &dyn Store) {
    let ledger = store.open().await;
    let run = running(&*ledger, &key(1), &start(1)).await;
    assert_eq!(ledger.set_server_started(&run, 500).await.unwrap(), 500);
    assert_eq!(ledger.set_server_started(&run, 900).await.unwrap(), 500);
    drop(run);
    assert_eq!(running(&*ledger, &key(1), &start(2)).await.server_started_unix_s, Some(500));
}

/// All words of all vocabularies, and the largest numbers.
pub async fn every_field_of_an_outcome_reads_back_as_written(store: &dyn Store) {
    let full = BlobOutcome {
        status: BlobStatus::CompletedWithErrors,
        disposition: Some(DispositionStatus::Renamed),
        final_path: Some("files/ünï '(2)'.txt".to_owned()),
        chunk_default: ChunkStatus::Uncommitted,
        chunk_exceptions: vec![
            (0, ChunkStatus::Corrupted),
            (1, ChunkStatus::Corrupted),
            (u32::MAX, ChunkStatus::IOFailed),
        ],
        metadata: Some(SideFileStatus::XmlReadFailed),
        properties: Some(SideFileStatus::Completed),
        crc64: Some(u64::MAX),
        bytes: u64::MAX >> 1,
        message: Some("line one\nline \"two\"; DROP TABLE runs; --".to_owned()),
        http_status: Some(409),
        code: Some("LeaseIdMissing".to_owned()),
    };
    let mut expected = vec![full, completed(0)];
    expected.extend(BlobStatus::ALL.iter().map(|&status| BlobOutcome { status, ..completed(1) }));
    expected.extend(DispositionStatus::ALL.iter().map(|&status| BlobOutcome {
        disposition: Some(status),
        crc64: None,
        ..completed(2)
    }));
    expected
        .extend(ChunkStatus::ALL.iter().map(|&chunk_default| BlobOutcome { chunk_default, ..completed(3) }));
    expected.extend(SideFileStatus::ALL.iter().map(|&status| BlobOutcome {
        metadata: Some(status),
        properties: Some(status),
        disposition: None,
        ..completed(4)
    }));
    let expected: Vec<(u64, BlobOutcome)> = (0u64..).zip(expected).collect();
    let records: Vec<Record> = expected.iter().map(|(index, done)| outcome(*index, done.clone())).collect();
    let ledger = store.open().await;
    let run = running(&*ledger, &key(1), &start(1)).await;
    ledger.record(&run, &records).await.unwrap();
    assert_eq!(all_outcomes(&*store.open().await, run.no).await, expected);
}

/// Chunks and intents of other blobs stay.
pub async fn an_outcome_ends_what_was_pending(store: &dyn Store) {
    let ledger = store.open().await;
    let run = running(&*ledger, &key(1), &start(1)).await;
    let records = [
        chunk(1, 1, 0),
        chunk(1, 1, 2),
        Record::Intent { blob_index: 1, intent: intent("c/one") },
        chunk(2, 1, 5),
        Record::Intent { blob_index: 3, intent: intent("c/three") },
    ];
    ledger.record(&run, &records).await.unwrap();
    ledger.record(&run, &[chunk(1, 1, 1)]).await.unwrap();
    let one = PendingBlob {
        blob_index: 1,
        target_n: Some(1),
        landed: landed(&[0, 1, 2]),
        intent: Some(intent("c/one")),
    };
    let two = PendingBlob { blob_index: 2, target_n: Some(1), landed: landed(&[5]), intent: None };
    let three =
        PendingBlob { blob_index: 3, target_n: None, landed: vec![], intent: Some(intent("c/three")) };
    assert_eq!(ledger.pending(run.no).await.unwrap(), [one, two.clone(), three.clone()]);
    ledger.record(&run, &[outcome(1, completed(9))]).await.unwrap();
    assert_eq!(ledger.pending(run.no).await.unwrap(), [two, three]);
    assert_eq!(ledger.outcomes_present(run.no).await.unwrap().iter().collect::<Vec<_>>(), [1]);
}

/// Blocks staged under one name are of no use to another.
pub async fn chunks_under_another_name_replace_those_before(store: &dyn Store) {
    let ledger = store.open().await;
    let run = running(&*ledger, &key(1), &start(1)).await;
    ledger.record(&run, &[chunk(1, 1, 0), chunk(1, 1, 1), chunk(1, 1, 2)]).await.unwrap();
    ledger.record(&run, &[chunk(1, 2, 1), chunk(1, 2, 3)]).await.unwrap();
    let pending = ledger.pending(run.no).await.unwrap();
    let expected = PendingBlob { blob_index: 1, target_n: Some(2), landed: landed(&[1, 3]), intent: None };
    assert_eq!(pending, [expected]);
}

/// Then what comes after counts.
pub async fn starting_over_forgets_what_was_pending(store: &dyn Store) {
    let ledger = store.open().await;
    let run = running(&*ledger, &key(1), &start(1)).await;
    let intended = Record::Intent { blob_index: 1, intent: intent("c/one") };
    ledger.record(&run, &[chunk(1, 1, 0), intended, chunk(2, 1, 0)]).await.unwrap();
    ledger
        .record(&run, &[chunk(1, 1, 1), Record::StartedOver { blob_index: 1 }, chunk(1, 1, 2)])
        .await
        .unwrap();
    let one = PendingBlob { blob_index: 1, target_n: Some(1), landed: landed(&[2]), intent: None };
    let two = PendingBlob { blob_index: 2, target_n: Some(1), landed: landed(&[0]), intent: None };
    assert_eq!(ledger.pending(run.no).await.unwrap(), [one, two]);
}

/// In one batch or in two; an action that was done again after a crash is recorded again.
pub async fn the_last_outcome_of_a_blob_counts(store: &dyn Store) {
    let ledger = store.open().await;
    let run = running(&*ledger, &key(1), &start(1)).await;
    ledger.record(&run, &[outcome(5, completed(1)), outcome(5, completed(2))]).await.unwrap();
    assert_eq!(all_outcomes(&*ledger, run.no).await, [(5, completed(2))]);
    let failed =
        BlobOutcome { status: BlobStatus::IOFailed, message: Some("gone".to_owned()), ..completed(3) };
    ledger.record(&run, &[outcome(5, failed.clone())]).await.unwrap();
    ledger.record(&run, &[outcome(5, failed.clone())]).await.unwrap();
    assert_eq!(all_outcomes(&*ledger, run.no).await, [(5, failed)]);
    assert_eq!(ledger.totals(run.no).await.unwrap().blobs(), 1);
}

/// Notes may overtake nothing, but a caller may be slow to give them.
pub async fn a_note_that_comes_after_the_outcome_is_not_pending(store: &dyn Store) {
    let ledger = store.open().await;
    let run = running(&*ledger, &key(1), &start(1)).await;
    ledger.record(&run, &[outcome(1, completed(1)), chunk(1, 1, 0)]).await.unwrap();
    let late = Record::Intent { blob_index: 1, intent: intent("c/one") };
    ledger.record(&run, &[chunk(1, 1, 1), late]).await.unwrap();
    assert_eq!(ledger.pending(run.no).await.unwrap(), []);
}

/// Its logs are written: another outcome would not be in them.
pub async fn a_run_that_is_over_takes_no_more_records(store: &dyn Store) {
    let ledger = store.open().await;
    let run = running(&*ledger, &key(1), &start(1)).await;
    ledger.finish(&run, &end(DriveStatus::Completed)).await.unwrap();
    let refused = ledger.record(&run, &[outcome(1, completed(1))]).await.expect_err("it is over");
    assert!(matches!(refused, SaveError::Over { run: number } if number == run.no), "{refused}");
    assert_eq!(all_outcomes(&*ledger, run.no).await, []);
}

/// For the log writer, who never holds all of them.
pub async fn outcomes_are_paged_in_the_order_of_blobs(store: &dyn Store) {
    let ledger = store.open().await;
    let run = running(&*ledger, &key(1), &start(1)).await;
    for index in [9, 2, 4, 1_000_000_000_000, 0] {
        ledger.record(&run, &[outcome(index, completed(index))]).await.unwrap();
    }
    let (mut from, mut seen) = (0, Vec::new());
    loop {
        let page = ledger.outcomes(run.no, from, 2).await.unwrap();
        let Some((last, _)) = page.last() else { break };
        assert!(page.len() <= 2);
        from = last + 1;
        seen.extend(page.into_iter().map(|(index, _)| index));
    }
    assert_eq!(seen, [0, 2, 4, 9, 1_000_000_000_000]);
    assert_eq!(ledger.outcomes(run.no, u64::MAX, 5).await.unwrap(), []);
}

/// For the summary, and for the drive's status.
pub async fn totals_count_by_status_and_disposition(store: &dyn Store) {
    let ledger = store.open().await;
    let run = running(&*ledger, &key(1), &start(1)).await;
    assert_eq!(ledger.totals(run.no).await.unwrap().tally().status(), DriveStatus::Completed);
    let renamed = BlobOutcome { disposition: Some(DispositionStatus::Renamed), ..completed(10) };
    let lost = BlobOutcome { status: BlobStatus::FileNotFound, disposition: None, ..completed(100) };
    let records = [
        outcome(0, completed(1)),
        outcome(1, completed(2)),
        outcome(2, renamed),
        outcome(3, lost.clone()),
        outcome(4, lost),
    ];
    ledger.record(&run, &records[..3]).await.unwrap();
    assert_eq!(ledger.totals(run.no).await.unwrap().tally().status(), DriveStatus::CompletedWithWarnings);
    ledger.record(&run, &records).await.unwrap();
    let totals = ledger.totals(run.no).await.unwrap();
    assert_eq!((totals.blobs(), totals.bytes(), totals.failed_blobs()), (5, 213, 2));
    assert_eq!(totals.tally().status(), DriveStatus::CompletedWithErrors);
    assert_eq!(totals.counts.len(), 3);
}

/// Whatever their blob indexes are.
pub async fn runs_do_not_see_each_others_records(store: &dyn Store) {
    let ledger = store.open().await;
    let (one, two) =
        (running(&*ledger, &key(1), &start(1)).await, running(&*ledger, &key(2), &start(2)).await);
    ledger.record(&one, &[outcome(1, completed(1)), chunk(2, 1, 0)]).await.unwrap();
    ledger.record(&two, &[outcome(2, completed(2)), chunk(1, 1, 0)]).await.unwrap();
    assert_eq!(all_outcomes(&*ledger, one.no).await, [(1, completed(1))]);
    assert_eq!(all_outcomes(&*ledger, two.no).await, [(2, completed(2))]);
    assert_eq!(ledger.pending(one.no).await.unwrap()[0].blob_index, 2);
    assert_eq!(ledger.pending(two.no).await.unwrap()[0].blob_index, 1);
    assert_eq!(ledger.totals(one.no).await.unwrap().bytes(), 1);
}

/// For the operator.
pub async fn runs_are_listed_with_the_newest_first(store: &dyn Store) {
    let ledger = store.open().await;
    for number in 1..=3 {
        let run = running(&*ledger, &key(number.into()), &start(number)).await;
        ledger.record(&run, &[Record::Phase { phase: Phase::Copying }]).await.unwrap();
        if number == 2 {
            ledger.finish(&run, &end(DriveStatus::ManifestCorrupted)).await.unwrap();
        }
    }
    let listed = ledger.runs(10).await.unwrap();
    assert_eq!(listed.iter().map(|run| run.key.clone()).collect::<Vec<_>>(), [key(3), key(2), key(1)]);
    assert_eq!(listed[0].state, RunState::Unfinished);
    assert_eq!(listed[1].state, RunState::Finished(end(DriveStatus::ManifestCorrupted)));
    assert_eq!(listed[2].phase.as_deref(), Some("copying"));
    assert_eq!(ledger.runs(1).await.unwrap().len(), 1);
}

/// More than one statement holds.
pub async fn thousands_of_records_are_saved_at_once(store: &dyn Store) {
    let ledger = store.open().await;
    let run = running(&*ledger, &key(1), &start(1)).await;
    let mut records: Vec<Record> = (0..3_000).map(|index| outcome(index, completed(index))).collect();
    records.extend((0..3_000).map(|index| chunk(10_000, 1, index)));
    records
        .extend((20_000..21_000).map(|blob_index| Record::Intent { blob_index, intent: intent("c/many") }));
    ledger.record(&run, &records).await.unwrap();
    assert_eq!(ledger.outcomes_present(run.no).await.unwrap().len(), 3_000);
    let pending = ledger.pending(run.no).await.unwrap();
    assert_eq!((pending.len(), pending[0].landed.len()), (1_001, 3_000));
}

/// Random records, in batches of random lengths, against the plain meaning of each record.
pub async fn batches_come_to_the_same_as_their_records_one_by_one(store: &dyn Store) {
    let ledger = store.open().await;
    for seed in 1..=20u32 {
        let run = running(&*ledger, &key(seed), &start(u8::try_from(seed).unwrap())).await;
        let mut random = Random(u64::from(seed));
        let mut plain = Plain::default();
        for _ in 0..12 {
            let records: Vec<Record> = (0..random.below(30)).map(|_| random_record(&mut random)).collect();
            records.iter().for_each(|record| plain.add(record));
            ledger.record(&run, &records).await.unwrap();
            assert_eq!(ledger.pending(run.no).await.unwrap(), plain.pending(), "seed {seed}");
            let outcomes: Vec<_> = plain.outcomes.clone().into_iter().collect();
            assert_eq!(all_outcomes(&*ledger, run.no).await, outcomes, "seed {seed}");
        }
    }
}

fn random_record(random: &mut Random) -> Record {
    let blob_index = random.below(6);
    let small = |value: u64| u32::try_from(value).unwrap();
    match random.below(10) {
        0..=5 => chunk(blob_index, 1 + small(random.below(3) / 2), small(random.below(4))),
        6 => Record::Intent { blob_index, intent: intent(&format!("c/{}", random.below(9))) },
        7 => Record::StartedOver { blob_index },
        8 => outcome(blob_index, completed(random.below(1_000))),
        _ => Record::Phase { phase: Phase::Copying },
    }
}

/// The records' meaning without any store.
#[derive(Default)]
struct Plain {
    outcomes: BTreeMap<u64, BlobOutcome>,
    pending: BTreeMap<u64, PendingBlob>,
}

impl Plain {
    fn add(&mut self, record: &Record) {
        match record {
            Record::ChunkLanded { blob_index, target_n, chunk_index, crc64 } => {
                let blob = self.blob(*blob_index);
                if blob.target_n != Some(*target_n) {
                    blob.landed.clear();
                }
                blob.target_n = Some(*target_n);
                blob.landed.retain(|(index, _)| index != chunk_index);
                blob.landed.push((*chunk_index, *crc64));
                blob.landed.sort_unstable();
            }
            Record::Intent { blob_index, intent } => {
                self.blob(*blob_index).intent = Some(intent.clone());
            }
            Record::StartedOver { blob_index } => {
                self.pending.remove(blob_index);
            }
            Record::Outcome { blob_index, outcome } => {
                self.pending.remove(blob_index);
                self.outcomes.insert(*blob_index, outcome.clone());
            }
            Record::Phase { .. } => {}
        }
    }

    fn blob(&mut self, blob_index: u64) -> &mut PendingBlob {
        let new = || PendingBlob { blob_index, target_n: None, landed: Vec::new(), intent: None };
        self.pending.entry(blob_index).or_insert_with(new)
    }

    fn pending(&self) -> Vec<PendingBlob> {
        self.pending.values().filter(|blob| !self.outcomes.contains_key(&blob.blob_index)).cloned().collect()
    }
}

/// Numbers that are the same in every run of the test.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }
}

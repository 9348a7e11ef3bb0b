//! What is PostgreSQL's own: migrations, settings, faults, and who has a drive.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use model::Class;
use sqlx::{AssertSqlSafe, Row};
use tokio::time::{Instant, sleep, timeout};

use super::*;
use crate::cluster::Cluster;
use crate::conformance::{completed, key, running, start};
use crate::{FaultKind, Recorder, RunState};

/// No state takes longer to come about, however busy the machine.
const PATIENCE: Duration = Duration::from_secs(60);

async fn scratch(test: &str) -> Option<PostgresOptions> {
    match Cluster::shared() {
        Ok(cluster) => Some(cluster.options(&cluster.database().await)),
        Err(why) => {
            println!("skipped: {test}: {why}");
            None
        }
    }
}

async fn execute(options: &PostgresOptions, statement: &str) {
    let mut connection = connect(&options.connect).await.unwrap();
    sqlx::query(AssertSqlSafe(statement.to_owned())).execute(&mut connection).await.unwrap();
}

fn outcome(blob_index: u64) -> Record {
    Record::Outcome { blob_index, outcome: completed(blob_index) }
}

fn chunk(blob_index: u64) -> Record {
    Record::ChunkLanded { blob_index, target_n: 1, chunk_index: 0, crc64: 7 }
}

async fn open(options: &PostgresOptions) -> PostgresLedger {
    PostgresLedger::open(options).await.unwrap()
}

async fn refused(options: &PostgresOptions) -> FaultKind {
    let error = PostgresLedger::open(options).await.unwrap_err();
    assert_eq!(error.class(), Class::StopStation);
    error.fault.kind
}

/// The drive's run, as soon as the drive is free.
async fn begun_when_free(ledger: &PostgresLedger) -> Run {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match ledger.begin(&key(1), &start(9)).await {
            Ok(Begun::Running(run)) => return run,
            Err(BeginError::Held { .. }) if Instant::now() < deadline => {
                sleep(Duration::from_millis(20)).await;
            }
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn many_stations_may_open_a_new_database_at_once() {
    let Some(options) = scratch("many_stations_may_open_a_new_database_at_once").await else { return };
    let opening = (0..8).map(|_| {
        let options = options.clone();
        tokio::spawn(async move { PostgresLedger::open(&options).await.map(drop) })
    });
    for opened in opening.collect::<Vec<_>>() {
        opened.await.unwrap().unwrap();
    }
    assert_eq!(open(&options).await.runs(10).await.unwrap(), []);
}

#[tokio::test]
async fn a_commit_waits_for_the_disk_whatever_the_database_says() {
    let Some(options) = scratch("a_commit_waits_for_the_disk_whatever_the_database_says").await else {
        return;
    };
    let database = options.connect.get_database().unwrap();
    execute(&options, &format!("ALTER DATABASE {database} SET synchronous_commit = off")).await;
    let ledger = open(&options).await;
    let settings = "SELECT current_setting('synchronous_commit'), current_setting('lock_timeout')";
    let read = sqlx::query(settings).fetch_one(&ledger.pool).await.unwrap();
    assert_eq!((read.get::<String, _>(0).as_str(), read.get::<String, _>(1).as_str()), ("on", "30s"));
}

#[tokio::test]
async fn a_server_that_would_not_keep_promises_is_refused() {
    let Some(options) = scratch("a_server_that_would_not_keep_promises_is_refused").await else { return };
    let in_earnest = PostgresOptions { scratch: false, ..options.clone() };
    assert_eq!(refused(&in_earnest).await, FaultKind::Unsuitable, "it runs without fsync");
    let database = options.connect.get_database().unwrap();
    execute(&options, &format!("ALTER DATABASE {database} SET default_transaction_read_only = on")).await;
    assert_eq!(refused(&options).await, FaultKind::ReadOnly);
}

#[tokio::test]
async fn who_cannot_be_reached_and_who_does_not_let_us_in_is_told_apart() {
    let Some(options) = scratch("who_cannot_be_reached_and_who_does_not_let_us_in_is_told_apart").await
    else {
        return;
    };
    let elsewhere = options.connect.clone().socket("/nonexistent");
    assert_eq!(
        refused(&PostgresOptions { connect: elsewhere, ..options.clone() }).await,
        FaultKind::Unreachable
    );
    let unknown = options.connect.clone().database("nobody_made_it");
    assert_eq!(refused(&PostgresOptions { connect: unknown, ..options.clone() }).await, FaultKind::Denied);
    let stranger = options.connect.clone().username("stranger");
    assert_eq!(refused(&PostgresOptions { connect: stranger, ..options }).await, FaultKind::Denied);
}

#[tokio::test]
async fn a_ledger_of_a_newer_version_is_refused() {
    let Some(options) = scratch("a_ledger_of_a_newer_version_is_refused").await else { return };
    drop(open(&options).await);
    execute(
        &options,
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
         VALUES (999, 'later', true, '\\x00', 1)",
    )
    .await;
    assert_eq!(refused(&options).await, FaultKind::Schema);
}

#[tokio::test]
async fn a_value_that_no_version_wrote_is_an_error_with_its_column() {
    let Some(options) = scratch("a_value_that_no_version_wrote_is_an_error_with_its_column").await else {
        return;
    };
    let ledger = open(&options).await;
    let run = running(&ledger, &key(1), &start(1)).await;
    ledger.record(&run, &[outcome(0)]).await.unwrap();
    for (damage, column) in [
        ("UPDATE outcomes SET chunk_exceptions = '0-4294967295:1'", "column chunk_exceptions"),
        ("UPDATE outcomes SET chunk_exceptions = NULL, http_status = 70000", "column http_status"),
        ("UPDATE outcomes SET http_status = NULL, status = 77", "column status"),
    ] {
        execute(&options, damage).await;
        let error = ledger.outcomes(run.no, 0, 10).await.unwrap_err();
        assert_eq!(error.fault.kind, FaultKind::Value);
        assert_eq!(error.fault.source.to_string(), column);
    }
}

#[tokio::test]
async fn a_strangers_text_with_a_nul_is_kept_but_for_the_nul() {
    let Some(options) = scratch("a_strangers_text_with_a_nul_is_kept_but_for_the_nul").await else { return };
    let ledger = open(&options).await;
    let run = running(&ledger, &key(1), &start(1)).await;
    let odd = BlobOutcome { message: Some("a\0b".to_owned()), ..completed(1) };
    ledger.record(&run, &[Record::Outcome { blob_index: 0, outcome: odd }]).await.unwrap();
    let read = ledger.outcomes(run.no, 0, 1).await.unwrap();
    assert_eq!(read[0].1.message.as_deref(), Some("a\u{FFFD}b"));
}

#[tokio::test]
async fn whoever_lost_the_drive_writes_nothing_more_though_nobody_told_it() {
    let Some(options) = scratch("whoever_lost_the_drive_writes_nothing_more_though_nobody_told_it").await
    else {
        return;
    };
    let (ledger, other) = (open(&options.clone().holder("station A")).await, open(&options).await);
    let run = running(&ledger, &key(1), &start(1)).await;
    ledger.record(&run, &[outcome(0), chunk(1)]).await.unwrap();
    let held = other.begin(&key(1), &start(2)).await.unwrap_err();
    assert!(held.to_string().contains("by station A, process"), "{held}");
    // As if the station had slept: its own clock says nothing, and its next renewal is far off.
    execute(&options, "UPDATE leases SET ends = clock_timestamp() - interval '1 second'").await;
    let taken_over = running(&other, &key(1), &start(2)).await;
    assert!(taken_over.resumed && !run.is_lost());
    let end = RunEnd {
        status: model::status::DriveStatus::Completed,
        summary_json: String::new(),
        finished_unix_ms: 1,
    };
    for refused in [
        ledger.record(&run, &[outcome(1)]).await.unwrap_err(),
        ledger.finish(&run, &end).await.unwrap_err(),
        ledger.set_server_started(&run, 5).await.map(drop).unwrap_err(),
    ] {
        assert!(matches!(refused, SaveError::Lost { .. }), "{refused:?}");
        assert_eq!(refused.class(), Class::FailDrive);
    }
    drop(run);
    assert!(ledger.begin(&key(1), &start(3)).await.is_err(), "its drop let nobody's lease go");
    assert_eq!(other.outcomes_present(taken_over.no).await.unwrap().len(), 1);
    assert_eq!(other.pending(taken_over.no).await.unwrap().len(), 1);
    assert_eq!(other.runs(1).await.unwrap()[0].state, RunState::Unfinished);
    other.record(&taken_over, &[outcome(1)]).await.unwrap();
}

#[tokio::test]
async fn a_lease_that_cannot_be_renewed_is_told_lost_before_another_can_have_it() {
    let Some(options) =
        scratch("a_lease_that_cannot_be_renewed_is_told_lost_before_another_can_have_it").await
    else {
        return;
    };
    let options = options.lease(Duration::from_secs(2));
    let (ledger, other) = (Arc::new(open(&options).await), open(&options).await);
    let run = running(&*ledger, &key(1), &start(1)).await;
    let recorder = Recorder::start(ledger.clone(), run.clone());
    recorder.save(vec![outcome(0)]).await.unwrap();
    // Renewals wait for this transaction; the lease's end, which they would move, does not.
    let mut blocker = connect(&options.connect).await.unwrap();
    let mut blocking = blocker.begin().await.unwrap();
    sqlx::query("SELECT * FROM leases FOR UPDATE").execute(&mut *blocking).await.unwrap();
    timeout(PATIENCE, run.lost()).await.expect("it is told");
    assert!(run.is_lost());
    // Told by the clock, not because another one has it: nobody can while the row is locked.
    let still_ours: bool =
        sqlx::query_scalar("SELECT ends IS NOT NULL FROM leases").fetch_one(&mut *blocking).await.unwrap();
    assert!(still_ours);
    for refused in
        [recorder.save(Vec::new()).await.unwrap_err(), ledger.record(&run, &[outcome(1)]).await.unwrap_err()]
    {
        assert!(matches!(refused, SaveError::Lost { .. }), "{refused:?}");
    }
    blocking.rollback().await.unwrap();
    let run = begun_when_free(&other).await;
    assert_eq!(other.outcomes_present(run.no).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_write_that_takes_long_does_not_cost_the_drive() {
    let Some(options) = scratch("a_write_that_takes_long_does_not_cost_the_drive").await else { return };
    let options = options.lease(Duration::from_secs(2));
    let ledger = open(&options).await;
    let run = running(&ledger, &key(1), &start(1)).await;
    let mut writer = connect(&options.connect).await.unwrap();
    let mut writing = writer.begin().await.unwrap();
    sqlx::query("SELECT * FROM drives FOR SHARE").execute(&mut *writing).await.unwrap();
    assert!(timeout(Duration::from_secs(4), run.lost()).await.is_err(), "two leases long it was renewed");
    writing.rollback().await.unwrap();
    ledger.record(&run, &[outcome(1)]).await.unwrap();
}

#[tokio::test]
async fn connections_that_the_server_ends_lose_nothing_and_no_drive() {
    let Some(options) = scratch("connections_that_the_server_ends_lose_nothing_and_no_drive").await else {
        return;
    };
    let ledger = Arc::new(open(&options).await);
    let run = running(&*ledger, &key(1), &start(1)).await;
    let recorder = Recorder::start(ledger.clone(), run.clone());
    let savers: Vec<_> = (0..8u64)
        .map(|saver| {
            let recorder = recorder.clone();
            tokio::spawn(async move {
                for index in (saver..400).step_by(8) {
                    recorder.save(vec![outcome(index)]).await.unwrap();
                }
            })
        })
        .collect();
    while ledger.outcomes_present(run.no).await.unwrap().len() < 350 {
        execute(
            &options,
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
             WHERE datname = current_database() AND pid <> pg_backend_pid()",
        )
        .await;
        sleep(Duration::from_millis(100)).await;
    }
    for saver in savers {
        saver.await.unwrap();
    }
    assert_eq!(ledger.outcomes_present(run.no).await.unwrap().len(), 400);
    assert!(!run.is_lost());
    drop(recorder);
    drop(run);
}

#[tokio::test]
async fn however_many_ask_a_drive_has_one_holder() {
    let Some(options) = scratch("however_many_ask_a_drive_has_one_holder").await else { return };
    let is_held = Arc::new(AtomicBool::new(false));
    let mut asking = Vec::new();
    for _ in 0..4 {
        let (ledger, is_held) = (open(&options).await, Arc::clone(&is_held));
        asking.push(tokio::spawn(async move {
            let mut had = 0;
            while had < 5 {
                let run = begun_when_free(&ledger).await;
                assert!(!is_held.swap(true, Ordering::SeqCst), "two have it");
                ledger.record(&run, &[chunk(had)]).await.unwrap();
                assert!(matches!(ledger.abandon(run.no).await, Err(AbandonError::Held { .. })));
                is_held.store(false, Ordering::SeqCst);
                drop(run);
                had += 1;
                tokio::task::yield_now().await;
            }
        }));
    }
    for asking in asking {
        timeout(PATIENCE, asking).await.expect("nobody starves").unwrap();
    }
}

const NAME: &str = "dc1";
/// The session that has a station's name, which is the only lock of the kind.
const NAME_HOLDER: &str = "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted \
     AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";

async fn end_name_session(options: &PostgresOptions) -> i32 {
    let mut connection = connect(&options.connect).await.unwrap();
    let pid: i32 = sqlx::query_scalar(NAME_HOLDER).fetch_one(&mut connection).await.unwrap();
    let end = sqlx::query("SELECT pg_terminate_backend($1)").bind(pid);
    end.execute(&mut connection).await.unwrap();
    pid
}

#[tokio::test]
async fn two_stations_of_one_name_exclude_each_other_and_others_do_not() {
    let Some(options) = scratch("two_stations_of_one_name_exclude_each_other_and_others_do_not").await else {
        return;
    };
    let first = StationName::take(&options, NAME).await.unwrap();
    let refused = StationName::take(&options, NAME).await.unwrap_err().to_string();
    let process = format!("process {}", std::process::id());
    assert!(refused.contains(NAME) && refused.contains(&process), "{refused}");
    StationName::take(&options, "dc2").await.unwrap();
    drop(first);
    let deadline = Instant::now() + PATIENCE;
    while let Err(error) = StationName::take(&options, NAME).await {
        assert!(Instant::now() < deadline, "{error}");
        sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_name_whose_session_broke_is_taken_again() {
    let Some(options) = scratch("a_name_whose_session_broke_is_taken_again").await else { return };
    let mut name = StationName::take(&options, NAME).await.unwrap();
    let before = end_name_session(&options).await;
    let mut connection = connect(&options.connect).await.unwrap();
    let taken_again = async {
        loop {
            let holder: Option<i32> =
                sqlx::query_scalar(NAME_HOLDER).fetch_optional(&mut connection).await.unwrap();
            if holder.is_some_and(|pid| pid != before) {
                return;
            }
            sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::select! {
        ended = timeout(PATIENCE, taken_again) => ended.expect("it is not taken again"),
        lost = name.lost() => panic!("{lost}"),
    }
    assert!(StationName::take(&options, NAME).await.is_err());
}

#[tokio::test]
async fn a_station_is_told_that_another_one_has_its_name() {
    let Some(options) = scratch("a_station_is_told_that_another_one_has_its_name").await else { return };
    let mut name = StationName::take(&options, NAME).await.unwrap();
    let elsewhere = options.connect.clone().application_name("0123456789abcdef process 7 on elsewhere");
    let mut other = connect(&elsewhere).await.unwrap();
    let waits = tokio::spawn(async move {
        let lock = "SELECT pg_advisory_lock(hashtextextended('drayage station dc1', 0))";
        sqlx::query(lock).execute(&mut other).await.unwrap();
        other
    });
    let waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted \
         AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    let mut connection = connect(&options.connect).await.unwrap();
    while sqlx::query_scalar::<_, i64>(waiting).fetch_one(&mut connection).await.unwrap() == 0 {
        sleep(Duration::from_millis(20)).await;
    }
    end_name_session(&options).await;
    let lost = timeout(PATIENCE, name.lost()).await.expect("it is not told").to_string();
    assert!(lost.contains("process 7 on elsewhere"), "{lost}");
    drop(waits.await.unwrap());
}

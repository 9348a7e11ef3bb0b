//! What is SQLite's own: migrations, settings, faults.

use std::path::PathBuf;

use model::status::BlobStatus;
use tempfile::TempDir;

use super::*;
use crate::FaultKind;
use crate::record::Record;

fn scratch() -> (TempDir, PathBuf) {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("ledger.sqlite3");
    (directory, path)
}

async fn begun(ledger: &SqliteLedger) -> Run {
    let key = RunKey {
        drive_id: model::DriveId::new("WD-1").unwrap(),
        job_name: "job".to_owned(),
        manifest_hash: "00".to_owned(),
        destination: "https://a".to_owned(),
    };
    let start = RunStart { run_id: [1; 16], started_unix_ms: 1, log_timestamp: "t".to_owned() };
    match ledger.begin(&key, &start).await.unwrap() {
        Begun::Running(run) => run,
        Begun::Finished(_) => panic!("it was not finished"),
    }
}

fn outcomes(count: u64) -> Vec<Record> {
    let outcome = BlobOutcome {
        status: BlobStatus::IOFailed,
        disposition: None,
        final_path: None,
        chunk_default: model::status::ChunkStatus::IOFailed,
        chunk_exceptions: Vec::new(),
        metadata: None,
        properties: None,
        crc64: None,
        bytes: 1,
        message: Some("m".repeat(500)),
        http_status: None,
        code: None,
    };
    (0..count).map(|blob_index| Record::Outcome { blob_index, outcome: outcome.clone() }).collect()
}

async fn execute(ledger: &SqliteLedger, statement: &'static str) {
    sqlx::query(statement).execute(&mut *ledger.connection().await).await.unwrap();
}

async fn pragma(ledger: &SqliteLedger, statement: &'static str) -> i64 {
    sqlx::query_scalar(statement).fetch_one(&mut *ledger.connection().await).await.unwrap()
}

#[tokio::test]
async fn a_new_file_gets_its_tables_and_settings_and_opens_again() {
    let (_directory, path) = scratch();
    for _ in 0..2 {
        let ledger = SqliteLedger::open(&path).await.unwrap();
        assert_eq!(ledger.runs(10).await.unwrap(), []);
        assert_eq!(pragma(&ledger, "PRAGMA synchronous").await, 2, "FULL");
        assert_eq!(pragma(&ledger, "PRAGMA foreign_keys").await, 1);
        let mode: String = sqlx::query_scalar("PRAGMA journal_mode")
            .fetch_one(&mut *ledger.connection().await)
            .await
            .unwrap();
        assert_eq!(mode, "wal");
    }
}

#[tokio::test]
async fn an_empty_file_that_is_there_already_is_taken() {
    let (_directory, path) = scratch();
    std::fs::write(&path, b"").unwrap();
    SqliteLedger::open(&path).await.unwrap();
}

#[tokio::test]
async fn many_may_open_a_new_file_at_once() {
    let (_directory, path) = scratch();
    let openings: Vec<_> = (0..8)
        .map(|_| {
            let path = path.clone();
            tokio::spawn(async move { SqliteLedger::open(&path).await.map(drop) })
        })
        .collect();
    for opening in openings {
        opening.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn a_file_that_is_no_database_is_damaged_and_left_as_it_is() {
    let (_directory, path) = scratch();
    let content = b"this is a customer's list of blobs".repeat(200);
    std::fs::write(&path, &content).unwrap();
    let error = SqliteLedger::open(&path).await.unwrap_err();
    assert_eq!(error.fault.kind, FaultKind::Damaged, "{error:?}");
    assert_eq!(error.class(), model::Class::StopStation);
    assert!(error.to_string().contains("ledger.sqlite3"));
    assert_eq!(std::fs::read(&path).unwrap(), content);
}

#[tokio::test]
async fn a_ledger_of_a_newer_version_is_refused() {
    let (_directory, path) = scratch();
    let ledger = SqliteLedger::open(&path).await.unwrap();
    execute(
        &ledger,
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
         VALUES (999, 'later', 1, x'00', 1)",
    )
    .await;
    drop(ledger);
    assert_eq!(SqliteLedger::open(&path).await.unwrap_err().fault.kind, FaultKind::Schema);
}

#[tokio::test]
async fn a_directory_that_cannot_be_made_is_reported() {
    let (directory, _) = scratch();
    let file = directory.path().join("file");
    std::fs::write(&file, b"").unwrap();
    let error = SqliteLedger::open(&file.join("ledger.sqlite3")).await.unwrap_err();
    assert_eq!(error.fault.kind, FaultKind::Io, "{error:?}");
}

#[tokio::test]
async fn a_full_disk_stops_the_station_and_loses_nothing_that_was_saved() {
    let (_directory, path) = scratch();
    let ledger = SqliteLedger::open(&path).await.unwrap();
    let run = begun(&ledger).await;
    ledger.record(&run, &outcomes(10)).await.unwrap();
    // What SQLite says when the disk is full it says at this limit too.
    execute(&ledger, "PRAGMA max_page_count = 40").await;
    let error = ledger.record(&run, &outcomes(2_000)).await.unwrap_err();
    let SaveError::Fault { fault, .. } = &error else { panic!("{error:?}") };
    assert_eq!((fault.kind, error.class()), (FaultKind::Full, model::Class::StopStation));
    assert_eq!(ledger.outcomes_present(run.no).await.unwrap().len(), 10);
    execute(&ledger, "PRAGMA max_page_count = 100000").await;
    ledger.record(&run, &outcomes(2_000)).await.unwrap();
    assert_eq!(ledger.outcomes_present(run.no).await.unwrap().len(), 2_000);
}

#[tokio::test]
async fn a_file_that_another_process_locks_stops_the_station() {
    let (_directory, path) = scratch();
    let (ledger, other) =
        (SqliteLedger::open(&path).await.unwrap(), SqliteLedger::open(&path).await.unwrap());
    let run = begun(&ledger).await;
    execute(&ledger, "PRAGMA busy_timeout = 1").await;
    execute(&other, "BEGIN IMMEDIATE").await;
    let error = ledger.record(&run, &outcomes(1)).await.unwrap_err();
    let SaveError::Fault { fault, .. } = &error else { panic!("{error:?}") };
    assert_eq!((fault.kind, error.class()), (FaultKind::Locked, model::Class::StopStation));
    execute(&other, "ROLLBACK").await;
    ledger.record(&run, &outcomes(1)).await.unwrap();
}

#[tokio::test]
async fn a_value_that_no_version_wrote_is_an_error_with_its_column() {
    let (_directory, path) = scratch();
    let ledger = SqliteLedger::open(&path).await.unwrap();
    let run = begun(&ledger).await;
    ledger.record(&run, &outcomes(1)).await.unwrap();
    for (damage, column) in [
        ("UPDATE outcomes SET chunk_exceptions = '0-4294967295:1'", "column chunk_exceptions"),
        ("UPDATE outcomes SET chunk_exceptions = NULL, http_status = 70000", "column http_status"),
        ("UPDATE outcomes SET http_status = NULL, status = 77", "column status"),
    ] {
        execute(&ledger, damage).await;
        let error = ledger.outcomes(run.no, 0, 10).await.unwrap_err();
        assert_eq!(error.fault.kind, FaultKind::Value);
        assert_eq!(error.fault.source.to_string(), column);
        assert!(error.to_string().contains("outcomes of run 1"), "{error}");
    }
}

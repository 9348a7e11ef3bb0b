//! What is SQLite's own: how statements are carried out, older files, values that cannot be.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use model::DriveId;
use model::job::JobKey;
use sqlx::ConnectOptions;
use sqlx::migrate::Migrator;
use tempfile::TempDir;

use super::*;
use crate::conformance::office::{draft, insertion, job_row, recorded, serial, waiting_drive};
use crate::office::{Change, Claims, Custody, Jobs, Outbox, Secrets};
use crate::sqlite::{MIGRATIONS, options};
use crate::{FaultKind, JobFilter, JobRow, RunState, Runs};

fn scratch() -> (TempDir, PathBuf) {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("ledger.sqlite3");
    (directory, path)
}

async fn execute(ledger: &SqliteLedger, statement: &'static str) {
    sqlx::query(statement).execute(&mut *ledger.connection().await).await.unwrap();
}

/// What a plan may walk through: tables of one row, and the drives that wait for work, in their order.
const SCANNED: [&str; 2] = ["SCAN event_counter", "SCAN d USING COVERING INDEX job_drives_waiting"];

#[tokio::test]
async fn no_list_claim_or_timer_walks_through_a_table_or_sorts() {
    let (_directory, path) = scratch();
    let ledger = SqliteLedger::open(&path).await.unwrap();
    let plans = plans::plans(&mut *ledger.connection().await, "EXPLAIN QUERY PLAN", 3).await;
    assert!(plans.len() > 25);
    for (sql, plan) in plans {
        for step in plan.lines() {
            let scans = step.starts_with("SCAN") && !SCANNED.contains(&step);
            assert!(!scans && !step.contains("TEMP B-TREE"), "{sql}\n{plan}");
        }
    }
}

#[tokio::test]
async fn a_list_that_shows_few_of_many_reads_the_index_and_not_the_jobs() {
    let (_directory, path) = scratch();
    let ledger = SqliteLedger::open(&path).await.unwrap();
    let plans = plans::plans(&mut *ledger.connection().await, "EXPLAIN QUERY PLAN", 3).await;
    let lists = plans.iter().filter(|(sql, _)| sql.contains("jobs.no >") && sql.contains("state ="));
    for (sql, plan) in lists {
        assert!(plan.contains("USING INDEX jobs_of_"), "{sql}\n{plan}");
    }
}

/// A file as the version that had the first `count` migrations left it.
async fn file_of_version(path: &Path, count: usize) -> SqliteConnection {
    let mut connection = options(path).connect().await.unwrap();
    let earlier = MIGRATIONS.migrations[..count].to_vec();
    let migrator = Migrator { migrations: Cow::Owned(earlier), ..Migrator::DEFAULT };
    migrator.run_direct(None, &mut connection, false).await.unwrap();
    for statement in [
        "INSERT INTO drives (id, serial) VALUES (4, 'WD-1')",
        "INSERT INTO runs (no, drive, job_name, manifest_hash, destination, run_id, started_unix_ms, log_timestamp) \
         VALUES (7, 4, 'job', '00', 'https://a', '00000000000000000000000000000001', 5, 't')",
        "INSERT INTO outcomes (run, blob_index, status, chunk_default, bytes) VALUES (7, 3, 0, 0, 9)",
        "INSERT INTO landed (run, blob_index, chunk_index, target_n, crc64) VALUES (7, 4, 1, 1, -1)",
    ] {
        sqlx::query(statement).execute(&mut connection).await.unwrap();
    }
    connection
}

#[tokio::test]
async fn a_file_of_every_earlier_version_opens_and_keeps_its_rows() {
    for count in 1..=MIGRATIONS.migrations.len() {
        let (_directory, path) = scratch();
        drop(file_of_version(&path, count).await);
        for _ in 0..2 {
            let ledger = SqliteLedger::open(&path).await.unwrap();
            let runs = ledger.runs(9).await.unwrap();
            assert_eq!((runs.len(), runs[0].no.0, &runs[0].state), (1, 7, &RunState::Unfinished));
            assert_eq!(ledger.outcomes(runs[0].no, 0, 9).await.unwrap()[0].1.bytes, 9);
            assert_eq!(ledger.pending(runs[0].no).await.unwrap()[0].landed, [(1, u64::MAX)]);
            let name =
                format!("job {}", ledger.jobs(&JobFilter::default(), None, 9).await.unwrap().jobs.len());
            ledger.apply(&insertion(&job_row(&name, &[]))).await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_value_that_no_version_wrote_is_an_error_with_its_column() {
    let (_directory, path) = scratch();
    let ledger = SqliteLedger::open(&path).await.unwrap();
    let row = JobRow { drives: vec![waiting_drive(1)], ..job_row("One", &[]) };
    ledger.apply(&insertion(&row)).await.unwrap();
    execute(&ledger, "PRAGMA ignore_check_constraints = ON").await;
    let key = row.key;
    for (damage, column) in [
        ("UPDATE jobs SET active = 2", "column active"),
        ("UPDATE jobs SET active = 1, document = x'ff'", "document"),
        ("UPDATE jobs SET document = '{}', version = 'one'", "version"),
        ("UPDATE jobs SET version = 1; UPDATE job_drives SET drive_id = ' '", "column drive_id"),
        ("UPDATE job_drives SET drive_id = 'WD', claimable = -1", "column claimable"),
    ] {
        for statement in damage.split("; ") {
            let statement = sqlx::AssertSqlSafe(statement.to_owned());
            sqlx::query(statement).execute(&mut *ledger.connection().await).await.unwrap();
        }
        let error = ledger.job(&key).await.unwrap_err();
        assert_eq!(error.fault.kind, FaultKind::Value, "{damage}");
        assert!(error.fault.source.to_string().contains(column), "{damage}: {}", error.fault.source);
        assert_eq!(error.class(), model::Class::StopStation);
    }
}

#[tokio::test]
async fn other_tables_report_damage_too() {
    let (_directory, path) = scratch();
    let ledger = SqliteLedger::open(&path).await.unwrap();
    ledger.apply(&recorded("north", vec![draft("noted", None)])).await.unwrap();
    execute(&ledger, "DROP TRIGGER custody_entries_are_not_changed").await;
    execute(&ledger, "UPDATE custody_entries SET hash = x'00'").await;
    let error = ledger.custody_rows("north", 0, 9).await.unwrap_err();
    assert_eq!(
        (error.fault.kind, error.fault.source.to_string()),
        (FaultKind::Value, "column hash".to_owned())
    );
    execute(&ledger, "DROP TRIGGER custody_chains_only_grow").await;
    execute(&ledger, "UPDATE custody_chains SET no = -1").await;
    assert_eq!(ledger.heads().await.unwrap_err().fault.kind, FaultKind::Value);
    let refused = ledger.apply(&recorded("north", vec![draft("noted", None)])).await.unwrap_err();
    assert_eq!(refused.class(), model::Class::StopStation);
    execute(&ledger, "INSERT INTO events (no, at_unix_ms, kind, body) VALUES (1, 1, 'a', '{')").await;
    assert_eq!(ledger.events(0, 9).await.unwrap_err().fault.source.to_string(), "column body");
    let status = "INSERT INTO replies VALUES ('c', 'k', 'f', 70000, '[]', x'', 9223372036854775807)";
    execute(&ledger, status).await;
    assert_eq!(ledger.reply("c", "k").await.unwrap_err().fault.source.to_string(), "column status");
}

#[tokio::test]
async fn a_reader_does_not_wait_for_a_writer() {
    let (_directory, path) = scratch();
    let ledger = SqliteLedger::open(&path).await.unwrap();
    ledger.apply(&insertion(&job_row("One", &[1]))).await.unwrap();
    let _writing = ledger.connection().await;
    assert_eq!(ledger.active_job_of_drive(&serial(1)).await.unwrap().map(|row| row.version), Some(1));
    assert_eq!(ledger.secret("none").await.unwrap(), None);
}

#[tokio::test]
async fn a_disk_that_is_full_takes_a_change_whole_or_not_at_all() {
    let (_directory, path) = scratch();
    let ledger = SqliteLedger::open(&path).await.unwrap();
    ledger.apply(&insertion(&job_row("One", &[1]))).await.unwrap();
    let pages: i64 =
        sqlx::query_scalar("PRAGMA page_count").fetch_one(&mut *ledger.connection().await).await.unwrap();
    let limit = sqlx::AssertSqlSafe(format!("PRAGMA max_page_count = {}", pages + 2));
    sqlx::query(limit).execute(&mut *ledger.connection().await).await.unwrap();
    let large = Change {
        chain: "north".to_owned(),
        custody: (0..50).map(|_| draft(&"a".repeat(1_000), None)).collect(),
        ..insertion(&job_row("Two", &[2]))
    };
    let refused = ledger.apply(&large).await.unwrap_err();
    let crate::ApplyError::Fault(fault) = &refused else { panic!("{refused:?}") };
    assert_eq!(fault.kind, FaultKind::Full);
    assert_eq!(ledger.job(&JobKey::new("1a2b", "Yard", "Two")).await.unwrap(), None);
    assert_eq!(ledger.heads().await.unwrap(), []);
    execute(&ledger, "PRAGMA max_page_count = 1000000").await;
    ledger.apply(&large).await.unwrap();
    let drive_id = DriveId::new("WD-0002").unwrap();
    let claimed = ledger.claim_this_drive("north", &drive_id, std::time::Duration::ZERO).await.unwrap();
    assert!(claimed.is_some());
}

#[tokio::test]
async fn a_new_file_is_its_owners_only_and_an_old_one_stays_as_it_was() {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let (directory, path) = scratch();
    let ledger = SqliteLedger::open(&path).await.unwrap();
    ledger.apply(&insertion(&job_row("One", &[1]))).await.unwrap();
    for name in ["ledger.sqlite3", "ledger.sqlite3-wal", "ledger.sqlite3-shm"] {
        assert_eq!(mode(&directory.path().join(name)), 0o600, "{name}");
    }
    drop(ledger);
    fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
    SqliteLedger::open(&path).await.unwrap();
    assert_eq!(mode(&path), 0o640);
}

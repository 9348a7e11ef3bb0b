//! What is PostgreSQL's own: how statements are carried out, and databases of earlier versions.

use std::borrow::Cow;

use sqlx::migrate::Migrator;

use super::*;
use crate::cluster::Cluster;
use crate::conformance::office::{draft, insertion, job_key, job_row, recorded};
use crate::office::{ApplyError, Change, Custody, JobWrite, Jobs};
use crate::postgres::MIGRATIONS;
use crate::{RunState, Runs};

fn cluster(test: &str) -> Option<&'static Cluster> {
    Cluster::shared().inspect_err(|why| println!("skipped: {test}: {why}")).ok()
}

#[tokio::test]
async fn no_list_claim_or_timer_walks_through_a_table() {
    let Some(cluster) = cluster("no_list_claim_or_timer_walks_through_a_table") else { return };
    let url = cluster.database().await;
    let ledger = PostgresLedger::open(&cluster.options(&url)).await.unwrap();
    let mut connection = ledger.pool.acquire().await.unwrap();
    // Of empty tables it would read all rather than open an index; what can be done without is asked.
    for setting in ["SET enable_seqscan = off", "SET enable_bitmapscan = off"] {
        sqlx::query(setting).execute(&mut *connection).await.unwrap();
    }
    let plans = plans::plans(&mut connection, "EXPLAIN", 0).await;
    assert!(plans.len() > 25);
    for (sql, plan) in plans {
        for step in plan.lines() {
            assert!(!step.contains("Seq Scan") || step.contains("event_counter"), "{sql}\n{plan}");
        }
    }
}

#[tokio::test]
async fn a_database_of_every_earlier_version_opens_and_keeps_its_rows() {
    let name = "a_database_of_every_earlier_version_opens_and_keeps_its_rows";
    let Some(cluster) = cluster(name) else { return };
    for count in 1..=MIGRATIONS.migrations.len() {
        let url = cluster.database().await;
        let mut connection = PgConnection::connect(&url).await.unwrap();
        let earlier = MIGRATIONS.migrations[..count].to_vec();
        let migrator = Migrator { migrations: Cow::Owned(earlier), ..Migrator::DEFAULT };
        migrator.run_direct(None, &mut connection, false).await.unwrap();
        for statement in [
            "INSERT INTO drives (serial) VALUES ('WD-1')",
            "INSERT INTO runs (drive, job_name, manifest_hash, destination, run_id, started_unix_ms, log_timestamp) \
             VALUES (1, 'job', '00', 'https://a', '00000000000000000000000000000001', 5, 't')",
            "INSERT INTO outcomes (run, blob_index, status, chunk_default, bytes) VALUES (1, 3, 0, 0, 9)",
        ] {
            sqlx::query(statement).execute(&mut connection).await.unwrap();
        }
        let ledger = PostgresLedger::open(&cluster.options(&url)).await.unwrap();
        let runs = ledger.runs(9).await.unwrap();
        assert_eq!((runs.len(), &runs[0].state), (1, &RunState::Unfinished));
        assert_eq!(ledger.outcomes(runs[0].no, 0, 9).await.unwrap()[0].1.bytes, 9);
        ledger.apply(&insertion(&job_row("One", &[1]))).await.unwrap();
    }
}

/// A server's administrator, a failover or a router does that.
#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_breaks_costs_a_reader_nothing_and_a_change_at_most_itself() {
    let name = "a_connection_that_breaks_costs_a_reader_nothing_and_a_change_at_most_itself";
    let Some(cluster) = cluster(name) else { return };
    let url = cluster.database().await;
    let ledger = PostgresLedger::open(&cluster.options(&url)).await.unwrap();
    ledger.apply(&insertion(&job_row("One", &[1]))).await.unwrap();
    let mut other = PgConnection::connect(&url).await.unwrap();
    let mut version = 1;
    for _ in 0..40 {
        let breaking = sqlx::query(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
             WHERE datname = current_database() AND pid <> pg_backend_pid()",
        );
        let row = JobWrite::Update { row: job_row("One", &[1]), expected_version: version };
        let change = Change { job: Some(row), ..recorded("north", vec![draft("noted", None)]) };
        let key = job_key("One");
        let (broken, applied, read) =
            tokio::join!(breaking.execute(&mut other), ledger.apply(&change), ledger.job(&key));
        broken.unwrap();
        assert!(read.unwrap().is_some());
        if let Err(error) = applied {
            let ApplyError::Fault(fault) = &error else { panic!("{error:?}") };
            assert_eq!(fault.kind, FaultKind::Unreachable, "{error:?}");
        }
        version = ledger.job(&key).await.unwrap().unwrap().version;
        let heads = ledger.heads().await.unwrap();
        assert_eq!(heads.first().map_or(0, |head| head.no), (version - 1).cast_unsigned());
    }
    assert!(version > 1, "not every change is hit");
}

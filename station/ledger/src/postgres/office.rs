//! The office in PostgreSQL: its dialect, and the statements of `sql/` compiled for it.
//!
//! What one statement reads and another writes is under a row's lock; a read of several statements sees
//! one snapshot. A transaction that the server took back (a deadlock, which the order of locks in
//! [`crate::sql`] makes rare) is done again: nothing of it is there. One whose connection broke is not:
//! it may have been committed.

use std::ops::DerefMut;
use std::time::Duration;

use sqlx::postgres::PgRow;
use sqlx::{Connection as _, PgConnection, Postgres, Transaction};

use super::PostgresLedger;
use crate::error::{Fault, FaultKind};

use PgConnection as Connection;
use PgRow as DbRow;
use Postgres as Database;
use PostgresLedger as Store;

/// Milliseconds since 1970, not of the transaction's begin but of now.
const NOW: &str = "SELECT CAST(FLOOR(EXTRACT(EPOCH FROM clock_timestamp()) * 1000) AS BIGINT)";
/// Larger than any before, and no claim waits for another's end.
const NEXT_FENCE: &str = "SELECT nextval('drive_fences')";
/// Until the end of the transaction.
const ROW_LOCK: &str = " FOR UPDATE";
/// What somebody else is just taking is not the next one.
const NEXT_ROW_LOCK: &str = " FOR UPDATE SKIP LOCKED";
/// As [`NEXT_ROW_LOCK`], of a query over several tables. The job too, so that it is not deleted while its
/// drive is being taken: whoever deletes it would wait for the drive, and the claim for the job.
const DRIVE_LOCK: &str = " FOR UPDATE OF d SKIP LOCKED FOR KEY SHARE OF jobs SKIP LOCKED";

/// How long a transaction may take: longer than any wait for a lock. A server whose host lost its power answers
/// nothing at all, and TCP says so after a quarter of an hour, or never.
const TRY_LIMIT: Duration = Duration::from_secs(45);
/// How often a transaction that was taken back is done again.
const TRIES_MAX: u32 = 5;
/// Longer each time, so that two that met do not meet again.
const TRY_WAIT: Duration = Duration::from_millis(20);

#[path = "../sql/access.rs"]
mod access;
#[path = "../sql/apply.rs"]
mod apply;
#[path = "../sql/claims.rs"]
mod claims;
#[path = "../sql/custody.rs"]
mod custody;
#[path = "../sql/find.rs"]
mod find;
#[path = "../sql/hooks.rs"]
mod hooks;
#[path = "../sql/jobs.rs"]
mod jobs;
#[path = "../sql/outbox.rs"]
mod outbox;
#[cfg(test)]
#[path = "../sql/plans.rs"]
mod plans;
#[path = "../sql/replies.rs"]
mod replies;
#[path = "../sql/row.rs"]
mod row;
#[path = "../sql/secrets.rs"]
mod secrets;
#[path = "../sql/upkeep.rs"]
mod upkeep;
#[path = "../sql/write.rs"]
mod write;

#[cfg(test)]
mod tests;

impl PostgresLedger {
    async fn office_reader(&self) -> Result<impl DerefMut<Target = Connection> + use<>, Fault> {
        self.pool.acquire().await.map_err(Fault::of)
    }

    async fn office_writer(&self) -> Result<impl DerefMut<Target = Connection> + use<>, Fault> {
        self.pool.acquire().await.map_err(Fault::of)
    }
}

async fn begin_read(connection: &mut Connection) -> Result<Transaction<'_, Database>, Fault> {
    connection.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await.map_err(Fault::of)
}

async fn begin_write(connection: &mut Connection) -> Result<Transaction<'_, Database>, Fault> {
    connection.begin_with("BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE").await.map_err(Fault::of)
}

/// Whether to do a transaction again, having waited a moment.
async fn again(fault: &Fault, tries: u32) -> bool {
    wait_if(fault.kind == FaultKind::Contended, tries).await
}

/// As [`again`], but for what changes nothing: it may be done again also when the connection broke.
async fn again_reading(fault: &Fault, tries: u32) -> bool {
    wait_if(matches!(fault.kind, FaultKind::Contended | FaultKind::Unreachable), tries).await
}

async fn wait_if(passes: bool, tries: u32) -> bool {
    let does = passes && tries < TRIES_MAX;
    if does {
        tokio::time::sleep(TRY_WAIT * (tries + 1)).await;
    }
    does
}

/// What has not ended by then is a fault; whether it was done is not known.
async fn in_time<T>(work: impl Future<Output = Result<T, Fault>>) -> Result<T, Fault> {
    let ended = tokio::time::timeout(TRY_LIMIT, work).await;
    ended.unwrap_or_else(|_| Err(Fault::of(sqlx::Error::PoolTimedOut)))
}

async fn now(connection: &mut Connection) -> Result<i64, Fault> {
    sqlx::query_scalar(NOW).fetch_one(connection).await.map_err(Fault::of)
}

//! The office in SQLite: its dialect, and the statements of `sql/` compiled for it.
//!
//! Writers take the ledger's one writing connection, in turn with the runs' records; readers have one
//! of their own, so that a list never waits for a drive's batch.

use std::ops::DerefMut;

use sqlx::sqlite::SqliteRow;
use sqlx::{Connection as _, Sqlite, SqliteConnection, Transaction};

use super::SqliteLedger;
use crate::error::Fault;

use Sqlite as Database;
use SqliteConnection as Connection;
use SqliteLedger as Store;
use SqliteRow as DbRow;

/// Milliseconds since 1970.
const NOW: &str = "SELECT CAST(unixepoch('subsec') * 1000 AS INTEGER)";
/// Larger than any before.
const NEXT_FENCE: &str = "UPDATE drive_fences SET last = last + 1 RETURNING last";
/// A transaction that writes has the whole database.
const ROW_LOCK: &str = "";
/// As [`ROW_LOCK`].
const NEXT_ROW_LOCK: &str = "";
/// As [`ROW_LOCK`].
const DRIVE_LOCK: &str = "";

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

impl SqliteLedger {
    async fn office_reader(&self) -> Result<impl DerefMut<Target = Connection>, Fault> {
        Ok(self.office.lock().await)
    }

    async fn office_writer(&self) -> Result<impl DerefMut<Target = Connection>, Fault> {
        Ok(self.connection().await)
    }
}

async fn begin_read(connection: &mut Connection) -> Result<Transaction<'_, Database>, Fault> {
    connection.begin_with("BEGIN DEFERRED").await.map_err(Fault::of)
}

async fn begin_write(connection: &mut Connection) -> Result<Transaction<'_, Database>, Fault> {
    connection.begin_with("BEGIN IMMEDIATE").await.map_err(Fault::of)
}

/// A file answers, or fails.
async fn in_time<T>(work: impl Future<Output = Result<T, Fault>>) -> Result<T, Fault> {
    work.await
}

/// SQLite takes no transaction back by itself.
#[expect(clippy::unused_async, reason = "PostgreSQL's waits a moment")]
async fn again(_: &Fault, _: u32) -> bool {
    false
}

/// As [`again`].
#[expect(clippy::unused_async, reason = "PostgreSQL's waits a moment")]
async fn again_reading(_: &Fault, _: u32) -> bool {
    false
}

async fn now(connection: &mut Connection) -> Result<i64, Fault> {
    sqlx::query_scalar(NOW).fetch_one(connection).await.map_err(Fault::of)
}

//! [`Upkeep`] over a database.

use async_trait::async_trait;

use super::{Connection, Store, hooks};
use crate::error::Fault;
use crate::office::job::PAGE_ROWS_MAX;
use crate::office::{OfficeError, Upkeep};
use crate::sql::writing;

/// Blobs of a run that are forgotten in one transaction: their rows are small and lie side by side.
const BLOBS_MAX: u32 = 50_000;

#[async_trait]
impl Upkeep for Store {
    async fn forget_events(&self, before_unix_ms: i64, limit: u32) -> Result<u64, OfficeError> {
        writing!(self, "removing old events", |connection| events(connection, before_unix_ms, limit))
    }

    async fn forget_replies(&self, limit: u32) -> Result<u64, OfficeError> {
        writing!(self, "removing old answers", |connection| replies(connection, limit))
    }

    async fn forget_tokens(&self, ended_before_unix_ms: i64, limit: u32) -> Result<u64, OfficeError> {
        writing!(self, "removing ended tokens", |connection| tokens(connection, ended_before_unix_ms, limit))
    }

    async fn forget_outcomes(&self, before_unix_ms: i64, limit: u32) -> Result<u64, OfficeError> {
        writing!(self, "removing outcomes of old runs", |connection| outcomes(
            connection,
            before_unix_ms,
            limit
        ))
    }
}

/// Only from the front: whoever reads on must not find holes. A clock that was ahead for a while must not
/// keep all that came after it, so an event from the future is as old as the next that is not.
async fn events(connection: &mut Connection, before_unix_ms: i64, limit: u32) -> Result<u64, Fault> {
    let delivered = hooks::delivered_by_all(connection).await?.unwrap_or(i64::MAX);
    let now = super::now(connection).await?;
    let is_ahead = |at_unix_ms: i64| at_unix_ms > now && at_unix_ms >= before_unix_ms;
    let query = sqlx::query_as("SELECT no, at_unix_ms FROM events WHERE no <= $1 ORDER BY no LIMIT $2");
    let query = query.bind(delivered).bind(i64::from(limit.min(PAGE_ROWS_MAX)));
    let mut oldest: Vec<(i64, i64)> = query.fetch_all(&mut *connection).await.map_err(Fault::of)?;
    let kept = oldest.iter().position(|(_, at)| *at >= before_unix_ms && !is_ahead(*at));
    oldest.truncate(kept.unwrap_or(oldest.len()));
    if let Some((no, _)) = oldest.last().filter(|(_, at)| is_ahead(*at))
        && next_time(connection, *no, now).await?.is_none_or(|at| at >= before_unix_ms)
    {
        let old = oldest.iter().rposition(|(_, at)| !is_ahead(*at));
        oldest.truncate(old.map_or(0, |index| index + 1));
    }
    let Some((last, _)) = oldest.last() else { return Ok(0) };
    let query = sqlx::query("DELETE FROM events WHERE no <= $1").bind(*last);
    Ok(query.execute(connection).await.map_err(Fault::of)?.rows_affected())
}

/// When the first event behind that number was whose time has come.
async fn next_time(connection: &mut Connection, above_no: i64, now: i64) -> Result<Option<i64>, Fault> {
    let query = sqlx::query_scalar(
        "SELECT at_unix_ms FROM events WHERE no > $1 AND at_unix_ms <= $2 ORDER BY no LIMIT 1",
    );
    query.bind(above_no).bind(now).fetch_optional(connection).await.map_err(Fault::of)
}

pub(super) const REPLIES: &str = "DELETE FROM replies WHERE (caller, key) IN \
     (SELECT caller, key FROM replies WHERE expires_unix_ms <= $1 ORDER BY expires_unix_ms LIMIT $2)";

async fn replies(connection: &mut Connection, limit: u32) -> Result<u64, Fault> {
    let now = super::now(connection).await?;
    delete(connection, REPLIES, now, limit.min(PAGE_ROWS_MAX)).await
}

pub(super) const EXPIRED_TOKENS: &str = "DELETE FROM api_tokens WHERE id IN \
     (SELECT id FROM api_tokens WHERE expires_unix_ms < $1 ORDER BY expires_unix_ms LIMIT $2)";
pub(super) const REVOKED_TOKENS: &str = "DELETE FROM api_tokens WHERE id IN \
     (SELECT id FROM api_tokens WHERE revoked_unix_ms < $1 ORDER BY revoked_unix_ms LIMIT $2)";

async fn tokens(connection: &mut Connection, ended_before_unix_ms: i64, limit: u32) -> Result<u64, Fault> {
    let limit = limit.min(PAGE_ROWS_MAX);
    let expired = delete(connection, EXPIRED_TOKENS, ended_before_unix_ms, limit).await?;
    Ok(expired + delete(connection, REVOKED_TOKENS, ended_before_unix_ms, limit).await?)
}

/// A row a run is looked at, however many blobs it has.
const OVER_RUN: &str = "SELECT no FROM runs \
     WHERE state <> 0 AND COALESCE(finished_unix_ms, started_unix_ms) < $1 AND \
     (EXISTS (SELECT 1 FROM outcomes WHERE outcomes.run = runs.no) OR \
     EXISTS (SELECT 1 FROM landed WHERE landed.run = runs.no) OR \
     EXISTS (SELECT 1 FROM intents WHERE intents.run = runs.no)) ORDER BY no LIMIT 1";
/// A run that was set aside has what was pending, too. All chunks of a blob go together.
const BLOBS: [&str; 3] = [
    "DELETE FROM outcomes WHERE run = $1 AND blob_index <= (SELECT MAX(blob_index) FROM \
     (SELECT blob_index FROM outcomes WHERE run = $1 ORDER BY blob_index LIMIT $2) AS oldest)",
    "DELETE FROM landed WHERE run = $1 AND blob_index <= (SELECT MAX(blob_index) FROM \
     (SELECT blob_index FROM landed WHERE run = $1 ORDER BY blob_index LIMIT $2) AS oldest)",
    "DELETE FROM intents WHERE run = $1 AND blob_index <= (SELECT MAX(blob_index) FROM \
     (SELECT blob_index FROM intents WHERE run = $1 ORDER BY blob_index LIMIT $2) AS oldest)",
];

async fn outcomes(connection: &mut Connection, before_unix_ms: i64, limit: u32) -> Result<u64, Fault> {
    let query = sqlx::query_scalar(OVER_RUN).bind(before_unix_ms);
    let run: Option<i64> = query.fetch_optional(&mut *connection).await.map_err(Fault::of)?;
    let Some(run) = run else { return Ok(0) };
    let mut gone = 0;
    for table in BLOBS {
        gone += delete(connection, table, run, limit.min(BLOBS_MAX)).await?;
    }
    Ok(gone)
}

/// By a time or a run, and a limit.
async fn delete(connection: &mut Connection, sql: &'static str, by: i64, limit: u32) -> Result<u64, Fault> {
    let query = sqlx::query(sql).bind(by).bind(i64::from(limit));
    Ok(query.execute(connection).await.map_err(Fault::of)?.rows_affected())
}

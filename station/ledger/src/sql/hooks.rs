//! Web-hooks: made, changed, taken by the one who delivers, moved on.
//!
//! Taking a hook puts its next try into the future; that time is the lease, and together with the
//! position and the count of attempts it is what a delivery is held against.

use std::time::Duration;

use sqlx::QueryBuilder;

use super::apply::invalid;
use super::row::{all, flag, json, number, optional_text, text};
use super::{Connection, Database, DbRow, NEXT_ROW_LOCK};
use crate::error::Fault;
use crate::office::job::PAGE_ROWS_MAX;
use crate::office::{ApplyError, Hook, HookWrite};
use crate::sql::milliseconds;

const HOOKS: &str = "SELECT id, url, secret_name, kinds, enabled, created_unix_ms, position, attempts, \
     next_try_unix_ms, last_error FROM hooks";
/// A server's whole page is of no use to whoever reads why.
const ERROR_CHARS_MAX: usize = 500;

pub(super) async fn write(connection: &mut Connection, write: &HookWrite) -> Result<(), ApplyError> {
    match write {
        HookWrite::Insert(hook) => match insert(connection, hook).await.map_err(ApplyError::Fault)? {
            true => Ok(()),
            false => Err(invalid("a web-hook of that id is there already")),
        },
        HookWrite::Update(hook) => match update(connection, hook).await.map_err(ApplyError::Fault)? {
            true => Ok(()),
            false => Err(invalid("there is no web-hook of that id")),
        },
        HookWrite::Delete { id } => {
            let query = sqlx::query("DELETE FROM hooks WHERE id = $1").bind(id);
            query.execute(connection).await.map(drop).map_err(|error| ApplyError::Fault(Fault::of(error)))
        }
    }
}

/// What a database must be able to hold.
pub(super) fn texts(write: &HookWrite) -> Vec<&str> {
    match write {
        HookWrite::Insert(hook) | HookWrite::Update(hook) => vec![&hook.id, &hook.url, &hook.secret_name],
        HookWrite::Delete { id } => vec![id],
    }
}

async fn insert(connection: &mut Connection, hook: &Hook) -> Result<bool, Fault> {
    let query = sqlx::query(
        "INSERT INTO hooks (id, url, secret_name, kinds, enabled, created_unix_ms, position, attempts, \
         next_try_unix_ms) VALUES ($1, $2, $3, $4, $5, $6, (SELECT last FROM event_counter), 0, 0) \
         ON CONFLICT (id) DO NOTHING",
    )
    .bind(&hook.id)
    .bind(&hook.url)
    .bind(&hook.secret_name)
    .bind(kinds(hook))
    .bind(i64::from(hook.enabled))
    .bind(hook.created_unix_ms);
    Ok(query.execute(connection).await.map_err(Fault::of)?.rows_affected() > 0)
}

async fn update(connection: &mut Connection, hook: &Hook) -> Result<bool, Fault> {
    let query = sqlx::query(
        "UPDATE hooks SET url = $1, secret_name = $2, kinds = $3, enabled = $4, attempts = 0, \
         next_try_unix_ms = 0, last_error = NULL WHERE id = $5",
    )
    .bind(&hook.url)
    .bind(&hook.secret_name)
    .bind(kinds(hook))
    .bind(i64::from(hook.enabled))
    .bind(&hook.id);
    Ok(query.execute(connection).await.map_err(Fault::of)?.rows_affected() > 0)
}

fn kinds(hook: &Hook) -> String {
    serde_json::Value::from_iter(hook.kinds.iter().map(String::as_str)).to_string()
}

pub(super) async fn list(
    connection: &mut Connection,
    after_id: &str,
    limit: u32,
) -> Result<Vec<Hook>, Fault> {
    let mut query = QueryBuilder::<Database>::new(HOOKS);
    query.push(" WHERE id > ").push_bind(after_id);
    query.push(" ORDER BY id LIMIT ").push_bind(i64::from(limit.min(PAGE_ROWS_MAX)));
    all(&query.build().fetch_all(connection).await.map_err(Fault::of)?, hook)
}

pub(super) async fn find(connection: &mut Connection, id: &str) -> Result<Option<Hook>, Fault> {
    let mut query = QueryBuilder::<Database>::new(HOOKS);
    query.push(" WHERE id = ").push_bind(id);
    query.build().fetch_optional(connection).await.map_err(Fault::of)?.as_ref().map(hook).transpose()
}

fn hook(row: &DbRow) -> Result<Hook, Fault> {
    Ok(Hook {
        id: text(row, "id")?,
        url: text(row, "url")?,
        secret_name: text(row, "secret_name")?,
        kinds: json(row, "kinds")?,
        enabled: flag(row, "enabled")?,
        created_unix_ms: number(row, "created_unix_ms")?,
        position: number(row, "position")?,
        attempts: u32::try_from(number(row, "attempts")?).map_err(|_| Fault::value("attempts"))?,
        next_try_unix_ms: number(row, "next_try_unix_ms")?,
        last_error: optional_text(row, "last_error")?,
    })
}

pub(super) async fn take_due(connection: &mut Connection, hold: Duration) -> Result<Option<Hook>, Fault> {
    let now = super::now(connection).await?;
    let mut query = due_query(now);
    let row = query.build().fetch_optional(&mut *connection).await.map_err(Fault::of)?;
    let Some(row) = row else { return Ok(None) };
    // Later than now even when held for no time at all, so that no two holds look the same.
    let next_try_unix_ms = now.saturating_add(milliseconds(hold).max(1));
    let hook = Hook { next_try_unix_ms, ..hook(&row)? };
    let query = sqlx::query("UPDATE hooks SET next_try_unix_ms = $1 WHERE id = $2");
    query.bind(next_try_unix_ms).bind(&hook.id).execute(connection).await.map_err(Fault::of)?;
    Ok(Some(hook))
}

pub(super) fn due_query(now: i64) -> QueryBuilder<Database> {
    let mut query = QueryBuilder::new(HOOKS);
    query.push(" WHERE enabled = 1 AND next_try_unix_ms <= ").push_bind(now);
    query.push(" AND position < (SELECT last FROM event_counter)");
    query.push(" ORDER BY next_try_unix_ms, id LIMIT 1").push(NEXT_ROW_LOCK);
    query
}

/// False when somebody else has it, or it was changed.
pub(super) async fn delivered(
    connection: &mut Connection,
    hook: &Hook,
    position: i64,
) -> Result<bool, Fault> {
    let now = super::now(connection).await?;
    let query = sqlx::query(
        "UPDATE hooks SET position = $1, attempts = 0, last_error = NULL, next_try_unix_ms = $2 \
         WHERE id = $3 AND position = $4 AND next_try_unix_ms = $5 AND attempts = $6 AND position <= $1",
    )
    .bind(position)
    .bind(now)
    .bind(&hook.id)
    .bind(hook.position)
    .bind(hook.next_try_unix_ms)
    .bind(i64::from(hook.attempts));
    Ok(query.execute(connection).await.map_err(Fault::of)?.rows_affected() > 0)
}

/// False when somebody else has it, or it was changed.
pub(super) async fn failed(
    connection: &mut Connection,
    hook: &Hook,
    after: Duration,
    why: &str,
) -> Result<bool, Fault> {
    let now = super::now(connection).await?;
    let why: String = why.chars().filter(|c| *c != '\0').take(ERROR_CHARS_MAX).collect();
    let query = sqlx::query(
        "UPDATE hooks SET attempts = attempts + 1, next_try_unix_ms = $1, last_error = $2 \
         WHERE id = $3 AND position = $4 AND next_try_unix_ms = $5 AND attempts = $6",
    )
    .bind(now.saturating_add(milliseconds(after)))
    .bind(why)
    .bind(&hook.id)
    .bind(hook.position)
    .bind(hook.next_try_unix_ms)
    .bind(i64::from(hook.attempts));
    Ok(query.execute(connection).await.map_err(Fault::of)?.rows_affected() > 0)
}

/// Up to which event every web-hook that is sent any has got them; none when there is no such hook.
pub(super) async fn delivered_by_all(connection: &mut Connection) -> Result<Option<i64>, Fault> {
    let query = sqlx::query_scalar("SELECT MIN(position) FROM hooks WHERE enabled = 1");
    query.fetch_one(connection).await.map_err(Fault::of)
}

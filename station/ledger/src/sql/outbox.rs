//! [`Outbox`] over a database: the events, and where each web-hook stands.

use std::time::Duration;

use async_trait::async_trait;

use super::row::{all, json, number, optional_text, text};
use super::{Connection, DbRow, Store, hooks};
use crate::error::Fault;
use crate::office::job::PAGE_ROWS_MAX;
use crate::office::{Event, EventDraft, EventSpan, Hook, OfficeError, Outbox};
use crate::sql::{reading, storable, writing};

pub(super) use hooks::{texts, write as write_hook};

/// Gives the last one's number. The counter's row is the lock under which numbers become visible in
/// their order.
pub(super) async fn append(connection: &mut Connection, drafts: &[EventDraft]) -> Result<Option<i64>, Fault> {
    if drafts.is_empty() {
        return Ok(None);
    }
    let added = i64::try_from(drafts.len()).unwrap_or(i64::MAX);
    let query = sqlx::query_scalar("UPDATE event_counter SET last = last + $1 RETURNING last").bind(added);
    let last: i64 = query.fetch_one(&mut *connection).await.map_err(Fault::of)?;
    for (no, draft) in (last - added + 1..).zip(drafts) {
        insert(connection, no, draft).await?;
    }
    Ok(Some(last))
}

async fn insert(connection: &mut Connection, no: i64, draft: &EventDraft) -> Result<(), Fault> {
    let query = sqlx::query(
        "INSERT INTO events (no, at_unix_ms, kind, job, drive, bay, body) VALUES ($1, $2, $3, $4, $5, $6, $7)",
    )
    .bind(no)
    .bind(draft.at_unix_ms)
    .bind(&draft.kind)
    .bind(draft.job.as_deref())
    .bind(draft.drive.as_deref())
    .bind(draft.bay.as_deref())
    .bind(draft.body.to_string());
    query.execute(connection).await.map(drop).map_err(Fault::of)
}

#[async_trait]
impl Outbox for Store {
    async fn events(&self, above_no: i64, limit: u32) -> Result<Vec<Event>, OfficeError> {
        reading!(self, "reading events", |connection| events(connection, above_no, limit))
    }

    async fn event_span(&self) -> Result<EventSpan, OfficeError> {
        reading!(self, "reading the events' numbers", |connection| span(connection))
    }

    async fn hooks(&self, after_id: Option<&str>, limit: u32) -> Result<Vec<Hook>, OfficeError> {
        let after = after_id.unwrap_or_default();
        if !storable(after) {
            return Ok(Vec::new());
        }
        reading!(self, "listing web-hooks", |connection| hooks::list(connection, after, limit))
    }

    async fn hook(&self, id: &str) -> Result<Option<Hook>, OfficeError> {
        if !storable(id) {
            return Ok(None);
        }
        reading!(self, "reading a web-hook", |connection| hooks::find(connection, id))
    }

    async fn take_due_hook(&self, hold: Duration) -> Result<Option<Hook>, OfficeError> {
        writing!(self, "taking a due web-hook", |connection| hooks::take_due(connection, hold))
    }

    async fn hook_delivered(&self, hook: &Hook, position: i64) -> Result<bool, OfficeError> {
        writing!(self, "noting a delivery", |connection| hooks::delivered(connection, hook, position))
    }

    async fn hook_failed(&self, hook: &Hook, after: Duration, why: &str) -> Result<bool, OfficeError> {
        writing!(self, "noting a failed delivery", |connection| hooks::failed(connection, hook, after, why))
    }
}

pub(super) const EVENTS: &str = "SELECT no, at_unix_ms, kind, job, drive, bay, body FROM events \
     WHERE no > $1 ORDER BY no LIMIT $2";

async fn events(connection: &mut Connection, above_no: i64, limit: u32) -> Result<Vec<Event>, Fault> {
    let query = sqlx::query(EVENTS).bind(above_no).bind(i64::from(limit.min(PAGE_ROWS_MAX)));
    all(&query.fetch_all(connection).await.map_err(Fault::of)?, event)
}

fn event(row: &DbRow) -> Result<Event, Fault> {
    let draft = EventDraft {
        at_unix_ms: number(row, "at_unix_ms")?,
        kind: text(row, "kind")?,
        job: optional_text(row, "job")?,
        drive: optional_text(row, "drive")?,
        bay: optional_text(row, "bay")?,
        body: json(row, "body")?,
    };
    Ok(Event { no: number(row, "no")?, draft })
}

async fn span(connection: &mut Connection) -> Result<EventSpan, Fault> {
    let query = sqlx::query_scalar("SELECT last FROM event_counter");
    let last: i64 = query.fetch_one(&mut *connection).await.map_err(Fault::of)?;
    let query = sqlx::query_scalar("SELECT no FROM events ORDER BY no LIMIT 1");
    let first: Option<i64> = query.fetch_optional(connection).await.map_err(Fault::of)?;
    Ok(EventSpan { first: first.unwrap_or(last.saturating_add(1)), last })
}

//! Answers to requests with an idempotency key.

use super::row::{bytes, json, number, text};
use super::{Connection, DbRow};
use crate::error::Fault;
use crate::office::{ApplyError, IdempotentReply, StoredReply};

/// Keeps the answer, or gives the refusal: the request was answered before.
///
/// The row waits for another transaction that is just answering the same request.
pub(super) async fn keep(connection: &mut Connection, reply: &IdempotentReply) -> Result<(), ApplyError> {
    let now = super::now(connection).await.map_err(ApplyError::Fault)?;
    let kept = insert(connection, reply, now).await.map_err(ApplyError::Fault)?;
    if kept {
        return Ok(());
    }
    let found = read(connection, &reply.caller, &reply.key).await.map_err(ApplyError::Fault)?;
    match found {
        Some((_, earlier)) if earlier.fingerprint == reply.fingerprint => {
            Err(ApplyError::Replay(Box::new(earlier)))
        }
        Some(_) | None => Err(ApplyError::KeyReused),
    }
}

async fn insert(connection: &mut Connection, reply: &IdempotentReply, now: i64) -> Result<bool, Fault> {
    let headers = serde_json::Value::from_iter(
        reply.answer.headers.iter().map(|(name, value)| vec![name.as_str(), value]),
    );
    let query = sqlx::query(
        "INSERT INTO replies (caller, key, fingerprint, status, headers, body, expires_unix_ms) \
         VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (caller, key) DO UPDATE SET \
         fingerprint = excluded.fingerprint, status = excluded.status, headers = excluded.headers, \
         body = excluded.body, expires_unix_ms = excluded.expires_unix_ms WHERE replies.expires_unix_ms <= $8",
    )
    .bind(&reply.caller)
    .bind(&reply.key)
    .bind(&reply.fingerprint)
    .bind(i64::from(reply.answer.status))
    .bind(headers.to_string())
    .bind(&reply.answer.body)
    .bind(reply.expires_unix_ms)
    .bind(now);
    Ok(query.execute(connection).await.map_err(Fault::of)?.rows_affected() > 0)
}

pub(super) async fn find(
    connection: &mut Connection,
    caller: &str,
    key: &str,
) -> Result<Option<StoredReply>, Fault> {
    let now = super::now(connection).await?;
    let found = read(connection, caller, key).await?;
    Ok(found.filter(|(expires_unix_ms, _)| *expires_unix_ms > now).map(|(_, reply)| reply))
}

async fn read(
    connection: &mut Connection,
    caller: &str,
    key: &str,
) -> Result<Option<(i64, StoredReply)>, Fault> {
    let query = sqlx::query(
        "SELECT fingerprint, status, headers, body, expires_unix_ms FROM replies WHERE caller = $1 AND key = $2",
    );
    let row = query.bind(caller).bind(key).fetch_optional(connection).await.map_err(Fault::of)?;
    row.as_ref().map(|row| Ok((number(row, "expires_unix_ms")?, stored(row)?))).transpose()
}

fn stored(row: &DbRow) -> Result<StoredReply, Fault> {
    Ok(StoredReply {
        fingerprint: text(row, "fingerprint")?,
        status: u16::try_from(number(row, "status")?).map_err(|_| Fault::value("status"))?,
        headers: json(row, "headers")?,
        body: bytes(row, "body")?,
    })
}

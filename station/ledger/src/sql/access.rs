//! [`Access`] over a database.

use async_trait::async_trait;

use super::apply::invalid;
use super::row::{all, bytes, json, number, optional_number, text};
use super::{Connection, DbRow, Store};
use crate::error::Fault;
use crate::office::job::PAGE_ROWS_MAX;
use crate::office::{Access, ApiToken, ApplyError, OfficeError, TokenWrite};
use crate::sql::{reading, storable, writing};

pub(super) async fn write(connection: &mut Connection, write: &TokenWrite) -> Result<(), ApplyError> {
    match write {
        TokenWrite::Insert(token) => match insert(connection, token).await.map_err(ApplyError::Fault)? {
            true => Ok(()),
            false => Err(invalid("a token of that id or hash is there already")),
        },
        TokenWrite::Revoke { id, at_unix_ms } => {
            revoke(connection, id, *at_unix_ms).await.map_err(ApplyError::Fault)
        }
    }
}

/// What a database must be able to hold.
pub(super) fn texts(write: &TokenWrite) -> Vec<&str> {
    match write {
        TokenWrite::Insert(token) => vec![&token.id, &token.label, &token.document],
        TokenWrite::Revoke { id, .. } => vec![id],
    }
}

/// False when it, or its hash, is there already.
async fn insert(connection: &mut Connection, token: &ApiToken) -> Result<bool, Fault> {
    let roles = serde_json::Value::from_iter(token.roles.iter().map(String::as_str));
    let query = sqlx::query(
        "INSERT INTO api_tokens (id, sha256, label, roles, document, created_unix_ms, expires_unix_ms, \
         last_used_unix_ms, revoked_unix_ms) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT DO NOTHING",
    )
    .bind(&token.id)
    .bind(token.sha256.as_slice())
    .bind(&token.label)
    .bind(roles.to_string())
    .bind(&token.document)
    .bind(token.created_unix_ms)
    .bind(token.expires_unix_ms)
    .bind(token.last_used_unix_ms)
    .bind(token.revoked_unix_ms);
    Ok(query.execute(connection).await.map_err(Fault::of)?.rows_affected() > 0)
}

async fn revoke(connection: &mut Connection, id: &str, at_unix_ms: i64) -> Result<(), Fault> {
    let query =
        sqlx::query("UPDATE api_tokens SET revoked_unix_ms = COALESCE(revoked_unix_ms, $1) WHERE id = $2");
    query.bind(at_unix_ms).bind(id).execute(connection).await.map(drop).map_err(Fault::of)
}

#[async_trait]
impl Access for Store {
    async fn token_by_hash(&self, sha256: &[u8; 32]) -> Result<Option<ApiToken>, OfficeError> {
        reading!(self, "looking for a token", |connection| by_hash(connection, sha256))
    }

    async fn tokens(&self, after_id: Option<&str>, limit: u32) -> Result<Vec<ApiToken>, OfficeError> {
        let after = after_id.unwrap_or_default();
        if !storable(after) {
            return Ok(Vec::new());
        }
        reading!(self, "listing tokens", |connection| list(connection, after, limit))
    }

    async fn note_token_use(&self, id: &str, at_unix_ms: i64) -> Result<(), OfficeError> {
        if !storable(id) {
            return Ok(());
        }
        writing!(self, "noting a token's use", |connection| note_use(connection, id, at_unix_ms))
    }
}

pub(super) const BY_HASH: &str = "SELECT id, sha256, label, roles, document, created_unix_ms, \
     expires_unix_ms, last_used_unix_ms, revoked_unix_ms FROM api_tokens WHERE sha256 = $1";

async fn by_hash(connection: &mut Connection, sha256: &[u8; 32]) -> Result<Option<ApiToken>, Fault> {
    let query = sqlx::query(BY_HASH).bind(sha256.as_slice());
    let row = query.fetch_optional(connection).await.map_err(Fault::of)?;
    row.as_ref().map(token).transpose()
}

async fn list(connection: &mut Connection, after_id: &str, limit: u32) -> Result<Vec<ApiToken>, Fault> {
    let query = sqlx::query(
        "SELECT id, sha256, label, roles, document, created_unix_ms, expires_unix_ms, last_used_unix_ms, \
         revoked_unix_ms FROM api_tokens WHERE id > $1 ORDER BY id LIMIT $2",
    );
    let query = query.bind(after_id).bind(i64::from(limit.min(PAGE_ROWS_MAX)));
    all(&query.fetch_all(connection).await.map_err(Fault::of)?, token)
}

fn token(row: &DbRow) -> Result<ApiToken, Fault> {
    Ok(ApiToken {
        id: text(row, "id")?,
        sha256: bytes(row, "sha256")?.try_into().map_err(|_| Fault::value("sha256"))?,
        label: text(row, "label")?,
        roles: json(row, "roles")?,
        document: text(row, "document")?,
        created_unix_ms: number(row, "created_unix_ms")?,
        expires_unix_ms: optional_number(row, "expires_unix_ms")?,
        last_used_unix_ms: optional_number(row, "last_used_unix_ms")?,
        revoked_unix_ms: optional_number(row, "revoked_unix_ms")?,
    })
}

async fn note_use(connection: &mut Connection, id: &str, at_unix_ms: i64) -> Result<(), Fault> {
    let query = sqlx::query("UPDATE api_tokens SET last_used_unix_ms = $1 WHERE id = $2");
    query.bind(at_unix_ms).bind(id).execute(connection).await.map(drop).map_err(Fault::of)
}

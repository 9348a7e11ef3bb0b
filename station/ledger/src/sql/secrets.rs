//! [`Secrets`] over a database.

use async_trait::async_trait;

use super::apply::invalid;
use super::row::{all, bytes, optional_text, text};
use super::write::number_and_version;
use super::{Connection, DbRow, Store};
use crate::error::Fault;
use crate::office::job::{JobKey, PAGE_ROWS_MAX};
use crate::office::{ApplyError, OfficeError, SealedSecret, SecretWrite, Secrets};
use crate::sql::{reading, storable, writing};

pub(super) async fn write(connection: &mut Connection, write: &SecretWrite) -> Result<(), ApplyError> {
    match write {
        SecretWrite::Put(secret) => put(connection, secret).await,
        SecretWrite::Replace { before, with } => replace(connection, before.as_ref(), with).await,
        SecretWrite::Delete { name } => delete(connection, name).await.map_err(ApplyError::Fault),
    }
}

async fn put(connection: &mut Connection, secret: &SealedSecret) -> Result<(), ApplyError> {
    let fault = |error| ApplyError::Fault(Fault::of(error));
    let job = match &secret.job {
        None => None,
        Some(key) => {
            let found = number_and_version(connection, key).await.map_err(fault)?;
            Some(found.ok_or_else(no_job)?.0)
        }
    };
    let query = sqlx::query(
        "INSERT INTO secrets (name, job, master_key_id, sealed) VALUES ($1, $2, $3, $4) \
         ON CONFLICT (name) DO UPDATE SET job = excluded.job, master_key_id = excluded.master_key_id, \
         sealed = excluded.sealed",
    );
    let query = query.bind(&secret.name).bind(job).bind(&secret.master_key_id).bind(&secret.sealed);
    match query.execute(connection).await {
        // Deleted since it was looked up: with PostgreSQL others change jobs meanwhile.
        Err(sqlx::Error::Database(error)) if error.is_foreign_key_violation() => Err(no_job()),
        ended => ended.map(drop).map_err(fault),
    }
}

async fn replace(
    connection: &mut Connection,
    before: Option<&SealedSecret>,
    with: &SealedSecret,
) -> Result<(), ApplyError> {
    let replaced = match before {
        Some(before) if before.name != with.name => {
            return Err(invalid("a secret in the place of another name's"));
        }
        Some(before) => rewrap(connection, before, &with.master_key_id, &with.sealed).await,
        None => insert(connection, with).await,
    };
    match replaced.map_err(ApplyError::Fault)? {
        true => Ok(()),
        false => Err(ApplyError::Conflict { found_version: None }),
    }
}

/// One of the station's own; false when there is one of that name.
async fn insert(connection: &mut Connection, secret: &SealedSecret) -> Result<bool, Fault> {
    let query = sqlx::query(
        "INSERT INTO secrets (name, master_key_id, sealed) VALUES ($1, $2, $3) ON CONFLICT (name) DO NOTHING",
    );
    let query = query.bind(&secret.name).bind(&secret.master_key_id).bind(&secret.sealed);
    Ok(query.execute(connection).await.map_err(Fault::of)?.rows_affected() > 0)
}

fn no_job() -> ApplyError {
    invalid("a secret of a job that is not there")
}

async fn delete(connection: &mut Connection, name: &str) -> Result<(), Fault> {
    let query = sqlx::query("DELETE FROM secrets WHERE name = $1").bind(name);
    query.execute(connection).await.map(drop).map_err(Fault::of)
}

#[async_trait]
impl Secrets for Store {
    async fn secret(&self, name: &str) -> Result<Option<SealedSecret>, OfficeError> {
        if !storable(name) {
            return Ok(None);
        }
        reading!(self, "reading a secret", |connection| find(connection, name))
    }

    async fn secrets_to_rewrap(
        &self,
        current_master_key_id: &str,
        after_name: Option<&str>,
        limit: u32,
    ) -> Result<Vec<SealedSecret>, OfficeError> {
        let after = after_name.unwrap_or_default();
        if !storable(current_master_key_id) || !storable(after) {
            return Ok(Vec::new());
        }
        reading!(self, "looking for secrets to wrap anew", |connection| to_rewrap(
            connection,
            current_master_key_id,
            after,
            limit
        ))
    }

    async fn rewrap_secret(
        &self,
        before: &SealedSecret,
        master_key_id: &str,
        sealed: &[u8],
    ) -> Result<bool, OfficeError> {
        writing!(self, "wrapping a secret anew", |connection| rewrap(
            connection,
            before,
            master_key_id,
            sealed
        ))
    }
}

async fn find(connection: &mut Connection, name: &str) -> Result<Option<SealedSecret>, Fault> {
    let query = sqlx::query(
        "SELECT secrets.name AS secret_name, master_key_id, sealed, subscription, resource_group, jobs.name \
         FROM secrets LEFT JOIN jobs ON jobs.no = secrets.job WHERE secrets.name = $1",
    );
    let row = query.bind(name).fetch_optional(connection).await.map_err(Fault::of)?;
    row.as_ref().map(secret).transpose()
}

pub(super) const TO_REWRAP: &str = "SELECT secrets.name AS secret_name, master_key_id, sealed, subscription, resource_group, jobs.name \
     FROM secrets LEFT JOIN jobs ON jobs.no = secrets.job \
     WHERE secrets.name > $1 AND master_key_id <> $2 ORDER BY secrets.name LIMIT $3";

async fn to_rewrap(
    connection: &mut Connection,
    current_master_key_id: &str,
    after_name: &str,
    limit: u32,
) -> Result<Vec<SealedSecret>, Fault> {
    let limit = i64::from(limit.min(PAGE_ROWS_MAX));
    let query = sqlx::query(TO_REWRAP).bind(after_name).bind(current_master_key_id).bind(limit);
    all(&query.fetch_all(connection).await.map_err(Fault::of)?, secret)
}

fn secret(row: &DbRow) -> Result<SealedSecret, Fault> {
    let job = match optional_text(row, "subscription")? {
        None => None,
        Some(subscription) => {
            let resource_group = text(row, "resource_group")?;
            Some(JobKey { subscription, resource_group, name: text(row, "name")? })
        }
    };
    Ok(SealedSecret {
        name: text(row, "secret_name")?,
        job,
        master_key_id: text(row, "master_key_id")?,
        sealed: bytes(row, "sealed")?,
    })
}

async fn rewrap(
    connection: &mut Connection,
    before: &SealedSecret,
    master_key_id: &str,
    sealed: &[u8],
) -> Result<bool, Fault> {
    let query =
        sqlx::query("UPDATE secrets SET master_key_id = $1, sealed = $2 WHERE name = $3 AND sealed = $4");
    let query = query.bind(master_key_id).bind(sealed).bind(&before.name).bind(&before.sealed);
    Ok(query.execute(connection).await.map_err(Fault::of)?.rows_affected() > 0)
}

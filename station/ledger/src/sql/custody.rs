//! [`Custody`] over a database: the one place that appends, and the reads.

use ::custody::{Draft, Entry, Hash, Head, Row, job_key, new_salt};
use async_trait::async_trait;
use sqlx::QueryBuilder;

use super::apply::invalid;
use super::row::{all, bytes, count, hash, number, optional_number, optional_text, text};
use super::{Connection, Database, DbRow, ROW_LOCK, Store};
use crate::error::Fault;
use crate::office::custody::{ChainRow, Custody, StoredCheckpoint};
use crate::office::job::PAGE_ROWS_MAX;
use crate::office::{ApplyError, OfficeError};
use crate::sql::{reading, storable, writing};

/// Appends the drafts; the chain's row is locked until the end of the transaction, so the next writer
/// goes on from here.
pub(super) async fn append(
    connection: &mut Connection,
    chain: &str,
    drafts: &[Draft],
) -> Result<Option<Head>, ApplyError> {
    if drafts.is_empty() {
        return Ok(None);
    }
    let mut head = locked_head(connection, chain).await.map_err(ApplyError::Fault)?;
    for draft in drafts {
        let job_no = next_job_no(connection, chain, draft).await.map_err(ApplyError::Fault)?;
        let appended = head.append(draft.clone(), job_no, new_salt());
        let (entry, next) = appended.map_err(|error| invalid(error.to_string()))?;
        insert(connection, &entry, &next).await.map_err(ApplyError::Fault)?;
        head = next;
    }
    let query = sqlx::query("UPDATE custody_chains SET no = $1, hash = $2 WHERE chain = $3");
    let query = query.bind(signed(head.no)).bind(head.hash.as_bytes().as_slice()).bind(chain);
    query.execute(connection).await.map_err(|error| ApplyError::Fault(Fault::of(error)))?;
    Ok(Some(head))
}

async fn locked_head(connection: &mut Connection, chain: &str) -> Result<Head, Fault> {
    let start = Head::start(chain);
    let query = sqlx::query(
        "INSERT INTO custody_chains (chain, no, hash) VALUES ($1, 0, $2) ON CONFLICT (chain) DO NOTHING",
    );
    let query = query.bind(chain).bind(start.hash.as_bytes().as_slice());
    query.execute(&mut *connection).await.map_err(Fault::of)?;
    let mut query =
        QueryBuilder::<Database>::new("SELECT chain, no, hash FROM custody_chains WHERE chain = ");
    query.push_bind(chain).push(ROW_LOCK);
    head(&query.build().fetch_one(connection).await.map_err(Fault::of)?)
}

pub(super) const LAST_JOB_NO: &str = "SELECT job_no FROM custody_entries \
     WHERE job = $1 AND chain = $2 ORDER BY no DESC LIMIT 1";

async fn next_job_no(connection: &mut Connection, chain: &str, draft: &Draft) -> Result<Option<u64>, Fault> {
    let Some(job) = &draft.job else { return Ok(None) };
    let query = sqlx::query(LAST_JOB_NO).bind(job_key(job)).bind(chain);
    let last = query.fetch_optional(connection).await.map_err(Fault::of)?;
    let last = last.map_or(Ok(0), |row| count(&row, "job_no"))?;
    Ok(Some(last + 1))
}

async fn insert(connection: &mut Connection, entry: &Entry, head: &Head) -> Result<(), Fault> {
    let row = Row::of(entry, head);
    let query = sqlx::query(
        "INSERT INTO custody_entries (chain, no, hash, job, job_no, entry) VALUES ($1, $2, $3, $4, $5, $6)",
    )
    .bind(&entry.chain)
    .bind(signed(row.no))
    .bind(row.hash.as_bytes().as_slice())
    .bind(row.job)
    .bind(row.job_no.map(signed))
    .bind(row.entry_bytes);
    query.execute(connection).await.map(drop).map_err(Fault::of)
}

/// A number as the tables have it. Beyond what it can say there is no entry.
fn signed(no: u64) -> i64 {
    i64::try_from(no).unwrap_or(i64::MAX)
}

fn head(row: &DbRow) -> Result<Head, Fault> {
    Ok(Head { chain: text(row, "chain")?, no: count(row, "no")?, hash: hash(row, "hash")? })
}

fn entry_row(row: &DbRow) -> Result<Row, Fault> {
    let hash: Hash = hash(row, "hash")?;
    let job_no = optional_number(row, "job_no")?;
    Ok(Row {
        entry_bytes: bytes(row, "entry")?,
        no: count(row, "no")?,
        hash,
        job: optional_text(row, "job")?,
        job_no: job_no.map(u64::try_from).transpose().map_err(|_| Fault::value("job_no"))?,
    })
}

fn checkpoint(row: &DbRow) -> Result<StoredCheckpoint, Fault> {
    Ok(StoredCheckpoint {
        chain: text(row, "chain")?,
        no: count(row, "no")?,
        at_unix_ms: number(row, "at_unix_ms")?,
        text: text(row, "checkpoint")?,
    })
}

fn page(limit: u32) -> i64 {
    i64::from(limit.min(PAGE_ROWS_MAX))
}

#[async_trait]
impl Custody for Store {
    async fn heads(&self) -> Result<Vec<Head>, OfficeError> {
        reading!(self, "reading the custody chains", |connection| heads(connection))
    }

    async fn custody_rows(&self, chain: &str, above_no: u64, limit: u32) -> Result<Vec<Row>, OfficeError> {
        if !storable(chain) {
            return Ok(Vec::new());
        }
        reading!(self, "reading custody", |connection| rows(connection, chain, above_no, limit))
    }

    async fn custody_of_job(
        &self,
        job_arm_id: &str,
        after: Option<(&str, u64)>,
        limit: u32,
    ) -> Result<Vec<ChainRow>, OfficeError> {
        if !storable(job_arm_id) || !after.is_none_or(|(chain, _)| storable(chain)) {
            return Ok(Vec::new());
        }
        reading!(self, "reading a job's custody", |connection| of_job(connection, job_arm_id, after, limit))
    }

    async fn save_checkpoint(&self, checkpoint: &StoredCheckpoint) -> Result<(), OfficeError> {
        writing!(self, "saving a custody checkpoint", |connection| save_checkpoint(connection, checkpoint))
    }

    async fn checkpoints(
        &self,
        chain: &str,
        above_no: u64,
        limit: u32,
    ) -> Result<Vec<StoredCheckpoint>, OfficeError> {
        if !storable(chain) {
            return Ok(Vec::new());
        }
        reading!(self, "reading custody checkpoints", |connection| checkpoints(
            connection, chain, above_no, limit
        ))
    }

    async fn last_checkpoint(&self, chain: &str) -> Result<Option<StoredCheckpoint>, OfficeError> {
        if !storable(chain) {
            return Ok(None);
        }
        reading!(self, "reading a custody checkpoint", |connection| last_checkpoint(connection, chain))
    }
}

async fn heads(connection: &mut Connection) -> Result<Vec<Head>, Fault> {
    let query = sqlx::query("SELECT chain, no, hash FROM custody_chains ORDER BY chain");
    all(&query.fetch_all(connection).await.map_err(Fault::of)?, head)
}

pub(super) const ROWS: &str = "SELECT no, hash, job, job_no, entry FROM custody_entries \
     WHERE chain = $1 AND no > $2 ORDER BY no LIMIT $3";

async fn rows(
    connection: &mut Connection,
    chain: &str,
    above_no: u64,
    limit: u32,
) -> Result<Vec<Row>, Fault> {
    let query = sqlx::query(ROWS).bind(chain).bind(signed(above_no)).bind(page(limit));
    all(&query.fetch_all(connection).await.map_err(Fault::of)?, entry_row)
}

pub(super) const OF_JOB: &str = "SELECT chain, no, hash, job, job_no, entry FROM custody_entries \
     WHERE job = $1 AND (chain, no) > ($2, $3) ORDER BY chain, no LIMIT $4";

async fn of_job(
    connection: &mut Connection,
    job_arm_id: &str,
    after: Option<(&str, u64)>,
    limit: u32,
) -> Result<Vec<ChainRow>, Fault> {
    let (chain, no) = after.unwrap_or(("", 0));
    let query = sqlx::query(OF_JOB).bind(job_key(job_arm_id)).bind(chain).bind(signed(no)).bind(page(limit));
    let rows = query.fetch_all(connection).await.map_err(Fault::of)?;
    all(&rows, |row| Ok(ChainRow { chain: text(row, "chain")?, row: entry_row(row)? }))
}

async fn save_checkpoint(connection: &mut Connection, checkpoint: &StoredCheckpoint) -> Result<(), Fault> {
    let query = sqlx::query(
        "INSERT INTO custody_checkpoints (chain, no, at_unix_ms, checkpoint) VALUES ($1, $2, $3, $4) \
         ON CONFLICT (chain, no, at_unix_ms) DO NOTHING",
    )
    .bind(&checkpoint.chain)
    .bind(signed(checkpoint.no))
    .bind(checkpoint.at_unix_ms)
    .bind(&checkpoint.text);
    query.execute(connection).await.map(drop).map_err(Fault::of)
}

async fn checkpoints(
    connection: &mut Connection,
    chain: &str,
    above_no: u64,
    limit: u32,
) -> Result<Vec<StoredCheckpoint>, Fault> {
    let query = sqlx::query(
        "SELECT chain, no, at_unix_ms, checkpoint FROM custody_checkpoints WHERE chain = $1 AND no > $2 \
         ORDER BY no, at_unix_ms LIMIT $3",
    );
    let query = query.bind(chain).bind(signed(above_no)).bind(page(limit));
    all(&query.fetch_all(connection).await.map_err(Fault::of)?, checkpoint)
}

async fn last_checkpoint(
    connection: &mut Connection,
    chain: &str,
) -> Result<Option<StoredCheckpoint>, Fault> {
    let query = sqlx::query(
        "SELECT chain, no, at_unix_ms, checkpoint FROM custody_checkpoints WHERE chain = $1 \
         ORDER BY no DESC, at_unix_ms DESC LIMIT 1",
    );
    let row = query.bind(chain).fetch_optional(connection).await.map_err(Fault::of)?;
    row.as_ref().map(checkpoint).transpose()
}

//! What a resumed run and the log writer read.

use std::collections::BTreeMap;

use futures::TryStreamExt;
use model::status::{BlobStatus, ChunkStatus, DispositionStatus};
use sqlx::Row;
use sqlx::postgres::{PgPool, PgRow};

use crate::BlobSet;
use crate::code::{Code, exceptions_from_text};
use crate::error::Fault;
use crate::record::{BlobOutcome, Count, Intent, PendingBlob, Totals};
use crate::run::RunNo;

/// One row a blob, as the server sends them; only the set is kept.
pub(super) async fn outcomes_present(pool: &PgPool, run: RunNo) -> Result<BlobSet, Fault> {
    let mut rows = sqlx::query("SELECT blob_index FROM outcomes WHERE run = $1").bind(run.0).fetch(pool);
    let mut present = BlobSet::new();
    while let Some(row) = rows.try_next().await.map_err(Fault::of)? {
        present.insert(number(&row, 0)?.cast_unsigned());
    }
    Ok(present)
}

pub(super) async fn pending(pool: &PgPool, run: RunNo) -> Result<Vec<PendingBlob>, Fault> {
    // Both tables as they were at one moment.
    let start = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
    let mut transaction = pool.begin_with(start).await.map_err(Fault::of)?;
    let mut blobs: BTreeMap<u64, PendingBlob> = BTreeMap::new();
    let landed = sqlx::query(
        "SELECT blob_index, target_n, chunk_index, crc64 FROM landed WHERE run = $1 \
         AND NOT EXISTS (SELECT 1 FROM outcomes o WHERE o.run = landed.run AND o.blob_index = landed.blob_index) \
         ORDER BY blob_index, chunk_index",
    );
    let mut rows = landed.bind(run.0).fetch(&mut *transaction);
    while let Some(row) = rows.try_next().await.map_err(Fault::of)? {
        let blob = blob_of(&mut blobs, &row)?;
        blob.target_n = Some(narrow(&row, 1, "target_n")?);
        blob.landed.push((narrow(&row, 2, "chunk_index")?, number(&row, 3)?.cast_unsigned()));
    }
    drop(rows);
    let intents = sqlx::query(
        "SELECT blob_index, target, replaces_existing, etag, lease_id FROM intents WHERE run = $1 \
         AND NOT EXISTS (SELECT 1 FROM outcomes o WHERE o.run = intents.run AND o.blob_index = intents.blob_index)",
    );
    for row in intents.bind(run.0).fetch_all(&mut *transaction).await.map_err(Fault::of)? {
        blob_of(&mut blobs, &row)?.intent = Some(Intent {
            target: row.try_get(1).map_err(Fault::of)?,
            replaces_existing: row.try_get(2).map_err(Fault::of)?,
            etag: row.try_get(3).map_err(Fault::of)?,
            lease_id: row.try_get(4).map_err(Fault::of)?,
        });
    }
    transaction.commit().await.map_err(Fault::of)?;
    Ok(blobs.into_values().collect())
}

fn blob_of<'a>(blobs: &'a mut BTreeMap<u64, PendingBlob>, row: &PgRow) -> Result<&'a mut PendingBlob, Fault> {
    let blob_index = number(row, 0)?.cast_unsigned();
    let new = || PendingBlob { blob_index, target_n: None, landed: Vec::new(), intent: None };
    Ok(blobs.entry(blob_index).or_insert_with(new))
}

pub(super) async fn outcomes(
    pool: &PgPool,
    run: RunNo,
    from_index: u64,
    limit: u32,
) -> Result<Vec<(u64, BlobOutcome)>, Fault> {
    // Beyond what a signed number holds there is no blob.
    let Ok(from_index) = i64::try_from(from_index) else { return Ok(Vec::new()) };
    let rows = sqlx::query(
        "SELECT blob_index, status, disposition, chunk_default, metadata, properties, bytes, crc64, final_path, \
         chunk_exceptions, message, http_status, code FROM outcomes \
         WHERE run = $1 AND blob_index >= $2 ORDER BY blob_index LIMIT $3",
    );
    let rows = rows.bind(run.0).bind(from_index).bind(i64::from(limit)).fetch_all(pool).await;
    rows.map_err(Fault::of)?.iter().map(|row| Ok((number(row, 0)?.cast_unsigned(), outcome(row)?))).collect()
}

fn outcome(row: &PgRow) -> Result<BlobOutcome, Fault> {
    let text = |column: usize| row.try_get::<Option<String>, _>(column).map_err(Fault::of);
    let exceptions = text(9)?.unwrap_or_default();
    let http_status: Option<i32> = row.try_get(11).map_err(Fault::of)?;
    Ok(BlobOutcome {
        status: word(row, 1, "status")?,
        disposition: optional_word(row, 2, "disposition")?,
        chunk_default: word::<ChunkStatus>(row, 3, "chunk_default")?,
        metadata: optional_word(row, 4, "metadata")?,
        properties: optional_word(row, 5, "properties")?,
        bytes: number(row, 6)?.cast_unsigned(),
        crc64: row.try_get::<Option<i64>, _>(7).map_err(Fault::of)?.map(i64::cast_unsigned),
        final_path: text(8)?,
        chunk_exceptions: exceptions_from_text(&exceptions).ok_or(Fault::value("chunk_exceptions"))?,
        message: text(10)?,
        http_status: http_status.map(u16::try_from).transpose().map_err(|_| Fault::value("http_status"))?,
        code: text(12)?,
    })
}

pub(super) async fn totals(pool: &PgPool, run: RunNo) -> Result<Totals, Fault> {
    let rows = sqlx::query(
        "SELECT status, disposition, COUNT(*), SUM(bytes)::bigint FROM outcomes WHERE run = $1 \
         GROUP BY status, disposition ORDER BY status, disposition",
    );
    let rows = rows.bind(run.0).fetch_all(pool).await.map_err(Fault::of)?;
    let count = |row: &PgRow| {
        Ok(Count {
            status: word::<BlobStatus>(row, 0, "status")?,
            disposition: optional_word::<DispositionStatus>(row, 1, "disposition")?,
            blobs: number(row, 2)?.cast_unsigned(),
            bytes: number(row, 3)?.cast_unsigned(),
        })
    };
    Ok(Totals { counts: rows.iter().map(count).collect::<Result<_, Fault>>()? })
}

fn number(row: &PgRow, column: usize) -> Result<i64, Fault> {
    row.try_get(column).map_err(Fault::of)
}

fn narrow(row: &PgRow, column: usize, name: &'static str) -> Result<u32, Fault> {
    u32::try_from(number(row, column)?).map_err(|_| Fault::value(name))
}

fn word<T: Code>(row: &PgRow, column: usize, name: &'static str) -> Result<T, Fault> {
    optional_word(row, column, name)?.ok_or(Fault::value(name))
}

pub(super) fn optional_word<T: Code>(
    row: &PgRow,
    column: usize,
    name: &'static str,
) -> Result<Option<T>, Fault> {
    let code: Option<i16> = row.try_get(column).map_err(Fault::of)?;
    code.map(|code| T::from_code(code.into()).ok_or(Fault::value(name))).transpose()
}

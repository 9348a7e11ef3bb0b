//! A batch of records becomes a handful of statements in one transaction.
//!
//! Rows go in by many a statement: what a statement costs is mostly the way to SQLite and back.
//! Unsigned 64-bit values are stored as the signed ones with the same bits.

use sqlx::{Connection, QueryBuilder, Sqlite, SqliteConnection};

use crate::code::{Code, RUNNING, exceptions_text, phase_text};
use crate::error::{Fault, SaveError};
use crate::fold::{Effect, Landed};
use crate::record::{BlobOutcome, Intent, Record};
use crate::run::RunNo;

/// Rows in one statement; times columns it stays far below SQLite's 32,766 parameters.
const ROWS_MAX: usize = 256;

pub(super) async fn record(
    connection: &mut SqliteConnection,
    run: RunNo,
    records: &[Record],
) -> Result<(), SaveError> {
    let saved = try_record(connection, run, &Effect::of(records)).await;
    match saved.map_err(|error| SaveError::Fault { run, fault: Fault::of(error) })? {
        true => Ok(()),
        false => Err(SaveError::Over { run }),
    }
}

/// False when the run is over.
async fn try_record(
    connection: &mut SqliteConnection,
    run: RunNo,
    effect: &Effect<'_>,
) -> sqlx::Result<bool> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    let state: Option<i64> = sqlx::query_scalar("SELECT state FROM runs WHERE no = ?")
        .bind(run.0)
        .fetch_optional(&mut *transaction)
        .await?;
    if state != Some(RUNNING) {
        return Ok(false);
    }
    forget(&mut transaction, run, effect).await?;
    insert_outcomes(&mut transaction, run, effect).await?;
    insert_landed(&mut transaction, run, effect).await?;
    insert_intents(&mut transaction, run, effect).await?;
    if let Some(phase) = effect.phase {
        let update =
            sqlx::query("UPDATE runs SET phase = ? WHERE no = ?").bind(phase_text(phase)).bind(run.0);
        update.execute(&mut *transaction).await?;
    }
    transaction.commit().await?;
    Ok(true)
}

async fn forget(connection: &mut SqliteConnection, run: RunNo, effect: &Effect<'_>) -> sqlx::Result<()> {
    let void: Vec<i64> = effect.void.iter().map(|index| index.cast_signed()).collect();
    for table in ["DELETE FROM landed WHERE run = ", "DELETE FROM intents WHERE run = "] {
        for indexes in void.chunks(ROWS_MAX) {
            let mut query = QueryBuilder::<Sqlite>::new(table);
            query.push_bind(run.0).push(" AND blob_index IN (");
            let mut list = query.separated(", ");
            for index in indexes {
                list.push_bind(*index);
            }
            query.push(")");
            execute(connection, query, indexes.len()).await?;
        }
    }
    Ok(())
}

async fn insert_outcomes(
    connection: &mut SqliteConnection,
    run: RunNo,
    effect: &Effect<'_>,
) -> sqlx::Result<()> {
    let rows: Vec<(i64, &BlobOutcome)> =
        effect.outcomes.iter().map(|(index, outcome)| (index.cast_signed(), *outcome)).collect();
    for rows in rows.chunks(ROWS_MAX) {
        let mut query = QueryBuilder::<Sqlite>::new(
            "INSERT INTO outcomes (run, blob_index, status, disposition, chunk_default, metadata, properties, \
             bytes, crc64, final_path, chunk_exceptions, message, http_status, code) ",
        );
        query.push_values(rows, |mut row, (index, outcome)| {
            row.push_bind(run.0).push_bind(*index);
            row.push_bind(outcome.status.code());
            row.push_bind(outcome.disposition.map(Code::code));
            row.push_bind(outcome.chunk_default.code());
            row.push_bind(outcome.metadata.map(Code::code));
            row.push_bind(outcome.properties.map(Code::code));
            row.push_bind(outcome.bytes.cast_signed());
            row.push_bind(outcome.crc64.map(u64::cast_signed));
            row.push_bind(outcome.final_path.as_deref());
            row.push_bind(exceptions_text(&outcome.chunk_exceptions));
            row.push_bind(outcome.message.as_deref());
            row.push_bind(outcome.http_status.map(i64::from));
            row.push_bind(outcome.code.as_deref());
        });
        query.push(
            " ON CONFLICT (run, blob_index) DO UPDATE SET status = excluded.status, \
             disposition = excluded.disposition, chunk_default = excluded.chunk_default, \
             metadata = excluded.metadata, properties = excluded.properties, bytes = excluded.bytes, \
             crc64 = excluded.crc64, final_path = excluded.final_path, \
             chunk_exceptions = excluded.chunk_exceptions, message = excluded.message, \
             http_status = excluded.http_status, code = excluded.code",
        );
        execute(connection, query, rows.len()).await?;
    }
    Ok(())
}

async fn insert_landed(
    connection: &mut SqliteConnection,
    run: RunNo,
    effect: &Effect<'_>,
) -> sqlx::Result<()> {
    for (index, landed) in &effect.landed {
        forget_other_names(connection, run, *index, landed).await?;
    }
    let row = |(index, landed): (&u64, &Landed), (chunk, crc64): (&u32, &u64)| {
        (index.cast_signed(), i64::from(*chunk), i64::from(landed.target_n), crc64.cast_signed())
    };
    let rows: Vec<_> = effect
        .landed
        .iter()
        .flat_map(|blob| blob.1.chunks.iter().map(move |chunk| row(blob, chunk)))
        .collect();
    for rows in rows.chunks(ROWS_MAX) {
        let mut query = QueryBuilder::<Sqlite>::new(
            "INSERT INTO landed (run, blob_index, chunk_index, target_n, crc64) ",
        );
        query.push_values(rows, |mut row, (index, chunk, target_n, crc64)| {
            row.push_bind(run.0).push_bind(*index).push_bind(*chunk).push_bind(*target_n).push_bind(*crc64);
        });
        query.push(
            " ON CONFLICT (run, blob_index, chunk_index) DO UPDATE SET target_n = excluded.target_n, \
             crc64 = excluded.crc64",
        );
        execute(connection, query, rows.len()).await?;
    }
    Ok(())
}

/// What landed under another name is of no use.
async fn forget_other_names(
    connection: &mut SqliteConnection,
    run: RunNo,
    index: u64,
    landed: &Landed,
) -> sqlx::Result<()> {
    let kept = if landed.name_changed { None } else { Some(i64::from(landed.target_n)) };
    sqlx::query("DELETE FROM landed WHERE run = ? AND blob_index = ? AND target_n <> COALESCE(?, -1)")
        .bind(run.0)
        .bind(index.cast_signed())
        .bind(kept)
        .execute(connection)
        .await
        .map(drop)
}

async fn insert_intents(
    connection: &mut SqliteConnection,
    run: RunNo,
    effect: &Effect<'_>,
) -> sqlx::Result<()> {
    let rows: Vec<(i64, &Intent)> =
        effect.intents.iter().map(|(index, intent)| (index.cast_signed(), *intent)).collect();
    for rows in rows.chunks(ROWS_MAX) {
        let mut query = QueryBuilder::<Sqlite>::new(
            "INSERT INTO intents (run, blob_index, target, replaces_existing, etag, lease_id) ",
        );
        query.push_values(rows, |mut row, (index, intent)| {
            row.push_bind(run.0).push_bind(*index).push_bind(&intent.target);
            row.push_bind(i64::from(intent.replaces_existing));
            row.push_bind(intent.etag.as_deref()).push_bind(intent.lease_id.as_deref());
        });
        query.push(
            " ON CONFLICT (run, blob_index) DO UPDATE SET target = excluded.target, \
             replaces_existing = excluded.replaces_existing, etag = excluded.etag, lease_id = excluded.lease_id",
        );
        execute(connection, query, rows.len()).await?;
    }
    Ok(())
}

/// Statements of full length come again and stay prepared; the odd ones would only push them out.
async fn execute(
    connection: &mut SqliteConnection,
    mut query: QueryBuilder<Sqlite>,
    rows: usize,
) -> sqlx::Result<()> {
    query.build().persistent(rows == ROWS_MAX).execute(connection).await.map(drop)
}

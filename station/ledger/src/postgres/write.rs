//! A batch of records becomes a handful of statements in one transaction.
//!
//! Rows go in as arrays, one a column, thousands a statement. Unsigned 64-bit values are stored as
//! the signed ones with the same bits. The first statement of every transaction is [`gate`].

use sqlx::Transaction;
use sqlx::postgres::{PgConnection, PgPool, Postgres};

use crate::code::{ABANDONED, Code, FINISHED, RUNNING, exceptions_text, phase_text};
use crate::error::{Fault, SaveError};
use crate::fold::Effect;
use crate::record::{BlobOutcome, Intent};
use crate::run::{Run, RunEnd};

/// Rows in one statement: bounds what is sent at once.
const ROWS_MAX: usize = 8_192;

/// What came of a write that the database did not refuse.
pub(super) enum Saved<T> {
    Done(T),
    /// The run is finished or abandoned.
    Over,
    /// The drive's lease is not ours any more.
    Lost,
}

/// The same for the caller.
pub(super) fn ended<T>(run: &Run, saved: Result<Saved<T>, Fault>) -> Result<T, SaveError> {
    match saved {
        Ok(Saved::Done(done)) => Ok(done),
        Ok(Saved::Over) => Err(SaveError::Over { run: run.no }),
        Ok(Saved::Lost) => Err(SaveError::Lost { run: run.no }),
        // Whatever else is wrong: that the time is over is what the station has to know.
        Err(_) if run.is_lost() => Err(SaveError::Lost { run: run.no }),
        Err(fault) => Err(SaveError::Fault { run: run.no, fault }),
    }
}

/// The run's state, if the drive is still ours. Holds both rows until the transaction ends: nobody
/// takes the drive over meanwhile, and no other write of the run comes between.
async fn gate(connection: &mut PgConnection, run: &Run) -> sqlx::Result<Option<i64>> {
    if run.is_lost() {
        return Ok(None);
    }
    sqlx::query_scalar(
        "SELECT runs.state::bigint FROM runs JOIN drives ON drives.id = runs.drive \
         WHERE runs.no = $1 AND drives.fence = $2 FOR NO KEY UPDATE OF runs FOR SHARE OF drives",
    )
    .bind(run.no.0)
    .bind(run.hold.fence)
    .fetch_optional(connection)
    .await
}

/// Lets go of what the gate locked before anybody is told.
async fn refused(transaction: Transaction<'_, Postgres>, saved: Saved<()>) -> sqlx::Result<Saved<()>> {
    transaction.rollback().await?;
    Ok(saved)
}

pub(super) async fn record(pool: &PgPool, run: &Run, effect: &Effect<'_>) -> Result<Saved<()>, Fault> {
    try_record(pool, run, effect).await.map_err(Fault::of)
}

async fn try_record(pool: &PgPool, run: &Run, effect: &Effect<'_>) -> sqlx::Result<Saved<()>> {
    let mut transaction = pool.begin().await?;
    match gate(&mut transaction, run).await? {
        Some(RUNNING) => {}
        Some(_) => return refused(transaction, Saved::Over).await,
        None => return refused(transaction, Saved::Lost).await,
    }
    forget(&mut transaction, run, effect).await?;
    insert_outcomes(&mut transaction, run, effect).await?;
    insert_landed(&mut transaction, run, effect).await?;
    insert_intents(&mut transaction, run, effect).await?;
    if let Some(phase) = effect.phase {
        let update = sqlx::query("UPDATE runs SET phase = $2 WHERE no = $1");
        update.bind(run.no.0).bind(phase_text(phase)).execute(&mut *transaction).await?;
    }
    transaction.commit().await?;
    Ok(Saved::Done(()))
}

async fn forget(connection: &mut PgConnection, run: &Run, effect: &Effect<'_>) -> sqlx::Result<()> {
    let void: Vec<i64> = effect.void.iter().map(|index| index.cast_signed()).collect();
    for indexes in void.chunks(ROWS_MAX) {
        for table in [
            "DELETE FROM landed WHERE run = $1 AND blob_index = ANY ($2)",
            "DELETE FROM intents WHERE run = $1 AND blob_index = ANY ($2)",
        ] {
            sqlx::query(table).bind(run.no.0).bind(indexes).execute(&mut *connection).await?;
        }
    }
    Ok(())
}

async fn insert_outcomes(connection: &mut PgConnection, run: &Run, effect: &Effect<'_>) -> sqlx::Result<()> {
    let rows: Vec<(i64, &BlobOutcome)> =
        effect.outcomes.iter().map(|(index, outcome)| (index.cast_signed(), *outcome)).collect();
    for rows in rows.chunks(ROWS_MAX) {
        let outcomes = || rows.iter().map(|(_, outcome)| *outcome);
        let query = sqlx::query(
            "INSERT INTO outcomes (run, blob_index, bytes, crc64, http_status, status, chunk_default, disposition, \
             metadata, properties, final_path, chunk_exceptions, message, code) \
             SELECT $1, * FROM unnest($2::bigint[], $3::bigint[], $4::bigint[], $5::int[], $6::smallint[], \
             $7::smallint[], $8::smallint[], $9::smallint[], $10::smallint[], $11::text[], $12::text[], \
             $13::text[], $14::text[]) \
             ON CONFLICT (run, blob_index) DO UPDATE SET bytes = excluded.bytes, crc64 = excluded.crc64, \
             http_status = excluded.http_status, status = excluded.status, \
             chunk_default = excluded.chunk_default, disposition = excluded.disposition, \
             metadata = excluded.metadata, properties = excluded.properties, \
             final_path = excluded.final_path, chunk_exceptions = excluded.chunk_exceptions, \
             message = excluded.message, code = excluded.code",
        );
        query
            .bind(run.no.0)
            .bind(rows.iter().map(|(index, _)| *index).collect::<Vec<_>>())
            .bind(outcomes().map(|outcome| outcome.bytes.cast_signed()).collect::<Vec<_>>())
            .bind(outcomes().map(|outcome| outcome.crc64.map(u64::cast_signed)).collect::<Vec<_>>())
            .bind(outcomes().map(|outcome| outcome.http_status.map(i32::from)).collect::<Vec<_>>())
            .bind(outcomes().map(|outcome| small(outcome.status)).collect::<Vec<_>>())
            .bind(outcomes().map(|outcome| small(outcome.chunk_default)).collect::<Vec<_>>())
            .bind(outcomes().map(|outcome| outcome.disposition.map(small)).collect::<Vec<_>>())
            .bind(outcomes().map(|outcome| outcome.metadata.map(small)).collect::<Vec<_>>())
            .bind(outcomes().map(|outcome| outcome.properties.map(small)).collect::<Vec<_>>())
            .bind(texts(outcomes().map(|outcome| outcome.final_path.as_deref())))
            .bind(outcomes().map(|outcome| exceptions_text(&outcome.chunk_exceptions)).collect::<Vec<_>>())
            .bind(texts(outcomes().map(|outcome| outcome.message.as_deref())))
            .bind(texts(outcomes().map(|outcome| outcome.code.as_deref())))
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}

async fn insert_landed(connection: &mut PgConnection, run: &Run, effect: &Effect<'_>) -> sqlx::Result<()> {
    forget_other_names(connection, run, effect).await?;
    let mut rows = Vec::new();
    for (index, landed) in &effect.landed {
        let of_blob = landed.chunks.iter().map(|(chunk, crc64)| {
            (index.cast_signed(), i64::from(*chunk), i64::from(landed.target_n), crc64.cast_signed())
        });
        rows.extend(of_blob);
    }
    for rows in rows.chunks(ROWS_MAX) {
        let query = sqlx::query(
            "INSERT INTO landed (run, blob_index, chunk_index, target_n, crc64) \
             SELECT $1, * FROM unnest($2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[]) \
             ON CONFLICT (run, blob_index, chunk_index) \
             DO UPDATE SET target_n = excluded.target_n, crc64 = excluded.crc64",
        );
        query
            .bind(run.no.0)
            .bind(rows.iter().map(|row| row.0).collect::<Vec<_>>())
            .bind(rows.iter().map(|row| row.1).collect::<Vec<_>>())
            .bind(rows.iter().map(|row| row.2).collect::<Vec<_>>())
            .bind(rows.iter().map(|row| row.3).collect::<Vec<_>>())
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}

/// What landed under another name is of no use.
async fn forget_other_names(
    connection: &mut PgConnection,
    run: &Run,
    effect: &Effect<'_>,
) -> sqlx::Result<()> {
    let rows: Vec<(i64, Option<i64>)> = effect
        .landed
        .iter()
        .map(|(index, landed)| {
            (index.cast_signed(), (!landed.name_changed).then_some(i64::from(landed.target_n)))
        })
        .collect();
    for rows in rows.chunks(ROWS_MAX) {
        let (indexes, kept): (Vec<i64>, Vec<Option<i64>>) = rows.iter().copied().unzip();
        sqlx::query(
            "DELETE FROM landed USING unnest($2::bigint[], $3::bigint[]) AS kept (blob_index, target_n) \
             WHERE landed.run = $1 AND landed.blob_index = kept.blob_index \
             AND landed.target_n IS DISTINCT FROM kept.target_n",
        )
        .bind(run.no.0)
        .bind(indexes)
        .bind(kept)
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}

async fn insert_intents(connection: &mut PgConnection, run: &Run, effect: &Effect<'_>) -> sqlx::Result<()> {
    let rows: Vec<(i64, &Intent)> =
        effect.intents.iter().map(|(index, intent)| (index.cast_signed(), *intent)).collect();
    for rows in rows.chunks(ROWS_MAX) {
        let intents = || rows.iter().map(|(_, intent)| *intent);
        let query = sqlx::query(
            "INSERT INTO intents (run, blob_index, replaces_existing, target, etag, lease_id) \
             SELECT $1, * FROM unnest($2::bigint[], $3::boolean[], $4::text[], $5::text[], $6::text[]) \
             ON CONFLICT (run, blob_index) DO UPDATE SET replaces_existing = excluded.replaces_existing, \
             target = excluded.target, etag = excluded.etag, lease_id = excluded.lease_id",
        );
        query
            .bind(run.no.0)
            .bind(rows.iter().map(|(index, _)| *index).collect::<Vec<_>>())
            .bind(intents().map(|intent| intent.replaces_existing).collect::<Vec<_>>())
            .bind(texts(intents().map(|intent| Some(intent.target.as_str()))))
            .bind(texts(intents().map(|intent| intent.etag.as_deref())))
            .bind(texts(intents().map(|intent| intent.lease_id.as_deref())))
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}

pub(super) async fn set_server_started(pool: &PgPool, run: &Run, unix_s: i64) -> Result<Saved<i64>, Fault> {
    let mut transaction = pool.begin().await.map_err(Fault::of)?;
    if gate(&mut transaction, run).await.map_err(Fault::of)?.is_none() {
        return Ok(Saved::Lost);
    }
    let update = sqlx::query_scalar(
        "UPDATE runs SET server_started_unix_s = COALESCE(server_started_unix_s, $2) WHERE no = $1 \
         RETURNING server_started_unix_s",
    );
    let counts = update.bind(run.no.0).bind(unix_s).fetch_one(&mut *transaction).await.map_err(Fault::of)?;
    transaction.commit().await.map_err(Fault::of)?;
    Ok(Saved::Done(counts))
}

pub(super) async fn finish(pool: &PgPool, run: &Run, end: &RunEnd) -> Result<Saved<()>, Fault> {
    try_finish(pool, run, end).await.map_err(Fault::of)
}

async fn try_finish(pool: &PgPool, run: &Run, end: &RunEnd) -> sqlx::Result<Saved<()>> {
    let mut transaction = pool.begin().await?;
    match gate(&mut transaction, run).await? {
        Some(ABANDONED) => return refused(transaction, Saved::Over).await,
        Some(_) => {}
        None => return refused(transaction, Saved::Lost).await,
    }
    sqlx::query(
        "UPDATE runs SET state = $2, drive_status = $3, summary_json = $4, finished_unix_ms = $5 WHERE no = $1",
    )
    .bind(run.no.0)
    .bind(narrow(FINISHED))
    .bind(small(end.status))
    .bind(&end.summary_json)
    .bind(end.finished_unix_ms)
    .execute(&mut *transaction)
    .await?;
    for forget in ["DELETE FROM landed WHERE run = $1", "DELETE FROM intents WHERE run = $1"] {
        sqlx::query(forget).bind(run.no.0).execute(&mut *transaction).await?;
    }
    transaction.commit().await?;
    Ok(Saved::Done(()))
}

fn small(word: impl Code) -> i16 {
    narrow(word.code())
}

pub(super) fn narrow(code: i64) -> i16 {
    i16::try_from(code).expect("there are few words in each vocabulary")
}

/// A column of texts. PostgreSQL keeps no NUL in a text, and a message may quote a stranger.
fn texts<'a>(column: impl Iterator<Item = Option<&'a str>>) -> Vec<Option<String>> {
    column.map(|text| text.map(|text| text.replace('\0', "\u{FFFD}"))).collect()
}

//! Runs: begun, ended, set aside, listed.

use model::DriveId;
use model::status::DriveStatus;
use sqlx::sqlite::SqliteRow;
use sqlx::{Connection, Row, SqliteConnection};

use super::lock::{Locks, NotTaken};
use crate::code::{ABANDONED, Code, FINISHED, RUNNING, hex, unhex};
use crate::error::{AbandonError, BeginError, Fault, SaveError};
use crate::run::{Begun, Hold, Run, RunEnd, RunKey, RunNo, RunStart, RunState, RunSummary};

/// A run with its drive's serial number, as [`summary`] reads it.
const SUMMARIES: &str = "SELECT runs.no, drives.serial, job_name, manifest_hash, destination, run_id, started_unix_ms, \
     log_timestamp, server_started_unix_s, phase, state, drive_status, summary_json, finished_unix_ms \
     FROM runs JOIN drives ON drives.id = runs.drive";

pub(super) async fn begin(
    connection: &mut SqliteConnection,
    locks: &Locks,
    key: &RunKey,
    start: &RunStart,
) -> Result<Begun, BeginError> {
    let failed = |fault| BeginError::Fault { drive_id: key.drive_id.clone(), fault };
    let drive = drive_number(connection, key).await.map_err(|error| failed(Fault::of(error)))?;
    // The lock comes before the look: else two could both find the run unfinished.
    let hold = locks.take_drive(drive).map_err(|not_taken| match not_taken {
        NotTaken::Held { holder } => BeginError::Held { drive_id: key.drive_id.clone(), holder },
        NotTaken::Io(error) => failed(Fault::io(error)),
    })?;
    let found = find_or_insert(connection, drive, key, start).await.map_err(failed)?;
    let (summary, server_started_unix_s, resumed) = match found {
        Found::New(summary) => (summary, None, false),
        Found::Old { summary, .. } if summary.state != RunState::Unfinished => {
            return Ok(Begun::Finished(summary));
        }
        Found::Old { summary, server_started_unix_s } => (summary, server_started_unix_s, true),
    };
    let RunSummary { no, start: RunStart { run_id, started_unix_ms, log_timestamp }, .. } = summary;
    let hold = Hold::lock(hold);
    Ok(Begun::Running(Run {
        no,
        run_id,
        started_unix_ms,
        log_timestamp,
        server_started_unix_s,
        resumed,
        hold,
    }))
}

async fn drive_number(connection: &mut SqliteConnection, key: &RunKey) -> sqlx::Result<i64> {
    let serial = key.drive_id.as_str();
    sqlx::query("INSERT INTO drives (serial) VALUES (?) ON CONFLICT DO NOTHING")
        .bind(serial)
        .execute(&mut *connection)
        .await?;
    sqlx::query_scalar("SELECT id FROM drives WHERE serial = ?").bind(serial).fetch_one(connection).await
}

enum Found {
    New(RunSummary),
    Old { summary: RunSummary, server_started_unix_s: Option<i64> },
}

async fn find_or_insert(
    connection: &mut SqliteConnection,
    drive: i64,
    key: &RunKey,
    start: &RunStart,
) -> Result<Found, Fault> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await.map_err(Fault::of)?;
    let found = find(&mut transaction, drive, key).await.map_err(Fault::of)?;
    if let Some(row) = found {
        let server_started_unix_s = row.try_get("server_started_unix_s").map_err(Fault::of)?;
        return Ok(Found::Old { summary: summary(&row)?, server_started_unix_s });
    }
    let no = insert(&mut transaction, drive, key, start).await.map_err(Fault::of)?;
    transaction.commit().await.map_err(Fault::of)?;
    let state = RunState::Unfinished;
    Ok(Found::New(RunSummary { no: RunNo(no), key: key.clone(), start: start.clone(), phase: None, state }))
}

async fn find(
    connection: &mut SqliteConnection,
    drive: i64,
    key: &RunKey,
) -> sqlx::Result<Option<SqliteRow>> {
    let mut query = sqlx::QueryBuilder::new(SUMMARIES);
    query.push(" WHERE drive = ").push_bind(drive);
    query.push(" AND job_name = ").push_bind(&key.job_name);
    query.push(" AND manifest_hash = ").push_bind(&key.manifest_hash);
    query.push(" AND destination = ").push_bind(&key.destination);
    query.push(" AND state <> ").push_bind(ABANDONED);
    query.build().fetch_optional(connection).await
}

async fn insert(
    connection: &mut SqliteConnection,
    drive: i64,
    key: &RunKey,
    start: &RunStart,
) -> sqlx::Result<i64> {
    sqlx::query_scalar(
        "INSERT INTO runs (drive, job_name, manifest_hash, destination, run_id, started_unix_ms, log_timestamp) \
         VALUES (?, ?, ?, ?, ?, ?, ?) RETURNING no",
    )
    .bind(drive)
    .bind(&key.job_name)
    .bind(&key.manifest_hash)
    .bind(&key.destination)
    .bind(hex(start.run_id))
    .bind(start.started_unix_ms)
    .bind(&start.log_timestamp)
    .fetch_one(connection)
    .await
}

pub(super) async fn set_server_started(
    connection: &mut SqliteConnection,
    run: RunNo,
    unix_s: i64,
) -> sqlx::Result<i64> {
    sqlx::query_scalar(
        "UPDATE runs SET server_started_unix_s = COALESCE(server_started_unix_s, ?) WHERE no = ? \
         RETURNING server_started_unix_s",
    )
    .bind(unix_s)
    .bind(run.0)
    .fetch_one(connection)
    .await
}

pub(super) async fn finish(
    connection: &mut SqliteConnection,
    run: RunNo,
    end: &RunEnd,
) -> Result<(), SaveError> {
    let ended = try_finish(connection, run, end).await;
    match ended.map_err(|error| SaveError::Fault { run, fault: Fault::of(error) })? {
        true => Ok(()),
        false => Err(SaveError::Over { run }),
    }
}

async fn try_finish(connection: &mut SqliteConnection, run: RunNo, end: &RunEnd) -> sqlx::Result<bool> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    let updated = sqlx::query(
        "UPDATE runs SET state = ?, drive_status = ?, summary_json = ?, finished_unix_ms = ? \
         WHERE no = ? AND state <> ?",
    )
    .bind(FINISHED)
    .bind(end.status.code())
    .bind(&end.summary_json)
    .bind(end.finished_unix_ms)
    .bind(run.0)
    .bind(ABANDONED)
    .execute(&mut *transaction)
    .await?;
    if updated.rows_affected() == 0 {
        return Ok(false);
    }
    for forget in ["DELETE FROM landed WHERE run = ?", "DELETE FROM intents WHERE run = ?"] {
        sqlx::query(forget).bind(run.0).execute(&mut *transaction).await?;
    }
    transaction.commit().await?;
    Ok(true)
}

pub(super) async fn abandon(
    connection: &mut SqliteConnection,
    locks: &Locks,
    run: RunNo,
) -> Result<(), AbandonError> {
    let failed = |fault| AbandonError::Fault { run, fault };
    let drive: Option<i64> = sqlx::query_scalar("SELECT drive FROM runs WHERE no = ?")
        .bind(run.0)
        .fetch_optional(&mut *connection)
        .await
        .map_err(|error| failed(Fault::of(error)))?;
    let drive = drive.ok_or(AbandonError::Unknown { run })?;
    let _hold = locks.take_drive(drive).map_err(|not_taken| match not_taken {
        NotTaken::Held { holder } => AbandonError::Held { run, holder },
        NotTaken::Io(error) => failed(Fault::io(error)),
    })?;
    let update = sqlx::query("UPDATE runs SET state = ? WHERE no = ?").bind(ABANDONED).bind(run.0);
    update.execute(connection).await.map_err(|error| failed(Fault::of(error)))?;
    Ok(())
}

pub(super) async fn newest(connection: &mut SqliteConnection, limit: u32) -> Result<Vec<RunSummary>, Fault> {
    let mut query = sqlx::QueryBuilder::new(SUMMARIES);
    query.push(" ORDER BY runs.no DESC LIMIT ").push_bind(i64::from(limit));
    let rows = query.build().fetch_all(connection).await.map_err(Fault::of)?;
    rows.iter().map(summary).collect()
}

fn summary(row: &SqliteRow) -> Result<RunSummary, Fault> {
    let text = |column| row.try_get::<String, _>(column).map_err(Fault::of);
    let number = |column| row.try_get::<i64, _>(column).map_err(Fault::of);
    let key = RunKey {
        drive_id: DriveId::new(&text("serial")?).map_err(|_| Fault::value("serial"))?,
        job_name: text("job_name")?,
        manifest_hash: text("manifest_hash")?,
        destination: text("destination")?,
    };
    let start = RunStart {
        run_id: unhex(&text("run_id")?).ok_or(Fault::value("run_id"))?,
        started_unix_ms: number("started_unix_ms")?,
        log_timestamp: text("log_timestamp")?,
    };
    let state = match number("state")? {
        RUNNING => RunState::Unfinished,
        FINISHED => RunState::Finished(RunEnd {
            status: DriveStatus::from_code(number("drive_status")?).ok_or(Fault::value("drive_status"))?,
            summary_json: text("summary_json")?,
            finished_unix_ms: number("finished_unix_ms")?,
        }),
        ABANDONED => RunState::Abandoned,
        _ => return Err(Fault::value("state")),
    };
    let phase = row.try_get("phase").map_err(Fault::of)?;
    Ok(RunSummary { no: RunNo(number("no")?), key, start, phase, state })
}

//! Runs: begun under a lease, set aside, listed.

use model::DriveId;
use model::status::DriveStatus;
use sqlx::Row;
use sqlx::postgres::{PgConnection, PgPool, PgRow};
use tokio::time::Instant;

use super::keeper::{Keeper, Key};
use super::lease::{self, Taken};
use super::retry::Backoff;
use super::write::narrow;
use crate::code::{ABANDONED, Code, FINISHED, RUNNING, hex, unhex};
use crate::error::{BeginError, Fault, FaultKind};
use crate::run::{Begun, Hold, Run, RunEnd, RunKey, RunNo, RunStart, RunState, RunSummary};

/// A run with its drive's serial number, as [`summary`] reads it.
macro_rules! summaries {
    ($rest:literal) => {
        concat!(
            "SELECT runs.no, drives.serial, job_name, manifest_hash, destination, run_id, started_unix_ms, \
             log_timestamp, server_started_unix_s, phase, state, drive_status, summary_json, finished_unix_ms \
             FROM runs JOIN drives ON drives.id = runs.drive ",
            $rest
        )
    };
}

pub(super) async fn begin(
    pool: &PgPool,
    keeper: &Keeper,
    key: &RunKey,
    start: &RunStart,
) -> Result<Begun, BeginError> {
    let failed = |fault| BeginError::Fault { drive_id: key.drive_id.clone(), fault };
    let mut backoff = Backoff::for_a_call();
    let found = loop {
        match take_and_find(pool, keeper, key, start).await {
            // After a lost answer we could not tell our own lease from another's.
            Err(fault) if fault.kind == FaultKind::Contended && backoff.again(&fault).await => {}
            ended => break ended.map_err(failed)?,
        }
    };
    match found {
        Found::Held { holder } => Err(BeginError::Held { drive_id: key.drive_id.clone(), holder }),
        Found::Finished(summary) => Ok(Begun::Finished(summary)),
        Found::Running { lease, asked, run } => {
            let (keep, until) = keeper.keep(lease, asked);
            Ok(Begun::Running(Run { hold: Hold::lease(lease.fence, until, keep), ..run }))
        }
    }
}

enum Found {
    Held { holder: String },
    Finished(RunSummary),
    Running { lease: Key, asked: Instant, run: Run },
}

/// The lease and the run in one transaction: both or none.
async fn take_and_find(
    pool: &PgPool,
    keeper: &Keeper,
    key: &RunKey,
    start: &RunStart,
) -> Result<Found, Fault> {
    let mut transaction = pool.begin().await.map_err(Fault::of)?;
    let drive = drive_number(&mut transaction, key).await.map_err(Fault::of)?;
    let asked = Instant::now();
    let length = Some(keeper.lease_length());
    let taken = lease::take(&mut transaction, drive, keeper.holder(), length).await.map_err(Fault::of)?;
    let fence = match taken {
        Taken::Ours { fence } => fence,
        Taken::Held { holder } => {
            transaction.rollback().await.map_err(Fault::of)?;
            return Ok(Found::Held { holder });
        }
    };
    let found = find(&mut transaction, drive, key).await.map_err(Fault::of)?;
    let (summary, server_started_unix_s) = match &found {
        Some(row) => (summary(row)?, row.try_get("server_started_unix_s").map_err(Fault::of)?),
        None => (insert(&mut transaction, drive, key, start).await.map_err(Fault::of)?, None),
    };
    if summary.state != RunState::Unfinished {
        // Nothing was taken, and before anybody is told nothing is held.
        transaction.rollback().await.map_err(Fault::of)?;
        return Ok(Found::Finished(summary));
    }
    transaction.commit().await.map_err(Fault::of)?;
    let RunSummary { no, start: RunStart { run_id, started_unix_ms, log_timestamp }, .. } = summary;
    let run = Run {
        no,
        run_id,
        started_unix_ms,
        log_timestamp,
        server_started_unix_s,
        resumed: found.is_some(),
        hold: Hold::lock(()),
    };
    Ok(Found::Running { lease: Key { drive, fence }, asked, run })
}

async fn drive_number(connection: &mut PgConnection, key: &RunKey) -> sqlx::Result<i64> {
    let serial = key.drive_id.as_str();
    sqlx::query("INSERT INTO drives (serial) VALUES ($1) ON CONFLICT DO NOTHING")
        .bind(serial)
        .execute(&mut *connection)
        .await?;
    sqlx::query_scalar("SELECT id FROM drives WHERE serial = $1").bind(serial).fetch_one(connection).await
}

async fn find(connection: &mut PgConnection, drive: i64, key: &RunKey) -> sqlx::Result<Option<PgRow>> {
    sqlx::query(summaries!(
        "WHERE drive = $1 AND job_name = $2 AND manifest_hash = $3 AND destination = $4 AND state <> 2"
    ))
    .bind(drive)
    .bind(&key.job_name)
    .bind(&key.manifest_hash)
    .bind(&key.destination)
    .fetch_optional(connection)
    .await
}

async fn insert(
    connection: &mut PgConnection,
    drive: i64,
    key: &RunKey,
    start: &RunStart,
) -> sqlx::Result<RunSummary> {
    let no = sqlx::query_scalar(
        "INSERT INTO runs (drive, job_name, manifest_hash, destination, run_id, started_unix_ms, log_timestamp) \
         VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING no",
    )
    .bind(drive)
    .bind(&key.job_name)
    .bind(&key.manifest_hash)
    .bind(&key.destination)
    .bind(hex(start.run_id))
    .bind(start.started_unix_ms)
    .bind(&start.log_timestamp)
    .fetch_one(connection)
    .await?;
    let state = RunState::Unfinished;
    Ok(RunSummary { no: RunNo(no), key: key.clone(), start: start.clone(), phase: None, state })
}

/// What came of setting a run aside.
pub(super) enum Abandoned {
    Done,
    Unknown,
    Held { holder: String },
}

pub(super) async fn abandon(pool: &PgPool, run: RunNo) -> Result<Abandoned, Fault> {
    try_abandon(pool, run).await.map_err(Fault::of)
}

async fn try_abandon(pool: &PgPool, run: RunNo) -> sqlx::Result<Abandoned> {
    let mut transaction = pool.begin().await?;
    // The run before the lease, as every write locks them.
    let drive: Option<i64> = sqlx::query_scalar("SELECT drive FROM runs WHERE no = $1 FOR NO KEY UPDATE")
        .bind(run.0)
        .fetch_optional(&mut *transaction)
        .await?;
    let Some(drive) = drive else { return Ok(Abandoned::Unknown) };
    if let Taken::Held { holder } = lease::take(&mut transaction, drive, "", None).await? {
        // At once: the lease's row is locked, and whoever holds it may be about to let it go.
        transaction.rollback().await?;
        return Ok(Abandoned::Held { holder });
    }
    let update = sqlx::query("UPDATE runs SET state = $2 WHERE no = $1").bind(run.0).bind(narrow(ABANDONED));
    update.execute(&mut *transaction).await?;
    transaction.commit().await?;
    Ok(Abandoned::Done)
}

pub(super) async fn newest(pool: &PgPool, limit: u32) -> Result<Vec<RunSummary>, Fault> {
    let query = sqlx::query(summaries!("ORDER BY runs.no DESC LIMIT $1")).bind(i64::from(limit));
    query.fetch_all(pool).await.map_err(Fault::of)?.iter().map(summary).collect()
}

fn summary(row: &PgRow) -> Result<RunSummary, Fault> {
    let text = |column| row.try_get::<String, _>(column).map_err(Fault::of);
    let number = |column| row.try_get::<i64, _>(column).map_err(Fault::of);
    let code = |column| row.try_get::<i16, _>(column).map(i64::from).map_err(Fault::of);
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
    let state = match code("state")? {
        RUNNING => RunState::Unfinished,
        FINISHED => RunState::Finished(RunEnd {
            status: DriveStatus::from_code(code("drive_status")?).ok_or(Fault::value("drive_status"))?,
            summary_json: text("summary_json")?,
            finished_unix_ms: number("finished_unix_ms")?,
        }),
        ABANDONED => RunState::Abandoned,
        _ => return Err(Fault::value("state")),
    };
    let phase = row.try_get("phase").map_err(Fault::of)?;
    Ok(RunSummary { no: RunNo(number("no")?), key, start, phase, state })
}

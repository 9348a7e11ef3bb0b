//! A job's row, made, changed and deleted, with all that hangs on it.

use super::Connection;
use super::find::parcel_key;
use crate::error::Fault;
use crate::office::ApplyError;
use crate::office::job::{DriveRow, JobKey, JobRow};

/// Gives the version.
pub(super) async fn insert(connection: &mut Connection, row: &JobRow) -> Result<i64, ApplyError> {
    let job = insert_row(connection, row).await.map_err(fault)?;
    let Some(job) = job else { return Err(conflict(connection, &row.key).await) };
    insert_parts(connection, job, row).await?;
    Ok(1)
}

async fn insert_row(connection: &mut Connection, row: &JobRow) -> sqlx::Result<Option<i64>> {
    let folded = row.key.folded();
    sqlx::query_scalar(
        "INSERT INTO jobs (key_subscription, key_group, key_name, subscription, resource_group, name, location, \
         storage_account, job_type, state, active, version, created_unix_ms, updated_unix_ms, document) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, 1, $12, $13, $14) \
         ON CONFLICT (key_subscription, key_group, key_name) DO NOTHING RETURNING no",
    )
    .bind(folded.subscription)
    .bind(folded.resource_group)
    .bind(folded.name)
    .bind(&row.key.subscription)
    .bind(&row.key.resource_group)
    .bind(&row.key.name)
    .bind(&row.location)
    .bind(&row.storage_account)
    .bind(&row.job_type)
    .bind(&row.state)
    .bind(i64::from(row.active))
    .bind(row.created_unix_ms)
    .bind(row.updated_unix_ms)
    .bind(&row.document)
    .fetch_optional(connection)
    .await
}

/// Gives the version.
pub(super) async fn update(
    connection: &mut Connection,
    row: &JobRow,
    expected_version: i64,
) -> Result<i64, ApplyError> {
    let job = update_row(connection, row, expected_version).await.map_err(fault)?;
    let Some(job) = job else { return Err(conflict(connection, &row.key).await) };
    for table in [
        "DELETE FROM job_drives WHERE job = $1",
        "DELETE FROM job_parcels WHERE job = $1",
        "DELETE FROM job_timers WHERE job = $1",
    ] {
        sqlx::query(table).bind(job).execute(&mut *connection).await.map_err(fault)?;
    }
    insert_parts(connection, job, row).await?;
    Ok(expected_version + 1)
}

async fn update_row(
    connection: &mut Connection,
    row: &JobRow,
    expected_version: i64,
) -> sqlx::Result<Option<i64>> {
    let folded = row.key.folded();
    sqlx::query_scalar(
        "UPDATE jobs SET location = $1, storage_account = $2, job_type = $3, state = $4, active = $5, \
         updated_unix_ms = $6, document = $7, version = version + 1 \
         WHERE key_subscription = $8 AND key_group = $9 AND key_name = $10 AND version = $11 RETURNING no",
    )
    .bind(&row.location)
    .bind(&row.storage_account)
    .bind(&row.job_type)
    .bind(&row.state)
    .bind(i64::from(row.active))
    .bind(row.updated_unix_ms)
    .bind(&row.document)
    .bind(folded.subscription)
    .bind(folded.resource_group)
    .bind(folded.name)
    .bind(expected_version)
    .fetch_optional(connection)
    .await
}

/// What hangs on it goes by the tables' own rules.
pub(super) async fn delete(
    connection: &mut Connection,
    key: &JobKey,
    expected_version: i64,
) -> Result<(), ApplyError> {
    let folded = key.folded();
    let query = sqlx::query(
        "DELETE FROM jobs WHERE key_subscription = $1 AND key_group = $2 AND key_name = $3 AND version = $4",
    );
    let query =
        query.bind(folded.subscription).bind(folded.resource_group).bind(folded.name).bind(expected_version);
    let deleted = query.execute(&mut *connection).await.map_err(fault)?;
    if deleted.rows_affected() == 0 { Err(conflict(connection, key).await) } else { Ok(()) }
}

/// The refusal, with the version that is there instead.
async fn conflict(connection: &mut Connection, key: &JobKey) -> ApplyError {
    match number_and_version(connection, key).await {
        Ok(found) => ApplyError::Conflict { found_version: found.map(|(_, version)| version) },
        Err(error) => fault(error),
    }
}

/// The row's number and its version, if there is such a job.
pub(super) async fn number_and_version(
    connection: &mut Connection,
    key: &JobKey,
) -> sqlx::Result<Option<(i64, i64)>> {
    let folded = key.folded();
    let query = sqlx::query_as(
        "SELECT no, version FROM jobs WHERE key_subscription = $1 AND key_group = $2 AND key_name = $3",
    );
    query
        .bind(folded.subscription)
        .bind(folded.resource_group)
        .bind(folded.name)
        .fetch_optional(connection)
        .await
}

/// At most ten drives, a few parcels and timers: the model sees to it.
async fn insert_parts(connection: &mut Connection, job: i64, row: &JobRow) -> Result<(), ApplyError> {
    for (place, drive) in (0i64..).zip(&row.drives) {
        insert_drive(connection, job, place, row.active, drive).await?;
    }
    for (place, number) in (0i64..).zip(&row.tracking_numbers) {
        let query =
            sqlx::query("INSERT INTO job_parcels (job, place, tracking_number, key) VALUES ($1, $2, $3, $4)");
        let query = query.bind(job).bind(place).bind(number).bind(parcel_key(number));
        query.execute(&mut *connection).await.map_err(fault)?;
    }
    for timer in &row.timers {
        let query = sqlx::query("INSERT INTO job_timers (job, kind, due_unix_ms) VALUES ($1, $2, $3)");
        let query = query.bind(job).bind(&timer.kind).bind(timer.due_unix_ms);
        query.execute(&mut *connection).await.map_err(fault)?;
    }
    Ok(())
}

async fn insert_drive(
    connection: &mut Connection,
    job: i64,
    place: i64,
    active: bool,
    drive: &DriveRow,
) -> Result<(), ApplyError> {
    // The only conflict that is left: the row has each of its drives once, and none was there.
    let inserted = sqlx::query(
        "INSERT INTO job_drives (job, drive_id, place, active, state, station, bay, claimable, document) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (drive_id) WHERE active = 1 DO NOTHING",
    )
    .bind(job)
    .bind(drive.drive_id.as_str())
    .bind(place)
    .bind(i64::from(active))
    .bind(&drive.state)
    .bind(drive.station.as_deref())
    .bind(drive.bay.as_deref())
    .bind(i64::from(drive.claimable))
    .bind(&drive.document)
    .execute(connection)
    .await
    .map_err(fault)?;
    match inserted.rows_affected() {
        0 => Err(ApplyError::DriveTaken { drive_id: drive.drive_id.clone() }),
        _ => Ok(()),
    }
}

fn fault(error: sqlx::Error) -> ApplyError {
    ApplyError::Fault(Fault::of(error))
}

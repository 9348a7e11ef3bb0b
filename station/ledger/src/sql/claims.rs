//! [`Claims`] over a database.

use std::time::Duration;

use async_trait::async_trait;
use model::DriveId;
use sqlx::QueryBuilder;

use super::find::{drive_id, key};
use super::row::number;
use super::write::number_and_version;
use super::{Connection, DRIVE_LOCK, Database, NEXT_FENCE, ROW_LOCK, Store};
use crate::error::Fault;
use crate::office::{ApplyError, Claim, ClaimError, Claims, OfficeError};
use crate::sql::{milliseconds, storable, writing};

/// Others that were faster, before we say that there is nothing: each of them got a drive.
const RACES_MAX: u32 = 16;

#[async_trait]
impl Claims for Store {
    async fn claim_drive(&self, station: &str, lease: Duration) -> Result<Option<Claim>, OfficeError> {
        writing!(self, "claiming a drive", |connection| claim(connection, station, None, lease))
    }

    async fn claim_this_drive(
        &self,
        station: &str,
        drive_id: &DriveId,
        lease: Duration,
    ) -> Result<Option<Claim>, OfficeError> {
        writing!(self, "claiming a drive", |connection| claim(connection, station, Some(drive_id), lease))
    }

    async fn renew(&self, claim: &Claim, lease: Duration) -> Result<(), ClaimError> {
        let renewed = writing!(self, "renewing a claim", |connection| renew(connection, claim, lease));
        let drive_id = claim.drive_id.clone();
        match renewed {
            Ok(true) => Ok(()),
            Ok(false) => Err(ClaimError::Lost { drive_id }),
            Err(OfficeError { fault, .. }) => Err(ClaimError::Fault { drive_id, fault }),
        }
    }

    async fn release(&self, claim: &Claim) -> Result<(), OfficeError> {
        writing!(self, "releasing a claim", |connection| release(connection, claim))
    }

    async fn release_all(&self, station: &str) -> Result<u64, OfficeError> {
        writing!(self, "releasing a station's claims", |connection| release_all(connection, station))
    }
}

async fn claim(
    connection: &mut Connection,
    station: &str,
    this: Option<&DriveId>,
    lease: Duration,
) -> Result<Option<Claim>, Fault> {
    if !storable(station) {
        return Ok(None);
    }
    for _ in 0..RACES_MAX {
        let now = super::now(connection).await?;
        let mut query = free_drive_query(now, station, this);
        let found = query.build().fetch_optional(&mut *connection).await.map_err(Fault::of)?;
        let Some(row) = found else { return Ok(None) };
        let (job, key, drive_id) = (number(&row, "job")?, key(&row)?, drive_id(&row)?);
        let fence = sqlx::query_scalar(NEXT_FENCE).fetch_one(&mut *connection).await.map_err(Fault::of)?;
        let claim = Claim { job: key, drive_id, fence };
        if take(connection, job, &claim, station, (now, lease)).await? {
            return Ok(Some(claim));
        }
    }
    Ok(None)
}

pub(super) fn free_drive_query(now: i64, station: &str, this: Option<&DriveId>) -> QueryBuilder<Database> {
    let mut query = QueryBuilder::new(
        "SELECT d.job, d.drive_id, jobs.subscription, jobs.resource_group, jobs.name FROM job_drives d \
         JOIN jobs ON jobs.no = d.job LEFT JOIN drive_claims c ON c.job = d.job AND c.drive_id = d.drive_id \
         WHERE d.active = 1 AND d.claimable = 1 AND (c.station IS NULL OR c.ends_unix_ms <= ",
    );
    query.push_bind(now).push(")");
    match this {
        Some(drive_id) => query.push(" AND d.drive_id = ").push_bind(drive_id.as_str().to_owned()),
        None => {
            query.push(" AND (d.station IS NULL OR d.station = ").push_bind(station.to_owned());
            query.push(") ORDER BY d.job, d.place")
        }
    };
    query.push(" LIMIT 1").push(DRIVE_LOCK);
    query
}

/// Looks once more, at the row that counts: another station's claim may have come in between.
async fn take(
    connection: &mut Connection,
    job: i64,
    claim: &Claim,
    station: &str,
    (now, lease): (i64, Duration),
) -> Result<bool, Fault> {
    let query = sqlx::query(
        "INSERT INTO drive_claims (job, drive_id, station, fence, ends_unix_ms) VALUES ($1, $2, $3, $4, $5) \
         ON CONFLICT (job, drive_id) DO UPDATE SET station = excluded.station, fence = excluded.fence, \
         ends_unix_ms = excluded.ends_unix_ms \
         WHERE drive_claims.station IS NULL OR drive_claims.ends_unix_ms <= $6",
    )
    .bind(job)
    .bind(claim.drive_id.as_str())
    .bind(station)
    .bind(claim.fence)
    .bind(now.saturating_add(milliseconds(lease)))
    .bind(now);
    Ok(query.execute(connection).await.map_err(Fault::of)?.rows_affected() > 0)
}

/// Refuses a change under a claim that does not count any more, and keeps one that does until the end
/// of the transaction.
pub(super) async fn check(connection: &mut Connection, claim: &Claim) -> Result<(), ApplyError> {
    let fault = |error| ApplyError::Fault(Fault::of(error));
    let lost = || ApplyError::ClaimLost { drive_id: claim.drive_id.clone() };
    let job = number_and_version(connection, &claim.job).await.map_err(fault)?;
    let Some((job, _)) = job else { return Err(lost()) };
    let mut query = QueryBuilder::<Database>::new("SELECT fence FROM drive_claims WHERE job = ");
    query.push_bind(job).push(" AND drive_id = ").push_bind(claim.drive_id.as_str());
    query.push(" AND station IS NOT NULL").push(ROW_LOCK);
    let fence: Option<i64> = query.build_query_scalar().fetch_optional(connection).await.map_err(fault)?;
    if fence == Some(claim.fence) { Ok(()) } else { Err(lost()) }
}

/// False when it does not count any more.
async fn renew(connection: &mut Connection, claim: &Claim, lease: Duration) -> Result<bool, Fault> {
    let now = super::now(connection).await?;
    let job = number_and_version(connection, &claim.job).await.map_err(Fault::of)?;
    let Some((job, _)) = job else { return Ok(false) };
    let query = sqlx::query(
        "UPDATE drive_claims SET ends_unix_ms = $1 \
         WHERE job = $2 AND drive_id = $3 AND fence = $4 AND station IS NOT NULL",
    )
    .bind(now.saturating_add(milliseconds(lease)))
    .bind(job)
    .bind(claim.drive_id.as_str())
    .bind(claim.fence);
    Ok(query.execute(connection).await.map_err(Fault::of)?.rows_affected() > 0)
}

async fn release(connection: &mut Connection, claim: &Claim) -> Result<(), Fault> {
    let job = number_and_version(connection, &claim.job).await.map_err(Fault::of)?;
    let Some((job, _)) = job else { return Ok(()) };
    let query =
        sqlx::query("UPDATE drive_claims SET station = NULL WHERE job = $1 AND drive_id = $2 AND fence = $3");
    let query = query.bind(job).bind(claim.drive_id.as_str()).bind(claim.fence);
    query.execute(connection).await.map(drop).map_err(Fault::of)
}

pub(super) const RELEASE_ALL: &str = "UPDATE drive_claims SET station = NULL WHERE station = $1";

async fn release_all(connection: &mut Connection, station: &str) -> Result<u64, Fault> {
    if !storable(station) {
        return Ok(0);
    }
    let query = sqlx::query(RELEASE_ALL).bind(station);
    Ok(query.execute(connection).await.map_err(Fault::of)?.rows_affected())
}

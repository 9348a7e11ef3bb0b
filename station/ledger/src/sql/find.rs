//! Jobs, found and listed.
//!
//! A job is read in one transaction, so that row, drives and timers are of one version.

use std::collections::BTreeMap;

use model::DriveId;
use sqlx::QueryBuilder;

use super::row::{all, flag, number, optional_text, text};
use super::{Connection, Database, DbRow};
use crate::error::Fault;
use crate::office::job::{
    DriveRow, DueTimer, JobFilter, JobKey, JobPage, JobRow, JobScope, PAGE_ROWS_MAX, PlacedDrive, Timer,
};

const JOBS: &str = "SELECT jobs.no, subscription, resource_group, name, location, storage_account, job_type, \
     jobs.state, jobs.active, version, created_unix_ms, updated_unix_ms, jobs.document FROM jobs";

pub(super) async fn by_key(connection: &mut Connection, key: &JobKey) -> Result<Option<JobRow>, Fault> {
    let folded = key.folded();
    let mut query = QueryBuilder::<Database>::new(JOBS);
    query.push(" WHERE key_subscription = ").push_bind(folded.subscription);
    query.push(" AND key_group = ").push_bind(folded.resource_group);
    query.push(" AND key_name = ").push_bind(folded.name);
    let rows = query.build().fetch_all(&mut *connection).await.map_err(Fault::of)?;
    Ok(whole(connection, &rows).await?.pop())
}

pub(super) async fn page(
    connection: &mut Connection,
    filter: &JobFilter,
    after: Option<i64>,
    limit: u32,
) -> Result<JobPage, Fault> {
    let limit = i64::from(limit.min(PAGE_ROWS_MAX));
    // One more than asked for tells whether there is more.
    let mut query = page_query(filter, after, limit + 1);
    let mut rows = query.build().fetch_all(&mut *connection).await.map_err(Fault::of)?;
    let more = i64::try_from(rows.len()).is_ok_and(|count| count > limit);
    if more {
        rows.pop();
    }
    let numbers = all(&rows, |row| number(row, "no"))?;
    let next = numbers.last().copied().filter(|_| more);
    Ok(JobPage { jobs: whole(connection, &rows).await?, numbers, next })
}

pub(super) fn page_query(filter: &JobFilter, after: Option<i64>, limit: i64) -> QueryBuilder<Database> {
    let mut query = QueryBuilder::new(JOBS);
    query.push(" WHERE jobs.no > ").push_bind(after.unwrap_or(0));
    match &filter.scope {
        JobScope::All => {}
        JobScope::Subscription(subscription) => {
            query.push(" AND key_subscription = ").push_bind(subscription.to_ascii_lowercase());
        }
        JobScope::ResourceGroup { subscription, resource_group } => {
            query.push(" AND key_subscription = ").push_bind(subscription.to_ascii_lowercase());
            query.push(" AND key_group = ").push_bind(resource_group.to_ascii_lowercase());
        }
    }
    if let Some(state) = &filter.state {
        query.push(" AND jobs.state = ").push_bind(state.clone());
    }
    if let Some(job_type) = &filter.job_type {
        query.push(" AND job_type = ").push_bind(job_type.clone());
    }
    query.push(" ORDER BY jobs.no LIMIT ").push_bind(limit);
    query
}

pub(super) const ACTIVE_JOB_OF_DRIVE: &str = "SELECT job FROM job_drives WHERE drive_id = $1 AND active = 1";

pub(super) async fn active_job_of_drive(
    connection: &mut Connection,
    drive_id: &DriveId,
) -> Result<Option<JobRow>, Fault> {
    let query = sqlx::query_scalar::<_, i64>(ACTIVE_JOB_OF_DRIVE).bind(drive_id.as_str());
    let job = query.fetch_optional(&mut *connection).await.map_err(Fault::of)?;
    Ok(by_numbers(connection, job.as_slice()).await?.pop())
}

pub(super) const ACTIVE_JOBS_OF_PARCEL: &str = "SELECT job_parcels.job FROM job_parcels \
     JOIN jobs ON jobs.no = job_parcels.job WHERE job_parcels.key = $1 AND jobs.active = 1 \
     ORDER BY job_parcels.job LIMIT $2";

pub(super) async fn active_jobs_of_parcel(
    connection: &mut Connection,
    tracking_number: &str,
) -> Result<Vec<JobRow>, Fault> {
    let query = sqlx::query_scalar::<_, i64>(ACTIVE_JOBS_OF_PARCEL)
        .bind(parcel_key(tracking_number))
        .bind(i64::from(PAGE_ROWS_MAX));
    let mut jobs = query.fetch_all(&mut *connection).await.map_err(Fault::of)?;
    jobs.dedup();
    by_numbers(connection, &jobs).await
}

async fn by_numbers(connection: &mut Connection, jobs: &[i64]) -> Result<Vec<JobRow>, Fault> {
    if jobs.is_empty() {
        return Ok(Vec::new());
    }
    let mut query = QueryBuilder::<Database>::new(JOBS);
    query.push(" WHERE jobs.no IN ");
    list(&mut query, jobs);
    query.push(" ORDER BY jobs.no");
    let rows = query.build().persistent(false).fetch_all(&mut *connection).await.map_err(Fault::of)?;
    whole(connection, &rows).await
}

/// Numbers of ours, as text: a list of another length is another statement anyway.
fn list(query: &mut QueryBuilder<Database>, numbers: &[i64]) {
    query.push("(");
    let mut list = query.separated(", ");
    for number in numbers {
        list.push(number);
    }
    query.push(")");
}

/// The rows with what belongs to them, in their order.
async fn whole(connection: &mut Connection, rows: &[DbRow]) -> Result<Vec<JobRow>, Fault> {
    let numbers = all(rows, |row| number(row, "no"))?;
    if numbers.is_empty() {
        return Ok(Vec::new());
    }
    let mut drives = parts(connection, &numbers, DRIVES, "job, place", drive).await?;
    let mut timers = parts(connection, &numbers, TIMERS, "job, due_unix_ms, kind", timer).await?;
    let mut parcels =
        parts(connection, &numbers, PARCELS, "job, place", |row| text(row, "tracking_number")).await?;
    rows.iter()
        .zip(&numbers)
        .map(|(row, number)| {
            Ok(JobRow {
                drives: drives.remove(number).unwrap_or_default(),
                timers: timers.remove(number).unwrap_or_default(),
                tracking_numbers: parcels.remove(number).unwrap_or_default(),
                ..bare(row)?
            })
        })
        .collect()
}

const DRIVES: &str =
    "SELECT job, drive_id, state, station, bay, claimable, document FROM job_drives WHERE job IN ";
const TIMERS: &str = "SELECT job, kind, due_unix_ms FROM job_timers WHERE job IN ";
const PARCELS: &str = "SELECT job, tracking_number FROM job_parcels WHERE job IN ";

async fn parts<T>(
    connection: &mut Connection,
    jobs: &[i64],
    select: &'static str,
    order: &'static str,
    read: impl Fn(&DbRow) -> Result<T, Fault>,
) -> Result<BTreeMap<i64, Vec<T>>, Fault> {
    let mut query = QueryBuilder::<Database>::new(select);
    list(&mut query, jobs);
    query.push(" ORDER BY ").push(order);
    let rows = query.build().persistent(false).fetch_all(connection).await.map_err(Fault::of)?;
    let mut parts = BTreeMap::<i64, Vec<T>>::new();
    for row in &rows {
        parts.entry(number(row, "job")?).or_default().push(read(row)?);
    }
    Ok(parts)
}

fn bare(row: &DbRow) -> Result<JobRow, Fault> {
    Ok(JobRow {
        key: key(row)?,
        location: text(row, "location")?,
        storage_account: text(row, "storage_account")?,
        job_type: text(row, "job_type")?,
        state: text(row, "state")?,
        active: flag(row, "active")?,
        tracking_numbers: Vec::new(),
        version: number(row, "version")?,
        created_unix_ms: number(row, "created_unix_ms")?,
        updated_unix_ms: number(row, "updated_unix_ms")?,
        document: text(row, "document")?,
        drives: Vec::new(),
        timers: Vec::new(),
    })
}

pub(super) fn key(row: &DbRow) -> Result<JobKey, Fault> {
    Ok(JobKey {
        subscription: text(row, "subscription")?,
        resource_group: text(row, "resource_group")?,
        name: text(row, "name")?,
    })
}

pub(super) fn drive_id(row: &DbRow) -> Result<DriveId, Fault> {
    DriveId::new(&text(row, "drive_id")?).map_err(|_| Fault::value("drive_id"))
}

fn drive(row: &DbRow) -> Result<DriveRow, Fault> {
    Ok(DriveRow {
        drive_id: drive_id(row)?,
        state: text(row, "state")?,
        station: optional_text(row, "station")?,
        bay: optional_text(row, "bay")?,
        claimable: flag(row, "claimable")?,
        document: text(row, "document")?,
    })
}

fn timer(row: &DbRow) -> Result<Timer, Fault> {
    Ok(Timer { kind: text(row, "kind")?, due_unix_ms: number(row, "due_unix_ms")? })
}

pub(super) async fn active_drives(
    connection: &mut Connection,
    station: Option<&str>,
    after: Option<&DriveId>,
    limit: u32,
) -> Result<Vec<PlacedDrive>, Fault> {
    let now = super::now(connection).await?;
    let mut query = active_drives_query(now, station, after, limit);
    let rows = query.build().fetch_all(connection).await.map_err(Fault::of)?;
    let placed = |row: &DbRow| {
        Ok(PlacedDrive { job: key(row)?, drive: drive(row)?, claimed_by: optional_text(row, "claimed_by")? })
    };
    all(&rows, placed)
}

pub(super) fn active_drives_query(
    now: i64,
    station: Option<&str>,
    after: Option<&DriveId>,
    limit: u32,
) -> QueryBuilder<Database> {
    let mut query = QueryBuilder::new(
        "SELECT jobs.subscription, jobs.resource_group, jobs.name, d.drive_id, d.state, d.station, d.bay, \
         d.claimable, d.document, c.station AS claimed_by FROM job_drives d JOIN jobs ON jobs.no = d.job \
         LEFT JOIN drive_claims c ON c.job = d.job AND c.drive_id = d.drive_id AND c.ends_unix_ms > ",
    );
    query.push_bind(now).push(" WHERE d.active = 1");
    query.push(" AND d.drive_id > ").push_bind(after.map_or(String::new(), |id| id.as_str().to_owned()));
    if let Some(station) = station {
        query.push(" AND d.station = ").push_bind(station.to_owned());
    }
    query.push(" ORDER BY d.drive_id LIMIT ").push_bind(i64::from(limit.min(PAGE_ROWS_MAX)));
    query
}

pub(super) const DUE_TIMERS: &str = "SELECT subscription, resource_group, name, t.kind, t.due_unix_ms \
     FROM job_timers t JOIN jobs ON jobs.no = t.job WHERE t.due_unix_ms <= $1 \
     ORDER BY t.due_unix_ms, t.job, t.kind LIMIT $2";

pub(super) async fn due_timers(
    connection: &mut Connection,
    at_unix_ms: i64,
    limit: u32,
) -> Result<Vec<DueTimer>, Fault> {
    let query = sqlx::query(DUE_TIMERS).bind(at_unix_ms).bind(i64::from(limit.min(PAGE_ROWS_MAX)));
    let rows = query.fetch_all(connection).await.map_err(Fault::of)?;
    all(&rows, |row| Ok(DueTimer { job: key(row)?, timer: timer(row)? }))
}

/// A tracking number as labels, scanners and people agree on it.
pub(super) fn parcel_key(tracking_number: &str) -> String {
    let shown = tracking_number.chars().filter(|c| !c.is_whitespace() && !c.is_control());
    shown.collect::<String>().to_lowercase()
}

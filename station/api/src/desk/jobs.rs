//! `/v1/jobs`: jobs as the station sees them. What customers see and change is the ARM surface's.

use std::collections::BTreeSet;

use axum::Json;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use jobs::Stored;
use ledger::{JobFilter, JobKey, JobRow, JobScope};
use model::job::{Job, JobState, JobType};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::Desk;
use super::ask::{Asked, Named};
use super::cursor::{ForeignCursor, Pages};
use super::drives::{DriveView, JobName, PlaceView, name, parse};
use super::etag::etag;
use super::refused::{Refused, lengths, out_of_range, unknown};
use crate::events::rfc3339;
use crate::people::{Grant, Reach};

/// A list that finds nothing looks at this many of the ledger's pages, then gives a cursor instead of going on.
const LOOKS_MAX: usize = 10;

/// A job in a list.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = JobSummary)]
pub(super) struct Summary {
    #[serde(flatten)]
    job: JobName,
    /// `Import` or `Export`.
    job_type: String,
    /// Where drives are sent.
    location: String,
    /// The storage account's ARM id.
    storage_account_id: String,
    /// Where it is.
    state: String,
    /// Numbers of its parcels on their way here.
    tracking_numbers: Vec<String>,
    /// How many drives it has.
    drive_count: usize,
    /// Counts its changes; also its `ETag`.
    version: i64,
    /// When it was made.
    #[schema(format = DateTime)]
    created_at: String,
}

/// A job.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Job)]
pub(super) struct Whole {
    #[serde(flatten)]
    summary: Summary,
    /// Why it cannot go on.
    fault: Option<String>,
    /// The customer wants the drives back uncopied.
    cancel_requested: bool,
    /// How much of the whole is done.
    #[schema(maximum = 100)]
    percent_complete: u8,
    /// Its drives.
    drives: Vec<DriveView>,
    /// Drives that came along and go back with it.
    extra_drives: Vec<Extra>,
    /// Parcels that came.
    parcels: Vec<ParcelView>,
    /// Where the drives go in the end: for the label.
    return_address: Vec<String>,
    /// With which carrier they go back.
    return_carrier: Option<String>,
    /// The number of the parcel that went back.
    return_tracking_number: Option<String>,
    /// What to do next.
    next: String,
}

/// A drive that is not the job's.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ExtraDrive)]
struct Extra {
    drive_id: String,
    place: PlaceView,
}

/// A parcel that came.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Parcel)]
pub(super) struct ParcelView {
    tracking_number: String,
    /// Where it came.
    station: String,
    /// When.
    #[schema(format = DateTime)]
    received_at: String,
    /// What it looked like.
    condition: Option<String>,
    /// Whether everything in it is booked.
    unpacked: bool,
}

/// A part of the list.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct JobPage {
    jobs: Vec<Summary>,
    /// Ask with this as `cursor` for the next part; absent at the end. A part may be empty and the list go on.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

/// Which jobs.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Which {
    /// Of this subscription only.
    #[param(min_length = 1, max_length = 128)]
    subscription: Option<String>,
    /// Of this resource group only; goes with `subscription`.
    #[param(min_length = 1, max_length = 128)]
    resource_group: Option<String>,
    /// In this state only.
    #[param(min_length = 1, max_length = 32)]
    state: Option<String>,
    /// Of this type only.
    #[param(min_length = 1, max_length = 32)]
    job_type: Option<String>,
    /// Where the part before ended.
    #[param(min_length = 1, max_length = 1024)]
    cursor: Option<String>,
    /// At most so many.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
}

/// The names in a job's path.
#[derive(Debug, Deserialize)]
pub(super) struct Path {
    subscription: String,
    resource_group: String,
    name: String,
}

impl Path {
    /// As the ledger looks it up.
    pub(super) fn key(&self) -> JobKey {
        JobKey {
            subscription: self.subscription.clone(),
            resource_group: self.resource_group.clone(),
            name: self.name.clone(),
        }
    }
}

impl Which {
    /// A word that no job has finds nothing, which is not an error.
    fn filter(&self, scope: JobScope) -> JobFilter {
        let state =
            |text: &String| JobState::parse(text).map_or(text.clone(), |state| state.as_str().to_owned());
        let kind = |text: &String| JobType::parse(text).map_or(text.clone(), |kind| kind.as_str().to_owned());
        JobFilter { scope, state: self.state.as_ref().map(state), job_type: self.job_type.as_ref().map(kind) }
    }

    /// A cursor counts scopes, so it is good for the same ones only.
    fn pages(&self, scopes: &[JobScope]) -> Pages {
        let scopes = format!("{scopes:?}");
        let [group, state, kind] = [&self.resource_group, &self.state, &self.job_type].map(Option::as_deref);
        Pages::new("jobs", &[Some(&scopes), group, state, kind])
    }

    /// What the ledger is asked for, one after the other: of what is asked for, what the caller may see; nothing twice.
    fn scopes(&self, reach: &Reach) -> Vec<JobScope> {
        let Some(grants) = reach.grants() else {
            return vec![scope(self.subscription.as_deref(), self.resource_group.as_deref())];
        };
        let folded = |text: &String| text.to_ascii_lowercase();
        let asked: BTreeSet<(String, Option<String>)> = grants
            .iter()
            .filter(|grant| self.asks_for(grant))
            .map(|grant| {
                (&grant.subscription, grant.resource_group.as_ref().or(self.resource_group.as_ref()))
            })
            .map(|(subscription, group)| (folded(subscription), group.map(folded)))
            .collect();
        let is_part =
            |of: &str, group: &Option<String>| group.is_some() && asked.contains(&(of.to_owned(), None));
        let own = asked.iter().filter(|(of, group)| !is_part(of, group));
        own.map(|(of, group)| scope(Some(of), group.as_deref())).collect()
    }

    fn asks_for(&self, grant: &Grant) -> bool {
        let same = |wanted: &Option<String>, granted: Option<&String>| match (wanted, granted) {
            (Some(wanted), Some(granted)) => wanted.eq_ignore_ascii_case(granted),
            _ => true,
        };
        same(&self.subscription, Some(&grant.subscription))
            && same(&self.resource_group, grant.resource_group.as_ref())
    }

    fn sees(&self, row: &JobRow, reach: &Reach) -> bool {
        let in_group = |group: &String| row.key.resource_group.eq_ignore_ascii_case(group);
        reach.covers_job(&row.key) && self.resource_group.as_ref().is_none_or(in_group)
    }
}

fn scope(subscription: Option<&str>, resource_group: Option<&str>) -> JobScope {
    match (subscription.map(str::to_owned), resource_group.map(str::to_owned)) {
        (Some(subscription), Some(resource_group)) => {
            JobScope::ResourceGroup { subscription, resource_group }
        }
        (Some(subscription), None) => JobScope::Subscription(subscription),
        (None, _) => JobScope::All,
    }
}

/// Where a list of several scopes goes on: in which of them, and behind what.
fn place_of(text: &str) -> Option<(usize, Option<i64>)> {
    let (index, after) = text.split_once(' ')?;
    let after = if after.is_empty() { None } else { Some(after.parse().ok()?) };
    Some((index.parse().ok()?, after))
}

/// Jobs, in the order in which they were made; for who is limited to several scopes, scope by scope.
#[utoipa::path(get, path = "/v1/jobs", tag = "jobs", operation_id = "jobsList", params(Which), responses((status = 200, body = JobPage)))]
pub(super) async fn list(
    State(desk): State<Desk>,
    reach: Reach,
    Asked(which): Asked<Which>,
) -> Result<Json<JobPage>, Refused> {
    lengths(&[
        ("subscription", which.subscription.as_deref(), 128),
        ("resourceGroup", which.resource_group.as_deref(), 128),
        ("state", which.state.as_deref(), 32),
        ("jobType", which.job_type.as_deref(), 32),
    ])?;
    let scopes = which.scopes(&reach);
    let pages = which.pages(&scopes);
    let limit = match which.limit.unwrap_or(50) {
        limit @ 1..=200 => limit,
        _ => return Err(out_of_range("limit is 1 to 200").into()),
    };
    let after = which.cursor.as_deref().map(|cursor| pages.after(cursor)).transpose()?;
    let place = after.map(|after| place_of(&after).ok_or(ForeignCursor)).transpose()?;
    let (mut index, mut after) = place.unwrap_or((0, None));
    let (mut jobs, mut looks) = (Vec::new(), 0);
    // A page of the ledger is read whole and its end is the cursor, so no page is longer than was asked for.
    while let Some(scope) = scopes.get(index).filter(|_| jobs.is_empty() && looks < LOOKS_MAX) {
        let page = desk.ledger().jobs(&which.filter(scope.clone()), after, limit).await?;
        looks += 1;
        for row in page.jobs.iter().filter(|row| which.sees(row, &reach)) {
            jobs.push(Summary::of_row(row)?);
        }
        after = page.next;
        if after.is_none() {
            index += 1;
        }
    }
    let place = || format!("{index} {}", after.map(|after| after.to_string()).unwrap_or_default());
    let next_cursor = (index < scopes.len()).then(|| pages.cursor(place()));
    Ok(Json(JobPage { jobs, next_cursor }))
}

/// A job, with its drives and parcels, and its version as `ETag`.
#[utoipa::path(
    get,
    path = "/v1/jobs/{subscription}/{resource_group}/{name}",
    tag = "jobs",
    operation_id = "jobsGet",
    params(
        ("subscription" = String, Path, max_length = 128),
        ("resource_group" = String, Path, max_length = 128),
        ("name" = String, Path, max_length = 128),
    ),
    responses((status = 200, body = Whole, headers(("ETag" = String, description = "The job's version."))))
)]
pub(super) async fn get(
    State(desk): State<Desk>,
    reach: Reach,
    Named(path): Named<Path>,
) -> Result<Response, Refused> {
    let row = find(&desk, &reach, &path).await?;
    let stored = Stored { job: parse(&row.document)?, version: row.version };
    Ok(([(header::ETAG, etag(row.version))], Json(Whole::of(&stored))).into_response())
}

/// The job, if the caller may know of it.
pub(super) async fn find(desk: &Desk, reach: &Reach, path: &Path) -> Result<JobRow, Refused> {
    let key = path.key();
    let row = match reach.covers_job(&key) {
        true => desk.ledger().job(&key).await?,
        false => None,
    };
    Ok(row.ok_or_else(|| unknown("job", &key.name).with("job", name(&key).id))?)
}

impl Summary {
    fn of(stored: &Stored) -> Self {
        let job = &stored.job;
        Self {
            job: name(&job.key),
            job_type: job.job_type.as_str().to_owned(),
            location: job.location.clone(),
            storage_account_id: job.storage_account_id.clone(),
            state: job.state.as_str().to_owned(),
            tracking_numbers: tracking_numbers(job),
            drive_count: job.drives.len(),
            version: stored.version,
            created_at: rfc3339(job.authorship.created_unix_ms),
        }
    }

    fn of_row(row: &JobRow) -> Result<Self, Refused> {
        Ok(Self::of(&Stored { job: parse(&row.document)?, version: row.version }))
    }
}

/// The announced number, and those that came under another.
fn tracking_numbers(job: &Job) -> Vec<String> {
    let announced = job.delivery_package.iter().map(|package| &package.tracking_number);
    let mut numbers: Vec<String> = Vec::new();
    for number in announced.chain(job.parcels.iter().map(|parcel| &parcel.tracking_number)) {
        if !numbers.iter().any(|known| known.eq_ignore_ascii_case(number)) {
            numbers.push(number.clone());
        }
    }
    numbers
}

impl Whole {
    /// The whole job.
    pub(super) fn of(stored: &Stored) -> Self {
        let job = &stored.job;
        Self {
            fault: job.fault.as_ref().map(|fault| fault.reason.clone()),
            cancel_requested: job.cancel_requested,
            percent_complete: job.percent_complete,
            drives: job.drives.iter().map(|drive| DriveView::new(&job.key, drive)).collect(),
            extra_drives: job.extra_drives.iter().map(Extra::of).collect(),
            parcels: job.parcels.iter().map(ParcelView::of).collect(),
            return_address: address(job),
            return_carrier: job.return_shipping.as_ref().map(|shipping| shipping.carrier_name.clone()),
            return_tracking_number: job.return_package.as_ref().map(|parcel| parcel.tracking_number.clone()),
            next: next(job),
            summary: Summary::of(stored),
        }
    }
}

impl Extra {
    fn of(extra: &model::job::ExtraDrive) -> Self {
        Self { drive_id: extra.drive_id.as_str().to_owned(), place: PlaceView::of(&extra.place) }
    }
}

impl ParcelView {
    pub(super) fn of(parcel: &model::job::Parcel) -> Self {
        Self {
            tracking_number: parcel.tracking_number.clone(),
            station: parcel.station.clone(),
            received_at: rfc3339(parcel.received_unix_ms),
            condition: parcel.condition.clone(),
            unpacked: parcel.unpacked,
        }
    }
}

/// The lines of the label.
fn address(job: &Job) -> Vec<String> {
    let to = &job.return_address;
    let region = to.state_or_province.as_deref().unwrap_or_default();
    let place = [to.postal_code.as_str(), to.city.as_str(), region].join(" ");
    let lines = [
        &to.recipient_name,
        &to.street_address1,
        &to.street_address2,
        &place,
        &to.country_or_region,
        &to.phone,
    ];
    lines.into_iter().map(|line| line.trim().to_owned()).filter(|line| !line.is_empty()).collect()
}

/// What to do with a job, for the people at the station.
fn next(job: &Job) -> String {
    let missing = job.drives.iter().filter(|drive| !drive.place.is_here()).count();
    let unpacked = job.drives.iter().filter(|drive| !matches!(drive.place, model::job::Place::Box { .. }));
    match (job.state, &job.fault) {
        (_, Some(fault)) => format!("Put it right and put the job back: {}", fault.reason),
        (JobState::Creating, _) => "Nothing: the customer has not sent the drives yet.".to_owned(),
        (JobState::Shipping, _) if job.parcels.is_empty() => "Scan the parcel when it comes.".to_owned(),
        (JobState::Shipping, _) => format!("Scan the drives of the parcel: {missing} are not here."),
        (JobState::Received | JobState::Transferring, _) => "Take each drive to its bay.".to_owned(),
        (JobState::Packaging, _) => match unpacked.count() {
            0 => "Book the parcel with the carrier, and say under which number it left.".to_owned(),
            left => format!("Pack the drives: {left} are not in the box."),
        },
        (JobState::Completed | JobState::Closed, _) => "Nothing: it is over.".to_owned(),
        (JobState::Faulted, None) => "Call the shift lead.".to_owned(),
    }
}

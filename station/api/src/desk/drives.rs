//! `/v1/drives`: where each drive is, how far it is, and what to do with it next.

use axum::Json;
use axum::extract::State;
use ledger::{JobKey, PAGE_ROWS_MAX, PlacedDrive};
use model::DriveId;
use model::job::{Job, JobDrive, Place};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::Desk;
use super::ask::{Asked, Named};
use super::cursor::Pages;
use super::refused::{Refused, internal, lengths, out_of_range, unknown};
use crate::events::rfc3339;
use crate::people::Reach;
use crate::problem::Problem;

/// A filter that finds little looks at this many drives, then gives a cursor instead of going on.
const LOOKED_AT_MAX: usize = 10 * PAGE_ROWS_MAX as usize;
/// Serial numbers have 20 characters; what others print on labels is not much longer.
pub(super) const DRIVE_ID_MAX: usize = 128;

/// A drive of a job.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Drive)]
pub(super) struct DriveView {
    /// Its serial number.
    pub(super) drive_id: String,
    /// Its job.
    pub(super) job: JobName,
    /// Where it is in its work.
    pub(super) state: String,
    /// Where it lies.
    pub(super) place: PlaceView,
    /// Why no work may begin on it.
    hold: Option<HoldView>,
    /// Why it cannot go on.
    fault: Option<String>,
    /// What the copy came to.
    copy_status: Option<String>,
    /// How much is done.
    #[schema(maximum = 100)]
    percent_complete: u8,
    /// Bytes that landed.
    bytes_succeeded: u64,
    /// What to do with it next.
    pub(super) next: String,
}

/// The name of a job.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct JobName {
    /// Its ARM id.
    pub(super) id: String,
    /// The subscription.
    subscription: String,
    /// The resource group.
    resource_group: String,
    /// The name in it.
    name: String,
}

/// Where a drive lies.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Place)]
pub(super) struct PlaceView {
    /// `away`, `shelf`, `bay`, `box`, `sentBack`, `destroyed`.
    kind: &'static str,
    /// At which station.
    station: Option<String>,
    /// In which bay.
    bay: Option<String>,
    /// On which slot of the shelf.
    slot: Option<String>,
    /// In which box.
    label: Option<String>,
}

/// Why no work may begin.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Hold)]
pub(super) struct HoldView {
    reason: String,
    /// Since when.
    #[schema(format = DateTime)]
    since: String,
}

/// A part of the list.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct DrivePage {
    drives: Vec<DriveView>,
    /// Ask with this as `cursor` for the next part; absent at the end. A part may be empty and the list go on.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

/// Which drives.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct Which {
    /// In this state only.
    #[param(min_length = 1, max_length = 32)]
    state: Option<String>,
    /// In this bay of this station only.
    #[param(min_length = 1, max_length = 64)]
    bay: Option<String>,
    /// Of the job with this ARM id only.
    #[param(min_length = 1, max_length = 512)]
    job: Option<String>,
    /// Where the part before ended.
    #[param(min_length = 1, max_length = 1024)]
    cursor: Option<String>,
    /// At most so many.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
}

impl Which {
    fn has(&self, drive: &PlacedDrive, station: &str, reach: &Reach) -> bool {
        let in_bay = |bay: &String| {
            drive.drive.bay.as_ref() == Some(bay) && drive.drive.station.as_deref() == Some(station)
        };
        let of_job = |job: &String| name(&drive.job).id.eq_ignore_ascii_case(job);
        reach.covers_job(&drive.job)
            && self.state.as_ref().is_none_or(|state| drive.drive.state.eq_ignore_ascii_case(state))
            && self.bay.as_ref().is_none_or(in_bay)
            && self.job.as_ref().is_none_or(of_job)
    }
}

/// The drives of jobs that are not over, by serial number.
#[utoipa::path(get, path = "/v1/drives", tag = "drives", operation_id = "drivesList", params(Which), responses((status = 200, body = DrivePage)))]
pub(super) async fn list(
    State(desk): State<Desk>,
    reach: Reach,
    Asked(which): Asked<Which>,
) -> Result<Json<DrivePage>, Refused> {
    lengths(&[
        ("state", which.state.as_deref(), 32),
        ("bay", which.bay.as_deref(), 64),
        ("job", which.job.as_deref(), 512),
    ])?;
    let pages = Pages::new("drives", &[which.state.as_deref(), which.bay.as_deref(), which.job.as_deref()]);
    let limit = match which.limit.unwrap_or(50) {
        limit @ 1..=200 => limit as usize,
        _ => return Err(out_of_range("limit is 1 to 200").into()),
    };
    let mut after = which.cursor.as_deref().map(|cursor| pages.after(cursor)).transpose()?;
    let mut drives = Vec::new();
    let mut looked_at = 0;
    loop {
        let from = after.as_deref().and_then(|after| DriveId::new(after).ok());
        let rows = desk.ledger().active_drives(None, from.as_ref(), PAGE_ROWS_MAX).await?;
        if rows.is_empty() {
            return Ok(Json(DrivePage { drives, next_cursor: None }));
        }
        for row in rows {
            looked_at += 1;
            after = Some(row.drive.drive_id.as_str().to_owned());
            if which.has(&row, &desk.parts().station, &reach) {
                drives.push(DriveView::of(row)?);
            }
            if drives.len() == limit || looked_at == LOOKED_AT_MAX {
                return Ok(Json(DrivePage { drives, next_cursor: after.map(|after| pages.cursor(after)) }));
            }
        }
    }
}

/// A drive of a job that is not over, or one that only came along with it.
#[utoipa::path(get, path = "/v1/drives/{drive_id}", tag = "drives", operation_id = "drivesGet", params(("drive_id" = String, Path, description = "The serial number.", max_length = 128)), responses((status = 200, body = DriveView)))]
pub(super) async fn get(
    State(desk): State<Desk>,
    reach: Reach,
    Named(drive_id): Named<String>,
) -> Result<Json<DriveView>, Refused> {
    Ok(Json(find(&desk, &reach, &drive_id).await?))
}

/// The drive, if the caller may know of it.
pub(super) async fn find(desk: &Desk, reach: &Reach, drive_id: &str) -> Result<DriveView, Refused> {
    let drive_id = known(drive_id)?;
    let holder = desk.parts().jobs.find_holder(&drive_id).await?;
    let holder = holder.filter(|holder| reach.covers_job(&holder.job.key));
    let holder = holder.ok_or_else(|| unknown_drive(drive_id.as_str()))?;
    Ok(super::scans::view(&holder.job, &drive_id))
}

/// A serial number from a path.
pub(super) fn known(drive_id: &str) -> Result<DriveId, Refused> {
    let read = DriveId::new(drive_id).ok().filter(|_| drive_id.len() <= DRIVE_ID_MAX);
    Ok(read.ok_or_else(|| unknown_drive(drive_id))?)
}

/// There is no such drive: what to do with one that is in somebody's hand.
pub(super) fn unknown_drive(drive_id: &str) -> Problem {
    unknown("drive", drive_id)
        .with("drive_id", drive_id)
        .with("next", "Look at the serial number on the drive itself. If it is the same, put it into quarantine and call the shift lead.")
}

/// What is in this station's bays, as far as the ledger says.
pub(super) async fn in_bays(desk: &Desk) -> Result<Vec<PlacedDrive>, Refused> {
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let station = desk.parts().station.as_str();
        let rows = desk.ledger().active_drives(Some(station), after.as_ref(), PAGE_ROWS_MAX).await?;
        let Some(last) = rows.last() else { return Ok(found) };
        after = Some(last.drive.drive_id.clone());
        found.extend(rows.into_iter().filter(|row| row.drive.bay.is_some()));
    }
}

/// The job in a row.
pub(super) fn parse(document: &str) -> Result<Job, Refused> {
    serde_json::from_str(document).map_err(|error| internal("reading a job's document", &error))
}

/// The name of a job in a row.
pub(super) fn name(key: &JobKey) -> JobName {
    let id = model::job::JobKey::new(&key.subscription, &key.resource_group, &key.name).arm_id();
    JobName {
        id,
        subscription: key.subscription.clone(),
        resource_group: key.resource_group.clone(),
        name: key.name.clone(),
    }
}

impl DriveView {
    /// A drive as the ledger lists it.
    pub(super) fn of(row: PlacedDrive) -> Result<Self, Refused> {
        let drive: JobDrive = serde_json::from_str(&row.drive.document)
            .map_err(|error| internal("reading a drive's document", &error))?;
        Ok(Self::new(&row.job, &drive))
    }

    /// A drive of a job.
    pub(super) fn new(job: &JobKey, drive: &JobDrive) -> Self {
        Self {
            drive_id: drive.drive_id.as_str().to_owned(),
            job: name(job),
            state: drive.state.as_str().to_owned(),
            place: PlaceView::of(&drive.place),
            hold: drive
                .hold
                .as_ref()
                .map(|hold| HoldView { reason: hold.reason.clone(), since: rfc3339(hold.since_unix_ms) }),
            fault: drive.fault.as_ref().map(|fault| fault.reason.clone()),
            copy_status: drive.copy_status.map(|status| status.as_str().to_owned()),
            percent_complete: drive.percent_complete,
            bytes_succeeded: drive.bytes_succeeded,
            next: next(drive),
        }
    }
}

impl DriveView {
    /// A drive that is not on the job's list, or no longer.
    pub(super) fn extra(job: &JobKey, drive_id: &DriveId, place: &Place) -> Self {
        Self {
            drive_id: drive_id.as_str().to_owned(),
            job: name(job),
            state: "Extra".to_owned(),
            place: PlaceView::of(place),
            hold: None,
            fault: None,
            copy_status: None,
            percent_complete: 0,
            bytes_succeeded: 0,
            next: "Keep it with the job's drives: it goes back with them.".to_owned(),
        }
    }
}

impl PlaceView {
    pub(super) fn of(place: &Place) -> Self {
        let mut view = Self {
            kind: "",
            station: place.station().map(str::to_owned),
            bay: None,
            slot: None,
            label: None,
        };
        match place {
            Place::Away => view.kind = "away",
            Place::Shelf { slot, .. } => (view.kind, view.slot) = ("shelf", slot.clone()),
            Place::Bay { bay, .. } => (view.kind, view.bay) = ("bay", Some(bay.clone())),
            Place::Box { label, .. } => (view.kind, view.label) = ("box", Some(label.clone())),
            Place::SentBack => view.kind = "sentBack",
            Place::Destroyed => view.kind = "destroyed",
        }
        view
    }
}

/// What to do with a drive, for whoever has it in hand.
fn next(drive: &JobDrive) -> String {
    use model::job::DriveState as S;
    if let Some(fault) = &drive.fault {
        return format!("Leave it and call the shift lead: {}", fault.reason);
    }
    if let Some(hold) = &drive.hold {
        return format!("Leave it: on hold ({}). Resume it when that is settled.", hold.reason);
    }
    let says = match (drive.state, &drive.place) {
        (S::Specified | S::NeverReceived, _) => "Scan it in when it comes.",
        (S::ShippedBack, _) => "Nothing: it went back.",
        (S::Received, Place::Bay { bay, .. }) => return format!("Insert it into bay {bay}."),
        (S::Received | S::Transferring, Place::Shelf { .. }) => "Assign it to a bay.",
        (S::Transferring, _) => "Nothing: it is copied. Leave it in.",
        (S::Completed | S::CompletedMoreInfo, Place::Bay { .. }) => "Take it out, release it and pack it.",
        (S::Completed | S::CompletedMoreInfo, Place::Shelf { .. }) => "Pack it.",
        (_, Place::Box { label, .. }) => return format!("Nothing: it is in box {label}."),
        (S::Faulted, _) => "Call the shift lead.",
        (S::Received | S::Completed | S::CompletedMoreInfo, _) => "Scan it to say where it is.",
    };
    says.to_owned()
}

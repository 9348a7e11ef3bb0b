//! `POST /v1/drives/{drive_id}/…`: what is done with a drive in hand. Doing it again is harmless.
//!
//! Every one finds the drive's job by its serial number and tells the job; the answer is the drive as it is then, and
//! what to do with it next. A drive of a job that the caller does not reach is one that nobody knows.

use axum::extract::State;
use jobs::{DeskError, Stored, ThreeWay};
use model::DriveId;
use model::job::{Job, JobKey, Place};
use serde::Deserialize;
use utoipa::ToSchema;

use super::Desk;
use super::ask::{Command, Named};
use super::drives::{DriveView, known, unknown_drive};
use super::once::Answer;
use super::refused::{Refused, lengths, unknown};
use crate::people::Reach;

/// A drive that is scanned at the dock.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct ScanDrive {
    /// The job whose parcel it came in, by its ARM id: a drive of another job is refused then. Looked up without it.
    #[schema(min_length = 1, max_length = 512)]
    job: Option<String>,
    /// The slot of the shelf that it is put on.
    #[schema(min_length = 1, max_length = 64)]
    slot: Option<String>,
    /// It came with the job's parcel and is not on its list: goes back with it. Needs `job`.
    #[serde(default)]
    extra: bool,
}

/// A drive that is given to a bay.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct AssignDrive {
    /// The bay, as its label was scanned.
    #[schema(min_length = 1, max_length = 64)]
    bay: String,
    /// The serial number that the device in the bay gives; without it, the one that the bay sees now.
    #[schema(min_length = 1, max_length = 128)]
    device: Option<String>,
}

/// A drive that no work may begin on.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct HoldDrive {
    /// Why.
    #[schema(min_length = 1, max_length = 1000, pattern = r"\S")]
    reason: String,
}

/// A drive that goes to the shelf.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct ReleaseDrive {
    /// To which slot.
    #[schema(min_length = 1, max_length = 64)]
    slot: Option<String>,
}

/// A drive that goes into the box that goes back.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct PackDrive {
    /// The box's label.
    #[schema(min_length = 1, max_length = 64, pattern = r"\S")]
    label: String,
    /// The job whose box it is, by its ARM id: a drive of another job is refused then.
    #[schema(min_length = 1, max_length = 512)]
    job: Option<String>,
}

/// Nothing but the drive itself.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Plain {}

macro_rules! drive_path {
    () => {
        "The drive's serial number."
    };
}

/// Books a drive in that was scanned.
#[utoipa::path(post, path = "/v1/drives/{drive_id}/scan", tag = "drives", operation_id = "drivesScan", params(("drive_id" = String, Path, description = drive_path!(), max_length = 128)), request_body = ScanDrive, responses((status = 200, body = DriveView)))]
pub(super) async fn scan(
    State(desk): State<Desk>,
    Named(drive_id): Named<String>,
    command: Command<ScanDrive>,
) -> Result<Answer, Refused> {
    let body = &command.body;
    lengths(&[("job", body.job.as_deref(), 512), ("slot", body.slot.as_deref(), 64)])?;
    let drive_id = known(&drive_id)?;
    let job = body.job.as_deref().map(|job| key(&command.reach, job)).transpose()?;
    let caller = command.asker(&desk, shown(&drive_id));
    let jobs = &desk.parts().jobs;
    let stored = match (&job, body.extra) {
        (Some(job), true) => jobs.extra_drive(&caller, job, &drive_id, body.slot.clone()).await?,
        (None, true) => {
            return Err(super::refused::conflict(
                "job-needed",
                "An extra drive goes back with a job: say which.",
            )
            .into());
        }
        (job, false) => jobs.scan(&caller, &drive_id, job.as_ref(), body.slot.clone()).await?,
    };
    Ok(shown(&drive_id)(&stored))
}

/// Gives a drive to a bay, if label, device and bay agree.
#[utoipa::path(post, path = "/v1/drives/{drive_id}/assign", tag = "drives", operation_id = "drivesAssign", params(("drive_id" = String, Path, description = drive_path!(), max_length = 128)), request_body = AssignDrive, responses((status = 200, body = DriveView)))]
pub(super) async fn assign(
    State(desk): State<Desk>,
    Named(drive_id): Named<String>,
    command: Command<AssignDrive>,
) -> Result<Answer, Refused> {
    let body = &command.body;
    lengths(&[("bay", Some(&body.bay), 64), ("device", body.device.as_deref(), 128)])?;
    let label = known(&drive_id)?;
    let bays = desk.parts().bays.now();
    let bay = bays.iter().find(|now| now.bay == command.body.bay);
    let bay = bay.ok_or_else(|| unknown("bay", &command.body.bay))?;
    // Before the drive is in, there is nothing to compare with; the bay's worker compares when it comes.
    let device = command.body.device.as_ref().or(bay.drive_id.as_ref());
    if !super::bays::is_theirs(&desk, &command.reach, bay.drive_id.as_deref()).await? {
        return Err(DeskError::BayTaken { bay: bay.bay.clone(), occupant: None }.into());
    }
    let device = device.map_or(Ok(label.clone()), |device| known(device))?;
    let seen = ThreeWay { label: label.clone(), device, bay: bay.bay.clone() };
    let caller = command.asker(&desk, shown(&label));
    Ok(shown(&label)(&desk.parts().jobs.assign(&caller, &seen).await?))
}

/// Stops a drive where it is: no work may begin on it, and what runs stops.
#[utoipa::path(post, path = "/v1/drives/{drive_id}/hold", tag = "drives", operation_id = "drivesHold", params(("drive_id" = String, Path, description = drive_path!(), max_length = 128)), request_body = HoldDrive, responses((status = 200, body = DriveView)))]
pub(super) async fn hold(
    State(desk): State<Desk>,
    Named(drive_id): Named<String>,
    command: Command<HoldDrive>,
) -> Result<Answer, Refused> {
    lengths(&[("reason", Some(&command.body.reason), 1000)])?;
    let (job, drive_id) = owner(&desk, &command.reach, &drive_id).await?;
    let caller = command.asker(&desk, shown(&drive_id));
    let stored = desk.parts().jobs.hold(&caller, &job, &drive_id, &command.body.reason).await?;
    Ok(shown(&drive_id)(&stored))
}

/// Goes on with a drive that was held.
#[utoipa::path(post, path = "/v1/drives/{drive_id}/resume", tag = "drives", operation_id = "drivesResume", params(("drive_id" = String, Path, description = drive_path!(), max_length = 128)), request_body = Plain, responses((status = 200, body = DriveView)))]
pub(super) async fn resume(
    State(desk): State<Desk>,
    Named(drive_id): Named<String>,
    command: Command<Plain>,
) -> Result<Answer, Refused> {
    let (job, drive_id) = owner(&desk, &command.reach, &drive_id).await?;
    let caller = command.asker(&desk, shown(&drive_id));
    Ok(shown(&drive_id)(&desk.parts().jobs.resume(&caller, &job, &drive_id).await?))
}

/// Takes a drive out of its bay, or out of its box, for the shelf.
#[utoipa::path(post, path = "/v1/drives/{drive_id}/release", tag = "drives", operation_id = "drivesRelease", params(("drive_id" = String, Path, description = drive_path!(), max_length = 128)), request_body = ReleaseDrive, responses((status = 200, body = DriveView)))]
pub(super) async fn release(
    State(desk): State<Desk>,
    Named(drive_id): Named<String>,
    command: Command<ReleaseDrive>,
) -> Result<Answer, Refused> {
    lengths(&[("slot", command.body.slot.as_deref(), 64)])?;
    let (job, drive_id) = owner(&desk, &command.reach, &drive_id).await?;
    let caller = command.asker(&desk, shown(&drive_id));
    let stored = desk.parts().jobs.release(&caller, &job, &drive_id, command.body.slot.clone()).await?;
    Ok(shown(&drive_id)(&stored))
}

/// Says that a drive of the list did not come.
#[utoipa::path(post, path = "/v1/drives/{drive_id}/never-received", tag = "drives", operation_id = "drivesNeverReceived", params(("drive_id" = String, Path, description = drive_path!(), max_length = 128)), request_body = Plain, responses((status = 200, body = DriveView)))]
pub(super) async fn never_received(
    State(desk): State<Desk>,
    Named(drive_id): Named<String>,
    command: Command<Plain>,
) -> Result<Answer, Refused> {
    let (job, drive_id) = owner(&desk, &command.reach, &drive_id).await?;
    let caller = command.asker(&desk, shown(&drive_id));
    Ok(shown(&drive_id)(&desk.parts().jobs.never_received(&caller, &job, &drive_id).await?))
}

/// Puts a drive into the box that goes back.
#[utoipa::path(post, path = "/v1/drives/{drive_id}/pack", tag = "drives", operation_id = "drivesPack", params(("drive_id" = String, Path, description = drive_path!(), max_length = 128)), request_body = PackDrive, responses((status = 200, body = DriveView)))]
pub(super) async fn pack(
    State(desk): State<Desk>,
    Named(drive_id): Named<String>,
    command: Command<PackDrive>,
) -> Result<Answer, Refused> {
    lengths(&[("label", Some(&command.body.label), 64), ("job", command.body.job.as_deref(), 512)])?;
    let drive_id = known(&drive_id)?;
    let job = match &command.body.job {
        Some(job) => key(&command.reach, job)?,
        None => owner(&desk, &command.reach, drive_id.as_str()).await?.0,
    };
    let caller = command.asker(&desk, shown(&drive_id));
    let stored = desk.parts().jobs.pack(&caller, &job, &drive_id, &command.body.label).await?;
    Ok(shown(&drive_id)(&stored))
}

/// The job of a drive, also of one that only came along with it; if the caller may know of it.
pub(super) async fn owner(desk: &Desk, reach: &Reach, drive_id: &str) -> Result<(JobKey, DriveId), Refused> {
    let drive_id = known(drive_id)?;
    let stored = desk.parts().jobs.find_holder(&drive_id).await?;
    let stored = stored.filter(|stored| reach.covers_job(&stored.job.key));
    Ok((stored.ok_or_else(|| unknown_drive(drive_id.as_str()))?.job.key, drive_id))
}

/// A job from its ARM id; what is none names none, and neither does what the caller may not know of.
fn key(reach: &Reach, arm_id: &str) -> Result<JobKey, Refused> {
    let key = JobKey::parse_arm_id(arm_id).filter(|key| reach.covers_job(key));
    Ok(key.ok_or_else(|| unknown("job", arm_id).with("job", arm_id))?)
}

/// The answer: the drive as its job has it now.
pub(super) fn shown(drive_id: &DriveId) -> impl Fn(&Stored) -> Answer + Clone + Send + Sync + 'static {
    let drive_id = drive_id.clone();
    move |stored| Answer::ok(view(&stored.job, &drive_id))
}

pub(super) fn view(job: &Job, drive_id: &DriveId) -> DriveView {
    let extra = job.extra_drives.iter().find(|extra| extra.drive_id == *drive_id);
    match (job.drives.iter().find(|drive| drive.drive_id == *drive_id), extra) {
        (Some(drive), _) => DriveView::new(&job.key, drive),
        (None, Some(extra)) => DriveView::extra(&job.key, drive_id, &extra.place),
        (None, None) => DriveView::extra(&job.key, drive_id, &Place::Away),
    }
}

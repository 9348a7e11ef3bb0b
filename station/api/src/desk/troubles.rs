//! What is recorded when something is wrong (operations.md §3.10, azure-import-export.md §4.2): a drive that is dead
//! or of no supported kind, a parcel that nobody shipped, drives that nobody takes back.
//!
//! What ends something for good is a decision: of a drive, only after it was reported as faulty; of a whole job, only
//! with the version that it was decided on.

use axum::extract::State;
use model::status::DriveStatus;
use serde::Deserialize;
use utoipa::ToSchema;

use super::Desk;
use super::ask::{Command, Named};
use super::drives::DriveView;
use super::jobs::{Path, Whole, find};
use super::once::Answer;
use super::packages::{PackageView, which};
use super::refused::{Refused, lengths};
use super::scans::{Plain, owner, shown};
use super::shipping::{asker, shown as shown_job};

/// Something that cannot go on.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Because {
    /// Why.
    #[schema(min_length = 1, max_length = 1000, pattern = r"\S")]
    reason: String,
}

/// A faulty drive that nobody tries any more.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct GiveUpDrive {
    /// What its log shall say.
    status: GivenUp,
}

/// How a drive ends that was given up, in the drive log's words.
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
pub(super) enum GivenUp {
    /// No bay finds it.
    DiskNotFound,
    /// It cannot be read.
    DiskOperationFailed,
}

/// A parcel that went back.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct ReturnParcel {
    /// The job, by its ARM id: needed only if the parcel belongs to several.
    #[schema(min_length = 1, max_length = 512)]
    job: Option<String>,
}

/// Says that a drive cannot go on: what runs on it stops. The others of its job go on.
#[utoipa::path(post, path = "/v1/drives/{drive_id}/fault", tag = "drives", operation_id = "drivesFault", params(("drive_id" = String, Path, description = "The drive's serial number.", max_length = 128)), request_body = Because, responses((status = 200, body = DriveView)))]
pub(super) async fn fault(
    State(desk): State<Desk>,
    Named(drive_id): Named<String>,
    command: Command<Because>,
) -> Result<Answer, Refused> {
    lengths(&[("reason", Some(&command.body.reason), 1000)])?;
    let (job, drive_id) = owner(&desk, &command.reach, &drive_id).await?;
    let caller = command.asker(&desk, shown(&drive_id));
    let reason = &command.body.reason;
    Ok(shown(&drive_id)(&desk.parts().jobs.drive_faulted(&caller, &job, &drive_id, reason).await?))
}

/// Puts a faulty drive back into work, where it was.
#[utoipa::path(post, path = "/v1/drives/{drive_id}/put-back", tag = "drives", operation_id = "drivesPutBack", params(("drive_id" = String, Path, description = "The drive's serial number.", max_length = 128)), request_body = Plain, responses((status = 200, body = DriveView)))]
pub(super) async fn put_back(
    State(desk): State<Desk>,
    Named(drive_id): Named<String>,
    command: Command<Plain>,
) -> Result<Answer, Refused> {
    let (job, drive_id) = owner(&desk, &command.reach, &drive_id).await?;
    let caller = command.asker(&desk, shown(&drive_id));
    Ok(shown(&drive_id)(&desk.parts().jobs.drive_put_back(&caller, &job, &drive_id).await?))
}

/// Says that a drive is of no supported kind: it goes back as it came, and the others are copied.
#[utoipa::path(post, path = "/v1/drives/{drive_id}/unsupported", tag = "drives", operation_id = "drivesUnsupported", params(("drive_id" = String, Path, description = "The drive's serial number.", max_length = 128)), request_body = Plain, responses((status = 200, body = DriveView)))]
pub(super) async fn unsupported(
    State(desk): State<Desk>,
    Named(drive_id): Named<String>,
    command: Command<Plain>,
) -> Result<Answer, Refused> {
    let (job, drive_id) = owner(&desk, &command.reach, &drive_id).await?;
    let caller = command.asker(&desk, shown(&drive_id));
    Ok(shown(&drive_id)(&desk.parts().jobs.drive_unsupported(&caller, &job, &drive_id).await?))
}

/// Gives a faulty drive up: it goes back as far as it was copied, with the others.
#[utoipa::path(post, path = "/v1/drives/{drive_id}/give-up", tag = "drives", operation_id = "drivesGiveUp", params(("drive_id" = String, Path, description = "The drive's serial number.", max_length = 128)), request_body = GiveUpDrive, responses((status = 200, body = DriveView)))]
pub(super) async fn give_up(
    State(desk): State<Desk>,
    Named(drive_id): Named<String>,
    command: Command<GiveUpDrive>,
) -> Result<Answer, Refused> {
    let status = match command.body.status {
        GivenUp::DiskNotFound => DriveStatus::DiskNotFound,
        GivenUp::DiskOperationFailed => DriveStatus::DiskOperationFailed,
    };
    let (job, drive_id) = owner(&desk, &command.reach, &drive_id).await?;
    let caller = command.asker(&desk, shown(&drive_id));
    Ok(shown(&drive_id)(&desk.parts().jobs.drive_given_up(&caller, &job, &drive_id, status).await?))
}

/// Says that a parcel went back as it came, because its job was never shipped.
#[utoipa::path(post, path = "/v1/packages/{tracking}/return", tag = "packages", operation_id = "packagesReturn", params(("tracking" = String, Path, description = "The carrier's number.", max_length = 128)), request_body = ReturnParcel, responses((status = 200, body = PackageView)))]
pub(super) async fn parcel_returned(
    State(desk): State<Desk>,
    Named(tracking): Named<String>,
    command: Command<ReturnParcel>,
) -> Result<Answer, Refused> {
    lengths(&[("job", command.body.job.as_deref(), 512)])?;
    let key = which(&desk, &command.reach, &tracking, command.body.job.as_deref()).await?;
    let shown = tracking.clone();
    let render = move |stored: &jobs::Stored| PackageView::returned(&shown, stored);
    let caller = command.asker(&desk, render.clone());
    Ok(render(&desk.parts().jobs.parcel_returned(&caller, &key, &tracking).await?))
}

/// Says that the drives cannot be sent back: the customer is asked for a better address, for ninety days.
#[utoipa::path(
    post,
    path = "/v1/jobs/{subscription}/{resource_group}/{name}/return-impossible",
    tag = "jobs",
    operation_id = "jobsReturnImpossible",
    params(
        ("subscription" = String, Path, max_length = 128),
        ("resource_group" = String, Path, max_length = 128),
        ("name" = String, Path, max_length = 128),
        ("If-Match" = String, Header, description = "The ETag of the job as it was seen, or `*`."),
    ),
    request_body = Because,
    responses((status = 200, body = Whole, headers(("ETag" = String, description = "The job's version."))))
)]
pub(super) async fn return_impossible(
    State(desk): State<Desk>,
    Named(path): Named<Path>,
    command: Command<Because>,
) -> Result<Answer, Refused> {
    lengths(&[("reason", Some(&command.body.reason), 1000)])?;
    let row = find(&desk, &command.reach, &path).await?;
    command.if_match.demand(row.version)?;
    let caller = asker(&desk, &command, &row);
    let reason = &command.body.reason;
    Ok(shown_job(&desk.parts().jobs.return_impossible(&caller, &row.key, reason).await?))
}

/// Says that the drives were destroyed, which nobody took back in ninety days.
#[utoipa::path(
    post,
    path = "/v1/jobs/{subscription}/{resource_group}/{name}/destroyed",
    tag = "jobs",
    operation_id = "jobsDestroyed",
    params(
        ("subscription" = String, Path, max_length = 128),
        ("resource_group" = String, Path, max_length = 128),
        ("name" = String, Path, max_length = 128),
        ("If-Match" = String, Header, description = "The ETag of the job as it was seen, or `*`."),
    ),
    request_body = Plain,
    responses((status = 200, body = Whole, headers(("ETag" = String, description = "The job's version."))))
)]
pub(super) async fn destroyed(
    State(desk): State<Desk>,
    Named(path): Named<Path>,
    command: Command<Plain>,
) -> Result<Answer, Refused> {
    let row = find(&desk, &command.reach, &path).await?;
    command.if_match.demand(row.version)?;
    let caller = asker(&desk, &command, &row);
    Ok(shown_job(&desk.parts().jobs.drives_destroyed(&caller, &row.key).await?))
}

/// Says that the customer answered where the parcel is: it is waited for anew.
#[utoipa::path(
    post,
    path = "/v1/jobs/{subscription}/{resource_group}/{name}/customer-answered",
    tag = "jobs",
    operation_id = "jobsCustomerAnswered",
    params(
        ("subscription" = String, Path, max_length = 128),
        ("resource_group" = String, Path, max_length = 128),
        ("name" = String, Path, max_length = 128),
        ("If-Match" = Option<String>, Header, description = "The ETag of the job as it was seen."),
    ),
    request_body = Plain,
    responses((status = 200, body = Whole, headers(("ETag" = String, description = "The job's version."))))
)]
pub(super) async fn customer_answered(
    State(desk): State<Desk>,
    Named(path): Named<Path>,
    command: Command<Plain>,
) -> Result<Answer, Refused> {
    let row = find(&desk, &command.reach, &path).await?;
    command.if_match.hold(row.version)?;
    let caller = asker(&desk, &command, &row);
    Ok(shown_job(&desk.parts().jobs.customer_answered(&caller, &row.key).await?))
}

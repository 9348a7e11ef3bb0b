//! `POST /v1/jobs/…/ship|fault|put-back`: what is done with a whole job.
//!
//! Faulting and putting back are decisions on what somebody saw, so they must say which version that was.

use axum::extract::State;
use jobs::{Caller, Stored};
use ledger::JobRow;
use model::job::{Happening, JobState, ReturnPackage};
use serde::Deserialize;
use utoipa::ToSchema;

use super::Desk;
use super::ask::{Command, Named};
use super::etag::{IfMatch, etag};
use super::jobs::{Path, Whole, find};
use super::once::Answer;
use super::refused::{Refused, lengths, out_of_range};
use crate::people::Reach;

/// A box that left.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct ShipJob {
    /// The carrier.
    #[schema(min_length = 1, max_length = 128, pattern = r"\S")]
    carrier_name: String,
    /// Its number for the box.
    #[schema(min_length = 1, max_length = 128, pattern = r"\S")]
    tracking_number: String,
    /// How many drives are in it.
    #[schema(minimum = 1, maximum = 1000)]
    drive_count: u32,
    /// When it left.
    #[schema(min_length = 1, max_length = 64, pattern = r"\S")]
    ship_date: String,
}

/// A job that cannot go on.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct FaultJob {
    /// Why.
    #[schema(min_length = 1, max_length = 1000, pattern = r"\S")]
    reason: String,
}

/// A job that can go on again.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct PutBackJob {
    /// In which state.
    state: PutBackTo,
}

/// Where a job can be put back to.
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
pub(super) enum PutBackTo {
    Shipping,
    Received,
    Transferring,
    Packaging,
    /// Over: only when no drive of it is here.
    Closed,
}

/// Says that the box left, and under which number.
#[utoipa::path(
    post,
    path = "/v1/jobs/{subscription}/{resource_group}/{name}/ship",
    tag = "jobs",
    operation_id = "jobsShip",
    params(
        ("subscription" = String, Path, max_length = 128),
        ("resource_group" = String, Path, max_length = 128),
        ("name" = String, Path, max_length = 128),
        ("If-Match" = Option<String>, Header, description = "The ETag of the job as it was seen."),
    ),
    request_body = ShipJob,
    responses((status = 200, body = Whole, headers(("ETag" = String, description = "The job's version."))))
)]
pub(super) async fn ship(
    State(desk): State<Desk>,
    reach: Reach,
    Named(path): Named<Path>,
    command: Command<ShipJob>,
) -> Result<Answer, Refused> {
    let body = &command.body;
    lengths(&[
        ("carrierName", Some(&body.carrier_name), 128),
        ("trackingNumber", Some(&body.tracking_number), 128),
        ("shipDate", Some(&body.ship_date), 64),
    ])?;
    if !(1..=1000).contains(&body.drive_count) {
        return Err(out_of_range("driveCount is 1 to 1000").into());
    }
    let row = find(&desk, &reach, &path).await?;
    command.if_match.hold(row.version)?;
    let package = ReturnPackage {
        carrier_name: body.carrier_name.clone(),
        tracking_number: body.tracking_number.clone(),
        drive_count: body.drive_count,
        ship_date: body.ship_date.clone(),
    };
    let caller = asker(&desk, &command, &row);
    Ok(shown(&desk.parts().jobs.ship(&caller, &row.key, package).await?))
}

/// Stops a job where it is: somebody must look at it.
#[utoipa::path(
    post,
    path = "/v1/jobs/{subscription}/{resource_group}/{name}/fault",
    tag = "jobs",
    operation_id = "jobsFault",
    params(
        ("subscription" = String, Path, max_length = 128),
        ("resource_group" = String, Path, max_length = 128),
        ("name" = String, Path, max_length = 128),
        ("If-Match" = String, Header, description = "The ETag of the job as it was seen, or `*`."),
    ),
    request_body = FaultJob,
    responses((status = 200, body = Whole, headers(("ETag" = String, description = "The job's version."))))
)]
pub(super) async fn fault(
    State(desk): State<Desk>,
    reach: Reach,
    Named(path): Named<Path>,
    command: Command<FaultJob>,
) -> Result<Answer, Refused> {
    lengths(&[("reason", Some(&command.body.reason), 1000)])?;
    let row = find(&desk, &reach, &path).await?;
    command.if_match.demand(row.version)?;
    let reason = command.body.reason.clone();
    let caller = asker(&desk, &command, &row);
    Ok(shown(&desk.parts().jobs.tell(&caller, &row.key, Happening::JobFaulted { reason }).await?))
}

/// Puts a job back into work; or closes it, when no drive of it is here.
#[utoipa::path(
    post,
    path = "/v1/jobs/{subscription}/{resource_group}/{name}/put-back",
    tag = "jobs",
    operation_id = "jobsPutBack",
    params(
        ("subscription" = String, Path, max_length = 128),
        ("resource_group" = String, Path, max_length = 128),
        ("name" = String, Path, max_length = 128),
        ("If-Match" = String, Header, description = "The ETag of the job as it was seen, or `*`."),
    ),
    request_body = PutBackJob,
    responses((status = 200, body = Whole, headers(("ETag" = String, description = "The job's version."))))
)]
pub(super) async fn put_back(
    State(desk): State<Desk>,
    reach: Reach,
    Named(path): Named<Path>,
    command: Command<PutBackJob>,
) -> Result<Answer, Refused> {
    let row = find(&desk, &reach, &path).await?;
    command.if_match.demand(row.version)?;
    let to = match command.body.state {
        PutBackTo::Shipping => JobState::Shipping,
        PutBackTo::Received => JobState::Received,
        PutBackTo::Transferring => JobState::Transferring,
        PutBackTo::Packaging => JobState::Packaging,
        PutBackTo::Closed => JobState::Closed,
    };
    let caller = asker(&desk, &command, &row);
    Ok(shown(&desk.parts().jobs.tell(&caller, &row.key, Happening::JobPutBack { to }).await?))
}

/// Who asks; and if they said what they saw, only as long as that is so.
pub(super) fn asker<T>(desk: &Desk, command: &Command<T>, row: &JobRow) -> Caller {
    let caller = command.asker(desk, shown);
    if matches!(command.if_match, IfMatch::Of(_)) { caller.if_version(row.version) } else { caller }
}

pub(super) fn shown(stored: &Stored) -> Answer {
    Answer::ok(Whole::of(stored)).header(axum::http::header::ETAG, etag(stored.version))
}

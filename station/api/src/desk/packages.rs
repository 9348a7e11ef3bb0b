//! `/v1/packages`: parcels at the dock, by the number that the carrier's label has.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use jobs::{Arrived, Stored};
use ledger::Change;
use model::job::JobKey;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Desk;
use super::ask::{Command, Named};
use super::jobs::{ParcelView, Whole};
use super::once::Answer;
use super::refused::{Refused, lengths, parcel_unknown, unknown};
use crate::people::Reach;
use crate::problem::Problem;

/// When one parcel holds several jobs' drives, their numbers end in -1 to -9 (azure-import-export.md §4.5).
const SUFFIX_MAX: u32 = 9;

/// A parcel, and the jobs whose drives should be in it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Package)]
pub(super) struct PackageView {
    /// The carrier's number.
    tracking_number: String,
    /// Whether it was booked in.
    received: bool,
    /// The jobs that it belongs to.
    jobs: Vec<Whole>,
    /// When and where it was scanned before, if it was.
    before: Option<ParcelView>,
    /// What to do next.
    next: String,
}

/// A parcel that is at the dock.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct ReceivePackage {
    /// What it looks like, when that is worth a word: `damaged`, `sealBroken`, …
    #[schema(min_length = 1, max_length = 64)]
    condition: Option<String>,
    /// More about that.
    #[schema(min_length = 1, max_length = 1000)]
    note: Option<String>,
}

/// A parcel that is empty.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct UnpackPackage {
    /// The job, by its ARM id: needed only if the parcel belongs to several.
    #[schema(min_length = 1, max_length = 512)]
    job: Option<String>,
    /// Why drives are missing, if some are.
    #[schema(min_length = 1, max_length = 1000)]
    shortfall_reason: Option<String>,
}

/// A parcel by its number: whose it is, and what should be in it.
#[utoipa::path(get, path = "/v1/packages/{tracking}", tag = "packages", operation_id = "packagesGet", params(("tracking" = String, Path, description = "The carrier's number.", max_length = 128)), responses((status = 200, body = PackageView)))]
pub(super) async fn get(
    State(desk): State<Desk>,
    reach: Reach,
    Named(tracking): Named<String>,
) -> Result<Json<PackageView>, Refused> {
    let found = expected(&desk, &reach, &tracking).await?;
    if found.is_empty() {
        return Err(parcel_unknown(&tracking).into());
    }
    Ok(Json(PackageView::of(&tracking, &found, None)))
}

/// Books a parcel in at the dock, for every job that expects it. Again is harmless, and says when it was before.
#[utoipa::path(post, path = "/v1/packages/{tracking}/receive", tag = "packages", operation_id = "packagesReceive", params(("tracking" = String, Path, description = "The carrier's number.", max_length = 128)), request_body = ReceivePackage, responses((status = 200, body = PackageView)))]
pub(super) async fn receive(
    State(desk): State<Desk>,
    Named(tracking): Named<String>,
    command: Command<ReceivePackage>,
) -> Result<Answer, Refused> {
    let body = &command.body;
    lengths(&[("condition", body.condition.as_deref(), 64), ("note", body.note.as_deref(), 1000)])?;
    let condition = body.condition();
    let is_one = expected(&desk, &command.reach, &tracking).await?.len() <= 1;
    let shown = tracking.clone();
    // A parcel of one job, which is nearly every one, is answered in the job's own change. Of several, the answer is
    // saved after them: a repetition in between books nothing twice, because booking in again is harmless.
    let caller = match is_one {
        true => command
            .asker(&desk, move |stored| PackageView::answer(&shown, std::slice::from_ref(stored), None)),
        false => command.plain_asker(),
    };
    let arrived = desk.parts().jobs.receive_package(&caller, &tracking, condition).await?;
    let stored: Vec<Stored> = arrived.iter().map(|arrived| arrived.stored.clone()).collect();
    let before = arrived.iter().find_map(|arrived: &Arrived| arrived.before.as_ref());
    let answer = PackageView::answer(&tracking, &stored, before);
    if is_one { Ok(answer) } else { desk.save(&command, Change::default(), answer).await }
}

/// Says that a parcel is empty: what is not booked by now did not come with it.
#[utoipa::path(post, path = "/v1/packages/{tracking}/unpack", tag = "packages", operation_id = "packagesUnpack", params(("tracking" = String, Path, description = "The carrier's number.", max_length = 128)), request_body = UnpackPackage, responses((status = 200, body = PackageView)))]
pub(super) async fn unpack(
    State(desk): State<Desk>,
    Named(tracking): Named<String>,
    command: Command<UnpackPackage>,
) -> Result<Answer, Refused> {
    let body = &command.body;
    lengths(&[
        ("job", body.job.as_deref(), 512),
        ("shortfallReason", body.shortfall_reason.as_deref(), 1000),
    ])?;
    let key = which(&desk, &command.reach, &tracking, body.job.as_deref()).await?;
    let shown = tracking.clone();
    let render = move |stored: &Stored| PackageView::answer(&shown, std::slice::from_ref(stored), None);
    let caller = command.asker(&desk, render.clone());
    let reason = command.body.shortfall_reason.clone();
    Ok(render(&desk.parts().jobs.unpack(&caller, &key, &tracking, reason).await?))
}

/// The one job that a command about a parcel is for.
pub(super) async fn which(
    desk: &Desk,
    reach: &Reach,
    tracking: &str,
    job: Option<&str>,
) -> Result<JobKey, Refused> {
    let found = expected(desk, reach, tracking).await?;
    match (job, found.as_slice()) {
        (_, []) => Err(parcel_unknown(tracking).into()),
        (None, [one]) => Ok(one.job.key.clone()),
        (None, several) => Err(say_which(several).into()),
        (Some(id), several) => {
            let named = JobKey::parse_arm_id(id);
            let found = several.iter().find(|stored| Some(&stored.job.key) == named.as_ref());
            Ok(found.ok_or_else(|| unknown("job", id).with("job", id))?.job.key.clone())
        }
    }
}

fn say_which(several: &[Stored]) -> Problem {
    let jobs: Vec<String> = several.iter().map(|stored| stored.job.key.arm_id()).collect();
    Problem::new(StatusCode::CONFLICT, "job-needed", "The parcel belongs to several jobs.")
        .with("jobs", jobs)
        .with("retryable", false)
        .with("next", "Say which job's part is empty.")
}

/// The jobs that expect a parcel, by its number or by its number with a suffix, and that the caller may know of.
async fn expected(desk: &Desk, reach: &Reach, tracking: &str) -> Result<Vec<Stored>, Refused> {
    if tracking.trim().is_empty() || tracking.len() > 128 {
        return Ok(Vec::new());
    }
    let suffixed = (1..=SUFFIX_MAX).map(|n| format!("{tracking}-{n}"));
    let mut found: Vec<Stored> = Vec::new();
    for number in std::iter::once(tracking.to_owned()).chain(suffixed) {
        for row in desk.ledger().active_jobs_of_parcel(&number).await? {
            let job = super::drives::parse(&row.document)?;
            let is_known = found.iter().any(|known| known.job.key == job.key);
            if !is_known && reach.covers_job(&job.key) {
                found.push(Stored { job, version: row.version });
            }
        }
    }
    Ok(found)
}

impl ReceivePackage {
    /// Code and words in one: the job keeps one text.
    fn condition(&self) -> Option<String> {
        match (&self.condition, &self.note) {
            (Some(condition), Some(note)) => Some(format!("{condition}: {note}")),
            (one, other) => one.clone().or_else(|| other.clone()),
        }
    }
}

impl PackageView {
    /// A parcel that is not here any more.
    pub(super) fn returned(tracking: &str, stored: &Stored) -> Answer {
        let next = "Nothing: it went back.".to_owned();
        Answer::ok(Self { next, ..Self::of(tracking, std::slice::from_ref(stored), None) })
    }

    fn answer(tracking: &str, stored: &[Stored], before: Option<&model::job::Parcel>) -> Answer {
        Answer::ok(Self::of(tracking, stored, before))
    }

    fn of(tracking: &str, stored: &[Stored], before: Option<&model::job::Parcel>) -> Self {
        let is_it = |number: &str| number.trim().eq_ignore_ascii_case(tracking.trim());
        let parcels = stored.iter().flat_map(|stored| &stored.job.parcels);
        let received = parcels.clone().any(|parcel| is_it(&parcel.tracking_number));
        let missing: Vec<&str> = stored
            .iter()
            .flat_map(|stored| &stored.job.drives)
            .filter(|drive| !drive.place.is_here())
            .map(|drive| drive.drive_id.as_str())
            .collect();
        let next = match (received, missing.as_slice()) {
            (false, _) => "Book the parcel in.".to_owned(),
            (true, []) => "Say that the parcel is empty.".to_owned(),
            (true, missing) => format!("Scan each drive. Not here yet: {}.", missing.join(", ")),
        };
        Self {
            tracking_number: tracking.to_owned(),
            received,
            jobs: stored.iter().map(Whole::of).collect(),
            before: before.map(ParcelView::of),
            next,
        }
    }
}

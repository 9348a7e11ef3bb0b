//! What the desk refuses, in the words of RFC 9457: one place that turns errors of the services below into answers.
//!
//! Beside the standard's fields every problem here says whether the same request may succeed later (`retryable`) and,
//! where a person at the bays reads it, what to do next (`next`). What the station's inside looked like goes to the
//! log; what the caller sent is named back to the caller, secrets excepted.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use jobs::{ChangeError, DeskError, LookError};
use ledger::{ApplyError, OfficeError, StoredReply};
use model::job::{Refusal, RefusalKind};
use tracing::error;

use super::cursor::ForeignCursor;
use super::once;
use crate::problem::Problem;

/// What a client waits before it asks a store again that just failed.
const STORE_WAIT_S: u64 = 5;

/// A request that is not served as asked: a problem, or the answer that it got before.
#[derive(Debug)]
pub enum Refused {
    /// What is wrong.
    Problem(Box<Problem>),
    /// The same, and when to come back.
    Later(Box<Problem>, u64),
    /// The same request was answered before.
    Replay(Box<StoredReply>),
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        match self {
            Self::Problem(problem) => problem.into_response(),
            Self::Later(problem, seconds) => {
                let mut response = problem.into_response();
                response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
                response
            }
            Self::Replay(kept) => once::replayed(&kept),
        }
    }
}

impl From<Problem> for Refused {
    fn from(problem: Problem) -> Self {
        Self::Problem(Box::new(problem))
    }
}

impl From<ForeignCursor> for Refused {
    fn from(_: ForeignCursor) -> Self {
        // 404, not 400: the request is well formed, and the page that it names is not there.
        Problem::new(StatusCode::NOT_FOUND, "cursor-unknown", "There is no page under this cursor.")
            .detail("Cursors are good for the list and the filter that gave them. Begin without one.")
            .with("retryable", false)
            .into()
    }
}

impl From<OfficeError> for Refused {
    fn from(error: OfficeError) -> Self {
        store_failed(&error)
    }
}

/// The store failed before anything was written: told to the log whole, to the caller as something to wait for.
pub fn store_failed(error: &dyn std::error::Error) -> Refused {
    unavailable(error, "Nothing was changed.")
}

/// The store failed while it wrote: the change may have been saved, and its answer lost.
pub fn save_failed(error: &dyn std::error::Error) -> Refused {
    unavailable(error, "Whether it was saved is not known: doing it again is safe.")
}

fn unavailable(error: &dyn std::error::Error, detail: &str) -> Refused {
    error!(event = "store_failed", err = chain(error));
    let problem = Problem::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "ledger-unavailable",
        "The station's ledger does not answer.",
    )
    .detail(detail)
    .with("retryable", true)
    .with("next", "Wait a moment and do it again. If it stays so, call the shift lead.");
    Refused::Later(Box::new(problem), STORE_WAIT_S)
}

/// A fault of the station itself, which no repetition mends.
pub fn internal(what: &str, error: &dyn std::error::Error) -> Refused {
    error!(event = "internal", doing = what, err = chain(error));
    Problem::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "internal",
        "The station failed; its log has the request's id.",
    )
    .with("retryable", false)
    .with("next", "Call the shift lead.")
    .into()
}

/// Nothing of that name, or nothing that the caller may know of.
pub fn unknown(what: &str, name: &str) -> Problem {
    Problem::new(StatusCode::NOT_FOUND, &format!("{what}-unknown"), &format!("There is no such {what}."))
        .detail(format!("No {what} {name:?} is known here."))
        .with("retryable", false)
}

/// A field or parameter whose value cannot be.
pub fn invalid(field: &str, why: impl std::fmt::Display) -> Problem {
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", "The request says something that cannot be.")
        .detail(format!("{field}: {why}"))
        .with("field", field)
        .with("retryable", false)
}

/// A change that was not applied.
pub fn not_applied(error: ApplyError) -> Refused {
    match error {
        ApplyError::Replay(kept) => Refused::Replay(kept),
        ApplyError::KeyReused => once::key_reused().into(),
        ApplyError::Conflict { found_version } => changed_meanwhile(found_version).into(),
        ApplyError::DriveTaken { drive_id } => {
            Problem::new(StatusCode::CONFLICT, "drive-taken", "The drive belongs to another active job.")
                .with("drive_id", drive_id.as_str())
                .with("retryable", false)
                .with("next", "Put the drive aside and call the shift lead.")
                .into()
        }
        ApplyError::ClaimLost { drive_id } => {
            Problem::new(StatusCode::CONFLICT, "claim-lost", "Another station took the drive over.")
                .with("drive_id", drive_id.as_str())
                .with("retryable", false)
                .into()
        }
        ref invalid @ ApplyError::Invalid { .. } => internal("saving a change", invalid),
        ref fault @ ApplyError::Fault(_) => save_failed(fault),
    }
}

fn changed_meanwhile(found: Option<i64>) -> Problem {
    let problem =
        Problem::new(StatusCode::CONFLICT, "changed-meanwhile", "Somebody changed it at the same time.")
            .with("retryable", true)
            .with("next", "Do it again.");
    match found {
        Some(version) => problem.with("found", format!("\"{version}\"")),
        None => problem,
    }
}

/// An error and what caused it, on one line.
pub fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |error| error.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

/// Holds texts against the lengths that the document promises: from one character to so many.
///
/// # Errors
/// A 400 that names the first one that has another length.
pub fn lengths(texts: &[(&str, Option<&str>, usize)]) -> Result<(), Refused> {
    let is_wrong = |text: &str, most: usize| !(1..=most).contains(&text.chars().count());
    match texts.iter().find(|(_, text, most)| text.is_some_and(|text| is_wrong(text, *most))) {
        Some((name, _, most)) => {
            Err(out_of_range(format!("{name} has 1 to {most} characters")).with("field", *name).into())
        }
        None => Ok(()),
    }
}

/// A value that can be read, and is out of its range.
pub fn out_of_range(what: impl Into<String>) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "out-of-range", "The request is not what this operation takes.")
        .detail(what)
        .with("retryable", false)
}

/// No job expects this parcel: what to do with one that stands there.
pub fn parcel_unknown(tracking: &str) -> Problem {
    unknown("package", tracking)
        .with("tracking_number", tracking)
        .with("next", "Search by sender or serial number. If nothing fits, put the parcel into quarantine and call the shift lead.")
}

/// Well formed, and not possible as things are.
pub fn conflict(name: &str, title: &str) -> Problem {
    Problem::new(StatusCode::CONFLICT, name, title).with("retryable", false)
}

impl From<LookError> for Refused {
    fn from(error: LookError) -> Self {
        match error {
            LookError::Store(ref source) => store_failed(source),
            ref damaged @ LookError::Document { .. } => internal("reading a job", damaged),
        }
    }
}

impl From<DeskError> for Refused {
    fn from(error: DeskError) -> Self {
        let sentence = error.to_string();
        match error {
            DeskError::Change(change) => change.into(),
            DeskError::UnknownParcel { tracking_number } => parcel_unknown(&tracking_number).into(),
            DeskError::UnknownDrive { drive_id } => super::drives::unknown_drive(drive_id.as_str()).into(),
            DeskError::OtherSite { job, location } => {
                let problem = conflict("other-site", "The job belongs to another site.");
                advised(problem.with("job", job.arm_id()).with("location", location), &sentence).into()
            }
            DeskError::OtherJob { drive_id, other } => {
                let problem = conflict("other-job", "The drive belongs to another job.");
                advised(problem.with("drive_id", drive_id.as_str()).with("job", other.arm_id()), &sentence)
                    .into()
            }
            DeskError::BayTaken { bay, occupant } => {
                let problem = conflict("bay-taken", "Another drive is booked in that bay.");
                let problem = match occupant {
                    Some(occupant) => problem.with("occupant", occupant.as_str()),
                    None => problem,
                };
                advised(problem.with("bay", bay), &sentence).into()
            }
            DeskError::BoxTaken { label, other } => {
                let problem = conflict("box-taken", "Drives of another job are in that box.");
                let problem = match other {
                    Some(other) => problem.with("job", other.arm_id()),
                    None => problem,
                };
                advised(problem.with("label", label), &sentence).into()
            }
            DeskError::Mismatch { label, device, bay } => {
                conflict("mismatch", "Label, device and bay do not belong together.")
                    .detail(sentence)
                    .with("drive_id", label.as_str())
                    .with("label", label.as_str())
                    .with("device", device.as_str())
                    .with("bay", bay)
                    .with("next", "Take the drive out and have the shift lead look at it.")
                    .into()
            }
        }
    }
}

impl From<ChangeError> for Refused {
    fn from(error: ChangeError) -> Self {
        match error {
            ChangeError::NotFound(key) => unknown("job", &key.name).with("job", key.arm_id()).into(),
            ChangeError::Refused(refusal) => of_refusal(&refusal).into(),
            ChangeError::VersionDiffers { found } => super::etag::stale(&found.to_string()).into(),
            ChangeError::Contended => Self::Later(Box::new(changed_meanwhile(None)), 1),
            ChangeError::DriveTaken { drive_id } => not_applied(ApplyError::DriveTaken { drive_id }),
            ChangeError::ClaimLost { drive_id } => not_applied(ApplyError::ClaimLost { drive_id }),
            ChangeError::Replay(kept) => Self::Replay(kept),
            ChangeError::KeyReused => once::key_reused().into(),
            ChangeError::Look(look) => look.into(),
            ref save @ ChangeError::Save(_) => save_failed(save),
            ref other @ (ChangeError::Invalid(_)
            | ChangeError::Seal { .. }
            | ChangeError::CustomerKey(_)
            | ChangeError::Reseal(_)) => internal("changing a job", other),
        }
    }
}

/// What a job does not take: its sentence ends in what to do.
fn of_refusal(refusal: &Refusal) -> Problem {
    let (status, name, title) = match refusal.kind() {
        RefusalKind::NotFound => (StatusCode::NOT_FOUND, "not-of-this-job", "The job has no such thing."),
        RefusalKind::Invalid => {
            (StatusCode::UNPROCESSABLE_ENTITY, "invalid", "The request says something that cannot be.")
        }
        RefusalKind::Conflict | RefusalKind::Exists => {
            (StatusCode::CONFLICT, "not-now", "This is not possible as things are.")
        }
    };
    let problem = Problem::new(status, name, title).with("retryable", false);
    let problem = match about(refusal) {
        Some(drive_id) => problem.with("drive_id", drive_id),
        None => problem,
    };
    advised(problem, &refusal.to_string())
}

fn advised(problem: Problem, sentence: &str) -> Problem {
    let next = sentence.rsplit_once(": ").map_or(sentence, |(_, next)| next);
    let mut next = next.to_owned();
    if let Some(first) = next.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    problem.detail(sentence).with("next", format!("{next}."))
}

/// The drive that a refusal is about.
fn about(refusal: &Refusal) -> Option<String> {
    match refusal {
        Refusal::DriveState { drive_id, .. }
        | Refusal::UnknownDrive { drive_id }
        | Refusal::Held { drive_id, .. }
        | Refusal::NotInBay { drive_id, .. }
        | Refusal::Cancelled { drive_id }
        | Refusal::ExtraIsListed { drive_id }
        | Refusal::TooManyDrives { drive_id }
        | Refusal::EndedOtherwise { drive_id, .. } => Some(drive_id.as_str().to_owned()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_change_that_may_have_been_saved_nobody_says_that_it_was_not() {
        let detail = |refused: Refused| match refused {
            Refused::Later(problem, _) => serde_json::to_value(problem).unwrap()["detail"].to_string(),
            other => panic!("{other:?}"),
        };
        let lost = || std::io::Error::other("the connection broke");
        let saving = detail(ChangeError::Save(Box::new(lost())).into());
        assert!(saving.contains("not known") && saving.contains("again is safe"), "{saving}");
        assert!(detail(store_failed(&lost())).contains("Nothing was changed"));
    }
}

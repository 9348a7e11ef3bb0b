//! What the desk refuses, in the words of RFC 9457: one place that turns errors of the services below into answers.
//!
//! Beside the standard's fields every problem here says whether the same request may succeed later (`retryable`) and,
//! where a person at the bays reads it, what to do next (`next`). What the station's inside looked like goes to the
//! log; what the caller sent is named back to the caller, secrets excepted.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use ledger::{ApplyError, OfficeError, StoredReply};
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

/// The store failed: told to the log whole, to the caller as something to wait for.
pub fn store_failed(error: &dyn std::error::Error) -> Refused {
    error!(event = "store_failed", err = chain(error));
    let problem = Problem::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "ledger-unavailable",
        "The station's ledger does not answer.",
    )
    .detail("Nothing was changed.")
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
        ref fault @ ApplyError::Fault(_) => store_failed(fault),
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

/// A query or header that is read, and out of its range.
pub fn out_of_range(what: &str) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "query-malformed", "The query is not what this operation takes.")
        .detail(what)
        .with("retryable", false)
}

//! How the service's refusals are answered: the one place that chooses status and code for them.

use std::error::Error;

use axum::http::StatusCode;
use jobs::{ChangeError, KeyError, LookError};
use model::DriveId;
use model::job::{Problem, Refusal, RefusalKind};
use tracing::error;

use super::error::{ArmError, Detail};
use super::headers::Ids;

/// The answer when a job could not be looked at.
pub(super) fn look(error: &LookError, ids: &Ids) -> ArmError {
    failed(error, ids)
}

/// The answer when a job was not changed.
pub(super) fn change(error: ChangeError, ids: &Ids) -> ArmError {
    match error {
        ChangeError::NotFound(_) => ArmError::job_not_found(),
        ChangeError::Invalid(problems) => {
            ArmError::invalid_parameters(problems.into_iter().map(detail).collect())
        }
        ChangeError::Refused(refusal) => of_refusal(&refusal),
        ChangeError::Contended | ChangeError::VersionDiffers { .. } | ChangeError::DriveTaken { .. } => {
            let message =
                "The job was changed by others in the meantime. Look at it again and repeat the request.";
            ArmError::new(StatusCode::CONFLICT, "JobStateConflict", message)
        }
        ChangeError::Seal { ref source, .. } => match source.code() {
            Some(code) => customers_key(code),
            None => failed(&error, ids),
        },
        ChangeError::CustomerKey(ref source) => match source.code() {
            Some(code) => customers_key(code),
            None => failed(&error, ids),
        },
        ChangeError::Reseal(error) => key(*error, ids),
        ChangeError::Look(error) => look(&error, ids),
        // No claim and no kept reply are ever given from here.
        ChangeError::ClaimLost { .. }
        | ChangeError::Replay(_)
        | ChangeError::KeyReused
        | ChangeError::Save(_) => failed(&error, ids),
    }
}

/// The answer when keys were not given out.
pub(super) fn key(error: KeyError, ids: &Ids) -> ArmError {
    match error {
        KeyError::Change(error) => change(error, ids),
        KeyError::Open { ref source, .. } => match source.code() {
            Some(code) => customers_key(code),
            None => failed(&error, ids),
        },
        KeyError::NotForThisBay { .. } | KeyError::NoKey { .. } | KeyError::Damaged { .. } => {
            failed(&error, ids)
        }
    }
}

/// The answer when a kept key is no text.
pub(super) fn unreadable_key(drive_id: &DriveId, ids: &Ids) -> ArmError {
    error!(event = "arm_request_failed", request_id = %ids.request(), drive = drive_id.as_str(), err = "the kept key is no text");
    ArmError::internal()
}

/// The customer's own key does not serve; the code says how (spec §4.7).
fn customers_key(code: &'static str) -> ArmError {
    let message = "The job's customer-managed key cannot be used. Check that the key and its vault exist and are \
                   enabled, and that the station's identity may get, wrap and unwrap with it.";
    ArmError::new(StatusCode::CONFLICT, code, message).target("properties.encryptionKey")
}

fn failed(fault: &(dyn Error + 'static), ids: &Ids) -> ArmError {
    error!(event = "arm_request_failed", request_id = %ids.request(), err = chain(fault));
    ArmError::internal()
}

/// A problem as an error body has it.
pub(super) fn detail(problem: Problem) -> Detail {
    Detail { code: problem.code.as_str().to_owned(), target: problem.target, message: problem.message }
}

fn of_refusal(refusal: &Refusal) -> ArmError {
    if let Refusal::ShipIncomplete { missing } = refusal {
        let missing = missing.iter().map(|target| Detail {
            code: "Missing".to_owned(),
            target: (*target).to_owned(),
            message: format!("'{target}' is required before the state can be Shipping."),
        });
        return ArmError::invalid_parameters(missing.collect());
    }
    let told = sentence(refusal);
    let error = match refusal.kind() {
        RefusalKind::Conflict => ArmError::new(StatusCode::CONFLICT, "JobStateConflict", told),
        RefusalKind::Exists => ArmError::new(StatusCode::CONFLICT, "JobAlreadyExists", told),
        RefusalKind::Invalid => ArmError::new(StatusCode::BAD_REQUEST, "InvalidParameter", told),
        RefusalKind::NotFound => ArmError::new(StatusCode::NOT_FOUND, "ResourceNotFound", told),
    };
    match refusal {
        Refusal::FieldFixed { field, .. } | Refusal::Immutable { field } => error.target(*field),
        Refusal::KeyGoesBack => error.target("properties.encryptionKey.kekType"),
        _ => error,
    }
}

/// The refusal's text as a sentence of its own.
fn sentence(refusal: &Refusal) -> String {
    let text = refusal.to_string();
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| format!("{}{}.", first.to_uppercase(), letters.as_str()))
}

fn chain(error: &(dyn Error + 'static)) -> String {
    let (mut text, mut cause) = (error.to_string(), error.source());
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

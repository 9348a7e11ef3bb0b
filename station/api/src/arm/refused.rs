//! How the service's refusals are answered: the one place that chooses status and code for them.

use std::error::Error;

use axum::http::StatusCode;
use jobs::{ChangeError, KeyError, LookError};
use keys::{CustomerKeyError, OpenError, SealError};
use model::job::{Problem, Refusal, RefusalKind};
use model::{Class, DriveId};
use tracing::{error, warn};

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
        ChangeError::Seal { ref source, .. } => match &**source {
            SealError::CustomerKey { source, .. } => customers_key(source, &error, ids),
            SealError::Long { .. } => failed(&error, ids),
        },
        ChangeError::CustomerKey(ref source) => customers_key(source, &error, ids),
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
        KeyError::Open { ref source, .. } => match &**source {
            OpenError::CustomerKey { source, .. } => customers_key(source, &error, ids),
            OpenError::UnknownMasterKey { .. } | OpenError::Refused { .. } => failed(&error, ids),
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

/// The customer's own key does not serve: by the service's code where it has one (spec §4.7), else by who can
/// mend it. What is the station's fault is for its log alone.
fn customers_key(why: &CustomerKeyError, fault: &(dyn Error + 'static), ids: &Ids) -> ArmError {
    if let Some(code) = why.code() {
        let message = format!(
            "The job's customer-managed key cannot be used ({code}). Check that the key and its vault exist and are \
             enabled, and that the station's identity may get, wrap and unwrap with it."
        );
        return ArmError::new(StatusCode::CONFLICT, code, message).target("properties.encryptionKey");
    }
    if why.is_wrong_key() {
        let (code, message) = ("Invalid".to_owned(), chain(why));
        let target = "properties.encryptionKey.kekUrl".to_owned();
        return ArmError::invalid_parameters(vec![Detail { code, target, message }]);
    }
    if why.class() == Class::RetryRequest {
        warn!(event = "arm_key_vault_unavailable", request_id = %ids.request(), err = chain(fault));
        let message = "The key vault of the job's customer-managed key does not answer. Repeat the request.";
        return ArmError::new(StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailable", message)
            .target("properties.encryptionKey");
    }
    failed(fault, ids)
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

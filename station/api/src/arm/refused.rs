//! How the service's refusals are answered: the one place that chooses status and code for them.

use axum::http::StatusCode;
use model::job::{Problem, Refusal, RefusalKind};
use tracing::error;

use super::error::{ArmError, Detail};
use super::headers::Ids;
use super::service::Refused;

/// The answer to a refusal of the service.
pub(super) fn answer(refused: Refused, ids: &Ids) -> ArmError {
    match refused {
        Refused::NotFound => ArmError::job_not_found(),
        Refused::Problems(problems) => {
            ArmError::invalid_parameters(problems.into_iter().map(detail).collect())
        }
        Refused::Refusal(refusal) => of_refusal(&refusal),
        Refused::Contended => {
            let message =
                "The job was changed by others in the meantime. Look at it again and repeat the request.";
            ArmError::new(StatusCode::CONFLICT, "JobStateConflict", message)
        }
        Refused::Fault(fault) => {
            error!(event = "arm_request_failed", request_id = %ids.request(), err = chain(&*fault));
            ArmError::internal()
        }
    }
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

fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

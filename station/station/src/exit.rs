//! Which exit code an ingest ends with.

use model::Exit;
use model::drive::{Phase, Suspension};
use model::status::DriveStatus;
use transfer::logs::Tally;

/// The ending of an ingest.
pub fn of(phase: Phase, tally: &Tally, strict: bool) -> Exit {
    match phase {
        Phase::Ended { status } | Phase::Logging { status } => of_status(status, tally, strict),
        Phase::Suspended { reason } => match reason {
            Suspension::HeldForCustomer | Suspension::TakenOver => Exit::Retryable,
            Suspension::DriveLost => Exit::MediaErrors,
            Suspension::Stopped => Exit::Interrupted,
            Suspension::StationFault => Exit::Fatal,
        },
        Phase::Arrived | Phase::Recognised | Phase::Unlocked | Phase::Proven | Phase::Copying => Exit::Other,
    }
}

/// The ending of a drive with this status.
pub fn of_status(status: DriveStatus, tally: &Tally, strict: bool) -> Exit {
    match status {
        DriveStatus::CompletedWithWarnings if strict => Exit::Warnings,
        DriveStatus::CompletedWithErrors if tally.corrupted_chunks > 0 => Exit::VerificationFailed,
        DriveStatus::CompletedWithErrors if tally.unreadable_chunks > 0 => Exit::MediaErrors,
        other => Exit::of_drive(other),
    }
}

/// An error that ends the program, and with which code.
#[derive(Debug)]
pub struct Failure {
    /// Code.
    pub exit: Exit,
    /// What to print, with its causes.
    pub cause: anyhow::Error,
}

impl Failure {
    /// Wrong arguments or files.
    pub fn usage(cause: impl Into<anyhow::Error>) -> Failure {
        Failure { exit: Exit::Usage, cause: cause.into() }
    }

    /// The station cannot go on.
    pub fn fatal(cause: impl Into<anyhow::Error>) -> Failure {
        Failure { exit: Exit::Fatal, cause: cause.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_of_a_drives_errors_decides_the_code() {
        let status = DriveStatus::CompletedWithErrors;
        let corrupted = Tally { corrupted_chunks: 1, unreadable_chunks: 1, ..Tally::default() };
        let unreadable = Tally { unreadable_chunks: 1, ..Tally::default() };
        assert_eq!(of_status(status, &corrupted, false).code(), 11);
        assert_eq!(of_status(status, &unreadable, false).code(), 12);
        assert_eq!(of_status(status, &Tally::default(), false).code(), 10);
    }

    #[test]
    fn warnings_fail_only_when_asked_for() {
        let status = DriveStatus::CompletedWithWarnings;
        assert_eq!(of_status(status, &Tally::default(), false).code(), 0);
        assert_eq!(of_status(status, &Tally::default(), true).code(), 3);
    }

    #[test]
    fn a_stopped_ingest_ends_like_any_interrupted_program() {
        let phase = Phase::Suspended { reason: Suspension::Stopped };
        assert_eq!(of(phase, &Tally::default(), false).code(), 130);
    }
}

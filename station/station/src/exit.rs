//! Exit codes: operations.md §6.6. One place turns endings into numbers.

use std::process::ExitCode;

use model::drive::{Phase, Suspension};
use model::status::DriveStatus;
use transfer::logs::Tally;

/// How the program ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Success, everything reconciles.
    Success,
    /// Uncategorised.
    Other,
    /// Usage or configuration.
    Usage,
    /// Completed with warnings, asked for by `--strict`.
    Warnings,
    /// Held: the same command may succeed once the cause is mended.
    Retryable,
    /// Failed, and retrying will not help.
    NotRetryable,
    /// The station itself cannot go on.
    Fatal,
    /// Items are missing.
    Incomplete,
    /// Data differ from the manifest.
    VerificationFailed,
    /// The medium could not be read.
    MediaErrors,
    /// Drive not found, or the wrong drive.
    WrongDrive,
    /// The drive could not be unlocked.
    UnlockFailed,
    /// Manifest missing, modified or unreadable.
    Manifest,
    /// Interrupted.
    Interrupted,
}

impl Exit {
    /// The process' code.
    pub fn code(self) -> u8 {
        match self {
            Exit::Success => 0,
            Exit::Other => 1,
            Exit::Usage => 2,
            Exit::Warnings => 3,
            Exit::Retryable => 5,
            Exit::NotRetryable => 6,
            Exit::Fatal => 7,
            Exit::Incomplete => 10,
            Exit::VerificationFailed => 11,
            Exit::MediaErrors => 12,
            Exit::WrongDrive => 20,
            Exit::UnlockFailed => 21,
            Exit::Manifest => 30,
            Exit::Interrupted => 130,
        }
    }

    /// The ending of an ingest.
    pub fn of(phase: Phase, tally: &Tally, strict: bool) -> Exit {
        match phase {
            Phase::Ended { status } | Phase::Logging { status } => Exit::of_status(status, tally, strict),
            Phase::Suspended { reason } => match reason {
                Suspension::HeldForCustomer => Exit::Retryable,
                Suspension::DriveLost => Exit::MediaErrors,
                Suspension::Stopped => Exit::Interrupted,
                Suspension::StationFault => Exit::Fatal,
            },
            Phase::Arrived | Phase::Recognised | Phase::Unlocked | Phase::Proven | Phase::Copying => {
                Exit::Other
            }
        }
    }

    /// The ending of a drive with this status.
    pub fn of_status(status: DriveStatus, tally: &Tally, strict: bool) -> Exit {
        match status {
            DriveStatus::Completed => Exit::Success,
            DriveStatus::CompletedWithWarnings if strict => Exit::Warnings,
            DriveStatus::CompletedWithWarnings => Exit::Success,
            DriveStatus::CompletedWithErrors if tally.corrupted_chunks > 0 => Exit::VerificationFailed,
            DriveStatus::CompletedWithErrors if tally.unreadable_chunks > 0 => Exit::MediaErrors,
            DriveStatus::CompletedWithErrors => Exit::Incomplete,
            DriveStatus::DiskNotFound | DriveStatus::ManifestDriveIdMismatch => Exit::WrongDrive,
            DriveStatus::DiskOperationFailed => Exit::MediaErrors,
            DriveStatus::VolumeNotNtfs => Exit::NotRetryable,
            DriveStatus::BitLockerVolumeNotFound
            | DriveStatus::BitLockerNotActivated
            | DriveStatus::BitLockerProtectorNotFound
            | DriveStatus::BitLockerKeyInvalid
            | DriveStatus::BitLockerUnlockVolumeFailed
            | DriveStatus::BitLockerFailed => Exit::UnlockFailed,
            DriveStatus::ManifestNameInvalid
            | DriveStatus::ManifestNameTooLong
            | DriveStatus::ManifestNotFound
            | DriveStatus::ManifestAccessDenied
            | DriveStatus::ManifestCorrupted
            | DriveStatus::ManifestFormatInvalid
            | DriveStatus::ReadManifestFailed
            | DriveStatus::BlobListFormatInvalid => Exit::Manifest,
            DriveStatus::BlobRequestForbidden => Exit::Retryable,
            DriveStatus::InternalError => Exit::Fatal,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit.code())
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
        assert_eq!(Exit::of_status(status, &corrupted, false).code(), 11);
        assert_eq!(Exit::of_status(status, &unreadable, false).code(), 12);
        assert_eq!(Exit::of_status(status, &Tally::default(), false).code(), 10);
    }

    #[test]
    fn warnings_fail_only_when_asked_for() {
        let status = DriveStatus::CompletedWithWarnings;
        assert_eq!(Exit::of_status(status, &Tally::default(), false).code(), 0);
        assert_eq!(Exit::of_status(status, &Tally::default(), true).code(), 3);
    }

    #[test]
    fn a_stopped_ingest_ends_like_any_interrupted_program() {
        let phase = Phase::Suspended { reason: Suspension::Stopped };
        assert_eq!(Exit::of(phase, &Tally::default(), false).code(), 130);
    }
}

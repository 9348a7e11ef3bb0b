//! Exit codes of the programs: operations.md §6.6. One table turns endings into numbers.

use std::process::ExitCode;

use crate::status::DriveStatus;

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
    /// The ending of a command about a drive with this status. `CompletedWithErrors` says that
    /// something is missing; who knows what makes it [`Exit::VerificationFailed`] or
    /// [`Exit::MediaErrors`].
    pub fn of_drive(status: DriveStatus) -> Exit {
        match status {
            DriveStatus::Completed | DriveStatus::CompletedWithWarnings => Exit::Success,
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
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit.code())
    }
}

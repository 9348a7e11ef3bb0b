//! Why the office's ledger could not: refusals that a caller answers, and faults of the store.

use model::{Class, DriveId};

use super::reply::StoredReply;
use crate::error::Fault;

/// Something could not be read, or a small thing not be written.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{doing}")]
pub struct OfficeError {
    /// What was being done, as "reading a job".
    pub doing: &'static str,
    /// Why.
    #[source]
    pub fault: Fault,
}

impl OfficeError {
    /// See [`crate::FaultKind::class`].
    pub fn class(&self) -> Class {
        self.fault.kind.class()
    }
}

/// A change was not applied, and nothing of it is there.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ApplyError {
    /// Somebody else changed the job or the secret since it was read, made one of that name, or deleted it.
    #[error("it was changed in the meantime")]
    Conflict {
        /// The version that is there; none when there is no such job, and for a secret, which has none.
        found_version: Option<i64>,
    },
    /// The drive is in another active job.
    #[error("drive {drive_id} belongs to another active job")]
    DriveTaken {
        /// Which drive.
        drive_id: DriveId,
    },
    /// The claim under which it was done has been given to somebody else, or was let go.
    #[error("the claim on drive {drive_id} is no longer ours")]
    ClaimLost {
        /// Which drive.
        drive_id: DriveId,
    },
    /// The same request was answered before: this is the answer.
    #[error("the request was answered before")]
    Replay(Box<StoredReply>),
    /// Another request was answered under the same idempotency key.
    #[error("the idempotency key was used for another request")]
    KeyReused,
    /// The change cannot be stored as it is: a mistake of the caller.
    #[error("a change that cannot be stored: {what}")]
    Invalid {
        /// What is wrong with it.
        what: String,
    },
    /// The store failed.
    #[error("saving a change")]
    Fault(#[source] Fault),
}

impl ApplyError {
    /// What is refused harms nothing and is answered; a fault stops the station.
    pub fn class(&self) -> Class {
        match self {
            // Whoever lost the claim must stop touching the drive; what was copied stays.
            ApplyError::ClaimLost { .. } => Class::FailDrive,
            ApplyError::Conflict { .. } | ApplyError::Replay(_) => Class::RetryRequest,
            ApplyError::DriveTaken { .. } | ApplyError::KeyReused | ApplyError::Invalid { .. } => {
                Class::HoldForCustomer
            }
            ApplyError::Fault(fault) => fault.kind.class(),
        }
    }
}

/// A claim was not renewed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ClaimError {
    /// It has been given to somebody else, or was let go.
    #[error("the claim on drive {drive_id} is no longer ours")]
    Lost {
        /// Which drive.
        drive_id: DriveId,
    },
    /// The store failed.
    #[error("renewing the claim on drive {drive_id}")]
    Fault {
        /// Which drive.
        drive_id: DriveId,
        /// Why.
        #[source]
        fault: Fault,
    },
}

impl ClaimError {
    /// Whoever lost the claim must stop touching the drive; a fault stops the station.
    pub fn class(&self) -> Class {
        match self {
            ClaimError::Lost { .. } => Class::FailDrive,
            ClaimError::Fault { fault, .. } => fault.kind.class(),
        }
    }
}

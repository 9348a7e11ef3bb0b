//! Why the service did not do it: refusals that are answered, and faults.

use std::error::Error;

use keys::{CustomerKeyError, OpenError, SealError};
use ledger::{ApplyError, OfficeError, StoredReply};
use model::job::{JobKey, Parcel, Place, Problem, Refusal};
use model::{Class, DriveId};

/// A job could not be looked at.
#[derive(Debug, thiserror::Error)]
pub enum LookError {
    /// The store failed.
    #[error("looking a job up")]
    Store(#[source] OfficeError),
    /// What is stored is no job that this version knows.
    #[error("the stored job {job} cannot be read")]
    Document {
        /// Which job.
        job: Box<JobKey>,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
}

impl LookError {
    /// A damaged document is one job's trouble; a store's fault is the station's.
    pub fn class(&self) -> Class {
        match self {
            LookError::Store(error) => error.class(),
            LookError::Document { .. } => Class::HoldForCustomer,
        }
    }
}

/// A job was not changed. It is as it was, unless it says otherwise.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    /// There is no such job.
    #[error("there is no job {0}")]
    NotFound(Box<JobKey>),
    /// The request's fields are wrong: all that are.
    #[error("{} fields of the request are wrong", .0.len())]
    Invalid(Vec<Problem>),
    /// The job does not take it now.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The caller saw another version.
    #[error("the job has version {found}, not the one that was seen: look at it again")]
    VersionDiffers {
        /// The version that it has.
        found: i64,
    },
    /// Others were faster, again and again.
    #[error("the job was changed by others each time that it was tried: try again")]
    Contended,
    /// The drive is in another active job.
    #[error("drive {drive_id} belongs to another active job")]
    DriveTaken {
        /// Which drive.
        drive_id: DriveId,
    },
    /// The drive is somebody else's to work on now.
    #[error("the claim on drive {drive_id} is no longer ours: stop working on it")]
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
    /// A key could not be sealed.
    #[error("sealing the key of drive {drive_id}")]
    Seal {
        /// Which drive.
        drive_id: DriveId,
        /// Why.
        #[source]
        source: Box<SealError>,
    },
    /// The customer's key cannot be used; [`CustomerKeyError::code`] has the service's word for it.
    #[error("the customer's key cannot be used: mend it in the key vault, or name another")]
    CustomerKey(#[source] Box<CustomerKeyError>),
    /// A kept key could not be sealed anew under the customer's.
    #[error("sealing the job's keys anew")]
    Reseal(#[source] Box<KeyError>),
    /// The job could not be looked at.
    #[error(transparent)]
    Look(#[from] LookError),
    /// The change could not be saved. Whether it was is unknown: repeating it is safe.
    #[error("saving a change of a job")]
    Save(#[source] Box<dyn Error + Send + Sync>),
}

impl ChangeError {
    pub(crate) fn of(error: ApplyError) -> ChangeError {
        match error {
            ApplyError::Conflict { .. } => ChangeError::Contended,
            ApplyError::DriveTaken { drive_id } => ChangeError::DriveTaken { drive_id },
            ApplyError::ClaimLost { drive_id } => ChangeError::ClaimLost { drive_id },
            ApplyError::Replay(reply) => ChangeError::Replay(reply),
            ApplyError::KeyReused => ChangeError::KeyReused,
            error @ (ApplyError::Invalid { .. } | ApplyError::Fault(_)) => ChangeError::Save(Box::new(error)),
        }
    }

    /// What it leads to where the station must decide, in a bay.
    pub fn class(&self) -> Class {
        match self {
            ChangeError::Contended => Class::RetryRequest,
            ChangeError::ClaimLost { .. } => Class::FailDrive,
            ChangeError::NotFound(_)
            | ChangeError::Invalid(_)
            | ChangeError::Refused(_)
            | ChangeError::VersionDiffers { .. }
            | ChangeError::DriveTaken { .. }
            | ChangeError::Replay(_)
            | ChangeError::KeyReused => Class::HoldForCustomer,
            ChangeError::Seal { source, .. } => source.class(),
            ChangeError::CustomerKey(error) => error.class(),
            ChangeError::Reseal(error) => error.class(),
            ChangeError::Look(error) => error.class(),
            ChangeError::Save(_) => Class::StopStation,
        }
    }
}

/// What the desk is told when a scan does not fit.
#[derive(Debug, thiserror::Error)]
pub enum DeskError {
    /// No active job expects this parcel.
    #[error(
        "no job expects a parcel {tracking_number:?}: put it into quarantine and search by sender or serial number"
    )]
    UnknownParcel {
        /// The carrier's number.
        tracking_number: String,
    },
    /// No active job has this drive.
    #[error("no active job has drive {drive_id}: check the serial number, or book it as an extra drive")]
    UnknownDrive {
        /// The serial number.
        drive_id: DriveId,
    },
    /// The job belongs to another site.
    #[error("job {job} belongs to {location}: forward the parcel there, or send it back")]
    OtherSite {
        /// Which job.
        job: Box<JobKey>,
        /// Where it belongs.
        location: String,
    },
    /// The drive belongs to another job.
    #[error("drive {drive_id} belongs to job {other}: put it into that job's box")]
    OtherJob {
        /// Which drive.
        drive_id: DriveId,
        /// Whose it is.
        other: Box<JobKey>,
    },
    /// Label, device and bay do not agree.
    #[error(
        "label {label}, device {device}, bay {bay}: they do not belong together; take the drive out and have the lead look at it"
    )]
    Mismatch {
        /// What the label says.
        label: DriveId,
        /// What the device in the bay says.
        device: DriveId,
        /// The bay that was scanned.
        bay: String,
    },
    /// Another drive is booked in that bay.
    #[error("bay {bay} has {}: release that one first, or take another bay", named(occupant.as_ref()))]
    BayTaken {
        /// Which bay.
        bay: String,
        /// Which drive is in it, if the caller may know of it.
        occupant: Option<DriveId>,
    },
    /// Another job's drives are in that box.
    #[error(
        "box {label} has drives of {}: put this one into a box of its own job",
        other.as_ref().map_or_else(|| "another job".to_owned(), |other| format!("job {other}"))
    )]
    BoxTaken {
        /// Which box.
        label: String,
        /// Whose it is, if the caller may know of it.
        other: Option<Box<JobKey>>,
    },
    /// The job was not changed.
    #[error(transparent)]
    Change(#[from] ChangeError),
}

fn named(drive_id: Option<&DriveId>) -> String {
    drive_id.map_or_else(|| "another drive".to_owned(), |drive_id| format!("drive {drive_id}"))
}

impl From<LookError> for DeskError {
    fn from(error: LookError) -> DeskError {
        DeskError::Change(error.into())
    }
}

impl From<Refusal> for DeskError {
    fn from(refusal: Refusal) -> DeskError {
        DeskError::Change(refusal.into())
    }
}

/// A key was not given out.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The drive was not given to that bay, or no work may begin on it.
    #[error(
        "the key of drive {drive_id} is not given out in bay {bay}: the drive is {place}, the job {state}; assign it first"
    )]
    NotForThisBay {
        /// The serial number that the bay saw.
        drive_id: DriveId,
        /// Which bay.
        bay: String,
        /// Where the drive should be.
        place: Place,
        /// Where the job is.
        state: model::job::JobState,
    },
    /// There is no key for the drive.
    #[error("no key of drive {drive_id} is kept: ask the customer for it")]
    NoKey {
        /// Which drive.
        drive_id: DriveId,
    },
    /// What is kept is no sealed key.
    #[error("the sealed key of drive {drive_id} is damaged")]
    Damaged {
        /// Which drive.
        drive_id: DriveId,
        /// What is wrong with it.
        #[source]
        source: keys::Malformed,
    },
    /// It does not open.
    #[error("opening the key of drive {drive_id}")]
    Open {
        /// Which drive.
        drive_id: DriveId,
        /// Why.
        #[source]
        source: Box<OpenError>,
    },
    /// The release could not be recorded, so the key is not given out.
    #[error(transparent)]
    Change(#[from] ChangeError),
}

impl From<LookError> for KeyError {
    fn from(error: LookError) -> KeyError {
        KeyError::Change(error.into())
    }
}

impl KeyError {
    /// The code that the Import/Export service has for it, where the customer's own key is what fails.
    pub fn code(&self) -> Option<&'static str> {
        match self {
            KeyError::Open { source, .. } => source.code(),
            KeyError::NotForThisBay { .. }
            | KeyError::NoKey { .. }
            | KeyError::Damaged { .. }
            | KeyError::Change(_) => None,
        }
    }

    /// What it leads to in the bay.
    pub fn class(&self) -> Class {
        match self {
            KeyError::NotForThisBay { .. } | KeyError::NoKey { .. } | KeyError::Damaged { .. } => {
                Class::HoldForCustomer
            }
            KeyError::Open { source, .. } => source.class(),
            KeyError::Change(error) => error.class(),
        }
    }
}

/// A parcel that was there already, for a message.
pub(crate) fn known_parcel<'a>(parcels: &'a [Parcel], tracking_number: &str) -> Option<&'a Parcel> {
    parcels.iter().find(|parcel| parcel.tracking_number.eq_ignore_ascii_case(tracking_number))
}

//! Why an event cannot be had now, and what to do instead.
//!
//! Each sentence is read by a customer or by somebody with a drive in hand: it ends in what to do.

use super::event::EventName;
use super::words::{DriveState, JobState};
use super::{Place, RECORDS_MAX, state_advice};
use crate::DriveId;

/// Why a job does not take an event. The job stays as it was.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Not in this state of the job.
    #[error("{} is not possible while the job is {state}: {}", event.as_str(), state_advice(*event, *state))]
    State {
        /// What was asked.
        event: EventName,
        /// Where the job is.
        state: JobState,
    },
    /// Not in this state of the drive.
    #[error("{} is not possible while drive {drive_id} is {state}: {advice}", event.as_str())]
    DriveState {
        /// What was asked.
        event: EventName,
        /// For which drive.
        drive_id: DriveId,
        /// Where it is.
        state: DriveState,
        /// What to do instead.
        advice: &'static str,
    },
    /// The job has no such drive.
    #[error(
        "drive {drive_id} is not one of this job's: look the serial number up, or book it as an extra drive"
    )]
    UnknownDrive {
        /// The serial number.
        drive_id: DriveId,
    },
    /// The job has no such parcel.
    #[error("no parcel {tracking_number:?} of this job has been received: scan the parcel in first")]
    UnknownParcel {
        /// The carrier's number.
        tracking_number: String,
    },
    /// The drive is on hold.
    #[error("drive {drive_id} is on hold ({reason}): resume it first")]
    Held {
        /// Which.
        drive_id: DriveId,
        /// Why.
        reason: String,
    },
    /// The drive is not in a bay.
    #[error("drive {drive_id} is not in a bay but: {place}; assign it to a bay first")]
    NotInBay {
        /// Which.
        drive_id: DriveId,
        /// Where it is.
        place: Place,
    },
    /// Another drive has the bay.
    #[error("bay {bay} has drive {occupant}: release that one first, or take another bay")]
    BayTaken {
        /// Which bay.
        bay: String,
        /// Who is in it.
        occupant: DriveId,
    },
    /// The job is cancelled: nothing more is copied.
    #[error("the job is cancelled and drive {drive_id} is not copied: leave it for packing")]
    Cancelled {
        /// Which drive.
        drive_id: DriveId,
    },
    /// A job cannot be shipped without these.
    #[error("the job cannot be shipped without {}: send them with or before the state", missing.join(", "))]
    ShipIncomplete {
        /// JSON paths of what is missing.
        missing: Vec<&'static str>,
    },
    /// Nobody to send the drives back with.
    #[error(
        "the job has no returnShipping: ask the customer for a carrier account before sending drives back"
    )]
    ReturnShippingMissing,
    /// The field can no longer be changed.
    #[error("{field} cannot be changed while the job is {state}: {advice}")]
    FieldFixed {
        /// The field's JSON path.
        field: &'static str,
        /// Where the job is.
        state: JobState,
        /// What to do instead.
        advice: &'static str,
    },
    /// The field can never be changed.
    #[error(
        "{field} of an existing job cannot be changed: delete the job, or choose another name for the new one"
    )]
    Immutable {
        /// The field's JSON path.
        field: &'static str,
    },
    /// A customer's key is never given up for the station's.
    #[error("a job with a customer-managed key cannot go back: keep kekType CustomerManaged")]
    KeyGoesBack,
    /// A parcel or a drive of the job is here.
    #[error("drives of this job are at the station: ship the job, or cancel it and wait for their return")]
    DrivesHere,
    /// Drives are missing and nobody says why.
    #[error("the parcel is short of {}: give a reason for the shortfall", listed(missing))]
    ShortfallUnexplained {
        /// Drives of the list that are not booked; empty for an export, whose drives have no names yet.
        missing: Vec<DriveId>,
    },
    /// An extra drive that is on the list.
    #[error("drive {drive_id} is on this job's list: receive it as one of the job's")]
    ExtraIsListed {
        /// Which.
        drive_id: DriveId,
    },
    /// More drives than a job can have.
    #[error(
        "the job has {} drives, which is the most: book drive {drive_id} as an extra drive",
        super::DRIVES_MAX
    )]
    TooManyDrives {
        /// The one too many.
        drive_id: DriveId,
    },
    /// The drive is not here.
    #[error("drive {drive_id} is not at a station but: {place}; scan the drive that you hold")]
    NotHere {
        /// Which.
        drive_id: DriveId,
        /// Where it is.
        place: Place,
    },
    /// Drives that should go back are not in the box.
    #[error("the box is incomplete: {}; pack them first", located(missing))]
    BoxIncomplete {
        /// What is missing, and where it is.
        missing: Vec<(DriveId, Place)>,
    },
    /// The number of drives on the label is not that in the box.
    #[error("the return parcel says {given} drives and {packed} are packed: count again")]
    CountDiffers {
        /// As given.
        given: u32,
        /// As scanned.
        packed: u32,
    },
    /// The return parcel lacks something.
    #[error("the return parcel needs {}: fill it in", missing.join(", "))]
    ReturnIncomplete {
        /// Fields that are empty.
        missing: Vec<&'static str>,
    },
    /// The drives have gone already, in another parcel.
    #[error("the drives went back in parcel {tracking_number:?}: check the number")]
    AlreadyReturned {
        /// That parcel's number.
        tracking_number: String,
    },
    /// Only exports have this.
    #[error("{} belongs to export jobs and this is an import: check the job", event.as_str())]
    ExportOnly {
        /// What was asked.
        event: EventName,
    },
    /// More than everything.
    #[error("{found} % cannot be: report 0 to 100")]
    Percent {
        /// As reported.
        found: u8,
    },
    /// The drive has ended otherwise.
    #[error("drive {drive_id} has ended already with {found}: report its end once")]
    EndedOtherwise {
        /// Which.
        drive_id: DriveId,
        /// How.
        found: &'static str,
    },
    /// Not the state in which the drives are.
    #[error("the job cannot go back to {to}: by its drives it belongs in {right}")]
    WrongPutBack {
        /// As asked.
        to: JobState,
        /// Where it belongs.
        right: JobState,
    },
    /// Ninety days are not over, or nothing is undeliverable.
    #[error(
        "the drives may not be destroyed: report the return as impossible and wait ninety days from then"
    )]
    NotToBeDestroyed,
    /// A text is empty, too long, or has control characters.
    #[error("{} has a text that is empty, longer than 1,024 characters or not one line: type it anew", event.as_str())]
    Text {
        /// What was asked.
        event: EventName,
    },
    /// The job's record is full.
    #[error("{} is not possible: the job has {RECORDS_MAX} of these already; put it into quarantine and call the lead", event.as_str())]
    Full {
        /// What was asked.
        event: EventName,
    },
    /// Somebody must say why.
    #[error("{} needs a reason: say why", event.as_str())]
    ReasonMissing {
        /// What was asked.
        event: EventName,
    },
}

/// What a refusal means to whoever answers a request; the HTTP status is chosen by the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefusalKind {
    /// Not now: another state is needed first.
    Conflict,
    /// The name is taken by something else.
    Exists,
    /// Never like this: the request itself is wrong.
    Invalid,
    /// There is no such drive or parcel.
    NotFound,
}

impl Refusal {
    /// What it means to whoever asked.
    pub fn kind(&self) -> RefusalKind {
        match self {
            Refusal::Immutable { .. } => RefusalKind::Exists,
            Refusal::UnknownDrive { .. } | Refusal::UnknownParcel { .. } => RefusalKind::NotFound,
            Refusal::ShipIncomplete { .. }
            | Refusal::ShortfallUnexplained { .. }
            | Refusal::CountDiffers { .. }
            | Refusal::ReturnIncomplete { .. }
            | Refusal::ExportOnly { .. }
            | Refusal::Percent { .. }
            | Refusal::Text { .. }
            | Refusal::ReasonMissing { .. } => RefusalKind::Invalid,
            Refusal::State { .. }
            | Refusal::DriveState { .. }
            | Refusal::Held { .. }
            | Refusal::NotInBay { .. }
            | Refusal::BayTaken { .. }
            | Refusal::Cancelled { .. }
            | Refusal::ReturnShippingMissing
            | Refusal::FieldFixed { .. }
            | Refusal::KeyGoesBack
            | Refusal::DrivesHere
            | Refusal::ExtraIsListed { .. }
            | Refusal::TooManyDrives { .. }
            | Refusal::Full { .. }
            | Refusal::NotHere { .. }
            | Refusal::BoxIncomplete { .. }
            | Refusal::AlreadyReturned { .. }
            | Refusal::EndedOtherwise { .. }
            | Refusal::WrongPutBack { .. }
            | Refusal::NotToBeDestroyed => RefusalKind::Conflict,
        }
    }
}

fn listed(drives: &[DriveId]) -> String {
    if drives.is_empty() {
        return "drives".to_owned();
    }
    let names: Vec<&str> = drives.iter().map(DriveId::as_str).collect();
    names.join(", ")
}

fn located(drives: &[(DriveId, Place)]) -> String {
    let lines: Vec<String> = drives.iter().map(|(drive_id, place)| format!("{drive_id} ({place})")).collect();
    lines.join(", ")
}

//! What can happen to a job, and what then has to be done.
//!
//! One flat list: a new event does not compile until `step` and the matrix of tests decide on it.

use super::accept::{AcceptedJob, AcceptedUpdate};
use super::fields::ReturnPackage;
use super::words::{JobState, TimerKind};
use crate::DriveId;
use crate::status::DriveStatus;

/// Something that happened, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// When, in Unix milliseconds. The machine has no clock.
    pub at_unix_ms: i64,
    /// What.
    pub what: Happening,
}

macro_rules! happenings {
    ($($(#[$doc:meta])* $name:ident $({ $($(#[$field_doc:meta])* $field:ident: $type:ty,)+ })? $(($inner:ty))?,)+) => {
        /// What happened.
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub enum Happening {
            $($(#[$doc])* $name $({ $($(#[$field_doc])* $field: $type,)+ })? $(($inner))?,)+
        }

        /// An event without its content.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum EventName { $($(#[$doc])* $name,)+ }

        impl EventName {
            /// Every event there is.
            pub const ALL: &'static [EventName] = &[$(EventName::$name,)+];

            /// The event's name.
            pub fn as_str(self) -> &'static str {
                match self { $(EventName::$name => stringify!($name),)+ }
            }
        }

        impl Happening {
            /// Which event this is.
            pub fn name(&self) -> EventName {
                match self { $(Happening::$name { .. } => EventName::$name,)+ }
            }
        }
    };
}

happenings! {
    /// The customer changes fields.
    Update(Box<AcceptedUpdate>),
    /// The customer puts the whole job again.
    Replace(Box<AcceptedJob>),
    /// The customer says that the drives are on their way.
    Ship,
    /// The customer wants the drives back uncopied.
    Cancel,
    /// The customer wants the job gone.
    Delete,
    /// The customer answered an operator's question.
    CustomerAnswered,
    /// A parcel of the job came.
    ParcelReceived {
        /// The carrier's number.
        tracking_number: String,
        /// Where it came.
        station: String,
        /// What it looks like, when that is worth a word.
        condition: Option<String>,
    },
    /// A parcel is empty: whatever is not booked by now did not come with it.
    ParcelUnpacked {
        /// The carrier's number.
        tracking_number: String,
        /// Why drives are missing; required when some are.
        shortfall_reason: Option<String>,
    },
    /// A parcel whose job was never shipped went back as it came.
    ParcelReturned {
        /// The carrier's number.
        tracking_number: String,
    },
    /// A drive is booked in.
    DriveReceived {
        /// Which.
        drive_id: DriveId,
        /// Where.
        station: String,
        /// On which slot.
        slot: Option<String>,
    },
    /// A drive of the list did not come.
    DriveMissing {
        /// Which.
        drive_id: DriveId,
    },
    /// A drive came along that is not on the list.
    ExtraDrive {
        /// Which.
        drive_id: DriveId,
        /// Where.
        station: String,
        /// On which slot.
        slot: Option<String>,
    },
    /// A drive that came along turned out to be another job's, and is booked there: it goes back with that one.
    ExtraDriveMoved {
        /// Which.
        drive_id: DriveId,
    },
    /// A drive is of no supported kind and goes back as it is.
    DriveUnsupported {
        /// Which.
        drive_id: DriveId,
    },
    /// A drive is given to a bay.
    DriveAssigned {
        /// Which.
        drive_id: DriveId,
        /// Where.
        station: String,
        /// Which bay.
        bay: String,
    },
    /// A drive left its bay or its box for the shelf.
    DriveReleased {
        /// Which.
        drive_id: DriveId,
        /// To which slot.
        slot: Option<String>,
    },
    /// No work may begin on a drive.
    DriveHeld {
        /// Which.
        drive_id: DriveId,
        /// Why.
        reason: String,
    },
    /// Work may begin again.
    DriveResumed {
        /// Which.
        drive_id: DriveId,
    },
    /// A drive is in a box that will go back.
    DrivePacked {
        /// Which: one of the job's or an extra one.
        drive_id: DriveId,
        /// The box.
        label: String,
    },
    /// The return parcel was handed to the carrier.
    ReturnBooked(ReturnPackage),
    /// The drives cannot be sent back.
    ReturnImpossible {
        /// Why.
        reason: String,
    },
    /// Drives that nobody took back were destroyed.
    DrivesDestroyed,
    /// A bay begins with a drive, or goes on with it.
    DriveStarted {
        /// Which.
        drive_id: DriveId,
    },
    /// A bay got on.
    DriveProgress {
        /// Which.
        drive_id: DriveId,
        /// How much is done, 0–100.
        percent: u8,
        /// Bytes that landed.
        bytes_succeeded: u64,
    },
    /// A bay is done with a drive, or an operator gives it up.
    DriveEnded {
        /// Which.
        drive_id: DriveId,
        /// What the logs say.
        status: DriveStatus,
        /// Bytes that landed.
        bytes_succeeded: u64,
        /// Where the logs are.
        logs: RunLogs,
    },
    /// A bay stopped before the drive's end.
    DriveStopped {
        /// Which.
        drive_id: DriveId,
    },
    /// Export: not everything fitted.
    ExportIncomplete {
        /// Where the list is of what did not.
        uri: String,
    },
    /// A drive cannot go on.
    DriveFaulted {
        /// Which.
        drive_id: DriveId,
        /// Why.
        reason: String,
    },
    /// A drive can go on again.
    DrivePutBack {
        /// Which.
        drive_id: DriveId,
    },
    /// The job cannot go on.
    JobFaulted {
        /// Why.
        reason: String,
    },
    /// The job can go on again.
    JobPutBack {
        /// In which state.
        to: JobState,
    },
    /// A timer that was set is due.
    TimerFired {
        /// Which.
        kind: TimerKind,
    },
}

impl Happening {
    /// The drive that the event is about.
    pub fn drive_id(&self) -> Option<&DriveId> {
        match self {
            Happening::DriveReceived { drive_id, .. }
            | Happening::DriveMissing { drive_id }
            | Happening::ExtraDrive { drive_id, .. }
            | Happening::ExtraDriveMoved { drive_id }
            | Happening::DriveUnsupported { drive_id }
            | Happening::DriveAssigned { drive_id, .. }
            | Happening::DriveReleased { drive_id, .. }
            | Happening::DriveHeld { drive_id, .. }
            | Happening::DriveResumed { drive_id }
            | Happening::DrivePacked { drive_id, .. }
            | Happening::DriveStarted { drive_id }
            | Happening::DriveProgress { drive_id, .. }
            | Happening::DriveEnded { drive_id, .. }
            | Happening::DriveStopped { drive_id }
            | Happening::DriveFaulted { drive_id, .. }
            | Happening::DrivePutBack { drive_id } => Some(drive_id),
            Happening::Update(_)
            | Happening::Replace(_)
            | Happening::Ship
            | Happening::Cancel
            | Happening::Delete
            | Happening::CustomerAnswered
            | Happening::ParcelReceived { .. }
            | Happening::ParcelUnpacked { .. }
            | Happening::ParcelReturned { .. }
            | Happening::ReturnBooked(_)
            | Happening::ReturnImpossible { .. }
            | Happening::DrivesDestroyed
            | Happening::ExportIncomplete { .. }
            | Happening::JobFaulted { .. }
            | Happening::JobPutBack { .. }
            | Happening::TimerFired { .. } => None,
        }
    }
}

impl Happening {
    /// Everything in it that somebody typed or scanned, and whether it may be empty.
    pub(super) fn texts(&self) -> Vec<(&str, bool)> {
        match self {
            Happening::ParcelReceived { tracking_number, station, condition } => {
                vec![(tracking_number, false), (station, false), (text(condition), true)]
            }
            Happening::ParcelUnpacked { tracking_number, shortfall_reason } => {
                vec![(tracking_number, false), (text(shortfall_reason), true)]
            }
            Happening::ParcelReturned { tracking_number } => vec![(tracking_number, false)],
            Happening::DriveReceived { station, slot, .. } | Happening::ExtraDrive { station, slot, .. } => {
                vec![(station, false), (text(slot), true)]
            }
            Happening::DriveAssigned { station, bay, .. } => vec![(station, false), (bay, false)],
            Happening::DriveReleased { slot, .. } => vec![(text(slot), true)],
            Happening::DrivePacked { label, .. } => vec![(label, false)],
            Happening::ReturnBooked(package) => vec![
                (&package.carrier_name, true),
                (&package.tracking_number, true),
                (&package.ship_date, true),
            ],
            Happening::ExportIncomplete { uri } => vec![(uri, false)],
            Happening::DriveHeld { reason, .. }
            | Happening::DriveFaulted { reason, .. }
            | Happening::JobFaulted { reason }
            | Happening::ReturnImpossible { reason } => vec![(reason, true)],
            Happening::DriveEnded { logs: RunLogs { verbose, error, manifest }, .. } => {
                vec![(text(verbose), true), (text(error), true), (text(manifest), true)]
            }
            // Judged before, or nothing but ids, numbers and words of ours.
            Happening::Update(_)
            | Happening::Replace(_)
            | Happening::Ship
            | Happening::Cancel
            | Happening::Delete
            | Happening::CustomerAnswered
            | Happening::DriveMissing { .. }
            | Happening::ExtraDriveMoved { .. }
            | Happening::DriveUnsupported { .. }
            | Happening::DriveResumed { .. }
            | Happening::DrivesDestroyed
            | Happening::DriveStarted { .. }
            | Happening::DriveProgress { .. }
            | Happening::DriveStopped { .. }
            | Happening::DrivePutBack { .. }
            | Happening::JobPutBack { .. }
            | Happening::TimerFired { .. } => Vec::new(),
        }
    }
}

fn text(optional: &Option<String>) -> &str {
    optional.as_deref().unwrap_or_default()
}

/// Where a run left its logs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RunLogs {
    /// The verbose log.
    pub verbose: Option<String>,
    /// The error log.
    pub error: Option<String>,
    /// The copy of the manifest.
    pub manifest: Option<String>,
}

/// What has to be done after the job is saved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// The job waits until then. Replaces an earlier due time of that kind.
    SetTimer {
        /// For what.
        kind: TimerKind,
        /// Until when (Unix milliseconds).
        due_unix_ms: i64,
    },
    /// The job no longer waits for that.
    ClearTimer {
        /// For what.
        kind: TimerKind,
    },
    /// Somebody must be told.
    Notify(Notice),
    /// A bay may work on the drive that it has.
    DriveReady {
        /// Which.
        drive_id: DriveId,
    },
    /// A bay must stop working on a drive.
    StopCopy {
        /// Which.
        drive_id: DriveId,
    },
    /// The job, its keys and the customer's data in it are to be forgotten.
    Delete,
}

/// What somebody must be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// Customer: a parcel came and the job was never given the state `Shipping`.
    ParcelBeforeShipping,
    /// Operators and customer: two weeks on the way; where is the parcel?
    ShippingOverdue,
    /// Operators: a parcel came two weeks ago and still is not unpacked.
    ParcelNotUnpacked,
    /// Customer: no answer in thirty days, the job is closed.
    ClosedWithoutAnswer,
    /// Customer: a drive did not come.
    DriveNeverReceived(DriveId),
    /// Operators: the customer did not ship the job in two weeks; send the parcel back.
    ReturnUnclaimedParcel,
    /// Customer: the drives cannot be sent back; a better address is needed.
    AddressNeeded,
    /// Operators: ninety days are over; the drives may be destroyed.
    DrivesMayBeDestroyed,
    /// Operators and customer: the job cannot go on.
    JobFaulted,
    /// Operators: a drive cannot go on.
    DriveFaulted(DriveId),
}

impl Notice {
    /// The notice's name, for events.
    pub fn as_str(&self) -> &'static str {
        match self {
            Notice::ParcelBeforeShipping => "ParcelBeforeShipping",
            Notice::ShippingOverdue => "ShippingOverdue",
            Notice::ParcelNotUnpacked => "ParcelNotUnpacked",
            Notice::ClosedWithoutAnswer => "ClosedWithoutAnswer",
            Notice::DriveNeverReceived(_) => "DriveNeverReceived",
            Notice::ReturnUnclaimedParcel => "ReturnUnclaimedParcel",
            Notice::AddressNeeded => "AddressNeeded",
            Notice::DrivesMayBeDestroyed => "DrivesMayBeDestroyed",
            Notice::JobFaulted => "JobFaulted",
            Notice::DriveFaulted(_) => "DriveFaulted",
        }
    }

    /// The drive that it is about.
    pub fn drive_id(&self) -> Option<&DriveId> {
        match self {
            Notice::DriveNeverReceived(drive_id) | Notice::DriveFaulted(drive_id) => Some(drive_id),
            Notice::ParcelBeforeShipping
            | Notice::ShippingOverdue
            | Notice::ParcelNotUnpacked
            | Notice::ClosedWithoutAnswer
            | Notice::ReturnUnclaimedParcel
            | Notice::AddressNeeded
            | Notice::DrivesMayBeDestroyed
            | Notice::JobFaulted => None,
        }
    }
}

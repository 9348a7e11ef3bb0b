//! Which event a job takes in which state, before its drives are looked at.
//!
//! The table of azure-import-export.md §4.1 with the desk's and the bays' events of operations.md §3. A
//! faulted job is judged by the state that it came from, and takes only what records the world as it is:
//! a parcel that came, a copy that ended. What would begin something new waits until it is put back.

use super::Job;
use super::event::EventName;
use super::words::JobState::{
    self, Closed, Completed, Creating, Packaging, Received, Shipping, Transferring,
};

impl Job {
    /// The state by which events are judged: where a faulted job came from, else where it is.
    pub fn phase(&self) -> JobState {
        self.fault.as_ref().map_or(self.state, |fault| fault.from)
    }

    /// Whether the job's state takes that event at all; its drives may still refuse it.
    pub fn takes(&self, event: EventName) -> bool {
        match &self.fault {
            None => states(event).contains(&self.state),
            Some(_) if event == EventName::JobPutBack => true,
            Some(fault) => while_faulted(event) && states(event).contains(&fault.from),
        }
    }
}

/// The states in which a job takes that event.
pub(super) fn states(event: EventName) -> &'static [JobState] {
    use EventName as E;
    match event {
        E::Update | E::TimerFired => {
            &[Creating, Shipping, Received, Transferring, Packaging, Completed, Closed]
        }
        E::Replace | E::ParcelReturned => &[Creating],
        E::Ship => &[Creating, Shipping],
        E::Cancel => &[Creating, Shipping, Received, Transferring],
        E::Delete => &[Creating, Completed, Closed],
        E::CustomerAnswered => &[Shipping],
        E::ParcelReceived => &[Creating, Shipping, Received, Transferring, Packaging],
        E::ParcelUnpacked
        | E::DriveReceived
        | E::DriveMissing
        | E::ExtraDrive
        | E::ExtraDriveMoved
        | E::DriveHeld
        | E::DriveResumed
        | E::JobFaulted => &[Shipping, Received, Transferring, Packaging],
        E::DriveUnsupported | E::DriveFaulted | E::DrivePutBack => &[Shipping, Received, Transferring],
        E::DriveAssigned | E::DriveStarted | E::DriveEnded => &[Received, Transferring],
        E::DriveReleased => &[Received, Transferring, Packaging],
        E::DriveProgress | E::DriveStopped | E::ExportIncomplete => &[Transferring],
        E::ReturnImpossible => &[Transferring, Packaging],
        E::DrivePacked | E::ReturnBooked => &[Packaging],
        E::DrivesDestroyed => &[Creating, Packaging],
        // Looked at on its own: only from `Faulted`.
        E::JobPutBack => &[],
    }
}

/// Whether a faulted job takes that event, if the state that it came from does.
pub(super) fn while_faulted(event: EventName) -> bool {
    use EventName as E;
    match event {
        E::Update
        | E::Cancel
        | E::ParcelReceived
        | E::ParcelUnpacked
        | E::DriveReceived
        | E::DriveMissing
        | E::ExtraDrive
        | E::ExtraDriveMoved
        | E::DriveUnsupported
        | E::DriveReleased
        | E::DriveHeld
        | E::DriveResumed
        | E::ReturnImpossible
        | E::DriveProgress
        | E::DriveEnded
        | E::DriveStopped
        | E::ExportIncomplete
        | E::DriveFaulted
        | E::DrivePutBack
        | E::JobPutBack
        | E::TimerFired => true,
        E::Replace
        | E::Ship
        | E::Delete
        | E::CustomerAnswered
        | E::ParcelReturned
        | E::DriveAssigned
        | E::DrivePacked
        | E::ReturnBooked
        | E::DrivesDestroyed
        | E::DriveStarted
        | E::JobFaulted => false,
    }
}

/// What to do instead of an event that the state does not take.
pub(super) fn state_advice(event: EventName, state: JobState) -> &'static str {
    use EventName as E;
    match (event, state) {
        (E::JobPutBack, _) => "only a job that is Faulted is put back",
        (_, JobState::Faulted) => "an operator must put the job back first",
        (E::Replace, _) => "a job is replaced only while Creating; send a PATCH, or use another name",
        (E::Delete, _) => {
            "cancel it and wait for the return of the drives; a job is deleted while Creating or when it is over"
        }
        (E::Cancel, _) => "all drives are finished and go back; there is nothing left to cancel",
        (_, Completed | Closed) => "the job is over; create a new job",
        (_, Creating) => {
            "ask the customer to give the tracking number and set the state Shipping; put the parcel into quarantine"
        }
        (E::Ship, _) => "the drives have arrived; nothing needs to be done",
        (E::CustomerAnswered, _) => "nobody waits for an answer; update the job's fields instead",
        (E::ParcelReturned, _) => "pack the drives and book the return parcel",
        (E::DriveAssigned | E::DriveStarted | E::DriveEnded, Shipping) => {
            "unpack the parcel first: book every drive, or say which are missing"
        }
        (E::DriveAssigned | E::DriveStarted | E::DriveEnded, _) => "all drives are finished; pack the drive",
        (E::DriveReleased, _) => "the parcel is still being unpacked; no drive is in a bay",
        (E::DriveProgress | E::DriveStopped | E::ExportIncomplete, _) => {
            "no drive is being copied; report the start first"
        }
        (E::DriveUnsupported | E::DriveFaulted | E::DrivePutBack, _) => {
            "all drives are finished; pack the drive"
        }
        (E::DrivePacked | E::ReturnBooked, _) => {
            "drives are packed when all of them are finished; put this one on the shelf"
        }
        (E::ReturnImpossible | E::DrivesDestroyed, _) => {
            "this is decided when the drives are ready to go back"
        }
        (
            E::Update
            | E::TimerFired
            | E::ParcelReceived
            | E::ParcelUnpacked
            | E::DriveReceived
            | E::DriveMissing
            | E::ExtraDrive
            | E::ExtraDriveMoved
            | E::DriveHeld
            | E::DriveResumed
            | E::JobFaulted,
            _,
        ) => "look at the job again and repeat what still applies",
    }
}

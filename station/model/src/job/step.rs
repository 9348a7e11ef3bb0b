//! One event at a time: [`Job::step`].
//!
//! A turn works on a copy of the job. A refusal drops the copy, so a refused event has changed nothing;
//! what was done already is answered with no actions, because scanners and networks repeat themselves.

use super::Job;
use super::event::{Action, Event, EventName, Happening, Notice};
use super::fields::{CopyStatus, JobDrive};
use super::refusal::Refusal;
use super::words::{DriveState, JobState, TimerKind};
use crate::DriveId;

/// Longest text of an event: it becomes part of a row, of custody and of labels.
const TEXT_CHARS_MAX: usize = 1_024;

fn is_fit(text: &str, may_be_empty: bool) -> bool {
    (may_be_empty || !text.trim().is_empty())
        && text.chars().count() <= TEXT_CHARS_MAX
        && !text.chars().any(char::is_control)
}

/// A job in the middle of one event.
pub(super) struct Turn {
    pub(super) job: Job,
    pub(super) at_unix_ms: i64,
    pub(super) actions: Vec<Action>,
}

impl Job {
    /// Takes an event; gives what has to be done once the job is saved.
    ///
    /// An event that happened already changes nothing and needs nothing done.
    ///
    /// # Errors
    /// When the job cannot have that event now. It stays as it was.
    pub fn step(&mut self, event: Event) -> Result<Vec<Action>, Refusal> {
        let mut turn = Turn { job: self.clone(), at_unix_ms: event.at_unix_ms, actions: Vec::new() };
        if turn.is_repeated(&event.what) {
            return Ok(Vec::new());
        }
        turn.admit(&event.what)?;
        turn.apply(event.what)?;
        turn.settle();
        *self = turn.job;
        Ok(turn.actions)
    }

    /// The job's drive with that serial number.
    pub fn drive(&self, drive_id: &DriveId) -> Option<&JobDrive> {
        self.drives.iter().find(|drive| drive.drive_id == *drive_id)
    }
}

impl Turn {
    fn admit(&self, what: &Happening) -> Result<(), Refusal> {
        let event = what.name();
        if what.texts().iter().any(|(text, may_be_empty)| !is_fit(text, *may_be_empty)) {
            return Err(Refusal::Text { event });
        }
        match &self.job.return_package {
            _ if self.job.takes(event) => Ok(()),
            Some(package) if event == EventName::ReturnBooked => {
                Err(Refusal::AlreadyReturned { tracking_number: package.tracking_number.clone() })
            }
            _ => Err(Refusal::State { event, state: self.job.state }),
        }
    }

    /// Whether exactly that has happened before, so that it may be said again in any state.
    fn is_repeated(&self, what: &Happening) -> bool {
        let job = &self.job;
        let drive = what.drive_id().and_then(|drive_id| job.drive(drive_id));
        match what {
            Happening::Cancel => job.cancel_requested,
            Happening::ReturnBooked(package) => job.return_package.as_ref() == Some(package),
            Happening::ParcelReceived { tracking_number, .. } => self.parcel(tracking_number).is_some(),
            Happening::DriveReceived { station, .. } => {
                drive.is_some_and(|drive| drive.place.station() == Some(station))
            }
            Happening::DriveMissing { .. } => {
                drive.is_some_and(|drive| drive.state == DriveState::NeverReceived)
            }
            Happening::DriveUnsupported { .. } => {
                drive.is_some_and(|drive| drive.copy_status == Some(CopyStatus::UnsupportedDrive))
            }
            Happening::DriveStopped { .. } => {
                drive.is_some_and(|drive| drive.copy_status == Some(CopyStatus::Cancelled))
            }
            Happening::ExportIncomplete { uri } => job.incomplete_blob_list_uri.as_ref() == Some(uri),
            Happening::DriveEnded { status, .. } => {
                drive.is_some_and(|drive| drive.copy_status == Some(CopyStatus::Ended(*status)))
            }
            Happening::ExtraDrive { drive_id, .. } => {
                job.extra_drives.iter().any(|drive| drive.drive_id == *drive_id)
            }
            Happening::DrivePacked { drive_id, label } => self.is_in_box(drive_id, label),
            Happening::TimerFired { kind } => !self.is_due(*kind),
            Happening::DriveHeld { reason, .. } => {
                drive.and_then(|drive| drive.hold.as_ref()).is_some_and(|hold| hold.reason == *reason)
            }
            Happening::JobFaulted { reason } => {
                job.fault.as_ref().is_some_and(|fault| fault.reason == *reason)
            }
            Happening::JobPutBack { to } => job.fault.is_none() && job.state == *to,
            Happening::ReturnImpossible { reason } => {
                job.undeliverable.as_ref().is_some_and(|found| found.reason == *reason)
            }
            _ => false,
        }
    }

    fn apply(&mut self, what: Happening) -> Result<(), Refusal> {
        use Happening as H;
        match what {
            H::Update(update) => self.update(*update),
            H::Replace(accepted) => self.replace(*accepted),
            H::Ship => self.ship(),
            H::Cancel => self.cancel(),
            H::Delete => self.delete(),
            H::CustomerAnswered => self.answered(),
            H::ParcelReceived { tracking_number, station, condition } => {
                self.parcel_received(tracking_number, station, condition)
            }
            H::ParcelUnpacked { tracking_number, shortfall_reason } => {
                self.parcel_unpacked(&tracking_number, shortfall_reason.as_deref())
            }
            H::ParcelReturned { tracking_number } => self.parcel_returned(&tracking_number),
            H::DriveReceived { drive_id, station, slot } => self.drive_received(drive_id, station, slot),
            H::DriveMissing { drive_id } => self.drive_missing(&drive_id),
            H::ExtraDrive { drive_id, station, slot } => self.extra_drive(drive_id, station, slot),
            H::ExtraDriveMoved { drive_id } => self.extra_drive_moved(&drive_id),
            H::DriveUnsupported { drive_id } => self.drive_unsupported(&drive_id),
            H::DriveAssigned { drive_id, station, bay } => self.drive_assigned(&drive_id, station, bay),
            H::DriveReleased { drive_id, slot } => self.drive_released(&drive_id, slot),
            H::DriveHeld { drive_id, reason } => self.drive_held(&drive_id, reason),
            H::DriveResumed { drive_id } => self.drive_resumed(&drive_id),
            H::DrivePacked { drive_id, label } => self.drive_packed(&drive_id, label),
            H::ReturnBooked(package) => self.return_booked(package),
            H::ReturnImpossible { reason } => self.return_impossible(reason),
            H::DrivesDestroyed => self.drives_destroyed(),
            H::DriveStarted { drive_id } => self.drive_started(&drive_id),
            H::DriveProgress { drive_id, percent, bytes_succeeded } => {
                self.drive_progress(&drive_id, percent, bytes_succeeded)
            }
            H::DriveEnded { drive_id, status, bytes_succeeded, logs } => {
                self.drive_ended(&drive_id, status, bytes_succeeded, logs)
            }
            H::DriveStopped { drive_id } => self.drive_stopped(&drive_id),
            H::ExportIncomplete { uri } => self.export_incomplete(uri),
            H::DriveFaulted { drive_id, reason } => self.drive_faulted(&drive_id, reason),
            H::DrivePutBack { drive_id } => self.drive_put_back(&drive_id),
            H::JobFaulted { reason } => self.job_faulted(reason),
            H::JobPutBack { to } => self.job_put_back(to),
            H::TimerFired { kind } => self.timer_fired(kind),
        }
    }

    pub(super) fn act(&mut self, action: Action) {
        self.actions.push(action);
    }

    pub(super) fn notify(&mut self, notice: Notice) {
        self.act(Action::Notify(notice));
    }

    /// The drive to change.
    pub(super) fn drive_mut(&mut self, drive_id: &DriveId) -> Result<&mut JobDrive, Refusal> {
        self.job
            .drives
            .iter_mut()
            .find(|drive| drive.drive_id == *drive_id)
            .ok_or_else(|| Refusal::UnknownDrive { drive_id: drive_id.clone() })
    }

    /// Moves the job and sets what that state waits for.
    pub(super) fn enter(&mut self, state: JobState) {
        self.job.state = state;
        for kind in [TimerKind::CreatingIdle, TimerKind::ShippingOverdue, TimerKind::NoReply] {
            self.clear_timer(kind);
        }
        match state {
            JobState::Creating => self.set_timer(TimerKind::CreatingIdle),
            JobState::Shipping => self.set_timer(TimerKind::ShippingOverdue),
            JobState::Completed | JobState::Closed => {
                self.forget_undeliverable();
                self.set_timer(TimerKind::Retention);
            }
            JobState::Received | JobState::Transferring | JobState::Packaging | JobState::Faulted => {}
        }
    }
}

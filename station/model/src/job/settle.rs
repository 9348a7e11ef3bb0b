//! Where a job belongs by its drives, and what makes it end.
//!
//! From `Shipping` to `Packaging` the job's state is a function of its drives, so it cannot disagree with
//! them: [`Job::right_state`]. Spec §4.1 has the arrows; the one that it lacks, back from `Packaging` when a
//! drive came late (§4.2: "if it comes later, operators set `Received`"), follows from the same function; so does
//! the one to `Shipping` when the only drive that came turned out to be another job's.

use super::event::{Action, RunLogs};
use super::fields::{CopyStatus, JobDrive};
use super::step::Turn;
use super::words::{DriveState, JobState, JobType};
use super::{Job, Place};

impl Job {
    /// The state between `Shipping` and `Packaging` in which the job belongs by its drives.
    pub fn right_state(&self) -> JobState {
        if !self.has_arrived() {
            JobState::Shipping
        } else if self.drives.iter().all(|drive| self.is_finished(drive)) {
            JobState::Packaging
        } else if self.drives.iter().any(JobDrive::was_begun) {
            JobState::Transferring
        } else {
            JobState::Received
        }
    }

    /// Every drive is booked or known not to have come, and something is here, if only an extra drive.
    ///
    /// An export's drives have no names before they come: its parcel is unpacked, or holds as many as announced.
    fn has_arrived(&self) -> bool {
        let came = self.has_anything();
        let waits = self.drives.iter().any(|drive| drive.state == DriveState::Specified);
        match self.job_type {
            JobType::Import => came && !waits,
            JobType::Export => came && self.is_export_complete(),
        }
    }

    /// Some drive came, one of the job's or another.
    pub(super) fn has_anything(&self) -> bool {
        self.drives.iter().any(|drive| !is_away(drive)) || !self.extra_drives.is_empty()
    }

    fn is_export_complete(&self) -> bool {
        // Once past `Shipping` an export does not go back to it for want of a drive.
        let is_past = !matches!(self.phase(), JobState::Creating | JobState::Shipping);
        is_past || self.parcels.iter().any(|parcel| parcel.unpacked) || self.missing_of_export() == Some(0)
    }

    /// How many drives of an export are announced and not booked; `None` when no number was announced.
    pub(super) fn missing_of_export(&self) -> Option<u32> {
        let announced = self.delivery_package.as_ref()?.drive_count.filter(|count| *count > 0)?;
        let booked = u32::try_from(self.drives.len()).unwrap_or(u32::MAX);
        Some(announced.saturating_sub(booked))
    }

    /// Nothing is left to do with the drive but to send it back. A cancelled job's drives are not copied.
    pub(super) fn is_finished(&self, drive: &JobDrive) -> bool {
        match drive.state {
            DriveState::NeverReceived
            | DriveState::Completed
            | DriveState::CompletedMoreInfo
            | DriveState::ShippedBack => true,
            DriveState::Received | DriveState::Faulted => self.cancel_requested,
            DriveState::Specified | DriveState::Transferring => false,
        }
    }

    /// Whether a bay may work on the drive where it lies: never in a job that is faulted or cancelled.
    pub fn is_workable(&self, drive: &JobDrive) -> bool {
        matches!(self.state, JobState::Received | JobState::Transferring)
            && matches!(drive.state, DriveState::Received | DriveState::Transferring)
            && drive.place.bay().is_some()
            && drive.hold.is_none()
            && !self.cancel_requested
    }

    /// What bays must be told as the job stands: after a restart, what was saved and perhaps never done.
    pub fn standing_actions(&self) -> Vec<Action> {
        self.drives.iter().filter_map(|drive| self.standing_action(drive)).collect()
    }

    fn standing_action(&self, drive: &JobDrive) -> Option<Action> {
        let drive_id = drive.drive_id.clone();
        let is_running = drive.shown_state() == DriveState::Transferring && drive.place.bay().is_some();
        let must_stop = self.cancel_requested || drive.hold.is_some() || drive.fault.is_some();
        match (self.is_workable(drive), is_running && must_stop) {
            (true, _) => Some(Action::DriveReady { drive_id }),
            (false, true) => Some(Action::StopCopy { drive_id }),
            (false, false) => None,
        }
    }

    /// Places of all that came with the job, its own drives and others.
    pub fn places(&self) -> impl Iterator<Item = (&crate::DriveId, &Place)> {
        let own = self.drives.iter().map(|drive| (&drive.drive_id, &drive.place));
        own.chain(self.extra_drives.iter().map(|drive| (&drive.drive_id, &drive.place)))
    }

    fn mean_percent(&self) -> u8 {
        let counted = || self.drives.iter().filter(|drive| drive.state != DriveState::NeverReceived);
        let count = counted().count().max(1);
        let sum: usize = counted().map(|drive| usize::from(drive.percent_complete)).sum();
        u8::try_from(sum / count).unwrap_or(100).min(100)
    }
}

fn is_away(drive: &JobDrive) -> bool {
    matches!(drive.state, DriveState::Specified | DriveState::NeverReceived)
}

impl JobDrive {
    /// A bay has had its hands on it.
    fn was_begun(&self) -> bool {
        matches!(self.copy_status, Some(CopyStatus::InProgress | CopyStatus::Ended(_)))
    }

    /// The copy is over.
    pub(super) fn end(&mut self, status: CopyStatus, logs: RunLogs) {
        self.copy_status = Some(status);
        self.fault = None;
        self.state = match status {
            CopyStatus::Ended(crate::status::DriveStatus::Completed) => DriveState::Completed,
            _ => DriveState::CompletedMoreInfo,
        };
        self.verbose_log_uri = logs.verbose.or(self.verbose_log_uri.take());
        self.error_log_uri = logs.error.or(self.error_log_uri.take());
        self.manifest_uri = logs.manifest.or(self.manifest_uri.take());
    }
}

impl Turn {
    /// What follows from any event: the job's state from its drives', its percentage from theirs.
    pub(super) fn settle(&mut self) {
        self.end_what_nobody_stops();
        let is_between = matches!(
            self.job.state,
            JobState::Shipping | JobState::Received | JobState::Transferring | JobState::Packaging
        );
        let right = self.job.right_state();
        if is_between && right != self.job.state {
            self.enter(right);
        }
        self.job.percent_complete = self.job.percent_complete.max(self.job.mean_percent());
    }

    /// A cancelled job waits for a bay to stop, and for nothing else: a drive that was begun and is on hold, or in
    /// no bay, has stopped already, and no later report would ever end it.
    fn end_what_nobody_stops(&mut self) {
        if !self.job.cancel_requested {
            return;
        }
        let is_still = |drive: &&mut JobDrive| {
            drive.state == DriveState::Transferring && (drive.hold.is_some() || drive.place.bay().is_none())
        };
        self.job
            .drives
            .iter_mut()
            .filter(is_still)
            .for_each(|drive| drive.end(CopyStatus::Cancelled, RunLogs::default()));
    }

    /// Over: `Completed` without errors or when cancelled (spec §4.1), else `Closed`.
    pub(super) fn end(&mut self, has_error: bool) {
        let is_short = self.job.incomplete_blob_list_uri.is_some();
        let is_well = self.job.cancel_requested || !(has_error || is_short);
        self.enter(if is_well { JobState::Completed } else { JobState::Closed });
    }
}

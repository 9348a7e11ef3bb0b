//! What a bay reports: a drive was started, got on, ended, or had to stop.
//!
//! A run may be started many times (a pulled drive, another bay, another station) and ends once. A report
//! from a bay that the drive has left is refused by the claim's fence, in the ledger, not here.

use super::desk::refused;
use super::event::{EventName, RunLogs};
use super::refusal::Refusal;
use super::step::Turn;
use super::words::{DriveState, JobType};
use super::{CopyStatus, Job};
use crate::DriveId;
use crate::status::DriveStatus;

/// Everything.
const PERCENT_MAX: u8 = 100;

impl Turn {
    pub(super) fn drive_started(&mut self, drive_id: &DriveId) -> Result<(), Refusal> {
        let drive = self.workable(EventName::DriveStarted, drive_id)?;
        if drive.place.bay().is_none() {
            return Err(Refusal::NotInBay { drive_id: drive_id.clone(), place: drive.place.clone() });
        }
        drive.state = DriveState::Transferring;
        drive.copy_status = Some(CopyStatus::InProgress);
        Ok(())
    }

    /// A lower number than before is a run that began again: what was reported stays.
    pub(super) fn drive_progress(
        &mut self,
        drive_id: &DriveId,
        percent: u8,
        bytes_succeeded: u64,
    ) -> Result<(), Refusal> {
        if percent > PERCENT_MAX {
            return Err(Refusal::Percent { found: percent });
        }
        let drive = self.drive_mut(drive_id)?;
        if drive.state != DriveState::Transferring {
            return Err(refused(EventName::DriveProgress, drive, "report the start first"));
        }
        drive.percent_complete = drive.percent_complete.max(percent);
        drive.bytes_succeeded = drive.bytes_succeeded.max(bytes_succeeded);
        Ok(())
    }

    /// The end of a run, or an operator's of a drive that cannot go on.
    pub(super) fn drive_ended(
        &mut self,
        drive_id: &DriveId,
        status: DriveStatus,
        bytes_succeeded: u64,
        logs: RunLogs,
    ) -> Result<(), Refusal> {
        let drive = self.drive_mut(drive_id)?;
        match (drive.state, drive.copy_status) {
            (DriveState::Transferring | DriveState::Faulted, _) => {}
            (
                DriveState::Completed | DriveState::CompletedMoreInfo | DriveState::ShippedBack,
                Some(found),
            ) => {
                return Err(Refusal::EndedOtherwise { drive_id: drive_id.clone(), found: found.as_str() });
            }
            _ => return Err(refused(EventName::DriveEnded, drive, "report the start first")),
        }
        drive.end(CopyStatus::Ended(status), logs);
        // What was reported on the way counted blobs that were never whole; the outcome knows.
        let reported = if Job::is_whole(status) { 0 } else { drive.bytes_succeeded };
        drive.bytes_succeeded = bytes_succeeded.max(reported);
        // A drive that was refused, or lost, stays at what it reached: nobody looked at the rest.
        if Job::is_whole(status) {
            drive.percent_complete = PERCENT_MAX;
        }
        Ok(())
    }

    /// A stop is no end, the drive goes on later; unless the job is cancelled and there is no later.
    pub(super) fn drive_stopped(&mut self, drive_id: &DriveId) -> Result<(), Refusal> {
        let is_cancelled = self.job.cancel_requested;
        let drive = self.drive_mut(drive_id)?;
        match drive.state {
            DriveState::Transferring if is_cancelled => drive.end(CopyStatus::Cancelled, RunLogs::default()),
            DriveState::Transferring | DriveState::Faulted => {}
            _ => {
                return Err(refused(
                    EventName::DriveStopped,
                    drive,
                    "it is not being copied; report its start first",
                ));
            }
        }
        Ok(())
    }

    pub(super) fn export_incomplete(&mut self, uri: String) -> Result<(), Refusal> {
        if self.job.job_type == JobType::Import {
            return Err(Refusal::ExportOnly { event: EventName::ExportIncomplete });
        }
        self.job.incomplete_blob_list_uri = Some(uri);
        Ok(())
    }
}

impl Job {
    /// Every item of the drive was dealt with, well or not.
    fn is_whole(status: DriveStatus) -> bool {
        matches!(
            status,
            DriveStatus::Completed | DriveStatus::CompletedWithWarnings | DriveStatus::CompletedWithErrors
        )
    }
}

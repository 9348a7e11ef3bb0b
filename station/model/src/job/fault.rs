//! What operators find broken, and put back.
//!
//! A faulted drive stops only itself. A faulted job takes no new work, and keeps recording what happens;
//! it is put back where its drives say that it belongs, or closed when none of them is here.

use super::desk::{refused, required};
use super::event::{Action, EventName, Notice, RunLogs};
use super::fields::{CopyStatus, DriveFault, JobFault};
use super::refusal::Refusal;
use super::step::Turn;
use super::words::{DriveState, JobState};
use crate::DriveId;

impl Turn {
    pub(super) fn drive_faulted(&mut self, drive_id: &DriveId, reason: String) -> Result<(), Refusal> {
        required(EventName::DriveFaulted, &reason)?;
        let drive = self.drive_mut(drive_id)?;
        let from = drive.shown_state();
        if !matches!(from, DriveState::Received | DriveState::Transferring) {
            let advice = "only a drive that is here and not finished can be reported as faulty";
            return Err(refused(EventName::DriveFaulted, drive, advice));
        }
        let was_running = drive.state == DriveState::Transferring;
        drive.state = DriveState::Faulted;
        drive.fault = Some(DriveFault { from, reason });
        if was_running {
            self.act(Action::StopCopy { drive_id: drive_id.clone() });
        }
        self.notify(Notice::DriveFaulted(drive_id.clone()));
        Ok(())
    }

    pub(super) fn drive_put_back(&mut self, drive_id: &DriveId) -> Result<(), Refusal> {
        let is_cancelled = self.job.cancel_requested;
        let drive = self.drive_mut(drive_id)?;
        let Some(fault) = drive.fault.take() else {
            return Err(refused(
                EventName::DrivePutBack,
                drive,
                "it is not faulty; resume it if it is on hold",
            ));
        };
        drive.state = fault.from;
        if is_cancelled && fault.from == DriveState::Transferring {
            // Its bay was stopped by the fault, and has nothing more to report.
            drive.end(CopyStatus::Cancelled, RunLogs::default());
        }
        self.announce_if_workable(drive_id);
        Ok(())
    }

    pub(super) fn job_faulted(&mut self, reason: String) -> Result<(), Refusal> {
        required(EventName::JobFaulted, &reason)?;
        self.job.fault = Some(JobFault { from: self.job.state, reason });
        self.enter(JobState::Faulted);
        self.notify(Notice::JobFaulted);
        Ok(())
    }

    pub(super) fn job_put_back(&mut self, to: JobState) -> Result<(), Refusal> {
        let right = self.job.right_state();
        let is_empty = !self.job.places().any(|(_, place)| place.is_here());
        if to != right && !(to == JobState::Closed && is_empty) {
            return Err(Refusal::WrongPutBack { to, right });
        }
        self.job.fault = None;
        self.enter(to);
        let ids: Vec<DriveId> = self.job.drives.iter().map(|drive| drive.drive_id.clone()).collect();
        ids.iter().for_each(|drive_id| self.announce_if_workable(drive_id));
        Ok(())
    }
}

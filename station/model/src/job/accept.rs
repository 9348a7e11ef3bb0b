//! Requests that have been judged: nothing else becomes a job or changes one.
//!
//! An [`AcceptedJob`] can only be had from [`super::NewJob::accept`], so that no later code asks again whether the
//! drive has a serial number or the address is complete.

use std::collections::BTreeSet;

use super::fields::{CopyStatus, JobDrive, ReturnAddress};
use super::new::{NewDrive, NewJob, Update};
use super::validate::{Facts, Problem, validate, validate_update};
use super::words::{DriveState, JobState, JobType};
use super::{Job, Place};
use crate::DriveId;

/// A PUT that keeps all rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AcceptedJob {
    pub(super) request: NewJob,
    pub(super) job_type: JobType,
    pub(super) return_address: ReturnAddress,
    pub(super) drives: Vec<JobDrive>,
}

/// A PATCH whose fields keep all rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AcceptedUpdate {
    pub(super) request: Update,
    pub(super) drives: Option<Vec<JobDrive>>,
}

impl NewJob {
    /// Judges the request.
    ///
    /// # Errors
    /// Every problem that it has.
    pub fn accept(self, facts: &Facts) -> Result<AcceptedJob, Vec<Problem>> {
        let problems = validate(&self, facts);
        let drives = drives_of(&self.drives);
        match (self.job_type, self.return_address.clone(), drives) {
            (Some(job_type), Some(return_address), Some(drives)) if problems.is_empty() => {
                Ok(AcceptedJob { request: self, job_type, return_address, drives })
            }
            _ => Err(problems),
        }
    }
}

impl Update {
    /// Judges the fields for that job.
    ///
    /// # Errors
    /// Every problem that they have.
    pub fn accept(self, job: &Job, facts: &Facts) -> Result<AcceptedUpdate, Vec<Problem>> {
        let problems = validate_update(&self, job, facts);
        let drives = self.drives.as_deref().map(drives_of);
        match drives {
            None if problems.is_empty() => Ok(AcceptedUpdate { request: self, drives: None }),
            Some(Some(drives)) if problems.is_empty() => {
                Ok(AcceptedUpdate { request: self, drives: Some(drives) })
            }
            _ => Err(problems),
        }
    }
}

impl Update {
    /// Whether its list of drives brings keys and nothing else: some have one, all are the job's, and what is said
    /// of them is what the job has, or nothing.
    ///
    /// Such a list is no new one (spec §5.5 fixes the list after `Creating`, not the keys), so whoever keeps the keys
    /// takes it out. In `Creating` a whole entry is the list again; there, only entries with no manifest are keys alone.
    pub fn only_brings_keys(&self, job: &Job) -> bool {
        let list = self.drives.as_deref().unwrap_or_default();
        let is_creating = job.phase() == JobState::Creating;
        let is_known =
            |new: &NewDrive| job.drives.iter().any(|drive| drive.says_nothing_new(new, is_creating));
        let ids: BTreeSet<&str> = list.iter().map(|new| new.drive_id.as_str()).collect();
        job.job_type == JobType::Import
            && ids.len() == list.len()
            && list.iter().any(|new| new.key_given)
            && list.iter().all(is_known)
    }
}

impl AcceptedUpdate {
    /// The serial numbers of the new list, if there is one.
    pub fn drive_ids(&self) -> Option<Vec<DriveId>> {
        let drives = self.drives.as_ref()?;
        Some(drives.iter().map(|drive| drive.drive_id.clone()).collect())
    }
}

/// The drives as a job has them at first; `None` when one has no serial number.
fn drives_of(list: &[NewDrive]) -> Option<Vec<JobDrive>> {
    list.iter().map(|drive| Some(JobDrive::specified(DriveId::new(&drive.drive_id).ok()?, drive))).collect()
}

impl JobDrive {
    fn says_nothing_new(&self, new: &NewDrive, must_be_bare: bool) -> bool {
        let header = new.drive_header_hash.as_deref().unwrap_or_default();
        let said = [
            (new.manifest_file.as_str(), self.manifest_file.as_deref()),
            (new.manifest_hash.as_str(), self.manifest_hash.as_deref()),
            (header, self.drive_header_hash.as_deref()),
        ];
        let is_same = |text: &str, had: Option<&str>| !must_be_bare && had == Some(text);
        self.drive_id.as_str() == new.drive_id
            && said.into_iter().all(|(text, had)| text.is_empty() || is_same(text, had))
    }

    /// A drive of an import's list, not yet here.
    fn specified(drive_id: DriveId, new: &NewDrive) -> JobDrive {
        JobDrive {
            manifest_file: Some(new.manifest_file.clone()),
            manifest_hash: Some(new.manifest_hash.clone()),
            drive_header_hash: new.drive_header_hash.clone(),
            ..JobDrive::blank(drive_id, DriveState::Specified, Place::Away)
        }
    }

    /// A drive of which nothing is known but its serial number: an export's.
    pub(super) fn blank(drive_id: DriveId, state: DriveState, place: Place) -> JobDrive {
        JobDrive {
            drive_id,
            manifest_file: None,
            manifest_hash: None,
            drive_header_hash: None,
            state,
            fault: None,
            copy_status: None,
            percent_complete: 0,
            bytes_succeeded: 0,
            verbose_log_uri: None,
            error_log_uri: None,
            manifest_uri: None,
            place,
            hold: None,
        }
    }

    /// Whether the drive's data is known not to have come whole.
    pub(super) fn has_error(&self) -> bool {
        self.state == DriveState::NeverReceived || self.copy_status.is_some_and(CopyStatus::is_error)
    }
}

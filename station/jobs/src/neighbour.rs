//! What other jobs have at the stations that has no row of its own: their boxes, and drives that came along with them.
//!
//! Looked for in the documents of jobs that are at work, by state, which the ledger has an index for: as many as
//! are in the house, however many are kept. A document that cannot be read is its own job's trouble, and logged.

use ledger::{JobFilter, JobRow};
use model::DriveId;
use model::job::{Job, JobKey, JobState, Place};

use crate::{Jobs, LookError, Stored, row};

/// The states in which something of a job may be at a station and go back in a box.
const AT_WORK: [JobState; 5] =
    [JobState::Shipping, JobState::Received, JobState::Transferring, JobState::Packaging, JobState::Faulted];
/// How many jobs are read at a time.
const JOBS_PAGE: u32 = 500;

impl Jobs {
    /// Another job that has something in that box of this station.
    pub(crate) async fn other_in_box(&self, key: &JobKey, label: &str) -> Result<Option<JobKey>, LookError> {
        let is_it = |place: &Place| matches!(place, Place::Box { station, label: found } if found == label && station == self.station());
        let has_it = |job: &Job| job.key != *key && job.places().any(|(_, place)| is_it(place));
        Ok(self.find_at_work(label, has_it).await?.map(|found| found.job.key))
    }

    /// The active job that has this drive, as one of its own or as one that came along.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn find_holder(&self, drive_id: &DriveId) -> Result<Option<Stored>, LookError> {
        match self.find_drive(drive_id).await? {
            Some(owner) => Ok(Some(owner)),
            None => self.with_extra(drive_id, None).await,
        }
    }

    /// A job, another than that one, with which this drive came along and is to go back.
    pub(crate) async fn with_extra(
        &self,
        drive_id: &DriveId,
        but: Option<&JobKey>,
    ) -> Result<Option<Stored>, LookError> {
        let has_it = |job: &Job| {
            let mut extra = job.extra_drives.iter();
            Some(&job.key) != but && extra.any(|drive| drive.drive_id == *drive_id && drive.place.is_here())
        };
        self.find_at_work(drive_id.as_str(), has_it).await
    }

    /// The first job at work of which that holds; only documents that have the text in them are read.
    async fn find_at_work(
        &self,
        text: &str,
        is_it: impl Fn(&Job) -> bool,
    ) -> Result<Option<Stored>, LookError> {
        let text = serde_json::to_string(text).unwrap_or_default();
        for state in AT_WORK {
            let filter = JobFilter { state: Some(state.as_str().to_owned()), ..JobFilter::default() };
            let mut after = None;
            loop {
                let page = self.parts.jobs.jobs(&filter, after, JOBS_PAGE).await.map_err(LookError::Store)?;
                let mut with_text = page.jobs.iter().filter(|row| row.document.contains(&text));
                if let Some(found) = with_text.find_map(|row| readable(row).filter(|found| is_it(&found.job)))
                {
                    return Ok(Some(found));
                }
                after = page.next;
                if after.is_none() {
                    break;
                }
            }
        }
        Ok(None)
    }
}

fn readable(row: &JobRow) -> Option<Stored> {
    row::read(row)
        .inspect_err(|error| tracing::error!(job = %row.key, err = %error, "a job is passed over"))
        .ok()
}

//! [`Jobs`] over a database.

use async_trait::async_trait;
use model::DriveId;

use super::{Store, apply, find, replies};
use crate::office::change::{Applied, Change};
use crate::office::job::{DueTimer, JobFilter, JobKey, JobPage, JobRow, JobScope, Jobs, PlacedDrive};
use crate::office::{ApplyError, OfficeError, StoredReply};
use crate::sql::{reading, storable};

#[async_trait]
impl Jobs for Store {
    async fn apply(&self, change: &Change) -> Result<Applied, ApplyError> {
        apply::apply(self, change).await
    }

    async fn job(&self, key: &JobKey) -> Result<Option<JobRow>, OfficeError> {
        if ![&key.subscription, &key.resource_group, &key.name].into_iter().all(|part| storable(part)) {
            return Ok(None);
        }
        reading!(self, "reading a job", |connection| find::by_key(connection, key))
    }

    async fn jobs(&self, filter: &JobFilter, after: Option<i64>, limit: u32) -> Result<JobPage, OfficeError> {
        if !can_match(filter) {
            return Ok(JobPage { jobs: Vec::new(), numbers: Vec::new(), next: None });
        }
        reading!(self, "listing jobs", |connection| find::page(connection, filter, after, limit))
    }

    async fn active_job_of_drive(&self, drive_id: &DriveId) -> Result<Option<JobRow>, OfficeError> {
        reading!(self, "looking for a drive's job", |connection| find::active_job_of_drive(
            connection, drive_id
        ))
    }

    async fn active_jobs_of_parcel(&self, tracking_number: &str) -> Result<Vec<JobRow>, OfficeError> {
        reading!(self, "looking for a parcel's jobs", |connection| find::active_jobs_of_parcel(
            connection,
            tracking_number
        ))
    }

    async fn active_drives(
        &self,
        station: Option<&str>,
        after: Option<&DriveId>,
        limit: u32,
    ) -> Result<Vec<PlacedDrive>, OfficeError> {
        if !station.is_none_or(storable) {
            return Ok(Vec::new());
        }
        reading!(self, "listing drives", |connection| find::active_drives(connection, station, after, limit))
    }

    async fn due_timers(&self, at_unix_ms: i64, limit: u32) -> Result<Vec<DueTimer>, OfficeError> {
        reading!(self, "looking for due timers", |connection| find::due_timers(connection, at_unix_ms, limit))
    }

    async fn reply(&self, caller: &str, key: &str) -> Result<Option<StoredReply>, OfficeError> {
        if !storable(caller) || !storable(key) {
            return Ok(None);
        }
        reading!(self, "looking for an earlier answer", |connection| replies::find(connection, caller, key))
    }
}

fn can_match(filter: &JobFilter) -> bool {
    let scope = match &filter.scope {
        JobScope::All => true,
        JobScope::Subscription(subscription) => storable(subscription),
        JobScope::ResourceGroup { subscription, resource_group } => {
            storable(subscription) && storable(resource_group)
        }
    };
    scope && [&filter.state, &filter.job_type].into_iter().flatten().all(|text| storable(text))
}

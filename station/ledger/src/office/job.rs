//! Jobs and their drives as rows, and how they are found.

use async_trait::async_trait;
use model::DriveId;
pub use model::job::JobKey;

use super::change::{Applied, Change};
use super::error::{ApplyError, OfficeError};
use super::reply::StoredReply;

/// A job as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobRow {
    /// Which job; found without regard to case, given back as it was first spelled.
    pub key: JobKey,
    /// Where drives are sent.
    pub location: String,
    /// The storage account's ARM id.
    pub storage_account: String,
    /// The model's word for import or export.
    pub job_type: String,
    /// The model's word.
    pub state: String,
    /// Whether its drives and parcels are looked for: a drive is in at most one active job.
    pub active: bool,
    /// Of parcels on their way, as given; found without regard to case and blanks.
    pub tracking_numbers: Vec<String>,
    /// Counts the changes, from 1. Written by the ledger only.
    pub version: i64,
    /// When it was made, milliseconds since 1970.
    pub created_unix_ms: i64,
    /// When it was last changed, milliseconds since 1970.
    pub updated_unix_ms: i64,
    /// The whole job as JSON, without secrets.
    pub document: String,
    /// Its drives, in the order of the request.
    pub drives: Vec<DriveRow>,
    /// What shall happen when nothing else does, at most one of a kind. Read back by due time.
    pub timers: Vec<Timer>,
}

/// A drive of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DriveRow {
    /// Its serial number; a job has it once.
    pub drive_id: DriveId,
    /// The model's word.
    pub state: String,
    /// The station that has it.
    pub station: Option<String>,
    /// The bay that it is in.
    pub bay: Option<String>,
    /// Work waits for it: a station may claim it.
    pub claimable: bool,
    /// Whatever else is known of it, as JSON.
    pub document: String,
}

/// A time at which a job shall be looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timer {
    /// The model's word.
    pub kind: String,
    /// Milliseconds since 1970.
    pub due_unix_ms: i64,
}

/// A timer whose time has come. It stays until the job's next row does not have it any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DueTimer {
    /// Of which job.
    pub job: JobKey,
    /// Which.
    pub timer: Timer,
}

/// Of which jobs; compared without case.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum JobScope {
    /// All.
    #[default]
    All,
    /// Those of a subscription.
    Subscription(String),
    /// Those of a resource group.
    ResourceGroup {
        /// In this subscription.
        subscription: String,
        /// The group's name.
        resource_group: String,
    },
}

/// Which jobs a list shows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct JobFilter {
    /// Whose.
    pub scope: JobScope,
    /// In this state only.
    pub state: Option<String>,
    /// Of this type only.
    pub job_type: Option<String>,
}

/// A part of a list, in the order in which the jobs were made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobPage {
    /// The jobs.
    pub jobs: Vec<JobRow>,
    /// For each of them where the part after it begins: who shows only some of a part can end within it.
    pub numbers: Vec<i64>,
    /// Where the next part begins; none at the end. A job that is made meanwhile comes after it.
    pub next: Option<i64>,
}

/// A drive of an active job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlacedDrive {
    /// Whose.
    pub job: JobKey,
    /// The drive.
    pub drive: DriveRow,
    /// The station that works on it now: its lease has not ended.
    pub claimed_by: Option<String>,
}

/// The longest page; more is cut to it, so that no request fills the memory.
pub const PAGE_ROWS_MAX: u32 = 1_000;

/// A store of jobs.
#[async_trait]
pub trait Jobs: Send + Sync {
    /// Saves all of the change or nothing.
    ///
    /// # Errors
    /// When it is refused or the store fails; nothing of it is there then.
    async fn apply(&self, change: &Change) -> Result<Applied, ApplyError>;

    /// The job of that key, in any spelling.
    ///
    /// # Errors
    /// When the store cannot be read.
    async fn job(&self, key: &JobKey) -> Result<Option<JobRow>, OfficeError>;

    /// The next jobs of a list, at most `limit` and [`PAGE_ROWS_MAX`]; `after` is [`JobPage::next`].
    ///
    /// # Errors
    /// When the store cannot be read.
    async fn jobs(&self, filter: &JobFilter, after: Option<i64>, limit: u32) -> Result<JobPage, OfficeError>;

    /// The active job that has this drive.
    ///
    /// # Errors
    /// When the store cannot be read.
    async fn active_job_of_drive(&self, drive_id: &DriveId) -> Result<Option<JobRow>, OfficeError>;

    /// The active jobs that a parcel belongs to, in the order in which they were made.
    ///
    /// # Errors
    /// When the store cannot be read.
    async fn active_jobs_of_parcel(&self, tracking_number: &str) -> Result<Vec<JobRow>, OfficeError>;

    /// The next drives of active jobs in order of their serial numbers, of one station or of all.
    ///
    /// # Errors
    /// When the store cannot be read.
    async fn active_drives(
        &self,
        station: Option<&str>,
        after: Option<&DriveId>,
        limit: u32,
    ) -> Result<Vec<PlacedDrive>, OfficeError>;

    /// Timers that are due at that time, the longest overdue first, at most `limit`.
    ///
    /// # Errors
    /// When the store cannot be read.
    async fn due_timers(&self, at_unix_ms: i64, limit: u32) -> Result<Vec<DueTimer>, OfficeError>;

    /// The answer that was given to this caller under this idempotency key, unless it is forgotten.
    ///
    /// # Errors
    /// When the store cannot be read.
    async fn reply(&self, caller: &str, key: &str) -> Result<Option<StoredReply>, OfficeError>;
}

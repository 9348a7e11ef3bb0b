//! Outcome ──ledger──▶ **logs**: what the customer can hold against us.
//!
//! Four logs a drive: the drive log (error and verbose) of 2014-11-01, and the copy log and verbose
//! log of 2021-08-01. They are written from the manifest, read once more, and the ledger's
//! outcomes, both in the manifest's order; no clock is involved but the one noted when the first
//! run of the drive began. So a drive that was interrupted ten times has the same logs as one that
//! was not. Written locally first, then uploaded.

pub mod tally;
pub mod upload;
pub mod write;

use std::path::{Path, PathBuf};

use manifest::log::names::{self, CopyLogName, DriveLogName, LogTime};
use model::DriveId;

pub use tally::{Tally, tally};
pub use upload::{UploadError, upload};
pub use write::{Failure, LogError, LogRequest, Written, write};

/// Container of the drive logs: azure-import-export.md §3.1.
pub const DRIVE_LOG_CONTAINER: &str = "waimportexport";
/// Container of the copy logs.
pub const COPY_LOG_CONTAINER: &str = "databoxcopylog";

/// Where one log goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogName {
    /// Container in the account.
    pub container: &'static str,
    /// Name in the container.
    pub blob: String,
}

/// The names of a drive's logs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogNames {
    /// Drive log, errors only.
    pub error: LogName,
    /// Drive log, everything.
    pub verbose: LogName,
    /// Copy log.
    pub copy: LogName,
    /// Verbose copy log.
    pub copy_verbose: LogName,
}

impl LogNames {
    /// Names for a run that began at `started_unix_ms`; the run's id stands for the job's id.
    pub fn new(job_name: &str, drive: &DriveId, started_unix_ms: i64, run_id: &[u8; 16]) -> LogNames {
        let time = LogTime::from_unix_milliseconds(u64::try_from(started_unix_ms).unwrap_or(0));
        let job_id: String = run_id.iter().map(|byte| format!("{byte:02x}")).collect();
        let drive_log = |name| LogName {
            container: DRIVE_LOG_CONTAINER,
            blob: names::drive_log(job_name, drive.as_str(), time, name),
        };
        let copy_log = |name| LogName {
            container: COPY_LOG_CONTAINER,
            blob: names::copy_log(job_name, drive.as_str(), &job_id, name),
        };
        LogNames {
            error: drive_log(DriveLogName::Error),
            verbose: drive_log(DriveLogName::Verbose),
            copy: copy_log(CopyLogName::Copy),
            copy_verbose: copy_log(CopyLogName::Verbose),
        }
    }

    /// All four, in the report's order.
    pub fn all(&self) -> [&LogName; 4] {
        [&self.error, &self.verbose, &self.copy, &self.copy_verbose]
    }

    /// Their names in the account.
    pub fn in_account(&self) -> Vec<String> {
        self.all().iter().map(|name| format!("{}/{}", name.container, name.blob)).collect()
    }

    /// Their local copies.
    pub fn local(&self, logs_dir: &Path) -> Vec<PathBuf> {
        self.all().iter().map(|name| logs_dir.join(name.container).join(&name.blob)).collect()
    }
}

//! What bays report, and what they are told.

use async_trait::async_trait;
use ledger::Claim;
use model::DriveId;
use model::job::{Happening, Job, JobKey, RunLogs};
use model::status::DriveStatus;

use crate::service::Work;
use crate::{Caller, ChangeError, Jobs, Stored};

/// The bays of this station. Whatever they are told they may be told again.
///
/// A job's drive may be in a bay of another station: then this is not ours to do, and that station hears it
/// from the events `drive.ready` and `drive.stop`.
#[async_trait]
pub trait Bays: Send + Sync {
    /// Work may begin on a drive, or go on.
    async fn ready(&self, job: &Job, drive_id: &DriveId);

    /// Work on a drive must stop; the bay then reports [`Jobs::drive_stopped`].
    async fn stop(&self, job: &Job, drive_id: &DriveId);
}

/// A station without bays: a dock, or a program that only reads.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoBays;

#[async_trait]
impl Bays for NoBays {
    async fn ready(&self, _: &Job, _: &DriveId) {}

    async fn stop(&self, _: &Job, _: &DriveId) {}
}

impl Jobs {
    /// A bay begins with a drive, or goes on with it.
    ///
    /// # Errors
    /// When the drive is not in a bay, is held, finished or cancelled; when the claim is lost.
    pub async fn drive_started(
        &self,
        caller: &Caller,
        key: &JobKey,
        drive_id: &DriveId,
        claim: Option<Claim>,
    ) -> Result<Stored, ChangeError> {
        self.report(caller, key, claim, Happening::DriveStarted { drive_id: drive_id.clone() }).await
    }

    /// A bay got on with a drive.
    ///
    /// # Errors
    /// When the drive is not being copied; when the claim is lost.
    pub async fn drive_progress(
        &self,
        caller: &Caller,
        key: &JobKey,
        drive_id: &DriveId,
        (percent, bytes_succeeded): (u8, u64),
        claim: Option<Claim>,
    ) -> Result<Stored, ChangeError> {
        let drive_id = drive_id.clone();
        self.report(caller, key, claim, Happening::DriveProgress { drive_id, percent, bytes_succeeded }).await
    }

    /// A bay is done with a drive.
    ///
    /// # Errors
    /// When the drive ended otherwise; when the claim is lost.
    pub async fn drive_ended(
        &self,
        caller: &Caller,
        key: &JobKey,
        drive_id: &DriveId,
        (status, bytes_succeeded, logs): (DriveStatus, u64, RunLogs),
        claim: Option<Claim>,
    ) -> Result<Stored, ChangeError> {
        let drive_id = drive_id.clone();
        self.report(caller, key, claim, Happening::DriveEnded { drive_id, status, bytes_succeeded, logs })
            .await
    }

    /// A bay stopped before the drive's end.
    ///
    /// # Errors
    /// When the drive was not being copied; when the claim is lost.
    pub async fn drive_stopped(
        &self,
        caller: &Caller,
        key: &JobKey,
        drive_id: &DriveId,
        claim: Option<Claim>,
    ) -> Result<Stored, ChangeError> {
        self.report(caller, key, claim, Happening::DriveStopped { drive_id: drive_id.clone() }).await
    }

    async fn report(
        &self,
        caller: &Caller,
        key: &JobKey,
        claim: Option<Claim>,
        what: Happening,
    ) -> Result<Stored, ChangeError> {
        let work = Work { claim, ..Work::new(caller, key) };
        self.change(&work, |_| Ok(vec![what.clone()])).await
    }
}

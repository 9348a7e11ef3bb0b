//! What a shift lead decides when a job or a drive cannot go its way: operations.md §3.10.
//!
//! Each is one event; when it fits, and what follows, is the job's to say. Who may decide it is the API's table.

use model::DriveId;
use model::job::{DriveState, EventName, Happening, JobDrive, JobKey, Refusal, RunLogs};
use model::status::DriveStatus;

use crate::service::Work;
use crate::{Caller, ChangeError, Jobs, Stored};

impl Jobs {
    /// A drive is of no supported kind: it goes back as it is, and the job's others go on.
    ///
    /// # Errors
    /// When it is not booked in, or was begun.
    pub async fn drive_unsupported(
        &self,
        caller: &Caller,
        key: &JobKey,
        drive_id: &DriveId,
    ) -> Result<Stored, ChangeError> {
        self.tell(caller, key, Happening::DriveUnsupported { drive_id: drive_id.clone() }).await
    }

    /// A drive cannot go on; its job's others do.
    ///
    /// # Errors
    /// When it is not here, or finished; when no reason is given.
    pub async fn drive_faulted(
        &self,
        caller: &Caller,
        key: &JobKey,
        drive_id: &DriveId,
        reason: &str,
    ) -> Result<Stored, ChangeError> {
        let reason = reason.to_owned();
        self.tell(caller, key, Happening::DriveFaulted { drive_id: drive_id.clone(), reason }).await
    }

    /// A faulted drive goes on where it was.
    ///
    /// # Errors
    /// When it is not faulted.
    pub async fn drive_put_back(
        &self,
        caller: &Caller,
        key: &JobKey,
        drive_id: &DriveId,
    ) -> Result<Stored, ChangeError> {
        self.tell(caller, key, Happening::DrivePutBack { drive_id: drive_id.clone() }).await
    }

    /// A faulted drive is given up, with that status; what landed of it stays, and it goes back.
    ///
    /// # Errors
    /// When it is not faulted, or has ended otherwise.
    pub async fn drive_given_up(
        &self,
        caller: &Caller,
        key: &JobKey,
        drive_id: &DriveId,
        status: DriveStatus,
    ) -> Result<Stored, ChangeError> {
        self.change(&Work::new(caller, key), |found| {
            let (drive_id, logs) = (drive_id.clone(), RunLogs::default());
            match found.job.drive(&drive_id) {
                // A bay would go on with it, and could not say how it ended.
                Some(JobDrive { state: state @ DriveState::Transferring, .. }) => {
                    let (event, state) = (EventName::DriveEnded, *state);
                    let advice = "report it as faulty first";
                    Err(Refusal::DriveState { event, drive_id, state, advice }.into())
                }
                _ => Ok(vec![Happening::DriveEnded { drive_id, status, bytes_succeeded: 0, logs }]),
            }
        })
        .await
    }

    /// A drive that came along with this job is another's: it can be booked there, and does not go back from here.
    ///
    /// # Errors
    /// When the job has no such extra drive.
    pub async fn extra_drive_moved(
        &self,
        caller: &Caller,
        key: &JobKey,
        drive_id: &DriveId,
    ) -> Result<Stored, ChangeError> {
        self.tell(caller, key, Happening::ExtraDriveMoved { drive_id: drive_id.clone() }).await
    }

    /// A parcel whose job was never shipped went back as it came.
    ///
    /// # Errors
    /// When the job was shipped, or has no such parcel.
    pub async fn parcel_returned(
        &self,
        caller: &Caller,
        key: &JobKey,
        tracking_number: &str,
    ) -> Result<Stored, ChangeError> {
        let tracking_number = tracking_number.to_owned();
        self.tell(caller, key, Happening::ParcelReturned { tracking_number }).await
    }

    /// The drives cannot be sent back: from now on they are kept for ninety days.
    ///
    /// # Errors
    /// When they are not ready to go back; when no reason is given.
    pub async fn return_impossible(
        &self,
        caller: &Caller,
        key: &JobKey,
        reason: &str,
    ) -> Result<Stored, ChangeError> {
        self.tell(caller, key, Happening::ReturnImpossible { reason: reason.to_owned() }).await
    }

    /// Drives that nobody took back were destroyed; the job is over.
    ///
    /// # Errors
    /// Before the ninety days are over.
    pub async fn drives_destroyed(&self, caller: &Caller, key: &JobKey) -> Result<Stored, ChangeError> {
        self.tell(caller, key, Happening::DrivesDestroyed).await
    }

    /// The customer was asked where the parcel is, and answered: it is waited for anew.
    ///
    /// # Errors
    /// When the job is not on its way here.
    pub async fn customer_answered(&self, caller: &Caller, key: &JobKey) -> Result<Stored, ChangeError> {
        self.tell(caller, key, Happening::CustomerAnswered).await
    }
}

//! What the desk does: parcels and drives, from the dock to the carrier.
//!
//! operations.md §3.1, §3.2, §3.8, §3.10. Scanning twice is scanning once. What a shift lead decides when
//! something is wrong is in `lead`.

use ledger::PlacedDrive;
use model::DriveId;
use model::job::{Event, Happening, Job, JobKey, Parcel, Refusal, ReturnPackage};

use crate::error::known_parcel;
use crate::{Caller, ChangeError, DeskError, Jobs, LookError, Stored, parcel, row};

/// How many drives are read at a time when a bay's occupant is looked for.
const DRIVES_PAGE: u32 = 500;

/// A job whose parcel was scanned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arrived {
    /// The job.
    pub stored: Stored,
    /// When and where the parcel was scanned before, if it was; its drives' places are in the job.
    pub before: Option<Parcel>,
}

/// What three scans say of one drive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ThreeWay {
    /// The label on the drive.
    pub label: DriveId,
    /// The serial number that the device in the bay gives.
    pub device: DriveId,
    /// The bay's label.
    pub bay: String,
}

impl Jobs {
    /// Books a parcel in, for every job of this site that expects it.
    ///
    /// # Errors
    /// When no job does, or only those of another site: then nothing is booked.
    pub async fn receive_package(
        &self,
        caller: &Caller,
        tracking_number: &str,
        condition: Option<String>,
    ) -> Result<Vec<Arrived>, DeskError> {
        let expected = self.jobs_of_parcel(caller, tracking_number).await?;
        let (expected, others): (Vec<_>, Vec<_>) =
            expected.into_iter().partition(|stored| self.is_own_site(&stored.job));
        // A number is what a customer typed: another site's job that has it too says nothing about this parcel.
        if let (true, Some(other)) = (expected.is_empty(), others.into_iter().next()) {
            return Err(DeskError::OtherSite { job: Box::new(other.job.key), location: other.job.location });
        }
        let mut arrived = Vec::new();
        let count = expected.len();
        // The answer is kept with the last of them: a repetition before that does again what is not yet done.
        let silent = Caller { reply: None, ..caller.clone() };
        for (index, stored) in expected.into_iter().enumerate() {
            let caller = if index + 1 == count { caller } else { &silent };
            let before = known_parcel(&stored.job.parcels, tracking_number).cloned();
            let what = Happening::ParcelReceived {
                tracking_number: tracking_number.to_owned(),
                station: self.parts.station.clone(),
                condition: condition.clone(),
            };
            arrived.push(Arrived { stored: self.tell(caller, &stored.job.key, what).await?, before });
        }
        Ok(arrived)
    }

    /// The active jobs that a parcel belongs to and the caller may know of: by its number, or by its number with a
    /// suffix.
    async fn jobs_of_parcel(&self, caller: &Caller, tracking_number: &str) -> Result<Vec<Stored>, DeskError> {
        let mut found: Vec<Stored> = Vec::new();
        for number in parcel::numbers(tracking_number) {
            let rows = self.parts.jobs.active_jobs_of_parcel(&number).await.map_err(LookError::Store)?;
            for stored in rows.iter().map(row::read) {
                let stored = stored?;
                let is_known = found.iter().any(|known| known.job.key == stored.job.key);
                if !is_known && caller.sees(&stored.job.key) {
                    found.push(stored);
                }
            }
        }
        if found.is_empty() {
            let tracking_number = tracking_number.to_owned();
            return Err(DeskError::UnknownParcel { tracking_number });
        }
        Ok(found)
    }

    /// A parcel is empty: what is not booked by now did not come with it.
    ///
    /// # Errors
    /// When drives are missing and nobody says why.
    pub async fn unpack(
        &self,
        caller: &Caller,
        key: &JobKey,
        tracking_number: &str,
        shortfall_reason: Option<String>,
    ) -> Result<Stored, ChangeError> {
        let tracking_number = tracking_number.to_owned();
        self.tell(caller, key, Happening::ParcelUnpacked { tracking_number, shortfall_reason }).await
    }

    /// The active job that has this drive.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn find_drive(&self, drive_id: &DriveId) -> Result<Option<Stored>, LookError> {
        let found = self.parts.jobs.active_job_of_drive(drive_id).await.map_err(LookError::Store)?;
        found.as_ref().map(row::read).transpose()
    }

    /// The same for somebody who may not know of every job.
    async fn owner_for(&self, caller: &Caller, drive_id: &DriveId) -> Result<Option<Stored>, LookError> {
        let found = self.find_drive(drive_id).await?;
        Ok(found.filter(|owner| caller.sees(&owner.job.key)))
    }

    /// Books a drive in that was scanned. With a job (the parcel's) it must be that job's; without one it is looked up.
    ///
    /// A drive that came along with another job of the same subscription is taken off there: its customer made a job
    /// for it. Another customer's word is not enough for that, the shift lead's is ([`Jobs::extra_drive_moved`]).
    ///
    /// # Errors
    /// When it belongs to another job or to none, or to another site.
    pub async fn scan(
        &self,
        caller: &Caller,
        drive_id: &DriveId,
        job: Option<&JobKey>,
        slot: Option<String>,
    ) -> Result<Stored, DeskError> {
        let owner = self.owner_for(caller, drive_id).await?;
        let stored = match (owner, job) {
            (Some(owner), Some(key)) if owner.job.key != *key => return Err(other_job(drive_id, owner.job)),
            (Some(owner), _) => owner,
            (None, Some(key)) => {
                caller.must_see(key)?;
                self.found(key).await?
            }
            (None, None) => return Err(DeskError::UnknownDrive { drive_id: drive_id.clone() }),
        };
        let job = stored.job;
        if !self.is_own_site(&job) {
            return Err(DeskError::OtherSite { job: Box::new(job.key), location: job.location });
        }
        let what = Happening::DriveReceived {
            drive_id: drive_id.clone(),
            station: self.parts.station.clone(),
            slot,
        };
        if let Some(other) = self.with_extra(drive_id, Some(&job.key)).await? {
            let is_customers = other.job.key.subscription.eq_ignore_ascii_case(&job.key.subscription);
            if !is_customers || !caller.sees(&other.job.key) {
                return Err(anothers(caller, drive_id, other.job));
            }
            // Only once this job is known to take it: else it would be nobody's.
            job.clone().step(Event { at_unix_ms: self.now_unix_ms(), what: what.clone() })?;
            let silent = Caller { reply: None, if_version: None, ..caller.clone() };
            self.extra_drive_moved(&silent, &other.job.key, drive_id).await?;
        }
        Ok(self.tell(caller, &job.key, what).await?)
    }

    /// Books a drive that came with a job's parcel and is nobody's.
    ///
    /// # Errors
    /// When it is on a job's list, or came along with another job.
    pub async fn extra_drive(
        &self,
        caller: &Caller,
        key: &JobKey,
        drive_id: &DriveId,
        slot: Option<String>,
    ) -> Result<Stored, DeskError> {
        let owner = self.find_drive(drive_id).await?.filter(|owner| owner.job.key != *key);
        let other = match owner {
            Some(owner) => Some(owner),
            None => self.with_extra(drive_id, Some(key)).await?,
        };
        if let Some(other) = other {
            return Err(anothers(caller, drive_id, other.job));
        }
        let station = self.parts.station.clone();
        let what = Happening::ExtraDrive { drive_id: drive_id.clone(), station, slot };
        Ok(self.tell(caller, key, what).await?)
    }

    /// Gives a drive to the bay that it was put into, when label, device and bay agree.
    ///
    /// # Errors
    /// When they do not: all three are told. When the bay is another drive's, or no work may begin on this one.
    pub async fn assign(&self, caller: &Caller, seen: &ThreeWay) -> Result<Stored, DeskError> {
        let ThreeWay { label, device, bay } = seen;
        if label != device {
            let (label, device, bay) = (label.clone(), device.clone(), bay.clone());
            return Err(DeskError::Mismatch { label, device, bay });
        }
        let owner = self.owner_for(caller, label).await?;
        let owner = owner.ok_or_else(|| DeskError::UnknownDrive { drive_id: label.clone() })?;
        if let Some(placed) = self.occupant(bay, label).await? {
            let occupant = caller.sees(&placed.job).then_some(placed.drive.drive_id);
            return Err(DeskError::BayTaken { bay: bay.clone(), occupant });
        }
        let station = self.parts.station.clone();
        let what = Happening::DriveAssigned { drive_id: label.clone(), station, bay: bay.clone() };
        Ok(self.tell(caller, &owner.job.key, what).await?)
    }

    /// Another drive that is booked in that bay.
    async fn occupant(&self, bay: &str, but: &DriveId) -> Result<Option<PlacedDrive>, LookError> {
        let is_in =
            |placed: &PlacedDrive| placed.drive.bay.as_deref() == Some(bay) && placed.drive.drive_id != *but;
        let mut after = None;
        loop {
            let station = Some(self.parts.station.as_str());
            let drives = self.parts.jobs.active_drives(station, after.as_ref(), DRIVES_PAGE).await;
            let drives = drives.map_err(LookError::Store)?;
            let Some(last) = drives.last() else { return Ok(None) };
            after = Some(last.drive.drive_id.clone());
            if let Some(found) = drives.into_iter().find(is_in) {
                return Ok(Some(found));
            }
        }
    }

    /// No work may begin on a drive; what runs stops.
    ///
    /// # Errors
    /// When the drive is not here, or no reason is given.
    pub async fn hold(
        &self,
        caller: &Caller,
        key: &JobKey,
        drive_id: &DriveId,
        reason: &str,
    ) -> Result<Stored, ChangeError> {
        let reason = reason.to_owned();
        self.tell(caller, key, Happening::DriveHeld { drive_id: drive_id.clone(), reason }).await
    }

    /// Work on a drive may go on.
    ///
    /// # Errors
    /// When the job does not have it.
    pub async fn resume(
        &self,
        caller: &Caller,
        key: &JobKey,
        drive_id: &DriveId,
    ) -> Result<Stored, ChangeError> {
        self.tell(caller, key, Happening::DriveResumed { drive_id: drive_id.clone() }).await
    }

    /// A drive left its bay, or its box, for the shelf.
    ///
    /// # Errors
    /// When it is not here.
    pub async fn release(
        &self,
        caller: &Caller,
        key: &JobKey,
        drive_id: &DriveId,
        slot: Option<String>,
    ) -> Result<Stored, ChangeError> {
        self.tell(caller, key, Happening::DriveReleased { drive_id: drive_id.clone(), slot }).await
    }

    /// Puts a drive into the box that goes back.
    ///
    /// # Errors
    /// When the drive or the box is another job's: which one is told. When the drive is held, or the job is not
    /// ready for packing.
    pub async fn pack(
        &self,
        caller: &Caller,
        key: &JobKey,
        drive_id: &DriveId,
        label: &str,
    ) -> Result<Stored, DeskError> {
        let _packing = self.packing.lock().await;
        if let Some(other) = self.other_in_box(key, label).await? {
            let other = caller.sees(&other).then(|| Box::new(other));
            return Err(DeskError::BoxTaken { label: label.to_owned(), other });
        }
        let what = Happening::DrivePacked { drive_id: drive_id.clone(), label: label.to_owned() };
        match self.tell(caller, key, what).await {
            Err(ChangeError::Refused(Refusal::UnknownDrive { .. })) => {
                let holder = self.find_holder(drive_id).await?;
                Err(match holder.filter(|holder| caller.sees(&holder.job.key)) {
                    Some(owner) => other_job(drive_id, owner.job),
                    None => DeskError::UnknownDrive { drive_id: drive_id.clone() },
                })
            }
            done => Ok(done?),
        }
    }

    /// The box went to the carrier.
    ///
    /// # Errors
    /// When drives are missing in it: which, and where they are. When its papers are incomplete.
    pub async fn ship(
        &self,
        caller: &Caller,
        key: &JobKey,
        package: ReturnPackage,
    ) -> Result<Stored, ChangeError> {
        self.tell(caller, key, Happening::ReturnBooked(package)).await
    }

    /// A drive of the list did not come.
    ///
    /// # Errors
    /// When it is here.
    pub async fn never_received(
        &self,
        caller: &Caller,
        key: &JobKey,
        drive_id: &DriveId,
    ) -> Result<Stored, ChangeError> {
        self.tell(caller, key, Happening::DriveMissing { drive_id: drive_id.clone() }).await
    }
}

/// A drive that is held for another job; for which, is told to who may know.
fn anothers(caller: &Caller, drive_id: &DriveId, owner: Job) -> DeskError {
    if caller.sees(&owner.key) {
        other_job(drive_id, owner)
    } else {
        ChangeError::DriveTaken { drive_id: drive_id.clone() }.into()
    }
}

fn other_job(drive_id: &DriveId, owner: Job) -> DeskError {
    DeskError::OtherJob { drive_id: drive_id.clone(), other: Box::new(owner.key) }
}

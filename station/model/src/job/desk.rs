//! What the desk does: parcels in, drives booked, held, packed, and the parcel back.
//!
//! operations.md §3.1, §3.2, §3.8, §3.10. The desk scans the same thing twice without harm; it never
//! packs a drive of another job, because another job's drive is not found here.

use super::event::{EventName, Notice};
use super::fields::{ExtraDrive, Hold, JobDrive, Parcel, ReturnPackage};
use super::refusal::Refusal;
use super::step::Turn;
use super::words::{DriveState, JobState, JobType};
use super::{Action, CopyStatus, DRIVES_MAX, Place, RECORDS_MAX, RunLogs};
use crate::DriveId;

impl Turn {
    pub(super) fn parcel(&self, tracking_number: &str) -> Option<&Parcel> {
        self.job.parcels.iter().find(|parcel| parcel.tracking_number.eq_ignore_ascii_case(tracking_number))
    }

    pub(super) fn parcel_received(
        &mut self,
        tracking_number: String,
        station: String,
        condition: Option<String>,
    ) -> Result<(), Refusal> {
        room_for(EventName::ParcelReceived, self.job.parcels.len())?;
        let received_unix_ms = self.at_unix_ms;
        let parcel = Parcel { tracking_number, station, received_unix_ms, condition, unpacked: false };
        self.job.parcels.push(parcel);
        if self.job.state == JobState::Creating {
            // Spec §4.2: the customer has two weeks from now to ship the job in the system too.
            self.notify(Notice::ParcelBeforeShipping);
            self.forget_undeliverable();
            self.set_timer(super::TimerKind::CreatingIdle);
        }
        self.answered()
    }

    pub(super) fn parcel_unpacked(
        &mut self,
        tracking_number: &str,
        shortfall_reason: Option<&str>,
    ) -> Result<(), Refusal> {
        let tracked = |parcel: &&mut Parcel| parcel.tracking_number.eq_ignore_ascii_case(tracking_number);
        let Some(parcel) = self.job.parcels.iter_mut().find(tracked) else {
            return Err(Refusal::UnknownParcel { tracking_number: tracking_number.to_owned() });
        };
        parcel.unpacked = true;
        let missing: Vec<DriveId> = self.specified().map(|drive| drive.drive_id.clone()).collect();
        let is_short = match self.job.job_type {
            JobType::Import => !missing.is_empty(),
            JobType::Export => self.job.missing_of_export().unwrap_or(0) > 0,
        };
        if is_short && shortfall_reason.is_none_or(|reason| reason.trim().is_empty()) {
            return Err(Refusal::ShortfallUnexplained { missing });
        }
        missing.iter().try_for_each(|drive_id| self.drive_missing(drive_id))
    }

    fn specified(&self) -> impl Iterator<Item = &JobDrive> {
        self.job.drives.iter().filter(|drive| drive.state == DriveState::Specified)
    }

    /// A parcel that nobody shipped went back; the order itself stays, and may lapse.
    pub(super) fn parcel_returned(&mut self, tracking_number: &str) -> Result<(), Refusal> {
        if self.parcel(tracking_number).is_none() {
            return Err(Refusal::UnknownParcel { tracking_number: tracking_number.to_owned() });
        }
        self.job.parcels.retain(|parcel| !parcel.tracking_number.eq_ignore_ascii_case(tracking_number));
        if self.job.parcels.is_empty() && self.job.undeliverable.is_some() {
            self.forget_undeliverable();
            self.set_timer(super::TimerKind::CreatingIdle);
        }
        Ok(())
    }

    pub(super) fn drive_received(
        &mut self,
        drive_id: DriveId,
        station: String,
        slot: Option<String>,
    ) -> Result<(), Refusal> {
        let place = Place::Shelf { station, slot };
        if self.job.drive(&drive_id).is_some_and(|drive| drive.place.is_here()) {
            return self.drive_moved(&drive_id, place);
        }
        match self.job.job_type {
            JobType::Import => self.listed_received(&drive_id, place)?,
            JobType::Export => self.empty_received(drive_id, place)?,
        }
        self.answered()
    }

    /// Another station had it: it is the same drive in the same state, and that station's bay lets it go.
    fn drive_moved(&mut self, drive_id: &DriveId, place: Place) -> Result<(), Refusal> {
        let drive = self.drive_mut(drive_id)?;
        let left_bay = drive.place.bay().is_some() && drive.state == DriveState::Transferring;
        drive.place = place;
        if left_bay {
            self.act(Action::StopCopy { drive_id: drive_id.clone() });
        }
        Ok(())
    }

    fn listed_received(&mut self, drive_id: &DriveId, place: Place) -> Result<(), Refusal> {
        let drive = self.drive_mut(drive_id)?;
        if !matches!(drive.state, DriveState::Specified | DriveState::NeverReceived) {
            let advice = "it has been here already; look where it went";
            return Err(refused(EventName::DriveReceived, drive, advice));
        }
        drive.state = DriveState::Received;
        drive.place = place;
        Ok(())
    }

    /// An export's list is filled by what comes, until the first drive is written. One that was booked as an extra
    /// drive before is that no more: it would be waited for in the box a second time.
    fn empty_received(&mut self, drive_id: DriveId, place: Place) -> Result<(), Refusal> {
        if !matches!(self.job.phase(), JobState::Shipping | JobState::Received) {
            return Err(Refusal::UnknownDrive { drive_id });
        }
        if self.job.drives.len() >= DRIVES_MAX {
            return Err(Refusal::TooManyDrives { drive_id });
        }
        self.job.extra_drives.retain(|drive| drive.drive_id != drive_id);
        self.job.drives.push(JobDrive::blank(drive_id, DriveState::Received, place));
        Ok(())
    }

    pub(super) fn drive_missing(&mut self, drive_id: &DriveId) -> Result<(), Refusal> {
        let drive = self.drive_mut(drive_id)?;
        match drive.state {
            DriveState::Specified => drive.state = DriveState::NeverReceived,
            _ => return Err(refused(EventName::DriveMissing, drive, "it is booked in; look where it lies")),
        }
        self.notify(Notice::DriveNeverReceived(drive_id.clone()));
        Ok(())
    }

    pub(super) fn extra_drive(
        &mut self,
        drive_id: DriveId,
        station: String,
        slot: Option<String>,
    ) -> Result<(), Refusal> {
        if self.job.drive(&drive_id).is_some() {
            return Err(Refusal::ExtraIsListed { drive_id });
        }
        room_for(EventName::ExtraDrive, self.job.extra_drives.len())?;
        self.job.extra_drives.push(ExtraDrive { drive_id, place: Place::Shelf { station, slot } });
        self.answered()
    }

    /// When nothing else of the job is here, there is nothing left that nobody takes back either.
    pub(super) fn extra_drive_moved(&mut self, drive_id: &DriveId) -> Result<(), Refusal> {
        if !self.job.extra_drives.iter().any(|drive| drive.drive_id == *drive_id) {
            return Err(Refusal::UnknownDrive { drive_id: drive_id.clone() });
        }
        self.job.extra_drives.retain(|drive| drive.drive_id != *drive_id);
        if !self.job.has_anything() {
            self.forget_undeliverable();
        }
        Ok(())
    }

    pub(super) fn drive_unsupported(&mut self, drive_id: &DriveId) -> Result<(), Refusal> {
        let drive = self.drive_mut(drive_id)?;
        if !matches!(drive.shown_state(), DriveState::Received) {
            let advice = "only a drive that is booked in and not begun can be set aside as unsupported";
            return Err(refused(EventName::DriveUnsupported, drive, advice));
        }
        drive.end(CopyStatus::UnsupportedDrive, RunLogs::default());
        Ok(())
    }

    pub(super) fn drive_assigned(
        &mut self,
        drive_id: &DriveId,
        station: String,
        bay: String,
    ) -> Result<(), Refusal> {
        let place = Place::Bay { station, bay: bay.clone() };
        self.workable(EventName::DriveAssigned, drive_id)?;
        if let Some(occupant) = self.job.drives.iter().find(|d| d.place == place && d.drive_id != *drive_id) {
            return Err(Refusal::BayTaken { bay, occupant: occupant.drive_id.clone() });
        }
        let drive = self.drive_mut(drive_id)?;
        if drive.place == place {
            return Ok(());
        }
        let left_bay = drive.place.bay().is_some() && drive.state == DriveState::Transferring;
        drive.place = place;
        if left_bay {
            self.act(Action::StopCopy { drive_id: drive_id.clone() });
        }
        self.act(Action::DriveReady { drive_id: drive_id.clone() });
        Ok(())
    }

    /// The drive, if work may begin on it: here, not held, not finished, not cancelled.
    pub(super) fn workable(
        &mut self,
        event: EventName,
        drive_id: &DriveId,
    ) -> Result<&mut JobDrive, Refusal> {
        let is_cancelled = self.job.cancel_requested;
        let drive = self.drive_mut(drive_id)?;
        let advice = match drive.state {
            DriveState::Received | DriveState::Transferring => None,
            DriveState::Specified | DriveState::NeverReceived => Some("receive it first"),
            DriveState::Faulted => Some("an operator must put it back first"),
            DriveState::Completed | DriveState::CompletedMoreInfo | DriveState::ShippedBack => {
                Some("it is finished; leave it for packing")
            }
        };
        match (advice, &drive.hold) {
            (Some(advice), _) => Err(refused(event, drive, advice)),
            (None, _) if is_cancelled => Err(Refusal::Cancelled { drive_id: drive_id.clone() }),
            (None, Some(hold)) => {
                Err(Refusal::Held { drive_id: drive_id.clone(), reason: hold.reason.clone() })
            }
            (None, None) => Ok(drive),
        }
    }

    /// Out of a bay or a box, or from one slot to another.
    pub(super) fn drive_released(&mut self, drive_id: &DriveId, slot: Option<String>) -> Result<(), Refusal> {
        let place = self.place_mut(drive_id)?;
        let was_in_bay = place.bay().is_some();
        let station = place.station().unwrap_or_default().to_owned();
        *place = Place::Shelf { station, slot };
        let is_running =
            self.job.drive(drive_id).is_some_and(|drive| drive.state == DriveState::Transferring);
        if was_in_bay && is_running {
            self.act(Action::StopCopy { drive_id: drive_id.clone() });
        }
        Ok(())
    }

    /// Where a drive that is here lies: one of the job's, or an extra one.
    fn place_mut(&mut self, drive_id: &DriveId) -> Result<&mut Place, Refusal> {
        let own = self.job.drives.iter_mut().map(|drive| (&drive.drive_id, &mut drive.place));
        let extra = self.job.extra_drives.iter_mut().map(|drive| (&drive.drive_id, &mut drive.place));
        match own.chain(extra).find(|(found, _)| *found == drive_id) {
            Some((_, place)) if place.is_here() => Ok(place),
            Some((_, place)) => Err(Refusal::NotHere { drive_id: drive_id.clone(), place: place.clone() }),
            None => Err(Refusal::UnknownDrive { drive_id: drive_id.clone() }),
        }
    }

    pub(super) fn drive_held(&mut self, drive_id: &DriveId, reason: String) -> Result<(), Refusal> {
        required(EventName::DriveHeld, &reason)?;
        let since_unix_ms = self.at_unix_ms;
        let drive = self.drive_mut(drive_id)?;
        if !drive.place.is_here() {
            return Err(Refusal::NotHere { drive_id: drive_id.clone(), place: drive.place.clone() });
        }
        let since_unix_ms = drive.hold.as_ref().map_or(since_unix_ms, |hold| hold.since_unix_ms);
        drive.hold = Some(Hold { reason, since_unix_ms });
        if drive.state == DriveState::Transferring {
            self.act(Action::StopCopy { drive_id: drive_id.clone() });
        }
        Ok(())
    }

    pub(super) fn drive_resumed(&mut self, drive_id: &DriveId) -> Result<(), Refusal> {
        let was_held = self.drive_mut(drive_id)?.hold.take().is_some();
        if was_held {
            self.announce_if_workable(drive_id);
        }
        Ok(())
    }

    /// Tells the bay that has the drive that it may work.
    pub(super) fn announce_if_workable(&mut self, drive_id: &DriveId) {
        if self.job.drive(drive_id).is_some_and(|drive| self.job.is_workable(drive)) {
            self.act(Action::DriveReady { drive_id: drive_id.clone() });
        }
    }

    pub(super) fn is_in_box(&self, drive_id: &DriveId, label: &str) -> bool {
        let here = |place: &Place| matches!(place, Place::Box { label: found, .. } if found == label);
        self.job.places().any(|(found, place)| found == drive_id && here(place))
    }

    pub(super) fn drive_packed(&mut self, drive_id: &DriveId, label: String) -> Result<(), Refusal> {
        if let Some(hold) = self.job.drive(drive_id).and_then(|drive| drive.hold.as_ref()) {
            return Err(Refusal::Held { drive_id: drive_id.clone(), reason: hold.reason.clone() });
        }
        let place = self.place_mut(drive_id)?;
        let station = place.station().unwrap_or_default().to_owned();
        *place = Place::Box { station, label };
        Ok(())
    }

    pub(super) fn return_booked(&mut self, package: ReturnPackage) -> Result<(), Refusal> {
        self.check_return(&package)?;
        self.job.return_package = Some(package);
        let has_error = self.job.drives.iter().any(JobDrive::has_error);
        for drive in self.job.drives.iter_mut().filter(|drive| drive.place.is_here()) {
            drive.state = DriveState::ShippedBack;
            drive.fault = None;
            drive.place = Place::SentBack;
        }
        self.job.extra_drives.iter_mut().for_each(|drive| drive.place = Place::SentBack);
        self.end(has_error);
        Ok(())
    }

    /// Everything that is here goes, counted, on a known account; and nothing that somebody holds back.
    fn check_return(&self, package: &ReturnPackage) -> Result<(), Refusal> {
        if self.job.return_shipping.is_none() {
            return Err(Refusal::ReturnShippingMissing);
        }
        let texts = [
            ("carrierName", &package.carrier_name),
            ("trackingNumber", &package.tracking_number),
            ("shipDate", &package.ship_date),
        ];
        let empty = texts.iter().filter(|(_, text)| text.trim().is_empty());
        let missing: Vec<&'static str> = empty.map(|(field, _)| *field).collect();
        if !missing.is_empty() {
            return Err(Refusal::ReturnIncomplete { missing });
        }
        let mut here = self.job.drives.iter().filter(|drive| drive.place.is_here());
        if let Some((drive, hold)) = here.find_map(|drive| Some((drive, drive.hold.as_ref()?))) {
            return Err(Refusal::Held { drive_id: drive.drive_id.clone(), reason: hold.reason.clone() });
        }
        let (packed, loose): (Vec<_>, Vec<_>) = self
            .job
            .places()
            .filter(|(_, place)| place.is_here())
            .partition(|(_, place)| matches!(place, Place::Box { .. }));
        if !loose.is_empty() {
            let missing =
                loose.into_iter().map(|(drive_id, place)| (drive_id.clone(), place.clone())).collect();
            return Err(Refusal::BoxIncomplete { missing });
        }
        let packed = u32::try_from(packed.len()).unwrap_or(u32::MAX);
        if packed == package.drive_count {
            Ok(())
        } else {
            Err(Refusal::CountDiffers { given: package.drive_count, packed })
        }
    }

    pub(super) fn return_impossible(&mut self, reason: String) -> Result<(), Refusal> {
        required(EventName::ReturnImpossible, &reason)?;
        match &mut self.job.undeliverable {
            Some(undeliverable) => undeliverable.reason = reason,
            None => {
                self.notify(Notice::AddressNeeded);
                self.keep_undeliverable(reason);
            }
        }
        Ok(())
    }

    pub(super) fn drives_destroyed(&mut self) -> Result<(), Refusal> {
        if !self.job.undeliverable.as_ref().is_some_and(|undeliverable| undeliverable.may_destroy) {
            return Err(Refusal::NotToBeDestroyed);
        }
        let own = self.job.drives.iter_mut().map(|drive| &mut drive.place);
        let extra = self.job.extra_drives.iter_mut().map(|drive| &mut drive.place);
        own.chain(extra).filter(|place| place.is_here()).for_each(|place| *place = Place::Destroyed);
        self.enter(JobState::Closed);
        Ok(())
    }
}

/// A drive that is not in the right state for that.
pub(super) fn refused(event: EventName, drive: &JobDrive, advice: &'static str) -> Refusal {
    Refusal::DriveState { event, drive_id: drive.drive_id.clone(), state: drive.state, advice }
}

fn room_for(event: EventName, there: usize) -> Result<(), Refusal> {
    if there < RECORDS_MAX { Ok(()) } else { Err(Refusal::Full { event }) }
}

/// A reason with words in it.
pub(super) fn required(event: EventName, reason: &str) -> Result<(), Refusal> {
    if reason.trim().is_empty() { Err(Refusal::ReasonMissing { event }) } else { Ok(()) }
}

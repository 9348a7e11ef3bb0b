//! What the customer does to a job: order, change, ship, cancel, delete.

use super::accept::{AcceptedJob, AcceptedUpdate};
use super::event::{Action, EventName};
use super::fields::{Authorship, EncryptionKey, JobDrive};
use super::refusal::Refusal;
use super::step::Turn;
use super::validate::fold_location;
use super::words::{DriveState, JobState, KekType};
use super::{DEFAULT_DIAGNOSTICS_PATH, Job};

const AT_CREATION: &str = "give it when the job is created";
const TOO_LATE: &str = "the drives are already being dealt with";

impl Job {
    /// A new job in `Creating`, and what has to be done once it is saved.
    pub fn create(accepted: AcceptedJob, by: &str, at_unix_ms: i64) -> (Job, Vec<Action>) {
        let mut turn = Turn { job: Job::blank(accepted, by, at_unix_ms), at_unix_ms, actions: Vec::new() };
        turn.enter(JobState::Creating);
        (turn.job, turn.actions)
    }

    fn blank(accepted: AcceptedJob, by: &str, at_unix_ms: i64) -> Job {
        let AcceptedJob { request, job_type, return_address, drives } = accepted;
        let path = request.diagnostics_path;
        Job {
            key: request.key,
            location: fold_location(&request.location),
            tags: request.tags,
            job_type,
            storage_account_id: request.storage_account_id,
            return_address,
            return_shipping: request.return_shipping,
            shipping_information: request.shipping_information.unwrap_or_default(),
            delivery_package: request.delivery_package,
            return_package: None,
            diagnostics_path: if path.is_empty() { DEFAULT_DIAGNOSTICS_PATH.to_owned() } else { path },
            log_level: request.log_level,
            backup_drive_manifest: request.backup_drive_manifest,
            export: request.export,
            encryption_key: request.encryption_key,
            identity: request.identity,
            state: JobState::Creating,
            fault: None,
            cancel_requested: false,
            percent_complete: 0,
            incomplete_blob_list_uri: None,
            drives,
            extra_drives: Vec::new(),
            parcels: Vec::new(),
            undeliverable: None,
            timers: std::collections::BTreeMap::new(),
            authorship: Authorship {
                created_by: by.to_owned(),
                created_unix_ms: at_unix_ms,
                modified_by: by.to_owned(),
                modified_unix_ms: at_unix_ms,
            },
        }
    }
}

impl Turn {
    /// Full replacement, as long as it is the same order (spec §9, row 18). What has happened since stays.
    pub(super) fn replace(&mut self, accepted: AcceptedJob) -> Result<(), Refusal> {
        let old = &self.job;
        let request = &accepted.request;
        let account_differs = !request.storage_account_id.eq_ignore_ascii_case(&old.storage_account_id);
        let fixed = [
            ("location", fold_location(&request.location) != old.location),
            ("properties.jobType", accepted.job_type != old.job_type),
            ("properties.storageAccountId", account_differs),
        ];
        if let Some((field, _)) = fixed.iter().find(|(_, differs)| *differs) {
            return Err(Refusal::Immutable { field });
        }
        keeps_customer_key(&old.encryption_key, &request.encryption_key)?;
        let fresh = Job::blank(accepted, "", self.at_unix_ms);
        self.job = Job {
            key: old.key.clone(),
            cancel_requested: old.cancel_requested,
            parcels: old.parcels.clone(),
            undeliverable: old.undeliverable.clone(),
            timers: old.timers.clone(),
            authorship: old.authorship.clone(),
            ..fresh
        };
        self.heard_of_customer()
    }

    pub(super) fn update(&mut self, update: AcceptedUpdate) -> Result<(), Refusal> {
        let AcceptedUpdate { request, drives } = update;
        let state = self.job.state;
        let phase = self.job.phase();
        let is_open = !phase.is_over();
        let before_packaging = is_open && phase != JobState::Packaging;
        let on_the_way = matches!(phase, JobState::Creating | JobState::Shipping);
        let new_address = request.return_address.as_ref().is_some_and(|new| *new != self.job.return_address);

        let job = &mut self.job;
        let over = "the job is over";
        set(
            &mut job.return_address,
            request.return_address,
            is_open,
            ("properties.returnAddress", state, over),
        )?;
        let carrier = "ask an operator; the carrier account is fixed once drives are packed";
        let shipping = request.return_shipping.map(Some);
        set(
            &mut job.return_shipping,
            shipping,
            before_packaging,
            ("properties.returnShipping", state, carrier),
        )?;
        let package = request.delivery_package.map(Some);
        let arrived = "the parcel has arrived";
        set(&mut job.delivery_package, package, on_the_way, ("properties.deliveryPackage", state, arrived))?;
        set(
            &mut job.log_level,
            request.log_level,
            before_packaging,
            ("properties.logLevel", state, TOO_LATE),
        )?;
        let backup = request.backup_drive_manifest;
        let at = ("properties.backupDriveManifest", state, TOO_LATE);
        set(&mut job.backup_drive_manifest, backup, before_packaging, at)?;
        if let Some(key) = &request.encryption_key {
            keeps_customer_key(&job.encryption_key, key)?;
        }
        set(
            &mut job.encryption_key,
            request.encryption_key,
            is_open,
            ("properties.encryptionKey", state, over),
        )?;
        set(&mut job.tags, request.tags, true, ("tags", state, AT_CREATION))?;
        if let Some(drives) = drives {
            let keys_given = request.drives.iter().flatten().any(|drive| drive.key_given);
            self.replace_drives(drives, keys_given)?;
        }
        if new_address && phase != JobState::Creating {
            self.forget_undeliverable();
        }
        self.heard_of_customer()
    }

    /// Only in `Creating` (spec §5.5); later, a list that says nothing new is let pass.
    fn replace_drives(&mut self, drives: Vec<JobDrive>, keys_given: bool) -> Result<(), Refusal> {
        let order = |drive: &JobDrive| {
            let JobDrive { drive_id, manifest_file, manifest_hash, drive_header_hash, .. } = drive.clone();
            (drive_id, manifest_file, manifest_hash, drive_header_hash)
        };
        if self.job.phase() == JobState::Creating {
            self.job.drives = drives;
        } else if keys_given || !drives.iter().map(order).eq(self.job.drives.iter().map(order)) {
            let advice = "the list is fixed once the job is shipped; make another job for other drives";
            let field = "properties.driveList";
            return Err(Refusal::FieldFixed { field, state: self.job.state, advice });
        }
        Ok(())
    }

    /// Any change of a job in `Creating` begins its two weeks anew; in `Shipping` it is an answer.
    fn heard_of_customer(&mut self) -> Result<(), Refusal> {
        if self.job.state == JobState::Creating {
            self.forget_undeliverable();
            self.set_timer(super::TimerKind::CreatingIdle);
        }
        self.answered()
    }

    pub(super) fn ship(&mut self) -> Result<(), Refusal> {
        if self.job.state == JobState::Shipping {
            return self.answered();
        }
        let wanted = [
            ("properties.deliveryPackage", self.job.delivery_package.is_some()),
            ("properties.returnShipping", self.job.return_shipping.is_some()),
        ];
        let missing: Vec<_> = wanted.iter().filter(|(_, given)| !given).map(|(field, _)| *field).collect();
        if !missing.is_empty() {
            return Err(Refusal::ShipIncomplete { missing });
        }
        self.forget_undeliverable();
        self.enter(JobState::Shipping);
        Ok(())
    }

    /// Best effort: what a bay has in its hands is stopped, what is not begun is not begun. What was begun and is
    /// in no bay's hands has ended with that, see `settle`.
    pub(super) fn cancel(&mut self) -> Result<(), Refusal> {
        if self.job.phase() == JobState::Packaging {
            return Err(Refusal::State { event: EventName::Cancel, state: self.job.state });
        }
        self.job.cancel_requested = true;
        let running = self.job.drives.iter().filter(|drive| drive.state == DriveState::Transferring);
        let ids: Vec<_> = running.map(|drive| drive.drive_id.clone()).collect();
        ids.into_iter().for_each(|drive_id| self.act(Action::StopCopy { drive_id }));
        self.answered()
    }

    pub(super) fn delete(&mut self) -> Result<(), Refusal> {
        if self.job.state == JobState::Creating && !self.job.parcels.is_empty() {
            return Err(Refusal::DrivesHere);
        }
        self.act(Action::Delete);
        Ok(())
    }
}

/// Sets a field that was given. The value that it has already is never a change.
fn set<T: PartialEq>(
    field: &mut T,
    given: Option<T>,
    allowed: bool,
    (name, state, advice): (&'static str, JobState, &'static str),
) -> Result<(), Refusal> {
    match given {
        Some(value) if value != *field && !allowed => Err(Refusal::FieldFixed { field: name, state, advice }),
        Some(value) => {
            *field = value;
            Ok(())
        }
        None => Ok(()),
    }
}

fn keeps_customer_key(old: &EncryptionKey, new: &EncryptionKey) -> Result<(), Refusal> {
    match (old.kek_type, new.kek_type) {
        (KekType::CustomerManaged, KekType::MicrosoftManaged) => Err(Refusal::KeyGoesBack),
        _ => Ok(()),
    }
}

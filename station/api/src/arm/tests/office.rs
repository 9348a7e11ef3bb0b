//! A service in memory: the model's rules and just enough of its states to see each answer. Its jobs can be set to
//! anything.

use std::collections::BTreeMap;
use std::sync::Mutex;

use async_trait::async_trait;
use model::DriveId;
use model::job::{
    AccountFact, Authorship, EventName, Facts, Job, JobDrive, JobKey, JobState, JobType, NewDrive, NewJob,
    Place, Refusal, Update, fold_location, validate, validate_update,
};
use zeroize::Zeroizing;

use super::super::locations::{Location, Locations};
use super::super::service::{Changes, Jobs, Key, Listing, Refused, Service};
use crate::people::Caller;

/// See the module.
pub(crate) struct Office {
    locations: Locations,
    jobs: Mutex<Vec<(Job, BTreeMap<String, String>)>>,
}

impl Office {
    pub(crate) fn new() -> Self {
        let location = |name: &str, alternates: &[&str]| Location {
            name: name.to_owned(),
            recipient_name: "Example Station".to_owned(),
            street_address1: "Example Street 1".to_owned(),
            street_address2: String::new(),
            city: "Example City".to_owned(),
            state_or_province: "EX".to_owned(),
            postal_code: "00001".to_owned(),
            country_or_region: "Exampleland".to_owned(),
            phone: "000".to_owned(),
            additional_information: String::new(),
            supported_carriers: vec!["FedEx".to_owned()],
            alternate_locations: alternates.iter().map(|name| (*name).to_owned()).collect(),
        };
        let all = vec![location("West US", &[]), location("East US 2", &["West US"])];
        Self { locations: Locations::new(all).expect("they are distinct"), jobs: Mutex::default() }
    }

    /// Changes a job behind the surface's back.
    pub(super) fn set(&self, name: &str, change: impl FnOnce(&mut Job)) {
        let mut jobs = self.jobs.lock().expect("no test panicked in here");
        let found = jobs.iter_mut().find(|(job, _)| job.key.name == name);
        change(&mut found.expect("the job is there").0);
    }

    fn facts(&self, location: &str, kept: &Job) -> Facts {
        Facts {
            location_known: self.locations.find(location).is_some(),
            account: AccountFact::Usable,
            keys_kept: kept.drives.iter().map(|drive| drive.drive_id.clone()).collect(),
            ..Facts::default()
        }
    }

    fn job_of(&self, caller: &Caller, new: NewJob) -> Job {
        let place = self.locations.find(&new.location).unwrap_or_else(|| self.locations.own());
        Job {
            key: new.key,
            location: fold_location(&new.location),
            tags: new.tags,
            job_type: new.job_type.unwrap_or(JobType::Import),
            storage_account_id: new.storage_account_id,
            return_address: new.return_address.unwrap_or_default(),
            return_shipping: new.return_shipping,
            shipping_information: new.shipping_information.unwrap_or_else(|| place.shipping_information()),
            delivery_package: new.delivery_package,
            return_package: None,
            diagnostics_path: new.diagnostics_path,
            log_level: new.log_level,
            backup_drive_manifest: new.backup_drive_manifest,
            export: new.export,
            encryption_key: new.encryption_key,
            identity: new.identity,
            state: JobState::Creating,
            fault: None,
            cancel_requested: false,
            percent_complete: 0,
            incomplete_blob_list_uri: None,
            drives: new.drives.iter().map(drive_of).collect(),
            extra_drives: Vec::new(),
            parcels: Vec::new(),
            undeliverable: None,
            timers: BTreeMap::new(),
            authorship: Authorship {
                created_by: caller.id.clone(),
                created_unix_ms: 1_580_691_661_107,
                modified_by: caller.id.clone(),
                modified_unix_ms: 1_580_691_661_107,
            },
        }
    }
}

fn drive_of(new: &NewDrive) -> JobDrive {
    JobDrive {
        drive_id: DriveId::new(&new.drive_id).expect("the rules let no other pass"),
        manifest_file: Some(new.manifest_file.clone()),
        manifest_hash: Some(new.manifest_hash.clone()),
        drive_header_hash: new.drive_header_hash.clone(),
        state: model::job::DriveState::Specified,
        fault: None,
        copy_status: None,
        percent_complete: 0,
        bytes_succeeded: 0,
        verbose_log_uri: None,
        error_log_uri: None,
        manifest_uri: None,
        place: Place::Away,
        hold: None,
    }
}

fn kept(keys: Vec<Key>) -> BTreeMap<String, String> {
    keys.into_iter().map(|(drive, key)| (drive, key.to_string())).collect()
}

fn changed(job: &mut Job, update: Update) {
    if let Some(tags) = update.tags {
        job.tags = tags;
    }
    if let Some(address) = update.return_address {
        job.return_address = address;
    }
    job.return_shipping = update.return_shipping.or(job.return_shipping.take());
    job.delivery_package = update.delivery_package.or(job.delivery_package.take());
    job.log_level = update.log_level.unwrap_or(job.log_level);
    job.backup_drive_manifest = update.backup_drive_manifest.unwrap_or(job.backup_drive_manifest);
    if let Some(drives) = update.drives {
        job.drives = drives.iter().map(drive_of).collect();
    }
}

#[async_trait]
impl Service for Office {
    fn locations(&self) -> &Locations {
        &self.locations
    }

    async fn create(&self, caller: &Caller, new: NewJob, keys: Vec<Key>) -> Result<(Job, bool), Refused> {
        let location = new.location.clone();
        let mut jobs = self.jobs.lock().expect("no test panicked in here");
        let found = jobs.iter().position(|(job, _)| job.key == new.key);
        let facts = Facts { location_known: self.locations.find(&location).is_some(), ..Facts::default() };
        let problems = validate(&new, &facts);
        if !problems.is_empty() {
            return Err(Refused::Problems(problems));
        }
        let mut job = self.job_of(caller, new);
        match found {
            Some(index) if jobs[index].0.state != JobState::Creating => {
                Err(Refusal::State { event: EventName::Replace, state: jobs[index].0.state }.into())
            }
            Some(index) => {
                job.key = jobs[index].0.key.clone();
                jobs[index] = (job.clone(), kept(keys));
                Ok((job, false))
            }
            None => {
                jobs.push((job.clone(), kept(keys)));
                Ok((job, true))
            }
        }
    }

    async fn get(&self, key: &JobKey) -> Result<Job, Refused> {
        let jobs = self.jobs.lock().expect("no test panicked in here");
        let found = jobs.iter().find(|(job, _)| job.key == *key);
        found.map(|(job, _)| job.clone()).ok_or(Refused::NotFound)
    }

    async fn list(&self, listing: &Listing, after: Option<i64>, top: u32) -> Result<Jobs, Refused> {
        let jobs = self.jobs.lock().expect("no test panicked in here");
        let start = usize::try_from(after.unwrap_or(0)).unwrap_or(usize::MAX);
        let fits = |job: &Job| {
            job.key.subscription.eq_ignore_ascii_case(&listing.subscription)
                && listing
                    .resource_group
                    .as_ref()
                    .is_none_or(|group| group.eq_ignore_ascii_case(&job.key.resource_group))
                && listing.state.is_none_or(|state| state == job.state)
                && listing.job_type.is_none_or(|kind| kind == job.job_type)
        };
        let mut found = jobs.iter().enumerate().skip(start).filter(|(_, (job, _))| fits(job)).peekable();
        let mut page = Jobs::default();
        while let Some((index, (job, _))) = found.next() {
            page.jobs.push(job.clone());
            if page.jobs.len() == top as usize {
                page.next = found.peek().is_some().then(|| i64::try_from(index + 1).expect("few jobs"));
                break;
            }
        }
        Ok(page)
    }

    async fn update(&self, caller: &Caller, key: &JobKey, changes: Changes) -> Result<Job, Refused> {
        let mut jobs = self.jobs.lock().expect("no test panicked in here");
        let (job, _) = jobs.iter_mut().find(|(job, _)| job.key == *key).ok_or(Refused::NotFound)?;
        let problems = validate_update(&changes.update, job, &self.facts(&job.location, job));
        if !problems.is_empty() {
            return Err(Refused::Problems(problems));
        }
        changed(job, changes.update);
        if changes.ship {
            if job.delivery_package.is_none() {
                return Err(Refusal::ShipIncomplete { missing: vec!["properties.deliveryPackage"] }.into());
            }
            job.state = JobState::Shipping;
        }
        job.cancel_requested |= changes.cancel;
        job.authorship.modified_by = caller.id.clone();
        Ok(job.clone())
    }

    async fn delete(&self, _: &Caller, key: &JobKey) -> Result<(), Refused> {
        let mut jobs = self.jobs.lock().expect("no test panicked in here");
        let found = jobs.iter().position(|(job, _)| job.key == *key).ok_or(Refused::NotFound)?;
        match jobs[found].0.state {
            JobState::Creating | JobState::Completed | JobState::Closed => {
                jobs.remove(found);
                Ok(())
            }
            state => Err(Refusal::State { event: EventName::Delete, state }.into()),
        }
    }

    async fn bitlocker_keys(&self, _: &Caller, key: &JobKey) -> Result<Vec<Key>, Refused> {
        let jobs = self.jobs.lock().expect("no test panicked in here");
        let (_, keys) = jobs.iter().find(|(job, _)| job.key == *key).ok_or(Refused::NotFound)?;
        Ok(keys.iter().map(|(drive, key)| (drive.clone(), Zeroizing::new(key.clone()))).collect())
    }
}

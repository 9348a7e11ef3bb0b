//! What customers do: create, look, list, change, delete.

use std::collections::BTreeSet;

use keys::Secret;
use ledger::{JobFilter, JobScope, SecretWrite};
use model::DriveId;
use model::job::{
    EncryptionKey, Facts, Happening, Identity, IdentityKind, Job, JobKey, JobState, JobType, NewDrive,
    NewJob, Problem, ProblemCode, Update, fold_location, validate, validate_update,
};

use crate::secrets::Sealer;
use crate::service::Work;
use crate::{Caller, ChangeError, Jobs, LookError, Stored, parcel, row};

/// How often a PUT is tried when somebody makes, replaces or deletes the same job at the same time.
const TRIES_MAX: usize = 4;

/// What a PUT came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Created {
    /// The job.
    pub stored: Stored,
    /// Whether it was not there before.
    pub is_new: bool,
}

/// A PATCH, taken whole or not at all.
#[derive(Default)]
pub struct Changes {
    /// Fields.
    pub update: Update,
    /// Keys of the drives of a new list, or better ones of drives that the job has.
    pub keys: Vec<(DriveId, Secret)>,
    /// The drives are on their way.
    pub ship: bool,
    /// The drives shall come back uncopied.
    pub cancel: bool,
}

/// Of which jobs a list is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listing {
    /// Whose.
    pub scope: JobScope,
    /// In this state only.
    pub state: Option<JobState>,
    /// Of this type only.
    pub job_type: Option<JobType>,
}

/// A part of a list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Page {
    /// The jobs, in the order in which they were made.
    pub jobs: Vec<Stored>,
    /// For each of them where the part after it begins.
    pub numbers: Vec<i64>,
    /// Where the next part begins.
    pub next: Option<i64>,
}

impl Jobs {
    /// Makes a job, or replaces one that is still being made.
    ///
    /// Which drives have a key is decided by `keys`, whatever the request says of itself.
    ///
    /// # Errors
    /// All that is wrong with the request; or why the job that is there cannot be replaced.
    pub async fn create(
        &self,
        caller: &Caller,
        mut new: NewJob,
        keys: Vec<(DriveId, Secret)>,
    ) -> Result<Created, ChangeError> {
        note_keys(&mut new.drives, &keys);
        self.lend_identity(&mut new.identity);
        if new.shipping_information.is_none() {
            new.shipping_information = self.parts.sites.find(&new.location).map(|site| site.address.clone());
        }
        for _ in 0..TRIES_MAX {
            let tried = match self.get(&new.key).await? {
                Some(found) => self.replace(caller, &found, &new, &keys).await,
                None => self.insert_new(caller, &new, &keys).await,
            };
            match tried {
                Err(ChangeError::Contended | ChangeError::NotFound(_)) => {}
                Err(ChangeError::VersionDiffers { .. }) if caller.if_version.is_none() => {}
                Err(ChangeError::DriveTaken { drive_id }) => return Err(taken(&new.drives, &drive_id)),
                done => return done,
            }
        }
        Err(ChangeError::Contended)
    }

    /// What [`Jobs::create`] finds wrong with a request: for whom it is refused already, to tell everything at once.
    ///
    /// # Errors
    /// When it cannot be looked up.
    pub async fn judge_new(
        &self,
        mut new: NewJob,
        keys: &[(DriveId, Secret)],
    ) -> Result<Vec<Problem>, ChangeError> {
        note_keys(&mut new.drives, keys);
        self.lend_identity(&mut new.identity);
        let found = self.get(&new.key).await?;
        let key = found.map_or_else(|| new.key.clone(), |found| found.job.key);
        Ok(validate(&new, &self.facts_of_new(&key, &new).await?))
    }

    /// A job's identity of its own is the station's here: the customer reads in the job whom to grant the key's use.
    fn lend_identity(&self, identity: &mut Identity) {
        if let (IdentityKind::SystemAssigned, Some(ours)) = (identity.kind, &self.parts.customer_keys) {
            identity.clone_from(ours);
        }
    }

    async fn insert_new(
        &self,
        caller: &Caller,
        new: &NewJob,
        keys: &[(DriveId, Secret)],
    ) -> Result<Created, ChangeError> {
        let facts = self.facts_of_new(&new.key, new).await?;
        let accepted = new.clone().accept(&facts).map_err(ChangeError::Invalid)?;
        let (job, actions) = Job::create(accepted, &caller.id, self.now_unix_ms());
        let sealer = self.sealer(&job.encryption_key).await?;
        let secrets = seal_all(&sealer, &job.key, keys, |id| job.drive(id).is_some()).await?;
        let work = Work { secrets, ..Work::new(caller, &new.key) };
        let stored = self.insert(&work, job, actions).await?;
        Ok(Created { stored, is_new: true })
    }

    async fn replace(
        &self,
        caller: &Caller,
        found: &Stored,
        new: &NewJob,
        keys: &[(DriveId, Secret)],
    ) -> Result<Created, ChangeError> {
        let facts = self.facts_of_new(&found.job.key, new).await?;
        let accepted = Box::new(new.clone().accept(&facts).map_err(ChangeError::Invalid)?);
        let secrets = self.secrets_of(found, &new.drives, keys, &new.encryption_key).await?;
        // Only while the job is as it was: the keys were chosen by what it is.
        let caller = caller.clone().if_version(caller.if_version.unwrap_or(found.version));
        let work = Work { secrets, ..Work::new(&caller, &new.key) };
        let stored = self.change(&work, |_| Ok(vec![Happening::Replace(accepted.clone())])).await?;
        Ok(Created { stored, is_new: false })
    }

    /// The keys that come with a list of drives; and those that are kept, if the job goes over to another key.
    async fn secrets_of(
        &self,
        found: &Stored,
        drives: &[NewDrive],
        keys: &[(DriveId, Secret)],
        encryption_key: &EncryptionKey,
    ) -> Result<Vec<SecretWrite>, ChangeError> {
        let goes_over = *encryption_key != found.job.encryption_key;
        if keys.is_empty() && !goes_over {
            return Ok(Vec::new());
        }
        let sealer = self.sealer(encryption_key).await?;
        let listed: BTreeSet<&str> = drives.iter().map(|drive| drive.drive_id.as_str()).collect();
        let key = &found.job.key;
        let mut secrets = seal_all(&sealer, key, keys, |id| listed.contains(id.as_str())).await?;
        if goes_over {
            let is_given = |id: &DriveId| keys.iter().any(|(given, _)| given == id);
            let kept = found.job.drives.iter().map(|drive| &drive.drive_id).filter(|id| !is_given(id));
            secrets.extend(self.reseal(key, kept, &sealer).await?);
        }
        Ok(secrets)
    }

    async fn facts_of_new(&self, key: &JobKey, new: &NewJob) -> Result<Facts, ChangeError> {
        let facts = self.facts(key, &new.drives, new.delivery_package.as_ref()).await?;
        Ok(Facts { location_known: self.parts.sites.find(&new.location).is_some(), ..facts })
    }

    async fn facts_of_update(&self, key: &JobKey, update: &Update) -> Result<Facts, ChangeError> {
        let drives = update.drives.as_deref().unwrap_or_default();
        self.facts(key, drives, update.delivery_package.as_ref()).await
    }

    /// What must be looked up to judge a request of that job.
    async fn facts(
        &self,
        key: &JobKey,
        drives: &[NewDrive],
        package: Option<&model::job::DeliveryPackage>,
    ) -> Result<Facts, ChangeError> {
        let mut facts = Facts { customer_keys: self.parts.customer_keys.is_some(), ..Facts::default() };
        // No more than a request may have, however long its list.
        for drive in drives.iter().take(model::job::DRIVES_MAX) {
            let Ok(drive_id) = DriveId::new(&drive.drive_id) else { continue };
            let owner = self.parts.jobs.active_job_of_drive(&drive_id).await.map_err(LookError::Store)?;
            if owner.is_some_and(|row| row.key != *key) {
                facts.active_drive_ids.insert(drive_id.clone());
            }
            if !drive.key_given && self.has_password(key, &drive_id).await? {
                facts.keys_kept.insert(drive_id);
            }
        }
        if let Some(package) = package {
            facts.tracking_number_active = self.is_taken(key, &package.tracking_number).await?;
        }
        Ok(facts)
    }

    /// Whether another active job has that number; or, of another subscription, one of the same parcel, with a suffix
    /// or without: the parcel would be booked for both.
    async fn is_taken(&self, key: &JobKey, number: &str) -> Result<bool, LookError> {
        for of_parcel in parcel::numbers(&parcel::of_number(number)) {
            let is_same = parcel::is_same(&of_parcel, number);
            let rows = self.parts.jobs.active_jobs_of_parcel(&of_parcel).await.map_err(LookError::Store)?;
            let is_other =
                |row: &ledger::JobRow| !row.key.subscription.eq_ignore_ascii_case(&key.subscription);
            if rows.iter().any(|row| row.key != *key && (is_same || is_other(row))) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// A part of a list, at most `limit` jobs.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn list(&self, listing: &Listing, after: Option<i64>, limit: u32) -> Result<Page, LookError> {
        let filter = JobFilter {
            scope: listing.scope.clone(),
            state: listing.state.map(|state| state.as_str().to_owned()),
            job_type: listing.job_type.map(|kind| kind.as_str().to_owned()),
        };
        let page = self.parts.jobs.jobs(&filter, after, limit).await.map_err(LookError::Store)?;
        let jobs = page.jobs.iter().map(row::read).collect::<Result<_, _>>()?;
        Ok(Page { jobs, numbers: page.numbers, next: page.next })
    }

    /// Changes a job: fields, shipping and cancelling in one, or nothing.
    ///
    /// # Errors
    /// All that is wrong with the request; or what the job does not take.
    pub async fn update(
        &self,
        caller: &Caller,
        key: &JobKey,
        changes: Changes,
    ) -> Result<Stored, ChangeError> {
        let Changes { mut update, keys, ship, cancel } = changes;
        if let Some(drives) = &mut update.drives {
            note_keys(drives, &keys);
        }
        for _ in 0..TRIES_MAX {
            match self.try_update(caller, key, &update, &keys, (ship, cancel)).await {
                Err(ChangeError::VersionDiffers { .. }) if caller.if_version.is_none() => {}
                Err(ChangeError::DriveTaken { drive_id }) => {
                    return Err(taken(update.drives.as_deref().unwrap_or_default(), &drive_id));
                }
                done => return done,
            }
        }
        Err(ChangeError::Contended)
    }

    /// What [`Jobs::update`] finds wrong with the fields of a request, as [`Jobs::judge_new`].
    ///
    /// # Errors
    /// When there is no such job, or it cannot be looked up.
    pub async fn judge_update(
        &self,
        key: &JobKey,
        mut update: Update,
        keys: &[(DriveId, Secret)],
    ) -> Result<Vec<Problem>, ChangeError> {
        if let Some(drives) = &mut update.drives {
            note_keys(drives, keys);
        }
        let found = self.found(key).await?;
        if update.only_brings_keys(&found.job) {
            update.drives = None;
        }
        Ok(validate_update(&update, &found.job, &self.facts_of_update(key, &update).await?))
    }

    async fn try_update(
        &self,
        caller: &Caller,
        key: &JobKey,
        update: &Update,
        keys: &[(DriveId, Secret)],
        (ship, cancel): (bool, bool),
    ) -> Result<Stored, ChangeError> {
        let found = self.found(key).await?;
        let listed = update.drives.as_deref().unwrap_or_default();
        let (mut update, mut custody, mut events) = (update.clone(), Vec::new(), Vec::new());
        if update.only_brings_keys(&found.job) {
            update.drives = None;
            let ids: Vec<&DriveId> = keys.iter().map(|(drive_id, _)| drive_id).collect();
            (custody, events) = self.keys_kept(caller, &found.job, &ids)?;
        }
        let facts = self.facts_of_update(key, &update).await?;
        // Judged before a key vault is asked for anything.
        update.clone().accept(&found.job, &facts).map_err(ChangeError::Invalid)?;
        let encryption_key = update.encryption_key.as_ref().unwrap_or(&found.job.encryption_key);
        let secrets = self.secrets_of(&found, listed, keys, encryption_key).await?;
        let pinned = caller.clone().if_version(caller.if_version.unwrap_or(found.version));
        // Only while the job is as it was, wherever keys were looked at: those that it keeps were judged, too.
        let looked_at_keys =
            !secrets.is_empty() || update.drives.is_some() || update.encryption_key.is_some();
        let caller = if looked_at_keys { &pinned } else { caller };
        let work = Work { secrets, custody, events, ..Work::new(caller, key) };
        self.change(&work, |found| {
            let accepted = update.clone().accept(&found.job, &facts).map_err(ChangeError::Invalid)?;
            let is_update = update != Update::default();
            let fields = is_update.then(|| Happening::Update(Box::new(accepted)));
            let ship = ship.then_some(Happening::Ship);
            let cancel = cancel.then_some(Happening::Cancel);
            Ok(fields.into_iter().chain(ship).chain(cancel).collect())
        })
        .await
    }

    /// Deletes a job with its keys. Its custody stays.
    ///
    /// # Errors
    /// When it has to go on first.
    pub async fn delete(&self, caller: &Caller, key: &JobKey) -> Result<(), ChangeError> {
        self.tell(caller, key, Happening::Delete).await.map(|_| ())
    }

    /// Whether drives for that location are this station's.
    pub fn is_own_site(&self, job: &Job) -> bool {
        self.parts.sites.is_own(&fold_location(&job.location))
    }
}

/// Seals the keys of drives that are on the list.
async fn seal_all(
    sealer: &Sealer<'_>,
    key: &JobKey,
    keys: &[(DriveId, Secret)],
    is_listed: impl Fn(&DriveId) -> bool,
) -> Result<Vec<SecretWrite>, ChangeError> {
    let mut secrets = Vec::new();
    for (drive_id, secret) in keys {
        if is_listed(drive_id) && !secret.expose().is_empty() {
            secrets.push(sealer.seal(key, drive_id, secret).await?);
        }
    }
    Ok(secrets)
}

/// Says of each drive whether a key came with it.
fn note_keys(drives: &mut [NewDrive], keys: &[(DriveId, Secret)]) {
    for drive in drives {
        drive.key_given = keys
            .iter()
            .any(|(drive_id, secret)| drive_id.as_str() == drive.drive_id && !secret.expose().is_empty());
    }
}

/// Another job took the drive between our look and our change.
fn taken(drives: &[NewDrive], drive_id: &DriveId) -> ChangeError {
    match drives.iter().position(|drive| drive.drive_id == drive_id.as_str()) {
        Some(index) => ChangeError::Invalid(vec![Problem {
            target: format!("properties.driveList[{index}].driveId"),
            code: ProblemCode::InUse,
            message: "another active job has this drive".to_owned(),
        }]),
        None => ChangeError::DriveTaken { drive_id: drive_id.clone() },
    }
}

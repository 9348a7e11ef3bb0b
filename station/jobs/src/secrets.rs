//! Recovery passwords: sealed on the way in, recorded on the way out.

use custody::Draft;
use keys::{CustomerKey, Purpose, Sealed, Secret, Vault};
use ledger::{Change, Claim, EventDraft, JobWrite, SealedSecret, SecretWrite};
use model::DriveId;
use model::job::{EncryptionKey, EventName, Job, JobKey, KekType, Place, Refusal};

use crate::record::Deed;
use crate::service::{TRIES_MAX, Work};
use crate::{Caller, ChangeError, Jobs, KeyError, LookError, Stored};

/// What a drive's recovery password is sealed for. Every spelling of a job is one job.
pub(crate) fn purpose(key: &JobKey, drive_id: &DriveId) -> Purpose {
    Purpose::recovery_password(&key.folded().arm_id().to_ascii_lowercase(), drive_id)
}

/// The ledger's name of a drive's sealed recovery password: the purpose that it opens for, as JSON.
pub fn password_name(key: &JobKey, drive_id: &DriveId) -> String {
    serde_json::to_string(&purpose(key, drive_id)).expect("a purpose is two texts")
}

/// What a job's passwords are sealed with: the station's master key, and the customer's before it where there is one.
pub(crate) struct Sealer<'a> {
    vault: &'a Vault,
    customer_key: Option<CustomerKey>,
}

impl Sealer<'_> {
    /// Seals a drive's password for its job.
    pub(crate) async fn seal(
        &self,
        key: &JobKey,
        drive_id: &DriveId,
        secret: &Secret,
    ) -> Result<SecretWrite, ChangeError> {
        let purpose = purpose(key, drive_id);
        let sealed = match &self.customer_key {
            None => self.vault.seal(&purpose, secret.expose()),
            Some(customer_key) => self.vault.seal_under(customer_key, &purpose, secret.expose()).await,
        };
        let sealed = sealed
            .map_err(|source| ChangeError::Seal { drive_id: drive_id.clone(), source: Box::new(source) })?;
        Ok(SecretWrite::Put(SealedSecret {
            name: password_name(key, drive_id),
            job: Some(key.clone()),
            master_key_id: sealed.master_key().to_string(),
            sealed: sealed.to_bytes(),
        }))
    }
}

impl Jobs {
    /// Looks at the customer's key, if the job has one, before anything is sealed under it.
    pub(crate) async fn sealer(&self, encryption_key: &EncryptionKey) -> Result<Sealer<'_>, ChangeError> {
        let vault = self.parts.vault.as_ref();
        let url = encryption_key.kek_url.as_deref().unwrap_or_default();
        let customer_key = match encryption_key.kek_type {
            KekType::MicrosoftManaged => None,
            KekType::CustomerManaged => {
                let found = vault.customer_key(url).await;
                Some(found.map_err(|source| ChangeError::CustomerKey(Box::new(source)))?)
            }
        };
        Ok(Sealer { vault, customer_key })
    }

    /// The kept passwords of these drives, sealed anew: the job goes over to another key.
    pub(crate) async fn reseal(
        &self,
        key: &JobKey,
        drives: impl Iterator<Item = &DriveId>,
        sealer: &Sealer<'_>,
    ) -> Result<Vec<SecretWrite>, ChangeError> {
        let mut secrets = Vec::new();
        for drive_id in drives {
            match self.password(key, drive_id).await {
                Ok(secret) => secrets.push(sealer.seal(key, drive_id, &secret).await?),
                Err(KeyError::NoKey { .. }) => {}
                Err(error) => return Err(ChangeError::Reseal(Box::new(error))),
            }
        }
        Ok(secrets)
    }

    /// Whether a password of that drive is kept.
    pub(crate) async fn has_password(&self, key: &JobKey, drive_id: &DriveId) -> Result<bool, LookError> {
        let name = password_name(key, drive_id);
        Ok(self.parts.secrets.secret(&name).await.map_err(LookError::Store)?.is_some())
    }

    async fn password(&self, key: &JobKey, drive_id: &DriveId) -> Result<Secret, KeyError> {
        let name = password_name(key, drive_id);
        let found = self.parts.secrets.secret(&name).await.map_err(LookError::Store)?;
        let kept = found.ok_or_else(|| KeyError::NoKey { drive_id: drive_id.clone() })?;
        let sealed = Sealed::from_bytes(&kept.sealed)
            .map_err(|source| KeyError::Damaged { drive_id: drive_id.clone(), source })?;
        let opened = self.parts.vault.open(&purpose(key, drive_id), &sealed).await;
        opened.map_err(|source| KeyError::Open { drive_id: drive_id.clone(), source: Box::new(source) })
    }

    /// The passwords of a job's drives, for the customer. Each release has its custody entry before it is given.
    ///
    /// A drive whose password is not kept (an export's that is not yet encrypted) is not in the list.
    ///
    /// # Errors
    /// When there is no such job, one does not open, or the release cannot be recorded.
    pub async fn bitlocker_keys(
        &self,
        caller: &Caller,
        key: &JobKey,
    ) -> Result<Vec<(DriveId, Secret)>, KeyError> {
        let stored = self.found(key).await?;
        let released = self.passwords(&stored.job).await?;
        let ids: Vec<&DriveId> = released.iter().map(|(drive_id, _)| drive_id).collect();
        if !ids.is_empty() {
            self.record_release(caller, key, (&ids, None), |_| Ok(())).await?;
        }
        Ok(released)
    }

    async fn passwords(&self, job: &Job) -> Result<Vec<(DriveId, Secret)>, KeyError> {
        let mut kept = Vec::new();
        for drive in &job.drives {
            match self.password(&job.key, &drive.drive_id).await {
                Ok(secret) => kept.push((drive.drive_id.clone(), secret)),
                Err(KeyError::NoKey { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(kept)
    }

    /// A drive's password, for the bay that has seen this serial number.
    ///
    /// Given only when the job gave that drive to that bay, work may go on, and the job is still so when the
    /// release is recorded; with a claim, only while it is ours.
    ///
    /// # Errors
    /// When any of that is not so; the key is then not given out.
    pub async fn release_key(
        &self,
        caller: &Caller,
        key: &JobKey,
        seen: &DriveId,
        bay: &str,
        claim: Option<Claim>,
    ) -> Result<Secret, KeyError> {
        self.check_bay(&self.found(key).await?.job, seen, bay)?;
        let secret = self.password(key, seen).await?;
        self.record_release(caller, key, (&[seen], claim), |job| self.check_bay(job, seen, bay)).await?;
        Ok(secret)
    }

    fn check_bay(&self, job: &Job, seen: &DriveId, bay: &str) -> Result<(), KeyError> {
        let here = Place::Bay { station: self.parts.station.clone(), bay: bay.to_owned() };
        let drive = job.drive(seen);
        match drive {
            Some(drive) if drive.place == here && job.is_workable(drive) => Ok(()),
            _ => Err(KeyError::NotForThisBay {
                drive_id: seen.clone(),
                bay: bay.to_owned(),
                place: drive.map_or(Place::Away, |drive| drive.place.clone()),
                state: job.state,
            }),
        }
    }

    /// One entry a key, saved only while the job still is as `check` wants it.
    async fn record_release(
        &self,
        caller: &Caller,
        key: &JobKey,
        (drives, claim): (&[&DriveId], Option<Claim>),
        check: impl Fn(&Job) -> Result<(), KeyError> + Send + Sync,
    ) -> Result<(), KeyError> {
        for _ in 0..TRIES_MAX {
            let _turn = self.turn_of(key).await;
            let stored = self.found(key).await?;
            check(&stored.job)?;
            match self.apply(&self.release_of(caller, &stored, drives, claim.clone())).await {
                Err(ChangeError::Contended) => {}
                done => return Ok(done?),
            }
        }
        Err(ChangeError::Contended.into())
    }

    fn release_of(
        &self,
        caller: &Caller,
        stored: &Stored,
        drives: &[&DriveId],
        claim: Option<Claim>,
    ) -> Change {
        let at_unix_ms = self.now_unix_ms();
        let job = &stored.job;
        let deed = Deed { caller, at_unix_ms, before: Some(job), after: job };
        let unchanged = crate::row::write(job, at_unix_ms);
        Change {
            // The row stays as it is; its version proves that the job was so when the key was given out.
            job: Some(JobWrite::Update { row: unchanged, expected_version: stored.version }),
            claim,
            chain: self.parts.station.clone(),
            custody: drives.iter().map(|id| deed.of_drive("key.released", id)).collect(),
            events: drives
                .iter()
                .map(|id| deed.event("key.released", Some(id), serde_json::json!({})))
                .collect(),
            ..Change::default()
        }
    }

    /// What is written of passwords that are kept for drives the job has.
    pub(crate) fn keys_kept(
        &self,
        caller: &Caller,
        job: &Job,
        drives: &[&DriveId],
    ) -> Result<(Vec<Draft>, Vec<EventDraft>), ChangeError> {
        if job.state.is_over() {
            return Err(Refusal::State { event: EventName::Update, state: job.state }.into());
        }
        let deed = Deed { caller, at_unix_ms: self.now_unix_ms(), before: Some(job), after: job };
        let draft = |id: &&DriveId| deed.of_drive("key.kept", id);
        let event = |id: &&DriveId| deed.event("key.kept", Some(id), serde_json::json!({}));
        Ok((drives.iter().map(draft).collect(), drives.iter().map(event).collect()))
    }

    /// Keeps a password: one that was made for an export's drive, or a better one that the customer gave for a
    /// drive that did not open.
    ///
    /// # Errors
    /// When the job does not have that drive or is over, or it cannot be saved.
    pub async fn keep_key(
        &self,
        caller: &Caller,
        key: &JobKey,
        drive_id: &DriveId,
        secret: &Secret,
        claim: Option<Claim>,
    ) -> Result<Stored, ChangeError> {
        let stored = self.found(key).await?;
        if stored.job.drive(drive_id).is_none() {
            return Err(Refusal::UnknownDrive { drive_id: drive_id.clone() }.into());
        }
        let (custody, events) = self.keys_kept(caller, &stored.job, &[drive_id])?;
        let sealer = self.sealer(&stored.job.encryption_key).await?;
        let secrets = vec![sealer.seal(&stored.job.key, drive_id, secret).await?];
        // Only while the job is as it was: it may go over to a customer's key meanwhile.
        let caller = caller.clone().if_version(caller.if_version.unwrap_or(stored.version));
        let work = Work { secrets, claim, custody, events, ..Work::new(&caller, key) };
        self.change(&work, |_| Ok(Vec::new())).await
    }
}

//! One drive in one bay, under its claim: key, credential, copy, report.
//!
//! The key is released for the serial number that was seen in this bay, after its custody entry was
//! saved, and lives as long as the run; the credential only for jobs whose account it was given for.
//! What somebody can mend (a key, a credential, a firewall) holds the drive with the reason: only what
//! no answer of the customer's changes ends it. A drive that was pulled is neither: it goes on when it
//! is there again. Invariant: every run that was started is reported as ended or stopped, unless the
//! claim is lost, and then whoever has it reports.

mod keeping;

use std::sync::Arc;
use std::time::Duration;

use api::desk::accounts::NotOpened;
use azure::{Account, AccountConfig, Credential, Endpoint};
use jobs::{Caller, ChangeError, KeyError};
use ledger::{BeginError, Claim, ClaimError};
use manifest::{HeaderHash, JobEntry};
use model::Class;
use model::drive::{Phase, Suspension};
use model::job::{Job, JobDrive, RunLogs, StorageAccountId};
use model::status::DriveStatus;
use proof::bring_up::Device;
use tokio::sync::{mpsc, watch};
use transfer::progress::Progress;
use transfer::task::{IngestError, IngestSpec, Report, ingest};

use super::bays::{Crew, bay_caller};
use super::config::Bay;

/// A drive that is about to be worked on.
pub struct Run<'a> {
    /// What all bays share.
    pub crew: &'a Crew,
    /// Where it is.
    pub bay: &'a Bay,
    /// Whose it is.
    pub job: Job,
    /// The right to work on it.
    pub claim: Claim,
    /// How long that right lasts without being renewed.
    pub lease: Duration,
}

/// What keeps a drive from being worked on, beside what its report says.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The job does not have the drive any more.
    #[error("the job does not list the drive any more")]
    Gone,
    /// The job refuses, or cannot be saved.
    #[error("telling the job")]
    Job(#[from] ChangeError),
    /// The key is not released.
    #[error("releasing the drive's key")]
    Key(#[source] KeyError),
    /// The credential does not open.
    #[error("opening the account's credential")]
    Credential(#[source] NotOpened),
    /// The station itself cannot go on.
    #[error("copying")]
    Ingest(#[from] IngestError),
    /// The station itself cannot go on with this drive.
    #[error("the station could not go on: {0}")]
    Station(String),
    /// The drive does not answer any more.
    #[error("the drive was lost: {0}; put it in again, here or in another bay, and it goes on")]
    DriveLost(String),
    /// The lease could not be renewed.
    #[error("keeping the claim")]
    Claim(#[from] ClaimError),
    /// Another station has the drive now.
    #[error("another station has the drive's run now: {0}")]
    TakenOver(String),
}

impl RunError {
    /// Whether the drive's run is another station's still: it ends by itself, with that station's lease.
    pub fn is_held(&self) -> bool {
        matches!(self, RunError::Ingest(IngestError::Begin(BeginError::Held { .. })))
    }

    /// Whether the drive's story is somebody else's to tell now.
    fn is_anothers(&self) -> bool {
        matches!(
            self,
            RunError::Claim(_)
                | RunError::TakenOver(_)
                | RunError::Job(ChangeError::ClaimLost { .. } | ChangeError::NotFound(_))
        )
    }
}

/// What the run cannot begin without, or why the drive has to wait for somebody.
enum Ready {
    Spec(Box<IngestSpec>),
    Hold(String),
}

/// What the end of a run is for the drive.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    /// For good.
    Ended,
    /// Until somebody mends what the status says.
    Hold,
    /// Until it is there again.
    Lost,
}

impl Verdict {
    /// Only what another key, another credential or another bay does not change is an end.
    fn of(status: DriveStatus) -> Verdict {
        match status {
            DriveStatus::BlobRequestForbidden
            | DriveStatus::BitLockerKeyInvalid
            | DriveStatus::BitLockerProtectorNotFound => Verdict::Hold,
            DriveStatus::DiskNotFound | DriveStatus::DiskOperationFailed => Verdict::Lost,
            _ => Verdict::Ended,
        }
    }
}

impl Run<'_> {
    /// Works on the drive until it ends, or has to stop.
    ///
    /// # Errors
    /// See [`RunError`].
    pub async fn run(
        self,
        device: Device,
        station_stops: watch::Receiver<bool>,
        drive_stops: watch::Receiver<bool>,
    ) -> Result<(), RunError> {
        let Claim { job: key, drive_id, .. } = &self.claim;
        self.crew.jobs.drive_started(&self.caller(), key, drive_id, Some(self.claim.clone())).await?;
        let worked = self.work(device, station_stops, drive_stops).await;
        if let Err(error) = &worked
            && !error.is_anothers()
            && let Err(untold) = self.stopped().await
        {
            tracing::warn!(error = &untold as &dyn std::error::Error, %drive_id, "the stop was not told");
        }
        worked
    }

    async fn work(
        &self,
        device: Device,
        station_stops: watch::Receiver<bool>,
        drive_stops: watch::Receiver<bool>,
    ) -> Result<(), RunError> {
        let spec = match self.ready(device).await? {
            Ready::Spec(spec) => *spec,
            Ready::Hold(why) => return self.hold(&why).await,
        };
        let destination = spec.destination.clone();
        let report = self.copy(spec, station_stops, drive_stops).await?;
        self.report(report, &destination).await
    }

    fn caller(&self) -> Caller {
        bay_caller(self.bay)
    }

    async fn ready(&self, device: Device) -> Result<Ready, RunError> {
        let drive = self.job.drive(&self.claim.drive_id).ok_or(RunError::Gone)?;
        let Some(entry) = entry(drive) else {
            return Ok(Ready::Hold("the job has no manifest for this drive".to_owned()));
        };
        let wanted = &self.job.storage_account_id;
        let Some(id) = StorageAccountId::parse(wanted) else {
            return Ok(Ready::Hold(format!("{wanted:?} is no ARM id of a storage account")));
        };
        let name = id.name;
        let opened = match api::desk::accounts::open(&*self.crew.ledger, &self.crew.vault, name).await {
            Ok(Some(opened)) => opened,
            Ok(None) => {
                let why =
                    format!("the station has no credential for account {name}: PUT /v1/accounts/{name}");
                return Ok(Ready::Hold(why));
            }
            Err(damaged @ NotOpened::Damaged(_)) => return Ok(Ready::Hold(damaged.to_string())),
            Err(error) => return Err(RunError::Credential(error)),
        };
        // Names are unique among accounts, but anybody can write any name into a job.
        if Some(id) != StorageAccountId::parse(&opened.resource_id) {
            let why = "the station's credential for account {name} is not for the account that the job names: its id \
                       is another one";
            return Ok(Ready::Hold(why.replace("{name}", name)));
        }
        let account = match self.account(&opened) {
            Ok(account) => account,
            Err(error) => return Ok(Ready::Hold(format!("account {name}: {error:#}"))),
        };
        let secrets = match self.key().await? {
            Ok(secret) => vec![secret],
            Err(why) => return Ok(Ready::Hold(why)),
        };
        Ok(Ready::Spec(Box::new(IngestSpec {
            device,
            job: entry,
            secrets,
            job_name: self.job.key.name.clone(),
            run_scope: run_scope(&self.job),
            account,
            destination: opened.endpoint.clone(),
            ledger: Arc::clone(&self.crew.ledger) as _,
            logs_dir: self.crew.logs_dir.clone(),
            buffer_bytes: self.crew.transfer.buffer_mib as usize * (1 << 20),
            digests: Arc::clone(&self.crew.digests),
            again: false,
        })))
    }

    /// What opens the volume; or why the drive has to wait for another key.
    async fn key(&self) -> Result<Result<bitlocker::Secret, String>, RunError> {
        let (key, drive_id) = (&self.claim.job, &self.claim.drive_id);
        let claim = Some(self.claim.clone());
        match self.crew.jobs.release_key(&self.caller(), key, drive_id, &self.bay.name, claim).await {
            Ok(secret) => {
                let text = secret.expose_text().unwrap_or_default();
                Ok(proof::secrets::from_key_text(text, "the job").map_err(|error| proof::chain(&error)))
            }
            Err(error @ (KeyError::NoKey { .. } | KeyError::Damaged { .. })) => Ok(Err(proof::chain(&error))),
            // A customer's own key that fails is told by the code that the customer knows it by.
            Err(error @ KeyError::Open { .. }) if error.class() == Class::HoldForCustomer => {
                let code = error.code().map(|code| format!("{code}: ")).unwrap_or_default();
                Ok(Err(format!("{code}{}", proof::chain(&error))))
            }
            Err(error) => Err(RunError::Key(error)),
        }
    }

    fn account(&self, opened: &api::desk::accounts::Opened) -> anyhow::Result<Account> {
        let credential = Credential::from_text(opened.credential.expose_text()?.trim())?;
        let ca_certificates_pem = self.crew.transfer.ca_file.as_ref().map(std::fs::read).transpose()?;
        let endpoint = Endpoint::parse(&opened.endpoint)?;
        Ok(Account::new(AccountConfig { ca_certificates_pem, ..AccountConfig::new(endpoint, credential) })?)
    }

    /// Copies, and meanwhile keeps the claim and tells the job how far it is.
    async fn copy(
        &self,
        spec: IngestSpec,
        station_stops: watch::Receiver<bool>,
        drive_stops: watch::Receiver<bool>,
    ) -> Result<Report, RunError> {
        let progress = Arc::new(Progress::default());
        let (halt, halted) = watch::channel(false);
        // What a person at a terminal would be shown; the logs have all of it.
        let (notices, mut unread) = mpsc::unbounded_channel();
        let drain = tokio::spawn(async move { while unread.recv().await.is_some() {} });
        let mut copying = Box::pin(ingest(spec, Arc::clone(&progress), notices, halted));
        let mut keeping = Box::pin(self.keep(&progress, &halt, station_stops, drive_stops));
        let mut lost = None;
        // Both are polled all the time: each may wait for a ledger that the other one holds.
        let ended = loop {
            tokio::select! {
                ended = &mut copying => break ended,
                error = &mut keeping, if lost.is_none() => {
                    halt.send_replace(true);
                    lost = Some(error);
                }
            }
        };
        drain.abort();
        match lost {
            Some(error) => Err(error.into()),
            None => Ok(ended?),
        }
    }

    async fn report(&self, report: Report, destination: &str) -> Result<(), RunError> {
        let message = report.message.unwrap_or_else(|| "the copy had to stop".to_owned());
        match report.phase {
            Phase::Ended { status } => match Verdict::of(status) {
                Verdict::Hold => self.hold(&message).await,
                Verdict::Lost => Err(RunError::DriveLost(message)),
                Verdict::Ended => {
                    let outcome =
                        (status, report.tally.completed_bytes, logs(&report.landed_logs, destination));
                    self.ended(outcome, &message).await
                }
            },
            Phase::Suspended { reason: Suspension::HeldForCustomer } => self.hold(&message).await,
            Phase::Suspended { reason: Suspension::DriveLost } => Err(RunError::DriveLost(message)),
            Phase::Suspended { reason: Suspension::StationFault } => Err(RunError::Station(message)),
            Phase::Suspended { reason: Suspension::TakenOver } => Err(RunError::TakenOver(message)),
            _ => self.stopped().await.map(drop),
        }
    }

    async fn ended(&self, outcome: (DriveStatus, u64, RunLogs), message: &str) -> Result<(), RunError> {
        let Claim { job: key, drive_id, .. } = &self.claim;
        let status = outcome.0.as_str();
        self.crew.jobs.drive_ended(&self.caller(), key, drive_id, outcome, Some(self.claim.clone())).await?;
        tracing::info!(%drive_id, bay = self.bay.name, status, message, "the drive has ended");
        Ok(())
    }

    /// The run is over, the drive is not; what the job says to it.
    async fn stopped(&self) -> Result<Job, RunError> {
        let Claim { job: key, drive_id, .. } = &self.claim;
        let told =
            self.crew.jobs.drive_stopped(&self.caller(), key, drive_id, Some(self.claim.clone())).await;
        Ok(told?.job)
    }

    /// Stops, and waits for somebody who mends what is in the way; a drive that is on its way out waits for nobody.
    async fn hold(&self, why: &str) -> Result<(), RunError> {
        let Claim { job: key, drive_id, .. } = &self.claim;
        tracing::warn!(%drive_id, bay = self.bay.name, why, "the drive is on hold");
        let job = self.stopped().await?;
        if job.drive(drive_id).is_some_and(|drive| job.is_workable(drive)) {
            self.crew.jobs.hold(&self.caller(), key, drive_id, why).await?;
        }
        Ok(())
    }
}

/// What tells the job's runs from those of every other job, also of a later one of the same name: a drive that
/// is sent again is copied again.
fn run_scope(job: &Job) -> String {
    format!("{}@{}", job.key.arm_id().to_ascii_lowercase(), job.authorship.created_unix_ms)
}

/// The drive's entry in the words of the manifest; the key comes later and separately.
fn entry(drive: &JobDrive) -> Option<JobEntry> {
    let header_hash = drive.drive_header_hash.as_deref().filter(|text| !text.is_empty());
    Some(JobEntry {
        drive_id: drive.drive_id.clone(),
        bitlocker_key: None,
        manifest_file: drive.manifest_file.clone()?,
        manifest_hash: drive.manifest_hash.as_deref()?.parse().ok()?,
        header_hash: header_hash.map_or(HeaderHash::Absent, HeaderHash::parse),
    })
}

/// Where the account has the logs: they are listed error first, then verbose.
fn logs(landed: &[String], destination: &str) -> RunLogs {
    let at =
        |index: usize| landed.get(index).map(|name| format!("{}/{name}", destination.trim_end_matches('/')));
    RunLogs { error: at(0), verbose: at(1), manifest: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_somebody_can_mend_is_no_end() {
        assert_eq!(Verdict::of(DriveStatus::BlobRequestForbidden), Verdict::Hold);
        assert_eq!(Verdict::of(DriveStatus::BitLockerKeyInvalid), Verdict::Hold);
        assert_eq!(Verdict::of(DriveStatus::DiskNotFound), Verdict::Lost);
        assert_eq!(Verdict::of(DriveStatus::ManifestCorrupted), Verdict::Ended);
        assert_eq!(Verdict::of(DriveStatus::CompletedWithErrors), Verdict::Ended);
    }

    #[test]
    fn logs_are_named_with_their_account() {
        let landed = ["waies/e.xml".to_owned(), "waies/v.xml".to_owned()];
        let logs = logs(&landed, "https://a.blob.core.windows.net/");
        assert_eq!(logs.error.as_deref(), Some("https://a.blob.core.windows.net/waies/e.xml"));
        assert_eq!(logs.verbose.as_deref(), Some("https://a.blob.core.windows.net/waies/v.xml"));
    }
}

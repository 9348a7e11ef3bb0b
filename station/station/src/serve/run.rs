//! One drive in one bay, under its claim: key, credential, copy, report.
//!
//! The key is released for the serial number that was seen in this bay, after its custody entry was
//! saved, and lives as long as the run. The lease is renewed while the copy goes on; a run that has lost
//! it stops and reports nothing, because another station has the drive's story now. What the customer
//! can mend (a credential, a firewall) holds the drive with the reason; nothing of it is lost.

use std::sync::Arc;
use std::time::Duration;

use api::desk::bays::{BayNow, Doing, Limit};
use azure::{Account, AccountConfig, Credential, Endpoint};
use jobs::{Caller, ChangeError, KeyError};
use ledger::{Claim, ClaimError};
use manifest::{HeaderHash, JobEntry};
use model::drive::{Phase, Suspension};
use model::job::{Job, JobDrive, RunLogs};
use proof::bring_up::Device;
use tokio::sync::{mpsc, watch};
use tokio::time::{MissedTickBehavior, interval};
use transfer::progress::{LimitedBy, Progress};
use transfer::task::{IngestError, IngestSpec, Report, ingest};

use super::bays::Crew;
use super::config::Bay;
use super::told_to_stop;

/// Between two reports of progress to the job.
const REPORT_EVERY: Duration = Duration::from_secs(10);

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
    Key(#[from] KeyError),
    /// The credential does not open.
    #[error("opening the account's credential")]
    Credential(#[from] api::desk::accounts::NotOpened),
    /// The station itself cannot go on.
    #[error("copying")]
    Ingest(#[from] IngestError),
    /// The lease could not be renewed.
    #[error("keeping the claim")]
    Claim(#[from] ClaimError),
}

/// What the run cannot begin without, or why the drive has to wait for somebody.
enum Ready {
    Spec(Box<IngestSpec>),
    Hold(String),
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
        let caller = self.caller();
        let Claim { job: key, drive_id, .. } = &self.claim;
        self.crew.jobs.drive_started(&caller, key, drive_id, Some(self.claim.clone())).await?;
        let spec = match self.ready(device).await? {
            Ready::Spec(spec) => *spec,
            Ready::Hold(why) => return self.hold(&why).await,
        };
        let destination = spec.destination.clone();
        let progress = Arc::new(Progress::default());
        let report = self.copy(spec, &progress, station_stops, drive_stops).await?;
        self.report(report, &progress, &destination).await
    }

    fn caller(&self) -> Caller {
        Caller::new(format!("bay:{}", self.bay.name), vec!["service".to_owned()])
    }

    async fn ready(&self, device: Device) -> Result<Ready, RunError> {
        let drive = self.job.drive(&self.claim.drive_id).ok_or(RunError::Gone)?;
        let Some(entry) = entry(drive) else {
            return Ok(Ready::Hold("the job has no manifest for this drive".to_owned()));
        };
        let name = account_name(&self.job.storage_account_id);
        let opened = api::desk::accounts::open(&*self.crew.ledger, &self.crew.vault, name).await?;
        let Some(opened) = opened else {
            let advice = format!("the station has no credential for account {name}: PUT /v1/accounts/{name}");
            return Ok(Ready::Hold(advice));
        };
        let account = match self.account(&opened) {
            Ok(account) => account,
            Err(error) => return Ok(Ready::Hold(format!("account {name}: {error:#}"))),
        };
        let (key, drive_id) = (&self.claim.job, &self.claim.drive_id);
        let claim = Some(self.claim.clone());
        let secret = self.crew.jobs.release_key(&self.caller(), key, drive_id, &self.bay.name, claim).await?;
        let text = secret.expose_text().unwrap_or_default();
        let secrets = match proof::secrets::from_key_text(text, "the job") {
            Ok(secret) => vec![secret],
            Err(error) => return Ok(Ready::Hold(proof::chain(&error))),
        };
        Ok(Ready::Spec(Box::new(IngestSpec {
            device,
            job: entry,
            secrets,
            job_name: self.job.key.name.clone(),
            account,
            destination: opened.endpoint.clone(),
            ledger: Arc::clone(&self.crew.ledger) as _,
            logs_dir: self.crew.logs_dir.clone(),
            buffer_bytes: self.crew.transfer.buffer_mib as usize * (1 << 20),
            digests: Arc::clone(&self.crew.digests),
            again: false,
        })))
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
        progress: &Arc<Progress>,
        station_stops: watch::Receiver<bool>,
        drive_stops: watch::Receiver<bool>,
    ) -> Result<Report, RunError> {
        let (halt, halted) = watch::channel(false);
        // What a person at a terminal would be shown; the logs have all of it.
        let (notices, mut unread) = mpsc::unbounded_channel();
        let drain = tokio::spawn(async move { while unread.recv().await.is_some() {} });
        let mut copying = Box::pin(ingest(spec, Arc::clone(progress), notices, halted));
        let mut keeping = Box::pin(self.keep(progress, &halt, station_stops, drive_stops));
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

    /// Renews the lease, tells the progress, and passes on that the copy shall stop; ends when the claim is lost.
    async fn keep(
        &self,
        progress: &Progress,
        halt: &watch::Sender<bool>,
        mut station_stops: watch::Receiver<bool>,
        mut drive_stops: watch::Receiver<bool>,
    ) -> ClaimError {
        let mut renewals = interval(self.lease / 3);
        let mut reports = interval(REPORT_EVERY);
        renewals.set_missed_tick_behavior(MissedTickBehavior::Delay);
        reports.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = told_to_stop(&mut station_stops), if !*halt.borrow() => { halt.send_replace(true); }
                () = told_to_stop(&mut drive_stops), if !*halt.borrow() => { halt.send_replace(true); }
                _ = renewals.tick() => {
                    if let Err(error) = self.crew.ledger.renew(&self.claim, self.lease).await {
                        return error;
                    }
                }
                _ = reports.tick() => self.tell_progress(progress).await,
            }
        }
    }

    async fn tell_progress(&self, progress: &Progress) {
        let now = progress.snapshot();
        let percent = now.bytes_done.saturating_mul(100).checked_div(now.bytes_total).unwrap_or(0).min(99);
        let percent = u8::try_from(percent).unwrap_or(99);
        let Claim { job, drive_id, .. } = &self.claim;
        let (caller, claim) = (self.caller(), Some(self.claim.clone()));
        self.crew.screen.show(BayNow {
            bay: self.bay.name.clone(),
            drive_id: Some(drive_id.to_string()),
            doing: Doing::Copying,
            percent: Some(percent),
            bytes_per_second: None,
            limited_by: Some(limit(now.limited_by)),
            trouble: None,
        });
        let told =
            self.crew.jobs.drive_progress(&caller, job, drive_id, (percent, now.bytes_put), claim).await;
        if let Err(error) = told {
            tracing::debug!(error = &error as &dyn std::error::Error, "progress was not told");
        }
    }

    async fn report(&self, report: Report, progress: &Progress, destination: &str) -> Result<(), RunError> {
        let Claim { job: key, drive_id, .. } = &self.claim;
        match report.phase {
            Phase::Ended { status } => {
                let bytes = progress.snapshot().bytes_put;
                let outcome = (status, bytes, logs(&report.landed_logs, destination));
                let claim = Some(self.claim.clone());
                self.crew.jobs.drive_ended(&self.caller(), key, drive_id, outcome, claim).await?;
                Ok(())
            }
            Phase::Suspended { reason: Suspension::HeldForCustomer | Suspension::DriveLost } => {
                let why = report.message.unwrap_or_else(|| "the copy had to stop".to_owned());
                self.hold(&why).await
            }
            _ => {
                let claim = Some(self.claim.clone());
                self.crew.jobs.drive_stopped(&self.caller(), key, drive_id, claim).await?;
                Ok(())
            }
        }
    }

    /// Stops, and waits for somebody who mends what is in the way.
    async fn hold(&self, why: &str) -> Result<(), RunError> {
        let Claim { job: key, drive_id, .. } = &self.claim;
        let (caller, claim) = (self.caller(), Some(self.claim.clone()));
        self.crew.jobs.drive_stopped(&caller, key, drive_id, claim).await?;
        self.crew.jobs.hold(&caller, key, drive_id, why).await?;
        Ok(())
    }
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

fn limit(by: LimitedBy) -> Limit {
    match by {
        LimitedBy::Drive => Limit::Drive,
        LimitedBy::Cpu => Limit::Cpu,
        LimitedBy::Destination => Limit::Destination,
    }
}

/// The last segment of an account's ARM id.
fn account_name(id: &str) -> &str {
    id.rsplit('/').find(|segment| !segment.is_empty()).unwrap_or(id)
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
    fn the_account_is_the_last_part_of_its_id() {
        let id = "/subscriptions/S/resourceGroups/G/providers/Microsoft.Storage/storageAccounts/acct";
        assert_eq!(account_name(id), "acct");
        assert_eq!(account_name("acct/"), "acct");
    }

    #[test]
    fn logs_are_named_with_their_account() {
        let landed = ["waies/e.xml".to_owned(), "waies/v.xml".to_owned()];
        let logs = logs(&landed, "https://a.blob.core.windows.net/");
        assert_eq!(logs.error.as_deref(), Some("https://a.blob.core.windows.net/waies/e.xml"));
        assert_eq!(logs.verbose.as_deref(), Some("https://a.blob.core.windows.net/waies/v.xml"));
    }
}

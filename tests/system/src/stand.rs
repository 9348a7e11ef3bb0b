//! One ingest in this process: drive, account, ledger and logs in a scratch folder.
//!
//! A stand is the bay, so to speak: the same ledger and account may see several tries. The
//! program itself is started by the tests that need a process (signals, kills).

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use azure::{Account, AccountConfig, Credential, Endpoint, RetryPolicy};
use bitlocker::{RecoveryPassword, Secret};
use block::{Faults, FaultyDevice, FileDevice, ReadTarget, SharedDevice};
use ledger::SqliteLedger;
use manifest::JobEntry;
use proof::bring_up::Device;
use proof::verify::DigestPool;
use tempfile::TempDir;
use tokio::sync::{mpsc, watch};
use transfer::progress::Progress;
use transfer::task::{IngestError, IngestSpec, Report, ingest};

use crate::drives::TestDrive;

/// Where a drive is ingested to, and what is kept about it.
pub struct Stand {
    scratch: TempDir,
    /// The account.
    pub account: Account,
    destination: String,
}

/// One try.
pub struct Try {
    /// What came of it.
    pub report: Report,
    /// The counters at its end.
    pub progress: Arc<Progress>,
}

impl Stand {
    /// A stand before an endpoint of ours.
    ///
    /// # Errors
    /// When the account cannot be set up.
    pub fn before(endpoint: &rig::endpoint::Endpoint) -> Result<Stand> {
        Stand::at(&endpoint.url(), &endpoint.connection_string())
    }

    /// A stand before any endpoint. Retries are as many as usual, but do not take long.
    ///
    /// # Errors
    /// When the account cannot be set up.
    pub fn at(url: &str, credential: &str) -> Result<Stand> {
        let endpoint = Endpoint::parse(url)?;
        let credential = Credential::from_text(credential)?;
        let retry = RetryPolicy {
            pause_first: Duration::from_millis(5),
            pause_max: Duration::from_millis(20),
            ..RetryPolicy::default()
        };
        let account = Account::new(AccountConfig { retry, ..AccountConfig::new(endpoint, credential) })?;
        Ok(Stand { scratch: TempDir::new()?, account, destination: url.to_owned() })
    }

    /// Where the logs are.
    pub fn logs_dir(&self) -> PathBuf {
        self.scratch.path().join("logs")
    }

    /// Where the ledger is.
    pub fn ledger_file(&self) -> PathBuf {
        self.scratch.path().join("ledger.sqlite")
    }

    /// Ingests a drive from its image.
    ///
    /// # Errors
    /// When the station itself could not go on.
    pub async fn ingest(&self, drive: &TestDrive) -> Result<Try> {
        self.ingest_device(open(&drive.image)?, drive.job()?).await
    }

    /// Ingests whatever device, under whatever job.
    ///
    /// # Errors
    /// When the station itself could not go on.
    pub async fn ingest_device(&self, device: Device, job: JobEntry) -> Result<Try> {
        let (_stop, stopped) = watch::channel(false);
        self.ingest_until(device, job, stopped).await
    }

    /// Ingests until it is told to stop.
    ///
    /// # Errors
    /// When the station itself could not go on.
    pub async fn ingest_until(
        &self,
        device: Device,
        job: JobEntry,
        stop: watch::Receiver<bool>,
    ) -> Result<Try> {
        let spec = self.spec(device, job).await?;
        let progress = Arc::new(Progress::default());
        let (notices, mut notices_in) = mpsc::unbounded_channel();
        let listener = tokio::spawn(async move { while notices_in.recv().await.is_some() {} });
        let report = ingest(spec, Arc::clone(&progress), notices, stop).await;
        listener.await.map_err(|_| anyhow!("the listener panicked"))?;
        Ok(Try { report: report.map_err(whole)?, progress })
    }

    async fn spec(&self, device: Device, job: JobEntry) -> Result<IngestSpec> {
        let key = job.bitlocker_key.as_ref().context("the job has a key")?;
        let secrets = vec![Secret::RecoveryPassword(RecoveryPassword::parse(key.expose())?)];
        Ok(IngestSpec {
            device,
            job,
            secrets,
            job_name: "test".to_owned(),
            run_scope: "test".to_owned(),
            account: self.account.clone(),
            destination: self.destination.clone(),
            ledger: Arc::new(SqliteLedger::open(&self.ledger_file()).await?),
            logs_dir: self.logs_dir(),
            buffer_bytes: 32 << 20,
            digests: Arc::new(DigestPool::start(2)?),
            again: false,
        })
    }
}

/// The causes, for a test's message.
fn whole(error: IngestError) -> anyhow::Error {
    anyhow!(proof::chain(&error))
}

/// An image as a device.
///
/// # Errors
/// When it cannot be opened.
pub fn open(image: &Path) -> Result<Device> {
    Device::open(image).map_err(|refusal| anyhow!("{}: {}", refusal.status, refusal.message))
}

/// An image as a device that misbehaves on demand.
///
/// # Errors
/// When it cannot be opened.
pub fn open_faulty(image: &Path) -> Result<(Device, Faults)> {
    let identity = block::identify(image)?;
    let file: SharedDevice = Arc::new(FileDevice::open(image)?);
    let (faulty, faults) = FaultyDevice::new(file);
    let shared: SharedDevice = Arc::new(faulty);
    Ok((Device { identity, target: ReadTarget::Device(Arc::clone(&shared)), shared }, faults))
}

//! From a path and secrets to an open drive, as the station opens it.
//!
//! The steps and their statuses are [`proof::bring_up`]'s; here is only what a command line adds:
//! which files the secrets are in, and which exit code a refusal ends with. Nothing is written to
//! the drive, and nothing of it is mounted.
//!
//! ```text
//! DriveArguments ──recognise──▶ RecognisedDrive ──unlock──▶ UnlockedDrive ──prove──▶ OpenDrive
//! ```

use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use bitlocker::Secret;
use clap::Args;
use manifest::JobEntry;
use manifest::job_entry::JOB_ENTRY_BYTES_MAX;
use model::Exit;
use proof::bring_up::{self, Device, ManifestTotals, OpenDrive, RecognisedDrive, Refusal, UnlockedDrive};
use proof::secrets::{self, SecretFiles};
use zeroize::Zeroizing;

use crate::failure::Failure;

/// Which drive, and what opens it.
#[derive(Debug, Clone, Args)]
pub struct DriveArguments {
    /// The drive: a block device or an image file. Opened read-only.
    #[arg(value_name = "DRIVE")]
    pub drive: PathBuf,
    /// The drive's job entry: drive.json, a .jrn journal, or a DriveInfo XML. Its key is tried first.
    #[arg(long, value_name = "FILE")]
    pub job: Option<PathBuf>,
    /// Files with more secrets.
    #[command(flatten)]
    pub keys: KeyArguments,
}

/// Files that hold what opens a drive.
#[derive(Debug, Clone, Default, Args)]
pub struct KeyArguments {
    /// File that holds the 48 digits of a recovery password.
    #[arg(long, value_name = "FILE")]
    pub recovery_password_file: Option<PathBuf>,
    /// File that holds the volume's password.
    #[arg(long, value_name = "FILE")]
    pub password_file: Option<PathBuf>,
    /// BEK file (startup or recovery key), or a file with an external key in base64.
    #[arg(long, value_name = "FILE")]
    pub bek: Option<PathBuf>,
}

/// A drive of which the BitLocker volume was found, and what may open it.
pub struct Recognised {
    /// The drive.
    pub drive: RecognisedDrive,
    /// The job's entry, if one was given.
    pub job: Option<JobEntry>,
    /// Secrets in the order in which they are tried.
    pub secrets: Vec<Secret>,
}

/// A drive whose volume is open.
pub struct Unlocked {
    /// The drive.
    pub drive: UnlockedDrive,
    /// The job's entry, if one was given.
    pub job: Option<JobEntry>,
}

impl DriveArguments {
    /// Reads job and secrets and finds the BitLocker volume.
    ///
    /// # Errors
    /// Exit code 2 for arguments, 20 for a drive that is not there or another one, 21 for one
    /// without a BitLocker volume, 12 for one that cannot be read.
    pub fn recognise(&self) -> Result<Recognised, Failure> {
        let job = self.job.as_deref().map(read_job).transpose()?;
        let secrets = secrets::collect(job.as_ref(), &self.keys.files())
            .map_err(|error| Failure::new(Exit::UnlockFailed, error))?;
        let device = Device::open(&self.drive).map_err(refused)?;
        let drive = bring_up::recognise(device, job.as_ref()).map_err(refused)?;
        Ok(Recognised { drive, job, secrets })
    }

    /// All steps up to the file system.
    ///
    /// # Errors
    /// As [`DriveArguments::recognise`], and 21 when no secret opens the volume.
    pub fn unlock(&self) -> Result<Unlocked, Failure> {
        self.recognise()?.unlock()
    }
}

impl Recognised {
    /// Opens the volume and reads its file system.
    ///
    /// # Errors
    /// Exit code 21 when no secret opens it, 6 when it is not NTFS, 12 when it cannot be read.
    pub fn unlock(self) -> Result<Unlocked, Failure> {
        let Recognised { drive, job, secrets } = self;
        if secrets.is_empty() {
            let protectors: Vec<String> =
                drive.metadata.protectors().iter().map(|protector| format!("{protector:?}")).collect();
            let cause = anyhow!(
                "nothing to unlock the drive with; it opens with: {}. Give --job, \
                 --recovery-password-file, --password-file or --bek",
                protectors.join(", ")
            );
            return Err(Failure::new(Exit::UnlockFailed, cause));
        }
        let drive = bring_up::unlock(drive, &secrets, &mut |_| {}).map_err(refused)?;
        Ok(Unlocked { drive, job })
    }
}

impl Unlocked {
    /// Proves the manifest against the job's hash and checks its rules.
    ///
    /// # Errors
    /// Exit code 30 when the manifest is missing, changed or breaks a rule; 20 when it is another
    /// drive's; 2 without a job entry, which alone knows the hash.
    pub fn prove(self) -> Result<(OpenDrive, ManifestTotals, JobEntry), Failure> {
        let job = self.job.ok_or_else(|| {
            Failure::usage(anyhow!("the manifest's hash stands in the job entry: give --job FILE"))
        })?;
        let (drive, totals, _) = bring_up::prove(self.drive, &job).map_err(refused)?;
        Ok((drive, totals, job))
    }
}

impl KeyArguments {
    /// The files, for whoever reads them.
    pub fn files(&self) -> SecretFiles<'_> {
        SecretFiles {
            recovery_password: self.recovery_password_file.as_deref(),
            password: self.password_file.as_deref(),
            bek: self.bek.as_deref(),
        }
    }
}

/// Reads a job entry of any form.
///
/// # Errors
/// Exit code 2 when it cannot be read or is none of the known forms.
pub fn read_job(path: &Path) -> Result<JobEntry, Failure> {
    let read = || {
        let length = std::fs::metadata(path)?.len();
        if length > JOB_ENTRY_BYTES_MAX as u64 {
            return Err(std::io::Error::other("it is longer than any job entry"));
        }
        std::fs::read(path).map(Zeroizing::new)
    };
    let bytes = read()
        .with_context(|| format!("reading the job entry {}", path.display()))
        .map_err(Failure::usage)?;
    JobEntry::parse(&bytes, None)
        .with_context(|| format!("the job entry {}", path.display()))
        .map_err(Failure::usage)
}

/// A drive that is not taken: the log's word, what was found, and the exit code of the status.
pub fn refused(refusal: Refusal) -> Failure {
    Failure::new(Exit::of_drive(refusal.status), anyhow!("{}: {}", refusal.status, refusal.message))
}

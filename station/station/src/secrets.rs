//! What may open a drive: the job's key and the files named on the command line.

use std::path::Path;

use anyhow::{Context, bail};
use bitlocker::{ExternalKey, Password, RecoveryPassword, Secret};
use manifest::JobEntry;
use zeroize::Zeroizing;

use crate::cli::KeySource;

/// Longest password file: 256 UTF-16 units in UTF-8, and a line end.
const PASSWORD_BYTES_MAX: u64 = 4 << 10;

/// Secrets in the order in which they are tried: the job's key first.
///
/// # Errors
/// When a file cannot be read, or a recovery password has a typing error (which groups, it says).
pub fn collect(job: Option<&JobEntry>, keys: &KeySource) -> anyhow::Result<Vec<Secret>> {
    let mut secrets = Vec::new();
    if let Some(job) = job {
        secrets.extend(from_job(job)?);
    }
    if let Some(path) = &keys.password_file {
        let text = read_limited(path)?;
        let password = Password::new(text.trim_end_matches(['\r', '\n']));
        secrets.push(Secret::Password(password.with_context(|| format!("{}", path.display()))?));
    }
    if let Some(path) = &keys.bek {
        let bytes =
            Zeroizing::new(std::fs::read(path).with_context(|| format!("reading {}", path.display()))?);
        let key = ExternalKey::from_bek(&bytes).with_context(|| format!("{}", path.display()))?;
        secrets.push(Secret::ExternalKey(key));
    }
    Ok(secrets)
}

/// The job's key is a 48-digit recovery password or, in the newer generation, the base64 of an
/// external key: its shape tells (azure-import-export.md §2.10).
fn from_job(job: &JobEntry) -> anyhow::Result<Option<Secret>> {
    let Some(key) = &job.bitlocker_key else { return Ok(None) };
    let text = key.expose();
    if text.chars().filter(char::is_ascii_digit).count() >= 40 {
        let password = RecoveryPassword::parse(text).context("the job's bitLockerKey")?;
        return Ok(Some(Secret::RecoveryPassword(password)));
    }
    match ExternalKey::from_base64(text) {
        Ok(key) => Ok(Some(Secret::ExternalKey(key))),
        Err(_) => {
            bail!("the job's bitLockerKey is neither a 48-digit recovery password nor a base64 external key")
        }
    }
}

fn read_limited(path: &Path) -> anyhow::Result<Zeroizing<String>> {
    let length = std::fs::metadata(path).with_context(|| format!("reading {}", path.display()))?.len();
    if length > PASSWORD_BYTES_MAX {
        bail!("{} is longer than any password", path.display());
    }
    Ok(Zeroizing::new(std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?))
}

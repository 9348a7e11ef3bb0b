//! What may open a drive: the job's key and files with secrets.
//!
//! Secrets never come from an argument or the environment. What is read passes only through
//! buffers that are zeroed.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use bitlocker::{
    ExternalKey, ExternalKeyError, Password, PasswordError, RecoveryPassword, RecoveryPasswordError, Secret,
};
use manifest::JobEntry;
use zeroize::Zeroizing;

/// Longest file with a secret: 256 UTF-16 units in UTF-8 and a line end; a BEK file has 156 bytes.
const SECRET_BYTES_MAX: u64 = 4 << 10;

/// Files that hold a secret each.
#[derive(Debug, Clone, Default)]
pub struct SecretFiles<'a> {
    /// 48 digits.
    pub recovery_password: Option<&'a Path>,
    /// What the owner typed; a line end behind it does not count.
    pub password: Option<&'a Path>,
    /// A `.BEK` file, or the base64 of an external key.
    pub bek: Option<&'a Path>,
}

/// A secret could not be had.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The file cannot be read.
    #[error("reading {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The file is no file of that kind: a drive given by mistake must not be read to its end.
    #[error("{} is longer than any secret", path.display())]
    TooLong {
        /// The file.
        path: PathBuf,
    },
    /// A typing error in a recovery password, in which groups it says.
    #[error("the recovery password of {origin}")]
    RecoveryPassword {
        /// The file, or the job.
        origin: String,
        /// Which groups.
        #[source]
        source: RecoveryPasswordError,
    },
    /// No password.
    #[error("the password in {}", path.display())]
    Password {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: PasswordError,
    },
    /// No external key.
    #[error("the external key in {}", path.display())]
    ExternalKey {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: ExternalKeyError,
    },
    /// The job's key has neither shape.
    #[error("the job's bitLockerKey is neither a 48-digit recovery password nor a base64 external key")]
    Shape,
}

/// Secrets in the order in which they are tried: the job's key first.
///
/// # Errors
/// See [`SecretError`]; none shows a secret.
pub fn collect(job: Option<&JobEntry>, files: &SecretFiles<'_>) -> Result<Vec<Secret>, SecretError> {
    let mut secrets = Vec::new();
    if let Some(key) = job.and_then(|job| job.bitlocker_key.as_ref()) {
        secrets.push(from_key_text(key.expose(), "the job")?);
    }
    if let Some(path) = files.recovery_password {
        let text = read_text(path)?;
        let password = RecoveryPassword::parse(text.trim())
            .map_err(|source| SecretError::RecoveryPassword { origin: path.display().to_string(), source })?;
        secrets.push(Secret::RecoveryPassword(password));
    }
    if let Some(path) = files.password {
        let text = read_text(path)?;
        let password = Password::new(text.trim_end_matches(['\r', '\n']))
            .map_err(|source| SecretError::Password { path: path.to_owned(), source })?;
        secrets.push(Secret::Password(password));
    }
    if let Some(path) = files.bek {
        secrets.push(Secret::ExternalKey(external_key(path)?));
    }
    Ok(secrets)
}

/// A key as jobs have it: 48 digits or, in the newer generation, the base64 of an external key; its
/// shape tells (azure-import-export.md §2.10). `origin` names where it was, for messages.
///
/// # Errors
/// When it is neither.
pub fn from_key_text(text: &str, origin: &str) -> Result<Secret, SecretError> {
    if text.chars().filter(char::is_ascii_digit).count() >= 40 {
        let password = RecoveryPassword::parse(text)
            .map_err(|source| SecretError::RecoveryPassword { origin: origin.to_owned(), source })?;
        return Ok(Secret::RecoveryPassword(password));
    }
    ExternalKey::from_base64(text).map(Secret::ExternalKey).map_err(|_| SecretError::Shape)
}

/// A BEK file, else base64 text.
fn external_key(path: &Path) -> Result<ExternalKey, SecretError> {
    let bytes = read_limited(path)?;
    let as_bek = ExternalKey::from_bek(&bytes);
    let as_text = std::str::from_utf8(&bytes).ok().map(str::trim).map(ExternalKey::from_base64);
    match (as_bek, as_text) {
        (Ok(key), _) | (_, Some(Ok(key))) => Ok(key),
        (Err(source), _) => Err(SecretError::ExternalKey { path: path.to_owned(), source }),
    }
}

fn read_text(path: &Path) -> Result<Zeroizing<String>, SecretError> {
    let bytes = read_limited(path)?;
    match std::str::from_utf8(&bytes) {
        Ok(text) => Ok(Zeroizing::new(text.to_owned())),
        Err(_) => {
            let source = io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8 text");
            Err(SecretError::Read { path: path.to_owned(), source })
        }
    }
}

/// Reads into a buffer that never grows, so that no copy of the secret is left behind.
fn read_limited(path: &Path) -> Result<Zeroizing<Vec<u8>>, SecretError> {
    let failed = |source| SecretError::Read { path: path.to_owned(), source };
    let mut bytes = Zeroizing::new(Vec::with_capacity(8 << 10));
    let file = File::open(path).map_err(failed)?;
    file.take(SECRET_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > SECRET_BYTES_MAX {
        return Err(SecretError::TooLong { path: path.to_owned() });
    }
    Ok(bytes)
}

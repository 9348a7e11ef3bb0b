//! Values that no one else may see: keys and signatures.
//!
//! A secret comes as text in the arguments, or in a file as `@FILE`. Native commands take files only,
//! so a secret is handed on in an anonymous file in memory, which no other process can name and which
//! is gone with this one.

use std::fmt;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::PathBuf;

use rustix::fs::{MemfdFlags, memfd_create};
use zeroize::Zeroizing;

use super::CompatError;

/// A key has under a hundred bytes, a signature some hundred.
const SECRET_BYTES_MAX: u64 = 16 << 10;

/// A secret of the arguments.
#[derive(Clone, PartialEq, Eq)]
pub enum SecretValue {
    /// In the argument itself, where every user of the machine can read it.
    Text(Zeroizing<String>),
    /// In a file.
    File(PathBuf),
}

impl fmt::Debug for SecretValue {
    /// Never the secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SecretValue::Text(_) => f.write_str("Text(..)"),
            SecretValue::File(path) => f.debug_tuple("File").field(path).finish(),
        }
    }
}

impl SecretValue {
    /// Of an option's value: `@FILE`, or the secret itself.
    pub(super) fn new(value: &str) -> SecretValue {
        match value.strip_prefix('@') {
            Some(path) => SecretValue::File(path.into()),
            None => SecretValue::Text(Zeroizing::new(value.to_owned())),
        }
    }

    /// The secret, without the line's end that editors put behind it.
    pub(super) fn read(&self, name: &'static str) -> Result<Zeroizing<String>, CompatError> {
        let path = match self {
            SecretValue::Text(text) => return Ok(text.clone()),
            SecretValue::File(path) => path,
        };
        let failed = |source| CompatError::Secret { name, path: path.display().to_string(), source };
        // Reserved once, so that growing leaves no copy behind.
        let mut text =
            Zeroizing::new(String::with_capacity(usize::try_from(SECRET_BYTES_MAX + 1).unwrap_or(0)));
        let file = File::open(path).map_err(failed)?;
        let read = file.take(SECRET_BYTES_MAX + 1).read_to_string(&mut text).map_err(failed)?;
        if read as u64 > SECRET_BYTES_MAX {
            return Err(failed(io::ErrorKind::FileTooLarge.into()));
        }
        Ok(Zeroizing::new(text.trim().to_owned()))
    }
}

/// A text in an anonymous file, while this value lives.
#[derive(Debug)]
pub(super) struct MemoryFile {
    file: OwnedFd,
}

impl MemoryFile {
    /// Keeps the text.
    pub(super) fn new(text: &str) -> Result<MemoryFile, CompatError> {
        let made = memfd_create("driveprep", MemfdFlags::CLOEXEC).map_err(io::Error::from);
        let mut file = File::from(made.map_err(CompatError::Memory)?);
        file.write_all(text.as_bytes()).map_err(CompatError::Memory)?;
        Ok(MemoryFile { file: file.into() })
    }

    /// Under which path this process can open it.
    pub(super) fn path(&self) -> String {
        format!("/proc/self/fd/{}", self.file.as_raw_fd())
    }
}

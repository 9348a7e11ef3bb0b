//! The account's credential: from a file, a descriptor or the environment, never from an argument.

use std::fs::File;
use std::io::Read;

use anyhow::{Context, bail};
use azure::Credential;
use zeroize::Zeroizing;

use crate::cli::CredentialSource;

/// Environment variable that may hold the credential. It is inherited by child processes and
/// readable by the same user: a file is better.
pub const VARIABLE: &str = "DRAYAGE_CREDENTIAL";

/// A connection string with SAS is some hundred bytes; more than this is another file.
const CREDENTIAL_BYTES_MAX: u64 = 16 << 10;

/// Reads the credential from the one source that was given.
///
/// # Errors
/// When there is none, or it cannot be read or is no credential.
pub fn read(source: &CredentialSource) -> anyhow::Result<Credential> {
    let text = read_text(source)?;
    Credential::from_text(text.trim())
        .context("the credential is neither a connection string, nor an account key, nor a SAS")
}

fn read_text(source: &CredentialSource) -> anyhow::Result<Zeroizing<String>> {
    if let Some(path) = &source.credential_file {
        let file =
            File::open(path).with_context(|| format!("opening the credential file {}", path.display()))?;
        return read_limited(file).with_context(|| format!("reading the credential file {}", path.display()));
    }
    if let Some(descriptor) = source.credential_fd {
        if descriptor < 3 {
            bail!("--credential-fd {descriptor}: give a descriptor that was opened for this, 3 or higher");
        }
        // Opened anew through /proc, so that no number has to be trusted to be an open file.
        let file = File::open(format!("/proc/self/fd/{descriptor}"));
        return file
            .map_err(anyhow::Error::from)
            .and_then(read_limited)
            .with_context(|| format!("reading descriptor {descriptor}"));
    }
    match std::env::var(VARIABLE) {
        Ok(text) => Ok(Zeroizing::new(text)),
        Err(_) => bail!("no credential: give --credential-file FILE, --credential-fd N, or set {VARIABLE}"),
    }
}

fn read_limited(file: File) -> anyhow::Result<Zeroizing<String>> {
    let mut text = Zeroizing::new(String::new());
    let length = file.take(CREDENTIAL_BYTES_MAX + 1).read_to_string(&mut text)? as u64;
    if length > CREDENTIAL_BYTES_MAX {
        bail!("it is longer than {CREDENTIAL_BYTES_MAX} bytes, which no credential is");
    }
    Ok(text)
}

//! Where a program gets a credential from: a file, an open descriptor or the environment, never an
//! argument, which every user of the machine could read.
//!
//! Invariant: the text is zeroed once it was read, and no error quotes a character of it.

use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;

use zeroize::Zeroizing;

use super::{Credential, CredentialError};

/// Environment variable that may hold the credential. It is inherited by child processes and
/// readable by the same user: a file is better.
pub const CREDENTIAL_VARIABLE: &str = "DRAYAGE_CREDENTIAL";

/// A connection string with SAS is some hundred bytes; more than this is another file.
const CREDENTIAL_BYTES_MAX: u64 = 16 << 10;

/// What the user named; with neither, the environment is asked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CredentialSource {
    /// A file; it is asked first.
    pub file: Option<PathBuf>,
    /// An open descriptor.
    pub descriptor: Option<i32>,
}

/// Why a source gives no credential.
#[derive(Debug, thiserror::Error)]
pub enum CredentialSourceError {
    /// Nothing was named, and the environment has nothing.
    #[error("no credential: give --credential-file FILE, --credential-fd N, or set {CREDENTIAL_VARIABLE}")]
    Absent,
    /// Standard input, output or error.
    #[error("--credential-fd {descriptor}: give a descriptor that was opened for this, 3 or higher")]
    StandardStream {
        /// The number given.
        descriptor: i32,
    },
    /// It cannot be read.
    #[error("reading the credential from {place}")]
    Read {
        /// Which source.
        place: String,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// It is some other file.
    #[error("what {place} holds is longer than {CREDENTIAL_BYTES_MAX} bytes, which no credential is")]
    Length {
        /// Which source.
        place: String,
    },
    /// Its text opens nothing.
    #[error("what {place} holds is neither a connection string, nor an account key, nor a SAS")]
    Text {
        /// Which source.
        place: String,
        /// What is wrong with it.
        #[source]
        source: CredentialError,
    },
}

impl CredentialSource {
    /// Reads the credential from the one source that was given.
    ///
    /// # Errors
    /// When there is none, or it cannot be read or is no credential.
    pub fn read(&self) -> Result<Credential, CredentialSourceError> {
        let (place, text) = self.text()?;
        Credential::from_text(text.trim()).map_err(|source| CredentialSourceError::Text { place, source })
    }

    fn text(&self) -> Result<(String, Zeroizing<String>), CredentialSourceError> {
        match (&self.file, self.descriptor) {
            (Some(path), _) => read_limited(path.clone(), path.display().to_string()),
            (None, Some(descriptor)) if descriptor < 3 => {
                Err(CredentialSourceError::StandardStream { descriptor })
            }
            // Opened anew through /proc, so that no number has to be trusted to be an open file.
            (None, Some(descriptor)) => {
                let place = format!("descriptor {descriptor}");
                read_limited(PathBuf::from(format!("/proc/self/fd/{descriptor}")), place)
            }
            (None, None) => match std::env::var(CREDENTIAL_VARIABLE) {
                Ok(text) => Ok((CREDENTIAL_VARIABLE.to_owned(), Zeroizing::new(text))),
                Err(_) => Err(CredentialSourceError::Absent),
            },
        }
    }
}

fn read_limited(path: PathBuf, place: String) -> Result<(String, Zeroizing<String>), CredentialSourceError> {
    let limit = CREDENTIAL_BYTES_MAX.saturating_add(1);
    // Reserved once, so that growing leaves no copy behind.
    let mut text = Zeroizing::new(String::with_capacity(usize::try_from(limit).unwrap_or(0)));
    let read = File::open(path).and_then(|file| file.take(limit).read_to_string(&mut text));
    match read.map(|length| u64::try_from(length).unwrap_or(u64::MAX)) {
        Err(source) => Err(CredentialSourceError::Read { place, source }),
        Ok(length) if length > CREDENTIAL_BYTES_MAX => Err(CredentialSourceError::Length { place }),
        Ok(_) => Ok((place, text)),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::credential::DEVELOPMENT_KEY;

    fn file(content: &[u8]) -> (tempfile::NamedTempFile, CredentialSource) {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(content).unwrap();
        let source = CredentialSource { file: Some(file.path().to_owned()), descriptor: None };
        (file, source)
    }

    #[test]
    fn a_file_with_a_line_end_is_read() {
        let (_kept, source) = file(format!("{DEVELOPMENT_KEY}\n").as_bytes());
        assert_eq!(source.read().unwrap().kind(), "account key");
    }

    #[test]
    fn other_files_are_refused_without_a_word_of_them() {
        let (_kept, source) = file(b"MTIz secret");
        let error = source.read().unwrap_err();
        assert!(matches!(error, CredentialSourceError::Text { .. }), "{error}");
        assert!(!format!("{error} {error:?}").contains("secret"));
        let (_kept, source) = file(&vec![b'x'; 20_000]);
        assert!(matches!(source.read(), Err(CredentialSourceError::Length { .. })));
        let absent = CredentialSource { file: Some("/nonexistent/credential".into()), descriptor: None };
        assert!(matches!(absent.read(), Err(CredentialSourceError::Read { .. })));
    }

    #[test]
    fn a_standard_stream_is_no_descriptor_for_a_secret() {
        let source = CredentialSource { file: None, descriptor: Some(0) };
        assert!(matches!(source.read(), Err(CredentialSourceError::StandardStream { descriptor: 0 })));
    }
}

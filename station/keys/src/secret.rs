//! A secret in memory.
//!
//! Invariant: zeroed when dropped; no `Debug`, `Clone` or `Serialize`, so that it gets into a log, a copy
//! or a reply only where [`Secret::expose`] is written.

use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// Bytes that nobody may see by accident.
pub struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    /// Takes the bytes over; the caller's vector becomes the secret's, nothing is copied.
    pub fn new(bytes: Vec<u8>) -> Secret {
        Secret(Zeroizing::new(bytes))
    }

    /// Takes a text over.
    pub fn from_text(text: String) -> Secret {
        Secret::new(text.into_bytes())
    }

    /// The bytes. Whoever calls this answers for where they go.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// The secret as text: recovery passwords, keys in base64, SAS.
    ///
    /// # Errors
    /// When it is not UTF-8.
    pub fn expose_text(&self) -> Result<&str, NotText> {
        std::str::from_utf8(&self.0).map_err(|_| NotText)
    }

    /// Whether these are the secret's bytes, in a time that depends on the lengths alone.
    pub fn matches(&self, other: &[u8]) -> bool {
        self.0.ct_eq(other).into()
    }
}

/// A secret that should be text, and is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the secret is not UTF-8")]
pub struct NotText;

impl From<Zeroizing<Vec<u8>>> for Secret {
    fn from(bytes: Zeroizing<Vec<u8>>) -> Secret {
        Secret(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_compared_and_read_only_on_purpose() {
        let secret = Secret::from_text("pass".to_owned());
        assert!(secret.matches(b"pass"));
        assert!(!secret.matches(b"pasS") && !secret.matches(b"pas") && !secret.matches(b"passs"));
        assert_eq!(secret.expose_text(), Ok("pass"));
        assert_eq!(Secret::new(vec![0xff]).expose_text(), Err(NotText));
    }
}

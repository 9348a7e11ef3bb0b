//! A SHA-256 value, in the one spelling that exports, checkpoints and messages use.
//!
//! Invariant: a hash is written in lower-case hexadecimal and read in nothing else, so that two
//! texts of one hash are equal as texts.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};

/// 32 bytes of SHA-256.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Hash(pub [u8; 32]);

impl Hash {
    /// SHA-256 of the parts behind a tag that says what they are.
    ///
    /// Every tag ends in a NUL and has none before it, so no two tags are each other's beginnings.
    pub(crate) fn tagged(tag: &[u8], parts: &[&[u8]]) -> Hash {
        let mut sha = Sha256::new_with_prefix(tag);
        for part in parts {
            sha.update(part);
        }
        Hash(sha.finalize().into())
    }

    /// A hash as a database or a file gives it back.
    ///
    /// # Errors
    /// When there are not exactly 32 bytes.
    pub fn from_slice(bytes: &[u8]) -> Result<Hash, HashTextError> {
        bytes.try_into().map(Hash).map_err(|_| HashTextError::Length { found: bytes.len(), unit: "bytes" })
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Hash {
    type Err = HashTextError;

    fn from_str(text: &str) -> Result<Hash, HashTextError> {
        hex(text).map(Hash)
    }
}

impl Serialize for Hash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Hash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Hash, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// Why a text or a column is not a hash (or a salt, which is spelled the same way).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HashTextError {
    /// Another length.
    #[error("{found} {unit} do not have the length of the value")]
    Length {
        /// How many there are.
        found: usize,
        /// Bytes, or hexadecimal digits.
        unit: &'static str,
    },
    /// A character that is no lower-case hexadecimal digit.
    #[error("character {position} is not a lower-case hexadecimal digit")]
    Digit {
        /// Where, counted from 1.
        position: usize,
    },
}

/// Reads exactly `N` bytes of lower-case hexadecimal digits.
pub(crate) fn hex<const N: usize>(text: &str) -> Result<[u8; N], HashTextError> {
    let digits = text.as_bytes();
    if digits.len() != 2 * N {
        return Err(HashTextError::Length { found: digits.len(), unit: "hexadecimal digits" });
    }
    let mut bytes = [0; N];
    for (index, digit) in digits.iter().enumerate() {
        let value = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return Err(HashTextError::Digit { position: index + 1 }),
        };
        bytes[index / 2] = (bytes[index / 2] << 4) | value;
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_has_one_spelling() {
        let hash = Hash::tagged(b"test\0", &[b"ab", b"c"]);
        let text = hash.to_string();
        assert_eq!(text.parse(), Ok(hash));
        assert_eq!(Hash::tagged(b"test\0", &[b"a", b"bc"]), hash, "parts are joined; callers delimit them");
        assert!(matches!(text.to_uppercase().parse::<Hash>(), Err(HashTextError::Digit { .. })));
        assert!(matches!(text[1..].parse::<Hash>(), Err(HashTextError::Length { found: 63, .. })));
        assert_eq!("é".repeat(32).parse::<Hash>(), Err(HashTextError::Digit { position: 1 }));
    }
}

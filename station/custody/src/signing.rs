//! The keys that checkpoints and proofs are signed with: Ed25519, several over time.
//!
//! Two texts, one key a line; empty lines and lines that begin with `#` are skipped:
//!
//! ```text
//! custody-signing-key [<id>] <32-byte seed in hexadecimal>                      private, one line
//! custody-public-key  <id> <32-byte public key in hexadecimal> [from <time>] [until <time>]
//! ```
//! The id is the first half of the SHA-256 of the public key's 32 bytes; a seed's line may lack it. Times are RFC 3339; they say when
//! a key was in use, so that a key that was retired, and perhaps stolen later, signs nothing new. (A thief
//! can sign what he dates back: only checkpoints that left the machine in time stand against that.)
//!
//! Invariants: the seed is zeroed and never shown; no error quotes a line of a private text. Keeping that
//! text in a private file is the caller's (`keys::private_file`).

use std::fmt;
use std::str::FromStr;

use ring::rand::{SecureRandom, SystemRandom};
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use zeroize::Zeroizing;

use crate::hash::{HashTextError, hex};

/// Most public keys in one text: a rotation a month for a lifetime.
const KEYS_MAX: usize = 1000;

/// Which signing key.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SignerId(pub [u8; 16]);

impl SignerId {
    fn of(public: &[u8]) -> SignerId {
        let digest: [u8; 32] = Sha256::digest(public).into();
        let (first, _) = digest.split_first_chunk().expect("32 bytes have a first half");
        SignerId(*first)
    }
}

impl fmt::Display for SignerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for SignerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for SignerId {
    type Err = HashTextError;

    fn from_str(text: &str) -> Result<SignerId, HashTextError> {
        hex(text).map(SignerId)
    }
}

/// An Ed25519 signature, in hexadecimal.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Signature(pub [u8; 64]);

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Signature {
    type Err = HashTextError;

    fn from_str(text: &str) -> Result<Signature, HashTextError> {
        hex(text).map(Signature)
    }
}

/// JSON as the text, for the two types above.
macro_rules! json_as_text {
    ($type:ty) => {
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

json_as_text!(SignerId);
json_as_text!(Signature);

/// Why a text holds no keys. A private text is never quoted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyTextError {
    /// No line with a key.
    #[error("there is no key in the text")]
    Empty,
    /// A second signing key, or more public keys than anybody has.
    #[error("line {line} is one key too many")]
    TooMany {
        /// Which, from 1.
        line: usize,
    },
    /// Not the expected kind of line.
    #[error("line {line} is not `{expected}`")]
    Line {
        /// Which, from 1.
        line: usize,
        /// What it should look like.
        expected: &'static str,
    },
    /// The id and the key do not go together.
    #[error("the key in line {line} does not belong to the id beside it: a digit was changed")]
    Id {
        /// Which, from 1.
        line: usize,
    },
    /// The same public key again: which times hold would be left open.
    #[error("line {line} repeats the key {id}")]
    Twice {
        /// Which, from 1.
        line: usize,
        /// The key.
        id: SignerId,
    },
}

/// The station's signing key, in memory.
pub struct SigningKey {
    pair: Ed25519KeyPair,
    id: SignerId,
}

impl SigningKey {
    /// A fresh key, as the text of its private file.
    ///
    /// # Panics
    /// When the system has no randomness.
    pub fn generate() -> Zeroizing<String> {
        let mut seed = Zeroizing::new([0; 32]);
        SystemRandom::new().fill(seed.as_mut_slice()).expect("the system's random source answers");
        let key = SigningKey::from_seed(&seed);
        let mut text = Zeroizing::new(String::with_capacity(512));
        text.push_str(
            "# Signing key of a station's custody chain. Whoever has it can forge checkpoints.\n\
             # See deploy/custody.md.\n",
        );
        text.push_str(&format!("custody-signing-key {} ", key.id));
        seed.iter().for_each(|byte| push_hex(&mut text, *byte));
        text.push('\n');
        text
    }

    fn from_seed(seed: &[u8; 32]) -> SigningKey {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed).expect("a seed of 32 bytes");
        let id = SignerId::of(pair.public_key().as_ref());
        SigningKey { pair, id }
    }

    /// Reads the text of a private file.
    ///
    /// # Errors
    /// When there is not exactly one sound key in it.
    pub fn from_text(text: &[u8]) -> Result<SigningKey, KeyTextError> {
        let expected = "custody-signing-key [ID] SEED";
        let text = std::str::from_utf8(text).map_err(|_| KeyTextError::Line { line: 1, expected })?;
        let mut found = None;
        for (line, text) in key_lines(text) {
            if found.is_some() {
                return Err(KeyTextError::TooMany { line });
            }
            found = Some(Self::from_line(text).ok_or(KeyTextError::Line { line, expected })?);
            if found.as_ref().is_some_and(|(named, key)| *named != key.id) {
                return Err(KeyTextError::Id { line });
            }
        }
        found.map(|(_, key)| key).ok_or(KeyTextError::Empty)
    }

    fn from_line(line: &str) -> Option<(SignerId, SigningKey)> {
        let mut fields = line.split_ascii_whitespace();
        let (kind, first, second) = (fields.next()?, fields.next()?, fields.next());
        if kind != "custody-signing-key" || fields.next().is_some() {
            return None;
        }
        let seed = Zeroizing::new(hex::<32>(second.unwrap_or(first)).ok()?);
        let key = SigningKey::from_seed(&seed);
        // A line that was written by hand may have no id.
        let id = if second.is_some() { first.parse().ok()? } else { key.id };
        Some((id, key))
    }

    /// Its id.
    pub fn id(&self) -> SignerId {
        self.id
    }

    /// What others need to check its signatures; with the time from which it signs, if that is known.
    pub fn public(&self, from_unix_ms: Option<i64>) -> PublicKey {
        let bytes = self.pair.public_key().as_ref().try_into().expect("Ed25519 keys have 32 bytes");
        PublicKey { id: self.id, bytes, from_unix_ms, until_unix_ms: None }
    }

    pub(crate) fn sign(&self, message: &[u8]) -> Signature {
        let signature = self.pair.sign(message);
        Signature(signature.as_ref().try_into().expect("Ed25519 signatures have 64 bytes"))
    }
}

fn push_hex(to: &mut String, byte: u8) {
    for nibble in [byte >> 4, byte & 15] {
        to.extend(char::from_digit(nibble.into(), 16));
    }
}

/// A public key and when it was in use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey {
    id: SignerId,
    bytes: [u8; 32],
    from_unix_ms: Option<i64>,
    until_unix_ms: Option<i64>,
}

impl PublicKey {
    /// Its id.
    pub fn id(&self) -> SignerId {
        self.id
    }

    /// The same key, in use up to then.
    pub fn until(self, unix_ms: i64) -> PublicKey {
        PublicKey { until_unix_ms: Some(unix_ms), ..self }
    }

    fn covers(&self, at_unix_ms: i64) -> bool {
        self.from_unix_ms.is_none_or(|from| from <= at_unix_ms)
            && self.until_unix_ms.is_none_or(|until| at_unix_ms <= until)
    }

    fn from_line(line: &str) -> Option<PublicKey> {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        let (id, key, from, until) = match fields.as_slice() {
            ["custody-public-key", id, key] => (id, key, None, None),
            ["custody-public-key", id, key, "from", from] => (id, key, Some(from), None),
            ["custody-public-key", id, key, "until", until] => (id, key, None, Some(until)),
            ["custody-public-key", id, key, "from", from, "until", until] => {
                (id, key, Some(from), Some(until))
            }
            _ => return None,
        };
        let time = |text: Option<&&str>| text.map(|text| unix_ms(text).ok_or(())).transpose().ok();
        let (from_unix_ms, until_unix_ms) = (time(from)?, time(until)?);
        Some(PublicKey { id: id.parse().ok()?, bytes: hex(key).ok()?, from_unix_ms, until_unix_ms })
    }
}

impl fmt::Display for PublicKey {
    /// The line for a text of public keys.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "custody-public-key {} ", self.id)?;
        self.bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
        for (word, time) in [("from", self.from_unix_ms), ("until", self.until_unix_ms)] {
            if let Some(text) = time.and_then(rfc3339) {
                write!(f, " {word} {text}")?;
            }
        }
        Ok(())
    }
}

/// Why a signature does not count.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// Not one of ours.
    #[error("it is signed by the key {0}, which is not among the public keys")]
    UnknownKey(SignerId),
    /// Not valid at its own time.
    #[error("it is signed by the key {0}, which was not in use at its time")]
    NotInUse(SignerId),
    /// A changed text, or a forged signature.
    #[error("its signature is not that of the key {0}: it was changed or forged")]
    Forged(SignerId),
}

/// The public keys that are trusted: all that a station has had.
#[derive(Debug, Clone, Default)]
pub struct PublicKeys(Vec<PublicKey>);

impl PublicKeys {
    /// Reads a text of public keys.
    ///
    /// # Errors
    /// Which line is none.
    pub fn from_text(text: &str) -> Result<PublicKeys, KeyTextError> {
        let expected = "custody-public-key ID KEY [from TIME] [until TIME]";
        let mut keys = PublicKeys::default();
        for (line, text) in key_lines(text) {
            let key = PublicKey::from_line(text).ok_or(KeyTextError::Line { line, expected })?;
            if SignerId::of(&key.bytes) != key.id {
                return Err(KeyTextError::Id { line });
            }
            if keys.find(key.id).is_some() {
                return Err(KeyTextError::Twice { line, id: key.id });
            }
            if keys.0.len() == KEYS_MAX {
                return Err(KeyTextError::TooMany { line });
            }
            keys.0.push(key);
        }
        if keys.0.is_empty() { Err(KeyTextError::Empty) } else { Ok(keys) }
    }

    /// Trusts one more key.
    #[must_use]
    pub fn with(mut self, key: PublicKey) -> PublicKeys {
        self.0.retain(|known| known.id != key.id);
        self.0.push(key);
        self
    }

    /// Whether the key of that id is among them.
    pub fn contains(&self, id: SignerId) -> bool {
        self.find(id).is_some()
    }

    fn find(&self, id: SignerId) -> Option<&PublicKey> {
        self.0.iter().find(|key| key.id == id)
    }

    /// Whether the message was signed, by a key that was in use at the time that the message names.
    pub(crate) fn check(
        &self,
        id: SignerId,
        at_unix_ms: i64,
        message: &[u8],
        signature: &Signature,
    ) -> Result<(), SignatureError> {
        let key = self.find(id).ok_or(SignatureError::UnknownKey(id))?;
        let outcome = UnparsedPublicKey::new(&ED25519, key.bytes).verify(message, &signature.0);
        outcome.map_err(|_| SignatureError::Forged(id))?;
        if key.covers(at_unix_ms) { Ok(()) } else { Err(SignatureError::NotInUse(id)) }
    }
}

/// The lines that hold something, with their numbers from 1.
fn key_lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let numbered = text.lines().map(str::trim).enumerate().map(|(index, line)| (index + 1, line));
    numbered.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
}

/// Milliseconds since 1970 of an RFC 3339 time.
fn unix_ms(text: &str) -> Option<i64> {
    let time = OffsetDateTime::parse(text, &Rfc3339).ok()?;
    i64::try_from(time.unix_timestamp_nanos().div_euclid(1_000_000)).ok()
}

/// The RFC 3339 text of a time, in UTC; none beyond the year 9999.
pub(crate) fn rfc3339(unix_ms: i64) -> Option<String> {
    let time = OffsetDateTime::from_unix_timestamp_nanos(i128::from(unix_ms) * 1_000_000).ok()?;
    time.format(&Rfc3339).ok()
}

#[cfg(test)]
mod tests;

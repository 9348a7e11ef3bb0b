//! What is recorded about one act.
//!
//! Owns the fields and their spelling in JSON. Invariants: an entry of a job carries its number among
//! that job's entries, counted from 1, so that leaving one out of a customer's proof is seen; an entry's
//! JSON holds nothing that its canonical bytes do not, so nothing unhashed can be read into an export.
//! Never in an entry: a secret, or a file name of the customer's data (names in [`FileHash`] are those of
//! manifests, logs, photos and reports).

use std::fmt;

use ring::rand::{SecureRandom, SystemRandom};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::hash::{Hash, hex};

/// What somebody did, as the station reports it: everything but its place in the chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Draft {
    /// When, in milliseconds since 1970, by the station's clock.
    pub at_unix_ms: i64,
    /// Who: a login, a service, or the station itself.
    pub actor: String,
    /// In which roles the actor did it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<String>,
    /// What was done: `drive.received`, `key.released`, …
    pub action: String,
    /// The job's ARM id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<String>,
    /// The drive's serial number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drive: Option<String>,
    /// Where the drive was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bay: Option<String>,
    /// The state before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
    /// The state after.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// Why, where somebody had to say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Papers that belong to it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<FileHash>,
}

/// A paper that belongs to an entry (a photo, a report, a log), by its hash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileHash {
    /// What it is called.
    pub name: String,
    /// SHA-256 of its bytes.
    pub sha256: Hash,
}

/// A draft at its place in a chain.
///
/// Made by [`crate::Head::append`] or decoded; the number and the job's number are then plausible
/// (from 1), whether they are *right* only a [`crate::Head`] or a verifier knows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// The chain's name: the station's.
    pub chain: String,
    /// Its number in the chain, from 1.
    pub no: u64,
    /// Its number among the entries of its job, from 1; there exactly if the draft names a job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job_no: Option<u64>,
    /// Random bytes, so that an entry that is shown as a digest alone cannot be guessed.
    pub salt: Salt,
    /// What was done.
    pub draft: Draft,
}

/// The random bytes of an entry.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Salt(pub [u8; 16]);

/// A fresh salt from the system's random source.
///
/// # Panics
/// When the system has no randomness, which nothing can be done about: an entry whose digest can be
/// guessed must not be written.
pub fn new_salt() -> Salt {
    let mut bytes = [0; 16];
    SystemRandom::new().fill(&mut bytes).expect("the system's random source answers");
    Salt(bytes)
}

/// A job's id in the form in which two spellings of one job are equal: ARM compares ids without case.
pub fn job_key(job: &str) -> String {
    job.to_ascii_lowercase()
}

impl fmt::Display for Salt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Salt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Salt {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Salt {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Salt, D::Error> {
        hex(&String::deserialize(deserializer)?).map(Salt).map_err(serde::de::Error::custom)
    }
}

//! A signed statement of how long a chain is and what it comes to, kept outside the machine.
//!
//! A chain alone does not stop somebody who can rewrite all of it; a checkpoint elsewhere does. As text it
//! is one line of JSON that a person can read:
//!
//! ```text
//! {"chain":"dc1","no":1200,"hash":"…64 digits…","at_unix_ms":1764000000000,"at":"2025-11-24T16:00:00Z",
//!  "key":"…32 digits…","signature":"…128 digits…"}
//! ```
//! Signed are, in this order: `"drayage-custody-checkpoint-v1\0"`, the chain's name (`u32` length and
//! UTF-8), the number (`u64`), the hash (32 bytes), the time (`i64`), the key's id (16 bytes); integers
//! big-endian. `at` repeats `at_unix_ms` for the reader; a text in which they differ is refused.
//!
//! Invariant: a [`Checkpoint`] is a claim; a [`TrustedCheckpoint`] has been checked against a public key,
//! and only that counts for a verifier.

use serde::{Deserialize, Serialize};

use crate::chain::Head;
use crate::hash::Hash;
use crate::signing::{PublicKeys, Signature, SignatureError, SignerId, SigningKey, rfc3339};

const TAG: &[u8] = b"drayage-custody-checkpoint-v1\0";

/// A checkpoint as it stands in a text; whether it is genuine is [`Checkpoint::check`]'s question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Checkpoint {
    /// The chain.
    pub chain: String,
    /// How many entries it had.
    pub no: u64,
    /// What they came to.
    pub hash: Hash,
    /// When this was signed, by the station's clock.
    pub at_unix_ms: i64,
    /// The same for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    at: Option<String>,
    /// Who signed.
    pub key: SignerId,
    /// Over everything above.
    pub signature: Signature,
}

/// Why a text is no checkpoint that counts.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// Not a checkpoint's JSON.
    #[error("the checkpoint cannot be read")]
    Text(#[source] serde_json::Error),
    /// The two times differ.
    #[error("the checkpoint of entry {no} tells people {at}, but signed is {at_unix_ms} ms after 1970")]
    Time {
        /// Its entry.
        no: u64,
        /// The time for people.
        at: String,
        /// The time that is signed.
        at_unix_ms: i64,
    },
    /// Forged, changed, or another's.
    #[error("the checkpoint of entry {no} does not count")]
    Signature {
        /// Its entry.
        no: u64,
        /// Why.
        #[source]
        source: SignatureError,
    },
}

impl SigningKey {
    /// Signs what a chain comes to now.
    pub fn checkpoint(&self, head: &Head, at_unix_ms: i64) -> Checkpoint {
        let message = message(&head.chain, head.no, &head.hash, at_unix_ms, self.id());
        Checkpoint {
            chain: head.chain.clone(),
            no: head.no,
            hash: head.hash,
            at_unix_ms,
            at: rfc3339(at_unix_ms),
            key: self.id(),
            signature: self.sign(&message),
        }
    }
}

fn message(chain: &str, no: u64, hash: &Hash, at_unix_ms: i64, key: SignerId) -> Vec<u8> {
    let length = u32::try_from(chain.len()).unwrap_or(u32::MAX);
    [
        TAG,
        &length.to_be_bytes(),
        chain.as_bytes(),
        &no.to_be_bytes(),
        &hash.0,
        &at_unix_ms.to_be_bytes(),
        &key.0,
    ]
    .concat()
}

impl Checkpoint {
    /// Reads one line.
    ///
    /// # Errors
    /// When it is not a checkpoint's JSON, or its two times differ.
    pub fn from_text(line: &str) -> Result<Checkpoint, CheckpointError> {
        let checkpoint: Checkpoint = serde_json::from_str(line).map_err(CheckpointError::Text)?;
        checkpoint.has_one_time()
    }

    /// A text whose times differ would tell people one thing and machines another.
    fn has_one_time(self) -> Result<Checkpoint, CheckpointError> {
        match &self.at {
            Some(at) if rfc3339(self.at_unix_ms).as_ref() != Some(at) => {
                Err(CheckpointError::Time { no: self.no, at: at.clone(), at_unix_ms: self.at_unix_ms })
            }
            _ => Ok(self),
        }
    }

    /// The line, without its end.
    pub fn to_text(&self) -> String {
        serde_json::to_string(self).expect("a checkpoint has no map and no number that JSON lacks")
    }

    /// Checks the signature.
    ///
    /// # Errors
    /// When the key is not known or was not in use then, or the signature is not its own.
    pub fn check(self, keys: &PublicKeys) -> Result<TrustedCheckpoint, CheckpointError> {
        let checked = self.has_one_time()?;
        let Checkpoint { chain, no, hash, at_unix_ms, key, signature, .. } = &checked;
        let message = message(chain, *no, hash, *at_unix_ms, *key);
        match keys.check(*key, *at_unix_ms, &message, signature) {
            Ok(()) => Ok(TrustedCheckpoint(checked)),
            Err(source) => Err(CheckpointError::Signature { no: *no, source }),
        }
    }
}

/// A checkpoint whose signature has been checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustedCheckpoint(Checkpoint);

impl TrustedCheckpoint {
    /// What it says.
    pub fn get(&self) -> &Checkpoint {
        &self.0
    }
}

/// Reads a text of checkpoints, one a line, and checks each.
///
/// # Errors
/// Which line is none, or does not count.
pub fn checkpoints_of(text: &str, keys: &PublicKeys) -> Result<Vec<TrustedCheckpoint>, CheckpointLineError> {
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let checked = lines.map(|(index, line)| {
        let checkpoint = Checkpoint::from_text(line).and_then(|checkpoint| checkpoint.check(keys));
        checkpoint.map_err(|source| CheckpointLineError { line: index + 1, source })
    });
    checked.collect()
}

/// What a file of checkpoints comes to.
#[derive(Debug, Default)]
pub struct SentCheckpoints {
    /// Those that count.
    pub trusted: Vec<TrustedCheckpoint>,
    /// Lines that are no checkpoint at all.
    pub torn: Vec<CheckpointLineError>,
}

/// Reads a file that checkpoints were appended to, one a line.
///
/// A machine that lost its power, or a full share, leaves part of a line or a block of nothing behind. Such a
/// line proves nothing either way, and where nothing can be written over it stays for ever, so it is told and
/// passed over. A line that reads as a checkpoint and does not count is somebody's doing.
///
/// # Errors
/// Which line reads as a checkpoint and does not count.
pub fn sent_checkpoints_of(file: &[u8], keys: &PublicKeys) -> Result<SentCheckpoints, CheckpointLineError> {
    let mut sent = SentCheckpoints::default();
    for (index, line) in file.split(|byte| *byte == b'\n').enumerate() {
        if line.trim_ascii().is_empty() {
            continue;
        }
        let at_line = |source| CheckpointLineError { line: index + 1, source };
        match serde_json::from_slice::<Checkpoint>(line) {
            Ok(checkpoint) => sent.trusted.push(checkpoint.check(keys).map_err(at_line)?),
            Err(error) => sent.torn.push(at_line(CheckpointError::Text(error))),
        }
    }
    Ok(sent)
}

/// A line of a text of checkpoints that does not count.
#[derive(Debug, thiserror::Error)]
#[error("line {line} of the checkpoints")]
pub struct CheckpointLineError {
    /// Which, from 1.
    pub line: usize,
    #[source]
    source: CheckpointError,
}

#[cfg(test)]
mod tests;

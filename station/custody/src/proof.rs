//! A customer's part of the chain: every entry of one job, and of everything between only digests.
//!
//! ```text
//! {"kind":"drayage-custody-proof","version":1,"chain":"dc1","job":"/subscriptions/…","after":{"no":6,"hash":"…"}}
//! {"entry":{"chain":"dc1","no":7,"job_no":1,…}}
//! {"digest":"…"}                                   somebody else's entry
//! {"entry":{"chain":"dc1","no":9,"job_no":2,…}}
//! …
//! {"end":{"checkpoint":{…},"statement":{"entries":2,"at_unix_ms":…,"key":"…","signature":"…"}}}
//! ```
//! Verified offline, from public keys alone: the hash after which it begins, linked with each entry's or
//! given digest, must come to the hash of the signed checkpoint.
//!
//! # What it shows
//! Each entry is, unchanged and at this place, in the chain that the station signed. None of the job's
//! entries up to the checkpoint is left out: they are numbered from 1 without a gap, and the *statement*
//! signs how many there are (`"drayage-custody-statement-v1\0"`, chain, checkpoint's number `u64` and hash,
//! [`job_key`] of the job, count `u64`, time `i64`, key id; texts with `u32` length, big-endian). Of others'
//! entries it shows how many there are and nothing more: a digest covers 16 random bytes.
//!
//! # What it does not show
//! That an entry was true when it was written. That the station keeps no second chain. And a station
//! that shows one of the job's last entries as a digest and signs a smaller count lies in a signed
//! statement: the customer cannot see it from this alone, but whoever audits the whole chain can, and
//! the statement convicts it.

use std::io::{self, BufRead, Write};

use serde::{Deserialize, Serialize};

use crate::canonical::{ENTRY_BYTES_MAX, Undecodable};
use crate::chain::{Head, Row, digest, link};
use crate::checkpoint::{Checkpoint, CheckpointError, TrustedCheckpoint};
use crate::entry::{Entry, job_key};
use crate::hash::Hash;
use crate::lines::{self, LineError, Lines};
use crate::signing::{PublicKeys, Signature, SignatureError, SignerId, SigningKey};

const KIND: &str = "drayage-custody-proof";
const VERSION: u32 = 1;
const STATEMENT_TAG: &[u8] = b"drayage-custody-statement-v1\0";

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Front {
    kind: String,
    version: u32,
    chain: String,
    job: String,
    after: After,
}

/// The head before the first entry of the proof.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct After {
    no: u64,
    hash: Hash,
}

/// What stands on a line between front and end, and the end.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Line {
    Entry(Box<Entry>),
    Digest(Hash),
    End(Box<End>),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct End {
    checkpoint: Checkpoint,
    statement: Statement,
}

/// How many entries the job has, signed.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Statement {
    entries: u64,
    at_unix_ms: i64,
    key: SignerId,
    signature: Signature,
}

impl Statement {
    fn message(&self, checkpoint: &Checkpoint, job: &str) -> Vec<u8> {
        let mut to = STATEMENT_TAG.to_vec();
        text(&mut to, &checkpoint.chain);
        to.extend(checkpoint.no.to_be_bytes());
        to.extend(checkpoint.hash.0);
        text(&mut to, &job_key(job));
        to.extend(self.entries.to_be_bytes());
        to.extend(self.at_unix_ms.to_be_bytes());
        to.extend(self.key.0);
        to
    }
}

fn text(to: &mut Vec<u8>, text: &str) {
    to.extend(u32::try_from(text.len()).unwrap_or(u32::MAX).to_be_bytes());
    to.extend(text.as_bytes());
}

/// What a proof follows while it is written or read: the chain, and the job's count.
struct Course {
    job: String,
    head: Head,
    entries: u64,
    foreign: u64,
}

/// Why an entry does not belong at its place in a proof.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Misplaced {
    /// Another chain's or another number.
    #[error("it is entry {no} of {chain:?}, which does not belong here")]
    Elsewhere {
        /// Its chain.
        chain: String,
        /// Its number.
        no: u64,
    },
    /// Somebody else's entry, shown in full.
    #[error("it belongs to another job, or to none")]
    Foreign,
    /// One of the job's entries is left out before it, or shown twice.
    #[error("it says that it is entry {found} of its job, and should be {expected}: one is hidden")]
    Gap {
        /// The next number.
        expected: u64,
        /// The number that it has.
        found: u64,
    },
    /// More than an entry may hold.
    #[error("it has {0} bytes, more than any entry")]
    Long(usize),
}

impl Course {
    fn own(&mut self, entry: &Entry, bytes: &[u8]) -> Result<(), Misplaced> {
        let no = self.head.no.saturating_add(1);
        if entry.chain != self.head.chain || entry.no != no {
            return Err(Misplaced::Elsewhere { chain: entry.chain.clone(), no: entry.no });
        }
        if bytes.len() > ENTRY_BYTES_MAX {
            return Err(Misplaced::Long(bytes.len()));
        }
        let found = match (&entry.draft.job, entry.job_no) {
            (Some(job), Some(found)) if job_key(job) == self.job => found,
            _ => return Err(Misplaced::Foreign),
        };
        let expected = self.entries.saturating_add(1);
        if found != expected {
            return Err(Misplaced::Gap { expected, found });
        }
        self.entries = expected;
        self.link(&digest(bytes));
        Ok(())
    }

    fn foreign(&mut self, digest: &Hash) {
        self.foreign = self.foreign.saturating_add(1);
        self.link(digest);
    }

    fn link(&mut self, digest: &Hash) {
        self.head.no = self.head.no.saturating_add(1);
        self.head.hash = link(&self.head.hash, digest);
    }

    fn is_at(&self, checkpoint: &Checkpoint) -> bool {
        let Head { chain, no, hash } = &self.head;
        (chain, *no, hash) == (&checkpoint.chain, checkpoint.no, &checkpoint.hash)
    }
}

/// Why a proof was not written.
#[derive(Debug, thiserror::Error)]
pub enum ProofWriteError {
    /// Where it is written to.
    #[error("writing the proof")]
    Io(#[from] io::Error),
    /// A row that is no entry.
    #[error("entry {no} cannot be read")]
    Undecodable {
        /// Its number.
        no: u64,
        /// Why.
        #[source]
        source: Undecodable,
    },
    /// The rows are not in order, or the first of the job is not the first.
    #[error("entry {no} does not belong into the proof here")]
    Misplaced {
        /// Its number.
        no: u64,
        /// Why.
        #[source]
        source: Misplaced,
    },
    /// The hash that the ledger has is not that of the chain.
    #[error("the chain is broken at entry {no}: verify it")]
    Broken {
        /// The number.
        no: u64,
    },
    /// The rows do not end at the checkpoint.
    #[error("the rows end with entry {no}, the checkpoint covers {covered}, or their hashes differ")]
    NotAtCheckpoint {
        /// The last row.
        no: u64,
        /// The checkpoint's.
        covered: u64,
    },
}

/// Writes a proof, a row at a time.
pub struct ProofWriter<W> {
    to: W,
    job: String,
    course: Course,
}

impl<W: Write> ProofWriter<W> {
    /// Begins a proof for a job. `after` is the head in front of the first row that will be pushed, the
    /// job's first: the hash of the row before it, or [`Head::start`].
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn new(mut to: W, job: &str, after: Head) -> Result<ProofWriter<W>, ProofWriteError> {
        let front = Front {
            kind: KIND.to_owned(),
            version: VERSION,
            chain: after.chain.clone(),
            job: job.to_owned(),
            after: After { no: after.no, hash: after.hash },
        };
        lines::write(&mut to, &front)?;
        let course = Course { job: job_key(job), head: after, entries: 0, foreign: 0 };
        Ok(ProofWriter { to, job: job.to_owned(), course })
    }

    /// Adds the next row: in full if it is the job's, else as a digest.
    ///
    /// # Errors
    /// When the ledger's rows are not in order, or broken, so that no proof could come of them.
    pub fn row(&mut self, row: &Row) -> Result<(), ProofWriteError> {
        let no = row.no;
        let entry = row.entry().map_err(|source| ProofWriteError::Undecodable { no, source })?;
        let is_own = entry.draft.job.as_deref().is_some_and(|job| job_key(job) == self.course.job);
        let line = if is_own {
            let placed = self.course.own(&entry, &row.entry_bytes);
            placed.map_err(|source| ProofWriteError::Misplaced { no, source })?;
            Line::Entry(Box::new(entry))
        } else {
            let digest = digest(&row.entry_bytes);
            self.course.foreign(&digest);
            Line::Digest(digest)
        };
        if (self.course.head.no, self.course.head.hash) != (no, row.hash) {
            return Err(ProofWriteError::Broken { no });
        }
        lines::write(&mut self.to, &line)?;
        Ok(())
    }

    /// Ends the proof at a checkpoint, which must be the last row's, and signs how many entries the job has.
    ///
    /// # Errors
    /// When the checkpoint is another, or it cannot be written.
    pub fn finish(
        mut self,
        checkpoint: &TrustedCheckpoint,
        key: &SigningKey,
        at_unix_ms: i64,
    ) -> Result<W, ProofWriteError> {
        let checkpoint = checkpoint.get();
        if !self.course.is_at(checkpoint) {
            let covered = checkpoint.no;
            return Err(ProofWriteError::NotAtCheckpoint { no: self.course.head.no, covered });
        }
        let unsigned = Statement {
            entries: self.course.entries,
            at_unix_ms,
            key: key.id(),
            signature: Signature([0; 64]),
        };
        let signature = key.sign(&unsigned.message(checkpoint, &self.job));
        let statement = Statement { signature, ..unsigned };
        let end = End { checkpoint: checkpoint.clone(), statement };
        lines::write(&mut self.to, &Line::End(Box::new(end)))?;
        self.to.flush()?;
        Ok(self.to)
    }
}

/// Why a proof proves nothing.
#[derive(Debug, thiserror::Error)]
pub enum ProofError {
    /// A line that cannot be read.
    #[error("the proof cannot be read")]
    Line(#[from] LineError),
    /// Something else, or newer.
    #[error("this is {kind:?} of version {version}, not {KIND} of version {VERSION}")]
    Kind {
        /// What the front line says.
        kind: String,
        /// Its version.
        version: u32,
    },
    /// An entry that does not belong where it stands.
    #[error("line {line} of the proof")]
    Misplaced {
        /// Which, from 1.
        line: u64,
        /// Why.
        #[source]
        source: Misplaced,
    },
    /// The checkpoint is not genuine.
    #[error("the checkpoint of the proof")]
    Checkpoint(#[source] CheckpointError),
    /// Something between the beginning and the checkpoint was changed, added or left out.
    #[error("what the proof shows does not come to the signed checkpoint: something was changed or left out")]
    NotAtCheckpoint,
    /// The statement is not genuine.
    #[error("the statement about the number of entries does not count")]
    Statement(#[source] SignatureError),
    /// Entries at the end are hidden.
    #[error("the job has {stated} entries, the proof shows {shown}: the last are hidden")]
    Hidden {
        /// How many the station signed.
        stated: u64,
        /// How many there are.
        shown: u64,
    },
    /// Text behind the end.
    #[error("line {line} follows the end of the proof")]
    Trailing {
        /// Which, from 1.
        line: u64,
    },
}

/// What a proof proves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proven {
    /// The job, as the station spells it.
    pub job: String,
    /// All of its entries up to the checkpoint.
    pub entries: Vec<Entry>,
    /// How many entries of others lie between them and up to the checkpoint.
    pub foreign: u64,
    /// The checkpoint that vouches for it.
    pub checkpoint: TrustedCheckpoint,
}

/// Verifies a proof from the station's public keys alone.
///
/// # Errors
/// Why it proves nothing.
pub fn verify_proof(from: impl BufRead, keys: &PublicKeys) -> Result<Proven, ProofError> {
    let mut lines = Lines::new(from);
    let Front { kind, version, chain, job, after } = lines.need()?;
    if kind != KIND || version != VERSION {
        return Err(ProofError::Kind { kind, version });
    }
    let head = Head { chain, no: after.no, hash: after.hash };
    let mut course = Course { job: job_key(&job), head, entries: 0, foreign: 0 };
    let mut entries = Vec::new();
    let end = loop {
        match lines.need()? {
            Line::Digest(digest) => course.foreign(&digest),
            Line::Entry(entry) => {
                let placed = course.own(&entry, &entry.to_bytes());
                placed.map_err(|source| ProofError::Misplaced { line: lines.line, source })?;
                entries.push(*entry);
            }
            Line::End(end) => break end,
        }
    };
    if lines.next::<serde_json::Value>()?.is_some() {
        return Err(ProofError::Trailing { line: lines.line });
    }
    let checkpoint = conclude(&course, *end, &job, keys)?;
    Ok(Proven { job, entries, foreign: course.foreign, checkpoint })
}

/// Holds what was read against what was signed.
fn conclude(
    course: &Course,
    end: End,
    job: &str,
    keys: &PublicKeys,
) -> Result<TrustedCheckpoint, ProofError> {
    let End { checkpoint, statement } = end;
    let checkpoint = checkpoint.check(keys).map_err(ProofError::Checkpoint)?;
    if !course.is_at(checkpoint.get()) {
        return Err(ProofError::NotAtCheckpoint);
    }
    let message = statement.message(checkpoint.get(), job);
    keys.check(statement.key, statement.at_unix_ms, &message, &statement.signature)
        .map_err(ProofError::Statement)?;
    match statement.entries == course.entries {
        true => Ok(checkpoint),
        false => Err(ProofError::Hidden { stated: statement.entries, shown: course.entries }),
    }
}

#[cfg(test)]
mod tests;

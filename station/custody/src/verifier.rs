//! Reads a chain from its beginning and finds the first place where it is not what was written.
//!
//! ```text
//! row ─▶ number ─▶ bytes decode ─▶ same chain, same number ─▶ hash ─▶ columns ─▶ job's number ─▶ checkpoint
//! ```
//! Owns the order of the questions, which decides what a damage is called: a row that is not there is
//! `Missing`, not "changed". Invariant: what passes [`Verifier::push`] and [`Verifier::finish`] is, up to
//! the last checkpoint, exactly what was there when that was signed (or SHA-256 or Ed25519 is broken);
//! behind it, it hangs together, but somebody who could write the whole ledger may have written it anew.
//! Memory: one row, the checkpoints, and 24 bytes for each job.

use std::collections::{BTreeMap, HashMap};

use crate::canonical::Undecodable;
use crate::chain::{Head, Row, digest, link};
use crate::checkpoint::TrustedCheckpoint;
use crate::entry::{Entry, job_key};
use crate::hash::Hash;
use crate::signing::rfc3339;

/// Where a chain is broken, and how.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("entry {no}: {what}")]
pub struct Broken {
    /// The first entry that is not as it was written.
    pub no: u64,
    /// What is wrong with it.
    pub what: Damage,
}

/// What is wrong with a chain.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    /// The next row has a later number.
    #[error("it is missing; the next one that is there is {found}")]
    Missing {
        /// The number that is there instead.
        found: u64,
    },
    /// The next row has an earlier number.
    #[error("entry {found} stands in its place: it was doubled, or the entries were reordered")]
    Repeated {
        /// The number that is there instead.
        found: u64,
    },
    /// The bytes inside have another number than the row.
    #[error("its bytes are those of entry {found}: entries were exchanged")]
    Exchanged {
        /// The number in the bytes.
        found: u64,
    },
    /// The bytes are no entry.
    #[error("its bytes are not those of an entry")]
    Undecodable(#[source] Undecodable),
    /// The entry was written for another chain.
    #[error("it belongs to the chain {found:?}")]
    OtherChain {
        /// That chain.
        found: String,
    },
    /// The hash does not follow from the one before and the entry.
    #[error("the entry or its hash was changed: stored is {stored}, computed {computed}")]
    Changed {
        /// The hash beside the entry.
        stored: Hash,
        /// What the chain comes to with this entry.
        computed: Hash,
    },
    /// The columns by which entries are found are not the entry's.
    #[error("the ledger lists it under another job, or number of a job, than it says itself")]
    Column,
    /// The number among its job's entries is not the next.
    #[error("it says that it is entry {found} of its job, and should be {expected}")]
    JobNumber {
        /// The next number.
        expected: u64,
        /// The number that it has.
        found: u64,
    },
    /// The chain up to here is another than the one that was signed.
    #[error("the chain up to here was rewritten: signed ({at}) was {signed}, found is {found}")]
    Rewritten {
        /// What the checkpoint says.
        signed: Hash,
        /// What the chain comes to.
        found: Hash,
        /// When it was signed.
        at: String,
    },
    /// The chain ends before an entry that a checkpoint or the ledger's head covers.
    #[error("the chain ends with it, but {witness} covers {covered} entries: its end was cut off")]
    Truncated {
        /// How many entries there should be.
        covered: u64,
        /// Who says so.
        witness: &'static str,
    },
    /// There are more entries than the ledger's head says, or its hash is another.
    #[error("the ledger's head says {no} entries with the hash {hash}, which is not the end of this chain")]
    Head {
        /// The head's number.
        no: u64,
        /// The head's hash.
        hash: Hash,
    },
    /// Two checkpoints of one number that differ: the signer signed two histories.
    #[error("two genuine checkpoints of it differ: two histories were signed")]
    TwoHistories,
    /// A row after one that was broken.
    #[error("an entry before it is broken, so nothing can be said about it")]
    AfterBroken,
}

/// What a whole chain amounts to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// Its end.
    pub head: Head,
    /// Up to which entry a checkpoint vouches for it; behind that it only hangs together.
    pub signed_up_to: Option<u64>,
    /// How many jobs have entries.
    pub jobs: usize,
}

/// Verifies one chain, a row at a time, from entry 1. A clone can be finished while the other goes on.
#[derive(Clone)]
pub struct Verifier {
    head: Head,
    checkpoints: BTreeMap<u64, TrustedCheckpoint>,
    /// Last number of each job, by half a hash of its id: names are long, and there may be many.
    jobs: HashMap<[u8; 16], u64>,
    is_broken: bool,
}

impl Verifier {
    /// Begins with an empty chain, to be held against these checkpoints.
    ///
    /// # Errors
    /// When a checkpoint is another chain's, or two of them contradict each other.
    pub fn new(chain: &str, checkpoints: Vec<TrustedCheckpoint>) -> Result<Verifier, Broken> {
        let mut by_number = BTreeMap::new();
        for checkpoint in checkpoints {
            let (no, hash) = (checkpoint.get().no, checkpoint.get().hash);
            if checkpoint.get().chain != chain {
                let found = checkpoint.get().chain.clone();
                return Err(Broken { no, what: Damage::OtherChain { found } });
            }
            let earlier = by_number.insert(no, checkpoint);
            if earlier.is_some_and(|earlier: TrustedCheckpoint| earlier.get().hash != hash) {
                return Err(Broken { no, what: Damage::TwoHistories });
            }
        }
        let verifier = Verifier {
            head: Head::start(chain),
            checkpoints: by_number,
            jobs: HashMap::new(),
            is_broken: false,
        };
        verifier.against_checkpoint()?;
        Ok(verifier)
    }

    /// The end of what has been verified so far.
    pub fn head(&self) -> &Head {
        &self.head
    }

    /// Takes the next row, in the order of the numbers.
    ///
    /// # Errors
    /// What is wrong with it. Nothing after that can be verified.
    pub fn push(&mut self, row: &Row) -> Result<Entry, Broken> {
        let no = self.head.no.saturating_add(1);
        if self.is_broken {
            return Err(Broken { no, what: Damage::AfterBroken });
        }
        let outcome = self.take(row, no).map_err(|what| Broken { no, what });
        let outcome = outcome.and_then(|entry| self.against_checkpoint().map(|()| entry));
        self.is_broken = outcome.is_err();
        outcome
    }

    fn take(&mut self, row: &Row, no: u64) -> Result<Entry, Damage> {
        match row.no {
            found if found > no => return Err(Damage::Missing { found }),
            found if found < no => return Err(Damage::Repeated { found }),
            _ => {}
        }
        let entry = row.entry().map_err(Damage::Undecodable)?;
        if entry.chain != self.head.chain {
            return Err(Damage::OtherChain { found: entry.chain });
        }
        if entry.no != no {
            return Err(Damage::Exchanged { found: entry.no });
        }
        let computed = link(&self.head.hash, &digest(&row.entry_bytes));
        if computed != row.hash {
            return Err(Damage::Changed { stored: row.hash, computed });
        }
        let job = entry.draft.job.as_deref().map(job_key);
        if (&row.job, row.job_no) != (&job, entry.job_no) {
            return Err(Damage::Column);
        }
        self.count_for_job(job.as_deref(), entry.job_no)?;
        self.head = Head { no, hash: computed, chain: std::mem::take(&mut self.head.chain) };
        Ok(entry)
    }

    fn count_for_job(&mut self, job: Option<&str>, number: Option<u64>) -> Result<(), Damage> {
        let (Some(job), Some(found)) = (job, number) else { return Ok(()) };
        let hash = Hash::tagged(b"job\0", &[job.as_bytes()]);
        let (key, _) = hash.0.split_first_chunk().expect("32 bytes have a first half");
        let last = self.jobs.entry(*key).or_default();
        let expected = last.saturating_add(1);
        if found != expected {
            return Err(Damage::JobNumber { expected, found });
        }
        *last = found;
        Ok(())
    }

    fn against_checkpoint(&self) -> Result<(), Broken> {
        let Head { no, hash, .. } = self.head;
        match self.checkpoints.get(&no).map(TrustedCheckpoint::get) {
            Some(checkpoint) if checkpoint.hash != hash => {
                let ms = || format!("{} ms after 1970", checkpoint.at_unix_ms);
                let at = rfc3339(checkpoint.at_unix_ms).unwrap_or_else(ms);
                Err(Broken { no, what: Damage::Rewritten { signed: checkpoint.hash, found: hash, at } })
            }
            _ => Ok(()),
        }
    }

    /// After the last row: is this the end that the checkpoints and the ledger's head say?
    ///
    /// # Errors
    /// When the end was cut off, the head is another, or a row was broken.
    pub fn finish(self, expected: &Head) -> Result<Verified, Broken> {
        let Head { no, hash, .. } = self.head;
        let last = self.checkpoints.last_key_value().map(|(no, _)| *no);
        let damage = match last {
            _ if self.is_broken => Some(Damage::AfterBroken),
            Some(covered) if covered > no => Some(Damage::Truncated { covered, witness: "a checkpoint" }),
            _ if expected.chain != self.head.chain => {
                Some(Damage::OtherChain { found: expected.chain.clone() })
            }
            _ if expected.no > no => {
                Some(Damage::Truncated { covered: expected.no, witness: "the ledger's head" })
            }
            _ if (expected.no, expected.hash) != (no, hash) => {
                Some(Damage::Head { no: expected.no, hash: expected.hash })
            }
            _ => None,
        };
        match damage {
            Some(what) => Err(Broken { no, what }),
            None => Ok(Verified { head: self.head, signed_up_to: last, jobs: self.jobs.len() }),
        }
    }
}

#[cfg(test)]
mod tests;

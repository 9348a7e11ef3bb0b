//! How entries hang together, and what a ledger keeps of them.
//!
//! ```text
//! hash(0) = SHA-256("drayage-custody-chain-v1\0" ‖ chain's name)
//! digest  = SHA-256("drayage-custody-entry-v1\0" ‖ canonical bytes of the entry)
//! hash(n) = SHA-256("drayage-custody-link-v1\0"  ‖ hash(n-1) ‖ digest(n))
//! ```
//! The link covers digests, not entries, so that others' entries can be shown as digests alone in a
//! customer's proof. Invariant: [`Head::append`] is the only maker of a next head, and what it makes
//! decodes again.

use crate::canonical::{self, ENTRY_BYTES_MAX};
use crate::entry::{Draft, Entry, Salt, job_key};
use crate::hash::Hash;

const CHAIN_TAG: &[u8] = b"drayage-custody-chain-v1\0";
const ENTRY_TAG: &[u8] = b"drayage-custody-entry-v1\0";
const LINK_TAG: &[u8] = b"drayage-custody-link-v1\0";

/// The hash of a chain that grew by the entry with this digest.
pub fn link(previous: &Hash, digest: &Hash) -> Hash {
    Hash::tagged(LINK_TAG, &[&previous.0, &digest.0])
}

/// The digest of an entry's canonical bytes.
pub(crate) fn digest(canonical_bytes: &[u8]) -> Hash {
    Hash::tagged(ENTRY_TAG, &[canonical_bytes])
}

impl Entry {
    /// The bytes that are stored and hashed: see [`canonical`].
    pub fn to_bytes(&self) -> Vec<u8> {
        canonical::encode(self)
    }

    /// The digest that stands for the entry where it is not shown.
    pub fn digest(&self) -> Hash {
        digest(&self.to_bytes())
    }
}

/// The end of a chain: how many entries it has and what they come to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// The chain's name.
    pub chain: String,
    /// How many entries there are, which is the last one's number.
    pub no: u64,
    /// The hash over all of them.
    pub hash: Hash,
}

/// Why a draft cannot be appended. Both are mistakes of the program, not of its users.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// A job without its number, or a number without a job, or number 0.
    #[error("an entry of a job carries its number among the job's entries, from 1, and no other entry does")]
    JobNumber,
    /// More than an entry may hold.
    #[error("the entry has {found} bytes, {ENTRY_BYTES_MAX} is the limit")]
    Long {
        /// Its length.
        found: usize,
    },
}

impl Head {
    /// The head of a chain that has no entry yet.
    pub fn start(chain: &str) -> Head {
        Head { chain: chain.to_owned(), no: 0, hash: Hash::tagged(CHAIN_TAG, &[chain.as_bytes()]) }
    }

    /// Puts a draft at the end of the chain: the entry, and the head that takes this one's place.
    ///
    /// `job_no` is the count of the entries that the draft's job has in this chain, this one included:
    /// one more than the largest [`Row::job_no`] with the same [`Row::job`]. The ledger reads it in the
    /// transaction in which it reads the head. `salt` is [`crate::new_salt`].
    ///
    /// # Errors
    /// When job and number do not go together, or the draft is too long.
    pub fn append(
        &self,
        draft: Draft,
        job_no: Option<u64>,
        salt: Salt,
    ) -> Result<(Entry, Head), AppendError> {
        if draft.job.is_some() != job_no.is_some() || job_no == Some(0) {
            return Err(AppendError::JobNumber);
        }
        let no = self.no.checked_add(1).expect("2^64 entries do not fit into any ledger");
        let entry = Entry { chain: self.chain.clone(), no, job_no, salt, draft };
        let bytes = entry.to_bytes();
        if bytes.len() > ENTRY_BYTES_MAX {
            return Err(AppendError::Long { found: bytes.len() });
        }
        let head = Head { chain: self.chain.clone(), no, hash: link(&self.hash, &digest(&bytes)) };
        Ok((entry, head))
    }
}

/// An entry as a ledger stores it. The columns beside the bytes are for finding it; a verifier holds
/// them against the bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The canonical bytes.
    pub entry_bytes: Vec<u8>,
    /// Its number in the chain.
    pub no: u64,
    /// The hash of the chain up to and with it.
    pub hash: Hash,
    /// Its job as [`job_key`] spells it, so that the two spellings of one job are found together.
    pub job: Option<String>,
    /// Its number among its job's entries.
    pub job_no: Option<u64>,
}

impl Row {
    /// The row of an entry that [`Head::append`] just made together with this head.
    pub fn of(entry: &Entry, head: &Head) -> Row {
        debug_assert_eq!(entry.no, head.no, "entry and head of one append");
        Row {
            entry_bytes: entry.to_bytes(),
            no: entry.no,
            hash: head.hash,
            job: entry.draft.job.as_deref().map(job_key),
            job_no: entry.job_no,
        }
    }

    /// The entry.
    ///
    /// # Errors
    /// When the bytes are not those of an entry.
    pub fn entry(&self) -> Result<Entry, canonical::Undecodable> {
        canonical::decode(&self.entry_bytes)
    }
}

#[cfg(test)]
mod tests;

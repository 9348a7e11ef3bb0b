//! Who touched which drive: an append-only hash chain, its signed checkpoints, and a customer's proof.
//!
//! ```text
//! Draft ──Head::append──▶ Entry ──canonical bytes──▶ digest ──link──▶ hash of the chain so far
//!           (job_no, salt)    └──Row::of──▶ Row, which the ledger stores      │
//!                                             │                    SigningKey::checkpoint
//!                                             ▼                               ▼
//!              verify_export ◀─ Exporter ◀─ rows ─▶ Verifier ◀──── TrustedCheckpoint (off the machine)
//!                                             └───▶ ProofWriter ─▶ verify_proof, at the customer's
//! ```
//! One chain a station, with a single writer: the ledger reads the [`Head`], appends and stores the row
//! and the new head in the transaction that changes the job. This crate does no I/O but through readers
//! and writers that it is given, and reads no clock; it asks the system for random bytes ([`new_salt`],
//! [`SigningKey::generate`]), nothing else.
//!
//! | to change | open |
//! | --- | --- |
//! | what an entry records | [`entry`] |
//! | the bytes that are hashed | [`canonical`] |
//! | how entries hang together, what a ledger stores | [`chain`] |
//! | what a damaged chain is told | [`verifier`] |
//! | keys, their texts and times | [`signing`] |
//! | what is signed | [`checkpoint`], [`proof`] |
//! | the auditors' text | [`export`] |
//! | what follows a restore | [`mod@reseal`] |
//!
//! What a chain proves is that nothing was changed *after* it was written, as far back as a checkpoint
//! outside the machine reaches. It does not prove that an entry was true when it was written.
//! operations.md §6.9, azure-import-export.md §7.3.

#![forbid(unsafe_code)]

pub mod canonical;
pub mod chain;
pub mod checkpoint;
pub mod entry;
#[cfg(test)]
mod examples;
pub mod export;
mod hash;
mod lines;
pub mod proof;
pub mod reseal;
pub mod signing;
pub mod verifier;

pub use chain::{AppendError, Head, Row, link};
pub use checkpoint::{
    Checkpoint, CheckpointError, CheckpointLineError, SentCheckpoints, TrustedCheckpoint, checkpoints_of,
    sent_checkpoints_of,
};
pub use entry::{Draft, Entry, FileHash, Salt, job_key, new_salt};
pub use export::{ExportError, ExportVerifyError, Exporter, verify_export};
pub use hash::{Hash, HashTextError};
pub use lines::LineError;
pub use proof::{ProofError, ProofWriteError, ProofWriter, Proven, verify_proof};
pub use reseal::{Reseal, reseal};
pub use signing::{KeyTextError, PublicKey, PublicKeys, SignatureError, SignerId, SigningKey};
pub use verifier::{Broken, Damage, Verified, Verifier};

//! Who touched which drive: an append-only hash chain, its signed checkpoints, and a customer's proof.
//!
//! ```text
//! Draft ──Head::append──▶ Entry ──canonical bytes──▶ digest ──link──▶ hash of the chain so far
//!           (job_no, salt)    └──Row::of──▶ Row, which the ledger stores      │
//!                                             │                    SigningKey::checkpoint
//!                                             ▼                               ▼
//!                                          Verifier ◀─────────────── SignedCheckpoint (off the machine)
//! ```
//! One chain a station, with a single writer: the ledger reads the [`Head`], appends and stores the row
//! and the new head in the transaction that changes the job. This crate does no I/O and reads no clock;
//! it asks the system for random bytes ([`new_salt`], `SigningKey::generate`), nothing else.
//!
//! | to change | open |
//! | --- | --- |
//! | what an entry records | [`entry`] |
//! | the bytes that are hashed | [`canonical`] |
//! | how entries hang together, what a ledger stores | [`chain`] |
//!
//! What a chain proves is that nothing was changed *after* it was written, as far back as a checkpoint
//! outside the machine reaches. It does not prove that an entry was true when it was written.
//! operations.md §6.9, azure-import-export.md §7.3.

#![forbid(unsafe_code)]

pub mod canonical;
pub mod chain;
pub mod entry;
#[cfg(test)]
mod examples;
mod hash;

pub use chain::{AppendError, Head, Row, link};
pub use entry::{Draft, Entry, FileHash, Salt, job_key, new_salt};
pub use hash::{Hash, HashTextError};

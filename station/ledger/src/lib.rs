//! What survives a restart: the jobs and their custody, the runs and what of them has landed.
//!
//! ```text
//! transfer ── begin ─▶ Run ─▶ Recorder ──records, many an fsync──▶ Runs ─▶ outcomes_present, pending, outcomes
//! jobs ────── Change {job, custody, events, secrets, reply} ─────▶ Jobs::apply, one transaction, all or nothing
//! api ─────── job, page, events, tokens ◀──────────────────────── Jobs, Outbox, Access
//! bays ────── claim, renew, release ◀───────────────────────────▶ Claims, leases with a fence
//! ```
//!
//! One trait, [`Ledger`], made of one trait a concern: [`Runs`], [`Jobs`], [`Claims`], [`Custody`],
//! [`Secrets`], [`Access`], [`Outbox`], [`Upkeep`]. What they promise is `conformance`, which every implementation
//! passes: [`SqliteLedger`] for one station, [`PostgresLedger`] for a fleet.
//! Invariant: when a call has returned, a power cut does not undo it; when it has failed, nothing of
//! it is there. Design §6. The ledger decides nothing: what a state means is the model's, what may
//! be done in it is the jobs' service's.
//!
//! To change what is kept of a blob open [`record`], of a job [`office`]; the tables,
//! `migrations/`; their text for both databases, `sql/`; the batching, [`recorder`].

#![forbid(unsafe_code)]

pub mod blob_set;
#[cfg(feature = "conformance")]
pub mod cluster;
mod code;
#[cfg(feature = "conformance")]
pub mod conformance;
pub mod error;
mod fault;
mod fold;
pub mod office;
pub mod postgres;
pub mod record;
pub mod recorder;
pub mod run;
pub mod runs;
mod sql;
pub mod sqlite;

pub use blob_set::BlobSet;
pub use error::{AbandonError, BeginError, Fault, FaultKind, OpenError, ReadError, SaveError};
pub use office::{
    Access, ApiToken, Applied, ApplyError, ChainRow, Change, Claim, ClaimError, Claims, Custody, DriveRow,
    DueTimer, Event, EventDraft, EventSpan, Hook, HookWrite, IdempotentReply, JobFilter, JobKey, JobPage,
    JobRow, JobScope, JobWrite, Jobs, Ledger, OfficeError, Outbox, PAGE_ROWS_MAX, PlacedDrive, SealedSecret,
    SecretWrite, Secrets, StoredCheckpoint, StoredReply, Timer, TokenWrite, Upkeep,
};
pub use postgres::{PostgresLedger, PostgresOptions, StationName};
pub use record::{BlobOutcome, Intent, PendingBlob, Record, Totals};
pub use recorder::Recorder;
pub use run::{Begun, Run, RunEnd, RunKey, RunNo, RunStart, RunState, RunSummary};
pub use runs::Runs;
pub use sqlite::SqliteLedger;

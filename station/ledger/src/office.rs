//! The ledger of the office: jobs, their drives, who may touch them, what became of them.
//!
//! Owns the rows as they are kept and the traits by concern; what they promise is `conformance`.
//! States, kinds and roles are texts here and a job's content is a JSON document: the words are the
//! model's, and a new one needs no new table. What can be searched for is a column beside it.
//!
//! Invariants:
//! - Everything that changes a job is one [`Change`], and a change is one transaction: the job, what
//!   it adds to the custody chain, the events, the secrets, the reply to a repeated request.
//! - A job is changed only by whoever has read its last version; a drive's work only under a claim
//!   whose fence is the last one given.
//! - Custody rows are only ever appended, by a change; nothing here alters or deletes one.
//! - A secret is here only sealed; the ledger cannot open it.
//!
//! | to change | open |
//! | --- | --- |
//! | what one transaction can hold | [`change`] |
//! | how a job is kept, found and listed | [`job`] |
//! | who works on a drive | [`claim`] |
//! | what is removed in the end | [`upkeep`] |
//! | custody, secrets, tokens, events | [`custody`], [`secret`], [`access`], [`outbox`] |

pub mod access;
pub mod change;
pub mod claim;
pub mod custody;
pub mod error;
pub mod job;
pub mod outbox;
pub mod reply;
pub mod secret;
pub mod upkeep;

pub use access::{Access, ApiToken, TokenWrite};
pub use change::{Applied, Change, JobWrite};
pub use claim::{Claim, Claims};
pub use custody::{ChainRow, Custody, StoredCheckpoint};
pub use error::{ApplyError, ClaimError, OfficeError};
pub use job::{
    DriveRow, DueTimer, JobFilter, JobKey, JobPage, JobRow, JobScope, Jobs, PAGE_ROWS_MAX, PlacedDrive, Timer,
};
pub use outbox::{Event, EventDraft, EventSpan, Hook, HookWrite, Outbox};
pub use reply::{IdempotentReply, StoredReply};
pub use secret::{SealedSecret, SecretWrite, Secrets};
pub use upkeep::Upkeep;

use crate::Runs;

/// All that survives a restart, as one thing to hand around.
pub trait Ledger: Runs + Jobs + Claims + Custody + Secrets + Access + Outbox + Upkeep {}

impl<T: Runs + Jobs + Claims + Custody + Secrets + Access + Outbox + Upkeep + ?Sized> Ledger for T {}

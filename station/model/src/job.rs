//! A job and its drives, from the order to the parcel on its way back, as a pure state machine.
//!
//! ```text
//!  PUT ──▶ Creating ──▶ Shipping ──▶ Received ──▶ Transferring ──▶ Packaging ──▶ Completed │ Closed
//!             │            │                                 ▲           │            │
//!          14 days      14 + 30 days ──▶ Closed              └─ a drive  ┘         90 days
//!             ▼                                                 came late             ▼
//!          deleted      Shipping … Packaging ◀──▶ Faulted (an operator puts it back)  deleted
//! ```
//!
//! azure-import-export.md §4 and §5.4–5.5. [`Job::step`] takes one [`Event`], which carries its time, and
//! answers [`Action`]s or a [`Refusal`] that says what to do; a refused event changes nothing. Timers are
//! actions when they are set and events when they fire. No secret is ever in a [`Job`]: recovery
//! passwords are sealed and stored beside it. Who may send which event is not decided here.
//!
//! To change a field open `fields`; when a job moves on, `settle`; a customer's event, `order`; the desk's,
//! `desk`; a bay's, `bay`; what operators mend, `fault`; waiting times, `timers`; the rules for a new job, `validate`.

mod accept;
mod account_id;
mod bay;
mod desk;
mod event;
mod fault;
mod fields;
mod key;
mod new;
mod order;
mod place;
mod refusal;
mod rules;
mod settle;
mod step;
mod timers;
mod validate;
mod words;

pub use accept::{AcceptedJob, AcceptedUpdate};
pub use account_id::StorageAccountId;
pub use event::{Action, Event, EventName, Happening, Notice, RunLogs};
pub use fields::{
    Authorship, CopyStatus, DeliveryPackage, DriveFault, EncryptionKey, Export, ExtraDrive, Hold, Identity,
    Job, JobDrive, JobFault, Parcel, ReturnAddress, ReturnPackage, ReturnShipping, ShippingInformation,
    Undeliverable,
};
pub use key::{ARM_TYPE, JobKey};
pub use new::{NewDrive, NewJob, Update};
pub use place::Place;
pub use refusal::{Refusal, RefusalKind};
use rules::state_advice;
pub use timers::{ANSWER_DAYS, CREATING_DAYS, RETENTION_DAYS, SHIPPING_DAYS, UNDELIVERABLE_DAYS};
pub use validate::{AccountFact, Facts, Problem, ProblemCode, fold_location, validate, validate_update};
pub use words::{DriveState, IdentityKind, JobState, JobType, KekType, LogLevel, TimerKind, UnknownWord};

/// Most drives of one job: azure-import-export.md §4.5.
pub const DRIVES_MAX: usize = 10;
/// Most parcels, and most extra drives, of one job: ten times what a job's own drives could need, and bounded.
pub const RECORDS_MAX: usize = 100;
/// Most bytes of an export's inline list of blobs: azure-import-export.md §4.5.
pub const INLINE_LIST_BYTES_MAX: usize = 32 * 1_024;
/// Where logs go unless the customer names another container: azure-import-export.md §4.4.
pub const DEFAULT_DIAGNOSTICS_PATH: &str = "waimportexport";

#[cfg(test)]
mod tests;

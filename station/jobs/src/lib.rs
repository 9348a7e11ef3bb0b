//! What happens to a job: step, save with its custody entry, then act.
//!
//! ```text
//! api, bays, timers ─▶ Jobs ─ load ─▶ model::job::step ─▶ ONE ledger change ─▶ act (bays are told)
//!                        ▲                                {job, drives, timers, custody, events, secrets, reply}
//!                        └──────── somebody else was faster: again, a bounded number of times ────────┘
//! ```
//!
//! Invariants:
//! - Nothing is done outside before it is saved, and what is saved and not done is done again by
//!   [`Jobs::reconcile`]. A request that is repeated after a crash, at whatever point, leads to the same end.
//! - Every change of a job has its custody entry in the same transaction, with who did it and why. Whether they
//!   may is the API's table; which HTTP status a refusal has is the API's too.
//! - A recovery password is sealed before it is stored, is never in a job, and is given out only with a custody
//!   entry that was saved before: to the customer, or for the drive that a bay has seen.
//!
//! To change what the customer's API does open `order`; the desk's, `desk`; what it must know of other jobs,
//! `neighbour`; what a shift lead decides, `lead`; a bay's, `bay`; timers and restarts, `clock`; what is written
//! into custody and events, `record`; how a job becomes a row, `row`; keys, `secrets`, and after a rotation of the
//! master key [`mod@rewrap`]; the chain as a whole, [`watch`].

#![forbid(unsafe_code)]

mod bay;
mod caller;
mod clock;
mod desk;
mod error;
mod lead;
mod neighbour;
mod order;
mod parcel;
mod record;
pub mod rewrap;
mod row;
mod secrets;
mod service;
mod site;
pub mod watch;

pub use bay::{Bays, NoBays};
pub use caller::{Caller, ReplyMaker, Sight};
pub use clock::{Clock, Reconciled, TimersFired, now_unix_ms, system_clock};
pub use desk::{Arrived, ThreeWay};
pub use error::{ChangeError, DeskError, KeyError, LookError};
pub use order::{Changes, Created, Listing, Page};
pub use secrets::password_name;
pub use service::{Jobs, Parts, Stored};
pub use site::{NoSite, Site, Sites};

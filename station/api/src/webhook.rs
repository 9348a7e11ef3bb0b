//! Web-hooks: events sent to receivers that others run, signed, in order, at least once.
//!
//! ```text
//! ledger's outbox ──▶ deliver, one event at a time a web-hook ──▶ post, signed ──▶ receiver
//!        ▲ position moves only after a 2xx       └ failed: wait, longer each time; given up after days, with an event
//! ```
//! Invariant: a web-hook's position never passes an event that its receiver did not take, and never goes back, so
//! the receiver sees the events in their order, each once or more; `webhook-id` is the same for every try of one
//! event. No web-hook stays enabled without getting on: events are kept for it until then ([`schedule`]). Who may add one is the table's business ([`crate::people`]); the routes are the desk's ([`crate::desk`]).
//!
//! | to change | open |
//! | --- | --- |
//! | where deliveries may go | [`address`] |
//! | how they are signed | [`signature`] |
//! | when they are tried again | [`schedule`] |
//! | what is sent, and what counts as taken | [`post`] |
//! | whose turn it is | [`deliver`] |

pub mod address;
pub mod deliver;
pub mod post;
pub mod schedule;
pub mod signature;

pub use address::{Guard, Network};
pub use deliver::Deliveries;
pub use post::Post;
pub use schedule::Settings;

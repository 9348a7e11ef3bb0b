//! The service over a real SQLite ledger and a real vault, with a clock that tests move and bays that listen.
//!
//! `story`: what the desk, the customer and the bays do. `lead`: what a shift lead decides. `guarded`: keys.
//! `crash`: a ledger that fails at each of its changes, before or after the commit, and requests that are then
//! repeated. `fleet`: two stations over one ledger. `senders`: who sends which event.

mod crash;
mod fleet;
mod guarded;
mod house;
mod lead;
mod senders;
mod story;

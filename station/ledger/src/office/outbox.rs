//! What others are told: events in one order for all, and the web-hooks that follow them.
//!
//! Numbers are given in the order of commits and without gaps, so whoever has seen number n has
//! missed nothing below it.

use std::time::Duration;

use async_trait::async_trait;
use serde_json::Value;

use super::error::OfficeError;

/// An event before it has a number.
#[derive(Debug, Clone, PartialEq)]
pub struct EventDraft {
    /// When, milliseconds since 1970 by the station's clock.
    pub at_unix_ms: i64,
    /// What happened: `drive.received`, …
    pub kind: String,
    /// The job's ARM id.
    pub job: Option<String>,
    /// The drive's serial number.
    pub drive: Option<String>,
    /// The bay.
    pub bay: Option<String>,
    /// Whatever else is told. No secret.
    pub body: Value,
}

/// An event with its place.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Its number, from 1.
    pub no: i64,
    /// What happened.
    pub draft: EventDraft,
}

/// Which events are there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventSpan {
    /// The oldest one that is still there; one more than `last` when none is.
    pub first: i64,
    /// The newest one that ever was; 0 when there was none.
    pub last: i64,
}

/// A web-hook: somebody who is sent events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hook {
    /// Its name.
    pub id: String,
    /// Where to.
    pub url: String,
    /// The name of the sealed secret that its messages are signed with.
    pub secret_name: String,
    /// The kinds that it wants; none for all.
    pub kinds: Vec<String>,
    /// Whether it is sent anything at present.
    pub enabled: bool,
    /// When it was made, milliseconds since 1970.
    pub created_unix_ms: i64,
    /// The last event that it was sent, or that was not for it.
    pub position: i64,
    /// How often the next one failed.
    pub attempts: u32,
    /// Before that nothing is sent, milliseconds since 1970 by the database's clock.
    pub next_try_unix_ms: i64,
    /// Why the last attempt failed.
    pub last_error: Option<String>,
}

/// What a change does to a web-hook.
#[derive(Debug, Clone)]
pub enum HookWrite {
    /// A new one, which starts behind the newest event there was before the change; where it stands
    /// is the ledger's. [`super::ApplyError::Invalid`] when there is one of that id.
    Insert(Hook),
    /// New address, secret, kinds or pause; it keeps its place and is tried at once.
    Update(Hook),
    /// It goes; one that is not there is no fault.
    Delete {
        /// Which.
        id: String,
    },
}

/// The events and who has got them.
#[async_trait]
pub trait Outbox: Send + Sync {
    /// The next events above a number in order, at most `limit`.
    ///
    /// # Errors
    /// When the store cannot be read.
    async fn events(&self, above_no: i64, limit: u32) -> Result<Vec<Event>, OfficeError>;

    /// Which numbers there are: whoever asks below it has missed something.
    ///
    /// # Errors
    /// When the store cannot be read.
    async fn event_span(&self) -> Result<EventSpan, OfficeError>;

    /// The web-hooks by id, at most `limit`.
    ///
    /// # Errors
    /// When the store cannot be read.
    async fn hooks(&self, after_id: Option<&str>, limit: u32) -> Result<Vec<Hook>, OfficeError>;

    /// The web-hook of that id.
    ///
    /// # Errors
    /// When the store cannot be read.
    async fn hook(&self, id: &str) -> Result<Option<Hook>, OfficeError>;

    /// Takes the web-hook that waits longest for events, if one is due: no other station gets it
    /// until its next delivery is noted, or that time is over.
    ///
    /// # Errors
    /// When the store fails.
    async fn take_due_hook(&self, hold: Duration) -> Result<Option<Hook>, OfficeError>;

    /// Notes that it has got everything up to an event, if it still stands where `hook` says; false
    /// if not. It is due again at once if there is more.
    ///
    /// # Errors
    /// When the store cannot be written.
    async fn hook_delivered(&self, hook: &Hook, position: i64) -> Result<bool, OfficeError>;

    /// Notes a failed attempt and when to try again, if it still stands where `hook` says; false if not.
    ///
    /// # Errors
    /// When the store cannot be written.
    async fn hook_failed(&self, hook: &Hook, after: Duration, why: &str) -> Result<bool, OfficeError>;
}

//! Takes events to their receivers: one event at a time a web-hook, several web-hooks at once.
//!
//! The ledger says whose turn it is and holds that web-hook for this station meanwhile, so two stations on one ledger
//! do not send at the same time. Send, then note: a station that dies in between sends the event once more, under
//! the same `webhook-id`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use keys::{Purpose, Sealed, Vault};
use ledger::{ApplyError, Change, Event, EventDraft, Hook, HookWrite, Ledger, OfficeError};
use ring::rand::{SecureRandom, SystemRandom};
use serde_json::json;
use thiserror::Error;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tracing::{info, warn};

use super::post::{DELIVERY_LIMIT, Message, Post, PostError};
use super::schedule::{Failure, Settings, Verdict};
use super::signature::SigningSecret;
use crate::desk::refused::chain;
use crate::events::{EventView, wants};
use crate::people::Clock;

/// How many web-hooks are sent to at once: a slow receiver holds one place for as long as a delivery may take.
const PLACES: usize = 16;
/// How long a web-hook is this station's: longer than a delivery and what is read and noted around it.
const HOLD: Duration = Duration::from_secs(4 * DELIVERY_LIMIT.as_secs());
/// Events are looked through in portions of this many for one that the web-hook wants.
const PORTION: u32 = 128;

/// Everything that deliveries need.
#[derive(Clone)]
pub struct Deliveries {
    /// Where events and web-hooks are.
    pub ledger: Arc<dyn Ledger>,
    /// Opens their secrets.
    pub vault: Arc<Vault>,
    /// Sends.
    pub post: Post,
    /// How patient it is.
    pub settings: Settings,
    /// The station's time.
    pub clock: Clock,
    /// How often is looked for something to send.
    pub every: Duration,
}

/// What became of one web-hook's turn.
enum Turn {
    /// It has all up to that event.
    Delivered(i64),
    /// The event of that age was not taken.
    Failed(PostError, Duration),
    /// The event of that age could not be signed, which is no fault of the receiver.
    Unsigned(NoSecret, Duration),
    /// The next event is of that age, and waiting longer would keep events without end.
    Behind(Duration),
}

/// Why a web-hook's turn could not be taken.
#[derive(Debug, Error)]
enum TurnError {
    /// The ledger failed.
    #[error("the ledger failed")]
    Ledger(#[from] OfficeError),
    /// A change was not saved.
    #[error("disabling the web-hook")]
    Apply(#[source] ApplyError),
}

/// Why there is no secret to sign with.
#[derive(Debug, Error)]
pub enum NoSecret {
    /// The ledger failed.
    #[error("reading the signing secret")]
    Ledger(#[source] OfficeError),
    /// It is not there.
    #[error("the web-hook's signing secret is not there")]
    Missing,
    /// It is no sealed secret.
    #[error("the sealed signing secret is damaged")]
    Damaged(#[source] keys::Malformed),
    /// It does not open.
    #[error("opening the signing secret")]
    Closed(#[source] keys::OpenError),
    /// What was inside is no signing secret.
    #[error("what was sealed is no signing secret")]
    NotASecret,
}

impl Deliveries {
    /// Delivers until told to stop; deliveries that are under way then end first.
    pub async fn run(self, stop: watch::Receiver<bool>) {
        let since = Instant::now();
        let places = (0..PLACES).map(|_| self.clone().work(since, stop.clone()));
        places.collect::<JoinSet<()>>().join_all().await;
    }

    async fn work(self, since: Instant, mut stop: watch::Receiver<bool>) {
        while !*stop.borrow() {
            let idle = match self.turn(since.elapsed()).await {
                Ok(true) => continue,
                Ok(false) => self.every,
                Err(error) => {
                    warn!(event = "webhooks_stuck", err = chain(&error));
                    self.every.max(self.settings.first_wait)
                }
            };
            tokio::select! {
                stopped = stop.wait_for(|is_stopping| *is_stopping) => if stopped.is_err() { return },
                () = tokio::time::sleep(idle) => {}
            }
        }
    }

    /// One web-hook's turn, if any is due.
    async fn turn(&self, running_for: Duration) -> Result<bool, TurnError> {
        let Some(hook) = self.ledger.take_due_hook(HOLD).await? else { return Ok(false) };
        match self.deliver_next(&hook, running_for).await? {
            Turn::Delivered(position) => {
                self.ledger.hook_delivered(&hook, position).await?;
            }
            Turn::Failed(error, age) => {
                self.failed(&hook, &error, (error.failure(), &error.to_string()), age).await?;
            }
            Turn::Unsigned(error, age) => {
                let failure = Failure::Failed { wait: Some(self.settings.longest_wait) };
                self.failed(&hook, &error, (failure, "its signing secret cannot be opened"), age).await?;
            }
            Turn::Behind(age) => {
                let days = age.as_secs() / (24 * 3600);
                let why = format!("it is {days} days behind, and events are not kept for so long");
                self.disable(&hook, &why).await?;
            }
        }
        Ok(true)
    }

    /// The next event that it wants, or how far there is none.
    async fn deliver_next(&self, hook: &Hook, running_for: Duration) -> Result<Turn, TurnError> {
        let events = self.ledger.events(hook.position, PORTION).await?;
        let passed = events.last().map_or(hook.position, |event| event.no);
        let Some(event) = events.into_iter().find(|event| wants(&hook.kinds, &event.draft.kind)) else {
            return Ok(Turn::Delivered(passed));
        };
        let (no, age) = (event.no, self.age(&event));
        if self.settings.is_too_far_behind(age, running_for) {
            return Ok(Turn::Behind(age));
        }
        match self.send(hook, event).await {
            Ok(_) => Ok(Turn::Delivered(no)),
            Err(Unsent::Refused(error)) => Ok(Turn::Failed(error, age)),
            Err(Unsent::NoSecret(error)) => Ok(Turn::Unsigned(error, age)),
        }
    }

    fn age(&self, event: &Event) -> Duration {
        let ms = (self.clock)().saturating_sub(event.draft.at_unix_ms);
        Duration::from_millis(u64::try_from(ms).unwrap_or(0))
    }

    async fn send(&self, hook: &Hook, event: Event) -> Result<u16, Unsent> {
        let id = format!("{}-{}", hook.id, event.no);
        let view = EventView::of(event);
        let body = json!({"type": view.kind, "timestamp": view.at, "data": view});
        self.post_signed(hook, id, &body).await
    }

    /// Sends a message that is no event, and says at once what became of it.
    ///
    /// # Errors
    /// Why it was not taken, or could not be signed.
    pub async fn test(&self, hook: &Hook) -> Result<u16, Unsent> {
        let at = crate::events::rfc3339((self.clock)());
        let body = json!({"type": "webhook.test", "timestamp": at, "data": {"webhook": hook.id}});
        self.post_signed(hook, format!("test-{}", uuid::Uuid::new_v4()), &body).await
    }

    async fn post_signed(&self, hook: &Hook, id: String, body: &serde_json::Value) -> Result<u16, Unsent> {
        let secret = self.secret(hook).await.map_err(Unsent::NoSecret)?;
        let body = serde_json::to_vec(body).expect("a value is JSON");
        let message = Message { id, at_unix_s: (self.clock)().div_euclid(1000), body };
        self.post.send(&hook.url, &secret, &message).await.map_err(Unsent::Refused)
    }

    async fn secret(&self, hook: &Hook) -> Result<SigningSecret, NoSecret> {
        let row = self.ledger.secret(&hook.secret_name).await.map_err(NoSecret::Ledger)?;
        let sealed = Sealed::from_bytes(&row.ok_or(NoSecret::Missing)?.sealed).map_err(NoSecret::Damaged)?;
        let purpose = Purpose::WebHook { id: hook.id.clone() };
        let secret = self.vault.open(&purpose, &sealed).await.map_err(NoSecret::Closed)?;
        let text = secret.expose_text().map_err(|_| NoSecret::NotASecret)?;
        SigningSecret::parse(text).map_err(|_| NoSecret::NotASecret)
    }

    async fn failed(
        &self,
        hook: &Hook,
        error: &(dyn std::error::Error + Sync),
        (failure, why): (Failure, &str),
        age: Duration,
    ) -> Result<(), TurnError> {
        match self.settings.after_failure(failure, hook.attempts, age, chance()) {
            Verdict::Again(wait) => {
                let attempts = hook.attempts + 1;
                info!(event = "webhook_failed", webhook = hook.id, attempts, err = chain(error));
                self.ledger.hook_failed(hook, wait, why).await?;
                Ok(())
            }
            Verdict::Disable => self.disable(hook, why).await,
        }
    }

    /// Switches it off, and says so in the same transaction, to the other web-hooks among others.
    async fn disable(&self, hook: &Hook, why: &str) -> Result<(), TurnError> {
        warn!(event = "webhook_disabled", webhook = hook.id, err = why);
        let disabled = Hook { enabled: false, attempts: 0, next_try_unix_ms: 0, ..hook.clone() };
        let event = EventDraft {
            at_unix_ms: (self.clock)(),
            kind: "webhook.disabled".into(),
            job: None,
            drive: None,
            bay: None,
            body: json!({"webhook": hook.id, "reason": why, "undeliveredAfter": hook.position}),
        };
        let change = Change {
            hooks: vec![HookWrite::Update(disabled.clone())],
            events: vec![event],
            ..Change::default()
        };
        self.ledger.apply(&change).await.map_err(TurnError::Apply)?;
        // An update begins a web-hook anew; the reason is noted behind it, for whoever looks at the web-hook.
        self.ledger.hook_failed(&disabled, Duration::ZERO, why).await?;
        Ok(())
    }
}

/// Why a message is not with its receiver.
#[derive(Debug, Error)]
pub enum Unsent {
    /// The receiver did not take it.
    #[error(transparent)]
    Refused(PostError),
    /// It could not be signed.
    #[error(transparent)]
    NoSecret(NoSecret),
}

/// Any number; without randomness the waits are merely not spread.
fn chance() -> u64 {
    let mut bytes = [0; 8];
    match SystemRandom::new().fill(&mut bytes) {
        Ok(()) => u64::from_le_bytes(bytes),
        Err(_) => 0,
    }
}

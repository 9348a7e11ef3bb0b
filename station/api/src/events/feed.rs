//! The newest event's number, looked up by one task for all streams: a hundred screens cost the ledger one query.
//!
//! Polled and not only told, because with PostgreSQL other stations write, too.

use std::sync::Arc;
use std::time::Duration;

use ledger::Ledger;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tracing::warn;

use crate::desk::refused::chain;

/// More screens than a hall has; each holds a connection and a task.
const STREAMS_MAX: usize = 256;

/// What streams wait on.
#[derive(Clone, Debug)]
pub struct Feed {
    newest: watch::Receiver<i64>,
    seats: Arc<Semaphore>,
}

impl Feed {
    /// Begins to look, as often as that, until nobody holds the feed any more.
    pub fn start(ledger: Arc<dyn Ledger>, every: Duration) -> Self {
        let (sender, newest) = watch::channel(0);
        tokio::spawn(async move {
            tokio::select! {
                () = sender.closed() => {}
                () = look(&ledger, every, &sender) => {}
            }
        });
        Self { newest, seats: Arc::new(Semaphore::new(STREAMS_MAX)) }
    }

    /// A place for one stream; none when all are taken.
    pub(super) fn seat(&self) -> Option<OwnedSemaphorePermit> {
        self.seats.clone().try_acquire_owned().ok()
    }

    /// A look at the newest number that a stream can wait on.
    pub(super) fn newest(&self) -> watch::Receiver<i64> {
        self.newest.clone()
    }
}

async fn look(ledger: &Arc<dyn Ledger>, every: Duration, sender: &watch::Sender<i64>) {
    let mut ticks = tokio::time::interval(every);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut is_failing = false;
    loop {
        ticks.tick().await;
        match ledger.event_span().await {
            Ok(span) => {
                is_failing = false;
                sender.send_if_modified(|newest| std::mem::replace(newest, span.last) != span.last);
            }
            // Told once a failure, not once a tick.
            Err(error) if !is_failing => {
                is_failing = true;
                warn!(event = "events_unreadable", err = chain(&error));
            }
            Err(_) => {}
        }
    }
}

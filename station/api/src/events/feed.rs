//! The newest event's number, looked up by one task for all streams: a hundred screens cost the ledger one query.
//!
//! Polled and not only told, because with PostgreSQL other stations write, too.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ledger::Ledger;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tracing::warn;

use crate::desk::refused::chain;

/// More screens than a hall has; each holds a connection and a task.
const STREAMS_MAX: usize = 256;
/// More screens than one caller has; so no caller takes all places.
const STREAMS_PER_CALLER_MAX: usize = 32;
/// A stream ends after so long, and its client goes on with another: who may not see anything any more is found out
/// then. Shorter than anybody's patience after a token was taken back, longer than a reconnection costs.
const STREAM_LIFE: Duration = Duration::from_secs(300);

/// What streams wait on.
#[derive(Clone, Debug)]
pub struct Feed {
    newest: watch::Receiver<i64>,
    seats: Arc<Semaphore>,
    callers: Arc<Mutex<HashMap<String, usize>>>,
    life: Duration,
}

/// A place for one stream, given back when it is dropped.
#[derive(Debug)]
pub(super) struct Seat {
    _seat: OwnedSemaphorePermit,
    callers: Arc<Mutex<HashMap<String, usize>>>,
    caller: String,
}

/// Why there is no place for a stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NoSeat {
    /// All are taken.
    Full,
    /// The caller has as many as one may have.
    CallerFull,
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
        let seats = Arc::new(Semaphore::new(STREAMS_MAX));
        Self { newest, seats, callers: Arc::default(), life: STREAM_LIFE }
    }

    /// The same feed, whose streams end after so long.
    pub fn ending_after(self, life: Duration) -> Self {
        Self { life, ..self }
    }

    pub(super) fn life(&self) -> Duration {
        self.life
    }

    /// A place for one stream of this caller.
    pub(super) fn seat(&self, caller: &str) -> Result<Seat, NoSeat> {
        let seat = self.seats.clone().try_acquire_owned().map_err(|_| NoSeat::Full)?;
        let mut callers = self.callers.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = callers.entry(caller.to_owned()).or_default();
        if *taken >= STREAMS_PER_CALLER_MAX {
            return Err(NoSeat::CallerFull);
        }
        *taken += 1;
        Ok(Seat { _seat: seat, callers: self.callers.clone(), caller: caller.to_owned() })
    }

    /// A look at the newest number that a stream can wait on.
    pub(super) fn newest(&self) -> watch::Receiver<i64> {
        self.newest.clone()
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut callers = self.callers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(taken) = callers.get_mut(&self.caller) {
            *taken -= 1;
            if *taken == 0 {
                callers.remove(&self.caller);
            }
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_caller_cannot_take_every_place_and_what_ends_is_free_again() {
        let feed = Feed {
            newest: watch::channel(0).1,
            seats: Arc::new(Semaphore::new(STREAMS_MAX)),
            callers: Arc::default(),
            life: STREAM_LIFE,
        };
        let mut seats: Vec<Seat> =
            (0..STREAMS_PER_CALLER_MAX).map(|_| feed.seat("greedy").unwrap()).collect();
        assert_eq!(feed.seat("greedy").unwrap_err(), NoSeat::CallerFull);
        drop(feed.seat("other").unwrap());
        seats.pop();
        seats.push(feed.seat("greedy").unwrap());
        seats.extend((0..STREAMS_MAX - STREAMS_PER_CALLER_MAX).map(|no| feed.seat(&no.to_string()).unwrap()));
        assert_eq!(feed.seat("late").unwrap_err(), NoSeat::Full);
        drop(seats);
        assert!(feed.callers.lock().unwrap().is_empty(), "nobody is remembered who has none");
        assert_eq!(feed.seats.available_permits(), STREAMS_MAX);
    }
}

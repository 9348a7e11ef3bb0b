//! What an account has been asked and how it answered, for metrics and for "limited by".
//!
//! Invariant: counting costs an atomic addition and never blocks; every number only grows, except
//! the one that says how many requests are under way.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A snapshot of an account's counters.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Counters {
    /// Tries sent, repetitions included.
    pub requests: u64,
    /// Tries that repeated an earlier one.
    pub retries: u64,
    /// Answers that asked for less (429, 503).
    pub throttled: u64,
    /// Body bytes of the tries that were answered with success.
    pub bytes_sent: u64,
    /// Body bytes of answers.
    pub bytes_received: u64,
    /// Requests between permit and answer now.
    pub in_flight: u64,
    /// Requests waiting for a permit now.
    pub waiting: u64,
    /// Seconds that requests have waited for a permit: the account's limit was the brake.
    pub permit_wait_seconds: f64,
    /// Seconds that requests have waited for answers.
    pub answer_wait_seconds: f64,
    /// Seconds spent in pauses before repetitions.
    pub pause_seconds: f64,
    /// How many requests may be under way at present.
    pub concurrency_limit: u32,
}

#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) requests: AtomicU64,
    pub(crate) retries: AtomicU64,
    pub(crate) throttled: AtomicU64,
    pub(crate) bytes_sent: AtomicU64,
    pub(crate) bytes_received: AtomicU64,
    in_flight: AtomicU64,
    waiting: AtomicU64,
    permit_wait_nanos: AtomicU64,
    answer_wait_nanos: AtomicU64,
    pause_nanos: AtomicU64,
}

impl Tally {
    pub(crate) fn snapshot(&self, concurrency_limit: u32) -> Counters {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let seconds = |counter: &AtomicU64| Duration::from_nanos(read(counter)).as_secs_f64();
        Counters {
            requests: read(&self.requests),
            retries: read(&self.retries),
            throttled: read(&self.throttled),
            bytes_sent: read(&self.bytes_sent),
            bytes_received: read(&self.bytes_received),
            in_flight: read(&self.in_flight),
            waiting: read(&self.waiting),
            permit_wait_seconds: seconds(&self.permit_wait_nanos),
            answer_wait_seconds: seconds(&self.answer_wait_nanos),
            pause_seconds: seconds(&self.pause_nanos),
            concurrency_limit,
        }
    }

    /// Counts somebody waiting for a permit until the guard drops.
    pub(crate) fn waiting(&self) -> Span<'_> {
        Span::begin(&self.waiting, &self.permit_wait_nanos)
    }

    /// Counts a request under way until the guard drops, also when its caller gives up.
    pub(crate) fn in_flight(&self) -> Span<'_> {
        Span::begin(&self.in_flight, &self.answer_wait_nanos)
    }

    pub(crate) fn paused(&self, pause: Duration) {
        add(&self.pause_nanos, u64::try_from(pause.as_nanos()).unwrap_or(u64::MAX));
    }
}

/// A gauge that is up, and a stopwatch that runs, until dropped.
pub(crate) struct Span<'a> {
    gauge: &'a AtomicU64,
    nanos: &'a AtomicU64,
    begun: std::time::Instant,
}

impl<'a> Span<'a> {
    fn begin(gauge: &'a AtomicU64, nanos: &'a AtomicU64) -> Span<'a> {
        gauge.fetch_add(1, Ordering::Relaxed);
        Span { gauge, nanos, begun: std::time::Instant::now() }
    }
}

impl Drop for Span<'_> {
    fn drop(&mut self) {
        self.gauge.fetch_sub(1, Ordering::Relaxed);
        add(self.nanos, u64::try_from(self.begun.elapsed().as_nanos()).unwrap_or(u64::MAX));
    }
}

pub(crate) fn add(counter: &AtomicU64, amount: u64) {
    counter.fetch_add(amount, Ordering::Relaxed);
}

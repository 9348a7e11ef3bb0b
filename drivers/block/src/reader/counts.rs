//! What a reader did, and what its time went to: the drive's share of "limited by".

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

/// A reader's figures since its start.
///
/// A drive that limits the bay is `busy` nearly all the time; one that waits for others is
/// `starved` (no job came, so planning or buffers are short) or `blocked`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ReadCounts {
    /// Bytes of completed reads.
    pub read_bytes: u64,
    /// Completed reads.
    pub read_count: u64,
    /// Jobs answered, with whatever outcome.
    pub job_count: u64,
    /// Time with at least one read in flight.
    pub busy: Duration,
    /// Time with nothing in flight and no job to begin.
    pub starved: Duration,
    /// Time that finished jobs waited for room in `done`, summed over the jobs.
    pub blocked: Duration,
}

#[derive(Default)]
pub(super) struct Counts {
    read_bytes: AtomicU64,
    read_count: AtomicU64,
    job_count: AtomicU64,
    busy_nanos: AtomicU64,
    starved_nanos: AtomicU64,
    blocked_nanos: AtomicU64,
}

impl Counts {
    pub(super) fn load(&self) -> ReadCounts {
        let duration = |nanos: &AtomicU64| Duration::from_nanos(nanos.load(Relaxed));
        ReadCounts {
            read_bytes: self.read_bytes.load(Relaxed),
            read_count: self.read_count.load(Relaxed),
            job_count: self.job_count.load(Relaxed),
            busy: duration(&self.busy_nanos),
            starved: duration(&self.starved_nanos),
            blocked: duration(&self.blocked_nanos),
        }
    }

    pub(super) fn add_read(&self, length_bytes: usize) {
        self.read_bytes.fetch_add(length_bytes as u64, Relaxed);
        self.read_count.fetch_add(1, Relaxed);
    }

    pub(super) fn add_job(&self, blocked: Duration) {
        self.job_count.fetch_add(1, Relaxed);
        self.blocked_nanos.fetch_add(nanos(blocked), Relaxed);
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// The reads in flight of one reader thread, and the clock that runs while there are any.
pub(super) struct InFlight {
    counts: Arc<Counts>,
    count: Cell<usize>,
    /// When the state last changed or was last accounted.
    since: Cell<Instant>,
    landed: Notify,
}

impl InFlight {
    pub(super) fn new(counts: Arc<Counts>) -> InFlight {
        InFlight { counts, count: Cell::new(0), since: Cell::new(Instant::now()), landed: Notify::new() }
    }

    /// One more in flight; pair it with [`InFlight::land`].
    pub(super) fn take_off(&self) {
        if self.count.get() == 0 {
            self.since.set(Instant::now());
        }
        self.count.set(self.count.get().saturating_add(1));
    }

    /// One less. Accounts the time at each landing, so that the figures never lag by more than
    /// one read.
    pub(super) fn land(&self) {
        let now = Instant::now();
        self.counts.busy_nanos.fetch_add(nanos(now.duration_since(self.since.replace(now))), Relaxed);
        self.count.set(self.count.get().saturating_sub(1));
        self.landed.notify_waiters();
    }

    /// Accounts a wait for a job that began at `from`, as far as nothing was in flight.
    pub(super) fn waited_for_job(&self, from: Instant) {
        if self.count.get() == 0 {
            let idle = self.since.get().max(from).elapsed();
            self.counts.starved_nanos.fetch_add(nanos(idle), Relaxed);
        }
    }

    /// Waits until nothing is in flight.
    pub(super) async fn all_landed(&self) {
        while self.count.get() > 0 {
            // Nothing else runs on this thread between the test and the wait.
            self.landed.notified().await;
        }
    }
}

//! What a running copy tells the outside: counters, and by what it is limited.
//!
//! Counters are atomics that any stage adds to and any observer reads; nothing waits for an
//! observer. Each stage also counts the work that is with it at the moment, and
//! [`Snapshot::limited_by`] reads off where the work piles up: the stage in front of which buffers
//! wait is the slow one. (The idea of a wait reason a chunk: AzCopy's chunk status logger.)

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

use crate::cpu::StageSeconds;

/// Counters of one copy.
#[derive(Debug, Default)]
pub struct Progress {
    /// Blobs of the manifest.
    pub blobs_total: Counter,
    /// Bytes that the manifest's chunks cover.
    pub bytes_total: Counter,
    /// Blobs with an outcome, of this run or an earlier one.
    pub blobs_done: Counter,
    /// Of these, blobs whose status is not `Completed`.
    pub blobs_failed: Counter,
    /// Bytes of chunks that have come to their end, well or not.
    pub bytes_done: Counter,
    /// Bytes read from the device, re-reads and widening included.
    pub bytes_read: Counter,
    /// Bytes that have landed in the account.
    pub bytes_put: Counter,
    /// Bytes of the blobs that earlier runs have completed.
    pub bytes_before: Counter,
    /// Chunks that did not match on the first read.
    pub rereads: Counter,
    /// Spans waiting for or being read.
    pub reading: Gauge,
    /// Spans waiting for or being decrypted and digested.
    pub digesting: Gauge,
    /// Chunks waiting for or being put.
    pub putting: Gauge,
    /// Buffer bytes that were not back when the copy had ended: anything but zero is a leak.
    pub buffers_left_bytes: Counter,
    /// Processor seconds by stage, as last looked at.
    stages: Mutex<StageSeconds>,
}

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds to it.
    pub fn add(&self, amount: u64) {
        self.0.fetch_add(amount, Relaxed);
    }

    /// Its value.
    pub fn value(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// A number that goes up and down.
#[derive(Debug, Default)]
pub struct Gauge(AtomicU64);

impl Gauge {
    /// One more.
    pub fn enter(&self) {
        self.0.fetch_add(1, Relaxed);
    }

    /// One less.
    pub fn leave(&self) {
        self.0.fetch_sub(1, Relaxed);
    }

    /// Its value.
    pub fn value(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// What keeps a copy from being faster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LimitedBy {
    /// Reads of the drive.
    Drive,
    /// Decryption and digests.
    Cpu,
    /// The storage account or the way to it.
    Destination,
}

impl fmt::Display for LimitedBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            LimitedBy::Drive => "drive",
            LimitedBy::Cpu => "cpu",
            LimitedBy::Destination => "destination",
        })
    }
}

/// The counters at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Snapshot {
    /// See [`Progress`].
    pub blobs_total: u64,
    /// See [`Progress`].
    pub bytes_total: u64,
    /// See [`Progress`].
    pub blobs_done: u64,
    /// See [`Progress`].
    pub blobs_failed: u64,
    /// See [`Progress`].
    pub bytes_done: u64,
    /// See [`Progress`].
    pub bytes_read: u64,
    /// See [`Progress`].
    pub bytes_put: u64,
    /// See [`Progress`].
    pub rereads: u64,
    /// Where most of the work waits.
    pub limited_by: LimitedBy,
}

impl Progress {
    /// Notes processor seconds; a stage's thread that has ended keeps what was noted last.
    pub fn note_stages(&self, seconds: &StageSeconds) {
        let mut stages = self.stages.lock().unwrap_or_else(PoisonError::into_inner);
        for (stage, seconds) in seconds {
            let noted = stages.entry(stage).or_default();
            *noted = noted.max(*seconds);
        }
    }

    /// Processor seconds by stage, as last noted.
    pub fn stages(&self) -> StageSeconds {
        self.stages.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Reads all counters.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot {
            blobs_total: self.blobs_total.value(),
            bytes_total: self.bytes_total.value(),
            blobs_done: self.blobs_done.value(),
            blobs_failed: self.blobs_failed.value(),
            bytes_done: self.bytes_done.value(),
            bytes_read: self.bytes_read.value(),
            bytes_put: self.bytes_put.value(),
            rereads: self.rereads.value(),
            limited_by: limited_by(self.reading.value(), self.digesting.value(), self.putting.value()),
        }
    }
}

/// The fullest stage is the slow one; on a tie the later one, which holds the earlier back.
fn limited_by(reading: u64, digesting: u64, putting: u64) -> LimitedBy {
    if putting > 0 && putting >= digesting && putting >= reading {
        LimitedBy::Destination
    } else if digesting > 0 && digesting >= reading {
        LimitedBy::Cpu
    } else {
        LimitedBy::Drive
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fullest_stage_is_what_limits() {
        for (reading, digesting, putting, expected) in [
            (8, 0, 0, LimitedBy::Drive),
            (8, 1, 4, LimitedBy::Drive),
            (2, 20, 3, LimitedBy::Cpu),
            (2, 3, 30, LimitedBy::Destination),
            (8, 8, 8, LimitedBy::Destination),
            (0, 0, 0, LimitedBy::Drive),
        ] {
            assert_eq!(limited_by(reading, digesting, putting), expected, "{reading} {digesting} {putting}");
        }
    }

    #[test]
    fn gauges_come_back_to_zero() {
        let gauge = Gauge::default();
        gauge.enter();
        gauge.enter();
        gauge.leave();
        gauge.leave();
        assert_eq!(gauge.value(), 0);
    }
}

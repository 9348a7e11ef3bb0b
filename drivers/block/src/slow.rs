//! A device as slow as it is told to be: latency for each read, and a rate for its bytes.
//!
//! Like a platter it serves one read at a time, so reads from several threads wait for each other.
//! It really waits; when each read is due is pure arithmetic.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::{ReadAt, ReadError, SharedDevice};

/// Another device, slowed down.
pub struct SlowDevice {
    device: SharedDevice,
    pace: SharedPace,
}

/// How slow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// Added to each read: a seek.
    pub latency: Duration,
    /// How fast bytes come; `None` as fast as below.
    pub bytes_per_second: Option<u64>,
}

/// The switch of a [`SlowDevice`]; clones switch the same one.
#[derive(Clone)]
pub struct SharedPace {
    state: Arc<Mutex<(Pace, Instant)>>,
}

impl SlowDevice {
    /// Wraps a device.
    pub fn new(device: SharedDevice, pace: Pace) -> (SlowDevice, SharedPace) {
        let pace = SharedPace { state: Arc::new(Mutex::new((pace, Instant::now()))) };
        (SlowDevice { device, pace: pace.clone() }, pace)
    }
}

impl Pace {
    /// How long one read takes.
    pub fn duration_of(&self, length_bytes: usize) -> Duration {
        let nanos = self.bytes_per_second.map_or(0, |rate| {
            let nanos = (length_bytes as u128).saturating_mul(1_000_000_000);
            // A rate of zero would be a stall, which `Faults` has.
            nanos.checked_div(u128::from(rate.max(1))).unwrap_or(0)
        });
        self.latency.saturating_add(Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX)))
    }
}

impl SharedPace {
    /// Changes the pace for the reads that come after.
    pub fn set(&self, pace: Pace) {
        self.lock().0 = pace;
    }

    /// Books a read: when it is due, behind those that were booked before.
    fn book(&self, now: Instant, length_bytes: usize) -> Instant {
        let mut state = self.lock();
        let (pace, free_from) = *state;
        let due = free_from.max(now).checked_add(pace.duration_of(length_bytes)).unwrap_or(now);
        state.1 = due;
        due
    }

    fn lock(&self) -> MutexGuard<'_, (Pace, Instant)> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ReadAt for SlowDevice {
    fn length_bytes(&self) -> u64 {
        self.device.length_bytes()
    }

    fn sector_bytes(&self) -> u32 {
        self.device.sector_bytes()
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset_bytes: u64) -> Result<(), ReadError> {
        let due = self.pace.book(Instant::now(), buffer.len());
        thread::sleep(due.saturating_duration_since(Instant::now()));
        self.device.read_exact_at(buffer, offset_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_read_takes_its_latency_and_its_bytes_share_of_a_second() {
        let pace = Pace { latency: Duration::from_millis(9), bytes_per_second: Some(1_000_000) };
        assert_eq!(pace.duration_of(0), Duration::from_millis(9));
        assert_eq!(pace.duration_of(500_000), Duration::from_millis(509));
        let unlimited = Pace { latency: Duration::ZERO, bytes_per_second: None };
        assert_eq!(unlimited.duration_of(usize::MAX), Duration::ZERO);
        let stuck = Pace { latency: Duration::ZERO, bytes_per_second: Some(0) };
        assert_eq!(stuck.duration_of(2), Duration::from_secs(2));
    }

    #[test]
    fn reads_are_due_one_behind_the_other() {
        let device = Arc::new(crate::MemoryDevice::new(vec![0; 16], 512));
        let pace = Pace { latency: Duration::from_secs(1), bytes_per_second: None };
        let (_, shared) = SlowDevice::new(device, pace);
        let now = Instant::now() + Duration::from_secs(60);
        assert_eq!(shared.book(now, 1), now + Duration::from_secs(1));
        assert_eq!(shared.book(now, 1), now + Duration::from_secs(2));
        shared.set(Pace { latency: Duration::from_secs(5), bytes_per_second: None });
        assert_eq!(shared.book(now, 1), now + Duration::from_secs(7));
        let later = now + Duration::from_secs(100);
        assert_eq!(shared.book(later, 1), later + Duration::from_secs(5));
    }
}

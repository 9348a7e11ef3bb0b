//! A device that misbehaves on demand, for tests and the rig.
//!
//! Owns the faults, not the randomness: everything it does follows from what its [`Faults`] handle
//! was told and from the order of the reads, so a failing test fails again. Faults may be switched
//! while the device is read. It never breaks the contract of [`ReadAt`]: it fails, it answers
//! wrong bytes, it stalls; it does not panic.

use std::ops::Range;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use crate::{ReadAt, ReadError, ReadErrorKind, SharedDevice, check_range};

/// Another device, seen through faults.
pub struct FaultyDevice {
    device: SharedDevice,
    faults: Faults,
}

/// The switches of a [`FaultyDevice`]; clones switch the same one.
#[derive(Clone, Default)]
pub struct Faults {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    bad: Vec<Range<u64>>,
    wrong: Vec<WrongRange>,
    end_bytes: Option<u64>,
    gone: bool,
    reads_left: Option<u64>,
    stalled: bool,
    stalled_count: usize,
    read_count: u64,
}

struct WrongRange {
    range: Range<u64>,
    wrongness: Wrongness,
    /// Reads that touched the range so far.
    touched_count: u64,
}

/// How a range's bytes are wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wrongness {
    /// The first reads that touch it, each in another way; then they are right: a bad cable.
    First(u64),
    /// Every read in another way: a bad memory chip in the bridge.
    EachTimeDifferent,
    /// Always the same wrong bytes: the file itself is damaged.
    Constant,
}

impl FaultyDevice {
    /// Wraps a device; without faults until the handle is used.
    pub fn new(device: SharedDevice) -> (FaultyDevice, Faults) {
        let faults = Faults::default();
        (FaultyDevice { device, faults: faults.clone() }, faults)
    }
}

impl Faults {
    /// Reads that touch the range fail with [`ReadErrorKind::Medium`].
    pub fn fail(&self, range: Range<u64>) {
        self.lock().bad.push(range);
    }

    /// Reads that touch the range get wrong bytes there.
    pub fn falsify(&self, range: Range<u64>, wrongness: Wrongness) {
        self.lock().wrong.push(WrongRange { range, wrongness, touched_count: 0 });
    }

    /// The device ends here although it claims to be longer: reads beyond fail as out of range.
    pub fn end_at(&self, offset_bytes: u64) {
        self.lock().end_bytes = Some(offset_bytes);
    }

    /// The device is gone from now on, also for reads that are stalled.
    pub fn vanish(&self) {
        self.lock().gone = true;
        self.shared.changed.notify_all();
    }

    /// The device is gone after that many more reads.
    pub fn vanish_after(&self, read_count: u64) {
        self.lock().reads_left = Some(read_count);
    }

    /// Reads stall until [`Faults::release`].
    pub fn stall(&self) {
        self.lock().stalled = true;
    }

    /// Stalled reads go on.
    pub fn release(&self) {
        self.lock().stalled = false;
        self.shared.changed.notify_all();
    }

    /// Waits, blocking, until at least that many reads are stalled.
    pub fn wait_until_stalled(&self, read_count: usize) {
        let mut state = self.lock();
        while state.stalled_count < read_count {
            state = self.wait(state);
        }
    }

    /// Takes all faults away; the device is there again.
    pub fn heal(&self) {
        let mut state = self.lock();
        *state =
            State { read_count: state.read_count, stalled_count: state.stalled_count, ..State::default() };
        drop(state);
        self.shared.changed.notify_all();
    }

    /// Reads that were asked for so far, failed ones too.
    pub fn read_count(&self) -> u64 {
        self.lock().read_count
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        self.shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets a read in, once it is not stalled: what it must do with the bytes, or why it fails.
    fn admit(&self, offset_bytes: u64, length_bytes: usize) -> Result<Vec<Falsified>, ReadErrorKind> {
        let mut state = self.lock();
        state.read_count = state.read_count.saturating_add(1);
        state.count_down();
        while state.stalled && !state.gone {
            state.stalled_count = state.stalled_count.saturating_add(1);
            self.shared.changed.notify_all();
            state = self.wait(state);
            state.stalled_count = state.stalled_count.saturating_sub(1);
        }
        state.judge(offset_bytes..offset_bytes.saturating_add(length_bytes as u64))
    }
}

/// A range to be falsified in this read, and with what.
struct Falsified {
    range: Range<u64>,
    variation: u64,
}

impl State {
    fn count_down(&mut self) {
        match &mut self.reads_left {
            Some(0) => self.gone = true,
            Some(left) => *left = left.saturating_sub(1),
            None => {}
        }
    }

    fn judge(&mut self, read: Range<u64>) -> Result<Vec<Falsified>, ReadErrorKind> {
        if self.gone {
            return Err(ReadErrorKind::Gone);
        }
        if let Some(device_bytes) = self.end_bytes.filter(|&end| read.end > end) {
            return Err(ReadErrorKind::OutOfRange { device_bytes });
        }
        if self.bad.iter().any(|bad| overlap(bad, &read).is_some()) {
            return Err(ReadErrorKind::Medium);
        }
        let mut falsified = Vec::new();
        for wrong in &mut self.wrong {
            if let Some(range) = overlap(&wrong.range, &read) {
                falsified.extend(wrong.next_variation().map(|variation| Falsified { range, variation }));
            }
        }
        Ok(falsified)
    }
}

impl WrongRange {
    fn next_variation(&mut self) -> Option<u64> {
        let touched = self.touched_count;
        self.touched_count = touched.saturating_add(1);
        match self.wrongness {
            Wrongness::First(count) => (touched < count).then_some(touched),
            Wrongness::EachTimeDifferent => Some(touched),
            Wrongness::Constant => Some(0),
        }
    }
}

impl Falsified {
    /// Changes every byte of the range, in another way for each variation (255 of them).
    fn apply(&self, buffer: &mut [u8], offset_bytes: u64) {
        let variation = self.variation.checked_rem(255).and_then(|rest| u8::try_from(rest).ok()).unwrap_or(0);
        let change = variation.saturating_add(1);
        for (byte, at) in buffer.iter_mut().zip(offset_bytes..) {
            if self.range.contains(&at) {
                *byte ^= change;
            }
        }
    }
}

fn overlap(one: &Range<u64>, other: &Range<u64>) -> Option<Range<u64>> {
    let both = one.start.max(other.start)..one.end.min(other.end);
    (!both.is_empty()).then_some(both)
}

impl ReadAt for FaultyDevice {
    fn length_bytes(&self) -> u64 {
        self.device.length_bytes()
    }

    fn sector_bytes(&self) -> u32 {
        self.device.sector_bytes()
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset_bytes: u64) -> Result<(), ReadError> {
        let length_bytes = buffer.len();
        check_range(offset_bytes, length_bytes, self.length_bytes())?;
        let falsified = self.faults.admit(offset_bytes, length_bytes).map_err(|kind| ReadError {
            offset_bytes,
            length_bytes,
            kind,
            source: None,
        })?;
        self.device.read_exact_at(buffer, offset_bytes)?;
        for wrong in falsified {
            wrong.apply(buffer, offset_bytes);
        }
        Ok(())
    }
}

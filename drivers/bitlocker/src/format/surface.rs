//! The full pass: encrypted zeros wherever the file system's data is not, in large sequential
//! writes by all processors at once.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;

use block::{BUFFER_ALIGNMENT_BYTES, WriteAt, WriteError};

use crate::VolumeWriter;

/// What one thread encrypts and writes at a time.
const SLICE_BYTES: u64 = 4 << 20;

/// What the pass goes over.
#[derive(Debug, Clone, Copy)]
pub struct Unwritten<'a> {
    /// What it leaves alone: whole sectors, ascending, without overlap.
    pub keep: &'a [Range<u64>],
    /// Everything below was written by an earlier run.
    pub from_bytes: u64,
}

/// Writes zeros through the volume's cipher; areas of BitLocker's are left out by the writer.
pub(super) fn fill(
    writer: &VolumeWriter<&dyn WriteAt>,
    unwritten: Unwritten<'_>,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<(), WriteError> {
    let end = writer.map().length_bytes();
    let queue = Queue(Mutex::new(Pending::new(unwritten, end)));
    let thread_count = thread::available_parallelism().map_or(1, usize::from);
    let done = thread::scope(|scope| {
        let workers: Vec<_> =
            (0..thread_count).map(|_| scope.spawn(|| queue.work(writer, progress))).collect();
        workers.into_iter().try_for_each(|worker| match worker.join() {
            Ok(done) => done,
            Err(panic) => std::panic::resume_unwind(panic),
        })
    });
    if done.is_ok() {
        progress(end);
    }
    done
}

/// The slices that are left, shared by the threads.
struct Queue<'a>(Mutex<Pending<'a>>);

impl<'a> Queue<'a> {
    fn work(
        &self,
        writer: &VolumeWriter<&dyn WriteAt>,
        progress: &(dyn Fn(u64) + Sync),
    ) -> Result<(), WriteError> {
        let mut memory =
            vec![0; usize::try_from(SLICE_BYTES).unwrap_or(0).saturating_add(BUFFER_ALIGNMENT_BYTES)];
        // Aligned, so that the target may take it past the page cache.
        let skipped = memory.as_ptr().align_offset(BUFFER_ALIGNMENT_BYTES).min(memory.len());
        let (_, buffer) = memory.split_at_mut(skipped);
        while let Some(slice) = self.next() {
            let length = usize::try_from(slice.end.saturating_sub(slice.start)).unwrap_or(usize::MAX);
            let (zeros, _) = buffer.split_at_mut(length.min(buffer.len()));
            zeros.fill(0);
            if let Err(error) = writer.write_all_at(zeros, slice.start) {
                self.stop();
                return Err(error);
            }
            // Told under the lock, so that offsets only ever grow.
            let mut pending = self.lock();
            progress(pending.finished(slice.start));
        }
        Ok(())
    }

    fn next(&self) -> Option<Range<u64>> {
        self.lock().take()
    }

    /// One failed: the others need not go on.
    fn stop(&self) {
        let mut pending = self.lock();
        pending.position = pending.end;
    }

    fn lock(&self) -> MutexGuard<'_, Pending<'a>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is left to be handed out, and what is out.
struct Pending<'a> {
    keep: &'a [Range<u64>],
    position: u64,
    end: u64,
    in_flight: BTreeSet<u64>,
}

impl Pending<'_> {
    fn new(unwritten: Unwritten<'_>, end: u64) -> Pending<'_> {
        Pending { keep: unwritten.keep, position: unwritten.from_bytes, end, in_flight: BTreeSet::new() }
    }

    /// The next slice; slices end on multiples of their size, so that the writes are aligned.
    fn take(&mut self) -> Option<Range<u64>> {
        while let [kept, rest @ ..] = self.keep {
            if kept.start > self.position {
                break;
            }
            self.position = self.position.max(kept.end);
            self.keep = rest;
        }
        let start = self.position;
        let boundary = start.saturating_sub(start % SLICE_BYTES).saturating_add(SLICE_BYTES);
        let kept = self.keep.first().map_or(self.end, |kept| kept.start);
        let end = boundary.min(kept).min(self.end);
        if start >= end {
            return None;
        }
        self.position = end;
        self.in_flight.insert(start);
        Some(start..end)
    }

    /// Below which offset everything is written, now that this slice is.
    fn finished(&mut self, start: u64) -> u64 {
        self.in_flight.remove(&start);
        self.in_flight.first().copied().unwrap_or(self.position)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn slices_and_kept_ranges_make_the_surface_exactly(
            cuts in proptest::collection::btree_set(0_u64..200_000, 0..20), from in 0_u64..200_000,
        ) {
            let cuts: Vec<u64> = cuts.into_iter().map(|sector| sector * 512).collect();
            let keep: Vec<Range<u64>> =
                cuts.as_chunks::<2>().0.iter().map(|[start, end]| *start..*end).collect();
            let (from_bytes, end) = (from * 512, 200_000 * 512);
            let mut pending = Pending::new(Unwritten { keep: &keep, from_bytes }, end);
            let slices: Vec<Range<u64>> = std::iter::from_fn(|| pending.take()).collect();
            let mut position = from_bytes;
            for slice in &slices {
                prop_assert!(slice.end - slice.start <= SLICE_BYTES);
                // What was passed over is kept, and nothing of the slice is.
                let covered = |at: u64| keep.iter().find(|kept| kept.contains(&at)).map(|kept| kept.end);
                while position < slice.start {
                    let end = covered(position);
                    prop_assert!(end.is_some(), "{position:#x} is neither kept nor written");
                    position = end.unwrap_or(u64::MAX);
                }
                prop_assert!(keep.iter().all(|kept| kept.end <= slice.start || kept.start >= slice.end));
                position = slice.end;
            }
            let rest_is_kept = keep.iter().any(|kept| kept.start <= position && kept.end >= end);
            prop_assert!(position >= end || rest_is_kept);
        }
    }

    #[test]
    fn progress_stops_before_the_oldest_slice_that_is_not_written() {
        let mut pending = Pending::new(Unwritten { keep: &[], from_bytes: 0 }, 3 * SLICE_BYTES);
        let slices: Vec<Range<u64>> = std::iter::from_fn(|| pending.take()).collect();
        assert_eq!(pending.finished(slices[1].start), 0);
        assert_eq!(pending.finished(slices[0].start), 2 * SLICE_BYTES);
        assert_eq!(pending.finished(slices[2].start), 3 * SLICE_BYTES);
    }
}

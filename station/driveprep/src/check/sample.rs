//! How fast the sources read, from a small sample of them.
//!
//! Bounded: at most so many files, bytes and seconds, whatever the sources are. The answer is an
//! estimate and is said to be one: caches, fragmentation and other load are not known.

use std::fs::File;
use std::io::Read;
use std::time::{Duration, Instant};

use crate::work::{ItemId, Work};

/// Most bytes that are read.
const BYTES_MAX: u64 = 256 << 20;
/// Most time that is taken; the read under way is still finished.
const TIME_MAX: Duration = Duration::from_secs(2);
/// Files that are tried, evenly spread over the work.
const FILES_MAX: u64 = 256;
/// Most bytes of one file, so that one large file does not speak for all.
const FILE_BYTES_MAX: u64 = 32 << 20;
const BUFFER_BYTES: usize = 1 << 20;

/// What was read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sample {
    /// Bytes.
    pub(super) bytes: u64,
    /// Files that could be read.
    pub(super) files: u64,
    /// All of it.
    pub(super) took: Duration,
    /// Of it, opening files.
    opening: Duration,
}

impl Sample {
    /// Reads a sample; `None` when nothing could be read.
    pub(super) fn read(work: &Work) -> Option<Sample> {
        let mut sample = Sample { bytes: 0, files: 0, took: Duration::ZERO, opening: Duration::ZERO };
        let mut buffer = vec![0; BUFFER_BYTES];
        let start = Instant::now();
        for item in spread(work.len() as u64) {
            if sample.bytes >= BYTES_MAX || start.elapsed() >= TIME_MAX {
                break;
            }
            let opened = Instant::now();
            let file = File::open(work.item(item).source_path());
            sample.opening += opened.elapsed();
            // What cannot be read is a finding already.
            if let Ok(bytes) = file.and_then(|file| swallow(file, &mut buffer, start)) {
                sample.bytes += bytes;
                sample.files += 1;
            }
        }
        sample.took = start.elapsed();
        (sample.files > 0).then_some(sample)
    }

    /// How fast bytes came, opening aside.
    pub(super) fn bytes_per_second(&self) -> u64 {
        let reading = self.took.saturating_sub(self.opening).max(Duration::from_micros(1));
        let per_second = u128::from(self.bytes) * 1_000_000 / reading.as_micros().max(1);
        u64::try_from(per_second).unwrap_or(u64::MAX).max(1)
    }

    /// How long all of the work takes at that speed: its bytes, and the opening of its files.
    pub(super) fn estimate(&self, work: &Work) -> Duration {
        let reading = work.length_bytes() / self.bytes_per_second();
        let opening = self.opening.as_micros() * (work.len() as u128) / u128::from(self.files.max(1));
        Duration::from_secs(reading) + Duration::from_micros(u64::try_from(opening).unwrap_or(u64::MAX))
    }
}

/// Items evenly spread over the work.
fn spread(count: u64) -> impl Iterator<Item = ItemId> {
    let taken = count.min(FILES_MAX);
    (0..taken).filter_map(move |nth| u32::try_from(nth * count / taken).ok().map(ItemId))
}

fn swallow(file: File, buffer: &mut [u8], start: Instant) -> std::io::Result<u64> {
    let mut bytes = 0;
    let mut file = file.take(FILE_BYTES_MAX);
    while start.elapsed() < TIME_MAX {
        match file.read(buffer)? {
            0 => break,
            read => bytes += read as u64,
        }
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::work::tests::work_of;

    #[test]
    fn the_sample_is_spread_over_the_work() {
        let ids = |count| spread(count).map(|id| id.0).collect::<Vec<_>>();
        assert_eq!(ids(0), Vec::<u32>::new());
        assert_eq!(ids(3), [0, 1, 2]);
        let many = ids(1_000_000);
        assert_eq!((many.len(), many[0], many[128]), (256, 0, 500_000));
    }

    #[test]
    fn the_estimate_counts_bytes_and_files() {
        let sample = Sample {
            bytes: 100_000_000,
            files: 10,
            took: Duration::from_millis(1_100),
            opening: Duration::from_millis(100),
        };
        assert_eq!(sample.bytes_per_second(), 100_000_000);
        let work = work_of(&[("a", 1_000_000_000), ("b", 0)]);
        assert_eq!(sample.estimate(&work), Duration::from_millis(10_020));
    }

    #[test]
    fn nothing_to_read_gives_no_estimate() {
        assert!(Sample::read(&work_of(&[])).is_none());
        assert!(Sample::read(&work_of(&[("not/there", 5)])).is_none());
    }
}

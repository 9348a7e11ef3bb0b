//! Finds a name in a directory without a map per directory: one table of all names.
//!
//! Names are spread over buckets by a keyed hash of (parent, name in upper case); a bucket is a
//! range of one array of record numbers, which costs five bytes a name. Nothing is compared while
//! the table is built, so a volume with ten million equal names takes no longer to open than any
//! other. Whether a candidate is the name that was asked for is seen in its entry.

use std::hash::{BuildHasher, Hasher, RandomState};

use super::Index;
use super::entry::Item;
use crate::upcase::UpCase;
use crate::wtf8;

/// Names in a bucket, on average: more save memory, fewer save comparisons.
const NAMES_PER_BUCKET: u64 = 4;
/// Candidates of one bucket that are looked at. With four on average no honest volume comes near:
/// more than 24 are expected once in 10^11 buckets. Many files of one name in one directory do.
pub(crate) const CANDIDATES_MAX: usize = 64;
/// A name has at most 255 units on NTFS.
pub(crate) const NAME_UNITS_MAX: usize = 255;

/// See the module's documentation.
pub(crate) struct Names {
    hasher: RandomState,
    /// First position in `records` of each bucket, and one past the last.
    starts: Vec<u32>,
    records: Vec<u32>,
}

impl Names {
    /// Builds the table of all names of a sealed index. `count` is how many there are.
    pub(crate) fn build(index: &Index, upcase: &UpCase, count: u64) -> Names {
        let buckets = count.div_ceil(NAMES_PER_BUCKET).max(1);
        let mut names = Names {
            hasher: RandomState::new(),
            starts: vec![0; crate::bytes::in_memory(buckets.saturating_add(1))],
            records: vec![0; crate::bytes::in_memory(count)],
        };
        names.count(index, upcase);
        names.fill(index, upcase);
        names
    }

    /// Makes `starts` hold the end of each bucket.
    fn count(&mut self, index: &Index, upcase: &UpCase) {
        for_each_name(index, |_, parent, name| {
            let bucket = self.bucket(parent, wtf8::units(name), upcase);
            if let Some(count) = self.starts.get_mut(bucket) {
                *count = count.saturating_add(1);
            }
        });
        let mut end = 0_u32;
        for start in &mut self.starts {
            end = end.saturating_add(*start);
            *start = end;
        }
    }

    /// Fills each bucket from its end, which leaves `starts` at the beginnings.
    fn fill(&mut self, index: &Index, upcase: &UpCase) {
        for_each_name(index, |record, parent, name| {
            let bucket = self.bucket(parent, wtf8::units(name), upcase);
            let Some(start) = self.starts.get_mut(bucket) else { return };
            *start = start.saturating_sub(1);
            let slot = usize::try_from(*start).ok().and_then(|slot| self.records.get_mut(slot));
            if let (Some(slot), Ok(record)) = (slot, u32::try_from(record)) {
                *slot = record;
            }
        });
    }

    fn bucket(&self, parent: u64, units: impl Iterator<Item = u16>, upcase: &UpCase) -> usize {
        let mut bytes = [0_u8; 2 * NAME_UNITS_MAX];
        let mut length = 0_usize;
        for (slot, unit) in bytes.chunks_exact_mut(2).zip(units) {
            slot.copy_from_slice(&upcase.unit(unit).to_le_bytes());
            length = length.saturating_add(2);
        }
        let mut hasher = self.hasher.build_hasher();
        hasher.write_u64(parent);
        hasher.write(bytes.get(..length).unwrap_or(&[]));
        // The last element of `starts` is no bucket. The high half of the product is below `buckets`.
        let buckets = u128::from(crate::bytes::on_volume(self.starts.len().saturating_sub(1)));
        let scaled = u128::from(hasher.finish()).saturating_mul(buckets);
        usize::try_from(scaled >> 64_u32).unwrap_or(0)
    }

    /// Records (base or extension) that may hold the name `units` in the directory `parent`.
    /// One may come up more than once.
    pub(crate) fn candidates(&self, parent: u64, units: &[u16], upcase: &UpCase) -> &[u32] {
        let bucket = self.bucket(parent, units.iter().copied(), upcase);
        let position = |bucket: usize| self.starts.get(bucket).and_then(|&start| usize::try_from(start).ok());
        let range = position(bucket).zip(position(bucket.saturating_add(1)));
        range.and_then(|(start, end)| self.records.get(start..end)).unwrap_or(&[])
    }

    /// How many names there are.
    pub(crate) fn len(&self) -> usize {
        self.records.len()
    }

    /// Memory taken.
    pub(crate) fn bytes(&self) -> u64 {
        crate::bytes::on_volume(self.starts.len().saturating_add(self.records.len()).saturating_mul(4))
    }
}

fn for_each_name(index: &Index, mut each: impl FnMut(u64, u64, &[u8])) {
    for record in 0..index.records() {
        let Some((_, items)) = index.entry(record) else { continue };
        for item in items {
            if let Item::Name { parent, name } = item {
                each(record, parent.record, name);
            }
        }
    }
}

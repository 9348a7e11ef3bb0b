//! The written ranges of a page blob: disjoint, merged where they touch, in ascending order.

use std::collections::BTreeMap;
use std::ops::Range;

use serde::{Deserialize, Serialize};

/// A set of bytes, kept as disjoint half-open ranges that never touch.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Ranges(BTreeMap<u64, u64>);

impl Ranges {
    /// Adds a range.
    pub(crate) fn insert(&mut self, range: Range<u64>) {
        if range.is_empty() {
            return;
        }
        let Range { mut start, mut end } = range;
        // Whatever overlaps or touches becomes a part of the new range.
        while let Some((&other_start, &other_end)) = self.0.range(..=end).next_back() {
            if other_end < start {
                break;
            }
            start = start.min(other_start);
            end = end.max(other_end);
            self.0.remove(&other_start);
        }
        self.0.insert(start, end);
    }

    /// Takes a range away; what it cuts stays on both sides.
    pub(crate) fn remove(&mut self, range: Range<u64>) {
        let cut: Vec<(u64, u64)> = self.overlapping(&range).collect();
        for (start, end) in cut {
            self.0.remove(&start);
            self.insert(start..range.start.min(end).max(start));
            self.insert(range.end.max(start).min(end)..end);
        }
    }

    /// The parts of the set that lie inside a range.
    pub(crate) fn within(&self, range: Range<u64>) -> Vec<Range<u64>> {
        self.overlapping(&range).map(|(start, end)| start.max(range.start)..end.min(range.end)).collect()
    }

    /// Whole ranges that share at least one byte with `range`.
    fn overlapping<'a>(&'a self, range: &Range<u64>) -> impl Iterator<Item = (u64, u64)> + use<'a> {
        let Range { start, end } = range.clone();
        let first = self.0.range(..start).next_back().map_or(start, |(&first, _)| first);
        let inside = if start < end { self.0.range(first..end) } else { self.0.range(end..end) };
        inside.map(|(&start, &end)| (start, end)).filter(move |(_, other_end)| *other_end > start)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_of_ranges_answers_like_a_set_of_bytes_after_any_sequence_of_changes() {
        let mut state = 7_u64;
        let mut random = |below: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % below
        };
        let (mut ranges, mut bytes) = (Ranges::default(), [false; 64]);
        for _ in 0..2_000 {
            let start = random(64);
            let end = start + random(65 - start);
            let insert = random(2) == 0;
            if insert {
                ranges.insert(start..end)
            } else {
                ranges.remove(start..end)
            }
            bytes[usize::try_from(start).unwrap()..usize::try_from(end).unwrap()].fill(insert);
            let from = random(64);
            let to = from + random(65 - from);
            let mut seen = [false; 64];
            for range in ranges.within(from..to) {
                assert!(!range.is_empty() && range.start >= from && range.end <= to);
                seen[usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap()].fill(true);
            }
            let expected: Vec<bool> =
                (0..64).map(|at| (from..to).contains(&at) && bytes[usize::try_from(at).unwrap()]).collect();
            assert_eq!(seen.to_vec(), expected);
            let whole = ranges.within(0..64);
            assert!(whole.windows(2).all(|pair| pair[0].end < pair[1].start), "{whole:?} touch");
        }
    }
}

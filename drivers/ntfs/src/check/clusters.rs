//! Which clusters belong to a stream: a bitmap in chunks, of which only mixed ones take memory.
//!
//! Large files fill whole chunks and free space is none, so a drive of 16 TiB with 4 KiB clusters,
//! whose plain bitmap has 512 MiB, usually needs a few. Volumes of more than 2^32 clusters are
//! refused before (Windows has none), so the table itself stays below 400 KiB.

use crate::bytes::{in_memory, on_volume};

/// Clusters of a chunk: 32 KiB of bitmap.
pub(super) const CHUNK_CLUSTERS: u64 = 1 << 18;
const CHUNK_WORDS: usize = 1 << 12;
const WORD_BITS: u64 = 64;
/// More clusters than Windows can count.
pub(crate) const CLUSTERS_MAX: u64 = 1 << 32;

#[derive(Clone)]
enum Chunk {
    Free,
    Used,
    Mixed(Box<[u64]>),
}

/// Consecutive clusters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Range {
    pub(super) lcn: u64,
    pub(super) clusters: u64,
}

/// See the module's documentation.
pub(super) struct ClusterMap {
    chunks: Vec<Chunk>,
}

impl ClusterMap {
    pub(super) fn new(clusters: u64) -> ClusterMap {
        ClusterMap { chunks: vec![Chunk::Free; in_memory(clusters.div_ceil(CHUNK_CLUSTERS))] }
    }

    /// Marks clusters as used; gives the first of them that were already, if any.
    pub(super) fn mark(&mut self, lcn: u64, clusters: u64) -> Option<Range> {
        let end = lcn.saturating_add(clusters);
        let (mut at, mut shared) = (lcn, None);
        while at < end {
            let (nth, first) = (at >> 18_u32, at & (CHUNK_CLUSTERS - 1));
            let count = CHUNK_CLUSTERS.saturating_sub(first).min(end.saturating_sub(at));
            let chunk = self.chunks.get_mut(in_memory(nth))?;
            if let Some(mut found) = chunk.mark(first, count) {
                found.lcn = found.lcn.saturating_add(at.saturating_sub(first));
                shared = shared.or(Some(found));
            }
            at = at.saturating_add(count);
        }
        shared
    }

    /// Compares a chunk with that part of `$Bitmap`; calls back with each word that differs:
    /// (its first cluster, bits here, bits there). `valid` clusters of the chunk are compared.
    pub(super) fn compare(
        &self,
        nth: u64,
        bitmap: &[u8],
        valid: u64,
        differs: &mut dyn FnMut(u64, u64, u64),
    ) {
        let Some(chunk) = self.chunks.get(in_memory(nth)) else { return };
        let base = nth.saturating_mul(CHUNK_CLUSTERS);
        for (word, bytes) in bitmap.chunks(8).enumerate().take(CHUNK_WORDS) {
            let first = on_volume(word).saturating_mul(WORD_BITS);
            let mut there = [0; 8];
            there.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
            let mask = mask(0, valid.saturating_sub(first).min(WORD_BITS));
            let (here, there) = (chunk.word(word) & mask, u64::from_le_bytes(there) & mask);
            if here != there {
                differs(base.saturating_add(first), here, there);
            }
        }
    }
}

impl Chunk {
    fn word(&self, word: usize) -> u64 {
        match self {
            Chunk::Free => 0,
            Chunk::Used => u64::MAX,
            Chunk::Mixed(words) => words.get(word).copied().unwrap_or(0),
        }
    }

    fn mark(&mut self, first: u64, count: u64) -> Option<Range> {
        match self {
            Chunk::Used => return Some(Range { lcn: first, clusters: count }),
            Chunk::Free if count == CHUNK_CLUSTERS => {
                *self = Chunk::Used;
                return None;
            }
            Chunk::Free => *self = Chunk::Mixed(vec![0; CHUNK_WORDS].into_boxed_slice()),
            Chunk::Mixed(_) => {}
        }
        let Chunk::Mixed(words) = self else { return None };
        let shared = mark_words(words, first, count);
        if count == CHUNK_CLUSTERS {
            *self = Chunk::Used;
        }
        shared
    }
}

fn mark_words(words: &mut [u64], first: u64, count: u64) -> Option<Range> {
    let end = first.saturating_add(count);
    let (mut at, mut shared) = (first, None::<Range>);
    while at < end {
        let (word, bit) = (in_memory(at >> 6_u32), at & (WORD_BITS - 1));
        let bits = WORD_BITS.saturating_sub(bit).min(end.saturating_sub(at));
        let mask = mask(bit, bits);
        let slot = words.get_mut(word)?;
        let taken = *slot & mask;
        if taken != 0 {
            let found = Range {
                lcn: at.saturating_sub(bit).saturating_add(taken.trailing_zeros().into()),
                clusters: taken.count_ones().into(),
            };
            shared = Some(match shared {
                None => found,
                Some(before) => Range { clusters: before.clusters.saturating_add(found.clusters), ..before },
            });
        }
        *slot |= mask;
        at = at.saturating_add(bits);
    }
    shared
}

/// `count` bits from `first` on.
fn mask(first: u64, count: u64) -> u64 {
    let ones = match count {
        0 => 0,
        64.. => u64::MAX,
        _ => u64::MAX.unbounded_shr(u32::try_from(WORD_BITS.saturating_sub(count)).unwrap_or(64)),
    };
    ones.unbounded_shl(u32::try_from(first).unwrap_or(64))
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig::with_cases(24))]

        #[test]
        fn the_map_agrees_with_a_plain_list(
            runs in proptest::collection::vec((0_u64..600_000, 1_u64..300_000), 1..6)
        ) {
            const CLUSTERS: u64 = 900_000;
            let (mut map, mut list) = (ClusterMap::new(CLUSTERS), vec![false; CLUSTERS as usize]);
            for (lcn, clusters) in runs {
                let range = &mut list[lcn as usize..(lcn + clusters) as usize];
                let shared = range.iter().position(|used| *used).map(|at| lcn + at as u64);
                range.fill(true);
                proptest::prop_assert_eq!(map.mark(lcn, clusters).map(|range| range.lcn), shared);
            }
            let mut seen = vec![false; CLUSTERS as usize];
            for nth in 0..CLUSTERS.div_ceil(CHUNK_CLUSTERS) {
                let valid = (CLUSTERS - nth * CHUNK_CLUSTERS).min(CHUNK_CLUSTERS);
                map.compare(nth, &[0; CHUNK_WORDS * 8], valid, &mut |first, here, there| {
                    assert_eq!(there, 0);
                    (0..64).filter(|bit| here >> bit & 1 == 1).for_each(|bit| seen[(first + bit) as usize] = true);
                });
            }
            proptest::prop_assert!(seen == list);
        }
    }

    #[test]
    fn a_chunk_that_is_full_takes_no_memory() {
        let mut map = ClusterMap::new(4 * CHUNK_CLUSTERS);
        assert_eq!(map.mark(0, 3 * CHUNK_CLUSTERS), None);
        assert!(matches!(map.chunks[2], Chunk::Used) && matches!(map.chunks[3], Chunk::Free));
        let shared = map.mark(2 * CHUNK_CLUSTERS + 5, CHUNK_CLUSTERS);
        assert_eq!(shared, Some(Range { lcn: 2 * CHUNK_CLUSTERS + 5, clusters: CHUNK_CLUSTERS - 5 }));
    }
}

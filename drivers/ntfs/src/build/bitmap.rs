//! Bitmaps: which clusters, records and index blocks are in use. spec/ntfs.md §5 "`$Bitmap`".

use super::fields::Fields;
use super::space::Stretch;
use crate::bytes::{in_memory, on_volume};

/// Bits of a bitmap that are made at a time: 1 MiB of it.
const CHUNK_BITS: u64 = 8 << 20;

/// `count` bits that are set, filled up with clear ones to whole words of 64.
pub(super) fn first_bits(count: u64) -> Vec<u8> {
    let mut bytes = vec![0; in_memory(count.div_ceil(64).saturating_mul(8))];
    set(&mut bytes, 0, count);
    bytes
}

/// Sets `[from, to)`.
fn set(bytes: &mut [u8], from: u64, to: u64) {
    let byte = |bit: u64| in_memory(bit / 8);
    let (whole_from, whole_to) = (from.div_ceil(8), to / 8);
    if whole_from < whole_to
        && let Some(whole) = bytes.get_mut(in_memory(whole_from)..in_memory(whole_to))
    {
        whole.fill(0xff);
    }
    let head = from..to.min(whole_from.saturating_mul(8));
    let tail = from.max(whole_to.saturating_mul(8)).max(head.end)..to;
    for bit in head.chain(tail) {
        if let Some(byte) = bytes.get_mut(byte(bit)) {
            *byte |= 1_u8.wrapping_shl(u32::try_from(bit % 8).unwrap_or(0));
        }
    }
}

/// Clusters in use, collected in any order. Neighbours are joined as they come, so that a million
/// files in a row are one stretch.
#[derive(Default)]
pub(super) struct UsedClusters {
    stretches: Vec<Stretch>,
}

impl UsedClusters {
    pub(super) fn add(&mut self, stretch: Stretch) {
        if stretch.clusters == 0 {
            return;
        }
        match self.stretches.last_mut() {
            Some(last) if last.end() == stretch.lcn => {
                last.clusters = last.clusters.saturating_add(stretch.clusters);
            }
            _ => self.stretches.push(stretch),
        }
    }

    /// How many there are.
    pub(super) fn clusters(&self) -> u64 {
        self.stretches.iter().fold(0, |sum, stretch| sum.saturating_add(stretch.clusters))
    }

    /// As stretches, in the order in which they were added.
    pub(super) fn into_stretches(self) -> Vec<Stretch> {
        self.stretches
    }

    /// The bitmap of `bits` bits, a part at a time; what is at `end` and past it is in use, for it is
    /// not on the volume.
    pub(super) fn bitmap(mut self, end: u64, bits: u64) -> impl Iterator<Item = Vec<u8>> {
        self.add(Stretch { lcn: end, clusters: bits.saturating_sub(end) });
        self.stretches.sort_unstable();
        let mut next = 0_usize;
        (0..bits.div_ceil(CHUNK_BITS)).map(move |chunk| {
            let first = chunk.saturating_mul(CHUNK_BITS);
            let behind = first.saturating_add(CHUNK_BITS).min(bits);
            let mut bytes = vec![0; in_memory(behind.saturating_sub(first).div_ceil(8))];
            while let Some(stretch) = self.stretches.get(next).filter(|stretch| stretch.lcn < behind) {
                let (from, to) = (stretch.lcn.max(first), stretch.end().min(behind));
                set(&mut bytes, from.saturating_sub(first), to.saturating_sub(first));
                if stretch.end() > behind {
                    break;
                }
                next = next.saturating_add(1);
            }
            bytes
        })
    }
}

/// A bit for each of `count`, in whole words of 64.
pub(super) fn collect(count: u64, mut is_set: impl FnMut(u64) -> bool) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(in_memory(on_volume(in_memory(count)).div_ceil(64).saturating_mul(8)));
    for word in 0..count.div_ceil(64) {
        let first = word.saturating_mul(64);
        let bits = (first..first.saturating_add(64).min(count)).zip(0_u32..);
        let value = bits
            .filter(|&(number, _)| is_set(number))
            .fold(0_u64, |value, (_, bit)| value | 1_u64.wrapping_shl(bit));
        bytes.put_u64(value);
    }
    bytes
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn is_set(bytes: &[u8], bit: u64) -> bool {
        bytes[(bit / 8) as usize] >> (bit % 8) & 1 == 1
    }

    proptest! {
        #[test]
        fn exactly_the_used_clusters_and_what_is_past_the_end_are_set(
            stretches in proptest::collection::vec((0_u64..1_000, 1_u64..100), 0..20),
            end in 0_u64..1_500,
        ) {
            let mut used = UsedClusters::default();
            // Apart from each other, in an order that is not theirs.
            let mut lcn = 0;
            let mut all: Vec<Stretch> = stretches
                .iter()
                .map(|&(gap, clusters)| {
                    let stretch = Stretch { lcn: lcn + gap % 7, clusters };
                    lcn = stretch.end();
                    stretch
                })
                .collect();
            all.reverse();
            let end = end.max(lcn);
            all.iter().for_each(|&stretch| used.add(stretch));
            prop_assert_eq!(used.clusters(), all.iter().map(|stretch| stretch.clusters).sum::<u64>());
            let bits = end.next_multiple_of(64);
            let bytes: Vec<u8> = used.bitmap(end, bits).flatten().collect();
            prop_assert_eq!(bytes.len() as u64, bits / 8);
            for bit in 0..bits {
                let expected = bit >= end || all.iter().any(|s| s.lcn <= bit && bit < s.end());
                prop_assert_eq!(is_set(&bytes, bit), expected, "bit {}", bit);
            }
        }

        #[test]
        fn the_first_bits_are_set_and_no_other(count in 0_u64..1_000) {
            let bytes = first_bits(count);
            prop_assert_eq!(bytes.len() as u64, count.div_ceil(64) * 8);
            for bit in 0..bytes.len() as u64 * 8 {
                prop_assert_eq!(is_set(&bytes, bit), bit < count);
            }
            prop_assert_eq!(collect(count, |_| true), bytes);
        }
    }

    #[test]
    fn a_stretch_may_span_several_parts_of_a_bitmap() {
        let mut used = UsedClusters::default();
        used.add(Stretch { lcn: 5, clusters: 3 * CHUNK_BITS });
        used.add(Stretch { lcn: 4 * CHUNK_BITS - 1, clusters: 2 });
        let bits = 5 * CHUNK_BITS;
        let bytes: Vec<u8> = used.bitmap(bits, bits).flatten().collect();
        let ones: u64 = bytes.iter().map(|byte| u64::from(byte.count_ones())).sum();
        assert_eq!(ones, 3 * CHUNK_BITS + 2);
        assert!(is_set(&bytes, 3 * CHUNK_BITS + 4) && !is_set(&bytes, 3 * CHUNK_BITS + 5));
        assert!(is_set(&bytes, 4 * CHUNK_BITS) && !is_set(&bytes, 4 * CHUNK_BITS + 1));
    }
}

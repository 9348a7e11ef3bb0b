//! What a packed file holds: bytes that follow from a seed, so that no golden file is needed.
//!
//! Invariant: the byte at a position depends on the seed and the position only, so any part can be
//! made again by anyone, in any order.

use std::ops::Range;

/// The content of one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// Noise that does not compress and in which no two blocks are equal.
    Random {
        /// Two files of one seed hold the same bytes.
        seed: u64,
        /// Length in bytes.
        length_bytes: u64,
    },
    /// Nothing but zeros, written out (not sparse).
    Zeros {
        /// Length in bytes.
        length_bytes: u64,
    },
    /// These very bytes.
    Literal(Vec<u8>),
    /// Noise in `data`, and holes between: zeros that take no clusters.
    Sparse {
        /// As for [`Content::Random`].
        seed: u64,
        /// Length in bytes, holes included.
        length_bytes: u64,
        /// Byte ranges that hold noise, ascending and apart from each other.
        data: Vec<Range<u64>>,
    },
}

impl Content {
    /// Length in bytes.
    pub fn length_bytes(&self) -> u64 {
        match self {
            Content::Random { length_bytes, .. }
            | Content::Zeros { length_bytes }
            | Content::Sparse { length_bytes, .. } => *length_bytes,
            Content::Literal(bytes) => bytes.len() as u64,
        }
    }

    /// Fills `buffer` with the content from `offset_bytes` on; past the end it is zeros.
    pub fn fill(&self, buffer: &mut [u8], offset_bytes: u64) {
        match self {
            Content::Random { seed, length_bytes } => {
                fill_range(buffer, offset_bytes, &(0..*length_bytes), *seed);
            }
            Content::Zeros { .. } => buffer.fill(0),
            Content::Literal(bytes) => {
                buffer.fill(0);
                let start = usize::try_from(offset_bytes).unwrap_or(usize::MAX).min(bytes.len());
                let length = buffer.len().min(bytes.len() - start);
                buffer[..length].copy_from_slice(&bytes[start..start + length]);
            }
            Content::Sparse { seed, data, .. } => {
                buffer.fill(0);
                data.iter().for_each(|range| fill_range(buffer, offset_bytes, range, *seed));
            }
        }
    }

    /// The ranges that are written; what is between them is left a hole.
    pub fn written_ranges(&self) -> Vec<Range<u64>> {
        match self {
            Content::Sparse { data, .. } => data.clone(),
            other => std::iter::once(0..other.length_bytes()).collect(),
        }
    }
}

/// Puts noise where `buffer`, which starts at `offset_bytes`, meets `range`.
fn fill_range(buffer: &mut [u8], offset_bytes: u64, range: &Range<u64>, seed: u64) {
    let end = offset_bytes + buffer.len() as u64;
    let (start, stop) = (range.start.max(offset_bytes), range.end.min(end));
    if start >= stop {
        return;
    }
    let within = |position: u64| usize::try_from(position - offset_bytes).expect("inside the buffer");
    fill_noise(&mut buffer[within(start)..within(stop)], start, seed);
}

fn fill_noise(buffer: &mut [u8], offset_bytes: u64, seed: u64) {
    let skip = usize::try_from(offset_bytes % 8).expect("below 8");
    let (head, body) = buffer.split_at_mut(((8 - skip) % 8).min(buffer.len()));
    head.copy_from_slice(&noise_word(offset_bytes / 8, seed)[skip..][..head.len()]);
    let first_word = offset_bytes.div_ceil(8);
    for (chunk, index) in body.chunks_mut(8).zip(first_word..) {
        chunk.copy_from_slice(&noise_word(index, seed)[..chunk.len()]);
    }
}

/// SplitMix64 (Steele, Lea, Flood 2014) as a counter-based generator.
fn noise_word(index: u64, seed: u64) -> [u8; 8] {
    let golden = 0x9E37_79B9_7F4A_7C15_u64;
    let mut word = seed.wrapping_mul(0xD134_2543_DE82_EF95).wrapping_add(index.wrapping_mul(golden));
    word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    (word ^ (word >> 31)).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_part_of_a_content_is_the_same_as_in_the_whole() {
        let contents = [
            Content::Random { seed: 7, length_bytes: 1_000 },
            Content::Literal((0..=255).collect()),
            Content::Sparse { seed: 7, length_bytes: 1_000, data: vec![3..50, 499..731] },
        ];
        for content in contents {
            let mut whole = vec![0xAA; 1_000];
            content.fill(&mut whole, 0);
            for (start, end) in [(0, 1_000), (1, 2), (5, 8), (7, 600), (250, 260), (333, 999), (999, 1_000)] {
                let mut part = vec![0xAA; end - start];
                content.fill(&mut part, start as u64);
                assert_eq!(part, whole[start..end], "{content:?} {start}..{end}");
            }
        }
    }

    #[test]
    fn equal_seeds_give_equal_bytes_and_others_do_not() {
        let noise = |seed| {
            let mut bytes = vec![0; 4_096];
            Content::Random { seed, length_bytes: 4_096 }.fill(&mut bytes, 0);
            bytes
        };
        assert_eq!(noise(1), noise(1));
        assert_ne!(noise(1), noise(2));
        assert_ne!(noise(1)[..2_048], noise(1)[2_048..]);
    }

    #[test]
    fn holes_are_zeros_and_not_written() {
        let content = Content::Sparse { seed: 1, length_bytes: 100, data: vec![10..20, 30..40] };
        let mut bytes = vec![1; 100];
        content.fill(&mut bytes, 0);
        assert!(bytes[..10].iter().chain(&bytes[20..30]).chain(&bytes[40..]).all(|byte| *byte == 0));
        assert!(bytes[10..20].iter().any(|byte| *byte != 0));
        assert_eq!(content.written_ranges(), [10..20, 30..40]);
    }
}

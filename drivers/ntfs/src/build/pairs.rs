//! Mapping pairs, written: the counterpart of [`crate::runs`]. spec/ntfs.md §5 "Runs".
//!
//! Numbers take as few bytes as two's complement allows, as Windows writes them: 128 clusters need
//! two bytes, because one would be read as -128.

use crate::runs::Run;

/// Most bytes that one pair can take: header, length, distance. Neither a volume nor a file has more
/// than 2^32 clusters here, so five bytes hold each with its sign.
pub(super) const PAIR_BYTES_MAX: usize = 1 + 5 + 5;

/// Mapping pairs in the making.
#[derive(Default)]
pub(super) struct Pairs {
    bytes: Vec<u8>,
    before: u64,
}

impl Pairs {
    /// Appends a run.
    pub(super) fn push(&mut self, run: Run) {
        let length = run.clusters.to_le_bytes();
        let length_bytes = signed_length(run.clusters);
        match run.lcn {
            None => self.pair(&length, length_bytes, &[], 0),
            Some(lcn) => {
                // Two's complement: the difference of any two clusters fits.
                let distance = lcn.wrapping_sub(self.before);
                self.before = lcn;
                self.pair(&length, length_bytes, &distance.to_le_bytes(), signed_length(distance));
            }
        }
    }

    fn pair(&mut self, length: &[u8], length_bytes: u8, distance: &[u8], distance_bytes: u8) {
        self.bytes.push(distance_bytes.wrapping_shl(4) | length_bytes);
        self.bytes.extend(length.iter().take(length_bytes.into()));
        self.bytes.extend(distance.iter().take(distance_bytes.into()));
    }

    /// Bytes so far, without the end mark.
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// The pairs with their end mark.
    pub(super) fn finish(mut self) -> Vec<u8> {
        self.bytes.push(0);
        self.bytes
    }
}

/// All runs of a stream, with the end mark.
pub(super) fn encode(runs: impl IntoIterator<Item = Run>) -> Vec<u8> {
    let mut pairs = Pairs::default();
    runs.into_iter().for_each(|run| pairs.push(run));
    pairs.finish()
}

/// Bytes of the shortest two's complement form of a number given as its 64 bits.
pub(super) fn signed_length(value: u64) -> u8 {
    let magnitude = if value.leading_ones() > 0 { !value } else { value };
    let bits = u64::BITS.saturating_sub(magnitude.leading_zeros());
    // One more for the sign: seven bits fit into one byte, eight do not.
    u8::try_from((bits / 8).saturating_add(1)).unwrap_or(8)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::runs::Runs;

    const CLUSTERS: u64 = 1 << 33;

    proptest! {
        #[test]
        fn the_reader_decodes_what_was_encoded(
            runs in proptest::collection::vec((proptest::option::of(0_u64..1 << 32), 1_u64..1 << 32), 0..40)
        ) {
            let runs: Vec<Run> = runs.into_iter().map(|(lcn, clusters)| Run { lcn, clusters }).collect();
            let bytes = encode(runs.clone());
            prop_assert!(bytes.len() <= runs.len() * PAIR_BYTES_MAX + 1);
            let decoded: Result<Vec<Run>, _> = Runs::new(&bytes, CLUSTERS).collect();
            prop_assert_eq!(decoded.unwrap(), runs);
        }
    }

    #[test]
    fn numbers_are_as_short_as_their_sign_allows() {
        let length = |value: i64| signed_length(value.cast_unsigned());
        for (value, bytes) in [
            (0, 1),
            (1, 1),
            (127, 1),
            (128, 2),
            (-128, 1),
            (-129, 2),
            (32_767, 2),
            (32_768, 3),
            (i64::MAX, 8),
        ] {
            assert_eq!(length(value), bytes, "{value}");
        }
        assert_eq!(encode([Run { lcn: Some(0), clusters: 128 }]), [0x12, 128, 0, 0, 0]);
        assert_eq!(encode([Run { lcn: None, clusters: 3 }]), [0x01, 3, 0]);
    }
}

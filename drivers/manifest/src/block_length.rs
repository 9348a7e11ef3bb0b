//! How long the blocks of a block blob are made: azure-import-export.md §1.5.
//!
//! Invariant: a blob that the service can take (50,000 blocks of 100 MiB) never gets more than 50,000
//! blocks, nor longer ones than 100 MiB.

use crate::limits::{BLOCK_BYTES_MAX, BLOCKS_MAX};

/// The block length that tools use: §1.5, "REC writer".
const TOOL_BYTES: u64 = 4 << 20;

/// How long blocks are wanted; 4 MiB unless something else is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockLength(u64);

impl BlockLength {
    /// Blocks of that many bytes; `None` when the format has no such blocks.
    pub fn new(bytes: u64) -> Option<BlockLength> {
        (1..=BLOCK_BYTES_MAX).contains(&bytes).then_some(BlockLength(bytes))
    }

    /// What was wanted.
    pub fn bytes(self) -> u64 {
        self.0
    }

    /// The block length for a blob of that length: what was wanted, or for a blob that needs more than
    /// 50,000 of those the smallest multiple of it that does. Where that is longer than a block may be,
    /// the smallest multiple of 4 MiB that does.
    pub fn of_blob(self, blob_length_bytes: u64) -> u64 {
        let blocks_max = u64::try_from(BLOCKS_MAX).unwrap_or(u64::MAX);
        let least = blob_length_bytes.div_ceil(blocks_max).max(1);
        let multiple = |unit: u64| least.div_ceil(unit).saturating_mul(unit);
        let grown = multiple(self.0);
        if grown <= BLOCK_BYTES_MAX { grown } else { multiple(TOOL_BYTES) }
    }
}

impl Default for BlockLength {
    fn default() -> BlockLength {
        BlockLength(TOOL_BYTES)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BLOB_BYTES_MAX: u64 = 50_000 * BLOCK_BYTES_MAX;

    #[test]
    fn blocks_grow_only_when_50_000_of_them_are_not_enough() {
        let limit = 50_000 * TOOL_BYTES;
        for (blob_bytes, expected) in [
            (0, TOOL_BYTES),
            (1, TOOL_BYTES),
            (limit, TOOL_BYTES),
            (limit + 1, 2 * TOOL_BYTES),
            (2 * limit, 2 * TOOL_BYTES),
            (2 * limit + 1, 3 * TOOL_BYTES),
            (BLOB_BYTES_MAX, BLOCK_BYTES_MAX),
        ] {
            assert_eq!(BlockLength::default().of_blob(blob_bytes), expected, "{blob_bytes}");
        }
    }

    #[test]
    fn blocks_that_cannot_grow_by_their_own_length_grow_by_4_mib() {
        let long = BlockLength::new(60 << 20).unwrap();
        assert_eq!(long.of_blob(50_000 * (60 << 20)), 60 << 20);
        assert_eq!(long.of_blob(50_000 * (60 << 20) + 1), 64 << 20);
        assert_eq!(long.of_blob(BLOB_BYTES_MAX), BLOCK_BYTES_MAX);
    }

    #[test]
    fn the_format_has_no_empty_blocks_and_none_beyond_100_mib() {
        assert_eq!(BlockLength::new(0), None);
        assert_eq!(BlockLength::new(BLOCK_BYTES_MAX + 1), None);
        assert_eq!(BlockLength::new(1).map(BlockLength::bytes), Some(1));
    }

    proptest! {
        #[test]
        fn no_blob_gets_too_many_or_too_long_blocks(wanted in 1..=BLOCK_BYTES_MAX, blob_bytes in 0..=BLOB_BYTES_MAX) {
            let wanted = BlockLength::new(wanted).unwrap();
            let found = wanted.of_blob(blob_bytes);
            prop_assert!((1..=BLOCK_BYTES_MAX).contains(&found));
            prop_assert!(blob_bytes.div_ceil(found) <= 50_000);
            prop_assert!(found == wanted.bytes() || blob_bytes.div_ceil(wanted.bytes()) > 50_000);
        }
    }
}

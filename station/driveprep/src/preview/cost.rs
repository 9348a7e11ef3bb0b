//! What an exported blob takes on a drive: azure-import-export.md §6.4.
//!
//! A file of whole clusters, a properties file, a metadata file where there is metadata, a file
//! record for each of them and their share of a folder's, and the blob's lines in the manifest.
//! The tool's own formula was never published; this one is on the safe side of its 3 GB of
//! manifest per 7 TB. What a drive has room for is [`crate::work::cost`]'s, for packing too.

use azure::PageRange;
use manifest::BlockLength;
use manifest::limits::RANGE_BYTES_MAX;

use crate::work::cost::{CLUSTER_BYTES, ENTRY_BYTES, PART_BYTES, RECORD_BYTES};

/// The data of a blob, on the drive and in the manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// Bytes in whole clusters.
    allocated_bytes: u64,
    /// Blocks or ranges.
    part_count: u64,
}

impl Extent {
    /// A block or append blob: every byte, in blocks as a manifest is written with.
    pub fn of_blocks(length_bytes: u64) -> Extent {
        let block_bytes = BlockLength::default().of_blob(length_bytes);
        Extent {
            allocated_bytes: length_bytes.div_ceil(CLUSTER_BYTES).saturating_mul(CLUSTER_BYTES),
            part_count: length_bytes.div_ceil(block_bytes),
        }
    }

    /// A page blob: the clusters that its ranges touch; the file is sparse between them.
    pub fn of_pages(ranges: &[PageRange]) -> Extent {
        let (mut clusters, mut part_count, mut free_from) = (0_u64, 0_u64, 0_u64);
        for range in ranges.iter().filter(|range| range.length_bytes > 0) {
            let end_bytes = range.offset_bytes.saturating_add(range.length_bytes);
            let first = (range.offset_bytes / CLUSTER_BYTES).max(free_from);
            let end = end_bytes.div_ceil(CLUSTER_BYTES);
            clusters = clusters.saturating_add(end.saturating_sub(first));
            free_from = free_from.max(end);
            part_count = part_count.saturating_add(range.length_bytes.div_ceil(RANGE_BYTES_MAX));
        }
        Extent { allocated_bytes: clusters.saturating_mul(CLUSTER_BYTES), part_count }
    }

    /// Everything that the blob takes.
    pub fn cost_bytes(self, has_metadata: bool) -> u64 {
        // The blob's file and its properties, which are always written.
        let file_count = 2 + u64::from(has_metadata);
        let side_files = (file_count - 1) * CLUSTER_BYTES;
        let records = RECORD_BYTES * (1 + file_count);
        let lines = PART_BYTES.saturating_mul(self.part_count);
        self.allocated_bytes.saturating_add(side_files + records + ENTRY_BYTES).saturating_add(lines)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pages(ranges: &[(u64, u64)]) -> Extent {
        let range = |&(offset_bytes, length_bytes)| PageRange { offset_bytes, length_bytes };
        Extent::of_pages(&ranges.iter().map(range).collect::<Vec<_>>())
    }

    #[test]
    fn a_block_blob_costs_its_clusters_its_side_files_and_its_lines() {
        let empty = 4_096 + 3 * 1_024 + 600;
        assert_eq!(Extent::of_blocks(0).cost_bytes(false), empty);
        assert_eq!(Extent::of_blocks(1).cost_bytes(false), empty + 4_096 + 120);
        assert_eq!(Extent::of_blocks(0).cost_bytes(true), empty + 4_096 + 1_024);
        let two_blocks = (4 << 20) + 1;
        assert_eq!(Extent::of_blocks(two_blocks).cost_bytes(false), empty + (4 << 20) + 4_096 + 240);
    }

    #[test]
    fn a_page_blob_costs_the_clusters_that_it_touches_each_once() {
        assert_eq!(pages(&[]), Extent { allocated_bytes: 0, part_count: 0 });
        assert_eq!(pages(&[(0, 512), (1_024, 512)]), Extent { allocated_bytes: 4_096, part_count: 2 });
        assert_eq!(pages(&[(3_584, 1_024)]), Extent { allocated_bytes: 8_192, part_count: 1 });
        assert_eq!(pages(&[(0, 9 << 20)]), Extent { allocated_bytes: 9 << 20, part_count: 3 });
    }
}

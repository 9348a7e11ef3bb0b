//! What an item takes on a drive, and what a drive has room for: azure-import-export.md §6.4.
//!
//! One model for `check`, which says how many drives are needed, and for `pack`, which fills them. It
//! errs on the safe side: a drive that is planned full is never too small.

use super::Item;

/// Clusters of volumes up to 16 TiB.
pub const CLUSTER_BYTES: u64 = 4 << 10;
/// One record of the file table.
pub const RECORD_BYTES: u64 = 1 << 10;
/// Kept for the file system's own files and the BitLocker regions; of an image file too small for that,
/// an eighth and what partition table, log and regions take at least.
const FIXED_BYTES: u64 = 256 << 20;
const FIXED_BYTES_MIN: u64 = 8 << 20;
/// What an entry of the manifest takes besides its blocks: §6.4.
pub const ENTRY_BYTES: u64 = 600;
/// What a block or range of the manifest takes: §6.4.
pub const PART_BYTES: u64 = 120;
/// Longest text that the entry's constant allows for both paths together; longer ones are added.
const PATHS_BYTES: u64 = 200;

/// What can be filled with items on a drive of that size; nothing on one that is too small for any.
pub fn usable_bytes(drive_bytes: u64) -> u64 {
    let fixed_bytes = FIXED_BYTES.min(drive_bytes / 8 + FIXED_BYTES_MIN);
    (drive_bytes - drive_bytes.div_ceil(100)).saturating_sub(fixed_bytes)
}

/// What an item takes: the clusters of its data, its records, its side file and its entry in the
/// manifest.
///
/// `data_bytes` is what is kept of its data: its length, or of a file with holes what its allocated
/// ranges sum up to. [`Item::allocated_bytes`] is not it: a file system that compresses says less.
pub fn item_bytes(item: &Item<'_>, data_bytes: u64) -> u64 {
    let own_properties = u64::from(item.dataset().content_md5);
    let paths = u64::try_from(item.name().len()).unwrap_or(u64::MAX).saturating_mul(2);
    clusters(data_bytes)
        .saturating_add(own_properties * CLUSTER_BYTES)
        .saturating_add(RECORD_BYTES * (2 + own_properties))
        .saturating_add(manifest_bytes(item))
        .saturating_add(paths.saturating_sub(PATHS_BYTES))
}

/// What an item's entry in the manifest takes at most.
pub fn manifest_bytes(item: &Item<'_>) -> u64 {
    ENTRY_BYTES.saturating_add(PART_BYTES.saturating_mul(item.length_bytes().div_ceil(item.part_bytes())))
}

fn clusters(bytes: u64) -> u64 {
    bytes.checked_next_multiple_of(CLUSTER_BYTES).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::work::ItemKind;
    use crate::work::tests::{facts, work_of};

    #[test]
    fn a_drive_keeps_a_hundredth_and_256_mib_for_itself() {
        assert_eq!(usable_bytes(0), 0);
        assert_eq!(usable_bytes(8 << 20), 0);
        assert_eq!(usable_bytes(100 << 20), (99 << 20) - (100 << 17) - (8 << 20));
        assert_eq!(usable_bytes(100 << 30), (99 << 30) - (256 << 20));
    }

    #[test]
    fn an_item_costs_its_clusters_two_records_and_its_entry() {
        let work = work_of(&[("empty", 0), ("one", 1), ("block", 4 << 20), ("more", (4 << 20) + 1)]);
        let costs: Vec<u64> = work.items().map(|item| item_bytes(&item, item.length_bytes())).collect();
        // In the work's order: block, empty, more, one.
        assert_eq!(
            costs,
            [(4 << 20) + 2_048 + 720, 2_048 + 600, (4 << 20) + 4_096 + 2_048 + 840, 4_096 + 2_048 + 720]
        );
    }

    #[test]
    fn holes_of_a_page_blob_cost_nothing_but_their_entry() {
        let mut facts = facts(1 << 40);
        facts.kind = ItemKind::Page;
        facts.allocated_bytes = 8_192;
        let work = crate::work::tests::work_with("disk.vhd", &facts);
        let item = work.items().next().unwrap();
        assert_eq!(item_bytes(&item, 8_192) - manifest_bytes(&item), 8_192 + 2_048);
    }
}

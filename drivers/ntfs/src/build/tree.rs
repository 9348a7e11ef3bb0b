//! How sorted index entries are distributed over the blocks of a B-tree. spec/ntfs.md §5 "Index".
//!
//! Bulk load: blocks are packed full in order; the entry that no longer fits goes up and separates
//! its block from the next. An entry above has the block to its left as its child, the end entry of
//! a block the one to the right. No block stays empty: when only one entry is left for the last
//! block, the one before it goes up in its place.

use super::fields::sum;

/// Bytes of an index block. Windows' volumes have these, whatever the cluster size.
pub(super) const BLOCK_BYTES: usize = 4096;
/// Header and update sequence array of a block.
pub(super) const BLOCK_HEADER_BYTES: usize = 64;
/// The end entry of a leaf.
pub(super) const END_BYTES: usize = 16;
/// What an entry with a block below it has at its end: the block's VCN.
pub(super) const CHILD_BYTES: usize = 8;

/// One level of blocks; 0 are the leaves.
pub(super) struct Level {
    /// The entries of the level, numbered as in the sorted list; `None` in the leaves, which have all.
    entries: Option<Vec<u32>>,
    count: u32,
    /// Positions (in the level) of the entries that went up.
    splits: Vec<u32>,
}

/// A block's entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Block {
    /// Position in the level of its first entry.
    pub(super) first: u32,
    /// Position in the level behind its last entry: of the entry that went up, if one did.
    pub(super) end: u32,
}

impl Level {
    /// Its blocks in order.
    pub(super) fn blocks(&self) -> impl Iterator<Item = Block> + '_ {
        let firsts = std::iter::once(0).chain(self.splits.iter().map(|split| split.saturating_add(1)));
        let ends = self.splits.iter().copied().chain(std::iter::once(self.count));
        firsts.zip(ends).map(|(first, end)| Block { first, end })
    }

    /// How many blocks it has.
    pub(super) fn len(&self) -> u64 {
        crate::bytes::on_volume(self.splits.len()).saturating_add(1)
    }

    /// The number in the sorted list of the entry at this position.
    pub(super) fn entry(&self, position: u32) -> u32 {
        entry(self.entries.as_deref(), position)
    }
}

fn entry(entries: Option<&[u32]>, position: u32) -> u32 {
    let listed = |entries: &[u32]| entries.get(usize::try_from(position).ok()?).copied();
    entries.map_or(Some(position), listed).unwrap_or(position)
}

/// Distributes `count` entries; `bytes` tells an entry's length in a leaf.
pub(super) fn levels(count: u32, bytes: &dyn Fn(u32) -> usize) -> Vec<Level> {
    let mut levels: Vec<Level> = Vec::new();
    let mut entries: Option<Vec<u32>> = None;
    loop {
        let child_bytes = if levels.is_empty() { 0 } else { CHILD_BYTES };
        let count =
            entries.as_ref().map_or(count, |entries| u32::try_from(entries.len()).unwrap_or(u32::MAX));
        let number = |position| entry(entries.as_deref(), position);
        let room = BLOCK_BYTES.saturating_sub(sum(&[BLOCK_HEADER_BYTES, END_BYTES, child_bytes]));
        let splits = split(count, room, &|position| bytes(number(position)).saturating_add(child_bytes));
        let above: Vec<u32> = splits.iter().map(|&position| number(position)).collect();
        levels.push(Level { entries, count, splits });
        if above.is_empty() {
            return levels;
        }
        entries = Some(above);
    }
}

/// The positions of the entries that go up.
fn split(count: u32, room: usize, bytes: &dyn Fn(u32) -> usize) -> Vec<u32> {
    let mut splits = Vec::new();
    let mut filled = 0_usize;
    for position in 0..count {
        let length = bytes(position);
        let needed = filled.saturating_add(length);
        if needed <= room {
            filled = needed;
        } else if position.saturating_add(1) < count {
            splits.push(position);
            filled = 0;
        } else {
            splits.push(position.saturating_sub(1));
        }
    }
    splits
}

/// How many blocks all levels have.
pub(super) fn block_count(levels: &[Level]) -> u64 {
    levels.iter().fold(0, |sum, level| sum.saturating_add(level.len()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// All entries in the order in which a walk meets them.
    fn walk(levels: &[Level], level: usize, block: usize, out: &mut Vec<u32>) {
        let found = levels[level].blocks().nth(block).unwrap();
        for position in found.first..=found.end {
            if level > 0 {
                walk(levels, level - 1, position as usize, out);
            }
            if position < found.end {
                out.push(levels[level].entry(position));
            }
        }
    }

    proptest! {
        #[test]
        fn a_walk_meets_every_entry_once_and_in_order(
            lengths in proptest::collection::vec(84_usize..600, 1..2_000)
        ) {
            let bytes = |entry: u32| lengths[entry as usize].next_multiple_of(8);
            let levels = levels(lengths.len() as u32, &bytes);
            let mut met = Vec::new();
            walk(&levels, levels.len() - 1, 0, &mut met);
            prop_assert_eq!(met, (0..lengths.len() as u32).collect::<Vec<_>>());
            for (height, level) in levels.iter().enumerate() {
                let extra = if height == 0 { 0 } else { 8 };
                for block in level.blocks() {
                    prop_assert!(block.first < block.end, "an empty block");
                    let entries = (block.first..block.end).map(|p| bytes(level.entry(p)) + extra);
                    prop_assert!(64 + 16 + extra + entries.sum::<usize>() <= 4096);
                }
            }
            prop_assert_eq!(levels.last().unwrap().len(), 1);
        }
    }

    #[test]
    fn a_million_short_names_make_four_levels() {
        let levels = levels(1_000_000, &|_| 112);
        assert_eq!(levels.len(), 4);
        assert_eq!(block_count(&levels), levels.iter().map(Level::len).sum::<u64>());
    }

    #[test]
    fn one_entry_less_may_take_three_blocks_more() {
        // Short entries separate blocks of long ones: without the first of them all blocks after it
        // are cut elsewhere, at long entries, and those fill the level above. 115 is found by search.
        let bytes = |entry: u32| match entry % 8 {
            7 => 96,
            6 if entry < 112 => 392,
            _ => 592,
        };
        assert_eq!(block_count(&levels(115, &bytes)), 16);
        let without = |entry: u32| bytes(if entry < 7 { entry } else { entry + 1 });
        assert_eq!(block_count(&levels(114, &without)), 19);
    }
}

//! Which drive takes which item: first fit, the costliest items first. azure-import-export.md §6.4.
//!
//! A blob is never split, so an item goes whole onto one drive or onto none. Pure and deterministic:
//! the same work and drives give the same answer, which a resumed pack rests on.

use super::cost;
use super::{ItemId, Work};

/// What each drive takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fill {
    /// Of each item its drive, from 0.
    drive_of: Vec<Option<u16>>,
    /// Of each drive its load.
    pub loads: Vec<Load>,
}

/// What one drive takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Load {
    /// What can be filled: [`cost::usable_bytes`].
    pub usable_bytes: u64,
    /// What the items on it cost.
    pub cost_bytes: u64,
    /// The sum of their lengths.
    pub length_bytes: u64,
    /// How many they are.
    pub items: u64,
}

impl Load {
    /// A drive of that size, empty.
    pub fn of_drive(drive_bytes: u64) -> Load {
        Load { usable_bytes: cost::usable_bytes(drive_bytes), ..Load::default() }
    }

    fn has_room(&self, cost_bytes: u64) -> bool {
        self.usable_bytes.saturating_sub(self.cost_bytes) >= cost_bytes
    }
}

impl Fill {
    /// The drive that takes the item; `None` when none has room.
    pub fn drive_of(&self, item: ItemId) -> Option<usize> {
        self.drive_of[item.0 as usize].map(usize::from)
    }

    /// The items that no drive has room for, in the work's order.
    pub fn left_over(&self) -> impl Iterator<Item = ItemId> {
        let items = (0..).map(ItemId).zip(&self.drive_of);
        items.filter(|(_, drive)| drive.is_none()).map(|(item, _)| item)
    }
}

/// Fills these drives; an item costs what `costs` says, in the work's order.
pub fn fill(work: &Work, costs: &[u64], drives: &[Load]) -> Fill {
    let loads = drives.iter().copied().take(usize::from(u16::MAX)).collect();
    let mut fill = Fill { drive_of: vec![None; work.len()], loads };
    for item in costliest_first(costs) {
        let cost_bytes = costs[item.0 as usize];
        if let Some(drive) = fill.loads.iter().position(|load| load.has_room(cost_bytes)) {
            fill.place(work, item, drive, cost_bytes);
        }
    }
    fill
}

/// Fills as many drives of that size as are needed, at most `drives_max`.
pub fn fill_equal(work: &Work, costs: &[u64], drive_bytes: u64, drives_max: u16) -> Fill {
    let mut fill = Fill { drive_of: vec![None; work.len()], loads: Vec::new() };
    let empty = Load::of_drive(drive_bytes);
    for item in costliest_first(costs) {
        let cost_bytes = costs[item.0 as usize];
        let fitting = fill.loads.iter().position(|load| load.has_room(cost_bytes));
        let can_add = fill.loads.len() < usize::from(drives_max) && empty.has_room(cost_bytes);
        if let Some(drive) = fitting {
            fill.place(work, item, drive, cost_bytes);
        } else if can_add {
            fill.loads.push(empty);
            fill.place(work, item, fill.loads.len() - 1, cost_bytes);
        }
    }
    fill
}

impl Fill {
    fn place(&mut self, work: &Work, item: ItemId, drive: usize, cost_bytes: u64) {
        let load = &mut self.loads[drive];
        load.cost_bytes += cost_bytes;
        load.length_bytes = load.length_bytes.saturating_add(work.item(item).length_bytes());
        load.items += 1;
        self.drive_of[item.0 as usize] = u16::try_from(drive).ok();
    }
}

/// Items by falling cost; of equal ones, the first first.
fn costliest_first(costs: &[u64]) -> impl Iterator<Item = ItemId> {
    let mut order: Vec<u32> = (0..).take(costs.len()).collect();
    order.sort_by_key(|item| (std::cmp::Reverse(costs[*item as usize]), *item));
    order.into_iter().map(ItemId)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::work::tests::work_of;

    fn work(items: usize) -> Work {
        let names: Vec<String> = (0..items).map(|number| format!("{number:06}")).collect();
        let files: Vec<(&str, u64)> = names.iter().map(|name| (name.as_str(), 1)).collect();
        work_of(&files)
    }

    fn load(usable_bytes: u64) -> Load {
        Load { usable_bytes, ..Load::default() }
    }

    #[test]
    fn the_costliest_items_are_placed_first_and_the_rest_fills_the_gaps() {
        let fill = fill(&work(5), &[10, 60, 50, 45, 40], &[load(100), load(100)]);
        let drives: Vec<_> = (0..5).map(|item| fill.drive_of(ItemId(item))).collect();
        assert_eq!(drives, [None, Some(0), Some(1), Some(1), Some(0)]);
        assert_eq!(fill.left_over().collect::<Vec<_>>(), [ItemId(0)]);
        assert_eq!((fill.loads[0].cost_bytes, fill.loads[1].cost_bytes), (100, 95));
    }

    #[test]
    fn an_item_larger_than_any_drive_is_left_over_and_takes_no_drive() {
        let usable = cost::usable_bytes(1 << 30);
        let fill = fill_equal(&work(2), &[usable + 1, usable], 1 << 30, 100);
        assert_eq!((fill.drive_of(ItemId(0)), fill.drive_of(ItemId(1))), (None, Some(0)));
        assert_eq!(fill.loads.len(), 1);
    }

    proptest! {
        #[test]
        fn every_item_is_on_one_drive_with_room_or_fits_none(
            costs in prop::collection::vec(1_u64..100, 0..60), drives in prop::collection::vec(0_u64..300, 0..6),
        ) {
            let work = work(costs.len());
            let loads: Vec<Load> = drives.iter().map(|usable| load(*usable)).collect();
            let fill = fill(&work, &costs, &loads);
            for (drive, load) in fill.loads.iter().enumerate() {
                let mine = (0..).zip(&costs).filter(|(item, _)| fill.drive_of(ItemId(*item)) == Some(drive));
                prop_assert_eq!(mine.map(|(_, cost)| cost).sum::<u64>(), load.cost_bytes);
                prop_assert!(load.cost_bytes <= load.usable_bytes);
            }
            for item in fill.left_over() {
                let cost = costs[item.0 as usize];
                prop_assert!(fill.loads.iter().all(|load| !load.has_room(cost)));
            }
        }
    }
}

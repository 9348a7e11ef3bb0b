//! Which drive takes which item.
//!
//! Drives are filled in the order in which they were named; an item never lies on two. Large items (an
//! eighth of the smallest drive and more) are placed first, the largest first, because they find no
//! room later; then the others as the sources have them, so that directories stay together. An item
//! goes onto the first drive that has room for it. What a drive really holds, the file system's own
//! planning says: items that its estimate was wrong about go on to the next drive.

use ntfs::build::PlanError;

use super::blueprint::Blueprint;
use super::layout::{Layout, LayoutError};
use super::manifest::ManifestMakeError;
use crate::work::{Item, ItemId, Work, cost};

/// The file system's planning is asked again at most so often; each time less is asked of it.
const TRIES_MAX: usize = 24;

/// The drives cannot be planned.
#[derive(Debug, thiserror::Error)]
pub enum DistributeError {
    /// Names that NTFS does not take, or that clash.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// Names that the manifest cannot hold.
    #[error(transparent)]
    Manifest(#[from] ManifestMakeError),
}

/// Makes the real layout of a drive with these items, to see whether they fit.
pub trait Planner {
    /// The blueprint with the items and all that follows from them, and its layout.
    ///
    /// # Errors
    /// When the items do not make a volume.
    fn plan(&self, drive: usize, items: &[ItemId]) -> Result<(Blueprint, Layout), DistributeError>;

    /// How many bytes are stored of an item that has holes.
    fn stored_bytes(&self, item: ItemId) -> Option<u64>;
}

/// Who goes where.
#[derive(Debug, Default)]
pub struct Distribution {
    /// The blueprint of each drive; `None` for one that is not needed.
    pub drives: Vec<Option<Blueprint>>,
    /// Items that fit nowhere, ascending.
    pub nowhere: Vec<ItemId>,
}

/// Distributes all items of a work over `count` drives.
///
/// # Errors
/// See [`DistributeError`].
pub fn distribute(work: &Work, count: usize, planner: &dyn Planner) -> Result<Distribution, DistributeError> {
    let free: Vec<u64> = (0..count)
        .map(|drive| planner.plan(drive, &[]).map(|(_, layout)| layout.plan.free_bytes()))
        .collect::<Result<_, _>>()?;
    let large = free.iter().copied().min().unwrap_or(0) / 8;
    let costs: Vec<u64> = work.items().map(|item| item_bytes(&item, planner)).collect();
    let cost_of = |item: ItemId| costs[item.0 as usize];
    let mut left: Vec<ItemId> = work.items().map(|item| item.id).collect();
    // Stable: the others keep their order.
    left.sort_by_key(|item| std::cmp::Reverse(if cost_of(*item) >= large { cost_of(*item) } else { 0 }));
    let mut distribution = Distribution::default();
    for (drive, free_bytes) in free.into_iter().enumerate() {
        let (blueprint, rest) = fill(drive, free_bytes, left, &cost_of, planner)?;
        distribution.drives.push(blueprint);
        left = rest;
    }
    left.sort_unstable();
    distribution.nowhere = left;
    Ok(distribution)
}

/// Fills one drive and gives what did not fit.
fn fill(
    drive: usize,
    free_bytes: u64,
    items: Vec<ItemId>,
    cost_of: &dyn Fn(ItemId) -> u64,
    planner: &dyn Planner,
) -> Result<(Option<Blueprint>, Vec<ItemId>), DistributeError> {
    // First as if the estimate were half of it too high, because the real planning is what counts.
    let mut budget = free_bytes.saturating_add(free_bytes / 2);
    for _ in 0..TRIES_MAX {
        let (mut taken, rest) = take(&items, budget, cost_of);
        if taken.is_empty() {
            return Ok((None, rest));
        }
        let taken_bytes = taken.iter().fold(0_u64, |total, item| total.saturating_add(cost_of(*item)));
        taken.sort_unstable();
        match planner.plan(drive, &taken) {
            Ok((blueprint, _)) => return Ok((Some(blueprint), rest)),
            Err(DistributeError::Layout(LayoutError::Plan(PlanError::Full { needed_bytes, free_bytes }))) => {
                let excess = needed_bytes.saturating_sub(free_bytes).max(budget / 256).max(1);
                budget = taken_bytes.min(budget).saturating_sub(excess);
            }
            Err(DistributeError::Layout(LayoutError::Plan(PlanError::Scattered { bytes }))) => {
                budget = taken_bytes.min(budget).saturating_sub(bytes.max(budget / 256).max(1));
            }
            Err(other) => return Err(other),
        }
    }
    Ok((None, items))
}

/// The items that an estimate fits into the budget, in their order, and the others.
fn take(items: &[ItemId], budget: u64, cost_of: &dyn Fn(ItemId) -> u64) -> (Vec<ItemId>, Vec<ItemId>) {
    let mut left_bytes = budget;
    items.iter().partition(|item| {
        let cost = cost_of(**item);
        let fits = cost <= left_bytes;
        if fits {
            left_bytes -= cost;
        }
        fits
    })
}

/// What an item takes at most.
fn item_bytes(item: &Item<'_>, planner: &dyn Planner) -> u64 {
    cost::item_bytes(item, planner.stored_bytes(item.id).unwrap_or_else(|| item.length_bytes()))
}

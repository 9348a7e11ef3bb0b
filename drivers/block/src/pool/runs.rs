//! Which pages are free, as maximal runs. Pure arithmetic.
//!
//! Best fit: the shortest run that is long enough, the lowest of equals. That keeps long runs long,
//! which is what a 100 MiB request waits for.

use std::collections::{BTreeMap, BTreeSet};

/// Free pages. Invariant: no two runs touch, and both indexes hold the same runs.
pub(super) struct FreeRuns {
    by_start: BTreeMap<usize, usize>,
    /// (page count, first page), so that the best fit is one range query.
    by_length: BTreeSet<(usize, usize)>,
    page_count: usize,
}

impl FreeRuns {
    /// All of `page_count` pages free.
    pub(super) fn new(page_count: usize) -> FreeRuns {
        let mut runs = FreeRuns { by_start: BTreeMap::new(), by_length: BTreeSet::new(), page_count: 0 };
        runs.give(0, page_count);
        runs
    }

    /// How many pages are free in all.
    pub(super) fn page_count(&self) -> usize {
        self.page_count
    }

    /// Takes a run; gives its first page. Zero pages are always there.
    pub(super) fn take(&mut self, page_count: usize) -> Option<usize> {
        if page_count == 0 {
            return Some(0);
        }
        let &(length, start) = self.by_length.range((page_count, 0)..).next()?;
        self.remove(start, length);
        self.insert(start.saturating_add(page_count), length.saturating_sub(page_count));
        Some(start)
    }

    /// Gives back a run that [`FreeRuns::take`] gave.
    pub(super) fn give(&mut self, start: usize, page_count: usize) {
        if page_count == 0 {
            return;
        }
        let (mut start, mut length) = (start, page_count);
        if let Some((&before, &before_length)) = self.by_start.range(..start).next_back()
            && before.saturating_add(before_length) == start
        {
            self.remove(before, before_length);
            start = before;
            length = length.saturating_add(before_length);
        }
        let end = start.saturating_add(length);
        if let Some(&after_length) = self.by_start.get(&end) {
            self.remove(end, after_length);
            length = length.saturating_add(after_length);
        }
        self.insert(start, length);
    }

    fn insert(&mut self, start: usize, length: usize) {
        if length > 0 {
            self.by_start.insert(start, length);
            self.by_length.insert((length, start));
            self.page_count = self.page_count.saturating_add(length);
        }
    }

    fn remove(&mut self, start: usize, length: usize) {
        self.by_start.remove(&start);
        self.by_length.remove(&(length, start));
        self.page_count = self.page_count.saturating_sub(length);
    }
}

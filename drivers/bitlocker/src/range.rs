//! Half-open ranges of bytes of a volume, and sets of them.

/// `[start, end)`; never with `end < start`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Range {
    pub(crate) start: u64,
    pub(crate) end: u64,
}

impl Range {
    /// Cut at the end of the number space, where no device reaches.
    pub(crate) fn new(start: u64, length: u64) -> Range {
        Range { start, end: start.saturating_add(length) }
    }

    /// `None` when the end is beyond the number space.
    pub(crate) fn checked(start: u64, length: u64) -> Option<Range> {
        Some(Range { start, end: start.checked_add(length)? })
    }

    pub(crate) fn length(self) -> u64 {
        self.end.saturating_sub(self.start)
    }

    pub(crate) fn is_aligned(self, unit: u64) -> bool {
        self.start.is_multiple_of(unit) && self.end.is_multiple_of(unit)
    }
}

/// How far `position` is behind the sector boundary before it.
pub(crate) fn past_boundary(position: u64, sector_bytes: u32) -> u64 {
    position.checked_rem(u64::from(sector_bytes)).unwrap_or(0)
}

/// The sector boundary at or before `position`.
pub(crate) fn boundary_before(position: u64, sector_bytes: u32) -> u64 {
    position.saturating_sub(past_boundary(position, sector_bytes))
}

/// Ascending ranges that neither overlap nor touch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct RangeSet(Vec<Range>);

impl RangeSet {
    /// Clips to `[0, length)`, sorts and joins.
    pub(crate) fn new(ranges: impl IntoIterator<Item = Range>, length: u64) -> RangeSet {
        let mut ranges: Vec<Range> = ranges
            .into_iter()
            .map(|range| Range { start: range.start.min(length), end: range.end.min(length) })
            .filter(|range| range.start < range.end)
            .collect();
        ranges.sort_by_key(|range| range.start);
        ranges.dedup_by(|next, kept| {
            let joins = next.start <= kept.end;
            if joins {
                kept.end = kept.end.max(next.end);
            }
            joins
        });
        RangeSet(ranges)
    }

    /// The range that holds `position`, or else the nearest one behind it.
    pub(crate) fn at_or_after(&self, position: u64) -> Option<Range> {
        self.0.get(self.0.partition_point(|range| range.end <= position)).copied()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = Range> + '_ {
        self.0.iter().copied()
    }
}

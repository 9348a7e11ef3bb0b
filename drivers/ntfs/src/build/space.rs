//! Which clusters are free, and which of them the data gets.
//!
//! Pre-placed files cut the volume into a few stretches. Metadata is taken from the front, each
//! piece in one run where it fits. What remains is the [`DataSpace`]: one long line of clusters
//! into which files are laid one after the other, so that a file needs no more than its position
//! on that line, and a pre-placed file in the middle of it is flowed around.

/// Consecutive clusters of the volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Stretch {
    pub(super) lcn: u64,
    /// May be 0 once all of it was taken.
    pub(super) clusters: u64,
}

impl Stretch {
    pub(super) fn end(&self) -> u64 {
        self.lcn.saturating_add(self.clusters)
    }
}

/// The clusters that nothing has yet, ascending.
pub(super) struct FreeSpace {
    stretches: Vec<Stretch>,
}

impl FreeSpace {
    /// All clusters but those taken, which are ascending and do not overlap.
    pub(super) fn new(clusters: u64, taken: &[Stretch]) -> FreeSpace {
        let mut stretches = Vec::new();
        let mut lcn = 0;
        for stretch in taken {
            stretches.push(Stretch { lcn, clusters: stretch.lcn.saturating_sub(lcn) });
            lcn = stretch.end();
        }
        stretches.push(Stretch { lcn, clusters: clusters.saturating_sub(lcn) });
        FreeSpace { stretches }
    }

    /// Given stretches, ascending.
    pub(super) fn of(stretches: Vec<Stretch>) -> FreeSpace {
        FreeSpace { stretches }
    }

    /// How many clusters are free.
    pub(super) fn clusters(&self) -> u64 {
        self.stretches.iter().fold(0, |sum, stretch| sum.saturating_add(stretch.clusters))
    }

    /// So many in one run, from the first stretch that has them.
    pub(super) fn contiguous(&mut self, clusters: u64) -> Option<u64> {
        let found = self.stretches.iter_mut().find(|stretch| stretch.clusters >= clusters)?;
        let lcn = found.lcn;
        *found =
            Stretch { lcn: lcn.saturating_add(clusters), clusters: found.clusters.saturating_sub(clusters) };
        Some(lcn)
    }

    /// So many in one run, or in as few as there can be.
    pub(super) fn scattered(&mut self, clusters: u64) -> Option<Vec<Stretch>> {
        if let Some(lcn) = self.contiguous(clusters) {
            return Some(vec![Stretch { lcn, clusters }]);
        }
        let mut runs = Vec::new();
        let mut missing = clusters;
        while missing > 0 {
            let largest = self.stretches.iter().map(|stretch| stretch.clusters).max()?;
            let taken = missing.min(largest);
            if taken == 0 {
                return None;
            }
            runs.push(Stretch { lcn: self.contiguous(taken)?, clusters: taken });
            missing = missing.saturating_sub(taken);
        }
        Some(runs)
    }

    /// What is left, for data.
    pub(super) fn into_data(self) -> DataSpace {
        let mut position = 0_u64;
        let mut spans = Vec::new();
        for stretch in self.stretches.into_iter().filter(|stretch| stretch.clusters > 0) {
            spans.push(Span { position, stretch });
            position = position.saturating_add(stretch.clusters);
        }
        DataSpace { spans, clusters: position }
    }
}

/// See the module's documentation.
pub(super) struct DataSpace {
    spans: Vec<Span>,
    clusters: u64,
}

#[derive(Clone, Copy)]
struct Span {
    /// Where on the line it begins.
    position: u64,
    stretch: Stretch,
}

impl Span {
    fn end(&self) -> u64 {
        self.position.saturating_add(self.stretch.clusters)
    }

    /// The clusters at `[from, to)` of the line, as far as they are in this span.
    fn part(&self, from: u64, to: u64) -> Option<Stretch> {
        let start = from.max(self.position);
        let clusters = to.min(self.end()).checked_sub(start).filter(|&clusters| clusters > 0)?;
        let lcn = self.stretch.lcn.saturating_add(start.saturating_sub(self.position));
        Some(Stretch { lcn, clusters })
    }
}

impl DataSpace {
    /// Length of the line.
    pub(super) fn clusters(&self) -> u64 {
        self.clusters
    }

    /// Where so many clusters from `position` on are: ascending.
    pub(super) fn stretches(&self, position: u64, clusters: u64) -> impl Iterator<Item = Stretch> + '_ {
        let end = position.saturating_add(clusters);
        let first = self.spans.partition_point(|span| span.end() <= position);
        let spans = self.spans.iter().skip(first).take_while(move |span| span.position < end);
        spans.filter_map(move |span| span.part(position, end))
    }

    /// The first position from `position` on where so many clusters follow each other on the volume.
    pub(super) fn contiguous(&self, position: u64, clusters: u64) -> Option<u64> {
        let fits = |span: &&Span| span.end().saturating_sub(span.position.max(position)) >= clusters;
        self.spans
            .iter()
            .filter(|span| span.end() > position)
            .find(fits)
            .map(|span| span.position.max(position))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stretch(lcn: u64, clusters: u64) -> Stretch {
        Stretch { lcn, clusters }
    }

    fn space() -> FreeSpace {
        FreeSpace::new(100, &[stretch(10, 5), stretch(40, 10)])
    }

    #[test]
    fn free_is_what_is_not_taken() {
        assert_eq!(space().clusters(), 85);
        assert_eq!(FreeSpace::new(100, &[]).clusters(), 100);
        assert_eq!(FreeSpace::new(100, &[stretch(0, 100)]).clusters(), 0);
    }

    #[test]
    fn one_run_is_taken_from_the_first_stretch_that_has_it() {
        let mut free = space();
        assert_eq!(free.contiguous(11), Some(15));
        assert_eq!(free.contiguous(10), Some(0));
        assert_eq!(free.contiguous(1), Some(26));
        assert_eq!(free.contiguous(51), None);
        assert_eq!(free.clusters(), 63);
    }

    #[test]
    fn what_does_not_fit_into_one_run_takes_the_longest_ones() {
        let mut free = space();
        assert_eq!(free.scattered(80).unwrap(), [stretch(50, 50), stretch(15, 25), stretch(0, 5)]);
        assert_eq!(free.scattered(6), None);
    }

    #[test]
    fn data_flows_around_what_is_taken() {
        let data = space().into_data();
        assert_eq!(data.clusters(), 85);
        let of = |position, clusters| data.stretches(position, clusters).collect::<Vec<_>>();
        assert_eq!(of(8, 4), [stretch(8, 2), stretch(15, 2)]);
        assert_eq!(of(10, 25), [stretch(15, 25)]);
        assert_eq!(of(0, 85), [stretch(0, 10), stretch(15, 25), stretch(50, 50)]);
        assert_eq!(of(5, 0), []);
        assert_eq!(data.contiguous(4, 6), Some(4));
        assert_eq!(data.contiguous(4, 7), Some(10));
        assert_eq!(data.contiguous(11, 25), Some(35));
        assert_eq!(data.contiguous(36, 50), None);
    }
}

//! Extents: a stream's place on the volume, in bytes, complete and in order.
//!
//! A [`Layout`] takes the pieces of one stream in the order of their VCNs, refuses gaps and
//! overlaps, and gives extents that cover the stream exactly once. What lies beyond the
//! initialised size reads as zeros whatever the clusters hold (spec/ntfs.md §3.6), so there the
//! extents are holes: who follows extents cannot read stale bytes.

use crate::boot::Geometry;
use crate::runs::{RunFault, Runs};

/// Consecutive bytes of a stream that are consecutive on the volume too, or nowhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// Where it begins in the stream.
    pub file_offset_bytes: u64,
    /// How long it is; never 0.
    pub length_bytes: u64,
    /// Where it begins on the volume; `None` for bytes that are zeros.
    pub volume_offset_bytes: Option<u64>,
}

impl Extent {
    /// Where it ends in the stream.
    pub fn file_end_bytes(&self) -> u64 {
        self.file_offset_bytes.saturating_add(self.length_bytes)
    }

    /// The part that lies in `[start, end)` of the stream.
    pub(crate) fn within(&self, start: u64, end: u64) -> Option<Extent> {
        let from = self.file_offset_bytes.max(start);
        let length_bytes = self.file_end_bytes().min(end).checked_sub(from).filter(|&length| length > 0)?;
        let skipped = from.saturating_sub(self.file_offset_bytes);
        let volume_offset_bytes = self.volume_offset_bytes.map(|offset| offset.saturating_add(skipped));
        Some(Extent { file_offset_bytes: from, length_bytes, volume_offset_bytes })
    }
}

/// Why the pieces of a stream do not make one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LayoutFault {
    /// A piece does not begin where the one before ended.
    #[error("the piece at VCN {found_vcn} should begin at VCN {expected_vcn}")]
    Gap {
        /// Where the piece before ended.
        expected_vcn: u64,
        /// Where this one begins.
        found_vcn: u64,
    },
    /// The mapping pairs of a piece.
    #[error("the mapping pairs from VCN {start_vcn} on are damaged")]
    Runs {
        /// First VCN of the piece.
        start_vcn: u64,
        /// What is wrong with them.
        #[source]
        source: RunFault,
    },
    /// The clusters end before the stream does.
    #[error("the stream has {length_bytes} bytes but its clusters only hold {covered_bytes}")]
    Short {
        /// Length of the stream.
        length_bytes: u64,
        /// Length of its clusters.
        covered_bytes: u64,
    },
    /// The initialised size is larger than the stream.
    #[error("the stream has {length_bytes} bytes, of which {initialized_bytes} are said to be initialised")]
    Initialized {
        /// Length of the stream.
        length_bytes: u64,
        /// The initialised size.
        initialized_bytes: u64,
    },
    /// More extents than [`crate::Limits::extents_max`].
    #[error("the stream has more than {limit} extents")]
    TooMany {
        /// The limit.
        limit: usize,
    },
}

/// Collects the pieces of one stream.
pub(crate) struct Layout<'g> {
    geometry: &'g Geometry,
    limit: usize,
    extents: Vec<Extent>,
    clusters: u64,
}

impl<'g> Layout<'g> {
    pub(crate) fn new(geometry: &'g Geometry, extents_max: usize) -> Layout<'g> {
        Layout { geometry, limit: extents_max, extents: Vec::new(), clusters: 0 }
    }

    /// Adds the next piece.
    pub(crate) fn append(&mut self, start_vcn: u64, mapping_pairs: &[u8]) -> Result<(), LayoutFault> {
        if start_vcn != self.clusters {
            return Err(LayoutFault::Gap { expected_vcn: self.clusters, found_vcn: start_vcn });
        }
        for run in Runs::new(mapping_pairs, self.geometry.clusters) {
            let run = run.map_err(|source| LayoutFault::Runs { start_vcn, source })?;
            self.add(run.lcn, run.clusters)
                .ok_or(LayoutFault::Runs { start_vcn, source: RunFault::TooLong })?;
            if self.extents.len() > self.limit {
                return Err(LayoutFault::TooMany { limit: self.limit });
            }
        }
        Ok(())
    }

    /// `None` when offsets leave what a file can have.
    fn add(&mut self, lcn: Option<u64>, clusters: u64) -> Option<()> {
        let cluster_bytes = u64::from(self.geometry.cluster_bytes);
        let file_offset_bytes = self.clusters.checked_mul(cluster_bytes)?;
        self.clusters = self.clusters.checked_add(clusters)?;
        let end = self.clusters.checked_mul(cluster_bytes).filter(|&end| i64::try_from(end).is_ok())?;
        let length_bytes = end.checked_sub(file_offset_bytes)?;
        let volume_offset_bytes = match lcn {
            Some(lcn) => Some(self.geometry.cluster_offset(lcn)?),
            None => None,
        };
        self.join(Extent { file_offset_bytes, length_bytes, volume_offset_bytes });
        Some(())
    }

    fn join(&mut self, next: Extent) {
        if let Some(last) = self.extents.last_mut() {
            let expected = last.volume_offset_bytes.map(|offset| offset.saturating_add(last.length_bytes));
            if expected == next.volume_offset_bytes {
                last.length_bytes = last.length_bytes.saturating_add(next.length_bytes);
                return;
            }
        }
        self.extents.push(next);
    }

    /// The volume whose clusters these are.
    pub(crate) fn geometry(&self) -> &'g Geometry {
        self.geometry
    }

    /// What the pieces so far cover.
    pub(crate) fn extents(&self) -> &[Extent] {
        &self.extents
    }

    /// How much that is.
    pub(crate) fn covered_bytes(&self) -> u64 {
        self.clusters.saturating_mul(self.geometry.cluster_bytes.into())
    }

    /// All clusters, as they are: for compressed streams, whose units say where zeros are.
    pub(crate) fn clusters(self, length_bytes: u64) -> Result<Vec<Extent>, LayoutFault> {
        let covered_bytes = self.covered_bytes();
        if covered_bytes < length_bytes {
            return Err(LayoutFault::Short { length_bytes, covered_bytes });
        }
        Ok(self.extents)
    }

    /// The stream's bytes: cut at its length, zeros from the initialised size on.
    pub(crate) fn finish(
        self,
        length_bytes: u64,
        initialized_bytes: u64,
    ) -> Result<Vec<Extent>, LayoutFault> {
        if initialized_bytes > length_bytes {
            return Err(LayoutFault::Initialized { length_bytes, initialized_bytes });
        }
        let mut extents = self.clusters(length_bytes)?;
        let inside = extents.partition_point(|extent| extent.file_offset_bytes < initialized_bytes);
        extents.truncate(inside);
        if let Some(cut) = extents.last_mut() {
            *cut = cut.within(0, initialized_bytes).unwrap_or(*cut);
        }
        let zeros = Extent {
            file_offset_bytes: initialized_bytes,
            length_bytes: length_bytes.saturating_sub(initialized_bytes),
            volume_offset_bytes: None,
        };
        match extents.last_mut() {
            _ if zeros.length_bytes == 0 => {}
            Some(last) if last.volume_offset_bytes.is_none() => {
                last.length_bytes = last.length_bytes.saturating_add(zeros.length_bytes);
            }
            _ => extents.push(zeros),
        }
        Ok(extents)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn geometry() -> Geometry {
        Geometry {
            sector_bytes: 512,
            cluster_bytes: 4096,
            clusters: 1000,
            record_bytes: 1024,
            index_block_bytes: 4096,
            volume_bytes: 4_096_000,
            mft_lcn: 4,
            mirror_lcn: 2,
            serial: 0,
        }
    }

    fn extents(pieces: &[(u64, &[u8])], length: u64, initialized: u64) -> Result<Vec<Extent>, LayoutFault> {
        let geometry = geometry();
        let mut layout = Layout::new(&geometry, 10);
        pieces.iter().try_for_each(|(vcn, runs)| layout.append(*vcn, runs))?;
        layout.finish(length, initialized)
    }

    fn extent(file_offset_bytes: u64, length_bytes: u64, volume_offset_bytes: Option<u64>) -> Extent {
        Extent { file_offset_bytes, length_bytes, volume_offset_bytes }
    }

    #[test]
    fn pieces_join_and_end_at_the_length() {
        // Two clusters at 10, then two at 12 in another piece, then a hole of two.
        let pieces = [(0, &[0x11, 2, 10, 0][..]), (2, &[0x11, 2, 12, 0x01, 2, 0])];
        let expected = [extent(0, 16_384, Some(40_960)), extent(16_384, 5_000, None)];
        assert_eq!(extents(&pieces, 21_384, 21_384).unwrap(), expected);
    }

    #[test]
    fn bytes_past_the_initialised_size_are_a_hole() {
        let pieces = [(0, &[0x11, 4, 10, 0][..])];
        let expected = [extent(0, 5_000, Some(40_960)), extent(5_000, 5_000, None)];
        assert_eq!(extents(&pieces, 10_000, 5_000).unwrap(), expected);
        assert_eq!(extents(&pieces, 10_000, 0).unwrap(), [extent(0, 10_000, None)]);
        assert_eq!(extents(&pieces, 0, 0).unwrap(), []);
    }

    #[test]
    fn a_stream_that_its_pieces_do_not_cover_is_refused() {
        let first = (0, &[0x11, 2, 10, 0][..]);
        let gap = LayoutFault::Gap { expected_vcn: 2, found_vcn: 3 };
        assert_eq!(extents(&[first, (3, &[0x11, 2, 10, 0])], 1, 1), Err(gap));
        let short = LayoutFault::Short { length_bytes: 8_193, covered_bytes: 8_192 };
        assert_eq!(extents(&[first], 8_193, 0), Err(short));
        let more = LayoutFault::Initialized { length_bytes: 5, initialized_bytes: 6 };
        assert_eq!(extents(&[first], 5, 6), Err(more));
        let many: Vec<u8> = (0..11).flat_map(|n| [0x11, 1, if n % 2 == 0 { 9 } else { 0xfd }]).collect();
        assert_eq!(extents(&[(0, &many)], 5, 5), Err(LayoutFault::TooMany { limit: 10 }));
    }
}

//! `$Bitmap` of a volume in use: which clusters are free, and marking them.

use block::{ReadAt, SharedDevice, WriteAt};

use super::super::error::MetadataError;
use super::super::space::Stretch;
use super::error::{AmendError, AmendWriteError};
use crate::boot::Geometry;
use crate::bytes::{in_memory, on_volume};
use crate::check::FaultKind;
use crate::check::file::{Clusters, Value};
use crate::content::read_extents;

/// Stretches of free clusters that are used. So many mapping pairs fit into any record, so every
/// new file is described by its own, wherever it lies.
pub(super) const STRETCHES_MAX: usize = 24;
/// Bytes of the bitmap that are looked at, or changed, at once: a multiple of any cluster.
const STEP_BYTES: u64 = 2 << 20;

/// Where `$Bitmap` is.
pub(super) struct Bitmap {
    clusters: Clusters,
    /// Bits that count.
    bits: u64,
    cluster_bytes: u64,
}

impl Bitmap {
    /// `None` when it is not in clusters, or too short.
    pub(super) fn new(value: Value, geometry: &Geometry) -> Option<Bitmap> {
        let Value::Clusters(clusters) = value else { return None };
        let is_whole = clusters.length_bytes >= geometry.clusters.div_ceil(8)
            && clusters.extents.iter().all(|extent| extent.volume_offset_bytes.is_some());
        let cluster_bytes = geometry.cluster_bytes.into();
        is_whole.then_some(Bitmap { clusters, bits: geometry.clusters, cluster_bytes })
    }

    fn read(&self, device: &dyn ReadAt, offset: u64, bytes: &mut [u8]) -> Result<(), block::ReadError> {
        read_extents(device, &self.clusters.extents, offset, bytes)
    }

    /// Sets or clears the bits of some stretches, with whole clusters of the bitmap written.
    pub(super) fn mark(
        &self,
        device: &SharedDevice,
        target: &dyn WriteAt,
        stretches: &[Stretch],
        used: bool,
    ) -> Result<(), AmendWriteError> {
        let mut sorted = stretches.to_vec();
        sorted.sort_unstable();
        let mut step = Vec::new();
        let mut loaded: Option<u64> = None;
        for stretch in sorted {
            let mut lcn = stretch.lcn;
            while lcn < stretch.end() {
                let (nth, first) = (lcn / STEP_BITS, lcn % STEP_BITS);
                if loaded != Some(nth) {
                    self.store(target, loaded, &mut step)?;
                    step = self.load(device, nth)?;
                    loaded = Some(nth);
                }
                let count = STEP_BITS.saturating_sub(first).min(stretch.end().saturating_sub(lcn));
                set_bits(&mut step, first, count, used);
                lcn = lcn.saturating_add(count);
            }
        }
        self.store(target, loaded, &mut step)
    }

    fn load(&self, device: &SharedDevice, nth: u64) -> Result<Vec<u8>, AmendWriteError> {
        let offset = nth.saturating_mul(STEP_BYTES);
        let length = self.allocated_bytes().saturating_sub(offset).min(STEP_BYTES);
        let mut step = vec![0; in_memory(length)];
        let read = self.read(&**device, offset, &mut step);
        read.map_err(|source| AmendWriteError::Read { what: "$Bitmap", source })?;
        Ok(step)
    }

    /// Writes a step back where it came from; what lies past the bitmap's end in its last cluster is
    /// written as zeros.
    fn store(&self, target: &dyn WriteAt, nth: Option<u64>, step: &mut [u8]) -> Result<(), AmendWriteError> {
        let Some(nth) = nth else { return Ok(()) };
        let offset = nth.saturating_mul(STEP_BYTES);
        let end = offset.saturating_add(on_volume(step.len()));
        for extent in &self.clusters.extents {
            // The last extent ends with the bitmap, its last cluster later.
            let whole = extent.length_bytes.next_multiple_of(self.cluster_bytes);
            let extent = crate::Extent { length_bytes: whole, ..*extent };
            let Some(part) = extent.within(offset, end) else { continue };
            let start = in_memory(part.file_offset_bytes.saturating_sub(offset));
            let bytes = step.get_mut(start..start.saturating_add(in_memory(part.length_bytes)));
            if let (Some(bytes), Some(place)) = (bytes, part.volume_offset_bytes) {
                let written = target.write_all_at(bytes, place);
                written.map_err(|source| MetadataError::Write { what: "$Bitmap", source })?;
            }
        }
        Ok(())
    }

    /// Its clusters' length.
    fn allocated_bytes(&self) -> u64 {
        self.clusters.length_bytes.next_multiple_of(self.cluster_bytes)
    }
}

const STEP_BITS: u64 = STEP_BYTES * 8;

fn set_bits(bytes: &mut [u8], first: u64, count: u64, used: bool) {
    let (mut bit, end) = (first, first.saturating_add(count));
    while bit < end {
        let Some(byte) = bytes.get_mut(in_memory(bit / 8)) else { return };
        if bit.is_multiple_of(8) && end.saturating_sub(bit) >= 8 {
            *byte = if used { 0xff } else { 0 };
            bit = bit.saturating_add(8);
        } else {
            let mask = 1_u8.wrapping_shl(u32::try_from(bit % 8).unwrap_or(0));
            *byte = if used { *byte | mask } else { *byte & !mask };
            bit = bit.saturating_add(1);
        }
    }
}

/// How many clusters are free, and the longest free stretches, longest first.
pub(super) fn longest(bitmap: &Bitmap, device: &SharedDevice) -> Result<(u64, Vec<Stretch>), AmendError> {
    let mut search = Search::default();
    let total = bitmap.bits.div_ceil(8);
    let mut step = vec![0; in_memory(STEP_BYTES.min(total))];
    for offset in (0..total).step_by(in_memory(STEP_BYTES)) {
        step.truncate(in_memory(total.saturating_sub(offset)));
        let read = bitmap.read(&**device, offset, &mut step);
        read.map_err(|source| AmendError::Read { what: "$Bitmap", source })?;
        for (at, &byte) in (offset..).zip(&step) {
            search.eight(at.saturating_mul(8), byte, bitmap.bits);
        }
    }
    search.end();
    if search.free == bitmap.bits {
        // Not even the boot sector's cluster is used: no bitmap of a volume.
        return Err(super::found::damaged(6, FaultKind::StreamLost));
    }
    search.longest.sort_unstable_by_key(|stretch| (std::cmp::Reverse(stretch.clusters), stretch.lcn));
    Ok((search.free, search.longest))
}

#[derive(Default)]
struct Search {
    free: u64,
    open: Option<Stretch>,
    longest: Vec<Stretch>,
}

impl Search {
    fn eight(&mut self, first: u64, byte: u8, bits: u64) {
        if byte == 0xff {
            self.end();
            return;
        }
        if byte == 0 && first.saturating_add(8) <= bits {
            self.add(first, 8);
            return;
        }
        for (bit, lcn) in (0..8_u32).zip(first..bits) {
            if byte & 1_u8.wrapping_shl(bit) == 0 { self.add(lcn, 1) } else { self.end() }
        }
    }

    fn add(&mut self, lcn: u64, clusters: u64) {
        self.free = self.free.saturating_add(clusters);
        let open = self.open.get_or_insert(Stretch { lcn, clusters: 0 });
        open.clusters = open.clusters.saturating_add(clusters);
    }

    /// Ends the stretch that is open; of all only the longest are kept.
    fn end(&mut self) {
        let Some(stretch) = self.open.take() else { return };
        if self.longest.len() < STRETCHES_MAX {
            self.longest.push(stretch);
        } else if let Some(shortest) = self.longest.iter_mut().min_by_key(|kept| kept.clusters)
            && shortest.clusters < stretch.clusters
        {
            *shortest = stretch;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_free_stretches_are_found() {
        let mut search = Search::default();
        for (first, byte) in (0..).step_by(8).zip([0xff, 0b0000_1111, 0, 0b1111_1110, 0b1010_1010, 0]) {
            search.eight(first, byte, 44);
        }
        search.end();
        assert_eq!(search.free, 4 + 8 + 1 + 4 + 4);
        let stretch = |lcn, clusters| Stretch { lcn, clusters };
        assert_eq!(search.longest[0], stretch(12, 13));
        assert_eq!(search.longest.last(), Some(&stretch(40, 4)));
        assert_eq!(search.longest.len(), 6);
    }

    #[test]
    fn bits_are_set_and_cleared_across_bytes() {
        let mut bytes = vec![0; 4];
        set_bits(&mut bytes, 5, 20, true);
        assert_eq!(bytes, [0xe0, 0xff, 0xff, 1]);
        set_bits(&mut bytes, 6, 18, false);
        assert_eq!(bytes, [0x20, 0, 0, 1]);
    }
}

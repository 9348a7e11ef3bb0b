//! The digests of a slab's parts, many lanes at once across slabs and files.
//!
//! Owns what is hashed of a piece: a block as a whole; of what becomes pages or a share's file only
//! the ranges that are not zero, because what a list leaves out is zero at the destination too.

use std::collections::HashMap;
use std::ops::Range;

use digests::{LaneSet, md5_many};
use manifest::limits::RANGES_MAX;
use model::Md5Digest;

use super::slab::{Piece, Slab};
use crate::work::{ItemId, ItemKind};

/// A block or range, and the digest of its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hashed {
    /// Which item.
    pub item: ItemId,
    /// Where in it.
    pub offset_bytes: u64,
    /// Its length.
    pub length_bytes: u64,
    /// The digest.
    pub md5: Md5Digest,
}

/// Zeros are looked for in runs of this length: azure-import-export.md §1.6.
pub const RUN_BYTES: u64 = 64 << 10;

/// The length of the runs in which zeros of an item are left out.
///
/// Runs grow with the item so that every other run being zero does not make more ranges than a
/// manifest may have.
pub fn run_bytes(length_bytes: u64) -> u64 {
    let ranges_max = u64::try_from(RANGES_MAX - 1).unwrap_or(u64::MAX);
    length_bytes.div_ceil(ranges_max).div_ceil(2).max(RUN_BYTES).next_power_of_two()
}

/// Digests pieces; keeps the digests of blocks that are all zero, which recur in sparse files.
#[derive(Debug, Default)]
pub struct Digester {
    zeros: HashMap<usize, Md5Digest>,
}

impl Digester {
    /// The blocks and ranges of these slabs with their digests, slab by slab in their order.
    ///
    /// `length_of` gives an item's whole length.
    pub fn digest(
        &mut self,
        slabs: &[(&Slab, &[u8])],
        length_of: impl Fn(ItemId) -> u64,
    ) -> Vec<Vec<Hashed>> {
        let mut messages: Vec<&[u8]> = Vec::new();
        let mut found: Vec<Vec<Hashed>> = Vec::with_capacity(slabs.len());
        let mut places = Vec::new();
        for (index, (slab, buffer)) in slabs.iter().enumerate() {
            found.push(Vec::with_capacity(slab.pieces.len()));
            for piece in &slab.pieces {
                if piece.is_hole {
                    found[index].extend(self.hole(piece));
                    continue;
                }
                for range in ranges(piece, &buffer[piece.at..][..piece.length], length_of(piece.item)) {
                    messages.push(&buffer[piece.at + range.start..piece.at + range.end]);
                    places.push((index, found[index].len()));
                    found[index].push(hashed(piece, &range, Md5Digest([0; 16])));
                }
            }
        }
        for ((slab, entry), md5) in places.into_iter().zip(md5_many(&messages)) {
            found[slab][entry].md5 = md5;
        }
        found
    }

    /// A block of zeros that the source does not store. A range of zeros is none.
    fn hole(&mut self, piece: &Piece) -> Option<Hashed> {
        if piece.kind != ItemKind::Block || piece.length == 0 {
            return None;
        }
        let md5 = *self.zeros.entry(piece.length).or_insert_with(|| zeros(piece.length));
        Some(hashed(piece, &(0..piece.length), md5))
    }
}

fn hashed(piece: &Piece, range: &Range<usize>, md5: Md5Digest) -> Hashed {
    Hashed {
        item: piece.item,
        offset_bytes: piece.file_offset_bytes + range.start as u64,
        length_bytes: range.len() as u64,
        md5,
    }
}

/// What of a piece is in the manifest, as offsets in the piece.
fn ranges(piece: &Piece, bytes: &[u8], item_bytes: u64) -> Vec<Range<usize>> {
    match piece.kind {
        ItemKind::Block => Vec::from_iter((!bytes.is_empty()).then_some(0..bytes.len())),
        ItemKind::Page | ItemKind::File => not_zero(bytes, piece.file_offset_bytes, run_bytes(item_bytes)),
    }
}

/// The stretches of runs that are not all zero; runs lie at multiples of their length in the file.
fn not_zero(bytes: &[u8], file_offset_bytes: u64, run_bytes: u64) -> Vec<Range<usize>> {
    let mut found: Vec<Range<usize>> = Vec::new();
    let mut start = 0;
    while start < bytes.len() {
        let offset = file_offset_bytes + start as u64;
        let next = (offset / run_bytes + 1) * run_bytes;
        let end = usize::try_from(next - file_offset_bytes).map_or(bytes.len(), |end| end.min(bytes.len()));
        if !is_zero(&bytes[start..end]) {
            match found.last_mut() {
                Some(last) if last.end == start => last.end = end,
                _ => found.push(start..end),
            }
        }
        start = end;
    }
    found
}

/// Compared a page at a time: the comparison of two slices is the fastest the processor has.
fn is_zero(bytes: &[u8]) -> bool {
    static ZEROS: [u8; 4_096] = [0; 4_096];
    bytes.chunks(ZEROS.len()).all(|chunk| chunk == &ZEROS[..chunk.len()])
}

fn zeros(length: usize) -> Md5Digest {
    let (page, mut lanes) = ([0; 4_096], LaneSet::new());
    let lane = lanes.add(length as u64);
    let mut left = length;
    while left > 0 {
        let step = left.min(page.len());
        lanes.update(&[(lane, &page[..step])]);
        left -= step;
    }
    lanes.finish(lane)
}

#[cfg(test)]
mod tests {
    use digests::md5_of;

    use super::*;

    fn piece(kind: ItemKind, file_offset_bytes: u64, length: usize, is_hole: bool) -> Piece {
        Piece { item: ItemId(3), kind, file_offset_bytes, length, at: 4_096, is_hole, is_last: true }
    }

    fn digest(piece: Piece, bytes: &[u8]) -> Vec<Hashed> {
        let mut buffer = vec![0xEE; 4_096];
        buffer.extend(bytes);
        let slab = Slab { pieces: vec![piece], ..Slab::default() };
        Digester::default().digest(&[(&slab, &buffer)], |_| 1 << 20).remove(0)
    }

    #[test]
    fn a_block_is_digested_whole_zeros_or_not() {
        let bytes = vec![0; 200_000];
        let found = digest(piece(ItemKind::Block, 4 << 20, bytes.len(), false), &bytes);
        let md5 = md5_of(&bytes);
        let expected = Hashed { item: ItemId(3), offset_bytes: 4 << 20, length_bytes: 200_000, md5 };
        assert_eq!(found, [expected]);
        assert_eq!(digest(piece(ItemKind::Block, 4 << 20, bytes.len(), true), &[]), [expected]);
        assert!(digest(piece(ItemKind::Block, 0, 0, false), &[]).is_empty());
    }

    #[test]
    fn ranges_leave_out_runs_of_zeros_that_lie_on_64_kib() {
        let mut bytes = vec![0; 5 * 65_536];
        // The piece begins 4 KiB before a boundary, so its first run is 4 KiB long.
        let start = 65_536 - 4_096;
        bytes[4_096] = 1;
        bytes[4_096 + 2 * 65_536 - 1] = 1;
        bytes[4_096 + 3 * 65_536] = 1;
        let found = digest(piece(ItemKind::Page, start, bytes.len(), false), &bytes);
        let places: Vec<(u64, u64)> =
            found.iter().map(|range| (range.offset_bytes, range.length_bytes)).collect();
        assert_eq!(places, [(65_536, 2 * 65_536), (4 * 65_536, 65_536)]);
        assert_eq!(found[0].md5, md5_of(&bytes[4_096..4_096 + 2 * 65_536]));
        assert!(digest(piece(ItemKind::Page, 0, 65_536, false), &[0; 65_536]).is_empty());
        assert!(digest(piece(ItemKind::Page, 0, 65_536, true), &[]).is_empty());
    }

    #[test]
    fn the_largest_page_blob_has_no_more_ranges_than_a_manifest_may_have() {
        assert_eq!(run_bytes(0), RUN_BYTES);
        assert_eq!(run_bytes(256 << 30), RUN_BYTES);
        for length_bytes in [(256 << 30) + 512, 1 << 40, manifest::limits::PAGE_BLOB_BYTES_MAX] {
            let ranges = length_bytes.div_ceil(run_bytes(length_bytes)).div_ceil(2);
            assert!(ranges <= RANGES_MAX as u64, "{length_bytes}");
        }
    }
}

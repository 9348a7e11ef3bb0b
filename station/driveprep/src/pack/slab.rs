//! Cuts a drive's data into slabs: what is read, hashed, encrypted and written at one go.
//!
//! A slab is a stretch of the volume that holds many small files or a part of a big one. The drive's
//! order is the only order: slabs come out ascending by their place on the volume, and each is made of
//! whole parts, so that a block or a page range is hashed from one buffer.
//!
//! Invariant: the same files, extents and sizes give the same slabs with the same numbers; a resumed
//! pack rests on that.

use std::ops::Range;

use crate::work::{ItemId, ItemKind};

/// What a slab holds at least: one block of the usual length. A drive's writes are as large, so that
/// a disk streams.
pub const SLAB_BYTES_MIN: usize = 4 << 20;

/// Most pieces of a slab, so that a drive of empty files is cut too.
const PIECES_MAX: usize = 4_096;

/// A file as it is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape<'a> {
    /// Which item it is.
    pub item: ItemId,
    /// What it becomes: blocks cover it whole, ranges only what it has.
    pub kind: ItemKind,
    /// Its length.
    pub length_bytes: u64,
    /// How long its blocks or ranges are at most; whole clusters.
    pub part_bytes: u64,
    /// What it has, when it has holes: ascending, apart, whole clusters but for its end.
    pub data: Option<&'a [Range<u64>]>,
}

/// Where a part of a file lies on the volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Offset in the file.
    pub file_offset_bytes: u64,
    /// Offset on the volume.
    pub volume_offset_bytes: u64,
    /// How long it is, in whole clusters.
    pub length_bytes: u64,
}

/// A stretch of the drive's data.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Slab {
    /// Counted from 0.
    pub number: u64,
    /// How much of a buffer it takes.
    pub length: usize,
    /// What is read into the buffer, ascending.
    pub pieces: Vec<Piece>,
    /// What is written from it, ascending.
    pub writes: Vec<Write>,
}

/// One part of a file in a slab: a block, or a stretch that page ranges are made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// Which item it is of.
    pub item: ItemId,
    /// What the item becomes.
    pub kind: ItemKind,
    /// Where in the file.
    pub file_offset_bytes: u64,
    /// Its length.
    pub length: usize,
    /// Where in the buffer; its last cluster is filled up with zeros.
    pub at: usize,
    /// Nothing of it is stored: its bytes are zeros, and it takes no room in the buffer.
    pub is_hole: bool,
    /// No piece of this file follows.
    pub is_last: bool,
}

/// A stretch of the buffer and where it goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Write {
    /// Where in the buffer.
    pub at: usize,
    /// Its length.
    pub length: usize,
    /// Where on the volume.
    pub volume_offset_bytes: u64,
}

/// The parts of a file, ascending. A file without any has one empty part, so that it is looked at too.
fn parts(shape: Shape<'_>) -> impl Iterator<Item = Range<u64>> {
    let step = shape.part_bytes;
    let (length, data) = (shape.length_bytes, shape.data);
    let of = move |range: Range<u64>| {
        let first = range.start / step;
        (first..range.end.div_ceil(step))
            .map(move |index| range.start.max(index * step)..range.end.min((index + 1) * step))
    };
    let whole = (shape.kind == ItemKind::Block || data.is_none()).then(|| of(0..length));
    let stored = data.filter(|_| shape.kind != ItemKind::Block).unwrap_or_default();
    let stored = stored.iter().map(move |range| range.start..range.end.min(length)).flat_map(of);
    let nothing = length == 0 || (shape.kind != ItemKind::Block && data.is_some_and(<[_]>::is_empty));
    whole.into_iter().flatten().chain(stored).chain(nothing.then_some(0..0))
}

/// Fills slabs with files in the drive's order.
pub struct Cutter {
    slab_bytes: usize,
    cluster_bytes: u64,
    slab: Slab,
}

impl Cutter {
    /// Cuts into slabs of that many bytes; no file may have longer parts.
    pub fn new(slab_bytes: usize, cluster_bytes: u32) -> Cutter {
        Cutter { slab_bytes, cluster_bytes: cluster_bytes.into(), slab: Slab::default() }
    }

    /// Cuts a file and gives the slabs that it completes to `full`; stops when `full` says so.
    pub fn file(&mut self, shape: Shape<'_>, places: &[Place], mut full: impl FnMut(Slab) -> bool) -> bool {
        let mut places = places;
        let mut parts = parts(shape).peekable();
        while let Some(part) = parts.next() {
            // Places end ascending; what ends before this part is of no use to later ones.
            while let [first, rest @ ..] = places
                && first.file_offset_bytes + first.length_bytes <= part.start
            {
                places = rest;
            }
            assert!(part.start.is_multiple_of(self.cluster_bytes), "parts of files begin where clusters do");
            let is_hole = places.first().is_none_or(|place| place.file_offset_bytes >= part.end);
            let length = to_usize(part.end - part.start);
            let room = if is_hole { 0 } else { to_usize(self.whole_clusters(part.end - part.start)) };
            assert!(room <= self.slab_bytes, "slabs are as long as the longest part");
            if (self.slab.length + room > self.slab_bytes || self.slab.pieces.len() >= PIECES_MAX)
                && !full(self.take())
            {
                return false;
            }
            let at = self.slab.length;
            self.slab.pieces.push(Piece {
                item: shape.item,
                kind: shape.kind,
                file_offset_bytes: part.start,
                length,
                at,
                is_hole,
                is_last: parts.peek().is_none(),
            });
            self.slab.length += room;
            self.place(at, room, part.start, places);
        }
        true
    }

    /// The last slab, if there is anything in it.
    pub fn finish(mut self) -> Option<Slab> {
        let last = self.take();
        (!last.pieces.is_empty()).then_some(last)
    }

    fn take(&mut self) -> Slab {
        let next = Slab { number: self.slab.number + 1, ..Slab::default() };
        std::mem::replace(&mut self.slab, next)
    }

    /// Notes where the part at `at` goes; what no place covers is a hole and goes nowhere.
    fn place(&mut self, at: usize, room: usize, file_offset_bytes: u64, places: &[Place]) {
        let end = file_offset_bytes + room as u64;
        for place in places.iter().take_while(|place| place.file_offset_bytes < end) {
            let place_end = place.file_offset_bytes + self.whole_clusters(place.length_bytes);
            let (from, to) = (place.file_offset_bytes.max(file_offset_bytes), place_end.min(end));
            let write = Write {
                at: at + to_usize(from - file_offset_bytes),
                length: to_usize(to - from),
                volume_offset_bytes: place.volume_offset_bytes + (from - place.file_offset_bytes),
            };
            match self.slab.writes.last_mut() {
                Some(last) if last.is_followed_by(&write) => last.length += write.length,
                _ => self.slab.writes.push(write),
            }
        }
    }

    fn whole_clusters(&self, bytes: u64) -> u64 {
        bytes.next_multiple_of(self.cluster_bytes)
    }
}

impl Piece {
    /// Which bytes of the file it is.
    pub fn range(&self) -> Range<u64> {
        self.file_offset_bytes..self.file_offset_bytes + self.length as u64
    }
}

impl Write {
    fn is_followed_by(&self, next: &Write) -> bool {
        self.at + self.length == next.at
            && self.volume_offset_bytes + self.length as u64 == next.volume_offset_bytes
    }
}

/// A part is at most 100 MiB long.
fn to_usize(bytes: u64) -> usize {
    usize::try_from(bytes).expect("a part of a slab fits into memory")
}

#[cfg(test)]
mod tests;

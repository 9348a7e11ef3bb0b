//! Blob ──**plan**──▶ Chunk: which bytes of the device make a chunk, in which order they are read,
//! and where they come to lie in a buffer.
//!
//! Pure: extents and limits in, [`Span`]s in the drive's order out. Nothing downstream decides
//! anything about layout. Three steps:
//!
//! 1. [`locate`] cuts a chunk's range of a file into [`Part`]s: runs of the device, or zeros.
//! 2. [`in_drive_order`] sorts chunks by their first byte on the drive: Put Block and Put Page may
//!    land in any order, so the platter is swept once.
//! 3. [`lay_out`] turns a chunk into a [`Span`], one buffer and its reads; small neighbours share
//!    one span, so twenty thousand small files in a row are not twenty thousand reads.
//!
//! # Alignment
//! Direct reads need aligned places on the device and in the buffer. A chunk may begin inside a
//! sector, so it begins at the same distance inside its buffer ("lead"), and reads are widened to
//! the alignment outward. Extents meet at cluster boundaries and a cluster is a multiple of a
//! sector, so where two parts of one chunk meet, both places are aligned and widening touches only
//! the first and the last part: no read overwrites a neighbour's bytes.

use std::ops::Range;

/// A run of a chunk's bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// Bytes.
    pub length_bytes: u64,
    /// Where they come from.
    pub source: PartSource,
}

/// Where a run of bytes comes from. Offsets count from the volume's first byte, as stored
/// (before decryption).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PartSource {
    /// A hole, bytes past the initialised size, or a region that reads as zeros.
    Zeros,
    /// Stored as it is.
    Plain {
        /// Byte offset in the volume.
        offset_bytes: u64,
    },
    /// Stored encrypted; the offset is also the cipher's tweak.
    Encrypted {
        /// Byte offset in the volume.
        offset_bytes: u64,
    },
}

impl PartSource {
    /// Place on the device, none for zeros.
    pub fn offset_bytes(self) -> Option<u64> {
        match self {
            PartSource::Zeros => None,
            PartSource::Plain { offset_bytes } | PartSource::Encrypted { offset_bytes } => Some(offset_bytes),
        }
    }

    fn advanced(self, bytes: u64) -> PartSource {
        match self {
            PartSource::Zeros => PartSource::Zeros,
            PartSource::Plain { offset_bytes } => PartSource::Plain { offset_bytes: offset_bytes + bytes },
            PartSource::Encrypted { offset_bytes } => {
                PartSource::Encrypted { offset_bytes: offset_bytes + bytes }
            }
        }
    }

    /// Whether `next` goes on where a run of `length_bytes` of this one ends.
    fn continues(self, length_bytes: u64, next: PartSource) -> bool {
        self.advanced(length_bytes) == next
    }
}

/// An extent of a file: a run of the logical volume, or a hole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileExtent {
    /// Offset in the file.
    pub file_offset_bytes: u64,
    /// Bytes.
    pub length_bytes: u64,
    /// Offset in the unlocked volume; none for a hole.
    pub volume_offset_bytes: Option<u64>,
}

/// Finds the places of `range` of a file.
///
/// `extents` are sorted and cover the file without gaps; `segments` splits a range of the unlocked
/// volume into stored runs (BitLocker's moved and zeroed regions), appending to its last argument.
/// Neighbouring runs are joined. None when the extents do not cover the range, which a caller has
/// excluded by comparing with the file's length.
pub fn locate(
    range: Range<u64>,
    extents: &[FileExtent],
    segments: &mut dyn FnMut(u64, u64, &mut Vec<Part>),
) -> Option<Vec<Part>> {
    let mut parts: Vec<Part> = Vec::new();
    let mut scratch = Vec::new();
    let mut position = range.start;
    let first = extents.partition_point(|extent| extent.file_offset_bytes + extent.length_bytes <= position);
    for extent in &extents[first..] {
        if position >= range.end {
            break;
        }
        if extent.file_offset_bytes > position {
            return None;
        }
        let skipped = position - extent.file_offset_bytes;
        let length_bytes = (extent.length_bytes - skipped).min(range.end - position);
        match extent.volume_offset_bytes {
            None => scratch.push(Part { length_bytes, source: PartSource::Zeros }),
            Some(offset) => segments(offset + skipped, length_bytes, &mut scratch),
        }
        scratch.drain(..).for_each(|part| push_joined(&mut parts, part));
        position += length_bytes;
    }
    (position >= range.end).then_some(parts)
}

fn push_joined(parts: &mut Vec<Part>, part: Part) {
    match parts.last_mut() {
        Some(last) if last.source.continues(last.length_bytes, part.source) => {
            last.length_bytes += part.length_bytes
        }
        _ => parts.push(part),
    }
}

/// Whether parts can be read straight into a buffer: where two of them meet, both places are on a
/// boundary of the cipher's unit. A hostile volume may have clusters that are smaller than it.
pub fn meets_at_boundaries(parts: &[Part], unit_bytes: u64) -> bool {
    let mut distance = None;
    let mut place = 0;
    for part in parts {
        if let Some(offset) = part.source.offset_bytes() {
            // All parts must lie at one distance from the boundary, and all but the first on it.
            let found = (offset % unit_bytes + unit_bytes - place % unit_bytes) % unit_bytes;
            if *distance.get_or_insert(found) != found || (place > 0 && offset % unit_bytes != 0) {
                return false;
            }
        }
        place += part.length_bytes;
    }
    true
}

/// A chunk with its places; `tag` is whatever the caller wants back with its bytes.
#[derive(Debug, Clone)]
pub struct Located<C> {
    /// The caller's.
    pub tag: C,
    /// The chunk's bytes in order.
    pub parts: Vec<Part>,
}

impl<C> Located<C> {
    fn position(&self) -> u64 {
        self.parts.iter().find_map(|part| part.source.offset_bytes()).unwrap_or(0)
    }

    fn length_bytes(&self) -> u64 {
        self.parts.iter().map(|part| part.length_bytes).sum()
    }

    /// The one stored run that holds the whole chunk, if it is stored in one run.
    fn single_run(&self) -> Option<(u64, u64, bool)> {
        match self.parts.as_slice() {
            [Part { length_bytes, source: PartSource::Plain { offset_bytes } }] => {
                Some((*offset_bytes, *length_bytes, false))
            }
            [Part { length_bytes, source: PartSource::Encrypted { offset_bytes } }] => {
                Some((*offset_bytes, *length_bytes, true))
            }
            _ => None,
        }
    }
}

/// Sorts chunks by the first byte that is read for them; chunks without any come first.
pub fn in_drive_order<C>(chunks: &mut [Located<C>]) {
    chunks.sort_by_key(Located::position);
}

/// What the layout has to respect.
#[derive(Debug, Clone, Copy)]
pub struct Geometry {
    /// Where the volume begins on the device.
    pub volume_start_bytes: u64,
    /// Length of the volume in bytes as stored: widened reads stop there.
    pub volume_bytes: u64,
    /// The cipher's unit, and the least alignment of reads: 512 or 4096.
    pub sector_bytes: u64,
}

/// A span is not made longer than this by joining small chunks. 1 MiB is where direct reads of a
/// disk stop getting faster; a longer one would hold its buffer until the last small blob landed.
pub const JOINED_SPAN_BYTES_MAX: u64 = 1 << 20;

/// Small chunks with at most this much between them share a read. Reading 16 KiB more costs less
/// than another request on any drive: a disk passes it in 0.1 ms.
pub const JOINED_GAP_BYTES_MAX: u64 = 16 << 10;

/// One buffer's worth of work: reads, what to decrypt and to zero, and the chunks that lie in it.
#[derive(Debug, Clone)]
pub struct Span<C> {
    /// How long the buffer must be.
    pub buffer_bytes: usize,
    /// What to read into it.
    pub reads: Vec<Read>,
    /// What to decrypt in place, ascending and whole sectors.
    pub decrypts: Vec<Decrypt>,
    /// What to fill with zeros.
    pub zeros: Vec<Range<usize>>,
    /// The chunks, ascending by place.
    pub chunks: Vec<SpanChunk<C>>,
}

/// A read of the device into a buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Read {
    /// Place on the device.
    pub device_offset_bytes: u64,
    /// Place in the buffer.
    pub buffer_offset_bytes: usize,
    /// Bytes.
    pub length_bytes: usize,
}

/// A run of whole sectors to decrypt in the buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decrypt {
    /// Place in the buffer.
    pub buffer_offset_bytes: usize,
    /// Place in the volume as stored: the cipher's tweak.
    pub volume_offset_bytes: u64,
    /// Bytes.
    pub length_bytes: usize,
}

/// A chunk's place in its span's buffer.
#[derive(Debug, Clone)]
pub struct SpanChunk<C> {
    /// The caller's.
    pub tag: C,
    /// Its bytes.
    pub range: Range<usize>,
}

/// Lays chunks (in the drive's order) out in spans.
pub fn lay_out<C>(chunks: impl IntoIterator<Item = Located<C>>, geometry: &Geometry) -> Vec<Span<C>> {
    let mut spans = Vec::new();
    let mut run = JoinedRun::default();
    for chunk in chunks {
        match chunk.single_run().filter(|(_, length, _)| *length < JOINED_SPAN_BYTES_MAX) {
            Some(stored) if run.takes(stored) => run.push(chunk, stored),
            Some(stored) => {
                spans.extend(std::mem::take(&mut run).into_span(geometry));
                run.push(chunk, stored);
            }
            None => {
                spans.extend(std::mem::take(&mut run).into_span(geometry));
                spans.push(lone_span(chunk, geometry));
            }
        }
    }
    spans.extend(run.into_span(geometry));
    spans
}

/// Small chunks that lie near each other, all plain or all encrypted.
struct JoinedRun<C> {
    start_bytes: u64,
    end_bytes: u64,
    encrypted: bool,
    chunks: Vec<(Located<C>, u64, u64)>,
}

impl<C> Default for JoinedRun<C> {
    fn default() -> Self {
        JoinedRun { start_bytes: 0, end_bytes: 0, encrypted: false, chunks: Vec::new() }
    }
}

impl<C> JoinedRun<C> {
    fn takes(&self, (offset, length, encrypted): (u64, u64, bool)) -> bool {
        self.chunks.is_empty()
            || (encrypted == self.encrypted
                && offset >= self.end_bytes
                && offset - self.end_bytes <= JOINED_GAP_BYTES_MAX
                && offset + length - self.start_bytes <= JOINED_SPAN_BYTES_MAX)
    }

    fn push(&mut self, chunk: Located<C>, (offset, length, encrypted): (u64, u64, bool)) {
        if self.chunks.is_empty() {
            self.start_bytes = offset;
            self.encrypted = encrypted;
        }
        self.end_bytes = offset + length;
        self.chunks.push((chunk, offset, length));
    }

    fn into_span(self, geometry: &Geometry) -> Option<Span<C>> {
        if self.chunks.is_empty() {
            return None;
        }
        let start = align_down(self.start_bytes, geometry.sector_bytes);
        let end = align_up(self.end_bytes, geometry.sector_bytes).min(geometry.volume_bytes);
        let length_bytes = to_usize(end - start);
        let read = Read {
            device_offset_bytes: geometry.volume_start_bytes + start,
            buffer_offset_bytes: 0,
            length_bytes,
        };
        let decrypt = Decrypt { buffer_offset_bytes: 0, volume_offset_bytes: start, length_bytes };
        let place = |offset: u64, length: u64| to_usize(offset - start)..to_usize(offset + length - start);
        Some(Span {
            buffer_bytes: length_bytes,
            reads: vec![read],
            decrypts: if self.encrypted { vec![decrypt] } else { Vec::new() },
            zeros: Vec::new(),
            chunks: self
                .chunks
                .into_iter()
                .map(|(chunk, offset, length)| SpanChunk { tag: chunk.tag, range: place(offset, length) })
                .collect(),
        })
    }
}

/// A span of one chunk, of any number of parts.
pub fn lone_span<C>(chunk: Located<C>, geometry: &Geometry) -> Span<C> {
    let sector = geometry.sector_bytes;
    let lead = chunk.parts.first().map_or(0, |first| match first.source.offset_bytes() {
        Some(offset) => offset % sector,
        // A chunk that begins in a hole and goes on in a run: the run begins at a cluster, so the
        // lead is what the hole is short of a sector.
        None => (sector - first.length_bytes % sector) % sector,
    });
    let length_bytes = chunk.length_bytes();
    let mut span = Span {
        buffer_bytes: to_usize(align_up(lead + length_bytes, sector)),
        reads: Vec::with_capacity(chunk.parts.len()),
        decrypts: Vec::new(),
        zeros: Vec::new(),
        chunks: vec![SpanChunk { tag: chunk.tag, range: to_usize(lead)..to_usize(lead + length_bytes) }],
    };
    let mut place = lead;
    for part in &chunk.parts {
        place_part(&mut span, part, place, geometry);
        place += part.length_bytes;
    }
    span
}

fn place_part<C>(span: &mut Span<C>, part: &Part, place: u64, geometry: &Geometry) {
    let Some(offset) = part.source.offset_bytes() else {
        span.zeros.push(to_usize(place)..to_usize(place + part.length_bytes));
        return;
    };
    let start = align_down(offset, geometry.sector_bytes);
    let end = align_up(offset + part.length_bytes, geometry.sector_bytes).min(geometry.volume_bytes);
    let buffer_offset_bytes = to_usize(place - (offset - start));
    let length_bytes = to_usize(end - start);
    span.reads.push(Read {
        device_offset_bytes: geometry.volume_start_bytes + start,
        buffer_offset_bytes,
        length_bytes,
    });
    if let PartSource::Encrypted { .. } = part.source {
        span.decrypts.push(Decrypt { buffer_offset_bytes, volume_offset_bytes: start, length_bytes });
    }
}

fn align_down(value: u64, unit: u64) -> u64 {
    value - value % unit
}

fn align_up(value: u64, unit: u64) -> u64 {
    value.div_ceil(unit) * unit
}

/// A chunk is at most 100 MiB and a joined span 1 MiB, so their places fit a `usize`.
fn to_usize(value: u64) -> usize {
    usize::try_from(value).expect("a place in a buffer fits the address space")
}

#[cfg(test)]
mod tests;

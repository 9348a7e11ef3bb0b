//! From the pieces of a job to single reads. Pure arithmetic.
//!
//! A piece whose position on the drive and in the buffer agree modulo the alignment of direct
//! reads goes past the page cache, apart from its unaligned edges; any other goes through it. A
//! long piece is cut, so that several reads of one chunk are in flight.

use super::job::ReadPiece;
use super::source::Descriptor;

/// The alignment that every device and file system accepts: the largest logical sector.
pub(super) const CAREFUL_BYTES: u64 = 4096;

/// What `O_DIRECT` asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Alignment {
    offset_bytes: u64,
    memory_bytes: u64,
}

impl Alignment {
    /// Of positions and lengths on the drive, and of addresses in memory. What is no power of two
    /// up to 4096 is replaced by 4096: buffers are not aligned to more.
    pub(super) fn new(offset_bytes: u64, memory_bytes: u64) -> Alignment {
        let sane = |bytes: u64| {
            if bytes.is_power_of_two() && bytes <= CAREFUL_BYTES { bytes } else { CAREFUL_BYTES }
        };
        Alignment { offset_bytes: sane(offset_bytes), memory_bytes: sane(memory_bytes) }
    }

    /// Whether a range may be read directly to an address.
    pub(super) fn fits(self, offset_bytes: u64, address: usize, length_bytes: usize) -> bool {
        offset_bytes.is_multiple_of(self.offset_bytes)
            && (length_bytes as u64).is_multiple_of(self.offset_bytes)
            && (address as u64).is_multiple_of(self.memory_bytes)
    }
}

/// One read: a part of the drive to a part of the buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Read {
    pub(super) device_offset_bytes: u64,
    pub(super) buffer_offset_bytes: usize,
    pub(super) length_bytes: usize,
    pub(super) descriptor: Descriptor,
}

/// Cuts the pieces, in their order, into reads of at most `read_bytes_max` (a multiple of
/// [`CAREFUL_BYTES`], so that a cut is aligned wherever the start was). No read is empty.
pub(super) fn split(
    pieces: &[ReadPiece],
    alignment: Option<Alignment>,
    read_bytes_max: usize,
) -> impl Iterator<Item = Read> + '_ {
    pieces.iter().flat_map(move |piece| sections(piece, alignment)).flat_map(move |section| {
        let count = section.length_bytes.div_ceil(read_bytes_max);
        (0..count).map(move |index| cut(section, index.saturating_mul(read_bytes_max), read_bytes_max))
    })
}

/// Unaligned head, aligned middle, unaligned tail; those that are empty have length 0.
fn sections(piece: &ReadPiece, alignment: Option<Alignment>) -> [Read; 3] {
    let whole = Read {
        device_offset_bytes: piece.device_offset_bytes,
        buffer_offset_bytes: piece.buffer_offset_bytes,
        length_bytes: piece.length_bytes,
        descriptor: Descriptor::Buffered,
    };
    let nothing = cut(whole, whole.length_bytes, 0);
    let Some(middle) = alignment.and_then(|alignment| aligned_middle(&whole, alignment)) else {
        return [whole, nothing, nothing];
    };
    let head_bytes = middle.buffer_offset_bytes.saturating_sub(whole.buffer_offset_bytes);
    let tail_start = head_bytes.saturating_add(middle.length_bytes);
    [cut(whole, 0, head_bytes), middle, cut(whole, tail_start, whole.length_bytes)]
}

fn aligned_middle(whole: &Read, alignment: Alignment) -> Option<Read> {
    let align = alignment.offset_bytes;
    let start = whole.device_offset_bytes.checked_next_multiple_of(align)?;
    let end = whole.device_offset_bytes.checked_add(whole.length_bytes as u64)?;
    let end = end.checked_sub(end.checked_rem(align)?)?;
    let length_bytes = usize::try_from(end.checked_sub(start)?).ok()?;
    let head_bytes = usize::try_from(start.checked_sub(whole.device_offset_bytes)?).ok()?;
    let middle = Read { descriptor: Descriptor::Direct, ..cut(*whole, head_bytes, length_bytes) };
    // Buffers begin at a multiple of CAREFUL_BYTES, so the offset tells the address.
    let address_fits = (middle.buffer_offset_bytes as u64).is_multiple_of(alignment.memory_bytes);
    (length_bytes > 0 && address_fits).then_some(middle)
}

/// The part of `read` from `start` on, at most `length_bytes_max` long.
pub(super) fn cut(read: Read, start: usize, length_bytes_max: usize) -> Read {
    Read {
        device_offset_bytes: read.device_offset_bytes.saturating_add(start as u64),
        buffer_offset_bytes: read.buffer_offset_bytes.saturating_add(start),
        length_bytes: read.length_bytes.saturating_sub(start).min(length_bytes_max),
        descriptor: read.descriptor,
    }
}

#[cfg(test)]
mod tests;

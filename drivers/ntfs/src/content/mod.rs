//! The bytes of a stream, whatever holds them.
//!
//! [`Volume::read_at`](crate::Volume::read_at) is correct for every content and uses memory for one
//! compression unit or chunk; it is for manifests, metadata files and compressed files. The bulk of
//! a drive is read by the caller along [`Extent`]s, and not through here.

mod bits;
pub(crate) mod compressed;
mod lznt1;
mod lzx;
mod reader;
#[cfg(test)]
mod tests;
pub(crate) mod wof;
mod xpress;

use block::{ReadAt, ReadError};

use crate::bytes::{in_memory, on_volume};
use crate::extent::Extent;
use crate::stream::{Stream, StreamContent};
use crate::volume::Volume;

pub use reader::StreamReader;

/// Why a stream's bytes could not be had.
#[derive(Debug, thiserror::Error)]
pub enum ContentError {
    /// The device does not give them.
    #[error("reading a stream at {file_offset_bytes:#x}")]
    Read {
        /// Where in the stream.
        file_offset_bytes: u64,
        /// Why.
        #[source]
        source: ReadError,
    },
    /// They do not decompress.
    #[error("decompressing {length_bytes} bytes of a stream at {file_offset_bytes:#x}")]
    Decode {
        /// Where the unit or chunk begins in the stream.
        file_offset_bytes: u64,
        /// Its length once decompressed.
        length_bytes: u64,
        /// Why.
        #[source]
        fault: DecodeFault,
    },
}

/// What is wrong with compressed bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecodeFault {
    /// They end too early.
    #[error("the compressed bytes end too early")]
    Truncated,
    /// A match reaches back before the beginning.
    #[error("a match reaches back before the beginning")]
    Distance,
    /// More comes out than should.
    #[error("more comes out than should")]
    Overrun,
    /// Code lengths that are no Huffman code.
    #[error("the code lengths are no Huffman code")]
    Code,
    /// A block of a kind that does not exist.
    #[error("a block is of no known kind")]
    Block,
    /// Clusters after a hole within a compression unit.
    #[error("the clusters of a compression unit are out of order")]
    Unit,
    /// Chunk offsets that run backwards, or past the end.
    #[error("the chunk table is damaged")]
    ChunkTable,
}

impl Volume {
    /// Fills `buffer` from `offset_bytes` of a stream on, up to the stream's end, and says how many
    /// bytes that were (0 from the end on).
    ///
    /// # Errors
    /// See [`ContentError`]; the buffer's content is unspecified then.
    pub fn read_at(
        &self,
        stream: &Stream,
        offset_bytes: u64,
        buffer: &mut [u8],
    ) -> Result<usize, ContentError> {
        let left = in_memory(stream.length_bytes.saturating_sub(offset_bytes));
        let length = left.min(buffer.len());
        let buffer = buffer.get_mut(..length).unwrap_or(&mut []);
        if buffer.is_empty() {
            return Ok(0);
        }
        match &stream.content {
            StreamContent::Resident(bytes) => {
                let part = crate::bytes::slice_at(bytes, in_memory(offset_bytes), length).unwrap_or(&[]);
                buffer.iter_mut().zip(part).for_each(|(to, from)| *to = *from);
            }
            StreamContent::Extents(extents) => self.read_plain(extents, offset_bytes, buffer)?,
            StreamContent::Compressed(compressed) => {
                let initialized_bytes = stream.initialized_bytes;
                self.read_compressed(compressed, offset_bytes, buffer)?;
                let zeros_from = in_memory(initialized_bytes.saturating_sub(offset_bytes)).min(length);
                buffer.get_mut(zeros_from..).unwrap_or(&mut []).fill(0);
            }
            StreamContent::Wof(wof) => self.read_wof(wof, stream.length_bytes, offset_bytes, buffer)?,
        }
        Ok(length)
    }

    fn read_plain(
        &self,
        extents: &[Extent],
        offset_bytes: u64,
        buffer: &mut [u8],
    ) -> Result<(), ContentError> {
        read_extents(&*self.device, extents, offset_bytes, buffer)
            .map_err(|source| ContentError::Read { file_offset_bytes: offset_bytes, source })
    }
}

/// Fills `buffer` from `offset_bytes` of what `extents` cover; holes, and what lies past them, are
/// zeros.
pub(crate) fn read_extents(
    device: &dyn ReadAt,
    extents: &[Extent],
    offset_bytes: u64,
    buffer: &mut [u8],
) -> Result<(), ReadError> {
    let end = offset_bytes.saturating_add(on_volume(buffer.len()));
    let first = extents.partition_point(|extent| extent.file_end_bytes() <= offset_bytes);
    let mut rest = buffer;
    for extent in extents.get(first..).unwrap_or(&[]) {
        let Some(part) = extent.within(offset_bytes, end) else { break };
        let length = in_memory(part.length_bytes).min(rest.len());
        let (head, tail) = rest.split_at_mut(length);
        match part.volume_offset_bytes {
            Some(offset) => device.read_exact_at(head, offset)?,
            None => head.fill(0),
        }
        rest = tail;
    }
    rest.fill(0);
    Ok(())
}

/// `[offset, offset + length)` in steps of `unit`: calls `each(unit's start, skipped, part)` with the
/// part of `buffer` that lies in it.
pub(crate) fn by_unit<E>(
    unit: u64,
    offset: u64,
    buffer: &mut [u8],
    mut each: impl FnMut(u64, usize, &mut [u8]) -> Result<(), E>,
) -> Result<(), E> {
    let mut at = offset;
    let mut rest = buffer;
    while !rest.is_empty() {
        let skipped = at.checked_rem(unit).unwrap_or(0);
        let start = at.saturating_sub(skipped);
        let length = in_memory(unit.saturating_sub(skipped)).min(rest.len()).max(1);
        let (part, tail) = rest.split_at_mut(length);
        each(start, in_memory(skipped), part)?;
        at = at.saturating_add(on_volume(length));
        rest = tail;
    }
    Ok(())
}

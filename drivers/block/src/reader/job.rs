//! What goes into a reader and what comes out.

use std::io;
use std::time::Duration;

use crate::pool::Buffer;
use crate::{ReadError, ReadErrorKind, check_range};

/// A part of the drive, and where in the job's buffer it belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadPiece {
    /// First byte, in the target that the reader was started with.
    pub device_offset_bytes: u64,
    /// Where its first byte goes.
    pub buffer_offset_bytes: usize,
    /// How many bytes.
    pub length_bytes: usize,
}

/// Fill a buffer from one or more parts of the drive: a chunk's extents.
///
/// Bytes that no piece covers keep what they hold: a sparse run's zeros are the caller's.
/// Where pieces overlap in the buffer, it is open which of them is seen.
pub struct ReadJob<T> {
    /// The caller's own mark; comes back as it is.
    pub tag: T,
    /// What to fill.
    pub buffer: Buffer,
    /// From where; read in this order, completed in any.
    pub pieces: Vec<ReadPiece>,
}

/// A job that has ended.
pub struct ReadDone<T> {
    /// The job's mark.
    pub tag: T,
    /// The job's buffer: filled where `outcome` is `Ok`, else of unspecified content.
    pub buffer: Buffer,
    /// Whether every piece was read; of several errors the first in the job's order.
    pub outcome: Result<(), ReadError>,
    /// From the moment the reader took the job up until its last byte was there.
    pub waited: Duration,
}

/// The first piece that does not fit: outside the device, or outside the job's own buffer.
pub(super) fn check_pieces(
    pieces: &[ReadPiece],
    buffer_bytes: usize,
    device_bytes: u64,
) -> Result<(), ReadError> {
    for piece in pieces {
        check_range(piece.device_offset_bytes, piece.length_bytes, device_bytes)?;
        let end = piece.buffer_offset_bytes.checked_add(piece.length_bytes);
        if end.is_none_or(|end| end > buffer_bytes) {
            return Err(outside_buffer(piece.device_offset_bytes, piece.length_bytes));
        }
    }
    Ok(())
}

/// A piece that does not lie inside its job's buffer: the caller's mistake, not the drive's.
pub(super) fn outside_buffer(offset_bytes: u64, length_bytes: usize) -> ReadError {
    let source = io::Error::new(io::ErrorKind::InvalidInput, "the piece ends behind its buffer");
    ReadError { offset_bytes, length_bytes, kind: ReadErrorKind::Other, source: Some(source) }
}

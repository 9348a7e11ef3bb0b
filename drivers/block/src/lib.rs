//! Positional reads of something that has sectors: a device, an image file, memory, a window of
//! another one, an unlocked BitLocker volume. And positional writes ([`WriteAt`]), for drives that we make:
//! [`Target`] is the drive or image file that is written.
//!
//! # Architecture
//! [`ReadAt`] is the one trait in the middle. Metadata (partition tables, FVE blocks, `$MFT`,
//! manifests) is read through it. The bulk of a drive is read by the transfer path's reader, which
//! asks a device for the same bytes in large direct reads.
//!
//! # I/O model
//! A read names an absolute byte offset and fills the whole buffer or fails: there are no short
//! reads and there is no cursor, so any number of threads may read at once. Offset and length need
//! no alignment; an implementation that must align does so itself.
//!
//! # Who checks
//! The implementation checks the range against its own length, because only it knows that length
//! at the moment of the read. A caller may pass any offset, also one taken from hostile bytes, and
//! gets [`ReadErrorKind::OutOfRange`].
//!
//! # Errors
//! [`ReadError`] says where (absolute offset, in hexadecimal) and of which kind: one bad sector
//! ([`ReadErrorKind::Medium`]) concerns the blocks it touches, a vanished device
//! ([`ReadErrorKind::Gone`]) the whole drive.

#![deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::arithmetic_side_effects)]
#![cfg_attr(
    test,
    allow(
        clippy::arithmetic_side_effects,
        clippy::cast_possible_truncation,
        reason = "a test may panic, and its numbers are its own"
    )
)]

#[cfg(feature = "conformance")]
pub mod conformance;
mod error;
pub mod faulty;
mod file;
mod identity;
mod memory;
pub mod partitions;
pub mod pool;
pub mod reader;
pub mod slow;
mod target;
mod window;
mod write;

use std::sync::Arc;

pub use error::{ReadError, ReadErrorKind};
pub use faulty::{Faults, FaultyDevice, Wrongness};
pub use file::{FileDevice, OpenError};
pub use identity::{DriveKind, IdentifyError, Identity, SerialSource, identify};
pub use memory::MemoryDevice;
pub use partitions::{Partition, PartitionError, PartitionTable, partition_table};
pub use pool::{BUFFER_ALIGNMENT_BYTES, Buffer, BufferPool, PoolConfig, TooLarge};
pub use reader::{
    AllowedWays, ReadCounts, ReadDone, ReadJob, ReadMode, ReadPiece, ReadTarget, Reader, ReaderConfig,
    ReaderError,
};
pub use slow::{Pace, SharedPace, SlowDevice};
pub use target::{Target, TargetError};
pub use window::{Window, WindowError, WriteWindow};
pub use write::{WriteAt, WriteError, WriteErrorKind};

/// A handle that many readers share.
pub type SharedDevice = Arc<dyn ReadAt>;

/// Positional reads: see the module's documentation for the contract.
pub trait ReadAt: Send + Sync + 'static {
    /// Length in bytes.
    fn length_bytes(&self) -> u64;

    /// Logical sector size in bytes: 512 or 4096.
    fn sector_bytes(&self) -> u32;

    /// Fills `buffer` from `offset_bytes` on.
    ///
    /// # Errors
    /// [`ReadErrorKind::OutOfRange`] when the range does not lie wholly inside the device (nothing
    /// was read); another kind when the medium or the connection fails (the buffer's content is
    /// then unspecified).
    fn read_exact_at(&self, buffer: &mut [u8], offset_bytes: u64) -> Result<(), ReadError>;
}

impl<T: ReadAt + ?Sized> ReadAt for Arc<T> {
    fn length_bytes(&self) -> u64 {
        (**self).length_bytes()
    }

    fn sector_bytes(&self) -> u32 {
        (**self).sector_bytes()
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset_bytes: u64) -> Result<(), ReadError> {
        (**self).read_exact_at(buffer, offset_bytes)
    }
}

/// Checks that `[offset, offset + length)` lies inside a device of `device_bytes`.
///
/// # Errors
/// [`ReadErrorKind::OutOfRange`] otherwise, also when the sum overflows.
pub fn check_range(offset_bytes: u64, length_bytes: usize, device_bytes: u64) -> Result<(), ReadError> {
    let inside = u64::try_from(length_bytes)
        .ok()
        .and_then(|length| offset_bytes.checked_add(length))
        .is_some_and(|end| end <= device_bytes);
    if inside { Ok(()) } else { Err(ReadError::out_of_range(offset_bytes, length_bytes, device_bytes)) }
}

//! Positional writes of something that has sectors: the counterpart of [`crate::ReadAt`].
//!
//! [`WriteAt`] takes its buffer by `&mut` because the layers of a drive change it on the way: an
//! encrypting volume encrypts in place and hands the same bytes down, so a byte is written from
//! where it was read to and never copied. What a buffer holds after a write is unspecified.
//!
//! [`WriteError`] says where and of which kind, as [`crate::ReadError`] does.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use rustix::io::Errno;

/// Positional writes: whole buffers, any number of threads at once, no cursor.
pub trait WriteAt: Send + Sync {
    /// Writes all of `data` at `offset_bytes`; afterwards `data` holds anything.
    ///
    /// # Errors
    /// When the range is not writable here, or the medium or the operating system refuses. How much
    /// was written is then unknown.
    fn write_all_at(&self, data: &mut [u8], offset_bytes: u64) -> Result<(), WriteError>;

    /// Returns when everything written before is on the medium.
    ///
    /// # Errors
    /// When the operating system says that it is not.
    fn flush(&self) -> Result<(), WriteError>;
}

/// A failed write. Display names the place; the cause is the source.
#[derive(Debug, thiserror::Error)]
#[error("writing {length_bytes} bytes at offset {offset_bytes:#x}: {kind}")]
pub struct WriteError {
    /// Position of the write in the device that reports the error.
    pub offset_bytes: u64,
    /// How many bytes were to be written; 0 for a flush.
    pub length_bytes: usize,
    /// What it means.
    pub kind: WriteErrorKind,
    /// What the operating system said, if it was asked.
    #[source]
    pub source: Option<io::Error>,
}

/// What a failed write means for the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WriteErrorKind {
    /// The range does not lie inside the device, or is no whole number of its sectors.
    #[error("not whole sectors inside the device, which ends at {device_bytes:#x}")]
    OutOfRange {
        /// The device's length.
        device_bytes: u64,
    },
    /// The range belongs to a layer below, which would lose what is put there.
    #[error("{offset_bytes:#x} belongs to the layer below")]
    Reserved {
        /// The first such byte.
        offset_bytes: u64,
    },
    /// The file system that holds the image is full.
    #[error("there is no space left")]
    Full,
    /// The medium does not take these bytes.
    #[error("the medium cannot be written there")]
    Medium,
    /// The device is no longer there: pulled, powered off, offline.
    #[error("the device is gone")]
    Gone,
    /// The process may not write it, or the device is write-protected.
    #[error("not permitted")]
    Denied,
    /// Anything else that the operating system reports.
    #[error("the operating system refused the write")]
    Other,
}

impl WriteError {
    /// A range that is not inside the device, or not whole sectors of it.
    pub fn out_of_range(offset_bytes: u64, length_bytes: usize, device_bytes: u64) -> WriteError {
        let kind = WriteErrorKind::OutOfRange { device_bytes };
        WriteError { offset_bytes, length_bytes, kind, source: None }
    }

    /// Sorts what the operating system said into a kind.
    pub fn from_io(offset_bytes: u64, length_bytes: usize, source: io::Error) -> WriteError {
        let kind = match source.raw_os_error().map(Errno::from_raw_os_error) {
            Some(Errno::NOSPC | Errno::DQUOT | Errno::FBIG) => WriteErrorKind::Full,
            Some(Errno::IO | Errno::ILSEQ | Errno::NODATA | Errno::REMOTEIO | Errno::TIMEDOUT) => {
                WriteErrorKind::Medium
            }
            Some(Errno::NODEV | Errno::NXIO | Errno::NOMEDIUM | Errno::SHUTDOWN) => WriteErrorKind::Gone,
            Some(Errno::ACCESS | Errno::PERM | Errno::ROFS | Errno::BADF) => WriteErrorKind::Denied,
            _ => WriteErrorKind::Other,
        };
        WriteError { offset_bytes, length_bytes, kind, source: Some(source) }
    }
}

impl WriteAt for File {
    fn write_all_at(&self, data: &mut [u8], offset_bytes: u64) -> Result<(), WriteError> {
        FileExt::write_all_at(self, data, offset_bytes)
            .map_err(|source| WriteError::from_io(offset_bytes, data.len(), source))
    }

    fn flush(&self) -> Result<(), WriteError> {
        self.sync_data().map_err(|source| WriteError::from_io(0, 0, source))
    }
}

impl<T: WriteAt + ?Sized> WriteAt for Arc<T> {
    fn write_all_at(&self, data: &mut [u8], offset_bytes: u64) -> Result<(), WriteError> {
        (**self).write_all_at(data, offset_bytes)
    }

    fn flush(&self) -> Result<(), WriteError> {
        (**self).flush()
    }
}

impl<T: WriteAt + ?Sized> WriteAt for &T {
    fn write_all_at(&self, data: &mut [u8], offset_bytes: u64) -> Result<(), WriteError> {
        (**self).write_all_at(data, offset_bytes)
    }

    fn flush(&self) -> Result<(), WriteError> {
        (**self).flush()
    }
}

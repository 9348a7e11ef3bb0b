//! Why a read failed, and where.

use std::io;

use rustix::io::Errno;

/// A failed read. Display names the place; the cause is the source.
#[derive(Debug, thiserror::Error)]
#[error("reading {length_bytes} bytes at offset {offset_bytes:#x}: {kind}")]
pub struct ReadError {
    /// Absolute position of the read in the device that reports the error.
    pub offset_bytes: u64,
    /// How many bytes were asked for.
    pub length_bytes: usize,
    /// What it means.
    pub kind: ReadErrorKind,
    /// What the operating system said, if it was asked.
    #[source]
    pub source: Option<io::Error>,
}

/// What a failed read means for the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReadErrorKind {
    /// The range does not lie inside the device.
    #[error("outside the device, which ends at {device_bytes:#x}")]
    OutOfRange {
        /// The device's length.
        device_bytes: u64,
    },
    /// The medium cannot give these bytes; others may be fine.
    #[error("the medium cannot be read there")]
    Medium,
    /// The device is no longer there: pulled, powered off, offline.
    #[error("the device is gone")]
    Gone,
    /// The process may not read the device.
    #[error("not permitted")]
    Denied,
    /// Anything else that the operating system reports.
    #[error("the operating system refused the read")]
    Other,
}

impl ReadError {
    /// A range that is not inside the device.
    pub fn out_of_range(offset_bytes: u64, length_bytes: usize, device_bytes: u64) -> ReadError {
        let kind = ReadErrorKind::OutOfRange { device_bytes };
        ReadError { offset_bytes, length_bytes, kind, source: None }
    }

    /// Sorts what the operating system said into a kind.
    pub fn from_io(offset_bytes: u64, length_bytes: usize, source: io::Error) -> ReadError {
        let kind = match source.raw_os_error().map(Errno::from_raw_os_error) {
            Some(Errno::IO | Errno::ILSEQ | Errno::NODATA | Errno::REMOTEIO | Errno::TIMEDOUT) => {
                ReadErrorKind::Medium
            }
            Some(Errno::NODEV | Errno::NXIO | Errno::NOMEDIUM | Errno::SHUTDOWN | Errno::BADF) => {
                ReadErrorKind::Gone
            }
            Some(Errno::ACCESS | Errno::PERM) => ReadErrorKind::Denied,
            _ => ReadErrorKind::Other,
        };
        ReadError { offset_bytes, length_bytes, kind, source: Some(source) }
    }
}

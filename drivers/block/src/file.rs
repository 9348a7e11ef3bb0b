//! An image file or a block device, read with `pread`.
//!
//! Owns the descriptor and what it means when the operating system refuses a read. Opened
//! read-only and never with `O_EXCL`: an exclusive claim would make the reader's second, direct
//! descriptor and `station inspect` beside a running ingest fail, and protects nothing that a
//! read-only descriptor could harm.

use std::fs::{self, File};
use std::io::{self, Seek, SeekFrom};
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use crate::{ReadAt, ReadError, ReadErrorKind, WriteError, WriteErrorKind, check_range};

/// Logical sector size of an image file, unless its reader says otherwise.
const IMAGE_SECTOR_BYTES: u32 = 512;

/// A file or block device opened read-only.
pub struct FileDevice {
    file: File,
    path: PathBuf,
    length_bytes: u64,
    sector_bytes: u32,
    /// `st_rdev` of a block device.
    block_number: Option<u64>,
}

/// Opening a device failed.
#[derive(Debug, thiserror::Error)]
#[error("opening {} to read a drive from it", path.display())]
pub struct OpenError {
    /// The path as given.
    pub path: PathBuf,
    /// What the operating system said.
    #[source]
    pub source: io::Error,
}

impl FileDevice {
    /// Opens read-only; length and logical sector size are the device's, or the file's length and
    /// 512.
    ///
    /// # Errors
    /// When the operating system refuses, or the path is neither a file nor a block device.
    pub fn open(path: &Path) -> Result<FileDevice, OpenError> {
        FileDevice::open_io(path).map_err(|source| OpenError { path: path.to_owned(), source })
    }

    /// The same device with another logical sector size: an image of a drive with 4096-byte
    /// sectors is a plain file, which cannot say so.
    #[must_use]
    pub fn with_sector_bytes(mut self, sector_bytes: u32) -> FileDevice {
        self.sector_bytes = sector_bytes;
        self
    }

    /// The path it was opened by, for messages.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether it is a block device rather than an image file.
    pub fn is_block_device(&self) -> bool {
        self.block_number.is_some()
    }

    /// The descriptor below, for the reader.
    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    fn open_io(path: &Path) -> io::Result<FileDevice> {
        // Looked at before it is opened, because opening a FIFO waits for its other end.
        check_kind(&fs::metadata(path)?)?;
        let file = File::open(path)?;
        check_kind(&file.metadata()?)?;
        FileDevice::from_file(file, path)
    }

    /// Asks an open file or block device for its length and sector size.
    pub(crate) fn from_file(mut file: File, path: &Path) -> io::Result<FileDevice> {
        let metadata = file.metadata()?;
        let block_number = metadata.file_type().is_block_device().then(|| metadata.rdev());
        let sector_bytes = match block_number {
            Some(_) => rustix::fs::ioctl_blksszget(&file)?,
            None => IMAGE_SECTOR_BYTES,
        };
        let length_bytes = file.seek(SeekFrom::End(0))?;
        Ok(FileDevice { file, path: path.to_owned(), length_bytes, sector_bytes, block_number })
    }

    /// What a refused read means. A pulled drive answers `EIO` like a bad sector does, so the
    /// kernel is asked whether the drive is still there.
    pub(crate) fn failed(&self, offset_bytes: u64, length_bytes: usize, source: io::Error) -> ReadError {
        let mut error = ReadError::from_io(offset_bytes, length_bytes, source);
        let is_gone = || self.block_number.is_some_and(|number| is_gone(Path::new("/sys"), number));
        if error.kind == ReadErrorKind::Medium && is_gone() {
            error.kind = ReadErrorKind::Gone;
        }
        error
    }

    /// What a refused write means, as for a read.
    pub(crate) fn failed_write(
        &self,
        offset_bytes: u64,
        length_bytes: usize,
        source: io::Error,
    ) -> WriteError {
        let mut error = WriteError::from_io(offset_bytes, length_bytes, source);
        let is_gone = || self.block_number.is_some_and(|number| is_gone(Path::new("/sys"), number));
        if error.kind == WriteErrorKind::Medium && is_gone() {
            error.kind = WriteErrorKind::Gone;
        }
        error
    }

    /// What it means that a read inside the known length gave no byte at `end_bytes`: a file was
    /// truncated, a device has vanished (the kernel sets its size to zero).
    pub(crate) fn ended(&self, end_bytes: u64, length_bytes: usize) -> ReadError {
        if self.is_block_device() {
            let source = Some(io::ErrorKind::UnexpectedEof.into());
            return ReadError { offset_bytes: end_bytes, length_bytes, kind: ReadErrorKind::Gone, source };
        }
        ReadError::out_of_range(end_bytes, length_bytes, end_bytes)
    }
}

impl ReadAt for FileDevice {
    fn length_bytes(&self) -> u64 {
        self.length_bytes
    }

    fn sector_bytes(&self) -> u32 {
        self.sector_bytes
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset_bytes: u64) -> Result<(), ReadError> {
        check_range(offset_bytes, buffer.len(), self.length_bytes)?;
        let length_bytes = buffer.len();
        let source = |part: &mut [u8], at: u64| self.file.read_at(part, at);
        match fill(buffer, offset_bytes, source) {
            Ok(()) => Ok(()),
            Err(Shortfall::Ended { at_bytes }) => {
                let missing = end_of(offset_bytes, length_bytes).saturating_sub(at_bytes);
                Err(self.ended(at_bytes, usize::try_from(missing).unwrap_or(length_bytes)))
            }
            Err(Shortfall::Failed(source)) => Err(self.failed(offset_bytes, length_bytes, source)),
        }
    }
}

/// Why a buffer could not be filled.
#[derive(Debug)]
pub(crate) enum Shortfall {
    /// The source gave no byte here.
    Ended {
        /// Absolute position.
        at_bytes: u64,
    },
    /// The source refused.
    Failed(io::Error),
}

/// Fills `buffer` from a source that may give less than it was asked for, or be interrupted.
pub(crate) fn fill(
    buffer: &mut [u8],
    offset_bytes: u64,
    mut source: impl FnMut(&mut [u8], u64) -> io::Result<usize>,
) -> Result<(), Shortfall> {
    let mut rest = buffer;
    let mut at_bytes = offset_bytes;
    while !rest.is_empty() {
        match source(rest, at_bytes) {
            Ok(0) => return Err(Shortfall::Ended { at_bytes }),
            Ok(count) => {
                at_bytes = end_of(at_bytes, count);
                rest = rest.get_mut(count..).unwrap_or_default();
            }
            Err(error) if error.raw_os_error() == Some(Errno::INTR.raw_os_error()) => {}
            Err(error) => return Err(Shortfall::Failed(error)),
        }
    }
    Ok(())
}

fn end_of(offset_bytes: u64, length_bytes: usize) -> u64 {
    offset_bytes.saturating_add(length_bytes as u64)
}

/// Only these have a length and may be read anywhere.
pub(crate) fn check_kind(metadata: &fs::Metadata) -> io::Result<()> {
    if metadata.file_type().is_file() || metadata.file_type().is_block_device() {
        return Ok(());
    }
    Err(io::Error::new(io::ErrorKind::InvalidInput, "neither a file nor a block device"))
}

/// Whether the kernel has dropped the device, or its SCSI layer has set it offline.
///
/// States: Linux `scsi_sysfs.c`, attribute `state`; a device without that attribute (NVMe has
/// another vocabulary, virtio none) is gone when its directory is.
fn is_gone(sysfs: &Path, block_number: u64) -> bool {
    let (major, minor) = (rustix::fs::major(block_number), rustix::fs::minor(block_number));
    let device = sysfs.join(format!("dev/block/{major}:{minor}"));
    if !device.exists() {
        return true;
    }
    let disk = if device.join("partition").exists() { device.join("..") } else { device };
    let state = fs::read_to_string(disk.join("device/state")).unwrap_or_default();
    matches!(state.trim(), "offline" | "transport-offline" | "cancel" | "deleted" | "dead" | "deleting")
}

#[cfg(test)]
mod tests;

//! A drive or an image file to be written: the claim on it, and the way the bytes take.
//!
//! Invariant: a block device is held exclusively (`O_EXCL`) as long as the [`Target`] lives, so one
//! that is mounted, or part of a RAID or a mapping, is never written to, and cannot become so
//! meanwhile. Nothing is written by opening.
//!
//! Large writes go past the page cache (`O_DIRECT`) through a second descriptor when offset, length
//! and address allow it, everything else through the first: the kernel keeps the two coherent.
//! [`WriteAt::flush`] covers both, because both are the same inode.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{Advice, OFlags};
use rustix::io::Errno;

use crate::file::check_kind;
use crate::reader::refuses_direct;
use crate::{BUFFER_ALIGNMENT_BYTES, FileDevice, ReadAt, ReadError, WriteAt, WriteError};

/// A drive or image file that is open for writing.
pub struct Target {
    /// The buffered descriptor, which reads as well.
    device: FileDevice,
    direct: Option<File>,
    /// Cleared when the file system took `O_DIRECT` and then refused a write.
    direct_works: AtomicBool,
}

/// Why a target cannot be written to. Display names the path; a cause of the operating system's is
/// the source.
#[derive(Debug, thiserror::Error)]
pub enum TargetError {
    /// Somebody uses the device.
    #[error(
        "{} is in use: it, or a partition of it, is mounted, or belongs to a RAID, a volume group or a mapping",
        path.display()
    )]
    InUse {
        /// The path as given.
        path: PathBuf,
    },
    /// The device has a write-protect switch, or the kernel set it read-only.
    #[error("{} is write-protected", path.display())]
    WriteProtected {
        /// The path as given.
        path: PathBuf,
    },
    /// It ends too early.
    #[error("{} has {found_bytes} bytes, {needed_bytes} are needed", path.display())]
    TooSmall {
        /// The path as given.
        path: PathBuf,
        /// What would be enough.
        needed_bytes: u64,
        /// What is there.
        found_bytes: u64,
    },
    /// Something else was in the way.
    #[error("opening {} to write a drive to it", path.display())]
    Open {
        /// The path as given.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
}

impl Target {
    /// Makes a sparse image file of a drive. What is not written reads as zeros and takes no room.
    ///
    /// # Errors
    /// When the file exists or cannot be made that long.
    pub fn create_image(path: &Path, length_bytes: u64, sector_bytes: u32) -> Result<Target, TargetError> {
        let created = || {
            let file = OpenOptions::new().read(true).write(true).create_new(true).open(path)?;
            file.set_len(length_bytes)?;
            FileDevice::from_file(file, path)
        };
        let device = created().map_err(|source| TargetError::Open { path: path.to_owned(), source })?;
        Ok(Target::new(device.with_sector_bytes(sector_bytes)))
    }

    /// Opens a block device, or an image file that exists.
    ///
    /// # Errors
    /// When it is in use, write-protected, or neither file nor block device: see [`TargetError`].
    pub fn open(path: &Path) -> Result<Target, TargetError> {
        let opened = || {
            // Looked at before it is opened, because opening a FIFO waits for its other end.
            let metadata = fs::metadata(path)?;
            check_kind(&metadata)?;
            let mut options = OpenOptions::new();
            options.read(true).write(true);
            if metadata.file_type().is_block_device() {
                options.custom_flags(flags(OFlags::EXCL));
            }
            let file = options.open(path)?;
            let metadata = file.metadata()?;
            check_kind(&metadata)?;
            // The kernel opens such a device for writing and refuses each write.
            if is_write_protected(&metadata, Path::new("/sys")) {
                return Err(Errno::ROFS.into());
            }
            FileDevice::from_file(file, path)
        };
        opened().map(Target::new).map_err(|source| refused(path, source))
    }

    /// The same target with another logical sector size: an image of a drive with 4096-byte sectors
    /// is a plain file, which cannot say so. A device keeps its own.
    #[must_use]
    pub fn with_sector_bytes(self, sector_bytes: u32) -> Target {
        if self.is_block_device() {
            return self;
        }
        Target { device: self.device.with_sector_bytes(sector_bytes), ..self }
    }

    /// Makes sure that it is long enough, before anything is written.
    ///
    /// # Errors
    /// [`TargetError::TooSmall`].
    pub fn check_room(&self, needed_bytes: u64) -> Result<(), TargetError> {
        let found_bytes = self.length_bytes();
        if found_bytes >= needed_bytes {
            return Ok(());
        }
        Err(TargetError::TooSmall { path: self.path().to_owned(), needed_bytes, found_bytes })
    }

    /// The path it was opened by, for messages.
    pub fn path(&self) -> &Path {
        self.device.path()
    }

    /// Whether it is a block device rather than an image file.
    pub fn is_block_device(&self) -> bool {
        self.device.is_block_device()
    }

    /// Whether large aligned writes go past the page cache.
    pub fn is_direct(&self) -> bool {
        self.direct.is_some() && self.direct_works.load(Ordering::Relaxed)
    }

    /// Lets go of what the page cache holds of it, so that what is read next comes from the medium.
    /// To be called after a flush: what is not on the medium yet cannot be let go.
    pub fn forget_cached(&self) {
        let _ = rustix::fs::fadvise(self.device.file(), 0, None, Advice::DontNeed);
    }

    fn new(device: FileDevice) -> Target {
        let direct = open_direct(&device);
        Target { device, direct, direct_works: AtomicBool::new(true) }
    }

    /// The direct descriptor, for a write that it takes.
    fn direct_for(&self, data: &[u8], offset_bytes: u64) -> Option<&File> {
        let unit = BUFFER_ALIGNMENT_BYTES;
        let is_aligned = data.as_ptr().addr().is_multiple_of(unit)
            && data.len().is_multiple_of(unit)
            && offset_bytes.is_multiple_of(unit as u64);
        self.direct.as_ref().filter(|_| is_aligned && self.direct_works.load(Ordering::Relaxed))
    }

    fn write_io(&self, data: &[u8], offset_bytes: u64) -> io::Result<()> {
        if let Some(direct) = self.direct_for(data, offset_bytes) {
            match FileExt::write_all_at(direct, data, offset_bytes) {
                // Some file systems take the flag and refuse the writes.
                Err(error) if refuses_direct(&error) => self.direct_works.store(false, Ordering::Relaxed),
                done => return done,
            }
        }
        FileExt::write_all_at(self.device.file(), data, offset_bytes)
    }
}

impl WriteAt for Target {
    fn write_all_at(&self, data: &mut [u8], offset_bytes: u64) -> Result<(), WriteError> {
        let device_bytes = self.length_bytes();
        let end = offset_bytes.checked_add(data.len() as u64);
        // An image file would grow.
        if end.is_none_or(|end| end > device_bytes) {
            return Err(WriteError::out_of_range(offset_bytes, data.len(), device_bytes));
        }
        self.write_io(data, offset_bytes)
            .map_err(|source| self.device.failed_write(offset_bytes, data.len(), source))
    }

    fn flush(&self) -> Result<(), WriteError> {
        self.device.file().sync_data().map_err(|source| self.device.failed_write(0, 0, source))
    }
}

impl ReadAt for Target {
    fn length_bytes(&self) -> u64 {
        self.device.length_bytes()
    }

    fn sector_bytes(&self) -> u32 {
        self.device.sector_bytes()
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset_bytes: u64) -> Result<(), ReadError> {
        self.device.read_exact_at(buffer, offset_bytes)
    }
}

fn flags(flags: OFlags) -> i32 {
    i32::try_from(flags.bits()).unwrap_or(0)
}

/// Through the first descriptor, never by its name, which may mean another drive by now.
fn open_direct(device: &FileDevice) -> Option<File> {
    let path = format!("/proc/self/fd/{}", device.file().as_raw_fd());
    OpenOptions::new().write(true).custom_flags(flags(OFlags::DIRECT)).open(path).ok()
}

fn refused(path: &Path, source: io::Error) -> TargetError {
    let path = path.to_owned();
    match source.raw_os_error().map(Errno::from_raw_os_error) {
        Some(Errno::BUSY) => TargetError::InUse { path },
        Some(Errno::ROFS) => TargetError::WriteProtected { path },
        _ => TargetError::Open { path, source },
    }
}

/// Linux `Documentation/ABI/stable/sysfs-block`, attribute `ro`.
fn is_write_protected(metadata: &fs::Metadata, sysfs: &Path) -> bool {
    if !metadata.file_type().is_block_device() {
        return false;
    }
    let (major, minor) = (rustix::fs::major(metadata.rdev()), rustix::fs::minor(metadata.rdev()));
    let attribute = fs::read_to_string(sysfs.join(format!("dev/block/{major}:{minor}/ro")));
    attribute.is_ok_and(|text| text.trim() == "1")
}

#[cfg(test)]
mod tests;

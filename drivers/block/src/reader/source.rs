//! What a reader reads from: its descriptors, and what `O_DIRECT` asks of a read.
//!
//! Owns the two descriptors of one file (direct and through the page cache) and the rule which of
//! them may serve a range. Both refer to the same inode: the second is opened through the first,
//! never by its name, which may mean another drive by now.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use rustix::fs::{Advice, AtFlags, OFlags, StatxFlags};
use rustix::io::Errno;

use super::split::{Alignment, Read};
use crate::file::Shortfall;
use crate::{FileDevice, ReadAt, ReadError, SharedDevice};

/// How much of a drive may pile up in the page cache before it is cleared: as much as a bay's pool
/// has by default. Clearing throws read-ahead away with the rest, 8 MiB here, which is 3 % of it.
const CACHED_BYTES_MAX: u64 = 256 << 20;

/// What to read from.
#[derive(Clone)]
pub enum ReadTarget {
    /// A file or block device: every way of reading is open.
    File(Arc<FileDevice>),
    /// Anything else (memory, a faulty wrapper, an unlocked volume), through [`ReadAt`].
    Device(SharedDevice),
}

impl ReadTarget {
    /// Length in bytes.
    pub fn length_bytes(&self) -> u64 {
        match self {
            ReadTarget::File(file) => file.length_bytes(),
            ReadTarget::Device(device) => device.length_bytes(),
        }
    }
}

/// A file with its descriptors.
pub(super) struct FileSource {
    pub(super) device: Arc<FileDevice>,
    direct: Option<Direct>,
    /// Cleared when the file system took `O_DIRECT` and then refused a read.
    direct_works: AtomicBool,
    /// What buffered reads brought into the page cache since it was last cleared.
    cached_bytes: AtomicU64,
}

struct Direct {
    file: File,
    alignment: Alignment,
}

/// Which descriptor serves a read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Descriptor {
    /// Past the page cache.
    Direct,
    /// Through it.
    Buffered,
}

impl FileSource {
    /// Opens the direct descriptor, where it is allowed and works.
    pub(super) fn new(device: Arc<FileDevice>, allow_direct: bool) -> FileSource {
        let direct = if allow_direct { open_direct(&device) } else { None };
        if direct.is_none() {
            // Only a hint: twice the read-ahead for one sweep of the drive.
            let _ = rustix::fs::fadvise(device.file(), 0, None, Advice::Sequential);
        }
        let direct_works = AtomicBool::new(direct.is_some());
        FileSource { device, direct, direct_works, cached_bytes: AtomicU64::new(0) }
    }

    /// What a range must be a multiple of to go past the page cache; `None` when nothing may.
    pub(super) fn alignment(&self) -> Option<Alignment> {
        self.direct
            .as_ref()
            .filter(|_| self.direct_works.load(Ordering::Relaxed))
            .map(|direct| direct.alignment)
    }

    /// The one that is meant; the page cache's when there is no other.
    pub(super) fn file(&self, descriptor: Descriptor) -> &File {
        match (descriptor, &self.direct) {
            (Descriptor::Direct, Some(direct)) => &direct.file,
            _ => self.device.file(),
        }
    }

    /// Never again direct. Answers whether this was the first time, for the log.
    pub(super) fn give_up_direct(&self) -> bool {
        self.direct_works.swap(false, Ordering::Relaxed)
    }

    /// What it means that a read fell short.
    pub(super) fn error(&self, read: &Read, shortfall: Shortfall) -> ReadError {
        match shortfall {
            Shortfall::Ended { at_bytes } => {
                let had = at_bytes.saturating_sub(read.device_offset_bytes);
                let missing = (read.length_bytes as u64).saturating_sub(had);
                self.device.ended(at_bytes, usize::try_from(missing).unwrap_or(read.length_bytes))
            }
            Shortfall::Failed(source) => {
                self.device.failed(read.device_offset_bytes, read.length_bytes, source)
            }
        }
    }

    /// Lets go of what buffered reads left in the page cache, from time to time: a drive is read
    /// once, and must not push the station's own pages out.
    ///
    /// The whole file each time, not the range just read: the kernel keeps a large folio that
    /// reaches over the range's end, and read-ahead makes nearly all of them that large.
    pub(super) fn forget(&self, length_bytes: usize) {
        let cached = self.cached_bytes.fetch_add(length_bytes as u64, Ordering::Relaxed);
        if cached.saturating_add(length_bytes as u64) >= CACHED_BYTES_MAX {
            self.cached_bytes.store(0, Ordering::Relaxed);
            self.forget_all();
        }
    }

    fn forget_all(&self) {
        let _ = rustix::fs::fadvise(self.device.file(), 0, None, Advice::DontNeed);
    }
}

impl Drop for FileSource {
    fn drop(&mut self) {
        self.forget_all();
    }
}

/// Whether an error means that this descriptor takes no direct reads, rather than that the bytes
/// cannot be read.
pub(crate) fn refuses_direct(error: &io::Error) -> bool {
    let code = error.raw_os_error().map(Errno::from_raw_os_error);
    matches!(code, Some(Errno::INVAL | Errno::OPNOTSUPP | Errno::NOSYS))
}

fn open_direct(device: &FileDevice) -> Option<Direct> {
    let path = format!("/proc/self/fd/{}", device.file().as_raw_fd());
    let flags = i32::try_from(OFlags::DIRECT.bits()).ok()?;
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path).ok()?;
    let alignment = alignment_of(&file, device.sector_bytes());
    accepts_direct(&file, device.length_bytes()).then_some(Direct { file, alignment })
}

/// `statx` knows since Linux 6.1; before that the largest logical sector is safe.
fn alignment_of(file: &File, sector_bytes: u32) -> Alignment {
    let careful = Alignment::new(super::split::CAREFUL_BYTES, super::split::CAREFUL_BYTES);
    let Ok(status) = rustix::fs::statx(file, "", AtFlags::EMPTY_PATH, StatxFlags::DIOALIGN) else {
        return careful;
    };
    if status.stx_mask & StatxFlags::DIOALIGN.bits() == 0 || status.stx_dio_offset_align == 0 {
        return careful;
    }
    let offset = status.stx_dio_offset_align.max(sector_bytes);
    Alignment::new(u64::from(offset), u64::from(status.stx_dio_mem_align))
}

/// Some file systems take the flag and refuse the reads. An unreadable first sector is no refusal.
fn accepts_direct(file: &File, length_bytes: u64) -> bool {
    #[repr(align(4096))]
    struct Page([u8; 4096]);
    let mut page = Box::new(Page([0; 4096]));
    if length_bytes < page.0.len() as u64 {
        return false;
    }
    !matches!(file.read_at(&mut page.0, 0), Err(error) if refuses_direct(&error))
}

//! The state a volume was left in. spec/ntfs.md §3.8.
//!
//! Nothing here keeps a volume from being read: it is read as it is, and who runs the job decides
//! whether that is good enough. A volume that was not dismounted may hold its newest files only in
//! `$LogFile`, although its dirty flag is clear.

use crate::boot::Geometry;
use crate::bytes::{position_at, slice_at, u16_at, u64_at};
use crate::problem::Problems;
use crate::record::{self, Body, FileId, Record, VOLUME_INFORMATION, VOLUME_NAME};
use crate::stream::Stream;
use crate::volume::Volume;

const VOLUME_RECORD: u64 = 3;
const LOG_FILE_RECORD: u64 = 2;
/// Where the volume's flags are in `$VOLUME_INFORMATION`, and the one that asks for a check.
const VOLUME_FLAGS_AT: usize = 10;
const VOLUME_DIRTY: u16 = 1;
/// Restart pages have the size that they say themselves, which was 4096 on every system so far.
const RESTART_PAGE_BYTES: usize = 4096;
/// Both restart pages, at the beginning of `$LogFile`.
pub(crate) const RESTART_BYTES: usize = 2 * RESTART_PAGE_BYTES;
/// The restart area's flag for a volume that was dismounted.
const RESTART_CLEAN: u16 = 2;
const HIBERNATION_FILE: &str = "hiberfil.sys";

/// Which boot sector the volume was opened with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BootSector {
    /// The first sector.
    Primary,
    /// The copy in the last sector.
    Backup,
}

/// What `$LogFile` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFile {
    /// The volume was dismounted in order.
    Clean,
    /// Never used, or emptied by a driver that does without.
    Empty,
    /// Changes may be waiting in it: the newest files may be missing or old.
    Unclean,
    /// It could not be read.
    Unreadable,
}

/// See the module's documentation.
#[derive(Debug, Clone)]
pub struct Health {
    /// Windows means to check the volume.
    pub dirty: bool,
    /// Whether changes may be waiting in `$LogFile`.
    pub log_file: LogFile,
    /// Windows is hibernated, or was shut down with Fast Startup, and holds changes in memory.
    pub hibernated: bool,
    /// Which boot sector was good.
    pub boot_sector: BootSector,
    /// Record 0 came from `$MFTMirr`, because the one in `$MFT` is damaged.
    pub mft_from_mirror: bool,
    /// `$MFTMirr` does not hold what the first records of `$MFT` do.
    pub mirror_differs: bool,
    /// The device ends before the volume does.
    pub device_short: bool,
    /// Damaged records, and files that no way leads to.
    pub problems: Problems,
}

impl Health {
    /// Whether anything is worth a human's look before the data is trusted to be complete.
    pub fn is_sound(&self) -> bool {
        let log_done = matches!(self.log_file, LogFile::Clean | LogFile::Empty);
        let places = self.boot_sector == BootSector::Primary && !self.mft_from_mirror && !self.device_short;
        !self.dirty && log_done && !self.hibernated && places && self.problems.count() == 0
    }
}

impl Volume {
    /// The volume's label, if it has one that is Unicode.
    pub fn label(&self) -> Option<String> {
        let name = self.volume_attribute(VOLUME_NAME)?;
        let units = name.chunks_exact(2).filter_map(|pair| u16_at(pair, 0));
        String::from_utf16(&units.collect::<Vec<_>>()).ok().filter(|label| !label.is_empty())
    }

    /// True also when the flags cannot be read.
    pub(crate) fn is_dirty(&self) -> bool {
        let flags = self.volume_attribute(VOLUME_INFORMATION);
        let flags = flags.and_then(|value| u16_at(&value, VOLUME_FLAGS_AT));
        flags.is_none_or(|flags| flags & VOLUME_DIRTY != 0)
    }

    /// A resident attribute of `$Volume`.
    fn volume_attribute(&self, kind: u32) -> Option<Vec<u8>> {
        let raw = self.mft.record(VOLUME_RECORD).ok()?;
        let record = Record::parse(&raw).ok()?;
        record.attributes().map_while(Result::ok).find_map(|attribute| match attribute.body {
            Body::Resident(value) if attribute.kind == kind => Some(value.to_vec()),
            _ => None,
        })
    }

    /// Reads both restart pages; the one written last counts.
    pub(crate) fn log_file(&self) -> LogFile {
        let Some(stream) = self.system_stream(LOG_FILE_RECORD) else { return LogFile::Unreadable };
        let mut pages = vec![0; RESTART_BYTES];
        match self.read_at(&stream, 0, &mut pages) {
            Ok(length) if length == pages.len() => {}
            _ => return LogFile::Unreadable,
        }
        log_state(&mut pages)
    }

    pub(crate) fn is_hibernated(&self) -> bool {
        let stream = self.resolve(HIBERNATION_FILE).ok().and_then(|file| self.stream(file, None).ok());
        let mut signature = [0; 4];
        let read = stream.and_then(|stream| self.read_at(&stream, 0, &mut signature).ok());
        read == Some(signature.len()) && signature.eq_ignore_ascii_case(b"hibr")
    }

    /// Whether `$MFTMirr` differs from the records of `$MFT` that it doubles: at least four, or as
    /// many as a cluster holds.
    pub(crate) fn mirror_differs(&self) -> bool {
        let length = mirror_length(&self.geometry);
        let Some(offset) = self.geometry.cluster_offset(self.geometry.mirror_lcn) else { return true };
        let (mut first, mut second) = (vec![0; length], vec![0; length]);
        let read = self.mft.read(&mut first, 0).and_then(|()| self.device.read_exact_at(&mut second, offset));
        read.is_err() || first != second
    }

    pub(crate) fn system_stream(&self, record: u64) -> Option<Stream> {
        let file: FileId = self.index.file_id(record)?;
        self.stream(file, None).ok()
    }
}

/// Four records: larger clusters hold more, but Windows keeps only these in step.
fn mirror_length(geometry: &Geometry) -> usize {
    geometry.record_length().saturating_mul(4)
}

/// What the first [`RESTART_BYTES`] of `$LogFile` say.
pub(crate) fn log_state(pages: &mut [u8]) -> LogFile {
    if pages.iter().all(|&byte| byte == 0xff) {
        return LogFile::Empty;
    }
    let newest = pages.chunks_exact_mut(RESTART_PAGE_BYTES).filter_map(restart_area).max();
    match newest {
        Some((_, true)) => LogFile::Clean,
        Some((_, false)) | None => LogFile::Unclean,
    }
}

/// The LSN of a restart page, and whether it says "dismounted". `None` when it is no such page.
fn restart_area(page: &mut [u8]) -> Option<(u64, bool)> {
    if slice_at(page, 0, 4) != Some(b"RSTR") {
        return None;
    }
    record::restore_sectors(page)?;
    let area = page.get(position_at(page, 0x18)?..)?;
    Some((u64_at(area, 0)?, u16_at(area, 0x0e)? & RESTART_CLEAN != 0))
}

//! Opening a volume, and what it tells about itself and its files.
//!
//! ```text
//! boot sector ─▶ $MFT's runs ─▶ sweep ─▶ index ─▶ tree, names ─▶ Volume
//! ```
//! [`Volume::open`] does all of it; afterwards a volume is read-only in memory, so any number of
//! threads may ask it.

use block::{ReadError, SharedDevice};

use crate::boot::{BOOT_BYTES, BootError, Geometry};
use crate::bytes::{in_memory, on_volume};
use crate::health::{BootSector, Health, LogFile};
use crate::index::Index;
use crate::index::names::Names;
use crate::limits::Limits;
use crate::mft::{Mft, MftError};
use crate::problem::{ProblemKind, Problems};
use crate::record::FileId;
use crate::sweep::{self, SweepError, SweepProgress};
use crate::tree::Tree;
use crate::upcase::{TABLE_BYTES, UpCase};

const UPCASE_RECORD: u64 = 10;

/// A volume, swept and ready to be asked.
pub struct Volume {
    pub(crate) device: SharedDevice,
    pub(crate) geometry: Geometry,
    pub(crate) limits: Limits,
    pub(crate) mft: Mft,
    pub(crate) index: Index,
    pub(crate) tree: Tree,
    pub(crate) names: Names,
    pub(crate) upcase: UpCase,
    health: Health,
}

/// Why a volume could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Neither the first nor the last sector is an NTFS boot sector.
    #[error("no boot sector of NTFS, neither first nor last")]
    Boot(#[source] BootError),
    /// The first sector cannot be read, and the last is none.
    #[error("reading the boot sector")]
    Read(#[source] ReadError),
    /// The boot sector does not lead to `$MFT`.
    #[error("finding $MFT")]
    Mft(#[from] MftError),
    /// `$MFT` could not be read to its end.
    #[error("reading $MFT")]
    Sweep(#[from] SweepError),
}

/// How large the index came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IndexSize {
    /// Records of `$MFT`, in use or not.
    pub records: u64,
    /// Names of files and directories.
    pub names: u64,
    /// Memory of the index, the name table included.
    pub memory_bytes: u64,
}

impl Volume {
    /// Reads boot sector and `$MFT`; `progress` is told after each large read.
    ///
    /// # Errors
    /// See [`OpenError`]. Damage that concerns single files does not keep a volume from being
    /// opened; it is in [`Volume::health`].
    pub fn open(
        device: SharedDevice,
        limits: Limits,
        progress: &mut dyn FnMut(SweepProgress),
    ) -> Result<Volume, OpenError> {
        let (geometry, boot_sector, mft, mft_from_mirror) = find(&device, &limits)?;
        let mut problems = Problems::new(limits.problems_max);
        let swept = sweep::sweep(&mft, &geometry, &limits, &mut problems, progress)?;
        let tree = Tree::build(&swept.index, &limits, &mut problems);
        let device_short = device.length_bytes() < geometry.volume_bytes;
        let health = Health {
            dirty: false,
            log_file: LogFile::Unreadable,
            hibernated: false,
            boot_sector,
            mft_from_mirror,
            mirror_differs: false,
            device_short,
            problems,
        };
        let upcase = UpCase::standard();
        let names = Names::build(&Index::default(), &upcase, 0);
        let index = swept.index;
        let mut volume = Volume { device, geometry, limits, mft, index, tree, names, upcase, health };
        volume.load_upcase();
        volume.names = Names::build(&volume.index, &volume.upcase, swept.names);
        volume.examine();
        Ok(volume)
    }

    fn load_upcase(&mut self) {
        let stream = self.system_stream(UPCASE_RECORD).filter(|stream| stream.length_bytes == TABLE_BYTES);
        let mut content = vec![0; in_memory(TABLE_BYTES)];
        let read = stream.and_then(|stream| self.read_at(&stream, 0, &mut content).ok());
        match read.and_then(|_| UpCase::parse(&content)) {
            Some(upcase) => self.upcase = upcase,
            None => self.health.problems.push(UPCASE_RECORD, ProblemKind::UpCase),
        }
    }

    fn examine(&mut self) {
        self.health.dirty = self.is_dirty();
        self.health.log_file = self.log_file();
        self.health.hibernated = self.is_hibernated();
        self.health.mirror_differs = self.mirror_differs();
    }

    /// The state the volume was left in, and what is damaged.
    pub fn health(&self) -> &Health {
        &self.health
    }

    /// Sizes and places from the boot sector.
    pub fn geometry(&self) -> &Geometry {
        &self.geometry
    }

    /// What the index takes.
    pub fn index_size(&self) -> IndexSize {
        let names = on_volume(self.names.len());
        let memory_bytes = self.index.bytes().saturating_add(self.names.bytes());
        IndexSize { records: self.index.records(), names, memory_bytes }
    }

    /// The file whose base record has this number, if there is one.
    pub fn file(&self, record: u64) -> Option<FileId> {
        self.index.file_id(record)
    }
}

/// The first boot sector that leads to `$MFT`. When none does, the first one's error counts.
pub(crate) fn find(
    device: &SharedDevice,
    limits: &Limits,
) -> Result<(Geometry, BootSector, Mft, bool), OpenError> {
    let attempt = |offset: u64, which: BootSector| {
        let geometry = read_boot(device, offset)?;
        let (mft, from_mirror) = Mft::find(device.clone(), geometry, limits)?;
        Ok((geometry, which, mft, from_mirror))
    };
    let first = match attempt(0, BootSector::Primary) {
        Ok(found) => return Ok(found),
        Err(error) => error,
    };
    // The copy is in the last sector, of whichever size.
    let end = device.length_bytes();
    for sector_bytes in [512, 4096] {
        let offset = end.checked_sub(sector_bytes).filter(|&offset| offset > 0);
        if let Some(Ok(found)) = offset.map(|offset| attempt(offset, BootSector::Backup)) {
            return Ok(found);
        }
    }
    Err(first)
}

fn read_boot(device: &SharedDevice, offset: u64) -> Result<Geometry, OpenError> {
    let mut sector = [0; BOOT_BYTES];
    device.read_exact_at(&mut sector, offset).map_err(OpenError::Read)?;
    Geometry::parse(&sector).map_err(OpenError::Boot)
}

//! Adds files to a volume that is in use: ours, or one that Windows made. spec/ntfs.md §5.
//!
//! ```text
//! Found ─▶ Amendment ──directory, file, replace──▶ plan ─▶ extents: the caller writes the data
//!                                                          └──write: ① new records and indexes ② $Bitmap
//!                                                                    ③ records 0 to 7 ④ $MFTMirr ⑤ what is free now
//! ```
//! New directories with everything below them go into the root, beside single new files; files of
//! the root can be replaced. Everything new lies in clusters and records that were free: records in a
//! new piece of `$MFT` behind its end, the root's index in new blocks. Nobody sees any of it until
//! step ③, one write of eight records, which makes `$MFT` longer and gives the root its new index.
//!
//! # Invariants
//! - Until ③ the volume is what it was, but that some free clusters are marked as used; afterwards it
//!   has everything. A power cut between two writes loses nothing that was there.
//! - From ③ until all is done the volume is marked dirty, so that Windows checks it if it comes to
//!   that.
//! - Only a volume at rest is touched: clean, dismounted, not hibernated, and sound in all that is
//!   changed or relied on. Everything else is refused, with what to do about it.
//!
//! # What it leaves out
//! Directories that exist, other than the root, are not added to; `$LogFile` and the change journal are
//! not written; sizes that the root shows for `$MFT` stay as they are, as Windows leaves them.

mod edit;
mod error;
mod found;
mod free;
mod layout;
mod write;

use block::SharedDevice;

pub use error::{AmendError, AmendWriteError};
pub use layout::AmendPlan;
pub use write::Amended;

use super::nodes::Nodes;
use super::settings::Settings;
use super::spec::Times;
use super::{BuildError, Builder, DirectoryId, DirectorySpec, FileId, FileSpec, FileTime};
use crate::check::file::FileRecords;
use crate::limits::Limits;
use crate::record;
use found::Found;

/// How files are added.
#[derive(Debug, Clone, Copy)]
pub struct AmendSettings {
    /// The time of what the file system has for itself.
    pub time: FileTime,
    /// Bounds against hostile volumes.
    pub limits: Limits,
}

/// A file of the root that goes when the new one is there.
struct Replaced {
    new: FileId,
    /// Record of the old one.
    old: u64,
    clusters: Vec<super::space::Stretch>,
    records: Vec<u64>,
}

type Belongings = (u64, Vec<super::space::Stretch>, Vec<u64>);

/// Collects what shall be added to a volume.
pub struct Amendment {
    found: Found,
    builder: Builder,
    replaced: Vec<Replaced>,
}

impl Amendment {
    /// Looks at a volume, and refuses one that should not be touched.
    ///
    /// # Errors
    /// See [`AmendError`].
    pub fn new(device: SharedDevice, settings: AmendSettings) -> Result<Amendment, AmendError> {
        let found = Found::look(device, settings.limits)?;
        let times = Times::all(settings.time);
        let builder = Builder {
            settings: Settings {
                volume_bytes: found.geometry.volume_bytes,
                sector_bytes: found.geometry.sector_bytes,
                cluster_bytes: Some(found.geometry.cluster_bytes),
                label: String::new(),
                serial: found.geometry.serial,
                first_sector_of_partition: 0,
                time: settings.time,
                placed: Vec::new(),
            },
            shape: found.shape,
            label: Vec::new(),
            nodes: Nodes::from_record(times, layout::first_record(&found)),
            sparse: Vec::new(),
            placed: Vec::new(),
        };
        Ok(Amendment { found, builder, replaced: Vec::new() })
    }

    /// Bytes in a cluster of the volume.
    pub fn cluster_bytes(&self) -> u32 {
        self.builder.cluster_bytes()
    }

    /// Bytes of all free clusters; a part of them goes into records and indexes.
    pub fn free_bytes(&self) -> u64 {
        self.found.shape.bytes_of(self.found.free_clusters)
    }

    /// Adds a directory: to the root ([`DirectoryId::ROOT`]), or to a directory added before.
    ///
    /// # Errors
    /// As [`Builder::directory`].
    pub fn directory(
        &mut self,
        parent: DirectoryId,
        name: &str,
        spec: &DirectorySpec,
    ) -> Result<DirectoryId, BuildError> {
        self.builder.directory(parent, name, spec)
    }

    /// Adds a file. The files' data will lie in the order of these calls.
    ///
    /// # Errors
    /// As [`Builder::file`].
    pub fn file(&mut self, parent: DirectoryId, name: &str, spec: &FileSpec) -> Result<FileId, BuildError> {
        self.builder.file(parent, name, spec)
    }

    /// Adds a file to the root in the place of the one of that name, if there is one.
    ///
    /// # Errors
    /// When what is there is a directory, or a file with several names; and as [`Builder::file`].
    pub fn replace(&mut self, name: &str, spec: &FileSpec) -> Result<FileId, ReplaceError> {
        let old = self.existing(name).map(|entry| self.replaceable(entry)).transpose()?;
        let new = self.builder.file(DirectoryId::ROOT, name, spec)?;
        if let Some((old, clusters, records)) = old {
            self.replaced.push(Replaced { new, old, clusters, records });
        }
        Ok(new)
    }

    /// Record, clusters and records of a file that may go.
    fn replaceable(&self, entry: &found::RootEntry) -> Result<Belongings, AmendError> {
        let existing = String::from_utf16_lossy(&entry.units());
        let id = record::FileId::from_reference(entry.reference);
        let file = FileRecords::load(&self.found.mft, &self.found.limits, id.record);
        let file = file.filter(|file| found::is(file, id));
        let file = file.ok_or_else(|| found::damaged(id.record, crate::check::FaultKind::StreamLost))?;
        if entry.is_alias() {
            return Err(AmendError::Clash { existing });
        }
        if found::is_directory(&file) {
            return Err(AmendError::IsDirectory { existing });
        }
        match found::names_of(&file) {
            1 => {
                let (clusters, records) = self.found.belongings(&file);
                Ok((id.record, clusters, records))
            }
            names => Err(AmendError::Linked { existing, names }),
        }
    }

    /// The root's entry whose name is the same to Windows.
    fn existing(&self, name: &str) -> Option<&found::RootEntry> {
        let upper = |unit: u16| self.found.upcase.unit(unit);
        let is_same = |entry: &&found::RootEntry| {
            entry.units().into_iter().map(upper).eq(name.encode_utf16().map(upper))
        };
        self.found.root.iter().find(is_same)
    }

    /// Lays everything out in the free space.
    ///
    /// # Errors
    /// When names clash with each other or with what is there, or it does not fit.
    pub fn plan(self) -> Result<AmendPlan, AmendError> {
        AmendPlan::new(self)
    }
}

/// Why a file cannot take the place of another one.
#[derive(Debug, thiserror::Error)]
pub enum ReplaceError {
    /// The new one cannot be made.
    #[error(transparent)]
    New(#[from] BuildError),
    /// The old one cannot go.
    #[error(transparent)]
    Old(#[from] AmendError),
}

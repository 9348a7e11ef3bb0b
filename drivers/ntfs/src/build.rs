//! Writes a new volume: once, front to back, everything known beforehand. spec/ntfs.md §4, §5.
//!
//! ```text
//! Settings ─▶ Builder ──directory, file──▶ Builder ──plan──▶ Plan ─▶ extents: the caller writes the data
//!                                                             └──set_length, omit, then write: the metadata
//! ```
//! Names and sizes come first. [`Builder::plan`] sorts the directories, refuses names that Windows
//! would take for each other, and gives every file its clusters: each in one run unless a
//! pre-placed file lies in between, all in the order in which they were added, so that the data is
//! one sequential pass over the drive. [`Plan::write`] then streams all metadata in a few large
//! writes.
//!
//! # Invariants
//! - The boot sector comes last, after a flush: what was cut off before is no NTFS volume
//!   ([`Plan::invalidate`] sees to it that an older one is none either).
//! - The same calls give the same plan and the same bytes, so a packing that was cut off can go on.
//! - A name stands in the index exactly as in the file's record; both are made by one function.
//!
//! # Cost
//! 80 bytes a file, 2 for each unit of its name, 4 for its place in its directory; index blocks and
//! records are made while they are written. Measured by `examples/build_bench.rs` with names of 26
//! units: 139 bytes of resident memory a file; a million files planned and their metadata written
//! in 3.9 s to memory (258,000 files a second), in 8.2 s to a disk that others used too.
//!
//! # What is left out
//! Small files are not resident: each file that is not empty has its clusters, so that its bytes go
//! from the caller's buffer to the drive and nowhere else. No 8.3 names, no hard links, no alternate
//! streams, no compression. `$LogFile` is empty (all 0xFF), which every driver takes for clean.

pub mod amend;
mod bitmap;
mod contents;
mod error;
mod fields;
mod index;
mod name;
mod names;
mod nodes;
mod overflow;
mod pairs;
mod plan;
mod record;
mod records;
mod security;
mod settings;
mod sink;
mod sorted;
mod space;
mod spec;
mod system;
mod tree;
mod write;

use std::ops::Range;

pub use error::{BuildError, Clash, LengthError, MetadataError, PlanError};
pub use name::{NameFault, WindowsFault, windows_fault};
pub use plan::Plan;
pub use settings::{PlacedFile, Settings};
pub use sink::WriteProgress;
pub use spec::{Attributes, DirectoryId, DirectorySpec, Extent, FileId, FileSpec, FileTime, Times};
pub use write::Built;

use nodes::{Kind, NewNode, Nodes};
use settings::{BOOT_FILE_BYTES, Shape};
use space::Stretch;

/// The directory that pre-placed files are in.
const SYSTEM_VOLUME_INFORMATION: &str = "System Volume Information";

impl DirectoryId {
    /// The root of the volume.
    pub const ROOT: DirectoryId = DirectoryId(nodes::ROOT);
}

/// Collects what shall be on the volume.
pub struct Builder {
    settings: Settings,
    shape: Shape,
    label: Vec<u16>,
    nodes: Nodes,
    /// The ranges of sparse files, in clusters of the file.
    sparse: Vec<Vec<DataRange>>,
    /// Clusters of the pre-placed files, ascending.
    placed: Vec<Stretch>,
}

/// Clusters of a sparse file that hold data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct DataRange {
    vcn: u64,
    clusters: u64,
}

impl Builder {
    /// A volume without files, but for the pre-placed ones.
    ///
    /// # Errors
    /// When NTFS has no such volume, or a pre-placed file cannot be where it should.
    pub fn new(settings: Settings) -> Result<Builder, BuildError> {
        let shape = Shape::new(&settings)?;
        let label = settings::label_units(&settings.label)?;
        let nodes = Nodes::new(Times::all(settings.time));
        let mut builder = Builder { settings, shape, label, nodes, sparse: Vec::new(), placed: Vec::new() };
        if !builder.settings.placed.is_empty() {
            builder.place()?;
        }
        Ok(builder)
    }

    /// Bytes in a cluster, as it was chosen.
    pub fn cluster_bytes(&self) -> u32 {
        self.shape.cluster_bytes
    }

    /// Adds a directory.
    ///
    /// # Errors
    /// When NTFS cannot hold the name, or there are too many files.
    pub fn directory(
        &mut self,
        parent: DirectoryId,
        name: &str,
        spec: &DirectorySpec,
    ) -> Result<DirectoryId, BuildError> {
        let units = self.name(parent, name)?;
        let attributes = spec.attributes.bits() | nodes::DIRECTORY;
        let number = self.nodes.add(&NewNode {
            parent: parent.0,
            name: &units,
            kind: Kind::Directory,
            attributes,
            ranges: 0,
            length_bytes: 0,
            place: 0,
            times: spec.times,
        })?;
        Ok(DirectoryId(number))
    }

    /// Adds a file. The files' data will lie in the order of these calls.
    ///
    /// # Errors
    /// When NTFS cannot hold the name or the length, or the ranges of a sparse file contradict
    /// themselves.
    pub fn file(&mut self, parent: DirectoryId, name: &str, spec: &FileSpec) -> Result<FileId, BuildError> {
        let units = self.name(parent, name)?;
        let length_max_bytes = self.shape.length_max_bytes();
        if spec.length_bytes > length_max_bytes {
            return Err(BuildError::TooLong {
                path: self.path(parent, name),
                length_bytes: spec.length_bytes,
                cluster_bytes: self.shape.cluster_bytes,
                length_max_bytes,
            });
        }
        let ranges = match &spec.data {
            Some(data) => self.ranges(data, spec.length_bytes).map_err(|range| BuildError::Ranges {
                path: self.path(parent, name),
                start: range.start,
                end: range.end,
                length_bytes: spec.length_bytes,
            })?,
            None => None,
        };
        let (kind, at) = match ranges {
            Some(ranges) => {
                self.sparse.push(ranges);
                (Kind::Sparse, self.sparse.len().saturating_sub(1))
            }
            None => (Kind::File, 0),
        };
        let number = self.nodes.add(&NewNode {
            parent: parent.0,
            name: &units,
            kind,
            attributes: spec.attributes.bits(),
            ranges: u32::try_from(at).unwrap_or(u32::MAX),
            length_bytes: spec.length_bytes,
            place: 0,
            times: spec.times,
        })?;
        Ok(FileId(number))
    }

    /// Sorts, checks and lays out everything.
    ///
    /// # Errors
    /// See [`PlanError`].
    pub fn plan(self) -> Result<Plan, PlanError> {
        Plan::new(self)
    }

    /// The name in UTF-16, if it can be made in this directory.
    fn name(&self, parent: DirectoryId, name: &str) -> Result<Vec<u16>, BuildError> {
        let is_directory = self.nodes.find(parent.0).is_some_and(|node| node.kind == Kind::Directory);
        if !is_directory || parent.0 == nodes::EXTEND {
            return Err(BuildError::NoDirectory { name: name.to_owned() });
        }
        name::units(name).map_err(|fault| BuildError::Name { path: self.path(parent, name), fault })
    }

    fn path(&self, parent: DirectoryId, name: &str) -> String {
        format!("{}\\{name}", self.nodes.path(parent.0))
    }

    /// The ranges in whole units, adjacent ones joined; `None` when they leave no hole.
    fn ranges(&self, data: &[Range<u64>], length_bytes: u64) -> Result<Option<Vec<DataRange>>, Range<u64>> {
        let all = self.shape.sparse_clusters_for(length_bytes);
        let unit = self.shape.sparse_unit_clusters();
        let unit_bytes = self.shape.bytes_of(unit);
        let mut joined: Vec<DataRange> = Vec::new();
        let mut before = 0;
        for range in data {
            if range.start < before || range.is_empty() || range.end > length_bytes {
                return Err(range.clone());
            }
            before = range.end;
            let vcn = range.start.checked_div(unit_bytes).unwrap_or(0).saturating_mul(unit);
            let end = range.end.div_ceil(unit_bytes).saturating_mul(unit);
            match joined.last_mut() {
                Some(last) if last.vcn.saturating_add(last.clusters) >= vcn => {
                    last.clusters = end.saturating_sub(last.vcn);
                }
                _ => joined.push(DataRange { vcn, clusters: end.saturating_sub(vcn) }),
            }
        }
        let whole = matches!(joined.as_slice(), [only] if only.clusters == all) || all == 0;
        Ok((!whole).then_some(joined))
    }

    /// Makes `\System Volume Information` and what is in it.
    fn place(&mut self) -> Result<(), BuildError> {
        let spec = DirectorySpec {
            times: Times::all(self.settings.time),
            attributes: Attributes::HIDDEN | Attributes::SYSTEM,
        };
        let directory = self.directory(DirectoryId::ROOT, SYSTEM_VOLUME_INFORMATION, &spec)?;
        let mut files = self.settings.placed.clone();
        files.sort_by_key(|file| file.offset_bytes);
        let mut free_from = self.shape.clusters_for(BOOT_FILE_BYTES);
        for file in &files {
            let stretch = self.placed_clusters(file, free_from)?;
            free_from = stretch.end();
            let units = self.name(directory, &file.name)?;
            self.nodes.add(&NewNode {
                parent: directory.0,
                name: &units,
                kind: Kind::Placed,
                attributes: (Attributes::HIDDEN | Attributes::SYSTEM | Attributes::ARCHIVE).bits(),
                ranges: 0,
                length_bytes: file.length_bytes,
                place: stretch.lcn,
                times: spec.times,
            })?;
            self.placed.push(stretch);
        }
        Ok(())
    }

    fn placed_clusters(&self, file: &PlacedFile, free_from: u64) -> Result<Stretch, BuildError> {
        let refused = |reason| BuildError::Placed {
            name: file.name.clone(),
            offset_bytes: file.offset_bytes,
            length_bytes: file.length_bytes,
            reason,
        };
        let cluster_bytes = u64::from(self.shape.cluster_bytes);
        if !file.offset_bytes.is_multiple_of(cluster_bytes) {
            return Err(refused("it does not begin at a cluster"));
        }
        let lcn = file.offset_bytes.checked_div(cluster_bytes).unwrap_or(0);
        let stretch = Stretch { lcn, clusters: self.shape.clusters_for(file.length_bytes) };
        if stretch.clusters == 0 {
            return Err(refused("it is empty"));
        }
        if lcn < free_from {
            return Err(refused("its clusters are another file's"));
        }
        let inside = stretch.end() <= self.shape.clusters && file.length_bytes <= self.settings.volume_bytes;
        if inside { Ok(stretch) } else { Err(refused("it leaves the volume")) }
    }
}

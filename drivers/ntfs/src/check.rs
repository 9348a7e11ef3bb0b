//! Checks a whole volume: whether everything on it agrees with everything else. spec/ntfs.md §5, §6.
//!
//! ```text
//! boot, $UpCase, $Secure ─▶ sweep of $MFT ─▶ attribute lists ─▶ indexes ─▶ names ─▶ bitmaps, mirror
//!                              │ 15 bytes a record, a bitmap of clusters          │
//!                              └────────────────── faults ◀───────────────────────┘
//! ```
//! Made for the volumes that we write: Windows' own `chkdsk` cannot run here, and the tools that can
//! miss a good part of what may be wrong (§6). What a file *contains* no file system knows: that is
//! what the manifest's hashes are for.
//!
//! # Invariants
//! - A sound volume has no fault, whoever made it: Windows, ntfs-3g or ourselves.
//! - Each fault says where it is, what was expected and what was found. The list is capped, the count is not.
//! - No input panics or loops, and memory is bounded by the number of records and clusters: 15 bytes
//!   a record, 8 a directory, at most one bit a cluster.
//!
//! # What is left out
//! Times, quotas, object ids, reparse points and the journal's content; sizes in directory entries of
//! files with several hard links and of the file system's own files, which Windows leaves stale.

pub(crate) mod btree;
pub(crate) mod fault;
pub(crate) mod file;

mod attributes;
mod bitmaps;
mod clusters;
mod directories;
mod lists;
mod names;
mod records;
mod secure;
pub(crate) mod system;
mod table;

use std::collections::{BTreeMap, HashSet};

use block::SharedDevice;

pub use fault::{At, Fault, FaultKind};

use crate::boot::Geometry;
use crate::health::BootSector;
use crate::limits::Limits;
use crate::mft::Mft;
use crate::sweep::{self, SweepError};
use crate::upcase::UpCase;
use crate::volume::{self, OpenError};
use attributes::Order;
use btree::Ground;
use clusters::{CLUSTERS_MAX, ClusterMap};
use fault::Faults;
use table::Table;

/// Where a volume's partition lies, for the fields of the boot sector that say so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartitionPlace {
    /// First sector of the partition on its drive.
    pub first_sector: u64,
    /// The partition's length in bytes.
    pub length_bytes: u64,
}

/// What to check, and how much may come of it.
#[derive(Debug, Clone)]
pub struct CheckOptions {
    /// Bounds against hostile volumes.
    pub limits: Limits,
    /// Faults that are kept; all are counted.
    pub faults_max: usize,
    /// Whether names in a directory may differ by case only. Linux and case-sensitive directories of
    /// Windows have such names; elsewhere Windows finds only one of the two.
    pub case_twins_allowed: bool,
    /// Compared with the boot sector when it is known.
    pub partition: Option<PartitionPlace>,
}

impl Default for CheckOptions {
    fn default() -> CheckOptions {
        CheckOptions {
            limits: Limits::default(),
            faults_max: 1_000,
            case_twins_allowed: false,
            partition: None,
        }
    }
}

/// What the check is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CheckStep {
    /// The sweep of `$MFT`.
    Records,
    /// The indexes.
    Directories,
    /// `$Bitmap`.
    Bitmaps,
}

/// How far the check has come with its present step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CheckProgress {
    /// The step.
    pub step: CheckStep,
    /// So much of it is done.
    pub done: u64,
    /// So much is to do.
    pub total: u64,
}

/// What was found.
#[derive(Debug, Clone)]
pub struct Report {
    /// The first faults, at most [`CheckOptions::faults_max`].
    pub faults: Vec<Fault>,
    /// How many there were in all.
    pub fault_count: u64,
    /// Records of `$MFT`, in use or not.
    pub records: u64,
    /// Files and directories, those of the file system included.
    pub files: u64,
}

impl Report {
    /// Whether nothing at all is wrong.
    pub fn is_sound(&self) -> bool {
        self.fault_count == 0
    }

    /// Whether at most space is lost: what a change that was interrupted may leave.
    pub fn has_only_leaks(&self) -> bool {
        self.fault_count == crate::bytes::on_volume(self.faults.len())
            && self.faults.iter().all(|fault| fault.kind.is_leak())
    }

    /// How many of the kept faults are of each kind.
    pub fn by_kind(&self) -> BTreeMap<String, usize> {
        fault::by_kind(&self.faults)
    }
}

/// Why a volume could not be checked at all.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// No way leads to `$MFT`.
    #[error("opening the volume for a check")]
    Open(#[source] OpenError),
    /// `$MFT` could not be read to its end.
    #[error("reading $MFT for a check")]
    Sweep(#[from] SweepError),
    /// More than Windows can have.
    #[error("the volume has {found} {what}, more than {limit}")]
    Limit {
        /// Of what.
        what: &'static str,
        /// How many.
        found: u64,
        /// The limit.
        limit: u64,
    },
}

/// Checks the volume that a device holds. `progress` is told now and then.
///
/// # Errors
/// See [`CheckError`]; whatever can be located is a [`Fault`] instead.
pub fn check(
    device: SharedDevice,
    options: &CheckOptions,
    progress: &mut dyn FnMut(CheckProgress),
) -> Result<Report, CheckError> {
    let limits = options.limits;
    let (geometry, boot_sector, mft, _) = volume::find(&device, &limits).map_err(CheckError::Open)?;
    bounded("clusters", geometry.clusters, CLUSTERS_MAX)?;
    bounded("FILE records", mft.records(), limits.records_max)?;
    let mut faults = Faults::new(options.faults_max);
    if boot_sector == BootSector::Backup {
        faults.push(Fault::new(system::BOOT, FaultKind::BootLost).at(At::OnVolume(0)));
    }
    system::boot(&device, &geometry, options.partition, &mut faults);
    let upcase = system::upcase(&*device, &mft, &limits, &mut faults);
    let mut check = Check::new(&mft, geometry, options, upcase, faults);
    check.run(progress)?;
    Ok(check.report())
}

fn bounded(what: &'static str, found: u64, limit: u64) -> Result<(), CheckError> {
    if found > limit { Err(CheckError::Limit { what, found, limit }) } else { Ok(()) }
}

/// The state of one check; each step is in its own file.
struct Check<'a> {
    mft: &'a Mft,
    geometry: Geometry,
    limits: Limits,
    case_twins_allowed: bool,
    upcase: UpCase,
    faults: Faults,
    table: Table,
    clusters: ClusterMap,
    /// Clusters that streams have claimed, those claimed twice counted twice.
    claimed: u64,
    /// Ids of security descriptors, and whether they are all of them.
    security: HashSet<u32>,
    security_known: bool,
    /// Files with an attribute list.
    lists: Vec<u64>,
    /// (directory, the one that it lies in).
    directories: Vec<(u64, u64)>,
    /// Index blocks that may still be read.
    blocks_left: u64,
    /// Of the record that is being looked at: its attributes so far, and whether they may be pieces.
    order: Order,
    in_pieces: bool,
}

impl<'a> Check<'a> {
    fn new(mft: &'a Mft, geometry: Geometry, options: &CheckOptions, upcase: UpCase, faults: Faults) -> Self {
        let mut check = Check {
            mft,
            geometry,
            limits: options.limits,
            case_twins_allowed: options.case_twins_allowed,
            upcase,
            faults,
            table: Table::new(mft.records()),
            clusters: ClusterMap::new(geometry.clusters),
            claimed: 0,
            security: HashSet::new(),
            security_known: false,
            lists: Vec::new(),
            directories: Vec::new(),
            blocks_left: 0,
            order: Order::default(),
            in_pieces: false,
        };
        check.blocks_left = check.blocks_max();
        check
    }

    fn run(&mut self, progress: &mut dyn FnMut(CheckProgress)) -> Result<(), CheckError> {
        self.security();
        let (mft, geometry) = (self.mft, self.geometry);
        sweep::each_record(mft, &geometry, self, &mut |swept| {
            let (done, total) = (swept.records, swept.records_total);
            progress(CheckProgress { step: CheckStep::Records, done, total });
        })?;
        self.listed_files();
        self.walk_directories(progress);
        self.compare_names();
        self.directory_cycles();
        self.record_bitmap();
        self.volume_bitmap(progress);
        self.system_files();
        Ok(())
    }

    fn report(self) -> Report {
        let records = self.mft.records();
        let files = (0..records).filter(|&record| self.table.is_file(record)).count();
        let (faults, fault_count) = self.faults.into_parts();
        Report { faults, fault_count, records, files: crate::bytes::on_volume(files) }
    }

    fn ground(&self) -> Ground<'_> {
        Ground { device: &**self.mft.device(), geometry: &self.geometry, upcase: &self.upcase }
    }

    /// Index blocks that fit on the volume: streams that share clusters cost no more than that.
    fn blocks_max(&self) -> u64 {
        self.geometry.volume_bytes.checked_div(self.geometry.index_block_bytes.into()).unwrap_or(0)
    }
}

//! What is on a volume that files are to be added to, as far as that matters; and whether they may be.

use block::SharedDevice;

use super::super::index::ENTRY_HEADER_BYTES;
use super::super::plan::Security;
use super::super::security;
use super::super::settings::Shape;
use super::super::space::Stretch;
use super::super::tree::BLOCK_BYTES;
use super::error::AmendError;
use super::free::{self, Bitmap};
use crate::boot::Geometry;
use crate::bytes::{in_memory, on_volume, slice_at, u16_at, u32_at};
use crate::check::btree::{self, IndexEntry, IndexVisitor, name_of};
use crate::check::fault::{At, Fault, FaultKind, Faults};
use crate::check::file::{BITMAP, FileRecords, INDEX_ALLOCATION, Value};
use crate::check::system;
use crate::health::{BootSector, LogFile, RESTART_BYTES, log_state};
use crate::limits::Limits;
use crate::mft::Mft;
use crate::record::{
    self, ATTRIBUTE_LIST, Body, DATA, FILE_NAME, FileId, FileName, Record, STANDARD_INFORMATION,
    VOLUME_INFORMATION,
};
use crate::runs::{Run, Runs};
use crate::upcase::UpCase;
use crate::volume;

pub(super) const MFT: u64 = 0;
pub(super) const LOG_FILE: u64 = 2;
pub(super) const VOLUME: u64 = 3;
pub(super) const ROOT: u64 = 5;
const VOLUME_BITMAP: u64 = 6;
const SECURE: u64 = 9;
/// Records that are written together when the additions become visible.
pub(super) const HEAD_RECORDS: usize = 8;
/// The root as Windows refers to it.
const ROOT_ID: FileId = FileId { record: ROOT, sequence: 5 };
/// The name of a directory's index.
pub(super) const NAME_INDEX: &[u8] = b"$\0I\x003\x000\0";
const VOLUME_DIRTY: u16 = 1;
const COMPRESSED_OR_ENCRYPTED: u32 = 0x800 | 0x4000;
/// A volume's security descriptors; one of tens of millions of files has a few megabytes.
const DESCRIPTORS_BYTES_MAX: u64 = 64 << 20;
/// The bitmap of `$MFT` for as many records as the reader takes.
const RECORD_BITMAP_BYTES_MAX: u64 = 8 << 20;

/// An entry of the root's index.
pub(super) struct RootEntry {
    pub(super) reference: u64,
    /// The `$FILE_NAME` in it.
    pub(super) key: Vec<u8>,
}

impl RootEntry {
    /// Bytes in a leaf.
    pub(super) fn bytes(&self) -> usize {
        super::super::fields::aligned(self.key.len().saturating_add(ENTRY_HEADER_BYTES))
    }

    /// Whether it is the 8.3 name beside a longer one.
    pub(super) fn is_alias(&self) -> bool {
        FileName::parse(&self.key).is_some_and(|name| name.namespace == FileName::DOS)
    }

    pub(super) fn units(&self) -> Vec<u16> {
        btree::units(name_of(&self.key)).collect()
    }
}

/// See the module's documentation.
pub(super) struct Found {
    pub(super) device: SharedDevice,
    pub(super) geometry: Geometry,
    pub(super) shape: Shape,
    pub(super) limits: Limits,
    pub(super) mft: Mft,
    pub(super) upcase: UpCase,
    /// The first records as they are on the volume.
    pub(super) head: Vec<u8>,
    /// The log's restart pages.
    pub(super) log_state: Vec<u8>,
    /// Runs of `$MFT`, and its bitmap.
    pub(super) mft_runs: Vec<Run>,
    pub(super) record_bitmap: Vec<u8>,
    pub(super) bitmap: Bitmap,
    pub(super) free_clusters: u64,
    /// The longest free stretches, longest first.
    pub(super) free: Vec<Stretch>,
    pub(super) root: Vec<RootEntry>,
    /// Clusters that nothing needs once the additions are there.
    pub(super) obsolete: Vec<Stretch>,
    pub(super) security: Security,
}

pub(super) fn damaged(record: u64, kind: FaultKind) -> AmendError {
    AmendError::Damaged(Box::new(Fault::new(record, kind)))
}

impl Found {
    /// Looks at a volume.
    pub(super) fn look(device: SharedDevice, limits: Limits) -> Result<Found, AmendError> {
        let (geometry, boot_sector, mft, from_mirror) =
            volume::find(&device, &limits).map_err(AmendError::Open)?;
        if boot_sector == BootSector::Backup || from_mirror {
            return Err(damaged(system::BOOT, FaultKind::BootLost));
        }
        let shape = shape(&geometry)?;
        let mut faults = Faults::new(1);
        let upcase = system::upcase(&*device, &mft, &limits, &mut faults);
        if let Some(fault) = faults.into_parts().0.pop() {
            return Err(AmendError::Damaged(Box::new(fault)));
        }
        let looker =
            Looker { device: &device, geometry: &geometry, limits: &limits, mft: &mft, upcase: &upcase };
        let log_state = looker.log_at_rest()?;
        let head = looker.head()?;
        let Records { runs: mft_runs, bitmap: record_bitmap, mut obsolete } = looker.mft()?;
        let root = looker.root(&mut obsolete)?;
        looker.is_awake(&root)?;
        let bitmap = Bitmap::new(looker.value(VOLUME_BITMAP, DATA, &[])?, &geometry)
            .ok_or_else(|| damaged(VOLUME_BITMAP, FaultKind::StreamLost))?;
        let (free_clusters, free) = free::longest(&bitmap, &device)?;
        let security = looker.security();
        Ok(Found {
            geometry,
            shape: Shape { descriptor_bytes: descriptor_bytes(security), ..shape },
            limits,
            head,
            log_state,
            mft_runs,
            record_bitmap,
            bitmap,
            free_clusters,
            free,
            root,
            obsolete,
            security,
            upcase,
            mft,
            device,
        })
    }

    /// The clusters of everything that a file has, and its records.
    pub(super) fn belongings(&self, file: &FileRecords) -> (Vec<Stretch>, Vec<u64>) {
        let mut clusters = Vec::new();
        for (_, attribute) in file.attributes() {
            if let Body::NonResident(body) = attribute.body {
                clusters.extend(stretches(body.runs, self.geometry.clusters));
            }
        }
        (clusters, file.records.iter().map(|(number, _)| *number).collect())
    }
}

/// The stored runs of checked mapping pairs.
pub(super) fn stretches(pairs: &[u8], clusters: u64) -> impl Iterator<Item = Stretch> + '_ {
    let runs = Runs::new(pairs, clusters).map_while(Result::ok);
    runs.filter_map(|run| Some(Stretch { lcn: run.lcn?, clusters: run.clusters }))
}

fn descriptor_bytes(security: Security) -> usize {
    if security == Security::Own { security::everybody().len() } else { 0 }
}

/// Sizes that the builder's code is made for.
fn shape(geometry: &Geometry) -> Result<Shape, AmendError> {
    let unsupported = |what| AmendError::Unsupported { what };
    if geometry.record_bytes != 1024 && geometry.record_bytes != 4096 {
        return Err(unsupported("FILE records of neither 1024 nor 4096 bytes"));
    }
    if on_volume(BLOCK_BYTES) != u64::from(geometry.index_block_bytes) {
        return Err(unsupported("index blocks of other than 4096 bytes"));
    }
    if geometry.clusters > super::super::settings::CLUSTERS_MAX {
        return Err(unsupported("more clusters than Windows can count"));
    }
    Ok(Shape {
        sector_bytes: geometry.sector_bytes,
        cluster_bytes: geometry.cluster_bytes,
        record_bytes: geometry.record_bytes,
        sectors: geometry.volume_bytes.checked_div(geometry.sector_bytes.into()).unwrap_or(0),
        clusters: geometry.clusters,
        descriptor_bytes: 0,
    })
}

/// `$MFT`'s runs, its bitmap, and where that lies.
struct Records {
    runs: Vec<Run>,
    bitmap: Vec<u8>,
    obsolete: Vec<Stretch>,
}

struct Looker<'a> {
    device: &'a SharedDevice,
    geometry: &'a Geometry,
    limits: &'a Limits,
    mft: &'a Mft,
    upcase: &'a UpCase,
}

impl Looker<'_> {
    fn file(&self, record: u64) -> Result<FileRecords, AmendError> {
        let file = FileRecords::load(self.mft, self.limits, record);
        file.ok_or_else(|| damaged(record, FaultKind::StreamLost))
    }

    fn value(&self, record: u64, kind: u32, name: &[u8]) -> Result<Value, AmendError> {
        let value = self.file(record)?.value(self.geometry, self.limits, kind, name);
        value.ok_or_else(|| damaged(record, FaultKind::StreamLost))
    }

    /// Not dirty, and nothing waiting in the log: gives the pages that say so.
    fn log_at_rest(&self) -> Result<Vec<u8>, AmendError> {
        let Value::Resident(information) = self.value(VOLUME, VOLUME_INFORMATION, &[])? else {
            return Err(damaged(VOLUME, FaultKind::StreamLost));
        };
        if u16_at(&information, 10).is_none_or(|flags| flags & VOLUME_DIRTY != 0) {
            return Err(AmendError::Dirty);
        }
        let mut pages = vec![0; RESTART_BYTES];
        self.value(LOG_FILE, DATA, &[])?
            .read(&**self.device, &mut pages, 0)
            .ok_or_else(|| damaged(LOG_FILE, FaultKind::Unreadable))?;
        match log_state(&mut pages) {
            LogFile::Clean | LogFile::Empty => Ok(pages),
            LogFile::Unclean | LogFile::Unreadable => Err(AmendError::LogOpen),
        }
    }

    /// No Windows sleeps on it.
    fn is_awake(&self, root: &[RootEntry]) -> Result<(), AmendError> {
        let hibernation: Vec<u16> = "HIBERFIL.SYS".encode_utf16().collect();
        let upper =
            |entry: &RootEntry| entry.units().iter().map(|&unit| self.upcase.unit(unit)).collect::<Vec<_>>();
        let Some(entry) = root.iter().find(|entry| upper(entry) == hibernation) else { return Ok(()) };
        let mut signature = [0; 4];
        let record = FileId::from_reference(entry.reference).record;
        // An empty one is what a full shutdown leaves.
        let read = self.value(record, DATA, &[])?.read(&**self.device, &mut signature, 0);
        let asleep = read.is_none() || signature.eq_ignore_ascii_case(b"hibr");
        if asleep { Err(AmendError::Hibernated) } else { Ok(()) }
    }

    /// The first records, which must lie together to be written together, and be whole.
    fn head(&self) -> Result<Vec<u8>, AmendError> {
        let length = self.geometry.record_length().saturating_mul(HEAD_RECORDS);
        let mut head = vec![0; length];
        self.mft
            .read(&mut head, 0)
            .map_err(|source| AmendError::Read { what: "the first records", source })?;
        let first = self.mft.extents().first().map_or(0, |extent| extent.length_bytes);
        if first < on_volume(length) {
            return Err(AmendError::NoRoom { file: "the beginning of $MFT" });
        }
        for (number, raw) in (0..).zip(head.chunks_exact(self.geometry.record_length())) {
            let mut raw = raw.to_vec();
            record::restore(&mut raw).map_err(|fault| damaged(number, FaultKind::Record(fault)))?;
        }
        Ok(head)
    }

    /// Where `$MFT` and its bitmap are.
    fn mft(&self) -> Result<Records, AmendError> {
        let file = self.file(MFT)?;
        if file.attributes().any(|(_, attribute)| attribute.kind == ATTRIBUTE_LIST) {
            return Err(AmendError::NoRoom { file: "$MFT" });
        }
        let (mut runs, mut obsolete) = (Vec::new(), Vec::new());
        for (_, attribute) in file.attributes().filter(|(_, attribute)| attribute.name.is_empty()) {
            match (attribute.kind, attribute.body) {
                (DATA, Body::NonResident(body)) if body.initialized_bytes == body.length_bytes => {
                    let all: Result<Vec<_>, _> = Runs::new(body.runs, self.geometry.clusters).collect();
                    runs = all.map_err(|fault| damaged(MFT, FaultKind::Runs(fault)))?;
                }
                (BITMAP, Body::NonResident(body)) => {
                    obsolete.extend(stretches(body.runs, self.geometry.clusters));
                }
                _ => {}
            }
        }
        let bitmap = self.value(MFT, BITMAP, &[])?.whole(&**self.device, RECORD_BITMAP_BYTES_MAX);
        let bitmap = bitmap.ok_or_else(|| damaged(MFT, FaultKind::StreamLost))?;
        if runs.is_empty() || on_volume(bitmap.len()).saturating_mul(8) < self.mft.records() {
            return Err(damaged(MFT, FaultKind::StreamLost));
        }
        Ok(Records { runs, bitmap, obsolete })
    }

    /// All entries of the root, in order. Its index is written anew, so its clusters are `obsolete`.
    fn root(&self, obsolete: &mut Vec<Stretch>) -> Result<Vec<RootEntry>, AmendError> {
        let file = self.file(ROOT)?;
        for (_, attribute) in file.attributes() {
            match (attribute.kind, attribute.body) {
                (ATTRIBUTE_LIST, _) => return Err(AmendError::NoRoom { file: "the root directory" }),
                (STANDARD_INFORMATION, Body::Resident(value))
                    if u32_at(value, 32).is_none_or(|bits| bits & COMPRESSED_OR_ENCRYPTED != 0) =>
                {
                    let what = "a root directory that compresses or encrypts what is put into it";
                    return Err(AmendError::Unsupported { what });
                }
                (INDEX_ALLOCATION | BITMAP, Body::NonResident(body)) if attribute.name == NAME_INDEX => {
                    obsolete.extend(stretches(body.runs, self.geometry.clusters));
                }
                _ => {}
            }
        }
        let parts = file.index(self.device, self.geometry, self.limits, NAME_INDEX);
        let parts = parts.ok_or_else(|| damaged(ROOT, FaultKind::StreamLost))?;
        let ground = btree::Ground { device: &**self.device, geometry: self.geometry, upcase: self.upcase };
        let mut collector = Collector::default();
        btree::walk(ground, &parts, true, parts.blocks(self.geometry), &mut collector);
        match collector.fault {
            Some(fault) => Err(AmendError::Damaged(Box::new(fault))),
            None => Ok(collector.entries),
        }
    }

    /// Who may read the new files: as on volumes of ours, if this one has that descriptor already.
    fn security(&self) -> Security {
        let sds: Vec<u8> = "$SDS".encode_utf16().flat_map(u16::to_le_bytes).collect();
        let content = self.value(SECURE, DATA, &sds).ok();
        let content = content.and_then(|sds| sds.whole(&**self.device, DESCRIPTORS_BYTES_MAX));
        let id = content.and_then(|content| descriptor_id(&content, &security::everybody()));
        id.map_or(Security::Own, Security::Known)
    }
}

/// The id of a descriptor in `$SDS`.
fn descriptor_id(sds: &[u8], descriptor: &[u8]) -> Option<u32> {
    /// Blocks and their copies take turns.
    const BLOCK_BYTES: usize = 0x4_0000;
    const HEADER_BYTES: usize = 20;
    for block in sds.chunks(BLOCK_BYTES).step_by(2) {
        let mut at = 0_usize;
        while let Some(header) = slice_at(block, at, HEADER_BYTES) {
            let length = in_memory(u32_at(header, 16)?.into());
            let Some(entry) = slice_at(block, at, length).filter(|entry| entry.len() > HEADER_BYTES) else {
                break;
            };
            if entry.get(HEADER_BYTES..) == Some(descriptor) {
                return u32_at(header, 4);
            }
            at = at.saturating_add(length.next_multiple_of(16));
        }
    }
    None
}

/// Keeps the entries of the root, and the first fault.
#[derive(Default)]
struct Collector {
    entries: Vec<RootEntry>,
    fault: Option<Fault>,
}

impl IndexVisitor for Collector {
    fn entry(&mut self, at: At, entry: &IndexEntry<'_>) {
        match FileName::parse(entry.key) {
            Some(name) if name.parent == ROOT_ID => {
                self.entries.push(RootEntry { reference: entry.reference, key: entry.key.to_vec() });
            }
            _ => self.fault(at, FaultKind::FileName, entry.key),
        }
    }

    fn fault(&mut self, at: At, kind: FaultKind, key: &[u8]) {
        // Names that differ by case only are no damage; they stay what they are.
        if kind != FaultKind::CaseTwin && self.fault.is_none() {
            self.fault = Some(Fault::new(ROOT, kind).at(at).named(name_of(key)));
        }
    }
}

/// How many names other than DOS aliases a file has.
pub(super) fn names_of(file: &FileRecords) -> usize {
    let values = file.attributes().filter_map(|(_, attribute)| match attribute.body {
        Body::Resident(value) if attribute.kind == FILE_NAME => FileName::parse(value),
        _ => None,
    });
    values.filter(|name| name.namespace != FileName::DOS).count()
}

/// Whether the records are those of this file still.
pub(super) fn is(file: &FileRecords, id: FileId) -> bool {
    base(file).is_some_and(|base| base.in_use() && base.base.is_none() && base.sequence == id.sequence)
}

/// Whether it is a directory.
pub(super) fn is_directory(file: &FileRecords) -> bool {
    base(file).is_none_or(|base| base.is_directory())
}

fn base(file: &FileRecords) -> Option<Record<'_>> {
    file.records.first().and_then(|(_, raw)| Record::parse(raw).ok())
}

//! Small volumes made in memory, byte by byte from spec/ntfs.md §5: for what no real image has.
//!
//! Only what the reader looks at is written: no directory indexes, no bitmaps. A record can be
//! given any attributes, also ones that contradict each other.

#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    reason = "numbers of a test are small"
)]

use std::collections::BTreeMap;
use std::sync::Arc;

use block::{MemoryDevice, SharedDevice};
use ntfs::{FileId, Limits, Volume};

pub const FILE_NAME: u32 = 0x30;
pub const ATTRIBUTE_LIST: u32 = 0x20;
pub const VOLUME_INFORMATION: u32 = 0x70;
pub const DATA: u32 = 0x80;
pub const REPARSE_POINT: u32 = 0xc0;
pub const IN_USE: u16 = 1;
pub const DIRECTORY: u16 = 2;
pub const ROOT: FileId = FileId { record: 5, sequence: 5 };

/// Sizes of a volume.
#[derive(Clone, Copy)]
pub struct Shape {
    pub sector_bytes: usize,
    pub cluster_bytes: usize,
    pub record_bytes: usize,
    /// Records of $MFT.
    pub records: usize,
    pub clusters: usize,
}

pub const SHAPE: Shape =
    Shape { sector_bytes: 512, cluster_bytes: 4096, record_bytes: 1024, records: 128, clusters: 1024 };

/// A FILE record in the making.
#[derive(Clone)]
pub struct Record {
    pub sequence: u16,
    pub flags: u16,
    pub base: FileId,
    pub attributes: Vec<Vec<u8>>,
}

impl Record {
    pub fn file() -> Record {
        let base = FileId { record: 0, sequence: 0 };
        Record { sequence: 1, flags: IN_USE, base, attributes: Vec::new() }
    }

    pub fn directory() -> Record {
        Record { flags: IN_USE | DIRECTORY, ..Record::file() }
    }

    pub fn extension_of(base: FileId) -> Record {
        Record { base, ..Record::file() }
    }

    pub fn with(mut self, attribute: Vec<u8>) -> Record {
        self.attributes.push(attribute);
        self
    }

    pub fn named(self, parent: FileId, name: &str) -> Record {
        let units: Vec<u16> = name.encode_utf16().collect();
        self.with(file_name(parent, &units, 0))
    }

    pub fn holding(self, content: &[u8]) -> Record {
        self.with(resident(DATA, "", 0, content))
    }
}

/// A non-resident attribute, or a piece of one.
#[derive(Clone)]
pub struct Clusters<'a> {
    pub name: &'a str,
    pub flags: u16,
    pub unit_shift: u8,
    pub start_vcn: u64,
    pub length: u64,
    pub initialized: u64,
    /// (LCN or hole, clusters)
    pub runs: &'a [(Option<u64>, u64)],
}

pub fn clusters<'a>(length: u64, runs: &'a [(Option<u64>, u64)]) -> Clusters<'a> {
    Clusters { name: "", flags: 0, unit_shift: 0, start_vcn: 0, length, initialized: length, runs }
}

impl Clusters<'_> {
    pub fn data(&self) -> Vec<u8> {
        let total: u64 = self.runs.iter().map(|run| run.1).sum();
        let name: Vec<u8> = self.name.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let name_at = 64;
        let runs_at = (name_at + name.len()).next_multiple_of(8);
        let mut bytes = vec![0; runs_at];
        bytes[0..4].copy_from_slice(&DATA.to_le_bytes());
        bytes[8] = 1;
        bytes[9] = (name.len() / 2) as u8;
        bytes[10..12].copy_from_slice(&(name_at as u16).to_le_bytes());
        bytes[12..14].copy_from_slice(&self.flags.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.start_vcn.to_le_bytes());
        bytes[24..32].copy_from_slice(&(self.start_vcn + total).wrapping_sub(1).to_le_bytes());
        bytes[32..34].copy_from_slice(&(runs_at as u16).to_le_bytes());
        bytes[34] = self.unit_shift;
        bytes[40..48].copy_from_slice(&(total * 4096).to_le_bytes());
        bytes[48..56].copy_from_slice(&self.length.to_le_bytes());
        bytes[56..64].copy_from_slice(&self.initialized.to_le_bytes());
        bytes[name_at..name_at + name.len()].copy_from_slice(&name);
        bytes.extend(mapping_pairs(self.runs));
        framed(bytes)
    }
}

/// Mapping pairs, always with eight bytes a number: legal, and simple.
pub fn mapping_pairs(runs: &[(Option<u64>, u64)]) -> Vec<u8> {
    let (mut bytes, mut before) = (Vec::new(), 0_i64);
    for &(lcn, count) in runs {
        bytes.push(if lcn.is_some() { 0x44 } else { 0x04 });
        bytes.extend(&count.to_le_bytes()[..4]);
        if let Some(lcn) = lcn {
            let lcn = lcn as i64;
            bytes.extend(&(lcn - before).to_le_bytes()[..4]);
            before = lcn;
        }
    }
    bytes.push(0);
    bytes
}

/// A resident attribute.
pub fn resident(kind: u32, name: &str, flags: u16, value: &[u8]) -> Vec<u8> {
    let name: Vec<u8> = name.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let value_at = (24 + name.len()).next_multiple_of(8);
    let mut bytes = vec![0; value_at];
    bytes[0..4].copy_from_slice(&kind.to_le_bytes());
    bytes[9] = (name.len() / 2) as u8;
    bytes[10] = 24;
    bytes[12..14].copy_from_slice(&flags.to_le_bytes());
    bytes[16..20].copy_from_slice(&(value.len() as u32).to_le_bytes());
    bytes[20..22].copy_from_slice(&(value_at as u16).to_le_bytes());
    bytes[24..24 + name.len()].copy_from_slice(&name);
    bytes.extend(value);
    framed(bytes)
}

fn framed(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.resize(bytes.len().next_multiple_of(8), 0);
    let length = bytes.len() as u32;
    bytes[4..8].copy_from_slice(&length.to_le_bytes());
    bytes
}

pub fn reference(file: FileId) -> u64 {
    file.record | u64::from(file.sequence) << 48
}

pub fn file_name(parent: FileId, name: &[u16], namespace: u8) -> Vec<u8> {
    let mut value = vec![0; 66];
    value[..8].copy_from_slice(&reference(parent).to_le_bytes());
    value[64] = name.len() as u8;
    value[65] = namespace;
    value.extend(name.iter().flat_map(|unit| unit.to_le_bytes()));
    resident(FILE_NAME, "", 0, &value)
}

/// One entry of an attribute list.
pub fn list_entry(kind: u32, name: &str, start_vcn: u64, holder: FileId) -> Vec<u8> {
    let name: Vec<u8> = name.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let mut bytes = vec![0; 26];
    bytes[0..4].copy_from_slice(&kind.to_le_bytes());
    bytes[6] = (name.len() / 2) as u8;
    bytes[7] = 26;
    bytes[8..16].copy_from_slice(&start_vcn.to_le_bytes());
    bytes[16..24].copy_from_slice(&reference(holder).to_le_bytes());
    bytes.extend(name);
    bytes.resize(bytes.len().next_multiple_of(8), 0);
    let length = bytes.len() as u16;
    bytes[4..6].copy_from_slice(&length.to_le_bytes());
    bytes
}

/// A file's reparse point: tag and data.
pub fn reparse(tag: u32, data: &[u8]) -> Vec<u8> {
    let mut value = tag.to_le_bytes().to_vec();
    value.extend((data.len() as u16).to_le_bytes());
    value.extend([0, 0]);
    value.extend(data);
    resident(REPARSE_POINT, "", 0, &value)
}

/// The reparse point of a file that the Windows Overlay Filter compressed.
pub fn overlay(provider: u32, algorithm: u32) -> Vec<u8> {
    let data: Vec<u8> = [1, provider, 1, algorithm].iter().flat_map(|field| field.to_le_bytes()).collect();
    reparse(0x8000_0017, &data)
}

/// A volume in the making.
#[derive(Clone)]
pub struct Image {
    pub shape: Shape,
    pub bytes: Vec<u8>,
    pub records: BTreeMap<u64, Record>,
    next_cluster: u64,
    mft_lcn: u64,
    /// Which clusters hold $MFT; one run unless a test says otherwise.
    pub mft_runs: Vec<(Option<u64>, u64)>,
    pub volume_flags: u16,
}

impl Image {
    pub fn new(shape: Shape) -> Image {
        let per = |bytes: usize| bytes.div_ceil(shape.cluster_bytes) as u64;
        let mft_clusters = per(shape.records * shape.record_bytes);
        // Boot file, then the mirror, then $MFT.
        let mirror_lcn = per(8192);
        let mft_lcn = mirror_lcn + per(4 * shape.record_bytes);
        let mut image = Image {
            shape,
            bytes: vec![0; (shape.clusters + 1) * shape.cluster_bytes],
            records: BTreeMap::new(),
            next_cluster: mft_lcn + mft_clusters,
            mft_lcn,
            mft_runs: vec![(Some(mft_lcn), mft_clusters)],
            volume_flags: 0,
        };
        image.boot_sector(mirror_lcn);
        image
    }

    fn boot_sector(&mut self, mirror_lcn: u64) {
        let shape = self.shape;
        let sectors = shape.clusters * shape.cluster_bytes / shape.sector_bytes;
        let mut boot = vec![0; 512];
        boot[3..11].copy_from_slice(b"NTFS    ");
        boot[11..13].copy_from_slice(&(shape.sector_bytes as u16).to_le_bytes());
        let per_cluster = shape.cluster_bytes / shape.sector_bytes;
        boot[13] =
            if per_cluster <= 128 { per_cluster as u8 } else { (per_cluster.ilog2() as u8).wrapping_neg() };
        boot[0x28..0x30].copy_from_slice(&(sectors as u64).to_le_bytes());
        boot[0x30..0x38].copy_from_slice(&self.mft_lcn.to_le_bytes());
        boot[0x38..0x40].copy_from_slice(&mirror_lcn.to_le_bytes());
        boot[0x40] = (shape.record_bytes.ilog2() as u8).wrapping_neg();
        boot[0x44] = 0xf4;
        boot[0x1fe..].copy_from_slice(&[0x55, 0xaa]);
        self.bytes[..512].copy_from_slice(&boot);
        let end = self.bytes.len();
        self.bytes[end - shape.sector_bytes..][..512].copy_from_slice(&boot);
    }

    /// Puts bytes into fresh consecutive clusters and gives the first one.
    pub fn place(&mut self, content: &[u8]) -> u64 {
        let lcn = self.next_cluster;
        let at = lcn as usize * self.shape.cluster_bytes;
        self.bytes[at..at + content.len()].copy_from_slice(content);
        self.next_cluster += content.len().div_ceil(self.shape.cluster_bytes).max(1) as u64;
        lcn
    }

    pub fn clusters_for(&self, bytes: usize) -> u64 {
        bytes.div_ceil(self.shape.cluster_bytes) as u64
    }

    /// A non-resident, contiguous content.
    pub fn stored(&mut self, record: Record, content: &[u8]) -> Record {
        let lcn = self.place(content);
        let runs = [(Some(lcn), self.clusters_for(content.len()))];
        record.with(clusters(content.len() as u64, &runs).data())
    }

    pub fn put(&mut self, number: u64, record: Record) -> FileId {
        let file = FileId { record: number, sequence: record.sequence };
        self.records.insert(number, record);
        file
    }

    /// Adds the file system's own records where the test gave none, and writes everything.
    pub fn finish(mut self) -> Vec<u8> {
        self.system_records();
        let records = std::mem::take(&mut self.records);
        for (number, record) in &records {
            let raw = packed(*number, record, self.shape.record_bytes);
            self.write_record(*number, &raw);
        }
        self.mirror();
        self.bytes
    }

    fn system_records(&mut self) {
        let length = (self.shape.records * self.shape.record_bytes) as u64;
        let runs = self.mft_runs.clone();
        self.or_insert(0, 1, Record::file().named(ROOT, "$MFT").with(clusters(length, &runs).data()));
        let log = self.place(&[0xff; 8192]);
        let log = [(Some(log), self.clusters_for(8192))];
        self.or_insert(2, 2, Record::file().named(ROOT, "$LogFile").with(clusters(8192, &log).data()));
        let mut volume = [0, 0, 0, 0, 0, 0, 0, 0, 3, 1, 0, 0];
        volume[10..].copy_from_slice(&self.volume_flags.to_le_bytes());
        let volume = resident(VOLUME_INFORMATION, "", 0, &volume);
        self.or_insert(3, 3, Record::file().named(ROOT, "$Volume").with(volume));
        self.or_insert(5, 5, Record::directory().named(ROOT, "."));
        if !self.records.contains_key(&10) {
            let upcase = self.stored(Record::file().named(ROOT, "$UpCase"), &upcase_table());
            self.or_insert(10, 10, upcase);
        }
        self.or_insert(11, 11, Record::directory().named(ROOT, "$Extend"));
    }

    fn or_insert(&mut self, number: u64, sequence: u16, record: Record) {
        self.records.entry(number).or_insert(Record { sequence, ..record });
    }

    /// Writes raw bytes over a record, wherever its run is.
    pub fn write_record(&mut self, number: u64, raw: &[u8]) {
        let at = number as usize * self.shape.record_bytes;
        for (step, byte) in raw.iter().enumerate() {
            let offset = self.mft_offset(at + step);
            self.bytes[offset] = *byte;
        }
    }

    fn mft_offset(&self, at: usize) -> usize {
        let (mut vcn, within) = ((at / self.shape.cluster_bytes) as u64, at % self.shape.cluster_bytes);
        for &(lcn, count) in &self.mft_runs {
            if vcn < count {
                return (lcn.unwrap() + vcn) as usize * self.shape.cluster_bytes + within;
            }
            vcn -= count;
        }
        panic!("$MFT has no byte {at}");
    }

    fn mirror(&mut self) {
        let length = 4 * self.shape.record_bytes;
        let copy: Vec<u8> = (0..length).map(|at| self.bytes[self.mft_offset(at)]).collect();
        let at = self.clusters_for(8192) as usize * self.shape.cluster_bytes;
        self.bytes[at..at + length].copy_from_slice(&copy);
    }

    pub fn device(self) -> SharedDevice {
        let sector_bytes = self.shape.sector_bytes as u32;
        device(self.finish(), sector_bytes)
    }

    pub fn open(self) -> Volume {
        self.open_with(Limits::default())
    }

    pub fn open_with(self, limits: Limits) -> Volume {
        Volume::open(self.device(), limits, &mut |_| {}).unwrap()
    }
}

pub fn device(bytes: Vec<u8>, sector_bytes: u32) -> SharedDevice {
    Arc::new(MemoryDevice::new(bytes, sector_bytes))
}

/// A record's bytes, update sequence applied.
pub fn packed(number: u64, record: &Record, record_bytes: usize) -> Vec<u8> {
    let array_at = 48;
    let count = record_bytes / 512 + 1;
    let first: usize = (array_at + 2 * count).next_multiple_of(8);
    let mut raw = vec![0; first];
    for attribute in &record.attributes {
        raw.extend(attribute);
    }
    raw.extend([0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0]);
    let used = raw.len() as u32;
    assert!(raw.len() <= record_bytes - 2, "record {number} overflows");
    raw.resize(record_bytes, 0);
    raw[..4].copy_from_slice(b"FILE");
    raw[4..6].copy_from_slice(&(array_at as u16).to_le_bytes());
    raw[6..8].copy_from_slice(&(count as u16).to_le_bytes());
    raw[16..18].copy_from_slice(&record.sequence.to_le_bytes());
    raw[20..22].copy_from_slice(&(first as u16).to_le_bytes());
    raw[22..24].copy_from_slice(&record.flags.to_le_bytes());
    raw[24..28].copy_from_slice(&used.to_le_bytes());
    raw[28..32].copy_from_slice(&(record_bytes as u32).to_le_bytes());
    raw[32..40].copy_from_slice(&reference(record.base).to_le_bytes());
    raw[44..48].copy_from_slice(&(number as u32).to_le_bytes());
    raw[array_at..array_at + 2].copy_from_slice(&[7, 0]);
    for nth in 1..count {
        let end = nth * 512;
        let saved = [raw[end - 2], raw[end - 1]];
        raw[array_at + 2 * nth..array_at + 2 * nth + 2].copy_from_slice(&saved);
        raw[end - 2..end].copy_from_slice(&[7, 0]);
    }
    raw
}

/// A table of its own: ASCII letters, and `§` to `¶`, which no real table has.
pub fn upcase_table() -> Vec<u8> {
    let upper = |unit: u16| match unit {
        0x61..=0x7a => unit - 32,
        0xa7 => 0xb6,
        _ => unit,
    };
    (0..=u16::MAX).flat_map(|unit| upper(unit).to_le_bytes()).collect()
}

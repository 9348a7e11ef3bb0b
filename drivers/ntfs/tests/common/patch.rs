//! A volume in memory whose structures can be changed one at a time: for faults of a known kind.

#![allow(clippy::cast_possible_truncation, reason = "numbers of a test are small")]

use std::ops::Range;
use std::sync::Arc;

use block::{MemoryDevice, SharedDevice};
use ntfs::{Limits, StreamContent, Volume};

pub const STANDARD_INFORMATION: u32 = 0x10;
pub const FILE_NAME: u32 = 0x30;
pub const DATA: u32 = 0x80;
pub const BITMAP: u32 = 0xb0;

/// See the module's documentation. Its volume has 1 KiB records.
#[derive(Clone)]
pub struct Patched {
    pub bytes: Vec<u8>,
    /// Where each record begins on the volume.
    records: Vec<usize>,
}

impl Patched {
    pub fn new(bytes: Vec<u8>) -> Patched {
        let mut patched = Patched { bytes, records: Vec::new() };
        patched.records = patched.stream(0, None).into_iter().flat_map(|run| run.step_by(1024)).collect();
        patched
    }

    pub fn device(&self) -> SharedDevice {
        Arc::new(MemoryDevice::new(self.bytes.clone(), 512))
    }

    pub fn cluster_bytes(&self) -> usize {
        512 * usize::from(self.bytes[13])
    }

    /// Where a system file's stream lies on the volume.
    pub fn stream(&self, record: u64, name: Option<&str>) -> Vec<Range<usize>> {
        let volume = Volume::open(self.device(), Limits::default(), &mut |_| {}).unwrap();
        let stream = volume.stream(volume.file(record).unwrap(), name).unwrap();
        let StreamContent::Extents(extents) = stream.content else { panic!("record {record} is resident") };
        let range = |extent: ntfs::Extent| {
            let start = extent.volume_offset_bytes.unwrap() as usize;
            start..start + extent.length_bytes as usize
        };
        extents.into_iter().map(range).collect()
    }

    /// The volume's byte that is a stream's byte `at`.
    pub fn place(&self, record: u64, name: Option<&str>, mut at: usize) -> usize {
        for run in self.stream(record, name) {
            if at < run.len() {
                return run.start + at;
            }
            at -= run.len();
        }
        panic!("record {record} has no byte {at}");
    }

    /// Number of records.
    pub fn count(&self) -> usize {
        self.records.len()
    }

    /// A record, its update sequence undone.
    pub fn record(&self, number: usize) -> Vec<u8> {
        let at = self.records[number];
        unsealed(&self.bytes[at..at + 1024])
    }

    pub fn put_record(&mut self, number: usize, record: &[u8]) {
        let at = self.records[number];
        self.bytes[at..at + 1024].copy_from_slice(&sealed(record));
    }

    /// Changes a record, and its copy in $MFTMirr if it has one.
    pub fn change(&mut self, number: usize, change: impl FnOnce(&mut [u8])) {
        let mut record = self.record(number);
        change(&mut record);
        self.put_record(number, &record);
    }

    /// Numbers of files with one name and content in clusters, in ascending order.
    pub fn files(&self) -> Vec<usize> {
        let is_one = |&number: &usize| {
            let record = self.record(number);
            &record[..4] == b"FILE"
                && u16_at(&record, 22) == 1
                && u16_at(&record, 18) == 1
                && attribute(&record, DATA).is_some_and(|data| record[data.start + 8] == 1)
        };
        (64..self.records.len()).filter(is_one).collect()
    }

    /// First cluster of a file's content.
    pub fn first_cluster(&self, number: usize) -> usize {
        let record = self.record(number);
        let data = attribute(&record, DATA).unwrap();
        let at = data.start + usize::from(u16_at(&record, data.start + 32));
        let (length, distance) = (usize::from(record[at] & 15), usize::from(record[at] >> 4));
        let field = &record[at + 1 + length..at + 1 + length + distance];
        field.iter().rev().fold(0, |value, &byte| value << 8 | usize::from(byte))
    }

    /// Sets or clears a cluster's bit in $Bitmap.
    pub fn mark(&mut self, cluster: usize, used: bool) {
        let at = self.place(6, None, cluster / 8);
        let bit = 1 << (cluster % 8);
        self.bytes[at] = if used { self.bytes[at] | bit } else { self.bytes[at] & !bit };
    }

    /// A leaf block of a directory with some entries: its place and its restored bytes.
    pub fn leaf(&self) -> (usize, Vec<u8>) {
        let blocks = (0..self.bytes.len()).step_by(4096).filter(|&at| self.bytes[at..].starts_with(b"INDX"));
        blocks
            .map(|at| (at, unsealed(&self.bytes[at..at + 4096])))
            .find(|(_, block)| {
                let names = index_entries(block);
                // Of files, not of $Secure: keys of $FILE_NAMEs are longer than any other.
                names.len() > 8
                    && names[..4].iter().all(|entry| u16_at(block, entry.start + 10) >= 68)
                    && names.iter().any(|entry| u32_at(block, entry.start) >= 64)
            })
            .unwrap()
    }

    pub fn put_block(&mut self, at: usize, block: &[u8]) {
        self.bytes[at..at + 4096].copy_from_slice(&sealed(block));
    }
}

/// Entries of a block, the end mark left out.
pub fn index_entries(block: &[u8]) -> Vec<Range<usize>> {
    let (mut at, mut entries) = (24 + u32_at(block, 24) as usize, Vec::new());
    while u16_at(block, at + 12) & 2 == 0 {
        let length = usize::from(u16_at(block, at + 8));
        entries.push(at..at + length);
        at += length;
    }
    entries
}

/// The first attribute of a type.
pub fn attribute(record: &[u8], kind: u32) -> Option<Range<usize>> {
    let mut at = usize::from(u16_at(record, 20));
    while u32_at(record, at) != 0xffff_ffff {
        let length = u32_at(record, at + 4) as usize;
        if u32_at(record, at) == kind {
            return Some(at..at + length);
        }
        at += length;
    }
    None
}

pub fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes(bytes[at..at + 2].try_into().unwrap())
}

pub fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
}

fn unsealed(raw: &[u8]) -> Vec<u8> {
    let (mut bytes, array) = (raw.to_vec(), usize::from(u16_at(raw, 4)));
    for nth in 1..usize::from(u16_at(raw, 6)) {
        bytes.copy_within(array + 2 * nth..array + 2 * nth + 2, nth * 512 - 2);
    }
    bytes
}

fn sealed(restored: &[u8]) -> Vec<u8> {
    let (mut bytes, array) = (restored.to_vec(), usize::from(u16_at(restored, 4)));
    for nth in 1..usize::from(u16_at(restored, 6)) {
        bytes.copy_within(nth * 512 - 2..nth * 512, array + 2 * nth);
        bytes.copy_within(array..array + 2, nth * 512 - 2);
    }
    bytes
}

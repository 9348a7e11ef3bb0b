//! Seeded mutations of volumes: whatever opens keeps its promises, and nothing panics or hangs.

#![allow(clippy::cast_possible_truncation, reason = "test data is small")]

mod common;

use std::sync::Arc;

use block::{MemoryDevice, ReadAt, ReadError, SharedDevice, check_range};
use common::image::{
    ATTRIBUTE_LIST, DATA, Image, ROOT, Record, SHAPE, clusters, list_entry, overlay, reparse, resident,
};
use common::{lznt1, whole};
use ntfs::fuzzing::{check_device, check_is_right};
use ntfs::{FileId, Limits};

/// A small generator: the same mutants in every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }
}

/// Another device with some bytes changed.
struct Mutant {
    base: SharedDevice,
    changes: Vec<(u64, u8)>,
}

impl ReadAt for Mutant {
    fn length_bytes(&self) -> u64 {
        self.base.length_bytes()
    }

    fn sector_bytes(&self) -> u32 {
        self.base.sector_bytes()
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset_bytes: u64) -> Result<(), ReadError> {
        check_range(offset_bytes, buffer.len(), self.length_bytes())?;
        self.base.read_exact_at(buffer, offset_bytes)?;
        for &(at, value) in &self.changes {
            if let Some(byte) = at.checked_sub(offset_bytes).and_then(|at| buffer.get_mut(at as usize)) {
                *byte = value;
            }
        }
        Ok(())
    }
}

/// Values that fields are most easily upset by, and any others.
fn value(random: &mut Random) -> u8 {
    match random.below(4) {
        0 => [0, 1, 0x7f, 0x80, 0xff][random.below(5)],
        _ => random.next() as u8,
    }
}

/// Places where a mutation matters: boot sector, and the used part of FILE records.
fn places(device: &dyn ReadAt) -> Vec<u64> {
    let mut places: Vec<u64> = (11..80).collect();
    let mut chunk = vec![0; 1 << 20];
    let mut start = 0;
    while start < device.length_bytes() {
        let length = chunk.len().min((device.length_bytes() - start) as usize);
        device.read_exact_at(&mut chunk[..length], start).unwrap();
        for at in (0..length).step_by(1024).filter(|&at| chunk[at..].starts_with(b"FILE")) {
            let used = u32::from_le_bytes(chunk[at + 24..at + 28].try_into().unwrap()).min(1024);
            places.extend((0..u64::from(used)).map(|byte| start + at as u64 + byte));
        }
        start += length as u64;
    }
    places
}

/// Runs `count` mutants of 1 to `changes_max` bytes each; gives how many opened.
fn run(base: &SharedDevice, seed: u64, count: usize, changes_max: usize) -> usize {
    let places = places(base);
    let mut random = Random(seed);
    let mut opened = 0;
    for _ in 0..count {
        let changes = (0..=random.below(changes_max))
            .map(|_| (places[random.below(places.len())], value(&mut random)))
            .collect();
        let mutant = Arc::new(Mutant { base: Arc::clone(base), changes });
        let limits = Limits { index_bytes_max: 64 << 20, ..Limits::default() };
        opened += usize::from(check_device(mutant, limits).is_some());
    }
    opened
}

/// A volume with one of everything.
fn everything() -> Vec<u8> {
    let mut image = Image::new(SHAPE);
    let file = |record| FileId { record, sequence: 1 };
    let mut parent = ROOT;
    for record in 24..30 {
        parent = image.put(record, Record::directory().named(parent, &format!("dir{record}")));
    }
    for record in 30..60 {
        let stored =
            image.stored(Record::file().named(parent, &format!("file{record}")), &[record as u8; 9_000]);
        image.put(record, stored.with(resident(DATA, "extra", 0, b"alternate")));
    }
    let mut linked = Record::file().holding(b"linked");
    for directory in [24, 25, 26] {
        linked = linked.named(file(directory), "Link");
    }
    image.put(60, linked);
    let parts: Vec<u64> = (1..=3).map(|n| image.place(&[n; 4096])).collect();
    let list: Vec<u8> = (0..3).flat_map(|n| list_entry(DATA, "", n, file(61 + n))).collect();
    let head = clusters(12_288, &[(Some(parts[0]), 1)]).data();
    let base = Record::file().named(ROOT, "spread").with(resident(ATTRIBUTE_LIST, "", 0, &list));
    image.put(61, base.with(head));
    for (start_vcn, &lcn) in (0..).zip(&parts).skip(1) {
        let runs = [(Some(lcn), 1)];
        let mut piece = clusters(0, &runs);
        piece.start_vcn = start_vcn;
        image.put(61 + start_vcn, Record::extension_of(file(61)).with(piece.data()));
    }
    let stored = lznt1::compress(&[b"abcd".repeat(4_000), vec![7; 49_536]].concat());
    let count = image.clusters_for(stored.len());
    let runs = [(Some(image.place(&stored)), count), (None, 16 - count)];
    let mut packed = clusters(60_000, &runs);
    (packed.flags, packed.unit_shift) = (1, 4);
    image.put(64, Record::file().named(ROOT, "packed").with(packed.data()));
    let chunks = [&4096_u32.to_le_bytes()[..], &[5; 8192]].concat();
    let mut data = clusters(chunks.len() as u64, &[(None, 3)]);
    let runs = [(Some(image.place(&chunks)), 3)];
    (data.name, data.runs) = ("WofCompressedData", &runs);
    let dummy = clusters(8_192, &[(None, 2)]).data();
    let overlaid = Record::file().named(ROOT, "overlaid").with(dummy).with(data.data());
    image.put(65, overlaid.with(overlay(2, 0)));
    image.put(66, Record::directory().named(ROOT, "junction").with(reparse(0xa000_0003, &[0; 8])));
    image.finish()
}

#[test]
fn mutants_of_a_volume_with_everything_keep_their_promises() {
    let base: SharedDevice = Arc::new(MemoryDevice::new(everything(), 512));
    assert!(check_device(Arc::clone(&base), Limits::default()).unwrap() > 60);
    let opened = run(&base, 0x00d0_ca7e, 2_000, 24) + run(&base, 0x5eed, 500, 600);
    // Most of the volume is files, and a damaged file does not keep a volume from being opened.
    assert!((1_000..2_500).contains(&opened), "{opened}");
}

/// The same for the check: it never panics, and a mutant that it calls sound is one for the reader, too.
#[test]
fn mutants_of_real_volumes_are_checked_rightly() {
    for name in ["own-features", "tiny", "charlie"] {
        let Some(device) = whole(name).device("mutants_of_real_volumes") else { return };
        let mut bytes = vec![0; device.length_bytes() as usize];
        device.read_exact_at(&mut bytes, 0).unwrap();
        let base: SharedDevice = Arc::new(MemoryDevice::new(bytes, 512));
        let places = checked_places(&base);
        let mut random = Random(0xc4ec);
        let mut sound = 0;
        for round in 0..40 {
            let changes_max = if round % 2 == 0 { 2 } else { 200 };
            let changes = (0..=random.below(changes_max))
                .map(|_| (places[random.below(places.len())], value(&mut random)))
                .collect();
            sound += usize::from(check_is_right(Arc::new(Mutant { base: Arc::clone(&base), changes })));
        }
        // Slack, times and flags that say nothing; "tiny" was never sound.
        assert!(sound < 20, "{name}: {sound}");
    }
}

/// Where a mutation matters to the check: index blocks as well, and what lies about.
fn checked_places(device: &dyn ReadAt) -> Vec<u64> {
    let mut places = places(device);
    let mut block = [0; 4096];
    for start in (0..device.length_bytes() - 4096).step_by(4096) {
        device.read_exact_at(&mut block, start).unwrap();
        if block.starts_with(b"INDX") {
            places.extend(start..start + 512);
        }
    }
    places
}

#[test]
fn mutants_of_a_real_volume_keep_their_promises() {
    let Some(device) = whole("own-features").device("mutants_of_a_real_volume") else { return };
    let mut bytes = vec![0; device.length_bytes() as usize];
    device.read_exact_at(&mut bytes, 0).unwrap();
    let base: SharedDevice = Arc::new(MemoryDevice::new(bytes, 512));
    let opened = run(&base, 0xfea7, 200, 24) + run(&base, 0xbad, 200, 600);
    assert!((200..=400).contains(&opened), "{opened}");
}

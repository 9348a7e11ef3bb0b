//! The faults of spec/ntfs.md §6, each put into a sound volume: that kind is found, at its place, and
//! no other.

#![allow(clippy::cast_possible_truncation, reason = "numbers of a test are small")]

#[path = "common/built.rs"]
mod built;
mod common;

use std::path::Path;
use std::process::Command;

use block::ReadAt;
use built::{File, SparseMemory, Tree, settings};
use common::patch::{
    BITMAP, DATA, FILE_NAME, Patched, STANDARD_INFORMATION, attribute, index_entries, u16_at, u32_at,
};
use ntfs::check::{CheckOptions, Fault, FaultKind, check};

fn faults(volume: &Patched) -> Vec<Fault> {
    check(volume.device(), &CheckOptions::default(), &mut |_| {}).unwrap().faults
}

/// A volume of ntfs-3g's tools with enough files in the root that its index has leaves.
fn made(folder: &Path) -> Option<Patched> {
    let (image, content) = (folder.join("image"), folder.join("content"));
    std::fs::File::create(&image).unwrap().set_len(24 << 20).unwrap();
    std::fs::write(&content, [7; 9_000]).unwrap();
    let mut mkntfs = Command::new("mkntfs");
    mkntfs.args(["-F", "-Q", "-q", "-s", "512", "-p", "2048", "-H", "255", "-S", "63"]);
    assert!(mkntfs.arg(&image).output().ok()?.status.success());
    for nth in 0..60 {
        let name = format!("a file that has a longer name {nth:02}.bin");
        let mut copy = Command::new("ntfscp");
        assert!(copy.args(["-q", "-f"]).arg(&image).arg(&content).arg(name).output().ok()?.status.success());
    }
    Some(Patched::new(std::fs::read(image).unwrap()))
}

/// The same by the builder.
fn built() -> Patched {
    let mut tree = Tree::default();
    for nth in 0..60 {
        tree.file(&format!("a file that has a longer name {nth:02}.bin"), File::new(vec![7; 9_000]));
    }
    let memory = SparseMemory::new(24 << 20, 512);
    tree.build(settings(24 << 20), &memory);
    let mut bytes = vec![0; 24 << 20];
    memory.read_exact_at(&mut bytes, 0).unwrap();
    Patched::new(bytes)
}

type Injection = (&'static str, fn(&mut Patched), fn(&FaultKind) -> bool);

/// What is done to the volume, and what must come of it.
const INJECTIONS: [Injection; 19] = [
    ("index entries swapped", swap_entries, |kind| matches!(kind, FaultKind::IndexOrder)),
    ("index entry with a wrong sequence number", wrong_sequence, |kind| {
        matches!(kind, FaultKind::EntrySequence { .. })
    }),
    ("index entry removed", remove_entry, |kind| matches!(kind, FaultKind::NotListed { .. })),
    ("index shows a wrong size", wrong_size, |kind| {
        matches!(kind, FaultKind::EntrySizes { length: 9_000, found_length: 999, .. })
    }),
    (
        "$FILE_NAME with a wrong parent",
        wrong_parent,
        |kind| matches!(kind, FaultKind::NameParent { expected, found } if expected.record == 5 && found.record == 11),
    ),
    ("used cluster marked free", free_used, |kind| {
        matches!(kind, FaultKind::ClustersMarkedFree { clusters: 1, .. })
    }),
    ("free cluster marked used", use_free, |kind| {
        matches!(kind, FaultKind::ClustersMarkedUsed { clusters: 1, .. })
    }),
    ("two files share clusters", share, |kind| matches!(kind, FaultKind::ClustersShared { clusters: 3, .. })),
    ("bit of $MFT's bitmap missing", free_record, |kind| matches!(kind, FaultKind::RecordMarkedFree)),
    ("hash in $SDS wrong", break_hash, |kind| matches!(kind, FaultKind::SecurityHash { .. })),
    ("copy in $SDS wrong", break_copy, |kind| matches!(kind, FaultKind::SecurityCopy { .. })),
    ("$UpCase altered", alter_upcase, |kind| {
        matches!(kind, FaultKind::UpCase { unit: 0x10c7, found: 0x10c8, .. })
    }),
    ("$MFTMirr differs", alter_mirror, |kind| matches!(kind, FaultKind::Mirror { at: 600 })),
    ("backup boot sector differs", alter_backup, |kind| matches!(kind, FaultKind::BackupBoot { at: 80 })),
    ("number of used bytes unaligned", unalign, |kind| matches!(kind, FaultKind::BytesUsed { .. })),
    ("link count wrong", wrong_links, |kind| matches!(kind, FaultKind::LinkCount { expected: 1, found: 2 })),
    ("dangling security id", dangling_id, |kind| matches!(kind, FaultKind::SecurityId { found: 0x999 })),
    ("index block marked free", free_block, |kind| {
        matches!(kind, FaultKind::IndexBitmap { block: 0, used: true })
    }),
    ("volume marked dirty", mark_dirty, |kind| matches!(kind, FaultKind::Dirty { flags: 1 })),
];

#[test]
fn each_fault_is_found_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let made = made(folder.path());
    if made.is_none() {
        eprintln!("skipped: each_fault_is_found, on a volume of ntfs-3g: mkntfs or ntfscp is missing");
    }
    for sound in made.into_iter().chain([built()]) {
        assert_eq!(faults(&sound), []);
        for (what, inject, is_it) in INJECTIONS {
            let mut volume = sound.clone();
            inject(&mut volume);
            let found = faults(&volume);
            assert!(!found.is_empty() && found.iter().all(|fault| is_it(&fault.kind)), "{what}: {found:#?}");
        }
    }
}

/// The one fault of §6 that no file system can see: what a file holds is between it and its hash.
#[test]
fn changed_data_is_no_fault_of_the_file_system() {
    let mut volume = built();
    let file = volume.files()[3];
    let at = volume.first_cluster(file) * volume.cluster_bytes() + 100;
    volume.bytes[at] ^= 0xff;
    assert_eq!(faults(&volume), []);
}

fn swap_entries(volume: &mut Patched) {
    let (at, mut block) = volume.leaf();
    let entries = index_entries(&block);
    let pair = entries.windows(2).skip(1).find(|pair| pair[0].len() == pair[1].len()).unwrap();
    let first = block[pair[0].clone()].to_vec();
    block.copy_within(pair[1].clone(), pair[0].start);
    block[pair[1].clone()].copy_from_slice(&first);
    volume.put_block(at, &block);
}

/// In the root's own bitmap, which is in its record.
fn free_block(volume: &mut Patched) {
    volume.change(5, |record| {
        let bitmap = attribute(record, BITMAP).unwrap();
        let value = bitmap.start + usize::from(u16_at(record, bitmap.start + 20));
        record[value] &= !1;
    });
}

fn with_entry(volume: &mut Patched, change: impl FnOnce(&mut [u8])) {
    let (at, mut block) = volume.leaf();
    let entries = index_entries(&block);
    let of_file = entries.iter().find(|entry| u32_at(&block, entry.start) >= 64).unwrap().clone();
    change(&mut block[of_file]);
    volume.put_block(at, &block);
}

fn wrong_sequence(volume: &mut Patched) {
    with_entry(volume, |entry| entry[6] += 1);
}

fn wrong_size(volume: &mut Patched) {
    with_entry(volume, |entry| entry[16 + 48..16 + 56].copy_from_slice(&999_u64.to_le_bytes()));
}

fn remove_entry(volume: &mut Patched) {
    let (at, mut block) = volume.leaf();
    let entries = index_entries(&block);
    let removed = entries.iter().find(|entry| u32_at(&block, entry.start) >= 64).unwrap().clone();
    let used = u32_at(&block, 28) as usize;
    block.copy_within(removed.end..24 + used, removed.start);
    let left = (used - removed.len()) as u32;
    block[28..32].copy_from_slice(&left.to_le_bytes());
    volume.put_block(at, &block);
}

fn wrong_parent(volume: &mut Patched) {
    let file = volume.files()[3];
    volume.change(file, |record| {
        let name = attribute(record, FILE_NAME).unwrap();
        record[name.start + 24..name.start + 32].copy_from_slice(&(11_u64 << 48 | 11).to_le_bytes());
    });
}

fn free_used(volume: &mut Patched) {
    let cluster = volume.first_cluster(volume.files()[3]);
    volume.mark(cluster, false);
}

fn use_free(volume: &mut Patched) {
    let clusters = volume.bytes.len() / volume.cluster_bytes();
    let is_free = |cluster: &usize| {
        let at = volume.place(6, None, cluster / 8);
        volume.bytes[at] & 1 << (cluster % 8) == 0
    };
    let free = (100..clusters).find(is_free).unwrap();
    volume.mark(free, true);
}

fn share(volume: &mut Patched) {
    let (first, second) = (volume.files()[3], volume.files()[4]);
    let (lost, record) = (volume.first_cluster(second), volume.record(first));
    let runs = attribute(&record, DATA).unwrap();
    let runs = record[runs.start + 64..runs.end].to_vec();
    volume.change(second, |record| {
        let data = attribute(record, DATA).unwrap();
        record[data.start + 64..data.end].copy_from_slice(&runs);
    });
    // What the second file had is free now, so that sharing is the only fault.
    (0..3).for_each(|nth| volume.mark(lost + nth, false));
}

fn free_record(volume: &mut Patched) {
    let (file, record) = (volume.files()[3], volume.record(0));
    let bitmap = attribute(&record, BITMAP).unwrap();
    assert_eq!(record[bitmap.start + 8], 1, "the bitmap of $MFT is in clusters");
    let runs = bitmap.start + usize::from(u16_at(&record, bitmap.start + 32));
    let (length, distance) = (usize::from(record[runs] & 15), usize::from(record[runs] >> 4));
    let field = &record[runs + 1 + length..runs + 1 + length + distance];
    let cluster = field.iter().rev().fold(0, |value, &byte| value << 8 | usize::from(byte));
    let at = cluster * volume.cluster_bytes() + file / 8;
    volume.bytes[at] &= !(1 << (file % 8));
}

/// Descriptor and copy alike, so that only the hash is wrong; it is no part of what it is made of.
fn break_hash(volume: &mut Patched) {
    for at in [0, 0x4_0000] {
        let place = volume.place(9, Some("$SDS"), at + 24);
        volume.bytes[place] ^= 0xff;
    }
}

fn break_copy(volume: &mut Patched) {
    let place = volume.place(9, Some("$SDS"), 0x4_0000 + 30);
    volume.bytes[place] ^= 0xff;
}

/// A letter that no name of the volume has.
fn alter_upcase(volume: &mut Patched) {
    let place = volume.place(10, None, 2 * 0x10c7);
    volume.bytes[place..place + 2].copy_from_slice(&0x10c8_u16.to_le_bytes());
}

fn alter_mirror(volume: &mut Patched) {
    let place = volume.place(1, None, 1024 + 600);
    volume.bytes[place] ^= 0x11;
}

fn alter_backup(volume: &mut Patched) {
    let end = volume.bytes.len();
    volume.bytes[end - 512 + 80] ^= 1;
}

fn unalign(volume: &mut Patched) {
    let file = volume.files()[3];
    volume.change(file, |record| {
        let used = u32_at(record, 24) - 4;
        record[24..28].copy_from_slice(&used.to_le_bytes());
    });
}

fn wrong_links(volume: &mut Patched) {
    let file = volume.files()[3];
    volume.change(file, |record| record[18] = 2);
}

/// In a record whose $STANDARD_INFORMATION has the long form: ntfs-3g gives its files the short one.
fn dangling_id(volume: &mut Patched) {
    let has_id = |&number: &usize| {
        let record = volume.record(number);
        u32_at(&record, 0) == u32_at(b"FILE", 0)
            && attribute(&record, STANDARD_INFORMATION)
                .is_some_and(|standard| u32_at(&record, standard.start + 16) == 72)
    };
    let file = (4..volume.count()).find(has_id).unwrap();
    volume.change(file, |record| {
        let standard = attribute(record, STANDARD_INFORMATION).unwrap();
        record[standard.start + 24 + 52..standard.start + 24 + 56].copy_from_slice(&0x999_u32.to_le_bytes());
    });
}

fn mark_dirty(volume: &mut Patched) {
    let change = |record: &mut [u8]| {
        let flags = attribute(record, 0x70).unwrap();
        record[flags.start + 24 + 10] |= 1;
    };
    volume.change(3, change);
    let (from, to) = (volume.place(0, None, 3 * 1024), volume.place(1, None, 3 * 1024));
    volume.bytes.copy_within(from..from + 1024, to);
}

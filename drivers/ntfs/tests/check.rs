//! The check of a whole volume: silent on sound ones, whoever made them, and not on damaged ones.

mod common;

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use block::{FileDevice, SharedDevice};
use ntfs::check::{CheckOptions, FaultKind, Report, check};

fn checked(device: SharedDevice) -> Report {
    check(device, &CheckOptions::default(), &mut |_| {}).unwrap()
}

fn checked_file(path: &Path) -> Report {
    checked(Arc::new(FileDevice::open(path).unwrap()))
}

/// Each whole image, and the kinds of what is wrong with it: three were never dismounted, one was damaged
/// by us.
const EXPECTED: [(&str, &[&str]); 11] = [
    ("ntfs-2m", &[]),
    ("ntfs-ramslack", &[]),
    ("ntfs-ptrn", &[]),
    ("ntfs-lastaccess", &[]),
    ("dirty-big-win", &["LogOpen"]),
    ("tiny", &["LogOpen"]),
    ("charlie", &[]),
    ("ntfs-links", &["LogOpen"]),
    ("own-features", &[]),
    ("own-vdl", &[]),
    ("own-index-cycle", &["IndexCycle", "NotListed"]),
];

#[test]
fn there_is_no_false_alarm_on_whole_images() {
    for (name, expected) in EXPECTED {
        let Some(device) = common::whole(name).device("there_is_no_false_alarm") else { continue };
        let report = checked(device);
        let found: Vec<String> = report.by_kind().into_keys().collect();
        assert_eq!(found, expected, "{name}: {:#?}", report.faults);
        assert!(report.files > 16, "{name}");
    }
}

#[test]
fn something_is_found_in_every_damaged_image() {
    for (name, path) in common::damaged("something_is_found_in_every_damaged_image") {
        let report = checked_file(&path);
        assert!(!report.is_sound(), "{name}");
        let kept = report.faults.len() as u64;
        assert_eq!(kept, report.fault_count.min(1_000), "{name}");
    }
}

type IsIt = fn(&FaultKind) -> bool;

/// What the images' own names say is wrong with them is among what is found.
#[test]
fn damage_is_named_as_what_it_is() {
    let known: [(&str, IsIt); 12] = [
        ("attr_value_offset_corrupted", |kind| matches!(kind, FaultKind::AttributeFrame)),
        ("cluster_duplication_one", |kind| matches!(kind, FaultKind::ClustersShared { .. })),
        ("index_block_vcn_corruption", |kind| matches!(kind, FaultKind::IndexHeader { what: "VCN" })),
        ("index_block_size_corruption", |kind| matches!(kind, FaultKind::IndexRoot { .. })),
        ("entry_length_corrupted", |kind| matches!(kind, FaultKind::IndexEntry)),
        ("mft_parent_reference_corrupted", |kind| matches!(kind, FaultKind::NotListed { .. })),
        ("mismatch_index_filename", |kind| matches!(kind, FaultKind::ListedOnly { .. })),
        ("mismatch_seqno_illegal_seek", |kind| matches!(kind, FaultKind::EntrySequence { .. })),
        ("revive_orphan_mft_entry", |kind| matches!(kind, FaultKind::NotListed { .. })),
        ("runlist_lcn_over_max_cluster", |kind| matches!(kind, FaultKind::Runs(_))),
        ("lostfound_corrupted", |kind| matches!(kind, FaultKind::DirectoryCycle)),
        ("data_size_init_size_bigger_than_alloc_size_DATA_attr", |kind| {
            matches!(kind, FaultKind::DataSize { length: 1_044_520, allocated: 524_288 })
        }),
    ];
    let images = common::damaged("damage_is_named_as_what_it_is");
    for (name, is_it) in known {
        let Some((_, path)) = images.iter().find(|(image, _)| image == name) else { continue };
        let options = CheckOptions { faults_max: 100_000, ..CheckOptions::default() };
        let device: SharedDevice = Arc::new(FileDevice::open(path).unwrap());
        let report = check(device, &options, &mut |_| {}).unwrap();
        assert!(report.faults.iter().any(|fault| is_it(&fault.kind)), "{name}: {:?}", report.by_kind());
    }
}

#[test]
fn volumes_of_mkntfs_have_no_fault_whatever_their_clusters() {
    let folder = tempfile::tempdir().unwrap();
    for cluster_bytes in ["512", "4096", "65536", "2097152"] {
        let path = folder.path().join(cluster_bytes);
        std::fs::File::create(&path).unwrap().set_len(200 << 20).unwrap();
        let mut mkntfs = Command::new("mkntfs");
        mkntfs.args(["-F", "-Q", "-q", "-s", "512", "-p", "2048", "-H", "255", "-S", "63"]);
        let Ok(made) = mkntfs.args(["-c", cluster_bytes]).arg(&path).output() else {
            eprintln!("skipped: volumes_of_mkntfs_have_no_fault: mkntfs is missing");
            return;
        };
        assert!(made.status.success(), "{made:?}");
        let report = checked_file(&path);
        assert_eq!(report.faults, [], "{cluster_bytes}");
    }
}

#[test]
fn a_boot_sector_that_contradicts_its_partition_is_a_fault() {
    let Some(device) = common::whole("ntfs-lastaccess").device("a_boot_sector_that_contradicts") else {
        return;
    };
    // INDEX.md: the partition begins at byte 65,536; 518,143 sectors and the copy of the boot sector.
    let place = ntfs::check::PartitionPlace { first_sector: 128, length_bytes: 518_144 * 512 };
    let with = |place| CheckOptions { partition: Some(place), ..CheckOptions::default() };
    assert!(check(device.clone(), &with(place), &mut |_| {}).unwrap().is_sound());
    let other = ntfs::check::PartitionPlace { first_sector: 2_048, length_bytes: 518_145 * 512 };
    let report = check(device, &with(other), &mut |_| {}).unwrap();
    let kinds: Vec<_> = report.faults.iter().map(|fault| fault.kind).collect();
    let field = |field, expected, found| FaultKind::BootField { field, expected, found };
    let expected = [field("sector count", 518_144, 518_143), field("number of hidden sectors", 2_048, 128)];
    assert_eq!(kinds, expected);
}

//! What is written is what our own parser and the usual tools read.

use std::process::Command;

use super::*;
use crate::partitions::{GptCopy, Scheme};
use crate::{Target, partition_table};

const DRIVE_BYTES: u64 = (66 << 20) + 4096;

fn table(sector_bytes: u32) -> NewTable {
    let (drive_id, partition_id) = (Guid([7; 16]), Guid([8; 16]));
    NewTable { drive_bytes: DRIVE_BYTES, sector_bytes, drive_id, partition_id }
}

fn image(folder: &tempfile::TempDir, sector_bytes: u32) -> Target {
    Target::create_image(&folder.path().join("drive.img"), DRIVE_BYTES, sector_bytes).unwrap()
}

#[test]
fn our_own_parser_reads_both_copies_under_either_sector_size() {
    for sector_bytes in [512, 4096] {
        let folder = tempfile::tempdir().unwrap();
        let drive = image(&folder, sector_bytes);
        let partition = write_gpt(&drive, &table(sector_bytes)).unwrap();
        assert_eq!((partition.start_bytes, partition.length_bytes), (1 << 20, (64 << 20) + 4096));
        let read = partition_table(&drive).unwrap();
        assert_eq!(read.partitions, std::slice::from_ref(&partition));
        assert_eq!((read.scheme, read.sector_bytes), (Scheme::Gpt(GptCopy::Primary), sector_bytes));
        assert_eq!(read.problems, []);
        // The first header gone, the backup counts.
        drive.write_all_at(&mut vec![0; 512], u64::from(sector_bytes)).unwrap();
        let read = partition_table(&drive).unwrap();
        assert_eq!((read.scheme, read.partitions), (Scheme::Gpt(GptCopy::Backup), vec![partition]));
    }
}

#[test]
fn a_drive_without_room_for_a_partition_is_refused() {
    for (drive_bytes, sector_bytes) in [((2 << 20) + 512, 512), (1 << 30, 520), ((1 << 30) + 512, 4096)] {
        let table = NewTable { drive_bytes, sector_bytes, ..table(512) };
        assert_eq!(table.partition(), Err(NewTableError { drive_bytes, sector_bytes }));
    }
    assert_eq!(table(512).partition().unwrap().length_bytes + (2 << 20), DRIVE_BYTES);
    assert_eq!(NewTable::drive_bytes_for((64 << 20) + 4096), DRIVE_BYTES);
}

#[test]
fn after_a_wipe_no_table_is_left() {
    let folder = tempfile::tempdir().unwrap();
    let drive = image(&folder, 512);
    write_gpt(&drive, &table(512)).unwrap();
    wipe_tables(&drive, &table(512)).unwrap();
    let read = partition_table(&drive).unwrap();
    assert!(matches!(read.scheme, Scheme::None(_)) && read.partitions.is_empty(), "{read:?}");
}

/// Runs a tool that judges the image, if it is installed.
fn judged_by(test: &str, program: &str, arguments: &[&str], image: &std::path::Path) -> Option<String> {
    let path = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default());
    let output = Command::new(program).args(arguments).arg(image).env("PATH", path).output();
    let Ok(output) = output else {
        eprintln!("skipped: {test}: {program} is not installed");
        return None;
    };
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn sfdisk_and_sgdisk_find_no_fault() {
    let folder = tempfile::tempdir().unwrap();
    let drive = image(&folder, 512);
    write_gpt(&drive, &table(512)).unwrap();
    let test = "sfdisk_and_sgdisk_find_no_fault";
    if let Some(said) = judged_by(test, "sfdisk", &["--verify"], drive.path()) {
        assert!(said.contains("No errors detected"), "{said}");
    }
    if let Some(said) = judged_by(test, "sgdisk", &["--verify"], drive.path()) {
        assert!(said.contains("No problems found"), "{said}");
    }
    if let Some(said) = judged_by(test, "sgdisk", &["--info=1"], drive.path()) {
        assert!(said.contains("EBD0A0A2-B9E5-4433-87C0-68B6B72699C7"), "{said}");
        assert!(
            said.contains("First sector: 2048") && said.contains("Partition size: 131080 sectors"),
            "{said}"
        );
    }
}

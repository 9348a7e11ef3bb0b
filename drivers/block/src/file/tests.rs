//! What opening refuses, and what a file that changes underneath does to a read.

use std::os::unix::fs::symlink;

use super::*;

/// Gives what the script says: so many bytes, or an error.
fn scripted(script: Vec<Result<usize, Errno>>) -> impl FnMut(&mut [u8], u64) -> io::Result<usize> {
    let mut script = script.into_iter();
    move |part, at| {
        let count = script.next().expect("read more often than scripted")?.min(part.len());
        for (byte, at) in part[..count].iter_mut().zip(at..) {
            *byte = at as u8;
        }
        Ok(count)
    }
}

#[test]
fn short_and_interrupted_reads_are_continued() {
    let mut buffer = [0; 10];
    fill(&mut buffer, 5, scripted(vec![Ok(3), Err(Errno::INTR), Ok(1), Ok(100)])).unwrap();
    assert_eq!(buffer, [5, 6, 7, 8, 9, 10, 11, 12, 13, 14]);
}

#[test]
fn the_end_inside_a_range_is_an_error_with_its_place() {
    let ended = fill(&mut [0; 10], 5, scripted(vec![Ok(3), Ok(0)]));
    assert!(matches!(ended, Err(Shortfall::Ended { at_bytes: 8 })));
    let failed = fill(&mut [0; 10], 5, scripted(vec![Ok(3), Err(Errno::IO)]));
    assert!(matches!(failed, Err(Shortfall::Failed(_))));
}

#[test]
fn a_file_that_was_truncated_after_opening_says_where_it_ends() {
    let file = tempfile::NamedTempFile::new().unwrap();
    file.as_file().set_len(8192).unwrap();
    let device = FileDevice::open(file.path()).unwrap();
    file.as_file().set_len(5000).unwrap();
    let error = device.read_exact_at(&mut [0; 8192], 0).unwrap_err();
    assert_eq!(error.kind, ReadErrorKind::OutOfRange { device_bytes: 5000 });
    assert_eq!((error.offset_bytes, error.length_bytes), (5000, 3192));
}

#[test]
fn a_directory_or_a_fifo_is_no_drive_and_does_not_hang() {
    let folder = tempfile::tempdir().unwrap();
    let fifo = folder.path().join("fifo");
    assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    for path in [folder.path(), &fifo, Path::new("/dev/null")] {
        let error = FileDevice::open(path).err().unwrap();
        assert_eq!(error.source.kind(), io::ErrorKind::InvalidInput, "{}", path.display());
    }
    assert!(FileDevice::open(&folder.path().join("absent")).is_err());
}

#[test]
fn an_image_has_512_byte_sectors_unless_it_is_told_otherwise() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let device = FileDevice::open(file.path()).unwrap();
    assert_eq!((device.sector_bytes(), device.is_block_device()), (512, false));
    assert_eq!(device.with_sector_bytes(4096).sector_bytes(), 4096);
}

#[test]
fn a_drive_is_gone_when_the_kernel_dropped_it_or_set_it_offline() {
    let sysfs = tempfile::tempdir().unwrap();
    let disk = sysfs.path().join("devices/block/sdb");
    fs::create_dir_all(disk.join("device")).unwrap();
    fs::create_dir_all(disk.join("sdb1")).unwrap();
    fs::write(disk.join("sdb1/partition"), "1\n").unwrap();
    fs::create_dir_all(sysfs.path().join("dev/block")).unwrap();
    symlink(&disk, sysfs.path().join("dev/block/8:16")).unwrap();
    symlink(disk.join("sdb1"), sysfs.path().join("dev/block/8:17")).unwrap();
    let (whole, partition) = (rustix::fs::makedev(8, 16), rustix::fs::makedev(8, 17));
    for (state, gone) in
        [("running\n", false), ("live\n", false), ("offline\n", true), ("transport-offline", true)]
    {
        fs::write(disk.join("device/state"), state).unwrap();
        assert_eq!((is_gone(sysfs.path(), whole), is_gone(sysfs.path(), partition)), (gone, gone), "{state}");
    }
    assert!(is_gone(sysfs.path(), rustix::fs::makedev(8, 32)));
}

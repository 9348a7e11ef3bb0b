//! NTFS volumes. Oracle: a stream that is handed out is covered exactly once, inside the volume.

use std::sync::Arc;

use block::MemoryDevice;
use ntfs::check::{CheckOptions, check};
use ntfs::{Limits, Stream, StreamContent, Volume};

/// So many files of one volume are looked into: mutants of one seed differ in few of them.
const FILES_MAX: usize = 300;

/// So many faults of one volume are kept.
const FAULTS_MAX: usize = 50;

/// So much of each stream is read.
const READ_BYTES_MAX: usize = 64 << 10;

/// The bytes are a volume with 512-byte sectors. Says whether a stream of it could be read.
pub fn ntfs(data: &[u8]) -> bool {
    let device = Arc::new(MemoryDevice::new(data.to_vec(), 512));
    let Ok(volume) = Volume::open(device, limits(), &mut |_| {}) else { return false };
    let mut read_count = 0;
    let mut buffer = vec![0; READ_BYTES_MAX];
    for entry in volume.files().take(FILES_MAX) {
        for stream in volume.streams(entry.file) {
            let Ok(stream) = volume.stream_by_units(entry.file, &stream.name) else { continue };
            check_stream(&volume, &stream);
            if let Ok(count) = volume.read_at(&stream, 0, &mut buffer) {
                assert!(count as u64 == stream.length_bytes.min(buffer.len() as u64), "{stream:?}");
                read_count += 1;
            }
            let last = stream.length_bytes.saturating_sub(512);
            // An error is as good an answer as the bytes.
            let _ = volume.read_at(&stream, last, &mut buffer[..512]);
        }
    }
    for path in ["\\DriveManifest.xml", "\\session#1\\a.bin", "\\..\\x", "\\dir\\"] {
        // Found or not: no panic and no loop.
        let _ = volume.resolve(path);
    }
    read_count > 0
}

/// The same bytes, checked as a whole: a volume that is called sound opens without a problem. Says
/// whether it could be checked.
pub fn ntfs_check(data: &[u8]) -> bool {
    let device = Arc::new(MemoryDevice::new(data.to_vec(), 512));
    let options = CheckOptions { limits: limits(), faults_max: FAULTS_MAX, ..CheckOptions::default() };
    let Ok(report) = check(device.clone(), &options, &mut |_| {}) else { return false };
    assert_eq!(report.faults.len() as u64, report.fault_count.min(FAULTS_MAX as u64));
    if report.is_sound() {
        let volume = Volume::open(device, limits(), &mut |_| {}).expect("a sound volume opens");
        assert!(volume.health().is_sound(), "{:?}", volume.health());
    }
    true
}

fn check_stream(volume: &Volume, stream: &Stream) {
    match &stream.content {
        StreamContent::Resident(bytes) => assert_eq!(bytes.len() as u64, stream.length_bytes),
        StreamContent::Extents(extents) => {
            let volume_bytes = volume.geometry().volume_bytes;
            let end = extents.iter().fold(0, |position, extent| {
                assert!(extent.file_offset_bytes == position && extent.length_bytes > 0, "{extents:?}");
                let on_volume = extent.volume_offset_bytes.unwrap_or(0);
                let is_inside =
                    on_volume.checked_add(extent.length_bytes).is_some_and(|end| end <= volume_bytes);
                assert!(extent.volume_offset_bytes.is_none() || is_inside, "{extents:?} in {volume_bytes}");
                position + extent.length_bytes
            });
            assert_eq!(end, stream.length_bytes);
        }
        StreamContent::Compressed(_) | StreamContent::Wof(_) => {}
    }
}

/// As in production, but for sizes that no image of a few megabytes can need.
fn limits() -> Limits {
    Limits { index_bytes_max: 64 << 20, ..Limits::default() }
}

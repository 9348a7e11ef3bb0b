//! The entry point of the fuzz target, with its oracle. Feature `fuzzing`.
//!
//! Whatever the bytes, a volume that opens must keep the promises of this crate: a stream's extents
//! cover it exactly once and inside the volume, reading in one piece or in many gives the same
//! bytes, and what is listed under a path is found under that path.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "an oracle is there to panic"
)]

use block::{MemoryDevice, SharedDevice};

use crate::bytes::in_memory;
use crate::check::{CheckOptions, check};
use crate::{Entry, FileId, Limits, ResolveError, Stream, StreamContent, StreamError, Volume};

/// How much of a stream is read, from its beginning and from its end.
const READ_BYTES: u64 = 64 << 10;

/// Opens the bytes as a volume of 512-byte sectors, and looks at everything in it.
pub fn fuzz_volume(data: &[u8]) {
    let limits = Limits { index_bytes_max: 64 << 20, ..Limits::default() };
    check_device(std::sync::Arc::new(MemoryDevice::new(data.to_vec(), 512)), limits);
}

/// As [`fuzz_volume`], for any device; gives how many streams were read, or `None` when it does not
/// open.
pub fn check_device(device: SharedDevice, limits: Limits) -> Option<usize> {
    let volume = Volume::open(device, limits, &mut |_| {}).ok()?;
    let mut streams = 0;
    for entry in volume.files() {
        check_path(&volume, &entry);
        for listed in volume.streams(entry.file) {
            let Ok(stream) = volume.stream_by_units(entry.file, &listed.name) else { continue };
            check_stream(&volume, &stream);
            streams += 1;
        }
    }
    Some(streams)
}

fn check_path(volume: &Volume, entry: &Entry) {
    assert!(volume.paths(entry.file).contains(&entry.path), "{entry:?}");
    let Ok(path) = String::from_utf16(entry.path.units()) else { return };
    match volume.resolve(&path) {
        Ok(found) => {
            assert!(!volume.index.base(found.record).unwrap().directory);
            let same = |listed: &crate::VolumePath| {
                let upper =
                    |units: &[u16]| units.iter().map(|&unit| volume.upcase.unit(unit)).collect::<Vec<_>>();
                upper(listed.units()) == upper(&slashed(entry.path.units()))
            };
            assert!(volume.paths(found).iter().any(same), "{entry:?} gives {found:?}");
        }
        Err(ResolveError::NotAFile { .. }) => {
            assert!(entry.is_directory || has_separator(volume, entry.file))
        }
        Err(ResolveError::NotFound { .. }) => assert!(has_separator(volume, entry.file), "{entry:?}"),
        // Each of these can be true of a hostile name.
        Err(
            ResolveError::NameInvalid(_)
            | ResolveError::NameTooLong
            | ResolveError::Reparse { .. }
            | ResolveError::System { .. }
            | ResolveError::Ambiguous { .. },
        ) => {}
    }
}

fn slashed(units: &[u16]) -> Vec<u16> {
    units.iter().map(|&unit| if unit == u16::from(b'/') { u16::from(b'\\') } else { unit }).collect()
}

/// Whether a name on the way to a file holds a separator, so that no path can name it.
fn has_separator(volume: &Volume, file: FileId) -> bool {
    let mut at = file;
    for _ in 0..volume.limits.path_depth_max {
        let names: Vec<_> = volume.index.names(at).collect();
        if names.iter().any(|(_, name)| name.contains(&b'\\') || name.contains(&b'/')) {
            return true;
        }
        match names.first().and_then(|(parent, _)| volume.index.file_id(parent.record)) {
            Some(parent) if parent != at => at = parent,
            _ => return false,
        }
    }
    false
}

fn check_stream(volume: &Volume, stream: &Stream) {
    if let StreamContent::Extents(extents) = &stream.content {
        let mut next = 0;
        for extent in extents {
            assert_eq!(extent.file_offset_bytes, next);
            assert!(extent.length_bytes > 0);
            next += extent.length_bytes;
            let end = extent.volume_offset_bytes.unwrap_or(0).checked_add(extent.length_bytes).unwrap();
            assert!(extent.volume_offset_bytes.is_none() || end <= volume.geometry().volume_bytes);
        }
        assert_eq!(next, stream.length_bytes);
    }
    check_bytes(volume, stream, 0);
    check_bytes(volume, stream, stream.length_bytes.saturating_sub(READ_BYTES));
}

fn check_bytes(volume: &Volume, stream: &Stream, start: u64) {
    let length = in_memory(stream.length_bytes.saturating_sub(start).min(READ_BYTES));
    let mut whole = vec![0x55; in_memory(READ_BYTES)];
    let Ok(count) = volume.read_at(stream, start, &mut whole) else { return };
    assert_eq!(count, length);
    let zeros_from = in_memory(stream.initialized_bytes.saturating_sub(start)).min(length);
    assert!(whole[zeros_from..length].iter().all(|&byte| byte == 0));
    let mut at = 0;
    while at < length {
        let mut piece = vec![0xaa; 10_007.min(length - at)];
        let offset = start + crate::bytes::on_volume(at);
        assert_eq!(volume.read_at(stream, offset, &mut piece).unwrap(), piece.len());
        assert_eq!(piece, whole[at..at + piece.len()]);
        at += piece.len();
    }
}

/// Checks the bytes as a volume of 512-byte sectors. Says whether it was found sound.
///
/// # Panics
/// When a volume without a fault has a file that the reader refuses, or the check contradicts itself.
pub fn fuzz_check(data: &[u8]) -> bool {
    check_is_right(std::sync::Arc::new(MemoryDevice::new(data.to_vec(), 512)))
}

/// As [`fuzz_check`], for any device.
///
/// # Panics
/// As there.
pub fn check_is_right(device: SharedDevice) -> bool {
    let limits = Limits { index_bytes_max: 64 << 20, ..Limits::default() };
    let options = CheckOptions { limits, faults_max: 100, ..CheckOptions::default() };
    let Ok(report) = check(device.clone(), &options, &mut |_| {}) else { return false };
    let kept = crate::bytes::on_volume(report.faults.len());
    assert_eq!(kept, report.fault_count.min(100));
    assert!(report.faults.iter().all(|fault| !fault.to_string().is_empty()));
    if !report.is_sound() {
        return false;
    }
    let volume = Volume::open(device, limits, &mut |_| {}).expect("a sound volume opens");
    assert!(volume.health().is_sound(), "{:?}", volume.health());
    for entry in volume.files() {
        for listed in volume.streams(entry.file) {
            match volume.stream_by_units(entry.file, &listed.name) {
                Ok(_) | Err(StreamError::Encrypted | StreamError::Reparse { .. }) => {}
                Err(StreamError::Overlay { .. } | StreamError::TooLong { .. }) => {}
                Err(error) => panic!("{entry:?}: {error}"),
            }
        }
    }
    true
}

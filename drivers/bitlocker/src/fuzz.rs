//! Entry points for fuzz targets, each with its oracle: whatever the bytes, an answer comes in
//! bounded time, and a yes is consistent in itself. Behind the feature `fuzzing`.

use std::sync::Arc;

use block::{MemoryDevice, ReadAt, SharedDevice};

use crate::metadata::copy::{BLOCK_HEADER_BYTES, SIGNATURE, block_size};
use crate::{
    ConversionState, CopyHealth, ExternalKey, Metadata, Password, RecoveryPassword, Secret, Source, Volume,
};

/// Pieces of a volume that are looked at; a hostile map may have millions.
const SEGMENTS_MAX: usize = 100_000;

/// Takes the bytes for a volume: reads its metadata, maps it, tries the keys that cost nothing.
///
/// The first byte decides whether checksums are made right first (odd), without which a fuzzer
/// hardly ever gets past them.
///
/// # Panics
/// When an answer contradicts itself, which is what a fuzzer looks for.
pub fn fuzz_metadata(data: &[u8]) {
    let Some((mode, data)) = data.split_first() else { return };
    let mut bytes = data.to_vec();
    if mode % 2 == 1 {
        mend_checksums(&mut bytes);
    }
    let device: SharedDevice = Arc::new(MemoryDevice::new(bytes, 512));
    let Ok(metadata) = Metadata::read(&device) else { return };
    check_metadata(&metadata);
    let Ok(map) = metadata.map(&device) else { return };
    assert!(map.length_bytes() <= device.length_bytes(), "a volume longer than its device");
    for (offset, length) in map.reserved() {
        assert!(offset.checked_add(length).is_some_and(|end| end <= map.length_bytes()), "reserved outside");
    }
    check_segments(&map, device.length_bytes());
    check_reads(&device, &metadata);
}

/// Takes the bytes for a startup key and for a typed recovery password.
///
/// # Panics
/// When what was read cannot be read again.
pub fn fuzz_secret(data: &[u8]) {
    let _ = ExternalKey::from_bek(data);
    let Ok(text) = std::str::from_utf8(data) else { return };
    let _ = Password::new(text);
    if let Ok(password) = RecoveryPassword::parse(text) {
        assert!(RecoveryPassword::parse(&password.reveal()).is_ok(), "a password that does not read back");
    }
}

fn check_metadata(metadata: &Metadata) {
    let used = metadata.copies.get(metadata.copy_used).map(|copy| &copy.health);
    assert_eq!(used, Some(&CopyHealth::Good), "a copy in use that is not good");
    assert!(metadata.copies.len() <= 4, "more copies than a volume can have");
    assert!(matches!(metadata.sector_bytes, 512 | 4096), "a sector size that no drive has");
}

fn check_segments(map: &crate::VolumeMap, device_bytes: u64) {
    let mut position = 0;
    for segment in map.segments(0, u64::MAX).take(SEGMENTS_MAX) {
        assert_eq!(segment.logical_offset_bytes, position, "a gap or an overlap");
        assert!(segment.length_bytes > 0, "an empty segment");
        position = position.saturating_add(segment.length_bytes);
        let physical = match segment.source {
            Source::Zeros => continue,
            Source::Plain { physical_offset_bytes }
            | Source::Encrypted { physical_offset_bytes }
            | Source::BootSector { physical_offset_bytes, .. } => physical_offset_bytes,
        };
        let end = physical.checked_add(segment.length_bytes);
        assert!(end.is_some_and(|end| end <= device_bytes), "a segment outside the device");
        assert!(physical.is_multiple_of(u64::from(map.sector_bytes())), "a segment between two sectors");
    }
    assert!(position <= map.length_bytes(), "segments behind the volume's end");
}

fn check_reads(device: &SharedDevice, metadata: &Metadata) {
    let Ok(key) = metadata.unlock(&Secret::ClearKey) else { return };
    let Ok(volume) = Volume::open(Arc::clone(device), metadata, &key) else { return };
    let mut buffer = vec![0; 0x5000];
    let length = usize::try_from(volume.length_bytes()).unwrap_or(usize::MAX).min(buffer.len());
    let (part, _) = buffer.split_at_mut(length);
    assert!(volume.read_exact_at(part, 0).is_ok(), "a part of the volume that cannot be read");
    assert!(volume.cipher().is_some() || metadata.state == ConversionState::Decrypted, "no cipher");
}

/// Makes the CRC-32 of whatever looks like a metadata block right.
fn mend_checksums(bytes: &mut [u8]) {
    let starts: Vec<usize> = bytes
        .chunks(512)
        .zip((0..).step_by(512))
        .filter(|(sector, _)| sector.starts_with(SIGNATURE))
        .map(|(_, start)| start)
        .collect();
    for start in starts {
        let Some(area) = bytes.get_mut(start..) else { continue };
        let size = area.first_chunk::<BLOCK_HEADER_BYTES>().and_then(|header| block_size(header).ok());
        let Some((block, rest)) = size.and_then(|(_, size, _)| area.split_at_mut_checked(size)) else {
            continue;
        };
        if let Some(checksum) = rest.get_mut(4..8) {
            checksum.copy_from_slice(&crc32fast::hash(block).to_le_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::tiny_volume_bytes;

    /// One change of a seed: where, what. Half of them in the first kilobytes of the boot sector
    /// and of the copies, where everything is that is interpreted.
    fn change() -> impl Strategy<Value = (usize, u8)> {
        let place = prop_oneof![
            0_usize..512,
            0x1_0000..0x1_0500_usize,
            0x1_0000..0x1_0080_usize,
            0x2_0000..0x2_0500_usize,
            0x3_0000..0x3_0500_usize,
            0..0x4_8000_usize,
        ];
        (place, prop_oneof![any::<u8>(), Just(0), Just(0xFF)])
    }

    #[test]
    fn the_seed_itself_is_read() {
        let device: SharedDevice = Arc::new(MemoryDevice::new(tiny_volume_bytes(), 512));
        let metadata = Metadata::read(&device).unwrap();
        assert_eq!(metadata.warnings, []);
        metadata.map(&device).unwrap();
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1500))]

        #[test]
        fn a_mutated_volume_is_answered(mode: u8, changes in proptest::collection::vec(change(), 1..12), cut in 0..8_u8) {
            let mut bytes = vec![mode];
            bytes.extend_from_slice(&tiny_volume_bytes());
            for (place, value) in changes {
                bytes[1 + place] = value;
            }
            if cut == 0 {
                bytes.truncate(bytes.len() / 2);
            }
            fuzz_metadata(&bytes);
        }

        #[test]
        fn any_bytes_are_answered(bytes in proptest::collection::vec(any::<u8>(), 0..4000)) {
            fuzz_metadata(&bytes);
            fuzz_secret(&bytes);
        }
    }
}

//! BitLocker metadata. Oracle: a volume that opens has a map that covers it exactly, inside the device.
//!
//! A volume has at least 64 MiB, of which little is metadata, so an input is compact: the head, BitLocker's
//! own areas, and a startup key, one after the other. The target lays them out where they belong.

use std::ops::Range;
use std::sync::Arc;

use bitlocker::format::Layout;
use bitlocker::{ExternalKey, Metadata, Secret, Source, Volume};
use block::{ReadAt, ReadError, check_range};

/// Windows' smallest volume.
const VOLUME_BYTES: u64 = 64 << 20;
const SECTOR_BYTES: u32 = 512;
/// Boot sector and the rest of the head, and the moved head of the file system.
const HEAD_BYTES: u64 = 0x2000;
/// A startup key file.
const KEY_BYTES: usize = 156;

/// Where on the volume the parts of a compact input lie, in their order.
pub fn regions() -> Vec<Range<u64>> {
    let layout = Layout::within_file_system(VOLUME_BYTES, SECTOR_BYTES).expect("a size that can be laid out");
    let areas =
        layout.reserved().into_iter().map(|area| area.offset_bytes..area.offset_bytes + area.length_bytes);
    std::iter::once(0..HEAD_BYTES).chain(areas).collect()
}

/// Length of a compact input without its key.
pub const COMPACT_BYTES: usize = 0x2000 + 4 * 0x10000 + 0x2000;

/// The bytes are a compact volume, followed by a startup key; taken as they are, and with the checksums
/// put right, so that mutants get past them. Says whether a volume could be opened.
pub fn bitlocker(data: &[u8]) -> bool {
    let (volume, key) = data.split_at(data.len().min(COMPACT_BYTES));
    let opened = [volume.to_vec(), with_checksums(volume)].map(|volume| open(volume, key));
    opened.contains(&true)
}

fn open(volume: Vec<u8>, key: &[u8]) -> bool {
    let device = Arc::new(Compact { bytes: volume, regions: regions() });
    let Ok(metadata) = Metadata::read(&*device) else { return false };
    let secrets = [
        ExternalKey::from_bek(&key[..key.len().min(KEY_BYTES)]).ok().map(Secret::ExternalKey),
        Some(Secret::ClearKey),
    ];
    let open = |secret: &Secret| {
        let key = metadata.unlock(secret).ok()?;
        Volume::open(device.clone(), &metadata, &key).ok()
    };
    secrets.iter().flatten().filter_map(open).map(|volume| check(&volume)).count() > 0
}

/// Writes the CRC-32 of each copy's block where it belongs, if the copy's length makes sense: bitlocker.md §3.5.
fn with_checksums(volume: &[u8]) -> Vec<u8> {
    const SIGNATURE: &[u8] = b"-FVE-FS-";
    let mut repaired = volume.to_vec();
    let mut start = 0;
    for region in regions() {
        let length = usize::try_from(region.end - region.start).expect("64 KiB");
        let end = repaired.len().min(start + length);
        let area = &mut repaired[start.min(end)..end];
        if let [units @ .., _, _] = area.get(8..12).unwrap_or_default()
            && area.starts_with(SIGNATURE)
        {
            // Blocks are counted in units of 16 bytes; the checksum is 4 bytes into what follows.
            let block_bytes = units.iter().rev().fold(0, |sum, byte| sum << 8 | usize::from(*byte)) * 16;
            if let Some(block) = area.get(..block_bytes) {
                let checksum = crc32fast::hash(block).to_le_bytes();
                area.iter_mut().skip(block_bytes + 4).zip(checksum).for_each(|(place, byte)| *place = byte);
            }
        }
        start += length;
    }
    repaired
}

fn check(volume: &Volume) {
    let length_bytes = volume.length_bytes();
    let end = volume.segments(0, length_bytes).fold(0, |position, segment| {
        assert!(segment.logical_offset_bytes == position && segment.length_bytes > 0, "{segment:?}");
        if let Source::Encrypted { physical_offset_bytes } = segment.source {
            assert!(physical_offset_bytes.is_multiple_of(u64::from(SECTOR_BYTES)), "{segment:?}");
        }
        position + segment.length_bytes
    });
    assert_eq!(end, length_bytes, "the map covers the volume");
    let mut buffer = vec![0; 8192];
    for offset_bytes in [0, HEAD_BYTES - 512, length_bytes.saturating_sub(8192), length_bytes] {
        // Out of range, or whatever the sectors hold: no panic.
        let _ = volume.read_exact_at(&mut buffer, offset_bytes);
    }
}

/// A volume of which only some regions are not zero.
struct Compact {
    bytes: Vec<u8>,
    regions: Vec<Range<u64>>,
}

impl ReadAt for Compact {
    fn length_bytes(&self) -> u64 {
        VOLUME_BYTES
    }

    fn sector_bytes(&self) -> u32 {
        SECTOR_BYTES
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset_bytes: u64) -> Result<(), ReadError> {
        check_range(offset_bytes, buffer.len(), VOLUME_BYTES)?;
        buffer.fill(0);
        let mut stored = 0;
        for region in &self.regions {
            let start = region.start.max(offset_bytes);
            let end = region.end.min(offset_bytes + buffer.len() as u64);
            if start < end {
                let index = |position: u64| usize::try_from(position).expect("within 64 MiB");
                let from = stored + index(start - region.start);
                let there = self.bytes.get(from..).unwrap_or_default();
                let length = index(end - start).min(there.len());
                buffer[index(start - offset_bytes)..][..length].copy_from_slice(&there[..length]);
            }
            stored += usize::try_from(region.end - region.start).expect("within 64 MiB");
        }
        Ok(())
    }
}

//! The boot sector of a new volume (spec §9.3). The code bytes are ours: they halt. Nothing of
//! Microsoft's text is written.

use super::layout::Layout;
use crate::metadata::boot_sector::{BOOT_SECTOR_BYTES, NORMAL_GUID, OEM};

/// Where the partition's first sector stands.
pub(super) const FIRST_SECTOR_AT: usize = 0x1C;

/// Writes the fields at their places; everything else is zero.
pub(super) fn boot_sector(layout: &Layout, first_sector_of_partition: u32) -> [u8; BOOT_SECTOR_BYTES] {
    let bytes_per_sector: u16 = if layout.sector_bytes() == 4096 { 4096 } else { 512 };
    let sectors_per_cluster: u8 = if layout.sector_bytes() == 4096 { 1 } else { 8 };
    let [first, second, third] = layout.areas_bytes().map(u64::to_le_bytes);
    let fields: [(usize, &[u8]); 17] = [
        (0x00, &[0xEB, 0x58, 0x90]),
        (0x03, OEM),
        (0x0B, &bytes_per_sector.to_le_bytes()),
        (0x0D, &[sectors_per_cluster]),
        // Media, geometry, partition.
        (0x15, &[0xF8]),
        (0x18, &[63, 0, 255, 0]),
        (FIRST_SECTOR_AT, &first_sector_of_partition.to_le_bytes()),
        // What a FAT32 boot sector has there; 0x38 stays 0, or readers take it for Vista.
        (0x24, &[0xE0, 0x1F, 0, 0]),
        (0x30, &[1, 0, 6, 0]),
        (0x40, &[0x80, 0, 0x29]),
        (0x47, b"NO NAME    FAT32   "),
        // cli; hlt; jmp back to hlt.
        (0x5A, &[0xFA, 0xF4, 0xEB, 0xFD]),
        (0xA0, &NORMAL_GUID.to_bytes()),
        (0xB0, &first),
        (0xB8, &second),
        (0xC0, &third),
        (0x1FE, &[0x55, 0xAA]),
    ];
    let mut sector = [0; BOOT_SECTOR_BYTES];
    for (at, bytes) in fields {
        let places = sector.iter_mut().skip(at);
        places.zip(bytes).for_each(|(place, byte)| *place = *byte);
    }
    sector
}

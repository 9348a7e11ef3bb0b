//! Tells a volume's boot sector from a master boot record.
//!
//! Both end in `55 AA`. A volume's begins with a jump and carries its file system's name at
//! offset 3 (NTFS, exFAT, BitLocker) or a plausible BIOS parameter block (FAT, also the discovery
//! volume of BitLocker To Go): bitlocker.md §2, Microsoft FAT specification §3.

use super::{BOOT_BYTES, SECTOR_SIZES, u16_at};

/// What sector 0 of a drive without partition table is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BootSector {
    /// `-FVE-FS-`: a BitLocker volume.
    BitLocker,
    /// An NTFS volume, also a BitLocker volume being encrypted.
    Ntfs,
    /// An exFAT volume.
    ExFat,
    /// A FAT volume, also BitLocker To Go.
    Fat,
    /// Nothing of these: a blank drive, a damaged boot sector, another file system.
    Unknown,
}

impl BootSector {
    /// Recognises a volume's boot sector. The `55 AA` is not asked for: a volume whose boot sector
    /// has lost it is still no partition table.
    pub(super) fn recognise(sector: &[u8; BOOT_BYTES]) -> BootSector {
        let jumps = matches!(sector, [0xEB, _, 0x90, ..] | [0xE9, ..]);
        let [_, _, _, name @ ..] = sector;
        match name.first_chunk::<8>() {
            Some(b"-FVE-FS-") => BootSector::BitLocker,
            Some(b"NTFS    ") => BootSector::Ntfs,
            Some(b"EXFAT   ") => BootSector::ExFat,
            _ if jumps && has_fat_parameters(sector) => BootSector::Fat,
            _ => BootSector::Unknown,
        }
    }

    /// The sector size that the volume was made for, if its boot sector gives a possible one.
    pub(super) fn sector_bytes(self, sector: &[u8; BOOT_BYTES]) -> Option<u32> {
        let size = match self {
            BootSector::BitLocker | BootSector::Ntfs | BootSector::Fat => u32::from(u16_at(sector, 0x0B)),
            // BytesPerSectorShift, exFAT specification §3.1.14.
            BootSector::ExFat => sector.get(0x6C).and_then(|&shift| 1_u32.checked_shl(shift.into()))?,
            BootSector::Unknown => return None,
        };
        SECTOR_SIZES.contains(&size).then_some(size)
    }
}

fn has_fat_parameters(sector: &[u8; BOOT_BYTES]) -> bool {
    let [.., fat_count, _, _, _, _, media] = *sector.first_chunk::<0x16>().unwrap_or(&[0; 0x16]);
    let sectors_per_cluster = sector.get(0x0D).copied().unwrap_or(0);
    let named = |offset: usize| sector.get(offset..).is_some_and(|rest| rest.starts_with(b"FAT"));
    matches!(u16_at(sector, 0x0B), 512 | 1024 | 2048 | 4096)
        && sectors_per_cluster.is_power_of_two()
        && u16_at(sector, 0x0E) > 0
        && (1..=2).contains(&fat_count)
        && (media == 0xF0 || media >= 0xF8)
        // FAT12/16 and FAT32 name themselves at different places.
        && (named(0x36) || named(0x52))
}

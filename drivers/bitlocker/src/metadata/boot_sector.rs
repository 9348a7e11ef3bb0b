//! The boot sector of a BitLocker volume: of which kind it is and where it says that the metadata
//! lies (spec §2). The kind is found by searching for the GUIDs, as Windows' own driver does.

use crate::Guid;
use crate::bytes::{u8_at, u16_at, u64_at};

/// Everything of interest lies in the first 512 bytes, whatever the sector size.
pub(crate) const BOOT_SECTOR_BYTES: usize = 512;

/// 4967d63b-2e29-4ad8-8399-f6a339e3d001
const NORMAL: [u8; 16] =
    [0x3b, 0xd6, 0x67, 0x49, 0x29, 0x2e, 0xd8, 0x4a, 0x83, 0x99, 0xf6, 0xa3, 0x39, 0xe3, 0xd0, 0x01];

/// 92a84d3b-dd80-4d0e-9e4e-b1e3284eaed8
const ENCRYPT_ON_WRITE: [u8; 16] =
    [0x3b, 0x4d, 0xa8, 0x92, 0x80, 0xdd, 0x0e, 0x4d, 0x9e, 0x4e, 0xb1, 0xe3, 0x28, 0x4e, 0xae, 0xd8];

/// GUID that identifies a normal volume, as the formatter writes it.
pub(crate) const NORMAL_GUID: Guid = Guid::from_bytes(NORMAL);

/// The OEM name of every kind but To Go.
pub(crate) const OEM: &[u8; 8] = b"-FVE-FS-";

/// The OEM name of a To Go volume's discovery file system.
const OEM_TO_GO: &[u8; 8] = b"MSWIN4.1";

/// Which of the layouts a volume has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum VolumeKind {
    /// Windows 7 and later.
    Windows7,
    /// Windows Vista: the boot sector is patched instead of moved.
    Vista,
    /// A removable volume behind a small FAT file system with a reader program.
    ToGo,
    /// Windows 10 and later, conversion started and not finished: bitmaps say which chunks are
    /// encrypted.
    EncryptOnWrite,
}

/// What a boot sector says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BootSector {
    pub(crate) kind: VolumeKind,
    pub(crate) sector_bytes: u32,
    /// Copies of the metadata: three, on Vista only the first.
    pub(crate) metadata_bytes: Vec<u64>,
    /// The two copies of the encrypt-on-write information; empty for other kinds.
    pub(crate) conversion_bytes: Vec<u64>,
    /// Cluster size; Vista's metadata areas are rounded up to it.
    pub(crate) cluster_bytes: u64,
}

/// What the first sector of a device is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Found {
    Bitlocker(BootSector),
    /// BitLocker by its GUID or name, with fields that make no sense.
    Damaged(&'static str),
    /// Another file system, whole enough to be believed.
    Other(&'static str),
    /// Nothing known: zeros, noise.
    Unknown,
}

/// Sorts the first 512 bytes of a volume.
pub(crate) fn parse(sector: &[u8; BOOT_SECTOR_BYTES]) -> Found {
    let (kind, guid_at) = if let Some(at) = find(sector, &ENCRYPT_ON_WRITE) {
        (VolumeKind::EncryptOnWrite, at)
    } else if let Some(at) = find(sector, &NORMAL) {
        let to_go = sector.get(3..11) == Some(OEM_TO_GO.as_slice());
        (if to_go { VolumeKind::ToGo } else { VolumeKind::Windows7 }, at)
    } else if sector.get(3..11) == Some(OEM.as_slice()) {
        (VolumeKind::Vista, 0)
    } else {
        return other(sector);
    };
    match fields(sector, kind, guid_at) {
        Ok(boot) => Found::Bitlocker(boot),
        Err(what) => Found::Damaged(what),
    }
}

fn fields(
    sector: &[u8; BOOT_SECTOR_BYTES],
    kind: VolumeKind,
    guid_at: usize,
) -> Result<BootSector, &'static str> {
    let sector_bytes = sector_bytes(sector)?;
    let cluster_bytes = cluster_bytes(sector, sector_bytes);
    let (metadata_bytes, conversion_bytes) = match kind {
        VolumeKind::Vista => (vec![vista_metadata(sector, cluster_bytes)?], Vec::new()),
        VolumeKind::EncryptOnWrite => (offsets(sector, guid_at, 0, 3)?, offsets(sector, guid_at, 3, 2)?),
        VolumeKind::Windows7 | VolumeKind::ToGo => (offsets(sector, guid_at, 0, 3)?, Vec::new()),
    };
    Ok(BootSector { kind, sector_bytes, metadata_bytes, conversion_bytes, cluster_bytes })
}

/// Some Windows 10 exFAT volumes say 0 and mean 512 (spec §2).
fn sector_bytes(sector: &[u8]) -> Result<u32, &'static str> {
    match u16_at(sector, 0x0B) {
        Some(0 | 512) => Ok(512),
        Some(4096) => Ok(4096),
        _ => Err("its sector size is neither 512 nor 4096 bytes"),
    }
}

/// Values from 0x80 on are negative powers of two, as NTFS writes clusters above 64 KiB.
fn cluster_bytes(sector: &[u8], sector_bytes: u32) -> u64 {
    let sectors = match u8_at(sector, 0x0D).unwrap_or(0) {
        0 => 1,
        small @ 1..=0x7F => u64::from(small),
        large => 1_u64.checked_shl(u32::from(large.wrapping_neg())).unwrap_or(1),
    };
    sectors.saturating_mul(u64::from(sector_bytes))
}

fn vista_metadata(sector: &[u8], cluster_bytes: u64) -> Result<u64, &'static str> {
    u64_at(sector, 0x38)
        .and_then(|cluster| cluster.checked_mul(cluster_bytes))
        .ok_or("its metadata cluster is beyond all drives")
}

fn offsets(sector: &[u8], guid_at: usize, first: usize, count: usize) -> Result<Vec<u64>, &'static str> {
    let start = guid_at.saturating_add(16).saturating_add(first.saturating_mul(8));
    (0..count)
        .map(|index| u64_at(sector, start.saturating_add(index.saturating_mul(8))))
        .collect::<Option<_>>()
        .ok_or("its GUID stands where no offsets can follow")
}

fn find(sector: &[u8], guid: &[u8; 16]) -> Option<usize> {
    sector.windows(guid.len()).position(|window| window == guid)
}

fn other(sector: &[u8]) -> Found {
    let has_signature = sector.get(0x1FE..0x200) == Some(&[0x55, 0xAA]);
    let oem = sector.get(3..11).unwrap_or_default();
    match (oem, sector.get(0x36..0x3B), sector.get(0x52..0x57)) {
        _ if !has_signature => Found::Unknown,
        (b"NTFS    ", ..) => Found::Other("NTFS"),
        (b"EXFAT   ", ..) => Found::Other("exFAT"),
        (_, Some(b"FAT12" | b"FAT16"), _) | (_, _, Some(b"FAT32")) => Found::Other("FAT"),
        _ if sector.get(0x1BE..0x1FE).is_some_and(is_partition_table) => Found::Other("a partition table"),
        _ => Found::Unknown,
    }
}

/// Four entries of 16 bytes: each starts with 0x00 or 0x80, and at least one has a type.
fn is_partition_table(entries: &[u8]) -> bool {
    let (entries, _) = entries.as_chunks::<16>();
    let plausible = entries.iter().all(|[status, ..]| matches!(status, 0 | 0x80));
    plausible && entries.iter().any(|[_, _, _, _, kind, ..]| *kind != 0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sector_with(guid: &[u8; 16], at: usize) -> [u8; 512] {
        let mut sector = [0; 512];
        sector[3..11].copy_from_slice(OEM);
        sector[at..at + 16].copy_from_slice(guid);
        for index in 0..5_u8 {
            sector[at + 16 + usize::from(index) * 8 + 2] = index + 1;
        }
        sector
    }

    #[test]
    fn the_guid_is_found_wherever_it_stands() {
        for at in [0xA0, 0x1A8] {
            let Found::Bitlocker(boot) = parse(&sector_with(&NORMAL, at)) else {
                panic!("not found at {at:#x}")
            };
            assert_eq!(boot.kind, VolumeKind::Windows7);
            assert_eq!(boot.metadata_bytes, [0x10000, 0x20000, 0x30000]);
            assert_eq!(boot.sector_bytes, 512, "0 stands for 512");
        }
    }

    #[test]
    fn encrypt_on_write_has_two_more_offsets() {
        let Found::Bitlocker(boot) = parse(&sector_with(&ENCRYPT_ON_WRITE, 0xA0)) else { panic!() };
        assert_eq!(boot.kind, VolumeKind::EncryptOnWrite);
        assert_eq!(boot.conversion_bytes, [0x40000, 0x50000]);
    }

    #[test]
    fn a_guid_at_the_very_end_leaves_no_room_for_offsets() {
        let mut sector = [0; 512];
        sector[496..].copy_from_slice(&NORMAL);
        assert!(matches!(parse(&sector), Found::Damaged(_)));
    }

    #[test]
    fn a_vista_cluster_number_beyond_all_drives_is_refused() {
        let mut sector = [0; 512];
        sector[3..11].copy_from_slice(OEM);
        sector[0x0D] = 8;
        sector[0x38..0x40].copy_from_slice(&u64::MAX.to_le_bytes());
        assert!(matches!(parse(&sector), Found::Damaged(_)));
    }

    #[test]
    fn other_file_systems_are_named() {
        let mut sector = [0; 512];
        sector[0x1FE..].copy_from_slice(&[0x55, 0xAA]);
        sector[3..11].copy_from_slice(b"NTFS    ");
        assert_eq!(parse(&sector), Found::Other("NTFS"));
        assert_eq!(parse(&[0; 512]), Found::Unknown);
    }

    proptest! {
        #[test]
        fn any_sector_is_sorted(bytes in proptest::collection::vec(any::<u8>(), 512), at in 0_usize..496, eow: bool) {
            let mut sector: [u8; 512] = bytes.try_into().unwrap();
            sector[at..at + 16].copy_from_slice(if eow { &ENCRYPT_ON_WRITE } else { &NORMAL });
            prop_assert!(matches!(parse(&sector), Found::Bitlocker(_) | Found::Damaged(_)));
        }
    }
}

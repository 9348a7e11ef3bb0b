//! A GUID partition table with one basic data partition, as Windows makes on a blank drive.
//!
//! UEFI Specification 2.10, chapter 5: protective MBR, header and 128 entries of 128 bytes at
//! either end of the drive. Reading tables is `drivers/block`'s.

use std::fs::File;
use std::os::unix::fs::FileExt;

use anyhow::{Context, Result, ensure};

/// Where the partition begins; Windows aligns to 1 MiB.
pub const PARTITION_START_BYTES: u64 = 1 << 20;

/// Kept free behind the partition: the second table, and alignment.
const TAIL_BYTES: u64 = 1 << 20;

const ENTRY_BYTES: u64 = 128;
const ENTRIES_BYTES: u64 = 128 * ENTRY_BYTES;

/// EBD0A0A2-B9E5-4433-87C0-68B6B72699C7, "basic data", in its on-disk byte order.
const BASIC_DATA: [u8; 16] =
    [0xA2, 0xA0, 0xD0, 0xEB, 0xE5, 0xB9, 0x33, 0x44, 0x87, 0xC0, 0x68, 0xB6, 0xB7, 0x26, 0x99, 0xC7];

/// A drive's length for a partition of `partition_bytes`.
pub fn drive_bytes(partition_bytes: u64) -> u64 {
    PARTITION_START_BYTES + partition_bytes + TAIL_BYTES
}

/// Sets the file's length and writes both tables around one partition at 1 MiB.
///
/// # Errors
/// When the length is no whole number of sectors, or the file cannot be written.
pub fn write(drive: &File, partition_bytes: u64, sector_bytes: u32, identity: [u8; 16]) -> Result<()> {
    let sector = u64::from(sector_bytes);
    ensure!(partition_bytes.is_multiple_of(sector), "{partition_bytes} bytes are no whole number of sectors");
    let table = Table { sector, drive: drive_bytes(partition_bytes), partition_bytes, identity };
    drive.set_len(table.drive).context("setting the drive's length")?;
    let last = table.drive / sector - 1;
    let entries = table.entries();
    let put = |bytes: &[u8], lba: u64| drive.write_all_at(bytes, lba * sector).context("writing the GPT");
    put(&table.protective_mbr(), 0)?;
    put(&table.header(1, last, 2, &entries), 1)?;
    put(&entries, 2)?;
    let second_entries = last - ENTRIES_BYTES / sector;
    put(&entries, second_entries)?;
    put(&table.header(last, 1, second_entries, &entries), last)
}

struct Table {
    sector: u64,
    drive: u64,
    partition_bytes: u64,
    /// The drive's GUID; the partition's differs in one bit.
    identity: [u8; 16],
}

impl Table {
    fn protective_mbr(&self) -> Vec<u8> {
        let sectors = u32::try_from(self.drive / self.sector - 1).unwrap_or(u32::MAX);
        let mut mbr = vec![0; 512];
        // Not bootable, CHS of LBA 1, type EE, CHS "beyond", LBA 1 to the end.
        mbr[446..454].copy_from_slice(&[0, 0, 2, 0, 0xEE, 0xFF, 0xFF, 0xFF]);
        mbr[454..458].copy_from_slice(&1_u32.to_le_bytes());
        mbr[458..462].copy_from_slice(&sectors.to_le_bytes());
        mbr[510..].copy_from_slice(&[0x55, 0xAA]);
        mbr
    }

    fn entries(&self) -> Vec<u8> {
        let first = PARTITION_START_BYTES / self.sector;
        let mut partition = self.identity;
        partition[15] ^= 1;
        let mut entry = [BASIC_DATA, partition].concat();
        entry.extend_from_slice(&first.to_le_bytes());
        entry.extend_from_slice(&(first + self.partition_bytes / self.sector - 1).to_le_bytes());
        entry.extend_from_slice(&0_u64.to_le_bytes());
        entry.extend("Basic data partition".encode_utf16().flat_map(u16::to_le_bytes));
        entry.resize(usize::try_from(ENTRIES_BYTES).expect("16 KiB"), 0);
        entry
    }

    fn header(&self, lba: u64, other: u64, entries_lba: u64, entries: &[u8]) -> Vec<u8> {
        let entries_sectors = ENTRIES_BYTES / self.sector;
        let last = self.drive / self.sector - 1;
        let mut header = b"EFI PART".to_vec();
        header.extend_from_slice(&0x0001_0000_u32.to_le_bytes());
        header.extend_from_slice(&92_u32.to_le_bytes());
        header.extend_from_slice(&[0; 8]); // its own checksum, filled in below, and reserved
        for position in [lba, other, 2 + entries_sectors, last - entries_sectors - 1] {
            header.extend_from_slice(&position.to_le_bytes());
        }
        header.extend_from_slice(&self.identity);
        header.extend_from_slice(&entries_lba.to_le_bytes());
        header.extend_from_slice(&128_u32.to_le_bytes());
        header.extend_from_slice(&128_u32.to_le_bytes());
        header.extend_from_slice(&crc32fast::hash(entries).to_le_bytes());
        let checksum = crc32fast::hash(&header);
        header[16..20].copy_from_slice(&checksum.to_le_bytes());
        header.resize(usize::try_from(self.sector).expect("a sector"), 0);
        header
    }
}

//! A new GUID partition table with one basic data partition, as Windows makes on a blank drive.
//!
//! UEFI Specification 2.10, chapter 5: protective MBR, header and 128 entries of 128 bytes at
//! either end of the drive. What was there before is wiped first, so that a run that is cut off
//! leaves the new table or none, never an old one: a backup at the drive's end counts when the
//! primary table is damaged.

use super::{Guid, Partition, PartitionKind};
use crate::{WriteAt, WriteError};

/// Where the partition begins; Windows aligns to 1 MiB.
pub const PARTITION_START_BYTES: u64 = 1 << 20;

/// Kept free behind the partition: the second table, and alignment.
const TAIL_BYTES: u64 = 1 << 20;

/// The partition is a whole number of the clusters that its file system will have.
const PARTITION_UNIT_BYTES: u64 = 4096;

const ENTRY_BYTES: u32 = 128;
const ENTRY_COUNT: u32 = 128;
const ENTRIES_BYTES: usize = 128 * 128;
const HEADER_BYTES: u32 = 92;

/// What Windows calls it.
const NAME: &str = "Basic data partition";

/// What a new table is made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewTable {
    /// The drive's length.
    pub drive_bytes: u64,
    /// Its logical sector size: 512 or 4096.
    pub sector_bytes: u32,
    /// The drive's id; random.
    pub drive_id: Guid,
    /// The partition's id; random, another one.
    pub partition_id: Guid,
}

/// A drive that no table can be made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a drive of {drive_bytes} bytes in sectors of {sector_bytes} bytes has no room for a partition")]
pub struct NewTableError {
    /// The drive's length.
    pub drive_bytes: u64,
    /// Its sector size.
    pub sector_bytes: u32,
}

/// Writing a table failed.
#[derive(Debug, thiserror::Error)]
pub enum WriteTableError {
    /// No table can be made for the drive.
    #[error("laying out the partition table")]
    Layout(#[from] NewTableError),
    /// The drive refused a write.
    #[error("writing the partition table")]
    Write(#[from] WriteError),
}

impl NewTable {
    /// How long a drive must be for a partition of `partition_bytes`.
    pub fn drive_bytes_for(partition_bytes: u64) -> u64 {
        partition_bytes.saturating_add(PARTITION_START_BYTES).saturating_add(TAIL_BYTES)
    }

    /// The partition: from 1 MiB on, to 1 MiB before the drive's end or a little less.
    ///
    /// # Errors
    /// When the drive is too small or its sectors are odd.
    pub fn partition(&self) -> Result<Partition, NewTableError> {
        let NewTable { drive_bytes, sector_bytes, .. } = *self;
        let length_bytes = drive_bytes
            .checked_sub(PARTITION_START_BYTES.saturating_add(TAIL_BYTES))
            .map(|length| length.saturating_sub(length % PARTITION_UNIT_BYTES))
            .filter(|length| *length > 0 && matches!(sector_bytes, 512 | 4096))
            .filter(|_| drive_bytes.is_multiple_of(u64::from(sector_bytes)))
            .ok_or(NewTableError { drive_bytes, sector_bytes })?;
        let kind = PartitionKind::Gpt {
            type_guid: Guid::BASIC_DATA,
            unique_guid: self.partition_id,
            name: NAME.to_owned(),
            attributes: 0,
        };
        Ok(Partition { number: 1, start_bytes: PARTITION_START_BYTES, length_bytes, kind })
    }

    /// Sector of a byte offset, which is on a boundary.
    fn lba(&self, offset_bytes: u64) -> u64 {
        offset_bytes.checked_div(u64::from(self.sector_bytes)).unwrap_or(0)
    }

    fn last_lba(&self) -> u64 {
        self.lba(self.drive_bytes).saturating_sub(1)
    }

    fn entries_sectors(&self) -> u64 {
        self.lba(ENTRIES_BYTES as u64)
    }

    /// Sector of the backup's entries.
    fn backup_entries_lba(&self) -> u64 {
        self.last_lba().saturating_sub(self.entries_sectors())
    }

    fn protective_mbr(&self) -> Vec<u8> {
        let sectors = u32::try_from(self.last_lba()).unwrap_or(u32::MAX);
        let mut mbr = vec![0; 446];
        // Not bootable, CHS of LBA 1, type EE, CHS "beyond", LBA 1 to the end.
        mbr.extend_from_slice(&[0, 0, 2, 0, 0xEE, 0xFF, 0xFF, 0xFF]);
        mbr.extend_from_slice(&1_u32.to_le_bytes());
        mbr.extend_from_slice(&sectors.to_le_bytes());
        mbr.resize(510, 0);
        mbr.extend_from_slice(&[0x55, 0xAA]);
        self.padded(mbr)
    }

    fn entries(&self, partition: &Partition) -> Vec<u8> {
        let mut entry = [Guid::BASIC_DATA.0, self.partition_id.0].concat();
        let last = self.lba(partition.end_bytes()).saturating_sub(1);
        for field in [self.lba(partition.start_bytes), last, 0] {
            entry.extend_from_slice(&field.to_le_bytes());
        }
        entry.extend(NAME.encode_utf16().flat_map(u16::to_le_bytes));
        entry.resize(ENTRIES_BYTES, 0);
        entry
    }

    /// A header of the sector `own`, its counterpart being in `other`.
    fn header(&self, own: u64, other: u64, entries_lba: u64, entries: &[u8]) -> Vec<u8> {
        let first_usable = self.entries_sectors().saturating_add(2);
        let last_usable = self.backup_entries_lba().saturating_sub(1);
        let positions = [own, other, first_usable, last_usable].map(u64::to_le_bytes).concat();
        let with_checksum = |checksum: u32| {
            [
                &b"EFI PART"[..],
                &0x0001_0000_u32.to_le_bytes(),
                &HEADER_BYTES.to_le_bytes(),
                &checksum.to_le_bytes(),
                &[0; 4],
                &positions,
                &self.drive_id.0,
                &entries_lba.to_le_bytes(),
                &ENTRY_COUNT.to_le_bytes(),
                &ENTRY_BYTES.to_le_bytes(),
                &crc32fast::hash(entries).to_le_bytes(),
            ]
            .concat()
        };
        let checksum = crc32fast::hash(&with_checksum(0));
        self.padded(with_checksum(checksum))
    }

    fn padded(&self, mut bytes: Vec<u8>) -> Vec<u8> {
        bytes.resize(usize::try_from(self.sector_bytes).unwrap_or(4096), 0);
        bytes
    }

    fn put(&self, target: &dyn WriteAt, mut bytes: Vec<u8>, lba: u64) -> Result<(), WriteError> {
        target.write_all_at(&mut bytes, lba.saturating_mul(u64::from(self.sector_bytes)))
    }
}

/// Wipes both ends of a drive, where tables are, and waits until that is on the medium.
///
/// # Errors
/// When the drive is too small for a table, or refuses.
pub fn wipe_tables(target: &dyn WriteAt, table: &NewTable) -> Result<(), WriteTableError> {
    let partition = table.partition()?;
    let tail_bytes = table.drive_bytes.saturating_sub(partition.end_bytes());
    let mut zeros = vec![0; usize::try_from(tail_bytes).unwrap_or(0)];
    // The backup first: as long as the primary is there, the drive is what it was.
    target.write_all_at(&mut zeros, partition.end_bytes())?;
    target.flush()?;
    target.write_all_at(&mut vec![0; usize::try_from(PARTITION_START_BYTES).unwrap_or(0)], 0)?;
    Ok(target.flush()?)
}

/// Writes both copies of the table around one partition, after wiping whatever tables there were.
///
/// # Errors
/// When the drive is too small for a table, or refuses.
pub fn write_gpt(target: &dyn WriteAt, table: &NewTable) -> Result<Partition, WriteTableError> {
    let partition = table.partition()?;
    wipe_tables(target, table)?;
    let entries = table.entries(&partition);
    let (last, backup_entries) = (table.last_lba(), table.backup_entries_lba());
    table.put(target, entries.clone(), backup_entries)?;
    table.put(target, table.header(last, 1, backup_entries, &entries), last)?;
    table.put(target, entries.clone(), 2)?;
    table.put(target, table.header(1, last, 2, &entries), 1)?;
    table.put(target, table.protective_mbr(), 0)?;
    target.flush()?;
    Ok(partition)
}

#[cfg(test)]
mod tests;

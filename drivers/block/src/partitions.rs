//! Where the volumes of a drive are: GPT, MBR, or a bare volume without any table. Also makes the
//! table of a new drive ([`write_gpt`]).
//!
//! Owns the decision which table counts, and nothing of what a partition holds. Everything read
//! here is hostile: each count is bounded before it is used, each range is checked against the
//! device, and a partition that lies outside is named as a problem instead of being listed.
//! Invariant: every listed partition lies wholly inside the device.
//!
//! # Which table counts
//! 1. A volume's own boot sector at 0 (BitLocker, NTFS, exFAT, FAT) means that there is no table.
//!    It ends in `55 AA` like an MBR does, so the signature alone says nothing.
//! 2. An MBR with an entry of type `EE`, or no MBR at all, and a GPT header where one belongs: GPT.
//!    A damaged header is replaced by its backup at the drive's end, and said so.
//! 3. Any other MBR counts as it is, even with GPT headers left over behind it: this is what
//!    Windows does, so it is what the customer saw.
//!
//! # Sector size
//! Addresses in tables are sectors. An image file of a drive with 4096-byte sectors cannot say so,
//! therefore both sizes are tried, the device's own first, and [`PartitionTable::sector_bytes`]
//! gives the one under which the table makes sense.
//!
//! Sources: UEFI Specification 2.10 §5 (GPT, protective MBR); the IBM PC conventions for MBR and
//! extended partitions, as Linux `block/partitions/msdos.c` describes them.

mod create;
mod gpt;
mod guid;
mod mbr;
#[cfg(test)]
mod tests;
mod volume;

use crate::{ReadAt, ReadError, ReadErrorKind};

pub use create::{NewTable, NewTableError, PARTITION_START_BYTES, WriteTableError, wipe_tables, write_gpt};
pub use gpt::{GptCopy, GptFault};
pub use guid::Guid;
pub use volume::BootSector;

/// Logical sector sizes that drives have.
const SECTOR_SIZES: [u32; 2] = [512, 4096];
/// The part of a sector that an MBR or a volume's boot sector uses.
const BOOT_BYTES: usize = 512;

/// A drive's partitions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionTable {
    /// What kind of table it is.
    pub scheme: Scheme,
    /// The sector size under which the table was read; without a table, what the volume's boot
    /// sector says, or the device.
    pub sector_bytes: u32,
    /// All partitions that lie inside the device, in the table's order; logical ones last.
    pub partitions: Vec<Partition>,
    /// What is wrong with the table; reading went on in spite of it.
    pub problems: Vec<TableProblem>,
}

/// The kinds of partition table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// A GUID partition table, and which of its two copies was used.
    Gpt(GptCopy),
    /// A master boot record.
    Mbr,
    /// No table: a bare volume, or nothing that is known.
    None(BootSector),
}

/// One partition; lies inside its device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partition {
    /// As Linux numbers them: GPT entries from 1, primary MBR entries 1 to 4, logical from 5.
    pub number: u32,
    /// First byte on the drive.
    pub start_bytes: u64,
    /// Length in bytes.
    pub length_bytes: u64,
    /// What the table calls it.
    pub kind: PartitionKind,
}

/// What a table says of a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PartitionKind {
    /// A GPT entry.
    Gpt {
        /// The type, such as [`Guid::BASIC_DATA`].
        type_guid: Guid,
        /// This partition's own id.
        unique_guid: Guid,
        /// The entry's name; not well-formed UTF-16 is replaced.
        name: String,
        /// Attribute bits.
        attributes: u64,
    },
    /// An MBR entry.
    Mbr {
        /// The type byte, `07` for NTFS, exFAT and BitLocker.
        type_byte: u8,
        /// The boot flag.
        active: bool,
    },
}

/// Something wrong with a table that did not stop it from being read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TableProblem {
    /// The first copy of the GPT could not be used; the other was.
    #[error("the primary GPT is damaged ({0}); its backup was used")]
    PrimaryDamaged(GptFault),
    /// The backup could not be used; the first copy was whole. Usual for a truncated image.
    #[error("the backup GPT is damaged: {0}")]
    BackupDamaged(GptFault),
    /// A GPT without a protective entry in sector 0.
    #[error("the protective MBR is missing")]
    NoProtectiveMbr,
    /// A partition that reaches over the device's end, or ends before it begins. It is not listed.
    #[error("partition {number} (sectors {first_lba:#x} to {last_lba:#x}) is not inside the device")]
    OutsideDevice {
        /// The partition.
        number: u32,
        /// Its first sector.
        first_lba: u64,
        /// Its last sector.
        last_lba: u64,
    },
    /// Two partitions share bytes. Both are listed.
    #[error("partitions {first} and {second} overlap")]
    Overlap {
        /// The one that starts first.
        first: u32,
        /// The one that starts inside it.
        second: u32,
    },
    /// A chain of logical partitions that comes back to itself, leaves its extended partition, has
    /// a link without signature, or is longer than any real one. It was followed up to there.
    #[error("the chain of logical partitions is broken at sector {lba:#x}")]
    BrokenChain {
        /// The link that was not followed.
        lba: u64,
    },
    /// A link of that chain, or a copy of the table, could not be read.
    #[error("sector {lba:#x} of the partition table cannot be read")]
    Unreadable {
        /// Which sector.
        lba: u64,
    },
}

/// Why a drive's partitions cannot be told.
#[derive(Debug, thiserror::Error)]
pub enum PartitionError {
    /// The first sector, or the device, is not readable.
    #[error("reading the partition table")]
    Read(#[source] ReadError),
    /// The drive says that it has a GPT, and neither copy can be used.
    #[error("the drive has a GPT, but its primary copy ({primary}) and its backup ({backup}) are damaged")]
    GptDamaged {
        /// What is wrong with the first copy.
        primary: GptFault,
        /// What is wrong with the backup.
        backup: GptFault,
    },
}

/// Reads a drive's partition table: see the module for which one counts.
///
/// # Errors
/// [`PartitionError`] when nothing can be said; a damaged table that still says something is
/// `Ok` with [`PartitionTable::problems`].
pub fn partition_table(device: &dyn ReadAt) -> Result<PartitionTable, PartitionError> {
    if device.length_bytes() < BOOT_BYTES as u64 {
        return Ok(PartitionTable::none(device, BootSector::Unknown));
    }
    let mut sector = [0; BOOT_BYTES];
    device.read_exact_at(&mut sector, 0).map_err(PartitionError::Read)?;
    let boot = BootSector::recognise(&sector);
    if boot != BootSector::Unknown {
        let mut table = PartitionTable::none(device, boot);
        table.sector_bytes = boot.sector_bytes(&sector).unwrap_or(table.sector_bytes);
        return Ok(table);
    }
    let record = mbr::BootRecord::parse(&sector);
    let protective = record.as_ref().is_some_and(mbr::BootRecord::is_protective);
    if protective || record.is_none() {
        let sizes = sector_sizes(device);
        if let Some(table) = gpt::read(device, sizes, protective)? {
            return Ok(table);
        }
    }
    match record {
        Some(record) => mbr::read(device, &record),
        None => Ok(PartitionTable::none(device, boot)),
    }
}

impl PartitionTable {
    fn none(device: &dyn ReadAt, boot: BootSector) -> PartitionTable {
        let sector_bytes = device.sector_bytes();
        PartitionTable {
            scheme: Scheme::None(boot),
            sector_bytes,
            partitions: Vec::new(),
            problems: Vec::new(),
        }
    }

    /// Names each pair of neighbours, in the drive's order, that share bytes.
    fn report_overlaps(&mut self) {
        let mut order: Vec<&Partition> = self.partitions.iter().collect();
        order.sort_by_key(|partition| (partition.start_bytes, partition.number));
        // The one that reaches farthest so far: a partition may lie inside an earlier one.
        let mut farthest: Option<&Partition> = None;
        let mut overlaps = Vec::new();
        for partition in order {
            if let Some(before) = farthest.filter(|before| before.end_bytes() > partition.start_bytes) {
                overlaps.push(TableProblem::Overlap { first: before.number, second: partition.number });
            }
            if farthest.is_none_or(|before| before.end_bytes() < partition.end_bytes()) {
                farthest = Some(partition);
            }
        }
        self.problems.extend(overlaps);
    }
}

impl Partition {
    /// One past its last byte.
    pub fn end_bytes(&self) -> u64 {
        self.start_bytes.saturating_add(self.length_bytes)
    }
}

/// Sectors from a table, before they are believed.
#[derive(Debug, Clone, Copy)]
struct Claim {
    number: u32,
    first_lba: u64,
    /// Inclusive.
    last_lba: u64,
}

impl Claim {
    /// The bytes, if they lie inside the device.
    fn check(self, device: &dyn ReadAt, sector_bytes: u32) -> Result<(u64, u64), TableProblem> {
        let Claim { number, first_lba, last_lba } = self;
        let range = || {
            let start = first_lba.checked_mul(u64::from(sector_bytes))?;
            let end = last_lba.checked_add(1)?.checked_mul(u64::from(sector_bytes))?;
            let length = end.checked_sub(start).filter(|&length| length > 0)?;
            (end <= device.length_bytes()).then_some((start, length))
        };
        range().ok_or(TableProblem::OutsideDevice { number, first_lba, last_lba })
    }
}

/// The device's own sector size first, then the others.
fn sector_sizes(device: &dyn ReadAt) -> impl Iterator<Item = u32> + use<> {
    let own = device.sector_bytes();
    SECTOR_SIZES
        .into_iter()
        .filter(move |&size| size == own)
        .chain(SECTOR_SIZES.into_iter().filter(move |&size| size != own))
}

/// Whether an error ends the whole reading, rather than the reading of one sector.
fn is_fatal(error: &ReadError) -> bool {
    match error.kind {
        ReadErrorKind::Gone | ReadErrorKind::Denied => true,
        ReadErrorKind::OutOfRange { .. } | ReadErrorKind::Medium | ReadErrorKind::Other => false,
    }
}

/// Little-endian fields of a sector; zero past its end, which no caller reaches.
fn u16_at(bytes: &[u8], offset: usize) -> u16 {
    u16::from_le_bytes(array_at(bytes, offset))
}

fn u32_at(bytes: &[u8], offset: usize) -> u32 {
    u32::from_le_bytes(array_at(bytes, offset))
}

fn u64_at(bytes: &[u8], offset: usize) -> u64 {
    u64::from_le_bytes(array_at(bytes, offset))
}

fn array_at<const N: usize>(bytes: &[u8], offset: usize) -> [u8; N] {
    bytes.get(offset..).and_then(|rest| rest.first_chunk()).copied().unwrap_or([0; N])
}

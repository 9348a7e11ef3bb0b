//! The GUID partition table: two copies, each a header and an array of entries with a CRC each.
//!
//! UEFI Specification 2.10 §5.3. A copy counts only when both its sums are right.

use std::fmt;

use super::{
    Claim, Guid, Partition, PartitionError, PartitionKind, PartitionTable, Scheme, TableProblem, array_at,
    is_fatal, u16_at, u32_at, u64_at,
};
use crate::ReadAt;

const SIGNATURE: &[u8; 8] = b"EFI PART";
/// The header's fields end here; it may be longer, up to a sector.
const HEADER_BYTES_MIN: u32 = 92;
/// An entry is 128 bytes times a power of two (UEFI 2.10 table 5.5). The largest seen anywhere is
/// 256; a sector bounds what a hostile header may ask for.
const ENTRY_BYTES: std::ops::RangeInclusive<u32> = 128..=4096;
/// 8,192 entries of the usual size. Windows and Linux make 128.
const ARRAY_BYTES_MAX: u64 = 1 << 20;

/// Which copy was used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GptCopy {
    /// The one at the drive's beginning.
    Primary,
    /// The one at its end.
    Backup,
}

/// Why a copy cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum GptFault {
    /// No `EFI PART` where the header belongs.
    #[error("no header")]
    NoHeader,
    /// A length, count or entry size that no table has.
    #[error("impossible sizes in the header")]
    Sizes,
    /// The header's CRC-32 is wrong.
    #[error("wrong checksum of the header")]
    HeaderChecksum,
    /// The header says that it belongs into another sector.
    #[error("the header belongs to sector {found_lba:#x}")]
    Misplaced {
        /// The sector it names.
        found_lba: u64,
    },
    /// The entries' CRC-32 is wrong.
    #[error("wrong checksum of the entries")]
    EntriesChecksum,
    /// The medium, or the device's end, is in the way.
    #[error("unreadable at {offset_bytes:#x}")]
    Unreadable {
        /// Where the read failed.
        offset_bytes: u64,
    },
}

/// A copy whose sums are right.
struct Copy {
    sector_bytes: u32,
    entry_bytes: usize,
    entries: Vec<u8>,
}

/// Reads the table under the first sector size that gives one. `None` when there is none and
/// nothing promised one.
pub(super) fn read(
    device: &dyn ReadAt,
    sizes: impl Iterator<Item = u32>,
    protective: bool,
) -> Result<Option<PartitionTable>, PartitionError> {
    let mut faults: Option<(GptFault, GptFault)> = None;
    for sector_bytes in sizes {
        let primary = copy_at(device, sector_bytes, 1)?;
        let backup = copy_at(device, sector_bytes, last_lba(device, sector_bytes))?;
        let (primary, backup) = match (primary, backup) {
            (Ok(copy), Ok(_)) => return Ok(Some(copy.table(device, GptCopy::Primary, None, protective))),
            (Ok(copy), Err(fault)) => {
                let problem = TableProblem::BackupDamaged(fault);
                return Ok(Some(copy.table(device, GptCopy::Primary, Some(problem), protective)));
            }
            (Err(fault), Ok(copy)) => {
                let problem = TableProblem::PrimaryDamaged(fault);
                return Ok(Some(copy.table(device, GptCopy::Backup, Some(problem), protective)));
            }
            (Err(primary), Err(backup)) => (primary, backup),
        };
        // The size under which at least a header was found says more than one without.
        if faults.is_none_or(|(best, other)| best == GptFault::NoHeader && other == GptFault::NoHeader) {
            faults = Some((primary, backup));
        }
    }
    match faults {
        Some((primary, backup)) if protective => Err(PartitionError::GptDamaged { primary, backup }),
        _ => Ok(None),
    }
}

fn last_lba(device: &dyn ReadAt, sector_bytes: u32) -> u64 {
    let count = device.length_bytes().checked_div(u64::from(sector_bytes)).unwrap_or(0);
    count.saturating_sub(1)
}

/// A copy by its header's sector. The outer error is the device's, the inner one this copy's.
fn copy_at(
    device: &dyn ReadAt,
    sector_bytes: u32,
    header_lba: u64,
) -> Result<Result<Copy, GptFault>, PartitionError> {
    let header = match read_bytes(device, header_lba, sector_bytes, sector_bytes.into())? {
        Ok(header) => header,
        Err(fault) => return Ok(Err(fault)),
    };
    let array = match Array::parse(&header, header_lba) {
        Ok(array) => array,
        Err(fault) => return Ok(Err(fault)),
    };
    let entries = match read_bytes(device, array.first_lba, sector_bytes, array.length_bytes)? {
        Ok(entries) => entries,
        Err(fault) => return Ok(Err(fault)),
    };
    if crc32fast::hash(&entries) != array.checksum {
        return Ok(Err(GptFault::EntriesChecksum));
    }
    Ok(Ok(Copy { sector_bytes, entry_bytes: array.entry_bytes, entries }))
}

/// What a header says of its entries.
struct Array {
    first_lba: u64,
    length_bytes: u64,
    entry_bytes: usize,
    checksum: u32,
}

impl Array {
    /// Checks a header and takes out where its entries are.
    fn parse(header: &[u8], header_lba: u64) -> Result<Array, GptFault> {
        if !header.starts_with(SIGNATURE) {
            return Err(GptFault::NoHeader);
        }
        let header_bytes = u32_at(header, 12);
        let summed = usize::try_from(header_bytes).ok().and_then(|length| header.get(..length));
        let summed = summed.filter(|_| header_bytes >= HEADER_BYTES_MIN).ok_or(GptFault::Sizes)?;
        if header_checksum(summed) != u32_at(header, 16) {
            return Err(GptFault::HeaderChecksum);
        }
        let found_lba = u64_at(header, 24);
        if found_lba != header_lba {
            return Err(GptFault::Misplaced { found_lba });
        }
        let (count, entry_bytes) = (u32_at(header, 80), u32_at(header, 84));
        let length_bytes = u64::from(count).saturating_mul(u64::from(entry_bytes));
        let sane = ENTRY_BYTES.contains(&entry_bytes) && entry_bytes.is_power_of_two();
        let entry_bytes = usize::try_from(entry_bytes).unwrap_or(usize::MAX);
        if !sane || length_bytes == 0 || length_bytes > ARRAY_BYTES_MAX {
            return Err(GptFault::Sizes);
        }
        Ok(Array { first_lba: u64_at(header, 72), length_bytes, entry_bytes, checksum: u32_at(header, 88) })
    }
}

/// The CRC-32 of a header, with its own field taken as zero.
fn header_checksum(header: &[u8]) -> u32 {
    let mut sum = crc32fast::Hasher::new();
    sum.update(header.get(..16).unwrap_or_default());
    sum.update(&[0; 4]);
    sum.update(header.get(20..).unwrap_or_default());
    sum.finalize()
}

/// Reads from a sector on; `length_bytes` is bounded by the caller.
fn read_bytes(
    device: &dyn ReadAt,
    lba: u64,
    sector_bytes: u32,
    length_bytes: u64,
) -> Result<Result<Vec<u8>, GptFault>, PartitionError> {
    let offset_bytes = lba.saturating_mul(u64::from(sector_bytes));
    let mut bytes = vec![0; usize::try_from(length_bytes).unwrap_or(0)];
    match device.read_exact_at(&mut bytes, offset_bytes) {
        Ok(()) => Ok(Ok(bytes)),
        Err(error) if is_fatal(&error) => Err(PartitionError::Read(error)),
        Err(_) => Ok(Err(GptFault::Unreadable { offset_bytes })),
    }
}

impl Copy {
    fn table(
        &self,
        device: &dyn ReadAt,
        copy: GptCopy,
        problem: Option<TableProblem>,
        protective: bool,
    ) -> PartitionTable {
        let mut table = PartitionTable {
            scheme: Scheme::Gpt(copy),
            sector_bytes: self.sector_bytes,
            partitions: Vec::new(),
            problems: problem.into_iter().collect(),
        };
        if !protective {
            table.problems.push(TableProblem::NoProtectiveMbr);
        }
        for (number, entry) in (1..).zip(self.entries.chunks_exact(self.entry_bytes)) {
            if Guid(array_at(entry, 0)) == Guid::ZERO {
                continue;
            }
            match partition(device, self.sector_bytes, number, entry) {
                Ok(partition) => table.partitions.push(partition),
                Err(problem) => table.problems.push(problem),
            }
        }
        table.report_overlaps();
        table
    }
}

/// UEFI 2.10 table 5.6.
fn partition(
    device: &dyn ReadAt,
    sector_bytes: u32,
    number: u32,
    entry: &[u8],
) -> Result<Partition, TableProblem> {
    let claim = Claim { number, first_lba: u64_at(entry, 32), last_lba: u64_at(entry, 40) };
    let (start_bytes, length_bytes) = claim.check(device, sector_bytes)?;
    let kind = PartitionKind::Gpt {
        type_guid: Guid(array_at(entry, 0)),
        unique_guid: Guid(array_at(entry, 16)),
        attributes: u64_at(entry, 48),
        name: name(entry),
    };
    Ok(Partition { number, start_bytes, length_bytes, kind })
}

/// 36 UTF-16 units, ended by a zero if shorter.
fn name(entry: &[u8]) -> String {
    let units = (56..128).step_by(2).map(|offset| u16_at(entry, offset)).take_while(|&unit| unit != 0);
    char::decode_utf16(units).map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
}

impl fmt::Display for GptCopy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            GptCopy::Primary => "primary",
            GptCopy::Backup => "backup",
        })
    }
}

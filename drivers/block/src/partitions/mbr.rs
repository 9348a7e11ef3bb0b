//! The master boot record, and the chain of logical partitions behind an extended one.
//!
//! Each link of the chain is a sector laid out like the MBR: its first entry is a logical
//! partition, relative to that sector; its second the next link, relative to the extended
//! partition's start. Addresses are 32-bit, so a hostile chain can lead anywhere, also back.

use std::collections::BTreeSet;

use super::{
    BOOT_BYTES, BootSector, Claim, Partition, PartitionError, PartitionKind, PartitionTable, SECTOR_SIZES,
    Scheme, TableProblem, is_fatal, u32_at,
};
use crate::ReadAt;

/// Links followed at most: more than drive letters, more than Linux numbers (`DISK_MAX_PARTS` 256
/// since 5.11, 64 before that on SATA).
const LINKS_MAX: usize = 128;
/// First number of a logical partition.
const FIRST_LOGICAL: u32 = 5;

const PROTECTIVE: u8 = 0xEE;
const EMPTY: u8 = 0;
/// CHS, LBA, and Linux's own.
const EXTENDED: [u8; 3] = [0x05, 0x0F, 0x85];

/// Four entries of a sector that ends in `55 AA`.
pub(super) struct BootRecord {
    entries: [Entry; 4],
}

#[derive(Clone, Copy)]
struct Entry {
    flag: u8,
    type_byte: u8,
    first_lba: u32,
    sector_count: u32,
}

impl BootRecord {
    /// Takes a sector for a boot record if it can be one: signature, boot flags that are 00 or 80,
    /// and at least one entry in use. Boot code without any entry is no table.
    pub(super) fn parse(sector: &[u8; BOOT_BYTES]) -> Option<BootRecord> {
        let record = BootRecord::parse_link(sector)?;
        let in_use = record.entries.iter().any(Entry::is_used);
        let flags = record.entries.iter().all(|entry| matches!(entry.flag, 0x00 | 0x80));
        (in_use && flags).then_some(record)
    }

    /// A link of the chain: its boot flags are not to be trusted, and it may be empty.
    fn parse_link(sector: &[u8; BOOT_BYTES]) -> Option<BootRecord> {
        let entry = |offset: usize| Entry {
            flag: sector.get(offset).copied().unwrap_or(0),
            type_byte: sector.get(offset.saturating_add(4)).copied().unwrap_or(0),
            first_lba: u32_at(sector, offset.saturating_add(8)),
            sector_count: u32_at(sector, offset.saturating_add(12)),
        };
        let entries = [0x1BE, 0x1CE, 0x1DE, 0x1EE].map(entry);
        sector.ends_with(&[0x55, 0xAA]).then_some(BootRecord { entries })
    }

    /// Whether it says that the drive has a GPT. A hybrid MBR does so too.
    pub(super) fn is_protective(&self) -> bool {
        self.entries.iter().any(|entry| entry.type_byte == PROTECTIVE)
    }
}

impl Entry {
    fn is_used(&self) -> bool {
        self.type_byte != EMPTY && self.sector_count > 0
    }

    fn is_extended(&self) -> bool {
        self.is_used() && EXTENDED.contains(&self.type_byte)
    }

    /// Its sectors, counted from `base`.
    fn claim(&self, number: u32, base: u64) -> Claim {
        let first_lba = base.saturating_add(self.first_lba.into());
        let last_lba = first_lba.saturating_add(u64::from(self.sector_count)).saturating_sub(1);
        Claim { number, first_lba, last_lba }
    }
}

/// Reads the record's partitions and follows its extended ones.
pub(super) fn read(device: &dyn ReadAt, record: &BootRecord) -> Result<PartitionTable, PartitionError> {
    let sector_bytes = probe_sector_bytes(device, record)?;
    let mut table =
        PartitionTable { scheme: Scheme::Mbr, sector_bytes, partitions: Vec::new(), problems: Vec::new() };
    for (number, entry) in (1..).zip(&record.entries) {
        if entry.is_used() && !entry.is_extended() {
            table.add(device, entry, entry.claim(number, 0));
        }
    }
    let mut chain = Chain { device, visited: BTreeSet::new(), next_number: FIRST_LOGICAL };
    for entry in record.entries.iter().filter(|entry| entry.is_extended()) {
        chain.follow(entry, &mut table)?;
    }
    table.report_overlaps();
    Ok(table)
}

/// The device's own sector size, unless only under the other one a partition begins with a
/// volume's boot sector: an image file cannot tell its drive's sector size.
fn probe_sector_bytes(device: &dyn ReadAt, record: &BootRecord) -> Result<u32, PartitionError> {
    let own = device.sector_bytes();
    let other = SECTOR_SIZES.into_iter().find(|&size| size != own).unwrap_or(own);
    let fits_own = begins_a_volume(device, record, own)?;
    let is_other = !fits_own && begins_a_volume(device, record, other)?;
    Ok(if is_other { other } else { own })
}

fn begins_a_volume(
    device: &dyn ReadAt,
    record: &BootRecord,
    sector_bytes: u32,
) -> Result<bool, PartitionError> {
    for entry in record.entries.iter().filter(|entry| entry.is_used()) {
        let mut sector = [0; BOOT_BYTES];
        let offset = u64::from(entry.first_lba).saturating_mul(u64::from(sector_bytes));
        match device.read_exact_at(&mut sector, offset) {
            Ok(()) if BootSector::recognise(&sector) != BootSector::Unknown => return Ok(true),
            Err(error) if is_fatal(&error) => return Err(PartitionError::Read(error)),
            Ok(()) | Err(_) => {}
        }
    }
    Ok(false)
}

impl PartitionTable {
    fn add(&mut self, device: &dyn ReadAt, entry: &Entry, claim: Claim) {
        match claim.check(device, self.sector_bytes) {
            Ok((start_bytes, length_bytes)) => self.partitions.push(Partition {
                number: claim.number,
                start_bytes,
                length_bytes,
                kind: PartitionKind::Mbr { type_byte: entry.type_byte, active: entry.flag == 0x80 },
            }),
            Err(problem) => self.problems.push(problem),
        }
    }
}

/// The walk along the links; bounded by what was visited and by [`LINKS_MAX`], over all chains.
struct Chain<'a> {
    device: &'a dyn ReadAt,
    visited: BTreeSet<u64>,
    next_number: u32,
}

impl Chain<'_> {
    fn follow(&mut self, extended: &Entry, table: &mut PartitionTable) -> Result<(), PartitionError> {
        let whole = extended.claim(0, 0);
        let mut lba = whole.first_lba;
        loop {
            let inside = (whole.first_lba..=whole.last_lba).contains(&lba);
            if !inside || self.visited.len() >= LINKS_MAX || !self.visited.insert(lba) {
                table.problems.push(TableProblem::BrokenChain { lba });
                return Ok(());
            }
            let Some(link) = self.link(lba, table)? else { return Ok(()) };
            let [logical, next, ..] = link.entries;
            if logical.is_used() && !logical.is_extended() {
                table.add(self.device, &logical, logical.claim(self.next_number, lba));
                self.next_number = self.next_number.saturating_add(1);
            }
            if !next.is_extended() {
                return Ok(());
            }
            lba = whole.first_lba.saturating_add(next.first_lba.into());
        }
    }

    /// Reads a link; a bad one ends the chain with a problem.
    fn link(&self, lba: u64, table: &mut PartitionTable) -> Result<Option<BootRecord>, PartitionError> {
        let mut sector = [0; BOOT_BYTES];
        let offset = lba.saturating_mul(table.sector_bytes.into());
        match self.device.read_exact_at(&mut sector, offset) {
            Ok(()) => {
                let link = BootRecord::parse_link(&sector);
                table.problems.extend(link.is_none().then_some(TableProblem::BrokenChain { lba }));
                Ok(link)
            }
            Err(error) if is_fatal(&error) => Err(PartitionError::Read(error)),
            Err(_) => {
                table.problems.push(TableProblem::Unreadable { lba });
                Ok(None)
            }
        }
    }
}

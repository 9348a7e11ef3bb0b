//! Wiping what a drive still holds of earlier volumes, before a new one is made on it.
//!
//! A reader does not only follow the partition table and boot sectors: it takes a backup table for
//! a damaged one, a backup boot sector for a lost one, and finds metadata by a search. So all of
//! these are wiped, in an order in which a run that is cut off leaves either an old volume with
//! every byte of its contents, or none:
//!
//! ```text
//! metadata of volumes │ backup boot sectors │ heads of volumes │ stray metadata │ ends of the drive │ new table
//! ```
//!
//! Stray metadata belongs to no volume that is there; it may be a file of one. Each stage is on the medium before the next begins. As the metadata's keys go, what is left of an
//! old BitLocker volume's sectors cannot be read any more by anybody. What an old plain file system
//! left is not wiped here; only [`Coverage::WholeSurface`](super::Coverage) does that.

use std::collections::{BTreeMap, BTreeSet};

use block::partitions::{NewTable, Partition, Scheme, WriteTableError, write_gpt};
use block::{ReadAt, ReadErrorKind, WriteAt, WriteError, partition_table};

use crate::metadata::boot_sector::{self, BOOT_SECTOR_BYTES, Found};
use crate::metadata::copy::{AREA_BYTES, SIGNATURE, read_block};
use crate::range::{Range, boundary_before};

/// Partitions of an old table that are looked at; Windows allows 128.
const VOLUMES_MAX: usize = 128;

/// Candidates for metadata that are looked at; a hostile drive could hold millions.
const CANDIDATES_MAX: usize = 4096;

/// How much of a drive is searched: as much as a reader searches by default, from the new
/// partition's start.
const SEARCH_BYTES: u64 = (512 << 20) + block::partitions::PARTITION_START_BYTES;

/// Length of one read of the search, and of one write of zeros.
const WINDOW_BYTES: usize = 1 << 20;

/// Metadata lies on boundaries of 512 bytes.
const STEP_BYTES: usize = 512;

/// The boot sector and what belongs to it, in every file system that Windows makes.
const HEAD_BYTES: u64 = 0x2000;

/// A drive that could not be prepared.
#[derive(Debug, thiserror::Error)]
pub enum PrepareError {
    /// An old volume could not be wiped.
    #[error("wiping an earlier volume")]
    Wipe(#[source] WriteError),
    /// The table could not be written.
    #[error("making the drive's partition")]
    Table(#[from] WriteTableError),
}

/// Wipes a drive's earlier volumes and tables and gives it one partition, whose volume is then to be
/// formatted. `drive` reads what `target` writes.
///
/// # Errors
/// When the drive is too small, or refuses a write. What cannot be read is passed over.
pub fn prepare_drive(
    drive: &dyn ReadAt,
    target: &dyn WriteAt,
    table: &NewTable,
) -> Result<Partition, PrepareError> {
    let partition = table.partition().map_err(WriteTableError::Layout)?;
    let place = Range::new(partition.start_bytes, partition.length_bytes);
    Old::find(drive, Some(place)).wipe(drive, target).map_err(PrepareError::Wipe)?;
    Ok(write_gpt(target, table)?)
}

/// Wipes the earlier volume of a partition, or of a drive without a table, in whose place a new one
/// will be formatted.
///
/// # Errors
/// When the device refuses a write.
pub fn erase_volume(device: &dyn ReadAt, target: &dyn WriteAt) -> Result<(), PrepareError> {
    Old::find(device, None).wipe(device, target).map_err(PrepareError::Wipe)
}

/// What is to be wiped.
struct Old {
    /// Where volumes are, were, or will be.
    volumes: Vec<Range>,
    /// Where whole copies of metadata lie, each with the places where its volume may have begun.
    copies: BTreeMap<u64, Vec<u64>>,
}

impl Old {
    fn find(drive: &dyn ReadAt, new: Option<Range>) -> Old {
        let mut volumes: Vec<Range> = new.into_iter().collect();
        let table = partition_table(drive).ok();
        let partitions = table.iter().flat_map(|table| &table.partitions).take(VOLUMES_MAX);
        volumes.extend(partitions.map(|partition| Range::new(partition.start_bytes, partition.length_bytes)));
        // Where there is a table, the drive's first sectors are the table's.
        if table.is_none_or(|table| matches!(table.scheme, Scheme::None(_))) {
            volumes.push(Range::new(0, drive.length_bytes()));
        }
        let mut search = Search { drive, copies: BTreeMap::new(), seen: BTreeSet::new() };
        volumes.iter().for_each(|volume| search.follow_boot_sector(volume.start));
        search.sweep();
        Old { copies: search.copies, volumes }
    }

    fn wipe(&self, drive: &dyn ReadAt, target: &dyn WriteAt) -> Result<(), WriteError> {
        let unit = u64::from(drive.sector_bytes());
        let end = drive.length_bytes();
        let is_of_volume = |starts: &[u64]| self.volumes.iter().any(|volume| starts.contains(&volume.start));
        let areas = |of_volume: bool| {
            let chosen = self.copies.iter().filter(move |(_, starts)| is_of_volume(starts) == of_volume);
            chosen.map(|(place, _)| Range::new(*place, AREA_BYTES))
        };
        let backups = self
            .volumes
            .iter()
            .map(|volume| Range { start: volume.end.saturating_sub(unit), end: volume.end });
        let heads = self.volumes.iter().map(|volume| Range {
            start: volume.start,
            end: volume.start.saturating_add(HEAD_BYTES).min(volume.end),
        });
        let wiper = Wiper { target, unit, end };
        wiper.stage(areas(true))?;
        wiper.stage(backups)?;
        wiper.stage(heads)?;
        wiper.stage(areas(false))
    }
}

/// The search for copies of metadata, at whatever offset their volumes began.
struct Search<'a> {
    drive: &'a dyn ReadAt,
    copies: BTreeMap<u64, Vec<u64>>,
    seen: BTreeSet<u64>,
}

impl Search<'_> {
    fn follow_boot_sector(&mut self, start: u64) {
        let mut sector = [0; BOOT_SECTOR_BYTES];
        if self.drive.read_exact_at(&mut sector, start).is_err() {
            return;
        }
        if let Found::Bitlocker(boot) = boot_sector::parse(&sector) {
            boot.metadata_bytes.iter().for_each(|offset| self.follow(start.saturating_add(*offset)));
        }
    }

    /// Takes a copy, and those that it names: which of the three it is itself is not known.
    fn follow(&mut self, place: u64) {
        let mut candidates = vec![place];
        while let Some(place) = candidates.pop() {
            if self.seen.len() >= CANDIDATES_MAX || !self.seen.insert(place) {
                continue;
            }
            let Ok(block) = read_block(self.drive, place) else { continue };
            let offsets = block.area_offsets_bytes;
            let starts: Vec<u64> = offsets.iter().filter_map(|own| place.checked_sub(*own)).collect();
            let others = |start: &u64| offsets.map(|other| start.saturating_add(other));
            candidates.extend(starts.iter().flat_map(others));
            self.copies.insert(place, starts);
        }
    }

    fn sweep(&mut self) {
        let end = self.drive.length_bytes().min(SEARCH_BYTES);
        let mut window = vec![0; WINDOW_BYTES];
        let mut position = 0;
        while position < end && self.seen.len() < CANDIDATES_MAX {
            let left = usize::try_from(end.saturating_sub(position)).unwrap_or(WINDOW_BYTES);
            let (part, _) = window.split_at_mut(left.min(WINDOW_BYTES));
            match self.drive.read_exact_at(part, position) {
                Ok(()) => self.look(part, position),
                Err(error) if error.kind == ReadErrorKind::Medium => {}
                Err(_) => return,
            }
            position = position.saturating_add(part.len() as u64);
        }
    }

    fn look(&mut self, window: &[u8], position: u64) {
        for (sector, place) in window.chunks(STEP_BYTES).zip((position..).step_by(STEP_BYTES)) {
            if sector.starts_with(SIGNATURE) {
                self.follow(place);
            }
        }
    }
}

/// Writes zeros over whole sectors.
struct Wiper<'a> {
    target: &'a dyn WriteAt,
    unit: u64,
    end: u64,
}

impl Wiper<'_> {
    /// Wipes the ranges and waits until that is on the medium.
    fn stage(&self, ranges: impl Iterator<Item = Range>) -> Result<(), WriteError> {
        for range in ranges {
            self.wipe(range)?;
        }
        self.target.flush()
    }

    fn wipe(&self, range: Range) -> Result<(), WriteError> {
        let sectors = u32::try_from(self.unit).unwrap_or(4096);
        let mut position = boundary_before(range.start, sectors);
        let end = range.end.checked_next_multiple_of(self.unit).unwrap_or(range.end).min(self.end);
        while position < end {
            let left = usize::try_from(end.saturating_sub(position)).unwrap_or(WINDOW_BYTES);
            let mut zeros = vec![0; left.min(WINDOW_BYTES)];
            self.target.write_all_at(&mut zeros, position)?;
            position = position.saturating_add(left.min(WINDOW_BYTES) as u64);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;

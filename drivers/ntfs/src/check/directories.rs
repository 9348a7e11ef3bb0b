//! Directories and other indexes: each tree by itself, and each entry against the file it leads to.

use std::collections::BTreeSet;

use super::btree::{self, Ground, IndexEntry, IndexVisitor};
use super::fault::{At, Fault, FaultKind, Faults};
use super::file::{FileRecords, INDEX_ROOT};
use super::records::{NAME_INDEX, Seen};
use super::table::{DIRECTORY, IN_USE, INDEXED, LOST, SIZES_OPEN, Sizes, Table, shown};
use super::{Check, CheckProgress, CheckStep, names};
use crate::bytes::{u32_at, u64_at};
use crate::limits::Limits;
use crate::mft::Mft;
use crate::record::{FileId, FileName};

/// `$Secure`, whose indexes are walked with the descriptors they lead to.
const SECURE: u64 = 9;
const ROOT: u64 = 5;
const EXTEND: u64 = 11;
/// `\$Extend\$RmMetadata\$TxfLog` is the deepest that Windows makes.
const EXTEND_DEPTH: usize = 6;
/// The bit of a `$FILE_NAME`'s attributes that says directory.
const SHOWN_DIRECTORY: u32 = 0x1000_0000;
/// How often progress is told.
const PROGRESS_RECORDS: u64 = 4_096;

impl Check<'_> {
    /// Walks every index of the volume.
    pub(super) fn walk_directories(&mut self, progress: &mut dyn FnMut(CheckProgress)) {
        let total = self.mft.records();
        self.directories.sort_unstable();
        for number in 0..total {
            let flags = self.table.flags(number) & (IN_USE | LOST | INDEXED);
            if flags == IN_USE | INDEXED && number != SECURE && self.table.is_file(number) {
                self.indexes(number);
            }
            if number.is_multiple_of(PROGRESS_RECORDS) {
                progress(CheckProgress { step: CheckStep::Directories, done: number, total });
            }
        }
    }

    fn indexes(&mut self, number: u64) {
        let Some(file) = FileRecords::load(self.mft, &self.limits, number) else { return };
        let roots = file.attributes().filter(|(_, found)| found.kind == INDEX_ROOT);
        let index_names: BTreeSet<Vec<u8>> = roots.map(|(_, root)| root.name.to_vec()).collect();
        for name in index_names {
            self.index(number, &file, &name);
        }
    }

    fn index(&mut self, number: u64, file: &FileRecords, name: &[u8]) {
        let Some(parts) = file.index(self.mft.device(), &self.geometry, &self.limits, name) else {
            self.faults.push(Fault::new(number, FaultKind::StreamLost).named(name));
            return;
        };
        let of_names = name == NAME_INDEX;
        let directory = self.table.id(number);
        let sizes_allowed = self.is_below_extend(number);
        let ground = Ground { device: &**self.mft.device(), geometry: &self.geometry, upcase: &self.upcase };
        let mut walker = Walker {
            of_names,
            directory,
            index_name: name,
            table: &mut self.table,
            faults: &mut self.faults,
            mft: self.mft,
            limits: &self.limits,
            case_twins_allowed: self.case_twins_allowed,
            sizes_allowed,
        };
        let taken = btree::walk(ground, &parts, of_names, self.blocks_left, &mut walker);
        self.blocks_left = self.blocks_left.saturating_sub(taken);
    }

    /// Whether a directory belongs to the file system itself: `$Extend`, or a few levels below it.
    fn is_below_extend(&self, directory: u64) -> bool {
        let mut at = directory;
        for _ in 0..EXTEND_DEPTH {
            if at == EXTEND {
                return true;
            }
            let place = self.directories.binary_search_by_key(&at, |&(number, _)| number);
            match place.ok().and_then(|place| self.directories.get(place)) {
                Some(&(_, parent)) if parent != at => at = parent,
                _ => return false,
            }
        }
        false
    }

    /// Directories that no path leads to because they lie in each other.
    pub(super) fn directory_cycles(&mut self) {
        let directories = std::mem::take(&mut self.directories);
        let mut states = vec![State::Unknown; directories.len()];
        let place = |record: u64| directories.binary_search_by_key(&record, |&(number, _)| number).ok();
        for first in 0..directories.len() {
            let (mut at, mut way) = (Some(first), Vec::new());
            let mut end = State::Reached;
            while let Some(here) = at {
                let Some(&(number, parent)) = directories.get(here) else { break };
                match states.get(here) {
                    Some(State::Unknown) => {}
                    Some(State::OnTheWay) | None => {
                        end = State::Lost;
                        break;
                    }
                    Some(state) => {
                        end = *state;
                        break;
                    }
                }
                set(&mut states, here, State::OnTheWay);
                way.push((here, number));
                at = if number == ROOT { None } else { place(parent) };
            }
            for (here, number) in way {
                set(&mut states, here, end);
                if end == State::Lost {
                    self.fault(number, FaultKind::DirectoryCycle);
                }
            }
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Unknown,
    OnTheWay,
    /// The way up ends at the root, or where something else is wrong.
    Reached,
    Lost,
}

fn set(states: &mut [State], at: usize, state: State) {
    if let Some(slot) = states.get_mut(at) {
        *slot = state;
    }
}

struct Walker<'a> {
    of_names: bool,
    directory: FileId,
    index_name: &'a [u8],
    table: &'a mut Table,
    faults: &'a mut Faults,
    mft: &'a Mft,
    limits: &'a Limits,
    case_twins_allowed: bool,
    /// Below `$Extend` Windows does not keep the sizes up to date.
    sizes_allowed: bool,
}

impl IndexVisitor for Walker<'_> {
    fn entry(&mut self, at: At, entry: &IndexEntry<'_>) {
        if !self.of_names {
            return;
        }
        let Some(name) = FileName::parse(entry.key) else {
            return self.fault(at, FaultKind::FileName, &[]);
        };
        if name.parent != self.directory {
            self.fault(at, FaultKind::EntryParent { found: name.parent }, entry.key);
        }
        let child = FileId::from_reference(entry.reference);
        let flags = self.table.flags(child.record);
        if !self.table.is_file(child.record) {
            if flags & LOST == 0 {
                self.fault(at, FaultKind::EntryDangling { child: child.record }, entry.key);
            }
            return;
        }
        self.table.take_entry(child.record, self.directory, names::trimmed(entry.key));
        if flags & LOST == 0 {
            self.check_entry(at, child, flags, entry.key);
        }
    }

    fn fault(&mut self, at: At, kind: FaultKind, key: &[u8]) {
        if kind == FaultKind::CaseTwin && self.case_twins_allowed {
            return;
        }
        let name = if key.is_empty() { self.index_name } else { btree::name_of(key) };
        self.faults.push(Fault::new(self.directory.record, kind).at(at).named(name));
    }
}

impl Walker<'_> {
    fn check_entry(&mut self, at: At, child: FileId, flags: u8, key: &[u8]) {
        let expected = self.table.sequence(child.record);
        if child.sequence != expected {
            let kind = FaultKind::EntrySequence { child: child.record, expected, found: child.sequence };
            self.fault(at, kind, key);
        }
        let found = u32_at(key, 56).unwrap_or(0);
        if (found & SHOWN_DIRECTORY != 0) != (flags & DIRECTORY != 0) {
            self.fault(at, FaultKind::EntryFlags { child: child.record, found }, key);
        }
        let sizes = Sizes { allocated: u64_at(key, 40).unwrap_or(0), length: u64_at(key, 48).unwrap_or(0) };
        if flags & SIZES_OPEN == 0 && !self.sizes_allowed && shown(sizes) != self.table.shown(child.record) {
            let expected = self.sizes_of(child.record);
            let kind = FaultKind::EntrySizes {
                child: child.record,
                length: expected.length,
                allocated: expected.allocated,
                found_length: sizes.length,
                found_allocated: sizes.allocated,
            };
            self.fault(at, kind, key);
        }
    }

    /// What the file itself says; only for a fault that is kept.
    fn sizes_of(&self, record: u64) -> Sizes {
        let file =
            if self.faults.has_room() { FileRecords::load(self.mft, self.limits, record) } else { None };
        let mut seen = Seen::default();
        if let Some(file) = file {
            file.attributes().for_each(|(_, attribute)| seen.add(&attribute));
        }
        seen.sizes()
    }
}

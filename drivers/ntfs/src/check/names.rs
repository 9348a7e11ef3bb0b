//! Names: which are valid, and how those differ that directories and files disagree about.
//!
//! The sweep adds up a digest of each file's names, the walk of the directories takes away that of
//! each entry. Where something is left, both sides are read once more, for those files only: that
//! costs nothing on a sound volume, and a second walk on a damaged one.

use std::collections::BTreeMap;

use super::Check;
use super::btree::{IndexEntry, IndexVisitor, units};
use super::fault::{At, Fault, FaultKind};
use super::file::FileRecords;
use super::records::NAME_INDEX;
use super::table::{IN_USE, LOST};
use crate::bytes::u8_at;
use crate::record::{Body, FILE_NAME, FileId, FileName};

/// Files whose names are looked into again.
const SUSPECTS_MAX: usize = 10_000;
/// Directory entries that are kept for them.
const ENTRIES_MAX: usize = 40_000;

/// The part of a `$FILE_NAME` value or key that makes it the name it is: up to the name's end.
pub(super) fn trimmed(key: &[u8]) -> &[u8] {
    let length = usize::from(u8_at(key, 64).unwrap_or(0)).saturating_mul(2).saturating_add(66);
    key.get(..length).unwrap_or(key)
}

/// Whether a name may be in its namespace.
pub(super) fn is_valid(name: &FileName<'_>) -> bool {
    let allowed = |unit: u16| match u8::try_from(unit) {
        Ok(0 | b'/') => false,
        Ok(b'\\' | b':' | b'*' | b'?' | b'"' | b'<' | b'>' | b'|' | 1..=0x1f) => name.namespace == 0,
        _ => true,
    };
    name.namespace <= 3 && units(name.name).all(allowed) && (name.namespace < 2 || is_short(name.name))
}

/// Eight units, or eight, a point and three. `.` is the root's own name.
fn is_short(name: &[u8]) -> bool {
    let name: Vec<u16> = units(name).collect();
    let point = u16::from(b'.');
    if name == [point] {
        return true;
    }
    let mut parts = name.split(|&unit| unit == point);
    let base = parts.next().map_or(0, <[u16]>::len);
    let extension = parts.next().map_or(1, <[u16]>::len);
    (1..=8).contains(&base) && (1..=3).contains(&extension) && parts.next().is_none()
}

/// A name and the directory it is in: namespace and units, as in the `$FILE_NAME`.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    directory: FileId,
    name: Vec<u8>,
}

impl Place {
    fn new(directory: FileId, key: &[u8]) -> Place {
        Place { directory, name: trimmed(key).get(64..).unwrap_or(&[]).to_vec() }
    }

    /// Without length and namespace.
    fn text(&self) -> &[u8] {
        self.name.get(2..).unwrap_or(&[])
    }
}

#[derive(Default)]
struct Suspect {
    names: Vec<Place>,
    entries: Vec<(Place, u64)>,
}

impl Check<'_> {
    /// Says how names and entries differ, of all files for which they do.
    pub(super) fn compare_names(&mut self) {
        let mut suspects = BTreeMap::new();
        for record in 0..self.mft.records() {
            let is_known = self.table.flags(record) & LOST == 0 && self.table.is_file(record);
            if is_known && self.table.names_differ(record) {
                if suspects.len() < SUSPECTS_MAX && self.faults.has_room() {
                    suspects.insert(record, Suspect { names: self.names_of(record), ..Suspect::default() });
                } else {
                    self.fault(record, FaultKind::NamesDiffer);
                }
            }
        }
        if suspects.is_empty() {
            return;
        }
        self.collect_entries(&mut suspects);
        for (record, suspect) in suspects {
            self.explain(record, suspect);
        }
    }

    fn names_of(&self, record: u64) -> Vec<Place> {
        let Some(file) = FileRecords::load(self.mft, &self.limits, record) else { return Vec::new() };
        let values = file.attributes().filter(|(_, found)| found.kind == FILE_NAME);
        let places = values.filter_map(|(_, found)| match found.body {
            Body::Resident(value) => Some(Place::new(FileName::parse(value)?.parent, value)),
            Body::NonResident(_) => None,
        });
        places.collect()
    }

    fn collect_entries(&mut self, suspects: &mut BTreeMap<u64, Suspect>) {
        let mut collector =
            Collector { suspects, directory: FileId { record: 0, sequence: 0 }, left: ENTRIES_MAX };
        // Again no more than the volume has blocks.
        let mut blocks_left = self.blocks_max();
        for record in 0..self.mft.records() {
            if !self.is_directory(record) {
                continue;
            }
            let Some(file) = FileRecords::load(self.mft, &self.limits, record) else { continue };
            let parts = file.index(self.mft.device(), &self.geometry, &self.limits, NAME_INDEX);
            collector.directory = self.table.id(record);
            if let Some(parts) = parts {
                let taken = super::btree::walk(self.ground(), &parts, true, blocks_left, &mut collector);
                blocks_left = blocks_left.saturating_sub(taken);
            }
        }
    }

    /// Pairs a file's names with its entries; what is left over is wrong.
    fn explain(&mut self, record: u64, mut suspect: Suspect) {
        suspect.names.retain(|name| {
            let listed = suspect.entries.iter().position(|(entry, _)| entry == name);
            listed.map(|nth| suspect.entries.swap_remove(nth)).is_none()
        });
        for name in suspect.names {
            // Names of one directory first: a wrong namespace or sequence number, not a wrong place.
            let same_name = |(entry, _): &(Place, u64)| entry.text() == name.text();
            let elsewhere = suspect.entries.iter().position(same_name);
            let kind = match elsewhere.map(|nth| suspect.entries.swap_remove(nth)) {
                Some((entry, _)) if entry.directory == name.directory => {
                    FaultKind::NameSpaces { expected: first(&entry.name), found: first(&name.name) }
                }
                Some((entry, _)) => {
                    FaultKind::NameParent { expected: entry.directory, found: name.directory }
                }
                None => FaultKind::NotListed { parent: name.directory },
            };
            self.faults.push(Fault::new(record, kind).named(name.text()));
        }
        for (entry, at) in suspect.entries {
            let kind = FaultKind::ListedOnly { child: record };
            let fault = Fault::new(entry.directory.record, kind).at(At::InStream(at));
            self.faults.push(fault.named(entry.text()));
        }
    }

    pub(super) fn is_directory(&self, record: u64) -> bool {
        let flags = self.table.flags(record);
        flags & (IN_USE | LOST) == IN_USE
            && self.table.is_file(record)
            && self.table.has(record, super::table::INDEXED)
    }
}

/// The namespace in a [`Place`]'s name.
fn first(name: &[u8]) -> u8 {
    u8_at(name, 1).unwrap_or(0)
}

struct Collector<'a> {
    suspects: &'a mut BTreeMap<u64, Suspect>,
    directory: FileId,
    left: usize,
}

impl IndexVisitor for Collector<'_> {
    fn entry(&mut self, at: At, entry: &IndexEntry<'_>) {
        let child = FileId::from_reference(entry.reference).record;
        let Some(suspect) = self.suspects.get_mut(&child).filter(|_| self.left > 0) else { return };
        let at = if let At::InStream(at) = at { at } else { 0 };
        suspect.entries.push((Place::new(self.directory, entry.key), at));
        self.left = self.left.saturating_sub(1);
    }

    /// Said before, by the first walk.
    fn fault(&mut self, _at: At, _kind: FaultKind, _key: &[u8]) {}
}

//! Files that outgrew their records: the attribute list against what the records hold.

use std::collections::BTreeMap;

use super::Check;
use super::attributes::Piece;
use super::btree::compare_names;
use super::fault::{Fault, FaultKind};
use super::file::FileRecords;
use super::names;
use super::records::Seen;
use super::table::{CLAIMED, EXTENSION, IN_USE, LOST};
use crate::attribute_list::{self, ListEntry};
use crate::record::{ATTRIBUTE_LIST, Attribute, Body, FILE_NAME, FileName, Record};
use crate::runs::Runs;

/// What tells one attribute of a file from the others: type, name, first VCN, record, id.
type Identity = (u32, Vec<u8>, u64, u64, u16);

type Pieces<'a> = Vec<(Attribute<'a>, Piece)>;

impl Check<'_> {
    /// All files whose records have an attribute list.
    pub(super) fn listed_files(&mut self) {
        for number in std::mem::take(&mut self.lists) {
            match FileRecords::load(self.mft, &self.limits, number) {
                Some(file) => self.listed_file(number, &file),
                None => self.fault(number, FaultKind::Unreadable),
            }
        }
        self.orphans();
    }

    fn listed_file(&mut self, number: u64, file: &FileRecords) {
        for (holder, _) in file.records.iter().skip(1) {
            self.table.set(*holder, CLAIMED);
        }
        match &file.list {
            Some(list) => self.list(number, file, list),
            None => self.fault(number, FaultKind::List),
        }
        self.streams(number, file);
        let mut seen = Seen::default();
        for (holder, attribute) in file.attributes() {
            seen.add(&attribute);
            if let (FILE_NAME, Body::Resident(value)) = (attribute.kind, attribute.body)
                && holder != number
                && let Some(name) = FileName::parse(value)
            {
                self.table.add_name(number, name.parent, names::trimmed(value));
            }
        }
        if let Some(record) = file.records.first().and_then(|(_, raw)| Record::parse(raw).ok()) {
            self.file(number, &record, &seen);
        }
    }

    /// Each entry has its attribute, each attribute its entry.
    fn list(&mut self, number: u64, file: &FileRecords, list: &[u8]) {
        let mut held: BTreeMap<Identity, bool> = BTreeMap::new();
        for (holder, attribute) in file.attributes().filter(|(_, found)| found.kind != ATTRIBUTE_LIST) {
            held.insert(identity(holder, &attribute), false);
        }
        let mut before: Option<ListEntry<'_>> = None;
        for entry in attribute_list::entries(list) {
            let Some(entry) = entry else {
                self.fault(number, FaultKind::List);
                return;
            };
            let (kind, start_vcn, holder) = (entry.kind, entry.start_vcn, entry.holder.record);
            if before.is_some_and(|before| self.is_after(&before, &entry)) {
                self.faults.push(Fault::new(number, FaultKind::ListOrder { kind }).named(entry.name));
            }
            before = Some(entry);
            let wanted = (kind, entry.name.to_vec(), start_vcn, holder, entry.id);
            match held.get_mut(&wanted) {
                Some(is_listed) if !*is_listed => *is_listed = true,
                _ => {
                    let kind = FaultKind::ListEntry { kind, start_vcn, holder };
                    self.faults.push(Fault::new(number, kind).named(entry.name));
                }
            }
        }
        for ((kind, name, _, holder, _), _) in held.into_iter().filter(|(_, is_listed)| !is_listed) {
            self.faults.push(Fault::new(number, FaultKind::Unlisted { kind, holder }).named(&name));
        }
    }

    /// Whether `left` belongs after `right`.
    fn is_after(&self, left: &ListEntry<'_>, right: &ListEntry<'_>) -> bool {
        let names = || compare_names(&self.upcase, left.name, right.name).0;
        let order = left.kind.cmp(&right.kind).then_with(names);
        order.then_with(|| left.start_vcn.cmp(&right.start_vcn)).is_gt()
    }

    /// The pieces of each stream follow each other, and the first one's sizes are those of all.
    fn streams(&mut self, number: u64, file: &FileRecords) {
        let mut streams: BTreeMap<(u32, &[u8]), Pieces<'_>> = BTreeMap::new();
        for (_, attribute) in file.attributes() {
            if let Some(piece) = self.piece(&attribute) {
                streams.entry((attribute.kind, attribute.name)).or_default().push((attribute, piece));
            }
        }
        for mut pieces in streams.into_values() {
            pieces.sort_by_key(|(_, piece)| piece.start_vcn);
            let mut sum = Piece::default();
            for (attribute, piece) in &pieces {
                if piece.start_vcn != sum.clusters {
                    let kind = FaultKind::PieceGap { expected: sum.clusters, found: piece.start_vcn };
                    self.faults.push(Fault::new(number, kind).named(attribute.name));
                }
                sum.clusters = piece.start_vcn.saturating_add(piece.clusters);
                sum.stored = sum.stored.saturating_add(piece.stored);
            }
            if let Some((head, _)) = pieces.first().filter(|(_, piece)| piece.start_vcn == 0) {
                self.whole(number, head, &sum);
            }
        }
    }

    /// Damaged mapping pairs were reported by the sweep.
    fn piece(&self, attribute: &Attribute<'_>) -> Option<Piece> {
        let Body::NonResident(body) = attribute.body else { return None };
        let mut piece = Piece { start_vcn: body.start_vcn, ..Piece::default() };
        for run in Runs::new(body.runs, self.geometry.clusters) {
            let run = run.ok()?;
            piece.clusters = piece.clusters.saturating_add(run.clusters);
            piece.stored = piece.stored.saturating_add(if run.lcn.is_some() { run.clusters } else { 0 });
        }
        Some(piece)
    }

    /// Extension records that no list named.
    fn orphans(&mut self) {
        for record in 0..self.mft.records() {
            let flags = self.table.flags(record) & (IN_USE | LOST | EXTENSION | CLAIMED);
            if flags == IN_USE | EXTENSION {
                let raw = if self.faults.has_room() { self.mft.record(record).ok() } else { None };
                let base = raw.and_then(|raw| Record::parse(&raw).ok()?.base);
                self.fault(record, FaultKind::Extension { base: base.map_or(0, |base| base.record) });
            }
        }
    }
}

fn identity(holder: u64, attribute: &Attribute<'_>) -> Identity {
    let start_vcn = match attribute.body {
        Body::NonResident(piece) => piece.start_vcn,
        Body::Resident(_) => 0,
    };
    let id = crate::bytes::u16_at(attribute.frame, 14).unwrap_or(0);
    (attribute.kind, attribute.name.to_vec(), start_vcn, holder, id)
}

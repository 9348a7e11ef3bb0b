//! The sweep: each FILE record by itself, and what is noted of it for later.

use super::Check;
use super::fault::{At, Fault, FaultKind};
use super::file::INDEX_ROOT;
use super::names;
use super::table::{DIRECTORY, EXTENSION, IN_USE, INDEXED, LOST, SIZES_OPEN, Sizes, shown};
use crate::bytes::{on_volume, u16_at, u32_at, u64_at};
use crate::record::{
    self, ATTRIBUTE_LIST, Attribute, Body, COMPRESSED, DATA, FILE_NAME, FileId, FileName, Record, SPARSE,
    STANDARD_INFORMATION,
};
use crate::sweep::{SweepError, TakeRecord};

/// `$I30`, the index of a directory.
pub(super) const NAME_INDEX: &[u8] = b"$\0I\x003\x000\0";
/// The records that need no name: some of them are in use without one, the others are free.
const NAMELESS: std::ops::Range<u64> = 12..24;
/// `$Secure`: it has streams and indexes, and neither content nor directory.
const SECURE: u64 = 9;
/// Records of the file system itself, whose entries Windows does not keep up to date.
const FIRST_USER_RECORD: u64 = 24;

/// What a file's attributes amount to, extension records included.
#[derive(Default)]
pub(super) struct Seen {
    /// The security id; 0 when it has none, as some of the system's files.
    standard: Option<u32>,
    pub(super) has_list: bool,
    names: u32,
    windows: u32,
    dos: u32,
    plain: u32,
    parent: Option<FileId>,
    content: Option<Sizes>,
    is_directory: bool,
    is_indexed: bool,
}

impl Seen {
    pub(super) fn add(&mut self, attribute: &Attribute<'_>) {
        match (attribute.kind, attribute.body) {
            (STANDARD_INFORMATION, Body::Resident(value)) => {
                self.standard = Some(u32_at(value, 52).unwrap_or(0));
            }
            (ATTRIBUTE_LIST, _) => self.has_list = true,
            (FILE_NAME, Body::Resident(value)) => self.add_name(value),
            (INDEX_ROOT, _) => {
                self.is_indexed = true;
                self.is_directory |= attribute.name == NAME_INDEX;
            }
            (DATA, _) if attribute.name.is_empty() => self.add_content(attribute),
            _ => {}
        }
    }

    fn add_name(&mut self, value: &[u8]) {
        let Some(name) = FileName::parse(value) else { return };
        let plus = |count: u32, one: bool| count.saturating_add(one.into());
        self.names = plus(self.names, true);
        self.windows = plus(self.windows, name.namespace == 1);
        self.dos = plus(self.dos, name.namespace == FileName::DOS);
        self.plain = plus(self.plain, name.namespace != FileName::DOS);
        self.parent = self.parent.or(Some(name.parent));
    }

    fn add_content(&mut self, attribute: &Attribute<'_>) {
        let field = |at| u64_at(attribute.frame, at).unwrap_or(0);
        match attribute.body {
            Body::Resident(value) => {
                let length = on_volume(value.len());
                self.content = Some(Sizes { allocated: length.next_multiple_of(8), length });
            }
            Body::NonResident(piece) if piece.start_vcn == 0 => {
                let is_sparse = attribute.flags & (COMPRESSED | SPARSE) != 0;
                let allocated = if is_sparse { field(64) } else { field(40) };
                self.content = Some(Sizes { allocated, length: piece.length_bytes });
            }
            Body::NonResident(_) => {}
        }
    }

    pub(super) fn sizes(&self) -> Sizes {
        if self.is_directory { Sizes::default() } else { self.content.unwrap_or_default() }
    }
}

impl TakeRecord for Check<'_> {
    fn take(&mut self, number: u64, raw: Option<&mut [u8]>) -> Result<(), SweepError> {
        let Some(raw) = raw else {
            self.table.set(number, LOST);
            self.fault(number, FaultKind::Unreadable);
            return Ok(());
        };
        if !record::claims_use(raw) || !record::looks_used(raw) {
            return Ok(());
        }
        let restored = record::restore(raw);
        match restored.and_then(|()| Record::parse(raw)) {
            Ok(record) => {
                let allocated = u32_at(raw, 28).unwrap_or(0);
                self.record(number, &record, allocated);
            }
            Err(fault) => {
                self.table.set(number, IN_USE | LOST);
                self.fault(number, FaultKind::Record(fault));
            }
        }
        Ok(())
    }

    fn after_batch(&mut self) -> Result<(), SweepError> {
        Ok(())
    }
}

impl Check<'_> {
    pub(super) fn fault(&mut self, number: u64, kind: FaultKind) {
        self.faults.push(Fault::new(number, kind));
    }

    fn record(&mut self, number: u64, record: &Record<'_>, allocated: u32) {
        self.table.set(number, IN_USE);
        self.table.set_sequence(number, record.sequence);
        if record.base.is_some() {
            self.table.set(number, EXTENSION);
        }
        if record.is_directory() {
            self.table.set(number, DIRECTORY);
        }
        self.record_header(number, record, allocated);
        let seen = self.record_attributes(number, record);
        let Some(seen) = seen.filter(|_| record.base.is_none()) else { return };
        if seen.has_list {
            self.lists.push(number);
        } else {
            self.file(number, record, &seen);
        }
    }

    fn record_header(&mut self, number: u64, record: &Record<'_>, allocated: u32) {
        let [low @ .., _, _, _, _] = number.to_le_bytes();
        if let Some(found) = record.own_number().filter(|found| found.to_le_bytes() != low) {
            self.fault(number, FaultKind::RecordNumber { found });
        }
        let expected = self.geometry.record_bytes;
        if allocated != expected {
            self.fault(number, FaultKind::BytesAllocated { expected, found: allocated });
        }
    }

    /// Looks at each attribute; `None` when some are lost.
    fn record_attributes(&mut self, number: u64, record: &Record<'_>) -> Option<Seen> {
        let mut seen = Seen::default();
        let next_id = u16_at(record.bytes(), 40).unwrap_or(0);
        let mut end = u16_at(record.bytes(), 20).map_or(0, usize::from);
        self.order.reset();
        self.in_pieces = record.base.is_some();
        for attribute in record.attributes() {
            let attribute = match attribute {
                Ok(attribute) => attribute,
                Err(fault) => {
                    let at = At::InRecord(on_volume(fault.at));
                    self.faults.push(Fault::new(number, FaultKind::AttributeFrame).at(at));
                    self.table.set(number, LOST);
                    return None;
                }
            };
            end = attribute.at.saturating_add(attribute.frame.len());
            seen.add(&attribute);
            self.in_pieces |= seen.has_list;
            self.attribute(number, next_id, &attribute);
            if let (FILE_NAME, Body::Resident(value)) = (attribute.kind, attribute.body) {
                self.name(number, record.base.is_none().then_some(number), &attribute, value);
            }
        }
        let expected = u32::try_from(end.saturating_add(8)).unwrap_or(0);
        let found = u32_at(record.bytes(), 24).unwrap_or(0);
        if found != expected {
            self.faults
                .push(Fault::new(number, FaultKind::BytesUsed { expected, found }).at(At::InRecord(24)));
        }
        Some(seen)
    }

    /// A `$FILE_NAME`; `file` is whose, when that is known already.
    fn name(&mut self, number: u64, file: Option<u64>, attribute: &Attribute<'_>, value: &[u8]) {
        let Some(name) = FileName::parse(value) else {
            self.attribute_fault(number, attribute, FaultKind::FileName);
            return;
        };
        if !names::is_valid(&name) {
            let kind = FaultKind::NameInvalid { namespace: name.namespace };
            let at = At::InRecord(on_volume(attribute.at));
            self.faults.push(Fault::new(number, kind).at(at).named(name.name));
        }
        if let Some(file) = file {
            self.table.add_name(file, name.parent, names::trimmed(value));
        }
    }

    /// A file whose attributes are all known.
    pub(super) fn file(&mut self, number: u64, record: &Record<'_>, seen: &Seen) {
        if seen.is_indexed {
            self.table.set(number, INDEXED);
        }
        self.required(number, record, seen);
        let links = u16_at(record.bytes(), 18).unwrap_or(0);
        if u32::from(links) != seen.names {
            let kind = FaultKind::LinkCount { expected: seen.names, found: links };
            self.faults.push(Fault::new(number, kind).at(At::InRecord(18)));
        }
        if seen.windows != seen.dos {
            self.fault(number, FaultKind::NamePairs { windows: seen.windows, dos: seen.dos });
        }
        if seen.plain > 1 || number < FIRST_USER_RECORD {
            self.table.set(number, SIZES_OPEN);
        }
        self.table.set_shown(number, shown(seen.sizes()));
        if let (true, Some(parent)) = (record.is_directory(), seen.parent) {
            self.directories.push((number, parent.record));
        }
    }

    fn required(&mut self, number: u64, record: &Record<'_>, seen: &Seen) {
        let is_view = seen.is_indexed && !seen.is_directory;
        let needs_content = !record.is_directory() && !is_view && number != SECURE;
        let missing = [
            (STANDARD_INFORMATION, seen.standard.is_none()),
            (FILE_NAME, seen.names == 0 && !NAMELESS.contains(&number)),
            (INDEX_ROOT, record.is_directory() && !seen.is_directory),
            (DATA, needs_content && seen.content.is_none()),
        ];
        for (kind, _) in missing.into_iter().filter(|(_, is_missing)| *is_missing) {
            self.fault(number, FaultKind::AttributeMissing { kind });
        }
        if seen.is_directory && !record.is_directory() {
            self.fault(number, FaultKind::DirectoryFlag);
        }
        let id = seen.standard.filter(|&id| id != 0).filter(|id| !self.security.contains(id));
        if let (Some(found), true) = (id, self.security_known) {
            self.fault(number, FaultKind::SecurityId { found });
        }
    }
}

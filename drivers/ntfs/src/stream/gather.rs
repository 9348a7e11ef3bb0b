//! The pieces of one stream, out of the index, checked against the attribute list.

use std::collections::BTreeSet;

use super::{Damage, StreamError, again};
use crate::attribute_list;
use crate::index::entry::{Head, Item, Resident};
use crate::mft::{self, MftError};
use crate::record::{Body, DATA, FileId, REPARSE_POINT, Record};
use crate::volume::Volume;
use crate::wtf8;

/// A stream's pieces, complete as far as the attribute list can tell.
pub(super) struct Gathered<'v> {
    pub(super) head_record: u64,
    pub(super) found: Found<'v>,
}

/// What a stream is made of.
pub(super) enum Found<'v> {
    Resident { record: u64, resident: Resident<'v> },
    NonResident { head: Head<'v>, pieces: Vec<Piece<'v>> },
}

/// A later part of a non-resident stream.
pub(super) struct Piece<'v> {
    pub(super) start_vcn: u64,
    pub(super) record: u64,
    pub(super) runs: &'v [u8],
}

/// A piece's place: first VCN, and the record that holds it.
type Place = (u64, u64);

impl Volume {
    /// Collects the stream `name` (empty: the content) of a file that is current.
    pub(super) fn gather(&self, file: FileId, name: &[u16]) -> Result<Gathered<'_>, StreamError> {
        let header = self.index.base(file.record).ok_or(StreamError::Stale { file })?;
        let Some(name) = self.stored_name(file, name) else {
            let damage = Damage::Lost;
            let lost = StreamError::Damaged { record: file.record, damage };
            return Err(if header.damaged { lost } else { StreamError::NotFound });
        };
        let listed = match header.attribute_list {
            true => Some(self.listed(file, name)?),
            false => None,
        };
        let (mut heads, mut residents, mut pieces) = (Vec::new(), Vec::new(), Vec::new());
        let mut seen = BTreeSet::new();
        let counts = |place: Place| listed.as_ref().is_none_or(|listed| listed.contains(&place));
        for (record, item) in self.index.items(file) {
            let start_vcn = if let Item::Piece { start_vcn, .. } = item { start_vcn } else { 0 };
            if stream_name(&item) != Some(name) || !counts((start_vcn, record)) {
                continue;
            }
            seen.insert((start_vcn, record));
            match item {
                Item::Head(head) => heads.push((record, head)),
                Item::Resident(resident) => residents.push((record, resident)),
                Item::Piece { start_vcn, runs, .. } => pieces.push(Piece { start_vcn, record, runs }),
                Item::Broken { .. } => {
                    return Err(StreamError::Damaged { record, damage: Damage::Broken });
                }
                Item::Name { .. } | Item::Reparse { .. } => {}
            }
        }
        self.nothing_missing(file, listed.as_ref(), &seen)?;
        pieces.sort_by_key(|piece| piece.start_vcn);
        joined(file.record, &heads, &residents, pieces)
    }

    /// The name as it is stored: the exact one before one that differs by case.
    fn stored_name(&self, file: FileId, name: &[u16]) -> Option<&[u8]> {
        let names = || self.index.items(file).filter_map(|(_, item)| stream_name(&item));
        let exact = names().find(|stored| wtf8::units(stored).eq(name.iter().copied()));
        exact.or_else(|| names().find(|stored| self.upcase.same(stored, name)))
    }

    /// Where the attribute list says that the stream's pieces are.
    fn listed(&self, file: FileId, name: &[u8]) -> Result<BTreeSet<Place>, StreamError> {
        let damaged = StreamError::Damaged { record: file.record, damage: Damage::List };
        let raw = self.mft.record(file.record).map_err(|error| again(file.record, error))?;
        let record = Record::parse(&raw).map_err(|fault| again(file.record, fault.into()))?;
        let list = match mft::list_value(&self.device, &self.geometry, &record, &self.limits) {
            Ok(Some(list)) => list,
            Err(MftError::Read(source)) => return Err(StreamError::Read { record: file.record, source }),
            Ok(None) | Err(_) => return Err(damaged),
        };
        let mut places = BTreeSet::new();
        let mut packed = Vec::new();
        for entry in attribute_list::entries(&list) {
            let Some(entry) = entry else { return Err(damaged) };
            packed.clear();
            wtf8::push_utf16le(&mut packed, entry.name);
            if entry.kind == DATA && packed == name {
                let holder = entry.holder.record;
                let held = self.index.entry(holder);
                if !held.is_some_and(|(header, _)| entry.holder.admits(header.sequence)) {
                    let damage = Damage::Missing { start_vcn: entry.start_vcn, holder };
                    return Err(StreamError::Damaged { record: file.record, damage });
                }
                places.insert((entry.start_vcn, holder));
            }
        }
        Ok(places)
    }

    fn nothing_missing(
        &self,
        file: FileId,
        listed: Option<&BTreeSet<Place>>,
        seen: &BTreeSet<Place>,
    ) -> Result<(), StreamError> {
        let missing = listed.and_then(|listed| {
            // A broken piece has no VCN of its own here, but it has ended the search already.
            listed.iter().find(|place| !seen.contains(place))
        });
        match missing {
            None => Ok(()),
            Some(&(start_vcn, holder)) => Err(StreamError::Damaged {
                record: file.record,
                damage: Damage::Missing { start_vcn, holder },
            }),
        }
    }

    /// The content of a small stream, out of `$MFT` once more.
    pub(super) fn resident_again(
        &self,
        record: u64,
        resident: &Resident<'_>,
    ) -> Result<Box<[u8]>, StreamError> {
        let raw = self.mft.record(record).map_err(|error| again(record, error))?;
        let parsed = Record::parse(&raw).map_err(|fault| again(record, fault.into()))?;
        let mut name = Vec::new();
        for attribute in parsed.attributes().map_while(Result::ok).filter(|found| found.kind == DATA) {
            name.clear();
            wtf8::push_utf16le(&mut name, attribute.name);
            if let Body::Resident(value) = attribute.body
                && name == resident.name
                && crate::bytes::on_volume(value.len()) == resident.length_bytes
            {
                return Ok(value.into());
            }
        }
        Err(StreamError::Damaged { record, damage: Damage::Changed })
    }

    /// The value of the file's reparse point, and the record it is in.
    pub(super) fn reparse_value(&self, file: FileId) -> Result<(u64, Vec<u8>), StreamError> {
        let holder = self.index.items(file).find(|(_, item)| matches!(item, Item::Reparse { .. }));
        let record = holder.map_or(file.record, |(record, _)| record);
        let raw = self.mft.record(record).map_err(|error| again(record, error))?;
        let parsed = Record::parse(&raw).map_err(|fault| again(record, fault.into()))?;
        let value = parsed.attributes().map_while(Result::ok).find_map(|found| match found.body {
            Body::Resident(value) if found.kind == REPARSE_POINT => Some(value.to_vec()),
            _ => None,
        });
        let damaged = StreamError::Damaged { record, damage: Damage::ReparsePoint };
        value.map(|value| (record, value)).ok_or(damaged)
    }
}

/// The name of the stream that an item is a part of.
pub(crate) fn stream_name<'v>(item: &Item<'v>) -> Option<&'v [u8]> {
    match item {
        Item::Head(head) => Some(head.name),
        Item::Resident(resident) => Some(resident.name),
        Item::Piece { name, .. } | Item::Broken { name } => Some(name),
        Item::Name { .. } | Item::Reparse { .. } => None,
    }
}

/// Exactly one beginning, and no more pieces than that beginning can have.
fn joined<'v>(
    record: u64,
    heads: &[(u64, Head<'v>)],
    residents: &[(u64, Resident<'v>)],
    pieces: Vec<Piece<'v>>,
) -> Result<Gathered<'v>, StreamError> {
    let damaged = |damage| Err(StreamError::Damaged { record, damage });
    match (heads, residents) {
        ([(head_record, head)], []) => {
            Ok(Gathered { head_record: *head_record, found: Found::NonResident { head: *head, pieces } })
        }
        ([], [(holder, resident)]) if pieces.is_empty() => Ok(Gathered {
            head_record: *holder,
            found: Found::Resident { record: *holder, resident: *resident },
        }),
        ([], []) => match pieces.first() {
            Some(first) => damaged(Damage::Missing { start_vcn: 0, holder: first.record }),
            None => Err(StreamError::NotFound),
        },
        _ => damaged(Damage::Twice),
    }
}

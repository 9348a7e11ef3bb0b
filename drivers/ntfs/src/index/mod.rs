//! The packed index: every FILE record that is in use, findable by number and by name.
//!
//! It holds what the sweep kept ([`entry`]) in an [`arena`], the place of each record, which
//! extension records belong to which file, and a [`names`] table. It knows nothing of devices:
//! what is in memory is all there is.

mod arena;
pub(crate) mod entry;
pub(crate) mod names;

use arena::{Arena, Place};
use entry::{Header, Item, Items};

use crate::record::FileId;

/// Extension records of one file that count. An attribute list of 256 KiB, the most that NTFS has,
/// has room for as many entries of 32 bytes.
const EXTENSIONS_MAX: usize = 8_192;

/// See the module's documentation.
#[derive(Default)]
pub(crate) struct Index {
    arena: Arena,
    /// By record number; 0 where the record is not in use or not readable.
    places: Vec<Place>,
    /// (file, extension record), sorted once the sweep is over.
    extensions: Vec<(u32, u32)>,
}

impl Index {
    /// An index for `records` records. Pages of the table that no record in use falls into are
    /// never touched, so a large, mostly free `$MFT` costs no memory.
    pub(crate) fn with_records(records: u64) -> Index {
        let places = vec![0; crate::bytes::in_memory(records)];
        Index { places, ..Index::default() }
    }

    /// Stores an entry; false when the arena is full.
    pub(crate) fn insert(&mut self, record: u64, entry: &[u8], base: Option<FileId>) -> bool {
        let number = u32::try_from(record).ok();
        let slot = usize::try_from(record).ok().and_then(|slot| self.places.get_mut(slot));
        let (Some(number), Some(slot), Some(place)) = (number, slot, self.arena.push(entry)) else {
            return false;
        };
        *slot = place;
        if let Some(base) = base.and_then(|base| u32::try_from(base.record).ok()) {
            self.extensions.push((base, number));
        }
        true
    }

    /// Ends the sweep: from here on the index only answers. A file of more extension records than it
    /// can have keeps the first ones, so that no question takes long.
    pub(crate) fn seal(&mut self) {
        self.extensions.sort_unstable();
        let (mut file, mut seen) = (None, 0_usize);
        self.extensions.retain(|&(base, _)| {
            seen = if file == Some(base) { seen.saturating_add(1) } else { 1 };
            file = Some(base);
            seen <= EXTENSIONS_MAX
        });
        self.extensions.shrink_to_fit();
    }

    /// Records of `$MFT`, in use or not.
    pub(crate) fn records(&self) -> u64 {
        crate::bytes::on_volume(self.places.len())
    }

    /// Memory taken, the untouched part of the table counted as if it were.
    pub(crate) fn bytes(&self) -> u64 {
        let tables = self.places.len().saturating_mul(4);
        let extensions = self.extensions.capacity().saturating_mul(8);
        crate::bytes::on_volume(tables.saturating_add(extensions)).saturating_add(self.arena.bytes())
    }

    /// What one record says, base or extension.
    pub(crate) fn entry(&self, record: u64) -> Option<(Header, Items<'_>)> {
        let place = *self.places.get(usize::try_from(record).ok()?)?;
        if place == 0 { None } else { entry::read(self.arena.at(place)?) }
    }

    /// The header of a file's base record.
    pub(crate) fn base(&self, record: u64) -> Option<Header> {
        self.entry(record).map(|(header, _)| header).filter(|header| header.base.is_none())
    }

    /// The file's own identity, if the record is the base of one.
    pub(crate) fn file_id(&self, record: u64) -> Option<FileId> {
        self.base(record).map(|header| FileId { record, sequence: header.sequence })
    }

    /// The base record's header when `file` is still the file that is meant.
    pub(crate) fn current(&self, file: FileId) -> Option<Header> {
        self.base(file.record).filter(|header| file.admits(header.sequence))
    }

    /// The extension records that name this file as theirs, with the sequence number it has.
    pub(crate) fn extensions_of(&self, file: FileId) -> impl Iterator<Item = u64> + '_ {
        let base = u32::try_from(file.record).unwrap_or(u32::MAX);
        let first = self.extensions.partition_point(|&(of, _)| of < base);
        let same_base = self.extensions.iter().skip(first).take_while(move |&&(of, _)| of == base);
        same_base.map(|&(_, record)| u64::from(record)).filter(move |&record| {
            let claimed = self.entry(record).and_then(|(header, _)| header.base);
            claimed.is_some_and(|claimed| claimed.admits(file.sequence))
        })
    }

    /// The record's items and then those of its extensions, each with the record that says it.
    pub(crate) fn items(&self, file: FileId) -> impl Iterator<Item = (u64, Item<'_>)> + '_ {
        let header = self.base(file.record);
        let extensions = header.filter(|header| header.attribute_list).map(|header| {
            let file = FileId { record: file.record, sequence: header.sequence };
            self.extensions_of(file)
        });
        let base = header.is_some().then_some(file.record).into_iter();
        base.chain(extensions.into_iter().flatten()).flat_map(|record| {
            let items = self.entry(record).map(|(_, items)| items);
            items.into_iter().flatten().map(move |item| (record, item))
        })
    }

    /// All names of a file: (parent, WTF-8).
    pub(crate) fn names(&self, file: FileId) -> impl Iterator<Item = (FileId, &[u8])> + '_ {
        self.items(file).filter_map(|(_, item)| match item {
            Item::Name { parent, name } => Some((parent, name)),
            _ => None,
        })
    }
}

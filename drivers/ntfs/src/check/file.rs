//! A file with all its records, and single streams and values out of them.
//!
//! For what is looked into one by one: system files, directories, files with an attribute list. The
//! sweep does without.

use std::collections::BTreeSet;

use block::ReadAt;

use super::btree::IndexParts;
use crate::attribute_list;
use crate::boot::Geometry;
use crate::bytes::in_memory;
use crate::content::read_extents;
use crate::extent::{Extent, Layout};
use crate::limits::Limits;
use crate::mft::{self, Mft};
use crate::record::{Attribute, Body, Record};

/// More extension records than an attribute list of 256 KiB has room to name.
const EXTENSIONS_MAX: usize = 8_192;
pub(crate) const INDEX_ROOT: u32 = 0x90;
pub(crate) const INDEX_ALLOCATION: u32 = 0xa0;
pub(crate) const BITMAP: u32 = 0xb0;
/// What a bitmap of an index may be longer than a bit a block: Windows allocates some ahead.
const BITMAP_SPARE_BYTES: u64 = 64 << 10;

/// Restored records: the base record first, then the extensions that its list names and that agree.
pub(crate) struct FileRecords {
    pub(crate) records: Vec<(u64, Vec<u8>)>,
    /// The attribute list, when there is one that can be read.
    pub(crate) list: Option<Vec<u8>>,
}

/// Where a stream's bytes are.
pub(crate) struct Clusters {
    pub(crate) extents: Vec<Extent>,
    pub(crate) length_bytes: u64,
}

/// A stream or an attribute's value.
pub(crate) enum Value {
    Resident(Vec<u8>),
    Clusters(Clusters),
}

impl Value {
    pub(crate) fn length_bytes(&self) -> u64 {
        match self {
            Value::Resident(value) => crate::bytes::on_volume(value.len()),
            Value::Clusters(clusters) => clusters.length_bytes,
        }
    }

    /// Fills `buffer` from `offset` on; zeros past the end.
    pub(crate) fn read(&self, device: &dyn ReadAt, buffer: &mut [u8], offset: u64) -> Option<()> {
        match self {
            Value::Resident(value) => {
                let rest = value.get(in_memory(offset)..).unwrap_or(&[]);
                let length = rest.len().min(buffer.len());
                buffer.fill(0);
                buffer.get_mut(..length)?.copy_from_slice(rest.get(..length)?);
                Some(())
            }
            Value::Clusters(clusters) => read_extents(device, &clusters.extents, offset, buffer).ok(),
        }
    }

    /// All of it, unless it is longer than `length_max`.
    pub(crate) fn whole(&self, device: &dyn ReadAt, length_max: u64) -> Option<Vec<u8>> {
        let length = Some(self.length_bytes()).filter(|&length| length <= length_max)?;
        let mut bytes = vec![0; in_memory(length)];
        self.read(device, &mut bytes, 0)?;
        Some(bytes)
    }
}

impl IndexParts {
    /// How many blocks its allocation has.
    pub(crate) fn blocks(&self, geometry: &Geometry) -> u64 {
        self.allocation_bytes.checked_div(geometry.index_block_bytes.into()).unwrap_or(0)
    }
}

impl FileRecords {
    /// The records of the file whose base record this is; `None` when that one cannot be had.
    /// Extensions that are missing or belong to another file are left out.
    pub(crate) fn load(mft: &Mft, limits: &Limits, number: u64) -> Option<FileRecords> {
        let raw = mft.record(number).ok()?;
        let record = Record::parse(&raw).ok()?;
        let sequence = record.sequence;
        let list = mft::list_value(mft.device(), mft.geometry(), &record, limits).ok().flatten();
        let mut holders = BTreeSet::new();
        for entry in list.as_deref().map(attribute_list::entries).into_iter().flatten().flatten() {
            if entry.holder.record != number && holders.len() < EXTENSIONS_MAX {
                holders.insert(entry.holder);
            }
        }
        let mut records = vec![(number, raw)];
        for holder in holders {
            let Ok(raw) = mft.record(holder.record) else { continue };
            let ours = Record::parse(&raw).is_ok_and(|extension| {
                let base = extension.base;
                let known = base.is_some_and(|base| base.record == number && base.admits(sequence));
                extension.in_use() && known && holder.admits(extension.sequence)
            });
            if ours {
                records.push((holder.record, raw));
            }
        }
        Some(FileRecords { records, list })
    }

    /// All attributes with the records that hold them; a damaged one ends its record.
    pub(crate) fn attributes(&self) -> impl Iterator<Item = (u64, Attribute<'_>)> {
        self.records.iter().flat_map(|(number, raw)| {
            let attributes = Record::parse(raw).ok().map(|record| record.attributes());
            attributes.into_iter().flatten().map_while(Result::ok).map(|attribute| (*number, attribute))
        })
    }

    /// A stream whose pieces fit together. Bytes past the initialised size are holes.
    pub(crate) fn value(
        &self,
        geometry: &Geometry,
        limits: &Limits,
        kind: u32,
        name: &[u8],
    ) -> Option<Value> {
        let mut pieces = Vec::new();
        for (_, attribute) in self.attributes().filter(|(_, found)| found.kind == kind && found.name == name)
        {
            match attribute.body {
                Body::Resident(value) => return Some(Value::Resident(value.to_vec())),
                Body::NonResident(piece) => pieces.push(piece),
            }
        }
        pieces.sort_by_key(|piece| piece.start_vcn);
        let mut layout = Layout::new(geometry, limits.extents_max);
        for piece in &pieces {
            layout.append(piece.start_vcn, piece.runs).ok()?;
        }
        let head = pieces.first()?;
        let extents = layout.finish(head.length_bytes, head.initialized_bytes).ok()?;
        Some(Value::Clusters(Clusters { extents, length_bytes: head.length_bytes }))
    }

    /// The parts of an index; `None` without a resident root, or when a part cannot be followed.
    pub(crate) fn index(
        &self,
        device: &dyn ReadAt,
        geometry: &Geometry,
        limits: &Limits,
        name: &[u8],
    ) -> Option<IndexParts> {
        let Some(Value::Resident(root)) = self.value(geometry, limits, INDEX_ROOT, name) else { return None };
        let has = |kind| self.attributes().any(|(_, found)| found.kind == kind && found.name == name);
        let (mut extents, mut allocation_bytes) = (Vec::new(), 0);
        if has(INDEX_ALLOCATION) {
            let Value::Clusters(clusters) = self.value(geometry, limits, INDEX_ALLOCATION, name)? else {
                return None;
            };
            (extents, allocation_bytes) = (clusters.extents, clusters.length_bytes);
        }
        let blocks = allocation_bytes.checked_div(geometry.index_block_bytes.into())?;
        let bitmap_max = blocks.div_ceil(8).saturating_add(BITMAP_SPARE_BYTES);
        let bitmap = match has(BITMAP) {
            true => self.value(geometry, limits, BITMAP, name)?.whole(device, bitmap_max)?,
            false => Vec::new(),
        };
        Some(IndexParts { root, extents, allocation_bytes, bitmap })
    }
}

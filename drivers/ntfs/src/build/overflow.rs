//! Files in more pieces than their record can list: `$ATTRIBUTE_LIST` and extension records.
//!
//! A file's mapping pairs outgrow its record when a sparse file has very many ranges, or when very
//! many pre-placed files cut one into pieces. Then the base record has a list that says which
//! record holds which piece of `$DATA`, and the pieces fill records of their own. How many those
//! will be depends on the data's place, which depends on how many they are: so an upper bound of
//! records is reserved, and what is not needed stays free.

use std::collections::BTreeMap;

use super::DataRange;
use super::error::PlanError;
use super::fields::{Fields, short, sum};
use super::nodes::{Kind, Nodes};
use super::pairs::{PAIR_BYTES_MAX, Pairs, signed_length};
use super::record::{END_MARK_BYTES, header_bytes, packed, room};
use super::settings::Shape;
use crate::bytes::{in_memory, on_volume};
use crate::record::FileId;
use crate::runs::Run;

/// An entry of the list, without a name.
const ENTRY_BYTES: usize = 32;
const ENTRY_NAME_AT: u8 = 26;
/// NTFS' limit for a list.
const LIST_BYTES_MAX: u64 = 256 << 10;
/// Entries for what stays in the base record: standard information and the name.
const BASE_ENTRIES: u64 = 2;

/// What is kept free for one such file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Overflow {
    /// Its first extension record, counted from the first of all.
    first: u64,
    /// How many it may have.
    records: u64,
    /// Where its list is on the line of data.
    pub(super) list_position: u64,
}

impl Overflow {
    pub(super) fn list_clusters(&self, shape: &Shape) -> u64 {
        let entries = self.records.saturating_add(BASE_ENTRIES);
        shape.clusters_for(entries.saturating_mul(on_volume(ENTRY_BYTES)))
    }
}

/// All such files, by node.
#[derive(Default)]
pub(super) struct Overflows {
    files: BTreeMap<u32, Overflow>,
    /// First record (counted from the first of all) and node of each, ascending.
    by_record: Vec<(u64, u32)>,
    records: u64,
    /// The record behind all nodes' records.
    first_record: u64,
}

impl Overflows {
    /// Finds the files that may need it.
    pub(super) fn reserve(
        nodes: &Nodes,
        sparse: &[Vec<DataRange>],
        shape: &Shape,
        placed: u64,
    ) -> Result<Overflows, PlanError> {
        let first_record = nodes.reference(nodes.len()).record;
        let mut overflows = Overflows { first_record, ..Overflows::default() };
        for (number, node) in nodes.iter().filter(|(_, node)| node.length_bytes > 0) {
            let ranges = match node.kind {
                Kind::Sparse => {
                    sparse.get(in_memory(node.ranges.into())).map(Vec::as_slice).unwrap_or_default()
                }
                Kind::File => &[],
                Kind::System | Kind::Directory | Kind::Placed => continue,
            };
            let bytes = pairs_bytes_max(ranges, shape.sparse_clusters_for(node.length_bytes), placed);
            if bytes < on_volume(base_room(shape, nodes.name_units(number))) {
                continue;
            }
            let path = || nodes.path(number);
            let reserved = overflows.add(number, bytes, shape);
            reserved
                .ok_or_else(|| PlanError::TooManyRanges { path: path(), ranges: on_volume(ranges.len()) })?;
        }
        Ok(overflows)
    }

    /// `None` when the list would be too long.
    fn add(&mut self, number: u32, pairs_bytes: u64, shape: &Shape) -> Option<()> {
        // A piece may stay short of its room by one pair, and its first distance is a long one.
        let filled = on_volume(piece_room(shape).saturating_sub(PAIR_BYTES_MAX.saturating_mul(2)));
        let records = pairs_bytes.checked_div(filled)?.saturating_add(1);
        let list_bytes = records.saturating_add(BASE_ENTRIES).saturating_mul(on_volume(ENTRY_BYTES));
        if list_bytes > LIST_BYTES_MAX {
            return None;
        }
        self.by_record.push((self.records, number));
        self.files.insert(number, Overflow { first: self.records, records, list_position: 0 });
        self.records = self.records.saturating_add(records);
        Some(())
    }

    /// Records reserved for all of them.
    pub(super) fn records(&self) -> u64 {
        self.records
    }

    /// Clusters of all lists.
    pub(super) fn list_clusters(&self, shape: &Shape) -> u64 {
        self.files.values().fold(0, |sum, file| sum.saturating_add(file.list_clusters(shape)))
    }

    /// Puts the lists on the line of data, from `position` on; gives where they end.
    pub(super) fn place_lists(&mut self, position: u64, shape: &Shape) -> u64 {
        let mut position = position;
        for file in self.files.values_mut() {
            file.list_position = position;
            position = position.saturating_add(file.list_clusters(shape));
        }
        position
    }

    pub(super) fn find(&self, number: u32) -> Option<&Overflow> {
        self.files.get(&number)
    }

    /// The file that this record is reserved for, and the first record of that file.
    pub(super) fn holder(&self, record: u64) -> Option<(u32, u64)> {
        let at = record.checked_sub(self.first_record)?;
        let place = self.by_record.partition_point(|&(first, _)| first <= at).checked_sub(1)?;
        let &(first, node) = self.by_record.get(place)?;
        Some((node, self.first_record.saturating_add(first)))
    }

    /// All of them by node, and so by extension record.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &Overflow)> {
        self.files.iter().map(|(&number, file)| (number, file))
    }

    /// The first extension record of a file, and the one behind its last.
    pub(super) fn range(&self, file: &Overflow) -> std::ops::Range<u64> {
        let start = self.first_record.saturating_add(file.first);
        start..start.saturating_add(file.records)
    }
}

/// Room for the mapping pairs of a content in its base record; the end mark takes the last byte.
pub(super) fn base_room(shape: &Shape, name_units: usize) -> usize {
    room(shape, name_units).saturating_sub(header_bytes(true)) & !7
}

/// Room for mapping pairs in a record of their own.
fn piece_room(shape: &Shape) -> usize {
    let taken = sum(&[shape.first_attribute(), header_bytes(true), END_MARK_BYTES]);
    shape.record_length().saturating_sub(taken) & !7
}

/// An upper bound of the mapping pairs' length: exact but for where pre-placed files cut the data.
fn pairs_bytes_max(ranges: &[DataRange], clusters: u64, placed: u64) -> u64 {
    let pair = |clusters: u64, distance: u64| {
        u64::from(signed_length(clusters))
            .saturating_add(u64::from(signed_length(distance)))
            .saturating_add(1)
    };
    let (mut bytes, mut vcn, mut before) = (0_u64, 0_u64, 0_u64);
    for range in ranges {
        let hole = range.vcn.saturating_sub(vcn);
        // Data follows the data before it: the distance is that run's length.
        let data = pair(range.clusters, before);
        bytes = bytes.saturating_add(data).saturating_add(pair(hole, 0));
        before = range.clusters;
        vcn = range.vcn.saturating_add(range.clusters);
    }
    let last_hole = pair(clusters.saturating_sub(vcn), 0);
    // The first distance, and one more pair at each cut.
    let cuts = placed.saturating_add(1).min(clusters);
    bytes.saturating_add(last_hole).saturating_add(cuts.saturating_mul(on_volume(PAIR_BYTES_MAX)))
}

/// A piece of `$DATA` in a record of its own.
pub(super) struct Piece {
    pub(super) start_vcn: u64,
    pub(super) clusters: u64,
    /// With their end mark.
    pub(super) pairs: Vec<u8>,
}

/// Distributes runs over pieces.
pub(super) fn pieces(runs: &[Run], shape: &Shape) -> Vec<Piece> {
    let limit = piece_room(shape).saturating_sub(PAIR_BYTES_MAX);
    let mut pieces = Vec::new();
    let (mut pairs, mut start_vcn, mut clusters) = (Pairs::default(), 0_u64, 0_u64);
    for &run in runs {
        if pairs.len() >= limit {
            pieces.push(Piece { start_vcn, clusters, pairs: std::mem::take(&mut pairs).finish() });
            start_vcn = start_vcn.saturating_add(clusters);
            clusters = 0;
        }
        pairs.push(run);
        clusters = clusters.saturating_add(run.clusters);
    }
    pieces.push(Piece { start_vcn, clusters, pairs: pairs.finish() });
    pieces
}

/// Length of the list of a file in so many pieces.
pub(super) fn list_bytes(pieces: &[Piece]) -> u64 {
    on_volume(pieces.len()).saturating_add(BASE_ENTRIES).saturating_mul(on_volume(ENTRY_BYTES))
}

/// One entry of an attribute list.
pub(super) struct Listed {
    pub(super) kind: u32,
    pub(super) start_vcn: u64,
    pub(super) holder: FileId,
    /// The attribute's id in its record.
    pub(super) id: u16,
}

/// The list itself; entries in the order of type and VCN.
pub(super) fn attribute_list(entries: &[Listed]) -> Vec<u8> {
    let mut list = Vec::with_capacity(entries.len().saturating_mul(ENTRY_BYTES));
    for entry in entries {
        let end = list.len().saturating_add(ENTRY_BYTES);
        list.put_u32(entry.kind);
        list.put_u16(short(ENTRY_BYTES));
        list.put_u8(0);
        list.put_u8(ENTRY_NAME_AT);
        list.put_u64(entry.start_vcn);
        list.put_u64(packed(entry.holder));
        list.put_u16(entry.id);
        list.pad_to(end);
    }
    list
}

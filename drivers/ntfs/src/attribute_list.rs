//! `$ATTRIBUTE_LIST`: which record holds which piece of a file that outgrew its record.
//!
//! The sweep finds the pieces by themselves; the list is what says which of them count. Pieces are
//! told apart by type, name and first VCN, never by attribute id: ids are unique only inside one
//! record (spec/ntfs.md §1).

use crate::bytes::{position_at, slice_at, u8_at, u16_at, u32_at, u64_at};
use crate::record::FileId;

/// One entry of the list.
#[derive(Clone, Copy)]
pub(crate) struct ListEntry<'a> {
    /// Attribute type.
    pub(crate) kind: u32,
    /// UTF-16, little-endian.
    pub(crate) name: &'a [u8],
    pub(crate) start_vcn: u64,
    /// The record that holds the piece.
    pub(crate) holder: FileId,
    /// The piece's id in that record. Only a check of the volume compares it.
    pub(crate) id: u16,
}

/// The entries of a list; a damaged one ends it with `None` in its place.
pub(crate) fn entries(list: &[u8]) -> impl Iterator<Item = Option<ListEntry<'_>>> {
    let mut rest = list;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let parsed = entry(rest);
        rest = parsed.map_or(&[], |(_, tail)| tail);
        Some(parsed.map(|(entry, _)| entry))
    })
}

/// Fixed part of an entry, without the name.
const ENTRY_BYTES: usize = 26;

fn entry(bytes: &[u8]) -> Option<(ListEntry<'_>, &[u8])> {
    let length = position_at(bytes, 4).filter(|&length| length >= ENTRY_BYTES)?;
    let (frame, rest) = bytes.split_at_checked(length)?;
    let name_length = usize::from(u8_at(frame, 6)?).checked_mul(2)?;
    let name = slice_at(frame, usize::from(u8_at(frame, 7)?), name_length)?;
    let entry = ListEntry {
        kind: u32_at(frame, 0)?,
        name,
        start_vcn: u64_at(frame, 8)?,
        holder: FileId::from_reference(u64_at(frame, 16)?),
        id: u16_at(frame, 24)?,
    };
    Some((entry, rest))
}

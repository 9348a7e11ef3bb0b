//! FILE records and the attributes in them. spec/ntfs.md §3.3, §5 "FILE record".
//!
//! A record is only looked into after [`restore`] has put back the two bytes of each 512 that the
//! update sequence took, which proves that all its sectors were written together. Attributes are
//! handed out one by one; the first whose frame is wrong ends the walk, because nothing after it
//! can be located.

use crate::bytes::{in_memory, position_at, slice_at, u8_at, u16_at, u32_at, u64_at};

/// The update sequence guards each 512 bytes, whatever the sector size.
const STRIDE: usize = 512;
const FLAG_IN_USE: u16 = 1;
const FLAG_DIRECTORY: u16 = 2;
/// Where records of NTFS 3.1 keep their own number; older ones have the update sequence there.
const RECORD_NUMBER_AT: usize = 44;
const ATTRIBUTES_END: u32 = 0xffff_ffff;

pub(crate) const STANDARD_INFORMATION: u32 = 0x10;
pub(crate) const ATTRIBUTE_LIST: u32 = 0x20;
pub(crate) const FILE_NAME: u32 = 0x30;
pub(crate) const VOLUME_NAME: u32 = 0x60;
pub(crate) const VOLUME_INFORMATION: u32 = 0x70;
pub(crate) const DATA: u32 = 0x80;
pub(crate) const REPARSE_POINT: u32 = 0xc0;

/// Attribute flag: stored in LZNT1 compression units.
pub(crate) const COMPRESSED: u16 = 0x0001;
/// Attribute flag: has holes.
pub(crate) const SPARSE: u16 = 0x8000;
/// Attribute flag: encrypted by EFS.
pub(crate) const ENCRYPTED: u16 = 0x4000;

/// A file, as NTFS refers to it: its record, and how often that record had been given out before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FileId {
    /// Number of the base FILE record.
    pub record: u64,
    /// The record's sequence number; a reference with another one is to a file that is gone.
    pub sequence: u16,
}

impl FileId {
    /// A file reference as it is stored: 48 bits of record, 16 of sequence.
    pub(crate) fn from_reference(reference: u64) -> FileId {
        let [a, b, c, d, e, f, low, high] = reference.to_le_bytes();
        FileId {
            record: u64::from_le_bytes([a, b, c, d, e, f, 0, 0]),
            sequence: u16::from_le_bytes([low, high]),
        }
    }

    /// Whether a record with this sequence number is the one meant. Zero means "do not check".
    pub(crate) fn admits(self, sequence: u16) -> bool {
        self.sequence == 0 || self.sequence == sequence
    }
}

/// Why a record cannot be looked into.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RecordFault {
    /// The record does not begin with `FILE`.
    #[error("the record does not begin with FILE")]
    Signature,
    /// A check by Windows found the record unreadable and marked it `BAAD`.
    #[error("the record was marked BAAD by an earlier check")]
    Marked,
    /// The update sequence does not match: the sectors were not written together.
    #[error("the record is torn: its sectors were not written together")]
    Torn,
    /// A length or position in the record's header lies outside it.
    #[error("the record's header points outside the record")]
    Header,
}

/// Whether raw bytes begin like a record that was once used.
pub(crate) fn looks_used(raw: &[u8]) -> bool {
    slice_at(raw, 0, 4).is_some_and(|signature| signature != [0; 4])
}

/// Puts the bytes back that the update sequence replaced.
pub(crate) fn restore(raw: &mut [u8]) -> Result<(), RecordFault> {
    match slice_at(raw, 0, 4) {
        Some(b"FILE") => restore_sectors(raw).ok_or(RecordFault::Torn),
        Some(b"BAAD") => Err(RecordFault::Marked),
        _ => Err(RecordFault::Signature),
    }
}

/// The same for any structure with an update sequence (records, restart pages).
pub(crate) fn restore_sectors(raw: &mut [u8]) -> Option<()> {
    let sectors = raw.len().checked_div(STRIDE)?;
    let array_at = position_at(raw, 4)?;
    let count = position_at(raw, 6)?;
    let array_end = count.checked_mul(2)?.checked_add(array_at)?;
    if count != sectors.checked_add(1)? || array_end > STRIDE.checked_sub(2)? {
        return None;
    }
    let number = u16_at(raw, array_at)?.to_le_bytes();
    for nth in 1..count {
        let saved = u16_at(raw, nth.checked_mul(2)?.checked_add(array_at)?)?.to_le_bytes();
        let last = nth.checked_mul(STRIDE)?;
        let guarded = raw.get_mut(last.checked_sub(2)?..last)?;
        if guarded != number {
            return None;
        }
        guarded.copy_from_slice(&saved);
    }
    Some(())
}

/// A restored record.
#[derive(Clone, Copy)]
pub(crate) struct Record<'a> {
    bytes: &'a [u8],
    first_attribute: usize,
    flags: u16,
    /// How often the record has been given out.
    pub(crate) sequence: u16,
    /// The file whose attributes overflowed into this record; `None` in a base record.
    pub(crate) base: Option<FileId>,
}

impl<'a> Record<'a> {
    /// Reads the header of a restored record.
    pub(crate) fn parse(restored: &'a [u8]) -> Result<Record<'a>, RecordFault> {
        Record::header(restored).ok_or(RecordFault::Header)
    }

    fn header(restored: &'a [u8]) -> Option<Record<'a>> {
        let used = usize::try_from(u32_at(restored, 24)?).ok()?;
        let first_attribute = position_at(restored, 20)?;
        let base = u64_at(restored, 32)?;
        if first_attribute < 42 || !first_attribute.is_multiple_of(8) || first_attribute > used {
            return None;
        }
        Some(Record {
            bytes: restored.get(..used)?,
            first_attribute,
            flags: u16_at(restored, 22)?,
            sequence: u16_at(restored, 16)?,
            base: (base != 0).then(|| FileId::from_reference(base)),
        })
    }

    pub(crate) fn in_use(&self) -> bool {
        self.flags & FLAG_IN_USE != 0
    }

    pub(crate) fn is_directory(&self) -> bool {
        self.flags & FLAG_DIRECTORY != 0
    }

    /// The record's number as it says itself, modulo 2^32; `None` in records older than NTFS 3.1.
    pub(crate) fn own_number(&self) -> Option<u32> {
        let array_at = position_at(self.bytes, 4)?;
        if array_at < 48 { None } else { u32_at(self.bytes, RECORD_NUMBER_AT) }
    }

    /// The used part of the record.
    pub(crate) fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The attributes in their order.
    pub(crate) fn attributes(&self) -> Attributes<'a> {
        Attributes { bytes: self.bytes, at: Some(self.first_attribute) }
    }
}

/// Whether raw bytes say that the record is in use; readable also when the record is torn.
pub(crate) fn claims_use(raw: &[u8]) -> bool {
    u16_at(raw, 22).is_some_and(|flags| flags & FLAG_IN_USE != 0)
}

/// An attribute's frame leaves the record, or its fields leave the attribute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct AttributeFault {
    /// Where in the record the attribute begins.
    pub(crate) at: usize,
}

/// One attribute.
#[derive(Clone, Copy)]
pub(crate) struct Attribute<'a> {
    /// `DATA`, `FILE_NAME`, …
    pub(crate) kind: u32,
    pub(crate) flags: u16,
    /// UTF-16, little-endian; empty for the unnamed stream.
    pub(crate) name: &'a [u8],
    pub(crate) body: Body<'a>,
    /// Where in the record it begins.
    pub(crate) at: usize,
    /// All of it, header included.
    pub(crate) frame: &'a [u8],
}

/// Where an attribute's value is.
#[derive(Clone, Copy)]
pub(crate) enum Body<'a> {
    /// In the record.
    Resident(&'a [u8]),
    /// In clusters.
    NonResident(NonResident<'a>),
}

/// The header of a non-resident attribute, or of one piece of it.
#[derive(Clone, Copy)]
pub(crate) struct NonResident<'a> {
    pub(crate) start_vcn: u64,
    /// Last VCN of this piece; -1 (all ones) when the piece is empty.
    pub(crate) last_vcn: u64,
    pub(crate) length_bytes: u64,
    pub(crate) initialized_bytes: u64,
    /// A compression unit is two to this power of clusters; 0 when not compressed.
    pub(crate) unit_shift: u8,
    /// The mapping pairs and whatever pads the attribute.
    pub(crate) runs: &'a [u8],
}

/// See [`Record::attributes`].
pub(crate) struct Attributes<'a> {
    bytes: &'a [u8],
    at: Option<usize>,
}

impl<'a> Iterator for Attributes<'a> {
    type Item = Result<Attribute<'a>, AttributeFault>;

    fn next(&mut self) -> Option<Self::Item> {
        let at = self.at.take()?;
        let Some(kind) = u32_at(self.bytes, at) else {
            return Some(Err(AttributeFault { at }));
        };
        if kind == ATTRIBUTES_END {
            return None;
        }
        let Some(frame) = frame(self.bytes, at) else {
            return Some(Err(AttributeFault { at }));
        };
        self.at = at.checked_add(frame.len());
        Some(attribute(kind, at, frame).ok_or(AttributeFault { at }))
    }
}

/// The bytes of one attribute: at least a header, a multiple of eight, inside the record.
fn frame(bytes: &[u8], at: usize) -> Option<&[u8]> {
    let length = in_memory(u32_at(bytes, at.checked_add(4)?)?.into());
    if length < 24 || !length.is_multiple_of(8) { None } else { slice_at(bytes, at, length) }
}

fn attribute(kind: u32, at: usize, frame: &[u8]) -> Option<Attribute<'_>> {
    let name_length = usize::from(u8_at(frame, 9)?).checked_mul(2)?;
    let name =
        if name_length == 0 { &[][..] } else { slice_at(frame, position_at(frame, 10)?, name_length)? };
    let body = if u8_at(frame, 8)? == 0 {
        let length = in_memory(u32_at(frame, 16)?.into());
        Body::Resident(slice_at(frame, position_at(frame, 20)?, length)?)
    } else {
        Body::NonResident(non_resident(frame)?)
    };
    Some(Attribute { kind, flags: u16_at(frame, 12)?, name, body, at, frame })
}

fn non_resident(frame: &[u8]) -> Option<NonResident<'_>> {
    Some(NonResident {
        start_vcn: u64_at(frame, 16)?,
        last_vcn: u64_at(frame, 24)?,
        runs: frame.get(position_at(frame, 32)?..)?,
        unit_shift: u8_at(frame, 34)?,
        length_bytes: u64_at(frame, 48)?,
        initialized_bytes: u64_at(frame, 56)?,
    })
}

/// A `$FILE_NAME` value.
#[derive(Clone, Copy)]
pub(crate) struct FileName<'a> {
    pub(crate) parent: FileId,
    pub(crate) namespace: u8,
    /// UTF-16, little-endian, 1 to 255 units.
    pub(crate) name: &'a [u8],
}

impl FileName<'_> {
    /// The 8.3 alias of a longer name; never listed, never looked up.
    pub(crate) const DOS: u8 = 2;

    pub(crate) fn parse(value: &[u8]) -> Option<FileName<'_>> {
        let length = usize::from(u8_at(value, 64)?).checked_mul(2)?;
        let name = slice_at(value, 66, length).filter(|name| !name.is_empty())?;
        let parent = FileId::from_reference(u64_at(value, 0)?);
        Some(FileName { parent, namespace: u8_at(value, 65)?, name })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw() -> Vec<u8> {
        let mut raw = vec![0; 1024];
        raw[..4].copy_from_slice(b"FILE");
        raw[4] = 48;
        raw[6] = 3;
        raw[16] = 7;
        raw[20] = 56;
        raw[22] = 1;
        raw[24] = 64;
        raw[48..54].copy_from_slice(&[9, 0, 1, 2, 3, 4]);
        raw[510] = 9;
        raw[1022] = 9;
        raw[56..60].fill(0xff);
        raw
    }

    #[test]
    fn the_update_sequence_is_undone() {
        let mut raw = raw();
        restore(&mut raw).unwrap();
        assert_eq!((&raw[510..512], &raw[1022..]), (&[1, 2][..], &[3, 4][..]));
        let record = Record::parse(&raw).unwrap();
        assert!(record.in_use() && !record.is_directory() && record.base.is_none());
        assert_eq!(record.sequence, 7);
        assert_eq!(record.attributes().count(), 0);
    }

    #[test]
    fn a_record_whose_sectors_differ_is_torn() {
        let mut torn = raw();
        torn[1022] = 8;
        assert_eq!(restore(&mut torn), Err(RecordFault::Torn));
        let mut wrong_count = raw();
        wrong_count[6] = 2;
        assert_eq!(restore(&mut wrong_count), Err(RecordFault::Torn));
        let mut array_outside = raw();
        array_outside[4..6].copy_from_slice(&506_u16.to_le_bytes());
        assert_eq!(restore(&mut array_outside), Err(RecordFault::Torn));
    }

    #[test]
    fn an_attribute_that_leaves_the_record_ends_the_walk_with_a_fault() {
        let mut raw = raw();
        restore(&mut raw).unwrap();
        raw[56..64].copy_from_slice(&[0x80, 0, 0, 0, 0xf8, 3, 0, 0]);
        let found: Vec<_> = Record::parse(&raw).unwrap().attributes().collect();
        assert_eq!(found.len(), 1);
        assert!(matches!(found[0], Err(AttributeFault { at: 56 })));
    }

    #[test]
    fn references_split_into_record_and_sequence() {
        let id = FileId::from_reference(0x0005_0000_0000_0007);
        assert_eq!((id.record, id.sequence), (7, 5));
        assert!(id.admits(5) && !id.admits(4) && FileId { record: 7, sequence: 0 }.admits(4));
    }
}

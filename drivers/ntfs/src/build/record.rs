//! FILE records and attributes, written. spec/ntfs.md §5 "FILE record".
//!
//! Attributes are appended in the order of their types and names, which the caller keeps; each gets
//! the next id of its record. What does not fit is told by [`RecordBuilder::finish`].

use super::fields::{Fields, aligned, long, seal, sequence_words, short, sum};
use super::settings::Shape;
use crate::record::FileId;

/// Where the update sequence array is in records of NTFS 3.1.
pub(super) const SEQUENCE_ARRAY_AT: usize = 48;
/// The end mark and what aligns it.
pub(super) const END_MARK_BYTES: usize = 8;
const END_MARK: u32 = 0xffff_ffff;
/// Header of a resident attribute.
pub(super) const RESIDENT_HEADER_BYTES: usize = 24;
/// Header of a non-resident one; eight more when it tells its compressed size.
pub(super) const NON_RESIDENT_HEADER_BYTES: usize = 64;
pub(super) const COMPRESSED_SIZE_BYTES: usize = 8;
/// Attribute flag of a sparse stream.
const SPARSE: u16 = 0x8000;

pub(super) const STANDARD_INFORMATION: u32 = 0x10;
pub(super) const ATTRIBUTE_LIST: u32 = crate::record::ATTRIBUTE_LIST;
pub(super) const FILE_NAME: u32 = crate::record::FILE_NAME;
pub(super) const SECURITY_DESCRIPTOR: u32 = 0x50;
pub(super) const VOLUME_NAME: u32 = crate::record::VOLUME_NAME;
pub(super) const VOLUME_INFORMATION: u32 = crate::record::VOLUME_INFORMATION;
pub(super) const DATA: u32 = crate::record::DATA;
pub(super) const INDEX_ROOT: u32 = 0x90;
pub(super) const INDEX_ALLOCATION: u32 = 0xa0;
pub(super) const BITMAP: u32 = 0xb0;

/// Record flags.
pub(super) const IN_USE: u16 = 1;
pub(super) const DIRECTORY: u16 = 2;
pub(super) const IN_EXTEND: u16 = 4;
pub(super) const HAS_VIEW_INDEX: u16 = 8;

/// A file reference as it is stored.
pub(super) fn packed(file: FileId) -> u64 {
    file.record | u64::from(file.sequence).wrapping_shl(48)
}

/// What a record says before its attributes.
#[derive(Clone, Copy)]
pub(super) struct Header {
    pub(super) file: FileId,
    pub(super) links: u16,
    pub(super) flags: u16,
    /// In an extension record, the file whose attributes it holds.
    pub(super) base: Option<FileId>,
}

/// A non-resident stream, or a piece of one.
pub(super) struct Clusters<'a> {
    pub(super) start_vcn: u64,
    /// Clusters of this piece, holes included.
    pub(super) clusters: u64,
    /// Sizes of the whole stream; they stand in its first piece only.
    pub(super) sizes: Option<Sizes>,
    pub(super) sparse: bool,
    /// With their end mark.
    pub(super) pairs: &'a [u8],
}

/// Sizes of a whole non-resident stream.
#[derive(Clone, Copy)]
pub(super) struct Sizes {
    /// Its clusters, holes included.
    pub(super) span_bytes: u64,
    pub(super) length_bytes: u64,
    pub(super) initialized_bytes: u64,
    /// Its clusters without holes; only sparse streams tell it.
    pub(super) allocated_bytes: u64,
}

/// One record after the other, in the same memory.
pub(super) struct RecordBuilder {
    bytes: Vec<u8>,
    shape: Shape,
    header: Header,
    next_id: u16,
}

impl RecordBuilder {
    pub(super) fn new(shape: Shape) -> RecordBuilder {
        let header = Header { file: FileId { record: 0, sequence: 0 }, links: 0, flags: 0, base: None };
        RecordBuilder { bytes: Vec::with_capacity(shape.record_length()), shape, header, next_id: 0 }
    }

    /// Begins a record; what was not finished is gone.
    pub(super) fn begin(&mut self, header: Header) {
        self.bytes.clear();
        self.bytes.pad_to(self.shape.first_attribute());
        self.header = header;
        self.next_id = 0;
    }

    /// Appends an attribute whose value is in the record, and gives its id.
    pub(super) fn resident(&mut self, kind: u32, name: &[u16], value: &[u8]) -> u16 {
        let start = self.bytes.len();
        let value_at = aligned(named(RESIDENT_HEADER_BYTES, name));
        let length = aligned(value_at.saturating_add(value.len()));
        let id = self.frame(kind, length, false, name, RESIDENT_HEADER_BYTES, 0);
        self.bytes.put_u32(long(value.len()));
        self.bytes.put_u16(short(value_at));
        // Names are indexed by the directory that holds them.
        self.bytes.put_u8(u8::from(kind == FILE_NAME));
        self.bytes.put_u8(0);
        self.bytes.put_units(name);
        self.bytes.pad_to(start.saturating_add(value_at));
        self.bytes.put(value);
        self.bytes.pad_to(start.saturating_add(length));
        id
    }

    /// Appends an attribute whose value is in clusters, and gives its id.
    pub(super) fn non_resident(&mut self, kind: u32, name: &[u16], value: &Clusters<'_>) -> u16 {
        let start = self.bytes.len();
        let header_bytes = header_bytes(value.sparse);
        let pairs_at = aligned(named(header_bytes, name));
        let length = aligned(pairs_at.saturating_add(value.pairs.len()));
        let flags = if value.sparse { SPARSE } else { 0 };
        let id = self.frame(kind, length, true, name, header_bytes, flags);
        self.bytes.put_u64(value.start_vcn);
        // An empty piece ends one before it begins.
        self.bytes.put_u64(value.start_vcn.wrapping_add(value.clusters).wrapping_sub(1));
        self.bytes.put_u16(short(pairs_at));
        self.bytes.put_u16(if value.sparse { self.shape.sparse_unit_shift().into() } else { 0 });
        self.bytes.put_u32(0);
        let sizes = value.sizes;
        self.bytes.put_u64(sizes.map_or(0, |sizes| sizes.span_bytes));
        self.bytes.put_u64(sizes.map_or(0, |sizes| sizes.length_bytes));
        self.bytes.put_u64(sizes.map_or(0, |sizes| sizes.initialized_bytes));
        if value.sparse {
            self.bytes.put_u64(sizes.map_or(0, |sizes| sizes.allocated_bytes));
        }
        self.bytes.put_units(name);
        self.bytes.pad_to(start.saturating_add(pairs_at));
        self.bytes.put(value.pairs);
        self.bytes.pad_to(start.saturating_add(length));
        id
    }

    /// What all attributes begin with.
    fn frame(
        &mut self,
        kind: u32,
        length: usize,
        non_resident: bool,
        name: &[u16],
        name_at: usize,
        flags: u16,
    ) -> u16 {
        let id = self.next_id;
        self.next_id = id.wrapping_add(1);
        self.bytes.put_u32(kind);
        self.bytes.put_u32(long(length));
        self.bytes.put_u8(u8::from(non_resident));
        self.bytes.put_u8(u8::try_from(name.len()).unwrap_or(u8::MAX));
        self.bytes.put_u16(short(name_at));
        self.bytes.put_u16(flags);
        self.bytes.put_u16(id);
        id
    }

    /// The record as it stands on the volume, or how long it would have to be.
    pub(super) fn finish(&mut self) -> Result<&[u8], usize> {
        self.bytes.put_u32(END_MARK);
        self.bytes.put_u32(0);
        let used = self.bytes.len();
        let length = self.shape.record_length();
        if used > length {
            return Err(used);
        }
        self.bytes.pad_to(length);
        let header = self.header_bytes(used);
        for (to, from) in self.bytes.iter_mut().zip(header) {
            *to = from;
        }
        seal(&mut self.bytes, SEQUENCE_ARRAY_AT);
        Ok(&self.bytes)
    }

    fn header_bytes(&self, used: usize) -> Vec<u8> {
        let length = self.shape.record_length();
        let mut header = Vec::with_capacity(SEQUENCE_ARRAY_AT);
        header.put(b"FILE");
        header.put_u16(short(SEQUENCE_ARRAY_AT));
        header.put_u16(short(sequence_words(length)));
        header.put_u64(0);
        header.put_u16(self.header.file.sequence);
        header.put_u16(self.header.links);
        header.put_u16(short(self.shape.first_attribute()));
        header.put_u16(self.header.flags);
        header.put_u32(long(used));
        header.put_u32(long(length));
        header.put_u64(self.header.base.map_or(0, packed));
        header.put_u16(self.next_id);
        header.put_u16(0);
        // Only the lower half has a place here.
        let [a, b, c, d, ..] = self.header.file.record.to_le_bytes();
        header.put(&[a, b, c, d]);
        header
    }
}

/// Header of a non-resident attribute.
pub(super) fn header_bytes(sparse: bool) -> usize {
    NON_RESIDENT_HEADER_BYTES.saturating_add(if sparse { COMPRESSED_SIZE_BYTES } else { 0 })
}

/// Bytes of a header with the attribute's name behind it.
fn named(header_bytes: usize, name: &[u16]) -> usize {
    name.len().saturating_mul(2).saturating_add(header_bytes)
}

/// Bytes that a resident attribute takes in a record.
pub(super) fn resident_bytes(name_units: usize, value_bytes: usize) -> usize {
    let value_at = aligned(name_units.saturating_mul(2).saturating_add(RESIDENT_HEADER_BYTES));
    aligned(value_at.saturating_add(value_bytes))
}

/// Bytes left for further attributes beside standard information and one name.
pub(super) fn room(shape: &Shape, name_units: usize) -> usize {
    let name = resident_bytes(0, super::names::file_name_bytes(name_units));
    let standard = resident_bytes(0, super::names::STANDARD_INFORMATION_BYTES);
    let descriptor = match shape.descriptor_bytes {
        0 => 0,
        bytes => resident_bytes(0, bytes),
    };
    let taken = sum(&[shape.first_attribute(), standard, name, descriptor, END_MARK_BYTES]);
    shape.record_length().saturating_sub(taken)
}

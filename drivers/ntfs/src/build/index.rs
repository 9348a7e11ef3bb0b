//! Index entries, index roots and index blocks, written. spec/ntfs.md §5 "Index".

use super::fields::{Fields, aligned, long, seal, sequence_words, short, sum};
use super::names::file_name_bytes;
use super::settings::Shape;
use super::tree::{BLOCK_BYTES, BLOCK_HEADER_BYTES, CHILD_BYTES, END_BYTES};

/// Header of an entry.
pub(super) const ENTRY_HEADER_BYTES: usize = 16;
/// What `$INDEX_ROOT` has before its entries: its own header and the index header.
pub(super) const ROOT_HEADERS_BYTES: usize = 32;
const INDEX_HEADER_BYTES: usize = 16;
/// Where a block keeps its update sequence array, and its index header.
const BLOCK_ARRAY_AT: usize = 40;
const BLOCK_INDEX_HEADER_AT: usize = 24;

const HAS_CHILD: u16 = 1;
const IS_END: u16 = 2;

/// `$I30`: what directories call their index.
pub(super) const DIRECTORY_INDEX: [u16; 4] = [0x24, 0x49, 0x33, 0x30];

/// What is indexed, and in which order.
#[derive(Clone, Copy)]
pub(super) struct IndexKind {
    /// The type of the indexed attribute; 0 for the file system's own tables.
    pub(super) attribute: u32,
    pub(super) collation: u32,
}

/// Names, in the order of `$UpCase`.
pub(super) const BY_NAME: IndexKind = IndexKind { attribute: super::record::FILE_NAME, collation: 1 };
/// One number of 32 bits.
pub(super) const BY_NUMBER: IndexKind = IndexKind { attribute: 0, collation: 0x10 };
/// A security identifier.
pub(super) const BY_SID: IndexKind = IndexKind { attribute: 0, collation: 0x11 };
/// A hash, then an id.
pub(super) const BY_SECURITY_HASH: IndexKind = IndexKind { attribute: 0, collation: 0x12 };
/// Several numbers of 32 bits.
pub(super) const BY_NUMBERS: IndexKind = IndexKind { attribute: 0, collation: 0x13 };

/// Length in a leaf of the entry for a name.
pub(super) fn name_entry_bytes(units: usize) -> usize {
    aligned(file_name_bytes(units).saturating_add(ENTRY_HEADER_BYTES))
}

/// Appends an entry: what refers to what the key is of, the key, and the block below it.
///
/// `head` is a file reference in directories; where data goes with the key it is that data's place.
pub(super) fn put_entry(out: &mut Vec<u8>, head: u64, key: &[u8], data: &[u8], child_vcn: Option<u64>) {
    let start = out.len();
    let body = aligned(sum(&[ENTRY_HEADER_BYTES, key.len(), data.len()]));
    out.put_u64(head);
    put_entry_tail(out, body, key.len(), 0, child_vcn);
    out.put(key);
    out.put(data);
    out.pad_to(start.saturating_add(body));
    put_child(out, child_vcn);
}

/// Appends the entry that ends a node.
pub(super) fn put_end(out: &mut Vec<u8>, child_vcn: Option<u64>) {
    out.put_u64(0);
    put_entry_tail(out, END_BYTES, 0, IS_END, child_vcn);
    put_child(out, child_vcn);
}

fn put_entry_tail(out: &mut Vec<u8>, body: usize, key: usize, flags: u16, child_vcn: Option<u64>) {
    let (child_bytes, child_flag) = if child_vcn.is_some() { (CHILD_BYTES, HAS_CHILD) } else { (0, 0) };
    out.put_u16(short(body.saturating_add(child_bytes)));
    out.put_u16(short(key));
    out.put_u16(flags | child_flag);
    out.put_u16(0);
}

fn put_child(out: &mut Vec<u8>, child_vcn: Option<u64>) {
    if let Some(vcn) = child_vcn {
        out.put_u64(vcn);
    }
}

/// Where the data of an entry without a file is, as its head.
pub(super) fn data_head(data_at: usize, data_bytes: usize) -> u64 {
    u64::from(short(data_at)) | u64::from(short(data_bytes)).wrapping_shl(16)
}

/// The value of `$INDEX_ROOT`: `entries` end with an end entry.
pub(super) fn root(shape: &Shape, kind: IndexKind, entries: &[u8], has_blocks: bool) -> Vec<u8> {
    let mut value = Vec::with_capacity(entries.len().saturating_add(ROOT_HEADERS_BYTES));
    value.put_u32(kind.attribute);
    value.put_u32(kind.collation);
    value.put_u32(long(BLOCK_BYTES));
    value.put_u32(shape.block_vcns());
    let length = long(entries.len().saturating_add(INDEX_HEADER_BYTES));
    value.put_u32(long(INDEX_HEADER_BYTES));
    value.put_u32(length);
    value.put_u32(length);
    value.put_u32(has_blocks.into());
    value.put(entries);
    value
}

/// One index block after the other, in the same memory.
pub(super) struct BlockBuilder {
    bytes: Vec<u8>,
}

impl BlockBuilder {
    pub(super) fn new() -> BlockBuilder {
        BlockBuilder { bytes: Vec::with_capacity(BLOCK_BYTES) }
    }

    /// Begins a block; entries are appended to what this gives.
    pub(super) fn begin(&mut self) -> &mut Vec<u8> {
        self.bytes.clear();
        self.bytes.pad_to(BLOCK_HEADER_BYTES);
        &mut self.bytes
    }

    /// Ends the block, whose end entry leads to `child_vcn`.
    pub(super) fn finish(&mut self, vcn: u64, child_vcn: Option<u64>) -> &[u8] {
        put_end(&mut self.bytes, child_vcn);
        let used = self.bytes.len();
        self.bytes.pad_to(BLOCK_BYTES);
        let mut header = Vec::with_capacity(BLOCK_ARRAY_AT);
        header.put(b"INDX");
        header.put_u16(short(BLOCK_ARRAY_AT));
        header.put_u16(short(sequence_words(BLOCK_BYTES)));
        header.put_u64(0);
        header.put_u64(vcn);
        header.put_u32(long(BLOCK_HEADER_BYTES.saturating_sub(BLOCK_INDEX_HEADER_AT)));
        header.put_u32(long(used.saturating_sub(BLOCK_INDEX_HEADER_AT)));
        header.put_u32(long(BLOCK_BYTES.saturating_sub(BLOCK_INDEX_HEADER_AT)));
        header.put_u32(child_vcn.is_some().into());
        for (to, from) in self.bytes.iter_mut().zip(header) {
            *to = from;
        }
        seal(&mut self.bytes, BLOCK_ARRAY_AT);
        &self.bytes
    }
}

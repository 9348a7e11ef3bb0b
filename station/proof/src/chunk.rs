//! The chunks of a manifest's entry: its blocks or its ranges, told in one way.

use manifest::{BlobEntry, BlobKind, BlockId};
use model::Md5Digest;

use crate::file::FileContent;

/// A chunk of a manifest entry: one block, one page range or one file range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChunkEntry<'a> {
    /// Offset in file and blob.
    pub offset_bytes: u64,
    /// Length.
    pub length_bytes: u64,
    /// The MD5 the customer wrote down.
    pub md5: Md5Digest,
    /// The block's id, if the manifest names one.
    pub id: Option<&'a BlockId>,
}

impl ChunkEntry<'_> {
    /// Whether a file of that length ends before the chunk does.
    pub fn is_past(&self, file_bytes: u64) -> bool {
        self.offset_bytes.saturating_add(self.length_bytes) > file_bytes
    }
}

/// A chunk on its way: what is planned, read and digested carries it along.
pub trait Provable: Send + 'static {
    /// What the manifest says of it.
    fn entry(&self) -> ChunkEntry<'_>;
    /// Where its file's bytes are.
    fn content(&self) -> &FileContent;
}

/// How many chunks an entry lists.
pub fn chunk_count(entry: &BlobEntry) -> usize {
    match &entry.kind {
        BlobKind::Block(blocks) => blocks.len(),
        BlobKind::Page(ranges) | BlobKind::File(ranges) => ranges.len(),
    }
}

/// The `index`-th chunk of an entry's list.
pub fn chunk(entry: &BlobEntry, index: u32) -> Option<ChunkEntry<'_>> {
    match &entry.kind {
        BlobKind::Block(blocks) => blocks.get(index as usize).map(|block| ChunkEntry {
            offset_bytes: block.offset_bytes,
            length_bytes: block.length_bytes,
            md5: block.hash,
            id: block.id.as_ref(),
        }),
        BlobKind::Page(ranges) | BlobKind::File(ranges) => {
            ranges.get(index as usize).map(|range| ChunkEntry {
                offset_bytes: range.offset_bytes,
                length_bytes: range.length_bytes,
                md5: range.hash,
                id: None,
            })
        }
    }
}

/// Bytes that an entry's chunks cover: what has to be read, were nothing done yet.
pub fn chunk_bytes(entry: &BlobEntry) -> u64 {
    let add = |sum: u64, length: u64| sum.saturating_add(length);
    match &entry.kind {
        BlobKind::Block(blocks) => blocks.iter().map(|block| block.length_bytes).fold(0, add),
        BlobKind::Page(ranges) | BlobKind::File(ranges) => {
            ranges.iter().map(|range| range.length_bytes).fold(0, add)
        }
    }
}

//! What is said about one blob, whichever log says it.

use model::status::{BlobStatus, ChunkStatus, DispositionStatus, SideFileStatus};

use crate::entry::{BlobEntry, BlobKind, SideFileRef};

/// What became of one entry of the manifest.
#[derive(Debug, Clone)]
pub struct BlobRecord<'a> {
    /// The entry.
    pub entry: &'a BlobEntry,
    /// How the blob ended.
    pub status: BlobStatus,
    /// What the disposition led to; imports only.
    pub disposition: Option<DispositionStatus>,
    /// The blob's final path when it is not the entry's: it was renamed.
    pub renamed_to: Option<&'a str>,
    /// How its blocks or ranges ended.
    pub chunks: ChunkStatuses<'a>,
    /// How its metadata ended, if it has any.
    pub metadata: Option<SideFileRecord<'a>>,
    /// How its properties ended, if it has any.
    pub properties: Option<SideFileRecord<'a>>,
    /// When the blob was last modified; exports only.
    pub last_modified: Option<&'a str>,
    /// What the storage service answered when a request failed; for the copy log.
    pub http_status: Option<u16>,
}

/// The status of each block or range, without a list where they are alike.
#[derive(Debug, Clone, Copy)]
pub enum ChunkStatuses<'a> {
    /// All the same.
    All(ChunkStatus),
    /// One each, in the entry's order; ones that are missing count as `Cancelled`.
    Each(&'a [ChunkStatus]),
    /// All the same, but for some.
    Except {
        /// The status of the others.
        rest: ChunkStatus,
        /// Index and status, ascending by index.
        exceptions: &'a [(usize, ChunkStatus)],
    },
}

/// What became of the metadata or properties of one blob.
#[derive(Debug, Clone, Copy)]
pub struct SideFileRecord<'a> {
    /// How it ended.
    pub status: SideFileStatus,
    /// The list's file, if it has one: `GlobalPath`.
    pub global: Option<&'a SideFileRef>,
    /// The blob's own file, if it has one: `Path`.
    pub own: Option<&'a SideFileRef>,
}

impl<'a> BlobRecord<'a> {
    /// A record of an entry that something stopped before its first byte: the disposition, all
    /// blocks, metadata and properties are `Cancelled`. §3.2, "Cascade".
    pub fn cancelled(entry: &'a BlobEntry, status: BlobStatus) -> BlobRecord<'a> {
        BlobRecord {
            entry,
            status,
            disposition: Some(DispositionStatus::Cancelled),
            renamed_to: None,
            chunks: ChunkStatuses::All(ChunkStatus::Cancelled),
            metadata: side_file_cancelled(entry.metadata.as_ref()),
            properties: side_file_cancelled(entry.properties.as_ref()),
            last_modified: None,
            http_status: None,
        }
    }

    /// What the blob's status is by its parts, unless something fatal replaces it: §3.4,
    /// "Aggregation".
    pub fn status_of_parts(&self) -> BlobStatus {
        let chunks = (0..self.chunk_count()).all(|index| self.chunks.of(index) == ChunkStatus::Completed);
        let side_files = [self.metadata, self.properties]
            .into_iter()
            .flatten()
            .all(|side_file| side_file.status == SideFileStatus::Completed);
        if chunks && side_files { BlobStatus::Completed } else { BlobStatus::CompletedWithErrors }
    }

    /// How many blocks or ranges the entry has.
    pub fn chunk_count(&self) -> usize {
        match &self.entry.kind {
            BlobKind::Block(blocks) => blocks.len(),
            BlobKind::Page(ranges) | BlobKind::File(ranges) => ranges.len(),
        }
    }

    /// The path that the log names: the final one.
    pub(super) fn path(&self) -> &'a str {
        self.renamed_to.unwrap_or(&self.entry.blob_path)
    }
}

impl ChunkStatuses<'_> {
    /// The status of one block or range.
    pub fn of(&self, index: usize) -> ChunkStatus {
        match self {
            ChunkStatuses::All(status) => *status,
            ChunkStatuses::Each(statuses) => statuses.get(index).copied().unwrap_or(ChunkStatus::Cancelled),
            ChunkStatuses::Except { rest, exceptions } => exceptions
                .binary_search_by_key(&index, |(exception, _)| *exception)
                .ok()
                .and_then(|found| exceptions.get(found))
                .map_or(*rest, |(_, status)| *status),
        }
    }
}

fn side_file_cancelled(own: Option<&SideFileRef>) -> Option<SideFileRecord<'_>> {
    own.map(|own| SideFileRecord { status: SideFileStatus::Cancelled, global: None, own: Some(own) })
}

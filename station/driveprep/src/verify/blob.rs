//! One entry of the manifest between its plan and its verdict.
//!
//! Its chunks end one by one and in any order. Invariant: [`Blob::end_chunk`] is called once a
//! chunk that was opened, and answers "that was the last" once.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use manifest::{BlobEntry, BlobKind};
use model::Md5Digest;
use model::status::{BlobStatus, ChunkStatus};
use proof::chunk::{ChunkEntry, Provable, chunk, chunk_count};
use proof::file::{FileContent, FileRefusal, OpenFile};
use proof::side::SideStatuses;

/// An entry, its file, and how far its chunks are.
pub struct Blob {
    /// What the manifest says.
    pub entry: BlobEntry,
    /// What its metadata and properties files came to.
    pub side: SideStatuses,
    /// Why its file cannot be had; then no chunk was looked at.
    pub refusal: Option<FileRefusal>,
    content: FileContent,
    state: Mutex<State>,
}

struct State {
    open_count: usize,
    bad: Vec<BadChunk>,
}

/// A chunk that is not what the manifest says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadChunk {
    /// Which of the entry's chunks.
    pub index: u32,
    /// How it ended.
    pub status: ChunkStatus,
    /// The MD5 that was found, for a chunk that could be read.
    pub found: Option<Md5Digest>,
}

impl Blob {
    /// An entry with what opening its file came to.
    pub fn new(entry: BlobEntry, side: SideStatuses, opened: Result<OpenFile, FileRefusal>) -> Blob {
        let (refusal, content, file_bytes) = match opened {
            Ok(file) => (None, file.content, file.length_bytes),
            Err(refusal) => (Some(refusal), FileContent::Nothing, u64::MAX),
        };
        let is_short = |index: &u32| chunk(&entry, *index).is_some_and(|chunk| chunk.is_past(file_bytes));
        let bad = indexes(&entry)
            .filter(is_short)
            .map(|index| BadChunk { index, status: ChunkStatus::FileUnexpectedEnd, found: None })
            .collect();
        Blob { entry, side, refusal, content, state: Mutex::new(State { open_count: 0, bad }) }
    }

    /// Which chunks can be read, in the manifest's order; none of a file that cannot be had.
    pub fn open(&self) -> Vec<u32> {
        if self.refusal.is_some() {
            return Vec::new();
        }
        let mut state = self.lock();
        let mut short = state.bad.iter().map(|chunk| chunk.index).peekable();
        let open: Vec<u32> = indexes(&self.entry).filter(|index| short.next_if_eq(index).is_none()).collect();
        drop(short);
        state.open_count = open.len();
        open
    }

    /// Ends a chunk; true when it was the last one open.
    pub fn end_chunk(&self, bad: Option<BadChunk>) -> bool {
        let mut state = self.lock();
        state.bad.extend(bad);
        state.open_count -= 1;
        state.open_count == 0
    }

    /// The bad chunks, in the manifest's order.
    pub fn bad_chunks(&self) -> Vec<BadChunk> {
        let mut bad = self.lock().bad.clone();
        bad.sort_by_key(|chunk| chunk.index);
        bad
    }

    /// How the station's log would call it.
    pub fn status(&self) -> BlobStatus {
        match &self.refusal {
            Some(refusal) => refusal.status,
            None if self.lock().bad.is_empty() && !self.side.failed() => BlobStatus::Completed,
            None => BlobStatus::CompletedWithErrors,
        }
    }

    /// What its chunks are called.
    pub fn chunk_noun(&self) -> &'static str {
        match &self.entry.kind {
            BlobKind::Block(_) => "block",
            BlobKind::Page(_) => "page range",
            BlobKind::File(_) => "file range",
        }
    }

    /// The `index`-th chunk of the manifest's list.
    pub fn chunk(&self, index: u32) -> ChunkEntry<'_> {
        chunk(&self.entry, index).expect("chunk indexes come from this entry's own list")
    }

    /// A panic while the lock is held ends the scan anyway; the state itself stays consistent.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn indexes(entry: &BlobEntry) -> impl Iterator<Item = u32> + use<> {
    0..u32::try_from(chunk_count(entry)).expect("a chunk list has at most 2^24 entries")
}

/// A chunk on its way.
pub struct Chunk {
    /// Whose.
    pub blob: Arc<Blob>,
    /// Which of its chunks.
    pub index: u32,
    /// Digests of earlier reads that did not match, oldest first.
    pub mismatches: Vec<Md5Digest>,
    /// How often the medium could not give it.
    pub failed_reads: u32,
}

impl Chunk {
    /// A chunk that was not looked at yet.
    pub fn new(blob: &Arc<Blob>, index: u32) -> Chunk {
        Chunk { blob: Arc::clone(blob), index, mismatches: Vec::new(), failed_reads: 0 }
    }
}

impl Provable for Chunk {
    fn entry(&self) -> ChunkEntry<'_> {
        self.blob.chunk(self.index)
    }

    fn content(&self) -> &FileContent {
        &self.blob.content
    }
}

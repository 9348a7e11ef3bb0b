//! A blob on its way, and the chunks it is cut into.
//!
//! [`Blob`] is shared by the stages: each of its chunks travels alone and in any order, and the
//! blob is where they meet again. Invariant: [`Blob::end_chunk`] is called exactly once a planned
//! chunk, and answers "that was the last" exactly once, so a blob is concluded once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use azure::BlobHeaders;
use manifest::{BlobEntry, BlobKind};
use model::status::ChunkStatus;
use model::{BlobPath, Md5Digest};
use proof::chunk::{ChunkEntry, Provable, chunk, chunk_bytes, chunk_count};
use proof::file::FileContent;
use proof::side::SideStatuses;
use tokio::sync::OnceCell;

use crate::outcome::Ending;
use crate::target::Stage;
use digests::Crc64Sum;

/// One blob between plan and outcome.
pub struct Blob {
    /// What the manifest says.
    pub entry: BlobEntry,
    /// Its name, checked.
    pub path: BlobPath,
    /// Where its file's bytes are.
    pub content: FileContent,
    /// Metadata and properties to set.
    pub headers: BlobHeaders,
    /// What an earlier run left behind.
    pub earlier: Earlier,
    /// The first name to try: 1 is its own, 2 the first renamed one.
    pub first_n: u32,
    /// How often the blob had to be started over; bounded by its users.
    pub restarts: u32,
    /// Where its chunks go; found out by the first chunk that gets there.
    pub(crate) stage: OnceCell<Result<Stage, ()>>,
    /// For each chunk whose block id stood earlier in the list: the chunk that is put for it.
    twins: HashMap<u32, u32>,
    state: Mutex<State>,
}

/// What the ledger knows of a blob that an earlier run had begun.
#[derive(Debug, Clone, Default)]
pub struct Earlier {
    /// Chunks that had landed under [`Blob::first_n`], with their CRC-64.
    pub landed: Vec<(u32, u64)>,
    /// What the earlier run was about to do when it was interrupted.
    pub intent: Option<ledger::Intent>,
}

struct State {
    side: SideStatuses,
    ends: Vec<Option<ChunkStatus>>,
    crcs: Vec<u64>,
    open_count: usize,
    planned_bytes: u64,
    stopped: Option<Ending>,
}

/// Everything a blob starts with.
pub struct BlobStart {
    /// See [`Blob`].
    pub entry: BlobEntry,
    /// See [`Blob`].
    pub path: BlobPath,
    /// See [`Blob`].
    pub content: FileContent,
    /// See [`Blob`].
    pub headers: BlobHeaders,
    /// See [`Blob`].
    pub side: SideStatuses,
    /// See [`Blob`].
    pub earlier: Earlier,
    /// See [`Blob`].
    pub first_n: u32,
}

impl Blob {
    /// A blob whose chunks are all still to come.
    pub fn new(start: BlobStart) -> Blob {
        let chunk_count = chunk_count(&start.entry);
        let state = State {
            side: start.side,
            ends: vec![None; chunk_count],
            crcs: vec![0; chunk_count],
            open_count: 0,
            planned_bytes: 0,
            stopped: None,
        };
        Blob {
            twins: twins(&start.entry),
            entry: start.entry,
            path: start.path,
            content: start.content,
            headers: start.headers,
            earlier: start.earlier,
            first_n: start.first_n,
            restarts: 0,
            stage: OnceCell::new(),
            state: Mutex::new(state),
        }
    }

    /// The same blob from its beginning, trying names from the `n`-th on.
    pub fn restarted(blob: Arc<Blob>, n: u32) -> Blob {
        let restarts = blob.restarts + 1;
        let side = blob.side();
        let fresh = match Arc::try_unwrap(blob) {
            Ok(blob) => BlobStart {
                entry: blob.entry,
                path: blob.path,
                content: blob.content,
                headers: blob.headers,
                side,
                earlier: Earlier::default(),
                first_n: n,
            },
            Err(blob) => BlobStart {
                entry: blob.entry.clone(),
                path: blob.path.clone(),
                content: blob.content.clone(),
                headers: blob.headers.clone(),
                side,
                earlier: Earlier::default(),
                first_n: n,
            },
        };
        Blob { restarts, ..Blob::new(fresh) }
    }

    /// How many chunks the manifest lists.
    pub fn chunk_count(&self) -> usize {
        chunk_count(&self.entry)
    }

    /// Whether the destination is a page blob.
    pub fn is_page_blob(&self) -> bool {
        matches!(self.entry.kind, BlobKind::Page(_))
    }

    /// Whether one Put Blob carries it: a block blob of at most one block.
    ///
    /// Not so with a `Content-MD5` of the customer's: Put Blob would compare it with the data,
    /// but the format says that it is stored as given, which Put Block List does.
    pub fn is_whole(&self) -> bool {
        !self.is_page_blob() && self.chunk_count() <= 1 && self.headers.content_md5.is_none()
    }

    /// The `index`-th chunk of the manifest's list.
    pub fn chunk(&self, index: u32) -> ChunkEntry<'_> {
        chunk(&self.entry, index).expect("chunk indexes come from this blob's own list")
    }

    /// Indexes of the chunks that have to travel: no twins, none that an earlier run landed.
    pub fn chunks_to_plan(&self) -> Vec<u32> {
        let state = self.lock();
        let count = u32::try_from(state.ends.len()).expect("a chunk list has at most 2^21 entries");
        (0..count)
            .filter(|index| state.ends[*index as usize].is_none() && !self.twins.contains_key(index))
            .collect()
    }

    /// Takes a chunk as landed by an earlier run.
    pub fn landed_earlier(&self, index: u32, crc64: u64) {
        let mut state = self.lock();
        if let Some(end) = state.ends.get_mut(index as usize) {
            *end = Some(ChunkStatus::Completed);
            state.crcs[index as usize] = crc64;
        }
    }

    /// Ends a chunk that does not travel at all.
    pub fn end_unplanned(&self, index: u32, status: ChunkStatus) {
        self.lock().ends[index as usize] = Some(status);
    }

    /// Says which chunks are about to travel. Called once, before the first of them.
    pub fn open(&self, planned: &[u32]) {
        let planned_bytes = planned.iter().map(|index| self.chunk(*index).length_bytes).sum();
        let mut state = self.lock();
        state.open_count = planned.len();
        state.planned_bytes = planned_bytes;
    }

    /// Bytes of chunks that did not have to travel: twins, what an earlier run had landed, what
    /// cannot be read.
    pub fn unplanned_bytes(&self) -> u64 {
        chunk_bytes(&self.entry).saturating_sub(self.lock().planned_bytes)
    }

    /// Ends a planned chunk; true when it was the last, and the caller then concludes the blob.
    ///
    /// `status` is none for a chunk that was not tried because the blob had been stopped.
    pub fn end_chunk(&self, index: u32, status: Option<ChunkStatus>, crc64: u64) -> bool {
        let mut state = self.lock();
        state.ends[index as usize] = status;
        state.crcs[index as usize] = crc64;
        state.open_count -= 1;
        state.open_count == 0
    }

    /// Stops the blob: chunks that were not put yet are not put any more. The first cause stays.
    pub fn stop(&self, ending: Ending) {
        self.lock().stopped.get_or_insert(ending);
    }

    /// Whether it was stopped.
    pub fn is_stopped(&self) -> bool {
        self.lock().stopped.is_some()
    }

    /// Why it was stopped.
    pub fn stopped(&self) -> Option<Ending> {
        self.lock().stopped.clone()
    }

    /// What its side files came to.
    pub fn side(&self) -> SideStatuses {
        self.lock().side
    }

    /// Notes that the storage service did not take a side file's content.
    pub fn set_side(&self, side: SideStatuses) {
        self.lock().side = side;
    }

    /// How each chunk ended, twins like the chunk that was put for them.
    pub fn chunk_ends(&self) -> Vec<Option<ChunkStatus>> {
        let state = self.lock();
        (0u32..)
            .zip(&state.ends)
            .map(|(index, end)| match self.twins.get(&index) {
                Some(&twin) => state.ends[twin as usize],
                None => *end,
            })
            .collect()
    }

    /// CRC-64/NVME of the whole blob, holes of a page blob as zeros.
    pub fn crc64(&self) -> u64 {
        let state = self.lock();
        let (mut whole, mut position) = (Crc64Sum::default(), 0);
        for (index, crc64) in (0u32..).zip(&state.crcs) {
            let chunk = self.chunk(index);
            let crc64 = self.twins.get(&index).map_or(*crc64, |twin| state.crcs[*twin as usize]);
            whole.push_zeros(chunk.offset_bytes - position);
            whole.push(crc64, chunk.length_bytes);
            position = chunk.offset_bytes + chunk.length_bytes;
        }
        whole.push_zeros(self.entry.length_bytes - position);
        whole.value()
    }

    /// A panic while the lock is held aborts the copy anyway; the state itself stays consistent.
    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Blocks whose id stands earlier in the list have the same bytes (the manifest's rules say so:
/// same id, same hash, same length), so they are put once and listed twice.
fn twins(entry: &BlobEntry) -> HashMap<u32, u32> {
    let BlobKind::Block(blocks) = &entry.kind else { return HashMap::new() };
    let mut first = HashMap::new();
    let mut twins = HashMap::new();
    for (index, block) in (0u32..).zip(blocks) {
        if let Some(id) = &block.id {
            match first.get(id) {
                Some(&earlier) => drop(twins.insert(index, earlier)),
                None => drop(first.insert(id, index)),
            }
        }
    }
    twins
}

/// A chunk between plan and put.
#[derive(Clone)]
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

impl Provable for Chunk {
    fn entry(&self) -> ChunkEntry<'_> {
        self.blob.chunk(self.index)
    }

    fn content(&self) -> &FileContent {
        &self.blob.content
    }
}

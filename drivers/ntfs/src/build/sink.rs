//! Metadata on its way to the volume: small pieces in, writes of megabytes out.
//!
//! Pieces that follow each other on the volume share a write even when they belong to different
//! structures: a hundred thousand index blocks of as many directories are a few hundred writes.

use std::collections::VecDeque;

use block::WriteAt;

use super::error::MetadataError;
use super::settings::Shape;
use super::space::Stretch;
use crate::bytes::{in_memory, on_volume};

/// Large enough for the sequential speed of any drive, small enough to stay in a cache.
const BUFFER_BYTES: usize = 4 << 20;
/// What direct I/O asks of memory.
const ALIGNMENT_BYTES: usize = 4096;

/// How far the metadata is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WriteProgress {
    /// Written so far.
    pub written_bytes: u64,
    /// To be written in all.
    pub total_bytes: u64,
}

/// See the module's documentation.
pub(super) struct Sink<'a> {
    target: &'a dyn WriteAt,
    shape: Shape,
    progress: &'a mut dyn FnMut(WriteProgress),
    done: WriteProgress,
    memory: Vec<u8>,
    /// Where the buffer begins in `memory`, so that it is aligned.
    start: usize,
    filled: usize,
    /// Where on the volume the buffer belongs.
    offset_bytes: u64,
    runs: VecDeque<Stretch>,
    /// Bytes left in the run that is being written.
    left_bytes: u64,
    what: &'static str,
}

impl<'a> Sink<'a> {
    pub(super) fn new(
        target: &'a dyn WriteAt,
        shape: Shape,
        total_bytes: u64,
        progress: &'a mut dyn FnMut(WriteProgress),
    ) -> Sink<'a> {
        let memory = vec![0; BUFFER_BYTES.saturating_add(ALIGNMENT_BYTES)];
        let start = memory.as_ptr().align_offset(ALIGNMENT_BYTES).min(ALIGNMENT_BYTES);
        Sink {
            target,
            shape,
            progress,
            done: WriteProgress { written_bytes: 0, total_bytes },
            memory,
            start,
            filled: 0,
            offset_bytes: 0,
            runs: VecDeque::new(),
            left_bytes: 0,
            what: "",
        }
    }

    /// From here on bytes go into these clusters; what was put before stays in its own.
    pub(super) fn begin(&mut self, what: &'static str, runs: &[Stretch]) {
        self.what = what;
        self.runs = runs.iter().copied().collect();
        self.left_bytes = 0;
    }

    /// Appends to what was begun.
    pub(super) fn put(&mut self, mut bytes: &[u8]) -> Result<(), MetadataError> {
        while !bytes.is_empty() {
            let room = self.room()?;
            let (now, later) = bytes.split_at_checked(room).unwrap_or((bytes, &[]));
            let from = self.start.saturating_add(self.filled);
            if let Some(to) = self.memory.get_mut(from..from.saturating_add(now.len())) {
                to.copy_from_slice(now);
            }
            self.advance(now.len());
            bytes = later;
        }
        Ok(())
    }

    /// Appends one byte so often.
    pub(super) fn fill(&mut self, byte: u8, mut count: u64) -> Result<(), MetadataError> {
        while count > 0 {
            let now = self.room()?.min(in_memory(count));
            let from = self.start.saturating_add(self.filled);
            if let Some(to) = self.memory.get_mut(from..from.saturating_add(now)) {
                to.fill(byte);
            }
            self.advance(now);
            count = count.saturating_sub(on_volume(now));
        }
        Ok(())
    }

    fn advance(&mut self, bytes: usize) {
        self.filled = self.filled.saturating_add(bytes);
        self.left_bytes = self.left_bytes.saturating_sub(on_volume(bytes));
    }

    /// Zeros up to the end of the cluster; what is left of the runs stays as it is on the volume.
    pub(super) fn end(&mut self) -> Result<(), MetadataError> {
        let over = self.left_bytes.checked_rem(self.shape.cluster_bytes.into()).unwrap_or(0);
        self.fill(0, over)
    }

    /// How many bytes can be put now; at least one.
    fn room(&mut self) -> Result<usize, MetadataError> {
        if self.left_bytes == 0 {
            self.next_run()?;
        }
        if self.filled == BUFFER_BYTES {
            self.flush_buffer()?;
        }
        Ok(BUFFER_BYTES.saturating_sub(self.filled).min(in_memory(self.left_bytes)))
    }

    fn next_run(&mut self) -> Result<(), MetadataError> {
        let run = self.runs.pop_front().filter(|run| run.clusters > 0);
        let run = run.ok_or(MetadataError::Overrun { what: self.what })?;
        let offset_bytes = self.shape.bytes_of(run.lcn);
        if offset_bytes != self.offset_bytes.saturating_add(on_volume(self.filled)) {
            self.flush_buffer()?;
            self.offset_bytes = offset_bytes;
        }
        self.left_bytes = self.shape.bytes_of(run.clusters);
        Ok(())
    }

    /// Writes what is waiting.
    pub(super) fn flush_buffer(&mut self) -> Result<(), MetadataError> {
        let end = self.start.saturating_add(self.filled);
        if let Some(waiting) = self.memory.get_mut(self.start..end).filter(|waiting| !waiting.is_empty()) {
            let what = self.what;
            let written = self.target.write_all_at(waiting, self.offset_bytes);
            written.map_err(|source| MetadataError::Write { what, source })?;
        }
        let bytes = on_volume(self.filled);
        self.offset_bytes = self.offset_bytes.saturating_add(bytes);
        self.filled = 0;
        self.done.written_bytes = self.done.written_bytes.saturating_add(bytes);
        (self.progress)(self.done);
        Ok(())
    }
}

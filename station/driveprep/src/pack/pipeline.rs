//! The way of the data: every source is read once, hashed while hot, encrypted and written in place.
//!
//! ```text
//! cutter ──slab, buffer──▶ readers ──▶ digest ──▶ (whole files) ──▶ writers ──▶ collector
//!    ▲                                                                │ the buffer comes back
//!    └────────────────────────────────────────────────────────────────┘
//! ```
//!
//! One buffer a slab, from a fixed number of them: that is the memory, whatever the drive's size.
//! Several readers have many small files in flight; one digest thread sees enough slabs at once to
//! keep its lanes busy; the writers' target encrypts in place. The collector gets the slabs in the
//! drive's order, whatever order they were finished in.
//!
//! Invariant: the cutter takes the buffers, in the slabs' order. So the oldest slab under way always
//! has one, and a stage that needs slabs in order cannot wait for ever.

use std::collections::BTreeMap;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use block::pool::ArenaError;
use block::{Buffer, BufferPool, PoolConfig, WriteAt, WriteError};
use crossbeam_channel::{Receiver, Sender, bounded, unbounded};
use digests::Kernel;
use model::Md5Digest;

use super::digest::{Digester, Hashed};
use super::slab::{Piece, Slab};
use super::source::{SourceFault, Sources};
use super::whole::WholeFiles;
use crate::work::{ItemId, Work};

/// Threads that read: enough that small files on a disk or a network share are asked for together.
const READERS: usize = 8;
/// Threads that encrypt and write: while one waits for the medium the other one encrypts.
const WRITERS: usize = 2;
/// How long the first slab of a digest's batch waits for others to share the lanes.
const LINGER: Duration = Duration::from_millis(20);

/// The buffers that all slabs live in.
pub struct Buffers {
    free: Receiver<Buffer>,
    home: Sender<Buffer>,
    slab_bytes: usize,
    count: usize,
}

impl Buffers {
    /// As many buffers of `slab_bytes` as fit into `budget_bytes`, at least two and at most `needed`.
    ///
    /// # Errors
    /// When the operating system gives no memory.
    pub fn new(slab_bytes: usize, budget_bytes: usize, needed: u64) -> Result<Buffers, ArenaError> {
        let needed = usize::try_from(needed).unwrap_or(usize::MAX);
        let count = (budget_bytes / slab_bytes).min(needed).max(2);
        let pool = BufferPool::new(PoolConfig::within(slab_bytes * count))?;
        let (home, free) = unbounded();
        for _ in 0..count {
            let buffer = pool.try_acquire(slab_bytes).ok().flatten().expect("the pool holds that many");
            home.send(buffer).expect("the receiver is at hand");
        }
        Ok(Buffers { free, home, slab_bytes, count })
    }

    /// How long each of them is.
    pub fn slab_bytes(&self) -> usize {
        self.slab_bytes
    }

    fn take(&self) -> SlabBuffer {
        let buffer = self.free.recv().expect("the sender is at hand");
        SlabBuffer { buffer: Some(buffer), home: self.home.clone() }
    }
}

/// A buffer that goes home when it is dropped.
struct SlabBuffer {
    buffer: Option<Buffer>,
    home: Sender<Buffer>,
}

impl Deref for SlabBuffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.buffer.as_deref().expect("taken only by drop")
    }
}

impl DerefMut for SlabBuffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        self.buffer.as_deref_mut().expect("taken only by drop")
    }
}

impl Drop for SlabBuffer {
    fn drop(&mut self) {
        if let Some(buffer) = self.buffer.take() {
            // With the buffers gone there is nobody to give it to.
            let _ = self.home.send(buffer);
        }
    }
}

/// A slab whose bytes are on their way to the medium, and what was learnt of them.
#[derive(Debug)]
pub struct Done {
    /// Which slab, from 0.
    pub number: u64,
    /// Its blocks and ranges.
    pub hashed: Vec<Hashed>,
    /// Digests of whole files that ended in it, where they were asked for.
    pub whole: Vec<(ItemId, Md5Digest)>,
    /// Files that must be left out.
    pub faults: Vec<(ItemId, SourceFault)>,
    /// Bytes read.
    pub length_bytes: u64,
    /// Files that ended in it.
    pub file_count: u64,
}

/// What is copied, and how.
pub struct Pipeline<'a> {
    /// The items.
    pub work: &'a Work,
    /// Where their bytes come from.
    pub sources: &'a dyn Sources,
    /// Where the drive's plaintext goes.
    pub target: &'a dyn WriteAt,
    /// The memory.
    pub buffers: &'a Buffers,
    /// Set from outside: no new slab is begun, those under way are finished.
    pub stop: &'a AtomicBool,
    /// The first slab that is not on the drive yet.
    pub first_slab: u64,
}

/// A slab on its way.
struct Filled {
    slab: Slab,
    buffer: SlabBuffer,
    faults: Vec<(ItemId, SourceFault)>,
    hashed: Vec<Hashed>,
    whole: Vec<(ItemId, Md5Digest)>,
}

impl Pipeline<'_> {
    /// Copies what `cut` cuts: it gives slabs to the function it is called with until that says stop.
    ///
    /// `collect` gets every finished slab in the drive's order; its error ends the copy.
    ///
    /// # Errors
    /// The first write that failed, or `collect`'s error.
    pub fn run<E: From<WriteError>>(
        &self,
        cut: impl FnOnce(&mut dyn FnMut(Slab) -> bool) + Send,
        mut collect: impl FnMut(Done) -> Result<(), E>,
    ) -> Result<(), E> {
        let given_up = AtomicBool::new(false);
        let (to_read, cut_slabs) = bounded(READERS);
        let (read, to_digest) = unbounded();
        let (digested, to_write) = unbounded();
        let (written, collected) = unbounded();
        thread::scope(|scope| {
            scope.spawn(|| self.cut(cut, to_read, &given_up));
            for _ in 0..READERS {
                let (cut_slabs, read) = (cut_slabs.clone(), read.clone());
                scope.spawn(move || {
                    cut_slabs.iter().for_each(|(slab, buffer)| send(&read, self.read(slab, buffer)))
                });
            }
            drop(read);
            for _ in 0..digest_threads() {
                let (to_digest, digested) = (to_digest.clone(), digested.clone());
                scope.spawn(move || self.digest(&to_digest, &digested));
            }
            drop(digested);
            let to_write = if self.work.datasets().iter().any(|dataset| dataset.content_md5) {
                let (whole, to_write_then) = unbounded();
                scope.spawn(move || self.whole_files(&to_write, &whole));
                to_write_then
            } else {
                to_write
            };
            for _ in 0..WRITERS {
                let (to_write, written) = (to_write.clone(), written.clone());
                scope.spawn(move || to_write.iter().for_each(|filled| send(&written, self.write(filled))));
            }
            drop((cut_slabs, to_digest, to_write, written));
            let result = self.collect(&collected, &mut collect);
            given_up.store(true, Ordering::Relaxed);
            // Slabs under way must not wait for a receiver that is gone.
            collected.iter().for_each(drop);
            result
        })
    }

    fn cut(
        &self,
        cut: impl FnOnce(&mut dyn FnMut(Slab) -> bool),
        to_read: Sender<(Slab, SlabBuffer)>,
        given_up: &AtomicBool,
    ) {
        cut(&mut |slab| {
            if self.stop.load(Ordering::Relaxed) || given_up.load(Ordering::Relaxed) {
                return false;
            }
            slab.number < self.first_slab || to_read.send((slab, self.buffers.take())).is_ok()
        });
    }

    fn read(&self, slab: Slab, mut buffer: SlabBuffer) -> Filled {
        let mut faults = Vec::new();
        for of_one in slab.pieces.chunk_by(|one, next| one.item == next.item) {
            let Some(first) = of_one.first() else { continue };
            if let Err(fault) = self.read_item(of_one, &mut buffer) {
                faults.push((first.item, fault));
            }
        }
        // Behind each piece up to the next one: the tail of its last cluster, which would otherwise
        // carry what the buffer held before.
        let ends = slab.pieces.iter().skip(1).map(|next| next.at).chain([slab.length]);
        for (piece, end) in slab.pieces.iter().zip(ends).filter(|(piece, _)| !piece.is_hole) {
            buffer[piece.at + piece.length..end].fill(0);
        }
        Filled { slab, buffer, faults, hashed: Vec::new(), whole: Vec::new() }
    }

    /// Reads the pieces of one item; when that fails they are zeros, not somebody else's bytes.
    fn read_item(&self, pieces: &[Piece], buffer: &mut [u8]) -> Result<(), SourceFault> {
        let result = self.sources.read(pieces, buffer);
        if result.is_err() {
            let stored = pieces.iter().filter(|piece| !piece.is_hole);
            stored.for_each(|piece| buffer[piece.at..][..piece.length].fill(0));
        }
        result
    }

    fn digest(&self, to_digest: &Receiver<Filled>, digested: &Sender<Filled>) {
        let mut digester = Digester::default();
        let lane_count = Kernel::best().lanes();
        // The rest of the memory is for reading and writing meanwhile.
        let batch_max = (self.buffers.count * 3 / 8).clamp(1, lane_count);
        while let Ok(first) = to_digest.recv() {
            let mut batch = vec![first];
            let deadline = Instant::now() + LINGER;
            let pieces =
                |batch: &[Filled]| batch.iter().map(|filled| filled.slab.pieces.len()).sum::<usize>();
            while batch.len() < batch_max
                && pieces(&batch) < lane_count
                && let Ok(next) = to_digest.recv_deadline(deadline)
            {
                batch.push(next);
            }
            // A disk likes ascending writes.
            batch.sort_by_key(|filled| filled.slab.number);
            let slabs: Vec<(&Slab, &[u8])> =
                batch.iter().map(|filled| (&filled.slab, &*filled.buffer)).collect();
            let found = digester.digest(&slabs, |item| self.work.item(item).length_bytes());
            for (mut filled, hashed) in batch.into_iter().zip(found) {
                filled.hashed = hashed;
                send(digested, filled);
            }
        }
    }

    /// Digests whole files along their slabs: one chain a file, so in the slabs' order.
    fn whole_files(&self, to_chain: &Receiver<Filled>, chained: &Sender<Filled>) {
        let mut chains = WholeFiles::new(self.work, self.sources);
        let mut waiting = BTreeMap::new();
        let mut next = self.first_slab;
        for filled in to_chain {
            waiting.insert(filled.slab.number, filled);
            while let Some(mut filled) = waiting.remove(&next) {
                let ended = chains.slab(&filled.slab, &filled.buffer, &filled.hashed);
                filled.whole = ended.whole;
                filled.faults.extend(ended.faults);
                send(chained, filled);
                next += 1;
            }
        }
    }

    fn write(&self, filled: Filled) -> Result<Done, WriteError> {
        let Filled { slab, mut buffer, faults, hashed, whole } = filled;
        for write in &slab.writes {
            let bytes = &mut buffer[write.at..][..write.length];
            self.target.write_all_at(bytes, write.volume_offset_bytes)?;
        }
        let length_bytes = slab.pieces.iter().map(|piece| piece.length as u64).sum();
        let file_count = slab.pieces.iter().filter(|piece| piece.is_last).count() as u64;
        Ok(Done { number: slab.number, hashed, whole, faults, length_bytes, file_count })
    }

    fn collect<E: From<WriteError>>(
        &self,
        collected: &Receiver<Result<Done, WriteError>>,
        collect: &mut impl FnMut(Done) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut waiting = BTreeMap::new();
        let mut next = self.first_slab;
        for done in collected {
            let done = done?;
            waiting.insert(done.number, done);
            while let Some(done) = waiting.remove(&next) {
                collect(done)?;
                next += 1;
            }
        }
        Ok(())
    }
}

/// A receiver that is gone has failed, and says so itself.
fn send<T>(to: &Sender<T>, what: T) {
    let _ = to.send(what);
}

/// One thread hashes several GB/s where the processor has wide lanes; without them every core is needed.
fn digest_threads() -> usize {
    if Kernel::best().lanes() >= 8 { 1 } else { thread::available_parallelism().map_or(1, usize::from) }
}

#[cfg(test)]
mod tests;

//! Filled ──**digest**──▶ Verified: the proof that a chunk holds the bytes the customer hashed.
//!
//! A fixed pool of threads, shared by all bays, takes filled spans, several at once. Decryption
//! and digest work on slices that stay in the cache: a slice of each of up to thirty-two chunks is
//! decrypted in place, then fed to the lanes of one SIMD digest, then the next slice. Chunks of
//! different lengths, files and bays share the lanes; a lane that ends takes the next chunk.
//!
//! [`Verified`] can be made only here, by a digest that matched.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bitlocker::SectorCipher;
use block::Buffer;
use bytes::Bytes;
use crossbeam_channel::{Receiver, Sender};
use model::Md5Digest;
use tokio::sync::mpsc;

use crate::chunk::Provable;
use crate::plan::{Decrypt, SpanChunk};
use digests::{Crc64, Lane, LaneSet};

/// A span whose reads are done.
pub struct Filled<C> {
    /// The bytes as stored.
    pub buffer: Buffer,
    /// What to decrypt in it.
    pub decrypts: Vec<Decrypt>,
    /// What to fill with zeros.
    pub zeros: Vec<Range<usize>>,
    /// The chunks in it.
    pub chunks: Vec<SpanChunk<C>>,
    /// The volume's cipher; none for a volume that is not encrypted (any more).
    pub cipher: Option<Arc<SectorCipher>>,
    /// Where the verdicts go, one a chunk. Unbounded: each verdict holds a part of a buffer, and
    /// the buffers are bounded.
    pub verdicts: mpsc::UnboundedSender<Verdict<C>>,
    /// Told when the verdicts are; dropped without, it says that the worker died.
    pub watch: Box<dyn SpanWatch>,
}

/// Looks after a span while it is with the digest pool.
pub trait SpanWatch: Send {
    /// All its verdicts were told. Not called when a worker panicked.
    fn told(self: Box<Self>);
}

/// What the digest said of a chunk.
pub enum Verdict<C> {
    /// The bytes are the customer's.
    Verified(Verified<C>),
    /// They are not, this time.
    Mismatch {
        /// The chunk.
        chunk: C,
        /// The digest that was found.
        found: Md5Digest,
    },
}

/// A chunk whose bytes match the manifest's MD5.
///
/// Nothing else makes one, and the station puts nothing else, so a wrong byte cannot be
/// uploaded.
pub struct Verified<C> {
    chunk: C,
    bytes: Bytes,
    crc64: u64,
}

impl<C> Verified<C> {
    /// Which chunk.
    pub fn chunk(&self) -> &C {
        &self.chunk
    }

    /// CRC-64/NVME of the bytes, for the verbose log.
    pub fn crc64(&self) -> u64 {
        self.crc64
    }

    /// The bytes; still in the buffer that the drive filled.
    pub fn into_bytes(self) -> Bytes {
        self.bytes
    }

    /// The chunk, when its bytes are not needed any more.
    pub fn into_chunk(self) -> C {
        self.chunk
    }
}

/// Bytes a lane is fed at a time. 32 lanes × 16 KiB = 512 KiB, a quarter of the L2 cache of the
/// build machine's class, so that what was decrypted is still there when it is digested.
const SLICE_BYTES: usize = 16 << 10;

/// A worker takes at most this many bytes of chunks at a time: 24 chunks of 4 MiB. The digest's
/// price a byte falls with the lanes that are busy (0.35 CPU-s/GB with 8, 0.14 with 24), and what
/// one batch holds is kept from reads and puts.
const BATCH_BYTES_MAX: usize = 96 << 20;

/// How long the first chunk of a batch waits for others to share the lanes. A drive of 1 GB/s
/// brings ten chunks of 4 MiB in that time; a slow drive leaves the processor idle anyway.
const LINGER: Duration = Duration::from_millis(40);

/// The threads that decrypt and digest.
pub struct DigestPool<C> {
    queue: Option<Sender<Filled<C>>>,
    decrypt_nanoseconds: Arc<AtomicU64>,
    workers: Vec<JoinHandle<()>>,
}

impl<C: Provable> DigestPool<C> {
    /// Starts the threads.
    ///
    /// # Errors
    /// When the operating system gives no thread.
    pub fn start(worker_count: usize) -> std::io::Result<DigestPool<C>> {
        let (queue, filled) = crossbeam_channel::unbounded();
        let decrypt_nanoseconds = Arc::new(AtomicU64::new(0));
        let workers = (0..worker_count.max(1))
            .map(|index| {
                let (filled, decrypt) = (filled.clone(), Arc::clone(&decrypt_nanoseconds));
                std::thread::Builder::new()
                    .name(format!("digest-{index}"))
                    .spawn(move || work(&filled, &decrypt))
            })
            .collect::<Result<Vec<_>, _>>()?;
        Ok(DigestPool { queue: Some(queue), decrypt_nanoseconds, workers })
    }

    /// What part of the threads' time was decryption, in seconds.
    pub fn decrypt_seconds(&self) -> f64 {
        Duration::from_nanos(self.decrypt_nanoseconds.load(Relaxed)).as_secs_f64()
    }

    /// Hands a span over. The queue is unbounded because what is in it holds buffers, which are
    /// bounded.
    pub fn submit(&self, filled: Filled<C>) {
        let queue = self.queue.as_ref().expect("the queue is closed only by drop");
        queue.send(filled).expect("workers end only when the queue is closed");
    }
}

impl<C> Drop for DigestPool<C> {
    fn drop(&mut self) {
        self.queue = None;
        for worker in self.workers.drain(..) {
            if worker.join().is_err() {
                tracing::error!("a digest worker panicked");
            }
        }
    }
}

fn work<C: Provable>(queue: &Receiver<Filled<C>>, decrypt_nanoseconds: &AtomicU64) {
    let mut lanes = LaneSet::new();
    while let Ok(first) = queue.recv() {
        let mut batch = Batch::default();
        batch.add(first);
        let deadline = Instant::now() + LINGER;
        while batch.wants_more(lanes.lanes())
            && let Ok(next) = queue.recv_deadline(deadline)
        {
            batch.add(next);
        }
        let (spans, decrypting) = batch.digest(&mut lanes);
        decrypt_nanoseconds.fetch_add(u64::try_from(decrypting.as_nanos()).unwrap_or(u64::MAX), Relaxed);
        spans.into_iter().for_each(Opened::tell);
    }
}

/// Spans that are digested together.
struct Batch<C> {
    spans: Vec<Opened<C>>,
    chunk_count: usize,
    chunk_bytes: usize,
    decrypting: Duration,
}

impl<C> Default for Batch<C> {
    fn default() -> Self {
        Batch { spans: Vec::new(), chunk_count: 0, chunk_bytes: 0, decrypting: Duration::ZERO }
    }
}

/// A span being decrypted from its beginning on.
struct Opened<C> {
    filled: Filled<C>,
    /// Everything before this place is decrypted.
    decrypted_bytes: usize,
    next_decrypt: usize,
    digests: Vec<(Md5Digest, u64)>,
}

/// A chunk in a lane.
struct Running {
    lane: Lane,
    span: usize,
    chunk: usize,
    rest: Range<usize>,
    crc64: Crc64,
}

impl<C: Provable> Batch<C> {
    fn wants_more(&self, lane_count: usize) -> bool {
        self.chunk_count < lane_count && self.chunk_bytes < BATCH_BYTES_MAX
    }

    fn add(&mut self, filled: Filled<C>) {
        self.chunk_count += filled.chunks.len();
        self.chunk_bytes += filled.buffer.len();
        self.spans.push(Opened::new(filled));
    }

    fn digest(mut self, lanes: &mut LaneSet) -> (Vec<Opened<C>>, Duration) {
        let mut waiting: Vec<(usize, usize)> = (0..self.spans.len())
            .flat_map(|span| (0..self.spans[span].filled.chunks.len()).map(move |chunk| (span, chunk)))
            .collect();
        waiting.reverse();
        let mut running: Vec<Running> = Vec::with_capacity(lanes.lanes());
        loop {
            while running.len() < lanes.lanes()
                && let Some((span, chunk)) = waiting.pop()
            {
                let rest = self.spans[span].filled.chunks[chunk].range.clone();
                running.push(Running {
                    lane: lanes.add(rest.len() as u64),
                    span,
                    chunk,
                    rest,
                    crc64: Crc64::new(),
                });
            }
            if running.is_empty() {
                return (self.spans, self.decrypting);
            }
            self.digest_a_slice_each(lanes, &mut running);
            let (ended, going): (Vec<_>, Vec<_>) =
                running.into_iter().partition(|chunk| chunk.rest.is_empty());
            for chunk in ended {
                let md5 = lanes.finish(chunk.lane);
                self.spans[chunk.span].digests[chunk.chunk] = (md5, chunk.crc64.value());
            }
            running = going;
        }
    }

    fn digest_a_slice_each(&mut self, lanes: &mut LaneSet, running: &mut [Running]) {
        let started = of_this_thread();
        for chunk in running.iter() {
            let end = chunk.rest.end.min(chunk.rest.start + SLICE_BYTES);
            self.spans[chunk.span].decrypt_up_to(end);
        }
        self.decrypting += of_this_thread().saturating_sub(started);
        let slices: Vec<(Lane, &[u8])> = running
            .iter_mut()
            .map(|chunk| {
                let end = chunk.rest.end.min(chunk.rest.start + SLICE_BYTES);
                let slice = &self.spans[chunk.span].filled.buffer[chunk.rest.start..end];
                chunk.rest.start = end;
                chunk.crc64.update(slice);
                (chunk.lane, slice)
            })
            .collect();
        lanes.update(&slices);
    }
}

impl<C: Provable> Opened<C> {
    fn new(filled: Filled<C>) -> Opened<C> {
        let digests = vec![(Md5Digest([0; 16]), 0); filled.chunks.len()];
        let mut opened = Opened { filled, decrypted_bytes: 0, next_decrypt: 0, digests };
        if !opened.filled.zeros.is_empty() {
            // Zeros lie over the widened ends of decrypted runs, so they come last: rare, so at once.
            opened.decrypt_up_to(usize::MAX);
            for range in std::mem::take(&mut opened.filled.zeros) {
                opened.filled.buffer[range].fill(0);
            }
        }
        opened
    }

    /// Decrypts what is still encrypted before `end`.
    fn decrypt_up_to(&mut self, end: usize) {
        while let Some(run) = self.filled.decrypts.get(self.next_decrypt)
            && self.decrypted_bytes.max(run.buffer_offset_bytes) < end
        {
            let run_end = run.buffer_offset_bytes + run.length_bytes;
            let start = self.decrypted_bytes.max(run.buffer_offset_bytes);
            // Slices are multiples of 4096, so only a run's end cuts one short, and a run is whole sectors.
            let stop = if end >= run_end {
                run_end
            } else {
                run_end.min(start + (end - start).div_ceil(4096) * 4096)
            };
            let volume_offset_bytes = run.volume_offset_bytes + (start - run.buffer_offset_bytes) as u64;
            if let Some(cipher) = &self.filled.cipher {
                cipher
                    .decrypt(volume_offset_bytes, &mut self.filled.buffer[start..stop])
                    .expect("the plan decrypts whole sectors");
            }
            self.decrypted_bytes = stop;
            if stop == run_end {
                self.next_decrypt += 1;
            }
        }
    }

    /// Compares the digests with the manifest's and tells the verdicts.
    fn tell(self) {
        let Opened { filled: Filled { buffer, chunks, verdicts, watch, .. }, digests, .. } = self;
        let bytes = Bytes::from_owner(buffer);
        for (SpanChunk { tag: chunk, range }, (found, crc64)) in chunks.into_iter().zip(digests) {
            let verdict = if found == chunk.entry().md5 {
                Verdict::Verified(Verified { chunk, bytes: bytes.slice(range), crc64 })
            } else {
                Verdict::Mismatch { chunk, found }
            };
            // A copy that was given up no longer listens; its buffers come back by being dropped.
            let _ = verdicts.send(verdict);
        }
        watch.told();
    }
}

/// Processor time of the calling thread.
fn of_this_thread() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::try_from(now).unwrap_or_default()
}

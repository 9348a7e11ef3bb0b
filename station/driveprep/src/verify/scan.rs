//! All chunks of a drive, read in the drive's order and digested.
//!
//! ```text
//! this thread ─jobs─▶ reader ─done─▶ collector ─▶ digest pool ─verdicts─▶ judge ─▶ findings
//!      ▲                                 │                                  │
//!      └────────── looks again ◀─────────┴──────────────────────────────────┘
//! ```
//! Chunks are gathered into windows, so that memory does not grow with the drive; a window is swept
//! once. Every span in flight holds a buffer of one pool, which bounds everything between the
//! stages. A chunk that fails is read once more, alone, before it is reported.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc as std_mpsc;
use std::thread::JoinHandle;

use anyhow::{Context, anyhow};
use block::{
    Buffer, BufferPool, PoolConfig, ReadDone, ReadErrorKind, ReadJob, ReadPiece, Reader, ReaderConfig,
};
use model::Exit;
use model::Md5Digest;
use model::status::ChunkStatus;
use proof::bring_up::{ManifestTotals, OpenDrive};
use proof::chain;
use proof::chunk::Provable;
use proof::file::read_content;
use proof::plan::{Decrypt, SpanChunk};
use proof::verify::{DigestPool, Filled, SpanWatch, Verdict};
use proof::work::{Sweep, Work, fill_resident};
use tokio::sync::mpsc;

use super::blob::{BadChunk, Blob, Chunk};
use super::findings::Findings;
use crate::console::{Meter, printable};
use crate::failure::Failure;

/// Chunks of a window, as the station has them: 69 GB of 4 MiB blocks, some 20 MB of plan.
const WINDOW_CHUNKS: usize = 1 << 14;
/// A chunk that does not match is looked at this often in all; twice the same digest settles it.
const LOOKS_MAX: usize = 4;
/// Reads of a chunk that the medium fails before it is given up.
const FAILED_READS_MAX: u32 = 2;

/// What the scan did.
#[derive(Debug, Clone, Copy, Default)]
pub struct Counts {
    /// Bytes that were proven.
    pub proven_bytes: u64,
    /// Chunks that were proven.
    pub proven_chunks: u64,
    /// Second looks.
    pub rereads: u64,
}

/// What comes back to the thread that feeds.
enum Look {
    /// This chunk has to be read again, alone.
    Again(Chunk),
    /// A chunk has come to its end.
    Ended,
    /// The drive or this program cannot go on.
    Halt(Halt),
}

/// Why a scan ended early.
enum Halt {
    /// The drive is gone.
    DriveLost(String),
    /// A thread of ours died.
    Broken(&'static str),
}

/// What a read brings back beside its bytes.
struct ReadTag {
    decrypts: Vec<Decrypt>,
    zeros: Vec<std::ops::Range<usize>>,
    chunks: Vec<SpanChunk<Chunk>>,
}

/// What all threads of a scan share.
struct Shared {
    drive: Arc<OpenDrive>,
    findings: Arc<Findings>,
    meter: Meter,
    looks: std_mpsc::Sender<Look>,
    proven_bytes: AtomicU64,
    proven_chunks: AtomicU64,
    rereads: AtomicU64,
}

/// A scan under way.
pub struct Scan {
    shared: Arc<Shared>,
    pool: BufferPool,
    runtime: tokio::runtime::Runtime,
    fill: Fill,
    jobs: mpsc::Sender<ReadJob<ReadTag>>,
    looks: std_mpsc::Receiver<Look>,
    threads: Vec<JoinHandle<()>>,
    sweep: Sweep<Chunk>,
    /// Chunks that were fed and have not ended.
    open_count: u64,
}

/// How bytes get from a filled buffer to the digest pool.
#[derive(Clone)]
struct Fill {
    shared: Arc<Shared>,
    digests: Arc<DigestPool<Chunk>>,
    verdicts: mpsc::UnboundedSender<Verdict<Chunk>>,
}

impl Scan {
    /// Starts the threads.
    ///
    /// # Errors
    /// When the operating system gives no memory or thread.
    pub fn start(
        drive: Arc<OpenDrive>,
        totals: ManifestTotals,
        findings: Arc<Findings>,
        buffer_mib: u32,
    ) -> Result<Scan, Failure> {
        let pool = BufferPool::new(PoolConfig::within(buffer_mib as usize * (1 << 20)))
            .context("taking memory for the drive's buffers")
            .map_err(Failure::fatal)?;
        let runtime = tokio::runtime::Builder::new_current_thread().build().map_err(Failure::fatal)?;
        let (looks, looks_in) = std_mpsc::channel();
        let meter = findings.console().meter("blobs", totals.chunk_bytes, totals.blob_count);
        let target = drive.target.clone();
        let shared = Arc::new(Shared {
            drive,
            findings,
            meter,
            looks,
            proven_bytes: AtomicU64::new(0),
            proven_chunks: AtomicU64::new(0),
            rereads: AtomicU64::new(0),
        });
        // Half of the processors: one thread digests some GB/s, and cheaper a byte than two.
        let workers = std::thread::available_parallelism().map_or(1, |count| count.get().div_ceil(2));
        let digests = Arc::new(DigestPool::start(workers).map_err(Failure::fatal)?);
        let (verdicts, verdicts_in) = mpsc::unbounded_channel();
        let fill = Fill { shared: Arc::clone(&shared), digests, verdicts };
        let config = ReaderConfig::default();
        let (jobs, jobs_in) = mpsc::channel(config.queue_depth);
        let (done, done_in) = mpsc::channel(config.queue_depth);
        // Ends by itself when `jobs` is dropped; the collector tells when it ended too early.
        let reader = Reader::start(target, &pool, config, jobs_in, done);
        let threads = vec![
            spawn("collect", &shared, {
                let fill = fill.clone();
                move || collect(&fill, done_in, reader)
            })?,
            spawn("judge", &shared, {
                let shared = Arc::clone(&shared);
                move || judge(&shared, verdicts_in)
            })?,
        ];
        let sweep = Sweep::default();
        Ok(Scan { shared, pool, runtime, fill, jobs, looks: looks_in, threads, sweep, open_count: 0 })
    }

    /// Takes an entry in; one without chunks to read is judged at once.
    ///
    /// # Errors
    /// When the drive is gone, or a thread of ours.
    pub fn add(&mut self, blob: Blob) -> Result<(), Failure> {
        let blob = Arc::new(blob);
        let indexes = blob.open();
        if indexes.is_empty() {
            self.shared.end_blob(&blob);
        }
        for index in indexes {
            self.sweep.add(&self.shared.drive, Chunk::new(&blob, index));
            if self.sweep.len() >= WINDOW_CHUNKS {
                self.feed_window()?;
            }
        }
        Ok(())
    }

    /// Waits for everything that was added.
    ///
    /// # Errors
    /// As [`Scan::add`].
    pub fn finish(mut self) -> Result<Counts, Failure> {
        self.feed_window()?;
        while self.open_count > 0 {
            let look = self.looks.recv().expect("this scan holds a sender itself");
            self.take(look)?;
        }
        let Scan { shared, fill, jobs, threads, .. } = self;
        drop((jobs, fill));
        for thread in threads {
            if thread.join().is_err() {
                return Err(Failure::fatal(anyhow!("a thread of the scan panicked")));
            }
        }
        Ok(Counts {
            proven_bytes: shared.proven_bytes.load(Relaxed),
            proven_chunks: shared.proven_chunks.load(Relaxed),
            rereads: shared.rereads.load(Relaxed),
        })
    }

    fn feed_window(&mut self) -> Result<(), Failure> {
        let sweep = std::mem::take(&mut self.sweep);
        self.open_count += sweep.len() as u64;
        for work in sweep.into_work(&Arc::clone(&self.shared.drive)) {
            self.feed(work)?;
            while let Ok(look) = self.looks.try_recv() {
                self.take(look)?;
            }
        }
        Ok(())
    }

    fn take(&mut self, look: Look) -> Result<(), Failure> {
        match look {
            Look::Ended => {
                self.open_count -= 1;
                Ok(())
            }
            Look::Again(chunk) => {
                self.shared.rereads.fetch_add(1, Relaxed);
                let mut alone = Sweep::default();
                alone.add(&self.shared.drive, chunk);
                let work = alone.into_work(&Arc::clone(&self.shared.drive));
                work.into_iter().try_for_each(|work| self.feed(work))
            }
            Look::Halt(Halt::DriveLost(text)) => {
                let cause = anyhow!("{text}; the drive cannot be reached any more");
                Err(Failure::new(Exit::MediaErrors, cause))
            }
            Look::Halt(Halt::Broken(who)) => Err(Failure::fatal(anyhow!("the scan's {who} has ended early"))),
        }
    }

    fn feed(&mut self, work: Work<Chunk>) -> Result<(), Failure> {
        let mut buffer = self
            .runtime
            .block_on(self.pool.acquire(work.buffer_bytes()))
            .context("one block needs more than all buffers: raise --buffer-mib")
            .map_err(Failure::usage)?;
        match work {
            Work::Read(span) => {
                let pieces = span.reads.iter().map(|read| ReadPiece {
                    device_offset_bytes: read.device_offset_bytes,
                    buffer_offset_bytes: read.buffer_offset_bytes,
                    length_bytes: read.length_bytes,
                });
                let pieces = pieces.collect();
                let tag = ReadTag { decrypts: span.decrypts, zeros: span.zeros, chunks: span.chunks };
                let sent = self.jobs.blocking_send(ReadJob { tag, buffer, pieces });
                sent.map_err(|_| Failure::fatal(anyhow!("the drive's reader has ended early")))
            }
            Work::Resident(chunks) => {
                fill_resident(&chunks, &mut buffer);
                self.fill.submit(buffer, ReadTag { decrypts: Vec::new(), zeros: Vec::new(), chunks });
                Ok(())
            }
            Work::Decode(chunk) => {
                self.decode(chunk, buffer);
                Ok(())
            }
        }
    }

    fn decode(&self, chunk: Chunk, mut buffer: Buffer) {
        let drive = &self.shared.drive;
        match read_content(drive, chunk.content(), chunk.entry().offset_bytes, &mut buffer) {
            Ok(()) => {
                let chunks = vec![SpanChunk { tag: chunk, range: 0..buffer.len() }];
                self.fill.submit(buffer, ReadTag { decrypts: Vec::new(), zeros: Vec::new(), chunks });
            }
            Err(error) if !drive.is_present() => self.shared.halt(Halt::DriveLost(chain(&error))),
            Err(error) => {
                self.shared.note_read_error(&chunk, &chain(&error));
                self.shared.end_chunk(chunk, Some((ChunkStatus::IOFailed, None)));
            }
        }
    }
}

impl Fill {
    fn submit(&self, buffer: Buffer, tag: ReadTag) {
        let ReadTag { decrypts, zeros, chunks } = tag;
        let cipher = self.shared.drive.volume.cipher().cloned();
        let watch = Box::new(Digesting { looks: self.shared.looks.clone(), told: false });
        let verdicts = self.verdicts.clone();
        self.digests.submit(Filled { buffer, decrypts, zeros, chunks, cipher, verdicts, watch });
    }
}

/// A span that never comes back from the digest pool would be waited for.
struct Digesting {
    looks: std_mpsc::Sender<Look>,
    told: bool,
}

impl SpanWatch for Digesting {
    fn told(mut self: Box<Self>) {
        self.told = true;
    }
}

impl Drop for Digesting {
    fn drop(&mut self) {
        if !self.told {
            // Nobody listening: the scan is over anyway.
            let _ = self.looks.send(Look::Halt(Halt::Broken("digest worker")));
        }
    }
}

fn spawn(
    name: &'static str,
    shared: &Arc<Shared>,
    work: impl FnOnce() + Send + 'static,
) -> Result<JoinHandle<()>, Failure> {
    let guard = HaltOnPanic(Arc::clone(shared), name);
    let body = move || {
        let _guard = guard;
        work();
    };
    std::thread::Builder::new().name(name.to_owned()).spawn(body).map_err(Failure::fatal)
}

struct HaltOnPanic(Arc<Shared>, &'static str);

impl Drop for HaltOnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.halt(Halt::Broken(self.1));
        }
    }
}

/// Filled spans go to the digest pool; what could not be read is looked at again, alone.
fn collect(fill: &Fill, mut done: mpsc::Receiver<ReadDone<ReadTag>>, reader: Reader) {
    while let Some(ReadDone { tag, buffer, outcome, .. }) = done.blocking_recv() {
        match outcome {
            Ok(()) => fill.submit(buffer, tag),
            Err(error) if error.kind == ReadErrorKind::Gone || !fill.shared.drive.is_present() => {
                fill.shared.halt(Halt::DriveLost(chain(&error)));
            }
            Err(error) => {
                drop(buffer);
                for chunk in tag.chunks {
                    fill.shared.read_failed(chunk.tag, &error);
                }
            }
        }
    }
    if reader.join().is_err() {
        fill.shared.halt(Halt::Broken("reader"));
    }
}

fn judge(shared: &Shared, mut verdicts: mpsc::UnboundedReceiver<Verdict<Chunk>>) {
    while let Some(verdict) = verdicts.blocking_recv() {
        match verdict {
            Verdict::Verified(verified) => shared.end_chunk(verified.into_chunk(), None),
            Verdict::Mismatch { chunk, found } => shared.mismatch(chunk, found),
        }
    }
}

impl Shared {
    fn halt(&self, halt: Halt) {
        self.tell(Look::Halt(halt));
    }

    fn tell(&self, look: Look) {
        // Nobody listening: the scan has been given up.
        let _ = self.looks.send(look);
    }

    fn end_chunk(&self, chunk: Chunk, bad: Option<(ChunkStatus, Option<Md5Digest>)>) {
        let length_bytes = chunk.entry().length_bytes;
        self.meter.add(length_bytes, 0);
        if bad.is_none() {
            self.proven_bytes.fetch_add(length_bytes, Relaxed);
            self.proven_chunks.fetch_add(1, Relaxed);
        }
        let bad = bad.map(|(status, found)| BadChunk { index: chunk.index, status, found });
        if chunk.blob.end_chunk(bad) {
            self.end_blob(&chunk.blob);
        }
        self.tell(Look::Ended);
    }

    fn end_blob(&self, blob: &Blob) {
        self.findings.blob(blob);
        self.meter.add(0, 1);
    }

    /// Twice the same wrong bytes are the file's; other bytes each time are a bad cable or a dying
    /// drive, and no verdict on the file.
    fn mismatch(&self, mut chunk: Chunk, found: Md5Digest) {
        let settled = chunk.mismatches.contains(&found);
        chunk.mismatches.push(found);
        if settled {
            self.end_chunk(chunk, Some((ChunkStatus::Corrupted, Some(found))));
        } else if chunk.mismatches.len() < LOOKS_MAX {
            self.tell(Look::Again(chunk));
        } else {
            self.end_chunk(chunk, Some((ChunkStatus::IOFailed, None)));
        }
    }

    /// An unreadable sector fails the chunks that it touches, and no other.
    fn read_failed(&self, mut chunk: Chunk, error: &block::ReadError) {
        chunk.failed_reads += 1;
        if chunk.failed_reads < FAILED_READS_MAX {
            self.tell(Look::Again(chunk));
            return;
        }
        self.note_read_error(&chunk, &chain(error));
        self.end_chunk(chunk, Some((ChunkStatus::IOFailed, None)));
    }

    fn note_read_error(&self, chunk: &Chunk, error: &str) {
        let entry = chunk.entry();
        let text =
            format!("{} at byte {}: {error}", printable(&chunk.blob.entry.file_path), entry.offset_bytes);
        self.findings.console().warn(&text);
    }
}

//! The stages, started, joined by bounded channels, and brought to their end.
//!
//! ```text
//! planner thread ─windows─▶ feeder ─jobs─▶ reader thread ─done─▶ collector ─▶ digest pool ─▶ judge ─▶ puts ─▶ commits
//!                             ▲                                     │                         │         │
//!                             └──────────── looks again ◀───────────┴─────────────────────────┘         │
//!                             └──────────── starts over ◀───────────────────────────────────────────────┘
//! ```
//!
//! What goes in: an open drive and a [`Run`]. What comes out: every blob of the manifest has an
//! outcome in the ledger, or the run was halted and says why. Every span in flight holds a buffer
//! and buffers come from one pool, so nothing between the stages can grow without bound; at the end
//! the pool must be whole again.
//!
//! # Ending
//! The copy is done when the planner has come to the manifest's end and `unfinished` is zero. When
//! it is halted the feeder stops, what is in flight comes to its end (puts are cut off after
//! [`GRACE`]), and blobs without outcome are left to the next run.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use block::{Buffer, BufferPool, ReadDone, ReadErrorKind, ReadJob, ReadPiece, Reader, ReaderConfig};
use model::drive::Suspension;
use model::status::ChunkStatus;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinSet;

use crate::blob::{Blob, Chunk, Earlier};
use crate::commit;
use crate::cpu;
use crate::put::{end_chunk, put};
use crate::run::{Halt, Notice, Run};
use crate::window::{Window, plan_again, plan_all, plan_chunk};
use proof::bring_up::OpenDrive;
use proof::chain;
use proof::chunk::Provable;
use proof::file::read_content;
use proof::plan::{Decrypt, Span, SpanChunk};
use proof::verify::{DigestPool, Filled, SpanWatch, Verdict};
use proof::work::{Work, fill_resident};

/// How long puts that are under way may go on after a halt.
const GRACE: Duration = Duration::from_secs(10);

/// The pool is looked at this often after the copy, two seconds in all.
const BUFFER_LOOKS: u32 = 200;
const BUFFER_LOOK_EVERY: Duration = Duration::from_millis(10);

/// Puts at the same time. The account's own limiter decides how many of them are on the wire; this
/// bounds the tasks that small blobs make.
const PUTS_MAX: usize = 256;

/// Compressed chunks decoded at the same time: it is CPU work, beside the digest pool's.
const DECODES_MAX: usize = 2;

/// A chunk that does not match is looked at this often in all. Twice the same digest settles it
/// earlier.
const LOOKS_MAX: usize = 4;

/// Reads of a chunk that the medium fails before its block is given up.
const FAILED_READS_MAX: u32 = 2;

/// What the copy needs beside the drive and the run.
pub struct CopyConfig {
    /// Buffers; shared by nobody else.
    pub pool: BufferPool,
    /// Decrypting and digesting threads, shared by all bays.
    pub digests: Arc<DigestPool<Chunk>>,
    /// How the drive is read.
    pub reader: ReaderConfig,
}

/// What the ledger already knows.
pub struct Known {
    /// Blobs with an outcome.
    pub done: Box<dyn Fn(u64) -> bool + Send>,
    /// Blobs that were begun.
    pub earlier: HashMap<u64, (u32, Earlier)>,
}

/// What has to come through the reader again.
type LookAgain = mpsc::UnboundedSender<Chunk>;

/// Copies every blob that has no outcome yet.
///
/// # Errors
/// Why it was halted; everything that was done is in the ledger.
pub async fn copy(
    run: Arc<Run>,
    drive: Arc<OpenDrive>,
    config: &CopyConfig,
    known: Known,
    restarts: mpsc::UnboundedReceiver<Arc<Blob>>,
) -> Result<(), Halt> {
    let (jobs, jobs_in) = mpsc::channel(config.reader.queue_depth.max(1));
    let (done, done_in) = mpsc::channel(config.reader.queue_depth.max(1));
    let reader = Reader::start(drive.target.clone(), &config.pool, config.reader, jobs_in, done);
    // Nobody listening is no reason to stop.
    let _ = run.notices.send(Notice::ReaderMode(reader.mode().to_string()));
    let (windows, windows_in) = mpsc::channel(1);
    let planner = spawn_planner(Arc::clone(&run), Arc::clone(&drive), known, windows);
    let (again, again_in) = mpsc::unbounded_channel();
    let (verdicts, verdicts_in) = mpsc::unbounded_channel();
    let fill = Fill {
        run: Arc::clone(&run),
        drive: Arc::clone(&drive),
        digests: Arc::clone(&config.digests),
        verdicts,
    };
    let collector = tokio::spawn(collect(fill.clone(), done_in, again.clone()));
    let judge = tokio::spawn(judge(Arc::clone(&run), verdicts_in, again));
    let feeder = Feeder {
        pool: config.pool.clone(),
        fill,
        jobs,
        decodes: Arc::new(Semaphore::new(DECODES_MAX)),
        concludes: JoinSet::new(),
        drive: Arc::clone(&drive),
    };
    feeder.feed(windows_in, again_in, restarts).await;
    join(&run, "planner", planner).await;
    join(&run, "collector", collector).await;
    join(&run, "judge", judge).await;
    if let Err(error) = reader.finished().await {
        run.halt(Suspension::StationFault, chain(&error));
    }
    run.progress.note_stages(&cpu::by_stage());
    run.progress.buffers_left_bytes.add(left_in_use(&config.pool).await as u64);
    let halt = run.halt.borrow().clone();
    halt.map_or(Ok(()), Err)
}

/// What is still out of the pool, once the HTTP client has had time to drop the last bodies.
async fn left_in_use(pool: &BufferPool) -> usize {
    for _ in 0..BUFFER_LOOKS {
        if pool.in_use_bytes() == 0 {
            return 0;
        }
        tokio::time::sleep(BUFFER_LOOK_EVERY).await;
    }
    let left_bytes = pool.in_use_bytes();
    if left_bytes > 0 {
        tracing::error!(left_bytes, "buffers did not come back");
    }
    left_bytes
}

async fn join(run: &Run, name: &str, task: tokio::task::JoinHandle<()>) {
    if task.await.is_err() {
        run.halt(Suspension::StationFault, format!("the copy's {name} panicked"));
    }
}

fn spawn_planner(
    run: Arc<Run>,
    drive: Arc<OpenDrive>,
    known: Known,
    windows: mpsc::Sender<Window>,
) -> tokio::task::JoinHandle<()> {
    tokio::task::spawn_blocking(move || {
        let _guard = HaltOnPanic(Arc::clone(&run), "planner");
        if let Err(error) = plan_all(&run, &drive, &known.done, known.earlier, &windows) {
            run.halt(Suspension::DriveLost, chain(&error));
        }
    })
}

/// How bytes get from a filled buffer to the digest pool.
#[derive(Clone)]
struct Fill {
    run: Arc<Run>,
    drive: Arc<OpenDrive>,
    digests: Arc<DigestPool<Chunk>>,
    verdicts: mpsc::UnboundedSender<Verdict<Chunk>>,
}

impl Fill {
    fn submit(
        &self,
        buffer: Buffer,
        decrypts: Vec<Decrypt>,
        zeros: Vec<std::ops::Range<usize>>,
        chunks: Vec<SpanChunk<Chunk>>,
    ) {
        self.run.progress.digesting.enter();
        let cipher = self.drive.volume.cipher().cloned();
        let verdicts = self.verdicts.clone();
        let watch = Box::new(Digesting { run: Arc::clone(&self.run), told: false });
        self.digests.submit(Filled { buffer, decrypts, zeros, chunks, cipher, verdicts, watch });
    }
}

/// Counts a span that is with the digest pool; one that never comes back ends the copy, which would
/// otherwise wait for it.
struct Digesting {
    run: Arc<Run>,
    told: bool,
}

impl SpanWatch for Digesting {
    fn told(mut self: Box<Self>) {
        self.told = true;
    }
}

impl Drop for Digesting {
    fn drop(&mut self) {
        self.run.progress.digesting.leave();
        if !self.told {
            self.run.halt(Suspension::StationFault, "a digest worker panicked".to_owned());
        }
    }
}

/// Halts the copy when the task that holds it panics: the others would wait for it.
struct HaltOnPanic(Arc<Run>, &'static str);

impl Drop for HaltOnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.halt(Suspension::StationFault, format!("the copy's {} panicked", self.1));
        }
    }
}

/// What a read brings back beside its bytes.
struct ReadTag {
    decrypts: Vec<Decrypt>,
    zeros: Vec<std::ops::Range<usize>>,
    chunks: Vec<SpanChunk<Chunk>>,
}

/// Gives buffers to work, in the plan's order.
struct Feeder {
    pool: BufferPool,
    fill: Fill,
    drive: Arc<OpenDrive>,
    jobs: mpsc::Sender<ReadJob<ReadTag>>,
    decodes: Arc<Semaphore>,
    concludes: JoinSet<()>,
}

impl Feeder {
    /// Until everything is planned and concluded, or the run is halted.
    async fn feed(
        mut self,
        mut windows: mpsc::Receiver<Window>,
        mut again: mpsc::UnboundedReceiver<Chunk>,
        mut restarts: mpsc::UnboundedReceiver<Arc<Blob>>,
    ) {
        let run = Arc::clone(&self.fill.run);
        let mut halt = run.halt.subscribe();
        let mut unfinished = run.unfinished.subscribe();
        let mut current: std::vec::IntoIter<Work<Chunk>> = Vec::new().into_iter();
        let mut planned_all = false;
        loop {
            let work = tokio::select! {
                biased;
                _ = halt.wait_for(Option::is_some) => break,
                Some(chunk) = again.recv() => plan_chunk(&self.drive, chunk),
                Some(blob) = restarts.recv() => self.take(plan_again(&self.drive, blob)).await,
                work = next_of(&mut current) => vec![work],
                window = windows.recv(), if !planned_all && current.len() == 0 => match window {
                    Some(window) => {
                        current = self.take(window).await.into_iter();
                        continue;
                    }
                    None => {
                        planned_all = true;
                        continue;
                    }
                },
                _ = unfinished.wait_for(|count| *count == 0), if planned_all && current.len() == 0 => break,
            };
            for work in work {
                self.fill_with(work, &mut halt).await;
            }
        }
        self.fill.run.progress.note_stages(&cpu::by_stage());
        // The planner must not wait for anybody to take its next window.
        windows.close();
        drop(windows);
        let concludes = &mut self.concludes;
        let all_ended = async {
            while let Some(ended) = concludes.join_next().await {
                note_panic(&run, ended);
            }
        };
        if run.is_halted() {
            let _ = tokio::time::timeout(GRACE, all_ended).await;
            self.concludes.shutdown().await;
        } else {
            all_ended.await;
        }
    }

    /// Concludes what needs no read, a bounded number at a time; gives what does.
    async fn take(&mut self, window: Window) -> Vec<Work<Chunk>> {
        let run = Arc::clone(&self.fill.run);
        for blob in window.settled {
            while self.concludes.len() >= PUTS_MAX
                && let Some(ended) = self.concludes.join_next().await
            {
                note_panic(&run, ended);
            }
            self.concludes.spawn(commit::conclude(Arc::clone(&run), blob));
        }
        while let Some(ended) = self.concludes.try_join_next() {
            note_panic(&run, ended);
        }
        window.work
    }

    async fn fill_with(&mut self, work: Work<Chunk>, halt: &mut watch::Receiver<Option<Halt>>) {
        let Some(work) = self.without_stopped_blobs(work).await else { return };
        let buffer = tokio::select! {
            biased;
            _ = halt.wait_for(Option::is_some) => return,
            buffer = self.pool.acquire(work.buffer_bytes()) => buffer,
        };
        match buffer {
            Ok(buffer) => self.start(work, buffer).await,
            Err(error) => {
                let text = format!("{}: the station has to be given more memory for buffers", chain(&error));
                self.fill.run.halt(Suspension::StationFault, text);
            }
        }
    }

    async fn start(&mut self, work: Work<Chunk>, buffer: Buffer) {
        match work {
            Work::Read(span) => self.read(span, buffer).await,
            Work::Resident(chunks) => self.copy_resident(chunks, buffer),
            Work::Decode(chunk) => self.decode(chunk, buffer).await,
        }
    }

    /// Chunks of blobs that were stopped meanwhile are not worth a read.
    async fn without_stopped_blobs(&self, work: Work<Chunk>) -> Option<Work<Chunk>> {
        let run = &self.fill.run;
        let chunks = match work {
            Work::Read(mut span) => {
                let (stopped, going) = split_stopped(std::mem::take(&mut span.chunks));
                span.chunks = going;
                end_all(run, stopped).await;
                return (!span.chunks.is_empty()).then_some(Work::Read(span));
            }
            Work::Resident(chunks) => chunks,
            Work::Decode(chunk) if chunk.blob.is_stopped() => {
                end_chunk(Arc::clone(run), chunk, None, 0).await;
                return None;
            }
            Work::Decode(chunk) => return Some(Work::Decode(chunk)),
        };
        let (stopped, going) = split_stopped(chunks);
        end_all(run, stopped).await;
        (!going.is_empty()).then_some(Work::Resident(going))
    }

    async fn read(&self, span: Span<Chunk>, buffer: Buffer) {
        let pieces = span.reads.iter().map(|read| ReadPiece {
            device_offset_bytes: read.device_offset_bytes,
            buffer_offset_bytes: read.buffer_offset_bytes,
            length_bytes: read.length_bytes,
        });
        let pieces: Vec<ReadPiece> = pieces.collect();
        let length_bytes: usize = pieces.iter().map(|piece| piece.length_bytes).sum();
        self.fill.run.progress.bytes_read.add(length_bytes as u64);
        self.fill.run.progress.reading.enter();
        let tag = ReadTag { decrypts: span.decrypts, zeros: span.zeros, chunks: span.chunks };
        if self.jobs.send(ReadJob { tag, buffer, pieces }).await.is_err() {
            self.fill.run.halt(Suspension::StationFault, "the reader thread has ended".to_owned());
        }
    }

    fn copy_resident(&self, chunks: Vec<SpanChunk<Chunk>>, mut buffer: Buffer) {
        fill_resident(&chunks, &mut buffer);
        self.fill.submit(buffer, Vec::new(), Vec::new(), chunks);
    }

    async fn decode(&mut self, chunk: Chunk, mut buffer: Buffer) {
        let permit = Arc::clone(&self.decodes).acquire_owned().await.expect("the semaphore is never closed");
        let (fill, drive) = (self.fill.clone(), Arc::clone(&self.drive));
        self.concludes.spawn(async move {
            let decoded = tokio::task::spawn_blocking(move || {
                match read_content(&drive, &chunk.blob.content, chunk.entry().offset_bytes, &mut buffer) {
                    Ok(()) => Ok((chunk, buffer)),
                    Err(error) => Err((chunk, error)),
                }
            });
            let decoded = decoded.await;
            drop(permit);
            match decoded {
                Ok(Ok((chunk, buffer))) => {
                    let range = 0..buffer.len();
                    fill.submit(buffer, Vec::new(), Vec::new(), vec![SpanChunk { tag: chunk, range }]);
                }
                Ok(Err((_, error))) if !fill.drive.is_present() => {
                    let text = format!("{}; the drive cannot be reached any more", chain(&error));
                    fill.run.halt(Suspension::DriveLost, text);
                }
                Ok(Err((chunk, error))) => {
                    tracing::warn!(
                        error = chain(&error),
                        blob = chunk.blob.entry.index,
                        "decoding a compressed file"
                    );
                    end_chunk(Arc::clone(&fill.run), chunk, Some(ChunkStatus::IOFailed), 0).await;
                }
                Err(_) => {
                    fill.run.halt(Suspension::StationFault, "decoding a compressed file panicked".to_owned())
                }
            }
        });
    }
}

/// The next work of a window; never ready when there is none, so that `select!` looks elsewhere.
async fn next_of(current: &mut std::vec::IntoIter<Work<Chunk>>) -> Work<Chunk> {
    match current.next() {
        Some(work) => work,
        None => std::future::pending().await,
    }
}

fn split_stopped(chunks: Vec<SpanChunk<Chunk>>) -> (Vec<SpanChunk<Chunk>>, Vec<SpanChunk<Chunk>>) {
    chunks.into_iter().partition(|chunk| chunk.tag.blob.is_stopped())
}

async fn end_all(run: &Arc<Run>, chunks: Vec<SpanChunk<Chunk>>) {
    for chunk in chunks {
        end_chunk(Arc::clone(run), chunk.tag, None, 0).await;
    }
}

/// Filled spans go to the digest pool; what could not be read is looked at again, alone.
async fn collect(fill: Fill, mut done: mpsc::Receiver<ReadDone<ReadTag>>, again: LookAgain) {
    let _guard = HaltOnPanic(Arc::clone(&fill.run), "collector");
    while let Some(read) = done.recv().await {
        fill.run.progress.reading.leave();
        let ReadDone { tag, buffer, outcome, .. } = read;
        match outcome {
            Ok(()) => fill.submit(buffer, tag.decrypts, tag.zeros, tag.chunks),
            Err(error) if error.kind == ReadErrorKind::Gone || !fill.drive.is_present() => {
                let text = format!("{}; the drive cannot be reached any more", chain(&error));
                fill.run.halt(Suspension::DriveLost, text);
            }
            Err(error) => {
                drop(buffer);
                for chunk in tag.chunks {
                    read_failed(&fill.run, chunk.tag, &error, &again).await;
                }
            }
        }
    }
}

/// An unreadable sector fails the blocks that it touches, and no other.
async fn read_failed(run: &Arc<Run>, mut chunk: Chunk, error: &block::ReadError, again: &LookAgain) {
    chunk.failed_reads += 1;
    if chunk.failed_reads < FAILED_READS_MAX {
        run.progress.rereads.add(1);
        // The feeder outlives every chunk that is not ended.
        let _ = again.send(chunk);
        return;
    }
    let text = format!("{} at {}: {}", chunk.blob.entry.file_path, chunk.entry().offset_bytes, chain(error));
    // Nobody listening is no reason to stop.
    let _ = run.notices.send(Notice::Warning(text));
    end_chunk(Arc::clone(run), chunk, Some(ChunkStatus::IOFailed), 0).await;
}

/// Verified chunks are put; the others are looked at again until it is clear what they are.
async fn judge(run: Arc<Run>, mut verdicts: mpsc::UnboundedReceiver<Verdict<Chunk>>, again: LookAgain) {
    let _guard = HaltOnPanic(Arc::clone(&run), "judge");
    let permits = Arc::new(Semaphore::new(PUTS_MAX));
    let mut puts = JoinSet::new();
    let mut halt = run.halt.subscribe();
    while let Some(verdict) = verdicts.recv().await {
        match verdict {
            Verdict::Verified(verified) => {
                let permit = tokio::select! {
                    biased;
                    _ = halt.wait_for(Option::is_some) => continue,
                    permit = Arc::clone(&permits).acquire_owned() => permit.expect("the semaphore is never closed"),
                };
                run.progress.putting.enter();
                let run = Arc::clone(&run);
                puts.spawn(async move {
                    put(Arc::clone(&run), verified).await;
                    run.progress.putting.leave();
                    drop(permit);
                });
            }
            Verdict::Mismatch { chunk, found } => {
                if let Some((chunk, status)) = mismatch(&run, chunk, found, &again) {
                    puts.spawn(end_chunk(Arc::clone(&run), chunk, Some(status), 0));
                }
            }
        }
        while let Some(ended) = puts.try_join_next() {
            note_panic(&run, ended);
        }
    }
    let all_ended = async {
        while let Some(ended) = puts.join_next().await {
            note_panic(&run, ended);
        }
    };
    if run.is_halted() {
        // Cut off what hangs; whatever it had landed is put again or recognised by the next run.
        let _ = tokio::time::timeout(GRACE, all_ended).await;
        puts.shutdown().await;
    } else {
        all_ended.await;
    }
}

fn note_panic(run: &Run, ended: Result<(), tokio::task::JoinError>) {
    if ended.is_err_and(|error| error.is_panic()) {
        run.halt(Suspension::StationFault, "a task of the copy panicked".to_owned());
    }
}

/// The customer's file is bad when the medium gives the same wrong bytes twice; other bytes each
/// time are a bad cable or a dying drive, and no verdict on the file.
///
/// Gives the chunk back when it has come to its end.
fn mismatch(
    run: &Run,
    mut chunk: Chunk,
    found: model::Md5Digest,
    again: &LookAgain,
) -> Option<(Chunk, ChunkStatus)> {
    let settled = chunk.mismatches.contains(&found);
    chunk.mismatches.push(found);
    if !settled && chunk.mismatches.len() < LOOKS_MAX {
        run.progress.rereads.add(1);
        // The feeder outlives every chunk that is not ended.
        let _ = again.send(chunk);
        return None;
    }
    Some((chunk, if settled { ChunkStatus::Corrupted } else { ChunkStatus::IOFailed }))
}

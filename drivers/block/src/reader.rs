//! Reads a drive in bulk: jobs in, filled buffers out, one thread a bay.
//!
//! Owns the thread, the choice of the way to read and the queue on the drive. The caller decides
//! what is read and in which order: jobs are started in the order in which they come and may end
//! in any.
//!
//! # Ways to read
//! From the best down; [`Reader::mode`] tells which one it became, and the log says so once:
//! 1. io_uring, the pool's arena registered with the ring, `O_DIRECT`;
//! 2. io_uring without the registration (`RLIMIT_MEMLOCK`);
//! 3. `pread` on a few threads (io_uring refused: containers, `kernel.io_uring_disabled`);
//! 4. each of them through the page cache where the file system refuses `O_DIRECT`; what was read
//!    is then let go of, so that a drive does not push everything else out of memory.
//!
//! A target that is no file is read through [`ReadAt`](crate::ReadAt) on a few threads.
//!
//! # Bounds
//! At most `queue_depth` reads are in flight. A finished job that `done` has no room for keeps its
//! place in that queue, so a slow consumer stops the drive and nothing piles up.
//!
//! # End
//! The thread ends when `jobs` is closed and every job has been answered, or when the receiver of
//! `done` is dropped. If it panics it takes no more jobs, lets reads in flight come to their end,
//! closes both channels, and [`Reader::join`] says so; jobs that were not answered are lost, their
//! buffers are not.

mod counts;
mod intake;
mod job;
mod mode;
mod positional;
mod source;
mod split;
mod uring;

use std::io;
use std::sync::{Arc, mpsc as std_mpsc};
use std::thread::{self, JoinHandle};

use tokio::sync::{mpsc, oneshot};

pub use counts::ReadCounts;
pub use job::{ReadDone, ReadJob, ReadPiece};
pub use mode::{AllowedWays, ReadMode};
pub use source::ReadTarget;
pub(crate) use source::refuses_direct;

use crate::BufferPool;
use counts::Counts;
use mode::ModeCell;
use source::FileSource;

/// How a drive is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReaderConfig {
    /// Most reads in flight at once; at least one.
    pub queue_depth: usize,
    /// Longest single read; a longer piece is cut. Rounded up to a multiple of 4096.
    pub read_bytes_max: usize,
    /// Threads of the positional ways; at least one.
    pub thread_count: usize,
    /// The ways that may be taken.
    pub ways: AllowedWays,
}

impl Default for ReaderConfig {
    /// Eight reads of at most 1 MiB, four threads.
    ///
    /// Measured with `examples/read_bench.rs` (virtio disk, registered, direct): reads of 128 KiB
    /// cost 0.076 CPU-s/GB, of 256 KiB 0.045, of 1 MiB 0.014, of 4 MiB 0.013, `dd` 0.045. A queue
    /// of 4, 8 or 32 makes no difference beyond that, so the smaller read is taken, which lets a
    /// single 4 MiB chunk keep four requests on the drive.
    fn default() -> ReaderConfig {
        ReaderConfig {
            queue_depth: 8,
            read_bytes_max: 1 << 20,
            thread_count: 4,
            ways: AllowedWays::default(),
        }
    }
}

/// Why a reader ended before its jobs did.
#[derive(Debug, thiserror::Error)]
pub enum ReaderError {
    /// The operating system gave no thread, or no event loop for it.
    #[error("starting a drive's reader thread")]
    Start(#[source] io::Error),
    /// Code below the reader panicked; the station must not go on trusting this drive's run.
    #[error("a drive's reader panicked: {message}")]
    Panicked {
        /// What the panic said.
        message: String,
    },
}

/// A running reader. Dropping it lets the thread go on until its jobs end.
pub struct Reader {
    thread: Result<JoinHandle<Result<(), ReaderError>>, ReaderError>,
    ended: oneshot::Receiver<()>,
    mode: Arc<ModeCell>,
    counts: Arc<Counts>,
}

/// What every way of reading needs.
struct Run<T> {
    config: ReaderConfig,
    jobs: mpsc::Receiver<ReadJob<T>>,
    done: mpsc::Sender<ReadDone<T>>,
    mode: Arc<ModeCell>,
    counts: Arc<Counts>,
    /// Told once the way is chosen, so that [`Reader::start`] returns with it known.
    chosen: std_mpsc::Sender<()>,
}

impl Reader {
    /// Starts the thread and waits, some milliseconds, until the way to read is chosen.
    ///
    /// Never fails: a reader that could not start has closed its channels, and
    /// [`Reader::join`] says why.
    pub fn start<T: Send + 'static>(
        target: ReadTarget,
        pool: &BufferPool,
        config: ReaderConfig,
        jobs: mpsc::Receiver<ReadJob<T>>,
        done: mpsc::Sender<ReadDone<T>>,
    ) -> Reader {
        let (mode, counts) = (Arc::new(ModeCell::default()), Arc::new(Counts::default()));
        let (chosen, is_chosen) = std_mpsc::channel();
        let (end, ended) = oneshot::channel();
        let run = Run { config, jobs, done, mode: Arc::clone(&mode), counts: Arc::clone(&counts), chosen };
        let pool = pool.clone();
        let body = move || {
            // Dropped when the thread ends, in whatever way.
            let _end: oneshot::Sender<()> = end;
            run_thread(target, &pool, run)
        };
        let thread =
            thread::Builder::new().name("drive-reader".to_owned()).spawn(body).map_err(ReaderError::Start);
        // An error means that the thread is gone already.
        let _ = is_chosen.recv();
        Reader { thread, ended, mode, counts }
    }

    /// How the drive is read now. Falls from direct to buffered if the file system refuses late.
    pub fn mode(&self) -> ReadMode {
        self.mode.load()
    }

    /// What was read so far, and what the time went to.
    pub fn counts(&self) -> ReadCounts {
        self.counts.load()
    }

    /// Waits, blocking, for the thread's end.
    ///
    /// # Errors
    /// [`ReaderError`] when it did not end because its jobs did.
    pub fn join(self) -> Result<ReadCounts, ReaderError> {
        match self.thread?.join() {
            Ok(ended) => ended.map(|()| self.counts.load()),
            Err(payload) => Err(ReaderError::Panicked { message: panic_message(&*payload) }),
        }
    }

    /// Waits for the thread's end without blocking the executor.
    ///
    /// # Errors
    /// As [`Reader::join`].
    pub async fn finished(mut self) -> Result<ReadCounts, ReaderError> {
        // The sender is never used: it tells by being dropped.
        let _ = (&mut self.ended).await;
        self.join()
    }
}

fn run_thread<T: Send + 'static>(
    target: ReadTarget,
    pool: &BufferPool,
    run: Run<T>,
) -> Result<(), ReaderError> {
    let ways = run.config.ways;
    let device = match target {
        ReadTarget::File(device) => device,
        ReadTarget::Device(device) => return positional::run(positional::Source::Device(device), run),
    };
    let source = FileSource::new(device, ways.direct);
    let direct = source.alignment().is_some();
    if ways.direct && !direct {
        tracing::info!(path = %source.device.path().display(), "no direct reads here; reading through the page cache");
    }
    if ways.uring {
        match uring::Ring::new(pool, run.config) {
            Ok(ring) => return uring::run(ring, source, run),
            Err(error) => {
                tracing::warn!(%error, "io_uring is refused; the drive is read with positional reads");
            }
        }
    }
    positional::run(positional::Source::File(source), run)
}

impl<T> Run<T> {
    /// Publishes the way to read.
    fn choose(&self, mode: ReadMode) {
        self.mode.store(mode);
        tracing::info!(%mode, queue_depth = self.config.queue_depth, "drive reader started");
        // Nobody waits for it any more when this fails.
        let _ = self.chosen.send(());
    }
}

impl ReaderConfig {
    fn queue_depth(&self) -> usize {
        self.queue_depth.clamp(1, 4096)
    }

    fn thread_count(&self) -> usize {
        self.thread_count.clamp(1, 256)
    }

    /// A multiple of 4096; below the 2 GiB that Linux reads at once.
    fn read_bytes_max(&self) -> usize {
        self.read_bytes_max.clamp(1, 1 << 30).next_multiple_of(crate::BUFFER_ALIGNMENT_BYTES)
    }
}

fn panic_message(payload: &(dyn std::any::Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().copied();
    text.or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("a payload that is no text")
        .to_owned()
}

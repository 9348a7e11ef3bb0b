//! The ways that work everywhere: one job a thread at a time, piece after piece.
//!
//! Each job's buffer moves to a blocking thread and back, so nothing here is `unsafe`.

use std::io;
use std::os::unix::fs::FileExt;
use std::rc::Rc;
use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::task::{JoinSet, LocalSet};

use super::counts::{Counts, InFlight};
use super::intake::{self, Accepted, Outlet};
use super::job::{ReadPiece, check_pieces, outside_buffer};
use super::mode::{ModeCell, ReadMode};
use super::source::{Descriptor, FileSource, refuses_direct};
use super::split::{Read, split};
use super::{ReaderError, Run};
use crate::file::{Shortfall, fill};
use crate::pool::Buffer;
use crate::{ReadAt, ReadError, SharedDevice};

/// What the threads read from.
pub(super) enum Source {
    File(FileSource),
    Device(SharedDevice),
}

/// What a blocking thread needs to read a job.
struct Worker {
    source: Source,
    read_bytes_max: usize,
    mode: Arc<ModeCell>,
    counts: Arc<Counts>,
}

/// Reads until the jobs end.
pub(super) fn run<T: Send + 'static>(source: Source, run: Run<T>) -> Result<(), ReaderError> {
    run.choose(match &source {
        Source::File(file) => ReadMode::Positional { direct: file.alignment().is_some() },
        Source::Device(_) => ReadMode::Device,
    });
    let runtime = tokio::runtime::Builder::new_current_thread()
        .max_blocking_threads(run.config.thread_count())
        .thread_name("drive-pread")
        .build()
        .map_err(ReaderError::Start)?;
    LocalSet::new().block_on(&runtime, dispatch(source, run))
}

async fn dispatch<T: Send + 'static>(source: Source, run: Run<T>) -> Result<(), ReaderError> {
    let Run { config, mut jobs, done, mode, counts, .. } = run;
    let outlet = Rc::new(Outlet { done, counts: Arc::clone(&counts) });
    let in_flight = Rc::new(InFlight::new(Arc::clone(&counts)));
    let slots = Arc::new(Semaphore::new(config.thread_count().min(config.queue_depth())));
    let worker = Arc::new(Worker { source, read_bytes_max: config.read_bytes_max(), mode, counts });
    let mut tasks = JoinSet::new();
    let outcome = loop {
        let job = match intake::next_job(&mut jobs, &outlet, &mut tasks, &in_flight).await {
            Ok(Some(job)) => job,
            Ok(None) => break Ok(()),
            Err(error) => break Err(error),
        };
        let accepted = Accepted::new(job.tag);
        let Ok(slot) = Arc::clone(&slots).acquire_owned().await else { break Ok(()) };
        let (worker, outlet, in_flight) = (Arc::clone(&worker), Rc::clone(&outlet), Rc::clone(&in_flight));
        tasks.spawn_local(async move {
            let (buffer, outcome) = worker.read_elsewhere(job.buffer, job.pieces, &in_flight).await;
            outlet.answer(accepted, buffer, outcome).await;
            drop(slot);
        });
    };
    drop(jobs);
    outcome.and(intake::drain(&mut tasks).await)
}

impl Worker {
    /// Reads a job on a blocking thread; a panic there goes on here.
    async fn read_elsewhere(
        self: Arc<Self>,
        mut buffer: Buffer,
        pieces: Vec<ReadPiece>,
        in_flight: &InFlight,
    ) -> (Buffer, Result<(), ReadError>) {
        in_flight.take_off();
        let read = tokio::task::spawn_blocking(move || {
            let outcome = self.read_all(&mut buffer, &pieces);
            (buffer, outcome)
        });
        let ended = read.await;
        in_flight.land();
        match ended {
            Ok(ended) => ended,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }

    fn read_all(&self, buffer: &mut Buffer, pieces: &[ReadPiece]) -> Result<(), ReadError> {
        check_pieces(pieces, buffer.len(), self.source.length_bytes())?;
        let alignment = match &self.source {
            Source::File(file) => file.alignment(),
            Source::Device(_) => None,
        };
        for read in split(pieces, alignment, self.read_bytes_max) {
            let part = part_of(buffer, &read)?;
            match &self.source {
                Source::File(file) => self.read_file(file, &read, part)?,
                Source::Device(device) => device.read_exact_at(part, read.device_offset_bytes)?,
            }
            self.counts.add_read(read.length_bytes);
        }
        Ok(())
    }

    fn read_file(&self, file: &FileSource, read: &Read, part: &mut [u8]) -> Result<(), ReadError> {
        let from = read.device_offset_bytes;
        let filled = match read.descriptor {
            Descriptor::Direct => self.read_direct(file, part, from),
            Descriptor::Buffered => fill(part, from, |part, at| read_buffered(file, part, at)),
        };
        filled.map_err(|shortfall| file.error(read, shortfall))
    }

    /// Direct as far as it goes: after a refusal, or a short read that ends between two sectors,
    /// the rest comes through the page cache.
    fn read_direct(&self, file: &FileSource, part: &mut [u8], from: u64) -> Result<(), Shortfall> {
        fill(part, from, |part, at| {
            let aligned = file
                .alignment()
                .is_some_and(|alignment| alignment.fits(at, part.as_ptr().addr(), part.len()));
            if !aligned {
                return read_buffered(file, part, at);
            }
            match file.file(Descriptor::Direct).read_at(part, at) {
                Err(error) if refuses_direct(&error) => {
                    self.give_up_direct(file, &error);
                    read_buffered(file, part, at)
                }
                other => other,
            }
        })
    }

    fn give_up_direct(&self, file: &FileSource, error: &io::Error) {
        if file.give_up_direct() {
            self.mode.store(self.mode.load().buffered());
            tracing::warn!(%error, "direct reads are refused; reading through the page cache");
        }
    }
}

impl Source {
    fn length_bytes(&self) -> u64 {
        match self {
            Source::File(file) => file.device.length_bytes(),
            Source::Device(device) => device.length_bytes(),
        }
    }
}

fn read_buffered(file: &FileSource, part: &mut [u8], at: u64) -> io::Result<usize> {
    let count = file.file(Descriptor::Buffered).read_at(part, at)?;
    file.forget(count);
    Ok(count)
}

/// The read's part of the buffer, which [`check_pieces`] has found to be inside.
fn part_of<'a>(buffer: &'a mut Buffer, read: &Read) -> Result<&'a mut [u8], ReadError> {
    let end = read.buffer_offset_bytes.saturating_add(read.length_bytes);
    buffer
        .get_mut(read.buffer_offset_bytes..end)
        .ok_or_else(|| outside_buffer(read.device_offset_bytes, read.length_bytes))
}

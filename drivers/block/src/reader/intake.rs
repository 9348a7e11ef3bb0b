//! Taking jobs in and giving them back: what all ways of reading have in common.

use std::sync::Arc;
use std::time::Instant;

use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinSet};

use super::counts::{Counts, InFlight};
use super::job::{ReadDone, ReadJob};
use super::{ReaderError, panic_message};
use crate::ReadError;
use crate::pool::Buffer;

/// Where finished jobs go.
pub(super) struct Outlet<T> {
    pub(super) done: mpsc::Sender<ReadDone<T>>,
    pub(super) counts: Arc<Counts>,
}

impl<T> Outlet<T> {
    /// Answers a job; waits while `done` is full. With the receiver gone the answer is dropped,
    /// and its buffer with it.
    pub(super) async fn answer(&self, job: Accepted<T>, buffer: Buffer, outcome: Result<(), ReadError>) {
        let waited = job.at.elapsed();
        let ready = Instant::now();
        let _ = self.done.send(ReadDone { tag: job.tag, buffer, outcome, waited }).await;
        self.counts.add_job(ready.elapsed());
    }
}

/// What is kept of a job while it is read.
pub(super) struct Accepted<T> {
    pub(super) tag: T,
    pub(super) at: Instant,
}

impl<T> Accepted<T> {
    pub(super) fn new(tag: T) -> Accepted<T> {
        Accepted { tag, at: Instant::now() }
    }
}

/// The next job; `None` when there are no more, or nobody wants the answers.
///
/// # Errors
/// When one of the tasks under way panicked.
pub(super) async fn next_job<T>(
    jobs: &mut mpsc::Receiver<ReadJob<T>>,
    outlet: &Outlet<T>,
    tasks: &mut JoinSet<()>,
    in_flight: &InFlight,
) -> Result<Option<ReadJob<T>>, ReaderError> {
    let from = Instant::now();
    let job = loop {
        tokio::select! {
            biased;
            Some(ended) = tasks.join_next() => ended.map_err(panicked)?,
            () = outlet.done.closed() => break None,
            job = jobs.recv() => break job,
        }
    };
    in_flight.waited_for_job(from);
    Ok(job)
}

/// Waits for all tasks under way, also when one of them panicked.
///
/// # Errors
/// With the first panic.
pub(super) async fn drain(tasks: &mut JoinSet<()>) -> Result<(), ReaderError> {
    let mut outcome = Ok(());
    while let Some(ended) = tasks.join_next().await {
        outcome = outcome.and(ended.map_err(panicked));
    }
    outcome
}

/// What a task's failure says. Tasks are never cancelled here, so it is a panic.
pub(super) fn panicked(error: JoinError) -> ReaderError {
    let message = match error.try_into_panic() {
        Ok(payload) => panic_message(&*payload),
        Err(error) => error.to_string(),
    };
    ReaderError::Panicked { message }
}

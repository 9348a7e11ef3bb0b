//! Many callers, one transaction: everything that is queued is saved with one `fsync`.
//!
//! ```text
//! save(records) ─┐
//! save(records) ─┼─▶ bounded queue ─▶ task: take all that is queued ─▶ Runs::record ─▶ wake the savers
//! note(record)  ─┘
//! ```
//!
//! Invariant: when `save` has returned, its records and all that the same caller queued before are
//! durable. After a fault nothing is saved any more, and every call says why: half a history would
//! be worse than none.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout_at};

use crate::Runs;
use crate::error::SaveError;
use crate::record::Record;
use crate::run::Run;

/// Calls that wait in the queue; `save` waits for room.
const QUEUE_MAX: usize = 4_096;
/// Records in one transaction: some 100 ms of work, so that a saver waits no longer.
const BATCH_RECORDS_MAX: usize = 4_096;
/// Notes that nobody waits for are kept back this long, to share the next `fsync`.
const NOTE_DELAY: Duration = Duration::from_millis(250);

/// The front of a run's ledger. Clones share the task; it ends, everything saved, when the last is
/// dropped and the runtime lives long enough: [`Recorder::flush`] before.
#[derive(Clone, Debug)]
pub struct Recorder {
    run: Run,
    queue: mpsc::Sender<Call>,
    broken: Arc<OnceLock<SaveError>>,
    /// Dropped by the task at its very end; for whoever closes.
    ended: Arc<Mutex<Option<oneshot::Receiver<()>>>>,
}

#[derive(Debug)]
struct Call {
    records: Vec<Record>,
    saver: Option<oneshot::Sender<()>>,
}

impl Recorder {
    /// Starts the task on the current tokio runtime.
    pub fn start(ledger: Arc<dyn Runs>, run: Run) -> Recorder {
        let (queue, calls) = mpsc::channel(QUEUE_MAX);
        let broken = Arc::new(OnceLock::new());
        let writer = Writer { ledger, run: run.clone(), broken: Arc::clone(&broken) };
        let (end, ended) = oneshot::channel::<()>();
        tokio::spawn(async move {
            writer.run(calls).await;
            drop(end);
        });
        Recorder { run, queue, broken, ended: Arc::new(Mutex::new(Some(ended))) }
    }

    /// The run that it records.
    pub fn run(&self) -> &Run {
        &self.run
    }

    /// Saves the records in their order, all or none; they are durable on return.
    ///
    /// When the call is dropped half-way, the records may or may not be saved.
    ///
    /// # Errors
    /// This fault or an earlier one of this recorder.
    pub async fn save(&self, records: Vec<Record>) -> Result<(), SaveError> {
        let (saver, saved) = oneshot::channel();
        let call = Call { records, saver: Some(saver) };
        self.queue.send(call).await.map_err(|_| self.fault())?;
        saved.await.map_err(|_| self.fault())
    }

    /// Queues the record, to be saved within a moment: only for what may be lost, as chunks may. It
    /// is lost when the process dies before that, and never otherwise: a full queue makes the
    /// caller wait.
    ///
    /// # Errors
    /// An earlier fault of this recorder.
    pub async fn note(&self, record: Record) -> Result<(), SaveError> {
        self.queue.send(Call { records: vec![record], saver: None }).await.map_err(|_| self.fault())
    }

    /// Waits until everything that was queued before is durable.
    ///
    /// # Errors
    /// This fault or an earlier one of this recorder.
    pub async fn flush(&self) -> Result<(), SaveError> {
        self.save(Vec::new()).await
    }

    /// Lets the task end, with everything saved, and waits for it: then the drive is let go, unless
    /// another clone of the run or of this recorder is alive.
    pub async fn close(self) {
        let ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner).take();
        drop(self);
        if let Some(ended) = ended {
            // It ends by being dropped.
            let _ = ended.await;
        }
    }

    fn fault(&self) -> SaveError {
        self.broken.get().cloned().unwrap_or(SaveError::Stopped { run: self.run.no })
    }
}

struct Writer {
    ledger: Arc<dyn Runs>,
    run: Run,
    broken: Arc<OnceLock<SaveError>>,
}

/// What goes into the next transaction.
#[derive(Default)]
struct Batch {
    records: Vec<Record>,
    savers: Vec<oneshot::Sender<()>>,
    /// When notes must be saved even though nobody waits.
    due: Option<Instant>,
}

impl Writer {
    async fn run(self, mut calls: mpsc::Receiver<Call>) {
        let mut batch = Batch::default();
        while batch.fill(&mut calls).await {
            if let Err(error) = self.save(&mut batch).await {
                // Said before the queue closes and the savers are dropped, who then look for it.
                let _ = self.broken.set(error);
                return;
            }
        }
    }

    async fn save(&self, batch: &mut Batch) -> Result<(), SaveError> {
        // Also when there is nothing to save: a saver asks whether it may go on.
        if self.run.is_lost() {
            return Err(SaveError::Lost { run: self.run.no });
        }
        if !batch.records.is_empty() {
            self.ledger.record(&self.run, &batch.records).await?;
        }
        batch.records.clear();
        batch.due = None;
        for saver in batch.savers.drain(..) {
            // A saver that no longer waits is no fault.
            let _ = saver.send(());
        }
        Ok(())
    }
}

impl Batch {
    /// Waits for something to save, then takes all that is there. False when there will be no more.
    async fn fill(&mut self, calls: &mut mpsc::Receiver<Call>) -> bool {
        loop {
            let next = match self.due {
                None => calls.recv().await,
                Some(due) => match timeout_at(due, calls.recv()).await {
                    Ok(next) => next,
                    Err(_) => return true,
                },
            };
            let Some(call) = next else { return !self.records.is_empty() };
            self.add(call);
            while self.records.len() < BATCH_RECORDS_MAX {
                let Ok(call) = calls.try_recv() else { break };
                self.add(call);
            }
            if !self.savers.is_empty() || self.records.len() >= BATCH_RECORDS_MAX {
                return true;
            }
            self.due.get_or_insert_with(|| Instant::now() + NOTE_DELAY);
        }
    }

    fn add(&mut self, call: Call) {
        self.records.extend(call.records);
        self.savers.extend(call.saver);
    }
}

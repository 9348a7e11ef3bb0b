//! The task that owns one drive: step, save, act.
//!
//! It walks the drive through [`model::drive::Drive`]: each action below is done, its result is
//! the next event, and the phase is saved before the next action begins. What goes in: a device,
//! the job's entry, an account, a ledger. What comes out: a [`Report`]; every outcome is in the
//! ledger and, if the drive came to its end, every log has landed.
//!
//! Killed anywhere and started again with the same arguments, it finds its run in the ledger and
//! does what is left; outcome and logs are those of an undisturbed run.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use azure::Account;
use bitlocker::Secret;
use block::{BufferPool, PoolConfig, ReaderConfig, SharedDevice};
use ledger::{Begun, Recorder, RunEnd, RunKey, RunStart, RunState, RunSummary, Runs, SaveError, Totals};
use manifest::JobEntry;
use manifest::log::names::LogTime;
use model::drive::{Action, Drive, Event, Phase, Suspension};
use model::status::DriveStatus;
use tokio::sync::{mpsc, watch};

use crate::blob::{Chunk, Earlier};
use crate::copy::{CopyConfig, Known, copy};
use crate::logs::{self, LogNames, LogRequest};
use crate::progress::Progress;
use crate::run::{Halt, Notice, Run, suspension_of};
use proof::bring_up::{self, Device, ManifestTotals, OpenDrive, RecognisedDrive, Refusal, UnlockedDrive};
use proof::chain;
use proof::verify::DigestPool;

/// What one ingest needs.
pub struct IngestSpec {
    /// The drive.
    pub device: Device,
    /// The job's entry for it.
    pub job: JobEntry,
    /// What opens its volume, tried in order.
    pub secrets: Vec<Secret>,
    /// The job's name, in log names.
    pub job_name: String,
    /// What tells this job's runs from those of all others: a run is gone on with only in the same scope.
    pub run_scope: String,
    /// The destination.
    pub account: Account,
    /// The destination's endpoint, as the ledger's key.
    pub destination: String,
    /// What survives.
    pub ledger: Arc<dyn Runs>,
    /// Where the local copies of the logs go.
    pub logs_dir: PathBuf,
    /// Memory for buffers.
    pub buffer_bytes: usize,
    /// Decrypting and digesting threads.
    pub digests: Arc<DigestPool<Chunk>>,
    /// Do it again although the ledger says that this drive was finished.
    pub again: bool,
}

/// What came of an ingest.
#[derive(Debug, Clone)]
pub struct Report {
    /// Where the drive is now: ended or suspended.
    pub phase: Phase,
    /// For a person: why it was refused or suspended, and what to do.
    pub message: Option<String>,
    /// Whether an earlier run had begun it.
    pub resumed: bool,
    /// Whether it had been finished before, and nothing was done now.
    pub finished_before: bool,
    /// The manifest's totals; zero when it was not reached.
    pub totals: ManifestTotals,
    /// Outcomes by what they were.
    pub tally: logs::Tally,
    /// The first blobs that failed; the error log has all.
    pub failures: Vec<logs::Failure>,
    /// Local logs, in the order error, verbose, copy log, verbose copy log.
    pub local_logs: Vec<PathBuf>,
    /// Their names in the account, `container/blob`, as far as they have landed.
    pub landed_logs: Vec<String>,
}

/// The station itself cannot go on. Nothing that was done is lost.
#[derive(Debug, thiserror::Error)]
pub enum IngestError {
    /// The drive is being ingested already, or the ledger cannot be used.
    #[error("taking the drive's run from the ledger")]
    Begin(#[from] ledger::BeginError),
    /// The finished run cannot be set aside.
    #[error("setting the drive's finished run aside")]
    Abandon(#[from] ledger::AbandonError),
    /// The ledger cannot keep anything.
    #[error("keeping the progress in the ledger")]
    Save(#[from] SaveError),
    /// The ledger cannot be read.
    #[error("reading the progress from the ledger")]
    Read(#[from] ledger::ReadError),
    /// No memory for the buffers.
    #[error("allocating the buffers")]
    Buffers(#[source] block::pool::ArenaError),
    /// Local logs cannot be written.
    #[error("writing the logs")]
    Logs(#[from] logs::LogError),
    /// Local logs cannot be read back.
    #[error("uploading the logs")]
    ReadBack(#[source] logs::UploadError),
    /// A task of ours died.
    #[error("a step of the ingest panicked")]
    Panicked,
}

/// How far the drive has been opened.
enum Opened {
    Nothing(Device),
    Recognised(Box<RecognisedDrive>),
    Unlocked(Box<UnlockedDrive>),
    Ready(Arc<OpenDrive>),
    /// Refused on the way.
    Gone,
}

/// Closing the recorder waits for one save; it must not wait for ever.
const CLOSE_WAIT: Duration = Duration::from_secs(30);

/// Ingests one drive.
///
/// # Errors
/// When the station itself cannot go on; what concerns drive, customer or destination is in the
/// report.
pub async fn ingest(
    spec: IngestSpec,
    progress: Arc<Progress>,
    notices: mpsc::UnboundedSender<Notice>,
    stop: watch::Receiver<bool>,
) -> Result<Report, IngestError> {
    let key = RunKey {
        drive_id: spec.job.drive_id.clone(),
        job_name: spec.run_scope.clone(),
        manifest_hash: spec.job.manifest_hash.to_string(),
        destination: spec.destination.clone(),
    };
    let run = match begin(&spec, &key).await? {
        Begun::Running(run) => run,
        Begun::Finished(finished) => return finished_before(&spec, &finished).await,
    };
    let recorder = Recorder::start(Arc::clone(&spec.ledger), run.clone());
    let mut task = Task::new(spec, run, recorder.clone(), progress, notices, stop);
    let ended = task.walk().await;
    // Notes are durable and the drive is let go before anybody is told.
    drop(task);
    if tokio::time::timeout(CLOSE_WAIT, recorder.close()).await.is_err() {
        tracing::warn!("the ledger's recorder is still held");
    }
    ended
}

async fn begin(spec: &IngestSpec, key: &RunKey) -> Result<Begun, IngestError> {
    let now = SystemTime::now();
    let started_unix_ms = unix_milliseconds(now);
    let log_time = LogTime::from_unix_milliseconds(u64::try_from(started_unix_ms).unwrap_or(0));
    let start = RunStart { run_id: fresh_id(), started_unix_ms, log_timestamp: log_time.to_string() };
    match spec.ledger.begin(key, &start).await? {
        Begun::Finished(finished) if spec.again => {
            spec.ledger.abandon(finished.no).await?;
            Ok(spec.ledger.begin(key, &start).await?)
        }
        begun => Ok(begun),
    }
}

/// A random id by which the logs of this run differ from those of another one.
fn fresh_id() -> [u8; 16] {
    let mut id = [0; 16];
    rand::fill(&mut id);
    id
}

struct Task {
    job: Arc<JobEntry>,
    secrets: Vec<Secret>,
    job_name: String,
    account: Account,
    ledger: Arc<dyn Runs>,
    logs_dir: PathBuf,
    buffer_bytes: usize,
    digests: Arc<DigestPool<Chunk>>,
    run: ledger::Run,
    recorder: Recorder,
    progress: Arc<Progress>,
    notices: mpsc::UnboundedSender<Notice>,
    stop: watch::Receiver<bool>,
    /// The drive, to tell a bad one from one that was pulled.
    device: SharedDevice,
    opened: Opened,
    facts: Option<azure::AccountFacts>,
    first_container: Option<String>,
    report: Report,
}

impl Task {
    fn new(
        spec: IngestSpec,
        run: ledger::Run,
        recorder: Recorder,
        progress: Arc<Progress>,
        notices: mpsc::UnboundedSender<Notice>,
        stop: watch::Receiver<bool>,
    ) -> Task {
        let report = Report {
            phase: Phase::Arrived,
            message: None,
            resumed: run.resumed,
            finished_before: false,
            totals: ManifestTotals::default(),
            tally: logs::Tally::default(),
            failures: Vec::new(),
            local_logs: Vec::new(),
            landed_logs: Vec::new(),
        };
        Task {
            job: Arc::new(spec.job),
            secrets: spec.secrets,
            job_name: spec.job_name,
            account: spec.account,
            ledger: spec.ledger,
            logs_dir: spec.logs_dir,
            buffer_bytes: spec.buffer_bytes,
            digests: spec.digests,
            run,
            recorder,
            progress,
            notices,
            stop,
            device: Arc::clone(&spec.device.shared),
            opened: Opened::Nothing(spec.device),
            facts: None,
            first_container: None,
            report,
        }
    }

    /// Act, step, save, until nothing is left to do.
    async fn walk(&mut self) -> Result<Report, IngestError> {
        let (mut drive, mut action) = Drive::arrived();
        loop {
            let event = if *self.stop.borrow() {
                Event::Suspended(Suspension::Stopped)
            } else if self.run.is_lost() {
                self.taken_over(&SaveError::Lost { run: self.run.no })
            } else {
                self.notice(Notice::Doing(action));
                self.act(action).await?
            };
            (drive, action) = drive.step(event).expect("each action's events are those of its phase");
            self.report.phase = drive.phase();
            tracing::info!(phase = ?drive.phase(), drive_id = %self.job.drive_id, "drive");
            if action == Action::Rest {
                self.close(drive).await?;
                return Ok(self.report.clone());
            }
        }
    }

    async fn act(&mut self, action: Action) -> Result<Event, IngestError> {
        match action {
            Action::Recognise => self.recognise().await,
            Action::Unlock => self.unlock().await,
            Action::ProveManifest => self.prove().await,
            Action::ProbeDestination => self.probe().await,
            Action::Copy => self.copy().await,
            Action::WriteLogs { status } => self.write_logs(status).await,
            Action::Rest => unreachable!("walk() ends before it rests"),
        }
    }

    async fn recognise(&mut self) -> Result<Event, IngestError> {
        let Opened::Nothing(device) = self.take_opened() else { unreachable!("the first action") };
        let job = Arc::clone(&self.job);
        let done = blocking(move || bring_up::recognise(device, Some(&job))).await?;
        self.opened_or_refused(done, |recognised| Opened::Recognised(Box::new(recognised))).await
    }

    async fn unlock(&mut self) -> Result<Event, IngestError> {
        let Opened::Recognised(recognised) = self.take_opened() else { unreachable!("follows Recognise") };
        let secrets = std::mem::take(&mut self.secrets);
        let done = blocking(move || bring_up::unlock(*recognised, &secrets, &mut |_| {})).await?;
        if let Ok(unlocked) = &done {
            for warning in health_warnings(unlocked.ntfs.health()) {
                self.notice(Notice::Warning(warning));
            }
        }
        self.opened_or_refused(done, |unlocked| Opened::Unlocked(Box::new(unlocked))).await
    }

    async fn prove(&mut self) -> Result<Event, IngestError> {
        let Opened::Unlocked(unlocked) = self.take_opened() else { unreachable!("follows Unlock") };
        let job = Arc::clone(&self.job);
        let done = blocking(move || bring_up::prove(*unlocked, &job)).await?;
        if let Ok((_, totals, first_container)) = &done {
            self.report.totals = *totals;
            self.first_container = first_container.clone();
            self.progress.blobs_total.add(totals.blob_count);
            self.progress.bytes_total.add(totals.chunk_bytes);
        }
        self.opened_or_refused(done, |(open, ..)| Opened::Ready(Arc::new(open))).await
    }

    async fn probe(&mut self) -> Result<Event, IngestError> {
        let facts = match self.ask_destination().await {
            Ok(facts) => facts,
            Err(error) if error.kind == azure::ErrorKind::Forbidden => {
                let message = format!("{}; check the credential and the account's firewall", chain(&error));
                return Ok(self.refuse(Refusal { status: DriveStatus::BlobRequestForbidden, message }));
            }
            Err(error) => {
                self.report.message = Some(chain(&error));
                return Ok(Event::Suspended(Suspension::HeldForCustomer));
            }
        };
        if self.run.server_started_unix_s.is_none() {
            match self.note_server_start(&facts).await {
                Err(IngestError::Save(lost @ SaveError::Lost { .. })) => return Ok(self.taken_over(&lost)),
                noted => noted?,
            }
        }
        self.facts = Some(facts);
        Ok(Event::Done)
    }

    /// The account, or with a SAS that may not ask it, the container of the manifest's first blob.
    async fn ask_destination(&self) -> Result<azure::AccountFacts, azure::StorageError> {
        let facts = self.account.probe().await?;
        match &self.first_container {
            Some(container) if !facts.credential_accepted => self.account.probe_container(container).await,
            _ => Ok(facts),
        }
    }

    /// Notes the destination's clock, so that a later run can tell what was put by this one from
    /// what had been there. Times of the service have whole seconds: nothing is put before the
    /// noted second has begun.
    async fn note_server_start(&mut self, facts: &azure::AccountFacts) -> Result<(), IngestError> {
        let now = unix_seconds(facts.server_time.unwrap_or_else(SystemTime::now));
        tokio::time::sleep(Duration::from_millis(1_100)).await;
        let server_started_unix_s = now + 1;
        let counts = self.ledger.set_server_started(&self.run, server_started_unix_s).await?;
        self.run.server_started_unix_s = Some(counts);
        Ok(())
    }

    async fn copy(&mut self) -> Result<Event, IngestError> {
        let Opened::Ready(drive) = &self.opened else { unreachable!("follows ProbeDestination") };
        let drive = Arc::clone(drive);
        let pool = BufferPool::new(PoolConfig::within(self.buffer_bytes)).map_err(IngestError::Buffers)?;
        let config = CopyConfig { pool, digests: Arc::clone(&self.digests), reader: ReaderConfig::default() };
        let known = self.known().await?;
        let (restarts, restarts_in) = mpsc::unbounded_channel();
        let run = Arc::new(Run {
            account: self.account.clone(),
            facts: self.facts.clone().expect("ProbeDestination came before"),
            recorder: self.recorder.clone(),
            progress: Arc::clone(&self.progress),
            notices: self.notices.clone(),
            resumed: self.run.resumed,
            server_started_unix_s: self.run.server_started_unix_s.expect("ProbeDestination came before"),
            restarts,
            unfinished: watch::Sender::new(0),
            halt: watch::Sender::new(None),
            containers: Mutex::new(HashMap::new()),
            staged: Mutex::new(HashMap::new()),
            good_container: OnceLock::new(),
            last_probe: tokio::sync::Mutex::new(None),
        });
        let stopper = tokio::spawn(halt_on_stop(self.stop.clone(), self.run.clone(), Arc::clone(&run)));
        let copied = copy(run, drive, &config, known, restarts_in).await;
        stopper.abort();
        // It holds the run, and with it the drive's lock, until it has really ended.
        let _ = stopper.await;
        match copied {
            Ok(()) => {
                let tally = logs::tally(&*self.ledger, self.run.no).await?;
                self.report.tally = tally.clone();
                Ok(Event::Copied(tally.drive))
            }
            Err(Halt { reason, message }) => {
                self.report.message = Some(message);
                Ok(Event::Suspended(reason))
            }
        }
    }

    /// What earlier runs of this drive have left in the ledger.
    async fn known(&self) -> Result<Known, IngestError> {
        let done = self.ledger.outcomes_present(self.run.no).await?;
        self.progress.blobs_done.add(done.len());
        let totals =
            if done.is_empty() { Totals::default() } else { self.ledger.totals(self.run.no).await? };
        self.progress.bytes_done.add(totals.bytes().min(self.report.totals.chunk_bytes));
        self.progress.bytes_before.add(totals.completed_bytes());
        let mut earlier = HashMap::new();
        for pending in self.ledger.pending(self.run.no).await? {
            let left = Earlier { landed: pending.landed, intent: pending.intent };
            earlier.insert(pending.blob_index, (pending.target_n.unwrap_or(1), left));
        }
        Ok(Known { done: Box::new(move |index| done.contains(index)), earlier })
    }

    async fn write_logs(&mut self, status: DriveStatus) -> Result<Event, IngestError> {
        let names = names(&self.job_name, &self.job, &self.run);
        let request = LogRequest {
            ledger: Arc::clone(&self.ledger),
            run: self.run.no,
            drive: match &self.opened {
                Opened::Ready(drive) => Some(Arc::clone(drive)),
                _ => None,
            },
            drive_id: self.job.drive_id.clone(),
            status,
            copied: is_copied(status),
        };
        match logs::write(request, &names, &self.logs_dir).await {
            Ok(written) => {
                self.report.local_logs = written.paths;
                self.report.failures = written.failures;
            }
            Err(logs::LogError::Manifest(error)) => {
                self.report.message = Some(chain(&error));
                return Ok(Event::Suspended(Suspension::DriveLost));
            }
            Err(error) => return Err(error.into()),
        }
        match logs::upload(&self.account, &names, &self.report.local_logs).await {
            Ok(landed) => self.report.landed_logs = landed,
            Err(logs::UploadError::Storage(error)) if status == DriveStatus::BlobRequestForbidden => {
                // The very reason for the refusal: the local copy has to do.
                self.notice(Notice::Warning(format!("the logs could not be uploaded: {}", chain(&error))));
            }
            Err(logs::UploadError::Storage(error)) => {
                self.report.message = Some(format!("uploading the logs: {}", chain(&error)));
                return Ok(Event::Suspended(Suspension::HeldForCustomer));
            }
            Err(error @ logs::UploadError::Local { .. }) => return Err(IngestError::ReadBack(error)),
        }
        Ok(Event::Done)
    }

    /// Only a drive that was copied is finished for good; a refused one may come back mended.
    async fn close(&mut self, drive: Drive) -> Result<(), IngestError> {
        let Phase::Ended { status } = drive.phase() else { return Ok(()) };
        if is_copied(status) {
            let summary_json = summary_json(&self.report);
            let finished_unix_ms = unix_milliseconds(SystemTime::now());
            let end = RunEnd { status, summary_json, finished_unix_ms };
            match self.ledger.finish(&self.run, &end).await {
                // Whoever has the drive now finds every outcome, and writes the same logs.
                Err(lost @ SaveError::Lost { .. }) => {
                    self.taken_over(&lost);
                    self.report.phase = Phase::Suspended { reason: Suspension::TakenOver };
                }
                finished => finished?,
            }
        }
        Ok(())
    }

    fn take_opened(&mut self) -> Opened {
        std::mem::replace(&mut self.opened, Opened::Gone)
    }

    /// What a step of the way led to. A drive that was pulled meanwhile is not refused: whatever
    /// could not be read of it, it may come back.
    async fn opened_or_refused<T>(
        &mut self,
        done: Result<T, Refusal>,
        opened: impl FnOnce(T) -> Opened,
    ) -> Result<Event, IngestError> {
        let refusal = match done {
            Ok(done) => {
                self.opened = opened(done);
                return Ok(Event::Done);
            }
            Err(refusal) => refusal,
        };
        let device = Arc::clone(&self.device);
        if blocking(move || bring_up::answers(&*device)).await? {
            return Ok(self.refuse(refusal));
        }
        self.report.message = Some(format!("{}; the drive cannot be reached any more", refusal.message));
        Ok(Event::Suspended(Suspension::DriveLost))
    }

    fn taken_over(&mut self, lost: &SaveError) -> Event {
        self.report.message = Some(chain(lost));
        Event::Suspended(suspension_of(lost))
    }

    fn refuse(&mut self, refusal: Refusal) -> Event {
        self.report.message = Some(refusal.message);
        Event::Refused(refusal.status)
    }

    fn notice(&self, notice: Notice) {
        // Nobody listening is no reason to stop.
        let _ = self.notices.send(notice);
    }
}

/// On request, or because the drive is no longer ours: what goes on then would get in the way of
/// whoever has it.
async fn halt_on_stop(mut stop: watch::Receiver<bool>, hold: ledger::Run, run: Arc<Run>) {
    let stopped = async {
        if stop.wait_for(|stop| *stop).await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    tokio::select! {
        () = stopped => run.halt(Suspension::Stopped, "stopped on request".to_owned()),
        () = hold.lost() => run.halt_unsaved(&SaveError::Lost { run: hold.no }),
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, IngestError> {
    tokio::task::spawn_blocking(work).await.map_err(|_| IngestError::Panicked)
}

fn unix_milliseconds(time: SystemTime) -> i64 {
    let since = time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
    i64::try_from(since).unwrap_or(i64::MAX)
}

fn unix_seconds(time: SystemTime) -> i64 {
    let seconds = time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    i64::try_from(seconds).unwrap_or(i64::MAX)
}

fn health_warnings(health: &ntfs::Health) -> Vec<String> {
    let mut warnings = Vec::new();
    if health.dirty {
        warnings.push("the volume is marked dirty: it was not unmounted cleanly".to_owned());
    }
    if health.log_file == ntfs::LogFile::Unclean {
        warnings.push(
            "$LogFile holds unfinished transactions; the drive is read as it is, without them".to_owned(),
        );
    }
    if health.hibernated {
        warnings.push(
            "Windows is hibernated on this volume; what it kept in memory is not on the drive".to_owned(),
        );
    }
    warnings
}

fn summary_json(report: &Report) -> String {
    serde_json::json!({
        "blobs": report.totals.blob_count,
        "bytes": report.totals.chunk_bytes,
        "failed_blobs": report.tally.failed_blobs,
        "dispositions": report.tally.dispositions,
        "corrupted_chunks": report.tally.corrupted_chunks,
        "unreadable_chunks": report.tally.unreadable_chunks,
    })
    .to_string()
}

/// What the finished run came to, told again.
async fn finished_before(spec: &IngestSpec, finished: &RunSummary) -> Result<Report, IngestError> {
    let names = LogNames::new(
        &spec.job_name,
        &spec.job.drive_id,
        finished.start.started_unix_ms,
        &finished.start.run_id,
    );
    let status = match &finished.state {
        RunState::Finished(end) => end.status,
        RunState::Unfinished | RunState::Abandoned => DriveStatus::InternalError,
    };
    Ok(Report {
        phase: Phase::Ended { status },
        message: Some("this drive was ingested before, with this manifest, into this account".to_owned()),
        resumed: false,
        finished_before: true,
        totals: ManifestTotals::default(),
        tally: logs::tally(&*spec.ledger, finished.no).await?,
        failures: Vec::new(),
        local_logs: names.local(&spec.logs_dir),
        landed_logs: names.in_account(),
    })
}

fn names(job_name: &str, job: &JobEntry, run: &ledger::Run) -> LogNames {
    LogNames::new(job_name, &job.drive_id, run.started_unix_ms, &run.run_id)
}

/// Whether a drive with this status has come to its end for good. A refused one may come back with
/// another key, another credential, or in another bay.
fn is_copied(status: DriveStatus) -> bool {
    matches!(
        status,
        DriveStatus::Completed | DriveStatus::CompletedWithWarnings | DriveStatus::CompletedWithErrors
    )
}

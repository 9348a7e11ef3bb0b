//! The bays of this station: what is in each, whether work waits for it, and the work.
//!
//! ```text
//! look ─▶ seen serial ─▶ its job says: this bay ─▶ claim (lease, fence) ─▶ run ─▶ reported ─▶ claim let go
//! ```
//! One task a bay. It is reconciled, not told: it looks every few seconds and needs nobody's message,
//! so a message that is lost costs seconds. Invariant: a drive is touched only under a claim, and only
//! when the serial number that was seen, the job and the bay agree.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use api::desk::bays::{BayNow, Board, Doing, Limit};
use async_trait::async_trait;
use jobs::{Caller, Jobs};
use keys::Vault;
use ledger::Ledger;
use model::DriveId;
use model::job::{DriveState, Job, Place};
use proof::bring_up::Device;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;

use super::bay;
use super::config::{Bay, TransferConfig};
use super::run::{Run, RunError};
use super::told_to_stop;

/// How often a bay is looked at while nothing happens.
const LOOK_EVERY: Duration = Duration::from_secs(3);
/// How long a bay rests after a fault of ours; twice as long after each that follows.
const REST_AFTER_FAULT: Duration = Duration::from_secs(60);
/// So many runs of a drive may fail, one after the other, before it waits for somebody to look: each of them has
/// the drive's key released, and is told to everybody who follows the job.
const FAILED_RUNS_MAX: u32 = 5;

/// Tells the bays' tasks what the jobs service decides.
#[derive(Default)]
pub struct Floor {
    changed: Notify,
    running: Mutex<HashMap<DriveId, watch::Sender<bool>>>,
}

#[async_trait]
impl jobs::Bays for Floor {
    async fn ready(&self, _: &Job, _: &DriveId) {
        self.changed.notify_waiters();
    }

    async fn stop(&self, _: &Job, drive_id: &DriveId) {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(stop) = running.get(drive_id) {
            stop.send_replace(true);
        }
    }
}

impl Floor {
    /// A drive is being worked on: the receiver says when that must stop.
    fn begin(&self, drive_id: &DriveId) -> watch::Receiver<bool> {
        let (stop, stopped) = watch::channel(false);
        self.running.lock().unwrap_or_else(PoisonError::into_inner).insert(drive_id.clone(), stop);
        stopped
    }

    fn end(&self, drive_id: &DriveId) {
        self.running.lock().unwrap_or_else(PoisonError::into_inner).remove(drive_id);
    }
}

/// What all bays share.
pub struct Crew {
    /// Jobs.
    pub jobs: Arc<Jobs>,
    /// Claims, credentials, progress.
    pub ledger: Arc<dyn Ledger>,
    /// Opens credentials.
    pub vault: Arc<Vault>,
    /// Where messages for bays come in.
    pub floor: Arc<Floor>,
    /// How copies run.
    pub transfer: TransferConfig,
    /// Decrypts and digests for all bays.
    pub digests: Arc<proof::verify::DigestPool<transfer::blob::Chunk>>,
    /// Where local copies of logs go.
    pub logs_dir: std::path::PathBuf,
    /// What screens see of the bays.
    pub screen: Screen,
}

/// Where bays say what they do.
pub struct Screen(watch::Sender<Arc<[BayNow]>>);

impl Screen {
    /// A screen of these bays, and what others see of it.
    pub fn new(bays: &[Bay]) -> (Screen, Board) {
        let (sender, board) = Board::new(bays.iter().map(|bay| BayNow::empty(&*bay.name)));
        (Screen(sender), board)
    }

    /// Says which drive is in a bay; what was said of the same drive before stays.
    fn seen(&self, seen: &BayNow) {
        let is_known =
            self.0.borrow().iter().any(|known| known.bay == seen.bay && known.drive_id == seen.drive_id);
        if !is_known {
            self.show(BayNow { doing: Doing::Waiting, ..seen.clone() });
        }
    }

    /// Says what is wrong in a bay, beside what is known to be in it.
    fn trouble(&self, bay: &str, doing: Doing, text: &str) {
        let known = self.0.borrow().iter().find(|known| known.bay == bay).cloned();
        let known = known.unwrap_or_else(|| BayNow::empty(bay));
        self.show(BayNow { doing, trouble: Some(text.to_owned()), ..known });
    }

    /// Says what a bay does; watchers are woken only by something new.
    pub fn show(&self, now: BayNow) {
        self.0.send_if_modified(|bays| {
            let is_known = bays.contains(&now);
            if !is_known {
                let others = bays.iter().map(|known| if known.bay == now.bay { &now } else { known });
                *bays = others.cloned().collect();
            }
            !is_known
        });
    }
}

/// Works in all bays until told to stop; then every run is brought to a clean stop.
pub async fn work(crew: Arc<Crew>, bays: Vec<Bay>, stop: watch::Receiver<bool>) {
    let mut tasks = JoinSet::new();
    for bay in bays {
        let (crew, stop, runtime) = (Arc::clone(&crew), stop.clone(), tokio::runtime::Handle::current());
        // A thread a bay: a run stays on the thread that it began on.
        tasks.spawn_blocking(move || runtime.block_on(keep(bay, crew, stop)));
    }
    while let Some(ended) = tasks.join_next().await {
        if let Err(error) = ended {
            tracing::error!(error = &error as &dyn std::error::Error, "the task of a bay died");
        }
    }
}

async fn keep(bay: Bay, crew: Arc<Crew>, mut stop: watch::Receiver<bool>) {
    let mut said = String::new();
    let mut failed_runs = 0;
    while !*stop.borrow() {
        let rest = match crew.look_and_work(&bay, &stop).await {
            Ok(()) => {
                said.clear();
                failed_runs = 0;
                LOOK_EVERY
            }
            Err(fault) => {
                // Every few seconds the same: once is enough.
                let text = proof::chain(&fault);
                if text != said {
                    tracing::warn!(bay = bay.name, "{text}");
                    crew.screen.trouble(&bay.name, fault.doing(), &text);
                    said = text;
                }
                if let Fault::Run { drive_id, source, .. } = &fault
                    && !source.is_held()
                {
                    failed_runs += 1;
                    if failed_runs >= FAILED_RUNS_MAX {
                        crew.give_up(&bay, drive_id, failed_runs, source).await;
                    }
                }
                fault.rest(failed_runs)
            }
        };
        tokio::select! {
            () = told_to_stop(&mut stop) => return,
            () = crew.floor.changed.notified() => {}
            () = tokio::time::sleep(rest) => {}
        }
    }
}

/// Why a bay does not work although something is in it.
#[derive(Debug, thiserror::Error)]
enum Fault {
    #[error(transparent)]
    Look(#[from] bay::LookError),
    #[error("the drive {drive_id} in bay {bay} belongs to no open job; scan it, or take it out")]
    Unknown { drive_id: DriveId, bay: String },
    #[error("the drive {drive_id} in bay {bay} is not assigned to it: it is {place}")]
    Elsewhere { drive_id: DriveId, bay: String, place: Place },
    #[error("asking for the job of drive {drive_id}")]
    Jobs { drive_id: DriveId, source: jobs::LookError },
    #[error("claiming drive {drive_id}")]
    Claim { drive_id: DriveId, source: ledger::OfficeError },
    #[error("working on drive {drive_id} in bay {bay}")]
    Run { drive_id: DriveId, bay: String, source: RunError },
    #[error("looking into bay {0}")]
    Panicked(String),
}

impl Fault {
    /// A drive that somebody has to scan waits, and one that another station has not let go; the rest is a fault.
    fn doing(&self) -> Doing {
        match self {
            Fault::Unknown { .. } | Fault::Elsewhere { .. } => Doing::Waiting,
            Fault::Run { source, .. } if source.is_held() => Doing::Waiting,
            Fault::Look(_)
            | Fault::Jobs { .. }
            | Fault::Claim { .. }
            | Fault::Run { .. }
            | Fault::Panicked(_) => Doing::Faulted,
        }
    }

    fn rest(&self, failed_runs: u32) -> Duration {
        match self {
            Fault::Look(_) | Fault::Unknown { .. } | Fault::Elsewhere { .. } => LOOK_EVERY,
            // Whoever puts it in again, anywhere, should not have to wait.
            Fault::Run { source: RunError::DriveLost(_), .. } => LOOK_EVERY,
            Fault::Run { source, .. } if source.is_held() => LOOK_EVERY,
            Fault::Jobs { .. } | Fault::Claim { .. } | Fault::Run { .. } | Fault::Panicked(_) => {
                REST_AFTER_FAULT * (1 << failed_runs.saturating_sub(1).min(FAILED_RUNS_MAX))
            }
        }
    }
}

impl Crew {
    async fn look_and_work(&self, bay: &Bay, stop: &watch::Receiver<bool>) -> Result<(), Fault> {
        let looked_at = bay.clone();
        let looked = tokio::task::spawn_blocking(move || bay::look(&looked_at)).await;
        let looked = looked.map_err(|_| Fault::Panicked(bay.name.clone()))?;
        let Some(drive_id) = looked? else {
            self.screen.show(BayNow::empty(&*bay.name));
            return Ok(());
        };
        let seen = BayNow { drive_id: Some(drive_id.to_string()), ..BayNow::empty(&*bay.name) };
        // The desk takes the serial number from here when the drive is assigned.
        self.screen.seen(&seen);
        let found = self.jobs.find_drive(&drive_id).await;
        let found = found.map_err(|source| Fault::Jobs { drive_id: drive_id.clone(), source })?;
        let Some(stored) = found else {
            return Err(Fault::Unknown { drive_id, bay: bay.name.clone() });
        };
        let place = stored.job.drive(&drive_id).map_or(Place::Away, |drive| drive.place.clone());
        if place.station() != Some(self.jobs.station()) || place.bay() != Some(&bay.name) {
            return Err(Fault::Elsewhere { drive_id, bay: bay.name.clone(), place });
        }
        if self.left_behind(bay, &stored.job, &drive_id).await? {
            return Ok(());
        }
        let lease = self.transfer.claim();
        let failed = |source| Fault::Claim { drive_id: drive_id.clone(), source };
        let claimed =
            self.ledger.claim_this_drive(self.jobs.station(), &drive_id, lease).await.map_err(failed)?;
        let Some(claim) = claimed else {
            self.screen.show(idle(seen, &stored.job, &drive_id));
            return Ok(());
        };
        self.screen.show(BayNow { doing: Doing::Opening, ..seen });
        let stopped = self.floor.begin(&drive_id);
        let ended = match self.open(bay, &drive_id).await {
            Ok(device) => {
                let run = Run { crew: self, bay, job: stored.job, claim: claim.clone(), lease };
                let ended = run.run(device, stop.clone(), stopped).await;
                ended.map_err(|source| Fault::Run {
                    drive_id: drive_id.clone(),
                    bay: bay.name.clone(),
                    source,
                })
            }
            Err(fault) => Err(fault),
        };
        self.floor.end(&drive_id);
        let released = self.ledger.release(&claim).await;
        ended?;
        released.map_err(failed)
    }

    async fn open(&self, bay: &Bay, drive_id: &DriveId) -> Result<Device, Fault> {
        let (asked, expected) = (bay.clone(), drive_id.clone());
        let opened = tokio::task::spawn_blocking(move || bay::open(&asked, &expected)).await;
        Ok(opened.map_err(|_| Fault::Panicked(bay.name.clone()))??)
    }

    /// A drive of a cancelled job whose run ended without a word, with its process perhaps: nobody but this bay
    /// can say that it is not being copied, and without that its job never ends.
    async fn left_behind(&self, bay: &Bay, job: &Job, drive_id: &DriveId) -> Result<bool, Fault> {
        let is_running = job.drive(drive_id).is_some_and(|drive| drive.state == DriveState::Transferring);
        if !(job.cancel_requested && is_running) {
            return Ok(false);
        }
        let caller = bay_caller(bay);
        let told = self.jobs.drive_stopped(&caller, &job.key, drive_id, None).await;
        told.map_err(|source| Fault::Run {
            drive_id: drive_id.clone(),
            bay: bay.name.clone(),
            source: source.into(),
        })?;
        Ok(true)
    }

    /// Holds a drive whose runs fail again and again; when that cannot be saved either, the next failure does it.
    async fn give_up(&self, bay: &Bay, drive_id: &DriveId, failed_runs: u32, last: &RunError) {
        let why = format!("{failed_runs} runs failed one after the other: {}", proof::chain(last));
        let Ok(Some(stored)) = self.jobs.find_drive(drive_id).await else { return };
        if let Err(error) = self.jobs.hold(&bay_caller(bay), &stored.job.key, drive_id, &why).await {
            tracing::warn!(error = &error as &dyn std::error::Error, %drive_id, "the drive was not held");
        }
    }
}

/// A bay, as the service writes it into custody.
pub fn bay_caller(bay: &Bay) -> Caller {
    Caller::new(format!("bay:{}", bay.name), vec!["service".to_owned()])
}

/// A drive that is where it belongs and not worked on: it is done, waits for somebody, or for its turn.
fn idle(seen: BayNow, job: &Job, drive_id: &DriveId) -> BayNow {
    let Some(drive) = job.drive(drive_id) else { return BayNow { doing: Doing::Waiting, ..seen } };
    let is_done = matches!(drive.state, DriveState::Completed | DriveState::CompletedMoreInfo);
    match &drive.hold {
        _ if is_done || job.cancel_requested => BayNow { doing: Doing::Done, ..seen },
        Some(hold) => BayNow {
            doing: Doing::Waiting,
            limited_by: Some(Limit::Customer),
            trouble: Some(hold.reason.clone()),
            ..seen
        },
        None => BayNow { doing: Doing::Waiting, ..seen },
    }
}

//! What all stages of one copy share: the account, the ledger's front, the counters, and the
//! switch that stops everything.
//!
//! Invariant: a copy is halted at most once, for one reason, and the reason stays.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use azure::{Account, AccountFacts, StorageError};
use ledger::{Recorder, SaveError};
use model::drive::{Action, Suspension};
use model::status::BlobStatus;
use model::{BlobPath, Class};
use proof::chain;
use tokio::sync::{OnceCell, mpsc, watch};

use crate::blob::Blob;
use crate::outcome::BlobFailure;
use crate::progress::Progress;

/// Shared by the stages of one copy.
pub struct Run {
    /// The destination.
    pub account: Account,
    /// What the destination said of itself.
    pub facts: AccountFacts,
    /// The ledger's front; `save` returns when durable.
    pub recorder: Recorder,
    /// Counters for whoever looks on.
    pub progress: Arc<Progress>,
    /// What a person should hear of while it happens.
    pub notices: mpsc::UnboundedSender<Notice>,
    /// Whether an earlier run of this drive was interrupted.
    pub resumed: bool,
    /// The destination's clock when the first run of this drive began, seconds since 1970; what
    /// it last modified before that was not put by us.
    pub server_started_unix_s: i64,
    /// Blobs that have to start over.
    pub restarts: mpsc::UnboundedSender<Arc<Blob>>,
    /// Work that is not finished: planned blobs without outcome.
    pub unfinished: watch::Sender<u64>,
    /// Set when the copy must stop.
    pub halt: watch::Sender<Option<Halt>>,
    /// Containers that were created or seen.
    pub containers: Mutex<HashMap<String, Arc<OnceCell<()>>>>,
    /// Names under which blobs are being staged, and which blob of the manifest that is.
    pub staged: Mutex<HashMap<BlobPath, u64>>,
    /// A container that has taken something of ours: what a SAS below the account is probed with.
    pub good_container: OnceLock<String>,
    /// When the destination was last probed after an error, and whether it answered.
    pub last_probe: tokio::sync::Mutex<Option<(Instant, Result<(), String>)>>,
}

/// Why a copy stopped before its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Halt {
    /// Who can mend it.
    pub reason: Suspension,
    /// What happened, the whole chain, and what to do.
    pub message: String,
}

/// Something to tell a person at once.
#[derive(Debug, Clone)]
pub enum Notice {
    /// A blob whose status is not `Completed`.
    BlobFailed {
        /// The manifest's blob path.
        blob_path: String,
        /// The log's code.
        status: BlobStatus,
        /// Why.
        message: String,
    },
    /// Something odd that does not change any outcome.
    Warning(String),
    /// How drive reads are done: io_uring or positional.
    ReaderMode(String),
    /// What is done next.
    Doing(Action),
}

/// A probe's bad answer is good for this long: an outage must not turn into a storm of probes.
const PROBE_GOOD_FOR: Duration = Duration::from_secs(5);

impl Run {
    /// Stops the copy; only the first reason counts.
    pub fn halt(&self, reason: Suspension, message: String) {
        self.halt.send_if_modified(|halt| {
            let first = halt.is_none();
            halt.get_or_insert(Halt { reason, message });
            first
        });
    }

    /// Stops the copy because the ledger keeps nothing any more.
    pub fn halt_unsaved(&self, error: &SaveError) {
        self.halt(suspension_of(error), chain(error));
    }

    /// Whether the copy is being stopped.
    pub fn is_halted(&self) -> bool {
        self.halt.borrow().is_some()
    }

    /// Takes a name for staging; false while another blob of the manifest has it.
    pub fn reserve(&self, path: &BlobPath, blob_index: u64) -> bool {
        let mut staged = self.staged.lock().unwrap_or_else(PoisonError::into_inner);
        *staged.entry(path.clone()).or_insert(blob_index) == blob_index
    }

    /// Gives a blob's names back.
    pub fn give_up_names(&self, blob_index: u64) {
        let mut staged = self.staged.lock().unwrap_or_else(PoisonError::into_inner);
        staged.retain(|_, holder| *holder != blob_index);
    }

    /// Decides what an error of the storage service means: the failure of this one blob, or, by
    /// halting, the end of the copy.
    ///
    /// A refused credential and an unreachable account concern every blob. A container SAS that
    /// does not cover one container concerns that blob only. Which it is, a probe tells.
    pub async fn judge(&self, error: &StorageError) -> Option<BlobFailure> {
        let failure =
            BlobFailure { status: status_of(error), message: chain(error), http_status: error.http_status };
        match error.class() {
            Class::FailBlob => Some(failure),
            // A full or disabled account still answers questions: a probe would prove nothing.
            Class::HoldForCustomer if error.kind == azure::ErrorKind::AccountUnavailable => {
                self.halt(Suspension::HeldForCustomer, failure.message);
                None
            }
            Class::RetryRequest | Class::HoldForCustomer => match self.probe(&error.path).await {
                Ok(()) => Some(failure),
                Err(probe) => {
                    let message =
                        format!("{}; and the account as a whole does not answer: {probe}", failure.message);
                    self.halt(Suspension::HeldForCustomer, message);
                    None
                }
            },
            Class::FailDrive => {
                self.halt(Suspension::DriveLost, failure.message);
                None
            }
            Class::StopStation => {
                self.halt(Suspension::StationFault, failure.message);
                None
            }
        }
    }

    /// Asks the account, or with a SAS that may not ask it, a container: one that has taken
    /// something already, else the one of the request that failed.
    async fn probe(&self, failed_path: &str) -> Result<(), String> {
        let asked_at = Instant::now();
        let mut last = self.last_probe.lock().await;
        match &*last {
            // Whoever waited here shares the answer; a good one from before the error proves nothing.
            Some((at, answer)) if *at >= asked_at => answer.clone(),
            Some((at, answer @ Err(_))) if at.elapsed() < PROBE_GOOD_FOR => answer.clone(),
            _ => {
                let container = self.good_container.get().map_or(container_of(failed_path), String::as_str);
                let asked = match self.facts.credential_accepted {
                    true => self.account.probe().await,
                    false => self.account.probe_container(container).await,
                };
                let answer = asked.map(drop).map_err(|error| chain(&error));
                *last = Some((Instant::now(), answer.clone()));
                answer
            }
        }
    }

    /// Makes sure that a container exists; asks the service once a container.
    ///
    /// A credential that may write blobs but not create containers is usual (a container SAS): the
    /// refusal is not an error here, because the first put tells for certain.
    ///
    /// # Errors
    /// What the service said, unless it is that refusal.
    pub async fn ensure_container(&self, name: &str) -> Result<(), StorageError> {
        let cell = {
            let mut containers = self.containers.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(containers.entry(name.to_owned()).or_default())
        };
        let create = || async {
            match self.account.create_container(name).await {
                Ok(_) => Ok(()),
                Err(error) if error.kind == azure::ErrorKind::Forbidden => Ok(()),
                Err(error) => Err(error),
            }
        };
        cell.get_or_try_init(create).await.copied()
    }
}

/// What a drive whose progress cannot be saved is suspended for.
pub fn suspension_of(error: &SaveError) -> Suspension {
    match error {
        SaveError::Lost { .. } => Suspension::TakenOver,
        SaveError::Over { .. } | SaveError::Fault { .. } | SaveError::Stopped { .. } => {
            Suspension::StationFault
        }
    }
}

fn container_of(path: &str) -> &str {
    path.split_once('/').map_or(path, |(container, _)| container)
}

fn status_of(error: &StorageError) -> BlobStatus {
    match error.kind {
        azure::ErrorKind::Forbidden => BlobStatus::BlobRequestForbidden,
        azure::ErrorKind::LeasePresent => BlobStatus::LeasePresent,
        _ => BlobStatus::BlobRequestFailed,
    }
}

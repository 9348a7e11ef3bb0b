//! A run: one drive's manifest on its way to one destination, over as many processes as it takes.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use model::DriveId;
use model::status::DriveStatus;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

/// What makes two tries the same run: the second goes on where the first ended.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RunKey {
    /// The drive's serial number.
    pub drive_id: DriveId,
    /// The job that it belongs to, by what tells it from all others.
    pub job_name: String,
    /// The manifest's hash as the job gives it: another manifest is another run.
    pub manifest_hash: String,
    /// The account's endpoint: the same drive into another account is another run.
    pub destination: String,
}

/// What a new run begins with; a resumed one keeps what it began with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunStart {
    /// A random identity, by which the run knows its own work at the destination.
    pub run_id: [u8; 16],
    /// The station's clock, milliseconds since 1970.
    pub started_unix_ms: i64,
    /// The time stamp in the logs' names, so that a resumed run writes the same logs.
    pub log_timestamp: String,
}

/// A run's number in its ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunNo(pub i64);

impl fmt::Display for RunNo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// What [`crate::Runs::begin`] found or made.
#[derive(Debug)]
pub enum Begun {
    /// There is work to do, and the drive is ours while any clone of the run lives.
    Running(Run),
    /// It was all done before.
    Finished(RunSummary),
}

/// A run that this process may write. The drive is held until the last clone is dropped, or the
/// process ends, however it ends; where it is held by a lease, also until that ends without having
/// been renewed, which [`Run::lost`] tells.
#[derive(Clone)]
pub struct Run {
    /// Its number, for reading.
    pub no: RunNo,
    /// As [`RunStart::run_id`].
    pub run_id: [u8; 16],
    /// As [`RunStart::started_unix_ms`], of the first try.
    pub started_unix_ms: i64,
    /// As [`RunStart::log_timestamp`], of the first try.
    pub log_timestamp: String,
    /// The destination's clock at the start, if an earlier try noted it.
    pub server_started_unix_s: Option<i64>,
    /// An earlier try was interrupted.
    pub resumed: bool,
    pub(crate) hold: Hold,
}

impl Run {
    /// Whether the drive's lease has ended without having been renewed: then nothing can be saved
    /// any more, and somebody else may have the drive.
    pub fn is_lost(&self) -> bool {
        self.hold.is_lost()
    }

    /// Waits until [`Run::is_lost`]; for ever where the drive is held by a lock, which is never lost.
    pub async fn lost(&self) {
        let Some(mut until) = self.hold.until.clone() else { return std::future::pending().await };
        while !self.is_lost() {
            let ends = *until.borrow_and_update();
            tokio::select! {
                // An error is an end, too, which the next look finds.
                _ = until.changed() => {}
                () = sleep_until(ends) => {}
            }
        }
    }
}

/// What keeps the drive ours.
#[derive(Clone)]
pub(crate) struct Hold {
    /// The lease's generation, which every write is checked against; zero for a lock.
    pub fence: i64,
    /// When a lease ends by our clock, unless it is renewed before; none for a lock.
    until: Option<watch::Receiver<Instant>>,
    _keep: Arc<dyn Any + Send + Sync>,
}

impl Hold {
    /// Until the lock is dropped, or the process is gone.
    pub fn lock(lock: impl Any + Send + Sync) -> Hold {
        Hold { fence: 0, until: None, _keep: Arc::new(lock) }
    }

    /// Until the lease is dropped, or its end has come without whoever renews it having moved it.
    pub fn lease(fence: i64, until: watch::Receiver<Instant>, lease: impl Any + Send + Sync) -> Hold {
        Hold { fence, until: Some(until), _keep: Arc::new(lease) }
    }

    /// Looks at the clock: a station that has slept knows at once, before it hears anything. When
    /// whoever renews is gone, so is the lease.
    fn is_lost(&self) -> bool {
        self.until
            .as_ref()
            .is_some_and(|until| Instant::now() >= *until.borrow() || until.has_changed().is_err())
    }
}

impl fmt::Debug for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Run").field("no", &self.no).field("resumed", &self.resumed).finish_non_exhaustive()
    }
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunEnd {
    /// `DriveLog/Status`.
    pub status: DriveStatus,
    /// Whatever the caller wants to show later, as JSON.
    pub summary_json: String,
    /// The station's clock, milliseconds since 1970.
    pub finished_unix_ms: i64,
}

/// A run as a list shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunSummary {
    /// Its number.
    pub no: RunNo,
    /// What it is a run of.
    pub key: RunKey,
    /// How it began.
    pub start: RunStart,
    /// The last phase that was recorded, for a person.
    pub phase: Option<String>,
    /// Whether it goes on.
    pub state: RunState,
}

/// Whether a run goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunState {
    /// It has work left, whether or not somebody is at it.
    Unfinished,
    /// Its logs are written.
    Finished(RunEnd),
    /// Set aside; a new run with its key takes nothing from it.
    Abandoned,
}

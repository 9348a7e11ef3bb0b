//! What nobody asks for: timers that are due, and what a crash left undone.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use model::DriveId;
use model::job::{Action, DriveState, Happening, Job, JobKey, TimerKind};

use crate::{Caller, ChangeError, Jobs, LookError};

/// The time in Unix milliseconds.
pub type Clock = Arc<dyn Fn() -> i64 + Send + Sync>;

/// Milliseconds since 1970, by the computer's clock.
pub fn now_unix_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// The computer's clock.
pub fn system_clock() -> Clock {
    Arc::new(now_unix_ms)
}

/// Most timers that one call looks at; the next call goes on.
const TIMERS_MAX: u32 = 500;
/// How many drives are read at a time when starting.
const DRIVES_PAGE: u32 = 500;

/// What came of the timers that were due.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TimersFired {
    /// Those that the jobs took.
    pub fired: usize,
    /// Those of jobs that could not be changed; the log says why, and they are due again next time.
    pub failed: usize,
}

/// What was told again after a start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reconciled {
    /// Drives that bays may work on.
    pub ready: usize,
    /// Drives that bays must stop working on.
    pub stopped: usize,
    /// Of those, drives of cancelled jobs: nobody was left to stop, and the jobs were told so.
    pub ended: usize,
    /// Jobs that could not be read; the log says why.
    pub unreadable: usize,
}

impl Jobs {
    /// Fires the timers that are due. To be called now and then; twice at the same time is harmless.
    ///
    /// # Errors
    /// When the due timers cannot be read. One job's trouble does not stop the others.
    pub async fn fire_due_timers(&self) -> Result<TimersFired, LookError> {
        let due =
            self.parts.jobs.due_timers(self.now_unix_ms(), TIMERS_MAX).await.map_err(LookError::Store)?;
        let caller = Caller::station(self.station());
        let mut outcome = TimersFired::default();
        for timer in due {
            match self.fire(&caller, &timer.job, &timer.timer.kind).await {
                Ok(()) => outcome.fired += 1,
                Err(error) => {
                    outcome.failed += 1;
                    let job = timer.job.arm_id();
                    tracing::error!(%job, timer = timer.timer.kind, err = %error, "a timer could not fire");
                }
            }
        }
        Ok(outcome)
    }

    async fn fire(&self, caller: &Caller, key: &JobKey, kind: &str) -> Result<(), ChangeError> {
        let Ok(kind) = TimerKind::parse(kind) else {
            // A later version's timer: left for it.
            return Ok(());
        };
        match self.tell(caller, key, Happening::TimerFired { kind }).await {
            // Deleted by somebody else in the meantime.
            Ok(_) | Err(ChangeError::NotFound(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Looks at what was saved of this station's drives, and tells the bays again what they perhaps never heard.
    ///
    /// To be called before a bay works: a drive of a cancelled job that was being copied here has stopped with the
    /// process that copied it, and its job hears that from here. No bay would take up such a drive to report it.
    ///
    /// # Errors
    /// When the ledger cannot be read. A job that cannot be read does not stop the others.
    pub async fn reconcile(&self) -> Result<Reconciled, LookError> {
        let mut outcome = Reconciled::default();
        for key in self.jobs_here().await? {
            match self.get(&key).await {
                Ok(Some(stored)) => self.tell_again(&stored.job, &mut outcome).await,
                Ok(None) => {}
                Err(error @ LookError::Store(_)) => return Err(error),
                Err(error) => {
                    outcome.unreadable += 1;
                    tracing::error!(job = %key, err = %error, "a job cannot be reconciled");
                }
            }
        }
        Ok(outcome)
    }

    async fn tell_again(&self, job: &Job, outcome: &mut Reconciled) {
        let is_here = |action: &Action| match action {
            Action::DriveReady { drive_id } | Action::StopCopy { drive_id } => {
                job.drive(drive_id).is_some_and(|drive| drive.place.station() == Some(self.station()))
            }
            _ => false,
        };
        let actions: Vec<Action> = job.standing_actions().into_iter().filter(is_here).collect();
        let ready = actions.iter().filter(|action| matches!(action, Action::DriveReady { .. })).count();
        outcome.ready += ready;
        outcome.stopped += actions.len() - ready;
        self.act(job, &actions).await;
        for action in &actions {
            if let Action::StopCopy { drive_id } = action
                && job.cancel_requested
                && job.drive(drive_id).is_some_and(|drive| drive.state == DriveState::Transferring)
            {
                self.end_of_cancelled(job, drive_id, outcome).await;
            }
        }
    }

    async fn end_of_cancelled(&self, job: &Job, drive_id: &DriveId, outcome: &mut Reconciled) {
        let caller = Caller::station(self.station());
        let stopped = Happening::DriveStopped { drive_id: drive_id.clone() };
        match self.tell(&caller, &job.key, stopped).await {
            Ok(_) => outcome.ended += 1,
            Err(error) => {
                tracing::error!(job = %job.key, %drive_id, err = %error, "a cancelled drive could not be ended");
            }
        }
    }

    /// The jobs that have drives at this station.
    async fn jobs_here(&self) -> Result<Vec<JobKey>, LookError> {
        let mut seen = BTreeSet::new();
        let mut keys = Vec::new();
        let mut after = None;
        loop {
            let drives =
                self.parts.jobs.active_drives(Some(self.station()), after.as_ref(), DRIVES_PAGE).await;
            let drives = drives.map_err(LookError::Store)?;
            let Some(last) = drives.last() else { return Ok(keys) };
            after = Some(last.drive.drive_id.clone());
            for placed in drives {
                if seen.insert(placed.job.folded().arm_id()) {
                    keys.push(placed.job);
                }
            }
        }
    }
}

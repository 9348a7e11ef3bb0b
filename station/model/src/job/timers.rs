//! What a job waits for: azure-import-export.md §4.1, §4.2.
//!
//! A timer is in [`super::Job::timers`] exactly while its state waits for it: `CreatingIdle` in `Creating`,
//! `ShippingOverdue` and after it `NoReply` in `Shipping`, `Retention` when the job is over, `Undeliverable`
//! while the drives are here and nobody takes them back. A faulted job waits for an operator, not for a clock.

use super::event::{Action, Notice};
use super::fields::Undeliverable;
use super::refusal::Refusal;
use super::step::Turn;
use super::words::{DriveState, JobState, JobType, TimerKind};

/// How long a job may lie in `Creating`.
pub const CREATING_DAYS: i64 = 14;
/// How long a parcel may be on its way.
pub const SHIPPING_DAYS: i64 = 14;
/// How long a customer has to answer.
pub const ANSWER_DAYS: i64 = 30;
/// How long drives are kept that nobody takes back.
pub const UNDELIVERABLE_DAYS: i64 = 90;
/// How long a job is kept when it is over.
pub const RETENTION_DAYS: i64 = 90;

const DAY_MS: i64 = 24 * 60 * 60 * 1_000;

impl TimerKind {
    /// How long this one runs.
    pub fn days(self) -> i64 {
        match self {
            TimerKind::CreatingIdle => CREATING_DAYS,
            TimerKind::ShippingOverdue => SHIPPING_DAYS,
            TimerKind::NoReply => ANSWER_DAYS,
            TimerKind::Undeliverable => UNDELIVERABLE_DAYS,
            TimerKind::Retention => RETENTION_DAYS,
        }
    }
}

impl Turn {
    pub(super) fn set_timer(&mut self, kind: TimerKind) {
        let due_unix_ms = self.at_unix_ms.saturating_add(kind.days() * DAY_MS);
        self.job.timers.insert(kind, due_unix_ms);
        self.act(Action::SetTimer { kind, due_unix_ms });
    }

    pub(super) fn clear_timer(&mut self, kind: TimerKind) {
        if self.job.timers.remove(&kind).is_some() {
            self.act(Action::ClearTimer { kind });
        }
    }

    /// A timer that was set again, or cleared, after it was read as due, has not fired.
    pub(super) fn is_due(&self, kind: TimerKind) -> bool {
        self.job.timers.get(&kind).is_some_and(|due_unix_ms| *due_unix_ms <= self.at_unix_ms)
    }

    pub(super) fn timer_fired(&mut self, kind: TimerKind) -> Result<(), Refusal> {
        self.job.timers.remove(&kind);
        match kind {
            TimerKind::CreatingIdle if self.job.parcels.is_empty() => self.act(Action::Delete),
            TimerKind::CreatingIdle => {
                self.notify(Notice::ReturnUnclaimedParcel);
                self.keep_undeliverable("the job was not shipped in two weeks".to_owned());
            }
            TimerKind::ShippingOverdue => self.shipping_overdue(),
            TimerKind::NoReply => {
                self.notify(Notice::ClosedWithoutAnswer);
                // Nothing came, so nothing was done.
                self.end(true);
            }
            TimerKind::Undeliverable => {
                if let Some(undeliverable) = &mut self.job.undeliverable {
                    undeliverable.may_destroy = true;
                    self.notify(Notice::DrivesMayBeDestroyed);
                }
            }
            TimerKind::Retention => self.act(Action::Delete),
        }
        Ok(())
    }

    /// Two weeks on the way. A parcel that is here and not unpacked is the station's delay, not a loss.
    fn shipping_overdue(&mut self) {
        if self.job.parcels.iter().any(|parcel| !parcel.unpacked) {
            self.notify(Notice::ParcelNotUnpacked);
            return self.set_timer(TimerKind::ShippingOverdue);
        }
        let missing: Vec<_> =
            self.job.drives.iter_mut().filter(|d| d.state == DriveState::Specified).collect();
        let mut notices = Vec::new();
        for drive in missing {
            drive.state = DriveState::NeverReceived;
            notices.push(Notice::DriveNeverReceived(drive.drive_id.clone()));
        }
        notices.into_iter().for_each(|notice| self.notify(notice));
        if self.job.job_type == JobType::Export && self.job.has_anything() {
            // Nobody announced how many would come, and no more will.
            self.enter(JobState::Received);
        } else if self.job.right_state() == JobState::Shipping {
            self.notify(Notice::ShippingOverdue);
            self.set_timer(TimerKind::NoReply);
        }
    }

    /// The customer is heard of, or something came: the two weeks begin anew.
    pub(super) fn answered(&mut self) -> Result<(), Refusal> {
        if self.job.timers.contains_key(&TimerKind::NoReply) {
            self.clear_timer(TimerKind::NoReply);
            self.set_timer(TimerKind::ShippingOverdue);
        }
        Ok(())
    }

    pub(super) fn keep_undeliverable(&mut self, reason: String) {
        let since_unix_ms = self.at_unix_ms;
        self.job.undeliverable = Some(Undeliverable { reason, since_unix_ms, may_destroy: false });
        self.set_timer(TimerKind::Undeliverable);
    }

    pub(super) fn forget_undeliverable(&mut self) {
        self.job.undeliverable = None;
        self.clear_timer(TimerKind::Undeliverable);
    }
}

//! What goes on beside a copy: the claim is renewed, the job hears how far it is, and whoever stops it is heard.
//!
//! A stop can come from this process, or from the job: at another station somebody held the drive, took it
//! away or cancelled the job, and nobody tells this one. So each report looks at the job that it gets back.
//! Invariant: a copy goes on for no longer than its claim is known to last.

use std::time::Duration;

use api::desk::bays::{BayNow, Doing, Limit};
use jobs::{ChangeError, Stored};
use ledger::{Claim, ClaimError};
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use transfer::progress::{LimitedBy, Progress};

use super::super::told_to_stop;
use super::Run;

/// Renewals in the time for which a claim lasts: as often as the lease of its run, which is a third shorter.
const RENEWALS: u32 = 4;
/// Between two reports of progress to the job.
const REPORT_EVERY: Duration = Duration::from_secs(10);

/// Whether the copy may go on.
#[derive(Debug, PartialEq, Eq)]
enum Told {
    GoOn,
    Stop,
}

impl Run<'_> {
    /// Renews the lease, tells the progress, and passes on that the copy shall stop; ends when the claim is lost.
    pub(super) async fn keep(
        &self,
        progress: &Progress,
        halt: &watch::Sender<bool>,
        mut station_stops: watch::Receiver<bool>,
        mut drive_stops: watch::Receiver<bool>,
    ) -> ClaimError {
        let mut renewals = interval(self.lease / RENEWALS);
        let mut reports = interval(REPORT_EVERY);
        renewals.set_missed_tick_behavior(MissedTickBehavior::Delay);
        reports.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // Claimed just now; a tenth is kept back for a copy that must come to its stop.
        let mut lasts_until = Instant::now() + self.lease * 9 / 10;
        let mut seen = (Instant::now(), progress.snapshot().bytes_put);
        loop {
            tokio::select! {
                () = told_to_stop(&mut station_stops), if !*halt.borrow() => { halt.send_replace(true); }
                () = told_to_stop(&mut drive_stops), if !*halt.borrow() => { halt.send_replace(true); }
                _ = renewals.tick() => {
                    let asked = Instant::now();
                    match timeout(self.lease / 6, self.crew.ledger.renew(&self.claim, self.lease)).await {
                        Ok(Ok(())) => lasts_until = asked + self.lease * 9 / 10,
                        Ok(Err(lost @ ClaimError::Lost { .. })) => return lost,
                        failed if Instant::now() + self.lease / 12 >= lasts_until => return self.unrenewed(failed),
                        // A ledger that is away for a moment comes back before the lease ends, or does not.
                        _ => renewals.reset_after(self.lease / 12),
                    }
                }
                _ = reports.tick() => {
                    let told = timeout(REPORT_EVERY, self.tell_progress(progress, &mut seen)).await;
                    if told == Ok(Told::Stop) && !*halt.borrow() {
                        halt.send_replace(true);
                    }
                }
            }
        }
    }

    fn unrenewed<E>(&self, failed: Result<Result<(), ClaimError>, E>) -> ClaimError {
        match failed {
            Ok(Err(error)) => error,
            // No answer at all: by our clock the claim is as good as somebody else's.
            _ => ClaimError::Lost { drive_id: self.claim.drive_id.clone() },
        }
    }

    async fn tell_progress(&self, progress: &Progress, seen: &mut (Instant, u64)) -> Told {
        let now = progress.snapshot();
        let percent = now.bytes_done.saturating_mul(100).checked_div(now.bytes_total).unwrap_or(0).min(99);
        let percent = u8::try_from(percent).unwrap_or(99);
        let Claim { job, drive_id, .. } = &self.claim;
        let before = std::mem::replace(seen, (Instant::now(), now.bytes_put));
        self.crew.screen.show(BayNow {
            bay: self.bay.name.clone(),
            drive_id: Some(drive_id.to_string()),
            doing: Doing::Copying,
            percent: Some(percent),
            bytes_per_second: rate(before, *seen),
            limited_by: Some(limit(now.limited_by)),
            trouble: None,
        });
        let (caller, claim) = (self.caller(), Some(self.claim.clone()));
        let bytes = progress.bytes_before.value() + now.bytes_put;
        match self.crew.jobs.drive_progress(&caller, job, drive_id, (percent, bytes), claim).await {
            Ok(stored) => self.look_at(&stored),
            Err(ChangeError::Refused(_) | ChangeError::NotFound(_) | ChangeError::ClaimLost { .. }) => {
                Told::Stop
            }
            Err(error) => {
                tracing::debug!(error = &error as &dyn std::error::Error, "progress was not told");
                Told::GoOn
            }
        }
    }

    /// Whether the drive is still this bay's to work on.
    fn look_at(&self, stored: &Stored) -> Told {
        let is_here = stored.job.drive(&self.claim.drive_id).is_some_and(|drive| {
            stored.job.is_workable(drive)
                && drive.place.station() == Some(self.crew.jobs.station())
                && drive.place.bay() == Some(&self.bay.name)
        });
        if is_here { Told::GoOn } else { Told::Stop }
    }
}

/// Bytes a second between two looks; none when they are as good as one.
fn rate((then, before): (Instant, u64), (now, after): (Instant, u64)) -> Option<u64> {
    let passed_ms = u64::try_from((now - then).as_millis()).ok().filter(|ms| *ms > 0)?;
    Some(after.saturating_sub(before).saturating_mul(1_000) / passed_ms)
}

fn limit(by: LimitedBy) -> Limit {
    match by {
        LimitedBy::Drive => Limit::Drive,
        LimitedBy::Cpu => Limit::Cpu,
        LimitedBy::Destination => Limit::Destination,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_bytes_by_seconds() {
        let then = Instant::now();
        assert_eq!(rate((then, 1_000), (then + Duration::from_millis(500), 3_000)), Some(4_000));
        assert_eq!(rate((then, 1_000), (then, 3_000)), None);
        assert_eq!(rate((then, 3_000), (then + Duration::from_secs(1), 1_000)), Some(0));
    }
}

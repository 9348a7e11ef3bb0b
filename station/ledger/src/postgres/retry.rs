//! How long "not now" is put up with.
//!
//! Tried again is only what changes nothing when it had been carried out already and only the answer
//! was lost: reads, and writes that say what is, not what to add.

use std::time::Duration;

use tokio::time::Instant;

use crate::error::{Fault, FaultKind};
use crate::run::Run;

/// The first wait; each is twice the one before.
const WAIT_FIRST: Duration = Duration::from_millis(20);
/// The longest wait between two tries.
const WAIT_MAX: Duration = Duration::from_secs(1);
/// How long a call that holds no drive is tried.
const CALL_PATIENCE: Duration = Duration::from_secs(10);

/// Waits between tries, until it is enough.
pub(super) struct Backoff<'a> {
    run: Option<&'a Run>,
    until: Instant,
    wait: Duration,
}

impl<'a> Backoff<'a> {
    /// For what holds no drive.
    pub(super) fn for_a_call() -> Backoff<'static> {
        Backoff { run: None, until: Instant::now() + CALL_PATIENCE, wait: WAIT_FIRST }
    }

    /// As long as a lease is, or until the run's is lost: a restart of the server is sat out.
    pub(super) fn for_a_run(run: &'a Run, lease: Duration) -> Backoff<'a> {
        Backoff { run: Some(run), until: Instant::now() + lease, wait: WAIT_FIRST }
    }

    /// Whether to try again, having waited; not when the fault is one that stays.
    pub(super) async fn again(&mut self, fault: &Fault) -> bool {
        let passes = matches!(fault.kind, FaultKind::Unreachable | FaultKind::Contended);
        if !passes || self.is_lost() || Instant::now() + self.wait > self.until {
            return false;
        }
        tokio::time::sleep(self.wait).await;
        self.wait = (self.wait * 2).min(WAIT_MAX);
        true
    }

    fn is_lost(&self) -> bool {
        self.run.is_some_and(Run::is_lost)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(kind: FaultKind) -> Fault {
        Fault::own(kind, std::io::Error::other("test"))
    }

    #[tokio::test]
    async fn only_what_passes_is_waited_for_and_not_for_ever() {
        for stays in [FaultKind::Full, FaultKind::Locked, FaultKind::Denied, FaultKind::Other] {
            assert!(!Backoff::for_a_call().again(&fault(stays)).await, "{stays:?}");
        }
        let mut short =
            Backoff { run: None, until: Instant::now() + Duration::from_millis(100), wait: WAIT_FIRST };
        let mut tries = 0;
        while short.again(&fault(FaultKind::Unreachable)).await {
            tries += 1;
        }
        assert!((1..=3).contains(&tries), "20 and 40 ms fit, 80 more do not: {tries}");
    }
}

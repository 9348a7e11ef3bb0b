//! A lease of a blob or a container: its states, who may do what, and what runs out when.
//!
//! A pure state machine over stamps; the endpoint's clock is given, so a test lets a lease expire
//! by pushing the clock.
//!
//! ```text
//! Available ──acquire──▶ Leased ──break(t)──▶ Breaking ──t──▶ Broken
//!     ▲                    │  ▲                                 │
//!     └──release───────────┤  └──acquire, renew── Expired       ├──acquire──▶ Leased
//!                          └──60 s without renewal──▶ Expired   └──release──▶ Available
//! ```

use serde::{Deserialize, Serialize};

use super::codes::{self, Code, Refusal};
use super::stamp::Stamp;

/// A finite lease lasts 15 to 60 seconds (REST reference, Lease Blob).
const LEASE_SECONDS: std::ops::RangeInclusive<u64> = 15..=60;
/// A break may be put off by up to a minute.
const BREAK_SECONDS_MAX: u64 = 60;

/// What is known of the lease of one blob or container.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) enum Lease {
    /// Never leased, or released.
    #[default]
    Available,
    /// Leased; `seconds` is what a renewal gives again, none for an infinite lease.
    Held { id: String, seconds: Option<u64>, ends: Option<Stamp> },
    /// Being broken, or broken once `ends` is over.
    Breaking { id: String, ends: Stamp },
}

/// The state at a moment, in the words of `x-ms-lease-state`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LeaseState {
    Available,
    Leased,
    Expired,
    Breaking,
    Broken,
}

impl LeaseState {
    /// The value of `x-ms-lease-state`.
    pub(crate) fn word(self) -> &'static str {
        match self {
            LeaseState::Available => "available",
            LeaseState::Leased => "leased",
            LeaseState::Expired => "expired",
            LeaseState::Breaking => "breaking",
            LeaseState::Broken => "broken",
        }
    }

    /// The value of `x-ms-lease-status`.
    pub(crate) fn status(self) -> &'static str {
        if self.locks() { "locked" } else { "unlocked" }
    }

    fn locks(self) -> bool {
        matches!(self, LeaseState::Leased | LeaseState::Breaking)
    }
}

/// Whose lease it is: the two have codes of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Holder {
    Blob,
    Container,
}

impl Holder {
    fn mismatch(self) -> Code {
        match self {
            Holder::Blob => codes::LEASE_MISMATCH_BLOB,
            Holder::Container => codes::LEASE_MISMATCH_CONTAINER,
        }
    }

    fn none(self) -> Code {
        match self {
            Holder::Blob => codes::LEASE_NONE_BLOB,
            Holder::Container => codes::LEASE_NONE_CONTAINER,
        }
    }
}

impl Lease {
    /// The state at a moment.
    pub(crate) fn state(&self, now: Stamp) -> LeaseState {
        match self {
            Lease::Available => LeaseState::Available,
            Lease::Held { ends: Some(ends), .. } if *ends <= now => LeaseState::Expired,
            Lease::Held { .. } => LeaseState::Leased,
            Lease::Breaking { ends, .. } if *ends <= now => LeaseState::Broken,
            Lease::Breaking { .. } => LeaseState::Breaking,
        }
    }

    /// `infinite` or `fixed` while it is leased.
    pub(crate) fn duration_word(&self, now: Stamp) -> Option<&'static str> {
        match self {
            Lease::Held { seconds, .. } if self.state(now) == LeaseState::Leased => {
                Some(if seconds.is_some() { "fixed" } else { "infinite" })
            }
            _ => None,
        }
    }

    fn id(&self) -> Option<&str> {
        match self {
            Lease::Available => None,
            Lease::Held { id, .. } | Lease::Breaking { id, .. } => Some(id),
        }
    }

    /// Whether a write that names this lease id, or none, may be done.
    pub(crate) fn check_write(&self, id: Option<&str>, holder: Holder, now: Stamp) -> Result<(), Refusal> {
        match (id, self.state(now).locks()) {
            (None, true) => Err(codes::LEASE_MISSING.into()),
            _ => self.check_read(id, holder, now),
        }
    }

    /// Whether a read may be done: it needs no lease id, but the one that it names must be right.
    pub(crate) fn check_read(&self, id: Option<&str>, holder: Holder, now: Stamp) -> Result<(), Refusal> {
        let Some(id) = id else { return Ok(()) };
        let fits = self.id().is_some_and(|own| own.eq_ignore_ascii_case(id));
        match self.state(now) {
            LeaseState::Available => Err(holder.none().into()),
            LeaseState::Leased | LeaseState::Breaking if fits => Ok(()),
            LeaseState::Expired | LeaseState::Broken if fits => Err(codes::LEASE_LOST.into()),
            LeaseState::Expired | LeaseState::Broken => Err(holder.none().into()),
            LeaseState::Leased | LeaseState::Breaking => Err(holder.mismatch().into()),
        }
    }

    /// What a successful write leaves of a lease: an expired one is over.
    pub(crate) fn after_write(&mut self, now: Stamp) {
        if !self.state(now).locks() {
            *self = Lease::Available;
        }
    }

    /// Takes the lease under the proposed id.
    pub(crate) fn acquire(&mut self, id: &str, seconds: Option<u64>, now: Stamp) -> Result<(), Refusal> {
        if seconds.is_some_and(|seconds| !LEASE_SECONDS.contains(&seconds)) {
            return Err(codes::INVALID_HEADER
                .of_header("x-ms-lease-duration", &seconds.unwrap_or_default().to_string()));
        }
        let own = self.id() == Some(id);
        match self.state(now) {
            LeaseState::Breaking if own => return Err(codes::LEASE_BREAKING_ACQUIRE.into()),
            LeaseState::Leased | LeaseState::Breaking if !own => {
                return Err(codes::LEASE_ALREADY_PRESENT.into());
            }
            _ => {}
        }
        let ends = seconds.map(|seconds| now.plus_seconds(seconds));
        *self = Lease::Held { id: id.to_owned(), seconds, ends };
        Ok(())
    }

    /// Starts the lease's time anew; an expired lease that nobody took meanwhile comes back.
    pub(crate) fn renew(&mut self, id: &str, now: Stamp) -> Result<(), Refusal> {
        self.check_own(id)?;
        match self {
            Lease::Held { seconds, ends, .. } => {
                *ends = seconds.map(|seconds| now.plus_seconds(seconds));
                Ok(())
            }
            _ => Err(codes::LEASE_BROKEN_RENEW.into()),
        }
    }

    /// Gives a held lease another id.
    pub(crate) fn change(&mut self, id: &str, proposed: &str, now: Stamp) -> Result<(), Refusal> {
        match (self.state(now), &mut *self) {
            (LeaseState::Leased, Lease::Held { id: own, .. }) => {
                if own == id || own == proposed {
                    proposed.clone_into(own);
                    Ok(())
                } else {
                    Err(codes::LEASE_MISMATCH_LEASE.into())
                }
            }
            (LeaseState::Breaking, _) => {
                self.check_own(id)?;
                Err(codes::LEASE_BREAKING_CHANGE.into())
            }
            _ => Err(codes::LEASE_NONE_LEASE.into()),
        }
    }

    /// Ends the lease at once.
    pub(crate) fn release(&mut self, id: &str) -> Result<(), Refusal> {
        self.check_own(id)?;
        *self = Lease::Available;
        Ok(())
    }

    /// Breaks the lease, after `seconds` at most; answers how many seconds remain.
    pub(crate) fn break_it(&mut self, seconds: Option<u64>, now: Stamp) -> Result<u64, Refusal> {
        if seconds.is_some_and(|seconds| seconds > BREAK_SECONDS_MAX) {
            return Err(codes::INVALID_HEADER
                .of_header("x-ms-lease-break-period", &seconds.unwrap_or_default().to_string()));
        }
        let (id, remaining) = match self {
            Lease::Available => return Err(codes::LEASE_NONE_LEASE.into()),
            Lease::Held { id, ends, .. } => (id, ends.map(|ends| remaining_seconds(ends, now))),
            Lease::Breaking { id, ends } => (id, Some(remaining_seconds(*ends, now))),
        };
        // Without a period a finite lease runs out as it would have, and an infinite one ends at once.
        let wait = match (seconds, remaining) {
            (Some(seconds), Some(remaining)) => seconds.min(remaining),
            (seconds, remaining) => seconds.or(remaining).unwrap_or(0),
        };
        *self = Lease::Breaking { id: std::mem::take(id), ends: now.plus_seconds(wait) };
        Ok(wait)
    }

    fn check_own(&self, id: &str) -> Result<(), Refusal> {
        match self.id() {
            Some(own) if own.eq_ignore_ascii_case(id) => Ok(()),
            _ => Err(codes::LEASE_MISMATCH_LEASE.into()),
        }
    }
}

fn remaining_seconds(ends: Stamp, now: Stamp) -> u64 {
    if ends > now { ends.seconds_apart(now) } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Stamp = Stamp::from_unix_seconds(1_000_000);
    const ID: &str = "11111111-1111-1111-1111-111111111111";
    const OTHER: &str = "22222222-2222-2222-2222-222222222222";

    fn held(seconds: Option<u64>) -> Lease {
        let mut lease = Lease::default();
        lease.acquire(ID, seconds, NOW).expect("a free lease");
        lease
    }

    fn code<T: std::fmt::Debug>(result: Result<T, Refusal>) -> String {
        result.expect_err("refused").code
    }

    #[test]
    fn a_write_needs_the_id_of_the_lease_that_is_held() {
        let lease = held(None);
        let check = |id| lease.check_write(id, Holder::Blob, NOW);
        assert_eq!(check(Some(ID)), Ok(()));
        assert_eq!(code(check(None)), "LeaseIdMissing");
        assert_eq!(code(check(Some(OTHER))), "LeaseIdMismatchWithBlobOperation");
        let free = Lease::Available.check_write(Some(ID), Holder::Blob, NOW);
        assert_eq!(code(free), "LeaseNotPresentWithBlobOperation");
    }

    #[test]
    fn a_finite_lease_runs_out_and_may_be_renewed_by_its_holder() {
        let mut lease = held(Some(15));
        let later = NOW.plus_seconds(15);
        assert_eq!(lease.state(later), LeaseState::Expired);
        assert_eq!(code(lease.check_write(Some(ID), Holder::Blob, later)), "LeaseLost");
        assert_eq!(lease.check_write(None, Holder::Blob, later), Ok(()));
        lease.renew(ID, later).expect("nobody took it");
        assert_eq!(lease.state(later.plus_seconds(14)), LeaseState::Leased);
        lease.after_write(later.plus_seconds(20));
        assert_eq!(code(lease.renew(ID, later.plus_seconds(20))), "LeaseIdMismatchWithLeaseOperation");
    }

    #[test]
    fn a_lease_that_is_breaking_can_be_neither_acquired_nor_changed_nor_renewed() {
        let mut lease = held(None);
        assert_eq!(lease.break_it(Some(30), NOW), Ok(30));
        assert_eq!(code(lease.acquire(ID, None, NOW)), "LeaseIsBreakingAndCannotBeAcquired");
        assert_eq!(code(lease.acquire(OTHER, None, NOW)), "LeaseAlreadyPresent");
        assert_eq!(code(lease.change(ID, OTHER, NOW)), "LeaseIsBreakingAndCannotBeChanged");
        assert_eq!(code(lease.renew(ID, NOW)), "LeaseIsBrokenAndCannotBeRenewed");
        assert_eq!(lease.state(NOW.plus_seconds(30)), LeaseState::Broken);
        lease.acquire(OTHER, None, NOW.plus_seconds(30)).expect("it is broken");
    }

    #[test]
    fn durations_and_break_periods_outside_their_limits_are_refused() {
        for seconds in [0, 14, 61] {
            assert_eq!(code(Lease::default().acquire(ID, Some(seconds), NOW)), "InvalidHeaderValue");
        }
        assert_eq!(code(held(None).break_it(Some(61), NOW)), "InvalidHeaderValue");
    }

    #[test]
    fn only_the_holder_changes_or_releases_a_lease() {
        let mut lease = held(None);
        assert_eq!(code(lease.acquire(OTHER, None, NOW)), "LeaseAlreadyPresent");
        assert_eq!(code(lease.release(OTHER)), "LeaseIdMismatchWithLeaseOperation");
        lease.change(ID, OTHER, NOW).expect("the holder");
        lease.release(OTHER).expect("the new id");
        assert_eq!(lease, Lease::Available);
    }
}

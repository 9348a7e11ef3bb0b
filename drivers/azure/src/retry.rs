//! When a failed try is repeated, and after what pause.
//!
//! Owns the decision table and the arithmetic of the pauses; both are pure. Invariant: what cannot
//! get better by itself (a refused certificate, a missing permission, a conflict) is never
//! repeated, and what can is repeated a bounded number of times. azure-storage.md §7.6, §2.4 trap 6.

use std::time::Duration;

use crate::error::ErrorKind;

/// How stubborn an account's requests are.
#[derive(Debug, Clone, PartialEq)]
pub struct RetryPolicy {
    /// How often a request is sent at most, the first time included.
    pub tries_max: u32,
    /// Upper bound of the first pause; it doubles with each try.
    pub pause_first: Duration,
    /// Upper bound of every pause.
    pub pause_max: Duration,
    /// Longest `Retry-After` that is obeyed; a longer one is cut to this.
    pub retry_after_max: Duration,
}

impl Default for RetryPolicy {
    /// Eight tries with at most two minutes of pauses between them; first and longest pause are
    /// azcopy's.
    fn default() -> Self {
        RetryPolicy {
            tries_max: 8,
            pause_first: Duration::from_secs(1),
            pause_max: Duration::from_secs(60),
            retry_after_max: Duration::from_secs(300),
        }
    }
}

impl RetryPolicy {
    /// The pause before try `tries_done + 1`: full jitter (`fraction` of the doubling bound), and
    /// never shorter than what the service asked for.
    pub(crate) fn pause(&self, tries_done: u32, retry_after: Option<Duration>, fraction: f64) -> Duration {
        let doublings = tries_done.saturating_sub(1).min(31);
        let factor = 1u32.checked_shl(doublings).unwrap_or(u32::MAX);
        let bound = self.pause_first.saturating_mul(factor).min(self.pause_max);
        let jittered = bound.mul_f64(fraction.clamp(0.0, 1.0));
        retry_after.map_or(jittered, |asked| jittered.max(asked.min(self.retry_after_max)))
    }
}

/// What to do about a failed try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It will not get better: report it.
    Report,
    /// Once more after a pause.
    Repeat,
    /// Once more at once, with a fresh date or token; a second refusal is reported.
    Reauthorise,
    /// The bytes arrived damaged: look whether ours still have their digest, and resend if so.
    Rehash,
}

/// Whether a refusal may come from our date or token rather than from missing rights.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Doubt {
    /// The signature or the token itself was refused, and a fresh one may be accepted.
    Stale,
    /// The identity is known and may not do this; or nothing about the credential can be renewed.
    Final,
}

/// The decision table.
pub(crate) fn judge(kind: ErrorKind, doubt: Doubt, reauthorised: bool) -> Verdict {
    match kind {
        ErrorKind::Throttled
        | ErrorKind::Timeout
        | ErrorKind::Connection
        | ErrorKind::ServerError
        | ErrorKind::ContainerBeingDeleted
        | ErrorKind::UnexpectedReply => Verdict::Repeat,
        ErrorKind::Md5Mismatch => Verdict::Rehash,
        ErrorKind::Forbidden if doubt == Doubt::Stale && !reauthorised => Verdict::Reauthorise,
        ErrorKind::Forbidden
        | ErrorKind::AccountUnavailable
        | ErrorKind::NotFound
        | ErrorKind::ContainerNotFound
        | ErrorKind::AlreadyExists
        | ErrorKind::Conflict
        | ErrorKind::BlobTypeMismatch
        | ErrorKind::Immutable
        | ErrorKind::ConditionNotMet
        | ErrorKind::LeasePresent
        | ErrorKind::LeaseLost
        | ErrorKind::MemoryFault
        | ErrorKind::StoredMd5Differs
        | ErrorKind::InvalidBlockList
        | ErrorKind::InvalidRange
        | ErrorKind::TooLarge
        | ErrorKind::InvalidHeader
        | ErrorKind::PageBlobsUnsupported
        | ErrorKind::BadRequest
        | ErrorKind::TrustFailure
        | ErrorKind::NoToken => Verdict::Report,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_their_bound_and_jitter_takes_any_part_of_them() {
        let policy = RetryPolicy::default();
        for (tries_done, fraction, expected_ms) in [
            (1, 1.0, 1_000),
            (2, 1.0, 2_000),
            (3, 0.5, 2_000),
            (4, 0.0, 0),
            (9, 1.0, 60_000),
            (4_000_000, 1.0, 60_000),
        ] {
            let pause = policy.pause(tries_done, None, fraction);
            assert_eq!(pause, Duration::from_millis(expected_ms), "{tries_done}");
        }
    }

    #[test]
    fn retry_after_is_a_lower_bound_that_is_itself_bounded() {
        let policy = RetryPolicy::default();
        let seconds = Duration::from_secs;
        assert_eq!(policy.pause(1, Some(seconds(2)), 0.0), seconds(2));
        assert_eq!(policy.pause(8, Some(seconds(2)), 1.0), seconds(60));
        assert_eq!(policy.pause(1, Some(seconds(86_400)), 0.3), seconds(300));
    }

    #[test]
    fn only_what_may_get_better_is_repeated() {
        assert_eq!(judge(ErrorKind::Throttled, Doubt::Final, false), Verdict::Repeat);
        assert_eq!(judge(ErrorKind::TrustFailure, Doubt::Final, false), Verdict::Report);
        assert_eq!(judge(ErrorKind::AlreadyExists, Doubt::Final, false), Verdict::Report);
        assert_eq!(judge(ErrorKind::Forbidden, Doubt::Final, false), Verdict::Report);
        assert_eq!(judge(ErrorKind::Forbidden, Doubt::Stale, false), Verdict::Reauthorise);
        assert_eq!(judge(ErrorKind::Forbidden, Doubt::Stale, true), Verdict::Report);
    }
}

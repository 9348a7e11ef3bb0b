//! When a delivery is tried again, and when a web-hook is given up. No clock and no dice of its own.
//!
//! ```text
//! enabled ──failed──▶ enabled, after a wait ──tried often, and the event waited for days; or 410──▶ disabled
//!    ▲─── delivered ──────┘      and, failed or not, one that is behind by more than events are kept ──▶ disabled
//! ```
//! The wait doubles from [`Settings::first_wait`] to [`Settings::longest_wait`]; half of it is chance, so that a
//! receiver that comes back is not met by every station at once. A receiver's own `Retry-After` counts where it
//! asks for more, up to the longest wait. The ledger keeps the number of tries; how long it has been going on is
//! the age of the event that the receiver does not take.
//!
//! An event is kept until every enabled web-hook has had it, so each must get on or be given up in the end: also one
//! that cannot be signed, which counts as a failure, and one whose receiver takes everything but slower than things
//! happen. The latter is given up by [`Settings::is_too_far_behind`].

use std::time::Duration;

const DAY: Duration = Duration::from_secs(24 * 3600);
/// How much older than they are kept events get for the sake of a receiver that is behind.
const BEHIND_SPARE: Duration = DAY.saturating_mul(7);

/// How patient deliveries are.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// The wait after the first failure.
    pub first_wait: Duration,
    /// No wait is longer.
    pub longest_wait: Duration,
    /// A receiver that does not take an event for so long is given up,
    pub give_up_after: Duration,
    /// but not before so many tries: one that was enabled again gets them for its old event, too.
    pub tries_min: u32,
    /// One whose next event is so old is given up although its receiver takes what it is sent,
    pub behind_max: Duration,
    /// but not before the station ran for so long: one that was off for weeks lets its receivers catch up.
    pub catch_up: Duration,
}

impl Default for Settings {
    /// Events are kept for thirty days. Seconds at first, an hour at most, five days in all: a long weekend and its repair are sat out.
    fn default() -> Self {
        Self {
            first_wait: Duration::from_secs(5),
            longest_wait: Duration::from_secs(3600),
            give_up_after: 5 * DAY,
            tries_min: 12,
            behind_max: DAY * 30 + BEHIND_SPARE,
            catch_up: Duration::from_secs(6 * 3600),
        }
    }
}

/// What a failure means for the next try.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// Try again after that wait.
    Again(Duration),
    /// Stop: somebody has to look at it.
    Disable,
}

/// What went wrong, as far as the next try depends on it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Failure {
    /// No answer, or one that is not 2xx; with the wait that the receiver asked for.
    Failed {
        /// `Retry-After`.
        wait: Option<Duration>,
    },
    /// 410: the receiver says that it is no more.
    Gone,
}

impl Settings {
    /// The usual patience where events are kept for that many days.
    pub fn keeping(days: u32) -> Self {
        Self { behind_max: DAY.saturating_mul(days) + BEHIND_SPARE, ..Self::default() }
    }

    /// Whether a web-hook whose next event is so old would keep events without end, on a station that runs so long.
    pub fn is_too_far_behind(&self, age: Duration, running_for: Duration) -> bool {
        age >= self.behind_max && running_for >= self.catch_up
    }

    /// What follows from a failure after `attempts` others in a row, of an event that is so old.
    ///
    /// `chance` is any number; equally likely ones spread the tries.
    pub fn after_failure(&self, failure: Failure, attempts: u32, age: Duration, chance: u64) -> Verdict {
        let Failure::Failed { wait } = failure else { return Verdict::Disable };
        if age >= self.give_up_after && attempts.saturating_add(1) >= self.tries_min {
            return Verdict::Disable;
        }
        let asked = wait.unwrap_or_default().min(self.longest_wait);
        Verdict::Again(self.wait(attempts, chance).max(asked))
    }

    /// Half of the doubled wait for sure, the other half by chance.
    fn wait(&self, attempts: u32, chance: u64) -> Duration {
        let doubled = self.first_wait.saturating_mul(1 << attempts.min(20)).min(self.longest_wait);
        let most = u64::try_from(doubled.as_millis()).unwrap_or(u64::MAX / 2);
        let half = most / 2;
        Duration::from_millis(half + chance % (most - half + 1))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FAILED: Failure = Failure::Failed { wait: None };

    #[test]
    fn waits_double_up_to_the_longest_and_then_the_receiver_is_given_up() {
        let settings = Settings::default();
        let (mut age, mut waits) = (Duration::ZERO, vec![]);
        while let Verdict::Again(wait) =
            settings.after_failure(FAILED, u32::try_from(waits.len()).unwrap(), age, 0)
        {
            waits.push(wait.as_millis());
            age += wait;
        }
        assert_eq!(&waits[..5], [2_500, 5_000, 10_000, 20_000, 40_000]);
        assert_eq!(waits.last(), Some(&1_800_000));
        assert!(age >= Duration::from_secs(5 * 24 * 3600));
    }

    #[test]
    fn an_old_event_is_tried_often_before_its_receiver_is_given_up() {
        let settings = Settings::default();
        let old = Duration::from_secs(365 * 24 * 3600);
        let tries = (0..).find(|n| settings.after_failure(FAILED, *n, old, 7) == Verdict::Disable);
        assert_eq!(tries, Some(11));
    }

    #[test]
    fn a_receiver_that_asks_for_time_gets_it_but_not_for_ever() {
        let wait = |asked| {
            let failure = Failure::Failed { wait: Some(Duration::from_secs(asked)) };
            Settings::default().after_failure(failure, 0, Duration::ZERO, 0)
        };
        assert_eq!(wait(60), Verdict::Again(Duration::from_secs(60)));
        assert_eq!(wait(u64::MAX), Verdict::Again(Duration::from_secs(3600)));
        assert_eq!(wait(0), Verdict::Again(Duration::from_millis(2_500)));
    }

    #[test]
    fn a_receiver_that_is_too_slow_is_given_up_but_not_for_the_stations_holidays() {
        let settings = Settings::keeping(10);
        let hours = |hours: u64| Duration::from_secs(hours * 3600);
        for (age, running_for, is_given_up) in [
            (hours(17 * 24), hours(6), true),
            (hours(17 * 24) - Duration::from_secs(1), hours(1_000), false),
            (hours(100 * 24), hours(6) - Duration::from_secs(1), false),
        ] {
            assert_eq!(settings.is_too_far_behind(age, running_for), is_given_up, "{age:?} {running_for:?}");
        }
    }

    #[test]
    fn a_receiver_that_is_gone_is_not_asked_again() {
        let verdict = Settings::default().after_failure(Failure::Gone, 0, Duration::ZERO, 0);
        assert_eq!(verdict, Verdict::Disable);
    }

    proptest! {
        #[test]
        fn no_wait_is_over_its_bound_whatever_came_before(
            attempts in any::<u32>(), age in any::<u64>(), chance in any::<u64>(), first in any::<u64>(),
            longest in any::<u64>(), asked in proptest::option::of(any::<u64>()),
        ) {
            let settings = Settings {
                first_wait: Duration::from_millis(first),
                longest_wait: Duration::from_millis(longest),
                ..Settings::default()
            };
            let failure = Failure::Failed { wait: asked.map(Duration::from_millis) };
            match settings.after_failure(failure, attempts, Duration::from_millis(age), chance) {
                Verdict::Again(wait) => prop_assert!(wait <= Duration::from_millis(longest)),
                Verdict::Disable => prop_assert!(attempts >= 11),
            }
        }
    }
}

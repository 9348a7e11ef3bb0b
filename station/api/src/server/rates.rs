//! How many requests one address and one caller may send: `governor`'s leaky bucket for each, forgotten once full.

use std::hash::Hash;
use std::num::NonZeroU32;
use std::time::Duration;

use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

use super::config::Rate;

/// Buckets are dropped when they are full again; above this many, that is looked after before a new one is made.
const BUCKETS_MAX: usize = 10_000;

/// One rate for each key.
pub(super) struct Rates<K: Hash + Eq + Clone> {
    buckets: DefaultKeyedRateLimiter<K>,
    clock: DefaultClock,
}

impl<K: Hash + Eq + Clone> Rates<K> {
    pub(super) fn new(rate: Rate) -> Self {
        let at_least_one = |number: u32| NonZeroU32::new(number).unwrap_or(NonZeroU32::MIN);
        let quota = Quota::per_second(at_least_one(rate.per_second)).allow_burst(at_least_one(rate.burst));
        Self { buckets: RateLimiter::keyed(quota), clock: DefaultClock::default() }
    }

    /// Counts one request; an error says how long to wait before the next.
    pub(super) fn check(&self, key: &K) -> Result<(), Duration> {
        if self.buckets.len() >= BUCKETS_MAX {
            self.buckets.retain_recent();
        }
        self.buckets.check_key(key).map_err(|until| until.wait_time_from(self.clock.now()))
    }
}

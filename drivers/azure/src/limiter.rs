//! How many requests an account may have under way: halved when it throttles, raised again slowly.
//!
//! Invariants: one burst of refusals halves once (only an answer to a request that began after the
//! last halving may halve again); the limit stays between 1 and the configured connections; a
//! permit that is dropped, for whatever reason, comes back. One limiter an account, so a throttled
//! account slows no other. azure-storage.md §7.6; design §8.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Permits for one account.
#[derive(Debug)]
pub(crate) struct Limiter {
    semaphore: Arc<Semaphore>,
    state: Mutex<State>,
    limit_max: u32,
}

#[derive(Debug)]
struct State {
    /// The limit with the fraction that additive increase has gathered so far.
    limit: f64,
    /// Permits that exist, held or free, minus those still to be withdrawn.
    permits: u32,
    /// Permits to be withdrawn when their holders return them.
    owed: u32,
    /// How often the limit was halved: tells old answers from new ones.
    epoch: u64,
}

/// One request under way.
#[derive(Debug)]
pub(crate) struct Permit {
    limiter: Arc<Limiter>,
    permit: Option<OwnedSemaphorePermit>,
    epoch: u64,
}

impl Limiter {
    pub(crate) fn new(limit_max: u32) -> Arc<Limiter> {
        let limit_max = limit_max.max(1);
        let semaphore =
            Arc::new(Semaphore::new(usize::try_from(limit_max).unwrap_or(Semaphore::MAX_PERMITS)));
        let state = State { limit: f64::from(limit_max), permits: limit_max, owed: 0, epoch: 0 };
        Arc::new(Limiter { semaphore, state: Mutex::new(state), limit_max })
    }

    /// Waits for a permit, first come, first served.
    pub(crate) async fn acquire(self: &Arc<Limiter>) -> Permit {
        // The semaphore is never closed; without a permit the request would merely go uncounted.
        let permit = Arc::clone(&self.semaphore).acquire_owned().await.ok();
        Permit { limiter: Arc::clone(self), permit, epoch: self.lock().epoch }
    }

    /// The present limit.
    pub(crate) fn limit(&self) -> u32 {
        self.lock().permits
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Permit {
    /// The service took the request: one more permit after about as many successes as there are.
    pub(crate) fn succeeded(&self) {
        let mut state = self.limiter.lock();
        if state.permits >= self.limiter.limit_max {
            return;
        }
        state.limit = (state.limit + 1.0 / state.limit.max(1.0)).min(f64::from(self.limiter.limit_max));
        if state.limit >= f64::from(state.permits.saturating_add(1)) {
            state.permits = state.permits.saturating_add(1);
            if state.owed > 0 {
                state.owed = state.owed.saturating_sub(1);
            } else {
                self.limiter.semaphore.add_permits(1);
            }
        }
    }

    /// The service asked for less: half as many from now on.
    pub(crate) fn throttled(&self) {
        let mut state = self.limiter.lock();
        if self.epoch != state.epoch {
            return;
        }
        let halved = (state.permits / 2).max(1);
        let surplus = state.permits.saturating_sub(halved);
        let withdrawn = self.limiter.semaphore.forget_permits(usize::try_from(surplus).unwrap_or(0));
        let withdrawn = u32::try_from(withdrawn).unwrap_or(surplus);
        state.owed = state.owed.saturating_add(surplus.saturating_sub(withdrawn));
        state.permits = halved;
        state.limit = f64::from(halved);
        state.epoch = state.epoch.saturating_add(1);
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let Some(permit) = self.permit.take() else { return };
        let mut state = self.limiter.lock();
        if state.owed > 0 {
            state.owed = state.owed.saturating_sub(1);
            permit.forget();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn take(limiter: &Arc<Limiter>, count: usize) -> Vec<Permit> {
        let mut permits = Vec::new();
        for _ in 0..count {
            permits.push(limiter.acquire().await);
        }
        permits
    }

    #[tokio::test]
    async fn a_burst_of_refusals_halves_once() {
        let limiter = Limiter::new(16);
        let permits = take(&limiter, 16).await;
        permits.iter().for_each(Permit::throttled);
        assert_eq!(limiter.limit(), 8);
        drop(permits);
        assert_eq!(limiter.semaphore.available_permits(), 8);
        let permits = take(&limiter, 8).await;
        permits.iter().for_each(Permit::throttled);
        assert_eq!(limiter.limit(), 4);
    }

    #[tokio::test]
    async fn the_limit_recovers_and_never_leaves_its_bounds() {
        let limiter = Limiter::new(4);
        for _ in 0..5 {
            limiter.acquire().await.throttled();
        }
        assert_eq!(limiter.limit(), 1);
        let mut successes = 0;
        while limiter.limit() < 4 {
            limiter.acquire().await.succeeded();
            successes += 1;
            assert!(successes < 100);
        }
        assert!(successes > 4, "one permit more takes about as many successes as there are permits");
        for _ in 0..100 {
            limiter.acquire().await.succeeded();
        }
        assert_eq!((limiter.limit(), limiter.semaphore.available_permits()), (4, 4));
    }

    #[tokio::test]
    async fn permits_held_across_a_halving_are_withdrawn_when_they_return() {
        let limiter = Limiter::new(8);
        let mut permits = take(&limiter, 8).await;
        permits[0].throttled();
        assert_eq!(limiter.semaphore.available_permits(), 0);
        permits.truncate(4);
        assert_eq!(limiter.semaphore.available_permits(), 0);
        permits.truncate(2);
        assert_eq!(limiter.semaphore.available_permits(), 2);
        drop(permits);
        assert_eq!(limiter.semaphore.available_permits(), 4);
    }
}

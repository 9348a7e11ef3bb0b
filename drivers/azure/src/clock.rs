//! Time as requests need it: the date they carry, the pauses between tries, the dice of the jitter.
//!
//! Invariant: nothing else in this crate reads a clock to decide something, so tests give the time.
//! The service's own clock is learned from the `Date` of each answer, because signatures are valid
//! for a quarter of an hour around it. azure-storage.md §7.5.

use std::fmt::Debug;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;

/// A difference this small is the resolution of the `Date` header plus the way of the answer.
const SKEW_IGNORED_SECONDS: i64 = 5;
/// No answer has told the service's time yet.
const UNKNOWN: i64 = i64::MIN;

/// Where the time comes from.
#[async_trait]
pub trait Clock: Debug + Send + Sync {
    /// This machine's time.
    fn now(&self) -> SystemTime;

    /// Waits.
    async fn pause(&self, duration: Duration);

    /// A number between 0 and 1, evenly spread: the jitter.
    fn fraction(&self) -> f64;
}

/// The machine's clock, tokio's timer, the thread's random generator.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

#[async_trait]
impl Clock for SystemClock {
    fn now(&self) -> SystemTime {
        SystemTime::now()
    }

    async fn pause(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }

    fn fraction(&self) -> f64 {
        rand::random()
    }
}

/// The service's time: this machine's, corrected by what the answers said.
#[derive(Debug)]
pub(crate) struct ServiceTime {
    pub(crate) clock: Arc<dyn Clock>,
    /// Service minus machine, in seconds.
    skew_seconds: AtomicI64,
}

impl ServiceTime {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> ServiceTime {
        ServiceTime { clock, skew_seconds: AtomicI64::new(UNKNOWN) }
    }

    /// The date to sign with.
    pub(crate) fn now(&self) -> SystemTime {
        let now = self.clock.now();
        let skew = self.skew_seconds().filter(|skew| skew.saturating_abs() > SKEW_IGNORED_SECONDS);
        skew.and_then(|skew| shift(now, skew)).unwrap_or(now)
    }

    /// Takes the `Date` of an answer. Says what it amounts to, if it could be read.
    pub(crate) fn learn(&self, date: &str) -> Option<i64> {
        let service = httpdate::parse_http_date(date).ok()?;
        let skew = seconds_between(self.clock.now(), service)?;
        self.skew_seconds.store(skew, Ordering::Relaxed);
        Some(skew)
    }

    /// Service minus machine, in seconds, as the last answer told it.
    pub(crate) fn skew_seconds(&self) -> Option<i64> {
        Some(self.skew_seconds.load(Ordering::Relaxed)).filter(|skew| *skew != UNKNOWN)
    }
}

fn seconds_between(from: SystemTime, to: SystemTime) -> Option<i64> {
    match to.duration_since(from) {
        Ok(ahead) => i64::try_from(ahead.as_secs()).ok(),
        Err(error) => i64::try_from(error.duration().as_secs()).ok().and_then(i64::checked_neg),
    }
}

fn shift(time: SystemTime, seconds: i64) -> Option<SystemTime> {
    let distance = Duration::from_secs(seconds.unsigned_abs());
    if seconds < 0 { time.checked_sub(distance) } else { time.checked_add(distance) }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::sync::Mutex;

    use super::*;

    /// A clock that stands still, notes the pauses asked for and does not wait.
    #[derive(Debug)]
    pub(crate) struct StillClock {
        pub(crate) time: SystemTime,
        pub(crate) pauses: Mutex<Vec<Duration>>,
        pub(crate) fraction: f64,
    }

    impl StillClock {
        pub(crate) fn at(unix_seconds: u64, fraction: f64) -> Arc<StillClock> {
            let time = SystemTime::UNIX_EPOCH + Duration::from_secs(unix_seconds);
            Arc::new(StillClock { time, pauses: Mutex::default(), fraction })
        }
    }

    #[async_trait]
    impl Clock for StillClock {
        fn now(&self) -> SystemTime {
            self.time
        }

        async fn pause(&self, duration: Duration) {
            self.pauses.lock().unwrap().push(duration);
            tokio::task::yield_now().await;
        }

        fn fraction(&self) -> f64 {
            self.fraction
        }
    }

    #[test]
    fn the_date_of_an_answer_corrects_a_wrong_clock() {
        let time = ServiceTime::new(StillClock::at(1_700_000_000, 0.0));
        assert_eq!(time.skew_seconds(), None);
        assert_eq!(time.learn("Tue, 14 Nov 2023 23:13:20 GMT"), Some(3_600));
        assert_eq!(time.now(), SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_003_600));
        assert_eq!(time.learn("Tue, 14 Nov 2023 21:13:20 GMT"), Some(-3_600));
        assert_eq!(time.now(), SystemTime::UNIX_EPOCH + Duration::from_secs(1_699_996_400));
    }

    #[test]
    fn a_second_or_two_is_no_skew_and_nonsense_is_not_learned() {
        let time = ServiceTime::new(StillClock::at(1_700_000_000, 0.0));
        assert_eq!(time.learn("Tue, 14 Nov 2023 22:13:22 GMT"), Some(2));
        assert_eq!(time.now(), SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000));
        assert_eq!(time.learn("yesterday"), None);
        assert_eq!(time.skew_seconds(), Some(2));
    }
}

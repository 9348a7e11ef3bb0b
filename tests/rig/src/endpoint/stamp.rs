//! Time as the storage service writes it: ticks of 100 ns, an HTTP date, an ISO date with seven
//! decimals; and the clock that tests may push.
//!
//! Owns the two textual forms and their readers. Leaves to its callers what a moment means (a
//! lease's end, a signature's window). The calendar is Gregorian and proleptic, years 1970–9999.

use std::fmt;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// Ticks in a second: the service counts time in units of 100 ns.
pub const TICKS_A_SECOND: u64 = 10_000_000;

/// Ticks between the year 1 and 1970, so that an ETag made of ticks looks like the service's own.
const TICKS_BEFORE_1970: u64 = 621_355_968_000_000_000;

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const WEEKDAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];

/// A moment, in ticks since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Stamp(u64);

impl Stamp {
    /// The moment that many seconds after 1970.
    pub const fn from_unix_seconds(seconds: u64) -> Stamp {
        Stamp(seconds.saturating_mul(TICKS_A_SECOND))
    }

    /// Whole seconds since 1970.
    pub const fn unix_seconds(self) -> u64 {
        self.0 / TICKS_A_SECOND
    }

    /// The same moment without its fraction of a second: what an HTTP date can carry.
    pub const fn whole_seconds(self) -> Stamp {
        Stamp::from_unix_seconds(self.unix_seconds())
    }

    /// The moment `seconds` later.
    pub const fn plus_seconds(self, seconds: u64) -> Stamp {
        Stamp(self.0.saturating_add(seconds.saturating_mul(TICKS_A_SECOND)))
    }

    /// Seconds between the two moments, whichever comes first.
    pub const fn seconds_apart(self, other: Stamp) -> u64 {
        self.0.abs_diff(other.0) / TICKS_A_SECOND
    }

    /// An ETag's number for something written at this moment.
    pub(crate) const fn etag(self) -> u64 {
        self.0.saturating_add(TICKS_BEFORE_1970)
    }

    /// `Sun, 22 Nov 2026 08:09:10 GMT`, the form of `Date` and `Last-Modified`.
    pub fn http_date(self) -> String {
        let parts = Parts::of(self);
        let weekday = WEEKDAYS[index(self.unix_seconds() / 86_400 % 7)];
        let month = MONTHS[index(parts.month - 1)];
        let Parts { year, day, hour, minute, second, .. } = parts;
        format!("{weekday}, {day:02} {month} {year:04} {hour:02}:{minute:02}:{second:02} GMT")
    }

    /// `2026-11-22T08:09:10.1234567Z`, the form of snapshots and of times in error bodies.
    pub fn iso(self) -> String {
        let Parts { year, month, day, hour, minute, second } = Parts::of(self);
        let fraction = self.0 % TICKS_A_SECOND;
        format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{fraction:07}Z")
    }

    /// `2026-11-22T08:09:10Z`, the form of a shared access signature's times.
    pub fn iso_seconds(self) -> String {
        let Parts { year, month, day, hour, minute, second } = Parts::of(self);
        format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
    }

    /// Reads [`Self::http_date`]'s form; `None` when it is anything else.
    pub fn parse_http_date(text: &str) -> Option<Stamp> {
        let rest = text.split_once(", ")?.1;
        let mut words = rest.split(' ');
        let day = words.next()?.parse().ok()?;
        let month = words.next()?;
        let month = 1 + u64::try_from(MONTHS.iter().position(|name| *name == month)?).ok()?;
        let year = words.next()?.parse().ok()?;
        let (hour, minute, second) = clock_of_day(words.next()?)?;
        let zone = words.next()?;
        let parts = Parts { year, month, day, hour, minute, second };
        (zone == "GMT" && words.next().is_none()).then_some(())?;
        parts.stamp()
    }

    /// Reads `2026-11-22`, `…T08:09Z`, `…T08:09:10Z` and up to seven decimals.
    pub fn parse_iso(text: &str) -> Option<Stamp> {
        let (date, time) = text.split_once('T').unwrap_or((text, "00:00Z"));
        let mut numbers = date.split('-').map(|word| word.parse().ok());
        let (year, month, day) = (numbers.next()??, numbers.next()??, numbers.next()??);
        let time = time.strip_suffix('Z')?;
        let (time, fraction) = time.split_once('.').unwrap_or((time, ""));
        let (hour, minute, second) = clock_of_day(time)?;
        let seconds = Parts { year, month, day, hour, minute, second }.stamp()?;
        (numbers.next().is_none() && fraction.len() <= 7).then_some(())?;
        let ticks: u64 = if fraction.is_empty() { 0 } else { format!("{fraction:0<7}").parse().ok()? };
        Some(Stamp(seconds.0 + ticks))
    }
}

fn clock_of_day(text: &str) -> Option<(u64, u64, u64)> {
    let mut numbers = text.split(':').map(|word| word.parse().ok());
    let (hour, minute) = (numbers.next()??, numbers.next()??);
    let second = numbers.next().unwrap_or(Some(0))?;
    (numbers.next().is_none() && hour < 24 && minute < 60 && second < 61).then_some((hour, minute, second))
}

fn index(number: u64) -> usize {
    usize::try_from(number).expect("a month or a weekday fits")
}

/// A moment split into its calendar words.
struct Parts {
    year: u64,
    month: u64,
    day: u64,
    hour: u64,
    minute: u64,
    second: u64,
}

impl Parts {
    /// Counts in eras of 400 years that begin on 1 March, so that the leap day is a year's last.
    fn of(stamp: Stamp) -> Parts {
        let seconds = stamp.unix_seconds();
        let days = seconds / 86_400 + 719_468;
        let day_of_era = days % 146_097;
        let year_of_era =
            (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted_month = (5 * day_of_year + 2) / 153;
        let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
        let year = year_of_era + days / 146_097 * 400 + u64::from(month <= 2);
        let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
        let second_of_day = seconds % 86_400;
        let (hour, minute) = (second_of_day / 3_600, second_of_day / 60 % 60);
        Parts { year, month, day, hour, minute, second: second_of_day % 60 }
    }

    fn stamp(&self) -> Option<Stamp> {
        let valid = (1970..=9999).contains(&self.year)
            && (1..=12).contains(&self.month)
            && (1..=31).contains(&self.day);
        valid.then_some(())?;
        let year = if self.month <= 2 { self.year - 1 } else { self.year };
        let (era, year_of_era) = (year / 400, year % 400);
        let shifted_month = (self.month + 9) % 12;
        let day_of_year = (153 * shifted_month + 2) / 5 + self.day - 1;
        let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
        let days = (era * 146_097 + day_of_era).checked_sub(719_468)?;
        Some(Stamp::from_unix_seconds(days * 86_400 + self.hour * 3_600 + self.minute * 60 + self.second))
    }
}

impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.iso())
    }
}

/// The endpoint's clock: the machine's, plus what a test has pushed it by.
#[derive(Debug, Default)]
pub struct Clock {
    pushed_ticks: AtomicI64,
    last_unique: AtomicU64,
}

impl Clock {
    /// The present moment.
    pub fn now(&self) -> Stamp {
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let ticks = u64::try_from(since_1970.as_nanos() / 100).unwrap_or(u64::MAX);
        Stamp(ticks.saturating_add_signed(self.pushed_ticks.load(Ordering::Relaxed)))
    }

    /// Whether this is not the machine's time.
    pub(crate) fn is_pushed(&self) -> bool {
        self.pushed_ticks.load(Ordering::Relaxed) != 0
    }

    /// Lets a lease or a signature run out without waiting for it.
    pub fn advance(&self, by: Duration) {
        self.pushed_ticks.fetch_add(signed_ticks(by), Ordering::Relaxed);
    }

    /// Sets the clock back, so that a client's clock seems to be ahead.
    pub fn rewind(&self, by: Duration) {
        self.pushed_ticks.fetch_sub(signed_ticks(by), Ordering::Relaxed);
    }

    /// A moment near `now` that was never given before: ETags and snapshots are named by it.
    pub(crate) fn unique(&self, now: Stamp) -> Stamp {
        let mut last = self.last_unique.load(Ordering::Relaxed);
        loop {
            let next = now.0.max(last + 1);
            match self.last_unique.compare_exchange_weak(last, next, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return Stamp(next),
                Err(current) => last = current,
            }
        }
    }
}

fn signed_ticks(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos() / 100).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_of_a_date_read_back_as_the_same_moment() {
        for (seconds, http, iso) in [
            (0, "Thu, 01 Jan 1970 00:00:00 GMT", "1970-01-01T00:00:00.0000000Z"),
            (951_782_399, "Mon, 28 Feb 2000 23:59:59 GMT", "2000-02-28T23:59:59.0000000Z"),
            (951_782_400, "Tue, 29 Feb 2000 00:00:00 GMT", "2000-02-29T00:00:00.0000000Z"),
            (1_795_334_950, "Sun, 22 Nov 2026 08:09:10 GMT", "2026-11-22T08:09:10.0000000Z"),
        ] {
            let stamp = Stamp::from_unix_seconds(seconds);
            assert_eq!((stamp.http_date().as_str(), stamp.iso().as_str()), (http, iso));
            assert_eq!(Stamp::parse_http_date(http), Some(stamp));
            assert_eq!(Stamp::parse_iso(iso), Some(stamp));
        }
    }

    #[test]
    fn an_iso_date_may_be_short_or_have_decimals() {
        let midnight = Stamp::parse_iso("2026-11-22").expect("a date alone");
        assert_eq!(midnight.iso_seconds(), "2026-11-22T00:00:00Z");
        assert_eq!(Stamp::parse_iso("2026-11-22T08:09Z"), Some(midnight.plus_seconds(29_340)));
        let precise = Stamp::parse_iso("2026-11-22T00:00:00.5Z").expect("one decimal");
        assert_eq!(precise.iso(), "2026-11-22T00:00:00.5000000Z");
        for bad in ["", "yesterday", "2026-13-01", "2026-11-22T25:00Z", "2026-11-22T08:09:10.12345678Z"] {
            assert_eq!(Stamp::parse_iso(bad), None, "{bad}");
        }
    }

    #[test]
    fn unique_moments_never_repeat() {
        let clock = Clock::default();
        let now = clock.now();
        let first = clock.unique(now);
        assert!(clock.unique(now) > first);
    }
}

//! Times of many calls, summed up; and rates.

use std::time::{Duration, Instant};

/// What a call of the job API may take at most: issue 4.
const LIMIT: Duration = Duration::from_millis(50);

/// How long each of many calls took.
#[derive(Default)]
pub struct Latencies(Vec<Duration>);

impl Latencies {
    /// Notes a call that began then and has just ended.
    pub fn add(&mut self, began: Instant) {
        self.0.push(began.elapsed());
    }

    /// Says the median, the 99th percentile and the longest, and whether they keep the limit.
    pub fn say(mut self, what: &str) {
        self.0.sort_unstable();
        let Some(max) = self.0.last().copied() else { return };
        let at = |per_cent: usize| self.0[(self.0.len() - 1) * per_cent / 100].as_secs_f64() * 1e3;
        let verdict = if self.0[(self.0.len() - 1) * 99 / 100] <= LIMIT { "within" } else { "OVER" };
        println!(
            "{:>9.2} ms p50 {:>9.2} ms p99 {:>9.2} ms max  {what} ({} calls, p99 {verdict} {} ms)",
            at(50),
            at(99),
            max.as_secs_f64() * 1e3,
            self.0.len(),
            LIMIT.as_millis()
        );
    }
}

/// Says how many a second.
pub fn say_rate(what: &str, count: u64, began: Instant) {
    let seconds = began.elapsed().as_secs_f64();
    println!("{:>12.0} {what} ({seconds:.2} s)", count as f64 / seconds);
}

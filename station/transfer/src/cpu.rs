//! Processor seconds by stage, for benchmarks and the operator's "limited by".
//!
//! Each stage runs on threads of its own, so the kernel's account of the threads, by their names,
//! is the account of the stages; nothing is added to the hot path. Only the digest threads do two
//! things, and [`proof::verify::DigestPool`] tells what part of it was decryption.

use std::collections::BTreeMap;
use std::fs;

/// Seconds by stage.
pub type StageSeconds = BTreeMap<&'static str, f64>;

/// Seconds of processor time, user and system, of this process' threads by stage.
///
/// Empty where `/proc` cannot be read; a figure for people, so that is no error.
pub fn by_stage() -> StageSeconds {
    let mut seconds = StageSeconds::new();
    let Ok(threads) = fs::read_dir("/proc/self/task") else { return seconds };
    for thread in threads.flatten() {
        let read = |name| fs::read_to_string(thread.path().join(name)).unwrap_or_default();
        if let Some(ticks) = ticks_of(&read("stat")) {
            *seconds.entry(stage_of(read("comm").trim())).or_default() += ticks / ticks_per_second();
        }
    }
    seconds
}

/// The stage of a thread's name.
fn stage_of(thread: &str) -> &'static str {
    match thread {
        name if name.starts_with("drive-reader") => "read",
        name if name.starts_with("digest") => "digest",
        name if name.starts_with("tokio") => "put",
        name if name.starts_with("sqlx") => "ledger",
        _ => "other",
    }
}

/// Fields 14 and 15 of proc_pid_stat(5), counted after the name, which may hold anything.
fn ticks_of(stat: &str) -> Option<f64> {
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let field = |index: usize| fields.get(index)?.parse::<u32>().ok().map(f64::from);
    Some(field(11)? + field(12)?)
}

#[allow(clippy::cast_precision_loss, reason = "the kernel's clock has some hundred ticks a second")]
fn ticks_per_second() -> f64 {
    rustix::param::clock_ticks_per_second() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_counted_after_a_name_with_anything_in_it() {
        let stat = "42 (a) b (c) S 1 1 1 0 -1 0 0 0 0 0 250 50 0 0 20 0 1 0 1 1 1";
        assert_eq!(ticks_of(stat), Some(300.0));
        assert_eq!(ticks_of("garbage"), None);
    }

    #[test]
    fn this_process_has_used_some_time() {
        assert!(!by_stage().is_empty());
    }
}

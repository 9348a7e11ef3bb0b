//! One function a parser of foreign bytes, and the run of each over mutants of sound inputs.
//!
//! [`targets`] are what is fuzzed: the drivers' own entries, whose oracles are exact. [`seeds`] are made
//! when a run starts: formatted volumes, written manifests, and cut-outs of the shared fixtures where
//! they are there. [`mutation`] changes them reproducibly. [`run`] is the bounded run of the test
//! suite; `libfuzzer/` has the same targets for `cargo fuzz`, which needs a nightly toolchain.
//!
//! Invariant: a run is bounded by a count, never by time, and follows from its number alone, so a
//! failure is replayed by running it again.

pub mod mutation;
pub mod seeds;
pub mod targets;

use std::panic::{self, AssertUnwindSafe};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use mutation::{Dice, Seed};
use targets::Target;

/// Multiplies every run's length: `DRAYAGE_FUZZ_ROUNDS=1000000 cargo test -p fuzz-targets`.
const ROUNDS_VARIABLE: &str = "DRAYAGE_FUZZ_ROUNDS";

/// No input of a few megabytes may take longer; a slow machine takes milliseconds.
const INPUT_TIME_MAX: Duration = Duration::from_secs(20);

/// Runs `target` on every seed as it is, which it must accept, then on `rounds` mutants of them.
///
/// # Panics
/// When the target does, or takes far too long, after naming the input and keeping it in a file; and when
/// a sound seed is refused, because its mutants would then never get past the first check.
pub fn run(target: &Target, seeds: &[Seed], rounds: u64) {
    assert!(!seeds.is_empty(), "{}: nothing to start from", target.name);
    for seed in seeds {
        assert!(attempt(target, &seed.name, &seed.bytes), "{} refused {}", target.name, seed.name);
    }
    let rounds = std::env::var(ROUNDS_VARIABLE).ok().and_then(|text| text.parse().ok()).unwrap_or(rounds);
    let mut mutant = Vec::new();
    for round in 0..rounds {
        let mut dice = Dice::new(round);
        let seed = &seeds[dice.below(seeds.len())];
        seed.mutate(&mut dice, &mut mutant);
        attempt(target, &format!("mutant {round} of {}", seed.name), &mutant);
    }
}

/// Whether the target accepted the input.
fn attempt(target: &Target, input: &str, bytes: &[u8]) -> bool {
    let start = Instant::now();
    let outcome = panic::catch_unwind(AssertUnwindSafe(|| (target.run)(bytes)));
    let took = start.elapsed();
    match outcome {
        Ok(is_accepted) if took <= INPUT_TIME_MAX => is_accepted,
        outcome => {
            let kept = keep(target, bytes);
            let what = if outcome.is_err() { "panicked" } else { "took too long" };
            panic!("{} {what} on {input}, {} bytes, {took:?}; {kept}", target.name, bytes.len());
        }
    }
}

/// Keeps an input for a debugger; says where, or why not.
fn keep(target: &Target, bytes: &[u8]) -> String {
    let path = std::env::temp_dir().join(PathBuf::from(format!("drayage-fuzz-{}.bin", target.name)));
    match std::fs::write(&path, bytes) {
        Ok(()) => format!("the input is in {}", path.display()),
        Err(error) => format!("the input could not be kept: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_that_panics_is_named_with_its_input() {
        let target = Target { name: "rig-self-test", run: |bytes| bytes.len() < 10 || panic!("too long") };
        let seeds = [Seed::new("short", vec![1; 3]), Seed::new("long", vec![1; 30])];
        let panic = panic::catch_unwind(|| run(&target, &seeds, 1)).unwrap_err();
        let text = panic.downcast_ref::<String>().unwrap();
        assert!(text.contains("rig-self-test panicked on long, 30 bytes"), "{text}");
    }

    #[test]
    #[should_panic(expected = "picky refused sound")]
    fn a_seed_that_is_refused_is_an_error() {
        run(&Target { name: "picky", run: |_| false }, &[Seed::new("sound", vec![1])], 1);
    }
}

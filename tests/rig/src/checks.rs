//! `cargo rig test`: everything that CI runs, one heading a step, one summary at the end.
//!
//! Invariant: every step is run even when an earlier one failed, so that one run names everything
//! that is wrong; the exit code is that of the whole.

mod suite;

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use rig::process;
use rig::setup::{self, Purpose, Tools};

use suite::Report;
pub use suite::cargo;

/// Runs everything, or only the tests whose names contain `filter`.
///
/// # Errors
/// When any step failed; what failed has been printed.
pub fn run(filter: Option<&str>) -> Result<()> {
    let mut steps = Steps::default();
    steps.step("set-up", || setup::ensure(Purpose::Test).map(drop));
    if filter.is_none() {
        steps.step("format", || run_cargo(&["fmt", "--all", "--check"], &[]));
        steps.step("clippy", || {
            run_cargo(&["clippy", "--workspace", "--all-targets", "--quiet", "--", "-D", "warnings"], &[])
        });
        steps.step("documentation", || {
            // Read by maintainers, with the private parts, so links to these are meant.
            let flags = "-D warnings -A rustdoc::private_intra_doc_links";
            run_cargo(
                &["doc", "--workspace", "--no-deps", "--document-private-items", "--quiet"],
                &[("RUSTDOCFLAGS", flags)],
            )
        });
        steps.step("dependency policy", dependency_policy);
    }
    let mut report = Report::default();
    steps.step("tests", || {
        report = suite::run(filter, &Tools::installed())?;
        if report.has_passed { Ok(()) } else { bail!("some tests failed") }
    });
    steps.summarise(&report)
}

/// `tests/system/tests/dependencies.rs` holds the same policy in every run, with or without cargo-deny.
fn dependency_policy() -> Result<()> {
    if process::on_path("cargo-deny").is_none() {
        println!(
            "cargo-deny is not installed: skipped here; the test `dependencies` checks deny.toml's policy"
        );
        return Ok(());
    }
    run_cargo(&["deny", "--offline", "check", "licenses", "bans", "sources"], &[])
}

fn run_cargo(arguments: &[&str], environment: &[(&str, &str)]) -> Result<()> {
    let mut command = cargo();
    process::run(command.args(arguments).envs(environment.iter().copied()))
}

/// One step that was run.
struct Step {
    name: &'static str,
    has_passed: bool,
    took: Duration,
}

#[derive(Default)]
struct Steps(Vec<Step>);

impl Steps {
    fn step(&mut self, name: &'static str, work: impl FnOnce() -> Result<()>) {
        println!("\n== {name} ==");
        let start = Instant::now();
        let result = work();
        if let Err(error) = &result {
            println!("{name} failed: {error:#}");
        }
        self.0.push(Step { name, has_passed: result.is_ok(), took: start.elapsed() });
    }

    /// Prints what was skipped, each step's outcome, and cargo test's own result lines last.
    fn summarise(&self, report: &Report) -> Result<()> {
        println!("\n== summary ==");
        for line in &report.skipped {
            println!("{line}");
        }
        println!("{} skipped", report.skipped.len());
        for Step { name, has_passed, took } in &self.0 {
            let outcome = if *has_passed { "ok" } else { "FAILED" };
            println!("{name:<20} {outcome:<8} {:>7.1} s", took.as_secs_f64());
        }
        for (name, result) in &report.suites {
            println!("{result}  [{name}]");
        }
        let failed: Vec<&str> = self.0.iter().filter(|step| !step.has_passed).map(|step| step.name).collect();
        if failed.is_empty() { Ok(()) } else { bail!("failed: {}", failed.join(", ")) }
    }
}

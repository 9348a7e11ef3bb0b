//! Running `cargo test` and reading along: results are kept for the end, skips are collected.
//!
//! libtest keeps what a passing test prints; `--show-output` has it printed after the suite, where
//! lines of the form `skipped: <test>: <why>` are picked out and the rest is dropped.

use std::io::{self, BufRead, BufReader};
use std::process::Command;

use anyhow::{Context, Result};
use rig::setup::{self, Tools};

/// What a run of the tests came to.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Each test binary's name and cargo test's own line about it. Binaries without tests are left out.
    pub suites: Vec<(String, String)>,
    /// The lines by which tests said that they could not run here.
    pub skipped: Vec<String>,
    /// Whether cargo test ended with success.
    pub has_passed: bool,
}

/// Runs all tests, or those whose names contain `filter`, showing them as they end.
///
/// # Errors
/// When cargo cannot be started. Tests that fail are in the report.
pub fn run(filter: Option<&str>, tools: &Tools) -> Result<Report> {
    let (reader, writer) = io::pipe().context("making a pipe")?;
    let mut command = cargo();
    command.args(["test", "--workspace", "--no-fail-fast"]).args(filter).args(["--", "--show-output"]);
    command.envs(tools.environment()).stdin(std::process::Stdio::null());
    command.stdout(writer.try_clone().context("copying the pipe")?).stderr(writer);
    let mut child = command.spawn().context("starting cargo test")?;
    // The command holds the pipe's writing ends; without this the reader would never see the end.
    drop(command);
    let mut report = read(BufReader::new(reader), |line| println!("{line}"))?;
    report.has_passed = child.wait().context("waiting for cargo test")?.success();
    Ok(report)
}

/// The cargo that started us, in the workspace.
pub fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(setup::workspace_root());
    command
}

/// Reads the output to its end, shows what is worth showing and sorts out the rest.
fn read(mut output: impl BufRead, mut show: impl FnMut(&str)) -> Result<Report> {
    let mut report = Report::default();
    let mut suite = String::new();
    let mut is_within_successes = false;
    let mut bytes = Vec::new();
    while output.read_until(b'\n', &mut bytes).context("reading the tests' output")? > 0 {
        let text = String::from_utf8_lossy(&bytes);
        let line = text.trim_end();
        let is_result = line.starts_with("test result: ");
        is_within_successes = match line {
            "successes:" => true,
            "failures:" => false,
            _ => is_within_successes && !is_result,
        };
        if line.starts_with("skipped: ") {
            report.skipped.push(line.to_owned());
        }
        if let Some(name) = suite_name(line) {
            suite = name.to_owned();
        }
        match (is_result, is_within_successes) {
            (true, _) if !line.contains(" 0 passed; 0 failed; 0 ignored;") => {
                report.suites.push((suite.clone(), line.to_owned()));
            }
            (false, false) => show(line),
            _ => {}
        }
        bytes.clear();
    }
    report.skipped.sort();
    report.skipped.dedup();
    Ok(report)
}

/// The crate or test file of `Running unittests src/lib.rs (target/…/name-hash)` and `Doc-tests name`.
fn suite_name(line: &str) -> Option<&str> {
    let line = line.trim_start();
    if let Some(name) = line.strip_prefix("Doc-tests ") {
        return Some(name);
    }
    let path = line.strip_prefix("Running ")?.rsplit_once('(')?.1.strip_suffix(')')?;
    let file = path.rsplit('/').next()?;
    Some(file.rsplit_once('-').map_or(file, |(name, _)| name))
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTPUT: &str = "\
     Running unittests src/lib.rs (target/debug/deps/block-0123abc)

running 2 tests
test a ... ok
test b ... FAILED

successes:

---- a stdout ----
skipped: a: no /dev/fuse
noise

successes:
    a

failures:

---- b stdout ----
it broke

failures:
    b

test result: FAILED. 1 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.01s

     Running tests/empty.rs (target/debug/deps/empty-0123abc)

running 0 tests

test result: ok. 0 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s

   Doc-tests model

running 1 test
test x ... ok

test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s
";

    #[test]
    fn results_and_skips_are_kept_and_the_noise_of_passing_tests_is_dropped() {
        let mut shown = Vec::new();
        let report = read(OUTPUT.as_bytes(), |line| shown.push(line.to_owned())).unwrap();
        let names: Vec<&str> = report.suites.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["block", "model"]);
        assert!(report.suites[0].1.starts_with("test result: FAILED. 1 passed; 1 failed;"));
        assert_eq!(report.skipped, ["skipped: a: no /dev/fuse"]);
        assert!(shown.iter().any(|line| line == "it broke"), "{shown:?}");
        assert!(!shown.iter().any(|line| line == "noise" || line.starts_with("test result")), "{shown:?}");
    }
}

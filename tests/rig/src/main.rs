//! `cargo rig`: set-up, demo, checks, packed drives, benchmarks and the endpoint, on one command line.

mod checks;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};
use rig::setup::{self, Purpose};

/// Runs the whole of Drayage without hardware.
///
/// Start with `cargo rig demo`. Everything that is made lies below target/rig and may be deleted.
#[derive(Parser)]
#[command(name = "cargo rig", bin_name = "cargo rig")]
struct Arguments {
    #[command(subcommand)]
    command: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Install what is missing on this machine, saying first what that is
    ///
    /// Debian packages come from apt (as root; otherwise the command to run is printed), npm packages
    /// are pinned by a lock file, PyPI packages by hashes. The other commands do this by themselves.
    Setup {
        /// What the machine is to be used for
        #[arg(long = "for", value_enum, default_value = "test")]
        purpose: Purpose,
    },
    /// Run everything that CI runs: format, clippy, documentation, dependency policy, tests
    Test {
        /// Run only the tests whose names contain this, and no other check
        filter: Option<String>,
    },
}

fn main() -> ExitCode {
    match run(Arguments::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("cargo rig: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(task: Task) -> Result<()> {
    match task {
        Task::Setup { purpose } => {
            let tools = setup::ensure(purpose)?;
            for (name, path) in tools.environment() {
                println!("{name}={}", path.display());
            }
            Ok(())
        }
        Task::Test { filter } => checks::run(filter.as_deref()),
    }
}

//! The station's program.
//!
//! Owns wiring only: the command line, where secrets come from, signals, what is printed, and the
//! exit code. Data go to standard output, talk to standard error. What a command does is in the
//! crates below; which code an ending has is in [`exit`].

mod cli;
mod console;
mod exit;
mod ingest;
mod inspect;
mod keys;
mod ledger_source;
mod private_text;
mod remote;
mod serve;
mod state;

use std::io::IsTerminal;
use std::process::ExitCode;

use clap::Parser;
use model::Exit;

use crate::cli::{Cli, Command};

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Nobody reads the message if this fails.
            let _ = error.print();
            return if error.use_stderr() { Exit::Usage.into() } else { ExitCode::SUCCESS };
        }
    };
    start_logging(cli.verbose);
    // One TLS for all clients of this process; only a second call could fail.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("station: starting the runtime: {error}");
            return Exit::Fatal.into();
        }
    };
    let ended = runtime.block_on(async {
        match cli.command {
            Command::Ingest(arguments) => ingest::run(arguments).await,
            Command::Inspect(arguments) => inspect::run(arguments).await,
            Command::Serve(arguments) => serve::run(arguments).await,
            Command::Job(arguments) => remote::job::run(arguments).await,
            Command::Drive(arguments) => remote::drive::run(arguments).await,
            Command::Custody(arguments) => remote::custody::run(arguments).await,
            Command::Account(arguments) => remote::account::run(arguments).await,
            Command::Token(arguments) => remote::token::run(arguments).await,
            Command::Keys(arguments) => keys::run(&arguments).await,
        }
    });
    match ended {
        Ok(exit) => exit.into(),
        Err(error) => {
            eprintln!("station: {:#}", error.cause);
            error.exit.into()
        }
    }
}

/// Service log: logfmt-like lines on standard error, warnings only unless asked for more.
fn start_logging(verbose: u8) {
    let level = match verbose {
        0 => "warn",
        1 => "info",
        _ => "debug",
    };
    let filter = tracing_subscriber::EnvFilter::try_from_env("DRAYAGE_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(level));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        .init();
}

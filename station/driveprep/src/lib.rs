//! `driveprep`: the customer's program. Packs data onto drives that a station takes.
//!
//! Owns wiring only: which command runs, what is printed, and the exit code. Data go to standard
//! output, talk to standard error. One module a command; what several share lies beside them. The
//! library is there for the program, its tests and the fuzz targets; nothing else may depend on it.

pub mod account;
pub mod check;
pub mod cli;
pub mod compat;
pub mod console;
pub mod failure;
pub mod inputs;
pub mod journal;
pub mod lint;
pub mod open;
pub mod pack;
pub mod preview;
pub mod repair;
pub mod report;
pub mod unlock;
pub mod verify;
pub mod work;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser;
use model::Exit;

use crate::cli::Cli;
use crate::console::Console;
use crate::failure::Failure;

/// Runs the program with these arguments, the program's own name first.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    if let Some(of_tool) = compat::arguments_for_tool(&arguments) {
        let (json, of_tool): (Vec<_>, Vec<_>) = of_tool.iter().cloned().partition(|word| word == "--json");
        let console = Console::new(!json.is_empty());
        return end(compat::run(&of_tool, &console), &console);
    }
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            // Nobody reads the message if this fails.
            let _ = error.print();
            return if error.use_stderr() { Exit::Usage.into() } else { ExitCode::SUCCESS };
        }
    };
    let console = Console::new(cli.json);
    end(cli.command.run(&console), &console)
}

fn end(ended: Result<Exit, Failure>, console: &Console) -> ExitCode {
    match ended {
        Ok(exit) => exit.into(),
        Err(failure) => {
            console.failed(&failure);
            failure.exit.into()
        }
    }
}

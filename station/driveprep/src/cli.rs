//! The command line. Secrets are never arguments: they come from a file, an environment variable
//! or an open descriptor, or are made here and written to a file.

use clap::{Parser, Subcommand};
use model::Exit;

use crate::check::{self, CheckArguments};
use crate::console::Console;
use crate::failure::Failure;
use crate::pack;
use crate::pack::arguments::PackArguments;
use crate::preview::{self, PreviewArguments};
use crate::repair::{self, RepairExportArguments, RepairImportArguments};
use crate::report::{self, ReportArguments};
use crate::unlock::{self, UnlockArguments};
use crate::verify::{self, VerifyArguments};

/// Packs data onto drives for an Azure Import/Export station. Needs no Windows.
#[derive(Debug, Parser)]
#[command(name = "driveprep", version, about, after_help = EXIT_CODES)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// Events as JSON lines on standard output instead of progress on a terminal.
    #[arg(long, global = true)]
    pub json: bool,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Find before a byte is written what could not be imported, and say how many drives and how long.
    #[command(after_help = EXIT_CODES)]
    Check(CheckArguments),
    /// Pack files onto drives.
    #[command(after_help = EXIT_CODES)]
    Pack(Box<PackArguments>),
    /// Say what a blob list selects for export, and how many drives that needs.
    #[command(after_help = EXIT_CODES)]
    PreviewExport(PreviewArguments),
    /// Write a page to print for the parcel, and the drive's label with its barcodes.
    #[command(after_help = EXIT_CODES)]
    Report(ReportArguments),
    /// List what is on a drive, or copy files out of it, without mounting.
    #[command(after_help = EXIT_CODES)]
    Unlock(UnlockArguments),
    /// Prove everything on a packed drive against its manifest, before it is shipped.
    #[command(after_help = EXIT_CODES)]
    Verify(VerifyArguments),
    /// Mend what a log says is not whole in the account, from the files that the drive was packed
    /// from.
    #[command(after_help = EXIT_CODES)]
    RepairImport(RepairImportArguments),
    /// Mend what is spoilt or missing on an exported drive, from the account.
    #[command(after_help = EXIT_CODES)]
    RepairExport(RepairExportArguments),
}

impl Command {
    /// Runs it.
    ///
    /// # Errors
    /// What ended it, with the exit code.
    pub fn run(self, console: &Console) -> Result<Exit, Failure> {
        match self {
            Command::Check(arguments) => check::run(&arguments, console),
            Command::Pack(arguments) => pack::run(&arguments, console),
            Command::PreviewExport(arguments) => preview::run(&arguments, console),
            Command::Report(arguments) => report::run(&arguments, console),
            Command::Unlock(arguments) => unlock::run(&arguments, console),
            Command::Verify(arguments) => verify::run(&arguments, console),
            Command::RepairImport(arguments) => repair::run_import(&arguments, console),
            Command::RepairExport(arguments) => repair::run_export(&arguments, console),
        }
    }
}

/// Shown by every command's help; the numbers are [`model::Exit`]'s.
pub const EXIT_CODES: &str = "\
Exit codes:
  0  success, everything reconciles        10  items are missing
  1  uncategorised                         11  verification failed
  2  usage or configuration                12  the medium could not be read
  3  warnings, with --strict               20  drive not found, or the wrong drive
  5  held: retry the same command          21  the drive could not be unlocked
  6  failed, retrying will not help        30  manifest missing, modified or unreadable
  7  fatal: driveprep itself              130  interrupted; the same command resumes";

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}

//! A front that takes the WAImportExport tool's commands and options, and does the same here.
//!
//! `driveprep WAImportExport PrepImport /j:…`, a link to the program named `WAImportExport`, or one of
//! the tool's five commands as the first argument: azure-import-export.md §2. The slash options of both
//! generations become a checked [`Request`], which becomes the arguments of the native command; those
//! are printed, so that whoever comes from the tool learns them. Nothing is done here that the native
//! commands do not do.
//!
//! Names of options are read in any case, values as documented; `DataSet:` may lack its slash, as in the
//! tool's own help. `/t:` and `/driveLetter:` take a device or an image file. What each option of the
//! specification does here is the table [`options::OPTIONS`], which the help prints.
//!
//! Secrets in arguments are taken, with a warning that says why not, and what instead: `/sk:@FILE`,
//! `/csas:@FILE`, `/bk:@FILE`. A storage key goes nowhere but into the requests of a repair or preview:
//! never into a journal or manifest.

mod error;
mod journal;
mod native;
pub mod options;
pub mod request;
mod secret;
mod switches;

use std::ffi::OsString;
use std::path::Path;

use clap::Parser;
use model::Exit;

pub use error::CompatError;
pub use request::Request;
pub use secret::SecretValue;

use crate::cli::Cli;
use crate::console::Console;
use crate::failure::Failure;
use options::Tool;

/// What the tool is called.
const TOOL: &str = "WAImportExport";

/// The arguments behind the tool's name, if this call is meant for it.
///
/// `unlock` in small letters is the native command; so is every other word that is not the tool's.
pub fn arguments_for_tool(arguments: &[OsString]) -> Option<&[OsString]> {
    let stem = |argument: &OsString| Path::new(argument).file_stem().map(|stem| stem.to_ascii_lowercase());
    let tool = TOOL.to_ascii_lowercase();
    let (program, rest) = arguments.split_first()?;
    if stem(program).is_some_and(|stem| stem == tool.as_str()) {
        return Some(rest);
    }
    let first = rest.first()?.to_str()?;
    if first.eq_ignore_ascii_case(TOOL) {
        return Some(&rest[1..]);
    }
    let is_ours = first.chars().all(|letter| letter.is_ascii_lowercase() || letter == '-');
    (!is_ours && Tool::named(first).is_some()).then_some(rest)
}

/// Runs the tool's command with these arguments.
///
/// # Errors
/// Arguments that the tool would not take either, or that mean nothing here; and those of the native
/// command.
pub fn run(arguments: &[OsString], console: &Console) -> Result<Exit, Failure> {
    let request = Request::parse(arguments).map_err(Failure::usage)?;
    for warning in request.warnings() {
        console.warn(&warning);
    }
    match &request {
        Request::Help => {
            console.result("help", &options::help(), serde_json::json!({}));
            Ok(Exit::Success)
        }
        Request::List(list) => journal::list(list, console),
        _ => run_native(&request, console),
    }
}

fn run_native(request: &Request, console: &Console) -> Result<Exit, Failure> {
    journal::check(request)?;
    let native = request.native().map_err(Failure::usage)?;
    console.note(&format!("as: {}", native.shown()));
    let mut arguments = native.arguments.clone();
    if console.is_json() {
        arguments.push("--json".into());
    }
    // The secrets' files live until the command is done.
    let cli = Cli::try_parse_from(arguments).map_err(Failure::usage)?;
    let ended = cli.command.run(console);
    drop(native);
    ended
}

#[cfg(test)]
mod tests;

//! `driveprep unlock`: lists what is on a drive, or copies files out of it, without mounting.
//!
//! The volume is read in this process from a read-only descriptor. Links are listed, never followed
//! and never made, so nothing that a drive holds can lead out of the folder that files are copied
//! to. A file that cannot be had is named and left out; the others go on.

mod extract;
mod folder;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::anyhow;
use clap::Args;
use indicatif::{DecimalBytes, HumanCount};
use manifest::log::names::LogTime;
use model::Exit;
use ntfs::{Entry, Volume, folded_name};
use serde_json::json;

use crate::console::{Console, printable};
use crate::failure::Failure;
use crate::open::DriveArguments;
use extract::{Extraction, Outcome};
use folder::Folder;

/// `driveprep unlock`.
#[derive(Debug, Args)]
pub struct UnlockArguments {
    /// The drive and what opens it.
    #[command(flatten)]
    pub drive: DriveArguments,
    /// Files or folders of the drive; all of it without any.
    #[arg(value_name = "PATH")]
    pub paths: Vec<String>,
    /// List files with size and time; what is done without --to.
    #[arg(long, conflicts_with = "to")]
    pub list: bool,
    /// Copy files below this folder.
    #[arg(long, value_name = "DIR")]
    pub to: Option<PathBuf>,
    /// Replace files that are there already.
    #[arg(long, requires = "to")]
    pub overwrite: bool,
}

/// Folders that Windows and BitLocker keep for themselves; copied only when they are asked for.
const SYSTEM_FOLDER: &str = "System Volume Information";

/// Runs the command.
///
/// # Errors
/// When the drive cannot be opened, or the folder cannot be written to.
pub fn run(arguments: &UnlockArguments, console: &Console) -> Result<Exit, Failure> {
    let unlocked = arguments.drive.unlock()?;
    let volume = Arc::clone(&unlocked.drive.ntfs);
    let selection = Selection::new(&arguments.paths);
    match &arguments.to {
        None => list(&volume, selection, console),
        Some(folder) => {
            let folder = Folder::open(folder, arguments.overwrite).map_err(Failure::usage)?;
            copy_out(&volume, selection, &folder, console)
        }
    }
}

fn list(volume: &Volume, mut selection: Selection, console: &Console) -> Result<Exit, Failure> {
    let (mut files, mut bytes) = (0_u64, 0_u64);
    for entry in volume.files().filter(|entry| selection.takes(entry)) {
        let modified = modified(volume, &entry);
        let kind = kind_of(&entry);
        let time = modified.and_then(date_and_time).unwrap_or_else(|| "-".to_owned());
        let length = entry.length_bytes.filter(|_| !entry.is_directory);
        let size = length.map_or_else(|| kind.to_owned(), |length| length.to_string());
        let text = format!("{time:19} {size:>15}  \\{}", printable(&entry.path.to_string()));
        let fields = json!({
            "path": format!("\\{}", entry.path),
            "kind": kind,
            "length_bytes": length,
            "modified": modified.and_then(date_and_time),
            "reparse": entry.reparse_tag.map(|tag| tag.to_string()),
        });
        console.result("file", &text, fields);
        files += u64::from(!entry.is_directory);
        bytes += length.unwrap_or(0);
    }
    selection.check_all_found()?;
    let text = format!("{} files, {}", HumanCount(files), DecimalBytes(bytes));
    if console.is_json() {
        console.result("summary", &text, json!({ "files": files, "bytes": bytes }));
    } else {
        console.note(&text);
    }
    Ok(Exit::Success)
}

fn copy_out(
    volume: &Volume,
    mut selection: Selection,
    folder: &Folder,
    console: &Console,
) -> Result<Exit, Failure> {
    let (mut files, mut bytes) = (0, 0_u64);
    for entry in volume.files().filter(|entry| !entry.is_directory && selection.takes(entry)) {
        files += 1;
        bytes = bytes.saturating_add(extract::data_bytes(volume, &entry));
    }
    selection.check_all_found()?;
    check_space(folder, bytes)?;
    let meter = console.meter("files", bytes, files);
    let mut extraction = Extraction::new(volume, folder, &meter);
    let mut tally = Tally::default();
    for entry in volume.files().filter(|entry| selection.takes(entry)) {
        let outcome = extraction.copy(&entry);
        tally.add(&outcome);
        report(console, &entry, &outcome);
        if matches!(outcome, Outcome::Lost(_) | Outcome::DestinationFull(_)) {
            break;
        }
    }
    extraction.finish();
    drop(meter);
    tally.conclude(console)
}

fn check_space(folder: &Folder, needed_bytes: u64) -> Result<(), Failure> {
    match folder.free_bytes() {
        Some(free_bytes) if free_bytes < needed_bytes => {
            let cause = anyhow!(
                "the files need {} and {} has {} free: free some, or name PATHs",
                DecimalBytes(needed_bytes),
                folder.path().display(),
                DecimalBytes(free_bytes)
            );
            Err(Failure::new(Exit::NotRetryable, cause))
        }
        _ => Ok(()),
    }
}

fn report(console: &Console, entry: &Entry, outcome: &Outcome) {
    let (event, word, message) = match outcome {
        Outcome::Copied { .. } | Outcome::Folder => return,
        Outcome::Skipped(message) => ("skipped", "SKIPPED", message),
        Outcome::Missing(message) => ("failed_file", "FAILED ", message),
        Outcome::Unreadable(message) | Outcome::Lost(message) => ("failed_file", "FAILED ", message),
        Outcome::DestinationFull(message) => ("failed_file", "FAILED ", message),
    };
    let text = format!("{word} \\{}: {message}", printable(&entry.path.to_string()));
    console.result(event, &text, json!({ "path": format!("\\{}", entry.path), "message": message }));
}

/// How many of what.
#[derive(Debug, Default)]
struct Tally {
    copied: u64,
    bytes: u64,
    skipped: u64,
    missing: u64,
    unreadable: u64,
    ended_early: bool,
}

impl Tally {
    fn add(&mut self, outcome: &Outcome) {
        match outcome {
            Outcome::Copied { bytes } => {
                self.copied += 1;
                self.bytes += bytes;
            }
            Outcome::Folder => {}
            Outcome::Skipped(_) => self.skipped += 1,
            Outcome::Missing(_) => self.missing += 1,
            Outcome::Unreadable(_) => self.unreadable += 1,
            Outcome::Lost(_) => {
                self.unreadable += 1;
                self.ended_early = true;
            }
            Outcome::DestinationFull(_) => {
                self.missing += 1;
                self.ended_early = true;
            }
        }
    }

    fn conclude(&self, console: &Console) -> Result<Exit, Failure> {
        let exit = match (self.unreadable, self.missing) {
            (0, 0) => Exit::Success,
            (0, _) => Exit::Incomplete,
            _ => Exit::MediaErrors,
        };
        let end = if self.ended_early { "; the copy ended early" } else { "" };
        let text = format!(
            "{} files copied ({}), {} failed, {} links and existing files left out{end}",
            HumanCount(self.copied),
            DecimalBytes(self.bytes),
            HumanCount(self.missing + self.unreadable),
            HumanCount(self.skipped),
        );
        let fields = json!({
            "exit_code": exit.code(),
            "files_copied": self.copied,
            "bytes_copied": self.bytes,
            "missing": self.missing,
            "unreadable": self.unreadable,
            "skipped": self.skipped,
            "ended_early": self.ended_early,
        });
        console.result("summary", &text, fields);
        Ok(exit)
    }
}

/// Which paths were asked for.
struct Selection {
    /// Folded components each, and whether something was found.
    wanted: Vec<(String, Vec<u16>, bool)>,
}

impl Selection {
    fn new(paths: &[String]) -> Selection {
        let wanted = paths.iter().map(|path| {
            let bare: Vec<&str> = path.split(['\\', '/']).filter(|name| !name.is_empty()).collect();
            (path.clone(), folded_name(&bare.join("\\")), false)
        });
        Selection { wanted: wanted.collect() }
    }

    /// Whether an entry is one of them, or below one. Without any, everything is, apart from what
    /// Windows keeps for itself.
    fn takes(&mut self, entry: &Entry) -> bool {
        let folded = folded_name(&entry.path.to_string());
        if self.wanted.is_empty() {
            return !is_below(&folded, &folded_name(SYSTEM_FOLDER));
        }
        let mut taken = false;
        for (_, wanted, found) in &mut self.wanted {
            if is_below(&folded, wanted) {
                *found = true;
                taken = true;
            }
        }
        taken
    }

    fn check_all_found(&self) -> Result<(), Failure> {
        let missing: Vec<&str> =
            self.wanted.iter().filter(|wanted| !wanted.2).map(|wanted| wanted.0.as_str()).collect();
        if missing.is_empty() {
            return Ok(());
        }
        Err(Failure::new(Exit::Incomplete, anyhow!("not on the drive: {}", missing.join(", "))))
    }
}

/// Whether `path` is `ancestor` or lies below it; an empty ancestor is the root.
fn is_below(path: &[u16], ancestor: &[u16]) -> bool {
    match path.strip_prefix(ancestor) {
        Some(rest) => ancestor.is_empty() || rest.first().is_none_or(|unit| *unit == u16::from(b'\\')),
        None => false,
    }
}

fn kind_of(entry: &Entry) -> &'static str {
    match (entry.reparse_tag, entry.is_directory) {
        (Some(tag), _) if tag.hides_content() => "link",
        (_, true) => "folder",
        (_, false) => "file",
    }
}

fn modified(volume: &Volume, entry: &Entry) -> Option<SystemTime> {
    volume.times(entry.file).ok()??.modified.to_system_time()
}

fn date_and_time(time: SystemTime) -> Option<String> {
    let since = time.duration_since(UNIX_EPOCH).ok()?;
    Some(LogTime::from_unix_milliseconds(u64::try_from(since.as_millis()).ok()?).to_date_and_time())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_takes_itself_and_what_is_below_in_any_case() {
        let below = |path: &str, ancestor: &str| is_below(&folded_name(path), &folded_name(ancestor));
        assert!(below("Photos\\Äpfel\\a.jpg", "photos\\äPFEL"));
        assert!(below("photos", "Photos"));
        assert!(below("anything", ""));
        assert!(!below("photos2\\a", "photos"));
        assert!(!below("a", "a\\b"));
    }
}

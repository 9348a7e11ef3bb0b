//! `driveprep report`: a page to print for the parcel, and the drive's label.
//!
//! What it says comes from the job entry alone, or also from a copy of the manifest, or from the
//! drive itself: the more is at hand, the more is told, and nothing is told that was not proven
//! against the job's manifest hash. The key is on no page but the one that was asked for with
//! `--with-key`, which must travel separately.

mod code128;
mod drawing;
mod facts;
mod page;

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, anyhow};
use clap::Args;
use manifest::log::names::LogTime;
use model::Exit;
use serde_json::json;
use zeroize::Zeroizing;

use crate::console::Console;
use crate::failure::Failure;
use crate::open::{DriveArguments, KeyArguments, read_job};
use facts::Facts;

/// `driveprep report`.
#[derive(Debug, Args)]
pub struct ReportArguments {
    /// The drive's job entry: drive.json, a .jrn journal, or a DriveInfo XML.
    #[arg(long, value_name = "FILE")]
    pub job: PathBuf,
    /// The drive, for its contents and its protectors.
    #[arg(long, value_name = "PATH", conflicts_with = "manifest")]
    pub drive: Option<PathBuf>,
    /// A copy of the drive's manifest, when the drive is not at hand.
    #[arg(long, value_name = "FILE")]
    pub manifest: Option<PathBuf>,
    /// More secrets for the drive.
    #[command(flatten)]
    pub keys: KeyArguments,
    /// The page to write.
    #[arg(long, value_name = "FILE", default_value = "drive-report.html")]
    pub html: PathBuf,
    /// Also the label alone, 100 × 62 mm, for a label printer.
    #[arg(long, value_name = "FILE")]
    pub label: Option<PathBuf>,
    /// Also a page with the recovery key, readable by you alone, to be sent separately from the drive.
    #[arg(long, value_name = "FILE")]
    pub with_key: Option<PathBuf>,
    /// The job's name, as the datacentre knows it.
    #[arg(long, value_name = "NAME")]
    pub job_name: Option<String>,
    /// Replace files that are there already.
    #[arg(long)]
    pub overwrite: bool,
}

/// Runs the command.
///
/// # Errors
/// When the job, the drive or the manifest cannot be read, or a file cannot be written.
pub fn run(arguments: &ReportArguments, console: &Console) -> Result<Exit, Failure> {
    let job = read_job(&arguments.job)?;
    let mut facts = Facts::of_job(&job, arguments.job_name.clone(), now());
    if let Some(drive) = &arguments.drive {
        let keys = arguments.keys.clone();
        let opening = DriveArguments { drive: drive.clone(), job: Some(arguments.job.clone()), keys };
        facts.add_drive(opening.unlock()?)?;
    } else if let Some(manifest) = &arguments.manifest {
        facts.add_manifest(manifest, &job)?;
    }
    let write = |kind: &str, path: &Path, text: &str, mode: u32| {
        save(path, text, mode, arguments.overwrite)?;
        console.result(
            "written",
            &format!("{kind:<7} {}", path.display()),
            json!({ "kind": kind, "path": path }),
        );
        Ok::<(), Failure>(())
    };
    write("page", &arguments.html, &page::report(&facts), 0o666)?;
    if let Some(path) = &arguments.label {
        let svg =
            format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n{}\n", drawing::label(&facts).into_string());
        write("label", path, &svg, 0o666)?;
    }
    if let Some(path) = &arguments.with_key {
        let key = job.bitlocker_key.as_ref().ok_or_else(|| {
            Failure::usage(anyhow!("the job entry {} has no key to print", arguments.job.display()))
        })?;
        let text = Zeroizing::new(page::key_page(&facts, key.expose()));
        write("key", path, &text, 0o600)?;
        console.warn(&format!("{} holds the key: it must not travel with the drive", path.display()));
    }
    Ok(Exit::Success)
}

fn save(path: &Path, text: &str, mode: u32, overwrite: bool) -> Result<(), Failure> {
    if overwrite {
        // Made anew rather than emptied: a key must not come into a file that others have open.
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(Failure::usage(anyhow!("replacing {}: {error}", path.display())));
            }
            _ => {}
        }
    }
    let save = || {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
        file.write_all(text.as_bytes())
    };
    save()
        .with_context(|| format!("writing {} (--overwrite replaces what is there)", path.display()))
        .map_err(Failure::usage)
}

fn now() -> String {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let milliseconds = u64::try_from(since.as_millis()).unwrap_or(0);
    format!("{} UTC", LogTime::from_unix_milliseconds(milliseconds).to_date_and_time())
}

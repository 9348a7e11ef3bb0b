//! What the tool's commands want to know of a journal: its sessions and drives.
//!
//! Read only, and without a lock: an interrupted or running pack may be asked about. The records'
//! grammar is the manifest driver's, their meaning `pack`'s journal's.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use anyhow::Context;
use manifest::JobEntry;
use manifest::job_entry::JOB_ENTRY_BYTES_MAX;
use manifest::journal::{Record, is_journal, records};
use model::{DriveId, Exit};
use serde_json::json;
use zeroize::Zeroizing;

use super::request::{AccountSecret, List, Recover};
use super::{CompatError, Request};
use crate::console::Console;
use crate::failure::Failure;

/// What a journal knows, in the order in which it first says so.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Known {
    /// Sessions with their last state.
    pub(super) sessions: Vec<(String, String)>,
    /// Drives.
    pub(super) drives: Vec<KnownDrive>,
}

/// What a journal knows of a drive.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct KnownDrive {
    pub(super) id: String,
    pub(super) state: String,
    pub(super) path: Option<PathBuf>,
}

/// A drive that a later session can add to.
pub(super) struct PackedDrive {
    pub(super) serial: String,
    pub(super) path: PathBuf,
    /// What opens its volume.
    pub(super) key: Zeroizing<String>,
}

impl Known {
    /// Of a journal's text.
    pub(super) fn of(text: &str) -> Known {
        let mut known = Known::default();
        records(text).for_each(|record| known.take(&record));
        known
    }

    fn take(&mut self, record: &Record<'_>) {
        let activity = record.value("ActivityId").unwrap_or_default();
        let state = record.value("State").unwrap_or_default();
        if let Some(id) = activity.strip_prefix("CopySession:") {
            match self.sessions.iter_mut().rfind(|(session, _)| session == id) {
                // The same id begun again is another session.
                Some((_, known)) if state != "Started" => state.clone_into(known),
                _ => self.sessions.push((id.to_owned(), state.to_owned())),
            }
        } else if let Some(id) = activity.strip_prefix("Drive:") {
            let index = self.drives.iter().position(|drive| drive.id == id).unwrap_or_else(|| {
                self.drives.push(KnownDrive { id: id.to_owned(), ..KnownDrive::default() });
                self.drives.len() - 1
            });
            state.clone_into(&mut self.drives[index].state);
            let path = record.value("Path").map(PathBuf::from);
            self.drives[index].path = path.or(self.drives[index].path.take());
        }
    }

    /// The journal's latest drive, if it is packed.
    pub(super) fn last_drive(journal: &Path) -> Option<PackedDrive> {
        let text = read(journal).ok()?;
        let last = Known::of(&text).drives.pop()?;
        let entry = JobEntry::parse(text.as_bytes(), DriveId::new(&last.id).ok().as_ref()).ok()?;
        let key = Zeroizing::new(entry.bitlocker_key?.expose().to_owned());
        Some(PackedDrive { serial: last.id, path: last.path?, key })
    }
}

/// `/ListDrives` and `/ListCopySessions`.
pub(super) fn list(list: &List, console: &Console) -> Result<Exit, Failure> {
    let text = read(&list.journal)
        .with_context(|| format!("reading the journal {}", list.journal.display()))
        .map_err(Failure::usage)?;
    let known = Known::of(&text);
    if list.drives {
        for (number, drive) in (1..).zip(&known.drives) {
            let path = drive.path.as_ref().map(|path| path.display().to_string());
            let text = format!(
                "Drive #{number}:\t{}\t{}\t{}",
                drive.id,
                drive.state,
                path.clone().unwrap_or_default()
            );
            console.result("drive", &text, json!({ "serial": drive.id, "state": drive.state, "path": path }));
        }
    } else {
        for (number, (id, state)) in (1..).zip(&known.sessions) {
            let text = format!("Copy session #{number}:\t{id}\t{state}");
            console.result("session", &text, json!({ "session": id, "state": state }));
        }
    }
    Ok(Exit::Success)
}

/// What only the journal, or a secret's file, can say against a request.
pub(super) fn check(request: &Request) -> Result<(), Failure> {
    match request {
        Request::Recover(recover) => {
            // A journal that cannot be read is the native command's to name.
            let Ok(text) = read(&recover.session.journal) else { return Ok(()) };
            recoverable(recover, &Known::of(&text).sessions).map_err(Failure::usage)
        }
        Request::Copy(copy) => match &copy.session.credential {
            Some(AccountSecret::ContainerSas(sas)) => {
                let only = sas.sas_container().map_err(Failure::usage)?;
                if only.is_some_and(|only| copy.to.split('/').next() != Some(&only)) {
                    let why = ": the SAS is for another container";
                    let name = "csas";
                    let other = if copy.to.ends_with('/') { "dstdir" } else { "dstblob" };
                    return Err(Failure::usage(CompatError::Together { one: name, other, why }));
                }
                Ok(())
            }
            _ => Ok(()),
        },
        _ => Ok(()),
    }
}

/// The native command takes the journal's last session, so another must not be meant.
fn recoverable(recover: &Recover, sessions: &[(String, String)]) -> Result<(), CompatError> {
    if recover.is_abort && sessions.len() <= 1 {
        return Err(CompatError::FirstSession);
    }
    let found = recover.session.id.as_str();
    match sessions.last() {
        Some((last, _)) if last != found => {
            Err(CompatError::OtherSession { found: found.to_owned(), last: last.clone() })
        }
        _ => Ok(()),
    }
}

fn read(journal: &Path) -> io::Result<Zeroizing<String>> {
    let file = File::open(journal)?;
    let limit = JOB_ENTRY_BYTES_MAX as u64;
    let length = file.metadata()?.len().min(limit);
    // Reserved once, so that growing leaves no copy of a key behind.
    let mut text =
        Zeroizing::new(String::with_capacity(usize::try_from(length).unwrap_or(0).saturating_add(1)));
    file.take(limit).read_to_string(&mut text)?;
    if is_journal(&text) {
        Ok(text)
    } else {
        Err(io::Error::new(io::ErrorKind::InvalidData, "it is no journal"))
    }
}

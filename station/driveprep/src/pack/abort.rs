//! A session that is given up: what it made anew looks like nothing, what it was to add to is as it was.
//!
//! What became visible on a drive that keeps its volume cannot be taken back. While the journal does not
//! know it yet, nothing is given up: `--resume` brings the journal to where the drive is. Once it does,
//! the drive keeps the files, and the job entry says what the drive is now: so a session whose data do
//! not read back ends as well.

use std::path::Path;

use anyhow::anyhow;
use model::{DriveId, Exit};

use super::blueprint::{Blueprint, Mode};
use super::drive::{self, Wipe};
use super::existing::Existing;
use super::session::{FrozenDrive, Session};
use super::{packed_entries, write_entries};
use crate::console::Console;
use crate::failure::Failure;
use crate::journal::{DriveRecord, Journal, JournalState, Phase, SessionState};
use crate::work::SessionId;

/// Gives up the journal's interrupted session.
///
/// # Errors
/// When there is none, or a drive cannot be brought to where it shall be.
pub fn abort(path: &Path, console: &Console) -> Result<Exit, Failure> {
    let (mut journal, state) = Journal::open(path).map_err(Failure::usage)?;
    let Some(unfinished) = state.unfinished() else {
        return Err(Failure::usage(anyhow!(
            "no session in {} is under way: there is nothing to abort",
            path.display()
        )));
    };
    let id = unfinished.id.clone();
    let session = Session::load(path);
    let mut kept = 0;
    if let Ok(session) = &session {
        for index in 0..session.frozen.drives.len() {
            kept += u64::from(give_up(session, index, &mut journal, &state, console)?);
        }
    }
    journal.session(&id, SessionState::Aborted).map_err(Failure::fatal)?;
    let said = match session {
        Ok(session) => {
            if kept > 0 {
                // As the journal has them now.
                drop(journal);
                let (journal, state) = Journal::open(path).map_err(Failure::fatal)?;
                write_entries(&session.frozen.job_out, &packed_entries(&state), &journal)?;
            }
            session.remove();
            if kept > 0 {
                "see above for what stays on its drives"
            } else {
                "nothing on its drives looks whole"
            }
        }
        // Where its drives are is not known, and what is on them neither.
        Err(failure) => {
            console.warn(&proof::chain(&*failure.cause));
            "its files beside the journal were not whole, so that NO drive was wiped"
        }
    };
    let text = format!("session {id} is given up; {said}");
    console.result("aborted", &text, serde_json::json!({ "session": id.as_str(), "kept": kept }));
    Ok(Exit::Success)
}

/// Brings one drive to where it shall be; whether it keeps the session's files.
fn give_up(
    session: &Session,
    index: usize,
    journal: &mut Journal,
    state: &JournalState,
    console: &Console,
) -> Result<bool, Failure> {
    let frozen = &session.frozen.drives[index];
    let drive = session.drive_id(index)?;
    let blueprint = session.blueprint(index)?;
    let record = state.drives.get(&drive);
    let id = session.work.session();
    if blueprint.mode != Mode::New && record.is_some_and(|record| record.is_packed_in(id)) {
        tell_kept(frozen, id, console);
        return Ok(true);
    }
    check_invisible(&frozen.path, record, &blueprint)?;
    let is_begun = record
        .is_some_and(|record| matches!(record.phase, Some(Phase::Prepared | Phase::Sealing | Phase::Packed)));
    if blueprint.mode == Mode::New && is_begun {
        wipe(frozen, &drive, &blueprint, console)?;
    }
    let was_packed = record.is_some_and(|record| record.entry.is_some());
    let noted = match blueprint.mode {
        Mode::New => journal.drive(&drive, Phase::Wiped),
        // Where files were to be added, the drive is what its last session made of it.
        Mode::Added | Mode::InPlace if was_packed => journal.drive_restored(&drive),
        Mode::Added | Mode::InPlace => Ok(()),
    };
    noted.map_err(Failure::fatal)?;
    Ok(false)
}

fn tell_kept(frozen: &FrozenDrive, id: &SessionId, console: &Console) {
    console.warn(&format!(
        "{} ({}) KEEPS the files of session {id}, which are in its manifest and cannot be taken back. \
         `driveprep verify` says which do not read back; the job entry is that of the drive as it is",
        frozen.path.display(),
        frozen.serial
    ));
}

/// What became visible on a drive cannot be taken back; that it did must be noted first.
fn check_invisible(path: &Path, record: Option<&DriveRecord>, blueprint: &Blueprint) -> Result<(), Failure> {
    let Some(DriveRecord { key: Some(key), sealing: Some(hash), .. }) = record else { return Ok(()) };
    if blueprint.mode == Mode::New || !Existing::open(path, key)?.has_manifest(*hash) {
        return Ok(());
    }
    Err(Failure::new(
        Exit::NotRetryable,
        anyhow!(
            "{} has the session's files already: nothing is left to abort. End it with --resume",
            path.display()
        ),
    ))
}

/// Makes nothing on a drive of a session that is given up look whole.
fn wipe(
    frozen: &FrozenDrive,
    drive: &DriveId,
    blueprint: &Blueprint,
    console: &Console,
) -> Result<(), Failure> {
    let path = frozen.path.display();
    match drive::wipe(&frozen.path, frozen.is_image, drive, blueprint)? {
        Wipe::Wiped => {}
        Wipe::Gone => console.note(&format!("{path} is not there any more: nothing was wiped")),
        Wipe::Foreign => console.warn(&format!(
            "{path} was NOT wiped: it has another partition table than the one this pack made"
        )),
    }
    Ok(())
}

//! `driveprep pack`: from what goes where to packed drives.
//!
//! ```text
//! arguments ──plan──▶ Planned ──save──▶ Session, journal ──for each drive──▶ Packed ──▶ job entry, summary
//! ```
//!
//! | to change | open |
//! | --- | --- |
//! | an argument | [`arguments`] |
//! | what giving up a session does | [`abort`] |
//! | which drives may be written | [`candidate`], [`consent`] |
//! | which drive takes what | [`distribute`] |
//! | where it lies on the volume | [`layout`] |
//! | what happens to one drive, step by step | [`drive`], [`checkpoints`], [`finish`] |
//! | adding to a volume that is there, and data that is on it | [`existing`], [`in_place`] |
//! | how data is cut, read, hashed, written | [`slab`], [`source`], [`digest`], [`pipeline`] |
//! | what a resumed pack goes by | [`session`], [`blueprint`], [`spool`], [`crate::journal`] |
//! | the manifest's lists | [`manifest`] |

pub mod abort;
pub mod arguments;
pub mod blueprint;
pub mod candidate;
pub mod checkpoints;
pub mod consent;
pub mod digest;
pub mod distribute;
pub mod drive;
pub mod existing;
pub mod finish;
pub mod in_place;
pub mod layout;
pub mod manifest;
pub mod pipeline;
pub mod plan;
pub mod session;
pub mod slab;
pub mod source;
pub mod spool;
pub mod stop;
pub mod summary;
pub mod volume_file;
pub mod volume_plan;
pub mod whole;

use std::path::Path;
use std::sync::atomic::AtomicBool;

use ::manifest::JobEntry;
use anyhow::{Context, anyhow};
use model::{DriveId, Exit};
use proof::bring_up::{self, Device};
use proof::secrets::SecretFiles;

use self::arguments::PackArguments;
use self::blueprint::write_whole;
use self::drive::{Choices, Job, Packed};
use self::plan::Planned;
use self::session::Session;
use self::spool::Spool;
use crate::console::Console;
use crate::failure::Failure;
use crate::journal::{DriveRecord, Journal, JournalState, Phase, SessionRecord, SessionState};
use crate::open::{Recognised, refused};
use crate::verify;

/// The least memory that reading back takes, in MiB.
const VERIFY_MIB_MIN: u32 = 128;

/// Runs the command.
///
/// # Errors
/// What ended it, with the exit code.
pub fn run(arguments: &PackArguments, console: &Console) -> Result<Exit, Failure> {
    let path = arguments.journal_path();
    if arguments.running.abort {
        return abort::abort(&path, console);
    }
    let stop = stop::watch(console)?;
    let (mut journal, state, session) = match open(arguments, &path)? {
        Opened::Interrupted(journal, state) => {
            console.note("going on where the last run stopped");
            let session = Session::load(&path)?;
            (journal, state, session)
        }
        Opened::Completed(state, session) => return already_packed(&state, &session, arguments, console),
        Opened::New(journal, state) => begin(arguments, journal, state, &path, console)?,
    };
    let id = session.work.session().clone();
    let choices = arguments.choices(&session.frozen.choices);
    let packed = pack_drives(&session, &mut journal, &state, &choices, stop, console)?;
    write_job(&session, &packed, &state, &journal)?;
    let missing = summary::tell(&session, &packed, &path, console);
    if session.frozen.choices.verify || arguments.running.verify {
        let drives = packed.iter().zip(&session.frozen.drives);
        let drives = drives.map(|(packed, frozen)| (frozen.path.as_path(), &packed.entry));
        let verified = read_back(drives, arguments, console)?;
        if verified != Exit::Success {
            console.note(
                "the session is not complete: the same command reads the drives back again, and --abort gives it up",
            );
            return Ok(verified);
        }
    }
    journal.session_completed(&id, missing).map_err(Failure::fatal)?;
    session.remove();
    Ok(ended(missing))
}

/// How a session ends some of whose files are missing.
fn ended(missing: u64) -> Exit {
    if missing == 0 { Exit::Success } else { Exit::Incomplete }
}

/// Reads all data of the drives back and compares it with their manifests.
fn read_back<'a>(
    drives: impl Iterator<Item = (&'a Path, &'a JobEntry)>,
    arguments: &PackArguments,
    console: &Console,
) -> Result<Exit, Failure> {
    let mut ended = Exit::Success;
    for (path, entry) in drives {
        console.note(&format!("reading {} back", path.display()));
        let job = same_entry(entry);
        let secrets = proof::secrets::collect(Some(&job), &SecretFiles::default());
        let secrets = secrets.map_err(|error| Failure::new(Exit::UnlockFailed, error))?;
        let drive = bring_up::recognise(Device::open(path).map_err(refused)?, Some(&job)).map_err(refused)?;
        let recognised = Recognised { drive, job: Some(job), secrets };
        let verified = verify::verify(recognised, arguments.running.buffer_mib.max(VERIFY_MIB_MIN), console)?;
        if ended == Exit::Success {
            ended = verified;
        }
    }
    Ok(ended)
}

/// What the journal's path leads to.
enum Opened {
    /// No session is under way; `None`: there is no journal yet.
    New(Option<Journal>, JournalState),
    /// The session that was asked for was interrupted.
    Interrupted(Journal, JournalState),
    /// The very session that was asked for is complete.
    Completed(JournalState, SessionRecord),
}

fn open(arguments: &PackArguments, path: &Path) -> Result<Opened, Failure> {
    if !path.exists() {
        if arguments.running.resume {
            return Err(Failure::usage(anyhow!("there is no journal {} to resume", path.display())));
        }
        return Ok(Opened::New(None, JournalState::default()));
    }
    let (journal, state) = Journal::open(path).map_err(Failure::usage)?;
    let (shown, resume) = (path.display(), arguments.running.resume);
    let is_same = |session: &SessionRecord| session.request == arguments.request();
    match state.sessions.last() {
        Some(session) if session.state == SessionState::Started => {
            if resume || is_same(session) {
                return Ok(Opened::Interrupted(journal, state));
            }
            let id = &session.id;
            Err(Failure::usage(anyhow!(
                "{shown} has the interrupted session {id}, which was asked for with other arguments. Go on with it \
                 by --resume, give it up by --abort, or use another --journal"
            )))
        }
        _ if resume => {
            Err(Failure::usage(anyhow!("no session in {shown} was interrupted: there is nothing to resume")))
        }
        Some(session) if session.state == SessionState::Completed && is_same(session) => {
            let session = session.clone();
            Ok(Opened::Completed(state, session))
        }
        Some(_) | None => Ok(Opened::New(Some(journal), state)),
    }
}

/// Plans a new session and writes it down; the drives are as they were.
fn begin(
    arguments: &PackArguments,
    journal: Option<Journal>,
    mut state: JournalState,
    path: &Path,
    console: &Console,
) -> Result<(Journal, JournalState, Session), Failure> {
    let planned = Planned::new(arguments, &state, console)?;
    planned.tell(console);
    let keys = planned.keys();
    let mut journal = match journal {
        Some(journal) => journal,
        None => Journal::create(path).map_err(Failure::usage)?,
    };
    let mut session = planned.save(path, arguments)?;
    session.keys = keys;
    let record = SessionRecord {
        id: session.work.session().clone(),
        state: SessionState::Started,
        request: arguments.request(),
        missing: 0,
    };
    let folder = std::env::current_dir().unwrap_or_default();
    journal.session_started(&record, &folder).map_err(Failure::fatal)?;
    state.begin(record);
    Ok((journal, state, session))
}

fn pack_drives(
    session: &Session,
    journal: &mut Journal,
    state: &JournalState,
    choices: &Choices,
    stop: &AtomicBool,
    console: &Console,
) -> Result<Vec<Packed>, Failure> {
    let mut packed = Vec::new();
    for (index, frozen) in session.frozen.drives.iter().enumerate() {
        let id = session.drive_id(index)?;
        let record = state.drives.get(&id);
        let blueprint = session.blueprint(index)?;
        let job = Job {
            work: &session.work,
            blueprint: &blueprint,
            id,
            path: frozen.path.clone(),
            is_image: frozen.is_image,
            consent: frozen.consent.as_ref(),
            spool_path: session.spool_path(index),
            key: session.keys.get(index).cloned().flatten(),
            choices,
            console,
            stop,
        };
        let is_done = |record: &&DriveRecord| record.is_packed_in(session.work.session());
        packed.push(match record.filter(is_done) {
            Some(record) => packed_before(&job, record)?,
            None => {
                console.note(&format!("drive {} ({})", job.id, frozen.path.display()));
                job.run(journal, record)?
            }
        });
    }
    Ok(packed)
}

/// A drive that an earlier run finished.
fn packed_before(job: &Job<'_>, record: &DriveRecord) -> Result<Packed, Failure> {
    let entry = record.entry.as_ref().map(same_entry);
    let entry = entry.ok_or_else(|| {
        Failure::fatal(anyhow!("the journal says that {} is packed, but not how it opens", job.id))
    })?;
    let number = job.blueprint.number;
    let mut spool = Spool::reopen(&job.spool_path, number).map_err(Failure::fatal)?;
    let left_out = spool.left_out(number, job.work).map_err(Failure::fatal)?;
    let on_it: Vec<_> = job.blueprint.item_ids().filter(|item| !left_out.contains_key(item)).collect();
    Ok(Packed {
        entry,
        left_out,
        length_bytes: on_it.iter().map(|item| job.work.item(*item).length_bytes()).sum(),
        item_count: on_it.len() as u64,
    })
}

fn same_entry(entry: &JobEntry) -> JobEntry {
    let key = entry.bitlocker_key.as_ref();
    JobEntry {
        drive_id: entry.drive_id.clone(),
        bitlocker_key: key.map(|key| ::manifest::BitlockerKey::new(key.expose().to_owned())),
        manifest_file: entry.manifest_file.clone(),
        manifest_hash: entry.manifest_hash,
        header_hash: entry.header_hash.clone(),
    }
}

/// Writes the job entry, and each drive's extract for portals that take no large journal.
fn write_job(
    session: &Session,
    packed: &[Packed],
    state: &JournalState,
    journal: &Journal,
) -> Result<(), Failure> {
    let mut entries: Vec<JobEntry> = packed.iter().map(|packed| same_entry(&packed.entry)).collect();
    // Drives of earlier sessions that nothing was added to belong to the job as well.
    for entry in packed_entries(state) {
        if !entries.iter().any(|known| known.drive_id == entry.drive_id) {
            entries.push(entry);
        }
    }
    write_entries(&session.frozen.job_out, &entries, journal)
}

/// The entries of the drives that are packed.
fn packed_entries(state: &JournalState) -> Vec<JobEntry> {
    let packed = state.drives.values().filter(|drive| drive.phase == Some(Phase::Packed));
    packed.filter_map(|drive| drive.entry.as_ref()).map(same_entry).collect()
}

fn write_entries(path: &Path, entries: &[JobEntry], journal: &Journal) -> Result<(), Failure> {
    write_whole(path, JobEntry::to_json(entries).as_bytes())
        .with_context(|| format!("writing the job entry {}; the journal holds the same", path.display()))
        .map_err(Failure::fatal)?;
    for entry in entries {
        let path = journal.beside(&format!("_DriveInfo_{}.xml", file_name(&entry.drive_id)));
        write_whole(&path, entry.to_xml().as_bytes())
            .with_context(|| format!("writing {}", path.display()))
            .map_err(Failure::fatal)?;
    }
    Ok(())
}

/// A serial number as a part of a file's name.
fn file_name(id: &DriveId) -> String {
    id.as_str().chars().map(|c| if c == '/' { '_' } else { c }).collect()
}

/// The same command after it ended: says so, writes the job entry again if it is gone, and reads the
/// drives back if it shall.
fn already_packed(
    state: &JournalState,
    session: &SessionRecord,
    arguments: &PackArguments,
    console: &Console,
) -> Result<Exit, Failure> {
    let entries = packed_entries(state);
    let path = &arguments.outputs.job_out;
    if !path.exists() {
        write_whole(path, JobEntry::to_json(&entries).as_bytes())
            .with_context(|| format!("writing the job entry {}", path.display()))
            .map_err(Failure::fatal)?;
    }
    let serials: Vec<&str> = entries.iter().map(|entry| entry.drive_id.as_str()).collect();
    let text = format!("already packed: {}. The job entry is {}", serials.join(", "), path.display());
    let missing = session.missing;
    let text = if missing == 0 { text } else { format!("{text}\n{missing} files are MISSING on the drives") };
    let fields = serde_json::json!({ "drives": serials, "job": path, "missing": missing });
    console.result("already-packed", &text, fields);
    if arguments.running.verify {
        let drives = state.drives.values().filter(|drive| drive.is_packed_in(&session.id));
        let drives = drives.filter_map(|drive| Some((drive.path.as_deref()?, drive.entry.as_ref()?)));
        let verified = read_back(drives, arguments, console)?;
        if verified != Exit::Success {
            return Ok(verified);
        }
    }
    Ok(ended(missing))
}

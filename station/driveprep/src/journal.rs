//! The journal of a pack: what was decided and done, so that it can go on after any interruption.
//!
//! azure-import-export.md §2.11 is the grammar, which [`manifest::journal`] owns; this is what our
//! records say. Append-only, each record on the medium before what it announces is done: **save, then
//! act**. A drive's keys are here before its first byte is written, so the file is its owner's only
//! (0600); the storage account's key never is.
//!
//! | activity | says |
//! | --- | --- |
//! | `PrepImportDriveCommandContext` | what was asked for |
//! | `CopySession:<id>` | `State: Started`, `Completed` or `Aborted` |
//! | `DriveInfo` | `DriveState`: how a drive opens; once packed also its manifest: the job's entry |
//! | `Drive:<serial>` | `State`: see [`Phase`]; with `Prepared` where it is, and its sealed metadata |
//! | `CopyFile` | a checkpoint: how much of which file is on the medium |
//!
//! One process at a time: the file is locked as long as a [`Journal`] lives.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use manifest::job_entry::opening_xml;
use manifest::journal::{NEW_JOURNAL_FILE, Record, RecordText, RecordTextError, VOCABULARY_VERSION, records};
use manifest::{BitlockerKey, JobEntry};
use model::DriveId;
use model::digest::HashText;
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use zeroize::Zeroizing;

use crate::work::SessionId;

const CONTEXT: &str = "PrepImportDriveCommandContext";
const DRIVE_INFO: &str = "DriveInfo";
const COPY_FILE: &str = "CopyFile";
const COPY_SESSION: &str = "CopySession:";
const DRIVE: &str = "Drive:";

/// Largest journal that is read: [`manifest::job_entry::JOB_ENTRY_BYTES_MAX`] is what a job takes.
const JOURNAL_BYTES_MAX: u64 = manifest::job_entry::JOB_ENTRY_BYTES_MAX as u64;

/// How a record ends: behind the last one of these the journal is torn.
const RECORD_END: &str = "[EndUpdateRecord]\n";

/// How far a drive has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Its keys are saved; data is being copied.
    Prepared,
    /// All data is on it; what makes it a volume is being written.
    Sealing,
    /// It is whole, and read back.
    Packed,
    /// It was given up, and nothing on it looks whole.
    Wiped,
}

impl Phase {
    const ALL: [Phase; 4] = [Phase::Prepared, Phase::Sealing, Phase::Packed, Phase::Wiped];

    fn as_str(self) -> &'static str {
        match self {
            Phase::Prepared => "Prepared",
            Phase::Sealing => "Sealing",
            Phase::Packed => "Packed",
            Phase::Wiped => "Wiped",
        }
    }
}

/// How a session stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionState {
    /// Under way, or interrupted.
    Started,
    /// All its drives are packed.
    Completed,
    /// Given up.
    Aborted,
}

impl SessionState {
    const ALL: [SessionState; 3] = [SessionState::Started, SessionState::Completed, SessionState::Aborted];

    fn as_str(self) -> &'static str {
        match self {
            SessionState::Started => "Started",
            SessionState::Completed => "Completed",
            SessionState::Aborted => "Aborted",
        }
    }
}

/// What a journal knows of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionRecord {
    /// Its name.
    pub id: SessionId,
    /// How it stands.
    pub state: SessionState,
    /// What was asked for, in the words of [`crate::pack::arguments::PackArguments::request`].
    pub request: String,
    /// How many files it could not pack, once it is complete.
    pub missing: u64,
}

/// What a journal knows of a drive.
#[derive(Debug, Default)]
pub struct DriveRecord {
    /// How far it has come.
    pub phase: Option<Phase>,
    /// The recovery password.
    pub key: Option<BitlockerKey>,
    /// The BitLocker metadata as they will stand on it; without the key they are nothing.
    pub sealed_metadata: Vec<u8>,
    /// Everything a job says about it, once it is packed.
    pub entry: Option<JobEntry>,
    /// Where it was.
    pub path: Option<PathBuf>,
    /// The manifest that is about to become visible on it.
    pub sealing: Option<HashText>,
    /// The session that it was last packed in.
    pub packed_in: Option<SessionId>,
}

impl DriveRecord {
    /// Whether that session is the one that made it what it is.
    pub fn is_packed_in(&self, session: &SessionId) -> bool {
        self.phase == Some(Phase::Packed) && self.packed_in.as_ref() == Some(session)
    }
}

/// What a journal says, all records taken together.
#[derive(Debug, Default)]
pub struct JournalState {
    /// The sessions in their order.
    pub sessions: Vec<SessionRecord>,
    /// The drives.
    pub drives: BTreeMap<DriveId, DriveRecord>,
}

/// A journal cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The file system refuses.
    #[error("the journal {}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// Another process has it.
    #[error("the journal {} is in use by another driveprep", path.display())]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// It is something else, or damaged.
    #[error("{} is no journal of driveprep: {reason}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A record cannot be written down.
    #[error("writing a record")]
    Record(#[from] RecordTextError),
}

/// An open journal.
pub struct Journal {
    path: PathBuf,
    file: File,
}

impl Journal {
    /// Begins a journal.
    ///
    /// # Errors
    /// When it exists, or the file system refuses.
    pub fn create(path: &Path) -> Result<Journal, JournalError> {
        let mut options = File::options();
        options.read(true).append(true).create_new(true).mode(0o600);
        let file = options.open(path).map_err(|source| JournalError::Io { path: path.to_owned(), source })?;
        let mut journal = Journal { path: path.to_owned(), file };
        // What holds nothing would be no journal for the next run.
        journal.begin().inspect_err(|_| drop(std::fs::remove_file(path)))?;
        Ok(journal)
    }

    fn begin(&mut self) -> Result<(), JournalError> {
        self.lock()?;
        let head = RecordText::new(NEW_JOURNAL_FILE, now()).field("VocabularyVersion", VOCABULARY_VERSION)?;
        self.append(head)?;
        let folder =
            self.path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        // The name must be on the medium too, or a power cut loses the keys with it.
        let synced = File::open(folder).and_then(|folder| folder.sync_all());
        synced.map_err(|source| self.failed(source))
    }

    /// Opens a journal and reads what it says. A torn record at its end is cut off.
    ///
    /// # Errors
    /// When it is not there, in use, or no journal.
    pub fn open(path: &Path) -> Result<(Journal, JournalState), JournalError> {
        let opened = File::options().read(true).append(true).open(path);
        let file = opened.map_err(|source| JournalError::Io { path: path.to_owned(), source })?;
        let mut journal = Journal { path: path.to_owned(), file };
        journal.lock()?;
        let text = journal.read()?;
        let state = JournalState::of(&text).map_err(|reason| journal.malformed(reason))?;
        // A torn record goes, lest what is written behind it be read together with it.
        let whole = text.rfind(RECORD_END).map_or(0, |end| end + RECORD_END.len());
        let length = u64::try_from(whole).unwrap_or(u64::MAX);
        if journal.file.metadata().is_ok_and(|found| found.len() > length) {
            journal.file.set_len(length).map_err(|source| journal.failed(source))?;
        }
        Ok((journal, state))
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A file that belongs to it: the same name with something behind.
    pub fn beside(&self, suffix: &str) -> PathBuf {
        let mut name = self.path.as_os_str().to_owned();
        name.push(suffix);
        name.into()
    }

    /// Notes the beginning of a session and what was asked for.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn session_started(
        &mut self,
        session: &SessionRecord,
        log_directory: &Path,
    ) -> Result<(), JournalError> {
        let context = RecordText::activity(CONTEXT, now())?
            .field("LogDirectory", &log_directory.to_string_lossy())?
            .field("Program", concat!("Drayage driveprep ", env!("CARGO_PKG_VERSION")))?;
        self.append(context)?;
        let started = self.session_text(&session.id, SessionState::Started)?;
        self.append(started.field("Request", &session.request)?)
    }

    /// Notes a session that is complete but for so many files.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn session_completed(&mut self, id: &SessionId, missing: u64) -> Result<(), JournalError> {
        let text = self.session_text(id, SessionState::Completed)?;
        self.append(text.field("Missing", &missing.to_string())?)
    }

    /// Notes how a session ended.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn session(&mut self, id: &SessionId, state: SessionState) -> Result<(), JournalError> {
        let text = self.session_text(id, state)?;
        self.append(text)
    }

    /// Notes a drive's keys, before anything is written to it.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn drive_prepared(
        &mut self,
        drive: &DriveId,
        path: &Path,
        key: &BitlockerKey,
        sealed_metadata: &[u8],
    ) -> Result<(), JournalError> {
        let opening = RecordText::activity(DRIVE_INFO, now())?
            .field("DriveState", &opening_xml(drive, key))?
            .field("SaveCommandOutput", "Completed")?;
        self.append(opening)?;
        let state = self
            .drive_text(drive, Phase::Prepared)?
            .field("Path", &path.to_string_lossy())?
            .field("SealedMetadata", &hex(sealed_metadata))?;
        self.append(state)
    }

    /// Notes how far a drive has come.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn drive(&mut self, drive: &DriveId, phase: Phase) -> Result<(), JournalError> {
        let text = self.drive_text(drive, phase)?;
        self.append(text)
    }

    /// Notes that a drive is what its last session made of it again: one that added to it is given up.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn drive_restored(&mut self, drive: &DriveId) -> Result<(), JournalError> {
        let text = self.drive_text(drive, Phase::Packed)?.field("Restored", "yes")?;
        self.append(text)
    }

    /// Notes the manifest that a drive is about to get, before anything of it becomes visible.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn drive_sealing(&mut self, drive: &DriveId, manifest: HashText) -> Result<(), JournalError> {
        let text = self.drive_text(drive, Phase::Sealing)?.field("ManifestHash", &manifest.to_string())?;
        self.append(text)
    }

    /// Notes a drive that is whole: its job entry first, then its phase.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn drive_packed(&mut self, entry: &JobEntry) -> Result<(), JournalError> {
        let info = RecordText::activity(DRIVE_INFO, now())?
            .field("DriveState", &entry.to_xml())?
            .field("SaveCommandOutput", "Completed")?;
        self.append(info)?;
        self.drive(&entry.drive_id, Phase::Packed)
    }

    /// Notes that everything before that place of that file is on the medium.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn checkpoint(
        &mut self,
        drive: &DriveId,
        source: &Path,
        drive_path: &str,
        offset_bytes: u64,
    ) -> Result<(), JournalError> {
        let text = RecordText::activity(COPY_FILE, now())?
            .field("DriveId", drive.as_str())?
            .field("Source", &printable(&source.to_string_lossy()))?
            .field("FilePath", &printable(drive_path))?
            .field("Offset", &offset_bytes.to_string())?;
        self.append(text)
    }

    fn session_text(&self, id: &SessionId, state: SessionState) -> Result<RecordText, RecordTextError> {
        RecordText::activity(&format!("{COPY_SESSION}{id}"), now())?.field("State", state.as_str())
    }

    fn drive_text(&self, drive: &DriveId, phase: Phase) -> Result<RecordText, RecordTextError> {
        RecordText::activity(&format!("{DRIVE}{drive}"), now())?.field("State", phase.as_str())
    }

    /// One write and one flush a record: it is on the medium, or torn and dropped.
    fn append(&mut self, record: RecordText) -> Result<(), JournalError> {
        let text = record.finish();
        let written = self.file.write_all(text.as_bytes()).and_then(|()| self.file.sync_data());
        written.map_err(|source| self.failed(source))
    }

    fn lock(&self) -> Result<(), JournalError> {
        match flock(&self.file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(()),
            Err(Errno::WOULDBLOCK) => Err(JournalError::InUse { path: self.path.clone() }),
            Err(errno) => Err(self.failed(errno.into())),
        }
    }

    fn read(&mut self) -> Result<Zeroizing<String>, JournalError> {
        let length = self.file.metadata().map_err(|source| self.failed(source))?.len();
        if length > JOURNAL_BYTES_MAX {
            return Err(self.malformed(format!("it has {length} bytes")));
        }
        // Reserved once, so that growing leaves no copy of a key behind.
        let mut bytes = Zeroizing::new(Vec::with_capacity(usize::try_from(length).unwrap_or(0) + 1));
        (&self.file).take(JOURNAL_BYTES_MAX).read_to_end(&mut bytes).map_err(|source| self.failed(source))?;
        match std::str::from_utf8(&bytes) {
            Ok(text) => Ok(Zeroizing::new(text.to_owned())),
            // A torn write may end inside a character.
            Err(error) if error.error_len().is_none() => {
                Ok(Zeroizing::new(String::from_utf8_lossy(&bytes[..error.valid_up_to()]).into_owned()))
            }
            Err(error) => Err(self.malformed(format!("byte {} is not text", error.valid_up_to()))),
        }
    }

    fn failed(&self, source: io::Error) -> JournalError {
        JournalError::Io { path: self.path.clone(), source }
    }

    fn malformed(&self, reason: String) -> JournalError {
        JournalError::Malformed { path: self.path.clone(), reason }
    }
}

impl JournalState {
    /// The session that is under way or was interrupted.
    pub fn unfinished(&self) -> Option<&SessionRecord> {
        self.sessions.last().filter(|session| session.state == SessionState::Started)
    }

    fn of(text: &str) -> Result<JournalState, String> {
        let mut state = JournalState::default();
        let mut records = records(text);
        match records.next() {
            Some(first) if first.kind == NEW_JOURNAL_FILE => {}
            _ => return Err("its first record is missing".to_owned()),
        }
        records.try_for_each(|record| state.take(&record))?;
        Ok(state)
    }

    fn take(&mut self, record: &Record<'_>) -> Result<(), String> {
        let activity = record.value("ActivityId").unwrap_or_default();
        if let Some(id) = activity.strip_prefix(COPY_SESSION) {
            self.session(id, record)
        } else if let Some(serial) = activity.strip_prefix(DRIVE) {
            self.drive(serial, record)
        } else if activity == DRIVE_INFO {
            self.drive_info(record)
        } else {
            // Checkpoints and contexts are for people; records of later versions may be anything.
            Ok(())
        }
    }

    fn session(&mut self, id: &str, record: &Record<'_>) -> Result<(), String> {
        let id: SessionId = id.parse().map_err(|error| format!("{error}"))?;
        let word = record.value("State").unwrap_or_default();
        let state = SessionState::ALL.into_iter().find(|state| state.as_str() == word);
        let state = state.ok_or_else(|| format!("the session {id} has the state {word:?}"))?;
        match self.sessions.iter_mut().rfind(|session| session.id == id) {
            Some(session) if state != SessionState::Started => {
                session.state = state;
                session.missing = record.value("Missing").and_then(|text| text.parse().ok()).unwrap_or(0);
            }
            _ => {
                let request = record.value("Request").unwrap_or_default().to_owned();
                self.begin(SessionRecord { id, state, request, missing: 0 });
            }
        }
        Ok(())
    }

    /// Takes a session that begins. What one of the same name packed before is not its work.
    pub fn begin(&mut self, session: SessionRecord) {
        for drive in self.drives.values_mut().filter(|drive| drive.packed_in.as_ref() == Some(&session.id)) {
            drive.packed_in = None;
        }
        self.sessions.push(session);
    }

    fn drive(&mut self, serial: &str, record: &Record<'_>) -> Result<(), String> {
        let drive = DriveId::new(serial).map_err(|error| error.to_string())?;
        let word = record.value("State").unwrap_or_default();
        let phase = Phase::ALL.into_iter().find(|phase| phase.as_str() == word);
        let session = self.sessions.last().map(|session| session.id.clone());
        let found = self.drives.entry(drive).or_default();
        found.phase = Some(phase.ok_or_else(|| format!("the drive {serial} has the state {word:?}"))?);
        if found.phase == Some(Phase::Packed) && record.value("Restored").is_none() {
            found.packed_in = session;
        }
        // A record of any other phase takes it back, but for that of a run that goes on.
        match record.value("ManifestHash") {
            Some(hash) => found.sealing = hash.parse().ok(),
            None if found.phase != Some(Phase::Prepared) => found.sealing = None,
            None => {}
        }
        if let Some(path) = record.value("Path") {
            found.path = Some(path.into());
        }
        if let Some(sealed) = record.value("SealedMetadata") {
            found.sealed_metadata =
                unhex(sealed).ok_or_else(|| format!("the sealed metadata of the drive {serial}"))?;
        }
        Ok(())
    }

    fn drive_info(&mut self, record: &Record<'_>) -> Result<(), String> {
        let xml = record.value("DriveState").unwrap_or_default();
        let (drive, key) = JobEntry::opening(xml).map_err(|error| error.to_string())?;
        let found = self.drives.entry(drive).or_default();
        found.key = Some(key);
        // While files are added to it, a drive is still what its last session made of it.
        found.entry = JobEntry::parse(xml.as_bytes(), None).ok().or(found.entry.take());
        Ok(())
    }
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// A name on one line, for people; the journal's own marks cannot stand in it.
fn printable(text: &str) -> String {
    let line: String = text.chars().map(|c| if c.is_control() { '\u{FFFD}' } else { c }).collect();
    line.replace("[Begin", "[ Begin").replace("[End", "[ End")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let (pairs, []) = text.as_bytes().as_chunks::<2>() else { return None };
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?)).collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    const KEY: &str = "298331-390225-695607-716595-506935-333102-339966-088198";

    fn drive() -> DriveId {
        DriveId::new("S1").unwrap()
    }

    fn session() -> SessionRecord {
        let id = "session#1".parse().unwrap();
        SessionRecord {
            id,
            state: SessionState::Started,
            request: "from /a b\nto con/".to_owned(),
            missing: 0,
        }
    }

    fn entry() -> JobEntry {
        JobEntry {
            drive_id: drive(),
            bitlocker_key: Some(BitlockerKey::new(KEY.to_owned())),
            manifest_file: "\\DriveManifest.xml".to_owned(),
            manifest_hash: "D863FE44F861AE0DA4DCEAEEFFCCCE68".parse().unwrap(),
            header_hash: manifest::HeaderHash::Absent,
        }
    }

    /// A journal of a drive that was prepared, and its text.
    fn prepared(path: &Path) -> Journal {
        let mut journal = Journal::create(path).unwrap();
        journal.session_started(&session(), Path::new("/logs")).unwrap();
        let key = BitlockerKey::new(KEY.to_owned());
        journal.drive_prepared(&drive(), Path::new("/dev/sdx"), &key, &[0, 0xAB, 255]).unwrap();
        journal.checkpoint(&drive(), Path::new("/a b/[EndValue]\n"), "\\session#1\\0\\f", 5).unwrap();
        journal
    }

    #[test]
    fn what_was_noted_is_known_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("j.jrn");
        let mut journal = prepared(&path);
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        drop(journal);
        let (again, state) = Journal::open(&path).unwrap();
        journal = again;
        assert_eq!(state.unfinished(), Some(&session()));
        let found = &state.drives[&drive()];
        assert_eq!(found.phase, Some(Phase::Prepared));
        assert_eq!(found.key.as_ref().unwrap().expose(), KEY);
        assert_eq!(found.sealed_metadata, [0, 0xAB, 255]);
        assert!(found.entry.is_none());
        journal.drive_sealing(&drive(), entry().manifest_hash).unwrap();
        drop(journal);
        let (again, state) = Journal::open(&path).unwrap();
        journal = again;
        assert_eq!(state.drives[&drive()].sealing, Some(entry().manifest_hash));
        journal.drive_packed(&entry()).unwrap();
        journal.session(&session().id, SessionState::Completed).unwrap();
        drop(journal);
        let (_, state) = Journal::open(&path).unwrap();
        assert_eq!(state.unfinished(), None);
        assert_eq!(state.drives[&drive()].phase, Some(Phase::Packed));
        assert!(state.drives[&drive()].entry.is_some());
        assert_eq!(state.drives[&drive()].packed_in, Some(session().id));
        assert_eq!(state.drives[&drive()].sealing, None);
        assert_eq!(state.drives[&drive()].path.as_deref(), Some(Path::new("/dev/sdx")));
        // The service, and the station, take the journal itself as the drive's entry.
        let taken = JobEntry::parse(&std::fs::read(&path).unwrap(), None).unwrap();
        assert_eq!(taken.manifest_hash, entry().manifest_hash);
    }

    #[test]
    fn cut_at_any_byte_it_says_what_was_noted_before_and_takes_more() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("j.jrn");
        drop(prepared(&path));
        let whole = std::fs::read(&path).unwrap();
        let head = std::str::from_utf8(&whole).unwrap().find("Update").unwrap();
        let first =
            head + std::str::from_utf8(&whole[head..]).unwrap().find("[EndUpdateRecord]\n").unwrap() + 18;
        for end in (first..whole.len()).step_by(11) {
            std::fs::write(&path, &whole[..end]).unwrap();
            let (mut journal, before) = Journal::open(&path).unwrap();
            journal.drive(&drive(), Phase::Wiped).unwrap();
            drop(journal);
            let (_, after) = Journal::open(&path).unwrap();
            assert_eq!(after.sessions, before.sessions, "{end}");
            assert_eq!(after.drives[&drive()].phase, Some(Phase::Wiped), "{end}");
        }
    }

    #[test]
    fn one_process_has_it_and_nothing_else_is_taken_for_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("j.jrn");
        let _held = prepared(&path);
        assert!(matches!(Journal::open(&path), Err(JournalError::InUse { .. })));
        let other = folder.path().join("other");
        for text in [&b"<Drive/>"[..], b"", b"\xff\xfe\xfd"] {
            std::fs::write(&other, text).unwrap();
            assert!(matches!(Journal::open(&other), Err(JournalError::Malformed { .. })), "{text:?}");
        }
    }
}

//! The repair file: how far the repair of one drive has come. azure-import-export.md §2.7, §9.27.
//!
//! Append-only, in the grammar of journals ([`manifest::journal`]): first what is repaired, then a
//! record for each blob, and for each component that was sent, keyed by blob path, file path and
//! offset. A record is on the disk before anything rests on it. Invariants: a torn tail is dropped; a file of
//! another repair is never gone on with; one process at a time has it. No secret is in it. Names
//! are written as JSON strings, so that any name reads back exactly.

use std::collections::{HashMap, HashSet};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use manifest::journal::{self, ACTIVITY_RECORD, NEW_JOURNAL_FILE, Record, RecordText, VOCABULARY_VERSION};

/// Far more than the records of any drive: 50,000 components in each of 100 blobs are 1 GB.
const FILE_BYTES_MAX: u64 = 4 << 30;

/// What every record begins with.
const RECORD_BEGIN: &str = "[BeginUpdateRecord]";

const HEAD: &str = "Repair";
const BLOB: &str = "RepairBlob";
const COMPONENT: &str = "RepairComponent";
const CHECKED: &str = "RepairChecked";
const PARTS: &str = "Parts";
/// Of a blob that is made anew.
const ALL_PARTS: &str = "All";

/// What a repair file is of. All of it has to be the same when a repair goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// `RepairImport` or `RepairExport`.
    pub command: &'static str,
    /// The account's address.
    pub account: String,
    /// Digest of the log or the manifest that is repaired by.
    pub input: String,
    /// The folder that is mended, and which one stands there; none when the account is mended.
    pub folder: Option<String>,
}

/// Which blob a record is of.
///
/// The name alone does not tell: two files may have been packed for one name, the second of which
/// gets another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key<'a> {
    /// As the log names it.
    pub blob_path: &'a str,
    /// The file's path on the drive, if it is known.
    pub file_path: Option<&'a str>,
}

type OwnedKey = (String, Option<String>);

impl Key<'_> {
    fn owned(self) -> OwnedKey {
        (self.blob_path.to_owned(), self.file_path.map(str::to_owned))
    }
}

/// What is about to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Intent<'a> {
    /// Under which name.
    pub target: &'a str,
    /// Under which lease.
    pub lease: Option<&'a str>,
    /// Whether the blob is made anew, so that it lacks even the parts that had landed.
    pub is_anew: bool,
}

/// What is known of a blob.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Noted {
    /// It is whole.
    pub is_completed: bool,
    /// The name under which it is being written.
    pub target: Option<String>,
    /// The lease under which it is being written.
    pub lease: Option<String>,
    /// Whether it is being made anew: all its parts have to be sent.
    pub is_anew: bool,
}

/// Why a repair file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// It cannot be opened, read or written.
    #[error("the repair file {}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// Another process has it.
    #[error("the repair file {} is in use by another process", path.display())]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// Not UTF-8, hence none of ours.
    #[error("the repair file {} is no repair file: byte {offset} is not text", path.display())]
    NotText {
        /// The file.
        path: PathBuf,
        /// Where.
        offset: usize,
    },
    /// Some other file.
    #[error("{} exists and is no repair file; give a new name to --repair", path.display())]
    NotOurs {
        /// The file.
        path: PathBuf,
    },
    /// Another repair's.
    #[error(
        "the repair file {} is of another repair: {what} was {found}, now it is {expected}; a drive has one repair \
         file: give another one to --repair",
        path.display()
    )]
    OtherRepair {
        /// The file.
        path: PathBuf,
        /// What differs.
        what: &'static str,
        /// There.
        found: String,
        /// Here.
        expected: String,
    },
    /// A record that we cannot have written.
    #[error("the repair file {}, line {line}: {what}", path.display())]
    Broken {
        /// The file.
        path: PathBuf,
        /// Where the record's fields begin.
        line: u64,
        /// What is wrong.
        what: &'static str,
    },
    /// A name that the grammar cannot hold.
    #[error("the repair file {} cannot hold the name {name:?}", path.display())]
    Name {
        /// The file.
        path: PathBuf,
        /// The name.
        name: String,
    },
}

/// An open repair file.
#[derive(Debug)]
pub struct RepairFile {
    path: PathBuf,
    file: File,
    state: State,
    /// Whether there was one.
    pub is_resumed: bool,
}

/// What the records say.
#[derive(Debug, Default)]
struct State {
    blobs: HashMap<OwnedKey, Noted>,
    components: HashMap<OwnedKey, HashSet<u64>>,
    checked: u64,
}

impl RepairFile {
    /// Opens the repair file of this subject, or begins it.
    ///
    /// # Errors
    /// When it cannot be used, or is another repair's.
    pub fn open(path: &Path, subject: &Subject) -> Result<RepairFile, RecordError> {
        let io = |source| RecordError::Io { path: path.to_owned(), source };
        let mut options = OpenOptions::new();
        let mut file = options.read(true).append(true).create(true).mode(0o600).open(path).map_err(io)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(RecordError::InUse { path: path.to_owned() }),
            Err(TryLockError::Error(source)) => return Err(io(source)),
        }
        let text = read_text(path, &mut file)?;
        let state = parse(path, &text, subject)?;
        let mut repair = RepairFile {
            path: path.to_owned(),
            file,
            is_resumed: state.is_some(),
            state: state.unwrap_or_default(),
        };
        // A character that was cut in two, and a first write of which there is not even the mark.
        let is_nothing = RECORD_BEGIN.starts_with(text.trim());
        repair.file.set_len(if is_nothing { 0 } else { text.len() as u64 }).map_err(io)?;
        if !is_nothing && !text.ends_with('\n') {
            // What was torn off must not swallow the next record's first line.
            repair.append("\n")?;
        }
        if !repair.is_resumed {
            repair.begin(subject)?;
        }
        Ok(repair)
    }

    fn begin(&mut self, subject: &Subject) -> Result<(), RecordError> {
        let head = RecordText::new(NEW_JOURNAL_FILE, now_unix_ms())
            .field("VocabularyVersion", VOCABULARY_VERSION)
            .map(RecordText::finish);
        let text = self.written(VOCABULARY_VERSION, head)?;
        self.append(&text)?;
        let folder = subject.folder.as_deref().map(quoted);
        let mut fields =
            vec![("Command", subject.command), ("Account", &*subject.account), ("Input", &*subject.input)];
        fields.extend(folder.as_deref().map(|folder| ("Folder", folder)));
        self.activity(HEAD, &fields)
    }

    /// What is noted of a blob.
    pub fn blob(&self, key: Key<'_>) -> Noted {
        self.state.blobs.get(&key.owned()).cloned().unwrap_or_default()
    }

    /// Whether a component was sent.
    pub fn has_component(&self, key: Key<'_>, offset_bytes: u64) -> bool {
        self.state.components.get(&key.owned()).is_some_and(|offsets| offsets.contains(&offset_bytes))
    }

    /// How many entries of the manifest need no second look.
    pub fn checked(&self) -> u64 {
        self.state.checked
    }

    /// Notes that a blob is whole.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn completed(&mut self, key: Key<'_>) -> Result<(), RecordError> {
        let noted = Noted { is_completed: true, ..self.blob(key) };
        self.keyed(BLOB, key, &[("State", "Completed")])?;
        self.state.blobs.insert(key.owned(), noted);
        self.state.components.remove(&key.owned());
        Ok(())
    }

    /// Notes under which name, and which lease, a blob is about to be written.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn intends(&mut self, key: Key<'_>, intent: Intent<'_>) -> Result<(), RecordError> {
        let Intent { target, lease, is_anew } = intent;
        let place = quoted(target);
        let mut fields = vec![("State", "Writing"), ("Target", &*place)];
        fields.extend(lease.map(|lease| ("Lease", lease)));
        fields.extend(is_anew.then_some((PARTS, ALL_PARTS)));
        self.keyed(BLOB, key, &fields)?;
        let noted = self.state.blobs.entry(key.owned()).or_default();
        (noted.target, noted.lease) = (Some(target.to_owned()), lease.map(str::to_owned));
        noted.is_anew = is_anew;
        Ok(())
    }

    /// Notes that a component was sent.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn sent(
        &mut self,
        key: Key<'_>,
        component: &'static str,
        offset_bytes: u64,
    ) -> Result<(), RecordError> {
        let offset = offset_bytes.to_string();
        self.keyed(COMPONENT, key, &[("Component", component), ("Offset", &offset)])?;
        self.state.components.entry(key.owned()).or_default().insert(offset_bytes);
        Ok(())
    }

    /// Notes that everything sent of a blob counts no more: it is written anew.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn forget(&mut self, key: Key<'_>) -> Result<(), RecordError> {
        self.keyed(BLOB, key, &[("State", "Anew")])?;
        self.state.components.remove(&key.owned());
        self.state.blobs.remove(&key.owned());
        Ok(())
    }

    /// Notes that so many entries of the manifest were checked.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn check(&mut self, count: u64) -> Result<(), RecordError> {
        self.activity(CHECKED, &[("Entries", &count.to_string())])?;
        self.state.checked = count;
        Ok(())
    }

    fn keyed(&mut self, id: &str, key: Key<'_>, fields: &[(&'static str, &str)]) -> Result<(), RecordError> {
        let (blob, file) = (quoted(key.blob_path), key.file_path.map(quoted));
        let mut all = vec![("BlobPath", &*blob)];
        all.extend(file.as_deref().map(|file| ("FilePath", file)));
        all.extend_from_slice(fields);
        self.activity(id, &all)
    }

    fn activity(&mut self, id: &str, fields: &[(&'static str, &str)]) -> Result<(), RecordError> {
        let mut record = RecordText::activity(id, now_unix_ms());
        for (name, value) in fields {
            record = record.and_then(|record| record.field(name, value));
        }
        let named = fields.first().map(|(_, value)| *value).unwrap_or_default();
        let text = self.written(named, record.map(RecordText::finish))?;
        self.append(&text)
    }

    fn written<T>(&self, name: &str, record: Result<T, journal::RecordTextError>) -> Result<T, RecordError> {
        record.map_err(|_| RecordError::Name { path: self.path.clone(), name: name.to_owned() })
    }

    fn append(&mut self, text: &str) -> Result<(), RecordError> {
        let written = self.file.write_all(text.as_bytes()).and_then(|()| self.file.sync_data());
        written.map_err(|source| RecordError::Io { path: self.path.clone(), source })
    }
}

fn read_text(path: &Path, file: &mut File) -> Result<String, RecordError> {
    let mut bytes = Vec::new();
    let read = file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes);
    read.map_err(|source| RecordError::Io { path: path.to_owned(), source })?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(RecordError::NotOurs { path: path.to_owned() });
    }
    String::from_utf8(bytes).or_else(|error| {
        // A record that was cut inside a character is torn as any other.
        let (offset, is_tail) = (error.utf8_error().valid_up_to(), error.utf8_error().error_len().is_none());
        let mut bytes = error.into_bytes();
        bytes.truncate(offset);
        match String::from_utf8(bytes) {
            Ok(text) if is_tail => Ok(text),
            _ => Err(RecordError::NotText { path: path.to_owned(), offset }),
        }
    })
}

/// What the file says; nothing when it is new, or was torn before its first two records were whole.
fn parse(path: &Path, text: &str, subject: &Subject) -> Result<Option<State>, RecordError> {
    // The first write itself may have been cut.
    if !RECORD_BEGIN.starts_with(text.trim()) && !journal::is_journal(text) {
        return Err(RecordError::NotOurs { path: path.to_owned() });
    }
    let mut records = journal::records(text).filter(|record| record.kind == ACTIVITY_RECORD);
    let Some(head) = records.next() else { return Ok(None) };
    if head.value("ActivityId") != Some(HEAD) {
        return Err(RecordError::NotOurs { path: path.to_owned() });
    }
    let folder = subject.folder.as_deref().map(quoted).unwrap_or_default();
    let expected = [
        ("Command", "the command", subject.command),
        ("Account", "the account", &subject.account),
        ("Input", "the digest of the log or manifest", &subject.input),
        ("Folder", "the folder", &folder),
    ];
    for (field, what, expected) in expected {
        let found = head.value(field).unwrap_or_default();
        if found != expected {
            let (found, expected) = (found.to_owned(), expected.to_owned());
            return Err(RecordError::OtherRepair { path: path.to_owned(), what, found, expected });
        }
    }
    let mut state = State::default();
    for record in records {
        state.take(&record).map_err(|what| {
            let line = record.fields.first().map_or(0, |field| field.line);
            RecordError::Broken { path: path.to_owned(), line, what }
        })?;
    }
    Ok(Some(state))
}

impl State {
    fn take(&mut self, record: &Record<'_>) -> Result<(), &'static str> {
        let number = |name| record.value(name).and_then(|text| text.parse::<u64>().ok());
        match record.value("ActivityId") {
            Some(BLOB) => self.blob(record),
            Some(COMPONENT) => {
                let offset = number("Offset").ok_or("no usable Offset")?;
                self.components.entry(key_in(record)?).or_default().insert(offset);
                Ok(())
            }
            Some(CHECKED) => {
                self.checked = number("Entries").ok_or("no usable Entries")?;
                Ok(())
            }
            // A later version may note more.
            _ => Ok(()),
        }
    }

    fn blob(&mut self, record: &Record<'_>) -> Result<(), &'static str> {
        let key = key_in(record)?;
        match record.value("State") {
            Some("Completed") => {
                self.components.remove(&key);
                self.blobs.entry(key).or_default().is_completed = true;
            }
            Some("Writing") => {
                let target = name_in(record, "Target")?;
                let noted = self.blobs.entry(key).or_default();
                noted.target = Some(target);
                noted.lease = record.value("Lease").map(str::to_owned);
                noted.is_anew = record.value(PARTS) == Some(ALL_PARTS);
            }
            Some("Anew") => {
                self.components.remove(&key);
                self.blobs.remove(&key);
            }
            _ => return Err("no usable State"),
        }
        Ok(())
    }
}

fn quoted(name: &str) -> String {
    serde_json::Value::from(name).to_string()
}

fn key_in(record: &Record<'_>) -> Result<OwnedKey, &'static str> {
    let file_path = record.value("FilePath").is_some().then(|| name_in(record, "FilePath"));
    Ok((name_in(record, "BlobPath")?, file_path.transpose()?))
}

fn name_in(record: &Record<'_>, field: &str) -> Result<String, &'static str> {
    let text = record.value(field).ok_or("a name is missing")?;
    serde_json::from_str(text).map_err(|_| "a name is not a JSON string")
}

fn now_unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;

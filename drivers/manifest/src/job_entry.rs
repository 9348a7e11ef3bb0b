//! Job entries: what the job says about one drive.
//!
//! azure-import-export.md §2.11 (journals, `<Drive>` XML) and §5.3 (`driveList` items). Whatever
//! the document, it comes to the same [`JobEntry`]: serial number, BitLocker key, the manifest's
//! path and hash, hashes of the drive's header. The kind is told by looking at the content; file
//! extensions lie (§2.11).
//!
//! The key goes from the document into a type that is zeroed on drop and never printed; the
//! document itself, and its zeroing, is the caller's.

mod header_hash;
mod journal;
mod json;
mod write;
mod xml;

use std::fmt;

use model::DriveId;
use model::digest::{HashText, HashTextError};
use zeroize::Zeroizing;

use crate::decode::{DecodeError, decode};
use crate::drive_path::{DrivePath, DrivePathError};
use crate::xml::{Place, XmlFault};

pub use header_hash::{HeaderHash, HeaderHashError, HeaderRegion};
pub use write::opening_xml;

/// Largest document taken: a journal of many sessions; the portal's own limit is 2 MB (§2.11).
pub const JOB_ENTRY_BYTES_MAX: usize = 64 << 20;

/// What a job says about one drive.
#[derive(Debug)]
pub struct JobEntry {
    /// The drive's serial number.
    pub drive_id: DriveId,
    /// The secret that unlocks it; absent from documents that do not carry keys.
    pub bitlocker_key: Option<BitlockerKey>,
    /// The manifest's path, as written.
    pub manifest_file: String,
    /// The hash of the manifest's bytes.
    pub manifest_hash: HashText,
    /// Hashes of parts of the drive, to see without unlocking that it was re-formatted.
    pub header_hash: HeaderHash,
}

/// A BitLocker secret: a numerical password of 48 digits, or an external key in base64 (§2.10).
///
/// Zeroed on drop; not printable, not copyable.
pub struct BitlockerKey(Zeroizing<String>);

/// A document from which no job entry can be taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JobEntryError {
    /// Larger than any journal.
    #[error("the job entry has {found_bytes} bytes; at most {JOB_ENTRY_BYTES_MAX} are read")]
    Length {
        /// Its length.
        found_bytes: usize,
    },
    /// Not text.
    #[error("the job entry is not text: {0}")]
    Encoding(DecodeError),
    /// Neither JSON nor XML nor a journal.
    #[error("the job entry is neither JSON, nor a journal, nor a <Drive> element")]
    UnknownKind,
    /// Not the JSON that it should be.
    #[error("the job entry's JSON, line {line} column {column}: {what}")]
    Json {
        /// The line, from 1.
        line: usize,
        /// The column, from 1.
        column: usize,
        /// What is wrong; never the document's text.
        what: &'static str,
    },
    /// Not the XML that it should be.
    #[error("the job entry's XML, {place}: {fault}")]
    Xml {
        /// Where; lines are counted from the document's start, bytes from the element's.
        place: Place,
        /// What is wrong.
        fault: XmlFault,
    },
    /// The XML is about something else.
    #[error("the job entry's XML, {place}: the element is {found:?}, not Drive")]
    Root {
        /// Where.
        place: Place,
        /// The element.
        found: String,
    },
    /// No drive is described.
    #[error("the job entry describes no drive")]
    NoDrive,
    /// The drive that was asked for is not described.
    #[error("the job entry does not describe the drive {wanted}; it describes {described}")]
    OtherDrives {
        /// The drive that was asked for.
        wanted: DriveId,
        /// The drives that are described.
        described: String,
    },
    /// Several drives are described, and none was asked for.
    #[error("the job entry describes several drives ({described}); say which one")]
    SeveralDrives {
        /// Their ids.
        described: String,
    },
    /// A field is absent.
    #[error("the job entry has no {field}{of}", of = of(drive.as_ref()))]
    Missing {
        /// The field.
        field: &'static str,
        /// The drive it should be for, if known.
        drive: Option<DriveId>,
    },
    /// A field stands there twice.
    #[error("the job entry has {field} twice{of}", of = of(drive.as_ref()))]
    Duplicate {
        /// The field.
        field: &'static str,
        /// The drive it is for, if known.
        drive: Option<DriveId>,
    },
    /// The manifest's hash is no hash.
    #[error("the job entry's manifest hash for the drive {drive}: {reason}")]
    ManifestHash {
        /// The drive.
        drive: DriveId,
        /// Why.
        reason: HashTextError,
    },
}

impl JobEntry {
    /// Reads a document of any kind.
    ///
    /// `drive` says which drive is meant; without it the document must describe exactly one.
    ///
    /// # Errors
    /// What is wrong, and where. Never a field's value, which may be a secret.
    pub fn parse(document: &[u8], drive: Option<&DriveId>) -> Result<JobEntry, JobEntryError> {
        if document.len() > JOB_ENTRY_BYTES_MAX {
            return Err(JobEntryError::Length { found_bytes: document.len() });
        }
        let text = Text::of(document)?;
        let text = text.as_str();
        let drafts = if crate::journal::is_journal(text) {
            journal::drafts(text)?
        } else {
            match text.trim_start().chars().next() {
                Some('{' | '[') => json::drafts(text)?,
                Some('<') => vec![xml::draft(text, 1)?],
                _ => return Err(JobEntryError::UnknownKind),
            }
        };
        Draft::pick(drafts, drive)?.finished()
    }

    /// How the drive of a `<Drive>` element opens, whether or not it is packed yet.
    ///
    /// # Errors
    /// What is wrong or missing, and where.
    pub fn opening(element: &str) -> Result<(DriveId, BitlockerKey), JobEntryError> {
        let draft = xml::draft(element.trim_start(), 1)?;
        let drive_id = draft.drive_id.ok_or(JobEntryError::Missing { field: "drive id", drive: None })?;
        match draft.bitlocker_key {
            Some(key) => Ok((drive_id, key)),
            None => Err(JobEntryError::Missing { field: "BitLocker key", drive: Some(drive_id) }),
        }
    }

    /// The manifest's path on the volume.
    ///
    /// # Errors
    /// The rule that it breaks; see [`DrivePathError::drive_status`].
    pub fn manifest(&self) -> Result<DrivePath, DrivePathError> {
        DrivePath::parse(&self.manifest_file)
    }
}

impl BitlockerKey {
    /// Takes a secret.
    pub fn new(text: String) -> BitlockerKey {
        BitlockerKey(Zeroizing::new(text))
    }

    /// The secret's text.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for BitlockerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BitlockerKey(secret)")
    }
}

/// The document's text; zeroed on drop when it had to be converted.
enum Text<'a> {
    Borrowed(&'a str),
    Converted(Zeroizing<String>),
}

impl<'a> Text<'a> {
    fn of(document: &'a [u8]) -> Result<Text<'a>, JobEntryError> {
        Ok(match decode(document).map_err(JobEntryError::Encoding)? {
            std::borrow::Cow::Borrowed(text) => Text::Borrowed(text),
            std::borrow::Cow::Owned(text) => Text::Converted(Zeroizing::new(text)),
        })
    }

    fn as_str(&self) -> &str {
        match self {
            Text::Borrowed(text) => text,
            Text::Converted(text) => text,
        }
    }
}

/// The fields as a document has them.
#[derive(Default)]
struct Draft {
    drive_id: Option<DriveId>,
    bitlocker_key: Option<BitlockerKey>,
    manifest_file: Option<String>,
    manifest_hash: Option<String>,
    header_hash: Option<String>,
}

impl Draft {
    /// The draft that is meant. Of several for one drive the last one wins.
    fn pick(drafts: Vec<Draft>, drive: Option<&DriveId>) -> Result<Draft, JobEntryError> {
        let mut described: Vec<&DriveId> = Vec::new();
        for id in drafts.iter().filter_map(|draft| draft.drive_id.as_ref()) {
            if described.len() < DESCRIBED_MAX && !described.contains(&id) {
                described.push(id);
            }
        }
        let names = || described.iter().map(|id| id.as_str()).collect::<Vec<_>>().join(", ");
        let meant = match (drive, described.as_slice()) {
            (Some(wanted), [_, ..]) => wanted.clone(),
            (None, [only]) => (*only).clone(),
            (None, [_, _, ..]) => return Err(JobEntryError::SeveralDrives { described: names() }),
            (_, []) if drafts.is_empty() => return Err(JobEntryError::NoDrive),
            (_, []) => return Err(JobEntryError::Missing { field: "drive id", drive: None }),
        };
        let other = JobEntryError::OtherDrives { wanted: meant.clone(), described: names() };
        drafts.into_iter().rfind(|draft| draft.drive_id.as_ref() == Some(&meant)).ok_or(other)
    }

    fn finished(self) -> Result<JobEntry, JobEntryError> {
        let drive_id = self.drive_id.ok_or(JobEntryError::Missing { field: "drive id", drive: None })?;
        let missing = |field| JobEntryError::Missing { field, drive: Some(drive_id.clone()) };
        let manifest_file = self.manifest_file.ok_or_else(|| missing("manifest file"))?;
        let hash = self.manifest_hash.ok_or_else(|| missing("manifest hash"))?;
        let manifest_hash =
            hash.parse().map_err(|reason| JobEntryError::ManifestHash { drive: drive_id.clone(), reason })?;
        let header_hash = HeaderHash::parse(self.header_hash.as_deref().unwrap_or_default());
        let bitlocker_key = self.bitlocker_key.filter(|key| !key.expose().trim().is_empty());
        Ok(JobEntry { drive_id, bitlocker_key, manifest_file, manifest_hash, header_hash })
    }
}

/// Most drives that are told apart: ten jobs' worth (§4.5), so that a hostile list stays cheap.
const DESCRIBED_MAX: usize = 100;

fn of(drive: Option<&DriveId>) -> String {
    drive.map(|drive| format!(" for the drive {drive}")).unwrap_or_default()
}

#[cfg(test)]
mod tests;

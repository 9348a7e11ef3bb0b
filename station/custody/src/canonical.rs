//! The bytes of an entry that are hashed and stored.
//!
//! Version 1, in this order and nothing between; integers are big-endian, a *text* is its length in
//! bytes as `u32` and then its UTF-8, an *option* is one byte `0` (absent) or `1` followed by the value:
//!
//! ```text
//! u8      version, 1
//! text    chain
//! u64     number in the chain, from 1
//! [u8;16] salt
//! i64     time, milliseconds since 1970
//! text    actor
//! u32     count of roles, then each as text
//! text    action
//! option  job: text, then u64 number among the job's entries, from 1
//! option  drive: text
//! option  bay: text
//! option  state before: text
//! option  state after: text
//! option  reason: text
//! u32     count of files, then each: text name, [u8;32] SHA-256
//! ```
//!
//! Invariant: entries and encodings match one to one. Every field has a length or a fixed size, so no
//! two entries share their bytes; and [`decode`] takes nothing that [`encode`] would not have written
//! (no other version, no option byte but 0 and 1, no number 0, nothing after the end), so no two byte
//! strings are one entry. Limits: [`ENTRY_BYTES_MAX`]; lengths and counts are believed only as far as
//! the bytes that are there.

use crate::entry::{Draft, Entry, FileHash, Salt};
use crate::hash::Hash;

/// The version that is written, and the only one there has been.
const VERSION: u8 = 1;

/// Longest entry: room for some thousand papers' hashes, and small enough that a verifier that holds
/// one entry at a time holds nothing.
pub const ENTRY_BYTES_MAX: usize = 256 << 10;

/// Why bytes are not an entry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("at byte {at} of the entry: {what}")]
pub struct Undecodable {
    /// Where, from 0.
    pub at: usize,
    /// What is wrong there.
    pub what: Defect,
}

/// What is wrong with an entry's bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Defect {
    /// Written by something newer, or not by us.
    #[error("the version is {0}, known is 1")]
    Version(u8),
    /// The bytes end inside a field.
    #[error("the bytes end inside {0}")]
    Short(&'static str),
    /// A text that is no UTF-8.
    #[error("{0} is not UTF-8")]
    NotText(&'static str),
    /// An option that is neither absent nor present.
    #[error("{field} is marked with {found}, neither absent (0) nor present (1)")]
    Mark {
        /// The field.
        field: &'static str,
        /// The byte.
        found: u8,
    },
    /// Numbers start at 1.
    #[error("{0} is 0, numbers start at 1")]
    Zero(&'static str),
    /// Bytes after the last field.
    #[error("{0} bytes follow the end of the entry")]
    Trailing(usize),
    /// Longer than any entry.
    #[error("{0} bytes are more than an entry has")]
    Long(usize),
}

/// The canonical bytes of an entry.
pub fn encode(entry: &Entry) -> Vec<u8> {
    let draft = &entry.draft;
    let mut to = Vec::with_capacity(256);
    to.push(VERSION);
    text(&mut to, &entry.chain);
    to.extend(entry.no.to_be_bytes());
    to.extend(entry.salt.0);
    to.extend(draft.at_unix_ms.to_be_bytes());
    text(&mut to, &draft.actor);
    length(&mut to, draft.roles.len());
    draft.roles.iter().for_each(|role| text(&mut to, role));
    text(&mut to, &draft.action);
    option(&mut to, draft.job.as_deref());
    if draft.job.is_some() {
        to.extend(entry.job_no.unwrap_or(0).to_be_bytes());
    }
    for field in [&draft.drive, &draft.bay, &draft.before, &draft.after, &draft.reason] {
        option(&mut to, field.as_deref());
    }
    length(&mut to, draft.files.len());
    for file in &draft.files {
        text(&mut to, &file.name);
        to.extend(file.sha256.0);
    }
    to
}

fn length(to: &mut Vec<u8>, length: usize) {
    to.extend(u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes());
}

fn text(to: &mut Vec<u8>, text: &str) {
    length(to, text.len());
    to.extend(text.as_bytes());
}

fn option(to: &mut Vec<u8>, value: Option<&str>) {
    to.push(u8::from(value.is_some()));
    if let Some(value) = value {
        text(to, value);
    }
}

/// Reads an entry back.
///
/// # Errors
/// Where the bytes stop being an entry, and why.
pub fn decode(bytes: &[u8]) -> Result<Entry, Undecodable> {
    if bytes.len() > ENTRY_BYTES_MAX {
        return Err(Undecodable { at: ENTRY_BYTES_MAX, what: Defect::Long(bytes.len()) });
    }
    let mut from = Reader { bytes, at: 0 };
    match from.array("the version")? {
        [VERSION] => {}
        [found] => return Err(Undecodable { at: 0, what: Defect::Version(found) }),
    }
    let chain = from.text("the chain's name")?;
    let no = from.number("the entry's number")?;
    let salt = Salt(from.array("the salt")?);
    let at_unix_ms = i64::from_be_bytes(from.array("the time")?);
    let actor = from.text("the actor")?;
    let roles = from.list("the roles", Reader::role)?;
    let action = from.text("the action")?;
    let job = from.option("the job")?;
    let job_no = job.as_ref().map(|_| from.number("the number among the job's entries")).transpose()?;
    let draft = Draft {
        at_unix_ms,
        actor,
        roles,
        action,
        job,
        drive: from.option("the drive")?,
        bay: from.option("the bay")?,
        before: from.option("the state before")?,
        after: from.option("the state after")?,
        reason: from.option("the reason")?,
        files: from.list("the files", Reader::file)?,
    };
    from.end()?;
    Ok(Entry { chain, no, job_no, salt, draft })
}

/// A place in the bytes of an entry.
struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn fault<T>(&self, what: Defect) -> Result<T, Undecodable> {
        Err(Undecodable { at: self.at, what })
    }

    fn take(&mut self, length: usize, field: &'static str) -> Result<&'a [u8], Undecodable> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        match rest.get(..length) {
            Some(taken) => {
                self.at += length;
                Ok(taken)
            }
            None => self.fault(Defect::Short(field)),
        }
    }

    fn array<const N: usize>(&mut self, field: &'static str) -> Result<[u8; N], Undecodable> {
        let taken = self.take(N, field)?;
        Ok(taken.try_into().expect("as many bytes were taken"))
    }

    fn length(&mut self, field: &'static str) -> Result<usize, Undecodable> {
        let length = u32::from_be_bytes(self.array(field)?);
        Ok(usize::try_from(length).unwrap_or(usize::MAX))
    }

    fn number(&mut self, field: &'static str) -> Result<u64, Undecodable> {
        let at = self.at;
        match u64::from_be_bytes(self.array(field)?) {
            0 => Err(Undecodable { at, what: Defect::Zero(field) }),
            number => Ok(number),
        }
    }

    fn text(&mut self, field: &'static str) -> Result<String, Undecodable> {
        let length = self.length(field)?;
        let at = self.at;
        let taken = self.take(length, field)?;
        let text = std::str::from_utf8(taken);
        text.map(str::to_owned).map_err(|_| Undecodable { at, what: Defect::NotText(field) })
    }

    fn option(&mut self, field: &'static str) -> Result<Option<String>, Undecodable> {
        let at = self.at;
        match self.array(field)? {
            [0] => Ok(None),
            [1] => self.text(field).map(Some),
            [found] => Err(Undecodable { at, what: Defect::Mark { field, found } }),
        }
    }

    /// A counted list. Nothing is set aside for a count: each item has to be there.
    fn list<T>(
        &mut self,
        field: &'static str,
        item: impl Fn(&mut Self) -> Result<T, Undecodable>,
    ) -> Result<Vec<T>, Undecodable> {
        let count = self.length(field)?;
        let mut items = Vec::new();
        for _ in 0..count {
            items.push(item(self)?);
        }
        Ok(items)
    }

    fn role(&mut self) -> Result<String, Undecodable> {
        self.text("a role")
    }

    fn file(&mut self) -> Result<FileHash, Undecodable> {
        Ok(FileHash { name: self.text("a file's name")?, sha256: Hash(self.array("a file's hash")?) })
    }

    fn end(&self) -> Result<(), Undecodable> {
        match self.bytes.len() - self.at {
            0 => Ok(()),
            rest => self.fault(Defect::Trailing(rest)),
        }
    }
}

#[cfg(test)]
mod tests;

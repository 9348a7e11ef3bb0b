//! The `<Drive>` element: the value of a journal's `DriveState`, the content of a `_DriveInfo_`
//! file, and one item of a `<DriveList>` around them. azure-import-export.md §2.11.

use model::DriveId;
use zeroize::Zeroizing;

use super::{BitlockerKey, Draft, JobEntryError};
use crate::xml::{Pull, Step, XmlCause, XmlError, XmlFault};

/// Reads a document whose root is `Drive`; its first line is `line` of the whole document.
pub(super) fn draft(text: &str, line: u64) -> Result<Draft, JobEntryError> {
    let mut reader = DriveReader { pull: Pull::new(text.as_bytes()).decoded(), line };
    reader.step()?;
    let found = reader.pull.tag().name;
    if found != "Drive" {
        let found = found.to_owned();
        return Err(JobEntryError::Root { place: reader.pull.place(), found });
    }
    let draft = reader.drive()?;
    // Only comments may follow.
    reader.step()?;
    Ok(draft)
}

struct DriveReader<'a> {
    pull: Pull<&'a [u8]>,
    line: u64,
}

#[derive(Clone, Copy)]
enum Field {
    DriveId,
    BitLockerKey,
    ManifestFile,
    ManifestHash,
    DriveHeaderHash,
}

impl DriveReader<'_> {
    fn drive(&mut self) -> Result<Draft, JobEntryError> {
        let mut draft = Draft::default();
        while self.step()? == Step::Open {
            let field = match self.pull.tag().name {
                "DriveId" => Field::DriveId,
                "BitLockerKey" => Field::BitLockerKey,
                "ManifestFile" => Field::ManifestFile,
                "ManifestHash" => Field::ManifestHash,
                "DriveHeaderHash" => Field::DriveHeaderHash,
                _ => {
                    // A journal may hold anything, a storage key too.
                    let skipped = self.pull.skip();
                    self.pull.forget();
                    skipped.map_err(|error| self.failed(error))?;
                    continue;
                }
            };
            let text = self.text()?;
            draft.set(field, &text)?;
        }
        Ok(draft)
    }

    fn text(&mut self) -> Result<Zeroizing<String>, JobEntryError> {
        // Reserved once, so that growing leaves no copy of a key behind.
        let mut text = Zeroizing::new(String::with_capacity(crate::limits::SECRET_BYTES));
        let result = self.pull.text(&mut text);
        self.pull.forget();
        result.map_err(|error| self.failed(error))?;
        Ok(text)
    }

    fn step(&mut self) -> Result<Step, JobEntryError> {
        self.pull.step().map_err(|error| self.failed(error))
    }

    fn failed(&self, error: XmlError) -> JobEntryError {
        let fault = match error.cause {
            XmlCause::Fault(fault) => fault,
            // A slice is always readable; if it were not, the document would end there.
            XmlCause::Read(_) => XmlFault::Truncated,
        };
        let mut place = error.place;
        place.line = place.line.saturating_add(self.line).saturating_sub(1);
        JobEntryError::Xml { place, fault }
    }
}

impl Draft {
    fn set(&mut self, field: Field, text: &str) -> Result<(), JobEntryError> {
        let text = text.trim();
        let twice = |name, drive: &Option<DriveId>, again: bool| {
            let drive = drive.clone();
            if again { Err(JobEntryError::Duplicate { field: name, drive }) } else { Ok(()) }
        };
        match field {
            Field::DriveId => {
                let id = DriveId::new(text)
                    .map_err(|_| JobEntryError::Missing { field: "drive id", drive: None })?;
                let again = self.drive_id.replace(id).is_some();
                twice("drive id", &self.drive_id, again)
            }
            Field::BitLockerKey => {
                let again = self.bitlocker_key.replace(BitlockerKey::new(text.to_owned())).is_some();
                twice("BitLocker key", &self.drive_id, again)
            }
            Field::ManifestFile => {
                let again = self.manifest_file.replace(text.to_owned()).is_some();
                twice("manifest file", &self.drive_id, again)
            }
            Field::ManifestHash => {
                let again = self.manifest_hash.replace(text.to_owned()).is_some();
                twice("manifest hash", &self.drive_id, again)
            }
            Field::DriveHeaderHash => {
                let again = self.header_hash.replace(text.to_owned()).is_some();
                twice("drive header hash", &self.drive_id, again)
            }
        }
    }
}

//! `driveset.csv`, `InitialDriveSet` and `AdditionalDriveSet`: azure-import-export.md §2.6.
//!
//! `DriveLetter,FormatOption,SilentOrPromptOnFormat,Encryption,ExistingBitLockerKey`. Here the first
//! column holds a device or an image file, and two columns of our own may follow: `Serial` and `Size`.
//! A key in the file is a secret: it may be `@FILE`, and no error shows it.

use std::path::Path;

use model::DriveId;
use zeroize::Zeroizing;

use super::dataset::local_path;
use super::size::parse_bytes;
use super::table::{Row, Table};
use super::{InputError, InputFault};
use crate::work::{DriveTarget, Encryption, ExistingKey, Formatting};

const DRIVE: &str = "DriveLetter";
const FORMAT: &str = "FormatOption";
const PROMPT: &str = "SilentOrPromptOnFormat";
const ENCRYPTION: &str = "Encryption";
const KEY: &str = "ExistingBitLockerKey";
const SERIAL: &str = "Serial";
const SIZE: &str = "Size";

/// What a driveset file offers.
#[derive(Debug, PartialEq, Eq)]
pub struct DrivesetFile {
    /// A drive a row.
    pub drives: Vec<DriveTarget>,
    /// Columns that mean nothing to us.
    pub ignored_columns: Vec<String>,
}

/// Reads a driveset file.
///
/// # Errors
/// The first thing that is wrong with it, with line and column.
pub fn read(path: &Path) -> Result<DrivesetFile, InputError> {
    rows(Table::open(path)?)
}

/// The same for bytes that were read; `path` is for errors only.
///
/// # Errors
/// As [`read`].
pub fn parse(path: &Path, bytes: &[u8]) -> Result<DrivesetFile, InputError> {
    rows(Table::parse(path, bytes.to_vec())?)
}

fn rows(mut table: Table) -> Result<DrivesetFile, InputError> {
    [DRIVE, FORMAT].into_iter().try_for_each(|column| table.require(column))?;
    let ignored_columns = table.unknown(&[DRIVE, FORMAT, PROMPT, ENCRYPTION, KEY, SERIAL, SIZE]);
    Ok(DrivesetFile { drives: table.each(drive)?, ignored_columns })
}

fn drive(row: &Row<'_>) -> Result<DriveTarget, InputError> {
    let path = row.value(DRIVE)?;
    drive_letter(path).and_then(|()| local_path(path)).map_err(|fault| row.error(DRIVE, fault))?;
    let formatting = formatting(row)?;
    let size = row.cell(SIZE).map(|text| parse_bytes(text).map_err(|fault| row.error(SIZE, fault)));
    let serial =
        row.cell(SERIAL).map(|text| DriveId::new(text).map_err(|_| row.error(SERIAL, InputFault::Serial)));
    Ok(DriveTarget {
        path: path.into(),
        size_bytes: size.transpose()?,
        serial: serial.transpose()?,
        formatting,
        encryption: encryption(row, formatting)?,
    })
}

/// A bare letter is what Windows calls a drive; here a device or an image file is one.
///
/// # Errors
/// [`InputFault::DriveLetter`] when it is one.
pub fn drive_letter(text: &str) -> Result<(), InputFault> {
    let is_letter = text.len() == 1 && text.bytes().all(|byte| byte.is_ascii_alphabetic());
    if is_letter { Err(InputFault::DriveLetter { found: text.to_owned() }) } else { Ok(()) }
}

fn formatting(row: &Row<'_>) -> Result<Formatting, InputError> {
    let asks = match row.cell(PROMPT) {
        Some("SilentMode") => false,
        Some("PromptOnFormat") => true,
        other => {
            let found = other.unwrap_or("none").to_owned();
            return Err(row.error(PROMPT, InputFault::SilentOrPrompt { found }));
        }
    };
    match row.value(FORMAT)? {
        "Format" => Ok(Formatting::Format { asks }),
        "AlreadyFormatted" => Ok(Formatting::AlreadyFormatted),
        found => {
            let (found, expected) = (found.to_owned(), "Format, AlreadyFormatted");
            Err(row.error(FORMAT, InputFault::Word { found, expected }))
        }
    }
}

fn encryption(row: &Row<'_>, formatting: Formatting) -> Result<Encryption, InputError> {
    let (word, key) = (row.cell(ENCRYPTION), row.cell(KEY));
    let formats = matches!(formatting, Formatting::Format { .. });
    match (word.unwrap_or_default(), key) {
        ("" | "AlreadyEncrypted", _) if formats => Err(row.error(ENCRYPTION, InputFault::FormatNeedsEncrypt)),
        ("Encrypt", Some(_)) => Err(row.error(KEY, InputFault::KeyNotNeeded)),
        ("Encrypt", None) if formats => Ok(Encryption::Encrypt),
        ("Encrypt", None) => Err(row.error(ENCRYPTION, InputFault::EncryptNeedsFormat)),
        ("AlreadyEncrypted", Some(key)) => Ok(Encryption::AlreadyEncrypted(existing_key(key))),
        ("AlreadyEncrypted", None) => Err(row.error(KEY, InputFault::KeyNeeded)),
        (found, _) => {
            let (found, expected) = (found.to_owned(), "Encrypt, AlreadyEncrypted");
            Err(row.error(ENCRYPTION, InputFault::Word { found, expected }))
        }
    }
}

/// A key, or the file that holds it.
pub fn existing_key(text: &str) -> ExistingKey {
    match text.strip_prefix('@') {
        Some(path) => ExistingKey::File(path.into()),
        None => ExistingKey::Text(Zeroizing::new(text.to_owned())),
    }
}

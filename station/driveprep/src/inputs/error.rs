//! What can be wrong with what the customer asks for.

use std::fmt;
use std::io;
use std::path::Path;

use model::disposition::UnknownDisposition;

use crate::work::{SessionIdError, TooMany};

/// Something that was asked for cannot be done, and where it was asked.
#[derive(Debug)]
pub struct InputError {
    /// The argument, or file, line and column.
    pub place: String,
    /// What is wrong.
    pub fault: InputFault,
}

/// What is wrong. Texts that the original tool is known by are its own: azure-import-export.md §2.12.
#[derive(Debug, thiserror::Error)]
pub enum InputFault {
    /// A file cannot be read.
    #[error("it cannot be read")]
    Read(#[source] io::Error),
    /// A file is far too large to be one.
    #[error("the file has more than {limit_bytes} bytes")]
    TooLarge {
        /// How many would be read.
        limit_bytes: u64,
    },
    /// A CSV file that is not one.
    #[error("{0}")]
    Csv(String),
    /// A TOML file that is not one, or has a key that a plan has not.
    #[error("{0}")]
    Toml(String),
    /// A row has more cells than the header.
    #[error("the row has {found} cells, the header {expected}")]
    Cells {
        /// The header's.
        expected: usize,
        /// The row's.
        found: usize,
    },
    /// A column that must be there.
    #[error("the header has no column {column}; it has {found}")]
    MissingColumn {
        /// Its name.
        column: &'static str,
        /// The header.
        found: String,
    },
    /// A column twice.
    #[error("the header has the column {column:?} twice")]
    DuplicateColumn {
        /// Its name.
        column: String,
    },
    /// A value that must be there.
    #[error("a value is needed")]
    MissingValue,
    /// The tool's words for an item type that is none.
    #[error("'{found}' isn't valid; BlockBlob, PageBlob and file are")]
    ItemType {
        /// What stands there.
        found: String,
    },
    /// One of a few words was expected.
    #[error("{found:?} is not one of {expected}")]
    Word {
        /// What stands there.
        found: String,
        /// What might.
        expected: &'static str,
    },
    /// Not a disposition.
    #[error("{0}")]
    Disposition(UnknownDisposition),
    /// Not a session's name.
    #[error("{0}")]
    Session(SessionIdError),
    /// Windows' drive letters do not exist here.
    #[error(
        "{found:?} is a Windows path with a drive letter; write the path under which this machine sees it"
    )]
    DriveLetter {
        /// The path.
        found: String,
    },
    /// Neither do network paths.
    #[error("{found:?} is a network (UNC) path; mount the share and write the path of the mount")]
    Network {
        /// The path.
        found: String,
    },
    /// A path of the CSV files must be absolute.
    #[error("{found:?} is not an absolute path")]
    Relative {
        /// The path.
        found: String,
    },
    /// The source is not what the slash at its end says.
    #[error("{path} is a {found}, and {rule}")]
    NotAsStated {
        /// The source.
        path: String,
        /// What it is.
        found: &'static str,
        /// How it should be written.
        rule: &'static str,
    },
    /// Nothing to copy to.
    #[error("{found:?} does not begin with a container or share: container/, container/prefix/")]
    Destination {
        /// What stands there.
        found: String,
    },
    /// `--from` and `--to` come in pairs.
    #[error("{from} times --from and {to} times --to; each source needs one destination, in the same order")]
    Pairs {
        /// How many.
        from: usize,
        /// How many.
        to: usize,
    },
    /// Nothing was asked for.
    #[error("no source: give --from and --to, --dataset or --plan")]
    NoSource,
    /// Options that go once or once a drive.
    #[error("{found} times {option}, and {drives} drives; give it once a drive, in the same order")]
    DriveOptions {
        /// The option.
        option: &'static str,
        /// How many times it is there.
        found: usize,
        /// How many drives there are.
        drives: usize,
    },
    /// The same drive twice.
    #[error("the drive {path} is named twice")]
    SameDrive {
        /// Its path.
        path: String,
    },
    /// Not a size.
    #[error("{found:?} is not a size such as 500GB, 1.5TB, 64MiB or a number of bytes")]
    Size {
        /// What stands there.
        found: String,
    },
    /// Blocks that a drive or the service cannot have.
    #[error("blocks of {found:?} cannot be made: give a multiple of 4KiB, up to 100MiB")]
    BlockLength {
        /// What stands there.
        found: String,
    },
    /// Not a serial number.
    #[error("the serial number is empty")]
    Serial,
    /// A metadata or properties file that an import would refuse.
    #[error("{path} would be refused at import ({status}): {error}")]
    SideFile {
        /// The file, or the plan's table.
        path: String,
        /// The status that the copy log would have.
        status: model::status::SideFileStatus,
        /// Why.
        error: Box<manifest::SideFileError>,
    },
    /// The tool's words for a missing `SilentOrPromptOnFormat`.
    #[error("Incorrect value for SilentOrPromptOnFormat: {found}")]
    SilentOrPrompt {
        /// What stands there.
        found: String,
    },
    /// The tool's words for a drive that would be formatted without protection.
    #[error("When Format is specified, Encrypt must also be specified")]
    FormatNeedsEncrypt,
    /// The tool's words for a key that is not needed.
    #[error("BitLocker Key should not be specified")]
    KeyNotNeeded,
    /// A key that is needed.
    #[error("with AlreadyEncrypted, ExistingBitLockerKey is needed: the recovery password, or @FILE")]
    KeyNeeded,
    /// A volume that exists is not encrypted here.
    #[error("an existing volume cannot be encrypted here; use Format, or encrypt it first")]
    EncryptNeedsFormat,
    /// Too much of something.
    #[error("{0}")]
    TooMany(TooMany),
}

impl InputError {
    /// At that place.
    pub fn at(place: impl Into<String>, fault: InputFault) -> InputError {
        InputError { place: place.into(), fault }
    }

    /// Of that file as a whole.
    pub fn file(path: &Path, fault: InputFault) -> InputError {
        InputError::at(path.display().to_string(), fault)
    }
}

impl fmt::Display for InputError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.fault)
    }
}

impl std::error::Error for InputError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        std::error::Error::source(&self.fault)
    }
}

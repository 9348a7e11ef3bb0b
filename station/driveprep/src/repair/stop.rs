//! Why one blob stays broken, and what ends the whole command instead.
//!
//! One function turns refused requests into one or the other, by their class.

use std::fmt;
use std::io;
use std::path::PathBuf;

use azure::StorageError;
use manifest::DrivePathError;
use model::{Class, Exit};

use super::record::RecordError;
use crate::account;
use crate::failure::Failure;

/// Why a repair did not go on.
#[derive(Debug)]
pub enum Stop {
    /// This blob stays as it is; the next one goes on.
    Blob(Unresolved),
    /// Nothing goes on.
    Command(Failure),
}

/// Why a blob was not repaired.
#[derive(Debug, thiserror::Error)]
pub enum Unresolved {
    /// No root has the file.
    #[error("no file {path} under any of the given folders")]
    NotFound {
        /// Path on the drive.
        path: String,
    },
    /// Which one is meant cannot be told.
    #[error("{path} is in more than one place: {}", List(found))]
    Several {
        /// Path on the drive.
        path: String,
        /// Where.
        found: Vec<PathBuf>,
    },
    /// The file cannot be opened or read.
    #[error("reading {}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The log's path names no file.
    #[error("{path:?} is not a path of a drive")]
    InvalidName {
        /// As the log has it.
        path: String,
        /// The rule it breaks.
        #[source]
        source: DrivePathError,
    },
    /// The file is not what was packed.
    #[error(
        "{place} no longer has the content that was packed: {length_bytes} bytes at {offset_bytes} differ"
    )]
    ContentDiffers {
        /// The file.
        place: String,
        /// Where it differs.
        offset_bytes: u64,
        /// In which part.
        length_bytes: u64,
    },
    /// The file matches its hash, and cannot be used.
    #[error("{place} cannot be used: {problem}")]
    Unusable {
        /// The file.
        place: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The log does not say enough.
    #[error("the log does not tell {what}; give --manifest FILE, the drive's own manifest")]
    NeedsManifest {
        /// What is missing.
        what: &'static str,
    },
    /// The blob is not as the import or export left it, and somebody else's work is not overwritten.
    #[error("{what}; it was left as it is")]
    Changed {
        /// What was found.
        what: String,
    },
    /// A side file that was made anew, and is not the one that was exported.
    #[error("{} was written anew from the blob as it is now, which is not as it was exported", path.display())]
    Unprovable {
        /// The file.
        path: PathBuf,
    },
    /// Something that is not repaired here.
    #[error("{what}")]
    Unsupported {
        /// What, and what to do.
        what: String,
    },
    /// The storage service refuses.
    #[error("{0}")]
    Refused(Box<StorageError>),
}

impl Unresolved {
    /// Whether another file could mend it, so that its path goes into the path map.
    pub fn is_about_the_file(&self) -> bool {
        match self {
            Unresolved::NotFound { .. }
            | Unresolved::Several { .. }
            | Unresolved::Unreadable { .. }
            | Unresolved::InvalidName { .. }
            | Unresolved::ContentDiffers { .. } => true,
            Unresolved::Unusable { .. }
            | Unresolved::NeedsManifest { .. }
            | Unresolved::Changed { .. }
            | Unresolved::Unprovable { .. }
            | Unresolved::Unsupported { .. }
            | Unresolved::Refused(_) => false,
        }
    }

    /// The exit code that it alone would lead to.
    pub fn exit(&self) -> Exit {
        match self {
            Unresolved::ContentDiffers { .. } | Unresolved::Changed { .. } => Exit::VerificationFailed,
            Unresolved::NotFound { .. }
            | Unresolved::Several { .. }
            | Unresolved::Unreadable { .. }
            | Unresolved::InvalidName { .. }
            | Unresolved::Unusable { .. }
            | Unresolved::NeedsManifest { .. }
            | Unresolved::Unprovable { .. }
            | Unresolved::Unsupported { .. }
            | Unresolved::Refused(_) => Exit::Incomplete,
        }
    }
}

impl From<StorageError> for Stop {
    fn from(error: StorageError) -> Stop {
        match error.class() {
            Class::FailBlob => Stop::Blob(Unresolved::Refused(Box::new(error))),
            Class::RetryRequest | Class::HoldForCustomer | Class::FailDrive | Class::StopStation => {
                Stop::Command(account::refused(error))
            }
        }
    }
}

impl From<Unresolved> for Stop {
    fn from(unresolved: Unresolved) -> Stop {
        Stop::Blob(unresolved)
    }
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Stop {
        Stop::Command(failure)
    }
}

impl From<RecordError> for Stop {
    fn from(error: RecordError) -> Stop {
        Stop::Command(Failure::fatal(error))
    }
}

struct List<'a>(&'a [PathBuf]);

impl fmt::Display for List<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, path) in self.0.iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            write!(f, "{comma}{}", path.display())?;
        }
        Ok(())
    }
}

/// What became of one blob.
#[derive(Debug)]
pub enum Outcome {
    /// Its data are there; this is still wrong with its metadata and properties, by their files.
    Landed(Vec<(String, Unresolved)>),
    /// Its name is taken and its disposition is `no-overwrite`: nothing was done.
    Left,
}

/// What a repair came to.
#[derive(Debug, Default)]
pub struct Tally {
    /// Blobs that were mended in this run.
    pub repaired: u64,
    /// Blobs that earlier runs had mended, or that were found whole.
    pub done_before: u64,
    /// Blobs whose names are taken by others, and that were not to be written then.
    pub left: u64,
    /// Blobs that stay broken.
    pub unresolved: u64,
    /// Bytes that were sent or fetched.
    pub moved_bytes: u64,
    /// The weightiest reason of those that stay broken.
    pub worst: Option<Exit>,
}

impl Tally {
    /// Counts one that stays broken.
    pub fn count(&mut self, unresolved: &Unresolved) {
        self.unresolved += 1;
        if self.worst != Some(Exit::VerificationFailed) {
            self.worst = Some(unresolved.exit());
        }
    }

    /// The command's exit code.
    pub fn exit(&self) -> Exit {
        self.worst.unwrap_or(Exit::Success)
    }
}

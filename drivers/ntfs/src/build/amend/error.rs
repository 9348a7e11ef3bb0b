//! Why a volume is not amended, each with what to do about it.

use block::ReadError;

use super::super::error::{MetadataError, PlanError};
use crate::check::Fault;
use crate::volume::OpenError;

/// Why nothing is added to a volume. Nothing was written then.
#[derive(Debug, thiserror::Error)]
pub enum AmendError {
    /// It does not open.
    #[error("opening the volume that files are to be added to")]
    Open(#[source] OpenError),
    /// A part of it that has to be changed, or to be relied on, cannot be read.
    #[error("reading {what} of the volume that files are to be added to")]
    Read {
        /// Which part.
        what: &'static str,
        /// Why not.
        #[source]
        source: ReadError,
    },
    /// Windows means to check it first.
    #[error("the volume is marked dirty; run chkdsk /f on it in Windows, then try again")]
    Dirty,
    /// Changes may be waiting in `$LogFile`.
    #[error("the volume was not dismounted; attach it to Windows once and eject it safely, then try again")]
    LogOpen,
    /// Windows holds changes in memory.
    #[error(
        "Windows is hibernated on the volume; shut it down fully (shutdown /s /f, Fast Startup off), then try again"
    )]
    Hibernated,
    /// Something that has to be changed, or to be relied on, is damaged.
    #[error("the volume is damaged ({0}); run chkdsk /f on it in Windows, then try again")]
    Damaged(Box<Fault>),
    /// A kind of volume that exists, and that is not handled here.
    #[error("files cannot be added to a volume with {what}; format it anew, or use another drive")]
    Unsupported {
        /// What it has.
        what: &'static str,
    },
    /// A record of the file system that must change has no room for it.
    #[error("{file} is in too many pieces; defragment the volume in Windows, or use another drive")]
    NoRoom {
        /// Whose record.
        file: &'static str,
    },
    /// A name that is there already, and is not to be replaced.
    #[error("there is a {existing:?} in the root already; rename or remove it")]
    Clash {
        /// Its name, as it is on the volume.
        existing: String,
    },
    /// What should be replaced is a directory.
    #[error("{existing:?} should be replaced, but it is a directory")]
    IsDirectory {
        /// Its name, as it is on the volume.
        existing: String,
    },
    /// What should be replaced has other names as well, which would lead nowhere afterwards.
    #[error("{existing:?} should be replaced, but it has {names} names; remove the hard links first")]
    Linked {
        /// Its name, as it is on the volume.
        existing: String,
        /// How many names it has.
        names: usize,
    },
    /// The new files do not fit, or clash among themselves.
    #[error(transparent)]
    Plan(#[from] PlanError),
}

/// Why the additions could not be written. What was on the volume before is whole.
#[derive(Debug, thiserror::Error)]
pub enum AmendWriteError {
    /// The medium, or a piece that came out longer than planned.
    #[error(transparent)]
    Metadata(#[from] MetadataError),
    /// The volume cannot be read any more.
    #[error("reading {what} of the volume while files are added")]
    Read {
        /// Which part.
        what: &'static str,
        /// Why not.
        #[source]
        source: ReadError,
    },
    /// Somebody else has written to the volume since it was looked at.
    #[error("the volume was changed by somebody else meanwhile")]
    Changed,
}

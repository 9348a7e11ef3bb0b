//! What is wrong with a volume, collected while it is read.
//!
//! A damaged record costs the file it belongs to, not the volume; so the sweep goes on, and says
//! afterwards what it met. The list is bounded, the count is not.

use crate::record::RecordFault;
use crate::runs::RunFault;

/// Something about one FILE record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("FILE record {record}: {kind}")]
pub struct Problem {
    /// Number of the record.
    pub record: u64,
    /// What about it.
    pub kind: ProblemKind,
}

/// What is wrong with a record, or with its place in the tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProblemKind {
    /// The medium cannot give the record.
    #[error("the medium cannot be read there")]
    Unreadable,
    /// The record as a whole.
    #[error(transparent)]
    Record(RecordFault),
    /// The record says that it is another one.
    #[error("the record says that it is number {found}")]
    Misplaced {
        /// The number it gives (modulo 2^32).
        found: u32,
    },
    /// An attribute leaves the record; what follows it is lost.
    #[error("the attribute at {at:#x} in the record is damaged; what follows it is lost")]
    Attribute {
        /// Where in the record.
        at: usize,
    },
    /// A name that cannot be read.
    #[error("a $FILE_NAME is damaged")]
    FileName,
    /// The mapping pairs of a data stream.
    #[error("the data runs of a stream are damaged: {0}")]
    Runs(RunFault),
    /// The mapping pairs of a data stream do not end where its header says.
    #[error("the data runs of a stream cover {found} clusters instead of {expected}")]
    RunsLength {
        /// Clusters by the header.
        expected: u64,
        /// Clusters by the mapping pairs.
        found: u64,
    },
    /// A kind of compression that is not LZNT1.
    #[error("a stream has the unknown compression {found:#x}")]
    Compression {
        /// The low byte of the attribute's flags.
        found: u16,
    },
    /// An extension record whose file is gone or does not know it.
    #[error("an extension of record {base}, which has no use for it")]
    Extension {
        /// The file's record by the extension's account.
        base: u64,
    },
    /// A file or directory without a name.
    #[error("no name leads to it")]
    NoName,
    /// The directory that a name is in does not exist.
    #[error("its directory, record {parent}, does not exist")]
    NoParent {
        /// The directory's record.
        parent: u64,
    },
    /// The directory that a name is in is another one by now.
    #[error("its directory, record {parent}, is gone: sequence number {expected}, not {found}")]
    StaleParent {
        /// The directory's record.
        parent: u64,
        /// The sequence number that the name has.
        expected: u16,
        /// The sequence number that the record has.
        found: u16,
    },
    /// What a name is in is a file.
    #[error("what it lies in, record {parent}, is not a directory")]
    ParentIsFile {
        /// The file's record.
        parent: u64,
    },
    /// Directories that lie in each other.
    #[error("the directory lies in itself")]
    Cycle,
    /// More than [`crate::Limits::path_depth_max`] directories deep.
    #[error("the directory lies too deep")]
    TooDeep,
    /// A directory with several names: only the first one counts.
    #[error("the directory has several names; the first one counts")]
    SeveralNames,
    /// The table for upper case cannot be used; that of current Windows takes its place.
    #[error("$UpCase is damaged; the table of current Windows takes its place")]
    UpCase,
}

/// See the module's documentation.
#[derive(Debug, Clone, Default)]
pub struct Problems {
    kept: Vec<Problem>,
    kept_max: usize,
    count: u64,
}

impl Problems {
    pub(crate) fn new(kept_max: usize) -> Problems {
        Problems { kept_max, ..Problems::default() }
    }

    pub(crate) fn push(&mut self, record: u64, kind: ProblemKind) {
        self.count = self.count.saturating_add(1);
        if self.kept.len() < self.kept_max {
            self.kept.push(Problem { record, kind });
        }
    }

    /// The first ones, at most [`crate::Limits::problems_max`].
    pub fn kept(&self) -> &[Problem] {
        &self.kept
    }

    /// How many there were in all.
    pub fn count(&self) -> u64 {
        self.count
    }
}

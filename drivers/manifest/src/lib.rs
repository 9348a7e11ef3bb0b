//! Drive manifests, metadata and properties files, blob lists, job entries and logs, of every
//! generation of the service.
//!
//! Specification: azure-import-export.md §1, §2.11, §3, §6.1. Invariants: nothing here does I/O
//! beyond the `BufRead` or `Write` it is given; foreign bytes give a located error, never a panic;
//! memory is bounded by [`limits`]; a credential that a document carries is never kept.
//!
//! | to change | open |
//! | --- | --- |
//! | a rule of the manifest, or its status | [`rule`] |
//! | how a manifest is read | [`reader`] |
//! | which paths of a drive are taken | [`drive_path`] |
//! | what a metadata or properties file may hold | [`side_file`] |
//! | what a job entry may look like | [`job_entry`] |
//! | the record grammar of journals | [`journal`] |
//! | a line of a log | [`log`] |
//! | an export's blob list | [`blob_list`] |
//! | how a manifest is written | [`writer`] |
//! | how long blocks are made | [`block_length`] |
//! | a limit | [`limits`] |

#![deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::arithmetic_side_effects)]

pub mod blob_list;
pub mod block_id;
pub mod block_length;
mod decode;
pub mod drive_path;
pub mod entry;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
pub mod job_entry;
pub mod journal;
pub mod limits;
pub mod log;
pub mod reader;
pub mod rule;
pub mod side_file;
pub mod writer;
mod xml;

pub use blob_list::{BlobListError, BlobListReader, BlobListWriter, Selector};
pub use block_id::{BlockId, BlockIdError};
pub use block_length::BlockLength;
pub use decode::DecodeError;
pub use drive_path::{DrivePath, DrivePathError};
pub use entry::{
    BlobEntry, BlobKind, BlobRefusal, BlockEntry, Credential, DriveHeader, ListHeader, ListKind, RangeEntry,
    SideFileRef,
};
pub use job_entry::{BitlockerKey, HeaderHash, HeaderRegion, JobEntry, JobEntryError};
pub use reader::{
    ManifestError, ManifestEvent, ManifestFault, ManifestReader, Problem, ProblemKind, Reports,
};
pub use rule::Rule;
pub use side_file::{Metadata, Properties, SideFileError, SideFileFault};
pub use writer::{ManifestWriteError, ManifestWriter, is_text_writable};
pub use xml::{Place, XmlFault};

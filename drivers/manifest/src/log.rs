//! Logs: what happened to each blob of a drive, in the formats that customers' tools read.
//!
//! azure-import-export.md §3. Two families: `DriveLog`, with every block's and range's status
//! (written as 2014-11-01, read as 2014-11-01 and 2018-10-01); and the pair of 2021-08-01, a copy
//! log of what failed and a verbose log of what landed. Writers take one blob at a time and keep
//! none; readers are lenient, streaming and bounded.
//!
//! | | writer | reader |
//! | --- | --- | --- |
//! | DriveLog | [`DriveLogWriter`] | [`DriveLogReader`] |
//! | copy log | [`CopyLogWriter`] | [`CopyLogReader`] |
//! | verbose log | [`VerboseLogWriter`] | [`CopyLogReader`] |
//!
//! Names of the log blobs: [`names`]. Which category and code a failure gets in the copy log:
//! [`category`].

pub mod category;
mod copy_log;
mod drive_log;
mod error;
pub mod names;
mod record;
mod summary;
mod word;

pub use category::{Category, CopyError};
pub use copy_log::read::{CopiedFile, CopyLogEntry, CopyLogReader, CopyLogTotals, ErroredEntity};
pub use copy_log::{CopyLogSummary, CopyLogWriter, VerboseFile, VerboseLogWriter};
pub use drive_log::read::{
    DriveLogHead, DriveLogReader, LoggedBlob, LoggedDisposition, LoggedFile, LoggedPart, LoggedParts,
    LoggedSideFile,
};
pub use drive_log::{DriveLogLevel, DriveLogWriter};
pub use error::{LogError, LogFault};
pub use record::{BlobRecord, ChunkStatuses, SideFileRecord};
pub use summary::{ErrorCount, LogSummary};
pub use word::Word;

//! The words of the station, and the decisions that need no I/O.
//!
//! Owns the ids, the status vocabularies of the drive log, the import dispositions, the naming
//! rules of the destination and the drive's state machine. Invariant: nothing here reads a clock,
//! a file or a socket, so every rule can be tested as a table.
//!
//! To change a status code open [`status`]; a rename rule, [`disposition`]; a name rule of the
//! storage service, [`naming`]; what an error leads to, [`class`]; what may happen to a job, [`job`].

#![forbid(unsafe_code)]

pub mod class;
pub mod digest;
pub mod disposition;
pub mod drive;
pub mod exit;
pub mod job;
pub mod naming;
pub mod serial;
pub mod status;

pub use class::Class;
pub use digest::Md5Digest;
pub use disposition::ImportDisposition;
pub use exit::Exit;
pub use naming::{BlobPath, SharePath};
pub use serial::DriveId;

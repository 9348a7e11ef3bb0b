//! Reads an NTFS volume: from a device to files, and from a file to its extents. spec/ntfs.md.
//!
//! # Architecture
//! ```text
//! boot ─▶ mft ─▶ sweep ─▶ index ─▶ tree ─▶ Volume ──resolve──▶ FileId ──stream──▶ Stream ─▶ extents
//!                                                                                   └──read_at──▶ bytes
//! ```
//! [`Volume::open`] reads `$MFT` once from front to back and keeps what matters of each record in a
//! packed index; the tree comes from the parent references in it. Directory indexes are never read.
//! [`Volume::resolve`] finds a manifest's file, [`Volume::stream`] says where its bytes are. The
//! caller reads them itself along the extents; [`Volume::read_at`] is for what has to be decoded and
//! for what is small.
//!
//! # Invariants
//! - A stream is handed out whole or not at all: its extents cover it exactly once, inside the
//!   volume, and bytes past the initialised size are holes.
//! - No input panics, loops or takes memory past the [`Limits`]; damage is an error with its record,
//!   or a [`Problem`] of the volume.
//! - Nothing is written, no link is followed, and no path leaves the volume.
//!
//! # Beside the reader
//! [`check`] compares everything on a volume with everything else, [`mod@build`] writes new volumes,
//! [`amend`] adds files to one that is in use. Each says what it keeps.
//!
//! # Memory
//! Measured by `examples/sweep_bench.rs`, with names of 16 letters and one extent a file: 44.7 bytes
//! a file (34 in the arena, 4 for its place, 5 for its name in the table, the rest spare), so 10
//! million such files take 430 MiB. While the tree is built two bytes a record come on top, but the
//! name table is not there yet.
//!
//! # What is left out
//! 8.3 aliases are not looked up; owners and attributes are not kept, times are read when asked for; `$LogFile` is looked at
//! but not replayed. EFS, deduplicated files and cloud placeholders are refused by name.

#![deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::arithmetic_side_effects)]
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects,
        clippy::cast_possible_truncation,
        clippy::cast_possible_wrap,
        clippy::cast_sign_loss,
        reason = "a test may fail loudly"
    )
)]

mod attribute_list;
mod boot;
pub mod build;
mod bytes;
pub mod check;
mod content;
mod extent;
mod files;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod health;
mod index;
mod limits;
mod mft;
mod path;
mod problem;
mod record;
mod reparse;
mod resolve;
mod runs;
mod stream;
mod sweep;
mod times;
mod tree;
mod upcase;
mod volume;
mod wtf8;

pub use boot::{BootError, Geometry};
pub use build::amend;
pub use content::wof::{Wof, WofAlgorithm};
pub use content::{ContentError, DecodeFault, StreamReader};
pub use extent::{Extent, LayoutFault};
pub use files::{Entry, Files, StreamEntry};
pub use health::{BootSector, Health, LogFile};
pub use limits::Limits;
pub use mft::MftError;
pub use path::{PathFault, VolumePath};
pub use problem::{Problem, ProblemKind, Problems};
pub use record::{FileId, RecordFault};
pub use reparse::ReparseTag;
pub use resolve::ResolveError;
pub use runs::RunFault;
pub use stream::{Compressed, Damage, Stream, StreamContent, StreamError};
pub use sweep::{SweepError, SweepProgress};
pub use upcase::folded_name;
pub use volume::{IndexSize, OpenError, Volume};

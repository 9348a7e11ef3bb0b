//! Formatting a new BitLocker volume (spec §9): the layout of Windows 7 and later, all in userspace.
//!
//! ```text
//! prepare_drive (old volumes and tables wiped, new table)
//! Plan ──▶ Formatter::new ──▶ writer (the file system, encrypted) ──▶ finish ──▶ Formatted ──▶ verify
//!          secrets, metadata  fill (the rest, if all of it)     copies 3, 2, 1, boot sector  read back
//! ```
//!
//! The boot sector is written last, so a run that is cut off leaves nothing that passes for a
//! volume. A run that is to be continued keeps [`Formatter::sealed_metadata`], which holds nothing
//! that the drive itself will not hold, and [`Formatter::resume`]s from it. Verified with four open
//! readers and the Linux kernel, not with Windows (spec §9.1).

mod area;
mod boot;
mod erase;
mod formatter;
mod layout;
mod protectors;
mod random;
mod resume;
mod surface;
mod verify;

pub use erase::{PrepareError, erase_volume, prepare_drive};
pub use formatter::{Coverage, FormatError, Formatted, Formatter, Plan};
pub use layout::{Layout, LayoutError, Reserved, ReservedKind};
pub use protectors::BekFile;
pub use resume::ResumeError;
pub use surface::Unwritten;
pub use verify::VerifyError;

use crate::Method;

/// How a new volume is encrypted unless somebody wants it otherwise: what Windows 10 1511 and later
/// read. CBC-256 is for older readers (spec §9.5).
pub const DEFAULT_METHOD: Method = Method::AesXts256;

#[cfg(test)]
mod tests;

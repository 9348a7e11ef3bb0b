//! Formatting a new BitLocker volume (spec §9): the layout of Windows 7 and later, all in userspace.
//!
//! ```text
//! Plan ──▶ Formatter::new ──▶ write_at (the file system, encrypted) ──▶ finish ──▶ Formatted ──▶ verify
//!          secrets, metadata                                  copies 3, 2, 1, boot sector      read back
//! ```
//!
//! The boot sector is written last, so a run that is cut off leaves nothing that passes for a
//! volume. Used space only: what the file system does not write is not touched. Verified with four
//! open readers and the Linux kernel, not with Windows (spec §9.1).

mod area;
mod boot;
mod formatter;
mod layout;
mod protectors;
mod random;
mod verify;

pub use formatter::{FormatError, Formatted, Formatter, Plan};
pub use layout::{Layout, LayoutError, Reserved, ReservedKind};
pub use protectors::BekFile;
pub use verify::VerifyError;

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// Positional writes of what is being formatted.
pub trait WriteAt: Send + Sync {
    /// Writes all of `data` at `offset_bytes`.
    ///
    /// # Errors
    /// When the operating system refuses or the device ends.
    fn write_all_at(&self, data: &[u8], offset_bytes: u64) -> io::Result<()>;

    /// Returns when everything written before is on the medium.
    ///
    /// # Errors
    /// When the operating system says that it is not.
    fn flush(&self) -> io::Result<()>;
}

impl WriteAt for File {
    fn write_all_at(&self, data: &[u8], offset_bytes: u64) -> io::Result<()> {
        FileExt::write_all_at(self, data, offset_bytes)
    }

    fn flush(&self) -> io::Result<()> {
        self.sync_data()
    }
}

#[cfg(test)]
mod tests;

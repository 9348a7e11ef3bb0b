//! What is fuzzed: each way from foreign bytes to something trusted, with an exact oracle.
//!
//! A target may be given anything. It must not panic, hang or take much memory, and what it accepts
//! must keep the driver's promises; those are asserted here, from outside, by the public API.

mod bitlocker;
pub mod custody;
mod driveprep;
mod manifest;
mod ntfs;
mod sealed;
pub mod sealed_secret;

pub use bitlocker::{COMPACT_BYTES, bitlocker, regions};
pub use custody::{custody_entry, custody_export, custody_proof};
pub use driveprep::{frozen_work, inputs};
pub use manifest::manifest;
pub use ntfs::{ntfs, ntfs_check};
pub use sealed::{RECOVERY_PASSWORD, sealed};
pub use sealed_secret::sealed_secret;

/// A target and its name.
pub struct Target {
    /// The name, also of the libFuzzer binary.
    pub name: &'static str,
    /// Takes any bytes and says whether they were accepted as something; panics when a promise is broken.
    pub run: fn(&[u8]) -> bool,
}

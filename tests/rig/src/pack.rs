//! Packs a drive: BitLocker around NTFS, with files, side files and a drive manifest.
//!
//! A [`PackPlan`] says what is on the drive and what is wrong with it; [`pack`] makes the image, the
//! `drive.json` that an ingest is given, and the `expected.json` that says what must come of it, both
//! in the shape of the shared fixtures. NTFS is written by mkntfs and ntfs-3g, so root and `/dev/fuse`
//! are needed: [`volume::obstacle`] says what is missing.

pub mod content;
mod drive;
pub mod expected;
mod json;
mod manifest_text;
pub mod plan;
pub mod presets;
mod random;
mod seal;
mod side_files;
mod tree;
pub mod volume;

pub use content::Content;
pub use drive::pack;
pub use expected::{ExpectedBlob, ExpectedDrive};
pub use json::{DriveJson, JobEntry};
pub use plan::{Cipher, Extra, Fault, Layout, PackBlob, PackPlan, Properties};

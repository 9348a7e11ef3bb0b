//! Packs a drive: BitLocker around NTFS, with files, side files and a drive manifest.

pub mod content;
pub mod gpt;
pub mod volume;

//! The metadata of a BitLocker volume: finds its copies, chooses a good one and says what is known
//! without any secret (spec §2, §3, §6).
//!
//! Opening a protector is `unlock.rs`, the sectors are `volume.rs`. Everything that a hostile drive
//! can state is bounded here: three copies of at most 64 KiB, a search of bounded length.

pub(crate) mod boot_sector;
pub(crate) mod copy;
pub(crate) mod datum;
pub(crate) mod eow;
pub(crate) mod protector;
pub(crate) mod read;
mod scan;
mod warning;

pub use boot_sector::VolumeKind;
pub use copy::CopyHealth;
pub use eow::ConversionMapError;
pub use protector::{Protector, ProtectorKind};
pub use read::{ReadMetadataError, ReadOptions};
pub use warning::Warning;

use block::ReadAt;

use crate::ccm::Sealed;
use crate::{FileTime, Guid, Method};

/// How far the conversion of a volume is (spec §3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ConversionState {
    /// 1: everything is plaintext again.
    Decrypted,
    /// 2: converting, and the conversion log is in use.
    ConvertingDirty,
    /// 3: conversion paused.
    Paused,
    /// 4: everything is encrypted, or for encrypt-on-write volumes: see the bitmaps.
    Encrypted,
    /// 5: converting.
    Converting,
    /// A number that the specification does not know.
    Unknown(u16),
}

impl ConversionState {
    fn from_number(number: u16) -> ConversionState {
        match number {
            1 => ConversionState::Decrypted,
            2 => ConversionState::ConvertingDirty,
            3 => ConversionState::Paused,
            4 => ConversionState::Encrypted,
            5 => ConversionState::Converting,
            other => ConversionState::Unknown(other),
        }
    }
}

/// One of the three copies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopyReport {
    /// Where it is or should be, in bytes of the volume.
    pub offset_bytes: u64,
    /// How it is.
    pub health: CopyHealth,
}

/// What is known of a volume without a secret.
#[derive(Debug)]
pub struct Metadata {
    /// Which layout.
    pub kind: VolumeKind,
    /// The cipher by the header; the FVEK's own statement counts when it is unlocked.
    pub method: Method,
    /// How far the conversion is.
    pub state: ConversionState,
    /// What the conversion works towards: 4 encrypted, 1 decrypted.
    pub next_state: ConversionState,
    /// Up to where the volume is encrypted; for a whole volume its length; 0 on Vista.
    pub watermark_bytes: u64,
    /// Identifies the volume.
    pub volume_id: Guid,
    /// "COMPUTER LABEL DATE" in the maker's language; only to be shown.
    pub description: Option<String>,
    /// When the encryption was set up.
    pub created: FileTime,
    /// The cipher's unit: 512 or 4096.
    pub sector_bytes: u32,
    /// The copies, in the order of the list that was used.
    pub copies: Vec<CopyReport>,
    /// Index of the copy in use.
    pub copy_used: usize,
    /// What is odd about the volume and did not stop it from being read.
    pub warnings: Vec<Warning>,
    pub(crate) protectors: Vec<Protector>,
    pub(crate) places: Places,
    pub(crate) fvek: Option<Sealed>,
    pub(crate) validation: Option<Sealed>,
    pub(crate) block_sha256: [u8; 32],
    /// Flags of the extended information (spec §3.4).
    pub(crate) extended_flags: Option<u64>,
}

/// Where things are that are not the file system's.
#[derive(Debug, Clone)]
pub(crate) struct Places {
    /// The metadata areas.
    pub(crate) areas_bytes: [u64; 3],
    pub(crate) area_length_bytes: u64,
    /// The moved head of the file system; absent on Vista.
    pub(crate) virtualised: Option<Virtualised>,
    /// Vista: cluster of $MFTMirr, to be put back into the boot sector.
    pub(crate) mft_mirror_cluster: Option<u64>,
    /// State 2: length of the conversion log at the watermark.
    pub(crate) conversion_log_bytes: u64,
    /// Encrypt-on-write: copies of the information structure.
    pub(crate) conversion_bytes: Vec<u64>,
}

/// The head of the file system: `length` bytes from 0 on live at `offset`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Virtualised {
    pub(crate) offset_bytes: u64,
    pub(crate) length_bytes: u64,
}

impl Metadata {
    /// Reads a volume's metadata with the default bounds.
    ///
    /// # Errors
    /// See [`ReadMetadataError`].
    pub fn read(volume: &dyn ReadAt) -> Result<Metadata, ReadMetadataError> {
        Metadata::read_with(volume, ReadOptions::default())
    }

    /// As [`Metadata::read`], with bounds of the caller's.
    ///
    /// # Errors
    /// See [`ReadMetadataError`].
    pub fn read_with(volume: &dyn ReadAt, options: ReadOptions) -> Result<Metadata, ReadMetadataError> {
        read::read(volume, options)
    }

    /// The ways to open the volume, in the order of the disk.
    pub fn protectors(&self) -> &[Protector] {
        &self.protectors
    }

    /// Whether a key lies on the volume in the clear: "protection suspended".
    pub fn is_suspended(&self) -> bool {
        self.protectors.iter().any(|protector| protector.kind == ProtectorKind::ClearKey)
    }

    /// Whether the volume was decrypted, so that no secret is needed.
    pub fn is_decrypted(&self) -> bool {
        self.state == ConversionState::Decrypted
    }
}

#[cfg(test)]
mod tests;

//! BitLocker (FVE) volumes: metadata, protectors and keys; an unlocked volume is itself a block
//! device (spec/bitlocker.md).
//!
//! ```text
//! device ──▶ Metadata::read ──▶ Metadata ──▶ unlock(Secret) ──▶ VolumeKey ──▶ Volume::open ──▶ Volume
//!            boot sector,        protectors,   stretch, CCM        FVEK         map of places     ReadAt,
//!            3 copies, CRC       warnings      tags, SHA-256                    and cipher        segments
//! ```
//!
//! - **Nothing is guessed.** A secret is right when a tag says so, a copy of the metadata is good
//!   when its checksum says so, a sector is encrypted when the conversion's state says so; what
//!   cannot be known is refused with its place.
//! - **Hostile bytes.** Everything on the drive may be a lie: sizes are bounded, offsets checked,
//!   memory does not grow with the drive, and no input panics.
//! - **Secrets** are zeroed when dropped, never cloned, never shown.
//!
//! It knows only `block`. Offsets are bytes of the volume (the partition), never of the disk.

#![deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::arithmetic_side_effects)]
#![cfg_attr(
    test,
    allow(
        clippy::arithmetic_side_effects,
        clippy::cast_possible_truncation,
        reason = "a test that overflows fails, as it should"
    )
)]

mod bytes;
mod ccm;
mod cipher;
pub mod format;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzz;
mod guid;
mod metadata;
mod method;
mod range;
mod secret;
mod stretch;
#[cfg(test)]
mod testing;
mod unlock;
#[cfg(test)]
mod vectors;
mod volume;
mod writer;

pub use cipher::{CipherError, SectorCipher, Unaligned};
pub use guid::{FileTime, Guid, ParseGuidError};
pub use metadata::{
    ConversionMapError, ConversionState, CopyHealth, CopyReport, Metadata, Protector, ProtectorKind,
    ReadMetadataError, ReadOptions, VolumeKind, Warning,
};
pub use method::Method;
pub use secret::{
    ExternalKey, ExternalKeyError, Password, PasswordError, RecoveryPassword, RecoveryPasswordError, Secret,
};
pub use unlock::{Integrity, ProtectorRef, UnlockError, VolumeKey};
pub use volume::{OpenError, Segment, Segments, Source, Volume, VolumeMap};
pub use writer::{NotWritable, VolumeWriter};

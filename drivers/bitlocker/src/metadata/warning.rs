//! What is odd about a volume and does not stop it from being read.

use crate::VolumeKind;

/// An oddity, for the report.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Warning {
    /// The boot sector was of no use; the metadata was found by a search.
    #[error("the boot sector is damaged; the metadata was found by a search")]
    BootSectorDamaged,
    /// Copies are damaged; which ones is in the copies' list.
    #[error("{damaged} of the 3 copies of the metadata are damaged")]
    CopiesDamaged {
        /// How many.
        damaged: usize,
    },
    /// Good copies that are not the same: the newest was taken.
    #[error("the copies of the metadata differ; the newest was taken")]
    CopiesDiffer,
    /// The boot sector and the metadata disagree about where the copies are.
    #[error("the boot sector and the metadata disagree about where the copies are")]
    OffsetsDiffer,
    /// The device ends before the volume does.
    #[error("the device has {found_bytes} bytes, the volume {expected_bytes}: the end is missing")]
    Truncated {
        /// By the metadata.
        expected_bytes: u64,
        /// Of the device.
        found_bytes: u64,
    },
    /// The device goes on behind the volume.
    #[error("the device has {found_bytes} bytes, the volume only {expected_bytes}")]
    LongerThanVolume {
        /// By the metadata.
        expected_bytes: u64,
        /// Of the device.
        found_bytes: u64,
    },
    /// The conversion was not finished.
    #[error("the conversion was interrupted ({kind:?}); a crash in the middle of it cannot be repaired here")]
    ConversionInterrupted {
        /// By which model it was converted.
        kind: VolumeKind,
    },
    /// The sizes of the moved head differ between header and datum.
    #[error("the metadata gives two sizes of the virtualised area: {header_bytes} and {datum_bytes} bytes")]
    VirtualisedSizesDiffer {
        /// From the header; in use.
        header_bytes: u64,
        /// From the datum.
        datum_bytes: u64,
    },
    /// Protectors whose bytes make no sense.
    #[error("{count} protectors are unreadable")]
    BrokenProtectors {
        /// How many.
        count: u32,
    },
}

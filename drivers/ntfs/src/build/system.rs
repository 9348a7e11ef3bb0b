//! The file system's own files: how large they are and where they lie. spec/ntfs.md §5.

use super::contents::{ATTRIBUTE_DEFINITIONS_BYTES, UPCASE_BYTES};
use super::plan::FileSizes;
use super::security::DESCRIPTORS_BYTES;
use super::settings::{BOOT_FILE_BYTES, Shape};
use super::space::{FreeSpace, Stretch};

/// `$LogFile`: 1/128 of the volume, as Windows has it for small ones (2.5 MiB of 256 MiB, 6 MiB of
/// 1 GiB), at least 2 MiB and at most 64 MiB; less where the volume itself is tiny.
const LOG_SHARE: u64 = 128;
const LOG_BYTES_MIN: u64 = 2 << 20;
const LOG_BYTES_MAX: u64 = 64 << 20;
const TINY_VOLUME_BYTES: u64 = 64 << 20;
const TINY_LOG_SHARE: u64 = 32;

/// A non-resident stream of the file system itself.
pub(super) struct Stored {
    pub(super) runs: Vec<Stretch>,
    pub(super) length_bytes: u64,
}

impl Stored {
    pub(super) fn clusters(&self) -> u64 {
        self.runs.iter().fold(0, |sum, run| sum.saturating_add(run.clusters))
    }
}

/// Which of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SystemStream {
    Boot,
    Mirror,
    UpCase,
    AttributeDefinitions,
    SecurityDescriptors,
    LogFile,
    Bitmap,
    MftBitmap,
    Mft,
}

use SystemStream::{
    AttributeDefinitions, Bitmap, Boot, LogFile, Mft, MftBitmap, Mirror, SecurityDescriptors, UpCase,
};

/// In the order in which they lie on the volume.
const STREAMS: [SystemStream; 9] =
    [Boot, Mirror, UpCase, AttributeDefinitions, SecurityDescriptors, LogFile, Bitmap, MftBitmap, Mft];

impl SystemStream {
    fn length_bytes(self, shape: &Shape, records: u64) -> u64 {
        match self {
            Boot => BOOT_FILE_BYTES.max(shape.cluster_bytes.into()),
            Mirror => shape.mirror_bytes(),
            UpCase => UPCASE_BYTES,
            AttributeDefinitions => ATTRIBUTE_DEFINITIONS_BYTES,
            SecurityDescriptors => DESCRIPTORS_BYTES,
            LogFile => shape.bytes_of(shape.clusters_for(log_bytes(shape))),
            // Both in whole words of 64 bits.
            Bitmap => shape.clusters.div_ceil(64).saturating_mul(8),
            MftBitmap => records.div_ceil(64).saturating_mul(8),
            Mft => shape.record_bytes_of(records),
        }
    }
}

fn log_bytes(shape: &Shape) -> u64 {
    let volume_bytes = shape.bytes_of(shape.clusters);
    if volume_bytes < TINY_VOLUME_BYTES {
        (volume_bytes / TINY_LOG_SHARE).next_multiple_of(4096)
    } else {
        (volume_bytes / LOG_SHARE).clamp(LOG_BYTES_MIN, LOG_BYTES_MAX)
    }
}

/// Where they all are.
pub(super) struct SystemFiles {
    /// Records of `$MFT`, in use or not.
    pub(super) records: u64,
    streams: Vec<Stored>,
}

/// The clusters of each, for a volume of so many records.
pub(super) fn wishes(shape: &Shape, records: u64) -> Vec<u64> {
    STREAMS.iter().map(|stream| shape.clusters_for(stream.length_bytes(shape, records))).collect()
}

impl SystemFiles {
    /// Takes their clusters; or tells how long the stream is that finds no place.
    pub(super) fn place(
        wishes: &[u64],
        records: u64,
        shape: &Shape,
        free: &mut FreeSpace,
    ) -> Result<SystemFiles, u64> {
        let mut streams = Vec::new();
        for (stream, &clusters) in STREAMS.iter().zip(wishes) {
            let runs = free.scattered(clusters).ok_or(shape.bytes_of(clusters))?;
            streams.push(Stored { runs, length_bytes: stream.length_bytes(shape, records) });
        }
        Ok(SystemFiles { records, streams })
    }

    /// None of ours, on a volume that has its own.
    pub(super) fn none(records: u64) -> SystemFiles {
        SystemFiles { records, streams: Vec::new() }
    }

    /// One of them.
    pub(super) fn stream(&self, wanted: SystemStream) -> Option<&Stored> {
        STREAMS.iter().zip(&self.streams).find(|(stream, _)| **stream == wanted).map(|(_, stored)| stored)
    }

    /// All their clusters.
    pub(super) fn runs(&self) -> impl Iterator<Item = Stretch> + '_ {
        self.streams.iter().flat_map(|stored| stored.runs.iter().copied())
    }

    /// Sizes of the unnamed stream of the file with this record; nothing where it is empty.
    pub(super) fn sizes(&self, number: u32, shape: &Shape) -> FileSizes {
        let stored = unnamed(number).and_then(|stream| self.stream(stream));
        stored.map_or(FileSizes::default(), |stored| FileSizes {
            allocated_bytes: shape.bytes_of(stored.clusters()),
            length_bytes: stored.length_bytes,
        })
    }
}

/// What the unnamed stream of a system file is, by the number of its record.
pub(super) fn unnamed(number: u32) -> Option<SystemStream> {
    match number {
        0 => Some(Mft),
        1 => Some(Mirror),
        2 => Some(LogFile),
        4 => Some(AttributeDefinitions),
        6 => Some(Bitmap),
        7 => Some(Boot),
        10 => Some(UpCase),
        _ => None,
    }
}

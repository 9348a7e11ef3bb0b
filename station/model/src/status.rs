//! The status codes of the drive log, spelled as Microsoft's logs spell them.
//!
//! azure-import-export.md §3.3 and §3.4. One enum a vocabulary, so that a code can only stand
//! where the format knows it; and the aggregation from parts to blob to drive.

use std::fmt;
use std::str::FromStr;

macro_rules! vocabulary {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $name { $($(#[$variant_doc])* $variant,)+ }

        impl $name {
            /// Every code of this vocabulary, in the specification's order.
            pub const ALL: &'static [$name] = &[$($name::$variant,)+];

            /// The code as the log writes it.
            pub fn as_str(self) -> &'static str {
                match self { $($name::$variant => stringify!($variant),)+ }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl FromStr for $name {
            type Err = UnknownStatus;

            fn from_str(text: &str) -> Result<Self, UnknownStatus> {
                $name::ALL.iter().copied().find(|status| status.as_str() == text)
                    .ok_or_else(|| UnknownStatus { vocabulary: stringify!($name), found: text.to_owned() })
            }
        }
    };
}

/// A word that the vocabulary does not have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{found:?} is not a {vocabulary}")]
pub struct UnknownStatus {
    /// Which vocabulary was asked.
    pub vocabulary: &'static str,
    /// The word.
    pub found: String,
}

vocabulary! {
    /// How a whole drive ended: `DriveLog/Status`, and `copyStatus` of the job API.
    DriveStatus {
        /// No errors.
        Completed,
        /// Warnings caused by dispositions: skips, renames, overwrites.
        CompletedWithWarnings,
        /// Some blob or chunk failed.
        CompletedWithErrors,
        /// No disk.
        DiskNotFound,
        /// The first data volume is not NTFS.
        VolumeNotNtfs,
        /// Unknown disk failure.
        DiskOperationFailed,
        /// No encryptable volume.
        BitLockerVolumeNotFound,
        /// BitLocker is off.
        BitLockerNotActivated,
        /// No numerical password protector.
        BitLockerProtectorNotFound,
        /// The password does not unlock the volume.
        BitLockerKeyInvalid,
        /// Unknown unlock failure.
        BitLockerUnlockVolumeFailed,
        /// Other BitLocker failure.
        BitLockerFailed,
        /// The manifest's path is no path of the volume.
        ManifestNameInvalid,
        /// The manifest's path is too long.
        ManifestNameTooLong,
        /// No manifest at that path.
        ManifestNotFound,
        /// The manifest cannot be opened (a directory, encrypted, a link).
        ManifestAccessDenied,
        /// The content does not match the job's hash.
        ManifestCorrupted,
        /// The content breaks the format's rules.
        ManifestFormatInvalid,
        /// `DriveId` differs from the device's serial number.
        ManifestDriveIdMismatch,
        /// I/O error on the manifest.
        ReadManifestFailed,
        /// The export's list blob is malformed.
        BlobListFormatInvalid,
        /// Bad key or SAS.
        BlobRequestForbidden,
        /// Service fault.
        InternalError,
    }
}

vocabulary! {
    /// How one blob ended: `Blob/@Status`.
    BlobStatus {
        /// All parts completed.
        Completed,
        /// Some range, block, metadata or properties failed.
        CompletedWithErrors,
        /// The file's path is no path of the volume.
        FileNameInvalid,
        /// The file's path is too long.
        FileNameTooLong,
        /// No file at that path.
        FileNotFound,
        /// The file cannot be opened (a directory, encrypted, a link).
        FileAccessDenied,
        /// A storage request failed.
        BlobRequestFailed,
        /// A storage request was forbidden.
        BlobRequestForbidden,
        /// No free name was found for the blob.
        RenameFailed,
        /// The blob changed during export.
        BlobUnexpectedChange,
        /// A lease blocks us.
        LeasePresent,
        /// Disk or network I/O.
        IOFailed,
        /// Unknown.
        Failed,
    }
}

vocabulary! {
    /// How one page range or block ended: `Block/@Status`, `PageRange/@Status`.
    ChunkStatus {
        /// Ok.
        Completed,
        /// The block is committed, but not as part of the full list.
        Committed,
        /// Uploaded, not committed.
        Uncommitted,
        /// The data does not match the hash.
        Corrupted,
        /// The file is shorter than the range.
        FileUnexpectedEnd,
        /// The blob is shorter than expected (export).
        BlobUnexpectedEnd,
        /// A storage request failed.
        BlobRequestFailed,
        /// Disk or network I/O.
        IOFailed,
        /// Unknown.
        Failed,
        /// Stopped by an earlier failure.
        Cancelled,
    }
}

vocabulary! {
    /// How a metadata or properties file ended: `Metadata/@Status`, `Properties/@Status`.
    SideFileStatus {
        /// Ok.
        Completed,
        /// The path is no path of the volume.
        FileNameInvalid,
        /// The path is too long.
        FileNameTooLong,
        /// No file at that path.
        FileNotFound,
        /// The file cannot be opened.
        FileAccessDenied,
        /// The content does not match the hash.
        Corrupted,
        /// The content is not what the format says.
        XmlReadFailed,
        /// The file could not be written (export).
        XmlWriteFailed,
        /// A storage request failed.
        BlobRequestFailed,
        /// Disk or network I/O.
        IOFailed,
        /// Unknown.
        Failed,
        /// Stopped by an earlier failure.
        Cancelled,
    }
}

vocabulary! {
    /// What the disposition led to: `ImportDisposition/@Status`.
    DispositionStatus {
        /// Nothing of that name was there.
        Created,
        /// Uploaded under a new name.
        Renamed,
        /// The existing blob was kept.
        Skipped,
        /// The existing blob was replaced.
        Overwritten,
        /// An earlier failure stopped the blob.
        Cancelled,
    }
}

/// A drive's status from what its blobs came to: azure-import-export.md §3.4, "Aggregation".
///
/// Feed each blob once; the order does not matter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DriveTally {
    errors: bool,
    warnings: bool,
}

impl DriveTally {
    /// Counts one blob.
    pub fn add(&mut self, blob: BlobStatus, disposition: Option<DispositionStatus>) {
        self.errors |= blob != BlobStatus::Completed;
        self.warnings |= matches!(
            disposition,
            Some(DispositionStatus::Skipped | DispositionStatus::Renamed | DispositionStatus::Overwritten)
        );
    }

    /// The drive's status, unless something fatal replaced it.
    pub fn status(self) -> DriveStatus {
        match (self.errors, self.warnings) {
            (true, _) => DriveStatus::CompletedWithErrors,
            (false, true) => DriveStatus::CompletedWithWarnings,
            (false, false) => DriveStatus::Completed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_reads_back_as_written() {
        for status in DriveStatus::ALL {
            assert_eq!(status.as_str().parse::<DriveStatus>().as_ref(), Ok(status));
        }
        for status in BlobStatus::ALL {
            assert_eq!(status.as_str().parse::<BlobStatus>().as_ref(), Ok(status));
        }
        assert!("completed".parse::<BlobStatus>().is_err());
    }

    #[test]
    fn errors_outrank_warnings_and_warnings_outrank_completed() {
        let mut tally = DriveTally::default();
        assert_eq!(tally.status(), DriveStatus::Completed);
        tally.add(BlobStatus::Completed, Some(DispositionStatus::Created));
        assert_eq!(tally.status(), DriveStatus::Completed);
        tally.add(BlobStatus::Completed, Some(DispositionStatus::Renamed));
        assert_eq!(tally.status(), DriveStatus::CompletedWithWarnings);
        tally.add(BlobStatus::FileNotFound, Some(DispositionStatus::Cancelled));
        assert_eq!(tally.status(), DriveStatus::CompletedWithErrors);
    }
}

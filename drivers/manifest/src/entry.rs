//! What a manifest says: the drive, its lists, its blobs.
//!
//! Texts are as the manifest has them; [`BlobEntry::destination`] and [`BlobEntry::file`] check
//! and take them apart. azure-import-export.md §1.3 and §1.4.

use model::digest::HashText;
use model::naming::NameError;
use model::status::BlobStatus;
use model::{BlobPath, DriveId, ImportDisposition, Md5Digest};

use crate::block_id::BlockId;
use crate::drive_path::{DrivePath, DrivePathError};

/// What stands before the first list of a manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DriveHeader {
    /// `DriveManifest/@Version`.
    pub version: String,
    /// The drive's serial number, blanks removed.
    pub drive_id: DriveId,
    /// Which credential the manifest carries; the credential itself is never kept.
    pub credential: Credential,
    /// The program that made the manifest, by its own account.
    pub client_creator: Option<String>,
}

/// The storage credential that a manifest of gen A or B carries.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Credential {
    /// None: gen C, and every export.
    #[default]
    Absent,
    /// An account key.
    AccountKey,
    /// A SAS for one container.
    ContainerSas {
        /// The container; all blobs must be in it.
        container: String,
    },
}

/// A `BlobList` or a `FileList`: entries that share defaults.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListHeader {
    /// Which list of the manifest, from 0.
    pub index: u64,
    /// Blobs or files.
    pub kind: ListKind,
    /// `@Id` of the v2 tool; not interpreted.
    pub id: Option<String>,
    /// Metadata of the blobs that have none of their own.
    pub metadata: Option<SideFileRef>,
    /// Properties of the blobs that have none of their own.
    pub properties: Option<SideFileRef>,
}

/// What a list holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListKind {
    /// `BlobList`.
    Blobs,
    /// `FileList`, for Azure Files: §1.12.
    Files,
}

/// `MetadataPath` or `PropertiesPath`: a file on the drive, and the hash of its bytes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SideFileRef {
    /// Path on the drive, as written.
    pub path: String,
    /// Hash of the whole file.
    pub hash: HashText,
}

impl SideFileRef {
    /// The path, checked.
    ///
    /// # Errors
    /// The rule that it breaks; see [`DrivePathError::side_file_status`].
    pub fn file(&self) -> Result<DrivePath, DrivePathError> {
        DrivePath::parse(&self.path)
    }
}

/// One `Blob` or `File`, all rules about its numbers and lists kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlobEntry {
    /// Which entry of the manifest, from 0, over all lists.
    pub index: u64,
    /// Which list it is in, from 0.
    pub list: u64,
    /// `BlobPath` (or `FileStoragePath`) as written.
    pub blob_path: String,
    /// `FilePath` as written.
    pub file_path: String,
    /// Length of the whole blob.
    pub length_bytes: u64,
    /// `ImportDisposition`, where it is stated; see [`BlobEntry::disposition`].
    pub stated_disposition: Option<ImportDisposition>,
    /// Blocks or ranges.
    pub kind: BlobKind,
    /// The blob's own metadata file; replaces the list's.
    pub metadata: Option<SideFileRef>,
    /// The blob's own properties file; replaces the list's.
    pub properties: Option<SideFileRef>,
    /// The customer's comment; not interpreted.
    pub client_data: Option<String>,
    /// The snapshot that was exported.
    pub snapshot: Option<String>,
}

/// What an entry becomes, and the hashed parts it is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BlobKind {
    /// A block blob: the blocks cover it without gaps. Either all have ids or none has.
    Block(Vec<BlockEntry>),
    /// A page blob: ascending ranges; what they leave out is zero.
    Page(Vec<RangeEntry>),
    /// A file of a share (§1.12): ascending ranges.
    File(Vec<RangeEntry>),
}

/// One `Block`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockEntry {
    /// Where it begins, in the file and in the blob.
    pub offset_bytes: u64,
    /// How long it is; never 0.
    pub length_bytes: u64,
    /// Its id, if the manifest gives ids.
    pub id: Option<BlockId>,
    /// MD5 of its bytes.
    pub hash: Md5Digest,
}

/// One `PageRange` or `FileRange`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RangeEntry {
    /// Where it begins, in the file and in the blob.
    pub offset_bytes: u64,
    /// How long it is; never 0.
    pub length_bytes: u64,
    /// MD5 of its bytes.
    pub hash: Md5Digest,
}

impl BlobEntry {
    /// What to do when the destination exists: as stated, else the format's default.
    pub fn disposition(&self) -> ImportDisposition {
        self.stated_disposition.unwrap_or_default()
    }

    /// Where the blob goes.
    ///
    /// # Errors
    /// The name rule of the storage service that `BlobPath` breaks.
    pub fn destination(&self) -> Result<BlobPath, NameError> {
        BlobPath::parse(&self.blob_path)
    }

    /// Where on the drive its bytes are.
    ///
    /// # Errors
    /// The rule that `FilePath` breaks.
    pub fn file(&self) -> Result<DrivePath, DrivePathError> {
        DrivePath::parse(&self.file_path)
    }

    /// Why this entry alone cannot be imported, though the manifest keeps the format's rules.
    pub fn refusal(&self, credential: &Credential) -> Option<BlobRefusal> {
        if matches!(self.kind, BlobKind::File(_)) {
            return Some(BlobRefusal::AzureFile);
        }
        let destination = match self.destination() {
            Ok(destination) => destination,
            Err(source) => return Some(BlobRefusal::Destination { source }),
        };
        if let Credential::ContainerSas { container } = credential
            && destination.container() != container
        {
            return Some(BlobRefusal::OutsideSas { container: container.clone() });
        }
        self.file().err().map(|source| BlobRefusal::File { source })
    }
}

/// Why one entry cannot be imported; the others can.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BlobRefusal {
    /// `BlobPath` is no name that the storage service takes.
    #[error("the blob's name is not one the storage service takes")]
    Destination {
        /// The rule.
        #[source]
        source: NameError,
    },
    /// The manifest's SAS is for another container.
    #[error("the manifest's SAS is for the container {container:?} only")]
    OutsideSas {
        /// The SAS' container.
        container: String,
    },
    /// `FilePath` is no path of the volume.
    #[error("the file's path is not a path of the volume")]
    File {
        /// The rule.
        #[source]
        source: DrivePathError,
    },
    /// An entry for Azure Files.
    #[error("the entry is for a file share, not for a blob")]
    AzureFile,
}

impl BlobRefusal {
    /// The blob's status in the log: §1.14.
    pub fn status(&self) -> BlobStatus {
        match self {
            BlobRefusal::Destination { .. } | BlobRefusal::AzureFile => BlobStatus::Failed,
            // What the storage service would answer to a request with that SAS.
            BlobRefusal::OutsideSas { .. } => BlobStatus::BlobRequestForbidden,
            BlobRefusal::File { source } => source.blob_status(),
        }
    }
}

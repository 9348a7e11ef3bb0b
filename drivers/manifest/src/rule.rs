//! The rules of a drive manifest, one variant each, and what breaking one leads to.
//!
//! # Whose rules they are
//! azure-import-export.md §1.13 step 8 and §1.14 give two consequences. A rule about how the
//! manifest is made concerns the whole drive: whoever wrote a manifest that breaks it made an
//! error that we cannot see the extent of, so nothing of it is copied. A rule about a name
//! concerns one blob only: the file system and the storage service judge it, and the others land.
//!
//! | rules | § | concern | status |
//! | --- | --- | --- | --- |
//! | well-formed XML, limits, no DTD | 1.3 | drive | `ManifestFormatInvalid` |
//! | elements: known root, one drive, order, singletons, required ones | 1.3, 1.4 | drive | `ManifestFormatInvalid` |
//! | numbers, dispositions, hashes | 1.4, 1.7, 1.9 | drive | `ManifestFormatInvalid` |
//! | block list: order, coverage, sizes, count, ids | 1.5 | drive | `ManifestFormatInvalid` |
//! | page range and file range list | 1.6, 1.12 | drive | `ManifestFormatInvalid` |
//! | `DriveId` is the expected drive's | 1.4 | drive | `ManifestDriveIdMismatch` |
//! | the manifest can be read | 1.13 | drive | `ReadManifestFailed` |
//! | `BlobPath` is a name of the storage service | 1.8 | blob | `Failed` |
//! | `BlobPath` is in the SAS' container | 1.4 | blob | `BlobRequestForbidden` |
//! | `FilePath` is a path of the volume | 1.2, 1.8 | blob | `FileNameInvalid`, `FileNameTooLong` |
//! | `MetadataPath`, `PropertiesPath` are paths of the volume | 1.10, 1.11 | side file | `FileNameInvalid`, `FileNameTooLong` |
//!
//! The blob's rules are [`crate::BlobRefusal`], the side file's
//! [`crate::drive_path::DrivePathError::side_file_status`]; the rest is [`Rule`].

use model::DriveId;
use model::digest::HashTextError;
use model::disposition::UnknownDisposition;
use model::status::DriveStatus;

use crate::block_id::BlockIdError;
use crate::limits::{
    BLOB_BYTES_WITHOUT_IDS_MAX, BLOCK_BYTES_MAX, BLOCKS_MAX, PAGE_BLOB_BYTES_MAX, PAGE_BYTES,
    RANGE_BYTES_MAX, RANGES_MAX,
};
use crate::xml::XmlFault;

/// A rule of the format that a manifest breaks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rule {
    /// §1.3: the document is XML within our limits.
    #[error(transparent)]
    Xml(#[from] XmlFault),

    /// §1.3: the root is `DriveManifest`.
    #[error("the root element is {found:?}, not DriveManifest")]
    Root {
        /// Its name.
        found: String,
    },
    /// §1.4: `Version` is a date not later than the newest known.
    #[error("the version {found:?} is not a date up to {newest}", newest = crate::reader::NEWEST_VERSION)]
    Version {
        /// What stands there.
        found: String,
    },
    /// §1.4 and §9.20: there is one `Drive`.
    #[error("there is more than one Drive")]
    SeveralDrives,
    /// §1.3: a required element is absent.
    #[error("{element} is missing")]
    MissingElement {
        /// The element.
        element: &'static str,
    },
    /// §1.3: a required attribute is absent.
    #[error("{element} has no {attribute}")]
    MissingAttribute {
        /// The element.
        element: &'static str,
        /// The attribute.
        attribute: &'static str,
    },
    /// §1.3: what may occur once occurs again.
    #[error("{element} stands there a second time")]
    Duplicate {
        /// The element or attribute.
        element: &'static str,
    },
    /// §1.3: `DriveId` and the credential come before the first list.
    #[error("{element} stands after the first list")]
    AfterFirstList {
        /// The element.
        element: &'static str,
    },
    /// §1.3: a list's side files come before its first blob.
    #[error("the list's {element} stands after its first entry")]
    AfterFirstBlob {
        /// The element.
        element: &'static str,
    },
    /// §1.3: the manifest has either an account key or a SAS.
    #[error("there are both StorageAccountKey and ContainerSas")]
    SeveralCredentials,
    /// §1.4: a SAS is `container?token`.
    #[error("ContainerSas is not a container, a question mark and a token")]
    ContainerSas,
    /// §1.4: the drive's id is not empty.
    #[error("DriveId is empty")]
    DriveIdEmpty,
    /// §1.4: the manifest is this drive's.
    #[error("the manifest is for the drive {found}, not for {expected}")]
    DriveIdMismatch {
        /// The drive at hand.
        expected: DriveId,
        /// The manifest's.
        found: DriveId,
    },

    /// §1.3: a number is decimal digits and fits 64 bits.
    #[error("{name} is {found:?}, which is not a whole number of at most 64 bits")]
    Number {
        /// The element or attribute.
        name: &'static str,
        /// What stands there.
        found: String,
    },
    /// §1.7: the disposition is one of the three words.
    #[error("{0}")]
    Disposition(UnknownDisposition),
    /// §1.9: a hash is Base16 of a known length; of blocks and ranges, MD5.
    #[error("the hash of {element} is not one: {reason}")]
    Hash {
        /// The element.
        element: &'static str,
        /// Why.
        reason: HashTextError,
    },
    /// §1.3: a blob has one list of parts.
    #[error("there are both BlockList and PageRangeList")]
    BothLists,
    /// §1.4: without a list nothing proves the blob's bytes.
    #[error("the blob has {length_bytes} bytes and neither BlockList nor PageRangeList")]
    NoList {
        /// `Length`.
        length_bytes: u64,
    },

    /// §1.5: at most 50,000 blocks.
    #[error("there are more than {BLOCKS_MAX} blocks")]
    BlockCount,
    /// §1.5: blocks are ordered and contiguous from 0.
    #[error("a block begins at {found_bytes}, not at {expected_bytes} where the one before ends")]
    BlockOrder {
        /// Where it should begin.
        expected_bytes: u64,
        /// Where it begins.
        found_bytes: u64,
    },
    /// §1.5: a block has 1 byte to 100 MiB.
    #[error("a block has {found_bytes} bytes; 1 to {BLOCK_BYTES_MAX} are allowed")]
    BlockLength {
        /// Its length.
        found_bytes: u64,
    },
    /// §1.5: the blocks cover the blob.
    #[error("the blocks end at {end_bytes}, the blob has {length_bytes} bytes")]
    BlockCoverage {
        /// Where the last block ends.
        end_bytes: u64,
        /// `Length`.
        length_bytes: u64,
    },
    /// §1.5: an id is base64 of at most 64 bytes.
    #[error("{0}")]
    BlockId(BlockIdError),
    /// §1.5: either every block has an id or none has.
    #[error("some blocks have ids and others have none")]
    BlockIdsMixed,
    /// §1.5: above 64 MiB ids are needed.
    #[error("the blocks have no ids, which a blob of more than {BLOB_BYTES_WITHOUT_IDS_MAX} bytes needs")]
    BlockIdsMissing,
    /// §1.5: all ids of one blob have the same length.
    #[error("a block id of {found_bytes} bytes stands after one of {expected_bytes}")]
    BlockIdLengths {
        /// Length of the first block's id.
        expected_bytes: usize,
        /// Length of this one.
        found_bytes: usize,
    },
    /// §1.5: the same id is the same block.
    #[error("the blocks {first} and {second} have the same id and different hashes or lengths")]
    BlockIdReused {
        /// One block, from 0.
        first: usize,
        /// The other.
        second: usize,
    },

    /// §1.6: a page blob's length is a multiple of 512, and at most 8 TiB.
    #[error(
        "a page blob cannot have {found_bytes} bytes: multiples of {PAGE_BYTES} up to {PAGE_BLOB_BYTES_MAX} are allowed"
    )]
    PageBlobLength {
        /// `Length`.
        found_bytes: u64,
    },
    /// §1.6: the number of ranges is bounded.
    #[error("there are more than {RANGES_MAX} ranges")]
    RangeCount,
    /// §1.6: offsets and lengths of page ranges are multiples of 512.
    #[error("the page range of {length_bytes} bytes at {offset_bytes} is not aligned to {PAGE_BYTES}")]
    PageRangeAlignment {
        /// Its offset.
        offset_bytes: u64,
        /// Its length.
        length_bytes: u64,
    },
    /// §1.6, §1.12: a range has at most 4 MiB, and is not empty.
    #[error("a range has {found_bytes} bytes; 1 to {RANGE_BYTES_MAX} are allowed")]
    RangeLength {
        /// Its length.
        found_bytes: u64,
    },
    /// §1.6: ranges ascend and do not overlap.
    #[error("a range begins at {found_bytes}, before {end_bytes} where the one before ends")]
    RangeOrder {
        /// Where the one before ends.
        end_bytes: u64,
        /// Where it begins.
        found_bytes: u64,
    },
    /// §1.6: ranges lie inside the blob.
    #[error("a range ends at {end_bytes}, the blob has {length_bytes} bytes")]
    RangeOutside {
        /// Where it ends.
        end_bytes: u64,
        /// `Length`.
        length_bytes: u64,
    },
}

impl Rule {
    /// What the drive's status becomes.
    pub fn status(&self) -> DriveStatus {
        match self {
            Rule::DriveIdMismatch { .. } => DriveStatus::ManifestDriveIdMismatch,
            Rule::Xml(_)
            | Rule::Root { .. }
            | Rule::Version { .. }
            | Rule::SeveralDrives
            | Rule::MissingElement { .. }
            | Rule::MissingAttribute { .. }
            | Rule::Duplicate { .. }
            | Rule::AfterFirstList { .. }
            | Rule::AfterFirstBlob { .. }
            | Rule::SeveralCredentials
            | Rule::ContainerSas
            | Rule::DriveIdEmpty
            | Rule::Number { .. }
            | Rule::Disposition(_)
            | Rule::Hash { .. }
            | Rule::BothLists
            | Rule::NoList { .. }
            | Rule::BlockCount
            | Rule::BlockOrder { .. }
            | Rule::BlockLength { .. }
            | Rule::BlockCoverage { .. }
            | Rule::BlockId(_)
            | Rule::BlockIdsMixed
            | Rule::BlockIdsMissing
            | Rule::BlockIdLengths { .. }
            | Rule::BlockIdReused { .. }
            | Rule::PageBlobLength { .. }
            | Rule::RangeCount
            | Rule::PageRangeAlignment { .. }
            | Rule::RangeLength { .. }
            | Rule::RangeOrder { .. }
            | Rule::RangeOutside { .. } => DriveStatus::ManifestFormatInvalid,
        }
    }
}

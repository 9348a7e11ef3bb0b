//! What shall be on a drive, and what shall be wrong with it.
//!
//! A plan is a value: it opens nothing. The rules of manifests are azure-import-export.md §1.4 to §1.11.

use std::collections::BTreeSet;
use std::ops::Range;

use anyhow::{Result, ensure};
use clap::ValueEnum;
use model::ImportDisposition;

use super::content::Content;

/// Longest block or page range of the 2014 format: azure-import-export.md §1.5 and §1.6.
pub const PART_BYTES_MAX: u64 = 4 << 20;

/// A page blob's length and ranges are multiples of this.
const PAGE_BYTES: u64 = 512;

/// One drive.
#[derive(Debug, Clone)]
pub struct PackPlan {
    /// The drive's serial number, without blanks.
    pub serial: String,
    /// The volume's cipher.
    pub cipher: Cipher,
    /// Logical sector size in bytes: 512 or 4096.
    pub sector_bytes: u32,
    /// The password beside the recovery password, which is always drawn at random.
    pub password: String,
    /// What the manifest lists, in its order.
    pub blobs: Vec<PackBlob>,
    /// What lies on the drive beside the blobs' files.
    pub extras: Vec<Extra>,
    /// Whether the manifest is on the drive: a drive that somebody filled by hand has none.
    pub has_manifest: bool,
}

/// Something on the drive that is no blob's file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Extra {
    /// A file with these bytes.
    File {
        /// Its path on the drive, with backslashes.
        path: String,
        /// All of it.
        bytes: Vec<u8>,
    },
    /// A symbolic link: on NTFS a reparse point.
    Link {
        /// Its path on the drive, with backslashes.
        path: String,
        /// Where it leads.
        target: String,
    },
}

impl Extra {
    /// Its path on the drive.
    pub fn path(&self) -> &str {
        match self {
            Extra::File { path, .. } | Extra::Link { path, .. } => path,
        }
    }
}

/// The ciphers that drives are packed with; `as_str` is the fixtures' word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Cipher {
    /// AES-CBC with a 128-bit key
    Cbc128,
    /// AES-CBC with a 256-bit key
    Cbc256,
    /// AES-XTS with two 128-bit keys
    Xts128,
    /// AES-XTS with two 256-bit keys
    Xts256,
}

impl Cipher {
    /// The word in `drive.json`.
    pub fn as_str(self) -> &'static str {
        match self {
            Cipher::Cbc128 => "cbc128",
            Cipher::Cbc256 => "cbc256",
            Cipher::Xts128 => "xts128",
            Cipher::Xts256 => "xts256",
        }
    }
}

/// One entry of the manifest, and the file behind it.
#[derive(Debug, Clone)]
pub struct PackBlob {
    /// Container and name, as `BlobPath` has them.
    pub destination: String,
    /// Path of the file on the drive, with backslashes.
    pub file: String,
    /// What the file holds.
    pub content: Content,
    /// Block or page blob.
    pub layout: Layout,
    /// Left out of the manifest when `None`.
    pub disposition: Option<ImportDisposition>,
    /// Name and value pairs; with none there is no metadata file.
    pub metadata: Vec<(String, String)>,
    /// With none set there is no properties file.
    pub properties: Properties,
    /// What is wrong, on purpose.
    pub fault: Option<Fault>,
    /// Elements that the manifest has at the end of this entry, as they are: what no tool writes.
    pub markup: String,
}

/// How the manifest cuts a blob into parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// A block blob.
    Blocks {
        /// Length of every block but the last.
        block_bytes: u64,
        /// Whether blocks carry ids, made from their MD5 as Microsoft's tool does.
        named: bool,
    },
    /// A page blob of ranges of at most 4 MiB; holes are left out.
    Pages,
}

/// The HTTP properties a properties file may set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Properties {
    /// `Content-Type`.
    pub content_type: Option<String>,
    /// `Content-Language`.
    pub content_language: Option<String>,
    /// `Cache-Control`.
    pub cache_control: Option<String>,
}

/// A deliberate fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// One bit of this part differs between the drive and the manifest's hash.
    CorruptPart {
        /// Which block or range, from 0.
        index: usize,
    },
    /// There is no such file.
    MissingFile,
    /// The file ends early.
    ShortFile {
        /// By so many bytes.
        missing_bytes: u64,
    },
    /// The metadata file does not have the hash that the manifest gives.
    WrongMetadataHash,
    /// The properties file does not have the hash that the manifest gives.
    WrongPropertiesHash,
}

impl PackBlob {
    /// A block blob of 4 MiB blocks with ids, from a file of the same name below `\session#1`.
    pub fn new(destination: &str, content: Content) -> PackBlob {
        PackBlob {
            destination: destination.to_owned(),
            file: format!("\\session#1\\{}", destination.replace('/', "\\")),
            content,
            layout: Layout::Blocks { block_bytes: PART_BYTES_MAX, named: true },
            disposition: None,
            metadata: Vec::new(),
            properties: Properties::default(),
            fault: None,
            markup: String::new(),
        }
    }

    /// The same as a page blob.
    pub fn paged(destination: &str, content: Content) -> PackBlob {
        PackBlob { layout: Layout::Pages, ..PackBlob::new(destination, content) }
    }

    /// The same with something wrong.
    pub fn with_fault(self, fault: Fault) -> PackBlob {
        PackBlob { fault: Some(fault), ..self }
    }

    /// The byte ranges that the manifest hashes, ascending.
    pub fn parts(&self) -> Vec<Range<u64>> {
        let length_bytes = self.content.length_bytes();
        match self.layout {
            Layout::Blocks { block_bytes, .. } => split(&(0..length_bytes), block_bytes),
            Layout::Pages => {
                let written = self.content.written_ranges();
                written.iter().flat_map(|range| split(range, PART_BYTES_MAX)).collect()
            }
        }
    }

    /// How many bytes the file on the drive has; `None` when it is missing.
    pub fn file_bytes(&self) -> Option<u64> {
        let length_bytes = self.content.length_bytes();
        match self.fault {
            Some(Fault::MissingFile) => None,
            Some(Fault::ShortFile { missing_bytes }) => Some(length_bytes.saturating_sub(missing_bytes)),
            _ => Some(length_bytes),
        }
    }

    fn check(&self) -> Result<()> {
        let name = &self.destination;
        if let Layout::Blocks { block_bytes, .. } = self.layout {
            ensure!(block_bytes > 0, "{name}: blocks of no length");
        } else {
            let edges = self.content.written_ranges().into_iter().flat_map(|range| [range.start, range.end]);
            let is_aligned = |bytes: u64| bytes.is_multiple_of(PAGE_BYTES);
            let all = edges.chain([self.content.length_bytes()]).all(is_aligned);
            ensure!(all, "{name}: a page blob's length and ranges are multiples of {PAGE_BYTES}");
        }
        match self.fault {
            Some(Fault::CorruptPart { index }) => {
                ensure!(index < self.parts().len(), "{name}: there is no part {index} to corrupt");
            }
            Some(Fault::ShortFile { missing_bytes }) => {
                let length_bytes = self.content.length_bytes();
                ensure!(
                    (1..=length_bytes).contains(&missing_bytes),
                    "{name}: cannot end early by {missing_bytes}"
                );
            }
            Some(Fault::WrongMetadataHash) => ensure!(!self.metadata.is_empty(), "{name}: no metadata"),
            Some(Fault::WrongPropertiesHash) => {
                ensure!(self.properties != Properties::default(), "{name}: no properties");
            }
            Some(Fault::MissingFile) | None => {}
        }
        Ok(())
    }
}

impl PackPlan {
    /// A drive with XTS-256, 512-byte sectors and the given blobs.
    pub fn new(serial: &str, blobs: Vec<PackBlob>) -> PackPlan {
        PackPlan {
            serial: serial.to_owned(),
            cipher: Cipher::Xts256,
            sector_bytes: 512,
            password: "Packed-by-the-rig!".to_owned(),
            blobs,
            extras: Vec::new(),
            has_manifest: true,
        }
    }

    /// Bytes of all blobs together.
    pub fn payload_bytes(&self) -> u64 {
        self.blobs.iter().map(|blob| blob.content.length_bytes()).sum()
    }

    /// Checks what no manifest or drive could hold.
    ///
    /// # Errors
    /// The blob and what is wrong with it.
    pub fn check(&self) -> Result<()> {
        ensure!(matches!(self.sector_bytes, 512 | 4096), "sectors have 512 or 4096 bytes");
        let mut files = BTreeSet::new();
        for blob in &self.blobs {
            blob.check()?;
            ensure!(files.insert(&blob.file), "two blobs from the file {}", blob.file);
        }
        Ok(())
    }

    /// A file system that holds the payload, with room for records, indexes, side files and the manifest.
    pub fn file_system_bytes(&self) -> u64 {
        const CLUSTER_BYTES: u64 = 4096;
        /// A record of 1 KiB, its index entry, its part of the bitmap; side files are files of their own.
        const FILE_OVERHEAD_BYTES: u64 = 4096;
        /// A `Block` element with id and hash.
        const PART_OVERHEAD_BYTES: u64 = 160;
        /// `$LogFile`, `$MFT` zone, `$Secure` and the rest of an empty volume.
        const EMPTY_BYTES: u64 = 64 << 20;
        let each = self.blobs.iter().map(|blob| {
            let clusters = blob.content.length_bytes().next_multiple_of(CLUSTER_BYTES);
            let part_count = blob.parts().len() as u64;
            let side_files = 2 * (CLUSTER_BYTES + FILE_OVERHEAD_BYTES);
            let has_side_files = !blob.metadata.is_empty() || blob.properties != Properties::default();
            let side = if has_side_files { side_files } else { 0 };
            // The manifest repeats names of up to 1,024 characters twice, in UTF-8.
            let names = 4 * (blob.destination.len() + blob.file.len()) as u64;
            clusters + FILE_OVERHEAD_BYTES + part_count * PART_OVERHEAD_BYTES + side + names
        });
        let extras = self.extras.iter().map(|extra| match extra {
            Extra::File { bytes, .. } => {
                (bytes.len() as u64).next_multiple_of(CLUSTER_BYTES) + FILE_OVERHEAD_BYTES
            }
            Extra::Link { .. } => FILE_OVERHEAD_BYTES,
        });
        let payload: u64 = each.chain(extras).sum();
        (payload + payload / 32 + EMPTY_BYTES).next_multiple_of(1 << 20)
    }
}

fn split(range: &Range<u64>, part_bytes: u64) -> Vec<Range<u64>> {
    let count = (range.end - range.start).div_ceil(part_bytes);
    let start = |index: u64| range.start + index * part_bytes;
    (0..count).map(|index| start(index)..range.end.min(start(index + 1))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_cover_a_block_blob_and_only_the_data_of_a_page_blob() {
        let blob = PackBlob::new("c/x", Content::Zeros { length_bytes: (8 << 20) + 1 });
        assert_eq!(blob.parts(), [0..4 << 20, 4 << 20..8 << 20, 8 << 20..(8 << 20) + 1]);
        assert!(PackBlob::new("c/x", Content::Zeros { length_bytes: 0 }).parts().is_empty());
        let data = vec![512..1_024, 4_096..8_192];
        let sparse = Content::Sparse { seed: 0, length_bytes: 1 << 20, data: data.clone() };
        assert_eq!(PackBlob::paged("c/x", sparse).parts(), data);
    }

    #[test]
    fn a_plan_that_no_drive_could_hold_is_refused() {
        let content = Content::Zeros { length_bytes: 1_000 };
        let page = PackBlob::paged("c/page", content.clone());
        let corrupt = PackBlob::new("c/x", content.clone()).with_fault(Fault::CorruptPart { index: 1 });
        let plain = PackBlob::new("c/x", content);
        for blobs in [vec![page], vec![corrupt], vec![plain.clone(), plain]] {
            assert!(PackPlan::new("S", blobs).check().is_err());
        }
    }
}

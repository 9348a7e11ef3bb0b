//! The manifest of a packed drive: one list a dataset, its entries from the work and the spool.
//!
//! azure-import-export.md §1.3–§1.6, §1.12. Written twice: once into a counter, with the longest list
//! that every item may have, so that the drive is planned with room for it; and once for good, from one
//! sweep over the spool. Memory is one entry's.

use std::collections::BTreeMap;
use std::io::{self, BufReader, Write};

use manifest::limits::{RANGE_BYTES_MAX, RANGES_MAX};
use manifest::{
    BlobEntry, BlobKind, BlockEntry, Credential, DriveHeader, ListHeader, ListKind, ManifestError,
    ManifestEvent, ManifestReader, ManifestWriteError, ManifestWriter, RangeEntry, SideFileRef,
};
use model::digest::HashText;
use model::{DriveId, Md5Digest};
use proof::proven::ProvenManifest;

use super::digest::{Hashed, run_bytes};
use super::layout::{own_properties_file, own_properties_path};
use super::spool::{Learnt, SpoolError, SpoolReader};
use crate::work::{Dataset, Item, ItemId, ItemKind, SideFile, Work};

/// What the manifest says made it.
pub const CLIENT_CREATOR: &str = concat!("Drayage driveprep ", env!("CARGO_PKG_VERSION"));

/// A manifest cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum ManifestMakeError {
    /// A name that XML cannot hold, or the drive refused.
    #[error("writing the drive's manifest")]
    Write(#[from] ManifestWriteError),
    /// The manifest of an earlier session cannot be read.
    #[error("reading the manifest of the drive's earlier sessions")]
    Previous(#[from] ManifestError),
    /// What was learnt cannot be read.
    #[error("reading what was copied")]
    Spool(#[from] SpoolError),
}

/// What a manifest is about.
pub struct Manifest<'a> {
    /// The items' work.
    pub work: &'a Work,
    /// The drive.
    pub drive: &'a DriveId,
    /// The items that are on it, in the order in which they were copied.
    pub items: &'a [ItemId],
    /// What an earlier session left; its entries come first, as they are.
    pub previous: Option<&'a ProvenManifest>,
}

/// Gives each item's blocks or ranges, in the items' order.
pub trait Parts {
    /// Those of that item; `None` leaves it out.
    ///
    /// # Errors
    /// When they cannot be read.
    fn of(&mut self, item: &Item<'_>) -> Result<Option<Vec<Hashed>>, SpoolError>;

    /// The digest of the whole item, where it was asked for.
    fn whole(&self, item: ItemId) -> Option<Md5Digest>;
}

impl Manifest<'_> {
    /// Writes it.
    ///
    /// # Errors
    /// See [`ManifestMakeError`].
    pub fn write<W: Write>(&self, out: W, parts: &mut dyn Parts) -> Result<W, ManifestMakeError> {
        let header = DriveHeader {
            version: String::new(),
            drive_id: self.drive.clone(),
            credential: Credential::Absent,
            client_creator: Some(CLIENT_CREATOR.to_owned()),
        };
        let mut writer = ManifestWriter::new(out, &header)?;
        self.carry_over(&mut writer)?;
        let mut list = None;
        for item in self.items.iter().map(|id| self.work.item(*id)) {
            let Some(found) = parts.of(&item)? else { continue };
            let kind = list_kind(item.kind());
            if list != Some((item.dataset_id(), kind)) {
                list = Some((item.dataset_id(), kind));
                writer.list(&self.list(&item, kind))?;
            }
            writer.blob(&entry(self.work, &item, found, parts.whole(item.id)))?;
        }
        Ok(writer.finish()?)
    }

    /// Writes the entries of an earlier session again.
    fn carry_over<W: Write>(&self, writer: &mut ManifestWriter<W>) -> Result<(), ManifestMakeError> {
        let Some(previous) = self.previous else { return Ok(()) };
        let mut reader = ManifestReader::new(BufReader::with_capacity(1 << 16, previous.read()));
        while let Some(event) = reader.next()? {
            match event {
                ManifestEvent::Drive(_) => {}
                ManifestEvent::List(list) => writer.list(&list)?,
                ManifestEvent::Blob(entry) => writer.blob(&entry)?,
            }
        }
        Ok(())
    }

    /// The longest it can become.
    ///
    /// # Errors
    /// A name that XML cannot hold.
    pub fn bytes_max(&self) -> Result<u64, ManifestMakeError> {
        Ok(self.write(Counter(0), &mut Longest(self.work))?.0)
    }

    fn list(&self, item: &Item<'_>, kind: ListKind) -> ListHeader {
        let Dataset { metadata, properties, .. } = item.dataset();
        ListHeader {
            index: 0,
            kind,
            id: Some(format!("{}-{}", self.work.session(), item.dataset_id().0)),
            metadata: metadata.as_ref().map(side_file),
            properties: properties.as_ref().map(side_file),
        }
    }
}

fn list_kind(kind: ItemKind) -> ListKind {
    match kind {
        ItemKind::Block | ItemKind::Page => ListKind::Blobs,
        ItemKind::File => ListKind::Files,
    }
}

fn side_file(file: &SideFile) -> SideFileRef {
    SideFileRef { path: file.drive_path.clone(), hash: HashText::Md5(digests::md5_of(&file.bytes)) }
}

fn entry(work: &Work, item: &Item<'_>, parts: Vec<Hashed>, whole: Option<Md5Digest>) -> BlobEntry {
    let range = |part: &Hashed| RangeEntry {
        offset_bytes: part.offset_bytes,
        length_bytes: part.length_bytes,
        hash: part.md5,
    };
    let block = |part: &Hashed| BlockEntry::tool(part.offset_bytes, part.length_bytes, part.md5);
    BlobEntry {
        index: 0,
        list: 0,
        blob_path: item.destination(),
        file_path: item.drive_path(),
        length_bytes: item.length_bytes(),
        stated_disposition: Some(item.dataset().disposition),
        kind: match item.kind() {
            ItemKind::Block => BlobKind::Block(parts.iter().map(block).collect()),
            ItemKind::Page => BlobKind::Page(parts.iter().map(range).collect()),
            ItemKind::File => BlobKind::File(parts.iter().map(range).collect()),
        },
        metadata: None,
        properties: whole.map(|md5| {
            let hash = digests::md5_of(own_properties_file(item, md5).as_bytes());
            SideFileRef { path: own_properties_path(work, item.id), hash: HashText::Md5(hash) }
        }),
        client_data: None,
        snapshot: None,
    }
}

/// What was learnt of a drive, read along with its items.
pub struct FromSpool<'a> {
    reader: SpoolReader<'a>,
    /// Read too far: the first part of a later item.
    next: Option<Hashed>,
    left_out: &'a BTreeMap<ItemId, String>,
    whole: &'a BTreeMap<ItemId, Md5Digest>,
}

impl<'a> FromSpool<'a> {
    /// From the beginning of a spool.
    pub fn new(
        reader: SpoolReader<'a>,
        left_out: &'a BTreeMap<ItemId, String>,
        whole: &'a BTreeMap<ItemId, Md5Digest>,
    ) -> FromSpool<'a> {
        FromSpool { reader, next: None, left_out, whole }
    }

    /// Blocks follow each other and cover all of their blob; what is stored of a page blob or a file of a
    /// share is not known here.
    fn check_blocks(&self, item: &Item<'_>, parts: &[Hashed]) -> Result<(), SpoolError> {
        if item.kind() != ItemKind::Block {
            return Ok(());
        }
        let mut end_bytes = 0;
        for part in parts.iter().take_while(|part| part.length_bytes > 0) {
            if part.offset_bytes != end_bytes {
                break;
            }
            end_bytes += part.length_bytes;
        }
        if end_bytes == item.length_bytes() {
            return Ok(());
        }
        let (path, file) = (self.reader.path().to_owned(), item.source_path());
        Err(SpoolError::Incomplete { path, file, offset_bytes: end_bytes })
    }

    fn next(&mut self) -> Result<Option<Hashed>, SpoolError> {
        if let Some(hashed) = self.next.take() {
            return Ok(Some(hashed));
        }
        loop {
            match self.reader.learn()? {
                Some(Learnt::Hashed(hashed)) => return Ok(Some(hashed)),
                Some(_) => {}
                None => return Ok(None),
            }
        }
    }
}

impl Parts for FromSpool<'_> {
    fn of(&mut self, item: &Item<'_>) -> Result<Option<Vec<Hashed>>, SpoolError> {
        let mut parts = Vec::new();
        while let Some(hashed) = self.next()? {
            if hashed.item != item.id {
                self.next = Some(hashed);
                break;
            }
            parts.push(hashed);
        }
        if self.left_out.contains_key(&item.id) {
            return Ok(None);
        }
        self.check_blocks(item, &parts)?;
        Ok(Some(parts))
    }

    fn whole(&self, item: ItemId) -> Option<Md5Digest> {
        self.whole.get(&item).copied()
    }
}

/// The longest list that an item may have: every other run of a page blob being zero, the numbers as
/// long as they come.
struct Longest<'a>(&'a Work);

impl Parts for Longest<'_> {
    fn of(&mut self, item: &Item<'_>) -> Result<Option<Vec<Hashed>>, SpoolError> {
        let length = item.length_bytes();
        let step = match item.kind() {
            ItemKind::Block => item.part_bytes(),
            ItemKind::Page | ItemKind::File => (run_bytes(length) * 2).min(RANGE_BYTES_MAX),
        };
        let part = |index: u64| Hashed {
            item: item.id,
            offset_bytes: if item.kind() == ItemKind::Block { index * step } else { length },
            length_bytes: if item.kind() == ItemKind::Block { step } else { RANGE_BYTES_MAX },
            md5: Md5Digest([0; 16]),
        };
        // One more for a list that begins in the middle of a run.
        let spare = u64::from(item.kind() != ItemKind::Block);
        let count = (length.div_ceil(step) + spare).min(RANGES_MAX as u64);
        Ok(Some((0..count).map(part).collect()))
    }

    fn whole(&self, item: ItemId) -> Option<Md5Digest> {
        self.0.item(item).dataset().content_md5.then_some(Md5Digest([0; 16]))
    }
}

/// Counts what goes through.
struct Counter(u64);

impl Write for Counter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

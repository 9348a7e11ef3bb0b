//! Writes drive manifests, one blob at a time: for drives that we make.
//!
//! azure-import-export.md §1.3–§1.6. Version 2014-11-01; the elements in the grammar's order. A
//! credential is never written, whatever the header says. What is written keeps the rules that
//! the reader checks if the entries do; texts that XML cannot hold are refused, because a path
//! must come back exactly.

use std::io::{self, Write};

use model::Md5Digest;

use crate::block_id::BlockId;
use crate::entry::{
    BlobEntry, BlobKind, BlockEntry, DriveHeader, ListHeader, ListKind, RangeEntry, SideFileRef,
};
use crate::xml::{attribute, is_writable, text};

/// The version that is written: §1.4.
pub const WRITTEN_VERSION: &str = "2014-11-01";

/// Writes a manifest: see the module.
pub struct ManifestWriter<W> {
    writer: W,
    list: Option<ListKind>,
}

/// Writing a manifest failed.
#[derive(Debug, thiserror::Error)]
pub enum ManifestWriteError {
    /// The writer failed.
    #[error("writing a manifest")]
    Write(#[from] io::Error),
    /// XML cannot hold this text.
    #[error("{element} {text:?} has a character that XML cannot hold")]
    Text {
        /// The element or attribute.
        element: &'static str,
        /// Its text.
        text: String,
    },
    /// An entry outside a list, or in a list of the other kind.
    #[error("a blob or file was written outside a list of its kind")]
    OutsideList,
}

impl<W: Write> ManifestWriter<W> {
    /// Begins a manifest.
    ///
    /// # Errors
    /// Those of the writer, and texts that XML cannot hold.
    pub fn new(mut writer: W, drive: &DriveHeader) -> Result<ManifestWriter<W>, ManifestWriteError> {
        let id = writable("DriveId", drive.drive_id.as_str())?;
        writeln!(writer, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>")?;
        writeln!(writer, "<DriveManifest Version=\"{WRITTEN_VERSION}\">\n<Drive>\n<DriveId>{id}</DriveId>")?;
        if let Some(creator) = &drive.client_creator {
            writeln!(writer, "<ClientCreator>{}</ClientCreator>", writable("ClientCreator", creator)?)?;
        }
        Ok(ManifestWriter { writer, list: None })
    }

    /// Begins a list; the one before it ends. The index is the reader's to count.
    ///
    /// # Errors
    /// Those of the writer, and texts that XML cannot hold.
    pub fn list(&mut self, list: &ListHeader) -> Result<(), ManifestWriteError> {
        self.end_list()?;
        let element = list_element(list.kind);
        match &list.id {
            Some(id) => {
                writable("Id", id)?;
                writeln!(self.writer, "<{element} Id=\"{}\">", attribute(id))?;
            }
            None => writeln!(self.writer, "<{element}>")?,
        }
        self.list = Some(list.kind);
        self.side_file("MetadataPath", list.metadata.as_ref())?;
        self.side_file("PropertiesPath", list.properties.as_ref())
    }

    /// Writes one entry into the list at hand.
    ///
    /// # Errors
    /// Those of the writer, texts that XML cannot hold, and an entry that the list cannot hold.
    pub fn blob(&mut self, entry: &BlobEntry) -> Result<(), ManifestWriteError> {
        let (element, path_element) = match (&entry.kind, self.list) {
            (BlobKind::Block(_) | BlobKind::Page(_), Some(ListKind::Blobs)) => ("Blob", "BlobPath"),
            (BlobKind::File(_), Some(ListKind::Files)) => ("File", "FileStoragePath"),
            _ => return Err(ManifestWriteError::OutsideList),
        };
        writeln!(self.writer, "<{element}>")?;
        self.element(path_element, Some(&entry.blob_path))?;
        self.element("FilePath", Some(&entry.file_path))?;
        self.element("ClientData", entry.client_data.as_deref())?;
        self.element("Snapshot", entry.snapshot.as_deref())?;
        writeln!(self.writer, "<Length>{}</Length>", entry.length_bytes)?;
        let disposition = entry.stated_disposition.map(|disposition| disposition.as_str());
        self.element("ImportDisposition", disposition)?;
        match &entry.kind {
            BlobKind::Block(blocks) => self.blocks(blocks)?,
            BlobKind::Page(ranges) => self.ranges("PageRange", ranges)?,
            BlobKind::File(ranges) => self.ranges("FileRange", ranges)?,
        }
        self.side_file("MetadataPath", entry.metadata.as_ref())?;
        self.side_file("PropertiesPath", entry.properties.as_ref())?;
        Ok(writeln!(self.writer, "</{element}>")?)
    }

    /// Ends the manifest.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn finish(mut self) -> Result<W, ManifestWriteError> {
        self.end_list()?;
        writeln!(self.writer, "</Drive>\n</DriveManifest>")?;
        self.writer.flush()?;
        Ok(self.writer)
    }

    fn end_list(&mut self) -> Result<(), ManifestWriteError> {
        match self.list.take() {
            Some(kind) => Ok(writeln!(self.writer, "</{}>", list_element(kind))?),
            None => Ok(()),
        }
    }

    fn element(&mut self, element: &'static str, content: Option<&str>) -> Result<(), ManifestWriteError> {
        let Some(content) = content else { return Ok(()) };
        Ok(writeln!(self.writer, "<{element}>{}</{element}>", writable(element, content)?)?)
    }

    fn side_file(
        &mut self,
        element: &'static str,
        side_file: Option<&SideFileRef>,
    ) -> Result<(), ManifestWriteError> {
        let Some(SideFileRef { path, hash }) = side_file else { return Ok(()) };
        Ok(writeln!(self.writer, "<{element} Hash=\"{hash}\">{}</{element}>", writable(element, path)?)?)
    }

    fn blocks(&mut self, blocks: &[BlockEntry]) -> Result<(), ManifestWriteError> {
        if blocks.is_empty() {
            return Ok(writeln!(self.writer, "<BlockList/>")?);
        }
        writeln!(self.writer, "<BlockList>")?;
        for BlockEntry { offset_bytes, length_bytes, id, hash } in blocks {
            write!(self.writer, "<Block Offset=\"{offset_bytes}\" Length=\"{length_bytes}\"")?;
            if let Some(id) = id {
                write!(self.writer, " Id=\"{id}\"")?;
            }
            writeln!(self.writer, " Hash=\"{hash}\"/>")?;
        }
        Ok(writeln!(self.writer, "</BlockList>")?)
    }

    fn ranges(&mut self, element: &str, ranges: &[RangeEntry]) -> Result<(), ManifestWriteError> {
        if ranges.is_empty() {
            return Ok(writeln!(self.writer, "<{element}List/>")?);
        }
        writeln!(self.writer, "<{element}List>")?;
        for RangeEntry { offset_bytes, length_bytes, hash } in ranges {
            write!(self.writer, "<{element} Offset=\"{offset_bytes}\" Length=\"{length_bytes}\"")?;
            writeln!(self.writer, " Hash=\"{hash}\"/>")?;
        }
        Ok(writeln!(self.writer, "</{element}List>")?)
    }
}

impl BlockEntry {
    /// A block as the preparation tool writes it: its id is made of its digest.
    pub fn tool(offset_bytes: u64, length_bytes: u64, hash: Md5Digest) -> BlockEntry {
        BlockEntry { offset_bytes, length_bytes, id: Some(BlockId::of_md5(&hash)), hash }
    }
}

/// Whether a manifest can hold the text: a path with another character cannot be written into one.
pub fn is_text_writable(text: &str) -> bool {
    is_writable(text)
}

fn list_element(kind: ListKind) -> &'static str {
    match kind {
        ListKind::Blobs => "BlobList",
        ListKind::Files => "FileList",
    }
}

fn writable<'a>(
    element: &'static str,
    content: &'a str,
) -> Result<std::borrow::Cow<'a, str>, ManifestWriteError> {
    if is_writable(content) {
        Ok(text(content))
    } else {
        Err(ManifestWriteError::Text { element, text: crate::xml::shortened(content).to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry::Credential;

    fn writer() -> ManifestWriter<Vec<u8>> {
        let drive = DriveHeader {
            version: String::new(),
            drive_id: model::DriveId::new("S1").unwrap(),
            credential: Credential::ContainerSas { container: "photos".to_owned() },
            client_creator: None,
        };
        ManifestWriter::new(Vec::new(), &drive).unwrap()
    }

    fn list(kind: ListKind) -> ListHeader {
        ListHeader { index: 0, kind, id: None, metadata: None, properties: None }
    }

    fn entry(blob_path: &str) -> BlobEntry {
        BlobEntry {
            index: 0,
            list: 0,
            blob_path: blob_path.to_owned(),
            file_path: "\\f".to_owned(),
            length_bytes: 0,
            stated_disposition: None,
            kind: BlobKind::Block(Vec::new()),
            metadata: None,
            properties: None,
            client_data: None,
            snapshot: None,
        }
    }

    #[test]
    fn a_credential_is_never_written() {
        let manifest = String::from_utf8(writer().finish().unwrap()).unwrap();
        assert!(!manifest.contains("photos") && !manifest.contains("Sas"), "{manifest}");
    }

    #[test]
    fn an_entry_goes_only_into_a_list_of_its_kind() {
        assert!(matches!(writer().blob(&entry("con/b")), Err(ManifestWriteError::OutsideList)));
        let mut writer = writer();
        writer.list(&list(ListKind::Files)).unwrap();
        assert!(matches!(writer.blob(&entry("con/b")), Err(ManifestWriteError::OutsideList)));
        writer.list(&list(ListKind::Blobs)).unwrap();
        writer.blob(&entry("con/b")).unwrap();
    }

    #[test]
    fn a_name_that_xml_cannot_hold_is_refused() {
        let mut writer = writer();
        writer.list(&list(ListKind::Blobs)).unwrap();
        let error = writer.blob(&entry("con/a\u{1}")).unwrap_err();
        assert!(matches!(error, ManifestWriteError::Text { element: "BlobPath", .. }), "{error}");
        assert!(
            !is_text_writable("con/a\u{1}") && !is_text_writable("\u{FFFE}") && is_text_writable("con/é")
        );
    }
}

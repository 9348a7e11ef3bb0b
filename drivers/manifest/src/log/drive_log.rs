//! `DriveLog`: azure-import-export.md §3.2 and §3.5.
//!
//! The writer makes version 2014-11-01, verbose (everything) or error (only what did not
//! complete). The layout of the bytes is ours: two blanks a level, one element a line.

pub(super) mod read;

use std::io::{self, Write};

use model::DriveId;
use model::status::{BlobStatus, ChunkStatus, DriveStatus, SideFileStatus};

use super::record::{BlobRecord, SideFileRecord};
use crate::entry::{BlobKind, RangeEntry, SideFileRef};
use crate::xml::{attribute, text};

/// What a drive log leaves out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DriveLogLevel {
    /// Only blobs that are not `Completed`, and in them only parts that are not.
    Error,
    /// Nothing.
    Verbose,
}

/// Writes a drive log, one blob at a time, and keeps none.
pub struct DriveLogWriter<W> {
    writer: W,
    level: DriveLogLevel,
}

impl<W: Write> DriveLogWriter<W> {
    /// Begins a log.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn new(mut writer: W, level: DriveLogLevel, drive: &DriveId) -> io::Result<DriveLogWriter<W>> {
        writeln!(writer, "<?xml version=\"1.0\" encoding=\"utf-8\"?>")?;
        writeln!(writer, "<DriveLog Version=\"2014-11-01\">")?;
        writeln!(writer, "  <DriveId>{}</DriveId>", text(drive.as_str()))?;
        Ok(DriveLogWriter { writer, level })
    }

    /// Writes what became of one blob; at the error level, nothing for one that completed.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn blob(&mut self, record: &BlobRecord<'_>) -> io::Result<()> {
        if self.level == DriveLogLevel::Error && record.status == BlobStatus::Completed {
            return Ok(());
        }
        let (element, path_element) = match record.entry.kind {
            BlobKind::File(_) => ("File", "FileStoragePath"),
            BlobKind::Block(_) | BlobKind::Page(_) => ("Blob", "BlobPath"),
        };
        let out = &mut self.writer;
        writeln!(out, "  <{element} Status=\"{}\">", record.status)?;
        writeln!(out, "    <{path_element}>{}</{path_element}>", text(record.path()))?;
        writeln!(out, "    <FilePath>{}</FilePath>", text(&record.entry.file_path))?;
        if let Some(snapshot) = &record.entry.snapshot {
            writeln!(out, "    <Snapshot>{}</Snapshot>", text(snapshot))?;
        }
        writeln!(out, "    <Length>{}</Length>", record.entry.length_bytes)?;
        if let Some(last_modified) = record.last_modified {
            writeln!(out, "    <LastModified>{}</LastModified>", text(last_modified))?;
        }
        if let Some(status) = record.disposition {
            let word = record.entry.disposition();
            writeln!(out, "    <ImportDisposition Status=\"{status}\">{word}</ImportDisposition>")?;
        }
        self.chunks(record)?;
        self.side_file("Metadata", record.metadata)?;
        self.side_file("Properties", record.properties)?;
        writeln!(self.writer, "  </{element}>")
    }

    /// Writes the drive's status and ends the log.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn finish(mut self, status: DriveStatus) -> io::Result<W> {
        writeln!(self.writer, "  <Status>{status}</Status>\n</DriveLog>")?;
        self.writer.flush()?;
        Ok(self.writer)
    }

    fn chunks(&mut self, record: &BlobRecord<'_>) -> io::Result<()> {
        match &record.entry.kind {
            BlobKind::Block(blocks) => self.list("BlockList", record, |out, index, status| {
                let Some(block) = blocks.get(index) else { return Ok(()) };
                write!(out, "<Block Offset=\"{}\" Length=\"{}\"", block.offset_bytes, block.length_bytes)?;
                if let Some(id) = block.id {
                    write!(out, " Id=\"{id}\"")?;
                }
                write!(out, " Hash=\"{}\" Status=\"{status}\" />", block.hash)
            }),
            BlobKind::Page(ranges) => self.ranges("PageRange", ranges, record),
            BlobKind::File(ranges) => self.ranges("FileRange", ranges, record),
        }
    }

    fn ranges(&mut self, element: &str, ranges: &[RangeEntry], record: &BlobRecord<'_>) -> io::Result<()> {
        self.list(&format!("{element}List"), record, |out, index, status| {
            let Some(RangeEntry { offset_bytes, length_bytes, hash }) = ranges.get(index) else {
                return Ok(());
            };
            write!(out, "<{element} Offset=\"{offset_bytes}\" Length=\"{length_bytes}\"")?;
            write!(out, " Hash=\"{hash}\" Status=\"{status}\" />")
        })
    }

    /// Writes a list; one without an element that this level shows is an empty element.
    fn list(
        &mut self,
        element: &str,
        record: &BlobRecord<'_>,
        write_part: impl Fn(&mut W, usize, ChunkStatus) -> io::Result<()>,
    ) -> io::Result<()> {
        let level = self.level;
        let shown = |status: ChunkStatus| level == DriveLogLevel::Verbose || status != ChunkStatus::Completed;
        let mut open = false;
        for index in 0..record.chunk_count() {
            let status = record.chunks.of(index);
            if !shown(status) {
                continue;
            }
            if !open {
                writeln!(self.writer, "    <{element}>")?;
                open = true;
            }
            write!(self.writer, "      ")?;
            write_part(&mut self.writer, index, status)?;
            writeln!(self.writer)?;
        }
        if open {
            writeln!(self.writer, "    </{element}>")
        } else {
            writeln!(self.writer, "    <{element} />")
        }
    }

    fn side_file(&mut self, element: &str, record: Option<SideFileRecord<'_>>) -> io::Result<()> {
        let Some(SideFileRecord { status, global, own }) = record else { return Ok(()) };
        if self.level == DriveLogLevel::Error && status == SideFileStatus::Completed {
            return Ok(());
        }
        if global.is_none() && own.is_none() {
            return writeln!(self.writer, "    <{element} Status=\"{status}\" />");
        }
        writeln!(self.writer, "    <{element} Status=\"{status}\">")?;
        for (name, side_file) in [("GlobalPath", global), ("Path", own)] {
            if let Some(SideFileRef { path, hash }) = side_file {
                let hash = attribute(&hash.to_string()).into_owned();
                writeln!(self.writer, "      <{name} Hash=\"{hash}\">{}</{name}>", text(path))?;
            }
        }
        writeln!(self.writer, "    </{element}>")
    }
}

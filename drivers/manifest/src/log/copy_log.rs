//! The copy log and the verbose log of 2021-08-01: azure-import-export.md §3.6 and §3.7.
//!
//! Both are runs of elements without a root or a prolog, each closing tag directly followed by the
//! next opening one; readers exist that expect exactly these bytes. `Path` is the blob's final
//! path: `container/rest` in the copy log, `container\rest` in the verbose one.

pub(super) mod read;

use std::io::{self, Write};

use model::status::DriveStatus;
use model::{BlobPath, DriveId};

use super::category::{Category, copy_error};
use super::record::BlobRecord;
use crate::entry::{BlobEntry, BlobKind};
use crate::xml::{attribute, text};

/// `DriveLogVersion`.
const VERSION: &str = "2021-08-01";

/// Writes a copy log: what did not land, or not under its own name, and a summary.
pub struct CopyLogWriter<W> {
    writer: W,
    total: u64,
    errored: u64,
    counts: [u64; Category::ALL.len()],
}

/// What the summary of a copy log counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CopyLogSummary {
    /// Blobs and files in all.
    pub total: u64,
    /// How many of them did not land whole.
    pub errored: u64,
}

impl<W: Write> CopyLogWriter<W> {
    /// Begins a log; nothing is written before the first entity.
    pub fn new(writer: W) -> CopyLogWriter<W> {
        CopyLogWriter { writer, total: 0, errored: 0, counts: [0; Category::ALL.len()] }
    }

    /// Counts one blob, and writes it if there is something to say about it.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn blob(&mut self, record: &BlobRecord<'_>) -> io::Result<()> {
        self.total = self.total.saturating_add(1);
        let Some(error) = copy_error(record) else { return Ok(()) };
        self.errored = self.errored.saturating_add(u64::from(error.category.is_error()));
        for (count, category) in self.counts.iter_mut().zip(Category::ALL) {
            *count = count.saturating_add(u64::from(category == error.category));
        }
        let format = cloud_format(record.entry);
        let path = attribute(record.path().trim_start_matches('/'));
        let out = &mut self.writer;
        writeln!(out, "<ErroredEntity CloudFormat=\"{format}\" Path=\"{path}\">")?;
        writeln!(out, "  <Category>{}</Category>", error.category)?;
        writeln!(out, "  <ErrorCode>{}</ErrorCode>", error.code)?;
        writeln!(out, "  <ErrorMessage>{}</ErrorMessage>", text(&error.message))?;
        write!(out, "  <Type>File</Type>\n</ErroredEntity>")
    }

    /// Writes the summary and ends the log.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn finish(mut self, drive: &DriveId, status: DriveStatus) -> io::Result<(W, CopyLogSummary)> {
        let status = match status {
            DriveStatus::Completed | DriveStatus::CompletedWithWarnings => "Succeeded",
            _ => "Failed",
        };
        let out = &mut self.writer;
        writeln!(out, "<CopyLog Summary=\"Summary\">")?;
        writeln!(out, "  <DriveLogVersion>{VERSION}</DriveLogVersion>")?;
        writeln!(out, "  <DriveId>{}</DriveId>", text(drive.as_str()))?;
        writeln!(out, "  <Status>{status}</Status>")?;
        writeln!(out, "  <TotalFiles_Blobs>{}</TotalFiles_Blobs>", self.total)?;
        writeln!(out, "  <FilesErrored>{}</FilesErrored>", self.errored)?;
        writeln!(out, "  <Summary>")?;
        let good = self.total.saturating_sub(self.errored);
        writeln!(out, "    <ValidationErrors><None Count=\"{good}\" /></ValidationErrors>")?;
        writeln!(out, "    <CopyErrors>")?;
        if self.counts.iter().all(|&count| count == 0) {
            let total = self.total;
            writeln!(out, "      <None Count=\"{total}\" Description=\"No errors encountered\" />")?;
        }
        for (category, count) in Category::ALL.into_iter().zip(self.counts).filter(|(_, count)| *count > 0) {
            let description = category.description();
            writeln!(out, "      <{category} Count=\"{count}\" Description=\"{description}\" />")?;
        }
        write!(out, "    </CopyErrors>\n  </Summary>\n</CopyLog>")?;
        out.flush()?;
        Ok((self.writer, CopyLogSummary { total: self.total, errored: self.errored }))
    }
}

/// Writes a verbose log: what landed.
pub struct VerboseLogWriter<W> {
    writer: W,
}

/// One blob that landed.
#[derive(Debug, Clone, Copy)]
pub struct VerboseFile<'a> {
    /// The entry that it landed from.
    pub entry: &'a BlobEntry,
    /// Where it landed.
    pub destination: &'a BlobPath,
    /// CRC-64/NVME of all its bytes.
    pub crc64: u64,
}

impl<W: Write> VerboseLogWriter<W> {
    /// Begins a log; it has nothing before its first file.
    pub fn new(writer: W) -> VerboseLogWriter<W> {
        VerboseLogWriter { writer }
    }

    /// Writes one blob that landed.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn file(&mut self, file: &VerboseFile<'_>) -> io::Result<()> {
        let format = cloud_format(file.entry);
        let path = format!("{}\\{}", file.destination.container(), file.destination.name());
        let (path, size, crc64) = (attribute(&path), file.entry.length_bytes, file.crc64);
        write!(
            self.writer,
            "<File CloudFormat=\"{format}\" Path=\"{path}\" Size=\"{size}\" crc64=\"{crc64}\">\n</File>"
        )
    }

    /// Ends the log; nothing is written.
    ///
    /// # Errors
    /// Those of the writer's flush.
    pub fn finish(mut self) -> io::Result<W> {
        self.writer.flush()?;
        Ok(self.writer)
    }
}

/// `CloudFormat`: what the entry becomes.
fn cloud_format(entry: &BlobEntry) -> &'static str {
    match entry.kind {
        BlobKind::Block(_) => "BlockBlob",
        BlobKind::Page(_) => "PageBlob",
        BlobKind::File(_) => "AzureFile",
    }
}

//! Reads drive logs of 2014-11-01 and 2018-10-01: azure-import-export.md §3.2–§3.5.
//!
//! Lenient: order does not matter, unknown elements are stepped over, a number or a hash that is
//! none is as if it were absent. Bounded: one blob at a time, its parts capped.

use std::io::BufRead;

use model::status::{BlobStatus, ChunkStatus, DispositionStatus, DriveStatus, SideFileStatus};
use model::{ImportDisposition, Md5Digest};

use super::super::error::{LogError, LogFault};
use super::super::summary::{self, LogSummary};
use super::super::word::Word;
use crate::block_id::BlockId;
use crate::limits::RANGES_MAX;
use crate::xml::{Pull, Step, shortened};

/// Reads a drive log, one blob at a time.
pub struct DriveLogReader<R> {
    pull: Pull<R>,
    started: bool,
    done: bool,
    head: DriveLogHead,
}

/// What a drive log says about the drive; complete once the last blob was read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DriveLogHead {
    /// `@Version`; some published samples have none.
    pub version: Option<String>,
    /// The drive's id as written.
    pub drive_id: Option<String>,
    /// The summary of 2018-10-01.
    pub summary: Option<LogSummary>,
    /// The drive's status.
    pub status: Option<Word<DriveStatus>>,
}

/// One `Blob` or `File` of a drive log.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LoggedBlob {
    /// Whether it is a `File`.
    pub is_file: bool,
    /// How it ended.
    pub status: Option<Word<BlobStatus>>,
    /// `BlobPath` or `FileStoragePath`.
    pub blob_path: Option<String>,
    /// `FilePath` or `OriginalFilePath`.
    pub file_path: Option<String>,
    /// `Snapshot`.
    pub snapshot: Option<String>,
    /// `Length` or `SizeInBytes`.
    pub length_bytes: Option<u64>,
    /// `LastModified`.
    pub last_modified: Option<String>,
    /// The disposition.
    pub disposition: Option<LoggedDisposition>,
    /// Blocks or ranges.
    pub parts: LoggedParts,
    /// Metadata.
    pub metadata: Option<LoggedSideFile>,
    /// Properties.
    pub properties: Option<LoggedSideFile>,
}

/// `ImportDisposition` of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoggedDisposition {
    /// What it led to.
    pub status: Option<Word<DispositionStatus>>,
    /// What was asked for.
    pub asked: Word<ImportDisposition>,
}

/// The parts of a blob that a log lists.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum LoggedParts {
    /// No list.
    #[default]
    Absent,
    /// `BlockList`.
    Blocks(Vec<LoggedPart>),
    /// `PageRangeList`.
    Pages(Vec<LoggedPart>),
    /// `FileRangeList`.
    Files(Vec<LoggedPart>),
}

/// One block or range.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LoggedPart {
    /// Where it begins.
    pub offset_bytes: Option<u64>,
    /// How long it is.
    pub length_bytes: Option<u64>,
    /// A block's id.
    pub id: Option<Box<BlockId>>,
    /// MD5 of its bytes.
    pub hash: Option<Md5Digest>,
    /// How it ended.
    pub status: Option<Word<ChunkStatus>>,
}

/// `Metadata` or `Properties` of a log.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LoggedSideFile {
    /// How it ended.
    pub status: Option<Word<SideFileStatus>>,
    /// The list's file, and its hash as written.
    pub global: Option<LoggedFile>,
    /// The blob's own file, and its hash as written.
    pub own: Option<LoggedFile>,
}

/// `GlobalPath` or `Path`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoggedFile {
    /// Path on the drive.
    pub path: String,
    /// The file's hash as written.
    pub hash: Option<String>,
}

impl<R: BufRead> DriveLogReader<R> {
    /// A reader of one log.
    pub fn new(reader: R) -> DriveLogReader<R> {
        DriveLogReader { pull: Pull::new(reader), started: false, done: false, head: DriveLogHead::default() }
    }

    /// The next blob; `None` at the end.
    ///
    /// # Errors
    /// When the log cannot be read on; after that there is only `None`.
    #[expect(
        clippy::should_implement_trait,
        reason = "an iterator would make the end and an error look alike"
    )]
    pub fn next(&mut self) -> Result<Option<LoggedBlob>, LogError> {
        if self.done {
            return Ok(None);
        }
        let blob = self.advance();
        self.done = !matches!(blob, Ok(Some(_)));
        blob
    }

    /// What is known about the drive so far.
    pub fn head(&self) -> &DriveLogHead {
        &self.head
    }

    fn advance(&mut self) -> Result<Option<LoggedBlob>, LogError> {
        if !self.started {
            self.started = true;
            self.root()?;
        }
        loop {
            match self.pull.step()? {
                Step::End => return Ok(None),
                Step::Close => {}
                Step::Open => match self.pull.tag().name {
                    "Blob" => return self.blob(false).map(Some),
                    "File" => return self.blob(true).map(Some),
                    "DriveId" => self.head.drive_id = Some(self.text()?),
                    "Status" => self.head.status = Some(Word::of(&self.text()?)),
                    "Summary" => self.head.summary = Some(summary::read(&mut self.pull)?),
                    _ => self.pull.skip()?,
                },
            }
        }
    }

    fn root(&mut self) -> Result<(), LogError> {
        self.pull.step()?;
        let found = self.pull.tag().name;
        if found != "DriveLog" {
            let fault = LogFault::Root { expected: "DriveLog", found: shortened(found).to_owned() };
            return Err(LogError { place: self.pull.place(), fault });
        }
        self.head.version = self.attribute("Version")?;
        Ok(())
    }

    fn blob(&mut self, is_file: bool) -> Result<LoggedBlob, LogError> {
        let status = self.attribute("Status")?.map(|text| Word::of(&text));
        let mut blob = LoggedBlob { is_file, status, ..LoggedBlob::default() };
        while self.pull.step()? == Step::Open {
            self.child(&mut blob)?;
        }
        Ok(blob)
    }

    fn child(&mut self, blob: &mut LoggedBlob) -> Result<(), LogError> {
        match self.pull.tag().name {
            "BlobPath" | "FileStoragePath" => blob.blob_path = Some(self.text()?),
            "FilePath" | "OriginalFilePath" => blob.file_path = Some(self.text()?),
            "Snapshot" => blob.snapshot = Some(self.text()?),
            "LastModified" => blob.last_modified = Some(self.text()?),
            "Length" | "SizeInBytes" => blob.length_bytes = self.text()?.trim().parse().ok(),
            "ImportDisposition" => {
                let status = self.attribute("Status")?.map(|text| Word::of(&text));
                blob.disposition = Some(LoggedDisposition { status, asked: Word::of(&self.text()?) });
            }
            "BlockList" => blob.parts = LoggedParts::Blocks(self.parts("Block")?),
            "PageRangeList" => blob.parts = LoggedParts::Pages(self.parts("PageRange")?),
            "FileRangeList" => blob.parts = LoggedParts::Files(self.parts("FileRange")?),
            "Metadata" => blob.metadata = Some(self.side_file()?),
            "Properties" => blob.properties = Some(self.side_file()?),
            _ => self.pull.skip()?,
        }
        Ok(())
    }

    fn parts(&mut self, element: &str) -> Result<Vec<LoggedPart>, LogError> {
        let mut parts = Vec::new();
        while self.pull.step()? == Step::Open {
            if self.pull.tag().name == element {
                if parts.len() == RANGES_MAX {
                    let fault = LogFault::PartCount { max: RANGES_MAX };
                    return Err(LogError { place: self.pull.place(), fault });
                }
                parts.push(self.part()?);
            }
            self.pull.skip()?;
        }
        Ok(parts)
    }

    fn part(&self) -> Result<LoggedPart, LogError> {
        let mut part = LoggedPart::default();
        let result = self.pull.tag().attributes(|name, value| match name {
            "Offset" => part.offset_bytes = value.trim().parse().ok(),
            "Length" => part.length_bytes = value.trim().parse().ok(),
            "Id" => part.id = value.trim().parse().ok().map(Box::new),
            "Hash" => part.hash = value.parse().ok(),
            "Status" => part.status = Some(Word::of(&value)),
            _ => {}
        });
        result.map_err(|fault| self.pull.fault(fault))?;
        Ok(part)
    }

    fn side_file(&mut self) -> Result<LoggedSideFile, LogError> {
        let status = self.attribute("Status")?.map(|text| Word::of(&text));
        let mut side_file = LoggedSideFile { status, ..LoggedSideFile::default() };
        while self.pull.step()? == Step::Open {
            let is_global = match self.pull.tag().name {
                "GlobalPath" => true,
                "Path" => false,
                _ => {
                    self.pull.skip()?;
                    continue;
                }
            };
            let hash = self.attribute("Hash")?;
            let file = Some(LoggedFile { hash, path: self.text()? });
            if is_global { side_file.global = file } else { side_file.own = file }
        }
        Ok(side_file)
    }

    fn text(&mut self) -> Result<String, LogError> {
        let mut text = String::new();
        self.pull.text(&mut text)?;
        Ok(text)
    }

    fn attribute(&self, wanted: &str) -> Result<Option<String>, LogError> {
        let mut found = None;
        let result = self.pull.tag().attributes(|name, value| {
            if name == wanted {
                found = Some(value.into_owned());
            }
        });
        result.map_err(|fault| self.pull.fault(fault))?;
        Ok(found)
    }
}

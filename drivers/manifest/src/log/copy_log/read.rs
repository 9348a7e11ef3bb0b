//! Reads copy logs and verbose logs of 2021-08-01: azure-import-export.md §3.6 and §3.7.
//!
//! Both are runs of elements without a root, so one reader takes both, mixed too; it also takes
//! the plain variant whose summary has no drive. Lenient and bounded as the drive log's reader.

use std::io::BufRead;

use super::super::error::LogError;
use super::super::summary::{self, LogSummary};
use crate::xml::{Pull, Step};

/// Reads a copy log or a verbose log, one element at a time.
pub struct CopyLogReader<R> {
    pull: Pull<R>,
    done: bool,
}

/// One element of a copy log or a verbose log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CopyLogEntry {
    /// `ErroredEntity`.
    Errored(ErroredEntity),
    /// `CopyLog`: the summary, once, at the end.
    Summary(CopyLogTotals),
    /// `File`: something that was copied.
    File(CopiedFile),
}

/// Something that was not copied, or not under its own name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ErroredEntity {
    /// `BlockBlob`, `PageBlob`, `AzureFile`; absent for containers.
    pub cloud_format: Option<String>,
    /// Its path.
    pub path: Option<String>,
    /// Why: [`super::super::Category`], or another word.
    pub category: Option<String>,
    /// The ETag; exports only.
    pub etag: Option<String>,
    /// The code.
    pub error_code: Option<i64>,
    /// The message.
    pub error_message: Option<String>,
    /// `File` or `Container`.
    pub kind: Option<String>,
}

/// The summary of a copy log.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CopyLogTotals {
    /// `DriveLogVersion`.
    pub version: Option<String>,
    /// `DriveId`.
    pub drive_id: Option<String>,
    /// `Succeeded` or `Failed`.
    pub status: Option<String>,
    /// Blobs and files in all.
    pub total: Option<u64>,
    /// How many of them failed.
    pub errored: Option<u64>,
    /// How often each error occurred.
    pub summary: Option<LogSummary>,
}

/// Something that was copied.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CopiedFile {
    /// `BlockBlob`, `PageBlob`, `AzureFile`.
    pub cloud_format: Option<String>,
    /// The ETag; exports only.
    pub etag: Option<String>,
    /// Its path.
    pub path: Option<String>,
    /// Its length.
    pub size_bytes: Option<u64>,
    /// CRC-64/NVME of its bytes.
    pub crc64: Option<u64>,
}

impl<R: BufRead> CopyLogReader<R> {
    /// A reader of one log.
    pub fn new(reader: R) -> CopyLogReader<R> {
        CopyLogReader { pull: Pull::several_roots(reader), done: false }
    }

    /// The next element; `None` at the end.
    ///
    /// # Errors
    /// When the log cannot be read on; after that there is only `None`.
    #[expect(
        clippy::should_implement_trait,
        reason = "an iterator would make the end and an error look alike"
    )]
    pub fn next(&mut self) -> Result<Option<CopyLogEntry>, LogError> {
        if self.done {
            return Ok(None);
        }
        let entry = self.advance();
        self.done = !matches!(entry, Ok(Some(_)));
        entry
    }

    fn advance(&mut self) -> Result<Option<CopyLogEntry>, LogError> {
        loop {
            match self.pull.step()? {
                Step::End => return Ok(None),
                Step::Close => {}
                Step::Open => match self.pull.tag().name {
                    "ErroredEntity" => return self.errored().map(CopyLogEntry::Errored).map(Some),
                    "CopyLog" => return self.totals().map(CopyLogEntry::Summary).map(Some),
                    "File" => return self.file().map(CopyLogEntry::File).map(Some),
                    _ => self.pull.skip()?,
                },
            }
        }
    }

    fn errored(&mut self) -> Result<ErroredEntity, LogError> {
        let mut entity = ErroredEntity::default();
        self.attributes(|name, value| match name {
            "CloudFormat" => entity.cloud_format = Some(value),
            "Path" => entity.path = Some(value),
            _ => {}
        })?;
        while self.pull.step()? == Step::Open {
            match self.pull.tag().name {
                "Category" => entity.category = Some(self.text()?),
                "ETag" => entity.etag = Some(self.text()?),
                "ErrorCode" => entity.error_code = self.text()?.trim().parse().ok(),
                "ErrorMessage" => entity.error_message = Some(self.text()?),
                "Type" => entity.kind = Some(self.text()?),
                _ => self.pull.skip()?,
            }
        }
        Ok(entity)
    }

    fn totals(&mut self) -> Result<CopyLogTotals, LogError> {
        let mut totals = CopyLogTotals::default();
        while self.pull.step()? == Step::Open {
            match self.pull.tag().name {
                "DriveLogVersion" => totals.version = Some(self.text()?),
                "DriveId" => totals.drive_id = Some(self.text()?),
                "Status" => totals.status = Some(self.text()?),
                "TotalFiles_Blobs" => totals.total = self.text()?.trim().parse().ok(),
                "FilesErrored" => totals.errored = self.text()?.trim().parse().ok(),
                "Summary" => totals.summary = Some(summary::read(&mut self.pull)?),
                _ => self.pull.skip()?,
            }
        }
        Ok(totals)
    }

    fn file(&mut self) -> Result<CopiedFile, LogError> {
        let mut file = CopiedFile::default();
        self.attributes(|name, value| match name {
            "CloudFormat" => file.cloud_format = Some(value),
            "ETag" => file.etag = Some(value),
            "Path" => file.path = Some(value),
            "Size" => file.size_bytes = value.trim().parse().ok(),
            "crc64" => file.crc64 = value.trim().parse().ok(),
            _ => {}
        })?;
        self.pull.skip()?;
        Ok(file)
    }

    fn text(&mut self) -> Result<String, LogError> {
        let mut text = String::new();
        self.pull.text(&mut text)?;
        Ok(text)
    }

    fn attributes(&self, mut each: impl FnMut(&str, String)) -> Result<(), LogError> {
        let result = self.pull.tag().attributes(|name, value| each(name, value.into_owned()));
        result.map_err(|fault| LogError::from(self.pull.fault(fault)))
    }
}

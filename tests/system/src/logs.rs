//! Reads the logs of an ingest back, for tests to compare.

use std::collections::BTreeMap;
use std::fs;
use std::io::BufReader;
use std::path::Path;

use anyhow::{Context, Result};
use manifest::log::{DriveLogReader, LoggedBlob, LoggedPart, LoggedParts};
use rig::pack::ExpectedDrive;
use transfer::task::Report;

/// A drive log: its blobs by path, and the drive's status.
pub struct DriveLog {
    /// Blobs by the path that the log gives.
    pub blobs: BTreeMap<String, LoggedBlob>,
    /// `DriveLog/Status`.
    pub status: String,
}

impl DriveLog {
    /// Reads a file.
    ///
    /// # Errors
    /// When it is not there or is no drive log.
    pub fn read(path: &Path) -> Result<DriveLog> {
        let file = fs::File::open(path).with_context(|| format!("opening {}", path.display()))?;
        let mut reader = DriveLogReader::new(BufReader::new(file));
        let mut blobs = BTreeMap::new();
        while let Some(blob) = reader.next().context("reading a drive log")? {
            let name = blob.blob_path.clone().context("a logged blob has a path")?;
            blobs.insert(name, blob);
        }
        let status = reader.head().status.as_ref().context("a drive log has a status")?.to_string();
        Ok(DriveLog { blobs, status })
    }

    /// The verbose log of a report.
    ///
    /// # Errors
    /// When it is not there or is no drive log.
    pub fn verbose(report: &Report) -> Result<DriveLog> {
        DriveLog::read(&report.local_logs[1])
    }

    /// The error log of a report.
    ///
    /// # Errors
    /// When it is not there or is no drive log.
    pub fn error(report: &Report) -> Result<DriveLog> {
        DriveLog::read(&report.local_logs[0])
    }

    /// A blob's status and what became of its disposition; two empty texts when it is not there.
    pub fn outcome(&self, blob_path: &str) -> (String, String) {
        let Some(blob) = self.blobs.get(blob_path) else { return Default::default() };
        let disposition = blob.disposition.as_ref().and_then(|disposition| disposition.status.as_ref());
        let text = |word: Option<String>| word.unwrap_or_default();
        (text(blob.status.as_ref().map(ToString::to_string)), text(disposition.map(ToString::to_string)))
    }

    /// Everything in which the log differs from what it must say; none when all is as it must be.
    pub fn differences(&self, expected: &ExpectedDrive) -> Vec<String> {
        let mut differences = Vec::new();
        if self.status != expected.drive_status {
            differences.push(format!("the drive is {}, not {}", self.status, expected.drive_status));
        }
        for blob in &expected.blobs {
            let Some(found) = self.blobs.get(&blob.blob) else {
                differences.push(format!("{}: is not in the log", blob.blob));
                continue;
            };
            let mut check = |what: &str, expected: Option<&str>, found: Option<String>| {
                if let Some(expected) = expected.filter(|expected| Some(*expected) != found.as_deref()) {
                    differences.push(format!("{}: its {what} is {found:?}, not {expected}", blob.blob));
                }
            };
            check("status", Some(&blob.status), found.status.as_ref().map(ToString::to_string));
            let side = |side: &Option<manifest::log::LoggedSideFile>| {
                side.as_ref().and_then(|side| side.status.as_ref()).map(ToString::to_string)
            };
            check("metadata", blob.metadata_status.as_deref(), side(&found.metadata));
            check("properties", blob.properties_status.as_deref(), side(&found.properties));
            let parts = part_statuses(found);
            for (index, expected) in blob.blocks.iter().flatten().enumerate() {
                let part = parts.get(index).cloned().unwrap_or_default();
                let agrees = match expected.as_str() {
                    "not Corrupted" => part != "Corrupted" && !part.is_empty(),
                    expected => part == expected,
                };
                if !agrees {
                    differences.push(format!("{}: part {index} is {part:?}, not {expected}", blob.blob));
                }
            }
        }
        differences
    }
}

/// The status of each block or range of a logged blob.
pub fn part_statuses(blob: &LoggedBlob) -> Vec<String> {
    let parts: &[LoggedPart] = match &blob.parts {
        LoggedParts::Absent => &[],
        LoggedParts::Blocks(parts) | LoggedParts::Pages(parts) | LoggedParts::Files(parts) => parts,
    };
    parts.iter().map(|part| part.status.as_ref().map(ToString::to_string).unwrap_or_default()).collect()
}

/// The bytes of all four logs, for comparing runs.
///
/// # Errors
/// When one cannot be read.
pub fn bytes(report: &Report) -> Result<Vec<Vec<u8>>> {
    report
        .local_logs
        .iter()
        .map(|path| fs::read(path).with_context(|| format!("reading {}", path.display())))
        .collect()
}

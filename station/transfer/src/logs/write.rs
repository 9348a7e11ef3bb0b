//! The local logs: manifest and outcomes, merged in the manifest's order.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ledger::{BlobOutcome, ReadError, RunNo, Runs};
use manifest::log::{
    BlobRecord, ChunkStatuses, CopyLogWriter, DriveLogLevel, DriveLogWriter, SideFileRecord, VerboseFile,
    VerboseLogWriter,
};
use manifest::{BlobEntry, ListHeader, ManifestError, ManifestEvent, ManifestReader};
use model::status::{BlobStatus, ChunkStatus, DispositionStatus, DriveStatus};
use model::{BlobPath, DriveId};
use tokio::runtime::Handle;

use crate::logs::LogNames;
use proof::bring_up::OpenDrive;

/// Outcomes are fetched this many at a time.
const PAGE_OUTCOMES: u32 = 4_096;

/// Why logs could not be written.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The station's own disk.
    #[error("writing the log {}", path.display())]
    Local {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The drive no longer gives its manifest.
    #[error("reading the manifest again for the logs")]
    Manifest(#[source] ManifestError),
    /// The ledger cannot be read.
    #[error("reading the outcomes for the logs")]
    Ledger(#[from] ReadError),
    /// A blob of the manifest has no outcome although the copy has ended: our own mistake.
    #[error("blob {index} of the manifest has no outcome")]
    NoOutcome {
        /// The blob's index in the manifest.
        index: u64,
    },
    /// A thread of ours died.
    #[error("writing the logs panicked")]
    Panicked,
}

/// Failures that a report lists; the error log has all.
const FAILURES_MAX: usize = 20;

/// What was written.
#[derive(Debug, Clone, Default)]
pub struct Written {
    /// The logs, in [`LogNames::all`]'s order.
    pub paths: Vec<PathBuf>,
    /// The first blobs that failed.
    pub failures: Vec<Failure>,
}

/// A blob whose status is not `Completed`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// As the manifest has it.
    pub blob_path: String,
    /// The log's code.
    pub status: BlobStatus,
    /// Why.
    pub message: String,
}

/// What the logs are about.
pub struct LogRequest {
    /// Where outcomes are.
    pub ledger: Arc<dyn Runs>,
    /// Which run's.
    pub run: RunNo,
    /// The open drive; none when it was refused before its manifest could be read.
    pub drive: Option<Arc<OpenDrive>>,
    /// The drive's serial number.
    pub drive_id: DriveId,
    /// What the logs say of the drive as a whole.
    pub status: DriveStatus,
    /// Whether blobs were copied, so that each has an outcome.
    pub copied: bool,
}

/// Writes all four logs. A log appears under its name only when it is whole.
///
/// # Errors
/// See [`LogError`].
pub async fn write(request: LogRequest, names: &LogNames, logs_dir: &Path) -> Result<Written, LogError> {
    let paths = names.local(logs_dir);
    let handle = Handle::current();
    let written = paths.clone();
    let failures = tokio::task::spawn_blocking(move || write_blocking(&request, &written, &handle))
        .await
        .map_err(|_| LogError::Panicked)??;
    Ok(Written { paths, failures })
}

fn write_blocking(
    request: &LogRequest,
    paths: &[PathBuf],
    handle: &Handle,
) -> Result<Vec<Failure>, LogError> {
    let parts: Vec<PathBuf> = paths.iter().map(|path| path.with_extension("part")).collect();
    let mut files = Vec::new();
    for part in &parts {
        files.push(create(part).map_err(|source| LogError::Local { path: part.clone(), source })?);
    }
    let local = |source| LogError::Local { path: parts[0].clone(), source };
    let mut logs = Writers::new(&request.drive_id, files).map_err(local)?;
    if let Some(drive) = request.drive.as_ref().filter(|_| request.copied) {
        let mut outcomes = Outcomes { request, handle, next: 0, page: VecDeque::new() };
        write_blobs(drive, &mut outcomes, &mut logs, &parts[0])?;
    }
    let failures = std::mem::take(&mut logs.failures);
    let files = logs.finish(&request.drive_id, request.status).map_err(local)?;
    for ((mut file, part), path) in files.into_iter().zip(&parts).zip(paths) {
        let kept =
            file.flush().and_then(|()| file.get_ref().sync_all()).and_then(|()| std::fs::rename(part, path));
        kept.map_err(|source| LogError::Local { path: path.clone(), source })?;
    }
    Ok(failures)
}

fn create(path: &Path) -> io::Result<BufWriter<File>> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    Ok(BufWriter::with_capacity(1 << 20, File::create(path)?))
}

fn write_blobs(
    drive: &OpenDrive,
    outcomes: &mut Outcomes<'_>,
    logs: &mut Writers,
    path: &Path,
) -> Result<(), LogError> {
    let mut reader = ManifestReader::new(BufReader::with_capacity(1 << 16, drive.manifest.read()));
    let mut list = None;
    while let Some(event) = reader.next().map_err(LogError::Manifest)? {
        match event {
            ManifestEvent::Drive(_) => {}
            ManifestEvent::List(header) => list = Some(header),
            ManifestEvent::Blob(entry) => {
                let outcome = outcomes.take(entry.index)?;
                logs.blob(&entry, list.as_ref(), &outcome)
                    .map_err(|source| LogError::Local { path: path.to_owned(), source })?;
            }
        }
    }
    Ok(())
}

/// The ledger's outcomes in the manifest's order, a page at a time.
struct Outcomes<'a> {
    request: &'a LogRequest,
    handle: &'a Handle,
    next: u64,
    page: VecDeque<(u64, BlobOutcome)>,
}

impl Outcomes<'_> {
    fn take(&mut self, index: u64) -> Result<BlobOutcome, LogError> {
        if self.page.is_empty() {
            let page = self.request.ledger.outcomes(self.request.run, self.next, PAGE_OUTCOMES);
            self.page = self.handle.block_on(page)?.into();
            self.next = self.page.back().map_or(self.next, |(last, _)| last + 1);
        }
        match self.page.pop_front() {
            Some((found, outcome)) if found == index => Ok(outcome),
            _ => Err(LogError::NoOutcome { index }),
        }
    }
}

struct Writers {
    error: DriveLogWriter<BufWriter<File>>,
    verbose: DriveLogWriter<BufWriter<File>>,
    copy: CopyLogWriter<BufWriter<File>>,
    copy_verbose: VerboseLogWriter<BufWriter<File>>,
    failures: Vec<Failure>,
}

impl Writers {
    fn new(drive: &DriveId, files: Vec<BufWriter<File>>) -> io::Result<Writers> {
        let [error, verbose, copy, copy_verbose] =
            <[BufWriter<File>; 4]>::try_from(files).expect("four logs have four files");
        Ok(Writers {
            error: DriveLogWriter::new(error, DriveLogLevel::Error, drive)?,
            verbose: DriveLogWriter::new(verbose, DriveLogLevel::Verbose, drive)?,
            copy: CopyLogWriter::new(copy),
            copy_verbose: VerboseLogWriter::new(copy_verbose),
            failures: Vec::new(),
        })
    }

    fn blob(
        &mut self,
        entry: &BlobEntry,
        list: Option<&ListHeader>,
        outcome: &BlobOutcome,
    ) -> io::Result<()> {
        let exceptions: Vec<(usize, ChunkStatus)> =
            outcome.chunk_exceptions.iter().map(|(index, status)| (*index as usize, *status)).collect();
        let record = BlobRecord {
            entry,
            status: outcome.status,
            disposition: outcome.disposition,
            renamed_to: outcome.final_path.as_deref(),
            chunks: ChunkStatuses::Except { rest: outcome.chunk_default, exceptions: &exceptions },
            metadata: outcome.metadata.map(|status| SideFileRecord {
                status,
                global: list.and_then(|list| list.metadata.as_ref()),
                own: entry.metadata.as_ref(),
            }),
            properties: outcome.properties.map(|status| SideFileRecord {
                status,
                global: list.and_then(|list| list.properties.as_ref()),
                own: entry.properties.as_ref(),
            }),
            last_modified: None,
            http_status: outcome.http_status,
        };
        if outcome.status != BlobStatus::Completed && self.failures.len() < FAILURES_MAX {
            let message = outcome.message.clone().unwrap_or_default();
            self.failures.push(Failure {
                blob_path: entry.blob_path.clone(),
                status: outcome.status,
                message,
            });
        }
        self.error.blob(&record)?;
        self.verbose.blob(&record)?;
        self.copy.blob(&record)?;
        self.copy_verbose(entry, outcome)
    }

    /// The verbose copy log lists what landed whole, nothing else.
    fn copy_verbose(&mut self, entry: &BlobEntry, outcome: &BlobOutcome) -> io::Result<()> {
        let landed = outcome.status == BlobStatus::Completed
            && outcome.disposition != Some(DispositionStatus::Skipped);
        let destination = BlobPath::parse(outcome.final_path.as_deref().unwrap_or(&entry.blob_path));
        match (landed, outcome.crc64, destination) {
            (true, Some(crc64), Ok(destination)) => {
                self.copy_verbose.file(&VerboseFile { entry, destination: &destination, crc64 })
            }
            _ => Ok(()),
        }
    }

    fn finish(self, drive: &DriveId, status: DriveStatus) -> io::Result<Vec<BufWriter<File>>> {
        Ok(vec![
            self.error.finish(status)?,
            self.verbose.finish(status)?,
            self.copy.finish(drive, status)?.0,
            self.copy_verbose.finish()?,
        ])
    }
}

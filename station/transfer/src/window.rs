//! The manifest, a window of blobs at a time, from text to spans in the drive's order.
//!
//! Runs on a thread of its own, one window ahead of the reads, so neither waits for the other.
//! Invariant: memory for the plan is bounded by [`WINDOW_CHUNKS`] chunks and one manifest entry,
//! whatever the number of blobs on the drive: the platter is swept once a window.

use std::collections::HashMap;
use std::sync::Arc;

use manifest::{BlobEntry, Credential, ManifestEvent, ManifestReader, SideFileRef};
use model::status::{BlobStatus, ChunkStatus, SideFileStatus};
use proof::chain;
use proof::file::{self, FileContent};
use proof::side::{SideFiles, SideStatuses};
use proof::work::{Sweep, Work};
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use crate::blob::{Blob, BlobStart, Chunk, Earlier};
use crate::outcome::{BlobFailure, Ending};
use crate::run::Run;
use crate::side::headers_of;
use proof::bring_up::OpenDrive;

/// Chunks of a window. 16,384 chunks of 4 MiB are 69 GB, a sweep of the platter every six minutes;
/// with what belongs to each (about 1.3 kB) the three windows that are alive at once (fed, waiting,
/// planned) stay under 64 MiB.
pub const WINDOW_CHUNKS: usize = 1 << 14;

/// What is fed next.
pub struct Window {
    /// Blobs that need no read: failed before their first byte, or without chunks.
    pub settled: Vec<Arc<Blob>>,
    /// What to read, in the drive's order.
    pub work: Vec<Work<Chunk>>,
}

/// Why planning had to stop: the drive cannot be read any more.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// It no longer gives the manifest that was proven.
    #[error("reading the manifest again while planning")]
    Manifest(#[source] manifest::ManifestError),
    /// A file could not be opened, and the drive is gone: that says nothing about the file.
    #[error("looking for {file_path} on the drive, which cannot be reached any more")]
    Gone {
        /// The file.
        file_path: String,
    },
}

/// Plans the whole manifest, window by window, leaving out blobs that have an outcome.
///
/// # Errors
/// When the drive no longer gives the manifest that was proven.
pub fn plan_all(
    run: &Run,
    drive: &OpenDrive,
    done: &dyn Fn(u64) -> bool,
    mut earlier: HashMap<u64, (u32, Earlier)>,
    windows: &mpsc::Sender<Window>,
) -> Result<(), PlanError> {
    let mut planner = Planner::new(run, drive);
    let mut reader = ManifestReader::new(std::io::BufReader::with_capacity(1 << 16, drive.manifest.read()));
    let mut list_files = (None, None);
    while let Some(event) = reader.next().map_err(PlanError::Manifest)? {
        match event {
            ManifestEvent::Drive(header) => planner.credential = header.credential,
            ManifestEvent::List(list) => list_files = (list.metadata, list.properties),
            ManifestEvent::Blob(entry) if done(entry.index) => {}
            ManifestEvent::Blob(entry) => {
                let earlier = earlier.remove(&entry.index);
                planner.add(entry, &list_files, earlier, windows)?;
            }
        }
        planner.send_if_full(windows);
        if windows.is_closed() {
            return Ok(()); // halted
        }
    }
    // Nobody to take it: halted.
    let _ = windows.blocking_send(planner.window());
    Ok(())
}

/// Plans blobs that start over.
pub fn plan_again(drive: &OpenDrive, blob: Arc<Blob>) -> Window {
    let mut parts = WindowParts::default();
    for chunk in parts.begin(blob) {
        parts.sweep.add(drive, chunk);
    }
    parts.into_window(drive)
}

/// Plans one chunk alone, for another look at it.
pub fn plan_chunk(drive: &OpenDrive, chunk: Chunk) -> Vec<Work<Chunk>> {
    let mut parts = WindowParts::default();
    parts.sweep.add(drive, chunk);
    parts.into_window(drive).work
}

struct Planner<'a> {
    run: &'a Run,
    drive: &'a OpenDrive,
    side_files: SideFiles,
    credential: Credential,
    parts: WindowParts,
}

#[derive(Default)]
struct WindowParts {
    settled: Vec<Arc<Blob>>,
    sweep: Sweep<Chunk>,
}

impl<'a> Planner<'a> {
    fn new(run: &'a Run, drive: &'a OpenDrive) -> Planner<'a> {
        let side_files = SideFiles::new(Arc::clone(&drive.ntfs));
        Planner { run, drive, side_files, credential: Credential::Absent, parts: WindowParts::default() }
    }

    fn is_full(&self) -> bool {
        self.parts.sweep.len() + self.parts.settled.len() >= WINDOW_CHUNKS
    }

    /// Nobody to take it: halted.
    fn send_if_full(&mut self, windows: &mpsc::Sender<Window>) {
        if self.is_full() {
            let _ = windows.blocking_send(self.window());
        }
    }

    fn window(&mut self) -> Window {
        std::mem::take(&mut self.parts).into_window(self.drive)
    }

    fn add(
        &mut self,
        entry: BlobEntry,
        list_files: &(Option<SideFileRef>, Option<SideFileRef>),
        earlier: Option<(u32, Earlier)>,
        windows: &mpsc::Sender<Window>,
    ) -> Result<(), PlanError> {
        let metadata = entry.metadata.as_ref().or(list_files.0.as_ref());
        let properties = entry.properties.as_ref().or(list_files.1.as_ref());
        let side = self.side_files.load(metadata, properties);
        let (headers, side) = (headers_of(&side), side.statuses);
        let (first_n, earlier) = earlier.unwrap_or((1, Earlier::default()));
        let refusal = entry.refusal(&self.credential);
        let path = match entry.destination() {
            Ok(path) => path,
            Err(_) => unplaceable(),
        };
        let opened = match refusal {
            Some(refusal) => Err(BlobFailure::local(refusal.status(), chain(&refusal))),
            None => file::open(&self.drive.ntfs, &entry).map_err(BlobFailure::from),
        };
        if is_unread(&opened, side) && !self.drive.is_present() {
            return Err(PlanError::Gone { file_path: entry.file_path });
        }
        self.run.unfinished.send_modify(|count| *count += 1);
        match opened {
            Ok(file) => {
                let start = BlobStart { entry, path, content: file.content, headers, side, earlier, first_n };
                let blob = Arc::new(Blob::new(start));
                end_missing_chunks(&blob, file.length_bytes);
                self.take_landed(&blob);
                // A page blob may have two million ranges: it need not fit into one window.
                for chunk in self.parts.begin(blob) {
                    self.parts.sweep.add(self.drive, chunk);
                    self.send_if_full(windows);
                }
            }
            Err(failure) => {
                let content = FileContent::Nothing;
                let start = BlobStart { entry, path, content, headers, side, earlier, first_n };
                let blob = Blob::new(start);
                blob.stop(Ending::Fatal(failure));
                self.parts.settled.push(Arc::new(blob));
            }
        }
        Ok(())
    }

    /// Chunks that an earlier run landed need not travel again, if the service still has them.
    fn take_landed(&self, blob: &Arc<Blob>) {
        if blob.earlier.landed.is_empty() {
            return;
        }
        let held = Handle::current().block_on(async {
            let mut halt = self.run.halt.subscribe();
            tokio::select! {
                biased;
                _ = halt.wait_for(Option::is_some) => Vec::new(),
                held = crate::resume::still_held(self.run, blob) => held,
            }
        });
        held.into_iter().for_each(|(index, crc64)| blob.landed_earlier(index, crc64));
    }
}

/// Whether the medium kept something of the blob back.
fn is_unread(opened: &Result<file::OpenFile, BlobFailure>, side: SideStatuses) -> bool {
    let side_failed = [side.metadata, side.properties].contains(&Some(SideFileStatus::IOFailed));
    side_failed || opened.as_ref().is_err_and(|failure| failure.status == BlobStatus::IOFailed)
}

/// A blob that goes nowhere still needs a place to be named by; it is never sent.
fn unplaceable() -> model::BlobPath {
    model::BlobPath::new("$root", "unplaceable").expect("a name that keeps the rules")
}

/// Chunks past the end of the file cannot be read: the log names each of them.
fn end_missing_chunks(blob: &Blob, file_bytes: u64) {
    for index in blob.chunks_to_plan() {
        let chunk = blob.chunk(index);
        if chunk.is_past(file_bytes) {
            blob.end_unplanned(index, ChunkStatus::FileUnexpectedEnd);
        }
    }
}

impl WindowParts {
    /// The chunks of a blob that have to travel; without any it is settled.
    fn begin(&mut self, blob: Arc<Blob>) -> impl Iterator<Item = Chunk> + use<> {
        let indexes = blob.chunks_to_plan();
        blob.open(&indexes);
        if indexes.is_empty() {
            self.settled.push(Arc::clone(&blob));
        }
        let chunk =
            move |index| Chunk { blob: Arc::clone(&blob), index, mismatches: Vec::new(), failed_reads: 0 };
        indexes.into_iter().map(chunk)
    }

    fn into_window(self, drive: &OpenDrive) -> Window {
        Window { settled: self.settled, work: self.sweep.into_work(drive) }
    }
}

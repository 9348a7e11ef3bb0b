//! What is found wrong: printed as it is found, counted for the verdict and the exit code.
//!
//! Words are the drive log's, so that a line here and a line of the station's log can be compared.

use std::sync::{Mutex, PoisonError};

use indicatif::{DecimalBytes, HumanCount};
use model::Exit;
use model::status::{BlobStatus, ChunkStatus, SideFileStatus};
use proof::bring_up::ManifestTotals;
use serde_json::{Value, json};

use super::blob::{BadChunk, Blob};
use super::scan::Counts;
use crate::console::{Console, printable};

/// Bad chunks of one blob that are printed for a person; `--json` has more.
const CHUNKS_PRINTED_MAX: usize = 8;
/// Bad chunks of one blob in one JSON line.
const CHUNKS_IN_JSON_MAX: usize = 10_000;

/// Collects findings of several threads.
pub struct Findings {
    console: Console,
    tally: Mutex<Tally>,
}

/// How many of what.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Tally {
    bad_blobs: u64,
    missing: u64,
    corrupted: u64,
    unreadable: u64,
    drive_faults: u64,
}

impl Findings {
    /// Nothing found yet.
    pub fn new(console: Console) -> Findings {
        Findings { console, tally: Mutex::new(Tally::default()) }
    }

    /// Where it is printed.
    pub fn console(&self) -> &Console {
        &self.console
    }

    /// Something about the drive itself.
    pub fn drive_fault(&self, about: &str, text: &str) {
        self.with(|tally| tally.drive_faults += 1);
        self.console.result(
            "fault",
            &format!("FAULT   {about}: {}", printable(text)),
            json!({ "about": about, "message": text }),
        );
    }

    /// A blob has come to its end.
    pub fn blob(&self, blob: &Blob) {
        let status = blob.status();
        if status == BlobStatus::Completed {
            return;
        }
        let bad = blob.bad_chunks();
        self.with(|tally| tally.count(blob, status, &bad));
        self.console.result("blob", &text_of(blob, status, &bad), json_of(blob, status, &bad));
    }

    /// The last lines, and the exit code: the worst finding decides.
    pub fn conclude(&self, totals: ManifestTotals, counts: Counts) -> Exit {
        let tally = self.with(|tally| *tally);
        let exit = tally.exit();
        let good = totals.blob_count - tally.bad_blobs;
        let text = format!(
            "{}\n  blobs     {} of {} as the manifest says\n  proven    {} in {} blocks and ranges, {} read again{}",
            tally.verdict(),
            HumanCount(good),
            HumanCount(totals.blob_count),
            DecimalBytes(counts.proven_bytes),
            HumanCount(counts.proven_chunks),
            HumanCount(counts.rereads),
            tally.lines(),
        );
        let fields = json!({
            "exit_code": exit.code(),
            "verdict": tally.verdict(),
            "blobs_total": totals.blob_count,
            "blobs_good": good,
            "blobs_bad": tally.bad_blobs,
            "bytes_total": totals.chunk_bytes,
            "bytes_proven": counts.proven_bytes,
            "chunks_proven": counts.proven_chunks,
            "rereads": counts.rereads,
            "missing": tally.missing,
            "corrupted": tally.corrupted,
            "unreadable": tally.unreadable,
            "drive_faults": tally.drive_faults,
        });
        self.console.result("summary", &text, fields);
        exit
    }

    fn with<T>(&self, work: impl FnOnce(&mut Tally) -> T) -> T {
        work(&mut self.tally.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Tally {
    fn count(&mut self, blob: &Blob, status: BlobStatus, bad: &[BadChunk]) {
        self.bad_blobs += 1;
        match status {
            BlobStatus::IOFailed => self.unreadable += 1,
            BlobStatus::Completed | BlobStatus::CompletedWithErrors => {}
            _ => self.missing += 1,
        }
        for chunk in bad {
            match chunk.status {
                ChunkStatus::Corrupted => self.corrupted += 1,
                ChunkStatus::IOFailed => self.unreadable += 1,
                _ => self.missing += 1,
            }
        }
        for side in [blob.side.metadata, blob.side.properties].into_iter().flatten() {
            match side {
                SideFileStatus::Completed => {}
                SideFileStatus::Corrupted | SideFileStatus::XmlReadFailed => self.corrupted += 1,
                SideFileStatus::IOFailed => self.unreadable += 1,
                _ => self.missing += 1,
            }
        }
    }

    fn exit(&self) -> Exit {
        if self.corrupted > 0 {
            Exit::VerificationFailed
        } else if self.unreadable > 0 {
            Exit::MediaErrors
        } else if self.missing > 0 {
            Exit::Incomplete
        } else if self.drive_faults > 0 {
            Exit::VerificationFailed
        } else {
            Exit::Success
        }
    }

    fn verdict(&self) -> &'static str {
        match self.exit() {
            Exit::Success => "The drive is what its manifest says. It can be shipped.",
            Exit::MediaErrors => "The drive could not be read in places. Pack the data onto another drive.",
            Exit::Incomplete => "Files are missing or cut off. Pack them again before the drive is shipped.",
            _ if self.bad_blobs == 0 => {
                "All data are right, but the drive is not sound. Do not ship it without looking into the faults above."
            }
            _ => "Data differ from the manifest. Do not ship the drive; pack the named blobs again.",
        }
    }

    fn lines(&self) -> String {
        let counts = [
            ("corrupted", self.corrupted),
            ("unread", self.unreadable),
            ("missing", self.missing),
            ("faults", self.drive_faults),
        ];
        counts
            .into_iter()
            .filter(|(_, count)| *count > 0)
            .map(|(name, count)| format!("\n  {name:<9} {}", HumanCount(count)))
            .collect()
    }
}

fn text_of(blob: &Blob, status: BlobStatus, bad: &[BadChunk]) -> String {
    let entry = &blob.entry;
    let mut text = format!("FAILED  {}: {status}", printable(&entry.blob_path));
    if let Some(refusal) = &blob.refusal {
        text.push_str(&format!(": {}", printable(&refusal.message)));
    }
    text.push_str(&format!("\n          file {}", printable(&entry.file_path)));
    for chunk in bad.iter().take(CHUNKS_PRINTED_MAX) {
        let place = blob.chunk(chunk.index);
        let (noun, at, length) = (blob.chunk_noun(), place.offset_bytes, place.length_bytes);
        text.push_str(&format!("\n          {noun} of {length} bytes at {at}: {}", chunk.status));
    }
    if bad.len() > CHUNKS_PRINTED_MAX {
        text.push_str(&format!("\n          and {} more", bad.len() - CHUNKS_PRINTED_MAX));
    }
    for (name, status) in [("metadata", blob.side.metadata), ("properties", blob.side.properties)] {
        if let Some(status) = status.filter(|status| *status != SideFileStatus::Completed) {
            text.push_str(&format!("\n          its {name} file: {status}"));
        }
    }
    text
}

fn json_of(blob: &Blob, status: BlobStatus, bad: &[BadChunk]) -> Value {
    let entry = &blob.entry;
    let chunks: Vec<Value> = bad
        .iter()
        .take(CHUNKS_IN_JSON_MAX)
        .map(|chunk| {
            let place = blob.chunk(chunk.index);
            json!({
                "index": chunk.index,
                "offset_bytes": place.offset_bytes,
                "length_bytes": place.length_bytes,
                "status": chunk.status.as_str(),
                "expected_md5": place.md5.to_string(),
                "found_md5": chunk.found.map(|md5| md5.to_string()),
            })
        })
        .collect();
    json!({
        "blob_path": entry.blob_path,
        "file_path": entry.file_path,
        "status": status.as_str(),
        "message": blob.refusal.as_ref().map(|refusal| &refusal.message),
        "bad_chunk_count": bad.len(),
        "bad_chunks": chunks,
        "metadata": blob.side.metadata.map(SideFileStatus::as_str),
        "properties": blob.side.properties.map(SideFileStatus::as_str),
    })
}

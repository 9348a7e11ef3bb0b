//! What the outcomes amount to: the drive's status and counts.

use std::collections::BTreeMap;

use ledger::{BlobOutcome, ReadError, RunNo, Runs};
use model::status::{BlobStatus, ChunkStatus, DriveTally};

/// Outcomes are fetched this many at a time.
const PAGE_OUTCOMES: u32 = 4_096;

/// What the outcomes amount to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// The drive's status is read off here.
    pub drive: DriveTally,
    /// How many blobs ended with each disposition.
    pub dispositions: BTreeMap<&'static str, u64>,
    /// Bytes of the blobs whose status is `Completed`.
    pub completed_bytes: u64,
    /// Blobs whose status is not `Completed`.
    pub failed_blobs: u64,
    /// Chunks that differ from the manifest.
    pub corrupted_chunks: u64,
    /// Chunks that the medium did not give.
    pub unreadable_chunks: u64,
}

/// Goes through all outcomes of a run.
///
/// # Errors
/// When the ledger cannot be read.
pub async fn tally(ledger: &dyn Runs, run: RunNo) -> Result<Tally, ReadError> {
    let mut tally = Tally::default();
    let mut next = 0;
    loop {
        let page = ledger.outcomes(run, next, PAGE_OUTCOMES).await?;
        let Some((last, _)) = page.last() else { return Ok(tally) };
        next = last + 1;
        page.iter().for_each(|(_, outcome)| tally.add(outcome));
    }
}

impl Tally {
    fn add(&mut self, outcome: &BlobOutcome) {
        self.drive.add(outcome.status, outcome.disposition);
        if let Some(disposition) = outcome.disposition {
            *self.dispositions.entry(disposition.as_str()).or_default() += 1;
        }
        if outcome.status == BlobStatus::Completed {
            self.completed_bytes += outcome.bytes;
            return;
        }
        self.failed_blobs += 1;
        for (_, status) in &outcome.chunk_exceptions {
            self.add_chunk(*status);
        }
        self.add_chunk(outcome.chunk_default);
    }

    /// A default stands for at least one chunk.
    fn add_chunk(&mut self, status: ChunkStatus) {
        match status {
            ChunkStatus::Corrupted | ChunkStatus::FileUnexpectedEnd => self.corrupted_chunks += 1,
            ChunkStatus::IOFailed => self.unreadable_chunks += 1,
            ChunkStatus::Completed
            | ChunkStatus::Committed
            | ChunkStatus::Uncommitted
            | ChunkStatus::BlobUnexpectedEnd
            | ChunkStatus::BlobRequestFailed
            | ChunkStatus::Failed
            | ChunkStatus::Cancelled => {}
        }
    }
}

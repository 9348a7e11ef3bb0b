//! From what happened to the parts of a blob to what the log will say of it.
//!
//! Pure; the rules of azure-import-export.md §3.4 in one place. Invariant: a part is called
//! `Completed` only if its bytes are visible in the account under the blob's final name.

use model::BlobPath;
use model::status::{BlobStatus, ChunkStatus, DispositionStatus};
use proof::file::FileRefusal;
use proof::side::SideStatuses;

/// How a blob ended, before it is put into the log's words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// The blob is in the account, whole (block blobs), or with its bad ranges missing (page blobs).
    Visible {
        /// What the disposition led to.
        disposition: DispositionStatus,
        /// Its name there.
        path: BlobPath,
    },
    /// The blob is in the account, whole, committed by an earlier run that could not note it.
    VisibleEarlier {
        /// What the disposition had led to.
        disposition: DispositionStatus,
        /// Its name there.
        path: BlobPath,
    },
    /// A block blob of which some block failed: never committed.
    NotCommitted,
    /// What an earlier run had landed is gone: the blob begins anew.
    StartOver {
        /// What happened.
        why: String,
    },
    /// `no-overwrite`, and something of that name is there.
    Skipped,
    /// One cause stopped the whole blob.
    Fatal(BlobFailure),
}

/// Why a whole blob failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlobFailure {
    /// The log's code.
    pub status: BlobStatus,
    /// For a person: what was attempted and why it failed, the whole chain.
    pub message: String,
    /// What the storage service answered, if it was asked.
    pub http_status: Option<u16>,
}

impl BlobFailure {
    /// A failure that has nothing to do with the storage service.
    pub fn local(status: BlobStatus, message: impl Into<String>) -> BlobFailure {
        BlobFailure { status, message: message.into(), http_status: None }
    }
}

impl From<FileRefusal> for BlobFailure {
    fn from(refusal: FileRefusal) -> BlobFailure {
        BlobFailure::local(refusal.status, refusal.message)
    }
}

/// A blob's statuses as the log writes them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// `Blob/@Status`.
    pub status: BlobStatus,
    /// `ImportDisposition/@Status`.
    pub disposition: DispositionStatus,
    /// One a chunk; empty when the blob was skipped, because no chunk was looked at.
    pub chunks: Vec<ChunkStatus>,
    /// Metadata and properties.
    pub side: SideStatuses,
}

/// Puts an ending into the log's words.
///
/// `chunks` says of each chunk how it ended: `Completed` for one that landed, none for one that
/// was never tried because the blob had been stopped.
pub fn conclude(ending: &Ending, chunks: &[Option<ChunkStatus>], side: SideStatuses) -> Verdict {
    match ending {
        Ending::Visible { disposition, .. } => {
            let chunks: Vec<ChunkStatus> =
                chunks.iter().map(|chunk| chunk.unwrap_or(ChunkStatus::Failed)).collect();
            let whole = chunks.iter().all(|chunk| *chunk == ChunkStatus::Completed) && !side.failed();
            let status = if whole { BlobStatus::Completed } else { BlobStatus::CompletedWithErrors };
            Verdict { status, disposition: *disposition, chunks, side }
        }
        Ending::VisibleEarlier { disposition, .. } => {
            let chunks = vec![ChunkStatus::Completed; chunks.len()];
            let status = if side.failed() { BlobStatus::CompletedWithErrors } else { BlobStatus::Completed };
            Verdict { status, disposition: *disposition, chunks, side }
        }
        Ending::NotCommitted => not_visible(BlobStatus::CompletedWithErrors, chunks, side),
        Ending::Fatal(failure) => not_visible(failure.status, chunks, side),
        Ending::StartOver { .. } => not_visible(BlobStatus::BlobRequestFailed, chunks, side),
        Ending::Skipped => Verdict {
            status: BlobStatus::Completed,
            disposition: DispositionStatus::Skipped,
            chunks: Vec::new(),
            side: SideStatuses::default(),
        },
    }
}

fn not_visible(status: BlobStatus, chunks: &[Option<ChunkStatus>], side: SideStatuses) -> Verdict {
    let chunk = |chunk: &Option<ChunkStatus>| match chunk {
        Some(ChunkStatus::Completed) => ChunkStatus::Uncommitted,
        Some(failed) => *failed,
        None => ChunkStatus::Cancelled,
    };
    Verdict {
        status,
        disposition: DispositionStatus::Cancelled,
        chunks: chunks.iter().map(chunk).collect(),
        side: side.cancelled(),
    }
}

#[cfg(test)]
mod tests {
    use model::status::SideFileStatus;

    use super::*;

    const LANDED: Option<ChunkStatus> = Some(ChunkStatus::Completed);
    const CORRUPTED: Option<ChunkStatus> = Some(ChunkStatus::Corrupted);
    const FINE: SideStatuses = SideStatuses {
        metadata: Some(SideFileStatus::Completed),
        properties: Some(SideFileStatus::Completed),
    };

    fn visible(disposition: DispositionStatus) -> Ending {
        Ending::Visible { disposition, path: BlobPath::new("files", "x").unwrap() }
    }

    #[test]
    fn a_whole_visible_blob_is_completed() {
        let ending = visible(DispositionStatus::Created);
        let verdict = conclude(&ending, &[LANDED, LANDED], FINE);
        assert_eq!(verdict.status, BlobStatus::Completed);
        assert_eq!(verdict.side, FINE);
    }

    #[test]
    fn bad_metadata_makes_a_visible_blob_completed_with_errors() {
        let side = SideStatuses { metadata: Some(SideFileStatus::Corrupted), properties: None };
        let ending = visible(DispositionStatus::Created);
        let verdict = conclude(&ending, &[LANDED], side);
        assert_eq!(verdict.status, BlobStatus::CompletedWithErrors);
        assert_eq!(verdict.chunks, [ChunkStatus::Completed]);
        assert_eq!(verdict.side.metadata, Some(SideFileStatus::Corrupted));
    }

    #[test]
    fn good_blocks_of_a_blob_that_is_not_committed_are_uncommitted() {
        let verdict = conclude(&Ending::NotCommitted, &[LANDED, CORRUPTED, LANDED], FINE);
        assert_eq!(verdict.status, BlobStatus::CompletedWithErrors);
        assert_eq!(verdict.disposition, DispositionStatus::Cancelled);
        assert_eq!(
            verdict.chunks,
            [ChunkStatus::Uncommitted, ChunkStatus::Corrupted, ChunkStatus::Uncommitted]
        );
        assert_eq!(verdict.side.metadata, Some(SideFileStatus::Cancelled));
    }

    #[test]
    fn a_missing_file_cancels_its_disposition_and_all_its_blocks() {
        let failure = BlobFailure::local(BlobStatus::FileNotFound, "no such file");
        let verdict = conclude(&Ending::Fatal(failure), &[None, None], SideStatuses::default());
        assert_eq!(verdict.status, BlobStatus::FileNotFound);
        assert_eq!(verdict.disposition, DispositionStatus::Cancelled);
        assert_eq!(verdict.chunks, [ChunkStatus::Cancelled, ChunkStatus::Cancelled]);
    }

    #[test]
    fn a_page_blob_with_a_bad_range_is_visible_and_says_which() {
        let ending = visible(DispositionStatus::Overwritten);
        let verdict = conclude(&ending, &[LANDED, CORRUPTED], SideStatuses::default());
        assert_eq!(verdict.status, BlobStatus::CompletedWithErrors);
        assert_eq!(verdict.disposition, DispositionStatus::Overwritten);
        assert_eq!(verdict.chunks, [ChunkStatus::Completed, ChunkStatus::Corrupted]);
    }

    #[test]
    fn a_skipped_blob_is_completed_and_claims_nothing_of_its_chunks() {
        let verdict = conclude(&Ending::Skipped, &[None, None], FINE);
        assert_eq!(
            (verdict.status, verdict.disposition),
            (BlobStatus::Completed, DispositionStatus::Skipped)
        );
        assert!(verdict.chunks.is_empty());
    }
}

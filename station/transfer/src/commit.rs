//! Landed ──**commit**──▶ Outcome: a blob becomes visible, whole, or it is named with what failed.
//!
//! A block blob is committed only when every one of its blocks has verified and landed; otherwise
//! its good blocks stay uncommitted for a repair, and an old blob under that name stays as it was.
//! After Put Block List the length is looked at once more before anybody calls it done. The
//! outcome is saved before it is counted.

use std::sync::Arc;

use azure::{BlobHeaders, ErrorKind, StorageError};
use ledger::{BlobOutcome, Record, SaveError};
use model::status::{BlobStatus, ChunkStatus, SideFileStatus};

use crate::blob::Blob;
use crate::outcome::{BlobFailure, Ending, Verdict, conclude as verdict_of};
use crate::run::{Notice, Run};
use crate::target::{Stage, is_ours, leased, save_intent};
use crate::{page, put, whole};

/// A blob is started over at most this often: after a lost race for its name, or when the service
/// no longer has its blocks.
pub const RESTARTS_MAX: u32 = 3;

/// What committing came to, apart from an ending.
enum Commit {
    /// The blob has its ending.
    Ended(Ending),
    /// It has to be started over, trying names from the n-th on.
    Restart { n: u32, why: String },
    /// The copy was halted.
    Halted,
}

/// Concludes a blob all of whose chunks have ended.
pub async fn conclude(run: Arc<Run>, blob: Arc<Blob>) {
    let commit = match blob.stopped() {
        Some(Ending::StartOver { why }) => Commit::Restart { n: 1, why },
        Some(ending) => Commit::Ended(ending),
        None if run.is_halted() => Commit::Halted,
        None => commit(&run, &blob).await,
    };
    run.give_up_names(blob.entry.index);
    match commit {
        Commit::Ended(ending) => {
            page::close(&run, &blob).await;
            end(&run, &blob, &ending).await;
        }
        Commit::Restart { n, why } if blob.restarts < RESTARTS_MAX => {
            tracing::warn!(n, why, "starting a blob over");
            let record = Record::StartedOver { blob_index: blob.entry.index };
            if let Err(error) = run.recorder.save(vec![record]).await {
                run.halt_unsaved(&error);
            }
            // The feeder lives as long as there is unfinished work.
            let _ = run.restarts.send(Arc::new(Blob::restarted(blob, n)));
            return;
        }
        Commit::Restart { why, .. } => {
            end(&run, &blob, &Ending::Fatal(BlobFailure::local(BlobStatus::BlobRequestFailed, why))).await;
        }
        Commit::Halted => page::close(&run, &blob).await,
    }
    run.unfinished.send_modify(|count| *count -= 1);
}

async fn commit(run: &Run, blob: &Arc<Blob>) -> Commit {
    let ends = blob.chunk_ends();
    let failed = ends.iter().any(|end| *end != Some(ChunkStatus::Completed));
    let landed = ends.contains(&Some(ChunkStatus::Completed));
    if blob.is_page_blob() && failed && !landed && blob.stage.get().is_none() {
        // Nothing of it verified: what stands under its name is not touched.
        return Commit::Ended(Ending::NotCommitted);
    }
    if blob.is_page_blob() {
        // A later run that finds the blob finished takes the ranges' CRCs from the ledger.
        if let Err(error) = run.recorder.flush().await {
            run.halt_unsaved(&error);
            return Commit::Halted;
        }
        return match put::stage(run, blob).await {
            Some(stage) => from_ending(run, page::finish(run, blob, stage).await).await,
            None => stopped(blob),
        };
    }
    if failed {
        return Commit::Ended(Ending::NotCommitted);
    }
    if blob.is_whole() && blob.chunk_count() == 0 {
        return match whole::put_empty(run, blob).await {
            Ok(ending) => Commit::Ended(ending),
            Err(whole::Halted) => Commit::Halted,
        };
    }
    match put::stage(run, blob).await {
        Some(stage) => commit_blocks(run, blob, stage).await,
        None => stopped(blob),
    }
}

fn stopped(blob: &Blob) -> Commit {
    match blob.stopped() {
        Some(Ending::StartOver { why }) => Commit::Restart { n: 1, why },
        Some(ending) => Commit::Ended(ending),
        None => Commit::Halted,
    }
}

async fn from_ending(run: &Run, ending: Result<Ending, StorageError>) -> Commit {
    match ending {
        Ok(ending) => Commit::Ended(ending),
        Err(error) => {
            run.judge(&error).await.map_or(Commit::Halted, |failure| Commit::Ended(Ending::Fatal(failure)))
        }
    }
}

async fn commit_blocks(run: &Run, blob: &Blob, stage: &Stage) -> Commit {
    if let Err(error) = save_before_commit(run, blob, stage).await {
        run.halt_unsaved(&error);
        return Commit::Halted;
    }
    let ids = put::block_ids(blob);
    let mut side = SideFallback::new(blob);
    let error = loop {
        match run.account.put_block_list(&stage.path, &ids, side.headers(), &stage.condition(), None).await {
            Ok(_) => return look_once_more(run, blob, stage).await,
            Err(error) if side.gives_way(&error) => {}
            Err(error) => break error,
        }
    };
    match refused(run, blob, stage, &error).await {
        Ok(Some(commit)) => commit,
        Ok(None) => from_ending(run, Err(error)).await,
        Err(error) => from_ending(run, Err(error)).await,
    }
}

/// Everything a later run needs if the answer to the commit is lost: the landed chunks (with their
/// CRCs) and, when an existing blob is replaced, that it is.
async fn save_before_commit(run: &Run, blob: &Blob, stage: &Stage) -> Result<(), SaveError> {
    run.recorder.save(Vec::new()).await?;
    match stage.replaces {
        Some(_) => save_intent(run, blob, stage, None).await,
        None => Ok(()),
    }
}

/// The ending of a blob that was committed at its place.
pub fn visible(stage: &Stage) -> Ending {
    Ending::Visible { disposition: stage.disposition(), path: stage.path.clone() }
}

/// A commit that the service refused because the target is not what it was.
async fn refused(
    run: &Run,
    blob: &Blob,
    stage: &Stage,
    error: &StorageError,
) -> Result<Option<Commit>, StorageError> {
    // An earlier try may have committed them: then the name is taken, the blocks are used up, or
    // every answer was lost.
    if error.ambiguous
        && let Some(existing) = run.account.properties(&stage.path).await?
        && is_ours(run, blob, &stage.path, &existing).await?
    {
        return Ok(Some(Commit::Ended(visible(stage))));
    }
    Ok(match error.kind {
        ErrorKind::LeasePresent => Some(Commit::Ended(Ending::Fatal(leased(&stage.path)))),
        ErrorKind::AlreadyExists | ErrorKind::ConditionNotMet => {
            let why = format!("{} was changed by somebody else while its blocks were being put", stage.path);
            Some(Commit::Restart { n: stage.n, why })
        }
        ErrorKind::InvalidBlockList => {
            let why = format!(
                "the service no longer has all the blocks of {} that it had acknowledged",
                stage.path
            );
            Some(Commit::Restart { n: stage.n, why })
        }
        _ => None,
    })
}

/// The service has acknowledged the list; what is visible must have the manifest's length.
async fn look_once_more(run: &Run, blob: &Blob, stage: &Stage) -> Commit {
    match run.account.properties(&stage.path).await {
        Ok(Some(found)) if found.length_bytes == blob.entry.length_bytes => Commit::Ended(visible(stage)),
        Ok(found) => {
            let found = found.map_or("nothing".to_owned(), |found| format!("{} bytes", found.length_bytes));
            let message = format!(
                "after the commit {} shows {found} where the manifest has {} bytes",
                stage.path, blob.entry.length_bytes
            );
            Commit::Ended(Ending::Fatal(BlobFailure::local(BlobStatus::BlobRequestFailed, message)))
        }
        // It was acknowledged; that it cannot be looked at just now does not undo it.
        Err(error) => match run.judge(&error).await {
            Some(_) => Commit::Ended(visible(stage)),
            None => Commit::Halted,
        },
    }
}

/// Metadata and properties to send, and less of them when the service refuses one: the data land
/// without it and the log says so.
pub struct SideFallback<'a> {
    blob: &'a Blob,
    headers: BlobHeaders,
}

impl<'a> SideFallback<'a> {
    /// Everything that the blob is to have, but for what the service has refused already.
    pub fn new(blob: &'a Blob) -> SideFallback<'a> {
        let mut headers = blob.headers.clone();
        let side = blob.side();
        if side.properties == Some(SideFileStatus::BlobRequestFailed) {
            headers = BlobHeaders { metadata: headers.metadata, ..BlobHeaders::default() };
        }
        if side.metadata == Some(SideFileStatus::BlobRequestFailed) {
            headers.metadata.clear();
        }
        SideFallback { blob, headers }
    }

    /// What to send.
    pub fn headers(&self) -> &BlobHeaders {
        &self.headers
    }

    /// Whether to send again, without what was refused.
    pub fn gives_way(&mut self, error: &StorageError) -> bool {
        if error.kind != ErrorKind::InvalidHeader {
            return false;
        }
        let mut side = self.blob.side();
        let about_properties = side.properties == Some(SideFileStatus::Completed);
        let about_metadata =
            !self.headers.metadata.is_empty() && (names_metadata(error) || !about_properties);
        if about_metadata {
            self.headers.metadata.clear();
            side.metadata = side.metadata.map(|_| SideFileStatus::BlobRequestFailed);
        } else if about_properties {
            let metadata = std::mem::take(&mut self.headers.metadata);
            self.headers = BlobHeaders { metadata, ..BlobHeaders::default() };
            side.properties = Some(SideFileStatus::BlobRequestFailed);
        } else {
            return false;
        }
        self.blob.set_side(side);
        true
    }
}

fn names_metadata(error: &StorageError) -> bool {
    error.code.as_ref().is_some_and(|code| code.contains("Metadata"))
}

/// Saves the outcome, then counts it and tells.
async fn end(run: &Run, blob: &Arc<Blob>, ending: &Ending) {
    let ends = blob.chunk_ends();
    let verdict = verdict_of(ending, &ends, blob.side());
    let crc64 = whole_crc64(blob, &verdict).await;
    let outcome = to_outcome(blob, ending, &verdict, crc64);
    let message = outcome.message.clone();
    let record = Record::Outcome { blob_index: blob.entry.index, outcome };
    if let Err(error) = run.recorder.save(vec![record]).await {
        run.halt_unsaved(&error);
        return;
    }
    run.progress.blobs_done.add(1);
    run.progress.bytes_done.add(blob.unplanned_bytes());
    if verdict.status != BlobStatus::Completed {
        run.progress.blobs_failed.add(1);
        let blob_path = blob.entry.blob_path.clone();
        let message = message.unwrap_or_default();
        // Nobody listening is no reason to stop.
        let _ = run.notices.send(Notice::BlobFailed { blob_path, status: verdict.status, message });
    }
}

/// Blobs of more chunks than this are summed up off the runtime: 50 µs a chunk.
const CHUNKS_SUMMED_INLINE_MAX: usize = 64;

/// The CRC-64 of a blob that landed whole.
async fn whole_crc64(blob: &Arc<Blob>, verdict: &Verdict) -> Option<u64> {
    let landed_count = verdict.chunks.iter().filter(|chunk| **chunk == ChunkStatus::Completed).count();
    let known = blob.chunk_ends().iter().all(|end| *end == Some(ChunkStatus::Completed));
    if landed_count != blob.chunk_count() || !known {
        return None;
    }
    if blob.chunk_count() <= CHUNKS_SUMMED_INLINE_MAX {
        return Some(blob.crc64());
    }
    let blob = Arc::clone(blob);
    tokio::task::spawn_blocking(move || blob.crc64()).await.ok()
}

fn to_outcome(blob: &Blob, ending: &Ending, verdict: &Verdict, crc64: Option<u64>) -> BlobOutcome {
    let (message, http_status) = match ending {
        Ending::Fatal(failure) => (Some(failure.message.clone()), failure.http_status),
        _ => (describe(verdict), None),
    };
    let final_path = match ending {
        Ending::Visible { path, .. } | Ending::VisibleEarlier { path, .. } => Some(path),
        Ending::NotCommitted | Ending::Skipped | Ending::Fatal(_) | Ending::StartOver { .. } => None,
    };
    let default = verdict.chunks.first().copied().unwrap_or(ChunkStatus::Cancelled);
    let exceptions = (0u32..).zip(&verdict.chunks).filter(|(_, status)| **status != default);
    BlobOutcome {
        status: verdict.status,
        disposition: Some(verdict.disposition),
        final_path: final_path.filter(|path| **path != blob.path).map(|path| path.to_string()),
        chunk_default: default,
        chunk_exceptions: exceptions.map(|(index, status)| (index, *status)).collect(),
        metadata: verdict.side.metadata,
        properties: verdict.side.properties,
        crc64,
        bytes: blob.entry.length_bytes,
        message,
        http_status,
        code: None,
    }
}

/// What failed in a blob that has no single cause.
fn describe(verdict: &Verdict) -> Option<String> {
    let bad: Vec<String> = (0u32..)
        .zip(&verdict.chunks)
        .filter(|(_, status)| !matches!(status, ChunkStatus::Completed | ChunkStatus::Uncommitted))
        .map(|(index, status)| format!("chunk {index} {status}"))
        .collect();
    let side = [("metadata", verdict.side.metadata), ("properties", verdict.side.properties)];
    let side = side.iter().filter_map(|(name, status)| {
        status.filter(|status| *status != SideFileStatus::Completed).map(|status| format!("{name} {status}"))
    });
    let all: Vec<String> = bad.into_iter().take(8).chain(side).collect();
    (!all.is_empty()).then(|| all.join(", "))
}

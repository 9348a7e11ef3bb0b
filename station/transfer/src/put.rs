//! Verified ──**put**──▶ Landed: a chunk's bytes go into the account.
//!
//! Takes only [`Verified`], so a byte that was not proven cannot be sent; the same MD5 goes along
//! as `Content-MD5`, so the service proves the customer's hash once more. Landing a chunk twice is
//! harmless. A blob of one block goes with a single Put Blob ([`crate::whole`]); the blocks of a
//! larger one are staged; page ranges are written under the blob's lease ([`crate::page`]).

use std::sync::Arc;

use azure::{ErrorKind, StorageError};
use ledger::Record;
use manifest::{BlobKind, BlockId};
use model::status::ChunkStatus;

use crate::blob::{Blob, Chunk};
use crate::outcome::Ending;
use crate::run::{Notice, Run};
use crate::target::{Choice, Stage, choose};
use crate::{commit, page, whole};
use proof::chunk::Provable;
use proof::verify::Verified;

/// Puts one chunk and ends it; the last chunk of a blob concludes the blob.
pub async fn put(run: Arc<Run>, verified: Verified<Chunk>) {
    let chunk = verified.chunk().clone();
    let (length_bytes, crc64) = (chunk.entry().length_bytes, verified.crc64());
    let status =
        if run.is_halted() || chunk.blob.is_stopped() { None } else { land(&run, &chunk, verified).await };
    if status == Some(ChunkStatus::Completed) {
        run.progress.bytes_put.add(length_bytes);
        run.good_container.get_or_init(|| chunk.blob.path.container().to_owned());
    }
    end_chunk(run, chunk, status, crc64).await;
}

/// Ends a chunk that was planned, however it ended.
pub async fn end_chunk(run: Arc<Run>, chunk: Chunk, status: Option<ChunkStatus>, crc64: u64) {
    if !run.is_halted() || status.is_some() {
        run.progress.bytes_done.add(chunk.entry().length_bytes);
    }
    let Chunk { blob, index, .. } = chunk;
    if blob.end_chunk(index, status, crc64) {
        commit::conclude(run, blob).await;
    }
}

/// None when the blob was stopped instead.
async fn land(run: &Run, chunk: &Chunk, verified: Verified<Chunk>) -> Option<ChunkStatus> {
    let blob = &chunk.blob;
    if blob.is_whole() {
        return match whole::put(run, blob, verified).await {
            Ok(ending) => {
                let landed = matches!(ending, Ending::Visible { .. } | Ending::VisibleEarlier { .. });
                blob.stop(ending);
                landed.then_some(ChunkStatus::Completed)
            }
            Err(whole::Halted) => None,
        };
    }
    let stage = stage(run, blob).await?;
    let landed = if blob.is_page_blob() {
        page::put(run, stage, verified).await
    } else {
        put_block(run, stage, verified).await
    };
    match landed {
        Ok(crc64) => {
            note_landed(run, chunk, stage, crc64).await;
            Some(ChunkStatus::Completed)
        }
        Err(error) => chunk_failed(run, chunk, &error).await,
    }
}

async fn put_block(run: &Run, stage: &Stage, verified: Verified<Chunk>) -> Result<u64, StorageError> {
    let chunk = verified.chunk().clone();
    let id = block_id(&chunk.blob, chunk.index);
    let crc64 = verified.crc64();
    run.account.put_block(&stage.path, &id, verified.into_bytes(), chunk.entry().md5, None).await?;
    Ok(crc64)
}

/// One block that the service does not take fails alone; what concerns the whole blob stops it.
async fn chunk_failed(run: &Run, chunk: &Chunk, error: &StorageError) -> Option<ChunkStatus> {
    let failure = run.judge(error).await?;
    match error.kind {
        ErrorKind::Forbidden
        | ErrorKind::LeasePresent
        | ErrorKind::LeaseLost
        | ErrorKind::BlobTypeMismatch
        | ErrorKind::Immutable => {
            chunk.blob.stop(Ending::Fatal(failure));
            None
        }
        _ => {
            let text = format!("{} at {}: {}", chunk.blob.path, chunk.entry().offset_bytes, failure.message);
            // Nobody listening is no reason to stop.
            let _ = run.notices.send(Notice::Warning(text));
            Some(ChunkStatus::BlobRequestFailed)
        }
    }
}

/// The blob's place, chosen by whichever of its chunks gets here first.
pub async fn stage<'a>(run: &Run, blob: &'a Arc<Blob>) -> Option<&'a Stage> {
    let found = blob.stage.get_or_init(|| async {
        let choice =
            if blob.is_page_blob() { page::open(run, blob).await } else { choose(run, blob, 1).await };
        match choice {
            Ok(Choice::Place(stage)) => Ok(stage),
            Ok(Choice::Settled(ending)) => {
                blob.stop(ending);
                Err(())
            }
            Ok(Choice::StartOver { why }) => {
                blob.stop(Ending::StartOver { why });
                Err(())
            }
            Err(error) => {
                if let Some(failure) = run.judge(&error).await {
                    blob.stop(Ending::Fatal(failure));
                }
                Err(())
            }
        }
    });
    found.await.as_ref().ok()
}

/// Lets the ledger know, without waiting until it is durable: if this is lost, the chunk is put once
/// more.
async fn note_landed(run: &Run, chunk: &Chunk, stage: &Stage, crc64: u64) {
    let record = Record::ChunkLanded {
        blob_index: chunk.blob.entry.index,
        target_n: stage.n,
        chunk_index: chunk.index,
        crc64,
    };
    if let Err(error) = run.recorder.note(record).await {
        run.halt_unsaved(&error);
    }
}

/// The ids of a blob's blocks in the manifest's order, twins included.
pub fn block_ids(blob: &Blob) -> Vec<String> {
    let count = u32::try_from(blob.chunk_count()).expect("a block list has at most 50,000 entries");
    (0..count).map(|index| block_id(blob, index)).collect()
}

/// The manifest's id, or for lists without ids the one that Microsoft's tool makes of the block's
/// MD5 (azure-import-export.md §1.5): two blocks with one id then are the same bytes, whoever put
/// them.
fn block_id(blob: &Blob, index: u32) -> String {
    debug_assert!(matches!(blob.entry.kind, BlobKind::Block(_)));
    match blob.chunk(index).id {
        Some(id) => id.to_base64(),
        None => BlockId::of_md5(&blob.chunk(index).md5).to_base64(),
    }
}

/// Whether a block's id says what is in it. Any other id may stand for somebody else's block of the
/// same name, length and number.
pub fn id_proves_content(blob: &Blob, index: u32) -> bool {
    let chunk = blob.chunk(index);
    chunk.id.is_none_or(|id| *id == BlockId::of_md5(&chunk.md5))
}

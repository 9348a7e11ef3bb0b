//! A block blob of at most one block: put and commit are one Put Blob.
//!
//! The first try takes the name with `If-None-Match: *` and asks nothing beforehand, because for
//! most blobs nothing is there: a million small files are a million requests, not two. Only a
//! refusal makes it look.

use azure::{ErrorKind, StorageError};
use bytes::Bytes;
use model::{ImportDisposition, Md5Digest};

use crate::blob::{Blob, Chunk};
use crate::commit::{SideFallback, visible};
use crate::outcome::{BlobFailure, Ending};
use crate::run::Run;
use crate::target::{Choice, Stage, choose, is_ours, leased, nth_name, save_intent, stands_there};
use proof::chunk::Provable;
use proof::verify::Verified;

/// The copy as a whole was stopped; the blob has no ending yet.
#[derive(Debug)]
pub struct Halted;

/// How often a decision is made anew because somebody changed the target in between.
const RACES_MAX: u32 = 8;

/// Puts a blob of one block.
///
/// # Errors
/// When the copy was halted instead.
pub async fn put(run: &Run, blob: &Blob, verified: Verified<Chunk>) -> Result<Ending, Halted> {
    let md5 = verified.chunk().entry().md5;
    put_bytes(run, blob, &verified.into_bytes(), md5).await
}

/// Puts a blob without any block: zero bytes.
///
/// # Errors
/// When the copy was halted instead.
pub async fn put_empty(run: &Run, blob: &Blob) -> Result<Ending, Halted> {
    put_bytes(run, blob, &Bytes::new(), digests::md5_of(&[])).await
}

async fn put_bytes(run: &Run, blob: &Blob, bytes: &Bytes, md5: Md5Digest) -> Result<Ending, Halted> {
    match try_put(run, blob, bytes, md5).await {
        Ok(ending) => Ok(ending),
        Err(error) => run.judge(&error).await.map(Ending::Fatal).ok_or(Halted),
    }
}

async fn try_put(run: &Run, blob: &Blob, bytes: &Bytes, md5: Md5Digest) -> Result<Ending, StorageError> {
    run.ensure_container(blob.path.container()).await?;
    let mut stage = match nth_name(&blob.path, blob.first_n) {
        Ok(path) => Stage { path, n: blob.first_n, replaces: None, lease: None },
        Err(failure) => return Ok(Ending::Fatal(failure)),
    };
    for _ in 0..RACES_MAX {
        let refused = match send(run, blob, &stage, bytes, md5).await {
            Ok(()) => return Ok(visible(&stage)),
            Err(error) if is_refusal(&error, &stage) => error,
            // Every answer may have been lost, and the blob be there.
            Err(error) if error.ambiguous && stands_there(run, blob, &stage.path).await => {
                return Ok(visible(&stage));
            }
            Err(error) => return Err(error),
        };
        if refused.ambiguous
            && let Some(existing) = run.account.properties(&stage.path).await?
            && is_ours(run, blob, &stage.path, &existing).await?
        {
            return Ok(visible(&stage));
        }
        if refused.kind == ErrorKind::LeasePresent && blob.entry.disposition() == ImportDisposition::Overwrite
        {
            return Ok(Ending::Fatal(leased(&stage.path)));
        }
        stage = match choose(run, blob, stage.n).await? {
            Choice::Place(stage) => stage,
            Choice::Settled(ending) => return Ok(ending),
            Choice::StartOver { .. } => unreachable!("a blob of one block has nothing that landed before it"),
        };
        if stage.replaces.is_some()
            && let Err(error) = save_intent(run, blob, &stage, None).await
        {
            run.halt_unsaved(&error);
            return Ok(Ending::Fatal(BlobFailure::local(
                model::status::BlobStatus::Failed,
                "the ledger cannot save",
            )));
        }
    }
    let message = format!("{} kept changing while it was being written", stage.path);
    Ok(Ending::Fatal(BlobFailure::local(model::status::BlobStatus::BlobRequestFailed, message)))
}

async fn send(
    run: &Run,
    blob: &Blob,
    stage: &Stage,
    bytes: &Bytes,
    md5: Md5Digest,
) -> Result<(), StorageError> {
    let condition = stage.condition();
    let mut side = SideFallback::new(blob);
    loop {
        match run.account.put_blob(&stage.path, bytes.clone(), md5, side.headers(), &condition).await {
            Ok(_) => return Ok(()),
            Err(error) if side.gives_way(&error) => {}
            Err(error) => return Err(error),
        }
    }
}

/// The target is not as the condition wants it. A page blob where nothing was expected shows as
/// one of another type.
fn is_refusal(error: &StorageError, stage: &Stage) -> bool {
    match error.kind {
        ErrorKind::AlreadyExists | ErrorKind::ConditionNotMet | ErrorKind::LeasePresent => true,
        ErrorKind::BlobTypeMismatch => stage.replaces.is_none(),
        _ => false,
    }
}

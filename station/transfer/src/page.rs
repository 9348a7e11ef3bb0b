//! Page blobs: visible from their creation, so written under a lease and finished last.
//!
//! From creation to its end a page blob carries `incomplete` in its metadata; the value holds the
//! lease's id, by which a later run knows its own half-written blob. It goes away when every page
//! range has landed. With a bad range it stays, and says how many are missing, until a repair.
//!
//! The lease is a finite one, renewed while we live: if the station dies, the customer's blob is
//! free again in a minute.

use std::sync::Arc;
use std::time::Duration;

use azure::{BlobHeaders, BlobProperties, Condition, ErrorKind, LeaseId, StorageError};
use model::BlobPath;
use model::status::{BlobStatus, ChunkStatus};

use crate::blob::{Blob, Chunk};
use crate::commit::SideFallback;
use crate::outcome::{BlobFailure, Ending};
use crate::run::Run;
use crate::target::{Choice, RENAME_N_MAX, Stage, choose, is_ours, leased, nth_name, save_intent};
use proof::chunk::Provable;
use proof::verify::Verified;

/// Metadata name of a page blob that is not whole.
pub const INCOMPLETE: &str = "incomplete";

/// Longest finite lease of the service.
const LEASE_SECONDS: u32 = 60;
/// Three renewals fit into a lease, so one may be lost.
const RENEW_EVERY: Duration = Duration::from_secs(20);
/// How often the place is chosen anew because somebody changed it in between.
const RACES_MAX: u32 = 8;

/// A lease that is renewed until it is dropped.
#[derive(Debug)]
pub struct HeldLease {
    /// Its id.
    pub id: LeaseId,
    renewal: tokio::task::JoinHandle<()>,
}

impl Drop for HeldLease {
    fn drop(&mut self) {
        self.renewal.abort();
    }
}

/// Chooses the blob's place, creates it there marked incomplete, and takes the lease.
///
/// # Errors
/// What the storage service answered.
pub async fn open(run: &Run, blob: &Blob) -> Result<Choice, StorageError> {
    if run.facts.hierarchical_namespace == Some(true) {
        let message =
            "the account has a hierarchical namespace (Data Lake Storage Gen2), which has no page blobs";
        return Ok(fatal(BlobFailure::local(BlobStatus::BlobRequestFailed, message)));
    }
    run.ensure_container(blob.path.container()).await?;
    if let Some(choice) = reopen(run, blob).await? {
        return Ok(choice);
    }
    if blob.chunk_ends().contains(&Some(ChunkStatus::Completed)) {
        let why = format!("{}, which an earlier run had begun, is no longer there", blob.path);
        return Ok(Choice::StartOver { why });
    }
    let lease_id = first_lease(blob).unwrap_or_else(LeaseId::random);
    for _ in 0..RACES_MAX {
        let stage = match choose(run, blob, 1).await? {
            Choice::Place(stage) => stage,
            other @ (Choice::Settled(_) | Choice::StartOver { .. }) => return Ok(other),
        };
        if let Err(error) = save_intent(run, blob, &stage, Some(lease_id.as_str().to_owned())).await {
            run.halt_unsaved(&error);
            return Ok(fatal(BlobFailure::local(BlobStatus::Failed, "the ledger cannot save")));
        }
        match create(run, blob, &stage, &lease_id).await {
            Ok(()) => return Ok(Choice::Place(hold(run, stage, lease_id))),
            Err(error) if error.kind == ErrorKind::LeasePresent => return Ok(fatal(leased(&stage.path))),
            Err(error) if is_taken(&error, &stage) => {
                let existing = run.account.properties(&stage.path).await?;
                if error.ambiguous && existing.is_some_and(|existing| is_marked(&existing, &lease_id)) {
                    take_lease(run, &stage, &lease_id).await?;
                    return Ok(Choice::Place(hold(run, stage, lease_id)));
                }
            }
            Err(error) => return Err(error),
        }
    }
    let message = format!("{} kept changing while it was being created", blob.path);
    Ok(fatal(BlobFailure::local(BlobStatus::BlobRequestFailed, message)))
}

/// The lease of an earlier run that had put nothing yet: an old blob may still be under it. Once
/// ranges have landed its id is not used again, because it is the mark by which they are known.
fn first_lease(blob: &Blob) -> Option<LeaseId> {
    let intent = blob.earlier.intent.as_ref().filter(|_| blob.earlier.landed.is_empty())?;
    LeaseId::parse(intent.lease_id.as_deref()?).ok()
}

/// The place is not as it was when it was chosen. A block blob that took a free name shows as one
/// of another type.
fn is_taken(error: &StorageError, stage: &Stage) -> bool {
    match error.kind {
        ErrorKind::AlreadyExists | ErrorKind::ConditionNotMet => true,
        ErrorKind::BlobTypeMismatch => stage.replaces.is_none(),
        _ => false,
    }
}

/// Goes on with the blob that an interrupted run had begun, if it is still that run's.
async fn reopen(run: &Run, blob: &Blob) -> Result<Option<Choice>, StorageError> {
    let Some((stage, lease_id)) = begun(blob) else { return Ok(None) };
    let Some(existing) = run.account.properties(&stage.path).await? else { return Ok(None) };
    if is_marked(&existing, &lease_id) {
        return match take_lease(run, &stage, &lease_id).await {
            Ok(()) => Ok(Some(Choice::Place(hold(run, stage, lease_id)))),
            Err(error) if error.kind == ErrorKind::LeasePresent => Ok(Some(fatal(leased(&stage.path)))),
            Err(error) => Err(error),
        };
    }
    if is_ours(run, blob, &stage.path, &existing).await? {
        give_back(run, &stage.path, &lease_id).await;
        let ending = Ending::VisibleEarlier { disposition: stage.disposition(), path: stage.path };
        return Ok(Some(Choice::Settled(ending)));
    }
    Ok(None)
}

/// Where an interrupted run was writing the blob, and under which lease.
fn begun(blob: &Blob) -> Option<(Stage, LeaseId)> {
    let intent = blob.earlier.intent.as_ref()?;
    let lease_id = intent.lease_id.as_deref().and_then(|id| LeaseId::parse(id).ok())?;
    let names = (1..=RENAME_N_MAX).filter_map(|n| nth_name(&blob.path, n).ok().map(|path| (n, path)));
    let (n, path) = names.into_iter().find(|(_, path)| path.to_string() == intent.target)?;
    let replaces =
        intent.etag.clone().filter(|_| intent.replaces_existing).map(|etag| azure::ETag::new(&etag));
    Some((Stage { path, n, replaces, lease: None }, lease_id))
}

/// Whether the blob that an interrupted run was writing is still that run's, marked or finished, so
/// that the page ranges which landed are still there. None when the service does not say.
pub async fn is_still_ours(run: &Run, blob: &Blob) -> Option<bool> {
    let Some((stage, lease_id)) = begun(blob) else { return Some(false) };
    match run.account.properties(&stage.path).await.ok()? {
        Some(existing) if is_marked(&existing, &lease_id) => Some(true),
        Some(existing) => is_ours(run, blob, &stage.path, &existing).await.ok(),
        None => Some(false),
    }
}

fn is_marked(existing: &BlobProperties, lease_id: &LeaseId) -> bool {
    let mut metadata = existing.headers.metadata.iter();
    metadata.any(|(name, value)| name.eq_ignore_ascii_case(INCOMPLETE) && value.contains(lease_id.as_str()))
}

/// An existing blob is leased before it is replaced; a new one as soon as it is there.
async fn create(run: &Run, blob: &Blob, stage: &Stage, lease_id: &LeaseId) -> Result<(), StorageError> {
    let created = try_create(run, blob, stage, lease_id).await;
    if let Err(error) = &created
        && error.kind != ErrorKind::LeasePresent
        && stage.replaces.is_some()
    {
        // Our own lease on the old blob must not look like somebody else's at the next try.
        give_back(run, &stage.path, lease_id).await;
    }
    created
}

async fn try_create(run: &Run, blob: &Blob, stage: &Stage, lease_id: &LeaseId) -> Result<(), StorageError> {
    let existing_lease = match stage.replaces {
        Some(_) => {
            take_lease(run, stage, lease_id).await?;
            Some(lease_id)
        }
        None => None,
    };
    let marker = vec![(INCOMPLETE.to_owned(), lease_id.as_str().to_owned())];
    let mut side = SideFallback::new(blob);
    loop {
        let headers = BlobHeaders { metadata: marker.clone(), ..side.headers().clone() };
        let (length_bytes, condition) = (blob.entry.length_bytes, stage.condition());
        match run
            .account
            .create_page_blob(&stage.path, length_bytes, &headers, &condition, existing_lease)
            .await
        {
            Ok(_) => break,
            Err(error) if side.gives_way(&error) => {}
            Err(error) => return Err(error),
        }
    }
    if existing_lease.is_none() { take_lease(run, stage, lease_id).await } else { Ok(()) }
}

async fn take_lease(run: &Run, stage: &Stage, lease_id: &LeaseId) -> Result<(), StorageError> {
    run.account.acquire_lease(&stage.path, Some(lease_id), LEASE_SECONDS).await.map(drop)
}

fn hold(run: &Run, stage: Stage, id: LeaseId) -> Stage {
    let (account, path, renewed) = (run.account.clone(), stage.path.clone(), id.clone());
    let renewal = tokio::spawn(async move {
        loop {
            tokio::time::sleep(RENEW_EVERY).await;
            if let Err(error) = account.renew_lease(&path, &renewed).await {
                tracing::warn!(error = proof::chain(&error), "renewing the lease of a page blob");
            }
        }
    });
    Stage { lease: Some(Arc::new(HeldLease { id, renewal })), ..stage }
}

/// Writes one page range; gives its CRC-64.
///
/// # Errors
/// What the storage service answered.
pub async fn put(run: &Run, stage: &Stage, verified: Verified<Chunk>) -> Result<u64, StorageError> {
    let chunk = verified.chunk().clone();
    let crc64 = verified.crc64();
    let entry = chunk.entry();
    let lease = stage.lease.as_ref().map(|lease| &lease.id);
    let bytes = verified.into_bytes();
    let put = run.account.put_page(&stage.path, entry.offset_bytes, bytes.clone(), entry.md5, lease).await;
    match (put, lease) {
        (Err(error), Some(lease)) if error.kind == ErrorKind::LeaseLost => {
            regain(run, stage, lease, error).await?;
            run.account.put_page(&stage.path, entry.offset_bytes, bytes, entry.md5, Some(lease)).await?;
        }
        (put, _) => drop(put?),
    }
    Ok(crc64)
}

/// A lease runs out when the destination does not answer for a minute. If the blob still carries
/// our mark, nobody has touched it, and the same lease is taken again.
async fn regain(run: &Run, stage: &Stage, lease: &LeaseId, lost: StorageError) -> Result<(), StorageError> {
    match run.account.properties(&stage.path).await? {
        Some(existing) if is_marked(&existing, lease) => take_lease(run, stage, lease).await,
        _ => Err(lost),
    }
}

/// All ranges have ended: takes the mark away, or says what is missing.
///
/// # Errors
/// What the storage service answered.
pub async fn finish(run: &Run, blob: &Blob, stage: &Stage) -> Result<Ending, StorageError> {
    let ends = blob.chunk_ends();
    let missing_count = ends.iter().filter(|end| **end != Some(ChunkStatus::Completed)).count();
    let lease = stage.lease.as_ref().map(|lease| &lease.id);
    let mark = lease.filter(|_| missing_count > 0).map(|lease| {
        (
            INCOMPLETE.to_owned(),
            format!("{missing_count} of {} page ranges missing, lease {}", ends.len(), lease.as_str()),
        )
    });
    let mut side = SideFallback::new(blob);
    loop {
        let metadata: Vec<_> = side.headers().metadata.iter().cloned().chain(mark.clone()).collect();
        match run.account.set_metadata(&stage.path, &metadata, &Condition::None, lease).await {
            Ok(_) => break,
            Err(error) if side.gives_way(&error) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(Ending::Visible { disposition: stage.disposition(), path: stage.path.clone() })
}

/// Gives the lease back, whatever the blob came to.
pub async fn close(run: &Run, blob: &Blob) {
    let Some(Ok(Stage { path, lease: Some(lease), .. })) = blob.stage.get() else { return };
    give_back(run, path, &lease.id).await;
}

async fn give_back(run: &Run, path: &BlobPath, lease_id: &LeaseId) {
    if let Err(error) = run.account.release_lease(path, lease_id).await {
        // It ends by itself within a minute.
        tracing::warn!(error = proof::chain(&error), "releasing the lease of a page blob");
    }
}

fn fatal(failure: BlobFailure) -> Choice {
    Choice::Settled(Ending::Fatal(failure))
}

//! Under which name a blob goes into the account, and what stands there already.
//!
//! Import dispositions without races (azure-import-export.md §1.7): looking at a name never
//! decides anything by itself. A new name is taken with `If-None-Match: *`, an existing blob is
//! replaced with `If-Match` on the very ETag that was looked at, and whoever came in between makes
//! the request fail and the decision start over.
//!
//! A commit may have landed although its answer was lost, in this run or in one that was killed.
//! [`is_ours`] recognises it: same length, metadata, properties and content, modified after our
//! first run of the drive began. So a blob is never put twice under two names.

use std::sync::Arc;
use std::time::UNIX_EPOCH;

use azure::{BlobProperties, BlobType, Condition, ETag, ErrorKind, LeaseState, StorageError};
use ledger::{Intent, Record, SaveError};
use model::status::{BlobStatus, DispositionStatus, SideFileStatus};
use model::{BlobPath, ImportDisposition};

use crate::blob::Blob;
use crate::outcome::{BlobFailure, Ending};
use crate::page::HeldLease;
use crate::run::Run;

/// A blob's chosen place.
#[derive(Debug, Clone)]
pub struct Stage {
    /// Its name in the account.
    pub path: BlobPath,
    /// 1 for its own name, n for the n-th one tried.
    pub n: u32,
    /// What stood there when it was chosen, for `overwrite`.
    pub replaces: Option<ETag>,
    /// Held on a page blob while it is written.
    pub lease: Option<Arc<HeldLease>>,
}

impl Stage {
    /// The condition that makes the commit fail if anything changed since the choice.
    pub fn condition(&self) -> Condition {
        match &self.replaces {
            None => Condition::IfNoneMatchAny,
            Some(etag) => Condition::IfMatch(etag.clone()),
        }
    }

    /// What the log says of the disposition once the blob is committed here.
    pub fn disposition(&self) -> DispositionStatus {
        match (&self.replaces, self.n) {
            (Some(_), _) => DispositionStatus::Overwritten,
            (None, 1) => DispositionStatus::Created,
            (None, _) => DispositionStatus::Renamed,
        }
    }
}

/// Names are tried up to this suffix before `RenameFailed`.
pub const RENAME_N_MAX: u32 = 1_000;

/// What looking for a place came to.
pub enum Choice {
    /// A place was found.
    Place(Stage),
    /// The blob needs no place: skipped, failed, or there already from an interrupted run.
    Settled(Ending),
    /// What an earlier run had landed is not there any more: the blob begins anew.
    StartOver {
        /// What happened.
        why: String,
    },
}

/// Finds the blob's place by its disposition, from its `n`-th name on.
///
/// # Errors
/// What the storage service answered.
pub async fn choose(run: &Run, blob: &Blob, n: u32) -> Result<Choice, StorageError> {
    run.ensure_container(blob.path.container()).await?;
    let mut n = n.max(blob.first_n);
    loop {
        let path = match nth_name(&blob.path, n) {
            Ok(path) => path,
            Err(failure) => return Ok(Choice::Settled(Ending::Fatal(failure))),
        };
        // Uncommitted blocks belong to a name, not to whoever put them: two blobs of the manifest
        // must not be staged under one name at a time.
        if !blob.is_whole() && !run.reserve(&path, blob.entry.index) {
            match blob.entry.disposition() {
                ImportDisposition::NoOverwrite => return Ok(Choice::Settled(Ending::Skipped)),
                ImportDisposition::Overwrite => return Ok(Choice::Settled(Ending::Fatal(twice(&path)))),
                ImportDisposition::Rename => {
                    n += 1;
                    continue;
                }
            }
        }
        let Some(existing) = run.account.properties(&path).await? else {
            return Ok(Choice::Place(Stage { path, n, replaces: None, lease: None }));
        };
        if run.resumed && may_have_landed(blob) && is_ours(run, blob, &path, &existing).await? {
            return Ok(Choice::Settled(landed_earlier(blob, path, n)));
        }
        match blob.entry.disposition() {
            ImportDisposition::NoOverwrite => return Ok(Choice::Settled(Ending::Skipped)),
            ImportDisposition::Overwrite
                if existing.lease_state == LeaseState::Leased && !is_our_lease(blob) =>
            {
                return Ok(Choice::Settled(Ending::Fatal(leased(&path))));
            }
            ImportDisposition::Overwrite if takes_no_blocks(blob, &existing) => {
                return Ok(Choice::Settled(Ending::Fatal(other_type(&path, &existing))));
            }
            ImportDisposition::Overwrite => {
                return Ok(Choice::Place(Stage { path, n, replaces: Some(existing.etag), lease: None }));
            }
            ImportDisposition::Rename => n += 1,
        }
    }
}

/// Saves that an existing blob is about to be replaced, before it is: only so can a later run tell
/// `Overwritten` from `Created`.
///
/// # Errors
/// When the ledger cannot save.
pub async fn save_intent(
    run: &Run,
    blob: &Blob,
    stage: &Stage,
    lease_id: Option<String>,
) -> Result<(), SaveError> {
    let intent = Intent {
        target: stage.path.to_string(),
        replaces_existing: stage.replaces.is_some(),
        etag: stage.replaces.as_ref().map(|etag| etag.as_str().to_owned()),
        lease_id,
    };
    let record = Record::Intent { blob_index: blob.entry.index, intent };
    run.recorder.save(vec![record]).await
}

/// The ending of a blob that an earlier, interrupted run had committed under its `n`-th name.
fn landed_earlier(blob: &Blob, path: BlobPath, n: u32) -> Ending {
    let replaced = blob.earlier.intent.as_ref().is_some_and(|intent| intent.replaces_existing);
    let disposition = match (replaced, n) {
        (true, _) => DispositionStatus::Overwritten,
        (false, 1) => DispositionStatus::Created,
        (false, _) => DispositionStatus::Renamed,
    };
    Ending::VisibleEarlier { disposition, path }
}

/// The name with the suffix for `n`; 1 is the name itself.
pub fn nth_name(path: &BlobPath, n: u32) -> Result<BlobPath, BlobFailure> {
    let failed = |message: String| BlobFailure::local(BlobStatus::RenameFailed, message);
    match n {
        0 | 1 => Ok(path.clone()),
        2..=RENAME_N_MAX => {
            path.renamed(n).map_err(|error| failed(format!("no new name for {path}: {error}")))
        }
        _ => Err(failed(format!("{path} and {} more names are taken", RENAME_N_MAX - 1))),
    }
}

/// The failure of a blob whose target somebody holds a lease on.
pub fn leased(path: &BlobPath) -> BlobFailure {
    BlobFailure {
        status: BlobStatus::LeasePresent,
        message: format!("{path} exists and somebody holds a lease on it; it was left as it is"),
        http_status: Some(412),
    }
}

/// Two entries of the manifest are for one name, and neither may give way.
fn twice(path: &BlobPath) -> BlobFailure {
    let message = format!("another entry of the manifest is being written to {path}");
    BlobFailure::local(BlobStatus::BlobRequestFailed, message)
}

/// Blocks cannot be staged beside a blob of another type; to delete it first would lose it before
/// ours is proven.
fn takes_no_blocks(blob: &Blob, existing: &BlobProperties) -> bool {
    !blob.is_page_blob() && !blob.is_whole() && existing.blob_type != BlobType::Block
}

fn other_type(path: &BlobPath, existing: &BlobProperties) -> BlobFailure {
    BlobFailure {
        status: BlobStatus::BlobRequestFailed,
        message: format!(
            "{path} exists and is a {:?} blob, which the service does not let blocks replace; delete it first",
            existing.blob_type
        ),
        http_status: Some(409),
    }
}

/// Before several blocks are committed their landing is saved, so without that they were not. One
/// block is put and committed at once.
fn may_have_landed(blob: &Blob) -> bool {
    blob.is_whole() || blob.is_page_blob() || blob.chunk_count() == 0 || !blob.earlier.landed.is_empty()
}

/// A page blob that an interrupted run was writing is still under that run's lease.
fn is_our_lease(blob: &Blob) -> bool {
    blob.earlier.intent.as_ref().is_some_and(|intent| intent.lease_id.is_some())
}

/// Whether what stands at `path` is this very blob, committed by us.
///
/// # Errors
/// What the storage service answered.
pub async fn is_ours(
    run: &Run,
    blob: &Blob,
    path: &BlobPath,
    existing: &BlobProperties,
) -> Result<bool, StorageError> {
    let kind = if blob.is_page_blob() { BlobType::Page } else { BlobType::Block };
    let alike = existing.blob_type == kind
        && existing.length_bytes == blob.entry.length_bytes
        && modified_since(existing, run.server_started_unix_s)
        && same_headers(blob, existing);
    if !alike {
        return Ok(false);
    }
    if blob.is_page_blob() {
        return Ok(blob.earlier.intent.as_ref().is_some_and(|intent| intent.target == path.to_string()));
    }
    let same =
        (blob.is_whole() || same_blocks(run, blob, path).await?) && same_content(run, blob, path).await?;
    if same {
        note_missing_metadata(blob, existing);
    }
    Ok(same)
}

/// Whether this very blob stands at `path`, committed by a request whose answer nobody noted. What
/// cannot be looked at counts as not there: then it is put again.
pub async fn stands_there(run: &Run, blob: &Blob, path: &BlobPath) -> bool {
    match run.account.properties(path).await {
        Ok(Some(existing)) => is_ours(run, blob, path, &existing).await.unwrap_or(false),
        Ok(None) | Err(_) => false,
    }
}

/// Blobs of an earlier time were not put by us.
fn modified_since(existing: &BlobProperties, unix_s: i64) -> bool {
    let since = existing.last_modified.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    since.and_then(|since| i64::try_from(since.as_secs()).ok()).is_some_and(|seconds| seconds >= unix_s)
}

fn same_headers(blob: &Blob, existing: &BlobProperties) -> bool {
    let sorted = |pairs: &[(String, String)]| {
        let mut pairs: Vec<(String, String)> =
            pairs.iter().map(|(name, value)| (name.to_ascii_lowercase(), value.clone())).collect();
        pairs.sort();
        pairs
    };
    // The service may have refused the metadata, and the data landed without.
    existing.headers.metadata.is_empty()
        || sorted(&existing.headers.metadata) == sorted(&blob.headers.metadata)
}

/// Notes metadata that a killed run had to leave out.
fn note_missing_metadata(blob: &Blob, existing: &BlobProperties) {
    let mut side = blob.side();
    if existing.headers.metadata.is_empty() && !blob.headers.metadata.is_empty() {
        side.metadata = side.metadata.map(|_| SideFileStatus::BlobRequestFailed);
        blob.set_side(side);
    }
}

/// Block ids are the manifest's; the service keeps them with the committed blob. Other ids are
/// proof of another blob; the same ids prove nothing, because numbered blocks all have them.
async fn same_blocks(run: &Run, blob: &Blob, path: &BlobPath) -> Result<bool, StorageError> {
    let committed = run.account.block_list(path).await?.committed;
    let ours = crate::put::block_ids(blob);
    Ok(committed.len() == ours.len() && committed.iter().zip(&ours).all(|(theirs, ours)| theirs.id == *ours))
}

/// Its content is read back, chunk by chunk, and digested.
async fn same_content(run: &Run, blob: &Blob, path: &BlobPath) -> Result<bool, StorageError> {
    let chunk_count = u32::try_from(blob.chunk_count()).expect("a block list has at most 50,000 entries");
    for chunk in (0..chunk_count).map(|index| blob.chunk(index)) {
        let range = chunk.offset_bytes..chunk.offset_bytes + chunk.length_bytes;
        let content = match run.account.download(path, Some(range)).await {
            Ok(content) => content,
            Err(error) if matches!(error.kind, ErrorKind::NotFound | ErrorKind::InvalidRange) => {
                return Ok(false);
            }
            Err(error) => return Err(error),
        };
        // A block may have 100 MiB: its digest is not for a thread of the runtime.
        let md5 = tokio::task::spawn_blocking(move || digests::md5_of(&content)).await;
        if md5.ok() != Some(chunk.md5) {
            return Ok(false);
        }
    }
    Ok(true)
}

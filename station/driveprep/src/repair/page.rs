//! A page blob with missing ranges: they are written under the blob's lease, and its mark taken off.
//!
//! A page blob is visible while it is written, so from the first byte to the last it carries
//! `incomplete` in its metadata, with the id of our lease: a repair that was killed knows by it that
//! nobody else has written since. Invariants: before anything is touched the whole source was
//! compared with its hashes; pages that somebody wrote since the import are not overwritten.

use std::time::Duration;

use azure::{
    Account, BlobHeaders, BlobProperties, BlobType, Condition, ErrorKind, LeaseId, PageRange, StorageError,
};
use manifest::RangeEntry;
use model::BlobPath;

use super::import::Desk;
use super::place::{self, INCOMPLETE, Place, is_marked, without_mark};
use super::roots::Source;
use super::side::{self, SideFiles};
use super::stop::{Stop, Unresolved};
use super::work::{Part, Visible, Work};

/// Longest finite lease of the service.
const LEASE_SECONDS: u32 = 60;
/// Three renewals fit into a lease, so one may be lost.
const RENEW_EVERY: Duration = Duration::from_secs(20);

type Problems = Vec<(String, Unresolved)>;

/// Repairs a page blob; gives what is still wrong with its side files.
///
/// # Errors
/// Why it stays as it is.
pub async fn repair(desk: &Desk, work: &Work, ranges: &[Part<RangeEntry>]) -> Result<Problems, Stop> {
    let bad: Vec<RangeEntry> =
        ranges.iter().filter(|range| range.is_bad()).map(|range| range.entry).collect();
    match place::find(desk, work, BlobType::Page).await? {
        Place::Skipped => Ok(Vec::new()),
        Place::New { path, condition, existing } => {
            let all: Vec<RangeEntry> = ranges.iter().map(|range| range.entry).collect();
            create(desk, work, &all, &path, &condition, existing.as_deref()).await
        }
        Place::There { path, existing } => {
            let bad = if is_marked(&existing) { bad } else { untouched(desk, &path, bad).await? };
            let files = SideFiles::bad_of(desk, work)?;
            if bad.is_empty() && !is_marked(&existing) {
                side::set(desk, &path, &existing, &files, None).await?;
                return Ok(files.problems);
            }
            let source = prove(desk, work, &bad).await?;
            let lease = intend(desk, work, &path)?;
            let held = take(desk, &path, lease).await?;
            let now = mark(desk, &path, &existing.etag, &held.id).await?;
            fill(desk, work, &path, &bad, source.as_ref(), &held, &now).await?;
            finish(desk, &path, files, held).await
        }
        Place::Begun { path, existing } => go_on(desk, work, ranges, &path, &existing).await,
    }
}

/// Notes where the blob will be written anew, and gives the lease to do it under: the one of a run
/// that was killed, which may still hold it, but nothing of what that run had sent.
fn intend(desk: &Desk, work: &Work, path: &BlobPath) -> Result<LeaseId, Stop> {
    let mut record = desk.record();
    let noted = record.blob(&work.blob_path).lease.and_then(|lease| LeaseId::parse(&lease).ok());
    let lease = noted.unwrap_or_else(LeaseId::random);
    record.forget(&work.blob_path)?;
    record.intends(&work.blob_path, &path.to_string(), Some(lease.as_str()))?;
    Ok(lease)
}

/// Goes on where an earlier run of this repair ended.
async fn go_on(
    desk: &Desk,
    work: &Work,
    ranges: &[Part<RangeEntry>],
    path: &BlobPath,
    existing: &BlobProperties,
) -> Result<Problems, Stop> {
    let files = if work.visible == Visible::No {
        SideFiles::all_of(desk, work)
    } else {
        SideFiles::bad_of(desk, work)?
    };
    let noted = desk.record().blob(&work.blob_path).lease.and_then(|lease| LeaseId::parse(&lease).ok());
    if !is_marked(existing) {
        if let Some(lease) = &noted {
            // It was killed between taking the mark off and giving the lease back.
            drop(desk.account.release_lease(path, lease).await);
        }
        side::set(desk, path, existing, &files, None).await?;
        return Ok(files.problems);
    }
    let lease = noted.unwrap_or_else(LeaseId::random);
    let left: Vec<RangeEntry> = {
        let record = desk.record();
        let sent = |range: &RangeEntry| record.has_component(&work.blob_path, range.offset_bytes);
        ranges
            .iter()
            .filter(|range| range.is_bad())
            .map(|range| range.entry)
            .filter(|range| !sent(range))
            .collect()
    };
    let source = prove(desk, work, &left).await?;
    let held = take(desk, path, lease).await?;
    fill(desk, work, path, &left, source.as_ref(), &held, existing).await?;
    finish(desk, path, files, held).await
}

async fn create(
    desk: &Desk,
    work: &Work,
    all: &[RangeEntry],
    path: &BlobPath,
    condition: &Condition,
    existing: Option<&BlobProperties>,
) -> Result<Problems, Stop> {
    if !work.is_complete {
        return Err(Unresolved::NeedsManifest { what: "all the page ranges of the blob" }.into());
    }
    let files = SideFiles::all_of(desk, work);
    let source = prove(desk, work, all).await?;
    let lease = intend(desk, work, path)?;
    let mut held = match existing {
        Some(_) => Some(take(desk, path, lease.clone()).await?),
        None => None,
    };
    let mut headers = files.headers.clone();
    headers.metadata.push((INCOMPLETE.to_owned(), lease.as_str().to_owned()));
    let under = held.as_ref().map(|held| &held.id);
    let created = desk.account.create_page_blob(path, work.length_bytes, &headers, condition, under).await;
    if let Err(error) = created {
        return Err(refused(path, error));
    }
    if held.is_none() {
        held = Some(take(desk, path, lease).await?);
    }
    let held = held.expect("a lease was taken before or after");
    let now = now(desk, path).await?;
    fill(desk, work, path, all, source.as_ref(), &held, &now).await?;
    finish(desk, path, files, held).await
}

/// Of the bad ranges of a blob without a mark, those that nobody has written; ones that hold their
/// content by now need nothing.
async fn untouched(desk: &Desk, path: &BlobPath, bad: Vec<RangeEntry>) -> Result<Vec<RangeEntry>, Stop> {
    if bad.is_empty() {
        return Ok(bad);
    }
    let written = desk.account.page_ranges(path).await?;
    let mut untouched = Vec::new();
    for range in bad {
        if !written.iter().any(|written| overlap(written, &range)) {
            untouched.push(range);
        } else if !has_content(desk, path, &range).await? {
            let what = format!("{path} was written at {} since the import", range.offset_bytes);
            return Err(Unresolved::Changed { what }.into());
        }
    }
    Ok(untouched)
}

fn overlap(written: &PageRange, range: &RangeEntry) -> bool {
    let end = |offset: u64, length: u64| offset.saturating_add(length);
    written.offset_bytes < end(range.offset_bytes, range.length_bytes)
        && range.offset_bytes < end(written.offset_bytes, written.length_bytes)
}

async fn has_content(desk: &Desk, path: &BlobPath, range: &RangeEntry) -> Result<bool, Stop> {
    let bytes = range.offset_bytes..range.offset_bytes.saturating_add(range.length_bytes);
    match desk.account.download(path, Some(bytes)).await {
        Ok(bytes) => Ok(digests::md5_of(&bytes) == range.hash),
        Err(error) if matches!(error.kind(), ErrorKind::InvalidRange | ErrorKind::NotFound) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Whether the blob that is there has all of this content.
///
/// # Errors
/// When the service refuses.
pub async fn holds(desk: &Desk, path: &BlobPath, ranges: &[Part<RangeEntry>]) -> Result<bool, Stop> {
    for range in ranges.iter().filter(|range| range.is_bad()) {
        if !has_content(desk, path, &range.entry).await? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Compares the source with every hash before anything in the account is touched.
async fn prove(desk: &Desk, work: &Work, ranges: &[RangeEntry]) -> Result<Option<Source>, Stop> {
    if ranges.is_empty() {
        return Ok(None);
    }
    let source = desk.roots.open(&work.file_path, &desk.map)?;
    for range in ranges {
        source.clone().read(range.offset_bytes, range.length_bytes, range.hash).await?;
    }
    Ok(Some(source))
}

/// A lease that is renewed until it is given back, or dropped.
struct Held {
    id: LeaseId,
    renewal: tokio::task::JoinHandle<()>,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.renewal.abort();
    }
}

async fn take(desk: &Desk, path: &BlobPath, lease: LeaseId) -> Result<Held, Stop> {
    match desk.account.acquire_lease(path, Some(&lease), LEASE_SECONDS).await {
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::LeasePresent => {
            let what =
                format!("somebody holds a lease on {path}; run the same command again when it is free");
            return Err(Unresolved::Changed { what }.into());
        }
        Err(error) => return Err(error.into()),
    }
    let (account, renewed, id) = (desk.account.clone(), path.clone(), lease.clone());
    let renewal = tokio::spawn(async move { renew(&account, &renewed, &lease).await });
    Ok(Held { id, renewal })
}

async fn renew(account: &Account, path: &BlobPath, lease: &LeaseId) {
    loop {
        tokio::time::sleep(RENEW_EVERY).await;
        // A lease that was lost shows at the next write.
        drop(account.renew_lease(path, lease).await);
    }
}

/// Puts our mark on the blob, if it is still as it was looked at.
async fn mark(
    desk: &Desk,
    path: &BlobPath,
    etag: &azure::ETag,
    lease: &LeaseId,
) -> Result<BlobProperties, Stop> {
    let existing = now(desk, path).await?;
    if existing.etag != *etag {
        let what = format!("somebody else wrote {path} just now; run the same command again");
        return Err(Unresolved::Changed { what }.into());
    }
    let mut metadata = without_mark(&existing.headers.metadata);
    metadata.push((INCOMPLETE.to_owned(), lease.as_str().to_owned()));
    let condition = Condition::IfMatch(existing.etag.clone());
    let marked = desk.account.set_metadata(path, &metadata, &condition, Some(lease)).await;
    let etag = marked.map_err(|error| refused(path, error))?.etag;
    Ok(BlobProperties { etag, headers: BlobHeaders { metadata, ..existing.headers.clone() }, ..existing })
}

async fn now(desk: &Desk, path: &BlobPath) -> Result<BlobProperties, Stop> {
    let gone = || Unresolved::Changed { what: format!("{path} is gone by now") };
    Ok(desk.account.properties(path).await?.ok_or_else(gone)?)
}

fn refused(path: &BlobPath, error: StorageError) -> Stop {
    match error.kind() {
        ErrorKind::AlreadyExists | ErrorKind::ConditionNotMet => {
            let what =
                format!("somebody else wrote {path} while it was being repaired; run the same command again");
            Unresolved::Changed { what }.into()
        }
        _ => error.into(),
    }
}

/// Writes ranges, one after the other: the order is the file's.
async fn fill(
    desk: &Desk,
    work: &Work,
    path: &BlobPath,
    ranges: &[RangeEntry],
    source: Option<&Source>,
    held: &Held,
    existing: &BlobProperties,
) -> Result<(), Stop> {
    debug_assert!(is_marked(existing), "a page blob is marked before it is written");
    let Some(source) = source else { return Ok(()) };
    desk.meter.expect(ranges.iter().map(|range| range.length_bytes).sum(), 0);
    for range in ranges {
        let bytes = source.clone().read(range.offset_bytes, range.length_bytes, range.hash).await?;
        desk.account.put_page(path, range.offset_bytes, bytes, range.hash, Some(&held.id)).await?;
        desk.record().sent(&work.blob_path, "PageRange", range.offset_bytes)?;
        desk.moved(range.length_bytes);
    }
    Ok(())
}

/// Everything has landed: side files, then the mark away, then the lease. Metadata that somebody
/// else has set is no reason to call a whole blob incomplete.
async fn finish(desk: &Desk, path: &BlobPath, files: SideFiles, held: Held) -> Result<Problems, Stop> {
    let existing = now(desk, path).await?;
    let set = side::set(desk, path, &existing, &files, Some(&held.id)).await;
    let latest = now(desk, path).await?;
    let metadata = without_mark(&latest.headers.metadata);
    let condition = Condition::IfMatch(latest.etag);
    let unmarked = desk.account.set_metadata(path, &metadata, &condition, Some(&held.id)).await;
    unmarked.map_err(|error| refused(path, error))?;
    // It ends by itself within a minute.
    drop(desk.account.release_lease(path, &held.id).await);
    let mut problems = files.problems;
    match set {
        Ok(_) => {}
        Err(Stop::Blob(problem)) => problems.push((path.to_string(), problem)),
        Err(stop) => return Err(stop),
    }
    Ok(problems)
}

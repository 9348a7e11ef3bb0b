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
use super::record::Intent;
use super::roots::Source;
use super::side::{self, SideFiles};
use super::stop::{Outcome, Stop, Unresolved};
use super::work::{Part, Visible, Work};

/// Longest finite lease of the service.
const LEASE_SECONDS: u32 = 60;
/// Three renewals fit into a lease, so one may be lost.
const RENEW_EVERY: Duration = Duration::from_secs(20);

type Problems = Vec<(String, Unresolved)>;

/// Repairs a page blob.
///
/// # Errors
/// Why it stays as it is.
pub async fn repair(desk: &Desk, work: &Work, ranges: &[Part<RangeEntry>]) -> Result<Outcome, Stop> {
    let problems = match place::find(desk, work, BlobType::Page).await? {
        Place::Taken => return Ok(Outcome::Left),
        Place::New { path, condition, existing } => {
            create(desk, work, &all_of(ranges), &path, &condition, existing.as_deref()).await
        }
        Place::There { path, existing } => there(desk, work, bad_of(ranges), &path, &existing).await,
        Place::Begun { path, existing } => go_on(desk, work, ranges, &path, &existing).await,
    };
    problems.map(Outcome::Landed)
}

fn all_of(ranges: &[Part<RangeEntry>]) -> Vec<RangeEntry> {
    ranges.iter().map(|range| range.entry).collect()
}

fn bad_of(ranges: &[Part<RangeEntry>]) -> Vec<RangeEntry> {
    ranges.iter().filter(|range| range.is_bad()).map(|range| range.entry).collect()
}

/// Mends what the import left.
async fn there(
    desk: &Desk,
    work: &Work,
    bad: Vec<RangeEntry>,
    path: &BlobPath,
    existing: &BlobProperties,
) -> Result<Problems, Stop> {
    let bad = if is_marked(existing) { bad } else { untouched(desk, path, bad).await? };
    let files = SideFiles::bad_of(desk, work)?;
    if bad.is_empty() && !is_marked(existing) {
        side::set(desk, path, existing, &files, None).await?;
        return Ok(files.problems);
    }
    let source = prove(desk, work, &bad).await?;
    let lease = intend(desk, work, path, false)?;
    let held = take(desk, path, lease).await?;
    let now = mark(desk, path, &existing.etag, &held.id).await?;
    fill(desk, work, path, &bad, source.as_ref(), &held, &now).await?;
    finish(desk, path, files, held).await
}

/// Notes where the blob will be written, and gives the lease to do it under: the one of a run that
/// was killed, which may still hold it, but nothing of what that run had sent. A blob that is made
/// anew needs its good ranges too, whoever goes on with it.
fn intend(desk: &Desk, work: &Work, path: &BlobPath, is_anew: bool) -> Result<LeaseId, Stop> {
    let mut record = desk.record();
    let noted = record.blob(work.key()).lease.and_then(|lease| LeaseId::parse(&lease).ok());
    let lease = noted.unwrap_or_else(LeaseId::random);
    record.forget(work.key())?;
    let target = path.to_string();
    record.intends(work.key(), Intent { target: &target, lease: Some(lease.as_str()), is_anew })?;
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
    let noted = desk.record().blob(work.key());
    let files = if work.visible == Visible::No || noted.is_anew {
        SideFiles::all_of(desk, work)
    } else {
        SideFiles::bad_of(desk, work)?
    };
    let lease = noted.lease.and_then(|lease| LeaseId::parse(&lease).ok());
    if !is_marked(existing) {
        if let Some(lease) = &lease {
            // It was killed between taking the mark off and giving the lease back.
            drop(desk.account.release_lease(path, lease).await);
        }
        side::set(desk, path, existing, &files, None).await?;
        return Ok(files.problems);
    }
    if noted.is_anew && !work.is_complete {
        return Err(Unresolved::NeedsManifest { what: "all the page ranges of the blob" }.into());
    }
    let lease = lease.unwrap_or_else(LeaseId::random);
    let mut left = if noted.is_anew { all_of(ranges) } else { bad_of(ranges) };
    {
        let record = desk.record();
        left.retain(|range| !record.has_component(work.key(), range.offset_bytes));
    }
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
    let lease = intend(desk, work, path, true)?;
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

/// Whether the blob that is there has all of this content, and, where all of it is known, no other.
///
/// # Errors
/// When the service refuses.
pub async fn holds(
    desk: &Desk,
    path: &BlobPath,
    ranges: &[Part<RangeEntry>],
    is_complete: bool,
) -> Result<bool, Stop> {
    let mut ranges = all_of(ranges);
    ranges.sort_unstable_by_key(|range| range.offset_bytes);
    if is_complete {
        let written = desk.account.page_ranges(path).await?;
        if !written.iter().all(|written| is_covered(written, &ranges)) {
            return Ok(false);
        }
    }
    for range in &ranges {
        if !has_content(desk, path, range).await? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Whether ranges in order have every byte of what was written; the service joins neighbours.
fn is_covered(written: &PageRange, ranges: &[RangeEntry]) -> bool {
    let end = written.offset_bytes.saturating_add(written.length_bytes);
    let from = ranges.partition_point(|range| {
        range.offset_bytes.saturating_add(range.length_bytes) <= written.offset_bytes
    });
    let mut covered = written.offset_bytes;
    for range in ranges.get(from..).unwrap_or_default() {
        if covered >= end || range.offset_bytes > covered {
            break;
        }
        covered = covered.max(range.offset_bytes.saturating_add(range.length_bytes));
    }
    covered >= end
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
        desk.record().sent(work.key(), "PageRange", range.offset_bytes)?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_covered_only_by_ranges_without_a_gap() {
        let hash = digests::md5_of(b"");
        let range = |offset_bytes, length_bytes| RangeEntry { offset_bytes, length_bytes, hash };
        let ranges = [range(0, 512), range(1_024, 512), range(1_536, 1_024)];
        for (offset_bytes, length_bytes, expected) in [
            (0, 512, true),
            (1_024, 1_536, true),
            (1_536, 512, true),
            (0, 1_024, false),
            (512, 512, false),
            (1_024, 2_048, false),
            (4_096, 512, false),
        ] {
            let written = PageRange { offset_bytes, length_bytes };
            assert_eq!(is_covered(&written, &ranges), expected, "{offset_bytes} {length_bytes}");
        }
    }
}

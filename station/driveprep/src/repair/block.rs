//! A block blob that was not committed whole: missing blocks are sent, then the list.
//!
//! Blocks that had landed stay with the service for a week; those are not sent again, if their id is
//! made of their digest or this repair has sent them itself: numbered ids prove nothing. Invariants:
//! a block is sent only with the hash that it was packed with; the list is committed only when every
//! block is there, under the condition that the place is still what it was.

use std::collections::HashMap;

use azure::{BlobProperties, BlobType, Block, Condition, ErrorKind, StorageError};
use futures::{StreamExt, TryStreamExt};
use manifest::{BlockEntry, BlockId};
use model::BlobPath;
use model::status::ChunkStatus;

use super::import::Desk;
use super::place::{self, Place};
use super::record::Intent;
use super::roots::Source;
use super::side::{self, SideFiles};
use super::stop::{Outcome, Stop, Unresolved};
use super::work::{Part, Visible, Work};
use crate::account::REQUESTS_AT_ONCE;

/// Memory for blocks under way; one of 100 MiB goes alone.
const SENT_AT_ONCE_BYTES: u64 = 64 << 20;

type Problems = Vec<(String, Unresolved)>;

/// Repairs a block blob.
///
/// # Errors
/// Why it stays as it is.
pub async fn repair(desk: &Desk, work: &Work, blocks: &[Part<BlockEntry>]) -> Result<Outcome, Stop> {
    let problems = match place::find(desk, work, BlobType::Block).await? {
        Place::Taken => return Ok(Outcome::Left),
        Place::New { path, condition, .. } => {
            put(desk, work, blocks, &path, condition, SideFiles::all_of(desk, work)).await
        }
        Place::Begun { path, existing } => {
            let files = SideFiles::all_of(desk, work);
            side::set(desk, &path, &existing, &files, None).await.map(|_| files.problems)
        }
        Place::There { path, existing } => there(desk, work, blocks, &path, &existing).await,
    };
    problems.map(Outcome::Landed)
}

async fn there(
    desk: &Desk,
    work: &Work,
    blocks: &[Part<BlockEntry>],
    path: &BlobPath,
    existing: &BlobProperties,
) -> Result<Problems, Stop> {
    if work.visible == Visible::Unknown || !work.parts.any_bad() {
        let files = SideFiles::bad_of(desk, work)?;
        side::set(desk, path, existing, &files, None).await?;
        return Ok(files.problems);
    }
    // Another service commits the good blocks of a blob; only if nothing else is there is it that.
    let committed = desk.account.block_list(path).await?.committed;
    let is_good = |block: &&Part<BlockEntry>| block.status == Some(ChunkStatus::Committed);
    let good = blocks.iter().filter(is_good).map(|block| &block.entry);
    // A blob that was put at once has no list, and a length.
    let good_bytes: u64 = good.clone().map(|block| block.length_bytes).sum();
    if existing.length_bytes != good_bytes
        || !committed.iter().map(|block| (block.id.clone(), block.length_bytes)).eq(good.map(id_and_length))
    {
        return Err(
            Unresolved::Changed { what: format!("{path} is not what the import had committed") }.into()
        );
    }
    let files = side::merge(path, existing, SideFiles::all_of(desk, work));
    put(desk, work, blocks, path, Condition::IfMatch(existing.etag.clone()), files).await
}

fn id_and_length(block: &BlockEntry) -> (String, u64) {
    (id_of(block).to_base64(), block.length_bytes)
}

fn id_of(block: &BlockEntry) -> BlockId {
    block.id.unwrap_or_else(|| BlockId::of_md5(&block.hash))
}

/// Whether the blob that is there has all of this content.
///
/// # Errors
/// When the service refuses.
pub async fn holds(desk: &Desk, path: &BlobPath, blocks: &[Part<BlockEntry>]) -> Result<bool, Stop> {
    let committed = desk.account.block_list(path).await?.committed;
    let entries = || blocks.iter().map(|block| &block.entry);
    let same_list =
        committed.iter().map(|block| (block.id.clone(), block.length_bytes)).eq(entries().map(id_and_length));
    if same_list && entries().all(|block| id_of(block) == BlockId::of_md5(&block.hash)) {
        return Ok(true);
    }
    // Whoever has other blocks may have the same bytes: a blob of one block has no list.
    if !same_list && !committed.is_empty() {
        return Ok(false);
    }
    for block in entries() {
        let range = block.offset_bytes..block.offset_bytes.saturating_add(block.length_bytes);
        match desk.account.download(path, Some(range)).await {
            Ok(bytes) if digests::md5_of(&bytes) == block.hash => {}
            Ok(_) => return Ok(false),
            Err(error) if matches!(error.kind(), ErrorKind::InvalidRange | ErrorKind::NotFound) => {
                return Ok(false);
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(true)
}

async fn put(
    desk: &Desk,
    work: &Work,
    blocks: &[Part<BlockEntry>],
    path: &BlobPath,
    condition: Condition,
    files: SideFiles,
) -> Result<Problems, Stop> {
    if !work.is_complete {
        return Err(Unresolved::NeedsManifest { what: "all the blocks of the blob" }.into());
    }
    let missing = missing(desk, work, blocks, path).await?;
    if !missing.is_empty() {
        let source = desk.roots.open(&work.file_path, &desk.map)?;
        send(desk, work, path, &source, missing).await?;
    }
    let target = path.to_string();
    desk.record().intends(work.key(), Intent { target: &target, lease: None, is_anew: false })?;
    let ids: Vec<String> = blocks.iter().map(|block| id_of(&block.entry).to_base64()).collect();
    match desk.account.put_block_list(path, &ids, &files.headers, &condition, None).await {
        Ok(_) => {}
        Err(error) if error.ambiguous && holds(desk, path, blocks).await? => {}
        Err(error) => return Err(refused(path, error)),
    }
    look_once_more(desk, work, path).await?;
    Ok(files.problems)
}

fn refused(path: &BlobPath, error: StorageError) -> Stop {
    match error.kind() {
        ErrorKind::AlreadyExists | ErrorKind::ConditionNotMet => {
            let what =
                format!("somebody else wrote {path} while it was being repaired; run the same command again");
            Unresolved::Changed { what }.into()
        }
        ErrorKind::InvalidBlockList => {
            let what =
                format!("the service no longer has all the blocks of {path}; run the same command again");
            Unresolved::Changed { what }.into()
        }
        _ => error.into(),
    }
}

/// The service has acknowledged the list; what is visible must have the length that was packed.
async fn look_once_more(desk: &Desk, work: &Work, path: &BlobPath) -> Result<(), Stop> {
    let found = desk.account.properties(path).await?;
    if found.as_ref().is_some_and(|found| found.length_bytes == work.length_bytes) {
        return Ok(());
    }
    let found = found.map_or("is gone".to_owned(), |found| format!("has {} bytes", found.length_bytes));
    Err(Unresolved::Changed {
        what: format!("{path} was committed with {} bytes and {found}", work.length_bytes),
    }
    .into())
}

/// The blocks that have to be sent, equal ones once.
async fn missing(
    desk: &Desk,
    work: &Work,
    blocks: &[Part<BlockEntry>],
    path: &BlobPath,
) -> Result<Vec<BlockEntry>, Stop> {
    let uncommitted = desk.account.block_list(path).await?.uncommitted;
    let there: HashMap<&str, u64> =
        uncommitted.iter().map(|Block { id, length_bytes }| (id.as_str(), *length_bytes)).collect();
    let mut by_id: HashMap<BlockId, &BlockEntry> = HashMap::new();
    let mut missing = Vec::new();
    for block in blocks.iter().map(|block| &block.entry) {
        let id = id_of(block);
        match by_id.insert(id, block) {
            Some(twin) if (twin.hash, twin.length_bytes) == (block.hash, block.length_bytes) => continue,
            Some(_) => {
                let what = format!("two different blocks of {path} have the id {id}");
                return Err(Unresolved::Unsupported { what }.into());
            }
            None => {}
        }
        let landed = there.get(id.to_base64().as_str()) == Some(&block.length_bytes);
        let is_proven =
            id == BlockId::of_md5(&block.hash) || desk.record().has_component(work.key(), block.offset_bytes);
        if !(landed && is_proven) {
            missing.push(*block);
        }
    }
    Ok(missing)
}

async fn send(
    desk: &Desk,
    work: &Work,
    path: &BlobPath,
    source: &Source,
    missing: Vec<BlockEntry>,
) -> Result<(), Stop> {
    let longest = missing.iter().map(|block| block.length_bytes).max().unwrap_or(1).max(1);
    let at_once = usize::try_from(SENT_AT_ONCE_BYTES / longest).unwrap_or(1).clamp(1, REQUESTS_AT_ONCE);
    desk.meter.expect(missing.iter().map(|block| block.length_bytes).sum(), 0);
    let mut sends = futures::stream::iter(missing)
        .map(|block| async move {
            let bytes = source.clone().read(block.offset_bytes, block.length_bytes, block.hash).await?;
            let id = id_of(&block).to_base64();
            desk.account.put_block(path, &id, bytes, block.hash, None).await?;
            Ok::<_, Stop>(block)
        })
        .buffer_unordered(at_once);
    while let Some(block) = sends.try_next().await? {
        desk.record().sent(work.key(), "Block", block.offset_bytes)?;
        desk.moved(block.length_bytes);
    }
    Ok(())
}

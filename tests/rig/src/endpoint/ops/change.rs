//! Changing a blob that is there: metadata, properties, tier, snapshots, deletion.

use super::super::codes::{self, Refusal};
use super::super::conditions::{Conditions, Version};
use super::super::lease::{Holder, Lease};
use super::super::reply::Reply;
use super::super::state::{Blob, CellState, Content, Properties, Tier, failed};
use super::page::with_sequence;
use super::put::page_blob_length;
use super::{Call, Changed, Outcome};

/// The headers of which one makes Set Blob Properties set all of them (REST reference).
const PROPERTY_HEADERS: [&str; 6] = [
    "x-ms-blob-cache-control",
    "x-ms-blob-content-type",
    "x-ms-blob-content-md5",
    "x-ms-blob-content-encoding",
    "x-ms-blob-content-language",
    "x-ms-blob-content-disposition",
];

/// Set Blob Metadata.
pub(crate) fn metadata(call: &Call<'_>) -> Outcome {
    call.refuse_snapshot()?;
    let metadata = call.head.metadata()?;
    let changed = call.change(|blob| {
        blob.metadata = metadata;
        Ok(())
    })?;
    Ok(changed.reply(200).with("x-ms-request-server-encrypted", "true"))
}

/// Set Blob Properties: content headers, a page blob's length and sequence number.
pub(crate) fn properties(call: &Call<'_>) -> Outcome {
    call.refuse_snapshot()?;
    let sets_any = PROPERTY_HEADERS.iter().any(|name| call.head.header(name).is_some());
    let properties = Properties::of(call.head)?;
    let length = page_blob_length(call)?;
    let mut told = Reply::status(200);
    let changed = call.change(|blob| {
        let action = call.head.header("x-ms-sequence-number-action");
        match &mut blob.content {
            Content::Page { pages, sequence } => {
                *sequence = next_sequence(call, *sequence)?;
                if let Some(length) = length {
                    pages.resize(length, &call.account.vault).map_err(failed)?;
                }
            }
            Content::Block { .. } if length.is_some() || action.is_some() => {
                return Err(codes::INVALID_BLOB_TYPE.into());
            }
            Content::Block { .. } => {}
        }
        // Changing only length or sequence number leaves the rest; changing one property sets them all.
        if sets_any || (length.is_none() && action.is_none()) {
            blob.properties = properties;
        }
        told = with_sequence(Reply::status(200), blob);
        Ok(())
    })?;
    let mut reply = changed.reply(200);
    reply.headers.extend(told.headers);
    Ok(reply)
}

fn next_sequence(call: &Call<'_>, sequence: u64) -> Result<u64, Refusal> {
    let given = call.head.number("x-ms-blob-sequence-number")?;
    let missing = || Refusal::from(codes::MISSING_HEADER).detail("HeaderName", "x-ms-blob-sequence-number");
    match call.head.header("x-ms-sequence-number-action") {
        None => Ok(sequence),
        Some("max") => Ok(sequence.max(given.ok_or_else(missing)?)),
        Some("update") => given.ok_or_else(missing),
        Some("increment") => Ok(sequence.saturating_add(1)),
        Some(other) => Err(codes::INVALID_HEADER.of_header("x-ms-sequence-number-action", other)),
    }
}

/// Set Blob Tier. Neither the ETag nor the time of change moves.
pub(crate) fn tier(call: &Call<'_>) -> Outcome {
    let cell = call.container()?.existing_cell(&call.head.blob).ok_or(codes::BLOB_NOT_FOUND)?;
    let mut cell = cell.lock();
    cell.lease.check_read(call.lease_id(), Holder::Blob, call.now)?;
    let blob = match call.head.query("snapshot") {
        Some(snapshot) => cell.snapshots.get_mut(snapshot),
        None => cell.base.as_mut(),
    };
    let blob = blob.ok_or(codes::BLOB_NOT_FOUND)?;
    let is_page_blob = matches!(blob.content, Content::Page { .. });
    let tier = Tier::of(call.head, is_page_blob, call.now)?
        .ok_or_else(|| Refusal::from(codes::MISSING_HEADER).detail("HeaderName", "x-ms-access-tier"))?;
    // Bringing a blob back from the archive takes the service hours; here it is done at once.
    let was_archived = blob.tier.as_ref().is_some_and(|old| old.name == "Archive") && tier.name != "Archive";
    blob.tier = Some(tier);
    call.account.save_cell(call.place(), cell.record())?;
    Ok(Reply::status(if was_archived { 202 } else { 200 }))
}

/// Snapshot Blob.
pub(crate) fn snapshot(call: &Call<'_>) -> Outcome {
    call.refuse_snapshot()?;
    let metadata = call.head.metadata()?;
    let cell = call.container()?.existing_cell(&call.head.blob).ok_or(codes::BLOB_NOT_FOUND)?;
    let mut cell = cell.lock();
    let base = cell.base.as_ref().ok_or(codes::BLOB_NOT_FOUND)?;
    Conditions::of(call.head)?.check_write(Version::from(base))?;
    // A snapshot reads the blob: it needs no lease id, but one that is given has to be right.
    cell.lease.check_read(call.lease_id(), Holder::Blob, call.now)?;
    let vault = &call.account.vault;
    let taken = call.account.clock.unique(call.now);
    let content = match &base.content {
        Content::Page { pages, sequence } => {
            Content::Page { pages: pages.snapshot(vault).map_err(failed)?, sequence: *sequence }
        }
        Content::Block { blocks, stored } => {
            let whole = [super::super::store::Part::whole(stored.clone())];
            Content::Block { blocks: blocks.clone(), stored: vault.assemble(&whole).map_err(failed)? }
        }
    };
    let mut copy = Blob { content, etag: taken.etag(), ..base.clone() };
    if !metadata.is_empty() {
        copy.metadata = metadata;
    }
    call.account.settle(call.place(), &mut copy)?;
    copy.etag = base.etag;
    let reply = Changed::of(&copy).reply(201).with("x-ms-snapshot", taken);
    cell.snapshots.insert(taken.iso(), copy);
    call.account.save_cell(call.place(), cell.record())?;
    Ok(reply.with("x-ms-request-server-encrypted", "true"))
}

/// Delete Blob, or one of its snapshots, or all of them.
pub(crate) fn delete(call: &Call<'_>) -> Outcome {
    let cell = call.container()?.existing_cell(&call.head.blob).ok_or(codes::BLOB_NOT_FOUND)?;
    let mut cell = cell.lock();
    if let Some(snapshot) = call.head.query("snapshot") {
        return delete_snapshot(call, &mut cell, snapshot);
    }
    call.check_write(&cell)?;
    let only_snapshots = match call.head.header("x-ms-delete-snapshots") {
        None if !cell.snapshots.is_empty() => return Err(codes::SNAPSHOTS_PRESENT.into()),
        None | Some("include") => false,
        Some("only") => true,
        Some(other) => return Err(codes::INVALID_HEADER.of_header("x-ms-delete-snapshots", other)),
    };
    let snapshots = std::mem::take(&mut cell.snapshots);
    if only_snapshots {
        call.account.save_cell(call.place(), cell.record())?;
    } else {
        cell.lease = Lease::Available;
        call.account.publish(call.place(), &mut cell, None)?;
    }
    snapshots.values().for_each(|blob| call.account.remove_bytes(blob));
    Ok(deleted())
}

fn delete_snapshot(call: &Call<'_>, cell: &mut CellState, snapshot: &str) -> Outcome {
    if let Some(value) = call.head.header("x-ms-delete-snapshots") {
        return Err(codes::INVALID_HEADER.of_header("x-ms-delete-snapshots", value));
    }
    let blob = cell.snapshots.remove(snapshot).ok_or(codes::BLOB_NOT_FOUND)?;
    call.account.save_cell(call.place(), cell.record())?;
    call.account.remove_bytes(&blob);
    Ok(deleted())
}

fn deleted() -> Reply {
    Reply::status(202).with("x-ms-delete-type-permanent", "true")
}

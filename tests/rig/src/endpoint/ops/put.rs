//! Put Blob: a whole block blob in one request, or an empty page blob.

use super::super::body::Received;
use super::super::codes::{self, Refusal};
use super::super::pages::Pages;
use super::super::reply::Reply;
use super::super::state::{Blob, CellState, CommittedBlock, Container, Content, Properties, Tier, failed};
use super::super::store::{Place, Stored};
use super::{Call, Changed, Outcome, with_checksums};

/// Page blobs are at most 8 TiB (spec §7.1).
pub(crate) const PAGE_BLOB_BYTES_MAX: u64 = 8 << 40;
/// Everything of a page blob is aligned to pages of this size.
pub(crate) const PAGE_BYTES: u64 = 512;

/// Put Blob.
pub(crate) fn blob(call: &Call<'_>, received: Received) -> Outcome {
    call.refuse_snapshot()?;
    match call.head.header("x-ms-blob-type") {
        Some("BlockBlob") => block_blob(call, received),
        Some("PageBlob") => page_blob(call, &received),
        Some("AppendBlob") => Err(codes::NOT_IMPLEMENTED.into()),
        Some(other) => Err(codes::INVALID_HEADER.of_header("x-ms-blob-type", other)),
        None => Err(codes::MISSING_HEADER.detail("HeaderName", "x-ms-blob-type")),
    }
}

fn block_blob(call: &Call<'_>, received: Received) -> Outcome {
    let mut properties = Properties::of_put_blob(call.head)?;
    if let (Some(given), Some(computed)) = (&properties.content_md5, &received.md5)
        && call.account.vault.keeps()
        && given != computed
    {
        return Err(codes::MD5_MISMATCH
            .detail("UserSpecifiedMd5", given)
            .detail("ServerCalculatedMd5", computed));
    }
    properties.content_md5 = properties.content_md5.or_else(|| received.md5.clone());
    let stored = received.stored.clone().unwrap_or(Stored { length: 0, place: Place::Discarded });
    let tier = Tier::of(call.head, false, call.now)?;
    let content = Content::Block { blocks: Vec::<CommittedBlock>::new(), stored };
    let reply = publish_new(call, Draft { properties, tier, content })?;
    Ok(with_checksums(reply, &received))
}

fn page_blob(call: &Call<'_>, received: &Received) -> Outcome {
    if call.account.hierarchical {
        return Err(codes::HNS_UNSUPPORTED.into());
    }
    if received.length > 0 {
        return Err(codes::INVALID_HEADER.of_header("Content-Length", &received.length.to_string()));
    }
    let length = page_blob_length(call)?.ok_or_else(|| {
        Refusal::from(codes::MISSING_HEADER).detail("HeaderName", "x-ms-blob-content-length")
    })?;
    let sequence = call.head.number("x-ms-blob-sequence-number")?.unwrap_or(0);
    let properties = Properties::of(call.head)?;
    let tier = Tier::of(call.head, true, call.now)?;
    let pages = Pages::new(length, &call.account.vault).map_err(failed)?;
    let content = Content::Page { pages, sequence };
    let reply = publish_new(call, Draft { properties, tier, content })?;
    Ok(reply.with("x-ms-request-server-encrypted", "true"))
}

/// `x-ms-blob-content-length`: whole pages, and not more than a page blob holds.
pub(crate) fn page_blob_length(call: &Call<'_>) -> Result<Option<u64>, Refusal> {
    let name = "x-ms-blob-content-length";
    match call.head.number(name)? {
        Some(length) if length > PAGE_BLOB_BYTES_MAX || length % PAGE_BYTES != 0 => {
            Err(codes::INVALID_HEADER.of_header(name, &length.to_string()))
        }
        length => Ok(length),
    }
}

/// A blob that is about to be.
struct Draft {
    properties: Properties,
    tier: Option<Tier>,
    content: Content,
}

fn publish_new(call: &Call<'_>, draft: Draft) -> Result<Reply, Refusal> {
    let Draft { properties, tier, content } = draft;
    let metadata = call.head.metadata()?;
    let (etag, modified) = call.version();
    let blob = Blob { created: modified, modified, etag, properties, metadata, tier, content };
    let container = call.container()?;
    check_path(call, &container)?;
    let cell = container.cell(&call.head.blob);
    let mut cell = cell.lock();
    check_type(&cell, &blob)?;
    call.check_create(&cell)?;
    cell.lease.after_write(call.now);
    let reply = Changed::of(&blob).reply(201);
    call.account.publish(call.place(), &mut cell, Some(blob))?;
    Ok(reply)
}

/// A blob's type changes only by deletion.
fn check_type(cell: &CellState, blob: &Blob) -> Result<(), Refusal> {
    match &cell.base {
        Some(old) if old.type_word() != blob.type_word() => Err(codes::INVALID_BLOB_TYPE.into()),
        _ => Ok(()),
    }
}

/// In a hierarchical namespace a name is a file or a directory, never both.
pub(crate) fn check_path(call: &Call<'_>, container: &Container) -> Result<(), Refusal> {
    if !call.account.hierarchical {
        return Ok(());
    }
    let name = &call.head.blob;
    let visible = |name: &str| container.existing_cell(name).is_some_and(|cell| cell.lock().base.is_some());
    let above_is_file = name.match_indices('/').any(|(end, _)| visible(&name[..end]));
    let folder = format!("{name}/");
    let below: Vec<String> = {
        let cells = container.cells.read().expect(super::super::state::UNPOISONED);
        let names = cells.range(folder.clone()..).map(|(name, _)| name.clone());
        names.take_while(|name| name.starts_with(&folder)).collect()
    };
    let is_folder = below.iter().any(|name| visible(name));
    if above_is_file || is_folder { Err(codes::PATH_CONFLICT.into()) } else { Ok(()) }
}

//! Pages: Put Page (update and clear) and Get Page Ranges.

use std::ops::Range;

use super::super::body::{PAGES_BYTES_MAX, Received};
use super::super::codes::{self, Refusal};
use super::super::conditions::{Conditions, Version};
use super::super::lease::Holder;
use super::super::reply::Reply;
use super::super::state::{Blob, Content, failed};
use super::put::PAGE_BYTES;
use super::read::chosen;
use super::xml::Xml;
use super::{Call, Changed, Outcome, account, with_checksums};

/// Put Page.
pub(crate) fn put(call: &Call<'_>, received: &Received) -> Outcome {
    call.refuse_snapshot()?;
    let range = page_range(call)?;
    let length = range.end - range.start;
    let clears = match call.head.header("x-ms-page-write") {
        Some("update") => false,
        Some("clear") => true,
        Some(other) => return Err(codes::INVALID_HEADER.of_header("x-ms-page-write", other)),
        None => return Err(codes::MISSING_HEADER.detail("HeaderName", "x-ms-page-write")),
    };
    let expected = if clears { 0 } else { length };
    if !clears && length > PAGES_BYTES_MAX {
        return Err(codes::BODY_TOO_LARGE.into());
    }
    if received.length != expected {
        return Err(codes::INVALID_HEADER.of_header("Content-Length", &received.length.to_string()));
    }
    let vault = &call.account.vault;
    let mut sequence_now = 0;
    let changed = call.change(|blob| {
        let Content::Page { pages, sequence } = &mut blob.content else {
            return Err(codes::INVALID_BLOB_TYPE.into());
        };
        check_sequence(call, *sequence)?;
        if range.end > pages.length {
            return Err(codes::INVALID_PAGE_RANGE.into());
        }
        sequence_now = *sequence;
        let done =
            if clears { pages.clear(range, vault) } else { pages.write(range, &received.bytes, vault) };
        done.map_err(failed)
    })?;
    let reply = changed.reply(201).with("x-ms-blob-sequence-number", sequence_now);
    Ok(with_checksums(reply, received))
}

/// Get Page Ranges.
pub(crate) fn ranges(call: &Call<'_>) -> Outcome {
    if call.head.query("prevsnapshot").is_some() {
        return Err(codes::NOT_IMPLEMENTED.into());
    }
    let max = account::results_max(call)?.min(10_000);
    let marker: u64 = match call.head.query("marker").filter(|marker| !marker.is_empty()) {
        None => 0,
        Some(text) => text.parse().map_err(|_| codes::INVALID_QUERY.of_query("marker", text))?,
    };
    let cell = call.container()?.existing_cell(&call.head.blob).ok_or(codes::BLOB_NOT_FOUND)?;
    let cell = cell.lock();
    let (blob, _) = chosen(call, &cell)?;
    Conditions::of(call.head)?.check_read(Version::from(blob))?;
    cell.lease.check_read(call.lease_id(), Holder::Blob, call.now)?;
    let Blob { content: Content::Page { pages, .. }, .. } = blob else {
        return Err(codes::INVALID_BLOB_TYPE.into());
    };
    let within = match call.head.range()? {
        Some((first, _)) if first >= pages.length => return Err(codes::INVALID_RANGE.into()),
        Some((first, last)) => first..last.map_or(pages.length, |last| pages.length.min(last + 1)),
        None => 0..pages.length,
    };
    let found = pages.ranges.within(within.start.max(marker)..within.end.max(marker));
    let mut xml = Xml::new();
    xml.element("PageList", |xml| {
        for range in found.iter().take(max) {
            xml.element("PageRange", |xml| {
                xml.leaf("Start", range.start);
                xml.leaf("End", range.end - 1);
            });
        }
        xml.leaf("NextMarker", found.get(max).map(|range| range.start.to_string()).unwrap_or_default());
    });
    let reply = Changed::of(blob).reply(200).with("x-ms-blob-content-length", pages.length);
    Ok(reply.xml(xml.finish()))
}

/// The range of whole pages that a request names.
fn page_range(call: &Call<'_>) -> Result<Range<u64>, Refusal> {
    let named = call.head.range()?.ok_or(codes::MISSING_HEADER.detail("HeaderName", "x-ms-range"))?;
    let (first, Some(last)) = named else { return Err(codes::INVALID_PAGE_RANGE.into()) };
    let end = last.checked_add(1).ok_or(codes::INVALID_PAGE_RANGE)?;
    let aligned = first % PAGE_BYTES == 0 && end % PAGE_BYTES == 0;
    if aligned { Ok(first..end) } else { Err(codes::INVALID_PAGE_RANGE.into()) }
}

fn check_sequence(call: &Call<'_>, sequence: u64) -> Result<(), Refusal> {
    let number = |name: &str| call.head.number(name);
    let holds = number("x-ms-if-sequence-number-le")?.is_none_or(|limit| sequence <= limit)
        && number("x-ms-if-sequence-number-lt")?.is_none_or(|limit| sequence < limit)
        && number("x-ms-if-sequence-number-eq")?.is_none_or(|exact| sequence == exact);
    if holds { Ok(()) } else { Err(codes::SEQUENCE_NOT_MET.into()) }
}

/// A reply without a body, for operations on a page blob that tell its sequence number.
pub(crate) fn with_sequence(reply: Reply, blob: &Blob) -> Reply {
    match blob.content {
        Content::Page { sequence, .. } => reply.with("x-ms-blob-sequence-number", sequence),
        Content::Block { .. } => reply,
    }
}

//! Reading a blob: its bytes, a range of them, its properties and metadata.

use std::collections::VecDeque;
use std::ops::Range;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use crc_fast::CrcAlgorithm;
use md5::{Digest as _, Md5};

use super::super::codes::{self, Refusal};
use super::super::conditions::{Conditions, Version};
use super::super::lease::{Holder, Lease};
use super::super::reply::{Reply, ReplyBody};
use super::super::state::{Blob, CellState, failed};
use super::super::store::for_each_frame;
use super::properties::describe;
use super::{Call, Outcome};

/// A checksum of a range is made of at most 4 MiB (spec §7.7).
const CHECKED_RANGE_BYTES_MAX: u64 = 4 << 20;

/// Get Blob.
pub(crate) fn blob(call: &Call<'_>) -> Outcome {
    let cell = call.container()?.existing_cell(&call.head.blob).ok_or(codes::BLOB_NOT_FOUND)?;
    let cell = cell.lock();
    let (blob, lease) = readable(call, &cell)?;
    if blob.tier.as_ref().is_some_and(|tier| tier.name == "Archive") {
        return Err(codes::BLOB_ARCHIVED.into());
    }
    let asked = range_of(call, blob.length())?;
    let range = asked.clone().unwrap_or(0..blob.length());
    let mut reply = describe(blob, lease, if asked.is_some() { 206 } else { 200 }, call.now)
        .with("content-length", range.end - range.start);
    let whole_md5 = blob.properties.content_md5.as_deref();
    if asked.is_some() {
        let last = range.end - 1;
        reply = reply
            .with("content-range", format!("bytes {}-{last}/{}", range.start, blob.length()))
            .maybe("x-ms-blob-content-md5", whole_md5);
    } else {
        reply = reply.maybe("content-md5", whole_md5);
    }
    reply = with_range_checksums(reply, call, blob, asked)?;
    let pieces = blob.open(range, &call.account.vault).map_err(failed)?;
    reply.body = ReplyBody::Pieces(VecDeque::from(pieces));
    Ok(reply)
}

/// Get Blob Properties and Get Blob Metadata: the same headers without the bytes.
pub(crate) fn properties(call: &Call<'_>) -> Outcome {
    let cell = call.container()?.existing_cell(&call.head.blob).ok_or(codes::BLOB_NOT_FOUND)?;
    let cell = cell.lock();
    let (blob, lease) = readable(call, &cell)?;
    let reply =
        describe(blob, lease, 200, call.now).maybe("content-md5", blob.properties.content_md5.as_deref());
    let is_head = call.head.method() == hyper::Method::HEAD;
    Ok(if is_head { reply.with("content-length", blob.length()) } else { reply })
}

/// The blob or snapshot that a request names, and the blob's lease.
pub(crate) fn chosen<'a>(
    call: &Call<'_>,
    cell: &'a CellState,
) -> Result<(&'a Blob, Option<&'a Lease>), Refusal> {
    let found = match call.head.query("snapshot") {
        Some(snapshot) => cell.snapshots.get(snapshot).map(|blob| (blob, None)),
        None => cell.base.as_ref().map(|blob| (blob, Some(&cell.lease))),
    };
    found.ok_or_else(|| codes::BLOB_NOT_FOUND.into())
}

fn readable<'a>(call: &Call<'_>, cell: &'a CellState) -> Result<(&'a Blob, Option<&'a Lease>), Refusal> {
    let (blob, lease) = chosen(call, cell)?;
    Conditions::of(call.head)?.check_read(Version::from(blob))?;
    if let Some(lease) = lease {
        lease.check_read(call.lease_id(), Holder::Blob, call.now)?;
    }
    Ok((blob, lease))
}

fn range_of(call: &Call<'_>, length: u64) -> Result<Option<Range<u64>>, Refusal> {
    let Some((first, last)) = call.head.range()? else { return Ok(None) };
    if first >= length {
        let outside = Refusal::from(codes::INVALID_RANGE);
        return Err(outside.header("content-range", format!("bytes */{length}")));
    }
    Ok(Some(first..last.map_or(length, |last| length.min(last.saturating_add(1)))))
}

fn with_range_checksums(
    reply: Reply,
    call: &Call<'_>,
    blob: &Blob,
    asked: Option<Range<u64>>,
) -> Result<Reply, Refusal> {
    let wants = |name: &str| call.head.header(name).is_some_and(|value| value.eq_ignore_ascii_case("true"));
    let (md5, crc64) = (wants("x-ms-range-get-content-md5"), wants("x-ms-range-get-content-crc64"));
    if !md5 && !crc64 {
        return Ok(reply);
    }
    let name = if md5 { "x-ms-range-get-content-md5" } else { "x-ms-range-get-content-crc64" };
    let Some(range) = asked else { return Err(codes::INVALID_HEADER.of_header(name, "true")) };
    if md5 && crc64 {
        return Err(codes::BOTH_CHECKSUMS.into());
    }
    if range.end - range.start > CHECKED_RANGE_BYTES_MAX {
        return Err(codes::OUT_OF_RANGE.of_header(name, "true"));
    }
    let (mut md5_sum, mut crc64_sum) = (Md5::new(), crc_fast::Digest::new(CrcAlgorithm::Crc64Nvme));
    let pieces = blob.open(range, &call.account.vault).map_err(failed)?;
    for_each_frame(pieces, |frame| {
        md5_sum.update(frame);
        crc64_sum.update(frame);
    })
    .map_err(failed)?;
    Ok(if md5 {
        reply.with("content-md5", BASE64.encode(md5_sum.finalize()))
    } else {
        reply.with("x-ms-content-crc64", BASE64.encode(crc64_sum.finalize().to_le_bytes()))
    })
}

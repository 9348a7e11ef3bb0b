//! A blob's properties: read from a request, and told in a reply.

use super::super::codes::{self, Refusal};
use super::super::lease::Lease;
use super::super::reply::Reply;
use super::super::request::Head;
use super::super::stamp::Stamp;
use super::super::state::{Blob, Content, Properties, Tier};

/// Tiers of block blobs.
const BLOCK_TIERS: [&str; 4] = ["Hot", "Cool", "Cold", "Archive"];
/// Tiers of page blobs on premium accounts.
const PAGE_TIERS: [&str; 11] = ["P4", "P6", "P10", "P15", "P20", "P30", "P40", "P50", "P60", "P70", "P80"];

impl Properties {
    /// What the `x-ms-blob-*` headers of a request set.
    pub(crate) fn of(head: &Head) -> Result<Properties, Refusal> {
        let value = |name: &str| head.header(name).map(str::to_owned);
        head.md5("x-ms-blob-content-md5")?;
        Ok(Properties {
            content_type: value("x-ms-blob-content-type"),
            content_encoding: value("x-ms-blob-content-encoding"),
            content_language: value("x-ms-blob-content-language"),
            content_disposition: value("x-ms-blob-content-disposition"),
            cache_control: value("x-ms-blob-cache-control"),
            content_md5: value("x-ms-blob-content-md5"),
        })
    }

    /// For Put Blob, whose body's own headers count where the `x-ms-blob-*` one is missing.
    pub(crate) fn of_put_blob(head: &Head) -> Result<Properties, Refusal> {
        let own = Properties::of(head)?;
        let value = |name: &str| head.header(name).map(str::to_owned);
        Ok(Properties {
            content_type: own.content_type.or_else(|| value("content-type")),
            content_encoding: own.content_encoding.or_else(|| value("content-encoding")),
            content_language: own.content_language.or_else(|| value("content-language")),
            cache_control: own.cache_control.or_else(|| value("cache-control")),
            ..own
        })
    }

    /// The type that a blob without one has.
    pub(crate) fn type_or_usual(&self) -> &str {
        self.content_type.as_deref().unwrap_or("application/octet-stream")
    }
}

impl Tier {
    /// The tier that a request names, checked against the blob's type.
    pub(crate) fn of(head: &Head, is_page_blob: bool, now: Stamp) -> Result<Option<Tier>, Refusal> {
        let Some(name) = head.header("x-ms-access-tier") else { return Ok(None) };
        let known: &[&str] = if is_page_blob { &PAGE_TIERS } else { &BLOCK_TIERS };
        if !known.contains(&name) {
            return Err(codes::INVALID_HEADER.of_header("x-ms-access-tier", name));
        }
        Ok(Some(Tier { name: name.to_owned(), changed: now }))
    }
}

/// The headers of Get Blob and Get Blob Properties.
pub(crate) fn describe(blob: &Blob, lease: Option<&Lease>, status: u16, now: Stamp) -> Reply {
    let Properties { content_encoding, content_language, content_disposition, cache_control, .. } =
        &blob.properties;
    let reply = super::Changed::of(blob)
        .reply(status)
        .metadata(&blob.metadata)
        .with("x-ms-creation-time", blob.created.http_date())
        .with("x-ms-blob-type", blob.type_word())
        .with("content-type", blob.properties.type_or_usual())
        .maybe("content-encoding", content_encoding.as_deref())
        .maybe("content-language", content_language.as_deref())
        .maybe("content-disposition", content_disposition.as_deref())
        .maybe("cache-control", cache_control.as_deref())
        .with("accept-ranges", "bytes")
        .with("x-ms-server-encrypted", "true");
    let reply = match lease {
        Some(lease) => reply
            .with("x-ms-lease-status", lease.state(now).status())
            .with("x-ms-lease-state", lease.state(now).word())
            .maybe("x-ms-lease-duration", lease.duration_word(now)),
        None => reply,
    };
    with_type_headers(reply, blob)
}

fn with_type_headers(reply: Reply, blob: &Blob) -> Reply {
    match (&blob.content, &blob.tier) {
        (Content::Page { sequence, .. }, tier) => reply
            .with("x-ms-blob-sequence-number", sequence)
            .maybe("x-ms-access-tier", tier.as_ref().map(|tier| &tier.name)),
        (Content::Block { .. }, Some(tier)) => reply
            .with("x-ms-access-tier", &tier.name)
            .with("x-ms-access-tier-change-time", tier.changed.http_date()),
        (Content::Block { .. }, None) => {
            reply.with("x-ms-access-tier", "Hot").with("x-ms-access-tier-inferred", "true")
        }
    }
}

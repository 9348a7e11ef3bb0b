//! The `x-ms-*` headers of a request: one that the service does not know is refused, not ignored.

use super::codes::{self, Refusal};
use super::request::Head;

/// Headers without `x-ms-`; names from the REST reference of the operations that are done here, and
/// those that clients send with every request.
const KNOWN: [&str; 34] = [
    "access-tier",
    "access-tier-if-modified-since",
    "access-tier-if-unmodified-since",
    "blob-cache-control",
    "blob-content-disposition",
    "blob-content-encoding",
    "blob-content-language",
    "blob-content-length",
    "blob-content-md5",
    "blob-content-type",
    "blob-public-access",
    "blob-sequence-number",
    "blob-type",
    "client-request-id",
    "content-crc64",
    "date",
    "delete-snapshots",
    "delete-type-permanent",
    "if-sequence-number-eq",
    "if-sequence-number-le",
    "if-sequence-number-lt",
    "lease-action",
    "lease-break-period",
    "lease-duration",
    "lease-id",
    "page-write",
    "proposed-lease-id",
    "range",
    "range-get-content-crc64",
    "range-get-content-md5",
    "rehydrate-priority",
    "return-client-request-id",
    "sequence-number-action",
    "version",
];

/// Headers of features that this double does not have. Ignoring them would store something else than
/// was asked for.
const NOT_DONE: [&str; 14] = [
    "copy-source",
    "encryption-key",
    "encryption-key-sha256",
    "encryption-algorithm",
    "encryption-scope",
    "expiry-option",
    "expiry-time",
    "if-tags",
    "immutability-policy-mode",
    "immutability-policy-until-date",
    "legal-hold",
    "structured-body",
    "structured-content-length",
    "tags",
];

/// Checks the version's form and the names of the headers.
pub(crate) fn check(head: &Head) -> Result<(), Refusal> {
    if let Some(version) = head.header("x-ms-version")
        && !is_version(version)
    {
        return Err(codes::INVALID_HEADER.of_header("x-ms-version", version));
    }
    for name in head.headers().keys() {
        let Some(own) = name.as_str().strip_prefix("x-ms-") else { continue };
        if NOT_DONE.contains(&own) {
            return Err(codes::NOT_IMPLEMENTED.detail("HeaderName", name));
        }
        if !own.starts_with("meta-") && !KNOWN.contains(&own) {
            return Err(codes::UNSUPPORTED_HEADER.detail("HeaderName", name));
        }
    }
    Ok(())
}

/// A version is a date.
fn is_version(text: &str) -> bool {
    text.len() == 10 && super::stamp::Stamp::parse_iso(text).is_some()
}

//! One request before it is sent, and its answer: the typed pieces that every operation is made of.
//!
//! Owns the header names and the building of queries. Invariant: a body that is data never goes
//! without its MD5, because the only way to set one takes both. azure-storage.md §4.2, §7.7.

use std::time::{Duration, SystemTime};

use azure_core::http::Method;
use azure_core::http::headers::{HeaderName, HeaderValue, Headers};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use md5::{Digest, Md5};
use model::Md5Digest;

use crate::encode::append_query_value;
use crate::endpoint::Resource;
use crate::error::Operation;

/// Longest answer that is kept in memory when nobody asked for data: a block list of 150,000
/// blocks takes about 25 MB of XML.
const REPLY_BYTES_MAX: usize = 64 << 20;

/// The names used here, all lower case as the pipeline wants them.
pub(crate) mod name {
    use azure_core::http::headers::HeaderName;

    macro_rules! names {
        ($($constant:ident = $text:literal;)*) => {
            $(pub(crate) const $constant: HeaderName = HeaderName::from_static($text);)*
        };
    }

    names! {
        ACCESS_TIER = "x-ms-access-tier";
        ACCOUNT_KIND = "x-ms-account-kind";
        BLOB_CACHE_CONTROL = "x-ms-blob-cache-control";
        BLOB_CONTENT_DISPOSITION = "x-ms-blob-content-disposition";
        BLOB_CONTENT_ENCODING = "x-ms-blob-content-encoding";
        BLOB_CONTENT_LANGUAGE = "x-ms-blob-content-language";
        BLOB_CONTENT_LENGTH = "x-ms-blob-content-length";
        BLOB_CONTENT_MD5 = "x-ms-blob-content-md5";
        BLOB_CONTENT_TYPE = "x-ms-blob-content-type";
        BLOB_TYPE = "x-ms-blob-type";
        CACHE_CONTROL = "cache-control";
        CLIENT_REQUEST_ID = "x-ms-client-request-id";
        CONTENT_DISPOSITION = "content-disposition";
        CONTENT_ENCODING = "content-encoding";
        CONTENT_LANGUAGE = "content-language";
        CONTENT_LENGTH = "content-length";
        CONTENT_MD5 = "content-md5";
        CONTENT_TYPE = "content-type";
        DATE = "date";
        ERROR_CODE = "x-ms-error-code";
        ETAG = "etag";
        HNS_ENABLED = "x-ms-is-hns-enabled";
        IF_MATCH = "if-match";
        IF_NONE_MATCH = "if-none-match";
        LAST_MODIFIED = "last-modified";
        LEASE_ACTION = "x-ms-lease-action";
        LEASE_BREAK_PERIOD = "x-ms-lease-break-period";
        LEASE_DURATION = "x-ms-lease-duration";
        LEASE_ID = "x-ms-lease-id";
        LEASE_STATE = "x-ms-lease-state";
        LEASE_TIME = "x-ms-lease-time";
        PAGE_WRITE = "x-ms-page-write";
        PROPOSED_LEASE_ID = "x-ms-proposed-lease-id";
        RANGE = "x-ms-range";
        RANGE_GET_CONTENT_MD5 = "x-ms-range-get-content-md5";
        REQUEST_ID = "x-ms-request-id";
        SNAPSHOT = "x-ms-snapshot";
        RETRY_AFTER = "retry-after";
        RETRY_AFTER_MS = "retry-after-ms";
        VERSION = "x-ms-version";
        X_MS_RETRY_AFTER_MS = "x-ms-retry-after-ms";
    }
}

/// A request that can be sent any number of times.
pub(crate) struct Call<'a> {
    pub(crate) operation: Operation,
    pub(crate) resource: Resource<'a>,
    pub(crate) method: Method,
    pub(crate) query: String,
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    pub(crate) body: Bytes,
    /// The digest that went along with the body.
    pub(crate) digest: Option<Md5Digest>,
    /// Longest answer that is accepted.
    pub(crate) reply_bytes_max: usize,
    /// The answer's Content-MD5 is that of the range asked for, and is compared.
    pub(crate) verify_reply: bool,
}

impl<'a> Call<'a> {
    pub(crate) fn new(operation: Operation, method: Method, resource: Resource<'a>) -> Call<'a> {
        Call {
            operation,
            resource,
            method,
            query: String::new(),
            headers: Vec::with_capacity(12),
            body: Bytes::new(),
            digest: None,
            reply_bytes_max: REPLY_BYTES_MAX,
            verify_reply: false,
        }
    }

    pub(crate) fn query(mut self, key: &str, value: &str) -> Self {
        if !self.query.is_empty() {
            self.query.push('&');
        }
        self.query.push_str(key);
        self.query.push('=');
        append_query_value(&mut self.query, value);
        self
    }

    /// Asks for a snapshot of the blob instead of the blob.
    pub(crate) fn snapshot(self, snapshot: Option<&str>) -> Self {
        match snapshot {
            Some(snapshot) => self.query("snapshot", snapshot),
            None => self,
        }
    }

    pub(crate) fn header(mut self, name: HeaderName, value: impl Into<HeaderValue>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub(crate) fn optional(self, name: HeaderName, value: Option<&str>) -> Self {
        match value {
            Some(value) => self.header(name, value.to_owned()),
            None => self,
        }
    }

    /// Sets the body together with the digest that lets the service check it on arrival.
    pub(crate) fn body(mut self, body: Bytes, digest: Md5Digest) -> Self {
        self.body = body;
        self.digest = Some(digest);
        self.header(name::CONTENT_MD5, STANDARD.encode(digest.0))
    }

    /// Bytes that one try moves, whichever way: what its time limit depends on.
    pub(crate) fn moved_bytes(&self) -> u64 {
        let body = self.body.len();
        let reply = if self.operation == Operation::Download { self.reply_bytes_max } else { 0 };
        u64::try_from(body.max(reply)).unwrap_or(u64::MAX)
    }
}

/// An answer of 2xx.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) headers: Headers,
    pub(crate) body: Bytes,
    pub(crate) attempts: Attempts,
}

impl Reply {
    /// A header's text.
    pub(crate) fn header(&self, name: HeaderName) -> Option<&str> {
        header(&self.headers, name)
    }

    pub(crate) fn last_modified(&self) -> Option<SystemTime> {
        self.header(name::LAST_MODIFIED).and_then(|text| httpdate::parse_http_date(text).ok())
    }
}

/// How often a request was sent until it succeeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attempts {
    /// Tries, the successful one included.
    pub count: u32,
    /// An earlier try, whose answer was lost, may have taken effect as well.
    pub ambiguous: bool,
}

/// A header's text, without the error values that the pipeline's own accessors build.
pub(crate) fn header(headers: &Headers, name: HeaderName) -> Option<&str> {
    headers.get_optional_with(&name, |value| Ok::<_, std::fmt::Error>(value.as_str())).ok().flatten()
}

/// The pause that an answer asks for: in milliseconds, in seconds, or until a date.
pub(crate) fn retry_after(headers: &Headers, now: SystemTime) -> Option<Duration> {
    let milliseconds = [name::X_MS_RETRY_AFTER_MS, name::RETRY_AFTER_MS]
        .into_iter()
        .find_map(|name| header(headers, name)?.trim().parse().ok())
        .map(Duration::from_millis);
    milliseconds.or_else(|| {
        let text = header(headers, name::RETRY_AFTER)?.trim();
        let seconds = text.parse().ok().map(Duration::from_secs);
        seconds.or_else(|| httpdate::parse_http_date(text).ok()?.duration_since(now).ok())
    })
}

/// The MD5 of a body that we make ourselves, or whose digest is doubted.
pub(crate) fn md5_of(bytes: &[u8]) -> Md5Digest {
    Md5Digest(Md5::digest(bytes).into())
}

/// A digest as headers and listings write it.
pub(crate) fn md5_from_base64(text: &str) -> Option<Md5Digest> {
    STANDARD.decode(text.trim()).ok()?.try_into().ok().map(Md5Digest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_is_read_in_each_of_its_forms() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        for (name, value, expected_ms) in [
            (name::X_MS_RETRY_AFTER_MS, "250", Some(250)),
            (name::RETRY_AFTER_MS, "5", Some(5)),
            (name::RETRY_AFTER, "2", Some(2_000)),
            (name::RETRY_AFTER, "Tue, 14 Nov 2023 22:13:30 GMT", Some(10_000)),
            (name::RETRY_AFTER, "Tue, 14 Nov 2023 22:13:10 GMT", None),
            (name::RETRY_AFTER, "soon", None),
        ] {
            let mut headers = Headers::new();
            headers.insert(name, value);
            assert_eq!(retry_after(&headers, now), expected_ms.map(Duration::from_millis), "{value}");
        }
    }

    #[test]
    fn query_values_are_encoded() {
        let call = Call::new(Operation::PutBlock, Method::Put, Resource::Account)
            .query("comp", "block")
            .query("blockid", "a+/=");
        assert_eq!(call.query, "comp=block&blockid=a%2B%2F%3D");
    }
}

//! A request's head, read once: what it names, its query, its headers by the types they have.
//!
//! Owns the one place where a path is percent-decoded, exactly once, and where header values become
//! numbers, dates and digests. The invariant: a [`Head`] names a container and a blob by their decoded
//! names and still has the path as it came, because a signature is made over that.

use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hyper::http::request::Parts;
use hyper::{HeaderMap, Method};

use super::codes::{self, Refusal};
use super::operation::{Level, Operation};
use super::stamp::Stamp;

/// The largest metadata of a blob or container: 8 KiB of names and values (spec §7.4).
const METADATA_BYTES_MAX: usize = 8 << 10;

/// A request without its body.
pub(crate) struct Head {
    pub(crate) parts: Parts,
    pub(crate) peer: IpAddr,
    pub(crate) operation: Operation,
    /// Empty for an operation on the account.
    pub(crate) container: String,
    /// Empty for an operation on a container.
    pub(crate) blob: String,
    query: Vec<(String, String)>,
}

/// A head that names nothing, as it came.
pub(crate) struct Refused {
    pub(crate) parts: Parts,
    pub(crate) refusal: Refusal,
}

/// What a path names: its level, the container, the blob.
type Named = (Level, String, String);

impl Head {
    /// Reads a head. The path's first part has to be the account's name (path-style addresses).
    pub(crate) fn read(parts: Parts, peer: IpAddr, account: &str) -> Result<Head, Box<Refused>> {
        let query = match decode_query(parts.uri.query().unwrap_or_default()) {
            Ok(query) => query,
            Err(refusal) => return Err(Box::new(Refused { parts, refusal })),
        };
        let value = |name: &str| find(&query, name).unwrap_or_default();
        let (restype, comp) = (value("restype"), value("comp"));
        let (level, container, blob) = match named(parts.uri.path(), account, restype == "container") {
            Ok(named) => named,
            Err(refusal) => return Err(Box::new(Refused { parts, refusal })),
        };
        let operation = Operation::of(&parts.method, level, restype, comp);
        Ok(Head { parts, peer, operation, container, blob, query })
    }

    /// The path as it came, still percent-encoded.
    pub(crate) fn path(&self) -> &str {
        self.parts.uri.path()
    }

    /// `container/blob`, as faults and the log name it.
    pub(crate) fn named(&self) -> String {
        if self.blob.is_empty() {
            self.container.clone()
        } else {
            format!("{}/{}", self.container, self.blob)
        }
    }

    pub(crate) fn method(&self) -> &Method {
        &self.parts.method
    }

    pub(crate) fn headers(&self) -> &HeaderMap {
        &self.parts.headers
    }

    /// The decoded query, in the order in which it came.
    pub(crate) fn queries(&self) -> &[(String, String)] {
        &self.query
    }

    /// The value of a query parameter; names have no case.
    pub(crate) fn query(&self, name: &str) -> Option<&str> {
        find(&self.query, name)
    }

    /// The value of a header, when it is there and text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.parts.headers.get(name)?.to_str().ok()
    }

    /// The protocol version that the request names; the oldest when it names none.
    pub(crate) fn version(&self) -> &str {
        self.header("x-ms-version").unwrap_or("2009-09-19")
    }

    /// The body's length as announced.
    pub(crate) fn content_length(&self) -> Option<u64> {
        self.header("content-length")?.parse().ok()
    }

    /// A header that must be a number when it is there.
    pub(crate) fn number(&self, name: &str) -> Result<Option<u64>, Refusal> {
        self.read_header(name, |text| text.parse().ok())
    }

    /// A header that must be an HTTP date when it is there.
    pub(crate) fn date(&self, name: &str) -> Result<Option<Stamp>, Refusal> {
        self.read_header(name, Stamp::parse_http_date)
    }

    /// A header that must be an MD5 in base64 when it is there.
    pub(crate) fn md5(&self, name: &str) -> Result<Option<[u8; 16]>, Refusal> {
        let Some(text) = self.header(name) else { return Ok(None) };
        let decoded = BASE64.decode(text).ok().and_then(|bytes| bytes.try_into().ok());
        decoded.map(Some).ok_or_else(|| codes::INVALID_MD5.into())
    }

    /// `x-ms-content-crc64`: 8 bytes in base64.
    pub(crate) fn crc64(&self) -> Result<Option<[u8; 8]>, Refusal> {
        self.read_header("x-ms-content-crc64", |text| BASE64.decode(text).ok()?.try_into().ok())
    }

    /// `x-ms-range`, or `Range`: the first byte, and the last when one is named.
    pub(crate) fn range(&self) -> Result<Option<(u64, Option<u64>)>, Refusal> {
        let name = if self.header("x-ms-range").is_some() { "x-ms-range" } else { "range" };
        self.read_header(name, read_range)
    }

    /// The metadata that the request sets, in the order in which the headers came.
    pub(crate) fn metadata(&self) -> Result<Vec<(String, String)>, Refusal> {
        let mut pairs = Vec::new();
        for (name, value) in &self.parts.headers {
            let Some(key) = name.as_str().strip_prefix("x-ms-meta-") else { continue };
            let text = value.to_str().map_err(|_| codes::INVALID_METADATA.of_header(name.as_str(), ""))?;
            if !is_identifier(key) {
                return Err(codes::INVALID_METADATA.of_header(name.as_str(), text));
            }
            pairs.push((key.to_owned(), text.to_owned()));
        }
        let bytes: usize = pairs.iter().map(|(key, text)| key.len() + text.len()).sum();
        if bytes > METADATA_BYTES_MAX { Err(codes::METADATA_TOO_LARGE.into()) } else { Ok(pairs) }
    }

    fn read_header<T>(&self, name: &str, read: impl Fn(&str) -> Option<T>) -> Result<Option<T>, Refusal> {
        let Some(value) = self.parts.headers.get(name) else { return Ok(None) };
        let text = value.to_str().unwrap_or_default();
        read(text).map(Some).ok_or_else(|| codes::INVALID_HEADER.of_header(name, text))
    }
}

fn find<'a>(query: &'a [(String, String)], name: &str) -> Option<&'a str> {
    query.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
}

/// Metadata names are C# identifiers (spec §7.4); header names are ASCII already.
fn is_identifier(name: &str) -> bool {
    let first_fits = name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_');
    first_fits && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

fn read_range(text: &str) -> Option<(u64, Option<u64>)> {
    let (first, last) = text.strip_prefix("bytes=")?.split_once('-')?;
    let first: u64 = first.parse().ok()?;
    let last: Option<u64> = if last.is_empty() { None } else { Some(last.parse().ok()?) };
    last.is_none_or(|last| last >= first).then_some((first, last))
}

fn named(path: &str, account: &str, is_container: bool) -> Result<Named, Refusal> {
    let rest = path.strip_prefix('/').and_then(|path| path.strip_prefix(account));
    let rest = match rest {
        Some("" | "/") => return Ok((Level::Account, String::new(), String::new())),
        Some(rest) => rest.strip_prefix('/').ok_or(codes::INVALID_URI)?,
        None => return Err(codes::RESOURCE_NOT_FOUND.into()),
    };
    // A client may encode the slashes of a blob's name (spec §5), so a name is split before it is decoded.
    match rest.split_once('/') {
        None | Some((_, "")) if is_container => {
            let container = decode(rest.trim_end_matches('/'))?;
            Ok((Level::Container, container, String::new()))
        }
        None => Ok((Level::Blob, "$root".to_owned(), decode(rest)?)),
        Some((container, blob)) => Ok((Level::Blob, decode(container)?, decode(blob)?)),
    }
}

fn decode_query(text: &str) -> Result<Vec<(String, String)>, Refusal> {
    let pairs = text.split('&').filter(|pair| !pair.is_empty());
    let decode_pair = |pair: &str| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        // A query comes from forms: there, and only there, a plus is a space.
        let spaced = |text: &str| if text.contains('+') { text.replace('+', " ") } else { text.to_owned() };
        Ok((decode(&spaced(key))?, decode(&spaced(value))?))
    };
    pairs.map(decode_pair).collect()
}

/// Takes percent-encoding off, once.
fn decode(text: &str) -> Result<String, Refusal> {
    if !text.contains('%') {
        return Ok(text.to_owned());
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        rest = tail;
        if *first == b'%' {
            let (digits, tail) = rest.split_at_checked(2).ok_or(codes::INVALID_URI)?;
            let digits = std::str::from_utf8(digits).map_err(|_| codes::INVALID_URI)?;
            bytes.push(u8::from_str_radix(digits, 16).map_err(|_| codes::INVALID_URI)?);
            rest = tail;
        } else {
            bytes.push(*first);
        }
    }
    String::from_utf8(bytes).map_err(|_| codes::INVALID_URI.into())
}

/// Percent-encodes everything but the characters that are safe in a path, a query and a file name.
pub(crate) fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(path: &str, is_container: bool) -> Result<Named, u16> {
        named(path, "acct", is_container).map_err(|refusal| refusal.status)
    }

    fn blob(container: &str, name: &str) -> Result<Named, u16> {
        Ok((Level::Blob, container.to_owned(), name.to_owned()))
    }

    #[test]
    fn a_blob_name_is_decoded_once_and_only_once() {
        assert_eq!(split("/acct/c/a%2520b", false), blob("c", "a%20b"));
        assert_eq!(split("/acct/c/a%2Fb/c+d", false), blob("c", "a/b/c+d"));
        assert_eq!(split("/acct/c/a//b/../c", false), blob("c", "a//b/../c"));
        assert_eq!(split("/acct/c/%C3%BC", false), blob("c", "ü"));
        assert_eq!(split("/acct/c/%FF", false), Err(400));
        assert_eq!(split("/acct/c/%2", false), Err(400));
    }

    #[test]
    fn a_path_names_the_account_a_container_a_blob_or_a_blob_of_the_root_container() {
        assert_eq!(split("/acct/", false), Ok((Level::Account, String::new(), String::new())));
        assert_eq!(split("/acct/c", true), Ok((Level::Container, "c".to_owned(), String::new())));
        assert_eq!(split("/acct/c", false), blob("$root", "c"));
        assert_eq!(split("/other/c", true), Err(404));
    }

    #[test]
    fn a_plus_is_a_space_in_a_query_and_itself_in_a_path() {
        let pairs = decode_query("prefix=a+b%2Bc&comp=list&x").expect("readable");
        let expected = [("prefix", "a b+c"), ("comp", "list"), ("x", "")];
        assert_eq!(pairs, expected.map(|(key, value)| (key.to_owned(), value.to_owned())));
    }

    #[test]
    fn a_range_has_a_first_byte_and_may_have_a_last() {
        assert_eq!(read_range("bytes=5-9"), Some((5, Some(9))));
        assert_eq!(read_range("bytes=5-"), Some((5, None)));
        for bad in ["bytes=9-5", "bytes=-5", "5-9", "bytes=a-b", "bytes=1-2,4-5"] {
            assert_eq!(read_range(bad), None, "{bad}");
        }
    }
}

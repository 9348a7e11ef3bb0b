//! What a blob carries besides its bytes, and under which conditions it may be written.
//!
//! Owns the header form of properties, metadata, tiers, conditions, ETags and lease ids. Invariant:
//! a value that HTTP cannot carry is found before anything is sent, with its name.
//! azure-storage.md §7.4; azure-import-export.md §1.8.

use std::fmt;
use std::str::FromStr;
use std::time::SystemTime;

use azure_core::http::headers::HeaderName;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use model::Md5Digest;

use crate::call::{Attempts, Call, Reply, name};
use crate::endpoint::Resource;
use crate::error::{ErrorKind, Operation, StorageError};

/// Names and values of all metadata together, in bytes.
const METADATA_BYTES_MAX: usize = 8 << 10;

/// The properties and metadata that a blob is to have.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BlobHeaders {
    /// MIME type; the service stores `application/octet-stream` when none is given.
    pub content_type: Option<String>,
    /// For example `gzip`.
    pub content_encoding: Option<String>,
    /// For example `de-DE`.
    pub content_language: Option<String>,
    /// For example `no-cache`.
    pub cache_control: Option<String>,
    /// For example `attachment; filename=a.txt`.
    pub content_disposition: Option<String>,
    /// The customer's MD5 of the whole blob: stored with it, and not checked by the service except
    /// by Put Blob. The MD5 of the bytes on the wire is another argument.
    pub content_md5: Option<Md5Digest>,
    /// Names and values; names reach the service in lower case, as HTTP clients send them.
    pub metadata: Vec<(String, String)>,
    /// Access tier; the account's default when none is given.
    pub tier: Option<Tier>,
}

impl BlobHeaders {
    /// Checks that everything can be carried in HTTP headers and would be taken by the service.
    ///
    /// # Errors
    /// The first property or metadata entry that cannot.
    pub fn check(&self) -> Result<(), HeaderError> {
        for (name, value) in self.properties() {
            check_value(name, value)?;
        }
        let mut names = std::collections::HashSet::new();
        let mut bytes = 0usize;
        for (name, value) in &self.metadata {
            check_metadata_name(name)?;
            check_value(name, value)?;
            if !names.insert(name.to_ascii_lowercase()) {
                return Err(HeaderError::Twice { name: name.clone() });
            }
            bytes = bytes.saturating_add(name.len()).saturating_add(value.len());
        }
        if bytes > METADATA_BYTES_MAX { Err(HeaderError::MetadataLength { found: bytes }) } else { Ok(()) }
    }

    fn properties(&self) -> impl Iterator<Item = (&'static str, &str)> {
        [
            ("Content-Type", &self.content_type),
            ("Content-Encoding", &self.content_encoding),
            ("Content-Language", &self.content_language),
            ("Cache-Control", &self.cache_control),
            ("Content-Disposition", &self.content_disposition),
        ]
        .into_iter()
        .filter_map(|(name, value)| Some((name, value.as_deref()?)))
    }

    /// Properties, tier and metadata as headers of a request that makes a blob.
    pub(crate) fn apply_all<'a>(&self, call: Call<'a>) -> Result<Call<'a>, StorageError> {
        let call = self.apply_metadata(self.apply_properties(call)?)?;
        Ok(call.optional(name::ACCESS_TIER, self.tier.as_ref().map(Tier::as_str)))
    }

    /// The properties only.
    pub(crate) fn apply_properties<'a>(&self, call: Call<'a>) -> Result<Call<'a>, StorageError> {
        self.check().map_err(|error| unacceptable(call.operation, call.resource, &error))?;
        let md5 = self.content_md5.map(|digest| STANDARD.encode(digest.0));
        Ok(call
            .optional(name::BLOB_CONTENT_TYPE, self.content_type.as_deref())
            .optional(name::BLOB_CONTENT_ENCODING, self.content_encoding.as_deref())
            .optional(name::BLOB_CONTENT_LANGUAGE, self.content_language.as_deref())
            .optional(name::BLOB_CACHE_CONTROL, self.cache_control.as_deref())
            .optional(name::BLOB_CONTENT_DISPOSITION, self.content_disposition.as_deref())
            .optional(name::BLOB_CONTENT_MD5, md5.as_deref()))
    }

    /// The metadata only.
    pub(crate) fn apply_metadata<'a>(&self, mut call: Call<'a>) -> Result<Call<'a>, StorageError> {
        self.check().map_err(|error| unacceptable(call.operation, call.resource, &error))?;
        for (name, value) in &self.metadata {
            let name = format!("x-ms-meta-{}", name.to_ascii_lowercase());
            call = call.header(HeaderName::from(name), value.clone());
        }
        Ok(call)
    }
}

fn unacceptable(operation: Operation, resource: Resource<'_>, error: &HeaderError) -> StorageError {
    StorageError::refused(operation, resource.to_string(), ErrorKind::InvalidHeader, error.to_string())
}

/// Why a property or metadata entry cannot be sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// Metadata names are C# identifiers; only those in ASCII can be header names.
    #[error("the metadata name {name:?} is not an identifier of ASCII letters, digits and underscores")]
    Name {
        /// The name.
        name: String,
    },
    /// The same metadata name twice (in any case).
    #[error("the metadata name {name:?} is there twice")]
    Twice {
        /// The name.
        name: String,
    },
    /// Header values are printable ASCII.
    #[error("the value of {name} has {found:?}, which a header cannot carry")]
    Character {
        /// Property or metadata name.
        name: String,
        /// The character.
        found: char,
    },
    /// All names and values of the metadata together.
    #[error("the metadata has {found} bytes; {METADATA_BYTES_MAX} are allowed")]
    MetadataLength {
        /// Bytes found.
        found: usize,
    },
}

fn check_metadata_name(name: &str) -> Result<(), HeaderError> {
    let mut characters = name.chars();
    let first = characters.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_');
    if first && characters.all(|c| c.is_ascii_alphanumeric() || c == '_') {
        Ok(())
    } else {
        Err(HeaderError::Name { name: name.to_owned() })
    }
}

fn check_value(name: &str, value: &str) -> Result<(), HeaderError> {
    match value.chars().find(|c| !(c.is_ascii_graphic() || *c == ' ' || *c == '\t')) {
        Some(found) => Err(HeaderError::Character { name: name.to_owned(), found }),
        None => Ok(()),
    }
}

/// Access tiers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tier {
    /// Read often.
    Hot,
    /// Kept 30 days.
    Cool,
    /// Kept 90 days.
    Cold,
    /// Kept 180 days, read after hours.
    Archive,
    /// A tier of another name (premium page blobs: `P4` to `P60`).
    Other(String),
}

impl Tier {
    /// The service's spelling.
    pub fn as_str(&self) -> &str {
        match self {
            Tier::Hot => "Hot",
            Tier::Cool => "Cool",
            Tier::Cold => "Cold",
            Tier::Archive => "Archive",
            Tier::Other(name) => name,
        }
    }
}

impl FromStr for Tier {
    type Err = HeaderError;

    fn from_str(text: &str) -> Result<Tier, HeaderError> {
        check_value("tier", text)?;
        let known = [Tier::Hot, Tier::Cool, Tier::Cold, Tier::Archive];
        let found = known.into_iter().find(|tier| tier.as_str().eq_ignore_ascii_case(text));
        Ok(found.unwrap_or_else(|| Tier::Other(text.to_owned())))
    }
}

/// Version of a blob: changes with every write.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ETag(String);

impl ETag {
    /// An ETag in the form that headers have, quotes included.
    pub fn new(text: &str) -> ETag {
        // Listings leave the quotes out.
        let bare = !text.ends_with('"');
        ETag(if bare { format!("\"{text}\"") } else { text.to_owned() })
    }

    /// The text with its quotes.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ETag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Under which condition a blob may be written.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Condition {
    /// Whatever is there.
    #[default]
    None,
    /// Only if no blob of the name exists: otherwise `AlreadyExists`.
    IfNoneMatchAny,
    /// Only if the blob is still this version: otherwise `ConditionNotMet`.
    IfMatch(ETag),
}

impl Condition {
    pub(crate) fn apply<'a>(&self, call: Call<'a>) -> Call<'a> {
        match self {
            Condition::None => call,
            Condition::IfNoneMatchAny => call.header(name::IF_NONE_MATCH, "*"),
            Condition::IfMatch(etag) => call.header(name::IF_MATCH, etag.as_str().to_owned()),
        }
    }
}

/// The id of a lease: a GUID.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct LeaseId(String);

impl LeaseId {
    /// A new one, to be proposed.
    pub fn random() -> LeaseId {
        LeaseId(azure_core::Uuid::new_v4().to_string())
    }

    /// One that was kept.
    ///
    /// # Errors
    /// When the text is no GUID.
    pub fn parse(text: &str) -> Result<LeaseId, NoLeaseId> {
        let uuid = azure_core::Uuid::parse_str(text).map_err(|_| NoLeaseId)?;
        Ok(LeaseId(uuid.to_string()))
    }

    /// The text, in lower case.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn apply<'a>(lease: Option<&LeaseId>, call: Call<'a>) -> Call<'a> {
        call.optional(name::LEASE_ID, lease.map(LeaseId::as_str))
    }
}

/// A text that is no GUID.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the lease id is not a GUID")]
pub struct NoLeaseId;

/// A blob as the service has it after a write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Its version now.
    pub etag: ETag,
    /// When the service says it was written.
    pub last_modified: Option<SystemTime>,
    /// Tries it took.
    pub attempts: Attempts,
}

impl Stored {
    pub(crate) fn read(call: &Call<'_>, reply: &Reply) -> Result<Stored, StorageError> {
        let etag = reply.header(name::ETAG).ok_or_else(|| missing(call, reply, "ETag"))?;
        Ok(Stored { etag: ETag::new(etag), last_modified: reply.last_modified(), attempts: reply.attempts })
    }
}

/// An answer of success that lacks a header which the service always sends.
pub(crate) fn missing(call: &Call<'_>, reply: &Reply, header: &str) -> StorageError {
    StorageError {
        attempts: reply.attempts.count,
        ambiguous: true,
        request_id: reply.header(name::REQUEST_ID).map(Into::into),
        ..StorageError::refused(
            call.operation,
            call.resource.to_string(),
            ErrorKind::UnexpectedReply,
            format!("the answer has no usable {header}"),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_that_headers_cannot_carry_are_found_with_their_name() {
        let with = |name: &str, value: &str| BlobHeaders {
            metadata: vec![(name.to_owned(), value.to_owned())],
            ..BlobHeaders::default()
        };
        assert_eq!(with("project_1", "x y~").check(), Ok(()));
        for (name, value, expected) in [
            ("a-b", "v", HeaderError::Name { name: "a-b".to_owned() }),
            ("1a", "v", HeaderError::Name { name: "1a".to_owned() }),
            ("", "v", HeaderError::Name { name: String::new() }),
            ("ä", "v", HeaderError::Name { name: "ä".to_owned() }),
            ("a", "é", HeaderError::Character { name: "a".to_owned(), found: 'é' }),
            ("a", "x\r\ny: z", HeaderError::Character { name: "a".to_owned(), found: '\r' }),
        ] {
            assert_eq!(with(name, value).check(), Err(expected), "{name} {value}");
        }
        let long = with("a", &"x".repeat(8_192)).check();
        assert_eq!(long, Err(HeaderError::MetadataLength { found: 8_193 }));
        let twice = BlobHeaders {
            metadata: vec![("A".to_owned(), "1".to_owned()), ("a".to_owned(), "2".to_owned())],
            ..BlobHeaders::default()
        };
        assert_eq!(twice.check(), Err(HeaderError::Twice { name: "a".to_owned() }));
        let property = BlobHeaders { cache_control: Some("a\nb".to_owned()), ..BlobHeaders::default() };
        assert!(matches!(property.check(), Err(HeaderError::Character { found: '\n', .. })));
    }

    #[test]
    fn etags_of_listings_and_of_headers_are_the_same() {
        assert_eq!(ETag::new("0x8D"), ETag::new("\"0x8D\""));
    }

    #[test]
    fn tiers_are_read_in_any_case() {
        assert_eq!("cool".parse(), Ok(Tier::Cool));
        assert_eq!("P30".parse(), Ok(Tier::Other("P30".to_owned())));
        assert!("a\nb".parse::<Tier>().is_err());
    }
}

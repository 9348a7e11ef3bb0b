//! Listing the blobs of a container, page by page.
//!
//! Invariant: one page of the service's answer is in memory at a time.

use std::time::SystemTime;

use azure_core::http::Method;
use futures::Stream;
use model::Md5Digest;

use crate::account::Account;
use crate::blob::{ETag, Tier};
use crate::block::unreadable;
use crate::call::{Call, md5_from_base64};
use crate::encode::decode;
use crate::endpoint::Resource;
use crate::error::{Operation, StorageError};
use crate::properties::BlobType;
use crate::xml::{Node, XmlError, ends_with, walk};

/// One blob of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedBlob {
    /// Its name in the container.
    pub name: String,
    /// Its length.
    pub length_bytes: u64,
    /// Its version.
    pub etag: ETag,
    /// When it was last written.
    pub last_modified: Option<SystemTime>,
    /// Block, page or append.
    pub blob_type: BlobType,
    /// The MD5 stored with it.
    pub content_md5: Option<Md5Digest>,
    /// Metadata, in the service's order.
    pub metadata: Vec<(String, String)>,
    /// Its access tier, where the service says.
    pub tier: Option<Tier>,
    /// The snapshot's time, when it is one; see [`Listing::with_snapshots`].
    pub snapshot: Option<String>,
}

/// A listing under way.
#[derive(Debug)]
pub struct Listing {
    account: Account,
    container: String,
    prefix: String,
    include: &'static str,
    /// Where the next page begins; nothing after the last one.
    marker: Option<String>,
}

impl Account {
    /// Lists the blobs whose names begin with `prefix` (all of them when it is empty), in the
    /// service's order. Nothing is sent before the first page is asked for.
    pub fn list(&self, container: &str, prefix: &str) -> Listing {
        Listing {
            account: self.clone(),
            container: container.to_owned(),
            prefix: prefix.to_owned(),
            include: "metadata",
            marker: Some(String::new()),
        }
    }
}

impl Listing {
    /// The same listing, with the snapshots of each blob before it.
    #[must_use]
    pub fn with_snapshots(self) -> Listing {
        Listing { include: "metadata,snapshots", ..self }
    }

    /// The next page (which may be empty), or nothing after the last one. After an error the same
    /// page may be asked for again.
    ///
    /// # Errors
    /// `ContainerNotFound`, or what else the service answers.
    pub async fn next_page(&mut self) -> Result<Option<Vec<ListedBlob>>, StorageError> {
        let Some(marker) = &self.marker else { return Ok(None) };
        let mut call = Call::new(Operation::List, Method::Get, Resource::Container(&self.container))
            .query("restype", "container")
            .query("comp", "list")
            .query("include", self.include);
        if !self.prefix.is_empty() {
            call = call.query("prefix", &self.prefix);
        }
        if !marker.is_empty() {
            call = call.query("marker", marker);
        }
        let reply = self.account.exchange(&call).await?;
        let (blobs, next) =
            parse_page(&reply.body).map_err(|error| unreadable(&call, &reply.attempts, error))?;
        self.marker = Some(next).filter(|next| !next.is_empty() && next != marker);
        Ok(Some(blobs))
    }

    /// Everything that is left, in one vector.
    ///
    /// # Errors
    /// As [`Listing::next_page`].
    pub async fn collect(mut self) -> Result<Vec<ListedBlob>, StorageError> {
        let mut blobs = Vec::new();
        while let Some(page) = self.next_page().await? {
            blobs.extend(page);
        }
        Ok(blobs)
    }

    /// The pages as a stream that ends after the first error.
    pub fn pages(self) -> impl Stream<Item = Result<Vec<ListedBlob>, StorageError>> {
        futures::stream::unfold(Some(self), |listing| async {
            let mut listing = listing?;
            match listing.next_page().await {
                Ok(Some(page)) => Some((Ok(page), Some(listing))),
                Ok(None) => None,
                Err(error) => Some((Err(error), None)),
            }
        })
    }
}

/// What is gathered of one `<Blob>`.
#[derive(Default)]
struct Entry {
    name: Option<String>,
    length_bytes: Option<u64>,
    etag: Option<ETag>,
    last_modified: Option<SystemTime>,
    blob_type: Option<BlobType>,
    content_md5: Option<Md5Digest>,
    metadata: Vec<(String, String)>,
    tier: Option<Tier>,
    snapshot: Option<String>,
}

impl Entry {
    fn property(&mut self, element: &str, text: &str) {
        match element {
            "Content-Length" => self.length_bytes = text.trim().parse().ok(),
            "Etag" => self.etag = Some(ETag::new(text)),
            "Last-Modified" => self.last_modified = httpdate::parse_http_date(text.trim()).ok(),
            "BlobType" => self.blob_type = BlobType::parse(text.trim()),
            "Content-MD5" => self.content_md5 = md5_from_base64(text),
            "AccessTier" => self.tier = text.trim().parse().ok(),
            _ => {}
        }
    }

    fn finish(self) -> Result<ListedBlob, XmlError> {
        Ok(ListedBlob {
            name: self.name.ok_or(XmlError::Value("Name"))?,
            length_bytes: self.length_bytes.ok_or(XmlError::Value("Content-Length"))?,
            etag: self.etag.ok_or(XmlError::Value("Etag"))?,
            last_modified: self.last_modified,
            blob_type: self.blob_type.ok_or(XmlError::Value("BlobType"))?,
            content_md5: self.content_md5,
            metadata: self.metadata,
            tier: self.tier,
            snapshot: self.snapshot,
        })
    }
}

fn parse_page(document: &[u8]) -> Result<(Vec<ListedBlob>, String), XmlError> {
    let mut blobs = Vec::new();
    let mut entry = Entry::default();
    let mut marker = String::new();
    walk(document, |node| {
        match node {
            Node::Begin { path } if ends_with(path, &["Blobs", "Blob"]) => entry = Entry::default(),
            Node::Begin { .. } => {}
            Node::End { path, text, encoded } => match path {
                [.., blob, name] if blob == "Blob" && name == "Name" => {
                    entry.name = Some(if encoded { decode(text) } else { text.to_owned() });
                }
                [.., blob, snapshot] if blob == "Blob" && snapshot == "Snapshot" => {
                    entry.snapshot = Some(text.to_owned());
                }
                [.., blob, group, element] if blob == "Blob" && group == "Properties" => {
                    entry.property(element, text);
                }
                [.., blob, group, element] if blob == "Blob" && group == "Metadata" => {
                    entry.metadata.push((element.clone(), text.to_owned()));
                }
                [.., blobs_element, blob] if blobs_element == "Blobs" && blob == "Blob" => {
                    blobs.push(std::mem::take(&mut entry).finish()?);
                }
                [_, next] if next == "NextMarker" => text.clone_into(&mut marker),
                _ => {}
            },
        }
        Ok(())
    })?;
    Ok((blobs, marker))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_read_with_names_that_xml_cannot_hold() {
        let document = "<?xml version=\"1.0\"?><EnumerationResults><Blobs><Blob><Name>a &amp; b</Name><Properties>\
            <Last-Modified>Tue, 14 Nov 2023 22:13:20 GMT</Last-Modified><Etag>0x8D</Etag>\
            <Content-Length>3</Content-Length><BlobType>BlockBlob</BlobType>\
            <Content-MD5>AQIDBAUGBwgJCgsMDQ4PEA==</Content-MD5></Properties><Metadata><key>v</key></Metadata></Blob>\
            <Blob><Name Encoded=\"true\">c%EF%BF%BE</Name><Snapshot>2026-11-24T18:00:00.0000000Z</Snapshot><Properties><Etag>1</Etag><Content-Length>0</Content-Length>\
            <AccessTier>Archive</AccessTier><BlobType>PageBlob</BlobType></Properties></Blob></Blobs><NextMarker>2!8</NextMarker></EnumerationResults>";
        let (blobs, marker) = parse_page(document.as_bytes()).unwrap();
        assert_eq!(marker, "2!8");
        assert_eq!((blobs[0].name.as_str(), blobs[1].name.as_str()), ("a & b", "c\u{fffe}"));
        assert_eq!(
            blobs[0].content_md5,
            Some(Md5Digest([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16]))
        );
        assert_eq!(blobs[0].metadata, [("key".to_owned(), "v".to_owned())]);
        assert_eq!(blobs[1].blob_type, BlobType::Page);
        assert_eq!((blobs[0].tier.as_ref(), blobs[1].tier.as_ref()), (None, Some(&Tier::Archive)));
        assert_eq!(blobs[0].snapshot, None);
        assert_eq!(blobs[1].snapshot.as_deref(), Some("2026-11-24T18:00:00.0000000Z"));
    }

    #[test]
    fn an_entry_without_its_length_is_an_error() {
        let document = b"<EnumerationResults><Blobs><Blob><Name>a</Name></Blob></Blobs></EnumerationResults>";
        assert!(matches!(parse_page(document), Err(XmlError::Value("Content-Length"))));
    }
}

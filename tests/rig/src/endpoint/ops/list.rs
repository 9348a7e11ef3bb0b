//! List Blobs: prefix, delimiter, paging, and what is listed besides the blobs themselves.
//!
//! Blobs come in the order of their names' bytes, a blob's snapshots before it. A page ends before
//! any blob or snapshot, and its marker names the one that comes next.

use std::ops::Bound;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::super::codes::{self, Refusal};
use super::super::lease::Lease;
use super::super::reply::Reply;
use super::super::state::{Blob, Cell, CellState, Container, Content, UNPOISONED};
use super::account::{metadata, results_max};
use super::xml::Xml;
use super::{Call, Outcome};

/// Stands for the blob itself in a marker: it comes after every snapshot, which are dates.
const ITSELF: &str = "~";

/// List Blobs.
pub(crate) fn blobs(call: &Call<'_>) -> Outcome {
    let container = call.container()?;
    let listing = Listing::of(call, &container)?;
    let mut page = Page { entries: Xml::fragment(), left: results_max(call)?, next: None };
    listing.fill(&mut page);
    let mut xml = Xml::new();
    let endpoint = format!("/{}/", call.account.name);
    let attributes = [("ServiceEndpoint", endpoint.as_str()), ("ContainerName", container.name.as_str())];
    xml.with_attributes("EnumerationResults", &attributes, |xml| {
        xml.maybe("Prefix", call.head.query("prefix"));
        xml.maybe("Marker", call.head.query("marker"));
        xml.maybe("MaxResults", call.head.query("maxresults"));
        xml.maybe("Delimiter", call.head.query("delimiter"));
        xml.element("Blobs", |xml| xml.append(page.entries));
        xml.leaf("NextMarker", page.next.unwrap_or_default());
    });
    Ok(Reply::status(200).xml(xml.finish()))
}

/// What a listing asks for.
struct Listing<'a> {
    call: &'a Call<'a>,
    container: &'a Container,
    prefix: &'a str,
    delimiter: Option<&'a str>,
    /// The first name of the page, and within it the first snapshot.
    from: (String, String),
    snapshots: bool,
    metadata: bool,
    uncommitted: bool,
}

/// A page while it fills.
struct Page {
    entries: Xml,
    left: usize,
    next: Option<String>,
}

impl Page {
    /// Takes a place, or ends the page with a marker.
    fn take(&mut self, name: &str, snapshot: &str) -> bool {
        if self.left == 0 {
            self.next = Some(URL_SAFE_NO_PAD.encode(format!("{name}\n{snapshot}")));
            return false;
        }
        self.left -= 1;
        true
    }
}

impl<'a> Listing<'a> {
    fn of(call: &'a Call<'a>, container: &'a Container) -> Result<Listing<'a>, Refusal> {
        let include = call.head.query("include").unwrap_or_default();
        let includes = |word: &str| include.split(',').any(|each| each.trim() == word);
        let prefix = call.head.query("prefix").unwrap_or_default();
        let from = match call.head.query("marker").filter(|marker| !marker.is_empty()) {
            Some(marker) => read_marker(marker).ok_or(codes::INVALID_QUERY.of_query("marker", marker))?,
            None => (prefix.to_owned(), String::new()),
        };
        Ok(Listing {
            call,
            container,
            prefix,
            delimiter: call.head.query("delimiter").filter(|delimiter| !delimiter.is_empty()),
            from,
            snapshots: includes("snapshots"),
            metadata: includes("metadata"),
            uncommitted: includes("uncommittedblobs"),
        })
    }

    fn fill(&self, page: &mut Page) {
        let mut from = Bound::Included(self.from.0.clone());
        while let Some((name, cell)) = self.next_cell(&from) {
            let cell = cell.lock();
            if !self.lists_anything(&cell) {
                from = Bound::Excluded(name);
                continue;
            }
            if let Some(folder) = self.folder_of(&name) {
                if !page.take(&folder, "") {
                    return;
                }
                page.entries.element("BlobPrefix", |xml| xml.leaf("Name", &folder));
                // Names cannot hold this character, so it comes after everything in the folder.
                from = Bound::Excluded(format!("{folder}\u{10FFFF}"));
                continue;
            }
            if !self.list_name(page, &name, &cell) {
                return;
            }
            from = Bound::Excluded(name);
        }
    }

    fn next_cell(&self, from: &Bound<String>) -> Option<(String, Arc<Cell>)> {
        let cells = self.container.cells.read().expect(UNPOISONED);
        let bounds = (from.as_ref().map(String::as_str), Bound::Unbounded);
        let (name, cell) = cells.range::<str, _>(bounds).next()?;
        name.starts_with(self.prefix).then(|| (name.clone(), Arc::clone(cell)))
    }

    fn lists_anything(&self, cell: &CellState) -> bool {
        cell.base.is_some()
            || (self.snapshots && !cell.snapshots.is_empty())
            || (self.uncommitted && !cell.blocks.is_empty())
    }

    /// The name up to the delimiter that follows the prefix, if one does.
    fn folder_of(&self, name: &str) -> Option<String> {
        let delimiter = self.delimiter?;
        let rest = name.strip_prefix(self.prefix)?;
        let end = self.prefix.len() + rest.find(delimiter)? + delimiter.len();
        Some(name[..end].to_owned())
    }

    /// Lists everything under one name; whether the page still has room.
    fn list_name(&self, page: &mut Page, name: &str, cell: &CellState) -> bool {
        let from = if self.from.0 == name { self.from.1.as_str() } else { "" };
        if self.snapshots {
            for (snapshot, blob) in cell.snapshots.range::<str, _>((Bound::Included(from), Bound::Unbounded))
            {
                if !page.take(name, snapshot) {
                    return false;
                }
                self.list_blob(&mut page.entries, name, Some(snapshot), blob, None);
            }
        }
        match &cell.base {
            Some(blob) => {
                if !page.take(name, ITSELF) {
                    return false;
                }
                self.list_blob(&mut page.entries, name, None, blob, Some(&cell.lease));
            }
            None if self.uncommitted && !cell.blocks.is_empty() => {
                if !page.take(name, ITSELF) {
                    return false;
                }
                page.entries.element("Blob", |xml| {
                    xml.leaf("Name", name);
                    xml.element("Properties", |xml| {
                        xml.leaf("Content-Length", 0);
                        xml.leaf("BlobType", "BlockBlob");
                    });
                });
            }
            None => {}
        }
        true
    }

    fn list_blob(
        &self,
        xml: &mut Xml,
        name: &str,
        snapshot: Option<&str>,
        blob: &Blob,
        lease: Option<&Lease>,
    ) {
        xml.element("Blob", |xml| {
            xml.leaf("Name", name);
            xml.maybe("Snapshot", snapshot);
            xml.element("Properties", |xml| self.list_properties(xml, blob, lease));
            if self.metadata {
                metadata(xml, &blob.metadata);
            }
        });
    }

    fn list_properties(&self, xml: &mut Xml, blob: &Blob, lease: Option<&Lease>) {
        let properties = &blob.properties;
        xml.leaf("Creation-Time", blob.created.http_date());
        xml.leaf("Last-Modified", blob.modified.http_date());
        xml.leaf("Etag", blob.etag_text().trim_matches('"'));
        xml.leaf("Content-Length", blob.length());
        xml.leaf("Content-Type", properties.type_or_usual());
        xml.maybe("Content-Encoding", properties.content_encoding.as_deref());
        xml.maybe("Content-Language", properties.content_language.as_deref());
        xml.maybe("Content-MD5", properties.content_md5.as_deref());
        xml.maybe("Content-Disposition", properties.content_disposition.as_deref());
        xml.maybe("Cache-Control", properties.cache_control.as_deref());
        if let Content::Page { sequence, .. } = blob.content {
            xml.leaf("x-ms-blob-sequence-number", sequence);
        }
        xml.leaf("BlobType", blob.type_word());
        match &blob.tier {
            Some(tier) => xml.leaf("AccessTier", &tier.name),
            None if matches!(blob.content, Content::Block { .. }) => {
                xml.leaf("AccessTier", "Hot");
                xml.leaf("AccessTierInferred", true);
            }
            None => {}
        }
        if let Some(lease) = lease {
            xml.leaf("LeaseStatus", lease.state(self.call.now).status());
            xml.leaf("LeaseState", lease.state(self.call.now).word());
            xml.maybe("LeaseDuration", lease.duration_word(self.call.now));
        }
        xml.leaf("ServerEncrypted", true);
    }
}

fn read_marker(marker: &str) -> Option<(String, String)> {
    let text = String::from_utf8(URL_SAFE_NO_PAD.decode(marker).ok()?).ok()?;
    text.split_once('\n').map(|(name, snapshot)| (name.to_owned(), snapshot.to_owned()))
}

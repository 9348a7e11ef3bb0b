//! What an endpoint holds, for tests to compare: every visible blob with its digest, every
//! snapshot, every uncommitted block.

use md5::Md5;
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::stamp::Stamp;
use super::state::{Account, Blob, Content, UNPOISONED};
use super::store::for_each_frame;

/// A visible blob, or a snapshot of one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BlobEntry {
    /// The container's name.
    pub container: String,
    /// The blob's name.
    pub name: String,
    /// The snapshot's time, when it is one.
    pub snapshot: Option<String>,
    /// `BlockBlob` or `PageBlob`.
    pub blob_type: String,
    /// Length in bytes.
    pub length: u64,
    /// SHA-256 of the content in hexadecimal; none where content is discarded.
    pub sha256: Option<String>,
    /// MD5 of the content in hexadecimal; none where content is discarded.
    pub md5: Option<String>,
    /// Names in lower case, and values, ascending by name.
    pub metadata: Vec<(String, String)>,
    /// Content type and its like, as the headers of the service name them, ascending by name.
    pub properties: Vec<(String, String)>,
    /// The tier that was set.
    pub tier: Option<String>,
    /// `x-ms-lease-state`.
    pub lease_state: String,
    /// Committed blocks: id in base64 and length. Empty for Put Blob and page blobs.
    pub blocks: Vec<(String, u64)>,
    /// Written ranges of a page blob, first byte and last.
    pub page_ranges: Vec<(u64, u64)>,
    /// When it was last changed.
    pub last_modified: String,
}

/// An uncommitted block.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BlockEntry {
    /// The container's name.
    pub container: String,
    /// The name that the block would become a part of.
    pub name: String,
    /// The block's id in base64.
    pub id: String,
    /// Length in bytes.
    pub length: u64,
    /// SHA-256 of the content in hexadecimal; none where content is discarded.
    pub sha256: Option<String>,
}

/// Everything that an endpoint holds, in the order of names.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Inventory {
    /// The containers' names.
    pub containers: Vec<String>,
    /// Visible blobs.
    pub blobs: Vec<BlobEntry>,
    /// Snapshots of blobs.
    pub snapshots: Vec<BlobEntry>,
    /// Blocks that no Put Block List has named yet.
    pub uncommitted: Vec<BlockEntry>,
}

impl Inventory {
    /// The visible blob of that name.
    pub fn blob(&self, container: &str, name: &str) -> Option<&BlobEntry> {
        self.blobs.iter().find(|blob| blob.container == container && blob.name == name)
    }

    /// Reads everything.
    pub(crate) fn of(account: &Account, now: Stamp) -> Inventory {
        let mut inventory = Inventory::default();
        let containers: Vec<_> = account.containers.read().expect(UNPOISONED).values().cloned().collect();
        for container in containers {
            inventory.containers.push(container.name.clone());
            let cells: Vec<_> = {
                let cells = container.cells.read().expect(UNPOISONED);
                cells.iter().map(|(name, cell)| (name.clone(), cell.clone())).collect()
            };
            for (name, cell) in cells {
                let cell = cell.lock();
                let place = (container.name.as_str(), name.as_str());
                if let Some(blob) = &cell.base {
                    let lease_state = cell.lease.state(now).word();
                    inventory.blobs.push(entry(account, place, blob, None, lease_state));
                }
                for (snapshot, blob) in &cell.snapshots {
                    inventory.snapshots.push(entry(account, place, blob, Some(snapshot), ""));
                }
                for (id, block) in &cell.blocks {
                    let pieces = account.vault.open(&block.stored, 0..block.stored.length);
                    inventory.uncommitted.push(BlockEntry {
                        container: container.name.clone(),
                        name: name.clone(),
                        id: id.clone(),
                        length: block.stored.length,
                        sha256: digests(account, pieces).map(|(sha256, _)| sha256),
                    });
                }
            }
        }
        inventory
    }
}

fn entry(
    account: &Account,
    place: (&str, &str),
    blob: &Blob,
    snapshot: Option<&str>,
    lease_state: &str,
) -> BlobEntry {
    let (sha256, md5) = digests(account, blob.open(0..blob.length(), &account.vault)).unzip();
    let (mut blocks, mut page_ranges) = (Vec::new(), Vec::new());
    match &blob.content {
        Content::Block { blocks: committed, .. } => {
            blocks.extend(committed.iter().map(|block| (block.id.clone(), block.length)));
        }
        Content::Page { pages, .. } => {
            let ranges = pages.ranges.within(0..pages.length);
            page_ranges.extend(ranges.into_iter().map(|range| (range.start, range.end - 1)));
        }
    }
    let mut metadata = blob.metadata.clone();
    metadata.sort();
    BlobEntry {
        container: place.0.to_owned(),
        name: place.1.to_owned(),
        snapshot: snapshot.map(str::to_owned),
        blob_type: blob.type_word().to_owned(),
        length: blob.length(),
        sha256,
        md5,
        metadata,
        properties: properties(blob),
        tier: blob.tier.as_ref().map(|tier| tier.name.clone()),
        lease_state: lease_state.to_owned(),
        blocks,
        page_ranges,
        last_modified: blob.modified.iso(),
    }
}

fn properties(blob: &Blob) -> Vec<(String, String)> {
    let own = &blob.properties;
    let named = [
        ("cache-control", &own.cache_control),
        ("content-disposition", &own.content_disposition),
        ("content-encoding", &own.content_encoding),
        ("content-language", &own.content_language),
        ("content-md5", &own.content_md5),
        ("content-type", &own.content_type),
    ];
    let set = named.into_iter().filter_map(|(name, value)| Some((name, value.as_ref()?)));
    set.map(|(name, value)| (name.to_owned(), value.clone())).collect()
}

/// SHA-256 and MD5 of kept bytes. A page blob's empty terabytes are read as zeros, so ask for those of
/// small ones only.
fn digests(account: &Account, pieces: std::io::Result<Vec<super::store::Piece>>) -> Option<(String, String)> {
    if !account.vault.keeps() {
        return None;
    }
    let (mut sha256, mut md5) = (Sha256::new(), Md5::new());
    for_each_frame(pieces.ok()?, |frame| {
        sha256.update(frame);
        md5.update(frame);
    })
    .ok()?;
    Some((hex(&sha256.finalize()), hex(&md5.finalize())))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

//! What the account holds: containers, blobs, their uncommitted blocks and snapshots.
//!
//! Owns the index in memory, which is the truth while the endpoint runs; [`super::disk`] keeps it
//! over a restart. One lock a blob name: operations on different blobs never wait for each other,
//! and two on the same blob happen one after the other, each as a whole.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, RwLock};

use serde::{Deserialize, Serialize};

use super::codes::{self, Refusal};
use super::lease::Lease;
use super::pages::{PagePlace, Pages};
use super::stamp::{Clock, Stamp};
use super::store::{Piece, Place, Stored, Vault};

/// Names and values in the order in which they were set.
pub(crate) type Metadata = Vec<(String, String)>;

/// A storage account.
pub(crate) struct Account {
    pub(crate) name: String,
    pub(crate) hierarchical: bool,
    pub(crate) vault: Vault,
    pub(crate) clock: Arc<Clock>,
    pub(crate) containers: RwLock<BTreeMap<String, Arc<Container>>>,
}

/// A container.
pub(crate) struct Container {
    pub(crate) name: String,
    pub(crate) state: Mutex<ContainerState>,
    pub(crate) cells: RwLock<BTreeMap<String, Arc<Cell>>>,
}

/// What a container has besides its blobs.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct ContainerState {
    pub(crate) etag: u64,
    pub(crate) modified: Stamp,
    pub(crate) metadata: Metadata,
    pub(crate) lease: Lease,
    /// Stored access policies: id, start, expiry, permissions.
    pub(crate) policies: Vec<Policy>,
    /// A handle that outlived the container's deletion finds out here.
    #[serde(skip)]
    pub(crate) deleted: bool,
}

/// A stored access policy, which a shared access signature may refer to and which can be revoked.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Policy {
    pub(crate) id: String,
    pub(crate) start: String,
    pub(crate) expiry: String,
    pub(crate) permission: String,
}

/// Everything under one blob name.
#[derive(Default)]
pub(crate) struct Cell {
    state: Mutex<CellState>,
}

/// What one blob name has: the blob itself, if there is one, and what surrounds it.
#[derive(Debug, Default)]
pub(crate) struct CellState {
    pub(crate) base: Option<Blob>,
    pub(crate) snapshots: BTreeMap<String, Blob>,
    pub(crate) lease: Lease,
    pub(crate) blocks: BTreeMap<String, Block>,
    /// What the next uncommitted block is numbered by.
    pub(crate) next_block: u64,
    /// Blocks numbered below were dropped by a commit, even if their files should still be there.
    pub(crate) dropped_below: u64,
}

/// An uncommitted block; the map's key is its id in base64.
#[derive(Debug, Clone)]
pub(crate) struct Block {
    pub(crate) number: u64,
    pub(crate) stored: Stored,
}

/// A committed blob, or a snapshot of one.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Blob {
    pub(crate) created: Stamp,
    pub(crate) modified: Stamp,
    pub(crate) etag: u64,
    pub(crate) properties: Properties,
    pub(crate) metadata: Metadata,
    pub(crate) tier: Option<Tier>,
    pub(crate) content: Content,
}

/// A blob's bytes, by its type.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Content {
    Block { blocks: Vec<CommittedBlock>, stored: Stored },
    Page { pages: Pages, sequence: u64 },
}

/// A block of a committed blob, in the order of its bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CommittedBlock {
    pub(crate) id: String,
    pub(crate) length: u64,
}

/// The properties that a client sets, as they came.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Properties {
    pub(crate) content_type: Option<String>,
    pub(crate) content_encoding: Option<String>,
    pub(crate) content_language: Option<String>,
    pub(crate) content_disposition: Option<String>,
    pub(crate) cache_control: Option<String>,
    /// Base64, as the client gave it or as the service computed it.
    pub(crate) content_md5: Option<String>,
}

/// An access tier and when it was set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Tier {
    pub(crate) name: String,
    pub(crate) changed: Stamp,
}

impl Account {
    /// The container of that name.
    pub(crate) fn container(&self, name: &str) -> Result<Arc<Container>, Refusal> {
        let containers = self.containers.read().expect(UNPOISONED);
        containers.get(name).cloned().ok_or_else(|| codes::CONTAINER_NOT_FOUND.into())
    }

    /// Saves a container's own state where the store outlives the process.
    pub(crate) fn save_container(&self, name: &str, state: &ContainerState) -> Result<(), Refusal> {
        self.vault.disk().map_or(Ok(()), |disk| disk.save_container(name, state)).map_err(failed)
    }

    /// Saves what a blob name has committed. Uncommitted blocks are files already.
    pub(crate) fn save_cell(&self, place: Named<'_>, record: CellRecord<'_>) -> Result<(), Refusal> {
        self.vault.disk().map_or(Ok(()), |disk| disk.save_cell(place, &record)).map_err(failed)
    }

    /// Moves a blob's received bytes to where a person finds them.
    pub(crate) fn settle(&self, place: Named<'_>, blob: &mut Blob) -> Result<(), Refusal> {
        let Some(disk) = self.vault.disk() else { return Ok(()) };
        let path = match &mut blob.content {
            Content::Block { stored: Stored { place: Place::File(path), .. }, .. } => path,
            Content::Page { pages: Pages { place: PagePlace::File(path), .. }, .. } => path,
            Content::Block { .. } | Content::Page { .. } => return Ok(()),
        };
        *path = disk.settle(place, blob.etag, path).map_err(failed)?;
        Ok(())
    }

    /// Makes `base` what the name stands for. The old blob's bytes, and uncommitted blocks, go.
    pub(crate) fn publish(
        &self,
        place: Named<'_>,
        cell: &mut CellState,
        mut base: Option<Blob>,
    ) -> Result<(), Refusal> {
        if let Some(blob) = &mut base {
            self.settle(place, blob)?;
        }
        let drop_blocks = || self.vault.disk().iter().for_each(|disk| disk.drop_blocks(place));
        if base.is_none() {
            // Nothing will be left that could say that the blocks were dropped.
            drop_blocks();
        }
        cell.dropped_below = cell.next_block;
        self.save_cell(place, CellRecord { base: base.as_ref(), ..cell.record() })?;
        if let Some(old) = std::mem::replace(&mut cell.base, base) {
            self.remove_bytes(&old);
        }
        cell.blocks.clear();
        drop_blocks();
        Ok(())
    }

    /// Removes the bytes of a blob or snapshot that is no more.
    pub(crate) fn remove_bytes(&self, blob: &Blob) {
        match (&blob.content, self.vault.disk()) {
            (Content::Block { stored, .. }, _) => self.vault.remove(stored),
            (Content::Page { pages: Pages { place: PagePlace::File(path), .. }, .. }, Some(disk)) => {
                disk.remove(path);
            }
            (Content::Page { .. }, _) => {}
        }
    }
}

/// What locks are never: a panic of the endpoint's own has ended the process's usefulness.
pub(crate) const UNPOISONED: &str = "no operation panics while it holds a lock";

/// A store that fails (its disk is full, say) is an error of the service.
pub(crate) fn failed(error: io::Error) -> Refusal {
    codes::INTERNAL.detail("ExceptionDetails", error)
}

/// A blob's container and name.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Named<'a> {
    pub(crate) container: &'a str,
    pub(crate) blob: &'a str,
}

/// What is saved of a cell.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct CellRecord<'a> {
    pub(crate) base: Option<&'a Blob>,
    pub(crate) snapshots: &'a BTreeMap<String, Blob>,
    pub(crate) lease: &'a Lease,
    pub(crate) dropped_below: u64,
}

impl Container {
    pub(crate) fn new(name: &str, state: ContainerState) -> Container {
        Container { name: name.to_owned(), state: Mutex::new(state), cells: RwLock::new(BTreeMap::new()) }
    }

    /// The container's own state, unless it was deleted meanwhile.
    pub(crate) fn lock(&self) -> Result<MutexGuard<'_, ContainerState>, Refusal> {
        let state = self.state.lock().expect(UNPOISONED);
        if state.deleted { Err(codes::CONTAINER_NOT_FOUND.into()) } else { Ok(state) }
    }

    /// The cell of a name that may not exist yet.
    pub(crate) fn cell(&self, name: &str) -> Arc<Cell> {
        if let Some(cell) = self.existing_cell(name) {
            return cell;
        }
        Arc::clone(self.cells.write().expect(UNPOISONED).entry(name.to_owned()).or_default())
    }

    /// The cell of a name, if anything was ever put there.
    pub(crate) fn existing_cell(&self, name: &str) -> Option<Arc<Cell>> {
        self.cells.read().expect(UNPOISONED).get(name).cloned()
    }
}

impl Cell {
    pub(crate) fn holding(state: CellState) -> Cell {
        Cell { state: Mutex::new(state) }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, CellState> {
        self.state.lock().expect(UNPOISONED)
    }
}

impl CellState {
    /// The record of the cell as it is.
    pub(crate) fn record(&self) -> CellRecord<'_> {
        CellRecord {
            base: self.base.as_ref(),
            snapshots: &self.snapshots,
            lease: &self.lease,
            dropped_below: self.dropped_below,
        }
    }
}

impl Blob {
    pub(crate) fn length(&self) -> u64 {
        match &self.content {
            Content::Block { stored, .. } => stored.length,
            Content::Page { pages, .. } => pages.length,
        }
    }

    /// The value of `x-ms-blob-type`.
    pub(crate) fn type_word(&self) -> &'static str {
        match self.content {
            Content::Block { .. } => "BlockBlob",
            Content::Page { .. } => "PageBlob",
        }
    }

    /// Opens a range of the blob for reading.
    pub(crate) fn open(&self, range: std::ops::Range<u64>, vault: &Vault) -> io::Result<Vec<Piece>> {
        match &self.content {
            Content::Block { stored, .. } => vault.open(stored, range),
            Content::Page { pages, .. } => pages.open(range, vault),
        }
    }

    /// `"0x8DE…"`, as in the header.
    pub(crate) fn etag_text(&self) -> String {
        etag_text(self.etag)
    }
}

/// An ETag's number in its quotes.
pub(crate) fn etag_text(etag: u64) -> String {
    format!("\"0x{etag:X}\"")
}

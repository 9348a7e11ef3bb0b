//! Looks at every selected blob of an account: what it costs on a drive, or why it cannot be
//! exported.
//!
//! One page of a listing is in memory at a time; of each blob eight bytes are kept, and of those
//! that cannot be exported what the caller keeps of their names.

use azure::{Account, BlobProperties, BlobType, ErrorKind, ListedBlob, StorageError, Tier};
use futures::{StreamExt, TryStreamExt};
use model::BlobPath;

use super::cost::Extent;
use super::selection::{Scope, Selection, Which};
use crate::account::REQUESTS_AT_ONCE;
use crate::console::Meter;

/// A blob, or a snapshot of one, that a selector has met.
#[derive(Debug, Clone)]
struct Candidate {
    container: String,
    name: String,
    snapshot: Option<String>,
    length_bytes: u64,
    blob_type: BlobType,
    has_metadata: bool,
    tier: Option<Tier>,
}

/// A blob that stays behind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// `container/name`.
    pub blob_path: String,
    /// The snapshot's time, if it is one.
    pub snapshot: Option<String>,
    /// Why, and what can be done.
    pub reason: String,
}

/// What was found.
#[derive(Debug, Default)]
pub struct Found {
    /// The cost of each blob that can be exported.
    pub costs: Vec<u64>,
    /// How many cannot.
    pub refused_count: u64,
}

/// Looks at everything that a selection selects.
pub struct Look<'a> {
    /// The account.
    pub account: &'a Account,
    /// What a drive can take.
    pub usable_bytes: u64,
    /// Counts blobs.
    pub meter: &'a Meter,
    /// Told of each blob that stays behind.
    pub on_refused: &'a mut dyn FnMut(Refused),
}

impl Look<'_> {
    /// Everything, each blob once.
    ///
    /// # Errors
    /// What the service answers; a container that is not there only has no blobs.
    pub async fn at(&mut self, selection: &mut Selection) -> Result<Found, StorageError> {
        let mut found = Found::default();
        for scope in selection.scopes() {
            match scope {
                Scope::Containers(prefix) => {
                    for container in self.account.containers(&prefix).await? {
                        self.list(&container, "", selection, &mut found).await?;
                    }
                }
                Scope::Blobs { container, prefix } => {
                    self.list(&container, &prefix, selection, &mut found).await?;
                }
            }
        }
        let account = self.account;
        let mut paths = futures::stream::iter(selection.paths_outside())
            .map(|(path, which)| versions(account, path, which))
            .buffer_unordered(REQUESTS_AT_ONCE);
        while let Some(candidates) = paths.try_next().await? {
            self.take(candidates, selection, &mut found).await?;
        }
        Ok(found)
    }

    async fn list(
        &mut self,
        container: &str,
        prefix: &str,
        selection: &mut Selection,
        found: &mut Found,
    ) -> Result<(), StorageError> {
        // No container can have such a name, so nothing is there, and no request could ask for it.
        if BlobPath::new(container, "name").is_err() {
            return Ok(());
        }
        let mut listing = self.account.list(container, prefix).with_snapshots();
        loop {
            let page = match listing.next_page().await {
                Ok(Some(page)) => page,
                Ok(None) => return Ok(()),
                Err(error) if is_absent(&error) => return Ok(()),
                Err(error) => return Err(error),
            };
            let page = page.into_iter().map(|blob| Candidate::listed(container, blob)).collect();
            self.take(page, selection, found).await?;
        }
    }

    async fn take(
        &mut self,
        candidates: Vec<Candidate>,
        selection: &mut Selection,
        found: &mut Found,
    ) -> Result<(), StorageError> {
        for candidate in &candidates {
            selection.met(&candidate.container, &candidate.name, candidate.snapshot.as_deref());
            self.meter.expect(candidate.length_bytes, 1);
        }
        let (account, usable_bytes) = (self.account, self.usable_bytes);
        let mut judged = futures::stream::iter(candidates)
            .map(|candidate| judge(account, usable_bytes, candidate))
            .buffer_unordered(REQUESTS_AT_ONCE);
        while let Some((length_bytes, judgement)) = judged.try_next().await? {
            self.meter.add(length_bytes, 1);
            match judgement {
                Ok(cost) => found.costs.push(cost),
                Err(refused) => {
                    found.refused_count += 1;
                    (self.on_refused)(refused);
                }
            }
        }
        Ok(())
    }
}

impl Candidate {
    fn listed(container: &str, blob: ListedBlob) -> Candidate {
        Candidate {
            container: container.to_owned(),
            name: blob.name,
            snapshot: blob.snapshot,
            length_bytes: blob.length_bytes,
            blob_type: blob.blob_type,
            has_metadata: !blob.metadata.is_empty(),
            tier: blob.tier,
        }
    }

    fn looked_up(path: &BlobPath, snapshot: Option<String>, blob: BlobProperties) -> Candidate {
        Candidate {
            container: path.container().to_owned(),
            name: path.name().to_owned(),
            snapshot,
            length_bytes: blob.length_bytes,
            blob_type: blob.blob_type,
            has_metadata: !blob.headers.metadata.is_empty(),
            tier: blob.headers.tier,
        }
    }

    fn refused(self, reason: String) -> Refused {
        let blob_path = format!("{}/{}", self.container, self.name);
        Refused { blob_path, snapshot: self.snapshot, reason }
    }
}

/// The versions of one blob that its path selects, as far as they are there.
async fn versions(
    account: &Account,
    path: String,
    which: Vec<Which>,
) -> Result<Vec<Candidate>, StorageError> {
    // No blob can have such a name.
    let Ok(path) = BlobPath::parse(&path) else { return Ok(Vec::new()) };
    if which.contains(&Which::All) {
        return all_versions(account, &path).await;
    }
    let mut candidates = Vec::new();
    for which in which {
        let snapshot = if let Which::One(time) = which { Some(time) } else { None };
        match account.properties_of(&path, snapshot.as_deref()).await {
            Ok(Some(blob)) => candidates.push(Candidate::looked_up(&path, snapshot, blob)),
            Ok(None) => {}
            // A snapshot's time that is no time is one that nothing has.
            Err(error) if is_absent(&error) || (snapshot.is_some() && error.http_status == Some(400)) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(candidates)
}

async fn all_versions(account: &Account, path: &BlobPath) -> Result<Vec<Candidate>, StorageError> {
    let mut listing = account.list(path.container(), path.name()).with_snapshots();
    let mut candidates = Vec::new();
    loop {
        match listing.next_page().await {
            Ok(Some(page)) => {
                let own = page.into_iter().filter(|blob| blob.name == path.name());
                candidates.extend(own.map(|blob| Candidate::listed(path.container(), blob)));
            }
            Ok(None) => return Ok(candidates),
            Err(error) if is_absent(&error) => return Ok(candidates),
            Err(error) => return Err(error),
        }
    }
}

/// The blob's length, and its cost or why it stays behind.
async fn judge(
    account: &Account,
    usable_bytes: u64,
    blob: Candidate,
) -> Result<(u64, Result<u64, Refused>), StorageError> {
    let length_bytes = blob.length_bytes;
    if blob.tier == Some(Tier::Archive) {
        let reason = "it is in the archive tier; rehydrate it first".to_owned();
        return Ok((length_bytes, Err(blob.refused(reason))));
    }
    let path = match BlobPath::new(&blob.container, &blob.name) {
        Ok(path) => path,
        Err(error) => {
            let reason = format!("{error}, so no request can be made for it; copy it to another name first");
            return Ok((length_bytes, Err(blob.refused(reason))));
        }
    };
    let extent = match blob.blob_type {
        BlobType::Block | BlobType::Append => Extent::of_blocks(length_bytes),
        BlobType::Page => Extent::of_pages(&account.page_ranges_of(&path, blob.snapshot.as_deref()).await?),
    };
    let cost = extent.cost_bytes(blob.has_metadata);
    if cost > usable_bytes {
        let reason = format!(
            "it takes {cost} bytes, a drive of this size holds {usable_bytes}, and a blob is never split; \
             use larger drives"
        );
        return Ok((length_bytes, Err(blob.refused(reason))));
    }
    Ok((length_bytes, Ok(cost)))
}

fn is_absent(error: &StorageError) -> bool {
    matches!(error.kind(), ErrorKind::ContainerNotFound | ErrorKind::NotFound)
}

//! The operations. Each takes a [`Call`] and answers a reply or a refusal; none touches a socket.
//!
//! Order of checks in every operation on a blob, as in the service: container, blob, type,
//! conditions, lease. A refused operation has changed nothing; only when the store itself fails (500)
//! may memory be ahead of the disk.

pub(crate) mod account;
pub(crate) mod block;
pub(crate) mod change;
pub(crate) mod container;
pub(crate) mod leases;
pub(crate) mod list;
pub(crate) mod page;
pub(crate) mod properties;
pub(crate) mod put;
pub(crate) mod read;
pub(crate) mod xml;

use std::sync::Arc;

use super::auth::Grant;
use super::body::Received;
use super::codes::{self, Refusal};
use super::conditions::{Conditions, Version};
use super::lease::Holder;
use super::operation::Operation;
use super::reply::Reply;
use super::request::Head;
use super::stamp::Stamp;
use super::state::{Account, Blob, CellState, Container, Named, etag_text};

/// What an operation comes to.
pub(crate) type Outcome = Result<Reply, Refusal>;

/// A request that may be carried out.
pub(crate) struct Call<'a> {
    pub(crate) account: &'a Account,
    pub(crate) head: &'a Head,
    pub(crate) grant: &'a Grant,
    pub(crate) now: Stamp,
    /// How many blocks a fault leaves out of a committed list.
    pub(crate) drop_blocks: usize,
}

/// Carries an operation out.
pub(crate) fn carry_out(call: &Call<'_>, received: Received) -> Outcome {
    match call.head.operation {
        Operation::GetAccountInformation => Ok(account::information(call)),
        Operation::GetServiceProperties => Ok(account::service_properties()),
        Operation::ListContainers => account::list_containers(call),
        Operation::CreateContainer => container::create(call),
        Operation::DeleteContainer => container::delete(call),
        Operation::GetContainerProperties => container::properties(call),
        Operation::SetContainerMetadata => container::set_metadata(call),
        Operation::GetContainerAcl => container::acl(call),
        Operation::SetContainerAcl => container::set_acl(call, &received),
        Operation::LeaseContainer => leases::of_container(call),
        Operation::ListBlobs => list::blobs(call),
        Operation::PutBlob => put::blob(call, received),
        Operation::PutBlock => block::put(call, received),
        Operation::PutBlockList => block::put_list(call, &received),
        Operation::GetBlockList => block::list(call),
        Operation::PutPage => page::put(call, &received),
        Operation::GetPageRanges => page::ranges(call),
        Operation::GetBlob => read::blob(call),
        Operation::GetBlobProperties | Operation::GetBlobMetadata => read::properties(call),
        Operation::SetBlobMetadata => change::metadata(call),
        Operation::SetBlobProperties => change::properties(call),
        Operation::SetBlobTier => change::tier(call),
        Operation::SnapshotBlob => change::snapshot(call),
        Operation::DeleteBlob => change::delete(call),
        Operation::LeaseBlob => leases::of_blob(call),
        Operation::Unsupported => Err(codes::NOT_IMPLEMENTED.into()),
    }
}

impl Call<'_> {
    /// The container that the request names.
    pub(crate) fn container(&self) -> Result<Arc<Container>, Refusal> {
        self.account.container(&self.head.container)
    }

    /// Where the blob that the request names is.
    pub(crate) fn place(&self) -> Named<'_> {
        Named { container: &self.head.container, blob: &self.head.blob }
    }

    /// The lease id that the request names.
    pub(crate) fn lease_id(&self) -> Option<&str> {
        self.head.header("x-ms-lease-id")
    }

    /// Whether an existing blob may be changed: conditions, then lease.
    pub(crate) fn check_write(&self, cell: &CellState) -> Result<(), Refusal> {
        let blob = cell.base.as_ref().ok_or(codes::BLOB_NOT_FOUND)?;
        Conditions::of(self.head)?.check_write(Version::from(blob))?;
        cell.lease.check_write(self.lease_id(), Holder::Blob, self.now)
    }

    /// Whether a blob may be created or replaced: conditions, permission, lease.
    pub(crate) fn check_create(&self, cell: &CellState) -> Result<(), Refusal> {
        Conditions::of(self.head)?.check_create(cell.base.as_ref().map(Version::from))?;
        if cell.base.is_some() && !self.grant.allows('w') {
            return Err(codes::PERMISSION_MISMATCH.into());
        }
        cell.lease.check_write(self.lease_id(), Holder::Blob, self.now)
    }

    /// Runs a change of an existing blob under its lock, gives it a new version and saves it.
    pub(crate) fn change(
        &self,
        change: impl FnOnce(&mut Blob) -> Result<(), Refusal>,
    ) -> Result<Changed, Refusal> {
        let cell = self.container()?.existing_cell(&self.head.blob).ok_or(codes::BLOB_NOT_FOUND)?;
        let mut cell = cell.lock();
        self.check_write(&cell)?;
        let blob = cell.base.as_mut().ok_or(codes::BLOB_NOT_FOUND)?;
        change(blob)?;
        (blob.etag, blob.modified) = self.version();
        let changed = Changed { etag: blob.etag, modified: blob.modified };
        cell.lease.after_write(self.now);
        self.account.save_cell(self.place(), cell.record())?;
        Ok(changed)
    }

    /// A new version's ETag and time.
    pub(crate) fn version(&self) -> (u64, Stamp) {
        (self.account.clock.unique(self.now).etag(), self.now)
    }

    /// A query parameter that an operation on a blob of its own must not have.
    pub(crate) fn refuse_snapshot(&self) -> Result<(), Refusal> {
        match self.head.query("snapshot") {
            Some(snapshot) => Err(codes::INVALID_QUERY.of_query("snapshot", snapshot)),
            None => Ok(()),
        }
    }
}

/// A blob's version after a change.
pub(crate) struct Changed {
    etag: u64,
    modified: Stamp,
}

impl Changed {
    pub(crate) fn of(blob: &Blob) -> Changed {
        Changed { etag: blob.etag, modified: blob.modified }
    }

    /// A reply that tells the version.
    pub(crate) fn reply(&self, status: u16) -> Reply {
        Reply::status(status)
            .with("etag", etag_text(self.etag))
            .with("last-modified", self.modified.http_date())
    }
}

/// Adds the checksums that the service gives back: the MD5 if it was asked to check one, else the CRC-64.
pub(crate) fn with_checksums(reply: Reply, received: &Received) -> Reply {
    reply
        .maybe("content-md5", received.md5.as_deref())
        .maybe("x-ms-content-crc64", received.crc64.as_deref())
        .with("x-ms-request-server-encrypted", "true")
}

//! What a blob is: properties and metadata, read and replaced; its snapshots and its deletion.
//!
//! azure-storage.md §7.6: a HEAD answer has its error code in a header only.

use std::time::SystemTime;

use azure_core::http::Method;
use model::{BlobPath, Md5Digest};

use crate::account::Account;
use crate::blob::{BlobHeaders, Condition, ETag, LeaseId, Stored, Tier, missing};
use crate::call::{Call, Reply, md5_from_base64, name};
use crate::endpoint::Resource;
use crate::error::{ErrorKind, Operation, StorageError};

/// A blob's state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlobProperties {
    /// Its length.
    pub length_bytes: u64,
    /// Its version.
    pub etag: ETag,
    /// When it was last written.
    pub last_modified: Option<SystemTime>,
    /// Block, page or append.
    pub blob_type: BlobType,
    /// Whether it is leased.
    pub lease_state: LeaseState,
    /// Properties, stored MD5, metadata (names in lower case) and tier.
    pub headers: BlobHeaders,
}

impl BlobProperties {
    /// The MD5 stored with it; never checked by the service after a commit.
    pub fn content_md5(&self) -> Option<Md5Digest> {
        self.headers.content_md5
    }
}

/// The kinds of blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BlobType {
    /// Made of blocks.
    Block,
    /// Made of pages of 512 bytes.
    Page,
    /// Written at its end only.
    Append,
}

impl BlobType {
    pub(crate) fn parse(text: &str) -> Option<BlobType> {
        match text {
            "BlockBlob" => Some(BlobType::Block),
            "PageBlob" => Some(BlobType::Page),
            "AppendBlob" => Some(BlobType::Append),
            _ => None,
        }
    }
}

/// The states of a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LeaseState {
    /// None, or given back.
    Available,
    /// Somebody has it.
    Leased,
    /// It ran out.
    Expired,
    /// It is being ended.
    Breaking,
    /// It was ended.
    Broken,
}

impl LeaseState {
    /// A service that does not say has no lease on it.
    fn parse(text: Option<&str>) -> LeaseState {
        match text {
            Some("leased") => LeaseState::Leased,
            Some("expired") => LeaseState::Expired,
            Some("breaking") => LeaseState::Breaking,
            Some("broken") => LeaseState::Broken,
            _ => LeaseState::Available,
        }
    }
}

/// What deleting found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deletion {
    /// It is gone now.
    Deleted,
    /// There was none.
    Absent,
}

impl Account {
    /// A blob's properties and metadata, or nothing when there is no such blob.
    ///
    /// # Errors
    /// What the service answers; a missing container is an error.
    pub async fn properties(&self, path: &BlobPath) -> Result<Option<BlobProperties>, StorageError> {
        self.properties_of(path, None).await
    }

    /// The properties and metadata of a blob or of one of its snapshots, or nothing when there is no
    /// such blob.
    ///
    /// # Errors
    /// What the service answers; a missing container is an error.
    pub async fn properties_of(
        &self,
        path: &BlobPath,
        snapshot: Option<&str>,
    ) -> Result<Option<BlobProperties>, StorageError> {
        let call = Call::new(Operation::Properties, Method::Head, Resource::Blob(path)).snapshot(snapshot);
        match self.exchange(&call).await {
            Ok(reply) => read_properties(&call, &reply).map(Some),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Replaces all metadata.
    ///
    /// # Errors
    /// What the service answers.
    pub async fn set_metadata(
        &self,
        path: &BlobPath,
        metadata: &[(String, String)],
        condition: &Condition,
        lease: Option<&LeaseId>,
    ) -> Result<Stored, StorageError> {
        let headers = BlobHeaders { metadata: metadata.to_vec(), ..BlobHeaders::default() };
        let call =
            Call::new(Operation::SetMetadata, Method::Put, Resource::Blob(path)).query("comp", "metadata");
        self.write(LeaseId::apply(lease, condition.apply(headers.apply_metadata(call)?))).await
    }

    /// Replaces all properties: those that are not given are cleared. Metadata and tier stay.
    ///
    /// # Errors
    /// What the service answers.
    pub async fn set_properties(
        &self,
        path: &BlobPath,
        headers: &BlobHeaders,
        condition: &Condition,
        lease: Option<&LeaseId>,
    ) -> Result<Stored, StorageError> {
        let call = Call::new(Operation::SetProperties, Method::Put, Resource::Blob(path))
            .query("comp", "properties");
        self.write(LeaseId::apply(lease, condition.apply(headers.apply_properties(call)?))).await
    }

    /// Takes a snapshot of the blob as it is now; gives its time, by which it is named.
    ///
    /// # Errors
    /// What the service answers.
    pub async fn snapshot(&self, path: &BlobPath, condition: &Condition) -> Result<String, StorageError> {
        let call =
            Call::new(Operation::Snapshot, Method::Put, Resource::Blob(path)).query("comp", "snapshot");
        let call = condition.apply(call);
        let reply = self.exchange(&call).await?;
        let time = reply.header(name::SNAPSHOT).map(str::to_owned);
        time.ok_or_else(|| missing(&call, &reply, "x-ms-snapshot"))
    }

    /// Deletes a blob.
    ///
    /// # Errors
    /// What the service answers, except that a blob that is not there is no error.
    pub async fn delete(
        &self,
        path: &BlobPath,
        condition: &Condition,
        lease: Option<&LeaseId>,
    ) -> Result<Deletion, StorageError> {
        let call = Call::new(Operation::Delete, Method::Delete, Resource::Blob(path));
        match self.exchange(&LeaseId::apply(lease, condition.apply(call))).await {
            Ok(_) => Ok(Deletion::Deleted),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Deletion::Absent),
            Err(error) => Err(error),
        }
    }

    async fn write(&self, call: Call<'_>) -> Result<Stored, StorageError> {
        let reply = self.exchange(&call).await?;
        Stored::read(&call, &reply)
    }
}

fn read_properties(call: &Call<'_>, reply: &Reply) -> Result<BlobProperties, StorageError> {
    let length = reply.header(name::CONTENT_LENGTH).and_then(|text| text.trim().parse().ok());
    let etag = reply.header(name::ETAG).map(ETag::new);
    let blob_type = reply.header(name::BLOB_TYPE).and_then(BlobType::parse);
    let owned = |header| reply.header(header).map(str::to_owned);
    Ok(BlobProperties {
        length_bytes: length.ok_or_else(|| missing(call, reply, "Content-Length"))?,
        etag: etag.ok_or_else(|| missing(call, reply, "ETag"))?,
        last_modified: reply.last_modified(),
        blob_type: blob_type.ok_or_else(|| missing(call, reply, "x-ms-blob-type"))?,
        lease_state: LeaseState::parse(reply.header(name::LEASE_STATE)),
        headers: BlobHeaders {
            content_type: owned(name::CONTENT_TYPE),
            content_encoding: owned(name::CONTENT_ENCODING),
            content_language: owned(name::CONTENT_LANGUAGE),
            cache_control: owned(name::CACHE_CONTROL),
            content_disposition: owned(name::CONTENT_DISPOSITION),
            content_md5: reply.header(name::CONTENT_MD5).and_then(md5_from_base64),
            metadata: metadata(reply),
            tier: reply.header(name::ACCESS_TIER).and_then(|text| text.parse::<Tier>().ok()),
        },
    })
}

/// Sorted by name, because the answer's headers have no order.
fn metadata(reply: &Reply) -> Vec<(String, String)> {
    let mut pairs: Vec<(String, String)> = reply
        .headers
        .iter()
        .filter_map(|(header, value)| {
            let name = header.as_str().strip_prefix("x-ms-meta-")?;
            Some((name.to_owned(), value.as_str().to_owned()))
        })
        .collect();
    pairs.sort_unstable();
    pairs
}

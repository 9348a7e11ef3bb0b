//! Block blobs: put whole, or block by block and committed.
//!
//! Invariants: data goes with its MD5, which the service checks on arrival; a blob becomes visible
//! by one request only (Put Blob or Put Block List), under the condition given.
//! azure-storage.md §7.1, §7.7.

use azure_core::http::Method;
use bytes::Bytes;
use model::{BlobPath, Md5Digest};

use crate::account::Account;
use crate::blob::{BlobHeaders, Condition, LeaseId, Stored};
use crate::call::{Attempts, Call, md5_of, name};
use crate::endpoint::Resource;
use crate::error::{ErrorKind, Operation, StorageError};
use crate::xml::{Node, XmlError, append_escaped, ends_with, walk};

/// Most blocks that a blob can be committed from.
pub const BLOCKS_MAX: usize = 50_000;

/// The blocks of a blob.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BlockList {
    /// Those the visible blob is made of, in order.
    pub committed: Vec<Block>,
    /// Those that have arrived and are not part of it yet, in the service's order.
    pub uncommitted: Vec<Block>,
}

/// One block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// The id in base64, as it was given to Put Block.
    pub id: String,
    /// Its length.
    pub length_bytes: u64,
}

impl Account {
    /// Puts a blob in one request (at most 5,000 MiB).
    ///
    /// # Errors
    /// `StoredMd5Differs` before sending when the headers ask for another MD5 to be stored than
    /// `md5`, because this request would be refused for it; else what the service answers.
    pub async fn put_blob(
        &self,
        path: &BlobPath,
        data: Bytes,
        md5: Md5Digest,
        headers: &BlobHeaders,
        condition: &Condition,
    ) -> Result<Stored, StorageError> {
        if let Some(stored) = headers.content_md5.filter(|stored| *stored != md5) {
            let message = format!("{stored} is to be stored with data whose MD5 is {md5}");
            let kind = ErrorKind::StoredMd5Differs;
            return Err(StorageError::refused(Operation::PutBlob, path.to_string(), kind, message));
        }
        let call = Call::new(Operation::PutBlob, Method::Put, Resource::Blob(path))
            .header(name::BLOB_TYPE, "BlockBlob")
            .body(data, md5);
        let call = condition.apply(headers.apply_all(call)?);
        let reply = self.exchange(&call).await?;
        Stored::read(&call, &reply)
    }

    /// Puts one block, which stays invisible until it is committed (or a week has passed).
    ///
    /// `id` is base64 of at most 64 bytes, of the same length for all blocks of a blob. Putting the
    /// same block twice is harmless.
    ///
    /// # Errors
    /// What the service answers; an empty block is refused here, as the service would.
    pub async fn put_block(
        &self,
        path: &BlobPath,
        id: &str,
        data: Bytes,
        md5: Md5Digest,
        lease: Option<&LeaseId>,
    ) -> Result<Attempts, StorageError> {
        if data.is_empty() {
            let message = "an empty block cannot be put".to_owned();
            let kind = ErrorKind::BadRequest;
            return Err(StorageError::refused(Operation::PutBlock, path.to_string(), kind, message));
        }
        let call = Call::new(Operation::PutBlock, Method::Put, Resource::Blob(path))
            .query("comp", "block")
            .query("blockid", id)
            .body(data, md5);
        let reply = self.exchange(&LeaseId::apply(lease, call)).await?;
        Ok(reply.attempts)
    }

    /// Makes the blob visible as the sequence of these uncommitted blocks. Uncommitted blocks that
    /// are not named are dropped; those of the blob that is there are never taken over, even under
    /// the same ids: an old blob's content must not pass for what was put.
    ///
    /// # Errors
    /// `InvalidBlockList` when a block has not arrived or is gone again; `AlreadyExists` or
    /// `ConditionNotMet` by the condition. Look at `ambiguous` before believing that the blocks are
    /// lost or that somebody else did it: an earlier try may have committed them.
    pub async fn put_block_list(
        &self,
        path: &BlobPath,
        ids: &[String],
        headers: &BlobHeaders,
        condition: &Condition,
        lease: Option<&LeaseId>,
    ) -> Result<Stored, StorageError> {
        if ids.len() > BLOCKS_MAX {
            let message = format!("{} blocks; a blob has at most {BLOCKS_MAX}", ids.len());
            let kind = ErrorKind::TooLarge;
            return Err(StorageError::refused(Operation::PutBlockList, path.to_string(), kind, message));
        }
        let body = Bytes::from(block_list_document(ids));
        let digest = md5_of(&body);
        let call = Call::new(Operation::PutBlockList, Method::Put, Resource::Blob(path))
            .query("comp", "blocklist")
            .header(name::CONTENT_TYPE, "application/xml")
            .body(body, digest);
        let call = LeaseId::apply(lease, condition.apply(headers.apply_all(call)?));
        let reply = self.exchange(&call).await?;
        Stored::read(&call, &reply)
    }

    /// The committed and uncommitted blocks; both empty when no block of the blob has arrived.
    ///
    /// # Errors
    /// What the service answers, except that a blob that is not there is no error.
    pub async fn block_list(&self, path: &BlobPath) -> Result<BlockList, StorageError> {
        let call = Call::new(Operation::BlockList, Method::Get, Resource::Blob(path))
            .query("comp", "blocklist")
            .query("blocklisttype", "all");
        match self.exchange(&call).await {
            Ok(reply) => {
                parse_block_list(&reply.body).map_err(|error| unreadable(&call, &reply.attempts, error))
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(BlockList::default()),
            Err(error) => Err(error),
        }
    }
}

/// An answer whose document cannot be read.
pub(crate) fn unreadable(call: &Call<'_>, attempts: &Attempts, error: XmlError) -> StorageError {
    let kind = ErrorKind::UnexpectedReply;
    let refused = StorageError::refused(call.operation, call.resource.to_string(), kind, error.to_string());
    StorageError { attempts: attempts.count, source: Some(Box::new(error)), ..refused }
}

fn block_list_document(ids: &[String]) -> String {
    let bytes = ids.iter().map(|id| id.len().saturating_add(27)).fold(64usize, usize::saturating_add);
    let mut document = String::with_capacity(bytes);
    document.push_str("<?xml version=\"1.0\" encoding=\"utf-8\"?><BlockList>");
    for id in ids {
        document.push_str("<Uncommitted>");
        append_escaped(&mut document, id);
        document.push_str("</Uncommitted>");
    }
    document.push_str("</BlockList>");
    document
}

fn parse_block_list(document: &[u8]) -> Result<BlockList, XmlError> {
    let mut list = BlockList::default();
    let mut id = String::new();
    let mut length_bytes = None;
    walk(document, |node| {
        let Node::End { path, text, .. } = node else { return Ok(()) };
        if ends_with(path, &["Block", "Name"]) {
            text.clone_into(&mut id);
        } else if ends_with(path, &["Block", "Size"]) {
            length_bytes = text.trim().parse().ok();
        } else if ends_with(path, &["Block"]) {
            let length_bytes = length_bytes.take().ok_or(XmlError::Value("Size"))?;
            let block = Block { id: std::mem::take(&mut id), length_bytes };
            if ends_with(path, &["CommittedBlocks", "Block"]) {
                list.committed.push(block);
            } else {
                list.uncommitted.push(block);
            }
        }
        Ok(())
    })?;
    Ok(list)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn committed_and_uncommitted_blocks_are_told_apart() {
        let document = "<?xml version=\"1.0\"?><BlockList><CommittedBlocks><Block><Name>QUE=</Name>\
            <Size>4194304</Size></Block></CommittedBlocks><UncommittedBlocks><Block><Name>QkI=</Name>\
            <Size>1</Size></Block></UncommittedBlocks></BlockList>";
        let list = parse_block_list(document.as_bytes()).unwrap();
        assert_eq!(list.committed, [Block { id: "QUE=".to_owned(), length_bytes: 4_194_304 }]);
        assert_eq!(list.uncommitted, [Block { id: "QkI=".to_owned(), length_bytes: 1 }]);
        let empty = b"<BlockList><CommittedBlocks /><UncommittedBlocks /></BlockList>";
        assert_eq!(parse_block_list(empty).unwrap(), BlockList::default());
    }

    #[test]
    fn a_block_without_a_size_is_an_error() {
        let document =
            b"<BlockList><CommittedBlocks><Block><Name>QQ==</Name></Block></CommittedBlocks></BlockList>";
        assert!(matches!(parse_block_list(document), Err(XmlError::Value("Size"))));
    }

    #[test]
    fn ids_are_written_in_order_and_escaped() {
        let document = block_list_document(&["QQ==".to_owned(), "<".to_owned()]);
        let expected =
            "<BlockList><Uncommitted>QQ==</Uncommitted><Uncommitted>&lt;</Uncommitted></BlockList>";
        assert!(document.ends_with(expected));
    }
}

//! Reading blobs: a range at once, or a whole blob piece by piece.
//!
//! Invariants: memory is bounded by the range asked for; ranges of at most 4 MiB are compared with
//! the MD5 that the service computes over them; a blob that changes while it is streamed gives an
//! error and not a mixture. Pieces are separate ranged requests, which cost less CPU than one
//! request that is reassembled (azure-storage.md §2.4 trap 5) and resume by themselves.

use std::ops::Range;

use azure_core::http::Method;
use bytes::Bytes;
use model::BlobPath;

use crate::account::Account;
use crate::blob::{Condition, ETag};
use crate::call::{Call, name};
use crate::endpoint::Resource;
use crate::error::{ErrorKind, Operation, StorageError};

/// Longest range whose MD5 the service computes; also the length of a piece.
const VERIFIED_BYTES_MAX: u64 = 4 << 20;
/// Longest download that is kept in memory; longer ones are streamed.
pub const DOWNLOAD_BYTES_MAX: u64 = 256 << 20;

/// A blob that is being read from front to back.
#[derive(Debug)]
pub struct Download {
    account: Account,
    path: BlobPath,
    etag: ETag,
    position: u64,
    length_bytes: u64,
}

impl Account {
    /// The bytes of a range, or of the whole blob.
    ///
    /// # Errors
    /// `InvalidRange` when nothing of the range is inside the blob; `TooLarge` when more than
    /// [`DOWNLOAD_BYTES_MAX`] would have to be kept; else what the service answers.
    pub async fn download(&self, path: &BlobPath, range: Option<Range<u64>>) -> Result<Bytes, StorageError> {
        let call = Call::new(Operation::Download, Method::Get, Resource::Blob(path));
        match range {
            Some(range) if range.is_empty() => Ok(Bytes::new()),
            Some(range) => self.download_range(path, None, range, &Condition::None).await,
            None => {
                let reply_bytes_max = usize::try_from(DOWNLOAD_BYTES_MAX).unwrap_or(usize::MAX);
                Ok(self.exchange(&Call { reply_bytes_max, ..call }).await?.body)
            }
        }
    }

    /// Begins to read a blob of any length; only the present version is read.
    ///
    /// # Errors
    /// `NotFound` when there is no such blob; else what the service answers.
    pub async fn download_stream(&self, path: &BlobPath) -> Result<Download, StorageError> {
        let Some(properties) = self.properties(path).await? else {
            let (kind, message) = (ErrorKind::NotFound, String::new());
            return Err(StorageError::refused(Operation::Download, path.to_string(), kind, message));
        };
        Ok(Download {
            account: self.clone(),
            path: path.clone(),
            etag: properties.etag,
            position: 0,
            length_bytes: properties.length_bytes,
        })
    }

    /// The bytes of a range of a blob or of one of its snapshots, of any length up to
    /// [`DOWNLOAD_BYTES_MAX`]; ranges of more than 4 MiB come without the service's MD5, so their
    /// reader has to know what they must be.
    ///
    /// # Errors
    /// `ConditionNotMet` when the blob is not what the condition asks for; `InvalidRange` when
    /// nothing of the range is inside the blob; else what the service answers.
    pub async fn download_range(
        &self,
        path: &BlobPath,
        snapshot: Option<&str>,
        range: Range<u64>,
        condition: &Condition,
    ) -> Result<Bytes, StorageError> {
        let length = range.end.saturating_sub(range.start);
        if length > DOWNLOAD_BYTES_MAX {
            let message = format!("{length} bytes; read at most {DOWNLOAD_BYTES_MAX} at once, or stream");
            let kind = ErrorKind::TooLarge;
            return Err(StorageError::refused(Operation::Download, path.to_string(), kind, message));
        }
        let last = range.end.saturating_sub(1);
        let mut call = Call::new(Operation::Download, Method::Get, Resource::Blob(path))
            .snapshot(snapshot)
            .header(name::RANGE, format!("bytes={}-{last}", range.start));
        call.reply_bytes_max = usize::try_from(length).unwrap_or(usize::MAX);
        if length <= VERIFIED_BYTES_MAX {
            call = call.header(name::RANGE_GET_CONTENT_MD5, "true");
            call.verify_reply = true;
        }
        Ok(self.exchange(&condition.apply(call)).await?.body)
    }
}

impl Download {
    /// The whole blob's length.
    pub fn length_bytes(&self) -> u64 {
        self.length_bytes
    }

    /// The version that is being read.
    pub fn etag(&self) -> &ETag {
        &self.etag
    }

    /// The next piece, or nothing at the end. After an error the same piece may be asked for again.
    ///
    /// # Errors
    /// `ConditionNotMet` when the blob has changed since the beginning; else what the service
    /// answers.
    pub async fn next_piece(&mut self) -> Result<Option<Bytes>, StorageError> {
        if self.position >= self.length_bytes {
            return Ok(None);
        }
        let end = self.position.saturating_add(VERIFIED_BYTES_MAX).min(self.length_bytes);
        let condition = Condition::IfMatch(self.etag.clone());
        let piece = self.account.download_range(&self.path, None, self.position..end, &condition).await?;
        let expected = end.saturating_sub(self.position);
        if u64::try_from(piece.len()).ok() != Some(expected) {
            let message = format!("{} bytes came where {expected} were asked for", piece.len());
            let kind = ErrorKind::UnexpectedReply;
            return Err(StorageError::refused(Operation::Download, self.path.to_string(), kind, message));
        }
        self.position = end;
        Ok(Some(piece))
    }
}

//! Page blobs: created at their full length, written in ranges of whole pages.
//!
//! Invariants: offsets, lengths and sizes are checked here against the pages of 512 bytes, because
//! emulators take what the service refuses; an account with a hierarchical namespace is told so
//! before anything is sent, when a probe has found out. azure-storage.md §7.1, §4.2.

use azure_core::http::Method;
use bytes::Bytes;
use model::{BlobPath, Md5Digest};

use crate::account::Account;
use crate::blob::{BlobHeaders, Condition, LeaseId, Stored};
use crate::block::unreadable;
use crate::call::{Attempts, Call, name};
use crate::endpoint::Resource;
use crate::error::{ErrorKind, Operation, StorageError};
use crate::xml::{Node, XmlError, ends_with, walk};

/// Everything in a page blob is a multiple of this.
pub const PAGE_BYTES: u64 = 512;
/// Longest Put Page.
pub const PUT_PAGE_BYTES_MAX: usize = 4 << 20;
/// Longest page blob: 8 TiB.
pub const PAGE_BLOB_BYTES_MAX: u64 = 8 << 40;
/// Ranges an answer holds at most, so that its document stays small.
const RANGES_PER_ANSWER: &str = "10000";

/// Bytes of a page blob that were written and not cleared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageRange {
    /// First byte.
    pub offset_bytes: u64,
    /// How many.
    pub length_bytes: u64,
}

impl Account {
    /// Creates a page blob of zeros, visible at once. Replaces what is there, if the condition lets
    /// it.
    ///
    /// # Errors
    /// `PageBlobsUnsupported` for an account with a hierarchical namespace: before sending when a
    /// probe has told, else by the service's answer.
    pub async fn create_page_blob(
        &self,
        path: &BlobPath,
        length_bytes: u64,
        headers: &BlobHeaders,
        condition: &Condition,
        lease: Option<&LeaseId>,
    ) -> Result<Stored, StorageError> {
        let operation = Operation::CreatePageBlob;
        if self.hierarchical_namespace() == Some(true) {
            let message =
                "it has a hierarchical namespace (Data Lake Storage Gen2), which has none".to_owned();
            let kind = ErrorKind::PageBlobsUnsupported;
            return Err(StorageError::refused(operation, path.to_string(), kind, message));
        }
        check_length(operation, path, length_bytes)?;
        let call = Call::new(operation, Method::Put, Resource::Blob(path))
            .header(name::BLOB_TYPE, "PageBlob")
            .header(name::BLOB_CONTENT_LENGTH, length_bytes.to_string());
        let call = LeaseId::apply(lease, condition.apply(headers.apply_all(call)?));
        let reply = self.exchange(&call).await?;
        Stored::read(&call, &reply)
    }

    /// Writes whole pages. Writing the same pages twice is harmless.
    ///
    /// # Errors
    /// When offset or length are not whole pages, or what the service answers.
    pub async fn put_page(
        &self,
        path: &BlobPath,
        offset_bytes: u64,
        data: Bytes,
        md5: Md5Digest,
        lease: Option<&LeaseId>,
    ) -> Result<Attempts, StorageError> {
        let length_bytes = u64::try_from(data.len()).unwrap_or(u64::MAX);
        let range = range(Operation::PutPage, path, offset_bytes, length_bytes)?;
        if data.len() > PUT_PAGE_BYTES_MAX {
            let message = format!("{length_bytes} bytes; at most {PUT_PAGE_BYTES_MAX} can be put at once");
            let kind = ErrorKind::TooLarge;
            return Err(StorageError::refused(Operation::PutPage, path.to_string(), kind, message));
        }
        let call = Call::new(Operation::PutPage, Method::Put, Resource::Blob(path))
            .query("comp", "page")
            .header(name::PAGE_WRITE, "update")
            .header(name::RANGE, range)
            .body(data, md5);
        let reply = self.exchange(&LeaseId::apply(lease, call)).await?;
        Ok(reply.attempts)
    }

    /// Makes whole pages zero again, of any number.
    ///
    /// # Errors
    /// When offset or length are not whole pages, or what the service answers.
    pub async fn clear_pages(
        &self,
        path: &BlobPath,
        offset_bytes: u64,
        length_bytes: u64,
        lease: Option<&LeaseId>,
    ) -> Result<Attempts, StorageError> {
        let range = range(Operation::ClearPages, path, offset_bytes, length_bytes)?;
        let call = Call::new(Operation::ClearPages, Method::Put, Resource::Blob(path))
            .query("comp", "page")
            .header(name::PAGE_WRITE, "clear")
            .header(name::RANGE, range);
        let reply = self.exchange(&LeaseId::apply(lease, call)).await?;
        Ok(reply.attempts)
    }

    /// Sets the length: cuts off, or adds zeros.
    ///
    /// # Errors
    /// When the length is not whole pages, or what the service answers.
    pub async fn resize_page_blob(
        &self,
        path: &BlobPath,
        length_bytes: u64,
        lease: Option<&LeaseId>,
    ) -> Result<Stored, StorageError> {
        let operation = Operation::ResizePageBlob;
        check_length(operation, path, length_bytes)?;
        let call = Call::new(operation, Method::Put, Resource::Blob(path))
            .query("comp", "properties")
            .header(name::BLOB_CONTENT_LENGTH, length_bytes.to_string());
        let call = LeaseId::apply(lease, call);
        let reply = self.exchange(&call).await?;
        Stored::read(&call, &reply)
    }

    /// The ranges that hold data, in ascending order, however many answers that takes.
    ///
    /// # Errors
    /// What the service answers.
    pub async fn page_ranges(&self, path: &BlobPath) -> Result<Vec<PageRange>, StorageError> {
        self.page_ranges_of(path, None).await
    }

    /// The ranges of a blob, or of one of its snapshots, that hold data.
    ///
    /// # Errors
    /// What the service answers.
    pub async fn page_ranges_of(
        &self,
        path: &BlobPath,
        snapshot: Option<&str>,
    ) -> Result<Vec<PageRange>, StorageError> {
        let mut ranges = Vec::new();
        let mut marker = String::new();
        loop {
            let mut call = Call::new(Operation::PageRanges, Method::Get, Resource::Blob(path))
                .query("comp", "pagelist")
                .query("maxresults", RANGES_PER_ANSWER)
                .snapshot(snapshot);
            if !marker.is_empty() {
                call = call.query("marker", &marker);
            }
            let reply = self.exchange(&call).await?;
            let next = parse_ranges(&reply.body, &mut ranges)
                .map_err(|error| unreadable(&call, &reply.attempts, error))?;
            // A marker that does not move would have us ask for ever.
            if next.is_empty() || next == marker {
                return Ok(ranges);
            }
            marker = next;
        }
    }
}

fn check_length(operation: Operation, path: &BlobPath, length_bytes: u64) -> Result<(), StorageError> {
    if length_bytes.is_multiple_of(PAGE_BYTES) && length_bytes <= PAGE_BLOB_BYTES_MAX {
        return Ok(());
    }
    let message = format!("{length_bytes} bytes are not whole pages of {PAGE_BYTES}, or more than 8 TiB");
    Err(StorageError::refused(operation, path.to_string(), ErrorKind::InvalidRange, message))
}

/// `bytes=first-last` of a range of whole pages.
fn range(
    operation: Operation,
    path: &BlobPath,
    offset_bytes: u64,
    length_bytes: u64,
) -> Result<String, StorageError> {
    let whole = offset_bytes.is_multiple_of(PAGE_BYTES) && length_bytes.is_multiple_of(PAGE_BYTES);
    let last = offset_bytes.checked_add(length_bytes).and_then(|end| end.checked_sub(1));
    match last {
        Some(last) if whole && length_bytes > 0 => Ok(format!("bytes={offset_bytes}-{last}")),
        _ => {
            let message = format!(
                "{length_bytes} bytes at offset {offset_bytes:#x} are not whole pages of {PAGE_BYTES} bytes"
            );
            Err(StorageError::refused(operation, path.to_string(), ErrorKind::InvalidRange, message))
        }
    }
}

/// Adds the ranges of one answer; gives the marker of the next, empty at the end.
fn parse_ranges(document: &[u8], ranges: &mut Vec<PageRange>) -> Result<String, XmlError> {
    let (mut start, mut end): (Option<u64>, Option<u64>) = (None, None);
    let mut marker = String::new();
    walk(document, |node| {
        let Node::End { path, text, .. } = node else { return Ok(()) };
        if ends_with(path, &["PageRange", "Start"]) {
            start = text.trim().parse().ok();
        } else if ends_with(path, &["PageRange", "End"]) {
            end = text.trim().parse().ok();
        } else if ends_with(path, &["PageList", "PageRange"]) {
            let offset_bytes = start.take().ok_or(XmlError::Value("Start"))?;
            let length_bytes = end
                .take()
                .and_then(|last| last.checked_sub(offset_bytes)?.checked_add(1))
                .ok_or(XmlError::Value("End"))?;
            ranges.push(PageRange { offset_bytes, length_bytes });
        } else if ends_with(path, &["PageList", "NextMarker"]) {
            text.clone_into(&mut marker);
        }
        Ok(())
    })?;
    Ok(marker)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_and_the_marker_are_read_and_clear_ranges_are_not_data() {
        let document =
            b"<PageList><PageRange><Start>0</Start><End>511</End></PageRange><ClearRange><Start>512</Start>\
            <End>1023</End></ClearRange><PageRange><Start>1024</Start><End>2047</End></PageRange>\
            <NextMarker>m</NextMarker></PageList>";
        let mut ranges = Vec::new();
        assert_eq!(parse_ranges(document, &mut ranges).unwrap(), "m");
        assert_eq!(
            ranges,
            [
                PageRange { offset_bytes: 0, length_bytes: 512 },
                PageRange { offset_bytes: 1_024, length_bytes: 1_024 },
            ]
        );
        let backwards = b"<PageList><PageRange><Start>9</Start><End>3</End></PageRange></PageList>";
        assert!(matches!(parse_ranges(backwards, &mut ranges), Err(XmlError::Value("End"))));
    }

    #[test]
    fn only_whole_pages_make_a_range() {
        let path = BlobPath::parse("abc/x").unwrap();
        assert_eq!(range(Operation::PutPage, &path, 512, 1_024).unwrap(), "bytes=512-1535");
        for (offset_bytes, length_bytes) in [(1, 512), (0, 511), (0, 0), (u64::MAX - 511, 512 * 2)] {
            let error = range(Operation::PutPage, &path, offset_bytes, length_bytes).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidRange);
        }
    }
}

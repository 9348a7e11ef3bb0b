//! A manifest's `FilePath` becomes the bytes of a file, or the status that says why not.
//!
//! One function a vocabulary turns the NTFS driver's errors into the log's codes, exhaustively.

use block::ReadAt;
use model::status::BlobStatus;
use ntfs::{ContentError, ResolveError, Stream, StreamContent, StreamError, Volume};

use crate::bring_up::OpenDrive;
use crate::chain;
use crate::plan::FileExtent;

/// Where a file's bytes come from.
#[derive(Clone)]
pub enum FileContent {
    /// Runs of the volume and holes.
    Extents(Vec<FileExtent>),
    /// Kept inside its file record.
    Resident(Box<[u8]>),
    /// Compressed: read through the NTFS driver.
    Decoded(Stream),
    /// There is nothing to read: a blob without chunks.
    Nothing,
}

/// Why an entry's file cannot be had, in the log's word and for a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileRefusal {
    /// The log's code.
    pub status: BlobStatus,
    /// What was attempted and why it failed, the whole chain.
    pub message: String,
}

/// A file that can be read.
pub struct OpenFile {
    /// Its length on the drive; the manifest's may differ.
    pub length_bytes: u64,
    /// Where its bytes are.
    pub content: FileContent,
}

/// Finds a file of the volume by the manifest's path.
///
/// # Errors
/// The blob's status and why.
pub fn open(volume: &Volume, entry: &manifest::BlobEntry) -> Result<OpenFile, FileRefusal> {
    let failed = |status, error: &dyn std::error::Error| FileRefusal { status, message: chain(error) };
    let path = entry.file().map_err(|error| failed(error.blob_status(), &error))?;
    let id = volume.resolve(&path.to_string()).map_err(|error| failed(resolve_status(&error), &error))?;
    let stream = volume.stream(id, None).map_err(|error| failed(stream_status(&error), &error))?;
    Ok(OpenFile { length_bytes: stream.length_bytes, content: content_of(stream) })
}

/// A stream did not give the bytes that it has.
#[derive(Debug, thiserror::Error)]
pub enum ShortRead {
    /// The drive or the decoder failed.
    #[error(transparent)]
    Content(#[from] ContentError),
    /// It ended before its length.
    #[error("the stream ends after {found_bytes} of {wanted_bytes} bytes at {offset_bytes}")]
    End {
        /// Where the read began.
        offset_bytes: u64,
        /// What was asked for.
        wanted_bytes: usize,
        /// What came.
        found_bytes: usize,
    },
}

/// Fills the whole buffer from a stream.
///
/// # Errors
/// When a byte of it cannot be had.
pub fn read_whole(
    volume: &Volume,
    stream: &Stream,
    offset_bytes: u64,
    buffer: &mut [u8],
) -> Result<(), ShortRead> {
    let wanted_bytes = buffer.len();
    match volume.read_at(stream, offset_bytes, buffer)? {
        found_bytes if found_bytes == wanted_bytes => Ok(()),
        found_bytes => Err(ShortRead::End { offset_bytes, wanted_bytes, found_bytes }),
    }
}

/// Reads a part of a file the slow way, through the unlocked volume: right for every content.
///
/// # Errors
/// When a byte of it cannot be had.
pub fn read_content(
    drive: &OpenDrive,
    content: &FileContent,
    offset_bytes: u64,
    buffer: &mut [u8],
) -> Result<(), ShortRead> {
    match content {
        FileContent::Decoded(stream) => read_whole(&drive.ntfs, stream, offset_bytes, buffer),
        FileContent::Extents(extents) => read_extents(drive, extents, offset_bytes, buffer),
        FileContent::Resident(_) | FileContent::Nothing => unreachable!("neither has to be read"),
    }
}

fn read_extents(
    drive: &OpenDrive,
    extents: &[FileExtent],
    offset_bytes: u64,
    buffer: &mut [u8],
) -> Result<(), ShortRead> {
    let end_bytes = offset_bytes + buffer.len() as u64;
    for extent in extents {
        let start = extent.file_offset_bytes.max(offset_bytes);
        let end = (extent.file_offset_bytes + extent.length_bytes).min(end_bytes);
        if start >= end {
            continue;
        }
        let place = |position: u64| usize::try_from(position - offset_bytes).expect("inside the buffer");
        let target = &mut buffer[place(start)..place(end)];
        match extent.volume_offset_bytes {
            None => target.fill(0),
            Some(volume_offset) => drive
                .volume
                .read_exact_at(target, volume_offset + (start - extent.file_offset_bytes))
                .map_err(|source| ContentError::Read { file_offset_bytes: start, source })?,
        }
    }
    Ok(())
}

/// What the log says of a path that leads to no file.
pub fn resolve_status(error: &ResolveError) -> BlobStatus {
    match error {
        ResolveError::NameInvalid(_) | ResolveError::Ambiguous { .. } => BlobStatus::FileNameInvalid,
        ResolveError::NameTooLong => BlobStatus::FileNameTooLong,
        ResolveError::NotFound { .. } => BlobStatus::FileNotFound,
        // A directory, a link or a file of the file system is there, but is not to be opened.
        ResolveError::NotAFile { .. } | ResolveError::Reparse { .. } | ResolveError::System { .. } => {
            BlobStatus::FileAccessDenied
        }
    }
}

/// What the log says of a file whose bytes cannot be had.
pub fn stream_status(error: &StreamError) -> BlobStatus {
    match error {
        StreamError::Stale { .. } | StreamError::NotFound => BlobStatus::FileNotFound,
        StreamError::Encrypted | StreamError::Reparse { .. } => BlobStatus::FileAccessDenied,
        StreamError::Damaged { .. } | StreamError::Read { .. } => BlobStatus::IOFailed,
        StreamError::Overlay { .. } | StreamError::TooLong { .. } => BlobStatus::Failed,
    }
}

fn content_of(stream: Stream) -> FileContent {
    match stream.content {
        StreamContent::Extents(extents) => FileContent::Extents(
            extents
                .into_iter()
                .map(|extent| FileExtent {
                    file_offset_bytes: extent.file_offset_bytes,
                    length_bytes: extent.length_bytes,
                    volume_offset_bytes: extent.volume_offset_bytes,
                })
                .collect(),
        ),
        StreamContent::Resident(bytes) => FileContent::Resident(bytes),
        StreamContent::Compressed(_) | StreamContent::Wof(_) => FileContent::Decoded(stream),
    }
}

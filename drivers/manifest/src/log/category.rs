//! Categories and codes of the gen C copy log: azure-import-export.md §3.7.
//!
//! The table, from our outcome to the log's words. Codes of `UploadErrorWin32` are Win32 error
//! numbers, those of `UploadErrorCloudHttp` HTTP statuses; where the table of §3.7 has no row for
//! an outcome, the code is the Win32 error that Windows gives for the same situation.
//!
//! | outcome | category | code |
//! | --- | --- | --- |
//! | `FileNameInvalid` | `UploadErrorWin32` | 123, invalid name |
//! | `FileNameTooLong` | `UploadErrorWin32` | 206, name too long |
//! | `FileNotFound` | `UploadErrorWin32` | 2, file not found |
//! | `FileAccessDenied` | `UploadErrorWin32` | 5, access denied |
//! | `IOFailed`, of the blob or a part | `UploadErrorWin32` | 1117, I/O device error |
//! | a part `FileUnexpectedEnd` | `UploadErrorWin32` | 38, end of file |
//! | a part, metadata or properties `Corrupted` | `UploadErrorDataValidationError` | 23, data error |
//! | metadata or properties `XmlReadFailed` | `UploadErrorWin32` | 13, invalid data |
//! | `BlobRequestFailed`, of the blob or a part | `UploadErrorCloudHttp` | the answer, else 500 |
//! | `BlobRequestForbidden` | `UploadErrorCloudHttp` | the answer, else 403 |
//! | `LeasePresent` | `UploadErrorCloudHttp` | the answer, else 409 |
//! | `RenameFailed`, `BlobUnexpectedChange` | `UploadErrorCloudHttp` | the answer, else 409 |
//! | `Failed`, and whatever else did not complete | `UploadErrorUnknownType` | 1 |
//! | completed under another name | `BlobRenamed` | 1 |

use std::fmt;

use model::status::{BlobStatus, ChunkStatus, DispositionStatus, SideFileStatus};

use super::record::BlobRecord;

/// Why an entity is in the copy log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Category {
    /// An error of the file system.
    UploadErrorWin32,
    /// An error of the storage service.
    UploadErrorCloudHttp,
    /// The data does not match its hash.
    UploadErrorDataValidationError,
    /// Anything else.
    UploadErrorUnknownType,
    /// Not an error: the blob landed under another name.
    BlobRenamed,
}

/// What the copy log says about one entity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopyError {
    /// The category.
    pub category: Category,
    /// The code, in the category's numbering.
    pub code: u32,
    /// The message.
    pub message: String,
}

impl Category {
    /// All categories, in the order of the summary.
    pub const ALL: [Category; 5] = [
        Category::UploadErrorWin32,
        Category::UploadErrorCloudHttp,
        Category::UploadErrorDataValidationError,
        Category::UploadErrorUnknownType,
        Category::BlobRenamed,
    ];

    /// The category as the log writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Category::UploadErrorWin32 => "UploadErrorWin32",
            Category::UploadErrorCloudHttp => "UploadErrorCloudHttp",
            Category::UploadErrorDataValidationError => "UploadErrorDataValidationError",
            Category::UploadErrorUnknownType => "UploadErrorUnknownType",
            Category::BlobRenamed => "BlobRenamed",
        }
    }

    /// The description that the summary gives a category.
    pub fn description(self) -> &'static str {
        match self {
            Category::UploadErrorWin32 => "File Create failed because of UploadErrorWin32 exception",
            Category::UploadErrorCloudHttp => "Upload failed because of UploadErrorCloudHttp exception",
            Category::UploadErrorDataValidationError => "The data does not match its hash",
            Category::UploadErrorUnknownType => "Upload failed because of an unknown error",
            Category::BlobRenamed => "The blob was renamed because one of that name exists",
        }
    }

    /// Whether the entity did not land, as opposed to landing with a remark.
    pub fn is_error(self) -> bool {
        match self {
            Category::UploadErrorWin32
            | Category::UploadErrorCloudHttp
            | Category::UploadErrorDataValidationError
            | Category::UploadErrorUnknownType => true,
            Category::BlobRenamed => false,
        }
    }
}

impl fmt::Display for Category {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What the copy log says about a blob; `None` for one that landed whole under its own name.
pub fn copy_error(record: &BlobRecord<'_>) -> Option<CopyError> {
    use BlobStatus as Status;
    let http = record.http_status.map(u32::from);
    Some(match record.status {
        Status::Completed => return renamed(record),
        Status::CompletedWithErrors => worst_part(record),
        Status::FileNameInvalid => win32(123, "File Open failed: the name is invalid"),
        Status::FileNameTooLong => win32(206, "File Open failed: the name is too long"),
        Status::FileNotFound => win32(2, "File Open failed: there is no such file"),
        Status::FileAccessDenied => win32(5, "File Open failed: access is denied"),
        Status::IOFailed => win32(1117, "File Read failed: the device cannot be read"),
        Status::BlobRequestFailed => cloud(http.unwrap_or(500), "The storage request failed"),
        Status::BlobRequestForbidden => cloud(http.unwrap_or(403), "The storage request was forbidden"),
        Status::LeasePresent => cloud(http.unwrap_or(409), "The destination has a lease"),
        Status::RenameFailed => cloud(http.unwrap_or(409), "No free name was found"),
        Status::BlobUnexpectedChange => cloud(http.unwrap_or(409), "The blob was changed meanwhile"),
        Status::Failed => unknown(),
    })
}

fn renamed(record: &BlobRecord<'_>) -> Option<CopyError> {
    let was_renamed = record.disposition == Some(DispositionStatus::Renamed);
    let name = record.renamed_to.filter(|_| was_renamed)?;
    let message = format!(
        "The original container/share/Blob has been renamed to: {name} :from: {} :because a blob of that name exists",
        record.entry.blob_path
    );
    Some(CopyError { category: Category::BlobRenamed, code: 1, message })
}

/// The part that says most about why the blob is not whole; data first, then its side files.
fn worst_part(record: &BlobRecord<'_>) -> CopyError {
    let worst = (0..record.chunk_count())
        .filter_map(|index| chunk_rank(record.chunks.of(index)).map(|rank| (rank, index)))
        .min();
    match worst {
        Some((_, index)) => chunk_error(record, index),
        None => side_file_error(record).unwrap_or_else(unknown),
    }
}

/// Causes before consequences: a chunk that is only `Cancelled` or `Committed` explains nothing.
fn chunk_rank(status: ChunkStatus) -> Option<u8> {
    match status {
        ChunkStatus::Corrupted => Some(0),
        ChunkStatus::FileUnexpectedEnd => Some(1),
        ChunkStatus::IOFailed => Some(2),
        ChunkStatus::BlobRequestFailed => Some(3),
        ChunkStatus::BlobUnexpectedEnd | ChunkStatus::Failed => Some(4),
        ChunkStatus::Uncommitted | ChunkStatus::Cancelled => Some(5),
        ChunkStatus::Completed | ChunkStatus::Committed => None,
    }
}

fn chunk_error(record: &BlobRecord<'_>, index: usize) -> CopyError {
    let of = |what: &str| format!("{what} (part {index})");
    match record.chunks.of(index) {
        ChunkStatus::Corrupted => validation(of("The data read from the file does not match its hash")),
        ChunkStatus::FileUnexpectedEnd => win32(38, &of("File Read failed: the file ends too early")),
        ChunkStatus::IOFailed => win32(1117, &of("File Read failed: the device cannot be read")),
        ChunkStatus::BlobRequestFailed => {
            cloud(record.http_status.map_or(500, u32::from), &of("The storage request failed"))
        }
        ChunkStatus::BlobUnexpectedEnd
        | ChunkStatus::Failed
        | ChunkStatus::Uncommitted
        | ChunkStatus::Cancelled
        | ChunkStatus::Completed
        | ChunkStatus::Committed => unknown(),
    }
}

fn side_file_error(record: &BlobRecord<'_>) -> Option<CopyError> {
    let failed = |(what, side_file): (&'static str, Option<super::SideFileRecord<'_>>)| {
        let status = side_file.map(|side_file| side_file.status)?;
        (status != SideFileStatus::Completed).then_some((what, status))
    };
    let (what, status) =
        [("metadata", record.metadata), ("properties", record.properties)].into_iter().find_map(failed)?;
    let of = |problem: &str| format!("The blob's {what} were not set: {problem}");
    Some(match status {
        SideFileStatus::Corrupted => validation(of("the file does not match its hash")),
        SideFileStatus::FileNameInvalid => win32(123, &of("the file's name is invalid")),
        SideFileStatus::FileNameTooLong => win32(206, &of("the file's name is too long")),
        SideFileStatus::FileNotFound => win32(2, &of("there is no such file")),
        SideFileStatus::FileAccessDenied => win32(5, &of("access is denied")),
        SideFileStatus::XmlReadFailed | SideFileStatus::XmlWriteFailed => {
            win32(13, &of("the file's content is invalid"))
        }
        SideFileStatus::IOFailed => win32(1117, &of("the device cannot be read")),
        SideFileStatus::BlobRequestFailed => {
            cloud(record.http_status.map_or(500, u32::from), &of("the storage request failed"))
        }
        SideFileStatus::Completed | SideFileStatus::Failed | SideFileStatus::Cancelled => unknown(),
    })
}

fn win32(code: u32, message: &str) -> CopyError {
    CopyError { category: Category::UploadErrorWin32, code, message: message.to_owned() }
}

fn cloud(code: u32, message: &str) -> CopyError {
    CopyError { category: Category::UploadErrorCloudHttp, code, message: message.to_owned() }
}

fn validation(message: String) -> CopyError {
    CopyError { category: Category::UploadErrorDataValidationError, code: 23, message }
}

fn unknown() -> CopyError {
    let message = "The upload did not complete".to_owned();
    CopyError { category: Category::UploadErrorUnknownType, code: 1, message }
}

//! The table from our outcomes to the copy log's words, row by row: azure-import-export.md §3.7
//! and `manifest::log::category`.
#![allow(missing_docs, reason = "test names are sentences")]

use manifest::log::category::{Category, copy_error};
use manifest::log::{BlobRecord, ChunkStatuses, SideFileRecord};
use manifest::{BlobEntry, BlobKind, BlockEntry};
use model::Md5Digest;
use model::status::{BlobStatus, ChunkStatus, DispositionStatus, SideFileStatus};

use Category::{
    UploadErrorCloudHttp as Http, UploadErrorDataValidationError as Data, UploadErrorUnknownType as Unknown,
    UploadErrorWin32 as Win32,
};

fn entry() -> BlobEntry {
    let block = |index: u8| BlockEntry::tool(u64::from(index), 1, Md5Digest([index; 16]));
    BlobEntry {
        index: 0,
        list: 0,
        blob_path: "con/a".to_owned(),
        file_path: "\\a".to_owned(),
        length_bytes: 3,
        stated_disposition: None,
        kind: BlobKind::Block((0..3).map(block).collect()),
        metadata: None,
        properties: None,
        client_data: None,
        snapshot: None,
    }
}

#[test]
fn each_blob_status_has_its_category_and_code() {
    let entry = entry();
    for (status, answered, expected) in [
        (BlobStatus::FileNameInvalid, None, (Win32, 123)),
        (BlobStatus::FileNameTooLong, None, (Win32, 206)),
        (BlobStatus::FileNotFound, None, (Win32, 2)),
        (BlobStatus::FileAccessDenied, None, (Win32, 5)),
        (BlobStatus::IOFailed, None, (Win32, 1117)),
        (BlobStatus::BlobRequestFailed, None, (Http, 500)),
        (BlobStatus::BlobRequestFailed, Some(503), (Http, 503)),
        (BlobStatus::BlobRequestForbidden, None, (Http, 403)),
        (BlobStatus::LeasePresent, None, (Http, 409)),
        (BlobStatus::LeasePresent, Some(412), (Http, 412)),
        (BlobStatus::RenameFailed, None, (Http, 409)),
        (BlobStatus::BlobUnexpectedChange, None, (Http, 409)),
        (BlobStatus::Failed, None, (Unknown, 1)),
    ] {
        let record = BlobRecord { http_status: answered, ..BlobRecord::cancelled(&entry, status) };
        let error = copy_error(&record).unwrap();
        assert_eq!((error.category, error.code), expected, "{status}");
        assert!(error.category.is_error() && !error.message.is_empty());
    }
}

#[test]
fn the_part_that_explains_most_is_named() {
    use ChunkStatus::{
        BlobRequestFailed, Cancelled, Committed, Completed, Corrupted, Failed, FileUnexpectedEnd, IOFailed,
        Uncommitted,
    };
    let entry = entry();
    for (chunks, expected, part) in [
        ([Committed, Corrupted, Committed], (Data, 23), Some(1)),
        ([IOFailed, Corrupted, Corrupted], (Data, 23), Some(1)),
        ([Cancelled, IOFailed, FileUnexpectedEnd], (Win32, 38), Some(2)),
        ([IOFailed, BlobRequestFailed, Uncommitted], (Win32, 1117), Some(0)),
        ([Uncommitted, Uncommitted, BlobRequestFailed], (Http, 507), Some(2)),
        ([Cancelled, Failed, Cancelled], (Unknown, 1), None),
        ([Cancelled, Cancelled, Cancelled], (Unknown, 1), None),
        ([Completed, Completed, Completed], (Unknown, 1), None),
    ] {
        let record = BlobRecord {
            chunks: ChunkStatuses::Each(&chunks),
            http_status: Some(507),
            ..BlobRecord::cancelled(&entry, BlobStatus::CompletedWithErrors)
        };
        let error = copy_error(&record).unwrap();
        assert_eq!((error.category, error.code), expected, "{chunks:?}");
        let named = part.is_none_or(|part| error.message.ends_with(&format!("(part {part})")));
        assert!(named, "{}", error.message);
    }
}

#[test]
fn each_side_file_status_has_its_category_and_code() {
    let entry = entry();
    for (status, expected) in [
        (SideFileStatus::FileNameInvalid, (Win32, 123)),
        (SideFileStatus::FileNameTooLong, (Win32, 206)),
        (SideFileStatus::FileNotFound, (Win32, 2)),
        (SideFileStatus::FileAccessDenied, (Win32, 5)),
        (SideFileStatus::Corrupted, (Data, 23)),
        (SideFileStatus::XmlReadFailed, (Win32, 13)),
        (SideFileStatus::XmlWriteFailed, (Win32, 13)),
        (SideFileStatus::BlobRequestFailed, (Http, 500)),
        (SideFileStatus::IOFailed, (Win32, 1117)),
        (SideFileStatus::Failed, (Unknown, 1)),
        (SideFileStatus::Cancelled, (Unknown, 1)),
    ] {
        let side_file = Some(SideFileRecord { status, global: None, own: None });
        for (metadata, properties) in [(side_file, None), (None, side_file)] {
            let record = BlobRecord {
                chunks: ChunkStatuses::All(ChunkStatus::Completed),
                metadata,
                properties,
                ..BlobRecord::cancelled(&entry, BlobStatus::CompletedWithErrors)
            };
            let error = copy_error(&record).unwrap();
            assert_eq!((error.category, error.code), expected, "{status}");
        }
    }
}

#[test]
fn a_blob_that_landed_is_only_mentioned_when_it_was_renamed() {
    let entry = entry();
    for (disposition, renamed_to, mentioned) in [
        (DispositionStatus::Created, None, false),
        (DispositionStatus::Overwritten, None, false),
        (DispositionStatus::Skipped, None, false),
        (DispositionStatus::Renamed, Some("con/a (2)"), true),
    ] {
        let record = BlobRecord {
            disposition: Some(disposition),
            renamed_to,
            chunks: ChunkStatuses::All(ChunkStatus::Completed),
            ..BlobRecord::cancelled(&entry, BlobStatus::Completed)
        };
        let error = copy_error(&record);
        assert_eq!(error.is_some(), mentioned);
        assert!(
            error.is_none_or(|error| error.category == Category::BlobRenamed && !error.category.is_error())
        );
    }
}

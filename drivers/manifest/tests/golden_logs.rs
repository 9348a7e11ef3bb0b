//! Logs to the byte, and back: azure-import-export.md §3. The files: `golden/INDEX.md`.
#![allow(missing_docs, reason = "test names are sentences")]

use manifest::log::{
    BlobRecord, ChunkStatuses, CopyLogEntry, CopyLogReader, CopyLogWriter, DriveLogLevel, DriveLogReader,
    DriveLogWriter, LoggedBlob, LoggedParts, SideFileRecord, VerboseFile, VerboseLogWriter, Word,
};
use manifest::{BlobEntry, BlobKind, BlockEntry, RangeEntry, SideFileRef};
use model::status::{BlobStatus, ChunkStatus, DispositionStatus, DriveStatus, SideFileStatus};
use model::{BlobPath, DriveId, ImportDisposition, Md5Digest};

fn golden(name: &str) -> String {
    let path = format!("{}/tests/golden/{name}.xml", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(path).unwrap()
}

fn drive() -> DriveId {
    DriveId::new("9WM35C2V").unwrap()
}

fn first() -> Md5Digest {
    "700CE7E21ED55525977FAF7AAA9E546B".parse().unwrap()
}

fn second() -> Md5Digest {
    "B10A8DB164E0754105B7A99BE72E3FE5".parse().unwrap()
}

fn entry(blob_path: &str, file_path: &str, length_bytes: u64, kind: BlobKind) -> BlobEntry {
    BlobEntry {
        index: 0,
        list: 0,
        blob_path: blob_path.to_owned(),
        file_path: file_path.to_owned(),
        length_bytes,
        stated_disposition: None,
        kind,
        metadata: None,
        properties: None,
        client_data: None,
        snapshot: None,
    }
}

fn two_blocks() -> BlobKind {
    BlobKind::Block(vec![BlockEntry::tool(0, 6062, first()), BlockEntry::tool(6062, 6062, second())])
}

fn side_file(path: &str, hash: Md5Digest) -> SideFileRef {
    SideFileRef { path: path.to_owned(), hash: model::digest::HashText::Md5(hash) }
}

/// The entries of the scene.
fn entries() -> Vec<BlobEntry> {
    let one_block = BlockEntry { id: None, ..BlockEntry::tool(0, 11, second()) };
    let range = |offset_bytes, length_bytes, hash| RangeEntry { offset_bytes, length_bytes, hash };
    let mut entries = vec![
        entry("pictures/animals/koala.jpg", "\\animals\\koala.jpg", 12_124, two_blocks()),
        entry("pictures/a & <b>.jpg", "\\a & b.jpg", 12_124, two_blocks()),
        entry("pictures/kangaroo.jpg", "\\kangaroo.jpg", 11, BlobKind::Block(vec![one_block])),
        entry("pictures/Seattle.jpg", "\\Seattle.jpg", 0, BlobKind::Block(Vec::new())),
        entry(
            "vhds/sparse.vhd",
            "\\sparse.vhd",
            15_360,
            BlobKind::Page(vec![range(0, 3584, first()), range(7168, 3584, second())]),
        ),
        entry("share/name.ext", "\\name.ext", 20, BlobKind::File(vec![range(0, 20, second())])),
    ];
    entries[1].stated_disposition = Some(ImportDisposition::Overwrite);
    entries[1].metadata = Some(side_file("\\session#1\\own.metadata", first()));
    entries[2].stated_disposition = Some(ImportDisposition::Overwrite);
    entries[4].snapshot = Some("2012-09-18T23:47:08.4Z".to_owned());
    entries
}

struct Globals {
    metadata: SideFileRef,
    properties: SideFileRef,
}

impl Globals {
    fn new() -> Globals {
        Globals {
            metadata: side_file("\\session#1\\list.metadata", second()),
            properties: side_file("\\session#1\\list.properties", second()),
        }
    }
}

/// What became of the entries.
fn scene<'a>(entries: &'a [BlobEntry], globals: &'a Globals) -> Vec<BlobRecord<'a>> {
    use ChunkStatus::{Completed, Corrupted, IOFailed, Uncommitted};
    let record = |index: usize, status, disposition, chunks| BlobRecord {
        disposition,
        chunks,
        ..BlobRecord::cancelled(&entries[index], status)
    };
    let with_errors = BlobStatus::CompletedWithErrors;
    let mut records = vec![
        BlobRecord::cancelled(&entries[0], BlobStatus::FileNotFound),
        record(
            1,
            with_errors,
            Some(DispositionStatus::Created),
            ChunkStatuses::Each(&[Uncommitted, Corrupted]),
        ),
        record(2, with_errors, Some(DispositionStatus::Overwritten), ChunkStatuses::All(Completed)),
        record(3, BlobStatus::Completed, Some(DispositionStatus::Renamed), ChunkStatuses::All(Completed)),
        record(4, with_errors, None, ChunkStatuses::Except { rest: Completed, exceptions: &[(1, IOFailed)] }),
        BlobRecord::cancelled(&entries[5], BlobStatus::Failed),
    ];
    let own = entries[1].metadata.as_ref();
    records[1].metadata =
        Some(SideFileRecord { status: SideFileStatus::Completed, global: Some(&globals.metadata), own });
    records[2].properties = Some(SideFileRecord { status: SideFileStatus::Failed, global: None, own: None });
    records[3].renamed_to = Some("pictures/Seattle (2).jpg");
    records[4].last_modified = Some("2012-09-18T23:47:08Z");
    let global = Some(&globals.properties);
    records[4].properties = Some(SideFileRecord { status: SideFileStatus::XmlReadFailed, global, own: None });
    records
}

fn drive_log(level: DriveLogLevel) -> String {
    let (entries, globals) = (entries(), Globals::new());
    let mut writer = DriveLogWriter::new(Vec::new(), level, &drive()).unwrap();
    for record in scene(&entries, &globals) {
        writer.blob(&record).unwrap();
    }
    String::from_utf8(writer.finish(DriveStatus::CompletedWithErrors).unwrap()).unwrap()
}

fn read_drive_log(log: &str) -> (Vec<LoggedBlob>, manifest::log::DriveLogHead) {
    let mut reader = DriveLogReader::new(log.as_bytes());
    let mut blobs = Vec::new();
    while let Some(blob) = reader.next().unwrap() {
        blobs.push(blob);
    }
    (blobs, reader.head().clone())
}

fn read_copy_log(log: &str) -> Vec<CopyLogEntry> {
    let mut reader = CopyLogReader::new(log.as_bytes());
    std::iter::from_fn(|| reader.next().unwrap()).collect()
}

#[test]
fn the_verbose_drive_log_has_every_blob_with_every_part() {
    assert_eq!(drive_log(DriveLogLevel::Verbose), golden("drive_verbose"));
}

#[test]
fn the_error_drive_log_leaves_out_what_completed() {
    assert_eq!(drive_log(DriveLogLevel::Error), golden("drive_error"));
}

#[test]
fn a_drive_that_failed_before_its_first_blob_has_a_log_with_its_status() {
    for level in [DriveLogLevel::Error, DriveLogLevel::Verbose] {
        let writer = DriveLogWriter::new(Vec::new(), level, &drive()).unwrap();
        let log = writer.finish(DriveStatus::ManifestCorrupted).unwrap();
        assert_eq!(String::from_utf8(log).unwrap(), golden("drive_fatal"));
    }
}

#[test]
fn the_copy_log_lists_what_failed_and_sums_up() {
    let (entries, globals) = (entries(), Globals::new());
    let mut writer = CopyLogWriter::new(Vec::new());
    for record in scene(&entries, &globals) {
        writer.blob(&record).unwrap();
    }
    let (log, summary) = writer.finish(&drive(), DriveStatus::CompletedWithErrors).unwrap();
    assert_eq!(String::from_utf8(log).unwrap(), golden("copy"));
    assert_eq!((summary.total, summary.errored), (6, 5));
}

#[test]
fn the_copy_log_of_a_clean_run_is_only_the_summary() {
    let entries = entries();
    let record = BlobRecord {
        disposition: Some(DispositionStatus::Created),
        chunks: ChunkStatuses::All(ChunkStatus::Completed),
        ..BlobRecord::cancelled(&entries[0], BlobStatus::Completed)
    };
    let mut writer = CopyLogWriter::new(Vec::new());
    writer.blob(&record).unwrap();
    let (log, _) = writer.finish(&drive(), DriveStatus::Completed).unwrap();
    assert_eq!(String::from_utf8(log).unwrap(), golden("copy_clean"));
}

#[test]
fn the_gen_c_verbose_log_has_its_closing_tags_on_the_next_line() {
    let entries = entries();
    let mut writer = VerboseLogWriter::new(Vec::new());
    for (entry, destination, crc64) in [
        (&entries[2], "$root/file.vhd", 7_320_094_093_915_972_193),
        (&entries[4], "vhds/a & \"b\"/sparse.vhd", 14_179_624_636_173_788_226),
    ] {
        let destination = BlobPath::parse(destination).unwrap();
        writer.file(&VerboseFile { entry, destination: &destination, crc64 }).unwrap();
    }
    assert_eq!(String::from_utf8(writer.finish().unwrap()).unwrap(), golden("verbose"));
}

#[test]
fn the_drive_logs_reader_gives_what_was_written() {
    let (blobs, head) = read_drive_log(&golden("drive_verbose"));
    assert_eq!(head.version.as_deref(), Some("2014-11-01"));
    assert_eq!(head.drive_id.as_deref(), Some("9WM35C2V"));
    assert_eq!(head.status, Some(Word::Known(DriveStatus::CompletedWithErrors)));
    let (entries, globals) = (entries(), Globals::new());
    let scene = scene(&entries, &globals);
    assert_eq!(blobs.len(), scene.len());
    for (blob, record) in blobs.iter().zip(&scene) {
        is_logged(blob, record);
    }
}

fn is_logged(blob: &LoggedBlob, record: &BlobRecord<'_>) {
    let entry = record.entry;
    assert_eq!(blob.status.as_ref().unwrap().known(), Some(record.status));
    assert_eq!(blob.blob_path.as_deref(), Some(record.renamed_to.unwrap_or(&entry.blob_path)));
    assert_eq!(blob.file_path.as_deref(), Some(entry.file_path.as_str()));
    assert_eq!(blob.length_bytes, Some(entry.length_bytes));
    assert_eq!(blob.snapshot, entry.snapshot);
    assert_eq!(blob.last_modified.as_deref(), record.last_modified);
    let disposition = blob.disposition.as_ref().map(|logged| (logged.status.clone(), logged.asked.clone()));
    let expected =
        record.disposition.map(|status| (Some(Word::Known(status)), Word::Known(entry.disposition())));
    assert_eq!(disposition, expected);
    let (parts, expected): (_, Vec<_>) = match (&blob.parts, &entry.kind) {
        (LoggedParts::Blocks(parts), BlobKind::Block(blocks)) => {
            (parts, blocks.iter().map(|b| (b.offset_bytes, b.length_bytes, b.id, b.hash)).collect())
        }
        (LoggedParts::Pages(parts), BlobKind::Page(ranges))
        | (LoggedParts::Files(parts), BlobKind::File(ranges)) => {
            (parts, ranges.iter().map(|r| (r.offset_bytes, r.length_bytes, None, r.hash)).collect())
        }
        other => panic!("{other:?}"),
    };
    assert_eq!(parts.len(), expected.len());
    for (index, (part, (offset, length, id, hash))) in parts.iter().zip(expected).enumerate() {
        assert_eq!((part.offset_bytes, part.length_bytes), (Some(offset), Some(length)));
        assert_eq!((part.id.as_deref().copied(), part.hash), (id, Some(hash)));
        assert_eq!(part.status.as_ref().unwrap().known(), Some(record.chunks.of(index)));
    }
    for (logged, record) in [(&blob.metadata, record.metadata), (&blob.properties, record.properties)] {
        let logged = logged.as_ref().map(|logged| {
            let file = |file: &Option<manifest::log::LoggedFile>| {
                file.as_ref().map(|file| (file.path.clone(), file.hash.clone().unwrap()))
            };
            (logged.status.as_ref().unwrap().known().unwrap(), file(&logged.global), file(&logged.own))
        });
        let expected = record.map(|record| {
            let file =
                |file: Option<&SideFileRef>| file.map(|file| (file.path.clone(), file.hash.to_string()));
            (record.status, file(record.global), file(record.own))
        });
        assert_eq!(logged, expected);
    }
}

#[test]
fn the_drive_log_of_2018_is_read_with_its_summary_and_its_words() {
    let (blobs, head) = read_drive_log(&golden("published_2018"));
    let summary = head.summary.unwrap();
    assert_eq!(
        (summary.validation_errors[0].code.as_str(), summary.validation_errors[0].count),
        ("None", Some(8))
    );
    assert_eq!(summary.copy_errors[1].code, "ContainerRenamed");
    assert!(summary.copy_errors[1].description.as_ref().unwrap().starts_with("Renamed the container"));
    assert_eq!(blobs[0].status.as_ref().unwrap().to_string(), "ContainerRenamed");
    assert_eq!(blobs[0].status.as_ref().unwrap().known(), None);
    assert_eq!(blobs[0].file_path.as_deref(), Some("\\PageBlob\\pageblob test\\private.vhd"));
    assert_eq!((blobs[0].length_bytes, &blobs[0].parts), (Some(10_490_880), &LoggedParts::Absent));
    assert!(blobs[1].is_file);
    let LoggedParts::Files(ranges) = &blobs[1].parts else { panic!("{blobs:?}") };
    assert_eq!((ranges[0].length_bytes, ranges[0].hash), (Some(20), None));
}

#[test]
fn the_copy_logs_reader_gives_the_entities_and_the_summary() {
    let entries = read_copy_log(&golden("copy"));
    assert_eq!(entries.len(), 7);
    let CopyLogEntry::Errored(second) = &entries[1] else { panic!("{entries:?}") };
    assert_eq!(second.path.as_deref(), Some("pictures/a & <b>.jpg"));
    assert_eq!(second.category.as_deref(), Some("UploadErrorDataValidationError"));
    assert_eq!((second.error_code, second.kind.as_deref()), (Some(23), Some("File")));
    let CopyLogEntry::Summary(totals) = &entries[6] else { panic!("{entries:?}") };
    assert_eq!((totals.total, totals.errored, totals.status.as_deref()), (Some(6), Some(5), Some("Failed")));
    assert_eq!(totals.version.as_deref(), Some("2021-08-01"));
    let codes: Vec<_> = totals
        .summary
        .as_ref()
        .unwrap()
        .copy_errors
        .iter()
        .map(|error| (error.code.as_str(), error.count))
        .collect();
    assert_eq!(codes[0], ("UploadErrorWin32", Some(2)));
}

#[test]
fn the_verbose_logs_reader_gives_the_files_of_the_run() {
    let entries = read_copy_log(&golden("verbose"));
    let CopyLogEntry::File(file) = &entries[1] else { panic!("{entries:?}") };
    assert_eq!(file.path.as_deref(), Some("vhds\\a & \"b\"/sparse.vhd"));
    assert_eq!((file.size_bytes, file.crc64), (Some(15_360), Some(14_179_624_636_173_788_226)));
    assert_eq!((entries.len(), file.etag.as_deref()), (2, None));
    // An export's variant, and the plain one of Data Box.
    let log = "<File CloudFormat=\"AzureFile\" ETag=\"0x8D804D87F976907\" Path=\"a/b\" Size=\"0\" crc64=\"0\">\n</File>\
               <CopyLog Summary=\"Summary\"><Status>Succeeded</Status><TotalFiles_Blobs>1</TotalFiles_Blobs>\
               <FilesErrored>0</FilesErrored></CopyLog>";
    let entries = read_copy_log(log);
    let CopyLogEntry::File(file) = &entries[0] else { panic!("{entries:?}") };
    assert_eq!((file.etag.as_deref(), file.crc64), (Some("0x8D804D87F976907"), Some(0)));
    let CopyLogEntry::Summary(totals) = &entries[1] else { panic!("{entries:?}") };
    assert_eq!((totals.total, &totals.summary), (Some(1), &None));
}

#[test]
fn logs_that_are_torn_or_another_document_are_refused_where_they_end() {
    let torn = golden("drive_verbose");
    let mut reader = DriveLogReader::new(&torn.as_bytes()[..torn.len() / 2]);
    let error = loop {
        match reader.next() {
            Ok(Some(_)) => {}
            Ok(None) => panic!("a torn log has no end"),
            Err(error) => break error,
        }
    };
    assert!(error.place.line > 20, "{error}");
    assert!(reader.next().unwrap().is_none());
    assert!(DriveLogReader::new(&b"<CopyLog/>"[..]).next().is_err());
    assert!(CopyLogReader::new(&b"<CopyLog>"[..]).next().is_err());
    assert!(read_copy_log("").is_empty());
}

#[test]
fn characters_that_xml_cannot_hold_are_replaced_and_the_rest_is_kept() {
    let entry = entry("con/a\u{1}b\u{ffff}\r\nc", "\\f", 0, BlobKind::Block(Vec::new()));
    let mut writer = DriveLogWriter::new(Vec::new(), DriveLogLevel::Verbose, &drive()).unwrap();
    writer.blob(&BlobRecord::cancelled(&entry, BlobStatus::Failed)).unwrap();
    let log = writer.finish(DriveStatus::CompletedWithErrors).unwrap();
    let (blobs, _) = read_drive_log(std::str::from_utf8(&log).unwrap());
    assert_eq!(blobs[0].blob_path.as_deref(), Some("con/a\u{fffd}b\u{fffd}\r\nc"));
    let mut writer = CopyLogWriter::new(Vec::new());
    writer.blob(&BlobRecord::cancelled(&entry, BlobStatus::Failed)).unwrap();
    let (log, _) = writer.finish(&drive(), DriveStatus::CompletedWithErrors).unwrap();
    let CopyLogEntry::Errored(entity) = &read_copy_log(std::str::from_utf8(&log).unwrap())[0] else {
        panic!()
    };
    assert_eq!(entity.path.as_deref(), Some("con/a\u{fffd}b\u{fffd}\r\nc"));
}

#[test]
fn the_parts_tell_the_blobs_status() {
    let (entries, globals) = (entries(), Globals::new());
    let mut records = scene(&entries, &globals);
    let statuses: Vec<BlobStatus> = records.iter().map(BlobRecord::status_of_parts).collect();
    let (ok, errors) = (BlobStatus::Completed, BlobStatus::CompletedWithErrors);
    assert_eq!(statuses, [errors, errors, errors, ok, errors, errors]);
    records[2].properties = None;
    assert_eq!(records[2].status_of_parts(), ok);
}

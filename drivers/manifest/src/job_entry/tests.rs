//! Job entries of every kind: azure-import-export.md §2.11, §5.3, §5.8.

use super::*;

const KEY: &str = "238810-662376-448998-450120-652806-203390-606320-483076";
const HASH: &str = "D863FE44F861AE0DA4DCEAEEFFCCCE68";

fn parse(document: &str) -> Result<JobEntry, JobEntryError> {
    JobEntry::parse(document.as_bytes(), None)
}

fn item(id: &str) -> String {
    format!(
        r#"{{"driveId":"{id}","bitLockerKey":"{KEY}","manifestFile":"\\DriveManifest.xml","manifestHash":"{HASH}"}}"#
    )
}

fn drive_xml(id: &str, hash: &str) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Drive>\n   <DriveId>{id}</DriveId>\n   \
         <BitLockerKey>{KEY}</BitLockerKey>\n   <StorageAccountKey>c2VjcmV0</StorageAccountKey>\n   \
         <ManifestFile>\\DriveManifest.xml</ManifestFile>\n   <ManifestHash>{hash}</ManifestHash>\n</Drive>\n"
    )
}

fn record(id: &str, hash: &str) -> String {
    let xml = drive_xml(id, hash);
    format!(
        "[BeginUpdateRecord][2015/02/05 20:09:26.325][Type:ActivityRecord]\nActivityId: DriveInfo\n\
         DriveState: [BeginValue]\n{xml}[EndValue]\nSaveCommandOutput: Completed\n[EndUpdateRecord]\n"
    )
}

fn is_expected(entry: &JobEntry, id: &str, hash: &str) {
    assert_eq!(entry.drive_id.as_str(), id);
    assert_eq!(entry.bitlocker_key.as_ref().unwrap().expose(), KEY);
    assert_eq!(entry.manifest().unwrap().to_string(), "\\DriveManifest.xml");
    assert_eq!(entry.manifest_hash.to_string(), hash);
    assert_eq!(entry.header_hash, HeaderHash::Absent);
}

#[test]
fn an_item_is_taken_alone_and_from_whatever_holds_it() {
    for document in [
        item("S1"),
        format!("  [{}]", item("S1")),
        format!("\u{feff}{{\"serial\":\"S1\",\"password\":\"x\",\"job\":{}}}", item("S 1")),
        format!("{{\"driveList\":[{}],\"jobType\":\"Import\"}}", item("S1")),
        format!("{{\"name\":\"j\",\"properties\":{{\"driveList\":[{}],\"export\":null}}}}", item("S1")),
    ] {
        is_expected(&parse(&document).unwrap(), "S1", HASH);
    }
}

#[test]
fn of_several_drives_the_one_asked_for_is_taken() {
    let job = format!("{{\"properties\":{{\"driveList\":[{},{}]}}}}", item("S1"), item("S2"));
    let id = |text: &str| DriveId::new(text).unwrap();
    is_expected(&JobEntry::parse(job.as_bytes(), Some(&id("S2"))).unwrap(), "S2", HASH);
    assert_eq!(parse(&job).unwrap_err(), JobEntryError::SeveralDrives { described: "S1, S2".to_owned() });
    assert_eq!(
        JobEntry::parse(job.as_bytes(), Some(&id("S3"))).unwrap_err(),
        JobEntryError::OtherDrives { wanted: id("S3"), described: "S1, S2".to_owned() }
    );
    let one = JobEntry::parse(item("S1").as_bytes(), Some(&id("S3"))).unwrap_err();
    assert_eq!(one, JobEntryError::OtherDrives { wanted: id("S3"), described: "S1".to_owned() });
}

#[test]
fn an_answer_of_the_api_has_no_key_and_is_taken_without_one() {
    let entry = parse(
        r#"{"driveId":"9CA995BB","manifestFile":"\\DriveManifest.xml","manifestHash":"D863FE44F861AE0DA4DCEAEEFFCCCE68","driveHeaderHash":"9CA995BB","state":"Specified"}"#,
    )
    .unwrap();
    assert!(entry.bitlocker_key.is_none());
    assert!(matches!(entry.header_hash, HeaderHash::Unparsable { .. }));
    let hash = "0".repeat(64);
    let document = item("S1").replace(HASH, &hash);
    assert_eq!(parse(&document).unwrap().manifest_hash, HashText::Sha256([0; 32]));
}

#[test]
fn json_that_is_wrong_is_located_and_never_quoted() {
    for (document, line, what) in [
        ("{\n\"driveId\":\n[\"secret\"]}", 3, "a member has a wrong type or stands there twice"),
        (
            "{\"driveId\":\"a\",\n\"driveId\":\"secret\"}",
            2,
            "a member has a wrong type or stands there twice",
        ),
        ("{\"bitLockerKey\":\"secret", 1, "the document ends too early"),
        ("{\"bitLockerKey\":\"x\" \"secret\"}", 1, "not well-formed"),
        ("{} {}", 1, "not well-formed"),
    ] {
        match parse(document).unwrap_err() {
            JobEntryError::Json { line: found, what: found_what, .. } => {
                assert_eq!((found, found_what), (line, what), "{document}");
            }
            other => panic!("{document}: {other}"),
        }
    }
    let deep = "[".repeat(100_000);
    assert!(matches!(parse(&deep), Err(JobEntryError::Json { .. })));
}

#[test]
fn what_is_missing_is_named() {
    let drive = || Some(DriveId::new("S1").unwrap());
    for (document, expected) in [
        ("{}", JobEntryError::NoDrive),
        ("{\"job\":null}", JobEntryError::NoDrive),
        ("{\"manifestHash\":\"x\"}", JobEntryError::Missing { field: "drive id", drive: None }),
        ("{\"driveId\":\"S1\"}", JobEntryError::Missing { field: "manifest file", drive: drive() }),
        (
            "{\"driveId\":\"S1\",\"manifestFile\":\"x\"}",
            JobEntryError::Missing { field: "manifest hash", drive: drive() },
        ),
        ("<Drive/>", JobEntryError::Missing { field: "drive id", drive: None }),
        ("", JobEntryError::UnknownKind),
        ("driveId: S1", JobEntryError::UnknownKind),
    ] {
        assert_eq!(parse(document).unwrap_err(), expected, "{document}");
    }
    let bad = item("S1").replace(HASH, "12");
    let reason = HashTextError::Length { digit_count: 2 };
    let drive = DriveId::new("S1").unwrap();
    assert_eq!(parse(&bad).unwrap_err(), JobEntryError::ManifestHash { drive, reason });
}

#[test]
fn a_drive_info_file_is_taken() {
    is_expected(&parse(&drive_xml("9WM35C2V", HASH)).unwrap(), "9WM35C2V", HASH);
    let error = parse("<DriveManifest/>").unwrap_err();
    assert!(matches!(&error, JobEntryError::Root { found, .. } if found == "DriveManifest"), "{error}");
    let twice = drive_xml("S1", HASH).replace("</Drive>", "<ManifestFile>x</ManifestFile></Drive>");
    let drive = DriveId::new("S1").ok();
    assert_eq!(parse(&twice).unwrap_err(), JobEntryError::Duplicate { field: "manifest file", drive });
}

#[test]
fn of_a_journal_the_last_complete_record_wins() {
    let newer = "0".repeat(32);
    let head = "[BeginUpdateRecord][2015/02/05 20:09:24.115][Type:NewJournalFile]\r\n\
                VocabularyVersion: 2013-02-01\r\n[EndUpdateRecord]\r\n\
                [BeginUpdateRecord][2015/02/05 20:09:25.112][Type:ActivityRecord]\r\n\
                ActivityId: PrepImportDriveCommandContext\r\nLogDirectory: F:\\logs\r\n[EndUpdateRecord]\r\n";
    let journal = format!("{head}{}{}", record("9WM35C2V", HASH), record("9WM35C2V", &newer));
    is_expected(&parse(&journal).unwrap(), "9WM35C2V", &newer);

    // A torn write, at every byte of the second record, leaves the first one.
    let complete = journal.trim_end().len();
    let first = head.len() + record("9WM35C2V", HASH).len();
    for end in (first..complete).filter(|&end| journal.is_char_boundary(end)) {
        is_expected(&parse(&journal[..end]).unwrap(), "9WM35C2V", HASH);
    }
    // The tool went on after a torn write.
    let torn = record("9WM35C2V", &newer);
    let mended = format!("{head}{}{}{}", &torn[..torn.len() / 2], "\n", record("9WM35C2V", HASH));
    is_expected(&parse(&mended).unwrap(), "9WM35C2V", HASH);
}

#[test]
fn a_journal_in_utf_16_is_read_as_well() {
    let journal = format!("\u{feff}{}", record("9WM35C2V", HASH));
    for unit_bytes in [u16::to_le_bytes, u16::to_be_bytes] {
        let bytes: Vec<u8> = journal.encode_utf16().flat_map(unit_bytes).collect();
        is_expected(&JobEntry::parse(&bytes, None).unwrap(), "9WM35C2V", HASH);
    }
}

#[test]
fn a_fault_inside_a_journals_value_is_located_in_the_journal() {
    let journal = record("S1", HASH).replace("</ManifestHash>", "</ManifestHush>");
    match parse(&journal).unwrap_err() {
        JobEntryError::Xml { place, fault: XmlFault::Malformed { .. } } => assert_eq!(place.line, 10),
        other => panic!("{other}"),
    }
    let one_line = "[BeginUpdateRecord][x][Type:y]\nDriveState: [BeginValue]<Drive><DriveId>S1</DriveId>\
                    <ManifestFile>m</ManifestFile><ManifestHash>D863FE44F861AE0DA4DCEAEEFFCCCE68</ManifestHash>\
                    </Drive>[EndValue]\n[EndUpdateRecord]\n";
    assert_eq!(parse(one_line).unwrap().manifest_file, "m");
}

fn written() -> JobEntry {
    let region = HeaderRegion { offset_bytes: 0, length_bytes: 1 << 20, hash: HashText::Sha512([0xAB; 64]) };
    JobEntry {
        drive_id: DriveId::new("S<1>").unwrap(),
        bitlocker_key: Some(BitlockerKey::new(KEY.to_owned())),
        manifest_file: "\\DriveManifest.xml".to_owned(),
        manifest_hash: HASH.parse().unwrap(),
        header_hash: HeaderHash::Regions(vec![region, HeaderRegion { offset_bytes: 1 << 20, ..region }]),
    }
}

#[test]
fn what_is_written_reads_back_as_json_as_xml_and_from_a_journal() {
    let other =
        JobEntry { drive_id: DriveId::new("S2").unwrap(), header_hash: HeaderHash::Absent, ..written() };
    let json = JobEntry::to_json(&[written(), other]);
    let record = crate::journal::RecordText::activity("DriveInfo", 0).unwrap();
    let journal = record.field("DriveState", &written().to_xml()).unwrap().finish();
    for document in [&json, &written().to_xml(), &journal] {
        let id = DriveId::new("S<1>").unwrap();
        let read = JobEntry::parse(document.as_bytes(), Some(&id)).unwrap();
        assert_eq!(read.header_hash, written().header_hash);
        assert_eq!(read.bitlocker_key.as_ref().unwrap().expose(), KEY);
        assert_eq!(read.manifest().unwrap().to_string(), "\\DriveManifest.xml");
        assert_eq!(read.manifest_hash.to_string(), HASH);
    }
    let second = JobEntry::parse(json.as_bytes(), Some(&DriveId::new("S2").unwrap())).unwrap();
    assert_eq!(second.header_hash, HeaderHash::Absent);
}

#[test]
fn a_drive_that_is_not_packed_yet_is_no_job_entry() {
    let id = DriveId::new("S1").unwrap();
    let xml = opening_xml(&id, &BitlockerKey::new(KEY.to_owned()));
    let missing = JobEntryError::Missing { field: "manifest file", drive: Some(id) };
    assert_eq!(parse(&xml).unwrap_err(), missing);
    let (id, key) = JobEntry::opening(&xml).unwrap();
    assert_eq!((id.as_str(), key.expose()), ("S1", KEY));
    assert!(matches!(
        JobEntry::opening("<Drive><DriveId>S1</DriveId></Drive>"),
        Err(JobEntryError::Missing { .. })
    ));
}

#[test]
fn a_key_is_never_printed() {
    let entry = parse(&item("S1")).unwrap();
    assert!(!format!("{entry:?}").contains("238810"), "{entry:?}");
}

#[test]
fn the_fixtures_job_entries_are_taken() {
    let drives = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/fixtures/drives");
    let Ok(folders) = std::fs::read_dir(drives) else {
        eprintln!("skipped: the_fixtures_job_entries_are_taken: ../shared/fixtures is not there");
        return;
    };
    let mut count = 0;
    for folder in folders {
        let document = std::fs::read(folder.unwrap().path().join("drive.json")).unwrap();
        let entry = JobEntry::parse(&document, None).unwrap();
        assert!(entry.drive_id.as_str().starts_with("DRG"));
        assert_eq!(entry.bitlocker_key.unwrap().expose().len(), 55);
        assert_eq!(entry.manifest_hash.algorithm(), "MD5");
        count += 1;
    }
    assert_eq!(count, 4);
}

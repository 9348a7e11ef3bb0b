//! What a log tells of a blob, and what it leaves to the manifest.

use manifest::log::DriveLogReader;

use super::*;

const HASH: &str = "700CE7E21ED55525977FAF7AAA9E546B";

fn logged(blob: &str) -> LoggedBlob {
    let log = format!("<DriveLog><DriveId>D</DriveId>{blob}<Status>Completed</Status></DriveLog>");
    DriveLogReader::new(log.as_bytes()).next().unwrap().unwrap()
}

fn blob(status: &str, disposition: &str, parts: &str) -> LoggedBlob {
    logged(&format!(
        "<Blob Status=\"{status}\"><BlobPath>con/a</BlobPath><FilePath>\\s\\a</FilePath><Length>1024</Length>\
         <ImportDisposition Status=\"{disposition}\">overwrite</ImportDisposition>{parts}</Blob>"
    ))
}

fn part(element: &str, offset: u64, status: &str) -> String {
    format!("<{element} Offset=\"{offset}\" Length=\"512\" Hash=\"{HASH}\" Status=\"{status}\" />")
}

#[test]
fn an_uncommitted_block_blob_is_told_whole_by_its_own_log() {
    let blocks = [part("Block", 0, "Uncommitted"), part("Block", 512, "Corrupted")].concat();
    let work =
        Work::of_log(&blob("CompletedWithErrors", "Cancelled", &format!("<BlockList>{blocks}</BlockList>")));
    let work = work.unwrap();
    assert!(work.is_complete && work.visible == Visible::No && work.parts.any_bad());
    assert_eq!(work.disposition, ImportDisposition::Overwrite);
    let Parts::Blocks(blocks) = work.parts else { panic!() };
    assert_eq!(blocks[0].entry.id.unwrap().to_base64(), "MD5/cAzn4h7VVSWXf696qp5Uaw==");
    assert_eq!(blocks[1].status, Some(ChunkStatus::Corrupted));
}

#[test]
fn blocks_with_a_gap_are_not_all_of_a_blob_and_page_ranges_are_only_when_none_was_written() {
    let gap = format!("<BlockList>{}</BlockList>", part("Block", 512, "Corrupted"));
    assert!(!Work::of_log(&blob("CompletedWithErrors", "Cancelled", &gap)).unwrap().is_complete);
    let pages = format!("<PageRangeList>{}</PageRangeList>", part("PageRange", 512, "Corrupted"));
    assert!(!Work::of_log(&blob("CompletedWithErrors", "Created", &pages)).unwrap().is_complete);
    assert!(Work::of_log(&blob("FileNotFound", "Cancelled", &pages)).unwrap().is_complete);
}

#[test]
fn what_a_log_does_not_tell_is_asked_of_the_manifest_by_name() {
    for parts in [
        "",
        "<BlockList><Block Offset=\"0\" Length=\"512\" Status=\"Corrupted\" /></BlockList>",
        "<BlockList><Block Offset=\"18446744073709551615\" Length=\"512\" Hash=\"700CE7E21ED55525977FAF7AAA9E546B\" /></BlockList>",
        "<BlockList /><Metadata Status=\"Failed\"><Path>\\m</Path></Metadata>",
    ] {
        let work = Work::of_log(&blob("CompletedWithErrors", "Cancelled", parts));
        assert!(matches!(work, Err(Unresolved::NeedsManifest { .. })), "{parts}");
    }
    let share = logged("<File Status=\"Failed\"><FileStoragePath>s/a</FileStoragePath></File>");
    assert!(matches!(Work::of_log(&share), Err(Unresolved::Unsupported { .. })));
}

#[test]
fn a_blobs_own_side_file_replaces_the_lists() {
    let side = format!(
        "<BlockList /><Metadata Status=\"Corrupted\"><GlobalPath Hash=\"{HASH}\">\\all</GlobalPath>\
         <Path Hash=\"{HASH}\">\\own</Path></Metadata><Properties Status=\"Completed\">\
         <GlobalPath Hash=\"{HASH}\">\\all</GlobalPath></Properties>"
    );
    let work = Work::of_log(&blob("CompletedWithErrors", "Created", &side)).unwrap();
    assert_eq!((work.metadata.is_bad, work.metadata.file.unwrap().path), (true, "\\own".to_owned()));
    assert_eq!((work.properties.is_bad, work.properties.file.unwrap().path), (false, "\\all".to_owned()));
    assert!(!work.parts.any_bad());
}

#[test]
fn remarks_are_no_damage() {
    for (status, expected) in
        [("Completed", false), ("ContainerRenamed", false), ("CompletedWithErrors", true), ("Odd", true)]
    {
        assert_eq!(is_damaged(&blob(status, "Created", "")), expected, "{status}");
    }
}

#[test]
fn a_part_that_is_longer_than_the_service_takes_is_refused_by_its_length() {
    for (list, element, length) in [
        ("BlockList", "Block", BLOCK_BYTES_MAX + 1),
        ("BlockList", "Block", u64::MAX),
        ("PageRangeList", "PageRange", RANGE_BYTES_MAX + 512),
    ] {
        let part =
            format!("<{element} Offset=\"0\" Length=\"{length}\" Hash=\"{HASH}\" Status=\"Corrupted\" />");
        let error =
            Work::of_log(&blob("CompletedWithErrors", "Cancelled", &format!("<{list}>{part}</{list}>")));
        let error = error.unwrap_err();
        assert!(matches!(error, Unresolved::Unsupported { .. }), "{error:?}");
        assert!(error.to_string().contains(&format!("of {length} bytes, and none has more")), "{error}");
    }
}

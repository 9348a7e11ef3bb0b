//! Every rule of a manifest, broken once: azure-import-export.md §1.3–§1.10.
//!
//! Each row is a manifest, the rule that it breaks, and the line on which a person finds it. Each
//! is read strictly and checking.
#![allow(missing_docs, reason = "test names are sentences")]

use manifest::{
    BlobRefusal, BlockIdError, Credential, DrivePathError, ManifestError, ManifestEvent, ManifestFault,
    ManifestReader, ProblemKind, Reports, Rule, XmlFault,
};
use model::DriveId;
use model::digest::HashTextError;
use model::naming::NameError;
use model::status::{BlobStatus, DriveStatus};

const H: &str = "B10A8DB164E0754105B7A99BE72E3FE5";
const OTHER: &str = "700CE7E21ED55525977FAF7AAA9E546B";

/// A manifest whose `Drive` has this content, the content beginning on line 2.
fn manifest(drive: &str) -> String {
    format!("<DriveManifest Version=\"2014-11-01\"><Drive>\n{drive}\n</Drive></DriveManifest>")
}

/// A manifest with one list of this content, the content beginning on line 3.
fn list(content: &str) -> String {
    manifest(&format!("<DriveId>S1</DriveId><BlobList>\n{content}\n</BlobList>"))
}

/// A manifest with one blob of these children, the children beginning on line 4.
fn blob(children: &str) -> String {
    list(&format!("<Blob>\n{children}\n</Blob>"))
}

/// A manifest with one block blob: its length, and its blocks from line 5 on.
fn blocks(length_bytes: u64, blocks: &str) -> String {
    blob(&format!(
        "<BlobPath>con/b</BlobPath><FilePath>\\f</FilePath><Length>{length_bytes}</Length><BlockList>\n{blocks}\n</BlockList>"
    ))
}

fn block(offset: u64, length: u64, rest: &str) -> String {
    format!("<Block Offset=\"{offset}\" Length=\"{length}\" {rest}/>\n")
}

/// The same for a page blob, or for a file.
fn ranges(length_bytes: u64, ranges: &str) -> String {
    blob(&format!(
        "<BlobPath>con/b</BlobPath><FilePath>\\f</FilePath><Length>{length_bytes}</Length><PageRangeList>\n{ranges}\n</PageRangeList>"
    ))
}

fn range(offset: u64, length: u64) -> String {
    format!("<PageRange Offset=\"{offset}\" Length=\"{length}\" Hash=\"{H}\"/>\n")
}

fn file(length_bytes: u64, ranges: &str) -> String {
    manifest(&format!(
        "<DriveId>S1</DriveId><FileList><File><FileStoragePath>s/f</FileStoragePath><FilePath>\\f</FilePath>\
         <Length>{length_bytes}</Length><FileRangeList>\n{ranges}\n</FileRangeList></File></FileList>"
    ))
}

fn strictly(text: &[u8]) -> Result<Vec<ManifestEvent>, ManifestError> {
    let mut reader = ManifestReader::new(text);
    let mut events = Vec::new();
    while let Some(event) = reader.next()? {
        events.push(event);
    }
    Ok(events)
}

fn checking(text: &[u8]) -> (Vec<ManifestEvent>, Reports, Option<ManifestError>) {
    let mut reader = ManifestReader::checking(text);
    let mut events = Vec::new();
    let error = loop {
        match reader.next() {
            Ok(Some(event)) => events.push(event),
            Ok(None) => break None,
            Err(error) => break Some(error),
        }
    };
    (events, reader.into_reports(), error)
}

fn rule_of(error: &ManifestError) -> &Rule {
    match error.fault() {
        ManifestFault::Rule(rule) => rule,
        ManifestFault::Read(source) => panic!("{source}"),
    }
}

/// Strict reading stops at the rule, on the line; checking reports it too.
fn breaks(text: &str, line: u64, expected: &Rule) {
    let error = strictly(text.as_bytes()).expect_err(text);
    assert_eq!(rule_of(&error), expected, "{text}");
    assert_eq!(error.place().line, line, "{error}\n{text}");
    assert_eq!(error.status(), DriveStatus::ManifestFormatInvalid);
    let (_, reports, stopped) = checking(text.as_bytes());
    let reported =
        reports.problems().iter().any(|problem| problem.kind == ProblemKind::Rule(expected.clone()));
    assert!(reported || stopped.is_some_and(|error| rule_of(&error) == expected), "{text}");
}

#[test]
fn xml_that_is_not_taken_makes_the_format_invalid() {
    let entity = |name: &str| XmlFault::Entity { name: name.to_owned() };
    let deep = "<x>".repeat(20);
    let long = "y".repeat(130 << 10);
    let comment = "y".repeat(300 << 10);
    let attributes: String = (0..33).map(|n| format!(" a{n}=\"\"")).collect();
    for (text, line, fault) in [
        (String::new(), 1, XmlFault::Empty),
        ("\n<!-- nothing -->\n".to_owned(), 3, XmlFault::Empty),
        ("<!DOCTYPE x [<!ENTITY a \"b\">]>\n<DriveManifest/>".to_owned(), 1, XmlFault::DocumentType),
        (
            "<?xml version=\"1.0\" encoding=\"utf-16\"?>\n<DriveManifest/>".to_owned(),
            1,
            XmlFault::Encoding { declared: "utf-16".to_owned() },
        ),
        (manifest("<DriveId>S1</DriveId>") + "\n<x/>", 4, XmlFault::AfterRoot),
        (manifest("<DriveId>S1</DriveId>") + "\nx", 3, XmlFault::AfterRoot),
        (manifest("<DriveId>S1</DriveId>x"), 2, XmlFault::StrayText),
        (manifest("<DriveId>S&x;</DriveId>"), 2, entity("x")),
        (manifest("<DriveId>S&#1;</DriveId>"), 2, XmlFault::Character { code: 1 }),
        (manifest("<DriveId>S&#xD800;</DriveId>"), 2, XmlFault::Character { code: 0xD800 }),
        (manifest("<DriveId>S\u{2}</DriveId>"), 2, XmlFault::Character { code: 2 }),
        (manifest("<DriveId>S\u{ffff}</DriveId>"), 2, XmlFault::Character { code: 0xFFFF }),
        (manifest("<DriveId>S1</DriveId><BlobList Id=\"&#2;\"/>"), 2, XmlFault::Character { code: 2 }),
        (manifest(&deep), 2, XmlFault::Depth),
        (manifest(&format!("<DriveId>{long}</DriveId>")), 2, XmlFault::TextLength),
        (manifest(&format!("<!--{comment}-->")), 2, XmlFault::MarkupLength),
        (manifest(&format!("<{}/>", "n".repeat(300))), 2, XmlFault::NameLength),
        (
            manifest(&format!("<DriveId>S1</DriveId><BlobList Id=\"{}\"/>", "i".repeat(5000))),
            2,
            XmlFault::AttributeLength { name: "Id".to_owned() },
        ),
        (manifest(&format!("<DriveId>S1</DriveId><BlobList{attributes}/>")), 2, XmlFault::AttributeCount),
        ("<DriveManifest Version=\"2014-11-01\">\n<Drive>".to_owned(), 2, XmlFault::Truncated),
    ] {
        let shown: String = text.chars().take(100).collect();
        let error = strictly(text.as_bytes()).expect_err(&shown);
        assert_eq!(rule_of(&error), &Rule::Xml(fault), "{shown}");
        assert_eq!(
            (error.place().line, error.status()),
            (line, DriveStatus::ManifestFormatInvalid),
            "{shown}"
        );
        assert!(checking(text.as_bytes()).2.is_some(), "{shown}");
    }
}

#[test]
fn ill_formed_markup_and_foreign_bytes_make_the_format_invalid() {
    for text in [
        &b"<DriveManifest Version='2014-11-01'><Drive></DriveManifest></Drive>"[..],
        b"<DriveManifest Version='2014-11-01'><Drive><DriveId>a & b</DriveId>",
        b"<DriveManifest Version=2014><Drive/></DriveManifest>",
        b"<DriveManifest Version='2014-11-01'><Drive><DriveId>&#x;</DriveId></Drive></DriveManifest>",
        b"<DriveManifest Version='2014-11-01'><Drive><DriveId>&#12a;</DriveId></Drive></DriveManifest>",
        b"<DriveManifest Version='2014-11-01'> <?xml version='1.0'?> <Drive/></DriveManifest>",
    ] {
        let error = strictly(text).unwrap_err();
        let malformed =
            matches!(rule_of(&error), Rule::Xml(XmlFault::Malformed { .. } | XmlFault::Character { .. }));
        assert!(malformed, "{error}");
    }
    for text in
        [&b"<DriveManifest Version='\xff'/>"[..], b"<DriveManifest Version='2014-11-01'>\xe9</DriveManifest>"]
    {
        let error = strictly(text).unwrap_err();
        assert_eq!(rule_of(&error), &Rule::Xml(XmlFault::NotUtf8));
    }
    // UTF-16: the first byte pair is no markup.
    let utf16: Vec<u8> = manifest("").encode_utf16().flat_map(u16::to_le_bytes).collect();
    assert_eq!(strictly(&utf16).unwrap_err().status(), DriveStatus::ManifestFormatInvalid);
}

#[test]
fn the_structure_is_held_to_the_grammar() {
    let missing = |element| Rule::MissingElement { element };
    let duplicate = |element| Rule::Duplicate { element };
    let id = "<DriveId>S1</DriveId>";
    for (text, line, rule) in [
        ("<Manifest/>".to_owned(), 1, Rule::Root { found: "Manifest".to_owned() }),
        ("<drivemanifest/>".to_owned(), 1, Rule::Root { found: "drivemanifest".to_owned() }),
        (
            "<DriveManifest><Drive/></DriveManifest>".to_owned(),
            1,
            Rule::MissingAttribute { element: "DriveManifest", attribute: "Version" },
        ),
        (
            manifest(id).replace("2014-11-01", "2011-MM-DD"),
            1,
            Rule::Version { found: "2011-MM-DD".to_owned() },
        ),
        (
            manifest(id).replace("2014-11-01", "2024-01-01"),
            1,
            Rule::Version { found: "2024-01-01".to_owned() },
        ),
        (manifest(id).replace("2014-11-01", "1"), 1, Rule::Version { found: "1".to_owned() }),
        ("<DriveManifest Version=\"2014-11-01\">\n</DriveManifest>".to_owned(), 2, missing("Drive")),
        (manifest(id).replace("</Drive>", "</Drive><Drive></Drive>"), 3, Rule::SeveralDrives),
        (manifest(""), 3, missing("DriveId")),
        (manifest("<DriveId> </DriveId>"), 2, Rule::DriveIdEmpty),
        (manifest(&format!("{id}\n{id}")), 3, duplicate("DriveId")),
        (manifest(&format!("<BlobList/>\n{id}")), 2, missing("DriveId")),
        (manifest(&format!("{id}<BlobList/>\n{id}")), 3, Rule::AfterFirstList { element: "DriveId" }),
        (
            manifest(&format!("{id}<BlobList/>\n<StorageAccountKey>a2V5</StorageAccountKey>")),
            3,
            Rule::AfterFirstList { element: "StorageAccountKey" },
        ),
        (
            manifest(&format!("{id}<FileList/>\n<ContainerSas>c?s</ContainerSas>")),
            3,
            Rule::AfterFirstList { element: "ContainerSas" },
        ),
        (
            manifest(&format!(
                "{id}<StorageAccountKey>k</StorageAccountKey>\n<ContainerSas>c?s</ContainerSas>"
            )),
            3,
            Rule::SeveralCredentials,
        ),
        (
            manifest(&format!("{id}<ContainerSas>c?s</ContainerSas>\n<ContainerSas>c?s</ContainerSas>")),
            3,
            duplicate("ContainerSas"),
        ),
        (manifest(&format!("{id}<ContainerSas>container</ContainerSas>")), 2, Rule::ContainerSas),
        (manifest(&format!("{id}<ContainerSas>?sv=1</ContainerSas>")), 2, Rule::ContainerSas),
        (manifest(&format!("{id}<ContainerSas>c?</ContainerSas>")), 2, Rule::ContainerSas),
        (manifest(&format!("{id}<ClientCreator/><ClientCreator/>")), 2, duplicate("ClientCreator")),
        (manifest(&format!("{id}<BlobList Id=\"a\" Id=\"b\"/>")), 2, duplicate("Id")),
        (
            list(&format!(
                "<Blob><BlobPath>con/b</BlobPath><FilePath>f</FilePath><Length>0</Length></Blob>\n<MetadataPath Hash=\"{H}\">m</MetadataPath>"
            )),
            4,
            Rule::AfterFirstBlob { element: "MetadataPath" },
        ),
        (
            list(&format!(
                "<Blob><BlobPath>con/b</BlobPath><FilePath>f</FilePath><Length>0</Length></Blob>\n<PropertiesPath Hash=\"{H}\">m</PropertiesPath>"
            )),
            4,
            Rule::AfterFirstBlob { element: "PropertiesPath" },
        ),
        (
            list(&format!(
                "<MetadataPath Hash=\"{H}\">m</MetadataPath>\n<MetadataPath Hash=\"{H}\">m</MetadataPath>"
            )),
            4,
            duplicate("MetadataPath"),
        ),
        (
            list("<PropertiesPath>p</PropertiesPath>"),
            3,
            Rule::MissingAttribute { element: "PropertiesPath", attribute: "Hash" },
        ),
        (
            list("<MetadataPath Hash=\"12\">m</MetadataPath>"),
            3,
            Rule::Hash { element: "MetadataPath", reason: HashTextError::Length { digit_count: 2 } },
        ),
    ] {
        breaks(&text, line, &rule);
    }
}

#[test]
fn a_blob_has_its_elements_once_and_their_values_are_checked() {
    let missing = |element| Rule::MissingElement { element };
    let duplicate = |element| Rule::Duplicate { element };
    let number = |name, found: &str| Rule::Number { name, found: found.to_owned() };
    let base = "<BlobPath>con/b</BlobPath><FilePath>\\f</FilePath><Length>0</Length>";
    let word = "Overwrite".parse::<model::ImportDisposition>().unwrap_err();
    for (text, line, rule) in [
        (blob("<FilePath>f</FilePath><Length>0</Length>"), 5, missing("BlobPath")),
        (blob("<BlobPath>con/b</BlobPath><Length>0</Length>"), 5, missing("FilePath")),
        (blob("<BlobPath>con/b</BlobPath><FilePath>f</FilePath>"), 5, missing("Length")),
        (blob(&format!("{base}\n<BlobPath>con/b</BlobPath>")), 5, duplicate("BlobPath")),
        (blob(&format!("{base}\n<FilePath>f</FilePath>")), 5, duplicate("FilePath")),
        (blob(&format!("{base}\n<Length>0</Length>")), 5, duplicate("Length")),
        (blob(&format!("{base}<ClientData/>\n<ClientData/>")), 5, duplicate("ClientData")),
        (blob(&format!("{base}<Snapshot/>\n<Snapshot/>")), 5, duplicate("Snapshot")),
        (
            blob(&format!(
                "{base}<ImportDisposition>rename</ImportDisposition>\n<ImportDisposition>rename</ImportDisposition>"
            )),
            5,
            duplicate("ImportDisposition"),
        ),
        (
            blob(&format!(
                "{base}<MetadataPath Hash=\"{H}\">m</MetadataPath>\n<MetadataPath Hash=\"{H}\">m</MetadataPath>"
            )),
            5,
            duplicate("MetadataPath"),
        ),
        (blob(&format!("{base}<BlockList/>\n<BlockList/>")), 5, duplicate("BlockList")),
        (blob(&format!("{base}<PageRangeList/>\n<PageRangeList/>")), 5, duplicate("PageRangeList")),
        (blob(&format!("{base}<PageRangeList/>\n<BlockList/>")), 5, Rule::BothLists),
        (
            blob(&format!("{base}<ImportDisposition>Overwrite</ImportDisposition>")),
            4,
            Rule::Disposition(word),
        ),
        (
            blob(&format!("{base}<MetadataPath>m</MetadataPath>")),
            4,
            Rule::MissingAttribute { element: "MetadataPath", attribute: "Hash" },
        ),
        (blob(&base.replace(">0<", "><")), 4, number("Length", "")),
        (blob(&base.replace(">0<", ">-1<")), 4, number("Length", "-1")),
        (blob(&base.replace(">0<", ">+1<")), 4, number("Length", "+1")),
        (blob(&base.replace(">0<", ">0x10<")), 4, number("Length", "0x10")),
        (blob(&base.replace(">0<", ">18446744073709551616<")), 4, number("Length", "18446744073709551616")),
        (blob(&base.replace(">0<", ">1<")), 5, Rule::NoList { length_bytes: 1 }),
    ] {
        breaks(&text, line, &rule);
    }
}

#[test]
fn a_block_list_covers_its_blob_in_order() {
    let hash = format!("Hash=\"{H}\"");
    let h = hash.as_str();
    let order = |expected_bytes, found_bytes| Rule::BlockOrder { expected_bytes, found_bytes };
    let max = 100 << 20;
    let attribute = |attribute| Rule::MissingAttribute { element: "Block", attribute };
    for (text, line, rule) in [
        (blocks(10, &block(1, 9, h)), 5, order(0, 1)),
        (blocks(10, &(block(0, 4, h) + &block(5, 5, h))), 6, order(4, 5)),
        (blocks(10, &(block(0, 6, h) + &block(5, 5, h))), 6, order(6, 5)),
        (blocks(10, &(block(5, 5, h) + &block(0, 5, h))), 5, order(0, 5)),
        (blocks(10, &block(0, 9, h)), 8, Rule::BlockCoverage { end_bytes: 9, length_bytes: 10 }),
        (blocks(10, &block(0, 11, h)), 8, Rule::BlockCoverage { end_bytes: 11, length_bytes: 10 }),
        (blocks(10, ""), 7, Rule::BlockCoverage { end_bytes: 0, length_bytes: 10 }),
        (blocks(0, &block(0, 0, h)), 5, Rule::BlockLength { found_bytes: 0 }),
        (blocks(max + 1, &block(0, max + 1, h)), 5, Rule::BlockLength { found_bytes: max + 1 }),
        (
            blocks(u64::MAX, &(block(0, u64::MAX, h) + &block(u64::MAX, 1, h))),
            5,
            Rule::BlockLength { found_bytes: u64::MAX },
        ),
        (blocks(10, &format!("<Block Length=\"10\" {h}/>")), 5, attribute("Offset")),
        (blocks(10, &format!("<Block Offset=\"0\" {h}/>")), 5, attribute("Length")),
        (blocks(10, &block(0, 10, "")), 5, attribute("Hash")),
        (
            blocks(10, &format!("<Block Offset=\"ten\" Length=\"10\" {h}/>")),
            5,
            Rule::Number { name: "Offset", found: "ten".to_owned() },
        ),
        (
            blocks(10, &format!("<Block Offset=\"0\" Length=\"1e1\" {h}/>")),
            5,
            Rule::Number { name: "Length", found: "1e1".to_owned() },
        ),
        (
            blocks(10, &format!("<Block Offset=\"0\" Offset=\"0\" Length=\"10\" {h}/>")),
            5,
            Rule::Duplicate { element: "Offset" },
        ),
        (
            blocks(10, &block(0, 10, &format!("Hash=\"{}\"", H.repeat(2)))),
            5,
            Rule::Hash { element: "Block", reason: HashTextError::NotMd5 { algorithm: "SHA-256" } },
        ),
        (
            blocks(10, &block(0, 10, &format!("Hash=\"{}\"", H.replace('B', "G")))),
            5,
            Rule::Hash { element: "Block", reason: HashTextError::Digit { position: 1 } },
        ),
    ] {
        breaks(&text, line, &rule);
    }
}

#[test]
fn block_ids_are_all_or_none_alike_and_mean_one_block() {
    let with = |id: &str, hash: &str| format!("Id=\"{id}\" Hash=\"{hash}\"");
    let without = format!("Hash=\"{H}\"");
    let ids = |blocks_: &[(&str, &str)]| {
        let each = |(n, (id, hash)): (u64, &(&str, &str))| block(n * 5, 5, &with(id, hash));
        blocks(blocks_.len() as u64 * 5, &(0..).zip(blocks_).map(each).collect::<String>())
    };
    let long = "A".repeat(88);
    let limit = 64 << 20;
    for (text, line, rule) in [
        (blocks(10, &(block(0, 5, &with("AAAA", H)) + &block(5, 5, &without))), 6, Rule::BlockIdsMixed),
        (blocks(10, &(block(0, 5, &without) + &block(5, 5, &with("AAAA", H)))), 6, Rule::BlockIdsMixed),
        (ids(&[("AAAA", H), ("AAAAAA==", H)]), 6, Rule::BlockIdLengths { expected_bytes: 3, found_bytes: 4 }),
        (ids(&[("AAAA", H), ("AAAA", OTHER)]), 6, Rule::BlockIdReused { first: 0, second: 1 }),
        (ids(&[("AQAA", H), ("AAAA", H), ("AAAA", OTHER)]), 7, Rule::BlockIdReused { first: 1, second: 2 }),
        (
            blocks(11, &(block(0, 5, &with("AAAA", H)) + &block(5, 6, &with("AAAA", H)))),
            6,
            Rule::BlockIdReused { first: 0, second: 1 },
        ),
        (ids(&[("", H)]), 5, Rule::BlockId(BlockIdError::Empty)),
        (ids(&[("not base64", H)]), 5, Rule::BlockId(BlockIdError::NotBase64)),
        (ids(&[(&long, H)]), 5, Rule::BlockId(BlockIdError::Length { found_bytes: 66 })),
        (blocks(limit + 1, &block(0, limit + 1, &without)), 8, Rule::BlockIdsMissing),
    ] {
        breaks(&text, line, &rule);
    }
    for text in [
        blocks(limit, &block(0, limit, &without)),
        blocks(limit + 1, &block(0, limit + 1, &with("AAAA", H))),
        ids(&[("AAAA", H), ("AAAA", H)]),
        ids(&[("AAAA", H), ("AQAA", H)]),
    ] {
        assert_eq!(strictly(text.as_bytes()).unwrap().len(), 3, "{text}");
    }
}

#[test]
fn a_blob_has_at_most_50_000_blocks() {
    let many = |count: u64| {
        let each = |n| block(n, 1, &format!("Hash=\"{H}\""));
        blocks(count, &(0..count).map(each).collect::<String>())
    };
    assert_eq!(strictly(many(50_000).as_bytes()).unwrap().len(), 3);
    let error = strictly(many(50_001).as_bytes()).unwrap_err();
    assert_eq!((rule_of(&error), error.place().line), (&Rule::BlockCount, 50_005));
}

#[test]
fn page_ranges_are_aligned_ascending_and_inside_their_blob() {
    let mib = 1 << 20;
    let alignment = |offset_bytes, length_bytes| Rule::PageRangeAlignment { offset_bytes, length_bytes };
    let order = |end_bytes, found_bytes| Rule::RangeOrder { end_bytes, found_bytes };
    let attribute = |attribute| Rule::MissingAttribute { element: "PageRange", attribute };
    for (text, line, rule) in [
        (ranges(513, ""), 7, Rule::PageBlobLength { found_bytes: 513 }),
        (ranges((8 << 40) + 512, ""), 7, Rule::PageBlobLength { found_bytes: (8 << 40) + 512 }),
        (ranges(mib, &range(100, 512)), 5, alignment(100, 512)),
        (ranges(mib, &range(0, 100)), 5, alignment(0, 100)),
        (ranges(mib, &range(0, 0)), 5, Rule::RangeLength { found_bytes: 0 }),
        (ranges(8 * mib, &range(0, 4 * mib + 512)), 5, Rule::RangeLength { found_bytes: 4 * mib + 512 }),
        (ranges(mib, &(range(512, 512) + &range(0, 512))), 6, order(1024, 0)),
        (ranges(mib, &(range(0, 1024) + &range(512, 512))), 6, order(1024, 512)),
        (ranges(mib, &(range(0, 512) + &range(0, 512))), 6, order(512, 0)),
        (ranges(1024, &range(1024, 512)), 8, Rule::RangeOutside { end_bytes: 1536, length_bytes: 1024 }),
        (
            ranges(1024, &range(u64::MAX - 511, 512)),
            8,
            Rule::RangeOutside { end_bytes: u64::MAX, length_bytes: 1024 },
        ),
        (ranges(512, &format!("<PageRange Length=\"512\" Hash=\"{H}\"/>")), 5, attribute("Offset")),
        (ranges(512, &format!("<PageRange Offset=\"0\" Hash=\"{H}\"/>")), 5, attribute("Length")),
        (ranges(512, "<PageRange Offset=\"0\" Length=\"512\"/>"), 5, attribute("Hash")),
        (
            ranges(512, "<PageRange Offset=\"0\" Length=\"512\" Hash=\"x\"/>"),
            5,
            Rule::Hash { element: "PageRange", reason: HashTextError::Length { digit_count: 1 } },
        ),
    ] {
        breaks(&text, line, &rule);
    }
    for text in [
        ranges(0, ""),
        ranges(8 << 40, ""),
        ranges(15_360, &(range(0, 3584) + &range(4096, 3584) + &range(14_848, 512))),
    ] {
        assert_eq!(strictly(text.as_bytes()).unwrap().len(), 3, "{text}");
    }
}

#[test]
fn file_ranges_need_no_alignment_and_keep_the_other_rules() {
    let range = |offset: u64, length: u64| range(offset, length).replace("PageRange", "FileRange");
    assert_eq!(strictly(file(20, &range(3, 17)).as_bytes()).unwrap().len(), 3);
    for (text, line, rule) in [
        (file(20, &range(0, 0)), 3, Rule::RangeLength { found_bytes: 0 }),
        (file(9 << 20, &range(0, (4 << 20) + 1)), 3, Rule::RangeLength { found_bytes: (4 << 20) + 1 }),
        (file(20, &(range(5, 5) + &range(9, 5))), 4, Rule::RangeOrder { end_bytes: 10, found_bytes: 9 }),
        (file(20, &range(10, 11)), 5, Rule::RangeOutside { end_bytes: 21, length_bytes: 20 }),
    ] {
        breaks(&text, line, &rule);
    }
}

#[test]
fn a_manifest_of_another_drive_has_its_own_status() {
    let text = manifest("<DriveId> S 1 </DriveId>");
    let expecting = |id: &str| ManifestReader::new(text.as_bytes()).expecting(DriveId::new(id).unwrap());
    assert!(expecting("S1").next().unwrap().is_some());
    let error = expecting("s1").next().unwrap_err();
    assert_eq!(error.status(), DriveStatus::ManifestDriveIdMismatch);
    assert!(matches!(rule_of(&error), Rule::DriveIdMismatch { .. }));
}

#[test]
fn a_read_that_fails_has_its_own_status() {
    struct Broken;
    impl std::io::Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
            Err(std::io::Error::from_raw_os_error(5))
        }
    }
    let text = manifest("<DriveId>S1</DriveId>");
    let broken = std::io::Read::chain(&text.as_bytes()[..50], Broken);
    let error = ManifestReader::new(std::io::BufReader::new(broken)).next().unwrap_err();
    assert_eq!(error.status(), DriveStatus::ReadManifestFailed);
    assert_eq!(error.class(), model::Class::FailDrive);
    assert!(std::error::Error::source(&error).is_some());
}

#[test]
fn a_name_that_is_wrong_concerns_its_blob_only() {
    let named = |blob_path: &str, file_path: &str| {
        blob(&format!("<BlobPath>{blob_path}</BlobPath><FilePath>{file_path}</FilePath><Length>0</Length>"))
    };
    let destination = |source| BlobRefusal::Destination { source };
    let file = |source| BlobRefusal::File { source };
    let long = "n".repeat(256);
    for (text, status, refusal) in [
        (named("", "f"), BlobStatus::Failed, destination(NameError::NoContainer)),
        (named("C/b", "f"), BlobStatus::Failed, destination(NameError::ContainerLength { found: 1 })),
        (named("con/b.", "f"), BlobStatus::Failed, destination(NameError::StrippedEnd { found: '.' })),
        (named("$root/a/b", "f"), BlobStatus::Failed, destination(NameError::SlashInRoot)),
        (named("con/b", ""), BlobStatus::FileNameInvalid, file(DrivePathError::Empty)),
        (
            named("con/b", "\\..\\f"),
            BlobStatus::FileNameInvalid,
            file(DrivePathError::Relative { found: "..".to_owned() }),
        ),
        (named("con/b", "C:\\f"), BlobStatus::FileNameInvalid, file(DrivePathError::DriveLetter)),
        (
            named("con/b", &long),
            BlobStatus::FileNameTooLong,
            file(DrivePathError::NameTooLong { found_units: 256 }),
        ),
    ] {
        let events = strictly(text.as_bytes()).unwrap();
        let Some(ManifestEvent::Blob(entry)) = events.last() else { panic!("{events:?}") };
        let found = entry.refusal(&Credential::Absent).unwrap();
        assert_eq!((found.status(), &found), (status, &refusal), "{text}");
        // Checking: reported, and still an entry.
        let (events, reports, error) = checking(text.as_bytes());
        assert_eq!((events.len(), reports.broken_rule_count(), error.is_none()), (3, 0, true));
        assert_eq!(reports.problems()[0].kind, ProblemKind::Blob(refusal));
        assert_eq!(reports.problems()[0].blob().unwrap().0, 0);
    }
}

#[test]
fn a_blob_outside_the_sas_container_concerns_itself_only() {
    let text = manifest(
        "<DriveId>S1</DriveId><ContainerSas>photos?sv=1&amp;sig=2</ContainerSas><BlobList>\
         <Blob><BlobPath>photos/a</BlobPath><FilePath>a</FilePath><Length>0</Length></Blob>\
         <Blob><BlobPath>videos/a</BlobPath><FilePath>a</FilePath><Length>0</Length></Blob></BlobList>",
    );
    let (events, reports, _) = checking(text.as_bytes());
    assert_eq!(events.len(), 4);
    let refusal = BlobRefusal::OutsideSas { container: "photos".to_owned() };
    assert_eq!(refusal.status(), BlobStatus::BlobRequestForbidden);
    assert_eq!(reports.problems().len(), 1);
    assert_eq!(reports.problems()[0].kind, ProblemKind::Blob(refusal));
    assert_eq!(reports.problems()[0].blob(), Some((1, Some("videos/a"))));
}

#[test]
fn a_side_file_whose_path_is_wrong_concerns_itself_only() {
    let text = blob(&format!(
        "<BlobPath>con/b</BlobPath><FilePath>f</FilePath><Length>0</Length><MetadataPath Hash=\"{H}\">C:\\m</MetadataPath>"
    ));
    assert_eq!(strictly(text.as_bytes()).unwrap().len(), 3);
    let (_, reports, _) = checking(text.as_bytes());
    let source = DrivePathError::DriveLetter;
    assert_eq!(reports.problems()[0].kind, ProblemKind::SideFile { element: "MetadataPath", source });
}

#[test]
fn checking_reports_every_problem_and_keeps_the_good_entries() {
    let good = |name: &str| {
        format!("<Blob><BlobPath>con/{name}</BlobPath><FilePath>f</FilePath><Length>0</Length></Blob>\n")
    };
    let text = manifest(&format!(
        "<BlobList>\n{}<Blob><BlobPath>con/b1</BlobPath><Length>x</Length><BlockList><Block Offset=\"1\" Length=\"0\" Id=\"?\"/></BlockList></Blob>\n{}</BlobList>\n\
         <BlobList>{}<Blob><BlobPath>con/b4</BlobPath><FilePath>f</FilePath><Length>2</Length><BlockList><Block Offset=\"1\" Length=\"0\" Hash=\"{H}\"/></BlockList></Blob></BlobList><DriveId>S1</DriveId>",
        good("b0"),
        good("b2"),
        good("B3")
    ));
    let (events, reports, error) = checking(text.as_bytes());
    assert!(error.is_none());
    let entries: Vec<u64> = events
        .iter()
        .filter_map(|event| match event {
            ManifestEvent::Blob(entry) => Some(entry.index),
            _ => None,
        })
        .collect();
    assert_eq!(entries, [0, 2, 3]);
    let found: Vec<String> = reports
        .problems()
        .iter()
        .map(|problem| match &problem.kind {
            ProblemKind::Rule(rule) => format!("{:?} {rule}", problem.blob().map(|(index, _)| index)),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(
        found,
        [
            "None DriveId is missing",
            "Some(1) Length is \"x\", which is not a whole number of at most 64 bits",
            "Some(1) Block has no Hash",
            "Some(1) the block id is not base64",
            "Some(1) FilePath is missing",
            "Some(4) a block begins at 1, not at 0 where the one before ends",
            "Some(4) a block has 0 bytes; 1 to 104857600 are allowed",
            "Some(4) the blocks end at 1, the blob has 2 bytes",
            "None DriveId stands after the first list",
        ]
    );
    assert_eq!((reports.problem_count(), reports.broken_rule_count()), (9, 9));
    let shown = reports.problems()[1].to_string();
    assert_eq!(
        shown,
        format!(
            "manifest, line 4 (byte {}) in DriveManifest/Drive/BlobList/Blob, blob 1 \"con/b1\": \
             Length is \"x\", which is not a whole number of at most 64 bits",
            text.find("</Length><BlockList>").unwrap()
        )
    );
}

#[test]
fn the_list_of_problems_is_bounded_and_the_count_is_true() {
    let bad = "<Blob><BlobPath>con/b</BlobPath><FilePath>f</FilePath><Length>1</Length></Blob>".repeat(1_500);
    let (events, reports, _) = checking(list(&bad).as_bytes());
    assert_eq!((events.len(), reports.problems().len(), reports.problem_count()), (2, 1_000, 1_500));
    let unknown = "<Odd/>".repeat(1_500);
    let (_, reports, _) = checking(list(&unknown).as_bytes());
    assert_eq!(
        (reports.ignored().len(), reports.ignored_count(), reports.problem_count()),
        (1_000, 1_500, 0)
    );
}

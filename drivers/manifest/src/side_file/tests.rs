//! Tables for both kinds of side file: azure-import-export.md §1.10, §1.11.

use super::*;
use model::Md5Digest;

fn metadata(body: &str) -> Result<Metadata, SideFileFault> {
    let file = format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Metadata>{body}</Metadata>\n");
    Metadata::parse(file.as_bytes()).map_err(|error| {
        assert_eq!(error.status(), SideFileStatus::XmlReadFailed);
        error.fault
    })
}

fn properties(body: &str) -> Result<Properties, SideFileFault> {
    Properties::parse(format!("<Properties>{body}</Properties>").as_bytes()).map_err(|error| error.fault)
}

#[test]
fn metadata_names_and_values_are_taken_in_order() {
    let found =
        metadata("\n  <UploadMethod>WAES v1 &amp; more</UploadMethod>\n  <_a9/><B> x </B>\n").unwrap();
    let expected = [("UploadMethod", "WAES v1 & more"), ("_a9", ""), ("B", "x")];
    let found: Vec<_> = found.pairs().iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(found, expected);
    assert_eq!(metadata("").unwrap(), Metadata::default());
}

#[test]
fn metadata_that_a_blob_cannot_have_is_refused() {
    let name = |name: &str| SideFileFault::MetadataName { name: name.to_owned() };
    for (body, expected) in [
        ("<a-b>1</a-b>", name("a-b")),
        ("<a.b/>", name("a.b")),
        ("<é/>", name("é")),
        ("<x:y/>", name("x:y")),
        ("<a/><A/>", SideFileFault::Duplicate { name: "A".to_owned() }),
        ("<a>1<b/></a>", SideFileFault::Nested { name: "a".to_owned() }),
        ("<a>é</a>", SideFileFault::Value { name: "a".to_owned(), code: 0xE9 }),
        ("<a>x&#10;y</a>", SideFileFault::Value { name: "a".to_owned(), code: 10 }),
        ("text", SideFileFault::Xml(XmlFault::StrayText)),
        ("<a>&b;</a>", SideFileFault::Xml(XmlFault::Entity { name: "b".to_owned() })),
        ("<a>&#1;</a>", SideFileFault::Xml(XmlFault::Character { code: 1 })),
    ] {
        assert_eq!(metadata(body), Err(expected), "{body}");
    }
}

#[test]
fn metadata_may_have_8_kib_and_not_a_byte_more() {
    let value = "v".repeat(METADATA_BYTES_MAX - 1);
    assert_eq!(metadata(&format!("<a>{value}</a>")).unwrap().pairs()[0].1.len(), METADATA_BYTES_MAX - 1);
    assert_eq!(metadata(&format!("<ab>{value}</ab>")), Err(SideFileFault::MetadataLength));
    assert_eq!(metadata(&format!("<a>{value}</a><b/>")), Err(SideFileFault::MetadataLength));
    let long = vec![b' '; SIDE_FILE_BYTES_MAX + 1];
    let fault = SideFileFault::FileLength { found_bytes: long.len() };
    assert_eq!(Metadata::parse(&long).map_err(|error| error.fault), Err(fault));
}

#[test]
fn properties_are_taken_and_what_only_exports_write_is_ignored() {
    let found = properties(
        "<Last-Modified>Wed, 12 Sep 2012 00:00:00 GMT</Last-Modified><Etag>0x8CF</Etag>\
         <Content-Length>9</Content-Length><Content-Type>text/plain</Content-Type>\
         <Content-MD5>Q2hlY2sgSW50ZWdyaXR5IQ==</Content-MD5><Content-Encoding>gzip</Content-Encoding>\
         <Content-Language>en-US</Content-Language><Cache-Control>no-cache</Cache-Control><New>1</New>",
    )
    .unwrap();
    assert_eq!(found.content_type.as_deref(), Some("text/plain"));
    assert_eq!(found.content_md5, Some(Md5Digest(*b"Check Integrity!")));
    assert_eq!(found.content_encoding.as_deref(), Some("gzip"));
    assert_eq!(found.content_language.as_deref(), Some("en-US"));
    assert_eq!(found.cache_control.as_deref(), Some("no-cache"));
    assert_eq!(found.ignored, ["New"]);
    assert_eq!(properties("<Content-MD5/><Content-Type> </Content-Type>"), Ok(Properties::default()));
}

#[test]
fn properties_that_no_header_can_carry_are_refused() {
    let md5 = |found: &str| SideFileFault::ContentMd5 { found: found.to_owned() };
    for (body, expected) in [
        ("<Content-MD5>AAAA</Content-MD5>", md5("AAAA")),
        (
            "<Content-MD5>D863FE44F861AE0DA4DCEAEEFFCCCE68</Content-MD5>",
            md5("D863FE44F861AE0DA4DCEAEEFFCCCE68"),
        ),
        ("<Etag/><Etag/>", SideFileFault::Duplicate { name: "Etag".to_owned() }),
        (
            "<Content-Type>a\u{7f}</Content-Type>",
            SideFileFault::Value { name: "Content-Type".to_owned(), code: 0x7F },
        ),
    ] {
        assert_eq!(properties(body), Err(expected), "{body}");
    }
}

#[test]
fn a_file_that_is_not_the_one_meant_is_refused_where_it_goes_wrong() {
    let error = Metadata::parse(b"<?xml version='1.0'?>\n<Properties/>").unwrap_err();
    assert_eq!((error.place.line, error.place.offset_bytes), (2, 22));
    let expected = SideFileFault::Root { expected: "Metadata", found: "Properties".to_owned() };
    assert_eq!(error.fault, expected);
    for (file, expected) in [
        (&b""[..], XmlFault::Empty),
        (b"<Metadata>", XmlFault::Truncated),
        (b"<Metadata/><Metadata/>", XmlFault::AfterRoot),
        (b"<!DOCTYPE Metadata [<!ENTITY a \"b\">]><Metadata/>", XmlFault::DocumentType),
    ] {
        assert_eq!(Metadata::parse(file).unwrap_err().fault, SideFileFault::Xml(expected));
    }
}

#[test]
fn a_utf_16_file_is_read_by_its_byte_order_mark() {
    let file = "\u{feff}<?xml version=\"1.0\" encoding=\"utf-16\"?><Metadata><a>1</a></Metadata>";
    let bytes: Vec<u8> = file.encode_utf16().flat_map(u16::to_le_bytes).collect();
    assert_eq!(Metadata::parse(&bytes).unwrap().pairs(), [("a".to_owned(), "1".to_owned())]);
}

#[test]
fn what_is_written_reads_back() {
    let found = metadata("<a>1 &lt; 2 &amp; \"3\"</a><B>]]&gt;</B>").unwrap();
    assert_eq!(Metadata::parse(found.to_xml().as_bytes()), Ok(found));
    let found = properties(
        "<Content-Type>a;b=\"c\"</Content-Type><Content-MD5>Q2hlY2sgSW50ZWdyaXR5IQ==</Content-MD5>",
    );
    let found = found.unwrap();
    assert_eq!(Properties::parse(found.to_xml().as_bytes()), Ok(found));
}

#[test]
fn pairs_are_held_to_the_files_rules() {
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let metadata = Metadata::from_pairs(vec![pair("a", "1 < 2"), pair("_b2", "")]).unwrap();
    assert_eq!(metadata.pairs(), [pair("a", "1 < 2"), pair("_b2", "")]);
    for (pairs, expected) in [
        (vec![pair("a>x</a><b", "1")], SideFileFault::MetadataName { name: "a>x</a><b".to_owned() }),
        (vec![pair("a", "1"), pair("A", "2")], SideFileFault::Duplicate { name: "A".to_owned() }),
        (vec![pair("a", "é")], SideFileFault::Value { name: "a".to_owned(), code: 0xE9 }),
        (vec![pair("a", &"x".repeat(9_000))], SideFileFault::MetadataLength),
    ] {
        assert_eq!(Metadata::from_pairs(pairs), Err(expected));
    }
}

#[test]
fn an_exports_properties_read_back_without_what_only_exports_tell() {
    let properties = Properties { content_type: Some("a & b".to_owned()), ..Properties::default() };
    let file = properties.to_export_xml(Some("Wed, 18 Sep 2013 23:47:08 GMT"), "0x8D", 7);
    assert!(
        file.contains("<Last-Modified>Wed, 18 Sep 2013 23:47:08 GMT</Last-Modified>\n  <Etag>0x8D</Etag>")
    );
    assert!(file.contains("<Content-Length>7</Content-Length>"), "{file}");
    assert_eq!(Properties::parse(file.as_bytes()).unwrap(), properties);
}

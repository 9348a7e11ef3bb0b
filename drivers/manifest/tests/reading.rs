//! Manifests that keep the rules are read as they are: azure-import-export.md §1.3, §1.12, §10.
#![allow(missing_docs, reason = "test names are sentences")]

use manifest::{BlobKind, BlobRefusal, Credential, ListKind, ManifestEvent, ManifestReader};
use model::ImportDisposition;

const MINIMAL: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<DriveManifest Version="2014-11-01"><Drive><DriveId>9WM35C2V</DriveId>
 <ClientCreator>our tool 1.0</ClientCreator>
 <BlobList Id="session#1-0">
  <Blob><BlobPath>c/hello.txt</BlobPath><FilePath>\session#1\hello.txt</FilePath><Length>11</Length>
   <ImportDisposition>overwrite</ImportDisposition>
   <BlockList><Block Offset="0" Length="11" Id="MD5/sQqNsWTgdUEFt6mb5y4/5Q==" Hash="B10A8DB164E0754105B7A99BE72E3FE5"/></BlockList>
  </Blob>
 </BlobList></Drive></DriveManifest>
"#;

fn events(text: &str) -> Vec<ManifestEvent> {
    let mut reader = ManifestReader::new(text.as_bytes());
    std::iter::from_fn(|| reader.next().unwrap()).collect()
}

#[test]
fn the_specifications_minimal_manifest_is_read_whole() {
    let events = events(MINIMAL);
    let [ManifestEvent::Drive(drive), ManifestEvent::List(list), ManifestEvent::Blob(blob)] = &events[..]
    else {
        panic!("{events:?}");
    };
    assert_eq!(drive.drive_id.as_str(), "9WM35C2V");
    assert_eq!(list.id.as_deref(), Some("session#1-0"));
    assert_eq!((blob.index, blob.list, blob.length_bytes), (0, 0, 11));
    assert_eq!(blob.blob_path, "c/hello.txt");
    assert_eq!(blob.file().unwrap().to_string(), "\\session#1\\hello.txt");
    let BlobKind::Block(blocks) = &blob.kind else { panic!("{blob:?}") };
    assert_eq!(blocks[0].id.unwrap(), manifest::BlockId::of_md5(&blocks[0].hash));
}

fn in_drive(content: &str) -> String {
    format!("<DriveManifest Version=\"2011-10-01\"><Drive>{content}</Drive></DriveManifest>")
}

#[test]
fn the_children_of_a_blob_may_stand_in_any_order() {
    let (start, end) = ("<DriveId>S1</DriveId><BlobList><Blob>", "</Blob></BlobList>");
    let children = [
        "<Length>1</Length>",
        "<BlockList><Block Hash=\"B10A8DB164E0754105B7A99BE72E3FE5\" Length=\"1\" Offset=\"0\"></Block></BlockList>",
        "<FilePath>f</FilePath>",
        "<PropertiesPath Hash=\" b10a8db164e0754105b7a99be72e3fe5\">p</PropertiesPath>",
        "<ImportDisposition>no-overwrite</ImportDisposition>",
        "<BlobPath>con/b</BlobPath>",
        "<ClientData>a<!-- b -->&#99;<![CDATA[<d>]]></ClientData>",
    ];
    let forwards = events(&in_drive(&format!("{start}{}{end}", children.concat())));
    let mut reversed = children;
    reversed.reverse();
    assert_eq!(events(&in_drive(&format!("{start}{}{end}", reversed.concat()))), forwards);
    let Some(ManifestEvent::Blob(blob)) = forwards.last() else { panic!("{forwards:?}") };
    assert_eq!(blob.client_data.as_deref(), Some("ac<d>"));
    assert_eq!(blob.disposition(), ImportDisposition::NoOverwrite);
    assert_eq!(blob.properties.as_ref().unwrap().file().unwrap().to_string(), "\\p");
}

#[test]
fn a_credential_is_noted_and_nowhere_kept() {
    for (element, expected) in [
        ("", Credential::Absent),
        ("<StorageAccountKey>c2VjcmV0</StorageAccountKey>", Credential::AccountKey),
        (
            "<ContainerSas> photos?sv=2014&amp;sig=secret </ContainerSas>",
            Credential::ContainerSas { container: "photos".to_owned() },
        ),
    ] {
        for content in [format!("<DriveId>S1</DriveId>{element}"), format!("{element}<DriveId>S1</DriveId>")]
        {
            let text = in_drive(&content);
            let mut reader = ManifestReader::new(text.as_bytes());
            let Some(ManifestEvent::Drive(drive)) = reader.next().unwrap() else { panic!("{content}") };
            assert_eq!((&drive.credential, reader.credential()), (&expected, &expected));
            assert!(!format!("{drive:?}").contains("secret"));
            assert_eq!(reader.next().unwrap(), None);
        }
    }
}

#[test]
fn names_keep_every_character_that_xml_can_hold() {
    let text = "\u{feff}".to_owned()
        + &in_drive(
            "<DriveId>S1</DriveId><BlobList Id=\"a&#9;b c\"><Blob><BlobPath>con/ %41+ &amp;&lt;é😀 </BlobPath>\
             <FilePath>\\ a\r\nb </FilePath><Length> 0 </Length></Blob></BlobList>",
        );
    let found = events(&text);
    let [_, ManifestEvent::List(list), ManifestEvent::Blob(blob)] = &found[..] else { panic!("{found:?}") };
    assert_eq!(list.id.as_deref(), Some("a\tb c"));
    assert_eq!(blob.blob_path, "con/ %41+ &<é😀 ");
    assert_eq!(blob.destination().unwrap().name(), " %41+ &<é😀 ");
    assert_eq!(blob.file_path, "\\ a\nb ", "line ends are normalised as XML says");
    assert_eq!(blob.length_bytes, 0);
}

#[test]
fn an_exports_manifest_is_read_with_snapshots_and_sparse_pages() {
    let found = events(&in_drive(
        "<DriveId>9WM35C3U</DriveId><ClientCreator>Windows Azure Import/Export service</ClientCreator><BlobList>\
         <Blob><BlobPath>pictures/wild/redmond.jpg</BlobPath><FilePath>\\pictures\\wild\\redmond.jpg</FilePath>\
         <Snapshot>2012-09-18T23:47:08.4Z</Snapshot><Length>15360</Length><PageRangeList>\
         <PageRange Offset=\"0\" Length=\"3584\" Hash=\"72FC55ED9AFDD40A0C8D5C4193208416\" />\
         <PageRange Offset=\"7168\" Length=\"3584\" Hash=\"68B28A561B73D1DA769D4C24AA427DB8\" />\
         <PageRange Offset=\"10752\" Length=\"512\" Hash=\"F521DF2F50C46BC5F9EA9FB787A23EED\" /></PageRangeList>\
         <PropertiesPath Hash=\"4A1D8C4F1D8F4A1D8C4F1D8F4A1D8C4F\">\\pictures\\wild\\redmond.jpg.properties</PropertiesPath>\
         </Blob></BlobList>",
    ));
    let Some(ManifestEvent::Blob(blob)) = found.last() else { panic!("{found:?}") };
    assert_eq!(blob.snapshot.as_deref(), Some("2012-09-18T23:47:08.4Z"));
    assert_eq!((blob.stated_disposition, blob.disposition()), (None, ImportDisposition::Rename));
    let BlobKind::Page(ranges) = &blob.kind else { panic!("{blob:?}") };
    assert_eq!(ranges.iter().map(|range| range.length_bytes).sum::<u64>(), 7_680);
    assert_eq!(blob.refusal(&Credential::Absent), None);
}

#[test]
fn files_for_shares_are_entries_that_the_caller_refuses() {
    let found = events(&in_drive(
        "<DriveId>S1</DriveId><BlobList><Blob><BlobPath>con/b</BlobPath><FilePath>b</FilePath><Length>0</Length>\
         </Blob></BlobList><FileList Id=\"session#1-0\"><File><FileStoragePath>share/dir/name.ext</FileStoragePath>\
         <FilePath>\\session#1\\0\\name.ext</FilePath><Length>20</Length><ImportDisposition>overwrite</ImportDisposition>\
         <FileRangeList><FileRange Offset=\"0\" Length=\"20\" Hash=\"B10A8DB164E0754105B7A99BE72E3FE5\"/></FileRangeList>\
         </File><File><FileStoragePath>share/e</FileStoragePath><FilePath>e</FilePath><Length>0</Length></File></FileList>",
    ));
    let [
        _,
        _,
        ManifestEvent::Blob(blob),
        ManifestEvent::List(list),
        ManifestEvent::Blob(file),
        ManifestEvent::Blob(empty),
    ] = &found[..]
    else {
        panic!("{found:?}");
    };
    assert_eq!((list.index, list.kind), (1, ListKind::Files));
    assert_eq!(blob.refusal(&Credential::Absent), None);
    assert_eq!((file.index, file.list, file.blob_path.as_str()), (1, 1, "share/dir/name.ext"));
    assert_eq!(file.refusal(&Credential::Absent), Some(BlobRefusal::AzureFile));
    assert_eq!(empty.kind, BlobKind::File(Vec::new()));
}

#[test]
fn what_the_format_does_not_have_is_stepped_over_with_a_warning() {
    let text = in_drive(
        "<DriveId New=\"1\">S1</DriveId><Later><Blob>x</Blob></Later><BlobList Sort=\"asc\"><Later/><Blob><BlobPath>con/b</BlobPath>\
         <FilePath>b</FilePath><Length>1</Length><BlockList><Gap/><Block Offset=\"0\" Length=\"1\" Crc=\"1\" \
         Hash=\"B10A8DB164E0754105B7A99BE72E3FE5\"/></BlockList></Blob></BlobList>",
    );
    let mut reader = ManifestReader::new(text.as_bytes());
    let mut count = 0;
    while reader.next().unwrap().is_some() {
        count += 1;
    }
    assert_eq!(count, 3);
    let ignored: Vec<&str> = reader.reports().ignored().iter().map(|place| place.element.as_str()).collect();
    assert_eq!(
        ignored,
        [
            "DriveManifest/Drive/Later",
            "DriveManifest/Drive/BlobList",
            "DriveManifest/Drive/BlobList/Later",
            "DriveManifest/Drive/BlobList/Blob/BlockList/Gap",
            "DriveManifest/Drive/BlobList/Blob/BlockList/Block",
        ]
    );
    assert_eq!(reader.seen(), (1, 1));
}

#[test]
fn a_manifest_may_have_no_list_and_lists_may_have_no_blob() {
    assert_eq!(events(&in_drive("<DriveId>S1</DriveId>")).len(), 1);
    assert_eq!(events(&in_drive("<DriveId>S1</DriveId><BlobList/><BlobList></BlobList>")).len(), 3);
}

#[test]
fn after_an_error_there_is_nothing_more() {
    let text = in_drive("<DriveId>S1</DriveId><BlobList><Blob/><Blob/></BlobList>");
    let mut reader = ManifestReader::new(text.as_bytes());
    while matches!(reader.next(), Ok(Some(_))) {}
    assert_eq!(reader.next().unwrap(), None);
}

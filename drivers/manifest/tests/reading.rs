//! Manifests that keep the rules are read as they are: azure-import-export.md §1.3, §1.12, §10.
#![allow(missing_docs, reason = "test names are sentences")]

use manifest::{BlobKind, ManifestEvent, ManifestReader};

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

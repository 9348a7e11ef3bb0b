//! The oracles, run over entries that keep the rules, and over documents with bytes changed.

use model::digest::HashText;
use model::{ImportDisposition, Md5Digest};
use proptest::prelude::*;

use super::*;
use crate::block_id::BlockId;
use crate::entry::{BlockEntry, ListHeader, ListKind, RangeEntry, SideFileRef};

const MANIFEST: &str = include_str!("../../tests/corpus/manifest.xml");
const JOURNAL: &str = include_str!("../../tests/corpus/journal.jrn");
const ITEM: &str = include_str!("../../tests/corpus/drive.json");
const DRIVE_LOG: &str = include_str!("../../tests/golden/drive_verbose.xml");
const COPY_LOG: &str = include_str!("../../tests/golden/copy.xml");
const METADATA: &str = "<?xml version='1.0'?><Metadata><a>1 &amp; 2</a><b_2/></Metadata>";
const PROPERTIES: &str = "<Properties><Content-Type>a/b</Content-Type><Content-MD5>Q2hlY2sgSW50ZWdyaXR5IQ==</Content-MD5></Properties>";

/// Text that XML can hold.
fn text() -> impl Strategy<Value = String> {
    proptest::collection::vec(
        prop_oneof![
            any::<char>().prop_map(|c| if is_writable(c.encode_utf8(&mut [0; 4])) { c } else { '?' }),
            proptest::sample::select(vec!['\r', '\n', '\t', ' ', '&', '<', '>', '"', ']', '/', '\\'])
        ],
        0..20,
    )
    .prop_map(|characters| characters.into_iter().collect())
}

fn digest() -> impl Strategy<Value = Md5Digest> {
    any::<[u8; 16]>().prop_map(Md5Digest)
}

fn side_file() -> impl Strategy<Value = Option<SideFileRef>> {
    let hash = prop_oneof![digest().prop_map(HashText::Md5), any::<[u8; 32]>().prop_map(HashText::Sha256)];
    proptest::option::of((text(), hash).prop_map(|(path, hash)| SideFileRef { path, hash }))
}

/// Blocks in a row: of the tool's ids, of numbers as ids, or without.
fn blocks() -> impl Strategy<Value = (u64, BlobKind)> {
    let parts = proptest::collection::vec((1..1u64 << 20, digest()), 0..8);
    (parts, 0..3u8).prop_map(|(parts, ids)| {
        let mut end = 0;
        let block = |(index, (length_bytes, hash)): (u32, (u64, Md5Digest))| {
            let id = match ids {
                0 => None,
                1 => Some(BlockId::of_md5(&hash)),
                _ => Some(BlockId::new(&index.to_le_bytes()).unwrap()),
            };
            let offset_bytes = end;
            end += length_bytes;
            BlockEntry { offset_bytes, length_bytes, id, hash }
        };
        let blocks = (0..).zip(parts).map(block).collect();
        (end, BlobKind::Block(blocks))
    })
}

/// Ranges with gaps: of pages, or of a file.
fn ranges() -> impl Strategy<Value = (u64, BlobKind)> {
    let parts = proptest::collection::vec((0..9u64, 1..=8_192u64, digest()), 0..8);
    (parts, any::<bool>(), 0..3u64).prop_map(|(parts, paged, tail)| {
        let unit = if paged { 512 } else { 1 };
        let mut end = 0;
        let range = |(gap, length, hash)| {
            let offset_bytes = end + gap * unit;
            end = offset_bytes + length * unit;
            RangeEntry { offset_bytes, length_bytes: length * unit, hash }
        };
        let ranges = parts.into_iter().map(range).collect();
        (end + tail * unit, if paged { BlobKind::Page(ranges) } else { BlobKind::File(ranges) })
    })
}

fn entry() -> impl Strategy<Value = BlobEntry> {
    let dispositions = proptest::sample::select(vec![
        None,
        Some(ImportDisposition::Rename),
        Some(ImportDisposition::NoOverwrite),
        Some(ImportDisposition::Overwrite),
    ]);
    let texts = (text(), text(), proptest::option::of(text()), proptest::option::of(text()));
    (texts, dispositions, prop_oneof![blocks(), ranges()], side_file(), side_file()).prop_map(
        |(texts, stated_disposition, (length_bytes, kind), metadata, properties)| BlobEntry {
            index: 0,
            list: 0,
            blob_path: texts.0,
            file_path: texts.1,
            length_bytes,
            stated_disposition,
            kind,
            metadata,
            properties,
            client_data: texts.2,
            snapshot: texts.3,
        },
    )
}

fn drive() -> DriveHeader {
    DriveHeader {
        version: WRITTEN_VERSION.to_owned(),
        drive_id: model::DriveId::new("9WM35C2V").unwrap(),
        credential: Credential::Absent,
        client_creator: Some("a <test> & more".to_owned()),
    }
}

/// A list that can hold the entry.
fn list_for(entry: &BlobEntry) -> ListHeader {
    let kind = match entry.kind {
        BlobKind::File(_) => ListKind::Files,
        BlobKind::Block(_) | BlobKind::Page(_) => ListKind::Blobs,
    };
    ListHeader { index: 0, kind, id: None, metadata: None, properties: None }
}

/// One list an entry, in the order of a manifest.
fn events_of(entries: Vec<(BlobEntry, Option<String>)>) -> Vec<ManifestEvent> {
    let mut events = vec![ManifestEvent::Drive(drive())];
    for (index, (entry, id)) in (0..).zip(entries) {
        events.push(ManifestEvent::List(ListHeader { index, id, ..list_for(&entry) }));
        events.push(ManifestEvent::Blob(BlobEntry { index, list: index, ..entry }));
    }
    events
}

/// Changes bytes of a document: the way most hostile ones are hit on.
fn mutated(document: &'static str) -> impl Strategy<Value = Vec<u8>> {
    let change = (any::<proptest::sample::Index>(), 0..5u8, any::<u8>());
    proptest::collection::vec(change, 1..4).prop_map(move |changes| {
        let mut bytes = document.as_bytes().to_vec();
        for (index, kind, value) in changes {
            let at = index.index(bytes.len().max(1)).min(bytes.len().saturating_sub(1));
            match kind {
                _ if bytes.is_empty() => bytes.push(value),
                0 => bytes[at] = value,
                1 => bytes.truncate(at),
                2 => drop(bytes.remove(at)),
                3 => bytes.insert(at, b"<>&\"'/0 "[usize::from(value) % 8]),
                _ => {
                    // A piece of the document again: elements stand twice.
                    let end = bytes.len().min(at + usize::from(value));
                    let piece = bytes[at..end].to_vec();
                    bytes.splice(at..at, piece);
                }
            }
        }
        bytes
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn a_manifest_that_is_written_reads_back(entries in proptest::collection::vec((entry(), proptest::option::of(text())), 0..5)) {
        let events = events_of(entries);
        let manifest = written(&events);
        prop_assert_eq!(&strictly(&manifest).unwrap(), &events);
        fuzz_manifest(&manifest);
    }

    #[test]
    fn a_manifest_with_changed_bytes_keeps_the_oracle(bytes in mutated(MANIFEST)) {
        fuzz_manifest(&bytes);
    }

    #[test]
    fn a_journal_with_changed_bytes_keeps_the_oracle(bytes in mutated(JOURNAL)) {
        fuzz_job_entry(&bytes);
    }

    #[test]
    fn an_item_with_changed_bytes_keeps_the_oracle(bytes in mutated(ITEM)) {
        fuzz_job_entry(&bytes);
    }

    #[test]
    fn logs_with_changed_bytes_keep_the_oracle(bytes in prop_oneof![mutated(DRIVE_LOG), mutated(COPY_LOG)]) {
        fuzz_logs(&bytes);
    }

    #[test]
    fn logs_of_any_records_read_back(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        fuzz_logs(&bytes);
    }

    #[test]
    fn side_files_with_changed_bytes_keep_the_oracle(bytes in prop_oneof![mutated(METADATA), mutated(PROPERTIES)]) {
        fuzz_side_files(&bytes);
    }

    #[test]
    fn any_bytes_keep_every_oracle(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        fuzz_manifest(&bytes);
        fuzz_job_entry(&bytes);
        fuzz_logs(&bytes);
        fuzz_side_files(&bytes);
    }
}

#[test]
fn the_corpus_is_what_it_should_be() {
    assert_eq!(strictly(MANIFEST.as_bytes()).unwrap().len(), 8);
    for document in [JOURNAL, ITEM] {
        assert_eq!(JobEntry::parse(document.as_bytes(), None).unwrap().drive_id.as_str(), "9WM35C2V");
        fuzz_job_entry(document.as_bytes());
    }
    fuzz_manifest(MANIFEST.as_bytes());
    fuzz_logs(DRIVE_LOG.as_bytes());
    fuzz_side_files(METADATA.as_bytes());
    fuzz_side_files(PROPERTIES.as_bytes());
}

//! Manifests, side files, blob lists and job entries. Oracle: what is accepted keeps the format's rules.

use manifest::{
    BlobEntry, BlobKind, BlobListReader, JobEntry, ManifestEvent, ManifestReader, Metadata, Properties,
    RangeEntry,
};

/// The bytes are read as each kind of document. Says whether they were one.
pub fn manifest(data: &[u8]) -> bool {
    let strict = events(ManifestReader::new(data));
    let checking = events(ManifestReader::checking(data));
    if let Some(strict) = &strict {
        assert_eq!(
            Some(strict),
            checking.as_ref(),
            "what the strict reader takes, the checking one takes too"
        );
    }
    strict.iter().chain(&checking).flatten().for_each(check);
    strict.is_some() || is_side_file(data) || is_blob_list(data) || JobEntry::parse(data, None).is_ok()
}

/// What is read from a side file is read again from what is written of it.
fn is_side_file(data: &[u8]) -> bool {
    let metadata = Metadata::parse(data).ok();
    if let Some(metadata) = &metadata {
        assert_eq!(Metadata::parse(metadata.to_xml().as_bytes()).ok().as_ref(), Some(metadata));
    }
    let properties = Properties::parse(data).ok();
    if let Some(properties) = &properties {
        let kept = Properties { ignored: Vec::new(), ..properties.clone() };
        assert_eq!(Properties::parse(properties.to_xml().as_bytes()).ok(), Some(kept));
    }
    metadata.is_some() || properties.is_some()
}

fn is_blob_list(data: &[u8]) -> bool {
    let mut blobs = BlobListReader::new(data);
    loop {
        match blobs.next() {
            Ok(Some(_)) => {}
            Ok(None) => return true,
            Err(_) => return false,
        }
    }
}

/// Every event; `None` when reading failed.
fn events(mut reader: ManifestReader<&[u8]>) -> Option<Vec<ManifestEvent>> {
    let mut events = Vec::new();
    while let Some(event) = reader.next().ok()? {
        events.push(event);
    }
    Some(events)
}

fn check(event: &ManifestEvent) {
    let ManifestEvent::Blob(blob) = event else { return };
    match &blob.kind {
        BlobKind::Block(blocks) if blocks.is_empty() => {}
        BlobKind::Block(blocks) => {
            let covered = blocks.iter().fold(0, |position, block| {
                assert!(block.offset_bytes == position && block.length_bytes > 0, "{blob:?}");
                position + block.length_bytes
            });
            assert_eq!(covered, blob.length_bytes, "{blob:?}");
            let named_count = blocks.iter().filter(|block| block.id.is_some()).count();
            assert!(named_count == 0 || named_count == blocks.len(), "{blob:?}");
        }
        BlobKind::Page(ranges) | BlobKind::File(ranges) => check_ranges(blob, ranges),
    }
    // Asking is allowed for every entry, whatever the answer.
    let _ = (blob.destination(), blob.file(), blob.disposition());
}

fn check_ranges(blob: &BlobEntry, ranges: &[RangeEntry]) {
    let mut free_from = 0;
    for range in ranges {
        assert!(range.offset_bytes >= free_from && range.length_bytes > 0, "{blob:?}");
        free_from = range.offset_bytes + range.length_bytes;
    }
    assert!(free_from <= blob.length_bytes, "{blob:?}");
}

//! Entry points for fuzzing, each with an exact oracle. Feature `fuzzing`, and this crate's tests.
//!
//! | entry | oracle |
//! | --- | --- |
//! | [`fuzz_manifest`] | strict and checking reading agree; what is read keeps the rules, counted anew; written and read again it is the same |
//! | [`fuzz_job_entry`] | what is read, written as JSON and as a journal, is read the same |
//! | [`fuzz_logs`] | foreign logs never panic; records made of the bytes, written, are read the same |
//! | [`fuzz_side_files`] | what is read, written, is read the same |

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "an oracle is there to panic"
)]

mod logs;

use std::collections::HashMap;

use crate::entry::{BlobEntry, BlobKind, Credential, DriveHeader};
use crate::job_entry::JobEntry;
use crate::limits;
use crate::reader::{ManifestError, ManifestEvent, ManifestFault, ManifestReader, ProblemKind};
use crate::side_file::{Metadata, Properties};
use crate::writer::{ManifestWriter, WRITTEN_VERSION};
use crate::xml::is_writable;

pub use logs::fuzz_logs;

/// Reads the bytes as a manifest.
pub fn fuzz_manifest(data: &[u8]) {
    let strict = strictly(data);
    agrees_with_checking(data, &strict);
    let Ok(events) = strict else { return };
    for event in &events {
        if let ManifestEvent::Blob(entry) = event {
            keeps_the_rules(entry);
        }
    }
    let written = written(&events);
    let again = strictly(&written).expect("what was read is a manifest");
    assert_eq!(again, events.into_iter().map(without_credential).collect::<Vec<_>>());
}

/// Reads the bytes as a job entry.
pub fn fuzz_job_entry(data: &[u8]) {
    let Ok(entry) = JobEntry::parse(data, None) else { return };
    let key = entry.bitlocker_key.as_ref().map(|key| key.expose().to_owned());
    let hash = entry.manifest_hash.to_string();
    let json = serde_json::json!({
        "driveId": entry.drive_id.as_str(), "bitLockerKey": key,
        "manifestFile": entry.manifest_file, "manifestHash": hash,
    });
    is_same_entry(&JobEntry::parse(json.to_string().as_bytes(), None).expect("an item"), &entry);
    let key = key.unwrap_or_default();
    let texts = [entry.drive_id.as_str(), &entry.manifest_file, &key];
    // A journal's values are trimmed, and its own brackets end them.
    let plain = |text: &&str| is_writable(text) && text.trim() == *text && !text.contains('[');
    if !texts.iter().all(plain) {
        return;
    }
    let [id, file, key] = texts.map(crate::xml::text);
    let journal = format!(
        "[BeginUpdateRecord][2015/02/05 20:09:26.325][Type:ActivityRecord]\nDriveState: [BeginValue]\n\
         <Drive><DriveId>{id}</DriveId><BitLockerKey>{key}</BitLockerKey><ManifestFile>{file}</ManifestFile>\
         <ManifestHash>{hash}</ManifestHash></Drive>\n[EndValue]\n[EndUpdateRecord]\n"
    );
    is_same_entry(&JobEntry::parse(journal.as_bytes(), None).expect("a journal"), &entry);
}

/// Reads the bytes as a metadata file and as a properties file.
pub fn fuzz_side_files(data: &[u8]) {
    if let Ok(metadata) = Metadata::parse(data) {
        let total: usize = metadata.pairs().iter().map(|(name, value)| name.len() + value.len()).sum();
        assert!(total <= limits::METADATA_BYTES_MAX);
        assert_eq!(Metadata::parse(metadata.to_xml().as_bytes()).as_ref(), Ok(&metadata));
    }
    if let Ok(properties) = Properties::parse(data) {
        let read = Properties::parse(properties.to_xml().as_bytes());
        assert_eq!(read, Ok(Properties { ignored: Vec::new(), ..properties }));
    }
}

fn strictly(data: &[u8]) -> Result<Vec<ManifestEvent>, ManifestError> {
    let mut reader = ManifestReader::new(data);
    let mut events = Vec::new();
    while let Some(event) = reader.next()? {
        events.push(event);
    }
    Ok(events)
}

/// Strict reading gives the events of checking, or the first rule that checking reports.
fn agrees_with_checking(data: &[u8], strict: &Result<Vec<ManifestEvent>, ManifestError>) {
    let mut reader = ManifestReader::checking(data);
    let mut events = Vec::new();
    let stopped = loop {
        match reader.next() {
            Ok(Some(event)) => events.push(event),
            Ok(None) => break None,
            Err(error) => break Some(error),
        }
    };
    let reports = reader.into_reports();
    let first = reports.problems().iter().find_map(|problem| match &problem.kind {
        ProblemKind::Rule(rule) => Some((problem.place(), rule)),
        ProblemKind::Blob(_) | ProblemKind::SideFile { .. } => None,
    });
    match (strict, first, &stopped) {
        (Ok(expected), None, None) => assert_eq!(&events, expected),
        (Err(error), Some((place, rule)), _) => {
            assert_eq!((error.place(), rule_of(error)), (place, rule));
        }
        (Err(error), None, Some(stopped)) => {
            assert_eq!((error.place(), rule_of(error)), (stopped.place(), rule_of(stopped)));
        }
        other => panic!("strict and checking disagree: {other:?}"),
    }
}

fn rule_of(error: &ManifestError) -> &crate::rule::Rule {
    match error.fault() {
        ManifestFault::Rule(rule) => rule,
        ManifestFault::Read(source) => panic!("memory cannot be read: {source}"),
    }
}

/// The rules of lists, counted in another way than the reader does.
fn keeps_the_rules(entry: &BlobEntry) {
    match &entry.kind {
        BlobKind::Block(blocks) => {
            let starts = blocks.iter().scan(0, |end, block| {
                let start = *end;
                *end += block.length_bytes;
                Some(start)
            });
            assert!(starts.eq(blocks.iter().map(|block| block.offset_bytes)));
            assert_eq!(blocks.iter().map(|block| block.length_bytes).sum::<u64>(), entry.length_bytes);
            assert!(blocks.iter().all(|block| (1..=limits::BLOCK_BYTES_MAX).contains(&block.length_bytes)));
            assert!(blocks.len() <= limits::BLOCKS_MAX);
            let mut by_id = HashMap::new();
            for block in blocks {
                assert_eq!(block.id.is_some(), blocks[0].id.is_some());
                let Some(id) = block.id else { continue };
                assert_eq!(id.as_bytes().len(), blocks[0].id.unwrap().as_bytes().len());
                let meaning = (block.hash, block.length_bytes);
                assert_eq!(*by_id.entry(id).or_insert(meaning), meaning);
            }
            let small = entry.length_bytes <= limits::BLOB_BYTES_WITHOUT_IDS_MAX;
            assert!(small || blocks[0].id.is_some());
        }
        BlobKind::Page(ranges) | BlobKind::File(ranges) => {
            let ends =
                || ranges.iter().map(|range| range.offset_bytes.checked_add(range.length_bytes).unwrap());
            assert!(ends().all(|end| end <= entry.length_bytes));
            assert!(ends().zip(ranges.iter().skip(1)).all(|(end, next)| end <= next.offset_bytes));
            assert!(ranges.iter().all(|range| (1..=limits::RANGE_BYTES_MAX).contains(&range.length_bytes)));
            if matches!(entry.kind, BlobKind::Page(_)) {
                let aligned = |bytes: u64| bytes.is_multiple_of(limits::PAGE_BYTES);
                assert!(aligned(entry.length_bytes));
                assert!(
                    ranges.iter().all(|range| aligned(range.offset_bytes) && aligned(range.length_bytes))
                );
            }
        }
    }
}

fn written(events: &[ManifestEvent]) -> Vec<u8> {
    let Some((ManifestEvent::Drive(drive), rest)) = events.split_first() else {
        panic!("the drive comes first");
    };
    let mut writer = ManifestWriter::new(Vec::new(), drive).expect("readable is writable");
    for event in rest {
        match event {
            ManifestEvent::Drive(_) => panic!("a drive comes once"),
            ManifestEvent::List(list) => writer.list(list).expect("readable is writable"),
            ManifestEvent::Blob(entry) => writer.blob(entry).expect("readable is writable"),
        }
    }
    writer.finish().expect("memory")
}

fn without_credential(event: ManifestEvent) -> ManifestEvent {
    match event {
        ManifestEvent::Drive(drive) => ManifestEvent::Drive(DriveHeader {
            credential: Credential::Absent,
            version: WRITTEN_VERSION.to_owned(),
            ..drive
        }),
        other => other,
    }
}

fn is_same_entry(found: &JobEntry, expected: &JobEntry) {
    let key = |entry: &JobEntry| entry.bitlocker_key.as_ref().map(|key| key.expose().to_owned());
    assert_eq!(found.drive_id, expected.drive_id);
    assert_eq!(found.manifest_file, expected.manifest_file);
    assert_eq!(found.manifest_hash, expected.manifest_hash);
    assert!(key(found) == key(expected), "the keys differ");
}

#[cfg(test)]
mod tests;

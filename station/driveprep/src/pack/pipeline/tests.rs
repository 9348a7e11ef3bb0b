//! The pipeline against targets that fail, and every file with its digests.

use std::fs;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::AtomicU64;

use block::WriteErrorKind;
use digests::md5_of;

use super::*;
use crate::pack::slab::{Cutter, Place, SLAB_BYTES_MIN, Shape};
use crate::pack::source::LocalFiles;
use crate::work::{Builder, Dataset, FileFacts, ItemKind};

/// A volume in memory that fails at one of its writes.
struct Medium {
    bytes: Mutex<Vec<u8>>,
    writes_left: AtomicU64,
}

impl WriteAt for Medium {
    fn write_all_at(&self, data: &mut [u8], offset_bytes: u64) -> Result<(), WriteError> {
        if self
            .writes_left
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1))
            .is_err()
        {
            let kind = WriteErrorKind::Medium;
            return Err(WriteError { offset_bytes, length_bytes: data.len(), kind, source: None });
        }
        let at = usize::try_from(offset_bytes).unwrap();
        self.bytes.lock().unwrap()[at..at + data.len()].copy_from_slice(data);
        // What a cipher leaves behind.
        data.fill(0xEE);
        Ok(())
    }

    fn flush(&self) -> Result<(), WriteError> {
        Ok(())
    }
}

fn content(index: u64, length: usize) -> Vec<u8> {
    (0..length as u64).map(|at| u8::try_from((at * 31 + index * 7 + at / 4_099) % 251).unwrap()).collect()
}

fn work_of(folder: &Path, lengths: &[usize], content_md5: bool) -> Work {
    let mut builder = Builder::new("session-1".parse().unwrap());
    let root = builder
        .dataset(Dataset {
            source: folder.to_owned(),
            is_directory: true,
            destination: "con/".to_owned(),
            drive_directory: String::new(),
            disposition: model::ImportDisposition::Rename,
            metadata: None,
            properties: None,
            content_md5,
            block_length: manifest::BlockLength::default(),
        })
        .unwrap();
    for (index, length) in lengths.iter().enumerate() {
        let name = format!("{index:04}");
        fs::write(folder.join(&name), content(index as u64, *length)).unwrap();
        let found = fs::metadata(folder.join(&name)).unwrap();
        use std::os::unix::fs::MetadataExt;
        let facts = FileFacts {
            kind: ItemKind::Block,
            length_bytes: found.len(),
            allocated_bytes: found.len(),
            modified_nanoseconds: found.mtime() * 1_000_000_000 + found.mtime_nsec(),
            accessed_nanoseconds: 0,
        };
        builder.file(root, &name, &facts).unwrap();
    }
    builder.finish()
}

/// Where each file lies: one behind the other from 1 MiB on.
fn place(work: &Work, item: ItemId) -> Place {
    let before = work.items().take_while(|other| other.id != item);
    let clusters: u64 = before.map(|other| other.length_bytes().next_multiple_of(4_096)).sum();
    let length_bytes = work.item(item).length_bytes().next_multiple_of(4_096);
    Place { file_offset_bytes: 0, volume_offset_bytes: (1 << 20) + clusters, length_bytes }
}

fn copy(work: &Work, medium: &Medium, first_slab: u64, stop: &AtomicBool) -> Result<Vec<Done>, WriteError> {
    let buffers = Buffers::new(SLAB_BYTES_MIN, 4 * SLAB_BYTES_MIN, 4).unwrap();
    let sources = LocalFiles { work };
    let pipeline = Pipeline { work, sources: &sources, target: medium, buffers: &buffers, stop, first_slab };
    let mut all = Vec::new();
    let result = pipeline.run(
        |full| {
            let mut cutter = Cutter::new(SLAB_BYTES_MIN, 4_096);
            for item in work.items() {
                let shape = Shape {
                    item: item.id,
                    kind: item.kind(),
                    length_bytes: item.length_bytes(),
                    part_bytes: item.part_bytes(),
                    data: None,
                };
                if !cutter.file(shape, &[place(work, item.id)], &mut *full) {
                    return;
                }
            }
            if let Some(last) = cutter.finish() {
                full(last);
            }
        },
        |done| {
            all.push(done);
            Ok::<(), WriteError>(())
        },
    );
    assert_eq!(buffers.free.len(), buffers.count, "every buffer is back");
    result.map(|()| all)
}

fn medium(writes: u64) -> Medium {
    Medium { bytes: Mutex::new(vec![0xAA; 64 << 20]), writes_left: AtomicU64::new(writes) }
}

const LENGTHS: [usize; 9] = [0, 1, 4_095, 4_096, 70_000, (9 << 20) + 5, 3, 5 << 20, 100];

#[test]
fn every_file_is_on_the_volume_and_its_digests_are_told_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let work = work_of(folder.path(), &LENGTHS, true);
    let medium = medium(u64::MAX);
    let done = copy(&work, &medium, 0, &AtomicBool::new(false)).unwrap();
    let bytes = medium.bytes.into_inner().unwrap();
    let hashed: Vec<Hashed> = done.iter().flat_map(|done| done.hashed.clone()).collect();
    assert!(hashed.is_sorted_by_key(|hash| (hash.item, hash.offset_bytes)));
    let whole: BTreeMap<ItemId, Md5Digest> = done.iter().flat_map(|done| done.whole.clone()).collect();
    assert_eq!(done.iter().map(|done| done.file_count).sum::<u64>(), LENGTHS.len() as u64);
    for item in work.items() {
        let expected = content(item.id.0.into(), LENGTHS[item.id.0 as usize]);
        let place = place(&work, item.id);
        let stored = &bytes[usize::try_from(place.volume_offset_bytes).unwrap()..]
            [..usize::try_from(place.length_bytes).unwrap()];
        assert_eq!(&stored[..expected.len()], expected);
        assert!(stored[expected.len()..].iter().all(|byte| *byte == 0), "the tail carries nothing");
        let of_item = hashed.iter().filter(|hash| hash.item == item.id);
        let digests: Vec<Md5Digest> = of_item.map(|hash| hash.md5).collect();
        assert_eq!(digests, expected.chunks(4 << 20).map(md5_of).collect::<Vec<_>>());
        assert_eq!(whole[&item.id], md5_of(&expected));
    }
}

#[test]
fn a_copy_that_goes_on_from_a_slab_gives_the_same_digests_for_the_rest() {
    let folder = tempfile::tempdir().unwrap();
    let work = work_of(folder.path(), &LENGTHS, true);
    let (whole, rest) = (medium(u64::MAX), medium(u64::MAX));
    let all = copy(&work, &whole, 0, &AtomicBool::new(false)).unwrap();
    for from in 1..all.len() {
        let later = copy(&work, &rest, from as u64, &AtomicBool::new(false)).unwrap();
        assert_eq!(later.len(), all.len() - from);
        for (later, first) in later.iter().zip(&all[from..]) {
            assert_eq!((&later.hashed, &later.whole), (&first.hashed, &first.whole), "from {from}");
        }
    }
}

#[test]
fn a_medium_that_fails_at_any_write_ends_the_copy_with_its_error() {
    let folder = tempfile::tempdir().unwrap();
    let work = work_of(folder.path(), &LENGTHS, false);
    let all = copy(&work, &medium(u64::MAX), 0, &AtomicBool::new(false)).unwrap().len();
    let mut failed = 0;
    for writes in 0.. {
        match copy(&work, &medium(writes), 0, &AtomicBool::new(false)) {
            Err(error) => assert_eq!(error.kind, WriteErrorKind::Medium),
            Ok(done) => {
                assert_eq!(done.len(), all);
                break;
            }
        }
        failed += 1;
    }
    assert!(failed >= all, "{failed} writes of {all} slabs");
}

#[test]
fn files_that_changed_are_told_and_nobody_elses_bytes_stand_for_them() {
    let folder = tempfile::tempdir().unwrap();
    let work = work_of(folder.path(), &LENGTHS, false);
    fs::remove_file(folder.path().join("0000")).unwrap();
    fs::write(folder.path().join("0003"), "longer or shorter").unwrap();
    fs::write(folder.path().join("0005"), vec![1; 9 << 20]).unwrap();
    let medium = medium(u64::MAX);
    let done = copy(&work, &medium, 0, &AtomicBool::new(false)).unwrap();
    let mut faults: Vec<u32> = done.iter().flat_map(|done| &done.faults).map(|(item, _)| item.0).collect();
    faults.dedup();
    assert_eq!(faults, [0, 3, 5]);
    let place = place(&work, ItemId(3));
    let at = usize::try_from(place.volume_offset_bytes).unwrap();
    assert_eq!(medium.bytes.into_inner().unwrap()[at..at + 4_096], [0; 4_096]);
}

#[test]
fn a_copy_that_is_stopped_finishes_what_it_began_and_nothing_more() {
    let folder = tempfile::tempdir().unwrap();
    let work = work_of(folder.path(), &LENGTHS, false);
    assert!(copy(&work, &medium(u64::MAX), 0, &AtomicBool::new(true)).unwrap().is_empty());
}

//! The builder's other promises: random trees, sources that change while they are copied, writes
//! that are cut off, and every error.

#![allow(clippy::cast_possible_truncation, reason = "numbers of a test are small")]

#[path = "common/built.rs"]
mod built;

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use block::{SharedDevice, WriteAt, WriteError};
use built::{
    File, MIB, SparseMemory, Tree, assert_holds, assert_sound, noise, open, placed, settings, write_data,
};
use ntfs::build::{
    BuildError, Builder, Clash, DirectoryId, DirectorySpec, FileSpec, MetadataError, NameFault, PlacedFile,
    PlanError, Settings,
};
use ntfs::{Limits, Volume};
use proptest::prelude::*;

/// A random file: an ordinary one, or a sparse one.
fn file() -> impl Strategy<Value = File> {
    let ordinary = (any::<u64>(), 0_usize..150_000).prop_map(|(seed, length)| File::new(noise(seed, length)));
    let sparse = proptest::collection::vec((1_u64..300_000, 1_usize..90_000), 0..12).prop_map(|pieces| {
        let mut at = 0;
        let mut data = Vec::new();
        for (gap, length) in pieces {
            at += gap;
            data.push((at, noise(at, length)));
            at += length as u64;
        }
        File::sparse(at + at % 5_000, data)
    });
    prop_oneof![3 => ordinary, 1 => sparse]
}

/// A random tree: each entry goes into a directory that is there already.
fn tree() -> impl Strategy<Value = Tree> {
    let name = prop_oneof![
        "[a-z]{1,12}",
        "[A-Zäöü ]{1,40}\\.[a-z]{3}",
        "[α-ω\u{1f600}-\u{1f64f}]{1,60}",
        "x{200,240}"
    ];
    let entry = (any::<proptest::sample::Index>(), name, proptest::option::weighted(0.8, file()));
    proptest::collection::vec(entry, 0..60).prop_map(|entries| {
        let mut tree = Tree::default();
        let mut parents = vec![String::new()];
        for (number, (parent, name, file)) in entries.into_iter().enumerate() {
            let parent = parent.get(&parents).clone();
            // The number makes it the only one of its name.
            let path = format!("{parent}{number} {}", name.trim());
            match file {
                Some(file) => tree.file(&path, file),
                None => {
                    tree.directory(&path);
                    parents.push(format!("{path}/"));
                }
            }
        }
        tree
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn any_tree_comes_back_whole_and_sound(
        tree in tree(),
        cluster_shift in 9_u32..17,
        is_placed: bool,
        changes in proptest::collection::vec((any::<proptest::sample::Index>(), proptest::option::of(0.0_f64..1.0)), 0..6),
    ) {
        let cluster_bytes = 1_u32 << cluster_shift;
        let placed = if is_placed { placed(cluster_bytes.into()) } else { Vec::new() };
        let settings = Settings { cluster_bytes: Some(cluster_bytes), placed, ..settings(64 * MIB) };
        let memory = SparseMemory::new(settings.volume_bytes, 512);
        let (mut plan, ids) = tree.plan(settings.clone());
        let mut before = 0;
        for ((_, file), id) in tree.files.iter().zip(&ids) {
            for extent in plan.extents(*id) {
                prop_assert!(extent.volume_offset_bytes >= before, "data goes forward only");
                before = extent.volume_offset_bytes + extent.length_bytes;
            }
            write_data(&plan, *id, file, &memory);
        }
        // Some sources are shorter than they were, or cannot be read at all.
        let mut files: BTreeMap<usize, Option<File>> =
            tree.files.iter().map(|(_, file)| Some(file.clone())).enumerate().collect();
        for (which, share) in changes.iter().filter(|_| !tree.files.is_empty()) {
            let at = which.index(tree.files.len());
            let Some(file) = &mut files.get_mut(&at).unwrap() else { continue };
            match share {
                Some(share) => {
                    #[allow(clippy::cast_precision_loss, clippy::cast_sign_loss, reason = "any shorter length will do")]
                    let length = (file.length_bytes as f64 * share) as u64;
                    plan.set_length(ids[at], length).unwrap();
                    file.length_bytes = length;
                }
                None => {
                    plan.omit(ids[at]);
                    files.insert(at, None);
                }
            }
        }
        plan.write(&memory, &mut |_| {}).unwrap();
        let left = files.into_iter().filter_map(|(at, file)| Some((tree.files[at].0.clone(), file?)));
        let expected = Tree { directories: tree.directories.clone(), files: left.collect() };
        let device: SharedDevice = Arc::new(memory);
        assert_sound(&device, &settings);
        assert_holds(&open(device), &expected, &settings);
    }
}

/// A directory whose index takes three blocks more when its eighth file is left out: see the test of
/// `build::tree` with the same lengths.
fn tree_whose_index_grows() -> Tree {
    let mut tree = Tree::default();
    tree.directory("d");
    for n in 0..115_usize {
        let units = match n % 8 {
            7 => 6,
            6 => 155,
            _ => 255,
        };
        tree.file(&format!("d/{n:06}{}", "x".repeat(units - 6)), File::new(noise(n as u64, 10)));
    }
    tree
}

#[test]
fn an_index_that_grows_because_a_file_is_left_out_finds_another_place() {
    let mut tree = tree_whose_index_grows();
    let settings = settings(64 * MIB);
    // The second time nothing more fits on the volume.
    for filled_bytes in [0, 1 << 40] {
        let memory = SparseMemory::new(settings.volume_bytes, 512);
        let mut builder = Builder::new(settings.clone()).unwrap();
        tree.add_to(&mut builder);
        let free_bytes = builder.plan().unwrap().free_bytes();
        let spare_bytes = 21 * 4096;
        let filler = free_bytes.saturating_sub(spare_bytes).min(filled_bytes);
        if filler > 0 {
            tree.file("filler", File::sparse(filler, vec![(0, vec![0]), (filler - 1, vec![0])]));
            tree.files.last_mut().unwrap().1.is_sparse = false;
        }
        let (mut plan, ids) = tree.plan(settings.clone());
        assert!(filler == 0 || plan.free_bytes() == spare_bytes, "{}", plan.free_bytes());
        for ((_, file), id) in tree.files.iter().zip(&ids).take(115) {
            write_data(&plan, *id, file, &memory);
        }
        plan.omit(ids[7]);
        plan.write(&memory, &mut |_| {}).unwrap();
        let mut expected = tree.clone();
        expected.files.remove(7);
        let device: SharedDevice = Arc::new(memory);
        assert_sound(&device, &settings);
        assert_holds(&open(device), &expected, &settings);
    }
}

/// Writes that work until so many are done, and then no more.
struct Failing {
    memory: SparseMemory,
    left: AtomicU64,
}

impl WriteAt for Failing {
    fn write_all_at(&self, data: &mut [u8], offset_bytes: u64) -> Result<(), WriteError> {
        let spend = |left: u64| left.checked_sub(1);
        if self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, spend).is_err() {
            return Err(WriteError::from_io(offset_bytes, data.len(), std::io::Error::from_raw_os_error(5)));
        }
        self.memory.write_all_at(data, offset_bytes)
    }

    fn flush(&self) -> Result<(), WriteError> {
        Ok(())
    }
}

#[test]
fn a_volume_whose_writing_was_cut_off_does_not_open_or_is_whole() {
    let mut tree = Tree::default();
    tree.directory("d");
    for n in 0..300 {
        tree.file(&format!("d/file number {n}"), File::new(noise(n, 5000)));
    }
    let settings = Settings { placed: placed(4096), ..settings(64 * MIB) };
    let mut cut_off = 0;
    for writes in 0.. {
        // The drive held another volume before.
        let memory = SparseMemory::new(settings.volume_bytes, 512);
        Tree::default().build(settings.clone(), &memory);
        let (plan, ids) = tree.plan(settings.clone());
        plan.invalidate(&memory).unwrap();
        assert!(Volume::open(Arc::new(memory.clone()), Limits::default(), &mut |_| {}).is_err());
        for ((_, file), id) in tree.files.iter().zip(&ids) {
            write_data(&plan, *id, file, &memory);
        }
        let failing = Failing { memory: memory.clone(), left: AtomicU64::new(writes) };
        let written = plan.write(&failing, &mut |_| {});
        match Volume::open(Arc::new(memory.clone()), Limits::default(), &mut |_| {}) {
            Err(_) => {
                assert!(matches!(written, Err(MetadataError::Write { .. })));
                cut_off += 1;
            }
            Ok(volume) => {
                // With the copy of the boot sector alone all of it is there too.
                for (path, _) in &tree.files {
                    volume.resolve(&path.replace('/', "\\")).unwrap();
                }
            }
        }
        if written.is_ok() {
            // And what was cut off is finished by writing again.
            let device: SharedDevice = Arc::new(memory);
            assert_sound(&device, &settings);
            assert_holds(&open(device), &tree, &settings);
            break;
        }
        plan.write(&memory, &mut |_| {}).unwrap();
        assert_sound(&(Arc::new(memory) as SharedDevice), &settings);
    }
    assert!(cut_off > 5, "only {cut_off} places to be cut off at");
}

fn builder() -> Builder {
    Builder::new(settings(64 * MIB)).unwrap()
}

fn refused(settings: Settings) -> BuildError {
    Builder::new(settings).map(|_| ()).unwrap_err()
}

#[test]
fn pre_placed_files_that_cannot_be_there_are_refused() {
    let at = |offset_bytes, length_bytes| PlacedFile { name: "cover".to_owned(), offset_bytes, length_bytes };
    let reason = |placed: Vec<PlacedFile>| match refused(Settings { placed, ..settings(64 * MIB) }) {
        BuildError::Placed { reason, .. } => reason,
        other => panic!("{other}"),
    };
    assert_eq!(reason(vec![at(MIB + 512, 4096)]), "it does not begin at a cluster");
    assert_eq!(reason(vec![at(MIB, 0)]), "it is empty");
    assert_eq!(reason(vec![at(4096, 4096)]), "its clusters are another file's");
    assert_eq!(reason(vec![at(MIB, 4097), at(MIB + 4096, 1)]), "its clusters are another file's");
    assert_eq!(reason(vec![at(64 * MIB - 4096, 4096)]), "it leaves the volume");
    assert_eq!(reason(vec![at(MIB, u64::MAX)]), "it leaves the volume");
    let bad_name = PlacedFile { name: "a/b".to_owned(), ..at(MIB, 1) };
    assert!(matches!(
        refused(Settings { placed: vec![bad_name], ..settings(64 * MIB) }),
        BuildError::Name { .. }
    ));
    let label = "x".repeat(33);
    assert!(matches!(refused(Settings { label, ..settings(64 * MIB) }), BuildError::Label { units: 33, .. }));
}

#[test]
fn names_and_sizes_that_ntfs_cannot_hold_are_refused_with_their_path() {
    let mut builder = builder();
    let directory = builder.directory(DirectoryId::ROOT, "a", &DirectorySpec::default()).unwrap();
    let error = builder.file(directory, "b:c", &FileSpec::default()).unwrap_err();
    let fault = NameFault::Character { character: ':' };
    assert_eq!(error, BuildError::Name { path: "\\a\\b:c".to_owned(), fault });
    let error = builder.directory(directory, "..", &DirectorySpec::default()).unwrap_err();
    assert_eq!(error, BuildError::Name { path: "\\a\\..".to_owned(), fault: NameFault::Dots });
    let long = FileSpec { length_bytes: (16 << 40) - 65_535, ..FileSpec::default() };
    let error = builder.file(directory, "long", &long).unwrap_err();
    assert!(
        matches!(error, BuildError::TooLong { length_max_bytes, .. } if length_max_bytes == (16 << 40) - 65_536)
    );
    // A directory of another builder, whose number here is a file's or nobody's.
    let mut other = self::builder();
    let mut strange = directory;
    for n in 0..3 {
        strange = other.directory(DirectoryId::ROOT, &n.to_string(), &DirectorySpec::default()).unwrap();
    }
    let error = builder.file(strange, "x", &FileSpec::default()).unwrap_err();
    assert_eq!(error, BuildError::NoDirectory { name: "x".to_owned() });
}

#[test]
#[allow(clippy::reversed_empty_ranges, clippy::single_range_in_vec_init, reason = "what is refused")]
fn ranges_of_a_sparse_file_are_ascending_and_inside() {
    let mut builder = builder();
    let mut refused = |data: Vec<Range<u64>>| {
        let spec = FileSpec { length_bytes: 100_000, data: Some(data), ..FileSpec::default() };
        match builder.file(DirectoryId::ROOT, "sparse", &spec) {
            Err(BuildError::Ranges { start, end, length_bytes: 100_000, .. }) => (start, end),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(refused(vec![5..5]), (5, 5));
    assert_eq!(refused(vec![7..5]), (7, 5));
    assert_eq!(refused(vec![0..10, 9..20]), (9, 20));
    assert_eq!(refused(vec![50..60, 10..20]), (10, 20));
    assert_eq!(refused(vec![0..100_001]), (0, 100_001));
}

#[test]
fn names_that_differ_only_by_case_are_refused_with_both_paths() {
    let mut builder = Builder::new(Settings { placed: placed(4096), ..settings(64 * MIB) }).unwrap();
    let directory = builder.directory(DirectoryId::ROOT, "Dir", &DirectorySpec::default()).unwrap();
    for (parent, name) in [
        (directory, "Straße"),
        (directory, "é"),
        (directory, "STRASSE"),
        (directory, "É"),
        (DirectoryId::ROOT, "DIR"),
        (DirectoryId::ROOT, "$mft"),
        (DirectoryId::ROOT, "system volume INFORMATION"),
    ] {
        builder.file(parent, name, &FileSpec::default()).unwrap();
    }
    let Err(PlanError::Clashes { clashes, total }) = builder.plan() else { panic!("names clash") };
    let mut found: Vec<(String, String)> =
        clashes.into_iter().map(|Clash { first, second }| (first, second)).collect();
    found.sort();
    let pair = |one: &str, other: &str| (one.to_owned(), other.to_owned());
    let expected = [
        pair("\\$MFT", "\\$mft"),
        pair("\\Dir", "\\DIR"),
        pair("\\Dir\\é", "\\Dir\\É"),
        pair("\\System Volume Information", "\\system volume INFORMATION"),
    ];
    assert_eq!((found.as_slice(), total), (&expected[..], 4));
}

#[test]
fn what_does_not_fit_is_told_with_what_would() {
    let plan = |length_bytes: u64| {
        let mut builder = builder();
        builder.file(DirectoryId::ROOT, "large", &FileSpec { length_bytes, ..FileSpec::default() }).unwrap();
        builder.plan()
    };
    let Err(PlanError::Full { needed_bytes, free_bytes }) = plan(64 * MIB) else { panic!("it cannot fit") };
    let length = 64 * MIB - (needed_bytes - free_bytes);
    let full = plan(length).unwrap();
    assert_eq!(full.free_bytes(), 0);
    assert!(matches!(plan(length + 1), Err(PlanError::Full { .. })));
    let memory = SparseMemory::new(64 * MIB, 512);
    assert_eq!(full.write(&memory, &mut |_| {}).unwrap().free_bytes, 0);
    assert_sound(&(Arc::new(memory) as SharedDevice), &settings(64 * MIB));
}

#[test]
fn what_must_lie_in_one_run_is_not_torn_apart() {
    // Holes of 60 KiB only, and an index of more.
    let places =
        (1..1_000).map(|n| PlacedFile { name: n.to_string(), offset_bytes: n * 65_536, length_bytes: 4096 });
    let mut builder = Builder::new(Settings { placed: places.collect(), ..settings(64 * MIB) }).unwrap();
    for n in 0..200 {
        builder.file(DirectoryId::ROOT, &format!("{n}{}", "x".repeat(200)), &FileSpec::default()).unwrap();
    }
    assert!(matches!(builder.plan(), Err(PlanError::Scattered { .. })));
}

#[test]
fn a_file_of_too_many_ranges_is_refused_by_name() {
    let mut builder = Builder::new(settings(1 << 42)).unwrap();
    let data = (0..2_000_000_u64).map(|n| n * 262_144..n * 262_144 + 1).collect();
    let spec = FileSpec { length_bytes: 2_000_000 * 262_144, data: Some(data), ..FileSpec::default() };
    builder.file(DirectoryId::ROOT, "confetti", &spec).unwrap();
    let Err(PlanError::TooManyRanges { path, ranges }) = builder.plan() else {
        panic!("the list is too long")
    };
    assert_eq!((path.as_str(), ranges), ("\\confetti", 2_000_000));
}

#[test]
fn a_file_becomes_shorter_and_never_longer() {
    let mut builder = builder();
    let spec = FileSpec { length_bytes: 10_000, ..FileSpec::default() };
    let file = builder.file(DirectoryId::ROOT, "manifest", &spec).unwrap();
    let mut plan = builder.plan().unwrap();
    let error = plan.set_length(file, 10_001).unwrap_err();
    assert_eq!(
        (error.path.as_str(), error.planned_bytes, error.length_bytes),
        ("\\manifest", 10_000, 10_001)
    );
    plan.set_length(file, 10).unwrap();
    let lengths: Vec<u64> = plan.extents(file).map(|extent| extent.length_bytes).collect();
    assert_eq!((lengths.as_slice(), plan.path(file).as_str()), (&[10][..], "\\manifest"));
    plan.set_length(file, 0).unwrap();
    assert_eq!(plan.extents(file).count(), 0);
}

//! What is known of each whole image in fixtures/ntfs.

mod common;

use common::{content, whole};
use ntfs::{LogFile, ReparseTag, ResolveError, StreamContent, Volume};

/// Name; files and directories; bytes of all contents; state of `$LogFile`.
const KNOWN: [(&str, usize, u64, LogFile); 11] = [
    ("ntfs-2m", 3, 88, LogFile::Clean),
    ("ntfs-ramslack", 7, 6_707, LogFile::Clean),
    ("ntfs-ptrn", 9, 1_405, LogFile::Clean),
    ("ntfs-lastaccess", 8, 360, LogFile::Clean),
    ("dirty-big-win", 0, 0, LogFile::Unclean),
    ("tiny", 11, 2_934, LogFile::Unclean),
    ("charlie", 3, 5_012, LogFile::Clean),
    ("ntfs-links", 8, 259_184, LogFile::Unclean),
    ("own-features", 4_524, 16_977_143, LogFile::Empty),
    ("own-vdl", 1, 100_000, LogFile::Empty),
    ("own-index-cycle", 4_524, 16_977_143, LogFile::Empty),
];

#[test]
fn every_whole_image_opens_with_all_its_files_and_no_problem() {
    for (name, entries, bytes, log_file) in KNOWN {
        let Some(volume) = whole(name).volume("every_whole_image_opens") else { continue };
        let listed: Vec<_> = volume.files().collect();
        let found: u64 = listed.iter().filter_map(|entry| entry.length_bytes).sum();
        let health = volume.health();
        assert_eq!((listed.len(), found, health.log_file), (entries, bytes, log_file), "{name}");
        assert_eq!(health.problems.kept(), [], "{name}");
        assert!(!health.dirty && !health.hibernated && !health.mirror_differs, "{name}");
        assert_eq!(health.is_sound(), log_file != LogFile::Unclean, "{name}");
    }
}

#[test]
fn every_listed_path_resolves_to_its_file() {
    for (name, ..) in KNOWN {
        let Some(volume) = whole(name).volume("every_listed_path_resolves") else { continue };
        for entry in volume.files() {
            let path = format!("\\{}", entry.path).to_uppercase();
            match volume.resolve(&path) {
                Ok(file) => assert_eq!(file, entry.file, "{name}: {path}"),
                Err(ResolveError::NotAFile { .. }) => assert!(entry.is_directory, "{name}: {path}"),
                Err(ResolveError::Reparse { tag, .. }) => assert_eq!(Some(tag), entry.reparse_tag),
                // Only Unicode's upper case of a name that NTFS does not change.
                Err(error) => assert!(!path.is_ascii(), "{name}: {path}: {error}"),
            }
        }
    }
}

#[test]
fn the_label_is_read() {
    for (name, label) in [("ntfs-2m", "2M"), ("own-features", "FEAT")] {
        let Some(volume) = whole(name).volume("the_label_is_read") else { continue };
        assert_eq!(volume.label().as_deref(), Some(label), "{name}");
    }
}

#[test]
fn bytes_past_the_initialised_size_read_as_zeros() {
    let Some(volume) = whole("own-vdl").volume("bytes_past_the_initialised_size") else { return };
    let file = volume.resolve("data.bin").unwrap();
    let stream = volume.stream(file, None).unwrap();
    assert_eq!((stream.length_bytes, stream.initialized_bytes), (100_000, 10_000));
    let StreamContent::Extents(extents) = &stream.content else { panic!("{stream:?}") };
    assert!(extents.last().unwrap().volume_offset_bytes.is_none());
    let bytes = content(&volume, file, None);
    assert!(bytes[..10_000].iter().any(|&byte| byte != 0) && bytes[10_000..].iter().all(|&byte| byte == 0));
}

#[test]
fn a_junction_is_not_followed_and_a_hard_link_is_one_file() {
    let Some(volume) = whole("ntfs-links").volume("a_junction_is_not_followed") else { return };
    let component = "valve".to_owned();
    let refused = ResolveError::Reparse { component, tag: ReparseTag::JUNCTION };
    assert_eq!(volume.resolve("dota2\\valve\\gaben.jpg"), Err(refused));
    let file = volume.resolve("valve/gaben.jpg").unwrap();
    assert_eq!(volume.resolve("HALF-LIFE/gabe newell.JPG"), Ok(file));
    assert_eq!(volume.paths(file).len(), 2);
}

#[test]
fn compressed_streams_and_streams_over_many_records_are_among_the_images() {
    let Some(volume) = whole("own-features").volume("compressed_streams") else { return };
    let streams = || volume.files().flat_map(|entry| volume.streams(entry.file));
    assert!(streams().filter(|stream| stream.is_compressed).count() >= 2);
    assert!(streams().any(|stream| !stream.name.is_empty()));
    let many = |volume: &Volume| {
        let contents = volume.files().filter_map(|entry| volume.stream(entry.file, None).ok());
        contents
            .filter_map(|stream| match stream.content {
                StreamContent::Extents(extents) => Some(extents.len()),
                _ => None,
            })
            .max()
    };
    assert!(many(&volume) > Some(500), "{:?}", many(&volume));
    let Some(volume) = whole("charlie").volume("compressed_streams") else { return };
    let file = volume.resolve("nine.txt").unwrap();
    assert_eq!(volume.streams(file).len(), 4);
}

//! Volumes made by the builder, read back by our own reader and by everybody else's.

#![allow(clippy::cast_possible_truncation, reason = "numbers of a test are small")]

#[path = "common/built.rs"]
mod built;

use std::collections::BTreeMap;
use std::sync::Arc;

use block::SharedDevice;
use built::{File, SparseMemory, TIME, Tree, noise, settings};
use ntfs::build::{Attributes, FileTime, PlacedFile, Settings, Times};
use ntfs::{Limits, Volume};

const MIB: u64 = 1 << 20;

/// A bit of everything.
fn rich_tree() -> Tree {
    let mut tree = Tree::default();
    tree.directory("sizes");
    let edges = [0_usize, 1, 511, 512, 513, 4095, 4096, 4097, 65_535, 65_536, 65_537, 1 << 20, 3_000_001];
    for length in edges {
        tree.file(&format!("sizes/{length} bytes"), File::new(noise(length as u64, length)));
    }
    tree.directory("names");
    let names = [
        "ÄÖÜ ß.txt",
        "日本語.dat",
        "\u{1f600}\u{10ffff}.bin",
        "A",
        "FILE0001.TXT",
        ".hidden",
        "a b  c",
        "x+y=z;[1],",
    ];
    for name in names {
        tree.file(&format!("names/{name}"), File::new(name.as_bytes().to_vec()));
    }
    let long = "ü".repeat(255);
    tree.directory(&format!("names/{long}"));
    tree.file(&format!("names/{long}/{}", "\u{1f4be}".repeat(127)), File::new(noise(255, 5_000)));
    let mut deep = String::from("deep");
    tree.directory(&deep);
    for level in 0..60 {
        deep.push_str(&format!("/level {level}"));
        tree.directory(&deep);
    }
    tree.file(&format!("{deep}/bottom"), File::new(b"found".to_vec()));
    tree.directory("many");
    for n in 0..3_000 {
        tree.file(
            &format!("many/file {n:04} of three thousand.dat"),
            File::new(noise(n, (n % 700) as usize)),
        );
    }
    tree.directory("empty");
    let mut odd = File::new(b"odd".to_vec());
    odd.times = Times {
        created: FileTime(TIME.0 + 1),
        modified: FileTime(TIME.0 + 20_000_000),
        changed: FileTime(TIME.0 + 3),
        accessed: FileTime(TIME.0 + 4),
    };
    odd.attributes = Attributes::READ_ONLY | Attributes::HIDDEN | Attributes::ARCHIVE;
    tree.file("odd.txt", odd);
    tree.directory("sparse");
    tree.file("sparse/middle", File::sparse(3 * MIB, vec![(MIB, noise(1, 100_000))]));
    tree.file("sparse/ends", File::sparse(2 * MIB + 5, vec![(0, noise(2, 10)), (2 * MIB, noise(3, 5))]));
    tree.file("sparse/nothing", File::sparse(5 * MIB, vec![]));
    tree.file("sparse/empty", File::sparse(0, vec![]));
    tree.file("sparse/whole", File::sparse(8192, vec![(0, noise(4, 8192))]));
    tree
}

/// Files where BitLocker would have its areas.
fn placed(cluster_bytes: u64) -> Vec<PlacedFile> {
    let place = |name: &str, at: u64, length_bytes| PlacedFile {
        name: name.to_owned(),
        offset_bytes: (at * MIB).next_multiple_of(cluster_bytes),
        length_bytes,
    };
    vec![
        place("FVE2.{e40ad34d-dae9-4bc7-95bd-b16218c10f72}.1", 9, 65_536),
        place("FVE2.{24e6f0ae-6a00-4f73-984b-75ce9942852d}", 10, 8192),
        place("FVE2.{e40ad34d-dae9-4bc7-95bd-b16218c10f72}.2", 13, 65_536),
        place("FVE2.{e40ad34d-dae9-4bc7-95bd-b16218c10f72}.3", 40, 65_536),
    ]
}

fn open(device: SharedDevice) -> Volume {
    Volume::open(device, Limits::default(), &mut |_| {}).unwrap()
}

/// Everything that the tree has, nothing else, and no problem.
fn assert_holds(volume: &Volume, tree: &Tree, settings: &Settings) {
    let health = volume.health();
    assert!(health.is_sound() && !health.mirror_differs, "{health:?}");
    let mut expected: BTreeMap<String, Option<&File>> = tree.expected();
    let covers: Vec<(String, File)> = settings
        .placed
        .iter()
        .map(|file| {
            (format!("System Volume Information\\{}", file.name), File::sparse(file.length_bytes, vec![]))
        })
        .collect();
    if !covers.is_empty() {
        expected.insert("System Volume Information".to_owned(), None);
    }
    expected.extend(covers.iter().map(|(path, file)| (path.clone(), Some(file))));
    let found: BTreeMap<String, bool> =
        volume.files().map(|entry| (entry.path.to_string(), entry.is_directory)).collect();
    let paths: BTreeMap<String, bool> =
        expected.iter().map(|(path, file)| (path.clone(), file.is_none())).collect();
    assert_eq!(found, paths);
    for (path, file) in expected {
        let Some(file) = file else { continue };
        let id = volume.resolve(&path).unwrap();
        let stream = volume.stream(id, None).unwrap();
        assert_eq!(stream.length_bytes, file.length_bytes, "{path}");
        let mut content = vec![0xaa; file.length_bytes as usize];
        assert_eq!(volume.read_at(&stream, 0, &mut content).unwrap(), content.len(), "{path}");
        assert!(content == file.content(), "{path} differs");
    }
}

#[test]
fn a_rich_volume_is_what_our_reader_finds() {
    let tree = rich_tree();
    for placed in [Vec::new(), placed(4096)] {
        let settings = Settings { placed, ..settings(64 * MIB) };
        let memory = SparseMemory::new(settings.volume_bytes, 512);
        let built = tree.build(settings.clone(), &memory);
        assert_eq!(built.files, tree.files.len() as u64 + settings.placed.len() as u64);
        let volume = open(Arc::new(memory));
        assert_eq!(volume.label().as_deref(), Some("Fünf Bücher"));
        assert_holds(&volume, &tree, &settings);
    }
}

#[test]
fn the_same_calls_give_the_same_bytes() {
    let tree = rich_tree();
    let pages = || {
        let memory = SparseMemory::new(64 * MIB, 512);
        tree.build(Settings { placed: placed(4096), ..settings(64 * MIB) }, &memory);
        memory.pages()
    };
    assert!(pages() == pages());
}

//! Volumes made by the builder, judged by programs that others wrote. spec/ntfs.md §6.
//!
//! `rust-fs-ntfs` reads everything; ntfsresize, ntfsfix and PhantomTrace account for clusters and
//! records; 7-Zip, The Sleuth Kit and ntfs-3g read every file. checkdisk, the strictest of all, needs
//! Python 3.13, and Microsoft's chkdsk a Windows: neither is here.

#![allow(clippy::cast_possible_truncation, reason = "numbers of a test are small")]

#[path = "common/built.rs"]
mod built;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;

use block::{FileDevice, ReadAt, SharedDevice};
use built::{File, MIB, Tree, Unflushed, assert_sound, noise, placed, rich_tree, settings};
use fs_ntfs::attr_io::AttrType;
use fs_ntfs::block_io::BlockIo;
use fs_ntfs::read;
use ntfs::build::Settings;

/// A volume in a file, gone when dropped.
struct Image {
    folder: tempfile::TempDir,
    tree: Tree,
}

impl Image {
    fn new(tree: Tree, settings: &Settings) -> Image {
        let folder = tempfile::tempdir().unwrap();
        let image = Image { folder, tree };
        let file = fs::File::options().read(true).write(true).create_new(true).open(image.path()).unwrap();
        file.set_len(settings.volume_bytes).unwrap();
        image.tree.build(settings.clone(), &Unflushed(&file));
        assert_sound(&image.device(), settings);
        image
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("volume.img")
    }

    fn device(&self) -> SharedDevice {
        Arc::new(FileDevice::open(&self.path()).unwrap())
    }

    /// What a reader should find in files, by path with `/`.
    fn contents(&self) -> BTreeMap<String, Vec<u8>> {
        self.tree.files.iter().map(|(path, file)| (path.clone(), file.content())).collect()
    }
}

/// Volumes of several cluster sizes, with and without pre-placed files.
fn images() -> Vec<(&'static str, Image)> {
    let plain = settings(64 * MIB);
    let sized = |cluster_bytes: u32| Settings {
        cluster_bytes: Some(cluster_bytes),
        placed: placed(cluster_bytes.into()),
        ..plain.clone()
    };
    vec![
        ("rich", Image::new(rich_tree(), &plain)),
        ("rich, placed", Image::new(rich_tree(), &sized(4096))),
        ("clusters of 512", Image::new(shattered_tree(), &sized(512))),
        ("clusters of 64 KiB", Image::new(few_files(), &sized(65_536))),
        (LARGE_CLUSTERS, Image::new(shattered_tree(), &sized(65_536))),
    ]
}

/// Where clusters are larger than index blocks, The Sleuth Kit 4.11 and rust-fs-ntfs 0.10 find only
/// the first block of each cluster, and 7-Zip 16.02 refuses sparse streams: ntfs-3g reads it all.
const LARGE_CLUSTERS: &str = "clusters of 64 KiB, with long indexes and sparse files";

/// The volumes that everybody here can read.
fn easy_images() -> impl Iterator<Item = (&'static str, Image)> {
    images().into_iter().filter(|(name, _)| *name != LARGE_CLUSTERS)
}

fn few_files() -> Tree {
    let mut tree = Tree::default();
    tree.directory("few");
    for length in [0_usize, 1, 4096, 65_535, 65_536, 65_537, 1_000_000] {
        tree.file(&format!("few/{length}"), File::new(noise(length as u64, length)));
    }
    tree
}

/// Files in so many pieces that their records overflow, and what makes indexes deep.
fn shattered_tree() -> Tree {
    let mut tree = Tree::default();
    let piece = |n: u64| (n * 140_000, noise(n, 700));
    tree.file("shattered", File::sparse(280 * 140_000, (0..280).map(piece).collect()));
    tree.directory("many");
    for n in 0..200 {
        tree.file(&format!("many/{n} {}", "x".repeat(200)), File::new(noise(n, 70)));
    }
    tree
}

/// Runs a program, or says that it is not there.
fn run(test: &str, program: &str, arguments: &[&str]) -> Option<Output> {
    match Command::new(program).args(arguments).env("LC_ALL", "C.UTF-8").env("TZ", "UTC").output() {
        Ok(output) => Some(output),
        Err(_) => {
            eprintln!("skipped: {test}: {program} is not installed");
            None
        }
    }
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()).into_owned()
}

#[test]
fn checkers_of_others_find_nothing_wrong() {
    let test = "checkers_of_others_find_nothing_wrong";
    for (name, image) in easy_images() {
        let path = image.path();
        let path = path.to_str().unwrap();
        for (program, arguments, says) in [
            ("ntfsresize", vec!["--info", "-f", path], "You might resize at"),
            ("ntfsfix", vec!["-n", path], "was processed successfully"),
            ("7z", vec!["t", "-tntfs", path], "Everything is Ok"),
            ("fsstat", vec![path], "Volume Serial Number: 1122334455667788"),
        ] {
            let Some(output) = run(test, program, &arguments) else { continue };
            let text = text(&output);
            assert!(output.status.success() && text.contains(says), "{name}: {program}: {text}");
        }
    }
}

/// Where `cargo rig setup` installs it.
fn phantom_trace() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("../rig/python/bin/phantom-trace")
}

#[test]
fn phantom_trace_finds_no_contradiction() {
    let program = phantom_trace();
    if !program.exists() {
        eprintln!("skipped: phantom_trace_finds_no_contradiction: {} is not there", program.display());
        return;
    }
    for (name, image) in images() {
        let output = Command::new(&program).arg(image.path()).output().unwrap();
        let text = text(&output);
        let sound = output.status.success() && text.contains("No cross-layer inconsistencies found");
        assert!(sound, "{name}: {text}");
    }
}

#[test]
fn the_sleuth_kit_finds_every_name_and_every_byte() {
    let test = "the_sleuth_kit_finds_every_name_and_every_byte";
    for (name, image) in easy_images() {
        let path = image.path();
        let path = path.to_str().unwrap();
        let Some(listed) = run(test, "fls", &["-r", "-p", "-u", "-F", path]) else { return };
        assert!(listed.status.success(), "{name}: {}", text(&listed));
        let listed = String::from_utf8(listed.stdout).unwrap();
        // `r/r 64-128-2:	path`; alternate streams and the file system's own files apart.
        let records: BTreeMap<&str, &str> = listed
            .lines()
            .filter_map(|line| line.strip_prefix("r/r ")?.split_once(":\t"))
            .map(|(inode, path)| (path, inode))
            .filter(|(path, _)| !path.starts_with('$'))
            .collect();
        let contents = image.contents();
        for (path_on_volume, content) in &contents {
            assert!(
                records.contains_key(path_on_volume.as_str()),
                "{name}: fls does not show {path_on_volume}"
            );
            // One process a file: a sample of the many small ones is enough.
            if path_on_volume.starts_with("many/") && !path_on_volume.ends_with('7') {
                continue;
            }
            let read = run(test, "icat", &[path, records[path_on_volume.as_str()]]).unwrap();
            assert!(read.status.success() && read.stdout == *content, "{name}: icat of {path_on_volume}");
        }
        let shown = records.keys().filter(|path| !path.starts_with("System Volume Information/")).count();
        assert_eq!(shown, contents.len(), "{name}");
    }
}

#[test]
fn ntfs_3g_mounts_it_and_reads_every_byte() {
    let test = "ntfs_3g_mounts_it_and_reads_every_byte";
    if fs::File::options().read(true).write(true).open("/dev/fuse").is_err() {
        eprintln!("skipped: {test}: /dev/fuse is not there");
        return;
    }
    for (name, image) in images() {
        let target = tempfile::tempdir().unwrap();
        let (path, at) = (image.path(), target.path().to_str().unwrap().to_owned());
        let Some(mounted) = run(test, "ntfs-3g", &["-o", "ro,norecover", path.to_str().unwrap(), &at]) else {
            return;
        };
        assert!(mounted.status.success(), "{name}: {}", text(&mounted));
        let read = read_tree(target.path());
        let unmounted = Command::new("fusermount3").args(["-u", &at]).status().unwrap();
        assert!(unmounted.success(), "{name}");
        let mut expected: BTreeMap<String, Option<Vec<u8>>> =
            image.contents().into_iter().map(|(path, content)| (path, Some(content))).collect();
        expected.extend(image.tree.directories.iter().map(|path| (path.clone(), None)));
        let found: BTreeMap<_, _> =
            read.into_iter().filter(|(path, _)| !path.starts_with("System Volume Information")).collect();
        let names = |map: &BTreeMap<String, Option<Vec<u8>>>| map.keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(&found), names(&expected), "{name}");
        for (path, content) in expected {
            assert!(found[&path] == content, "{name}: {path} differs");
        }
    }
}

/// Everything below a folder; `None` for directories.
fn read_tree(root: &Path) -> BTreeMap<String, Option<Vec<u8>>> {
    let mut found = BTreeMap::new();
    let mut open = vec![root.to_owned()];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
            if path.is_dir() {
                found.insert(name, None);
                open.push(path);
            } else {
                found.insert(name, Some(fs::read(&path).unwrap()));
            }
        }
    }
    found
}

#[test]
fn ntfs_3g_shows_the_times_and_attributes() {
    let test = "ntfs_3g_shows_the_times_and_attributes";
    let image = Image::new(rich_tree(), &settings(64 * MIB));
    let path = image.path();
    let Some(output) = run(test, "ntfsinfo", &["-F", "/odd.txt", path.to_str().unwrap()]) else { return };
    let text = text(&output);
    for expected in ["READONLY HIDDEN ARCHIVE (0x00000023)", "File Altered Time:\t Tue Nov 24 00:00:02 2026"]
    {
        assert!(text.contains(expected), "{expected}: {text}");
    }
    let Some(output) = run(test, "ntfsinfo", &["-F", "/sparse/middle", path.to_str().unwrap()]) else {
        return;
    };
    let text = self::text(&output);
    // 100,000 bytes at 1 MiB: two units of 64 KiB.
    for expected in ["SPARSE_FILE (0x00000200)", "Compressed size:\t 131072", "Data size:\t\t 3145728"] {
        assert!(text.contains(expected), "{expected}: {text}");
    }
}

struct Theirs(SharedDevice);

impl BlockIo for Theirs {
    fn read_exact_at(&mut self, offset: u64, buffer: &mut [u8]) -> Result<(), String> {
        ReadAt::read_exact_at(&self.0, buffer, offset).map_err(|error| error.to_string())
    }

    fn write_all_at(&mut self, _: u64, _: &[u8]) -> Result<(), String> {
        Err("read only".to_owned())
    }

    fn size(&self) -> u64 {
        self.0.length_bytes()
    }
}

#[test]
fn rust_fs_ntfs_walks_every_index_and_reads_every_byte() {
    for (name, image) in easy_images() {
        let mut theirs = Theirs(image.device());
        let mut found = BTreeMap::new();
        let mut open = vec![(String::new(), 5)];
        while let Some((path, record)) = open.pop() {
            let entries = read::read_dir_entries(&mut theirs, record).unwrap();
            for entry in entries.into_iter().filter(read::listed_to_hosts) {
                let child = if path.is_empty() { entry.name } else { format!("{path}/{}", entry.name) };
                if entry.is_dir {
                    open.push((child, entry.record_number));
                } else {
                    let content =
                        read::read_attribute_value(&mut theirs, entry.record_number, AttrType::Data, None)
                            .unwrap();
                    found.insert(child, content);
                }
            }
        }
        found.retain(|path, _| !path.starts_with("System Volume Information/") && !path.starts_with('$'));
        let expected = image.contents();
        let names = |map: &BTreeMap<String, Vec<u8>>| map.keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(&found), names(&expected), "{name}");
        for (path, content) in expected {
            assert!(found[&path] == content, "{name}: {path} differs");
        }
    }
}

//! Two other readers on the same images: `rust-fs-ntfs` and ntfs-3g. spec/ntfs.md §1.
//!
//! Names, sizes and SHA-256 of all files must agree. Where one of them is known to be wrong or to
//! refuse, the difference stands in a list here, with its reason; what is not in it fails.

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;

use block::{ReadAt, SharedDevice};
use common::{Fixture, WHOLE, hex, sha256};
use fs_ntfs::attr_io::AttrType;
use fs_ntfs::block_io::BlockIo;
use fs_ntfs::read;
use ntfs::Volume;
use sha2::{Digest, Sha256};

/// Directories that `rust-fs-ntfs` 0.10.2 cannot list: it does not follow an index that is split
/// over records, and refuses an index node that points to itself. We do not read indexes.
const UNLISTED: [(&str, &str); 2] = [("own-features", "frag"), ("own-index-cycle", "frag")];

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

/// Path to record number, for what we list.
fn ours(volume: &Volume) -> BTreeMap<String, (u64, bool)> {
    volume.files().map(|e| (e.path.to_string(), (e.file.record, e.is_directory))).collect()
}

#[test]
fn names_agree_with_rust_fs_ntfs_in_every_directory_that_it_can_list() {
    for fixture in &WHOLE {
        let Some(device) = fixture.device("names_agree_with_rust_fs_ntfs") else { continue };
        let volume = common::open(device.clone());
        let mut theirs = Theirs(device);
        let mut found = BTreeMap::new();
        let mut unlisted = Vec::new();
        let mut open = vec![(String::new(), 5)];
        while let Some((path, record)) = open.pop() {
            let Ok(entries) = read::read_dir_entries(&mut theirs, record) else {
                unlisted.push(path);
                continue;
            };
            for entry in entries.into_iter().filter(read::listed_to_hosts) {
                let child = if path.is_empty() { entry.name } else { format!("{path}\\{}", entry.name) };
                if entry.is_dir {
                    open.push((child.clone(), entry.record_number));
                }
                found.insert(child, (entry.record_number, entry.is_dir));
            }
        }
        let known: Vec<_> = UNLISTED
            .iter()
            .filter(|(name, _)| *name == fixture.name)
            .map(|(_, path)| path.to_string())
            .collect();
        assert_eq!(unlisted, known, "{}", fixture.name);
        let mut expected = ours(&volume);
        expected.retain(|path, _| !known.iter().any(|known| path.starts_with(&format!("{known}\\"))));
        assert_same(fixture.name, &found, &expected);
    }
}

#[test]
fn contents_agree_with_rust_fs_ntfs_in_every_stream() {
    // Stays 0 where the fixtures are not there, which the messages say.
    let mut streams = 0;
    for fixture in &WHOLE {
        let Some(device) = fixture.device("contents_agree_with_rust_fs_ntfs") else { continue };
        let volume = common::open(device.clone());
        let mut theirs = Theirs(device);
        for entry in volume.files().filter(|entry| !entry.is_directory) {
            for listed in volume.streams(entry.file) {
                let name = (!listed.name.is_empty()).then(|| String::from_utf16(&listed.name).unwrap());
                let stream = volume.stream(entry.file, name.as_deref()).unwrap();
                let record = entry.file.record;
                let value =
                    read::read_attribute_value(&mut theirs, record, AttrType::Data, name.as_deref()).unwrap();
                let place = format!("{}: {} {name:?}", fixture.name, entry.path);
                assert_eq!(stream.length_bytes, value.len() as u64, "{place}");
                let expected = hex(&Sha256::digest(&value));
                assert_eq!(sha256(&volume, &stream, u64::MAX).unwrap(), expected, "{place}");
                streams += 1;
            }
        }
    }
    assert!(streams == 0 || streams > 9_000, "only {streams} streams were compared");
}

/// An image mounted by ntfs-3g, until it is dropped.
struct Mounted(tempfile::TempDir);

impl Mounted {
    /// `None`, with a message, where FUSE or ntfs-3g is missing.
    fn new(test: &str, image: &Path) -> Option<Mounted> {
        let available = Command::new("ntfs-3g").arg("--version").output().is_ok();
        if !available || File::options().read(true).write(true).open("/dev/fuse").is_err() {
            eprintln!("skipped: {test}: ntfs-3g or /dev/fuse is missing");
            return None;
        }
        let target = tempfile::tempdir().unwrap();
        let options = "ro,streams_interface=xattr,norecover,hide_dot_files";
        let mounted =
            Command::new("ntfs-3g").args(["-o", options]).arg(image).arg(target.path()).output().unwrap();
        if mounted.status.success() {
            return Some(Mounted(target));
        }
        eprintln!("skipped: {test}: {}", String::from_utf8_lossy(&mounted.stderr));
        None
    }

    /// All names below, with the SHA-256 of the files that can be read.
    fn files(&self) -> BTreeMap<String, Option<String>> {
        let mut found = BTreeMap::new();
        let mut open = vec![PathBuf::new()];
        while let Some(folder) = open.pop() {
            for entry in fs::read_dir(self.0.path().join(&folder)).unwrap() {
                let entry = entry.unwrap();
                let path = folder.join(entry.file_name());
                let kind = entry.file_type().unwrap();
                let hash = kind.is_file().then(|| hash_file(&entry.path()));
                if kind.is_dir() {
                    open.push(path.clone());
                }
                found.insert(path.to_str().unwrap().replace('/', "\\"), hash);
            }
        }
        found
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let unmounted = Command::new("fusermount").arg("-u").arg(self.0.path()).status();
        if !unmounted.is_ok_and(|status| status.success()) {
            let _ = Command::new("umount").arg(self.0.path()).status();
        }
    }
}

fn hash_file(path: &Path) -> String {
    let mut hash = Sha256::new();
    let mut file = File::open(path).unwrap();
    let mut buffer = vec![0; 1 << 20];
    loop {
        match file.read(&mut buffer).unwrap() {
            0 => return hex(&hash.finalize()),
            length => hash.update(&buffer[..length]),
        }
    }
}

/// A link as Interix made them, and ntfs-3g does: a small file to NTFS and to Windows, whose content
/// ntfs-3g shows as a symbolic link.
const INTERIX_LINKS: [(&str, &str); 1] = [("own-features", "links\\sym")];

/// Images that ntfs-3g cannot be asked about.
const UNMOUNTED: [(&str, &str); 1] =
    [("own-index-cycle", "a look-up in the directory whose index points to itself never ends")];

fn compare_with_ntfs_3g(test: &str, fixture: &Fixture) {
    let Some(path) = fixture.path(test) else { return };
    let volume = fixture.volume(test).unwrap();
    let Some(mounted) = Mounted::new(&format!("{test} {}", fixture.name), &path) else { return };
    let mut expected = BTreeMap::new();
    for entry in volume.files() {
        let path = entry.path.to_string();
        let interix = INTERIX_LINKS.contains(&(fixture.name, path.as_str()));
        // ntfs-3g shows a junction as a symbolic link, which has no content.
        let plain = !entry.is_directory && entry.reparse_tag.is_none() && !interix;
        let hash = plain.then(|| {
            let stream = volume.stream(entry.file, None).unwrap();
            sha256(&volume, &stream, u64::MAX).unwrap()
        });
        expected.insert(path, hash);
    }
    assert_same(fixture.name, &mounted.files(), &expected);
}

/// Names only the paths that differ.
fn assert_same<V: PartialEq + std::fmt::Debug>(
    image: &str,
    theirs: &BTreeMap<String, V>,
    ours: &BTreeMap<String, V>,
) {
    let paths: BTreeSet<&String> = theirs.keys().chain(ours.keys()).collect();
    let differing: Vec<_> = paths
        .into_iter()
        .filter(|path| theirs.get(*path) != ours.get(*path))
        .map(|path| (path, theirs.get(path), ours.get(path)))
        .collect();
    assert!(differing.is_empty(), "{image}: (path, theirs, ours): {differing:#?}");
}

#[test]
fn names_and_contents_agree_with_ntfs_3g() {
    for fixture in &WHOLE {
        match UNMOUNTED.iter().find(|(name, _)| *name == fixture.name) {
            Some((name, reason)) => eprintln!("not compared with ntfs-3g: {name}: {reason}"),
            None => compare_with_ntfs_3g("names_and_contents_agree_with_ntfs_3g", fixture),
        }
    }
}

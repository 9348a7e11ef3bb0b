//! Volumes made by the builder that are large in some way: files, bytes, pieces.
//!
//! They are read back by our reader and looked through by our check. Data that is not written is
//! holes of the file or memory that stands for the drive, so only metadata takes time and space.

#![allow(clippy::cast_possible_truncation, reason = "numbers of a test are small")]

#[path = "common/built.rs"]
mod built;

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;
use std::sync::Arc;

use block::{FileDevice, SharedDevice};
use built::{File, MIB, SparseMemory, Tree, Unflushed, assert_holds, assert_sound, noise, open, settings};
use ntfs::build::{Builder, DirectoryId, DirectorySpec, FileSpec, PlacedFile, Settings, Times};

const GIB: u64 = 1 << 30;
const TIB: u64 = 1 << 40;

#[test]
fn a_million_files_half_of_them_in_one_directory() {
    const HALF: u32 = 500_000;
    let settings = Settings { placed: bitlocker_places(16 * GIB), ..settings(16 * GIB) };
    let mut builder = Builder::new(settings.clone()).unwrap();
    let spec = FileSpec { length_bytes: 4000, times: Times::all(built::TIME), ..FileSpec::default() };
    let one = builder.directory(DirectoryId::ROOT, "one", &DirectorySpec::default()).unwrap();
    let mut last = None;
    for n in 0..HALF {
        last = Some(builder.file(one, &format!("file {n:07} of a customer.dat"), &spec).unwrap());
    }
    for d in 0..HALF / 500 {
        let directory =
            builder.directory(DirectoryId::ROOT, &format!("d{d:05}"), &DirectorySpec::default()).unwrap();
        for n in 0..500 {
            builder.file(directory, &format!("f{n:03}"), &spec).unwrap();
        }
    }
    let plan = builder.plan().unwrap();
    assert!(plan.memory_bytes() < 300_000_000, "{} bytes of plan", plan.memory_bytes());
    let image = tempfile::NamedTempFile::new().unwrap();
    image.as_file().set_len(settings.volume_bytes).unwrap();
    let built = plan.write(&Unflushed(image.as_file()), &mut |_| {}).unwrap();
    assert_eq!(built.files, 1_000_000 + 4);
    let device: SharedDevice = Arc::new(FileDevice::open(image.path()).unwrap());
    assert_eq!(assert_sound(&device, &settings).records, built.records);
    let volume = open(device);
    assert!(volume.health().is_sound());
    let file = volume.resolve("one\\FILE 0499999 of a customer.dat").unwrap();
    let stream = volume.stream(file, None).unwrap();
    let ntfs::StreamContent::Extents(extents) = stream.content else { panic!("the file has clusters") };
    let planned: Vec<u64> = plan.extents(last.unwrap()).map(|extent| extent.volume_offset_bytes).collect();
    assert_eq!(extents[0].volume_offset_bytes, Some(planned[0]));
    for d in (0..1000).step_by(97) {
        volume.resolve(&format!("d{d:05}\\f{:03}", d % 500)).unwrap();
    }
}

/// Where BitLocker has its areas: at 33 MiB, and after each third of the rest.
fn bitlocker_places(volume_bytes: u64) -> Vec<PlacedFile> {
    let third = |n: u64| (33 * MIB + (volume_bytes - 33 * MIB) / 3 * n) / 65_536 * 65_536;
    let file = |name: &str, offset_bytes, length_bytes| PlacedFile {
        name: name.to_owned(),
        offset_bytes,
        length_bytes,
    };
    vec![
        file("FVE2.{e40ad34d-dae9-4bc7-95bd-b16218c10f72}.1", third(0), 65_536),
        file("FVE2.{24e6f0ae-6a00-4f73-984b-75ce9942852d}", third(0) + 65_536, 8192),
        file("FVE2.{e40ad34d-dae9-4bc7-95bd-b16218c10f72}.2", third(1), 65_536),
        file("FVE2.{e40ad34d-dae9-4bc7-95bd-b16218c10f72}.3", third(2), 65_536),
    ]
}

/// A file of terabytes in which only some megabytes are data, and some small ones before and behind.
fn tree_with_a_huge_file(length_bytes: u64) -> Tree {
    let mut tree = Tree::default();
    tree.file("before", File::new(noise(1, 10_000)));
    let data = (0..40).map(|n| (length_bytes / 41 * n / 512 * 512, noise(n, 70_000))).collect();
    tree.file("huge", File::sparse(length_bytes, data));
    tree.file("behind", File::new(noise(2, 10_000)));
    tree
}

/// As [`assert_holds`], but of the huge file only where it has data and beside it.
fn assert_huge(device: SharedDevice, tree: &Tree, settings: &Settings) {
    assert_sound(&device, settings);
    let volume = open(device);
    assert!(volume.health().is_sound());
    for (path, file) in &tree.files {
        let stream = volume.stream(volume.resolve(path).unwrap(), None).unwrap();
        assert_eq!(stream.length_bytes, file.length_bytes);
        for (at, data) in &file.data {
            let from = at.saturating_sub(100);
            let mut bytes = vec![0xaa; data.len() + 200];
            let length = volume.read_at(&stream, from, &mut bytes).unwrap();
            assert!(bytes[..length] == file.read(from, length), "{path} at {at:#x}");
        }
    }
}

#[test]
fn a_volume_of_more_than_two_tebibytes_with_a_file_as_large() {
    // ext4 with blocks of 4 KiB has files of up to 16 TiB.
    let settings = Settings { placed: bitlocker_places(3 * TIB), ..settings(3 * TIB) };
    let tree = tree_with_a_huge_file(5 * TIB / 2 + 12_345);
    let image = tempfile::NamedTempFile::new().unwrap();
    if let Err(error) = image.as_file().set_len(settings.volume_bytes) {
        eprintln!("skipped: a_volume_of_more_than_two_tebibytes: no file of 3 TiB here: {error}");
        return;
    }
    tree.build(settings.clone(), &Unflushed(image.as_file()));
    let device: SharedDevice = Arc::new(FileDevice::open(image.path()).unwrap());
    assert_huge(device, &tree, &settings);
    let path = image.path().to_str().unwrap();
    match Command::new("ntfsfix").args(["-n", path]).output() {
        Ok(output) => assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout)),
        Err(_) => eprintln!("skipped: ntfsfix on a volume of more than two tebibytes: not installed"),
    }
}

#[test]
fn a_volume_of_more_than_sixteen_tebibytes_in_memory() {
    // No file here can be that long, so only what differs from zero is kept, in memory.
    let settings = Settings { placed: bitlocker_places(20 * TIB), ..settings(20 * TIB) };
    let tree = tree_with_a_huge_file(18 * TIB + 777);
    let memory = SparseMemory::new(settings.volume_bytes, 512);
    tree.build(settings.clone(), &memory);
    let device: SharedDevice = Arc::new(memory);
    assert_eq!(open(device.clone()).geometry().cluster_bytes, 65_536);
    assert_huge(device, &tree, &settings);
}

/// A page blob of very many small ranges, each in a unit of its own, of uneven distances so that no
/// two pairs are alike.
fn shattered(ranges: u64) -> File {
    let data: Vec<_> = (0..ranges).map(|n| (n * 131_072 + n % 3 * 512, noise(n, 512))).collect();
    File::sparse(ranges * 131_072, data)
}

#[test]
fn a_sparse_file_of_a_hundred_thousand_ranges() {
    let settings = Settings { placed: bitlocker_places(8 * GIB), ..settings(8 * GIB) };
    let mut tree = Tree::default();
    tree.file("before", File::new(noise(1, 5000)));
    tree.file("page blob", shattered(100_000));
    tree.file("behind", File::new(noise(2, 5000)));
    let image = tempfile::NamedTempFile::new().unwrap();
    image.as_file().set_len(settings.volume_bytes).unwrap();
    let (plan, files) = tree.plan(settings.clone());
    // Only every range's own bytes: the rest of each unit is a hole of the image.
    for ((_, file), id) in tree.files.iter().zip(&files) {
        let data: BTreeMap<u64, &Vec<u8>> = file.data.iter().map(|(at, bytes)| (*at, bytes)).collect();
        for extent in plan.extents(*id) {
            let end = extent.file_offset_bytes + extent.length_bytes;
            for (at, bytes) in data.range(extent.file_offset_bytes..end) {
                let place = extent.volume_offset_bytes + at - extent.file_offset_bytes;
                block::WriteAt::write_all_at(image.as_file(), &mut bytes.to_vec(), place).unwrap();
            }
        }
    }
    plan.write(&Unflushed(image.as_file()), &mut |_| {}).unwrap();
    let device: SharedDevice = Arc::new(FileDevice::open(image.path()).unwrap());
    assert_sound(&device, &settings);
    let volume = open(device);
    let stream = volume.stream(volume.resolve("page blob").unwrap(), None).unwrap();
    let file = &tree.files[1].1;
    for n in (0..100_000).step_by(331).chain([99_999]) {
        let at = n * 131_072;
        let mut bytes = vec![0xaa; 66_000];
        let length = volume.read_at(&stream, at, &mut bytes).unwrap();
        assert!(bytes[..length] == shattered_range(file, n, at, length), "range {n}");
    }
    oracles_agree(image.path(), file);
}

/// The bytes around one range, without looking at all the others.
fn shattered_range(file: &File, n: u64, at: u64, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    let (from, data) = &file.data[n as usize];
    let within = (from - at) as usize;
    bytes[within..within + data.len()].copy_from_slice(data);
    bytes
}

/// ntfs-3g and The Sleuth Kit read the first and the last gigabyte's ranges alike.
fn oracles_agree(image: &std::path::Path, file: &File) {
    let test = "a_sparse_file_of_a_hundred_thousand_ranges";
    let image = image.to_str().unwrap();
    let fuse = fs::File::options().read(true).write(true).open("/dev/fuse").is_ok();
    let target = tempfile::tempdir().unwrap();
    let at = target.path().to_str().unwrap();
    match Command::new("ntfs-3g").args(["-o", "ro,norecover", image, at]).output() {
        Ok(mounted) if fuse => {
            assert!(mounted.status.success(), "{}", String::from_utf8_lossy(&mounted.stderr));
            let mounted = fs::File::open(target.path().join("page blob")).unwrap();
            let read = |n: u64| {
                let mut bytes = vec![0xaa; 66_000];
                std::os::unix::fs::FileExt::read_exact_at(&mounted, &mut bytes, n * 131_072).unwrap();
                bytes
            };
            let differing =
                (0..100_000).step_by(997).find(|&n| read(n) != shattered_range(file, n, n * 131_072, 66_000));
            drop(mounted);
            assert!(Command::new("fusermount3").args(["-u", at]).status().unwrap().success());
            assert_eq!(differing, None, "ntfs-3g");
        }
        _ => eprintln!("skipped: {test}: ntfs-3g or /dev/fuse is missing"),
    }
    match Command::new("fsstat").arg(image).output() {
        Ok(_) => {
            // Nodes: the directory of pre-placed files, four of them, `before`, then the file.
            let read = Command::new("sh")
                .args(["-c", "icat \"$1\" 70 | head -c 200000000", "icat", image])
                .output()
                .unwrap();
            assert_eq!(read.stdout.len(), 200_000_000);
            for n in (0..1_500).step_by(13) {
                let at = (n * 131_072) as usize;
                assert!(
                    read.stdout[at..at + 66_000] == shattered_range(file, n, n * 131_072, 66_000),
                    "icat, range {n}"
                );
            }
        }
        Err(_) => eprintln!("skipped: {test}: The Sleuth Kit is not installed"),
    }
}

#[test]
fn files_cut_by_hundreds_of_placed_ones_are_whole() {
    let plain = settings(64 * MIB);
    let places = (0..400).map(|n| PlacedFile {
        name: format!("piece {n}"),
        offset_bytes: 8 * MIB + n * 65_536,
        length_bytes: 4096,
    });
    let settings = Settings { placed: places.collect(), ..plain };
    let mut tree = Tree::default();
    tree.file("cut", File::new(noise(1, 30_000_000)));
    tree.file(&"n".repeat(255), File::new(noise(2, 1_000_000)));
    let memory = SparseMemory::new(settings.volume_bytes, 512);
    tree.build(settings.clone(), &memory);
    let device: SharedDevice = Arc::new(memory);
    assert_sound(&device, &settings);
    assert_holds(&open(device), &tree, &settings);
}

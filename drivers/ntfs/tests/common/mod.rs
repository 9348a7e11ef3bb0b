//! The NTFS images of ../shared/fixtures: found at run time, unpacked once, shared by all test
//! processes.

#![allow(dead_code, reason = "every test file uses another part of this module")]

pub mod image;
pub mod lznt1;
pub mod patch;

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use block::{FileDevice, SharedDevice};
use ntfs::{FileId, Limits, Stream, Volume};
use sha2::{Digest, Sha256};

/// An image of the fixtures.
pub struct Fixture {
    pub name: &'static str,
    archive: &'static str,
    /// Whether the NTFS volume is in the first partition of an MBR, as INDEX.md says.
    partitioned: bool,
}

/// Where the partitions of the images that have one begin.
const PARTITION_AT_KIB: u32 = 64;

const fn fixture(name: &'static str, archive: &'static str, partitioned: bool) -> Fixture {
    Fixture { name, archive, partitioned }
}

/// The images that are whole, or odd in a way that a reader must cope with.
pub const WHOLE: [Fixture; 11] = [
    fixture("ntfs-2m", "windows/ntfs-2m.raw.gz", true),
    fixture("ntfs-ramslack", "windows/ntfs-ramslack.raw.gz", true),
    fixture("ntfs-ptrn", "windows/ntfs-ptrn.raw.gz", true),
    fixture("ntfs-lastaccess", "windows/ntfs-lastaccess.raw.gz", true),
    fixture("dirty-big-win", "windows/dirty-big-win.img.gz", false),
    fixture("tiny", "windows/SampleTinyNtfsVolume.zip", false),
    fixture("charlie", "windows/charlie.dd.bz2", false),
    fixture("ntfs-links", "windows/ntfs-links.dd.gz", false),
    fixture("own-features", "own/own-ntfs3g-features.img.xz", false),
    fixture("own-vdl", "own/own-vdl-10000of100000.img.xz", false),
    fixture("own-index-cycle", "own/own-index-cycle.img.xz", false),
];

/// The whole image of that name.
pub fn whole(name: &str) -> &'static Fixture {
    WHOLE.iter().find(|fixture| fixture.name == name).unwrap()
}

/// The fixtures' folder, or `None` with a message when the checkout has none.
pub fn fixtures(test: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/fixtures");
    if path.is_dir() {
        return Some(path);
    }
    eprintln!("skipped: {test}: ../shared/fixtures is not there");
    None
}

impl Fixture {
    /// The unpacked volume, without what is before its partition.
    pub fn path(&self, test: &str) -> Option<PathBuf> {
        let archive = fixtures(test)?.join("ntfs").join(self.archive);
        let unpacker = unpacker(&archive);
        if Command::new(unpacker).arg("--version").output().is_err() {
            eprintln!("skipped: {test}: {}: {unpacker} is missing", self.name);
            return None;
        }
        let skipped = if self.partitioned { PARTITION_AT_KIB / 64 } else { 0 };
        let folder = unpacked(self.name, |folder| unpack_image(&archive, &folder.join("image"), skipped));
        Some(folder.join("image"))
    }

    /// The volume as a device.
    pub fn device(&self, test: &str) -> Option<SharedDevice> {
        Some(Arc::new(FileDevice::open(&self.path(test)?).unwrap()))
    }

    /// The volume, opened.
    pub fn volume(&self, test: &str) -> Option<Volume> {
        Some(open(self.device(test)?))
    }
}

/// The damaged images: archive name without `.tar.xz`, and the unpacked image.
pub fn damaged(test: &str) -> Vec<(String, PathBuf)> {
    let Some(folder) = fixtures(test).map(|fixtures| fixtures.join("ntfs/corrupted")) else {
        return Vec::new();
    };
    let mut images = Vec::new();
    for archive in fs::read_dir(folder).unwrap() {
        let archive = archive.unwrap().path();
        let name = archive.file_name().unwrap().to_str().unwrap().trim_end_matches(".tar.xz").to_owned();
        let unpacked = unpacked(&name, |folder| {
            run(Command::new("tar").arg("-xSJf").arg(&archive).arg("-C").arg(folder));
        });
        images.push((name, unpacked.join("ntfs.img")));
    }
    images.sort();
    images
}

/// Unpacks the image out of its archive, sparsely, without its first `skipped` blocks of 64 KiB.
fn unpack_image(archive: &Path, target: &Path, skipped: u32) {
    if archive.extension().is_some_and(|extension| extension == "zip") {
        return fs::write(target, zip_member(&fs::read(archive).unwrap(), ".dd")).unwrap();
    }
    let unpacker = unpacker(archive);
    let sparsely = format!("dd of=\"$2\" bs=64k skip={skipped} iflag=fullblock conv=sparse status=none");
    let script = format!("set -o pipefail; {unpacker} -dc \"$1\" | {sparsely}");
    run(Command::new("bash").args(["-c", &script, "unpack"]).arg(archive).arg(target));
}

/// The program that unpacks an archive of one file.
fn unpacker(archive: &Path) -> &'static str {
    match archive.extension().and_then(|extension| extension.to_str()) {
        Some("gz") => "gzip",
        Some("bz2") => "bzip2",
        _ => "xz",
    }
}

fn run(command: &mut Command) {
    let status = command.status().expect("bash and tar are installed");
    assert!(status.success(), "{command:?}");
}

/// The member of a zip archive whose name ends so.
fn zip_member(zip: &[u8], suffix: &str) -> Vec<u8> {
    let u16_at = |at: usize| usize::from(u16::from_le_bytes(zip[at..at + 2].try_into().unwrap()));
    let u32_at = |at: usize| u32::from_le_bytes(zip[at..at + 4].try_into().unwrap()) as usize;
    // The end of the central directory, which has no comment in this archive, says where it begins.
    let mut at = u32_at(zip.len() - 22 + 16);
    loop {
        let (name_length, header) = (u16_at(at + 28), u32_at(at + 42));
        if zip[at + 46..at + 46 + name_length].ends_with(suffix.as_bytes()) {
            let start = header + 30 + u16_at(header + 26) + u16_at(header + 28);
            let mut member = Vec::new();
            let packed = &zip[start..start + u32_at(at + 20)];
            flate2::read::DeflateDecoder::new(packed).read_to_end(&mut member).unwrap();
            return member;
        }
        at += 46 + name_length + u16_at(at + 30) + u16_at(at + 32);
    }
}

/// Fills a fresh folder and renames it into place, one process at a time.
fn unpacked(name: &str, unpack: impl Fn(&Path)) -> PathBuf {
    let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("ntfs-fixtures");
    fs::create_dir_all(&cache).unwrap();
    let lock = File::create(cache.join(format!("{name}.lock"))).unwrap();
    lock.lock().unwrap();
    let done = cache.join(name);
    if !done.exists() {
        let fresh = tempfile::tempdir_in(&cache).unwrap();
        unpack(fresh.path());
        fs::rename(fresh.keep(), &done).unwrap();
    }
    done
}

/// Opens with the production limits.
pub fn open(device: SharedDevice) -> Volume {
    Volume::open(device, Limits::default(), &mut |_| {}).unwrap()
}

/// SHA-256 of a stream's first `limit` bytes, read in pieces of an odd size.
pub fn sha256(volume: &Volume, stream: &Stream, limit: u64) -> Result<String, ntfs::ContentError> {
    let mut hash = Sha256::new();
    let mut buffer = vec![0xaa; 300_007];
    let mut at = 0;
    while at < limit {
        let want = buffer.len().min(usize::try_from(limit - at).unwrap());
        let length = volume.read_at(stream, at, &mut buffer[..want])?;
        if length == 0 {
            break;
        }
        hash.update(&buffer[..length]);
        at += length as u64;
    }
    Ok(hex(&hash.finalize()))
}

/// A whole stream in memory.
pub fn content(volume: &Volume, file: FileId, name: Option<&str>) -> Vec<u8> {
    let stream = volume.stream(file, name).unwrap();
    let mut bytes = vec![0xaa; usize::try_from(stream.length_bytes).unwrap()];
    assert_eq!(volume.read_at(&stream, 0, &mut bytes).unwrap(), bytes.len());
    bytes
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

//! The fixtures in ../shared: found at run time, unpacked once, shared by all test processes.

#![allow(dead_code, reason = "every test file uses another part of this module")]

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use bitlocker::{ExternalKey, Metadata, Password, RecoveryPassword, Secret, Volume};
use block::{FileDevice, ReadAt, SharedDevice};

/// The fixtures' folder, or `None` with a message when the checkout has none.
pub fn fixtures(test: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/fixtures");
    if path.is_dir() {
        return Some(path);
    }
    eprintln!("skipped: {test}: ../shared/fixtures is not there");
    None
}

/// The unpacked images of cryptsetup's collection.
pub fn images(test: &str) -> Option<PathBuf> {
    let archive = fixtures(test)?.join("bitlocker/bitlk-images.tar.xz");
    Some(unpacked("bitlk-images", |folder| {
        Command::new("tar").arg("-xJf").arg(&archive).arg("-C").arg(folder).status()
    }))
    .map(|folder| folder.join("bitlk-images"))
}

/// A whole drive's unpacked image and its `drive.json`.
pub fn drive(test: &str, name: &str) -> Option<(PathBuf, serde_json::Value)> {
    let folder = fixtures(test)?.join("drives").join(name);
    let description = fs::read_to_string(folder.join("drive.json")).unwrap();
    let unpacked = unpacked(name, |target| {
        Command::new("zstd")
            .args(["-q", "-d", "--sparse", "--long=27"])
            .arg(folder.join("drive.img.zst"))
            .arg("-o")
            .arg(target.join("drive.img"))
            .status()
    });
    Some((unpacked.join("drive.img"), serde_json::from_str(&description).unwrap()))
}

/// Runs `unpack` into a fresh folder and renames it into place, one process at a time.
fn unpacked(name: &str, unpack: impl Fn(&Path) -> std::io::Result<std::process::ExitStatus>) -> PathBuf {
    let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("fixtures");
    fs::create_dir_all(&cache).unwrap();
    let lock = File::create(cache.join(format!("{name}.lock"))).unwrap();
    lock.lock().unwrap();
    let done = cache.join(name);
    if !done.exists() {
        let fresh = tempfile::tempdir_in(&cache).unwrap();
        assert!(unpack(fresh.path()).expect("tar and zstd are installed").success(), "unpacking {name}");
        fs::rename(fresh.keep(), &done).unwrap();
    }
    done
}

pub fn open_image(path: &Path) -> SharedDevice {
    Arc::new(FileDevice::open(path).unwrap())
}

pub fn recovery(text: &str) -> Secret {
    Secret::RecoveryPassword(RecoveryPassword::parse(text).unwrap())
}

pub fn password(text: &str) -> Secret {
    Secret::Password(Password::new(text).unwrap())
}

pub fn bek(path: &Path) -> Secret {
    Secret::ExternalKey(ExternalKey::from_bek(&fs::read(path).unwrap()).unwrap())
}

/// Metadata, key, volume: all that must succeed on a good image.
pub fn unlock(device: &SharedDevice, secret: &Secret) -> Volume {
    let metadata = Metadata::read(device).unwrap();
    let key = metadata.unlock(secret).unwrap();
    Volume::open(Arc::clone(device), &metadata, &key).unwrap()
}

/// SHA-256 of everything a device gives, read in pieces of an odd size so that reads begin and end
/// within sectors.
pub fn sha256_of(device: &dyn ReadAt, piece_bytes: usize) -> String {
    use sha2::Digest;
    let mut hash = sha2::Sha256::new();
    let mut buffer = vec![0; piece_bytes];
    let mut position = 0;
    while position < device.length_bytes() {
        let left = usize::try_from(device.length_bytes() - position).unwrap();
        let piece = &mut buffer[..left.min(piece_bytes)];
        device.read_exact_at(piece, position).unwrap();
        hash.update(&*piece);
        position += piece.len() as u64;
    }
    hex(&hash.finalize())
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

//! Sound inputs, made when a run starts: nothing is kept in the repository.

mod customer;

use std::path::PathBuf;
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use bitlocker::format::{Coverage, Formatter, Layout, Plan};
use bitlocker::{Method, RecoveryPassword};
use block::{WriteAt, WriteError};
use rig::pack::volume::{self, Mounted};
use rig::{process, setup};

use crate::mutation::Seed;
use crate::targets::{self, COMPACT_BYTES, RECOVERY_PASSWORD, regions};

pub use customer::{frozen_work, inputs};

/// One volume a method, each with a startup key, which needs no costly derivation.
///
/// Keys are random, so the same round mutates other bytes in another run; a failure's input is kept.
pub fn bitlocker() -> Vec<Seed> {
    let methods = [Method::AesXts128, Method::AesXts256, Method::AesCbc128, Method::AesCbc256];
    methods.map(|method| Seed::new(&format!("volume with {method}"), compact_volume(method))).into()
}

/// Sealed metadata of one volume, which costs one key derivation a run.
pub fn sealed() -> Vec<Seed> {
    vec![Seed::new("sealed metadata", formatter(Method::AesXts256).sealed_metadata())]
}

/// The entries of a chain, a seed each.
pub fn custody_entry() -> Vec<Seed> {
    targets::custody::entries().into_iter().map(|bytes| Seed::new("custody entry", bytes)).collect()
}

/// The export of a chain.
pub fn custody_export() -> Vec<Seed> {
    vec![Seed::new("custody export", targets::custody::export())]
}

/// A customer's proof.
pub fn custody_proof() -> Vec<Seed> {
    vec![Seed::new("custody proof", targets::custody::proof())]
}

/// A sealed secret.
pub fn sealed_secret() -> Vec<Seed> {
    vec![Seed::new("sealed secret", targets::sealed_secret::sealed_bytes())]
}

/// A volume that mkntfs and ntfs-3g made, if they can here, and one of the shared fixtures, if it is there.
pub fn ntfs() -> Vec<Seed> {
    let made = match volume::obstacle() {
        Some(obstacle) => {
            eprintln!("without a volume by ntfs-3g: {obstacle}");
            None
        }
        None => Some(Seed::new("volume by ntfs-3g", ntfs_volume().expect("an NTFS volume can be made"))),
    };
    made.into_iter().chain(fixture()).collect()
}

/// A document of each kind.
pub fn manifest() -> Vec<Seed> {
    [
        ("import manifest", include_str!("seeds/import.xml")),
        ("export manifest", include_str!("seeds/export.xml")),
        ("metadata file", "<?xml version=\"1.0\"?>\n<Metadata>\n  <owner>archive</owner>\n  <Shelf_7>a &amp; b</Shelf_7>\n</Metadata>\n"),
        ("properties file", "<Properties><Content-Type>application/x-reel</Content-Type><Cache-Control>no-cache</Cache-Control><Content-Language>de</Content-Language></Properties>"),
        ("blob list", "<?xml version=\"1.0\" encoding=\"utf-8\"?><BlobList><BlobPath>films/a.mov</BlobPath><BlobPathPrefix>/films/b</BlobPathPrefix></BlobList>"),
        ("job entry", "{\"driveId\":\"9CA995BB\",\"bitLockerKey\":\"238810-662376-448998-450120-652806-203390-606320-483076\",\"manifestFile\":\"\\\\DriveManifest.xml\",\"manifestHash\":\"109B21108597EF36D5785F08303F3638\",\"driveHeaderHash\":\"\"}"),
    ]
    .map(|(name, text)| Seed::new(name, text.as_bytes().to_vec()))
    .into()
}

fn formatter(method: Method) -> Formatter {
    let layout = Layout::within_file_system(64 << 20, 512).expect("a size that can be laid out");
    Formatter::new(Plan {
        layout,
        method,
        description: "FUZZ SEED".to_owned(),
        password: None,
        recovery_password: Some(RecoveryPassword::parse(RECOVERY_PASSWORD).expect("a well-formed one")),
        has_external_key: true,
        coverage: Coverage::UsedSpaceOnly,
        first_sector_of_partition: 2048,
        time: SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_600_000_000),
    })
    .expect("a plan that can be carried out")
}

fn compact_volume(method: Method) -> Vec<u8> {
    let target = Writes::default();
    let formatter = formatter(method);
    let mut head = vec![0x4E; 0x2000];
    formatter.writer(&target).write_all_at(&mut head, 0).expect("memory takes every write");
    let formatted = formatter.finish(&target).expect("memory takes every write");
    let mut bytes = target.compact();
    assert_eq!(bytes.len(), COMPACT_BYTES);
    bytes.extend_from_slice(&formatted.external_key.expect("it was asked for").contents);
    bytes
}

/// Remembers what was written where.
#[derive(Default)]
struct Writes(Mutex<Vec<(u64, Vec<u8>)>>);

impl Writes {
    /// The regions of a compact volume, one after the other.
    fn compact(&self) -> Vec<u8> {
        let writes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut compact = Vec::new();
        for region in regions() {
            let start = compact.len();
            compact.resize(start + usize::try_from(region.end - region.start).expect("64 KiB"), 0);
            for (offset_bytes, bytes) in
                writes.iter().filter(|(offset_bytes, _)| region.contains(offset_bytes))
            {
                let at = start + usize::try_from(offset_bytes - region.start).expect("64 KiB");
                let length = bytes.len().min(compact.len() - at);
                compact[at..at + length].copy_from_slice(&bytes[..length]);
            }
        }
        compact
    }
}

impl WriteAt for Writes {
    fn write_all_at(&self, data: &mut [u8], offset_bytes: u64) -> Result<(), WriteError> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push((offset_bytes, data.to_vec()));
        Ok(())
    }

    fn flush(&self) -> Result<(), WriteError> {
        Ok(())
    }
}

/// Small, with resident, fragmented, sparse and compressed-looking files, streams and a split index.
fn ntfs_volume() -> Result<Vec<u8>, Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let image = folder.path().join("volume");
    volume::make(&image, 6 << 20, 512)?;
    let mounted = Mounted::mount(&image)?;
    std::fs::create_dir_all(mounted.file("\\session#1\\dir"))?;
    for index in 0..120 {
        let path = mounted.file(&format!("\\session#1\\dir\\a-rather-long-name-of-a-file-{index:03}.dat"));
        std::fs::write(path, vec![1; index * 37])?;
    }
    for index in (0..120).step_by(2) {
        std::fs::remove_file(
            mounted.file(&format!("\\session#1\\dir\\a-rather-long-name-of-a-file-{index:03}.dat")),
        )?;
    }
    std::fs::write(mounted.file("\\session#1\\a.bin"), vec![2; 300_000])?;
    std::fs::write(mounted.file("\\session#1\\a.bin:stream"), b"an alternate stream")?;
    std::fs::File::create(mounted.file("\\session#1\\sparse.bin"))?.set_len(1 << 20)?;
    std::fs::hard_link(mounted.file("\\session#1\\a.bin"), mounted.file("\\session#1\\b.bin"))?;
    std::fs::write(mounted.file("\\DriveManifest.xml"), include_str!("seeds/import.xml"))?;
    mounted.unmount()?;
    Ok(std::fs::read(image)?)
}

fn fixture() -> Option<Seed> {
    let path: PathBuf =
        setup::workspace_root().join("../shared/fixtures/ntfs/own/own-vdl-10000of100000.img.xz");
    if !path.exists() || process::on_path("xz").is_none() {
        eprintln!("without ../shared/fixtures/ntfs, or without xz");
        return None;
    }
    let unpacked = Command::new("xz").arg("--decompress").arg("--stdout").arg(path).output().ok()?;
    unpacked.status.success().then(|| Seed::new("own-vdl", unpacked.stdout))
}

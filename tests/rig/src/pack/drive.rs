//! From a plan to a drive: the volume is made and filled, then sealed into the image.
//!
//! ```text
//! plan ──mkntfs──▶ volume ──files, manifest──▶ volume ──seal──▶ drive.img
//!                                                └──────────▶ drive.json, expected.json
//! ```

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;

use anyhow::{Context, Result};
use md5::{Digest, Md5};
use model::Md5Digest;
use serde::Serialize;

use super::expected::ExpectedDrive;
use super::json::{DriveJson, JobEntry};
use super::plan::PackPlan;
use super::tree::WrittenBlob;
use super::volume::{self, Mounted};
use super::{manifest_text, random, seal, tree};

/// The manifest's place on the volume, as gen A and B write it.
const MANIFEST: &str = "\\DriveManifest.xml";

/// Makes `drive.img`, `drive.json` and `expected.json` in `folder`, which must not have them yet.
///
/// The image is sparse: it takes as much room as the files on it.
///
/// # Errors
/// When the plan cannot be packed, or not on this machine: [`volume::obstacle`].
pub fn pack(plan: &PackPlan, folder: &Path) -> Result<ExpectedDrive> {
    plan.check()?;
    fs::create_dir_all(folder).with_context(|| format!("making the folder {}", folder.display()))?;
    let plain = folder.join("volume.unsealed");
    let filled = fill(plan, &plain);
    let sealed = filled.and_then(|filled| {
        let secrets = seal::Secrets {
            recovery_password: random::recovery_password()?,
            password: plan.password.clone(),
        };
        seal::seal(plan, &plain, &folder.join("drive.img"), &secrets)?;
        Ok((filled, secrets))
    });
    // The unsealed volume is as large as the drive; it goes also when something failed.
    if plain.exists() {
        fs::remove_file(&plain).context("removing the unsealed volume")?;
    }
    let (filled, secrets) = sealed?;
    write_json(&folder.join("drive.json"), &drive_json(plan, &filled, secrets))?;
    write_json(&folder.join("expected.json"), &filled.expected)?;
    Ok(filled.expected)
}

/// A volume with everything on it.
struct Filled {
    expected: ExpectedDrive,
    manifest_hash: Md5Digest,
}

fn fill(plan: &PackPlan, plain: &Path) -> Result<Filled> {
    volume::make(plain, plan.file_system_bytes(), plan.sector_bytes)?;
    let mounted = Mounted::mount(plain)?;
    let written = tree::write(plan, &mounted)?;
    let manifest_hash = write_manifest(plan, &written, &mounted)?;
    mounted.unmount()?;
    let digests: Vec<[u8; 32]> = written.iter().map(|blob| blob.sha256).collect();
    Ok(Filled { expected: ExpectedDrive::new(plan, &digests), manifest_hash })
}

fn write_manifest(plan: &PackPlan, written: &[WrittenBlob], mounted: &Mounted) -> Result<Md5Digest> {
    let file: Box<dyn Write> = if plan.has_manifest {
        Box::new(File::create_new(mounted.file(MANIFEST)).context("creating the manifest")?)
    } else {
        Box::new(std::io::sink())
    };
    let mut out = Hashed { out: BufWriter::with_capacity(1 << 17, file), hash: Md5::new() };
    manifest_text::write(plan, written, &mut out)
        .and_then(|()| out.flush())
        .context("writing the manifest")?;
    Ok(Md5Digest(out.hash.finalize().into()))
}

/// Hashes what goes through.
struct Hashed<W> {
    out: W,
    hash: Md5,
}

impl<W: Write> Write for Hashed<W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let count = self.out.write(bytes)?;
        self.hash.update(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.out.flush()
    }
}

fn drive_json(plan: &PackPlan, filled: &Filled, secrets: seal::Secrets) -> DriveJson {
    DriveJson {
        serial: plan.serial.clone(),
        method: plan.cipher.as_str().to_owned(),
        sector_bytes: plan.sector_bytes,
        job: JobEntry {
            drive_id: plan.serial.clone(),
            bit_locker_key: secrets.recovery_password.clone(),
            manifest_file: MANIFEST.to_owned(),
            manifest_hash: filled.manifest_hash.to_string(),
        },
        recovery_password: secrets.recovery_password,
        password: secrets.password,
    }
}

fn write_json(path: &Path, value: &impl Serialize) -> Result<()> {
    let text = serde_json::to_string_pretty(value).context("writing JSON")?;
    fs::write(path, text + "\n").with_context(|| format!("writing {}", path.display()))
}

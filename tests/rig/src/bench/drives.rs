//! The drives that are measured: packed once, kept below `target/rig/bench`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use clap::ValueEnum;
use rig::pack::DriveJson;
use rig::{process, setup};

use super::Programs;
use super::report::Load;

/// Bytes of each small file: design §5.
const SMALL_FILE_BYTES: u64 = 16 << 10;

/// Bytes of each large file, about.
const LARGE_FILE_BYTES: u64 = 1 << 30;

/// What kind of drive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Workload {
    /// Files of about 1 GiB in blocks of 4 MiB
    Large,
    /// Files of 16 KiB
    Small,
}

/// A packed drive.
pub struct Drive {
    /// What is on it, in words.
    pub title: String,
    /// Its folder: `drive.img`, `drive.json`, `expected.json`.
    pub folder: PathBuf,
    /// Serial number, secrets, job entry.
    pub json: DriveJson,
    /// Bytes and files on it.
    pub load: Load,
}

impl Drive {
    /// The image.
    pub fn image(&self) -> PathBuf {
        self.folder.join("drive.img")
    }
}

/// The drive of a workload; packed now unless one of these very sizes is there.
pub fn packed(workload: Workload, bytes: u64, count: usize, programs: &Programs) -> Result<Drive> {
    let (files, bytes, count) = match workload {
        Workload::Large => ("large", bytes, bytes.div_ceil(LARGE_FILE_BYTES)),
        Workload::Small => ("small", count as u64 * SMALL_FILE_BYTES, count as u64),
    };
    let folder = setup::scratch_root().join(format!("bench/{files}-{bytes}-{count}"));
    if !folder.is_dir() {
        pack(&folder, files, bytes, count, programs)?;
    }
    let json = DriveJson::read(&folder.join("drive.json"))?;
    let title = format!("{count} {files} files, {:.2} GB, {}", to_gigabytes(bytes), json.method);
    Ok(Drive { title, folder, json, load: Load { payload_bytes: bytes, file_count: count } })
}

/// 10^9 bytes, the unit of the budgets.
#[allow(clippy::cast_precision_loss, reason = "a figure for people")]
pub fn to_gigabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e9
}

/// Packs into a folder beside, which takes its name only when it is complete.
fn pack(folder: &Path, files: &str, bytes: u64, count: u64, programs: &Programs) -> Result<()> {
    let unfinished = folder.with_extension("unfinished");
    if unfinished.exists() {
        fs::remove_dir_all(&unfinished).context("removing a drive that was left unfinished")?;
    }
    eprintln!("bench: packing {count} {files} files, {:.2} GB", to_gigabytes(bytes));
    let mut pack = Command::new(&programs.rig);
    pack.args([
        "pack",
        "--files",
        files,
        "--bytes",
        &bytes.to_string(),
        "--count",
        &count.to_string(),
        "--out",
    ]);
    process::run(pack.arg(&unfinished))?;
    fs::rename(&unfinished, folder).context("keeping the packed drive")
}

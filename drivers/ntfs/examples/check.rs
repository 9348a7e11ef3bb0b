//! Checks a volume: `cargo run --release -p ntfs --example check [IMAGE [OFFSET_BYTES]]`.
//!
//! Without an image it makes one, of a million files of 4 KiB in a thousand directories (metadata
//! only), adds a session of a hundred thousand more, and checks before and after.

use std::error::Error;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use block::{FileDevice, ReadAt, SharedDevice, Window};
use ntfs::Limits;
use ntfs::amend::{AmendSettings, Amendment};
use ntfs::build::{Builder, DirectoryId, DirectorySpec, FileSpec, FileTime, Settings};
use ntfs::check::{CheckOptions, check};

const FILES_PER_DIRECTORY: u32 = 1_000;
const FILES: u32 = 1_000_000;
const ADDED: u32 = 100_000;
const VOLUME_BYTES: u64 = 8 << 30;
/// Faults that are printed.
const SHOWN: usize = 40;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let Some(path) = arguments.next() else { return measure() };
    let offset: u64 = arguments.next().map_or(Ok(0), |text| text.parse())?;
    checked(path.as_ref(), offset)
}

fn checked(path: &Path, offset: u64) -> Result<(), Box<dyn Error>> {
    let whole: SharedDevice = Arc::new(FileDevice::open(path)?);
    let length = whole.length_bytes().saturating_sub(offset);
    let device: SharedDevice = Arc::new(Window::new(whole, offset, length)?);
    let start = Instant::now();
    let options = CheckOptions { case_twins_allowed: true, ..CheckOptions::default() };
    let report = check(device, &options, &mut |_| {})?;
    for fault in report.faults.iter().take(SHOWN) {
        println!("{fault}");
    }
    println!(
        "{} faults {:?}; {} files in {} records, {:.2} s",
        report.fault_count,
        report.by_kind(),
        report.files,
        report.records,
        start.elapsed().as_secs_f64(),
    );
    Ok(())
}

fn measure() -> Result<(), Box<dyn Error>> {
    let image = tempfile::NamedTempFile::new()?;
    image.as_file().set_len(VOLUME_BYTES)?;
    let mut builder = Builder::new(Settings {
        volume_bytes: VOLUME_BYTES,
        sector_bytes: 512,
        cluster_bytes: None,
        label: "CHECK".to_owned(),
        serial: 1,
        first_sector_of_partition: 2048,
        time: FileTime::default(),
        placed: Vec::new(),
    })?;
    let file = FileSpec { length_bytes: 4096, ..FileSpec::default() };
    for directory in 0..FILES / FILES_PER_DIRECTORY {
        let name = format!("directory {directory:06}");
        let at = builder.directory(DirectoryId::ROOT, &name, &DirectorySpec::default())?;
        for nth in 0..FILES_PER_DIRECTORY {
            builder.file(at, &format!("file {nth:06}.bin"), &file)?;
        }
    }
    builder.plan()?.write(image.as_file(), &mut |_| {})?;
    println!("{FILES} files, by the builder:");
    checked(image.path(), 0)?;
    amended(image.path(), image.as_file(), &file)?;
    checked(image.path(), 0)
}

fn amended(path: &Path, target: &File, file: &FileSpec) -> Result<(), Box<dyn Error>> {
    let start = Instant::now();
    let settings = AmendSettings { time: FileTime::default(), limits: Limits::default() };
    let mut amendment = Amendment::new(Arc::new(FileDevice::open(path)?), settings)?;
    let looked = start.elapsed().as_secs_f64();
    let session = amendment.directory(DirectoryId::ROOT, "session#2", &DirectorySpec::default())?;
    for nth in 0..ADDED {
        amendment.file(session, &format!("file {nth:06}.bin"), file)?;
    }
    let added = amendment.plan()?.write(target, &mut |_| {})?;
    let seconds = start.elapsed().as_secs_f64();
    println!("{ADDED} files added (look {looked:.2} s, all {seconds:.2} s): {added:?}");
    Ok(())
}

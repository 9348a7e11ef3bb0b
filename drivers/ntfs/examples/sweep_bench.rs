//! Measures the sweep: `cargo run --release -p ntfs --example sweep_bench [files]`.
//!
//! Writes a volume of so many small files (a million, unless told otherwise) to a temporary file,
//! opens it, and prints records a second, bytes of index a file, and look-ups a second. Names have
//! 16 letters, directories a thousand files; every file has one extent of four clusters.

#![allow(clippy::cast_precision_loss, reason = "figures for a human")]
#![allow(clippy::cast_possible_truncation, reason = "record numbers are below 2^32")]

#[path = "../tests/common/image.rs"]
#[allow(dead_code, reason = "shared with the tests, which use more of it")]
mod image;

use std::error::Error;
use std::fs::File;
use std::io::{BufWriter, Seek, SeekFrom, Write};
use std::sync::Arc;
use std::time::Instant;

use block::{FileDevice, SharedDevice};
use image::{Image, ROOT, Record, Shape, clusters, packed};
use ntfs::{FileId, Limits, Volume};

const FILES_PER_DIRECTORY: u64 = 1_000;
/// The first record of a user's file.
const FIRST: u64 = 64;

fn main() -> Result<(), Box<dyn Error>> {
    let files: u64 = std::env::args().nth(1).map_or(Ok(1_000_000), |argument| argument.parse())?;
    let target = tempfile::NamedTempFile::new()?;
    write_volume(target.as_file(), files)?;
    let device: SharedDevice = Arc::new(FileDevice::open(target.path())?);
    measure(&device, files, "first")?;
    measure(&device, files, "again")
}

fn measure(device: &SharedDevice, files: u64, which: &str) -> Result<(), Box<dyn Error>> {
    let before = resident_kib()?;
    let mut swept = Instant::now();
    let start = Instant::now();
    let volume = Volume::open(device.clone(), Limits::default(), &mut |_| swept = Instant::now())?;
    let (sweep, open) = ((swept - start).as_secs_f64(), start.elapsed().as_secs_f64());
    let after = resident_kib()?;
    let size = volume.index_size();
    println!(
        "{which}: {} records: sweep {sweep:.2} s = {:.2} M records/s, open {open:.2} s = {:.2} M records/s",
        size.records,
        size.records as f64 / sweep / 1e6,
        size.records as f64 / open / 1e6,
    );
    println!(
        "{which}: index {:.1} bytes a file, resident memory {:.1} bytes a file",
        size.memory_bytes as f64 / files as f64,
        after.saturating_sub(before) as f64 * 1024.0 / files as f64,
    );
    look_up(&volume, files, which);
    Ok(())
}

fn look_up(volume: &Volume, files: u64, which: &str) {
    let start = Instant::now();
    let step = 7_919;
    let mut found = 0_u64;
    for n in (0..files).step_by(step) {
        found += u64::from(volume.resolve(&path(n)).is_ok());
    }
    let seconds = start.elapsed().as_secs_f64();
    println!("{which}: {found} look-ups at {:.1} µs", seconds * 1e6 / found.max(1) as f64);
}

fn path(n: u64) -> String {
    format!("DIR{:08}\\PHOTO-{:05}.JPEG", n / FILES_PER_DIRECTORY, n % 100_000)
}

fn write_volume(target: &File, files: u64) -> Result<(), Box<dyn Error>> {
    let directories = files.div_ceil(FILES_PER_DIRECTORY);
    let records = (FIRST + directories + files).next_multiple_of(4);
    let mft_clusters = records / 4;
    let mut image = Image::new(Shape {
        sector_bytes: 512,
        cluster_bytes: 4096,
        record_bytes: 1024,
        records: 64,
        clusters: 256,
    });
    let lcn = 256;
    let head = clusters(records * 1024, &[(Some(lcn), mft_clusters)]).data();
    image.put(0, Record::file().named(ROOT, "$MFT").with(head));
    let own_mft = image.mft_runs[0].0.unwrap_or(0) as usize * 4096;
    let mut bytes = image.finish();
    bytes.truncate(256 * 4096);
    // The volume is as large as its files would be; they are never read.
    let volume_clusters = lcn + mft_clusters + files * 4;
    bytes[0x28..0x30].copy_from_slice(&(volume_clusters * 8).to_le_bytes());
    bytes[0x30..0x38].copy_from_slice(&lcn.to_le_bytes());
    target.set_len(volume_clusters * 4096)?;
    let mut out = BufWriter::with_capacity(1 << 20, target);
    out.write_all(&bytes)?;
    out.seek(SeekFrom::Start(lcn * 4096))?;
    out.write_all(&bytes[own_mft..own_mft + 64 * 1024])?;
    for n in 0..directories {
        let record = Record::directory().named(ROOT, &format!("dir{n:08}"));
        out.write_all(&packed(FIRST + n, &record, 1024))?;
    }
    for n in 0..files {
        let parent = FileId { record: FIRST + n / FILES_PER_DIRECTORY, sequence: 1 };
        let runs = [(Some(lcn + mft_clusters + 4 * n), 4)];
        let record = Record::file().named(parent, &format!("photo-{:05}.jpeg", n % 100_000));
        out.write_all(&packed(FIRST + directories + n, &record.with(clusters(16_000, &runs).data()), 1024))?;
    }
    out.flush()?;
    Ok(())
}

fn resident_kib() -> Result<u64, Box<dyn Error>> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or("0");
    Ok(line.split_whitespace().next().unwrap_or("0").parse()?)
}

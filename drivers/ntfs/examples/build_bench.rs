//! Measures the builder: `cargo run --release -p ntfs --example build_bench [FILES] [BYTES] [FOLDER]`.
//!
//! Plans a volume of so many files (a million of 4 KiB, unless told otherwise; a thousand a
//! directory), writes the data from one buffer as a caller would, in pieces of 4 MiB, then the
//! metadata, and flushes. Prints files a second, megabytes a second and memory a file, for the
//! metadata alone and for all of it. The image is a sparse file in FOLDER, gone at the end.

#![allow(clippy::cast_precision_loss, reason = "figures for a human")]

use std::error::Error;
use std::fs;
use std::time::Instant;

use block::WriteAt;
use ntfs::build::{Builder, DirectoryId, DirectorySpec, FileId, FileSpec, FileTime, Plan, Settings, Times};

const FILES_PER_DIRECTORY: u64 = 1_000;
const BUFFER_BYTES: usize = 4 << 20;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let files: u64 = arguments.next().map_or(Ok(1_000_000), |text| text.parse())?;
    let length_bytes: u64 = arguments.next().map_or(Ok(4096), |text| text.parse())?;
    let folder = arguments.next().map_or_else(std::env::temp_dir, Into::into);
    let volume_bytes = files * (length_bytes.next_multiple_of(4096) + 2048) + (1 << 30);
    let volume_bytes = volume_bytes.next_multiple_of(1 << 20);
    let before = resident_bytes("VmRSS")?;
    let started = Instant::now();
    let (plan, ids) = plan(files, length_bytes, volume_bytes)?;
    let planned = started.elapsed().as_secs_f64();
    let held = resident_bytes("VmRSS")?.saturating_sub(before);
    println!(
        "plan: {planned:.2} s = {:.0} files/s; {:.0} bytes a file ({:.0} of them as the plan counts)",
        files as f64 / planned,
        held as f64 / files as f64,
        plan.memory_bytes() as f64 / files as f64,
    );
    let image = tempfile::Builder::new().tempfile_in(folder)?;
    image.as_file().set_len(volume_bytes)?;
    let metadata = Instant::now();
    plan.write(image.as_file(), &mut |_| {})?;
    let metadata = metadata.elapsed().as_secs_f64();
    println!("metadata alone, flushed: {metadata:.2} s = {:.0} files/s", files as f64 / (planned + metadata));
    let data = Instant::now();
    write_data(&plan, &ids, image.as_file())?;
    let data_seconds = data.elapsed().as_secs_f64();
    plan.write(image.as_file(), &mut |_| {})?;
    let all = planned + data.elapsed().as_secs_f64();
    let megabytes = (files * length_bytes) as f64 / 1e6;
    println!(
        "all, flushed: {all:.2} s (data {data_seconds:.2} s) = {:.0} files/s, {:.0} MB/s; peak memory {:.0} MB",
        files as f64 / all,
        megabytes / all,
        resident_bytes("VmHWM")? as f64 / 1e6,
    );
    Ok(())
}

fn plan(files: u64, length_bytes: u64, volume_bytes: u64) -> Result<(Plan, Vec<FileId>), Box<dyn Error>> {
    let mut builder = Builder::new(Settings {
        volume_bytes,
        sector_bytes: 512,
        cluster_bytes: None,
        label: "bench".to_owned(),
        serial: 1,
        first_sector_of_partition: 2048,
        time: FileTime(134_399_520_000_000_000),
        placed: Vec::new(),
    })?;
    let times = Times::all(FileTime(134_399_520_000_000_000));
    let spec = FileSpec { length_bytes, times, ..FileSpec::default() };
    let mut directory = DirectoryId::ROOT;
    let mut ids = Vec::new();
    for n in 0..files {
        if n % FILES_PER_DIRECTORY == 0 {
            let name = format!("directory {:06}", n / FILES_PER_DIRECTORY);
            directory = builder.directory(DirectoryId::ROOT, &name, &DirectorySpec::default())?;
        }
        ids.push(builder.file(directory, &format!("file_{n:08}_of_customer.dat"), &spec)?);
    }
    Ok((builder.plan()?, ids))
}

/// Joins the extents of neighbours, as they follow each other, into large writes.
fn write_data(plan: &Plan, ids: &[FileId], target: &dyn WriteAt) -> Result<(), Box<dyn Error>> {
    let mut buffer = vec![0x5a; BUFFER_BYTES];
    let cluster_bytes = u64::from(plan.cluster_bytes());
    let (mut start, mut end) = (0, 0);
    let mut write = |from: u64, to: u64| -> Result<(), Box<dyn Error>> {
        for at in (from..to).step_by(BUFFER_BYTES) {
            let length = usize::try_from(to - at)?.min(BUFFER_BYTES);
            target.write_all_at(buffer.get_mut(..length).ok_or("a buffer")?, at)?;
        }
        Ok(())
    };
    for extent in ids.iter().flat_map(|id| plan.extents(*id)) {
        if extent.volume_offset_bytes != end || end - start >= BUFFER_BYTES as u64 {
            write(start, end)?;
            start = extent.volume_offset_bytes;
        }
        end = extent.volume_offset_bytes + extent.length_bytes.next_multiple_of(cluster_bytes);
    }
    write(start, end)
}

/// A line of this process's status, in bytes.
fn resident_bytes(what: &str) -> Result<u64, Box<dyn Error>> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix(what)).unwrap_or(": 0");
    Ok(line.split_whitespace().nth(1).unwrap_or("0").parse::<u64>()? * 1024)
}

//! What reading a drive costs: CPU-seconds per GB (10^9 bytes) of each way, against `dd`.
//!
//! `cargo run --release -p block --example read_bench -- FILE [GIGABYTES] [READ_KIB] [DEPTH]`
//!
//! Every way reads the same file, in 4 MiB jobs, in the same run. CPU time is the process's own
//! (user and system), for `dd` its children's.
//! Kernel threads (io-wq, the disk's interrupt) are not in either figure.

#![allow(clippy::arithmetic_side_effects, reason = "a measurement, not a product")]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Instant;

use rustix::time::{ClockId, clock_gettime};

use block::{
    AllowedWays, BufferPool, FileDevice, PoolConfig, ReadAt, ReadJob, ReadPiece, ReadTarget, Reader,
    ReaderConfig,
};

const JOB_BYTES: usize = 4 << 20;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let path =
        PathBuf::from(arguments.get(1).ok_or("usage: read_bench FILE [GIGABYTES] [READ_KIB] [DEPTH]")?);
    let number = |index: usize, default: usize| arguments.get(index).map_or(Ok(default), |text| text.parse());
    let device = Arc::new(FileDevice::open(&path)?);
    let length_bytes = device.length_bytes().min(number(2, 4)? as u64 * 1_000_000_000);
    let length_bytes = length_bytes / JOB_BYTES as u64 * JOB_BYTES as u64;
    let (read_kib, queue_depth) = (number(3, 1024)?, number(4, 8)?);

    dd(&path, length_bytes)?;
    for (uring, registered, direct) in [
        (true, true, true),
        (true, false, true),
        (false, false, true),
        (true, true, false),
        (false, false, false),
    ] {
        let ways = AllowedWays { uring, registered, direct };
        let config =
            ReaderConfig { queue_depth, read_bytes_max: read_kib << 10, ways, ..ReaderConfig::default() };
        ours(&device, length_bytes, config)?;
    }
    dd(&path, length_bytes)?;
    Ok(())
}

/// One sweep by the reader.
fn ours(
    device: &Arc<FileDevice>,
    length_bytes: u64,
    config: ReaderConfig,
) -> Result<(), Box<dyn std::error::Error>> {
    let pool = BufferPool::new(PoolConfig::within(256 << 20))?;
    let (jobs, jobs_in) = tokio::sync::mpsc::channel(16);
    let (done_out, mut done) = tokio::sync::mpsc::channel(16);
    let reader = Reader::start(ReadTarget::File(Arc::clone(device)), &pool, config, jobs_in, done_out);
    let (cpu, start) = (own_cpu_seconds(), Instant::now());
    let consumer = std::thread::spawn(move || {
        while let Some(answer) = done.blocking_recv() {
            answer.outcome.expect("the file can be read");
        }
    });
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    for device_offset_bytes in (0..length_bytes).step_by(JOB_BYTES) {
        let buffer = runtime.block_on(pool.acquire(JOB_BYTES))?;
        let pieces = vec![ReadPiece { device_offset_bytes, buffer_offset_bytes: 0, length_bytes: JOB_BYTES }];
        jobs.blocking_send(ReadJob { tag: (), buffer, pieces })?;
    }
    drop(jobs);
    consumer.join().map_err(|_| "the consumer panicked")?;
    let mode = reader.mode();
    reader.join()?;
    report(&mode.to_string(), length_bytes, own_cpu_seconds() - cpu, start);
    Ok(())
}

/// The yardstick.
fn dd(path: &Path, length_bytes: u64) -> Result<(), Box<dyn std::error::Error>> {
    let (cpu, start) = (children_cpu_seconds()?, Instant::now());
    let count = length_bytes / JOB_BYTES as u64;
    let ended = Command::new("dd")
        .arg(format!("if={}", path.display()))
        .args(["of=/dev/null", "bs=4M", "iflag=direct", &format!("count={count}")])
        .stderr(Stdio::null())
        .status()?;
    if !ended.success() {
        return Err("dd failed".into());
    }
    report("dd bs=4M iflag=direct", length_bytes, children_cpu_seconds()? - cpu, start);
    Ok(())
}

fn report(what: &str, length_bytes: u64, cpu_seconds: f64, start: Instant) {
    let gigabytes = length_bytes as f64 / 1e9;
    let rate = length_bytes as f64 / 1e6 / start.elapsed().as_secs_f64();
    println!("{:6.3} CPU-s/GB  {rate:7.0} MB/s  {what}", cpu_seconds / gigabytes);
}

/// User and system time of this process, all its threads, also those that have ended.
fn own_cpu_seconds() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// User and system time of ended children: `/proc/self/stat`, fields 16 and 17 (proc(5)), in ticks.
fn children_cpu_seconds() -> Result<f64, Box<dyn std::error::Error>> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let after_name = stat.rsplit_once(')').ok_or("an unknown /proc/self/stat")?.1;
    let ticks: f64 =
        after_name.split_whitespace().skip(13).take(2).filter_map(|text| text.parse::<f64>().ok()).sum();
    Ok(ticks / rustix::param::clock_ticks_per_second() as f64)
}

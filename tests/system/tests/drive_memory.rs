//! Memory is a budget: the station's process stays inside its buffers and a fixed rest, whatever
//! is on the drive. design.md §4 and §5.

use std::fs;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result};
use model::drive::{Phase, Suspension};
use rig::endpoint::{Endpoint, EndpointConfig, Store};
use rig::pack::{Content, Layout, PackBlob, PackPlan};
use system_tests::drives::{TestDrive, packed};
use system_tests::program::{Desk, plain};
use system_tests::stand::Stand;

/// The longest block of the format.
const LONGEST_BLOCK_BYTES: u64 = 100 << 20;
const BUFFER_MIB: u64 = 256;
/// What the process may need beside its buffers: code, stacks, the file table, the plan, TLS.
const REST_MIB: u64 = 200;

/// One blob of the longest blocks, and many small files.
fn large_and_small(test: &str) -> Result<Option<TestDrive>> {
    let noise = |seed, length_bytes| Content::Random { seed, length_bytes };
    let layout = Layout::Blocks { block_bytes: LONGEST_BLOCK_BYTES, named: true };
    let large =
        PackBlob { layout, ..PackBlob::new("large/blob.bin", noise(1, 4 * LONGEST_BLOCK_BYTES - 5_000)) };
    let small =
        (0..3_000).map(|number| PackBlob::new(&format!("small/{number}.bin"), noise(10 + number, 9_000)));
    let all = std::iter::once(large).chain(small).collect();
    packed("large-and-small", test, &PackPlan::new("DRGTESTMEMORY", all))
}

/// The most memory that a process has had at once so far, in KiB; none once it has ended.
fn peak_kib(process: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

/// Runs a command to its end; its exit code and its peak.
fn run_measured(command: &mut Command) -> Result<(Option<i32>, u64)> {
    let mut process = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().context("starting it")?;
    let mut peak = 0;
    loop {
        // The kernel keeps the peak, so nothing is missed between two looks.
        peak = peak_kib(process.id()).unwrap_or(0).max(peak);
        if let Some(status) = process.try_wait()? {
            return Ok((status.code(), peak));
        }
        sleep(Duration::from_millis(2));
    }
}

#[test]
fn a_drive_of_the_longest_blocks_and_many_files_stays_inside_the_budget() -> Result<()> {
    let test = "a_drive_of_the_longest_blocks_and_many_files_stays_inside_the_budget";
    let Some(drive) = large_and_small(test)? else { return Ok(()) };
    let endpoint = Endpoint::start(EndpointConfig::with_store(Store::Discard))?;
    let desk = Desk::before(&endpoint)?;
    let mut ingest = plain();
    ingest.args(["ingest", "--drive"]).arg(&drive.image).arg("--job").arg(&drive.job_file);
    ingest.args(["--to", &endpoint.url(), "--buffer-mib", &BUFFER_MIB.to_string()]);
    ingest.arg("--state").arg(desk.state()).arg("--credential-file").arg(desk.credential_file());
    let (code, peak_kib) = run_measured(&mut ingest)?;
    assert_eq!(code, Some(0));
    let landed =
        endpoint.blobs().iter().filter(|blob| blob.container == "large" || blob.container == "small").count();
    assert_eq!(landed, 3_001);
    let peak_mib = peak_kib / 1024;
    eprintln!("peak: {peak_mib} MiB with {BUFFER_MIB} MiB of buffers");
    // More than one of its longest blocks: that something was measured.
    assert!(peak_mib > LONGEST_BLOCK_BYTES >> 20, "{peak_mib} MiB");
    assert!(peak_mib < BUFFER_MIB + REST_MIB, "{peak_mib} MiB with {BUFFER_MIB} MiB of buffers");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_block_longer_than_all_buffers_stops_the_copy_and_says_what_it_needs() -> Result<()> {
    let test = "a_block_longer_than_all_buffers_stops_the_copy_and_says_what_it_needs";
    let Some(drive) = large_and_small(test)? else { return Ok(()) };
    let endpoint = Endpoint::start(EndpointConfig::default())?;
    // A stand has 32 MiB of buffers.
    let tried = Stand::before(&endpoint)?.ingest(&drive).await?;
    assert_eq!(tried.report.phase, Phase::Suspended { reason: Suspension::StationFault });
    let message = tried.report.message.context("it says why")?;
    assert!(message.contains("more memory for buffers"), "{message}");
    assert_eq!(tried.progress.buffers_left_bytes.value(), 0);
    Ok(())
}

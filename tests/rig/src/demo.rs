//! `cargo rig demo`: a drive is packed, ingested at an endpoint of our own, and looked at.
//!
//! Owns the folder `target/rig/demo`, which every run makes anew. The main job is the station's; here
//! is only what is around it, and words.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use clap::Args;
use rig::endpoint::{self, Endpoint, EndpointConfig, Store};
use rig::pack::{self, ExpectedDrive, presets};
use rig::process;
use rig::setup::{self, Purpose};

use crate::checks;
use crate::local;

/// What the demo is to do.
#[derive(Args)]
pub struct Options {
    /// Build the station for release first: slower to start, faster to copy
    #[arg(long)]
    release: bool,
}

/// Exit codes of an ingest whose damaged blobs were found: operations.md §6.6.
const FOUND_DAMAGE: std::ops::RangeInclusive<i32> = 10..=12;

/// Packs, ingests, and says what to try next.
///
/// # Errors
/// When something is missing, or the ingest did not come to its end.
pub fn run(options: &Options) -> Result<()> {
    setup::ensure(Purpose::Demo)?;
    let station = build(options.release)?;
    let folder = setup::scratch_root().join("demo");
    if folder.exists() {
        fs::remove_dir_all(&folder).context("removing the last demo")?;
    }
    fs::create_dir_all(&folder).context("making the demo's folder")?;
    let plan = presets::demo();
    say(&format!(
        "packing a drive: {} blobs, {} MB, {} of them damaged on purpose",
        plan.blobs.len(),
        plan.payload_bytes() / 1_000_000,
        plan.blobs.iter().filter(|blob| blob.fault.is_some()).count(),
    ));
    let drive = folder.join("drive");
    let expected = pack::pack(&plan, &drive)?;
    let store = EndpointConfig::with_store(Store::Disk(folder.join("account")));
    let endpoint = Endpoint::start(store).context("starting our endpoint")?;
    say(&format!("an endpoint of our own listens at {}", endpoint.url()));
    let code = ingest(&station, &folder, &endpoint)?;
    let differences = expected.differences(&endpoint.snapshot());
    endpoint.stop();
    if !differences.is_empty() {
        bail!("the account does not hold what it must:\n  {}", differences.join("\n  "));
    }
    summarise(&folder, &expected, code)
}

fn build(release: bool) -> Result<PathBuf> {
    say("building the station (minutes on the first run)");
    let mut build = checks::cargo();
    build.args(["build", "--package", "station"]).args(release.then_some("--release"));
    process::run(&mut build)?;
    let profile = if release { "release" } else { "debug" };
    let target =
        setup::scratch_root().parent().context("the rig's folder lies in the target folder")?.to_owned();
    Ok(target.join(profile).join("station"))
}

fn ingest(station: &Path, folder: &Path, endpoint: &Endpoint) -> Result<i32> {
    let drive = folder.join("drive");
    let mut command = Command::new(station);
    command.arg("ingest").arg("--drive").arg(drive.join("drive.img"));
    command.arg("--job").arg(drive.join("drive.json")).arg("--to").arg(endpoint.url());
    command.arg("--credential-file").arg(local::credential_file(folder, &endpoint.connection_string())?);
    command.arg("--logs").arg(folder.join("logs")).arg("--state").arg(folder.join("state"));
    say(&process::shown(&command));
    let status = command.status().context("starting the station")?;
    status.code().with_context(|| format!("the station ended with {status}"))
}

fn summarise(folder: &Path, expected: &ExpectedDrive, code: i32) -> Result<()> {
    if !FOUND_DAMAGE.contains(&code) {
        bail!("the ingest ended with code {code}, and not with one that says it found the damage: see above");
    }
    let landed = expected.blobs.iter().filter(|blob| blob.present).count();
    say(&format!("the account holds {landed} blobs, each with the SHA-256 that it must have"));
    say(&format!("the station ended with code {code}, because of what is damaged:"));
    for blob in expected.blobs.iter().filter(|blob| blob.status != "Completed") {
        let fate = if blob.present { "landed, without what was wrong" } else { "not visible in the account" };
        println!("  {:<36} {:<22} {fate}", blob.blob, blob.status);
    }
    let shown = |name: &str| folder.join(name).display().to_string();
    println!();
    println!("  the logs     {}", shown("logs"));
    println!("  the blobs    {}", shown("account"));
    println!("  the drive    {}", shown("drive/drive.img"));
    println!("  expected     {}", shown("drive/expected.json"));
    println!();
    println!("To try next:");
    println!("  what is on the drive, and what is wrong with it:");
    println!(
        "    cargo run -q -p station -- inspect --drive {} --job {}",
        shown("drive/drive.img"),
        shown("drive/drive.json")
    );
    println!("  the same account again, for any client (account {}, the well-known key):", endpoint::ACCOUNT);
    println!("    cargo rig endpoint --listen 127.0.0.1:10000 --data {}", shown("account"));
    println!("  a drive of your own making:");
    println!("    cargo rig pack --out target/rig/mine --files mixed --bytes 1000000000 --count 500");
    println!("  break something: flip a byte in the middle of drive.img and ingest it to a new account");
    Ok(())
}

fn say(line: &str) {
    eprintln!("demo: {line}");
}

//! `cargo rig bench`: what a whole ingest and a whole packing cost, from outside, beside what the usual
//! tools cost.
//!
//! Everything is measured on whole processes in one run on one machine, and compared as ratios of
//! processor seconds: wall time on a shared machine is noise (design §5). The endpoint discards what
//! it is sent, in a process of its own, so that its work is not counted as ours.

mod drives;
mod ours;
pub mod pack;
mod peers;
mod report;
pub(crate) mod usage;

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;
use rig::process;
use rig::setup::{self, Purpose};

use drives::Workload;

/// What to measure.
#[derive(Args)]
pub struct Options {
    /// Bytes of the drive of large files
    #[arg(long, default_value_t = 4 << 30, value_name = "N")]
    bytes: u64,
    /// Files of 16 KiB on the drive of small files
    #[arg(long, default_value_t = 200_000, value_name = "N")]
    count: usize,
    /// Measure only this workload
    #[arg(long, value_enum)]
    only: Option<Workload>,
    /// Leave out dislocker, ntfs-3g and azcopy
    #[arg(long)]
    without_peers: bool,
}

/// Packs the drives unless they are there, measures, prints a table a workload.
///
/// # Errors
/// When something cannot be built, packed or run. Peers that are missing are named and left out.
pub fn ingest(options: &Options) -> Result<()> {
    let tools = setup::ensure(Purpose::Bench)?;
    let programs = Programs::build()?;
    for workload in [Workload::Large, Workload::Small] {
        if options.only.is_some_and(|only| only != workload) {
            continue;
        }
        let drive = drives::packed(workload, options.bytes, options.count, &programs)?;
        let mut rows = vec![ours::measure(&drive, &programs)?];
        if options.without_peers {
            println!("peers: left out, as asked");
        } else {
            match peers::obstacle(&tools) {
                Some(obstacle) => println!("peers: left out: {obstacle}"),
                None => rows.extend(peers::measure(&drive, &programs, &tools)?),
            }
        }
        report::print(&drive.title, &rows);
    }
    Ok(())
}

/// Our programs, built as they are shipped.
struct Programs {
    station: PathBuf,
    driveprep: PathBuf,
    rig: PathBuf,
}

impl Programs {
    fn build() -> Result<Programs> {
        eprintln!("bench: building station, driveprep and rig for release");
        let mut build = crate::checks::cargo();
        build.args(["build", "--release", "--quiet"]);
        build.args(["--package", "station", "--package", "driveprep", "--package", "rig"]);
        process::run(&mut build)?;
        let folder = setup::scratch_root();
        let release = folder.parent().context("the rig's folder lies in the target folder")?.join("release");
        let program = |name: &str| release.join(name);
        Ok(Programs { station: program("station"), driveprep: program("driveprep"), rig: program("rig") })
    }
}

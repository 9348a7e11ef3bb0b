//! `driveprep verify`: everything on the drive against its manifest, before it is shipped.
//!
//! The drive is opened, planned, read and digested by the code that the station ingests with
//! ([`proof`]), so what is said here is what the station will say. Beyond the manifest's chunks it
//! looks at what a station would forgive: damaged copies of the BitLocker metadata, a secret that
//! does not open, a file system that was not left clean.
//!
//! ```text
//! bring-up ─▶ protectors ─▶ manifest ─▶ entries ──scan──▶ chunk ends ─▶ findings ─▶ verdict
//! ```

mod blob;
mod findings;
mod scan;

use std::io::BufReader;
use std::sync::Arc;

use bitlocker::{CopyHealth, Metadata, Secret};
use block::SharedDevice;
use clap::Args;
use manifest::{BlobRefusal, Credential, ManifestEvent, ManifestReader, SideFileRef};
use model::Exit;
use ntfs::check::{CheckOptions, check};
use proof::bring_up::{ManifestTotals, OpenDrive};
use proof::chain;
use proof::file::{self, FileRefusal};
use proof::side::SideFiles;

use crate::console::Console;
use crate::failure::Failure;
use crate::open::{DriveArguments, Recognised};
use blob::Blob;
use findings::Findings;
use scan::Scan;

/// `driveprep verify`.
#[derive(Debug, Args)]
pub struct VerifyArguments {
    /// The drive, its job entry and what opens it.
    #[command(flatten)]
    pub drive: DriveArguments,
    /// Memory for the drive's buffers, in MiB.
    #[arg(long, value_name = "MIB", default_value_t = 256, value_parser = clap::value_parser!(u32).range(128..=16_384))]
    pub buffer_mib: u32,
}

/// Faults of the file system's structure that are named one by one.
const FAULTS_PRINTED_MAX: usize = 50;

/// Runs the command.
///
/// # Errors
/// When the drive cannot be opened, its manifest is not the job's, or this program fails. What is
/// wrong with single items is printed, counted, and decides the exit code.
pub fn run(arguments: &VerifyArguments, console: &Console) -> Result<Exit, Failure> {
    verify(arguments.drive.recognise()?, arguments.buffer_mib, console)
}

/// Everything of [`run`] once the drive's BitLocker volume was found.
///
/// # Errors
/// As there.
pub fn verify(recognised: Recognised, buffer_mib: u32, console: &Console) -> Result<Exit, Failure> {
    let findings = Arc::new(Findings::new(console.clone()));
    let metadata_faults = metadata_faults(&recognised.drive.metadata, &recognised.secrets);
    let unlocked = recognised.unlock()?;
    for fault in metadata_faults {
        findings.drive_fault("BitLocker", &fault);
    }
    for fault in health_faults(unlocked.drive.ntfs.health()) {
        findings.drive_fault("NTFS", &fault);
    }
    let (drive, totals, job) = unlocked.prove()?;
    let hash = job.manifest_hash;
    console.note(&format!("manifest  {} of {} is the job's", hash.algorithm(), job.manifest_file));
    check_structure(&drive, &findings)?;
    let counts = scan_all(&Arc::new(drive), totals, &findings, buffer_mib)?;
    Ok(findings.conclude(totals, counts))
}

/// Everything about the BitLocker metadata and the given secrets that a station would work around.
fn metadata_faults(metadata: &Metadata, secrets: &[Secret]) -> Vec<String> {
    let mut faults = Vec::new();
    for copy in metadata.copies.iter().filter(|copy| copy.health != CopyHealth::Good) {
        faults.push(format!("the metadata copy at byte {:#x}: {}", copy.offset_bytes, copy.health));
    }
    for secret in secrets {
        match metadata.unlock(secret) {
            Ok(key) if key.integrity() == bitlocker::Integrity::Tampered => {
                faults.push("the metadata is not what was sealed when the volume was made".to_owned());
            }
            Ok(_) => {}
            Err(error) => faults.push(chain(&error)),
        }
    }
    faults
}

fn health_faults(health: &ntfs::Health) -> Vec<String> {
    let mut faults = Vec::new();
    if health.dirty {
        faults.push("the volume is marked dirty: it was not unmounted cleanly".to_owned());
    }
    if health.log_file == ntfs::LogFile::Unclean {
        faults.push("$LogFile holds unfinished transactions".to_owned());
    }
    if health.hibernated {
        faults.push("Windows is hibernated on this volume".to_owned());
    }
    if health.problems.count() > 0 {
        faults.push(format!("{} records of $MFT are damaged or lost", health.problems.count()));
    }
    faults
}

/// The file system against itself: what a station reads around, Windows may stumble over.
fn check_structure(drive: &OpenDrive, findings: &Findings) -> Result<(), Failure> {
    // Linux has names that differ by case only, and the station tells them apart.
    let options = CheckOptions { case_twins_allowed: true, ..CheckOptions::default() };
    let device: SharedDevice = Arc::clone(&drive.volume) as SharedDevice;
    let report = check(device, &options, &mut |_| {})
        .map_err(|error| Failure::new(Exit::MediaErrors, anyhow::Error::from(error)))?;
    for fault in report.faults.iter().take(FAULTS_PRINTED_MAX) {
        findings.drive_fault("NTFS", &fault.to_string());
    }
    let more = report.fault_count.saturating_sub(FAULTS_PRINTED_MAX as u64);
    if more > 0 {
        findings.drive_fault("NTFS", &format!("{more} more faults of its structure"));
    }
    Ok(())
}

/// Every entry of the manifest; what can be read is scanned, the rest is a finding at once.
fn scan_all(
    drive: &Arc<OpenDrive>,
    totals: ManifestTotals,
    findings: &Arc<Findings>,
    buffer_mib: u32,
) -> Result<scan::Counts, Failure> {
    let mut scan = Scan::start(Arc::clone(drive), totals, Arc::clone(findings), buffer_mib)?;
    let mut side_files = SideFiles::new(Arc::clone(&drive.ntfs));
    let mut credential = Credential::Absent;
    let mut list_files: (Option<SideFileRef>, Option<SideFileRef>) = (None, None);
    let mut reader = ManifestReader::new(BufReader::with_capacity(1 << 16, drive.manifest.read()));
    while let Some(event) = reader.next().map_err(|error| Failure::new(Exit::Manifest, error))? {
        match event {
            ManifestEvent::Drive(header) => credential = header.credential,
            ManifestEvent::List(list) => list_files = (list.metadata, list.properties),
            ManifestEvent::Blob(entry) => {
                let metadata = entry.metadata.as_ref().or(list_files.0.as_ref());
                let properties = entry.properties.as_ref().or(list_files.1.as_ref());
                let side = side_files.load(metadata, properties).statuses;
                let opened = match refusal(entry.refusal(&credential)) {
                    Some(refusal) => Err(refusal),
                    None => file::open(&drive.ntfs, &entry),
                };
                scan.add(Blob::new(entry, side, opened))?;
            }
        }
    }
    scan.finish()
}

/// An entry for a file share is no refusal here: its bytes are on the drive and can be proven.
fn refusal(refusal: Option<BlobRefusal>) -> Option<FileRefusal> {
    refusal
        .filter(|refusal| !matches!(refusal, BlobRefusal::AzureFile))
        .map(|refusal| FileRefusal { status: refusal.status(), message: chain(&refusal) })
}

//! An import's list of drives.

use std::collections::BTreeSet;

use super::texts::{Checks, LONG_CHARS_MAX};
use super::{Facts, ProblemCode};
use crate::DriveId;
use crate::job::DRIVES_MAX;
use crate::job::new::NewDrive;

/// Longest serial number: ATA has 20 characters, NVMe 20, SCSI up to 252.
const SERIAL_CHARS_MAX: usize = 252;

pub(super) fn check_drives(drives: &[NewDrive], facts: &Facts, checks: &mut Checks) {
    if drives.is_empty() {
        checks.add("properties.driveList", ProblemCode::Missing, "an import job has 1 to 10 drives");
    }
    if drives.len() > DRIVES_MAX {
        checks.add(
            "properties.driveList",
            ProblemCode::TooLong,
            "a job has at most 10 drives; make another job",
        );
    }
    let mut seen = BTreeSet::new();
    // Beyond the limit nothing is looked at, so that an answer stays as short as a good request.
    for (index, drive) in drives.iter().take(DRIVES_MAX).enumerate() {
        let place = DrivePath(index);
        check_drive_id(drive, &place, &mut seen, facts, checks);
        check_manifest(drive, &place, checks);
        check_key(drive, &place, facts, checks);
    }
}

struct DrivePath(usize);

impl DrivePath {
    fn field(&self, field: &str) -> String {
        format!("properties.driveList[{}].{field}", self.0)
    }
}

fn check_drive_id(
    drive: &NewDrive,
    place: &DrivePath,
    seen: &mut BTreeSet<DriveId>,
    facts: &Facts,
    checks: &mut Checks,
) {
    let target = place.field("driveId");
    let Ok(drive_id) = DriveId::new(&drive.drive_id) else {
        return checks.add(&target, ProblemCode::Missing, "the drive's serial number is required");
    };
    if drive_id.as_str() != drive.drive_id {
        checks.add(&target, ProblemCode::Invalid, "a serial number is written without spaces");
    } else if drive_id.as_str().chars().count() > SERIAL_CHARS_MAX {
        checks.add(&target, ProblemCode::TooLong, "a serial number has at most 252 characters");
    } else if facts.active_drive_ids.contains(&drive_id) {
        checks.add(&target, ProblemCode::InUse, "another active job has this drive");
    } else if !seen.insert(drive_id) {
        checks.add(&target, ProblemCode::Duplicate, "this drive is on the list already");
    }
}

fn check_manifest(drive: &NewDrive, place: &DrivePath, checks: &mut Checks) {
    checks.required(&place.field("manifestFile"), &drive.manifest_file, LONG_CHARS_MAX);
    let hash = &drive.manifest_hash;
    let target = place.field("manifestHash");
    if hash.is_empty() {
        checks.add(&target, ProblemCode::Missing, "the manifest's hash is required");
    } else if !matches!(hash.len(), 32 | 64) || !hash.bytes().all(|b| b.is_ascii_hexdigit()) {
        checks.add(&target, ProblemCode::Invalid, "32 hexadecimal digits (MD5) or 64 (SHA-256)");
    }
    checks.text(
        &place.field("driveHeaderHash"),
        drive.drive_header_hash.as_deref().unwrap_or(""),
        LONG_CHARS_MAX,
    );
}

fn check_key(drive: &NewDrive, place: &DrivePath, facts: &Facts, checks: &mut Checks) {
    let kept = DriveId::new(&drive.drive_id).is_ok_and(|drive_id| facts.keys_kept.contains(&drive_id));
    if !drive.key_given && !kept {
        checks.add(
            &place.field("bitLockerKey"),
            ProblemCode::Missing,
            "the drive's BitLocker key is required",
        );
    }
}

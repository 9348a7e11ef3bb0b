//! `drive.json`: what the customer gives with a drive. Same shape as the shared fixtures.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

/// A drive's serial number, its secrets and its entry in the job.
///
/// The secrets are the rig's own, drawn for a drive that nobody ships, so they may be seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DriveJson {
    /// The drive's serial number.
    pub serial: String,
    /// `cbc128`, `cbc256`, `xts128` or `xts256`.
    pub method: String,
    /// Logical sector size in bytes.
    pub sector_bytes: u32,
    /// Opens the volume.
    pub recovery_password: String,
    /// Opens the volume as well.
    pub password: String,
    /// The entry of the job's `driveList`.
    pub job: JobEntry,
}

/// One entry of `driveList`: azure-import-export.md §5.3.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct JobEntry {
    /// The drive's serial number.
    pub drive_id: String,
    /// The recovery password.
    pub bit_locker_key: String,
    /// The manifest's path on the volume.
    pub manifest_file: String,
    /// MD5 of the manifest, in upper-case hexadecimal digits.
    pub manifest_hash: String,
}

impl DriveJson {
    /// Reads a file.
    ///
    /// # Errors
    /// When it is not there or has another shape.
    pub fn read(path: &Path) -> Result<DriveJson> {
        let text = fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
        serde_json::from_str(&text).with_context(|| format!("understanding {}", path.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fixtures_drive_json_has_this_very_shape() {
        let path = crate::setup::workspace_root().join("../shared/fixtures/drives/mixed-xts256/drive.json");
        if !path.exists() {
            let test = "the_fixtures_drive_json_has_this_very_shape";
            return crate::skipped(test, "../shared/fixtures is not there");
        }
        let before: serde_json::Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        assert_eq!(serde_json::to_value(DriveJson::read(&path).unwrap()).unwrap(), before);
    }
}

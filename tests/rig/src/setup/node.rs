//! npm packages: Azurite, which our endpoint is held to, azcopy, a client and a peer, and the official
//! Import/Export client, which drives our job API.
//!
//! Pinned with hashes by `tests/rig/node/package-lock.json`; no package's own scripts are run.

use std::ffi::OsString;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use super::stamp::Stamp;
use super::{say, workspace_root};
use crate::process;

/// Azurite's blob service: a script with a `node` hashbang.
pub fn azurite() -> PathBuf {
    modules().join(".bin/azurite-blob")
}

/// azcopy's executable.
pub fn azcopy() -> PathBuf {
    modules().join("@azure-tools/azcopy-linux/dist/bin/azcopy_linux_amd64")
}

/// The entry of the official Import/Export client, for a script to `require`.
pub fn arm_client() -> PathBuf {
    modules().join("@azure/arm-storageimportexport/dist/index.js")
}

/// Azurite on `port` of loopback with its data below `folder`, silent, not started yet.
///
/// Looser API version checks are on, because the SDK may speak a newer version than Azurite knows.
pub fn azurite_command(azurite: PathBuf, port: u16, folder: PathBuf) -> Command {
    let mut command = Command::new(azurite);
    command.args(["--silent", "--skipApiVersionCheck", "--disableTelemetry", "--blobHost", "127.0.0.1"]);
    command.arg("--blobPort").arg(OsString::from(port.to_string())).arg("--location").arg(folder);
    command
}

/// Installs what the lock file says, unless that very lock file was installed before.
///
/// # Errors
/// When npm fails.
pub fn ensure() -> Result<()> {
    let folder = folder();
    let [package, lock] = ["package.json", "package-lock.json"].map(|name| folder.join(name));
    let stamp = Stamp::new(modules().join(".drayage-stamp"), &[&package, &lock])?;
    if stamp.is_current() {
        return Ok(());
    }
    say("installing npm packages of tests/rig/node/package-lock.json below tests/rig/node");
    let mut npm = Command::new("npm");
    npm.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]).current_dir(&folder);
    process::output(&mut npm)?;
    // The package ships its executable without the executable bit.
    let azcopy = azcopy();
    fs::set_permissions(&azcopy, Permissions::from_mode(0o755))
        .with_context(|| format!("making {} executable", azcopy.display()))?;
    stamp.write()
}

fn folder() -> PathBuf {
    workspace_root().join("tests/rig/node")
}

fn modules() -> PathBuf {
    folder().join("node_modules")
}

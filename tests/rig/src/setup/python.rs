//! The official Python clients (storage, Import/Export), schemathesis and readers of BitLocker volumes, in a
//! virtual environment of their own.
//!
//! Pinned with hashes by `tests/rig/python/requirements.txt`.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use super::stamp::Stamp;
use super::{say, scratch_root, workspace_root};
use crate::process;

/// The environment's interpreter.
pub fn interpreter() -> PathBuf {
    folder().join("bin/python")
}

/// Makes the environment, unless it was made from these very requirements before.
///
/// # Errors
/// When Python or pip fails.
pub fn ensure() -> Result<()> {
    let requirements = workspace_root().join("tests/rig/python/requirements.txt");
    let stamp = Stamp::new(folder().join("drayage-stamp"), &[&requirements])?;
    if stamp.is_current() {
        return Ok(());
    }
    say("installing PyPI packages of tests/rig/python/requirements.txt below target/rig/python");
    if folder().exists() {
        fs::remove_dir_all(folder()).context("removing the old Python environment")?;
    }
    process::output(Command::new("python3").args(["-m", "venv"]).arg(folder()))?;
    let mut pip = Command::new(interpreter());
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes", "-r"]);
    process::output(pip.arg(&requirements))?;
    stamp.write()
}

fn folder() -> PathBuf {
    scratch_root().join("python")
}

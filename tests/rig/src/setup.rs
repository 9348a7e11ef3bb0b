//! What a fresh Debian 12 with a Rust toolchain lacks, said before it is installed.
//!
//! Owns the list of needs ([`debian`]), the npm packages ([`node`]) and the Python client
//! ([`python`]). Invariant: sources are apt, npm with a lock file and PyPI with hashes, nothing
//! else; a second run with everything there changes nothing and takes well under a second.

mod debian;
mod node;
mod python;
mod stamp;

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::ValueEnum;

pub use node::azurite_command;

/// What the machine is set up for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Purpose {
    /// Pack a drive and ingest it at our own endpoint.
    Demo,
    /// Everything that CI runs: also Azurite, azcopy, the official Python client and oracles.
    Test,
    /// Benchmarks: also the peers that are compared with.
    Bench,
}

/// Where installed tools are; `None` for those that are not there.
///
/// [`Tools::environment`] hands them to tests.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tools {
    /// Azurite's blob service, an executable: `DRAYAGE_AZURITE`.
    pub azurite: Option<PathBuf>,
    /// azcopy, an executable: `DRAYAGE_AZCOPY`.
    pub azcopy: Option<PathBuf>,
    /// The official Import/Export client for Node, the file to `require`: `DRAYAGE_NODE_ARM_CLIENT`.
    pub arm_client: Option<PathBuf>,
    /// A Python that can import `azure.storage.blob`, `azure.mgmt.storageimportexport`, `pybde` and
    /// `dissect.fve`: `DRAYAGE_PYTHON`.
    pub python: Option<PathBuf>,
}

impl Tools {
    /// What is installed now: the environment's word first, then the places that [`ensure`] fills.
    ///
    /// For tests, which may be run by `cargo test` as well as by `cargo rig test`.
    pub fn installed() -> Tools {
        let from = |name: &str, place: PathBuf| {
            std::env::var_os(name).map(PathBuf::from).or(Some(place)).filter(|path| path.is_file())
        };
        Tools {
            azurite: from("DRAYAGE_AZURITE", node::azurite()),
            azcopy: from("DRAYAGE_AZCOPY", node::azcopy()),
            arm_client: from("DRAYAGE_NODE_ARM_CLIENT", node::arm_client()),
            python: from("DRAYAGE_PYTHON", python::interpreter()),
        }
    }

    /// The variables that tell tests where the tools are.
    pub fn environment(&self) -> Vec<(&'static str, &Path)> {
        [
            ("DRAYAGE_AZURITE", &self.azurite),
            ("DRAYAGE_AZCOPY", &self.azcopy),
            ("DRAYAGE_NODE_ARM_CLIENT", &self.arm_client),
            ("DRAYAGE_PYTHON", &self.python),
        ]
        .into_iter()
        .filter_map(|(name, path)| Some((name, path.as_deref()?)))
        .collect()
    }
}

/// Installs what `purpose` needs and is not there yet, saying so first.
///
/// # Errors
/// When something cannot be installed; for Debian packages without root, the error is the command
/// to run.
pub fn ensure(purpose: Purpose) -> Result<Tools> {
    let _only_one = lock()?;
    debian::ensure(purpose)?;
    if purpose != Purpose::Demo {
        node::ensure()?;
    }
    if purpose == Purpose::Test {
        python::ensure()?;
    }
    Ok(Tools::installed())
}

/// The repository's top folder.
pub fn workspace_root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).expect("tests/rig lies two folders below the top").to_owned()
}

/// Where the rig keeps what it makes: `target/rig`, or below `CARGO_TARGET_DIR`.
pub fn scratch_root() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    workspace_root().join(target.unwrap_or_else(|| PathBuf::from("target"))).join("rig")
}

/// Held while installing: two `cargo rig` at once would install over each other.
fn lock() -> Result<File> {
    let path = scratch_root().join("setup.lock");
    fs::create_dir_all(scratch_root()).context("making the rig's folder")?;
    let file = File::create(&path).with_context(|| format!("opening {}", path.display()))?;
    file.lock().with_context(|| format!("locking {}", path.display()))?;
    Ok(file)
}

/// One line of what set-up is doing, on standard error.
fn say(line: &str) {
    eprintln!("setup: {line}");
}

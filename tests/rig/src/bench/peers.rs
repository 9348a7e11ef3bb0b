//! The usual tools on the same image in the same run: dislocker, ntfs-3g, azcopy with `--put-md5`.
//!
//! Each is a process of its own, so what the chain's stages cost is told by its parts.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use block::partitions::PARTITION_START_BYTES;
use rig::pack::volume;
use rig::process;
use rig::setup::Tools;
use tempfile::TempDir;

use super::Programs;
use super::drives::Drive;
use super::report::{Part, Row};
use super::usage::{Measured, Usage};
use crate::local::{self, Discarding};

/// How long a FUSE file system may take to come up: dislocker derives keys first.
const MOUNT_WAIT: Duration = Duration::from_secs(60);

/// The volume below dislocker's mount.
pub const VOLUME: &str = "dislocker-file";

/// Where the chain copies to; azcopy does not make it.
const CONTAINER: &str = "bench";

/// Why the chain cannot run here, if so.
pub fn obstacle(tools: &Tools) -> Option<String> {
    if process::on_path("dislocker-fuse").is_none() {
        return Some("dislocker is not installed; run `cargo rig setup --for bench`".to_owned());
    }
    if tools.azcopy.is_none() {
        return Some("azcopy is not installed; run `cargo rig setup --for bench`".to_owned());
    }
    volume::obstacle()
}

/// The whole chain, once.
///
/// # Errors
/// When one of the tools fails.
pub fn measure(drive: &Drive, programs: &Programs, tools: &Tools) -> Result<Vec<Row>> {
    let azcopy = tools.azcopy.as_deref().context("azcopy is not installed")?;
    let scratch = tempfile::tempdir().context("making a scratch folder")?;
    let endpoint = Discarding::start(&programs.rig)?;
    endpoint.make_container(CONTAINER)?;
    let start = Instant::now();
    let mut dislocker = dislocker(&drive.image(), &drive.json.recovery_password)?;
    let decrypted = Fuse::mount(dislocker.args(["-r", "--", "-f"]))?;
    let mut ntfs3g = ntfs3g();
    let files = Fuse::mount(ntfs3g.args(["-o", "ro,no_detach"]).arg(decrypted.path().join(VOLUME)))?;
    let sent = Measured::start(&mut copy(azcopy, files.path(), &endpoint, scratch.path()))?.wait(&[0])?;
    let wall_seconds = start.elapsed().as_secs_f64();
    let parts = vec![
        Part::new("dislocker-fuse", Usage::default()),
        Part::new("ntfs-3g", files.unmount()?),
        Part::new("azcopy --put-md5", sent),
    ];
    let mut row = Row {
        name: "dislocker + ntfs-3g + azcopy --put-md5".to_owned(),
        load: drive.load,
        wall_seconds,
        parts,
        endpoint: None,
        stages: Vec::new(),
    };
    row.parts[0].usage = decrypted.unmount()?;
    row.endpoint = Some(Part::new("endpoint", endpoint.stop()?));
    Ok(vec![row])
}

/// dislocker-fuse on the partition of an image; what follows is for the caller to add.
///
/// # Errors
/// When it is not installed.
pub fn dislocker(image: &Path, recovery_password: &str) -> Result<Command> {
    let program = process::on_path("dislocker-fuse").context("dislocker is not installed")?;
    let mut command = Command::new(program);
    command.arg("-V").arg(image).arg("-O").arg(PARTITION_START_BYTES.to_string());
    // A secret of the rig's own making; a real one would not be put there.
    command.arg(format!("--recovery-password={recovery_password}"));
    Ok(command)
}

/// ntfs-3g; options and volume are for the caller to add.
pub fn ntfs3g() -> Command {
    let mut command = Command::new(process::on_path("ntfs-3g").unwrap_or_else(|| PathBuf::from("ntfs-3g")));
    // It tells of each mount and unmount there; a failure shows as nothing being mounted.
    command.stderr(Stdio::null());
    command
}

fn copy(azcopy: &Path, files: &Path, endpoint: &Discarding, scratch: &Path) -> Command {
    let mut command = Command::new(azcopy);
    command.arg("copy").arg(files.join("session#1"));
    command.arg(format!("{}/{CONTAINER}?{}", endpoint.url(), local::UNCHECKED_SAS));
    command.args(["--recursive", "--put-md5", "--from-to=LocalBlob", "--blob-type=BlockBlob"]);
    command.args(["--block-size-mb=4", "--check-length=false", "--log-level=NONE", "--output-level=quiet"]);
    command.args(["--skip-version-check"]);
    for variable in ["HOME", "AZCOPY_LOG_LOCATION", "AZCOPY_JOB_PLAN_LOCATION"] {
        command.env(variable, scratch);
    }
    command.env("AZCOPY_DISABLE_SYSLOG", "true").stdout(Stdio::null());
    command
}

/// A FUSE file system whose process is measured.
pub struct Fuse {
    folder: TempDir,
    process: Option<Measured>,
}

impl Fuse {
    /// Runs `command` with a new folder as its last argument and waits until it is mounted there.
    ///
    /// # Errors
    /// When nothing is mounted there in time.
    pub fn mount(command: &mut Command) -> Result<Fuse> {
        let folder =
            tempfile::Builder::new().prefix("drayage-bench-").tempdir().context("making a folder")?;
        command.arg(folder.path()).stdin(Stdio::null()).stdout(Stdio::null());
        let process = Measured::start(command)?;
        let deadline = Instant::now() + MOUNT_WAIT;
        while !volume::is_mount_point(folder.path())? {
            if Instant::now() > deadline {
                bail!("{} mounted nothing within {} s", process::shown(command), MOUNT_WAIT.as_secs());
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(Fuse { folder, process: Some(process) })
    }

    /// Where it is mounted.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Unmounts it, waits until its process has ended, and says what that took.
    ///
    /// # Errors
    /// When a file is still open, or the process ended badly.
    pub fn unmount(mut self) -> Result<Usage> {
        process::output(Command::new("umount").arg(self.folder.path()))?;
        self.process.take().context("unmounted twice")?.wait(&[0])
    }
}

impl Drop for Fuse {
    fn drop(&mut self) {
        if self.process.is_some() {
            // On the way out of an error already; a lazy unmount leaves nothing behind.
            let _ = process::output(Command::new("umount").arg("--lazy").arg(self.folder.path()));
        }
    }
}

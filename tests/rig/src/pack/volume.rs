//! NTFS volumes by mkntfs and ntfs-3g: made in a file, mounted through FUSE, written to, unmounted.
//!
//! Only for drives that the rig packs. The station itself never mounts a volume: design §4.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail, ensure};
use tempfile::TempDir;

use crate::process;

/// How long ntfs-3g may take to mount, and to write back on unmounting.
const MOUNT_WAIT: Duration = Duration::from_secs(30);
const UNMOUNT_WAIT: Duration = Duration::from_secs(600);

/// Why drives cannot be packed on this machine, if so.
pub fn obstacle() -> Option<String> {
    if let Some(program) = ["mkntfs", "ntfs-3g"].iter().find(|program| process::on_path(program).is_none()) {
        return Some(format!(
            "{program} is not installed; run `cargo rig setup`, or: apt-get install ntfs-3g"
        ));
    }
    if !rustix::process::geteuid().is_root() {
        return Some("ntfs-3g mounts as root only; run as root, or in a container as root".to_owned());
    }
    match File::options().read(true).write(true).open("/dev/fuse") {
        Ok(_) => None,
        Err(error) => Some(format!(
            "/dev/fuse cannot be opened ({error}); run `modprobe fuse`, \
             or start the container with `--device /dev/fuse --cap-add SYS_ADMIN`"
        )),
    }
}

/// Makes an empty NTFS volume of `length_bytes` in a new sparse file.
///
/// # Errors
/// When the file exists or mkntfs refuses.
pub fn make(path: &Path, length_bytes: u64, sector_bytes: u32) -> Result<()> {
    let file = File::create_new(path).with_context(|| format!("creating {}", path.display()))?;
    file.set_len(length_bytes).context("setting the volume's length")?;
    let mut mkntfs = Command::new(process::on_path("mkntfs").context("mkntfs is not installed")?);
    // Geometry as Windows writes it for a partition at 1 MiB; mkntfs cannot ask a file for it.
    mkntfs.args(["--force", "--quick", "--quiet", "--no-indexing", "--cluster-size", "4096"]);
    mkntfs.args(["--heads", "255", "--sectors-per-track", "63", "--label", "DRAYAGE"]);
    mkntfs.arg("--sector-size").arg(sector_bytes.to_string());
    let start = block::partitions::PARTITION_START_BYTES / u64::from(sector_bytes);
    mkntfs.arg("--partition-start").arg(start.to_string());
    process::output(mkntfs.arg(path)).map(drop)
}

/// A mounted volume. Dropping it unmounts; [`Mounted::unmount`] also says whether that worked.
pub struct Mounted {
    folder: TempDir,
    /// ntfs-3g itself, in the foreground.
    driver: Child,
}

impl Mounted {
    /// Mounts the volume in `image` on a new folder, to be written.
    ///
    /// # Errors
    /// When ntfs-3g refuses, with its words.
    pub fn mount(image: &Path) -> Result<Mounted> {
        Mounted::with(image, "big_writes,noatime,streams_interface=windows,compression")
    }

    /// Mounts the volume in `image` on a new folder, to be read only.
    ///
    /// # Errors
    /// As [`Mounted::mount`].
    pub fn read(image: &Path) -> Result<Mounted> {
        Mounted::with(image, "ro")
    }

    fn with(image: &Path, options: &str) -> Result<Mounted> {
        if let Some(obstacle) = obstacle() {
            bail!(obstacle);
        }
        let folder = tempfile::Builder::new().prefix("drayage-ntfs-").tempdir().context("making a folder")?;
        let ntfs3g = process::on_path("ntfs-3g").context("ntfs-3g is not installed")?;
        let mut command = Command::new(ntfs3g);
        command.arg("-o").arg(format!("no_detach,{options}")).arg(image);
        command.arg(folder.path()).stdin(Stdio::null()).stderr(Stdio::piped());
        let driver = command.spawn().context("starting ntfs-3g")?;
        let mut mounted = Mounted { folder, driver };
        mounted.wait_until_mounted().with_context(|| format!("mounting {}", image.display()))?;
        Ok(mounted)
    }

    /// The volume's root.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Where a file of the volume is, from its path as a manifest writes it (`\folder\name`).
    pub fn file(&self, path_on_drive: &str) -> PathBuf {
        self.folder.path().join(path_on_drive.trim_start_matches('\\').replace('\\', "/"))
    }

    /// Unmounts and waits until everything is written.
    ///
    /// # Errors
    /// When a file is still open, or ntfs-3g ended badly.
    pub fn unmount(mut self) -> Result<()> {
        self.unmount_now()
    }

    fn unmount_now(&mut self) -> Result<()> {
        process::output(Command::new("umount").arg(self.folder.path()))?;
        let deadline = Instant::now() + UNMOUNT_WAIT;
        while Instant::now() < deadline {
            if let Some(status) = self.driver.try_wait().context("waiting for ntfs-3g")? {
                ensure!(status.success(), "ntfs-3g ended with {status}");
                return Ok(());
            }
            thread::sleep(Duration::from_millis(10));
        }
        bail!("ntfs-3g was still writing {} s after the volume was unmounted", UNMOUNT_WAIT.as_secs())
    }

    fn wait_until_mounted(&mut self) -> Result<()> {
        let deadline = Instant::now() + MOUNT_WAIT;
        while Instant::now() < deadline {
            if is_mount_point(self.folder.path())? {
                return Ok(());
            }
            if let Some(status) = self.driver.try_wait().context("waiting for ntfs-3g")? {
                return Err(anyhow!("ntfs-3g ended with {status}: {}", self.last_words()));
            }
            thread::sleep(Duration::from_millis(10));
        }
        bail!("not mounted after {} s", MOUNT_WAIT.as_secs())
    }

    fn last_words(&mut self) -> String {
        let mut said = String::new();
        if let Some(stderr) = &mut self.driver.stderr {
            // Whatever could be read is shown; the exit status is the error.
            let _ = std::io::Read::read_to_string(stderr, &mut said);
        }
        said.trim().to_owned()
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let has_ended = self.driver.try_wait().is_ok_and(|status| status.is_some());
        if !has_ended && self.unmount_now().is_err() {
            // Nothing more can be done in a drop; the process goes, the mount with it.
            let _ = self.driver.kill();
            let _ = self.driver.wait();
        }
    }
}

/// Whether something is mounted on `folder`: its file system is not its parent's.
///
/// # Errors
/// When one of the two cannot be looked at.
pub fn is_mount_point(folder: &Path) -> Result<bool> {
    use std::os::unix::fs::MetadataExt;
    let parent = folder.parent().context("the folder has no parent")?;
    let device = |path: &Path| path.metadata().map(|metadata| metadata.dev());
    Ok(device(folder).context("asking the mount folder")? != device(parent).context("asking its parent")?)
}

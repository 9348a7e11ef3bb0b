//! Packed drives are read back by other people's tools: dislocker opens them, ntfs-3g lists them.

use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use block::partitions::PARTITION_START_BYTES;
use rig::pack::presets::{self, Files};
use rig::pack::{self, Cipher, DriveJson, ExpectedDrive, PackPlan, volume};
use rig::process;
use sha2::{Digest, Sha256};

/// How long dislocker may take to derive its keys and mount.
const MOUNT_WAIT: Duration = Duration::from_secs(60);

#[test]
fn others_find_every_file_of_a_packed_drive() {
    let test = "others_find_every_file_of_a_packed_drive";
    if let Some(obstacle) = volume::obstacle() {
        return rig::skipped(test, &obstacle);
    }
    if process::on_path("dislocker-fuse").is_none() {
        return rig::skipped(test, "dislocker is not installed");
    }
    for (cipher, sector_bytes) in [(Cipher::Xts256, 512), (Cipher::Cbc128, 512), (Cipher::Xts128, 4096)] {
        let mut plan = presets::plan(Files::Mixed, 12 << 20, 40);
        (plan.cipher, plan.sector_bytes) = (cipher, sector_bytes);
        let folder = tempfile::tempdir().unwrap();
        let expected = pack::pack(&plan, folder.path()).unwrap();
        let drive = DriveJson::read(&folder.path().join("drive.json")).unwrap();
        let decrypted = Fuse::mount(dislocker(&folder.path().join("drive.img"), &drive));
        let files = volume::Mounted::read(&decrypted.folder.path().join("dislocker-file")).unwrap();
        compare(&plan, &expected, &files);
        files.unmount().unwrap();
    }
}

/// Every blob that must land has its bytes on the drive; every other differs or is not there.
fn compare(plan: &PackPlan, expected: &ExpectedDrive, files: &volume::Mounted) {
    for (blob, expected) in plan.blobs.iter().zip(&expected.blobs) {
        let found = std::fs::read(files.file(&blob.file)).ok();
        assert_eq!(found.as_ref().map(|bytes| bytes.len() as u64), blob.file_bytes(), "{}", blob.file);
        if expected.present {
            let digest = Sha256::digest(found.unwrap_or_default());
            let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(Some(digest), expected.sha256, "{}", blob.file);
        }
    }
}

fn dislocker(image: &Path, drive: &DriveJson) -> Command {
    let mut command = Command::new(process::on_path("dislocker-fuse").unwrap());
    command.arg("-r").arg("-V").arg(image).arg("-O").arg(PARTITION_START_BYTES.to_string());
    command.arg(format!("--recovery-password={}", drive.recovery_password)).args(["--", "-f"]);
    command
}

/// A mounted FUSE file system; dropping it unmounts it.
struct Fuse {
    folder: tempfile::TempDir,
    child: std::process::Child,
}

impl Fuse {
    fn mount(mut command: Command) -> Fuse {
        let folder = tempfile::tempdir().unwrap();
        let child = command.arg(folder.path()).stdout(Stdio::null()).spawn().unwrap();
        let deadline = Instant::now() + MOUNT_WAIT;
        while !volume::is_mount_point(folder.path()).unwrap() {
            assert!(Instant::now() < deadline, "{} mounted nothing", process::shown(&command));
            thread::sleep(Duration::from_millis(20));
        }
        Fuse { folder, child }
    }
}

impl Drop for Fuse {
    fn drop(&mut self) {
        let unmounted = process::output(Command::new("umount").arg(self.folder.path()));
        let ended = unmounted.is_ok() && self.child.wait().is_ok();
        if !ended {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

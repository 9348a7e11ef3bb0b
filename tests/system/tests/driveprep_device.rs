//! `driveprep pack` onto a block device: a loop device, so that no drive is needed.
//!
//! A loop device has no serial number of its own. The programs under test run in a mount namespace of
//! their own in which udev's database has a record of it; nothing of the machine is changed but for the
//! loop device, which goes with its test. Needs root, `losetup` and `unshare`; skipped without.

use std::fs::{self, File};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rig::endpoint::{Endpoint, EndpointConfig};
use rig::pack::Content;
use system_tests::drives::TestDrive;
use system_tests::packing::{SERIAL, Tree, succeeds};
use system_tests::program::{Desk, Ended, Running, bare, driveprep, run};

const DRIVE_BYTES: u64 = 96 << 20;

/// Claims a device for oneself, as a mounted file system does: `O_EXCL` of open(2) on Linux.
const EXCLUSIVE: i32 = 0o200;

/// Gives the device a record in udev's database that only the program sees which is started last.
const WITH_RECORD: &str = "mount -t tmpfs none /run && mkdir -p /run/udev/data && \
     printf 'E:ID_SERIAL_SHORT=%s\\n' \"$1\" > \"/run/udev/data/b$2\" && shift 2 && exec \"$@\"";

/// Files, and a loop device to pack them onto.
struct Bench {
    tree: Tree,
    device: PathBuf,
    /// `major:minor`.
    number: String,
}

impl Bench {
    /// `None` where there are no loop devices to be had.
    fn new(test: &str) -> Result<Option<Bench>> {
        let random = |seed, length_bytes| Content::Random { seed, length_bytes };
        let tree = Tree::new(vec![
            ("one.bin", random(1, 9 << 20)),
            ("two/two.bin", random(2, 70_000)),
            ("empty", random(3, 0)),
        ])?;
        File::create_new(tree.image())?.set_len(DRIVE_BYTES)?;
        let tried = |command: &mut Command| match command.output() {
            Ok(output) if output.status.success() => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
            Ok(output) => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
            Err(error) => Err(error.to_string()),
        };
        let attached =
            tried(Command::new("unshare").args(["--mount", "mount", "-t", "tmpfs", "none", "/run"]))
                .and_then(|_| tried(Command::new("losetup").args(["--find", "--show"]).arg(tree.image())));
        let device = match attached {
            Ok(device) => PathBuf::from(device.trim()),
            Err(why) => {
                println!("skipped: {test}: no loop device: {}", why.trim());
                return Ok(None);
            }
        };
        let name = device.file_name().context("a device has a name")?;
        let number = fs::read_to_string(Path::new("/sys/class/block").join(name).join("dev"));
        let mut bench = Bench { tree, device, number: String::new() };
        number.context("the loop device's number")?.trim().clone_into(&mut bench.number);
        Ok(Some(bench))
    }

    /// The same command, run where the device has that serial number.
    fn with_serial(&self, serial: &str, command: &Command) -> Command {
        let mut wrapped = Command::new("unshare");
        wrapped.args(["--mount", "sh", "-c", WITH_RECORD, "sh", serial, &self.number]);
        wrapped.arg(command.get_program()).args(command.get_args());
        if let Some(folder) = command.get_current_dir() {
            wrapped.current_dir(folder);
        }
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => wrapped.env(name, value),
                None => wrapped.env_remove(name),
            };
        }
        wrapped.stdin(std::process::Stdio::null());
        wrapped
    }

    /// `driveprep pack` of the files onto the device, without a serial number.
    fn bare_pack(&self) -> Command {
        let mut command = bare(driveprep());
        command.current_dir(self.tree.place("")).args(["pack", "--json", "--checkpoint-mib", "1", "--drive"]);
        command.arg(&self.device).arg("--from").arg(self.tree.folder()).args(["--to", "files"]);
        command.args(["--job-out", "drive.json"]);
        command
    }

    /// The same with a serial number, where the device has one.
    fn pack(&self, serial: &str) -> Command {
        let mut command = self.bare_pack();
        command.args(["--serial", serial]);
        self.with_serial(SERIAL, &command)
    }

    /// Everything that is on the device.
    fn content(&self) -> Result<Vec<u8>> {
        // What the device's own cache holds is brought to the file first.
        File::open(&self.device)?.sync_all()?;
        Ok(fs::read(self.tree.image())?)
    }

    fn lands_whole(&self) -> Result<()> {
        let endpoint = Endpoint::start(EndpointConfig::default())?;
        let drive = TestDrive { image: self.device.clone(), ..self.tree.drive(self.tree.expected("files")) };
        succeeds(&mut self.with_serial(SERIAL, &Desk::before(&endpoint)?.ingest(&drive)))?;
        assert_eq!(drive.expected.differences(&endpoint.snapshot()), Vec::<String>::new());
        Ok(())
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        // What is still open keeps it until it is closed.
        let _ = Command::new("losetup").arg("--detach").arg(&self.device).status();
    }
}

fn assert_refused(ended: &Ended, code: i32, why: &str) {
    assert_eq!(ended.code, Some(code), "{ended:?}");
    assert!(ended.stderr.contains(why), "{why:?} is not in {ended:?}");
}

#[test]
fn a_device_is_packed_when_its_serial_number_is_given_and_lands_whole() -> Result<()> {
    let test = "a_device_is_packed_when_its_serial_number_is_given_and_lands_whole";
    let Some(bench) = Bench::new(test)? else { return Ok(()) };
    succeeds(&mut bench.pack(SERIAL))?;
    let job: serde_json::Value = serde_json::from_slice(&fs::read(bench.tree.place("drive.json"))?)?;
    assert!(job.to_string().contains(&format!("\"driveId\":\"{SERIAL}\"")), "{job}");
    let mut verify = bare(driveprep());
    verify.arg("verify").arg(&bench.device).arg("--job").arg(bench.tree.place("drive.json"));
    succeeds(&mut bench.with_serial(SERIAL, &verify))?;
    bench.lands_whole()
}

#[test]
fn a_device_with_another_serial_number_or_none_is_not_touched() -> Result<()> {
    let test = "a_device_with_another_serial_number_or_none_is_not_touched";
    let Some(bench) = Bench::new(test)? else { return Ok(()) };
    File::options().write(true).open(&bench.device)?.write_all_at(&[7; 8_192], 1 << 20)?;
    let before = bench.content()?;
    let another = run(&mut bench.pack("SOMEOTHERDRIVE"))?;
    assert_refused(&another, 20, "has the serial number DRGTESTPACKED, not SOMEOTHERDRIVE");
    let untold = run(&mut bench.with_serial(SERIAL, &bench.bare_pack()))?;
    assert_refused(&untold, 2, "Give its serial number with --serial to confirm");
    let nameless = run(bench.bare_pack().args(["--serial", SERIAL]))?;
    assert_refused(&nameless, 20, "does not tell its serial number");
    assert!(before == bench.content()?, "the device was written to");
    assert!(!bench.tree.place("drive.jrn").exists());
    Ok(())
}

#[test]
fn a_device_in_use_is_not_touched_and_packed_once_it_is_free() -> Result<()> {
    let test = "a_device_in_use_is_not_touched_and_packed_once_it_is_free";
    let Some(bench) = Bench::new(test)? else { return Ok(()) };
    let before = bench.content()?;
    let user = File::options().read(true).write(true).custom_flags(EXCLUSIVE).open(&bench.device)?;
    assert_refused(&run(&mut bench.pack(SERIAL))?, 5, "in use");
    assert!(before == bench.content()?, "the device was written to");
    assert!(!bench.tree.place("drive.jrn").exists(), "no session was begun");
    drop(user);
    succeeds(&mut bench.pack(SERIAL))?;
    bench.lands_whole()
}

#[test]
fn a_mounted_device_is_not_touched() -> Result<()> {
    let test = "a_mounted_device_is_not_touched";
    let Some(bench) = Bench::new(test)? else { return Ok(()) };
    let made = Command::new("mkfs.ext4").args(["-q", "-F"]).arg(&bench.device).status();
    if !made.is_ok_and(|status| status.success()) {
        println!("skipped: {test}: there is no mkfs.ext4");
        return Ok(());
    }
    let before = bench.content()?;
    let folder = bench.tree.place("mounted");
    fs::create_dir(&folder)?;
    // Mounted in the namespace of the program alone, and gone with it.
    let mut mounting = Command::new("sh");
    mounting.args(["-c", "mount -o ro \"$1\" \"$2\" && shift 2 && exec \"$@\"", "sh"]);
    mounting.arg(&bench.device).arg(&folder);
    let mut pack = bench.bare_pack();
    pack.args(["--serial", SERIAL]);
    mounting.current_dir(bench.tree.place("")).arg(pack.get_program()).args(pack.get_args());
    assert_refused(&run(&mut bench.with_serial(SERIAL, &mounting))?, 5, "in use");
    assert!(before == bench.content()?, "the device was written to");
    Ok(())
}

#[test]
fn a_pack_onto_a_device_that_was_killed_goes_on() -> Result<()> {
    let Some(bench) = Bench::new("a_pack_onto_a_device_that_was_killed_goes_on")? else { return Ok(()) };
    let running = Running::start(&mut bench.pack(SERIAL))?;
    let deadline = Instant::now() + Duration::from_secs(60);
    // Killed at whatever it does once some of the data is on the drive, or has ended by then.
    while !fs::read_to_string(bench.tree.place("drive.jrn")).unwrap_or_default().contains("CopyFile") {
        ensure!(Instant::now() < deadline, "{}", running.stderr()?);
        std::thread::sleep(Duration::from_millis(2));
    }
    running.kill();
    running.wait()?;
    // Somebody wrote over both partition tables meanwhile.
    const TABLE: usize = 34 * 512;
    let device = File::options().read(true).write(true).open(&bench.device)?;
    let mut tail = vec![0; TABLE];
    device.read_exact_at(&mut tail, DRIVE_BYTES - TABLE as u64)?;
    for place in [0, DRIVE_BYTES - TABLE as u64] {
        device.write_all_at(&[1; TABLE], place)?;
    }
    device.sync_all()?;
    let ended = run(&mut bench.pack(SERIAL))?;
    if ended.stdout.contains("already-packed") {
        println!("skipped: a_pack_onto_a_device_that_was_killed_goes_on: the pack was faster");
        return Ok(());
    }
    assert_refused(&ended, 20, "is not what");
    // By one of its tables it is known again, and the other is made anew.
    device.write_all_at(&tail, DRIVE_BYTES - TABLE as u64)?;
    device.sync_all()?;
    drop(device);
    succeeds(&mut bench.pack(SERIAL))?;
    assert_eq!(bench.content()?.get(512..520), Some(&b"EFI PART"[..]));
    bench.lands_whole()
}

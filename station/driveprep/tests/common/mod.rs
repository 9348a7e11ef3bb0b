//! What the tests of `driveprep pack` share: the program as a process, and a drive read back.

use std::fs;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use block::SharedDevice;
use driveprep::journal::Journal;
use manifest::{BlobEntry, BlobKind, JobEntry, ListHeader, ManifestEvent, ManifestReader};
use ntfs::StreamReader;
use ntfs::check::{CheckOptions, check};
use proof::bring_up::{self, Device, OpenDrive};
use proof::secrets::{self, SecretFiles};
use tempfile::TempDir;

/// No run takes longer, however busy the machine.
const RUN_TIME_MAX: Duration = Duration::from_secs(120);

/// A folder with sources and what comes of them.
pub struct Bench {
    folder: TempDir,
}

impl Bench {
    pub fn new() -> Bench {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("src")).unwrap();
        Bench { folder }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A source file of that many bytes, other bytes for each name.
    pub fn source(&self, name: &str, length: usize) -> Vec<u8> {
        let seed = name.bytes().fold(7_u64, |seed, byte| seed.wrapping_mul(31).wrapping_add(byte.into()));
        let bytes: Vec<u8> = (0..length as u64)
            .map(|at| (at.wrapping_mul(seed | 1).wrapping_add(at >> 12) >> 3).to_le_bytes()[0])
            .collect();
        let path = self.path("src").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, &bytes).unwrap();
        bytes
    }

    /// `driveprep pack` from `src` to one drive, with more arguments behind.
    pub fn pack(&self, more: &[&str]) -> Command {
        let mut command = self.driveprep(&["pack", "--from", "src", "--to", "con/pre"]);
        command.args(["--drive", "drive.img", "--size", "300MB", "--serial", "S1"]).args(more);
        command
    }

    pub fn driveprep(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_driveprep"));
        command.current_dir(self.folder.path()).args(arguments);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// The drive's job entry.
    pub fn job(&self) -> JobEntry {
        JobEntry::parse(&fs::read(self.path("drive.json")).unwrap(), None).unwrap()
    }

    pub fn journal_text(&self) -> String {
        fs::read_to_string(self.path("drive.jrn")).unwrap_or_default()
    }

    /// Where the journal's checkpoints are, in its order.
    pub fn checkpoints(&self) -> Vec<(String, u64)> {
        let text = self.journal_text();
        let records = manifest::journal::records(&text);
        let checkpoints = records.filter(|record| record.value("ActivityId") == Some("CopyFile"));
        checkpoints
            .map(|record| {
                let path = record.value("FilePath").unwrap().to_owned();
                (path, record.value("Offset").unwrap().parse().unwrap())
            })
            .collect()
    }

    /// The drive as the station opens it, its file system checked.
    pub fn open(&self) -> Opened {
        Opened::new(&self.path("drive.img"), &self.job())
    }
}

/// Runs a command to its end.
pub fn run(mut command: Command) -> Output {
    let child = command.spawn().unwrap();
    child.wait_with_output().unwrap()
}

/// What a command said, for a person who reads a failing test.
pub fn said(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    format!("{:?}\n{}{}", output.status.code(), text(&output.stdout), text(&output.stderr))
}

/// Runs it and expects that exit code.
pub fn ends_with(command: Command, code: i32) -> String {
    let output = run(command);
    assert_eq!(output.status.code(), Some(code), "{}", said(&output));
    said(&output)
}

/// Starts it, and kills it as soon as the state is reached; whether that came before its end.
pub fn kill_when(mut command: Command, is_reached: impl Fn() -> bool) -> bool {
    let mut child: Child = command.spawn().unwrap();
    let deadline = Instant::now() + RUN_TIME_MAX;
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            assert!(
                status.success(),
                "it failed before it was killed: {:?}",
                said(&child.wait_with_output().unwrap())
            );
            return false;
        }
        if is_reached() {
            break;
        }
        assert!(Instant::now() < deadline, "the state is never reached");
        sleep(Duration::from_micros(300));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    true
}

/// A drive that was opened, and the entries of its manifest.
pub struct Opened {
    drive: OpenDrive,
    pub entries: Vec<BlobEntry>,
    pub lists: Vec<ListHeader>,
}

impl Opened {
    pub fn new(image: &Path, job: &JobEntry) -> Opened {
        let secrets = secrets::collect(Some(job), &SecretFiles::default()).unwrap();
        let recognised = bring_up::recognise(Device::open(image).unwrap(), Some(job)).unwrap();
        let unlocked = bring_up::unlock(recognised, &secrets, &mut |_| ()).unwrap();
        let volume: SharedDevice = Arc::clone(&unlocked.volume) as SharedDevice;
        let report = check(volume, &CheckOptions::default(), &mut |_| ()).unwrap();
        assert!(report.is_sound(), "{:?}", report.faults);
        let (drive, ..) = bring_up::prove(unlocked, job).unwrap();
        let mut reader = ManifestReader::new(BufReader::new(drive.manifest.read()));
        let (mut entries, mut lists) = (Vec::new(), Vec::new());
        while let Some(event) = reader.next().unwrap() {
            match event {
                ManifestEvent::Blob(entry) => entries.push(entry),
                ManifestEvent::List(list) => lists.push(list),
                ManifestEvent::Drive(_) => {}
            }
        }
        Opened { drive, entries, lists }
    }

    /// The entry of a blob, and the bytes of its file, each part of which has its digest.
    pub fn blob(&self, path: &str) -> (&BlobEntry, Vec<u8>) {
        let entry = self.entries.iter().find(|entry| entry.blob_path == path);
        let entry = entry.unwrap_or_else(|| panic!("{path} is not in the manifest"));
        let bytes = self.file(&entry.file_path);
        assert_eq!(bytes.len() as u64, entry.length_bytes);
        for (offset, length, hash) in parts(entry) {
            let part = &bytes[usize::try_from(offset).unwrap()..][..usize::try_from(length).unwrap()];
            assert_eq!(digests::md5_of(part), hash, "{path} at {offset}");
        }
        (entry, bytes)
    }

    pub fn file(&self, path: &str) -> Vec<u8> {
        let volume = &self.drive.ntfs;
        let stream = volume.stream(volume.resolve(path).unwrap(), None).unwrap();
        let mut bytes = Vec::new();
        StreamReader::new(volume, stream).read_to_end(&mut bytes).unwrap();
        bytes
    }

    pub fn has(&self, path: &str) -> bool {
        self.drive.ntfs.resolve(path).is_ok()
    }
}

/// Offset, length and digest of an entry's parts.
pub fn parts(entry: &BlobEntry) -> Vec<(u64, u64, model::Md5Digest)> {
    match &entry.kind {
        BlobKind::Block(blocks) => {
            blocks.iter().map(|block| (block.offset_bytes, block.length_bytes, block.hash)).collect()
        }
        BlobKind::Page(ranges) | BlobKind::File(ranges) => {
            ranges.iter().map(|range| (range.offset_bytes, range.length_bytes, range.hash)).collect()
        }
    }
}

/// Whether the journal can be read, for states between two records.
pub fn phase_of(bench: &Bench, serial: &str) -> Option<driveprep::journal::Phase> {
    let (_, state) = Journal::open(&bench.path("drive.jrn")).ok()?;
    state.drives.get(&model::DriveId::new(serial).unwrap())?.phase
}

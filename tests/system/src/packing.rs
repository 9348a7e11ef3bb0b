//! Trees of files for `driveprep` to pack, and what must come of them when a station takes the drive.
//!
//! A [`Tree`] keeps its files and everything that is made of them in one scratch folder. What the
//! account must hold is computed from the contents here, never from what driveprep says.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::BufReader;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, anyhow, ensure};
use manifest::{BlobKind, ManifestEvent, ManifestReader};
use proof::bring_up::{Refusal, prove, recognise, unlock};
use proof::secrets::{SecretFiles, collect};
use rig::endpoint::{Endpoint, EndpointConfig, Store};
use rig::pack::{Content, ExpectedBlob, ExpectedDrive};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use crate::drives::TestDrive;
use crate::logs::DriveLog;
use crate::program::{Ended, bare, driveprep, run};
use crate::stand::{Stand, open};

/// The serial number that drives get here unless a test says otherwise.
pub const SERIAL: &str = "DRGTESTPACKED";

/// What is written of a content at a time.
const SLICE_BYTES: u64 = 1 << 20;

/// Files below a folder, and the contents they have.
pub struct Tree {
    scratch: TempDir,
    files: Vec<(String, Content)>,
}

impl Tree {
    /// Files by their paths below the folder, with `/`.
    ///
    /// # Errors
    /// When one cannot be made.
    pub fn new(files: Vec<(&str, Content)>) -> Result<Tree> {
        let mut tree =
            Tree { scratch: TempDir::new().context("making a scratch folder")?, files: Vec::new() };
        fs::create_dir(tree.folder()).context("making the folder")?;
        for (path, content) in files {
            tree.add(path, content)?;
        }
        Ok(tree)
    }

    /// Adds a file.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn add(&mut self, path: &str, content: Content) -> Result<()> {
        write(&self.folder().join(path), &content).with_context(|| format!("making {path}"))?;
        self.files.push((path.to_owned(), content));
        Ok(())
    }

    /// The folder that is packed.
    pub fn folder(&self) -> PathBuf {
        self.place("source")
    }

    /// A place beside it.
    pub fn place(&self, name: &str) -> PathBuf {
        self.scratch.path().join(name)
    }

    /// The drive's image.
    pub fn image(&self) -> PathBuf {
        self.place("drive.img")
    }

    /// `driveprep pack --json` of the folder in its simplest form, onto a drive of that size.
    pub fn pack(&self, to: &str, drive_bytes: u64) -> Command {
        let mut command = self.pack_onto(drive_bytes);
        command.arg("--from").arg(self.folder()).args(["--to", to]);
        command
    }

    /// `driveprep pack --json` onto a drive of that size, of what the caller names.
    pub fn pack_onto(&self, drive_bytes: u64) -> Command {
        let mut command = bare(driveprep());
        command.current_dir(self.scratch.path());
        command.args(["pack", "--json", "--serial", SERIAL, "--size", &drive_bytes.to_string()]);
        command.arg("--drive").arg(self.image()).arg("--job-out").arg(self.place("drive.json"));
        command
    }

    /// What the account must hold once everything below `to` landed as block blobs.
    pub fn expected(&self, to: &str) -> Vec<ExpectedBlob> {
        let under = to.trim_end_matches('/');
        self.files.iter().map(|(path, content)| blob(&format!("{under}/{path}"), content)).collect()
    }

    /// The packed drive, which must give these blobs.
    pub fn drive(&self, blobs: Vec<ExpectedBlob>) -> TestDrive {
        TestDrive {
            image: self.image(),
            job_file: self.place("drive.json"),
            expected: ExpectedDrive { blobs, drive_status: "Completed".to_owned() },
        }
    }
}

/// Runs a command of driveprep's, which must succeed.
///
/// # Errors
/// When it ends otherwise, with what it said.
pub fn succeeds(command: &mut Command) -> Result<Ended> {
    let ended = run(command)?;
    ensure!(
        ended.code == Some(0),
        "{command:?} ended with {:?}:\n{}{}",
        ended.code,
        ended.stdout,
        ended.stderr
    );
    Ok(ended)
}

/// Ingests a drive at an endpoint of ours: every blob `Completed`, and the account holds exactly these bytes.
///
/// # Errors
/// When the ingest could not run.
pub async fn lands_whole(drive: &TestDrive) -> Result<()> {
    let endpoint = Endpoint::start(EndpointConfig::with_store(Store::Memory))?;
    let stand = Stand::before(&endpoint)?;
    let tried = stand.ingest(drive).await?;
    let log = DriveLog::verbose(&tried.report)?;
    assert_eq!(log.differences(&drive.expected), Vec::<String>::new());
    assert_eq!(log.blobs.len(), drive.expected.blobs.len(), "the log names each blob once");
    assert_eq!(drive.expected.differences(&endpoint.snapshot()), Vec::<String>::new());
    Ok(())
}

/// How many blocks the drive's manifest has of each block blob.
///
/// # Errors
/// When the drive or its manifest is refused.
pub fn block_counts(drive: &TestDrive) -> Result<BTreeMap<String, usize>> {
    let refused = |refusal: Refusal| anyhow!("{}: {}", refusal.status, refusal.message);
    let job = drive.job()?;
    let secrets = collect(Some(&job), &SecretFiles::default())?;
    let recognised = recognise(open(&drive.image)?, Some(&job)).map_err(refused)?;
    let unlocked = unlock(recognised, &secrets, &mut |_| {}).map_err(refused)?;
    let (drive, ..) = prove(unlocked, &job).map_err(refused)?;
    let mut reader = ManifestReader::new(BufReader::new(drive.manifest.read()));
    let mut counts = BTreeMap::new();
    while let Some(event) = reader.next()? {
        if let ManifestEvent::Blob(entry) = event
            && let BlobKind::Block(blocks) = entry.kind
        {
            counts.insert(entry.blob_path, blocks.len());
        }
    }
    Ok(counts)
}

/// A block blob with this content.
pub fn blob(path: &str, content: &Content) -> ExpectedBlob {
    ExpectedBlob {
        blob: path.to_owned(),
        kind: "block".to_owned(),
        length: content.length_bytes(),
        status: "Completed".to_owned(),
        present: true,
        sha256: Some(sha256(content)),
        metadata: None,
        content_type: None,
        cache_control: None,
        content_language: None,
        blocks: None,
        metadata_status: None,
        properties_status: None,
        incomplete: false,
    }
}

/// The same as a page blob.
pub fn page_blob(path: &str, content: &Content) -> ExpectedBlob {
    ExpectedBlob { kind: "page".to_owned(), ..blob(path, content) }
}

fn sha256(content: &Content) -> String {
    let mut hash = Sha256::new();
    each_slice(content, |_, bytes| {
        hash.update(bytes);
        Ok(())
    })
    .expect("hashing does not fail");
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn write(path: &Path, content: &Content) -> Result<()> {
    fs::create_dir_all(path.parent().context("a file lies in a folder")?).context("making its folder")?;
    let file = File::create_new(path)?;
    file.set_len(content.length_bytes())?;
    let written = content.written_ranges();
    each_slice(content, |at, bytes| {
        let end = at + bytes.len() as u64;
        // Holes stay holes.
        if written.iter().any(|range| range.start < end && at < range.end) {
            file.write_all_at(bytes, at)?;
        }
        Ok(())
    })
}

fn each_slice(content: &Content, mut work: impl FnMut(u64, &[u8]) -> Result<()>) -> Result<()> {
    let mut buffer = Vec::new();
    let mut at = 0;
    while at < content.length_bytes() {
        let length = (content.length_bytes() - at).min(SLICE_BYTES);
        buffer.resize(usize::try_from(length)?, 0);
        content.fill(&mut buffer, at);
        work(at, &buffer)?;
        at += length;
    }
    Ok(())
}

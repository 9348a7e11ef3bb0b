//! Drives to ingest: the shared fixtures, unpacked once, and one that is packed here.
//!
//! Unpacked images are kept under the target folder and shared by all test processes: a lock file
//! serialises them, and an image appears under its name only when it is whole.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use manifest::JobEntry;
use rig::pack::{self, Content, ExpectedDrive, Fault, Layout, PackBlob, PackPlan, Properties};

/// A drive: its image, what the job says of it, what must come of it.
pub struct TestDrive {
    /// The image.
    pub image: PathBuf,
    /// `drive.json`.
    pub job_file: PathBuf,
    /// `expected.json`, read.
    pub expected: ExpectedDrive,
}

/// The whole shipped drives of the fixtures.
pub const FIXTURE_DRIVES: [&str; 4] = ["windows-cbc128", "clean-xts128", "mixed-xts256", "awkward-cbc256"];

impl TestDrive {
    /// The job's entry.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn job(&self) -> Result<JobEntry> {
        let bytes = fs::read(&self.job_file).context("reading drive.json")?;
        JobEntry::parse(&bytes, None).context("understanding drive.json")
    }

    fn of(image: PathBuf, folder: &Path) -> Result<TestDrive> {
        let expected = fs::read_to_string(folder.join("expected.json")).context("reading expected.json")?;
        let expected = serde_json::from_str(&expected).context("understanding expected.json")?;
        Ok(TestDrive { image, job_file: folder.join("drive.json"), expected })
    }
}

/// A drive of the fixtures; none, and said so, when they are not there.
///
/// # Errors
/// When it is there and cannot be unpacked.
pub fn fixture(name: &str, test: &str) -> Result<Option<TestDrive>> {
    let folder = rig::setup::workspace_root().join("../shared/fixtures/drives").join(name);
    let packed = folder.join("drive.img.zst");
    if !packed.exists() {
        rig::skipped(test, "../shared/fixtures is not there");
        return Ok(None);
    }
    let image = cached(&format!("{name}.img"), |image| {
        let mut unpack = Command::new("zstd");
        unpack.args(["--quiet", "--decompress", "--force", "--long=27", "--sparse"]);
        let status = unpack.arg(&packed).arg("-o").arg(image).status().context("starting zstd")?;
        ensure!(status.success(), "zstd ended with {status}");
        Ok(())
    })?;
    TestDrive::of(image, &folder).map(Some)
}

/// The small drive of these tests: one blob of every kind, none damaged but `bad/corrupt.bin`.
/// None, and said so, when drives cannot be packed here.
///
/// # Errors
/// When it could be packed and was not.
pub fn small(test: &str) -> Result<Option<TestDrive>> {
    packed("small", test, &small_plan())
}

/// A drive of a plan of the test's own; kept under `name`, which has to change with the plan.
///
/// # Errors
/// When it could be packed and was not.
pub fn packed(name: &str, test: &str, plan: &PackPlan) -> Result<Option<TestDrive>> {
    if let Some(obstacle) = pack::volume::obstacle() {
        rig::skipped(test, &obstacle);
        return Ok(None);
    }
    let folder = cached(&format!("{name}-drive"), |folder| pack::pack(plan, folder).map(drop))?;
    TestDrive::of(folder.join("drive.img"), &folder).map(Some)
}

/// Blocks of 1 MiB: large enough to be several, small enough to be quick.
pub const BLOCK_BYTES: u64 = 1 << 20;

fn small_plan() -> PackPlan {
    let random = |seed, length_bytes| Content::Random { seed, length_bytes };
    let blocks = |destination: &str, seed, length_bytes| PackBlob {
        layout: Layout::Blocks { block_bytes: BLOCK_BYTES, named: true },
        ..PackBlob::new(destination, random(seed, length_bytes))
    };
    let mut titled = blocks("meta/titled.bin", 5, 3 * BLOCK_BYTES);
    titled.metadata = vec![("origin".to_owned(), "rig".to_owned())];
    titled.properties = Properties { content_type: Some("text/plain".to_owned()), ..Properties::default() };
    PackPlan::new(
        "DRGTESTSMALL",
        vec![
            blocks("files/blocks.bin", 1, 5 * BLOCK_BYTES + 1_234),
            PackBlob::new("files/whole.bin", random(2, 70_000)),
            PackBlob::new("files/empty.bin", random(3, 0)),
            PackBlob::new("files/dir/ünï cödé+%41.txt", random(4, 4_097)),
            titled,
            PackBlob::paged("vhds/disk.vhd", random(6, 3 * BLOCK_BYTES)),
            blocks("bad/corrupt.bin", 7, 3 * BLOCK_BYTES).with_fault(Fault::CorruptPart { index: 1 }),
        ],
    )
}

fn cached(name: &str, make: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
    let folder = rig::setup::scratch_root().join("test-drives");
    fs::create_dir_all(&folder).context("making the folder of test drives")?;
    let whole = folder.join(name);
    let lock = File::create(folder.join(format!("{name}.lock"))).context("creating a lock file")?;
    lock.lock().context("waiting for the other tests")?;
    if !whole.exists() {
        let part = folder.join(format!("{name}.part"));
        if part.is_dir() {
            fs::remove_dir_all(&part).context("removing what was left half-made")?;
        }
        make(&part)?;
        fs::rename(&part, &whole).context("naming the test drive")?;
    }
    Ok(whole)
}

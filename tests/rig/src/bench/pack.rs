//! `cargo rig bench pack`: what `driveprep pack` costs to an image file, beside mkntfs + ntfs-3g over
//! dislocker on the same files in the same run.
//!
//! The peers only copy: nothing of theirs hashes a byte, which makes the comparison kind to them. They
//! get a part of the small files, because a million would take them many minutes; a row says how many.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use clap::Args;
use rig::pack::{Content, DriveJson, PackBlob, PackPlan, volume};
use rig::setup::{self, Purpose};
use rig::{pack, process};

use super::Programs;
use super::drives::{Workload, to_gigabytes};
use super::peers::{Fuse, VOLUME, dislocker, ntfs3g};
use super::report::{self, Load, Part, Row};
use super::usage::Measured;

/// Bytes of each small file: what spec/ntfs.md §4 measured with.
const SMALL_FILE_BYTES: u64 = 4096;

/// Bytes of each large file, about.
const LARGE_FILE_BYTES: u64 = 1 << 30;

/// Files in one folder of small ones.
const FOLDER_FILES: u64 = 1_000;

/// Room on the drive beside the files: file system, manifest.
const ROOM_BYTES: u64 = 1 << 30;

/// What to measure.
#[derive(Args)]
pub struct Options {
    /// Bytes of the large files together
    #[arg(long, default_value_t = 4 << 30, value_name = "N")]
    bytes: u64,
    /// How many files of 4 KiB
    #[arg(long, default_value_t = 1_000_000, value_name = "N")]
    count: u64,
    /// How many of these the peers copy
    #[arg(long, default_value_t = 50_000, value_name = "N")]
    peer_count: u64,
    /// Measure only this workload
    #[arg(long, value_enum)]
    only: Option<Workload>,
    /// Leave out mkntfs, ntfs-3g and dislocker
    #[arg(long)]
    without_peers: bool,
}

/// Makes the files unless they are there, packs them, prints a table a workload.
///
/// # Errors
/// When something cannot be built, made or run. Peers that are missing are named and left out.
pub fn pack(options: &Options) -> Result<()> {
    setup::ensure(Purpose::Bench)?;
    let programs = Programs::build()?;
    for workload in [Workload::Large, Workload::Small] {
        if options.only.is_some_and(|only| only != workload) {
            continue;
        }
        let source = Source::made(workload, options.bytes, options.count)?;
        let mut rows = vec![ours(&source, &programs)?];
        match obstacle(options) {
            Some(obstacle) => println!("peers: left out: {obstacle}"),
            None => rows.push(peers(&source.part(options.peer_count))?),
        }
        report::print(&source.title(), &rows);
    }
    Ok(())
}

/// Files to pack: folders of equally long ones.
struct Source {
    folder: PathBuf,
    /// How many of its folders, in the order of their names.
    folder_count: u64,
    file_count: u64,
    file_bytes: u64,
}

impl Source {
    /// Below `target/rig/bench`, made now unless a source of these sizes is there.
    fn made(workload: Workload, bytes: u64, count: u64) -> Result<Source> {
        let (name, file_count, file_bytes) = match workload {
            Workload::Large => {
                let file_count = bytes.div_ceil(LARGE_FILE_BYTES).max(1);
                ("large", file_count, bytes / file_count)
            }
            Workload::Small => ("small", count.max(1), SMALL_FILE_BYTES),
        };
        let folder = setup::scratch_root().join(format!("bench/source-{name}-{file_count}-{file_bytes}"));
        let folder_count = file_count.div_ceil(FOLDER_FILES);
        let source = Source { folder, folder_count, file_count, file_bytes };
        if !source.folder.is_dir() {
            source.make()?;
        }
        Ok(source)
    }

    fn make(&self) -> Result<()> {
        eprintln!("bench: making {}", self.title());
        let unfinished = self.folder.with_extension("unfinished");
        if unfinished.exists() {
            fs::remove_dir_all(&unfinished).context("removing files that were left unfinished")?;
        }
        for folder in 0..self.folder_count {
            fs::create_dir_all(unfinished.join(folder_name(folder))).context("making a folder")?;
        }
        let slice_bytes = self.file_bytes.clamp(1, 4 << 20);
        let mut buffer = vec![0; usize::try_from(slice_bytes)?];
        for index in 0..self.file_count {
            let path = unfinished.join(folder_name(index / FOLDER_FILES)).join(format!("{index:07}.dat"));
            let content = Content::Random { seed: index, length_bytes: self.file_bytes };
            write(&path, &content, &mut buffer).with_context(|| format!("making {}", path.display()))?;
        }
        fs::rename(&unfinished, &self.folder).context("keeping the files")
    }

    /// The first folders, about `count` files of them.
    fn part(&self, count: u64) -> Source {
        let file_count = count.next_multiple_of(FOLDER_FILES).min(self.file_count);
        let folder_count = file_count.div_ceil(FOLDER_FILES);
        Source { folder: self.folder.clone(), folder_count, file_count, file_bytes: self.file_bytes }
    }

    fn load(&self) -> Load {
        Load { payload_bytes: self.file_count * self.file_bytes, file_count: self.file_count }
    }

    fn title(&self) -> String {
        let gigabytes = to_gigabytes(self.load().payload_bytes);
        format!("{} files of {} bytes, {gigabytes:.2} GB, xts256", self.file_count, self.file_bytes)
    }

    /// A drive that they fit on.
    fn drive_bytes(&self) -> u64 {
        let each = self.file_bytes.next_multiple_of(4096) + 2048;
        (self.file_count * each + ROOM_BYTES).next_multiple_of(1 << 20)
    }
}

fn folder_name(index: u64) -> String {
    format!("{index:04}")
}

fn write(path: &Path, content: &Content, buffer: &mut [u8]) -> Result<()> {
    use std::io::Write;
    let mut file = fs::File::create_new(path)?;
    let mut at = 0;
    while at < content.length_bytes() {
        let length = (content.length_bytes() - at).min(buffer.len() as u64);
        let part = &mut buffer[..usize::try_from(length)?];
        content.fill(part, at);
        file.write_all(part)?;
        at += length;
    }
    Ok(())
}

/// `driveprep pack` of all files to a new image.
fn ours(source: &Source, programs: &Programs) -> Result<Row> {
    let scratch = tempfile::tempdir_in(setup::scratch_root()).context("making a scratch folder")?;
    let place = |name: &str| scratch.path().join(name);
    let mut driveprep = Command::new(&programs.driveprep);
    driveprep.args(["pack", "--json", "--to", "bench", "--serial", "RIG0000BENCH", "--from"]);
    driveprep.arg(&source.folder).arg("--drive").arg(place("drive.img"));
    driveprep.args(["--size", &source.drive_bytes().to_string(), "--job-out"]).arg(place("drive.json"));
    driveprep.current_dir(scratch.path()).stdin(Stdio::null());
    driveprep.stdout(fs::File::create(place("events.json")).context("keeping the events")?);
    let usage = Measured::start(&mut driveprep)?.wait(&[0])?;
    Ok(Row {
        name: "driveprep pack".to_owned(),
        load: source.load(),
        wall_seconds: usage.wall_seconds,
        parts: vec![Part::new("driveprep", usage)],
        endpoint: None,
        stages: Vec::new(),
    })
}

/// Why the peers are left out, if so.
fn obstacle(options: &Options) -> Option<String> {
    if options.without_peers {
        return Some("as asked".to_owned());
    }
    if process::on_path("dislocker-fuse").is_none() {
        return Some("dislocker is not installed; run `cargo rig setup --for bench`".to_owned());
    }
    volume::obstacle()
}

/// The same files by `cp` onto ntfs-3g over dislocker, on a volume of mkntfs'.
fn peers(source: &Source) -> Result<Row> {
    let scratch = tempfile::tempdir_in(setup::scratch_root()).context("making a scratch folder")?;
    let folder = scratch.path().join("drive");
    // One file that is nothing but a hole, so that the volume has the room and the room is free.
    let hole = Content::Sparse { seed: 0, length_bytes: source.drive_bytes(), data: Vec::new() };
    pack::pack(&PackPlan::new("RIG0000PEERS", vec![PackBlob::paged("room/hole.vhd", hole)]), &folder)?;
    let json = DriveJson::read(&folder.join("drive.json"))?;
    let start = Instant::now();
    let mut dislocker = dislocker(&folder.join("drive.img"), &json.recovery_password)?;
    let decrypted = Fuse::mount(dislocker.args(["--", "-f"]))?;
    let mut ntfs3g = ntfs3g();
    ntfs3g.args(["-o", "big_writes,noatime,no_detach"]).arg(decrypted.path().join(VOLUME));
    let files = Fuse::mount(&mut ntfs3g)?;
    let mut copy = Command::new("cp");
    copy.arg("-r").args((0..source.folder_count).map(|index| source.folder.join(folder_name(index))));
    let copied = Measured::start(copy.arg(files.path()))?.wait(&[0])?;
    let last = files.path().join(folder_name(source.folder_count - 1));
    ensure!(last.is_dir(), "cp left out {}", last.display());
    let written = files.unmount()?;
    let encrypted = decrypted.unmount()?;
    Ok(Row {
        name: "cp + ntfs-3g + dislocker, without hashes".to_owned(),
        load: source.load(),
        wall_seconds: start.elapsed().as_secs_f64(),
        parts: vec![
            Part::new("dislocker-fuse", encrypted),
            Part::new("ntfs-3g", written),
            Part::new("cp", copied),
        ],
        endpoint: None,
        stages: Vec::new(),
    })
}

//! The end of a drive: side files, manifest, file system, BitLocker, and the proof that all of it reads
//! back.
//!
//! In this order, because each step makes the one before it visible: files nobody can find yet, the
//! file system that finds them, the BitLocker metadata that opens it, and last the boot sector. Then the
//! drive is read from the medium: each protector opens it, the file system opens, and the manifest has
//! the hash that the job will carry.

use std::collections::BTreeMap;
use std::io::{self, BufReader, BufWriter, Write};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use anyhow::{Context, anyhow};
use bitlocker::format::{Coverage, Unwritten};
use block::{ReadAt, SharedDevice, Target, Window, WriteAt, WriteError};
use manifest::{BitlockerKey, HeaderHash, HeaderRegion, JobEntry, ManifestEvent, ManifestReader};
use model::digest::HashText;
use model::{Exit, Md5Digest};
use ntfs::build::{FileId, WriteProgress};
use ntfs::check::{CheckOptions, PartitionPlace, Report};
use proof::bring_up::{self, Device, Refusal};
use proof::secrets::SecretFiles;
use sha2::{Digest, Sha512};

use super::blueprint::Mode;
use super::drive::{Job, Packed, Ready};
use super::existing::{Existing, VolumePlace};
use super::layout::{Layout, MANIFEST_PATH, own_properties_file};
use super::manifest::{FromSpool, Manifest};
use super::spool::{Learnt, Spool, SpoolError};
use super::volume_file::{Digesting, VolumeFile};
use crate::failure::Failure;
use crate::journal::Journal;
use crate::work::ItemId;

/// The first region of the header hash: where partition tables are (azure-import-export.md §1.9).
const TABLE_REGION_BYTES: u64 = 1 << 20;
/// The second region, from the partition's start on.
const VOLUME_REGION_BYTES: u64 = 140 << 10;

/// What the spool says of whole files.
#[derive(Default)]
struct Told {
    left_out: BTreeMap<ItemId, String>,
    whole: BTreeMap<ItemId, Md5Digest>,
}

/// Makes a drive whole, all of whose data was copied, and proves it.
///
/// # Errors
/// When the drive refuses, or does not read back as it was written.
pub fn run(job: &Job<'_>, journal: &mut Journal, ready: Ready) -> Result<Packed, Failure> {
    let mut finish = Finish { job, ready };
    let told = told(job, &mut finish.ready.spool).map_err(Failure::fatal)?;
    omit(&mut finish.ready.layout, &told);
    finish.side_files(&told).map_err(|error| failed(job, error))?;
    let manifest_hash = finish.manifest(&told).map_err(|error| failed(job, error))?;
    journal.drive_sealing(&job.id, HashText::Md5(manifest_hash)).map_err(Failure::fatal)?;
    finish.fill()?;
    finish.write_file_system()?;
    let key = finish.seal(journal)?;
    let header_hash = header_hash(job, &finish.ready.target, finish.ready.place)?;
    let entry = JobEntry {
        drive_id: job.id.clone(),
        bitlocker_key: Some(key),
        manifest_file: MANIFEST_PATH.to_owned(),
        manifest_hash: HashText::Md5(manifest_hash),
        header_hash,
    };
    let (length_bytes, item_count) = on_it(job, &told);
    finish.prove(&entry, item_count)?;
    journal.drive_packed(&entry).map_err(Failure::fatal)?;
    Ok(Packed { entry, left_out: told.left_out, length_bytes, item_count })
}

/// The end of a drive whose additions had become visible when the last run was cut off: its manifest is
/// proven, and it becomes the job's.
///
/// # Errors
/// When the drive does not read back.
pub fn adopt(
    job: &Job<'_>,
    journal: &mut Journal,
    existing: &Existing,
    spool: &mut Spool,
    manifest_hash: HashText,
) -> Result<Packed, Failure> {
    let told = told(job, spool).map_err(Failure::fatal)?;
    let (target, writer) = existing.writer(&job.path)?;
    // The last run may have been cut off before its flush: what counts is what the medium has.
    writer.flush().map_err(|error| job.write_failed(error.kind, error.into()))?;
    target.forget_cached();
    let existing = &Existing::open(&job.path, &existing.key())?;
    if !existing.has_manifest(manifest_hash) {
        return Err(Failure::new(
            Exit::VerificationFailed,
            anyhow!("{} does not read back as it was written", job.path.display()),
        ));
    }
    let entry = JobEntry {
        drive_id: job.id.clone(),
        bitlocker_key: Some(existing.key()),
        manifest_file: MANIFEST_PATH.to_owned(),
        manifest_hash,
        header_hash: header_hash(job, &target, existing.place())?,
    };
    if existing.files().health().dirty {
        job.console.warn(&format!(
            "{} was cut off while its file system was written: everything is there, but it is marked dirty. Run \
             chkdsk /f on it in Windows before more is added",
            job.path.display()
        ));
    }
    let (length_bytes, item_count) = on_it(job, &told);
    journal.drive_packed(&entry).map_err(Failure::fatal)?;
    Ok(Packed { entry, left_out: told.left_out, length_bytes, item_count })
}

/// Bytes and number of the items that are on the drive.
fn on_it(job: &Job<'_>, told: &Told) -> (u64, u64) {
    let on_it = job.blueprint.item_ids().filter(|item| !told.left_out.contains_key(item));
    on_it.fold((0, 0), |(bytes, count), item| (bytes + job.work.item(item).length_bytes(), count + 1))
}

fn told(job: &Job<'_>, spool: &mut Spool) -> Result<Told, SpoolError> {
    let mut told = Told::default();
    let mut reader = spool.read(job.blueprint.number, job.work)?;
    while let Some(learnt) = reader.learn()? {
        match learnt {
            Learnt::LeftOut(item, why) => {
                told.left_out.entry(item).or_insert(why);
            }
            Learnt::Whole(item, md5) => {
                told.whole.insert(item, md5);
            }
            Learnt::Hashed(_) | Learnt::Checkpoint(_) => {}
        }
    }
    Ok(told)
}

/// Hashes of the places that change when somebody formats or partitions the drive.
fn header_hash(job: &Job<'_>, target: &Target, place: VolumePlace) -> Result<HeaderHash, Failure> {
    let region = |offset_bytes: u64, length_bytes: u64| {
        let mut bytes = vec![0; usize::try_from(length_bytes).unwrap_or(0)];
        target
            .read_exact_at(&mut bytes, offset_bytes)
            .with_context(|| format!("reading the header of {}", job.path.display()))
            .map_err(|error| Failure::new(Exit::MediaErrors, error))?;
        let hash = HashText::Sha512(Sha512::digest(&bytes).into());
        Ok(HeaderRegion { offset_bytes, length_bytes, hash })
    };
    let VolumePlace { start_bytes, length_bytes } = place;
    let mut regions = Vec::new();
    if start_bytes >= TABLE_REGION_BYTES {
        regions.push(region(0, TABLE_REGION_BYTES)?);
    }
    regions.push(region(start_bytes, VOLUME_REGION_BYTES.min(length_bytes))?);
    Ok(HeaderHash::Regions(regions))
}

struct Finish<'a> {
    job: &'a Job<'a>,
    ready: Ready,
}

impl Finish<'_> {
    /// Writes our side files: those of datasets, and those of items.
    fn side_files(&self, told: &Told) -> anyhow::Result<()> {
        let layout = &self.ready.layout;
        for (file, bytes) in &layout.side_files {
            self.file(*file, bytes)?;
        }
        for (item, md5) in told.whole.iter().filter(|(item, _)| !told.left_out.contains_key(item)) {
            if let Some(file) = layout.own_properties(*item) {
                self.file(file, own_properties_file(&self.job.work.item(*item), *md5).as_bytes())?;
            }
        }
        Ok(())
    }

    fn file(&self, file: FileId, bytes: &[u8]) -> anyhow::Result<()> {
        let mut file = self.volume_file(file);
        file.write_all(bytes)?;
        file.finish()?;
        Ok(())
    }

    fn volume_file(&self, file: FileId) -> VolumeFile<'_> {
        let Ready { writer, layout, .. } = &self.ready;
        VolumeFile::new(writer, layout.places(file), layout.plan.cluster_bytes())
    }

    /// Writes the manifest, and makes its file as long as it became.
    fn manifest(&mut self, told: &Told) -> anyhow::Result<Md5Digest> {
        let reader = self.ready.spool.read(self.job.blueprint.number, self.job.work)?;
        let Ready { layout, previous, .. } = &self.ready;
        let manifest = Manifest {
            work: self.job.work,
            drive: &self.job.id,
            items: &layout.items,
            previous: previous.as_ref(),
        };
        let mut parts = FromSpool::new(reader, &told.left_out, &told.whole);
        let file = self.volume_file(layout.manifest);
        let out = manifest.write(BufWriter::with_capacity(1 << 17, Digesting::new(file)), &mut parts)?;
        let (file, hash) = out.into_inner().map_err(io::IntoInnerError::into_error)?.finish();
        let length_bytes = file.finish()?;
        let layout = &mut self.ready.layout;
        layout.plan.set_length(layout.manifest, length_bytes)?;
        Ok(hash)
    }

    /// Encrypts what no file's data lies on, where the whole surface was asked for.
    fn fill(&self) -> Result<(), Failure> {
        let Some(formatter) = &self.ready.formatter else { return Ok(()) };
        if formatter.coverage() != Coverage::WholeSurface {
            return Ok(());
        }
        let console = self.job.console;
        console.note("encrypting the rest of the surface; this takes as long as writing the whole drive");
        let keep = data_ranges(&self.ready.layout);
        let meter = console.meter("files", self.ready.place.length_bytes, 0);
        let done = AtomicU64::new(0);
        let progress = |below: u64| {
            let before = done.fetch_max(below, Ordering::Relaxed);
            meter.add(below.saturating_sub(before), 0);
        };
        let unwritten = Unwritten { keep: &keep, from_bytes: 0 };
        let filled = formatter.fill(self.ready.writer.target(), unwritten, &progress);
        filled.map_err(|error| failed(self.job, error.into()))
    }

    fn write_file_system(&self) -> Result<(), Failure> {
        let Ready { writer, layout, .. } = &self.ready;
        let meter = self.job.console.meter("files", 0, 0);
        let mut last = WriteProgress { written_bytes: 0, total_bytes: 0 };
        let written = layout.plan.write(writer, &mut |progress: WriteProgress| {
            let before = std::mem::replace(&mut last, progress);
            meter.expect(progress.total_bytes.saturating_sub(before.total_bytes), 0);
            meter.add(progress.written_bytes.saturating_sub(before.written_bytes), 0);
        });
        written.map_err(|error| failed(self.job, error))
    }

    /// Makes a new volume one, and sees that each of its protectors opens it; gives the drive's key.
    fn seal(&mut self, journal: &Journal) -> Result<BitlockerKey, Failure> {
        let Ready { target, writer, place, formatter, existing, .. } = &mut self.ready;
        let Some(formatter) = formatter.take() else {
            writer.flush().map_err(|error| self.job.write_failed(error.kind, error.into()))?;
            target.forget_cached();
            let key = existing.as_ref().map(Existing::key);
            return key.ok_or_else(|| {
                Failure::fatal(anyhow!("{} has neither a new nor an old volume", journal.path().display()))
            });
        };
        let formatted = formatter.finish(writer.target()).map_err(|error| failed(self.job, error.into()))?;
        target.forget_cached();
        let device: SharedDevice = Arc::clone(target) as SharedDevice;
        let window = Window::new(device, place.start_bytes, place.length_bytes).map_err(Failure::fatal)?;
        formatted
            .verify(&window)
            .with_context(|| format!("{} does not open as it was made", self.job.path.display()))
            .map_err(|error| Failure::new(Exit::VerificationFailed, error))?;
        Ok(BitlockerKey::new(formatted.recovery_password.reveal().to_string()))
    }

    /// Opens the drive as the station will, checks its file system, and proves its manifest.
    fn prove(&self, entry: &JobEntry, item_count: u64) -> Result<(), Failure> {
        let wrong = |error: anyhow::Error| {
            let context = format!("{} does not read back as it was written", self.job.path.display());
            Failure::new(Exit::VerificationFailed, error.context(context))
        };
        let refused = |refusal: Refusal| wrong(anyhow!("{}: {}", refusal.status, refusal.message));
        let secrets = proof::secrets::collect(Some(entry), &SecretFiles::default());
        let secrets = secrets.map_err(|error| wrong(error.into()))?;
        let device = Device::open(&self.job.path).map_err(refused)?;
        let recognised = bring_up::recognise(device, Some(entry)).map_err(refused)?;
        let unlocked = bring_up::unlock(recognised, &secrets, &mut |_| ()).map_err(refused)?;
        let volume: SharedDevice = Arc::clone(&unlocked.volume) as SharedDevice;
        let options = self.check_options();
        // Neither needs the other, and on a drive of a million files each takes its time.
        let (report, proven) = thread::scope(|scope| {
            let checking = scope.spawn(|| ntfs::check::check(volume, &options, &mut |_| ()));
            let proven = bring_up::prove(unlocked, entry);
            (checking.join(), proven)
        });
        let report = report.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        let report = report.map_err(|error| wrong(error.into()))?;
        if let Some(fault) = report.faults.first().filter(|_| !self.is_tolerable(&report)) {
            return Err(wrong(anyhow!(
                "{} faults of the file system, the first: {fault}",
                report.fault_count
            )));
        }
        let (_, totals, _) = proven.map_err(refused)?;
        let expected = item_count + self.previous_count().map_err(wrong)?;
        if totals.blob_count == expected {
            return Ok(());
        }
        Err(wrong(anyhow!("the manifest lists {} files, not {expected}", totals.blob_count)))
    }

    fn check_options(&self) -> CheckOptions {
        let first_sector = self.ready.place.start_bytes / u64::from(self.ready.target.sector_bytes());
        let place = PartitionPlace { first_sector, length_bytes: self.ready.place.length_bytes };
        // What others made may have odd things that nobody minds.
        let is_new = self.job.blueprint.mode == Mode::New;
        CheckOptions {
            partition: is_new.then_some(place),
            case_twins_allowed: !is_new,
            ..CheckOptions::default()
        }
    }

    /// A new volume is flawless; of one that others made at most space may be lost.
    fn is_tolerable(&self, report: &Report) -> bool {
        if self.job.blueprint.mode == Mode::New { report.is_sound() } else { report.has_only_leaks() }
    }

    /// Entries of earlier sessions.
    fn previous_count(&self) -> anyhow::Result<u64> {
        let Some(previous) = &self.ready.previous else { return Ok(0) };
        let mut reader = ManifestReader::new(BufReader::with_capacity(1 << 16, previous.read()));
        let mut count = 0;
        while let Some(event) = reader.next()? {
            count += u64::from(matches!(event, ManifestEvent::Blob(_)));
        }
        Ok(count)
    }
}

/// What the end of a drive failed with: a refused write says which way to go.
pub fn failed(job: &Job<'_>, error: anyhow::Error) -> Failure {
    let kind = error.chain().find_map(|cause| cause.downcast_ref::<WriteError>()).map(|cause| cause.kind);
    match kind {
        Some(kind) => job.write_failed(kind, error),
        None => Failure::fatal(error),
    }
}

/// Leaves out of the file system what did not come through.
fn omit(layout: &mut Layout, told: &Told) {
    for item in told.left_out.keys() {
        let own = layout.own_properties(*item);
        for file in layout.file(*item).into_iter().chain(own) {
            layout.plan.omit(file);
        }
    }
}

/// Where data lies on the volume: ascending, adjacent places joined.
fn data_ranges(layout: &Layout) -> Vec<Range<u64>> {
    let cluster_bytes = u64::from(layout.plan.cluster_bytes());
    let mut ranges: Vec<Range<u64>> = Vec::new();
    for place in layout.all_files().flat_map(|file| layout.places(file)) {
        let end = place.volume_offset_bytes + place.length_bytes.next_multiple_of(cluster_bytes);
        match ranges.last_mut() {
            Some(last) if last.end == place.volume_offset_bytes => last.end = end,
            _ => ranges.push(place.volume_offset_bytes..end),
        }
    }
    ranges
}

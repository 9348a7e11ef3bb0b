//! The end of a drive: side files, manifest, file system, BitLocker, and the proof that all of it reads
//! back.
//!
//! In this order, because each step makes the one before it visible: files nobody can find yet, the
//! file system that finds them, the BitLocker metadata that opens it, and last the boot sector. Then the
//! drive is read from the medium: each protector opens it, the file system opens, and the manifest has
//! the hash that the job will carry.

use std::collections::BTreeMap;
use std::io::{self, BufWriter, Write};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, anyhow};
use bitlocker::format::{Coverage, Formatter, Unwritten};
use block::{
    Partition, ReadAt, ReadError, SharedDevice, Target, Window, WindowError, WriteError, WriteWindow,
};
use manifest::{BitlockerKey, HeaderHash, HeaderRegion, JobEntry};
use model::digest::HashText;
use model::{Exit, Md5Digest};
use ntfs::build::{FileId, WriteProgress};
use ntfs::check::{CheckOptions, PartitionPlace};
use proof::bring_up::{self, Device, Refusal};
use proof::secrets::SecretFiles;
use sha2::{Digest, Sha512};

use super::drive::Job;
use super::layout::{Layout, MANIFEST_PATH, own_properties_file};
use super::manifest::{FromSpool, Manifest};
use super::spool::{Learnt, Spool, SpoolError};
use super::volume_file::{Digesting, VolumeFile};
use crate::failure::Failure;
use crate::journal::{Journal, Phase};
use crate::work::ItemId;

/// The first region of the header hash: where partition tables are (azure-import-export.md §1.9).
const TABLE_REGION_BYTES: u64 = 1 << 20;
/// The second region, from the partition's start on.
const VOLUME_REGION_BYTES: u64 = 140 << 10;

/// What the end of a drive needs.
pub struct Finish<'a> {
    /// The drive.
    pub job: &'a Job<'a>,
    /// The whole of it.
    pub target: &'a Arc<Target>,
    /// Its partition, written.
    pub window: &'a WriteWindow<Arc<Target>>,
    /// Its partition.
    pub partition: &'a Partition,
    /// Its encryption.
    pub formatter: Formatter,
    /// What was learnt.
    pub spool: &'a mut Spool,
}

/// A drive that reads back.
pub struct Finished {
    /// What a job says about it.
    pub entry: JobEntry,
    /// Items that are not on it, and why.
    pub left_out: BTreeMap<ItemId, String>,
    /// How many bytes are free on it.
    pub free_bytes: u64,
}

/// What the spool says of whole files.
#[derive(Default)]
struct Told {
    left_out: BTreeMap<ItemId, String>,
    whole: BTreeMap<ItemId, Md5Digest>,
}

impl Finish<'_> {
    /// Makes the drive whole and proves it.
    ///
    /// # Errors
    /// When the drive refuses, or does not read back as it was written.
    pub fn run(mut self, journal: &mut Journal, layout: &mut Layout) -> Result<Finished, Failure> {
        let told = self.told().map_err(Failure::fatal)?;
        omit(layout, &told);
        self.side_files(layout, &told).map_err(|error| self.failed(error))?;
        let manifest_hash = self.manifest(layout, &told).map_err(|error| self.failed(error))?;
        journal.drive(&self.job.id, Phase::Sealing).map_err(Failure::fatal)?;
        self.fill(layout)?;
        self.write_file_system(layout)?;
        let Finish { job, target, window, partition, formatter, .. } = self;
        let formatted = formatter.finish(window).map_err(|error| failed(job, error.into()))?;
        target.forget_cached();
        formatted
            .verify(&partition_of(target, partition).map_err(Failure::fatal)?)
            .with_context(|| format!("{} does not open as it was made", job.path.display()))
            .map_err(|error| Failure::new(Exit::VerificationFailed, error))?;
        let header_hash = header_hash(target, partition)
            .with_context(|| format!("reading the header of {}", job.path.display()))
            .map_err(|error| Failure::new(Exit::MediaErrors, error))?;
        let password = formatted.recovery_password.reveal();
        let entry = JobEntry {
            drive_id: job.id.clone(),
            bitlocker_key: Some(BitlockerKey::new(password.to_string())),
            manifest_file: MANIFEST_PATH.to_owned(),
            manifest_hash: HashText::Md5(manifest_hash),
            header_hash,
        };
        let item_count = (layout.items.len() - told.left_out.len()) as u64;
        prove(job, &entry, partition, item_count)?;
        Ok(Finished { entry, left_out: told.left_out, free_bytes: layout.plan.free_bytes() })
    }

    fn told(&mut self) -> Result<Told, SpoolError> {
        let mut told = Told::default();
        let mut reader = self.spool.read(self.job.blueprint.number)?;
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

    /// Writes our side files: those of datasets, and those of items.
    fn side_files(&self, layout: &Layout, told: &Told) -> anyhow::Result<()> {
        for (file, bytes) in &layout.side_files {
            self.file(layout, *file, bytes)?;
        }
        for (item, md5) in told.whole.iter().filter(|(item, _)| !told.left_out.contains_key(item)) {
            if let Some(file) = layout.own_properties(*item) {
                let text = own_properties_file(&self.job.work.item(*item), *md5);
                self.file(layout, file, text.as_bytes())?;
            }
        }
        Ok(())
    }

    fn file(&self, layout: &Layout, file: FileId, bytes: &[u8]) -> anyhow::Result<()> {
        let writer = self.formatter.writer(self.window);
        let mut file = VolumeFile::new(&writer, layout.places(file), layout.plan.cluster_bytes());
        file.write_all(bytes)?;
        file.finish()?;
        Ok(())
    }

    /// Writes the manifest, and makes its file as long as it became.
    fn manifest(&mut self, layout: &mut Layout, told: &Told) -> anyhow::Result<Md5Digest> {
        let writer = self.formatter.writer(self.window);
        let file = VolumeFile::new(&writer, layout.places(layout.manifest), layout.plan.cluster_bytes());
        let manifest = Manifest { work: self.job.work, drive: &self.job.id, items: &layout.items };
        let reader = self.spool.read(self.job.blueprint.number)?;
        let mut parts = FromSpool::new(reader, &told.left_out, &told.whole);
        let out = BufWriter::with_capacity(1 << 17, Digesting::new(file));
        let out = manifest.write(out, &mut parts)?;
        let (file, hash) = out.into_inner().map_err(io::IntoInnerError::into_error)?.finish();
        let length_bytes = file.finish()?;
        layout.plan.set_length(layout.manifest, length_bytes)?;
        Ok(hash)
    }

    /// Encrypts what no file's data lies on, where the whole surface was asked for.
    fn fill(&self, layout: &Layout) -> Result<(), Failure> {
        if self.formatter.coverage() != Coverage::WholeSurface {
            return Ok(());
        }
        self.job
            .console
            .note("encrypting the rest of the surface; this takes as long as writing the whole drive");
        let keep = data_ranges(layout);
        let meter = self.job.console.meter("files", self.partition.length_bytes, 0);
        let done = AtomicU64::new(0);
        let progress = |below: u64| {
            let before = done.fetch_max(below, Ordering::Relaxed);
            meter.add(below.saturating_sub(before), 0);
        };
        let filled = self.formatter.fill(self.window, Unwritten { keep: &keep, from_bytes: 0 }, &progress);
        filled.map_err(|error| self.failed(error.into()))
    }

    fn write_file_system(&self, layout: &Layout) -> Result<(), Failure> {
        let writer = self.formatter.writer(self.window);
        let meter = self.job.console.meter("files", 0, 0);
        let mut last = None;
        let written = layout.plan.write(&writer, &mut |progress: WriteProgress| {
            let WriteProgress { written_bytes, total_bytes } =
                last.replace(progress).unwrap_or(WriteProgress { written_bytes: 0, total_bytes: 0 });
            meter.expect(progress.total_bytes.saturating_sub(total_bytes), 0);
            meter.add(progress.written_bytes.saturating_sub(written_bytes), 0);
        });
        written.map(drop).map_err(|error| self.failed(error.into()))
    }

    fn failed(&self, error: anyhow::Error) -> Failure {
        failed(self.job, error)
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

/// Opens the drive as the station will, checks its file system, and proves its manifest.
fn prove(job: &Job<'_>, entry: &JobEntry, partition: &Partition, item_count: u64) -> Result<(), Failure> {
    let wrong = |error: anyhow::Error| {
        let context = format!("{} does not read back as it was written", job.path.display());
        Failure::new(Exit::VerificationFailed, error.context(context))
    };
    let refused = |refusal: Refusal| wrong(anyhow!("{}: {}", refusal.status, refusal.message));
    let secrets = proof::secrets::collect(Some(entry), &SecretFiles::default());
    let secrets = secrets.map_err(|error| wrong(error.into()))?;
    let device = Device::open(&job.path).map_err(refused)?;
    let recognised = bring_up::recognise(device, Some(entry)).map_err(refused)?;
    let unlocked = bring_up::unlock(recognised, &secrets, &mut |_| ()).map_err(refused)?;
    let place = PartitionPlace {
        first_sector: partition.start_bytes / u64::from(job.blueprint.sector_bytes),
        length_bytes: partition.length_bytes,
    };
    let options = CheckOptions { partition: Some(place), ..CheckOptions::default() };
    let volume: SharedDevice = Arc::clone(&unlocked.volume) as SharedDevice;
    let report = ntfs::check::check(volume, &options, &mut |_| ()).map_err(|error| wrong(error.into()))?;
    if let Some(fault) = report.faults.first() {
        return Err(wrong(anyhow!("{} faults of the file system, the first: {fault}", report.fault_count)));
    }
    let (_, totals, _) = bring_up::prove(unlocked, entry).map_err(refused)?;
    if totals.blob_count == item_count {
        return Ok(());
    }
    Err(wrong(anyhow!("the manifest lists {} files, not {item_count}", totals.blob_count)))
}

/// The drive's partition, read from the drive.
fn partition_of(target: &Arc<Target>, partition: &Partition) -> Result<Window, WindowError> {
    let device: SharedDevice = Arc::clone(target) as SharedDevice;
    Window::new(device, partition.start_bytes, partition.length_bytes)
}

/// Hashes of the places that change when somebody formats or partitions the drive.
fn header_hash(target: &Target, partition: &Partition) -> Result<HeaderHash, ReadError> {
    let region = |offset_bytes: u64, length_bytes: u64| {
        let mut bytes = vec![0; usize::try_from(length_bytes).unwrap_or(0)];
        target.read_exact_at(&mut bytes, offset_bytes)?;
        let hash = HashText::Sha512(Sha512::digest(&bytes).into());
        Ok(HeaderRegion { offset_bytes, length_bytes, hash })
    };
    Ok(HeaderHash::Regions(vec![
        region(0, TABLE_REGION_BYTES)?,
        region(partition.start_bytes, VOLUME_REGION_BYTES)?,
    ]))
}

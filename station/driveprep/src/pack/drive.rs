//! One drive, from its blueprint to read back: what `pack` does for each.
//!
//! ```text
//! prepare ──keys in the journal──▶ open ──table, no volume──▶ copy ──checkpoints──▶ finish ──▶ prove ──▶ job entry
//!    └─ or resume: the same keys from the journal, the same places from the blueprint ─┘
//! ```
//! Save, then act: keys and blueprint are on the journal's medium before the drive's first byte is
//! written; the boot sector, without which nothing is a volume, is the last thing that is; and success
//! is what was read back from the medium.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, anyhow};
use bitlocker::format::{self, Coverage, Formatter, prepare_drive};
use bitlocker::{Method, Password, RecoveryPassword};
use block::partitions::{Guid, NewTable, PartitionKind, wipe_tables, write_gpt};
use block::{
    FileDevice, Partition, Target, WriteAt, WriteError, WriteErrorKind, WriteWindow, identify,
    partition_table,
};
use manifest::{BitlockerKey, JobEntry};
use model::{DriveId, Exit};

use super::blueprint::Blueprint;
use super::finish::{self, Finished};
use super::layout::{Frame, Layout};
use super::pipeline::{Buffers, Done, Pipeline};
use super::slab::Cutter;
use super::spool::Spool;
use crate::console::Console;
use crate::failure::Failure;
use crate::journal::{DriveRecord, Journal, Phase};
use crate::work::{ItemId, ItemKind, Work};

/// At most that long between two checkpoints, so that a slow drive does not lose an hour.
const CHECKPOINT_EVERY: Duration = Duration::from_secs(60);

/// What a person chose for all drives of a session, apart from what goes where.
#[derive(Debug, Clone)]
pub struct Choices {
    /// How the volumes are encrypted.
    pub method: Method,
    /// How much of them.
    pub coverage: Coverage,
    /// Holds a password that opens them too.
    pub password_file: Option<PathBuf>,
    /// Where startup keys go, if there shall be any.
    pub bek_folder: Option<PathBuf>,
    /// Memory for data under way.
    pub buffer_bytes: usize,
    /// Data between two checkpoints.
    pub checkpoint_bytes: u64,
    /// Read all data back at the end.
    pub reads_all_back: bool,
}

/// A drive of a session.
pub struct Job<'a> {
    /// The items.
    pub work: &'a Work,
    /// What is on it and where.
    pub blueprint: &'a Blueprint,
    /// Its serial number.
    pub id: DriveId,
    /// Where it is.
    pub path: PathBuf,
    /// Whether it is an image file.
    pub is_image: bool,
    /// Where its spool is.
    pub spool_path: PathBuf,
    /// What was chosen.
    pub choices: &'a Choices,
    /// Where things are said.
    pub console: &'a Console,
    /// Set when the process shall end.
    pub stop: &'a AtomicBool,
}

/// A drive that is whole.
pub struct Packed {
    /// What a job says about it.
    pub entry: JobEntry,
    /// Items that are not on it, and why.
    pub left_out: BTreeMap<ItemId, String>,
    /// Bytes of the items on it.
    pub length_bytes: u64,
    /// How many items are on it.
    pub item_count: u64,
    /// How many bytes are free on it.
    pub free_bytes: u64,
}

impl Job<'_> {
    /// Packs the drive, or goes on with it where the journal's record of it ends.
    ///
    /// # Errors
    /// What ended it; interrupted (130) when it was asked to stop.
    pub fn run(&self, journal: &mut Journal, record: Option<&DriveRecord>) -> Result<Packed, Failure> {
        let frame = Frame::new(self.blueprint).map_err(Failure::usage)?;
        let mut layout = Layout::new(self.work, self.blueprint, &frame).map_err(Failure::usage)?;
        let Frame { table, partition, outer, first_sector } = frame;
        let started = record.filter(|record| record.phase.is_some_and(|phase| phase < Phase::Packed));
        let (formatter, mut spool) = match started {
            Some(record) => self.resume(record, outer)?,
            None => self.prepare(journal, outer, first_sector)?,
        };
        let target = Arc::new(self.open(&spool)?);
        self.begin(&target, &table, &partition, spool.next_slab() > 0)?;
        let window = WriteWindow::new(Arc::clone(&target), partition.start_bytes, partition.length_bytes);
        self.copy(journal, &layout, &formatter, &window, &mut spool)?;
        let finished = finish::Finish {
            job: self,
            target: &target,
            window: &window,
            partition: &partition,
            formatter,
            spool: &mut spool,
        };
        let Finished { entry, left_out, free_bytes } = finished.run(journal, &mut layout)?;
        journal.drive_packed(&entry).map_err(Failure::fatal)?;
        let on_it = layout.items.iter().filter(|item| !left_out.contains_key(item));
        let (length_bytes, item_count) = on_it
            .fold((0, 0), |(bytes, count), item| (bytes + self.work.item(*item).length_bytes(), count + 1));
        Ok(Packed { entry, left_out, length_bytes, item_count, free_bytes })
    }

    /// Makes the keys and saves them; nothing is written to the drive.
    fn prepare(
        &self,
        journal: &mut Journal,
        outer: format::Layout,
        first_sector: u32,
    ) -> Result<(Formatter, Spool), Failure> {
        let plan = format::Plan {
            layout: outer,
            method: self.choices.method,
            description: format!("DRAYAGE {}", self.id),
            password: self.password()?,
            recovery_password: None,
            has_external_key: self.choices.bek_folder.is_some(),
            coverage: self.choices.coverage,
            first_sector_of_partition: first_sector,
            time: SystemTime::now(),
        };
        let formatter = Formatter::new(plan).context("making the volume's keys").map_err(Failure::fatal)?;
        let spool = Spool::create(&self.spool_path, self.blueprint.number).map_err(Failure::fatal)?;
        self.save_startup_key(&formatter)?;
        let key = BitlockerKey::new(formatter.formatted().recovery_password.reveal().to_string());
        let prepared = journal.drive_prepared(&self.id, &self.path, &key, &formatter.sealed_metadata());
        prepared.map_err(Failure::fatal)?;
        Ok((formatter, spool))
    }

    /// The same keys again, and what was copied so far.
    fn resume(&self, record: &DriveRecord, outer: format::Layout) -> Result<(Formatter, Spool), Failure> {
        let key = record.key.as_ref().ok_or_else(|| {
            Failure::fatal(anyhow!(
                "the journal has no key for the drive {}: abort the session with --abort",
                self.id
            ))
        })?;
        let password = RecoveryPassword::parse(key.expose())
            .context("the journal's recovery password")
            .map_err(Failure::fatal)?;
        let resumed = Formatter::resume(&record.sealed_metadata, outer, password);
        let mut formatter = resumed
            .with_context(|| format!("going on with the drive {}: abort the session with --abort", self.id))
            .map_err(Failure::fatal)?;
        if let Some(password) = self.password()? {
            formatter = formatter.with_password(password);
        }
        self.save_startup_key(&formatter)?;
        let spool = Spool::reopen(&self.spool_path, self.blueprint.number);
        Ok((formatter, spool.map_err(Failure::fatal)?))
    }

    fn password(&self) -> Result<Option<Password>, Failure> {
        let Some(path) = &self.choices.password_file else { return Ok(None) };
        let read = || {
            let text = zeroize::Zeroizing::new(std::fs::read_to_string(path)?);
            let line = text.lines().next().unwrap_or_default();
            anyhow::Ok(Password::new(line)?)
        };
        read()
            .with_context(|| format!("the password in {}", path.display()))
            .map(Some)
            .map_err(Failure::usage)
    }

    fn save_startup_key(&self, formatter: &Formatter) -> Result<(), Failure> {
        let (Some(folder), Some(key)) = (&self.choices.bek_folder, &formatter.formatted().external_key)
        else {
            return Ok(());
        };
        let path = folder.join(&key.name);
        super::blueprint::write_whole(&path, &key.contents)
            .with_context(|| format!("writing the startup key {}", path.display()))
            .map_err(Failure::usage)
    }

    /// Opens the drive for writing, and makes sure that it is the one.
    fn open(&self, spool: &Spool) -> Result<Target, Failure> {
        let Blueprint { drive_bytes, sector_bytes, .. } = *self.blueprint;
        let goes_on = spool.next_slab() > 0;
        if self.is_image && !goes_on {
            match std::fs::remove_file(&self.path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    let cause = anyhow!(error).context(format!("replacing {}", self.path.display()));
                    return Err(Failure::fatal(cause));
                }
                _ => {}
            }
            return Target::create_image(&self.path, drive_bytes, sector_bytes).map_err(Failure::fatal);
        }
        self.check_identity()?;
        let target = Target::open(&self.path).map_err(|error| Failure::new(Exit::Retryable, error))?;
        let target = target.with_sector_bytes(sector_bytes);
        target.check_room(drive_bytes).map_err(|error| Failure::new(Exit::WrongDrive, error))?;
        if goes_on {
            self.check_table(&target)?;
        }
        Ok(target)
    }

    /// A device must still be the one; it may have another name by now.
    fn check_identity(&self) -> Result<(), Failure> {
        if self.is_image {
            return Ok(());
        }
        let identity = identify(&self.path).map_err(|error| Failure::new(Exit::WrongDrive, error))?;
        let found = identity.serial.as_deref().and_then(|serial| DriveId::new(serial).ok());
        if found.as_ref() == Some(&self.id) {
            return Ok(());
        }
        let found = found.map_or_else(|| "none".to_owned(), |id| id.to_string());
        let path = self.path.display();
        Err(Failure::new(
            Exit::WrongDrive,
            anyhow!(
                "{path} has the serial number {found}, the journal is about {}. Nothing was written",
                self.id
            ),
        ))
    }

    /// What was copied before must still be there.
    fn check_table(&self, target: &Target) -> Result<(), Failure> {
        let expected = Guid(self.blueprint.partition_guid);
        let is_ours = partition_table(target).is_ok_and(|table| {
            table.partitions.iter().any(|partition| {
                matches!(&partition.kind, PartitionKind::Gpt { unique_guid, .. } if *unique_guid == expected)
            })
        });
        if is_ours {
            return Ok(());
        }
        Err(Failure::new(
            Exit::WrongDrive,
            anyhow!(
                "{} is not what this pack began: its partition table is another one. Give up the session with \
                 --abort, or bring back the drive",
                self.path.display()
            ),
        ))
    }

    /// Nothing on the drive looks whole from here on, until the end.
    fn begin(
        &self,
        target: &Target,
        table: &NewTable,
        partition: &Partition,
        goes_on: bool,
    ) -> Result<(), Failure> {
        let begun = if goes_on {
            // The last run may have come as far as the boot sector.
            erase_head(target, partition)
        } else if self.is_image {
            write_gpt(target, table).map(drop).map_err(anyhow::Error::from)
        } else {
            prepare_drive(target, target, table).map(drop).map_err(anyhow::Error::from)
        };
        begun.map_err(|error| finish::failed(self, error))
    }

    /// Copies all data that is not on the drive yet.
    fn copy(
        &self,
        journal: &mut Journal,
        layout: &Layout,
        formatter: &Formatter,
        window: &WriteWindow<Arc<Target>>,
        spool: &mut Spool,
    ) -> Result<(), Failure> {
        let total_bytes = layout.items.iter().map(|item| self.copied_bytes(*item)).sum();
        let meter = self.console.meter("files", total_bytes, layout.items.len() as u64);
        let slab_bytes = self.blueprint.slab_bytes;
        let needed = total_bytes / slab_bytes as u64 + 2;
        let buffers = Buffers::new(slab_bytes, self.choices.buffer_bytes, needed)
            .context("allocating the buffers: a smaller --buffer-mib needs less")
            .map_err(Failure::fatal)?;
        let writer = formatter.writer(window);
        let first_slab = spool.next_slab();
        let pipeline =
            Pipeline { work: self.work, target: &writer, buffers: &buffers, stop: self.stop, first_slab };
        let mut checkpoints = Checkpoints {
            job: self,
            journal,
            spool,
            writer: &writer,
            every_bytes: self.choices.checkpoint_bytes.max(total_bytes / 2_000),
            bytes: 0,
            since: Instant::now(),
            next_slab: first_slab,
            last: None,
        };
        let cluster_bytes = layout.plan.cluster_bytes();
        let copied = pipeline.run(
            |full| {
                let mut counted = |slab: super::slab::Slab| {
                    if slab.number < first_slab {
                        let bytes = slab.pieces.iter().map(|piece| piece.length as u64).sum();
                        meter.add(bytes, slab.pieces.iter().filter(|piece| piece.is_last).count() as u64);
                    }
                    full(slab)
                };
                let mut cutter = Cutter::new(slab_bytes, cluster_bytes);
                for index in 0..layout.items.len() {
                    let (shape, places) = layout.cut(self.work, self.blueprint, index);
                    if !cutter.file(shape, &places, &mut counted) {
                        return;
                    }
                }
                if let Some(last) = cutter.finish() {
                    counted(last);
                }
            },
            |done| {
                meter.add(done.length_bytes, done.file_count);
                checkpoints.slab(done)
            },
        );
        copied.map_err(|error| self.copy_failed(error))?;
        checkpoints.save().map_err(|error| self.copy_failed(error))?;
        if self.stop.load(Ordering::Relaxed) {
            return Err(self.interrupted());
        }
        Ok(())
    }

    /// What is read of an item: all of a block blob, of others what is stored.
    fn copied_bytes(&self, item: ItemId) -> u64 {
        let item = self.work.item(item);
        match self.blueprint.stored.get(&item.id.0) {
            Some(stored) if item.kind() != ItemKind::Block => {
                stored.iter().map(|range| range.end - range.start).sum()
            }
            _ => item.length_bytes(),
        }
    }

    /// What to say when the process was asked to stop.
    pub fn interrupted(&self) -> Failure {
        Failure::new(
            Exit::Interrupted,
            anyhow!(
                "interrupted; what was copied is safe. The same command, or --resume with the journal, goes on"
            ),
        )
    }

    /// A write that the drive refused.
    pub fn write_failed(&self, kind: WriteErrorKind, error: anyhow::Error) -> Failure {
        let (exit, advice) = match kind {
            WriteErrorKind::Full => (Exit::Retryable, "make room where the image file lies, then resume"),
            WriteErrorKind::Gone => (Exit::Retryable, "connect the drive again, then resume"),
            WriteErrorKind::Medium => (Exit::MediaErrors, "use another drive: this one fails"),
            WriteErrorKind::Denied => (Exit::Usage, "the drive may not be written by you"),
            WriteErrorKind::OutOfRange { .. } | WriteErrorKind::Reserved { .. } | WriteErrorKind::Other => {
                (Exit::Fatal, "see the cause")
            }
        };
        let context = format!("writing {}: {advice}", self.path.display());
        Failure::new(exit, error.context(context))
    }

    fn copy_failed(&self, error: CopyError) -> Failure {
        match error {
            CopyError::Write(error) => self.write_failed(error.kind, error.into()),
            CopyError::Spool(error) => Failure::fatal(error),
            CopyError::Journal(error) => Failure::fatal(error),
        }
    }
}

/// What ends a copy.
#[derive(Debug, thiserror::Error)]
enum CopyError {
    #[error(transparent)]
    Write(#[from] WriteError),
    #[error(transparent)]
    Spool(#[from] super::spool::SpoolError),
    #[error(transparent)]
    Journal(#[from] crate::journal::JournalError),
}

/// Notes finished slabs, and from time to time vouches for them.
struct Checkpoints<'a> {
    job: &'a Job<'a>,
    journal: &'a mut Journal,
    spool: &'a mut Spool,
    writer: &'a dyn WriteAt,
    every_bytes: u64,
    bytes: u64,
    since: Instant,
    next_slab: u64,
    /// The last place that was copied.
    last: Option<(ItemId, u64)>,
}

impl Checkpoints<'_> {
    fn slab(&mut self, done: Done) -> Result<(), CopyError> {
        self.spool.slab(&done)?;
        self.next_slab = done.number + 1;
        self.bytes += done.length_bytes;
        let end = |hash: &super::digest::Hashed| (hash.item, hash.offset_bytes + hash.length_bytes);
        self.last = done.hashed.last().map(end).or(self.last);
        if self.bytes >= self.every_bytes || self.since.elapsed() >= CHECKPOINT_EVERY {
            self.save()?;
        }
        Ok(())
    }

    /// The drive first, then the spool that vouches for it, then the journal that tells people.
    fn save(&mut self) -> Result<(), CopyError> {
        if self.next_slab == self.spool.next_slab() {
            return Ok(());
        }
        self.writer.flush()?;
        self.spool.checkpoint(self.next_slab)?;
        if let Some((item, offset_bytes)) = self.last {
            let item = self.job.work.item(item);
            self.journal.checkpoint(&self.job.id, &item.source_path(), &item.drive_path(), offset_bytes)?;
        }
        (self.bytes, self.since) = (0, Instant::now());
        Ok(())
    }
}

/// Makes nothing on a drive look whole: for a session that is given up.
///
/// # Errors
/// When the drive is not the one, or refuses.
pub fn wipe(path: &Path, blueprint: &Blueprint) -> Result<(), Failure> {
    if FileDevice::open(path).is_err() {
        // Nothing is there, so nothing looks whole.
        return Ok(());
    }
    let target = Target::open(path).map_err(|error| Failure::new(Exit::Retryable, error))?;
    let Frame { table, partition, .. } = Frame::new(blueprint).map_err(Failure::fatal)?;
    let expected = table.partition_id;
    let is_ours = partition_table(&target).is_ok_and(|found| {
        found.partitions.iter().any(
            |partition| matches!(&partition.kind, PartitionKind::Gpt { unique_guid, .. } if *unique_guid == expected),
        )
    });
    if !is_ours {
        // It was never begun, or is somebody else's by now.
        return Ok(());
    }
    let wiped = erase_head(&target, &partition).and_then(|()| Ok(wipe_tables(&target, &table)?));
    wiped
        .with_context(|| format!("wiping {}", path.display()))
        .map_err(|error| Failure::new(Exit::MediaErrors, error))
}

/// Zeros over what makes a partition a volume: its boot sector and what belongs to it.
fn erase_head(target: &Target, partition: &Partition) -> anyhow::Result<()> {
    target.write_all_at(&mut [0; 8_192], partition.start_bytes)?;
    Ok(target.flush()?)
}

//! One drive, from its blueprint to read back: what `pack` does for each.
//!
//! ```text
//! ready ──keys in the journal──▶ begin ──nothing looks whole──▶ copy ──checkpoints──▶ finish ──▶ prove ──▶ job entry
//!   └─ or again: the same keys from the journal, the same places from the blueprint ─┘
//! ```
//! Save, then act: keys and blueprint are on the journal's medium before the drive's first byte is
//! written; the boot sector, without which nothing is a volume, is the last thing that is; and success
//! is what was read back from the medium.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

use anyhow::{Context, anyhow};
use bitlocker::format::{self, Coverage, Formatter, prepare_drive};
use bitlocker::{Method, Password, RecoveryPassword};
use block::partitions::{Guid, PartitionKind, wipe_tables, write_gpt};
use block::{Target, WriteAt, WriteError, WriteErrorKind, WriteWindow, identify, partition_table};
use manifest::{BitlockerKey, JobEntry};
use model::{DriveId, Exit};
use proof::proven::ProvenManifest;

use super::blueprint::{Blueprint, Mode};
use super::checkpoints::{Checkpoints, CopyError};
use super::consent::Consent;
use super::existing::{Existing, VolumePlace, Writer};
use super::finish;
use super::in_place::{self, DriveFiles};
use super::layout::{Frame, Layout, fingerprint};
use super::pipeline::{Buffers, Pipeline};
use super::slab::{Cutter, Slab};
use super::source::{LocalFiles, Sources};
use super::spool::Spool;
use crate::console::Console;
use crate::failure::Failure;
use crate::journal::{DriveRecord, Journal, Phase};
use crate::work::{ItemId, ItemKind, Work};

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
    /// What stood there when it was agreed that it is made anew.
    pub consent: Option<&'a Consent>,
    /// Where its spool is.
    pub spool_path: PathBuf,
    /// What opens a volume that is there already; the journal's key comes first.
    pub key: Option<Arc<BitlockerKey>>,
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
}

/// A drive that can be written: its keys are saved.
pub struct Ready {
    /// The whole drive.
    pub target: Arc<Target>,
    /// Its volume.
    pub writer: Writer,
    /// Where the volume lies.
    pub place: VolumePlace,
    /// What is where on it.
    pub layout: Layout,
    /// What was learnt so far.
    pub spool: Spool,
    /// Makes the volume, where it is new.
    pub formatter: Option<Formatter>,
    /// The volume, where it is there already.
    pub existing: Option<Existing>,
    /// What an earlier session left.
    pub previous: Option<ProvenManifest>,
}

impl Job<'_> {
    /// Packs the drive, or goes on with it where the journal's record of it ends.
    ///
    /// # Errors
    /// What ended it; interrupted (130) when it was asked to stop.
    pub fn run(&self, journal: &mut Journal, record: Option<&DriveRecord>) -> Result<Packed, Failure> {
        let mut ready = match self.blueprint.mode {
            Mode::New => self.make(journal, record)?,
            Mode::Added | Mode::InPlace => {
                let existing = self.existing(record)?;
                if let Some(hash) = record.and_then(|record| record.sealing)
                    && existing.has_manifest(hash)
                {
                    let spool = Spool::reopen(&self.spool_path, self.blueprint.number);
                    return finish::adopt(
                        self,
                        journal,
                        &existing,
                        &mut spool.map_err(Failure::fatal)?,
                        hash,
                    );
                }
                self.reopen(journal, record, existing)?
            }
        };
        self.copy(journal, &mut ready)?;
        finish::run(self, journal, ready)
    }

    /// A drive that is made anew, or that the last run began to make.
    fn make(&self, journal: &mut Journal, record: Option<&DriveRecord>) -> Result<Ready, Failure> {
        let frame = Frame::new(self.blueprint).map_err(Failure::usage)?;
        let maker = frame.maker(self.blueprint).map_err(Failure::usage)?;
        let layout = Layout::new(self.work, self.blueprint, maker).map_err(Failure::usage)?;
        let started = record.filter(|record| record.phase.is_some_and(|phase| phase < Phase::Packed));
        let (formatter, spool) = match started {
            Some(record) => self.same_keys(record, frame.outer.clone())?,
            None => self.new_keys(journal, &frame)?,
        };
        let goes_on = spool.next_slab() > 0;
        if goes_on {
            self.check_layout(&layout)?;
        }
        let target = Arc::new(self.open(&frame, goes_on)?);
        self.begin(&target, &frame, goes_on)?;
        let Frame { partition, .. } = frame;
        let place = VolumePlace { start_bytes: partition.start_bytes, length_bytes: partition.length_bytes };
        let window = WriteWindow::new(Arc::clone(&target), place.start_bytes, place.length_bytes);
        let writer = formatter.writer(window);
        let formatter = Some(formatter);
        Ok(Ready { target, writer, place, layout, spool, formatter, existing: None, previous: None })
    }

    /// The volume of a drive that keeps it.
    fn existing(&self, record: Option<&DriveRecord>) -> Result<Existing, Failure> {
        self.check_identity()?;
        let known = record.and_then(|record| record.key.as_ref()).or(self.key.as_deref());
        let key = known.ok_or_else(|| {
            let path = self.path.display();
            Failure::new(Exit::UnlockFailed, anyhow!("nothing opens {path}: give --recovery-password-file"))
        })?;
        Existing::open(&self.path, key)
    }

    /// A drive that has its volume, which keeps what is on it.
    fn reopen(
        &self,
        journal: &mut Journal,
        record: Option<&DriveRecord>,
        existing: Existing,
    ) -> Result<Ready, Failure> {
        let previous = existing.previous(record.and_then(|record| record.entry.as_ref()))?;
        let maker =
            existing.maker(self.blueprint).map_err(|error| Failure::new(Exit::NotRetryable, error))?;
        let layout = Layout::new(self.work, self.blueprint, maker);
        let layout = layout.map_err(|error| Failure::new(Exit::NotRetryable, error))?;
        let number = self.blueprint.number;
        let is_same = match self.blueprint.mode {
            Mode::InPlace => self.check_in_place(&existing)?,
            Mode::New | Mode::Added => fingerprint(&layout) == self.blueprint.fingerprint,
        };
        let spool = match Spool::reopen(&self.spool_path, number) {
            Ok(spool) if is_same => spool,
            Ok(_) | Err(_) => Spool::create(&self.spool_path, number).map_err(Failure::fatal)?,
        };
        let (target, writer) = existing.writer(&self.path)?;
        match record.filter(|record| record.key.is_some()) {
            Some(_) => journal.drive(&self.id, Phase::Prepared),
            None => journal.drive_prepared(&self.id, &self.path, &existing.key(), &[]),
        }
        .map_err(Failure::fatal)?;
        let place = existing.place();
        Ok(Ready {
            target,
            writer,
            place,
            layout,
            spool,
            formatter: None,
            existing: Some(existing),
            previous,
        })
    }

    /// In place, what was hashed holds only as long as the files are what they were.
    fn check_in_place(&self, existing: &Existing) -> Result<bool, Failure> {
        let found = in_place::fingerprint(self.work, existing.files(), self.blueprint.item_ids());
        if found == self.blueprint.fingerprint {
            return Ok(true);
        }
        Err(Failure::new(
            Exit::NotRetryable,
            anyhow!(
                "files on {} were changed since the session was planned. Give it up with --abort, and begin again",
                self.path.display()
            ),
        ))
    }

    /// Makes the keys and saves them; nothing is written to the drive.
    fn new_keys(&self, journal: &mut Journal, frame: &Frame) -> Result<(Formatter, Spool), Failure> {
        let plan = format::Plan {
            layout: frame.outer.clone(),
            method: self.choices.method,
            description: format!("DRAYAGE {}", self.id),
            password: self.password()?,
            recovery_password: None,
            has_external_key: self.choices.bek_folder.is_some(),
            coverage: self.choices.coverage,
            first_sector_of_partition: frame.first_sector,
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
    fn same_keys(&self, record: &DriveRecord, outer: format::Layout) -> Result<(Formatter, Spool), Failure> {
        let key = record.key.as_ref().ok_or_else(|| {
            Failure::fatal(anyhow!(
                "the journal has no key for the drive {}: abort the session with --abort",
                self.id
            ))
        })?;
        let password = RecoveryPassword::parse(key.expose());
        let password = password.context("the journal's recovery password").map_err(Failure::fatal)?;
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
            let text = zeroize::Zeroizing::new(fs::read_to_string(path)?);
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
    fn open(&self, frame: &Frame, goes_on: bool) -> Result<Target, Failure> {
        let Blueprint { drive_bytes, sector_bytes, .. } = *self.blueprint;
        self.check_identity()?;
        if !goes_on {
            self.check_consent()?;
        }
        if self.is_image && !goes_on {
            self.new_image(frame)?;
        }
        let target = Target::open(&self.path).map_err(|error| Failure::new(Exit::Retryable, error))?;
        let target = target.with_sector_bytes(sector_bytes);
        target.check_room(drive_bytes).map_err(|error| Failure::new(Exit::WrongDrive, error))?;
        if goes_on && !is_ours(&target, self.blueprint) {
            return Err(Failure::new(
                Exit::WrongDrive,
                anyhow!(
                    "{} is not what this pack began: its partition table is another one. Give up the session \
                     with --abort, or bring back the drive",
                    self.path.display()
                ),
            ));
        }
        Ok(target)
    }

    /// Puts an image with our partition table into the place of what was there, in one step: whatever
    /// happens, what is at the path is what was agreed on, or ours.
    fn new_image(&self, frame: &Frame) -> Result<(), Failure> {
        let Blueprint { drive_bytes, sector_bytes, .. } = *self.blueprint;
        let begun = begun_path(&self.path, self.blueprint);
        let make = || {
            remove_if_there(&begun)?;
            let target = Target::create_image(&begun, drive_bytes, sector_bytes)?;
            write_gpt(&target, &frame.table)?;
            target.flush()?;
            Ok(fs::rename(&begun, &self.path)?)
        };
        make().map_err(|error: anyhow::Error| {
            // It is in nobody's way; the next run replaces it.
            let _ = fs::remove_file(&begun);
            finish::failed(self, error.context(format!("making the image {}", self.path.display())))
        })
    }

    /// What is replaced must be what was agreed on when the session began, or what it made itself.
    fn check_consent(&self) -> Result<(), Failure> {
        let found = Consent::look(&self.path)
            .with_context(|| format!("looking at {}", self.path.display()))
            .map_err(|error| Failure::new(Exit::Retryable, error))?;
        if Some(&found) == self.consent || self.is_begun() {
            return Ok(());
        }
        Err(Failure::new(
            Exit::WrongDrive,
            anyhow!(
                "{} is not what it was when this pack began, and nothing on it was touched. Bring back what was \
                 there; or give up the session with --abort and begin another, which for an image file takes \
                 --overwrite",
                self.path.display()
            ),
        ))
    }

    /// Whether an earlier run came as far as this pack's partition table.
    fn is_begun(&self) -> bool {
        Target::open(&self.path).is_ok_and(|target| {
            is_ours(&target.with_sector_bytes(self.blueprint.sector_bytes), self.blueprint)
        })
    }

    /// What was copied lies where the last run's layout had it.
    fn check_layout(&self, layout: &Layout) -> Result<(), Failure> {
        if fingerprint(layout) == self.blueprint.fingerprint {
            return Ok(());
        }
        Err(Failure::new(
            Exit::NotRetryable,
            anyhow!(
                "this driveprep lays out {} otherwise than the one that began it. Go on with that one, or give up \
                 the session with --abort",
                self.path.display()
            ),
        ))
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

    /// Nothing on the drive looks whole from here on, until the end.
    fn begin(&self, target: &Target, frame: &Frame, goes_on: bool) -> Result<(), Failure> {
        let begun = if goes_on {
            // The last run may have come as far as the boot sector.
            erase_head(target, frame).and_then(|()| mend_tables(target, frame))
        } else if self.is_image {
            // It came with its table.
            Ok(())
        } else {
            prepare_drive(target, target, &frame.table).map(drop).map_err(anyhow::Error::from)
        };
        begun.map_err(|error| finish::failed(self, error))
    }

    /// Copies all data that is not on the drive yet; in place it is only read.
    fn copy(&self, journal: &mut Journal, ready: &mut Ready) -> Result<(), Failure> {
        let Ready { layout, spool, writer, existing, .. } = ready;
        let total_bytes: u64 = layout.items.iter().map(|item| self.copied_bytes(*item)).sum();
        let meter = self.console.meter("files", total_bytes, layout.items.len() as u64);
        let slab_bytes = self.blueprint.slab_bytes;
        let needed = total_bytes / slab_bytes as u64 + 2;
        let buffers = Buffers::new(slab_bytes, self.choices.buffer_bytes, needed)
            .context("allocating the buffers: a smaller --buffer-mib needs less")
            .map_err(Failure::fatal)?;
        let local = LocalFiles { work: self.work };
        let on_drive = existing
            .as_ref()
            .map(|existing| DriveFiles { work: self.work, volume: Arc::clone(existing.files()) });
        let (sources, target): (&dyn Sources, &dyn WriteAt) = match (self.blueprint.mode, &on_drive) {
            (Mode::InPlace, Some(on_drive)) => (on_drive, &Nowhere),
            _ => (&local, &*writer),
        };
        let first_slab = spool.next_slab();
        let pipeline =
            Pipeline { work: self.work, sources, target, buffers: &buffers, stop: self.stop, first_slab };
        let every_bytes = self.choices.checkpoint_bytes.max(total_bytes / 2_000);
        let mut checkpoints = Checkpoints::new(self, journal, spool, target, every_bytes);
        let cluster_bytes = layout.cut_cluster_bytes(self.blueprint);
        let copied = pipeline.run(
            |full| {
                let mut counted = |slab: Slab| {
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
            return Err(interrupted());
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

/// What to say when the process was asked to stop.
fn interrupted() -> Failure {
    Failure::new(
        Exit::Interrupted,
        anyhow!(
            "interrupted; what was copied is safe. The same command, or --resume with the journal, goes on"
        ),
    )
}

/// Takes what is only read.
struct Nowhere;

impl WriteAt for Nowhere {
    fn write_all_at(&self, _: &mut [u8], _: u64) -> Result<(), WriteError> {
        Ok(())
    }

    fn flush(&self) -> Result<(), WriteError> {
        Ok(())
    }
}

/// What became of a drive that shall be wiped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wipe {
    /// Nothing on it looks whole.
    Wiped,
    /// The image file is gone, and with it what was on it.
    Gone,
    /// It is not what the pack began; it was left alone.
    Foreign,
}

/// Makes nothing on a drive look whole that is made anew: for a session that is given up.
///
/// # Errors
/// When the drive is not there, or refuses.
pub fn wipe(path: &Path, is_image: bool, id: &DriveId, blueprint: &Blueprint) -> Result<Wipe, Failure> {
    let again = |error: anyhow::Error| {
        let context = format!(
            "{} ({id}) was not wiped, and may look whole. Connect it and give the command again",
            path.display()
        );
        Failure::new(Exit::Retryable, error.context(context))
    };
    if is_image {
        remove_if_there(&begun_path(path, blueprint)).map_err(|error| again(error.into()))?;
        if fs::metadata(path).is_err_and(|error| error.kind() == io::ErrorKind::NotFound) {
            return Ok(Wipe::Gone);
        }
    } else {
        let identity = identify(path).map_err(|error| again(error.into()))?;
        let found = identity.serial.as_deref().and_then(|serial| DriveId::new(serial).ok());
        if found.as_ref() != Some(id) {
            return Err(again(anyhow!("another drive is connected there")));
        }
    }
    let target = Target::open(path).map_err(|error| again(error.into()))?;
    let target = target.with_sector_bytes(blueprint.sector_bytes);
    let frame = Frame::new(blueprint).map_err(Failure::fatal)?;
    if !is_ours(&target, blueprint) {
        return Ok(Wipe::Foreign);
    }
    let wiped = erase_head(&target, &frame).and_then(|()| Ok(wipe_tables(&target, &frame.table)?));
    wiped
        .map(|()| Wipe::Wiped)
        .with_context(|| format!("wiping {}", path.display()))
        .map_err(|error| Failure::new(Exit::MediaErrors, error))
}

/// Where an image is until it has its partition table: a name that only this blueprint has.
fn begun_path(path: &Path, blueprint: &Blueprint) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{:016x}.begun", blueprint.number));
    name.into()
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Whether the drive has the partition that this blueprint made.
fn is_ours(target: &Target, blueprint: &Blueprint) -> bool {
    let expected = Guid(blueprint.partition_guid);
    partition_table(target).is_ok_and(|table| {
        table.partitions.iter().any(|partition| {
            matches!(&partition.kind, PartitionKind::Gpt { unique_guid, .. } if *unique_guid == expected)
        })
    })
}

/// A drive is known to be ours by one of its two partition tables; both shall be whole.
///
/// Only a table that is damaged is made anew: cut off in the middle of that, the drive would not be ours.
fn mend_tables(target: &Target, frame: &Frame) -> anyhow::Result<()> {
    if !partition_table(target).is_ok_and(|table| table.problems.is_empty()) {
        write_gpt(target, &frame.table)?;
        target.flush()?;
    }
    Ok(())
}

/// Zeros over what makes a partition a volume: its boot sector and what belongs to it.
fn erase_head(target: &Target, frame: &Frame) -> anyhow::Result<()> {
    target.write_all_at(&mut [0; 8_192], frame.partition.start_bytes)?;
    Ok(target.flush()?)
}

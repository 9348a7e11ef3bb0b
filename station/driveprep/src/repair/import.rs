//! `driveprep repair-import`: the blobs that a log says are not whole, from the files that the drive
//! was packed from. azure-import-export.md §2.7.
//!
//! Blob by blob: what is damaged comes from [`super::damage`], the bytes from [`super::roots`], and
//! [`super::block`] or [`super::page`] mends it. What cannot be mended is named with the reason, its
//! file goes into the path map, and the next one goes on.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::{Context, anyhow};
use azure::Account;
use clap::Args;
use model::Exit;
use proof::chain;
use serde_json::json;
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;

use super::damage::{self, Damage, Head};
use super::drive_root::DriveRoot;
use super::path_map::PathMap;
use super::record::{Key, RepairFile, Subject};
use super::roots::Roots;
use super::stop::{Outcome, Stop, Tally, Unresolved};
use super::work::{Parts, Work};
use super::{block, page};
use crate::account::{self, AccountArguments};
use crate::console::{Console, Meter, printable};
use crate::failure::Failure;
use crate::open::{DriveArguments, KeyArguments};

/// Damaged blobs that were read ahead.
const AHEAD: usize = 4;

/// `driveprep repair-import`.
#[derive(Debug, Args)]
pub struct RepairImportArguments {
    /// The repair file: keeps how far the repair of this drive has come. Made when it is not there;
    /// the same command with the same file goes on where it ended.
    #[arg(long, value_name = "FILE.rep")]
    pub repair: PathBuf,
    /// Folders that the files were packed from, separated by `;`.
    #[arg(
        long = "dir",
        alias = "drive",
        value_name = "DIR[;DIR...]",
        value_delimiter = ';',
        required_unless_present = "from"
    )]
    pub dirs: Vec<PathBuf>,
    /// The packed drive, a block device or an image file, whose good copies are taken. It is read
    /// without being mounted; --job or one of the key files opens it.
    #[arg(long, value_name = "DRIVE")]
    pub from: Option<PathBuf>,
    /// The drive's job entry: drive.json, a .jrn journal, or a DriveInfo XML, with the key for --from.
    #[arg(long, value_name = "FILE", requires = "from")]
    pub job: Option<PathBuf>,
    /// Files with more secrets, for --from.
    #[command(flatten)]
    pub keys: KeyArguments,
    /// The drive's error log, verbose log or copy log.
    #[arg(long, value_name = "FILE")]
    pub copy_log: PathBuf,
    /// The account that the drive was imported into.
    #[command(flatten)]
    pub account: AccountArguments,
    /// The drive's manifest, for logs that do not tell enough.
    #[arg(long, value_name = "FILE")]
    pub manifest: Option<PathBuf>,
    /// Where files are named that were not found; append a TAB and the real path to a line, and run
    /// the same command again.
    #[arg(long, value_name = "FILE")]
    pub path_map: Option<PathBuf>,
}

/// What the repair of one blob needs.
pub struct Desk {
    /// The account.
    pub account: Account,
    /// Where files are.
    pub roots: Roots,
    /// Where files are that are not there.
    pub map: PathMap,
    /// Counts bytes and blobs.
    pub meter: Meter,
    record: Mutex<RepairFile>,
    moved_bytes: AtomicU64,
}

impl Desk {
    /// The repair file; never kept while something is waited for.
    pub fn record(&self) -> MutexGuard<'_, RepairFile> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts bytes that were sent.
    pub fn moved(&self, bytes: u64) {
        self.moved_bytes.fetch_add(bytes, Ordering::Relaxed);
        self.meter.add(bytes, 0);
    }
}

/// Runs the command.
///
/// # Errors
/// When the arguments cannot be used, or the account refuses everything.
pub fn run(arguments: &RepairImportArguments, console: &Console) -> Result<Exit, Failure> {
    for dir in &arguments.dirs {
        check_folder(dir).map_err(Failure::usage)?;
    }
    let drive = arguments.drive_root()?;
    let account = arguments.account.open()?;
    let subject = Subject {
        command: "RepairImport",
        account: account.endpoint().to_string(),
        input: digest_of(&arguments.copy_log).map_err(Failure::usage)?,
        folder: None,
    };
    let map = PathMap::read(arguments.path_map.as_deref()).map_err(Failure::usage)?;
    let record = RepairFile::open(&arguments.repair, &subject).map_err(Failure::usage)?;
    if record.is_resumed {
        console.note(&format!("going on with the repair of {}", arguments.repair.display()));
    }
    let desk = Desk {
        account,
        roots: Roots::new(arguments.dirs.clone(), drive),
        map,
        meter: console.meter("blobs", 0, 0),
        record: Mutex::new(record),
        moved_bytes: AtomicU64::new(0),
    };
    let mut repair = Repair { desk, console, tally: Tally::default() };
    let ended = account::run(repair.all(arguments.copy_log.clone(), arguments.manifest.clone()));
    repair.end(ended)
}

impl RepairImportArguments {
    /// The packed drive, unlocked.
    fn drive_root(&self) -> Result<Option<DriveRoot>, Failure> {
        let Some(from) = &self.from else {
            let KeyArguments { recovery_password_file, password_file, bek } = &self.keys;
            if recovery_password_file.is_some() || password_file.is_some() || bek.is_some() {
                return Err(Failure::usage(anyhow!("there is a key, and no drive: give --from DRIVE")));
            }
            return Ok(None);
        };
        let (drive, job, keys) = (from.clone(), self.job.clone(), self.keys.clone());
        let opened = DriveArguments { drive, job, keys }.unlock()?;
        Ok(Some(DriveRoot::new(from, opened.drive.ntfs)))
    }
}

fn check_folder(dir: &Path) -> anyhow::Result<()> {
    let facts = std::fs::metadata(dir).with_context(|| format!("--dir {}", dir.display()))?;
    anyhow::ensure!(
        facts.is_dir(),
        "--dir {} is not a folder; give the folder that was packed, or the packed drive itself with --from",
        dir.display()
    );
    Ok(())
}

/// SHA-256 of a file, by which a repair file knows its log again.
///
/// # Errors
/// When it cannot be read.
pub fn digest_of(path: &Path) -> anyhow::Result<String> {
    struct Hashing(Sha256);
    impl std::io::Write for Hashing {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.update(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut file = std::fs::File::open(path).with_context(|| format!("opening {}", path.display()))?;
    let mut hashing = Hashing(Sha256::new());
    std::io::copy(&mut file, &mut hashing).with_context(|| format!("reading {}", path.display()))?;
    Ok(hashing.0.finalize().iter().map(|byte| format!("{byte:02X}")).collect())
}

struct Repair<'a> {
    desk: Desk,
    console: &'a Console,
    tally: Tally,
}

/// Nobody takes what is read any more.
struct Abandoned;

impl Repair<'_> {
    async fn all(&mut self, log: PathBuf, manifest: Option<PathBuf>) -> Result<Head, Failure> {
        let (sender, mut receiver) = mpsc::channel(AHEAD);
        let reading = tokio::task::spawn_blocking(move || {
            damage::read(&log, manifest.as_deref(), |damage| {
                sender.blocking_send(damage).map_err(|_| Abandoned)
            })
        });
        while let Some(damage) = receiver.recv().await {
            self.one(damage).await?;
        }
        match reading.await.expect("reading a log does not panic") {
            Ok(Ok(head)) => Ok(head),
            Ok(Err(Abandoned)) => unreachable!("the receiver was drained"),
            Err(error) => Err(Failure::usage(error)),
        }
    }

    async fn one(&mut self, damage: Damage) -> Result<(), Failure> {
        let Damage { blob_path, file_path, work } = damage;
        let noted = match &work {
            Ok(work) => self.desk.record().blob(work.key()),
            Err(_) => self.desk.record().blob(Key { blob_path: &blob_path, file_path: file_path.as_deref() }),
        };
        if noted.is_completed {
            self.tally.done_before += 1;
            return Ok(());
        }
        self.desk.meter.expect(0, 1);
        let ended = match work {
            Ok(work) => self.mend(&work).await,
            Err(unresolved) => Err(Stop::Blob(unresolved)),
        };
        self.desk.meter.add(0, 1);
        match ended {
            Ok(Outcome::Landed(problems)) if problems.is_empty() => {
                self.tally.repaired += 1;
                file_path.iter().for_each(|path| self.desk.map.found(path));
                self.console.result(
                    "repaired",
                    &format!("repaired  {}", printable(&blob_path)),
                    json!({ "blob_path": blob_path }),
                );
            }
            Ok(Outcome::Left) => {
                self.tally.left += 1;
                let reason = "the name is taken and the disposition is no-overwrite";
                self.console.result(
                    "left",
                    &format!("left  {}: {reason}", printable(&blob_path)),
                    json!({ "blob_path": blob_path, "file_path": file_path, "reason": reason }),
                );
            }
            Ok(Outcome::Landed(problems)) => {
                // The data are there; one blob is counted once.
                problems.first().iter().for_each(|(_, problem)| self.tally.count(problem));
                for (side_file, problem) in problems {
                    self.tell(&blob_path, Some(&side_file), &problem);
                }
            }
            Err(Stop::Blob(unresolved)) => {
                self.tally.count(&unresolved);
                self.tell(&blob_path, file_path.as_deref(), &unresolved);
            }
            Err(Stop::Command(failure)) => return Err(failure),
        }
        Ok(())
    }

    /// Mends a blob, and notes it when it is whole.
    async fn mend(&self, work: &Work) -> Result<Outcome, Stop> {
        let outcome = match &work.parts {
            Parts::Blocks(blocks) => block::repair(&self.desk, work, blocks).await?,
            Parts::Pages(ranges) => page::repair(&self.desk, work, ranges).await?,
        };
        if matches!(&outcome, Outcome::Landed(problems) if problems.is_empty()) {
            self.desk.record().completed(work.key())?;
        }
        Ok(outcome)
    }

    fn tell(&mut self, blob_path: &str, file_path: Option<&str>, unresolved: &Unresolved) {
        if let Some(path) = file_path.filter(|_| unresolved.is_about_the_file()) {
            self.desk.map.miss(path);
        }
        let reason = chain(unresolved);
        if self.console.is_json() {
            let fields = json!({ "blob_path": blob_path, "file_path": file_path, "reason": reason });
            self.console.result("unresolved", "", fields);
        } else {
            self.console.warn(&format!("{} is not repaired: {}", printable(blob_path), printable(&reason)));
        }
    }

    /// Whatever happened, the path map is written and what was done is told.
    fn end(self, ended: Result<Head, Failure>) -> Result<Exit, Failure> {
        let Repair { desk, console, tally } = self;
        let saved = desk.map.save().map_err(Failure::fatal)?.map(Path::to_owned);
        let (missing, moved_bytes) = (desk.map.missing_count(), desk.moved_bytes.load(Ordering::Relaxed));
        drop(desk);
        let head = ended?;
        if let (Some(path), true) = (&saved, missing > 0) {
            console.note(&format!(
                "{missing} files were not found: append a TAB and the real path to their lines in {}, and run the \
                 same command again",
                path.display()
            ));
        }
        let mut exit = tally.exit();
        if let Some(status) = head.fatal {
            let what = format!(
                "the log says that the drive as a whole failed ({status}): nothing of it was copied, ingest it again"
            );
            console.warn(&what);
            exit = Exit::NotRetryable;
        }
        let text = format!(
            "{} repaired, {} whole before, {} left as their names are taken, {} not repaired",
            tally.repaired, tally.done_before, tally.left, tally.unresolved
        );
        let fields = json!({
            "drive_id": head.drive_id,
            "repaired": tally.repaired,
            "whole_before": tally.done_before,
            "left": tally.left,
            "unresolved": tally.unresolved,
            "sent_bytes": moved_bytes,
            "path_map": saved,
            "exit_code": exit.code(),
        });
        console.result("summary", &text, fields);
        Ok(exit)
    }
}

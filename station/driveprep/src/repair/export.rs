//! `driveprep repair-export`: the files of an exported drive, held against log and manifest, and
//! mended from the account. azure-import-export.md §2.8.
//!
//! With the log: the components that failed, into the same ranges of the same files. With the
//! manifest: afterwards every file that it names is read, and each range, metadata and properties
//! file that has not its hash is fetched and written again. No range is written that has not the
//! hash that the export gave it: a blob that has changed since is named and its file left alone. A
//! metadata or properties file that cannot be made to its hash is written as the blob is now, and
//! that is reported.

mod file;

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use azure::Account;
use clap::Args;
use manifest::{ManifestEvent, ManifestReader};
use model::Exit;
use proof::chain;
use serde_json::json;
use tokio::sync::mpsc;

use super::damage::{self, Head};
use super::folder::Folder;
use super::import::digest_of;
use super::record::{Key, RepairFile, Subject};
use super::stop::{Stop, Tally, Unresolved};
use super::work::Work;
use crate::account::{self, AccountArguments};
use crate::console::{Console, Meter, printable};
use crate::failure::Failure;
use file::{Mended, mend};

/// Entries of the manifest between two notes in the repair file: checking them again is cheap
/// beside losing all.
const ENTRIES_PER_NOTE: u64 = 256;
/// Entries that were read ahead.
const AHEAD: usize = 4;

/// `driveprep repair-export`.
#[derive(Debug, Args)]
pub struct RepairExportArguments {
    /// The repair file: keeps how far the repair of this drive has come. Made when it is not there;
    /// the same command with the same file goes on where it ended.
    #[arg(long, value_name = "FILE.rep")]
    pub repair: PathBuf,
    /// The mounted drive, or the folder that it was copied to.
    #[arg(long, alias = "drive", value_name = "DIR")]
    pub dir: PathBuf,
    /// The account that was exported from.
    #[command(flatten)]
    pub account: AccountArguments,
    /// The drive's error log, verbose log or copy log.
    #[arg(long, value_name = "FILE", required_unless_present = "manifest")]
    pub copy_log: Option<PathBuf>,
    /// The drive's manifest: every file that it names is checked.
    #[arg(long, value_name = "FILE")]
    pub manifest: Option<PathBuf>,
}

/// What the repair of one file needs.
pub struct Desk {
    /// The account.
    pub account: Account,
    /// The drive.
    pub folder: Arc<Folder>,
    /// Counts bytes and files.
    pub meter: Meter,
}

/// Runs the command.
///
/// # Errors
/// When the arguments cannot be used, or the account refuses everything.
pub fn run(arguments: &RepairExportArguments, console: &Console) -> Result<Exit, Failure> {
    let folder = Folder::open(&arguments.dir).with_context(|| format!("--dir {}", arguments.dir.display()));
    let folder = folder.map_err(Failure::usage)?;
    let account = arguments.account.open()?;
    let named = arguments.manifest.as_ref().or(arguments.copy_log.as_ref());
    let input = named.expect("the command line asks for one of them");
    let subject = Subject {
        command: "RepairExport",
        account: account.endpoint().to_string(),
        input: digest_of(input).map_err(Failure::usage)?,
        folder: Some(identity_of(&arguments.dir).map_err(Failure::usage)?),
    };
    let record = RepairFile::open(&arguments.repair, &subject).map_err(Failure::usage)?;
    if record.is_resumed {
        console.note(&format!("going on with the repair of {}", arguments.repair.display()));
    }
    let desk = Desk { account, folder: Arc::new(folder), meter: console.meter("files", 0, 0) };
    let mut repair = Repair { desk, console, record, tally: Tally::default(), checked_before: 0 };
    let head = account::run(repair.all(arguments.copy_log.clone(), arguments.manifest.clone()))?;
    Ok(repair.end(&head))
}

/// Which folder it is: where it lies, and what lies there now.
fn identity_of(dir: &Path) -> anyhow::Result<String> {
    let path = dir.canonicalize().with_context(|| format!("--dir {}", dir.display()))?;
    let facts = std::fs::metadata(&path).with_context(|| format!("--dir {}", dir.display()))?;
    Ok(format!("{} (device {}, inode {})", path.display(), facts.dev(), facts.ino()))
}

struct Repair<'a> {
    desk: Desk,
    console: &'a Console,
    record: RepairFile,
    tally: Tally,
    /// Entries that an earlier run, which did not end, had found or made whole.
    checked_before: u64,
}

/// Nobody takes what is read any more.
#[derive(Debug)]
struct Abandoned;

/// A blob of log or manifest: what it is called, and what to do.
type Item = (String, Result<Work, Unresolved>);

/// What reading log or manifest came to.
type Read<T> = anyhow::Result<Result<T, Abandoned>>;

impl Repair<'_> {
    async fn all(&mut self, log: Option<PathBuf>, manifest: Option<PathBuf>) -> Result<Head, Failure> {
        let mut head = Head::default();
        if let Some(log) = log {
            head = self.named_by_log(log, manifest.clone()).await?;
        }
        if let Some(manifest) = manifest {
            self.named_by_manifest(manifest).await?;
        }
        Ok(head)
    }

    /// Mends what the log names, one after the other.
    async fn named_by_log(&mut self, log: PathBuf, manifest: Option<PathBuf>) -> Result<Head, Failure> {
        let (sender, mut receiver) = mpsc::channel::<Item>(AHEAD);
        let reading = tokio::task::spawn_blocking(move || {
            damage::read(&log, manifest.as_deref(), |damage| {
                sender.blocking_send((damage.blob_path, damage.work)).map_err(|_| Abandoned)
            })
        });
        while let Some(item) = receiver.recv().await {
            self.one(item).await?;
        }
        drained(reading.await)
    }

    /// Checks and mends everything that the manifest names, from where a run that was killed had come.
    async fn named_by_manifest(&mut self, manifest: PathBuf) -> Result<(), Failure> {
        let (from, mut index) = (self.record.checked(), 0);
        let mut checked = from;
        self.checked_before = from;
        if from > 0 {
            self.console.note(&format!("{from} files were checked by an earlier run, which did not end"));
        }
        let (sender, mut receiver) = mpsc::channel::<Item>(AHEAD);
        let reading = tokio::task::spawn_blocking(move || {
            entries(&manifest, &mut |item| {
                index += 1;
                if index <= from { Ok(()) } else { sender.blocking_send(item).map_err(|_| Abandoned) }
            })
        });
        let mut unnoted = false;
        while let Some(item) = receiver.recv().await {
            unnoted |= !self.one(item).await?;
            checked += 1;
            // An entry that is not mended has to be looked at again.
            if !unnoted && checked.is_multiple_of(ENTRIES_PER_NOTE) {
                self.record.check(checked).map_err(Failure::fatal)?;
            }
        }
        drained(reading.await)?;
        // What is whole now may be spoilt when the same command is given again.
        self.record.check(0).map_err(Failure::fatal)
    }

    /// Whether it is whole now.
    async fn one(&mut self, (blob_path, work): Item) -> Result<bool, Failure> {
        let length_bytes = work.as_ref().map_or(0, |work| work.length_bytes);
        self.desk.meter.expect(length_bytes, 1);
        let file_path = work.as_ref().ok().map(|work| work.file_path.clone());
        let ended = match work {
            Ok(work) => mend(&self.desk, work).await,
            Err(unresolved) => Err(Stop::Blob(unresolved)),
        };
        self.desk.meter.add(length_bytes, 1);
        match ended {
            Ok(mended) => self.mended(Key { blob_path: &blob_path, file_path: file_path.as_deref() }, mended),
            Err(Stop::Blob(unresolved)) => {
                self.tally.count(&unresolved);
                self.tell(&blob_path, &unresolved);
                Ok(false)
            }
            Err(Stop::Command(failure)) => Err(failure),
        }
    }

    fn mended(&mut self, key: Key<'_>, mended: Mended) -> Result<bool, Failure> {
        let blob_path = key.blob_path;
        self.tally.moved_bytes += mended.fetched_bytes;
        if let Some(problem) = mended.problems.first() {
            self.tally.count(problem);
        } else if mended.part_count == 0 {
            self.tally.done_before += 1;
        } else {
            self.record.completed(key).map_err(Failure::fatal)?;
            self.tally.repaired += 1;
            let fields = json!({ "blob_path": blob_path, "components": mended.part_count, "fetched_bytes": mended.fetched_bytes });
            self.console.result("repaired", &format!("repaired  {}", printable(blob_path)), fields);
        }
        mended.problems.iter().for_each(|problem| self.tell(blob_path, problem));
        Ok(mended.problems.is_empty())
    }

    fn tell(&self, blob_path: &str, unresolved: &Unresolved) {
        let reason = chain(unresolved);
        if self.console.is_json() {
            self.console.result("unresolved", "", json!({ "blob_path": blob_path, "reason": reason }));
        } else {
            self.console.warn(&format!("{} is not repaired: {}", printable(blob_path), printable(&reason)));
        }
    }

    fn end(self, head: &Head) -> Exit {
        let Repair { desk, console, tally, checked_before, .. } = self;
        drop(desk);
        let mut exit = tally.exit();
        if let Some(status) = head.fatal {
            console.warn(&format!(
                "the log says that the drive as a whole failed ({status}): what is missing of it, the log does not \
                 name; export it again"
            ));
            exit = Exit::NotRetryable;
        }
        let mut text = format!(
            "{} repaired, {} whole, {} not repaired",
            tally.repaired, tally.done_before, tally.unresolved
        );
        if checked_before > 0 {
            text.push_str(&format!(", {checked_before} checked by an earlier run"));
        }
        let fields = json!({
            "drive_id": head.drive_id,
            "checked_before": checked_before,
            "repaired": tally.repaired,
            "whole": tally.done_before,
            "unresolved": tally.unresolved,
            "fetched_bytes": tally.moved_bytes,
            "exit_code": exit.code(),
        });
        console.result("summary", &text, fields);
        exit
    }
}

fn drained<T>(ended: Result<Read<T>, tokio::task::JoinError>) -> Result<T, Failure> {
    let ended = ended.expect("reading a log or a manifest does not panic").map_err(Failure::usage)?;
    Ok(ended.expect("the receiver was drained"))
}

/// Hands on every entry of a manifest.
fn entries(path: &Path, each: &mut impl FnMut(Item) -> Result<(), Abandoned>) -> Read<()> {
    let file = std::fs::File::open(path).with_context(|| format!("opening {}", path.display()))?;
    let mut reader = ManifestReader::new(std::io::BufReader::with_capacity(1 << 16, file));
    let mut list = None;
    while let Some(event) = reader.next().with_context(|| format!("the manifest {}", path.display()))? {
        match event {
            ManifestEvent::Drive(_) => {}
            ManifestEvent::List(header) => list = Some(header),
            ManifestEvent::Blob(entry) => {
                let work = Work::of_manifest(&entry, list.as_ref(), None);
                if let Err(abandoned) = each((entry.blob_path, work)) {
                    return Ok(Err(abandoned));
                }
            }
        }
    }
    Ok(Ok(()))
}

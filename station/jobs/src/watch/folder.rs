//! A folder off the machine: its file of checkpoints, which only ever grows.
//!
//! Invariants: what the file was found to hold is known, so that whatever it lacks is made up for, in order; a file
//! that was there once is never made anew, because a share that is not mounted looks like an empty folder. Such a
//! share may also hang: every touch is on a thread of its own that is waited for only so long, and while one
//! hangs no other is begun. Which checkpoints belong there is the watch's.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use custody::{CheckpointLineError, PublicKeys, SentCheckpoints, TrustedCheckpoint, sent_checkpoints_of};
use tokio::sync::{Mutex, OwnedMutexGuard, oneshot};
use tokio::time::timeout;

use super::WatchError;

/// Longest file of checkpoints that is read: at one a quarter of an hour, eighty years.
const CHECKPOINTS_BYTES_MAX: u64 = 1 << 30;
/// How long reading and checking such a file may take.
const READ_WAIT: Duration = Duration::from_secs(120);
/// How long making it longer may take; the timers of jobs wait meanwhile.
const APPEND_WAIT: Duration = Duration::from_secs(10);

/// A folder off the machine that is not there, or refuses.
#[derive(Debug, thiserror::Error)]
#[error("the checkpoints in {}", path.display())]
pub struct FolderError {
    /// The file.
    pub path: PathBuf,
    /// Why.
    #[source]
    pub source: io::Error,
}

/// The file of one chain in one folder.
pub(super) struct Folder {
    path: PathBuf,
    file: Arc<Mutex<Known>>,
    /// How long reading, and everything else, is waited for.
    pub(super) waits: (Duration, Duration),
}

/// What is known of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Known {
    /// Nothing.
    Unread,
    /// Not there, and nothing was ever sent.
    New,
    /// It vouches for so many entries.
    Covers(u64),
}

impl Folder {
    pub(super) fn new(folder: &Path, chain: &str) -> Folder {
        let path = folder.join(format!("{chain}.checkpoints"));
        Folder { path, file: Arc::new(Mutex::new(Known::Unread)), waits: (READ_WAIT, APPEND_WAIT) }
    }

    /// The checkpoints in the file. It may be missing only while nothing was ever sent.
    pub(super) async fn read(
        &self,
        keys: &PublicKeys,
        is_new: bool,
    ) -> Result<Vec<TrustedCheckpoint>, WatchError> {
        let keys = keys.clone();
        let read = self.touch(self.waits.0, move |path, known| read(path, known, &keys, is_new)).await?;
        let place = || self.path.display().to_string();
        let sent = read.map_err(|source| WatchError::Checkpoint { place: place(), source })?;
        if let Some(first) = sent.torn.first() {
            tracing::error!(
                path = place(),
                lines = sent.torn.len(),
                first = first as &dyn std::error::Error,
                "what is no checkpoint stands among the checkpoints and was passed over"
            );
        }
        Ok(sent.trusted)
    }

    /// For how many entries the file vouches; none when that is not known.
    pub(super) async fn covers(&self) -> Result<Option<u64>, FolderError> {
        let covers = |known: &mut Known| match *known {
            Known::Unread => None,
            Known::New => Some(0),
            Known::Covers(no) => Some(no),
        };
        self.touch(self.waits.1, move |_, known| Ok(covers(known))).await
    }

    /// Appends checkpoints, each with the number of entries that it covers; those that are there already are not.
    pub(super) async fn append(&self, lines: Vec<(u64, String)>) -> Result<(), FolderError> {
        self.touch(self.waits.1, move |path, known| append_missing(path, known, &lines)).await
    }

    async fn touch<T: Send + 'static>(
        &self,
        wait: Duration,
        work: impl FnOnce(&Path, &mut Known) -> io::Result<T> + Send + 'static,
    ) -> Result<T, FolderError> {
        let touched = on_a_thread(self.path.clone(), Arc::clone(&self.file), work);
        let hangs =
            || io::Error::new(io::ErrorKind::TimedOut, "it does not answer; what it lacks is sent later");
        let touched = timeout(wait, touched).await.unwrap_or_else(|_| Err(hangs()));
        touched.map_err(|source| FolderError { path: self.path.clone(), source })
    }
}

/// Not one of the runtime's threads: the process could not end while one of those hangs.
async fn on_a_thread<T: Send + 'static>(
    path: PathBuf,
    file: Arc<Mutex<Known>>,
    work: impl FnOnce(&Path, &mut Known) -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    let mut known: OwnedMutexGuard<Known> = file.lock_owned().await;
    let (done, ended) = oneshot::channel();
    std::thread::Builder::new().name("checkpoints".to_owned()).spawn(move || {
        let outcome = work(&path, &mut known);
        drop(known);
        // Whoever asked may have stopped waiting.
        let _ = done.send(outcome);
    })?;
    ended.await.map_err(io::Error::other)?
}

fn read(
    path: &Path,
    known: &mut Known,
    keys: &PublicKeys,
    is_new: bool,
) -> io::Result<Result<SentCheckpoints, CheckpointLineError>> {
    *known = Known::Unread;
    let file = match read_bounded(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound && is_new => {
            *known = Known::New;
            return Ok(Ok(SentCheckpoints::default()));
        }
        read => read.map_err(|error| if_missing(path, error))?,
    };
    let sent = sent_checkpoints_of(&file, keys);
    if let Ok(sent) = &sent {
        let last = sent.trusted.iter().map(|checkpoint| checkpoint.get().no).max();
        *known = Known::Covers(last.unwrap_or(0));
    }
    Ok(sent)
}

fn read_bounded(path: &Path) -> io::Result<Vec<u8>> {
    if std::fs::metadata(path)?.len() > CHECKPOINTS_BYTES_MAX {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "longer than any file of checkpoints"));
    }
    std::fs::read(path)
}

fn if_missing(path: &Path, error: io::Error) -> io::Error {
    if error.kind() != io::ErrorKind::NotFound {
        return error;
    }
    let what = format!(
        "it is not there, and checkpoints were signed before: is its folder mounted? For a folder that is new, \
         make it as an empty file: touch {}",
        path.display()
    );
    io::Error::new(io::ErrorKind::NotFound, what)
}

fn append_missing(path: &Path, known: &mut Known, lines: &[(u64, String)]) -> io::Result<()> {
    let (covered, is_new) = match *known {
        Known::Unread => return Err(io::Error::other("it could not be read")),
        Known::New => (0, true),
        Known::Covers(no) => (no, false),
    };
    let missing = lines.iter().filter(|(no, _)| *no > covered);
    let (numbers, texts): (Vec<u64>, Vec<&str>) = missing.map(|(no, line)| (*no, line.as_str())).unzip();
    let Some(last) = numbers.last() else { return Ok(()) };
    append(path, &texts.join("\n"), is_new).map_err(|error| if_missing(path, error))?;
    *known = Known::Covers(*last);
    Ok(())
}

/// Only ever longer: a folder may be on a medium that cannot be written over. Behind a line that was torn
/// off comes its end first, else this one would be lost with it.
fn append(path: &Path, lines: &str, is_new: bool) -> io::Result<()> {
    let mut file = OpenOptions::new().read(true).append(true).create(is_new).open(path)?;
    let before = if ends_in_a_line(&mut file)? { "" } else { "\n" };
    file.write_all(format!("{before}{lines}\n").as_bytes())?;
    file.sync_all()
}

fn ends_in_a_line(file: &mut File) -> io::Result<bool> {
    if file.metadata()?.len() == 0 {
        return Ok(true);
    }
    let mut last = [0];
    file.seek(SeekFrom::End(-1))?;
    file.read_exact(&mut last)?;
    Ok(last == *b"\n")
}

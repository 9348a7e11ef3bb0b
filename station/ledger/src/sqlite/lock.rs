//! Locks of the operating system: who runs a drive, who is bringing tables up to date.
//!
//! A lock belongs to the open file, so two holders in one process exclude each other too. The file
//! stays behind when the lock goes; its text, the holder's process id, is only for messages.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};

/// The lock files of one ledger.
#[derive(Debug)]
pub(super) struct Locks {
    directory: PathBuf,
}

/// A drive that is ours until this is dropped.
#[derive(Debug)]
pub(super) struct Hold {
    _file: File,
}

/// A drive could not be taken.
pub(super) enum NotTaken {
    /// Somebody has it.
    Held { holder: String },
    /// The lock file cannot be used.
    Io(io::Error),
}

impl Locks {
    pub(super) fn beside(ledger: &Path) -> io::Result<Locks> {
        let directory = super::locks_directory(ledger);
        fs::create_dir_all(&directory)?;
        Ok(Locks { directory })
    }

    /// Waits until no other process is opening the ledger.
    pub(super) async fn opening(&self) -> io::Result<Hold> {
        let file = self.file("open")?;
        let locked = tokio::task::spawn_blocking(move || file.lock().map(|()| file)).await;
        locked.map_err(io::Error::other)?.map(|file| Hold { _file: file })
    }

    /// Takes the drive with that row number, if nobody has it.
    pub(super) fn take_drive(&self, drive: i64) -> Result<Hold, NotTaken> {
        let mut file = self.file(&format!("drive-{drive}")).map_err(NotTaken::Io)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(NotTaken::Held { holder: holder(&mut file) }),
            Err(TryLockError::Error(error)) => return Err(NotTaken::Io(error)),
        }
        sign(&mut file).map_err(NotTaken::Io)?;
        Ok(Hold { _file: file })
    }

    fn file(&self, name: &str) -> io::Result<File> {
        OpenOptions::new().read(true).write(true).create(true).truncate(false).open(self.directory.join(name))
    }
}

fn sign(file: &mut File) -> io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    write!(file, "{}", std::process::id())
}

fn holder(file: &mut File) -> String {
    let mut text = String::new();
    // It may be about to sign; the message is poorer then, the refusal the same.
    let read = file.rewind().and_then(|()| file.take(20).read_to_string(&mut text));
    match read.ok().and_then(|_| text.trim().parse::<u32>().ok()) {
        Some(id) if id == std::process::id() => "this process".to_owned(),
        Some(id) => format!("process {id}"),
        None => "another process".to_owned(),
    }
}

//! The packed drive itself as a place where files are looked for: read through our own readers, nothing
//! is mounted.
//!
//! Invariant: read-only, and what cannot be read is an error with the drive's path, never other bytes:
//! whoever asks for them holds them against their hash.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ntfs::{FileId, ResolveError, Stream, Volume};

/// An open drive.
#[derive(Clone)]
pub struct DriveRoot {
    shown: PathBuf,
    volume: Arc<Volume>,
}

/// A file of the drive, ready to be read.
#[derive(Clone)]
pub struct DriveFile {
    volume: Arc<Volume>,
    stream: Arc<Stream>,
}

impl DriveRoot {
    /// The file system of the drive that is shown by this path.
    pub fn new(shown: &Path, volume: Arc<Volume>) -> DriveRoot {
        DriveRoot { shown: shown.to_owned(), volume }
    }

    /// The file of these names from the volume's root down, if there is one.
    ///
    /// # Errors
    /// When something has that name that is no file of a customer's.
    pub fn find(&self, names: &[&str]) -> Result<Option<FileId>, ResolveError> {
        match self.volume.resolve(&names.join("\\")) {
            Ok(file) => Ok(Some(file)),
            Err(
                ResolveError::NotFound { .. }
                | ResolveError::NotAFile { .. }
                | ResolveError::NameInvalid(_)
                | ResolveError::NameTooLong,
            ) => Ok(None),
            Err(
                error @ (ResolveError::Reparse { .. }
                | ResolveError::System { .. }
                | ResolveError::Ambiguous { .. }),
            ) => Err(error),
        }
    }

    /// Opens a file that was found.
    ///
    /// # Errors
    /// When its record or its content's description is damaged.
    pub fn open(&self, file: FileId) -> io::Result<DriveFile> {
        let stream = self.volume.stream(file, None).map_err(io::Error::other)?;
        Ok(DriveFile { volume: Arc::clone(&self.volume), stream: Arc::new(stream) })
    }

    /// How a file of it is named in messages.
    pub fn place(&self, names: &[&str]) -> PathBuf {
        format!("{}:\\{}", self.shown.display(), names.join("\\")).into()
    }
}

impl DriveFile {
    /// Its length.
    pub fn length_bytes(&self) -> u64 {
        self.stream.length_bytes
    }

    /// Fills the buffer from there on.
    ///
    /// # Errors
    /// When the file ends before, or the medium keeps a part of it back.
    pub fn read_exact_at(&self, buffer: &mut [u8], offset_bytes: u64) -> io::Result<()> {
        let mut done = 0;
        while done < buffer.len() {
            let at = offset_bytes.checked_add(done as u64).ok_or(io::ErrorKind::UnexpectedEof)?;
            let rest = &mut buffer[done..];
            // A second look tells a bad cable from a bad sector.
            let read = self.volume.read_at(&self.stream, at, rest);
            let read = read.or_else(|_| self.volume.read_at(&self.stream, at, rest));
            match read.map_err(io::Error::other)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                read => done += read,
            }
        }
        Ok(())
    }
}

//! One source file, read once, and held to what was known of it when the drive was planned.
//!
//! A file that grew, shrank, was written to, vanished or cannot be read is a fault of that file only:
//! it is left out of the drive and named at the end. Reading leaves no mark on it where the operating
//! system allows (`O_NOATIME` is the owner's right).

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;

use rustix::fs::{Advice, Mode, OFlags, SeekFrom, fadvise, open, seek};
use rustix::io::Errno;

use super::slab::Piece;
use crate::work::{Item, Work};

/// Why a file is not on the drive.
#[derive(Debug, thiserror::Error)]
pub enum SourceFault {
    /// It cannot be opened: it vanished, or may not be read.
    #[error("it cannot be opened: {0}")]
    Open(#[source] io::Error),
    /// Something else took its place.
    #[error("it is no file any more")]
    NotAFile,
    /// It grew or shrank.
    #[error("it had {planned_bytes} bytes when the drive was planned and has {found_bytes} now")]
    Length {
        /// As planned.
        planned_bytes: u64,
        /// As found.
        found_bytes: u64,
    },
    /// It was written to.
    #[error("it was modified after the drive was planned")]
    Modified,
    /// It lies on the drive already, and cannot be read there.
    #[error("it cannot be read on the drive: {0}")]
    OnDrive(String),
    /// Its medium cannot be read.
    #[error("it cannot be read at byte {offset_bytes}: {source}")]
    Read {
        /// Where.
        offset_bytes: u64,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
}

/// Gives the bytes of items: from where they were found, or from the drive they lie on already.
pub trait Sources: Sync {
    /// Fills the pieces of one item, but for holes.
    ///
    /// # Errors
    /// When the item must be left out; what the pieces hold is then unspecified.
    fn read(&self, pieces: &[Piece], buffer: &mut [u8]) -> Result<(), SourceFault>;
}

/// Items that are files of this machine.
pub struct LocalFiles<'a> {
    /// The items.
    pub work: &'a Work,
}

impl Sources for LocalFiles<'_> {
    fn read(&self, pieces: &[Piece], buffer: &mut [u8]) -> Result<(), SourceFault> {
        let Some(first) = pieces.first() else { return Ok(()) };
        let item = self.work.item(first.item);
        let source = Source::open(&item)?;
        if !(first.file_offset_bytes == 0 && pieces.iter().any(|piece| piece.is_last)) {
            source.expect_sweep();
        }
        for piece in pieces.iter().filter(|piece| !piece.is_hole) {
            source.read(&mut buffer[piece.at..][..piece.length], piece.file_offset_bytes)?;
        }
        source.check()
    }
}

/// A source that is open and was, when it was opened, as planned.
pub struct Source {
    file: File,
    planned_bytes: u64,
    modified_nanoseconds: i64,
}

impl Source {
    /// Opens an item's file.
    ///
    /// # Errors
    /// When it is not there, or not as planned.
    pub fn open(item: &Item<'_>) -> Result<Source, SourceFault> {
        Source::open_at(&item.source_path(), item.length_bytes(), item.modified_nanoseconds())
    }

    fn open_at(path: &Path, planned_bytes: u64, modified_nanoseconds: i64) -> Result<Source, SourceFault> {
        // Not blocking: a pipe in the file's place would wait for its other end.
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let opened = open(path, flags | OFlags::NOATIME, Mode::empty());
        let opened = if opened.as_ref().err() == Some(&Errno::PERM) {
            open(path, flags, Mode::empty())
        } else {
            opened
        };
        let file = File::from(opened.map_err(|errno| SourceFault::Open(errno.into()))?);
        let source = Source { file, planned_bytes, modified_nanoseconds };
        source.check()?;
        Ok(source)
    }

    /// Proves that the file is as planned; to be asked again behind the last read.
    ///
    /// # Errors
    /// What differs.
    pub fn check(&self) -> Result<(), SourceFault> {
        let found = self.file.metadata().map_err(SourceFault::Open)?;
        if !found.is_file() {
            return Err(SourceFault::NotAFile);
        }
        if found.len() != self.planned_bytes {
            return Err(SourceFault::Length { planned_bytes: self.planned_bytes, found_bytes: found.len() });
        }
        let modified = found.mtime().saturating_mul(1_000_000_000).saturating_add(found.mtime_nsec());
        if modified == self.modified_nanoseconds { Ok(()) } else { Err(SourceFault::Modified) }
    }

    /// Fills `buffer` from `offset_bytes` on.
    ///
    /// # Errors
    /// When the medium refuses, or the file ends.
    pub fn read(&self, buffer: &mut [u8], offset_bytes: u64) -> Result<(), SourceFault> {
        self.file.read_exact_at(buffer, offset_bytes).map_err(|source| {
            match (source.kind(), self.check()) {
                // Somebody shortened it: that says more than where it ended.
                (io::ErrorKind::UnexpectedEof, Err(changed)) => changed,
                _ => SourceFault::Read { offset_bytes, source },
            }
        })
    }

    /// Tells the kernel that all of it is read from front to back.
    pub fn expect_sweep(&self) {
        // Advice that is not taken costs nothing.
        let _ = fadvise(&self.file, 0, None, Advice::Sequential);
    }

    /// The parts that are stored, ascending; the whole file where the file system cannot tell.
    ///
    /// # Errors
    /// When the medium refuses.
    pub fn stored(&self) -> Result<Vec<std::ops::Range<u64>>, SourceFault> {
        let mut stored = Vec::new();
        let mut at = 0;
        while at < self.planned_bytes {
            let start = match seek(&self.file, SeekFrom::Data(at)) {
                Ok(start) => start,
                // Nothing but a hole is left.
                Err(Errno::NXIO) => break,
                Err(Errno::INVAL | Errno::OPNOTSUPP) => {
                    return Ok(Vec::from_iter(Some(0..self.planned_bytes)));
                }
                Err(errno) => {
                    return Err(SourceFault::Read { offset_bytes: at, source: errno.into() });
                }
            };
            let failed = |errno: Errno| SourceFault::Read { offset_bytes: start, source: errno.into() };
            let end = seek(&self.file, SeekFrom::Hole(start)).map_err(failed)?;
            stored.push(start..end.min(self.planned_bytes));
            at = end;
        }
        stored.retain(|range| range.start < range.end);
        Ok(stored)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn source(path: &Path) -> Result<Source, SourceFault> {
        let found = fs::metadata(path).unwrap();
        Source::open_at(path, found.len(), found.mtime() * 1_000_000_000 + found.mtime_nsec())
    }

    #[test]
    fn a_file_that_changes_is_found_out_by_length_and_by_time() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f");
        fs::write(&path, "abcdef").unwrap();
        let open = source(&path).unwrap();
        open.check().unwrap();
        fs::write(&path, "abc").unwrap();
        let shrunk = SourceFault::Length { planned_bytes: 6, found_bytes: 3 };
        assert_eq!(open.check().unwrap_err().to_string(), shrunk.to_string());
        assert_eq!(open.read(&mut [0; 6], 0).unwrap_err().to_string(), shrunk.to_string());
        let open = source(&path).unwrap();
        let later = fs::metadata(&path).unwrap().modified().unwrap() + std::time::Duration::from_secs(1);
        File::options().write(true).open(&path).unwrap().set_modified(later).unwrap();
        assert!(matches!(open.check(), Err(SourceFault::Modified)));
    }

    #[test]
    fn what_is_no_file_is_told_without_waiting_for_it() {
        let folder = tempfile::tempdir().unwrap();
        assert!(matches!(Source::open_at(folder.path(), 0, 0), Err(SourceFault::NotAFile)));
        let gone = Source::open_at(&folder.path().join("gone"), 0, 0);
        assert!(matches!(gone, Err(SourceFault::Open(_))));
    }

    #[test]
    fn holes_are_found() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f");
        let file = File::create(&path).unwrap();
        file.set_len(16 << 20).unwrap();
        file.write_all_at(&[1; 65_536], 8 << 20).unwrap();
        file.sync_all().unwrap();
        let stored = source(&path).unwrap().stored().unwrap();
        let covers = |at: u64| stored.iter().any(|range| range.contains(&at));
        assert!(covers(8 << 20) && covers((8 << 20) + 65_535), "{stored:?}");
        if stored.iter().any(|range| range.end - range.start == 16 << 20) {
            eprintln!("skipped: holes_are_found: this file system does not tell holes");
        }
    }
}

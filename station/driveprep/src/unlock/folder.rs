//! The folder that files are copied to, and nothing outside of it.
//!
//! Every component is opened relative to its parent's descriptor and never through a link, so a
//! hostile name, or a link that somebody else puts there meanwhile, leads nowhere. A file appears
//! under its name only when it is whole: until then it has a name that says what it is, and that no
//! other file had: nothing is removed that this run has not made.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Mode, OFlags, RenameFlags, Timespec, Timestamps};
use rustix::io::Errno;

/// Longest name of the usual Linux file systems, in bytes.
const NAME_BYTES_MAX: usize = 255;
const DIRECTORY: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// So many names are tried for a file that is not whole, beside those that others have.
const INCOMPLETE_MAX: u32 = 10_000;

/// A folder below which files may be made.
pub struct Folder {
    path: PathBuf,
    root: OwnedFd,
    overwrite: bool,
}

/// Why a name of the volume cannot be one here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameFault {
    /// An unpaired surrogate.
    #[error("its name is not Unicode")]
    NotUnicode,
    /// `.`, `..`, nothing, a slash or a NUL.
    #[error("its name would lead elsewhere on this system")]
    Leads,
    /// Too long in UTF-8.
    #[error("its name has {found} bytes in UTF-8, and 255 are the most here")]
    TooLong {
        /// Its length.
        found: usize,
    },
}

/// A file being written.
pub struct NewFile<'f> {
    folder: &'f Folder,
    parent: OwnedFd,
    temporary: String,
    name: String,
    /// The file; sparse where nothing is written.
    pub file: File,
    kept: bool,
}

impl Folder {
    /// Opens the folder, making it if it is not there.
    ///
    /// # Errors
    /// When it is no folder, or cannot be made.
    pub fn open(path: &Path, overwrite: bool) -> io::Result<Folder> {
        std::fs::create_dir_all(path)?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::open(path, flags, Mode::empty())?;
        Ok(Folder { path: path.to_owned(), root, overwrite })
    }

    /// Its path, for messages.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Bytes that may still be written there.
    pub fn free_bytes(&self) -> Option<u64> {
        let found = rustix::fs::fstatvfs(&self.root).ok()?;
        found.f_bavail.checked_mul(found.f_frsize)
    }

    /// Opens a folder below, making what is missing.
    ///
    /// # Errors
    /// When something else than a folder has that name.
    pub fn directory(&self, names: &[String]) -> io::Result<OwnedFd> {
        let mut at = self.root.try_clone()?;
        for name in names {
            match rustix::fs::mkdirat(&at, name.as_str(), Mode::from_bits_truncate(0o777)) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(error) => return Err(error.into()),
            }
            at = rustix::fs::openat(&at, name.as_str(), DIRECTORY, Mode::empty())?;
        }
        Ok(at)
    }

    /// Begins a file; `None` when one of that name is there and must stay. `mark` makes the name
    /// that it has until it is whole.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn create(&self, parents: &[String], name: &str, mark: u64) -> io::Result<Option<NewFile<'_>>> {
        let parent = self.directory(parents)?;
        let is_there = rustix::fs::statat(&parent, name, AtFlags::SYMLINK_NOFOLLOW).is_ok();
        if is_there && !self.overwrite {
            return Ok(None);
        }
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        for number in 0..INCOMPLETE_MAX {
            let temporary = incomplete(mark, number);
            match rustix::fs::openat(&parent, temporary.as_str(), flags, Mode::from_bits_truncate(0o666)) {
                Ok(made) => {
                    let (file, name) = (File::from(made), name.to_owned());
                    return Ok(Some(NewFile { folder: self, parent, temporary, name, file, kept: false }));
                }
                // Left behind by a run that was killed, or somebody else's.
                Err(Errno::EXIST) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(Errno::EXIST.into())
    }
}

fn incomplete(mark: u64, number: u32) -> String {
    match number {
        0 => format!(".driveprep-incomplete-{mark}"),
        number => format!(".driveprep-incomplete-{mark}-{number}"),
    }
}

impl NewFile<'_> {
    /// Gives the whole file its time and its name.
    ///
    /// # Errors
    /// When the operating system refuses; the file is then removed.
    pub fn keep(mut self, modified: Option<Timespec>) -> io::Result<()> {
        if let Some(modified) = modified {
            set_modified(&self.file, modified)?;
        }
        let flags = if self.folder.overwrite { RenameFlags::empty() } else { RenameFlags::NOREPLACE };
        let (from, to) = (self.temporary.as_str(), self.name.as_str());
        match rustix::fs::renameat_with(&self.parent, from, &self.parent, to, flags) {
            // File systems that do not know the flag; the name was free a moment ago.
            Err(Errno::INVAL | Errno::NOSYS) => rustix::fs::renameat(&self.parent, from, &self.parent, to)?,
            other => other?,
        }
        self.kept = true;
        Ok(())
    }
}

impl Drop for NewFile<'_> {
    fn drop(&mut self) {
        if !self.kept {
            // Its name says that it is incomplete, should this fail.
            let _ = rustix::fs::unlinkat(&self.parent, self.temporary.as_str(), AtFlags::empty());
        }
    }
}

/// Sets when a file or folder was last written.
///
/// # Errors
/// When the operating system refuses.
pub fn set_modified(file: impl AsFd, modified: Timespec) -> io::Result<()> {
    Ok(rustix::fs::futimens(file, &Timestamps { last_access: modified, last_modification: modified })?)
}

/// The names of a path of the volume, as this system may have them.
///
/// # Errors
/// The first name that it may not have.
pub fn names(units: &[u16]) -> Result<Vec<String>, NameFault> {
    units.split(|unit| *unit == u16::from(b'\\')).map(name).collect()
}

fn name(units: &[u16]) -> Result<String, NameFault> {
    let name = String::from_utf16(units).map_err(|_| NameFault::NotUnicode)?;
    if name.is_empty() || name == "." || name == ".." || name.contains(['/', '\0']) {
        Err(NameFault::Leads)
    } else if name.len() > NAME_BYTES_MAX {
        Err(NameFault::TooLong { found: name.len() })
    } else {
        Ok(name)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn units(text: &str) -> Vec<u16> {
        text.encode_utf16().collect()
    }

    #[test]
    fn a_name_that_leads_elsewhere_is_refused() {
        for path in ["a\\..\\b", "..", ".\\a", "a\\\\b", "", "a/b", "a\0b"] {
            assert_eq!(names(&units(path)), Err(NameFault::Leads), "{path:?}");
        }
        assert_eq!(names(&[0x61, 0xd800]), Err(NameFault::NotUnicode));
        assert_eq!(names(&units(&"語".repeat(86))), Err(NameFault::TooLong { found: 258 }));
        assert_eq!(names(&units("a\\ü b")).unwrap(), ["a", "ü b"]);
    }

    #[test]
    fn a_link_in_the_way_is_not_followed() {
        let scratch = tempfile::TempDir::new().unwrap();
        let outside = tempfile::TempDir::new().unwrap();
        std::os::unix::fs::symlink(outside.path(), scratch.path().join("link")).unwrap();
        let folder = Folder::open(scratch.path(), true).unwrap();
        assert!(folder.create(&["link".to_owned()], "file", 1).is_err());
        assert_eq!(std::fs::read_dir(outside.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_file_that_has_the_name_of_an_unfinished_one_is_never_removed() {
        let scratch = tempfile::TempDir::new().unwrap();
        let theirs = scratch.path().join(".driveprep-incomplete-7");
        std::fs::write(&theirs, "theirs").unwrap();
        let folder = Folder::open(scratch.path(), false).unwrap();
        folder.create(&[], "a", 7).unwrap().unwrap().keep(None).unwrap();
        drop(folder.create(&[], "b", 7).unwrap().unwrap());
        assert_eq!(std::fs::read(&theirs).unwrap(), b"theirs");
        assert_eq!(std::fs::read_dir(scratch.path()).unwrap().count(), 2);
    }

    #[test]
    fn a_file_appears_only_when_it_is_whole_and_never_over_another() {
        let scratch = tempfile::TempDir::new().unwrap();
        let there = scratch.path().join("d/there");
        let folder = Folder::open(scratch.path(), false).unwrap();
        let mut begun = folder.create(&["d".to_owned()], "there", 7).unwrap().unwrap();
        begun.file.write_all(b"half").unwrap();
        assert!(!there.exists());
        drop(begun);
        assert_eq!(std::fs::read_dir(scratch.path().join("d")).unwrap().count(), 0);
        std::fs::write(&there, "mine").unwrap();
        assert!(folder.create(&["d".to_owned()], "there", 8).unwrap().is_none());
        let overwriting = Folder::open(scratch.path(), true).unwrap();
        let mut begun = overwriting.create(&["d".to_owned()], "there", 9).unwrap().unwrap();
        begun.file.write_all(b"new").unwrap();
        let time = Timespec { tv_sec: 1_000_000_000, tv_nsec: 5 };
        begun.keep(Some(time)).unwrap();
        assert_eq!(std::fs::read(&there).unwrap(), b"new");
        let modified = std::fs::metadata(&there).unwrap().modified().unwrap();
        assert_eq!(
            modified.duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos(),
            1_000_000_000_000_000_005
        );
    }
}

//! The folder of an exported drive: files are found, read and replaced inside it, and nowhere else.
//!
//! Names come from a manifest, and the folder from wherever the drive was copied to. Invariants: no
//! symbolic link is followed below the folder, whoever put it there and whenever; a file that is
//! replaced as a whole is the old one until it is the new one; nothing else is removed or replaced,
//! not even what a run that was killed had left. Such a run leaves nothing where the file system makes
//! files without a name (`O_TMPFILE`), and elsewhere a file whose name says what it is.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use manifest::DrivePath;
use rustix::fs::{self, AtFlags, Mode, OFlags};
use rustix::io::Errno;

/// What a file being made is called until it is whole, before its number.
const PART_SUFFIX: &str = ".drayage-part-";
/// So many names are tried beside those that others have; as many runs may have been killed.
const PARTS_MAX: u32 = 9_999;
/// Digits of such a number.
const PART_DIGITS: usize = 4;

const FOLDER_FLAGS: OFlags =
    OFlags::DIRECTORY.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC).union(OFlags::RDONLY);

/// The folder.
#[derive(Debug)]
pub struct Folder {
    root: OwnedFd,
    path: PathBuf,
}

/// A file beside the one that it will replace.
#[derive(Debug)]
pub struct NewFile {
    /// To be written.
    pub file: File,
    parent: OwnedFd,
    /// Its name beside the other; none while it has no name at all.
    part: Option<String>,
    name: String,
    is_placed: bool,
}

impl Folder {
    /// Opens it.
    ///
    /// # Errors
    /// When it is no folder, or cannot be entered.
    pub fn open(path: &Path) -> io::Result<Folder> {
        // The folder itself may be named through a link: the user gave it.
        let flags = OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::RDONLY;
        let root = fs::open(path, flags, Mode::empty())?;
        Ok(Folder { root, path: path.to_owned() })
    }

    /// Where a file of the drive is, for messages.
    pub fn place(&self, path: &DrivePath) -> PathBuf {
        path.names().fold(self.path.clone(), |place, name| place.join(name))
    }

    /// Opens a regular file.
    ///
    /// # Errors
    /// When it is not there, is something else, or cannot be opened.
    pub fn file(&self, path: &DrivePath, for_writing: bool) -> io::Result<File> {
        let (parent, name) = self.parent(path, false)?;
        let access = if for_writing { OFlags::RDWR } else { OFlags::RDONLY };
        // A pipe that stands under the name is opened without waiting for its other end.
        let flags = access | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let file = File::from(fs::openat(&parent, name, flags, Mode::empty())?);
        if file.metadata()?.is_file() { Ok(file) } else { Err(io::Error::other("it is no regular file")) }
    }

    /// Begins a file that will stand under this path, folders included.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn create(&self, path: &DrivePath) -> io::Result<NewFile> {
        let (parent, name) = self.parent(path, true)?;
        let mode = Mode::from_raw_mode(0o644);
        let unnamed = OFlags::RDWR | OFlags::TMPFILE | OFlags::CLOEXEC;
        let (file, part) = match fs::openat(&parent, ".", unnamed, mode) {
            Ok(file) => (file, None),
            // Each file system that has no such files says so in its own way.
            Err(_) => {
                let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let (file, part) = beside(name, |part| fs::openat(&parent, part, flags, mode))?;
                (file, Some(part))
            }
        };
        Ok(NewFile { file: File::from(file), parent, part, name: name.to_owned(), is_placed: false })
    }

    /// The folder that a file is in, and its name there.
    fn parent<'a>(&self, path: &'a DrivePath, create: bool) -> io::Result<(OwnedFd, &'a str)> {
        let names: Vec<&str> = path.names().collect();
        let (name, folders) = names.split_last().expect("a drive path has a name");
        let mut at = self.root.try_clone()?;
        for folder in folders {
            if create {
                match fs::mkdirat(&at, *folder, Mode::from_raw_mode(0o755)) {
                    Ok(()) | Err(Errno::EXIST) => {}
                    Err(error) => return Err(error.into()),
                }
            }
            at = fs::openat(&at, *folder, FOLDER_FLAGS, Mode::empty())?;
        }
        Ok((at, name))
    }
}

/// Does something under the first name beside `name` that nobody has: whosever the others are, they
/// stay.
fn beside<T>(name: &str, mut make: impl FnMut(&str) -> rustix::io::Result<T>) -> io::Result<(T, String)> {
    for number in 1..=PARTS_MAX {
        let part = format!("{}{PART_SUFFIX}{number}", shortened(name));
        match make(&part) {
            Ok(made) => return Ok((made, part)),
            Err(Errno::EXIST) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(Errno::EXIST.into())
}

/// A name with room for the suffix.
fn shortened(name: &str) -> &str {
    let mut end = name.len().min(255 - PART_SUFFIX.len() - PART_DIGITS);
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    &name[..end]
}

impl NewFile {
    /// Puts it in its place, durably.
    ///
    /// # Errors
    /// When it cannot be put there; then the old file is still there.
    pub fn place(mut self) -> io::Result<()> {
        self.file.sync_all()?;
        if let Ok(old) = fs::statat(&self.parent, OsStr::new(&self.name), AtFlags::SYMLINK_NOFOLLOW)
            && fs::FileType::from_raw_mode(old.st_mode) == fs::FileType::Directory
        {
            return Err(io::Error::other("a folder stands where the file belongs"));
        }
        // Nothing without a name can replace something.
        if self.part.is_none() {
            let source = format!("/proc/self/fd/{}", self.file.as_raw_fd());
            let link = |part: &str| fs::linkat(fs::CWD, &source, &self.parent, part, AtFlags::SYMLINK_FOLLOW);
            self.part = Some(beside(&self.name, link)?.1);
        }
        let part = self.part.as_deref().expect("it was given a name");
        fs::renameat(&self.parent, part, &self.parent, &self.name)?;
        self.is_placed = true;
        fs::fsync(&self.parent)?;
        Ok(())
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        if let (false, Some(part)) = (self.is_placed, &self.part) {
            // If it stays, its name says what it is.
            let _ = fs::unlinkat(&self.parent, part, AtFlags::empty());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn path(text: &str) -> DrivePath {
        DrivePath::parse(text).unwrap()
    }

    #[test]
    fn a_new_file_replaces_the_old_one_only_when_it_is_placed() {
        let scratch = tempfile::tempdir().unwrap();
        std::fs::write(scratch.path().join("a"), "old").unwrap();
        let folder = Folder::open(scratch.path()).unwrap();
        let mut new = folder.create(&path("\\a")).unwrap();
        new.file.write_all(b"new").unwrap();
        assert_eq!(std::fs::read(scratch.path().join("a")).unwrap(), b"old");
        drop(new);
        assert_eq!(std::fs::read_dir(scratch.path()).unwrap().count(), 1);
        let mut new = folder.create(&path("\\dir\\deep\\b")).unwrap();
        new.file.write_all(b"new").unwrap();
        new.place().unwrap();
        assert_eq!(std::fs::read(scratch.path().join("dir/deep/b")).unwrap(), b"new");
    }

    #[test]
    fn a_file_that_has_the_name_of_an_unfinished_one_is_never_removed() {
        let scratch = tempfile::tempdir().unwrap();
        let theirs = scratch.path().join("a.drayage-part-1");
        std::fs::write(&theirs, "theirs").unwrap();
        let folder = Folder::open(scratch.path()).unwrap();
        let mut new = folder.create(&path("\\a")).unwrap();
        new.file.write_all(b"new").unwrap();
        new.place().unwrap();
        drop(folder.create(&path("\\a")).unwrap());
        assert_eq!(std::fs::read(&theirs).unwrap(), b"theirs");
        assert_eq!(std::fs::read(scratch.path().join("a")).unwrap(), b"new");
        assert_eq!(std::fs::read_dir(scratch.path()).unwrap().count(), 2);
    }

    #[test]
    fn links_are_followed_neither_as_folders_nor_as_files() {
        let (scratch, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        std::fs::write(outside.path().join("secret"), "x").unwrap();
        std::os::unix::fs::symlink(outside.path(), scratch.path().join("dir")).unwrap();
        std::os::unix::fs::symlink(outside.path().join("secret"), scratch.path().join("file")).unwrap();
        let folder = Folder::open(scratch.path()).unwrap();
        assert!(folder.file(&path("\\dir\\secret"), false).is_err());
        assert!(folder.file(&path("\\file"), true).is_err());
        assert!(folder.create(&path("\\dir\\new")).is_err());
        // The link itself is replaced, not what it points to.
        let mut new = folder.create(&path("\\file")).unwrap();
        new.file.write_all(b"new").unwrap();
        new.place().unwrap();
        assert_eq!(std::fs::read(outside.path().join("secret")).unwrap(), b"x");
        assert_eq!(std::fs::read(scratch.path().join("file")).unwrap(), b"new");
    }

    #[test]
    fn the_longest_names_can_be_replaced() {
        let scratch = tempfile::tempdir().unwrap();
        let folder = Folder::open(scratch.path()).unwrap();
        let name = format!("\\a{}", "\u{e9}".repeat(127));
        folder.create(&path(&name)).unwrap().place().unwrap();
        assert!(folder.file(&path(&name), false).is_ok());
    }

    #[test]
    fn what_is_no_file_is_not_opened() {
        let scratch = tempfile::tempdir().unwrap();
        std::fs::create_dir(scratch.path().join("dir")).unwrap();
        let folder = Folder::open(scratch.path()).unwrap();
        assert!(folder.file(&path("\\dir"), false).is_err());
        assert!(folder.create(&path("\\dir")).unwrap().place().is_err());
        assert!(scratch.path().join("dir").is_dir());
    }
}

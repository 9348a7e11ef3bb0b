//! Finds what lies below a source directory.
//!
//! Only regular files are taken. Symbolic links are never followed (the source itself may be one:
//! the customer named it); sockets, devices and pipes are no data. Whatever is left out is said to
//! the caller, one [`LeftOut`] each, and does not end the scan: the customer wants all of them at
//! once. Memory is that of the work, and a stack as deep as the tree is wide.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, AtFlags, CWD, Dir, FileType, Mode, OFlags, Stat, accessat, openat, stat, statat};

use super::{Builder, DirectoryId, FileFacts, ItemKind, TooMany};

/// Something below a source that is not packed.
#[derive(Debug)]
pub struct LeftOut {
    /// Where it is.
    pub path: PathBuf,
    /// Why it is left out.
    pub why: WhyLeftOut,
}

/// Why something is not packed.
#[derive(Debug, thiserror::Error)]
pub enum WhyLeftOut {
    /// A link could lead anywhere, and a blob cannot be one.
    #[error("it is a symbolic link, which is never followed")]
    SymbolicLink,
    /// It holds no data of its own.
    #[error("it is a {what}, not a file")]
    Special {
        /// What it is.
        what: &'static str,
    },
    /// Neither the manifest nor the storage service could name it.
    #[error("its name is not UTF-8: {shown}")]
    NotUtf8 {
        /// The name, every byte that is not UTF-8 as `\xNN`.
        shown: String,
    },
    /// The scan was to stay on one file system.
    #[error("it is on another file system")]
    OtherFileSystem,
    /// The operating system does not let us.
    #[error("it cannot be read")]
    Unreadable {
        /// Its answer.
        #[source]
        source: io::Error,
    },
}

/// Which kind of item a file becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KindRule {
    /// All the same.
    Fixed(ItemKind),
    /// Page blobs for virtual disks (`.vhd`, `.vhdx`), block blobs for the rest:
    /// azure-import-export.md §2.5.
    ByName,
}

impl KindRule {
    /// What a file of this name becomes.
    pub fn kind(self, name: &str) -> ItemKind {
        match self {
            KindRule::Fixed(kind) => kind,
            KindRule::ByName if is_virtual_disk(name) => ItemKind::Page,
            KindRule::ByName => ItemKind::Block,
        }
    }
}

fn is_virtual_disk(name: &str) -> bool {
    let extension = Path::new(name).extension().unwrap_or_default();
    extension.eq_ignore_ascii_case("vhd") || extension.eq_ignore_ascii_case("vhdx")
}

/// A scan and where it puts things.
pub struct Scan<'a> {
    /// Takes what is found.
    pub builder: &'a mut Builder,
    /// What the files become.
    pub kind: KindRule,
    /// Whether directories on other file systems are left out.
    pub same_file_system: bool,
    /// Told of everything that is left out.
    pub left_out: &'a mut dyn FnMut(LeftOut),
}

/// A directory that is still to be read.
struct Pending {
    path: PathBuf,
    directory: DirectoryId,
}

impl Scan<'_> {
    /// Finds everything below `path`, which is the dataset's directory `directory`.
    ///
    /// # Errors
    /// [`TooMany`]; nothing else ends a scan.
    pub fn directory(mut self, directory: DirectoryId, path: &Path) -> Result<(), TooMany> {
        let device = match stat(path) {
            Ok(found) => found.st_dev,
            Err(error) => return self.unreadable(path, error.into()),
        };
        // The root may be a link that the customer named; what lies below may not.
        let mut follow = OFlags::empty();
        let mut stack = vec![Pending { path: path.to_owned(), directory }];
        while let Some(pending) = stack.pop() {
            self.level(&pending, follow, device, &mut stack)?;
            follow = OFlags::NOFOLLOW;
        }
        Ok(())
    }

    /// Takes the one file `path`, named `name` in the dataset's directory.
    ///
    /// # Errors
    /// [`TooMany`].
    pub fn file(mut self, directory: DirectoryId, path: &Path) -> Result<(), TooMany> {
        let name = path.file_name().unwrap_or_default();
        match stat(path) {
            Ok(found) => self.entry(CWD, path.as_os_str(), name, directory, path, &found),
            Err(error) => self.unreadable(path, error.into()),
        }
    }

    fn level(
        &mut self,
        pending: &Pending,
        follow: OFlags,
        device: u64,
        stack: &mut Vec<Pending>,
    ) -> Result<(), TooMany> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | follow;
        let opened = openat(CWD, &pending.path, flags, Mode::empty());
        let listed = opened.and_then(|opened| Ok((Dir::read_from(&opened)?, opened)));
        let (entries, opened) = match listed {
            Ok(listed) => listed,
            Err(error) => return self.unreadable(&pending.path, error.into()),
        };
        for entry in entries {
            let entry = match entry {
                Ok(entry) => entry,
                Err(error) => return self.unreadable(&pending.path, error.into()),
            };
            let name = OsStr::from_bytes(entry.file_name().to_bytes());
            if name == "." || name == ".." {
                continue;
            }
            let path = pending.path.join(name);
            match statat(&opened, name, AtFlags::SYMLINK_NOFOLLOW) {
                Err(error) => self.unreadable(&path, error.into())?,
                Ok(found) if FileType::from_raw_mode(found.st_mode) == FileType::Directory => {
                    if self.same_file_system && found.st_dev != device {
                        self.leave_out(&path, WhyLeftOut::OtherFileSystem)?;
                    } else if let Some(text) = self.utf8(&path, name)? {
                        let directory = self.builder.directory(pending.directory, text)?;
                        stack.push(Pending { path, directory });
                    }
                }
                Ok(found) => self.entry(&opened, name, name, pending.directory, &path, &found)?,
            }
        }
        Ok(())
    }

    /// Takes what is no directory, if it is a file that can be read.
    fn entry(
        &mut self,
        parent: impl std::os::fd::AsFd,
        at: &OsStr,
        name: &OsStr,
        directory: DirectoryId,
        path: &Path,
        found: &Stat,
    ) -> Result<(), TooMany> {
        let kind = FileType::from_raw_mode(found.st_mode);
        if kind != FileType::RegularFile {
            return self.leave_out(path, other_than_file(kind));
        }
        let Some(text) = self.utf8(path, name)? else { return Ok(()) };
        if let Err(error) = accessat(parent, at, Access::READ_OK, AtFlags::empty()) {
            return self.unreadable(path, error.into());
        }
        let facts = facts(self.kind.kind(text), found);
        self.builder.file(directory, text, &facts)
    }

    fn utf8<'n>(&mut self, path: &Path, name: &'n OsStr) -> Result<Option<&'n str>, TooMany> {
        let text = name.to_str();
        if text.is_none() {
            self.leave_out(path, WhyLeftOut::NotUtf8 { shown: shown(name.as_bytes()) })?;
        }
        Ok(text)
    }

    fn unreadable(&mut self, path: &Path, source: io::Error) -> Result<(), TooMany> {
        self.leave_out(path, WhyLeftOut::Unreadable { source })
    }

    /// Says so, and lets the scan go on.
    fn leave_out(&mut self, path: &Path, why: WhyLeftOut) -> Result<(), TooMany> {
        (self.left_out)(LeftOut { path: path.to_owned(), why });
        Ok(())
    }
}

fn other_than_file(kind: FileType) -> WhyLeftOut {
    let what = match kind {
        FileType::Symlink => return WhyLeftOut::SymbolicLink,
        FileType::Directory => "directory",
        FileType::Fifo => "named pipe",
        FileType::Socket => "socket",
        FileType::CharacterDevice | FileType::BlockDevice => "device",
        FileType::RegularFile | FileType::Unknown => "thing of unknown kind",
    };
    WhyLeftOut::Special { what }
}

fn facts(kind: ItemKind, found: &Stat) -> FileFacts {
    let nanoseconds = |seconds: i64, rest: u64| {
        seconds.saturating_mul(1_000_000_000).saturating_add(i64::try_from(rest).unwrap_or(0))
    };
    FileFacts {
        kind,
        length_bytes: u64::try_from(found.st_size).unwrap_or(0),
        // Always in units of 512, whatever the file system's block is: stat(2).
        allocated_bytes: u64::try_from(found.st_blocks).unwrap_or(0).saturating_mul(512),
        modified_nanoseconds: nanoseconds(found.st_mtime, found.st_mtime_nsec),
        accessed_nanoseconds: nanoseconds(found.st_atime, found.st_atime_nsec),
    }
}

/// A name of any bytes for a person: what is UTF-8 as it is, other bytes as `\xNN`.
pub fn shown(name: &[u8]) -> String {
    name.utf8_chunks().fold(String::new(), |text, chunk| {
        let bytes: String = chunk.invalid().iter().map(|byte| format!("\\x{byte:02X}")).collect();
        text + chunk.valid() + &bytes
    })
}

#[cfg(test)]
mod tests;

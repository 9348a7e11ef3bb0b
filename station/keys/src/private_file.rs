//! Files that only this user may read: master keys, the custody chain's signing key.
//!
//! Owns what counts as private, and how such a file comes about. Invariants: a file that others could
//! have read or written is refused, and the error says what to do; the checks are made on the opened
//! file, not on its name; a file is created whole and on the medium, or not at all, and never written
//! over by accident. The text of a file is zeroed when it is dropped.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use zeroize::Zeroizing;

/// Longest file that is read: some hundred keys.
const FILE_BYTES_MAX: u64 = 64 << 10;

/// Who put the file there, and thus what it may look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keeper {
    /// Our own: it belongs to this user, and nobody else has any right (0600, 0400).
    Ourselves,
    /// The service manager: systemd's credentials belong to root or to the service's user, and where it
    /// grants the user access by an ACL, the ACL's mask shows as the group's right to read (0440).
    ServiceManager,
}

/// Why a private file cannot be used or made.
#[derive(Debug, thiserror::Error)]
#[error("private file {}: {what}", path.display())]
pub struct PrivateFileError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub what: Fault,
    #[source]
    source: Option<io::Error>,
}

/// What is wrong with a private file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Not there.
    #[error("it does not exist")]
    Missing,
    /// A symbolic link, which somebody else might turn elsewhere.
    #[error("it is a symbolic link; name the file itself")]
    Symlink,
    /// A directory, a pipe, a device.
    #[error("it is not a regular file")]
    NotAFile,
    /// Another user's.
    #[error("it belongs to user {owner}, this process runs as {ours}; chown it")]
    Owner {
        /// Whose it is.
        owner: u32,
        /// Who we are.
        ours: u32,
    },
    /// Others may read or write it.
    #[error(
        "its permissions are {mode:03o}, others could have read or changed it; treat its keys as known, or if \
         you are sure that nobody has read it: chmod 600"
    )]
    Permissions {
        /// The permission bits.
        mode: u32,
    },
    /// Longer than any file of keys.
    #[error("it is longer than {FILE_BYTES_MAX} bytes")]
    Long,
    /// Something is there already.
    #[error("it exists already and is not written over")]
    Exists,
    /// The medium or the file system.
    #[error("reading or writing failed")]
    Io,
}

/// Reads a private file.
///
/// # Errors
/// When it is not private, or cannot be read.
pub fn read(path: &Path, keeper: Keeper) -> Result<Zeroizing<Vec<u8>>, PrivateFileError> {
    // Not blocking, because opening a pipe that nobody writes to would wait for ever.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let descriptor = rustix::fs::open(path, flags, Mode::empty()).map_err(|error| refuse(path, error))?;
    let file = File::from(descriptor);
    check(&file, keeper).map_err(|what| fault(path, what))?;
    let mut text = Zeroizing::new(Vec::with_capacity(1 << 12));
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut text).map_err(|error| broken(path, error))?;
    if u64::try_from(text.len()).is_ok_and(|length| length > FILE_BYTES_MAX) {
        return Err(fault(path, Fault::Long));
    }
    Ok(text)
}

fn check(file: &File, keeper: Keeper) -> Result<(), Fault> {
    let facts = file.metadata().map_err(|_| Fault::Io)?;
    if !facts.is_file() {
        return Err(Fault::NotAFile);
    }
    let ours = rustix::process::geteuid().as_raw();
    let (is_kept_well, forbidden) = match keeper {
        Keeper::Ourselves => (facts.uid() == ours, 0o077),
        Keeper::ServiceManager => (facts.uid() == ours || facts.uid() == 0, 0o037),
    };
    let mode = facts.mode() & 0o777;
    match (is_kept_well, mode & forbidden) {
        (false, _) => Err(Fault::Owner { owner: facts.uid(), ours }),
        (true, 0) => Ok(()),
        (true, _) => Err(Fault::Permissions { mode }),
    }
}

/// Makes a private file (0600) that holds `text`. What is there already is left alone and reported.
///
/// # Errors
/// When something has the name already, or the medium fails.
pub fn create(path: &Path, text: &[u8]) -> Result<(), PrivateFileError> {
    let new = write_beside(path, text)?;
    // A link, not a rename: it fails when the name is taken, whoever took it since we looked.
    let outcome = fs::hard_link(&new, path);
    remove(&new);
    match outcome {
        Ok(()) => sync_directory(path),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(fault(path, Fault::Exists)),
        Err(error) => Err(broken(path, error)),
    }
}

/// Puts `text` in the place of a private file's; a crash leaves the old or the new one.
///
/// # Errors
/// When the old file is not private (its keys are then not carried on), or the medium fails.
pub fn replace(path: &Path, text: &[u8]) -> Result<(), PrivateFileError> {
    read(path, Keeper::Ourselves)?;
    let new = write_beside(path, text)?;
    if let Err(error) = fs::rename(&new, path) {
        remove(&new);
        return Err(broken(path, error));
    }
    sync_directory(path)
}

/// A file in the same directory with the text on the medium, and nobody's but ours from the first byte.
fn write_beside(path: &Path, text: &[u8]) -> Result<PathBuf, PrivateFileError> {
    let mut name = path.file_name().ok_or_else(|| fault(path, Fault::NotAFile))?.to_owned();
    name.push(format!(".{}.new", std::process::id()));
    let new = path.with_file_name(name);
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let descriptor = rustix::fs::open(&new, flags, Mode::RUSR | Mode::WUSR);
    let mut file = File::from(descriptor.map_err(|error| refuse(&new, error))?);
    let written = file.write_all(text).and_then(|()| file.sync_all());
    written.map(|()| new.clone()).map_err(|error| {
        remove(&new);
        broken(&new, error)
    })
}

/// Takes a half-made file away again; if that fails too, the first failure is the one to report.
fn remove(path: &Path) {
    let _ = fs::remove_file(path);
}

/// A name is on the medium when its directory is.
fn sync_directory(path: &Path) -> Result<(), PrivateFileError> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let directory = directory.unwrap_or_else(|| Path::new("."));
    File::open(directory).and_then(|directory| directory.sync_all()).map_err(|error| broken(path, error))
}

fn refuse(path: &Path, error: Errno) -> PrivateFileError {
    match error {
        Errno::NOENT => fault(path, Fault::Missing),
        Errno::LOOP => fault(path, Fault::Symlink),
        Errno::EXIST => fault(path, Fault::Exists),
        error => broken(path, error.into()),
    }
}

fn fault(path: &Path, what: Fault) -> PrivateFileError {
    PrivateFileError { path: path.to_owned(), what, source: None }
}

fn broken(path: &Path, error: io::Error) -> PrivateFileError {
    PrivateFileError { path: path.to_owned(), what: Fault::Io, source: Some(error) }
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    struct Place(tempfile::TempDir);

    impl Place {
        fn new() -> Place {
            Place(tempfile::tempdir().unwrap())
        }

        fn at(&self, name: &str) -> PathBuf {
            self.0.path().join(name)
        }
    }

    fn why<T: std::fmt::Debug>(outcome: Result<T, PrivateFileError>) -> Fault {
        outcome.unwrap_err().what
    }

    #[test]
    fn a_created_file_is_private_and_reads_back() {
        let place = Place::new();
        let path = place.at("key");
        create(&path, b"text").unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(read(&path, Keeper::Ourselves).unwrap().as_slice(), b"text");
        assert_eq!(fs::read_dir(place.0.path()).unwrap().count(), 1, "nothing is left beside it");
    }

    #[test]
    fn what_is_there_is_never_written_over() {
        let place = Place::new();
        create(&place.at("key"), b"old").unwrap();
        assert_eq!(why(create(&place.at("key"), b"new")), Fault::Exists);
        symlink(place.at("elsewhere"), place.at("link")).unwrap();
        assert_eq!(why(create(&place.at("link"), b"new")), Fault::Exists);
        assert_eq!(read(&place.at("key"), Keeper::Ourselves).unwrap().as_slice(), b"old");
        assert!(!place.at("elsewhere").exists());
    }

    #[test]
    fn a_file_that_others_may_read_or_write_is_refused_with_what_to_do() {
        let place = Place::new();
        let path = place.at("key");
        create(&path, b"text").unwrap();
        for (mode, ourselves, manager) in [
            (0o600, true, true),
            (0o400, true, true),
            (0o440, false, true),
            (0o460, false, false),
            (0o604, false, false),
            (0o602, false, false),
            (0o644, false, false),
        ] {
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            assert_eq!(read(&path, Keeper::Ourselves).is_ok(), ourselves, "{mode:o}");
            assert_eq!(read(&path, Keeper::ServiceManager).is_ok(), manager, "{mode:o}");
        }
        assert_eq!(why(read(&path, Keeper::Ourselves)), Fault::Permissions { mode: 0o644 });
        assert!(read(&path, Keeper::Ourselves).unwrap_err().to_string().contains("chmod 600"));
        assert_eq!(why(replace(&path, b"new")), Fault::Permissions { mode: 0o644 });
    }

    #[test]
    fn links_pipes_directories_and_nothing_are_refused() {
        let place = Place::new();
        create(&place.at("key"), b"text").unwrap();
        symlink(place.at("key"), place.at("link")).unwrap();
        assert_eq!(why(read(&place.at("link"), Keeper::Ourselves)), Fault::Symlink);
        rustix::fs::mknodat(rustix::fs::CWD, place.at("pipe"), rustix::fs::FileType::Fifo, Mode::RUSR, 0)
            .unwrap();
        assert_eq!(why(read(&place.at("pipe"), Keeper::Ourselves)), Fault::NotAFile);
        assert_eq!(why(read(place.0.path(), Keeper::Ourselves)), Fault::NotAFile);
        assert_eq!(why(read(&place.at("none"), Keeper::Ourselves)), Fault::Missing);
    }

    #[test]
    fn another_users_file_is_refused() {
        let root_owned = Path::new("/etc/hostname");
        if rustix::process::geteuid().is_root() {
            // Root may give a file away and sees that it is not its own any more.
            let place = Place::new();
            create(&place.at("key"), b"text").unwrap();
            std::os::unix::fs::chown(place.at("key"), Some(65_534), None).unwrap();
            let expected = Fault::Owner { owner: 65_534, ours: 0 };
            assert_eq!(why(read(&place.at("key"), Keeper::Ourselves)), expected);
            assert_eq!(why(read(&place.at("key"), Keeper::ServiceManager)), expected);
        } else if root_owned.exists() {
            assert!(matches!(why(read(root_owned, Keeper::Ourselves)), Fault::Owner { owner: 0, .. }));
        } else {
            println!("skipped: another_users_file_is_refused: no file of another user is here");
        }
    }

    #[test]
    fn a_replaced_file_has_the_new_text_and_a_huge_one_is_not_read() {
        let place = Place::new();
        create(&place.at("key"), b"old").unwrap();
        replace(&place.at("key"), b"new").unwrap();
        assert_eq!(read(&place.at("key"), Keeper::Ourselves).unwrap().as_slice(), b"new");
        create(&place.at("huge"), &vec![b'x'; 70_000]).unwrap();
        assert_eq!(why(read(&place.at("huge"), Keeper::Ourselves)), Fault::Long);
        assert_eq!(why(replace(&place.at("none"), b"new")), Fault::Missing);
    }
}

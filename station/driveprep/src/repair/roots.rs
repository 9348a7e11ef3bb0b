//! Where the files are that a drive was packed from. azure-import-export.md §2.7.
//!
//! A file of the drive, `\session\dir\name`, is looked for under each root, as it stands and, if no
//! root has it so, without its first folder: that one is the session's name, which only the drive
//! has. The packed drive itself may be one more root ([`DriveRoot`]). Exactly one hit is required,
//! because nothing but a hash could tell two apart. The path map goes before the roots. Invariant: bytes leave here only with the hash that they must have.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use manifest::limits::SIDE_FILE_BYTES_MAX;
use manifest::{DrivePath, SideFileRef};
use model::Md5Digest;
use model::digest::HashText;
use ntfs::FileId;

use super::drive_root::{DriveFile, DriveRoot};
use super::path_map::PathMap;
use super::stop::Unresolved;

/// Where to look.
#[derive(Clone)]
pub struct Roots {
    folders: Vec<PathBuf>,
    drive: Option<DriveRoot>,
}

/// A file that was found.
#[derive(Clone)]
pub struct Source {
    path: PathBuf,
    content: Content,
}

#[derive(Clone)]
enum Content {
    Here(Arc<File>),
    OnDrive(DriveFile),
}

/// Something that has the name which is looked for.
struct Hit {
    path: PathBuf,
    on_drive: Option<FileId>,
}

impl Roots {
    /// These folders, and the drive.
    pub fn new(folders: Vec<PathBuf>, drive: Option<DriveRoot>) -> Roots {
        Roots { folders, drive }
    }

    /// Finds and opens a file of the drive.
    ///
    /// # Errors
    /// When there is none, more than one, or it cannot be opened.
    pub fn open(&self, file_path: &str, map: &PathMap) -> Result<Source, Unresolved> {
        if let Some(real) = map.real(file_path) {
            return Source::open(real.to_owned());
        }
        let invalid = |source| Unresolved::InvalidName { path: file_path.to_owned(), source };
        let path = DrivePath::parse(file_path).map_err(invalid)?;
        let names: Vec<&str> = path.names().collect();
        let mut found = self.having(&names)?;
        if found.is_empty() && names.len() > 1 {
            found = self.having(&names[1..])?;
        }
        match found.len() {
            0 => Err(Unresolved::NotFound { path: path.to_string() }),
            1 => self.opened(found.remove(0)),
            _ => {
                let found = found.into_iter().map(|hit| hit.path).collect();
                Err(Unresolved::Several { path: path.to_string(), found })
            }
        }
    }

    fn opened(&self, hit: Hit) -> Result<Source, Unresolved> {
        let Hit { path, on_drive } = hit;
        let Some((drive, file)) = self.drive.as_ref().zip(on_drive) else { return Source::open(path) };
        match drive.open(file) {
            Ok(file) => Ok(Source { path, content: Content::OnDrive(file) }),
            Err(source) => Err(Unresolved::Unreadable { path, source }),
        }
    }

    fn having(&self, names: &[&str]) -> Result<Vec<Hit>, Unresolved> {
        let mut found = Vec::new();
        for root in &self.folders {
            let path = names.iter().fold(root.clone(), |path, name| path.join(name));
            match std::fs::metadata(&path) {
                Ok(facts) if facts.is_file() => found.push(Hit { path, on_drive: None }),
                Ok(_) => {}
                Err(error) if is_absent(&error) => {}
                Err(source) => return Err(Unresolved::Unreadable { path, source }),
            }
        }
        if let Some(drive) = &self.drive {
            let path = drive.place(names);
            match drive.find(names) {
                Ok(None) => {}
                Ok(on_drive @ Some(_)) => found.push(Hit { path, on_drive }),
                Err(error) => return Err(Unresolved::Unreadable { path, source: io::Error::other(error) }),
            }
        }
        Ok(found)
    }
}

fn is_absent(error: &io::Error) -> bool {
    use io::ErrorKind::{InvalidFilename, NotADirectory, NotFound};
    matches!(error.kind(), NotFound | NotADirectory | InvalidFilename)
}

impl Source {
    fn open(path: PathBuf) -> Result<Source, Unresolved> {
        let is_file = std::fs::metadata(&path).and_then(|facts| {
            // Opening a pipe would wait for a writer.
            if facts.is_file() { File::open(&path) } else { Err(io::Error::other("it is no regular file")) }
        });
        match is_file {
            Ok(file) => Ok(Source { path, content: Content::Here(Arc::new(file)) }),
            Err(source) => Err(Unresolved::Unreadable { path, source }),
        }
    }

    /// The bytes of a part, if they are those that were packed.
    ///
    /// # Errors
    /// When they cannot be read, or differ.
    pub fn proven(&self, offset_bytes: u64, length_bytes: u64, hash: Md5Digest) -> Result<Bytes, Unresolved> {
        let place = || self.path.display().to_string();
        let differs = || Unresolved::ContentDiffers { place: place(), offset_bytes, length_bytes };
        let mut bytes = vec![0; usize::try_from(length_bytes).map_err(|_| differs())?];
        match self.content.read_exact_at(&mut bytes, offset_bytes) {
            Ok(()) if digests::md5_of(&bytes) == hash => Ok(Bytes::from(bytes)),
            Ok(()) => Err(differs()),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(differs()),
            Err(source) => Err(Unresolved::Unreadable { path: self.path.clone(), source }),
        }
    }

    /// The same from a task, which must not wait for a disk.
    ///
    /// # Errors
    /// When they cannot be read, or differ.
    pub async fn read(
        self,
        offset_bytes: u64,
        length_bytes: u64,
        hash: Md5Digest,
    ) -> Result<Bytes, Unresolved> {
        let reading = tokio::task::spawn_blocking(move || self.proven(offset_bytes, length_bytes, hash));
        reading.await.expect("reading a file does not panic")
    }

    /// The whole of a metadata or properties file, if it is what was packed.
    ///
    /// # Errors
    /// When it cannot be read, or differs.
    pub fn whole(&self, side_file: &SideFileRef) -> Result<Vec<u8>, Unresolved> {
        let unreadable = |source| Unresolved::Unreadable { path: self.path.clone(), source };
        let length = self.content.length_bytes().map_err(unreadable)?;
        let differs = || Unresolved::ContentDiffers {
            place: self.path.display().to_string(),
            offset_bytes: 0,
            length_bytes: length,
        };
        let usable = usize::try_from(length).ok().filter(|length| *length <= SIDE_FILE_BYTES_MAX);
        let mut bytes = vec![0; usable.ok_or_else(differs)?];
        self.content.read_exact_at(&mut bytes, 0).map_err(unreadable)?;
        if hashes_to(&bytes, side_file.hash) { Ok(bytes) } else { Err(differs()) }
    }

    /// Where it is, for messages.
    pub fn place(&self) -> String {
        self.path.display().to_string()
    }
}

impl Content {
    fn length_bytes(&self) -> io::Result<u64> {
        match self {
            Content::Here(file) => Ok(file.metadata()?.len()),
            Content::OnDrive(file) => Ok(file.length_bytes()),
        }
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset_bytes: u64) -> io::Result<()> {
        match self {
            Content::Here(file) => file.read_exact_at(buffer, offset_bytes),
            Content::OnDrive(file) => file.read_exact_at(buffer, offset_bytes),
        }
    }
}

/// Whether bytes have a hash, by the algorithm that the hash is of: §1.9.
pub fn hashes_to(bytes: &[u8], hash: HashText) -> bool {
    proof::proven::hash_like(hash, bytes) == hash
}

#[cfg(test)]
mod tests {
    use super::*;

    fn roots(folders: &[&str]) -> (tempfile::TempDir, Roots) {
        let scratch = tempfile::tempdir().unwrap();
        let folders = folders.iter().map(|name| scratch.path().join(name)).collect::<Vec<_>>();
        folders.iter().for_each(|folder| std::fs::create_dir_all(folder.join("dir")).unwrap());
        (scratch, Roots::new(folders, None))
    }

    #[test]
    fn a_file_is_found_under_its_path_and_else_without_the_sessions_folder() {
        let (scratch, roots) = roots(&["one", "two"]);
        std::fs::write(scratch.path().join("two/dir/a"), "x").unwrap();
        for path in ["\\dir\\a", "\\session#1\\dir\\a", "session/dir/a"] {
            let source = roots.open(path, &PathMap::default()).unwrap();
            assert!(source.place().ends_with("two/dir/a"), "{path}");
        }
        for path in ["\\a", "\\x\\y\\dir\\a", "\\dir\\a\\b", "\\dir"] {
            let found = roots.open(path, &PathMap::default());
            assert!(matches!(found, Err(Unresolved::NotFound { .. })), "{path}");
        }
    }

    #[test]
    fn two_hits_are_no_hit_and_a_path_that_leaves_the_root_is_none() {
        let (scratch, roots) = roots(&["one", "two"]);
        for root in ["one", "two"] {
            std::fs::write(scratch.path().join(root).join("dir/a"), "x").unwrap();
        }
        let found = roots.open("\\dir\\a", &PathMap::default());
        assert!(matches!(found, Err(Unresolved::Several { found, .. }) if found.len() == 2));
        let outside = roots.open("\\..\\one\\dir\\a", &PathMap::default());
        assert!(matches!(outside, Err(Unresolved::InvalidName { .. })));
    }

    #[test]
    fn bytes_are_given_only_with_their_hash() {
        let (scratch, roots) = roots(&["one"]);
        std::fs::write(scratch.path().join("one/a"), "0123456789").unwrap();
        let source = roots.open("\\a", &PathMap::default()).unwrap();
        let hash = digests::md5_of(b"345");
        assert_eq!(source.proven(3, 3, hash).unwrap(), "345");
        for (offset, length) in [(2, 3), (8, 3), (u64::MAX - 3, 3)] {
            assert!(source.proven(offset, length, hash).is_err(), "{offset}");
        }
    }

    #[test]
    fn the_path_map_goes_before_the_roots() {
        let (scratch, roots) = roots(&["one"]);
        let (real, map) = (scratch.path().join("real"), scratch.path().join("map"));
        std::fs::write(&real, "x").unwrap();
        std::fs::write(&map, format!("\\s\\gone\t{}\n", real.display())).unwrap();
        let map = PathMap::read(Some(&map)).unwrap();
        assert!(roots.open("/s/gone", &map).unwrap().place().ends_with("real"));
    }
}

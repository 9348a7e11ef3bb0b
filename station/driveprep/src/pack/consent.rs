//! What stood where a drive is made anew, when somebody agreed that it is destroyed.
//!
//! A session may be resumed long after it was planned. Until its own partition table is there, what is
//! replaced must still be what was agreed on: another file may have come to an image's path, and a drive
//! with the right serial number may have been used meanwhile.

use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use block::{FileDevice, ReadAt};
use md5::{Digest, Md5};
use serde::{Deserialize, Serialize};

/// How much of a device tells whether it was used: partition tables and the first volume's head.
const HEAD_BYTES: usize = 1 << 20;

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Consent {
    /// Nothing.
    Nothing,
    /// A file, which was not written to since.
    File {
        /// The file system that it is on.
        device: u64,
        /// Its number there.
        inode: u64,
        /// How long it is.
        length_bytes: u64,
        /// When it was written to, in seconds and nanoseconds.
        modified: (i64, i64),
    },
    /// A device.
    Device {
        /// MD5 of its first MiB.
        head: [u8; 16],
    },
}

impl Consent {
    /// What stands there now.
    ///
    /// # Errors
    /// When it cannot be looked at.
    pub fn look(path: &Path) -> io::Result<Consent> {
        let found = match fs::metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Consent::Nothing),
            found => found?,
        };
        if !found.file_type().is_block_device() {
            let modified = (found.mtime(), found.mtime_nsec());
            let (device, inode, length_bytes) = (found.dev(), found.ino(), found.len());
            return Ok(Consent::File { device, inode, length_bytes, modified });
        }
        let mut head = vec![0; HEAD_BYTES];
        let device = FileDevice::open(path).map_err(io::Error::other)?;
        device.read_exact_at(&mut head, 0).map_err(io::Error::other)?;
        Ok(Consent::Device { head: Md5::digest(&head).into() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_or_was_changed_since_is_not_what_was_agreed_on() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("d.img");
        let nothing = Consent::look(&path).unwrap();
        assert_eq!(nothing, Consent::Nothing);
        fs::write(&path, "one").unwrap();
        let one = Consent::look(&path).unwrap();
        assert_ne!(one, nothing);
        assert_eq!(Consent::look(&path).unwrap(), one);
        let kept: Consent = serde_json::from_slice(&serde_json::to_vec(&one).unwrap()).unwrap();
        assert_eq!(kept, one);
        fs::write(&path, "another").unwrap();
        assert_ne!(Consent::look(&path).unwrap(), one);
        fs::rename(&path, folder.path().join("old")).unwrap();
        fs::write(&path, "one").unwrap();
        assert_ne!(Consent::look(&path).unwrap(), one);
    }
}

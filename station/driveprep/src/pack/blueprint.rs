//! A drive's blueprint: everything that its layout depends on besides the work, frozen in a file.
//!
//! Written and on the medium before the journal names it, so a pack that goes on after SIGKILL makes
//! the same volume, place by place. It holds no secret. The number ties a spool to it.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::ops::Range;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::digest::RUN_BYTES;
use super::slab::SLAB_BYTES_MIN;
use crate::work::{ItemId, Work};

/// Raised when the layout comes out differently for the same blueprint.
const VERSION: u32 = 1;

/// Longest slab: blocks have at most 100 MiB.
const SLAB_BYTES_MAX: usize = 128 << 20;

/// What is made of a drive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// Everything on it is made anew.
    New,
    /// Files are added to its volume.
    Added,
    /// Its files stay; a manifest of them is added.
    InPlace,
}

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Blueprint {
    /// Which program made it: another one lays out differently.
    pub version: u32,
    /// What is made of the drive.
    pub mode: Mode,
    /// Tells, when files are added, whether the volume's free space is still what it was planned in.
    pub fingerprint: u64,
    /// Ties the spool to it; random.
    pub number: u64,
    /// The drive's serial number.
    pub serial: String,
    /// Its length.
    pub drive_bytes: u64,
    /// Its logical sector size.
    pub sector_bytes: u32,
    /// The file system's cluster size.
    pub cluster_bytes: u32,
    /// What Windows shows for it.
    pub label: String,
    /// The file system's serial number; random.
    pub volume_serial: u64,
    /// The partition table's id; random.
    pub disk_guid: [u8; 16],
    /// The partition's id; random.
    pub partition_guid: [u8; 16],
    /// When it was made, as NTFS counts.
    pub time: u64,
    /// How long its slabs are.
    pub slab_bytes: usize,
    /// The items on it: first and count of each run, ascending.
    pub items: Vec<(u32, u32)>,
    /// What is stored of items with holes.
    pub stored: BTreeMap<u32, Vec<Range<u64>>>,
    /// An upper bound of the manifest's length.
    pub manifest_bytes_max: u64,
}

/// A blueprint cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum BlueprintError {
    /// The file system refuses.
    #[error("the blueprint {}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// It is damaged, or of another version of this program.
    #[error("{} is no blueprint of this version of driveprep", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        #[source]
        source: serde_json::Error,
    },
    /// Another version made it.
    #[error("{} was made by another version of driveprep ({found}, not {VERSION})", path.display())]
    Version {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u32,
    },
}

impl Default for Blueprint {
    fn default() -> Blueprint {
        Blueprint {
            version: VERSION,
            mode: Mode::New,
            fingerprint: 0,
            number: 0,
            serial: String::new(),
            drive_bytes: 0,
            sector_bytes: 512,
            cluster_bytes: 4_096,
            label: String::new(),
            volume_serial: 0,
            disk_guid: [0; 16],
            partition_guid: [0; 16],
            time: 0,
            slab_bytes: 0,
            items: Vec::new(),
            stored: BTreeMap::new(),
            manifest_bytes_max: 0,
        }
    }
}

impl Blueprint {
    /// The items: ascending, or in place in the order in which they lie on the drive.
    pub fn item_ids(&self) -> impl Iterator<Item = ItemId> + '_ {
        self.items.iter().flat_map(|(first, count)| (*first..first.saturating_add(*count)).map(ItemId))
    }

    /// Takes these items, in their order.
    pub fn set_items(&mut self, items: &[ItemId]) {
        self.items.clear();
        for item in items {
            match self.items.last_mut() {
                Some((first, count)) if *first + *count == item.0 => *count += 1,
                _ => self.items.push((item.0, 1)),
            }
        }
    }

    /// Writes it so that it is there whole, or not at all.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn save(&self, path: &Path) -> Result<(), BlueprintError> {
        let text = serde_json::to_vec(self).map_err(|source| malformed(path, source))?;
        write_whole(path, &text).map_err(|source| BlueprintError::Io { path: path.to_owned(), source })
    }

    /// Reads what [`Blueprint::save`] wrote.
    ///
    /// # Errors
    /// When it is not there, damaged, or of another version.
    pub fn load(path: &Path) -> Result<Blueprint, BlueprintError> {
        let text = fs::read(path).map_err(|source| BlueprintError::Io { path: path.to_owned(), source })?;
        let blueprint: Blueprint = serde_json::from_slice(&text).map_err(|source| malformed(path, source))?;
        if blueprint.version != VERSION {
            return Err(BlueprintError::Version { path: path.to_owned(), found: blueprint.version });
        }
        Ok(blueprint)
    }
}

impl Blueprint {
    /// Proves that it is one for this work: nothing that rests on it can go out of bounds.
    ///
    /// # Errors
    /// When it was changed.
    pub fn check(&self, path: &Path, work: &Work) -> Result<(), BlueprintError> {
        let wrong = |what: &str| malformed(path, serde::de::Error::custom(what));
        let count = u64::try_from(work.len()).unwrap_or(u64::MAX);
        // In place they stand in the order in which they lie on the drive.
        let mut runs: Vec<(u64, u64)> =
            self.items.iter().map(|(first, count)| (u64::from(*first), u64::from(*count))).collect();
        runs.sort_unstable();
        let mut next = 0;
        for (first, length) in runs {
            if first < next || first + length > count {
                return Err(wrong("items that are not the session's"));
            }
            next = first + length;
        }
        if !self.cluster_bytes.is_power_of_two() || u64::from(self.cluster_bytes) > RUN_BYTES {
            return Err(wrong("the size of clusters"));
        }
        let parts = self.item_ids().map(|id| work.item(id));
        let parts = parts.map(|item| item.part_bytes().min(item.length_bytes()));
        let longest = parts.max().unwrap_or(0).next_multiple_of(RUN_BYTES);
        let slab_bytes = self.slab_bytes as u64;
        if slab_bytes < longest || !(SLAB_BYTES_MIN..=SLAB_BYTES_MAX).contains(&self.slab_bytes) {
            return Err(wrong("the length of slabs"));
        }
        for (item, stored) in &self.stored {
            let is_there = u64::from(*item) < count;
            let length = if is_there { work.item(ItemId(*item)).length_bytes() } else { 0 };
            let mut next = 0;
            for range in stored {
                let in_order = range.start >= next && range.start < range.end && range.end <= length;
                if !in_order || !range.start.is_multiple_of(RUN_BYTES) {
                    return Err(wrong("ranges of an item"));
                }
                next = range.end;
            }
        }
        Ok(())
    }
}

fn malformed(path: &Path, source: serde_json::Error) -> BlueprintError {
    BlueprintError::Malformed { path: path.to_owned(), source }
}

/// Writes a file of its owner's only (0600) under another name, brings it to the medium, and gives it
/// its name: whatever happens, the name stands for the old content or the new one, whole.
///
/// # Errors
/// When the file system refuses.
pub fn write_whole(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut name = path.as_os_str().to_owned();
    name.push(".part");
    let part = PathBuf::from(name);
    let mut options = File::options();
    // One that is left over, or is a link to elsewhere, goes: what is made anew is our own, and ours only.
    match fs::remove_file(&part) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    options.write(true).create_new(true).mode(0o600);
    let mut file = options.open(&part)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&part, path)?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_are_kept_as_runs() {
        let items = [0, 1, 2, 5, 7, 8].map(ItemId);
        let mut blueprint = Blueprint::default();
        blueprint.set_items(&items);
        assert_eq!(blueprint.items, [(0, 3), (5, 1), (7, 2)]);
        assert_eq!(blueprint.item_ids().collect::<Vec<_>>(), items);
    }

    #[test]
    fn what_is_written_whole_is_its_owners_only_and_follows_no_link() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let (path, part, other) =
            (folder.path().join("k"), folder.path().join("k.part"), folder.path().join("other"));
        fs::write(&other, "theirs").unwrap();
        fs::set_permissions(&other, fs::Permissions::from_mode(0o644)).unwrap();
        std::os::unix::fs::symlink(&other, &part).unwrap();
        write_whole(&path, b"secret").unwrap();
        assert_eq!(fs::read(&other).unwrap(), b"theirs");
        let written = fs::symlink_metadata(&path).unwrap();
        assert!(written.is_file());
        assert_eq!(written.permissions().mode() & 0o777, 0o600);
        assert!(fs::symlink_metadata(&part).is_err());
    }

    #[test]
    fn what_is_saved_is_loaded_and_another_version_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("b");
        let stored = BTreeMap::from([(3, vec![0..10, 20..30])]);
        let mut blueprint = Blueprint { number: u64::MAX, stored, ..Blueprint::default() };
        blueprint.save(&path).unwrap();
        assert_eq!(Blueprint::load(&path).unwrap(), blueprint);
        blueprint.version = 99;
        blueprint.save(&path).unwrap();
        assert!(matches!(Blueprint::load(&path), Err(BlueprintError::Version { found: 99, .. })));
        fs::write(&path, "{").unwrap();
        assert!(matches!(Blueprint::load(&path), Err(BlueprintError::Malformed { .. })));
    }
}

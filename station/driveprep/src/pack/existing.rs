//! A drive that has its volume already, open for reading and writing.
//!
//! Opened as the station opens it; written only where its metadata is proven, so that nothing can
//! become unreadable by our hand.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, anyhow};
use bitlocker::VolumeWriter;
use block::{ReadAt, SharedDevice, Target, WriteWindow};
use manifest::{BitlockerKey, JobEntry};
use model::Exit;
use model::digest::HashText;
use ntfs::Limits;
use ntfs::build::FileTime;
use ntfs::build::amend::{AmendError, AmendSettings, Amendment};
use proof::bring_up::{self, Device, UnlockedDrive};
use proof::proven::ProvenManifest;
use proof::secrets;

use super::blueprint::{Blueprint, Mode};
use super::digest::RUN_BYTES;
use super::layout::LayoutError;
use super::volume_plan::Maker;
use crate::failure::Failure;
use crate::open::refused;

/// What writes to a drive's volume.
pub type Writer = VolumeWriter<WriteWindow<Arc<Target>>>;

/// Where a volume lies on its drive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VolumePlace {
    /// Where it begins.
    pub start_bytes: u64,
    /// How long it is.
    pub length_bytes: u64,
}

/// A drive's volume, opened with its key; nothing is written by opening.
pub struct Existing {
    unlocked: UnlockedDrive,
    key: String,
}

impl Existing {
    /// Opens the volume of the drive.
    ///
    /// # Errors
    /// As the station refuses it: the wrong drive (20), not unlocked (21) and so on.
    pub fn open(path: &Path, key: &BitlockerKey) -> Result<Existing, Failure> {
        let secret = secrets::from_key_text(key.expose(), "the drive's key")
            .map_err(|error| Failure::new(Exit::UnlockFailed, error))?;
        let recognised = bring_up::recognise(Device::open(path).map_err(refused)?, None).map_err(refused)?;
        let unlocked = bring_up::unlock(recognised, &[secret], &mut |_| ()).map_err(refused)?;
        Ok(Existing { unlocked, key: key.expose().to_owned() })
    }

    /// Its files.
    pub fn files(&self) -> &Arc<ntfs::Volume> {
        &self.unlocked.ntfs
    }

    /// What opened it, for the job.
    pub fn key(&self) -> BitlockerKey {
        BitlockerKey::new(self.key.clone())
    }

    /// Its sector size.
    pub fn sector_bytes(&self) -> u32 {
        self.unlocked.volume.sector_bytes()
    }

    /// Where it lies on the drive.
    pub fn place(&self) -> VolumePlace {
        let volume = &self.unlocked.recognised.volume;
        VolumePlace { start_bytes: volume.start_bytes(), length_bytes: volume.length_bytes() }
    }

    /// Additions to its file system.
    ///
    /// # Errors
    /// When nothing can be added to it, with what to do about it.
    pub fn maker(&self, blueprint: &Blueprint) -> Result<Maker, LayoutError> {
        let settings = AmendSettings { time: FileTime(blueprint.time), limits: Limits::default() };
        let volume: SharedDevice = Arc::clone(&self.unlocked.volume) as SharedDevice;
        let amendment = Amendment::new(volume, settings)?;
        if blueprint.mode == Mode::Added {
            check_clusters(amendment.cluster_bytes())?;
        }
        Ok(Maker::Added(Box::new(amendment)))
    }

    /// Opens it for writing.
    ///
    /// # Errors
    /// When the drive is in use or write-protected, or its encryption is in a state in which it is not
    /// written.
    pub fn writer(&self, path: &Path) -> Result<(Arc<Target>, Writer), Failure> {
        let target = Target::open(path).map_err(|error| Failure::new(Exit::Retryable, error))?;
        let target = Arc::new(target.with_sector_bytes(self.sector_bytes()));
        let place = self.place();
        let window = WriteWindow::new(Arc::clone(&target), place.start_bytes, place.length_bytes);
        let metadata = &self.unlocked.recognised.metadata;
        let opened = || {
            let secret = secrets::from_key_text(&self.key, "the drive's key")?;
            let key = metadata.unlock(&secret)?;
            anyhow::Ok(VolumeWriter::of_volume(window, &*self.unlocked.recognised.volume, metadata, &key)?)
        };
        let writer =
            opened().with_context(|| format!("opening the volume of {} to add to it", path.display()));
        Ok((target, writer.map_err(|error| Failure::new(Exit::NotRetryable, error))?))
    }

    /// Whether its manifest is this very one.
    pub fn has_manifest(&self, hash: HashText) -> bool {
        let files = self.files();
        let stream =
            files.resolve(super::layout::MANIFEST_PATH).ok().and_then(|file| files.stream(file, None).ok());
        stream.is_some_and(|stream| ProvenManifest::prove(Arc::clone(files), stream, hash).is_ok())
    }

    /// The manifest that an earlier session left, proven to be the one that its job knows.
    ///
    /// # Errors
    /// When there is one that nobody knows, or it was changed.
    pub fn previous(&self, entry: Option<&JobEntry>) -> Result<Option<ProvenManifest>, Failure> {
        let files = self.files();
        let there = files.resolve(super::layout::MANIFEST_PATH).ok();
        let (Some(file), Some(entry)) = (there, entry) else {
            return match there {
                None => Ok(None),
                Some(_) => Err(Failure::new(
                    Exit::Manifest,
                    anyhow!(
                        "the drive has a manifest that this journal does not know. Go on with the journal of its \
                         earlier sessions, or remove {} from it",
                        super::layout::MANIFEST_PATH
                    ),
                )),
            };
        };
        let stream = files.stream(file, None).map_err(|error| Failure::new(Exit::Manifest, error))?;
        let proven = ProvenManifest::prove(Arc::clone(files), stream, entry.manifest_hash);
        proven.map(Some).map_err(|error| Failure::new(Exit::Manifest, error))
    }
}

/// Files are cut where clusters of up to 64 KiB begin: data in larger ones could be torn.
fn check_clusters(cluster_bytes: u32) -> Result<(), LayoutError> {
    if u64::from(cluster_bytes) <= RUN_BYTES {
        return Ok(());
    }
    let what = "clusters above 64 KiB: format the drive with smaller ones, or pack onto another";
    Err(LayoutError::Amend(AmendError::Unsupported { what }))
}

impl Drop for Existing {
    fn drop(&mut self) {
        zeroize::Zeroize::zeroize(&mut self.key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_added_to_volumes_whose_clusters_no_part_of_a_file_tears() {
        for fine in [512, 4_096, 64 << 10] {
            check_clusters(fine).unwrap();
        }
        for large in [128 << 10, 2 << 20] {
            let text = proof::chain(&check_clusters(large).unwrap_err());
            assert!(text.contains("clusters above 64 KiB"), "{text}");
        }
    }
}

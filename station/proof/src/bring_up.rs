//! From a path to an open drive with a proven manifest, in the order of azure-import-export.md
//! §1.13; each step that fails has its drive status.
//!
//! Nothing is written to the drive and nothing of it is mounted: every byte is parsed here, in
//! Rust, from a read-only descriptor.

use std::io::BufReader;
use std::path::Path;
use std::sync::Arc;

use bitlocker::{Metadata, ReadMetadataError, Secret, UnlockError};
use block::partitions::Scheme;
use block::{FileDevice, Identity, PartitionTable, ReadAt, ReadTarget, SharedDevice, Window};
use manifest::{JobEntry, ManifestEvent, ManifestReader};
use model::DriveId;
use model::status::{BlobStatus, DriveStatus};

use crate::chain;
use crate::file;
use crate::plan::Geometry;
use crate::proven::{ProveError, ProvenManifest};

/// Why a drive is not taken, in the log's word and for a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The log's code.
    pub status: DriveStatus,
    /// What was attempted, what was found, and what to do.
    pub message: String,
}

impl Refusal {
    fn new(status: DriveStatus, message: impl Into<String>) -> Refusal {
        Refusal { status, message: message.into() }
    }

    fn because(status: DriveStatus, error: &dyn std::error::Error) -> Refusal {
        Refusal { status, message: chain(error) }
    }
}

/// A drive of which the BitLocker volume was found.
pub struct RecognisedDrive {
    /// What the device says of itself.
    pub identity: Identity,
    /// What the reader thread reads.
    pub target: ReadTarget,
    /// The partitions.
    pub partitions: PartitionTable,
    /// The first data volume, still locked.
    pub volume: Arc<Window>,
    /// Its BitLocker metadata.
    pub metadata: Metadata,
    device: SharedDevice,
}

/// A drive whose volume is open.
pub struct UnlockedDrive {
    /// What was recognised.
    pub recognised: RecognisedDrive,
    /// The unlocked volume.
    pub volume: Arc<bitlocker::Volume>,
    /// Its file system.
    pub ntfs: Arc<ntfs::Volume>,
}

/// A drive that is ready to be copied.
pub struct OpenDrive {
    /// What the device says of itself.
    pub identity: Identity,
    /// What the reader thread reads.
    pub target: ReadTarget,
    /// The unlocked volume.
    pub volume: Arc<bitlocker::Volume>,
    /// Its file system.
    pub ntfs: Arc<ntfs::Volume>,
    /// The manifest, proven.
    pub manifest: ProvenManifest,
    /// What the plan has to respect.
    pub geometry: Geometry,
    device: SharedDevice,
}

/// What the manifest amounts to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ManifestTotals {
    /// Blobs listed.
    pub blob_count: u64,
    /// Bytes that their chunks cover.
    pub chunk_bytes: u64,
}

/// A device, however it is reached: a path, or in tests a wrapper that misbehaves.
pub struct Device {
    /// What it says of itself.
    pub identity: Identity,
    /// For the reader thread.
    pub target: ReadTarget,
    /// For metadata.
    pub shared: SharedDevice,
}

impl Device {
    /// Opens a device or an image file.
    ///
    /// # Errors
    /// `DiskNotFound` or `DiskOperationFailed`.
    pub fn open(path: &Path) -> Result<Device, Refusal> {
        let identity = Device::identify(path)?;
        let file = FileDevice::open(path).map_err(|error| Refusal::because(open_status(path), &error))?;
        let file = Arc::new(file);
        Ok(Device { identity, target: ReadTarget::File(Arc::clone(&file)), shared: file })
    }

    /// What the system knows of it; it is not opened for that.
    ///
    /// # Errors
    /// As [`Device::open`].
    pub fn identify(path: &Path) -> Result<Identity, Refusal> {
        block::identify(path).map_err(|error| Refusal::because(open_status(path), &error))
    }
}

fn open_status(path: &Path) -> DriveStatus {
    if path.exists() { DriveStatus::DiskOperationFailed } else { DriveStatus::DiskNotFound }
}

/// Steps 1 to 3: the device, the job's serial number and header, the BitLocker volume.
///
/// # Errors
/// The step that failed.
pub fn recognise(device: Device, job: Option<&JobEntry>) -> Result<RecognisedDrive, Refusal> {
    let Device { identity, target, shared } = device;
    if let Some(job) = job {
        check_serial(&identity, &job.drive_id)?;
        crate::header::check(&*shared, job)?;
    }
    let partitions = block::partition_table(&*shared)
        .map_err(|error| Refusal::because(DriveStatus::DiskOperationFailed, &error))?;
    let mut first_refusal = None;
    for (start_bytes, length_bytes) in data_volumes(&partitions, shared.length_bytes()) {
        let volume = Window::new(Arc::clone(&shared), start_bytes, length_bytes)
            .map_err(|error| Refusal::because(DriveStatus::DiskOperationFailed, &error))?;
        let volume = Arc::new(volume);
        match Metadata::read(&*volume) {
            Ok(metadata) => {
                return Ok(RecognisedDrive {
                    identity,
                    target,
                    partitions,
                    volume,
                    metadata,
                    device: shared,
                });
            }
            Err(error) => drop(first_refusal.get_or_insert_with(|| locked_refusal(&error, start_bytes))),
        }
    }
    let nothing = || Refusal::new(DriveStatus::BitLockerVolumeNotFound, "the drive has no data partition");
    Err(first_refusal.unwrap_or_else(nothing))
}

fn check_serial(identity: &Identity, expected: &DriveId) -> Result<(), Refusal> {
    let Some(found) = identity.serial.as_deref().and_then(|serial| DriveId::new(serial).ok()) else {
        // An image file has none; the manifest's DriveId is compared all the same.
        return Ok(());
    };
    if found == *expected {
        return Ok(());
    }
    let message = format!(
        "the device's serial number is {found}, the job is for {expected}: this is another drive, nothing of it was opened"
    );
    Err(Refusal::new(DriveStatus::ManifestDriveIdMismatch, message))
}

/// Where data volumes may be: the partitions in order, or the whole device when it has no table.
fn data_volumes(table: &PartitionTable, device_bytes: u64) -> Vec<(u64, u64)> {
    match table.scheme {
        Scheme::None(_) => vec![(0, device_bytes)],
        Scheme::Gpt(_) | Scheme::Mbr => {
            table.partitions.iter().map(|partition| (partition.start_bytes, partition.length_bytes)).collect()
        }
    }
}

fn locked_refusal(error: &ReadMetadataError, start_bytes: u64) -> Refusal {
    let status = match error {
        ReadMetadataError::NotBitLocker { .. } => DriveStatus::BitLockerVolumeNotFound,
        _ => DriveStatus::BitLockerFailed,
    };
    Refusal::new(status, format!("the volume at byte {start_bytes:#x}: {}", chain(error)))
}

/// Steps 3 to 5: opens the volume with any of these secrets and reads its file system.
///
/// # Errors
/// The step that failed.
pub fn unlock(
    recognised: RecognisedDrive,
    secrets: &[Secret],
    progress: &mut dyn FnMut(ntfs::SweepProgress),
) -> Result<UnlockedDrive, Refusal> {
    if recognised.metadata.is_decrypted() {
        let message = "the volume was decrypted: BitLocker is off, so the drive travelled unprotected";
        return Err(Refusal::new(DriveStatus::BitLockerNotActivated, message));
    }
    let key = open_any(&recognised.metadata, secrets)?;
    let shared: SharedDevice = Arc::clone(&recognised.volume) as SharedDevice;
    let volume = bitlocker::Volume::open(shared, &recognised.metadata, &key)
        .map_err(|error| Refusal::because(DriveStatus::BitLockerUnlockVolumeFailed, &error))?;
    let volume = Arc::new(volume);
    let unlocked: SharedDevice = Arc::clone(&volume) as SharedDevice;
    let ntfs = ntfs::Volume::open(unlocked, ntfs::Limits::default(), progress)
        .map_err(|error| Refusal::because(ntfs_status(&error), &error))?;
    Ok(UnlockedDrive { recognised, volume, ntfs: Arc::new(ntfs) })
}

fn open_any(metadata: &Metadata, secrets: &[Secret]) -> Result<bitlocker::VolumeKey, Refusal> {
    let mut refusal = None;
    for secret in secrets {
        match metadata.unlock(secret) {
            Ok(key) => return Ok(key),
            Err(error) => refusal = Some(Refusal::because(unlock_status(&error), &error)),
        }
    }
    let nothing = || Refusal::new(DriveStatus::BitLockerKeyInvalid, "the job has no key");
    Err(refusal.unwrap_or_else(nothing))
}

/// Steps 6 to 8: finds the manifest, proves it against the job's hash, checks all its rules. Gives
/// its totals, and the container of its first blob, with which a credential can be tried.
///
/// # Errors
/// The step that failed.
pub fn prove(
    unlocked: UnlockedDrive,
    job: &JobEntry,
) -> Result<(OpenDrive, ManifestTotals, Option<String>), Refusal> {
    let drive = open_manifest(unlocked, job)?;
    let (totals, first_container) = check_rules(&drive.manifest, job)?;
    Ok((drive, totals, first_container))
}

/// Steps 6 and 7: the manifest is there and is the job's; its rules are not looked at.
///
/// # Errors
/// The step that failed.
pub fn open_manifest(unlocked: UnlockedDrive, job: &JobEntry) -> Result<OpenDrive, Refusal> {
    let UnlockedDrive { recognised, volume, ntfs } = unlocked;
    let stream = manifest_stream(&ntfs, job)?;
    let manifest = ProvenManifest::prove(Arc::clone(&ntfs), stream, job.manifest_hash)
        .map_err(|error| Refusal::because(prove_status(&error), &error))?;
    let sector_bytes = u64::from(volume.sector_bytes());
    let geometry = Geometry {
        volume_start_bytes: recognised.volume.start_bytes(),
        volume_bytes: recognised.volume.length_bytes(),
        sector_bytes,
    };
    let RecognisedDrive { identity, target, device, .. } = recognised;
    Ok(OpenDrive { identity, target, volume, ntfs, manifest, geometry, device })
}

fn manifest_stream(ntfs: &ntfs::Volume, job: &JobEntry) -> Result<ntfs::Stream, Refusal> {
    let path = manifest::DrivePath::parse(&job.manifest_file)
        .map_err(|error| Refusal::because(error.drive_status(), &error))?;
    let to_drive_status = |status| match status {
        BlobStatus::FileNameInvalid => DriveStatus::ManifestNameInvalid,
        BlobStatus::FileNameTooLong => DriveStatus::ManifestNameTooLong,
        BlobStatus::FileNotFound => DriveStatus::ManifestNotFound,
        BlobStatus::FileAccessDenied => DriveStatus::ManifestAccessDenied,
        _ => DriveStatus::ReadManifestFailed,
    };
    let id = ntfs
        .resolve(&path.to_string())
        .map_err(|error| Refusal::because(to_drive_status(file::resolve_status(&error)), &error))?;
    ntfs.stream(id, None)
        .map_err(|error| Refusal::because(to_drive_status(file::stream_status(&error)), &error))
}

fn check_rules(
    manifest: &ProvenManifest,
    job: &JobEntry,
) -> Result<(ManifestTotals, Option<String>), Refusal> {
    let mut first_container = None;
    let mut totals = ManifestTotals::default();
    let mut reader = ManifestReader::new(BufReader::with_capacity(1 << 16, manifest.read()));
    let failed = |error: manifest::ManifestError| Refusal::because(error.status(), &error);
    while let Some(event) = reader.next().map_err(failed)? {
        match event {
            ManifestEvent::Drive(header) if header.drive_id != job.drive_id => {
                let message =
                    format!("the manifest is of drive {}, the job is for {}", header.drive_id, job.drive_id);
                return Err(Refusal::new(DriveStatus::ManifestDriveIdMismatch, message));
            }
            ManifestEvent::Blob(entry) => {
                totals.blob_count += 1;
                totals.chunk_bytes += crate::chunk::chunk_bytes(&entry);
                if first_container.is_none() {
                    first_container = entry.destination().ok().map(|path| path.container().to_owned());
                }
            }
            ManifestEvent::Drive(_) | ManifestEvent::List(_) => {}
        }
    }
    Ok((totals, first_container))
}

impl OpenDrive {
    /// Whether the device still answers: asked when a read has failed, to tell one bad sector from
    /// a drive that was pulled.
    pub fn is_present(&self) -> bool {
        answers(&*self.device)
    }
}

/// Whether a device is still there: it gives its first sector, or at least says why not.
pub fn answers(device: &dyn ReadAt) -> bool {
    let mut sector = vec![0; device.sector_bytes() as usize];
    let answer = device.read_exact_at(&mut sector, 0);
    !answer.is_err_and(|error| error.kind == block::ReadErrorKind::Gone)
}

fn unlock_status(error: &UnlockError) -> DriveStatus {
    match error {
        UnlockError::NoSuchProtector { .. } => DriveStatus::BitLockerProtectorNotFound,
        UnlockError::KeyInvalid { .. } => DriveStatus::BitLockerKeyInvalid,
        UnlockError::NoMasterKey { .. }
        | UnlockError::SectorKeyDamaged { .. }
        | UnlockError::UnknownMethod { .. } => DriveStatus::BitLockerUnlockVolumeFailed,
    }
}

fn ntfs_status(error: &ntfs::OpenError) -> DriveStatus {
    match error {
        ntfs::OpenError::Boot(_) => DriveStatus::VolumeNotNtfs,
        ntfs::OpenError::Read(_) | ntfs::OpenError::Mft(_) | ntfs::OpenError::Sweep(_) => {
            DriveStatus::DiskOperationFailed
        }
    }
}

fn prove_status(error: &ProveError) -> DriveStatus {
    match error {
        ProveError::Read { .. } => DriveStatus::ReadManifestFailed,
        ProveError::Differs { .. } => DriveStatus::ManifestCorrupted,
    }
}

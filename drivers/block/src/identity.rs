//! Which drive this is: serial number, model, sizes; from what the kernel knows, without asking
//! the drive itself.
//!
//! Owns the search for a serial number. The places are tried in the order in which they can be
//! trusted, and [`Identity::serial_source`] tells which one answered, because a USB bridge may put
//! its own number in front of the drive's. What is found is given as it is written, only without
//! the blanks and NULs around it; comparing it with a manifest's `DriveId` is the model's.
//!
//! An image file has no serial number: the job entry carries it.
//!
//! Sources: Linux `Documentation/ABI/stable/sysfs-block` (attributes `size`, `queue/…`), SPC-4
//! §7.8.15 (page 80h), `drivers/scsi/scsi_lib.c` (`wwid`), udev's database format
//! (`/run/udev/data/b…`).

mod serial;
#[cfg(test)]
mod tests;

use std::fs::{self, File, Metadata};
use std::io::{self, Seek, SeekFrom};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

pub use serial::SerialSource;

/// `size` in sysfs counts units of 512 bytes, whatever the sectors are.
const SYSFS_SIZE_UNIT_BYTES: u64 = 512;

/// What the machine knows of a drive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// A real device or an image of one.
    pub kind: DriveKind,
    /// Length of what the path names: the partition's where it is a partition.
    pub length_bytes: u64,
    /// Logical sector size; 512 for an image, which may be wrong (see [`crate::partitions`]).
    pub logical_sector_bytes: u32,
    /// Physical sector size; 4096 with 512 logical is a 512e drive.
    pub physical_sector_bytes: u32,
    /// The whole drive's serial number.
    pub serial: Option<String>,
    /// Where that was found.
    pub serial_source: Option<SerialSource>,
    /// The model's name.
    pub model: Option<String>,
    /// The vendor, where the model does not include it.
    pub vendor: Option<String>,
    /// Whether it has platters, as far as the kernel knows.
    pub rotational: Option<bool>,
    /// The partition's number, where the path names a partition.
    pub partition: Option<u32>,
    /// The kernel's name for the whole drive, such as `sdb`.
    pub kernel_name: Option<String>,
}

/// What a path to a drive leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DriveKind {
    /// A block device.
    BlockDevice,
    /// A regular file with a drive's content.
    ImageFile,
}

/// A drive could not be identified.
#[derive(Debug, thiserror::Error)]
pub enum IdentifyError {
    /// The path leads nowhere, or its length cannot be read.
    #[error("looking at {}", path.display())]
    Look {
        /// The path as given.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// Something else than a drive.
    #[error("{} is neither a block device nor an image file", path.display())]
    NotADrive {
        /// The path as given.
        path: PathBuf,
    },
}

/// Identifies the drive, image or partition that a path leads to.
///
/// # Errors
/// When there is no such drive. What the kernel merely does not know is `None`.
pub fn identify(path: &Path) -> Result<Identity, IdentifyError> {
    let failed = |source| IdentifyError::Look { path: path.to_owned(), source };
    let metadata = fs::metadata(path).map_err(failed)?;
    if metadata.is_file() {
        return Ok(Identity::of_image(&metadata));
    }
    if !metadata.file_type().is_block_device() {
        return Err(IdentifyError::NotADrive { path: path.to_owned() });
    }
    let number = metadata.rdev();
    let places = Places { sysfs: Path::new("/sys"), udev: Path::new("/run/udev/data") };
    let mut identity = places.identify(rustix::fs::major(number), rustix::fs::minor(number));
    if identity.length_bytes == 0 {
        // A container without sysfs: ask the device.
        identity.length_bytes =
            File::open(path).and_then(|mut file| file.seek(SeekFrom::End(0))).map_err(failed)?;
    }
    Ok(identity)
}

impl Identity {
    fn of_image(metadata: &Metadata) -> Identity {
        Identity {
            kind: DriveKind::ImageFile,
            length_bytes: metadata.len(),
            logical_sector_bytes: 512,
            physical_sector_bytes: 512,
            serial: None,
            serial_source: None,
            model: None,
            vendor: None,
            rotational: None,
            partition: None,
            kernel_name: None,
        }
    }
}

/// Where the kernel and udev keep what they know; other directories in tests.
struct Places<'a> {
    sysfs: &'a Path,
    udev: &'a Path,
}

impl Places<'_> {
    fn identify(&self, major: u32, minor: u32) -> Identity {
        let given = self.sysfs.join(format!("dev/block/{major}:{minor}"));
        let partition: Option<u32> = read_number(&given.join("partition"));
        // Resolved first: `..` behind a symbolic link is the link target's parent.
        let resolved = fs::canonicalize(&given).unwrap_or(given.clone());
        let disk = match (partition, resolved.parent()) {
            (Some(_), Some(parent)) => parent.to_owned(),
            _ => resolved,
        };
        let disk_number = read_text(&disk.join("dev")).unwrap_or_else(|| format!("{major}:{minor}"));
        let udev = serial::UdevRecord::read(&self.udev.join(format!("b{disk_number}")));
        let found = serial::find(&disk, &udev);
        let sector = |name: &str| read_number::<u32>(&disk.join("queue").join(name)).filter(|&size| size > 0);
        let logical_sector_bytes = sector("logical_block_size").unwrap_or(512);
        let length: Option<u64> = read_number(&given.join("size"));
        Identity {
            kind: DriveKind::BlockDevice,
            length_bytes: length.unwrap_or(0).saturating_mul(SYSFS_SIZE_UNIT_BYTES),
            logical_sector_bytes,
            physical_sector_bytes: sector("physical_block_size").unwrap_or(logical_sector_bytes),
            serial_source: found.as_ref().map(|(_, source)| *source),
            serial: found.map(|(serial, _)| serial),
            model: read_text(&disk.join("device/model")).or_else(|| udev.value("ID_MODEL")),
            vendor: read_text(&disk.join("device/vendor")).filter(|vendor| !vendor.starts_with("0x")),
            rotational: read_number::<u8>(&disk.join("queue/rotational")).map(|flag| flag != 0),
            partition,
            kernel_name: disk.file_name().map(|name| name.to_string_lossy().into_owned()),
        }
    }
}

/// An attribute's text without blanks and NULs around it; `None` when there is none.
fn read_text(path: &Path) -> Option<String> {
    let bytes = fs::read(path).ok()?;
    trimmed(&bytes)
}

fn read_number<N: std::str::FromStr>(path: &Path) -> Option<N> {
    read_text(path)?.parse().ok()
}

/// What a drive says of itself may be any bytes: no control character gets through.
fn trimmed(bytes: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(bytes);
    let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    Some(text.trim().to_owned()).filter(|text| !text.is_empty())
}

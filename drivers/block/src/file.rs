//! An image file or a block device, read with `pread`.

use std::fs::File;
use std::io::{self, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::{ReadAt, ReadError, check_range};

/// A file or block device opened read-only.
pub struct FileDevice {
    file: File,
    length_bytes: u64,
    sector_bytes: u32,
}

/// Opening a device failed.
#[derive(Debug, thiserror::Error)]
#[error("opening {} to read a drive from it", path.display())]
pub struct OpenError {
    /// The path as given.
    pub path: PathBuf,
    /// What the operating system said.
    #[source]
    pub source: io::Error,
}

impl FileDevice {
    /// Opens read-only; the length is the file's or the device's.
    ///
    /// # Errors
    /// When the operating system refuses.
    pub fn open(path: &Path) -> Result<FileDevice, OpenError> {
        let failed = |source| OpenError { path: path.to_owned(), source };
        let mut file = File::open(path).map_err(failed)?;
        let length_bytes = file.seek(SeekFrom::End(0)).map_err(failed)?;
        Ok(FileDevice { file, length_bytes, sector_bytes: 512 })
    }
}

impl ReadAt for FileDevice {
    fn length_bytes(&self) -> u64 {
        self.length_bytes
    }

    fn sector_bytes(&self) -> u32 {
        self.sector_bytes
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset_bytes: u64) -> Result<(), ReadError> {
        check_range(offset_bytes, buffer.len(), self.length_bytes)?;
        let length_bytes = buffer.len();
        self.file
            .read_exact_at(buffer, offset_bytes)
            .map_err(|source| ReadError::from_io(offset_bytes, length_bytes, source))
    }
}

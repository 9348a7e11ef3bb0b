//! A device in memory: for tests, and for small images that were decoded.

use crate::{ReadAt, ReadError, check_range};

/// Bytes that read like a device.
pub struct MemoryDevice {
    bytes: Vec<u8>,
    sector_bytes: u32,
}

impl MemoryDevice {
    /// Wraps bytes; `sector_bytes` is what [`ReadAt::sector_bytes`] answers.
    pub fn new(bytes: Vec<u8>, sector_bytes: u32) -> MemoryDevice {
        MemoryDevice { bytes, sector_bytes }
    }
}

impl ReadAt for MemoryDevice {
    fn length_bytes(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn sector_bytes(&self) -> u32 {
        self.sector_bytes
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset_bytes: u64) -> Result<(), ReadError> {
        check_range(offset_bytes, buffer.len(), self.length_bytes())?;
        let source = usize::try_from(offset_bytes)
            .ok()
            .and_then(|start| Some(start..start.checked_add(buffer.len())?))
            .and_then(|range| self.bytes.get(range));
        match source {
            Some(bytes) => {
                buffer.copy_from_slice(bytes);
                Ok(())
            }
            None => Err(ReadError::out_of_range(offset_bytes, buffer.len(), self.length_bytes())),
        }
    }
}

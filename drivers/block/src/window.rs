//! A part of a device that reads like a device: a partition.

use crate::{ReadAt, ReadError, SharedDevice, check_range};

/// `[start, start + length)` of another device. Reads outside the window fail even where the
/// device goes on, so a partition's parser cannot leave its partition.
pub struct Window {
    device: SharedDevice,
    start_bytes: u64,
    length_bytes: u64,
}

/// A window that does not lie inside its device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the window {start_bytes:#x}+{length_bytes:#x} is not inside a device of {device_bytes:#x} bytes")]
pub struct WindowError {
    /// First byte asked for.
    pub start_bytes: u64,
    /// Length asked for.
    pub length_bytes: u64,
    /// Length of the device.
    pub device_bytes: u64,
}

impl Window {
    /// Cuts a window out of a device.
    ///
    /// # Errors
    /// When it does not lie wholly inside.
    pub fn new(device: SharedDevice, start_bytes: u64, length_bytes: u64) -> Result<Window, WindowError> {
        let device_bytes = device.length_bytes();
        match start_bytes.checked_add(length_bytes) {
            Some(end) if end <= device_bytes => Ok(Window { device, start_bytes, length_bytes }),
            _ => Err(WindowError { start_bytes, length_bytes, device_bytes }),
        }
    }

    /// Where the window begins in the device below.
    pub fn start_bytes(&self) -> u64 {
        self.start_bytes
    }
}

impl ReadAt for Window {
    fn length_bytes(&self) -> u64 {
        self.length_bytes
    }

    fn sector_bytes(&self) -> u32 {
        self.device.sector_bytes()
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset_bytes: u64) -> Result<(), ReadError> {
        check_range(offset_bytes, buffer.len(), self.length_bytes)?;
        // Inside the window, so the sum is inside the device.
        self.device.read_exact_at(buffer, self.start_bytes.saturating_add(offset_bytes))
    }
}

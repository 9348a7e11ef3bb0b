//! A part of a device that reads, or is written, like a device: a partition.

use crate::{ReadAt, ReadError, SharedDevice, WriteAt, WriteError, check_range};

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

/// `[start, start + length)` of something that is written. Writes outside the window fail even where
/// the device goes on.
pub struct WriteWindow<W> {
    target: W,
    start_bytes: u64,
    length_bytes: u64,
}

impl<W> WriteWindow<W> {
    /// Cuts a window out of a target, which must be long enough: it cannot be asked. A part of the
    /// window that the target does not have refuses its writes.
    pub fn new(target: W, start_bytes: u64, length_bytes: u64) -> WriteWindow<W> {
        WriteWindow { target, start_bytes, length_bytes }
    }

    /// What the window was cut out of.
    pub fn target(&self) -> &W {
        &self.target
    }

    /// Where the window begins in the target.
    pub fn start_bytes(&self) -> u64 {
        self.start_bytes
    }

    /// How long it is.
    pub fn length_bytes(&self) -> u64 {
        self.length_bytes
    }
}

impl<W: WriteAt> WriteAt for WriteWindow<W> {
    fn write_all_at(&self, data: &mut [u8], offset_bytes: u64) -> Result<(), WriteError> {
        let out_of_range = WriteError::out_of_range(offset_bytes, data.len(), self.length_bytes);
        let is_inside =
            offset_bytes.checked_add(data.len() as u64).is_some_and(|end| end <= self.length_bytes);
        match self.start_bytes.checked_add(offset_bytes).filter(|_| is_inside) {
            Some(place) => self.target.write_all_at(data, place),
            None => Err(out_of_range),
        }
    }

    fn flush(&self) -> Result<(), WriteError> {
        self.target.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::WriteErrorKind;

    /// Notes where writes arrive.
    #[derive(Default)]
    struct Places(Mutex<Vec<(u64, usize)>>);

    impl WriteAt for Places {
        fn write_all_at(&self, data: &mut [u8], offset_bytes: u64) -> Result<(), WriteError> {
            self.0.lock().unwrap().push((offset_bytes, data.len()));
            Ok(())
        }

        fn flush(&self) -> Result<(), WriteError> {
            Ok(())
        }
    }

    #[test]
    fn a_write_arrives_behind_the_windows_start_and_never_outside() {
        let window = WriteWindow::new(Places::default(), 0x10_0000, 0x2000);
        window.write_all_at(&mut [0; 512], 0).unwrap();
        window.write_all_at(&mut [0; 512], 0x2000 - 512).unwrap();
        for (offset_bytes, length) in [(0x2000, 1), (0x1E01, 512), (u64::MAX, 1)] {
            let error = window.write_all_at(&mut vec![0; length], offset_bytes).unwrap_err();
            assert_eq!(error.kind, WriteErrorKind::OutOfRange { device_bytes: 0x2000 });
        }
        assert_eq!(*window.target().0.lock().unwrap(), [(0x10_0000, 512), (0x10_1E00, 512)]);
    }
}

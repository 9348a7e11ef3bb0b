//! What every [`ReadAt`] must do, as one suite for all of them.
//!
//! Give it a device and the bytes that the device must show. It reads awkward ranges: empty, odd,
//! across sectors, the very last byte, behind the end, at the end of the numbers; into buffers of
//! odd addresses; again; and from several threads.

use crate::{ReadAt, ReadErrorKind};

/// Shorter devices have no room for the table of ranges.
pub const LENGTH_BYTES_MIN: usize = 1 << 20;

/// Offsets and lengths around everything that an implementation may align to.
const EDGES: [usize; 17] =
    [0, 1, 7, 16, 511, 512, 513, 1023, 4095, 4096, 4097, 8192, 65_535, 65_536, 65_537, 131_072, 500_001];
/// Threads that read at once.
const THREAD_COUNT: usize = 4;

/// What a device did wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Breach {
    /// The suite cannot judge this device.
    #[error("a device of {length_bytes} bytes is too short for the suite, which needs {LENGTH_BYTES_MIN}")]
    TooShort {
        /// How long it is.
        length_bytes: usize,
    },
    /// It says another length than its content has.
    #[error("the device says it has {found_bytes} bytes; it has {expected_bytes}")]
    Length {
        /// What it says.
        found_bytes: u64,
        /// How long the known content is.
        expected_bytes: u64,
    },
    /// A sector size that no drive has.
    #[error("the device says its sectors have {found_bytes} bytes")]
    SectorSize {
        /// What it says.
        found_bytes: u32,
    },
    /// A read inside the device failed.
    #[error("reading {length_bytes} bytes at {offset_bytes:#x} failed: {error}")]
    Failed {
        /// Where.
        offset_bytes: u64,
        /// How much.
        length_bytes: usize,
        /// What it answered.
        error: String,
    },
    /// A read gave wrong bytes.
    #[error("reading {length_bytes} bytes at {offset_bytes:#x}: the byte at {differs_at_bytes:#x} is wrong")]
    Content {
        /// Where.
        offset_bytes: u64,
        /// How much.
        length_bytes: usize,
        /// The first wrong byte's absolute position.
        differs_at_bytes: u64,
    },
    /// A read that reaches over the end did not fail as [`ReadErrorKind::OutOfRange`] with the
    /// read's own place and the device's length.
    #[error("reading {length_bytes} bytes at {offset_bytes:#x}, over the end, answered {found}")]
    NotRefused {
        /// Where.
        offset_bytes: u64,
        /// How much.
        length_bytes: usize,
        /// What it answered.
        found: String,
    },
}

/// Runs the whole suite.
///
/// # Errors
/// With the first [`Breach`].
pub fn check(device: &dyn ReadAt, content: &[u8]) -> Result<(), Breach> {
    if content.len() < LENGTH_BYTES_MIN {
        return Err(Breach::TooShort { length_bytes: content.len() });
    }
    let (found_bytes, expected_bytes) = (device.length_bytes(), content.len() as u64);
    if found_bytes != expected_bytes {
        return Err(Breach::Length { found_bytes, expected_bytes });
    }
    if !matches!(device.sector_bytes(), 512 | 4096) {
        return Err(Breach::SectorSize { found_bytes: device.sector_bytes() });
    }
    check_all_ranges(device, content)?;
    check_refusals(device, expected_bytes)?;
    check_threads(device, content)
}

fn check_all_ranges(device: &dyn ReadAt, content: &[u8]) -> Result<(), Breach> {
    check_read(device, content, 0, content.len(), 0)?;
    for (index, edge) in EDGES.into_iter().enumerate() {
        // From the front, up to the end, and empty at both.
        for length in EDGES {
            check_read(device, content, edge, length, index)?;
            check_read(
                device,
                content,
                content.len().saturating_sub(edge).saturating_sub(length),
                length,
                index,
            )?;
        }
        check_read(device, content, content.len().saturating_sub(edge), edge, index)?;
    }
    check_read(device, content, content.len(), 0, 0)
}

/// Reads twice into a buffer that begins `skew` bytes after an aligned address, more or less.
fn check_read(
    device: &dyn ReadAt,
    content: &[u8],
    offset: usize,
    length_bytes: usize,
    skew: usize,
) -> Result<(), Breach> {
    let offset_bytes = offset as u64;
    let expected = content.get(offset..offset.saturating_add(length_bytes)).unwrap_or_default();
    let mut room = vec![0xA5; length_bytes.saturating_add(skew)];
    let buffer = room.get_mut(skew..).unwrap_or_default();
    for _ in 0..2 {
        if let Err(error) = device.read_exact_at(buffer, offset_bytes) {
            return Err(Breach::Failed { offset_bytes, length_bytes, error: error.to_string() });
        }
        if let Some(at) = expected.iter().zip(buffer.iter()).position(|(expected, found)| expected != found) {
            let differs_at_bytes = offset_bytes.saturating_add(at as u64);
            return Err(Breach::Content { offset_bytes, length_bytes, differs_at_bytes });
        }
        // So that the second read proves itself.
        buffer.fill(0x5A);
    }
    Ok(())
}

fn check_refusals(device: &dyn ReadAt, end: u64) -> Result<(), Breach> {
    for (offset_bytes, length_bytes) in [
        (end, 1),
        (end.saturating_sub(1), 2),
        (end.saturating_sub(512), 513),
        (end.saturating_sub(4096), 8192),
        (end.saturating_add(1), 0),
        (end.saturating_add(1), 1),
        (end.saturating_add(4096), 4096),
        (u64::MAX, 0),
        (u64::MAX, 1),
        (u64::MAX.saturating_sub(511), 512),
        (u64::MAX.saturating_sub(4095), 8192),
        (1 << 63, 512),
    ] {
        let mut buffer = vec![0; length_bytes];
        let answer = device.read_exact_at(&mut buffer, offset_bytes);
        let refused = answer.as_ref().is_err_and(|error| {
            error.kind == ReadErrorKind::OutOfRange { device_bytes: end }
                && (error.offset_bytes, error.length_bytes) == (offset_bytes, length_bytes)
        });
        if !refused {
            return Err(Breach::NotRefused { offset_bytes, length_bytes, found: format!("{answer:?}") });
        }
    }
    Ok(())
}

/// Each thread walks the device with another stride, all at once.
fn check_threads(device: &dyn ReadAt, content: &[u8]) -> Result<(), Breach> {
    std::thread::scope(|scope| {
        let walks: Vec<_> = (0..THREAD_COUNT)
            .map(|thread| {
                scope.spawn(move || {
                    let stride = 10_007_usize.saturating_mul(thread.saturating_add(1));
                    (0..LENGTH_BYTES_MIN.saturating_sub(5_000))
                        .step_by(stride)
                        .try_for_each(|offset| check_read(device, content, offset, 5_000, thread))
                })
            })
            .collect();
        walks.into_iter().try_for_each(|walk| match walk.join() {
            Ok(outcome) => outcome,
            Err(payload) => std::panic::resume_unwind(payload),
        })
    })
}

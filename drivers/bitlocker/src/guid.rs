//! GUIDs in the byte order that Microsoft's formats use, and times in FILETIME.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime};

/// A GUID as it lies on the disk: the first three fields little-endian, the rest as written.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Guid([u8; 16]);

/// Text that is no GUID.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a GUID of the form 01234567-89ab-cdef-0123-456789abcdef")]
pub struct ParseGuidError;

/// For each byte on the disk, where its two digits stand in the 32 digits of the text.
const TEXT_ORDER: [usize; 16] = [3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15];

impl Guid {
    /// Takes the 16 bytes as they lie on the disk.
    pub const fn from_bytes(bytes: [u8; 16]) -> Guid {
        Guid(bytes)
    }

    /// The 16 bytes as they lie on the disk.
    pub const fn to_bytes(self) -> [u8; 16] {
        self.0
    }
}

impl fmt::Display for Guid {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a0, a1, a2, a3, b0, b1, c0, c1, d0, d1, e @ ..] = self.0;
        let (a, b, c) = (
            u32::from_le_bytes([a0, a1, a2, a3]),
            u16::from_le_bytes([b0, b1]),
            u16::from_le_bytes([c0, c1]),
        );
        write!(formatter, "{a:08x}-{b:04x}-{c:04x}-{d0:02x}{d1:02x}-")?;
        e.iter().try_for_each(|byte| write!(formatter, "{byte:02x}"))
    }
}

impl fmt::Debug for Guid {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

impl FromStr for Guid {
    type Err = ParseGuidError;

    /// Accepts upper and lower case, with or without braces.
    fn from_str(text: &str) -> Result<Guid, ParseGuidError> {
        let text = text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).unwrap_or(text);
        let lengths: Vec<usize> = text.split('-').map(str::len).collect();
        if lengths != [8, 4, 4, 4, 12] {
            return Err(ParseGuidError);
        }
        let digits: Vec<u8> = text
            .chars()
            .filter(|character| *character != '-')
            .map(|character| character.to_digit(16).and_then(|digit| u8::try_from(digit).ok()))
            .collect::<Option<_>>()
            .ok_or(ParseGuidError)?;
        let (pairs, _) = digits.as_chunks::<2>();
        let mut bytes = [0; 16];
        for (byte, place) in bytes.iter_mut().zip(TEXT_ORDER) {
            let [high, low] = pairs.get(place).ok_or(ParseGuidError)?;
            *byte = (high << 4) | low;
        }
        Ok(Guid(bytes))
    }
}

/// A time as Windows stores it: units of 100 ns since 1601-01-01 UTC. Taken from the disk, so it
/// may be nonsense.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileTime(pub u64);

/// Seconds from 1601-01-01 to 1970-01-01: 369 years, 89 of them leap years.
const EPOCH_DIFFERENCE_SECONDS: u64 = 11_644_473_600;

const UNITS_PER_SECOND: u64 = 10_000_000;

impl FileTime {
    /// The moment, if it is not before 1970 and the system's clock can express it.
    pub fn to_system_time(self) -> Option<SystemTime> {
        let seconds = (self.0 / UNITS_PER_SECOND).checked_sub(EPOCH_DIFFERENCE_SECONDS)?;
        let nanoseconds = u32::try_from((self.0 % UNITS_PER_SECOND).checked_mul(100)?).ok()?;
        SystemTime::UNIX_EPOCH.checked_add(Duration::new(seconds, nanoseconds))
    }

    /// The nearest FILETIME not after `time`; 1970 for a clock that is before it.
    pub fn from_system_time(time: SystemTime) -> FileTime {
        let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let units = since
            .as_secs()
            .saturating_add(EPOCH_DIFFERENCE_SECONDS)
            .saturating_mul(UNITS_PER_SECOND)
            .saturating_add(u64::from(since.subsec_nanos() / 100));
        FileTime(units)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guid_is_shown_in_the_order_that_windows_shows() {
        let on_disk =
            [0x3b, 0xd6, 0x67, 0x49, 0x29, 0x2e, 0xd8, 0x4a, 0x83, 0x99, 0xf6, 0xa3, 0x39, 0xe3, 0xd0, 0x01];
        let text = "4967d63b-2e29-4ad8-8399-f6a339e3d001";
        assert_eq!(Guid::from_bytes(on_disk).to_string(), text);
        assert_eq!(text.parse(), Ok(Guid::from_bytes(on_disk)));
        assert_eq!(format!("{{{}}}", text.to_uppercase()).parse(), Ok(Guid::from_bytes(on_disk)));
    }

    #[test]
    fn text_that_is_no_guid_is_refused() {
        for text in
            ["", "4967d63b", "4967d63b-2e29-4ad8-8399-f6a339e3d0zz", "é967d63-2e29-4ad8-8399-f6a339e3d001"]
        {
            assert_eq!(text.parse::<Guid>(), Err(ParseGuidError), "{text}");
        }
    }

    #[test]
    fn a_file_time_survives_the_way_there_and_back() {
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        assert_eq!(FileTime::from_system_time(time).to_system_time(), Some(time));
        assert_eq!(FileTime(0).to_system_time(), None);
    }
}

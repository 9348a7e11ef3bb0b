//! What a caller says about files and directories: sizes, times, attributes.

use std::ops::{BitOr, Range};
use std::time::{SystemTime, UNIX_EPOCH};

/// 1970-01-01 in FILETIME units.
const UNIX_EPOCH_TICKS: u64 = 116_444_736_000_000_000;
const TICK_NANOSECONDS: u128 = 100;

/// A point in time as NTFS keeps it: units of 100 ns since 1601-01-01, UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct FileTime(pub u64);

impl From<SystemTime> for FileTime {
    /// Cut to 100 ns; what lies before 1601 becomes 1601.
    fn from(time: SystemTime) -> FileTime {
        let ticks = |nanoseconds: u128| {
            u64::try_from(nanoseconds.checked_div(TICK_NANOSECONDS).unwrap_or(0)).unwrap_or(u64::MAX)
        };
        FileTime(match time.duration_since(UNIX_EPOCH) {
            Ok(since) => UNIX_EPOCH_TICKS.saturating_add(ticks(since.as_nanos())),
            Err(before) => UNIX_EPOCH_TICKS.saturating_sub(ticks(before.duration().as_nanos())),
        })
    }
}

/// The four times of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Times {
    /// When it was made.
    pub created: FileTime,
    /// When its content was written.
    pub modified: FileTime,
    /// When its record was changed.
    pub changed: FileTime,
    /// When it was last read.
    pub accessed: FileTime,
}

impl Times {
    /// The same time four times.
    pub fn all(time: FileTime) -> Times {
        Times { created: time, modified: time, changed: time, accessed: time }
    }
}

/// The attributes that a user can set, as Windows numbers them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Attributes(u32);

impl Attributes {
    /// None at all.
    pub const NONE: Attributes = Attributes(0);
    /// May not be written.
    pub const READ_ONLY: Attributes = Attributes(0x1);
    /// Not shown.
    pub const HIDDEN: Attributes = Attributes(0x2);
    /// Belongs to the operating system.
    pub const SYSTEM: Attributes = Attributes(0x4);
    /// To be backed up; what Windows gives every new file.
    pub const ARCHIVE: Attributes = Attributes(0x20);
    /// Left out of the search index.
    pub const NOT_INDEXED: Attributes = Attributes(0x2000);

    pub(super) fn bits(self) -> u32 {
        self.0
    }
}

impl BitOr for Attributes {
    type Output = Attributes;

    fn bitor(self, other: Attributes) -> Attributes {
        Attributes(self.0 | other.0)
    }
}

/// A directory to be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DirectorySpec {
    /// Its times.
    pub times: Times,
    /// Its attributes; that it is a directory goes without saying.
    pub attributes: Attributes,
}

/// A file to be made.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FileSpec {
    /// How long it is, at most: [`super::Plan::set_length`] makes it shorter.
    pub length_bytes: u64,
    /// `None` for an ordinary file. For a sparse one the ranges that hold data, ascending and inside
    /// the length; what is between them takes no space. They are widened to units of 16 clusters, as
    /// Windows has them, or one cluster where clusters are larger than 4 KiB: the caller writes what
    /// [`super::Plan::extents`] says.
    pub data: Option<Vec<Range<u64>>>,
    /// Its times.
    pub times: Times,
    /// Its attributes; that it is sparse goes without saying.
    pub attributes: Attributes,
}

/// A directory of the builder that gave it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DirectoryId(pub(super) u32);

/// A file of the builder that gave it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileId(pub(super) u32);

/// Consecutive bytes of a file and their place on the volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// Where they begin in the file: at a cluster.
    pub file_offset_bytes: u64,
    /// Where they begin on the volume: at a cluster.
    pub volume_offset_bytes: u64,
    /// How many bytes of the file; the rest of the last cluster belongs to the extent too, and is to
    /// be written with zeros.
    pub length_bytes: u64,
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn times_are_counted_from_1601() {
        assert_eq!(FileTime::from(UNIX_EPOCH), FileTime(116_444_736_000_000_000));
        // 2026-11-24 00:00 UTC and a fraction that is cut.
        let day = UNIX_EPOCH + Duration::new(1_795_478_400, 123_456_789);
        assert_eq!(FileTime::from(day), FileTime(134_399_520_001_234_567));
        assert_eq!(FileTime::from(UNIX_EPOCH - Duration::from_secs(1)), FileTime(116_444_735_990_000_000));
        assert_eq!(FileTime::from(UNIX_EPOCH - Duration::from_secs(20_000_000_000)), FileTime(0));
    }
}

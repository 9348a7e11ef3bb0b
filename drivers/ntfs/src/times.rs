//! A file's times, read again from its record: the sweep does not keep them. spec/ntfs.md §3.3.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::build::{FileTime, Times};
use crate::bytes::u64_at;
use crate::record::{Body, FileId, Record};
use crate::stream::StreamError;
use crate::volume::Volume;

/// `$STANDARD_INFORMATION`.
const STANDARD_INFORMATION: u32 = 0x10;
/// 1970-01-01 in units of 100 ns since 1601-01-01.
const UNIX_EPOCH_TICKS: u64 = 116_444_736_000_000_000;
const TICKS_PER_SECOND: u64 = 10_000_000;
const TICK_NANOSECONDS: u32 = 100;

impl Volume {
    /// When the file was made, written, changed and read; one read of its record. `None` when the
    /// record does not say so.
    ///
    /// # Errors
    /// When the record cannot be read again, or is not as it was.
    pub fn times(&self, file: FileId) -> Result<Option<Times>, StreamError> {
        let again = |error| crate::stream::again(file.record, error);
        let raw = self.mft.record(file.record).map_err(again)?;
        let record = Record::parse(&raw).map_err(|fault| again(fault.into()))?;
        let value = record.attributes().map_while(Result::ok).find_map(|found| match found.body {
            Body::Resident(value) if found.kind == STANDARD_INFORMATION => Some(value),
            _ => None,
        });
        Ok(value.and_then(parse))
    }
}

fn parse(value: &[u8]) -> Option<Times> {
    let time = |at| u64_at(value, at).map(FileTime);
    Some(Times { created: time(0)?, modified: time(8)?, changed: time(16)?, accessed: time(24)? })
}

impl FileTime {
    /// The same as the operating system's time, also before 1970; `None` past what that can hold.
    pub fn to_system_time(self) -> Option<SystemTime> {
        let since = |ticks: u64| {
            let nanoseconds = u32::try_from(ticks.checked_rem(TICKS_PER_SECOND)?).ok()?;
            let seconds = ticks.checked_div(TICKS_PER_SECOND)?;
            Some(Duration::new(seconds, nanoseconds.checked_mul(TICK_NANOSECONDS)?))
        };
        match self.0.checked_sub(UNIX_EPOCH_TICKS) {
            Some(after) => UNIX_EPOCH.checked_add(since(after)?),
            None => UNIX_EPOCH.checked_sub(since(UNIX_EPOCH_TICKS.checked_sub(self.0)?)?),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_go_there_and_back() {
        let day = UNIX_EPOCH + Duration::new(1_795_478_400, 123_456_700);
        for time in [UNIX_EPOCH, day, UNIX_EPOCH - Duration::from_millis(1_500)] {
            assert_eq!(FileTime::from(time).to_system_time(), Some(time));
        }
        assert_eq!(FileTime(0).to_system_time(), UNIX_EPOCH.checked_sub(Duration::from_secs(11_644_473_600)));
    }

    #[test]
    fn an_attribute_that_is_cut_off_has_no_times() {
        assert_eq!(parse(&[0; 31]), None);
        assert!(parse(&[0; 32]).is_some());
    }
}

//! Names of the log blobs: azure-import-export.md §3.1.

use std::fmt;

/// Container of the logs of gen A and B, unless the job names another.
pub const DRIVE_LOG_CONTAINER: &str = "waimportexport";
/// Container of the logs of gen C.
pub const COPY_LOG_CONTAINER: &str = "databoxcopylog";

/// When a drive's logs were made, in UTC, to the millisecond.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct LogTime {
    unix_milliseconds: u64,
}

/// Which of a drive's logs of gen A and B.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DriveLogName {
    /// `_error.xml`.
    Error,
    /// `_verbose.xml`.
    Verbose,
    /// `_manifest.xml`: the copy of the manifest.
    Manifest,
}

/// Which of a drive's logs of gen C.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CopyLogName {
    /// `_CopyLog_`.
    Copy,
    /// `_VerboseLog_`.
    Verbose,
}

impl LogTime {
    /// A time as milliseconds since 1970-01-01 00:00 UTC.
    pub fn from_unix_milliseconds(unix_milliseconds: u64) -> LogTime {
        LogTime { unix_milliseconds }
    }

    /// `yyyy-MM-dd HH:mm:ss`, for people.
    pub fn to_date_and_time(self) -> String {
        let seconds = self.unix_milliseconds.div_euclid(1_000);
        let (year, month, day) = civil_date(seconds.div_euclid(86_400));
        let of_day = seconds.rem_euclid(86_400);
        let (hour, minute) = (of_day.div_euclid(3_600), of_day.div_euclid(60).rem_euclid(60));
        format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{:02}", of_day.rem_euclid(60))
    }
}

impl fmt::Display for LogTime {
    /// `yyyyMMdd-HHmmss-fff`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.unix_milliseconds.div_euclid(1_000);
        let (year, month, day) = civil_date(seconds.div_euclid(86_400));
        let of_day = seconds.rem_euclid(86_400);
        let (hour, minute) = (of_day.div_euclid(3_600), of_day.div_euclid(60).rem_euclid(60));
        let (second, milli) = (of_day.rem_euclid(60), self.unix_milliseconds.rem_euclid(1_000));
        write!(f, "{year:04}{month:02}{day:02}-{hour:02}{minute:02}{second:02}-{milli:03}")
    }
}

/// The name of a gen A/B log blob inside its container:
/// `waies/<job>_<drive>_<time>_<kind>.xml`.
pub fn drive_log(job: &str, drive: &str, time: LogTime, name: DriveLogName) -> String {
    let kind = match name {
        DriveLogName::Error => "error",
        DriveLogName::Verbose => "verbose",
        DriveLogName::Manifest => "manifest",
    };
    format!("waies/{}_{}_{time}_{kind}.xml", segment(job), segment(drive))
}

/// The name of a gen C log blob inside its container:
/// `<order>_<serial>_<kind>_<job-id>.xml`.
pub fn copy_log(order: &str, serial: &str, job_id: &str, name: CopyLogName) -> String {
    let kind = match name {
        CopyLogName::Copy => "CopyLog",
        CopyLogName::Verbose => "VerboseLog",
    };
    format!("{}_{}_{kind}_{}.xml", segment(order), segment(serial), segment(job_id))
}

/// A part of a name, with what would cut or fold a blob's path replaced.
///
/// Serial numbers come from devices and jobs, and may hold anything.
fn segment(text: &str) -> String {
    let safe = |character: char| match character {
        '/' | '\\' | '?' | '#' | '%' => '-',
        control if control.is_control() => '-',
        other => other,
    };
    text.chars().map(safe).collect()
}

/// Year, month and day of a day counted from 1970-01-01, in the Gregorian calendar.
///
/// Counts 400-year eras that begin on 1 March, so that the leap day is the last of its year.
pub(crate) fn civil_date(days: u64) -> (u64, u64, u64) {
    const DAYS_PER_ERA: u64 = 146_097;
    // From 0000-03-01 to 1970-01-01.
    let days = days.saturating_add(719_468);
    let day_of_era = days.rem_euclid(DAYS_PER_ERA);
    let leap_days = |d: u64| {
        d.div_euclid(1_460).saturating_sub(d.div_euclid(36_524)).saturating_add(d.div_euclid(146_096))
    };
    let year_of_era = day_of_era.saturating_sub(leap_days(day_of_era)).div_euclid(365);
    let days_before = year_of_era
        .saturating_mul(365)
        .saturating_add(year_of_era.div_euclid(4))
        .saturating_sub(year_of_era.div_euclid(100));
    let day_of_year = day_of_era.saturating_sub(days_before);
    // Months of 31, 30, 31, 30, 31 days from March on: 153 days every five months.
    let shifted = day_of_year.saturating_mul(5).saturating_add(2).div_euclid(153);
    let day = day_of_year
        .saturating_sub(shifted.saturating_mul(153).saturating_add(2).div_euclid(5))
        .saturating_add(1);
    let month = if shifted < 10 { shifted.saturating_add(3) } else { shifted.saturating_sub(9) };
    let year = days.div_euclid(DAYS_PER_ERA).saturating_mul(400).saturating_add(year_of_era);
    (year.saturating_add(u64::from(month <= 2)), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_specifications_example_name_is_made() {
        // 2013-09-21 03:43:07.902 UTC.
        let time = LogTime::from_unix_milliseconds(1_379_734_987_902);
        assert_eq!(
            drive_log("myjob", "9WM35C2V", time, DriveLogName::Error),
            "waies/myjob_9WM35C2V_20130921-034307-902_error.xml"
        );
        assert_eq!(
            drive_log("myjob", "a/b", time, DriveLogName::Verbose),
            "waies/myjob_a-b_20130921-034307-902_verbose.xml"
        );
        assert!(drive_log("j", "d", time, DriveLogName::Manifest).ends_with("_manifest.xml"));
        assert_eq!(copy_log("order", "S1", "id", CopyLogName::Copy), "order_S1_CopyLog_id.xml");
        assert_eq!(copy_log("order", "S1", "id", CopyLogName::Verbose), "order_S1_VerboseLog_id.xml");
    }

    #[test]
    fn dates_follow_the_calendar_day_by_day() {
        let month_days = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
        let leap = |y: u64| y.is_multiple_of(4) && (!y.is_multiple_of(100) || y.is_multiple_of(400));
        let mut days = 0;
        for year in 1970..2410 {
            for (month, &length) in (1..).zip(&month_days) {
                for day in 1..=length + u64::from(month == 2 && leap(year)) {
                    assert_eq!(civil_date(days), (year, month, day));
                    days += 1;
                }
            }
        }
    }
}

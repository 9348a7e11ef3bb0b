//! Sizes in decimal units, as the tool's `/DriveSize` takes them and its output shows them.
//!
//! azure-import-export.md §2.9: 1 GB is 10^9 bytes, 1 TB 10^12; `1.5TB`, and a blank before the unit.

use std::fmt;
use std::str::FromStr;

const GB: u64 = 1_000_000_000;
const TB: u64 = 1_000 * GB;
/// More digits behind the point than a terabyte has bytes.
const DECIMALS_MAX: usize = 12;

/// A size in bytes, given in GB or TB.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct DecimalSize(pub u64);

impl FromStr for DecimalSize {
    type Err = String;

    fn from_str(text: &str) -> Result<DecimalSize, String> {
        let wrong =
            || format!("{text:?} is no drive size: give a number with GB or TB, such as 500GB or 1.5TB");
        let upper = text.trim().to_ascii_uppercase();
        let (number, unit) = match (upper.strip_suffix("GB"), upper.strip_suffix("TB")) {
            (Some(number), _) => (number, GB),
            (None, Some(number)) => (number, TB),
            (None, None) => return Err(wrong()),
        };
        let (whole, decimals) = number.trim().split_once('.').unwrap_or((number.trim(), ""));
        let digits = |part: &str| part.chars().all(|c| c.is_ascii_digit());
        if whole.is_empty() || !digits(whole) || !digits(decimals) || decimals.len() > DECIMALS_MAX {
            return Err(wrong());
        }
        let whole: u64 = whole.parse().map_err(|_| wrong())?;
        let mut bytes = whole.checked_mul(unit).ok_or_else(wrong)?;
        let mut place = unit;
        for digit in decimals.chars().filter_map(|c| c.to_digit(10)) {
            place /= 10;
            bytes = bytes.checked_add(u64::from(digit) * place).ok_or_else(wrong)?;
        }
        if bytes == 0 { Err(wrong()) } else { Ok(DecimalSize(bytes)) }
    }
}

impl fmt::Display for DecimalSize {
    /// `500.00 GB`, and from a terabyte on `1.50 TB`; the last digit is rounded.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (unit, name) = if self.0 < TB { (GB, "GB") } else { (TB, "TB") };
        let hundredths = (u128::from(self.0) * 100 + u128::from(unit) / 2) / u128::from(unit);
        write!(f, "{}.{:02} {name}", hundredths / 100, hundredths % 100)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_the_tool_reads_them() {
        for (text, bytes) in [
            ("500GB", 500 * GB),
            ("1.5TB", 1_500 * GB),
            ("1.5 TB", 1_500 * GB),
            ("4tb", 4 * TB),
            ("0.000000001GB", 1),
            ("2.TB", 2 * TB),
        ] {
            assert_eq!(text.parse(), Ok(DecimalSize(bytes)), "{text}");
        }
    }

    #[test]
    fn what_is_no_size_is_refused() {
        let too_large = format!("{}TB", u64::MAX);
        for text in ["", "500", "GB", "-1GB", "1,5TB", "0GB", "1e3GB", "1.1.1GB", ".5TB", &too_large] {
            assert!(text.parse::<DecimalSize>().is_err(), "{text}");
        }
    }

    #[test]
    fn two_decimals_are_shown() {
        for (bytes, text) in [
            (500 * GB, "500.00 GB"),
            (454_740_000_001, "454.74 GB"),
            (5_000_000, "0.01 GB"),
            (4_999_999, "0.00 GB"),
            (1_500 * GB, "1.50 TB"),
        ] {
            assert_eq!(DecimalSize(bytes).to_string(), text);
        }
    }
}

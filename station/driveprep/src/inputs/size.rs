//! Sizes as people write them.

use manifest::BlockLength;

use super::InputFault;

/// Units, the longer ones first: `MiB` ends with `B` too. Decimal as drives are sold and as
/// `/DriveSize` counts (azure-import-export.md §2.9); binary with an `i`.
const UNITS: [(&str, u64); 11] = [
    ("KIB", 1 << 10),
    ("MIB", 1 << 20),
    ("GIB", 1 << 30),
    ("TIB", 1 << 40),
    ("PIB", 1 << 50),
    ("KB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
    ("PB", 1_000_000_000_000_000),
    ("B", 1),
];

/// Reads `500GB`, `1.5 TB`, `64MiB` or a number of bytes. Units in any case; a blank before them.
///
/// # Errors
/// [`InputFault::Size`].
pub fn parse_bytes(text: &str) -> Result<u64, InputFault> {
    let fault = || InputFault::Size { found: text.to_owned() };
    let upper = text.trim().to_ascii_uppercase();
    let unit = UNITS.iter().find_map(|(unit, bytes)| Some((upper.strip_suffix(unit)?, *bytes)));
    let (number, unit_bytes) = unit.unwrap_or((&upper, 1));
    scaled(number.trim_end(), unit_bytes).filter(|bytes| *bytes > 0).ok_or_else(fault)
}

/// Blocks begin where clusters of the drive do, and these are the smallest: larger clusters are held
/// against the blocks when the drive is laid out.
const BLOCK_UNIT_BYTES: u64 = 4 << 10;

/// Reads how long blocks shall be.
///
/// # Errors
/// [`InputFault::Size`] and [`InputFault::BlockLength`].
pub fn parse_block_length(text: &str) -> Result<BlockLength, InputFault> {
    let bytes = parse_bytes(text)?;
    let length = BlockLength::new(bytes).filter(|_| bytes.is_multiple_of(BLOCK_UNIT_BYTES));
    length.ok_or_else(|| InputFault::BlockLength { found: text.to_owned() })
}

/// `number` of that unit, exactly; digits behind the point that make no whole byte are dropped.
fn scaled(number: &str, unit_bytes: u64) -> Option<u64> {
    let (whole, part) = number.split_once('.').unwrap_or((number, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !digits(whole) || !digits(part) || part.len() > 15 || number.ends_with('.') {
        return None;
    }
    let scale = 10_u128.pow(u32::try_from(part.len()).ok()?);
    let scaled = format!("{whole}{part}").parse::<u128>().ok()?.checked_mul(unit_bytes.into())?;
    u64::try_from(scaled / scale).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_people_write_them() {
        for (text, expected) in [
            ("500GB", 500_000_000_000),
            ("1.5TB", 1_500_000_000_000),
            ("1.5 tb", 1_500_000_000_000),
            ("64MiB", 64 << 20),
            ("0.5KiB", 512),
            ("512", 512),
            ("7 B", 7),
            ("18.4PB", 18_400_000_000_000_000),
        ] {
            assert_eq!(parse_bytes(text).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn blocks_are_whole_clusters_up_to_100_mib() {
        for (text, expected) in [("4KiB", 4_096), ("12KiB", 12_288), ("8MiB", 8 << 20), ("100MiB", 100 << 20)]
        {
            assert_eq!(parse_block_length(text).unwrap().bytes(), expected, "{text}");
        }
        for text in ["", "0", "512", "4KB", "100MB1", "104861696", "1GiB"] {
            assert!(parse_block_length(text).is_err(), "{text}");
        }
    }

    #[test]
    fn anything_else_is_no_size() {
        for text in
            ["", "GB", "0", "-1", "1.", ".5GB", "1,5TB", "1e3", "99999999PB", "5 5GB", "1.5.5GB", "5XB"]
        {
            assert!(parse_bytes(text).is_err(), "{text}");
        }
    }
}

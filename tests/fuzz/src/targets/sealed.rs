//! Sealed metadata that a format is resumed from. Oracle: what is accepted is what would be written.

use bitlocker::RecoveryPassword;
use bitlocker::format::{Formatter, Layout};

/// Windows' smallest volume.
const VOLUME_BYTES: u64 = 64 << 20;
/// A boot sector stands before the block.
const BOOT_SECTOR_BYTES: usize = 512;

/// What the seeds open with.
pub const RECOVERY_PASSWORD: &str = "238810-662376-448998-450120-652806-203390-606320-483076";

/// The bytes are sealed metadata; taken as they are, and with the checksum put right, so that mutants get
/// past it. Only the former are opened, because that costs a key derivation. Says whether they were.
pub fn sealed(data: &[u8]) -> bool {
    let layout = Layout::within_file_system(VOLUME_BYTES, 512).expect("a size that can be laid out");
    // Accepted or not; a panic is what is looked for.
    let _ = Formatter::volume_of(&with_checksum(data), &layout);
    if Formatter::volume_of(data, &layout).is_err() {
        return false;
    }
    let password = RecoveryPassword::parse(RECOVERY_PASSWORD).expect("a well-formed one");
    let Ok(resumed) = Formatter::resume(data, layout, password) else { return false };
    let written = resumed.sealed_metadata();
    assert!(data.starts_with(&written), "what would be written is not what was accepted");
    assert!(data[written.len()..].iter().all(|byte| *byte == 0), "something was accepted and left out");
    true
}

/// The CRC-32 of the block where it belongs, if the block's length makes sense: bitlocker.md §3.5.
fn with_checksum(data: &[u8]) -> Vec<u8> {
    let mut repaired = data.to_vec();
    let area = repaired.get_mut(BOOT_SECTOR_BYTES..).unwrap_or_default();
    let units = area.get(8..10).map_or(0, |units| usize::from(units[0]) | usize::from(units[1]) << 8);
    if let Some(block) = area.get(..units * 16) {
        let checksum = crc32fast::hash(block).to_le_bytes();
        area.iter_mut().skip(units * 16 + 4).zip(checksum).for_each(|(place, byte)| *place = byte);
    }
    repaired
}

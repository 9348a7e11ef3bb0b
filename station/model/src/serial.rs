//! The drive's identity: its hardware serial number.

use std::fmt;

/// A drive's serial number with all blanks removed, as `DriveId` in jobs, manifests and logs.
///
/// Comparison is exact: two drives may differ in the case of a letter only.
/// azure-import-export.md §1.4.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DriveId(String);

impl DriveId {
    /// Normalises a serial number as a device, a label or a manifest gives it.
    ///
    /// # Errors
    /// [`NoSerial`] when nothing but blanks is left.
    pub fn new(serial: &str) -> Result<DriveId, NoSerial> {
        let text: String = serial.chars().filter(|c| !c.is_whitespace() && !c.is_control()).collect();
        if text.is_empty() { Err(NoSerial) } else { Ok(DriveId(text)) }
    }

    /// The normalised text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for DriveId {
    type Error = NoSerial;

    fn try_from(serial: String) -> Result<DriveId, NoSerial> {
        DriveId::new(&serial)
    }
}

impl From<DriveId> for String {
    fn from(drive_id: DriveId) -> String {
        drive_id.0
    }
}

impl fmt::Display for DriveId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A serial number without a single character.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the serial number is empty")]
pub struct NoSerial;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blanks_of_an_ata_serial_number_are_removed() {
        assert_eq!(DriveId::new("  WD-WX 31A \0").unwrap().as_str(), "WD-WX31A");
        assert_eq!(DriveId::new("  \t"), Err(NoSerial));
    }
}

//! The places where a serial number may be.

use std::fmt;
use std::fs;
use std::path::Path;

use super::{read_text, trimmed};

/// Where a serial number was found, from the most to the least trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SerialSource {
    /// The driver's own attribute: NVMe, MMC, virtio.
    Attribute,
    /// The unit serial number page of SCSI, which for ATA is the drive's own.
    UnitSerialPage,
    /// The end of an ATA drive's `t10.ATA` name.
    WorldwideName,
    /// udev's database.
    Udev,
}

impl fmt::Display for SerialSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SerialSource::Attribute => "the driver's serial attribute",
            SerialSource::UnitSerialPage => "SCSI page 80h",
            SerialSource::WorldwideName => "the worldwide name",
            SerialSource::Udev => "udev's database",
        })
    }
}

/// The serial number of a whole disk, given its directory in sysfs.
pub(super) fn find(disk: &Path, udev: &UdevRecord) -> Option<(String, SerialSource)> {
    let attribute = || read_text(&disk.join("serial")).or_else(|| read_text(&disk.join("device/serial")));
    let page = || unit_serial(&fs::read(disk.join("device/vpd_pg80")).ok()?);
    let name = || {
        let name = fs::read(disk.join("device/wwid")).or_else(|_| fs::read(disk.join("wwid"))).ok()?;
        ata_serial(&name)
    };
    attribute()
        .map(|serial| (serial, SerialSource::Attribute))
        .or_else(|| page().map(|serial| (serial, SerialSource::UnitSerialPage)))
        .or_else(|| name().map(|serial| (serial, SerialSource::WorldwideName)))
        .or_else(|| udev.value("ID_SERIAL_SHORT").map(|serial| (serial, SerialSource::Udev)))
}

/// SPC-4 §7.8.15: page code 80h at byte 1, length at bytes 2 and 3, the text behind.
fn unit_serial(page: &[u8]) -> Option<String> {
    let (&[_, 0x80, high, low], text) = page.split_first_chunk()? else { return None };
    let length = usize::from(u16::from_be_bytes([high, low])).min(text.len());
    trimmed(text.get(..length)?)
}

/// SAT-3 §10.3.4.2.3: `t10.`, then `ATA` in 8 characters, the model in 40, the serial in 20.
fn ata_serial(name: &[u8]) -> Option<String> {
    let designator = name.strip_prefix(b"t10.ATA     ")?;
    trimmed(designator.get(40..)?)
}

/// One device's record in udev's database: lines `E:KEY=value`.
#[derive(Default)]
pub(super) struct UdevRecord(String);

impl UdevRecord {
    /// Empty when udev has none, or does not run.
    pub(super) fn read(path: &Path) -> UdevRecord {
        let bytes = fs::read(path).unwrap_or_default();
        UdevRecord(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// A property's value.
    pub(super) fn value(&self, key: &str) -> Option<String> {
        let value =
            |line: &str| line.strip_prefix("E:")?.strip_prefix(key)?.strip_prefix('=').map(str::to_owned);
        trimmed(self.0.lines().find_map(value)?.as_bytes())
    }
}

//! The volume as a whole: boot sectors, `$MFTMirr`, the system files, `$UpCase`, `$LogFile`.

use block::{ReadAt, SharedDevice};

use super::fault::{At, Fault, FaultKind, Faults};
use super::file::FileRecords;
use super::{Check, PartitionPlace};
use crate::boot::{BOOT_BYTES, Geometry};
use crate::bytes::{on_volume, u8_at, u16_at, u32_at, u64_at};
use crate::health::{LogFile, RESTART_BYTES, log_state};
use crate::mft::Mft;
use crate::record::{Body, DATA, FILE_NAME, FileName, Record, VOLUME_INFORMATION};
use crate::upcase::{TABLE_BYTES, UpCase};

const MIRROR: u64 = 1;
const LOG_FILE: u64 = 2;
const VOLUME: u64 = 3;
const ATTRIBUTE_DEFINITIONS: u64 = 4;
const ROOT: u64 = 5;
const UPCASE: u64 = 10;
pub(crate) const BOOT: u64 = 7;
/// Names by record number.
const SYSTEM_NAMES: [&str; 12] = [
    "$MFT", "$MFTMirr", "$LogFile", "$Volume", "$AttrDef", ".", "$Bitmap", "$Boot", "$BadClus", "$Secure",
    "$UpCase", "$Extend",
];
/// Records whose sequence number is fixed.
const FIXED_SEQUENCES: u64 = 16;
const DIRTY: u16 = 1;
/// `$AttrDef` has 160 bytes a type; a real one has 2,560.
const DEFINITION_BYTES: usize = 160;
const DEFINITIONS_BYTES_MAX: u64 = 64 << 10;

/// Records that belong to the file system but are no files; old versions mark the free ones as used.
pub(super) fn is_reserved(record: u64) -> bool {
    (12..24).contains(&record)
}

/// Boot sector, its copy, and what both must say.
pub(super) fn boot(
    device: &SharedDevice,
    geometry: &Geometry,
    partition: Option<PartitionPlace>,
    faults: &mut Faults,
) {
    let (expected, found) = (geometry.volume_bytes, device.length_bytes());
    if found < expected {
        faults.push(Fault::new(BOOT, FaultKind::DeviceShort { expected, found }));
    }
    let (mut first, mut copy) = ([0; BOOT_BYTES], [0; BOOT_BYTES]);
    if device.read_exact_at(&mut first, 0).is_err() {
        faults.push(Fault::new(BOOT, FaultKind::Unreadable).at(At::OnVolume(0)));
        return;
    }
    let copy_at = geometry.volume_bytes;
    match device.read_exact_at(&mut copy, copy_at) {
        Ok(()) => {
            if let Some(at) = first_difference(&first, &copy) {
                faults.push(Fault::new(BOOT, FaultKind::BackupBoot { at }).at(At::OnVolume(copy_at)));
            }
        }
        Err(_) => faults.push(Fault::new(BOOT, FaultKind::Unreadable).at(At::OnVolume(copy_at))),
    }
    for (field, expected, found) in boot_fields(&first, geometry, partition) {
        if expected != found {
            let kind = FaultKind::BootField { field, expected, found };
            faults.push(Fault::new(BOOT, kind).at(At::OnVolume(0)));
        }
    }
}

type BootField = (&'static str, u64, u64);

fn boot_fields(
    sector: &[u8],
    geometry: &Geometry,
    partition: Option<PartitionPlace>,
) -> impl Iterator<Item = BootField> {
    let fixed = [("end mark", 0xaa55, u16_at(sector, 0x1fe).unwrap_or(0).into())];
    let placed = partition.map(|place| {
        let sectors = u64_at(sector, 0x28).unwrap_or(0);
        let hidden = u32_at(sector, 0x1c).unwrap_or(0);
        let bytes = u64::from(geometry.sector_bytes);
        let all = place.length_bytes.checked_div(bytes).unwrap_or(0);
        // The copy of the boot sector takes the last one.
        [
            ("sector count", all.saturating_sub(1), sectors),
            ("number of hidden sectors", place.first_sector, hidden.into()),
        ]
    });
    fixed.into_iter().chain(placed.into_iter().flatten())
}

fn first_difference(left: &[u8], right: &[u8]) -> Option<u32> {
    let at = left.iter().zip(right).position(|(left, right)| left != right)?;
    u32::try_from(at).ok()
}

/// The table, and whether it is that of Windows. The standard one takes the place of one that is lost.
pub(crate) fn upcase(device: &dyn ReadAt, mft: &Mft, limits: &crate::Limits, faults: &mut Faults) -> UpCase {
    let file = FileRecords::load(mft, limits, UPCASE);
    let value = file.and_then(|file| file.value(mft.geometry(), limits, DATA, &[]));
    let content = value.and_then(|value| value.whole(device, TABLE_BYTES));
    let Some(found) = content.as_deref().and_then(UpCase::parse) else {
        faults.push(Fault::new(UPCASE, FaultKind::UpCaseLost));
        return UpCase::standard();
    };
    let standard = UpCase::standard();
    if let Some(unit) = (0..=u16::MAX).find(|&unit| standard.unit(unit) != found.unit(unit)) {
        let kind = FaultKind::UpCase { unit, expected: standard.unit(unit), found: found.unit(unit) };
        let at = At::InStream(u64::from(unit).saturating_mul(2));
        faults.push(Fault::new(UPCASE, kind).at(at));
    }
    found
}

impl Check<'_> {
    pub(super) fn system_files(&mut self) {
        for (number, expected) in (0_u64..).zip(SYSTEM_NAMES) {
            self.system_name(number, expected);
        }
        for number in 0..FIXED_SEQUENCES {
            let expected = u16::try_from(number).unwrap_or(0).max(1);
            let found = self.table.sequence(number);
            if self.table.is_file(number) && !self.table.has(number, super::table::LOST) && found != expected
            {
                self.fault(number, FaultKind::SystemSequence { expected, found });
            }
        }
        self.mirror();
        self.volume_flags();
        self.log_file();
        self.attribute_definitions();
    }

    fn system_name(&mut self, number: u64, expected: &'static str) {
        let file = FileRecords::load(self.mft, &self.limits, number);
        let is_right = file.is_some_and(|file| {
            file.attributes().any(|(_, attribute)| match attribute.body {
                Body::Resident(value) if attribute.kind == FILE_NAME => {
                    FileName::parse(value).is_some_and(|name| {
                        let units = super::btree::units(name.name);
                        name.parent.record == ROOT && units.eq(expected.encode_utf16())
                    })
                }
                _ => false,
            })
        });
        if !is_right || !self.table.is_file(number) {
            self.fault(number, FaultKind::SystemFile { expected });
        }
    }

    /// Four records, or as many as a cluster holds; Windows keeps only the four in step.
    fn mirror(&mut self) {
        let length = self.geometry.record_length();
        let start = self.geometry.cluster_offset(self.geometry.mirror_lcn);
        for number in 0..4_u64 {
            let within = number.saturating_mul(on_volume(length));
            let (mut first, mut copy) = (vec![0; length], vec![0; length]);
            let offset = start.map(|start| start.saturating_add(within));
            let read = offset
                .is_some_and(|offset| self.mft.device().read_exact_at(&mut copy, offset).is_ok())
                && self.mft.read(&mut first, within).is_ok();
            let at = At::OnVolume(offset.unwrap_or(0));
            if !read {
                self.faults.push(Fault::new(number, FaultKind::Unreadable).at(at));
            } else if let Some(byte) = first_difference(&first, &copy) {
                self.faults.push(Fault::new(number, FaultKind::Mirror { at: byte }).at(at));
            }
        }
        let place = self.system_value(MIRROR, DATA, &[]);
        if let Some(super::file::Value::Clusters(clusters)) = place {
            let found = clusters.extents.first().and_then(|extent| extent.volume_offset_bytes);
            if found != start {
                let (expected, found) = (start.unwrap_or(0), found.unwrap_or(0));
                self.fault(
                    MIRROR,
                    FaultKind::BootField { field: "$MFTMirr offset", expected: found, found: expected },
                );
            }
        }
    }

    fn volume_flags(&mut self) {
        let Ok(raw) = self.mft.record(VOLUME) else { return };
        let value = Record::parse(&raw).ok().and_then(|record| {
            record.attributes().map_while(Result::ok).find_map(|attribute| match attribute.body {
                Body::Resident(value) if attribute.kind == VOLUME_INFORMATION => Some(value.to_vec()),
                _ => None,
            })
        });
        let Some(value) = value else {
            self.fault(VOLUME, FaultKind::AttributeMissing { kind: VOLUME_INFORMATION });
            return;
        };
        let byte = |at| u8_at(&value, at).unwrap_or(0);
        let (major, minor, flags) = (byte(8), byte(9), u16_at(&value, 10).unwrap_or(0));
        if major != 3 {
            self.fault(VOLUME, FaultKind::Version { major, minor });
        }
        if flags & DIRTY != 0 {
            self.fault(VOLUME, FaultKind::Dirty { flags });
        }
    }

    fn log_file(&mut self) {
        let Some(log) = self.system_value(LOG_FILE, DATA, &[]) else { return };
        let mut pages = vec![0; RESTART_BYTES];
        let is_read = log.read(&**self.mft.device(), &mut pages, 0).is_some();
        match log_state(&mut pages) {
            _ if !is_read => self.fault(LOG_FILE, FaultKind::Unreadable),
            LogFile::Clean | LogFile::Empty => {}
            LogFile::Unclean | LogFile::Unreadable => self.fault(LOG_FILE, FaultKind::LogOpen),
        }
    }

    /// Types in ascending order, ended by a type of zero.
    fn attribute_definitions(&mut self) {
        let Some(value) = self.system_value(ATTRIBUTE_DEFINITIONS, DATA, &[]) else { return };
        let content = value.whole(&**self.mft.device(), DEFINITIONS_BYTES_MAX).unwrap_or_default();
        let (mut before, mut entry) = (0, 0_u32);
        for definition in content.chunks_exact(DEFINITION_BYTES) {
            let kind = u32_at(definition, 128).unwrap_or(0);
            if kind == 0 && before != 0 {
                return;
            }
            if kind <= before || !kind.is_multiple_of(16) {
                break;
            }
            (before, entry) = (kind, entry.saturating_add(1));
        }
        if before == 0
            || !content.len().is_multiple_of(DEFINITION_BYTES)
            || on_volume(content.len()) < value.length_bytes()
        {
            self.fault(ATTRIBUTE_DEFINITIONS, FaultKind::AttributeDefinitions { entry });
        }
    }
}

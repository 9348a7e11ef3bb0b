//! One of the three copies of the metadata: read, checked, taken apart (spec §3.1–3.5).
//!
//! A copy is believed only when its CRC-32 is right and its own list of offsets names the place it
//! was read from, so a block left over from an earlier volume is not taken.

use std::fmt;

use block::{ReadAt, ReadErrorKind};
use sha2::{Digest, Sha256};

use super::datum::{Datum, DatumError, DatumType, Datums, Role};
use super::protector::Protector;
use crate::bytes::{guid_at, u16_at, u32_at, u64_at, utf16_text};
use crate::ccm::Sealed;
use crate::{FileTime, Guid, Method};

/// Length of a metadata area on Windows 7 and later.
pub(crate) const AREA_BYTES: u64 = 0x10000;

/// Length of a metadata area on Vista, before rounding up to the cluster size.
pub(crate) const VISTA_AREA_BYTES: u64 = 0x4000;

pub(crate) const SIGNATURE: &[u8; 8] = b"-FVE-FS-";

pub(crate) const BLOCK_HEADER_BYTES: usize = 64;
pub(crate) const DATASET_HEADER_BYTES: usize = 48;

/// Size 2, version 2, CRC-32 4.
const VALIDATION_HEADER_BYTES: usize = 8;

/// How one copy of the metadata is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CopyHealth {
    /// Readable, and its checksum is right.
    Good,
    /// The boot sector or another copy puts it outside the device.
    OutsideDevice,
    /// The device could not read it.
    Unreadable(ReadErrorKind),
    /// There is no metadata block.
    NoSignature,
    /// A block of a version that nobody knows.
    UnknownVersion(u16),
    /// Its size is impossible.
    WrongSize(u64),
    /// Its bytes were changed.
    WrongChecksum {
        /// The CRC-32 that stands behind the block.
        expected: u32,
        /// The CRC-32 of the block.
        found: u32,
    },
    /// It says that it lies elsewhere: left over from another volume.
    Misplaced,
    /// The checksum is right and the contents make no sense.
    Malformed(String),
}

impl fmt::Display for CopyHealth {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CopyHealth::Good => formatter.write_str("good"),
            CopyHealth::OutsideDevice => formatter.write_str("outside the device"),
            CopyHealth::Unreadable(kind) => write!(formatter, "unreadable: {kind}"),
            CopyHealth::NoSignature => formatter.write_str("no metadata there"),
            CopyHealth::UnknownVersion(version) => write!(formatter, "unknown version {version}"),
            CopyHealth::WrongSize(size) => write!(formatter, "impossible size of {size} bytes"),
            CopyHealth::WrongChecksum { expected, found } => {
                write!(formatter, "CRC-32 is {found:#010x} and should be {expected:#010x}")
            }
            CopyHealth::Misplaced => formatter.write_str("belongs to another place or volume"),
            CopyHealth::Malformed(what) => write!(formatter, "malformed: {what}"),
        }
    }
}

/// What a good copy says.
pub(crate) struct Block {
    pub(crate) version: u16,
    pub(crate) state: u16,
    pub(crate) next_state: u16,
    pub(crate) watermark_bytes: u64,
    pub(crate) conversion_log_bytes: u32,
    pub(crate) virtualised_sectors: u32,
    pub(crate) area_offsets_bytes: [u64; 3],
    /// Offset of the virtualised area; on Vista the cluster of $MFTMirr.
    pub(crate) last_field: u64,
    pub(crate) volume_id: Guid,
    pub(crate) next_nonce: u32,
    pub(crate) method: Method,
    pub(crate) created: FileTime,
    pub(crate) description: Option<String>,
    pub(crate) protectors: Vec<Protector>,
    /// Protectors whose datums are impossible.
    pub(crate) broken_protectors: u32,
    pub(crate) fvek: Option<Sealed>,
    pub(crate) virtualisation: Option<Virtualisation>,
    pub(crate) validation: Option<Sealed>,
    pub(crate) sha256: [u8; 32],
}

/// The virtualisation datum (spec §3.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Virtualisation {
    pub(crate) offset_bytes: u64,
    pub(crate) size_bytes: u64,
    /// Logical sector size from the extended part, if it is there.
    pub(crate) sector_bytes: Option<u32>,
    /// Flags from there.
    pub(crate) flags: Option<u64>,
}

/// Extended flags: set while an encrypt-on-write conversion runs, and on To Go volumes, which have
/// the second one as well (spec §3.4).
const FLAG_CONVERTING: u64 = 0x40;
const FLAG_TO_GO: u64 = 0x800;

impl Block {
    /// Whether the extended flags say that only bitmaps know what is encrypted: the boot sector says
    /// it by its GUID, and this is for when there is none.
    pub(crate) fn is_encrypt_on_write(&self) -> bool {
        let flags = self.virtualisation.and_then(|datum| datum.flags).unwrap_or(0);
        flags & (FLAG_CONVERTING | FLAG_TO_GO) == FLAG_CONVERTING
    }
}

/// Reads and checks the copy at an offset.
pub(crate) fn read_copy(device: &dyn ReadAt, offset_bytes: u64) -> Result<Block, CopyHealth> {
    let block = read_block(device, offset_bytes)?;
    if block.area_offsets_bytes.contains(&offset_bytes) { Ok(block) } else { Err(CopyHealth::Misplaced) }
}

/// The same wherever its volume began, so its own list of offsets is not held against it.
pub(crate) fn read_block(device: &dyn ReadAt, offset_bytes: u64) -> Result<Block, CopyHealth> {
    let mut header = [0; BLOCK_HEADER_BYTES];
    read(device, &mut header, offset_bytes)?;
    let (version, block_bytes, area_bytes) = block_size(&header)?;
    // The validation structure says its own size, which is that of the whole area; its one datum is
    // short, and nothing behind it counts, so unreadable padding does not matter.
    let wanted = block_bytes.saturating_add(VALIDATION_BYTES_MAX).min(area_bytes);
    let mut area = vec![0; wanted];
    read(device, &mut area, offset_bytes)?;
    let (block, validation) = area.split_at_checked(block_bytes).ok_or(CopyHealth::NoSignature)?;
    let expected = u32_at(validation, 4).ok_or(CopyHealth::NoSignature)?;
    let found = crc32fast::hash(block);
    if expected != found {
        return Err(CopyHealth::WrongChecksum { expected, found });
    }
    parse_block(block, validation, version)
}

/// Room for the header and one sealed hash (0x58 bytes), with some to spare.
const VALIDATION_BYTES_MAX: usize = 256;

fn read(device: &dyn ReadAt, buffer: &mut [u8], offset_bytes: u64) -> Result<(), CopyHealth> {
    device.read_exact_at(buffer, offset_bytes).map_err(|error| match error.kind {
        ReadErrorKind::OutOfRange { .. } => CopyHealth::OutsideDevice,
        kind => CopyHealth::Unreadable(kind),
    })
}

/// Version, length of the block, length of the area it lies in.
pub(crate) fn block_size(header: &[u8; BLOCK_HEADER_BYTES]) -> Result<(u16, usize, usize), CopyHealth> {
    if !header.starts_with(SIGNATURE) {
        return Err(CopyHealth::NoSignature);
    }
    let size = usize::from(u16_at(header, 8).unwrap_or(0));
    let version = u16_at(header, 10).unwrap_or(0);
    let (size, area): (usize, usize) = match version {
        1 => (size, 0x4000),
        2 => (size.saturating_mul(16), 0x10000),
        other => return Err(CopyHealth::UnknownVersion(other)),
    };
    let smallest = BLOCK_HEADER_BYTES.saturating_add(DATASET_HEADER_BYTES);
    let largest = area.saturating_sub(VALIDATION_HEADER_BYTES);
    if (smallest..=largest).contains(&size) {
        Ok((version, size, area))
    } else {
        Err(CopyHealth::WrongSize(size as u64))
    }
}

fn malformed(what: &str) -> CopyHealth {
    CopyHealth::Malformed(what.to_owned())
}

fn parse_block(block: &[u8], validation: &[u8], version: u16) -> Result<Block, CopyHealth> {
    let dataset = block.get(BLOCK_HEADER_BYTES..).unwrap_or_default();
    let dataset_bytes = u32_at(dataset, 0).and_then(|size| usize::try_from(size).ok());
    let header_bytes = u32_at(dataset, 8).and_then(|size| usize::try_from(size).ok());
    if u32_at(dataset, 4) != Some(1) {
        return Err(malformed("unknown version of the dataset"));
    }
    let datums = dataset_bytes
        .zip(header_bytes)
        .filter(|(_, header)| *header >= DATASET_HEADER_BYTES)
        .and_then(|(size, header)| dataset.get(header..size))
        .ok_or_else(|| malformed("the dataset does not fit its block"))?;
    let mut parsed =
        parse_headers(block, dataset, version).ok_or_else(|| malformed("the headers are cut"))?;
    parse_datums(&mut parsed, Datums::new(datums)).map_err(|error| malformed(&error.to_string()))?;
    let validation = validation.get(VALIDATION_HEADER_BYTES..).unwrap_or_default();
    let sealed = Datums::new(validation).next().and_then(Result::ok);
    parsed.validation =
        sealed.filter(|datum| datum.kind == DatumType::SEALED).and_then(|datum| Sealed::parse(datum.body));
    parsed.sha256 = Sha256::digest(block).into();
    Ok(parsed)
}

fn parse_headers(block: &[u8], dataset: &[u8], version: u16) -> Option<Block> {
    Some(Block {
        version,
        state: u16_at(block, 12)?,
        next_state: u16_at(block, 14)?,
        watermark_bytes: u64_at(block, 16)?,
        conversion_log_bytes: u32_at(block, 24)?,
        virtualised_sectors: u32_at(block, 28)?,
        area_offsets_bytes: [u64_at(block, 32)?, u64_at(block, 40)?, u64_at(block, 48)?],
        last_field: u64_at(block, 56)?,
        volume_id: guid_at(dataset, 16)?,
        next_nonce: u32_at(dataset, 32)?,
        method: Method::from_number(u16_at(dataset, 36)?),
        created: FileTime(u64_at(dataset, 40)?),
        description: None,
        protectors: Vec::new(),
        broken_protectors: 0,
        fvek: None,
        virtualisation: None,
        validation: None,
        sha256: [0; 32],
    })
}

fn parse_datums(block: &mut Block, datums: Datums<'_>) -> Result<(), DatumError> {
    for datum in datums {
        take_datum(block, &datum?);
    }
    Ok(())
}

fn take_datum(block: &mut Block, datum: &Datum<'_>) {
    match (datum.role, datum.kind) {
        (Role::VMK, DatumType::VMK) => match Protector::parse(datum.body) {
            Ok(protector) => block.protectors.push(protector),
            Err(_) => block.broken_protectors = block.broken_protectors.saturating_add(1),
        },
        (Role::FVEK, DatumType::SEALED) if block.fvek.is_none() => block.fvek = Sealed::parse(datum.body),
        (Role::DESCRIPTION, DatumType::TEXT) => block.description = Some(utf16_text(datum.body)),
        // The type alone decides: some writers leave the role 0 (spec §8).
        (_, DatumType::VIRTUALISATION) => block.virtualisation = virtualisation(datum.body),
        _ => {}
    }
}

/// Offset 8, size 8; then, since Windows 8, 76 bytes with flags at 8 and the logical sector size
/// at 28.
fn virtualisation(body: &[u8]) -> Option<Virtualisation> {
    const EXTENDED_AT: usize = 16;
    Some(Virtualisation {
        offset_bytes: u64_at(body, 0)?,
        size_bytes: u64_at(body, 8)?,
        sector_bytes: u32_at(body, EXTENDED_AT + 28),
        flags: u64_at(body, EXTENDED_AT + 8),
    })
}

//! The metadata area of a new volume: block, checksum, sealed hash (spec §3, §9.3).

use sha2::{Digest, Sha256};

use super::Coverage;
use super::layout::{Layout, VIRTUALISED_BYTES};
use super::protectors::{Nonces, key_datum};
use crate::ccm::Sealed;
use crate::metadata::copy::{AREA_BYTES, BLOCK_HEADER_BYTES, DATASET_HEADER_BYTES, SIGNATURE, block_size};
use crate::metadata::datum::{DatumType, Role, build};
use crate::metadata::protector::METHOD_SHA256;
use crate::{FileTime, Guid, Method};

/// Everything of a block but its datums.
pub(super) struct Fields<'a> {
    pub(super) layout: &'a Layout,
    pub(super) volume_id: Guid,
    pub(super) method: Method,
    pub(super) created: FileTime,
}

/// State "encrypted", now and next.
const STATE_ENCRYPTED: u16 = 4;

const VERSION: u16 = 2;

/// Blocks are counted in units of 16 bytes.
const UNIT_BYTES: usize = 16;

/// Bit that Windows 10 and later set in the time of the hash's nonce (spec §3.5).
const HASH_TIME_BIT: u64 = 1 << 63;

/// The build of the Windows whose extended fields these are (spec §9.3).
const WINDOWS_BUILD: u32 = 26200;

/// Flags of the extended information; bit 0 set: used space only (spec §9.4).
const FLAGS_WHOLE_SURFACE: u64 = 0x0A;
const FLAGS_USED_SPACE: u64 = 0x0B;

impl Coverage {
    fn flags(self) -> u64 {
        match self {
            Coverage::UsedSpaceOnly => FLAGS_USED_SPACE,
            Coverage::WholeSurface => FLAGS_WHOLE_SURFACE,
        }
    }

    /// By the flags of a volume that was formatted here.
    pub(super) fn of_flags(flags: u64) -> Option<Coverage> {
        [Coverage::UsedSpaceOnly, Coverage::WholeSurface].into_iter().find(|own| own.flags() == flags)
    }
}

/// The area; `None` when the datums do not fit into 64 KiB.
pub(super) fn build_area(
    fields: &Fields<'_>,
    datums: &[u8],
    vmk: &[u8; 32],
    nonces: &mut Nonces,
) -> Option<Vec<u8>> {
    let hash_nonce = nonces.next_at(FileTime(nonces.time().0 | HASH_TIME_BIT));
    let block = build_block(fields, datums, nonces.upcoming())?;
    let hash = key_datum(METHOD_SHA256, &Sha256::digest(&block), 0);
    let sealed = Sealed::seal(vmk, hash_nonce, &hash);
    let area_bytes = usize::try_from(AREA_BYTES).ok()?;
    let validation_bytes = u16::try_from(area_bytes.checked_sub(block.len())?).ok()?;
    let checksum = crc32fast::hash(&block);
    let mut area = block;
    area.extend_from_slice(&validation_bytes.to_le_bytes());
    area.extend_from_slice(&VERSION.to_le_bytes());
    area.extend_from_slice(&checksum.to_le_bytes());
    area.extend_from_slice(&build(Role::PROPERTY, DatumType::SEALED, 1, &sealed.to_bytes()));
    if area.len() > area_bytes {
        return None;
    }
    area.resize(area_bytes, 0);
    Some(area)
}

/// How much of an area is used: block, checksum, sealed hash. `None` for what is no block.
pub(super) fn used_bytes(area: &[u8]) -> Option<usize> {
    /// Size 2, version 2, CRC-32 4; a datum with nonce, tag and a key datum of 0x2C bytes.
    const VALIDATION_BYTES: usize = 8 + 0x50;
    let (_, block_bytes, _) = block_size(area.first_chunk()?).ok()?;
    block_bytes.checked_add(VALIDATION_BYTES)
}

/// The virtualisation datum with its extended part (spec §3.4).
pub(super) fn virtualisation(layout: &Layout, coverage: Coverage) -> Vec<u8> {
    let sector_bytes = layout.sector_bytes().to_le_bytes();
    let body = [
        &layout.virtualised_bytes().to_le_bytes()[..],
        &VIRTUALISED_BYTES.to_le_bytes(),
        // Extended part: version 5, its size, 0.
        &5_u16.to_le_bytes(),
        &76_u16.to_le_bytes(),
        &[0; 4],
        &coverage.flags().to_le_bytes(),
        // No conversion log.
        &[0; 12],
        &sector_bytes,
        &sector_bytes,
        // Windows 10.0, its build, platform 2.
        &10_u32.to_le_bytes(),
        &[0; 4],
        &WINDOWS_BUILD.to_le_bytes(),
        &2_u32.to_le_bytes(),
        // Service pack 0.0, suite.
        &[0; 4],
        &0x0110_u16.to_le_bytes(),
        &[1, 2],
        &layout.spare_bytes().to_le_bytes(),
        &0x10000_u32.to_le_bytes(),
        &[0; 4],
    ]
    .concat();
    build(Role::VIRTUALISATION, DatumType::VIRTUALISATION, 1, &body)
}

fn build_block(fields: &Fields<'_>, datums: &[u8], next_nonce: u32) -> Option<Vec<u8>> {
    let dataset_bytes = DATASET_HEADER_BYTES.checked_add(datums.len())?;
    let block_bytes = BLOCK_HEADER_BYTES.checked_add(dataset_bytes)?.checked_next_multiple_of(UNIT_BYTES)?;
    let mut block = block_header(fields.layout, u16::try_from(block_bytes / UNIT_BYTES).ok()?);
    block.extend_from_slice(&dataset_header(fields, u32::try_from(dataset_bytes).ok()?, next_nonce));
    block.extend_from_slice(datums);
    block.resize(block_bytes, 0);
    Some(block)
}

fn block_header(layout: &Layout, units: u16) -> Vec<u8> {
    let virtualised_sectors = if layout.sector_bytes() == 4096 { 2_u32 } else { 16 };
    let [first, second, third] = layout.areas_bytes().map(u64::to_le_bytes);
    [
        &SIGNATURE[..],
        &units.to_le_bytes(),
        &VERSION.to_le_bytes(),
        &STATE_ENCRYPTED.to_le_bytes(),
        &STATE_ENCRYPTED.to_le_bytes(),
        &layout.volume_bytes().to_le_bytes(),
        &[0; 4],
        &virtualised_sectors.to_le_bytes(),
        &first,
        &second,
        &third,
        &layout.virtualised_bytes().to_le_bytes(),
    ]
    .concat()
}

fn dataset_header(fields: &Fields<'_>, dataset_bytes: u32, next_nonce: u32) -> Vec<u8> {
    let method = fields.method.number().to_le_bytes();
    [
        &dataset_bytes.to_le_bytes()[..],
        &1_u32.to_le_bytes(),
        &48_u32.to_le_bytes(),
        // The end: readers want it equal to the size.
        &dataset_bytes.to_le_bytes(),
        &fields.volume_id.to_bytes(),
        &next_nonce.to_le_bytes(),
        &method,
        &method,
        &fields.created.0.to_le_bytes(),
    ]
    .concat()
}

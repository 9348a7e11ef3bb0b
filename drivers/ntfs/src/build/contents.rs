//! What stands in `$UpCase`, `$AttrDef` and the boot sector. spec/ntfs.md §5.

use super::fields::Fields;
use super::settings::{Settings, Shape, block_bytes};
use super::system::{SystemFiles, SystemStream};
use crate::upcase::UpCase;

pub(super) use crate::upcase::TABLE_BYTES as UPCASE_BYTES;

/// Sixteen entries of 160 bytes, the last one empty.
pub(super) const ATTRIBUTE_DEFINITIONS_BYTES: u64 = 2560;
const DEFINITION_BYTES: usize = 160;
/// Bytes for the name in an entry.
const DEFINITION_NAME_BYTES: usize = 128;

/// An attribute type: name, type, flags, least and most bytes.
struct Definition(&'static str, u32, u32, u64, u64);

/// Flags of a definition: may be resident only, may stand in an index, always non-resident-capable.
const INDEXED: u32 = 0x02;
const RESIDENT: u32 = 0x40;
const NON_RESIDENT: u32 = 0x80;
const ANY: u64 = u64::MAX;

/// As every NTFS 3.1 volume has it.
const DEFINITIONS: [Definition; 15] = [
    Definition("$STANDARD_INFORMATION", 0x10, RESIDENT, 0x30, 0x48),
    Definition("$ATTRIBUTE_LIST", 0x20, NON_RESIDENT, 0, ANY),
    Definition("$FILE_NAME", 0x30, RESIDENT | INDEXED, 0x44, 0x242),
    Definition("$OBJECT_ID", 0x40, RESIDENT, 0, 0x100),
    Definition("$SECURITY_DESCRIPTOR", 0x50, NON_RESIDENT, 0, ANY),
    Definition("$VOLUME_NAME", 0x60, RESIDENT, 0x2, 0x100),
    Definition("$VOLUME_INFORMATION", 0x70, RESIDENT, 0xc, 0xc),
    Definition("$DATA", 0x80, 0, 0, ANY),
    Definition("$INDEX_ROOT", 0x90, RESIDENT, 0, ANY),
    Definition("$INDEX_ALLOCATION", 0xa0, NON_RESIDENT, 0, ANY),
    Definition("$BITMAP", 0xb0, NON_RESIDENT, 0, ANY),
    Definition("$REPARSE_POINT", 0xc0, NON_RESIDENT, 0, 0x4000),
    Definition("$EA_INFORMATION", 0xd0, RESIDENT, 0x8, 0x8),
    Definition("$EA", 0xe0, 0, 0, 0x1_0000),
    Definition("$LOGGED_UTILITY_STREAM", 0x100, NON_RESIDENT, 0, 0x1_0000),
];

/// The content of `$AttrDef`.
pub(super) fn attribute_definitions() -> Vec<u8> {
    let mut table = Vec::new();
    for Definition(name, kind, flags, least, most) in DEFINITIONS {
        let start = table.len();
        table.put_units(&name.encode_utf16().collect::<Vec<_>>());
        table.pad_to(start.saturating_add(DEFINITION_NAME_BYTES));
        table.put_u32(kind);
        // Display rule and collation: none are used.
        table.put_u32(0);
        table.put_u32(0);
        table.put_u32(flags);
        table.put_u64(least);
        table.put_u64(most);
    }
    let empty = table.len().saturating_add(DEFINITION_BYTES);
    table.pad_to(empty);
    table
}

/// The content of `$UpCase`.
pub(super) fn upcase_table(upcase: &UpCase) -> Vec<u8> {
    (0..=u16::MAX).flat_map(|unit| upcase.unit(unit).to_le_bytes()).collect()
}

/// The jump over the boot sector's fields; there is no code that it would lead to.
const JUMP: [u8; 3] = [0xeb, 0x52, 0x90];
const MEDIA: u8 = 0xf8;
/// Geometry of a disk that has none any more: what Windows writes.
const SECTORS_PER_TRACK: u16 = 63;
const HEADS: u16 = 255;
const DRIVE: [u8; 4] = [0x80, 0, 0x80, 0];
const SIGNATURE: [u8; 2] = [0x55, 0xaa];
const SIGNATURE_AT: usize = 510;

/// The boot sector, filled up to a whole sector.
pub(super) fn boot_sector(settings: &Settings, shape: &Shape, system: &SystemFiles) -> Vec<u8> {
    let lcn = |stream| system.stream(stream).and_then(|stored| stored.runs.first()).map_or(0, |run| run.lcn);
    let mut sector = Vec::new();
    sector.put(&JUMP);
    sector.put(b"NTFS    ");
    sector.put_u16(u16::try_from(shape.sector_bytes).unwrap_or(0));
    sector.put_u8(sectors_per_cluster(shape));
    sector.pad_to(0x15);
    sector.put_u8(MEDIA);
    sector.put_u16(0);
    sector.put_u16(SECTORS_PER_TRACK);
    sector.put_u16(HEADS);
    sector.put_u32(settings.first_sector_of_partition);
    sector.put_u32(0);
    sector.put(&DRIVE);
    sector.put_u64(shape.sectors);
    sector.put_u64(lcn(SystemStream::Mft));
    sector.put_u64(lcn(SystemStream::Mirror));
    sector.put_u32(in_clusters(shape.record_bytes, shape).into());
    sector.put_u32(in_clusters(block_bytes(), shape).into());
    sector.put_u64(settings.serial);
    sector.pad_to(SIGNATURE_AT);
    sector.put(&SIGNATURE);
    sector.pad_to(crate::bytes::in_memory(shape.sector_bytes.into()));
    sector
}

/// Sectors per cluster: 128 at most, because clusters have 64 KiB at most.
fn sectors_per_cluster(shape: &Shape) -> u8 {
    let sectors = shape.cluster_bytes.checked_div(shape.sector_bytes);
    sectors.and_then(|sectors| u8::try_from(sectors).ok()).unwrap_or(1)
}

/// A size as a count of clusters, or as the negated power of two when it is less than one.
fn in_clusters(bytes: u32, shape: &Shape) -> u8 {
    let clusters = bytes.checked_div(shape.cluster_bytes).filter(|&clusters| clusters > 0);
    let power = || u8::try_from(bytes.trailing_zeros()).unwrap_or(0).wrapping_neg();
    clusters.map_or_else(power, |clusters| u8::try_from(clusters).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use sha2::{Digest, Sha256};

    use super::*;

    fn sha256(bytes: &[u8]) -> String {
        Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn the_tables_are_those_of_windows_bit_for_bit() {
        let upcase = upcase_table(&UpCase::standard());
        assert_eq!(upcase.len() as u64, UPCASE_BYTES);
        assert_eq!(sha256(&upcase), "41c26bc7a12bdaeb26025c93118697c7e3ef81ee048b00fe5cce2a472e0e0742");
        let definitions = attribute_definitions();
        assert_eq!(definitions.len() as u64, ATTRIBUTE_DEFINITIONS_BYTES);
        assert_eq!(sha256(&definitions), "d7de5b1b2f79f45f235ceb1adbc46908ed64eae174eb90ed66aefe5f25165da3");
    }
}

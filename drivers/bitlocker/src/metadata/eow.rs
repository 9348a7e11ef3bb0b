//! Encrypt-on-write: which chunks of a volume are encrypted while Windows 10 and later convert it
//! (spec §6, EOW model).
//!
//! Two copies of an information structure name bitmaps, each bitmap covers a region and holds two
//! records, of which the one with the highest sequence and a good CRC counts. Whatever cannot be
//! read or does not add up is refused with its place: a guess would give wrong bytes.

use block::ReadAt;

use crate::bytes::{array_at, u16_at, u32_at, u64_at};
use crate::range::Range;

pub(crate) const INFORMATION_SIGNATURE: &[u8; 8] = b"FVE-EOW\0";
const BITMAP_SIGNATURE: &[u8; 10] = b"FVE-EOWBM\0";
const RECORD_SIGNATURE: &[u8; 10] = b"FVE-EOWBR\0";

const INFORMATION_HEADER_BYTES: usize = 0x38;
const BITMAP_BYTES: usize = 0x600;
const RECORD_HEADER_BYTES: usize = 0x24;

/// Where a volume's encrypted chunks are.
#[derive(Debug, Clone)]
pub(crate) struct ChunkMap {
    /// Ascending by offset, without overlap.
    regions: Vec<Region>,
    /// The structures themselves, which read as zeros.
    pub(crate) reserved: Vec<Range>,
}

#[derive(Debug, Clone)]
struct Region {
    range: Range,
    chunk_bytes: u64,
    /// One bit a chunk, the lowest first; set where the chunk is encrypted.
    bits: Vec<u8>,
}

/// Why the map could not be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the map of encrypted chunks cannot be used: {what} at {offset_bytes:#x}")]
pub struct ConversionMapError {
    /// Where on the volume.
    pub offset_bytes: u64,
    /// What is wrong there.
    pub what: &'static str,
}

type Result<T> = std::result::Result<T, ConversionMapError>;

/// The information structure.
struct Information {
    offset_bytes: u64,
    bytes: u64,
    chunk_bytes: u64,
    log_bytes: u64,
    own_bytes: [u64; 2],
    bitmap_bytes: Vec<u64>,
}

impl ChunkMap {
    /// Reads the first good copy of the information and all its bitmaps.
    pub(crate) fn read(device: &dyn ReadAt, copies_bytes: &[u64], sector_bytes: u64) -> Result<ChunkMap> {
        let mut failed = ConversionMapError { offset_bytes: 0, what: "no information structure" };
        for offset_bytes in copies_bytes {
            match Information::read(device, *offset_bytes) {
                Ok(information) => return ChunkMap::from_information(device, &information, sector_bytes),
                Err(error) => failed = error,
            }
        }
        Err(failed)
    }

    fn from_information(
        device: &dyn ReadAt,
        information: &Information,
        sector_bytes: u64,
    ) -> Result<ChunkMap> {
        if !information.chunk_bytes.is_multiple_of(sector_bytes) {
            return Err(at(information.offset_bytes, "chunks that are not whole sectors"));
        }
        let rounded = information.bytes.next_multiple_of(sector_bytes.max(1));
        let mut reserved: Vec<Range> =
            information.own_bytes.iter().map(|own| Range::new(*own, rounded)).collect();
        let mut regions = Vec::with_capacity(information.bitmap_bytes.len());
        for offset_bytes in &information.bitmap_bytes {
            let (region, log_bytes) = read_bitmap(device, *offset_bytes, information.chunk_bytes)?;
            if !region.range.is_aligned(sector_bytes) {
                return Err(at(*offset_bytes, "a region that does not begin and end with a sector"));
            }
            reserved.push(Range::new(*offset_bytes, BITMAP_BYTES as u64));
            reserved.push(Range::new(log_bytes, information.log_bytes));
            regions.push(region);
        }
        regions.sort_by_key(|region| region.range.start);
        let overlapping = regions.windows(2).find_map(|pair| match pair {
            [one, next] if one.range.end > next.range.start => Some(next.range.start),
            _ => None,
        });
        match overlapping {
            Some(offset_bytes) => Err(at(offset_bytes, "two regions that overlap")),
            None => Ok(ChunkMap { regions, reserved }),
        }
    }

    /// Whether the byte at a physical position is encrypted, and where that ends; `None` where no
    /// region covers it.
    pub(crate) fn state_at(&self, position: u64) -> Option<(bool, u64)> {
        let index = self.regions.partition_point(|region| region.range.end <= position);
        let region = self.regions.get(index).filter(|region| region.range.start <= position)?;
        let first = position.saturating_sub(region.range.start).checked_div(region.chunk_bytes)?;
        let state = region.bit(first)?;
        let mut next = first.saturating_add(1);
        while region.bit(next) == Some(state) {
            next = next.saturating_add(1);
        }
        let end = region.range.start.saturating_add(next.saturating_mul(region.chunk_bytes));
        Some((state, end.min(region.range.end)))
    }

    /// The first byte in a range that no region covers.
    pub(crate) fn first_gap(&self, range: Range) -> Option<u64> {
        let mut position = range.start;
        let first = self.regions.partition_point(|region| region.range.end <= position);
        for region in self.regions.iter().skip(first) {
            if region.range.start > position || position >= range.end {
                break;
            }
            position = position.max(region.range.end);
        }
        (position < range.end).then_some(position)
    }
}

impl Region {
    fn bit(&self, chunk: u64) -> Option<bool> {
        if self.range.start.checked_add(chunk.checked_mul(self.chunk_bytes)?)? >= self.range.end {
            return None;
        }
        let byte = self.bits.get(usize::try_from(chunk / 8).ok()?)?;
        Some((byte >> (chunk % 8)) & 1 == 1)
    }
}

impl Information {
    fn read(device: &dyn ReadAt, offset_bytes: u64) -> Result<Information> {
        let mut header = [0; INFORMATION_HEADER_BYTES];
        read(device, &mut header, offset_bytes)?;
        let size = u16_at(&header, 10).map_or(0, usize::from);
        if !header.starts_with(INFORMATION_SIGNATURE) || size < INFORMATION_HEADER_BYTES {
            return Err(at(offset_bytes, "no encrypt-on-write information"));
        }
        let mut bytes = vec![0; size];
        read(device, &mut bytes, offset_bytes)?;
        check_crc(&mut bytes, 36, offset_bytes)?;
        Information::parse(&bytes, offset_bytes)
            .ok_or(at(offset_bytes, "encrypt-on-write information that does not add up"))
    }

    fn parse(bytes: &[u8], offset_bytes: u64) -> Option<Information> {
        let regions = usize::try_from(u32_at(bytes, 32)?).ok()?;
        let list = bytes.get(usize::from(u16_at(bytes, 8)?)..)?;
        let information = Information {
            offset_bytes,
            bytes: bytes.len() as u64,
            chunk_bytes: u64::from(u32_at(bytes, 20)?),
            log_bytes: u64::from(u32_at(bytes, 24)?),
            own_bytes: [u64_at(bytes, 40)?, u64_at(bytes, 48)?],
            bitmap_bytes: list
                .as_chunks::<8>()
                .0
                .get(..regions)?
                .iter()
                .map(|offset| u64::from_le_bytes(*offset))
                .collect(),
        };
        let is_own = information.own_bytes.contains(&offset_bytes);
        (is_own && information.chunk_bytes > 0 && regions > 0).then_some(information)
    }
}

/// The region of a bitmap, and where its conversion log lies.
fn read_bitmap(device: &dyn ReadAt, offset_bytes: u64, chunk_bytes: u64) -> Result<(Region, u64)> {
    let mut bytes = [0; BITMAP_BYTES];
    read(device, &mut bytes, offset_bytes)?;
    if !bytes.starts_with(BITMAP_SIGNATURE) {
        return Err(at(offset_bytes, "no bitmap"));
    }
    let broken = at(offset_bytes, "a bitmap that does not add up");
    let range = u64_at(&bytes, 20)
        .zip(u64_at(&bytes, 28))
        .and_then(|(start, length)| Range::checked(start, length))
        .ok_or(broken.clone())?;
    let log_bytes = u64_at(&bytes, 36).ok_or(broken.clone())?;
    let record_bytes =
        u32_at(&bytes, 52).and_then(|size| usize::try_from(size).ok()).ok_or(broken.clone())?;
    let records =
        [u32_at(&bytes, 44), u32_at(&bytes, 48)].map(|place| place.and_then(|at| usize::try_from(at).ok()));
    let header = records[0].and_then(|end| bytes.get(..end)).ok_or(broken.clone())?;
    check_crc(&mut header.to_vec(), 56, offset_bytes)?;
    let chunks = range.length().div_ceil(chunk_bytes);
    let best = records
        .into_iter()
        .flatten()
        .filter_map(|start| parse_record(bytes.get(start..start.checked_add(record_bytes)?)?, chunks))
        .max_by_key(|record| record.sequence)
        .ok_or(at(offset_bytes, "a bitmap of which neither record is whole"))?;
    Ok((Region { range, chunk_bytes, bits: best.bits }, log_bytes))
}

struct Record {
    sequence: u64,
    bits: Vec<u8>,
}

/// A record with a good CRC and enough bits for its region.
fn parse_record(record: &[u8], chunks: u64) -> Option<Record> {
    if !record.starts_with(RECORD_SIGNATURE) {
        return None;
    }
    let header_bytes = usize::from(u16_at(record, 10)?);
    let size = usize::try_from(u32_at(record, 12)?).ok()?;
    let whole = record.get(..size).filter(|_| size >= RECORD_HEADER_BYTES)?;
    check_crc(&mut whole.to_vec(), 32, 0).ok()?;
    let bit_count = u64::from(u32_at(record, 16)?);
    let bits = whole.get(header_bytes..).or_else(|| record.get(header_bytes..))?;
    let held = (bits.len() as u64).saturating_mul(8).min(bit_count);
    (held >= chunks).then(|| Record { sequence: u64_at(record, 20).unwrap_or(0), bits: bits.to_vec() })
}

/// CRC-32 over the bytes with the field itself 0.
fn check_crc(bytes: &mut [u8], field_at: usize, offset_bytes: u64) -> Result<()> {
    let expected: Option<[u8; 4]> = array_at(bytes, field_at);
    if let Some(field) = field_at.checked_add(4).and_then(|end| bytes.get_mut(field_at..end)) {
        field.fill(0);
    }
    if expected == Some(crc32fast::hash(bytes).to_le_bytes()) {
        Ok(())
    } else {
        Err(at(offset_bytes, "a structure whose CRC-32 is wrong"))
    }
}

fn read(device: &dyn ReadAt, buffer: &mut [u8], offset_bytes: u64) -> Result<()> {
    device.read_exact_at(buffer, offset_bytes).map_err(|_| at(offset_bytes, "bytes that cannot be read"))
}

fn at(offset_bytes: u64, what: &'static str) -> ConversionMapError {
    ConversionMapError { offset_bytes, what }
}

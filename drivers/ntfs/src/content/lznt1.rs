//! LZNT1: what NTFS compresses with. \[MS-XCA\] §2.5.
//!
//! Chunks of at most 4096 bytes, each with a 16-bit header: zero ends the unit, bit 15 says that the
//! chunk is compressed, the low twelve bits are its length less one. A compressed chunk is groups of
//! a flag byte and eight items, literals or 16-bit matches; how many bits of a match are its
//! distance grows with the position in the chunk.

use super::DecodeFault;
use crate::bytes::u16_at;

const CHUNK_BYTES: usize = 4096;
const LENGTH_MASK: u16 = 0x0fff;
const COMPRESSED: u16 = 0x8000;
const MATCH_MIN: usize = 3;

/// Decompresses a unit into `output`; what the chunks do not fill is zeros.
pub(super) fn decompress(input: &[u8], output: &mut [u8]) -> Result<(), DecodeFault> {
    output.fill(0);
    let mut rest = input;
    for chunk in output.chunks_mut(CHUNK_BYTES) {
        let Some(header) = u16_at(rest, 0).filter(|&header| header != 0) else { return Ok(()) };
        let length = usize::from(header & LENGTH_MASK).saturating_add(1);
        let body = rest.get(2..).and_then(|rest| rest.split_at_checked(length));
        let (body, after) = body.ok_or(DecodeFault::Truncated)?;
        if header & COMPRESSED == 0 {
            chunk.get_mut(..length).ok_or(DecodeFault::Overrun)?.copy_from_slice(body);
        } else {
            decompress_chunk(body, chunk)?;
        }
        rest = after;
    }
    Ok(())
}

fn decompress_chunk(body: &[u8], chunk: &mut [u8]) -> Result<(), DecodeFault> {
    let mut input = body.iter();
    let mut at = 0_usize;
    while let Some(&flags) = input.next() {
        for bit in 0..8_u32 {
            let Some(&low) = input.next() else { return Ok(()) };
            if flags & 1_u8.wrapping_shl(bit) == 0 {
                *chunk.get_mut(at).ok_or(DecodeFault::Overrun)? = low;
                at = at.saturating_add(1);
                continue;
            }
            let &high = input.next().ok_or(DecodeFault::Truncated)?;
            at = copy_match(u16::from_le_bytes([low, high]), chunk, at)?;
        }
    }
    Ok(())
}

/// Copies a match to `at` and gives the position after it.
fn copy_match(token: u16, chunk: &mut [u8], at: usize) -> Result<usize, DecodeFault> {
    let length_bits = length_bits(at);
    let distance = usize::from(token.wrapping_shr(length_bits)).saturating_add(1);
    let length_mask = 1_u16.wrapping_shl(length_bits).wrapping_sub(1);
    let length = usize::from(token & length_mask).saturating_add(MATCH_MIN);
    copy_back(chunk, at, distance, length)
}

/// Twelve bits of length at first; one less each time the position passes a power of two above 16.
fn length_bits(at: usize) -> u32 {
    let highest = at.saturating_sub(1).checked_ilog2().unwrap_or(0);
    12_u32.saturating_sub(highest.saturating_sub(3))
}

/// Copies `length` bytes from `distance` back, which may overlap what is written.
pub(super) fn copy_back(
    output: &mut [u8],
    at: usize,
    distance: usize,
    length: usize,
) -> Result<usize, DecodeFault> {
    let from = at.checked_sub(distance).ok_or(DecodeFault::Distance)?;
    let end = at.checked_add(length).filter(|&end| end <= output.len()).ok_or(DecodeFault::Overrun)?;
    if distance >= length {
        output.copy_within(from..from.saturating_add(length), at);
        return Ok(end);
    }
    for (source, target) in (from..).zip(at..end) {
        let byte = output.get(source).copied().ok_or(DecodeFault::Distance)?;
        *output.get_mut(target).ok_or(DecodeFault::Overrun)? = byte;
    }
    Ok(end)
}

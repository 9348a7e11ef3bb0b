//! XPRESS with Huffman codes, one block: what WOF's XPRESS4K, 8K and 16K chunks hold. \[MS-XCA\] §2.2.
//!
//! 256 bytes of code lengths (two to a byte, the low half first) for 512 symbols: 256 literals, and
//! 256 matches of a 4-bit length and a 4-bit logarithm of the distance. Longer lengths follow in
//! bytes between the words of the bit stream.

use super::DecodeFault;
use super::bits::{BitReader, Code};
use super::lznt1::copy_back;

const LENGTHS_BYTES: usize = 256;
const LITERALS: u16 = 256;
const MATCH_MIN: usize = 3;
const LENGTH_MASK: u16 = 15;

/// Decompresses a chunk, which gives exactly `output.len()` bytes.
pub(super) fn decompress(input: &[u8], output: &mut [u8]) -> Result<(), DecodeFault> {
    let (lengths, body) = input.split_at_checked(LENGTHS_BYTES).ok_or(DecodeFault::Truncated)?;
    let lengths: Vec<u8> = lengths.iter().flat_map(|pair| [pair & 15, pair >> 4_u32]).collect();
    let code = Code::new(&lengths)?;
    let mut input = BitReader::new(body);
    let mut at = 0_usize;
    while at < output.len() {
        let symbol = code.symbol(&mut input)?;
        match u8::try_from(symbol) {
            Ok(literal) => {
                *output.get_mut(at).ok_or(DecodeFault::Overrun)? = literal;
                at = at.saturating_add(1);
            }
            Err(_) => {
                let (distance, length) = read_match(symbol.saturating_sub(LITERALS), &mut input)?;
                at = copy_back(output, at, distance, length)?;
            }
        }
    }
    Ok(())
}

fn read_match(symbol: u16, input: &mut BitReader<'_>) -> Result<(usize, usize), DecodeFault> {
    // The bytes of a long length come after the word that the distance may reach into.
    input.fill();
    let distance_bits = u32::from(symbol >> 4_u32);
    let low = input.bits(distance_bits)?;
    let distance = 1_u32.wrapping_shl(distance_bits) | low;
    let mut length = usize::from(symbol & LENGTH_MASK);
    if length == usize::from(LENGTH_MASK) {
        let more = input.byte()?;
        length = match more {
            0xff => usize::from(input.word()?),
            _ => length.saturating_add(more.into()),
        };
    }
    let distance = usize::try_from(distance).map_err(|_| DecodeFault::Distance)?;
    Ok((distance, length.saturating_add(MATCH_MIN)))
}

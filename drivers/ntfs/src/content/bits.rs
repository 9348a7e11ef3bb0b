//! The bit stream and the Huffman codes that XPRESS and LZX share.
//!
//! Bits come out of 16-bit little-endian words, the most significant first; bytes that are not part
//! of the bit stream lie between words. Whoever takes more bits than there are gets
//! [`DecodeFault::Truncated`].

use super::DecodeFault;
use crate::bytes::{slice_at, u8_at, u16_at};

/// Longest codeword of either format.
const CODEWORD_BITS_MAX: u32 = 16;
/// A length for each from 0 on.
const LENGTHS: usize = 17;

/// Reads bits, and bytes between them.
pub(super) struct BitReader<'a> {
    input: &'a [u8],
    /// The next word that is not in `buffer`.
    at: usize,
    /// Left-justified.
    buffer: u32,
    /// Bits in `buffer`, at most 31.
    left: u32,
}

impl<'a> BitReader<'a> {
    pub(super) fn new(input: &'a [u8]) -> BitReader<'a> {
        BitReader { input, at: 0, buffer: 0, left: 0 }
    }

    /// Loads a word when fewer than 16 bits are there; at the end of the input there are fewer.
    pub(super) fn fill(&mut self) {
        if self.left >= 16 {
            return;
        }
        if let Some(word) = u16_at(self.input, self.at) {
            self.buffer |= u32::from(word).wrapping_shl(16_u32.saturating_sub(self.left));
            self.left = self.left.saturating_add(16);
            self.at = self.at.saturating_add(2);
        }
    }

    /// The next 16 bits; zeros stand for what is not there.
    fn peek(&mut self) -> u32 {
        self.fill();
        self.buffer >> 16_u32
    }

    fn skip(&mut self, count: u32) -> Result<(), DecodeFault> {
        self.left = self.left.checked_sub(count).ok_or(DecodeFault::Truncated)?;
        self.buffer = self.buffer.checked_shl(count).unwrap_or(0);
        Ok(())
    }

    /// Takes up to 16 bits.
    pub(super) fn bits(&mut self, count: u32) -> Result<u32, DecodeFault> {
        let value = self.peek().wrapping_shr(CODEWORD_BITS_MAX.saturating_sub(count));
        self.skip(count)?;
        Ok(if count == 0 { 0 } else { value })
    }

    /// The byte after the last word that was loaded.
    pub(super) fn byte(&mut self) -> Result<u8, DecodeFault> {
        let byte = u8_at(self.input, self.at).ok_or(DecodeFault::Truncated)?;
        self.at = self.at.saturating_add(1);
        Ok(byte)
    }

    /// The two bytes after the last word that was loaded.
    pub(super) fn word(&mut self) -> Result<u16, DecodeFault> {
        let word = u16_at(self.input, self.at).ok_or(DecodeFault::Truncated)?;
        self.at = self.at.saturating_add(2);
        Ok(word)
    }

    /// Drops 1 to 16 bits up to the end of a word, after which bytes can be read.
    pub(super) fn align(&mut self) -> Result<(), DecodeFault> {
        self.fill();
        let odd = self.left & 15;
        self.skip(if odd == 0 { 16 } else { odd })?;
        // A whole word that was loaded ahead is given back.
        if self.left == 16 {
            self.at = self.at.saturating_sub(2);
        }
        self.buffer = 0;
        self.left = 0;
        Ok(())
    }

    /// Bytes after [`BitReader::align`].
    pub(super) fn bytes(&mut self, length: usize) -> Result<&'a [u8], DecodeFault> {
        let bytes = slice_at(self.input, self.at, length).ok_or(DecodeFault::Truncated)?;
        self.at = self.at.saturating_add(length);
        Ok(bytes)
    }
}

/// A canonical Huffman code: shorter codewords first, equal ones by symbol.
pub(super) struct Code {
    /// One past the last codeword of each length, left-justified in 16 bits.
    limits: [u32; LENGTHS],
    /// What to add to a codeword of each length for its place in `symbols`.
    offsets: [i32; LENGTHS],
    symbols: Vec<u16>,
}

impl Code {
    /// Builds the code from the length of each symbol's codeword, 0 for none.
    ///
    /// An incomplete code is accepted: what it does not cover is refused when it comes up.
    pub(super) fn new(lengths: &[u8]) -> Result<Code, DecodeFault> {
        let mut counts = [0_i32; LENGTHS];
        for &length in lengths.iter().filter(|&&length| length != 0) {
            let count = counts.get_mut(usize::from(length)).ok_or(DecodeFault::Code)?;
            *count = count.saturating_add(1);
        }
        let mut code = Code { limits: [0; LENGTHS], offsets: [0; LENGTHS], symbols: Vec::new() };
        let (mut next, mut place) = (0_i32, 0_i32);
        for ((bits, count), (limit, offset)) in
            (0_u32..).zip(counts).zip(code.limits.iter_mut().zip(&mut code.offsets))
        {
            next = next.wrapping_shl(1);
            *offset = place.saturating_sub(next);
            next = next.saturating_add(count);
            place = place.saturating_add(count);
            if next > 1_i32.wrapping_shl(bits) {
                return Err(DecodeFault::Code);
            }
            *limit = u32::try_from(next).unwrap_or(0).wrapping_shl(CODEWORD_BITS_MAX.saturating_sub(bits));
        }
        code.symbols = in_order(lengths);
        Ok(code)
    }

    /// Decodes one symbol.
    pub(super) fn symbol(&self, input: &mut BitReader<'_>) -> Result<u16, DecodeFault> {
        let ahead = input.peek();
        for ((bits, &limit), &offset) in (0_u32..).zip(&self.limits).zip(&self.offsets).skip(1) {
            if ahead < limit {
                input.skip(bits)?;
                let codeword = ahead.wrapping_shr(CODEWORD_BITS_MAX.saturating_sub(bits));
                let place = i32::try_from(codeword).unwrap_or(i32::MAX).saturating_add(offset);
                let symbol = usize::try_from(place).ok().and_then(|place| self.symbols.get(place));
                return symbol.copied().ok_or(DecodeFault::Code);
            }
        }
        Err(DecodeFault::Code)
    }
}

fn in_order(lengths: &[u8]) -> Vec<u16> {
    let mut symbols: Vec<(u8, u16)> =
        lengths.iter().copied().zip(0_u16..).filter(|&(length, _)| length != 0).collect();
    symbols.sort_unstable();
    symbols.into_iter().map(|(_, symbol)| symbol).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_come_out_of_words_most_significant_first() {
        let mut input = BitReader::new(&[0x34, 0x12, 0x78, 0x56, 0xff]);
        assert_eq!(input.bits(4), Ok(1));
        assert_eq!(input.bits(16), Ok(0x2345));
        assert_eq!(input.bits(0), Ok(0));
        assert_eq!(input.bits(12), Ok(0x678));
        assert_eq!(input.bits(1), Err(DecodeFault::Truncated));
        assert_eq!(input.byte(), Ok(0xff));
    }

    #[test]
    fn aligning_gives_back_a_word_that_was_loaded_ahead() {
        let input = [0, 0, 1, 2, 3, 4];
        let mut some = BitReader::new(&input);
        some.bits(3).unwrap();
        some.fill();
        some.align().unwrap();
        assert_eq!(some.bytes(2), Ok(&input[2..4]));
        let mut whole = BitReader::new(&input);
        whole.bits(16).unwrap();
        whole.align().unwrap();
        assert_eq!(whole.bytes(2), Ok(&input[4..6]));
    }

    #[test]
    fn codewords_are_canonical() {
        let code = Code::new(&[2, 1, 3, 3]).unwrap();
        // 0 → 1, 10 → 0, 110 → 2, 111 → 3
        let mut input = BitReader::new(&[0b1110_0000, 0b0101_1011]);
        let symbols: Vec<_> = (0..4).map(|_| code.symbol(&mut input).unwrap()).collect();
        assert_eq!(symbols, [1, 0, 2, 3]);
        assert!(Code::new(&[1, 1, 1]).is_err());
        assert!(
            Code::new(&[1, 0, 0]).is_ok_and(|code| code.symbol(&mut BitReader::new(&[0xff; 2])).is_err())
        );
    }
}

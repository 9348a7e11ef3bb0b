//! LZX as WIM archives and WOF have it: chunks of 32 KiB that know nothing of each other.
//!
//! Differs from the LZX of cabinets: no reset intervals, no header bit for the translation of x86
//! calls (it is always on, with a file size of 12,000,000), a 16-bit block size, and the window is
//! the chunk. Block kinds, trees and offsets are those of \[MS-PATCH\] (LZX DELTA) §2.

use super::DecodeFault;
use super::bits::{BitReader, Code};
use super::lznt1::copy_back;

/// What a chunk decompresses to, at most; also the size of a block that gives none.
const CHUNK_BYTES: usize = 32_768;
const LITERALS: usize = 256;
/// Offset slots of a 32 KiB window.
const OFFSET_SLOTS: usize = 30;
const MAIN_SYMBOLS: usize = LITERALS + 8 * OFFSET_SLOTS;
const LENGTH_SYMBOLS: usize = 249;
const ALIGNED_SYMBOLS: usize = 8;
const PRECODE_SYMBOLS: usize = 20;
/// Lengths of a main symbol; the last one says that a length symbol follows.
const PRIMARY_LENGTHS: u16 = 7;
const MATCH_MIN: usize = 2;
/// Slots 0 to 2 repeat a recent offset.
const RECENT_SLOTS: usize = 3;
/// Offsets are stored with this added.
const OFFSET_ADJUSTMENT: u32 = 2;
/// The translation treats every chunk as part of a file of this size.
const CALL_FILE_SIZE: i32 = 12_000_000;
const CALL_OPCODE: u8 = 0xe8;
/// The end of a chunk is never translated.
const CALL_TAIL_BYTES: usize = 10;

/// Decompresses a chunk, which gives exactly `output.len()` bytes.
pub(super) fn decompress(input: &[u8], output: &mut [u8]) -> Result<(), DecodeFault> {
    let mut decoder = Decoder {
        input: BitReader::new(input),
        recent: [1; RECENT_SLOTS],
        main_lengths: [0; MAIN_SYMBOLS],
        length_lengths: [0; LENGTH_SYMBOLS],
    };
    let mut at = 0_usize;
    while at < output.len() {
        at = decoder.block(output, at)?;
    }
    undo_calls(output);
    Ok(())
}

/// What a chunk carries from block to block.
struct Decoder<'a> {
    input: BitReader<'a>,
    recent: [u32; RECENT_SLOTS],
    main_lengths: [u8; MAIN_SYMBOLS],
    length_lengths: [u8; LENGTH_SYMBOLS],
}

/// The codes of one block.
struct Codes {
    main: Code,
    length: Code,
    /// Only in blocks with aligned offsets.
    aligned: Option<Code>,
}

impl Decoder<'_> {
    /// Decodes a block and gives the position after it.
    fn block(&mut self, output: &mut [u8], at: usize) -> Result<usize, DecodeFault> {
        let kind = self.input.bits(3)?;
        let default_size = self.input.bits(1)? == 1;
        let size =
            if default_size { CHUNK_BYTES } else { usize::try_from(self.input.bits(16)?).unwrap_or(0) };
        let end = at.checked_add(size).filter(|&end| end <= output.len()).ok_or(DecodeFault::Overrun)?;
        // An empty block would go on for ever.
        if size == 0 {
            return Err(DecodeFault::Block);
        }
        match kind {
            1 => self.matches(false, output, at, end),
            2 => self.matches(true, output, at, end),
            3 => self.stored(output, at, end),
            _ => Err(DecodeFault::Block),
        }
    }

    fn stored(&mut self, output: &mut [u8], at: usize, end: usize) -> Result<usize, DecodeFault> {
        self.input.align()?;
        for recent in &mut self.recent {
            let bytes = self.input.bytes(4)?;
            *recent =
                crate::bytes::u32_at(bytes, 0).filter(|&offset| offset != 0).ok_or(DecodeFault::Distance)?;
        }
        let target = output.get_mut(at..end).ok_or(DecodeFault::Overrun)?;
        target.copy_from_slice(self.input.bytes(target.len())?);
        if target.len() & 1 == 1 {
            self.input.byte()?;
        }
        Ok(end)
    }

    fn matches(
        &mut self,
        aligned: bool,
        output: &mut [u8],
        start: usize,
        end: usize,
    ) -> Result<usize, DecodeFault> {
        let codes = self.codes(aligned)?;
        let mut at = start;
        while at < end {
            let symbol = codes.main.symbol(&mut self.input)?;
            if let Ok(literal) = u8::try_from(symbol) {
                *output.get_mut(at).ok_or(DecodeFault::Overrun)? = literal;
                at = at.saturating_add(1);
                continue;
            }
            let (distance, length) = self.read_match(symbol & 0x7ff, &codes)?;
            // A match may not leave its block.
            let block = output.get_mut(..end).ok_or(DecodeFault::Overrun)?;
            at = copy_back(block, at, distance, length)?;
        }
        Ok(at)
    }

    fn codes(&mut self, aligned: bool) -> Result<Codes, DecodeFault> {
        let aligned = if aligned { Some(self.aligned_code()?) } else { None };
        let (literals, matches) = self.main_lengths.split_at_mut(LITERALS);
        read_lengths(&mut self.input, literals)?;
        read_lengths(&mut self.input, matches)?;
        read_lengths(&mut self.input, &mut self.length_lengths)?;
        Ok(Codes { main: Code::new(&self.main_lengths)?, length: Code::new(&self.length_lengths)?, aligned })
    }

    fn aligned_code(&mut self) -> Result<Code, DecodeFault> {
        let mut lengths = [0; ALIGNED_SYMBOLS];
        for length in &mut lengths {
            *length = u8::try_from(self.input.bits(3)?).unwrap_or(0);
        }
        Code::new(&lengths)
    }

    /// Distance and length of the match that a main symbol begins.
    fn read_match(&mut self, symbol: u16, codes: &Codes) -> Result<(usize, usize), DecodeFault> {
        let beyond = symbol.saturating_sub(256);
        let mut length = usize::from(beyond & PRIMARY_LENGTHS);
        if beyond & PRIMARY_LENGTHS == PRIMARY_LENGTHS {
            length = length.saturating_add(codes.length.symbol(&mut self.input)?.into());
        }
        let distance = self.offset(usize::from(beyond >> 3_u32), codes)?;
        let distance = usize::try_from(distance).map_err(|_| DecodeFault::Distance)?;
        Ok((distance, length.saturating_add(MATCH_MIN)))
    }

    fn offset(&mut self, slot: usize, codes: &Codes) -> Result<u32, DecodeFault> {
        let [first, second, _] = self.recent;
        if let Some(recent) = self.recent.get_mut(slot) {
            let offset = std::mem::replace(recent, first);
            if let Some(front) = self.recent.first_mut() {
                *front = offset;
            }
            return Ok(offset);
        }
        let (base, extra_bits) = slot_range(slot);
        let low = match &codes.aligned {
            Some(aligned) if extra_bits >= 3 => {
                let high = self.input.bits(extra_bits.saturating_sub(3))?;
                high.wrapping_shl(3) | u32::from(aligned.symbol(&mut self.input)?)
            }
            _ => self.input.bits(extra_bits)?,
        };
        let offset = base.saturating_add(low).saturating_sub(OFFSET_ADJUSTMENT);
        self.recent = [offset, first, second];
        Ok(offset)
    }
}

/// First stored offset of a slot, and how many bits choose one of it: two slots to a power of two.
fn slot_range(slot: usize) -> (u32, u32) {
    let slot = u32::try_from(slot).unwrap_or(0);
    if slot < 4 {
        return (slot, 0);
    }
    let extra_bits = (slot >> 1_u32).saturating_sub(1);
    ((2 | (slot & 1)).wrapping_shl(extra_bits), extra_bits)
}

/// Code lengths, as differences to those of the block before, in a code of their own.
fn read_lengths(input: &mut BitReader<'_>, lengths: &mut [u8]) -> Result<(), DecodeFault> {
    let mut precode = [0; PRECODE_SYMBOLS];
    for length in &mut precode {
        *length = u8::try_from(input.bits(4)?).unwrap_or(0);
    }
    let precode = Code::new(&precode)?;
    let mut rest = lengths;
    while let Some(&before) = rest.first() {
        let (count, length) = match precode.symbol(input)? {
            17 => (input.bits(4)?.saturating_add(4), 0),
            18 => (input.bits(5)?.saturating_add(20), 0),
            19 => {
                let count = input.bits(1)?.saturating_add(4);
                (count, changed(before, precode.symbol(input)?)?)
            }
            difference => (1, changed(before, difference)?),
        };
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        let (run, after) = rest.split_at_mut_checked(count).ok_or(DecodeFault::Code)?;
        run.fill(length);
        rest = after;
    }
    Ok(())
}

/// The length before, less a difference from 0 to 16, modulo 17.
fn changed(before: u8, difference: u16) -> Result<u8, DecodeFault> {
    let difference = u8::try_from(difference).ok().filter(|&difference| difference < 17);
    let difference = difference.ok_or(DecodeFault::Code)?;
    Ok(match before.checked_sub(difference) {
        Some(length) => length,
        None => before.saturating_add(17).saturating_sub(difference),
    })
}

/// The compressor made the targets of x86 calls absolute; this makes them relative again.
fn undo_calls(output: &mut [u8]) {
    let end = output.len().saturating_sub(CALL_TAIL_BYTES);
    let mut at = 0_usize;
    while let Some(found) = output.get(at..end).and_then(|rest| rest.iter().position(|&b| b == CALL_OPCODE)) {
        let call = at.saturating_add(found);
        undo_call(output, call);
        at = call.saturating_add(5);
    }
}

fn undo_call(output: &mut [u8], call: usize) {
    let Some(target) = crate::bytes::u32_at(output, call.saturating_add(1)) else { return };
    let absolute = i32::from_le_bytes(target.to_le_bytes());
    let position = i32::try_from(call).unwrap_or(0);
    let relative = if (0..CALL_FILE_SIZE).contains(&absolute) {
        absolute.wrapping_sub(position)
    } else if absolute < 0 && absolute >= position.wrapping_neg() {
        absolute.wrapping_add(CALL_FILE_SIZE)
    } else {
        return;
    };
    if let Some(field) = output.get_mut(call.saturating_add(1)..call.saturating_add(5)) {
        field.copy_from_slice(&relative.to_le_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_cover_the_offsets_without_gaps() {
        let mut next = 0;
        for slot in 0..OFFSET_SLOTS {
            let (base, extra_bits) = slot_range(slot);
            assert_eq!(base, next);
            next = base + (1 << extra_bits);
        }
        assert_eq!(next, 32_768);
    }

    #[test]
    fn calls_become_relative_again() {
        let mut code = vec![0x90; 40];
        code[7] = CALL_OPCODE;
        code[8..12].copy_from_slice(&1_007_i32.to_le_bytes());
        code[20] = CALL_OPCODE;
        code[21..25].copy_from_slice(&(-20_i32).to_le_bytes());
        code[31] = CALL_OPCODE;
        let mut expected = code.clone();
        expected[8..12].copy_from_slice(&1_000_i32.to_le_bytes());
        expected[21..25].copy_from_slice(&11_999_980_i32.to_le_bytes());
        undo_calls(&mut code);
        assert_eq!(code, expected);
    }
}

//! AES-XTS (IEEE 1619): the tweak of a sector is its number on the volume, encrypted under the
//! second key and multiplied by x for every block (spec §5.1).

#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    reason = "lengths are constants or checked whole sectors; a bounds check a block would cost more than the \
              arithmetic"
)]

use aes::cipher::consts::U16;
use aes::cipher::{
    BlockCipherDecBackend, BlockCipherDecClosure, BlockCipherDecrypt, BlockCipherEncBackend,
    BlockCipherEncClosure, BlockCipherEncrypt, BlockSizeUser,
};

use super::batch::{
    BATCH_SECTORS, Block, Masks, SLICE_BYTES, decrypt_all, encrypt_all, encrypt_numbers, mask,
};

pub(super) struct Xts<C> {
    data: C,
    tweak: C,
}

impl<C: BlockCipherEncrypt<BlockSize = U16> + BlockCipherDecrypt> Xts<C> {
    pub(super) fn new(data: C, tweak: C) -> Xts<C> {
        Xts { data, tweak }
    }

    pub(super) fn decrypt(&self, offset_bytes: u64, data: &mut [u8], sector_bytes: usize) {
        self.batches(offset_bytes, data, sector_bytes, |batch| self.data.decrypt_with_backend(batch));
    }

    pub(super) fn encrypt(&self, offset_bytes: u64, data: &mut [u8], sector_bytes: usize) {
        self.batches(offset_bytes, data, sector_bytes, |batch| self.data.encrypt_with_backend(batch));
    }

    fn batches(&self, offset_bytes: u64, data: &mut [u8], sector_bytes: usize, run: impl Fn(Batch<'_>)) {
        let mut first_sector = offset_bytes / sector_bytes as u64;
        for data in data.chunks_mut(BATCH_SECTORS * sector_bytes) {
            let sectors = data.len() / sector_bytes;
            let tweaks = encrypt_numbers(&self.tweak, sectors, 0, |index| first_sector.wrapping_add(index));
            run(Batch { tweaks: &tweaks, data, sector_bytes });
            first_sector = first_sector.wrapping_add(sectors as u64);
        }
    }
}

/// Up to [`BATCH_SECTORS`] sectors with their tweaks.
struct Batch<'a> {
    tweaks: &'a [Block; BATCH_SECTORS],
    data: &'a mut [u8],
    sector_bytes: usize,
}

impl Batch<'_> {
    /// Masks each slice, runs it through AES and masks it again.
    #[inline(always)]
    fn slices(self, run: impl Fn(&mut [u8])) {
        let mut masks: Masks = [0; SLICE_BYTES / 8];
        let sectors_a_slice = SLICE_BYTES / self.sector_bytes;
        for (slice, tweaks) in self.data.chunks_mut(SLICE_BYTES).zip(self.tweaks.chunks(sectors_a_slice)) {
            for (masks, tweak) in masks.chunks_exact_mut(self.sector_bytes / 8).zip(tweaks) {
                fill_masks(masks, tweak);
            }
            mask(slice, &masks);
            run(slice);
            mask(slice, &masks);
        }
    }
}

impl BlockSizeUser for Batch<'_> {
    type BlockSize = U16;
}

impl BlockCipherDecClosure for Batch<'_> {
    #[inline(always)]
    fn call<B: BlockCipherDecBackend<BlockSize = U16>>(self, backend: &B) {
        self.slices(|slice| decrypt_all(backend, slice));
    }
}

impl BlockCipherEncClosure for Batch<'_> {
    #[inline(always)]
    fn call<B: BlockCipherEncBackend<BlockSize = U16>>(self, backend: &B) {
        self.slices(|slice| encrypt_all(backend, Block::slice_as_chunks_mut(slice).0));
    }
}

/// Consecutive powers that are computed side by side, one a vector lane.
const LANES: usize = 8;

/// Writes tweak, tweak·x, tweak·x², … in GF(2^128), as pairs of low and high words.
///
/// The first eight powers come from shifts by 0 to 7, every further eight from a shift by 8 in each
/// lane, so that no power waits for the one before it.
#[inline(always)]
fn fill_masks(masks: &mut [u64], tweak: &Block) {
    let (words, _) = tweak.as_chunks::<8>();
    let (low, high) = (u64::from_le_bytes(words[0]), u64::from_le_bytes(words[1]));
    let mut lows = [0_u64; LANES];
    let mut highs = [0_u64; LANES];
    for lane in 0..LANES {
        // Shifting in two steps, because a shift by 64 is not one by 0.
        lows[lane] = (low << lane) ^ reduce((high >> 1) >> (63 - lane));
        highs[lane] = (high << lane) | ((low >> 1) >> (63 - lane));
    }
    for group in masks.as_chunks_mut::<{ 2 * LANES }>().0 {
        for lane in 0..LANES {
            group[2 * lane] = lows[lane];
            group[2 * lane + 1] = highs[lane];
        }
        for lane in 0..LANES {
            let carry = reduce(highs[lane] >> (64 - LANES));
            highs[lane] = (highs[lane] << LANES) | (lows[lane] >> (64 - LANES));
            lows[lane] = (lows[lane] << LANES) ^ carry;
        }
    }
}

/// What bits shifted out at the top add at the bottom: times x^7 + x^2 + x + 1.
#[inline(always)]
fn reduce(carry: u64) -> u64 {
    carry ^ (carry << 1) ^ (carry << 2) ^ (carry << 7)
}

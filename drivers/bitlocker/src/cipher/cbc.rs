//! AES-CBC by sectors: the IV is the sector's byte offset, encrypted under the same key
//! (spec §5.1).

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
    BATCH_SECTORS, BLOCK_BYTES, Block, Masks, SLICE_BYTES, decrypt_all, encrypt_all, encrypt_numbers, mask,
};

pub(super) struct Cbc<C> {
    aes: C,
}

impl<C: BlockCipherEncrypt<BlockSize = U16> + BlockCipherDecrypt> Cbc<C> {
    pub(super) fn new(aes: C) -> Cbc<C> {
        Cbc { aes }
    }

    pub(super) fn decrypt(&self, offset_bytes: u64, data: &mut [u8], sector_bytes: usize) {
        self.batches(offset_bytes, data, sector_bytes, |batch| self.aes.decrypt_with_backend(batch));
    }

    pub(super) fn encrypt(&self, offset_bytes: u64, data: &mut [u8], sector_bytes: usize) {
        self.batches(offset_bytes, data, sector_bytes, |batch| self.aes.encrypt_with_backend(batch));
    }

    fn batches(&self, offset_bytes: u64, data: &mut [u8], sector_bytes: usize, run: impl Fn(Batch<'_>)) {
        let mut offset_bytes = offset_bytes;
        for data in data.chunks_mut(BATCH_SECTORS * sector_bytes) {
            let sectors = data.len() / sector_bytes;
            let place = |index: u64| offset_bytes.wrapping_add(index * sector_bytes as u64);
            let ivs = encrypt_numbers(&self.aes, sectors, 0, place);
            offset_bytes = offset_bytes.wrapping_add(data.len() as u64);
            run(Batch { ivs: &ivs, data, sector_bytes });
        }
    }
}

/// Up to [`BATCH_SECTORS`] sectors with their IVs.
struct Batch<'a> {
    ivs: &'a [Block; BATCH_SECTORS],
    data: &'a mut [u8],
    sector_bytes: usize,
}

impl BlockSizeUser for Batch<'_> {
    type BlockSize = U16;
}

impl BlockCipherDecClosure for Batch<'_> {
    /// All blocks at once: what is XORed over a block afterwards is the ciphertext before it.
    #[inline(always)]
    fn call<B: BlockCipherDecBackend<BlockSize = U16>>(self, backend: &B) {
        let mut masks: Masks = [0; SLICE_BYTES / 8];
        let sectors_a_slice = SLICE_BYTES / self.sector_bytes;
        for (slice, ivs) in self.data.chunks_mut(SLICE_BYTES).zip(self.ivs.chunks(sectors_a_slice)) {
            let sectors = slice.chunks_exact(self.sector_bytes).zip(ivs);
            for (masks, (sector, iv)) in masks.chunks_exact_mut(self.sector_bytes / 8).zip(sectors) {
                let before = iv.as_chunks::<8>().0.iter().chain(sector.as_chunks::<8>().0);
                masks.iter_mut().zip(before).for_each(|(mask, word)| *mask = u64::from_le_bytes(*word));
            }
            decrypt_all(backend, slice);
            mask(slice, &masks);
        }
    }
}

impl BlockCipherEncClosure for Batch<'_> {
    /// A block waits for the one before it, so the sectors go side by side.
    #[inline(always)]
    fn call<B: BlockCipherEncBackend<BlockSize = U16>>(self, backend: &B) {
        let mut chain = *self.ivs;
        let sectors = self.data.len() / self.sector_bytes;
        let chain = &mut chain[..sectors];
        for place in (0..self.sector_bytes).step_by(BLOCK_BYTES) {
            for (state, sector) in chain.iter_mut().zip(self.data.chunks_exact(self.sector_bytes)) {
                let mut block = [0; BLOCK_BYTES];
                block.copy_from_slice(&sector[place..place + BLOCK_BYTES]);
                // Byte by byte this loop takes most of the time.
                state.0 = (u128::from_ne_bytes(state.0) ^ u128::from_ne_bytes(block)).to_ne_bytes();
            }
            encrypt_all(backend, chain);
            for (state, sector) in chain.iter().zip(self.data.chunks_exact_mut(self.sector_bytes)) {
                sector[place..place + BLOCK_BYTES].copy_from_slice(state);
            }
        }
    }
}

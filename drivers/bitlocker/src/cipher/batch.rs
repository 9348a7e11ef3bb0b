//! What all sector ciphers share: batches of blocks through AES, masks over the data.
//!
//! The `aes` crate picks its backend at run time (VAES with 512-bit vectors: 64 blocks at once;
//! AES-NI: 8) and hands it to a closure, which is compiled once a backend with that backend's
//! instructions. Everything inside such a closure is therefore `#[inline(always)]`: code that is not
//! inlined falls back to baseline instructions.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    reason = "lengths are the constants below or checked whole sectors of 512 or 4096 bytes; a bounds check a \
              block would cost more than the arithmetic"
)]

use aes::cipher::array::{Array, ArraySize};
use aes::cipher::consts::U16;
use aes::cipher::{BlockCipherDecBackend, BlockCipherEncBackend, BlockCipherEncrypt};

/// An AES block.
pub(super) type Block = Array<u8, U16>;

pub(super) const BLOCK_BYTES: usize = 16;

/// Sectors whose tweaks or IVs are computed in one go: as many blocks as the widest backend takes.
pub(super) const BATCH_SECTORS: usize = 64;

/// Data that is masked, run through AES and masked again while it stays in the first-level cache,
/// together with its masks. One sector of 4096 bytes or eight of 512.
pub(super) const SLICE_BYTES: usize = 4096;

/// Masks for one slice.
pub(super) type Masks = [u64; SLICE_BYTES / 8];

/// Encrypts a number a sector, as little-endian 128 bits: the tweaks of XTS, the IVs of CBC.
///
/// `number_of` gives the low 64 bits from the sector's index in the batch.
pub(super) fn encrypt_numbers(
    aes: &impl BlockCipherEncrypt<BlockSize = U16>,
    sectors: usize,
    top_byte: u8,
    number_of: impl Fn(u64) -> u64,
) -> [Block; BATCH_SECTORS] {
    let mut blocks = [Block::default(); BATCH_SECTORS];
    for (block, index) in blocks.iter_mut().zip(0..).take(sectors) {
        block[..8].copy_from_slice(&number_of(index).to_le_bytes());
        block[15] = top_byte;
    }
    // A whole batch costs less than a few blocks one by one.
    aes.encrypt_blocks(&mut blocks);
    blocks
}

/// XORs masks over data.
#[inline(always)]
pub(super) fn mask(data: &mut [u8], masks: &[u64]) {
    let (words, _) = data.as_chunks_mut::<8>();
    for (word, mask) in words.iter_mut().zip(masks) {
        *word = (u64::from_le_bytes(*word) ^ mask).to_le_bytes();
    }
}

/// Runs data through the inverse cipher, as many blocks at once as the backend takes.
#[inline(always)]
pub(super) fn decrypt_all<B: BlockCipherDecBackend<BlockSize = U16>>(backend: &B, data: &mut [u8]) {
    let (blocks, _) = Block::slice_as_chunks_mut(data);
    let (groups, rest) = Array::<Block, B::ParBlocksSize>::slice_as_chunks_mut(blocks);
    for group in groups {
        backend.decrypt_par_blocks(group.into());
    }
    if is_worth_a_group::<B::ParBlocksSize>(rest.len()) {
        let mut group = Array::<Block, B::ParBlocksSize>::default();
        group[..rest.len()].copy_from_slice(rest);
        backend.decrypt_par_blocks((&mut group).into());
        rest.copy_from_slice(&group[..rest.len()]);
    } else {
        for block in rest {
            backend.decrypt_block(block.into());
        }
    }
}

/// Runs data through the cipher, as many blocks at once as the backend takes.
#[inline(always)]
pub(super) fn encrypt_all<B: BlockCipherEncBackend<BlockSize = U16>>(backend: &B, blocks: &mut [Block]) {
    let (groups, rest) = Array::<Block, B::ParBlocksSize>::slice_as_chunks_mut(blocks);
    for group in groups {
        backend.encrypt_par_blocks(group.into());
    }
    if is_worth_a_group::<B::ParBlocksSize>(rest.len()) {
        let mut group = Array::<Block, B::ParBlocksSize>::default();
        group[..rest.len()].copy_from_slice(rest);
        backend.encrypt_par_blocks((&mut group).into());
        rest.copy_from_slice(&group[..rest.len()]);
    } else {
        for block in rest {
            backend.encrypt_block(block.into());
        }
    }
}

/// A group costs about as much as four blocks one after the other, each of which waits for its
/// fourteen rounds.
#[inline(always)]
fn is_worth_a_group<N: ArraySize>(blocks: usize) -> bool {
    blocks > 4 && N::USIZE > 1
}

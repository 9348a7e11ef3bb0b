//! AES-CBC with the Elephant diffuser of Windows Vista and 7 (spec §5.1).
//!
//! Decryption is CBC, then the two diffusers undone, then a sector key XORed away. A diffuser's step
//! needs the one before it, so several sectors go side by side, one a vector lane.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    reason = "lengths are constants or checked whole sectors; words are taken modulo their count, a power of two"
)]

use aes::cipher::consts::U16;
use aes::cipher::{BlockCipherDecrypt, BlockCipherEncrypt};

use super::batch::{BATCH_SECTORS, Block, encrypt_numbers};
use super::cbc::Cbc;

pub(super) struct Elephant<C> {
    cbc: Cbc<C>,
    tweak: C,
}

impl<C: BlockCipherEncrypt<BlockSize = U16> + BlockCipherDecrypt> Elephant<C> {
    pub(super) fn new(data: C, tweak: C) -> Elephant<C> {
        Elephant { cbc: Cbc::new(data), tweak }
    }

    pub(super) fn decrypt(&self, offset_bytes: u64, data: &mut [u8], sector_bytes: usize) {
        self.cbc.decrypt(offset_bytes, data, sector_bytes);
        data.chunks_mut(LANES * sector_bytes).for_each(|group| in_lanes(group, sector_bytes, undiffuse));
        self.add_sector_keys(offset_bytes, data, sector_bytes);
    }

    pub(super) fn encrypt(&self, offset_bytes: u64, data: &mut [u8], sector_bytes: usize) {
        self.add_sector_keys(offset_bytes, data, sector_bytes);
        data.chunks_mut(LANES * sector_bytes).for_each(|group| in_lanes(group, sector_bytes, diffuse));
        self.cbc.encrypt(offset_bytes, data, sector_bytes);
    }

    /// XORs each sector with its key: 32 bytes, repeated.
    fn add_sector_keys(&self, offset_bytes: u64, data: &mut [u8], sector_bytes: usize) {
        let mut offset_bytes = offset_bytes;
        for data in data.chunks_mut(BATCH_SECTORS * sector_bytes) {
            let sectors = data.len() / sector_bytes;
            let place = |index: u64| offset_bytes.wrapping_add(index * sector_bytes as u64);
            let first = encrypt_numbers(&self.tweak, sectors, 0, place);
            let second = encrypt_numbers(&self.tweak, sectors, 0x80, place);
            for (sector, (first, second)) in data.chunks_mut(sector_bytes).zip(first.iter().zip(&second)) {
                add_sector_key(sector, first, second);
            }
            offset_bytes = offset_bytes.wrapping_add(data.len() as u64);
        }
    }
}

fn add_sector_key(sector: &mut [u8], first: &Block, second: &Block) {
    let mut key = [0; 32];
    key[..16].copy_from_slice(first);
    key[16..].copy_from_slice(second);
    for part in sector.as_chunks_mut::<32>().0 {
        part.iter_mut().zip(key).for_each(|(byte, key)| *byte ^= key);
    }
}

/// Sectors side by side.
const LANES: usize = 8;

/// Words of the largest sector.
const WORDS_MAX: usize = 4096 / 4;

/// The same word of every sector.
type Words = [u32; LANES];

/// Lays the sectors of a group side by side, runs `step` over their words, and puts them back.
fn in_lanes(group: &mut [u8], sector_bytes: usize, step: fn(&mut [Words])) {
    let mut words = [[0; LANES]; WORDS_MAX];
    let words = &mut words[..sector_bytes / 4];
    for (lane, sector) in group.chunks_exact(sector_bytes).enumerate() {
        for (word, bytes) in words.iter_mut().zip(sector.as_chunks::<4>().0) {
            word[lane] = u32::from_le_bytes(*bytes);
        }
    }
    step(words);
    for (lane, sector) in group.chunks_exact_mut(sector_bytes).enumerate() {
        for (word, bytes) in words.iter().zip(sector.as_chunks_mut::<4>().0) {
            *bytes = word[lane].to_le_bytes();
        }
    }
}

/// Rotations, by the word's index modulo 4 (spec §5.1).
const ROTATIONS_A: [u32; 4] = [9, 0, 13, 0];
const ROTATIONS_B: [u32; 4] = [0, 10, 0, 25];

const CYCLES_A: usize = 5;
const CYCLES_B: usize = 3;

/// Decrypting: diffuser B, then A, upwards.
fn undiffuse(words: &mut [Words]) {
    let last = words.len() - 1;
    for _ in 0..CYCLES_B {
        for index in 0..words.len() {
            let added = mix(words[(index + 2) & last], words[(index + 5) & last], ROTATIONS_B[index % 4]);
            for lane in 0..LANES {
                words[index][lane] = words[index][lane].wrapping_add(added[lane]);
            }
        }
    }
    for _ in 0..CYCLES_A {
        for index in 0..words.len() {
            let added = mix(
                words[index.wrapping_sub(2) & last],
                words[index.wrapping_sub(5) & last],
                ROTATIONS_A[index % 4],
            );
            for lane in 0..LANES {
                words[index][lane] = words[index][lane].wrapping_add(added[lane]);
            }
        }
    }
}

/// Encrypting: diffuser A, then B, downwards.
fn diffuse(words: &mut [Words]) {
    let last = words.len() - 1;
    for _ in 0..CYCLES_A {
        for index in (0..words.len()).rev() {
            let added = mix(
                words[index.wrapping_sub(2) & last],
                words[index.wrapping_sub(5) & last],
                ROTATIONS_A[index % 4],
            );
            for lane in 0..LANES {
                words[index][lane] = words[index][lane].wrapping_sub(added[lane]);
            }
        }
    }
    for _ in 0..CYCLES_B {
        for index in (0..words.len()).rev() {
            let added = mix(words[(index + 2) & last], words[(index + 5) & last], ROTATIONS_B[index % 4]);
            for lane in 0..LANES {
                words[index][lane] = words[index][lane].wrapping_sub(added[lane]);
            }
        }
    }
}

#[inline(always)]
fn mix(plain: Words, rotated: Words, by: u32) -> Words {
    let mut mixed = plain;
    for lane in 0..LANES {
        mixed[lane] ^= rotated[lane].rotate_left(by);
    }
    mixed
}

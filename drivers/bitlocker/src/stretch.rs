//! From a typed secret to 256 bits: a million rounds of SHA-256 (spec §4.2). This is what an attempt
//! costs: about 0.2 s on a processor with SHA instructions.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    reason = "fixed-size arrays with constant in-range positions; nothing here depends on foreign lengths"
)]

use sha2::block_api::compress256;
use sha2::{Digest, Sha256};
use zeroize::{Zeroize, Zeroizing};

use crate::ccm::Key256;

/// Rounds that every BitLocker version uses.
const ROUNDS: u64 = 0x10_0000;

/// Length in bits of the hashed state: `last[32], initial[32], salt[16], count[8]`.
const STATE_BITS: u64 = 88 * 8;

/// SHA-256's initial state, FIPS 180-4 §5.3.3.
const INITIAL_STATE: [u32; 8] =
    [0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19];

/// Repeats `last = SHA-256(last | initial | salt | count)` with a rising count; gives the last one.
///
/// The 88 bytes fill two compression blocks whose padding never changes, so the blocks are laid out
/// once and only `last` and `count` are rewritten.
pub(crate) fn stretch(initial: &[u8; 32], salt: &[u8; 16]) -> Key256 {
    let mut blocks = Zeroizing::new([[0_u8; 64]; 2]);
    blocks[0][32..].copy_from_slice(initial);
    blocks[1][..16].copy_from_slice(salt);
    blocks[1][24] = 0x80;
    blocks[1][56..].copy_from_slice(&STATE_BITS.to_be_bytes());
    for count in 0..ROUNDS {
        blocks[1][16..24].copy_from_slice(&count.to_le_bytes());
        let mut state = INITIAL_STATE;
        compress256(&mut state, &blocks[..]);
        for (bytes, word) in blocks[0].chunks_exact_mut(4).zip(state) {
            bytes.copy_from_slice(&word.to_be_bytes());
        }
        state.zeroize();
    }
    let mut key = Zeroizing::new([0; 32]);
    key.copy_from_slice(&blocks[0][..32]);
    key
}

/// SHA-256 of secret bytes.
pub(crate) fn sha256(bytes: &[u8]) -> Key256 {
    Zeroizing::new(Sha256::digest(bytes).into())
}

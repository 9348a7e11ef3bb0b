//! MD5 of 16 messages in one chain of AVX-512 vectors, or of 32 in two chains that interleave.
//!
//! One step of MD5 waits for the one before it, some four cycles; a second chain fills the wait.
//! Only AVX-512F is used: rotation, three-input logic, and a 16 × 16 transposition of words.

#![allow(
    unsafe_code,
    reason = "vector loads take pointers; calls into code for a detected processor feature"
)]

use std::arch::x86_64::*;

use super::rounds::{SINES, all_steps};
use super::{Block, Kernel, Kind, LANES_MAX, State, collect, spread};

/// Words in a vector: messages in a chain.
const WIDTH: usize = 16;

/// One chain's block: vector w holds word w of all 16 messages.
type Words = [__m512i; 16];

/// Advances up to 32 states by `blocks` blocks; `kernel` proves that the processor has AVX-512F.
pub(super) fn compress(kernel: Kernel, states: &mut [State], messages: &[&[Block]], blocks: usize) {
    assert!(
        kernel.0 == Kind::Avx512 && !states.is_empty() && states.len() <= LANES_MAX,
        "as the caller checked"
    );
    assert!(
        messages.iter().all(|message| message.len() >= blocks),
        "the shortest message's number of blocks"
    );
    // A lane without a message repeats the first one; its result is dropped.
    let mut starts = [messages[0].as_ptr(); LANES_MAX];
    for (start, message) in starts.iter_mut().zip(messages) {
        *start = message.as_ptr();
    }
    let mut words = spread::<LANES_MAX>(states);
    // SAFETY: a `Kernel` of this kind is only made where AVX-512F was detected; every start points
    // to at least `blocks` blocks, as asserted above.
    unsafe {
        if states.len() <= WIDTH {
            chains::<1>(&mut words, &starts, blocks);
        } else {
            chains::<2>(&mut words, &starts, blocks);
        }
    }
    collect(&words, states);
}

/// The chains' loop over the blocks.
///
/// # Safety
/// Each of the first `CHAINS * WIDTH` starts must point to `blocks` readable blocks.
#[target_feature(enable = "avx512f")]
unsafe fn chains<const CHAINS: usize>(
    states: &mut [[u32; LANES_MAX]; 4],
    starts: &[*const Block; LANES_MAX],
    blocks: usize,
) {
    let [mut a, mut b, mut c, mut d] = [[_mm512_setzero_si512(); CHAINS]; 4];
    for chain in 0..CHAINS {
        a[chain] = load_words(&states[0], chain);
        b[chain] = load_words(&states[1], chain);
        c[chain] = load_words(&states[2], chain);
        d[chain] = load_words(&states[3], chain);
    }
    for block in 0..blocks {
        let mut words = [[_mm512_setzero_si512(); 16]; CHAINS];
        for (chain, words) in words.iter_mut().enumerate() {
            // SAFETY: `block` is below `blocks`; the caller vouches for the starts.
            *words = transposed(unsafe { load_blocks(starts, chain, block) });
        }
        (a, b, c, d) = one_block(&words, a, b, c, d);
    }
    for chain in 0..CHAINS {
        store_words(&mut states[0], chain, a[chain]);
        store_words(&mut states[1], chain, b[chain]);
        store_words(&mut states[2], chain, c[chain]);
        store_words(&mut states[3], chain, d[chain]);
    }
}

/// A vector for each chain.
type Row<const CHAINS: usize> = [__m512i; CHAINS];

#[target_feature(enable = "avx512f")]
#[inline]
fn one_block<const CHAINS: usize>(
    words: &[Words; CHAINS],
    a0: Row<CHAINS>,
    b0: Row<CHAINS>,
    c0: Row<CHAINS>,
    d0: Row<CHAINS>,
) -> (Row<CHAINS>, Row<CHAINS>, Row<CHAINS>, Row<CHAINS>) {
    let (mut a, mut b, mut c, mut d) = (a0, b0, c0, d0);
    // The truth table of each round's mix of x, y, z: bit (x·4 + y·2 + z) is its value.
    macro_rules! truth {
        (first) => {
            0xCA
        }; // x ? y : z
        (second) => {
            0xE4
        }; // z ? x : y
        (third) => {
            0x96
        }; // x ^ y ^ z
        (fourth) => {
            0x39
        }; // y ^ (x | !z)
    }
    macro_rules! step {
        ($mix:ident, $a:ident, $b:ident, $c:ident, $d:ident, $word:literal, $rotate:literal, $i:expr) => {
            let sine = _mm512_set1_epi32(SINES[$i].cast_signed());
            for chain in 0..CHAINS {
                let mixed = _mm512_ternarylogic_epi32::<{ truth!($mix) }>($b[chain], $c[chain], $d[chain]);
                let known = _mm512_add_epi32(_mm512_add_epi32($a[chain], sine), words[chain][$word]);
                let rotated = _mm512_rol_epi32::<$rotate>(_mm512_add_epi32(known, mixed));
                $a[chain] = _mm512_add_epi32(rotated, $b[chain]);
            }
        };
    }
    all_steps!(step, a, b, c, d);
    (add(a, a0), add(b, b0), add(c, c0), add(d, d0))
}

#[target_feature(enable = "avx512f")]
#[inline]
fn add<const CHAINS: usize>(mut left: Row<CHAINS>, right: Row<CHAINS>) -> Row<CHAINS> {
    for chain in 0..CHAINS {
        left[chain] = _mm512_add_epi32(left[chain], right[chain]);
    }
    left
}

/// # Safety
/// The chain's 16 starts must each point to more than `block` readable blocks.
#[target_feature(enable = "avx512f")]
#[inline]
unsafe fn load_blocks(starts: &[*const Block; LANES_MAX], chain: usize, block: usize) -> Words {
    let mut rows = [_mm512_setzero_si512(); 16];
    for (row, start) in rows.iter_mut().zip(&starts[chain * WIDTH..]) {
        // SAFETY: the caller vouches for 64 readable bytes there; the load needs no alignment.
        *row = unsafe { _mm512_loadu_si512(start.add(block).cast()) };
    }
    rows
}

/// From 16 messages' blocks of 16 words to 16 words of 16 messages.
///
/// Words, then pairs of words within each 128-bit quarter; then whole quarters, in two steps.
#[target_feature(enable = "avx512f")]
#[inline]
fn transposed(rows: Words) -> Words {
    let mut quads = rows;
    for q in (0..16).step_by(4) {
        let (low01, high01) =
            (_mm512_unpacklo_epi32(rows[q], rows[q + 1]), _mm512_unpackhi_epi32(rows[q], rows[q + 1]));
        let (low23, high23) = (
            _mm512_unpacklo_epi32(rows[q + 2], rows[q + 3]),
            _mm512_unpackhi_epi32(rows[q + 2], rows[q + 3]),
        );
        quads[q] = _mm512_unpacklo_epi64(low01, low23);
        quads[q + 1] = _mm512_unpackhi_epi64(low01, low23);
        quads[q + 2] = _mm512_unpacklo_epi64(high01, high23);
        quads[q + 3] = _mm512_unpackhi_epi64(high01, high23);
    }
    let mut words = rows;
    for j in 0..4 {
        let (even0, odd0) = even_and_odd_quarters(quads[j], quads[j + 4]);
        let (even1, odd1) = even_and_odd_quarters(quads[j + 8], quads[j + 12]);
        (words[j], words[j + 8]) = even_and_odd_quarters(even0, even1);
        (words[j + 4], words[j + 12]) = even_and_odd_quarters(odd0, odd1);
    }
    words
}

#[target_feature(enable = "avx512f")]
#[inline]
fn even_and_odd_quarters(first: __m512i, second: __m512i) -> (__m512i, __m512i) {
    (_mm512_shuffle_i32x4::<0x88>(first, second), _mm512_shuffle_i32x4::<0xDD>(first, second))
}

#[target_feature(enable = "avx512f")]
#[inline]
fn load_words(row: &[u32; LANES_MAX], chain: usize) -> __m512i {
    let words: &[u32] = &row[chain * WIDTH..][..WIDTH];
    // SAFETY: the slice has the 16 words that are read; the load needs no alignment.
    unsafe { _mm512_loadu_si512(words.as_ptr().cast()) }
}

#[target_feature(enable = "avx512f")]
#[inline]
fn store_words(row: &mut [u32; LANES_MAX], chain: usize, vector: __m512i) {
    let words: &mut [u32] = &mut row[chain * WIDTH..][..WIDTH];
    // SAFETY: the slice has room for the 16 words that are written; the store needs no alignment.
    unsafe { _mm512_storeu_si512(words.as_mut_ptr().cast(), vector) }
}

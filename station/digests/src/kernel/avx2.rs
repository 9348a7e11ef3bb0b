//! MD5 of 8 messages in one chain of AVX2 vectors, or of 16 in two chains that interleave.
//!
//! The same shape as the AVX-512 kernel; rotation is two shifts, the mixes are two or three
//! operations, and a block is transposed in two halves.

#![allow(
    unsafe_code,
    reason = "vector loads take pointers; calls into code for a detected processor feature"
)]

use std::arch::x86_64::*;

use super::rounds::{SINES, all_steps};
use super::{Block, Kernel, Kind, State, collect, spread};

/// Words in a vector: messages in a chain.
const WIDTH: usize = 8;
/// Two chains.
const LANES: usize = 16;

/// One chain's block: vector w holds word w of all 8 messages.
type Words = [__m256i; 16];

/// Advances up to 32 states by `blocks` blocks; `kernel` proves that the processor has AVX2.
pub(super) fn compress(kernel: Kernel, states: &mut [State], messages: &[&[Block]], blocks: usize) {
    assert!(kernel.0 == Kind::Avx2, "as the caller checked");
    assert!(
        messages.iter().all(|message| message.len() >= blocks),
        "the shortest message's number of blocks"
    );
    for (states, messages) in states.chunks_mut(LANES).zip(messages.chunks(LANES)) {
        // A lane without a message repeats the first one; its result is dropped.
        let mut starts = [messages[0].as_ptr(); LANES];
        for (start, message) in starts.iter_mut().zip(messages) {
            *start = message.as_ptr();
        }
        let mut words = spread::<LANES>(states);
        // SAFETY: a `Kernel` of this kind is only made where AVX2 was detected; every start points
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
}

/// The chains' loop over the blocks.
///
/// # Safety
/// Each of the first `CHAINS * WIDTH` starts must point to `blocks` readable blocks.
#[target_feature(enable = "avx2")]
unsafe fn chains<const CHAINS: usize>(
    states: &mut [[u32; LANES]; 4],
    starts: &[*const Block; LANES],
    blocks: usize,
) {
    let [mut a, mut b, mut c, mut d] = [[_mm256_setzero_si256(); CHAINS]; 4];
    for chain in 0..CHAINS {
        a[chain] = load_words(&states[0], chain);
        b[chain] = load_words(&states[1], chain);
        c[chain] = load_words(&states[2], chain);
        d[chain] = load_words(&states[3], chain);
    }
    for block in 0..blocks {
        let mut words = [[_mm256_setzero_si256(); 16]; CHAINS];
        for (chain, words) in words.iter_mut().enumerate() {
            for half in 0..2 {
                // SAFETY: `block` is below `blocks`; the caller vouches for the starts.
                let columns = transposed(unsafe { load_halves(starts, chain, block, half) });
                words[half * 8..][..8].copy_from_slice(&columns);
            }
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
type Row<const CHAINS: usize> = [__m256i; CHAINS];

#[target_feature(enable = "avx2")]
#[inline]
fn one_block<const CHAINS: usize>(
    words: &[Words; CHAINS],
    a0: Row<CHAINS>,
    b0: Row<CHAINS>,
    c0: Row<CHAINS>,
    d0: Row<CHAINS>,
) -> (Row<CHAINS>, Row<CHAINS>, Row<CHAINS>, Row<CHAINS>) {
    let (mut a, mut b, mut c, mut d) = (a0, b0, c0, d0);
    let ones = _mm256_set1_epi32(-1);
    macro_rules! mix {
        (first, $x:expr, $y:expr, $z:expr) => {
            _mm256_xor_si256($z, _mm256_and_si256($x, _mm256_xor_si256($y, $z)))
        };
        (second, $x:expr, $y:expr, $z:expr) => {
            _mm256_xor_si256($y, _mm256_and_si256($z, _mm256_xor_si256($x, $y)))
        };
        (third, $x:expr, $y:expr, $z:expr) => {
            _mm256_xor_si256(_mm256_xor_si256($y, $z), $x)
        };
        (fourth, $x:expr, $y:expr, $z:expr) => {
            _mm256_xor_si256($y, _mm256_or_si256($x, _mm256_xor_si256($z, ones)))
        };
    }
    macro_rules! step {
        ($mix:ident, $a:ident, $b:ident, $c:ident, $d:ident, $word:literal, $rotate:literal, $i:expr) => {
            let sine = _mm256_set1_epi32(SINES[$i].cast_signed());
            for chain in 0..CHAINS {
                let mixed = mix!($mix, $b[chain], $c[chain], $d[chain]);
                let known = _mm256_add_epi32(_mm256_add_epi32($a[chain], sine), words[chain][$word]);
                let sum = _mm256_add_epi32(known, mixed);
                let rotated = _mm256_or_si256(
                    _mm256_slli_epi32::<$rotate>(sum),
                    _mm256_srli_epi32::<{ 32 - $rotate }>(sum),
                );
                $a[chain] = _mm256_add_epi32(rotated, $b[chain]);
            }
        };
    }
    all_steps!(step, a, b, c, d);
    (add(a, a0), add(b, b0), add(c, c0), add(d, d0))
}

#[target_feature(enable = "avx2")]
#[inline]
fn add<const CHAINS: usize>(mut left: Row<CHAINS>, right: Row<CHAINS>) -> Row<CHAINS> {
    for chain in 0..CHAINS {
        left[chain] = _mm256_add_epi32(left[chain], right[chain]);
    }
    left
}

/// # Safety
/// The chain's 8 starts must each point to more than `block` readable blocks; `half` is 0 or 1.
#[target_feature(enable = "avx2")]
#[inline]
unsafe fn load_halves(
    starts: &[*const Block; LANES],
    chain: usize,
    block: usize,
    half: usize,
) -> [__m256i; 8] {
    let mut rows = [_mm256_setzero_si256(); 8];
    for (row, start) in rows.iter_mut().zip(&starts[chain * WIDTH..]) {
        // SAFETY: the caller vouches for 64 readable bytes there, of which this is one half; the
        // load needs no alignment.
        *row = unsafe { _mm256_loadu_si256(start.add(block).cast::<__m256i>().add(half)) };
    }
    rows
}

/// From 8 messages' 8 words to 8 words of 8 messages.
#[target_feature(enable = "avx2")]
#[inline]
fn transposed(rows: [__m256i; 8]) -> [__m256i; 8] {
    let mut quads = rows;
    for q in [0, 4] {
        let (low01, high01) =
            (_mm256_unpacklo_epi32(rows[q], rows[q + 1]), _mm256_unpackhi_epi32(rows[q], rows[q + 1]));
        let (low23, high23) = (
            _mm256_unpacklo_epi32(rows[q + 2], rows[q + 3]),
            _mm256_unpackhi_epi32(rows[q + 2], rows[q + 3]),
        );
        quads[q] = _mm256_unpacklo_epi64(low01, low23);
        quads[q + 1] = _mm256_unpackhi_epi64(low01, low23);
        quads[q + 2] = _mm256_unpacklo_epi64(high01, high23);
        quads[q + 3] = _mm256_unpackhi_epi64(high01, high23);
    }
    let mut words = rows;
    for j in 0..4 {
        words[j] = _mm256_permute2x128_si256::<0x20>(quads[j], quads[j + 4]);
        words[j + 4] = _mm256_permute2x128_si256::<0x31>(quads[j], quads[j + 4]);
    }
    words
}

#[target_feature(enable = "avx2")]
#[inline]
fn load_words(row: &[u32; LANES], chain: usize) -> __m256i {
    let words: &[u32] = &row[chain * WIDTH..][..WIDTH];
    // SAFETY: the slice has the 8 words that are read; the load needs no alignment.
    unsafe { _mm256_loadu_si256(words.as_ptr().cast()) }
}

#[target_feature(enable = "avx2")]
#[inline]
fn store_words(row: &mut [u32; LANES], chain: usize, vector: __m256i) {
    let words: &mut [u32] = &mut row[chain * WIDTH..][..WIDTH];
    // SAFETY: the slice has room for the 8 words that are written; the store needs no alignment.
    unsafe { _mm256_storeu_si256(words.as_mut_ptr().cast(), vector) }
}

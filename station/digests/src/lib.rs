//! Digests of chunks while they are hot in the cache: MD5 of many at once, CRC-64/NVME of each.
//!
//! Owns the arithmetic only. A worker decrypts a slice of each of its chunks, feeds the slices to
//! one [`LaneSet`] and to each chunk's [`Crc64`], and goes on to the next slice; who compares the
//! digest with the manifest's is the caller. Design §4 "Batch the arithmetic", §5 for the budget.
//!
//! ```text
//! chunk ─┐                    ┌─ 16 or 32 lanes, AVX-512 ─┐
//! chunk ─┼─▶ LaneSet (lanes) ─┼─  8 or 16 lanes, AVX2 ────┼─▶ digest of each
//! chunk ─┘                    └─  one at a time, `md-5` ──┘
//! ```
//!
//! # Why not `md5-simd`
//!
//! `md5-simd` 0.2.0 (Apache-2.0, one author, 0.1.0 and 0.2.0 published the same day) was read whole:
//! - correct where it was tried: bit length is a wrapping u64, so 2^29 bytes and 2^32 bytes are no
//!   border; pointers stay in their slices; dispatch asks for avx512f *and* avx2 as it must;
//! - but only runs of *adjacent, equally long, complete* messages reach the SIMD kernels. Its
//!   progressive call (`update_many`) loops over a scalar hasher, so decrypting and hashing cannot
//!   share the cache, and a mix of lengths falls to one lane;
//! - its kernel is a safe generic whose pointer reads rest on `debug_assert!`ed lengths, and its
//!   vector code is right only as long as `inline(always)` puts it into a `target_feature` function;
//! - 870 lines of inline assembly are adapted from another crate for single streams, on by default;
//! - on x86 its chains do not interleave: 0.18–0.21 CPU-s/GB for 32 complete messages, where these
//!   kernels take 0.07–0.13 (same machine and day; `examples/digest_bench.rs`).
//!
//! So: our own kernels, some 250 lines, `md-5` being the oracle of the tests and the fallback.

mod crc64;
mod kernel;
mod lanes;

#[cfg(test)]
mod tests;

pub use crc64::{Crc64, Crc64Sum};
pub use kernel::Kernel;
pub use lanes::{Lane, LaneSet, md5_many, md5_of};

//! What the size of a pool's pages costs: time per buffer, and memory that cannot be used.
//!
//! `cargo run --release -p block --example pool_bench`
//!
//! A fixed pseudo-random history on 256 MiB: buffers are taken until one does not fit, then random
//! ones are given back until it does. "Used" is how much of the pool was really asked for at the
//! moments when a request had to wait; the rest is rounding to pages and fragmentation.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    reason = "a measurement, not a product"
)]

use std::time::Instant;

use block::{Buffer, BufferPool, PoolConfig};

const BUDGET_BYTES: usize = 256 << 20;
const REQUEST_COUNT: u32 = 200_000;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mixes: [(&str, &[usize]); 4] = [
        ("4 MiB blocks", &[4 << 20]),
        ("64 KiB to 100 MiB", &[64 << 10, 1 << 20, 4 << 20, 4 << 20, 4 << 20, 100 << 20]),
        ("files of 16 KiB and a bit", &[16_500]),
        ("files and blocks", &[3_000, 16_500, 200_000, 4 << 20]),
    ];
    for (what, lengths) in mixes {
        for page_bytes in [4 << 10, 16 << 10, 64 << 10, 256 << 10, 2 << 20] {
            let pool = BufferPool::new(PoolConfig { page_bytes, page_count: BUDGET_BYTES / page_bytes })?;
            let (nanos, used) = history(&pool, lengths)?;
            println!(
                "{what:26} pages of {:5} KiB: {nanos:5.0} ns a buffer, {used:5.1} % used",
                page_bytes >> 10
            );
        }
    }
    Ok(())
}

/// Nanoseconds per buffer taken and given, and the share of the pool in use when it was full.
fn history(pool: &BufferPool, lengths: &[usize]) -> Result<(f64, f64), Box<dyn std::error::Error>> {
    let mut random = 0x9E37_79B9_7F4A_7C15_u64;
    let mut next = |below: usize| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        (random % below as u64) as usize
    };
    let (mut held, mut held_bytes): (Vec<Buffer>, usize) = (Vec::new(), 0);
    let (mut used, mut waits) = (0.0, 0_u32);
    let start = Instant::now();
    for _ in 0..REQUEST_COUNT {
        let length = lengths.iter().copied().nth(next(lengths.len())).unwrap_or(1);
        let mut waited = false;
        let buffer = loop {
            if let Some(buffer) = pool.try_acquire(length)? {
                break buffer;
            }
            if !waited {
                (waited, waits, used) = (true, waits + 1, used + held_bytes as f64);
            }
            held_bytes -= held.swap_remove(next(held.len())).len();
        };
        held_bytes += buffer.len();
        held.push(buffer);
    }
    let nanos = start.elapsed().as_nanos() as f64 / f64::from(REQUEST_COUNT);
    Ok((nanos, used / f64::from(waits.max(1)) / BUDGET_BYTES as f64 * 100.0))
}

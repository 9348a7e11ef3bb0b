//! What digests cost: CPU-seconds per 10^9 bytes of each kernel, by lanes and slice sizes.
//!
//! `cargo run --release -p digests --example digest_bench`. CPU time, not wall time, so that a busy
//! machine does not change the figures; the best of several rounds. Budget: design §5.

use std::hint::black_box;
use std::time::Duration;

use digests::{Crc64, Kernel, Lane, LaneSet, md5_many};

/// Bytes digested in one timed round.
const ROUND_BYTES: usize = 256 << 20;
/// Rounds of which the fastest counts.
const ROUNDS: usize = 5;

fn main() {
    println!("CPU-s per 10^9 bytes, best of {ROUNDS} rounds of {} MiB", ROUND_BYTES >> 20);
    for kernel in Kernel::available() {
        lanes_of_a_kernel(kernel);
    }
    small_messages();
    crc();
}

/// Chunks lie apart by a power of two, as pooled buffers do, or staggered by some lines.
fn lanes_of_a_kernel(kernel: Kernel) {
    for lanes in [1, 2, 3, 4, 8, 16, 24, 32] {
        if lanes > 1 && kernel == Kernel::SCALAR {
            continue;
        }
        for (slice_bytes, stagger_bytes) in [(16 << 10, 0), (16 << 10, 1_088), (32 << 10, 0), (4 << 20, 0)] {
            let cost = best(|| feed(kernel, lanes, slice_bytes, stagger_bytes));
            println!(
                "MD5 {:<7} {lanes:>2} lanes, slices of {:>4} KiB, staggered by {stagger_bytes:>4} B  {cost:.3}",
                kernel.name(),
                slice_bytes >> 10
            );
        }
    }
}

/// Feeds 4 MiB chunks on that many lanes; returns the bytes and the CPU time.
fn feed(kernel: Kernel, lanes: usize, slice_bytes: usize, stagger_bytes: usize) -> (usize, Duration) {
    const CHUNK_BYTES: usize = 4 << 20;
    let memory = vec![0x5A; lanes * (CHUNK_BYTES + stagger_bytes)];
    let chunks: Vec<&[u8]> =
        memory.chunks_exact(CHUNK_BYTES + stagger_bytes).map(|part| &part[..CHUNK_BYTES]).collect();
    let mut set = LaneSet::with_kernel(kernel);
    let (mut bytes, before) = (0, cpu_time());
    while bytes < ROUND_BYTES {
        let keys: Vec<Lane> = chunks.iter().map(|chunk| set.add(chunk.len() as u64)).collect();
        for start in (0..CHUNK_BYTES).step_by(slice_bytes) {
            let slices: Vec<(Lane, &[u8])> = keys
                .iter()
                .zip(&chunks)
                .map(|(&key, chunk)| (key, &chunk[start..start + slice_bytes]))
                .collect();
            // As decryption in place would: the slices are in the cache when they are digested.
            for (_, slice) in &slices {
                black_box(slice.iter().step_by(64).fold(0u8, |sum, byte| sum ^ byte));
            }
            set.update(&slices);
        }
        for key in keys {
            black_box(set.finish(key));
        }
        bytes += lanes * CHUNK_BYTES;
    }
    (bytes, cpu_time() - before)
}

fn small_messages() {
    for length in [1, 64, 256, 1 << 10, 4 << 10, 16 << 10] {
        let memory = vec![0xA5; 32 * length];
        let messages: Vec<&[u8]> = memory.chunks_exact(length).collect();
        let calls = (16 << 20) / memory.len() + 1;
        let cost = best(|| {
            let before = cpu_time();
            (0..calls).for_each(|_| drop(black_box(md5_many(black_box(&messages)))));
            (calls * memory.len(), cpu_time() - before)
        });
        println!(
            "MD5 {:<7} 32 messages of {length:>5} B  {cost:.3}, {:.0} ns each",
            Kernel::best().name(),
            cost * f64::from(u32::try_from(length).expect("small"))
        );
    }
}

fn crc() {
    let memory = vec![0x5A; 16 << 10];
    let cost = best(|| {
        let (calls, before) = (ROUND_BYTES / memory.len(), cpu_time());
        let mut crc = Crc64::new();
        (0..calls).for_each(|_| crc.update(black_box(&memory)));
        black_box(crc.value());
        (calls * memory.len(), cpu_time() - before)
    });
    println!("CRC-64/NVME, slices of 16 KiB  {cost:.3}");
}

/// The fastest of several rounds, in CPU-seconds per 10^9 bytes.
fn best(mut round: impl FnMut() -> (usize, Duration)) -> f64 {
    let seconds_per_gb = |(bytes, time): (usize, Duration)| time.as_secs_f64() * 1e9 / bytes as f64;
    (0..ROUNDS).map(|_| seconds_per_gb(round())).fold(f64::INFINITY, f64::min)
}

/// The CPU time that this process has used, from the kernel's own count.
fn cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(
        time.tv_sec.try_into().expect("not negative"),
        time.tv_nsec.try_into().expect("below a second"),
    )
}

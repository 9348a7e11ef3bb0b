//! CPU-seconds per 10^9 bytes of every method, beside `xts-mode` where it can do the same.
//!
//! `cargo run --release -p bitlocker --example cipher_bench`

#![allow(clippy::cast_precision_loss, reason = "figures for people")]

use std::hint::black_box;
use std::time::Instant;

use aes::cipher::KeyInit;
use aes::cipher::{BlockCipherDecrypt, array::Array};
use aes::{Aes128, Aes256};
use bitlocker::{Method, SectorCipher};
use xts_mode::{Xts128, get_tweak_default};

/// What is decrypted at once: the size in which the transfer path works.
const SLICE_BYTES: usize = 64 << 10;

/// What the formatter's full pass encrypts at once: beyond the caches next to the core.
const FORMAT_SLICE_BYTES: usize = 4 << 20;

/// Bytes a measurement. `xts-mode` gets fewer: it is slow.
const TOTAL_BYTES: usize = 1 << 30;

fn main() {
    println!("method                                sector  slice   CPU-s/GB");
    for method in [
        Method::AesXts128,
        Method::AesXts256,
        Method::AesCbc128,
        Method::AesCbc256,
        Method::AesCbc128Elephant,
        Method::AesCbc256Elephant,
    ] {
        for sector_bytes in [512, 4096] {
            for slice_bytes in [SLICE_BYTES / 4, SLICE_BYTES] {
                let cipher = cipher_of(method, sector_bytes);
                let seconds = measure(TOTAL_BYTES, slice_bytes, |data| {
                    cipher.decrypt(1 << 30, data).expect("whole sectors");
                });
                print_line(&method.to_string(), sector_bytes, slice_bytes, seconds);
            }
        }
    }
    encrypting();
    oracles();
}

/// The methods that new volumes are made with, in place as the formatter encrypts.
fn encrypting() {
    for method in [Method::AesXts128, Method::AesXts256, Method::AesCbc128, Method::AesCbc256] {
        for sector_bytes in [512, 4096] {
            let cipher = cipher_of(method, sector_bytes);
            for slice_bytes in [SLICE_BYTES, FORMAT_SLICE_BYTES] {
                let seconds = measure(TOTAL_BYTES, slice_bytes, |data| {
                    cipher.encrypt(1 << 30, data).expect("whole sectors");
                });
                print_line(&format!("{method}, encrypting"), sector_bytes, slice_bytes, seconds);
            }
        }
    }
}

fn cipher_of(method: Method, sector_bytes: u32) -> SectorCipher {
    let key: Vec<u8> = (0..64).take(method.key_bytes().unwrap_or(0)).collect();
    SectorCipher::new(method, &key, sector_bytes).expect("a key of the method's length")
}

fn oracles() {
    let raw = Aes256::new(&Array([1; 32]));
    let seconds = measure(TOTAL_BYTES, SLICE_BYTES, |data| {
        raw.decrypt_blocks(Array::slice_as_chunks_mut(data).0);
    });
    print_line("AES-256 alone, no mode", 0, SLICE_BYTES, seconds);
    let xts = Xts128::new(Aes256::new(&Array([1; 32])), Aes256::new(&Array([2; 32])));
    let seconds =
        measure(TOTAL_BYTES / 8, SLICE_BYTES, |data| xts.decrypt_area(data, 512, 1 << 21, get_tweak_default));
    print_line("xts-mode, AES-256", 512, SLICE_BYTES, seconds);
    let xts = Xts128::new(Aes128::new(&Array([1; 16])), Aes128::new(&Array([2; 16])));
    let seconds =
        measure(TOTAL_BYTES / 8, SLICE_BYTES, |data| xts.decrypt_area(data, 512, 1 << 21, get_tweak_default));
    print_line("xts-mode, AES-128", 512, SLICE_BYTES, seconds);
}

/// The best of five, because other processes share the machine; the data stays in the cache, as it
/// does in the transfer path.
fn measure(total_bytes: usize, slice_bytes: usize, run: impl Fn(&mut [u8])) -> f64 {
    let mut data = vec![0x5A; slice_bytes];
    let rounds = total_bytes / slice_bytes / 5;
    let best = (0..5)
        .map(|_| {
            let start = Instant::now();
            for _ in 0..rounds {
                run(black_box(&mut data));
            }
            start.elapsed().as_secs_f64()
        })
        .fold(f64::INFINITY, f64::min);
    best / ((rounds * slice_bytes) as f64 / 1e9)
}

fn print_line(what: &str, sector_bytes: u32, slice_bytes: usize, seconds: f64) {
    println!("{what:<36} {sector_bytes:>6} {:>4}Ki {seconds:>10.3}", slice_bytes >> 10);
}

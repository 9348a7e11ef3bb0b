//! CRC-64/NVME, the checksum that copy logs show and that the storage service calls CRC64.
//!
//! azure-import-export.md §3.7 and §10: reflected polynomial 0x9A6C9329AC4BC9B5, initial value and
//! final XOR all ones. The arithmetic is `crc-fast`'s; here are the two things that a chunked copy
//! needs besides: the CRC of a file from those of its chunks, in whatever order they came, and the
//! CRC of a hole that nobody reads.

use std::fmt;

use crc_fast::{CrcAlgorithm, Digest};

/// A CRC-64/NVME being computed.
#[derive(Clone)]
pub struct Crc64 {
    digest: Digest,
}

impl Crc64 {
    /// The CRC of nothing, which is 0.
    pub fn new() -> Crc64 {
        Crc64 { digest: Digest::new(CrcAlgorithm::Crc64Nvme) }
    }

    /// Takes in the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.digest.update(bytes);
    }

    /// The CRC of all bytes so far; more may follow.
    pub fn value(&self) -> u64 {
        self.digest.finalize()
    }

    /// The CRC of some bytes.
    pub fn of(bytes: &[u8]) -> u64 {
        crc_fast::checksum(CrcAlgorithm::Crc64Nvme, bytes)
    }

    /// The CRC of `a` followed by `b`, from the CRC of each and the length of `b`.
    pub fn combine(crc_a: u64, crc_b: u64, length_b_bytes: u64) -> u64 {
        // Nothing follows: crc-fast is not asked, for its answer there is not documented.
        if length_b_bytes == 0 {
            return crc_a;
        }
        crc_fast::checksum_combine(CrcAlgorithm::Crc64Nvme, crc_a, crc_b, length_b_bytes)
    }

    /// The CRC of that many zero bytes, in time that grows with the length's logarithm.
    pub fn zeros(length_bytes: u64) -> u64 {
        let mut crc = 0;
        let mut power_crc = Crc64::of(&[0]);
        for bit in 0..u64::BITS - length_bytes.leading_zeros() {
            let power_bytes = 1u64 << bit;
            if length_bytes & power_bytes != 0 {
                crc = Crc64::combine(crc, power_crc, power_bytes);
            }
            power_crc = Crc64::combine(power_crc, power_crc, power_bytes);
        }
        crc
    }
}

impl Default for Crc64 {
    fn default() -> Crc64 {
        Crc64::new()
    }
}

impl fmt::Debug for Crc64 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Crc64({:#018x})", self.value())
    }
}

/// The CRC of a whole from its parts in order, parts of zeros not being read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Crc64Sum {
    value: u64,
    /// Whether any byte was appended: the first part needs no combining, which costs 50 µs.
    begun: bool,
}

impl Crc64Sum {
    /// Appends a part by its CRC and length.
    pub fn push(&mut self, crc64: u64, length_bytes: u64) {
        if length_bytes == 0 {
            return;
        }
        self.value = if self.begun { Crc64::combine(self.value, crc64, length_bytes) } else { crc64 };
        self.begun = true;
    }

    /// Appends a hole.
    pub fn push_zeros(&mut self, length_bytes: u64) {
        if length_bytes > 0 {
            self.push(Crc64::zeros(length_bytes), length_bytes);
        }
    }

    /// The CRC of all parts so far.
    pub fn value(self) -> u64 {
        self.value
    }
}

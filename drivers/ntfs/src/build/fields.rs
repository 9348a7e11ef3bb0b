//! Little-endian fields, appended one after the other.
//!
//! A structure is written front to back with its lengths computed first, so nothing is patched
//! later and no position can lie outside.

/// Appends fields.
pub(super) trait Fields {
    /// Appends bytes as they are.
    fn put(&mut self, bytes: &[u8]);
    /// Appends zeros up to this length; does nothing when it is reached already.
    fn pad_to(&mut self, length: usize);

    /// Appends a byte.
    fn put_u8(&mut self, value: u8) {
        self.put(&[value]);
    }

    /// Appends two bytes.
    fn put_u16(&mut self, value: u16) {
        self.put(&value.to_le_bytes());
    }

    /// Appends four bytes.
    fn put_u32(&mut self, value: u32) {
        self.put(&value.to_le_bytes());
    }

    /// Appends eight bytes.
    fn put_u64(&mut self, value: u64) {
        self.put(&value.to_le_bytes());
    }

    /// Appends UTF-16.
    fn put_units(&mut self, units: &[u16]) {
        for unit in units {
            self.put(&unit.to_le_bytes());
        }
    }
}

impl Fields for Vec<u8> {
    fn put(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }

    fn pad_to(&mut self, length: usize) {
        if self.len() < length {
            self.resize(length, 0);
        }
    }
}

/// A sum of lengths in memory. What this crate adds up is a few records long, so it cannot overflow.
pub(super) fn sum(lengths: &[usize]) -> usize {
    lengths.iter().fold(0, |sum, &length| sum.saturating_add(length))
}

/// A length as NTFS aligns attributes, values and entries.
pub(super) fn aligned(length: usize) -> usize {
    length.checked_next_multiple_of(8).unwrap_or(usize::MAX)
}

/// A length that the format keeps in 16 bits. Callers stay inside a record or an index block, which
/// are 4 KiB at most.
pub(super) fn short(length: usize) -> u16 {
    u16::try_from(length).unwrap_or(u16::MAX)
}

/// A length that the format keeps in 32 bits; same bound.
pub(super) fn long(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

/// The update sequence number of everything that is written once.
const SEQUENCE_NUMBER: u16 = 1;
/// What the update sequence guards, whatever the sector size.
const STRIDE: usize = 512;

/// How many words the update sequence array of a structure has.
pub(super) fn sequence_words(length: usize) -> usize {
    (length / STRIDE).saturating_add(1)
}

/// Moves the last two bytes of each 512 into the update sequence array at `array_at`.
pub(super) fn seal(structure: &mut [u8], array_at: usize) {
    let mut array = Vec::with_capacity(sequence_words(structure.len()).saturating_mul(2));
    array.put_u16(SEQUENCE_NUMBER);
    for sector in structure.chunks_exact_mut(STRIDE) {
        if let Some(last) = sector.last_chunk_mut::<2>() {
            array.put(last);
            *last = SEQUENCE_NUMBER.to_le_bytes();
        }
    }
    for (to, from) in structure.iter_mut().skip(array_at).zip(array) {
        *to = from;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_sealed_is_restored_by_the_reader() {
        let mut structure: Vec<u8> = (0..1024).map(|n| (n % 251) as u8).collect();
        structure[4..8].copy_from_slice(&[48, 0, 3, 0]);
        let before = structure.clone();
        seal(&mut structure, 48);
        assert_ne!(structure[510..512], before[510..512]);
        crate::record::restore_sectors(&mut structure).unwrap();
        assert_eq!(structure[54..], before[54..]);
    }
}

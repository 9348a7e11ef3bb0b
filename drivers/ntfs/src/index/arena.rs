//! One growing store of packed entries that never moves them.
//!
//! Chunks of a mebibyte instead of one vector: growing a vector would need twice the memory at the
//! moment it doubles, and the budget is counted in megabytes (design §5).

/// A chunk; an entry never crosses one, and is at most a few kibibytes (a FILE record's worth).
const CHUNK_BYTES: usize = 1 << 20;
const CHUNK_BITS: u32 = 20;

/// See the module's documentation.
#[derive(Default)]
pub(crate) struct Arena {
    chunks: Vec<Box<[u8]>>,
    used_in_last: usize,
}

/// Where an entry is: chunk number and position, never 0.
pub(crate) type Place = u32;

impl Arena {
    /// Stores an entry; `None` when 4 GiB are full or the entry is larger than a chunk.
    pub(crate) fn push(&mut self, entry: &[u8]) -> Option<Place> {
        let fits = |used: usize| used.checked_add(entry.len()).filter(|&end| end <= CHUNK_BYTES);
        let full = self.chunks.is_empty() || fits(self.used_in_last).is_none();
        if full {
            self.chunks.push(vec![0; CHUNK_BYTES].into_boxed_slice());
            // Place 0 means "no entry", so nothing is ever stored there.
            self.used_in_last = 1;
        }
        let start = self.used_in_last;
        let end = fits(start)?;
        self.chunks.last_mut()?.get_mut(start..end)?.copy_from_slice(entry);
        self.used_in_last = end;
        let chunk = u32::try_from(self.chunks.len().checked_sub(1)?).ok()?;
        chunk.checked_mul(1 << CHUNK_BITS)?.checked_add(u32::try_from(start).ok()?)
    }

    /// The bytes from a place on; entries know their own end.
    pub(crate) fn at(&self, place: Place) -> Option<&[u8]> {
        let chunk = usize::try_from(place >> CHUNK_BITS).ok()?;
        let start = usize::try_from(place & ((1 << CHUNK_BITS) - 1)).ok()?;
        self.chunks.get(chunk)?.get(start..)
    }

    /// Memory taken.
    pub(crate) fn bytes(&self) -> u64 {
        crate::bytes::on_volume(self.chunks.len().saturating_mul(CHUNK_BYTES))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_stay_where_they_were_put() {
        let mut arena = Arena::default();
        let entries: Vec<Vec<u8>> = (0..5_000_u32).map(|n| vec![n as u8; (n % 900) as usize]).collect();
        let places: Vec<Place> = entries.iter().map(|entry| arena.push(entry).unwrap()).collect();
        assert!(places.iter().all(|&place| place != 0));
        for (entry, &place) in entries.iter().zip(&places) {
            assert_eq!(&arena.at(place).unwrap()[..entry.len()], &entry[..]);
        }
        assert_eq!(arena.bytes(), 3 << 20);
        assert!(arena.push(&vec![0; CHUNK_BYTES]).is_none());
    }
}

//! A set of blob indexes at about a bit each: ten million blobs are 1.3 MB.
//!
//! Pages of 65,536 bits, only those with a member: indexes far apart cost a page each, never the
//! distance between them.

use std::collections::BTreeMap;
use std::fmt;

/// Bits in a page.
const PAGE_BITS: u64 = 1 << 16;
/// Words in a page.
const PAGE_WORDS: usize = 1 << 10;

/// Blob indexes of one manifest.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct BlobSet {
    pages: BTreeMap<u64, Box<[u64]>>,
    len: u64,
}

impl BlobSet {
    /// Nothing.
    pub fn new() -> BlobSet {
        BlobSet::default()
    }

    /// Adds an index; false when it was there.
    pub fn insert(&mut self, index: u64) -> bool {
        let (page, word, mask) = place(index);
        let words = self.pages.entry(page).or_insert_with(|| vec![0; PAGE_WORDS].into_boxed_slice());
        let added = words[word] & mask == 0;
        words[word] |= mask;
        self.len += u64::from(added);
        added
    }

    /// Whether the index is in it.
    pub fn contains(&self, index: u64) -> bool {
        let (page, word, mask) = place(index);
        self.pages.get(&page).is_some_and(|words| words[word] & mask != 0)
    }

    /// How many indexes are in it.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// All of them, ascending.
    pub fn iter(&self) -> impl Iterator<Item = u64> {
        self.pages.iter().flat_map(|(page, words)| {
            let words = (0u64..).step_by(64).zip(words.iter());
            words.flat_map(move |(start, word)| {
                let bits = (0..64).filter(move |bit| word >> bit & 1 == 1);
                bits.map(move |bit| page * PAGE_BITS + start + bit)
            })
        })
    }

    /// What it takes in memory, nearly.
    pub fn size_bytes(&self) -> usize {
        self.pages.len() * PAGE_WORDS * size_of::<u64>()
    }
}

impl FromIterator<u64> for BlobSet {
    fn from_iter<I: IntoIterator<Item = u64>>(indexes: I) -> BlobSet {
        let mut set = BlobSet::new();
        for index in indexes {
            set.insert(index);
        }
        set
    }
}

impl fmt::Debug for BlobSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BlobSet of {}", self.len)
    }
}

/// The page, the word in it, and the bit in that.
fn place(index: u64) -> (u64, usize, u64) {
    let within = index % PAGE_BITS;
    let word = usize::try_from(within / 64).expect("below 1,024");
    (index / PAGE_BITS, word, 1 << (within % 64))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn index() -> impl Strategy<Value = u64> {
        prop_oneof![0u64..300, 65_400u64..65_700, any::<u64>(), Just(u64::MAX)]
    }

    proptest! {
        #[test]
        fn a_blob_set_is_a_set(inserted in prop::collection::vec(index(), 0..300), asked in prop::collection::vec(index(), 0..50)) {
            let mut model = BTreeSet::new();
            let mut set = BlobSet::new();
            for index in inserted {
                prop_assert_eq!(set.insert(index), model.insert(index));
            }
            for index in asked.into_iter().chain(model.iter().copied()) {
                prop_assert_eq!(set.contains(index), model.contains(&index));
            }
            prop_assert_eq!(set.len(), model.len() as u64);
            prop_assert_eq!(set.is_empty(), model.is_empty());
            prop_assert_eq!(set.iter().collect::<BTreeSet<_>>(), model.clone());
            prop_assert!(set.iter().is_sorted());
            prop_assert_eq!(model.into_iter().collect::<BlobSet>(), set);
        }
    }

    #[test]
    fn ten_million_blobs_take_little_more_than_a_megabyte() {
        let set: BlobSet = (0..10_000_000).collect();
        assert_eq!(set.len(), 10_000_000);
        assert!(set.size_bytes() < 1_300_000, "{}", set.size_bytes());
    }
}

//! What is kept of each FILE record between the sweep and the walk of the directories: 15 bytes.

use std::hash::{BuildHasher, Hasher, RandomState};

use crate::bytes::in_memory;
use crate::record::FileId;

/// Bits of [`Table::flags`].
pub(super) const IN_USE: u8 = 1;
/// The record could not be read; nothing is said about it.
pub(super) const LOST: u8 = 1 << 1;
pub(super) const EXTENSION: u8 = 1 << 2;
pub(super) const DIRECTORY: u8 = 1 << 3;
/// It has an index of some kind.
pub(super) const INDEXED: u8 = 1 << 4;
/// An extension that an attribute list named.
pub(super) const CLAIMED: u8 = 1 << 5;
/// The sizes in directory entries are not compared.
pub(super) const SIZES_OPEN: u8 = 1 << 6;

/// See the module's documentation.
pub(super) struct Table {
    flags: Vec<u8>,
    sequences: Vec<u16>,
    /// Digest of what directory entries must show.
    shown: Vec<u32>,
    /// Sum of the digests of a file's names, minus that of its directory entries: 0 at the end.
    names: Vec<u64>,
    /// So that nobody can make up names whose digests cancel out.
    keys: RandomState,
}

impl Table {
    /// Pages that no record in use falls into are never touched.
    pub(super) fn new(records: u64) -> Table {
        let records = in_memory(records);
        Table {
            flags: vec![0; records],
            sequences: vec![0; records],
            shown: vec![0; records],
            names: vec![0; records],
            keys: RandomState::new(),
        }
    }

    pub(super) fn flags(&self, record: u64) -> u8 {
        self.flags.get(in_memory(record)).copied().unwrap_or(0)
    }

    pub(super) fn has(&self, record: u64, flag: u8) -> bool {
        self.flags(record) & flag != 0
    }

    pub(super) fn set(&mut self, record: u64, flags: u8) {
        if let Some(slot) = self.flags.get_mut(in_memory(record)) {
            *slot |= flags;
        }
    }

    pub(super) fn sequence(&self, record: u64) -> u16 {
        self.sequences.get(in_memory(record)).copied().unwrap_or(0)
    }

    pub(super) fn set_sequence(&mut self, record: u64, sequence: u16) {
        if let Some(slot) = self.sequences.get_mut(in_memory(record)) {
            *slot = sequence;
        }
    }

    pub(super) fn id(&self, record: u64) -> FileId {
        FileId { record, sequence: self.sequence(record) }
    }

    /// Whether it is the base record of a file that can be looked into.
    pub(super) fn is_file(&self, record: u64) -> bool {
        self.flags(record) & (IN_USE | EXTENSION) == IN_USE
    }

    pub(super) fn shown(&self, record: u64) -> u32 {
        self.shown.get(in_memory(record)).copied().unwrap_or(0)
    }

    pub(super) fn set_shown(&mut self, record: u64, shown: u32) {
        if let Some(slot) = self.shown.get_mut(in_memory(record)) {
            *slot = shown;
        }
    }

    /// A name that the file says it has.
    pub(super) fn add_name(&mut self, record: u64, parent: FileId, key: &[u8]) {
        let digest = self.digest(parent, key);
        if let Some(slot) = self.names.get_mut(in_memory(record)) {
            *slot = slot.wrapping_add(digest);
        }
    }

    /// An entry that a directory has for the file.
    pub(super) fn take_entry(&mut self, record: u64, directory: FileId, key: &[u8]) {
        let digest = self.digest(directory, key);
        if let Some(slot) = self.names.get_mut(in_memory(record)) {
            *slot = slot.wrapping_sub(digest);
        }
    }

    /// Whether the file's names and the directories' entries for it are not the same.
    pub(super) fn names_differ(&self, record: u64) -> bool {
        self.names.get(in_memory(record)).is_some_and(|&sum| sum != 0)
    }

    /// `key` is a `$FILE_NAME` value; its times and sizes do not count, its namespace and name do.
    fn digest(&self, directory: FileId, key: &[u8]) -> u64 {
        let mut hasher = self.keys.build_hasher();
        hasher.write_u64(directory.record);
        hasher.write_u16(directory.sequence);
        hasher.write(key.get(64..).unwrap_or(&[]));
        hasher.finish()
    }
}

/// What an entry shows of a file's content, as a digest.
pub(super) fn shown(sizes: Sizes) -> u32 {
    let mixed = sizes.allocated.wrapping_mul(0x9e37_79b9_7f4a_7c15)
        ^ sizes.length.wrapping_mul(0xc2b2_ae3d_27d4_eb4f);
    let [.., a, b, c, d] =
        (mixed ^ mixed.unbounded_shr(29)).wrapping_mul(0xbf58_476d_1ce4_e5b9).to_le_bytes();
    u32::from_le_bytes([a, b, c, d])
}

/// The sizes of a file's content, as directory entries show them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Sizes {
    pub(super) allocated: u64,
    pub(super) length: u64,
}

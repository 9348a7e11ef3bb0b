//! `$Secure`: the descriptors in `$SDS`, their copies, and the two indexes that lead to them.
//! spec/ntfs.md §5 "$Secure".

use std::collections::{HashMap, HashSet};

use super::Check;
use super::btree::{self, IndexEntry, IndexVisitor};
use super::fault::{At, Fault, FaultKind};
use super::file::{FileRecords, Value};
use crate::bytes::{in_memory, on_volume, slice_at, u32_at, u64_at};
use crate::record::DATA;

const SECURE: u64 = 9;
const SDS: &[u8] = b"$\0S\0D\0S\0";
const SII: &[u8] = b"$\0S\0I\0I\0";
const SDH: &[u8] = b"$\0S\0D\0H\0";
/// A block of descriptors, which is followed by its copy.
const BLOCK_BYTES: u64 = 0x4_0000;
const HEADER_BYTES: usize = 20;
/// Volumes in use have thousands of descriptors. Past this, ids are not looked up.
const DESCRIPTORS_MAX: usize = 1 << 20;

/// What an index says of a descriptor: the header of its entry in `$SDS`.
type Header = [u8; HEADER_BYTES];

impl Check<'_> {
    /// Reads all descriptors, and compares the indexes with them.
    pub(super) fn security(&mut self) {
        let Some(sds) = self.system_value(SECURE, DATA, SDS) else { return };
        let mut found = HashMap::new();
        let mut base = 0_u64;
        while base < sds.length_bytes() && found.len() < DESCRIPTORS_MAX {
            self.security_block(&sds, base, &mut found);
            base = base.saturating_add(2 * BLOCK_BYTES);
        }
        self.security_known = found.len() < DESCRIPTORS_MAX;
        if !self.security_known {
            return;
        }
        self.security = found.keys().copied().collect();
        for (name, key_at) in [(SII, 0_usize), (SDH, 4)] {
            self.security_index(name, key_at, &found);
        }
    }

    fn security_block(&mut self, sds: &Value, base: u64, found: &mut HashMap<u32, Header>) {
        let copy_at = base.saturating_add(BLOCK_BYTES);
        // The last block ends where its copy does; what lies between is not in use.
        let length = in_memory(sds.length_bytes().saturating_sub(copy_at).min(BLOCK_BYTES));
        let (mut block, mut copy) = (vec![0; length], vec![0; length]);
        let device = &**self.mft.device();
        let read = sds.read(device, &mut block, base).and_then(|()| sds.read(device, &mut copy, copy_at));
        if read.is_none() {
            self.security_fault(base, FaultKind::Unreadable);
            return;
        }
        let mut at = 0;
        while let Some(header) =
            slice_at(&block, at, HEADER_BYTES).and_then(|header| Header::try_from(header).ok())
        {
            if header == [0; HEADER_BYTES] {
                break;
            }
            let offset = base.saturating_add(on_volume(at));
            let entry_length = in_memory(u32_at(&header, 16).unwrap_or(0).into());
            let Some(entry) = slice_at(&block, at, entry_length).filter(|entry| entry.len() > HEADER_BYTES)
            else {
                self.security_fault(offset, FaultKind::SecurityEntry { what: "length" });
                return;
            };
            self.descriptor(offset, entry, slice_at(&copy, at, entry_length) == Some(entry));
            found.insert(u32_at(&header, 4).unwrap_or(0), header);
            at = at.saturating_add(entry_length.next_multiple_of(16));
        }
    }

    fn descriptor(&mut self, offset: u64, entry: &[u8], is_copied: bool) {
        let (found, id) = (u32_at(entry, 0).unwrap_or(0), u32_at(entry, 4).unwrap_or(0));
        let expected = hash(entry.get(HEADER_BYTES..).unwrap_or(&[]));
        if found != expected {
            self.security_fault(offset, FaultKind::SecurityHash { id, expected, found });
        }
        if u64_at(entry, 8) != Some(offset) {
            self.security_fault(offset, FaultKind::SecurityEntry { what: "offset" });
        }
        if !is_copied {
            self.security_fault(offset, FaultKind::SecurityCopy { id });
        }
    }

    fn security_fault(&mut self, offset: u64, kind: FaultKind) {
        self.faults.push(Fault::new(SECURE, kind).at(At::InStream(offset)).named(SDS));
    }

    fn security_index(&mut self, name: &'static [u8], id_at: usize, headers: &HashMap<u32, Header>) {
        let file = FileRecords::load(self.mft, &self.limits, SECURE);
        let parts = file.and_then(|file| file.index(self.mft.device(), &self.geometry, &self.limits, name));
        let Some(parts) = parts else {
            self.faults.push(Fault::new(SECURE, FaultKind::StreamLost).named(name));
            return;
        };
        let mut walker = Walker { name, id_at, headers, seen: HashSet::new(), faults: Vec::new() };
        let taken = btree::walk(self.ground(), &parts, false, self.blocks_left, &mut walker);
        self.blocks_left = self.blocks_left.saturating_sub(taken);
        let missing: Vec<u32> = headers.keys().filter(|id| !walker.seen.contains(id)).copied().collect();
        walker.faults.into_iter().for_each(|fault| self.faults.push(fault));
        for id in missing {
            self.faults.push(Fault::new(SECURE, FaultKind::SecurityIndex { id }).named(name));
        }
    }
}

struct Walker<'a> {
    name: &'static [u8],
    id_at: usize,
    headers: &'a HashMap<u32, Header>,
    seen: HashSet<u32>,
    faults: Vec<Fault>,
}

impl IndexVisitor for Walker<'_> {
    fn entry(&mut self, at: At, entry: &IndexEntry<'_>) {
        let id = u32_at(entry.key, self.id_at).unwrap_or(0);
        self.seen.insert(id);
        let header = self.headers.get(&id);
        // The key of $SDH repeats the hash.
        let is_hashed =
            self.id_at == 0 || header.and_then(|header| u32_at(header, 0)) == u32_at(entry.key, 0);
        let data = entry.data().and_then(|data| slice_at(data, 0, HEADER_BYTES));
        if header.is_none_or(|header| data != Some(header)) || !is_hashed {
            self.fault(at, FaultKind::SecurityIndex { id }, &[]);
        }
    }

    fn fault(&mut self, at: At, kind: FaultKind, _key: &[u8]) {
        self.faults.push(Fault::new(SECURE, kind).at(at).named(self.name));
    }
}

/// The hash that `$SDH` is ordered by.
fn hash(descriptor: &[u8]) -> u32 {
    let words = descriptor.chunks_exact(4).filter_map(|word| u32_at(word, 0));
    words.fold(0, |hash: u32, word| word.wrapping_add(hash.rotate_left(3)))
}

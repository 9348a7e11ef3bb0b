//! `$Secure`: the few security descriptors of the volume, and its two indexes. spec/ntfs.md §5.
//!
//! All descriptors stand in `$SDS`, each with its hash and id; the whole block of 256 KiB is there
//! twice. `$SII` finds them by id, `$SDH` by hash.

use super::fields::{Fields, long};
use super::index::{BY_NUMBER, BY_SECURITY_HASH, data_head, put_end, put_entry, root};
use super::settings::Shape;

/// For what belongs to the file system and is only read; then for what is written too.
pub(super) const SYSTEM_READ: u32 = 0x100;
pub(super) const SYSTEM_WRITE: u32 = 0x101;
/// For users' files: everybody may do everything, because the drive travels.
pub(super) const EVERYBODY: u32 = 0x102;
/// For `\System Volume Information`: only the system.
pub(super) const SYSTEM_ONLY: u32 = 0x103;
const FIRST_ID: u32 = SYSTEM_READ;

/// Where the second copy of a block begins.
const COPY_AT: usize = 0x4_0000;
/// The descriptors end here; a test holds the constant to what is written.
const USED_BYTES: usize = 0x1e4;
/// Length of `$SDS`.
pub(super) const DESCRIPTORS_BYTES: u64 = 0x4_0000 + 0x1e4;
const ENTRY_HEADER_BYTES: usize = 20;
const ENTRY_ALIGNMENT: usize = 16;

/// Access rights as Windows numbers them.
const ALL: u32 = 0x001f_01ff;
/// What Windows gives the system and administrators on its own files.
const READ: u32 = 0x0012_0089;
const READ_AND_WRITE: u32 = 0x0012_019f;
/// An entry that files and directories below inherit.
const INHERITED: u8 = 0x03;
const NOT_INHERITED: u8 = 0;

/// Security identifiers: authority and its numbers.
struct Sid {
    authority: u8,
    numbers: &'static [u32],
}

const WORLD: Sid = Sid { authority: 1, numbers: &[0] };
const LOCAL_SYSTEM: Sid = Sid { authority: 5, numbers: &[18] };
const ADMINISTRATORS: Sid = Sid { authority: 5, numbers: &[32, 544] };

impl Sid {
    fn bytes(&self) -> Vec<u8> {
        let mut bytes = vec![1, u8::try_from(self.numbers.len()).unwrap_or(0), 0, 0, 0, 0, 0, self.authority];
        for number in self.numbers {
            bytes.put_u32(*number);
        }
        bytes
    }
}

/// The administrators' identifier, which quotas name too.
pub(super) fn administrators() -> Vec<u8> {
    ADMINISTRATORS.bytes()
}

/// The descriptor of users' files.
pub(super) fn everybody() -> Vec<u8> {
    descriptor(&[(&WORLD, ALL), (&LOCAL_SYSTEM, ALL)], INHERITED, &ADMINISTRATORS)
}

/// Descriptors in the order of their ids.
fn descriptors() -> [Vec<u8>; 4] {
    let system_and_administrators = |rights| {
        descriptor(&[(&LOCAL_SYSTEM, rights), (&ADMINISTRATORS, rights)], NOT_INHERITED, &LOCAL_SYSTEM)
    };
    [
        system_and_administrators(READ),
        system_and_administrators(READ_AND_WRITE),
        everybody(),
        descriptor(&[(&LOCAL_SYSTEM, ALL)], INHERITED, &ADMINISTRATORS),
    ]
}

/// A self-relative descriptor: header, who may do what, owner, group (the administrators).
fn descriptor(allowed: &[(&Sid, u32)], inheritance: u8, owner: &Sid) -> Vec<u8> {
    const HEADER_BYTES: usize = 20;
    const SELF_RELATIVE_WITH_LIST: u16 = 0x8004;
    const LIST_HEADER_BYTES: usize = 8;
    let mut entries = Vec::new();
    for (sid, rights) in allowed {
        let sid = sid.bytes();
        entries.put(&[0, inheritance]);
        entries.put_u16(super::fields::short(sid.len().saturating_add(8)));
        entries.put_u32(*rights);
        entries.put(&sid);
    }
    let owner = owner.bytes();
    let list_bytes = entries.len().saturating_add(LIST_HEADER_BYTES);
    let owner_at = list_bytes.saturating_add(HEADER_BYTES);
    let mut bytes = vec![1, 0];
    bytes.put_u16(SELF_RELATIVE_WITH_LIST);
    bytes.put_u32(long(owner_at));
    bytes.put_u32(long(owner_at.saturating_add(owner.len())));
    bytes.put_u32(0);
    bytes.put_u32(long(HEADER_BYTES));
    bytes.put(&[2, 0]);
    bytes.put_u16(super::fields::short(list_bytes));
    bytes.put_u16(u16::try_from(allowed.len()).unwrap_or(0));
    bytes.put_u16(0);
    bytes.put(&entries);
    bytes.put(&owner);
    bytes.put(&ADMINISTRATORS.bytes());
    bytes
}

/// Windows' hash of a descriptor.
fn hash(descriptor: &[u8]) -> u32 {
    descriptor.chunks_exact(4).fold(0_u32, |hash, word| {
        let word = word.try_into().map_or(0, u32::from_le_bytes);
        word.wrapping_add(hash.rotate_left(3))
    })
}

/// One descriptor of `$SDS`.
struct Entry {
    hash: u32,
    id: u32,
    header: Vec<u8>,
    descriptor: Vec<u8>,
}

fn entries() -> Vec<Entry> {
    let mut at = 0_usize;
    let mut entries = Vec::new();
    for (id, descriptor) in (FIRST_ID..).zip(descriptors()) {
        let hash = hash(&descriptor);
        let length = descriptor.len().saturating_add(ENTRY_HEADER_BYTES);
        let mut header = Vec::new();
        header.put_u32(hash);
        header.put_u32(id);
        header.put_u64(crate::bytes::on_volume(at));
        header.put_u32(long(length));
        entries.push(Entry { hash, id, header, descriptor });
        at = at.saturating_add(length).next_multiple_of(ENTRY_ALIGNMENT);
    }
    entries
}

/// The content of `$SDS`.
pub(super) fn descriptor_stream() -> Vec<u8> {
    let mut block = Vec::new();
    for entry in entries() {
        let aligned = block.len().next_multiple_of(ENTRY_ALIGNMENT);
        block.pad_to(aligned);
        block.put(&entry.header);
        block.put(&entry.descriptor);
    }
    debug_assert_eq!(block.len(), USED_BYTES, "the constant says how long the stream is");
    let copy = block.clone();
    block.pad_to(COPY_AT);
    block.put(&copy);
    block
}

/// The value of `$INDEX_ROOT` of `$SII`.
pub(super) fn by_id(shape: &Shape) -> Vec<u8> {
    let mut index = Vec::new();
    for entry in entries() {
        let key = entry.id.to_le_bytes();
        put_entry(&mut index, data_head(0x14, entry.header.len()), &key, &entry.header, None);
    }
    put_end(&mut index, None);
    root(shape, BY_NUMBER, &index, false)
}

/// The value of `$INDEX_ROOT` of `$SDH`.
pub(super) fn by_hash(shape: &Shape) -> Vec<u8> {
    /// "II" in UTF-16, which Windows puts behind the data.
    const FILLER: [u8; 4] = [0x49, 0, 0x49, 0];
    let mut index = Vec::new();
    let mut entries = entries();
    entries.sort_by_key(|entry| (entry.hash, entry.id));
    for entry in entries {
        let mut key = entry.hash.to_le_bytes().to_vec();
        key.put_u32(entry.id);
        let head = data_head(0x18, entry.header.len());
        let data = [&entry.header[..], &FILLER].concat();
        put_entry(&mut index, head, &key, &data, None);
    }
    put_end(&mut index, None);
    root(shape, BY_SECURITY_HASH, &index, false)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn the_systems_descriptors_are_those_of_windows() {
        // The first two of a volume formatted by Windows 10: spec/ntfs-prototype/recdump.win10.txt.
        let [read, write, everybody, system] = descriptors();
        assert_eq!(
            hex(&read),
            "01000480480000005400000000000000140000000200340002000000000014008900120001010000000000051200\
             0000000018008900120001020000000000052000000020020000010100000000000512000000010200000000000520\
             00000020020000"
        );
        assert_eq!(hex(&write[32..36]), "9f011200");
        assert_eq!((everybody.len(), system.len()), (100, 80));
    }

    #[test]
    fn every_descriptor_is_there_twice_with_its_hash() {
        let stream = descriptor_stream();
        assert_eq!(stream.len() as u64, DESCRIPTORS_BYTES);
        assert_eq!(stream[..USED_BYTES], stream[COPY_AT..]);
        for entry in entries() {
            let at = u64::from_le_bytes(entry.header[8..16].try_into().unwrap()) as usize;
            assert!(at.is_multiple_of(16));
            assert_eq!(stream[at..at + 4], entry.hash.to_le_bytes());
            assert_eq!(stream[at + 20..at + 20 + entry.descriptor.len()], entry.descriptor);
        }
    }
}

//! A FILE record, packed: what is kept of each of ten million records.
//!
//! ```text
//! flags:u8  [sequence:u16]  [base record:varint  base sequence:u16]  item…  0
//! item = kind and flags:u8, [name of a stream: length:varint, WTF-8], fields
//! ```
//! Fields that have their usual value (sequence 1, initialised size equal to the length) take no
//! room. Mapping pairs stay as the volume has them, end mark included: they were checked when the
//! entry was packed, and nothing packs them tighter.

use crate::bytes::{Cursor, in_memory, push_varint};
use crate::record::FileId;
use crate::runs;

const DIRECTORY: u8 = 1;
const EXTENSION: u8 = 1 << 1;
const DAMAGED: u8 = 1 << 2;
const FIRST_SEQUENCE: u8 = 1 << 3;
const ATTRIBUTE_LIST: u8 = 1 << 4;

const KIND_MASK: u8 = 0x07;
const KIND_END: u8 = 0;
const KIND_NAME: u8 = 1;
const KIND_HEAD: u8 = 2;
const KIND_PIECE: u8 = 3;
const KIND_RESIDENT: u8 = 4;
const KIND_REPARSE: u8 = 5;
const KIND_BROKEN: u8 = 6;

/// A name whose parent reference has sequence number 1, as most have.
const NAME_PARENT_FIRST: u8 = 1 << 3;
const STREAM_NAMED: u8 = 1 << 3;
const HEAD_INITIALIZED: u8 = 1 << 4;
const HEAD_COMPRESSED: u8 = 1 << 5;
const STREAM_ENCRYPTED: u8 = 1 << 6;
/// A resident stream whose content is in the entry.
const RESIDENT_KEPT: u8 = 1 << 4;

/// The front of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Header {
    pub(crate) directory: bool,
    /// The attribute walk ended early: there may be streams or names that are not here.
    pub(crate) damaged: bool,
    pub(crate) attribute_list: bool,
    pub(crate) sequence: u16,
    /// In an extension record, the file it belongs to.
    pub(crate) base: Option<FileId>,
}

/// One thing that a record says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Item<'a> {
    /// A hard link; the name in WTF-8.
    Name { parent: FileId, name: &'a [u8] },
    /// The beginning of a non-resident stream, with its sizes.
    Head(Head<'a>),
    /// A later part of a non-resident stream.
    Piece { name: &'a [u8], start_vcn: u64, runs: &'a [u8] },
    /// A stream inside the record.
    Resident(Resident<'a>),
    /// The tag of a reparse point.
    Reparse { tag: u32 },
    /// A stream that was found, but cannot be followed.
    Broken { name: &'a [u8] },
}

/// See [`Item::Head`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Head<'a> {
    pub(crate) name: &'a [u8],
    pub(crate) length_bytes: u64,
    pub(crate) initialized_bytes: u64,
    /// Two to this power of clusters make a compression unit.
    pub(crate) compression: Option<u8>,
    pub(crate) encrypted: bool,
    /// Mapping pairs with their end mark.
    pub(crate) runs: &'a [u8],
}

/// See [`Item::Resident`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Resident<'a> {
    pub(crate) name: &'a [u8],
    pub(crate) length_bytes: u64,
    pub(crate) encrypted: bool,
    /// The content, unless it was left in `$MFT` to save memory.
    pub(crate) content: Option<&'a [u8]>,
}

impl Header {
    /// Begins an entry.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        let flag = |set: bool, flag: u8| if set { flag } else { 0 };
        out.push(
            flag(self.directory, DIRECTORY)
                | flag(self.base.is_some(), EXTENSION)
                | flag(self.damaged, DAMAGED)
                | flag(self.sequence == 1, FIRST_SEQUENCE)
                | flag(self.attribute_list, ATTRIBUTE_LIST),
        );
        if self.sequence != 1 {
            out.extend_from_slice(&self.sequence.to_le_bytes());
        }
        if let Some(base) = self.base {
            push_varint(out, base.record);
            out.extend_from_slice(&base.sequence.to_le_bytes());
        }
    }
}

impl Item<'_> {
    /// Appends the item.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        match self {
            Item::Name { parent, name } => write_name(out, *parent, name),
            Item::Head(head) => head.write(out),
            Item::Piece { name, start_vcn, runs } => {
                write_stream(out, KIND_PIECE, name);
                push_varint(out, *start_vcn);
                out.extend_from_slice(runs);
            }
            Item::Resident(resident) => resident.write(out),
            Item::Reparse { tag } => {
                out.push(KIND_REPARSE);
                out.extend_from_slice(&tag.to_le_bytes());
            }
            Item::Broken { name } => write_stream(out, KIND_BROKEN, name),
        }
    }
}

/// Ends an entry.
pub(crate) fn write_end(out: &mut Vec<u8>) {
    out.push(KIND_END);
}

fn write_name(out: &mut Vec<u8>, parent: FileId, name: &[u8]) {
    let first = parent.sequence == 1;
    out.push(if first { KIND_NAME | NAME_PARENT_FIRST } else { KIND_NAME });
    push_varint(out, parent.record);
    if !first {
        out.extend_from_slice(&parent.sequence.to_le_bytes());
    }
    write_bytes(out, name);
}

fn write_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    push_varint(out, crate::bytes::on_volume(bytes.len()));
    out.extend_from_slice(bytes);
}

/// Writes kind, flags and name of a stream.
fn write_stream(out: &mut Vec<u8>, kind_and_flags: u8, name: &[u8]) {
    if name.is_empty() {
        out.push(kind_and_flags);
    } else {
        out.push(kind_and_flags | STREAM_NAMED);
        write_bytes(out, name);
    }
}

impl Head<'_> {
    fn write(&self, out: &mut Vec<u8>) {
        let initialized = self.initialized_bytes != self.length_bytes;
        let flags = if initialized { HEAD_INITIALIZED } else { 0 }
            | if self.compression.is_some() { HEAD_COMPRESSED } else { 0 }
            | if self.encrypted { STREAM_ENCRYPTED } else { 0 };
        write_stream(out, KIND_HEAD | flags, self.name);
        push_varint(out, self.length_bytes);
        if initialized {
            push_varint(out, self.initialized_bytes);
        }
        if let Some(shift) = self.compression {
            out.push(shift);
        }
        out.extend_from_slice(self.runs);
    }
}

impl Resident<'_> {
    fn write(&self, out: &mut Vec<u8>) {
        let flags = if self.content.is_some() { RESIDENT_KEPT } else { 0 }
            | if self.encrypted { STREAM_ENCRYPTED } else { 0 };
        write_stream(out, KIND_RESIDENT | flags, self.name);
        push_varint(out, self.length_bytes);
        out.extend_from_slice(self.content.unwrap_or(&[]));
    }
}

/// Reads an entry: its header, and its items.
pub(crate) fn read(bytes: &[u8]) -> Option<(Header, Items<'_>)> {
    let mut cursor = Cursor::new(bytes);
    let flags = cursor.u8()?;
    let sequence = if flags & FIRST_SEQUENCE != 0 { 1 } else { cursor.u16()? };
    let base = match flags & EXTENSION {
        0 => None,
        _ => Some(FileId { record: cursor.varint()?, sequence: cursor.u16()? }),
    };
    let header = Header {
        directory: flags & DIRECTORY != 0,
        damaged: flags & DAMAGED != 0,
        attribute_list: flags & ATTRIBUTE_LIST != 0,
        sequence,
        base,
    };
    Some((header, Items { cursor }))
}

/// The items of an entry, in the order of the record's attributes.
#[derive(Clone, Copy)]
pub(crate) struct Items<'a> {
    cursor: Cursor<'a>,
}

impl<'a> Iterator for Items<'a> {
    type Item = Item<'a>;

    fn next(&mut self) -> Option<Item<'a>> {
        let byte = self.cursor.u8()?;
        let kind = byte & KIND_MASK;
        if kind == KIND_NAME {
            return self.name(byte);
        }
        let name = match byte & STREAM_NAMED {
            0 => &[][..],
            _ => self.take_bytes()?,
        };
        match kind {
            KIND_HEAD => self.head(byte, name),
            KIND_PIECE => {
                let start_vcn = self.cursor.varint()?;
                Some(Item::Piece { name, start_vcn, runs: self.runs()? })
            }
            KIND_RESIDENT => self.resident(byte, name),
            KIND_REPARSE => Some(Item::Reparse { tag: self.cursor.u32()? }),
            KIND_BROKEN => Some(Item::Broken { name }),
            _ => None,
        }
    }
}

impl<'a> Items<'a> {
    fn name(&mut self, byte: u8) -> Option<Item<'a>> {
        let record = self.cursor.varint()?;
        let sequence = if byte & NAME_PARENT_FIRST != 0 { 1 } else { self.cursor.u16()? };
        Some(Item::Name { parent: FileId { record, sequence }, name: self.take_bytes()? })
    }

    fn head(&mut self, byte: u8, name: &'a [u8]) -> Option<Item<'a>> {
        let length_bytes = self.cursor.varint()?;
        let initialized_bytes =
            if byte & HEAD_INITIALIZED != 0 { self.cursor.varint()? } else { length_bytes };
        let compression = if byte & HEAD_COMPRESSED != 0 { Some(self.cursor.u8()?) } else { None };
        let encrypted = byte & STREAM_ENCRYPTED != 0;
        let runs = self.runs()?;
        Some(Item::Head(Head { name, length_bytes, initialized_bytes, compression, encrypted, runs }))
    }

    fn resident(&mut self, byte: u8, name: &'a [u8]) -> Option<Item<'a>> {
        let length_bytes = self.cursor.varint()?;
        let content = match byte & RESIDENT_KEPT {
            0 => None,
            _ => Some(self.cursor.bytes(in_memory(length_bytes))?),
        };
        let encrypted = byte & STREAM_ENCRYPTED != 0;
        Some(Item::Resident(Resident { name, length_bytes, encrypted, content }))
    }

    fn runs(&mut self) -> Option<&'a [u8]> {
        let length = runs::encoded_length(self.cursor.rest())?;
        self.cursor.bytes(length)
    }

    fn take_bytes(&mut self) -> Option<&'a [u8]> {
        let length = self.cursor.varint()?;
        self.cursor.bytes(in_memory(length))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_reads_back_as_it_was_written() {
        let parent = |sequence| FileId { record: 5_000_000, sequence };
        let runs = &[0x21, 4, 0x10, 0x20, 0][..];
        let head = Head {
            name: b"",
            length_bytes: 16_000,
            initialized_bytes: 16_000,
            compression: None,
            encrypted: false,
            runs,
        };
        let odd = Head {
            name: b"s",
            initialized_bytes: 7,
            compression: Some(4),
            encrypted: true,
            runs: &[0],
            ..head
        };
        let small = Resident { name: b"", length_bytes: 3, encrypted: false, content: Some(b"abc") };
        let items = [
            Item::Name { parent: parent(1), name: b"one" },
            Item::Name { parent: parent(9), name: "zwölf".as_bytes() },
            Item::Head(head),
            Item::Head(odd),
            Item::Piece { name: b"s", start_vcn: 70_000, runs },
            Item::Resident(small),
            Item::Resident(Resident { name: b"x", content: None, encrypted: true, ..small }),
            Item::Reparse { tag: 0x8000_0017 },
            Item::Broken { name: b"bad" },
        ];
        for base in [None, Some(parent(3))] {
            for sequence in [0, 1, 513] {
                let header = Header { directory: true, damaged: true, attribute_list: true, sequence, base };
                let mut bytes = Vec::new();
                header.write(&mut bytes);
                items.iter().for_each(|item| item.write(&mut bytes));
                write_end(&mut bytes);
                // What follows in the arena must not be read.
                bytes.extend_from_slice(&[KIND_NAME, 1, 1, 1]);
                let (read_header, read_items) = read(&bytes).unwrap();
                assert_eq!(read_header, header);
                assert_eq!(read_items.collect::<Vec<_>>(), items);
            }
        }
    }

    #[test]
    fn an_ordinary_file_takes_under_forty_bytes() {
        let mut bytes = Vec::new();
        Header { sequence: 1, ..Header::default() }.write(&mut bytes);
        let parent = FileId { record: 9_000_000, sequence: 1 };
        Item::Name { parent, name: b"photo-01234.jpg" }.write(&mut bytes);
        let runs = &[0x41, 4, 1, 2, 3, 4, 0][..];
        let head = Head {
            name: b"",
            length_bytes: 16_000,
            initialized_bytes: 16_000,
            compression: None,
            encrypted: false,
            runs,
        };
        Item::Head(head).write(&mut bytes);
        write_end(&mut bytes);
        assert_eq!(bytes.len(), 33);
    }
}

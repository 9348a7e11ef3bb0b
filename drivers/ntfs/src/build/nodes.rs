//! The files and directories of a new volume, a hundred bytes each.
//!
//! A [`Node`] is what one FILE record will say; its name lies in a common arena. The file system's
//! own files are nodes like any other, so that one piece of code makes all names and indexes.

use super::error::BuildError;
use super::spec::Times;
use crate::bytes::{in_memory, on_volume};
use crate::record::FileId;

/// Where users' files begin; Windows reserves what is before. spec/ntfs.md §5.
pub(super) const FIRST_USER_RECORD: u64 = 64;
/// The root's node, which is its record too.
pub(super) const ROOT: u32 = 5;
/// `$Extend`.
pub(super) const EXTEND: u32 = 11;
/// `$Quota`, `$ObjId`, `$Reparse`.
pub(super) const QUOTA: u32 = 12;
pub(super) const OBJECT_IDS: u32 = 13;
pub(super) const REPARSE: u32 = 14;
/// Records of [`QUOTA`] and those after it.
const EXTENDED_RECORD: u64 = 24;

const HIDDEN_SYSTEM: u32 = 0x6;
pub(super) const DIRECTORY: u32 = 0x1000_0000;
pub(super) const VIEW_INDEX: u32 = 0x2000_0000;
pub(super) const SPARSE: u32 = 0x200;

/// The file system's own files: name, attributes. The first twelve are records 0 to 11, in the root.
const SYSTEM: [(&str, u32); 15] = [
    ("$MFT", 0),
    ("$MFTMirr", 0),
    ("$LogFile", 0),
    ("$Volume", 0),
    ("$AttrDef", 0),
    (".", DIRECTORY),
    ("$Bitmap", 0),
    ("$Boot", 0),
    ("$BadClus", 0),
    ("$Secure", VIEW_INDEX),
    ("$UpCase", 0),
    ("$Extend", DIRECTORY),
    ("$Quota", VIEW_INDEX),
    ("$ObjId", VIEW_INDEX),
    ("$Reparse", VIEW_INDEX),
];

/// What a node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// The file system's own; which one is its number.
    System,
    Directory,
    File,
    /// A file whose ranges are in the builder's list, at [`Node::ranges`].
    Sparse,
    /// A file whose first cluster was given.
    Placed,
}

/// One file or directory.
pub(super) struct Node {
    name_at: u64,
    pub(super) parent: u32,
    name_units: u8,
    pub(super) kind: Kind,
    /// Left out of everything.
    pub(super) omitted: bool,
    pub(super) attributes: u32,
    /// Where [`Kind::Sparse`] has its ranges, or a directory its plan.
    pub(super) ranges: u32,
    pub(super) length_bytes: u64,
    /// First cluster: on the line of data, or on the volume for [`Kind::Placed`].
    pub(super) place: u64,
    pub(super) times: Times,
}

/// What a node is made from.
pub(super) struct NewNode<'a> {
    pub(super) parent: u32,
    pub(super) name: &'a [u16],
    pub(super) kind: Kind,
    pub(super) attributes: u32,
    pub(super) ranges: u32,
    pub(super) length_bytes: u64,
    pub(super) place: u64,
    pub(super) times: Times,
}

/// All nodes and their names.
pub(super) struct Nodes {
    list: Vec<Node>,
    names: Vec<u16>,
    /// Record of the first node that is not the file system's own.
    first_record: u64,
}

impl Nodes {
    /// The file system's own.
    pub(super) fn new(times: Times) -> Nodes {
        Nodes::from_record(times, FIRST_USER_RECORD)
    }

    /// The same, where all other nodes' records begin at `first_record`.
    pub(super) fn from_record(times: Times, first_record: u64) -> Nodes {
        let mut nodes = Nodes { list: Vec::new(), names: Vec::new(), first_record };
        for (name, attributes) in SYSTEM {
            let number = nodes.len();
            let kind = if attributes & DIRECTORY != 0 { Kind::Directory } else { Kind::System };
            let parent = if number < QUOTA { ROOT } else { EXTEND };
            let name: Vec<u16> = name.encode_utf16().collect();
            nodes.push(&NewNode {
                parent,
                name: &name,
                kind,
                attributes: HIDDEN_SYSTEM | attributes,
                ranges: 0,
                length_bytes: 0,
                place: 0,
                times,
            });
        }
        nodes
    }

    fn push(&mut self, new: &NewNode<'_>) {
        let name_at = on_volume(self.names.len());
        self.names.extend_from_slice(new.name);
        self.list.push(Node {
            name_at,
            parent: new.parent,
            name_units: u8::try_from(new.name.len()).unwrap_or(u8::MAX),
            kind: new.kind,
            omitted: false,
            attributes: new.attributes,
            ranges: new.ranges,
            length_bytes: new.length_bytes,
            place: new.place,
            times: new.times,
        });
    }

    /// Adds a node whose name was checked.
    pub(super) fn add(&mut self, new: &NewNode<'_>) -> Result<u32, BuildError> {
        let number = self.len();
        if number == u32::MAX {
            return Err(BuildError::TooMany { files: number.into() });
        }
        self.push(new);
        Ok(number)
    }

    /// How many there are.
    pub(super) fn len(&self) -> u32 {
        u32::try_from(self.list.len()).unwrap_or(u32::MAX)
    }

    pub(super) fn find(&self, number: u32) -> Option<&Node> {
        self.list.get(in_memory(number.into()))
    }

    pub(super) fn find_mut(&mut self, number: u32) -> Option<&mut Node> {
        self.list.get_mut(in_memory(number.into()))
    }

    /// All of them with their numbers.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &Node)> {
        (0..).zip(&self.list)
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (u32, &mut Node)> {
        (0..).zip(&mut self.list)
    }

    pub(super) fn name(&self, node: &Node) -> &[u16] {
        let start = in_memory(node.name_at);
        self.names.get(start..start.saturating_add(node.name_units.into())).unwrap_or_default()
    }

    /// A name's length in units.
    pub(super) fn name_units(&self, number: u32) -> usize {
        self.find(number).map_or(0, |node| node.name_units.into())
    }

    /// The whole path, for people: `\a\b`.
    pub(super) fn path(&self, number: u32) -> String {
        let mut names = Vec::new();
        let mut at = number;
        while at != ROOT
            && let Some(node) = self.find(at)
        {
            names.push(String::from_utf16_lossy(self.name(node)));
            at = node.parent;
        }
        names.iter().rev().map(|name| format!("\\{name}")).collect()
    }

    /// The FILE record of a node. Sequence numbers as Windows gives them: the record's own number up
    /// to 15 (but 1 for the first), 1 from there on.
    pub(super) fn reference(&self, number: u32) -> FileId {
        let node = u64::from(number);
        let record = if number < QUOTA {
            node
        } else if number <= REPARSE {
            node.saturating_sub(QUOTA.into()).saturating_add(EXTENDED_RECORD)
        } else {
            node.saturating_sub(REPARSE.into()).saturating_sub(1).saturating_add(self.first_record)
        };
        FileId { record, sequence: sequence(record) }
    }

    /// The node whose base record this is: the inverse of [`Nodes::reference`].
    pub(super) fn node_of(&self, record: u64) -> Option<u32> {
        let number = match record {
            0..12 => record,
            24..27 => record.saturating_sub(EXTENDED_RECORD).saturating_add(QUOTA.into()),
            _ => record.checked_sub(self.first_record)?.saturating_add(1).saturating_add(REPARSE.into()),
        };
        u32::try_from(number).ok()
    }

    /// Memory of nodes and names.
    pub(super) fn memory_bytes(&self) -> u64 {
        let nodes = self.list.capacity().saturating_mul(size_of::<Node>());
        let names = self.names.capacity().saturating_mul(size_of::<u16>());
        on_volume(nodes.saturating_add(names))
    }
}

/// The sequence number of a record that is used for the first time.
pub(super) fn sequence(record: u64) -> u16 {
    match record {
        1..16 => u16::try_from(record).unwrap_or(1),
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_and_nodes_lead_to_each_other() {
        let nodes = Nodes::new(Times::default());
        let records: Vec<u64> = (0..20).map(|number| nodes.reference(number).record).collect();
        let expected: Vec<u64> = (0..12).chain(24..27).chain(64..69).collect();
        assert_eq!(records, expected);
        for number in (0..20).chain([1_000_000, u32::MAX - 50]) {
            assert_eq!(nodes.node_of(nodes.reference(number).record), Some(number));
        }
        assert_eq!(nodes.node_of(12), None);
        assert_eq!(nodes.node_of(63), None);
        let sequence = |number| nodes.reference(number).sequence;
        assert_eq!((sequence(0), sequence(5), sequence(12)), (1, 5, 1));
    }

    #[test]
    fn a_node_is_small() {
        assert!(size_of::<Node>() <= 80, "{}", size_of::<Node>());
    }
}

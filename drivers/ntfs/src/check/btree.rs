//! One index, walked in the order of its keys. spec/ntfs.md §5 "Index".
//!
//! ```text
//! $INDEX_ROOT ──subnode VCN──▶ INDX block ──▶ INDX block …      $BITMAP: which blocks are in use
//! ```
//! The walk is the verifier's: it looks at every byte that says something, goes on past what is
//! damaged as far as that can be located, and visits each block at most once, so that no index makes
//! it loop. What the keys mean is for the [`IndexVisitor`].

use std::cmp::Ordering;

use block::ReadAt;

use super::fault::{At, FaultKind};
use crate::boot::Geometry;
use crate::bytes::{in_memory, on_volume, position_at, slice_at, u8_at, u16_at, u32_at, u64_at};
use crate::content::read_extents;
use crate::extent::Extent;
use crate::record;
use crate::upcase::UpCase;

/// A tree of 4 KiB blocks with this many levels would have more entries than there are records.
const DEPTH_MAX: usize = 24;
/// Blocks are read in windows: the leaves of a bulk-loaded index follow each other.
const WINDOW_BYTES: u64 = 128 << 10;
const ENTRY_HEADER: usize = 16;
const ENTRY_SUBNODE: u16 = 1;
const ENTRY_END: u16 = 2;
const NODE_INTERIOR: u8 = 1;
/// The node header of an index root, and of a block.
const ROOT_NODE_AT: usize = 16;
const BLOCK_NODE_AT: usize = 24;

/// How keys are ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Collation {
    /// Names through `$UpCase`.
    FileName,
    /// One number.
    Number,
    /// Bytes of a SID.
    Sid,
    /// A hash, then an id.
    SecurityHash,
    /// Numbers, one after the other.
    Numbers,
}

impl Collation {
    fn from_field(field: u32) -> Option<Collation> {
        match field {
            0x01 => Some(Collation::FileName),
            0x10 => Some(Collation::Number),
            0x11 => Some(Collation::Sid),
            0x12 => Some(Collation::SecurityHash),
            0x13 => Some(Collation::Numbers),
            _ => None,
        }
    }
}

/// The three attributes of an index.
pub(crate) struct IndexParts {
    /// Value of `$INDEX_ROOT`.
    pub(crate) root: Vec<u8>,
    /// Clusters of `$INDEX_ALLOCATION`.
    pub(crate) extents: Vec<Extent>,
    /// Its length; 0 when there is none.
    pub(crate) allocation_bytes: u64,
    /// Value of `$BITMAP`.
    pub(crate) bitmap: Vec<u8>,
}

/// An entry that is not an end mark.
#[derive(Clone, Copy)]
pub(crate) struct IndexEntry<'a> {
    /// Of a directory's entry: the file reference. Of another index: where its data is.
    pub(crate) reference: u64,
    pub(crate) key: &'a [u8],
    /// The whole entry.
    pub(crate) frame: &'a [u8],
}

impl<'a> IndexEntry<'a> {
    /// The data of an entry that leads to none of the files.
    pub(crate) fn data(&self) -> Option<&'a [u8]> {
        let length = position_at(self.frame, 2)?;
        slice_at(self.frame, position_at(self.frame, 0)?, length)
    }
}

/// Told what is in an index, in the order of the keys, and what is wrong with it.
pub(crate) trait IndexVisitor {
    fn entry(&mut self, at: At, entry: &IndexEntry<'_>);
    fn fault(&mut self, at: At, kind: FaultKind, key: &[u8]);
}

/// What every index of a volume is walked with.
#[derive(Clone, Copy)]
pub(crate) struct Ground<'a> {
    pub(crate) device: &'a dyn ReadAt,
    pub(crate) geometry: &'a Geometry,
    pub(crate) upcase: &'a UpCase,
}

/// Walks an index; gives the number of blocks that it has.
///
/// `of_names` says that it is a directory. `blocks_left` bounds the walk: who takes off what this
/// gives pays no more than the volume's length for indexes that share clusters or have none.
pub(crate) fn walk(
    ground: Ground<'_>,
    parts: &IndexParts,
    of_names: bool,
    blocks_left: u64,
    visitor: &mut dyn IndexVisitor,
) -> u64 {
    let Some(collation) = check_root(ground.geometry, &parts.root, of_names, visitor) else { return 0 };
    let block_bytes = u64::from(ground.geometry.index_block_bytes);
    let blocks = parts.allocation_bytes.checked_div(block_bytes).unwrap_or(0);
    let mut walk = Walk {
        ground,
        parts,
        collation,
        block_bytes,
        blocks,
        visited: vec![0; in_memory(blocks.min(blocks_left).div_ceil(8))],
        visited_count: 0,
        blocks_left,
        window: Vec::new(),
        window_at: 0,
        last_key: None,
        is_whole: true,
        stack: Vec::new(),
        spare: Vec::new(),
        visitor,
    };
    walk.run();
    blocks
}

struct Node {
    bytes: Vec<u8>,
    /// Where its header is, and the position of the bytes for a fault.
    header_at: usize,
    place: Option<u64>,
    interior: bool,
    /// The next entry, and whether its subnode is done.
    at: usize,
    end: usize,
    is_descended: bool,
}

struct Walk<'a> {
    ground: Ground<'a>,
    parts: &'a IndexParts,
    collation: Collation,
    block_bytes: u64,
    blocks: u64,
    visited: Vec<u8>,
    visited_count: u64,
    blocks_left: u64,
    window: Vec<u8>,
    window_at: u64,
    last_key: Option<Vec<u8>>,
    /// False once a part of the tree could not be walked.
    is_whole: bool,
    stack: Vec<Node>,
    spare: Vec<Vec<u8>>,
    visitor: &'a mut dyn IndexVisitor,
}

/// What a look at the topmost node's next entry leads to.
enum Step {
    Descend(u64),
    Next,
    Leave,
}

impl Walk<'_> {
    fn run(&mut self) {
        let root = self.parts.root.clone();
        self.enter(root, ROOT_NODE_AT, None);
        while let Some(node) = self.stack.pop() {
            self.step(node);
        }
        if self.is_whole {
            self.check_bitmap();
        }
    }

    /// Puts a node on the stack, if its header can be followed.
    fn enter(&mut self, bytes: Vec<u8>, header_at: usize, place: Option<u64>) {
        let header = node_header(&bytes, header_at, place.is_some());
        let at = At::InStream(place.unwrap_or(0));
        match header {
            Ok((first, end, interior)) => {
                let node = Node { bytes, header_at, place, interior, at: first, end, is_descended: false };
                self.stack.push(node);
            }
            Err(what) => {
                self.is_whole = false;
                let kind = match place {
                    None => FaultKind::IndexRoot { what },
                    Some(_) => FaultKind::IndexHeader { what },
                };
                self.visitor.fault(at, kind, &[]);
            }
        }
    }

    fn step(&mut self, mut node: Node) {
        match self.look(&mut node) {
            Step::Descend(vcn) => {
                self.stack.push(node);
                self.descend(vcn);
            }
            Step::Next => self.stack.push(node),
            Step::Leave => self.spare.push(node.bytes),
        }
    }

    fn look(&mut self, node: &mut Node) -> Step {
        let at = At::InStream(node.place.unwrap_or(0).saturating_add(on_volume(node.at)));
        let Some(entry) = raw_entry(&node.bytes, node.at, node.end) else {
            self.is_whole = false;
            self.visitor.fault(at, FaultKind::IndexEntry, &[]);
            return Step::Leave;
        };
        if !node.is_descended {
            node.is_descended = true;
            if entry.subnode.is_some() != node.interior {
                self.visitor.fault(at, header_fault(node, "interior flag"), entry.key);
            }
            if let Some(vcn) = entry.subnode {
                return Step::Descend(vcn);
            }
        }
        let next = node.at.saturating_add(entry.frame.len());
        if entry.is_end {
            if next != node.end {
                self.visitor.fault(at, header_fault(node, "used length"), &[]);
            }
            return Step::Leave;
        }
        self.check_order(at, entry.key);
        let found =
            IndexEntry { reference: u64_at(entry.frame, 0).unwrap_or(0), key: entry.key, frame: entry.frame };
        self.visitor.entry(at, &found);
        (node.at, node.is_descended) = (next, false);
        Step::Next
    }

    fn check_order(&mut self, at: At, key: &[u8]) {
        if let Some(last) = &self.last_key {
            let kind = match order(self.ground.upcase, self.collation, last, key) {
                (Ordering::Less, false) => None,
                (Ordering::Less, true) => Some(FaultKind::CaseTwin),
                (Ordering::Equal, _) => Some(FaultKind::IndexTwice),
                (Ordering::Greater, _) => Some(FaultKind::IndexOrder),
            };
            if let Some(kind) = kind {
                self.visitor.fault(at, kind, key);
            }
        }
        let last = self.last_key.get_or_insert_default();
        last.clear();
        last.extend_from_slice(key);
    }

    fn descend(&mut self, vcn: u64) {
        match self.load(vcn) {
            Ok((bytes, offset)) => self.enter(bytes, BLOCK_NODE_AT, Some(offset)),
            Err((at, kind)) => {
                self.is_whole = false;
                self.visitor.fault(at, kind, &[]);
            }
        }
    }

    /// A block of the index, restored, and where it begins in the allocation.
    fn load(&mut self, vcn: u64) -> Result<(Vec<u8>, u64), (At, FaultKind)> {
        let offset = vcn
            .checked_mul(vcn_bytes(self.ground.geometry))
            .filter(|offset| offset.is_multiple_of(self.block_bytes));
        let block = offset.and_then(|offset| offset.checked_div(self.block_bytes));
        let (Some(offset), Some(block)) = (offset, block.filter(|&block| block < self.blocks)) else {
            return Err((At::Record, FaultKind::IndexNode { vcn }));
        };
        let at = At::InStream(offset);
        if self.stack.len() >= DEPTH_MAX {
            return Err((at, FaultKind::IndexDepth { limit: DEPTH_MAX }));
        }
        self.visit(block, vcn).map_err(|kind| (at, kind))?;
        let mut bytes = self.spare.pop().unwrap_or_default();
        bytes.clear();
        bytes.resize(in_memory(self.block_bytes), 0);
        self.read(&mut bytes, offset).ok_or((at, FaultKind::Unreadable))?;
        if slice_at(&bytes, 0, 4) != Some(b"INDX") || record::restore_sectors(&mut bytes).is_none() {
            return Err((at, FaultKind::IndexBlock));
        }
        if u64_at(&bytes, 16) != Some(vcn) {
            self.visitor.fault(at, FaultKind::IndexHeader { what: "VCN" }, &[]);
        }
        Ok((bytes, offset))
    }

    fn visit(&mut self, block: u64, vcn: u64) -> Result<(), FaultKind> {
        // Past the budget no block has a bit: an index that large shares its clusters with others.
        let slot = self.visited.get_mut(in_memory(block >> 3_u32)).ok_or(FaultKind::IndexOverclaimed)?;
        let bit = 1_u8 << (block & 7);
        if *slot & bit != 0 {
            return Err(FaultKind::IndexCycle { vcn });
        }
        if self.visited_count >= self.blocks_left {
            return Err(FaultKind::IndexOverclaimed);
        }
        *slot |= bit;
        self.visited_count = self.visited_count.saturating_add(1);
        Ok(())
    }

    fn read(&mut self, block: &mut [u8], offset: u64) -> Option<()> {
        let start = offset.checked_sub(self.window_at).map(in_memory);
        if let Some(found) = start.and_then(|start| slice_at(&self.window, start, block.len())) {
            block.copy_from_slice(found);
            return Some(());
        }
        let length = self.parts.allocation_bytes.saturating_sub(offset).min(WINDOW_BYTES);
        // A first block alone is read alone: most indexes have no second one.
        let length = if self.visited_count == 1 { on_volume(block.len()) } else { length };
        self.window.resize(in_memory(length), 0);
        self.window_at = offset;
        if read_extents(self.ground.device, &self.parts.extents, offset, &mut self.window).is_ok() {
            block.copy_from_slice(slice_at(&self.window, 0, block.len())?);
            return Some(());
        }
        // A bad sector nearby must not cost this block.
        self.window.clear();
        read_extents(self.ground.device, &self.parts.extents, offset, block).ok()
    }

    fn check_bitmap(&mut self) {
        for block in 0..self.blocks.min(on_volume(self.visited.len()).saturating_mul(8)) {
            let used = bit(&self.visited, block);
            if used != bit(&self.parts.bitmap, block) {
                let at = At::InStream(block.saturating_mul(self.block_bytes));
                self.visitor.fault(at, FaultKind::IndexBitmap { block, used }, &[]);
            }
        }
        let past = self.blocks..on_volume(self.parts.bitmap.len()).saturating_mul(8);
        if let Some(block) = past.into_iter().find(|&block| bit(&self.parts.bitmap, block)) {
            self.visitor.fault(At::Record, FaultKind::IndexBitmap { block, used: false }, &[]);
        }
    }
}

fn header_fault(node: &Node, what: &'static str) -> FaultKind {
    if node.header_at == ROOT_NODE_AT {
        FaultKind::IndexRoot { what }
    } else {
        FaultKind::IndexHeader { what }
    }
}

fn bit(bytes: &[u8], nth: u64) -> bool {
    bytes.get(in_memory(nth >> 3_u32)).is_some_and(|byte| byte & (1 << (nth & 7)) != 0)
}

/// Bytes of one VCN of an index: a cluster, or 512 bytes when a cluster is larger than a block.
pub(crate) fn vcn_bytes(geometry: &Geometry) -> u64 {
    if geometry.cluster_bytes > geometry.index_block_bytes { 512 } else { geometry.cluster_bytes.into() }
}

/// Checks what stands before a root's node; without a known order of its keys there is no walk.
fn check_root(
    geometry: &Geometry,
    root: &[u8],
    of_names: bool,
    visitor: &mut dyn IndexVisitor,
) -> Option<Collation> {
    let mut bad = |what| visitor.fault(At::Record, FaultKind::IndexRoot { what }, &[]);
    let collation = u32_at(root, 4).and_then(Collation::from_field);
    let of_known = u32_at(root, 0) == Some(if of_names { record::FILE_NAME } else { 0 });
    if !of_known {
        bad("type");
    }
    if u32_at(root, 8) != Some(geometry.index_block_bytes) {
        bad("block size");
    }
    let vcns = u64::from(geometry.index_block_bytes).checked_div(vcn_bytes(geometry));
    if u8_at(root, 12).map(u64::from) != vcns {
        bad("number of VCNs a block");
    }
    if collation.is_none_or(|collation| (collation == Collation::FileName) != of_names) {
        bad("collation");
        return None;
    }
    collation
}

/// Where the entries of a node begin and end, and whether it has subnodes.
fn node_header(bytes: &[u8], at: usize, is_block: bool) -> Result<(usize, usize, bool), &'static str> {
    let field =
        |offset: usize| at.checked_add(offset).and_then(|at| u32_at(bytes, at)).map(|v| in_memory(v.into()));
    let place = |offset: usize| field(offset).and_then(|field| at.checked_add(field));
    let first = place(0).ok_or("header")?;
    let end = place(4).filter(|&end| end <= bytes.len()).ok_or("used length")?;
    let allocated = place(8).ok_or("allocated length")?;
    let interior = at.checked_add(12).and_then(|at| u8_at(bytes, at)).ok_or("header")? & NODE_INTERIOR != 0;
    let header_end = at.saturating_add(ENTRY_HEADER);
    if first < header_end || !first.is_multiple_of(8) || first > end {
        return Err("offset of its entries");
    }
    let fits = if is_block { allocated == bytes.len() } else { allocated <= bytes.len() };
    if !fits || end > allocated {
        return Err("allocated length");
    }
    Ok((first, end, interior))
}

struct RawEntry<'a> {
    frame: &'a [u8],
    key: &'a [u8],
    subnode: Option<u64>,
    is_end: bool,
}

/// An entry that lies in its node, with a key and a subnode that lie in it.
fn raw_entry(bytes: &[u8], at: usize, end: usize) -> Option<RawEntry<'_>> {
    let length = position_at(bytes, at.checked_add(8)?)?;
    if length < ENTRY_HEADER || !length.is_multiple_of(8) || at.checked_add(length)? > end {
        return None;
    }
    let frame = slice_at(bytes, at, length)?;
    let flags = u16_at(frame, 12)?;
    let is_end = flags & ENTRY_END != 0;
    let has_subnode = flags & ENTRY_SUBNODE != 0;
    let subnode_at = length.checked_sub(if has_subnode { 8 } else { 0 })?;
    let subnode = if has_subnode { Some(u64_at(frame, subnode_at)?) } else { None };
    let key_length = if is_end { 0 } else { position_at(frame, 10)? };
    let key = slice_at(frame, ENTRY_HEADER, key_length)?;
    let key_end = ENTRY_HEADER.checked_add(key_length)?;
    if subnode_at < key_end || (!is_end && key.is_empty()) {
        return None;
    }
    Some(RawEntry { frame, key, subnode, is_end })
}

/// Compares keys; the flag tells two names that differ by case only.
fn order(upcase: &UpCase, collation: Collation, left: &[u8], right: &[u8]) -> (Ordering, bool) {
    let numbers = |key: &[u8], count: usize| -> Vec<u32> {
        key.chunks(4).take(count).map(|word| u32_at(word, 0).unwrap_or(0)).collect()
    };
    match collation {
        Collation::FileName => compare_names(upcase, name_of(left), name_of(right)),
        Collation::Number => (numbers(left, 1).cmp(&numbers(right, 1)), false),
        Collation::SecurityHash => (numbers(left, 2).cmp(&numbers(right, 2)), false),
        Collation::Numbers => (numbers(left, usize::MAX).cmp(&numbers(right, usize::MAX)), false),
        // Windows compares the length before the bytes, other drivers only the bytes.
        Collation::Sid => (if left == right { Ordering::Equal } else { Ordering::Less }, false),
    }
}

/// The name in a `$FILE_NAME` key.
pub(crate) fn name_of(key: &[u8]) -> &[u8] {
    let length = u8_at(key, 64).map_or(0, |units| usize::from(units).saturating_mul(2));
    slice_at(key, 66, length).unwrap_or(&[])
}

/// Names through `$UpCase`, and where that makes no difference, unit by unit.
pub(crate) fn compare_names(upcase: &UpCase, left: &[u8], right: &[u8]) -> (Ordering, bool) {
    let upper = |unit: u16| upcase.unit(unit);
    match units(left).map(upper).cmp(units(right).map(upper)) {
        Ordering::Equal => (units(left).cmp(units(right)), true),
        different => (different, false),
    }
}

/// The units of a little-endian UTF-16 name.
pub(crate) fn units(name: &[u8]) -> impl Iterator<Item = u16> + '_ {
    name.chunks_exact(2).filter_map(|pair| u16_at(pair, 0))
}

//! The lists of parts: blocks of a block blob, ranges of a page blob or a file, and their rules.
//!
//! azure-import-export.md §1.5, §1.6, §1.12. Each part is checked against the one before it as it
//! is read, the whole against `Length` at the entry's end. The number of parts is capped while
//! reading, so a list cannot outgrow its bound.

use std::collections::HashMap;
use std::io::BufRead;

use model::Md5Digest;

use super::element::Element;
use super::problem::ManifestError;
use super::{ManifestReader, Step};
use crate::block_id::{BlockId, BlockIdError};
use crate::entry::{BlobKind, BlockEntry, ListKind, RangeEntry};
use crate::limits::{
    BLOB_BYTES_WITHOUT_IDS_MAX, BLOCK_BYTES_MAX, BLOCKS_MAX, PAGE_BLOB_BYTES_MAX, PAGE_BYTES,
    RANGE_BYTES_MAX, RANGES_MAX,
};
use crate::rule::Rule;
use crate::xml::shortened;

/// A list that was read, and what is needed to check it against `Length`.
pub(super) enum PartList {
    Block { blocks: Vec<BlockEntry>, end_bytes: u64 },
    Page { ranges: Vec<RangeEntry>, end_bytes: u64 },
    File { ranges: Vec<RangeEntry>, end_bytes: u64 },
}

/// What checking parts keeps from one to the next; its memory is used again for the next list.
#[derive(Default)]
pub(super) struct PartRules {
    end_bytes: u64,
    ids: HashMap<BlockId, usize>,
}

impl PartList {
    pub(super) fn empty(kind: ListKind) -> PartList {
        match kind {
            ListKind::Blobs => PartList::Block { blocks: Vec::new(), end_bytes: 0 },
            ListKind::Files => PartList::File { ranges: Vec::new(), end_bytes: 0 },
        }
    }

    /// The rules that the list breaks once the blob's length is known.
    pub(super) fn against_length(&self, length_bytes: u64) -> Vec<Rule> {
        let broken = match self {
            PartList::Block { blocks, end_bytes } => {
                let end_bytes = *end_bytes;
                let without_ids = blocks.first().is_some_and(|block| block.id.is_none());
                [
                    (end_bytes != length_bytes).then_some(Rule::BlockCoverage { end_bytes, length_bytes }),
                    (without_ids && length_bytes > BLOB_BYTES_WITHOUT_IDS_MAX)
                        .then_some(Rule::BlockIdsMissing),
                ]
            }
            PartList::Page { end_bytes, .. } => {
                let odd = !length_bytes.is_multiple_of(PAGE_BYTES) || length_bytes > PAGE_BLOB_BYTES_MAX;
                [
                    odd.then_some(Rule::PageBlobLength { found_bytes: length_bytes }),
                    outside(*end_bytes, length_bytes),
                ]
            }
            PartList::File { end_bytes, .. } => [outside(*end_bytes, length_bytes), None],
        };
        broken.into_iter().flatten().collect()
    }
}

impl From<PartList> for BlobKind {
    fn from(list: PartList) -> BlobKind {
        match list {
            PartList::Block { blocks, .. } => BlobKind::Block(blocks),
            PartList::Page { ranges, .. } => BlobKind::Page(ranges),
            PartList::File { ranges, .. } => BlobKind::File(ranges),
        }
    }
}

impl<R: BufRead> ManifestReader<R> {
    /// Reads the list whose tag was just opened.
    pub(super) fn parts(&mut self, list: Element) -> Result<PartList, ManifestError> {
        self.parts.end_bytes = 0;
        if list == Element::BlockList {
            let blocks = self.blocks()?;
            return Ok(PartList::Block { blocks, end_bytes: self.parts.end_bytes });
        }
        let ranges = self.ranges(list)?;
        let end_bytes = self.parts.end_bytes;
        Ok(if list == Element::PageRangeList {
            PartList::Page { ranges, end_bytes }
        } else {
            PartList::File { ranges, end_bytes }
        })
    }

    fn blocks(&mut self) -> Result<Vec<BlockEntry>, ManifestError> {
        let mut blocks: Vec<BlockEntry> = Vec::new();
        self.parts.ids.clear();
        while self.next_part(Element::Block)? {
            if blocks.len() == BLOCKS_MAX {
                return Err(self.stopped(Rule::BlockCount));
            }
            let part = self.part(Element::Block)?;
            let id = self.block_id(part.id)?;
            let Some((offset_bytes, length_bytes, hash)) = part.complete else { continue };
            let block = BlockEntry { offset_bytes, length_bytes, id, hash };
            for rule in self.parts.block(&block, &blocks).into_iter().flatten() {
                self.broken(rule)?;
            }
            blocks.push(block);
        }
        Ok(blocks)
    }

    fn ranges(&mut self, list: Element) -> Result<Vec<RangeEntry>, ManifestError> {
        let paged = list == Element::PageRangeList;
        let element = if paged { Element::PageRange } else { Element::FileRange };
        let mut ranges: Vec<RangeEntry> = Vec::new();
        while self.next_part(element)? {
            if ranges.len() == RANGES_MAX {
                return Err(self.stopped(Rule::RangeCount));
            }
            let part = self.part(element)?;
            let Some((offset_bytes, length_bytes, hash)) = part.complete else { continue };
            let range = RangeEntry { offset_bytes, length_bytes, hash };
            for rule in self.parts.range(&range, paged).into_iter().flatten() {
                self.broken(rule)?;
            }
            grow_within(&mut ranges, RANGES_MAX);
            ranges.push(range);
        }
        Ok(ranges)
    }

    /// Steps to the list's next part; false at its end.
    fn next_part(&mut self, element: Element) -> Result<bool, ManifestError> {
        loop {
            match self.step()? {
                Step::Close | Step::End => return Ok(false),
                Step::Open if self.element() == Some(element) => return Ok(true),
                Step::Open => self.unknown()?,
            }
        }
    }

    /// Reads one part's attributes, and steps to its end.
    fn part(&mut self, element: Element) -> Result<Part, ManifestError> {
        let mut raw = RawPart::default();
        let with_id = element == Element::Block;
        self.attributes(|name, value| match name {
            "Offset" => Some(set(&mut raw.offset, "Offset", numbered(&value))),
            "Length" => Some(set(&mut raw.length, "Length", numbered(&value))),
            "Hash" => Some(set(&mut raw.hash, "Hash", value.parse())),
            "Id" if with_id => Some(set(&mut raw.id, "Id", value.trim().parse())),
            _ => None,
        })?;
        let offset = self.part_number(element, "Offset", raw.offset)?;
        let length = self.part_number(element, "Length", raw.length)?;
        let hash = match raw.hash {
            Some(Ok(hash)) => Some(hash),
            Some(Err(reason)) => {
                self.broken(Rule::Hash { element: element.name(), reason })?;
                None
            }
            None => {
                self.broken(Rule::MissingAttribute { element: element.name(), attribute: "Hash" })?;
                None
            }
        };
        self.close_part()?;
        let complete = offset.zip(length).zip(hash).map(|((offset, length), hash)| (offset, length, hash));
        Ok(Part { complete, id: raw.id })
    }

    fn part_number(
        &mut self,
        element: Element,
        attribute: &'static str,
        found: Option<Result<u64, String>>,
    ) -> Result<Option<u64>, ManifestError> {
        match found {
            Some(Ok(number)) => return Ok(Some(number)),
            Some(Err(found)) => self.broken(Rule::Number { name: attribute, found })?,
            None => self.broken(Rule::MissingAttribute { element: element.name(), attribute })?,
        }
        Ok(None)
    }

    /// A part has no children; ones that it has are stepped over.
    fn close_part(&mut self) -> Result<(), ManifestError> {
        while self.step()? == Step::Open {
            self.unknown()?;
        }
        Ok(())
    }

    fn block_id(
        &mut self,
        id: Option<Result<BlockId, BlockIdError>>,
    ) -> Result<Option<BlockId>, ManifestError> {
        match id {
            Some(Ok(id)) => Ok(Some(id)),
            Some(Err(error)) => {
                self.broken(Rule::BlockId(error))?;
                Ok(None)
            }
            None => Ok(None),
        }
    }
}

impl PartRules {
    /// The rules that a block breaks, given the ones before it.
    fn block(&mut self, block: &BlockEntry, before: &[BlockEntry]) -> [Option<Rule>; 4] {
        let expected_bytes = self.end_bytes;
        let found_bytes = block.offset_bytes;
        self.end_bytes = block.offset_bytes.saturating_add(block.length_bytes);
        let length = block.length_bytes;
        let [ids, reuse] = self.block_ids(block, before);
        [
            (found_bytes != expected_bytes).then_some(Rule::BlockOrder { expected_bytes, found_bytes }),
            (length == 0 || length > BLOCK_BYTES_MAX).then_some(Rule::BlockLength { found_bytes: length }),
            ids,
            reuse,
        ]
    }

    fn block_ids(&mut self, block: &BlockEntry, before: &[BlockEntry]) -> [Option<Rule>; 2] {
        let first = before.first();
        let id = match (block.id, first) {
            (id, None) => id,
            (Some(id), Some(BlockEntry { id: Some(expected), .. })) => {
                let (expected_bytes, found_bytes) = (expected.as_bytes().len(), id.as_bytes().len());
                if expected_bytes != found_bytes {
                    return [Some(Rule::BlockIdLengths { expected_bytes, found_bytes }), None];
                }
                Some(id)
            }
            (None, Some(BlockEntry { id: None, .. })) => None,
            (Some(_), Some(_)) | (None, Some(_)) => return [Some(Rule::BlockIdsMixed), None],
        };
        [None, id.and_then(|id| self.reused(id, block, before))]
    }

    fn reused(&mut self, id: BlockId, block: &BlockEntry, before: &[BlockEntry]) -> Option<Rule> {
        let second = before.len();
        let first = *self.ids.entry(id).or_insert(second);
        let same = before
            .get(first)
            .is_none_or(|other| other.hash == block.hash && other.length_bytes == block.length_bytes);
        (!same).then_some(Rule::BlockIdReused { first, second })
    }

    /// The rules that a range breaks, given the end of the one before it.
    fn range(&mut self, range: &RangeEntry, paged: bool) -> [Option<Rule>; 3] {
        let RangeEntry { offset_bytes, length_bytes, .. } = *range;
        let end_bytes = self.end_bytes;
        self.end_bytes = offset_bytes.saturating_add(length_bytes).max(end_bytes);
        let aligned = offset_bytes.is_multiple_of(PAGE_BYTES) && length_bytes.is_multiple_of(PAGE_BYTES);
        [
            (paged && !aligned).then_some(Rule::PageRangeAlignment { offset_bytes, length_bytes }),
            (length_bytes == 0 || length_bytes > RANGE_BYTES_MAX)
                .then_some(Rule::RangeLength { found_bytes: length_bytes }),
            (offset_bytes < end_bytes).then_some(Rule::RangeOrder { end_bytes, found_bytes: offset_bytes }),
        ]
    }
}

/// One part as far as its attributes could be read.
struct Part {
    complete: Option<(u64, u64, Md5Digest)>,
    id: Option<Result<BlockId, BlockIdError>>,
}

#[derive(Default)]
struct RawPart {
    offset: Option<Result<u64, String>>,
    length: Option<Result<u64, String>>,
    hash: Option<Result<Md5Digest, model::digest::HashTextError>>,
    id: Option<Result<BlockId, BlockIdError>>,
}

/// Decimal digits only, blanks around them ignored.
pub(super) fn number(text: &str) -> Option<u64> {
    let digits = text.trim();
    if digits.starts_with('+') { None } else { digits.parse().ok() }
}

fn numbered(text: &str) -> Result<u64, String> {
    number(text).ok_or_else(|| shortened(text).to_owned())
}

/// Sets an attribute's value, and answers as [`ManifestReader::attributes`] wants it.
fn set<T>(slot: &mut Option<T>, name: &'static str, value: T) -> Option<&'static str> {
    slot.replace(value).map(|_| name)
}

fn outside(end_bytes: u64, length_bytes: u64) -> Option<Rule> {
    (end_bytes > length_bytes).then_some(Rule::RangeOutside { end_bytes, length_bytes })
}

/// Grows a full vector by half, but never beyond what may be in it.
fn grow_within<T>(vector: &mut Vec<T>, max: usize) {
    if vector.len() == vector.capacity() {
        let left = max.saturating_sub(vector.len());
        vector.reserve_exact(vector.len().div_euclid(2).max(16).min(left));
    }
}

//! MD5 of whole files, for `Content-MD5`: one chain a file, fed in the file's order.
//!
//! A chain cannot be cut, so this is as slow as one lane; it is done only where it was asked for
//! (azure-import-export.md §1.11). A file of one block has that block's digest, which costs nothing.
//! A pack that is resumed in the middle of a file reads that file's beginning again from the source,
//! because a chain's state is not kept.

use std::collections::HashMap;

use digests::{Lane, LaneSet};
use model::Md5Digest;

use super::digest::Hashed;
use super::slab::{Piece, Slab};
use super::source::{SourceFault, Sources};
use crate::work::{ItemId, Work};

/// What is read at a time to catch up with a file's beginning.
const CATCH_UP_BYTES: usize = 1 << 20;

/// The chains of the files that are under way: at most a few, because files follow one another.
pub struct WholeFiles<'a> {
    work: &'a Work,
    sources: &'a dyn Sources,
    lanes: LaneSet,
    chains: HashMap<ItemId, Chain>,
}

/// What came of a slab.
#[derive(Debug, Default)]
pub struct Ended {
    /// Digests of the files that end in it.
    pub whole: Vec<(ItemId, Md5Digest)>,
    /// Files that cannot be digested, and so are left out.
    pub faults: Vec<(ItemId, SourceFault)>,
}

struct Chain {
    lane: Lane,
    fed_bytes: u64,
}

impl<'a> WholeFiles<'a> {
    /// No file is under way yet.
    pub fn new(work: &'a Work, sources: &'a dyn Sources) -> WholeFiles<'a> {
        WholeFiles { work, sources, lanes: LaneSet::new(), chains: HashMap::new() }
    }

    /// Takes the next slab and gives the digests of the files that end in it, and which files cannot be
    /// digested.
    pub fn slab(&mut self, slab: &Slab, buffer: &[u8], hashed: &[Hashed]) -> Ended {
        let mut ended = Ended::default();
        let mut hashed = hashed.iter().peekable();
        for piece in &slab.pieces {
            let of_piece =
                |hash: &&Hashed| hash.item == piece.item && piece.range().contains(&hash.offset_bytes);
            let first = hashed.next_if(of_piece);
            while hashed.next_if(of_piece).is_some() {}
            let item = self.work.item(piece.item);
            if !item.dataset().content_md5 {
                continue;
            }
            let whole =
                first.filter(|hash| (hash.offset_bytes, hash.length_bytes) == (0, item.length_bytes()));
            if let Some(hash) = whole {
                ended.whole.push((piece.item, hash.md5));
            } else {
                match self.piece(piece, buffer) {
                    Ok(md5) => ended.whole.extend(md5.map(|md5| (piece.item, md5))),
                    Err(fault) => ended.faults.push((piece.item, fault)),
                }
            }
        }
        ended
    }

    /// Feeds a piece; gives the digest of the file that ends with it.
    fn piece(&mut self, piece: &Piece, buffer: &[u8]) -> Result<Option<Md5Digest>, SourceFault> {
        self.catch_up(piece.item, piece.file_offset_bytes)?;
        if piece.is_hole {
            self.zeros(piece.item, piece.length as u64);
        } else {
            self.bytes(piece.item, &buffer[piece.at..][..piece.length]);
        }
        piece.is_last.then(|| self.end(piece.item)).transpose()
    }

    /// Feeds what lies between the last piece and this one: a hole, or on resuming the beginning.
    fn catch_up(&mut self, item: ItemId, to_bytes: u64) -> Result<(), SourceFault> {
        let length_bytes = self.work.item(item).length_bytes();
        let lanes = &mut self.lanes;
        let chain =
            self.chains.entry(item).or_insert_with(|| Chain { lane: lanes.add(length_bytes), fed_bytes: 0 });
        let from = chain.fed_bytes;
        if from == to_bytes {
            return Ok(());
        }
        let kind = self.work.item(item).kind();
        let mut buffer = vec![0; CATCH_UP_BYTES];
        let mut at = from;
        while at < to_bytes {
            let length = usize::try_from(to_bytes - at).map_or(buffer.len(), |left| left.min(buffer.len()));
            let piece =
                Piece { item, kind, file_offset_bytes: at, length, at: 0, is_hole: false, is_last: false };
            // What cannot be read again cannot be digested: the file is left out.
            let read = self.sources.read(&[piece], &mut buffer);
            self.bytes(item, &buffer[..length]);
            at += length as u64;
            read?;
        }
        Ok(())
    }

    fn zeros(&mut self, item: ItemId, length_bytes: u64) {
        let zeros = vec![0; CATCH_UP_BYTES];
        let mut left = length_bytes;
        while left > 0 {
            let step = usize::try_from(left).map_or(zeros.len(), |left| left.min(zeros.len()));
            self.bytes(item, &zeros[..step]);
            left -= step as u64;
        }
    }

    fn bytes(&mut self, item: ItemId, bytes: &[u8]) {
        if let Some(chain) = self.chains.get_mut(&item) {
            self.lanes.update(&[(chain.lane, bytes)]);
            chain.fed_bytes += bytes.len() as u64;
        }
    }

    fn end(&mut self, item: ItemId) -> Result<Md5Digest, SourceFault> {
        // A hole at the end.
        let caught_up = self.catch_up(item, self.work.item(item).length_bytes());
        let chain = self.chains.remove(&item).expect("fed before it ends");
        let md5 = self.lanes.finish(chain.lane);
        caught_up.map(|()| md5)
    }
}

//! Messages of any lengths on a kernel's lanes, each fed a slice at a time.
//!
//! Owns each message's chaining state and padding, and who shares a kernel call with whom: the
//! longest first, all advanced by the shortest's blocks, whoever is done makes room for the next.
//! Invariant: a lane's digest depends on its own bytes only, never on company or slicing.
//! Left to the caller: how much of a message it can hold, and when its bytes are decrypted.

use std::cmp::Reverse;
use std::ops::Range;

use model::Md5Digest;

use super::kernel::{BLOCK_BYTES, Block, INITIAL_STATE, Kernel, LANES_MAX, State};

/// One message being digested in a [`LaneSet`]; good until it is finished or abandoned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Lane {
    slot: usize,
    /// Tells this message from the slot's earlier ones.
    turn: u64,
}

/// Messages in progress. Any number may be; [`LaneSet::lanes`] of them keep the kernel busy.
///
/// ```
/// # use digests::LaneSet;
/// let mut lanes = LaneSet::new();
/// let (long, short) = (lanes.add(100_000), lanes.add(3));
/// lanes.update(&[(long, &[0; 65_536]), (short, b"abc")]);
/// assert_eq!(lanes.finish(short).to_string(), "900150983CD24FB0D6963F7D28E17F72");
/// lanes.update(&[(long, &[0; 34_464])]);
/// lanes.finish(long);
/// ```
#[derive(Debug)]
pub struct LaneSet {
    kernel: Kernel,
    slots: Vec<Slot>,
    free: Vec<usize>,
    turns: u64,
}

/// The length in bits at the end of the padding takes eight bytes.
const LENGTH_BYTES: usize = 8;

#[derive(Debug)]
struct Slot {
    /// The message in it; `None` for a free slot.
    turn: Option<u64>,
    state: State,
    /// The first `fed_bytes % 64` bytes of it are an incomplete block.
    tail: Block,
    fed_bytes: u64,
    length_bytes: u64,
    /// `state` is final: the padding has been taken in.
    ended: bool,
    /// Has work in the update under way.
    in_update: bool,
}

impl LaneSet {
    /// Uses the fastest kernel of this processor.
    pub fn new() -> LaneSet {
        LaneSet::with_kernel(Kernel::best())
    }

    /// Uses that kernel.
    pub fn with_kernel(kernel: Kernel) -> LaneSet {
        LaneSet { kernel, slots: Vec::new(), free: Vec::new(), turns: 0 }
    }

    /// How many messages at once the kernel is best fed with.
    pub fn lanes(&self) -> usize {
        self.kernel.lanes()
    }

    /// Begins a message of exactly that length.
    ///
    /// The length is needed at the start so that the padding rides along with the last slice.
    pub fn add(&mut self, length_bytes: u64) -> Lane {
        self.turns += 1;
        let slot = Slot {
            turn: Some(self.turns),
            state: INITIAL_STATE,
            tail: [0; BLOCK_BYTES],
            fed_bytes: 0,
            length_bytes,
            ended: false,
            in_update: false,
        };
        let index = self.free.pop().unwrap_or(self.slots.len());
        match self.slots.get_mut(index) {
            Some(free) => *free = slot,
            None => self.slots.push(slot),
        }
        Lane { slot: index, turn: self.turns }
    }

    /// Takes in the next bytes of each of these messages, the more at once the cheaper.
    ///
    /// Slices may have any length; whole blocks (64 bytes) spare a copy, equal lengths keep all
    /// lanes busy. About 16 KiB a lane stays in the second-level cache; buffers that lie a power of
    /// two apart compete for the same lines of it, some odd number of lines (64 bytes) more saves a
    /// sixth.
    ///
    /// # Panics
    /// When a lane is named twice, is not of this set any more, or gets more than its length.
    pub fn update(&mut self, slices: &[(Lane, &[u8])]) {
        let mut works: Vec<Work<'_>> = Vec::with_capacity(slices.len());
        for &(lane, bytes) in slices {
            let slot = self.slot(lane);
            assert!(!std::mem::replace(&mut slot.in_update, true), "each lane once an update");
            works.extend(slot.take(lane.slot, bytes));
        }
        run(self.kernel, &mut works);
        for work in &works {
            self.slots[work.slot].state = work.state;
        }
        for &(lane, _) in slices {
            self.slot(lane).in_update = false;
        }
    }

    /// The digest of a message that got all its bytes; its lane is free again.
    ///
    /// # Panics
    /// When bytes are missing, or the lane is not of this set any more.
    pub fn finish(&mut self, lane: Lane) -> Md5Digest {
        self.update(&[(lane, &[])]);
        let slot = self.slot(lane);
        assert!(slot.ended, "finished after {} of {} bytes", slot.fed_bytes, slot.length_bytes);
        let state = slot.state;
        self.abandon(lane);
        let mut digest = [0; 16];
        for (bytes, word) in digest.chunks_exact_mut(4).zip(state) {
            bytes.copy_from_slice(&word.to_le_bytes());
        }
        Md5Digest(digest)
    }

    /// Forgets a message that will not get all its bytes; its lane is free again.
    ///
    /// # Panics
    /// When the lane is not of this set any more.
    pub fn abandon(&mut self, lane: Lane) {
        self.slot(lane).turn = None;
        self.free.push(lane.slot);
    }

    /// Counts bytes that were not there, for tests of long messages.
    #[cfg(test)]
    pub(super) fn pretend_fed(&mut self, lane: Lane, bytes: u64) {
        self.slot(lane).fed_bytes = bytes;
    }

    fn slot(&mut self, lane: Lane) -> &mut Slot {
        let slot = self.slots.get_mut(lane.slot).filter(|slot| slot.turn == Some(lane.turn));
        slot.expect("a lane is used between its add and its finish, in its own set")
    }
}

impl Default for LaneSet {
    fn default() -> LaneSet {
        LaneSet::new()
    }
}

/// The MD5 of one message; with many at hand, [`md5_many`] or a [`LaneSet`] is ten times cheaper.
pub fn md5_of(message: &[u8]) -> Md5Digest {
    md5_many_with(Kernel::SCALAR, &[message]).remove(0)
}

/// The MD5 of each message, in their order.
pub fn md5_many(messages: &[&[u8]]) -> Vec<Md5Digest> {
    md5_many_with(Kernel::best(), messages)
}

/// [`md5_many`] with that kernel.
pub(super) fn md5_many_with(kernel: Kernel, messages: &[&[u8]]) -> Vec<Md5Digest> {
    let mut lanes = LaneSet::with_kernel(kernel);
    let slices: Vec<(Lane, &[u8])> =
        messages.iter().map(|message| (lanes.add(message.len() as u64), *message)).collect();
    lanes.update(&slices);
    slices.into_iter().map(|(lane, _)| lanes.finish(lane)).collect()
}

impl Slot {
    /// Cuts the next bytes into blocks; what is left of a block waits in the tail.
    fn take<'a>(&mut self, index: usize, bytes: &'a [u8]) -> Option<Work<'a>> {
        let room = self.length_bytes - self.fed_bytes;
        assert!(bytes.len() as u64 <= room, "{} bytes for a lane with room for {room}", bytes.len());
        let tail_bytes = self.tail_bytes();
        let (completing, rest) = bytes.split_at(bytes.len().min((BLOCK_BYTES - tail_bytes) % BLOCK_BYTES));
        self.tail[tail_bytes..][..completing.len()].copy_from_slice(completing);
        let completed = !completing.is_empty() && tail_bytes + completing.len() == BLOCK_BYTES;
        let head = completed.then_some(self.tail);
        let (body, tail) = rest.as_chunks::<BLOCK_BYTES>();
        self.tail[..tail.len()].copy_from_slice(tail);
        self.fed_bytes += bytes.len() as u64;
        let mut work =
            Work { slot: index, state: self.state, head, body, ending: [[0; 64]; 2], ending_left: 0..0 };
        if self.fed_bytes == self.length_bytes && !self.ended {
            self.ended = true;
            (work.ending, work.ending_left) = ending(&self.tail[..self.tail_bytes()], self.length_bytes);
        }
        (work.blocks_left() > 0).then_some(work)
    }

    fn tail_bytes(&self) -> usize {
        usize::try_from(self.fed_bytes % BLOCK_BYTES as u64).expect("less than 64")
    }
}

/// The last one or two blocks: what is left, a one bit, zeros, the length in bits. RFC 1321 §3.1–3.2.
fn ending(tail: &[u8], length_bytes: u64) -> ([Block; 2], Range<usize>) {
    let mut blocks = [[0; BLOCK_BYTES]; 2];
    let used = if tail.len() + 1 + LENGTH_BYTES <= BLOCK_BYTES { 1 } else { 2 };
    blocks[0][..tail.len()].copy_from_slice(tail);
    blocks[0][tail.len()] = 0x80;
    // Modulo 2^64, as the algorithm says.
    let length_bits = length_bytes.wrapping_mul(8);
    blocks[used - 1][BLOCK_BYTES - LENGTH_BYTES..].copy_from_slice(&length_bits.to_le_bytes());
    (blocks, 0..used)
}

/// What one lane has to do in an update: a completed block, whole blocks, the padding.
struct Work<'a> {
    slot: usize,
    state: State,
    head: Option<Block>,
    body: &'a [Block],
    ending: [Block; 2],
    ending_left: Range<usize>,
}

impl Work<'_> {
    fn blocks_left(&self) -> usize {
        usize::from(self.head.is_some()) + self.body.len() + self.ending_left.len()
    }

    /// The blocks that lie together and come next; empty when all is done.
    fn front(&self) -> &[Block] {
        match &self.head {
            Some(block) => std::slice::from_ref(block),
            None if !self.body.is_empty() => self.body,
            None => &self.ending[self.ending_left.clone()],
        }
    }

    /// The state after that many blocks of the front.
    fn advance(&mut self, state: State, blocks: usize) {
        self.state = state;
        if self.head.take().is_none() {
            match self.body.split_at_checked(blocks) {
                Some((_, rest)) if !self.body.is_empty() => self.body = rest,
                _ => self.ending_left.start += blocks,
            }
        }
    }
}

/// Does all work, the longest first; whoever is done makes room for the next.
fn run(kernel: Kernel, works: &mut [Work<'_>]) {
    works.sort_unstable_by_key(|work| Reverse(work.blocks_left()));
    let mut waiting = works.iter_mut();
    let mut active: Vec<&mut Work<'_>> = waiting.by_ref().take(kernel.lanes()).collect();
    while active.len() >= kernel.worth_from_lanes() {
        step(kernel, &mut active);
        active.retain(|work| work.blocks_left() > 0);
        active.extend(waiting.by_ref().take(kernel.lanes() - active.len()));
    }
    for work in active.into_iter().chain(waiting) {
        while work.blocks_left() > 0 {
            step(Kernel::SCALAR, &mut [work]);
        }
    }
}

/// Advances all of them by the same number of blocks.
fn step(kernel: Kernel, active: &mut [&mut Work<'_>]) {
    let mut states = [INITIAL_STATE; LANES_MAX];
    let mut messages: [&[Block]; LANES_MAX] = [&[]; LANES_MAX];
    for ((state, message), work) in states.iter_mut().zip(&mut messages).zip(active.iter()) {
        (*state, *message) = (work.state, work.front());
    }
    let blocks = kernel.compress(&mut states[..active.len()], &messages[..active.len()]);
    for (work, state) in active.iter_mut().zip(states) {
        work.advance(state, blocks);
    }
}

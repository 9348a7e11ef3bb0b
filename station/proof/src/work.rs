//! From chunks to what fills a buffer: reads in the drive's order, resident bytes, or a decoder.
//!
//! [`plan`](crate::plan) is pure; this is where it meets an open drive. Invariant: every chunk that
//! goes in comes out in exactly one [`Work`].

use crate::bring_up::OpenDrive;
use crate::chunk::Provable;
use crate::file::FileContent;
use crate::plan::{
    Located, Part, PartSource, Span, SpanChunk, in_drive_order, lay_out, locate, meets_at_boundaries,
};

/// Something that fills one buffer.
pub enum Work<C> {
    /// Reads of the device.
    Read(Span<C>),
    /// Bytes that the sweep of `$MFT` has brought already.
    Resident(Vec<SpanChunk<C>>),
    /// One chunk that is not stored as it reads: of a compressed file, mostly.
    Decode(C),
}

/// Resident chunks share a buffer up to this size.
const RESIDENT_BYTES_MAX: usize = 1 << 20;

/// Chunks of one sweep over the drive.
pub struct Sweep<C> {
    located: Vec<Located<C>>,
    resident: Vec<C>,
    decoded: Vec<C>,
}

impl<C> Default for Sweep<C> {
    fn default() -> Self {
        Sweep { located: Vec::new(), resident: Vec::new(), decoded: Vec::new() }
    }
}

impl<C: Provable> Sweep<C> {
    /// How many chunks it has.
    pub fn len(&self) -> usize {
        self.located.len() + self.resident.len() + self.decoded.len()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Adds a chunk that lies inside its file.
    pub fn add(&mut self, drive: &OpenDrive, chunk: C) {
        match chunk.content() {
            FileContent::Extents(extents) => {
                let entry = chunk.entry();
                let range = entry.offset_bytes..entry.offset_bytes + entry.length_bytes;
                let mut whole = true;
                let mut segments =
                    |offset, length, parts: &mut Vec<Part>| whole &= drive.segments(offset, length, parts);
                let parts = locate(range, extents, &mut segments)
                    .expect("the driver's extents cover the file, and the chunk lies inside it");
                if whole && meets_at_boundaries(&parts, drive.geometry.sector_bytes) {
                    self.located.push(Located { tag: chunk, parts });
                } else {
                    self.decoded.push(chunk);
                }
            }
            FileContent::Resident(_) => self.resident.push(chunk),
            FileContent::Decoded(_) => self.decoded.push(chunk),
            FileContent::Nothing => unreachable!("a blob without content has no chunks to plan"),
        }
    }

    /// The work, in the drive's order.
    pub fn into_work(mut self, drive: &OpenDrive) -> Vec<Work<C>> {
        in_drive_order(&mut self.located);
        let mut work: Vec<Work<C>> = resident_work(self.resident);
        work.extend(lay_out(self.located, &drive.geometry).into_iter().map(Work::Read));
        work.extend(self.decoded.into_iter().map(Work::Decode));
        work
    }
}

impl<C: Provable> Work<C> {
    /// How long its buffer must be.
    pub fn buffer_bytes(&self) -> usize {
        match self {
            Work::Read(span) => span.buffer_bytes,
            Work::Resident(chunks) => chunks.last().map_or(0, |chunk| chunk.range.end),
            Work::Decode(chunk) => usize::try_from(chunk.entry().length_bytes).unwrap_or(usize::MAX),
        }
    }
}

/// Copies resident chunks to their places in the buffer.
pub fn fill_resident<C: Provable>(chunks: &[SpanChunk<C>], buffer: &mut [u8]) {
    for chunk in chunks {
        let FileContent::Resident(bytes) = chunk.tag.content() else { continue };
        let start = usize::try_from(chunk.tag.entry().offset_bytes)
            .expect("a resident file is shorter than its record");
        buffer[chunk.range.clone()].copy_from_slice(&bytes[start..start + chunk.range.len()]);
    }
}

fn resident_work<C: Provable>(chunks: Vec<C>) -> Vec<Work<C>> {
    let mut work = Vec::new();
    let mut group: Vec<SpanChunk<C>> = Vec::new();
    for chunk in chunks {
        let length =
            usize::try_from(chunk.entry().length_bytes).expect("a resident file is shorter than its record");
        let start = group.last().map_or(0, |last| last.range.end);
        if start > 0 && start + length > RESIDENT_BYTES_MAX {
            work.push(Work::Resident(std::mem::take(&mut group)));
            group.push(SpanChunk { tag: chunk, range: 0..length });
        } else {
            group.push(SpanChunk { tag: chunk, range: start..start + length });
        }
    }
    if !group.is_empty() {
        work.push(Work::Resident(group));
    }
    work
}

impl OpenDrive {
    /// Splits a range of the unlocked volume into stored runs. False when a part of it is not
    /// stored as it reads (the boot sector of a Vista volume) and has to go through the volume.
    fn segments(&self, offset_bytes: u64, length_bytes: u64, parts: &mut Vec<Part>) -> bool {
        let mut whole = true;
        for segment in self.volume.segments(offset_bytes, length_bytes) {
            let source = match segment.source {
                bitlocker::Source::Zeros => PartSource::Zeros,
                bitlocker::Source::Plain { physical_offset_bytes } => {
                    PartSource::Plain { offset_bytes: physical_offset_bytes }
                }
                bitlocker::Source::Encrypted { physical_offset_bytes } => {
                    PartSource::Encrypted { offset_bytes: physical_offset_bytes }
                }
                bitlocker::Source::BootSector { .. } => {
                    whole = false;
                    PartSource::Zeros
                }
            };
            parts.push(Part { length_bytes: segment.length_bytes, source });
        }
        whole
    }
}

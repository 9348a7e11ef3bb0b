//! `$Bitmap` against the clusters of all streams, and `$MFT`'s bitmap against the records in use.

use super::clusters::{CHUNK_CLUSTERS, Range};
use super::fault::{At, Fault, FaultKind};
use super::file::{BITMAP, FileRecords, Value};
use super::table::{IN_USE, LOST};
use super::{Check, CheckProgress, CheckStep};
use crate::bytes::in_memory;
use crate::record::DATA;

const MFT: u64 = 0;
const VOLUME_BITMAP: u64 = 6;
/// Bytes of a bitmap that are compared at once: those of a chunk of clusters.
const STEP_BYTES: u64 = CHUNK_CLUSTERS >> 3;

impl Check<'_> {
    /// A system file's stream; a fault when there is none.
    pub(super) fn system_value(&mut self, record: u64, kind: u32, name: &[u8]) -> Option<Value> {
        let file = FileRecords::load(self.mft, &self.limits, record);
        let value = file.and_then(|file| file.value(&self.geometry, &self.limits, kind, name));
        if value.is_none() {
            self.faults.push(Fault::new(record, FaultKind::StreamLost).named(name));
        }
        value
    }

    /// Bit by bit: used here, used there, and nothing free past the end.
    pub(super) fn volume_bitmap(&mut self, progress: &mut dyn FnMut(CheckProgress)) {
        let Some(bitmap) = self.system_value(VOLUME_BITMAP, DATA, &[]) else { return };
        let clusters = self.geometry.clusters;
        let (expected, found) = (clusters.div_ceil(64).saturating_mul(8), bitmap.length_bytes());
        if found < clusters.div_ceil(8) {
            self.fault(VOLUME_BITMAP, FaultKind::StreamLength { expected, found });
            return;
        }
        let mut buffer = vec![0; in_memory(STEP_BYTES)];
        let mut differences = Differences::default();
        let total = clusters.div_ceil(CHUNK_CLUSTERS);
        for nth in 0..total {
            let offset = nth.saturating_mul(STEP_BYTES);
            if bitmap.read(&**self.mft.device(), &mut buffer, offset).is_none() {
                let fault = Fault::new(VOLUME_BITMAP, FaultKind::Unreadable).at(At::InStream(offset));
                self.faults.push(fault);
                continue;
            }
            let valid = clusters.saturating_sub(nth.saturating_mul(CHUNK_CLUSTERS)).min(CHUNK_CLUSTERS);
            let faults = &mut self.faults;
            let mut emit = |marked_used: bool, range: Range| {
                faults.push(Fault::new(VOLUME_BITMAP, kind(marked_used, range)).at(place(range.lcn)));
            };
            self.clusters.compare(nth, &buffer, valid, &mut |first, here, there| {
                differences.word(first, here, there, &mut emit);
            });
            progress(CheckProgress { step: CheckStep::Bitmaps, done: nth, total });
        }
        for (marked_used, range) in differences.open() {
            let fault = Fault::new(VOLUME_BITMAP, kind(marked_used, range)).at(place(range.lcn));
            self.faults.push(fault);
        }
        self.bitmap_tail(&bitmap);
    }

    fn bitmap_tail(&mut self, bitmap: &Value) {
        let clusters = self.geometry.clusters;
        let first = clusters >> 3_u32;
        // Windows rounds the bitmap up to eight bytes; what a larger one has to say there is not fixed.
        let end = bitmap.length_bytes().min(clusters.div_ceil(64).saturating_mul(8));
        let mut tail = vec![0; in_memory(end.saturating_sub(first))];
        if bitmap.read(&**self.mft.device(), &mut tail, first).is_none() {
            return;
        }
        let bits = (clusters..end.saturating_mul(8)).find(|bit| {
            let byte = tail.get(in_memory((bit >> 3_u32).saturating_sub(first)));
            byte.is_some_and(|byte| byte & (1 << (bit & 7)) == 0)
        });
        if let Some(bit) = bits {
            self.faults.push(Fault::new(VOLUME_BITMAP, FaultKind::BitmapTail { bit }).at(place(bit)));
        }
    }

    /// One bit a record.
    pub(super) fn record_bitmap(&mut self) {
        let Some(bitmap) = self.system_value(MFT, BITMAP, &[]) else { return };
        let records = self.mft.records();
        let (expected, found) = (records.div_ceil(64).saturating_mul(8), bitmap.length_bytes());
        if found < records.div_ceil(8) {
            self.fault(MFT, FaultKind::StreamLength { expected, found });
            return;
        }
        let mut buffer = vec![0; in_memory(STEP_BYTES)];
        for offset in (0..found).step_by(in_memory(STEP_BYTES)) {
            let length = found.saturating_sub(offset).min(STEP_BYTES);
            buffer.truncate(in_memory(length));
            if bitmap.read(&**self.mft.device(), &mut buffer, offset).is_none() {
                self.faults.push(Fault::new(MFT, FaultKind::Unreadable).at(At::InStream(offset)));
                continue;
            }
            for (byte, &bits) in (offset..).zip(&buffer) {
                self.eight_records(byte.saturating_mul(8), bits);
            }
        }
    }

    fn eight_records(&mut self, first: u64, bits: u8) {
        for (bit, record) in (0..8_u32).zip(first..) {
            let (is_marked, flags) = (bits & (1 << bit) != 0, self.table.flags(record));
            // Of a record that cannot be read, nobody knows.
            if flags & LOST != 0 && flags & IN_USE == 0 {
                continue;
            }
            match (flags & IN_USE != 0, is_marked) {
                (true, false) => self.fault(record, FaultKind::RecordMarkedFree),
                (false, true) if !super::system::is_reserved(record) => {
                    self.fault(record, FaultKind::RecordMarkedUsed);
                }
                _ => {}
            }
        }
    }
}

/// Where in `$Bitmap` a cluster's bit is.
fn place(lcn: u64) -> At {
    At::InStream(lcn >> 3_u32)
}

fn kind(marked_used: bool, range: Range) -> FaultKind {
    let Range { lcn, clusters } = range;
    if marked_used {
        FaultKind::ClustersMarkedUsed { lcn, clusters }
    } else {
        FaultKind::ClustersMarkedFree { lcn, clusters }
    }
}

/// Joins bits that differ in the same way and follow each other, so that one lost file is one fault.
#[derive(Default)]
struct Differences {
    marked_used: Option<Range>,
    marked_free: Option<Range>,
}

impl Differences {
    fn word(&mut self, first: u64, here: u64, there: u64, emit: &mut dyn FnMut(bool, Range)) {
        let (used, free) = (there & !here, here & !there);
        for (bit, lcn) in (0..64_u32).zip(first..) {
            let mask = 1_u64.unbounded_shl(bit);
            if used & mask != 0
                && let Some(done) = extend(&mut self.marked_used, lcn)
            {
                emit(true, done);
            }
            if free & mask != 0
                && let Some(done) = extend(&mut self.marked_free, lcn)
            {
                emit(false, done);
            }
        }
    }

    fn open(self) -> impl Iterator<Item = (bool, Range)> {
        let used = self.marked_used.map(|range| (true, range));
        used.into_iter().chain(self.marked_free.map(|range| (false, range)))
    }
}

/// Adds a cluster to a range; gives the range that it does not continue.
fn extend(range: &mut Option<Range>, lcn: u64) -> Option<Range> {
    match range {
        Some(open) if open.lcn.saturating_add(open.clusters) == lcn => {
            open.clusters = open.clusters.saturating_add(1);
            None
        }
        _ => range.replace(Range { lcn, clusters: 1 }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differing_bits_that_follow_each_other_are_one_range() {
        let (mut differences, mut ranges) = (Differences::default(), Vec::new());
        let mut emit = |marked_used, range| ranges.push((marked_used, range));
        differences.word(0, 0, 1 << 63, &mut emit);
        differences.word(64, 0, 0b1011, &mut emit);
        differences.word(128, 0b10, 0, &mut emit);
        let open: Vec<_> = differences.open().collect();
        assert_eq!(ranges, [(true, Range { lcn: 63, clusters: 3 })]);
        let last = [(true, Range { lcn: 67, clusters: 1 }), (false, Range { lcn: 129, clusters: 1 })];
        assert_eq!(open, last);
    }
}

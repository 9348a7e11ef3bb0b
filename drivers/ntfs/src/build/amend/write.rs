//! The additions written, in an order that loses nothing when it is cut off between two writes.

use block::WriteAt;

use super::super::error::MetadataError;
use super::super::index::{BY_NAME, BlockBuilder, DIRECTORY_INDEX, put_end, put_entry, root};
use super::super::plan::{bitmap_bytes, bitmap_clusters, block_clusters};
use super::super::record::{BITMAP, DATA, INDEX_ALLOCATION, INDEX_ROOT};
use super::super::records::Records;
use super::super::sink::{Sink, WriteProgress};
use super::super::space::Stretch;
use super::super::tree::{self, BLOCK_BYTES};
use super::super::write::Finished;
use super::super::{bitmap, pairs};
use super::edit::{Edit, Stream};
use super::error::{AmendError, AmendWriteError};
use super::found::{HEAD_RECORDS, MFT, ROOT, VOLUME};
use super::layout::{AmendPlan, Listed};
use crate::bytes::{in_memory, on_volume, slice_at, u16_at};
use crate::record::{self, VOLUME_INFORMATION};
use crate::runs::Run;

/// Records that `$MFTMirr` doubles and that Windows keeps in step.
const MIRRORED: usize = 4;
/// Records that are made at a time.
const BATCH_BYTES: usize = 4 << 20;
/// Where the flags are in `$VOLUME_INFORMATION`.
const VOLUME_FLAGS_AT: usize = 10;
const VOLUME_DIRTY: u16 = 1;

/// What was added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Amended {
    /// FILE records of the volume, in use or not.
    pub records: u64,
    /// Bytes of clusters that are in use now and were free before.
    pub added_bytes: u64,
    /// Bytes of clusters that are free now and were in use before.
    pub freed_bytes: u64,
}

/// The root's new index.
struct RootIndex {
    blocks: u64,
    bytes: Vec<u8>,
}

impl AmendPlan {
    /// Writes the additions. The caller has written all data before; nothing here reads or
    /// overwrites it.
    ///
    /// # Errors
    /// When the device refuses, or the volume was changed meanwhile. What was there before is whole
    /// then; free clusters may be marked as used.
    pub fn write(
        &self,
        target: &dyn WriteAt,
        progress: &mut dyn FnMut(WriteProgress),
    ) -> Result<Amended, AmendWriteError> {
        self.unchanged()?;
        let finished = Finished::new(&self.plan)?;
        let root_index = self.root_index()?;
        self.write_new(target, &finished, &root_index, progress)?;
        let added = self.added(&finished);
        self.found.bitmap.mark(&self.found.device, target, &added, true)?;
        flush(target, "$Bitmap")?;
        self.unchanged()?;
        self.write_head(target, &self.head(&root_index, true)?)?;
        let freed = self.freed(&root_index);
        self.free_records(target)?;
        self.found.bitmap.mark(&self.found.device, target, &freed, false)?;
        flush(target, "$Bitmap")?;
        self.write_head(target, &self.head(&root_index, false)?)?;
        let bytes = |stretches: &[Stretch]| {
            let clusters = stretches.iter().fold(0_u64, |sum, stretch| sum.saturating_add(stretch.clusters));
            self.plan.shape.bytes_of(clusters)
        };
        Ok(Amended { records: self.records, added_bytes: bytes(&added), freed_bytes: bytes(&freed) })
    }

    /// Everything that nobody sees yet.
    fn write_new(
        &self,
        target: &dyn WriteAt,
        finished: &Finished,
        root_index: &RootIndex,
        progress: &mut dyn FnMut(WriteProgress),
    ) -> Result<(), AmendWriteError> {
        let shape = self.plan.shape;
        let total = shape.record_bytes_of(self.records.saturating_sub(self.found.mft.records()));
        let mut sink = Sink::new(target, shape, total, progress);
        self.plan.write_indexes(finished, &mut sink)?;
        self.plan.write_lists(finished, &mut sink)?;
        sink.begin("the root's index", &[self.root_index]);
        sink.put(&root_index.bytes)?;
        sink.end()?;
        if bitmap_clusters(&shape, root_index.blocks) > 0 {
            sink.begin("the bitmap of the root's index", &[self.root_bitmap(root_index)]);
            sink.put(&bitmap::first_bits(root_index.blocks))?;
            sink.end()?;
        }
        sink.begin("the bitmap of $MFT", &[self.record_bitmap]);
        sink.put(&self.record_bits(finished))?;
        sink.end()?;
        sink.flush_buffer()?;
        drop(sink);
        self.write_records(target, finished, progress)?;
        flush(target, "new records")
    }

    /// The root's index, block after block.
    fn root_index(&self) -> Result<RootIndex, MetadataError> {
        let listed = self.listed();
        let count = u32::try_from(listed.len()).unwrap_or(u32::MAX);
        let entry = |at: u32| listed.get(in_memory(at.into())).copied();
        let levels = tree::levels(count, &|at| entry(at).map_or(0, |listed| self.entry_bytes(listed)));
        let blocks = tree::block_count(&levels);
        if blocks > self.root_blocks {
            let bytes = blocks.saturating_mul(on_volume(BLOCK_BYTES));
            return Err(MetadataError::Full { path: "\\".to_owned(), bytes });
        }
        let step = u64::from(self.plan.shape.block_vcns());
        let (mut builder, mut bytes, mut key) = (BlockBuilder::new(), Vec::new(), Vec::new());
        let (mut block_number, mut below) = (0_u64, None);
        for level in levels {
            let first = block_number;
            for block in level.blocks() {
                let child = |position: u32| {
                    below.map(|below: u64| below.saturating_add(position.into()).saturating_mul(step))
                };
                let body = builder.begin();
                for position in block.first..block.end {
                    match entry(level.entry(position)) {
                        Some(Listed::Old(old)) => {
                            put_entry(body, old.reference, &old.key, &[], child(position));
                        }
                        Some(Listed::New(number)) => {
                            self.plan.put_name_entry(body, &mut key, number, child(position));
                        }
                        None => {}
                    }
                }
                bytes.extend_from_slice(builder.finish(block_number.saturating_mul(step), child(block.end)));
                block_number = block_number.saturating_add(1);
            }
            below = Some(first);
        }
        Ok(RootIndex { blocks, bytes })
    }

    /// Where the bitmap of the root's index is, when it is not in the root's record.
    fn root_bitmap(&self, root_index: &RootIndex) -> Stretch {
        let before = block_clusters(&self.plan.shape, self.root_blocks);
        let clusters = bitmap_clusters(&self.plan.shape, root_index.blocks);
        Stretch { lcn: self.root_index.lcn.saturating_add(before), clusters }
    }

    /// The bitmap of `$MFT`: what was in use, without what is replaced, and the new files.
    fn record_bits(&self, finished: &Finished) -> Vec<u8> {
        let records = Records::new(&self.plan, finished);
        let old = self.found.mft.records();
        let gone = |number| self.replaced.iter().any(|replaced| replaced.records.contains(&number));
        let was = |number: u64| {
            let byte = self.found.record_bitmap.get(in_memory(number >> 3_u32));
            byte.is_some_and(|byte| byte & 1_u8.wrapping_shl(u32::try_from(number & 7).unwrap_or(0)) != 0)
        };
        bitmap::collect(self.records, |number| {
            if number < old { was(number) && !gone(number) } else { records.is_used(number) }
        })
    }

    /// Records from the old end of `$MFT` to the new one; those that are free, too.
    fn write_records(
        &self,
        target: &dyn WriteAt,
        finished: &Finished,
        progress: &mut dyn FnMut(WriteProgress),
    ) -> Result<(), AmendWriteError> {
        let shape = self.plan.shape;
        let mut records = Records::new(&self.plan, finished);
        let batch = on_volume(BATCH_BYTES).checked_div(shape.record_bytes.into()).unwrap_or(1);
        let first = self.found.mft.records();
        let total_bytes = shape.record_bytes_of(self.records.saturating_sub(first));
        let mut buffer = Vec::with_capacity(BATCH_BYTES);
        let mut next = first;
        while next < self.records {
            let end = next.saturating_add(batch).min(self.records);
            buffer.clear();
            for number in next..end {
                buffer.extend_from_slice(records.build(number)?);
            }
            self.write_to_mft(target, "new records", shape.record_bytes_of(next), &mut buffer)?;
            next = end;
            let written_bytes = shape.record_bytes_of(next.saturating_sub(first));
            progress(WriteProgress { written_bytes, total_bytes });
        }
        Ok(())
    }

    /// Writes bytes of `$MFT` along its runs, the new ones included.
    fn write_to_mft(
        &self,
        target: &dyn WriteAt,
        what: &'static str,
        offset: u64,
        bytes: &mut [u8],
    ) -> Result<(), AmendWriteError> {
        let end = offset.saturating_add(on_volume(bytes.len()));
        let (mut at, mut rest) = (0_u64, bytes);
        for run in &self.mft_runs {
            let length_bytes = self.plan.shape.bytes_of(run.clusters);
            let volume_offset_bytes = run.lcn.map(|lcn| self.plan.shape.bytes_of(lcn));
            let extent = crate::Extent { file_offset_bytes: at, length_bytes, volume_offset_bytes };
            at = extent.file_end_bytes();
            let Some(part) = extent.within(offset, end) else { continue };
            let length = in_memory(part.length_bytes).min(rest.len());
            let (now, later) = rest.split_at_mut(length);
            let place = part.volume_offset_bytes.ok_or(MetadataError::Overrun { what })?;
            let written = target.write_all_at(now, place);
            written.map_err(|source| MetadataError::Write { what, source })?;
            rest = later;
        }
        if rest.is_empty() { Ok(()) } else { Err(MetadataError::Overrun { what }.into()) }
    }

    /// Clusters that become used.
    fn added(&self, finished: &Finished) -> Vec<Stretch> {
        let mut added = self.plan.used_clusters(finished).into_stretches();
        added.extend(self.mft_piece.iter().copied());
        added.extend([self.record_bitmap, self.root_index]);
        added
    }

    /// Clusters that become free: what is obsolete, what was replaced, and what the root's index was
    /// given and does not need.
    fn freed(&self, root_index: &RootIndex) -> Vec<Stretch> {
        let mut freed = self.found.obsolete.clone();
        freed.extend(self.replaced.iter().flat_map(|replaced| replaced.clusters.iter().copied()));
        let shape = &self.plan.shape;
        let (blocks, planned) =
            (block_clusters(shape, root_index.blocks), block_clusters(shape, self.root_blocks));
        let bitmap = bitmap_clusters(shape, root_index.blocks);
        let unused = |from: u64, to: u64| Stretch {
            lcn: self.root_index.lcn.saturating_add(from),
            clusters: to.saturating_sub(from),
        };
        freed.push(unused(blocks, planned));
        freed.push(unused(planned.saturating_add(bitmap), self.root_index.clusters));
        freed
    }

    /// Whether the records that will change have room for what they will say.
    pub(super) fn fits_into_records(&self) -> Result<(), AmendError> {
        let root_index = RootIndex { blocks: self.root_blocks, bytes: Vec::new() };
        match self.head(&root_index, true) {
            Ok(_) => Ok(()),
            Err(MetadataError::Record { record: ROOT, .. }) => {
                Err(AmendError::NoRoom { file: "the root directory" })
            }
            Err(_) => Err(AmendError::NoRoom { file: "$MFT" }),
        }
    }

    /// The first records of `$MFT` are still what they were.
    fn unchanged(&self) -> Result<(), AmendWriteError> {
        let mut now = vec![0; self.found.head.len()];
        let read = self.found.mft.read(&mut now, 0);
        read.map_err(|source| AmendWriteError::Read { what: "the first records", source })?;
        if now == self.found.head { Ok(()) } else { Err(AmendWriteError::Changed) }
    }

    /// The first records with the additions.
    fn head(&self, root_index: &RootIndex, dirty: bool) -> Result<Vec<u8>, MetadataError> {
        let length = self.plan.shape.record_length();
        let mut head = self.found.head.clone();
        let mut change = |number: u64, change: &dyn Fn(&mut Edit) -> Option<()>| {
            let what = MetadataError::Record { record: number, bytes: length };
            let at = in_memory(number).saturating_mul(length);
            let raw = head.get_mut(at..at.saturating_add(length));
            let changed = raw.and_then(|raw| {
                let mut restored = raw.to_vec();
                record::restore(&mut restored).ok()?;
                let mut edit = Edit::new(&restored)?;
                change(&mut edit)?;
                raw.copy_from_slice(&edit.finish()?);
                Some(())
            });
            changed.ok_or(what)
        };
        change(MFT, &|edit| self.change_mft(edit))?;
        change(ROOT, &|edit| self.change_root(edit, root_index))?;
        if dirty {
            change(VOLUME, &|edit| self.change_volume(edit))?;
        }
        Ok(head)
    }

    fn change_mft(&self, edit: &mut Edit) -> Option<()> {
        let shape = &self.plan.shape;
        let clusters = self.mft_runs.iter().fold(0_u64, |sum, run| sum.saturating_add(run.clusters));
        let pairs = pairs::encode(self.mft_runs.iter().copied());
        edit.stream(
            DATA,
            &[],
            &Stream {
                pairs: &pairs,
                clusters,
                allocated_bytes: shape.bytes_of(clusters),
                length_bytes: shape.record_bytes_of(self.records),
            },
        );
        let length_bytes = self.records.div_ceil(64).saturating_mul(8);
        self.put_stretch(edit, BITMAP, &[], self.record_bitmap, length_bytes);
        Some(())
    }

    fn change_root(&self, edit: &mut Edit, root_index: &RootIndex) -> Option<()> {
        let shape = &self.plan.shape;
        let top = root_index.blocks.checked_sub(1)?.checked_mul(shape.block_vcns().into())?;
        let mut end = Vec::new();
        put_end(&mut end, Some(top));
        edit.resident(INDEX_ROOT, &DIRECTORY_INDEX, &root(shape, BY_NAME, &end, true));
        let blocks = Stretch { lcn: self.root_index.lcn, clusters: block_clusters(shape, root_index.blocks) };
        let length_bytes = root_index.blocks.checked_mul(on_volume(BLOCK_BYTES))?;
        self.put_stretch(edit, INDEX_ALLOCATION, &DIRECTORY_INDEX, blocks, length_bytes);
        if bitmap_clusters(shape, root_index.blocks) == 0 {
            edit.resident(BITMAP, &DIRECTORY_INDEX, &bitmap::first_bits(root_index.blocks));
        } else {
            let (place, length_bytes) = (self.root_bitmap(root_index), bitmap_bytes(root_index.blocks));
            self.put_stretch(edit, BITMAP, &DIRECTORY_INDEX, place, length_bytes);
        }
        Some(())
    }

    fn put_stretch(&self, edit: &mut Edit, kind: u32, name: &[u16], place: Stretch, length_bytes: u64) {
        let pairs = pairs::encode([Run { lcn: Some(place.lcn), clusters: place.clusters }]);
        let allocated_bytes = self.plan.shape.bytes_of(place.clusters);
        let stream = Stream { pairs: &pairs, clusters: place.clusters, allocated_bytes, length_bytes };
        edit.stream(kind, name, &stream);
    }

    fn change_volume(&self, edit: &mut Edit) -> Option<()> {
        let flags = edit.value(VOLUME_INFORMATION).and_then(|value| u16_at(value, VOLUME_FLAGS_AT))?;
        edit.patch(VOLUME_INFORMATION, VOLUME_FLAGS_AT, &(flags | VOLUME_DIRTY).to_le_bytes())
    }

    /// The first records in one write, and then their copies.
    fn write_head(&self, target: &dyn WriteAt, head: &[u8]) -> Result<(), AmendWriteError> {
        let length = self.plan.shape.record_length();
        debug_assert_eq!(head.len(), length.saturating_mul(HEAD_RECORDS));
        self.write_to_mft(target, "the first records", 0, &mut head.to_vec())?;
        flush(target, "the first records")?;
        let copied = slice_at(head, 0, length.saturating_mul(MIRRORED)).unwrap_or_default();
        let place = self.found.geometry.cluster_offset(self.found.geometry.mirror_lcn);
        let place = place.ok_or(MetadataError::Overrun { what: "$MFTMirr" })?;
        let written = target.write_all_at(&mut copied.to_vec(), place);
        written.map_err(|source| MetadataError::Write { what: "$MFTMirr", source })?;
        flush(target, "$MFTMirr")
    }

    /// Frees the records of replaced files.
    fn free_records(&self, target: &dyn WriteAt) -> Result<(), AmendWriteError> {
        for &number in self.replaced.iter().flat_map(|replaced| &replaced.records) {
            let raw = self.found.mft.record(number).ok();
            let freed = raw.and_then(|raw| {
                let mut edit = Edit::new(&raw)?;
                edit.free();
                edit.finish()
            });
            let bytes = self.plan.shape.record_length();
            let mut freed = freed.ok_or(MetadataError::Record { record: number, bytes })?;
            let offset = self.plan.shape.record_bytes_of(number);
            self.write_to_mft(target, "records of replaced files", offset, &mut freed)?;
        }
        flush(target, "records of replaced files")
    }
}

fn flush(target: &dyn WriteAt, what: &'static str) -> Result<(), AmendWriteError> {
    target.flush().map_err(|source| MetadataError::Write { what, source }.into())
}

//! From a plan to a volume: all metadata in one pass, the boot sector last.
//!
//! ```text
//! tables, log ─▶ indexes ─▶ attribute lists ─▶ $MFT ─▶ bitmaps ─▶ mirror ─▶ flush ─▶ backup boot sector ─▶ flush ─▶ boot sector
//! ```
//! The copy of the boot sector waits for the first flush too: a reader that finds no boot sector at
//! the beginning looks for it at the end.

use std::borrow::Cow;
use std::collections::BTreeMap;

use block::WriteAt;

use super::bitmap::{self, UsedClusters};
use super::contents;
use super::error::MetadataError;
use super::fields::aligned;
use super::index::{BlockBuilder, put_entry};
use super::names::put_file_name;
use super::nodes::{self, Kind};
use super::overflow::{self, Listed, Piece};
use super::pairs;
use super::plan::{Plan, block_clusters, index_clusters, is_sparse};
use super::record::{self, header_bytes, packed, room};
use super::records::Records;
use super::security;
use super::sink::{Sink, WriteProgress};
use super::sorted::Directory;
use super::space::Stretch;
use super::system::SystemStream;
use super::tree::{self, BLOCK_BYTES};
use crate::bytes::{in_memory, on_volume};
use crate::record::FileId;

/// What was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Built {
    /// Files, without the file system's own and those left out.
    pub files: u64,
    /// Directories, without the root.
    pub directories: u64,
    /// FILE records, in use or not.
    pub records: u64,
    /// Bytes of the clusters in use.
    pub used_bytes: u64,
    /// Bytes of the clusters that are free.
    pub free_bytes: u64,
}

/// Where a directory's index came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct IndexPlace {
    /// 0 when the entries are in the record.
    pub(super) blocks: u64,
    pub(super) lcn: u64,
}

/// What is known only when no file changes any more.
pub(super) struct Finished {
    /// In the order of the plan's directories.
    pub(super) indexes: Vec<IndexPlace>,
    /// The pieces of files that outgrew their record, by node.
    pub(super) pieces: BTreeMap<u32, Vec<Piece>>,
}

impl Plan {
    /// Makes sure that an older file system on the device is none any more: its boot sectors are
    /// overwritten with zeros. To be called before data is written.
    ///
    /// # Errors
    /// When the device refuses.
    pub fn invalidate(&self, target: &dyn WriteAt) -> Result<(), MetadataError> {
        let what = "zeros over old boot sectors";
        let mut sector = vec![0; in_memory(self.shape.sector_bytes.into())];
        let failed = |source| MetadataError::Write { what, source };
        target.write_all_at(&mut sector, self.backup_offset()).map_err(failed)?;
        // What the device left in the buffer is not to be relied on.
        sector.fill(0);
        target.write_all_at(&mut sector, 0).map_err(failed)?;
        target.flush().map_err(failed)
    }

    /// Writes the file system around the data. The caller has written all data before, or will have
    /// when this is called again: nothing here reads or overwrites it.
    ///
    /// # Errors
    /// When the device refuses; then the volume does not open.
    pub fn write(
        &self,
        target: &dyn WriteAt,
        progress: &mut dyn FnMut(WriteProgress),
    ) -> Result<Built, MetadataError> {
        let finished = Finished::new(self)?;
        let used = self.used_clusters(&finished);
        let built = self.built(used.clusters());
        let mut sink = Sink::new(target, self.shape, self.metadata_bytes(), progress);
        self.write_tables(&mut sink)?;
        self.write_indexes(&finished, &mut sink)?;
        self.write_lists(&finished, &mut sink)?;
        self.write_records(&finished, &mut sink)?;
        self.write_bitmaps(&finished, used, &mut sink)?;
        self.write_mirror(&finished, &mut sink)?;
        sink.flush_buffer()?;
        self.write_boot_sectors(target)?;
        Ok(built)
    }

    fn built(&self, used_clusters: u64) -> Built {
        let count = |wanted: fn(Kind) -> bool| {
            let users = self.nodes.iter().filter(|(number, node)| *number > nodes::REPARSE && !node.omitted);
            on_volume(users.filter(|(_, node)| wanted(node.kind)).count())
        };
        Built {
            files: count(|kind| kind != Kind::Directory),
            directories: count(|kind| kind == Kind::Directory),
            records: self.system.records,
            used_bytes: self.shape.bytes_of(used_clusters),
            free_bytes: self.shape.bytes_of(self.shape.clusters.saturating_sub(used_clusters)),
        }
    }

    /// About how much will be written, for the progress.
    fn metadata_bytes(&self) -> u64 {
        let streams =
            (0..=nodes::EXTEND).map(|number| self.system.sizes(number, &self.shape).allocated_bytes);
        let indexes = self
            .sorted
            .directories
            .iter()
            .map(|directory| self.shape.bytes_of(index_clusters(&self.shape, directory.blocks)));
        streams.chain(indexes).fold(0, u64::saturating_add)
    }

    fn write_tables(&self, sink: &mut Sink<'_>) -> Result<(), MetadataError> {
        let boot = self.begin(sink, "zeros for the boot file", SystemStream::Boot);
        sink.fill(0, boot)?;
        self.begin(sink, "$UpCase", SystemStream::UpCase);
        sink.put(&contents::upcase_table(&self.upcase))?;
        sink.end()?;
        self.begin(sink, "$AttrDef", SystemStream::AttributeDefinitions);
        sink.put(&contents::attribute_definitions())?;
        sink.end()?;
        self.begin(sink, "$Secure", SystemStream::SecurityDescriptors);
        sink.put(&security::descriptor_stream())?;
        sink.end()?;
        let log = self.begin(sink, "$LogFile", SystemStream::LogFile);
        sink.fill(0xff, log)
    }

    /// Begins a stream of the file system itself; gives the bytes of its clusters.
    fn begin(&self, sink: &mut Sink<'_>, what: &'static str, stream: SystemStream) -> u64 {
        let stored = self.system.stream(stream);
        sink.begin(what, stored.map(|stored| stored.runs.as_slice()).unwrap_or_default());
        stored.map_or(0, |stored| self.shape.bytes_of(stored.clusters()))
    }

    pub(super) fn write_indexes(
        &self,
        finished: &Finished,
        sink: &mut Sink<'_>,
    ) -> Result<(), MetadataError> {
        let mut builder = BlockBuilder::new();
        for (directory, place) in self.sorted.directories.iter().zip(&finished.indexes) {
            if place.blocks == 0 {
                continue;
            }
            let clusters = block_clusters(&self.shape, place.blocks);
            sink.begin("directory indexes", &[Stretch { lcn: place.lcn, clusters }]);
            self.write_index(directory, &mut builder, sink)?;
            sink.end()?;
            let behind = index_clusters(&self.shape, place.blocks).saturating_sub(clusters);
            if behind > 0 {
                let lcn = place.lcn.saturating_add(clusters);
                sink.begin("bitmaps of directory indexes", &[Stretch { lcn, clusters: behind }]);
                sink.put(&bitmap::first_bits(place.blocks))?;
                sink.end()?;
            }
        }
        Ok(())
    }

    fn write_index(
        &self,
        directory: &Directory,
        builder: &mut BlockBuilder,
        sink: &mut Sink<'_>,
    ) -> Result<(), MetadataError> {
        let children = self.present(directory);
        let step = u64::from(self.shape.block_vcns());
        let mut key = Vec::new();
        // Block numbers of this level, and where the level below begins.
        let (mut block_number, mut below) = (0_u64, None);
        for level in self.levels(directory, &children).unwrap_or_default() {
            let first = block_number;
            for block in level.blocks() {
                let child = |position: u32| {
                    below.map(|below: u64| below.saturating_add(position.into()).saturating_mul(step))
                };
                let body = builder.begin();
                for position in block.first..block.end {
                    let number = children.get(in_memory(level.entry(position).into())).copied();
                    self.put_name_entry(body, &mut key, number.unwrap_or_default(), child(position));
                }
                let vcn = block_number.saturating_mul(step);
                sink.put(builder.finish(vcn, child(block.end)))?;
                block_number = block_number.saturating_add(1);
            }
            below = Some(first);
        }
        Ok(())
    }

    /// Appends the index entry of a file.
    pub(super) fn put_name_entry(
        &self,
        out: &mut Vec<u8>,
        key: &mut Vec<u8>,
        number: u32,
        child: Option<u64>,
    ) {
        let Some(node) = self.nodes.find(number) else { return };
        key.clear();
        put_file_name(key, self, number, node);
        put_entry(out, packed(self.nodes.reference(number)), key, &[], child);
    }

    /// A directory's children without those left out.
    pub(super) fn present(&self, directory: &Directory) -> Cow<'_, [u32]> {
        let children = self.sorted.children(directory);
        if !directory.changed {
            return Cow::Borrowed(children);
        }
        let present = |number: &&u32| self.nodes.find(**number).is_some_and(|node| !node.omitted);
        Cow::Owned(children.iter().filter(present).copied().collect())
    }

    pub(super) fn write_lists(&self, finished: &Finished, sink: &mut Sink<'_>) -> Result<(), MetadataError> {
        for (&number, pieces) in &finished.pieces {
            sink.begin("attribute lists", &self.list_runs(number, pieces));
            sink.put(&self.attribute_list(number, pieces))?;
            sink.end()?;
        }
        Ok(())
    }

    fn attribute_list(&self, number: u32, pieces: &[Piece]) -> Vec<u8> {
        let file = self.nodes.reference(number);
        // The list itself takes the id between the two.
        let mut entries = vec![
            Listed { kind: record::STANDARD_INFORMATION, start_vcn: 0, holder: file, id: 0 },
            Listed { kind: record::FILE_NAME, start_vcn: 0, holder: file, id: 2 },
        ];
        let records = self.overflows.find(number).map(|file| self.overflows.range(file)).unwrap_or_default();
        entries.extend(records.zip(pieces).map(|(record, piece)| {
            let holder = FileId { record, sequence: nodes::sequence(record) };
            Listed { kind: record::DATA, start_vcn: piece.start_vcn, holder, id: 0 }
        }));
        overflow::attribute_list(&entries)
    }

    /// Where the attribute list of a file in so many pieces lies.
    pub(super) fn list_runs(&self, number: u32, pieces: &[Piece]) -> Vec<Stretch> {
        let clusters = self.shape.clusters_for(overflow::list_bytes(pieces));
        let position = self.overflows.find(number).map_or(0, |file| file.list_position);
        self.data.stretches(position, clusters).collect()
    }

    fn write_records(&self, finished: &Finished, sink: &mut Sink<'_>) -> Result<(), MetadataError> {
        self.begin(sink, "$MFT", SystemStream::Mft);
        let mut records = Records::new(self, finished);
        for number in 0..self.system.records {
            sink.put(records.build(number)?)?;
        }
        sink.end()
    }

    fn write_bitmaps(
        &self,
        finished: &Finished,
        used: UsedClusters,
        sink: &mut Sink<'_>,
    ) -> Result<(), MetadataError> {
        self.begin(sink, "the bitmap of $MFT", SystemStream::MftBitmap);
        let records = Records::new(self, finished);
        sink.put(&bitmap::collect(self.system.records, |number| records.is_used(number)))?;
        sink.end()?;
        self.begin(sink, "$Bitmap", SystemStream::Bitmap);
        let bits = self.shape.clusters.next_multiple_of(64);
        for part in used.bitmap(self.shape.clusters, bits) {
            sink.put(&part)?;
        }
        sink.end()
    }

    fn write_mirror(&self, finished: &Finished, sink: &mut Sink<'_>) -> Result<(), MetadataError> {
        self.begin(sink, "$MFTMirr", SystemStream::Mirror);
        let mut records = Records::new(self, finished);
        let count = self.shape.mirror_bytes().checked_div(self.shape.record_bytes.into()).unwrap_or(0);
        for number in 0..count {
            sink.put(records.build(number)?)?;
        }
        sink.end()
    }

    fn write_boot_sectors(&self, target: &dyn WriteAt) -> Result<(), MetadataError> {
        let sector = contents::boot_sector(&self.settings, &self.shape, &self.system);
        let write = |what, offset_bytes| {
            target
                .flush()
                .and_then(|()| target.write_all_at(&mut sector.clone(), offset_bytes))
                .map_err(|source| MetadataError::Write { what, source })
        };
        write("the copy of the boot sector", self.backup_offset())?;
        write("the boot sector", 0)?;
        target.flush().map_err(|source| MetadataError::Write { what: "the boot sector", source })
    }

    /// The last sector, which the sector count leaves out.
    fn backup_offset(&self) -> u64 {
        self.shape.sectors.saturating_mul(self.shape.sector_bytes.into())
    }

    /// All clusters that something has.
    pub(super) fn used_clusters(&self, finished: &Finished) -> UsedClusters {
        let mut used = UsedClusters::default();
        self.system.runs().for_each(|run| used.add(run));
        self.placed.iter().for_each(|&run| used.add(run));
        for place in &finished.indexes {
            used.add(Stretch { lcn: place.lcn, clusters: index_clusters(&self.shape, place.blocks) });
        }
        let users = self.nodes.iter().filter(|(_, node)| matches!(node.kind, Kind::File | Kind::Sparse));
        for (number, node) in users.filter(|(_, node)| !node.omitted) {
            let clusters = self.shape.clusters_for(self.sizes(number, node).allocated_bytes);
            self.data.stretches(node.place, clusters).for_each(|run| used.add(run));
        }
        for (&number, pieces) in &finished.pieces {
            self.list_runs(number, pieces).into_iter().for_each(|run| used.add(run));
        }
        used
    }
}

impl Finished {
    pub(super) fn new(plan: &Plan) -> Result<Finished, MetadataError> {
        let mut free_position = plan.data_end;
        let mut indexes = Vec::with_capacity(plan.sorted.directories.len());
        for directory in &plan.sorted.directories {
            indexes.push(index_place(plan, directory, &mut free_position)?);
        }
        Ok(Finished { indexes, pieces: overgrown(plan) })
    }
}

/// An index stays where it was planned. When files were left out it mostly becomes shorter, but it
/// can also grow: another, longer name may now separate its blocks. Then it goes behind everything.
fn index_place(
    plan: &Plan,
    directory: &Directory,
    free_position: &mut u64,
) -> Result<IndexPlace, MetadataError> {
    let planned = IndexPlace { blocks: directory.blocks, lcn: directory.lcn };
    if !directory.changed {
        return Ok(planned);
    }
    let levels = plan.levels(directory, &plan.present(directory));
    let blocks = levels.map_or(0, |levels| tree::block_count(&levels));
    if blocks <= planned.blocks {
        return Ok(IndexPlace { blocks, ..planned });
    }
    let clusters = index_clusters(&plan.shape, blocks);
    let place = plan.data.contiguous(*free_position, clusters).and_then(|position| {
        *free_position = position.saturating_add(clusters);
        plan.data.stretches(position, clusters).next()
    });
    let full = || MetadataError::Full {
        path: plan.nodes.path(directory.node),
        bytes: blocks.saturating_mul(on_volume(BLOCK_BYTES)),
    };
    place.map(|stretch| IndexPlace { blocks, lcn: stretch.lcn }).ok_or_else(full)
}

/// The files whose mapping pairs do not fit into their records.
fn overgrown(plan: &Plan) -> BTreeMap<u32, Vec<Piece>> {
    let mut files = BTreeMap::new();
    for (number, _) in plan.overflows.iter() {
        let Some(node) = plan.nodes.find(number).filter(|node| !node.omitted && node.length_bytes > 0) else {
            continue;
        };
        let runs = plan.runs(node);
        let pairs = pairs::encode(runs.iter().copied());
        let length = aligned(header_bytes(is_sparse(node)).saturating_add(pairs.len()));
        if length > room(&plan.shape, plan.nodes.name(node).len()) {
            files.insert(number, overflow::pieces(&runs, &plan.shape));
        }
    }
    files
}

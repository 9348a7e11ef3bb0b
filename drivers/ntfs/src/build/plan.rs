//! Where everything lies. spec/ntfs.md §4 "What the prototype does".
//!
//! Metadata comes first, because its size is known: the file system's own files, `$MFT`, then the
//! indexes, each in one run. All the rest is one line of clusters for the data, in the order in
//! which the files were added. What depends on the data's place, the attribute lists of files in
//! very many pieces, comes behind it.

use super::error::{LengthError, PlanError};
use super::index::{DIRECTORY_INDEX, ROOT_HEADERS_BYTES, name_entry_bytes};
use super::nodes::{self, Kind, Node, Nodes};
use super::overflow::Overflows;
use super::record::{resident_bytes, room};
use super::settings::{Settings, Shape};
use super::sorted::{Directory, Sorted};
use super::space::{DataSpace, FreeSpace, Stretch};
use super::spec::{Extent, FileId};
use super::system::{self, SystemFiles};
use super::tree::{self, BLOCK_BYTES, END_BYTES, Level};
use super::{Builder, DataRange};
use crate::bytes::{in_memory, on_volume};
use crate::runs::Run;
use crate::upcase::UpCase;

/// Records for files that are added later without `$MFT` growing, beside those that fill its last 64.
const SPARE_RECORDS: u64 = 64;
/// `$MFT` is a multiple of this many records, so that its bitmap has whole words.
const RECORDS_MULTIPLE: u64 = 64;
/// Bits of an index bitmap that stay in the record: 48 bytes, which leave room for the longest name.
const RESIDENT_BITMAP_BLOCKS: u64 = 384;

/// The first node that is not the file system's own: the directory of pre-placed files, if any.
const FIRST_USER_NODE: u32 = nodes::REPARSE + 1;

/// What a volume will be: where the caller puts data, and what the metadata will say.
pub struct Plan {
    pub(super) shape: Shape,
    pub(super) settings: Settings,
    pub(super) label: Vec<u16>,
    pub(super) upcase: UpCase,
    pub(super) nodes: Nodes,
    pub(super) sparse: Vec<Vec<DataRange>>,
    pub(super) placed: Vec<Stretch>,
    pub(super) sorted: Sorted,
    pub(super) overflows: Overflows,
    pub(super) system: SystemFiles,
    pub(super) data: DataSpace,
    /// Position behind everything on the line of data.
    pub(super) data_end: u64,
    /// Who may do what with the files.
    pub(super) security: Security,
}

/// Where the security descriptors of users' files are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Security {
    /// In `$Secure`, as the builder writes it.
    Built,
    /// In another volume's `$Secure`, under this id.
    Known(u32),
    /// In each file's record.
    Own,
}

/// What a stream takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct FileSizes {
    pub(super) allocated_bytes: u64,
    pub(super) length_bytes: u64,
}

impl Plan {
    pub(super) fn new(builder: Builder) -> Result<Plan, PlanError> {
        let Builder { settings, shape, label, mut nodes, sparse, placed } = builder;
        let upcase = UpCase::standard();
        let mut sorted = Sorted::new(&mut nodes, &upcase)?;
        count_blocks(&mut sorted, &nodes, &shape);
        let overflows = Overflows::reserve(&nodes, &sparse, &shape, on_volume(placed.len()))?;
        let records = nodes.reference(nodes.len()).record.saturating_add(overflows.records());
        let records = records.saturating_add(SPARE_RECORDS).next_multiple_of(RECORDS_MULTIPLE);
        let mut free = FreeSpace::new(shape.clusters, &placed);
        let wishes = system::wishes(&shape, records);
        check_room(&free, &wishes, &sorted, &nodes, &sparse, &overflows, &shape)?;
        let full = |bytes| PlanError::Scattered { bytes };
        let system = SystemFiles::place(&wishes, records, &shape, &mut free).map_err(full)?;
        place_indexes(&mut sorted, &shape, &mut free).map_err(full)?;
        let data = free.into_data();
        let data_end = place_data(&mut nodes, &sparse, &shape);
        let mut plan = Plan {
            shape,
            settings,
            label,
            upcase,
            nodes,
            sparse,
            placed,
            sorted,
            overflows,
            system,
            data,
            data_end,
            security: Security::Built,
        };
        plan.data_end = plan.overflows.place_lists(plan.data_end, &shape);
        Ok(plan)
    }

    /// Bytes in a cluster: what the end of an extent is to be filled up to.
    pub fn cluster_bytes(&self) -> u32 {
        self.shape.cluster_bytes
    }

    /// Where the caller writes a file's data, ascending. Empty files have none; an omitted one keeps
    /// its place, which nobody reads.
    pub fn extents(&self, file: FileId) -> impl Iterator<Item = Extent> + '_ {
        let length_bytes = self.file(file).map_or(0, |node| node.length_bytes);
        let mut vcn = 0_u64;
        let runs = self.file(file).map(|node| self.runs(node)).unwrap_or_default();
        runs.into_iter().filter_map(move |run| {
            let file_offset_bytes = self.shape.bytes_of(vcn);
            vcn = vcn.saturating_add(run.clusters);
            let volume_offset_bytes = self.shape.bytes_of(run.lcn?);
            let rest = length_bytes.saturating_sub(file_offset_bytes);
            let length_bytes = self.shape.bytes_of(run.clusters).min(rest);
            Some(Extent { file_offset_bytes, volume_offset_bytes, length_bytes })
        })
    }

    /// Makes a file shorter than it was planned; its clusters behind the new end become free.
    ///
    /// # Errors
    /// When it would become longer.
    pub fn set_length(&mut self, file: FileId, length_bytes: u64) -> Result<(), LengthError> {
        let planned_bytes = self.file(file).map_or(0, |node| node.length_bytes);
        if length_bytes > planned_bytes {
            return Err(LengthError { path: self.nodes.path(file.0), planned_bytes, length_bytes });
        }
        if let Some(node) = self.nodes.find_mut(file.0).filter(|node| is_users(node)) {
            node.length_bytes = length_bytes;
        }
        Ok(())
    }

    /// Leaves a file out: in no index, its record and its clusters free.
    pub fn omit(&mut self, file: FileId) {
        let Some(node) = self.nodes.find_mut(file.0).filter(|node| is_users(node)) else { return };
        node.omitted = true;
        let parent = node.parent;
        let directory = self.nodes.find(parent).map(|node| in_memory(node.ranges.into()));
        if let Some(directory) = directory.and_then(|at| self.sorted.directories.get_mut(at)) {
            directory.changed = true;
        }
    }

    /// A file's whole path, for messages: `\a\b`.
    pub fn path(&self, file: FileId) -> String {
        self.nodes.path(file.0)
    }

    /// FILE records of the volume, in use or not.
    pub fn records(&self) -> u64 {
        self.system.records
    }

    /// Bytes that are free on the new volume, of whole clusters.
    pub fn free_bytes(&self) -> u64 {
        self.shape.bytes_of(self.data.clusters().saturating_sub(self.data_end))
    }

    /// Memory that the plan takes, without what grows while metadata is written.
    pub fn memory_bytes(&self) -> u64 {
        let ranges =
            self.sparse.iter().map(|ranges| ranges.capacity().saturating_mul(size_of::<DataRange>()));
        let ranges = ranges.fold(0_usize, usize::saturating_add);
        self.nodes.memory_bytes().saturating_add(self.sorted.memory_bytes()).saturating_add(on_volume(ranges))
    }

    /// Whether a node is the directory of the pre-placed files.
    pub(super) fn is_system_volume_information(&self, number: u32) -> bool {
        !self.placed.is_empty() && number == FIRST_USER_NODE
    }

    fn file(&self, file: FileId) -> Option<&Node> {
        self.nodes.find(file.0).filter(|node| is_users(node))
    }

    /// Sizes as `$FILE_NAME` and the file's stream tell them.
    pub(super) fn sizes(&self, number: u32, node: &Node) -> FileSizes {
        let allocated = |clusters| FileSizes {
            allocated_bytes: self.shape.bytes_of(clusters),
            length_bytes: node.length_bytes,
        };
        match node.kind {
            Kind::System => self.system.sizes(number, &self.shape),
            Kind::Directory => FileSizes::default(),
            Kind::File | Kind::Placed => allocated(self.shape.clusters_for(node.length_bytes)),
            Kind::Sparse => allocated(self.data_clusters(node)),
        }
    }

    /// Attributes as they stand on the volume.
    pub(super) fn attributes(&self, node: &Node) -> u32 {
        if is_sparse(node) { node.attributes | nodes::SPARSE } else { node.attributes }
    }

    /// Clusters of a file's content, holes included.
    pub(super) fn span(&self, node: &Node) -> u64 {
        match node.kind {
            Kind::Sparse => self.shape.sparse_clusters_for(node.length_bytes),
            Kind::File | Kind::Placed | Kind::System | Kind::Directory => {
                self.shape.clusters_for(node.length_bytes)
            }
        }
    }

    /// Clusters of a sparse file that are not holes.
    fn data_clusters(&self, node: &Node) -> u64 {
        self.ranges(node).fold(0, |sum, range| sum.saturating_add(range.clusters))
    }

    /// The ranges of a sparse file that lie before its end.
    fn ranges(&self, node: &Node) -> impl Iterator<Item = DataRange> + '_ {
        let end = self.span(node);
        let ranges = self.sparse.get(in_memory(node.ranges.into())).map(Vec::as_slice).unwrap_or_default();
        ranges.iter().take_while(move |range| range.vcn < end).map(move |range| DataRange {
            vcn: range.vcn,
            clusters: range.clusters.min(end.saturating_sub(range.vcn)),
        })
    }

    /// The runs of a file's content, which cover it exactly.
    pub(super) fn runs(&self, node: &Node) -> Vec<Run> {
        let clusters = self.span(node);
        match node.kind {
            Kind::Placed => vec![Run { lcn: Some(node.place), clusters }],
            Kind::File => self.data.stretches(node.place, clusters).map(run).collect(),
            Kind::Sparse => self.sparse_runs(node, clusters),
            Kind::System | Kind::Directory => Vec::new(),
        }
    }

    fn sparse_runs(&self, node: &Node, clusters: u64) -> Vec<Run> {
        let mut runs = Vec::new();
        let (mut vcn, mut position) = (0, node.place);
        let hole = |runs: &mut Vec<Run>, from: u64, to: u64| {
            if let Some(clusters) = to.checked_sub(from).filter(|&clusters| clusters > 0) {
                runs.push(Run { lcn: None, clusters });
            }
        };
        for range in self.ranges(node) {
            hole(&mut runs, vcn, range.vcn);
            runs.extend(self.data.stretches(position, range.clusters).map(run));
            position = position.saturating_add(range.clusters);
            vcn = range.vcn.saturating_add(range.clusters);
        }
        hole(&mut runs, vcn, clusters);
        runs
    }

    /// How a directory's entries are distributed over blocks, and whether they need any: `None` when
    /// they fit into its record.
    pub(super) fn levels(&self, directory: &Directory, children: &[u32]) -> Option<Vec<Level>> {
        index_levels(&self.nodes, &self.shape, directory.node, children)
    }
}

fn run(stretch: Stretch) -> Run {
    Run { lcn: Some(stretch.lcn), clusters: stretch.clusters }
}

/// Whether a file is the caller's.
fn is_users(node: &Node) -> bool {
    matches!(node.kind, Kind::File | Kind::Sparse)
}

/// An empty file is never sparse: it has no stream that could be.
pub(super) fn is_sparse(node: &Node) -> bool {
    node.kind == Kind::Sparse && node.length_bytes > 0
}

/// Room for entries in the root of an index whose directory has a name of so many units.
fn root_room(shape: &Shape, name_units: usize) -> usize {
    let frame = resident_bytes(DIRECTORY_INDEX.len(), ROOT_HEADERS_BYTES);
    room(shape, name_units).saturating_sub(frame).saturating_sub(END_BYTES)
}

fn index_levels(nodes: &Nodes, shape: &Shape, directory: u32, children: &[u32]) -> Option<Vec<Level>> {
    let bytes = |at: usize| children.get(at).map_or(0, |&child| name_entry_bytes(nodes.name_units(child)));
    let limit = root_room(shape, nodes.name_units(directory));
    let mut total = 0_usize;
    let fits = (0..children.len()).all(|at| {
        total = total.saturating_add(bytes(at));
        total <= limit
    });
    if fits {
        return None;
    }
    let count = u32::try_from(children.len()).unwrap_or(u32::MAX);
    Some(tree::levels(count, &|at| bytes(in_memory(at.into()))))
}

pub(super) fn count_blocks(sorted: &mut Sorted, nodes: &Nodes, shape: &Shape) {
    let blocks: Vec<u64> = sorted
        .directories
        .iter()
        .map(|directory| {
            let levels = index_levels(nodes, shape, directory.node, sorted.children(directory));
            levels.map_or(0, |levels| tree::block_count(&levels))
        })
        .collect();
    for (directory, blocks) in sorted.directories.iter_mut().zip(blocks) {
        directory.blocks = blocks;
    }
}

/// Clusters of so many index blocks.
pub(super) fn block_clusters(shape: &Shape, blocks: u64) -> u64 {
    shape.clusters_for(blocks.saturating_mul(on_volume(BLOCK_BYTES)))
}

/// Length of the bitmap of so many index blocks, and its clusters: none while it is in the record.
pub(super) fn bitmap_bytes(blocks: u64) -> u64 {
    blocks.div_ceil(64).saturating_mul(8)
}

/// Clusters of the bitmap; see [`bitmap_bytes`].
pub(super) fn bitmap_clusters(shape: &Shape, blocks: u64) -> u64 {
    if blocks <= RESIDENT_BITMAP_BLOCKS { 0 } else { shape.clusters_for(bitmap_bytes(blocks)) }
}

/// An index and its bitmap.
pub(super) fn index_clusters(shape: &Shape, blocks: u64) -> u64 {
    block_clusters(shape, blocks).saturating_add(bitmap_clusters(shape, blocks))
}

pub(super) fn place_indexes(sorted: &mut Sorted, shape: &Shape, free: &mut FreeSpace) -> Result<(), u64> {
    for directory in sorted.directories.iter_mut().filter(|directory| directory.blocks > 0) {
        let clusters = index_clusters(shape, directory.blocks);
        directory.lcn = free.contiguous(clusters).ok_or(shape.bytes_of(clusters))?;
    }
    Ok(())
}

/// Gives every file its position, and tells where the line ends.
pub(super) fn place_data(nodes: &mut Nodes, sparse: &[Vec<DataRange>], shape: &Shape) -> u64 {
    let mut position = 0_u64;
    for (_, node) in nodes.iter_mut().filter(|(_, node)| is_users(node)) {
        node.place = position;
        position = position.saturating_add(planned_clusters(node, sparse, shape));
    }
    position
}

/// Clusters that a file of the caller will take.
pub(super) fn planned_clusters(node: &Node, sparse: &[Vec<DataRange>], shape: &Shape) -> u64 {
    match node.kind {
        Kind::File => shape.clusters_for(node.length_bytes),
        Kind::Sparse => {
            let ranges = sparse.get(in_memory(node.ranges.into())).map(Vec::as_slice).unwrap_or_default();
            ranges.iter().fold(0, |sum, range| sum.saturating_add(range.clusters))
        }
        Kind::System | Kind::Directory | Kind::Placed => 0,
    }
}

/// Clusters that stay free so that the largest index can move when leaving files out makes it grow
/// (see `write::index_place`), which is by a few blocks of a level above the leaves.
fn moving_room(sorted: &Sorted, shape: &Shape) -> u64 {
    let grown = |blocks: u64| blocks.saturating_add(blocks / 4).saturating_add(1);
    let deep = sorted.directories.iter().filter(|directory| directory.blocks > 1);
    deep.map(|directory| index_clusters(shape, grown(directory.blocks))).max().unwrap_or(0)
}

/// Whether all of it fits.
fn check_room(
    free: &FreeSpace,
    wishes: &[u64],
    sorted: &Sorted,
    nodes: &Nodes,
    sparse: &[Vec<DataRange>],
    overflows: &Overflows,
    shape: &Shape,
) -> Result<(), PlanError> {
    let system = wishes.iter().fold(0_u64, |sum, &clusters| sum.saturating_add(clusters));
    let indexes = sorted.directories.iter().map(|directory| index_clusters(shape, directory.blocks));
    let data = nodes.iter().map(|(_, node)| planned_clusters(node, sparse, shape));
    let all = indexes.chain(data).fold(system, u64::saturating_add);
    let all = all.saturating_add(overflows.list_clusters(shape));
    let all = all.saturating_add(moving_room(sorted, shape));
    if all > free.clusters() {
        let (needed_bytes, free_bytes) = (shape.bytes_of(all), shape.bytes_of(free.clusters()));
        return Err(PlanError::Full { needed_bytes, free_bytes });
    }
    Ok(())
}

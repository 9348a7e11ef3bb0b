//! Where the additions lie: in the longest free stretches, records behind the end of `$MFT`.

use std::collections::BTreeSet;

use super::super::error::{LengthError, PlanError};
use super::super::nodes;
use super::super::overflow::Overflows;
use super::super::plan::{self, Plan, index_clusters};
use super::super::sorted::{Sorted, compare};
use super::super::space::{FreeSpace, Stretch};
use super::super::spec::{Extent, FileId};
use super::super::system::SystemFiles;
use super::super::tree;
use super::error::AmendError;
use super::found::{Found, RootEntry};
use super::{Amendment, Replaced};
use crate::bytes::{in_memory, on_volume};
use crate::record;
use crate::runs::Run;

/// The root's index may need more blocks than planned when files are left out: see
/// [`super::super::write`].
const SPARE_BLOCKS: u64 = 2;

/// An entry of the root's new index.
#[derive(Clone, Copy)]
pub(super) enum Listed<'a> {
    Old(&'a RootEntry),
    New(u32),
}

/// What will be added to a volume, and where.
pub struct AmendPlan {
    pub(super) found: Found,
    pub(super) plan: Plan,
    pub(super) replaced: Vec<Replaced>,
    /// `$MFT`'s new runs, and how many records it has then.
    pub(super) mft_runs: Vec<Run>,
    pub(super) records: u64,
    /// What of it is new, the bitmap of all, and the root's index.
    pub(super) mft_piece: Vec<Stretch>,
    pub(super) record_bitmap: Stretch,
    pub(super) root_index: Stretch,
    pub(super) root_blocks: u64,
}

/// The first record that new files get: behind all clusters that `$MFT` has.
pub(super) fn first_record(found: &Found) -> u64 {
    let clusters = found.mft_runs.iter().fold(0_u64, |sum, run| sum.saturating_add(run.clusters));
    let records = found.shape.bytes_of(clusters).div_ceil(found.shape.record_bytes.into());
    records.max(nodes::FIRST_USER_RECORD)
}

impl AmendPlan {
    pub(super) fn new(amendment: Amendment) -> Result<AmendPlan, AmendError> {
        let Amendment { found, mut builder, replaced } = amendment;
        let shape = found.shape;
        let mut sorted = Sorted::new(&mut builder.nodes, &found.upcase)?;
        plan::count_blocks(&mut sorted, &builder.nodes, &shape);
        // The root has an index of its own making, and $Extend stays as it is.
        for directory in &mut sorted.directories {
            if directory.node <= nodes::REPARSE {
                directory.blocks = 0;
            }
        }
        let cuts = on_volume(found.free.len());
        let overflows = Overflows::reserve(&builder.nodes, &builder.sparse, &shape, cuts)?;
        let records = wanted_records(&found, &builder.nodes, &overflows);
        let root_blocks = root_blocks(&found, &sorted, &builder.nodes, &replaced)?;
        let wishes = Wishes::new(&found, records, root_blocks);
        let data =
            builder.nodes.iter().map(|(_, node)| plan::planned_clusters(node, &builder.sparse, &shape));
        let indexes = sorted.directories.iter().map(|directory| index_clusters(&shape, directory.blocks));
        let needed = data.chain(indexes).fold(wishes.clusters(), u64::saturating_add);
        let needed = needed.saturating_add(overflows.list_clusters(&shape));
        let mut free = chosen(&found, needed)?;
        let (mft_piece, record_bitmap, root_index) = wishes.taken(&mut free, &shape)?;
        let full = |bytes| PlanError::Scattered { bytes };
        plan::place_indexes(&mut sorted, &shape, &mut free).map_err(full)?;
        let data = free.into_data();
        let data_end = plan::place_data(&mut builder.nodes, &builder.sparse, &shape);
        let mut plan = Plan {
            shape,
            settings: builder.settings,
            label: Vec::new(),
            upcase: crate::upcase::UpCase::standard(),
            nodes: builder.nodes,
            sparse: builder.sparse,
            placed: Vec::new(),
            sorted,
            overflows,
            system: SystemFiles::none(records),
            data,
            data_end,
            security: found.security,
        };
        plan.data_end = plan.overflows.place_lists(plan.data_end, &shape);
        let mft_runs = joined(&found.mft_runs, &mft_piece);
        let amended = AmendPlan {
            found,
            plan,
            replaced,
            mft_runs,
            records,
            mft_piece,
            record_bitmap,
            root_index,
            root_blocks,
        };
        amended.fits_into_records()?;
        Ok(amended)
    }

    /// Bytes in a cluster: what the end of an extent is to be filled up to.
    pub fn cluster_bytes(&self) -> u32 {
        self.plan.cluster_bytes()
    }

    /// What tells whether the volume is the one that an earlier plan was made for: the first records,
    /// which records are in use, and the log's state. Whoever mounts and writes to it changes one of
    /// them; writing the additions' data changes none.
    pub fn base(&self) -> [&[u8]; 3] {
        let Found { head, record_bitmap, log_state, .. } = &self.found;
        [head, record_bitmap, log_state]
    }

    /// Where the caller writes a file's data, ascending.
    pub fn extents(&self, file: FileId) -> impl Iterator<Item = Extent> + '_ {
        self.plan.extents(file)
    }

    /// Makes a file shorter than it was planned.
    ///
    /// # Errors
    /// When it would become longer.
    pub fn set_length(&mut self, file: FileId, length_bytes: u64) -> Result<(), LengthError> {
        self.plan.set_length(file, length_bytes)
    }

    /// Leaves a file out. One that it should have replaced stays.
    pub fn omit(&mut self, file: FileId) {
        self.plan.omit(file);
        // The root's index is not made from its part of the plan.
        let directories = &mut self.plan.sorted.directories;
        directories.iter_mut().filter(|directory| directory.node <= nodes::REPARSE).for_each(|directory| {
            directory.changed = false;
        });
        self.replaced.retain(|replaced| replaced.new != file);
    }

    /// A file's whole path, for messages: `\a\b`.
    pub fn path(&self, file: FileId) -> String {
        self.plan.path(file)
    }

    /// The entries of the root's new index, in order.
    pub(super) fn listed(&self) -> Vec<Listed<'_>> {
        let is_present = |number: &u32| self.plan.nodes.find(*number).is_some_and(|node| !node.omitted);
        let new: Vec<u32> = root_children(&self.plan.sorted).filter(is_present).collect();
        merge(&self.found, &self.plan.nodes, &new, &self.replaced)
    }

    /// Bytes of an entry in a leaf.
    pub(super) fn entry_bytes(&self, listed: Listed<'_>) -> usize {
        entry_bytes(&self.plan.nodes, listed)
    }
}

fn entry_bytes(nodes: &nodes::Nodes, listed: Listed<'_>) -> usize {
    match listed {
        Listed::Old(entry) => entry.bytes(),
        Listed::New(number) => super::super::index::name_entry_bytes(nodes.name_units(number)),
    }
}

/// New nodes of the root, in order.
fn root_children(sorted: &Sorted) -> impl Iterator<Item = u32> + '_ {
    let root = sorted.directories.iter().find(|directory| directory.node == nodes::ROOT);
    let children = root.map(|root| sorted.children(root)).unwrap_or_default();
    children.iter().copied().filter(|&number| number > nodes::REPARSE)
}

/// Old and new entries in one order, without those that are replaced.
fn merge<'a>(found: &'a Found, nodes: &nodes::Nodes, new: &[u32], replaced: &[Replaced]) -> Vec<Listed<'a>> {
    let gone: BTreeSet<u64> = replaced.iter().map(|replaced| replaced.old).collect();
    let stays = |entry: &&RootEntry| !gone.contains(&record::FileId::from_reference(entry.reference).record);
    let mut old = found.root.iter().filter(stays).peekable();
    let mut listed = Vec::new();
    for &number in new {
        let name = nodes.find(number).map(|node| nodes.name(node)).unwrap_or_default();
        while let Some(entry) = old.next_if(|entry| compare(&entry.units(), name, &found.upcase).is_lt()) {
            listed.push(Listed::Old(entry));
        }
        listed.push(Listed::New(number));
    }
    listed.extend(old.map(Listed::Old));
    listed
}

/// Blocks of the root's index; a name that is there already is refused.
fn root_blocks(
    found: &Found,
    sorted: &Sorted,
    nodes: &nodes::Nodes,
    replaced: &[Replaced],
) -> Result<u64, AmendError> {
    let new: Vec<u32> = root_children(sorted).collect();
    let listed = merge(found, nodes, &new, replaced);
    for pair in listed.windows(2) {
        if let [Listed::New(number), Listed::Old(entry)] = pair {
            let name = nodes.find(*number).map(|node| nodes.name(node)).unwrap_or_default();
            if compare(name, &entry.units(), &found.upcase).is_eq() {
                return Err(AmendError::Clash { existing: String::from_utf16_lossy(&entry.units()) });
            }
        }
    }
    let count = u32::try_from(listed.len()).unwrap_or(u32::MAX);
    let bytes = |at: u32| listed.get(in_memory(at.into())).map_or(0, |&listed| entry_bytes(nodes, listed));
    Ok(tree::block_count(&tree::levels(count, &bytes)).saturating_add(SPARE_BLOCKS))
}

/// Records of `$MFT` with the new ones: whole words of its bitmap, whole clusters.
fn wanted_records(found: &Found, nodes: &nodes::Nodes, overflows: &Overflows) -> u64 {
    let records = nodes.reference(nodes.len()).record.saturating_add(overflows.records());
    let per_cluster =
        u64::from(found.shape.cluster_bytes).checked_div(found.shape.record_bytes.into()).unwrap_or(0);
    records.next_multiple_of(per_cluster.max(64))
}

/// What the file system itself takes, before the files.
struct Wishes {
    mft: u64,
    bitmap: u64,
    root: u64,
}

impl Wishes {
    fn new(found: &Found, records: u64, root_blocks: u64) -> Wishes {
        let shape = &found.shape;
        let has = found.mft_runs.iter().fold(0_u64, |sum, run| sum.saturating_add(run.clusters));
        let needs = shape.clusters_for(shape.record_bytes_of(records));
        Wishes {
            mft: needs.saturating_sub(has),
            bitmap: shape.clusters_for(records.div_ceil(64).saturating_mul(8)),
            root: index_clusters(shape, root_blocks),
        }
    }

    fn clusters(&self) -> u64 {
        self.mft.saturating_add(self.bitmap).saturating_add(self.root)
    }

    fn taken(
        &self,
        free: &mut FreeSpace,
        shape: &super::super::settings::Shape,
    ) -> Result<(Vec<Stretch>, Stretch, Stretch), PlanError> {
        let full = |clusters| PlanError::Scattered { bytes: shape.bytes_of(clusters) };
        let mft = free.scattered(self.mft).ok_or_else(|| full(self.mft))?;
        let mut one = |clusters: u64| {
            let lcn = free.contiguous(clusters).ok_or_else(|| full(clusters))?;
            Ok(Stretch { lcn, clusters })
        };
        Ok((mft, one(self.bitmap)?, one(self.root)?))
    }
}

/// The runs of `$MFT` with the new ones behind them, neighbours joined.
fn joined(before: &[Run], piece: &[Stretch]) -> Vec<Run> {
    let mut runs = before.to_vec();
    for stretch in piece {
        match runs.last_mut() {
            Some(last) if last.lcn.map(|lcn| lcn.saturating_add(last.clusters)) == Some(stretch.lcn) => {
                last.clusters = last.clusters.saturating_add(stretch.clusters);
            }
            _ => runs.push(Run { lcn: Some(stretch.lcn), clusters: stretch.clusters }),
        }
    }
    runs
}

/// The fewest of the longest free stretches that hold so much.
fn chosen(found: &Found, needed: u64) -> Result<FreeSpace, AmendError> {
    let bytes = |clusters| found.shape.bytes_of(clusters);
    if needed > found.free_clusters {
        let (needed_bytes, free_bytes) = (bytes(needed), bytes(found.free_clusters));
        return Err(PlanError::Full { needed_bytes, free_bytes }.into());
    }
    let (mut stretches, mut sum) = (Vec::new(), 0_u64);
    for stretch in &found.free {
        if sum >= needed {
            break;
        }
        stretches.push(*stretch);
        sum = sum.saturating_add(stretch.clusters);
    }
    if sum < needed {
        return Err(PlanError::Scattered { bytes: bytes(needed) }.into());
    }
    stretches.sort_unstable();
    Ok(FreeSpace::of(stretches))
}

//! Directories and their children in the order of the index. spec/ntfs.md §5 "Index": names compare
//! as sequences of units mapped through `$UpCase`, the shorter first.

use std::cmp::Ordering;

use super::error::{Clash, PlanError};
use super::nodes::{Kind, Nodes};
use crate::bytes::{in_memory, on_volume};
use crate::upcase::UpCase;

/// Clashes that are told; all are counted.
const CLASHES_MAX: usize = 1_000;

/// A directory's part of the plan.
pub(super) struct Directory {
    pub(super) node: u32,
    /// Its children in [`Sorted::children`].
    first: u32,
    end: u32,
    /// Index blocks; 0 when its entries are in its record.
    pub(super) blocks: u64,
    /// First cluster of its index and, behind it, of its index's bitmap.
    pub(super) lcn: u64,
    /// Whether children were left out since the plan was made.
    pub(super) changed: bool,
}

/// All directories and children; a directory's node has its place in here.
pub(super) struct Sorted {
    pub(super) directories: Vec<Directory>,
    children: Vec<u32>,
}

impl Sorted {
    /// Collects and sorts; refuses names that are the same to Windows.
    pub(super) fn new(nodes: &mut Nodes, upcase: &UpCase) -> Result<Sorted, PlanError> {
        let mut sorted = Sorted::collect(nodes);
        let mut clashes = Clashes { nodes, upcase, found: Vec::new(), total: 0 };
        for directory in &sorted.directories {
            if let Some(children) = sorted.children.get_mut(range(directory)) {
                sort(children, nodes, upcase);
                clashes.look(children);
            }
        }
        if clashes.total > 0 {
            return Err(PlanError::Clashes { clashes: clashes.found, total: clashes.total });
        }
        Ok(sorted)
    }

    /// Children grouped by directory, in the order in which they were added.
    fn collect(nodes: &mut Nodes) -> Sorted {
        let mut directories = Vec::new();
        for (number, node) in nodes.iter_mut().filter(|(_, node)| node.kind == Kind::Directory) {
            node.ranges = u32::try_from(directories.len()).unwrap_or(u32::MAX);
            directories.push(Directory { node: number, first: 0, end: 0, blocks: 0, lcn: 0, changed: false });
        }
        // Count, turn counts into beginnings, then deal out.
        let place =
            |node: &super::nodes::Node| nodes.find(node.parent).map(|parent| in_memory(parent.ranges.into()));
        for (_, node) in nodes.iter() {
            if let Some(directory) = place(node).and_then(|at| directories.get_mut(at)) {
                directory.end = directory.end.saturating_add(1);
            }
        }
        let mut next = 0_u32;
        for directory in &mut directories {
            let count = directory.end;
            (directory.first, directory.end) = (next, next);
            next = next.saturating_add(count);
        }
        let mut children = vec![0; in_memory(next.into())];
        for (number, node) in nodes.iter() {
            if let Some(directory) = place(node).and_then(|at| directories.get_mut(at)) {
                if let Some(slot) = children.get_mut(in_memory(directory.end.into())) {
                    *slot = number;
                }
                directory.end = directory.end.saturating_add(1);
            }
        }
        Sorted { directories, children }
    }

    /// A directory's children in order.
    pub(super) fn children(&self, directory: &Directory) -> &[u32] {
        self.children.get(range(directory)).unwrap_or_default()
    }

    pub(super) fn memory_bytes(&self) -> u64 {
        let directories = self.directories.capacity().saturating_mul(size_of::<Directory>());
        let children = self.children.capacity().saturating_mul(size_of::<u32>());
        on_volume(directories.saturating_add(children))
    }
}

fn range(directory: &Directory) -> std::ops::Range<usize> {
    in_memory(directory.first.into())..in_memory(directory.end.into())
}

/// Callers mostly add names in some order already, which the stable sort makes use of.
fn sort(children: &mut [u32], nodes: &Nodes, upcase: &UpCase) {
    children.sort_by(|&one, &other| compare(name(nodes, one), name(nodes, other), upcase));
}

fn name(nodes: &Nodes, number: u32) -> &[u16] {
    nodes.find(number).map_or(&[], |node| nodes.name(node))
}

/// The order of names on a volume.
pub(super) fn compare(one: &[u16], other: &[u16], upcase: &UpCase) -> Ordering {
    let upper = |&unit: &u16| upcase.unit(unit);
    one.iter().map(upper).cmp(other.iter().map(upper))
}

/// Neighbours that are the same.
struct Clashes<'n> {
    nodes: &'n Nodes,
    upcase: &'n UpCase,
    found: Vec<Clash>,
    total: u64,
}

impl Clashes<'_> {
    fn look(&mut self, children: &[u32]) {
        for pair in children.windows(2) {
            let [one, other] = pair else { continue };
            let names = (name(self.nodes, *one), name(self.nodes, *other));
            if compare(names.0, names.1, self.upcase) != Ordering::Equal {
                continue;
            }
            self.total = self.total.saturating_add(1);
            if self.found.len() < CLASHES_MAX {
                let (first, second) = (self.nodes.path(*one), self.nodes.path(*other));
                self.found.push(Clash { first, second });
            }
        }
    }
}

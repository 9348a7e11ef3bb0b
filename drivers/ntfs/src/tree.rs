//! Which directories hang from the root. spec/ntfs.md §3.5.
//!
//! The tree is made of parent references alone, sequence numbers matched: directory indexes are
//! never read, so a damaged or hostile B-tree loses nothing and traps nobody. A directory that does
//! not reach the root (its parent is gone, or it lies in itself) is outside, with all it holds, and
//! is reported once.

use crate::bytes::{in_memory, on_volume};
use crate::index::Index;
use crate::limits::Limits;
use crate::problem::{ProblemKind, Problems};
use crate::record::FileId;

/// The root directory.
pub(crate) const ROOT_RECORD: u64 = 5;
/// The root's sequence number on every volume, for the case that its record is damaged.
const ROOT_SEQUENCE: u16 = 5;
/// Records below are the file system's own (`$MFT`, `$Bitmap`, … `$Extend`), except the root.
const SYSTEM_RECORDS: u64 = 16;

/// Where a directory stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Under the root.
    Inside,
    /// Under `$Extend`, or one of the file system's own files.
    System,
    /// No way leads from the root to it.
    Outside,
}

/// Four records in a byte.
pub(crate) struct Tree {
    standings: Vec<u8>,
}

impl Tree {
    /// Follows every directory up to the root and reports what does not arrive.
    pub(crate) fn build(index: &Index, limits: &Limits, problems: &mut Problems) -> Tree {
        let mut builder = Builder {
            index,
            depths: vec![UNKNOWN; in_memory(index.records())],
            depth_max: u16::try_from(limits.path_depth_max).unwrap_or(DEPTH_MAX).min(DEPTH_MAX),
            problems,
        };
        for record in 0..SYSTEM_RECORDS {
            builder.set(record, if record == ROOT_RECORD { 1 } else { SYSTEM });
        }
        let mut way = Vec::new();
        for record in 0..index.records() {
            if index.base(record).is_some_and(|header| header.directory) {
                builder.settle(record, &mut way);
            }
        }
        builder.report_files();
        builder.pack()
    }

    /// Where a record stands that is a directory; files are outside unless the system's.
    pub(crate) fn standing(&self, record: u64) -> Standing {
        let slot = usize::try_from(record >> 2_u32).ok();
        let packed = slot.and_then(|slot| self.standings.get(slot)).copied().unwrap_or(0);
        match (packed >> shift(record)) & 3 {
            1 => Standing::Inside,
            2 => Standing::System,
            _ => Standing::Outside,
        }
    }
}

fn shift(record: u64) -> u32 {
    let [low, ..] = record.to_le_bytes();
    u32::from(low & 3).wrapping_mul(2)
}

/// The root, as references to it should be.
pub(crate) fn root(index: &Index) -> FileId {
    index.file_id(ROOT_RECORD).unwrap_or(FileId { record: ROOT_RECORD, sequence: ROOT_SEQUENCE })
}

/// The directory that a name is in, if it is one and the one meant.
pub(crate) fn parent_directory(index: &Index, parent: FileId) -> Result<u64, ProblemKind> {
    let record = parent.record;
    let root_lost = || record == ROOT_RECORD && parent.admits(ROOT_SEQUENCE);
    match index.base(record) {
        None if root_lost() => Ok(record),
        None => Err(ProblemKind::NoParent { parent: record }),
        Some(header) if !parent.admits(header.sequence) => Err(ProblemKind::StaleParent {
            parent: record,
            expected: parent.sequence,
            found: header.sequence,
        }),
        Some(header) if !header.directory => Err(ProblemKind::ParentIsFile { parent: record }),
        Some(_) => Ok(record),
    }
}

const UNKNOWN: u16 = 0;
const OUTSIDE: u16 = u16::MAX;
const VISITING: u16 = u16::MAX - 1;
const SYSTEM: u16 = u16::MAX - 2;
const DEPTH_MAX: u16 = u16::MAX - 3;

/// Depth below the root by record, or one of the marks above; gone once the tree is packed.
struct Builder<'a> {
    index: &'a Index,
    depths: Vec<u16>,
    depth_max: u16,
    problems: &'a mut Problems,
}

impl Builder<'_> {
    fn depth(&self, record: u64) -> u16 {
        self.depths.get(in_memory(record)).copied().unwrap_or(OUTSIDE)
    }

    fn set(&mut self, record: u64, depth: u16) {
        if let Some(slot) = self.depths.get_mut(in_memory(record)) {
            *slot = depth;
        }
    }

    /// Walks up until a directory whose standing is known, then settles all on the way.
    fn settle(&mut self, directory: u64, way: &mut Vec<u64>) {
        way.clear();
        let mut at = directory;
        let mut above = loop {
            match self.depth(at) {
                UNKNOWN => {}
                VISITING => {
                    self.problems.push(at, ProblemKind::Cycle);
                    break OUTSIDE;
                }
                known => break known,
            }
            self.set(at, VISITING);
            way.push(at);
            match self.parent(at) {
                Ok(parent) => at = parent,
                Err(kind) => {
                    self.problems.push(at, kind);
                    break OUTSIDE;
                }
            }
        };
        for &record in way.iter().rev() {
            above = self.below(record, above);
            self.set(record, above);
        }
    }

    fn below(&mut self, record: u64, above: u16) -> u16 {
        match above {
            OUTSIDE | SYSTEM => above,
            deepest if deepest >= self.depth_max => {
                self.problems.push(record, ProblemKind::TooDeep);
                OUTSIDE
            }
            depth => depth.saturating_add(1),
        }
    }

    fn parent(&mut self, directory: u64) -> Result<u64, ProblemKind> {
        let index = self.index;
        let file = index.file_id(directory).ok_or(ProblemKind::NoName)?;
        let mut names = index.names(file);
        let (parent, _) = names.next().ok_or(ProblemKind::NoName)?;
        if names.next().is_some() {
            self.problems.push(directory, ProblemKind::SeveralNames);
        }
        parent_directory(index, parent)
    }

    /// Reports files that no name leads to, and extension records that nobody wants.
    fn report_files(&mut self) {
        for record in SYSTEM_RECORDS..self.index.records() {
            let Some((header, _)) = self.index.entry(record) else { continue };
            match header.base {
                Some(base) => self.report_extension(record, base),
                None if !header.directory => self.report_file(FileId { record, sequence: header.sequence }),
                None => {}
            }
        }
    }

    fn report_extension(&mut self, record: u64, base: FileId) {
        // $MFT's own extensions were followed before the sweep.
        let wanted = self.index.current(base).is_some_and(|header| header.attribute_list);
        if !wanted {
            self.problems.push(record, ProblemKind::Extension { base: base.record });
        }
    }

    fn report_file(&mut self, file: FileId) {
        let index = self.index;
        let mut named = false;
        for (parent, _) in index.names(file) {
            named = true;
            if let Err(kind) = parent_directory(index, parent) {
                self.problems.push(file.record, kind);
            }
        }
        if !named {
            self.problems.push(file.record, ProblemKind::NoName);
        }
    }

    fn pack(self) -> Tree {
        let quarters = self.depths.len().div_ceil(4);
        let mut standings = vec![0_u8; quarters];
        for (record, &depth) in self.depths.iter().enumerate() {
            let bits: u8 = match depth {
                OUTSIDE | UNKNOWN | VISITING => 0,
                SYSTEM => 2,
                _ => 1,
            };
            if let Some(slot) = standings.get_mut(record >> 2_u32) {
                *slot |= bits << shift(on_volume(record));
            }
        }
        Tree { standings }
    }
}

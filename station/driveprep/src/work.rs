//! What goes where, before any drive is touched.
//!
//! A [`Work`] is one session: its [`Dataset`]s, the directories and files found in them, and for
//! each file where it is read, where it lies on the drive and where it goes. It holds only what can
//! be packed; what a scan had to leave out is told to its caller. Whether names and sizes keep the
//! rules is `lint`'s question; which drive takes which item, and the bytes, are `pack`'s.
//!
//! Invariants: items stand in a fixed order (datasets as given; in each directory its files by name,
//! then its subdirectories), so the same sources give the same work; a directory stands behind its
//! parent and holds at least one item somewhere below it; one item costs 56 bytes and its name, so
//! millions fit into memory. [`Work::save`] and [`Work::load`] keep it exactly, for a pack that is
//! resumed.
//!
//! On the drive, dataset `n` of the session lies under `\<session>\<n>\`, and files of our own (side
//! files) directly under `\<session>\`, so that no customer's name can ever clash with ours.

mod builder;
pub mod cost;
mod dataset;
mod drive;
pub mod fill;
mod frozen;
pub mod scan;

use std::path::PathBuf;

use manifest::limits::RANGE_BYTES_MAX;

pub use builder::{Builder, FileFacts, TooMany};
pub use dataset::{Dataset, ItemKind, SessionId, SessionIdError, SideFile};
pub use drive::{DriveTarget, Encryption, ExistingKey, Formatting};
pub use frozen::{FrozenError, FrozenFault};

/// One session's datasets, directories and items: see the module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Work {
    session: SessionId,
    datasets: Vec<Dataset>,
    directories: Vec<Directory>,
    /// All items' names, one behind the other.
    names: String,
    items: Vec<Record>,
}

/// Which item of a work, from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ItemId(pub u32);

/// Which directory of a work, from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DirectoryId(pub u32);

/// Which dataset of a work, from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DatasetId(pub u32);

/// A directory of a dataset; the dataset's own has no parent and no name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Directory {
    /// The dataset it belongs to.
    pub dataset: DatasetId,
    /// The directory that holds it.
    pub parent: Option<DirectoryId>,
    /// Its name there.
    pub name: Box<str>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Record {
    name_start: u64,
    length_bytes: u64,
    allocated_bytes: u64,
    modified_nanoseconds: i64,
    accessed_nanoseconds: i64,
    directory: DirectoryId,
    name_bytes: u16,
    kind: ItemKind,
}

/// One file that is to be packed, with everything that is known of it.
#[derive(Debug, Clone, Copy)]
pub struct Item<'a> {
    work: &'a Work,
    record: &'a Record,
    /// Which item of the work.
    pub id: ItemId,
}

impl Work {
    /// The session.
    pub fn session(&self) -> &SessionId {
        &self.session
    }

    /// The datasets in the order given.
    pub fn datasets(&self) -> &[Dataset] {
        &self.datasets
    }

    /// That dataset.
    pub fn dataset(&self, id: DatasetId) -> &Dataset {
        &self.datasets[id.0 as usize]
    }

    /// All directories with their ids, each behind its parent.
    pub fn directories(&self) -> impl Iterator<Item = (DirectoryId, &Directory)> + Clone {
        (0..).map(DirectoryId).zip(&self.directories)
    }

    /// That directory.
    pub fn directory(&self, id: DirectoryId) -> &Directory {
        &self.directories[id.0 as usize]
    }

    /// Where that directory is read.
    pub fn directory_path(&self, id: DirectoryId) -> PathBuf {
        self.dataset(self.directory(id).dataset).source.join(self.below(id, '/'))
    }

    /// How many items there are.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether there is nothing to pack.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// The sum of all items' lengths.
    pub fn length_bytes(&self) -> u64 {
        self.items.iter().fold(0, |total, item| total.saturating_add(item.length_bytes))
    }

    /// That item.
    pub fn item(&self, id: ItemId) -> Item<'_> {
        Item { work: self, record: &self.items[id.0 as usize], id }
    }

    /// All items in the work's order.
    pub fn items(&self) -> impl Iterator<Item = Item<'_>> + Clone {
        (0..).zip(&self.items).map(|(id, record)| Item { work: self, record, id: ItemId(id) })
    }

    /// The names from the dataset's directory down to that one, with `separator` behind each.
    fn below(&self, directory: DirectoryId, separator: char) -> String {
        let mut names = Vec::new();
        let mut at = self.directory(directory);
        while let Some(parent) = at.parent {
            names.push(&*at.name);
            at = self.directory(parent);
        }
        names
            .iter()
            .rev()
            .fold(String::new(), |path, name| path + name + &*separator.encode_utf8(&mut [0; 4]))
    }
}

impl<'a> Item<'a> {
    /// Its file's name.
    pub fn name(&self) -> &'a str {
        let start = usize::try_from(self.record.name_start).unwrap_or(usize::MAX);
        &self.work.names[start..][..usize::from(self.record.name_bytes)]
    }

    /// The directory it lies in.
    pub fn directory(&self) -> DirectoryId {
        self.record.directory
    }

    /// The dataset it belongs to.
    pub fn dataset(&self) -> &'a Dataset {
        self.work.dataset(self.dataset_id())
    }

    /// Which dataset it belongs to.
    pub fn dataset_id(&self) -> DatasetId {
        self.work.directory(self.record.directory).dataset
    }

    /// What it becomes at the destination.
    pub fn kind(&self) -> ItemKind {
        self.record.kind
    }

    /// Its length when it was found.
    pub fn length_bytes(&self) -> u64 {
        self.record.length_bytes
    }

    /// The longest block or range of it in the manifest.
    pub fn part_bytes(&self) -> u64 {
        match self.record.kind {
            ItemKind::Block => self.dataset().block_length.of_blob(self.record.length_bytes),
            ItemKind::Page | ItemKind::File => RANGE_BYTES_MAX,
        }
    }

    /// What the source's file system keeps for it; less than its length when it has holes.
    pub fn allocated_bytes(&self) -> u64 {
        self.record.allocated_bytes
    }

    /// Whether the source has holes, so that its allocated ranges are worth asking for.
    pub fn is_sparse(&self) -> bool {
        self.record.allocated_bytes < self.record.length_bytes
    }

    /// When it was last written, in nanoseconds from 1970.
    pub fn modified_nanoseconds(&self) -> i64 {
        self.record.modified_nanoseconds
    }

    /// When it was last read, in nanoseconds from 1970.
    pub fn accessed_nanoseconds(&self) -> i64 {
        self.record.accessed_nanoseconds
    }

    /// Where it is read.
    pub fn source_path(&self) -> PathBuf {
        let dataset = self.dataset();
        if !dataset.is_directory {
            return dataset.source.clone();
        }
        // One allocation: at a million items, joining level by level is most of the time.
        let mut path = self.work.directory_path(self.record.directory).into_os_string();
        path.push(self.name());
        path.into()
    }

    /// Its path at the destination: `container/blob` or `share/path`, as the manifest writes it.
    pub fn destination(&self) -> String {
        let dataset = self.dataset();
        if !dataset.is_directory && !dataset.destination.ends_with('/') {
            return dataset.destination.clone();
        }
        dataset.destination.clone() + &self.work.below(self.record.directory, '/') + self.name()
    }

    /// Its path on the drive, from `\` on.
    pub fn drive_path(&self) -> String {
        let dataset = self.dataset();
        dataset.drive_directory.clone() + "\\" + &self.work.below(self.record.directory, '\\') + self.name()
    }
}

#[cfg(test)]
pub(crate) mod tests;

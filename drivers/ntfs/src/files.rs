//! All files of a volume, and all streams and names of one.

use crate::index::Index;
use crate::index::entry::Item;
use crate::path::VolumePath;
use crate::record::FileId;
use crate::reparse::{self, ReparseTag};
use crate::tree::{self, ROOT_RECORD, Standing};
use crate::volume::Volume;
use crate::wtf8;

/// A name in the tree. A file with several hard links comes once for each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The file or directory.
    pub file: FileId,
    /// Where it is.
    pub path: VolumePath,
    /// Whether it is a directory.
    pub is_directory: bool,
    /// Length of its content; `None` for a directory, and where it is not known.
    pub length_bytes: Option<u64>,
    /// What it is besides, if it is a reparse point.
    pub reparse_tag: Option<ReparseTag>,
}

/// One stream of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamEntry {
    /// UTF-16 units; empty for the content.
    pub name: Vec<u16>,
    /// Length; `None` when the stream is damaged.
    pub length_bytes: Option<u64>,
    /// Whether it is in the file's record.
    pub is_resident: bool,
    /// Whether LZNT1 compresses it.
    pub is_compressed: bool,
    /// Whether EFS encrypts it.
    pub is_encrypted: bool,
}

impl Volume {
    /// Every file and directory under the root, in the order of their records. The file system's
    /// own are left out.
    pub fn files(&self) -> Files<'_> {
        Files { volume: self, record: 0, at: None, pending: Vec::new(), parent: None }
    }

    /// All paths of a file: one for each hard link that is in the tree.
    pub fn paths(&self, file: FileId) -> Vec<VolumePath> {
        let mut paths = Vec::new();
        let Some(current) = self.index.current(file) else { return paths };
        if current.directory && self.tree.standing(file.record) != Standing::Inside {
            return paths;
        }
        for (parent, name) in self.index.names(file) {
            let inside = tree::parent_directory(&self.index, parent).is_ok()
                && self.tree.standing(parent.record) == Standing::Inside;
            if inside && let Some(path) = self.directory_path(parent.record) {
                paths.push(path.join(wtf8::units(name)));
            }
            // Only the first name of a directory counts.
            if current.directory {
                break;
            }
        }
        paths
    }

    /// The content's length, without reading anything; `None` when the file has none, or it is
    /// damaged.
    pub fn length_bytes(&self, file: FileId) -> Option<u64> {
        length_of(&self.index, file)
    }

    /// The file's reparse tag, if it has one.
    pub fn reparse_tag(&self, file: FileId) -> Option<ReparseTag> {
        reparse::tag_of(&self.index, file)
    }

    /// The streams of a file, the content among them.
    pub fn streams(&self, file: FileId) -> Vec<StreamEntry> {
        let entries = self.index.items(file).filter_map(|(_, item)| {
            let name = |name| wtf8::units(name).collect();
            match item {
                Item::Head(head) => Some(StreamEntry {
                    name: name(head.name),
                    length_bytes: Some(head.length_bytes),
                    is_resident: false,
                    is_compressed: head.compression.is_some(),
                    is_encrypted: head.encrypted,
                }),
                Item::Resident(resident) => Some(StreamEntry {
                    name: name(resident.name),
                    length_bytes: Some(resident.length_bytes),
                    is_resident: true,
                    is_compressed: false,
                    is_encrypted: resident.encrypted,
                }),
                Item::Broken { name: stored } => Some(StreamEntry {
                    name: name(stored),
                    length_bytes: None,
                    is_resident: false,
                    is_compressed: false,
                    is_encrypted: false,
                }),
                Item::Piece { .. } | Item::Name { .. } | Item::Reparse { .. } => None,
            }
        });
        entries.collect()
    }

    /// The path of a directory that is inside; `None` past [`crate::Limits::path_depth_max`].
    fn directory_path(&self, directory: u64) -> Option<VolumePath> {
        let mut names = Vec::new();
        let mut at = directory;
        while at != ROOT_RECORD {
            if names.len() >= self.limits.path_depth_max {
                return None;
            }
            let (parent, name) = self.index.names(self.index.file_id(at)?).next()?;
            names.push(name);
            at = parent.record;
        }
        let mut path = VolumePath::default();
        for name in names.iter().rev() {
            if !path.units.is_empty() {
                path.units.push(u16::from(b'\\'));
            }
            path.units.extend(wtf8::units(name));
        }
        Some(path)
    }
}

fn length_of(index: &Index, file: FileId) -> Option<u64> {
    index.items(file).find_map(|(_, item)| match item {
        Item::Head(head) if head.name.is_empty() => Some(head.length_bytes),
        Item::Resident(resident) if resident.name.is_empty() => Some(resident.length_bytes),
        _ => None,
    })
}

/// See [`Volume::files`].
pub struct Files<'v> {
    volume: &'v Volume,
    record: u64,
    /// The last record that was looked at, and its names that are still to come, the last one first.
    at: Option<Attributes>,
    pending: Vec<(FileId, &'v [u8])>,
    /// The directory that was needed last; neighbours in `$MFT` are often neighbours in the tree.
    parent: Option<(u64, VolumePath)>,
}

/// What all names of a file share.
#[derive(Clone, Copy)]
struct Attributes {
    file: FileId,
    is_directory: bool,
    length_bytes: Option<u64>,
    reparse_tag: Option<ReparseTag>,
}

impl Iterator for Files<'_> {
    type Item = Entry;

    fn next(&mut self) -> Option<Entry> {
        loop {
            while let (Some(file), Some((parent, name))) = (self.at, self.pending.pop()) {
                if let Some(entry) = self.entry(file, parent, name) {
                    return Some(entry);
                }
            }
            if self.record >= self.volume.index.records() {
                return None;
            }
            self.load();
            self.record = self.record.saturating_add(1);
        }
    }
}

impl<'v> Files<'v> {
    fn load(&mut self) {
        let volume = self.volume;
        let Some(file) = volume.index.file_id(self.record).filter(|file| file.record != ROOT_RECORD) else {
            return;
        };
        let directory = volume.index.base(file.record).is_some_and(|header| header.directory);
        match volume.tree.standing(file.record) {
            Standing::System => return,
            Standing::Outside if directory => return,
            Standing::Outside | Standing::Inside => {}
        }
        let names = volume.index.names(file).take(if directory { 1 } else { usize::MAX });
        self.pending.extend(names);
        self.pending.reverse();
        self.at = Some(Attributes {
            file,
            is_directory: directory,
            length_bytes: length_of(&volume.index, file),
            reparse_tag: reparse::tag_of(&volume.index, file),
        });
    }

    fn entry(&mut self, at: Attributes, parent: FileId, name: &[u8]) -> Option<Entry> {
        let volume = self.volume;
        let directory = tree::parent_directory(&volume.index, parent).ok()?;
        if volume.tree.standing(directory) != Standing::Inside {
            return None;
        }
        let path = self.parent_path(directory)?.join(wtf8::units(name));
        let Attributes { file, is_directory, length_bytes, reparse_tag } = at;
        Some(Entry { file, path, is_directory, length_bytes, reparse_tag })
    }

    fn parent_path(&mut self, directory: u64) -> Option<&VolumePath> {
        if self.parent.as_ref().is_none_or(|(record, _)| *record != directory) {
            self.parent = Some((directory, self.volume.directory_path(directory)?));
        }
        self.parent.as_ref().map(|(_, path)| path)
    }
}

//! From a manifest's path to a file. spec/ntfs.md §3.5, §3.7, §3.11.
//!
//! Each component is looked up in the name table through the volume's own `$UpCase`. When names
//! differ by case only, the one that is written as in the path is taken, and without one the path
//! is refused: which of them the customer meant cannot be known. Reparse points are never followed.

use std::collections::BTreeSet;

use crate::index::entry::Item;
use crate::index::names::CANDIDATES_MAX;
use crate::path::{self, PathFault, PathRefusal};
use crate::record::FileId;
use crate::reparse::{self, ReparseTag};
use crate::tree::{self, Standing};
use crate::volume::Volume;
use crate::wtf8;

/// Why a path does not lead to a file whose content can be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ResolveError {
    /// The path is not one of a file on this volume.
    #[error("the path is not valid: {0}")]
    NameInvalid(PathFault),
    /// A component has more than 255, or the path more than 32,767 UTF-16 units.
    #[error("the path or one of its components is too long")]
    NameTooLong,
    /// Nothing has that name.
    #[error("{component:?} is not there")]
    NotFound {
        /// The component, as the path has it.
        component: String,
    },
    /// A directory.
    #[error("{component:?} is a directory")]
    NotAFile {
        /// The last component.
        component: String,
    },
    /// A link, or a file whose content is elsewhere.
    #[error("{component:?} is a reparse point: {tag}")]
    Reparse {
        /// The component.
        component: String,
        /// What kind of.
        tag: ReparseTag,
    },
    /// One of the file system's own files.
    #[error("{component:?} belongs to the file system")]
    System {
        /// The component.
        component: String,
    },
    /// Several names differ from it by case only and none is the same, or several are the same.
    #[error("{component:?} is the name of several files")]
    Ambiguous {
        /// The component.
        component: String,
    },
}

impl Volume {
    /// Finds the file that a manifest's path names.
    ///
    /// `\` and `/` separate; one separator in front is allowed.
    ///
    /// # Errors
    /// See [`ResolveError`]. A file whose reparse point hides its content is refused here already.
    pub fn resolve(&self, path: &str) -> Result<FileId, ResolveError> {
        let components = path::components(path).map_err(refused)?;
        let mut at = tree::root(&self.index);
        let mut left = components.len();
        for component in components {
            left = left.saturating_sub(1);
            at = self.step(at, component, left == 0)?;
        }
        Ok(at)
    }

    /// As [`Volume::resolve`], for `path` or `path:stream`.
    ///
    /// # Errors
    /// As there. Whether there is such a stream is for [`Volume::stream`] to say.
    pub fn resolve_stream<'p>(&self, path: &'p str) -> Result<(FileId, Option<&'p str>), ResolveError> {
        let start = path.rfind(['\\', '/']).map_or(0, |last| last.saturating_add(1));
        let colon = path.get(start..).and_then(|last| last.split_once(':'));
        match colon {
            None => Ok((self.resolve(path)?, None)),
            Some((_, stream)) if stream.is_empty() || stream.contains([':', '\0']) => {
                Err(ResolveError::NameInvalid(PathFault::Colon))
            }
            Some((name, stream)) => {
                let file = path.get(..start.saturating_add(name.len())).unwrap_or(path);
                Ok((self.resolve(file)?, Some(stream)))
            }
        }
    }

    /// One component further down.
    fn step(&self, directory: FileId, component: &str, last: bool) -> Result<FileId, ResolveError> {
        let name = || component.to_owned();
        let Some(file) = self.child(directory, component)? else {
            return Err(match path::forbidden_character(component) {
                Some(character) => ResolveError::NameInvalid(PathFault::Character(character)),
                None => ResolveError::NotFound { component: name() },
            });
        };
        let header = self.index.base(file.record);
        let is_directory = header.is_some_and(|header| header.directory);
        match self.tree.standing(file.record) {
            Standing::System => return Err(ResolveError::System { component: name() }),
            Standing::Outside if is_directory => return Err(ResolveError::NotFound { component: name() }),
            Standing::Outside | Standing::Inside => {}
        }
        let tag = reparse::tag_of(&self.index, file);
        let hidden = if last && !is_directory { ReparseTag::hides_content } else { ReparseTag::leads_away };
        if let Some(tag) = tag.filter(|&tag| hidden(tag)) {
            return Err(ResolveError::Reparse { component: name(), tag });
        }
        match (is_directory, last) {
            (true, true) => Err(ResolveError::NotAFile { component: name() }),
            (false, false) => Err(ResolveError::NotFound { component: name() }),
            _ => Ok(file),
        }
    }

    /// The file or directory of that name in a directory.
    fn child(&self, directory: FileId, component: &str) -> Result<Option<FileId>, ResolveError> {
        let ambiguous = || ResolveError::Ambiguous { component: component.to_owned() };
        let units: Vec<u16> = component.encode_utf16().collect();
        let candidates = self.names.candidates(directory.record, &units, &self.upcase);
        if candidates.len() > CANDIDATES_MAX {
            return Err(ambiguous());
        }
        let (mut exact, mut folded) = (BTreeSet::new(), BTreeSet::new());
        for &holder in candidates {
            self.matches(holder.into(), directory, &units, |file, name| {
                if wtf8::units(name).eq(units.iter().copied()) {
                    exact.insert(file);
                }
                folded.insert(file);
            });
        }
        let found = if exact.is_empty() { folded } else { exact };
        match (found.len(), found.first()) {
            (0, _) => Ok(None),
            (1, file) => Ok(file.copied()),
            _ => Err(ambiguous()),
        }
    }

    /// Calls `found` for each name in the record `holder` that is the one asked for.
    fn matches(&self, holder: u64, directory: FileId, units: &[u16], mut found: impl FnMut(FileId, &[u8])) {
        let Some((header, items)) = self.index.entry(holder) else { return };
        let file = match header.base {
            None => self.index.file_id(holder),
            // The extension's claim must be one that the file knows of.
            Some(base) => self.index.file_id(base.record).filter(|file| {
                let listed = self.index.base(file.record).is_some_and(|header| header.attribute_list);
                listed && base.admits(file.sequence)
            }),
        };
        let Some(file) = file else { return };
        for item in items {
            let Item::Name { parent, name } = item else { continue };
            let here = parent.record == directory.record && parent.admits(directory.sequence);
            if here && self.upcase.same(name, units) && self.counts(file, parent, name) {
                found(file, name);
            }
        }
    }

    /// Of a directory's names only the first counts: see [`crate::ProblemKind::SeveralNames`].
    fn counts(&self, file: FileId, parent: FileId, name: &[u8]) -> bool {
        let directory = self.index.base(file.record).is_some_and(|header| header.directory);
        !directory || self.index.names(file).next() == Some((parent, name))
    }
}

fn refused(refusal: PathRefusal) -> ResolveError {
    match refusal {
        PathRefusal::Invalid(fault) => ResolveError::NameInvalid(fault),
        PathRefusal::TooLong => ResolveError::NameTooLong,
    }
}

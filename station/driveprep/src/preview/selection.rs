//! What a blob list selects: azure-import-export.md §6.1.
//!
//! Owns the selectors: which are the same, which lie inside others, which have met a blob. Prefixes
//! are texts before `/container/name`, so one lies inside another when it begins with it; only the
//! outermost are listed, and whoever is listed is held against all the others. So each blob is seen
//! once, and nothing is remembered of it. Memory is the blob list's own.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::BufRead;

use manifest::blob_list::Snapshots;
use manifest::{BlobListError, BlobListReader, Selector};

/// The selectors of a blob list, each once.
#[derive(Debug, Default)]
pub struct Selection {
    /// Prefixes with their leading slash, and whether a blob was met.
    prefixes: HashMap<String, bool>,
    /// How long prefixes are: what has to be looked up for a blob.
    prefix_lengths: BTreeSet<usize>,
    /// Paths without a leading slash.
    paths: BTreeMap<String, Vec<PathSelector>>,
    path_count: u64,
    /// Selectors that another one repeats.
    pub duplicates: u64,
    /// Selectors for Azure Files, which cannot be exported.
    pub file_selectors: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct PathSelector {
    which: Which,
    met: bool,
}

/// Which versions of a blob a path selects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Which {
    /// The blob alone.
    Base,
    /// One snapshot.
    One(String),
    /// The blob and all its snapshots.
    All,
}

/// A listing that has to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// All blobs of the containers whose names begin so.
    Containers(String),
    /// The blobs of one container whose names begin so.
    Blobs {
        /// The container.
        container: String,
        /// How the names begin; empty for all.
        prefix: String,
    },
}

impl Selection {
    /// Reads a blob list.
    ///
    /// # Errors
    /// What is wrong with it, and where.
    pub fn read(list: impl BufRead) -> Result<Selection, BlobListError> {
        let mut reader = BlobListReader::new(list);
        let mut selection = Selection::default();
        while let Some(selector) = reader.next()? {
            match selector {
                Selector::Prefix(prefix) => selection.add_prefix(&prefix),
                Selector::Path(path) => selection.add_path(&path),
                Selector::FilePath(_) | Selector::FilePrefix(_) => selection.file_selectors += 1,
            }
        }
        Ok(selection)
    }

    fn add_prefix(&mut self, prefix: &str) {
        // Published samples always have the slash; without it the meaning is the same.
        let prefix = format!("/{}", prefix.strip_prefix('/').unwrap_or(prefix));
        self.prefix_lengths.insert(prefix.len());
        if self.prefixes.insert(prefix, false).is_some() {
            self.duplicates += 1;
        }
    }

    fn add_path(&mut self, path: &str) {
        let path = path.strip_prefix('/').unwrap_or(path);
        let (blob, snapshots) = Selector::snapshots(path);
        let which = match snapshots {
            Snapshots::Base => Which::Base,
            Snapshots::One(time) => Which::One(time.to_owned()),
            Snapshots::All => Which::All,
        };
        let selectors = self.paths.entry(blob.to_owned()).or_default();
        if selectors.iter().any(|selector| selector.which == which) {
            self.duplicates += 1;
        } else {
            selectors.push(PathSelector { which, met: false });
            self.path_count += 1;
        }
    }

    /// How many different paths and prefixes there are.
    pub fn unique_count(&self) -> u64 {
        self.path_count + self.prefixes.len() as u64
    }

    /// What has to be listed so that every prefix is answered and no blob is met twice.
    pub fn scopes(&self) -> Vec<Scope> {
        let outermost = |prefix: &&String| !self.prefixes_of(prefix).any(|outer| outer.len() < prefix.len());
        let mut scopes: Vec<&String> = self.prefixes.keys().filter(outermost).collect();
        scopes.sort();
        scopes.into_iter().map(|prefix| scope_of(prefix)).collect()
    }

    /// The paths that no prefix takes in, with what is selected of each.
    pub fn paths_outside(&self) -> Vec<(String, Vec<Which>)> {
        let outside = |path: &&String| self.prefixes_of(&format!("/{path}")).next().is_none();
        let chosen = self.paths.iter().filter(|(path, _)| outside(path));
        let which = |selectors: &[PathSelector]| selectors.iter().map(|each| each.which.clone()).collect();
        chosen.map(|(path, selectors)| (path.clone(), which(selectors))).collect()
    }

    /// Notes that there is such a blob, or such a snapshot of it.
    pub fn met(&mut self, container: &str, name: &str, snapshot: Option<&str>) {
        let path = format!("/{container}/{name}");
        for &length in &self.prefix_lengths {
            if let Some(met) = path.get(..length).and_then(|prefix| self.prefixes.get_mut(prefix)) {
                *met = true;
            }
        }
        for selector in self.paths.get_mut(&path[1..]).into_iter().flatten() {
            selector.met |= selector.which.takes(snapshot);
        }
    }

    /// The selectors that no blob was met for, as they are written.
    pub fn unmet(&self) -> Vec<String> {
        let prefixes = self.prefixes.iter().filter(|(_, met)| !**met).map(|(prefix, _)| prefix.clone());
        let paths = self.paths.iter().flat_map(|(path, selectors)| {
            selectors.iter().filter(|selector| !selector.met).map(move |selector| selector.which.of(path))
        });
        let mut unmet: Vec<String> = prefixes.chain(paths).collect();
        unmet.sort();
        unmet
    }

    /// The prefixes that a text begins with.
    fn prefixes_of<'a>(&'a self, text: &'a str) -> impl Iterator<Item = &'a str> {
        let heads = self.prefix_lengths.iter().filter_map(|&length| text.get(..length));
        heads.filter(|head| self.prefixes.contains_key(*head))
    }
}

impl Which {
    /// Whether it selects the blob (`None`) or this snapshot of it.
    pub fn takes(&self, snapshot: Option<&str>) -> bool {
        match self {
            Which::Base => snapshot.is_none(),
            Which::One(time) => snapshot == Some(time),
            Which::All => true,
        }
    }

    fn of(&self, path: &str) -> String {
        match self {
            Which::Base => path.to_owned(),
            Which::One(time) => format!("{path}?snapshot={time}"),
            Which::All => format!("{path}?snapshots"),
        }
    }
}

fn scope_of(prefix: &str) -> Scope {
    let rest = prefix.strip_prefix('/').unwrap_or(prefix);
    match rest.split_once('/') {
        Some((container, prefix)) => {
            Scope::Blobs { container: container.to_owned(), prefix: prefix.to_owned() }
        }
        None => Scope::Containers(rest.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(selectors: &str) -> Selection {
        Selection::read(format!("<BlobList>{selectors}</BlobList>").as_bytes()).unwrap()
    }

    fn blobs(container: &str, prefix: &str) -> Scope {
        Scope::Blobs { container: container.to_owned(), prefix: prefix.to_owned() }
    }

    #[test]
    fn each_selector_of_the_specification_has_its_scope() {
        for (selector, scope) in [
            ("/", Scope::Containers(String::new())),
            ("/$root/", blobs("$root", "")),
            ("/book", Scope::Containers("book".to_owned())),
            ("/music/", blobs("music", "")),
            ("/music/love", blobs("music", "love")),
        ] {
            let selection = read(&format!("<BlobPathPrefix>{selector}</BlobPathPrefix>"));
            assert_eq!(selection.scopes(), [scope], "{selector}");
        }
        assert_eq!(read("<BlobPath>/</BlobPath>").scopes(), [Scope::Containers(String::new())]);
        let paths = read("<BlobPath>$root/logo.bmp</BlobPath><BlobPath>/container1/blob.txt</BlobPath>");
        let base = |path: &str| (path.to_owned(), vec![Which::Base]);
        assert_eq!(paths.paths_outside(), [base("$root/logo.bmp"), base("container1/blob.txt")]);
    }

    #[test]
    fn repeated_selectors_count_as_duplicates_whatever_their_leading_slash() {
        let selection = read(
            "<BlobPath>c/a</BlobPath><BlobPath>/c/a</BlobPath><BlobPath>c/a?snapshots</BlobPath>\
             <BlobPathPrefix>/c/</BlobPathPrefix><BlobPathPrefix>c/</BlobPathPrefix>",
        );
        assert_eq!((selection.unique_count(), selection.duplicates), (3, 2));
    }

    #[test]
    fn only_the_outermost_prefixes_are_listed_and_no_path_inside_them_is_asked_for() {
        let mut selection = read(
            "<BlobPathPrefix>/music/lo</BlobPathPrefix><BlobPathPrefix>/mus</BlobPathPrefix>\
             <BlobPathPrefix>/video/</BlobPathPrefix><BlobPathPrefix>/music/z</BlobPathPrefix>\
             <BlobPath>music/love</BlobPath><BlobPath>music/hate</BlobPath><BlobPath>books/a</BlobPath>",
        );
        assert_eq!(selection.scopes(), [Scope::Containers("mus".to_owned()), blobs("video", "")]);
        assert_eq!(selection.paths_outside(), [("books/a".to_owned(), vec![Which::Base])]);
        selection.met("music", "love", None);
        assert_eq!(selection.unmet(), ["/music/z", "/video/", "books/a", "music/hate"]);
    }

    #[test]
    fn a_path_selects_the_versions_that_it_names() {
        let mut selection = read(
            "<BlobPath>c/a?snapshot=T1</BlobPath><BlobPath>c/a</BlobPath><BlobPath>c/b?snapshots</BlobPath>\
             <BlobPath>c/d?snapshot=T2</BlobPath>",
        );
        selection.met("c", "a", Some("T1"));
        selection.met("c", "b", Some("T9"));
        selection.met("c", "d", None);
        assert_eq!(selection.unmet(), ["c/a", "c/d?snapshot=T2"]);
    }

    #[test]
    fn a_prefix_that_ends_inside_a_character_of_another_name_is_no_match() {
        let mut selection =
            read("<BlobPathPrefix>/c/\u{e4}</BlobPathPrefix><BlobPathPrefix>/c/a</BlobPathPrefix>");
        selection.met("c", "\u{65e5}", None);
        assert_eq!(selection.unmet().len(), 2);
    }
}

//! Puts a work together: datasets, then their directories and files in any order.

use super::{Dataset, DatasetId, Directory, DirectoryId, ItemKind, Record, SessionId, SideFile, Work};

/// What is known of a file besides its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileFacts {
    /// What it becomes.
    pub kind: ItemKind,
    /// Its length.
    pub length_bytes: u64,
    /// What the source's file system keeps for it.
    pub allocated_bytes: u64,
    /// When it was last written, in nanoseconds from 1970.
    pub modified_nanoseconds: i64,
    /// When it was last read, in nanoseconds from 1970.
    pub accessed_nanoseconds: i64,
}

/// More items, directories or datasets than a drive could hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("there are more than {} {what}; NTFS could not hold them on one drive", u32::MAX)]
pub struct TooMany {
    /// Of what.
    pub what: &'static str,
}

/// Collects a work: see the module.
#[derive(Debug)]
pub struct Builder {
    work: Work,
}

impl Builder {
    /// Begins an empty work.
    pub fn new(session: SessionId) -> Builder {
        let (datasets, directories, items) = (Vec::new(), Vec::new(), Vec::new());
        Builder { work: Work { session, datasets, directories, names: String::new(), items } }
    }

    /// Adds a dataset and gives its own directory. Its place on the drive becomes `\<session>\<n>`.
    ///
    /// # Errors
    /// [`TooMany`].
    pub fn dataset(&mut self, dataset: Dataset) -> Result<DirectoryId, TooMany> {
        let directory = self.base()?;
        self.add_dataset(dataset, directory)
    }

    /// Adds a dataset whose files lie on the drive already, under `directory` there (empty: the
    /// volume's root).
    ///
    /// # Errors
    /// [`TooMany`].
    pub fn dataset_in_place(&mut self, dataset: Dataset, directory: &str) -> Result<DirectoryId, TooMany> {
        self.add_dataset(dataset, directory.trim_end_matches('\\').to_owned())
    }

    /// Adds a directory.
    ///
    /// # Errors
    /// [`TooMany`].
    pub fn directory(&mut self, parent: DirectoryId, name: &str) -> Result<DirectoryId, TooMany> {
        let dataset = self.work.directory(parent).dataset;
        self.add_directory(Directory { dataset, parent: Some(parent), name: name.into() })
    }

    /// Adds a file. A name longer than any file system has (65,535 bytes) is cut.
    ///
    /// # Errors
    /// [`TooMany`].
    pub fn file(&mut self, directory: DirectoryId, name: &str, facts: &FileFacts) -> Result<(), TooMany> {
        id(self.work.items.len(), "files")?;
        let name = &name[..name.floor_char_boundary(usize::from(u16::MAX))];
        self.work.items.push(Record {
            name_start: u64::try_from(self.work.names.len()).unwrap_or(u64::MAX),
            length_bytes: facts.length_bytes,
            allocated_bytes: facts.allocated_bytes,
            modified_nanoseconds: facts.modified_nanoseconds,
            accessed_nanoseconds: facts.accessed_nanoseconds,
            directory,
            name_bytes: u16::try_from(name.len()).unwrap_or(u16::MAX),
            kind: facts.kind,
        });
        self.work.names.push_str(name);
        Ok(())
    }

    /// How many files there are so far.
    pub fn file_count(&self) -> usize {
        self.work.items.len()
    }

    /// Brings all into the work's order, and drops directories without items.
    pub fn finish(self) -> Work {
        order(prune(self.work))
    }

    /// Where the next dataset's own things lie on the drive.
    fn base(&self) -> Result<String, TooMany> {
        Ok(format!("\\{}\\{}", self.work.session, id(self.work.datasets.len(), "datasets")?))
    }

    fn add_dataset(&mut self, mut dataset: Dataset, directory: String) -> Result<DirectoryId, TooMany> {
        let (base, number) = (self.base()?, id(self.work.datasets.len(), "datasets")?);
        place(dataset.metadata.as_mut(), &base, "metadata");
        place(dataset.properties.as_mut(), &base, "properties");
        dataset.drive_directory = directory;
        self.work.datasets.push(dataset);
        self.add_directory(Directory { dataset: DatasetId(number), parent: None, name: "".into() })
    }

    fn add_directory(&mut self, directory: Directory) -> Result<DirectoryId, TooMany> {
        let number = id(self.work.directories.len(), "directories")?;
        self.work.directories.push(directory);
        Ok(DirectoryId(number))
    }
}

fn place(side_file: Option<&mut SideFile>, base: &str, what: &str) {
    if let Some(side_file) = side_file {
        side_file.drive_path = format!("{base}.{what}.xml");
    }
}

/// The number of the next one; one number is kept free, so that counts fit too.
fn id(count: usize, what: &'static str) -> Result<u32, TooMany> {
    u32::try_from(count).ok().filter(|id| *id < u32::MAX).ok_or(TooMany { what })
}

/// Drops directories with nothing in them; a dataset's own stays.
fn prune(mut work: Work) -> Work {
    let mut used: Vec<bool> = work.directories.iter().map(|directory| directory.parent.is_none()).collect();
    for item in &work.items {
        used[item.directory.0 as usize] = true;
    }
    // Children stand behind their parents, so one pass from the end reaches all ancestors.
    for index in (0..used.len()).rev() {
        if let Some(parent) = work.directories[index].parent.filter(|_| used[index]) {
            used[parent.0 as usize] = true;
        }
    }
    let mut kept = used.iter();
    let renumbered = numbers(&used);
    work.directories.retain(|_| kept.next().copied().unwrap_or(false));
    renumber(&mut work, &renumbered);
    work
}

/// Sorts directories and items: datasets as given, a directory's files before its subdirectories.
fn order(mut work: Work) -> Work {
    let sequence = sequence(&work.directories);
    let mut renumbered = vec![0; sequence.len()];
    for (new, old) in (0..).zip(&sequence) {
        renumbered[*old as usize] = new;
    }
    let mut directories: Vec<Option<Directory>> = work.directories.into_iter().map(Some).collect();
    work.directories = sequence.iter().filter_map(|old| directories[*old as usize].take()).collect();
    renumber(&mut work, &renumbered);
    let names = std::mem::take(&mut work.names);
    let name = |record: &Record| {
        let start = usize::try_from(record.name_start).unwrap_or(usize::MAX);
        &names[start..][..usize::from(record.name_bytes)]
    };
    work.items.sort_by(|a, b| a.directory.cmp(&b.directory).then_with(|| name(a).cmp(name(b))));
    let mut sorted = String::with_capacity(names.len());
    for item in &mut work.items {
        let start = u64::try_from(sorted.len()).unwrap_or(u64::MAX);
        sorted.push_str(name(item));
        item.name_start = start;
    }
    work.names = sorted;
    work
}

/// Directories depth first, siblings by name, parents before children.
fn sequence(directories: &[Directory]) -> Vec<u32> {
    let mut children: Vec<u32> = (0..).take(directories.len()).collect();
    // Siblings side by side, the last name first: a stack turns them round.
    children.sort_by(|a, b| {
        let (a, b) = (&directories[*a as usize], &directories[*b as usize]);
        a.parent.cmp(&b.parent).then_with(|| b.dataset.cmp(&a.dataset)).then_with(|| b.name.cmp(&a.name))
    });
    let siblings = |parent: Option<DirectoryId>| {
        let start = children.partition_point(|child| directories[*child as usize].parent < parent);
        let end = children.partition_point(|child| directories[*child as usize].parent <= parent);
        &children[start..end]
    };
    let mut sequence = Vec::with_capacity(directories.len());
    let mut stack = siblings(None).to_vec();
    while let Some(directory) = stack.pop() {
        sequence.push(directory);
        stack.extend_from_slice(siblings(Some(DirectoryId(directory))));
    }
    sequence
}

fn numbers(used: &[bool]) -> Vec<u32> {
    used.iter()
        .scan(0, |next, used| {
            let number = *next;
            *next += u32::from(*used);
            Some(number)
        })
        .collect()
}

fn renumber(work: &mut Work, renumbered: &[u32]) {
    for item in &mut work.items {
        item.directory = DirectoryId(renumbered[item.directory.0 as usize]);
    }
    for directory in &mut work.directories {
        directory.parent = directory.parent.map(|parent| DirectoryId(renumbered[parent.0 as usize]));
    }
}

//! Volumes made by the builder, for its tests: trees, targets in memory, and the caller's part of
//! the work.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::sync::{Arc, Mutex};

use block::{ReadAt, ReadError, WriteAt, WriteError, check_range};
use ntfs::build::{
    Attributes, Builder, Built, DirectoryId, DirectorySpec, FileId, FileSpec, FileTime, Plan, Settings, Times,
};

/// 2026-11-24 00:00 UTC.
pub const TIME: FileTime = FileTime(134_399_520_000_000_000);

pub fn settings(volume_bytes: u64) -> Settings {
    Settings {
        volume_bytes,
        sector_bytes: 512,
        cluster_bytes: None,
        label: "Fünf Bücher".to_owned(),
        serial: 0x1122_3344_5566_7788,
        first_sector_of_partition: 2048,
        time: TIME,
        placed: Vec::new(),
    }
}

/// A file of a [`Tree`].
#[derive(Clone, Debug, Default)]
pub struct File {
    pub length_bytes: u64,
    /// Bytes that differ from zero; all of them for an ordinary file.
    pub data: Vec<(u64, Vec<u8>)>,
    pub is_sparse: bool,
    pub times: Times,
    pub attributes: Attributes,
}

impl File {
    pub fn new(content: Vec<u8>) -> File {
        File {
            length_bytes: content.len() as u64,
            data: vec![(0, content)],
            times: Times::all(TIME),
            ..File::default()
        }
    }

    pub fn sparse(length_bytes: u64, data: Vec<(u64, Vec<u8>)>) -> File {
        File { length_bytes, data, is_sparse: true, times: Times::all(TIME), ..File::default() }
    }

    fn spec(&self) -> FileSpec {
        let range = |(at, bytes): &(u64, Vec<u8>)| -> Range<u64> { *at..*at + bytes.len() as u64 };
        FileSpec {
            length_bytes: self.length_bytes,
            data: self.is_sparse.then(|| self.data.iter().map(range).collect()),
            times: self.times,
            attributes: self.attributes,
        }
    }

    /// What a reader should find at an offset.
    pub fn read(&self, offset: u64, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        for (at, data) in &self.data {
            let from = (*at).max(offset);
            let to = (at + data.len() as u64).min(offset + length as u64);
            if from < to {
                bytes[(from - offset) as usize..(to - offset) as usize]
                    .copy_from_slice(&data[(from - at) as usize..(to - at) as usize]);
            }
        }
        bytes
    }

    pub fn content(&self) -> Vec<u8> {
        self.read(0, usize::try_from(self.length_bytes).unwrap())
    }
}

/// Bytes that look random and depend on the seed.
pub fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend(state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// What shall be on a volume: paths with `/`, parents before children.
#[derive(Clone, Debug, Default)]
pub struct Tree {
    pub directories: Vec<String>,
    pub files: Vec<(String, File)>,
}

impl Tree {
    pub fn directory(&mut self, path: &str) {
        self.directories.push(path.to_owned());
    }

    pub fn file(&mut self, path: &str, file: File) {
        self.files.push((path.to_owned(), file));
    }

    /// All paths as the reader gives them; `None` for directories.
    pub fn expected(&self) -> BTreeMap<String, Option<&File>> {
        let path = |path: &str| path.replace('/', "\\");
        let directories = self.directories.iter().map(|name| (path(name), None));
        directories.chain(self.files.iter().map(|(name, file)| (path(name), Some(file)))).collect()
    }

    /// Tells the builder everything; the files' ids in the order of [`Tree::files`].
    pub fn add_to(&self, builder: &mut Builder) -> Vec<FileId> {
        let mut directories = HashMap::from([(String::new(), DirectoryId::ROOT)]);
        let split = |path: &str| match path.rsplit_once('/') {
            Some((parent, name)) => (parent.to_owned(), name.to_owned()),
            None => (String::new(), path.to_owned()),
        };
        let spec = DirectorySpec { times: Times::all(TIME), attributes: Attributes::NONE };
        for path in &self.directories {
            let (parent, name) = split(path);
            let id = builder.directory(directories[&parent], &name, &spec).unwrap();
            directories.insert(path.clone(), id);
        }
        let mut add = |(path, file): &(String, File)| {
            let (parent, name) = split(path);
            builder.file(directories[&parent], &name, &file.spec()).unwrap()
        };
        self.files.iter().map(&mut add).collect()
    }

    pub fn plan(&self, settings: Settings) -> (Plan, Vec<FileId>) {
        let mut builder = Builder::new(settings).unwrap();
        let files = self.add_to(&mut builder);
        (builder.plan().unwrap(), files)
    }

    /// Makes the whole volume.
    pub fn build(&self, settings: Settings, target: &dyn WriteAt) -> Built {
        let (plan, files) = self.plan(settings);
        for ((_, file), id) in self.files.iter().zip(&files) {
            write_data(&plan, *id, file, target);
        }
        plan.write(target, &mut |_| {}).unwrap()
    }
}

/// The caller's part: whole clusters with zeros at the end.
pub fn write_data(plan: &Plan, id: FileId, file: &File, target: &dyn WriteAt) {
    for extent in plan.extents(id) {
        // Not more than a few MiB at a time, as a caller would.
        let step = 4 << 20;
        let whole = extent.length_bytes.next_multiple_of(plan.cluster_bytes().into());
        for at in (0..whole).step_by(step) {
            let length = (whole - at).min(step as u64) as usize;
            let mut bytes = file.read(extent.file_offset_bytes + at, length);
            target.write_all_at(&mut bytes, extent.volume_offset_bytes + at).unwrap();
        }
    }
}

const PAGE: u64 = 4096;

/// A device in memory that keeps only what differs from zero: also for volumes larger than any file
/// of the file system under the tests could be.
#[derive(Clone)]
pub struct SparseMemory {
    pages: Arc<Mutex<HashMap<u64, Box<[u8]>>>>,
    length_bytes: u64,
    sector_bytes: u32,
}

impl SparseMemory {
    pub fn new(length_bytes: u64, sector_bytes: u32) -> SparseMemory {
        SparseMemory { pages: Arc::default(), length_bytes, sector_bytes }
    }

    /// Every page that is not zeros.
    pub fn pages(&self) -> BTreeMap<u64, Box<[u8]>> {
        self.pages.lock().unwrap().iter().map(|(at, page)| (*at, page.clone())).collect()
    }
}

impl WriteAt for SparseMemory {
    fn write_all_at(&self, data: &mut [u8], offset_bytes: u64) -> Result<(), WriteError> {
        let sector = u64::from(self.sector_bytes);
        let end = offset_bytes + data.len() as u64;
        if !offset_bytes.is_multiple_of(sector) || !end.is_multiple_of(sector) || end > self.length_bytes {
            return Err(WriteError::out_of_range(offset_bytes, data.len(), self.length_bytes));
        }
        let mut pages = self.pages.lock().unwrap();
        let mut at = offset_bytes;
        while at < end {
            let within = at % PAGE;
            let length = (PAGE - within).min(end - at) as usize;
            let from = &mut data[(at - offset_bytes) as usize..][..length];
            if length as u64 == PAGE && from.iter().all(|&byte| byte == 0) {
                pages.remove(&(at / PAGE));
            } else {
                let page = pages.entry(at / PAGE).or_insert_with(|| vec![0; PAGE as usize].into());
                page[within as usize..][..length].copy_from_slice(from);
            }
            at += length as u64;
        }
        // As the contract has it: a layer may have encrypted in place.
        data.fill(0xdb);
        Ok(())
    }

    fn flush(&self) -> Result<(), WriteError> {
        Ok(())
    }
}

impl ReadAt for SparseMemory {
    fn length_bytes(&self) -> u64 {
        self.length_bytes
    }

    fn sector_bytes(&self) -> u32 {
        self.sector_bytes
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset_bytes: u64) -> Result<(), ReadError> {
        check_range(offset_bytes, buffer.len(), self.length_bytes)?;
        let pages = self.pages.lock().unwrap();
        let mut done = 0;
        while done < buffer.len() {
            let at = offset_bytes + done as u64;
            let within = (at % PAGE) as usize;
            let length = (PAGE as usize - within).min(buffer.len() - done);
            match pages.get(&(at / PAGE)) {
                Some(page) => buffer[done..done + length].copy_from_slice(&page[within..within + length]),
                None => buffer[done..done + length].fill(0),
            }
            done += length;
        }
        Ok(())
    }
}

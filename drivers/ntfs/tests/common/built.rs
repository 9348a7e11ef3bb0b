//! Volumes made by the builder, for its tests: trees, targets in memory, and the caller's part of
//! the work.

#![allow(dead_code, reason = "every test file uses another part of this module")]

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::sync::{Arc, Mutex};

use block::{ReadAt, ReadError, SharedDevice, WriteAt, WriteError, check_range};
use ntfs::build::{
    Attributes, Builder, Built, DirectoryId, DirectorySpec, FileId, FileSpec, FileTime, PlacedFile, Plan,
    Settings, Times,
};
use ntfs::check::{CheckOptions, PartitionPlace, Report, check};
use ntfs::{Limits, Volume};

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

pub const MIB: u64 = 1 << 20;

/// A bit of everything.
pub fn rich_tree() -> Tree {
    let mut tree = Tree::default();
    tree.directory("sizes");
    let edges = [0_usize, 1, 511, 512, 513, 4095, 4096, 4097, 65_535, 65_536, 65_537, 1 << 20, 3_000_001];
    for length in edges {
        tree.file(&format!("sizes/{length} bytes"), File::new(noise(length as u64, length)));
    }
    tree.directory("names");
    let names = [
        "ÄÖÜ ß.txt",
        "日本語.dat",
        "\u{1f600}\u{10ffff}.bin",
        "A",
        "FILE0001.TXT",
        ".hidden",
        "a b  c",
        "x+y=z;[1],",
    ];
    for name in names {
        tree.file(&format!("names/{name}"), File::new(name.as_bytes().to_vec()));
    }
    let long = "ü".repeat(255);
    tree.directory(&format!("names/{long}"));
    tree.file(&format!("names/{long}/{}", "\u{1f4be}".repeat(127)), File::new(noise(255, 5_000)));
    let mut deep = String::from("deep");
    tree.directory(&deep);
    for level in 0..60 {
        deep.push_str(&format!("/level {level}"));
        tree.directory(&deep);
    }
    tree.file(&format!("{deep}/bottom"), File::new(b"found".to_vec()));
    tree.directory("many");
    for n in 0..3_000 {
        tree.file(
            &format!("many/file {n:04} of three thousand.dat"),
            File::new(noise(n, (n % 700) as usize)),
        );
    }
    tree.directory("empty");
    let mut odd = File::new(b"odd".to_vec());
    odd.times = Times {
        created: FileTime(TIME.0 + 1),
        modified: FileTime(TIME.0 + 20_000_000),
        changed: FileTime(TIME.0 + 3),
        accessed: FileTime(TIME.0 + 4),
    };
    odd.attributes = Attributes::READ_ONLY | Attributes::HIDDEN | Attributes::ARCHIVE;
    tree.file("odd.txt", odd);
    tree.directory("sparse");
    tree.file("sparse/middle", File::sparse(3 * MIB, vec![(MIB, noise(1, 100_000))]));
    tree.file("sparse/ends", File::sparse(2 * MIB + 5, vec![(0, noise(2, 10)), (2 * MIB, noise(3, 5))]));
    tree.file("sparse/nothing", File::sparse(5 * MIB, vec![]));
    tree.file("sparse/empty", File::sparse(0, vec![]));
    tree.file("sparse/whole", File::sparse(8192, vec![(0, noise(4, 8192))]));
    tree
}

/// Files where BitLocker would have its areas.
pub fn placed(cluster_bytes: u64) -> Vec<PlacedFile> {
    let place = |name: &str, at: u64, length_bytes| PlacedFile {
        name: name.to_owned(),
        offset_bytes: (at * MIB).next_multiple_of(cluster_bytes),
        length_bytes,
    };
    vec![
        place("FVE2.{e40ad34d-dae9-4bc7-95bd-b16218c10f72}.1", 9, 65_536),
        place("FVE2.{24e6f0ae-6a00-4f73-984b-75ce9942852d}", 10, 8192),
        place("FVE2.{e40ad34d-dae9-4bc7-95bd-b16218c10f72}.2", 13, 65_536),
        place("FVE2.{e40ad34d-dae9-4bc7-95bd-b16218c10f72}.3", 40, 65_536),
    ]
}

pub fn open(device: SharedDevice) -> Volume {
    Volume::open(device, Limits::default(), &mut |_| {}).unwrap()
}

/// Everything that the tree has, nothing else, and no problem.
pub fn assert_holds(volume: &Volume, tree: &Tree, settings: &Settings) {
    let health = volume.health();
    assert!(health.is_sound() && !health.mirror_differs, "{health:?}");
    let mut expected: BTreeMap<String, Option<&File>> = tree.expected();
    let covers: Vec<(String, File)> = settings
        .placed
        .iter()
        .map(|file| {
            (format!("System Volume Information\\{}", file.name), File::sparse(file.length_bytes, vec![]))
        })
        .collect();
    if !covers.is_empty() {
        expected.insert("System Volume Information".to_owned(), None);
    }
    expected.extend(covers.iter().map(|(path, file)| (path.clone(), Some(file))));
    let found: BTreeMap<String, bool> =
        volume.files().map(|entry| (entry.path.to_string(), entry.is_directory)).collect();
    let paths: BTreeMap<String, bool> =
        expected.iter().map(|(path, file)| (path.clone(), file.is_none())).collect();
    assert_eq!(found, paths);
    for (path, file) in expected {
        let Some(file) = file else { continue };
        let id = volume.resolve(&path).unwrap();
        let stream = volume.stream(id, None).unwrap();
        assert_eq!(stream.length_bytes, file.length_bytes, "{path}");
        let mut content = vec![0xaa; file.length_bytes as usize];
        assert_eq!(volume.read_at(&stream, 0, &mut content).unwrap(), content.len(), "{path}");
        assert!(content == file.content(), "{path} differs");
    }
}

/// No fault by our own check, which looks at everything that the file system says about itself.
pub fn assert_sound(device: &SharedDevice, settings: &Settings) -> Report {
    let sector_bytes = u64::from(settings.sector_bytes);
    let partition = PartitionPlace {
        first_sector: settings.first_sector_of_partition.into(),
        length_bytes: settings.volume_bytes / sector_bytes * sector_bytes,
    };
    let options = CheckOptions { partition: Some(partition), ..CheckOptions::default() };
    let report = check(device.clone(), &options, &mut |_| {}).unwrap();
    let faults: Vec<String> = report.faults.iter().take(20).map(ToString::to_string).collect();
    assert_eq!(report.fault_count, 0, "{faults:#?}");
    report
}

/// A file as the target of a test that does not cut the power: what was written is read back through
/// the same cache, and waiting for a shared disk would only take time.
pub struct Unflushed<'f>(pub &'f std::fs::File);

impl WriteAt for Unflushed<'_> {
    fn write_all_at(&self, data: &mut [u8], offset_bytes: u64) -> Result<(), WriteError> {
        WriteAt::write_all_at(self.0, data, offset_bytes)
    }

    fn flush(&self) -> Result<(), WriteError> {
        Ok(())
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

//! The store on disk: a layout that a person can read, and that survives the endpoint's process.
//!
//! ```text
//! DIR/CONTAINER/container.json             metadata, lease, policies of the container
//! DIR/CONTAINER/blobs/NAME.json            what the name has: properties, metadata, block list, snapshots
//! DIR/CONTAINER/blobs/NAME.ETAG.data       the bytes of the blob, or of a snapshot
//! DIR/CONTAINER/blocks/NAME/name.txt       whose uncommitted blocks these are
//! DIR/CONTAINER/blocks/NAME/NUMBER.ID      one uncommitted block; the id in hexadecimal
//! DIR/.incoming/                           what is being received; emptied at start
//! ```
//!
//! NAME is percent-encoded and, when too long for a file name, cut and completed by its SHA-256.
//! The invariant: a sidecar is replaced by rename, and only after the bytes it refers to are in
//! place; so at any moment it describes a whole blob. Nothing is flushed to the medium: the store
//! survives a killed process, not a power cut.

use std::collections::{BTreeMap, HashSet};
use std::fs::{self, File};
use std::io::{self, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::lease::Lease;
use super::pages::{PagePlace, Pages};
use super::request::encode;
use super::state::{Blob, Block, Cell, CellRecord, CellState, Container, ContainerState, Content, Named};
use super::store::{Part, Place, Stored};

/// File names are at most 255 bytes; this leaves room for an ETag and an ending.
const NAME_BYTES_MAX: usize = 200;

/// A store in a folder.
#[derive(Debug)]
pub(crate) struct Disk {
    root: PathBuf,
    next_incoming: AtomicU64,
}

/// What is read back of a cell.
#[derive(Deserialize)]
struct SavedCell {
    name: String,
    base: Option<Blob>,
    snapshots: BTreeMap<String, Blob>,
    lease: Lease,
    dropped_below: u64,
}

/// A cell's sidecar: the record, and the exact name that the file's name may have cut.
#[derive(Serialize)]
struct Sidecar<'a> {
    name: &'a str,
    #[serde(flatten)]
    record: &'a CellRecord<'a>,
}

impl Disk {
    /// Opens the store, making the folder where there is none.
    pub(crate) fn open(root: &Path) -> io::Result<Disk> {
        let incoming = root.join(".incoming");
        match fs::remove_dir_all(&incoming) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => fs::create_dir_all(&incoming)?,
        }
        Ok(Disk { root: root.to_owned(), next_incoming: AtomicU64::new(0) })
    }

    /// Everything that the folder holds.
    pub(crate) fn load(&self) -> io::Result<BTreeMap<String, Arc<Container>>> {
        let mut containers = BTreeMap::new();
        for entry in fs::read_dir(&self.root)? {
            let folder = entry?.path();
            let Ok(text) = fs::read(folder.join("container.json")) else { continue };
            let Some(name) = folder.file_name().and_then(|name| name.to_str()) else { continue };
            let container = Container::new(name, serde_json::from_slice(&text)?);
            *container.cells.write().expect("just made") = self.load_cells(&folder)?;
            containers.insert(name.to_owned(), Arc::new(container));
        }
        Ok(containers)
    }

    /// A file for bytes that are being received, and its path relative to the root.
    pub(crate) fn incoming(&self) -> io::Result<(File, PathBuf)> {
        let number = self.next_incoming.fetch_add(1, Ordering::Relaxed);
        let path = PathBuf::from(format!(".incoming/{number:016}"));
        Ok((File::create(self.absolute(&path))?, path))
    }

    pub(crate) fn absolute(&self, path: &Path) -> PathBuf {
        self.root.join(path)
    }

    /// Removes a file that nothing refers to; one that stays is removed at the next start.
    pub(crate) fn remove(&self, path: &Path) {
        drop(fs::remove_file(self.absolute(path)));
    }

    /// Puts a blob's file together. A single whole part is linked and not copied.
    pub(crate) fn assemble(&self, parts: &[Part]) -> io::Result<PathBuf> {
        let (mut file, path) = self.incoming()?;
        if let [Part { from: Stored { place: Place::File(source), length }, range }] = parts
            && *range == (0..*length)
        {
            fs::remove_file(self.absolute(&path))?;
            fs::hard_link(self.absolute(source), self.absolute(&path))?;
            return Ok(path);
        }
        for Part { from, range } in parts {
            let Place::File(source) = &from.place else { continue };
            let mut source = File::open(self.absolute(source))?;
            source.seek(SeekFrom::Start(range.start))?;
            let copied = io::copy(&mut io::Read::take(source, range.end - range.start), &mut file)?;
            if copied != range.end - range.start {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(path)
    }

    /// Gives a blob's bytes the name that they keep.
    pub(crate) fn settle(&self, at: Named<'_>, etag: u64, from: &Path) -> io::Result<PathBuf> {
        if !from.starts_with(".incoming") {
            return Ok(from.to_owned());
        }
        let to = blobs_of(at.container).join(format!("{}.{etag:X}.data", file_name(at.blob)));
        fs::rename(self.absolute(from), self.absolute(&to))?;
        Ok(to)
    }

    /// Keeps an uncommitted block; one of the same id is replaced.
    pub(crate) fn keep_block(&self, at: Named<'_>, id: &str, mut block: Block) -> io::Result<Block> {
        let folder = blocks_of(at);
        if !self.absolute(&folder).exists() {
            fs::create_dir_all(self.absolute(&folder))?;
            fs::write(self.absolute(&folder.join("name.txt")), at.blob)?;
        }
        if let Place::File(from) = &mut block.stored.place {
            let to = folder.join(format!("{:016}.{}", block.number, hex_of(id)));
            fs::rename(self.absolute(from), self.absolute(&to))?;
            *from = to;
        }
        Ok(block)
    }

    /// Drops every uncommitted block of a name.
    pub(crate) fn drop_blocks(&self, at: Named<'_>) {
        drop(fs::remove_dir_all(self.absolute(&blocks_of(at))));
    }

    pub(crate) fn save_container(&self, name: &str, state: &ContainerState) -> io::Result<()> {
        fs::create_dir_all(self.absolute(&blobs_of(name)))?;
        self.replace(&Path::new(name).join("container.json"), &serde_json::to_vec_pretty(state)?)
    }

    pub(crate) fn remove_container(&self, name: &str) -> io::Result<()> {
        // Gone in one step: a folder that is half removed must not come back at the next start.
        let number = self.next_incoming.fetch_add(1, Ordering::Relaxed);
        let trash = self.root.join(format!(".incoming/removed-{number}"));
        fs::rename(self.root.join(name), &trash)?;
        fs::remove_dir_all(trash)
    }

    pub(crate) fn save_cell(&self, at: Named<'_>, record: &CellRecord<'_>) -> io::Result<()> {
        let path = blobs_of(at.container).join(format!("{}.json", file_name(at.blob)));
        if record.base.is_none() && record.snapshots.is_empty() {
            return match fs::remove_file(self.absolute(&path)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                _ => Ok(()),
            };
        }
        self.replace(&path, &serde_json::to_vec_pretty(&Sidecar { name: at.blob, record })?)
    }

    fn replace(&self, path: &Path, text: &[u8]) -> io::Result<()> {
        let (mut file, temporary) = self.incoming()?;
        file.write_all(text)?;
        fs::rename(self.absolute(&temporary), self.absolute(path))
    }

    fn load_cells(&self, folder: &Path) -> io::Result<BTreeMap<String, Arc<Cell>>> {
        let mut states: BTreeMap<String, CellState> = BTreeMap::new();
        let mut referred = HashSet::new();
        let files = files_of(&folder.join("blobs"))?;
        for path in files.iter().filter(|path| path.extension().is_some_and(|ending| ending == "json")) {
            let saved: SavedCell = serde_json::from_slice(&fs::read(path)?)?;
            let SavedCell { name, base, snapshots, lease, dropped_below } = saved;
            referred.extend(base.iter().chain(snapshots.values()).filter_map(data_file));
            let state = CellState {
                base,
                snapshots,
                lease,
                dropped_below,
                next_block: dropped_below,
                ..CellState::default()
            };
            states.insert(name, state);
        }
        // Bytes of a commit that did not happen, or of a blob that was replaced just then.
        for path in files.iter().filter(|path| path.extension().is_some_and(|ending| ending == "data")) {
            if !path.strip_prefix(&self.root).is_ok_and(|relative| referred.contains(relative)) {
                fs::remove_file(path)?;
            }
        }
        for blocks in files_of(&folder.join("blocks"))? {
            let name = fs::read_to_string(blocks.join("name.txt"))?;
            self.load_blocks(&blocks, states.entry(name).or_default())?;
        }
        Ok(states.into_iter().map(|(name, state)| (name, Arc::new(Cell::holding(state)))).collect())
    }

    fn load_blocks(&self, folder: &Path, cell: &mut CellState) -> io::Result<()> {
        let mut files = files_of(folder)?;
        files.sort();
        for path in files {
            let Some((number, id)) = path.file_name().and_then(|name| name.to_str()).and_then(block_name)
            else {
                continue;
            };
            if number < cell.dropped_below {
                fs::remove_file(&path)?;
                continue;
            }
            let relative = path.strip_prefix(&self.root).map_err(io::Error::other)?.to_owned();
            let stored = Stored { length: fs::metadata(&path)?.len(), place: Place::File(relative) };
            // Ascending numbers: of two blocks of one id the later one counts.
            if let Some(earlier) = cell.blocks.insert(id, Block { number, stored })
                && let Place::File(path) = &earlier.stored.place
            {
                self.remove(path);
            }
            cell.next_block = number + 1;
        }
        Ok(())
    }
}

fn files_of(folder: &Path) -> io::Result<Vec<PathBuf>> {
    match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
        Ok(entries) => entries.map(|entry| Ok(entry?.path())).collect(),
    }
}

fn data_file(blob: &Blob) -> Option<PathBuf> {
    match &blob.content {
        Content::Block { stored: Stored { place: Place::File(path), .. }, .. }
        | Content::Page { pages: Pages { place: PagePlace::File(path), .. }, .. } => Some(path.clone()),
        Content::Block { .. } | Content::Page { .. } => None,
    }
}

fn blobs_of(container: &str) -> PathBuf {
    Path::new(container).join("blobs")
}

fn blocks_of(at: Named<'_>) -> PathBuf {
    Path::new(at.container).join("blocks").join(file_name(at.blob))
}

/// A blob's name as a file's name: one to one, also for names that had to be cut.
fn file_name(blob: &str) -> String {
    let encoded = encode(blob);
    // A name of dots alone, or one that begins with a dot, would be hidden or special.
    let encoded = encoded.strip_prefix('.').map(|rest| format!("%2E{rest}")).unwrap_or(encoded);
    if encoded.len() <= NAME_BYTES_MAX {
        return encoded;
    }
    let digest: String = Sha256::digest(blob).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{}%-{digest}", &encoded[..NAME_BYTES_MAX - digest.len() - 2])
}

fn hex_of(id: &str) -> String {
    let decoded = BASE64.decode(id).unwrap_or_default();
    decoded.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn block_name(name: &str) -> Option<(u64, String)> {
    let (number, hex) = name.split_once('.')?;
    let number = number.parse().ok()?;
    let digits: Vec<u8> = hex.bytes().collect();
    let bytes = digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok());
    Some((number, BASE64.encode(bytes.collect::<Option<Vec<u8>>>()?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_different_file_names_that_fit() {
        let long = "ü/".repeat(500);
        let other = format!("{}x", "ü/".repeat(499));
        let names = ["a/b", "a%2Fb", "..", ".hidden", "a b", &long, &other];
        let files: HashSet<String> = names.iter().map(|name| file_name(name)).collect();
        assert_eq!(files.len(), names.len());
        assert!(files.iter().all(|file| file.len() <= NAME_BYTES_MAX && !file.starts_with('.')));
        assert!(files.contains("a%2Fb") && files.contains("a%252Fb"));
    }

    #[test]
    fn a_block_file_tells_its_number_and_its_id() {
        let id = BASE64.encode(b"block-000007");
        assert_eq!(block_name(&format!("{:016}.{}", 42, hex_of(&id))), Some((42, id)));
        assert_eq!(block_name("name.txt"), None);
    }
}

//! The bytes of a page blob: sparse, changed in place, zero wherever nothing was written.
//!
//! Owns the written ranges, which alone decide what reads as zero; bytes outside them may be stale.
//! Alignment and limits are the operations' business.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::ranges::Ranges;
use super::store::{Piece, Vault};

/// Memory is set aside in chunks of this size.
const CHUNK_BYTES: u64 = 64 << 10;

/// A page blob's content.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Pages {
    pub(crate) length: u64,
    pub(crate) ranges: Ranges,
    pub(crate) place: PagePlace,
}

/// Where the pages are.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum PagePlace {
    #[serde(skip)]
    Memory(BTreeMap<u64, Arc<Vec<u8>>>),
    /// A sparse file, named relative to the store's root.
    File(PathBuf),
    Discarded,
}

impl Pages {
    /// An empty page blob of that length.
    pub(crate) fn new(length: u64, vault: &Vault) -> io::Result<Pages> {
        let place = match vault {
            Vault::Memory => PagePlace::Memory(BTreeMap::new()),
            Vault::Discard => PagePlace::Discarded,
            Vault::Disk(disk) => {
                let (file, path) = disk.incoming()?;
                file.set_len(length)?;
                PagePlace::File(path)
            }
        };
        Ok(Pages { length, ranges: Ranges::default(), place })
    }

    /// Writes pages; the range lies inside the blob. A discarding store is given no bytes.
    pub(crate) fn write(&mut self, range: Range<u64>, bytes: &[u8], vault: &Vault) -> io::Result<()> {
        let start = range.start;
        match &mut self.place {
            PagePlace::Memory(chunks) => write_chunks(chunks, start, bytes),
            PagePlace::File(path) => {
                if let Some(disk) = vault.disk() {
                    let file = File::options().write(true).open(disk.absolute(path))?;
                    file.write_all_at(bytes, start)?;
                }
            }
            PagePlace::Discarded => {}
        }
        self.ranges.insert(range);
        Ok(())
    }

    /// Clears pages: they read as zeros and are no longer listed.
    pub(crate) fn clear(&mut self, range: Range<u64>, vault: &Vault) -> io::Result<()> {
        self.ranges.remove(range.clone());
        match &mut self.place {
            PagePlace::Memory(chunks) => {
                let whole = range.start.div_ceil(CHUNK_BYTES)..range.end / CHUNK_BYTES;
                if whole.start < whole.end {
                    let freed: Vec<u64> = chunks.range(whole).map(|(index, _)| *index).collect();
                    freed.iter().for_each(|index| drop(chunks.remove(index)));
                }
            }
            PagePlace::File(path) => punch(vault, path, &range)?,
            PagePlace::Discarded => {}
        }
        Ok(())
    }

    /// Gives the blob another length; what is cut off is gone, what is added reads as zeros.
    pub(crate) fn resize(&mut self, length: u64, vault: &Vault) -> io::Result<()> {
        if length < self.length {
            self.clear(length..self.length, vault)?;
        }
        if let (PagePlace::File(path), Some(disk)) = (&self.place, vault.disk()) {
            File::options().write(true).open(disk.absolute(path))?.set_len(length)?;
        }
        self.length = length;
        Ok(())
    }

    /// Opens a range for reading.
    pub(crate) fn open(&self, range: Range<u64>, vault: &Vault) -> io::Result<Vec<Piece>> {
        let file = match (&self.place, vault.disk()) {
            (PagePlace::File(path), Some(disk)) => Some(Arc::new(File::open(disk.absolute(path))?)),
            _ => None,
        };
        let (mut pieces, mut at) = (Vec::new(), range.start);
        for written in self.ranges.within(range.clone()) {
            pieces.push(Piece::Zeros(written.start - at));
            at = written.end;
            match (&self.place, &file) {
                (PagePlace::Memory(chunks), _) => read_chunks(chunks, written, &mut pieces),
                (_, Some(file)) => pieces.push(Piece::File(Arc::clone(file), written)),
                _ => pieces.push(Piece::Zeros(written.end - written.start)),
            }
        }
        pieces.push(Piece::Zeros(range.end - at));
        Ok(pieces)
    }

    /// A copy that later writes do not change.
    pub(crate) fn snapshot(&self, vault: &Vault) -> io::Result<Pages> {
        let mut copy = self.clone();
        if let (PagePlace::File(_), Some(disk)) = (&self.place, vault.disk()) {
            let (file, path) = disk.incoming()?;
            file.set_len(self.length)?;
            for range in self.ranges.within(0..self.length) {
                let mut at = range.start;
                for mut piece in self.open(range, vault)? {
                    while let Some(frame) = piece.next_frame()? {
                        file.write_all_at(&frame, at)?;
                        at += frame.len() as u64;
                    }
                }
            }
            copy.place = PagePlace::File(path);
        }
        Ok(copy)
    }
}

fn write_chunks(chunks: &mut BTreeMap<u64, Arc<Vec<u8>>>, start: u64, bytes: &[u8]) {
    let (mut at, mut rest) = (start, bytes);
    while !rest.is_empty() {
        let offset = small(at % CHUNK_BYTES);
        let size = rest.len().min(small(CHUNK_BYTES) - offset);
        let chunk = chunks.entry(at / CHUNK_BYTES).or_insert_with(|| Arc::new(vec![0; small(CHUNK_BYTES)]));
        let (now, later) = rest.split_at(size);
        Arc::make_mut(chunk)[offset..offset + size].copy_from_slice(now);
        rest = later;
        at += size as u64;
    }
}

fn read_chunks(chunks: &BTreeMap<u64, Arc<Vec<u8>>>, range: Range<u64>, pieces: &mut Vec<Piece>) {
    let mut at = range.start;
    while at < range.end {
        let offset = at % CHUNK_BYTES;
        let size = (CHUNK_BYTES - offset).min(range.end - at);
        match chunks.get(&(at / CHUNK_BYTES)) {
            Some(chunk) => {
                let bytes = &chunk[small(offset)..small(offset + size)];
                pieces.push(Piece::Bytes(Bytes::copy_from_slice(bytes)));
            }
            None => pieces.push(Piece::Zeros(size)),
        }
        at += size;
    }
}

/// Frees the file's space; where the file system cannot, the stale bytes stay behind the ranges.
fn punch(vault: &Vault, path: &Path, range: &Range<u64>) -> io::Result<()> {
    use rustix::fs::{FallocateFlags, fallocate};
    let Some(disk) = vault.disk() else { return Ok(()) };
    let file = File::options().write(true).open(disk.absolute(path))?;
    let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
    match fallocate(&file, flags, range.start, range.end - range.start) {
        Ok(()) | Err(rustix::io::Errno::OPNOTSUPP) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn small(number: u64) -> usize {
    usize::try_from(number).expect("an offset inside a chunk")
}

#[cfg(test)]
mod tests {
    use super::super::store::for_each_frame;
    use super::*;

    fn read(pages: &Pages, range: Range<u64>, vault: &Vault) -> Vec<u8> {
        let mut bytes = Vec::new();
        let pieces = pages.open(range, vault).expect("opened");
        for_each_frame(pieces, |frame| bytes.extend_from_slice(frame)).expect("read");
        bytes
    }

    fn behaves(vault: &Vault) {
        let mut pages = Pages::new(1 << 20, vault).expect("created");
        pages.write(CHUNK_BYTES - 512..CHUNK_BYTES + 512, &[7; 1024], vault).expect("written");
        let before = pages.snapshot(vault).expect("snapshot");
        pages.write(CHUNK_BYTES..CHUNK_BYTES + 512, &[9; 512], vault).expect("written");
        pages.clear(CHUNK_BYTES - 512..CHUNK_BYTES, vault).expect("cleared");
        let kept = pages.ranges.within(0..1 << 20);
        assert!(matches!(kept.as_slice(), [one] if *one == (CHUNK_BYTES..CHUNK_BYTES + 512)), "{kept:?}");
        let around = CHUNK_BYTES - 1024..CHUNK_BYTES + 1024;
        let expected = [vec![0; 1024], vec![9; 512], vec![0; 512]].concat();
        assert_eq!(read(&pages, around.clone(), vault), expected);
        let expected = [vec![0; 512], vec![7; 1024], vec![0; 512]].concat();
        assert_eq!(read(&before, around, vault), expected);
        pages.resize(CHUNK_BYTES, vault).expect("shrunk");
        pages.resize(1 << 20, vault).expect("grown");
        assert_eq!(read(&pages, CHUNK_BYTES..CHUNK_BYTES + 512, vault), [0; 512]);
    }

    #[test]
    fn pages_in_memory_read_back_as_written_and_a_snapshot_keeps_them() {
        behaves(&Vault::Memory);
    }

    #[test]
    fn pages_in_a_file_read_back_as_written_and_a_snapshot_keeps_them() {
        let folder = tempfile::tempdir().expect("a scratch folder");
        behaves(&Vault::Disk(super::super::disk::Disk::open(folder.path()).expect("a store")));
    }
}

//! Where bytes are kept: in memory, in files, or nowhere.
//!
//! Owns the bytes of blocks and block blobs ([`Stored`], immutable once written) and the reading of
//! any blob as [`Piece`]s. The invariant: a `Stored` has exactly the length it says, whichever the
//! store; a discarding one reads as zeros. Names and sidecars of files belong to [`super::disk`].

use std::fs::File;
use std::io::{self, Write as _};
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use serde::{Deserialize, Serialize};

use super::disk::Disk;

/// The largest frame that a piece is read in.
pub(crate) const FRAME_BYTES: usize = 256 << 10;
/// A body's announced length is believed up to here when memory is set aside for it.
const RESERVE_BYTES_MAX: u64 = 16 << 20;

/// Bytes of a block or of a block blob.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Stored {
    pub(crate) length: u64,
    pub(crate) place: Place,
}

/// Where stored bytes are.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Place {
    #[serde(skip)]
    Memory(Vec<Bytes>),
    /// A file, named relative to the store's root.
    File(PathBuf),
    /// Nowhere: they were counted and dropped.
    Discarded,
}

/// A run of a blob's bytes, ready to be read even if the blob is replaced meanwhile.
#[derive(Debug)]
pub(crate) enum Piece {
    Bytes(Bytes),
    Zeros(u64),
    File(Arc<File>, Range<u64>),
}

/// One part of a blob to be assembled: a range of stored bytes.
pub(crate) struct Part {
    pub(crate) from: Stored,
    pub(crate) range: Range<u64>,
}

/// The store that the configuration names.
#[derive(Debug)]
pub(crate) enum Vault {
    Memory,
    Disk(Disk),
    Discard,
}

/// A body on its way into the store.
pub(crate) enum Writer {
    Memory(BytesMut),
    File(File, PathBuf, u64),
    Discard(u64),
}

impl Vault {
    /// Whether bytes are kept, and so whether they are worth checking.
    pub(crate) fn keeps(&self) -> bool {
        !matches!(self, Vault::Discard)
    }

    pub(crate) fn disk(&self) -> Option<&Disk> {
        match self {
            Vault::Disk(disk) => Some(disk),
            Vault::Memory | Vault::Discard => None,
        }
    }

    /// Begins to take a body in.
    pub(crate) fn writer(&self, announced_bytes: u64) -> io::Result<Writer> {
        match self {
            Vault::Memory => {
                let reserve = usize::try_from(announced_bytes.min(RESERVE_BYTES_MAX)).unwrap_or(0);
                Ok(Writer::Memory(BytesMut::with_capacity(reserve)))
            }
            Vault::Disk(disk) => {
                let (file, path) = disk.incoming()?;
                Ok(Writer::File(file, path, 0))
            }
            Vault::Discard => Ok(Writer::Discard(0)),
        }
    }

    /// Opens a range of stored bytes for reading.
    pub(crate) fn open(&self, stored: &Stored, range: Range<u64>) -> io::Result<Vec<Piece>> {
        match (&stored.place, self.disk()) {
            (Place::Memory(runs), _) => Ok(slice(runs, range).into_iter().map(Piece::Bytes).collect()),
            (Place::File(path), Some(disk)) => {
                Ok(vec![Piece::File(Arc::new(File::open(disk.absolute(path))?), range)])
            }
            (Place::File(_) | Place::Discarded, _) => Ok(vec![Piece::Zeros(range.end - range.start)]),
        }
    }

    /// Puts a blob together out of parts; they stay as they are.
    pub(crate) fn assemble(&self, parts: &[Part]) -> io::Result<Stored> {
        let length = parts.iter().map(|part| part.range.end - part.range.start).sum();
        let place = match self {
            Vault::Memory => Place::Memory(parts.iter().flat_map(Part::memory).collect()),
            Vault::Disk(disk) => Place::File(disk.assemble(parts)?),
            Vault::Discard => Place::Discarded,
        };
        Ok(Stored { length, place })
    }

    /// Removes stored bytes that nothing refers to any more.
    pub(crate) fn remove(&self, stored: &Stored) {
        if let (Place::File(path), Some(disk)) = (&stored.place, self.disk()) {
            disk.remove(path);
        }
    }
}

impl Part {
    /// All of something stored.
    pub(crate) fn whole(from: Stored) -> Part {
        let range = 0..from.length;
        Part { from, range }
    }

    fn memory(&self) -> Vec<Bytes> {
        match &self.from.place {
            Place::Memory(runs) => slice(runs, self.range.clone()),
            Place::File(_) | Place::Discarded => Vec::new(),
        }
    }
}

impl Writer {
    /// Takes one frame of the body.
    pub(crate) fn write(&mut self, frame: &[u8]) -> io::Result<()> {
        match self {
            Writer::Memory(bytes) => bytes.extend_from_slice(frame),
            Writer::File(file, _, length) => {
                file.write_all(frame)?;
                *length += frame.len() as u64;
            }
            Writer::Discard(length) => *length += frame.len() as u64,
        }
        Ok(())
    }

    /// The body is whole.
    pub(crate) fn finish(self) -> Stored {
        match self {
            Writer::Memory(bytes) => {
                Stored { length: bytes.len() as u64, place: Place::Memory(vec![bytes.freeze()]) }
            }
            Writer::File(_, path, length) => Stored { length, place: Place::File(path) },
            Writer::Discard(length) => Stored { length, place: Place::Discarded },
        }
    }
}

impl Piece {
    pub(crate) fn length(&self) -> u64 {
        match self {
            Piece::Bytes(bytes) => bytes.len() as u64,
            Piece::Zeros(length) => *length,
            Piece::File(_, range) => range.end - range.start,
        }
    }

    /// Takes up to [`FRAME_BYTES`] from the front; `None` when nothing is left.
    pub(crate) fn next_frame(&mut self) -> io::Result<Option<Bytes>> {
        let size = usize::try_from(self.length()).map_or(FRAME_BYTES, |length| length.min(FRAME_BYTES));
        if size == 0 {
            return Ok(None);
        }
        let frame = match self {
            Piece::Bytes(bytes) => bytes.split_to(size),
            Piece::Zeros(length) => {
                *length -= size as u64;
                Bytes::from_static(&[0; FRAME_BYTES]).slice(..size)
            }
            Piece::File(file, range) => {
                let mut buffer = vec![0; size];
                file.read_exact_at(&mut buffer, range.start)?;
                range.start += size as u64;
                Bytes::from(buffer)
            }
        };
        Ok(Some(frame))
    }
}

/// Calls `each` with every frame of the pieces, in order.
pub(crate) fn for_each_frame(pieces: Vec<Piece>, mut each: impl FnMut(&[u8])) -> io::Result<()> {
    for mut piece in pieces {
        while let Some(frame) = piece.next_frame()? {
            each(&frame);
        }
    }
    Ok(())
}

/// The runs of a range, without copying.
fn slice(runs: &[Bytes], range: Range<u64>) -> Vec<Bytes> {
    let (mut slices, mut run_start) = (Vec::new(), 0_u64);
    for run in runs {
        let run_end = run_start + run.len() as u64;
        let (start, end) = (range.start.max(run_start), range.end.min(run_end));
        if start < end {
            slices.push(run.slice(within(start - run_start)..within(end - run_start)));
        }
        run_start = run_end;
    }
    slices
}

fn within(offset: u64) -> usize {
    usize::try_from(offset).expect("an offset inside a run in memory")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(runs: &[&'static [u8]]) -> Stored {
        let length = runs.iter().map(|run| run.len() as u64).sum();
        Stored { length, place: Place::Memory(runs.iter().map(|run| Bytes::from_static(run)).collect()) }
    }

    fn read(pieces: Vec<Piece>) -> Vec<u8> {
        let mut bytes = Vec::new();
        for_each_frame(pieces, |frame| bytes.extend_from_slice(frame)).expect("memory reads");
        bytes
    }

    #[test]
    fn a_range_may_span_the_runs_of_a_blob_in_memory() {
        let blob = stored(&[b"abc", b"", b"defg", b"h"]);
        for (range, expected) in [(0..8, "abcdefgh"), (2..4, "cd"), (3..7, "defg"), (8..8, ""), (7..8, "h")] {
            assert_eq!(read(Vault::Memory.open(&blob, range).expect("memory")), expected.as_bytes());
        }
    }

    #[test]
    fn parts_are_put_together_in_their_order() {
        let blob = stored(&[b"abcdef"]);
        let parts = [Part { from: blob.clone(), range: 4..6 }, Part::whole(stored(&[b"xyz"]))];
        let whole = Vault::Memory.assemble(&parts).expect("memory");
        assert_eq!(whole.length, 5);
        assert_eq!(read(Vault::Memory.open(&whole, 0..5).expect("memory")), b"efxyz");
    }

    #[test]
    fn discarded_bytes_have_a_length_and_read_as_zeros() {
        let mut writer = Vault::Discard.writer(3).expect("nothing is opened");
        writer.write(b"abc").expect("nothing is written");
        let stored = writer.finish();
        assert_eq!(read(Vault::Discard.open(&stored, 0..3).expect("nothing")), [0; 3]);
    }
}

//! The spool: what was learnt of the data so far, in a file next to the journal.
//!
//! ```text
//! "drayage spool\n" version:u8 plan:u64le  record*
//! record ::= length:u32le crc32:u32le kind:u8 payload
//! ```
//! Blocks and ranges with their digests, whole-file digests, files left out; and checkpoints: a
//! checkpoint says that everything of the slabs before it is on the drive's medium. What follows the
//! last checkpoint is dropped when the spool is opened again, a torn tail with it, because the copy
//! goes on from there. Memory is bounded: the manifest is written from one sweep over the file.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use model::Md5Digest;

use super::digest::Hashed;
use super::pipeline::Done;
use crate::work::{ItemId, Work};

const MAGIC: &[u8; 15] = b"drayage spool\n\x01";
const HEAD_BYTES: u64 = MAGIC.len() as u64 + 8;
/// Longest record: the reason why a file was left out, with its path.
const RECORD_BYTES_MAX: u32 = 64 << 10;
/// Blocks and ranges in one record.
const HASHED_PER_RECORD: usize = 512;

/// The spool cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    /// The file system refuses.
    #[error("the spool {}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// It is of another plan, or no spool.
    #[error("{} is not the spool of this plan", path.display())]
    Other {
        /// The file.
        path: PathBuf,
    },
    /// A record that is sound says something of an item that cannot be.
    #[error("{} is not of this session: at byte {offset_bytes} it has {what}", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// Where the record begins.
        offset_bytes: u64,
        /// What it says.
        what: String,
    },
    /// Not all parts of a block blob are there.
    #[error("{} has not all blocks of {}: the next one begins at {offset_bytes}", path.display(), file.display())]
    Incomplete {
        /// The spool.
        path: PathBuf,
        /// The source.
        file: PathBuf,
        /// Where the blocks that follow each other end.
        offset_bytes: u64,
    },
    /// A record inside what a checkpoint vouches for does not hold.
    #[error("{} is damaged at byte {offset_bytes}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where.
        offset_bytes: u64,
    },
}

/// One thing that was learnt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Learnt {
    /// A block or range and its digest.
    Hashed(Hashed),
    /// A whole file's digest.
    Whole(ItemId, Md5Digest),
    /// A file is left out, and why.
    LeftOut(ItemId, String),
    /// All slabs before this one are on the medium.
    Checkpoint(u64),
}

/// The spool of a drive that is being packed.
pub struct Spool {
    path: PathBuf,
    out: BufWriter<File>,
    /// The first slab that is not vouched for.
    next_slab: u64,
}

impl Spool {
    /// Begins a spool for the plan with that number; one that was there is replaced.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn create(path: &Path, plan: u64) -> Result<Spool, SpoolError> {
        let mut options = File::options();
        options.read(true).write(true).create(true).truncate(true).mode(0o600);
        let begun = options.open(path).and_then(|file| {
            let mut out = BufWriter::new(file);
            out.write_all(MAGIC)?;
            out.write_all(&plan.to_le_bytes())?;
            out.flush()?;
            out.get_ref().sync_all()?;
            Ok(out)
        });
        let out = begun.map_err(|source| SpoolError::Io { path: path.to_owned(), source })?;
        Ok(Spool { path: path.to_owned(), out, next_slab: 0 })
    }

    /// Opens the spool of an interrupted pack, cut back to its last checkpoint.
    ///
    /// # Errors
    /// When it is not this plan's, or the file system refuses.
    pub fn reopen(path: &Path, plan: u64) -> Result<Spool, SpoolError> {
        let failed = |source| SpoolError::Io { path: path.to_owned(), source };
        let file = File::options().read(true).write(true).open(path).map_err(failed)?;
        let mut reader = Records::new(path, file.try_clone().map_err(failed)?, plan)?;
        let (mut vouched_bytes, mut next_slab) = (HEAD_BYTES, 0);
        while let Some(learnt) = reader.next_or_torn() {
            if let Learnt::Checkpoint(next) = learnt {
                (vouched_bytes, next_slab) = (reader.offset_bytes, next);
            }
        }
        let mut out = BufWriter::new(file);
        let cut = out.get_ref().set_len(vouched_bytes).and_then(|()| out.seek(SeekFrom::End(0)));
        cut.map_err(failed)?;
        Ok(Spool { path: path.to_owned(), out, next_slab })
    }

    /// The slab that the copy goes on with.
    pub fn next_slab(&self) -> u64 {
        self.next_slab
    }

    /// Notes a slab; not vouched for before the next checkpoint.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn slab(&mut self, done: &Done) -> Result<(), SpoolError> {
        let mut write = || {
            for hashed in done.hashed.chunks(HASHED_PER_RECORD) {
                self.out.write_all(&record(HASHED, hashed.iter().flat_map(hashed_bytes)))?;
            }
            for (item, md5) in &done.whole {
                let payload = item.0.to_le_bytes().into_iter().chain(md5.0);
                self.out.write_all(&record(WHOLE, payload))?;
            }
            for (item, fault) in &done.faults {
                self.out.write_all(&left_out(*item, &fault.to_string()))?;
            }
            Ok(())
        };
        write().map_err(|source| SpoolError::Io { path: self.path.clone(), source })
    }

    /// Vouches for all slabs before `next_slab`: the caller has flushed the drive.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn checkpoint(&mut self, next_slab: u64) -> Result<(), SpoolError> {
        let mut write = || {
            self.out.write_all(&record(CHECKPOINT, next_slab.to_le_bytes()))?;
            self.out.flush()?;
            self.out.get_ref().sync_data()
        };
        write().map_err(|source| SpoolError::Io { path: self.path.clone(), source })?;
        self.next_slab = next_slab;
        Ok(())
    }

    /// The files that are left out, and why; of each the first reason.
    ///
    /// # Errors
    /// See [`Spool::read`].
    pub fn left_out(&mut self, plan: u64, work: &Work) -> Result<BTreeMap<ItemId, String>, SpoolError> {
        let mut left_out = BTreeMap::new();
        let mut reader = self.read(plan, work)?;
        while let Some(learnt) = reader.learn()? {
            if let Learnt::LeftOut(item, why) = learnt {
                left_out.entry(item).or_insert(why);
            }
        }
        Ok(left_out)
    }

    /// Reads everything from the beginning; it must be about items of that work.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn read<'w>(&mut self, plan: u64, work: &'w Work) -> Result<SpoolReader<'w>, SpoolError> {
        let failed = |source| SpoolError::Io { path: self.path.clone(), source };
        self.out.flush().map_err(failed)?;
        let file = File::open(&self.path).map_err(failed)?;
        Ok(SpoolReader { records: Records::new(&self.path, file, plan)?, work })
    }
}

/// One sweep over a spool, each item in which is one of the work's, and each part one of its item's.
pub struct SpoolReader<'w> {
    records: Records,
    work: &'w Work,
}

impl SpoolReader<'_> {
    /// The next thing; `None` at the end.
    ///
    /// # Errors
    /// When a record does not hold: the medium under the journal is failing, or the file was made by
    /// somebody else.
    pub fn learn(&mut self) -> Result<Option<Learnt>, SpoolError> {
        let Some(learnt) = self.records.learn()? else { return Ok(None) };
        match self.foreign(&learnt) {
            None => Ok(Some(learnt)),
            Some(what) => Err(SpoolError::Foreign {
                path: self.records.path.clone(),
                offset_bytes: self.records.record_at,
                what,
            }),
        }
    }

    /// What is learnt that cannot be.
    fn foreign(&self, learnt: &Learnt) -> Option<String> {
        let (item, part) = match learnt {
            Learnt::Hashed(hashed) => (hashed.item, hashed.offset_bytes.checked_add(hashed.length_bytes)),
            Learnt::Whole(item, _) | Learnt::LeftOut(item, _) => (*item, Some(0)),
            Learnt::Checkpoint(_) => return None,
        };
        let count = self.work.len();
        if usize::try_from(item.0).is_ok_and(|item| item >= count) {
            return Some(format!("item {} of {count}", item.0));
        }
        let length_bytes = self.work.item(item).length_bytes();
        let is_within = part.is_some_and(|end| end <= length_bytes);
        (!is_within).then(|| format!("a part beyond the end of item {}", item.0))
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.records.path
    }
}

/// The records of a spool, whatever they say.
struct Records {
    path: PathBuf,
    reader: BufReader<File>,
    offset_bytes: u64,
    /// Where the record begins that was read last.
    record_at: u64,
    /// The rest of a record of several blocks, in reverse.
    pending: Vec<Hashed>,
}

impl Records {
    fn new(path: &Path, mut file: File, plan: u64) -> Result<Records, SpoolError> {
        let failed = |source| SpoolError::Io { path: path.to_owned(), source };
        file.seek(SeekFrom::Start(0)).map_err(failed)?;
        let mut reader = BufReader::with_capacity(1 << 20, file);
        let (mut magic, mut found) = ([0; MAGIC.len()], [0; 8]);
        let head = reader.read_exact(&mut magic).and_then(|()| reader.read_exact(&mut found));
        if head.is_err() || &magic != MAGIC || u64::from_le_bytes(found) != plan {
            return Err(SpoolError::Other { path: path.to_owned() });
        }
        let (offset_bytes, record_at) = (HEAD_BYTES, HEAD_BYTES);
        Ok(Records { path: path.to_owned(), reader, offset_bytes, record_at, pending: Vec::new() })
    }

    fn learn(&mut self) -> Result<Option<Learnt>, SpoolError> {
        if let Some(hashed) = self.pending.pop() {
            return Ok(Some(Learnt::Hashed(hashed)));
        }
        let at_end = self.reader.fill_buf_is_empty();
        match self.next_or_torn() {
            None if !at_end => {
                Err(SpoolError::Damaged { path: self.path.clone(), offset_bytes: self.offset_bytes })
            }
            learnt => Ok(learnt),
        }
    }

    /// The next thing; `None` at the end and at a record that is torn.
    fn next_or_torn(&mut self) -> Option<Learnt> {
        if let Some(hashed) = self.pending.pop() {
            return Some(Learnt::Hashed(hashed));
        }
        let mut head = [0; 8];
        self.reader.read_exact(&mut head).ok()?;
        let [length, crc] =
            [0, 4].map(|at| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]));
        if length > RECORD_BYTES_MAX {
            return None;
        }
        let mut payload = vec![0; usize::try_from(length).ok()?];
        self.reader.read_exact(&mut payload).ok()?;
        if crc32fast::hash(&payload) != crc {
            return None;
        }
        let learnt = self.learnt(&payload)?;
        self.record_at = self.offset_bytes;
        self.offset_bytes += head.len() as u64 + u64::from(length);
        Some(learnt)
    }

    fn learnt(&mut self, payload: &[u8]) -> Option<Learnt> {
        let (kind, payload) = payload.split_first()?;
        match *kind {
            HASHED => {
                let (hashed, []) = payload.as_chunks::<HASHED_BYTES>() else { return None };
                self.pending = hashed.iter().rev().map(hashed_of).collect();
                self.pending.pop().map(Learnt::Hashed)
            }
            WHOLE => {
                let (item, md5) = payload.split_first_chunk()?;
                Some(Learnt::Whole(ItemId(u32::from_le_bytes(*item)), Md5Digest(md5.try_into().ok()?)))
            }
            LEFT_OUT => {
                let (item, why) = payload.split_first_chunk()?;
                let why = String::from_utf8_lossy(why).into_owned();
                Some(Learnt::LeftOut(ItemId(u32::from_le_bytes(*item)), why))
            }
            CHECKPOINT => Some(Learnt::Checkpoint(u64::from_le_bytes(payload.try_into().ok()?))),
            _ => None,
        }
    }
}

const HASHED: u8 = 1;
const WHOLE: u8 = 2;
const LEFT_OUT: u8 = 3;
const CHECKPOINT: u8 = 4;
/// Item, offset, length, digest.
const HASHED_BYTES: usize = 4 + 8 + 8 + 16;

fn record(kind: u8, payload: impl IntoIterator<Item = u8>) -> Vec<u8> {
    let mut record = vec![0; 8];
    record.push(kind);
    record.extend(payload);
    let length = u32::try_from(record.len() - 8).unwrap_or(u32::MAX);
    let crc = crc32fast::hash(&record[8..]);
    record[..4].copy_from_slice(&length.to_le_bytes());
    record[4..8].copy_from_slice(&crc.to_le_bytes());
    record
}

fn left_out(item: ItemId, why: &str) -> Vec<u8> {
    let why = &why[..why.floor_char_boundary(4_096)];
    record(LEFT_OUT, item.0.to_le_bytes().into_iter().chain(why.bytes()))
}

fn hashed_bytes(hashed: &Hashed) -> [u8; HASHED_BYTES] {
    let mut bytes = [0; HASHED_BYTES];
    bytes[..4].copy_from_slice(&hashed.item.0.to_le_bytes());
    bytes[4..12].copy_from_slice(&hashed.offset_bytes.to_le_bytes());
    bytes[12..20].copy_from_slice(&hashed.length_bytes.to_le_bytes());
    bytes[20..].copy_from_slice(&hashed.md5.0);
    bytes
}

fn hashed_of(bytes: &[u8; HASHED_BYTES]) -> Hashed {
    fn part<const N: usize>(bytes: &[u8; HASHED_BYTES], at: usize) -> [u8; N] {
        std::array::from_fn(|index| bytes[at + index])
    }
    Hashed {
        item: ItemId(u32::from_le_bytes(part(bytes, 0))),
        offset_bytes: u64::from_le_bytes(part(bytes, 4)),
        length_bytes: u64::from_le_bytes(part(bytes, 12)),
        md5: Md5Digest(part(bytes, 20)),
    }
}

/// Whether a reader is at its end.
trait AtEnd {
    fn fill_buf_is_empty(&mut self) -> bool;
}

impl AtEnd for BufReader<File> {
    fn fill_buf_is_empty(&mut self) -> bool {
        io::BufRead::fill_buf(self).is_ok_and(<[u8]>::is_empty)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::pack::source::SourceFault;
    use crate::work::tests::work_of;

    fn two_files() -> Work {
        work_of(&[("a", 1_000), ("b", 1_000)])
    }

    fn done(number: u64) -> Done {
        let item = ItemId(u32::try_from(number).unwrap());
        let hashed = |offset_bytes| Hashed { item, offset_bytes, length_bytes: 9, md5: Md5Digest([7; 16]) };
        let hashed = (0..700).map(hashed).collect();
        let faults = vec![(item, SourceFault::Modified)];
        let whole = vec![(item, Md5Digest([8; 16]))];
        Done { number, hashed, whole, faults, length_bytes: 0, file_count: 0 }
    }

    fn everything(spool: &mut Spool) -> Vec<Learnt> {
        let work = two_files();
        let mut reader = spool.read(5, &work).unwrap();
        std::iter::from_fn(|| reader.learn().unwrap()).collect()
    }

    #[test]
    fn what_was_learnt_reads_back_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("spool");
        let mut spool = Spool::create(&path, 5).unwrap();
        spool.slab(&done(0)).unwrap();
        spool.checkpoint(1).unwrap();
        let read = everything(&mut spool);
        assert_eq!(read.len(), 703);
        assert_eq!(read[699], Learnt::Hashed(done(0).hashed[699]));
        assert_eq!(read[700], Learnt::Whole(ItemId(0), Md5Digest([8; 16])));
        assert_eq!(read[702], Learnt::Checkpoint(1));
        let left_out = spool.left_out(5, &two_files()).unwrap();
        assert_eq!(left_out[&ItemId(0)], SourceFault::Modified.to_string());
    }

    #[test]
    fn cut_at_any_byte_it_goes_on_from_the_last_checkpoint() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("spool");
        let mut spool = Spool::create(&path, 5).unwrap();
        spool.slab(&done(0)).unwrap();
        spool.checkpoint(1).unwrap();
        let first = fs::metadata(&path).unwrap().len();
        spool.slab(&done(1)).unwrap();
        spool.checkpoint(2).unwrap();
        let whole = fs::read(&path).unwrap();
        for end in (usize::try_from(first).unwrap()..whole.len()).step_by(977).chain([whole.len() - 1]) {
            fs::write(&path, &whole[..end]).unwrap();
            let mut cut = Spool::reopen(&path, 5).unwrap();
            assert_eq!(cut.next_slab(), 1, "{end}");
            assert_eq!(everything(&mut cut).len(), 703);
            assert_eq!(fs::metadata(&path).unwrap().len(), first);
        }
        fs::write(&path, &whole).unwrap();
        assert_eq!(Spool::reopen(&path, 5).unwrap().next_slab(), 2);
    }

    #[test]
    fn another_plans_spool_is_refused_and_damage_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("spool");
        let mut spool = Spool::create(&path, 5).unwrap();
        spool.slab(&done(0)).unwrap();
        spool.checkpoint(1).unwrap();
        assert!(matches!(Spool::reopen(&path, 6), Err(SpoolError::Other { .. })));
        let mut bytes = fs::read(&path).unwrap();
        bytes[100] ^= 1;
        fs::write(&path, bytes).unwrap();
        let work = two_files();
        let mut reader = spool.read(5, &work).unwrap();
        assert!(matches!(reader.learn(), Err(SpoolError::Damaged { .. })));
    }

    #[test]
    fn what_cannot_be_of_this_session_is_an_error_with_its_place() {
        let folder = tempfile::tempdir().unwrap();
        let hashed = |item, offset_bytes, length_bytes| {
            let hashed = Hashed { item: ItemId(item), offset_bytes, length_bytes, md5: Md5Digest([7; 16]) };
            record(HASHED, hashed_bytes(&hashed))
        };
        let md5 = [8; 16];
        let whole = record(WHOLE, 2_u32.to_le_bytes().into_iter().chain(md5));
        for (foreign, expected) in [
            (hashed(2, 0, 9), "item 2 of 2"),
            (hashed(u32::MAX, 0, 9), "item 4294967295 of 2"),
            (hashed(1, 992, 9), "a part beyond the end of item 1"),
            (hashed(1, u64::MAX, 9), "a part beyond the end of item 1"),
            (whole, "item 2 of 2"),
            (left_out(ItemId(7), "why"), "item 7 of 2"),
        ] {
            let path = folder.path().join("spool");
            let mut spool = Spool::create(&path, 5).unwrap();
            spool.slab(&done(0)).unwrap();
            spool.checkpoint(1).unwrap();
            let end = fs::metadata(&path).unwrap().len();
            let mut bytes = fs::read(&path).unwrap();
            bytes.extend(foreign);
            bytes.extend(record(CHECKPOINT, 2_u64.to_le_bytes()));
            fs::write(&path, bytes).unwrap();
            let work = two_files();
            let mut spool = Spool::reopen(&path, 5).unwrap();
            let mut reader = spool.read(5, &work).unwrap();
            let error = loop {
                match reader.learn() {
                    Ok(learnt) => assert!(learnt.is_some(), "{expected} was taken"),
                    Err(error) => break error,
                }
            };
            let text = error.to_string();
            assert!(text.ends_with(&format!("at byte {end} it has {expected}")), "{text}");
            assert!(spool.left_out(5, &work).is_err(), "{expected}");
        }
    }
}

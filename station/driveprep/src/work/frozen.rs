//! A work in a file and back, exactly: what a resumed pack goes by.
//!
//! ```text
//! "drayage work\n" version:u8 session datasets directories items crc32:u32le
//! ```
//! Numbers are LEB128, signed ones zigzag; texts are a length and UTF-8; lists a count. The checksum is
//! over everything before it. The file lies on the customer's disk, so reading it trusts nothing: a
//! claimed length never allocates more than what then follows, and every number is checked against what
//! it points at; an error says at which byte.

use std::ffi::OsString;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::sync::Arc;

use manifest::BlockLength;

use super::{
    Dataset, DatasetId, Directory, DirectoryId, ItemKind, Record, SessionId, SessionIdError, SideFile, Work,
};

const MAGIC: &[u8] = b"drayage work\n\x02";
/// Longest text: a destination and a path of the operating system are at most 4 KiB, a path on the
/// drive 96 KiB.
const TEXT_BYTES_MAX: u64 = 128 << 10;
const SIDE_FILE_BYTES_MAX: u64 = manifest::limits::SIDE_FILE_BYTES_MAX as u64;

/// A frozen work that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("the frozen plan is damaged at byte {offset_bytes}")]
pub struct FrozenError {
    /// Where.
    pub offset_bytes: u64,
    /// What is wrong there.
    #[source]
    pub fault: FrozenFault,
}

/// What is wrong with a frozen work.
#[derive(Debug, thiserror::Error)]
pub enum FrozenFault {
    /// The file could not be read, or ends early.
    #[error("reading it")]
    Read(#[source] io::Error),
    /// Another kind of file, or of another version of this program.
    #[error("it is no plan of this version of driveprep")]
    Magic,
    /// A number of more than 64 bits, or not in its shortest form.
    #[error("a number is malformed")]
    Number,
    /// A length, count or reference beyond what is there.
    #[error("{what} is {found}, beyond {limit}")]
    Beyond {
        /// Of what.
        what: &'static str,
        /// The number that stands there.
        found: u64,
        /// The largest that could.
        limit: u64,
    },
    /// A text that is not UTF-8, or a word of ours that is none.
    #[error("{what} is malformed")]
    Malformed {
        /// What.
        what: &'static str,
    },
    /// The session's name.
    #[error("the session's id is malformed")]
    Session(#[source] SessionIdError),
    /// Bytes were changed.
    #[error("the checksum is {found:08X}, the content's is {expected:08X}")]
    Checksum {
        /// Of what was read.
        expected: u32,
        /// What stands there.
        found: u32,
    },
    /// Something follows the end.
    #[error("something follows the end")]
    Trailing,
}

impl Work {
    /// Writes it so that [`Work::load`] gives it back.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn save(&self, writer: impl Write) -> io::Result<()> {
        let mut out = Out { writer: BufWriter::new(writer), checksum: crc32fast::Hasher::new() };
        out.bytes(MAGIC)?;
        out.text(self.session.as_str())?;
        out.count(self.datasets.len())?;
        self.datasets.iter().try_for_each(|dataset| out.dataset(dataset))?;
        out.count(self.directories.len())?;
        self.directories.iter().try_for_each(|directory| out.directory(directory))?;
        out.count(self.items.len())?;
        self.items().try_for_each(|item| {
            out.text(item.name())?;
            out.record(item.record)
        })?;
        let checksum = out.checksum.clone().finalize();
        out.bytes(&checksum.to_le_bytes())?;
        out.writer.flush()
    }

    /// Reads what [`Work::save`] wrote.
    ///
    /// # Errors
    /// The first thing that is wrong with it, and where.
    pub fn load(reader: impl Read) -> Result<Work, FrozenError> {
        let checksum = crc32fast::Hasher::new();
        let mut input = In { reader: BufReader::new(reader), offset_bytes: 0, checksum };
        input.work().map_err(|fault| FrozenError { offset_bytes: input.offset_bytes, fault })
    }
}

struct Out<W: Write> {
    writer: BufWriter<W>,
    checksum: crc32fast::Hasher,
}

impl<W: Write> Out<W> {
    fn bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.checksum.update(bytes);
        self.writer.write_all(bytes)
    }

    fn number(&mut self, mut number: u64) -> io::Result<()> {
        while number >= 0x80 {
            self.bytes(&[number.to_le_bytes()[0] | 0x80])?;
            number >>= 7;
        }
        self.bytes(&number.to_le_bytes()[..1])
    }

    fn signed(&mut self, number: i64) -> io::Result<()> {
        self.number(((number << 1) ^ (number >> 63)).cast_unsigned())
    }

    fn count(&mut self, count: usize) -> io::Result<()> {
        self.number(u64::try_from(count).unwrap_or(u64::MAX))
    }

    fn blob(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.count(bytes.len())?;
        self.bytes(bytes)
    }

    fn text(&mut self, text: &str) -> io::Result<()> {
        self.blob(text.as_bytes())
    }

    fn dataset(&mut self, dataset: &Dataset) -> io::Result<()> {
        self.blob(dataset.source.as_os_str().as_bytes())?;
        self.number(u64::from(dataset.is_directory) | u64::from(dataset.content_md5) << 1)?;
        self.text(&dataset.destination)?;
        self.text(&dataset.drive_directory)?;
        self.text(dataset.disposition.as_str())?;
        self.number(dataset.block_length.bytes())?;
        self.side_file(dataset.metadata.as_ref())?;
        self.side_file(dataset.properties.as_ref())
    }

    fn side_file(&mut self, side_file: Option<&SideFile>) -> io::Result<()> {
        self.count(usize::from(side_file.is_some()))?;
        let Some(side_file) = side_file else { return Ok(()) };
        self.text(&side_file.drive_path)?;
        self.blob(&side_file.bytes)
    }

    fn directory(&mut self, directory: &Directory) -> io::Result<()> {
        self.number(directory.dataset.0.into())?;
        // 0 is no parent.
        self.number(directory.parent.map_or(0, |parent| u64::from(parent.0) + 1))?;
        self.text(&directory.name)
    }

    fn record(&mut self, record: &Record) -> io::Result<()> {
        self.number(record.directory.0.into())?;
        self.number(kind_number(record.kind))?;
        self.number(record.length_bytes)?;
        self.number(record.allocated_bytes)?;
        self.signed(record.modified_nanoseconds)?;
        self.signed(record.accessed_nanoseconds)
    }
}

const KINDS: [ItemKind; 3] = [ItemKind::Block, ItemKind::Page, ItemKind::File];

fn kind_number(kind: ItemKind) -> u64 {
    match kind {
        ItemKind::Block => 0,
        ItemKind::Page => 1,
        ItemKind::File => 2,
    }
}

struct In<R: Read> {
    reader: BufReader<R>,
    offset_bytes: u64,
    checksum: crc32fast::Hasher,
}

impl<R: Read> In<R> {
    fn work(&mut self) -> Result<Work, FrozenFault> {
        if self.take(MAGIC.len() as u64)? != MAGIC {
            return Err(FrozenFault::Magic);
        }
        let session: SessionId = self.text("the session")?.parse().map_err(FrozenFault::Session)?;
        let mut work = super::Builder::new(session).finish();
        for _ in 0..self.bounded("the count of datasets", u32::MAX.into())? {
            let dataset = self.dataset()?;
            work.datasets.push(dataset);
        }
        for _ in 0..self.bounded("the count of directories", u32::MAX.into())? {
            let directory = self.directory(&work)?;
            work.directories.push(directory);
        }
        for _ in 0..self.bounded("the count of items", u32::MAX.into())? {
            let record = self.record(&mut work)?;
            work.items.push(record);
        }
        self.end()?;
        Ok(work)
    }

    fn end(&mut self) -> Result<(), FrozenFault> {
        let expected = self.checksum.clone().finalize();
        let found: [u8; 4] = self.take(4)?.try_into().map_err(|_| FrozenFault::Number)?;
        let found = u32::from_le_bytes(found);
        if found != expected {
            return Err(FrozenFault::Checksum { expected, found });
        }
        match self.reader.read(&mut [0]).map_err(FrozenFault::Read)? {
            0 => Ok(()),
            _ => Err(FrozenFault::Trailing),
        }
    }

    /// Reads exactly that many bytes; memory grows with what is there, not with what is claimed.
    fn take(&mut self, length_bytes: u64) -> Result<Vec<u8>, FrozenFault> {
        let mut bytes = Vec::new();
        (&mut self.reader).take(length_bytes).read_to_end(&mut bytes).map_err(FrozenFault::Read)?;
        let found = bytes.len() as u64;
        self.offset_bytes = self.offset_bytes.saturating_add(found);
        self.checksum.update(&bytes);
        if found < length_bytes {
            return Err(FrozenFault::Read(io::ErrorKind::UnexpectedEof.into()));
        }
        Ok(bytes)
    }

    fn byte(&mut self) -> Result<u8, FrozenFault> {
        let mut byte = [0];
        self.reader.read_exact(&mut byte).map_err(FrozenFault::Read)?;
        self.checksum.update(&byte);
        self.offset_bytes = self.offset_bytes.saturating_add(1);
        Ok(byte[0])
    }

    fn number(&mut self) -> Result<u64, FrozenFault> {
        let mut number: u64 = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7F);
            let is_last = byte & 0x80 == 0;
            // The tenth byte has one bit left, and a last byte of 0 says nothing.
            if (bits << shift) >> shift != bits || (is_last && bits == 0 && shift > 0) {
                return Err(FrozenFault::Number);
            }
            number |= bits << shift;
            if is_last {
                return Ok(number);
            }
        }
        Err(FrozenFault::Number)
    }

    fn signed(&mut self) -> Result<i64, FrozenFault> {
        let number = self.number()?;
        Ok((number >> 1).cast_signed() ^ -(number & 1).cast_signed())
    }

    fn bounded(&mut self, what: &'static str, limit: u64) -> Result<u64, FrozenFault> {
        match self.number()? {
            found if found <= limit => Ok(found),
            found => Err(FrozenFault::Beyond { what, found, limit }),
        }
    }

    /// A number below `count`, as 32 bits.
    fn index(&mut self, what: &'static str, count: usize) -> Result<u32, FrozenFault> {
        let found = self.number()?;
        let limit = count as u64;
        let index = u32::try_from(found).ok().filter(|_| found < limit);
        index.ok_or(FrozenFault::Beyond { what, found, limit })
    }

    fn blob(&mut self, what: &'static str, limit: u64) -> Result<Vec<u8>, FrozenFault> {
        let length = self.bounded(what, limit)?;
        self.take(length)
    }

    fn text(&mut self, what: &'static str) -> Result<String, FrozenFault> {
        let bytes = self.blob(what, TEXT_BYTES_MAX)?;
        String::from_utf8(bytes).map_err(|_| FrozenFault::Malformed { what })
    }

    fn dataset(&mut self) -> Result<Dataset, FrozenFault> {
        let source = OsString::from_vec(self.blob("a source", TEXT_BYTES_MAX)?).into();
        let flags = self.bounded("a dataset's flags", 3)?;
        Ok(Dataset {
            source,
            is_directory: flags & 1 != 0,
            content_md5: flags & 2 != 0,
            destination: self.text("a destination")?,
            drive_directory: self.text("a path on the drive")?,
            disposition: self
                .text("a disposition")?
                .parse()
                .map_err(|_| FrozenFault::Malformed { what: "a disposition" })?,
            block_length: self.block_length()?,
            metadata: self.side_file()?,
            properties: self.side_file()?,
        })
    }

    fn block_length(&mut self) -> Result<BlockLength, FrozenFault> {
        let bytes = self.number()?;
        BlockLength::new(bytes).ok_or(FrozenFault::Malformed { what: "a block length" })
    }

    fn side_file(&mut self) -> Result<Option<SideFile>, FrozenFault> {
        if self.bounded("a side file's flag", 1)? == 0 {
            return Ok(None);
        }
        let drive_path = self.text("a side file's path")?;
        let bytes = Arc::from(self.blob("a side file", SIDE_FILE_BYTES_MAX)?);
        Ok(Some(SideFile { drive_path, bytes }))
    }

    fn directory(&mut self, work: &Work) -> Result<Directory, FrozenFault> {
        let dataset = DatasetId(self.index("a directory's dataset", work.datasets.len())?);
        let above = self.index("a directory's parent", work.directories.len() + 1)?;
        let parent = above.checked_sub(1).map(DirectoryId);
        if parent.is_some_and(|parent| work.directory(parent).dataset != dataset) {
            return Err(FrozenFault::Malformed { what: "a directory's parent" });
        }
        Ok(Directory { dataset, parent, name: self.text("a directory's name")?.into() })
    }

    fn record(&mut self, work: &mut Work) -> Result<Record, FrozenFault> {
        let name = self.text("a file's name")?;
        let malformed = |_| FrozenFault::Malformed { what: "a file's name" };
        let name_bytes = u16::try_from(name.len()).map_err(malformed)?;
        let name_start = work.names.len() as u64;
        work.names.push_str(&name);
        Ok(Record {
            name_start,
            name_bytes,
            directory: DirectoryId(self.index("a file's directory", work.directories.len())?),
            kind: KINDS[self.index("a file's kind", KINDS.len())? as usize],
            length_bytes: self.number()?,
            allocated_bytes: self.number()?,
            modified_nanoseconds: self.signed()?,
            accessed_nanoseconds: self.signed()?,
        })
    }
}

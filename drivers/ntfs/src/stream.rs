//! From a file to the bytes of one of its streams: sizes, and where the bytes are. spec/ntfs.md §3.4–3.7.
//!
//! A stream's pieces come from the index; when the file has an `$ATTRIBUTE_LIST`, the list says
//! which of them count and that none is missing. Whatever does not fit together exactly is
//! [`Damage`]: a stream is handed out whole or not at all.

mod gather;

use block::ReadError;

use crate::content::wof::{Wof, WofAlgorithm};
use crate::extent::{Extent, Layout, LayoutFault};
use crate::index::entry::{Head, Resident};
use crate::mft::RecordError;
use crate::record::FileId;
use crate::reparse::{self, ReparseTag};
use crate::volume::Volume;
use gather::{Found, Gathered};

/// Largest compression unit: 16 clusters of 64 KiB.
const UNIT_BYTES_MAX: u64 = 1 << 20;
/// The stream in which the Windows Overlay Filter keeps a file's content.
const WOF_STREAM: &str = "WofCompressedData";

/// A stream of a file, ready to be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stream {
    /// How many bytes it has.
    pub length_bytes: u64,
    /// From here on it reads as zeros, whatever its clusters hold.
    pub initialized_bytes: u64,
    /// Where the bytes are.
    pub content: StreamContent,
}

/// Where a stream's bytes are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StreamContent {
    /// In the file's record; here they are.
    Resident(Box<[u8]>),
    /// On the volume, in plain: ascending and without gaps they cover the stream exactly.
    Extents(Vec<Extent>),
    /// In LZNT1 units; only [`Volume::read_at`] reads it.
    Compressed(Compressed),
    /// In chunks of the Windows Overlay Filter; only [`Volume::read_at`] reads it.
    Wof(Wof),
}

/// A stream in LZNT1 compression units.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compressed {
    /// The clusters; what is a hole within a unit says how the unit is stored.
    pub(crate) extents: Vec<Extent>,
    pub(crate) unit_bytes: u64,
}

/// Why a stream cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum StreamError {
    /// The file is no longer there, or never was.
    #[error("record {} with sequence number {} is not a file", file.record, file.sequence)]
    Stale {
        /// The file asked for.
        file: FileId,
    },
    /// The file has no such stream.
    #[error("the file has no such stream")]
    NotFound,
    /// Encrypted by EFS; the key is not on the drive.
    #[error("the stream is encrypted by EFS")]
    Encrypted,
    /// The content is elsewhere.
    #[error("the file is a reparse point: {tag}")]
    Reparse {
        /// What kind of.
        tag: ReparseTag,
    },
    /// Compressed by the Windows Overlay Filter in a way that is not known here.
    #[error("compressed by overlay provider {provider} with algorithm {algorithm}, which is not known")]
    Overlay {
        /// 2 keeps the content with the file; 1 in a WIM archive.
        provider: u32,
        /// 0 to 3 are known.
        algorithm: u32,
    },
    /// The stream's records contradict each other.
    #[error("the stream of record {record} is damaged")]
    Damaged {
        /// The record at fault.
        record: u64,
        /// What is wrong.
        #[source]
        damage: Damage,
    },
    /// Longer than [`crate::Limits::decompressed_bytes_max`].
    #[error("the stream would decompress to {length_bytes} bytes, more than {limit}")]
    TooLong {
        /// Its length.
        length_bytes: u64,
        /// The limit.
        limit: u64,
    },
    /// A part of it had to be read from `$MFT` again, and could not.
    #[error("reading record {record} again")]
    Read {
        /// The record.
        record: u64,
        /// Why.
        #[source]
        source: ReadError,
    },
}

/// What is wrong with a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    /// Its pieces do not fit together.
    #[error(transparent)]
    Layout(#[from] LayoutFault),
    /// A piece of it was found damaged during the sweep (the reason is among the volume's problems).
    #[error("a piece of it has damaged data runs")]
    Broken,
    /// The attribute list names a piece that is not there.
    #[error("the attribute list names a piece at VCN {start_vcn} in record {holder}, which is not there")]
    Missing {
        /// First VCN of the piece.
        start_vcn: u64,
        /// The record that should hold it.
        holder: u64,
    },
    /// It begins more than once.
    #[error("it begins more than once")]
    Twice,
    /// It was not found in a record whose end is lost.
    #[error("the end of the file's record is lost, and maybe the stream with it")]
    Lost,
    /// The attribute list cannot be read.
    #[error("the attribute list cannot be read")]
    List,
    /// The record, when it was read again.
    #[error("the record is not as it was during the sweep")]
    Changed,
    /// A compression unit of a size that NTFS does not have.
    #[error("its compression units have 2^{shift} clusters")]
    Unit {
        /// The binary logarithm.
        shift: u8,
    },
    /// The reparse point of the overlay filter is too short.
    #[error("its reparse point is cut off")]
    ReparsePoint,
}

impl Volume {
    /// A stream of a file: `None` is its content, a name one of its alternate streams.
    ///
    /// # Errors
    /// See [`StreamError`].
    pub fn stream(&self, file: FileId, name: Option<&str>) -> Result<Stream, StreamError> {
        let units: Vec<u16> = name.unwrap_or("").encode_utf16().collect();
        self.stream_by_units(file, &units)
    }

    /// As [`Volume::stream`], for a name that may not be Unicode; an empty one is the content.
    ///
    /// # Errors
    /// As there.
    pub fn stream_by_units(&self, file: FileId, name: &[u16]) -> Result<Stream, StreamError> {
        let current = self.index.current(file).ok_or(StreamError::Stale { file })?;
        let file = FileId { record: file.record, sequence: current.sequence };
        let tag = reparse::tag_of(&self.index, file).filter(|_| name.is_empty());
        match tag {
            Some(ReparseTag::WOF) => self.overlaid(file),
            Some(tag) => Err(StreamError::Reparse { tag }),
            None => self.plain(file, name),
        }
    }

    /// A stream as its attributes have it.
    fn plain(&self, file: FileId, name: &[u16]) -> Result<Stream, StreamError> {
        let gathered = self.gather(file, name)?;
        match gathered.found {
            Found::Resident { record, resident } => self.resident(record, &resident),
            Found::NonResident { head, ref pieces } => self.non_resident(&gathered, &head, pieces),
        }
    }

    fn resident(&self, record: u64, resident: &Resident<'_>) -> Result<Stream, StreamError> {
        if resident.encrypted {
            return Err(StreamError::Encrypted);
        }
        let content = match resident.content {
            Some(content) => content.into(),
            None => self.resident_again(record, resident)?,
        };
        Ok(Stream {
            length_bytes: resident.length_bytes,
            initialized_bytes: resident.length_bytes,
            content: StreamContent::Resident(content),
        })
    }

    fn non_resident(
        &self,
        gathered: &Gathered<'_>,
        head: &Head<'_>,
        pieces: &[gather::Piece<'_>],
    ) -> Result<Stream, StreamError> {
        if head.encrypted {
            return Err(StreamError::Encrypted);
        }
        let damaged = |record, fault: LayoutFault| StreamError::Damaged { record, damage: fault.into() };
        let mut layout = Layout::new(&self.geometry, self.limits.extents_max);
        layout.append(0, head.runs).map_err(|fault| damaged(gathered.head_record, fault))?;
        for piece in pieces {
            layout.append(piece.start_vcn, piece.runs).map_err(|fault| damaged(piece.record, fault))?;
        }
        let whole = |fault| damaged(gathered.head_record, fault);
        let (length_bytes, initialized_bytes) = (head.length_bytes, head.initialized_bytes);
        let content = match head.compression {
            None => StreamContent::Extents(layout.finish(length_bytes, initialized_bytes).map_err(whole)?),
            Some(shift) => {
                self.check_decompressed(length_bytes)?;
                let unit_bytes = self.unit_bytes(gathered.head_record, shift)?;
                let extents = layout.clusters(length_bytes).map_err(whole)?;
                if initialized_bytes > length_bytes {
                    return Err(whole(LayoutFault::Initialized { length_bytes, initialized_bytes }));
                }
                StreamContent::Compressed(Compressed { extents, unit_bytes })
            }
        };
        Ok(Stream { length_bytes, initialized_bytes, content })
    }

    fn unit_bytes(&self, record: u64, shift: u8) -> Result<u64, StreamError> {
        let unit = u64::from(self.geometry.cluster_bytes).checked_shl(shift.into());
        // Half a gigabyte shifted out is 0: the range refuses it, too.
        unit.filter(|bytes| shift != 0 && shift < 32 && (1..=UNIT_BYTES_MAX).contains(bytes))
            .ok_or(StreamError::Damaged { record, damage: Damage::Unit { shift } })
    }

    fn check_decompressed(&self, length_bytes: u64) -> Result<(), StreamError> {
        let limit = self.limits.decompressed_bytes_max;
        if length_bytes > limit { Err(StreamError::TooLong { length_bytes, limit }) } else { Ok(()) }
    }

    /// A file whose content the Windows Overlay Filter moved into another stream. The unnamed one is
    /// a hole of the right length.
    fn overlaid(&self, file: FileId) -> Result<Stream, StreamError> {
        let algorithm = self.overlay_algorithm(file)?;
        let length_bytes = self.plain(file, &[])?.length_bytes;
        self.check_decompressed(length_bytes)?;
        let stream: Vec<u16> = WOF_STREAM.encode_utf16().collect();
        let data = self.plain(file, &stream)?;
        let wof = Wof { algorithm, data: Box::new(data) };
        Ok(Stream { length_bytes, initialized_bytes: length_bytes, content: StreamContent::Wof(wof) })
    }

    /// What the reparse point says: overlay version, provider (2: with the file), version, algorithm.
    fn overlay_algorithm(&self, file: FileId) -> Result<WofAlgorithm, StreamError> {
        let (record, value) = self.reparse_value(file)?;
        let field = |at| crate::bytes::u32_at(&value, at);
        let damaged = StreamError::Damaged { record, damage: Damage::ReparsePoint };
        let provider = field(12).ok_or(damaged)?;
        // A WIM-backed file's data is an identifier of another layout.
        let algorithm = field(20).unwrap_or(0);
        let known = WofAlgorithm::from_field(algorithm).filter(|_| provider == 2);
        known.ok_or(StreamError::Overlay { provider, algorithm })
    }
}

/// Reading a record once more failed.
pub(crate) fn again(record: u64, error: RecordError) -> StreamError {
    match error {
        RecordError::Read(source) => StreamError::Read { record, source },
        RecordError::Fault(_) | RecordError::Outside { .. } => {
            StreamError::Damaged { record, damage: Damage::Changed }
        }
    }
}

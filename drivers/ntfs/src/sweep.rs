//! The sweep: all of `$MFT` once, in large reads, into the packed index. spec/ntfs.md §3.2–3.4.
//!
//! ```text
//! $MFT ──4 MiB reads──▶ record ──restore──▶ attributes ──pack──▶ entry ──▶ Index
//! ```
//! Nothing is followed here: no parent, no attribute list, no second read. A record that cannot be
//! used becomes a [`Problem`](crate::Problem) and the sweep goes on; only a device that is gone and
//! the [`Limits`] end it.

use block::{ReadError, ReadErrorKind};

use crate::boot::Geometry;
use crate::bytes::{on_volume, u32_at};
use crate::index::Index;
use crate::index::entry::{self, Head, Header, Item, Resident};
use crate::limits::Limits;
use crate::mft::Mft;
use crate::problem::{ProblemKind, Problems};
use crate::record::{
    self, ATTRIBUTE_LIST, Attribute, Body, COMPRESSED, DATA, ENCRYPTED, FILE_NAME, FileName, NonResident,
    REPARSE_POINT, Record,
};
use crate::runs;
use crate::wtf8;

/// Large enough that a spinning drive streams, small beside the index.
const READ_BYTES: usize = 4 << 20;
/// The low byte of an attribute's flags is its compression.
const COMPRESSION_MASK: u16 = 0x00ff;

/// How far the sweep has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SweepProgress {
    /// Records read.
    pub records: u64,
    /// Records of `$MFT`.
    pub records_total: u64,
}

/// Why the sweep ended early.
#[derive(Debug, thiserror::Error)]
pub enum SweepError {
    /// The device does not give `$MFT`, and not because of a bad sector.
    #[error("sweeping $MFT")]
    Read(#[from] ReadError),
    /// The volume holds more than it may.
    #[error("the volume has more than {limit} {what}")]
    Limit {
        /// Of what.
        what: &'static str,
        /// The limit: see [`Limits`].
        limit: u64,
    },
}

/// What the sweep gives.
pub(crate) struct Swept {
    pub(crate) index: Index,
    /// Names in the index.
    pub(crate) names: u64,
}

/// Reads all records. `progress` is called after each large read.
pub(crate) fn sweep(
    mft: &Mft,
    geometry: &Geometry,
    limits: &Limits,
    problems: &mut Problems,
    progress: &mut dyn FnMut(SweepProgress),
) -> Result<Swept, SweepError> {
    let records_total = mft.records();
    if records_total > limits.records_max {
        return Err(SweepError::Limit { what: "FILE records", limit: limits.records_max });
    }
    let mut packer = Packer::new(geometry, limits, records_total, problems);
    each_record(mft, geometry, &mut packer, progress)?;
    packer.swept.index.seal();
    Ok(packer.swept)
}

/// What takes the records of `$MFT`, one by one and in order.
pub(crate) trait TakeRecord {
    /// A record as it is on the volume, or `None` where the medium cannot give it.
    fn take(&mut self, number: u64, raw: Option<&mut [u8]>) -> Result<(), SweepError>;

    /// Called after each large read.
    fn after_batch(&mut self) -> Result<(), SweepError>;
}

/// Reads `$MFT` once, in large reads. A bad sector costs the records in it, a device that is gone all.
pub(crate) fn each_record(
    mft: &Mft,
    geometry: &Geometry,
    taker: &mut dyn TakeRecord,
    progress: &mut dyn FnMut(SweepProgress),
) -> Result<(), SweepError> {
    let records_total = mft.records();
    let record_length = geometry.record_length();
    let batch = READ_BYTES.checked_div(record_length).unwrap_or(1);
    let mut buffer = vec![0; batch.saturating_mul(record_length)];
    let mut first = 0_u64;
    while first < records_total {
        let left = usize::try_from(records_total.saturating_sub(first)).unwrap_or(batch);
        let length = batch.min(left).saturating_mul(record_length);
        let part = buffer.get_mut(..length).unwrap_or(&mut []);
        take_batch(mft, record_length, first, part, taker)?;
        taker.after_batch()?;
        first = first.saturating_add(on_volume(batch.min(left)));
        progress(SweepProgress { records: first, records_total });
    }
    Ok(())
}

fn take_batch(
    mft: &Mft,
    record_length: usize,
    first: u64,
    buffer: &mut [u8],
    taker: &mut dyn TakeRecord,
) -> Result<(), SweepError> {
    let offset = |number: u64| number.saturating_mul(on_volume(record_length));
    let one_by_one = match mft.read(buffer, offset(first)) {
        Ok(()) => false,
        Err(error) if is_local(&error) => true,
        Err(error) => return Err(error.into()),
    };
    for (number, raw) in (first..).zip(buffer.chunks_exact_mut(record_length)) {
        let read = if one_by_one { mft.read(raw, offset(number)) } else { Ok(()) };
        match read {
            Ok(()) => taker.take(number, Some(raw))?,
            Err(error) if is_local(&error) => taker.take(number, None)?,
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Turns records into entries.
struct Packer<'a> {
    geometry: &'a Geometry,
    limits: &'a Limits,
    problems: &'a mut Problems,
    swept: Swept,
    streams: u64,
    resident_kept: u64,
    /// Reused from record to record.
    items: Vec<u8>,
    entry: Vec<u8>,
    name: Vec<u8>,
    runs: Vec<u8>,
}

impl<'a> Packer<'a> {
    fn new(geometry: &'a Geometry, limits: &'a Limits, records: u64, problems: &'a mut Problems) -> Self {
        Packer {
            geometry,
            limits,
            problems,
            swept: Swept { index: Index::with_records(records), names: 0 },
            streams: 0,
            resident_kept: 0,
            items: Vec::new(),
            entry: Vec::new(),
            name: Vec::new(),
            runs: Vec::new(),
        }
    }

    fn check_limits(&self) -> Result<(), SweepError> {
        let limits = self.limits;
        let check = |what, found: u64, limit: u64| {
            if found > limit { Err(SweepError::Limit { what, limit }) } else { Ok(()) }
        };
        check("names", self.swept.names, limits.names_max)?;
        check("data streams", self.streams, limits.streams_max)?;
        check("bytes of index", self.swept.index.bytes(), limits.index_bytes_max)
    }

    fn pack(&mut self, number: u64, record: &Record<'_>) -> Result<(), SweepError> {
        let mut header = Header {
            directory: record.is_directory(),
            sequence: record.sequence,
            base: record.base,
            ..Header::default()
        };
        let [low @ .., _, _, _, _] = number.to_le_bytes();
        if let Some(found) = record.own_number().filter(|found| found.to_le_bytes() != low) {
            self.problems.push(number, ProblemKind::Misplaced { found });
        }
        self.items.clear();
        for attribute in record.attributes() {
            match attribute {
                Ok(attribute) if attribute.kind == ATTRIBUTE_LIST => header.attribute_list = true,
                Ok(attribute) => self.attribute(number, &attribute),
                Err(fault) => {
                    header.damaged = true;
                    self.problems.push(number, ProblemKind::Attribute { at: fault.at });
                }
            }
        }
        self.store(number, &header)
    }

    fn store(&mut self, number: u64, header: &Header) -> Result<(), SweepError> {
        self.entry.clear();
        header.write(&mut self.entry);
        self.entry.extend_from_slice(&self.items);
        entry::write_end(&mut self.entry);
        if self.swept.index.insert(number, &self.entry, header.base) {
            Ok(())
        } else {
            Err(SweepError::Limit { what: "bytes of index", limit: u32::MAX.into() })
        }
    }

    fn attribute(&mut self, number: u64, attribute: &Attribute<'_>) {
        match (attribute.kind, attribute.body) {
            (FILE_NAME, Body::Resident(value)) => self.file_name(number, value),
            (FILE_NAME, Body::NonResident(_)) => self.problems.push(number, ProblemKind::FileName),
            (DATA, body) => {
                self.streams = self.streams.saturating_add(1);
                self.name.clear();
                wtf8::push_utf16le(&mut self.name, attribute.name);
                match body {
                    Body::Resident(value) => self.resident(attribute, value),
                    Body::NonResident(piece) => self.non_resident(number, attribute, &piece),
                }
            }
            (REPARSE_POINT, Body::Resident(value)) => {
                let tag = u32_at(value, 0).unwrap_or(0);
                Item::Reparse { tag }.write(&mut self.items);
            }
            // Larger than its record; no kind that could be read is.
            (REPARSE_POINT, Body::NonResident(_)) => Item::Reparse { tag: 0 }.write(&mut self.items),
            _ => {}
        }
    }

    fn file_name(&mut self, number: u64, value: &[u8]) {
        let Some(file_name) = FileName::parse(value) else {
            self.problems.push(number, ProblemKind::FileName);
            return;
        };
        if file_name.namespace == FileName::DOS {
            return;
        }
        self.swept.names = self.swept.names.saturating_add(1);
        self.name.clear();
        wtf8::push_utf16le(&mut self.name, file_name.name);
        Item::Name { parent: file_name.parent, name: &self.name }.write(&mut self.items);
    }

    fn resident(&mut self, attribute: &Attribute<'_>, value: &[u8]) {
        let length_bytes = on_volume(value.len());
        let kept = self.resident_kept.saturating_add(length_bytes);
        let keep = kept <= self.limits.resident_kept_bytes;
        if keep {
            self.resident_kept = kept;
        }
        let resident = Resident {
            name: &self.name,
            length_bytes,
            encrypted: attribute.flags & ENCRYPTED != 0,
            content: keep.then_some(value),
        };
        Item::Resident(resident).write(&mut self.items);
    }

    fn non_resident(&mut self, number: u64, attribute: &Attribute<'_>, piece: &NonResident<'_>) {
        if let Err(kind) = self.keep_runs(attribute, piece) {
            self.problems.push(number, kind);
            Item::Broken { name: &self.name }.write(&mut self.items);
            return;
        }
        let (name, runs) = (&self.name, &self.runs);
        if piece.start_vcn != 0 {
            Item::Piece { name, start_vcn: piece.start_vcn, runs }.write(&mut self.items);
            return;
        }
        let compressed = attribute.flags & COMPRESSION_MASK == COMPRESSED;
        let head = Head {
            name,
            length_bytes: piece.length_bytes,
            initialized_bytes: piece.initialized_bytes,
            compression: compressed.then_some(piece.unit_shift),
            encrypted: attribute.flags & ENCRYPTED != 0,
            runs,
        };
        Item::Head(head).write(&mut self.items);
    }

    /// Checks the mapping pairs and leaves them, with an end mark, in `self.runs`.
    fn keep_runs(&mut self, attribute: &Attribute<'_>, piece: &NonResident<'_>) -> Result<(), ProblemKind> {
        let compression = attribute.flags & COMPRESSION_MASK;
        if compression != 0 && compression != COMPRESSED {
            return Err(ProblemKind::Compression { found: compression });
        }
        let measure = runs::measure(piece.runs, self.geometry.clusters).map_err(ProblemKind::Runs)?;
        // An empty piece ends one before it begins.
        let expected = piece.last_vcn.wrapping_add(1).wrapping_sub(piece.start_vcn);
        if measure.clusters != expected {
            return Err(ProblemKind::RunsLength { expected, found: measure.clusters });
        }
        self.runs.clear();
        self.runs.extend_from_slice(piece.runs.get(..measure.encoded_bytes).unwrap_or(&[]));
        self.runs.push(0);
        Ok(())
    }
}

impl TakeRecord for Packer<'_> {
    fn take(&mut self, number: u64, raw: Option<&mut [u8]>) -> Result<(), SweepError> {
        let Some(raw) = raw else {
            self.problems.push(number, ProblemKind::Unreadable);
            return Ok(());
        };
        if !record::claims_use(raw) || !record::looks_used(raw) {
            return Ok(());
        }
        let restored = record::restore(raw);
        match restored.and_then(|()| Record::parse(raw)) {
            Ok(record) => self.pack(number, &record),
            Err(fault) => {
                self.problems.push(number, ProblemKind::Record(fault));
                Ok(())
            }
        }
    }

    fn after_batch(&mut self) -> Result<(), SweepError> {
        self.check_limits()
    }
}

/// A failed read that concerns its own sectors only.
pub(crate) fn is_local(error: &ReadError) -> bool {
    match error.kind {
        ReadErrorKind::Medium | ReadErrorKind::OutOfRange { .. } => true,
        ReadErrorKind::Gone | ReadErrorKind::Denied | ReadErrorKind::Other => false,
    }
}

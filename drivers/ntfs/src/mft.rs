//! `$MFT`: where it is, and single records out of it. spec/ntfs.md §3.2.
//!
//! [`Mft::find`] is the bootstrap: record 0 says where `$MFT` is, and when its runs overflowed, the
//! extension records that say more lie inside the part that is known already. Reading all records
//! in order is [`crate::sweep`]'s business; here is the slow way to one of them.

use std::sync::{Mutex, PoisonError};

use block::{ReadError, SharedDevice};

use crate::attribute_list;
use crate::boot::Geometry;
use crate::bytes::{in_memory, on_volume, slice_at};
use crate::content::read_extents;
use crate::extent::{Extent, Layout, LayoutFault};
use crate::limits::Limits;
use crate::record::{self, ATTRIBUTE_LIST, Body, DATA, FileId, NonResident, Record, RecordFault};

/// Records are fetched in windows of this size, because who needs one by number (a small file's
/// content) usually needs its neighbour next.
const WINDOW_BYTES: u64 = 64 << 10;

/// Why `$MFT` could not be found from its boot sector.
#[derive(Debug, thiserror::Error)]
pub enum MftError {
    /// The device does not give the bytes.
    #[error("reading record 0 of $MFT or its extensions")]
    Read(#[from] ReadError),
    /// Neither `$MFT` nor `$MFTMirr` begins with a sound record; this is about the former.
    #[error("record 0 is damaged, at {mft_offset_bytes:#x} and in $MFTMirr")]
    Record {
        /// Where `$MFT` begins.
        mft_offset_bytes: u64,
        /// What is wrong with the record there.
        #[source]
        source: RecordFault,
    },
    /// Record 0 has no data that could be followed.
    #[error("record 0 has no non-resident $DATA")]
    NoData,
    /// The runs of `$MFT` contradict each other.
    #[error("the data runs of $MFT do not fit together")]
    Layout(#[from] LayoutFault),
    /// A part of `$MFT` that is nowhere.
    #[error("$MFT has a hole at {offset_bytes:#x}")]
    Hole {
        /// Where in `$MFT`.
        offset_bytes: u64,
    },
    /// More records than the device has bytes for: clusters counted several times over.
    #[error("$MFT has {length_bytes} bytes on a device of {device_bytes}")]
    TooLong {
        /// Length of `$MFT`.
        length_bytes: u64,
        /// Length of the device.
        device_bytes: u64,
    },
    /// The attribute list of `$MFT` names something that is not there.
    #[error("the attribute list of $MFT is damaged")]
    List,
}

/// Why one record could not be had.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The device does not give the bytes.
    #[error("reading a FILE record")]
    Read(#[from] ReadError),
    /// The record is there, and damaged.
    #[error("the FILE record is damaged")]
    Fault(#[from] RecordFault),
    /// `$MFT` does not reach that far.
    #[error("$MFT has only {records} records")]
    Outside {
        /// Records of `$MFT`.
        records: u64,
    },
}

/// See the module's documentation.
pub(crate) struct Mft {
    device: SharedDevice,
    geometry: Geometry,
    /// The runs, cut at the initialised size; no holes.
    extents: Vec<Extent>,
    window: Mutex<Window>,
}

#[derive(Default)]
struct Window {
    start_bytes: u64,
    bytes: Vec<u8>,
}

impl Mft {
    /// Follows the boot sector to all of `$MFT`. The flag tells that record 0 came from `$MFTMirr`.
    pub(crate) fn find(
        device: SharedDevice,
        geometry: Geometry,
        limits: &Limits,
    ) -> Result<(Mft, bool), MftError> {
        let (raw, from_mirror) = first_record(&device, &geometry)?;
        let record = Record::parse(&raw).map_err(|source| damaged(&geometry, source))?;
        let head = data_piece(&record, 0).ok_or(MftError::NoData)?;
        let mut layout = Layout::new(&geometry, limits.extents_max);
        layout.append(0, head.runs)?;
        if let Some(list) = list_value(&device, &geometry, &record, limits)? {
            follow(&device, &list, &mut layout)?;
        }
        let length_bytes = head.length_bytes.min(head.initialized_bytes);
        let device_bytes = device.length_bytes();
        if length_bytes > device_bytes {
            return Err(MftError::TooLong { length_bytes, device_bytes });
        }
        let extents = layout.finish(length_bytes, length_bytes)?;
        if let Some(hole) = extents.iter().find(|extent| extent.volume_offset_bytes.is_none()) {
            return Err(MftError::Hole { offset_bytes: hole.file_offset_bytes });
        }
        Ok((Mft { device, geometry, extents, window: Mutex::default() }, from_mirror))
    }

    /// How many whole records there are.
    pub(crate) fn records(&self) -> u64 {
        let length_bytes = self.extents.last().map_or(0, Extent::file_end_bytes);
        length_bytes.checked_div(self.geometry.record_bytes.into()).unwrap_or(0)
    }

    /// Where it lies.
    pub(crate) fn extents(&self) -> &[Extent] {
        &self.extents
    }

    pub(crate) fn device(&self) -> &SharedDevice {
        &self.device
    }

    pub(crate) fn geometry(&self) -> &Geometry {
        &self.geometry
    }

    /// Bytes of `$MFT`, wherever they lie.
    pub(crate) fn read(&self, buffer: &mut [u8], offset_bytes: u64) -> Result<(), ReadError> {
        read_extents(&*self.device, &self.extents, offset_bytes, buffer)
    }

    /// One record, restored.
    pub(crate) fn record(&self, number: u64) -> Result<Vec<u8>, RecordError> {
        let records = self.records();
        let length = self.geometry.record_length();
        let offset = number.checked_mul(on_volume(length)).filter(|_| number < records);
        let offset = offset.ok_or(RecordError::Outside { records })?;
        let mut raw = self.windowed(offset, length)?;
        record::restore(&mut raw)?;
        Ok(raw)
    }

    fn windowed(&self, offset: u64, length: usize) -> Result<Vec<u8>, ReadError> {
        let mut window = self.window.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(raw) = window.slice(offset, length) {
            return Ok(raw.to_vec());
        }
        let start_bytes = offset & !(WINDOW_BYTES - 1);
        let end = self.extents.last().map_or(0, Extent::file_end_bytes);
        let window_length = end.saturating_sub(start_bytes).min(WINDOW_BYTES);
        let mut bytes = vec![0; in_memory(window_length)];
        if self.read(&mut bytes, start_bytes).is_ok() {
            *window = Window { start_bytes, bytes };
            if let Some(raw) = window.slice(offset, length) {
                return Ok(raw.to_vec());
            }
        }
        // A bad sector nearby must not cost this record.
        let mut raw = vec![0; length];
        self.read(&mut raw, offset)?;
        Ok(raw)
    }
}

impl Window {
    fn slice(&self, offset: u64, length: usize) -> Option<&[u8]> {
        slice_at(&self.bytes, in_memory(offset.checked_sub(self.start_bytes)?), length)
    }
}

/// Record 0, from `$MFT` or else from `$MFTMirr`; when neither will do, what is wrong with the first.
fn first_record(device: &SharedDevice, geometry: &Geometry) -> Result<(Vec<u8>, bool), MftError> {
    let first = match sound_record(device, geometry, geometry.mft_lcn) {
        Ok(raw) => return Ok((raw, false)),
        Err(error) => error,
    };
    match sound_record(device, geometry, geometry.mirror_lcn) {
        Ok(raw) => Ok((raw, true)),
        Err(_) => Err(first),
    }
}

/// A record 0 whose `$DATA` can be followed.
fn sound_record(device: &SharedDevice, geometry: &Geometry, lcn: u64) -> Result<Vec<u8>, MftError> {
    let offset = geometry.cluster_offset(lcn).ok_or(MftError::NoData)?;
    let mut raw = vec![0; geometry.record_length()];
    device.read_exact_at(&mut raw, offset)?;
    record::restore(&mut raw).map_err(|source| damaged(geometry, source))?;
    let record = Record::parse(&raw).map_err(|source| damaged(geometry, source))?;
    let head = data_piece(&record, 0).filter(|_| record.in_use()).ok_or(MftError::NoData)?;
    Layout::new(geometry, usize::MAX).append(0, head.runs)?;
    Ok(raw)
}

fn damaged(geometry: &Geometry, source: RecordFault) -> MftError {
    MftError::Record { mft_offset_bytes: geometry.cluster_offset(geometry.mft_lcn).unwrap_or(0), source }
}

/// The piece of the unnamed `$DATA` that begins at `start_vcn`.
fn data_piece<'a>(record: &Record<'a>, start_vcn: u64) -> Option<NonResident<'a>> {
    let unnamed = record.attributes().map_while(Result::ok).filter(|a| a.kind == DATA && a.name.is_empty());
    unnamed.into_iter().find_map(|attribute| match attribute.body {
        Body::NonResident(piece) if piece.start_vcn == start_vcn => Some(piece),
        _ => None,
    })
}

/// Adds the pieces that the attribute list of record 0 names; each lies in a record that the pieces
/// before it cover.
fn follow(device: &SharedDevice, list: &[u8], layout: &mut Layout<'_>) -> Result<(), MftError> {
    let mut pieces = Vec::new();
    for entry in attribute_list::entries(list) {
        let entry = entry.ok_or(MftError::List)?;
        if entry.kind == DATA && entry.name.is_empty() && entry.start_vcn != 0 {
            pieces.push((entry.start_vcn, entry.holder));
        }
    }
    pieces.sort_unstable();
    for (start_vcn, holder) in pieces {
        let raw = extension(device, layout, holder)?;
        let record = Record::parse(&raw).map_err(|_| MftError::List)?;
        let ours = record.in_use()
            && holder.admits(record.sequence)
            && record.base.is_some_and(|base| base.record == 0);
        let piece = data_piece(&record, start_vcn).filter(|_| ours).ok_or(MftError::List)?;
        layout.append(start_vcn, piece.runs)?;
    }
    Ok(())
}

fn extension(device: &SharedDevice, layout: &Layout<'_>, holder: FileId) -> Result<Vec<u8>, MftError> {
    let mut raw = vec![0; layout.geometry().record_length()];
    let offset = holder.record.checked_mul(on_volume(raw.len())).ok_or(MftError::List)?;
    let covered = layout.covered_bytes();
    if offset.checked_add(on_volume(raw.len())).is_none_or(|end| end > covered) {
        return Err(MftError::List);
    }
    read_extents(&**device, layout.extents(), offset, &mut raw)?;
    record::restore(&mut raw).map_err(|_| MftError::List)?;
    Ok(raw)
}

/// The content of a record's attribute list, if it has one.
pub(crate) fn list_value(
    device: &SharedDevice,
    geometry: &Geometry,
    record: &Record<'_>,
    limits: &Limits,
) -> Result<Option<Vec<u8>>, MftError> {
    let mut lists = record.attributes().map_while(Result::ok).filter(|a| a.kind == ATTRIBUTE_LIST);
    let list = match lists.next().map(|attribute| attribute.body) {
        None => return Ok(None),
        Some(Body::Resident(value)) => return Ok(Some(value.to_vec())),
        Some(Body::NonResident(list)) => list,
    };
    if list.length_bytes > limits.attribute_list_bytes_max {
        return Err(MftError::List);
    }
    let mut layout = Layout::new(geometry, limits.extents_max);
    layout.append(list.start_vcn, list.runs)?;
    let extents = layout.finish(list.length_bytes, list.initialized_bytes)?;
    let mut value = vec![0; in_memory(list.length_bytes)];
    read_extents(&**device, &extents, 0, &mut value)?;
    Ok(Some(value))
}

//! A FILE record that exists, changed: attributes replaced, everything else kept as it is.

use super::super::fields::{Fields, aligned, long, sequence_words, short};
use super::super::record::{END_MARK_BYTES, NON_RESIDENT_HEADER_BYTES, RESIDENT_HEADER_BYTES};
use crate::bytes::{position_at, slice_at, u8_at, u16_at, u32_at};
use crate::record::Record;

const STRIDE: usize = 512;
const END_MARK: u32 = 0xffff_ffff;
const FLAG_IN_USE: u16 = 1;
const SEQUENCE_AT: usize = 16;
const FLAGS_AT: usize = 22;
const USED_AT: usize = 24;
const NEXT_ID_AT: usize = 40;
const ATTRIBUTE_ID_AT: usize = 14;

/// See the module's documentation.
pub(super) struct Edit {
    /// The record up to its first attribute, restored.
    header: Vec<u8>,
    length: usize,
    attributes: Vec<Vec<u8>>,
    next_id: u16,
}

/// A stream's place and sizes.
pub(super) struct Stream<'a> {
    /// With their end mark.
    pub(super) pairs: &'a [u8],
    pub(super) clusters: u64,
    pub(super) allocated_bytes: u64,
    pub(super) length_bytes: u64,
}

impl Edit {
    /// Takes a restored record apart; `None` when it is damaged.
    pub(super) fn new(restored: &[u8]) -> Option<Edit> {
        let record = Record::parse(restored).ok()?;
        let attributes = record.attributes().map(|attribute| Some(attribute.ok()?.frame.to_vec()));
        let header = restored.get(..position_at(restored, 20)?)?.to_vec();
        Some(Edit {
            header,
            length: restored.len(),
            attributes: attributes.collect::<Option<Vec<_>>>()?,
            next_id: u16_at(restored, NEXT_ID_AT)?,
        })
    }

    /// Puts an attribute in the place of the one of the same type and name, or where it belongs.
    fn put(&mut self, mut frame: Vec<u8>) {
        let same = |found: &[u8]| kind(found) == kind(&frame) && name(found) == name(&frame);
        let at = self.attributes.iter().position(|found| same(found));
        match at.and_then(|at| self.attributes.get_mut(at)) {
            Some(before) => {
                let id = u16_at(before, ATTRIBUTE_ID_AT).unwrap_or(0);
                set(&mut frame, ATTRIBUTE_ID_AT, &id.to_le_bytes());
                *before = frame;
            }
            None => {
                set(&mut frame, ATTRIBUTE_ID_AT, &self.next_id.to_le_bytes());
                self.next_id = self.next_id.wrapping_add(1);
                let at = self.attributes.partition_point(|found| kind(found) <= kind(&frame));
                self.attributes.insert(at, frame);
            }
        }
    }

    pub(super) fn resident(&mut self, kind: u32, name: &[u16], value: &[u8]) {
        let value_at = aligned(RESIDENT_HEADER_BYTES.saturating_add(name.len().saturating_mul(2)));
        let length = aligned(value_at.saturating_add(value.len()));
        let mut frame = framed(kind, length, false, name, RESIDENT_HEADER_BYTES);
        frame.put_u32(long(value.len()));
        frame.put_u16(short(value_at));
        frame.put_u16(0);
        frame.put_units(name);
        frame.pad_to(value_at);
        frame.put(value);
        frame.pad_to(length);
        self.put(frame);
    }

    pub(super) fn stream(&mut self, kind: u32, name: &[u16], stream: &Stream<'_>) {
        let pairs_at = aligned(NON_RESIDENT_HEADER_BYTES.saturating_add(name.len().saturating_mul(2)));
        let length = aligned(pairs_at.saturating_add(stream.pairs.len()));
        let mut frame = framed(kind, length, true, name, NON_RESIDENT_HEADER_BYTES);
        frame.put_u64(0);
        frame.put_u64(stream.clusters.wrapping_sub(1));
        frame.put_u16(short(pairs_at));
        frame.put_u16(0);
        frame.put_u32(0);
        frame.put_u64(stream.allocated_bytes);
        frame.put_u64(stream.length_bytes);
        frame.put_u64(stream.length_bytes);
        frame.put_units(name);
        frame.pad_to(pairs_at);
        frame.put(stream.pairs);
        frame.pad_to(length);
        self.put(frame);
    }

    /// Changes bytes of a resident value.
    pub(super) fn patch(&mut self, wanted: u32, at: usize, bytes: &[u8]) -> Option<()> {
        let found = self.attributes.iter_mut().find(|found| kind(found) == Some(wanted))?;
        let value_at = position_at(found, 20)?;
        set(found, value_at.saturating_add(at), bytes);
        Some(())
    }

    /// A resident value.
    pub(super) fn value(&self, wanted: u32) -> Option<&[u8]> {
        let found = self.attributes.iter().find(|found| kind(found) == Some(wanted))?;
        found.get(position_at(found, 20)?..)
    }

    /// Makes the record one that is free; whoever still refers to it refers to a file that is gone.
    pub(super) fn free(&mut self) {
        let sequence = u16_at(&self.header, SEQUENCE_AT).unwrap_or(0).checked_add(1).unwrap_or(1);
        let flags = u16_at(&self.header, FLAGS_AT).unwrap_or(0) & !FLAG_IN_USE;
        set(&mut self.header, SEQUENCE_AT, &sequence.to_le_bytes());
        set(&mut self.header, FLAGS_AT, &flags.to_le_bytes());
    }

    /// The record as it goes to the volume; `None` when it became too long.
    ///
    /// The update sequence number moves on, so that a record of which only some sectors get written
    /// does not look whole.
    pub(super) fn finish(mut self) -> Option<Vec<u8>> {
        let mut bytes = Vec::with_capacity(self.length);
        set(&mut self.header, NEXT_ID_AT, &self.next_id.to_le_bytes());
        bytes.put(&self.header);
        self.attributes.iter().for_each(|attribute| bytes.put(attribute));
        let used = bytes.len().saturating_add(END_MARK_BYTES);
        bytes.put_u32(END_MARK);
        if used > self.length {
            return None;
        }
        bytes.pad_to(self.length);
        set(&mut bytes, USED_AT, &long(used).to_le_bytes());
        seal_next(&mut bytes)?;
        Some(bytes)
    }
}

fn framed(kind: u32, length: usize, non_resident: bool, name: &[u16], name_at: usize) -> Vec<u8> {
    let mut frame = Vec::with_capacity(length);
    frame.put_u32(kind);
    frame.put_u32(long(length));
    frame.put_u8(non_resident.into());
    frame.put_u8(u8::try_from(name.len()).unwrap_or(u8::MAX));
    frame.put_u16(short(name_at));
    // Flags, and the id, which is set when the attribute has its place.
    frame.put_u32(0);
    frame
}

fn kind(frame: &[u8]) -> Option<u32> {
    u32_at(frame, 0)
}

fn name(frame: &[u8]) -> Option<&[u8]> {
    match usize::from(u8_at(frame, 9)?) {
        0 => Some(&[]),
        units => slice_at(frame, position_at(frame, 10)?, units.checked_mul(2)?),
    }
}

fn set(bytes: &mut [u8], at: usize, value: &[u8]) {
    bytes.iter_mut().skip(at).zip(value).for_each(|(to, from)| *to = *from);
}

/// Puts the update sequence into a restored record, with the number after the one that it had.
fn seal_next(bytes: &mut [u8]) -> Option<()> {
    let array_at = position_at(bytes, 4)?;
    let words = sequence_words(bytes.len());
    if position_at(bytes, 6) != Some(words) {
        return None;
    }
    let number = match u16_at(bytes, array_at)?.wrapping_add(1) {
        0 | u16::MAX => 1,
        number => number,
    };
    let mut array = number.to_le_bytes().to_vec();
    for sector in bytes.chunks_exact_mut(STRIDE) {
        let last = sector.last_chunk_mut::<2>()?;
        array.extend_from_slice(last);
        *last = number.to_le_bytes();
    }
    set(bytes, array_at, &array);
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Body, restore};

    fn record() -> Vec<u8> {
        let mut raw = vec![0; 1024];
        raw[..4].copy_from_slice(b"FILE");
        raw[4..8].copy_from_slice(&[48, 0, 3, 0]);
        raw[16] = 7;
        raw[20] = 56;
        raw[22] = 1;
        raw[40] = 3;
        let mut end = 56;
        for (kind, id) in [(0x10, 0), (0x80, 2)] {
            raw[end..end + 32].copy_from_slice(&{
                let mut frame = [0; 32];
                frame[0] = kind;
                frame[4] = 32;
                frame[14] = id;
                frame[16] = 8;
                frame[20] = 24;
                frame[24..].fill(kind);
                frame
            });
            end += 32;
        }
        raw[end..end + 4].fill(0xff);
        raw[24] = (end + 8) as u8;
        raw[48] = 9;
        raw
    }

    #[test]
    fn what_is_replaced_keeps_its_id_and_the_rest_stays() {
        let mut edit = Edit::new(&record()).unwrap();
        let stream =
            Stream { pairs: &[0x11, 2, 10, 0], clusters: 2, allocated_bytes: 8192, length_bytes: 5000 };
        edit.stream(0x80, &[], &stream);
        edit.resident(0xb0, &[], &[1; 8]);
        let mut raw = edit.finish().unwrap();
        assert_eq!((raw[48], &raw[510..512], &raw[1022..]), (10, &[10, 0][..], &[10, 0][..]));
        restore(&mut raw).unwrap();
        let parsed = Record::parse(&raw).unwrap();
        let found: Vec<_> = parsed.attributes().map(Result::unwrap).collect();
        assert_eq!(
            found.iter().map(|a| (a.kind, a.frame[14])).collect::<Vec<_>>(),
            [(0x10, 0), (0x80, 2), (0xb0, 3)]
        );
        assert!(matches!(found[0].body, Body::Resident(&[0x10, 0x10, 0x10, 0x10, 0x10, 0x10, 0x10, 0x10])));
        assert!(
            matches!(found[1].body, Body::NonResident(body) if body.length_bytes == 5000 && body.last_vcn == 1)
        );
        assert_eq!(u16_at(&raw, 40), Some(4));
    }

    #[test]
    fn a_record_that_would_become_too_long_is_refused() {
        let mut edit = Edit::new(&record()).unwrap();
        edit.resident(0xb0, &[], &[1; 900]);
        assert!(edit.finish().is_none());
    }

    #[test]
    fn a_freed_record_is_another_file_by_then() {
        let mut edit = Edit::new(&record()).unwrap();
        edit.free();
        let mut raw = edit.finish().unwrap();
        restore(&mut raw).unwrap();
        let parsed = Record::parse(&raw).unwrap();
        assert!(!parsed.in_use());
        assert_eq!(parsed.sequence, 8);
    }
}

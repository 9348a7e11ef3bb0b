//! Reading LZNT1 compression units. spec/ntfs.md §3.6.
//!
//! A unit whose clusters are all there is stored as it is; one without any is zeros; one with
//! clusters first and then a hole holds LZNT1 chunks.

use super::{ContentError, DecodeFault, by_unit, lznt1, read_extents};
use crate::bytes::{in_memory, on_volume};
use crate::extent::Extent;
use crate::stream::Compressed;
use crate::volume::Volume;

impl Volume {
    pub(super) fn read_compressed(
        &self,
        stream: &Compressed,
        offset_bytes: u64,
        buffer: &mut [u8],
    ) -> Result<(), ContentError> {
        let mut unit = vec![0; in_memory(stream.unit_bytes)];
        let mut raw = Vec::new();
        by_unit(stream.unit_bytes, offset_bytes, buffer, |start, skipped, part| {
            self.read_unit(stream, start, &mut raw, &mut unit)?;
            let from = unit.iter().skip(skipped);
            part.iter_mut().zip(from).for_each(|(to, from)| *to = *from);
            Ok(())
        })
    }

    /// Decompresses the unit that begins at `start`.
    fn read_unit(
        &self,
        stream: &Compressed,
        start: u64,
        raw: &mut Vec<u8>,
        unit: &mut [u8],
    ) -> Result<(), ContentError> {
        let length_bytes = on_volume(unit.len());
        let decode = |fault| ContentError::Decode { file_offset_bytes: start, length_bytes, fault };
        let stored = stored_bytes(&stream.extents, start, length_bytes).ok_or(decode(DecodeFault::Unit))?;
        raw.clear();
        raw.resize(in_memory(stored), 0);
        read_extents(&*self.device, &stream.extents, start, raw)
            .map_err(|source| ContentError::Read { file_offset_bytes: start, source })?;
        if stored == length_bytes {
            unit.copy_from_slice(raw);
            return Ok(());
        }
        lznt1::decompress(raw, unit).map_err(decode)
    }
}

/// How much of a unit is on the volume; `None` when a hole comes before clusters.
fn stored_bytes(extents: &[Extent], start: u64, unit_bytes: u64) -> Option<u64> {
    let end = start.saturating_add(unit_bytes);
    let first = extents.partition_point(|extent| extent.file_end_bytes() <= start);
    let parts = extents.get(first..)?.iter().map_while(|extent| extent.within(start, end));
    let (mut stored, mut hole) = (0_u64, false);
    for part in parts {
        match part.volume_offset_bytes {
            None => hole = true,
            Some(_) if hole => return None,
            Some(_) => stored = stored.saturating_add(part.length_bytes),
        }
    }
    Some(stored)
}

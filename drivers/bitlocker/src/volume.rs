//! An unlocked volume: the file system as its owner sees it, and where its bytes are (spec §6).
//!
//! [`Volume`] reads like a device and decrypts on the way. The transfer path does not read through
//! it: it asks [`VolumeMap::segments`] where bytes are, reads them itself in large pieces and runs
//! [`SectorCipher::decrypt`] over them in place.

mod map;

use std::sync::Arc;

use block::{ReadAt, ReadError, ReadErrorKind, SharedDevice, check_range};

pub use map::{OpenError, Segment, Segments, Source, VolumeMap};

use crate::range::past_boundary;
use crate::{CipherError, Metadata, Method, SectorCipher, VolumeKey};

/// The largest sector; a part of one is decrypted in a buffer of this size.
const SECTOR_BYTES_MAX: usize = 4096;

/// A volume that was unlocked, as a block device.
pub struct Volume {
    device: SharedDevice,
    map: VolumeMap,
    cipher: Option<Arc<SectorCipher>>,
}

impl Volume {
    /// Joins device, metadata and key.
    ///
    /// # Errors
    /// When the state of the volume or its places cannot be used: see [`OpenError`].
    pub fn open(device: SharedDevice, metadata: &Metadata, key: &VolumeKey) -> Result<Volume, OpenError> {
        let map = metadata.map(&device)?;
        let cipher = match key.method {
            Method::None => None,
            method => Some(Arc::new(SectorCipher::new(method, &key.fvek, metadata.sector_bytes)?)),
        };
        if cipher.is_none() && !metadata.is_decrypted() {
            return Err(CipherError::Key { method: Method::None, key_bytes: 0 }.into());
        }
        Ok(Volume { device, map, cipher })
    }

    /// The device below, for readers that do their own input.
    pub fn device(&self) -> &SharedDevice {
        &self.device
    }

    /// Where the volume's bytes are.
    pub fn map(&self) -> &VolumeMap {
        &self.map
    }

    /// Where a range of the volume is: see [`VolumeMap::segments`].
    pub fn segments(&self, logical_offset_bytes: u64, length_bytes: u64) -> Segments<'_> {
        self.map.segments(logical_offset_bytes, length_bytes)
    }

    /// The cipher of its sectors, to be shared by threads; `None` for a decrypted volume, whose
    /// segments are never encrypted.
    pub fn cipher(&self) -> Option<&Arc<SectorCipher>> {
        self.cipher.as_ref()
    }

    fn read_segment(&self, segment: Segment, buffer: &mut [u8]) -> Result<(), ReadError> {
        match segment.source {
            Source::Zeros => buffer.fill(0),
            Source::Plain { physical_offset_bytes } => {
                self.device.read_exact_at(buffer, physical_offset_bytes)?;
            }
            Source::Encrypted { physical_offset_bytes } => {
                self.read_encrypted(physical_offset_bytes, buffer)?;
            }
            Source::BootSector { physical_offset_bytes, is_encrypted } => {
                let first = past_boundary(segment.logical_offset_bytes, self.map.sector_bytes());
                let start = physical_offset_bytes.saturating_sub(first);
                self.read_boot_sector(start, first, is_encrypted, buffer)?;
            }
        }
        Ok(())
    }

    /// Whole sectors are decrypted in the caller's buffer, the parts at both ends in a sector of
    /// our own.
    fn read_encrypted(&self, physical_offset_bytes: u64, buffer: &mut [u8]) -> Result<(), ReadError> {
        let sector_bytes = self.map.sector_bytes();
        let unit = usize::try_from(sector_bytes).unwrap_or(SECTOR_BYTES_MAX);
        let skipped = past_boundary(physical_offset_bytes, sector_bytes);
        let head_bytes = match usize::try_from(skipped) {
            Ok(0) | Err(_) => 0,
            Ok(skipped) => unit.saturating_sub(skipped).min(buffer.len()),
        };
        let (head, rest) = buffer.split_at_mut(head_bytes);
        let (middle, tail) =
            rest.split_at_mut(rest.len().saturating_sub(rest.len().checked_rem(unit).unwrap_or(0)));
        let mut position = physical_offset_bytes;
        if !head.is_empty() {
            self.read_part(position.saturating_sub(skipped), skipped, head)?;
            position = position.saturating_add(head.len() as u64);
        }
        if !middle.is_empty() {
            self.device.read_exact_at(middle, position)?;
            self.decrypt(position, middle)?;
            position = position.saturating_add(middle.len() as u64);
        }
        if !tail.is_empty() {
            self.read_part(position, 0, tail)?;
        }
        Ok(())
    }

    /// A part of one sector.
    fn read_part(&self, sector_start: u64, skipped: u64, part: &mut [u8]) -> Result<(), ReadError> {
        let mut buffer = [0; SECTOR_BYTES_MAX];
        let sector = self.sector_of(&mut buffer);
        self.device.read_exact_at(sector, sector_start)?;
        self.decrypt(sector_start, sector)?;
        copy_part(sector, skipped, part);
        Ok(())
    }

    /// Vista: a boot sector whose name and one field were replaced.
    fn read_boot_sector(
        &self,
        sector_start: u64,
        skipped: u64,
        is_encrypted: bool,
        part: &mut [u8],
    ) -> Result<(), ReadError> {
        let mut buffer = [0; SECTOR_BYTES_MAX];
        let sector = self.sector_of(&mut buffer);
        self.device.read_exact_at(sector, sector_start)?;
        if is_encrypted && !map::is_vista_boot_sector(sector) {
            self.decrypt(sector_start, sector)?;
        }
        self.map.restore_boot_sector(sector);
        copy_part(sector, skipped, part);
        Ok(())
    }

    fn sector_of<'b>(&self, buffer: &'b mut [u8; SECTOR_BYTES_MAX]) -> &'b mut [u8] {
        let sector_bytes = usize::try_from(self.map.sector_bytes()).unwrap_or(SECTOR_BYTES_MAX);
        buffer.split_at_mut(sector_bytes.min(SECTOR_BYTES_MAX)).0
    }

    /// The map gives encrypted segments only whole sectors, and only to volumes with a cipher; were
    /// that ever broken, ciphertext must not pass for the file system's bytes.
    fn decrypt(&self, physical_offset_bytes: u64, sectors: &mut [u8]) -> Result<(), ReadError> {
        let done = self.cipher.as_ref().map(|cipher| cipher.decrypt(physical_offset_bytes, sectors));
        match done {
            Some(Ok(())) => Ok(()),
            Some(Err(_)) | None => Err(ReadError {
                offset_bytes: physical_offset_bytes,
                length_bytes: sectors.len(),
                kind: ReadErrorKind::Other,
                source: None,
            }),
        }
    }
}

impl ReadAt for Volume {
    fn length_bytes(&self) -> u64 {
        self.map.length_bytes()
    }

    fn sector_bytes(&self) -> u32 {
        self.map.sector_bytes()
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset_bytes: u64) -> Result<(), ReadError> {
        check_range(offset_bytes, buffer.len(), self.length_bytes())?;
        let mut rest = buffer;
        for segment in self.segments(offset_bytes, rest.len() as u64) {
            let length = usize::try_from(segment.length_bytes).unwrap_or(usize::MAX).min(rest.len());
            let (part, after) = rest.split_at_mut(length);
            self.read_segment(segment, part)?;
            rest = after;
        }
        Ok(())
    }
}

fn copy_part(sector: &[u8], skipped: u64, part: &mut [u8]) {
    let skipped = usize::try_from(skipped).unwrap_or(usize::MAX);
    part.iter_mut().zip(sector.iter().skip(skipped)).for_each(|(to, from)| *to = *from);
}

#[cfg(test)]
mod tests;

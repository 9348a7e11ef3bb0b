//! The write side of a volume: the file system's bytes in, encrypted in place, and down to where
//! they lie.
//!
//! Serves a volume in the making and one that exists. Invariant: nothing is written where an area
//! of BitLocker's lies; a file system that puts something there would lose it, so it is refused
//! before the first byte. Any number of threads may write at once.

use std::sync::Arc;

use block::{ReadAt, WriteAt, WriteError, WriteErrorKind};

use crate::volume::{OpenError, Source, VolumeMap};
use crate::{
    CipherError, ConversionState, Integrity, Metadata, SectorCipher, Unaligned, VolumeKey, VolumeKind,
    Warning,
};

/// A volume that is written as its file system sees it.
pub struct VolumeWriter<W> {
    target: W,
    map: VolumeMap,
    cipher: Arc<SectorCipher>,
}

/// A volume that is only read, and why.
#[derive(Debug, thiserror::Error)]
pub enum NotWritable {
    /// Something other than its owner changed the metadata, or nothing proves that it did not.
    #[error("the volume's metadata is not proven to be unchanged ({0:?})")]
    Unproven(Integrity),
    /// A layout that is read, and never written.
    #[error("a volume of the kind {0:?} is not written")]
    Kind(VolumeKind),
    /// Encrypted in part, or on its way there or back.
    #[error("the volume is not wholly encrypted, or its conversion is going on ({0:?})")]
    Converting(ConversionState),
    /// Its metadata is not as it should be.
    #[error("the volume is not sound: {}", list(.0))]
    Unsound(Vec<Warning>),
    /// It cannot be opened at all.
    #[error("opening the volume to write it")]
    Open(#[from] OpenError),
    /// Key and method make no cipher.
    #[error("preparing the cipher")]
    Cipher(#[from] CipherError),
}

fn list(warnings: &[Warning]) -> String {
    warnings.iter().map(Warning::to_string).collect::<Vec<_>>().join("; ")
}

impl<W> VolumeWriter<W> {
    /// Writes to an existing, unlocked volume; its metadata is left alone. `device` is what `target`
    /// writes to, for reading.
    ///
    /// # Errors
    /// When anything about the volume is odd, though it may still be read: see [`NotWritable`].
    pub fn of_volume(
        target: W,
        device: &dyn ReadAt,
        metadata: &Metadata,
        key: &VolumeKey,
    ) -> Result<VolumeWriter<W>, NotWritable> {
        if key.integrity() != Integrity::Verified {
            return Err(NotWritable::Unproven(key.integrity()));
        }
        if metadata.kind != VolumeKind::Windows7 {
            return Err(NotWritable::Kind(metadata.kind));
        }
        let states = [metadata.state, metadata.next_state];
        if let Some(state) = states.into_iter().find(|state| *state != ConversionState::Encrypted) {
            return Err(NotWritable::Converting(state));
        }
        if !metadata.warnings.is_empty() {
            return Err(NotWritable::Unsound(metadata.warnings.clone()));
        }
        let map = metadata.map(device)?;
        let cipher = SectorCipher::new(key.method, &key.fvek, metadata.sector_bytes)?;
        Ok(VolumeWriter::new(target, map, Arc::new(cipher)))
    }

    pub(crate) fn new(target: W, map: VolumeMap, cipher: Arc<SectorCipher>) -> VolumeWriter<W> {
        VolumeWriter { target, map, cipher }
    }

    /// What it writes to.
    pub fn target(&self) -> &W {
        &self.target
    }

    /// Where the volume's bytes are.
    pub fn map(&self) -> &VolumeMap {
        &self.map
    }

    /// Whole sectors, inside the volume, and nothing but zeros where it is not the file system's.
    fn check(&self, data: &[u8], offset_bytes: u64) -> Result<(), WriteError> {
        let out_of_range = || WriteError::out_of_range(offset_bytes, data.len(), self.map.length_bytes());
        let unit = u64::from(self.map.sector_bytes());
        let length_bytes = data.len() as u64;
        let is_whole = offset_bytes.is_multiple_of(unit) && length_bytes.is_multiple_of(unit);
        let end = offset_bytes.checked_add(length_bytes).filter(|end| *end <= self.map.length_bytes());
        if end.is_none() || !is_whole {
            return Err(out_of_range());
        }
        let mut rest = data;
        for segment in self.map.segments(offset_bytes, length_bytes) {
            let length = usize::try_from(segment.length_bytes).unwrap_or(usize::MAX).min(rest.len());
            let (part, after) = rest.split_at(length);
            rest = after;
            let wrong = match segment.source {
                Source::Encrypted { .. } => continue,
                Source::Zeros => part.iter().position(|byte| *byte != 0),
                // Volumes that have such places are not written.
                Source::Plain { .. } | Source::BootSector { .. } => Some(0),
            };
            if let Some(index) = wrong {
                let place = segment.logical_offset_bytes.saturating_add(index as u64);
                let kind = WriteErrorKind::Reserved { offset_bytes: place };
                return Err(WriteError { offset_bytes, length_bytes: data.len(), kind, source: None });
            }
        }
        Ok(())
    }
}

impl<W: WriteAt> VolumeWriter<W> {
    fn write_encrypted(&self, sectors: &mut [u8], physical_offset_bytes: u64) -> Result<(), WriteError> {
        self.cipher.encrypt(physical_offset_bytes, sectors).map_err(
            |Unaligned { offset_bytes, length_bytes, .. }| {
                WriteError::out_of_range(offset_bytes, length_bytes, self.map.length_bytes())
            },
        )?;
        self.target.write_all_at(sectors, physical_offset_bytes)
    }
}

impl<W: WriteAt> WriteAt for VolumeWriter<W> {
    fn write_all_at(&self, data: &mut [u8], offset_bytes: u64) -> Result<(), WriteError> {
        self.check(data, offset_bytes)?;
        let mut rest = data;
        for segment in self.map.segments(offset_bytes, rest.len() as u64) {
            let length = usize::try_from(segment.length_bytes).unwrap_or(usize::MAX).min(rest.len());
            let (part, after) = rest.split_at_mut(length);
            if let Source::Encrypted { physical_offset_bytes } = segment.source {
                self.write_encrypted(part, physical_offset_bytes)?;
            }
            rest = after;
        }
        Ok(())
    }

    fn flush(&self) -> Result<(), WriteError> {
        self.target.flush()
    }
}

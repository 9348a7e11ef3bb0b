//! Continuing a format that was cut off: the same volume again, from the metadata as it will stand
//! on the drive and the recovery password.
//!
//! The sealed metadata comes from a file, so it is as hostile as a drive: it is read by the same
//! code, and must match the layout byte for byte before anything is written from it.

use block::{ReadAt, ReadError, check_range};

use super::formatter::{Coverage, FormatError, Formatted, Formatter, is_made};
use super::{Layout, area, boot, protectors};
use crate::bytes::u32_at;
use crate::metadata::boot_sector::BOOT_SECTOR_BYTES;
use crate::metadata::copy::AREA_BYTES;
use crate::metadata::protector::Lock;
use crate::{
    Guid, Integrity, Metadata, Password, ReadMetadataError, ReadOptions, RecoveryPassword, Secret,
    UnlockError, VolumeKind,
};

/// A format that cannot be continued.
#[derive(Debug, thiserror::Error)]
pub enum ResumeError {
    /// Not metadata, or damaged.
    #[error("reading the sealed metadata")]
    Metadata(#[source] ReadMetadataError),
    /// It belongs to a volume that is laid out in another way, or was not made by this formatter.
    #[error("the sealed metadata does not belong to this volume: {what}")]
    OtherVolume {
        /// What differs.
        what: &'static str,
    },
    /// The recovery password is another one.
    #[error("opening the sealed metadata with the recovery password")]
    Locked(#[from] UnlockError),
    /// The key makes no volume.
    #[error("preparing the volume")]
    Format(#[from] FormatError),
}

impl Formatter {
    /// The metadata as it will stand on the drive: boot sector, block and validation. Holds no
    /// secret in the clear; with it and the recovery password, [`Formatter::resume`] gives the same
    /// keys again.
    pub fn sealed_metadata(&self) -> Vec<u8> {
        let Formatted { boot_sector, area, .. } = self.formatted();
        let used = area.iter().rposition(|byte| *byte != 0).map_or(0, |last| last.saturating_add(1));
        [&boot_sector[..], area.get(..used).unwrap_or_default()].concat()
    }

    /// The id of the volume that sealed metadata belongs to; needs no secret and takes no time.
    ///
    /// # Errors
    /// When [`Formatter::resume`] would refuse it whatever the recovery password is.
    pub fn volume_of(sealed_metadata: &[u8], layout: &Layout) -> Result<Guid, ResumeError> {
        read_sealed(sealed_metadata, layout).map(|(_, metadata, _)| metadata.volume_id)
    }

    /// The same volume again. Takes as long as unlocking.
    ///
    /// # Errors
    /// When the bytes are not the sealed metadata of a volume of this layout, or do not open.
    pub fn resume(
        sealed_metadata: &[u8],
        layout: Layout,
        recovery_password: RecoveryPassword,
    ) -> Result<Formatter, ResumeError> {
        let (sketch, metadata, coverage) = read_sealed(sealed_metadata, &layout)?;
        let Sketch { boot_sector, area, .. } = sketch;
        let secret = Secret::RecoveryPassword(recovery_password.duplicate());
        let (protector, vmk) = metadata.master_key(&secret)?;
        let key = metadata.open_sector_key(protector, &vmk)?;
        if key.integrity() != Integrity::Verified || !is_made(key.method) {
            return Err(ResumeError::OtherVolume { what: "it was changed by somebody" });
        }
        let external_key = metadata.protectors().iter().find_map(|protector| match &protector.lock {
            Lock::External { kept: Some(kept), .. } => {
                let key = kept.open_key_256(&vmk).ok()?;
                Some(protectors::bek_file(protector.id, &key, protector.modified))
            }
            _ => None,
        });
        let formatted = Formatted {
            layout,
            method: key.method,
            volume_id: metadata.volume_id,
            recovery_password,
            external_key,
            password: None,
            fvek: key.fvek,
            boot_sector,
            area,
        };
        Ok(Formatter::of_formatted(formatted, coverage)?)
    }

    /// The password of a resumed volume, so that [`Formatted::verify`] tries it as well.
    #[must_use]
    pub fn with_password(mut self, password: Password) -> Formatter {
        self.expect_password(password);
        self
    }
}

/// Everything that is known without a secret, and holds.
fn read_sealed(sealed_metadata: &[u8], layout: &Layout) -> Result<(Sketch, Metadata, Coverage), ResumeError> {
    let (boot_sector, used) = sealed_metadata
        .split_first_chunk::<BOOT_SECTOR_BYTES>()
        .ok_or(ResumeError::OtherVolume { what: "it is too short" })?;
    let sketch = Sketch { layout: layout.clone(), boot_sector: *boot_sector, area: whole_area(used)? };
    let metadata = sketch.read()?;
    let coverage = check(&metadata, layout, boot_sector)?;
    Ok((sketch, metadata, coverage))
}

fn whole_area(used: &[u8]) -> Result<Vec<u8>, ResumeError> {
    let area_bytes = usize::try_from(AREA_BYTES).unwrap_or(0);
    if used.len() > area_bytes {
        return Err(ResumeError::OtherVolume { what: "it is too long" });
    }
    let mut area = used.to_vec();
    area.resize(area_bytes, 0);
    Ok(area)
}

/// Everything that would be written must be what the formatter itself writes for this layout.
fn check(
    metadata: &Metadata,
    layout: &Layout,
    boot_sector: &[u8; BOOT_SECTOR_BYTES],
) -> Result<Coverage, ResumeError> {
    let differs = |what| ResumeError::OtherVolume { what };
    let is_sound = metadata.warnings.is_empty() && metadata.kind == VolumeKind::Windows7;
    if !is_sound || metadata.watermark_bytes != layout.volume_bytes() {
        return Err(differs("it describes another volume"));
    }
    let virtualised = metadata.places.virtualised.map(|area| area.offset_bytes);
    if metadata.places.areas_bytes != layout.areas_bytes() || virtualised != Some(layout.virtualised_bytes())
    {
        return Err(differs("its areas are in other places"));
    }
    let first_sector = u32_at(boot_sector, boot::FIRST_SECTOR_AT).unwrap_or(0);
    if boot::boot_sector(layout, first_sector) != *boot_sector {
        return Err(differs("its boot sector is another one"));
    }
    metadata.extended_flags.and_then(Coverage::of_flags).ok_or(differs("it was made by something else"))
}

/// A volume of which only the metadata exists, for the reader.
struct Sketch {
    layout: Layout,
    boot_sector: [u8; BOOT_SECTOR_BYTES],
    area: Vec<u8>,
}

impl Sketch {
    /// No search: the boot sector leads to the copies, or it is none.
    fn read(&self) -> Result<Metadata, ResumeError> {
        let used = area::used_bytes(&self.area);
        let rest = used.and_then(|used| self.area.get(used..)).unwrap_or_default();
        if rest.iter().any(|byte| *byte != 0) {
            return Err(ResumeError::OtherVolume { what: "something follows the metadata" });
        }
        Metadata::read_with(self, ReadOptions { scan_bytes_max: 0 }).map_err(ResumeError::Metadata)
    }
}

impl ReadAt for Sketch {
    fn length_bytes(&self) -> u64 {
        self.layout.volume_bytes()
    }

    fn sector_bytes(&self) -> u32 {
        self.layout.sector_bytes()
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset_bytes: u64) -> Result<(), ReadError> {
        check_range(offset_bytes, buffer.len(), self.length_bytes())?;
        buffer.fill(0);
        let areas = self.layout.areas_bytes().map(|place| (place, &self.area[..]));
        for (place, bytes) in areas.into_iter().chain([(0, &self.boot_sector[..])]) {
            copy_overlap(buffer, offset_bytes, bytes, place);
        }
        Ok(())
    }
}

/// Copies what of `bytes`, which lie at `place`, belongs into a buffer at `offset_bytes`.
fn copy_overlap(buffer: &mut [u8], offset_bytes: u64, bytes: &[u8], place: u64) {
    let distance = |from: u64, to: u64| usize::try_from(to.saturating_sub(from)).unwrap_or(usize::MAX);
    let into = buffer.get_mut(distance(offset_bytes, place)..).unwrap_or_default();
    let from = bytes.get(distance(place, offset_bytes)..).unwrap_or_default();
    into.iter_mut().zip(from).for_each(|(to, from)| *to = *from);
}

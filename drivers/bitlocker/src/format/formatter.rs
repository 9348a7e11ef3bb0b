//! The formatter: makes the secrets and the metadata, encrypts the file system on its way to the
//! device, and makes it a volume at the end.

use std::io;
use std::sync::Arc;
use std::time::SystemTime;

use rand::TryRngCore;
use rand::rngs::OsRng;
use zeroize::Zeroizing;

use super::layout::VIRTUALISED_BYTES;
use super::protectors::{self, BekFile, Nonces};
use super::{Layout, WriteAt, area, boot, random};
use crate::ccm::Key256;
use crate::metadata::datum::Role;
use crate::volume::{Source, VolumeMap};
use crate::{CipherError, FileTime, Guid, Method, Password, RecoveryPassword, SectorCipher};

/// What a new volume shall be.
pub struct Plan {
    /// Where its areas go.
    pub layout: Layout,
    /// XTS-256 unless old readers must open it; never one with the diffuser.
    pub method: Method,
    /// Shown by Windows; by custom "COMPUTER LABEL DATE".
    pub description: String,
    /// A password besides the recovery password.
    pub password: Option<Password>,
    /// A certain recovery password instead of a random one.
    pub recovery_password: Option<RecoveryPassword>,
    /// Whether there shall be a startup key as well.
    pub has_external_key: bool,
    /// The partition's first sector, for the boot sector's field of that name.
    pub first_sector_of_partition: u32,
    /// The time of the formatting.
    pub time: SystemTime,
}

/// Formatting failed.
#[derive(Debug, thiserror::Error)]
pub enum FormatError {
    /// A method that new volumes do not get.
    #[error("new volumes are not made with {method}")]
    Method {
        /// The method.
        method: Method,
    },
    /// The operating system gave no random bytes.
    #[error("getting random bytes from the operating system")]
    Random(#[source] <OsRng as TryRngCore>::Error),
    /// Random bytes that repeat themselves.
    #[error("the operating system's random bytes repeat themselves")]
    WeakRandom,
    /// The metadata does not fit into its area: the description is too long.
    #[error("the metadata does not fit into 64 KiB")]
    MetadataTooLarge,
    /// Key and method make no cipher.
    #[error("preparing the cipher")]
    Cipher(#[from] CipherError),
    /// The file system writes where an area of BitLocker's lies.
    #[error("the file system uses {offset_bytes:#x}, which belongs to BitLocker")]
    Reserved {
        /// The first such byte.
        offset_bytes: u64,
    },
    /// The file system is written in pieces that are no whole sectors, or beyond its end.
    #[error("{length_bytes} bytes at {offset_bytes:#x} are not whole sectors of the file system")]
    OutOfPlace {
        /// Where.
        offset_bytes: u64,
        /// How many.
        length_bytes: usize,
    },
    /// The device did not take a write.
    #[error("writing {what} at {offset_bytes:#x}")]
    Write {
        /// What was written.
        what: &'static str,
        /// Where.
        offset_bytes: u64,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
}

/// A volume in the making.
pub struct Formatter {
    map: VolumeMap,
    cipher: Arc<SectorCipher>,
    area: Vec<u8>,
    boot_sector: [u8; 512],
    formatted: Formatted,
}

/// A volume that was formatted, and what opens it. Secrets are zeroed when dropped.
pub struct Formatted {
    /// Where its areas are.
    pub layout: Layout,
    /// How it is encrypted.
    pub method: Method,
    /// Its id.
    pub volume_id: Guid,
    /// Opens it; must reach the owner.
    pub recovery_password: RecoveryPassword,
    /// Opens it as well, if asked for.
    pub external_key: Option<BekFile>,
    pub(super) password: Option<Password>,
    pub(super) fvek: Zeroizing<Vec<u8>>,
}

impl Formatter {
    /// Makes secrets and metadata; nothing is written. Takes as long as unlocking with each secret.
    ///
    /// # Errors
    /// When the plan cannot be carried out or there are no random bytes.
    pub fn new(plan: Plan) -> Result<Formatter, FormatError> {
        let method = plan.method;
        let is_made =
            matches!(method, Method::AesXts128 | Method::AesXts256 | Method::AesCbc128 | Method::AesCbc256);
        if !is_made {
            return Err(FormatError::Method { method });
        }
        let vmk: Key256 = random::secret()?;
        let fvek = random::sector_key(method)?;
        let mut nonces = Nonces::new(FileTime::from_system_time(plan.time));
        let recovery_password = match plan.recovery_password {
            Some(password) => password,
            None => RecoveryPassword::from_words(random::secret()?),
        };
        let mut datums = protectors::text(Role::DESCRIPTION, &plan.description);
        if let Some(password) = &plan.password {
            datums.extend(protectors::password(&vmk, password, &mut nonces)?);
        }
        datums.extend(protectors::recovery_password(&vmk, &recovery_password, &mut nonces)?);
        let mut external_key = None;
        if plan.has_external_key {
            let (datum, file) = protectors::external_key(&vmk, &mut nonces)?;
            datums.extend(datum);
            external_key = Some(file);
        }
        datums.extend(protectors::fvek(&vmk, method.number(), &fvek, &mut nonces));
        datums.extend(area::virtualisation(&plan.layout));
        let volume_id = random::guid()?;
        let fields = area::Fields { layout: &plan.layout, volume_id, method, created: nonces.time() };
        let area =
            area::build_area(&fields, &datums, &vmk, &mut nonces).ok_or(FormatError::MetadataTooLarge)?;
        Ok(Formatter {
            map: VolumeMap::of_new_volume(&plan.layout),
            cipher: Arc::new(SectorCipher::new(method, &fvek, plan.layout.sector_bytes())?),
            area,
            boot_sector: boot::boot_sector(&plan.layout, plan.first_sector_of_partition),
            formatted: Formatted {
                layout: plan.layout,
                method,
                volume_id,
                recovery_password,
                external_key,
                password: plan.password,
                fvek,
            },
        })
    }

    /// Where the file system's bytes go, for writers that do their own output.
    pub fn map(&self) -> &VolumeMap {
        &self.map
    }

    /// What encrypts them there.
    pub fn cipher(&self) -> &Arc<SectorCipher> {
        &self.cipher
    }

    #[cfg(test)]
    pub(super) fn formatted_for_test(&self) -> &Formatted {
        &self.formatted
    }

    /// Writes a piece of the file system; `data` is encrypted in place on the way.
    ///
    /// # Errors
    /// When the piece is not whole sectors of the file system, when it is not zero where an area of
    /// BitLocker's lies (nothing is written then), or when the device refuses.
    pub fn write_at(
        &self,
        target: &dyn WriteAt,
        logical_offset_bytes: u64,
        data: &mut [u8],
    ) -> Result<(), FormatError> {
        self.check(logical_offset_bytes, data)?;
        let mut rest = data;
        for segment in self.map.segments(logical_offset_bytes, rest.len() as u64) {
            let length = usize::try_from(segment.length_bytes).unwrap_or(usize::MAX).min(rest.len());
            let (part, after) = rest.split_at_mut(length);
            if let Source::Encrypted { physical_offset_bytes } = segment.source {
                self.encrypt(physical_offset_bytes, part)?;
                write(target, "the file system", physical_offset_bytes, part)?;
            }
            rest = after;
        }
        Ok(())
    }

    /// Makes it a volume: the copies of the metadata from the third to the first, the rest of the
    /// head, and last the boot sector, each on the medium before the next.
    ///
    /// # Errors
    /// When the device refuses; without a boot sector there is no volume.
    pub fn finish(self, target: &dyn WriteAt) -> Result<Formatted, FormatError> {
        flush(target, "the file system", 0)?;
        for place in self.formatted.layout.areas_bytes().into_iter().rev() {
            write(target, "the metadata", place, &self.area)?;
            flush(target, "the metadata", place)?;
        }
        let (place, noise) = self.random_head()?;
        write(target, "the head", place, &noise)?;
        flush(target, "the head", place)?;
        write(target, "the boot sector", 0, &self.first_sector())?;
        flush(target, "the boot sector", 0)?;
        Ok(self.formatted)
    }

    /// Reserved areas must stay zero: whatever a file system puts there would be lost.
    fn check(&self, logical_offset_bytes: u64, data: &[u8]) -> Result<(), FormatError> {
        let out_of_place =
            FormatError::OutOfPlace { offset_bytes: logical_offset_bytes, length_bytes: data.len() };
        let layout = &self.formatted.layout;
        let unit = u64::from(layout.sector_bytes());
        let length_bytes = data.len() as u64;
        let end = logical_offset_bytes.checked_add(length_bytes);
        let is_inside = end.is_some_and(|end| end <= layout.volume_bytes());
        if !is_inside || !logical_offset_bytes.is_multiple_of(unit) || !length_bytes.is_multiple_of(unit) {
            return Err(out_of_place);
        }
        for segment in self.map.segments(logical_offset_bytes, length_bytes) {
            let start = segment.logical_offset_bytes.saturating_sub(logical_offset_bytes);
            let part = usize::try_from(start)
                .ok()
                .zip(usize::try_from(segment.length_bytes).ok())
                .and_then(|(start, length)| data.get(start..start.checked_add(length)?))
                .unwrap_or_default();
            let used = part.iter().zip(segment.logical_offset_bytes..).find(|(byte, _)| **byte != 0);
            if let (Source::Zeros, Some((_, offset_bytes))) = (segment.source, used) {
                return Err(FormatError::Reserved { offset_bytes });
            }
        }
        Ok(())
    }

    fn encrypt(&self, physical_offset_bytes: u64, sectors: &mut [u8]) -> Result<(), FormatError> {
        self.cipher.encrypt(physical_offset_bytes, sectors).map_err(|unaligned| FormatError::OutOfPlace {
            offset_bytes: unaligned.offset_bytes,
            length_bytes: unaligned.length_bytes,
        })
    }

    /// What lies between boot sector and file system is never interpreted: noise.
    fn random_head(&self) -> Result<(u64, Vec<u8>), FormatError> {
        let start = u64::from(self.formatted.layout.sector_bytes());
        let length = usize::try_from(VIRTUALISED_BYTES.saturating_sub(start)).unwrap_or(0);
        let mut noise = vec![0; length];
        random::fill(&mut noise)?;
        Ok((start, noise))
    }

    /// A whole physical sector: 512 bytes of boot sector, then zeros.
    fn first_sector(&self) -> Vec<u8> {
        let mut sector = self.boot_sector.to_vec();
        sector.resize(usize::try_from(self.formatted.layout.sector_bytes()).unwrap_or(512), 0);
        sector
    }
}

fn write(
    target: &dyn WriteAt,
    what: &'static str,
    offset_bytes: u64,
    data: &[u8],
) -> Result<(), FormatError> {
    target.write_all_at(data, offset_bytes).map_err(|source| FormatError::Write {
        what,
        offset_bytes,
        source,
    })
}

fn flush(target: &dyn WriteAt, what: &'static str, offset_bytes: u64) -> Result<(), FormatError> {
    target.flush().map_err(|source| FormatError::Write { what, offset_bytes, source })
}

//! The formatter: makes the secrets and the metadata, encrypts the file system on its way to the
//! device, and makes it a volume at the end.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

use block::{WriteAt, WriteError};
use rand::TryRngCore;
use rand::rngs::OsRng;
use zeroize::Zeroizing;

use super::layout::VIRTUALISED_BYTES;
use super::protectors::{self, BekFile, Nonces};
use super::{Layout, Unwritten, area, boot, random, surface};
use crate::ccm::Key256;
use crate::metadata::datum::Role;
use crate::volume::VolumeMap;
use crate::{CipherError, FileTime, Guid, Method, Password, RecoveryPassword, SectorCipher, VolumeWriter};

/// What a new volume shall be.
pub struct Plan {
    /// Where its areas go.
    pub layout: Layout,
    /// [`DEFAULT_METHOD`](super::DEFAULT_METHOD) unless old readers must open it; never one with
    /// the diffuser.
    pub method: Method,
    /// Shown by Windows; by custom "COMPUTER LABEL DATE".
    pub description: String,
    /// A password besides the recovery password.
    pub password: Option<Password>,
    /// A certain recovery password instead of a random one.
    pub recovery_password: Option<RecoveryPassword>,
    /// Whether there shall be a startup key as well.
    pub has_external_key: bool,
    /// How much of it is encrypted.
    pub coverage: Coverage,
    /// The partition's first sector, for the boot sector's field of that name.
    pub first_sector_of_partition: u32,
    /// The time of the formatting.
    pub time: SystemTime,
}

/// How much of a new volume is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Coverage {
    /// What the file system writes. Everything else stays as it was: on a drive that was used
    /// before, old bytes remain readable.
    #[default]
    UsedSpaceOnly,
    /// All of it: what the file system does not write is zeros, encrypted, by [`Formatter::fill`].
    WholeSurface,
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
    /// The whole surface was to be encrypted, and [`Formatter::fill`] has not come to its end.
    #[error("the rest of the surface is not encrypted yet")]
    NotFilled,
    /// The device did not take a write.
    #[error("writing {what}")]
    Write {
        /// What was written.
        what: &'static str,
        /// How it failed.
        #[source]
        source: WriteError,
    },
}

/// A volume in the making.
pub struct Formatter {
    map: VolumeMap,
    cipher: Arc<SectorCipher>,
    coverage: Coverage,
    is_filled: AtomicBool,
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
    /// A copy of the metadata and the boot sector, as they stand on the drive.
    pub(super) area: Vec<u8>,
    pub(super) boot_sector: [u8; 512],
}

impl Formatter {
    /// Makes secrets and metadata; nothing is written. Takes as long as unlocking with each secret.
    ///
    /// # Errors
    /// When the plan cannot be carried out or there are no random bytes.
    pub fn new(plan: Plan) -> Result<Formatter, FormatError> {
        let method = plan.method;
        if !is_made(method) {
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
        datums.extend(area::virtualisation(&plan.layout, plan.coverage));
        let volume_id = random::guid()?;
        let fields = area::Fields { layout: &plan.layout, volume_id, method, created: nonces.time() };
        let area =
            area::build_area(&fields, &datums, &vmk, &mut nonces).ok_or(FormatError::MetadataTooLarge)?;
        let boot_sector = boot::boot_sector(&plan.layout, plan.first_sector_of_partition);
        let formatted = Formatted {
            layout: plan.layout,
            method,
            volume_id,
            recovery_password,
            external_key,
            password: plan.password,
            fvek,
            area,
            boot_sector,
        };
        Formatter::of_formatted(formatted, plan.coverage)
    }

    pub(super) fn of_formatted(formatted: Formatted, coverage: Coverage) -> Result<Formatter, FormatError> {
        let layout = &formatted.layout;
        Ok(Formatter {
            map: VolumeMap::of_new_volume(layout),
            cipher: Arc::new(SectorCipher::new(formatted.method, &formatted.fvek, layout.sector_bytes())?),
            coverage,
            is_filled: AtomicBool::new(false),
            formatted,
        })
    }

    /// The volume as its file system writes it.
    pub fn writer<W: WriteAt>(&self, target: W) -> VolumeWriter<W> {
        VolumeWriter::new(target, self.map.clone(), Arc::clone(&self.cipher))
    }

    /// How much of the volume is to be encrypted.
    pub fn coverage(&self) -> Coverage {
        self.coverage
    }

    /// What opens the volume, and where its areas go.
    pub fn formatted(&self) -> &Formatted {
        &self.formatted
    }

    pub(super) fn expect_password(&mut self, password: Password) {
        self.formatted.password = Some(password);
    }

    /// Encrypts the rest of the surface: zeros go wherever the file system's bytes are not.
    ///
    /// Whatever lies in `unwritten` is lost, so what the file system writes there must come after.
    /// `progress` is told, ascending, below which offset all is written; to note such an offset for
    /// a later run, the target is flushed first.
    ///
    /// # Errors
    /// When the device refuses.
    pub fn fill(
        &self,
        target: &dyn WriteAt,
        unwritten: Unwritten<'_>,
        progress: &(dyn Fn(u64) + Sync),
    ) -> Result<(), FormatError> {
        surface::fill(&self.writer(target), unwritten, progress)
            .map_err(|source| FormatError::Write { what: "the rest of the surface", source })?;
        self.is_filled.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Where the file system's bytes go, for writers that do their own output.
    pub fn map(&self) -> &VolumeMap {
        &self.map
    }

    /// What encrypts them there.
    pub fn cipher(&self) -> &Arc<SectorCipher> {
        &self.cipher
    }

    /// Makes it a volume: the copies of the metadata from the third to the first, the rest of the
    /// head, and last the boot sector, each on the medium before the next.
    ///
    /// # Errors
    /// When the surface is not whole, or the device refuses; without a boot sector there is no
    /// volume.
    pub fn finish(self, target: &dyn WriteAt) -> Result<Formatted, FormatError> {
        if self.coverage == Coverage::WholeSurface && !self.is_filled.load(Ordering::Relaxed) {
            return Err(FormatError::NotFilled);
        }
        let formatted = self.formatted;
        flush(target, "the file system")?;
        for place in formatted.layout.areas_bytes().into_iter().rev() {
            write(target, "the metadata", &mut formatted.area.clone(), place)?;
            flush(target, "the metadata")?;
        }
        let (place, mut noise) = random_head(&formatted.layout)?;
        write(target, "the head", &mut noise, place)?;
        flush(target, "the head")?;
        write(target, "the boot sector", &mut formatted.first_sector(), 0)?;
        flush(target, "the boot sector")?;
        Ok(formatted)
    }
}

impl Formatted {
    /// A whole physical sector: 512 bytes of boot sector, then zeros.
    pub(super) fn first_sector(&self) -> Vec<u8> {
        let mut sector = self.boot_sector.to_vec();
        sector.resize(usize::try_from(self.layout.sector_bytes()).unwrap_or(512), 0);
        sector
    }
}

/// Whether new volumes are made with it.
pub(super) fn is_made(method: Method) -> bool {
    matches!(method, Method::AesXts128 | Method::AesXts256 | Method::AesCbc128 | Method::AesCbc256)
}

/// What lies between boot sector and file system is never interpreted: noise.
fn random_head(layout: &Layout) -> Result<(u64, Vec<u8>), FormatError> {
    let start = u64::from(layout.sector_bytes());
    let length = usize::try_from(VIRTUALISED_BYTES.saturating_sub(start)).unwrap_or(0);
    let mut noise = vec![0; length];
    random::fill(&mut noise)?;
    Ok((start, noise))
}

fn write(
    target: &dyn WriteAt,
    what: &'static str,
    data: &mut [u8],
    offset_bytes: u64,
) -> Result<(), FormatError> {
    target.write_all_at(data, offset_bytes).map_err(|source| FormatError::Write { what, source })
}

fn flush(target: &dyn WriteAt, what: &'static str) -> Result<(), FormatError> {
    target.flush().map_err(|source| FormatError::Write { what, source })
}

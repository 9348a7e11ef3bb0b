//! Reads a formatted volume back: every copy, every protector, the sector key.

use block::{ReadAt, ReadError};

use super::Formatted;
use crate::{
    CopyHealth, CopyReport, ExternalKey, ExternalKeyError, Integrity, Metadata, ReadMetadataError, Secret,
    UnlockError, Warning,
};

/// What was written is not what is read.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The metadata cannot be read.
    #[error("reading the new metadata")]
    Metadata(#[source] ReadMetadataError),
    /// A copy is damaged, or a warning came up.
    #[error("the new metadata is not flawless: {copies:?} {warnings:?}")]
    Flawed {
        /// Each copy.
        copies: Vec<CopyReport>,
        /// The warnings.
        warnings: Vec<Warning>,
    },
    /// The boot sector or a copy cannot be read back.
    #[error("reading {what} back")]
    Read {
        /// What.
        what: &'static str,
        /// How the device failed.
        #[source]
        source: ReadError,
    },
    /// The boot sector or a copy reads back with other bytes.
    #[error("{what} at {offset_bytes:#x} is not what was written")]
    Differs {
        /// What.
        what: &'static str,
        /// The first byte that differs.
        offset_bytes: u64,
    },
    /// A protector does not open.
    #[error("opening the new volume with its {kind}")]
    Locked {
        /// Which.
        kind: &'static str,
        /// Why.
        #[source]
        source: UnlockError,
    },
    /// The startup key does not read back.
    #[error("reading the new startup key")]
    ExternalKey(#[from] ExternalKeyError),
    /// A protector opened another key, or the sealed hash is wrong.
    #[error("the {kind} gives another volume key than the one in use")]
    OtherKey {
        /// Which.
        kind: &'static str,
    },
}

impl Formatted {
    /// Proves that boot sector and copies are on the medium to the last byte, that a reader finds
    /// three good copies, and that each secret opens the volume.
    ///
    /// `device` must read from the medium: [`block::Target::forget_cached`].
    ///
    /// # Errors
    /// What does not hold: see [`VerifyError`].
    pub fn verify(&self, device: &dyn ReadAt) -> Result<Metadata, VerifyError> {
        self.compare(device)?;
        let metadata = Metadata::read(device).map_err(VerifyError::Metadata)?;
        let are_good = metadata.copies.iter().all(|copy| copy.health == CopyHealth::Good);
        if !are_good || metadata.copies.len() != 3 || !metadata.warnings.is_empty() {
            let Metadata { copies, warnings, .. } = metadata;
            return Err(VerifyError::Flawed { copies, warnings });
        }
        self.check(
            &metadata,
            "recovery password",
            &Secret::RecoveryPassword(self.recovery_password.duplicate()),
        )?;
        if let Some(password) = &self.password {
            self.check(&metadata, "password", &Secret::Password(password.duplicate()))?;
        }
        if let Some(file) = &self.external_key {
            let key = ExternalKey::from_bek(&file.contents)?;
            self.check(&metadata, "startup key", &Secret::ExternalKey(key))?;
        }
        Ok(metadata)
    }

    fn compare(&self, device: &dyn ReadAt) -> Result<(), VerifyError> {
        let first = self.first_sector();
        let copies = self.layout.areas_bytes().map(|place| ("a copy of the metadata", &self.area, place));
        for (what, expected, place) in copies.into_iter().chain([("the boot sector", &first, 0)]) {
            let mut found = vec![0; expected.len()];
            device.read_exact_at(&mut found, place).map_err(|source| VerifyError::Read { what, source })?;
            let difference = found.iter().zip(expected).position(|(found, expected)| found != expected);
            if let Some(index) = difference {
                let offset_bytes = place.saturating_add(index as u64);
                return Err(VerifyError::Differs { what, offset_bytes });
            }
        }
        Ok(())
    }

    fn check(&self, metadata: &Metadata, kind: &'static str, secret: &Secret) -> Result<(), VerifyError> {
        let key = metadata.unlock(secret).map_err(|source| VerifyError::Locked { kind, source })?;
        let is_same =
            key.integrity() == Integrity::Verified && key.method == self.method && key.fvek == self.fvek;
        if is_same { Ok(()) } else { Err(VerifyError::OtherKey { kind }) }
    }
}

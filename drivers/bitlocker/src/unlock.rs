//! From a secret to the volume's key: protector, VMK, FVEK, each step proven by its tag (spec §1,
//! §4, §3.5).
//!
//! Every protector of the secret's kind is tried, each has its own salt.

use std::fmt;

use zeroize::Zeroizing;

use crate::ccm::{Key256, OpenKeyError};
use crate::metadata::protector::Lock;
use crate::stretch::stretch;
use crate::{Guid, Metadata, Method, Protector, ProtectorKind, Secret};

/// Each attempt with a typed secret costs 0.2 s or more; real volumes have one or two protectors of
/// a kind, a hostile one could list hundreds.
const ATTEMPTS_MAX: usize = 32;

/// The key of a volume's sectors, as it came out of the metadata. Zeroed when dropped.
pub struct VolumeKey {
    pub(crate) method: Method,
    pub(crate) fvek: Zeroizing<Vec<u8>>,
    protector: Option<Guid>,
    integrity: Integrity,
}

/// Whether the metadata is what Windows wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Integrity {
    /// The sealed SHA-256 matches.
    Verified,
    /// It does not: the metadata was changed by something that did not know the VMK. Reading goes
    /// on with a warning; nothing may be written (spec §3.5).
    Tampered,
    /// The metadata carries no sealed SHA-256, or it cannot be opened.
    Unproven,
}

/// A protector by its id and kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProtectorRef {
    /// The key id that Windows shows.
    pub id: Guid,
    /// What would open it.
    pub kind: ProtectorKind,
}

impl fmt::Display for ProtectorRef {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {}", self.kind, self.id)
    }
}

/// The volume stays locked.
#[derive(Debug, thiserror::Error)]
pub enum UnlockError {
    /// The volume cannot be opened by a secret of that kind.
    #[error("the volume has no protector of the kind {kind}; it would open with: {}", list(present))]
    NoSuchProtector {
        /// The kind of the secret that was offered.
        kind: ProtectorKind,
        /// What would open it.
        present: Vec<ProtectorRef>,
    },
    /// No protector of the kind opened.
    #[error("the {kind} is wrong; tried: {}; the volume would open with: {}", list(tried), list(present))]
    KeyInvalid {
        /// The kind of the secret that was offered.
        kind: ProtectorKind,
        /// The protectors that it did not open.
        tried: Vec<ProtectorRef>,
        /// What would open the volume.
        present: Vec<ProtectorRef>,
    },
    /// A protector opened and what is inside is no VMK.
    #[error("protector {protector} opened, and what it holds is no volume master key")]
    NoMasterKey {
        /// The protector.
        protector: ProtectorRef,
    },
    /// The VMK came out and does not open the sector key.
    #[error("protector {protector} opened, and the volume's sector key is missing or damaged")]
    SectorKeyDamaged {
        /// The protector.
        protector: ProtectorRef,
    },
    /// The sectors are encrypted in a way that nobody knows, or the key does not fit the method.
    #[error(
        "the sectors are encrypted with {method}, and its key has {key_bytes} bytes: unknown to this reader"
    )]
    UnknownMethod {
        /// The method by the key's datum.
        method: Method,
        /// The key's length.
        key_bytes: usize,
    },
}

fn list(protectors: &[ProtectorRef]) -> String {
    if protectors.is_empty() {
        return "nothing".to_owned();
    }
    protectors.iter().map(ProtectorRef::to_string).collect::<Vec<_>>().join(", ")
}

impl Metadata {
    /// Opens the volume with a secret. A decrypted volume opens with any.
    ///
    /// # Errors
    /// See [`UnlockError`]; each names the protectors that would open the volume.
    pub fn unlock(&self, secret: &Secret) -> Result<VolumeKey, UnlockError> {
        if self.is_decrypted() {
            return Ok(VolumeKey::not_needed());
        }
        let (protector, vmk) = self.master_key(secret)?;
        self.open_sector_key(protector, &vmk)
    }

    /// The VMK and the protector that gave it.
    pub(crate) fn master_key(&self, secret: &Secret) -> Result<(ProtectorRef, Key256), UnlockError> {
        let kind = secret.protector_kind();
        let candidates = self.candidates(secret);
        if candidates.is_empty() {
            return Err(UnlockError::NoSuchProtector { kind, present: self.protector_refs() });
        }
        let mut tried = Vec::new();
        for protector in candidates {
            match open_lock(&protector.lock, secret) {
                Some(Ok(vmk)) => return Ok((protector.to_ref(), vmk)),
                Some(Err(OpenKeyError::NoKey)) => {
                    return Err(UnlockError::NoMasterKey { protector: protector.to_ref() });
                }
                Some(Err(OpenKeyError::WrongTag)) | None => tried.push(protector.to_ref()),
            }
        }
        Err(UnlockError::KeyInvalid { kind, tried, present: self.protector_refs() })
    }

    /// Every protector by id and kind.
    pub fn protector_refs(&self) -> Vec<ProtectorRef> {
        self.protectors.iter().map(Protector::to_ref).collect()
    }

    /// Protectors of the secret's kind. Of several external keys the one with the key's own id
    /// counts; when none has it, all do.
    pub(crate) fn candidates(&self, secret: &Secret) -> Vec<&Protector> {
        let kind = secret.protector_kind();
        let of_kind = || self.protectors.iter().filter(move |protector| protector.kind == kind);
        if let Secret::ExternalKey(key) = secret {
            let own: Vec<&Protector> = of_kind().filter(|protector| Some(protector.id) == key.id()).collect();
            if !own.is_empty() {
                return own;
            }
        }
        of_kind().take(ATTEMPTS_MAX).collect()
    }

    pub(crate) fn open_sector_key(
        &self,
        protector: ProtectorRef,
        vmk: &[u8; 32],
    ) -> Result<VolumeKey, UnlockError> {
        let damaged = UnlockError::SectorKeyDamaged { protector };
        let Some(Ok(opened)) = self.fvek.as_ref().map(|fvek| fvek.open_key(vmk)) else { return Err(damaged) };
        let method = Method::from_number(opened.method);
        if method.key_bytes() != Some(opened.key.len()) {
            return Err(UnlockError::UnknownMethod { method, key_bytes: opened.key.len() });
        }
        let integrity = self.check_integrity(vmk);
        Ok(VolumeKey { method, fvek: opened.key, protector: Some(protector.id), integrity })
    }

    fn check_integrity(&self, vmk: &[u8; 32]) -> Integrity {
        match self.validation.as_ref().map(|sealed| sealed.open_key_256(vmk)) {
            None => Integrity::Unproven,
            Some(Ok(hash)) if *hash == self.block_sha256 => Integrity::Verified,
            Some(Ok(_) | Err(_)) => Integrity::Tampered,
        }
    }
}

impl Protector {
    /// Its id and kind.
    pub fn to_ref(&self) -> ProtectorRef {
        ProtectorRef { id: self.id, kind: self.kind }
    }
}

impl VolumeKey {
    fn not_needed() -> VolumeKey {
        let fvek = Zeroizing::new(Vec::new());
        VolumeKey { method: Method::None, fvek, protector: None, integrity: Integrity::Unproven }
    }

    /// How the sectors are encrypted, by the key itself.
    pub fn method(&self) -> Method {
        self.method
    }

    /// The protector that opened; `None` for a decrypted volume.
    pub fn protector(&self) -> Option<Guid> {
        self.protector
    }

    /// Whether the metadata is proven to be unchanged.
    pub fn integrity(&self) -> Integrity {
        self.integrity
    }
}

impl fmt::Debug for VolumeKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("VolumeKey")
            .field("method", &self.method)
            .field("protector", &self.protector)
            .field("integrity", &self.integrity)
            .finish_non_exhaustive()
    }
}

/// `None` where secret and lock do not fit together.
fn open_lock(lock: &Lock, secret: &Secret) -> Option<Result<Key256, OpenKeyError>> {
    let stretched = |hash: &[u8; 32]| match lock {
        Lock::Stretched { salt, vmk } => Some(vmk.open_key_256(&stretch(hash, salt))),
        _ => None,
    };
    match (secret, lock) {
        (Secret::RecoveryPassword(password), _) => stretched(&password.hash()),
        (Secret::Password(password), _) => stretched(password.hash()),
        (Secret::ExternalKey(key), Lock::External { vmk, .. }) => Some(vmk.open_key_256(key.key())),
        (Secret::ClearKey, Lock::Clear { key, vmk }) => Some(vmk.open_key_256(key)),
        (Secret::ExternalKey(_) | Secret::ClearKey, _) => None,
    }
}

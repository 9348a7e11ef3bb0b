//! The vault: seals and opens secrets under the master keys that are loaded now.
//!
//! Invariants: what is sealed is sealed under the first key of the file as it was last loaded; a reload
//! that fails changes nothing; a seal or open under way keeps the keys it began with. The vault knows
//! nothing of where sealed secrets are kept: whoever keeps them walks them after a rotation and calls
//! [`Vault::rewrap`] for those that [`Vault::needs_rewrap`].

use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};

use model::Class;
use zeroize::Zeroizing;

use crate::aead::{self, Key, random};
use crate::master::{KeyFileError, KeyId, Line, MasterKey, MasterKeys, parse};
use crate::private_file::{self, Keeper, PrivateFileError};
use crate::purpose::Purpose;
use crate::sealed::{SECRET_BYTES_MAX, Sealed, secret_data, wrap_data};
use crate::secret::Secret;

/// The credential's name in a unit: `LoadCredentialEncrypted=drayage-master-key:…`.
pub const CREDENTIAL_NAME: &str = "drayage-master-key";
/// Where systemd says that a unit's credentials are.
const CREDENTIALS_VARIABLE: &str = "CREDENTIALS_DIRECTORY";

/// Where the master key file is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeySource {
    /// The service manager's credential `drayage-master-key`.
    SystemdCredential,
    /// A file of ours, 0600 or 0400.
    File(PathBuf),
}

impl KeySource {
    fn locate(&self) -> Result<(PathBuf, Keeper), LoadError> {
        match self {
            KeySource::File(path) => Ok((path.clone(), Keeper::Ourselves)),
            KeySource::SystemdCredential => std::env::var_os(CREDENTIALS_VARIABLE)
                .map(|directory| (PathBuf::from(directory).join(CREDENTIAL_NAME), Keeper::ServiceManager))
                .ok_or(LoadError::NoCredentials),
        }
    }
}

/// Everything that a vault is loaded from.
pub struct Sources {
    master: KeySource,
}

impl Sources {
    /// The master keys of this file.
    pub fn new(master: KeySource) -> Sources {
        Sources { master }
    }

    async fn load(&self) -> Result<MasterKeys, LoadError> {
        let (path, keeper) = self.master.locate()?;
        let text = private_file::read(&path, keeper).map_err(LoadError::File)?;
        let mut keys = Vec::new();
        for line in parse(&text).map_err(LoadError::Content)? {
            keys.push(self.key_of(line).await?);
        }
        MasterKeys::of(keys).ok_or(LoadError::Content(KeyFileError::Empty))
    }

    async fn key_of(&self, line: Line) -> Result<MasterKey, LoadError> {
        match line {
            Line::Plain(key) => Ok(key),
            Line::Wrapped { id, .. } => Err(LoadError::NoKeyVault { id }),
        }
    }
}

/// Why the master keys cannot be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// Not started by a service manager that hands credentials over.
    #[error(
        "no credentials: {CREDENTIALS_VARIABLE} is not set (LoadCredentialEncrypted= in the unit sets it)"
    )]
    NoCredentials,
    /// The file is missing, or others could read it.
    #[error("the master key file cannot be used")]
    File(#[source] PrivateFileError),
    /// The file is no key file.
    #[error("the master key file cannot be read")]
    Content(#[source] KeyFileError),
    /// A wrapped key, and nothing to unwrap it with.
    #[error("the master key {id} is wrapped by a Key Vault key, and no Key Vault is configured")]
    NoKeyVault {
        /// Which key.
        id: KeyId,
    },
}

impl LoadError {
    /// What it leads to: without master keys the station cannot open a drive.
    pub fn class(&self) -> Class {
        match self {
            LoadError::NoCredentials
            | LoadError::File(_)
            | LoadError::Content(_)
            | LoadError::NoKeyVault { .. } => Class::StopStation,
        }
    }
}

/// Why a secret cannot be sealed.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// Longer than any secret.
    #[error("the secret has {found} bytes, {SECRET_BYTES_MAX} is the limit")]
    Long {
        /// Its length.
        found: usize,
    },
}

impl SealError {
    /// What it leads to.
    pub fn class(&self) -> Class {
        match self {
            SealError::Long { .. } => Class::HoldForCustomer,
        }
    }
}

/// Why a sealed secret cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Its master key is not in the key file (any more).
    #[error("the secret is sealed under the master key {id}, which is not in the key file")]
    UnknownMasterKey {
        /// Which key.
        id: KeyId,
    },
    /// Changed bytes, or another purpose.
    #[error("{purpose} does not open: it was changed, or sealed for something else")]
    Refused {
        /// What it was to be opened for.
        purpose: Box<Purpose>,
    },
    /// A customer's key is needed.
    #[error("{purpose} is sealed under a customer's key, and no Key Vault is configured")]
    NoKeyVault {
        /// What it was to be opened for.
        purpose: Box<Purpose>,
    },
}

impl OpenError {
    /// What it leads to. A refused secret holds the drive: giving the secret again mends it.
    pub fn class(&self) -> Class {
        match self {
            OpenError::UnknownMasterKey { .. } | OpenError::NoKeyVault { .. } => Class::StopStation,
            OpenError::Refused { .. } => Class::HoldForCustomer,
        }
    }

    fn refused(purpose: &Purpose) -> OpenError {
        OpenError::Refused { purpose: Box::new(purpose.clone()) }
    }
}

/// Seals and opens secrets. Shared by everything in the process.
pub struct Vault {
    keys: RwLock<Arc<MasterKeys>>,
    sources: Option<Sources>,
}

impl Vault {
    /// Loads the master keys.
    ///
    /// # Errors
    /// When there are none, or not in a private place.
    pub async fn load(sources: Sources) -> Result<Vault, LoadError> {
        let keys = RwLock::new(Arc::new(sources.load().await?));
        Ok(Vault { keys, sources: Some(sources) })
    }

    /// A vault over keys in memory: for tests and demonstrations. A reload keeps them.
    pub fn over(keys: MasterKeys) -> Vault {
        Vault { keys: RwLock::new(Arc::new(keys)), sources: None }
    }

    /// Loads the master keys again, after the file was changed. Answers the ids, the sealing one first.
    ///
    /// # Errors
    /// Why they cannot be loaded; the vault then goes on with those that it has.
    pub async fn reload(&self) -> Result<Vec<KeyId>, LoadError> {
        if let Some(sources) = &self.sources {
            let fresh = Arc::new(sources.load().await?);
            *self.keys.write().unwrap_or_else(PoisonError::into_inner) = fresh;
        }
        Ok(self.keys().ids())
    }

    /// The ids of the keys that are loaded, the sealing one first.
    pub fn key_ids(&self) -> Vec<KeyId> {
        self.keys().ids()
    }

    fn keys(&self) -> Arc<MasterKeys> {
        Arc::clone(&self.keys.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Seals a secret under a fresh data key, for one purpose.
    ///
    /// # Errors
    /// When it is too long for a secret.
    pub fn seal(&self, purpose: &Purpose, secret: &[u8]) -> Result<Sealed, SealError> {
        if secret.len() > SECRET_BYTES_MAX {
            return Err(SealError::Long { found: secret.len() });
        }
        let data_key: Key = random();
        let sealed = aead::close(&data_key, &secret_data(None, purpose), secret);
        Ok(self.wrap(purpose, None, data_key.as_slice(), sealed))
    }

    fn wrap(&self, purpose: &Purpose, customer_key: Option<String>, key: &[u8], secret: Vec<u8>) -> Sealed {
        let keys = self.keys();
        let first = keys.first();
        let associated = wrap_data(first.id, customer_key.as_deref(), purpose);
        let wrapped_key = aead::close(&first.key, &associated, key);
        Sealed { master: first.id, customer_key, wrapped_key, secret }
    }

    /// Opens a sealed secret.
    ///
    /// # Errors
    /// When it is another purpose's, was changed, or its key is not there.
    pub async fn open(&self, purpose: &Purpose, sealed: &Sealed) -> Result<Secret, OpenError> {
        let unwrapped = self.unwrap(purpose, sealed)?;
        let data_key = match sealed.customer_key() {
            None => unwrapped,
            Some(_) => return Err(OpenError::NoKeyVault { purpose: Box::new(purpose.clone()) }),
        };
        let data_key = MasterKey::from_slice(&data_key).ok_or_else(|| OpenError::refused(purpose))?.key;
        aead::open(&data_key, &secret_data(sealed.customer_key(), purpose), &sealed.secret)
            .map(Secret::from)
            .ok_or_else(|| OpenError::refused(purpose))
    }

    /// What the master key wrapped: the data key, or what a customer's key made of it.
    fn unwrap(&self, purpose: &Purpose, sealed: &Sealed) -> Result<Zeroizing<Vec<u8>>, OpenError> {
        let keys = self.keys();
        let master = keys.find(sealed.master).ok_or(OpenError::UnknownMasterKey { id: sealed.master })?;
        let associated = wrap_data(sealed.master, sealed.customer_key(), purpose);
        aead::open(&master.key, &associated, &sealed.wrapped_key).ok_or_else(|| OpenError::refused(purpose))
    }

    /// Whether the secret is sealed under another key than the one that seals now.
    pub fn needs_rewrap(&self, sealed: &Sealed) -> bool {
        sealed.master != self.keys().first().id
    }

    /// The same secret under the key that seals now. The secret itself is not decrypted, and a customer's
    /// key is not asked for.
    ///
    /// # Errors
    /// When its key is not there any more, or it is another purpose's, or was changed.
    pub fn rewrap(&self, purpose: &Purpose, sealed: &Sealed) -> Result<Sealed, OpenError> {
        let unwrapped = self.unwrap(purpose, sealed)?;
        Ok(self.wrap(purpose, sealed.customer_key.clone(), &unwrapped, sealed.secret.clone()))
    }
}

#[cfg(test)]
mod tests;

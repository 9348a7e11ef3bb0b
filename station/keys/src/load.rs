//! Where the master keys are loaded from.
//!
//! Invariant: a plain key comes only from a place that is private ([`private_file`]); a wrapped one only from the
//! key in Key Vault that wrapped it, and only if it is the key that the file names; where the
//! configuration names a key that wraps, nothing is sealed under a master key that it did not wrap. Unwrapped
//! keys stay in memory until the next load, so Key Vault is asked once, not for each secret.

use std::path::PathBuf;

use azure::{KeyUrl, KeyUrlError, KeyVault, KeyVaultError, WrappedKey};
use model::Class;

use crate::master::{KeyFileError, KeyId, Line, MasterKey, MasterKeys, parse};
use crate::private_file::{self, Keeper, PrivateFileError};

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
    pub(crate) key_vault: Option<KeyVault>,
    pub(crate) wrapped_by: Option<KeyUrl>,
}

impl Sources {
    /// The master keys of this file.
    pub fn new(master: KeySource) -> Sources {
        Sources { master, key_vault: None, wrapped_by: None }
    }

    /// With a Key Vault: it unwraps the wrapped keys of the file, and wraps under customers' keys.
    #[must_use]
    pub fn with_key_vault(self, key_vault: KeyVault) -> Sources {
        Sources { key_vault: Some(key_vault), ..self }
    }

    /// The master key that seals must be wrapped by this key; those that only open need not, so that a
    /// station can move here from a plain key file.
    #[must_use]
    pub fn wrapped_by(self, key: KeyUrl) -> Sources {
        Sources { wrapped_by: Some(key), ..self }
    }

    /// Looks at the key file as [`crate::Vault::load`] does, but asks no Key Vault.
    ///
    /// # Errors
    /// Why the keys will not be loaded.
    pub fn check(&self) -> Result<(), LoadError> {
        self.lines().map(|_| ())
    }

    fn lines(&self) -> Result<Vec<Line>, LoadError> {
        let (path, keeper) = self.master.locate()?;
        let text = private_file::read(&path, keeper).map_err(LoadError::File)?;
        let lines = parse(&text).map_err(LoadError::Content)?;
        self.check_wrapping(&lines)?;
        for line in &lines {
            line.wrapped_by().map(|url| self.parse_url(line.id(), url)).transpose()?;
        }
        Ok(lines)
    }

    pub(crate) async fn load(&self) -> Result<MasterKeys, LoadError> {
        let mut keys = Vec::new();
        for line in self.lines()? {
            keys.push(self.key_of(line).await?);
        }
        MasterKeys::of(keys).ok_or(LoadError::Content(KeyFileError::Empty))
    }

    /// Nobody shall believe that the key vault guards what lies in the file for anybody to copy.
    fn check_wrapping(&self, lines: &[Line]) -> Result<(), LoadError> {
        let (Some(wanted), Some(sealing)) = (&self.wrapped_by, lines.first()) else { return Ok(()) };
        let found = sealing.wrapped_by().map(|url| self.parse_url(sealing.id(), url)).transpose()?;
        if found.is_some_and(|found| wanted.includes(&found)) {
            return Ok(());
        }
        Err(LoadError::NotWrapped { id: sealing.id(), wanted: wanted.to_string() })
    }

    fn parse_url(&self, id: KeyId, url: &str) -> Result<KeyUrl, LoadError> {
        let key_vault = self.key_vault.as_ref().ok_or(LoadError::NoKeyVault { id })?;
        key_vault.parse_url(url).map_err(|source| LoadError::KeyUrl { id, source })
    }

    async fn key_of(&self, line: Line) -> Result<MasterKey, LoadError> {
        let (id, url, value) = match line {
            Line::Plain(key) => return Ok(key),
            Line::Wrapped { id, vault_key, value } => (id, vault_key, value),
        };
        let key_vault = self.key_vault.as_ref().ok_or(LoadError::NoKeyVault { id })?;
        let url = self.parse_url(id, &url)?;
        let unwrapped = key_vault.unwrap(&url, &WrappedKey::from_bytes(value)).await;
        let bytes = unwrapped.map_err(|source| LoadError::KeyVault { id, source })?;
        MasterKey::from_bytes(bytes).filter(|key| key.id == id).ok_or(LoadError::NotTheKey { id })
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
    /// The key that seals is another's than the configuration wants.
    #[error(
        "the master key {id}, which seals, is not wrapped by {wanted}: put one in front that is \
         (station keys add FILE --config CONFIG)"
    )]
    NotWrapped {
        /// Which key.
        id: KeyId,
        /// The key that should have wrapped it.
        wanted: String,
    },
    /// A wrapped key whose vault is not trusted.
    #[error("the master key {id} names a Key Vault key that is not asked")]
    KeyUrl {
        /// Which key.
        id: KeyId,
        /// Why.
        #[source]
        source: KeyUrlError,
    },
    /// The vault does not unwrap it.
    #[error("the master key {id} cannot be unwrapped")]
    KeyVault {
        /// Which key.
        id: KeyId,
        /// Why.
        #[source]
        source: KeyVaultError,
    },
    /// The vault unwraps it to something else.
    #[error("the vault unwraps something else than the master key {id}")]
    NotTheKey {
        /// Which key.
        id: KeyId,
    },
}

impl LoadError {
    /// What it leads to: without master keys the station cannot open a drive, but a vault that does not
    /// answer may answer in a moment.
    pub fn class(&self) -> Class {
        match self {
            LoadError::KeyVault { source, .. } if source.class() == Class::RetryRequest => {
                Class::RetryRequest
            }
            LoadError::NoCredentials
            | LoadError::File(_)
            | LoadError::Content(_)
            | LoadError::NoKeyVault { .. }
            | LoadError::NotWrapped { .. }
            | LoadError::KeyUrl { .. }
            | LoadError::KeyVault { .. }
            | LoadError::NotTheKey { .. } => Class::StopStation,
        }
    }
}

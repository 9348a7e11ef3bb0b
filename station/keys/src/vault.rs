//! The vault: seals and opens secrets under the master keys that are loaded now.
//!
//! Invariants: what is sealed is sealed under the first key of the file as it was last loaded; a reload
//! that fails changes nothing; a seal or open under way keeps the keys it began with. The vault knows
//! nothing of where sealed secrets are kept: whoever keeps them walks them after a rotation and calls
//! [`Vault::rewrap`] for those that [`Vault::needs_rewrap`].

use std::sync::{Arc, PoisonError, RwLock};

use azure::KeyVault;
use model::Class;
use zeroize::Zeroizing;

use crate::aead::{self, Key};
use crate::customer::{CustomerKey, CustomerKeyError, unwrap_by};
use crate::load::{LoadError, Sources};
use crate::master::{KeyId, MasterKeys};
use crate::purpose::Purpose;
use crate::sealed::{SECRET_BYTES_MAX, Sealed, secret_data, wrap_data};
use crate::secret::Secret;

/// Why a secret cannot be sealed.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// Longer than any secret.
    #[error("the secret has {found} bytes, {SECRET_BYTES_MAX} is the limit")]
    Long {
        /// Its length.
        found: usize,
    },
    /// The customer's key does not wrap (any more).
    #[error("{purpose} cannot be sealed under the customer's key")]
    CustomerKey {
        /// What was to be sealed.
        purpose: Box<Purpose>,
        /// Why.
        #[source]
        source: CustomerKeyError,
    },
}

impl SealError {
    /// What it leads to.
    pub fn class(&self) -> Class {
        match self {
            SealError::Long { .. } => Class::HoldForCustomer,
            SealError::CustomerKey { source, .. } => source.class(),
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
    /// The customer's key does not unwrap (any more).
    #[error("{purpose} cannot be opened without the customer's key")]
    CustomerKey {
        /// What it was to be opened for.
        purpose: Box<Purpose>,
        /// Why.
        #[source]
        source: CustomerKeyError,
    },
}

impl OpenError {
    /// What it leads to. A refused secret holds the drive: giving the secret again mends it.
    pub fn class(&self) -> Class {
        match self {
            OpenError::UnknownMasterKey { .. } => Class::StopStation,
            OpenError::Refused { .. } => Class::HoldForCustomer,
            OpenError::CustomerKey { source, .. } => source.class(),
        }
    }

    /// The code that the Import/Export service has for it, where it has one: `CmkError…`.
    pub fn code(&self) -> Option<&'static str> {
        match self {
            OpenError::UnknownMasterKey { .. } | OpenError::Refused { .. } => None,
            OpenError::CustomerKey { source, .. } => source.code(),
        }
    }

    fn refused(purpose: &Purpose) -> OpenError {
        OpenError::Refused { purpose: Box::new(purpose.clone()) }
    }
}

/// Seals and opens secrets. Shared by everything in the process.
pub struct Vault {
    keys: RwLock<Arc<MasterKeys>>,
    /// Where they came from; nowhere, if they live in memory only.
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
        let data_key = Key::random();
        let sealed = aead::close(&data_key, &secret_data(None, purpose), secret);
        Ok(self.wrap(purpose, None, data_key.as_slice(), sealed))
    }

    /// A customer's key by its URL (`kekUrl`), looked at and tried. Ask for it once for all secrets of a job.
    ///
    /// # Errors
    /// Why it cannot be used; `Unsupported` when the station has no identity for Key Vault.
    pub async fn customer_key(&self, url: &str) -> Result<CustomerKey, CustomerKeyError> {
        let own = self.sources.as_ref().and_then(|sources| sources.wrapped_by.as_ref());
        CustomerKey::find(self.key_vault(), own, url).await
    }

    /// Seals a secret so that it takes the customer's key to open it, besides the master key.
    ///
    /// # Errors
    /// When it is too long for a secret, or the customer's vault does not wrap.
    pub async fn seal_under(
        &self,
        customer_key: &CustomerKey,
        purpose: &Purpose,
        secret: &[u8],
    ) -> Result<Sealed, SealError> {
        if secret.len() > SECRET_BYTES_MAX {
            return Err(SealError::Long { found: secret.len() });
        }
        let data_key = Key::random();
        let wrapped = customer_key.wrap(data_key.as_slice()).await;
        let wrapped = wrapped
            .map_err(|source| SealError::CustomerKey { purpose: Box::new(purpose.clone()), source })?;
        let url = customer_key.url();
        let sealed = aead::close(&data_key, &secret_data(Some(&url), purpose), secret);
        Ok(self.wrap(purpose, Some(url), &wrapped, sealed))
    }

    fn key_vault(&self) -> Option<&KeyVault> {
        self.sources.as_ref().and_then(|sources| sources.key_vault.as_ref())
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
            Some(url) => unwrap_by(self.key_vault(), url, &unwrapped)
                .await
                .map_err(|source| OpenError::CustomerKey { purpose: Box::new(purpose.clone()), source })?,
        };
        let data_key = Key::from_bytes(data_key).ok_or_else(|| OpenError::refused(purpose))?;
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

//! A job's own key: `encryptionKey.kekUrl`, a key in the customer's Key Vault.
//!
//! The data key of each of the job's secrets is then wrapped by the customer's key first and by the
//! master key after, so it takes both to open one: the customer can revoke at any time, and somebody
//! who can write to the ledger cannot seal a secret of his own under the customer's public key.
//! Invariant: a [`CustomerKey`] has wrapped and unwrapped a trial before anything depends on it (a vault goes
//! on wrapping with a disabled key, and a right to wrap is none to unwrap). azure-import-export.md §4.7.

use azure::{KeyUrl, KeyUrlError, KeyVault, KeyVaultError, KeyVaultFault, VaultKey, WrappedKey};
use model::Class;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::aead::Key;

/// A customer's key that can be used now: one version of it.
pub struct CustomerKey {
    vault: KeyVault,
    key: VaultKey,
}

/// Why a customer's key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CustomerKeyError {
    /// The station has no identity to ask a Key Vault with: customer-managed keys are not offered here.
    #[error("this station offers no customer-managed keys: no Key Vault is configured")]
    Unsupported,
    /// Not the URL of a key, or not in Key Vault.
    #[error("the key's URL (kekUrl) cannot be used")]
    Url(#[source] KeyUrlError),
    /// The key that wraps the station's own master keys.
    #[error("the key's URL (kekUrl) names the station's own key, which is no customer's")]
    StationsOwn,
    /// The vault refuses.
    #[error("the customer's key cannot be used")]
    KeyVault(#[source] KeyVaultError),
    /// The vault does not give back what it was given.
    #[error("the customer's key does not unwrap what it wrapped")]
    NotTheSame,
}

impl CustomerKeyError {
    /// What it leads to.
    pub fn class(&self) -> Class {
        match self {
            CustomerKeyError::Unsupported
            | CustomerKeyError::Url(_)
            | CustomerKeyError::StationsOwn
            | CustomerKeyError::NotTheSame => Class::HoldForCustomer,
            CustomerKeyError::KeyVault(error) => error.class(),
        }
    }

    /// Whether it is the request that is wrong: another key has to be named, and the text says why.
    pub fn is_wrong_key(&self) -> bool {
        match self {
            CustomerKeyError::Url(_) | CustomerKeyError::StationsOwn | CustomerKeyError::NotTheSame => true,
            CustomerKeyError::KeyVault(error) => error.what == KeyVaultFault::KeyUnsuitable,
            CustomerKeyError::Unsupported => false,
        }
    }

    /// The code that the Import/Export service has for it, where it has one: `CmkError…`.
    pub fn code(&self) -> Option<&'static str> {
        match self {
            CustomerKeyError::KeyVault(error) => error.what.code(),
            CustomerKeyError::Unsupported
            | CustomerKeyError::Url(_)
            | CustomerKeyError::StationsOwn
            | CustomerKeyError::NotTheSame => None,
        }
    }
}

impl CustomerKey {
    /// Looks at the key and tries it. `own` is the one that wraps the station's master keys: it would add nothing.
    pub(crate) async fn find(
        vault: Option<&KeyVault>,
        own: Option<&KeyUrl>,
        url: &str,
    ) -> Result<CustomerKey, CustomerKeyError> {
        let vault = vault.ok_or(CustomerKeyError::Unsupported)?.clone();
        let url = vault.parse_url(url).map_err(CustomerKeyError::Url)?;
        if own.is_some_and(|own| own.is_same_key(&url)) {
            return Err(CustomerKeyError::StationsOwn);
        }
        let key = vault.key(&url).await.map_err(CustomerKeyError::KeyVault)?;
        let found = CustomerKey { vault, key };
        let trial = Key::random();
        let wrapped = found.wrap(trial.as_slice()).await?;
        let back = unwrap(&found.vault, found.key.url(), wrapped).await?;
        match bool::from(back.as_slice().ct_eq(trial.as_slice())) {
            true => Ok(found),
            false => Err(CustomerKeyError::NotTheSame),
        }
    }

    /// Its URL with the version, which is what is kept.
    pub fn url(&self) -> String {
        self.key.url().to_string()
    }

    pub(crate) async fn wrap(&self, secret: &[u8]) -> Result<Vec<u8>, CustomerKeyError> {
        let wrapped = self.vault.wrap(&self.key, secret).await.map_err(CustomerKeyError::KeyVault)?;
        Ok(wrapped.as_bytes().to_vec())
    }
}

/// Asks the customer's vault, each time anew.
pub(crate) async fn unwrap_by(
    vault: Option<&KeyVault>,
    url: &str,
    wrapped: &[u8],
) -> Result<Zeroizing<Vec<u8>>, CustomerKeyError> {
    let vault = vault.ok_or(CustomerKeyError::Unsupported)?;
    let url = vault.parse_url(url).map_err(CustomerKeyError::Url)?;
    unwrap(vault, &url, wrapped.to_vec()).await
}

async fn unwrap(
    vault: &KeyVault,
    url: &KeyUrl,
    wrapped: Vec<u8>,
) -> Result<Zeroizing<Vec<u8>>, CustomerKeyError> {
    vault.unwrap(url, &WrappedKey::from_bytes(wrapped)).await.map_err(CustomerKeyError::KeyVault)
}

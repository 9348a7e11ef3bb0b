//! Sealed secrets: bytes that only the keys' crate can open.

use std::fmt;

use async_trait::async_trait;

use super::error::OfficeError;
use super::job::JobKey;

/// A secret as it is kept.
#[derive(Clone, PartialEq, Eq)]
pub struct SealedSecret {
    /// What it is, as its purpose spells it.
    pub name: String,
    /// The job with which it goes; none for the station's own.
    pub job: Option<JobKey>,
    /// The master key that its own key is wrapped under.
    pub master_key_id: String,
    /// The sealed bytes.
    pub sealed: Vec<u8>,
}

impl fmt::Debug for SealedSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Sealed, but a log is no place for it either.
        f.debug_struct("SealedSecret")
            .field("name", &self.name)
            .field("job", &self.job)
            .field("master_key_id", &self.master_key_id)
            .finish_non_exhaustive()
    }
}

/// What a change does to a secret.
#[derive(Debug, Clone)]
pub enum SecretWrite {
    /// Takes the place of one of the same name. Its job is there after the change's own job is written.
    Put(SealedSecret),
    /// Takes the place of the one that was seen, or of none, and of no other: [`super::ApplyError::Conflict`] when
    /// something else is there by now. Its job stays what it was.
    Replace {
        /// What was seen under the name.
        before: Option<SealedSecret>,
        /// What is there from now on; of the same name.
        with: SealedSecret,
    },
    /// Forgets it; one that is not there is no fault.
    Delete {
        /// Its name.
        name: String,
    },
}

/// The secrets that changes left.
#[async_trait]
pub trait Secrets: Send + Sync {
    /// The secret of that name.
    ///
    /// # Errors
    /// When the store cannot be read.
    async fn secret(&self, name: &str) -> Result<Option<SealedSecret>, OfficeError>;

    /// The next secrets by name that are wrapped under another master key than this one.
    ///
    /// # Errors
    /// When the store cannot be read.
    async fn secrets_to_rewrap(
        &self,
        current_master_key_id: &str,
        after_name: Option<&str>,
        limit: u32,
    ) -> Result<Vec<SealedSecret>, OfficeError>;

    /// Replaces a secret's bytes and master key, if it still has the bytes of `before`: false when
    /// somebody sealed another one meanwhile, or it is gone.
    ///
    /// # Errors
    /// When the store cannot be written.
    async fn rewrap_secret(
        &self,
        before: &SealedSecret,
        master_key_id: &str,
        sealed: &[u8],
    ) -> Result<bool, OfficeError>;
}

//! API tokens: known by their hash, never by themselves.

use async_trait::async_trait;

use super::error::OfficeError;

/// A token as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiToken {
    /// By which people name it.
    pub id: String,
    /// SHA-256 of the token; two have never the same.
    pub sha256: [u8; 32],
    /// What it is for.
    pub label: String,
    /// What its bearer may do.
    pub roles: Vec<String>,
    /// Whatever else limits it, as JSON (a customer's subscription, a station).
    pub document: String,
    /// When it was made, milliseconds since 1970.
    pub created_unix_ms: i64,
    /// When it ends.
    pub expires_unix_ms: Option<i64>,
    /// When it was last seen, as far as it was noted.
    pub last_used_unix_ms: Option<i64>,
    /// When it was taken back.
    pub revoked_unix_ms: Option<i64>,
}

/// What a change does to a token. There is no deleting: who did what stays explicable; long after
/// its end one is forgotten ([`super::Upkeep`]).
#[derive(Debug, Clone)]
pub enum TokenWrite {
    /// A new one; [`super::ApplyError::Invalid`] when id or hash are there already.
    Insert(ApiToken),
    /// Taken back; again changes nothing.
    Revoke {
        /// Which.
        id: String,
        /// When.
        at_unix_ms: i64,
    },
}

/// The tokens that changes left. Whether one is still good the caller decides: it has the clock.
#[async_trait]
pub trait Access: Send + Sync {
    /// The token with that hash, also an expired or revoked one.
    ///
    /// # Errors
    /// When the store cannot be read.
    async fn token_by_hash(&self, sha256: &[u8; 32]) -> Result<Option<ApiToken>, OfficeError>;

    /// The next tokens by id.
    ///
    /// # Errors
    /// When the store cannot be read.
    async fn tokens(&self, after_id: Option<&str>, limit: u32) -> Result<Vec<ApiToken>, OfficeError>;

    /// Notes that it was used; an earlier time replaces a later one, for the clock may have been put right.
    ///
    /// # Errors
    /// When the store cannot be written.
    async fn note_token_use(&self, id: &str, at_unix_ms: i64) -> Result<(), OfficeError>;
}

//! The custody chains as they are stored; written only by a [`super::Change`].
//!
//! Verifying is the custody crate's: it takes the rows in order and a checkpoint from outside.

use ::custody::{Head, Row};
use async_trait::async_trait;

use super::error::OfficeError;

/// A row and the chain that it is on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChainRow {
    /// The chain's name.
    pub chain: String,
    /// The row.
    pub row: Row,
}

/// A signed checkpoint as it was sent off the machine; what is in the text is the custody crate's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredCheckpoint {
    /// The chain's name.
    pub chain: String,
    /// The last entry that it covers.
    pub no: u64,
    /// When it was signed, milliseconds since 1970.
    pub at_unix_ms: i64,
    /// The whole signed checkpoint, as it is written to files.
    pub text: String,
}

/// What is on the chains.
#[async_trait]
pub trait Custody: Send + Sync {
    /// The ends of all chains, by name.
    ///
    /// # Errors
    /// When the store cannot be read.
    async fn heads(&self) -> Result<Vec<Head>, OfficeError>;

    /// The next rows of a chain in order, those above a number (0 for all), at most `limit`.
    ///
    /// # Errors
    /// When the store cannot be read.
    async fn custody_rows(&self, chain: &str, above_no: u64, limit: u32) -> Result<Vec<Row>, OfficeError>;

    /// The next rows of a job, by chain and number, at most `limit`; `after` is the last one's place.
    ///
    /// # Errors
    /// When the store cannot be read.
    async fn custody_of_job(
        &self,
        job_arm_id: &str,
        after: Option<(&str, u64)>,
        limit: u32,
    ) -> Result<Vec<ChainRow>, OfficeError>;

    /// Keeps a checkpoint; one of the same chain, entry and time is there once.
    ///
    /// # Errors
    /// When the store cannot be written.
    async fn save_checkpoint(&self, checkpoint: &StoredCheckpoint) -> Result<(), OfficeError>;

    /// The checkpoints of a chain above a number in order, at most `limit`.
    ///
    /// # Errors
    /// When the store cannot be read.
    async fn checkpoints(
        &self,
        chain: &str,
        above_no: u64,
        limit: u32,
    ) -> Result<Vec<StoredCheckpoint>, OfficeError>;

    /// The newest checkpoint of a chain.
    ///
    /// # Errors
    /// When the store cannot be read.
    async fn last_checkpoint(&self, chain: &str) -> Result<Option<StoredCheckpoint>, OfficeError>;
}

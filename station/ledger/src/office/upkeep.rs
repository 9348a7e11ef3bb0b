//! What has had its time: removed the oldest first, a batch at a call, so that nobody waits long for the ledger.
//!
//! Owns nothing that is still needed; how long something is, its callers decide. For ever are only: custody and its
//! checkpoints, a row a drive and a run, jobs until they are deleted. A job's timers and claims go with it.

use async_trait::async_trait;

use super::error::OfficeError;

/// Removing what is not needed any more. Each gives how many rows went; fewer than the limit: no more are there.
#[async_trait]
pub trait Upkeep: Send + Sync {
    /// Removes events from before a time that every enabled web-hook has got, at most `limit` and
    /// [`PAGE_ROWS_MAX`]. One from the future, by the database's clock, is as old as the next that is not.
    ///
    /// [`PAGE_ROWS_MAX`]: super::PAGE_ROWS_MAX
    ///
    /// # Errors
    /// When the store cannot be written.
    async fn forget_events(&self, before_unix_ms: i64, limit: u32) -> Result<u64, OfficeError>;

    /// Removes answers whose time is over by the database's clock, at most `limit`.
    ///
    /// # Errors
    /// When the store cannot be written.
    async fn forget_replies(&self, limit: u32) -> Result<u64, OfficeError>;

    /// Removes tokens that ended by themselves, or were taken back, before a time; at most `limit` of either
    /// kind. The custody chain still says who made them, and for whom.
    ///
    /// # Errors
    /// When the store cannot be written.
    async fn forget_tokens(&self, ended_before_unix_ms: i64, limit: u32) -> Result<u64, OfficeError>;

    /// Removes what is known of the single blobs of a run that was finished before a time, or was set aside
    /// and begun before it: outcomes of about `limit` blobs of the oldest. The run itself stays, with its end.
    ///
    /// # Errors
    /// When the store cannot be written.
    async fn forget_outcomes(&self, before_unix_ms: i64, limit: u32) -> Result<u64, OfficeError>;
}

//! The ledger of a transfer: which runs there are, what of them has landed, how each blob ended.
//!
//! Invariant: when [`Runs::record`] has returned, a power cut does not undo it. What is recorded when
//! is the transfer's business.

use async_trait::async_trait;

use crate::{
    AbandonError, BeginError, Begun, BlobOutcome, BlobSet, PendingBlob, ReadError, Record, Run, RunEnd,
    RunKey, RunNo, RunStart, RunSummary, SaveError, Totals,
};

/// A store of runs. Every method is one transaction; whatever changes something is durable on return.
///
/// Writing takes a [`Run`], which proves that this process holds the drive; reading takes a number.
#[async_trait]
pub trait Runs: Send + Sync {
    /// Takes the drive and gives its run with that key: the unfinished one if there is one, a new
    /// one if there is none. A finished one is only reported, see [`Runs::abandon`].
    ///
    /// # Errors
    /// [`BeginError::Held`] when another run of the drive is going on, here or in another process.
    async fn begin(&self, key: &RunKey, start: &RunStart) -> Result<Begun, BeginError>;

    /// Notes the destination's clock at the start of the run, unless it was noted before.
    /// Returns the one that counts: the first.
    ///
    /// # Errors
    /// When it cannot be saved.
    async fn set_server_started(&self, run: &Run, unix_s: i64) -> Result<i64, SaveError>;

    /// Saves all records or none, as if in their order.
    ///
    /// # Errors
    /// [`SaveError::Over`] when the run is finished or abandoned; otherwise a fault of the store.
    async fn record(&self, run: &Run, records: &[Record]) -> Result<(), SaveError>;

    /// Ends the run and forgets what was pending; again is harmless.
    ///
    /// # Errors
    /// As [`Runs::record`]; [`SaveError::Over`] only for an abandoned run.
    async fn finish(&self, run: &Run, end: &RunEnd) -> Result<(), SaveError>;

    /// Sets a run aside, finished or not: the next [`Runs::begin`] with its key starts afresh.
    ///
    /// # Errors
    /// [`AbandonError::Held`] while somebody runs the drive; [`AbandonError::Unknown`] for no run.
    async fn abandon(&self, run: RunNo) -> Result<(), AbandonError>;

    /// The blobs that have an outcome: about one bit each.
    ///
    /// # Errors
    /// When the store cannot be read.
    async fn outcomes_present(&self, run: RunNo) -> Result<BlobSet, ReadError>;

    /// The blobs that were begun and have no outcome, by index.
    ///
    /// # Errors
    /// When the store cannot be read.
    async fn pending(&self, run: RunNo) -> Result<Vec<PendingBlob>, ReadError>;

    /// The next outcomes in order of blob index, from that index on, at most `limit`.
    ///
    /// # Errors
    /// When the store cannot be read.
    async fn outcomes(
        &self,
        run: RunNo,
        from_index: u64,
        limit: u32,
    ) -> Result<Vec<(u64, BlobOutcome)>, ReadError>;

    /// Counts and bytes by status and disposition. Reads all outcomes.
    ///
    /// # Errors
    /// When the store cannot be read.
    async fn totals(&self, run: RunNo) -> Result<Totals, ReadError>;

    /// The newest runs, at most `limit`, the newest first.
    ///
    /// # Errors
    /// When the store cannot be read.
    async fn runs(&self, limit: u32) -> Result<Vec<RunSummary>, ReadError>;
}

//! Who works on a drive: a lease that must be renewed, with a number that only grows.
//!
//! ```text
//! free ──claim──▶ held until t, fence 7 ──renew──▶ held until t', fence 7 ──release──▶ free
//!                        └── t passes ──▶ free for anyone ──claim──▶ held, fence 9: 7 is refused
//! ```
//! Time is the database's, so that stations need not agree on one. A lease that has ended but that
//! nobody else took may be renewed: nobody worked in between.

use std::time::Duration;

use async_trait::async_trait;
use model::DriveId;

use super::error::{ClaimError, OfficeError};
use super::job::JobKey;

/// The right to work on a drive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// Of which job.
    pub job: JobKey,
    /// Which drive.
    pub drive_id: DriveId,
    /// Larger than that of any claim before; only the last one given counts.
    pub fence: i64,
}

/// The drives that stations work on.
#[async_trait]
pub trait Claims: Send + Sync {
    /// Takes the oldest claimable drive of an active job that nobody has, and that is at this
    /// station or at none.
    ///
    /// # Errors
    /// When the store fails.
    async fn claim_drive(&self, station: &str, lease: Duration) -> Result<Option<Claim>, OfficeError>;

    /// Takes this drive, which was seen in a bay, wherever it was before; none when its job is not
    /// active, work does not wait for it, or somebody has it.
    ///
    /// # Errors
    /// When the store fails.
    async fn claim_this_drive(
        &self,
        station: &str,
        drive_id: &DriveId,
        lease: Duration,
    ) -> Result<Option<Claim>, OfficeError>;

    /// Holds the drive for that long from now.
    ///
    /// # Errors
    /// [`ClaimError::Lost`] when the fence is stale.
    async fn renew(&self, claim: &Claim, lease: Duration) -> Result<(), ClaimError>;

    /// Lets the drive go; a stale claim has nothing to let go.
    ///
    /// # Errors
    /// When the store fails.
    async fn release(&self, claim: &Claim) -> Result<(), OfficeError>;

    /// Lets go all that a station holds; gives how many. For a station that starts and so works on
    /// nothing: it need not wait for its own leases to end.
    ///
    /// # Errors
    /// When the store fails.
    async fn release_all(&self, station: &str) -> Result<u64, OfficeError>;
}

//! Leases: for a while, only their holder may write the blob.
//!
//! Invariant: every lease taken here ends by itself; a lease without an end would outlive a station
//! that was switched off.

use azure_core::http::Method;
use model::BlobPath;

use crate::account::Account;
use crate::blob::{LeaseId, missing};
use crate::call::{Call, name};
use crate::endpoint::Resource;
use crate::error::{ErrorKind, Operation, StorageError};

/// Shortest and longest lease that the service gives.
const LEASE_SECONDS: std::ops::RangeInclusive<u32> = 15..=60;

impl Account {
    /// Takes the blob's lease for 15 to 60 seconds.
    ///
    /// Give a `proposed` id and a try whose answer was lost is simply repeated: the same id gets
    /// the same lease again.
    ///
    /// # Errors
    /// `LeasePresent` when somebody else has it.
    pub async fn acquire_lease(
        &self,
        path: &BlobPath,
        proposed: Option<&LeaseId>,
        seconds: u32,
    ) -> Result<LeaseId, StorageError> {
        if !LEASE_SECONDS.contains(&seconds) {
            let message = format!("a lease of {seconds} s; 15 to 60 are allowed");
            let (operation, kind) = (Operation::AcquireLease, ErrorKind::BadRequest);
            return Err(StorageError::refused(operation, path.to_string(), kind, message));
        }
        let fresh = LeaseId::random();
        let call = lease_call(Operation::AcquireLease, path, "acquire")
            .header(name::LEASE_DURATION, seconds.to_string())
            .header(name::PROPOSED_LEASE_ID, proposed.unwrap_or(&fresh).as_str().to_owned());
        let reply = self.exchange(&call).await?;
        let id = reply.header(name::LEASE_ID).and_then(|id| LeaseId::parse(id).ok());
        id.ok_or_else(|| missing(&call, &reply, "x-ms-lease-id"))
    }

    /// Starts the lease's time again.
    ///
    /// # Errors
    /// `LeaseLost` when it has ended and somebody else wrote or leased the blob.
    pub async fn renew_lease(&self, path: &BlobPath, lease: &LeaseId) -> Result<(), StorageError> {
        let call = lease_call(Operation::RenewLease, path, "renew");
        self.exchange(&LeaseId::apply(Some(lease), call)).await.map(drop)
    }

    /// Gives the lease back.
    ///
    /// # Errors
    /// `LeaseLost` when it is not ours any more.
    pub async fn release_lease(&self, path: &BlobPath, lease: &LeaseId) -> Result<(), StorageError> {
        let call = lease_call(Operation::ReleaseLease, path, "release");
        self.exchange(&LeaseId::apply(Some(lease), call)).await.map(drop)
    }

    /// Ends whosever lease, at once or after at most `period_seconds`. Gives the seconds that are
    /// left of it.
    ///
    /// # Errors
    /// What the service answers.
    pub async fn break_lease(
        &self,
        path: &BlobPath,
        period_seconds: Option<u32>,
    ) -> Result<u32, StorageError> {
        let period = period_seconds.map(|seconds| seconds.to_string());
        let call = lease_call(Operation::BreakLease, path, "break")
            .optional(name::LEASE_BREAK_PERIOD, period.as_deref());
        let reply = self.exchange(&call).await?;
        let left = reply.header(name::LEASE_TIME).and_then(|text| text.trim().parse().ok());
        left.ok_or_else(|| missing(&call, &reply, "x-ms-lease-time"))
    }
}

fn lease_call<'a>(operation: Operation, path: &'a BlobPath, action: &'static str) -> Call<'a> {
    Call::new(operation, Method::Put, Resource::Blob(path))
        .query("comp", "lease")
        .header(name::LEASE_ACTION, action)
}

//! What the surface asks of the service that owns the jobs.
//!
//! The seam between words on the wire and what happens: the service decides, this surface reads and shows.

use async_trait::async_trait;
use model::job::{Job, JobKey, NewJob, Problem, Refusal, Update};
use zeroize::Zeroizing;

use super::locations::Locations;
use crate::people::Caller;

/// A drive's recovery password, beside the serial number that it was given for.
pub type Key = (String, Zeroizing<String>);

/// A PATCH, as one step.
#[derive(Debug, Default)]
pub struct Changes {
    /// The plain changes.
    pub update: Update,
    /// The recovery passwords of the drives of a new list.
    pub keys: Vec<Key>,
    /// The parcel is on its way.
    pub ship: bool,
    /// The drives shall come back uncopied.
    pub cancel: bool,
}

/// Of which jobs a list is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Listing {
    /// Their subscription.
    pub subscription: String,
    /// Their resource group; all of the subscription without one.
    pub resource_group: Option<String>,
    /// Only jobs in this state.
    pub state: Option<model::job::JobState>,
    /// Only jobs of this type.
    pub job_type: Option<model::job::JobType>,
}

/// A part of a list.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Jobs {
    /// The jobs, in the order in which they were made.
    pub jobs: Vec<Job>,
    /// Where the next part begins, if there is one.
    pub next: Option<i64>,
}

/// Why the service did not do it.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// There is no such job.
    #[error("there is no such job")]
    NotFound,
    /// What is asked for is not valid; all of it.
    #[error("{} values are not valid", .0.len())]
    Problems(Vec<Problem>),
    /// The job does not take it.
    #[error(transparent)]
    Refusal(#[from] Refusal),
    /// Others changed the job each time that it was tried.
    #[error("the job was changed by others in the meantime")]
    Contended,
    /// The station failed.
    #[error("the service failed")]
    Fault(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// The service.
#[async_trait]
pub trait Service: Send + Sync {
    /// Where drives can be sent; the station's own site first.
    fn locations(&self) -> &Locations;

    /// Makes a job, or replaces one that is still being made; says whether it is new.
    async fn create(&self, caller: &Caller, new: NewJob, keys: Vec<Key>) -> Result<(Job, bool), Refused>;

    /// The job of that key, in any spelling.
    async fn get(&self, key: &JobKey) -> Result<Job, Refused>;

    /// A part of a list, at most `top` jobs, from `after` on.
    async fn list(&self, listing: &Listing, after: Option<i64>, top: u32) -> Result<Jobs, Refused>;

    /// Changes a job.
    async fn update(&self, caller: &Caller, key: &JobKey, changes: Changes) -> Result<Job, Refused>;

    /// Deletes a job.
    async fn delete(&self, caller: &Caller, key: &JobKey) -> Result<(), Refused>;

    /// The recovery passwords of a job's drives; each release is in the custody chain before it is answered.
    async fn bitlocker_keys(&self, caller: &Caller, key: &JobKey) -> Result<Vec<Key>, Refused>;
}

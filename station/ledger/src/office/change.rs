//! All that one transaction changes.

use custody::{Draft, Head};

use super::access::TokenWrite;
use super::claim::Claim;
use super::job::{JobKey, JobRow};
use super::outbox::{EventDraft, HookWrite};
use super::reply::IdempotentReply;
use super::secret::SecretWrite;

/// Saved whole or not at all, in this order: the reply is looked at first, so that a repeated
/// request is answered and not refused.
#[derive(Debug, Clone, Default)]
pub struct Change {
    /// The answer that a repetition of the request shall get.
    pub reply: Option<IdempotentReply>,
    /// The job that is made, changed or deleted.
    pub job: Option<JobWrite>,
    /// The claim under which the drive was worked on; the change is refused when it is stale.
    pub claim: Option<Claim>,
    /// Secrets that are sealed anew or forgotten.
    pub secrets: Vec<SecretWrite>,
    /// API tokens that are made or revoked.
    pub tokens: Vec<TokenWrite>,
    /// Web-hooks that are made, changed or deleted.
    pub hooks: Vec<HookWrite>,
    /// The chain that custody is appended to: the station's name. Looked at only if there is custody.
    pub chain: String,
    /// What was done, in order.
    pub custody: Vec<Draft>,
    /// What others are told, in order.
    pub events: Vec<EventDraft>,
}

/// What is done to a job.
#[derive(Debug, Clone)]
pub enum JobWrite {
    /// A new one; its version becomes 1, whatever the row says.
    Insert(JobRow),
    /// All of the row takes the place of what is there, but for the key's spelling and the time of
    /// creation; its version becomes one more than expected.
    Update {
        /// The whole new row.
        row: JobRow,
        /// The version that the change is based on.
        expected_version: i64,
    },
    /// It goes, with its drives, timers, claims and secrets. Custody stays.
    Delete {
        /// Which.
        key: JobKey,
        /// The version that the decision is based on.
        expected_version: i64,
    },
}

impl JobWrite {
    /// Which job.
    pub fn key(&self) -> &JobKey {
        match self {
            JobWrite::Insert(row) | JobWrite::Update { row, .. } => &row.key,
            JobWrite::Delete { key, .. } => key,
        }
    }
}

/// What a change came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Applied {
    /// The job's version now, if one was made or changed.
    pub version: Option<i64>,
    /// The custody chain's end, if something was appended.
    pub head: Option<Head>,
    /// The last event's number, if there were events: they have consecutive numbers.
    pub last_event: Option<i64>,
}

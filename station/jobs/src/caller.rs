//! Who asks, and on what terms.

use std::fmt;
use std::sync::Arc;

use ledger::IdempotentReply;
use model::job::JobKey;

use crate::{ChangeError, Stored};

/// Makes the answer that a repetition of the request shall get, from the job as it was saved.
pub type ReplyMaker = Arc<dyn Fn(&Stored) -> IdempotentReply + Send + Sync>;

/// Whether a caller may know of a job.
pub type Sight = Arc<dyn Fn(&JobKey) -> bool + Send + Sync>;

/// Somebody who was found to be allowed what they ask.
#[derive(Clone)]
pub struct Caller {
    /// Who, as custody names them.
    pub id: String,
    /// As what.
    pub roles: Vec<String>,
    /// Only if the job still has this version.
    pub if_version: Option<i64>,
    /// What is kept of the answer, in the transaction of the change.
    pub reply: Option<ReplyMaker>,
    /// Which jobs there are for them; all without it. The others and their drives do not exist.
    pub sight: Option<Sight>,
}

impl Caller {
    /// Somebody in these roles.
    pub fn new(id: impl Into<String>, roles: Vec<String>) -> Caller {
        Caller { id: id.into(), roles, if_version: None, reply: None, sight: None }
    }

    /// The station's own doing: timers, restarts.
    pub(crate) fn station(name: &str) -> Caller {
        Caller::new(format!("station:{name}"), vec!["service".to_owned()])
    }

    /// Refused unless the job has this version.
    #[must_use]
    pub fn if_version(mut self, version: i64) -> Caller {
        self.if_version = Some(version);
        self
    }

    /// Limited to the jobs that this says.
    #[must_use]
    pub fn within(mut self, sight: Sight) -> Caller {
        self.sight = Some(sight);
        self
    }

    /// Whether there is such a job for them.
    pub(crate) fn sees(&self, key: &JobKey) -> bool {
        self.sight.as_ref().is_none_or(|sight| sight(key))
    }

    pub(crate) fn must_see(&self, key: &JobKey) -> Result<(), ChangeError> {
        if self.sees(key) { Ok(()) } else { Err(ChangeError::NotFound(Box::new(key.clone()))) }
    }

    /// Keeps the answer for a repetition.
    #[must_use]
    pub fn answering(mut self, reply: ReplyMaker) -> Caller {
        self.reply = Some(reply);
        self
    }
}

impl fmt::Debug for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Caller")
            .field("id", &self.id)
            .field("roles", &self.roles)
            .field("if_version", &self.if_version)
            .finish_non_exhaustive()
    }
}

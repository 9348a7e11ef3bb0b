//! A ledger in memory for tests: it has tokens and custody drafts, fails on demand, and knows no jobs.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use custody::Draft;
use ledger::{
    Access, ApiToken, Applied, ApplyError, Change, DueTimer, Fault, FaultKind, JobFilter, JobKey, JobPage,
    JobRow, Jobs, OfficeError, PlacedDrive, StoredReply, TokenWrite,
};
use model::DriveId;

/// See the file's words.
#[derive(Default)]
pub(crate) struct PretendLedger {
    tokens: Mutex<Vec<ApiToken>>,
    drafts: Mutex<Vec<Draft>>,
    /// Every read fails.
    pub cannot_read: AtomicBool,
    /// Every change fails.
    pub cannot_write: AtomicBool,
}

fn broken() -> Fault {
    Fault { kind: FaultKind::Full, source: Arc::new(std::io::Error::other("pretended")) }
}

impl PretendLedger {
    pub(crate) fn drafts(&self) -> Vec<Draft> {
        self.drafts.lock().unwrap().clone()
    }

    /// Changes what is stored of every token, behind everybody's back.
    pub(crate) fn tamper(&self, change: impl Fn(&mut ApiToken)) {
        self.tokens.lock().unwrap().iter_mut().for_each(change);
    }

    fn readable(&self) -> Result<(), OfficeError> {
        let is_broken = self.cannot_read.load(Ordering::Relaxed);
        if is_broken { Err(OfficeError { doing: "reading", fault: broken() }) } else { Ok(()) }
    }
}

#[async_trait]
impl Access for PretendLedger {
    async fn token_by_hash(&self, sha256: &[u8; 32]) -> Result<Option<ApiToken>, OfficeError> {
        self.readable()?;
        Ok(self.tokens.lock().unwrap().iter().find(|token| token.sha256 == *sha256).cloned())
    }

    async fn tokens(&self, after_id: Option<&str>, limit: u32) -> Result<Vec<ApiToken>, OfficeError> {
        self.readable()?;
        let tokens = self.tokens.lock().unwrap();
        let rest = tokens.iter().filter(|token| after_id.is_none_or(|after| token.id.as_str() > after));
        Ok(rest.take(limit as usize).cloned().collect())
    }

    async fn note_token_use(&self, id: &str, at_unix_ms: i64) -> Result<(), OfficeError> {
        self.readable()?;
        self.tamper(|token| {
            if token.id == id {
                token.last_used_unix_ms = Some(at_unix_ms);
            }
        });
        Ok(())
    }
}

#[async_trait]
impl Jobs for PretendLedger {
    async fn apply(&self, change: &Change) -> Result<Applied, ApplyError> {
        if self.cannot_write.load(Ordering::Relaxed) {
            return Err(ApplyError::Fault(broken()));
        }
        for write in &change.tokens {
            match write {
                TokenWrite::Insert(token) => self.tokens.lock().unwrap().push(token.clone()),
                TokenWrite::Revoke { id: revoked, at_unix_ms } => self.tamper(|token| {
                    if token.id == *revoked {
                        token.revoked_unix_ms.get_or_insert(*at_unix_ms);
                    }
                }),
            }
        }
        self.drafts.lock().unwrap().extend(change.custody.iter().cloned());
        Ok(Applied::default())
    }

    async fn job(&self, _: &JobKey) -> Result<Option<JobRow>, OfficeError> {
        unreachable!("it knows no jobs")
    }

    async fn jobs(&self, _: &JobFilter, _: Option<i64>, _: u32) -> Result<JobPage, OfficeError> {
        unreachable!("it knows no jobs")
    }

    async fn active_job_of_drive(&self, _: &DriveId) -> Result<Option<JobRow>, OfficeError> {
        unreachable!("it knows no jobs")
    }

    async fn active_jobs_of_parcel(&self, _: &str) -> Result<Vec<JobRow>, OfficeError> {
        unreachable!("it knows no jobs")
    }

    async fn active_drives(
        &self,
        _: Option<&str>,
        _: Option<&DriveId>,
        _: u32,
    ) -> Result<Vec<PlacedDrive>, OfficeError> {
        unreachable!("it knows no jobs")
    }

    async fn due_timers(&self, _: i64, _: u32) -> Result<Vec<DueTimer>, OfficeError> {
        unreachable!("it knows no jobs")
    }

    async fn reply(&self, _: &str, _: &str) -> Result<Option<StoredReply>, OfficeError> {
        unreachable!("it knows no jobs")
    }
}

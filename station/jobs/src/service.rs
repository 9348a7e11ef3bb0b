//! The one way to change a job: load, step, save in one transaction, act.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use custody::Draft;
use keys::Vault;
use ledger::{ApplyError, Change, Claim, EventDraft, JobWrite, SecretWrite};
use model::job::{Action, Event, Happening, Identity, Job, JobKey};
use tokio::sync::{Mutex, MutexGuard};

use crate::record::{Deed, is_touch};
use crate::secrets::password_name;
use crate::{Bays, Caller, ChangeError, Clock, LookError, Sites, row};

/// How often a change is tried against other processes: each try of ours lost means that one of theirs was saved.
/// Within this process the jobs' turns keep changes of one job apart.
pub(crate) const TRIES_MAX: usize = 16;
/// Enough that two jobs seldom wait for each other, and bounded whatever names are asked for.
const TURNS: usize = 64;

/// What the service is made of.
pub struct Parts {
    /// The jobs in the ledger.
    pub jobs: Arc<dyn ledger::Jobs>,
    /// The sealed secrets in the ledger.
    pub secrets: Arc<dyn ledger::Secrets>,
    /// What seals and opens them.
    pub vault: Arc<Vault>,
    /// Who is told what to do with drives.
    pub bays: Arc<dyn Bays>,
    /// The station's clock.
    pub clock: Clock,
    /// The station's name, which is that of its custody chain.
    pub station: String,
    /// Where drives can be sent.
    pub sites: Sites,
    /// The identity that asks for customers' keys in Key Vault; none, and such jobs are refused.
    pub customer_keys: Option<Identity>,
}

/// The service. One a process; everything about it is in the ledger.
pub struct Jobs {
    pub(crate) parts: Parts,
    /// Whose turn it is to change a job, by the hash of its key: ten bays that report at once would else
    /// spend their tries on each other. Only the versions in the ledger decide what is saved.
    turns: Vec<Mutex<()>>,
    /// Held from looking whose a box is to having packed into it: this station's boxes are packed by this process.
    pub(crate) packing: Mutex<()>,
}

/// A job as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// The job.
    pub job: Job,
    /// Counts its changes.
    pub version: i64,
}

/// What a change is about, beside its events.
pub(crate) struct Work<'a> {
    pub(crate) caller: &'a Caller,
    pub(crate) key: &'a JobKey,
    pub(crate) secrets: Vec<SecretWrite>,
    pub(crate) claim: Option<Claim>,
    /// Entries that no event makes.
    pub(crate) custody: Vec<Draft>,
    /// What others are told of them.
    pub(crate) events: Vec<EventDraft>,
}

impl<'a> Work<'a> {
    pub(crate) fn new(caller: &'a Caller, key: &'a JobKey) -> Work<'a> {
        Work { caller, key, secrets: Vec::new(), claim: None, custody: Vec::new(), events: Vec::new() }
    }
}

/// A job on its way from one version to the next.
struct Turn<'a> {
    caller: &'a Caller,
    /// Keys are written with it: that is a change, though the job looks the same.
    has_secrets: bool,
    at_unix_ms: i64,
    job: Job,
    custody: Vec<Draft>,
    events: Vec<EventDraft>,
    actions: Vec<Action>,
}

impl Turn<'_> {
    /// One event. What happened already leaves no trace; a touch of a drive always does.
    fn step(&mut self, what: Happening) -> Result<(), ChangeError> {
        let before = self.job.clone();
        let actions = self.job.step(Event { at_unix_ms: self.at_unix_ms, what: what.clone() })?;
        if is_customers(&what) && self.job != before {
            self.job.authorship.modified_by = self.caller.id.clone();
            self.job.authorship.modified_unix_ms = self.at_unix_ms;
        }
        let is_new = self.job != before || actions.contains(&Action::Delete);
        let gives_keys = self.has_secrets && is_customers(&what);
        if is_new || gives_keys || is_touch(&what) {
            let Turn { caller, at_unix_ms, .. } = *self;
            let deed = Deed { caller, at_unix_ms, before: Some(&before), after: &self.job };
            self.custody.extend(deed.custody(&what, &actions));
            self.events.extend(deed.events(&what, &actions));
        }
        self.actions.extend(actions);
        Ok(())
    }
}

fn is_customers(what: &Happening) -> bool {
    matches!(what, Happening::Update(_) | Happening::Replace(_) | Happening::Ship | Happening::Cancel)
}

impl Jobs {
    /// The service over its parts.
    pub fn new(parts: Parts) -> Jobs {
        Jobs { parts, turns: (0..TURNS).map(|_| Mutex::new(())).collect(), packing: Mutex::new(()) }
    }

    /// The station's name.
    pub fn station(&self) -> &str {
        &self.parts.station
    }

    /// Where drives can be sent.
    pub fn sites(&self) -> &Sites {
        &self.parts.sites
    }

    pub(crate) fn now_unix_ms(&self) -> i64 {
        (self.parts.clock)()
    }

    /// The job of that key, in any spelling.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn get(&self, key: &JobKey) -> Result<Option<Stored>, LookError> {
        let found = self.parts.jobs.job(key).await.map_err(LookError::Store)?;
        found.as_ref().map(row::read).transpose()
    }

    /// Waits until nobody else in this process is changing the job.
    pub(crate) async fn turn_of(&self, key: &JobKey) -> MutexGuard<'_, ()> {
        let mut hasher = DefaultHasher::new();
        key.hash(&mut hasher);
        let index = usize::try_from(hasher.finish() % TURNS as u64).unwrap_or(0);
        self.turns[index].lock().await
    }

    pub(crate) async fn found(&self, key: &JobKey) -> Result<Stored, ChangeError> {
        self.get(key).await?.ok_or_else(|| ChangeError::NotFound(Box::new(key.clone())))
    }

    /// Tells a job one thing that happened.
    ///
    /// # Errors
    /// When the job does not take it, or it cannot be saved.
    pub async fn tell(&self, caller: &Caller, key: &JobKey, what: Happening) -> Result<Stored, ChangeError> {
        self.change(&Work::new(caller, key), |_| Ok(vec![what.clone()])).await
    }

    /// Loads the job, tells it what `plan` makes of it, saves, acts; again when others were faster.
    pub(crate) async fn change(
        &self,
        work: &Work<'_>,
        plan: impl Fn(&Stored) -> Result<Vec<Happening>, ChangeError> + Send + Sync,
    ) -> Result<Stored, ChangeError> {
        work.caller.must_see(work.key)?;
        for _ in 0..TRIES_MAX {
            let turn_of_job = self.turn_of(work.key).await;
            let found = self.found(work.key).await?;
            check_version(work.caller, found.version)?;
            let mut turn = self.turn(work, found.job.clone());
            for what in plan(&found)? {
                turn.step(what)?;
            }
            let actions = std::mem::take(&mut turn.actions);
            match self.save(work, &found, turn, &actions).await {
                Err(ChangeError::Contended) => {}
                Err(error) => return Err(error),
                Ok(saved) => {
                    drop(turn_of_job);
                    self.act(&saved.job, &actions).await;
                    return Ok(saved);
                }
            }
        }
        Err(ChangeError::Contended)
    }

    fn turn<'a>(&self, work: &Work<'a>, job: Job) -> Turn<'a> {
        Turn {
            caller: work.caller,
            has_secrets: !work.secrets.is_empty(),
            at_unix_ms: self.now_unix_ms(),
            job,
            custody: Vec::new(),
            events: Vec::new(),
            actions: Vec::new(),
        }
    }

    async fn save(
        &self,
        work: &Work<'_>,
        found: &Stored,
        turn: Turn<'_>,
        actions: &[Action],
    ) -> Result<Stored, ChangeError> {
        let write = write_of(work, found, &turn, actions);
        let version = found.version + i64::from(matches!(write, Some(JobWrite::Update { .. })));
        let saved = Stored { job: turn.job, version };
        let mut secrets = work.secrets.clone();
        secrets.extend(forgotten(&found.job, &saved.job));
        let change = Change {
            reply: work.caller.reply.as_ref().map(|reply| reply(&saved)),
            job: write,
            claim: work.claim.clone(),
            secrets,
            chain: self.parts.station.clone(),
            custody: [turn.custody, work.custody.clone()].concat(),
            events: [turn.events, work.events.clone()].concat(),
            ..Change::default()
        };
        if !is_empty(&change) {
            self.apply(&change).await?;
        }
        Ok(saved)
    }

    pub(crate) async fn apply(&self, change: &Change) -> Result<(), ChangeError> {
        match self.parts.jobs.apply(change).await {
            Ok(_) => Ok(()),
            Err(error @ ApplyError::Invalid { .. }) => {
                tracing::error!(err = %error, "a change of ours cannot be stored");
                Err(ChangeError::of(error))
            }
            Err(error) => Err(ChangeError::of(error)),
        }
    }

    /// Saves a job that is new.
    pub(crate) async fn insert(
        &self,
        work: &Work<'_>,
        job: Job,
        actions: Vec<Action>,
    ) -> Result<Stored, ChangeError> {
        let mut turn = self.turn(work, job);
        let deed = Deed { caller: work.caller, at_unix_ms: turn.at_unix_ms, before: None, after: &turn.job };
        turn.custody.push(deed.of_job("job.created"));
        turn.events.push(deed.event("job.created", None, serde_json::json!({})));
        let saved = Stored { job: turn.job, version: 1 };
        let change = Change {
            reply: work.caller.reply.as_ref().map(|reply| reply(&saved)),
            job: Some(JobWrite::Insert(row::write(&saved.job, turn.at_unix_ms))),
            secrets: work.secrets.clone(),
            chain: self.parts.station.clone(),
            custody: turn.custody,
            events: turn.events,
            ..Change::default()
        };
        self.apply(&change).await?;
        self.act(&saved.job, &actions).await;
        Ok(saved)
    }

    /// What has an effect outside, after it was saved. Doing it twice is harmless.
    pub(crate) async fn act(&self, job: &Job, actions: &[Action]) {
        for action in actions {
            match action {
                Action::DriveReady { drive_id } => self.parts.bays.ready(job, drive_id).await,
                Action::StopCopy { drive_id } => self.parts.bays.stop(job, drive_id).await,
                Action::SetTimer { .. } | Action::ClearTimer { .. } | Action::Notify(_) | Action::Delete => {}
            }
        }
    }
}

fn check_version(caller: &Caller, found: i64) -> Result<(), ChangeError> {
    match caller.if_version {
        Some(seen) if seen != found => Err(ChangeError::VersionDiffers { found }),
        _ => Ok(()),
    }
}

/// What happens to the row. Secrets and claims alone touch it too: whoever saw the old version must look again.
fn write_of(work: &Work<'_>, found: &Stored, turn: &Turn<'_>, actions: &[Action]) -> Option<JobWrite> {
    let expected_version = found.version;
    if actions.contains(&Action::Delete) {
        return Some(JobWrite::Delete { key: found.job.key.clone(), expected_version });
    }
    let is_changed = turn.job != found.job || !work.secrets.is_empty();
    is_changed.then(|| JobWrite::Update { row: row::write(&turn.job, turn.at_unix_ms), expected_version })
}

/// Keys of drives that are not on the list any more.
fn forgotten(before: &Job, after: &Job) -> Vec<SecretWrite> {
    let gone = before.drives.iter().filter(|drive| after.drive(&drive.drive_id).is_none());
    gone.map(|drive| SecretWrite::Delete { name: password_name(&after.key, &drive.drive_id) }).collect()
}

fn is_empty(change: &Change) -> bool {
    change.job.is_none()
        && change.reply.is_none()
        && change.custody.is_empty()
        && change.events.is_empty()
        && change.secrets.is_empty()
}

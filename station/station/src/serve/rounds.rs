//! What the station does by the clock: timers of jobs, checkpoints, the nightly verification, resealing,
//! forgetting what is not needed any more.
//!
//! Each round is bounded and may be missed: what is due stays due. An error is logged here, once, and
//! the next round tries again; only a custody chain that is broken ends the station, because nothing
//! that it did from then on could be proven.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use jobs::rewrap::{Rewrapped, rewrap};
use jobs::watch::{Watch, WatchError};
use jobs::{Jobs, now_unix_ms};
use keys::{KeyId, Vault};
use ledger::{Ledger, OfficeError};
use tokio::signal::unix::Signal;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

use super::told_to_stop;

/// How often due timers are looked for: they are days long.
const TIMERS_EVERY: Duration = Duration::from_secs(30);
/// Removed at once of what has had its time: at one batch a round two million a day, so that no round makes
/// others wait for the ledger.
const BATCH: u32 = 1_000;
/// Blobs of a run that are forgotten at once: a drive may have had ten million of them.
const OUTCOMES_BATCH: u32 = 20_000;
/// Days for which a token is listed after its end.
const TOKENS_KEPT_DAYS: u32 = 400;
const DAY_MS: i64 = 24 * 3_600_000;
const HOUR_MS: i64 = 3_600_000;

/// The rounds of one station.
pub struct Rounds {
    /// Whose timers.
    pub jobs: Arc<Jobs>,
    /// Whose chain.
    pub watch: Arc<Watch>,
    /// Whose secrets.
    pub ledger: Arc<dyn Ledger>,
    /// What they are sealed with.
    pub vault: Arc<Vault>,
    /// SIGHUP: master keys are read again.
    pub hangup: Signal,
    /// Between two checkpoints.
    pub checkpoint_every: Duration,
    /// The hour of the day, UTC, of the nightly verification.
    pub verify_at_hour: u8,
    /// Days for which events are kept.
    pub keep_events_days: u32,
    /// Days for which the outcome of each blob is kept after its run.
    pub keep_outcomes_days: u32,
}

/// Why the rounds ended the station.
#[derive(Debug, thiserror::Error)]
#[error("the custody chain cannot be trusted any more")]
pub struct ChainLost(#[source] pub WatchError);

impl Rounds {
    /// Goes round until told to stop.
    ///
    /// # Errors
    /// When the chain is broken.
    pub async fn run(mut self, mut stop: watch::Receiver<bool>) -> Result<(), ChainLost> {
        let mut timers = interval(TIMERS_EVERY);
        let mut checkpoints = interval(self.checkpoint_every);
        timers.set_missed_tick_behavior(MissedTickBehavior::Delay);
        checkpoints.set_missed_tick_behavior(MissedTickBehavior::Delay);
        if let Some(said) = self.reseal().await.filter(|_| self.vault.key_ids().len() > 1) {
            eprintln!("station: {said}");
        }
        let mut verified_on = day_of(now_unix_ms(), self.verify_at_hour);
        loop {
            tokio::select! {
                () = told_to_stop(&mut stop) => return Ok(()),
                _ = timers.tick() => {
                    self.timers().await;
                    self.forget().await;
                }
                _ = self.hangup.recv() => self.reload().await,
                _ = checkpoints.tick() => sign(&self.watch).await?,
            }
            let today = day_of(now_unix_ms(), self.verify_at_hour);
            if today > verified_on {
                verified_on = today;
                self.verify().await?;
            }
        }
    }

    async fn timers(&self) {
        if let Err(error) = self.jobs.fire_due_timers().await {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "timers of jobs could not be looked at"
            );
        }
    }

    /// Removes a batch of what has had its time. Which web-hooks an event is kept for, and how long that can be, is
    /// the deliveries' business.
    async fn forget(&self) {
        let before = |days: u32| now_unix_ms() - i64::from(days) * DAY_MS;
        let ledger = &self.ledger;
        forgot("events", ledger.forget_events(before(self.keep_events_days), BATCH).await);
        forgot("kept answers", ledger.forget_replies(BATCH).await);
        forgot("ended tokens", ledger.forget_tokens(before(TOKENS_KEPT_DAYS), BATCH).await);
        let outcomes = ledger.forget_outcomes(before(self.keep_outcomes_days), OUTCOMES_BATCH).await;
        forgot("outcomes of blobs", outcomes);
    }

    /// Takes the master keys as the file has them now, and seals everything under the first.
    async fn reload(&self) {
        match self.vault.reload().await {
            Ok(ids) => {
                let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
                tracing::info!(?ids, "took the master keys anew");
                // Whoever rotates waits for this, whatever the log shows.
                if let Some(said) = self.reseal().await {
                    eprintln!("station: {said}");
                }
            }
            Err(error) => {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "the master keys stay as they were"
                );
            }
        }
    }

    /// Seals everything under the first master key; what whoever rotates has to know.
    async fn reseal(&self) -> Option<String> {
        match rewrap(&*self.ledger, &self.vault).await {
            Ok(walk) => {
                for left in &walk.left {
                    tracing::warn!(
                        error = left as &dyn std::error::Error,
                        "a secret is not sealed anew: do not retire its key"
                    );
                }
                Some(said_of(&walk, &self.vault.key_ids()))
            }
            Err(error) => {
                tracing::error!(error = &error as &dyn std::error::Error, "secrets were not sealed anew");
                None
            }
        }
    }

    async fn verify(&self) -> Result<(), ChainLost> {
        match self.watch.verify_again().await {
            Ok((verified, unread)) => {
                tracing::info!(entries = verified.head.no, "the custody chain is whole");
                for error in &unread {
                    tracing::error!(
                        error = error as &dyn std::error::Error,
                        "the custody chain could not be held against checkpoints off the machine"
                    );
                }
                Ok(())
            }
            Err(error) => judge(error),
        }
    }
}

/// What a walk came to, for whoever is about to retire a key.
fn said_of(walk: &Rewrapped, keys: &[KeyId]) -> String {
    let listed = |ids: BTreeSet<String>| ids.into_iter().collect::<Vec<_>>().join(", ");
    let left = listed(walk.left.iter().map(|left| left.master_key_id.clone()).collect());
    if !left.is_empty() {
        let count = walk.left.len();
        return format!("{count} secrets could not be sealed anew; do not retire {left}: the log says why");
    }
    let Some((first, older)) = keys.split_first() else { return "there is no master key".to_owned() };
    match listed(older.iter().map(ToString::to_string).collect()) {
        older if older.is_empty() => format!("every secret is sealed under the master key {first}"),
        older => {
            format!("every secret is sealed under the master key {first}; nothing is left under {older}")
        }
    }
}

fn forgot(what: &str, outcome: Result<u64, OfficeError>) {
    match outcome {
        Ok(0) => {}
        Ok(rows) => tracing::debug!(what, rows, "forgot what has had its time"),
        Err(error) => {
            tracing::error!(what, error = &error as &dyn std::error::Error, "nothing was forgotten")
        }
    }
}

/// Signs what is new on the chain, once it was verified, and sends off the machine what is not there yet.
///
/// # Errors
/// When the chain is broken.
pub async fn sign(watch: &Watch) -> Result<(), ChainLost> {
    match watch.checkpoint(now_unix_ms()).await {
        Ok(Some(checkpoint)) => tracing::info!(no = checkpoint.no, "custody checkpoint signed"),
        Ok(None) => {}
        Err(error) => return judge(error),
    }
    match watch.send_off().await {
        Ok(not_sent) => {
            for error in &not_sent {
                tracing::error!(
                    error = error as &dyn std::error::Error,
                    "checkpoints did not leave the machine"
                );
            }
            Ok(())
        }
        Err(error) => judge(error),
    }
}

/// A broken chain ends the station; one that could not be looked at is looked at again.
fn judge(error: WatchError) -> Result<(), ChainLost> {
    match &error {
        WatchError::Broken { .. } | WatchError::Checkpoint { .. } => Err(ChainLost(error)),
        WatchError::Ledger(_) | WatchError::Folder(_) => {
            tracing::error!(error = &error as &dyn std::error::Error, "the custody chain was not looked at");
            Ok(())
        }
    }
}

/// Days since 1970, each beginning at that hour.
fn day_of(unix_ms: i64, hour: u8) -> i64 {
    (unix_ms - i64::from(hour) * HOUR_MS).div_euclid(DAY_MS)
}

#[cfg(test)]
mod tests {
    use jobs::rewrap::{Left, LeftBecause};
    use keys::OpenError;

    use super::*;

    #[test]
    fn whoever_rotates_is_told_which_keys_are_still_needed() {
        let [new, old] = [KeyId([1; 16]), KeyId([2; 16])];
        let whole = Rewrapped::default();
        assert!(said_of(&whole, &[new, old]).ends_with(&format!("nothing is left under {old}")));
        assert!(!said_of(&whole, &[new]).contains("left"));
        let left = |number: u8| Left {
            name: format!("{number}"),
            master_key_id: old.to_string(),
            why: LeftBecause::Refused(OpenError::UnknownMasterKey { id: old }),
        };
        let partly = Rewrapped { count: 7, left: vec![left(1), left(2)] };
        let said = said_of(&partly, &[new, old]);
        assert!(said.starts_with("2 secrets") && said.contains(&format!("do not retire {old}:")), "{said}");
    }

    #[test]
    fn a_night_ends_at_its_hour() {
        let midnight = 20_000 * DAY_MS;
        assert_eq!(day_of(midnight + 3 * HOUR_MS - 1, 3) + 1, day_of(midnight + 3 * HOUR_MS, 3));
        assert_eq!(day_of(midnight + 3 * HOUR_MS, 3), day_of(midnight + 26 * HOUR_MS, 3));
    }
}

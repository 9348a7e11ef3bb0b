//! That a station is the only one of its state folder and of its name, from before its ledger is opened
//! until its process ends.
//!
//! A station that starts lets go of every claim that bears its name, because nobody can be working under
//! them. This is what makes it true: a second `station serve` ends before it touches anything.

use std::path::Path;

use anyhow::Context;
use ledger::StationName;
use tokio::sync::watch;

use super::config::Config;
use super::{setup, told_to_stop};
use crate::state::{self, Lock};

/// The proof, which lives as long as the station.
pub struct Alone {
    _lock: Lock,
    /// In a fleet.
    name: Option<StationName>,
}

impl Alone {
    /// Takes state folder and name.
    ///
    /// # Errors
    /// When another process has either, or the fleet's database cannot be asked.
    pub async fn take(config: &Config, state: &Path) -> anyhow::Result<Alone> {
        let lock = state::lock(state)?;
        let name = match setup::postgres(config)? {
            Some(options) => Some(StationName::take(&options, &config.name).await?),
            None => None,
        };
        Ok(Alone { _lock: lock, name })
    }

    /// Holds on until the station stops.
    ///
    /// # Errors
    /// When another station of the fleet has the name: this one must stop.
    pub async fn keep(mut self, mut stop: watch::Receiver<bool>) -> anyhow::Result<Alone> {
        let Some(name) = &mut self.name else {
            told_to_stop(&mut stop).await;
            return Ok(self);
        };
        tokio::select! {
            () = told_to_stop(&mut stop) => Ok(self),
            lost = name.lost() => Err(lost).context("the database was away, and the name is gone"),
        }
    }
}

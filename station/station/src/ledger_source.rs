//! Which ledger the station keeps: a file of its own, or a fleet's database.
//!
//! Invariant: a database's URL may hold a password, so it is read from a file or the environment,
//! never from an argument, and is never printed.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use ledger::{PostgresLedger, PostgresOptions, Runs, SqliteLedger};
use zeroize::Zeroizing;

use crate::exit::Failure;

/// The variable that holds the URL when no file does.
const URL_VARIABLE: &str = "DRAYAGE_LEDGER_URL";

/// The ledger, when it is not the state folder's.
#[derive(Debug, Args)]
pub struct LedgerSource {
    /// File that holds the `postgres://` URL of a ledger that several stations share, or
    /// DRAYAGE_LEDGER_URL [default: a SQLite file in the state folder].
    #[arg(long, value_name = "FILE")]
    pub ledger_url_file: Option<PathBuf>,
    /// With a shared ledger: for how many seconds a drive stays this station's without word from
    /// it. So long another one waits for the drive of a station that died.
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u16).range(1..=3_600))]
    pub lease_seconds: u16,
}

impl LedgerSource {
    /// Opens it.
    ///
    /// # Errors
    /// When its URL cannot be read or understood, or the ledger cannot be used.
    pub async fn open(&self, state: &Path) -> Result<Arc<dyn Runs>, Failure> {
        let Some(url) = self.url().map_err(Failure::usage)? else {
            let ledger = SqliteLedger::open(&state.join("ledger.sqlite")).await.map_err(Failure::fatal)?;
            return Ok(Arc::new(ledger));
        };
        let options = PostgresOptions::parse(&url).map_err(Failure::usage)?;
        let options = options.lease(Duration::from_secs(self.lease_seconds.into()));
        Ok(Arc::new(PostgresLedger::open(&options).await.map_err(Failure::fatal)?))
    }

    fn url(&self) -> anyhow::Result<Option<Zeroizing<String>>> {
        match &self.ledger_url_file {
            Some(file) => {
                let read = std::fs::read_to_string(file);
                let url = read.with_context(|| format!("reading the ledger's URL {}", file.display()))?;
                Ok(Some(Zeroizing::new(url)))
            }
            None => Ok(std::env::var(URL_VARIABLE).ok().filter(|url| !url.is_empty()).map(Zeroizing::new)),
        }
    }
}

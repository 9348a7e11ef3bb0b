//! Which ledger the station keeps: a file of its own, or a fleet's database.
//!
//! Invariant: a database's URL may hold a password, so it is read from a file or the environment,
//! never from an argument, and is never printed.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use ledger::{Ledger, PostgresLedger, PostgresOptions, SqliteLedger};
use zeroize::Zeroizing;

use crate::exit::Failure;
use crate::private_text;

/// In the state folder.
pub const LEDGER_FILE: &str = "ledger.sqlite";
/// The variable that holds the URL when no file does.
const URL_VARIABLE: &str = "DRAYAGE_LEDGER_URL";

/// The ledger, when it is not the state folder's.
#[derive(Debug, Args)]
pub struct LedgerSource {
    /// File (0600) that holds the `postgres://` URL of a ledger that several stations share, or
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
    pub async fn open(&self, state: &Path) -> Result<Arc<dyn Ledger>, Failure> {
        let lease = Duration::from_secs(self.lease_seconds.into());
        let options = self.url().and_then(|url| options(url, lease)).map_err(Failure::usage)?;
        open(options, state).await.map_err(Failure::fatal)
    }

    fn url(&self) -> anyhow::Result<Option<Zeroizing<String>>> {
        match &self.ledger_url_file {
            Some(file) => Ok(Some(read_url(file)?)),
            None => Ok(std::env::var(URL_VARIABLE).ok().filter(|url| !url.is_empty()).map(Zeroizing::new)),
        }
    }
}

/// The URL in a file.
///
/// # Errors
/// When others could have read it.
pub fn read_url(file: &Path) -> anyhow::Result<Zeroizing<String>> {
    private_text::read(file, "the ledger's URL")
}

/// What a URL says of a fleet's ledger; none for the state folder's file.
///
/// # Errors
/// When it is none of PostgreSQL's.
pub fn options(url: Option<Zeroizing<String>>, lease: Duration) -> anyhow::Result<Option<PostgresOptions>> {
    let parsed = url.map(|url| PostgresOptions::parse(url.trim())).transpose();
    Ok(parsed.context("the ledger's URL")?.map(|options| options.lease(lease)))
}

/// Opens a fleet's ledger, or the file in the state folder.
///
/// # Errors
/// When it cannot be reached, is damaged, or was written by a newer version.
pub async fn open(options: Option<PostgresOptions>, state: &Path) -> anyhow::Result<Arc<dyn Ledger>> {
    match options {
        Some(options) => Ok(Arc::new(PostgresLedger::open(&options).await?)),
        None => Ok(Arc::new(SqliteLedger::open(&state.join(LEDGER_FILE)).await?)),
    }
}

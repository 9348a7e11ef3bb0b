//! The ledger of one station: a SQLite file, and beside it a directory of locks.
//!
//! ```text
//! ledger.sqlite3   ledger.sqlite3-wal   ledger.sqlite3-shm   ledger.sqlite3.locks/{open, drive-1, drive-2, …}
//! ```
//!
//! Write-ahead log with `synchronous = FULL`: a commit is an `fsync`, and a power cut loses nothing
//! that was acknowledged. One connection writes; writers wait for each other in the process, and up to
//! `BUSY_TIMEOUT` for other processes. Two read, each a state that was committed.
//!
//! A run holds its drive by an advisory lock of the operating system on the drive's file, not by a
//! row that expires: the lock goes with the process however it dies, so that a killed ingest can be
//! resumed at once, and no clock can take it away from a slow one. It works where the file system
//! is local, which SQLite's log requires anyway. A fleet's ledger, [`crate::postgres`], has leases.

mod lock;
#[allow(clippy::duplicate_mod, reason = "one text for both databases, see crate::sql")]
mod office;
mod read;
mod runs;
mod write;

#[cfg(test)]
mod tests;

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use sqlx::migrate::Migrator;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions, SqliteConnection};
use tokio::sync::{Mutex, MutexGuard};

use crate::error::{AbandonError, BeginError, Fault, OpenError, ReadError, SaveError};
use crate::record::{BlobOutcome, PendingBlob, Record, Totals};
use crate::run::{Begun, Run, RunEnd, RunKey, RunNo, RunStart, RunSummary};
use crate::{BlobSet, Runs};

use self::lock::Locks;

/// The tables, embedded; applied on opening, in order, each once.
static MIGRATIONS: Migrator = sqlx::migrate!("migrations/sqlite");

/// How long another process may keep the file locked: longer than its longest transaction.
const BUSY_TIMEOUT: Duration = Duration::from_secs(30);
/// Page cache, as SQLite's negative kibibytes: ten million outcomes recorded in the drive's order
/// touch pages all over the table.
const CACHE_KIB: &str = "-32768";

/// A ledger in a file.
#[derive(Debug)]
pub struct SqliteLedger {
    connection: Mutex<SqliteConnection>,
    /// Reads the office's tables: what it is asked is answered in milliseconds, whatever the others do.
    office: Mutex<SqliteConnection>,
    /// Reads what runs have recorded: ten million outcomes take seconds, for which no scan should wait.
    reader: Mutex<SqliteConnection>,
    locks: Locks,
}

impl SqliteLedger {
    /// Opens the file, made when it is not there, and brings its tables up to date.
    ///
    /// # Errors
    /// When it cannot be used, is damaged, or was written by a newer version.
    pub async fn open(path: &Path) -> Result<SqliteLedger, OpenError> {
        let failed = |fault| OpenError { place: path.display().to_string(), fault };
        let locks = Locks::beside(path).map_err(|error| failed(Fault::io(error)))?;
        // Two processes must not both find the tables missing.
        let _opening = locks.opening().await.map_err(|error| failed(Fault::io(error)))?;
        make_private(path).map_err(|error| failed(Fault::io(error)))?;
        let mut connection = options(path).connect().await.map_err(|error| failed(Fault::of(error)))?;
        MIGRATIONS
            .run_direct(None, &mut connection, false)
            .await
            .map_err(|error| failed(Fault::migration(error)))?;
        let connect = async || {
            let opened = options(path).connect().await;
            opened.map(Mutex::new).map_err(|error| failed(Fault::of(error)))
        };
        let (office, reader) = (connect().await?, connect().await?);
        Ok(SqliteLedger { connection: Mutex::new(connection), office, reader, locks })
    }

    async fn connection(&self) -> MutexGuard<'_, SqliteConnection> {
        self.connection.lock().await
    }
}

/// A new file is its owner's only, and so are the log and the index that SQLite puts beside it: they hold
/// sealed secrets and hashes of tokens. One that is there keeps what its owner gave it.
fn make_private(path: &Path) -> io::Result<()> {
    let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    match made {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}

fn options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .busy_timeout(BUSY_TIMEOUT)
        .pragma("cache_size", CACHE_KIB)
}

#[async_trait]
impl Runs for SqliteLedger {
    async fn begin(&self, key: &RunKey, start: &RunStart) -> Result<Begun, BeginError> {
        let mut connection = self.connection().await;
        runs::begin(&mut connection, &self.locks, key, start).await
    }

    async fn set_server_started(&self, run: &Run, unix_s: i64) -> Result<i64, SaveError> {
        let mut connection = self.connection().await;
        let saved = runs::set_server_started(&mut connection, run.no, unix_s).await;
        saved.map_err(|error| SaveError::Fault { run: run.no, fault: Fault::of(error) })
    }

    async fn record(&self, run: &Run, records: &[Record]) -> Result<(), SaveError> {
        write::record(&mut *self.connection().await, run.no, records).await
    }

    async fn finish(&self, run: &Run, end: &RunEnd) -> Result<(), SaveError> {
        runs::finish(&mut *self.connection().await, run.no, end).await
    }

    async fn abandon(&self, run: RunNo) -> Result<(), AbandonError> {
        runs::abandon(&mut *self.connection().await, &self.locks, run).await
    }

    async fn outcomes_present(&self, run: RunNo) -> Result<BlobSet, ReadError> {
        let read = read::outcomes_present(&mut *self.reader.lock().await, run).await;
        read.map_err(|fault| ReadError { run: Some(run), what: "finished blobs", fault })
    }

    async fn pending(&self, run: RunNo) -> Result<Vec<PendingBlob>, ReadError> {
        let read = read::pending(&mut *self.reader.lock().await, run).await;
        read.map_err(|fault| ReadError { run: Some(run), what: "begun blobs", fault })
    }

    async fn outcomes(
        &self,
        run: RunNo,
        from_index: u64,
        limit: u32,
    ) -> Result<Vec<(u64, BlobOutcome)>, ReadError> {
        let read = read::outcomes(&mut *self.reader.lock().await, run, from_index, limit).await;
        read.map_err(|fault| ReadError { run: Some(run), what: "outcomes", fault })
    }

    async fn totals(&self, run: RunNo) -> Result<Totals, ReadError> {
        let read = read::totals(&mut *self.reader.lock().await, run).await;
        read.map_err(|fault| ReadError { run: Some(run), what: "totals", fault })
    }

    async fn runs(&self, limit: u32) -> Result<Vec<RunSummary>, ReadError> {
        let read = runs::newest(&mut *self.reader.lock().await, limit).await;
        read.map_err(|fault| ReadError { run: None, what: "list", fault })
    }
}

/// The directory of locks that belongs to a ledger's file.
fn locks_directory(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".locks");
    PathBuf::from(name)
}

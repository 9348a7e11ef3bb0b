//! The ledger of a fleet: one PostgreSQL database that several stations share.
//!
//! ```text
//! station A ─ pool ────┐                      ┌─ drives (fence) ─ runs ─ outcomes, landed, intents
//!           └ keeper ──┤── PostgreSQL 13 ... ─┤
//! station B ─ pool ────┤                      └─ leases (holder, ends)
//!           └ keeper ──┘
//! ```
//!
//! A run holds its drive by a lease: a row with an end, by the database's clock, and a generation,
//! the *fence*. A thread of its own, the [`keeper`], renews it. Every write locks the drive's row and
//! compares the fence in its own transaction, so a station that was cut off, stopped or suspended
//! longer than its lease writes nothing into a run that another one has taken over; it gets
//! [`SaveError::Lost`], and [`crate::Run::lost`] tells it as soon as it knows.
//!
//! A commit is durable on return: the server is refused when it runs without `fsync` or
//! `full_page_writes`, and each session sets `synchronous_commit` itself, see [`session`]. What
//! waits is bounded: locks, idle transactions, connections, and how long a write is tried again.

mod keeper;
mod lease;
mod name;
#[allow(clippy::duplicate_mod, reason = "one text for both databases, see crate::sql")]
mod office;
mod options;
mod read;
mod retry;
mod runs;
mod session;
mod write;

#[cfg(all(test, feature = "conformance"))]
mod tests;

use std::fmt;

use async_trait::async_trait;
use sqlx::migrate::Migrator;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgPool, PgPoolOptions};
use sqlx::{ConnectOptions, Connection};

pub use self::name::{NameError, StationName};
pub use self::options::{PostgresOptions, UrlError};

use self::keeper::Keeper;
use self::retry::Backoff;
use crate::error::{AbandonError, BeginError, Fault, OpenError, ReadError, SaveError};
use crate::fold::Effect;
use crate::record::{BlobOutcome, PendingBlob, Record, Totals};
use crate::run::{Begun, Run, RunEnd, RunKey, RunNo, RunStart, RunSummary};
use crate::{BlobSet, Runs};

/// The tables, embedded; applied on opening, in order, each once, by one station at a time: sqlx
/// holds an advisory lock of the database meanwhile.
static MIGRATIONS: Migrator = sqlx::migrate!("migrations/postgres");

/// A ledger in a PostgreSQL database.
pub struct PostgresLedger {
    pub(crate) pool: PgPool,
    keeper: Keeper,
    place: String,
}

impl PostgresLedger {
    /// Connects and brings the tables up to date.
    ///
    /// # Errors
    /// When the server cannot be reached, does not let us in, would forget what it acknowledges, or
    /// has tables of a newer version.
    pub async fn open(options: &PostgresOptions) -> Result<PostgresLedger, OpenError> {
        let opened = PostgresLedger::try_open(options).await;
        opened.map_err(|fault| OpenError { place: options.place(), fault })
    }

    async fn try_open(options: &PostgresOptions) -> Result<PostgresLedger, Fault> {
        prepare(options).await?;
        let (lease, connect) = (options.lease, options.connect.clone());
        let pool = PgPoolOptions::new()
            .max_connections(options.connections_max)
            .acquire_timeout(session::CONNECT_WAIT)
            .after_connect(move |connection, _| Box::pin(session::set(connection, lease)))
            .connect_lazy_with(connect.clone());
        let keeper = Keeper::start(connect, lease, options.holder.clone()).map_err(Fault::io)?;
        Ok(PostgresLedger { pool, keeper, place: options.place() })
    }

    /// A write that takes as long as a lease is of no use: its drive may be another's by then.
    async fn in_time<T>(&self, write: impl Future<Output = Result<T, Fault>>) -> Result<T, Fault> {
        let ended = tokio::time::timeout(self.keeper.lease_length(), write).await;
        ended.unwrap_or_else(|_| Err(Fault::of(sqlx::Error::PoolTimedOut)))
    }
}

/// Judges the server and makes the tables, over a connection of its own: should it fail half-way,
/// the lock on the migrations goes with the connection.
async fn prepare(options: &PostgresOptions) -> Result<(), Fault> {
    let mut connection = connect(&options.connect).await?;
    session::set(&mut connection, options.lease).await.map_err(Fault::of)?;
    session::judge(&mut connection, options.scratch).await?;
    // Another station's migration may take longer than a lock ever does otherwise.
    sqlx::query("SET lock_timeout = 0").execute(&mut connection).await.map_err(Fault::of)?;
    let migrated = MIGRATIONS.run_direct(None, &mut connection, false).await.map_err(Fault::migration);
    // What it says on closing is of no use to anybody.
    let _ = connection.close().await;
    migrated
}

/// A single connection, or within a bounded time none.
async fn connect(options: &PgConnectOptions) -> Result<PgConnection, Fault> {
    match tokio::time::timeout(session::CONNECT_WAIT, options.connect()).await {
        Ok(connected) => connected.map_err(Fault::of),
        Err(_) => Err(Fault::of(sqlx::Error::PoolTimedOut)),
    }
}

impl fmt::Debug for PostgresLedger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PostgresLedger in {}", self.place)
    }
}

/// Does it again while the database only says "not now", within the backoff's bound.
macro_rules! patiently {
    ($backoff:expr, $attempt:expr) => {{
        let mut backoff = $backoff;
        loop {
            match $attempt.await {
                Err(fault) if backoff.again(&fault).await => {}
                ended => break ended,
            }
        }
    }};
}

#[async_trait]
impl Runs for PostgresLedger {
    async fn begin(&self, key: &RunKey, start: &RunStart) -> Result<Begun, BeginError> {
        runs::begin(&self.pool, &self.keeper, key, start).await
    }

    async fn set_server_started(&self, run: &Run, unix_s: i64) -> Result<i64, SaveError> {
        let saved = patiently!(
            Backoff::for_a_run(run, self.keeper.lease_length()),
            self.in_time(write::set_server_started(&self.pool, run, unix_s))
        );
        write::ended(run, saved)
    }

    async fn record(&self, run: &Run, records: &[Record]) -> Result<(), SaveError> {
        let effect = Effect::of(records);
        let saved = patiently!(
            Backoff::for_a_run(run, self.keeper.lease_length()),
            self.in_time(write::record(&self.pool, run, &effect))
        );
        write::ended(run, saved)
    }

    async fn finish(&self, run: &Run, end: &RunEnd) -> Result<(), SaveError> {
        let saved = patiently!(
            Backoff::for_a_run(run, self.keeper.lease_length()),
            self.in_time(write::finish(&self.pool, run, end))
        );
        write::ended(run, saved)
    }

    async fn abandon(&self, run: RunNo) -> Result<(), AbandonError> {
        let abandoned = patiently!(Backoff::for_a_call(), runs::abandon(&self.pool, run));
        match abandoned.map_err(|fault| AbandonError::Fault { run, fault })? {
            runs::Abandoned::Done => Ok(()),
            runs::Abandoned::Unknown => Err(AbandonError::Unknown { run }),
            runs::Abandoned::Held { holder } => Err(AbandonError::Held { run, holder }),
        }
    }

    async fn outcomes_present(&self, run: RunNo) -> Result<BlobSet, ReadError> {
        let read = patiently!(Backoff::for_a_call(), read::outcomes_present(&self.pool, run));
        read.map_err(|fault| ReadError { run: Some(run), what: "finished blobs", fault })
    }

    async fn pending(&self, run: RunNo) -> Result<Vec<PendingBlob>, ReadError> {
        let read = patiently!(Backoff::for_a_call(), read::pending(&self.pool, run));
        read.map_err(|fault| ReadError { run: Some(run), what: "begun blobs", fault })
    }

    async fn outcomes(
        &self,
        run: RunNo,
        from_index: u64,
        limit: u32,
    ) -> Result<Vec<(u64, BlobOutcome)>, ReadError> {
        let read = patiently!(Backoff::for_a_call(), read::outcomes(&self.pool, run, from_index, limit));
        read.map_err(|fault| ReadError { run: Some(run), what: "outcomes", fault })
    }

    async fn totals(&self, run: RunNo) -> Result<Totals, ReadError> {
        let read = patiently!(Backoff::for_a_call(), read::totals(&self.pool, run));
        read.map_err(|fault| ReadError { run: Some(run), what: "totals", fault })
    }

    async fn runs(&self, limit: u32) -> Result<Vec<RunSummary>, ReadError> {
        let read = patiently!(Backoff::for_a_call(), runs::newest(&self.pool, limit));
        read.map_err(|fault| ReadError { run: None, what: "list", fault })
    }
}

//! One station of a name in a fleet: an advisory lock of the database, held by a session of its own.
//!
//! Claims bear the station's name, and a station that starts lets go of all that bear it. So a second one of the
//! same name, a copied configuration or a second start by hand, would take the first one's drives away.
//!
//! The lock goes with its session, however the process dies. A machine that lost its power closes nothing: the
//! server asks after it, and the name is free within half a minute. A session that broke is replaced. Only when
//! another process has the name by then is it lost; what is written meanwhile is guarded by the claims' fences.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::Duration;

use sqlx::Connection;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use super::options::this_process;
use super::{PostgresOptions, session};
use crate::error::Fault;

/// How soon a broken session is noticed: sooner than the shortest lease ends.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// Between two tries to have it.
const TRY_EVERY: Duration = Duration::from_millis(500);
/// So long a name may be held by a process that has just ended: the server notices a moment later.
const END_WAIT: Duration = Duration::from_secs(5);
/// Most bytes of an application's name that PostgreSQL keeps.
const TAG_BYTES_MAX: usize = 63;
/// The lock's key is 64 bits of the name's digest, of which the database has no other use.
const LOCK: &str = "SELECT pg_try_advisory_lock(hashtextextended('drayage station ' || $1, 0))";
const HOLDER: &str = "SELECT application_name FROM pg_locks JOIN pg_stat_activity USING (pid) \
     WHERE locktype = 'advisory' AND granted AND objsubid = 1 \
     AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) \
     AND ((classid::bigint << 32) | objid::bigint) = hashtextextended('drayage station ' || $1, 0)";
const ASK_AFTER_US: &str = "SELECT set_config('tcp_keepalives_idle', '10', false), \
     set_config('tcp_keepalives_interval', '5', false), set_config('tcp_keepalives_count', '3', false)";

/// A station's name that is ours until this is dropped.
#[derive(Debug)]
pub struct StationName {
    name: String,
    taken_by: watch::Receiver<Option<String>>,
    keeping: JoinHandle<()>,
}

/// A station's name cannot be had.
#[derive(Debug, Clone, thiserror::Error)]
pub enum NameError {
    /// Somebody bears it.
    #[error("a station with the name {name} serves already: {holder}; each station of a fleet needs its own")]
    Taken {
        /// The name.
        name: String,
        /// Who, as far as the database says.
        holder: String,
    },
    /// The database failed.
    #[error("asking the database whether the name {name} is free")]
    Fault {
        /// The name.
        name: String,
        /// Why.
        #[source]
        fault: Fault,
    },
}

impl StationName {
    /// Takes the name, before anything is done in it.
    ///
    /// # Errors
    /// When another station has it, or the database cannot be asked.
    pub async fn take(options: &PostgresOptions, name: &str) -> Result<StationName, NameError> {
        let keeping = Keeping::new(&options.connect, name);
        let give_up = Instant::now() + END_WAIT;
        let connection = loop {
            let asked = keeping.ask().await;
            match asked.map_err(|fault| NameError::Fault { name: name.to_owned(), fault })? {
                Ok(connection) => break connection,
                Err(holder) if Instant::now() >= give_up => return Err(taken(name, holder.as_deref())),
                Err(_) => sleep(TRY_EVERY).await,
            }
        };
        let (lost, taken_by) = watch::channel(None);
        let keeping = tokio::spawn(keeping.keep(connection, lost));
        Ok(StationName { name: name.to_owned(), taken_by, keeping })
    }

    /// Ends when the name is another station's.
    pub async fn lost(&mut self) -> NameError {
        let holder = self.taken_by.wait_for(Option::is_some).await.ok().and_then(|holder| holder.clone());
        taken(&self.name, holder.as_deref())
    }
}

impl Drop for StationName {
    fn drop(&mut self) {
        self.keeping.abort();
    }
}

fn taken(name: &str, tag: Option<&str>) -> NameError {
    let holder = tag.and_then(|tag| tag.split_once(' ')).map_or("another process", |(_, process)| process);
    NameError::Taken { name: name.to_owned(), holder: holder.to_owned() }
}

/// Keeps the lock for the life of the process.
struct Keeping {
    connect: PgConnectOptions,
    name: String,
    /// Ours among all sessions of the server: a random number, and for people which process it is.
    tag: String,
}

impl Keeping {
    fn new(connect: &PgConnectOptions, name: &str) -> Keeping {
        let number = RandomState::new().build_hasher().finish();
        let mut tag = format!("{number:016x} {}", this_process().replace(|c: char| !c.is_ascii(), "?"));
        tag.truncate(TAG_BYTES_MAX);
        Keeping { connect: connect.clone().application_name(&tag), name: name.to_owned(), tag }
    }

    /// A session that has the lock, or the tag of the one that has it.
    async fn ask(&self) -> Result<Result<PgConnection, Option<String>>, Fault> {
        let mut connection = super::connect(&self.connect).await?;
        let asked = timeout(session::CONNECT_WAIT, self.lock(&mut connection)).await;
        let asked = asked.unwrap_or(Err(sqlx::Error::PoolTimedOut)).map_err(Fault::of)?;
        Ok(asked.map(|()| connection))
    }

    async fn lock(&self, connection: &mut PgConnection) -> sqlx::Result<Result<(), Option<String>>> {
        sqlx::query(ASK_AFTER_US).execute(&mut *connection).await?;
        let lock = sqlx::query_scalar::<_, bool>(LOCK).bind(&self.name);
        if lock.fetch_one(&mut *connection).await? {
            return Ok(Ok(()));
        }
        let holder = sqlx::query_scalar::<_, Option<String>>(HOLDER).bind(&self.name);
        Ok(Err(holder.fetch_optional(connection).await?.flatten()))
    }

    async fn keep(self, mut connection: PgConnection, lost: watch::Sender<Option<String>>) {
        loop {
            sleep(LOOK_EVERY).await;
            if matches!(timeout(session::CONNECT_WAIT, connection.ping()).await, Ok(Ok(()))) {
                continue;
            }
            match self.again().await {
                Ok(anew) => connection = anew,
                Err(holder) => return drop(lost.send_replace(Some(holder))),
            }
        }
    }

    /// The lock in a new session, as soon as the database answers; or who has it.
    async fn again(&self) -> Result<PgConnection, String> {
        loop {
            match self.ask().await {
                Ok(Ok(connection)) => return Ok(connection),
                // Else it is our own session, of whose end the server does not know yet.
                Ok(Err(Some(holder))) if holder != self.tag => return Err(holder),
                _ => sleep(TRY_EVERY).await,
            }
        }
    }
}

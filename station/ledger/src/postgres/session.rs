//! What every connection is set to, and which servers are refused.

use std::time::Duration;

use sqlx::postgres::PgConnection;

use crate::error::{Fault, FaultKind};

/// How long a connection may take to come about.
pub(super) const CONNECT_WAIT: Duration = Duration::from_secs(10);
/// How long a statement waits for somebody's lock: longer than any transaction of ours.
const LOCK_WAIT: Duration = Duration::from_secs(30);
/// Between two statements of a transaction nothing of ours takes that long.
const IDLE_MIN: Duration = Duration::from_secs(1);
/// However long the lease: a station that froze in a transaction may hold a row that all changes wait for, who
/// give up after [`LOCK_WAIT`].
const IDLE_MAX: Duration = Duration::from_secs(15);
/// The oldest server that has all that is used here and is still kept up.
const VERSION_MIN: i32 = 13_00_00;

/// Prepares a new connection.
///
/// A commit waits until it is on the server's disk, and on a synchronous standby's if there is one,
/// whatever the server's default is. A transaction whose station has vanished, or sleeps, is ended
/// by the server before that station's lease ends (which was renewed at most a third of its length
/// earlier), so that it cannot keep the drive from whoever takes it over.
pub(super) async fn set(connection: &mut PgConnection, lease: Duration) -> sqlx::Result<()> {
    let milliseconds = |wait: Duration| wait.as_millis().max(1).to_string();
    sqlx::query(
        "SELECT set_config('synchronous_commit', CASE current_setting('synchronous_commit') \
         WHEN 'remote_apply' THEN 'remote_apply' ELSE 'on' END, false), \
         set_config('default_transaction_isolation', 'read committed', false), \
         set_config('lock_timeout', $1, false), \
         set_config('idle_in_transaction_session_timeout', $2, false)",
    )
    .bind(milliseconds(LOCK_WAIT))
    .bind(milliseconds((lease / 2).clamp(IDLE_MIN, IDLE_MAX)))
    .execute(connection)
    .await
    .map(drop)
}

/// Refuses a server on which the ledger's promises would not hold.
pub(super) async fn judge(connection: &mut PgConnection, scratch: bool) -> Result<(), Fault> {
    let read: (i32, String, String, String, bool, String) = sqlx::query_as(
        "SELECT current_setting('server_version_num')::int, current_setting('fsync'), \
         current_setting('full_page_writes'), current_setting('server_encoding'), pg_is_in_recovery(), \
         current_setting('default_transaction_read_only')",
    )
    .fetch_one(connection)
    .await
    .map_err(Fault::of)?;
    let (version, fsync, full_page_writes, encoding, is_standby, read_only) = read;
    let unsuitable = |what: String| Err(Fault::own(FaultKind::Unsuitable, Unsuitable(what)));
    if version < VERSION_MIN {
        return unsuitable(format!("version {version} is older than {VERSION_MIN}"));
    }
    if is_standby || read_only == "on" {
        let what = "it is a standby, or its default_transaction_read_only is on".to_owned();
        return Err(Fault::own(FaultKind::ReadOnly, Unsuitable(what)));
    }
    if encoding != "UTF8" {
        return unsuitable(format!("the database's encoding is {encoding}, not UTF8"));
    }
    if !scratch && (fsync != "on" || full_page_writes != "on") {
        return unsuitable(format!(
            "fsync is {fsync} and full_page_writes is {full_page_writes}: a power cut would undo what was saved"
        ));
    }
    Ok(())
}

/// What of the server.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Unsuitable(String);

//! Leases as rows: taken, renewed, let go. Every time is the database's.
//!
//! Whoever takes a drive raises its fence in both tables; the drive's row is locked by every write
//! that is under way, so a takeover waits for those, and whoever writes later finds another fence.

use std::collections::BTreeSet;
use std::time::Duration;

use sqlx::PgConnection;

use super::keeper::Key;
use crate::error::Fault;

/// A drive could be taken, or somebody has it.
pub(super) enum Taken {
    Ours { fence: i64 },
    Held { holder: String },
}

/// Takes the drive with that row number if nobody has it, in the caller's transaction. Without a
/// length it is free again at once, but whoever had it before can write no more.
pub(super) async fn take(
    connection: &mut PgConnection,
    drive: i64,
    holder: &str,
    length: Option<Duration>,
) -> sqlx::Result<Taken> {
    let fence: Option<i64> = sqlx::query_scalar(
        "INSERT INTO leases AS lease (drive, fence, holder, ends) \
         VALUES ($1, 1, $2, clock_timestamp() + make_interval(secs => $3)) \
         ON CONFLICT (drive) DO UPDATE SET fence = lease.fence + 1, holder = excluded.holder, \
         ends = clock_timestamp() + make_interval(secs => $3) \
         WHERE lease.ends IS NULL OR lease.ends <= clock_timestamp() RETURNING fence",
    )
    .bind(drive)
    .bind(holder)
    .bind(length.map(|length| length.as_secs_f64()))
    .fetch_optional(&mut *connection)
    .await?;
    let Some(fence) = fence else {
        let holder = sqlx::query_scalar("SELECT holder FROM leases WHERE drive = $1");
        return Ok(Taken::Held { holder: holder.bind(drive).fetch_one(connection).await? });
    };
    let raise = sqlx::query("UPDATE drives SET fence = $2 WHERE id = $1").bind(drive).bind(fence);
    raise.execute(connection).await?;
    Ok(Taken::Ours { fence })
}

/// Renews those that are still ours, and gives their drives.
pub(super) async fn renew(
    connection: &mut PgConnection,
    keys: &[Key],
    length: Duration,
) -> Result<BTreeSet<i64>, Fault> {
    let (drives, fences): (Vec<i64>, Vec<i64>) = keys.iter().map(|key| (key.drive, key.fence)).unzip();
    let renewed: Vec<i64> = sqlx::query_scalar(
        "UPDATE leases SET ends = clock_timestamp() + make_interval(secs => $3) \
         FROM unnest($1::bigint[], $2::bigint[]) AS kept (drive, fence) \
         WHERE leases.drive = kept.drive AND leases.fence = kept.fence AND leases.ends IS NOT NULL \
         RETURNING leases.drive",
    )
    .bind(drives)
    .bind(fences)
    .bind(length.as_secs_f64())
    .fetch_all(connection)
    .await
    .map_err(Fault::of)?;
    Ok(renewed.into_iter().collect())
}

/// Lets the drive go, unless somebody has taken it over.
pub(super) async fn release(connection: &mut PgConnection, key: Key) -> Result<(), Fault> {
    let update = sqlx::query("UPDATE leases SET ends = NULL WHERE drive = $1 AND fence = $2");
    update.bind(key.drive).bind(key.fence).execute(connection).await.map_err(Fault::of)?;
    Ok(())
}

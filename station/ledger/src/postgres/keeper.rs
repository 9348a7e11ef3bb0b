//! The thread that keeps a station's leases: renews them, tells when one is lost, lets them go.
//!
//! A thread with a connection of its own, so that neither a busy runtime nor a long write costs a
//! drive, and so that dropping a run can wait for the drive to be free, as with a lock.
//!
//! Invariant: a lease is told lost before another station can have it. Its end is counted here from
//! before it was asked for, by this machine's monotonic clock and a tenth shorter; in the database
//! from after, by the database's. The fence guards what is written even so; see [`super::lease`].

use std::collections::BTreeMap;
use std::io;
use std::sync::mpsc as blocking;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgConnection};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until, timeout_at};

use super::{lease, session};
use crate::error::Fault;

/// Renewals in a lease's length: two may fail.
const RENEWALS: u32 = 3;
/// After a failed renewal it is tried again in this part of the length.
const RETRIES: u32 = 12;
/// How long the drop of a run waits for its drive to be free.
const RELEASE_WAIT: Duration = Duration::from_secs(2);

/// The front of the thread; it ends when this and all leases are gone.
#[derive(Clone)]
pub(super) struct Keeper {
    orders: mpsc::UnboundedSender<Order>,
    length: Duration,
    holder: String,
}

enum Order {
    Keep { lease: Key, until: watch::Sender<Instant> },
    Release { lease: Key, done: blocking::SyncSender<()> },
}

/// A drive's row and the fence under which it is ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    pub(super) drive: i64,
    pub(super) fence: i64,
}

/// A drive that is ours until this is dropped.
pub(super) struct Lease {
    key: Key,
    orders: mpsc::UnboundedSender<Order>,
}

impl Keeper {
    pub(super) fn start(connect: PgConnectOptions, length: Duration, holder: String) -> io::Result<Keeper> {
        let (orders, taken) = mpsc::unbounded_channel();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let keeping = Keeping {
            connect,
            length,
            orders: taken,
            connection: None,
            kept: BTreeMap::new(),
            letting_go: BTreeMap::new(),
        };
        std::thread::Builder::new()
            .name("ledger-leases".to_owned())
            .spawn(move || runtime.block_on(keeping.run()))?;
        Ok(Keeper { orders, length, holder })
    }

    pub(super) fn lease_length(&self) -> Duration {
        self.length
    }

    pub(super) fn holder(&self) -> &str {
        &self.holder
    }

    /// Keeps a lease that was taken by a statement sent after `asked`.
    pub(super) fn keep(&self, key: Key, asked: Instant) -> (Lease, watch::Receiver<Instant>) {
        let (until, told) = watch::channel(asked + ours(self.length));
        // Should the thread be gone, `until` goes with the order: then the lease counts as lost.
        let _ = self.orders.send(Order::Keep { lease: key, until });
        (Lease { key, orders: self.orders.clone() }, told)
    }
}

/// How much of a lease's length we rely on: clocks do not run at quite the same speed.
fn ours(length: Duration) -> Duration {
    length - length / 10
}

impl Drop for Lease {
    fn drop(&mut self) {
        let (done, released) = blocking::sync_channel(1);
        if self.orders.send(Order::Release { lease: self.key, done }).is_ok() {
            // If the database is away, it is tried again, and else the lease ends by itself.
            let _ = released.recv_timeout(RELEASE_WAIT);
        }
    }
}

/// The thread's side.
struct Keeping {
    connect: PgConnectOptions,
    length: Duration,
    orders: mpsc::UnboundedReceiver<Order>,
    connection: Option<PgConnection>,
    /// Until when each is ours; whoever holds one learns of its loss by the sender's end.
    kept: BTreeMap<Key, watch::Sender<Instant>>,
    /// Those whose release failed, and until when it is of use: they end by themselves then.
    letting_go: BTreeMap<Key, Instant>,
}

impl Keeping {
    async fn run(mut self) {
        let mut due = Instant::now() + self.length / RENEWALS;
        loop {
            tokio::select! {
                order = self.orders.recv() => match order {
                    Some(Order::Keep { lease, until }) => drop(self.kept.insert(lease, until)),
                    Some(Order::Release { lease, done }) => {
                        self.kept.remove(&lease);
                        if self.release(lease).await.is_err() {
                            self.letting_go.insert(lease, Instant::now() + self.length);
                        }
                        // Whoever dropped it may have stopped waiting.
                        let _ = done.send(());
                    }
                    None => return,
                },
                () = sleep_until(due), if !self.kept.is_empty() || !self.letting_go.is_empty() => {
                    let part = if self.turn().await.is_ok() { RENEWALS } else { RETRIES };
                    due = Instant::now() + self.length / part;
                }
            }
            self.give_up_what_ended();
        }
    }

    /// Renews what is kept, and lets go what could not be let go before.
    async fn turn(&mut self) -> Result<(), Fault> {
        let renewed = if self.kept.is_empty() { Ok(()) } else { self.renew().await };
        for (key, until) in std::mem::take(&mut self.letting_go) {
            if Instant::now() < until && self.release(key).await.is_err() {
                self.letting_go.insert(key, until);
            }
        }
        renewed
    }

    /// Renews all of them with one statement; those that are another's by now are told lost.
    async fn renew(&mut self) -> Result<(), Fault> {
        let asked = Instant::now();
        let keys: Vec<Key> = self.kept.keys().copied().collect();
        let ends = self.kept.values().map(|until| *until.borrow()).min().unwrap_or(asked);
        let until = ends.min(asked + self.length / RENEWALS);
        let length = self.length;
        let renewed =
            match timeout_at(until, async { lease::renew(self.connected().await?, &keys, length).await })
                .await
            {
                Ok(Ok(renewed)) => renewed,
                failed => {
                    // Half a conversation is of no use to the next try.
                    self.connection = None;
                    return failed.map_err(|_| Fault::of(sqlx::Error::PoolTimedOut))?.map(drop);
                }
            };
        for key in keys {
            if renewed.contains(&key.drive) {
                if let Some(until) = self.kept.get(&key) {
                    until.send_replace(asked + ours(length));
                }
            } else {
                self.kept.remove(&key);
            }
        }
        Ok(())
    }

    async fn release(&mut self, key: Key) -> Result<(), Fault> {
        let until = Instant::now() + RELEASE_WAIT;
        let released = timeout_at(until, async { lease::release(self.connected().await?, key).await }).await;
        let released = released.unwrap_or_else(|_| Err(Fault::of(sqlx::Error::PoolTimedOut)));
        if released.is_err() {
            self.connection = None;
        }
        released
    }

    fn give_up_what_ended(&mut self) {
        let now = Instant::now();
        self.kept.retain(|_, until| *until.borrow() > now);
    }

    async fn connected(&mut self) -> Result<&mut PgConnection, Fault> {
        if self.connection.is_none() {
            let mut connection = super::connect(&self.connect).await?;
            session::set(&mut connection, self.length).await.map_err(Fault::of)?;
            self.connection = Some(connection);
        }
        Ok(self.connection.as_mut().expect("just made"))
    }
}

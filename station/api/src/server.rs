//! The listener: TLS, limits, who calls, and what goes around every handler.
//!
//! ```text
//! connection ─▶ seat ─▶ TLS ─▶ head in time ─▶ rate of the address ─▶ who calls ─▶ rate of the caller
//!            ─▶ a slot ─▶ the whole body, in time and in size ─▶ handler (own task) ─▶ headers ─▶ one log line
//! ```
//!
//! Invariants: no byte of a body is taken from somebody unknown; no answer leaves that nobody asked permission for; a
//! request that was begun is finished, whether or not its client waits, so "save, then act" is not torn apart by a
//! cable; every wait has an end. Handlers see whole bodies, so none of them meets a slow client.
//!
//! | to change | open |
//! | --- | --- |
//! | what configuration may say | [`config`] |
//! | certificates and their exchange | `tls` |
//! | connections, peers, unread answers | `door` |
//! | what happens around a request | `front` |
//! | ids, headers, the log line | `ticket` |
//! | binding, the Unix socket | `listen` |
//!
//! Who may do what is [`crate::people`]'s.

pub mod config;
mod door;
mod front;
mod listen;
mod rates;
mod seats;
mod ticket;
pub(crate) mod tls;

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum_server::Control;
use thiserror::Error;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tracing::{error, info, warn};

use crate::people::Doorkeeper;
use config::{Config, ConfigProblem};
use front::Front;
use listen::{Listener, Shared};
use tls::{Certificate, TlsError};

pub use door::{Origin, Peer};
pub use front::{RequestId, Stopping};

/// What is served: the routes of every surface, merged.
#[derive(Clone, Debug)]
pub struct Surface {
    /// The routes. Their handlers ask [`crate::people::authorise`], or their routes wear [`crate::people::needs`].
    pub router: Router,
    /// Exact paths that anybody may read without credentials: the health check, the OpenAPI file.
    pub public: &'static [&'static str],
}

/// Why the server cannot start.
#[derive(Debug, Error)]
pub enum BindError {
    /// The configuration cannot work; all reasons at once.
    #[error("the server's configuration cannot work:\n{}", lines(.0))]
    Config(Vec<ConfigProblem>),
    /// An address is taken, or not this machine's.
    #[error("listening on {address}")]
    Address {
        /// Which.
        address: SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The socket cannot be made.
    #[error("making the socket {path:?}")]
    Socket {
        /// Where.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A certificate that was fine when checked no longer is.
    #[error("taking a certificate into use")]
    Tls(#[source] TlsError),
    /// SIGHUP cannot be listened for.
    #[error("listening for SIGHUP")]
    Signal(#[source] io::Error),
}

fn lines(problems: &[ConfigProblem]) -> String {
    problems.iter().map(|problem| format!("  {problem}")).collect::<Vec<_>>().join("\n")
}

/// A server that has its addresses and serves nobody yet.
pub struct Server {
    listeners: Vec<Listener>,
    certificates: Vec<Certificate>,
    shared: Shared,
    front: Arc<Front>,
    app: Router,
    stopping: watch::Sender<bool>,
    hangup: Signal,
    shutdown: Duration,
    certificate_check: Duration,
}

impl Server {
    /// Checks the configuration and takes every address; from then on SIGHUP means "look at the certificates".
    pub async fn bind(config: &Config, surface: Surface, doorkeeper: Doorkeeper) -> Result<Self, BindError> {
        let checked = config.clone();
        let problems = tokio::task::spawn_blocking(move || checked.problems()).await.unwrap_or_default();
        if !problems.is_empty() {
            return Err(BindError::Config(problems));
        }
        let listeners = listen::bind_all(config)?;
        let certificates = listeners.iter().filter_map(Listener::certificate).cloned().collect();
        let (stopping, stops) = watch::channel(false);
        let local_uid = listeners.iter().find_map(Listener::owner);
        let doorkeeper = match (&config.local, local_uid) {
            (Some(local), Some(uid)) => doorkeeper.with_local(uid, local.roles.clone()),
            _ => doorkeeper,
        };
        let front = Arc::new(Front::new(&config.limits, doorkeeper, surface.public, Stopping::new(stops)));
        Ok(Self {
            listeners,
            certificates,
            shared: Shared::new(&config.limits),
            app: front::around(surface.router, &front),
            front,
            stopping,
            hangup: signal(SignalKind::hangup()).map_err(BindError::Signal)?,
            shutdown: Duration::from_millis(config.limits.shutdown_ms),
            certificate_check: Duration::from_millis(config.limits.certificate_check_ms),
        })
    }

    /// The network addresses that were taken, in the configuration's order: port 0 has become a number.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.listeners.iter().filter_map(Listener::address).collect()
    }

    /// Serves until `stop` ends, then lets what runs end, but not longer than the configuration says.
    ///
    /// An error means that a listener failed; the others were stopped in the same orderly way.
    pub async fn run(mut self, stop: impl Future<Output = ()> + Send) -> io::Result<()> {
        let control = Control::new();
        let mut serving = JoinSet::new();
        for listener in std::mem::take(&mut self.listeners) {
            info!(event = "listening", address = %listener.name());
            serving.spawn(listener.serve(self.app.clone(), self.shared.clone(), control.clone()));
        }
        tokio::pin!(stop);
        let mut check = tokio::time::interval(self.certificate_check);
        let early = loop {
            tokio::select! {
                () = &mut stop => break Ok(()),
                ended = serving.join_next() => break ended_early(ended),
                _ = self.hangup.recv() => self.refresh_certificates().await,
                _ = check.tick() => self.refresh_certificates().await,
            }
        };
        self.wind_down(&control, serving).await;
        early
    }

    async fn wind_down(&self, control: &Control, mut serving: JoinSet<io::Result<()>>) {
        info!(event = "stopping", connections = control.connection_count());
        // Streams of events see this and end; else they alone would use up the deadline.
        self.stopping.send_replace(true);
        control.graceful_shutdown(Some(self.shutdown));
        let ended = async {
            while serving.join_next().await.is_some() {}
            self.front.all_ended().await;
        };
        // The connections' own deadline is the same; handlers without a client get what is left of it.
        if tokio::time::timeout(self.shutdown, ended).await.is_err() {
            warn!(event = "stopped_with_work_left", err = "requests were still running at the deadline");
        }
        control.shutdown();
    }

    async fn refresh_certificates(&self) {
        for certificate in self.certificates.clone() {
            let path = certificate.path().display().to_string();
            match tokio::task::spawn_blocking(move || certificate.refresh()).await {
                Ok(Ok(false)) => {}
                Ok(Ok(true)) => info!(event = "certificate_exchanged", path),
                Ok(Err(error)) => warn!(event = "certificate_kept", path, err = config::chain(&error)),
                Err(error) => error!(event = "certificate_kept", path, err = %error),
            }
        }
    }
}

fn ended_early(ended: Option<Result<io::Result<()>, tokio::task::JoinError>>) -> io::Result<()> {
    match ended {
        Some(Ok(Err(error))) => Err(error),
        Some(Err(error)) => Err(io::Error::other(error)),
        Some(Ok(Ok(()))) | None => Err(io::Error::other("a listener ended by itself")),
    }
}

#[cfg(test)]
pub(crate) mod tests;

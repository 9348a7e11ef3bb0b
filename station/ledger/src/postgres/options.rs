//! Which server, which database, and how a station behaves there.
//!
//! Invariant: nothing here shows a password, not even a broken URL in an error.

use std::path::Path;
use std::time::Duration;

use sqlx::ConnectOptions;
use sqlx::postgres::{PgConnectOptions, PgSslMode};

/// Longer than a restart of the server, or a failover, commonly takes; as long as another station
/// has to wait for the drive of one that died.
const LEASE_DEFAULT: Duration = Duration::from_secs(60);
/// Shorter, and a slow answer of a busy server would cost drives.
const LEASE_MIN: Duration = Duration::from_millis(100);
/// Connections of one station, beside the keeper's.
const CONNECTIONS_DEFAULT: u32 = 8;

/// How to open a [`super::PostgresLedger`].
#[derive(Clone)]
pub struct PostgresOptions {
    pub(super) connect: PgConnectOptions,
    pub(super) connections_max: u32,
    pub(super) lease: Duration,
    pub(super) holder: String,
    pub(super) scratch: bool,
}

/// A text that does not name a database.
#[derive(Debug, thiserror::Error)]
pub enum UrlError {
    /// Of another kind.
    #[error("a ledger's URL begins with postgres:// or postgresql://")]
    Scheme,
    /// What is wrong with it, without showing it.
    #[error("the ledger's URL cannot be understood")]
    Invalid(#[source] sqlx::Error),
}

impl PostgresOptions {
    /// From a URL such as `postgres://station@ledger.example/drayage`, with what libpq knows after a
    /// question mark: `sslmode`, `sslrootcert`, `host=/run/postgresql` for a Unix socket. The
    /// password may be in it, in `PGPASSWORD`, or in `~/.pgpass`.
    ///
    /// Whoever says nothing of `sslmode` gets a server on another machine only by TLS, with its
    /// certificate verified.
    ///
    /// # Errors
    /// When it is no such URL.
    pub fn parse(url: &str) -> Result<PostgresOptions, UrlError> {
        let url = url.trim();
        if !["postgres://", "postgresql://"].iter().any(|scheme| url.starts_with(scheme)) {
            return Err(UrlError::Scheme);
        }
        let mut connect: PgConnectOptions = url.parse().map_err(UrlError::Invalid)?;
        if !says_sslmode(url) {
            let mode = if is_here(&connect) { PgSslMode::Prefer } else { PgSslMode::VerifyFull };
            connect = connect.ssl_mode(mode);
        }
        Ok(PostgresOptions {
            connect: connect.application_name("drayage").disable_statement_logging(),
            connections_max: CONNECTIONS_DEFAULT,
            lease: LEASE_DEFAULT,
            holder: this_process(),
            scratch: false,
        })
    }

    /// How long a drive stays ours without being renewed: so long another station waits for the
    /// drive of one that died, and so long the database may be away before runs are suspended.
    #[must_use]
    pub fn lease(self, length: Duration) -> PostgresOptions {
        PostgresOptions { lease: length.max(LEASE_MIN), ..self }
    }

    /// How others see who has a drive, such as the station's name.
    #[must_use]
    pub fn holder(self, name: &str) -> PostgresOptions {
        PostgresOptions { holder: format!("{name}, {}", this_process()), ..self }
    }

    /// Connections at the same time, beside one that renews leases.
    #[must_use]
    pub fn connections_max(self, count: u32) -> PostgresOptions {
        PostgresOptions { connections_max: count.max(1), ..self }
    }

    /// Takes a server that forgets on a power cut. For the scratch servers of tests, nothing else.
    #[must_use]
    pub fn scratch(self) -> PostgresOptions {
        PostgresOptions { scratch: true, ..self }
    }

    /// Which database, for a person.
    pub(super) fn place(&self) -> String {
        let user = self.connect.get_username();
        let database = self.connect.get_database().unwrap_or(user);
        match self.connect.get_socket() {
            Some(socket) => format!("database {database} at {} as {user}", socket.display()),
            None => {
                let (host, port) = (self.connect.get_host(), self.connect.get_port());
                format!("database {database} at {host}:{port} as {user}")
            }
        }
    }
}

fn says_sslmode(url: &str) -> bool {
    let query = url.split_once('?').map_or("", |(_, query)| query);
    let names = query.split('&').filter_map(|pair| pair.split('=').next());
    names.into_iter().any(|name| name == "sslmode" || name == "ssl-mode")
        || std::env::var_os("PGSSLMODE").is_some()
}

/// Whether the server is on this machine, so that nobody can listen on the way.
fn is_here(connect: &PgConnectOptions) -> bool {
    let host = connect.get_host();
    let loopback = host.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback());
    connect.get_socket().is_some() || loopback || host == "localhost" || Path::new(host).is_absolute()
}

/// Which process this is, for people.
pub(super) fn this_process() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    match host.trim() {
        "" => format!("process {}", std::process::id()),
        host => format!("process {} on {host}", std::process::id()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_elsewhere_is_verified_unless_the_url_says_otherwise() {
        for (url, mode) in [
            ("postgres://station:secret@ledger.example/drayage", "VerifyFull"),
            ("postgresql://station@10.0.0.7:5433/drayage", "VerifyFull"),
            ("postgres://station@ledger.example/drayage?sslmode=disable", "Disable"),
            ("postgres://station@localhost/drayage", "Prefer"),
            ("postgres://station@127.0.0.1/drayage", "Prefer"),
            ("postgres:///drayage?host=/run/postgresql", "Prefer"),
        ] {
            let options = PostgresOptions::parse(url).unwrap_or_else(|error| panic!("{url}: {error}"));
            assert_eq!(format!("{:?}", options.connect.get_ssl_mode()), mode, "{url}");
        }
    }

    #[test]
    fn neither_the_place_nor_an_error_shows_the_password() {
        let options = PostgresOptions::parse("postgres://station:hunter2@ledger.example/drayage").unwrap();
        assert_eq!(options.place(), "database drayage at ledger.example:5432 as station");
        for wrong in ["mysql://station:hunter2@h/d", "postgres://station:hunter2@h:port/d", "hunter2"] {
            let Err(error) = PostgresOptions::parse(wrong) else { panic!("{wrong}") };
            let all = format!("{error} {error:?}");
            assert!(!all.contains("hunter2"), "{all}");
        }
    }
}

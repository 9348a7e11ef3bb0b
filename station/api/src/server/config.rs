//! What configuration says about the listeners: plain data as `station serve`'s TOML has it, and one check of it all.
//!
//! Unknown keys are refused when it is read; [`Config::problems`] then lists everything that cannot work, not just
//! the first. A plain listener on an address that others can reach is such a problem: a bearer token sent over it is
//! anybody's.

use std::collections::BTreeSet;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

use serde::Deserialize;

use crate::people::Role;
use crate::people::oidc::OidcConfig;

use super::tls;

/// Everything about the server: `[server]`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where it listens on the network.
    pub listen: Vec<Listen>,
    /// The socket of the command line on this machine.
    pub local: Option<Local>,
    /// What it takes from one client, and from all.
    pub limits: Limits,
    /// The identity provider whose tokens count; without it, only the station's own API tokens do.
    pub oidc: Option<OidcConfig>,
}

/// One network address: `[[server.listen]]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Listen {
    /// Address and port; port 0 takes a free one.
    pub address: SocketAddr,
    /// Certificate and key. Only a loopback address may go without.
    pub tls: Option<Tls>,
}

/// The files of one listener's certificate.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// The chain in PEM, the server's own certificate first.
    pub certificate: PathBuf,
    /// Its private key in PEM, not readable for everybody.
    pub key: PathBuf,
}

/// The Unix socket: `[server.local]`. Only root and the service's own account get in.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Local {
    /// Where it is made; a socket left there by a station that died is replaced.
    pub socket: PathBuf,
    /// What who gets in may do.
    #[serde(default = "admin")]
    pub roles: BTreeSet<Role>,
}

fn admin() -> BTreeSet<Role> {
    BTreeSet::from([Role::Admin])
}

/// What one client and all clients together may take: `[server.limits]`.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// The largest request body.
    pub body_bytes_max: usize,
    /// How long a TLS handshake, a request's head, or an idle connection may take.
    pub header_ms: u64,
    /// How long a whole body may take, however it trickles.
    pub body_ms: u64,
    /// How long the answer to a request may take. A handler that takes longer still ends what it began.
    pub request_ms: u64,
    /// How long a client may leave an answer unread.
    pub unread_ms: u64,
    /// Open connections of all clients.
    pub connections_max: usize,
    /// Open connections from one address (for IPv6: one /64).
    pub connections_per_address_max: usize,
    /// Requests being served at once.
    pub requests_max: usize,
    /// Requests a second from one address, on average, and at once.
    pub address_rate: Rate,
    /// Requests a second of one caller, on average, and at once.
    pub caller_rate: Rate,
    /// How long requests that run may go on once the station stops.
    pub shutdown_ms: u64,
    /// How often the certificate files are looked at for a change.
    pub certificate_check_ms: u64,
}

/// A rate with its reserve.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rate {
    /// In the long run.
    pub per_second: u32,
    /// At once, after a pause.
    pub burst: u32,
}

impl Default for Limits {
    /// One station's floor: some scanners, pages and programs. 128 bodies of 1 MiB are all the memory that bodies
    /// can take; ARM's own job bodies stay under 100 KiB.
    fn default() -> Self {
        Self {
            body_bytes_max: 1 << 20,
            header_ms: 10_000,
            body_ms: 30_000,
            request_ms: 60_000,
            unread_ms: 30_000,
            connections_max: 1_024,
            connections_per_address_max: 128,
            requests_max: 128,
            address_rate: Rate { per_second: 100, burst: 200 },
            caller_rate: Rate { per_second: 50, burst: 100 },
            shutdown_ms: 20_000,
            certificate_check_ms: 10_000,
        }
    }
}

/// One thing in the configuration that cannot work.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConfigProblem {
    /// The key, as one would write it in TOML.
    pub key: String,
    /// What is wrong with it.
    pub what: String,
}

impl fmt::Display for ConfigProblem {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "server.{}: {}", self.key, self.what)
    }
}

impl ConfigProblem {
    /// A problem under `[server]`.
    pub fn new(key: impl Into<String>, what: impl Into<String>) -> Self {
        Self { key: key.into(), what: what.into() }
    }
}

impl Config {
    /// Everything that cannot work; certificate files are read for it.
    pub fn problems(&self) -> Vec<ConfigProblem> {
        let mut problems = Vec::new();
        if self.listen.is_empty() && self.local.is_none() {
            problems.push(ConfigProblem::new("listen", "there is neither a listener nor a local socket"));
        }
        for (index, listen) in self.listen.iter().enumerate() {
            problems.extend(listen.problem(index));
        }
        problems.extend(self.local.iter().flat_map(Local::problems));
        problems.extend(self.limits.problems());
        problems.extend(self.oidc.iter().flat_map(OidcConfig::problems));
        problems
    }
}

impl Listen {
    fn problem(&self, index: usize) -> Option<ConfigProblem> {
        let Some(files) = &self.tls else {
            let what = format!(
                "{} can be reached from other machines, and without `tls` anybody on the way could read the tokens; \
                 give it a certificate, or listen on 127.0.0.1 or [::1]",
                self.address
            );
            let is_open = !self.address.ip().to_canonical().is_loopback();
            return is_open.then(|| ConfigProblem::new(format!("listen[{index}].address"), what));
        };
        let error = tls::load(files).err()?;
        Some(ConfigProblem::new(format!("listen[{index}].tls"), chain(&error)))
    }
}

impl Local {
    fn problems(&self) -> Vec<ConfigProblem> {
        let mut problems = Vec::new();
        if !self.socket.is_absolute() {
            problems.push(ConfigProblem::new("local.socket", "is not an absolute path"));
        }
        if self.roles.is_empty() {
            problems.push(ConfigProblem::new(
                "local.roles",
                "is empty: nobody could do anything over the socket",
            ));
        }
        problems
    }
}

impl Limits {
    fn problems(&self) -> Vec<ConfigProblem> {
        let rate = |rate: Rate| rate.per_second.min(rate.burst);
        let numbers = [
            ("body_bytes_max", self.body_bytes_max == 0),
            ("header_ms", self.header_ms == 0),
            ("body_ms", self.body_ms == 0),
            ("request_ms", self.request_ms == 0),
            ("unread_ms", self.unread_ms == 0),
            ("connections_max", self.connections_max == 0),
            ("connections_per_address_max", self.connections_per_address_max == 0),
            ("requests_max", self.requests_max == 0),
            ("address_rate", rate(self.address_rate) == 0),
            ("caller_rate", rate(self.caller_rate) == 0),
            ("certificate_check_ms", self.certificate_check_ms == 0),
        ];
        let zero = numbers.into_iter().filter(|(_, is_zero)| *is_zero);
        let mut problems: Vec<_> =
            zero.map(|(key, _)| ConfigProblem::new(format!("limits.{key}"), "must not be 0")).collect();
        // Tokio's semaphores hold no more.
        if self.connections_max.max(self.requests_max) > tokio::sync::Semaphore::MAX_PERMITS {
            problems.push(ConfigProblem::new("limits", "connections_max and requests_max are too large"));
        }
        problems
    }
}

/// An error with all its sources, for one line of a list.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let sources = std::iter::successors(Some(error), |error| error.source());
    sources.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

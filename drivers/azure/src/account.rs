//! The account: what every operation shares, and what is known about the whole of it.
//!
//! Owns the configuration and its checks, the pipeline, the limiter, the counters, and the probe.
//! Invariant: an `Account` is cheap to clone and every clone is the same account: one connection
//! pool, one limit, one set of counters. Operations are in the files named after them.

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, RwLock};
use std::time::{Duration, SystemTime};

use azure_core::http::policies::Policy;
use azure_core::http::{ClientOptions, Method, Pipeline, RetryOptions, Transport, UserAgentOptions};
use model::Class;

use crate::authorise::{SasPolicy, TokenPolicy};
use crate::call::{Call, Reply, name};
use crate::clock::{Clock, ServiceTime, SystemClock};
use crate::counters::{Counters, Tally};
use crate::credential::{Credential, CredentialError, Secret};
use crate::endpoint::{Endpoint, Resource};
use crate::error::{ErrorKind, Operation, StorageError};
use crate::limiter::Limiter;
use crate::retry::RetryPolicy;
use crate::shared_key::SharedKey;
use crate::transport::{HttpTransport, TransportError, TransportSettings};

/// The service version that is asked for: the one of which everything used here is part, old
/// enough for sovereign clouds and Azure Stack Hub updates that lag behind.
pub const SERVICE_VERSION: &str = "2023-11-03";
/// azcopy's number of connections on a small machine.
const CONNECTIONS: u32 = 32;
/// Time that every try has, whatever its size.
const TRY_TIME_BASE: Duration = Duration::from_secs(60);
/// Slowest connection that is still waited for. 32 blocks of 8 MiB at once over 10 Mbit/s give
/// each 39 kB/s, and must finish.
const MINIMUM_BYTES_PER_SECOND: u64 = 16 << 10;

/// What an [`Account`] is made of.
pub struct AccountConfig {
    /// Where it is.
    pub endpoint: Endpoint,
    /// What opens it.
    pub credential: Credential,
    /// Most requests under way at once; each has a connection of its own.
    pub connections: u32,
    /// CA certificates in PEM form that are trusted besides the system's.
    pub ca_certificates_pem: Option<Vec<u8>>,
    /// URL of an HTTP proxy.
    pub proxy: Option<String>,
    /// When and how often a try is repeated.
    pub retry: RetryPolicy,
    /// Time that each try has, in addition to that for its bytes.
    pub try_time_base: Duration,
    /// Slowest transfer that is not given up.
    pub minimum_bytes_per_second: u64,
    /// `x-ms-version`.
    pub service_version: String,
    /// Where the time comes from; tests give another one.
    pub clock: Arc<dyn Clock>,
}

impl AccountConfig {
    /// The defaults for an endpoint and its credential.
    pub fn new(endpoint: Endpoint, credential: Credential) -> AccountConfig {
        AccountConfig {
            endpoint,
            credential,
            connections: CONNECTIONS,
            ca_certificates_pem: None,
            proxy: None,
            retry: RetryPolicy::default(),
            try_time_base: TRY_TIME_BASE,
            minimum_bytes_per_second: MINIMUM_BYTES_PER_SECOND,
            service_version: SERVICE_VERSION.to_owned(),
            clock: Arc::new(SystemClock),
        }
    }
}

/// Why an account cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// Credential and endpoint do not belong together.
    #[error("the credential does not fit the destination")]
    Credential(#[source] CredentialError),
    /// TLS, proxy or HTTP client.
    #[error("setting up the connection to the storage service")]
    Transport(#[source] TransportError),
}

/// A handle on one storage account.
#[derive(Clone)]
pub struct Account(Arc<Inner>);

struct Inner {
    endpoint: Endpoint,
    pipeline: Pipeline,
    token: Option<Arc<TokenPolicy>>,
    renewable: bool,
    below_account: bool,
    sas_container: Option<String>,
    retry: RetryPolicy,
    try_time_base: Duration,
    minimum_bytes_per_second: u64,
    service_version: String,
    time: Arc<ServiceTime>,
    limiter: Arc<Limiter>,
    tally: Tally,
    hierarchical: AtomicU8,
    kind: RwLock<Option<String>>,
}

/// What the probe found out about the account.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AccountFacts {
    /// Whether it is a Data Lake Gen2 account (no page blobs); unknown when the credential may not
    /// ask.
    pub hierarchical_namespace: Option<bool>,
    /// `StorageV2`, `BlockBlobStorage`, …
    pub kind: Option<String>,
    /// The service's time at the last answer.
    pub server_time: Option<SystemTime>,
    /// Service minus this machine, in seconds: beyond 900, every signature is refused.
    pub clock_skew_seconds: Option<i64>,
    /// The service accepted the credential. False when a container SAS met no question that it may
    /// ask: then only the first request for a blob will tell.
    pub credential_accepted: bool,
}

impl Account {
    /// Sets up connection pool, signing and limits. Sends nothing.
    ///
    /// # Errors
    /// When credential and endpoint contradict each other, or TLS cannot be set up.
    pub fn new(config: AccountConfig) -> Result<Account, ConfigError> {
        config.credential.check(&config.endpoint).map_err(ConfigError::Credential)?;
        if matches!(config.credential.secret, Secret::Token(_)) && !config.endpoint.is_https() {
            return Err(ConfigError::Credential(CredentialError::TokenOverHttp));
        }
        let transport = HttpTransport::new(&TransportSettings {
            https: config.endpoint.is_https(),
            connections: usize::try_from(config.connections).unwrap_or(usize::MAX),
            ca_certificates_pem: config.ca_certificates_pem.as_deref(),
            proxy: config.proxy.as_deref(),
        })
        .map_err(ConfigError::Transport)?;
        Ok(Account::with_transport(config, Arc::new(transport)))
    }

    fn with_transport(config: AccountConfig, transport: Arc<dyn Policy>) -> Account {
        let time = Arc::new(ServiceTime::new(config.clock));
        let below_account = config.credential.is_below_account();
        let sas_container = config.credential.container().map(str::to_owned);
        let renewable = !matches!(config.credential.secret, Secret::Sas(_));
        let (authorisation, token): (Arc<dyn Policy>, _) = match config.credential.secret {
            Secret::Key(key) => {
                (Arc::new(SharedKey::new(config.endpoint.account(), key, Arc::clone(&time))), None)
            }
            Secret::Sas(sas) => (Arc::new(SasPolicy::new(sas)), None),
            Secret::Token(source) => {
                let policy = Arc::new(TokenPolicy::new(source));
                (Arc::clone(&policy) as Arc<dyn Policy>, Some(policy))
            }
        };
        Account(Arc::new(Inner {
            endpoint: config.endpoint,
            pipeline: pipeline(authorisation, transport),
            token,
            renewable,
            below_account,
            sas_container,
            retry: config.retry,
            try_time_base: config.try_time_base,
            minimum_bytes_per_second: config.minimum_bytes_per_second.max(1),
            service_version: config.service_version,
            time,
            limiter: Limiter::new(config.connections),
            tally: Tally::default(),
            hierarchical: AtomicU8::new(UNKNOWN),
            kind: RwLock::new(None),
        }))
    }

    /// Where the account is.
    pub fn endpoint(&self) -> &Endpoint {
        &self.0.endpoint
    }

    /// What it has been asked and how it answered.
    pub fn counters(&self) -> Counters {
        self.0.tally.snapshot(self.0.limiter.limit())
    }

    /// Asks the account what it is; with a SAS that is not the account's, asks the container of the
    /// SAS URL, if there was one.
    ///
    /// This tells "forbidden for everything" (an error of kind `Forbidden`) from "forbidden for one
    /// blob" (facts).
    ///
    /// # Errors
    /// When the credential itself is refused, or no answer comes.
    pub async fn probe(&self) -> Result<AccountFacts, StorageError> {
        match &self.0.sas_container {
            Some(container) => self.probe_container(container).await,
            None if self.0.below_account => Ok(self.facts(false)),
            None => self.ask(Resource::Account).await,
        }
    }

    /// The same question put to a container, which a container SAS may ask.
    ///
    /// # Errors
    /// When the credential itself is refused, or no answer comes.
    pub async fn probe_container(&self, container: &str) -> Result<AccountFacts, StorageError> {
        self.ask(Resource::Container(container)).await
    }

    async fn ask(&self, resource: Resource<'_>) -> Result<AccountFacts, StorageError> {
        let call = Call::new(Operation::Probe, Method::Get, resource)
            .query("restype", "account")
            .query("comp", "properties");
        match self.exchange(&call).await {
            Ok(reply) => {
                self.remember(&reply);
                Ok(self.facts(true))
            }
            // The signature was good; the right to ask this question is missing.
            Err(error) if is_accepted_but_unentitled(&error) => Ok(self.facts(true)),
            Err(error) => Err(error),
        }
    }

    fn remember(&self, reply: &Reply) {
        let hierarchical = match reply.header(name::HNS_ENABLED) {
            Some("true" | "True") => YES,
            Some(_) => NO,
            None => UNKNOWN,
        };
        self.0.hierarchical.store(hierarchical, Ordering::Relaxed);
        if let (Some(kind), Ok(mut known)) = (reply.header(name::ACCOUNT_KIND), self.0.kind.write()) {
            *known = Some(kind.to_owned());
        }
    }

    fn facts(&self, credential_accepted: bool) -> AccountFacts {
        let skew = self.0.time.skew_seconds();
        AccountFacts {
            hierarchical_namespace: self.hierarchical_namespace(),
            kind: self.0.kind.read().ok().and_then(|kind| kind.clone()),
            server_time: skew.map(|_| self.0.time.now()),
            clock_skew_seconds: skew,
            credential_accepted,
        }
    }

    /// Whether the account has a hierarchical namespace, as far as a probe has told.
    pub(crate) fn hierarchical_namespace(&self) -> Option<bool> {
        match self.0.hierarchical.load(Ordering::Relaxed) {
            YES => Some(true),
            NO => Some(false),
            _ => None,
        }
    }

    /// Time limit of a try that moves this many bytes.
    pub(crate) fn try_limit(&self, moved_bytes: u64) -> Duration {
        let for_bytes = moved_bytes.checked_div(self.0.minimum_bytes_per_second).unwrap_or(0);
        self.0.try_time_base.saturating_add(Duration::from_secs(for_bytes))
    }

    /// Makes the next try ask the identity provider for a new token.
    pub(crate) fn forget_token(&self) {
        if let Some(token) = &self.0.token {
            token.forget();
        }
    }

    /// Whether a refused credential may be accepted when it is applied afresh.
    pub(crate) fn is_renewable(&self) -> bool {
        self.0.renewable
    }

    pub(crate) fn pipeline(&self) -> &Pipeline {
        &self.0.pipeline
    }

    pub(crate) fn retry(&self) -> &RetryPolicy {
        &self.0.retry
    }

    pub(crate) fn time(&self) -> &ServiceTime {
        &self.0.time
    }

    pub(crate) fn limiter(&self) -> &Arc<Limiter> {
        &self.0.limiter
    }

    pub(crate) fn tally(&self) -> &Tally {
        &self.0.tally
    }

    pub(crate) fn service_version(&self) -> &str {
        &self.0.service_version
    }
}

impl std::fmt::Debug for Account {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Account({})", self.0.endpoint)
    }
}

/// States of what is known about the hierarchical namespace.
const UNKNOWN: u8 = 0;
const NO: u8 = 1;
const YES: u8 = 2;

/// `azure_core`'s pipeline with its retries off (see `exchange`) and our transport at its end.
fn pipeline(authorisation: Arc<dyn Policy>, transport: Arc<dyn Policy>) -> Pipeline {
    let options = ClientOptions {
        retry: RetryOptions::none(),
        transport: Some(Transport::with_policy(transport)),
        user_agent: UserAgentOptions::default(),
        ..ClientOptions::default()
    };
    let (crate_name, version) = (Some("drayage"), option_env!("CARGO_PKG_VERSION"));
    Pipeline::new(crate_name, version, options, Vec::new(), vec![authorisation], None)
}

/// Refusals that come after the signature or token was found good.
fn is_accepted_but_unentitled(error: &StorageError) -> bool {
    error.kind() == ErrorKind::Forbidden
        && error.class() == Class::HoldForCustomer
        && matches!(
            error.code.as_deref(),
            Some(
                "AuthorizationPermissionMismatch"
                    | "AuthorizationResourceTypeMismatch"
                    | "AuthorizationServiceMismatch"
                    | "InsufficientAccountPermissions"
            )
        )
}

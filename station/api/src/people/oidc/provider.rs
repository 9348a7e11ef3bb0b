//! The provider's keys: found by its discovery document, fetched, kept, and fetched again when they rotate.
//!
//! Keys are fetched when a token needs one, by one request at a time. They are fetched again when they are old, or
//! when a token names one that is not there, but no more often than the configuration says: made-up key ids must not
//! turn the station into a load on its provider. While a fetch fails the keys that are there still count, up to
//! [`STALE_AGES_MAX`] times their age: a provider that is down for an evening locks nobody out.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use reqwest::{Client, Url};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use serde_json::Value;
use thiserror::Error;
use tokio::sync::{Mutex, RwLock};
use tokio::time::Instant;
use tracing::{info, warn};

use super::keys::{KeySet, KeySetError, PublicKey};
use super::strict::Strict;
use super::{Algorithm, OidcConfig, OidcRefused};

/// Discovery documents and key sets are some KiB.
const BODY_BYTES_MAX: usize = 1 << 20;
/// How many times their age keys may be used while they cannot be fetched.
const STALE_AGES_MAX: u32 = 24;

/// Why keys could not be fetched.
#[derive(Debug, Error)]
pub enum FetchError {
    /// An address that is not allowed.
    #[error(transparent)]
    Address(AddressError),
    /// No answer, or none in time.
    #[error("requesting {what}")]
    Request {
        /// Which document.
        what: &'static str,
        /// Why.
        #[source]
        source: reqwest::Error,
    },
    /// Another answer than 200.
    #[error("{what} was answered with {status}")]
    Status {
        /// Which document.
        what: &'static str,
        /// The status.
        status: u16,
    },
    /// More bytes than such a document has.
    #[error("{0} is larger than {BODY_BYTES_MAX} bytes")]
    TooLarge(&'static str),
    /// The discovery document is not one.
    #[error("the discovery document is not a JSON object with an issuer and a jwks_uri")]
    Discovery,
    /// The discovery document is another issuer's.
    #[error("the discovery document is of the issuer {0:?}")]
    Issuer(String),
    /// The key set cannot be used.
    #[error("the key set")]
    Keys(#[source] KeySetError),
    /// The last attempt failed a moment ago.
    #[error("the last attempt failed a moment ago")]
    JustFailed,
}

/// An address that a provider cannot have.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum AddressError {
    /// It is no URL.
    #[error("{0:?} is not a URL")]
    Form(String),
    /// Its scheme is not https, and the host is not this machine.
    #[error("{0:?} is neither https nor on this machine")]
    Plain(String),
    /// It has a user, a query or a fragment.
    #[error("{0:?} has a user, a query or a fragment")]
    Extra(String),
}

/// Why a provider cannot be set up.
#[derive(Debug, Error)]
pub enum SetupError {
    /// The issuer is no address.
    #[error(transparent)]
    Issuer(AddressError),
    /// The CA certificates could not be read.
    #[error("reading the CA certificates {0:?}")]
    Certificates(PathBuf, #[source] std::io::Error),
    /// The file holds none.
    #[error("{0:?} holds no usable CA certificate in PEM")]
    NoCertificates(PathBuf),
    /// The TLS library refused its settings.
    #[error("setting up TLS")]
    Tls(#[source] rustls::Error),
    /// The HTTP client refused its settings, or the proxy is no URL.
    #[error("setting up the HTTP client")]
    Client(#[source] reqwest::Error),
}

/// An address of the provider: https, or a loopback address for tests and development.
pub(super) fn address(text: &str) -> Result<Url, AddressError> {
    let url: Url = text.parse().map_err(|_| AddressError::Form(text.to_owned()))?;
    let is_extra = !url.username().is_empty()
        || url.password().is_some()
        || url.query().is_some()
        || url.fragment().is_some();
    if is_extra {
        return Err(AddressError::Extra(text.to_owned()));
    }
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']).parse::<std::net::IpAddr>();
    match (url.scheme(), host) {
        ("https", _) => Ok(url),
        ("http", Ok(host)) if host.is_loopback() => Ok(url),
        _ => Err(AddressError::Plain(text.to_owned())),
    }
}

/// The client for a provider: no redirects, which could lead to plain HTTP or to the inside.
pub(super) fn client(config: &OidcConfig) -> Result<Client, SetupError> {
    let builder = Client::builder()
        .http1_only()
        // From connecting to the last byte.
        .timeout(Duration::from_millis(config.request_ms))
        .redirect(reqwest::redirect::Policy::none())
        .referer(false)
        .tls_backend_preconfigured(tls(config)?);
    let builder = match &config.proxy {
        Some(proxy) => builder.proxy(reqwest::Proxy::all(proxy).map_err(SetupError::Client)?),
        None => builder.no_proxy(),
    };
    builder.build().map_err(SetupError::Client)
}

fn tls(config: &OidcConfig) -> Result<ClientConfig, SetupError> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if let Some(path) = &config.ca_certificates {
        let pem = std::fs::read(path).map_err(|error| SetupError::Certificates(path.clone(), error))?;
        let certificates = CertificateDer::pem_slice_iter(&pem).collect::<Result<Vec<_>, _>>();
        let certificates = certificates.map_err(|_| SetupError::NoCertificates(path.clone()))?;
        let (added, _) = roots.add_parsable_certificates(certificates);
        if added == 0 {
            return Err(SetupError::NoCertificates(path.clone()));
        }
    }
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(SetupError::Tls)?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

/// The provider, with what is known of its keys.
pub(super) struct Provider {
    client: Client,
    issuer: String,
    refetch: Duration,
    age: Duration,
    kept: RwLock<Kept>,
    /// Whoever holds it fetches; the others wait for what comes of it.
    fetching: Arc<Mutex<()>>,
}

#[derive(Default)]
struct Kept {
    keys: KeySet,
    fetched: Option<Instant>,
    tried: Option<Instant>,
    has_failed: bool,
}

impl Provider {
    pub(super) fn new(config: &OidcConfig) -> Result<Self, SetupError> {
        address(&config.issuer).map_err(SetupError::Issuer)?;
        Ok(Self {
            client: client(config)?,
            issuer: config.issuer.clone(),
            refetch: Duration::from_millis(config.refetch_ms),
            age: Duration::from_millis(config.keys_age_ms),
            kept: RwLock::default(),
            fetching: Arc::default(),
        })
    }

    /// The key that a token names.
    pub(super) async fn key(
        self: &Arc<Self>,
        kid: &str,
        algorithm: Algorithm,
    ) -> Result<PublicKey, OidcRefused> {
        let unknown = || OidcRefused::Key { kid: kid.to_owned(), algorithm };
        if let Some(key) = self.fresh(kid, algorithm).await {
            return Ok(key);
        }
        let fetched = self.fetch_in_turn(kid, algorithm).await;
        let kept = self.kept.read().await;
        match (kept.keys.find(kid, algorithm), fetched) {
            (Some(key), Ok(())) => Ok(key.clone()),
            (Some(key), Err(_)) if kept.is_younger(self.age * STALE_AGES_MAX) => Ok(key.clone()),
            (_, Err(error)) => Err(OidcRefused::Provider(error)),
            (None, Ok(())) => Err(unknown()),
        }
    }

    async fn fresh(&self, kid: &str, algorithm: Algorithm) -> Option<PublicKey> {
        let kept = self.kept.read().await;
        kept.keys.find(kid, algorithm).filter(|_| kept.is_younger(self.age)).cloned()
    }

    /// Fetches, unless somebody did while this waited, or did so little ago that it is not yet time again.
    ///
    /// On a task of its own: a request whose client left is dropped, and a fetch that is dropped with it would not
    /// count, so that whoever hangs up could have the provider asked each time.
    async fn fetch_in_turn(self: &Arc<Self>, kid: &str, algorithm: Algorithm) -> Result<(), FetchError> {
        let turn = self.fetching.clone().lock_owned().await;
        if self.fresh(kid, algorithm).await.is_some() {
            return Ok(());
        }
        {
            let kept = self.kept.read().await;
            if kept.tried.is_some_and(|tried| tried.elapsed() < self.refetch) {
                return if kept.has_failed { Err(FetchError::JustFailed) } else { Ok(()) };
            }
        }
        let provider = self.clone();
        let fetching = tokio::spawn(async move {
            let _turn = turn;
            provider.fetch_and_keep().await
        });
        fetching.await.unwrap_or(Err(FetchError::JustFailed))
    }

    async fn fetch_and_keep(&self) -> Result<(), FetchError> {
        let fetched = self.fetch().await;
        let mut kept = self.kept.write().await;
        kept.tried = Some(Instant::now());
        kept.has_failed = fetched.is_err();
        match fetched {
            Ok(keys) => {
                info!(event = "provider_keys_fetched", changed = kept.keys != keys);
                kept.keys = keys;
                kept.fetched = kept.tried;
                Ok(())
            }
            Err(error) => {
                warn!(event = "provider_keys_not_fetched", err = crate::server::config::chain(&error));
                Err(error)
            }
        }
    }

    async fn fetch(&self) -> Result<KeySet, FetchError> {
        let discovery = format!("{}/.well-known/openid-configuration", self.issuer.trim_end_matches('/'));
        let url = address(&discovery).map_err(FetchError::Address)?;
        let Ok(Strict(document)) = serde_json::from_slice(&self.get(url, "the discovery document").await?)
        else {
            return Err(FetchError::Discovery);
        };
        let text = |name: &str| document.get(name).and_then(Value::as_str).ok_or(FetchError::Discovery);
        if text("issuer")? != self.issuer {
            return Err(FetchError::Issuer(text("issuer")?.chars().take(200).collect()));
        }
        let url = key_set_address(text("jwks_uri")?).map_err(FetchError::Address)?;
        KeySet::parse(&self.get(url, "the key set").await?).map_err(FetchError::Keys)
    }

    async fn get(&self, url: Url, what: &'static str) -> Result<Vec<u8>, FetchError> {
        let failed = |source: reqwest::Error| FetchError::Request { what, source };
        let mut answer = self.client.get(url).send().await.map_err(failed)?;
        if answer.status() != reqwest::StatusCode::OK {
            return Err(FetchError::Status { what, status: answer.status().as_u16() });
        }
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(failed)? {
            if body.len() + chunk.len() > BODY_BYTES_MAX {
                return Err(FetchError::TooLarge(what));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }
}

/// As [`address`], but some providers have a query in it (Azure AD B2C names its policy so).
fn key_set_address(text: &str) -> Result<Url, AddressError> {
    let base = text.split_once('?').map_or(text, |(base, _)| base);
    address(base)?;
    text.parse().map_err(|_| AddressError::Form(text.to_owned()))
}

impl Kept {
    fn is_younger(&self, age: Duration) -> bool {
        self.fetched.is_some_and(|fetched| fetched.elapsed() < age)
    }
}

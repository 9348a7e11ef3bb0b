//! Azure Key Vault, as far as wrapping keys goes: a key that never leaves the vault wraps ours.
//!
//! ```text
//! KeyUrl ── GET key ──▶ VaultKey (one version, enabled, able to wrap) ── POST wrapkey ──▶ WrappedKey
//!                                          secret ◀── POST unwrapkey ── WrappedKey (names its version)
//! ```
//! REST api-version 7.4, which every cloud has. RSA keys (also in an HSM) wrap by `RSA-OAEP-256`,
//! symmetric keys of a Managed HSM (`oct-HSM`) by `A256KW`. Over the account's transport: the same TLS
//! roots, proxy and pipeline as the storage requests, the same identities (`azure_identity`); the identity
//! needs the rights Get, Wrap Key and Unwrap Key.
//!
//! Facts that decided things here: a vault refuses to *unwrap* with a disabled key but still wraps with it, so
//! [`KeyVault::key`] looks whether it is enabled; a key's latest version may change at any time, so what is
//! kept names its version; a vault that does not exist has no DNS name, so that is how it is told.
//!
//! Invariants: nothing is kept here, each unwrap asks the vault, so a revocation works at once; an
//! unwrapped key is zeroed on drop (what the TLS and HTTP layers buffered of it is beyond us); a token goes
//! only to a host that [`KeyUrl`] trusts. azure-import-export.md §4.7.

mod error;
mod url;

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use azure_core::credentials::TokenCredential;
use azure_core::http::headers::Headers;
use azure_core::http::policies::Policy;
use azure_core::http::{
    AsyncRawResponse, ClientOptions, Context, Method, Pipeline, PipelineStreamOptions, Request, RetryOptions,
    Transport, Url,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use futures::StreamExt;
use serde::Deserialize;
use zeroize::Zeroizing;

use crate::call::retry_after;
use crate::clock::{Clock, SystemClock};
use crate::credential::{Credential, Secret};
use crate::retry::RetryPolicy;
use crate::transport::{HttpTransport, TransportError, TransportSettings, WireFault, WireFaultKind};

pub use error::{KeyVaultError, KeyVaultFault};
pub use url::{KeyUrl, KeyUrlError};

/// The version of the REST interface; later ones change nothing that is used here.
const API_VERSION: &str = "7.4";
/// A key's description or a wrapped key are under 4 KiB.
const ANSWER_BYTES_MAX: usize = 64 << 10;
/// Every answer is small and the service is near; a vault that takes longer is not well.
const TRY_LIMIT: Duration = Duration::from_secs(15);
/// A page or a job waits for the answer.
const RETRY: RetryPolicy = RetryPolicy {
    tries_max: 4,
    pause_first: Duration::from_millis(500),
    pause_max: Duration::from_secs(8),
    retry_after_max: Duration::from_secs(20),
};
/// Shortest RSA key that is taken.
const RSA_BITS_MIN: usize = 2048;

/// How Key Vault is reached.
pub struct KeyVaultConfig {
    /// An identity of Entra ID; keys and SAS open no vault.
    pub credential: Credential,
    /// Hosts that are taken for Key Vaults besides Microsoft's own, as `host` or `host:port`.
    pub trusted_hosts: Vec<String>,
    /// CA certificates in PEM form that are trusted besides the system's.
    pub ca_certificates_pem: Option<Vec<u8>>,
    /// URL of an HTTP proxy.
    pub proxy: Option<String>,
    /// Time, for the pauses between tries.
    pub clock: Arc<dyn Clock>,
}

impl KeyVaultConfig {
    /// With the defaults.
    pub fn new(credential: Credential) -> KeyVaultConfig {
        KeyVaultConfig {
            credential,
            trusted_hosts: Vec::new(),
            ca_certificates_pem: None,
            proxy: None,
            clock: Arc::new(SystemClock),
        }
    }
}

/// Why Key Vault cannot be reached with a configuration.
#[derive(Debug, thiserror::Error)]
pub enum KeyVaultConfigError {
    /// A credential that is for storage accounts only.
    #[error("Key Vault is opened by an identity of Entra ID, not by a {kind}")]
    Credential {
        /// What it is.
        kind: &'static str,
    },
    /// TLS or proxy.
    #[error("setting up the connection to Key Vault")]
    Transport(#[source] TransportError),
}

/// A handle on Key Vault: any vault that the identity may use.
#[derive(Clone)]
pub struct KeyVault(Arc<Inner>);

struct Inner {
    source: Arc<dyn TokenCredential>,
    pipeline: Pipeline,
    trusted_hosts: Vec<String>,
    clock: Arc<dyn Clock>,
    /// No proxy between: names are resolved on this machine.
    is_direct: bool,
}

/// A version of a key that was found fit to wrap.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VaultKey {
    url: KeyUrl,
    algorithm: Algorithm,
}

impl VaultKey {
    /// Its URL, with the version.
    pub fn url(&self) -> &KeyUrl {
        &self.url
    }
}

/// How a kind of key wraps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Algorithm {
    RsaOaep256,
    A256Kw,
}

impl Algorithm {
    fn name(self) -> &'static str {
        match self {
            Algorithm::RsaOaep256 => "RSA-OAEP-256",
            Algorithm::A256Kw => "A256KW",
        }
    }

    fn tag(self) -> u8 {
        match self {
            Algorithm::RsaOaep256 => 1,
            Algorithm::A256Kw => 2,
        }
    }

    fn of_tag(tag: u8) -> Option<Algorithm> {
        [Algorithm::RsaOaep256, Algorithm::A256Kw].into_iter().find(|known| known.tag() == tag)
    }
}

/// What a vault made of a key: one byte for the algorithm (1 RSA-OAEP-256, 2 A256KW), then the vault's value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrappedKey(Vec<u8>);

impl WrappedKey {
    /// As it was kept.
    pub fn from_bytes(bytes: Vec<u8>) -> WrappedKey {
        WrappedKey(bytes)
    }

    /// To be kept, together with the URL of the key's version.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl KeyVault {
    /// Sets up the connection. Sends nothing.
    ///
    /// # Errors
    /// When the credential is no identity, or TLS cannot be set up.
    pub fn new(config: KeyVaultConfig) -> Result<KeyVault, KeyVaultConfigError> {
        let kind = config.credential.kind();
        let Secret::Token(source) = config.credential.secret else {
            return Err(KeyVaultConfigError::Credential { kind });
        };
        let transport = HttpTransport::new(&TransportSettings {
            https: true,
            connections: 4,
            ca_certificates_pem: config.ca_certificates_pem.as_deref(),
            proxy: config.proxy.as_deref(),
        });
        let transport: Arc<dyn Policy> = Arc::new(transport.map_err(KeyVaultConfigError::Transport)?);
        let options = ClientOptions {
            retry: RetryOptions::none(),
            transport: Some(Transport::with_policy(transport)),
            ..ClientOptions::default()
        };
        let (name, version) = (Some("drayage"), option_env!("CARGO_PKG_VERSION"));
        let pipeline = Pipeline::new(name, version, options, Vec::new(), Vec::new(), None);
        Ok(KeyVault(Arc::new(Inner {
            source,
            pipeline,
            trusted_hosts: config.trusted_hosts,
            clock: config.clock,
            is_direct: config.proxy.is_none(),
        })))
    }

    /// Reads the URL of a key that this handle may ask for.
    ///
    /// # Errors
    /// Why it is none, or not trusted.
    pub fn parse_url(&self, text: &str) -> Result<KeyUrl, KeyUrlError> {
        KeyUrl::parse(text, &self.0.trusted_hosts)
    }

    /// Looks at a key: that it is there, enabled and able to wrap, and which version is meant.
    ///
    /// # Errors
    /// What is wrong with it.
    pub async fn key(&self, url: &KeyUrl) -> Result<VaultKey, KeyVaultError> {
        let call = Call { attempted: "looking at", url, operation: "", body: None };
        let body = self.exchange(&call).await?;
        let found: KeyBundle = serde_json::from_slice(&body).map_err(|error| call.unreadable(error))?;
        let fault = |what| KeyVaultError::new(call.attempted, url, what, "");
        let kid =
            self.parse_url(&found.key.kid).ok().filter(|kid| kid.is_versioned() && kid.is_same_key(url));
        let kid = kid.ok_or_else(|| fault(KeyVaultFault::Unavailable))?;
        if found.attributes.enabled == Some(false) {
            return Err(fault(KeyVaultFault::KeyDisabled));
        }
        let algorithm = found.key.algorithm().ok_or_else(|| fault(KeyVaultFault::KeyUnsuitable))?;
        Ok(VaultKey { url: kid, algorithm })
    }

    /// Wraps a key of at most 64 bytes.
    ///
    /// # Errors
    /// Why the vault does not.
    pub async fn wrap(&self, key: &VaultKey, secret: &[u8]) -> Result<WrappedKey, KeyVaultError> {
        let algorithm = key.algorithm;
        let body = Some(body_of(algorithm, secret));
        let call = Call { attempted: "wrapping with", url: &key.url, operation: "/wrapkey", body };
        let value = call.value_of(&self.exchange(&call).await?)?;
        Ok(WrappedKey([&[algorithm.tag()], value.as_slice()].concat()))
    }

    /// Unwraps what [`KeyVault::wrap`] made under this version of a key.
    ///
    /// # Errors
    /// Why the vault does not.
    pub async fn unwrap(
        &self,
        key: &KeyUrl,
        wrapped: &WrappedKey,
    ) -> Result<Zeroizing<Vec<u8>>, KeyVaultError> {
        let attempted = "unwrapping with";
        let fault = || KeyVaultError::new(attempted, key, KeyVaultFault::NotWrapped, "");
        let (tag, value) = wrapped.0.split_first().ok_or_else(fault)?;
        let algorithm = Algorithm::of_tag(*tag).ok_or_else(fault)?;
        let body = Some(body_of(algorithm, value));
        let call = Call { attempted, url: key, operation: "/unwrapkey", body };
        call.value_of(&self.exchange(&call).await?)
    }

    /// Sends a call until it is decided.
    async fn exchange(&self, call: &Call<'_>) -> Result<Zeroizing<Vec<u8>>, KeyVaultError> {
        let mut tries = 0_u32;
        loop {
            let failed = match self.try_once(call).await {
                Ok(body) => return Ok(body),
                Err(failed) => failed,
            };
            tries = tries.saturating_add(1);
            if failed.error.what != KeyVaultFault::Unavailable || tries >= RETRY.tries_max {
                return Err(failed.error);
            }
            let pause = RETRY.pause(tries, failed.retry_after, self.0.clock.fraction());
            self.0.clock.pause(pause).await;
        }
    }

    async fn try_once(&self, call: &Call<'_>) -> Result<Zeroizing<Vec<u8>>, Failed> {
        let (status, headers, body) = match tokio::time::timeout(TRY_LIMIT, self.converse(call)).await {
            Ok(answer) => answer?,
            Err(_) => return Err(call.fault(KeyVaultFault::Unavailable, "nothing within 15 s", None)),
        };
        if (200..300).contains(&status) {
            return Ok(body);
        }
        let (what, message) = error::judge(status, &body, call.operation == "/unwrapkey");
        let retry_after = retry_after(&headers, self.0.clock.now());
        Err(Failed { retry_after, ..call.fault(what, &message, None) })
    }

    /// One try: token, request, the whole answer.
    async fn converse(&self, call: &Call<'_>) -> Result<(u16, Headers, Zeroizing<Vec<u8>>), Failed> {
        let token = self.0.source.get_token(&[call.url.scope()], None).await;
        let token = token.map_err(|error| call.fault(KeyVaultFault::NoToken, "", Some(error)))?;
        let url = format!("{}{}?api-version={API_VERSION}", call.url, call.operation);
        let url = Url::parse(&url).map_err(|_| call.fault(KeyVaultFault::KeyNotFound, "", None))?;
        let method = if call.body.is_some() { Method::Post } else { Method::Get };
        let mut request = Request::new(url, method);
        request.insert_header("authorization", format!("Bearer {}", token.token.secret()));
        request.insert_header("accept", "application/json");
        if let Some(body) = &call.body {
            request.insert_header("content-type", "application/json");
            request.set_body(Bytes::from_owner(body.clone()));
        }
        let options = PipelineStreamOptions { skip_checks: true, ..PipelineStreamOptions::default() };
        match self.0.pipeline.stream(&Context::new(), &mut request, Some(options)).await {
            Ok(answer) => read(answer, call).await,
            Err(error) => Err(self.unanswered(error, call).await),
        }
    }

    /// No answer came. A vault that does not exist has no name in the DNS, so the name is asked for.
    async fn unanswered(&self, error: azure_core::Error, call: &Call<'_>) -> Failed {
        let what = match error.downcast_ref::<WireFault>().map(|fault| fault.what) {
            Some(WireFaultKind::Trust) => KeyVaultFault::Trust,
            Some(WireFaultKind::Connect) if self.0.is_direct && !has_name(call.url).await => {
                KeyVaultFault::VaultNotFound
            }
            _ => KeyVaultFault::Unavailable,
        };
        call.fault(what, "", Some(error))
    }
}

impl std::fmt::Debug for KeyVault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("KeyVault")
    }
}

/// A request to be made.
struct Call<'a> {
    attempted: &'static str,
    url: &'a KeyUrl,
    operation: &'static str,
    body: Option<Zeroizing<Vec<u8>>>,
}

/// A try that failed.
struct Failed {
    error: KeyVaultError,
    retry_after: Option<Duration>,
}

impl Call<'_> {
    fn fault(&self, what: KeyVaultFault, message: &str, source: Option<azure_core::Error>) -> Failed {
        let source = source.map(|error| Box::new(error) as Box<dyn Error + Send + Sync>);
        let error = KeyVaultError { source, ..KeyVaultError::new(self.attempted, self.url, what, message) };
        Failed { error, retry_after: None }
    }

    /// An answer of 2xx that is not Key Vault's. The parser's own error might quote a key.
    fn unreadable(&self, error: serde_json::Error) -> KeyVaultError {
        let message = format!("the answer breaks off or is another's, at byte {}", error.column());
        KeyVaultError::new(self.attempted, self.url, KeyVaultFault::Unavailable, &message)
    }

    fn value_of(&self, body: &[u8]) -> Result<Zeroizing<Vec<u8>>, KeyVaultError> {
        let result: OperationResult<'_> =
            serde_json::from_slice(body).map_err(|error| self.unreadable(error))?;
        let value = URL_SAFE_NO_PAD.decode(result.value.trim_end_matches('='));
        value.map(Zeroizing::new).map_err(|_| {
            let message = "the answer's value is not base64url";
            KeyVaultError::new(self.attempted, self.url, KeyVaultFault::Unavailable, message)
        })
    }
}

/// `{"alg":…,"value":…}`, made by hand so that no copy of the value stays behind.
fn body_of(algorithm: Algorithm, value: &[u8]) -> Zeroizing<Vec<u8>> {
    let value = Zeroizing::new(URL_SAFE_NO_PAD.encode(value));
    let mut body = Zeroizing::new(Vec::with_capacity(value.len().saturating_add(64)));
    for piece in ["{\"alg\":\"", algorithm.name(), "\",\"value\":\"", &value, "\"}"] {
        body.extend_from_slice(piece.as_bytes());
    }
    body
}

/// A key as the vault describes it.
#[derive(Deserialize)]
struct KeyBundle {
    key: WebKey,
    #[serde(default)]
    attributes: Attributes,
}

#[derive(Deserialize)]
struct WebKey {
    kid: String,
    kty: String,
    /// The modulus of an RSA key.
    n: Option<String>,
}

#[derive(Deserialize, Default)]
struct Attributes {
    enabled: Option<bool>,
}

/// The answer of both operations; borrowed, so that the value is not copied.
#[derive(Deserialize)]
struct OperationResult<'a> {
    value: &'a str,
}

impl WebKey {
    fn algorithm(&self) -> Option<Algorithm> {
        match self.kty.as_str() {
            "RSA" | "RSA-HSM" => {
                let modulus = URL_SAFE_NO_PAD.decode(self.n.as_deref()?.trim_end_matches('=')).ok()?;
                let bits = modulus.iter().skip_while(|byte| **byte == 0).count().saturating_mul(8);
                (bits >= RSA_BITS_MIN).then_some(Algorithm::RsaOaep256)
            }
            "oct-HSM" => Some(Algorithm::A256Kw),
            _ => None,
        }
    }
}

/// Reads an answer whole, into memory that is zeroed.
async fn read(
    answer: AsyncRawResponse,
    call: &Call<'_>,
) -> Result<(u16, Headers, Zeroizing<Vec<u8>>), Failed> {
    let (status, headers, mut pieces) = answer.deconstruct();
    // All of the room at once: growing would leave pieces of a key behind in freed memory.
    let mut body = Zeroizing::new(Vec::with_capacity(ANSWER_BYTES_MAX));
    while let Some(piece) = pieces.next().await {
        let piece = piece.map_err(|error| call.fault(KeyVaultFault::Unavailable, "", Some(error)))?;
        if body.len().saturating_add(piece.len()) > ANSWER_BYTES_MAX {
            return Err(call.fault(KeyVaultFault::Unavailable, "the answer is far too long", None));
        }
        body.extend_from_slice(&piece);
    }
    Ok((status.into(), headers, body))
}

/// Whether the vault's host has a name, as far as the resolver can tell; true when it cannot tell.
async fn has_name(url: &KeyUrl) -> bool {
    let authority = url.host();
    let port = if url.is_https() { ":443" } else { ":80" };
    let host = if authority.contains(':') { authority.to_owned() } else { format!("{authority}{port}") };
    match tokio::net::lookup_host(host).await {
        Ok(_) => true,
        // The resolver's own answer that there is no such name; anything else (no network, no server)
        // may pass. The standard library gives no number for it, glibc this text.
        Err(error) => !error.to_string().contains("Name or service not known"),
    }
}

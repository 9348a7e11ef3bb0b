//! The wire: one HTTP/1.1 client with its own connection pool, shared by everything in an account.
//!
//! Owns the client's settings, what TLS trusts, and the sorting of what can go wrong below HTTP.
//! Invariants: no limit here runs while a body is being sent (azure-storage.md §2.4 trap 1: the
//! caller limits a whole try by its size instead); nothing that leaves this file contains a URL.

use std::error::Error;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use azure_core::http::headers::{HeaderName, HeaderValue, Headers};
use azure_core::http::policies::{Policy, PolicyResult};
use azure_core::http::{AsyncRawResponse, Body, Context, Method, Request};
use futures::TryStreamExt;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{AlertDescription, ClientConfig, RootCertStore};

/// How long a connection may take to come about, name resolution and TLS included.
const CONNECT_LIMIT: Duration = Duration::from_secs(20);
/// Azure closes idle connections after minutes; ours go first, so that a request rarely meets a
/// connection that is being closed.
const IDLE_LIMIT: Duration = Duration::from_secs(60);
/// A peer that vanished is noticed by probes, also while we only wait.
const KEEPALIVE: Duration = Duration::from_secs(15);

/// The last policy of the pipeline.
#[derive(Debug)]
pub(crate) struct HttpTransport {
    client: reqwest::Client,
}

/// What TLS and proxies need to know.
pub(crate) struct TransportSettings<'a> {
    pub(crate) https: bool,
    pub(crate) connections: usize,
    pub(crate) ca_certificates_pem: Option<&'a [u8]>,
    pub(crate) proxy: Option<&'a str>,
}

impl HttpTransport {
    pub(crate) fn new(settings: &TransportSettings<'_>) -> Result<HttpTransport, TransportError> {
        let mut builder = reqwest::Client::builder()
            .http1_only()
            .connect_timeout(CONNECT_LIMIT)
            .pool_idle_timeout(IDLE_LIMIT)
            .pool_max_idle_per_host(settings.connections)
            .tcp_nodelay(true)
            .tcp_keepalive(KEEPALIVE)
            // The default of 30 s would cut a connection whose peer takes no bytes for that long,
            // which a throttled or busy service does.
            .tcp_user_timeout(None)
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            // Every repetition is decided, counted and re-signed by us.
            .retry(reqwest::retry::never());
        // Also for plain HTTP, else reqwest would look for a TLS provider of the process.
        builder = builder.tls_backend_preconfigured(tls(settings)?);
        builder = match settings.proxy {
            Some(proxy) => builder.proxy(reqwest::Proxy::all(proxy).map_err(|_| TransportError::Proxy)?),
            None => builder.no_proxy(),
        };
        let client = builder.build().map_err(|error| TransportError::Client(error.without_url()))?;
        Ok(HttpTransport { client })
    }
}

/// Why no transport can be built from the configuration.
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    /// The CA certificates given are not PEM certificates.
    #[error("the CA certificates are not in PEM form, or none is there")]
    Certificates,
    /// Neither the system nor the configuration has any CA certificate.
    #[error(
        "no CA certificates: the system has none (Debian: package ca-certificates) and none is configured"
    )]
    NoRoots,
    /// The TLS library refused its settings.
    #[error("setting up TLS")]
    Tls(#[source] rustls::Error),
    /// The proxy is not a URL.
    #[error("the proxy is not a URL")]
    Proxy,
    /// The HTTP client refused its settings.
    #[error("setting up the HTTP client")]
    Client(#[source] reqwest::Error),
}

fn tls(settings: &TransportSettings<'_>) -> Result<ClientConfig, TransportError> {
    let mut roots = RootCertStore::empty();
    if let Some(pem) = settings.ca_certificates_pem {
        for certificate in CertificateDer::pem_slice_iter(pem) {
            let certificate = certificate.map_err(|_| TransportError::Certificates)?;
            roots.add(certificate).map_err(|_| TransportError::Certificates)?;
        }
        if roots.is_empty() {
            return Err(TransportError::Certificates);
        }
    }
    if settings.https {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if roots.is_empty() {
            return Err(TransportError::NoRoots);
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(TransportError::Tls)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

#[async_trait]
impl Policy for HttpTransport {
    async fn send(&self, _: &Context, request: &mut Request, _: &[Arc<dyn Policy>]) -> PolicyResult {
        let mut outgoing = self.client.request(method(request.method())?, request.url().clone());
        for (name, value) in request.headers().iter() {
            outgoing = outgoing.header(name.as_str(), value.as_str());
        }
        outgoing = match request.body() {
            Body::Bytes(bytes) => outgoing.body(bytes.clone()),
            Body::SeekableStream(stream) => outgoing.body(reqwest::Body::wrap_stream(stream.clone())),
        };
        let answer = outgoing.send().await.map_err(wire_fault)?;
        let status = answer.status().as_u16().into();
        let headers = headers(answer.headers());
        let body = Box::pin(answer.bytes_stream().map_err(wire_fault));
        Ok(AsyncRawResponse::new(status, headers, body))
    }
}

/// The pipeline's enumeration may grow; what HTTP does not know is refused.
fn method(method: Method) -> azure_core::Result<reqwest::Method> {
    reqwest::Method::from_bytes(method.as_ref().as_bytes())
        .map_err(|error| azure_core::Error::new(azure_core::error::ErrorKind::Other, error))
}

/// Metadata values are ASCII on the wire; an answer's header that is not is left out.
fn headers(map: &reqwest::header::HeaderMap) -> Headers {
    let pairs = map.iter().filter_map(|(name, value)| {
        let value = value.to_str().ok()?.to_owned();
        Some((HeaderName::from(name.as_str().to_owned()), HeaderValue::from(value)))
    });
    Headers::from(pairs.collect::<std::collections::HashMap<_, _>>())
}

/// What went wrong below HTTP.
#[derive(Debug, thiserror::Error)]
#[error("{what}")]
pub(crate) struct WireFault {
    pub(crate) what: WireFaultKind,
    #[source]
    source: reqwest::Error,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum WireFaultKind {
    #[error("the server's certificate is not trusted")]
    Trust,
    #[error("no connection could be made")]
    Connect,
    #[error("the connection broke")]
    Broken,
    #[error("the request cannot be expressed in HTTP")]
    Unsendable,
}

fn wire_fault(error: reqwest::Error) -> azure_core::Error {
    let error = error.without_url();
    let what = if is_trust_failure(&error) {
        WireFaultKind::Trust
    } else if error.is_builder() {
        WireFaultKind::Unsendable
    } else if error.is_connect() {
        WireFaultKind::Connect
    } else {
        WireFaultKind::Broken
    };
    azure_core::Error::new(azure_core::error::ErrorKind::Io, WireFault { what, source: error })
}

/// Looks for a refusal of the peer's certificate (or of ours by the peer) in the chain of causes.
/// An `io::Error` skips what it wraps in `source()`, so it is opened by hand.
fn is_trust_failure(error: &(dyn Error + 'static)) -> bool {
    let mut current: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = current {
        if error.downcast_ref::<rustls::Error>().is_some_and(is_refused_certificate) {
            return true;
        }
        let wrapped = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        current = match wrapped {
            Some(inner) => Some(inner),
            None => error.source(),
        };
    }
    false
}

fn is_refused_certificate(error: &rustls::Error) -> bool {
    match error {
        rustls::Error::InvalidCertificate(_)
        | rustls::Error::InvalidCertRevocationList(_)
        | rustls::Error::NoCertificatesPresented
        | rustls::Error::UnsupportedNameType => true,
        rustls::Error::AlertReceived(alert) => matches!(
            alert,
            AlertDescription::UnknownCA
                | AlertDescription::BadCertificate
                | AlertDescription::CertificateUnknown
                | AlertDescription::CertificateExpired
                | AlertDescription::AccessDenied
        ),
        _ => false,
    }
}

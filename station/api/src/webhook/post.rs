//! One delivery over HTTP: what is sent, and what counts as taken.
//!
//! Taken is a 2xx that came in time. Redirects are not followed: the receiver was checked, not where it points to.
//! Nothing of an answer is kept but its status; of its body only so much is read as a connection needs to be used again.

use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{HeaderMap, RETRY_AFTER};
use reqwest::{Client, StatusCode, Url};
use rustls::{ClientConfig, RootCertStore};
use thiserror::Error;

use super::address::{Guard, UrlRefused};
use super::schedule::Failure;
use super::signature::SigningSecret;

const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// From the first byte to the last; receivers take a message and work on it later.
pub(super) const DELIVERY_LIMIT: Duration = Duration::from_secs(15);
const IDLE_LIMIT: Duration = Duration::from_secs(30);
/// Of an answer's body.
const ANSWER_BYTES_MAX: usize = 16 << 10;

/// The client of all deliveries.
#[derive(Clone, Debug)]
pub struct Post {
    client: Client,
    guard: Guard,
}

/// Why deliveries cannot be set up.
#[derive(Debug, Error)]
pub enum SetupError {
    /// TLS cannot be set up.
    #[error("setting up TLS for web-hooks")]
    Tls(#[source] rustls::Error),
    /// The client cannot be set up.
    #[error("setting up the client for web-hooks")]
    Client(#[source] reqwest::Error),
}

/// What is sent.
pub struct Message {
    /// The same for every try.
    pub id: String,
    /// When this try is made.
    pub at_unix_s: i64,
    /// JSON.
    pub body: Vec<u8>,
}

/// Why a receiver did not take a message.
#[derive(Debug, Error)]
pub enum PostError {
    /// The URL may not be sent to (any more).
    #[error("the receiver's URL is refused: {0}")]
    Url(#[source] UrlRefused),
    /// No answer.
    #[error("{0}")]
    NoAnswer(&'static str, #[source] reqwest::Error),
    /// An answer, and not a good one.
    #[error("the receiver answered {status}")]
    Status {
        /// Which.
        status: StatusCode,
        /// How long it asked us to wait.
        wait: Option<Duration>,
    },
}

impl PostError {
    /// What the next try depends on.
    pub fn failure(&self) -> Failure {
        match self {
            Self::Status { status, .. } if *status == StatusCode::GONE => Failure::Gone,
            Self::Status { wait, .. } => Failure::Failed { wait: *wait },
            Self::Url(_) | Self::NoAnswer(..) => Failure::Failed { wait: None },
        }
    }

    /// The status, where there was an answer.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Status { status, .. } => Some(status.as_u16()),
            Self::Url(_) | Self::NoAnswer(..) => None,
        }
    }
}

impl Post {
    /// A client that connects only where the guard allows it.
    pub fn new(guard: Guard) -> Result<Self, SetupError> {
        let client = Client::builder()
            .tls_backend_preconfigured(tls()?)
            .dns_resolver(Arc::new(guard.clone()))
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .no_proxy()
            .retry(reqwest::retry::never())
            .connect_timeout(CONNECT_LIMIT)
            .timeout(DELIVERY_LIMIT)
            .pool_idle_timeout(IDLE_LIMIT)
            .user_agent(concat!("drayage/", env!("CARGO_PKG_VERSION")))
            .build();
        Ok(Self { client: client.map_err(SetupError::Client)?, guard })
    }

    /// Where deliveries may go.
    pub fn guard(&self) -> &Guard {
        &self.guard
    }

    /// Sends a message; returns the status with which it was taken.
    pub async fn send(&self, url: &str, secret: &SigningSecret, message: &Message) -> Result<u16, PostError> {
        // Again, because what is configured may have changed since the web-hook was made.
        let url = self.guard.check(url).map_err(PostError::Url)?;
        let answer = self.request(url, secret, message).send().await.map_err(no_answer)?;
        let (status, wait) = (answer.status(), retry_after(answer.headers()));
        drain(answer).await;
        if status.is_success() { Ok(status.as_u16()) } else { Err(PostError::Status { status, wait }) }
    }

    fn request(&self, url: Url, secret: &SigningSecret, message: &Message) -> reqwest::RequestBuilder {
        self.client
            .post(url)
            .header("content-type", "application/json")
            .header("webhook-id", &message.id)
            .header("webhook-timestamp", message.at_unix_s)
            .header("webhook-signature", secret.sign(&message.id, message.at_unix_s, &message.body))
            .body(message.body.clone())
    }
}

/// The connection can be used again only when the answer was read; a long one is not worth it.
async fn drain(mut answer: reqwest::Response) {
    let mut read = 0;
    while let Ok(Some(chunk)) = answer.chunk().await {
        read += chunk.len();
        if read > ANSWER_BYTES_MAX {
            break;
        }
    }
}

/// Why there was no answer, without the URL, whose path may be a secret of the receiver's.
fn no_answer(error: reqwest::Error) -> PostError {
    let what = match &error {
        error if error.is_timeout() => "the receiver did not answer in time",
        error if error.is_connect() => "the receiver cannot be connected to",
        _ => "the delivery broke off",
    };
    PostError::NoAnswer(what, error.without_url())
}

/// Seconds only: a date would be by the receiver's clock.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?;
    text.trim().parse().ok().map(Duration::from_secs)
}

fn tls() -> Result<ClientConfig, SetupError> {
    let mut roots = RootCertStore::empty();
    // Without any, every https delivery fails and says so; a station without web-hooks must still start.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    Ok(config.map_err(SetupError::Tls)?.with_root_certificates(roots).with_no_client_auth())
}

//! A stand-in for Azure Key Vault and for the identity provider before it, because no real one can be
//! reached from a test.
//!
//! It holds its keys in memory, and what it gives out as wrapped is a handle where a vault's would
//! be RSA: it proves that our requests are those of the REST documentation and that what comes back is used
//! rightly. It checks each request: method, path, version of the interface, token, algorithm. Like the
//! real one it goes on wrapping with a disabled key, and refuses to unwrap; a new version of a key is what
//! is meant from then on, and the old ones still unwrap. A request that Key Vault does not know is
//! answered with 599 and remembered, so that a test which looks at [`KeyVaultDouble::seen`] fails.

mod answer;
mod tls;

use std::collections::HashMap;
use std::convert::Infallible;
use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

/// The token that opens the vault, and that the identity provider gives out.
pub const TOKEN: &str = "token-of-the-key-vault-double";
/// No version of the interface has a longer body.
const BODY_BYTES_MAX: usize = 64 << 10;

/// What a key does from now on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mood {
    /// What it should.
    Well,
    /// Disabled, and described so.
    Disabled,
    /// Still described as enabled, but unwrapping is refused.
    DisabledSinceLooked,
    /// The right to use it was taken away.
    Revoked,
    /// Not there.
    Deleted,
    /// An elliptic curve, which wraps nothing.
    Curve,
    /// Unwraps to something else.
    Lying,
    /// Answers that it is busy.
    Busy,
}

/// A key: its versions, latest last, and what each has wrapped.
struct Key {
    mood: Mood,
    versions: Vec<String>,
    wrapped: HashMap<Vec<u8>, Vec<u8>>,
}

impl Key {
    fn new() -> Key {
        Key { mood: Mood::Well, versions: vec![version(1)], wrapped: HashMap::new() }
    }
}

/// Versions are 32 hexadecimal digits.
fn version(number: usize) -> String {
    format!("{number:032x}")
}

struct Shared {
    origin: String,
    keys: Mutex<HashMap<String, Key>>,
    seen: Mutex<Vec<String>>,
}

/// A running vault with an identity provider; it stops when dropped.
pub struct KeyVaultDouble {
    address: SocketAddr,
    ca_pem: String,
    shared: Arc<Shared>,
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

impl KeyVaultDouble {
    /// Over plain HTTP, with one key `k`.
    ///
    /// # Errors
    /// When no port is free.
    pub fn start() -> io::Result<KeyVaultDouble> {
        KeyVaultDouble::listen("http", None, String::new())
    }

    /// Over TLS, with a CA of its own.
    ///
    /// # Errors
    /// When no port is free, or no certificate can be made.
    pub fn start_tls() -> io::Result<KeyVaultDouble> {
        let tls = tls::Authority::new().map_err(io::Error::other)?;
        KeyVaultDouble::listen("https", Some(tls.acceptor), tls.ca_pem)
    }

    fn listen(scheme: &str, tls: Option<TlsAcceptor>, ca_pem: String) -> io::Result<KeyVaultDouble> {
        let listener = StdListener::bind("127.0.0.1:0")?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let keys = Mutex::new(HashMap::from([("k".to_owned(), Key::new())]));
        let origin = format!("{scheme}://{address}");
        let shared = Arc::new(Shared { origin, keys, seen: Mutex::default() });
        let (stop, stopped) = watch::channel(false);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let served = Arc::clone(&shared);
        let serve = move || runtime.block_on(accept(listener, tls, served, stopped));
        let thread = std::thread::Builder::new().name("rig-key-vault".to_owned()).spawn(serve)?;
        Ok(KeyVaultDouble { address, ca_pem, shared, stop, thread: Some(thread) })
    }

    /// `host:port`, as a configuration trusts it.
    pub fn host(&self) -> String {
        self.address.to_string()
    }

    /// The identity provider's authority, and the beginning of every key's URL.
    pub fn url(&self) -> &str {
        &self.shared.origin
    }

    /// The URL of a key, without a version.
    pub fn key_url(&self, name: &str) -> String {
        format!("{}/keys/{name}", self.url())
    }

    /// The certificate of the CA behind [`KeyVaultDouble::start_tls`].
    pub fn ca_pem(&self) -> &str {
        &self.ca_pem
    }

    /// Makes a key, or a new version of one. Answers the version.
    pub fn renew(&self, name: &str) -> String {
        let mut keys = self.shared.keys();
        match keys.get_mut(name) {
            None => keys.entry(name.to_owned()).or_insert_with(Key::new).versions[0].clone(),
            Some(key) => {
                key.versions.push(version(key.versions.len() + 1));
                key.versions[key.versions.len() - 1].clone()
            }
        }
    }

    /// Changes what a key does.
    ///
    /// # Panics
    /// When there is no such key.
    pub fn is(&self, name: &str, mood: Mood) {
        self.shared.keys().get_mut(name).expect("there is such a key").mood = mood;
    }

    /// The requests since the last look: method, path and query.
    pub fn seen(&self) -> Vec<String> {
        std::mem::take(&mut *self.shared.seen.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for KeyVaultDouble {
    fn drop(&mut self) {
        self.stop.send_replace(true);
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

impl Shared {
    fn keys(&self) -> MutexGuard<'_, HashMap<String, Key>> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn accept(
    listener: StdListener,
    tls: Option<TlsAcceptor>,
    shared: Arc<Shared>,
    mut stopped: watch::Receiver<bool>,
) {
    let Ok(listener) = TcpListener::from_std(listener) else { return };
    loop {
        let stream = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stopped.wait_for(|stopped| *stopped) => return,
        };
        let Ok((stream, _)) = stream else { continue };
        let (tls, shared) = (tls.clone(), Arc::clone(&shared));
        tokio::spawn(async move {
            match tls {
                None => serve(stream, shared).await,
                // A handshake that fails is the client's to report.
                Some(tls) => {
                    if let Ok(stream) = tls.accept(stream).await {
                        serve(stream, shared).await;
                    }
                }
            }
        });
    }
}

async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin + 'static, shared: Arc<Shared>) {
    let service = service_fn(|request| reply(Arc::clone(&shared), request));
    // A connection that ends badly is the client's to report.
    drop(http1::Builder::new().serve_connection(TokioIo::new(stream), service).await);
}

async fn reply(shared: Arc<Shared>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let body = http_body_util::Limited::new(body, BODY_BYTES_MAX).collect().await;
    let body = body.map(|body| body.to_bytes()).unwrap_or_default();
    let (status, text) = answer::answer(&shared, &head, &body);
    let response = Response::builder().status(status).header("Content-Type", "application/json");
    Ok(response.body(Full::from(text)).unwrap_or_default())
}

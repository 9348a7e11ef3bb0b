//! A running server with a handful of routes, and clients for it.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::routing::{get, post};
use axum::{Extension, Router};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;

use crate::people::oidc::Oidc;
use crate::people::pretend_ledger::PretendLedger;
use crate::people::{Clock, Doorkeeper, NewToken, Operation, Role, Scope, Tokens, needs, system_clock};
use crate::server::config::{Config, Limits, Listen};
use crate::server::{Server, Stopping, Surface};

/// What no test may take longer for.
pub const DEADLINE: Duration = Duration::from_secs(20);

/// What the routes did.
#[derive(Default)]
pub struct Deeds {
    pub slow_began: Notify,
    pub slow_may_end: Notify,
    pub slow_ended: AtomicUsize,
}

/// A server that serves.
pub struct Running {
    pub address: SocketAddr,
    pub deeds: Arc<Deeds>,
    pub tokens: Tokens,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<std::io::Result<()>>,
}

/// A plain listener with these limits.
pub fn plain(limits: Limits) -> Config {
    let address = "127.0.0.1:0".parse().unwrap();
    Config { listen: vec![Listen { address, tls: None }], limits, ..Config::default() }
}

pub fn tokens() -> Tokens {
    let ledger = Arc::new(PretendLedger::default());
    Tokens::new(ledger.clone(), ledger, "station-1")
}

impl Running {
    pub async fn start(config: Config) -> Self {
        Self::start_with(config, None, system_clock()).await
    }

    /// With an identity provider, and a clock for tokens.
    pub async fn start_with(config: Config, oidc: Option<Oidc>, clock: Clock) -> Self {
        let deeds = Arc::new(Deeds::default());
        Self::start_all(config, routes(deeds.clone()), deeds, oidc, clock).await
    }

    /// With other routes.
    pub async fn start_routes(config: Config, router: Router) -> Self {
        Self::start_all(config, router, Arc::default(), None, system_clock()).await
    }

    async fn start_all(
        config: Config,
        router: Router,
        deeds: Arc<Deeds>,
        oidc: Option<Oidc>,
        clock: Clock,
    ) -> Self {
        let tokens = tokens();
        let surface = Surface { router, public: &["/open"] };
        let doorkeeper = Doorkeeper::new(tokens.clone(), oidc, clock);
        let server = Server::bind(&config, surface, doorkeeper).await.expect("it binds");
        let address = server.addresses().first().copied().unwrap_or("127.0.0.1:0".parse().unwrap());
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(server.run(async {
            let _ = stopped.await;
        }));
        Self { address, deeds, tokens, stop: Some(stop), task }
    }

    /// Says stop, and does not wait.
    pub fn say_stop(&mut self) {
        let _ = self.stop.take().expect("said once").send(());
    }

    pub async fn ended(self) {
        tokio::time::timeout(DEADLINE, self.task)
            .await
            .expect("in time")
            .expect("no panic")
            .expect("no error");
    }

    pub async fn stop(mut self) {
        self.say_stop();
        self.ended().await;
    }

    /// A new token; a customer's names one subscription.
    pub async fn token(&self, roles: &[Role]) -> String {
        let one = Scope::Only(vec!["/subscriptions/aa".parse().unwrap()]);
        let scope = if roles == [Role::Customer] { one } else { Scope::Everything };
        self.token_within(roles, scope).await
    }

    pub async fn token_within(&self, roles: &[Role], scope: Scope) -> String {
        let by = crate::people::Caller::new("local:0", [Role::Admin], Scope::Everything);
        let now = system_clock()();
        let new = NewToken {
            label: "test".to_owned(),
            roles: roles.iter().copied().collect(),
            scope,
            expires_unix_ms: now + 3_600_000,
            is_break_glass: false,
        };
        self.tokens.issue(&by, new, now).await.expect("issued").token.expose().to_owned()
    }

    /// One request on its own connection, as written; gives everything that came back.
    pub async fn ask(&self, request: &str) -> String {
        let mut stream = TcpStream::connect(self.address).await.expect("it accepts");
        stream.write_all(request.as_bytes()).await.expect("it takes the request");
        rest(&mut stream).await
    }

    pub async fn get(&self, path: &str, token: Option<&str>) -> String {
        let credentials = token.map(|token| format!("authorization: Bearer {token}\r\n")).unwrap_or_default();
        self.ask(&format!("GET {path} HTTP/1.1\r\nhost: x\r\n{credentials}connection: close\r\n\r\n")).await
    }
}

/// Everything until the other side closes; a reset is an end too.
pub async fn rest(stream: &mut (impl AsyncReadExt + Unpin)) -> String {
    let mut bytes = Vec::new();
    let read = tokio::time::timeout(DEADLINE, stream.read_to_end(&mut bytes)).await;
    let _ = read.expect("it closes in time");
    String::from_utf8_lossy(&bytes).into_owned()
}

/// What follows the head of an answer.
pub fn body_of(answer: &str) -> String {
    answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default()
}

/// Whether an answer has this status.
pub fn has_status(answer: &str, status: u16) -> bool {
    answer.starts_with(&format!("HTTP/1.1 {status} "))
}

fn routes(deeds: Arc<Deeds>) -> Router {
    let read = needs(Operation::JobsRead);
    Router::new()
        .route("/open", get(async || "open"))
        .route("/jobs", get(async || "jobs").layer(read))
        .route("/subscriptions/{id}", get(async || "arm").layer(read))
        .route("/length", post(async |body: Bytes| body.len().to_string()).layer(needs(Operation::JobsWrite)))
        .route("/panic", get(async || -> &'static str { panic!("a planted panic") }).layer(read))
        .route("/forgot", get(async || "a customer's secret"))
        .route("/slow", get(slow).layer(read))
        .route("/stream", get(stream).layer(read))
        .route("/flood", get(async || vec![b'x'; 64 << 20]).layer(read))
        .layer(Extension(deeds))
}

async fn slow(Extension(deeds): Extension<Arc<Deeds>>) -> &'static str {
    deeds.slow_began.notify_one();
    deeds.slow_may_end.notified().await;
    deeds.slow_ended.fetch_add(1, Ordering::SeqCst);
    "slow"
}

/// Says hello, and nothing more until the server stops.
async fn stream(Extension(stopping): Extension<Stopping>) -> Body {
    let events = futures::stream::unfold((0, stopping), async |(count, mut stopping)| {
        if count > 0 {
            stopping.stops().await;
            return None;
        }
        Some((Ok::<_, Infallible>("hello\n"), (count + 1, stopping)))
    });
    Body::from_stream(events)
}

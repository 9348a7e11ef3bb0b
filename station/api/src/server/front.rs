//! Around every handler: one request from its head to its log line.
//!
//! [`Front::admit`] refuses early and cheaply: what costs least is asked first, and the body is read last. The
//! handler then runs on its own task, so neither a client that leaves nor a time-out tears it apart, and its panic
//! is an answer like any other.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::Response;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tracing::{Instrument, error, info, info_span, warn};
use uuid::Uuid;

use super::config::Limits;
use super::door::{Origin, Peer};
use super::rates::Rates;
use crate::people::{Caller, Doorkeeper, Refused};
use crate::problem::Refusal;

/// Names the request in the answer and in the log.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-ms-request-id");
/// Names a whole chain of requests; the client may choose it.
const CORRELATION_ID: HeaderName = HeaderName::from_static("x-ms-correlation-request-id");
/// What the log keeps of a path; the longest path of either surface is shorter.
const PATH_BYTES_MAX: usize = 512;
/// When to ask again while the ledger or the identity provider cannot be asked.
const OURS_AGAIN: Duration = Duration::from_secs(10);
/// Two years, the usual.
const HSTS: HeaderValue = HeaderValue::from_static("max-age=63072000");
/// Unless a page says what it needs, an answer loads nothing and stands in no frame.
const CSP: HeaderValue = HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'");

/// The id of a request, for a handler that wants to name it: an extension of every request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RequestId(pub Uuid);

/// Says when the server stops: an extension of every request, for answers that have no end of their own.
#[derive(Clone, Debug)]
pub struct Stopping(watch::Receiver<bool>);

impl Stopping {
    pub(super) fn new(receiver: watch::Receiver<bool>) -> Self {
        Self(receiver)
    }

    /// Ends when the server stops.
    pub async fn stops(&mut self) {
        // An error means that the server is gone: that, too, is the end.
        let _ = self.0.wait_for(|is_stopping| *is_stopping).await;
    }
}

/// What stands before the handlers.
pub(super) struct Front {
    doorkeeper: Doorkeeper,
    public: &'static [&'static str],
    stopping: Stopping,
    by_address: Rates<Peer>,
    by_caller: Rates<String>,
    slots: Arc<Semaphore>,
    slot_count: u32,
    body_bytes_max: usize,
    body: Duration,
    request: Duration,
}

/// A request that may go to its handler.
struct Admitted {
    request: Request,
    caller: Option<Caller>,
    slot: OwnedSemaphorePermit,
}

/// What is known of a request while it is served.
struct Ticket {
    id: Uuid,
    correlation: HeaderValue,
    method: Method,
    path: String,
    origin: Origin,
    begun: Instant,
}

/// A refusal, with what only the log may know.
struct Turned {
    refusal: Refusal,
    why: Option<String>,
    retry_after: Option<Duration>,
    caller: Option<String>,
}

impl From<Refusal> for Turned {
    fn from(refusal: Refusal) -> Self {
        Self { refusal, why: None, retry_after: None, caller: None }
    }
}

/// Puts the front around the routes, the fallbacks included.
pub(super) fn around(router: Router, front: &Arc<Front>) -> Router {
    router.layer(middleware::from_fn_with_state(front.clone(), serve))
}

async fn serve(State(front): State<Arc<Front>>, request: Request, next: Next) -> Response {
    let ticket = Ticket::of(&request);
    let span = info_span!("request", request_id = %ticket.id);
    let served = async {
        match front.admit(request, &ticket).await {
            Ok(admitted) => front.run(admitted, next, &ticket).await,
            Err(turned) => Err(turned),
        }
    };
    let (caller, mut answer) = match served.instrument(span).await {
        Ok((caller, answer)) => (caller, answer),
        Err(turned) => turned.told(&ticket),
    };
    ticket.mark(answer.headers_mut());
    ticket.log(caller.as_deref(), answer.status());
    answer
}

impl Front {
    pub(super) fn new(
        limits: &Limits,
        doorkeeper: Doorkeeper,
        public: &'static [&'static str],
        stopping: Stopping,
    ) -> Self {
        Self {
            doorkeeper,
            public,
            stopping,
            by_address: Rates::new(limits.address_rate),
            by_caller: Rates::new(limits.caller_rate),
            slots: Arc::new(Semaphore::new(limits.requests_max)),
            slot_count: u32::try_from(limits.requests_max).unwrap_or(u32::MAX),
            body_bytes_max: limits.body_bytes_max,
            body: Duration::from_millis(limits.body_ms),
            request: Duration::from_millis(limits.request_ms),
        }
    }

    /// Ends when no handler runs any more.
    pub(super) async fn all_ended(&self) {
        let _ = self.slots.acquire_many(self.slot_count).await;
    }

    async fn admit(&self, request: Request, ticket: &Ticket) -> Result<Admitted, Turned> {
        if matches!(ticket.origin.peer, Peer::Network(_)) {
            self.by_address.check(&ticket.origin.peer).map_err(Turned::too_many)?;
        }
        let caller = self.caller(request.headers(), ticket).await?;
        if let Some(caller) = &caller {
            self.by_caller.check(&caller.id).map_err(|wait| Turned::too_many(wait).of(caller))?;
        }
        let of = |turned: Turned| match &caller {
            Some(caller) => turned.of(caller),
            None => turned,
        };
        let slot = self.slots.clone().try_acquire_owned().map_err(|_| of(Turned::busy()))?;
        let mut request = self.whole(request).await.map_err(|refusal| of(refusal.into()))?;
        let extensions = request.extensions_mut();
        extensions.insert(RequestId(ticket.id));
        extensions.insert(self.stopping.clone());
        if let Some(caller) = &caller {
            extensions.insert(caller.clone());
        }
        Ok(Admitted { request, caller, slot })
    }

    /// Who calls; nobody on a public path, where credentials are not even looked at.
    async fn caller(&self, headers: &HeaderMap, ticket: &Ticket) -> Result<Option<Caller>, Turned> {
        if self.public.contains(&ticket.path.as_str()) && [Method::GET, Method::HEAD].contains(&ticket.method)
        {
            return Ok(None);
        }
        match self.doorkeeper.caller(headers, ticket.origin.peer).await {
            Ok(caller) => Ok(Some(caller)),
            Err(refused) => Err(Turned::refused(&refused)),
        }
    }

    /// The request with its whole body in memory.
    async fn whole(&self, request: Request) -> Result<Request, Refusal> {
        let (parts, body) = request.into_parts();
        let declared = parts.headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok());
        if declared
            .and_then(|length| length.parse().ok())
            .is_some_and(|length: usize| length > self.body_bytes_max)
        {
            return Err(Refusal::TooLarge);
        }
        let collected =
            tokio::time::timeout(self.body, Limited::new(body, self.body_bytes_max).collect()).await;
        match collected {
            Ok(Ok(whole)) => Ok(Request::from_parts(parts, Body::from(whole.to_bytes()))),
            Ok(Err(error)) if error.is::<LengthLimitError>() => Err(Refusal::TooLarge),
            Ok(Err(_)) => Err(Refusal::Malformed),
            Err(_) => Err(Refusal::TooSlow),
        }
    }

    async fn run(
        &self,
        admitted: Admitted,
        next: Next,
        ticket: &Ticket,
    ) -> Result<(Option<String>, Response), Turned> {
        let Admitted { request, caller, slot } = admitted;
        let id = caller.as_ref().map(|caller| caller.id.clone());
        let handler = async move {
            let answer = next.run(request).await;
            drop(slot);
            answer
        };
        let handler = tokio::spawn(handler.in_current_span());
        let turned = |refusal: Refusal, why: &str| Turned {
            why: Some(why.to_owned()),
            caller: id.clone(),
            ..Turned::from(refusal)
        };
        match tokio::time::timeout(self.request, handler).await {
            Ok(Ok(answer)) => match asked(caller.as_ref(), answer, ticket) {
                Some(answer) => Ok((id, answer)),
                None => Err(turned(Refusal::Internal, "the route let nobody decide whether this is allowed")),
            },
            Ok(Err(_)) => Err(turned(Refusal::Internal, "the handler panicked")),
            Err(_) => Err(turned(Refusal::Unavailable, "the handler takes too long; it goes on")),
        }
    }
}

/// Lets an answer out only if somebody decided that its caller may have it; nothing where nobody did.
///
/// Refusals pass, for they are what happens before anybody can decide. The router's own, which have no body, get one;
/// and what no route took gets the body of the surface that its path belongs to, whoever's fallback answered.
fn asked(caller: Option<&Caller>, answer: Response, ticket: &Ticket) -> Option<Response> {
    let status = answer.status();
    let is_refusal = status.is_client_error() || status.is_server_error();
    let is_undecided = caller.is_some_and(|caller| !caller.was_asked());
    if !is_refusal && is_undecided {
        return None;
    }
    let refusal = match status {
        StatusCode::NOT_FOUND => Refusal::NotFound,
        StatusCode::METHOD_NOT_ALLOWED => Refusal::MethodNotAllowed,
        _ => return Some(answer),
    };
    let is_anothers = is_undecided && !crate::problem::is_arm(&ticket.path);
    if answer.headers().contains_key(header::CONTENT_TYPE) && !is_anothers {
        return Some(answer);
    }
    let mut told = refusal.answer(&ticket.path);
    if let Some(allow) = answer.headers().get(header::ALLOW) {
        told.headers_mut().insert(header::ALLOW, allow.clone());
    }
    Some(told)
}

impl Turned {
    fn too_many(wait: Duration) -> Self {
        Self { retry_after: Some(wait), ..Refusal::TooMany.into() }
    }

    fn busy() -> Self {
        let why = Some("as many requests are running as may".to_owned());
        Self { retry_after: Some(Duration::from_secs(1)), why, ..Refusal::Unavailable.into() }
    }

    fn refused(refused: &Refused) -> Self {
        let why = Some(super::config::chain(refused));
        match refused.is_ours() {
            true => Self { retry_after: Some(OURS_AGAIN), why, ..Refusal::Unavailable.into() },
            false => Self { why, ..Refusal::Unauthenticated.into() },
        }
    }

    fn of(self, caller: &Caller) -> Self {
        Self { caller: Some(caller.id.clone()), ..self }
    }

    fn told(self, ticket: &Ticket) -> (Option<String>, Response) {
        let why = self.why.as_deref().unwrap_or_default();
        match self.refusal {
            Refusal::Internal => error!(event = "request_failed", request_id = %ticket.id, err = why),
            _ => {
                warn!(event = "request_refused", request_id = %ticket.id, refusal = ?self.refusal, err = why)
            }
        }
        let mut answer = self.refusal.answer(&ticket.path);
        if let Some(wait) = self.retry_after {
            let seconds = wait.as_secs().saturating_add(u64::from(wait.subsec_nanos() > 0)).max(1);
            answer.headers_mut().insert(header::RETRY_AFTER, seconds.into());
        }
        (self.caller, answer)
    }
}

impl Ticket {
    fn of(request: &Request) -> Self {
        let id = Uuid::now_v7();
        let chosen = request.headers().get(CORRELATION_ID).filter(|value| is_name(value)).cloned();
        let local = Origin { peer: Peer::Local { uid: u32::MAX }, is_tls: false };
        Self {
            id,
            correlation: chosen.unwrap_or_else(|| id_value(id)),
            method: request.method().clone(),
            path: request.uri().path().to_owned(),
            // Without a door there is no peer: then it is nobody's process.
            origin: request.extensions().get().copied().unwrap_or(local),
            begun: Instant::now(),
        }
    }

    /// Headers that every answer has.
    fn mark(&self, headers: &mut HeaderMap) {
        headers.insert(REQUEST_ID, id_value(self.id));
        headers.insert(CORRELATION_ID, self.correlation.clone());
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
        headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
        headers.entry(header::CONTENT_SECURITY_POLICY).or_insert(CSP);
        if self.origin.is_tls {
            headers.insert(header::STRICT_TRANSPORT_SECURITY, HSTS);
        }
    }

    /// One line a request: no query, no header, no body, so no secret.
    fn log(&self, caller: Option<&str>, status: StatusCode) {
        let path: String = self.path.chars().take(PATH_BYTES_MAX).collect();
        info!(
            event = "request",
            request_id = %self.id,
            correlation_id = self.correlation.to_str().unwrap_or_default(),
            operator = caller.unwrap_or("-"),
            peer = %self.origin.peer,
            method = %self.method,
            path,
            status = status.as_u16(),
            elapsed_ms = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX),
        );
    }
}

/// Whether a client's id may go into our log and answer: it is theirs to choose, so only letters, digits and dashes.
fn is_name(value: &HeaderValue) -> bool {
    let is_letter = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'-';
    !value.is_empty() && value.len() <= 64 && value.as_bytes().iter().all(is_letter)
}

fn id_value(id: Uuid) -> HeaderValue {
    HeaderValue::from_str(&id.to_string()).unwrap_or(HeaderValue::from_static("-"))
}

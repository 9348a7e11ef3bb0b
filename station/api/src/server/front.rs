//! Around every handler: one request from its head to its answer.
//!
//! [`Front::admit`] refuses early and cheaply: what costs least is asked first, and the body is read last. The
//! handler then runs on its own task, so neither a client that leaves nor a time-out tears it apart, and its panic
//! is an answer like any other.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::Response;
use http_body_util::BodyExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tracing::{Instrument, error, info_span, warn};
use uuid::Uuid;
use zeroize::Zeroizing;

use super::config::{Limits, chain};
use super::door::Peer;
use super::rates::Rates;
use super::seats::{Seat, Seats};
use super::ticket::Ticket;
use crate::people::{Caller, Doorkeeper, Refused};
use crate::problem::{Refusal, is_arm};

/// When to ask again while the ledger or the identity provider cannot be asked.
const OURS_AGAIN: Duration = Duration::from_secs(10);
/// When to ask again while too many requests run.
const BUSY_AGAIN: Duration = Duration::from_secs(1);
/// One caller may have this part of the requests that run: whoever sends slowly on purpose leaves room for others.
const CALLERS_PART: usize = 4;

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
    shares: Seats<String>,
    body_bytes_max: usize,
    body: Duration,
    request: Duration,
}

/// A request that may go to its handler, with its place.
struct Admitted {
    request: Request,
    caller: Option<Caller>,
    place: Place,
}

/// A running request's place among all, and among its caller's.
struct Place {
    _slot: OwnedSemaphorePermit,
    _share: Option<Seat<String>>,
}

/// A refusal, with what only the log may know.
struct Turned {
    refusal: Refusal,
    why: Option<String>,
    retry_after: Option<Duration>,
}

impl From<Refusal> for Turned {
    fn from(refusal: Refusal) -> Self {
        Self { refusal, why: None, retry_after: None }
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
    let served = served.instrument(span).await;
    let mut answer = served.unwrap_or_else(|turned| turned.told(&ticket));
    ticket.mark(answer.headers_mut());
    ticket.log(answer.status());
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
            shares: Seats::new(usize::MAX, (limits.requests_max / CALLERS_PART).max(1)),
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
        let place = self.place(caller.as_ref())?;
        // What nobody has to be known for has no body that anybody would read.
        let mut request = match caller {
            Some(_) => self.whole(request).await?,
            None => request.map(|_| Body::empty()),
        };
        let extensions = request.extensions_mut();
        extensions.insert(RequestId(ticket.id));
        extensions.insert(self.stopping.clone());
        if let Some(caller) = &caller {
            extensions.insert(caller.clone());
        }
        Ok(Admitted { request, caller, place })
    }

    /// Who calls; nobody on a public path, where credentials are not even looked at.
    async fn caller(&self, headers: &HeaderMap, ticket: &Ticket) -> Result<Option<Caller>, Turned> {
        let is_read = [Method::GET, Method::HEAD].contains(&ticket.method);
        if is_read && self.public.contains(&ticket.path.as_str()) {
            return Ok(None);
        }
        let found = self.doorkeeper.caller(headers, ticket.origin.peer);
        let found = tokio::time::timeout(self.request, found).await.map_err(|_| Turned::unknowing())?;
        let caller = found.map_err(|refused| Turned::refused(&refused))?;
        let _ = ticket.caller.set(caller.id.clone());
        self.by_caller.check(&caller.id).map_err(Turned::too_many)?;
        Ok(Some(caller))
    }

    fn place(&self, caller: Option<&Caller>) -> Result<Place, Turned> {
        let slot = self.slots.clone().try_acquire_owned().map_err(|_| Turned::busy())?;
        let share = match caller {
            Some(caller) => {
                Some(self.shares.take(caller.id.clone()).ok_or_else(|| Turned::too_many(BUSY_AGAIN))?)
            }
            None => None,
        };
        Ok(Place { _slot: slot, _share: share })
    }

    /// The request with its whole body in memory.
    async fn whole(&self, request: Request) -> Result<Request, Turned> {
        let (parts, body) = request.into_parts();
        let declared = parts.headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok());
        let declared: Option<usize> = declared.and_then(|length| length.parse().ok());
        if declared.is_some_and(|length| length > self.body_bytes_max) {
            return Err(Refusal::TooLarge.into());
        }
        match tokio::time::timeout(self.body, collected(body, self.body_bytes_max)).await {
            Ok(Ok(whole)) => Ok(Request::from_parts(parts, Body::from(whole))),
            Ok(Err(refusal)) => Err(refusal.into()),
            Err(_) => Err(Refusal::TooSlow.into()),
        }
    }

    async fn run(&self, admitted: Admitted, next: Next, ticket: &Ticket) -> Result<Response, Turned> {
        let Admitted { request, caller, place } = admitted;
        let handler = async move {
            let answer = next.run(request).await;
            drop(place);
            answer
        };
        let handler = tokio::spawn(handler.in_current_span());
        match tokio::time::timeout(self.request, handler).await {
            Ok(Ok(answer)) => asked(caller.as_ref(), answer, ticket),
            Ok(Err(_)) => Err(Turned::because(Refusal::Internal, "the handler panicked")),
            Err(_) => Err(Turned::because(Refusal::Unavailable, "the handler takes too long; it goes on")),
        }
    }
}

/// A body in one piece of memory, zeroed when the last who reads it is done: it may hold recovery passwords.
async fn collected(mut body: Body, bytes_max: usize) -> Result<Bytes, Refusal> {
    // As large as it may get from the beginning: growing would leave copies behind.
    let declared = body.size_hint().exact().and_then(|length| usize::try_from(length).ok());
    let mut whole = Zeroizing::new(Vec::with_capacity(declared.unwrap_or(bytes_max).min(bytes_max)));
    while let Some(frame) = body.frame().await {
        // What is no data is a trailer, which nobody reads.
        let Ok(data) = frame.map_err(|_| Refusal::Malformed)?.into_data() else { continue };
        if data.len() > bytes_max - whole.len() {
            return Err(Refusal::TooLarge);
        }
        whole.extend_from_slice(&data);
    }
    Ok(Bytes::from_owner(whole))
}

/// Lets an answer out only if somebody decided that its caller may have it.
///
/// Refusals pass, for they are what happens before anybody can decide. The router's own, which have no body, get one;
/// and what no route took gets the body of the surface that its path belongs to, whoever's fallback answered.
fn asked(caller: Option<&Caller>, answer: Response, ticket: &Ticket) -> Result<Response, Turned> {
    let status = answer.status();
    let is_refusal = status.is_client_error() || status.is_server_error();
    let is_undecided = caller.is_some_and(|caller| !caller.was_asked());
    if !is_refusal && is_undecided {
        return Err(Turned::because(
            Refusal::Internal,
            "the route let nobody decide whether this is allowed",
        ));
    }
    let refusal = match status {
        StatusCode::NOT_FOUND => Refusal::NotFound,
        StatusCode::METHOD_NOT_ALLOWED => Refusal::MethodNotAllowed,
        _ => return Ok(answer),
    };
    let is_anothers = is_undecided && !is_arm(&ticket.path);
    if answer.headers().contains_key(header::CONTENT_TYPE) && !is_anothers {
        return Ok(answer);
    }
    let mut told = refusal.answer(&ticket.path);
    if let Some(allow) = answer.headers().get(header::ALLOW) {
        told.headers_mut().insert(header::ALLOW, allow.clone());
    }
    Ok(told)
}

impl Turned {
    fn because(refusal: Refusal, why: &str) -> Self {
        Self { why: Some(why.to_owned()), ..refusal.into() }
    }

    fn too_many(wait: Duration) -> Self {
        Self { retry_after: Some(wait), ..Refusal::TooMany.into() }
    }

    fn busy() -> Self {
        let busy = Self::because(Refusal::Unavailable, "as many requests are running as may");
        Self { retry_after: Some(BUSY_AGAIN), ..busy }
    }

    fn unknowing() -> Self {
        let why = "neither the ledger nor the identity provider said in time who calls";
        Self { retry_after: Some(OURS_AGAIN), ..Self::because(Refusal::Unavailable, why) }
    }

    fn refused(refused: &Refused) -> Self {
        let why = chain(refused);
        match refused.is_ours() {
            true => Self { retry_after: Some(OURS_AGAIN), ..Self::because(Refusal::Unavailable, &why) },
            false => Self::because(Refusal::Unauthenticated, &why),
        }
    }

    fn told(self, ticket: &Ticket) -> Response {
        let why = self.why.as_deref().unwrap_or_default();
        match self.refusal {
            Refusal::Internal => error!(event = "request_failed", request_id = %ticket.id, err = why),
            refusal => {
                warn!(event = "request_refused", request_id = %ticket.id, refusal = ?refusal, err = why)
            }
        }
        let mut answer = self.refusal.answer(&ticket.path);
        if let Some(wait) = self.retry_after {
            let seconds = wait.as_secs().saturating_add(u64::from(wait.subsec_nanos() > 0)).max(1);
            answer.headers_mut().insert(header::RETRY_AFTER, seconds.into());
        }
        answer
    }
}

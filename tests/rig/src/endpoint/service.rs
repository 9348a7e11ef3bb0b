//! One request's way: read, judged by the faults, authenticated, received, carried out, answered.
//!
//! Owns the order of these steps and the headers that every reply has. A fault may end the way at any
//! step; what was carried out by then stays carried out.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hyper::body::Incoming;
use hyper::http::request::Parts;
use hyper::{Method, Request, Response};
use tokio::runtime::RuntimeFlavor;

use super::auth::{self, Credentials, Grant};
use super::body::{self, Intake, NotReceived, Received, Spoiling};
use super::codes::{self, Refusal};
use super::control;
use super::faults::{Action, Faults, Hook, Seen};
use super::known;
use super::log::{Ending, RequestLog};
use super::names;
use super::ops::{self, Call};
use super::reply::{Reply, ReplyBody, Shaped};
use super::request::{Head, Refused};
use super::stamp::{Clock, Stamp};
use super::state::Account;
use super::wire::Wire;

/// What all connections share.
pub(crate) struct Shared {
    pub(crate) account: Account,
    pub(crate) credentials: Credentials,
    pub(crate) faults: Arc<Faults>,
    pub(crate) log: Arc<RequestLog>,
    pub(crate) requests: AtomicU64,
}

/// A connection, as a request knows it.
#[derive(Clone)]
pub(crate) struct Connection {
    pub(crate) wire: Arc<Wire>,
    pub(crate) peer: IpAddr,
    pub(crate) number: u64,
}

/// No reply: the connection was reset, or the client is gone.
#[derive(Debug, thiserror::Error)]
#[error("the connection ends without a reply")]
pub(crate) struct NoReply;

/// What faults make of a request, besides what happens before it.
#[derive(Default)]
struct Plan {
    refusal: Option<Refusal>,
    spoiling: Spoiling,
    lose_answer: bool,
    cut_after: Option<u64>,
    drop_blocks: usize,
    after: Vec<Hook>,
}

/// Answers a request.
pub(crate) async fn answer(
    shared: Arc<Shared>,
    connection: Connection,
    request: Request<Incoming>,
) -> Result<Response<ReplyBody>, NoReply> {
    if request.uri().path().starts_with(control::PREFIX) {
        return Ok(control::answer(&shared, request).await.into_response());
    }
    let (parts, mut incoming) = request.into_parts();
    let now = shared.account.clock.now();
    let number = shared.requests.fetch_add(1, Ordering::Relaxed);
    let request_id = format!("{number:08x}-001e-0000-0000-{:012x}", connection.number);
    let head = match read_head(parts, &shared.account, connection.peer) {
        Ok(head) => head,
        Err(refused) => {
            let Refused { parts, refusal } = *refused;
            body::drain(&mut incoming).await;
            let reply = Reply::refusal(&refusal, parts.method != Method::HEAD, &request_id, now);
            return Ok(finish(reply, &parts, &request_id, &shared.account.clock).into_response());
        }
    };
    let step = Step { shared: &shared, connection: &connection, head: &head, now };
    let ended = step.run(&mut incoming).await;
    let reply = match ended {
        Ok(Ok(reply)) => reply,
        Ok(Err(refusal)) => {
            body::drain(&mut incoming).await;
            Reply::refusal(&refusal, head.method() != Method::HEAD, &request_id, now)
        }
        Err(NoReply) => {
            step.note(0, None);
            return Err(NoReply);
        }
    };
    step.note(reply.status, reply.headers.get("x-ms-error-code").and_then(|code| code.to_str().ok()));
    Ok(finish(reply, &head.parts, &request_id, &shared.account.clock).into_response())
}

/// Reads a head and checks the names in it.
fn read_head(parts: Parts, account: &Account, peer: IpAddr) -> Result<Head, Box<Refused>> {
    let mut head = Head::read(parts, peer, &account.name)?;
    match check_names(&head, account) {
        Ok(blob) => {
            if let Some(blob) = blob {
                head.blob = blob;
            }
            Ok(head)
        }
        Err(refusal) => Err(Box::new(Refused { parts: head.parts, refusal })),
    }
}

/// The blob's name in a hierarchical namespace, when it is another.
fn check_names(head: &Head, account: &Account) -> Result<Option<String>, Refusal> {
    if !head.container.is_empty() {
        names::check_container(&head.container)?;
    }
    if head.blob.is_empty() {
        return Ok(None);
    }
    names::check_blob(&head.blob)?;
    if account.hierarchical { names::hierarchical(&head.blob).map(Some) } else { Ok(None) }
}

/// Adds the headers of every reply.
fn finish(reply: Reply, parts: &Parts, request_id: &str, clock: &Clock) -> Reply {
    let text = |name: &str| parts.headers.get(name).and_then(|value| value.to_str().ok());
    // hyper dates replies by the machine's time, more cheaply; a client may learn the clock from it.
    let date = clock.is_pushed().then(|| clock.now().http_date());
    reply
        .maybe("date", date)
        .with("server", "Drayage-Rig-Endpoint (a test double)")
        .with("x-ms-request-id", request_id)
        .with("x-ms-version", text("x-ms-version").unwrap_or("2009-09-19"))
        .maybe("x-ms-client-request-id", text("x-ms-client-request-id"))
}

/// A request whose head was read.
struct Step<'a> {
    shared: &'a Shared,
    connection: &'a Connection,
    head: &'a Head,
    now: Stamp,
}

impl Step<'_> {
    fn note(&self, status: u16, error_code: Option<&str>) {
        let error_code = error_code.map(str::to_owned);
        self.shared.log.note(self.head, Ending { status, error_code, connection: self.connection.number });
    }

    async fn run(&self, incoming: &mut Incoming) -> Result<Result<Reply, Refusal>, NoReply> {
        let Shared { account, faults, .. } = self.shared;
        let mut plan = if faults.any() { self.judge().await? } else { Plan::default() };
        if let Some(refusal) = plan.refusal.take() {
            return Ok(Err(refusal));
        }
        let grant = match self.admit() {
            Ok(grant) => grant,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let intake = Intake {
            head: self.head,
            vault: &account.vault,
            spoiling: plan.spoiling.clone(),
            wire: &self.connection.wire,
        };
        let received = match intake.receive(incoming).await {
            Ok(received) => received,
            Err(NotReceived::Refused(refusal)) => return Ok(Err(refusal)),
            Err(NotReceived::Gone) => return Err(NoReply),
        };
        // Conditions, leases and ETags count from when the whole request is there.
        let now = if faults.any() { account.clock.now() } else { self.now };
        let call = Call { account, head: self.head, grant: &grant, now, drop_blocks: plan.drop_blocks };
        let outcome = carry_out(&call, received);
        plan.after.iter().for_each(|hook| self.call(hook));
        if plan.lose_answer {
            self.connection.wire.reset();
            return Err(NoReply);
        }
        Ok(outcome.map(|reply| self.shape(reply, &plan)))
    }

    /// Everything that can be said of a request before its body is read.
    fn admit(&self) -> Result<Grant, Refusal> {
        let Shared { account, credentials, .. } = self.shared;
        if !account.vault.keeps() {
            return Ok(Grant::Everything);
        }
        let grant = auth::authenticate(self.head, account, credentials)?;
        auth::authorize(&grant, self.head.operation)?;
        known::check(self.head)?;
        Ok(grant)
    }

    /// Asks the faults, and lives through what happens before a request is carried out.
    async fn judge(&self) -> Result<Plan, NoReply> {
        let path = self.head.named();
        let mut plan = Plan::default();
        for action in self.shared.faults.judge(self.seen(&path)) {
            match action {
                Action::Stall(time) => self.stall(time).await,
                Action::Refuse(time) => {
                    self.refuse(time);
                    return Err(NoReply);
                }
                Action::CallBefore(hook) => self.call(&hook),
                other => plan.add(other, self.now),
            }
        }
        Ok(plan)
    }

    fn seen<'b>(&self, path: &'b str) -> Seen<'b> {
        let by_signature = self.head.query("sig").is_some();
        Seen { operation: self.head.operation, path, by_signature }
    }

    fn call(&self, hook: &Hook) {
        let name = self.head.named();
        let call = || hook(self.seen(&name));
        match tokio::runtime::Handle::current().runtime_flavor() {
            // A hook may wait for another request: others must go on being served meanwhile.
            RuntimeFlavor::MultiThread => tokio::task::block_in_place(call),
            _ => call(),
        }
    }

    async fn stall(&self, time: Option<Duration>) {
        let mut releases = self.shared.faults.releases();
        let released = releases.changed();
        match time {
            Some(time) => drop(tokio::time::timeout(time, released).await),
            None => drop(released.await),
        }
    }

    /// Resets this connection and every other, and closes the door for a time.
    fn refuse(&self, time: Option<Duration>) {
        self.connection.wire.reset();
        self.shared.faults.refuse_connections();
        if let Some(time) = time {
            let faults = Arc::clone(&self.shared.faults);
            tokio::spawn(async move {
                tokio::time::sleep(time).await;
                faults.release();
            });
        }
    }

    fn shape(&self, mut reply: Reply, plan: &Plan) -> Reply {
        let bytes_per_second = plan.spoiling.bytes_per_second;
        if bytes_per_second.is_some() || plan.cut_after.is_some() {
            let inner = std::mem::replace(&mut reply.body, ReplyBody::Empty);
            let mut shaped = Shaped::new(inner, Arc::clone(&self.connection.wire));
            (shaped.bytes_per_second, shaped.cut_after) = (bytes_per_second, plan.cut_after);
            reply.body = ReplyBody::Shaped(Box::new(shaped));
        }
        reply
    }
}

impl Plan {
    fn add(&mut self, action: Action, now: Stamp) {
        match action {
            Action::Status { status, code, retry_after_seconds } => {
                let message = "The rig was told to refuse this request.".to_owned();
                let mut refusal = Refusal { status, code, message, details: Vec::new(), headers: Vec::new() };
                if let Some(seconds) = retry_after_seconds {
                    refusal = refusal.header("retry-after", seconds);
                }
                self.refusal = Some(refusal);
            }
            Action::DiskFull => self.refusal = Some(codes::ACCOUNT_FULL.into()),
            Action::ExpiredSignature => {
                let detail = format!("the signature was good until {now}");
                self.refusal = Some(codes::AUTHENTICATION_FAILED.detail("AuthenticationErrorDetail", detail));
            }
            Action::Reset { after_bytes } => self.spoiling.reset_after = Some(after_bytes),
            Action::Bandwidth { bytes_per_second } => {
                self.spoiling.bytes_per_second = Some(bytes_per_second);
            }
            Action::Corrupt { offset_bytes } => self.spoiling.corrupt_at = Some(offset_bytes),
            Action::Cut { after_bytes } => self.cut_after = Some(after_bytes),
            Action::LoseAnswer => self.lose_answer = true,
            Action::DropBlocks { count } => self.drop_blocks = count,
            Action::CallAfter(hook) => self.after.push(hook),
            Action::Stall(_) | Action::Refuse(_) | Action::CallBefore(_) => {}
        }
    }
}

/// Carries the operation out. Files are read and written meanwhile, so on disk the thread says so.
fn carry_out(call: &Call<'_>, received: Received) -> Result<Reply, Refusal> {
    let kept = received.stored.clone();
    let outcome = match call.account.vault.disk() {
        Some(_) => tokio::task::block_in_place(|| ops::carry_out(call, received)),
        None => ops::carry_out(call, received),
    };
    if let (Err(_), Some(stored)) = (&outcome, kept) {
        call.account.vault.remove(&stored);
    }
    outcome
}

//! Sending a request until it succeeds, is refused, or has been tried often enough.
//!
//! ```text
//!   permit ─▶ pipeline (one try, limited by its size) ─▶ answer ─▶ 2xx: done
//!     ▲                                                    │
//!     └── pause (permit returned) ◀── repeat ◀── judge ◀───┴── report
//! ```
//! Owns the loop, the time limit of a try and what an answer teaches (clock, congestion). The
//! pipeline's own retry policy is off, because it repeats refused certificates, stops after a
//! minute and tells nobody how often it tried. Invariants: the permit is never held during a pause;
//! each try is signed anew under the same client request id. azure-storage.md §7.6, §2.4.

use std::error::Error;
use std::time::Duration;

use azure_core::http::headers::Headers;
use azure_core::http::{AsyncRawResponse, Context, Request, Url};
use azure_core::http::{AsyncResponseBody, PipelineStreamOptions};
use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use model::Md5Digest;

use crate::account::Account;
use crate::call::{Attempts, Call, Reply, header, md5_from_base64, md5_of, name, retry_after};
use crate::counters::add;
use crate::error::{ErrorKind, Operation, StorageError};
use crate::retry::{Doubt, Verdict, judge};
use crate::transport::{WireFault, WireFaultKind};
use crate::xml::error_body;

/// Longest error document that is read; the service's are under 2 KB.
const ERROR_BODY_BYTES_MAX: usize = 64 << 10;

/// A try that failed.
#[derive(Debug)]
struct Fault {
    kind: ErrorKind,
    http_status: Option<u16>,
    code: Option<String>,
    message: String,
    request_id: Option<String>,
    retry_after: Option<Duration>,
    /// The service may have done it all the same.
    may_have_landed: bool,
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl Account {
    /// Sends the call until it is decided.
    pub(crate) async fn exchange(&self, call: &Call<'_>) -> Result<Reply, StorageError> {
        let url = self.url(call)?;
        let request_id = azure_core::Uuid::new_v4().to_string();
        let mut tries = Tries::default();
        loop {
            let fault = match self.try_once(call, &url, &request_id, tries.count).await {
                Ok(reply) => return Ok(Reply { attempts: tries.succeeded(), ..reply }),
                Err(fault) => fault,
            };
            tries.count = tries.count.saturating_add(1);
            let fault = match self.next_step(call, fault, &mut tries) {
                Ok(pause) => {
                    self.pause(pause).await;
                    continue;
                }
                Err(fault) => fault,
            };
            return Err(fault.report(call, &tries));
        }
    }

    /// Decides about a failed try: the pause before the next one, or the fault to report.
    fn next_step(&self, call: &Call<'_>, mut fault: Fault, tries: &mut Tries) -> Result<Duration, Fault> {
        let verdict = judge(fault.kind, self.doubt(&fault), tries.reauthorised);
        if verdict == Verdict::Report || tries.count >= self.retry().tries_max {
            return Err(fault);
        }
        if verdict == Verdict::Rehash && call.digest.is_some_and(|digest| md5_of(&call.body) != digest) {
            fault.kind = ErrorKind::MemoryFault;
            return Err(fault);
        }
        tries.ambiguous |= fault.may_have_landed;
        if verdict == Verdict::Reauthorise {
            tries.reauthorised = true;
            self.forget_token();
            return Ok(Duration::ZERO);
        }
        Ok(self.retry().pause(tries.count, fault.retry_after, self.time().clock.fraction()))
    }

    /// Whether a fresh date or token could change a refusal. A SAS is what it is; an identity that
    /// is known but lacks a right is told so by other codes.
    fn doubt(&self, fault: &Fault) -> Doubt {
        let refused_itself = fault.http_status == Some(401)
            || matches!(
                fault.code.as_deref(),
                None | Some("AuthenticationFailed" | "InvalidAuthenticationInfo")
            );
        if refused_itself && self.is_renewable() { Doubt::Stale } else { Doubt::Final }
    }

    async fn pause(&self, pause: Duration) {
        if !pause.is_zero() {
            self.tally().paused(pause);
            self.time().clock.pause(pause).await;
        }
    }

    fn url(&self, call: &Call<'_>) -> Result<Url, StorageError> {
        let mut text = self.endpoint().url(call.resource);
        if !call.query.is_empty() {
            text.push('?');
            text.push_str(&call.query);
        }
        Url::parse(&text).map_err(|error| {
            let message = format!("the blob's name makes no URL: {error}");
            StorageError::refused(call.operation, call.resource.to_string(), ErrorKind::BadRequest, message)
        })
    }

    /// One try: permit, request, answer, what the answer teaches.
    async fn try_once(&self, call: &Call<'_>, url: &Url, id: &str, tries_done: u32) -> Result<Reply, Fault> {
        let permit = {
            let _waiting = self.tally().waiting();
            self.limiter().acquire().await
        };
        let _in_flight = self.tally().in_flight();
        add(&self.tally().requests, 1);
        if tries_done > 0 {
            add(&self.tally().retries, 1);
        }
        let limit = self.try_limit(call.moved_bytes());
        let outcome = match tokio::time::timeout(limit, self.converse(call, url, id)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(Fault::late(limit)),
        };
        match &outcome {
            Ok(reply) => {
                permit.succeeded();
                add(&self.tally().bytes_sent, u64::try_from(call.body.len()).unwrap_or(0));
                add(&self.tally().bytes_received, u64::try_from(reply.body.len()).unwrap_or(0));
            }
            Err(fault) if fault.kind == ErrorKind::Throttled => {
                permit.throttled();
                add(&self.tally().throttled, 1);
            }
            Err(_) => {}
        }
        outcome
    }

    /// Sends the request through the pipeline and reads the whole answer.
    async fn converse(&self, call: &Call<'_>, url: &Url, id: &str) -> Result<Reply, Fault> {
        let mut request = Request::new(url.clone(), call.method);
        for (name, value) in &call.headers {
            request.insert_header(name.clone(), value.clone());
        }
        request.insert_header(name::VERSION, self.service_version().to_owned());
        request.insert_header(name::CLIENT_REQUEST_ID, id.to_owned());
        request.set_body(call.body.clone());
        let options = PipelineStreamOptions { skip_checks: true, ..PipelineStreamOptions::default() };
        let answer = self
            .pipeline()
            .stream(&Context::new(), &mut request, Some(options))
            .await
            .map_err(Fault::unanswered)?;
        if let Some(date) = header(answer.headers(), name::DATE) {
            self.time().learn(date);
        }
        self.read(call, answer).await
    }

    async fn read(&self, call: &Call<'_>, answer: AsyncRawResponse) -> Result<Reply, Fault> {
        let (status, headers, body) = answer.deconstruct();
        let status = u16::from(status);
        if !(200..300).contains(&status) {
            // A refusal whose document is cut off is a refusal all the same.
            let body = collect(body, ERROR_BODY_BYTES_MAX).await.unwrap_or_default();
            let retry_after = retry_after(&headers, self.time().now());
            return Err(Fault::refused(call.operation, status, &headers, &body, retry_after));
        }
        let body = collect(body, call.reply_bytes_max).await?;
        if call.verify_reply {
            verify(&headers, &body)?;
        }
        let attempts = Attempts { count: 1, ambiguous: false };
        Ok(Reply { headers, body, attempts })
    }
}

/// The tries of one call so far.
#[derive(Default)]
struct Tries {
    count: u32,
    ambiguous: bool,
    reauthorised: bool,
}

impl Tries {
    fn succeeded(&self) -> Attempts {
        Attempts { count: self.count.saturating_add(1), ambiguous: self.ambiguous }
    }
}

impl Fault {
    fn of(kind: ErrorKind, message: &str) -> Fault {
        Fault {
            kind,
            http_status: None,
            code: None,
            message: message.to_owned(),
            request_id: None,
            retry_after: None,
            may_have_landed: true,
            source: None,
        }
    }

    fn late(limit: Duration) -> Fault {
        Fault::of(ErrorKind::Timeout, &format!("nothing within {} s", limit.as_secs()))
    }

    /// The service answered, but not with success.
    fn refused(
        operation: Operation,
        status: u16,
        headers: &Headers,
        body: &[u8],
        retry_after: Option<Duration>,
    ) -> Fault {
        let (body_code, message) = error_body(body);
        let code = header(headers, name::ERROR_CODE).map(str::to_owned).or(body_code);
        let kind = ErrorKind::of_answer(operation, status, code.as_deref());
        Fault {
            kind,
            http_status: Some(status),
            // A busy server has not begun; every other failure inside the service may have come
            // after the deed.
            may_have_landed: matches!(
                kind,
                ErrorKind::ServerError | ErrorKind::Timeout | ErrorKind::UnexpectedReply
            ) || (status == 503 && code.as_deref() != Some("ServerBusy")),
            code,
            message: message.unwrap_or_default(),
            request_id: header(headers, name::REQUEST_ID).map(str::to_owned),
            retry_after,
            source: None,
        }
    }

    /// No answer came, or it broke off.
    fn unanswered(error: azure_core::Error) -> Fault {
        let (kind, may_have_landed, source): (_, _, Box<dyn Error + Send + Sync>) =
            match error.into_downcast::<WireFault>() {
                Ok(fault) => {
                    let (kind, may_have_landed) = match fault.what {
                        WireFaultKind::Trust => (ErrorKind::TrustFailure, false),
                        WireFaultKind::Connect => (ErrorKind::Connection, false),
                        WireFaultKind::Broken => (ErrorKind::Connection, true),
                        WireFaultKind::Unsendable => (ErrorKind::InvalidHeader, false),
                    };
                    (kind, may_have_landed, Box::new(fault))
                }
                // Not the wire: the identity provider, which the token policy asks before sending.
                Err(error) => (ErrorKind::NoToken, false, Box::new(error)),
            };
        Fault { may_have_landed, source: Some(source), ..Fault::of(kind, "") }
    }

    fn report(self, call: &Call<'_>, tries: &Tries) -> StorageError {
        StorageError {
            operation: call.operation,
            path: call.resource.to_string().into(),
            http_status: self.http_status,
            code: self.code.map(Into::into),
            message: self.message.into(),
            request_id: self.request_id.map(Into::into),
            attempts: tries.count,
            ambiguous: tries.ambiguous || self.may_have_landed,
            kind: self.kind,
            source: self.source,
        }
    }
}

/// Reads a body of at most `bytes_max`; one that comes in one piece is not copied.
async fn collect(mut body: AsyncResponseBody, bytes_max: usize) -> Result<Bytes, Fault> {
    let mut first = Bytes::new();
    let mut rest = BytesMut::new();
    while let Some(piece) = body.next().await {
        let piece = piece.map_err(Fault::unanswered)?;
        if first.len().saturating_add(rest.len()).saturating_add(piece.len()) > bytes_max {
            return Err(Fault::of(
                ErrorKind::TooLarge,
                &format!("the answer is longer than {bytes_max} bytes"),
            ));
        }
        if first.is_empty() && rest.is_empty() {
            first = piece;
        } else {
            rest.extend_from_slice(&std::mem::take(&mut first));
            rest.extend_from_slice(&piece);
        }
    }
    Ok(if rest.is_empty() { first } else { rest.freeze() })
}

/// Compares a range with the digest that the service computed over it.
fn verify(headers: &Headers, body: &Bytes) -> Result<(), Fault> {
    let sent: Option<Md5Digest> = header(headers, name::CONTENT_MD5).and_then(md5_from_base64);
    match sent {
        Some(sent) if sent != md5_of(body) => {
            Err(Fault::of(ErrorKind::Md5Mismatch, "the bytes received do not have the MD5 that came along"))
        }
        _ => Ok(()),
    }
}

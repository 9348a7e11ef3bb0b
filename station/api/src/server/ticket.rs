//! What is known of a request while it is served: its ids, where it came from, the headers of its answer, its log line.
//!
//! Every request gets its line, also one whose client left before there was an answer: what it began may go on.

use std::sync::OnceLock;
use std::time::Instant;

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use tracing::info;
use uuid::Uuid;

use super::door::{Origin, Peer};

/// Names the request in the answer and in the log.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-ms-request-id");
/// Names a whole chain of requests; the client may choose it.
const CORRELATION_ID: HeaderName = HeaderName::from_static("x-ms-correlation-request-id");
/// What the log keeps of a path; the longest path of either surface is shorter.
const PATH_CHARS_MAX: usize = 512;
/// Two years, the usual.
const HSTS: HeaderValue = HeaderValue::from_static("max-age=63072000");
/// Unless a page says what it needs, an answer loads nothing and stands in no frame.
const CSP: HeaderValue = HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'");
/// In the log alone: the client left before there was an answer. Others' logs use the same number.
const CLIENT_LEFT: u16 = 499;

/// See the file's words.
pub(super) struct Ticket {
    pub id: Uuid,
    pub method: Method,
    pub path: String,
    pub origin: Origin,
    /// Who it is, once that is known.
    pub caller: OnceLock<String>,
    correlation: HeaderValue,
    begun: Instant,
    is_logged: bool,
}

impl Ticket {
    pub(super) fn of(request: &Request) -> Self {
        let id = Uuid::now_v7();
        let chosen = request.headers().get(CORRELATION_ID).filter(|value| is_name(value)).cloned();
        // Without a door there is no peer: then it is nobody's process.
        let nobody = Origin { peer: Peer::Local { uid: u32::MAX }, is_tls: false };
        Self {
            id,
            correlation: chosen.unwrap_or_else(|| id_value(id)),
            method: request.method().clone(),
            path: request.uri().path().to_owned(),
            origin: request.extensions().get().copied().unwrap_or(nobody),
            caller: OnceLock::new(),
            begun: Instant::now(),
            is_logged: false,
        }
    }

    /// Headers that every answer has.
    pub(super) fn mark(&self, headers: &mut HeaderMap) {
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

    /// The request's one line.
    pub(super) fn log(mut self, status: StatusCode) {
        self.is_logged = true;
        self.write(status.as_u16());
    }

    /// No query, no header, no body, so no secret.
    fn write(&self, status: u16) {
        let path: String = self.path.chars().take(PATH_CHARS_MAX).collect();
        info!(
            event = "request",
            request_id = %self.id,
            correlation_id = self.correlation.to_str().unwrap_or_default(),
            operator = self.caller.get().map_or("-", String::as_str),
            peer = %self.origin.peer,
            method = %self.method,
            path,
            status,
            elapsed_ms = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX),
        );
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if !self.is_logged {
            self.write(CLIENT_LEFT);
        }
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

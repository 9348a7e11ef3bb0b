//! The headers that ARM's answers have beyond the server's own (spec/azure-import-export.md §5.1).
//!
//! Left out on purpose: `Server`, because this is not Microsoft's, and the `x-ms-ratelimit-remaining-*` counters,
//! because a number that no limiter stands behind would be made up. What only the listener knows (TLS) is its own.

use axum::extract::Request;
use axum::http::{Extensions, HeaderMap, HeaderName, HeaderValue, header};
use axum::response::Response;
use time::OffsetDateTime;
use time::macros::format_description;
use uuid::Uuid;

use crate::server::RequestId;

const REQUEST: HeaderName = HeaderName::from_static("x-ms-request-id");
const CORRELATION: HeaderName = HeaderName::from_static("x-ms-correlation-request-id");
const ROUTING: HeaderName = HeaderName::from_static("x-ms-routing-request-id");
const CLIENT: HeaderName = HeaderName::from_static("x-ms-client-request-id");
const RETURN_CLIENT: HeaderName = HeaderName::from_static("x-ms-return-client-request-id");

/// What ties an answer, the log and the client's own records together.
#[derive(Clone, Debug)]
pub(super) struct Ids {
    request: Uuid,
    correlation: String,
    client: Option<HeaderValue>,
}

impl Ids {
    /// The server's id of the request, the one that the client carries through several requests, and the client's
    /// own, which is sent back only where asked for.
    pub(super) fn of(request: &Request) -> Self {
        let (headers, id) = (request.headers(), id_of(request.extensions()));
        let correlation = headers.get(CORRELATION).and_then(name);
        let wanted =
            headers.get(RETURN_CLIENT).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"true"));
        let client = headers.get(CLIENT).filter(|value| wanted && name(value).is_some()).cloned();
        Self { request: id, correlation: correlation.unwrap_or_else(|| id.to_string()), client }
    }

    /// The server's id of the request.
    pub(super) const fn request(&self) -> Uuid {
        self.request
    }

    /// Puts the headers on an answer, which may say more strictly how it is kept; `place` is the station's own location.
    pub(super) fn onto(self, answer: &mut Response, place: &str) {
        let headers = answer.headers_mut();
        headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-cache"));
        headers.insert(header::PRAGMA, HeaderValue::from_static("no-cache"));
        headers.insert(header::EXPIRES, HeaderValue::from_static("-1"));
        insert(headers, REQUEST, &self.request.to_string());
        insert(headers, CORRELATION, &self.correlation);
        insert(headers, ROUTING, &routing(place, &self.correlation));
        if let Some(client) = self.client {
            headers.insert(CLIENT, client);
        }
    }
}

fn id_of(extensions: &Extensions) -> Uuid {
    extensions.get::<RequestId>().map_or_else(Uuid::now_v7, |id| id.0)
}

/// A client's id may go into our log and answer if it is letters, digits and dashes, and short.
fn name(value: &HeaderValue) -> Option<String> {
    let text = value.to_str().ok()?;
    let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    ((1..=64).contains(&text.len()) && text.bytes().all(is_letter)).then(|| text.to_owned())
}

fn insert(headers: &mut HeaderMap, name: HeaderName, text: &str) {
    if let Ok(value) = HeaderValue::from_str(text) {
        headers.insert(name, value);
    }
}

/// `PLACE:20260102T030405Z:ID`
fn routing(place: &str, correlation: &str) -> String {
    let place: String = place.chars().filter(char::is_ascii_alphanumeric).collect();
    let form = format_description!("[year][month][day]T[hour][minute][second]Z");
    let when = OffsetDateTime::now_utc().format(form).unwrap_or_default();
    format!("{}:{when}:{correlation}", place.to_ascii_uppercase())
}

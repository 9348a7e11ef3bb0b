//! What handlers take from a request: path, query, body and key, each refused as a problem that names the place.
//!
//! The server in front has read the whole body before a handler runs; the limit here is for whoever serves the router
//! without it. Bodies and queries with fields that nobody knows are refused: a misspelt `reason` must not get lost.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use jobs::Stored;
use serde::de::DeserializeOwned;

use super::Desk;
use super::etag::IfMatch;
use super::once::{Answer, Once};
use super::refused::Refused;
use crate::people::{Caller, Denied, Reach};
use crate::problem::{self, Problem, Refusal};

/// No command is longer than a list of checkpoints; what customers send goes another way.
const BODY_BYTES_MAX: usize = 256 << 10;

/// The names in a path.
pub struct Named<T>(pub T);

/// The query.
pub struct Asked<T>(pub T);

/// A change that somebody asks for: who, how far they reach, what, under which key, and which version they saw.
pub struct Command<T> {
    /// Who.
    pub caller: Caller,
    /// How far they reach: what of it is left to see is the handler's to hold it against.
    pub reach: Reach,
    /// What.
    pub body: T,
    /// Under which key.
    pub once: Option<Once>,
    /// Which version they saw.
    pub if_match: IfMatch,
}

/// The body of a command that says nothing beside its path.
pub struct Nothing;

impl<T> Command<T> {
    /// The caller as the service of jobs knows one, who keeps the answer that `render` makes of the job as it was saved.
    pub fn asker(
        &self,
        desk: &Desk,
        render: impl Fn(&Stored) -> Answer + Send + Sync + 'static,
    ) -> jobs::Caller {
        let caller = self.plain_asker();
        let Some(once) = self.once.clone() else { return caller };
        let now = desk.now();
        caller.answering(Arc::new(move |stored| once.keep(&render(stored), now)))
    }

    /// The same without an answer. For them there are no jobs but those within their reach.
    pub fn plain_asker(&self) -> jobs::Caller {
        let caller = jobs::Caller::new(&self.caller.id, self.caller.role_names());
        let reach = self.reach.clone();
        caller.within(Arc::new(move |key| reach.covers_job(key)))
    }

    /// What the change keeps of its answer.
    pub fn keep(&self, answer: &Answer, now_unix_ms: i64) -> Option<ledger::IdempotentReply> {
        self.once.as_ref().map(|once| once.keep(answer, now_unix_ms))
    }
}

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Named<T> {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Response> {
        let found = axum::extract::Path::<T>::from_request_parts(parts, state).await;
        found.map(|path| Self(path.0)).map_err(|rejection| bad_path(&rejection).into_response())
    }
}

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Asked<T> {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Response> {
        let found = axum::extract::Query::<T>::from_request_parts(parts, state).await;
        found.map(|query| Self(query.0)).map_err(|rejection| bad_query(&rejection).into_response())
    }
}

/// What can be read from a body.
pub trait FromBody: Sized {
    /// Reads it.
    ///
    /// # Errors
    /// The problem with it.
    fn from_body(content_type: Option<&str>, body: &[u8]) -> Result<Self, Refused>;
}

impl<T: DeserializeOwned> FromBody for T {
    fn from_body(content_type: Option<&str>, body: &[u8]) -> Result<Self, Refused> {
        if !content_type.is_some_and(is_json) {
            return Err(not_json().into());
        }
        let read = serde_json::from_slice(body).map_err(|error| bad_body(&error))?;
        // A derived reader takes a list of the fields' values, too; every command's body is an object.
        if body.trim_ascii_start().starts_with(b"[") {
            return Err(not_an_object().into());
        }
        Ok(read)
    }
}

impl FromBody for Nothing {
    fn from_body(_: Option<&str>, _: &[u8]) -> Result<Self, Refused> {
        Ok(Self)
    }
}

impl<T: FromBody + Send> FromRequest<Desk> for Command<T> {
    type Rejection = Response;

    async fn from_request(request: Request, desk: &Desk) -> Result<Self, Response> {
        let (parts, body) = request.into_parts();
        let path = parts.uri.path();
        let caller = parts.extensions.get::<Caller>().cloned();
        let reach = parts.extensions.get::<Reach>().cloned();
        let asker = caller.zip(reach).ok_or_else(|| problem::denied(&Denied::Unauthenticated, path))?;
        let body = axum::body::to_bytes(body, BODY_BYTES_MAX).await;
        let bytes = body.map_err(|_| Refusal::TooLarge.answer(path))?;
        read(desk, asker, &parts, &bytes).await.map_err(IntoResponse::into_response)
    }
}

async fn read<T: FromBody>(
    desk: &Desk,
    (caller, reach): (Caller, Reach),
    parts: &Parts,
    bytes: &Bytes,
) -> Result<Command<T>, Refused> {
    let if_match = IfMatch::read(&parts.headers)?;
    let asked = [parts.method.as_str().as_bytes(), parts.uri.path().as_bytes(), bytes];
    let once = Once::read(&parts.headers, &caller.id, &asked)?;
    let content_type = parts.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let body = T::from_body(content_type, bytes)?;
    if let Some(once) = &once
        && let Some(kept) = desk.ledger().reply(&once.caller, &once.key).await?
    {
        return Err(once.seen(kept));
    }
    Ok(Command { caller, reach, body, once, if_match })
}

/// `application/json`, with parameters or without, and nothing else.
fn is_json(content_type: &str) -> bool {
    content_type.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
}

fn not_json() -> Problem {
    Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "not-json", "The body must be application/json.")
        .with("retryable", false)
}

/// Syntax is 400, a value that cannot be 422; serde says at which line and column, and which field.
fn bad_body(error: &serde_json::Error) -> Problem {
    let (status, name) = match error.classify() {
        serde_json::error::Category::Data => (StatusCode::UNPROCESSABLE_ENTITY, "invalid"),
        _ => (StatusCode::BAD_REQUEST, "body-malformed"),
    };
    Problem::new(status, name, "The body is not what this operation takes.")
        .detail(told(error))
        .with("retryable", false)
}

fn not_an_object() -> Problem {
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", "The body is not what this operation takes.")
        .detail("It is a list, and an object is expected.")
        .with("retryable", false)
}

/// Serde quotes values that it did not expect; one of them might be a secret in the wrong field.
fn told(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let place = format!("at line {} column {}", error.line(), error.column());
    match (text.find('"'), text.rfind("expected")) {
        (Some(_), Some(expected)) => text.get(expected..).unwrap_or(&place).to_owned(),
        (Some(_), None) => place,
        (None, _) => text,
    }
}

fn bad_path(rejection: &PathRejection) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "path-malformed", "The path cannot be read.")
        .detail(rejection.body_text())
        .with("retryable", false)
}

fn bad_query(rejection: &QueryRejection) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "query-malformed", "The query is not what this operation takes.")
        .detail(rejection.body_text())
        .with("retryable", false)
}

#[cfg(test)]
mod tests {
    use axum::response::IntoResponse;
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize, PartialEq, Eq)]
    #[serde(deny_unknown_fields)]
    struct Why {
        #[serde(default)]
        reason: Option<String>,
    }

    #[test]
    fn a_body_is_an_object_and_no_list_of_its_values() {
        let read = |body: &str| Why::from_body(Some("application/json"), body.as_bytes());
        let status = |body: &str| read(body).err().map(|refused| refused.into_response().status().as_u16());
        assert_eq!(read("{}").ok(), Some(Why { reason: None }));
        for list in ["[]", " [\"why\"]", "\n[null]"] {
            assert_eq!(status(list), Some(422), "{list}");
        }
        assert_eq!(status("["), Some(400));
    }
}

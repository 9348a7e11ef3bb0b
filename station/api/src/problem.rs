//! What a refused request is told: `application/problem+json` (RFC 9457) on the station's paths, ARM's error body on
//! ARM's. One [`Refusal`] gives both, so the layers of the server need not know which surface they guard.
//!
//! Bodies tell the caller what to change and nothing of the station's inside; reasons go to the log.

use axum::Json;
use axum::extract::OriginalUri;
use axum::http::{Extensions, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::people::Denied;

/// A problem of RFC 9457: the station API's error body.
///
/// `kind` becomes the type, a relative reference that is the same for every instance of the problem.
#[derive(Clone, Debug, Serialize)]
pub struct Problem {
    #[serde(rename = "type")]
    kind: String,
    title: String,
    #[serde(serialize_with = "number")]
    status: StatusCode,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    instance: Option<String>,
    #[serde(flatten)]
    extensions: Map<String, Value>,
}

fn number<S: serde::Serializer>(status: &StatusCode, out: S) -> Result<S::Ok, S::Error> {
    out.serialize_u16(status.as_u16())
}

impl Problem {
    /// A problem by its stable short name (`drive-unknown`) and a title that is the same each time.
    pub fn new(status: StatusCode, name: &str, title: &str) -> Self {
        Self {
            kind: format!("/problems/{name}"),
            title: title.to_owned(),
            status,
            detail: None,
            instance: None,
            extensions: Map::new(),
        }
    }

    /// What is wrong this time, in words for the caller.
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// Which thing it is about: a path of this API.
    pub fn instance(mut self, path: impl Into<String>) -> Self {
        self.instance = Some(path.into());
        self
    }

    /// One more field (`drive_id`, `retryable`). The standard's own fields cannot be replaced.
    pub fn with(mut self, field: &str, value: impl Into<Value>) -> Self {
        debug_assert!(
            !["type", "title", "status", "detail", "instance"].contains(&field),
            "{field} is the standard's"
        );
        self.extensions.insert(field.to_owned(), value.into());
        self
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut answer = (self.status, Json(self)).into_response();
        answer
            .headers_mut()
            .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        answer
    }
}

/// Why the server itself refuses a request, before or around the handlers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// No credentials, or none that hold.
    Unauthenticated,
    /// The caller's roles do not allow it.
    Forbidden,
    /// The caller is limited to a scope, and this is about the whole station.
    Narrowed,
    /// There is nothing under this path.
    NotFound,
    /// The path has other methods.
    MethodNotAllowed,
    /// The body broke off or is not HTTP.
    Malformed,
    /// The request did not come in time.
    TooSlow,
    /// The body is larger than the station takes.
    TooLarge,
    /// Too many requests of this caller.
    TooMany,
    /// The station failed.
    Internal,
    /// The station is stopping, has too much to do, or took too long.
    Unavailable,
}

impl Refusal {
    /// Status, ARM's code, the problem's name, and a sentence for the caller.
    const fn told(self) -> (StatusCode, &'static str, &'static str, &'static str) {
        match self {
            Self::Unauthenticated => (
                StatusCode::UNAUTHORIZED,
                "AuthenticationFailed",
                "unauthenticated",
                "The request needs valid credentials.",
            ),
            Self::Forbidden => (
                StatusCode::FORBIDDEN,
                "AuthorizationFailed",
                "forbidden",
                "The caller's roles do not allow this operation.",
            ),
            Self::Narrowed => (
                StatusCode::FORBIDDEN,
                "AuthorizationFailed",
                "out-of-scope",
                "The caller is limited to a scope, and this operation is about the whole station.",
            ),
            Self::NotFound => {
                (StatusCode::NOT_FOUND, "ResourceNotFound", "not-found", "There is nothing under this path.")
            }
            Self::MethodNotAllowed => (
                StatusCode::METHOD_NOT_ALLOWED,
                "MethodNotAllowed",
                "method-not-allowed",
                "This path does not have this method.",
            ),
            Self::Malformed => (
                StatusCode::BAD_REQUEST,
                "InvalidRequestContent",
                "malformed",
                "The body could not be read to its end.",
            ),
            Self::TooSlow => (
                StatusCode::REQUEST_TIMEOUT,
                "RequestTimeout",
                "too-slow",
                "The request did not arrive in time.",
            ),
            Self::TooLarge => (
                StatusCode::PAYLOAD_TOO_LARGE,
                "RequestContentTooLarge",
                "too-large",
                "The body is larger than the station takes.",
            ),
            Self::TooMany => (
                StatusCode::TOO_MANY_REQUESTS,
                "TooManyRequests",
                "too-many",
                "Too many requests; try again later.",
            ),
            Self::Internal => (
                StatusCode::INTERNAL_SERVER_ERROR,
                "InternalServerError",
                "internal",
                "The station failed; its log has the request's id.",
            ),
            Self::Unavailable => (
                StatusCode::SERVICE_UNAVAILABLE,
                "ServiceUnavailable",
                "unavailable",
                "The station cannot serve this now; try again later.",
            ),
        }
    }

    /// The status it is told with.
    pub const fn status(self) -> StatusCode {
        self.told().0
    }

    /// The answer in the shape of the surface that the path belongs to.
    pub fn answer(self, path: &str) -> Response {
        let (status, code, name, sentence) = self.told();
        let mut answer = if is_arm(path) {
            let body = serde_json::json!({"error": {"code": code, "message": sentence}});
            (status, Json(body)).into_response()
        } else {
            Problem::new(status, name, sentence).into_response()
        };
        if self == Self::Unauthenticated {
            answer.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        answer
    }
}

/// The answer to a caller who is not known, or not allowed: 401 or 403.
pub fn denied(denied: &Denied, path: &str) -> Response {
    match denied {
        Denied::Unauthenticated => Refusal::Unauthenticated.answer(path),
        Denied::Forbidden(_) => Refusal::Forbidden.answer(path),
        Denied::Narrowed(_) => Refusal::Narrowed.answer(path),
    }
}

/// The path that the caller asked for: a nested router sees only the rest of it.
pub fn path<'a>(extensions: &'a Extensions, uri: &'a Uri) -> &'a str {
    extensions.get::<OriginalUri>().map_or(uri.path(), |original| original.0.path())
}

/// Whether a path is of the ARM surface: ARM's paths begin so, in any case, and nothing else does.
pub fn is_arm(path: &str) -> bool {
    let first = path.trim_start_matches('/').split('/').next().unwrap_or_default();
    ["subscriptions", "providers"].iter().any(|word| first.eq_ignore_ascii_case(word))
}

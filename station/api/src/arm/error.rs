//! What a refused request is told: ARM's error body (spec/azure-import-export.md §5.2).
//!
//! Invariant: nothing of a request's body is ever repeated here, so no recovery password can come back in a message
//! or reach a log; messages name the field, never its value. Real codes of the service are not published: these are
//! the specification's, and ARM's own where ARM answers before any provider does.

use axum::Json;
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::version;

/// A refusal of the ARM surface.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ArmError {
    status: StatusCode,
    body: Body,
    allow: Option<String>,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
struct Body {
    code: &'static str,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    details: Vec<Detail>,
}

/// One thing that is wrong with a request.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Detail {
    /// What kind of wrong.
    pub code: String,
    /// Which property: its path in the body, `properties.driveList[2].driveId`.
    pub target: String,
    /// What to change.
    pub message: String,
}

#[derive(Serialize)]
struct Envelope {
    error: Body,
}

impl ArmError {
    pub(super) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        let body = Body { code, message: message.into(), target: None, details: Vec::new() };
        Self { status, body, allow: None }
    }

    pub(super) fn target(mut self, target: impl Into<String>) -> Self {
        self.body.target = Some(target.into());
        self
    }

    /// Everything that is wrong with a body's values, at once; `details` must not be empty.
    ///
    /// The outer target is the first one, because clients show that line and often nothing else.
    pub(super) fn invalid_parameters(details: Vec<Detail>) -> Self {
        let count = details.len();
        Self::invalid_values(details, count)
    }

    /// The same, where only the first of `count` values have a detail.
    fn invalid_values(details: Vec<Detail>, count: usize) -> Self {
        let (first, message) = match &details[..] {
            [only] => (only.target.clone(), only.message.clone()),
            [first, ..] => (
                first.target.clone(),
                format!(
                    "{count} values of the request are not valid; see the details. First: {}",
                    first.message
                ),
            ),
            [] => (String::new(), "The request is not valid.".to_owned()),
        };
        let mut error = Self::new(StatusCode::BAD_REQUEST, "InvalidParameter", message).target(first);
        error.body.details = details;
        error
    }

    /// Properties of the wrong JSON type, `count` of them, the first with their details.
    pub(super) fn invalid_content(details: Vec<Detail>, count: usize) -> Self {
        let mut error = Self::invalid_values(details, count);
        error.body.code = "InvalidRequestContent";
        error
    }

    /// A query parameter with a value that cannot be.
    pub(super) fn invalid_query(parameter: &str, message: impl Into<String>) -> Self {
        let detail = Detail {
            code: "InvalidParameter".to_owned(),
            target: parameter.to_owned(),
            message: message.into(),
        };
        Self::invalid_parameters(vec![detail])
    }

    /// A body that is not JSON. Only where it stops being JSON is told.
    pub(super) fn not_json(line: usize, column: usize) -> Self {
        let message = format!(
            "The request content was invalid and could not be deserialized: not valid JSON at line {line}, column {column}."
        );
        Self::new(StatusCode::BAD_REQUEST, "InvalidRequestContent", message)
    }

    pub(super) fn no_content() -> Self {
        let message = "The request content was invalid and could not be deserialized: there is no body.";
        Self::new(StatusCode::BAD_REQUEST, "InvalidRequestContent", message)
    }

    pub(super) fn body_broken() -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "InvalidRequestContent",
            "The request's body did not arrive whole.",
        )
    }

    pub(super) fn too_large(limit_bytes: usize) -> Self {
        let message = format!("The request's body is larger than {limit_bytes} bytes.");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "RequestContentTooLarge", message)
    }

    pub(super) fn media_type() -> Self {
        let message = "The content media type is not supported. Only 'application/json' is supported.";
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "UnsupportedMediaType", message)
    }

    pub(super) fn version_missing() -> Self {
        let message = "The api-version query parameter (?api-version=) is required for all requests.";
        Self::new(StatusCode::BAD_REQUEST, "MissingApiVersionParameter", message)
    }

    pub(super) fn version_unknown() -> Self {
        let message =
            format!("The api-version is not supported. The supported versions are {}.", version::listed());
        Self::new(StatusCode::BAD_REQUEST, "InvalidApiVersionParameter", message)
    }

    pub(super) fn method_not_allowed(allowed: &[Method]) -> Self {
        let listed = allowed.iter().map(Method::as_str).collect::<Vec<_>>().join(", ");
        let message = format!("The HTTP method is not supported on this resource. It has {listed}.");
        let mut error = Self::new(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed", message);
        error.allow = Some(listed);
        error
    }

    pub(super) fn unknown_path() -> Self {
        Self::new(StatusCode::NOT_FOUND, "ResourceNotFound", "There is no resource under this path.")
    }

    pub(super) fn invalid_path() -> Self {
        let message = "The path has an escape that is not valid.";
        Self::new(StatusCode::BAD_REQUEST, "InvalidResourcePath", message)
    }

    pub(super) fn unknown_namespace() -> Self {
        let message = "The resource namespace is not one of this station. It has Microsoft.ImportExport.";
        Self::new(StatusCode::NOT_FOUND, "InvalidResourceNamespace", message)
    }

    /// A path of the namespace that names no type of it.
    pub(super) fn unknown_type(_: &[&str]) -> Self {
        let message = "The resource type could not be found in the namespace Microsoft.ImportExport.";
        Self::new(StatusCode::NOT_FOUND, "InvalidResourceType", message)
    }

    pub(super) fn invalid_subscription() -> Self {
        let message = "The subscription identifier is malformed or invalid.";
        Self::new(StatusCode::BAD_REQUEST, "InvalidSubscriptionId", message).target("subscriptionId")
    }

    pub(super) fn invalid_group() -> Self {
        let message =
            "A resource group's name is 1 to 90 letters, digits and _-.(), and does not end in a dot.";
        Self::new(StatusCode::BAD_REQUEST, "InvalidResourceGroup", message).target("resourceGroupName")
    }

    pub(super) fn unauthenticated() -> Self {
        let message = "The request needs valid credentials.";
        Self::new(StatusCode::UNAUTHORIZED, "AuthenticationFailed", message)
    }

    pub(super) fn forbidden(action: &str) -> Self {
        let message = format!("The caller's roles do not allow {action}.");
        Self::new(StatusCode::FORBIDDEN, "AuthorizationFailed", message)
    }

    pub(super) fn job_not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "ResourceNotFound", "The job was not found.").target("jobName")
    }

    pub(super) fn location_not_found() -> Self {
        let message = "The location was not found. List the locations to see which there are.";
        Self::new(StatusCode::NOT_FOUND, "ResourceNotFound", message).target("locationName")
    }

    pub(super) fn move_not_supported() -> Self {
        let message =
            "Jobs cannot be moved to another resource group: a job's id is part of the record of its drives.";
        Self::new(StatusCode::CONFLICT, "ResourceMoveNotSupported", message)
    }

    pub(super) fn internal() -> Self {
        let message = "The station failed; its log has the request's id.";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "InternalServerError", message)
    }
}

impl IntoResponse for ArmError {
    fn into_response(self) -> Response {
        let allow = self.allow.as_deref().and_then(|allow| HeaderValue::from_str(allow).ok());
        let challenge = self.status == StatusCode::UNAUTHORIZED;
        let mut answer = (self.status, Json(Envelope { error: self.body })).into_response();
        if let Some(allow) = allow {
            answer.headers_mut().insert(header::ALLOW, allow);
        }
        if challenge {
            answer.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        answer
    }
}

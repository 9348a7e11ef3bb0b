//! Whether the station lives, what it is, and how its API looks.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use super::Desk;
use super::refused::Refused;
use crate::events::rfc3339;

/// The station.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Status {
    /// Its name, which is its custody chain's.
    station: String,
    /// The program's version.
    version: &'static str,
    /// Its time.
    #[schema(format = DateTime)]
    time: String,
    /// The newest event's number.
    last_event: i64,
    /// How many bays it has.
    bays: usize,
    /// In how many of them a drive is being worked on.
    bays_at_work: usize,
}

/// Says that the station can serve: it runs, and its ledger answers.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Health {
    /// Always `ok`: what is not ok is answered with a problem.
    #[schema(pattern = "^ok$")]
    status: &'static str,
}

/// What this station is and how much it has to do.
#[utoipa::path(get, path = "/v1/status", tag = "station", operation_id = "status", responses((status = 200, body = Status)))]
pub(super) async fn status(State(desk): State<Desk>) -> Result<Json<Status>, Refused> {
    let span = desk.ledger().event_span().await?;
    let bays = desk.parts().bays.now();
    Ok(Json(Status {
        station: desk.parts().station.clone(),
        version: env!("CARGO_PKG_VERSION"),
        time: rfc3339(desk.now()),
        last_event: span.last,
        bays: bays.len(),
        bays_at_work: bays.iter().filter(|bay| bay.doing.is_work()).count(),
    }))
}

/// Whether the station can serve: for supervisors and load balancers, without credentials.
#[utoipa::path(get, path = "/healthz", tag = "station", operation_id = "health", security(()), responses((status = 200, body = Health)))]
pub(super) async fn health(State(desk): State<Desk>) -> Result<Json<Health>, Refused> {
    desk.ledger().event_span().await?;
    Ok(Json(Health { status: "ok" }))
}

/// The OpenAPI document of this API, without credentials.
#[utoipa::path(get, path = "/v1/openapi.json", tag = "station", operation_id = "openapi", security(()), responses((status = 200, body = serde_json::Value)))]
pub(super) async fn openapi() -> Response {
    let json = [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))];
    (json, crate::openapi::text()).into_response()
}

//! `GET /v1/events`: a page, or a stream for whoever asks for `text/event-stream`.

use std::future;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use model::DriveId;
use serde::Deserialize;
use utoipa::IntoParams;

use super::Desk;
use super::ask::Asked;
use super::refused::Refused;
use crate::events::{EventPage, NoSeat, Watch, page, stream};
use crate::people::{Caller, Reach};
use crate::problem::Problem;
use crate::server::Stopping;

/// What every client's numbers can hold: 2^53 − 1.
const NUMBER_MAX: i64 = 9_007_199_254_740_991;
const LAST_EVENT_ID: &str = "last-event-id";

/// Which events.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct Which {
    /// Those above this number. A page begins with the oldest without it, a stream with the next one that happens.
    #[param(minimum = 0, maximum = 9007199254740991_i64)]
    after: Option<i64>,
    /// At most so many in a page.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
    /// Of this kind only, or of a family: `drive.*`.
    #[param(min_length = 1, max_length = 64)]
    kind: Option<String>,
    /// Of the job with this ARM id only.
    #[param(min_length = 1, max_length = 512)]
    job: Option<String>,
    /// Of this drive only.
    #[param(min_length = 1, max_length = 128)]
    drive: Option<String>,
}

/// What happened, in the order in which it was saved.
///
/// With `Accept: text/event-stream` the answer is a stream of server-sent events: `id` is the event's number, `event` its
/// kind, `data` the same JSON as in a page. It ends after some minutes. A client that reconnects with `Last-Event-ID`
/// misses nothing; where events are not kept any more, an event `missed` says so.
#[utoipa::path(
    get,
    path = "/v1/events",
    tag = "events",
    operation_id = "events",
    params(
        Which,
        ("Last-Event-ID" = Option<String>, Header, description = "The number of the last event that was seen; it takes precedence over `after`.", pattern = "^[0-9]{1,15}$"),
    ),
    responses((status = 200, content(
        (EventPage = "application/json"),
        (String = "text/event-stream"),
    )))
)]
pub(super) async fn events(
    State(desk): State<Desk>,
    (caller, reach): (Caller, Reach),
    Asked(which): Asked<Which>,
    headers: HeaderMap,
    stopping: Option<Extension<Stopping>>,
) -> Result<Response, Refused> {
    let last_seen = last_seen(&headers)?;
    if which.limit.is_some_and(|limit| !(1..=200).contains(&limit))
        || which.after.is_some_and(|after| !(0..=NUMBER_MAX).contains(&after))
    {
        return Err(super::refused::out_of_range("limit is 1 to 200, after is 0 or more").into());
    }
    let after = last_seen.or(which.after);
    super::refused::lengths(&[
        ("kind", which.kind.as_deref(), 64),
        ("job", which.job.as_deref(), 512),
        ("drive", which.drive.as_deref(), 128),
    ])?;
    let drive =
        which.drive.map(|drive| DriveId::new(&drive).map_or(drive, |drive| drive.as_str().to_owned()));
    let watch = Watch::new(reach).only(which.kind.into_iter().collect(), which.job, drive);
    if !wants_stream(&headers) {
        let limit = usize::try_from(which.limit.unwrap_or(100)).unwrap_or(100);
        return Ok(Json(page(desk.ledger(), &watch, after.unwrap_or(0), limit).await?).into_response());
    }
    let stopped = async move {
        match stopping {
            Some(Extension(mut stopping)) => stopping.stops().await,
            None => future::pending().await,
        }
    };
    let parts = desk.parts();
    let watcher = (caller.id.as_str(), watch);
    stream(parts.ledger.clone(), &parts.feed, watcher, after, stopped).await?.map_err(too_many_streams)
}

fn last_seen(headers: &HeaderMap) -> Result<Option<i64>, Refused> {
    let Some(value) = headers.get(LAST_EVENT_ID) else { return Ok(None) };
    let text = value.to_str().unwrap_or_default();
    let is_number = !text.is_empty() && text.len() <= 15 && text.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse() {
        Ok(number) if is_number => Ok(Some(number)),
        _ => Err(super::refused::out_of_range("Last-Event-ID is the number of an event").into()),
    }
}

fn wants_stream(headers: &HeaderMap) -> bool {
    let values = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let kinds = values.flat_map(|value| value.split(',')).filter_map(|range| range.split(';').next());
    kinds.into_iter().any(|kind| kind.trim().eq_ignore_ascii_case("text/event-stream"))
}

fn too_many_streams(none: NoSeat) -> Refused {
    let (status, title) = match none {
        NoSeat::Full => {
            (StatusCode::SERVICE_UNAVAILABLE, "As many screens as the station serves are watching already.")
        }
        NoSeat::CallerFull => {
            (StatusCode::TOO_MANY_REQUESTS, "As many of your screens as may be are watching.")
        }
    };
    let problem = Problem::new(status, "too-many-streams", title);
    Refused::Later(Box::new(problem.with("retryable", true)), 30)
}

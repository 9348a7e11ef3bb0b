//! The Microsoft.ImportExport surface of Azure Resource Manager, for official clients.
//!
//! ```text
//! request ─▶ path ─▶ method ─▶ api-version ─▶ who may ─▶ body ─▶ service ─▶ a job as the version shows it
//!             404      405          400        401/403    4xx     4xx
//! ```
//!
//! Owns what spec/azure-import-export.md §5 says a client sees: paths in any case, the three api-versions, the ten
//! operations, paging, the error body. Invariants: every refusal has ARM's body and every problem of a request is told
//! at once, with the property that it is about; no recovery password leaves but by listBitLockerKeys; nothing of a
//! body is repeated in an error or a log.
//!
//! What a job's state allows is the service's (`jobs`), who may do what is [`crate::people`]'s, TLS, limits and the
//! log line of a request the server's.
//!
//! | to change | open |
//! | --- | --- |
//! | what differs between versions | [`version`] |
//! | a property in a request | `order` |
//! | a property in an answer | `answer` |
//! | an error code | `error` |
//! | what `$filter` understands | `filter` |

mod answer;
mod body;
mod error;
mod fields;
mod filter;
mod handlers;
mod headers;
mod lists;
pub mod locations;
mod order;
mod path;
mod provider;
mod query;
mod refused;
mod skip;
pub mod version;

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use jobs::Jobs;

use headers::Ids;
use locations::Locations;

use crate::problem;

pub use version::ApiVersion;

/// What the surface stands on.
#[derive(Clone)]
pub struct Arm {
    /// The service.
    pub jobs: Arc<Jobs>,
    /// Where drives can be sent; the service has its sites from here ([`Locations::sites`]).
    pub locations: Arc<Locations>,
    /// How clients reach the station, `https://station.example.com`, where that is not what their requests say: behind
    /// a proxy. Links to the next page begin with it; without it, with the scheme and host of the very request.
    pub public_url: Option<String>,
}

/// The routes, to be merged with the other surfaces', which must not have a fallback of their own: whatever they do
/// not have ends here, because ARM's paths are read in any case. What is no path of ARM's is not found.
pub fn router(arm: Arm) -> Router {
    Router::new().fallback(serve).with_state(arm)
}

async fn serve(State(arm): State<Arm>, request: Request) -> Response {
    if !problem::is_arm(request.uri().path()) {
        return problem::Refusal::NotFound.answer(request.uri().path());
    }
    let ids = Ids::of(&request);
    let place = arm.locations.own().short_name();
    let answer = handlers::serve(&arm, request, &ids).await;
    let mut answer = answer.unwrap_or_else(IntoResponse::into_response);
    ids.onto(&mut answer, &place);
    answer
}

#[cfg(test)]
pub(crate) mod tests;

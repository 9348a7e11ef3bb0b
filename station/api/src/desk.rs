//! The station API, `/v1`: what people at the dock and the bays, their scanners and their screens, ask and do.
//!
//! ```text
//! request ─▶ needs(operation) ─▶ Command: key, version, body ─▶ service or ledger: ONE change, with its answer ─▶ answer
//!            who may                └ seen before: the old answer           └ refused: a problem, and what to do next
//! ```
//! Invariants: every route names its operation, and the OpenAPI file says which; a request with a key that is sent
//! twice is done once, because the answer is saved with the change; no answer holds a secret, but the one that makes
//! it. What a job's state allows is `jobs`' to say; here its refusals get a status.
//!
//! | to change | open |
//! | --- | --- |
//! | what a handler takes from a request | [`ask`], [`once`], [`etag`], [`cursor`] |
//! | what a refusal looks like | [`refused`] |
//! | jobs, drives, bays | `jobs`, `drives`, `bays` |
//! | events, web-hooks, tokens, accounts, custody | the module of that name |
//! | the OpenAPI file | [`crate::openapi`] |

pub mod ask;
pub mod bays;
pub mod cursor;
#[allow(unused_qualifications, reason = "utoipa's macro writes them")]
mod drives;
pub mod etag;
#[allow(unused_qualifications, reason = "utoipa's macro writes them")]
mod events;
#[allow(unused_qualifications, reason = "utoipa's macro writes them")]
mod jobs;
pub mod once;
pub mod refused;
mod status;
#[allow(unused_qualifications, reason = "utoipa's macro writes them")]
mod webhooks;

use std::sync::Arc;

use axum::Router;
use custody::Draft;
use keys::Vault;
use ledger::{Change, Ledger};
use serde_json::Value;
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouter, UtoipaMethodRouterExt};
use utoipa_axum::routes;

use crate::events::Feed;
use crate::people::{Caller, Clock, Operation, needs};
use crate::webhook::Deliveries;
use ask::Command;
use once::Answer;
use refused::{Refused, not_applied};

/// Paths that anybody may read: whether the station lives, and how its API looks.
pub const PUBLIC: &[&str] = &["/healthz", "/v1/openapi.json"];

/// What the desk stands on.
pub struct Parts {
    /// What survives.
    pub ledger: Arc<dyn Ledger>,
    /// Seals what is secret.
    pub vault: Arc<Vault>,
    /// The station's name, which is its custody chain's.
    pub station: String,
    /// Its time.
    pub clock: Clock,
    /// What streams of events wait on.
    pub feed: Feed,
    /// Sends web-hooks, and tests them.
    pub deliveries: Deliveries,
    /// What the bays are doing.
    pub bays: bays::Board,
}

/// The state of every handler.
#[derive(Clone)]
pub struct Desk(Arc<Parts>);

impl Desk {
    /// A desk that stands on these.
    pub fn new(parts: Parts) -> Self {
        Self(Arc::new(parts))
    }

    /// The routes. The document that describes them is [`crate::openapi::document`].
    pub fn routes(self) -> Router {
        let (router, _) = open_routes().split_for_parts();
        router.with_state(self)
    }

    pub(crate) fn ledger(&self) -> &dyn Ledger {
        &*self.0.ledger
    }

    fn parts(&self) -> &Parts {
        &self.0
    }

    fn now(&self) -> i64 {
        (self.0.clock)()
    }

    /// Saves a change of the desk's own, with its custody entry and the answer; the answer is given only then.
    async fn save<T>(&self, command: &Command<T>, change: Change, answer: Answer) -> Result<Answer, Refused> {
        let reply = command.keep(&answer, self.now());
        let change = Change { reply, chain: self.0.station.clone(), ..change };
        self.ledger().apply(&change).await.map_err(not_applied)?;
        Ok(answer)
    }

    /// A custody entry of something that is about no drive.
    fn entry(&self, caller: &Caller, action: &str, what: &str) -> Draft {
        Draft {
            at_unix_ms: self.now(),
            actor: caller.id.clone(),
            roles: caller.role_names(),
            action: action.to_owned(),
            job: None,
            drive: None,
            bay: None,
            before: None,
            after: Some(what.to_owned()),
            reason: None,
            files: Vec::new(),
        }
    }
}

/// Routes of one operation, which they ask for and say in the document.
fn of(operation: Operation, routes: UtoipaMethodRouter<Desk>) -> UtoipaMethodRouter<Desk> {
    let (schemas, mut paths, methods) = routes;
    for item in paths.paths.values_mut() {
        crate::openapi::mark(item, operation);
    }
    (schemas, paths, methods).layer(needs(operation))
}

/// Every route. The document is complete only after [`crate::openapi::complete`].
pub(crate) fn open_routes() -> OpenApiRouter<Desk> {
    use Operation as Op;
    OpenApiRouter::with_openapi(crate::openapi::base())
        .routes(routes!(status::health))
        .routes(routes!(status::openapi))
        .routes(of(Op::ReadBays, routes!(status::status)))
        .routes(of(Op::ReadBays, routes!(bays::list)))
        .routes(of(Op::ReadBays, routes!(bays::get)))
        .routes(of(Op::ReadDrives, routes!(drives::list)))
        .routes(of(Op::ReadDrives, routes!(drives::get)))
        .routes(of(Op::JobsRead, routes!(jobs::list)))
        .routes(of(Op::JobsRead, routes!(jobs::get)))
        .routes(of(Op::ReadEvents, routes!(events::events)))
        .routes(of(Op::ReadWebHooks, routes!(webhooks::list)))
        .routes(of(Op::ManageWebHooks, routes!(webhooks::create)))
        .routes(of(Op::ReadWebHooks, routes!(webhooks::get)))
        .routes(of(Op::ManageWebHooks, routes!(webhooks::delete)))
        .routes(of(Op::ManageWebHooks, routes!(webhooks::test)))
        .routes(of(Op::ManageWebHooks, routes!(webhooks::enable)))
}

/// An event of the station itself.
fn event(desk: &Desk, kind: &str, body: Value) -> ledger::EventDraft {
    ledger::EventDraft {
        at_unix_ms: desk.now(),
        kind: kind.to_owned(),
        job: None,
        drive: None,
        bay: None,
        body,
    }
}

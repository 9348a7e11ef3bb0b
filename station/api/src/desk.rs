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
//! | what is done with them | `packages`, `scans`, `shipping`; when something is wrong, `troubles` |
//! | events, web-hooks, tokens, accounts, custody | the module of that name |
//! | the OpenAPI file | [`crate::openapi`] |

#[allow(unused_qualifications, reason = "utoipa's macro writes them")]
pub mod accounts;
pub mod ask;
pub mod bays;
pub mod cursor;
#[allow(unused_qualifications, reason = "utoipa's macro writes them")]
pub mod custody;
#[allow(unused_qualifications, reason = "utoipa's macro writes them")]
mod drives;
pub mod etag;
#[allow(unused_qualifications, reason = "utoipa's macro writes them")]
mod events;
#[allow(unused_qualifications, reason = "utoipa's macro writes them")]
mod jobs;
pub mod once;
mod packages;
pub mod refused;
mod scans;
mod shipping;
mod status;
#[allow(unused_qualifications, reason = "utoipa's macro writes them")]
mod tokens;
mod troubles;
#[allow(unused_qualifications, reason = "utoipa's macro writes them")]
mod webhooks;

use std::sync::Arc;

use ::custody::Draft;
use axum::Router;
use keys::Vault;
use ledger::{Change, Ledger};
use serde_json::Value;
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouter, UtoipaMethodRouterExt};
use utoipa_axum::routes;

use crate::events::Feed;
use crate::people::{Caller, Clock, Operation, Tokens, needs};
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
    /// What happens to jobs.
    pub jobs: Arc<::jobs::Jobs>,
    /// The station's own tokens.
    pub tokens: Tokens,
    /// What signs the custody chain.
    pub custody: custody::Keys,
    /// Reads endpoints of storage accounts.
    pub account_of: accounts::AccountOf,
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
        self.apply(command, change, &answer).await.map_err(not_applied)?;
        Ok(answer)
    }

    /// The same for a caller who knows what to do about a refusal.
    async fn apply<T>(
        &self,
        command: &Command<T>,
        change: Change,
        answer: &Answer,
    ) -> Result<(), ledger::ApplyError> {
        let reply = command.keep(answer, self.now());
        let change = Change { reply, chain: self.0.station.clone(), ..change };
        self.ledger().apply(&change).await.map(drop)
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

/// Every route. The document is complete only in [`crate::openapi::document`].
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
        .routes(of(Op::ScanDrive, routes!(scans::scan)))
        .routes(of(Op::AssignBay, routes!(scans::assign)))
        .routes(of(Op::Hold, routes!(scans::hold)))
        .routes(of(Op::Resume, routes!(scans::resume)))
        .routes(of(Op::Release, routes!(scans::release)))
        .routes(of(Op::ReceivePackage, routes!(scans::never_received)))
        .routes(of(Op::Pack, routes!(scans::pack)))
        .routes(of(Op::Hold, routes!(troubles::fault)))
        .routes(of(Op::PutBackFaulted, routes!(troubles::put_back)))
        .routes(of(Op::SetAside, routes!(troubles::unsupported)))
        .routes(of(Op::GiveUp, routes!(troubles::give_up)))
        .routes(of(Op::JobsRead, routes!(packages::get)))
        .routes(of(Op::ReceivePackage, routes!(packages::receive)))
        .routes(of(Op::ReceivePackage, routes!(packages::unpack)))
        .routes(of(Op::SettleReturn, routes!(troubles::parcel_returned)))
        .routes(of(Op::JobsRead, routes!(jobs::list)))
        .routes(of(Op::JobsRead, routes!(jobs::get)))
        .routes(of(Op::Ship, routes!(shipping::ship)))
        .routes(of(Op::Hold, routes!(shipping::fault)))
        .routes(of(Op::PutBackFaulted, routes!(shipping::put_back)))
        .routes(of(Op::SettleReturn, routes!(troubles::return_impossible)))
        .routes(of(Op::ApproveSanitise, routes!(troubles::destroyed)))
        .routes(of(Op::JobsWrite, routes!(troubles::customer_answered)))
        .routes(of(Op::ReadEvents, routes!(events::events)))
        .routes(of(Op::ReadWebHooks, routes!(webhooks::list)))
        .routes(of(Op::ManageWebHooks, routes!(webhooks::create)))
        .routes(of(Op::ReadWebHooks, routes!(webhooks::get)))
        .routes(of(Op::ManageWebHooks, routes!(webhooks::delete)))
        .routes(of(Op::ManageWebHooks, routes!(webhooks::test)))
        .routes(of(Op::ManageWebHooks, routes!(webhooks::enable)))
        .routes(of(Op::ReadTokens, routes!(tokens::list)))
        .routes(of(Op::ManageTokens, routes!(tokens::create)))
        .routes(of(Op::ManageTokens, routes!(tokens::delete)))
        .routes(of(Op::ReadAccounts, routes!(accounts::list)))
        .routes(of(Op::ReadAccounts, routes!(accounts::get)))
        .routes(of(Op::ManageAccounts, routes!(accounts::put)))
        .routes(of(Op::ManageAccounts, routes!(accounts::delete)))
        .routes(of(Op::ReadCustody, routes!(custody::entries)))
        .routes(of(Op::ExportCustody, routes!(custody::export)))
        .routes(of(Op::ReadCustody, routes!(custody::verify)))
        .routes(of(Op::ReadCustody, routes!(custody::checkpoints)))
        .routes(of(Op::ReadCustody, routes!(custody::keys)))
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

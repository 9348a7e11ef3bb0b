//! The control path, `/rig/…`: how a test in another process, or a person with curl, makes a running
//! endpoint misbehave and asks what it holds. It is no part of the storage service.
//!
//! ```text
//! GET    /rig/faults        faults in force, one a line        POST /rig/faults   adds the fault in the body
//! DELETE /rig/faults        takes all away                     POST /rig/release  lets go what stalls
//! POST   /rig/clock?advance=SECONDS                            GET  /rig/log, /rig/inventory   as JSON
//! ```

use bytes::Bytes;
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use hyper::{Method, Request};

use super::faults::Fault;
use super::inventory::Inventory;
use super::reply::{Reply, ReplyBody};
use super::service::Shared;

/// Paths that begin so are the rig's own.
pub(crate) const PREFIX: &str = "/rig/";
/// A fault's line is short.
const LINE_BYTES_MAX: usize = 4 << 10;

/// Answers a request of the control path.
pub(crate) async fn answer(shared: &Shared, request: Request<Incoming>) -> Reply {
    let (parts, body) = request.into_parts();
    let body = Limited::new(body, LINE_BYTES_MAX).collect().await;
    let Ok(body) = body.map(http_body_util::Collected::to_bytes) else {
        return text(413, "the body is too long\n");
    };
    let name = parts.uri.path().strip_prefix(PREFIX).unwrap_or_default();
    match (&parts.method, name) {
        (&Method::GET, "faults") => {
            let lines: String = shared.faults.describe().iter().map(|line| format!("{line}\n")).collect();
            text(200, &lines)
        }
        (&Method::POST, "faults") => add(shared, &body),
        (&Method::DELETE, "faults") => {
            shared.faults.clear();
            text(200, "no faults\n")
        }
        (&Method::POST, "release") => {
            shared.faults.release();
            text(200, "released\n")
        }
        (&Method::POST, "clock") => advance(shared, parts.uri.query().unwrap_or_default()),
        (&Method::GET, "log") => json(&shared.log.entries()),
        (&Method::GET, "inventory") => json(&Inventory::of(&shared.account, shared.account.clock.now())),
        _ => text(404, "the rig has no such control\n"),
    }
}

fn add(shared: &Shared, body: &[u8]) -> Reply {
    match std::str::from_utf8(body).unwrap_or_default().parse::<Fault>() {
        Ok(fault) => text(201, &format!("{}\n", shared.faults.add(fault).0)),
        Err(error) => text(400, &format!("{error}\n")),
    }
}

fn advance(shared: &Shared, query: &str) -> Reply {
    match query.strip_prefix("advance=").and_then(|seconds| seconds.parse().ok()) {
        Some(seconds) => {
            shared.account.clock.advance(std::time::Duration::from_secs(seconds));
            text(200, &format!("{}\n", shared.account.clock.now()))
        }
        None => text(400, "advance=SECONDS\n"),
    }
}

fn text(status: u16, body: &str) -> Reply {
    let mut reply = Reply::status(status).with("content-type", "text/plain; charset=utf-8");
    reply.body = ReplyBody::Full(Bytes::from(body.to_owned()));
    reply
}

fn json(value: &impl serde::Serialize) -> Reply {
    match serde_json::to_vec_pretty(value) {
        Ok(body) => {
            let mut reply = Reply::status(200).with("content-type", "application/json");
            reply.body = ReplyBody::Full(Bytes::from(body));
            reply
        }
        Err(error) => text(500, &format!("{error}\n")),
    }
}

//! One watcher's stream of server-sent events.
//!
//! `id:` is the event's number, which the client sends back as `Last-Event-ID` when it reconnects. A comment goes out
//! when nothing else does, so that both sides notice a dead connection. The stream ends when the server stops, when
//! the ledger fails, and after some minutes, so that nobody watches for longer whose token was taken back: the client
//! reconnects, is asked anew who it is, and loses nothing.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use axum::response::sse::{Event as Frame, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures::{Stream, StreamExt, stream as streams};
use ledger::{Ledger, OfficeError};
use serde_json::json;
use tokio::sync::watch;
use tracing::warn;

use super::feed::Seat;
use super::{EventView, Feed, NoSeat, PORTION, Watch};
use crate::desk::refused::chain;

/// Proxies cut what is silent for a minute.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// What a client waits before it reconnects.
const RECONNECT: Duration = Duration::from_secs(2);

/// Where one stream stands.
struct Cursor {
    ledger: Arc<dyn Ledger>,
    watch: Watch,
    newest: watch::Receiver<i64>,
    after: i64,
    ready: VecDeque<Frame>,
    _seat: Seat,
}

/// A caller's stream from behind that number on, or why there is no place for it.
///
/// # Errors
/// When the ledger cannot be read.
pub async fn stream(
    ledger: Arc<dyn Ledger>,
    feed: &Feed,
    (caller, watch): (&str, Watch),
    after: Option<i64>,
    stopped: impl Future<Output = ()> + Send + 'static,
) -> Result<Result<Response, NoSeat>, OfficeError> {
    let seat = match feed.seat(caller) {
        Ok(seat) => seat,
        Err(none) => return Ok(Err(none)),
    };
    let span = ledger.event_span().await?;
    let after = after.unwrap_or(span.last).clamp(0, span.last);
    let mut ready = VecDeque::from([Frame::default().retry(RECONNECT).comment("connected")]);
    if after.saturating_add(1) < span.first {
        ready.push_back(missed(after, span.first));
    }
    let after = after.max(span.first.saturating_sub(1));
    let cursor = Cursor { ledger, watch, newest: feed.newest(), after, ready, _seat: seat };
    let life = tokio::time::sleep(feed.life());
    let ended = async move {
        tokio::select! {
            () = stopped => {}
            () = life => {}
        }
    };
    let frames = frames(cursor).map(Ok::<_, Infallible>).take_until(ended);
    let keep_alive = KeepAlive::new().interval(HEARTBEAT).text("still here");
    Ok(Ok(Sse::new(frames).keep_alive(keep_alive).into_response()))
}

/// Says that some events are not kept any more: the watcher must look at the state anew.
fn missed(after: i64, first: i64) -> Frame {
    let data = json!({"after": after, "first": first}).to_string();
    Frame::default().event("missed").data(data)
}

fn frames(cursor: Cursor) -> impl Stream<Item = Frame> + Send {
    streams::unfold(cursor, |mut cursor| async move {
        loop {
            if let Some(frame) = cursor.ready.pop_front() {
                return Some((frame, cursor));
            }
            match cursor.read().await {
                Ok(true) => {}
                Ok(false) => return None,
                Err(error) => {
                    warn!(event = "stream_ended", err = chain(&error));
                    return None;
                }
            }
        }
    })
}

impl Cursor {
    /// Waits for events behind where the stream stands and reads a portion; false when the feed has ended.
    async fn read(&mut self) -> Result<bool, OfficeError> {
        let after = self.after;
        let Ok(newest) = self.newest.wait_for(|newest| *newest > after).await.map(|newest| *newest) else {
            return Ok(false);
        };
        let events = self.ledger.events(self.after, PORTION).await?;
        if events.is_empty() {
            // All of them were forgotten since the feed looked.
            self.ready.push_back(missed(self.after, newest + 1));
            self.after = newest;
        }
        for event in events {
            self.after = event.no;
            if self.watch.sees(&event) {
                self.ready.push_back(frame(EventView::of(event)));
            }
        }
        Ok(true)
    }
}

fn frame(event: EventView) -> Frame {
    let frame = Frame::default().id(event.no.to_string());
    // A field of a frame is one line; kinds are our own words, but a frame that panics would take the stream along.
    let kind: String = event.kind.chars().filter(|c| !c.is_control()).collect();
    let data = serde_json::to_string(&event).expect("an event is plain data");
    frame.event(kind).data(data)
}

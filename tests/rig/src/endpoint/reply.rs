//! A reply: status, headers, and a body that is sent a frame at a time.

use std::collections::VecDeque;
use std::fmt::Display;
use std::future::Future as _;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use hyper::{Response, StatusCode};
use quick_xml::escape::escape;
use tokio::time::Sleep;

use super::codes::Refusal;
use super::stamp::Stamp;
use super::store::Piece;
use super::wire::Wire;

/// What an operation answers.
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: ReplyBody,
}

/// The body of a reply.
pub(crate) enum ReplyBody {
    Empty,
    Full(Bytes),
    /// Read from the store while it is sent.
    Pieces(VecDeque<Piece>),
    /// Another body, sent slowly or not to its end.
    Shaped(Box<Shaped>),
}

/// A body that a fault slows down or cuts off.
pub(crate) struct Shaped {
    inner: ReplyBody,
    pub(crate) bytes_per_second: Option<u64>,
    /// After so many bytes the connection is reset.
    pub(crate) cut_after: Option<u64>,
    wire: Arc<Wire>,
    sent: u64,
    /// The next frame, and until when it is held back.
    waiting: Option<(Pin<Box<Sleep>>, Bytes)>,
}

impl Reply {
    /// A reply without a body.
    pub(crate) fn status(status: u16) -> Reply {
        Reply { status, headers: HeaderMap::with_capacity(12), body: ReplyBody::Empty }
    }

    /// Adds a header of a fixed name. A value that no header can carry is left out.
    pub(crate) fn with(mut self, name: &'static str, value: impl Display) -> Reply {
        self.insert(HeaderName::from_static(name), &value.to_string());
        self
    }

    /// Adds a header when there is a value for it.
    pub(crate) fn maybe(self, name: &'static str, value: Option<impl Display>) -> Reply {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }

    /// Adds `x-ms-meta-*` headers.
    pub(crate) fn metadata(mut self, metadata: &[(String, String)]) -> Reply {
        for (key, value) in metadata {
            if let Ok(name) = HeaderName::try_from(format!("x-ms-meta-{key}")) {
                self.insert(name, value);
            }
        }
        self
    }

    /// Gives the reply an XML body.
    pub(crate) fn xml(mut self, text: String) -> Reply {
        self.body = ReplyBody::Full(Bytes::from(text));
        self.with("content-type", "application/xml")
    }

    /// The reply to a refused request; `sent_body` is false for HEAD, whose reply has headers only.
    pub(crate) fn refusal(refusal: &Refusal, has_body: bool, request_id: &str, now: Stamp) -> Reply {
        let Refusal { status, code, message, details, headers } = refusal;
        let mut reply = Reply::status(*status).with("x-ms-error-code", code);
        for (name, value) in headers {
            reply = reply.with(name, value);
        }
        if !has_body || *status == 304 {
            return reply;
        }
        let more: String = details
            .iter()
            .map(|(name, text)| format!("<{name}>{}</{name}>", escape(text.as_str())))
            .collect();
        let text = format!(
            "<?xml version=\"1.0\" encoding=\"utf-8\"?><Error><Code>{code}</Code><Message>{}\nRequestId:{request_id}\nTime:{now}</Message>{more}</Error>",
            escape(message.as_str())
        );
        reply.xml(text)
    }

    /// The response as hyper sends it.
    pub(crate) fn into_response(self) -> Response<ReplyBody> {
        let mut response = Response::new(self.body);
        *response.status_mut() =
            StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        *response.headers_mut() = self.headers;
        response
    }

    fn insert(&mut self, name: HeaderName, value: &str) {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.append(name, value);
        }
    }
}

impl ReplyBody {
    fn remaining(&self) -> u64 {
        match self {
            ReplyBody::Empty => 0,
            ReplyBody::Full(bytes) => bytes.len() as u64,
            ReplyBody::Pieces(pieces) => pieces.iter().map(Piece::length).sum(),
            ReplyBody::Shaped(shaped) => {
                let held_back = shaped.waiting.as_ref().map_or(0, |(_, frame)| frame.len() as u64);
                held_back + shaped.inner.remaining()
            }
        }
    }

    fn next_frame(&mut self) -> io::Result<Option<Bytes>> {
        match self {
            ReplyBody::Empty | ReplyBody::Shaped(_) => Ok(None),
            ReplyBody::Full(bytes) if bytes.is_empty() => Ok(None),
            ReplyBody::Full(bytes) => Ok(Some(std::mem::take(bytes))),
            ReplyBody::Pieces(pieces) => {
                while let Some(piece) = pieces.front_mut() {
                    if let Some(frame) = piece.next_frame()? {
                        return Ok(Some(frame));
                    }
                    pieces.pop_front();
                }
                Ok(None)
            }
        }
    }
}

impl Shaped {
    /// A slow body before anything of it was sent.
    pub(crate) fn new(inner: ReplyBody, wire: Arc<Wire>) -> Shaped {
        Shaped { inner, bytes_per_second: None, cut_after: None, wire, sent: 0, waiting: None }
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        if self.waiting.is_none() {
            if self.cut_after.is_some_and(|cut| self.sent >= cut) {
                self.wire.reset();
                return Poll::Ready(Some(Err(io::ErrorKind::ConnectionReset.into())));
            }
            let frame = match self.inner.next_frame() {
                Ok(Some(frame)) => frame,
                Ok(None) => return Poll::Ready(None),
                Err(error) => return Poll::Ready(Some(Err(error))),
            };
            let left = self.cut_after.map_or(frame.len() as u64, |cut| cut - self.sent);
            let size = usize::try_from(left).map_or(frame.len(), |left| left.min(frame.len()));
            let time = self.bytes_per_second.map_or(Duration::ZERO, |rate| time_for(size, rate));
            self.waiting = Some((Box::pin(tokio::time::sleep(time)), frame.slice(..size)));
        }
        if let Some((sleep, _)) = &mut self.waiting {
            ready!(sleep.as_mut().poll(context));
        }
        let frame = self.waiting.take().map(|(_, frame)| frame).unwrap_or_default();
        self.sent += frame.len() as u64;
        Poll::Ready(Some(Ok(frame)))
    }
}

/// How long so many bytes take at a rate.
pub(crate) fn time_for(bytes: usize, bytes_per_second: u64) -> Duration {
    let nanoseconds = u128::from(bytes as u64) * 1_000_000_000 / u128::from(bytes_per_second.max(1));
    Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(u64::MAX))
}

impl Body for ReplyBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let frame = match &mut *self {
            ReplyBody::Shaped(shaped) => ready!(shaped.poll(context)),
            plain => plain.next_frame().transpose(),
        };
        Poll::Ready(frame.map(|frame| frame.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, ReplyBody::Empty)
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.remaining())
    }
}

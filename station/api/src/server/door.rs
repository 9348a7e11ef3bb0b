//! What happens to a connection before its first byte counts: a seat for it, who is at its other end, and a limit on
//! how long an answer may stay unread.
//!
//! A connection that finds no seat is closed at once. Under TLS the door stands before the handshake, so that
//! handshakes have seats too.

use std::fmt;
use std::future::{Ready, ready};
use std::io;
use std::net::{IpAddr, Ipv6Addr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready as poll_ready};
use std::time::Duration;

use axum::http::Request;
use axum_server::accept::Accept;
use hyper::body::Incoming;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::{Instant, Sleep};
use tower::Service;

use super::seats::{Seat, Seats};

/// Who is at the other end of a connection, as the system says.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Peer {
    /// A network address; an IPv6 one stands for its whole /64, which one client commands anyway.
    Network(IpAddr),
    /// A process of this machine, by its user.
    Local {
        /// The user's number.
        uid: u32,
    },
}

impl fmt::Display for Peer {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Network(address) => write!(out, "{address}"),
            Self::Local { uid } => write!(out, "local:{uid}"),
        }
    }
}

/// What every request of a connection knows of it: an extension of every request.
#[derive(Clone, Copy, Debug)]
pub struct Origin {
    /// Its other end.
    pub peer: Peer,
    /// Whether it is encrypted.
    pub is_tls: bool,
}

/// A stream that knows its other end.
pub(super) trait Peered {
    fn peer(&self) -> io::Result<Peer>;
}

impl Peered for TcpStream {
    fn peer(&self) -> io::Result<Peer> {
        Ok(Peer::Network(neighbourhood(self.peer_addr()?.ip())))
    }
}

impl Peered for UnixStream {
    fn peer(&self) -> io::Result<Peer> {
        Ok(Peer::Local { uid: self.peer_cred()?.uid() })
    }
}

fn neighbourhood(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX))),
        v4 => v4,
    }
}

/// The acceptor of every listener.
#[derive(Clone, Debug)]
pub(super) struct Door {
    pub seats: Seats<Peer>,
    pub unread: Duration,
    pub is_tls: bool,
}

impl<I: Peered, S> Accept<I, S> for Door {
    type Stream = Impatient<I>;
    type Service = Seated<S>;
    type Future = Ready<io::Result<(Self::Stream, Self::Service)>>;

    fn accept(&self, stream: I, inner: S) -> Self::Future {
        let seated = stream.peer().and_then(|peer| Ok((peer, self.seat(peer)?)));
        ready(seated.map(|(peer, seat)| {
            let origin = Origin { peer, is_tls: self.is_tls };
            (Impatient::new(stream, self.unread), Seated { inner, origin, _seat: Arc::new(seat) })
        }))
    }
}

impl Door {
    fn seat(&self, peer: Peer) -> io::Result<Seat<Peer>> {
        let seat = match peer {
            Peer::Network(_) => self.seats.take(peer),
            // The command line on the machine itself is how one looks at a crowded station: it always gets in.
            Peer::Local { .. } => Some(self.seats.take_always(peer)),
        };
        seat.ok_or_else(|| io::Error::new(io::ErrorKind::ConnectionRefused, "too many connections"))
    }
}

/// The service of one connection: tells each request where it came from, and holds the seat.
#[derive(Clone, Debug)]
pub(super) struct Seated<S> {
    inner: S,
    origin: Origin,
    _seat: Arc<Seat<Peer>>,
}

impl<S: Service<Request<Incoming>>> Service<Request<Incoming>> for Seated<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<Incoming>) -> S::Future {
        request.extensions_mut().insert(self.origin);
        self.inner.call(request)
    }
}

/// A stream that fails once its other end left what was written unread for too long.
#[derive(Debug)]
pub(super) struct Impatient<I> {
    inner: I,
    unread: Duration,
    waiting: Option<Pin<Box<Sleep>>>,
}

impl<I> Impatient<I> {
    fn new(inner: I, unread: Duration) -> Self {
        Self { inner, unread, waiting: None }
    }

    /// Passes a write's outcome on; a write that has to wait runs against the clock since it began to wait.
    fn timed<T>(&mut self, context: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.waiting = None;
            return written;
        }
        let deadline = Instant::now() + self.unread;
        let waiting = self.waiting.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        poll_ready!(waiting.as_mut().poll(context));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client does not read its answer")))
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for Impatient<I> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(context, buffer)
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for Impatient<I> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write(context, bytes);
        self.timed(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write_vectored(context, slices);
        self.timed(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.inner).poll_flush(context);
        self.timed(context, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = Pin::new(&mut self.inner).poll_shutdown(context);
        self.timed(context, shut)
    }
}

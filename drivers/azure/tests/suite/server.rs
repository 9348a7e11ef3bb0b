//! A server that records each request byte for byte and does what its script says.
//!
//! Speaks just enough HTTP/1.1 by hand, because a library would tidy up what is to be seen here.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio_rustls::TlsAcceptor;

/// What to do with the next request.
pub enum Act {
    /// Answer.
    Reply(Reply),
    /// Read this much of the body, then reset the connection.
    ResetAfterBody(usize),
    /// Read the request, then close without an answer.
    HangUp,
    /// Read the request and never answer.
    Stall,
    /// Take nothing of the body before being told to, then answer 201.
    HoldUntil(Arc<Notify>),
    /// Take nothing of the body for this long, then answer 201.
    Slow(Duration),
    /// Answer with a body that never ends.
    Endless,
}

/// An answer.
#[derive(Clone)]
pub struct Reply {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Reply {
    /// With the headers that each answer of the service has.
    pub fn new(status: u16) -> Reply {
        let reply = Reply { status, headers: Vec::new(), body: Vec::new() };
        reply
            .with("ETag", "\"0x8D\"")
            .with("Last-Modified", "Tue, 14 Nov 2023 22:13:20 GMT")
            .with("x-ms-request-id", "req-1")
    }

    /// A refusal with its code in header and document.
    pub fn error(status: u16, code: &str) -> Reply {
        let document = format!(
            "<?xml version=\"1.0\" encoding=\"utf-8\"?><Error><Code>{code}</Code><Message>Said so.\nRequestId:req-1</Message></Error>"
        );
        Reply::new(status).with("x-ms-error-code", code).body(document.as_bytes())
    }

    /// One header more.
    pub fn with(mut self, name: &str, value: &str) -> Reply {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The body.
    pub fn body(mut self, body: &[u8]) -> Reply {
        self.body = body.to_vec();
        self
    }

    /// As the next act.
    pub fn act(self) -> Act {
        Act::Reply(self)
    }
}

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Seen {
    /// `PUT /path HTTP/1.1`.
    pub line: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// What was read of the body.
    pub body: Vec<u8>,
    /// Which connection it came over, counted from 0.
    pub connection: usize,
}

impl Seen {
    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    /// Path and query.
    pub fn target(&self) -> &str {
        self.line.split(' ').nth(1).unwrap()
    }
}

/// The server; it ends with the test's runtime.
pub struct Server {
    /// Where it listens.
    pub address: SocketAddr,
    state: Arc<Shared>,
}

struct Shared {
    script: Mutex<VecDeque<Act>>,
    seen: Mutex<Vec<Seen>>,
    body_begun: Notify,
}

impl Server {
    /// Starts with a script; requests beyond it are answered with 201.
    pub async fn start(script: Vec<Act>) -> Server {
        Server::run(script, None).await
    }

    /// The same over TLS.
    pub async fn start_tls(script: Vec<Act>, acceptor: TlsAcceptor) -> Server {
        Server::run(script, Some(acceptor)).await
    }

    async fn run(script: Vec<Act>, acceptor: Option<TlsAcceptor>) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(Shared {
            script: Mutex::new(script.into()),
            seen: Mutex::default(),
            body_begun: Notify::new(),
        });
        let shared = Arc::clone(&state);
        tokio::spawn(async move {
            for connection in 0.. {
                let Ok((stream, _)) = listener.accept().await else { return };
                tokio::spawn(welcome(stream, acceptor.clone(), Arc::clone(&shared), connection));
            }
        });
        Server { address, state }
    }

    /// Adds to the script, for answers that contain the server's own address.
    pub fn extend(&self, script: Vec<Act>) {
        self.state.script.lock().unwrap().extend(script);
    }

    /// The requests so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.state.seen.lock().unwrap().clone()
    }

    /// Waits until a request with a held-back body is there.
    pub async fn body_begun(&self) {
        self.state.body_begun.notified().await;
    }
}

async fn welcome(stream: TcpStream, acceptor: Option<TlsAcceptor>, state: Arc<Shared>, connection: usize) {
    match acceptor {
        None => serve(stream, &state, connection).await,
        Some(acceptor) => {
            if let Ok(stream) = acceptor.accept(stream).await {
                serve(stream, &state, connection).await;
            }
        }
    }
}

async fn serve(mut stream: impl AsyncRead + AsyncWrite + Unpin, state: &Shared, connection: usize) {
    let mut pending = Vec::new();
    while let Some((head, after)) = read_head(&mut stream, std::mem::take(&mut pending)).await {
        let (line, headers) = split_head(&head);
        let length = headers.iter().find(|(name, _)| name == "content-length").map(|(_, v)| v.clone());
        let length: usize = length.map_or(0, |text| text.parse().unwrap());
        let act = state.script.lock().unwrap().pop_front().unwrap_or_else(|| Reply::new(201).act());
        match &act {
            Act::HoldUntil(told) => {
                state.body_begun.notify_one();
                told.notified().await;
            }
            Act::Slow(pause) => tokio::time::sleep(*pause).await,
            _ => {}
        }
        let wanted = if let Act::ResetAfterBody(count) = act { count } else { length };
        let (body, rest) = read_body(&mut stream, after, wanted).await;
        pending = rest;
        let is_head = line.starts_with("HEAD ");
        state.seen.lock().unwrap().push(Seen { line, headers, body, connection });
        match act {
            Act::Reply(reply) => answer(&mut stream, &reply, is_head).await,
            Act::HoldUntil(_) | Act::Slow(_) => answer(&mut stream, &Reply::new(201), is_head).await,
            Act::ResetAfterBody(_) | Act::HangUp => return,
            Act::Stall => std::future::pending().await,
            Act::Endless => return endless(&mut stream).await,
        }
    }
}

async fn read_head(stream: &mut (impl AsyncRead + Unpin), mut bytes: Vec<u8>) -> Option<(String, Vec<u8>)> {
    loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            let after = bytes.split_off(end + 4);
            return Some((String::from_utf8(bytes).unwrap(), after));
        }
        let mut piece = [0u8; 4_096];
        match stream.read(&mut piece).await {
            Ok(count) if count > 0 => bytes.extend_from_slice(&piece[..count]),
            _ => return None,
        }
    }
}

fn split_head(head: &str) -> (String, Vec<(String, String)>) {
    let mut lines = head.trim_end().split("\r\n");
    let line = lines.next().unwrap().to_owned();
    let headers = lines
        .map(|line| line.split_once(": ").unwrap_or((line.trim_end_matches(':'), "")))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    (line, headers)
}

async fn read_body(
    stream: &mut (impl AsyncRead + Unpin),
    mut body: Vec<u8>,
    wanted: usize,
) -> (Vec<u8>, Vec<u8>) {
    let mut piece = vec![0u8; 64 << 10];
    while body.len() < wanted {
        match stream.read(&mut piece).await {
            Ok(count) if count > 0 => body.extend_from_slice(&piece[..count]),
            _ => break,
        }
    }
    let rest = if body.len() > wanted { body.split_off(wanted) } else { Vec::new() };
    (body, rest)
}

async fn answer(stream: &mut (impl AsyncWrite + Unpin), reply: &Reply, is_head: bool) {
    let mut text = format!("HTTP/1.1 {} X\r\n", reply.status);
    for (name, value) in &reply.headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    let has_length = reply.headers.iter().any(|(name, _)| name == "Content-Length");
    if !has_length {
        text.push_str(&format!("Content-Length: {}\r\n", reply.body.len()));
    }
    text.push_str("\r\n");
    let mut bytes = text.into_bytes();
    if !is_head {
        bytes.extend_from_slice(&reply.body);
    }
    // A client that has gone away is what some tests are about.
    let _ = stream.write_all(&bytes).await;
    let _ = stream.flush().await;
}

async fn endless(stream: &mut (impl AsyncWrite + Unpin)) {
    let _ = stream.write_all(b"HTTP/1.1 200 X\r\nETag: \"1\"\r\nTransfer-Encoding: chunked\r\n\r\n").await;
    let mut chunk = b"100000\r\n".to_vec();
    chunk.extend(std::iter::repeat_n(b'x', 1 << 20));
    chunk.extend_from_slice(b"\r\n");
    while stream.write_all(&chunk).await.is_ok() {}
}

//! Clients that send too much, too slowly, too often, or do not read: each loses only its own connection.

use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::body::Bytes;
use axum::{Router, routing};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::people::{Operation, Role, needs};
use crate::server::config::{Limits, Rate};

use super::rig::{DEADLINE, Running, body_of, has_status, plain, rest};

/// Limits that a test can wait for.
fn short() -> Limits {
    Limits { header_ms: 200, body_ms: 200, request_ms: 200, unread_ms: 200, ..Limits::default() }
}

fn post(token: &str, more: &str) -> String {
    format!("POST /length HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n{more}\r\n\r\n")
}

#[tokio::test]
async fn a_body_up_to_the_limit_is_taken_and_one_byte_more_is_413() {
    let server = Running::start(plain(Limits { body_bytes_max: 1000, ..Limits::default() })).await;
    let token = server.token(&[Role::Admin]).await;
    for (length, status) in [(1000, 200), (1001, 413)] {
        let body = "x".repeat(length);
        let declared = post(&token, &format!("connection: close\r\ncontent-length: {length}")) + &body;
        assert!(has_status(&server.ask(&declared).await, status), "{length} declared");
        let chunked = post(&token, "connection: close\r\ntransfer-encoding: chunked");
        let chunked = format!("{chunked}{length:x}\r\n{body}\r\n0\r\n\r\n");
        assert!(has_status(&server.ask(&chunked).await, status), "{length} in chunks");
    }
    server.stop().await;
}

#[tokio::test]
async fn a_handler_gets_the_memory_that_is_zeroed_and_no_copy() {
    // What has an owner cannot be taken from it.
    let is_owned = async |body: Bytes| format!("{} {}", body.len(), body.try_into_mut().is_err());
    let router = Router::new().route("/length", routing::post(is_owned).layer(needs(Operation::JobsWrite)));
    let server = Running::start_routes(plain(Limits::default()), router).await;
    let token = server.token(&[Role::Admin]).await;
    let declared = post(&token, "connection: close\r\ncontent-length: 9") + "a secret!";
    let chunked = post(&token, "connection: close\r\ntransfer-encoding: chunked")
        + "2\r\na \r\n7\r\nsecret!\r\n0\r\n\r\n";
    for request in [declared, chunked] {
        let answer = server.ask(&request).await;
        assert_eq!(body_of(&answer), "9 true", "{answer}");
    }
    server.stop().await;
}

#[tokio::test]
async fn no_body_is_taken_from_somebody_unknown() {
    let server = Running::start(plain(Limits::default())).await;
    // The body never comes, and the answer does.
    let answer = server
        .ask("POST /length HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 1000\r\n\r\n")
        .await;
    assert!(has_status(&answer, 401), "{answer}");
    server.stop().await;
}

#[tokio::test]
async fn a_body_that_breaks_off_or_is_garbled_reaches_no_handler() {
    let server = Running::start(plain(Limits::default())).await;
    let token = server.token(&[Role::Admin]).await;
    let garbled = post(&token, "connection: close\r\ntransfer-encoding: chunked") + "zz\r\n";
    let answer = server.ask(&garbled).await;
    assert!(has_status(&answer, 400), "{answer}");
    server.stop().await;
}

/// Sends a byte every few milliseconds until the other side has had enough; gives what it said.
async fn trickle(stream: TcpStream, bytes: &[u8]) -> String {
    let (mut from, mut to) = stream.into_split();
    let bytes = bytes.to_vec();
    let sender = tokio::spawn(async move {
        for byte in bytes {
            if to.write_all(&[byte]).await.is_err() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    let said = rest(&mut from).await;
    sender.abort();
    said
}

#[tokio::test]
async fn a_head_that_trickles_loses_its_connection() {
    let server = Running::start(plain(short())).await;
    let stream = TcpStream::connect(server.address).await.unwrap();
    let head = format!("GET /open HTTP/1.1\r\nx: {}", "a".repeat(5_000));
    let said = trickle(stream, head.as_bytes()).await;
    assert!(!has_status(&said, 200), "{said}");
    server.stop().await;
}

#[tokio::test]
async fn a_connection_that_says_nothing_is_closed() {
    let server = Running::start(plain(short())).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    assert_eq!(rest(&mut stream).await, "");
    server.stop().await;
}

#[tokio::test]
async fn a_connection_that_is_kept_and_not_used_is_closed() {
    let server = Running::start(plain(short())).await;
    let answer = server.ask("GET /open HTTP/1.1\r\nhost: x\r\n\r\n").await;
    assert!(has_status(&answer, 200), "{answer}");
    server.stop().await;
}

#[tokio::test]
async fn a_body_that_trickles_is_408() {
    let server = Running::start(plain(short())).await;
    let token = server.token(&[Role::Admin]).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(post(&token, "content-length: 5000").as_bytes()).await.unwrap();
    let said = trickle(stream, &[b'x'; 5_000]).await;
    assert!(has_status(&said, 408), "{said}");
    server.stop().await;
}

#[tokio::test]
async fn an_answer_that_nobody_reads_is_given_up() {
    let limits = Limits { connections_max: 1, ..short() };
    let server = Running::start(plain(limits)).await;
    let token = server.token(&[Role::Admin]).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let head = format!("GET /flood HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut first = [0];
    stream.read_exact(&mut first).await.unwrap();
    // The only seat becomes free although the client still holds its end.
    let free = async {
        while !has_status(&server.get("/open", None).await, 200) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(DEADLINE, free).await.expect("the seat is free in time");
    drop(stream);
    server.stop().await;
}

/// The opening of a client that knows we could speak HTTP/2 and opens no window: each answer would stay with us.
fn windowless_http_2(token: &str) -> Vec<u8> {
    let frame = |kind: u8, flags: u8, stream: u8, payload: &[u8]| {
        let length = u8::try_from(payload.len()).unwrap();
        [&[0, 0, length, kind, flags, 0, 0, 0, stream], payload].concat()
    };
    let credentials = format!("Bearer {token}");
    let text = |text: &str| [&[u8::try_from(text.len()).unwrap()], text.as_bytes()].concat();
    // GET, http, :path, :authority and authorization, by HPACK's static table.
    let head =
        [&[0x82, 0x86, 0x04][..], &text("/flood"), &[0x01], &text("x"), &[0x0f, 0x08], &text(&credentials)]
            .concat();
    let settings = frame(4, 0, 0, &[0, 4, 0, 0, 0, 0]);
    [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), settings, frame(1, 5, 1, &head)].concat()
}

#[tokio::test]
async fn a_client_of_http_2_is_closed_before_anything_is_kept_for_it() {
    let server = Running::start(plain(Limits::default())).await;
    let token = server.token(&[Role::Admin]).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(&windowless_http_2(&token)).await.unwrap();
    let said = rest(&mut stream).await;
    assert!(said.is_empty() || has_status(&said, 400) || has_status(&said, 505), "{said:?}");
    server.stop().await;
}

#[tokio::test]
async fn connections_above_the_limit_are_closed_and_seats_come_back() {
    let limits = Limits { connections_max: 10, connections_per_address_max: 2, ..Limits::default() };
    let server = Running::start(plain(limits)).await;
    let mut held = Vec::new();
    for _ in 0..2 {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.write_all(b"GET /open HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        let mut first = [0];
        stream.read_exact(&mut first).await.unwrap();
        held.push(stream);
    }
    assert_eq!(server.get("/open", None).await, "", "the third is closed");
    held.pop();
    let free = async {
        while !has_status(&server.get("/open", None).await, 200) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(DEADLINE, free).await.expect("a seat comes back");
    server.stop().await;
}

#[tokio::test]
async fn a_caller_who_asks_too_often_waits_and_others_do_not() {
    let limits = Limits { caller_rate: Rate { per_second: 1, burst: 3 }, ..Limits::default() };
    let server = Running::start(plain(limits)).await;
    let [busy, other] = [server.token(&[Role::Admin]).await, server.token(&[Role::Admin]).await];
    for _ in 0..3 {
        assert!(has_status(&server.get("/jobs", Some(&busy)).await, 200));
    }
    let answer = server.get("/jobs", Some(&busy)).await;
    assert!(has_status(&answer, 429) && answer.contains("retry-after: 1\r\n"), "{answer}");
    assert!(has_status(&server.get("/jobs", Some(&other)).await, 200));
    server.stop().await;
}

#[tokio::test]
async fn an_address_that_asks_too_often_waits_before_its_credentials_are_looked_at() {
    let limits = Limits { address_rate: Rate { per_second: 1, burst: 2 }, ..Limits::default() };
    let server = Running::start(plain(limits)).await;
    for _ in 0..2 {
        assert!(has_status(&server.get("/jobs", Some("guess")).await, 401));
    }
    let answer = server.get("/jobs", Some("guess")).await;
    assert!(has_status(&answer, 429) && answer.contains("retry-after: "), "{answer}");
    server.stop().await;
}

#[tokio::test]
async fn more_requests_than_may_run_are_told_to_come_back() {
    let server = Running::start(plain(Limits { requests_max: 1, ..Limits::default() })).await;
    let token = server.token(&[Role::Admin]).await;
    let (slow, busy) = tokio::join!(server.get("/slow", Some(&token)), async {
        server.deeds.slow_began.notified().await;
        let answer = server.get("/jobs", Some(&token)).await;
        server.deeds.slow_may_end.notify_one();
        answer
    });
    assert!(has_status(&slow, 200), "{slow}");
    assert!(has_status(&busy, 503) && busy.contains("retry-after: 1\r\n"), "{busy}");
    server.stop().await;
}

#[tokio::test]
async fn one_caller_cannot_take_all_places() {
    let server = Running::start(plain(Limits { requests_max: 4, ..Limits::default() })).await;
    let [greedy, other] = [server.token(&[Role::Admin]).await, server.token(&[Role::Admin]).await];
    // A body that does not come holds the one place that a caller of four may have.
    let mut held = TcpStream::connect(server.address).await.unwrap();
    held.write_all(post(&greedy, "content-length: 5").as_bytes()).await.unwrap();
    let refused = async {
        while !has_status(&server.get("/jobs", Some(&greedy)).await, 429) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(DEADLINE, refused).await.expect("refused in time");
    assert!(has_status(&server.get("/jobs", Some(&other)).await, 200));
    held.write_all(b"12345").await.unwrap();
    let mut first = [0; 12];
    held.read_exact(&mut first).await.unwrap();
    assert_eq!(&first, b"HTTP/1.1 200");
    drop(held);
    server.stop().await;
}

#[tokio::test]
async fn a_public_path_waits_for_no_body() {
    let server = Running::start(plain(Limits::default())).await;
    let answer = server
        .ask("GET /open HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\nconnection: close\r\n\r\n")
        .await;
    assert!(has_status(&answer, 200), "{answer}");
    server.stop().await;
}

#[tokio::test]
async fn a_handler_that_takes_too_long_is_503_and_still_ends_what_it_began() {
    let server = Running::start(plain(short())).await;
    let token = server.token(&[Role::Admin]).await;
    let answer = server.get("/slow", Some(&token)).await;
    assert!(has_status(&answer, 503), "{answer}");
    let deeds = server.deeds.clone();
    assert_eq!(deeds.slow_ended.load(Ordering::SeqCst), 0);
    deeds.slow_may_end.notify_one();
    // Stopping waits for it.
    server.stop().await;
    assert_eq!(deeds.slow_ended.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_client_that_leaves_does_not_tear_its_request_apart() {
    let server = Running::start(plain(Limits::default())).await;
    let token = server.token(&[Role::Admin]).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let head = format!("GET /slow HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    server.deeds.slow_began.notified().await;
    drop(stream);
    // Another request passes, so the server had the time to see that the client left.
    assert!(has_status(&server.get("/jobs", Some(&token)).await, 200));
    let deeds = server.deeds.clone();
    deeds.slow_may_end.notify_one();
    server.stop().await;
    assert_eq!(deeds.slow_ended.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_head_that_is_too_large_is_refused() {
    let server = Running::start(plain(Limits::default())).await;
    let many = "x: y\r\n".repeat(100);
    let long = format!("x: {}\r\n", "a".repeat(70_000));
    for headers in [many, long] {
        let answer = server.ask(&format!("GET /open HTTP/1.1\r\nhost: x\r\n{headers}\r\n")).await;
        assert!(has_status(&answer, 431) || answer.is_empty(), "{answer}");
    }
    server.stop().await;
}

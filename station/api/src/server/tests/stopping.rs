//! Stopping: what runs may end, streams are told, and the deadline holds.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::people::Role;
use crate::server::config::Limits;

use super::rig::{Running, has_status, plain, rest};

#[tokio::test]
async fn a_request_that_runs_gets_its_answer_after_stop_was_said() {
    let mut server = Running::start(plain(Limits::default())).await;
    let token = server.token(&[Role::Admin]).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let head = format!("GET /slow HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    server.deeds.slow_began.notified().await;
    server.say_stop();
    while TcpStream::connect(server.address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    server.deeds.slow_may_end.notify_one();
    let answer = rest(&mut stream).await;
    assert!(has_status(&answer, 200) && answer.ends_with("slow"), "{answer}");
    server.ended().await;
}

#[tokio::test]
async fn a_stream_without_an_end_ends_when_the_server_stops() {
    let mut server = Running::start(plain(Limits { shutdown_ms: 3_600_000, ..Limits::default() })).await;
    let token = server.token(&[Role::Admin]).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let head = format!("GET /stream HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut said = String::new();
    while !said.contains("hello\n") {
        let mut some = [0; 1024];
        let count = stream.read(&mut some).await.unwrap();
        said.push_str(&String::from_utf8_lossy(&some[..count]));
    }
    server.say_stop();
    assert!(rest(&mut stream).await.ends_with("0\r\n\r\n"), "it ends as it should");
    server.ended().await;
}

#[tokio::test]
async fn a_request_that_never_ends_does_not_hold_the_server_beyond_the_deadline() {
    let mut server = Running::start(plain(Limits { shutdown_ms: 100, ..Limits::default() })).await;
    let token = server.token(&[Role::Admin]).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let head = format!("GET /slow HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    server.deeds.slow_began.notified().await;
    server.say_stop();
    server.ended().await;
}

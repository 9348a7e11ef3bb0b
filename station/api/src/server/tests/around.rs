//! What goes around a handler: who is let in, what an answer carries, what a fault looks like.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::routing::post;

use crate::people::{Cell, Reach, Role, TABLE, cell, needs};
use crate::server::config::{Limits, Rate};

use super::rig::{DEADLINE, Running, has_status, plain};

async fn running() -> Running {
    Running::start(plain(Limits::default())).await
}

#[tokio::test]
async fn without_credentials_there_is_401_in_the_shape_of_the_surface() {
    let server = running().await;
    for path in ["/jobs", "/nothing-here", "/forgot"] {
        let answer = server.get(path, None).await;
        assert!(has_status(&answer, 401), "{answer}");
        assert!(answer.contains("www-authenticate: Bearer\r\n"), "{answer}");
        assert!(answer.contains("application/problem+json") && answer.contains("/problems/unauthenticated"));
    }
    let answer = server.get("/subscriptions/a", None).await;
    assert!(
        has_status(&answer, 401) && answer.contains(r#"{"error":{"code":"AuthenticationFailed""#),
        "{answer}"
    );
    server.stop().await;
}

#[tokio::test]
async fn credentials_that_do_not_hold_are_all_answered_alike() {
    let server = running().await;
    let token = server.token(&[Role::Admin]).await;
    let lines = [
        "authorization: Basic YTpi".to_owned(),
        "authorization: Bearer".to_owned(),
        "authorization: Bearer ".to_owned(),
        format!("authorization: Bearer {token} {token}"),
        format!("authorization: Bearer {token}\r\nauthorization: Bearer {token}"),
        format!("authorization: Bearer {token},Bearer {token}"),
        "authorization: Bearer drayage_0000".to_owned(),
        format!("authorization: Bearer {}", "a".repeat(17 << 10)),
        "authorization: Bearer aaaa.bbbb.cccc".to_owned(),
    ];
    let mut bodies = std::collections::BTreeSet::new();
    for line in lines {
        let answer = server
            .ask(&format!("GET /jobs HTTP/1.1\r\nhost: x\r\n{line}\r\nconnection: close\r\n\r\n"))
            .await;
        assert!(has_status(&answer, 401), "{line}: {answer}");
        bodies.insert(answer.split("\r\n\r\n").nth(1).unwrap().to_owned());
    }
    assert_eq!(bodies.len(), 1, "an answer tells which way was wrong: {bodies:?}");
    server.stop().await;
}

#[tokio::test]
async fn a_role_that_may_not_gets_403() {
    let server = running().await;
    let token = server.token(&[Role::Auditor]).await;
    let head =
        format!("POST /length HTTP/1.1\r\nhost: x\r\nauthorization: bearer {token}\r\nconnection: close\r\n");
    let answer = server.ask(&format!("{head}content-length: 0\r\n\r\n")).await;
    assert!(has_status(&answer, 403) && answer.contains("/problems/forbidden"), "{answer}");
    assert!(has_status(&server.get("/jobs", Some(&token)).await, 200));
    server.stop().await;
}

#[tokio::test]
async fn every_answer_carries_an_id_and_the_headers_of_caution() {
    let server = running().await;
    let token = server.token(&[Role::Auditor]).await;
    for (path, token) in
        [("/jobs", Some(token.as_str())), ("/jobs", None), ("/open", None), ("/nothing", None)]
    {
        let answer = server.get(path, token).await;
        for header in [
            "x-ms-request-id: ",
            "x-ms-correlation-request-id: ",
            "x-content-type-options: nosniff\r\n",
            "cache-control: no-store\r\n",
            "referrer-policy: no-referrer\r\n",
            "content-security-policy: default-src 'none'; frame-ancestors 'none'\r\n",
        ] {
            assert!(answer.contains(header), "{path} without {header}: {answer}");
        }
        assert!(!answer.contains("strict-transport-security"), "only TLS may say this");
    }
    server.stop().await;
}

#[tokio::test]
async fn a_correlation_id_is_echoed_if_it_is_a_name() {
    let server = running().await;
    let with = |id: &str| {
        format!(
            "GET /open HTTP/1.1\r\nhost: x\r\nx-ms-correlation-request-id: {id}\r\nconnection: close\r\n\r\n"
        )
    };
    let answer = server.ask(&with("c-17")).await;
    assert!(answer.contains("x-ms-correlation-request-id: c-17\r\n"), "{answer}");
    for bad in ["a b", "<script>", &"a".repeat(65)] {
        let answer = server.ask(&with(bad)).await;
        assert!(!answer.contains(bad), "{answer}");
    }
    server.stop().await;
}

#[tokio::test]
async fn a_route_that_forgot_to_ask_answers_nothing() {
    let server = running().await;
    let token = server.token(&[Role::Admin]).await;
    let answer = server.get("/forgot", Some(&token)).await;
    assert!(has_status(&answer, 500) && !answer.contains("secret"), "{answer}");
    server.stop().await;
}

#[tokio::test]
async fn a_panic_is_an_answer_and_the_server_goes_on() {
    let server = running().await;
    let token = server.token(&[Role::Admin]).await;
    let answer = server.get("/panic", Some(&token)).await;
    assert!(has_status(&answer, 500) && answer.contains("/problems/internal"), "{answer}");
    assert!(!answer.contains("planted"), "{answer}");
    assert!(has_status(&server.get("/jobs", Some(&token)).await, 200));
    server.stop().await;
}

#[tokio::test]
async fn the_routers_own_refusals_have_a_body() {
    let server = running().await;
    let token = server.token(&[Role::Admin]).await;
    let answer = server.get("/nothing", Some(&token)).await;
    assert!(has_status(&answer, 404) && answer.contains("/problems/not-found"), "{answer}");
    let answer = server.get("/providers/nothing", Some(&token)).await;
    assert!(has_status(&answer, 404) && answer.contains(r#""code":"ResourceNotFound""#), "{answer}");
    let head = format!(
        "DELETE /jobs HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\nconnection: close\r\n\r\n"
    );
    let answer = server.ask(&head).await;
    assert!(has_status(&answer, 405) && answer.contains("allow: GET,HEAD\r\n"), "{answer}");
    server.stop().await;
}

#[tokio::test]
async fn a_public_path_may_be_read_and_nothing_else() {
    let server = running().await;
    assert!(has_status(&server.get("/open", None).await, 200));
    let posted = "POST /open HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    assert!(has_status(&server.ask(posted).await, 401));
    assert!(has_status(&server.get("/open/", None).await, 401));
    server.stop().await;
}

/// A route for each operation of the table, which answers what it may reach.
fn table_routes() -> Router {
    let mut router = Router::new();
    for (number, (operation, _)) in TABLE.iter().enumerate() {
        let answer =
            post(async |reach: Reach| format!("reaches {:?}", reach.grants())).layer(needs(*operation));
        router = router.route(&format!("/operation/{number}"), answer);
    }
    router
}

#[tokio::test]
async fn every_operation_and_every_role_get_over_http_what_the_table_says() {
    let rate = Rate { per_second: 100_000, burst: 100_000 };
    let limits = Limits { address_rate: rate, caller_rate: rate, ..Limits::default() };
    let server = Running::start_routes(plain(limits), table_routes()).await;
    for role in Role::ALL {
        let token = server.token(&[role]).await;
        for (number, (operation, _)) in TABLE.iter().enumerate() {
            let head = format!("POST /operation/{number} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n");
            let anonymous = server.ask(&format!("{head}content-length: 0\r\n\r\n")).await;
            assert!(has_status(&anonymous, 401), "{operation:?}: {anonymous}");
            let asked = format!("{head}authorization: Bearer {token}\r\ncontent-length: 0\r\n\r\n");
            let answer = server.ask(&asked).await;
            let (status, reach) = match cell(role, *operation) {
                Cell::No => (403, "/problems/forbidden"),
                Cell::Own => (200, "reaches Some([Grant"),
                // A customer's token names something, so even what all may read it reaches only there.
                Cell::All if role == Role::Customer => (200, "reaches Some([Grant"),
                Cell::All => (200, "reaches None"),
            };
            assert!(has_status(&answer, status) && answer.contains(reach), "{role} {operation:?}: {answer}");
        }
    }
    server.stop().await;
}

#[test]
fn the_log_has_a_line_a_request_and_neither_query_nor_token_nor_body() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let log = Log::default();
    let lines = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_ansi(false)
        .with_writer(move || lines.clone())
        .finish();
    let subscriber = tracing::Dispatch::new(subscriber);
    // While there is only one, a line that another test's thread comes by first is switched off for all of them.
    let _second = tracing::Dispatch::new(tracing::subscriber::NoSubscriber::default());
    let secret = tracing::dispatcher::with_default(&subscriber, || runtime.block_on(planted_secrets(&log)));
    let text = log.text();
    let line = text.lines().find(|line| line.contains("event=\"request\"") && line.contains("/length"));
    let line = line.expect("a line of the request");
    for field in
        ["request_id=", "correlation_id=", "operator=\"token:", "peer=127.0.0.1", "method=POST", "status=200"]
    {
        assert!(line.contains(field), "{field}: {line}");
    }
    for planted in ["sig=planted", "planted-body", "planted-header", "0badc0de"] {
        assert!(!text.contains(planted), "{planted} is in the log");
    }
    assert!(!text.contains(&secret), "the token is in the log");
    let left = text.lines().find(|line| line.contains("event=\"request\"") && line.contains("/slow"));
    let left = left.expect("a line of the request whose client left");
    assert!(left.contains("status=499") && left.contains("operator=\"token:"), "{left}");
    assert!(text.contains("the API token is mistyped"), "the reason of a refusal is in the log");
}

/// Sends what must not be seen again, in every place that a request has; gives the token.
async fn planted_secrets(log: &Log) -> String {
    let server = running().await;
    let token = server.token(&[Role::Admin]).await;
    let head =
        "POST /length?sig=planted HTTP/1.1\r\nhost: x\r\ncookie: planted-header\r\nconnection: close\r\n";
    let body = "content-length: 12\r\n\r\nplanted-body";
    let answer = server.ask(&format!("{head}authorization: Bearer {token}\r\n{body}")).await;
    assert!(has_status(&answer, 200), "{answer}");
    for wrong in ["drayage_0badc0de", "0badc0de.0badc0de.0badc0de", "0badc0de"] {
        let answer = server.ask(&format!("{head}authorization: Bearer {wrong}\r\n{body}")).await;
        assert!(has_status(&answer, 401), "{answer}");
    }
    let mut leaving = tokio::net::TcpStream::connect(server.address).await.unwrap();
    let head = format!("GET /slow HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n\r\n");
    tokio::io::AsyncWriteExt::write_all(&mut leaving, head.as_bytes()).await.unwrap();
    server.deeds.slow_began.notified().await;
    drop(leaving);
    let noticed = async {
        while !log.text().contains("status=499") {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(DEADLINE, noticed).await.expect("the server sees that the client left");
    server.deeds.slow_may_end.notify_one();
    server.stop().await;
    token
}

/// Lines of a log, in memory.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

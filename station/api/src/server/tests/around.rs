//! What goes around a handler: who is let in, what an answer carries, what a fault looks like.

use crate::people::Role;
use crate::server::config::Limits;

use super::rig::{Running, has_status, plain};

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

#[tokio::test]
async fn every_role_gets_over_http_what_the_table_says() {
    let server = running().await;
    // Two operations stand for the table, which `people` walks in full: one that all may, one that few may.
    for role in Role::ALL {
        // A customer's token must name something; `people` tests those.
        if role == Role::Customer {
            continue;
        }
        let token = server.token(&[role]).await;
        assert!(has_status(&server.get("/jobs", Some(&token)).await, 200), "{role}");
        let may = [Role::Lead, Role::Admin].contains(&role);
        let head = format!(
            "POST /length HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\nconnection: close\r\n"
        );
        let answer = server.ask(&format!("{head}content-length: 2\r\n\r\nhi")).await;
        assert!(has_status(&answer, if may { 200 } else { 403 }), "{role}: {answer}");
    }
    server.stop().await;
}

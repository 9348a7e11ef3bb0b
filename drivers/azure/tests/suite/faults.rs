//! What goes wrong, and what becomes of it.

use std::sync::Arc;
use std::time::Duration;

use azure::{Account, BlobHeaders, Condition, Credential, ErrorKind, RetryPolicy};
use bytes::Bytes;
use model::{Class, Md5Digest};

use crate::server::{Act, Reply, Server};
use crate::support::{TestClock, account, config, config_with, md5, path, put};

fn busy() -> Reply {
    Reply::error(503, "ServerBusy")
}

#[tokio::test]
async fn retry_after_is_waited_for_and_each_try_is_dated_and_signed_anew() {
    let script = vec![
        busy().with("Retry-After", "7").act(),
        Reply::error(500, "InternalError").act(),
        Act::ResetAfterBody(3),
    ];
    let server = Server::start(script).await;
    let clock = TestClock::new();
    let account = Account::new(config(&server, &clock)).unwrap();
    let stored = put(&account, "abc/x", b"hello").await.unwrap();
    assert_eq!((stored.attempts.count, stored.attempts.ambiguous), (4, true));
    // Full jitter with a fraction of 1 gives the bound itself: 1 s (raised to what was asked), 2 s, 4 s.
    assert_eq!(clock.pauses(), [7, 2, 4].map(Duration::from_secs));
    let seen = server.seen();
    let distinct = |name: &str| {
        let mut values: Vec<_> = seen.iter().map(|seen| seen.header(name).unwrap().to_owned()).collect();
        values.sort();
        values.dedup();
        values.len()
    };
    assert_eq!(distinct("x-ms-date"), 4);
    assert_eq!(distinct("authorization"), 4);
    assert_eq!(distinct("x-ms-client-request-id"), 1);
    assert!(seen.iter().all(|seen| seen.header("content-md5").is_some()));
    let counters = account.counters();
    assert_eq!((counters.requests, counters.retries, counters.throttled), (4, 3, 1));
    assert_eq!((counters.in_flight, counters.waiting, counters.bytes_sent), (0, 0, 5));
}

#[tokio::test]
async fn a_block_whose_connection_breaks_in_the_middle_arrives_whole_at_the_next_try() {
    let server = Server::start(vec![Act::ResetAfterBody(1 << 20)]).await;
    let data: Vec<u8> = (0..8u32 << 20).map(|n| n.to_le_bytes()[1]).collect();
    let data = Bytes::from(data);
    let attempts =
        account(&server).put_block(&path("abc/x"), "QQ==", data.clone(), md5(&data), None).await.unwrap();
    assert_eq!((attempts.count, attempts.ambiguous), (2, true));
    let seen = server.seen();
    assert_eq!(seen[0].body.len(), 1 << 20);
    assert!(seen[1].body == data);
}

#[tokio::test]
async fn throttling_halves_the_one_account_and_no_other() {
    let script =
        vec![Reply::error(429, "TooManyRequests").with("x-ms-retry-after-ms", "1500").act(), busy().act()];
    let server = Server::start(script).await;
    let clock = TestClock::new();
    let slowed = Account::new(config(&server, &clock)).unwrap();
    let other = account(&server);
    let full = slowed.counters().concurrency_limit;
    put(&slowed, "abc/x", b"hello").await.unwrap();
    assert_eq!(clock.pauses(), [1_500, 2_000].map(Duration::from_millis));
    assert_eq!(slowed.counters().concurrency_limit, full / 4);
    assert_eq!(other.counters().concurrency_limit, full);
    for _ in 0..400 {
        put(&slowed, "abc/x", b"hello").await.unwrap();
    }
    assert!(slowed.counters().concurrency_limit > full / 2, "it recovers");
}

#[tokio::test]
async fn endless_throttling_is_reported_after_the_last_try() {
    let server = Server::start((0..8).map(|_| busy().act()).collect()).await;
    let error = put(&account(&server), "abc/x", b"hello").await.unwrap_err();
    assert_eq!((error.kind(), error.class(), error.attempts), (ErrorKind::Throttled, Class::RetryRequest, 8));
    assert_eq!(error.code.as_deref(), Some("ServerBusy"));
    assert_eq!(error.request_id.as_deref(), Some("req-1"));
    assert!(!error.ambiguous, "a busy server has not begun");
}

#[tokio::test]
async fn a_conflict_after_a_lost_answer_is_marked_as_perhaps_our_own() {
    for lost in [Act::HangUp, Reply::error(500, "OperationTimedOut").act(), Reply::new(504).act()] {
        let server = Server::start(vec![lost, Reply::error(409, "BlobAlreadyExists").act()]).await;
        let ids = ["QUFB".to_owned()];
        let error = account(&server)
            .put_block_list(&path("abc/x"), &ids, &BlobHeaders::default(), &Condition::IfNoneMatchAny, None)
            .await
            .unwrap_err();
        assert_eq!((error.kind(), error.attempts, error.ambiguous), (ErrorKind::AlreadyExists, 2, true));
    }
    let server = Server::start(vec![busy().act(), Reply::error(409, "BlobAlreadyExists").act()]).await;
    let error = put(&account(&server), "abc/x", b"x").await.unwrap_err();
    assert_eq!((error.kind(), error.ambiguous), (ErrorKind::AlreadyExists, false));
}

#[tokio::test]
async fn a_wrong_clock_is_learned_from_the_refusal() {
    let refusal = Reply::error(403, "AuthenticationFailed").with("Date", "Wed, 15 Nov 2023 06:00:00 GMT");
    let server = Server::start(vec![refusal.act()]).await;
    let clock = TestClock::new();
    let account = Account::new(config(&server, &clock)).unwrap();
    let stored = put(&account, "abc/x", b"x").await.unwrap();
    assert_eq!((stored.attempts.count, stored.attempts.ambiguous), (2, false));
    let dates: Vec<_> = server.seen().iter().map(|s| s.header("x-ms-date").unwrap().to_owned()).collect();
    assert!(dates[0].starts_with("Tue, 14 Nov 2023 22:"), "{}", dates[0]);
    assert!(dates[1].starts_with("Wed, 15 Nov 2023 06:00:"), "{}", dates[1]);
    assert!(clock.pauses().is_empty());
}

#[tokio::test]
async fn a_credential_that_stays_refused_is_tried_twice_and_a_missing_right_once() {
    for (code, attempts) in [("AuthenticationFailed", 2), ("AuthorizationPermissionMismatch", 1)] {
        let server = Server::start((0..3).map(|_| Reply::error(403, code).act()).collect()).await;
        let error = put(&account(&server), "abc/x", b"x").await.unwrap_err();
        assert_eq!((error.kind(), error.class()), (ErrorKind::Forbidden, Class::HoldForCustomer));
        assert_eq!((error.attempts, error.code.as_deref()), (attempts, Some(code)));
    }
}

#[tokio::test]
async fn a_refused_sas_is_not_tried_again() {
    let server = Server::start(vec![Reply::error(403, "AuthenticationFailed").act()]).await;
    let sas = Credential::from_text("sv=2023-11-03&sr=c&sp=w&sig=SECRET").unwrap();
    let account = Account::new(config_with(&server, &TestClock::new(), sas)).unwrap();
    let error = put(&account, "abc/x", b"x").await.unwrap_err();
    assert_eq!((error.kind(), error.attempts), (ErrorKind::Forbidden, 1));
}

#[tokio::test]
async fn the_probe_tells_a_refused_credential_from_a_missing_right() {
    let script = vec![
        Reply::error(403, "AuthorizationPermissionMismatch")
            .with("Date", "Tue, 14 Nov 2023 22:13:20 GMT")
            .act(),
        Reply::error(403, "AuthorizationFailure").act(),
    ];
    let server = Server::start(script).await;
    let account = account(&server);
    let facts = account.probe().await.unwrap();
    assert!(facts.credential_accepted && facts.server_time.is_some());
    assert_eq!(account.probe().await.unwrap_err().kind(), ErrorKind::Forbidden);
    let sas = Credential::from_text("sv=2023-11-03&sr=c&sp=w&sig=SECRET").unwrap();
    let below = Account::new(config_with(&server, &TestClock::new(), sas)).unwrap();
    assert!(!below.probe().await.unwrap().credential_accepted, "nothing was asked");
    assert_eq!(server.seen().len(), 2);
    below.probe_container("abc").await.unwrap();
    assert!(
        server.seen()[2].target().starts_with("/devstoreaccount1/abc?restype=account&comp=properties&sv=")
    );
}

#[tokio::test]
async fn bytes_damaged_on_the_wire_are_sent_again() {
    let server = Server::start(vec![Reply::error(400, "Md5Mismatch").act()]).await;
    let stored = put(&account(&server), "abc/x", b"hello").await.unwrap();
    assert_eq!((stored.attempts.count, stored.attempts.ambiguous), (2, false));
    assert_eq!(server.seen()[1].body, b"hello");
}

#[tokio::test]
async fn bytes_that_no_longer_have_their_digest_stop_the_station() {
    let server = Server::start(vec![Reply::error(400, "Md5Mismatch").act()]).await;
    let changed = Md5Digest([1; 16]);
    let error = account(&server)
        .put_block(&path("abc/x"), "QQ==", Bytes::from_static(b"hello"), changed, None)
        .await
        .unwrap_err();
    assert_eq!((error.kind(), error.class()), (ErrorKind::MemoryFault, Class::StopStation));
    assert_eq!(error.attempts, 1);
}

#[tokio::test]
async fn a_server_that_never_answers_is_given_up_after_the_time_for_the_size() {
    let server = Server::start(vec![Act::Stall, Act::Stall]).await;
    let mut config = config(&server, &TestClock::new());
    config.try_time_base = Duration::from_millis(50);
    config.retry = RetryPolicy { tries_max: 2, ..RetryPolicy::default() };
    let error = put(&Account::new(config).unwrap(), "abc/x", b"x").await.unwrap_err();
    assert_eq!((error.kind(), error.class()), (ErrorKind::Timeout, Class::RetryRequest));
    assert_eq!((error.attempts, error.ambiguous), (2, true));
}

#[tokio::test]
async fn a_server_that_is_not_there_is_a_connection_failure_that_changed_nothing() {
    let server = Server::start(Vec::new()).await;
    // Port 1 is nobody's.
    let mut config = config(&server, &TestClock::new());
    config.endpoint = azure::Endpoint::parse("http://127.0.0.1:1/devstoreaccount1").unwrap();
    let error = put(&Account::new(config).unwrap(), "abc/x", b"x").await.unwrap_err();
    assert_eq!((error.kind(), error.attempts, error.ambiguous), (ErrorKind::Connection, 8, false));
}

#[tokio::test]
async fn answers_that_are_not_the_services_are_errors_and_bounded() {
    let page = Reply::new(200).body(b"<html>Welcome to the proxy</p>");
    let server = Server::start(vec![page.act(), Act::Endless]).await;
    let account = account(&server);
    let error = account.block_list(&path("abc/x")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UnexpectedReply);
    let error = account.block_list(&path("abc/x")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge);
    let long = Reply::error(403, "AuthorizationFailure").body(&vec![b'<'; 200 << 10]);
    let server = Server::start(vec![long.act()]).await;
    let error = put(&crate::support::account(&server), "abc/x", b"x").await.unwrap_err();
    assert_eq!((error.kind(), error.code.as_deref()), (ErrorKind::Forbidden, Some("AuthorizationFailure")));
}

#[tokio::test]
async fn a_call_that_is_dropped_gives_its_permit_back() {
    let server = Server::start(vec![Act::Stall]).await;
    let mut config = config(&server, &TestClock::new());
    config.connections = 1;
    let account = Account::new(config).unwrap();
    let stalled = tokio::spawn({
        let account = account.clone();
        async move { put(&account, "abc/x", b"x").await }
    });
    while server.seen().is_empty() {
        tokio::task::yield_now().await;
    }
    assert_eq!(account.counters().in_flight, 1);
    stalled.abort();
    assert!(stalled.await.unwrap_err().is_cancelled());
    put(&account, "abc/y", b"y").await.unwrap();
    let counters = account.counters();
    assert_eq!((counters.in_flight, counters.waiting, counters.requests), (0, 0, 2));
}

#[tokio::test]
async fn a_permit_is_not_held_during_a_pause() {
    #[derive(Debug)]
    struct Gate(Arc<tokio::sync::Notify>);

    #[async_trait::async_trait]
    impl azure::Clock for Gate {
        fn now(&self) -> std::time::SystemTime {
            std::time::SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000)
        }
        async fn pause(&self, _: Duration) {
            self.0.notified().await;
        }
        fn fraction(&self) -> f64 {
            1.0
        }
    }

    let server = Server::start(vec![Reply::error(500, "InternalError").act()]).await;
    let gate = Arc::new(tokio::sync::Notify::new());
    let mut config = config(&server, &TestClock::new());
    config.connections = 1;
    config.clock = Arc::new(Gate(Arc::clone(&gate)));
    let account = Account::new(config).unwrap();
    let pausing = tokio::spawn({
        let account = account.clone();
        async move { put(&account, "abc/x", b"x").await }
    });
    while server.seen().is_empty() {
        tokio::task::yield_now().await;
    }
    put(&account, "abc/y", b"y").await.unwrap();
    gate.notify_one();
    assert_eq!(pausing.await.unwrap().unwrap().attempts.count, 2);
}

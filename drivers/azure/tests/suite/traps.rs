//! The traps of azure-storage.md §2.4, one test each, as far as they are not tested where they
//! belong: 2 (length that is signed) in `shared_key/tests.rs`, re-signing in `faults.rs`,
//! 5 (pieces of a download) in `download.rs`, 6 (refused certificates) in `tls.rs`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use azure::{Account, BlobHeaders, Condition};
use bytes::Bytes;
use tokio::sync::Notify;

use crate::server::{Act, Reply, Server};
use crate::support::{TestClock, account, config, md5, path, put};

/// A server on a runtime of its own, whose time is not the test's, which takes nothing of the
/// first body before being told to.
fn withholding_server() -> (Arc<Server>, Arc<Notify>) {
    let told = Arc::new(Notify::new());
    let (sender, receiver) = std::sync::mpsc::channel();
    let act = Act::HoldUntil(Arc::clone(&told));
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            sender.send(Arc::new(Server::start(vec![act]).await)).unwrap();
            std::future::pending::<()>().await;
        });
    });
    (receiver.recv().unwrap(), told)
}

/// Keeps the paused clock where it is: it only runs ahead while nothing else is going on.
fn hold_clock() -> std::sync::mpsc::Sender<()> {
    let (sender, receiver) = std::sync::mpsc::channel::<()>();
    tokio::task::spawn_blocking(move || receiver.recv());
    sender
}

#[tokio::test(start_paused = true)]
async fn trap_1_a_block_that_takes_75_seconds_to_send_arrives_at_the_first_try() {
    let (server, told) = withholding_server();
    let clock = hold_clock();
    let account = Account::new(config(&server, &TestClock::new())).unwrap();
    let data = Bytes::from(vec![1u8; 8 << 20]);
    let digest = md5(&data);
    let sending = tokio::spawn({
        let data = data.clone();
        async move { account.put_block(&path("abc/x"), "QQ==", data, digest, None).await }
    });
    server.body_begun().await;
    tokio::time::advance(Duration::from_secs(75)).await;
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
    assert!(!sending.is_finished());
    told.notify_one();
    assert_eq!(sending.await.unwrap().unwrap().count, 1);
    assert_eq!(server.seen()[0].body.len(), data.len());
    drop(clock);
}

#[tokio::test(start_paused = true)]
async fn trap_1_is_real_a_client_with_the_sdks_read_time_out_loses_that_block() {
    let (server, told) = withholding_server();
    let clock = hold_clock();
    // A second test of the process may have been first.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder().read_timeout(Duration::from_secs(60)).build().unwrap();
    let url = format!("http://{}/devstoreaccount1/abc/x", server.address);
    let sending = tokio::spawn(client.put(url).body(vec![1u8; 8 << 20]).send());
    server.body_begun().await;
    tokio::time::advance(Duration::from_secs(75)).await;
    assert!(sending.await.unwrap().unwrap_err().is_timeout());
    told.notify_one();
    drop(clock);
}

#[tokio::test]
async fn a_try_has_more_time_the_more_it_moves() {
    let server = Server::start(vec![Act::Slow(Duration::from_millis(300))]).await;
    let mut config = config(&server, &TestClock::new());
    config.try_time_base = Duration::from_millis(20);
    config.minimum_bytes_per_second = 1_000;
    let account = Account::new(config).unwrap();
    let data = Bytes::from(vec![1u8; 30_000]);
    let attempts = account.put_block(&path("abc/x"), "QQ==", data.clone(), md5(&data), None).await.unwrap();
    assert_eq!(attempts.count, 1);
}

#[tokio::test]
async fn trap_3_all_clones_of_an_account_share_one_connection_pool() {
    let server = Server::start(Vec::new()).await;
    let account = account(&server);
    for _ in 0..20 {
        put(&account.clone(), "abc/x", b"x").await.unwrap();
    }
    assert!(server.seen().iter().all(|seen| seen.connection == 0));
}

#[tokio::test]
async fn trap_4_a_put_is_one_request_whatever_its_size() {
    let server = Server::start(Vec::new()).await;
    let data = Bytes::from(vec![3u8; 9 << 20]);
    account(&server)
        .put_blob(&path("abc/x"), data.clone(), md5(&data), &BlobHeaders::default(), &Condition::None)
        .await
        .unwrap();
    let seen = server.seen();
    assert_eq!((seen.len(), seen[0].body.len()), (1, 9 << 20));
    assert!(seen[0].header("content-md5").is_some());
}

#[tokio::test]
async fn trap_6_a_retry_budget_is_tries_and_not_sixty_seconds() {
    let script = (0..7).map(|_| Reply::error(503, "ServerBusy").with("Retry-After", "30").act()).collect();
    let server = Server::start(script).await;
    let clock = TestClock::new();
    let account = Account::new(config(&server, &clock)).unwrap();
    let stored = put(&account, "abc/x", b"x").await.unwrap();
    assert_eq!(stored.attempts.count, 8);
    assert!(clock.pauses().iter().sum::<Duration>() >= Duration::from_secs(210));
}

#[tokio::test]
async fn trap_8_a_pooled_buffer_is_sent_in_place_and_comes_back_when_the_call_ends() {
    struct Pooled(Vec<u8>, Arc<AtomicBool>);
    impl AsRef<[u8]> for Pooled {
        fn as_ref(&self) -> &[u8] {
            &self.0
        }
    }
    impl Drop for Pooled {
        fn drop(&mut self) {
            self.1.store(true, Ordering::SeqCst);
        }
    }

    let server = Server::start(vec![Reply::error(500, "InternalError").act()]).await;
    let returned = Arc::new(AtomicBool::new(false));
    let data = Bytes::from_owner(Pooled(vec![5u8; 1 << 20], Arc::clone(&returned)));
    let digest = md5(&data);
    let attempts = account(&server).put_block(&path("abc/x"), "QQ==", data, digest, None).await.unwrap();
    assert_eq!(attempts.count, 2);
    assert!(returned.load(Ordering::SeqCst));
}

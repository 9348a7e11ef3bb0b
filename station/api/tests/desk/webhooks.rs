//! Web-hooks to a receiver on a real socket: in order, at least once, signed so that Python agrees.

use std::net::SocketAddr;
use std::process::Command;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use api::webhook::Settings;
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use ledger::Upkeep;
use reqwest::Method;
use serde_json::{Value, json};

use crate::house::{House, LIMIT};

/// One delivery as it came: id, timestamp, signature, body.
type Delivery = (String, String, String, String);

#[derive(Clone)]
struct Receiver {
    address: SocketAddr,
    got: Arc<Mutex<Vec<Delivery>>>,
    tried: Arc<Mutex<Vec<String>>>,
    answers: Arc<AtomicU16>,
}

impl Receiver {
    async fn start(status: u16) -> Receiver {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let receiver = Receiver {
            address: listener.local_addr().unwrap(),
            got: Arc::default(),
            tried: Arc::default(),
            answers: Arc::new(AtomicU16::new(status)),
        };
        let router = Router::new().fallback(take).with_state(receiver.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        receiver
    }

    fn url(&self) -> String {
        format!("http://{}/hook", self.address)
    }

    /// The numbers of the events that were taken, in order, tests left out.
    fn numbers(&self) -> Vec<i64> {
        let got = self.got.lock().unwrap();
        let number =
            |delivery: &Delivery| serde_json::from_str::<Value>(&delivery.3).unwrap()["data"]["no"].as_i64();
        got.iter().filter_map(number).collect()
    }
}

async fn take(State(receiver): State<Receiver>, headers: HeaderMap, body: Bytes) -> (StatusCode, HeaderMap) {
    let text = |name: &str| headers[name].to_str().unwrap().to_owned();
    receiver.tried.lock().unwrap().push(text("webhook-id"));
    let status = StatusCode::from_u16(receiver.answers.load(Ordering::Relaxed)).unwrap();
    if status.is_success() {
        let body = String::from_utf8(body.to_vec()).unwrap();
        let delivery = (text("webhook-id"), text("webhook-timestamp"), text("webhook-signature"), body);
        receiver.got.lock().unwrap().push(delivery);
    }
    let mut answer = HeaderMap::new();
    answer.insert("location", "http://127.0.0.1:1/elsewhere".parse().unwrap());
    (status, answer)
}

async fn until(what: &str, holds: impl Fn() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < LIMIT, "waited too long: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Adds a web-hook; its id and its secret.
async fn add(house: &House, body: Value) -> (String, String) {
    let (status, made) = house.post("/v1/webhooks", body).await;
    assert_eq!(status, 201, "{made}");
    let text = |field: &str| made[field].as_str().unwrap().to_owned();
    (text("id"), text("secret"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_fails_and_recovers_gets_everything_in_order() {
    let house = House::new().await;
    let receiver = Receiver::start(503).await;
    add(&house, json!({"url": receiver.url()})).await;
    house.shipped("one", &["SN-1"]).await;
    house.post("/v1/packages/T-one/receive", json!({})).await;
    until("two tries", || receiver.tried.lock().unwrap().len() >= 2).await;
    house.post("/v1/drives/SN-1/scan", json!({})).await;
    receiver.answers.store(302, Ordering::Relaxed);
    let tries = receiver.tried.lock().unwrap().len();
    until("a redirect is not followed", || receiver.tried.lock().unwrap().len() > tries).await;
    assert!(receiver.numbers().is_empty());
    receiver.answers.store(204, Ordering::Relaxed);
    let last = house.get("/v1/events").await.1["last"].as_i64().unwrap();
    until("all events", || receiver.numbers().last() == Some(&last)).await;
    let mut numbers = receiver.numbers();
    assert!(numbers.is_sorted(), "{numbers:?}");
    numbers.dedup();
    let first = numbers[0];
    assert_eq!(numbers, (first..=last).collect::<Vec<_>>(), "nothing is left out");
    let tried = receiver.tried.lock().unwrap().clone();
    assert!(tried.windows(2).any(|pair| pair[0] == pair[1]), "a second try has the id of the first");
    house.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_signature_is_what_python_computes() {
    let house = House::new().await;
    let receiver = Receiver::start(200).await;
    let (id, secret) = add(&house, json!({"url": receiver.url(), "kinds": ["job.*", "drive.*"]})).await;
    house.shipped("one", &["SN-1"]).await;
    house.post("/v1/drives/SN-1/scan", json!({"slot": "Größe 3"})).await;
    until("an event", || !receiver.numbers().is_empty()).await;
    let (status, tested) = house.post(&format!("/v1/webhooks/{id}/test"), json!({})).await;
    assert_eq!((status, &tested["delivered"]), (200, &json!(true)), "{tested}");
    let got = receiver.got.lock().unwrap().clone();
    assert!(got.iter().any(|delivery| delivery.3.contains("webhook.test")));
    for (id, at, signature, body) in got {
        let script = "import base64,hashlib,hmac,sys\n_, secret, text = sys.argv\n\
                      key = base64.b64decode(secret.removeprefix('whsec_'))\n\
                      print('v1,' + base64.b64encode(hmac.new(key, text.encode(), hashlib.sha256).digest()).decode())";
        let text = format!("{id}.{at}.{body}");
        let Ok(python) = Command::new("python3").args(["-c", script, &secret, &text]).output() else {
            println!("skipped: every_signature_is_what_python_computes: python3 is not installed");
            break;
        };
        assert_eq!(String::from_utf8_lossy(&python.stdout).trim(), signature);
    }
    house.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_is_given_up_is_said_so_and_goes_on_when_it_is_enabled() {
    let impatient = Settings {
        first_wait: Duration::from_millis(5),
        longest_wait: Duration::from_millis(5),
        give_up_after: Duration::ZERO,
        tries_min: 3,
        ..Settings::default()
    };
    let house = House::patient(impatient).await;
    let (broken, whole) = (Receiver::start(500).await, Receiver::start(200).await);
    let (id, _) = add(&house, json!({"url": broken.url(), "kinds": ["job.*"]})).await;
    add(&house, json!({"url": whole.url(), "kinds": ["webhook.disabled"]})).await;
    house.shipped("one", &["SN-1"]).await;
    until("others are told", || !whole.got.lock().unwrap().is_empty()).await;
    // The reason is noted behind the change that disables it.
    let begun = Instant::now();
    loop {
        let (_, hook) = house.get(&format!("/v1/webhooks/{id}")).await;
        assert_eq!(hook["enabled"], false, "{hook}");
        if hook["lastError"].is_string() {
            break;
        }
        assert!(begun.elapsed() < LIMIT, "no reason: {hook}");
    }
    broken.answers.store(200, Ordering::Relaxed);
    let (status, hook) = house.post(&format!("/v1/webhooks/{id}/enable"), json!({})).await;
    assert_eq!((status, &hook["enabled"]), (200, &json!(true)), "{hook}");
    until("it goes on", || !broken.numbers().is_empty()).await;
    assert_eq!(house.ask(Method::DELETE, &format!("/v1/webhooks/{id}"), &[], None).await.status(), 204);
    assert_eq!(house.get(&format!("/v1/webhooks/{id}")).await.0, 404);
    house.stop().await;
}

/// Its receiver takes everything, only too late: events would be kept for it for ever.
#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_is_too_far_behind_is_given_up_and_told_what_it_missed() {
    let strict = Settings { behind_max: Duration::ZERO, catch_up: Duration::ZERO, ..Settings::default() };
    let house = House::patient(strict).await;
    let receiver = Receiver::start(200).await;
    let (id, _) = add(&house, json!({"url": receiver.url()})).await;
    house.shipped("one", &["SN-1"]).await;
    let begun = Instant::now();
    let stood = loop {
        let (_, hook) = house.get(&format!("/v1/webhooks/{id}")).await;
        if hook["enabled"] == false && hook["lastError"].is_string() {
            assert!(hook["lastError"].as_str().unwrap().contains("days behind"), "{hook}");
            break hook["position"].clone();
        }
        assert!(begun.elapsed() < LIMIT, "still enabled: {hook}");
    };
    let told = house.get("/v1/events").await.1["events"].as_array().unwrap().clone();
    let disabled = told.iter().find(|event| event["type"] == "webhook.disabled").expect("it is told");
    assert_eq!((&disabled["data"]["webhook"], &disabled["data"]["undeliveredAfter"]), (&json!(id), &stood));
    assert!(house.ledger.forget_events(i64::MAX, 1_000).await.unwrap() > 0, "nothing is kept for it");
    let first = house.get("/v1/events").await.1["first"].clone();
    house.post(&format!("/v1/webhooks/{id}/enable"), json!({})).await;
    let told = house.get("/v1/events").await.1["events"].as_array().unwrap().clone();
    let enabled = told.iter().find(|event| event["type"] == "webhook.enabled").expect("it is told");
    assert_eq!(enabled["data"]["missed"], json!({"after": stood, "first": first}));
    assert!(receiver.tried.lock().unwrap().is_empty());
    house.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_sent_where_nothing_may_go() {
    let house = House::new().await;
    for url in [
        "http://10.0.0.1/",
        "https://10.0.0.1/",
        "https://169.254.169.254/latest",
        "http://hooks.example/",
        "x",
    ] {
        let (status, problem) = house.post("/v1/webhooks", json!({"url": url})).await;
        assert_eq!((status, &problem["field"]), (409, &json!("url")), "{url}: {problem}");
    }
    house.stop().await;
}

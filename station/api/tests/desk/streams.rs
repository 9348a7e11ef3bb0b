//! Server-sent events: in order, resumed where they broke off, ended when the server stops.

use std::time::Duration;

use api::people::{Role, Scope};
use reqwest::{Method, Response};
use serde_json::{Value, json};

use crate::house::{House, LIMIT, token};

/// Reads a stream as a browser does, and knows nothing else.
struct Stream {
    answer: Response,
    text: String,
}

impl Stream {
    async fn open(house: &House, path: &str, last: Option<i64>) -> Stream {
        Stream::open_as(&house.token, house, path, last).await
    }

    async fn open_as(token: &str, house: &House, path: &str, last: Option<i64>) -> Stream {
        let last = last.map(|last| last.to_string());
        let mut headers = vec![("Accept", "text/event-stream")];
        headers.extend(last.as_deref().map(|last| ("Last-Event-ID", last)));
        let answer = house.ask_as(token, Method::GET, path, &headers, None).await;
        assert_eq!(answer.headers()["content-type"], "text/event-stream");
        Stream { answer, text: String::new() }
    }

    /// The next event: its number, its kind, its data. None at the end of the stream.
    async fn next(&mut self) -> Option<(i64, String, Value)> {
        loop {
            while let Some((frame, rest)) = self.text.split_once("\n\n") {
                let frame = frame.to_owned();
                self.text = rest.to_owned();
                let field = |name: &str| {
                    frame.lines().find_map(|line| line.strip_prefix(&format!("{name}: ")).map(str::to_owned))
                };
                if let (Some(kind), Some(data)) = (field("event"), field("data")) {
                    let no = field("id").map_or(0, |id| id.parse().unwrap());
                    return Some((no, kind, serde_json::from_str(&data).unwrap()));
                }
            }
            let chunk = tokio::time::timeout(LIMIT, self.answer.chunk()).await.expect("in time").ok()??;
            self.text.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_tells_everything_in_order_and_goes_on_after_a_break() {
    let house = House::new().await;
    house.shipped("one", &["SN-1", "SN-2"]).await;
    let mut stream = Stream::open(&house, "/v1/events?after=0", None).await;
    let (first, kind, data) = stream.next().await.unwrap();
    assert_eq!((first, kind.as_str()), (1, "job.created"), "{data}");
    house.post("/v1/packages/T-one/receive", json!({})).await;
    drop(stream);
    // What happened while nobody was connected, and what happens after.
    house.post("/v1/drives/SN-1/scan", json!({})).await;
    let mut stream = Stream::open(&house, "/v1/events", Some(first)).await;
    house.post("/v1/drives/SN-2/scan", json!({})).await;
    let (mut numbers, mut drives) = (vec![first], vec![]);
    while drives.len() < 2 {
        let (no, kind, data) = stream.next().await.unwrap();
        numbers.push(no);
        assert_eq!(data["no"], no);
        if kind == "drive.received" {
            drives.push(data["drive"].clone());
        }
    }
    assert!(numbers.windows(2).all(|pair| pair[1] == pair[0] + 1), "{numbers:?}");
    assert_eq!(drives, [json!("SN-1"), json!("SN-2")]);
    // The same as a page.
    let (_, page) = house.get("/v1/events?after=1&kind=drive.*").await;
    assert_eq!(page["events"][0]["drive"], "SN-1", "{page}");
    house.stop().await;
    // It ends with the server; this would run into its limit if it did not.
    while stream.next().await.is_some() {}
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_ends_by_itself_and_whose_token_was_taken_back_gets_no_other() {
    let house = House::of_short_streams(Duration::from_millis(200)).await;
    let issued = token(&house.tokens, [Role::Technician], Scope::Everything).await;
    let mut stream = Stream::open_as(&issued, &house, "/v1/events?after=0", None).await;
    let (_, page) = house.get("/v1/tokens").await;
    let is_it = |token: &&Value| token["roles"] == json!(["technician"]);
    let id =
        page["tokens"].as_array().unwrap().iter().find(is_it).unwrap()["id"].as_str().unwrap().to_owned();
    house.ask(Method::DELETE, &format!("/v1/tokens/{id}"), &[], None).await;
    // Without an end this would run into its limit.
    while stream.next().await.is_some() {}
    let headers = [("Accept", "text/event-stream"), ("Last-Event-ID", "0")];
    assert_eq!(house.ask_as(&issued, Method::GET, "/v1/events", &headers, None).await.status(), 401);
    house.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_can_be_of_one_drive() {
    let house = House::new().await;
    house.shipped("one", &["SN-1", "SN-2"]).await;
    let mut stream = Stream::open(&house, "/v1/events?drive=SN-2", None).await;
    house.post("/v1/drives/SN-1/scan", json!({})).await;
    house.post("/v1/drives/SN-2/scan", json!({})).await;
    let (_, _, data) = stream.next().await.unwrap();
    assert_eq!(data["drive"], "SN-2", "{data}");
    house.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_number_that_is_none_is_refused() {
    let house = House::new().await;
    for bad in ["x", "-1", "", "1.5", "99999999999999999999"] {
        let headers = [("Accept", "text/event-stream"), ("Last-Event-ID", bad)];
        assert_eq!(house.ask(Method::GET, "/v1/events", &headers, None).await.status(), 400, "{bad}");
    }
    house.stop().await;
}

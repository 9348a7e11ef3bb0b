//! Bodies, queries and paths that nobody means well with: never a panic, never a 5xx, and no word of theirs comes back.

use axum::body::Body;
use axum::http::{Method, Request, StatusCode, header};
use proptest::prelude::*;
use serde_json::{Map, Value};

use super::{ALL, Answer, Client, import, job_uri, jobs_uri};

/// Marks every text of a generated body, to be looked for in the answer.
const MARK: &str = "QZMARKQZ";

const NAMES: &[&str] = &[
    "location",
    "tags",
    "identity",
    "type",
    "properties",
    "storageAccountId",
    "jobType",
    "returnAddress",
    "returnShipping",
    "shippingInformation",
    "deliveryPackage",
    "diagnosticsPath",
    "logLevel",
    "backupDriveManifest",
    "state",
    "cancelRequested",
    "driveList",
    "driveId",
    "bitLockerKey",
    "manifestFile",
    "manifestHash",
    "driveHeaderHash",
    "export",
    "blobList",
    "blobPath",
    "blobPathPrefix",
    "blobListBlobPath",
    "encryptionKey",
    "kekType",
    "kekUrl",
    "kekVaultResourceID",
    "recipientName",
    "email",
    "driveCount",
    "shipDate",
    "other",
];

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "\\PC{0,12}".prop_map(|text| Value::from(format!("{MARK}{text}"))),
        prop_oneof![Just("Import"), Just("Export"), Just("Shipping"), Just("West US"), Just("")]
            .prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 64, 8, |inner| {
        let name = prop::sample::select(NAMES).prop_map(str::to_owned);
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::Array),
            prop::collection::vec((name, inner), 0..8)
                .prop_map(|fields| Value::Object(fields.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

/// A whole import with some values replaced: deeper than random bodies get.
fn any_nearly_good() -> impl Strategy<Value = Value> {
    let place = prop_oneof![prop::sample::select(
        &[
            "/location",
            "/tags",
            "/properties",
            "/properties/jobType",
            "/properties/returnAddress",
            "/properties/returnAddress/email",
            "/properties/returnShipping",
            "/properties/logLevel",
            "/properties/driveList",
            "/properties/driveList/0",
            "/properties/driveList/0/driveId",
            "/properties/driveList/0/bitLockerKey",
            "/properties/driveList/0/manifestHash",
            "/properties/diagnosticsPath",
            "/properties/storageAccountId"
        ][..]
    ),];
    prop::collection::vec((place, any_json()), 1..4).prop_map(|changes| {
        let mut job = import("9CA995BB");
        for (place, value) in changes {
            if let Some(found) = job.pointer_mut(place) {
                *found = value;
            }
        }
        job
    })
}

/// One station for a property's many cases, because a ledger takes a moment to open.
struct Bench {
    runtime: tokio::runtime::Runtime,
    client: Client,
}

impl Bench {
    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let client = runtime.block_on(Client::new());
        Self { runtime, client }
    }

    /// Sends a body to a job that is there and to one that may not be.
    fn takes_or_refuses(&self, body: &[u8], version: &str) -> Result<(), TestCaseError> {
        let to = |method, name| is_handled(&self.client, method, job_uri(name, version), body.to_vec());
        self.runtime.block_on(async {
            self.client.put("one", version, import("9CA995BB")).await;
            to(Method::PATCH, "one").await?;
            to(Method::PUT, "one").await?;
            to(Method::PUT, "other").await?;
            to(Method::PATCH, "other").await
        })
    }

    fn get(&self, uri: &str) -> Answer {
        self.runtime.block_on(self.client.get(uri))
    }
}

thread_local! {
    static BENCH: Bench = Bench::new();
}

async fn is_handled(
    client: &Client,
    method: Method,
    uri: String,
    body: Vec<u8>,
) -> Result<(), TestCaseError> {
    let request = Request::builder().method(method).uri(uri).header(header::CONTENT_TYPE, "application/json");
    let answer = client.raw(request.body(Body::from(body)).expect("the test's request is one")).await;
    prop_assert!(!answer.status.is_server_error(), "{}: {}", answer.status, answer.text);
    if answer.status.is_client_error() {
        let error = &answer.json()["error"];
        prop_assert!(error["code"].is_string() && error["message"].is_string(), "{}", answer.text);
        // The model names a location and a tag by what they are called; everything else is named by its place.
        let details = error["details"].as_array().cloned().unwrap_or_default();
        let quoting = |detail: &Value| {
            let target = detail["target"].as_str().unwrap_or_default();
            detail.to_string().contains(MARK) && target != "location" && !target.starts_with("tags")
        };
        prop_assert!(!details.iter().any(quoting), "{}", answer.text);
    }
    Ok(())
}

/// What a body of the largest size can hold of wrong items is not answered one by one.
#[tokio::test]
async fn a_full_body_of_wrong_items_gets_a_short_answer() {
    let client = Client::new().await;
    let items = |item: &str, count: usize| vec![item; count].join(",");
    let [list, texts] = [("[", "]"), ("{\"blobList\":{\"blobPath\":[", "]}}")];
    for (name, (open, close)) in [("driveList", list), ("export", texts)] {
        let wrong = items("1", 130_001);
        let body = format!(r#"{{"location":"West US","properties":{{"{name}":{open}{wrong}{close}}}}}"#);
        let request = Request::put(job_uri("one", ALL[0])).header(header::CONTENT_TYPE, "application/json");
        let answer = client.raw(request.body(Body::from(body)).expect("the test's request is one")).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST);
        assert!(answer.text.len() < 32 << 10, "{name}: {} bytes", answer.text.len());
        let error = &answer.json()["error"];
        assert_eq!(error["details"].as_array().map(Vec::len), Some(100), "{name}");
        assert!(error["message"].as_str().is_some_and(|told| told.contains("130001 values")), "{name}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_json_is_taken_or_refused_and_breaks_nothing(body in any_json(), version in prop::sample::select(&ALL[..])) {
        BENCH.with(|bench| bench.takes_or_refuses(body.to_string().as_bytes(), version))?;
    }

    #[test]
    fn a_nearly_good_job_is_taken_or_refused_and_breaks_nothing(body in any_nearly_good()) {
        BENCH.with(|bench| bench.takes_or_refuses(body.to_string().as_bytes(), ALL[2]))?;
    }

    #[test]
    fn any_bytes_are_refused_and_break_nothing(body in prop::collection::vec(any::<u8>(), 0..200)) {
        BENCH.with(|bench| bench.takes_or_refuses(&body, ALL[0]))?;
    }

    #[test]
    fn any_query_is_answered(query in "[ -~]{0,80}") {
        let query: String = query.chars().filter(|letter| !" \"<>\\^`{|}#".contains(*letter)).collect();
        let uri = format!("{}?api-version=2016-11-01&{query}", jobs_uri());
        let status = BENCH.with(|bench| bench.get(&uri)).status;
        prop_assert!([StatusCode::OK, StatusCode::BAD_REQUEST].contains(&status), "{uri}: {status}");
    }

    #[test]
    fn any_path_is_answered(path in "(/[-a-zA-Z0-9%._~!$&'()*+,;=:@]{0,12}){0,9}") {
        let job = "/subscriptions/S/resourceGroups/G/providers/Microsoft.ImportExport/jobs";
        for start in ["", "/providers/Microsoft.ImportExport", job] {
            let Ok(uri) = format!("{start}{path}?api-version=2016-11-01").parse::<axum::http::Uri>() else { continue };
            let status = BENCH.with(|bench| bench.get(&uri.to_string())).status;
            prop_assert!(!status.is_server_error(), "{uri}: {status}");
        }
    }
}

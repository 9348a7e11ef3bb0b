//! Both surfaces behind the real server: every route with every role, and customers who are kept apart.
//!
//! The station API's routes come from its OpenAPI document, so a route that is added is walked without a word here;
//! ARM's are listed, because its document is Microsoft's.

use std::sync::Arc;
use std::time::Duration;

use jobs::{NoBays, Site, Sites};
use keys::{MasterKeys, Vault};
use ledger::{Ledger, SqliteLedger};
use model::job::ShippingInformation;
use serde_json::json;

use crate::arm;
use crate::arm::tests::office::Office;
use crate::desk::bays::{BayNow, Board};
use crate::desk::{Desk, Parts, custody};
use crate::events::Feed;
use crate::openapi;
use crate::people::{Cell, Grant, Operation, Role, Scope, TABLE, Tokens, cell, system_clock};
use crate::server::config::{Limits, Rate};
use crate::webhook::{Deliveries, Guard, Post, Settings};

use super::rig::{Running, body_of, has_status, plain};

/// One method of one path, and the row of the table that it asks.
struct Route {
    method: String,
    path: String,
    operation: Operation,
}

const VERSION: &str = "api-version=2020-08-01";

/// Every operation of the ARM surface, for one job.
fn arm_routes(subscription: &str) -> Vec<Route> {
    let provider = "providers/Microsoft.ImportExport";
    let group = format!("/subscriptions/{subscription}/resourceGroups/moves/{provider}");
    let job = format!("{group}/jobs/one");
    let rows = [
        ("GET", format!("/{provider}/operations"), Operation::OperationsRead),
        ("GET", format!("/{provider}/locations"), Operation::LocationsRead),
        ("GET", format!("/{provider}/locations/westus"), Operation::LocationsRead),
        ("GET", format!("/subscriptions/{subscription}/{provider}/jobs"), Operation::JobsRead),
        ("GET", format!("{group}/jobs"), Operation::JobsRead),
        ("GET", job.clone(), Operation::JobsRead),
        ("GET", job.to_uppercase(), Operation::JobsRead),
        ("PUT", job.clone(), Operation::JobsWrite),
        ("PATCH", job.clone(), Operation::JobsWrite),
        ("DELETE", job.clone(), Operation::JobsDelete),
        ("POST", format!("{job}/listBitLockerKeys"), Operation::JobsListBitLockerKeys),
        ("GET", format!("{job}/listBitLockerKeys"), Operation::JobsListBitLockerKeys),
    ];
    let route = |(method, path, operation): (&str, String, Operation)| Route {
        method: method.to_owned(),
        path: format!("{path}?{VERSION}"),
        operation,
    };
    rows.into_iter().map(route).collect()
}

/// Every operation of the station API that needs a caller, as its document says.
fn desk_routes() -> Vec<Route> {
    let mut routes = Vec::new();
    for (path, item) in openapi::document()["paths"].as_object().unwrap() {
        for (method, described) in item.as_object().unwrap() {
            let Some(name) = described[openapi::OPERATION].as_str() else { continue };
            let row = TABLE.iter().find(|(operation, _)| format!("{operation:?}") == name);
            let operation = row.unwrap_or_else(|| panic!("{method} {path}: no operation {name}")).0;
            routes.push(Route { method: method.to_uppercase(), path: filled(path), operation });
        }
    }
    routes
}

/// A path with something that is not there in each of its places.
fn filled(path: &str) -> String {
    let parts = path.split('/').map(|part| if part.starts_with('{') { "nowhere" } else { part });
    parts.collect::<Vec<_>>().join("/")
}

/// The whole station API and ARM surface; the folder holds the ledger.
async fn running(folder: &tempfile::TempDir) -> (Running, Arc<Office>) {
    let store = Arc::new(SqliteLedger::open(&folder.path().join("ledger")).await.unwrap());
    let ledger: Arc<dyn Ledger> = store.clone();
    let vault = Arc::new(Vault::over(MasterKeys::ephemeral()));
    let deliveries = Deliveries {
        ledger: ledger.clone(),
        vault: vault.clone(),
        post: Post::new(Guard::new([])).unwrap(),
        settings: Settings::default(),
        clock: system_clock(),
        every: Duration::from_secs(3600),
    };
    let (_, bays) = Board::new([BayNow::empty("1")]);
    let feed = Feed::start(ledger.clone(), Duration::from_secs(3600));
    let station = "station-1".to_owned();
    let address = ShippingInformation::default();
    let jobs = Arc::new(::jobs::Jobs::new(::jobs::Parts {
        jobs: store.clone(),
        secrets: store.clone(),
        vault: vault.clone(),
        bays: Arc::new(NoBays),
        clock: system_clock(),
        station: station.clone(),
        sites: Sites::new(vec![Site { location: "West US".to_owned(), address }]).unwrap(),
        customer_keys: None,
    }));
    let tokens = Tokens::new(store.clone(), store, station.as_str());
    let custody = custody::Keys::new(None, "").unwrap();
    let clock = system_clock();
    let account_of = |_: &str| Err("none here".to_owned());
    let parts =
        Parts { ledger, vault, station, clock, feed, deliveries, bays, jobs, tokens, custody, account_of };
    let desk = Desk::new(parts);
    let office = Arc::new(Office::new().await);
    let arm = office.surface();
    let rate = Rate { per_second: 100_000, burst: 100_000 };
    let limits = Limits { address_rate: rate, caller_rate: rate, ..Limits::default() };
    (Running::start_routes(plain(limits), desk.routes().merge(arm::router(arm))).await, office)
}

async fn send(server: &Running, method: &str, path: &str, token: Option<&str>, body: &str) -> String {
    let credentials = token.map(|token| format!("authorization: Bearer {token}\r\n")).unwrap_or_default();
    let length = body.len();
    let head = format!("{method} {path} HTTP/1.1\r\nhost: x\r\n{credentials}connection: close\r\n");
    let content = format!("content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}");
    server.ask(&(head + &content)).await
}

#[tokio::test]
async fn every_route_answers_every_role_as_the_table_says() {
    let folder = tempfile::tempdir().unwrap();
    let (server, _) = running(&folder).await;
    let routes: Vec<Route> = arm_routes("aa").into_iter().chain(desk_routes()).collect();
    assert!(routes.len() > 25, "only {} routes", routes.len());
    for role in Role::ALL {
        let token = server.token(&[role]).await;
        for Route { method, path, operation } in &routes {
            let anonymous = send(&server, method, path, None, "{}").await;
            assert!(has_status(&anonymous, 401), "{method} {path}: {anonymous}");
            let answer = send(&server, method, path, Some(&token), "{}").await;
            let is_allowed = cell(role, *operation) != Cell::No;
            let is_refused = has_status(&answer, 403);
            assert_eq!(is_refused, !is_allowed, "{role} {method} {path}: {answer}");
            let is_fault = has_status(&answer, 401) || has_status(&answer, 500);
            assert!(!is_fault, "{role} {method} {path}: {answer}");
        }
    }
    server.stop().await;
}

#[tokio::test]
async fn a_path_of_neither_surface_is_a_problem_and_one_of_arms_is_arms_error() {
    let folder = tempfile::tempdir().unwrap();
    let (server, _) = running(&folder).await;
    let token = server.token(&[Role::Admin]).await;
    for (path, body) in [
        ("/v1/nowhere", "/problems/not-found"),
        ("/", "/problems/not-found"),
        ("/subscriptions/aa/x", r#""error""#),
    ] {
        let answer = send(&server, "GET", path, Some(&token), "").await;
        assert!(has_status(&answer, 404) && answer.contains(body), "{path}: {answer}");
    }
    server.stop().await;
}

fn import(subscription: &str, drive: &str) -> String {
    let group = format!("/subscriptions/{subscription}/resourceGroups/moves");
    let address = json!({"recipientName": "Test", "streetAddress1": "Street 1", "city": "City", "postalCode": "1",
        "stateOrProvince": "EX", "countryOrRegion": "Exampleland", "phone": "000", "email": "test@example.com"});
    let account = format!("{group}/providers/Microsoft.ClassicStorage/storageAccounts/test");
    json!({"location": "West US", "properties": {
        "storageAccountId": account, "jobType": "Import", "returnAddress": address,
        "returnShipping": {"carrierName": "FedEx", "carrierAccountNumber": "989ffff"},
        "diagnosticsPath": "logs", "logLevel": "Verbose", "backupDriveManifest": true,
        "driveList": [{"driveId": drive, "manifestFile": "\\DriveManifest.xml", "driveHeaderHash": "",
            "bitLockerKey": "238810-662376-448998-450120-652806-203390-606320-483076",
            "manifestHash": "109B21108597EF36D5785F08303F3638"}]}})
    .to_string()
}

fn scope(text: &str) -> Scope {
    Scope::Only(vec![text.parse::<Grant>().unwrap()])
}

#[tokio::test]
async fn a_customer_neither_reads_nor_lists_nor_guesses_nor_changes_anothers_job() {
    let folder = tempfile::tempdir().unwrap();
    let (server, _) = running(&folder).await;
    let own = server.token_within(&[Role::Customer], scope("/subscriptions/aa/resourceGroups/moves")).await;
    let other = server.token_within(&[Role::Customer], scope("/subscriptions/bb")).await;
    let job = |subscription: &str, name: &str| {
        let group = format!("/subscriptions/{subscription}/resourceGroups/moves");
        format!("{group}/providers/Microsoft.ImportExport/jobs/{name}?{VERSION}")
    };
    for (token, subscription, drive) in [(&own, "aa", "MINE1"), (&other, "bb", "THEIRS1")] {
        let made =
            send(&server, "PUT", &job(subscription, "one"), Some(token), &import(subscription, drive)).await;
        assert!(has_status(&made, 201), "{made}");
    }
    let before = body_of(&send(&server, "GET", &job("bb", "one"), Some(&other), "").await);
    let keys =
        |name: &str| job("bb", name).replace(&format!("{name}?"), &format!("{name}/listBitLockerKeys?"));
    let body = import("bb", "MINE2");
    let attempts = [
        ("GET", job("bb", "one"), job("bb", "none"), ""),
        ("GET", job("BB", "ONE"), job("BB", "NONE"), ""),
        ("PUT", job("bb", "one"), job("bb", "none"), body.as_str()),
        ("PATCH", job("bb", "one"), job("bb", "none"), r#"{"properties":{"cancelRequested":true}}"#),
        ("DELETE", job("bb", "one"), job("bb", "none"), ""),
        ("POST", keys("one"), keys("none"), ""),
    ];
    for (method, is_there, is_not, body) in attempts {
        let [real, made_up] = [
            send(&server, method, &is_there, Some(&own), body).await,
            send(&server, method, &is_not, Some(&own), body).await,
        ];
        assert!(has_status(&real, 404), "{method} {is_there}: {real}");
        // The very same answer, whether or not the job is there.
        assert!(
            has_status(&made_up, 404) && body_of(&real) == body_of(&made_up),
            "{method}: {real} {made_up}"
        );
    }
    let after = body_of(&send(&server, "GET", &job("bb", "one"), Some(&other), "").await);
    assert_eq!(before, after, "and it is as it was");
    assert!(before.contains("THEIRS1"));
    server.stop().await;
}

#[tokio::test]
async fn a_list_holds_only_what_is_the_customers_own() {
    let folder = tempfile::tempdir().unwrap();
    let (server, _) = running(&folder).await;
    let staff = server.token(&[Role::Admin]).await;
    for (subscription, group, drive) in [("aa", "moves", "D1"), ("aa", "others", "D2"), ("bb", "moves", "D3")]
    {
        let path = format!(
            "/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.ImportExport/jobs/job-{drive}?{VERSION}"
        );
        let made = send(&server, "PUT", &path, Some(&staff), &import(subscription, drive)).await;
        assert!(has_status(&made, 201), "{made}");
    }
    let list = |subscription: &str| {
        format!("/subscriptions/{subscription}/providers/Microsoft.ImportExport/jobs?{VERSION}")
    };
    let rows: [(&str, &str, &[&str]); 5] = [
        ("/subscriptions/aa", "aa", &["D1", "D2"]),
        ("/subscriptions/AA/resourceGroups/MOVES", "aa", &["D1"]),
        ("/subscriptions/aa/resourceGroups/none", "aa", &[]),
        ("/subscriptions/bb", "aa", &[]),
        ("/subscriptions/bb", "bb", &["D3"]),
    ];
    for (granted, asked, expected) in rows {
        let token = server.token_within(&[Role::Customer], scope(granted)).await;
        let answer = send(&server, "GET", &list(asked), Some(&token), "").await;
        for drive in ["D1", "D2", "D3"] {
            let is_shown = answer.contains(&format!("job-{drive}"));
            assert_eq!(is_shown, expected.contains(&drive), "{granted} asks for {asked}, {drive}: {answer}");
        }
    }
    server.stop().await;
}

//! Whoever is limited to a scope is limited to it in everything: reading, and each command that there is.
//!
//! The commands come from the OpenAPI document, so one that is added fails here until it is tried, too.

use api::desk::bays::{BayNow, Doing};
use api::openapi;
use api::people::{Role, Scope};
use model::job::JobKey;
use reqwest::Method;
use serde_json::{Value, json};

use crate::house::{House, read, token};

const JOB: &str = "/subscriptions/Sub-1/resourceGroups/Group/providers/Microsoft.ImportExport/jobs/one";

async fn narrowed(house: &House, role: Role, grant: &str) -> String {
    token(&house.tokens, [role], Scope::Only(vec![grant.parse().unwrap()])).await
}

/// What can be sent with each command. An operation that is not here fails the test.
fn bodies(operation: &str) -> Vec<Value> {
    match operation {
        "drivesScan" => vec![json!({}), json!({"job": JOB}), json!({"job": JOB, "extra": true})],
        "drivesAssign" => vec![json!({"bay": "B-01"})],
        "drivesHold" | "drivesFault" | "jobsFault" | "jobsReturnImpossible" => {
            vec![json!({"reason": "a test"})]
        }
        "drivesGiveUp" => vec![json!({"status": "DiskNotFound"})],
        "drivesPack" => vec![json!({"label": "box"}), json!({"label": "box", "job": JOB})],
        "packagesUnpack" => vec![json!({"shortfallReason": "a test"}), json!({"job": JOB})],
        "jobsShip" => vec![
            json!({"carrierName": "c", "trackingNumber": "t", "driveCount": 1, "shipDate": "2026-01-01"}),
        ],
        "jobsPutBack" => vec![json!({"state": "Shipping"})],
        "webhooksCreate" => vec![json!({"url": "https://hooks.example/x"})],
        "tokensCreate" => {
            vec![json!({"label": "x", "roles": ["admin"], "expiresAt": "2026-01-01T00:00:00Z"})]
        }
        "accountsPut" => vec![json!({"endpoint": "https://account.blob.example", "credential": "x"})],
        "drivesPutBack"
        | "drivesUnsupported"
        | "packagesReturn"
        | "jobsDestroyed"
        | "jobsCustomerAnswered"
        | "drivesResume"
        | "drivesRelease"
        | "drivesNeverReceived"
        | "packagesReceive"
        | "webhooksDelete"
        | "webhooksTest"
        | "webhooksEnable"
        | "tokensDelete"
        | "accountsDelete"
        | "custodyVerify" => {
            vec![json!({})]
        }
        other => panic!("say what a {other} takes"),
    }
}

/// Every command of the document: its id, its row of the table, its method, its path.
fn commands() -> Vec<(String, String, Method, String)> {
    let mut found = Vec::new();
    for (path, item) in openapi::document()["paths"].as_object().unwrap() {
        for (method, described) in item.as_object().unwrap().iter().filter(|(method, _)| *method != "get") {
            let text = |name: &str| described[name].as_str().unwrap().to_owned();
            let method = method.to_uppercase().parse().unwrap();
            found.push((text("operationId"), text(openapi::OPERATION), method, path.clone()));
        }
    }
    found
}

/// A path for the job `one`, its drive and its parcel; or for what nobody has.
fn filled(path: &str, is_there: bool) -> String {
    let (job, drive) = if is_there { ("one", "SN-1") } else { ("nix", "SN-9") };
    let path =
        path.replace("/jobs/{subscription}/{resource_group}/{name}", &format!("/jobs/Sub-1/Group/{job}"));
    let path = path.replace("{drive_id}", drive).replace("{tracking}", &format!("T-{job}"));
    path.replace("{name}", "account").replace("{id}", "nothing")
}

#[tokio::test(flavor = "multi_thread")]
async fn no_command_reaches_beyond_the_scope_and_none_tells_that_there_is_something() {
    let house = House::new().await;
    let key = house.shipped("one", &["SN-1"]).await;
    house.post("/v1/packages/T-one/receive", json!({})).await;
    house.post("/v1/drives/SN-1/scan", json!({})).await;
    let grant = "/subscriptions/Sub-2".parse().unwrap();
    // Between them they may everything.
    let roles = [Role::Admin, Role::SanitiseApprover];
    let stranger = token(&house.tokens, roles, Scope::Only(vec![grant])).await;
    let before = house.jobs.get(&key).await.unwrap().unwrap();
    let entries = house.get("/v1/custody/entries?limit=200").await.1;
    for (id, row, method, path) in commands() {
        let is_of_the_station = ["ManageTokens", "ManageAccounts", "ManageWebHooks"].contains(&row.as_str());
        for body in bodies(&id) {
            let send = async |is_there: bool| {
                let path = filled(&path, is_there);
                read(house.ask_as(&stranger, method.clone(), &path, &[], Some(body.clone())).await).await
            };
            let ((status, told), (_, of_nothing)) = (send(true).await, send(false).await);
            assert_eq!(status, if is_of_the_station { 403 } else { 404 }, "{id} {body}: {told}");
            let told = told.to_string().replace("SN-1", "SN-9").replace("T-one", "T-nix");
            let told = told.replace("jobs/one", "jobs/nix").replace("\"one\\\"", "\"nix\\\"");
            let of_nothing = of_nothing.to_string().replace("jobs/one", "jobs/nix");
            assert_eq!(told, of_nothing, "{id} {body}");
        }
    }
    assert_eq!(house.jobs.get(&key).await.unwrap().unwrap(), before);
    assert_eq!(house.get("/v1/custody/entries?limit=200").await.1, entries);
    // The same role within its scope.
    let owner = narrowed(&house, Role::Admin, "/subscriptions/sub-1/resourceGroups/group").await;
    let held = house
        .ask_as(&owner, Method::POST, "/v1/drives/SN-1/hold", &[], Some(json!({"reason": "mine"})))
        .await;
    assert_eq!(held.status(), 200);
    house.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_looks_only_at_what_is_granted_and_shows_nothing_twice() {
    let house = House::new().await;
    // More than ten looks' worth of somebody else's, before the first of theirs.
    for number in 0..12 {
        house.shipped_of("Sub-9", &format!("other-{number}"), &[&format!("SN-{number}")]).await;
    }
    house.shipped_of("Sub-1", "one", &["SN-A"]).await;
    house.shipped_of("Sub-2", "two", &["SN-B"]).await;
    house.shipped_of("Sub-1", "three", &["SN-C"]).await;
    let grants =
        ["/subscriptions/Sub-2", "/subscriptions/SUB-1/resourceGroups/group", "/subscriptions/sub-1"];
    let scope = Scope::Only(grants.iter().map(|grant| grant.parse().unwrap()).collect());
    let bearer = token(&house.tokens, [Role::Customer], scope).await;
    let list = async |query: &str| {
        let (mut names, mut parts, mut cursor) = (Vec::new(), 0, String::new());
        loop {
            let path = format!("/v1/jobs?limit=1{query}{cursor}");
            let (status, page) = read(house.ask_as(&bearer, Method::GET, &path, &[], None).await).await;
            assert_eq!(status, 200, "{page}");
            names.extend(page["jobs"].as_array().unwrap().iter().map(|job| job["name"].to_string()));
            parts += 1;
            match page["nextCursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return (names, parts),
            }
        }
    };
    assert_eq!(list("").await, (vec!["\"one\"".into(), "\"three\"".into(), "\"two\"".into()], 3));
    assert_eq!(list("&subscription=sub-2").await, (vec!["\"two\"".into()], 1));
    assert_eq!(list("&subscription=Sub-9").await, (vec![], 1));
    assert_eq!(list("&subscription=Sub-1&resourceGroup=none").await, (vec![], 1));
    house.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_the_whole_stations_is_not_for_a_part_of_it() {
    let house = House::new().await;
    let (_, hook) = house.post("/v1/webhooks", json!({"url": "https://hooks.example/x"})).await;
    let auditor = narrowed(&house, Role::Auditor, "/subscriptions/Sub-1").await;
    let hook = format!("/v1/webhooks/{}", hook["id"].as_str().unwrap());
    for path in ["/v1/tokens", "/v1/accounts", "/v1/webhooks", &hook] {
        let (status, problem) = read(house.ask_as(&auditor, Method::GET, path, &[], None).await).await;
        assert_eq!((status, &problem["type"]), (403, &json!("/problems/out-of-scope")), "{path}");
    }
    house.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bay_with_anothers_drive_is_taken_and_no_more_is_said_of_it() {
    let house = House::new().await;
    house.shipped("one", &["SN-1"]).await;
    house.shipped_of("Sub-2", "two", &["SN-2"]).await;
    for path in ["packages/T-one/receive", "packages/T-two/receive", "drives/SN-1/scan", "drives/SN-2/scan"] {
        assert_eq!(house.post(&format!("/v1/{path}"), json!({})).await.0, 200, "{path}");
    }
    house.post("/v1/drives/SN-1/assign", json!({"bay": "B-01"})).await;
    let lead = narrowed(&house, Role::Lead, "/subscriptions/Sub-2").await;
    let look = async |path: &str| {
        let (status, view) = read(house.ask_as(&lead, Method::GET, path, &[], None).await).await;
        assert_eq!(status, 200, "{view}");
        assert!(!view.to_string().contains("SN-1") && !view.to_string().contains("Sub-1"), "{path}: {view}");
        view
    };
    // As it was assigned, and as it answers in another bay.
    for (bay, doing) in [("B-01", Doing::Copying), ("B-02", Doing::Waiting)] {
        let there =
            BayNow { drive_id: Some("SN-1".to_owned()), doing, percent: Some(7), ..BayNow::empty(bay) };
        let other = if bay == "B-01" { "B-02" } else { "B-01" };
        house.bays.send_replace([there, BayNow::empty(other)].into());
        let view = look(&format!("/v1/bays/{bay}")).await;
        assert!(view["percent"].is_null() && view["next"].as_str().unwrap().contains("in use"), "{view}");
        assert_eq!(look("/v1/bays").await["bays"].as_array().unwrap().len(), 2);
        let assigned =
            house.ask_as(&lead, Method::POST, "/v1/drives/SN-2/assign", &[], Some(json!({"bay": bay}))).await;
        let (status, problem) = read(assigned).await;
        assert_eq!((status, &problem["type"]), (409, &json!("/problems/bay-taken")), "{problem}");
        assert!(!problem.to_string().contains("SN-1"), "{problem}");
    }
    house.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_parcel_of_several_jobs_only_ones_own_is_booked_in() {
    let house = House::new().await;
    let theirs = house.shipped_as(JobKey::new("Sub-1", "Theirs", "box-1"), &["SN-1"]).await;
    let own = house.shipped_as(JobKey::new("Sub-1", "Ours", "box-2"), &["SN-2"]).await;
    let receiver = narrowed(&house, Role::Receiver, "/subscriptions/Sub-1/resourceGroups/ours").await;
    let send = async |path: &str, body: Value| {
        read(house.ask_as(&receiver, Method::POST, path, &[("Idempotency-Key", path)], Some(body)).await)
            .await
    };
    let (status, parcel) = send("/v1/packages/T-box/receive", json!({})).await;
    assert_eq!((status, parcel["jobs"].as_array().unwrap().len()), (200, 1), "{parcel}");
    assert_eq!(parcel["jobs"][0]["name"], "box-2");
    assert_eq!(house.jobs.get(&theirs).await.unwrap().unwrap().job.parcels, []);
    // A drive that is another's does not become an extra one of theirs, and whose it is stays untold.
    let (status, problem) = send("/v1/drives/SN-1/scan", json!({"job": own.arm_id(), "extra": true})).await;
    assert_eq!((status, &problem["type"]), (409, &json!("/problems/drive-taken")), "{problem}");
    assert!(!problem.to_string().contains("Theirs"), "{problem}");
    house.stop().await;
}

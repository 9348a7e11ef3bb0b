//! What is done with parcels, drives and jobs; done once however often it is asked for; and no secret told.

use ledger::{Change, Jobs as _};
use reqwest::Method;
use serde_json::json;

use crate::house::{House, PASSWORD, read};

const JOB: &str = "/v1/jobs/Sub-1/Group";

#[tokio::test(flavor = "multi_thread")]
async fn a_drive_goes_from_the_dock_to_the_carrier() {
    let house = House::new().await;
    house.shipped("one", &["SN-1"]).await;
    let (status, parcel) =
        house.post("/v1/packages/T-one/receive", json!({"condition": "damaged", "note": "a dent"})).await;
    assert_eq!((status, &parcel["received"]), (200, &json!(true)), "{parcel}");
    assert_eq!(parcel["next"], "Scan each drive. Not here yet: SN-1.");
    let (status, drive) = house.post("/v1/drives/SN-1/scan", json!({"slot": "S-7"})).await;
    assert_eq!((status, &drive["place"]["slot"]), (200, &json!("S-7")), "{drive}");
    assert_eq!(drive["next"], "Assign it to a bay.");
    let (status, drive) = house.post("/v1/drives/SN-1/assign", json!({"bay": "B-01"})).await;
    assert_eq!((status, &drive["next"]), (200, &json!("Insert it into bay B-01.")), "{drive}");
    let (_, bay) = house.get("/v1/bays/B-01").await;
    assert_eq!(bay["assigned"]["driveId"], "SN-1", "{bay}");
    assert_eq!(bay["next"], "Insert drive SN-1.");
    let (status, drive) = house.post("/v1/drives/SN-1/hold", json!({"reason": "smells burnt"})).await;
    assert_eq!((status, &drive["hold"]["reason"]), (200, &json!("smells burnt")), "{drive}");
    let (status, _) = house.post("/v1/drives/SN-1/resume", json!({})).await;
    assert_eq!(status, 200);
    let (status, drive) = house.post("/v1/drives/SN-1/release", json!({"slot": "S-8"})).await;
    assert_eq!((status, &drive["place"]["slot"]), (200, &json!("S-8")), "{drive}");
    house.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn all_values_of_a_mismatch_are_told_with_what_to_do() {
    let house = House::new().await;
    house.shipped("one", &["SN-1"]).await;
    house.post("/v1/packages/T-one/receive", json!({})).await;
    house.post("/v1/drives/SN-1/scan", json!({})).await;
    let (status, problem) =
        house.post("/v1/drives/SN-1/assign", json!({"bay": "B-01", "device": "SN-2"})).await;
    assert_eq!(status, 409, "{problem}");
    assert_eq!(problem["type"], "/problems/mismatch");
    let told = [&problem["label"], &problem["device"], &problem["bay"], &problem["retryable"]];
    assert_eq!(told, [&json!("SN-1"), &json!("SN-2"), &json!("B-01"), &json!(false)]);
    assert!(problem["next"].as_str().unwrap().starts_with("Take the drive out"));
    for (path, body) in [
        ("/v1/drives/SN-9/scan", json!({})),
        ("/v1/packages/T-none/receive", json!({})),
        ("/v1/drives/SN-1/assign", json!({"bay": "B-99"})),
    ] {
        let (status, problem) = house.post(path, body).await;
        assert_eq!(status, 404, "{path}: {problem}");
    }
    house.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_is_sent_again_is_answered_again_and_done_once() {
    let house = House::new().await;
    house.shipped("one", &["SN-1"]).await;
    let send = |key: &'static str, path: &'static str, body| {
        let house = &house;
        async move {
            let answer = house.ask(Method::POST, path, &[("Idempotency-Key", key)], Some(body)).await;
            let replayed = answer.headers().contains_key("idempotency-replayed");
            (read(answer).await, replayed)
        }
    };
    let (first, replayed) = send("k-1", "/v1/packages/T-one/receive", json!({})).await;
    assert_eq!((first.0, replayed), (200, false), "{first:?}");
    let entries = house.get("/v1/custody/entries").await.1["entries"].as_array().unwrap().len();
    let (again, replayed) = send("k-1", "/v1/packages/T-one/receive", json!({})).await;
    assert_eq!((again, replayed), (first, true));
    assert_eq!(house.get("/v1/custody/entries").await.1["entries"].as_array().unwrap().len(), entries);
    let (other, _) = send("k-1", "/v1/packages/T-one/receive", json!({"condition": "damaged"})).await;
    assert_eq!((other.0, &other.1["type"]), (422, &json!("/problems/idempotency-key-reused")));
    let (other, _) = send("k-1", "/v1/drives/SN-1/scan", json!({})).await;
    assert_eq!(other.0, 422, "another path is another request: {other:?}");
    // A refusal is not kept: what was wrong may be put right.
    let (refused, _) = send("k-2", "/v1/drives/SN-1/assign", json!({"bay": "B-01"})).await;
    assert_eq!(refused.0, 409, "{refused:?}");
    house.post("/v1/drives/SN-1/scan", json!({})).await;
    let (assigned, _) = send("k-2", "/v1/drives/SN-1/assign", json!({"bay": "B-01"})).await;
    assert_eq!(assigned.0, 200, "{assigned:?}");
    house.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_is_faulted_only_by_who_says_what_they_saw() {
    let house = House::new().await;
    house.shipped("one", &["SN-1"]).await;
    let fault = |headers: Vec<(&'static str, String)>| {
        let house = &house;
        async move {
            let headers: Vec<(&str, &str)> =
                headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
            let body = json!({"reason": "the customer called"});
            house.ask(Method::POST, &format!("{JOB}/one/fault"), &headers, Some(body)).await
        }
    };
    let seen = house.ask(Method::GET, &format!("{JOB}/one"), &[], None).await;
    let tag = seen.headers()["etag"].to_str().unwrap().to_owned();
    assert_eq!(fault(vec![]).await.status(), 428);
    assert_eq!(fault(vec![("If-Match", "\"999\"".into())]).await.status(), 412);
    let done = fault(vec![("If-Match", tag.clone())]).await;
    assert_eq!(done.status(), 200);
    assert_ne!(done.headers()["etag"].to_str().unwrap(), tag);
    assert_eq!(fault(vec![("If-Match", tag)]).await.status(), 412, "it has changed since");
    let (status, job) = read(
        house
            .ask(
                Method::POST,
                &format!("{JOB}/one/put-back"),
                &[("If-Match", "*")],
                Some(json!({"state": "Shipping"})),
            )
            .await,
    )
    .await;
    assert_eq!((status, &job["state"]), (200, &json!("Shipping")), "{job}");
    house.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_go_on_where_they_ended_while_jobs_are_added() {
    let house = House::new().await;
    for name in ["a", "b", "c"] {
        house.shipped(name, &[&format!("SN-{name}")]).await;
    }
    let (_, first) = house.get("/v1/jobs?limit=2").await;
    assert_eq!(first["jobs"].as_array().unwrap().len(), 2);
    let cursor = first["nextCursor"].as_str().unwrap().to_owned();
    house.shipped("d", &["SN-d"]).await;
    let (_, second) = house.get(&format!("/v1/jobs?limit=2&cursor={cursor}")).await;
    let names: Vec<_> = second["jobs"].as_array().unwrap().iter().map(|job| job["name"].clone()).collect();
    assert_eq!(names, [json!("c"), json!("d")]);
    let (status, problem) = house.get(&format!("/v1/jobs?limit=2&state=Shipping&cursor={cursor}")).await;
    assert_eq!((status, &problem["type"]), (404, &json!("/problems/cursor-unknown")));
    let (_, drives) = house.get("/v1/drives?limit=3").await;
    let cursor = drives["nextCursor"].as_str().unwrap();
    let (_, rest) = house.get(&format!("/v1/drives?limit=3&cursor={cursor}")).await;
    assert_eq!(rest["drives"][0]["driveId"], "SN-d", "{rest}");
    house.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_secret_is_shown_once_or_never() {
    const CREDENTIAL: &str = "sv=planted&sig=Q29uZmlkZW50aWFsIQ";
    let house = House::new().await;
    house.shipped("one", &["SN-1"]).await;
    let keyed = [("Idempotency-Key", "k")];
    let wanted = json!({"label": "scanner", "roles": ["receiver"], "expiresAt": soon()});
    let (status, issued) =
        read(house.ask(Method::POST, "/v1/tokens", &keyed, Some(wanted.clone())).await).await;
    let token = issued["token"].as_str().unwrap_or_default().to_owned();
    assert_eq!(status, 201, "{issued}");
    assert_eq!(house.ask_as(&token, Method::GET, "/v1/status", &[], None).await.status(), 200);
    let (status, again) = read(house.ask(Method::POST, "/v1/tokens", &keyed, Some(wanted)).await).await;
    assert_eq!((status, again.get("token")), (201, None), "{again}");
    assert_eq!(again["id"], issued["id"]);
    let account = json!({
        "endpoint": "https://account.blob.example",
        "resourceId": "/subscriptions/S/resourceGroups/g/providers/Microsoft.Storage/storageAccounts/account",
        "credential": CREDENTIAL,
    });
    let put = |headers: &'static [(&'static str, &'static str)]| {
        house.ask(Method::PUT, "/v1/accounts/account", headers, Some(account.clone()))
    };
    assert_eq!(put(&[]).await.status(), 201);
    assert_eq!(put(&[]).await.status(), 428, "another one in its place must say in the place of which");
    assert_eq!(put(&[("If-Match", "*")]).await.status(), 200);
    let (_, hook) = house.post("/v1/webhooks", json!({"url": "https://hooks.example/x"})).await;
    let secret = hook["secret"].as_str().unwrap().to_owned();
    for path in paths_to_read() {
        let answer = house.ask(Method::GET, &path, &[], None).await;
        assert!(answer.status().is_success(), "{path}: {}", answer.status());
        let text = answer.text().await.unwrap();
        for planted in [PASSWORD, CREDENTIAL, &token, &secret] {
            assert!(!text.contains(planted), "{path} tells a secret");
        }
    }
    assert_eq!(
        house
            .ask(Method::DELETE, &format!("/v1/tokens/{}", issued["id"].as_str().unwrap()), &[], None)
            .await
            .status(),
        204
    );
    assert_eq!(house.ask_as(&token, Method::GET, "/v1/status", &[], None).await.status(), 401);
    assert_eq!(house.ask(Method::DELETE, "/v1/accounts/account", &[], None).await.status(), 204);
    assert_eq!(house.get("/v1/accounts").await.1["accounts"], json!([]));
    house.stop().await;
}

/// Whoever was slower would else undo what they never saw.
#[tokio::test(flavor = "multi_thread")]
async fn of_many_who_replace_an_accounts_credential_at_once_one_does() {
    let house = House::new().await;
    let account = json!({
        "endpoint": "https://account.blob.example",
        "resourceId": "/subscriptions/S/resourceGroups/g/providers/Microsoft.Storage/storageAccounts/account",
        "credential": "c2VjcmV0",
    });
    let put = |tag: Option<String>| {
        let (house, account) = (&house, account.clone());
        async move {
            let headers: Vec<_> = tag.as_deref().map(|tag| ("If-Match", tag)).into_iter().collect();
            house.ask(Method::PUT, "/v1/accounts/account", &headers, Some(account)).await
        }
    };
    let made = put(None).await;
    let tag = made.headers()["etag"].to_str().unwrap().to_owned();
    let answers = futures::future::join_all((0..6).map(|_| put(Some(tag.clone())))).await;
    let mut statuses: Vec<u16> = answers.iter().map(|answer| answer.status().as_u16()).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 412, 412, 412, 412, 412]);
    house.stop().await;
}

fn soon() -> String {
    let now = api::people::system_clock()();
    api::events::rfc3339(now + 86_400_000)
}

/// Every list and thing that can be read.
fn paths_to_read() -> Vec<String> {
    let mut paths: Vec<String> =
        ["jobs", "drives", "drives/SN-1", "bays", "events", "webhooks", "tokens", "accounts", "status"]
            .map(|name| format!("/v1/{name}"))
            .into();
    paths.push(format!("{JOB}/one"));
    paths.push("/v1/packages/T-one".into());
    paths.extend(["entries", "checkpoints", "keys"].map(|name| format!("/v1/custody/{name}")));
    paths.push("/v1/custody/export?job=/subscriptions/Sub-1/resourceGroups/Group/providers/Microsoft.ImportExport/jobs/one".into());
    paths
}

#[tokio::test(flavor = "multi_thread")]
async fn entries_of_one_chain_are_all_told_when_a_job_has_several_chains() {
    let house = House::new().await;
    let key = house.shipped("one", &["SN-1"]).await;
    let draft = custody::Draft {
        at_unix_ms: 1,
        actor: "bay:S-01".to_owned(),
        roles: Vec::new(),
        action: "drive.started".to_owned(),
        job: Some(key.arm_id()),
        drive: None,
        bay: None,
        before: None,
        after: None,
        reason: None,
        files: Vec::new(),
    };
    for _ in 0..3 {
        let change = Change { chain: "south".to_owned(), custody: vec![draft.clone()], ..Change::default() };
        house.ledger.apply(&change).await.unwrap();
    }
    house.post("/v1/packages/T-one/receive", json!({})).await;
    let told = async |chain: &str, limit: u32| {
        let (mut entries, mut cursor) = (Vec::new(), String::new());
        loop {
            let path =
                format!("/v1/custody/entries?job={}&chain={chain}&limit={limit}{cursor}", key.arm_id());
            let (status, page) = house.get(&path).await;
            assert_eq!(status, 200, "{page}");
            entries.extend(page["entries"].as_array().unwrap().iter().map(|entry| entry["no"].clone()));
            match page["nextCursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return entries,
            }
        }
    };
    for limit in [1, 2, 200] {
        assert_eq!(told("south", limit).await, [json!(1), json!(2), json!(3)], "{limit} at a time");
        // The first of this station's is the admin's token.
        assert_eq!(told("north", limit).await, [json!(2), json!(3), json!(4)], "{limit} at a time");
    }
    house.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_jobs_part_of_the_chain_is_proven_by_the_public_keys_alone() {
    let house = House::new().await;
    house.shipped("other", &["SN-0"]).await;
    let key = house.shipped("one", &["SN-1"]).await;
    house.post("/v1/packages/T-other/receive", json!({})).await;
    house.post("/v1/packages/T-one/receive", json!({})).await;
    let export = house.ask(Method::GET, &format!("/v1/custody/export?job={}", key.arm_id()), &[], None).await;
    let export = export.text().await.unwrap();
    assert!(!export.contains("SN-0"), "nothing of the other job is shown");
    let (_, keys) = house.get("/v1/custody/keys").await;
    let keys = custody::PublicKeys::from_text(keys["text"].as_str().unwrap()).unwrap();
    let proven = custody::verify_proof(export.as_bytes(), &keys);
    assert!(proven.is_ok(), "{:?}", proven.err());
    assert!(
        custody::verify_proof(
            export.replace("T-one", "T-two").replace("created", "deleted").as_bytes(),
            &keys
        )
        .is_err()
    );
    let (status, verified) = house.post("/v1/custody/verify", json!({})).await;
    assert_eq!((status, &verified["intact"]), (200, &json!(true)), "{verified}");
    assert!(verified["signedUpTo"].is_u64(), "the export signed a checkpoint: {verified}");
    house.stop().await;
}

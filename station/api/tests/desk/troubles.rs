//! What goes wrong can be recorded, and what is whole is not kept from going on by it.

use std::sync::atomic::Ordering;

use api::people::{Role, Scope};
use model::job::JobKey;
use reqwest::Method;
use serde_json::{Value, json};

use crate::house::{House, id, read, token};

const JOB: &str = "/v1/jobs/Sub-1/Group/one";
const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// A house with these drives of the job `one` booked in.
async fn received(serials: &[&str]) -> (House, JobKey) {
    let house = House::new().await;
    let key = house.shipped("one", serials).await;
    done(&house, "/v1/packages/T-one/receive", json!({})).await;
    for serial in serials {
        done(&house, &format!("/v1/drives/{serial}/scan"), json!({})).await;
    }
    (house, key)
}

async fn done(house: &House, path: &str, body: Value) -> Value {
    let (status, answer) = house.post(path, body).await;
    assert_eq!(status, 200, "{path}: {answer}");
    answer
}

/// A decision on the job as it is.
async fn decide(house: &House, bearer: &str, what: &str, body: Value) -> (u16, Value) {
    let path = format!("{JOB}/{what}");
    read(house.ask_as(bearer, Method::POST, &path, &[("If-Match", "*")], Some(body)).await).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_drive_and_an_unsupported_one_do_not_keep_the_others_from_going_back() {
    let (house, key) = received(&["SN-1", "SN-2"]).await;
    let drive = done(&house, "/v1/drives/SN-1/unsupported", json!({})).await;
    assert_eq!(drive["copyStatus"], "UnsupportedDrive", "{drive}");
    done(&house, "/v1/drives/SN-2/assign", json!({"bay": "B-01"})).await;
    let (status, problem) = house.post("/v1/drives/SN-2/give-up", json!({"status": "DiskNotFound"})).await;
    assert_eq!((status, &problem["next"]), (409, &json!("Report the start first.")), "{problem}");
    let worker = jobs::Caller::new("bay:B-01", vec!["service".to_owned()]);
    house.jobs.drive_started(&worker, &key, &id("SN-2"), None).await.unwrap();
    let (status, problem) = house.post("/v1/drives/SN-2/give-up", json!({"status": "DiskNotFound"})).await;
    assert_eq!((status, &problem["next"]), (409, &json!("Report it as faulty first.")), "{problem}");
    let drive = done(&house, "/v1/drives/SN-2/fault", json!({"reason": "it does not spin"})).await;
    assert_eq!((&drive["state"], &drive["fault"]), (&json!("Faulted"), &json!("it does not spin")));
    let (status, problem) = house.post("/v1/drives/SN-1/pack", json!({"label": "box"})).await;
    assert_eq!(status, 409, "one is not finished: {problem}");
    let drive = done(&house, "/v1/drives/SN-2/give-up", json!({"status": "DiskNotFound"})).await;
    assert_eq!(drive["copyStatus"], "DiskNotFound", "{drive}");
    done(&house, "/v1/drives/SN-2/give-up", json!({"status": "DiskNotFound"})).await;
    for serial in ["SN-1", "SN-2"] {
        done(&house, &format!("/v1/drives/{serial}/pack"), json!({"label": "box"})).await;
    }
    let package =
        json!({"carrierName": "FedEx", "trackingNumber": "R-1", "driveCount": 2, "shipDate": "2026-11-25"});
    let job = done(&house, &format!("{JOB}/ship"), package).await;
    assert_eq!(job["state"], "Closed", "with errors: {job}");
    house.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_faulty_drive_goes_on_where_it_was_when_it_is_put_back() {
    let (house, _) = received(&["SN-1"]).await;
    done(&house, "/v1/drives/SN-1/fault", json!({"reason": "clicks"})).await;
    let (status, _) = house.post("/v1/drives/SN-1/assign", json!({"bay": "B-01"})).await;
    assert_eq!(status, 409);
    let drive = done(&house, "/v1/drives/SN-1/put-back", json!({})).await;
    assert_eq!((&drive["state"], &drive["fault"]), (&json!("Received"), &Value::Null), "{drive}");
    done(&house, "/v1/drives/SN-1/assign", json!({"bay": "B-01"})).await;
    let (status, problem) = house.post("/v1/drives/SN-1/put-back", json!({})).await;
    assert_eq!(status, 409, "it is not faulty: {problem}");
    house.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parcel_that_nobody_shipped_goes_back_as_it_came() {
    let house = House::new().await;
    house.ordered(JobKey::new("Sub-1", "Group", "one"), &["SN-1"]).await;
    done(&house, "/v1/packages/T-one/receive", json!({})).await;
    let parcel = done(&house, "/v1/packages/T-one/return", json!({})).await;
    assert_eq!((&parcel["received"], &parcel["next"]), (&json!(false), &json!("Nothing: it went back.")));
    assert_eq!(house.get(JOB).await.1["parcels"], json!([]));
    let (status, problem) = house.post("/v1/packages/T-one/return", json!({})).await;
    assert_eq!(status, 404, "{problem}");
    house.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn drives_that_nobody_takes_back_are_destroyed_after_ninety_days_and_by_the_approver_only() {
    let (house, _) = received(&["SN-1"]).await;
    done(&house, "/v1/drives/SN-1/unsupported", json!({})).await;
    let approver = token(&house.tokens, [Role::SanitiseApprover], Scope::Everything).await;
    let why = json!({"reason": "no such street"});
    assert_eq!(house.post(&format!("{JOB}/return-impossible"), why.clone()).await.0, 428);
    let (status, job) = decide(&house, &house.token, "return-impossible", why).await;
    assert_eq!((status, &job["state"]), (200, &json!("Packaging")), "{job}");
    let (status, problem) = decide(&house, &approver, "destroyed", json!({})).await;
    assert_eq!(status, 409, "ninety days are not over: {problem}");
    house.later_ms.store(91 * DAY_MS, Ordering::Relaxed);
    house.jobs.fire_due_timers().await.unwrap();
    assert_eq!(decide(&house, &house.token, "destroyed", json!({})).await.0, 403, "not the admin");
    let (status, job) = decide(&house, &approver, "destroyed", json!({})).await;
    assert_eq!((status, &job["state"]), (200, &json!("Closed")), "{job}");
    assert_eq!(job["drives"][0]["place"]["kind"], "destroyed");
    house.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_faulted_job_of_which_nothing_came_can_be_closed() {
    let house = House::new().await;
    house.shipped("one", &["SN-1"]).await;
    let (status, job) = decide(&house, &house.token, "fault", json!({"reason": "lost on the way"})).await;
    assert_eq!((status, &job["state"]), (200, &json!("Faulted")), "{job}");
    let (status, job) = decide(&house, &house.token, "put-back", json!({"state": "Closed"})).await;
    assert_eq!((status, &job["state"]), (200, &json!("Closed")), "{job}");
    house.stop().await;
}

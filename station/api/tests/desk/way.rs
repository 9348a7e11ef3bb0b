//! The whole way of a shipment of two jobs, over HTTP: from the dock to the carrier, with what goes wrong on it; and
//! what the events and the custody chain tell of it afterwards.

use model::job::{JobKey, RunLogs};
use model::status::DriveStatus;
use reqwest::Method;
use serde_json::{Value, json};

use crate::house::{House, id, read};

async fn done(house: &House, path: &str, body: Value) -> Value {
    let (status, answer) = house.post(path, body).await;
    assert_eq!(status, 200, "{path}: {answer}");
    answer
}

/// What is not done, and why: the problem's name.
async fn refused(house: &House, path: &str, body: Value) -> (String, Value) {
    let (status, problem) = house.post(path, body).await;
    assert!((400..500).contains(&status), "{path}: {status} {problem}");
    (problem["type"].as_str().unwrap().trim_start_matches("/problems/").to_owned(), problem)
}

/// A parcel of two jobs: one drive of three never comes, and one comes that is nobody's.
async fn at_the_dock(house: &House, one: &JobKey, two: &JobKey) {
    let parcel = done(house, "/v1/packages/T-box/receive", json!({"condition": "damaged"})).await;
    assert_eq!(parcel["jobs"].as_array().unwrap().len(), 2, "{parcel}");
    assert_eq!(parcel["next"], "Scan each drive. Not here yet: SN-1, SN-2, SN-3, SN-4.");
    done(house, "/v1/drives/SN-1/scan", json!({"slot": "S-1"})).await;
    done(house, "/v1/drives/SN-3/scan", json!({"job": two.arm_id()})).await;
    let (why, problem) = refused(house, "/v1/drives/SN-3/scan", json!({"job": one.arm_id()})).await;
    assert_eq!((why.as_str(), &problem["job"]), ("other-job", &json!(two.arm_id())), "{problem}");
    let (why, _) = refused(house, "/v1/drives/XX-9/scan", json!({"extra": true})).await;
    assert_eq!(why, "job-needed");
    let extra = json!({"extra": true, "job": one.arm_id()});
    let (why, _) = refused(house, "/v1/drives/SN-1/scan", extra.clone()).await;
    assert_eq!(why, "not-now", "it is on the job's list");
    let drive = done(house, "/v1/drives/XX-9/scan", extra).await;
    assert_eq!(drive["place"]["kind"], "shelf", "{drive}");
    let drive = done(house, "/v1/drives/SN-2/never-received", json!({})).await;
    assert_eq!(drive["state"], "NeverReceived", "{drive}");
}

/// Nothing is missing from the parcel without a reason.
async fn unpacked(house: &House, one: &JobKey, two: &JobKey) {
    let unpack = "/v1/packages/T-box/unpack";
    let (why, problem) = refused(house, unpack, json!({})).await;
    assert_eq!(why, "job-needed", "{problem}");
    done(house, unpack, json!({"job": one.arm_id()})).await;
    let (why, problem) = refused(house, unpack, json!({"job": two.arm_id()})).await;
    assert_eq!(why, "invalid");
    assert!(problem["detail"].as_str().unwrap().contains("SN-4"), "{problem}");
    let short = json!({"job": two.arm_id(), "shortfallReason": "three of four were in it"});
    let parcel = done(house, unpack, short).await;
    assert_eq!(parcel["jobs"][0]["parcels"][0]["unpacked"], true, "{parcel}");
}

/// Copied in a bay, as its worker reports it.
async fn copied(house: &House, job: &JobKey, serial: &str) {
    done(house, &format!("/v1/drives/{serial}/assign"), json!({"bay": "B-01"})).await;
    let worker = jobs::Caller::new("bay:B-01", vec!["service".to_owned()]);
    let drive_id = id(serial);
    house.jobs.drive_started(&worker, job, &drive_id, None).await.unwrap();
    house.jobs.drive_progress(&worker, job, &drive_id, (40, 4_000), None).await.unwrap();
    let (_, drive) = house.get(&format!("/v1/drives/{serial}")).await;
    assert_eq!((&drive["state"], &drive["percentComplete"]), (&json!("Transferring"), &json!(40)), "{drive}");
    let end = (DriveStatus::Completed, 10_000, RunLogs::default());
    house.jobs.drive_ended(&worker, job, &drive_id, end, None).await.unwrap();
    let drive = done(house, &format!("/v1/drives/{serial}/release"), json!({"slot": "S-2"})).await;
    assert_eq!((&drive["state"], &drive["next"]), (&json!("Completed"), &json!("Pack it.")), "{drive}");
}

/// Into the right box, all of them, counted.
async fn packed_and_shipped(house: &House, one: &JobKey, two: &JobKey) -> Value {
    // The other job waits for its box, too.
    done(house, "/v1/drives/SN-3/unsupported", json!({})).await;
    let into = |job: &JobKey| json!({"label": "R-1", "job": job.arm_id()});
    let (why, problem) = refused(house, "/v1/drives/SN-1/pack", into(two)).await;
    assert_eq!((why.as_str(), &problem["job"]), ("other-job", &json!(one.arm_id())), "{problem}");
    let drive = done(house, "/v1/drives/SN-1/pack", json!({"label": "R-1"})).await;
    assert_eq!((&drive["place"]["kind"], &drive["place"]["label"]), (&json!("box"), &json!("R-1")));
    let ship = "/v1/jobs/Sub-1/Group/box-1/ship";
    let package = |count: u32| json!({"carrierName": "FedEx", "trackingNumber": "BACK-1", "driveCount": count, "shipDate": "2026-11-25"});
    let (why, problem) = refused(house, ship, package(1)).await;
    assert_eq!(why, "not-now");
    assert!(problem["detail"].as_str().unwrap().contains("XX-9 (the shelf)"), "where it is: {problem}");
    done(house, "/v1/drives/XX-9/pack", json!({"label": "R-1"})).await;
    let (status, extra) = house.get("/v1/drives/XX-9").await;
    assert_eq!((status, &extra["place"]["label"]), (200, &json!("R-1")), "{extra}");
    let (why, problem) = refused(house, ship, package(3)).await;
    assert_eq!(why, "invalid");
    assert!(problem["detail"].as_str().unwrap().contains("2 are packed"), "{problem}");
    let job = done(house, ship, package(2)).await;
    assert_eq!(done(house, ship, package(2)).await["version"], job["version"], "once");
    job
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parcel_of_two_jobs_goes_the_whole_way_and_everything_that_was_done_is_proven() {
    let house = House::new().await;
    let one = house.shipped("box-1", &["SN-1", "SN-2"]).await;
    let two = house.shipped("box-2", &["SN-3", "SN-4"]).await;
    at_the_dock(&house, &one, &two).await;
    unpacked(&house, &one, &two).await;
    copied(&house, &one, "SN-1").await;
    let job = packed_and_shipped(&house, &one, &two).await;
    assert_eq!(job["returnTrackingNumber"], "BACK-1", "{job}");
    assert_eq!(job["state"], "Closed", "with an error: one drive never came");
    assert_eq!(job["drives"][0]["state"], "ShippedBack");
    assert_eq!(job["extraDrives"][0]["place"]["kind"], "sentBack");
    told(&house, &one).await;
    proven(&house).await;
    house.stop().await;
}

/// Events in order, and the chain of the job with who did what.
async fn told(house: &House, job: &JobKey) {
    let (_, page) = house.get(&format!("/v1/events?limit=200&job={}", job.arm_id())).await;
    let kinds: Vec<&str> =
        page["events"].as_array().unwrap().iter().map(|event| event["type"].as_str().unwrap()).collect();
    let (_, page) = house.get(&format!("/v1/custody/entries?limit=200&job={}", job.arm_id())).await;
    let entries = page["entries"].as_array().unwrap();
    let actions: Vec<&str> = entries.iter().map(|entry| entry["action"].as_str().unwrap()).collect();
    let way = [
        "job.created",
        "job.shipped",
        "parcel.received",
        "drive.received",
        "drive.extra",
        "drive.missing",
        "parcel.unpacked",
        "drive.assigned",
        "drive.started",
        "drive.ended",
        "drive.released",
        "drive.packed",
        "drive.packed",
        "job.returned",
        "drive.returned",
        "drive.returned",
    ];
    assert_eq!(actions, way);
    let mut rest = kinds.iter();
    for step in way {
        assert!(rest.any(|kind| *kind == step), "{step} in order: {kinds:?}");
    }
    let of = |action: &str| entries.iter().find(|entry| entry["action"] == action).unwrap();
    assert_eq!(of("parcel.received")["reason"], "parcel T-box: damaged");
    assert_eq!(
        (&of("drive.ended")["actor"], &of("drive.ended")["bay"]),
        (&json!("bay:B-01"), &json!("B-01"))
    );
    assert_eq!(of("job.returned")["reason"], "2 drives, FedEx BACK-1");
    assert!(of("job.returned")["actor"].as_str().unwrap().starts_with("token:"));
}

/// The chain holds against a checkpoint that was kept outside, and against none that the station did not sign.
async fn proven(house: &House) {
    let export = house.ask(Method::GET, "/v1/custody/export?job=/subscriptions/Sub-1/resourceGroups/Group/providers/Microsoft.ImportExport/jobs/box-1", &[], None).await;
    assert!(export.text().await.unwrap().contains("XX-9"));
    let (_, page) = house.get("/v1/custody/checkpoints").await;
    let kept = page["checkpoints"].as_array().unwrap().last().unwrap().clone();
    done(house, "/v1/packages/T-box/receive", json!({})).await;
    let verify = |text: Value| {
        house.ask(Method::POST, "/v1/custody/verify", &[], Some(json!({"checkpoints": [text]})))
    };
    let (status, verified) = read(verify(kept["text"].clone()).await).await;
    assert_eq!((status, &verified["intact"]), (200, &json!(true)), "{verified}");
    assert_eq!(verified["signedUpTo"], kept["no"]);
    let forged = kept["text"].as_str().unwrap().replacen(&format!("{}", kept["no"]), "1", 1);
    let (status, problem) = read(verify(json!(forged)).await).await;
    assert_eq!((status, &problem["type"]), (409, &json!("/problems/checkpoint-not-genuine")), "{problem}");
}

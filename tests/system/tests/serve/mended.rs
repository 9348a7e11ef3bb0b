//! What somebody can mend ends no drive: it waits on hold with the reason, says so at its bay, and goes on.

use std::fs;

use anyhow::{Context, Result, ensure};
use reqwest::Method;
use rig::endpoint::{Endpoint, EndpointConfig};
use serde_json::{Value, json};
use system_tests::drives::TestDrive;
use system_tests::house::{ACCOUNT, House, SERIAL, SUBSCRIPTION, drive, job_body, job_id, succeeds, until};
use system_tests::http::Caller;
use system_tests::program::Running;

/// A well-formed recovery password (spec bitlocker.md's checksums hold) that opens none of our drives.
const OTHER_PASSWORD: &str = "238810-662376-448998-450120-652806-203390-606320-483076";

/// The job as the customer made it, and as somebody got it wrong; the drive is in its bay.
fn bring_in(house: &House, body: &Value, endpoint: &Endpoint) -> Result<()> {
    let file = house.at("job.json");
    fs::write(&file, body.to_string())?;
    succeeds(house.job(&["create", "job1"]).arg("--from").arg(&file))?;
    fs::remove_file(&file)?;
    house.know_account(&endpoint.url(), &endpoint.connection_string())?;
    house.take_in("B-01")
}

/// Waits until the drive is on hold, and gives the reason and what the bay says is to be done.
fn held(house: &House, station: &Running) -> Result<(String, String)> {
    let shown = || -> Result<Value> { Ok(succeeds(&mut house.ask(&["drive", "show", SERIAL]))?.summary()) };
    until(|| Ok(shown()?["hold"].is_object())).with_context(|| {
        format!("it is not held: {:?}; {}", shown(), station.stderr().unwrap_or_default())
    })?;
    let local = Caller::local(&house.socket())?;
    let bay = || local.ask(Method::GET, "/v1/bays/B-01", None);
    until(|| Ok(bay()?["limitedBy"] == "customer")).with_context(|| format!("the bay says {:?}", bay()))?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    Ok((text(&shown()?["hold"]["reason"]), text(&bay()?["next"])))
}

fn patch(house: &House, properties: &Value) -> Result<Value> {
    let path = format!("{}?api-version=2021-01-01", job_id());
    Caller::local(&house.socket())?.ask(Method::PATCH, &path, Some(&json!({"properties": properties})))
}

fn whole(drive: &TestDrive, endpoint: &Endpoint) {
    assert_eq!(drive.expected.differences(&endpoint.snapshot()), Vec::<String>::new());
}

#[test]
fn a_drive_whose_key_is_wrong_waits_for_the_right_one() -> Result<()> {
    let Some(drive) = drive("a_drive_whose_key_is_wrong_waits_for_the_right_one")? else { return Ok(()) };
    let endpoint = Endpoint::start(EndpointConfig::default())?;
    let house = House::new(&drive.image)?;
    let station = house.serve()?;
    let right = job_body(&drive)?;
    let mut wrong = right.clone();
    wrong["properties"]["driveList"][0]["bitLockerKey"] = json!(OTHER_PASSWORD);
    bring_in(&house, &wrong, &endpoint)?;
    let (reason, next) = held(&house, &station)?;
    ensure!(reason.contains("recovery password is wrong") && next.contains("on hold"), "{reason}; {next}");
    ensure!(endpoint.blobs().iter().all(|blob| blob.container != "files"), "nothing was copied");
    patch(&house, &json!({"driveList": right["properties"]["driveList"]}))?;
    succeeds(&mut house.ask(&["drive", "resume", SERIAL]))?;
    house.wait_for("Completed", &station)?;
    whole(&drive, &endpoint);
    let job = house.shown_job()?;
    let bytes: u64 = 3 * 300_000;
    assert_eq!(job["properties"]["driveList"][0]["bytesSucceeded"], bytes, "{job}");
    Ok(())
}

#[test]
fn the_credential_of_an_account_is_for_that_account_only() -> Result<()> {
    let Some(drive) = drive("the_credential_of_an_account_is_for_that_account_only")? else { return Ok(()) };
    let endpoint = Endpoint::start(EndpointConfig::default())?;
    let house = House::new(&drive.image)?;
    let station = house.serve()?;
    let mut body = job_body(&drive)?;
    body["properties"]["storageAccountId"] = json!(format!(
        "/subscriptions/{SUBSCRIPTION}/resourceGroups/another/providers/Microsoft.Storage/storageAccounts/{ACCOUNT}"
    ));
    bring_in(&house, &body, &endpoint)?;
    let (reason, _) = held(&house, &station)?;
    ensure!(reason.contains(ACCOUNT) && reason.contains("not for the account"), "{reason}");
    ensure!(endpoint.blobs().is_empty(), "nothing is in the other account");
    // The customer gives up: nobody is copying, and the drive can go back at once.
    patch(&house, &json!({"cancelRequested": true}))?;
    until(|| Ok(house.shown_job()?["properties"]["state"] == "Packaging"))
        .with_context(|| format!("{:?}", house.shown_job()))?;
    Ok(())
}

//! One station and one drive: from the customer's job into the account, also across a kill.

use std::fs;

use anyhow::{Context, Result, ensure};
use rig::endpoint::{Endpoint, EndpointConfig, Fault};
use system_tests::house::{House, drive, job_id, succeeds};
use system_tests::program::{plain, run};

/// The customer's part of the chain, checked without the station, and one that somebody changed.
fn check_proof(house: &House) -> Result<()> {
    let (proof, keys) = (house.at("proof.jsonl"), house.at("keys.txt"));
    succeeds(house.ask(&["custody", "export", &job_id()]).arg("--out").arg(&proof))?;
    let text = succeeds(&mut house.ask(&["custody", "keys"]))?.summary();
    fs::write(&keys, text["text"].as_str().context("the station has public keys")?)?;
    let check = || run(plain().args(["custody", "check", "--json", "--keys"]).arg(&keys).arg(&proof));
    let proven = check()?;
    ensure!(proven.code == Some(0) && proven.summary()["entries"].as_u64() > Some(5), "{proven:?}");
    fs::write(&proof, fs::read_to_string(&proof)?.replace("drive.assigned", "drive.released"))?;
    let refused = check()?;
    ensure!(refused.code == Some(11), "{refused:?}");
    Ok(())
}

#[test]
fn a_drive_goes_from_a_customers_job_into_the_account() -> Result<()> {
    let Some(drive) = drive("a_drive_goes_from_a_customers_job_into_the_account")? else { return Ok(()) };
    let endpoint = Endpoint::start(EndpointConfig::default())?;
    let house = House::new(&drive.image)?;
    let station = house.serve()?;
    house.bring_in(&drive, &endpoint)?;
    house.wait_for("Completed", &station)?;
    assert_eq!(drive.expected.differences(&endpoint.snapshot()), Vec::<String>::new());
    let custody = succeeds(&mut house.ask(&["custody", "verify"]))?.summary();
    ensure!(custody["intact"] == true, "{custody}");
    check_proof(&house)?;
    station.terminate()?;
    let ended = station.wait()?;
    ensure!(ended.code == Some(0), "{ended:?}");
    ensure!(house.at("elsewhere/station-1.checkpoints").exists(), "stopping signs what is new");
    Ok(())
}

#[test]
fn a_station_that_is_killed_goes_on_with_the_drive_when_it_is_back() -> Result<()> {
    let Some(drive) = drive("a_station_that_is_killed_goes_on_with_the_drive_when_it_is_back")? else {
        return Ok(());
    };
    let endpoint = Endpoint::start(EndpointConfig::default())?;
    let house = House::new(&drive.image)?;
    let station = house.serve()?;
    let victim = station.clone();
    endpoint.faults().add(Fault::call_after(move |_| victim.kill()).nth(6));
    house.bring_in(&drive, &endpoint)?;
    let killed = station.wait()?;
    ensure!(killed.code.is_none(), "it was not killed: {killed:?}");
    endpoint.faults().clear();
    let station = house.serve()?;
    house.wait_for("Completed", &station)?;
    assert_eq!(drive.expected.differences(&endpoint.snapshot()), Vec::<String>::new());
    succeeds(&mut house.ask(&["custody", "verify"]))?;
    station.kill();
    station.wait()?;
    Ok(())
}

//! Two stations, one ledger in PostgreSQL: a drive is carried from one that died to the other, and is finished there.
//! Design §6: the database is the only coordinator.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use keys::planted::Planted;
use ledger::cluster::{Cluster, Sync};
use rig::endpoint::{Endpoint, EndpointConfig, Fault, Operation};
use system_tests::drives::TestDrive;
use system_tests::house::{
    House, LISTEN, LOCATION, SERIAL, SUBSCRIPTION, bay, drive, job_body, job_id, succeeds,
};
use system_tests::http::address;
use system_tests::program::{Desk, Running, logs_in, plain, run};

/// The database of the fleet, on a server that syncs, as stations demand.
struct Fleet {
    cluster: Cluster,
    url: String,
}

impl Fleet {
    fn start(test: &str) -> Result<Option<Fleet>> {
        let cluster = match Cluster::start(Sync::On) {
            Ok(cluster) => cluster,
            Err(why) => {
                rig::skipped(test, &why);
                return Ok(None);
            }
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let url = runtime.block_on(cluster.database());
        Ok(Some(Fleet { cluster, url }))
    }

    /// A station with a bay that is empty until something is put into `device`.
    fn house(&self, name: &str) -> Result<House> {
        House::named(name, |house| {
            let ledger = format!("[ledger]\npostgres_url_file = {:?}\n", house.at("postgres-url"));
            [&*ledger, LISTEN, &bay(&format!("{name}-bay"), &house.at("device")), LOCATION].concat()
        })
        .and_then(|house| {
            private(&house.at("postgres-url"), &self.url)?;
            Ok(house)
        })
    }
}

/// Everything that the stations keep, as a thief of the database would have it.
fn check_database(fleet: &Fleet, secrets: &[(&str, &str)]) -> Result<()> {
    let dump = fleet.cluster.program("pg_dump").arg(&fleet.url).output().context("starting pg_dump")?;
    let said = String::from_utf8_lossy(&dump.stderr);
    ensure!(dump.status.success() && Planted::new(SERIAL.as_bytes()).find(&dump.stdout).is_some(), "{said}");
    for (name, secret) in secrets {
        let found = Planted::new(secret.as_bytes()).find(&dump.stdout);
        ensure!(found.is_none(), "{name} is in the database: {found:?}");
    }
    Ok(())
}

/// A file that others cannot read, as the station demands.
pub fn private(path: &Path, text: &str) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    fs::write(path, text)?;
    Ok(fs::set_permissions(path, fs::Permissions::from_mode(0o600))?)
}

/// The customer's own way in: a token for their subscription, over the network.
fn order(house: &House, station: &Running, drive: &TestDrive) -> Result<String> {
    let (text, token) = house.token("customer")?;
    let body = house.at("job.json");
    fs::write(&body, job_body(drive)?.to_string())?;
    let mut create = plain();
    create.args([
        "job",
        "create",
        "job1",
        "--json",
        "--subscription",
        SUBSCRIPTION,
        "--resource-group",
        "rg",
    ]);
    create.arg("--server").arg(format!("http://{}", address(station)?)).arg("--token-file").arg(token);
    succeeds(create.arg("--from").arg(&body))?;
    fs::remove_file(&body)?;
    Ok(text)
}

/// The whole chain, and what a customer can check of it without the station.
fn check_custody(house: &House, expected: &[&str]) -> Result<()> {
    let verified = succeeds(&mut house.ask(&["custody", "verify"]))?.summary();
    ensure!(verified["intact"] == true, "{verified}");
    let listed = succeeds(&mut house.ask(&["custody", "list", "--job", &job_id()]))?.events();
    let actions: Vec<&str> = listed.iter().filter_map(|entry| entry["action"].as_str()).collect();
    for action in expected {
        ensure!(actions.contains(action), "{action} is not among {actions:?}");
    }
    let (proof, keys) = (house.at("proof.jsonl"), house.at("keys.txt"));
    succeeds(house.ask(&["custody", "export", &job_id()]).arg("--out").arg(&proof))?;
    let text = succeeds(&mut house.ask(&["custody", "keys"]))?.summary();
    fs::write(&keys, text["text"].as_str().context("the station has public keys")?)?;
    succeeds(plain().args(["custody", "check", "--json", "--keys"]).arg(&keys).arg(&proof))?;
    Ok(())
}

/// Out of the bay, into the box, to the carrier.
fn send_back(house: &House) -> Result<()> {
    succeeds(&mut house.ask(&["drive", "release", SERIAL]))?;
    succeeds(&mut house.ask(&["drive", "pack", SERIAL, "--box", "BOX-1"]))?;
    let carrier =
        ["--carrier", "Example Carrier", "--tracking", "R-1", "--drives", "1", "--date", "2026/01/09"];
    succeeds(&mut house.job(&[&["send-back", "job1"], &carrier[..]].concat())).map(drop)
}

#[test]
fn a_drive_that_is_carried_from_a_killed_station_to_another_is_finished_there() -> Result<()> {
    let test = "a_drive_that_is_carried_from_a_killed_station_to_another_is_finished_there";
    let Some(drive) = drive(test)? else { return Ok(()) };
    let Some(fleet) = Fleet::start(test)? else { return Ok(()) };
    let endpoint = Endpoint::start(EndpointConfig::default())?;
    let (north, south) = (fleet.house("north")?, fleet.house("south")?);
    fs::copy(north.at("master.key"), south.at("master.key")).context("a fleet has one master key")?;
    symlink(&drive.image, north.at("device"))?;
    let (in_north, in_south) = (north.serve()?, south.serve()?);

    let token = order(&north, &in_north, &drive)?;
    ensure!(south.shown_job()?["properties"]["state"] == "Creating", "what one has taken, all see");
    north.know_account(&endpoint.url(), &endpoint.connection_string())?;
    let victim = in_north.clone();
    endpoint.faults().add(Fault::call_after(move |_| victim.kill()).on(Operation::PutBlock).nth(6));
    north.take_in("north-bay")?;
    let killed = in_north.wait()?;
    ensure!(killed.code.is_none(), "it was not killed: {killed:?}");
    endpoint.faults().clear();

    fs::rename(north.at("device"), south.at("device"))?;
    ensure!(south.shown_job()?["properties"]["driveList"][0]["state"] == "Transferring", "it was begun");
    succeeds(&mut south.ask(&["drive", "assign", SERIAL, "--bay", "south-bay"]))?;
    south.wait_for("Completed", &in_south)?;
    send_back(&south)?;
    ensure!(south.shown_job()?["properties"]["state"] == "Completed", "{}", south.shown_job()?);

    assert_eq!(drive.expected.differences(&endpoint.snapshot()), Vec::<String>::new());
    assert_eq!(logs_in(&south.at("state/logs"))?, undisturbed(&drive)?, "the logs are those of one run");
    assert_eq!(logs_in(&north.at("state/logs"))?, Vec::new(), "the north came to no logs");
    check_custody(&south, &["drive.assigned", "key.released", "drive.ended", "drive.packed"])?;
    let entry = drive.job()?;
    let password = entry.bitlocker_key.as_ref().context("the drive has a key")?.expose();
    check_database(
        &fleet,
        &[("the recovery password", password), ("the account's key", endpoint.key()), ("a token", &token)],
    )?;
    // The north comes back: its bay is empty, and its chain is what it was.
    let in_north = north.serve()?;
    check_custody(&north, &["job.created", "drive.received", "drive.assigned", "key.released"])?;
    for station in [in_north, in_south] {
        station.terminate()?;
        let ended = station.wait()?;
        ensure!(ended.code == Some(0), "{ended:?}");
    }
    Ok(())
}

/// The logs of a run that nothing befalls.
fn undisturbed(drive: &TestDrive) -> Result<Vec<(String, Vec<u8>)>> {
    let endpoint = Endpoint::start(EndpointConfig::default())?;
    let desk = Desk::before(&endpoint)?;
    let ended = run(&mut desk.ingest(drive))?;
    ensure!(ended.code == Some(0), "{ended:?}");
    desk.logs()
}

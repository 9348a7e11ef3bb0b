//! How the process itself behaves: alone on its state, answering what was begun when it stops, saying at once what is
//! wrong with its configuration.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

use anyhow::{Result, ensure};
use ledger::cluster::{Cluster, Sync};
use system_tests::house::{House, LOCATION, STATE_WAIT, succeeds, until};
use system_tests::program::{plain, run};
use tempfile::TempDir;

use crate::fleet::private;

/// What a second `station serve` of this house says; the one that serves goes on.
fn refused(second: &House, first: &House) -> Result<()> {
    let ended = run(plain().args(["-v", "serve", "--config"]).arg(second.at("config.toml")))?;
    ensure!(ended.code == Some(7) && ended.stderr.contains("already"), "{ended:?}");
    ensure!(!ended.stderr.contains("the custody chain is whole"), "it opened the ledger: {ended:?}");
    succeeds(&mut first.ask(&["token", "list"]))?;
    Ok(())
}

#[test]
fn a_second_station_on_the_same_state_ends_before_it_touches_the_ledger() -> Result<()> {
    let house = House::new(Path::new("/nonexistent"))?;
    let station = house.serve()?;
    refused(&house, &house)?;
    station.kill();
    station.wait()?;
    // The lock goes with the process, however it dies.
    house.serve()?.kill();
    Ok(())
}

/// A station on that database; all of them have one name.
fn of_fleet(url: &str) -> Result<House> {
    let ledger = |house: &House| format!("[ledger]\npostgres_url_file = {:?}\n", house.at("postgres-url"));
    let house = House::named("station-1", |house| ledger(house) + LOCATION)?;
    private(&house.at("postgres-url"), url)?;
    Ok(house)
}

#[test]
fn a_second_station_of_a_fleet_with_the_same_name_ends_before_it_touches_the_ledger() -> Result<()> {
    let test = "a_second_station_of_a_fleet_with_the_same_name_ends_before_it_touches_the_ledger";
    let cluster = match Cluster::start(Sync::On) {
        Ok(cluster) => cluster,
        Err(why) => {
            rig::skipped(test, &why);
            return Ok(());
        }
    };
    let url =
        tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(cluster.database());
    let (first, second) = (of_fleet(&url)?, of_fleet(&url)?);
    let station = first.serve()?;
    refused(&second, &first)?;
    station.terminate()?;
    let ended = station.wait()?;
    ensure!(ended.code == Some(0), "{ended:?}");
    second.serve()?.kill();
    Ok(())
}

/// A request whose body is still on its way when the station is told to stop.
#[test]
fn a_request_that_was_begun_is_answered_when_the_station_stops() -> Result<()> {
    let house = House::new(Path::new("/nonexistent"))?;
    let station = house.serve()?;
    let mut client = UnixStream::connect(house.socket())?;
    client.set_read_timeout(Some(STATE_WAIT))?;
    let body = "{}";
    write!(
        client,
        "POST /v1/custody/verify HTTP/1.1\r\nHost: station\r\nContent-Type: application/json\r\n\
         Expect: 100-continue\r\nContent-Length: {}\r\n\r\n",
        body.len()
    )?;
    let mut answers = BufReader::new(client.try_clone()?);
    let mut line = String::new();
    answers.read_line(&mut line)?;
    ensure!(line.starts_with("HTTP/1.1 100 "), "the station waits for the body: {line:?}");
    station.terminate()?;
    until(|| Ok(station.stderr()?.contains("\"stopping\"")))?;
    client.write_all(body.as_bytes())?;
    let mut answer = String::new();
    answers.read_to_string(&mut answer)?;
    ensure!(answer.contains("HTTP/1.1 ") && answer.ends_with('}'), "{answer:?}");
    let ended = station.wait()?;
    ensure!(ended.code == Some(0), "{ended:?}");
    Ok(())
}

#[test]
fn what_is_wrong_with_the_configuration_is_said_all_at_once() -> Result<()> {
    let folder = TempDir::new()?;
    let path = folder.path().join("config.toml");
    fs::write(
        &path,
        "name = \"not a name\"\n[[bays]]\nname = \"B-01\"\ndevice = \"/dev/a\"\n[[bays]]\nname = \"B-01\"\ndevice = \"/dev/a\"\n",
    )?;
    let ended = run(plain().args(["serve", "--check", "--config"]).arg(&path))?;
    ensure!(ended.code == Some(2), "{ended:?}");
    for problem in ["name:", "bays[1].name:", "bays[1].device:", "locations:"] {
        ensure!(ended.stderr.contains(problem), "{problem} is not named: {}", ended.stderr);
    }
    let named = "[keys]\nfile = \"/nonexistent/master.key\"\n[ledger]\npostgres_url_file = \"/nonexistent/url\"\n\
         [custody]\nsigning_key = \"/nonexistent/custody.key\"\ncheckpoint_folders = [\"/nonexistent\"]\n\
         [transfer]\nca_file = \"/nonexistent/ca.pem\"\n";
    fs::write(&path, format!("name = \"station-1\"\n{named}"))?;
    let ended = run(plain().args(["serve", "--check", "--config"]).arg(&path))?;
    ensure!(ended.code == Some(2), "{ended:?}");
    for key in [
        "keys.file:",
        "ledger.postgres_url_file:",
        "custody.signing_key:",
        "custody.checkpoint_folders:",
        "transfer.ca_file:",
    ] {
        ensure!(ended.stderr.contains(key), "{key} is not named: {}", ended.stderr);
    }
    fs::write(&path, "name = \"station-1\"\n")?;
    let mut check = plain();
    check.env("DRAYAGE_LEDGER_URL", "postgres:///drayage").args(["serve", "--check", "--config"]).arg(&path);
    let ended = run(&mut check)?;
    ensure!(ended.stderr.contains("DRAYAGE_LEDGER_URL is set"), "{ended:?}");
    fs::write(&path, "name = \"station-1\"\nspelt_wrong = 1\n")?;
    let ended = run(plain().args(["serve", "--check", "--config"]).arg(&path))?;
    ensure!(ended.code == Some(2) && ended.stderr.contains("spelt_wrong"), "{ended:?}");
    Ok(())
}

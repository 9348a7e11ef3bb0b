//! The master key is rotated as deploy/keys.md says, while the station runs.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use rig::endpoint::{Endpoint, EndpointConfig};
use system_tests::house::{ACCOUNT, House, succeeds, until};
use system_tests::program::{Running, plain, run};
use system_tests::workspace;

/// The ids in the key file, the one that seals first.
fn key_ids(house: &House) -> Result<Vec<String>> {
    let listed = succeeds(plain().args(["keys", "list"]).arg(house.at("master.key")))?.stdout;
    Ok(listed.lines().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect())
}

/// A command of deploy/keys.md as it stands there, but for the folder and the old key's id.
fn rotation(house: &House, begins: &str, old: &str) -> Result<Command> {
    let text = fs::read_to_string(workspace::root().join("deploy/keys.md"))?;
    let (_, section) = text.split_once("## Rotate it").context("the section is in the handbook")?;
    let line = section.lines().find(|line| line.starts_with(begins)).context("the command is there")?;
    let line = line.split('#').next().unwrap_or_default().replace("/etc/drayage/", "");
    let mut command = plain();
    let words = line.split_whitespace().skip(1).map(|word| if word == "OLD" { old } else { word });
    command.args(words).current_dir(house.folder.path()).env("DRAYAGE_CONFIG", house.at("config.toml"));
    Ok(command)
}

#[test]
fn a_master_key_is_retired_only_when_nothing_is_sealed_under_it() -> Result<()> {
    let house = House::new(Path::new("/nonexistent"))?;
    let endpoint = Endpoint::start(EndpointConfig::default())?;
    let mut serve = plain();
    // Whoever rotates is told, whatever the log shows.
    serve.env("DRAYAGE_LOG", "off").arg("serve").arg("--config").arg(house.at("config.toml"));
    let station = Running::start(&mut serve)?;
    until(|| Ok(run(&mut house.ask(&["token", "list"]))?.code == Some(0)))?;
    house.know_account(&endpoint.url(), &endpoint.connection_string())?;
    let old = key_ids(&house)?.remove(0);
    succeeds(&mut rotation(&house, "station keys add", &old)?)?;
    let retire = || rotation(&house, "station keys retire", &old);
    let refused = run(&mut retire()?)?;
    ensure!(refused.code == Some(5) && refused.stderr.contains(ACCOUNT), "{refused:?}");
    // A configuration whose state is elsewhere knows nothing of what is sealed.
    let elsewhere = fs::read_to_string(house.at("config.toml"))?.replace("/state\"", "/other\"");
    fs::write(house.at("elsewhere.toml"), elsewhere)?;
    let blind = run(retire()?.arg("--config").arg(house.at("elsewhere.toml")))?;
    ensure!(blind.code == Some(2) && blind.stderr.contains("there is no ledger"), "{blind:?}");
    ensure!(key_ids(&house)?.len() == 2, "neither took a key out");
    station.hang_up()?;
    until(|| Ok(station.stderr()?.contains(&format!("nothing is left under {old}"))))
        .with_context(|| station.stderr().unwrap_or_default())?;
    succeeds(&mut retire()?)?;
    ensure!(key_ids(&house)?.len() == 1 && !key_ids(&house)?.contains(&old), "it is out");
    station.kill();
    Ok(())
}

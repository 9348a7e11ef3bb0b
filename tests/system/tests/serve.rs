//! A whole station: `station serve` as a person starts it, driven with its own command line over its
//! socket, a packed drive in a pretend bay, our endpoint as the storage account.

use std::fs::{self, OpenOptions, Permissions};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use keys::planted::Planted;
use ledger::cluster::{Cluster, Sync};
use rig::endpoint::{Endpoint, EndpointConfig, Fault};
use rig::pack::{Content, Layout, PackBlob, PackPlan};
use serde_json::{Value, json};
use system_tests::drives::{TestDrive, packed};
use system_tests::program::{Ended, Running, files, plain, run};
use system_tests::workspace;
use tempfile::TempDir;

const SERIAL: &str = "DRGTESTSERVE";
const SUBSCRIPTION: &str = "00000000-0000-0000-0000-000000000001";
const ACCOUNT: &str = "devstoreaccount1";
/// No state takes longer to come, however busy the machine.
const STATE_WAIT: Duration = Duration::from_secs(120);

fn drive(test: &str) -> Result<Option<TestDrive>> {
    let blob = |name: &str, seed| PackBlob {
        layout: Layout::Blocks { block_bytes: 64 << 10, named: true },
        ..PackBlob::new(name, Content::Random { seed, length_bytes: 300_000 })
    };
    let plan = PackPlan::new(
        SERIAL,
        vec![blob("files/a.bin", 11), blob("files/b.bin", 12), blob("files/c.bin", 13)],
    );
    packed("serve-files", test, &plan)
}

/// A station's folder: configuration, key, state, checkpoints "off the machine".
struct House {
    folder: TempDir,
}

impl House {
    fn new(image: &Path) -> Result<House> {
        let house = House { folder: TempDir::new()? };
        fs::create_dir(house.at("elsewhere"))?;
        succeeds(plain().args(["keys", "new"]).arg(house.at("master.key")))?;
        let config = format!(
            "name = \"station-1\"\nstate = {state:?}\n\
             [keys]\nfile = {key:?}\n\
             [custody]\ncheckpoint_folders = [{elsewhere:?}]\ncheckpoint_every_minutes = 1\n\
             [transfer]\nbuffer_mib = 32\nlease_seconds = 5\n\
             [[bays]]\nname = \"B-01\"\ndevice = {image:?}\nimage_serial = \"{SERIAL}\"\n\
             [[locations]]\nname = \"West Europe\"\nrecipient_name = \"Example Station\"\n\
             street_address1 = \"Example Street 1\"\ncity = \"Example\"\npostal_code = \"00000\"\n\
             country_or_region = \"Exampleland\"\nphone = \"000\"\nsupported_carriers = [\"Example Carrier\"]\n",
            state = house.at("state"),
            key = house.at("master.key"),
            elsewhere = house.at("elsewhere"),
        );
        fs::write(house.at("config.toml"), config)?;
        Ok(house)
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Starts the station and waits until its socket answers.
    fn serve(&self) -> Result<Running> {
        let running =
            Running::start(plain().arg("-v").arg("serve").arg("--config").arg(self.at("config.toml")))?;
        let answers = || Ok(run(&mut self.ask(&["token", "list"]))?.code == Some(0));
        until(answers).with_context(|| running.stderr().unwrap_or_default())?;
        Ok(running)
    }

    /// A command of the station's own command line, over its socket.
    fn ask(&self, words: &[&str]) -> Command {
        let mut command = plain();
        command.args(words);
        command.args(["--json", "--server"]).arg(format!("unix:{}", self.at("state/station.sock").display()));
        command
    }

    fn job(&self, words: &[&str]) -> Command {
        let mut command = self.ask(&[&["job"], words].concat());
        command.args(["--subscription", SUBSCRIPTION, "--resource-group", "rg"]);
        command
    }

    /// From the customer's job to the drive in its bay.
    fn bring_in(&self, drive: &TestDrive, endpoint: &Endpoint) -> Result<()> {
        let body = self.at("job.json");
        fs::write(&body, job_body(drive)?.to_string())?;
        succeeds(self.job(&["create", "job1"]).arg("--from").arg(&body))?;
        fs::remove_file(&body)?;
        let account = self.at("account.json");
        fs::write(&account, endpoint.connection_string())?;
        succeeds(
            self.ask(&["account", "set", ACCOUNT, "--endpoint", &endpoint.url()])
                .args(["--resource-id", &account_id()])
                .arg("--credential-file")
                .arg(&account),
        )?;
        fs::remove_file(&account)?;
        let carrier =
            ["--carrier", "Example Carrier", "--tracking", "T-1", "--drives", "1", "--date", "2026/01/02"];
        succeeds(&mut self.job(&[&["ship", "job1"], &carrier[..]].concat()))?;
        succeeds(&mut self.ask(&["drive", "receive", "T-1"]))?;
        succeeds(&mut self.ask(&["drive", "scan", SERIAL]))?;
        succeeds(&mut self.ask(&["drive", "assign", SERIAL, "--bay", "B-01"]))?;
        Ok(())
    }

    fn drive_state(&self) -> Result<String> {
        let job = succeeds(&mut self.job(&["show", "job1"]))?.summary();
        Ok(job["properties"]["driveList"][0]["state"].as_str().unwrap_or_default().to_owned())
    }

    fn wait_for(&self, state: &str, station: &Running) -> Result<()> {
        let reached = || Ok(self.drive_state()? == state);
        until(reached).with_context(|| {
            format!(
                "{state} does not come; it is {:?}; {}",
                self.drive_state(),
                station.stderr().unwrap_or_default()
            )
        })
    }
}

fn until(reached: impl Fn() -> Result<bool>) -> Result<()> {
    let deadline = Instant::now() + STATE_WAIT;
    while !reached()? {
        if Instant::now() > deadline {
            bail!("the deadline has passed");
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    Ok(())
}

fn succeeds(command: &mut Command) -> Result<Ended> {
    let ended = run(command)?;
    ensure!(ended.code == Some(0), "{command:?}: {ended:?}");
    Ok(ended)
}

fn account_id() -> String {
    format!(
        "/subscriptions/{SUBSCRIPTION}/resourceGroups/rg/providers/Microsoft.Storage/storageAccounts/{ACCOUNT}"
    )
}

fn job_body(drive: &TestDrive) -> Result<Value> {
    let entry = drive.job()?;
    let key = entry.bitlocker_key.as_ref().context("the drive has a key")?;
    Ok(json!({"location": "West Europe", "properties": {
        "storageAccountId": account_id(),
        "jobType": "Import",
        "driveList": [{"driveId": SERIAL, "bitLockerKey": key.expose(), "manifestFile": entry.manifest_file,
            "manifestHash": entry.manifest_hash.to_string(), "driveHeaderHash": ""}],
        "returnAddress": {"recipientName": "Example", "streetAddress1": "Example Street 2", "city": "Example",
            "postalCode": "00000", "countryOrRegion": "Exampleland", "phone": "000", "email": "someone@example.com"},
        "returnShipping": {"carrierName": "Example Carrier", "carrierAccountNumber": "0"},
    }}))
}

fn check_account(drive: &TestDrive, endpoint: &Endpoint) -> Result<()> {
    let snapshot = endpoint.snapshot();
    for expected in &drive.expected.blobs {
        let landed =
            snapshot.blobs.iter().find(|blob| format!("{}/{}", blob.container, blob.name) == expected.blob);
        let landed = landed.with_context(|| format!("{} is not there", expected.blob))?;
        ensure!(landed.sha256 == expected.sha256, "{} has other bytes", expected.blob);
    }
    Ok(())
}

/// The customer's part of the chain, checked without the station, and one that somebody changed.
fn check_proof(house: &House) -> Result<()> {
    let (proof, keys) = (house.at("proof.jsonl"), house.at("keys.txt"));
    let job =
        format!("/subscriptions/{SUBSCRIPTION}/resourceGroups/rg/providers/Microsoft.ImportExport/jobs/job1");
    succeeds(house.ask(&["custody", "export", &job]).arg("--out").arg(&proof))?;
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
    check_account(&drive, &endpoint)?;
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
    check_account(&drive, &endpoint)?;
    succeeds(&mut house.ask(&["custody", "verify"]))?;
    station.kill();
    station.wait()?;
    Ok(())
}

#[test]
fn no_secret_is_in_the_state_the_logs_or_what_the_station_says() -> Result<()> {
    let Some(drive) = drive("no_secret_is_in_the_state_the_logs_or_what_the_station_says")? else {
        return Ok(());
    };
    let endpoint = Endpoint::start(EndpointConfig::default())?;
    let house = House::new(&drive.image)?;
    let station = house.serve()?;
    house.bring_in(&drive, &endpoint)?;
    house.wait_for("Completed", &station)?;
    let shown = [
        succeeds(&mut house.job(&["show", "job1"]))?,
        succeeds(&mut house.job(&["list"]))?,
        succeeds(&mut house.ask(&["drive", "list"]))?,
        succeeds(&mut house.ask(&["custody", "list"]))?,
    ];
    station.terminate()?;
    let ended = station.wait()?;
    let mut looked_at: Vec<(String, Vec<u8>)> =
        shown.iter().map(|ended| ("an answer".to_owned(), format!("{ended:?}").into_bytes())).collect();
    looked_at.push(("what the station said".to_owned(), format!("{ended:?}").into_bytes()));
    for path in files(house.folder.path())? {
        if path != house.at("master.key") && path != house.at("state/custody.key") && path.is_file() {
            looked_at.push((path.display().to_string(), fs::read(&path)?));
        }
    }
    ensure!(looked_at.iter().any(|(place, _)| place.ends_with("ledger.sqlite")), "the ledger was looked at");
    for (name, secret) in secrets(&drive, &endpoint)? {
        for (place, bytes) in &looked_at {
            ensure!(Planted::new(&secret).find(bytes).is_none(), "{name} is in {place}");
        }
    }
    Ok(())
}

/// The drive's recovery password, and the account's key as it was given.
fn secrets(drive: &TestDrive, endpoint: &Endpoint) -> Result<Vec<(&'static str, Vec<u8>)>> {
    let entry = drive.job()?;
    let password = entry.bitlocker_key.as_ref().context("the drive has a key")?.expose().as_bytes().to_vec();
    let connection = endpoint.connection_string();
    let key = connection.split("AccountKey=").nth(1).and_then(|rest| rest.split(';').next());
    let key = key.context("the connection string has a key")?.as_bytes().to_vec();
    Ok(vec![("the recovery password", password), ("the account's key", key)])
}

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
    let (first, second) = (House::new(Path::new("/nonexistent"))?, House::new(Path::new("/nonexistent"))?);
    for house in [&first, &second] {
        let path = house.at("postgres-url");
        fs::write(&path, &url)?;
        fs::set_permissions(&path, Permissions::from_mode(0o600))?;
        let mut config = OpenOptions::new().append(true).open(house.at("config.toml"))?;
        write!(config, "[ledger]\npostgres_url_file = {path:?}\n")?;
    }
    let station = first.serve()?;
    refused(&second, &first)?;
    station.terminate()?;
    let ended = station.wait()?;
    ensure!(ended.code == Some(0), "{ended:?}");
    second.serve()?.kill();
    Ok(())
}

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
    let account = house.at("account.json");
    fs::write(&account, endpoint.connection_string())?;
    let mut set = house.ask(&["account", "set", ACCOUNT, "--endpoint", &endpoint.url()]);
    succeeds(set.args(["--resource-id", &account_id()]).arg("--credential-file").arg(&account))?;
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

/// A request whose body is still on its way when the station is told to stop.
#[test]
fn a_request_that_was_begun_is_answered_when_the_station_stops() -> Result<()> {
    let house = House::new(Path::new("/nonexistent"))?;
    let station = house.serve()?;
    let mut client = UnixStream::connect(house.at("state/station.sock"))?;
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

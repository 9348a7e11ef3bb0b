//! A whole station: `station serve` as a person starts it, with everything that it owns in a folder of its own.
//!
//! It is driven as people drive it: with its own command line over its socket, or over HTTP ([`crate::http`]).
//! What a test wants to differ (bays, listeners, ledger, locations) it says in TOML.

use std::fmt::Write as _;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rig::endpoint::Endpoint;
use rig::pack::{Content, Layout, PackBlob, PackPlan};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::drives::{TestDrive, packed};
use crate::program::{Ended, Running, plain, run};

/// The drive that these stations get.
pub const SERIAL: &str = "DRGTESTSERVE";
/// The customer's subscription.
pub const SUBSCRIPTION: &str = "00000000-0000-0000-0000-000000000001";
/// The customer's storage account: our endpoint's.
pub const ACCOUNT: &str = "devstoreaccount1";
/// The one place that takes drives, unless a test has others.
pub const LOCATION: &str = "[[locations]]\nname = \"West Europe\"\nrecipient_name = \"Example Station\"\n\
    street_address1 = \"Example Street 1\"\ncity = \"Example\"\npostal_code = \"00000\"\n\
    country_or_region = \"Exampleland\"\nphone = \"000\"\nsupported_carriers = [\"Example Carrier\"]\n";
/// No state takes longer to come, however busy the machine.
pub const STATE_WAIT: Duration = Duration::from_secs(120);
const POLL_EVERY: Duration = Duration::from_millis(100);

/// The drive itself: three blobs of five blocks, none damaged. None, and said so, when none can be packed here.
///
/// # Errors
/// When it could be packed and was not.
pub fn drive(test: &str) -> Result<Option<TestDrive>> {
    let blob = |name: &str, seed| PackBlob {
        layout: Layout::Blocks { block_bytes: 64 << 10, named: true },
        ..PackBlob::new(name, Content::Random { seed, length_bytes: 300_000 })
    };
    let blobs = vec![blob("files/a.bin", 11), blob("files/b.bin", 12), blob("files/c.bin", 13)];
    packed("serve-files", test, &PackPlan::new(SERIAL, blobs))
}

/// A bay of the configuration. Its device may be missing: then nothing is in it.
pub fn bay(name: &str, device: &Path) -> String {
    format!("[[bays]]\nname = {name:?}\ndevice = {device:?}\nimage_serial = {SERIAL:?}\n")
}

/// A listener of the configuration, without TLS.
pub const LISTEN: &str = "[[server.listen]]\naddress = \"127.0.0.1:0\"\n";

/// A station's folder: configuration, key, state, checkpoints "off the machine".
pub struct House {
    /// All of it.
    pub folder: TempDir,
}

impl House {
    /// A station with one bay, which has that image in it.
    ///
    /// # Errors
    /// When the folder cannot be filled.
    pub fn new(image: &Path) -> Result<House> {
        House::named("station-1", |_| bay("B-01", image) + LOCATION)
    }

    /// A station of that name; what else it is told may depend on where it lives.
    ///
    /// # Errors
    /// When the folder cannot be filled.
    pub fn named(name: &str, tables: impl FnOnce(&House) -> String) -> Result<House> {
        let house = House { folder: TempDir::new()? };
        fs::create_dir(house.at("elsewhere"))?;
        succeeds(plain().args(["keys", "new"]).arg(house.at("master.key")))?;
        let mut config = format!(
            "name = {name:?}\nstate = {state:?}\n\
             [keys]\nfile = {key:?}\n\
             [custody]\ncheckpoint_folders = [{elsewhere:?}]\ncheckpoint_every_minutes = 1\n\
             [transfer]\nbuffer_mib = 32\nlease_seconds = 5\n",
            state = house.at("state"),
            key = house.at("master.key"),
            elsewhere = house.at("elsewhere"),
        );
        config.write_str(&tables(&house))?;
        fs::write(house.at("config.toml"), config)?;
        Ok(house)
    }

    /// A path in it.
    pub fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Its local socket.
    pub fn socket(&self) -> PathBuf {
        self.at("state/station.sock")
    }

    /// Starts the station and waits until its socket answers.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn serve(&self) -> Result<Running> {
        self.serve_saying("-v")
    }

    /// Starts it with so many `-v`.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn serve_saying(&self, verbosity: &str) -> Result<Running> {
        let mut command = plain();
        command.args([verbosity, "serve", "--config"]).arg(self.at("config.toml"));
        let running = Running::start(&mut command)?;
        let answers = || Ok(run(&mut self.ask(&["token", "list"]))?.code == Some(0));
        until(answers).with_context(|| running.stderr().unwrap_or_default())?;
        Ok(running)
    }

    /// A command of the station's own command line, over its socket.
    pub fn ask(&self, words: &[&str]) -> Command {
        let mut command = plain();
        command.args(words);
        command.args(["--json", "--server"]).arg(format!("unix:{}", self.socket().display()));
        command
    }

    /// A command about jobs.
    pub fn job(&self, words: &[&str]) -> Command {
        let mut command = self.ask(&[&["job"], words].concat());
        command.args(["--subscription", SUBSCRIPTION, "--resource-group", "rg"]);
        command
    }

    /// A token with that role, in a file; a customer's is for the subscription alone.
    ///
    /// # Errors
    /// When it is not made.
    pub fn token(&self, role: &str) -> Result<(String, PathBuf)> {
        let mut create = self.ask(&["token", "create", "a test's", "--role", role]);
        if role == "customer" {
            create.args(["--subscription", SUBSCRIPTION]);
        }
        let made = succeeds(&mut create)?.summary();
        let token = made["token"].as_str().context("the answer has the token")?.to_owned();
        let file = self.at(&format!("{role}.token"));
        fs::write(&file, &token)?;
        fs::set_permissions(&file, Permissions::from_mode(0o600))?;
        Ok((token, file))
    }

    /// From the customer's job to the drive in its bay.
    ///
    /// # Errors
    /// When a step is refused.
    pub fn bring_in(&self, drive: &TestDrive, endpoint: &Endpoint) -> Result<()> {
        let body = self.at("job.json");
        fs::write(&body, job_body(drive)?.to_string())?;
        succeeds(self.job(&["create", "job1"]).arg("--from").arg(&body))?;
        fs::remove_file(&body)?;
        self.know_account(&endpoint.url(), &endpoint.connection_string())?;
        self.take_in("B-01")
    }

    /// Gives the station its way into the account.
    ///
    /// # Errors
    /// When it is refused.
    pub fn know_account(&self, url: &str, credential: &str) -> Result<()> {
        let file = self.at("account.credential");
        fs::write(&file, credential)?;
        fs::set_permissions(&file, Permissions::from_mode(0o600))?;
        let mut set = self.ask(&["account", "set", ACCOUNT, "--endpoint", url]);
        succeeds(set.args(["--resource-id", &account_id()]).arg("--credential-file").arg(&file))?;
        Ok(fs::remove_file(&file)?)
    }

    /// From the customer's parcel to the drive in its bay.
    ///
    /// # Errors
    /// When a step is refused.
    pub fn take_in(&self, bay: &str) -> Result<()> {
        let carrier =
            ["--carrier", "Example Carrier", "--tracking", "T-1", "--drives", "1", "--date", "2026/01/02"];
        succeeds(&mut self.job(&[&["ship", "job1"], &carrier[..]].concat()))?;
        succeeds(&mut self.ask(&["drive", "receive", "T-1"]))?;
        succeeds(&mut self.ask(&["drive", "scan", SERIAL]))?;
        succeeds(&mut self.ask(&["drive", "assign", SERIAL, "--bay", bay]))?;
        Ok(())
    }

    /// The job as the customer sees it.
    ///
    /// # Errors
    /// When there is none.
    pub fn shown_job(&self) -> Result<Value> {
        Ok(succeeds(&mut self.job(&["show", "job1"]))?.summary())
    }

    /// Waits until the drive is in that state.
    ///
    /// # Errors
    /// When it does not come; with what the station said.
    pub fn wait_for(&self, state: &str, station: &Running) -> Result<()> {
        let drive_state =
            || -> Result<Value> { Ok(self.shown_job()?["properties"]["driveList"][0]["state"].take()) };
        until(|| Ok(drive_state()? == state)).with_context(|| {
            let said = station.stderr().unwrap_or_default();
            format!("{state} does not come; it is {:?}; {said}", drive_state())
        })
    }
}

/// Waits for a state, with a deadline.
///
/// # Errors
/// When it does not come, or asking for it fails.
pub fn until(reached: impl Fn() -> Result<bool>) -> Result<()> {
    let deadline = Instant::now() + STATE_WAIT;
    while !reached()? {
        if Instant::now() > deadline {
            bail!("the deadline has passed");
        }
        std::thread::sleep(POLL_EVERY);
    }
    Ok(())
}

/// Runs a command that must succeed.
///
/// # Errors
/// When it does not.
pub fn succeeds(command: &mut Command) -> Result<Ended> {
    let ended = run(command)?;
    ensure!(ended.code == Some(0), "{command:?}: {ended:?}");
    Ok(ended)
}

/// What the customer PUTs.
///
/// # Errors
/// When the drive has no key.
pub fn job_body(drive: &TestDrive) -> Result<Value> {
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

/// The account's ARM id.
pub fn account_id() -> String {
    format!(
        "/subscriptions/{SUBSCRIPTION}/resourceGroups/rg/providers/Microsoft.Storage/storageAccounts/{ACCOUNT}"
    )
}

/// The job's ARM id.
pub fn job_id() -> String {
    format!("/subscriptions/{SUBSCRIPTION}/resourceGroups/rg/providers/Microsoft.ImportExport/jobs/job1")
}

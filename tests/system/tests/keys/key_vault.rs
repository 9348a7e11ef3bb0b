//! `station serve` with Azure Key Vault: the key that guards its own master keys, and customers' keys.
//!
//! The vault and the identity provider before it are the rig's double, over TLS with a CA of its own;
//! everything else is as an operator sets it up: a workload identity, `[keys]`, the command line.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use keys::private_file;
use rig::endpoint::{Endpoint, EndpointConfig};
use rig::key_vault::{KeyVaultDouble, Mood};
use serde_json::{Value, json};
use system_tests::program::{Ended, Running, plain, run};
use tempfile::TempDir;

const SERIAL: &str = "DRGTESTVAULT";
const SUBSCRIPTION: &str = "00000000-0000-0000-0000-000000000001";
const ACCOUNT: &str = "devstoreaccount1";
/// Well formed, and nobody's.
const PASSWORD: &str = "111111-222222-333333-444444-555555-666666-000011-000022";
const PRINCIPAL: &str = "11111111-2222-3333-4444-555555555555";
/// No state takes longer to come, however busy the machine.
const STATE_WAIT: Duration = Duration::from_secs(120);

/// A station's folder, and the vault that it asks.
struct House {
    folder: TempDir,
    vault: KeyVaultDouble,
}

impl House {
    fn new() -> Result<House> {
        let vault = KeyVaultDouble::start_tls()?;
        vault.renew("theirs");
        let house = House { folder: TempDir::new()?, vault };
        fs::write(house.at("ca.pem"), house.vault.ca_pem())?;
        fs::write(house.at("platform-token"), "assertion")?;
        // A drive with nothing on it: what is asked for its key comes before it is read.
        fs::write(house.at("drive.img"), vec![0; 1 << 20])?;
        house.configure(&house.vault.key_url("k"))?;
        Ok(house)
    }

    fn configure(&self, key_vault: &str) -> Result<()> {
        let config = format!(
            "name = \"station-1\"\nstate = {state:?}\n\
             [keys]\nfile = {file:?}\nkey_vault = {key_vault:?}\ncustomer_keys = true\n\
             trusted_vaults = [{host:?}]\nca_file = {ca:?}\n\
             [keys.identity]\nkind = \"workload\"\ntenant_id = \"tenant\"\nclient_id = \"client\"\n\
             token_file = {token:?}\nauthority = {authority:?}\nprincipal_id = {PRINCIPAL:?}\n\
             [transfer]\nbuffer_mib = 32\nlease_seconds = 5\n\
             [[bays]]\nname = \"B-01\"\ndevice = {image:?}\nimage_serial = {SERIAL:?}\n\
             [[locations]]\nname = \"West Europe\"\nrecipient_name = \"Example Station\"\n\
             street_address1 = \"Example Street 1\"\ncity = \"Example\"\npostal_code = \"00000\"\n\
             country_or_region = \"Exampleland\"\nphone = \"000\"\nsupported_carriers = [\"Example Carrier\"]\n",
            state = self.at("state"),
            file = self.at("master.key"),
            host = self.vault.host(),
            ca = self.at("ca.pem"),
            token = self.at("platform-token"),
            authority = self.vault.url(),
            image = self.at("drive.img"),
        );
        Ok(fs::write(self.at("config.toml"), config)?)
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// `station keys new` or `add`, wrapped; answers the key's id.
    fn fresh_key(&self, how: &str) -> Result<String> {
        let mut command = plain();
        command.args(["keys", how]).arg(self.at("master.key")).arg("--config").arg(self.at("config.toml"));
        Ok(succeeds(&mut command)?.stdout.trim().to_owned())
    }

    fn check(&self) -> Result<Ended> {
        run(plain().args(["serve", "--check", "--config"]).arg(self.at("config.toml")))
    }

    /// Starts the station and waits until its socket answers.
    fn serve(&self) -> Result<Station> {
        let mut command = plain();
        command.args(["-v", "serve", "--config"]).arg(self.at("config.toml"));
        let station = Station(Running::start(&mut command)?);
        let answers = || Ok(run(&mut self.ask(&["token", "list"]))?.code == Some(0));
        until(answers).with_context(|| station.0.stderr().unwrap_or_default())?;
        Ok(station)
    }

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

    /// PUTs a job with that encryption key.
    fn put(&self, name: &str, encryption_key: Value) -> Result<Ended> {
        let mut body = job_body();
        body["properties"]["encryptionKey"] = encryption_key;
        let path = self.at("job.json");
        fs::write(&path, body.to_string())?;
        run(self.job(&["create", name]).arg("--from").arg(&path))
    }

    /// PUTs a job under a customer's key that must be refused, and says so with these words.
    fn is_refused(&self, url: &str, words: &[&str]) -> Result<()> {
        let ended = self.put("refused", customers(url))?;
        let said = format!("{}{}", ended.stdout, ended.stderr);
        ensure!(ended.code != Some(0), "{url} was taken: {said}");
        for word in words {
            ensure!(said.contains(word), "{url}: {word} is not in {said}");
        }
        Ok(())
    }

    /// The keys of a job's drives as the customer gets them.
    fn keys_of(&self, name: &str) -> Result<Ended> {
        run(&mut self.job(&["keys", name]))
    }

    fn drive(&self) -> Result<Value> {
        Ok(succeeds(&mut self.ask(&["drive", "show", SERIAL]))?.summary())
    }
}

/// A station that does not outlive its test.
struct Station(Running);

impl Drop for Station {
    fn drop(&mut self) {
        self.0.kill();
        drop(self.0.wait());
    }
}

impl Station {
    /// Waits until it has said something on its log so many times.
    fn says(&self, words: &str, times: usize) -> Result<()> {
        until(|| Ok(self.0.stderr()?.matches(words).count() >= times))
            .with_context(|| format!("{words:?} is not said: {}", self.0.stderr().unwrap_or_default()))
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

fn job_body() -> Value {
    json!({"location": "West Europe", "identity": {"type": "SystemAssigned"}, "properties": {
        "storageAccountId": account_id(),
        "jobType": "Import",
        "driveList": [{"driveId": SERIAL, "bitLockerKey": PASSWORD, "manifestFile": "\\m.xml",
            "manifestHash": "00112233445566778899AABBCCDDEEFF", "driveHeaderHash": ""}],
        "returnAddress": {"recipientName": "Example", "streetAddress1": "Example Street 2", "city": "Example",
            "postalCode": "00000", "countryOrRegion": "Exampleland", "phone": "000", "email": "someone@example.com"},
        "returnShipping": {"carrierName": "Example Carrier", "carrierAccountNumber": "0"},
    }})
}

fn customers(url: &str) -> Value {
    let vault =
        format!("/subscriptions/{SUBSCRIPTION}/resourceGroups/rg/providers/Microsoft.KeyVault/vaults/theirs");
    json!({"kekType": "CustomerManaged", "kekUrl": url, "kekVaultResourceID": vault})
}

fn stations_own() -> Value {
    json!({"kekType": "MicrosoftManaged"})
}

#[test]
fn the_master_key_is_guarded_by_key_vault_from_the_check_to_its_rotation() -> Result<()> {
    let house = House::new()?;
    let checked = house.check()?;
    ensure!(checked.code == Some(2) && checked.stderr.contains("keys.file:"), "{checked:?}");
    let first = house.fresh_key("new")?;
    let text = fs::read_to_string(house.at("master.key"))?;
    ensure!(text.contains("wrapped-key") && !text.contains("\nmaster-key"), "the file alone opens nothing");
    let listed = succeeds(plain().args(["keys", "list"]).arg(house.at("master.key")))?.stdout;
    ensure!(listed.contains(&format!("{first} wrapped by {}", house.vault.key_url("k"))), "{listed}");
    house.vault.seen();
    ensure!(house.check()?.code == Some(0), "{:?}", house.check()?);
    ensure!(house.vault.seen().is_empty(), "a check asks nobody");

    let station = house.serve()?;
    ensure!(house.put("job1", stations_own())?.code == Some(0), "the job is taken");
    let seen = house.vault.seen();
    ensure!(seen.len() == 2 && seen[1].contains("/unwrapkey?"), "a token and one unwrap, no more: {seen:?}");

    // The vault does not let it have its keys: what runs goes on.
    house.vault.is("k", Mood::Revoked);
    station.0.hang_up()?;
    station.says("the master keys stay as they were", 1)?;
    ensure!(house.keys_of("job1")?.stdout.contains(PASSWORD), "it goes on with the keys that it has");
    house.vault.is("k", Mood::Well);

    let version = house.vault.renew("k");
    let second = house.fresh_key("add")?;
    station.0.hang_up()?;
    station.says("took the master keys anew", 1)?;
    station.says(&format!("nothing is left under {first}"), 1)?;
    ensure!(station.0.stderr()?.contains(&second), "the new key is taken");
    let file = fs::read_to_string(house.at("master.key"))?;
    ensure!(file.contains(&version), "the key's new version wrapped it: {file}");
    let mut retire = plain();
    retire.args(["keys", "retire"]).arg(house.at("master.key")).arg(&first);
    succeeds(retire.arg("--config").arg(house.at("config.toml")))?;
    station.0.hang_up()?;
    station.says("took the master keys anew", 2)?;
    ensure!(house.keys_of("job1")?.stdout.contains(PASSWORD), "nothing was left under the old key");
    Ok(())
}

#[test]
fn a_master_key_that_the_configured_key_does_not_guard_is_refused() -> Result<()> {
    let house = House::new()?;
    succeeds(plain().args(["keys", "new"]).arg(house.at("master.key")))?;
    let checked = house.check()?;
    ensure!(checked.code == Some(2) && checked.stderr.contains("is not wrapped by"), "{checked:?}");
    let ended = run(plain().args(["serve", "--config"]).arg(house.at("config.toml")))?;
    ensure!(ended.code != Some(0) && ended.stderr.contains("is not wrapped by"), "{ended:?}");
    ensure!(house.vault.seen().is_empty(), "that is seen without asking");

    // And it moves to the vault by a rotation.
    let id = house.fresh_key("add")?;
    let station = house.serve()?;
    ensure!(house.put("job1", stations_own())?.code == Some(0), "the job is taken");
    drop(station);

    house.configure("https://evil.example/keys/k")?;
    let checked = house.check()?;
    ensure!(checked.stderr.contains("keys.key_vault: evil.example is no Azure Key Vault"), "{checked:?}");
    let added = run(plain()
        .args(["keys", "add", "--config"])
        .arg(house.at("config.toml"))
        .arg(house.at("master.key")))?;
    ensure!(added.code == Some(2) && added.stderr.contains("keys.key_vault"), "{added:?}");
    let listed = succeeds(plain().args(["keys", "list"]).arg(house.at("master.key")))?.stdout;
    ensure!(listed.starts_with(&id), "the file is as it was: {listed}");
    Ok(())
}

#[test]
fn a_customers_key_is_honoured_revoked_and_never_another_host() -> Result<()> {
    let house = House::new()?;
    house.fresh_key("new")?;
    let station = house.serve()?;
    house.vault.seen();
    let port = house.vault.host().rsplit(':').next().unwrap_or_default().to_owned();
    for url in [
        "https://evil.example/keys/k".to_owned(),
        "https://169.254.169.254/keys/k".to_owned(),
        "https://127.0.0.1/keys/k".to_owned(),
        format!("https://localhost:{port}/keys/theirs"),
        format!("https://{}/keys/theirs/../../metadata", house.vault.host()),
        format!("{}?x=1", house.vault.key_url("theirs")),
        house.vault.key_url("k"),
        "http://theirs.vault.azure.net/keys/k".to_owned(),
    ] {
        house.is_refused(&url, &["properties.encryptionKey.kekUrl"])?;
    }
    house.is_refused("https://evil.example/keys/k", &["evil.example is no Azure Key Vault"])?;
    house.is_refused(&house.vault.key_url("k"), &["the station's own key"])?;
    ensure!(house.vault.seen().is_empty(), "no customer's text made a request");

    for (mood, word) in [
        (Mood::Revoked, "CmkErrorAccessRevoked"),
        (Mood::Disabled, "CmkErrorKeyDisabled"),
        (Mood::Deleted, "CmkErrorKeyNotFound"),
        (Mood::Curve, "an RSA key of 2048 bits or more is needed"),
        (Mood::Busy, "The key vault of the job's customer-managed key does not answer"),
    ] {
        house.vault.is("theirs", mood);
        house.is_refused(&house.vault.key_url("theirs"), &[word])?;
    }
    house.vault.is("theirs", Mood::Well);

    // First the station's key: the customer reads whom to grant the rights to, and goes over.
    let made = house.put("job1", stations_own())?;
    ensure!(made.code == Some(0), "{made:?}");
    let shown = succeeds(&mut house.job(&["show", "job1"]))?.summary();
    ensure!(shown["identity"]["principalId"] == PRINCIPAL, "{shown}");
    ensure!(house.put("job1", customers(&house.vault.key_url("theirs")))?.code == Some(0), "it goes over");
    let shown = succeeds(&mut house.job(&["show", "job1"]))?.summary();
    ensure!(shown["properties"]["encryptionKey"] == customers(&house.vault.key_url("theirs")), "{shown}");
    ensure!(house.keys_of("job1")?.stdout.contains(PASSWORD), "both keys open it");
    house.vault.is("theirs", Mood::Revoked);
    let refused = house.keys_of("job1")?;
    ensure!(refused.code != Some(0) && refused.stderr.contains("CmkErrorAccessRevoked"), "{refused:?}");
    drop(station);
    Ok(())
}

#[test]
fn a_drive_whose_customers_key_is_revoked_is_held_with_the_services_code_until_it_is_mended() -> Result<()> {
    let house = House::new()?;
    let endpoint = Endpoint::start(EndpointConfig::default())?;
    house.fresh_key("new")?;
    let station = house.serve()?;
    let made = house.put("job1", customers(&house.vault.key_url("theirs")))?;
    ensure!(made.code == Some(0), "{made:?}");
    let account = house.at("account.json");
    private_file::create(&account, endpoint.connection_string().as_bytes())?;
    let mut set = house.ask(&["account", "set", ACCOUNT, "--endpoint", &endpoint.url()]);
    set.args(["--resource-id", &account_id()]);
    succeeds(set.arg("--credential-file").arg(&account))?;
    let carrier =
        ["--carrier", "Example Carrier", "--tracking", "T-1", "--drives", "1", "--date", "2026/01/02"];
    succeeds(&mut house.job(&[&["ship", "job1"], &carrier[..]].concat()))?;
    house.vault.is("theirs", Mood::Revoked);
    succeeds(&mut house.ask(&["drive", "receive", "T-1"]))?;
    succeeds(&mut house.ask(&["drive", "scan", SERIAL]))?;
    succeeds(&mut house.ask(&["drive", "assign", SERIAL, "--bay", "B-01"]))?;
    let is_held = || Ok(house.drive()?.to_string().contains("CmkErrorAccessRevoked"));
    until(is_held).with_context(|| format!("{:?} {:?}", house.drive(), station.0.stderr()))?;

    house.vault.is("theirs", Mood::Well);
    house.vault.seen();
    succeeds(&mut house.ask(&["drive", "resume", SERIAL]))?;
    let mut seen = Vec::new();
    let deadline = Instant::now() + STATE_WAIT;
    while !seen.iter().any(|line: &String| line.contains("/keys/theirs/") && line.contains("/unwrapkey?")) {
        ensure!(Instant::now() < deadline, "its key is not asked for again: {seen:?}");
        seen.extend(house.vault.seen());
        std::thread::sleep(Duration::from_millis(100));
    }
    Ok(())
}

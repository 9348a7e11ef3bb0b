//! Planted secrets, searched for in everything that a station leaves behind: what it logs at its most talkative, what it
//! answers, also to requests that are wrong, its state, what the system tells of its process, and its memory.

use std::fs;

use anyhow::{Context, Result, ensure};
use keys::planted::Planted;
use reqwest::Method;
use rig::endpoint::{Endpoint, EndpointConfig};
use serde_json::json;
use system_tests::drives::TestDrive;
use system_tests::house::{
    ACCOUNT, House, LISTEN, LOCATION, SERIAL, account_id, bay, drive, job_body, job_id, until,
};
use system_tests::http::{Caller, address};
use system_tests::memory;
use system_tests::program::{Running, files};

use crate::events::{WEBHOOKS, hook};
use crate::receiver::Receiver;

/// A place that was looked at, and what was there.
type Places = Vec<(String, Vec<u8>)>;

/// What nobody may find.
struct Secrets {
    password: String,
    account_key: String,
    hook: String,
    token: String,
}

impl Secrets {
    fn planted(&self) -> Vec<(String, Planted)> {
        let all = [
            ("the recovery password", &self.password),
            ("the account's key", &self.account_key),
            ("the web-hook's secret", &self.hook),
            ("the API token", &self.token),
        ];
        all.map(|(name, secret)| (name.to_owned(), Planted::new(secret.as_bytes()))).into()
    }

    /// What the station has no use for any more once a run is over and a delivery made, in the forms that it works
    /// with: texts, and the keys that they stand for. A token stays with its connection, as any header does.
    fn after_use(&self) -> Result<Vec<(String, Planted)>> {
        use base64::Engine;
        let decoded = |text: &str| base64::engine::general_purpose::STANDARD.decode(text);
        let hook = decoded(self.hook.strip_prefix("whsec_").context("whsec_…")?)?;
        let raw = [
            ("the account's key, decoded", decoded(&self.account_key)?),
            ("the web-hook's key, decoded", hook),
        ];
        let mut all = self.planted();
        all.retain(|(name, _)| name != "the API token");
        all.extend(raw.map(|(name, key)| (name.to_owned(), Planted::new(&key))));
        Ok(all)
    }

    fn check(&self, places: &Places) -> Result<()> {
        for (name, secret) in self.planted() {
            for (place, bytes) in places {
                if let Some(found) = secret.find(bytes) {
                    anyhow::bail!("{name} is in {place}, {}, at byte {}", found.form, found.at);
                }
            }
        }
        Ok(())
    }
}

/// Requests that are wrong in every way in which somebody could send a secret to the wrong place; the answers.
fn wrong_requests(caller: &Caller, drive: &TestDrive, secrets: &Secrets) -> Result<Places> {
    let (password, key) = (&secrets.password, &secrets.account_key);
    let job = format!("{}?api-version=2021-01-01", job_id());
    let account = format!("/v1/accounts/{ACCOUNT}");
    let mut refused = job_body(drive)?;
    refused["properties"]["returnAddress"]["email"] = json!("nobody");
    let mut mistyped = job_body(drive)?;
    mistyped["properties"]["driveList"][0]["bitLockerKey"] = json!([password]);
    let mut list = job_body(drive)?;
    list["properties"]["driveList"] = json!(password);
    let broken = job_body(drive)?.to_string().replace("\"driveHeaderHash\"", "driveHeaderHash");
    let endpoint = format!("https://{ACCOUNT}:{key}@127.0.0.1/?sig={key}");
    let bodies = [
        (Method::PUT, &job, refused.to_string()),
        (Method::PUT, &job, mistyped.to_string()),
        (Method::PUT, &job, list.to_string()),
        (Method::PUT, &job, broken),
        (Method::PATCH, &job, json!({"properties": {"deliveryPackage": password}}).to_string()),
        (
            Method::PUT,
            &account,
            json!({"endpoint": endpoint, "resourceId": account_id(), "credential": key}).to_string(),
        ),
        (
            Method::PUT,
            &account,
            json!({"endpoint": "https://a.example", "resourceId": key, "credential": key}).to_string(),
        ),
        (Method::PUT, &account, json!({"endpoint": 1, "credential": key, "sas": key}).to_string()),
        (Method::PUT, &account, format!("{{\"credential\": \"{key}\", ")),
        (Method::PUT, &account, key.clone()),
    ];
    let mut answers = Vec::new();
    for (number, (method, path, body)) in bodies.into_iter().enumerate() {
        let (status, text) = caller.says(method, path, Some(&body))?;
        ensure!((400..500).contains(&status), "wrong request {number} is answered with {status}: {text}");
        answers.push((format!("the answer {text} to wrong request {number}"), text.clone().into_bytes()));
    }
    let asked = format!("/v1/drives?token={}", secrets.token);
    let (status, text) = caller.says(Method::GET, &asked, None)?;
    ensure!((400..500).contains(&status), "a token in a query is answered with {status}: {text}");
    answers.push(("the answer to a token in a query".to_owned(), text.into_bytes()));
    Ok(answers)
}

/// What the API says of everything that there is.
fn answers(caller: &Caller) -> Result<Places> {
    let job = format!("{}?api-version=2021-01-01", job_id());
    let paths =
        ["jobs", "drives", "bays", "events?after=0", "webhooks", "tokens", "accounts", "custody/entries"];
    let asked = paths.map(|path| format!("/v1/{path}")).into_iter().chain([job]);
    let answer =
        |path: String| Ok((path.clone(), caller.ask(Method::GET, &path, None)?.to_string().into_bytes()));
    asked.map(answer).collect()
}

/// What the system tells of the process.
fn process(station: &Running) -> Result<Places> {
    let file = |name: &str| -> Result<(String, Vec<u8>)> {
        let path = format!("/proc/{}/{name}", station.id());
        Ok((path.clone(), fs::read(&path).with_context(|| path.clone())?))
    };
    ["environ", "cmdline"].into_iter().map(file).collect()
}

/// Ends the station; what it said.
fn end(station: &Running, name: &str) -> Result<(String, Vec<u8>)> {
    station.terminate()?;
    let ended = station.wait()?;
    ensure!(ended.code == Some(0), "{ended:?}");
    Ok((format!("what the {name} process said"), [ended.stdout, ended.stderr].concat().into_bytes()))
}

#[test]
fn no_secret_is_in_anything_that_a_station_leaves_behind() -> Result<()> {
    let test = "no_secret_is_in_anything_that_a_station_leaves_behind";
    let Some(drive) = drive(test)? else { return Ok(()) };
    let endpoint = Endpoint::start(EndpointConfig::default())?;
    let receiver = Receiver::start()?;
    let house = House::named("station-1", |house| {
        [LISTEN, WEBHOOKS, &bay("B-01", &house.at("device")), LOCATION].concat()
    })?;
    let station = house.serve_saying("-vv")?;
    let (token, token_file) = house.token("admin")?;
    fs::remove_file(token_file)?;
    let caller = Caller::remote(format!("http://{}", address(&station)?), &token)?;
    let (_, hook, _) = hook(&caller, &receiver)?;
    let entry = drive.job()?;
    let secrets = Secrets {
        password: entry.bitlocker_key.as_ref().context("the drive has a key")?.expose().to_owned(),
        account_key: endpoint.key().to_owned(),
        hook,
        token,
    };
    let mut places = wrong_requests(&caller, &drive, &secrets)?;
    house.bring_in(&drive, &endpoint)?;
    places.extend(process(&station)?);
    places.push(end(&station, "first")?);

    // The second process gets no secret from outside: what it has, it opened.
    std::os::unix::fs::symlink(&drive.image, house.at("device"))?;
    let station = house.serve_saying("-vv")?;
    house.wait_for("Completed", &station)?;
    let caller = Caller::local(&house.socket())?;
    let last = caller.ask(Method::GET, "/v1/events", None)?["last"].as_i64();
    until(|| Ok(receiver.got().last().map(|delivery| delivery.number()).transpose()? >= last))?;
    places.extend(answers(&caller)?);
    places.extend(process(&station)?);
    if memory::can_be_read() {
        let found = memory::search(station.id(), &secrets.after_use()?)?;
        ensure!(found.is_empty(), "the process still has {found:?}");
        let known = [("the drive's serial number".to_owned(), Planted::new(SERIAL.as_bytes()))];
        ensure!(!memory::search(station.id(), &known)?.is_empty(), "the search finds what is there");
    } else {
        rig::skipped(test, "only root may look into the memory of a station");
    }
    places.push(end(&station, "second")?);

    // Keys that are there to be kept, and the drive itself.
    let own = [house.at("master.key"), house.at("state/custody.key"), house.at("device")];
    for path in files(house.folder.path())?.into_iter().filter(|path| path.is_file() && !own.contains(path)) {
        places.push((path.display().to_string(), fs::read(&path)?));
    }
    ensure!(places.iter().any(|(place, _)| place.ends_with("ledger.sqlite")), "the ledger was looked at");
    let said = String::from_utf8_lossy(
        &places.iter().find(|(place, _)| place.contains("first")).context("it spoke")?.1,
    )
    .into_owned();
    ensure!(said.contains("method=PUT") && said.contains("DEBUG"), "it was talkative: {said}");
    secrets.check(&places)?;
    Ok(())
}

//! What others hear of a job while it changes: a signed web-hook and a stream of events, from a station that is killed
//! before it could tell.

use std::fs;

use anyhow::{Context, Result, ensure};
use reqwest::Method;
use serde_json::{Value, json};
use system_tests::house::{House, LOCATION, drive, job_body, succeeds, until};
use system_tests::http::Caller;

use crate::receiver::Receiver;

/// A web-hook's receiver is in the house.
pub const WEBHOOKS: &str = "[webhooks]\nallowed_networks = [\"127.0.0.0/8\"]\n";

/// Adds a web-hook: its id, its secret, and the number of the last event that it does not get.
pub fn hook(caller: &Caller, receiver: &Receiver) -> Result<(String, String, i64)> {
    let made = caller.ask(Method::POST, "/v1/webhooks", Some(&json!({"url": receiver.url()})))?;
    let text =
        |field: &str| made[field].as_str().map(str::to_owned).with_context(|| format!("{field} in {made}"));
    let position = made["position"].as_i64().context("where it begins")?;
    Ok((text("id")?, text("secret")?, position))
}

fn ship(house: &House) -> Result<()> {
    let package =
        ["--carrier", "Example Carrier", "--tracking", "T-1", "--drives", "1", "--date", "2026/01/02"];
    succeeds(&mut house.job(&[&["ship", "job1"], &package[..]].concat())).map(drop)
}

fn number(event: &Value) -> Result<i64> {
    event["no"].as_i64().with_context(|| format!("no number: {event}"))
}

#[test]
fn what_changed_before_a_kill_is_told_after_it_signed_and_in_order() -> Result<()> {
    let test = "what_changed_before_a_kill_is_told_after_it_signed_and_in_order";
    let Some(drive) = drive(test)? else { return Ok(()) };
    let receiver = Receiver::start()?;
    let house = House::named("station-1", |_| [WEBHOOKS, LOCATION].concat())?;
    let station = house.serve()?;
    let caller = Caller::local(&house.socket())?;
    let (id, secret, position) = hook(&caller, &receiver)?;

    // While all is well, both tell of it.
    let mut stream = caller.events(position)?;
    let body = house.at("job.json");
    fs::write(&body, job_body(&drive)?.to_string())?;
    succeeds(house.job(&["create", "job1"]).arg("--from").arg(&body))?;
    let mut told = Vec::new();
    while told.last().is_none_or(|event: &Value| event["type"] != "job.created") {
        told.push(stream.next_event()?.context("the stream goes on")?);
    }
    until(|| Ok(receiver.got().len() >= told.len()))?;

    // The receiver is away, the job changes, the station dies before it could tell.
    receiver.is_up(false);
    ship(&house)?;
    let path = format!("/v1/webhooks/{id}");
    until(|| Ok(caller.ask(Method::GET, &path, None)?["attempts"].as_i64() > Some(0)))?;
    station.kill();
    station.wait()?;
    while let Some(event) = stream.next_event()? {
        told.push(event);
    }
    let heard = number(told.last().context("something was told")?)?;

    let station = house.serve()?;
    receiver.is_up(true);
    let caller = Caller::local(&house.socket())?;
    let last = caller.ask(Method::GET, "/v1/events", None)?["last"].as_i64().context("the newest event")?;
    let has_all = || Ok(receiver.got().last().map(|delivery| delivery.number()).transpose()? == Some(last));
    until(has_all).with_context(|| station.stderr().unwrap_or_default())?;
    let mut stream = caller.events(heard)?;
    while told.last().map(number).transpose()? != Some(last) {
        told.push(stream.next_event()?.context("the stream goes on")?);
    }

    let all: Vec<i64> = (position + 1..=last).collect();
    assert_eq!(told.iter().map(number).collect::<Result<Vec<_>>>()?, all, "the stream has each once");
    let got = receiver.got();
    got.iter().try_for_each(|delivery| delivery.check(&secret))?;
    let mut by_id: Vec<(String, i64)> =
        got.iter().map(|delivery| Ok((delivery.id.clone(), delivery.number()?))).collect::<Result<_>>()?;
    by_id.dedup();
    assert_eq!(
        by_id.iter().map(|(_, number)| *number).collect::<Vec<_>>(),
        all,
        "in order, each once or more"
    );
    let stranger = format!("whsec_{}", "A".repeat(44));
    ensure!(got[0].check(&stranger).is_err(), "another secret does not fit");
    station.terminate()?;
    ensure!(station.wait()?.code == Some(0), "it stops");
    Ok(())
}

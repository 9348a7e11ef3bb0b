//! Our ingest of a packed drive, to an endpoint that discards.

use std::fs;
use std::process::{Command, Stdio};

use anyhow::{Context, Result};

use super::Programs;
use super::drives::Drive;
use super::report::{Part, Row};
use super::usage::Measured;
use crate::local::{Discarding, credential_file};

/// One whole ingest with a fresh ledger.
///
/// # Errors
/// When the ingest does not end with success: a benchmark of a failure would be none.
pub fn measure(drive: &Drive, programs: &Programs) -> Result<Row> {
    let scratch = tempfile::tempdir_in(&drive.folder).context("making a scratch folder")?;
    let endpoint = Discarding::start(&programs.rig)?;
    let credentials = credential_file(scratch.path(), &endpoint.connection_string())?;
    let events = scratch.path().join("events.json");
    let mut station = Command::new(&programs.station);
    station.args(["ingest", "--json", "--drive"]).arg(drive.image());
    station.arg("--job").arg(drive.folder.join("drive.json"));
    station.arg("--to").arg(endpoint.url()).arg("--credential-file").arg(credentials);
    station.arg("--logs").arg(scratch.path().join("logs"));
    station.arg("--state").arg(scratch.path().join("state"));
    station.stdout(fs::File::create(&events).context("keeping the events")?).stderr(Stdio::inherit());
    let usage = Measured::start(&mut station)?.wait(&[0])?;
    let discarding = endpoint.stop()?;
    Ok(Row {
        name: "station ingest".to_owned(),
        load: drive.load,
        wall_seconds: usage.wall_seconds,
        parts: vec![Part::new("station", usage)],
        endpoint: Some(Part::new("endpoint", discarding)),
        stages: stages(&fs::read_to_string(&events).context("reading the events")?),
    })
}

/// What the last event says about stages: `"stages": {"read": {"cpu_seconds": …}, …}`.
fn stages(events: &str) -> Vec<(String, f64)> {
    let last = events.lines().rev().find_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let stages = last.as_ref().and_then(|event| event["stages"].as_object());
    let seconds = stages.into_iter().flatten();
    seconds.filter_map(|(name, stage)| Some((name.clone(), stage["cpu_seconds"].as_f64()?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stages_are_read_from_the_last_event() {
        let events =
            "{\"event\":\"progress\"}\n{\"event\":\"summary\",\"stages\":{\"read\":{\"cpu_seconds\":0.5}}}\n";
        assert_eq!(stages(events), [("read".to_owned(), 0.5)]);
        assert!(stages("no json").is_empty());
    }
}

//! What the customer sees: the official Python client lists and downloads what an ingest has put.
//!
//! `python/read_back.py` reads; this compares. It owes nothing to our own driver, which might read
//! wrong what it had put wrong.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use rig::endpoint::{Endpoint, EndpointConfig};
use serde_json::Value;
use system_tests::drives::{TestDrive, small};
use system_tests::stand::Stand;

/// The containers that the blobs of a drive are for.
fn containers(drive: &TestDrive) -> BTreeSet<&str> {
    drive.expected.blobs.iter().filter_map(|blob| blob.blob.split('/').next()).collect()
}

/// Every blob as the client sees it, by its path.
fn read_back(python: &Path, endpoint: &Endpoint, drive: &TestDrive) -> Result<BTreeMap<String, Value>> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/python/read_back.py");
    let mut client = Command::new(python);
    client.arg(script).arg(endpoint.connection_string()).args(containers(drive));
    let output = client.output().context("starting the Python client")?;
    let (text, told) = (String::from_utf8(output.stdout)?, String::from_utf8_lossy(&output.stderr));
    ensure!(output.status.success(), "the Python client ended with {}: {told}", output.status);
    let blobs: Vec<Value> = serde_json::from_str(&text).context("understanding the Python client")?;
    let by_path = |blob: Value| Some((blob["blob"].as_str()?.to_owned(), blob));
    Ok(blobs.into_iter().filter_map(by_path).collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_official_client_reads_back_what_was_on_the_drive() -> Result<()> {
    let test = "the_official_client_reads_back_what_was_on_the_drive";
    let Some(python) = rig::setup::Tools::installed().python else {
        rig::skipped(test, "the official Python client is not installed");
        return Ok(());
    };
    let Some(drive) = small(test)? else { return Ok(()) };
    let endpoint = Endpoint::start(EndpointConfig::default())?;
    Stand::before(&endpoint)?.ingest(&drive).await?;
    let found = read_back(&python, &endpoint, &drive)?;

    let present = drive.expected.blobs.iter().filter(|blob| blob.present);
    let names: BTreeSet<&str> = present.clone().map(|blob| &*blob.blob).collect();
    assert_eq!(found.keys().map(String::as_str).collect::<BTreeSet<_>>(), names);
    for expected in present {
        let (name, blob) = (&expected.blob, &found[&expected.blob]);
        let kind = if expected.kind == "page" { "PageBlob" } else { "BlockBlob" };
        assert_eq!(blob["type"], kind, "{name}");
        assert_eq!(blob["length"], expected.length, "{name}");
        assert_eq!(blob["sha256"].as_str(), expected.sha256.as_deref(), "{name}");
        let metadata = expected.metadata.clone().unwrap_or_default();
        assert_eq!(blob["metadata"], serde_json::to_value(metadata)?, "{name}");
        if let Some(content_type) = &expected.content_type {
            assert_eq!(blob["content_type"], **content_type, "{name}");
        }
        assert_eq!(blob["lease_state"], "available", "{name}");
    }
    Ok(())
}

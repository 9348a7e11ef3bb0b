//! `schemathesis` reads the document and looks for requests that the station answers otherwise than it says there.
//!
//! Every check is on; `schemathesis.toml` says which statuses count as "accepted" beside its own, and why. The seed
//! is fixed and the examples are few, so that a run is the same each time and takes half a minute.

use std::path::{Path, PathBuf};
use std::process::Command;

use api::people::{Role, Scope};
use serde_json::json;

use crate::house::{House, token};

const EXAMPLES: &str = "8";
const SEED: &str = "3";

#[tokio::test(flavor = "multi_thread")]
async fn schemathesis_finds_nothing() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let installed = root.join("../../target/rig/python/bin/schemathesis");
    let program: PathBuf = std::env::var_os("DRAYAGE_SCHEMATHESIS").map_or(installed, Into::into);
    if !program.exists() {
        println!("skipped: schemathesis_finds_nothing: schemathesis is not installed (cargo rig setup)");
        return;
    }
    let house = House::new().await;
    house.shipped("one", &["SN-1"]).await;
    house.post("/v1/packages/T-one/receive", json!({})).await;
    // Revoking tokens comes last, and with a token of its own: in the middle it would revoke the one that is used.
    let own = token(&house.tokens, [Role::Admin], Scope::Everything).await;
    for (bearer, part) in [(&house.token, "--exclude-operation-id"), (&own, "--include-operation-id")] {
        let found = run(&program, &house, bearer, part).await;
        assert!(found.is_none(), "{}", found.unwrap_or_default());
    }
    house.stop().await;
}

/// What it tells, if it found something.
async fn run(program: &Path, house: &House, bearer: &str, part: &'static str) -> Option<String> {
    let folder = tempfile::tempdir().unwrap();
    let configuration = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/desk/schemathesis.toml");
    let mut command = Command::new(program);
    command
        .current_dir(folder.path())
        .arg("--config-file")
        .arg(configuration)
        .args(["run", &house.url("/v1/openapi.json"), "--seed", SEED, "--max-examples", EXAMPLES])
        .args(["--header", &format!("Authorization: Bearer {bearer}"), part, "tokensDelete"])
        .args(["--generation-database", "none", "--no-shrink", "--no-color", "--request-timeout", "20"])
        .args(["--checks", "all", "--max-failures", "40"]);
    let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    // Bodies in it can be long, and a log is read by people.
    let lines = told.lines().map(|line| line.chars().take(500).collect::<String>());
    (!output.status.success()).then(|| lines.collect::<Vec<_>>().join("\n"))
}

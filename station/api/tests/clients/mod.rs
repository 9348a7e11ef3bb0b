//! What Azure's own clients do with a station, and what each must see: for every test that has a station to show them.
//!
//! PyPI azure-mgmt-storageimportexport 0.1.0 speaks 2016-11-01, npm @azure/arm-storageimportexport 2.1.0 speaks
//! 2021-01-01; both can be told another version. The npm client sends a bearer token only over https, so the station
//! has a certificate of its own and both clients are told to trust it; nothing else about them is changed but that
//! they do not try again what was refused. The two programs do the same things and print what they saw; [`check`]
//! knows what that must have been. The station has a token of an admin, and two locations: `Example North` first,
//! in `Example City`, and `Example South`; both take FedEx.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

/// Where the clients' jobs are.
pub const SUBSCRIPTION: &str = "00000000-0000-0000-0000-000000000001";
/// The recovery password that the clients give, and read back.
const KEY: &str = "238810-662376-448998-450120-652806-203390-606320-483076";

/// A station as clients reach it.
pub struct Door<'a> {
    /// `https://…`
    pub url: &'a str,
    /// Its certificate.
    pub trusted: &'a Path,
    /// An admin's token.
    pub token: &'a str,
}

impl Door<'_> {
    /// The Python client, if it is installed.
    pub fn python(&self, version: &str) -> Option<Command> {
        let mut program = Command::new(tool("DRAYAGE_PYTHON", "target/rig/python/bin/python")?);
        program.arg(script("arm_client.py")).arg(self.url).arg(self.trusted).arg(self.token);
        program.args([SUBSCRIPTION, version, &account()]);
        Some(program)
    }

    /// The Node client, if it is installed.
    pub fn node(&self, version: &str) -> Option<Command> {
        let place = "tests/rig/node/node_modules/@azure/arm-storageimportexport/dist/index.js";
        let client = tool("DRAYAGE_NODE_ARM_CLIENT", place)?;
        let mut program = Command::new("node");
        program.env("NODE_EXTRA_CA_CERTS", self.trusted).arg(script("arm_client.js")).arg(client);
        program.args([self.url, self.token, SUBSCRIPTION, version, &account()]);
        Some(program)
    }
}

/// The repository's top folder, from whichever crate's tests.
fn top() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).expect("crates lie two folders below the top").to_owned()
}

/// Where a tool is: the environment's word, or the place that `cargo rig setup` fills.
fn tool(variable: &str, place: &str) -> Option<PathBuf> {
    let found = std::env::var_os(variable).map_or_else(|| top().join(place), PathBuf::from);
    found.is_file().then_some(found)
}

fn script(name: &str) -> PathBuf {
    top().join("station/api/tests/clients").join(name)
}

fn account() -> String {
    format!(
        "/subscriptions/{SUBSCRIPTION}/resourceGroups/Data/providers/Microsoft.Storage/storageAccounts/example"
    )
}

fn job(name: &str, more: Value) -> Value {
    let mut job = json!({
        "id": format!("/subscriptions/{SUBSCRIPTION}/resourceGroups/Clients/providers/Microsoft.ImportExport/jobs/{name}"),
        "name": name, "type": "Microsoft.ImportExport/jobs", "location": "Example North", "jobType": "Import",
        "state": "Creating", "logLevel": "Error", "cancelRequested": false, "provisioningState": "Succeeded",
        "city": "Example City", "shipTo": "Example City", "trackingNumber": null, "prefixes": null,
        "drives": [drive("9CA995BB")]});
    for (field, value) in more.as_object().into_iter().flatten() {
        job[field] = value.clone();
    }
    job
}

fn drive(id: &str) -> Value {
    json!({"driveId": id, "state": "Specified", "manifestFile": "\\DriveManifest.xml", "driveHeaderHash": "",
        "bitLockerKey": null})
}

fn refusal(status: u16, code: &str, targets: &[&str]) -> Value {
    json!({"status": status, "code": code, "targets": targets})
}

/// What both clients must see, whatever the version.
fn expected() -> Value {
    let of = |action: &str| format!("Microsoft.ImportExport/{action}");
    let operations =
        ["jobs/delete", "jobs/listBitLockerKeys/action", "jobs/read", "jobs/write", "locations/read"].map(of);
    let export = json!({"jobType": "Export", "prefixes": ["/"], "drives": []});
    let all = ["ImportOne", "exportOne", "more-0", "more-1", "more-2"];
    let north = "/providers/Microsoft.ImportExport/locations/examplenorth";
    json!({
        "operations": operations,
        "locations": ["Example North", "Example South"],
        "location": [north, north],
        "noLocation": refusal(404, "ResourceNotFound", &[]),
        "created": job("ImportOne", json!({})),
        "again": job("ImportOne", json!({"logLevel": "Verbose"})),
        "export": job("exportOne", export.clone()),
        "got": job("ImportOne", json!({"logLevel": "Verbose"})),
        "listed": all,
        "listedInGroup": all,
        "pages": [&all[..2], &all[2..4], &all[4..]],
        "filtered": ["exportOne"],
        "badFilter": refusal(400, "InvalidParameter", &["$filter"]),
        "keys": [["9CA995BB", KEY]],
        "tracked": job("ImportOne", json!({"logLevel": "Verbose", "trackingNumber": "123"})),
        "unchanged": job("exportOne", export),
        "shipped": job("ImportOne", json!({"logLevel": "Verbose", "trackingNumber": "123", "state": "Shipping"})),
        "notDeleted": refusal(409, "JobStateConflict", &[]),
        "cancelled": job("more-0", json!({"cancelRequested": true, "drives": [drive("MORE0")]})),
        "notUncancelled": refusal(400, "InvalidParameter", &["properties.cancelRequested"]),
        "deleted": null,
        "gone": refusal(404, "ResourceNotFound", &[]),
        "stranger": refusal(401, "AuthenticationFailed", &[]),
    })
}

/// Compares what a client saw with what it must have seen.
///
/// # Panics
/// Where they differ.
pub fn check(mut seen: Value, client: &str) {
    let invalid = seen.as_object_mut().and_then(|seen| seen.remove("invalid")).unwrap_or_default();
    assert_eq!((&invalid["status"], &invalid["code"]), (&json!(400), &json!("InvalidParameter")), "{client}");
    let targets: Vec<&str> =
        invalid["targets"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    for target in ["properties.returnAddress.email", "properties.driveList[0].driveId"] {
        assert!(targets.contains(&target), "{client}: {target} is not among {targets:?}");
    }
    let expected = expected();
    for (step, value) in expected.as_object().into_iter().flatten() {
        assert_eq!(&seen[step], value, "{client}: {step}");
    }
    assert_eq!(
        seen.as_object().map(|steps| steps.len()),
        expected.as_object().map(|steps| steps.len()),
        "{client}"
    );
}

//! The official clients drive the job API, over TLS and with a token of the station's, in every api-version.
//!
//! PyPI azure-mgmt-storageimportexport 0.1.0 speaks 2016-11-01, npm @azure/arm-storageimportexport 2.1.0 speaks
//! 2021-01-01; both can be told another version, and are. The npm client sends a bearer token only over https, so the
//! server has a certificate of its own and both clients are told to trust it; nothing else about them is changed but
//! that they do not try again what was refused. `clients/` has the two programs; they do the same things and print
//! what they saw, and this says what they must have seen.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use api::arm::locations::{Location, Locations};
use api::arm::{self, Arm};
use api::people::{Caller, Doorkeeper, NewToken, Role, Scope, Tokens, system_clock};
use api::server::config::{Config, Limits, Listen, Rate, Tls};
use api::server::{Server, Surface};
use jobs::{Jobs, NoBays, Parts};
use keys::{MasterKeys, Vault};
use ledger::SqliteLedger;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::Command;
use tokio::sync::oneshot;

/// What the slowest client may take on a busy machine.
const DEADLINE: Duration = Duration::from_secs(120);
const SUBSCRIPTION: &str = "00000000-0000-0000-0000-000000000001";
const KEY: &str = "238810-662376-448998-450120-652806-203390-606320-483076";

/// A station that serves, and what a client needs to come in.
struct Station {
    folder: TempDir,
    url: String,
    token: String,
    _stop: oneshot::Sender<()>,
}

impl Station {
    async fn start() -> Self {
        let folder = TempDir::new().expect("a folder can be made");
        let tls = certificate(folder.path());
        let ledger = SqliteLedger::open(&folder.path().join("ledger")).await.expect("the ledger opens");
        let ledger = Arc::new(ledger);
        let tokens = Tokens::new(ledger.clone(), ledger.clone(), "example");
        let token = admins_token(&tokens).await;
        let surface = Surface { router: arm::router(surface(ledger)), public: &[] };
        let rate = Rate { per_second: 10_000, burst: 10_000 };
        let limits = Limits { address_rate: rate, caller_rate: rate, ..Limits::default() };
        let listen = vec![Listen { address: "127.0.0.1:0".parse().expect("an address"), tls: Some(tls) }];
        let config = Config { listen, limits, ..Config::default() };
        let doorkeeper = Doorkeeper::new(tokens, None, system_clock());
        let server = Server::bind(&config, surface, doorkeeper).await.expect("the server binds");
        let url = format!("https://{}", server.addresses()[0]);
        let (stop, stopped) = oneshot::channel::<()>();
        tokio::spawn(server.run(async {
            let _ = stopped.await;
        }));
        Self { folder, url, token, _stop: stop }
    }

    fn trusted(&self) -> PathBuf {
        self.folder.path().join("chain.pem")
    }

    /// What a client's program saw.
    async fn seen_by(&self, mut program: Command) -> Value {
        let output = tokio::time::timeout(DEADLINE, program.kill_on_drop(true).output());
        let output = output.await.expect("the client ends in time").expect("the client starts");
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "the client ended with {}: {told}", output.status);
        serde_json::from_slice(&output.stdout).expect("the client prints JSON")
    }
}

fn certificate(folder: &Path) -> Tls {
    use std::os::unix::fs::PermissionsExt;
    let made: CertifiedKey<_> =
        generate_simple_self_signed(["127.0.0.1".to_owned()]).expect("a certificate can be made");
    let tls = Tls { certificate: folder.join("chain.pem"), key: folder.join("key.pem") };
    std::fs::write(&tls.certificate, made.cert.pem()).expect("the folder is ours");
    std::fs::write(&tls.key, made.signing_key.serialize_pem()).expect("the folder is ours");
    std::fs::set_permissions(&tls.key, std::fs::Permissions::from_mode(0o600)).expect("the file is ours");
    tls
}

async fn admins_token(tokens: &Tokens) -> String {
    let by = Caller::new("local:0", [Role::Admin], Scope::Everything);
    let now = system_clock()();
    let new = NewToken {
        label: "the official clients".to_owned(),
        roles: BTreeSet::from([Role::Admin]),
        scope: Scope::Everything,
        expires_unix_ms: now + 3_600_000,
        is_break_glass: false,
    };
    tokens.issue(&by, new, now).await.expect("an admin may make one").token.expose().to_owned()
}

fn surface(ledger: Arc<SqliteLedger>) -> Arm {
    let location = |name: &str, alternates: &[&str]| Location {
        name: name.to_owned(),
        recipient_name: "Example Station".to_owned(),
        street_address1: "Example Street 1".to_owned(),
        street_address2: String::new(),
        city: "Example City".to_owned(),
        state_or_province: "EX".to_owned(),
        postal_code: "00001".to_owned(),
        country_or_region: "Exampleland".to_owned(),
        phone: "000".to_owned(),
        additional_information: "Ring twice.".to_owned(),
        supported_carriers: vec!["FedEx".to_owned(), "DHL".to_owned()],
        alternate_locations: alternates.iter().map(|name| (*name).to_owned()).collect(),
    };
    let all = vec![location("Example North", &[]), location("Example South", &["Example North"])];
    let locations = Arc::new(Locations::new(all).expect("they are distinct"));
    let jobs = Jobs::new(Parts {
        jobs: ledger.clone(),
        secrets: ledger,
        vault: Arc::new(Vault::over(MasterKeys::ephemeral())),
        bays: Arc::new(NoBays),
        clock: jobs::system_clock(),
        station: "example".to_owned(),
        sites: locations.sites(),
        customer_keys: false,
    });
    Arm { jobs: Arc::new(jobs), locations, public_url: None, https: true }
}

/// Where a tool is: the environment's word, or the place that `cargo rig setup` fills.
fn tool(variable: &str, place: &str) -> Option<PathBuf> {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let found = std::env::var_os(variable).map_or_else(|| top.join(place), PathBuf::from);
    found.is_file().then_some(found)
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients").join(name)
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

fn check(mut seen: Value, client: &str) {
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

#[tokio::test(flavor = "multi_thread")]
async fn the_official_python_client_does_every_operation() {
    let Some(python) = tool("DRAYAGE_PYTHON", "target/rig/python/bin/python") else {
        println!(
            "skipped: the_official_python_client_does_every_operation: the Python clients are not installed"
        );
        return;
    };
    for version in ["2016-11-01", "2020-08-01", "2021-01-01"] {
        let station = Station::start().await;
        let mut program = Command::new(&python);
        program.arg(script("arm_client.py")).arg(&station.url).arg(station.trusted()).arg(&station.token);
        program.args([SUBSCRIPTION, version, &account()]);
        check(station.seen_by(program).await, &format!("Python, {version}"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_official_node_client_does_every_operation() {
    let place = "tests/rig/node/node_modules/@azure/arm-storageimportexport/dist/index.js";
    let Some(client) = tool("DRAYAGE_NODE_ARM_CLIENT", place) else {
        println!("skipped: the_official_node_client_does_every_operation: the Node client is not installed");
        return;
    };
    for version in ["default", "2016-11-01", "2020-08-01"] {
        let station = Station::start().await;
        let mut program = Command::new("node");
        let arguments: [OsString; 2] = [script("arm_client.js").into(), client.clone().into()];
        program
            .env("NODE_EXTRA_CA_CERTS", station.trusted())
            .args(arguments)
            .arg(&station.url)
            .arg(&station.token);
        program.args([SUBSCRIPTION, version, &account()]);
        check(station.seen_by(program).await, &format!("Node, {version}"));
    }
}

//! The official clients drive the job API, over TLS and with a token of the station's, in every api-version.

mod clients;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use api::arm::locations::{Location, Locations};
use api::arm::{self, Arm};
use api::people::{Caller, Doorkeeper, NewToken, Role, Scope, Tokens, system_clock};
use api::server::config::{Config, Limits, Listen, Rate, Tls};
use api::server::{Server, Surface};
use clients::{Door, check};
use jobs::{Jobs, NoBays, Parts};
use keys::{MasterKeys, Vault};
use ledger::SqliteLedger;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use serde_json::Value;
use tempfile::TempDir;
use tokio::sync::oneshot;

/// What the slowest client may take on a busy machine.
const DEADLINE: Duration = Duration::from_secs(120);

/// A station that serves, and what a client needs to come in.
struct Station {
    _folder: TempDir,
    trusted: PathBuf,
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
        let trusted = folder.path().join("chain.pem");
        Self { _folder: folder, trusted, url, token, _stop: stop }
    }

    fn door(&self) -> Door<'_> {
        Door { url: &self.url, trusted: &self.trusted, token: &self.token }
    }

    /// What a client's program saw.
    async fn seen_by(&self, program: Command) -> Value {
        let mut program = tokio::process::Command::from(program);
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
        clock: system_clock(),
        station: "example".to_owned(),
        sites: locations.sites(),
        customer_keys: None,
    });
    Arm { jobs: Arc::new(jobs), locations, public_url: None }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_official_python_client_does_every_operation() {
    for version in ["2016-11-01", "2020-08-01", "2021-01-01"] {
        let station = Station::start().await;
        let Some(program) = station.door().python(version) else {
            println!(
                "skipped: the_official_python_client_does_every_operation: the Python client is not installed"
            );
            return;
        };
        check(station.seen_by(program).await, &format!("Python, {version}"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_official_node_client_does_every_operation() {
    for version in ["default", "2016-11-01", "2020-08-01"] {
        let station = Station::start().await;
        let Some(program) = station.door().node(version) else {
            println!(
                "skipped: the_official_node_client_does_every_operation: the Node client is not installed"
            );
            return;
        };
        check(station.seen_by(program).await, &format!("Node, {version}"));
    }
}

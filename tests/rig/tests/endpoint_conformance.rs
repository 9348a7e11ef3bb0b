//! The one list of behaviour checks, against each store of our endpoint and against Azurite.
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rig::endpoint::conformance::{self, differences::AZURITE_3_37};
use rig::endpoint::{ACCOUNT, ACCOUNT_KEY, Endpoint, EndpointConfig, Store};
use rig::setup::Tools;

fn surprises_of(store: Store) -> Vec<String> {
    let endpoint = Endpoint::start(EndpointConfig::with_store(store)).expect("started");
    let points = conformance::run(endpoint.address(), endpoint.account(), endpoint.key());
    assert!(points.len() > 250, "only {} points", points.len());
    conformance::surprises(&points, &[])
}

#[test]
fn our_endpoint_in_memory_does_what_the_service_does() {
    assert_eq!(surprises_of(Store::Memory), Vec::<String>::new());
}

#[test]
fn our_endpoint_on_disk_does_what_the_service_does() {
    let folder = tempfile::tempdir().expect("a scratch folder");
    assert_eq!(surprises_of(Store::Disk(folder.path().to_owned())), Vec::<String>::new());
}

#[test]
fn azurite_does_what_the_service_does_but_for_its_known_differences() {
    let Some(azurite) = Azurite::start() else {
        let test = "azurite_does_what_the_service_does_but_for_its_known_differences";
        return rig::skipped(test, "azurite is not installed (DRAYAGE_AZURITE)");
    };
    let points = conformance::run(azurite.address, ACCOUNT, ACCOUNT_KEY);
    assert_eq!(conformance::surprises(&points, AZURITE_3_37), Vec::<String>::new());
}

/// A running Azurite; it ends with this.
struct Azurite {
    process: Child,
    address: SocketAddr,
    _folder: tempfile::TempDir,
}

impl Azurite {
    fn start() -> Option<Azurite> {
        let script = Tools::installed().azurite?;
        let folder = tempfile::tempdir().expect("a scratch folder");
        let free = std::net::TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
        let address = free.expect("a free port");
        let mut command = Command::new("node");
        command.arg(script).args(["--blobHost", "127.0.0.1", "--blobPort", &address.port().to_string()]);
        command.arg("--location").arg(folder.path());
        command.args(["--silent", "--disableTelemetry", "--skipApiVersionCheck"]);
        let process = command.stdout(Stdio::null()).spawn().expect("node runs");
        let azurite = Azurite { process, address, _folder: folder };
        let patience = Instant::now() + Duration::from_secs(60);
        while std::net::TcpStream::connect(address).is_err() {
            assert!(Instant::now() < patience, "azurite does not answer");
            std::thread::sleep(Duration::from_millis(50));
        }
        Some(azurite)
    }
}

impl Drop for Azurite {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

//! An Azure storage endpoint of our own, for tests, the demo and benchmarks: design §10.
//!
//! **A test double, never presented as Azure.** It does the part of the Blob service that Drayage
//! uses (block and page blobs, containers, leases, snapshots, Shared Key and SAS), follows the real
//! service where emulators do not (spec/azure-storage.md §4.2), and misbehaves on demand ([`faults`]).
//! It is held to the real ones from outside: one list of checks ([`conformance`]) runs against it and
//! against Azurite, and the official Python client and azcopy work with it.
//!
//! Three stores: memory; a folder that survives the process and that a person can read (`disk`);
//! and a discarding one for benchmarks, which counts and drops what it is sent, checks no signature and
//! no checksum, and remembers only names, lengths and block lists.
//!
//! | to change | open |
//! | --- | --- |
//! | what an operation does | `ops`, one file a family |
//! | a refusal's code | `codes` |
//! | who may do what | `auth` |
//! | what goes wrong on demand | [`faults`], and `service` where it happens |
//! | where bytes are kept | `store`, `pages`, `disk` |
//!
//! ```
//! let endpoint = rig::endpoint::Endpoint::start(rig::endpoint::EndpointConfig::default())?;
//! endpoint.faults().add("op=PutBlock,nth=3,status=503,retry-after=1".parse()?);
//! println!("{}", endpoint.connection_string());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod auth;
mod body;
mod codes;
mod conditions;
pub mod conformance;
mod control;
mod disk;
pub mod faults;
pub mod inventory;
mod known;
mod lease;
pub mod log;
mod names;
pub mod operation;
mod ops;
mod pages;
mod ranges;
mod reply;
mod request;
mod server;
mod service;
pub mod stamp;
mod state;
mod store;
mod wire;

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, RwLock};
use std::time::Duration;

pub use faults::{Action, Fault, Faults};
pub use inventory::Inventory;
pub use log::RequestLog;
pub use operation::Operation;

use auth::Credentials;
use server::Server;
use service::Shared;
use stamp::Clock;
use state::Account;
use store::Vault;

/// The development account's name, known to everyone.
pub const ACCOUNT: &str = "devstoreaccount1";
/// The development account's key, published with every emulator; it opens nothing but test doubles.
pub const ACCOUNT_KEY: &str =
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

/// Where an endpoint keeps what it is given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Store {
    /// In memory; gone with the endpoint.
    Memory,
    /// In a folder; there again when an endpoint is started on it.
    Disk(PathBuf),
    /// Nowhere. Signatures and checksums are not checked either: for benchmarks.
    Discard,
}

/// How an endpoint is started.
#[derive(Debug, Clone)]
pub struct EndpointConfig {
    /// Where it listens; port 0 lets the system choose one.
    pub listen: SocketAddr,
    /// Where it keeps what it is given.
    pub store: Store,
    /// Whether the account has a hierarchical namespace (Data Lake Gen2).
    pub hierarchical_namespace: bool,
    /// The account's name.
    pub account: String,
    /// The account's key in base64.
    pub key: String,
    /// Bearer tokens that are accepted, as they are.
    pub bearer_tokens: Vec<String>,
    /// Threads that serve; 0 for the usual number: one when discarding, else two.
    pub workers: usize,
    /// Whether requests are remembered; they always are counted.
    pub log_requests: bool,
}

impl Default for EndpointConfig {
    /// In memory, on a free port of the loopback interface, with the development account.
    fn default() -> EndpointConfig {
        EndpointConfig {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            store: Store::Memory,
            hierarchical_namespace: false,
            account: ACCOUNT.to_owned(),
            key: ACCOUNT_KEY.to_owned(),
            bearer_tokens: Vec::new(),
            workers: 0,
            log_requests: true,
        }
    }
}

impl EndpointConfig {
    /// The usual endpoint with another store. A discarding one does not remember requests.
    pub fn with_store(store: Store) -> EndpointConfig {
        let log_requests = store != Store::Discard;
        EndpointConfig { store, log_requests, ..EndpointConfig::default() }
    }
}

/// Why an endpoint did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The account's key is not base64.
    #[error("the account's key is not base64")]
    Key,
    /// The folder of the store cannot be used.
    #[error("opening the store in {}", folder.display())]
    Store {
        /// The folder.
        folder: PathBuf,
        /// What the operating system, or a sidecar's reader, said.
        source: io::Error,
    },
    /// The address cannot be listened at.
    #[error("listening at {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the operating system said.
        source: io::Error,
    },
}

/// A running endpoint. It stops when dropped.
pub struct Endpoint {
    server: Server,
    shared: Arc<Shared>,
    key: String,
}

impl Endpoint {
    /// Starts an endpoint on threads of its own; it answers as soon as this returns.
    pub fn start(config: EndpointConfig) -> Result<Endpoint, StartError> {
        let usual_workers = if config.store == Store::Discard { 1 } else { 2 };
        let workers = match (config.workers, &config.store) {
            (0, _) => usual_workers,
            // Files are waited for in place, which takes a second thread.
            (workers, Store::Disk(_)) => workers.max(2),
            (workers, _) => workers,
        };
        let credentials = Credentials::new(&config.key, config.bearer_tokens).ok_or(StartError::Key)?;
        let (vault, containers) = open(&config.store)?;
        let account = Account {
            name: config.account,
            hierarchical: config.hierarchical_namespace,
            vault,
            clock: Arc::new(Clock::default()),
            containers: RwLock::new(containers),
        };
        let shared = Arc::new(Shared {
            account,
            credentials,
            faults: Arc::new(Faults::default()),
            log: Arc::new(RequestLog::new(config.log_requests)),
            requests: AtomicU64::new(1),
        });
        let listening = Server::start(config.listen, workers, Arc::clone(&shared));
        let server = listening.map_err(|source| StartError::Listen { address: config.listen, source })?;
        Ok(Endpoint { server, shared, key: config.key })
    }

    /// The blob service's address, path-style: `http://127.0.0.1:PORT/devstoreaccount1`.
    pub fn url(&self) -> String {
        format!("http://{}/{}", self.server.address, self.shared.account.name)
    }

    /// The address that the endpoint listens at.
    pub fn address(&self) -> SocketAddr {
        self.server.address
    }

    /// The account's name.
    pub fn account(&self) -> &str {
        &self.shared.account.name
    }

    /// The account's key in base64.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// What a client is configured with.
    pub fn connection_string(&self) -> String {
        format!(
            "DefaultEndpointsProtocol=http;AccountName={};AccountKey={};BlobEndpoint={};",
            self.account(),
            self.key,
            self.url()
        )
    }

    /// The misbehaviour in force.
    pub fn faults(&self) -> &Faults {
        &self.shared.faults
    }

    /// What was asked and answered.
    pub fn log(&self) -> &RequestLog {
        &self.shared.log
    }

    /// The clock, which leases and signatures go by.
    pub fn clock(&self) -> &Clock {
        &self.shared.account.clock
    }

    /// Everything that the endpoint holds, with digests.
    pub fn snapshot(&self) -> Inventory {
        Inventory::of(&self.shared.account, self.clock().now())
    }

    /// Every visible blob, with digests.
    pub fn blobs(&self) -> Vec<inventory::BlobEntry> {
        self.snapshot().blobs
    }

    /// A query string with an account signature for the blob service: `letters` as in `sp`, good for
    /// containers and blobs, over http too, for that long from now.
    pub fn account_sas(&self, letters: &str, good_for: Duration) -> String {
        let expiry = self.clock().now().plus_seconds(good_for.as_secs());
        conformance::sign::account_sas(self.account(), &self.key, letters, expiry)
    }

    /// A query string with a signature for one container: `letters` as in `sp`, for that long from now.
    pub fn container_sas(&self, container: &str, letters: &str, good_for: Duration) -> String {
        let expiry = self.clock().now().plus_seconds(good_for.as_secs());
        conformance::sign::container_sas((self.account(), &self.key), container, letters, expiry)
    }

    /// Stops: connections are reset, and the address is free again.
    pub fn stop(mut self) {
        self.server.stop();
    }
}

type Containers = BTreeMap<String, Arc<state::Container>>;

fn open(store: &Store) -> Result<(Vault, Containers), StartError> {
    match store {
        Store::Memory => Ok((Vault::Memory, Containers::new())),
        Store::Discard => Ok((Vault::Discard, Containers::new())),
        Store::Disk(folder) => {
            let opened = disk::Disk::open(folder).and_then(|disk| {
                let containers = disk.load()?;
                Ok((Vault::Disk(disk), containers))
            });
            opened.map_err(|source| StartError::Store { folder: folder.clone(), source })
        }
    }
}

/// Serves until the process is interrupted: what `cargo rig endpoint` does. `faults` are in force from
/// the first request on; `ready` is told when the endpoint answers.
pub async fn serve(
    config: EndpointConfig,
    faults: Vec<Fault>,
    ready: impl FnOnce(&Endpoint),
) -> Result<(), StartError> {
    let endpoint = Endpoint::start(config)?;
    for fault in faults {
        endpoint.faults().add(fault);
    }
    ready(&endpoint);
    // Where no signal can be waited for, the endpoint serves until it is killed.
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
    endpoint.stop();
    Ok(())
}

//! A station that serves on loopback, and what clients of it need.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use api::desk::bays::{BayNow, Board};
use api::desk::{Desk, PUBLIC, Parts, custody};
use api::events::Feed;
use api::people::{Caller, Doorkeeper, NewToken, Role, Scope, Tokens, system_clock};
use api::server::config::{Config, Limits, Listen, Rate};
use api::server::{Server, Surface};
use api::webhook::{Deliveries, Guard, Post, Settings};
use jobs::watch::Watch;
use jobs::{Changes, Jobs, NoBays, Site, Sites};
use keys::{MasterKeys, Secret, Vault};
use ledger::SqliteLedger;
use model::DriveId;
use model::job::{
    DeliveryPackage, JobKey, JobType, NewDrive, NewJob, ReturnAddress, ReturnShipping, ShippingInformation,
};
use reqwest::{Method, Response};
use serde_json::Value;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;

/// Planted, to be looked for where no password may be.
pub const PASSWORD: &str = "238810-662376-448998-450120-652806-203390-606320-483076";
/// Nothing here takes so long unless it hangs.
pub const LIMIT: Duration = Duration::from_secs(20);

pub struct House {
    pub address: SocketAddr,
    pub token: String,
    pub jobs: Arc<Jobs>,
    pub ledger: Arc<SqliteLedger>,
    /// How much later it is for jobs than it is.
    pub later_ms: Arc<AtomicI64>,
    pub tokens: Tokens,
    pub bays: watch::Sender<Arc<[BayNow]>>,
    client: reqwest::Client,
    stop: Option<oneshot::Sender<()>>,
    deliveries: watch::Sender<bool>,
    served: JoinHandle<std::io::Result<()>>,
    _folder: tempfile::TempDir,
}

/// A client without TLS roots: everything here is plain HTTP on loopback.
pub fn client() -> reqwest::Client {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let tls = tls.unwrap().with_root_certificates(rustls::RootCertStore::empty()).with_no_client_auth();
    reqwest::Client::builder().tls_backend_preconfigured(tls).no_proxy().build().unwrap()
}

fn loopback() -> Config {
    let plenty = Rate { per_second: 100_000, burst: 100_000 };
    Config {
        listen: vec![Listen { address: "127.0.0.1:0".parse().unwrap(), tls: None }],
        limits: Limits { address_rate: plenty, caller_rate: plenty, ..Limits::default() },
        ..Config::default()
    }
}

impl House {
    pub async fn new() -> House {
        House::patient(Settings {
            first_wait: Duration::from_millis(20),
            longest_wait: Duration::from_millis(100),
            ..Settings::default()
        })
        .await
    }

    /// A house whose web-hooks are that patient.
    pub async fn patient(settings: Settings) -> House {
        House::whose(settings, Duration::from_secs(600)).await
    }

    /// A house whose streams of events end after so long.
    pub async fn of_short_streams(live: Duration) -> House {
        House::whose(Settings::default(), live).await
    }

    async fn whose(settings: Settings, streams_live: Duration) -> House {
        let folder = tempfile::tempdir().unwrap();
        let ledger = Arc::new(SqliteLedger::open(&folder.path().join("ledger.db")).await.unwrap());
        let vault = Arc::new(Vault::over(MasterKeys::ephemeral()));
        let tokens = Tokens::new(ledger.clone(), ledger.clone(), "north");
        let later_ms = Arc::new(AtomicI64::new(0));
        let jobs = Arc::new(jobs(&ledger, &vault, later_ms.clone()));
        let (bays, board) = Board::new([BayNow::empty("B-01"), BayNow::empty("B-02")]);
        let guard = Guard::new(["127.0.0.0/8".parse().unwrap()]);
        let deliveries = Deliveries {
            ledger: ledger.clone(),
            vault: vault.clone(),
            post: Post::new(guard).unwrap(),
            settings,
            clock: system_clock(),
            every: Duration::from_millis(10),
        };
        let (stop_deliveries, stopping) = watch::channel(false);
        tokio::spawn(deliveries.clone().run(stopping));
        let signer = signer(&ledger);
        let desk = Desk::new(Parts {
            ledger: ledger.clone(),
            vault,
            station: "north".to_owned(),
            clock: system_clock(),
            feed: Feed::start(ledger.clone(), Duration::from_millis(10)).ending_after(streams_live),
            deliveries,
            bays: board,
            jobs: jobs.clone(),
            tokens: tokens.clone(),
            custody: custody::Keys::new(Some(signer), "").unwrap(),
            account_of,
        });
        let surface = Surface { router: desk.routes(), public: PUBLIC };
        let doorkeeper = Doorkeeper::new(tokens.clone(), None, system_clock());
        let server = Server::bind(&loopback(), surface, doorkeeper).await.unwrap();
        let address = server.addresses()[0];
        let (stop, stopped) = oneshot::channel::<()>();
        let served = tokio::spawn(server.run(async move {
            let _ = stopped.await;
        }));
        let token = token(&tokens, [Role::Admin], Scope::Everything).await;
        House {
            address,
            token,
            jobs,
            ledger,
            later_ms,
            tokens,
            bays,
            client: client(),
            stop: Some(stop),
            deliveries: stop_deliveries,
            served,
            _folder: folder,
        }
    }

    /// Stops the server and waits until it has.
    pub async fn stop(mut self) {
        self.deliveries.send_replace(true);
        drop(self.stop.take());
        tokio::time::timeout(LIMIT, self.served).await.unwrap().unwrap().unwrap();
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// A request as the admin, with these headers.
    pub async fn ask(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<Value>,
    ) -> Response {
        self.ask_as(&self.token, method, path, headers, body).await
    }

    pub async fn ask_as(
        &self,
        token: &str,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<Value>,
    ) -> Response {
        let mut request = self.client.request(method, self.url(path)).bearer_auth(token);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body.to_string());
        }
        tokio::time::timeout(LIMIT, request.send()).await.unwrap().unwrap()
    }

    pub async fn get(&self, path: &str) -> (u16, Value) {
        read(self.ask(Method::GET, path, &[], None).await).await
    }

    pub async fn post(&self, path: &str, body: Value) -> (u16, Value) {
        read(self.ask(Method::POST, path, &[], Some(body)).await).await
    }

    /// An import of these drives that the customer has shipped, as parcel `T-{name}`.
    pub async fn shipped(&self, name: &str, serials: &[&str]) -> JobKey {
        self.shipped_of("Sub-1", name, serials).await
    }

    /// The same of another subscription.
    pub async fn shipped_of(&self, subscription: &str, name: &str, serials: &[&str]) -> JobKey {
        self.shipped_as(JobKey::new(subscription, "Group", name), serials).await
    }

    /// The same under that key.
    pub async fn shipped_as(&self, key: JobKey, serials: &[&str]) -> JobKey {
        let key = self.ordered(key, serials).await;
        self.jobs.update(&customer(), &key, Changes { ship: true, ..Changes::default() }).await.unwrap();
        key
    }

    /// One that the customer has not said to be shipped.
    pub async fn ordered(&self, key: JobKey, serials: &[&str]) -> JobKey {
        let keys =
            serials.iter().map(|serial| (id(serial), Secret::from_text(PASSWORD.to_owned()))).collect();
        self.jobs.create(&customer(), import(&key, serials), keys).await.unwrap();
        key
    }
}

fn customer() -> jobs::Caller {
    jobs::Caller::new("token:customer", vec!["customer".to_owned()])
}

/// Status and JSON of an answer; null where there is no body.
pub async fn read(answer: Response) -> (u16, Value) {
    let status = answer.status().as_u16();
    let bytes = tokio::time::timeout(LIMIT, answer.bytes()).await.unwrap().unwrap();
    (status, serde_json::from_slice(&bytes).unwrap_or_default())
}

pub async fn token(tokens: &Tokens, roles: impl IntoIterator<Item = Role>, scope: Scope) -> String {
    let by = Caller::new("local:0", [Role::Admin], Scope::Everything);
    let now = system_clock()();
    let new = NewToken {
        label: "test".to_owned(),
        roles: roles.into_iter().collect::<BTreeSet<_>>(),
        scope,
        expires_unix_ms: now + 3_600_000,
        is_break_glass: false,
    };
    tokens.issue(&by, new, now).await.unwrap().token.expose().to_owned()
}

/// One key for both: the watch's checkpoints, and how many entries a job has.
fn signer(ledger: &Arc<SqliteLedger>) -> custody::Signer {
    let text = ::custody::SigningKey::generate();
    let key = || ::custody::SigningKey::from_text(text.as_bytes()).unwrap();
    let watch = Watch::new(jobs::watch::Parts {
        ledger: ledger.clone(),
        chain: "north".to_owned(),
        signing_key: key(),
        public_keys: ::custody::PublicKeys::default().with(key().public(None)),
        folders: Vec::new(),
    });
    custody::Signer { watch: Arc::new(watch), key: key() }
}

fn jobs(ledger: &Arc<SqliteLedger>, vault: &Arc<Vault>, later_ms: Arc<AtomicI64>) -> Jobs {
    let now = system_clock();
    let address =
        ShippingInformation { recipient_name: "North".to_owned(), ..ShippingInformation::default() };
    Jobs::new(jobs::Parts {
        jobs: ledger.clone(),
        secrets: ledger.clone(),
        vault: vault.clone(),
        bays: Arc::new(NoBays),
        clock: Arc::new(move || now() + later_ms.load(Ordering::Relaxed)),
        station: "north".to_owned(),
        sites: Sites::new(vec![Site { location: "West US".to_owned(), address }]).unwrap(),
        customer_keys: None,
    })
}

/// In the place of the storage driver's, which this crate does not know.
fn account_of(endpoint: &str) -> Result<String, String> {
    let host = endpoint.strip_prefix("https://").ok_or("it must begin with https://")?;
    let (account, _) = host.split_once(".blob.").ok_or("it does not name the account")?;
    Ok(account.to_owned())
}

pub fn id(serial: &str) -> DriveId {
    DriveId::new(serial).unwrap()
}

fn import(key: &JobKey, serials: &[&str]) -> NewJob {
    let drive = |serial: &&str| NewDrive {
        drive_id: (*serial).to_owned(),
        manifest_file: "\\DriveManifest.xml".to_owned(),
        manifest_hash: "0123456789abcdef0123456789ABCDEF".to_owned(),
        ..NewDrive::default()
    };
    NewJob {
        job_type: Some(JobType::Import),
        storage_account_id:
            "/subscriptions/S/resourceGroups/G/providers/Microsoft.Storage/storageAccounts/account".to_owned(),
        return_address: Some(ReturnAddress {
            recipient_name: "Goods in".to_owned(),
            street_address1: "1 Dock Road".to_owned(),
            city: "Harbour".to_owned(),
            postal_code: "10000".to_owned(),
            country_or_region: "GB".to_owned(),
            phone: "000".to_owned(),
            email: "dock@example.com".to_owned(),
            ..ReturnAddress::default()
        }),
        return_shipping: Some(ReturnShipping {
            carrier_name: "FedEx".to_owned(),
            carrier_account_number: "1".to_owned(),
        }),
        delivery_package: Some(DeliveryPackage {
            carrier_name: "FedEx".to_owned(),
            tracking_number: format!("T-{}", key.name),
            drive_count: None,
            ship_date: None,
        }),
        drives: serials.iter().map(drive).collect(),
        ..NewJob::new(key.clone(), "West US")
    }
}
